//! SQLite is asked about the same rows: where both have an operator, the answers are the same.

use std::sync::Arc;

use collector_core::condition::{Condition, Scratch, Truth};
use collector_core::{
    CollectionEvent, FilesystemEvent, NetworkEvent, PerformanceEvent, ProcessEvent, ProcessEventKind,
    ProcessRef, Text,
};
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value;

/// What an event and a row are made of, so that neither is made from the other.
#[derive(Clone, Debug)]
struct Facts {
    kind: ProcessEventKind,
    name: String,
    executable: Option<String>,
    arguments: Vec<String>,
    pid: u32,
    ppid: Option<u32>,
    uid: Option<u32>,
    euid: Option<u32>,
    argv_truncated: bool,
    parent: Option<String>,
}

const COLUMNS: &str = "kind TEXT, name TEXT, executable TEXT, command_line TEXT, pid INTEGER, ppid INTEGER, \
    uid INTEGER, euid INTEGER, argv_truncated INTEGER, parent_name TEXT, path TEXT, inode INTEGER, protocol TEXT, \
    remote_port INTEGER, remote_address TEXT, metric TEXT, value REAL";

impl Facts {
    fn event(&self) -> CollectionEvent {
        let Self { kind, name, executable, arguments, pid, ppid, uid, euid, argv_truncated, parent } =
            self.clone();
        let parent = parent.map(|name| {
            let name = Text::from(name);
            Arc::new(ProcessRef {
                pid: 1,
                exec_id: None,
                name,
                executable: None,
                uid: None,
                container_id: None,
            })
        });
        CollectionEvent::Process(ProcessEvent {
            kind,
            name,
            executable_path: executable.map(Text::from),
            command_line: arguments.into_iter().map(Text::from).collect(),
            pid,
            ppid,
            uid,
            euid,
            argv_truncated,
            ancestors: parent.into_iter().collect(),
            ..ProcessEvent::default()
        })
    }

    fn row(&self) -> Vec<Value> {
        let Self { kind, name, executable, arguments, pid, ppid, uid, euid, argv_truncated, parent } =
            self.clone();
        let not_empty = |text: String| (!text.is_empty()).then_some(text);
        let truncated =
            (kind == ProcessEventKind::Exec || !arguments.is_empty()).then_some(i64::from(argv_truncated));
        let command_line = (!arguments.is_empty()).then(|| arguments.join(" "));
        vec![
            kind.name().to_owned().into(),
            not_empty(name).into(),
            executable.into(),
            command_line.into(),
            pid.into(),
            ppid.into(),
            uid.into(),
            euid.into(),
            truncated.into(),
            parent.and_then(not_empty).into(),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
        ]
    }
}

/// Short texts of few characters, so that comparisons and patterns often hold.
fn text() -> impl Strategy<Value = String> {
    "[abAB/é€%_!*\\[^' -]{0,5}"
}

fn number() -> impl Strategy<Value = u32> {
    0..4_u32
}

fn facts() -> impl Strategy<Value = Facts> {
    let kind = prop::sample::select(vec![ProcessEventKind::Exec, ProcessEventKind::Exit]);
    let option = prop::option::of::<BoxedStrategy<u32>>;
    let texts =
        (text(), prop::option::of(text()), prop::collection::vec(text(), 0..3), prop::option::of(text()));
    let numbers = (number(), option(number().boxed()), option(number().boxed()), option(number().boxed()));
    (kind, texts, numbers, any::<bool>()).prop_map(
        |(kind, (name, executable, arguments, parent), (pid, ppid, uid, euid), argv_truncated)| Facts {
            kind,
            name,
            executable,
            arguments,
            pid,
            ppid,
            uid,
            euid,
            argv_truncated,
            parent,
        },
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn text_field() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "name",
        "executable",
        "command_line",
        "parent_name",
        "path",
        "lower(name)",
        "upper(executable)",
        "lower(command_line)",
        "(name)",
    ])
    .prop_map(str::to_owned)
}

fn number_field() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "pid",
        "ppid",
        "uid",
        "euid",
        "inode",
        "length(name)",
        "length(upper(command_line))",
    ])
    .prop_map(str::to_owned)
}

fn comparison() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["=", "==", "<>", "!=", "<", "<=", ">", ">="])
}

fn not() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "NOT "])
}

fn literal_list(literal: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(literal, 1..4).prop_map(|values| values.join(", "))
}

fn text_leaf() -> impl Strategy<Value = String> {
    let literal = || text().prop_map(|text| quoted(&text));
    let escape = prop::sample::select(vec!["", " ESCAPE '!'", " ESCAPE '%'", " ESCAPE '_'", " ESCAPE 'é'"]);
    prop_oneof![
        (text_field(), comparison(), literal())
            .prop_map(|(field, op, value)| format!("{field} {op} {value}")),
        (literal(), comparison(), text_field())
            .prop_map(|(value, op, field)| format!("{value} {op} {field}")),
        (text_field(), not(), literal_list(literal()))
            .prop_map(|(field, not, list)| format!("{field} {not}IN ({list})")),
        (text_field(), not(), literal(), literal())
            .prop_map(|(field, not, low, high)| format!("{field} {not}BETWEEN {low} AND {high}")),
        (text_field(), not(), literal(), escape)
            .prop_map(|(field, not, pattern, escape)| format!("{field} {not}LIKE {pattern}{escape}")),
        (text_field(), not(), literal())
            .prop_map(|(field, not, pattern)| format!("{field} {not}GLOB {pattern}")),
        ("[a-b]{0,1}[*?]{0,2}\\[\\^?\\]?[abAB-]{1,4}\\]?[*?é]{0,2}", not())
            .prop_map(|(pattern, not)| format!("name {not}GLOB {}", quoted(&pattern))),
        comparison().prop_map(|op| format!("name {op} parent_name")),
        prop::sample::select(vec![
            "kind = 'process.exec'",
            "kind LIKE '%.EX%'",
            "kind IN ('file.open', 'process.exit')"
        ])
        .prop_map(str::to_owned),
    ]
}

fn number_leaf() -> impl Strategy<Value = String> {
    let literal = || (-1..4_i64).prop_map(|number| number.to_string());
    prop_oneof![
        (number_field(), comparison(), literal())
            .prop_map(|(field, op, value)| format!("{field} {op} {value}")),
        (literal(), comparison(), number_field())
            .prop_map(|(value, op, field)| format!("{value} {op} {field}")),
        (number_field(), not(), literal_list(literal()))
            .prop_map(|(field, not, list)| format!("{field} {not}IN ({list})")),
        (number_field(), not(), literal(), literal())
            .prop_map(|(field, not, low, high)| format!("{field} {not}BETWEEN {low} AND {high}")),
        comparison().prop_map(|op| format!("uid {op} euid")),
        prop::sample::select(vec![
            "argv_truncated",
            "argv_truncated = TRUE",
            "argv_truncated <> TRUE",
            "argv_truncated IS NOT TRUE",
            "TRUE",
            "FALSE",
            "remote_port = 0x1",
            "1 = 1",
            "'a' > 'b'",
        ])
        .prop_map(str::to_owned),
    ]
}

fn leaf() -> impl Strategy<Value = String> {
    let null = prop::sample::select(vec![" IS NULL", " IS NOT NULL", " ISNULL", " NOTNULL"]);
    let field = prop_oneof![text_field(), number_field()];
    prop_oneof![
        4 => text_leaf(),
        3 => number_leaf(),
        1 => (field, null).prop_map(|(field, null)| format!("{field}{null}")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 3, |inner| {
        let is = prop::sample::select(vec!["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "NULL", "NOT NULL"]);
        prop_oneof![
            // Without parentheses, so that precedence is compared as well.
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("{one} AND {other}")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("{one} OR {other}")),
            inner.clone().prop_map(|inner| format!("NOT {inner}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            (inner, is).prop_map(|(inner, is)| format!("({inner}) IS {is}")),
        ]
    })
}

fn database() -> Connection {
    let database = Connection::open_in_memory().expect("a database in memory");
    database.execute_batch(&format!("CREATE TABLE events ({COLUMNS})")).expect("the table is valid");
    database
}

fn ask(database: &Connection, sql: &str, facts: &Facts) -> Truth {
    let places = vec!["?"; facts.row().len()].join(", ");
    database.execute("DELETE FROM events", []).expect("an empty table");
    let insert = format!("INSERT INTO events VALUES ({places})");
    database.execute(&insert, rusqlite::params_from_iter(facts.row())).expect("the row fits");
    let query = format!("SELECT {sql} FROM events");
    let answer: Option<bool> = database.query_row(&query, [], |row| row.get(0)).expect(sql);
    Truth::from(answer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn sqlite_agrees(sql in condition(), facts in facts()) {
        let compiled = Condition::from_sql(&sql).expect(&sql);
        let mut scratch = Scratch::default();
        let event = facts.event();
        let expected = DATABASE.with(|database| ask(database, &sql, &facts));
        prop_assert_eq!(compiled.evaluate(&event, &mut scratch), expected, "{}", sql);
        prop_assert_eq!(compiled.matches(&event, &mut scratch), expected.is_true(), "{}", sql);
        // The same as SQL that people paste.
        let pasted = format!("SELECT * FROM events WHERE {sql};");
        prop_assert!(Condition::from_sql(&pasted).is_ok());
    }
}

thread_local! {
    static DATABASE: Connection = database();
}

/// Fields that processes do not have are NULL for SQLite and unknown here; of other events the columns are compared singly.
#[test]
fn other_events_agree_as_well() {
    let database = database();
    let network = CollectionEvent::Network(NetworkEvent {
        remote: Some("10.1.2.3:443".parse().expect("an address")),
        protocol: "tcp".to_owned(),
        ..NetworkEvent::default()
    });
    let file = CollectionEvent::Filesystem(FilesystemEvent {
        path: "/etc/Passwd".into(),
        inode: Some(7),
        ..FilesystemEvent::default()
    });
    let sample = CollectionEvent::Performance(PerformanceEvent {
        metric_name: "cpu_usage".to_owned(),
        value: 97.5,
        ..PerformanceEvent::default()
    });
    for (event, row) in [
        (network, "('network.connect', 'tcp', 443, '10.1.2.3', NULL, NULL, NULL, NULL)"),
        (file, "('file.create', NULL, NULL, NULL, '/etc/Passwd', 7, NULL, NULL)"),
        (sample, "('performance.sample', NULL, NULL, NULL, NULL, NULL, 'cpu_usage', 97.5)"),
    ] {
        let insert = "INSERT INTO events (kind, protocol, remote_port, remote_address, path, inode, metric, value) \
                      VALUES";
        database.execute_batch(&format!("DELETE FROM events; {insert} {row}")).expect("the row fits");
        for sql in [
            "remote_address = '10.1.2.3'",
            "remote_address <> '10.1.2.3'",
            "remote_address IN ('1.1.1.1', '10.1.2.3')",
            "remote_address LIKE '10.%'",
            "remote_address GLOB '10.?.2.*'",
            "length(remote_address) = 8",
            "remote_port BETWEEN 1 AND 1024",
            "remote_port IN (80, 443)",
            "protocol = 'tcp'",
            "upper(protocol) = 'TCP'",
            "path LIKE '/ETC/%'",
            "path GLOB '/etc/*'",
            "lower(path) = '/etc/passwd'",
            "inode > 6",
            "name IS NULL",
            "NOT path = '/x' OR remote_port = 443",
            "kind = 'performance.sample' AND metric = 'cpu_usage' AND value > 90",
            "value > 97",
            "value > 97.5",
            "value >= 97.5",
            "value = 975e-1",
            "value <> 97",
            "-1.5 < value",
            "value IN (1, 97.5)",
            "value NOT IN (97, 98)",
            "value BETWEEN 97 AND 97.4",
            "value BETWEEN .5 AND 97.6",
            "value IS NULL",
            "1 < 1.5 AND 1.0 = 1",
            "kind = 'file.create' AND NOT protocol = 'udp'",
        ] {
            let query = format!("SELECT {sql} FROM events");
            let answer: Option<bool> = database.query_row(&query, [], |row| row.get(0)).expect(sql);
            let condition = Condition::from_sql(sql).expect(sql);
            assert_eq!(condition.evaluate(&event, &mut Scratch::default()), Truth::from(answer), "{sql}");
        }
    }
}
