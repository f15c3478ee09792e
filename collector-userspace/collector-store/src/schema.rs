//! The schema of the database and its migrations.
//!
//! ```text
//! records  one row per event: the whole event as a line of JSON, and what finding it needs
//! events   a view of records with a column for each thing people filter by
//! meta     key and value: what wrote this database, when, for which host and boot
//! monitor_memory  what monitors have seen, a row per process
//! ```
//!
//! `PRAGMA user_version` counts the migrations that were applied. A database with more of them than this program knows is
//! refused: guessing what a newer program meant would be worse than an error.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::StoreError;

/// Marks a database as ours (`PRAGMA application_id`): "COLL".
const APPLICATION_ID: i64 = 0x434f_4c4c;

/// One step of the schema, applied in its own transaction. Never edit one that was released; append.
const MIGRATIONS: &[&str] = &[FIRST, SECOND, THIRD];

/// The newest schema version this program knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Before the first release: a column for each thing people filter by.
const FIRST: &str = "
CREATE TABLE events (
    id              INTEGER PRIMARY KEY, -- order of arrival
    time_ns         INTEGER NOT NULL,    -- nanoseconds since 1970, UTC
    kind            TEXT NOT NULL,       -- 'process.exec', 'network.connect', 'file.open', 'loss', ...
    source          TEXT,                -- which source brought it
    domain          TEXT,                -- domain, processor and number of the kernel's sequence
    cpu             INTEGER,
    seq             INTEGER,
    pid             INTEGER,
    ppid            INTEGER,
    exec_id         TEXT,                -- identity of the process's image
    parent_exec_id  TEXT,
    name            TEXT,                -- thread name (comm)
    executable      TEXT,
    command_line    TEXT,                -- the arguments, quoted as a shell would need them
    uid             INTEGER,
    user            TEXT,
    container_id    TEXT,
    path            TEXT,                -- file events: path after, and before
    old_path        TEXT,
    local_address   TEXT,
    local_port      INTEGER,
    remote_address  TEXT,
    remote_port     INTEGER,
    result          INTEGER,             -- network and file: errno, 0 for success; exit: the code, or minus the signal
    event           TEXT NOT NULL        -- everything, as a JSON object
) STRICT;
CREATE INDEX events_kind_time ON events (kind, time_ns);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('created', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'));
";

/// Rows come in the order of arrival, so that `id` is a good stand-in for time where only recent rows matter.
///
/// What the JSON says already is not stored twice, but for what rows are found and joined by: the view takes it out when a
/// query wants it. That halves what an event costs to write, and a query pays about a microsecond for each row that its other
/// conditions leave (`store/append` and `store/scan` in `cargo bench -p collector-store`). A view, because SQLite computes
/// generated columns, the virtual ones too, for every row that is inserted.
///
/// An index costs as much as the row itself. One serves queries by kind and time; the other, over execs alone, joins any event
/// with the exec of its process or of its parent, because SQLite makes no index of its own for a join where it has one to use.
const SECOND: &str = "
CREATE TABLE records (
    id              INTEGER PRIMARY KEY, -- order of arrival
    time_ns         INTEGER NOT NULL,    -- nanoseconds since 1970, UTC
    kind            TEXT NOT NULL,       -- 'process.exec', 'network.connect', 'file.open', 'loss', ...
    pid             INTEGER,             -- the process an event is about or was caused by
    exec_id         TEXT,                -- identity of the process's image, which events are joined by
    parent_exec_id  TEXT,
    command_line    TEXT,                -- the arguments, quoted as a shell would need them
    event           TEXT NOT NULL        -- everything, as a JSON object
) STRICT;
INSERT INTO records (id, time_ns, kind, pid, exec_id, parent_exec_id, command_line, event)
    SELECT id, time_ns, kind, pid, exec_id, parent_exec_id, command_line, event FROM events;
DROP TABLE events;
CREATE INDEX records_kind_time ON records (kind, time_ns);
CREATE INDEX records_exec ON records (exec_id) WHERE kind = 'process.exec';
CREATE VIEW events AS SELECT
    id,
    time_ns,
    kind,
    event ->> '$.source'                    AS source,          -- which source brought it
    -- domain, processor and number of the kernel's sequence
    coalesce(event ->> '$.seq.domain', event ->> '$.loss.domain') AS domain,
    coalesce(event ->> '$.seq.cpu', event ->> '$.loss.cpu')       AS cpu,
    coalesce(event ->> '$.seq.n', event ->> '$.loss.first_seq')   AS seq,
    pid,
    event ->> '$.process.ppid'              AS ppid,
    exec_id,
    parent_exec_id,
    event ->> '$.process.name'              AS name,            -- thread name (comm)
    event ->> '$.process.executable'        AS executable,
    command_line,
    event ->> '$.process.uid'               AS uid,
    event ->> '$.process.user'              AS user,
    event ->> '$.process.container_id'      AS container_id,
    event ->> '$.file.path'                 AS path,            -- file events: path after, and before
    event ->> '$.file.old_path'             AS old_path,
    event ->> '$.network.local.address'     AS local_address,
    event ->> '$.network.local.port'        AS local_port,
    event ->> '$.network.remote.address'    AS remote_address,
    event ->> '$.network.remote.port'       AS remote_port,
    -- network and file: errno, 0 for success; exit: the code, or minus the signal
    coalesce(event ->> '$.network.result', event ->> '$.file.result',
             event ->> '$.process.exit.code', -(event ->> '$.process.exit.signal')) AS result,
    event
FROM records;
";

/// Alerts and measurements have columns. What monitors remember from one run to the next is apart from the events, so that it
/// does not go with the old ones.
const THIRD: &str = "
DROP VIEW events;
CREATE VIEW events AS SELECT
    id,
    time_ns,
    kind,
    event ->> '$.source'                    AS source,          -- which source brought it
    -- domain, processor and number of the kernel's sequence
    coalesce(event ->> '$.seq.domain', event ->> '$.loss.domain') AS domain,
    coalesce(event ->> '$.seq.cpu', event ->> '$.loss.cpu')       AS cpu,
    coalesce(event ->> '$.seq.n', event ->> '$.loss.first_seq')   AS seq,
    pid,
    event ->> '$.process.ppid'              AS ppid,
    exec_id,
    parent_exec_id,
    event ->> '$.process.name'              AS name,            -- thread name (comm)
    event ->> '$.process.executable'        AS executable,
    command_line,
    event ->> '$.process.uid'               AS uid,
    event ->> '$.process.user'              AS user,
    event ->> '$.process.container_id'      AS container_id,
    -- file events: path after, and before; alerts: the file they are about
    coalesce(event ->> '$.file.path', event ->> '$.alert.path')   AS path,
    event ->> '$.file.old_path'             AS old_path,
    event ->> '$.network.local.address'     AS local_address,
    event ->> '$.network.local.port'        AS local_port,
    event ->> '$.network.remote.address'    AS remote_address,
    event ->> '$.network.remote.port'       AS remote_port,
    -- network and file: errno, 0 for success; exit: the code, or minus the signal
    coalesce(event ->> '$.network.result', event ->> '$.file.result',
             event ->> '$.process.exit.code', -(event ->> '$.process.exit.signal')) AS result,
    event ->> '$.alert.severity'            AS severity,        -- alerts
    event ->> '$.alert.title'               AS title,
    event ->> '$.performance.metric'        AS metric,          -- performance samples: what was measured,
    event ->> '$.performance.value'         AS value,           -- what it gave,
    event ->> '$.performance.unit'          AS unit,            -- its unit,
    event ->> '$.performance.component'     AS component,       -- and of what: 'system', 'process', 'collector'
    event
FROM records;
CREATE TABLE monitor_memory (
    collector       TEXT NOT NULL,       -- name of the source
    pid             INTEGER NOT NULL,
    state           TEXT NOT NULL,       -- as the source understands it
    PRIMARY KEY (collector, pid)
) STRICT, WITHOUT ROWID;
";

/// Brings the database up to date: creates the schema in an empty one, applies what is missing in an older one.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate_with(connection, path, MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let known = migrations.len() as i64;
    let sqlite = |source| StoreError::sqlite(path, source);
    if check(connection, path, known)? == known {
        return Ok(());
    }
    // Another process may be doing the same: only what is seen inside the transaction counts.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    let found = check(&transaction, path, known)?;
    for step in migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step).map_err(sqlite)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sqlite)?;
    transaction.pragma_update(None, "user_version", known).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)
}

/// The schema version of the database, if it is ours (or empty, which is version 0) and not newer than `known`.
fn check(connection: &Connection, path: &Path, known: i64) -> Result<i64, StoreError> {
    let sqlite = |source| StoreError::sqlite(path, source);
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application = number("application_id").map_err(sqlite)?;
    let version = number("user_version").map_err(sqlite)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sqlite)?;
    let empty = application == 0 && version == 0 && tables == 0;
    if application != APPLICATION_ID && !empty {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    if version > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found: version, known });
    }
    Ok(version)
}

/// Checks, for reading, that the database is ours and not newer than this program.
pub(crate) fn check_readable(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match check(connection, path, SCHEMA_VERSION)? {
        0 => Err(StoreError::Foreign { path: path.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn migrations_apply_once_and_in_order() {
        let path = Path::new("test.db");
        let mut connection = memory();
        let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"];
        migrate_with(&mut connection, path, &steps[..1]).unwrap();
        migrate_with(&mut connection, path, &steps).unwrap();
        migrate_with(&mut connection, path, &steps).unwrap();
        connection.execute("INSERT INTO a (x, y) VALUES (1, 2)", []).unwrap();
        assert_eq!(check(&connection, path, 2).unwrap(), 2);
    }

    #[test]
    fn rows_of_the_first_schema_are_kept() {
        let path = Path::new("test.db");
        let mut connection = memory();
        migrate_with(&mut connection, path, &MIGRATIONS[..1]).unwrap();
        let event = r#"{"process":{"name":"sh"}}"#;
        let row = "INSERT INTO events (time_ns, kind, pid, exec_id, event) VALUES (5, 'process.exec', 7, 'b-7', ?1)";
        connection.execute(row, [event]).unwrap();
        migrate(&mut connection, path).unwrap();
        let row = "SELECT id, time_ns, kind, pid, exec_id, name, event FROM events";
        let found: (i64, i64, String, i64, String, String, String) = connection
            .query_row(row, [], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                ))
            })
            .unwrap();
        let text = str::to_owned;
        assert_eq!(found, (1, 5, text("process.exec"), 7, text("b-7"), text("sh"), text(event)));
    }

    #[test]
    fn a_failing_migration_changes_nothing() {
        let path = Path::new("test.db");
        let mut connection = memory();
        migrate_with(&mut connection, path, &["CREATE TABLE a (x); nonsense"]).unwrap_err();
        assert_eq!(check(&connection, path, 1).unwrap(), 0);
    }

    #[test]
    fn a_newer_schema_is_refused_with_both_versions() {
        let path = Path::new("/var/lib/x.db");
        let mut connection = memory();
        migrate(&mut connection, path).unwrap();
        connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        let error = migrate(&mut connection, path).unwrap_err();
        assert!(error.is_permanent());
        assert_eq!(
            error.to_string(),
            "/var/lib/x.db has schema version 4, this program knows up to 3: use the newer collector, or another \
             database with --db"
        );
    }

    #[test]
    fn databases_of_other_programs_are_left_alone() {
        let mut connection = memory();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let error = migrate(&mut connection, Path::new("x.db")).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    }
}
