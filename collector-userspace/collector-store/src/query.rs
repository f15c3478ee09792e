//! Reading with SQL, beside a running writer, without a way to change anything.
//!
//! Four walls, each enough: the file is opened for reading, `query_only` is on, an authorizer refuses every action but
//! reading before the statement runs, and a statement that is not read-only is not run. A limit of time and one of size
//! keep a query from becoming a burden.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Serialize, Serializer};

use crate::authorizer::authorize;
use crate::error::StoreError;
use crate::schema;

/// How far a query may go.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest run time.
    pub time: Duration,
    /// Most rows.
    pub rows: u64,
    /// Set from another thread to end the query.
    pub cancel: Cancel,
}

/// Ends a query from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends the query within a few milliseconds.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), rows: 10_000, cancel: Cancel::default() }
    }
}

/// Why a query gave no answer, or no complete one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no such file.
    #[error("there is no database at {}: name one with --db, or let `collector run` make one", .0.display())]
    Missing(PathBuf),
    /// It cannot be opened, or is not ours.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The statement does more than read.
    #[error("queries can only read: {0} is refused")]
    Refused(String),
    /// The statement is wrong.
    #[error("{0}")]
    Sql(String),
    /// It took too long.
    #[error(
        "the query was stopped after {0:?}: narrow it down, for example by kind and time_ns, or allow more time"
    )]
    TimedOut(Duration),
    /// Somebody cancelled it.
    #[error("the query was cancelled")]
    Cancelled,
}

/// One value of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// An answer in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows; empty where they went to a visitor.
    pub rows: Vec<Vec<Value>>,
    /// Whether there would have been more rows.
    pub truncated: bool,
}

/// Runs one statement on the database at `path` and collects its rows.
///
/// # Errors
/// See [`QueryError`].
pub fn query(path: &Path, sql: &str, limits: &Limits) -> Result<Rows, QueryError> {
    let mut rows = Vec::new();
    let answer = query_each(path, sql, limits, |_, row| {
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(Rows { rows, ..answer })
}

/// Runs one statement on the database at `path` and shows each row, with the names of the columns, to `visit`, until that
/// breaks off. The result has no rows.
///
/// # Errors
/// See [`QueryError`]. Rows may have been shown before it.
pub fn query_each(
    path: &Path,
    sql: &str,
    limits: &Limits,
    mut visit: impl FnMut(&[String], Vec<Value>) -> ControlFlow<()>,
) -> Result<Rows, QueryError> {
    let mut connection = open(path)?;
    let refusal = guard(&mut connection, limits).map_err(|source| StoreError::sqlite(path, source))?;
    let failed = |error: rusqlite::Error| explain(error, limits, &refusal, path);
    let mut statement = connection.prepare(sql).map_err(failed)?;
    if !statement.readonly() {
        return Err(QueryError::Refused("this statement".to_owned()));
    }
    if statement.column_count() == 0 {
        return Err(QueryError::Sql("the statement asks for nothing".to_owned()));
    }
    let mut answer =
        Rows { columns: statement.column_names().map(ToString::to_string).collect(), ..Rows::default() };
    let width = answer.columns.len();
    let mut rows = statement.raw_query();
    let mut count = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        if count == limits.rows {
            answer.truncated = true;
            break;
        }
        count += 1;
        let values = (0..width)
            .map(|index| row.get_ref(index).map(Value::from))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        if visit(&answer.columns, values).is_break() {
            break;
        }
    }
    Ok(answer)
}

fn open(path: &Path) -> Result<Connection, QueryError> {
    match std::fs::File::open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(QueryError::Missing(path.to_owned()));
        }
        // SQLite would only say that it is unable to open the file.
        Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }.into()),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| StoreError::sqlite(path, source))?;
    match schema::check_readable(&connection, path) {
        Ok(()) => Ok(connection),
        // Reading beside a writer needs the shared memory file, which a reader without write permission cannot make.
        // Without a log nobody is writing, and the file alone is the whole truth.
        Err(_) if !has_log(path) => {
            let connection =
                Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)
                    .map_err(|source| StoreError::sqlite(path, source))?;
            schema::check_readable(&connection, path)?;
            Ok(connection)
        }
        Err(error) => Err(error.into()),
    }
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Path::new(&log).exists()
}

fn immutable_uri(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                uri.push(char::from(*byte));
            }
            // Writing to a String cannot fail.
            _ => {
                let _ = write!(uri, "%{byte:02x}");
            }
        }
    }
    uri + "?immutable=1"
}

/// Where the authorizer leaves what it refused.
type Refusal = Arc<Mutex<Option<String>>>;

fn guard(connection: &mut Connection, limits: &Limits) -> rusqlite::Result<Refusal> {
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.busy_timeout(limits.time)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 32 << 20)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let cancel = limits.cancel.clone();
    let deadline = Instant::now() + limits.time;
    connection.progress_handler(1_000, Some(move || cancel.is_set() || Instant::now() >= deadline))?;
    let refusal = Refusal::default();
    let shared = Arc::clone(&refusal);
    connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
        authorize(&context, &mut shared.lock().unwrap_or_else(PoisonError::into_inner))
    }))?;
    Ok(refusal)
}

fn explain(error: rusqlite::Error, limits: &Limits, refusal: &Refusal, path: &Path) -> QueryError {
    if let Some(what) = refusal.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return QueryError::Refused(what);
    }
    match (&error, error.sqlite_error_code()) {
        (_, Some(ErrorCode::OperationInterrupted)) if limits.cancel.is_set() => QueryError::Cancelled,
        (_, Some(ErrorCode::OperationInterrupted)) => QueryError::TimedOut(limits.time),
        (_, Some(ErrorCode::AuthorizationForStatementDenied)) => {
            QueryError::Refused("this statement".to_owned())
        }
        (rusqlite::Error::MultipleStatement, _) => QueryError::Sql("only one statement at a time".to_owned()),
        (rusqlite::Error::SqliteFailure(_, Some(message)), _) if message.contains("because it is a view") => {
            QueryError::Refused("changing events".to_owned())
        }
        (rusqlite::Error::SqlInputError { msg, offset, .. }, _) => match usize::try_from(*offset) {
            Ok(offset) => QueryError::Sql(format!("{msg} (at character {})", offset + 1)),
            Err(_) => QueryError::Sql(msg.clone()),
        },
        (rusqlite::Error::SqliteFailure(_, Some(message)), Some(ErrorCode::Unknown)) => {
            QueryError::Sql(message.clone())
        }
        _ => StoreError::sqlite(path, error).into(),
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => Self::Text(String::from_utf8_lossy(bytes).into_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Integer(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl Serialize for Value {
    /// As the JSON value it is; bytes as hexadecimal text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Real(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Blob(_) => serializer.collect_str(self),
        }
    }
}
