//! What conditions say about events.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::event::{
    CollectionEvent, FilesystemEvent, FilesystemEventKind, KINDS, NetworkEvent, NetworkEventKind,
    ProcessEvent, ProcessEventKind, ProcessRef, Text,
};

fn exec() -> CollectionEvent {
    let parent = |name: &str, executable: Option<&str>| {
        let executable = executable.map(Text::from);
        Arc::new(ProcessRef {
            pid: 1,
            exec_id: None,
            name: name.into(),
            executable,
            uid: None,
            container_id: None,
        })
    };
    CollectionEvent::Process(ProcessEvent {
        pid: 42,
        name: "Cat".to_owned(),
        executable_path: Some("/usr/bin/cat".into()),
        command_line: vec!["cat".into(), Text::from(&b"/tmp/\xff"[..]), "--verbose".into()],
        kind: ProcessEventKind::Exec,
        uid: Some(1000),
        euid: Some(0),
        argv_truncated: true,
        flags: vec!["memfd", "setuid"],
        ancestors: [parent("bash", Some("/bin/bash")), parent("sshd", None)].into(),
        ..ProcessEvent::default()
    })
}

fn connect() -> CollectionEvent {
    CollectionEvent::Network(NetworkEvent {
        kind: NetworkEventKind::Connect,
        local: Some("[::ffff:10.1.2.3]:5000".parse().unwrap()),
        remote: Some("192.168.7.9:443".parse().unwrap()),
        protocol: "tcp".to_owned(),
        ..NetworkEvent::default()
    })
}

fn check(event: &CollectionEvent, cases: &[(&str, Truth)]) {
    let mut scratch = Scratch::default();
    for (sql, expected) in cases {
        let condition = Condition::from_sql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(condition.evaluate(event, &mut scratch), *expected, "{sql}");
        assert_eq!(condition.matches(event, &mut scratch), expected.is_true(), "{sql}");
    }
}

#[test]
fn three_truth_values() {
    use Truth::{False, True, Unknown};
    let named = [("uid = 1000", True), ("uid = 0", False), ("gid = 0", Unknown)];
    let and = [[True, False, Unknown], [False, False, False], [Unknown, False, Unknown]];
    let or = [[True, True, True], [True, False, Unknown], [True, Unknown, Unknown]];
    for (row, (one, truth)) in named.iter().enumerate() {
        check(&exec(), &[(*one, *truth), (&format!("NOT {one}"), !*truth)]);
        check(&exec(), &[(&format!("({one}) IS TRUE"), Truth::from(*truth == True))]);
        check(&exec(), &[(&format!("({one}) IS FALSE"), Truth::from(*truth == False))]);
        check(&exec(), &[(&format!("({one}) IS NULL"), Truth::from(*truth == Unknown))]);
        for (column, (other, _)) in named.iter().enumerate() {
            check(&exec(), &[(&format!("{one} AND {other}"), and[row][column])]);
            check(&exec(), &[(&format!("{one} OR {other}"), or[row][column])]);
        }
    }
}

#[test]
fn texts_and_numbers() {
    use Truth::{False, True, Unknown};
    check(
        &exec(),
        &[
            ("kind = 'process.exec'", True),
            ("kind LIKE 'PROCESS.%' AND upper(kind) = 'PROCESS.EXEC'", True),
            ("kind IN ('process.fork', 'process.exit')", False),
            ("name = 'cat'", False),
            ("lower(name) = 'cat'", True),
            ("lower(name) = 'Cat'", False),
            ("upper(name) IN ('CAT', 'x')", True),
            ("lower(name) <> 'cat'", False),
            ("name < 'cat' AND name > 'CAT' AND 'Cat' = name", True),
            ("name LIKE 'c_T' AND name GLOB '[A-C]at' AND name REGEXP '^Ca'", True),
            ("name ILIKE 'CAT' AND NOT name GLOB 'cat'", True),
            ("length(name) = 3 AND 4 > length(name)", True),
            ("uid BETWEEN 1000 AND 1000 AND uid <> euid AND uid IN (1, 1000)", True),
            ("uid NOT BETWEEN 0 AND 999", True),
            ("gid = 0 OR gid <> 0", Unknown),
            ("uid = gid", Unknown),
            ("name <> parent_name AND parent_executable = '/bin/bash'", True),
            ("argv_truncated AND argv_truncated IS TRUE AND argv_truncated <> FALSE", True),
            ("path = '/x'", Unknown),
            ("path IS NULL AND name IS NOT NULL", True),
        ],
    );
}

#[test]
fn command_lines_are_joined_and_arguments_are_not() {
    use Truth::{False, True};
    check(
        &exec(),
        &[
            ("command_line = 'cat /tmp/\u{fffd} --verbose'", True),
            ("contains(command_line, ' --verb')", True),
            ("contains(command_line, 'VERB')", False),
            ("contains(lower(command_line), 'verb')", True),
            ("has(arguments, '--verbose')", True),
            ("has(arguments, '/tmp/\u{fffd}')", False),
            ("arguments LIKE '--V%'", True),
            ("arguments LIKE '%cat /tmp%'", False),
            ("starts_with(lower(arguments), '--VERB')", False),
            ("upper(arguments) = '--VERBOSE'", True),
        ],
    );
}

#[test]
fn lists_hold_if_any_element_does() {
    use Truth::{False, True, Unknown};
    check(
        &exec(),
        &[
            ("has(flags, 'setuid')", True),
            ("has(flags, 'deleted', 'memfd')", True),
            ("NOT has(flags, 'deleted')", True),
            ("flags = 'memfd' AND flags IN ('x', 'setuid')", True),
            ("has(ancestor_names, 'sshd') AND has(ancestor_executables, '/bin/bash')", True),
            ("ancestor_executables LIKE '%sshd'", False),
        ],
    );
    check(&connect(), &[("has(flags, 'x')", Unknown), ("flags IS NULL", True)]);
    check(&CollectionEvent::Process(ProcessEvent::default()), &[("NOT has(flags, 'memfd')", True)]);
}

#[test]
fn addresses() {
    use Truth::{False, True};
    check(
        &connect(),
        &[
            ("remote_address = '192.168.7.9' AND remote_port = 443", True),
            ("remote_address = '::ffff:192.168.7.9'", True),
            ("local_address = '10.1.2.3'", True),
            ("local_address <> '10.1.2.3'", False),
            ("local_address LIKE '::FFFF:10.%'", True),
            ("cidr_match(local_address, '10.0.0.0/8')", True),
            ("cidr_match(remote_address, '10.0.0.0/8', '192.168.0.0/16')", True),
            ("remote_address IN ('1.1.1.1', '192.168.7.9')", True),
            ("local_address = remote_address", False),
            ("length(remote_address) = 11", True),
        ],
    );
}

#[test]
fn code_builds_what_sql_cannot_say() {
    let missing_or_other = Expr::test(Field::Path, Predicate::equals("/x")).is_true().not();
    assert!(Condition::new(missing_or_other).unwrap().matches(&exec(), &mut Scratch::default()));
    let nothing = [Expr::any([]), Expr::all([]).not()];
    for expr in nothing {
        assert!(!Condition::new(expr).unwrap().matches(&exec(), &mut Scratch::default()));
    }
    let error = Condition::new(Expr::test(Field::Name, Predicate::is_in([] as [&str; 0]))).unwrap_err();
    assert_eq!(error.to_string(), "a list of values is empty; give it at least one value");
    let deep = (0..70).fold(Expr::constant(true), |expr, _| expr.is_true());
    assert!(matches!(Condition::new(deep).unwrap_err().kind, ConditionErrorKind::TooDeep { limit: 64 }));
}

fn check_kinds(sql: &str, expected: &[&str]) {
    let condition = Condition::from_sql(sql).unwrap();
    let mut expected: Vec<&str> = KINDS
        .iter()
        .filter(|(kind, _)| expected.iter().any(|start| kind.starts_with(start)))
        .map(|(kind, _)| *kind)
        .collect();
    expected.sort_unstable();
    let mut kinds: Vec<&str> = condition.kinds().collect();
    kinds.sort_unstable();
    assert_eq!(kinds, expected, "{sql}");
}

#[test]
fn kinds_follow_from_the_condition() {
    check_kinds("TRUE", &[""]);
    check_kinds("uid = 0 AND FALSE", &[]);
    check_kinds("kind = 'file.open'", &["file.open"]);
    check_kinds("kind LIKE 'network.%' AND uid = 0", &["network."]);
    check_kinds("kind <> 'process.exec' AND ppid = 1", &["process.snapshot", "process.fork", "process.exit"]);
    check_kinds("path = '/x' OR remote_port = 1", &["file.", "network.", "alert"]);
    check_kinds("path = '/x' AND remote_port = 1", &[]);
    check_kinds("NOT (path = '/x' OR remote_port = 1)", &[]);
    check_kinds("path IS NULL", &[""]);
    check_kinds("path IS NOT NULL", &["file.", "alert"]);
    check_kinds("(path = '/x') IS NOT TRUE", &[""]);
    check_kinds("domain = 'file'", &["file.", "loss"]);
    check_kinds("domain = 'file' AND path = '/x'", &["file."]);
    check_kinds("domain <> 'process'", &["network.", "file.", "loss"]);
    check_kinds("uid <> owner_uid", &["file."]);
    check_kinds("exit_code <> 0", &["process.exit"]);
}

#[test]
fn a_set_keeps_the_order_and_forgets_what_is_removed() {
    let mut set = ConditionSet::new();
    let mut scratch = Scratch::default();
    let all =
        ["name = 'Cat'", "uid = 1000", "uid = 0", "executable LIKE '%/CAT'", "TRUE", "remote_port = 443"];
    for (id, sql) in all.iter().enumerate() {
        assert!(set.insert(id, Condition::from_sql(sql).unwrap()).is_none());
    }
    assert_eq!(set.matches(&exec(), &mut scratch), [&0, &1, &3, &4]);
    assert_eq!(set.matches(&connect(), &mut scratch), [&4, &5]);
    assert!(set.remove(&3).is_some() && set.remove(&3).is_none() && set.get(&3).is_none());
    // One that is replaced goes to the end.
    assert!(set.insert(0, Condition::from_sql("lower(name) = 'cat'").unwrap()).is_some());
    assert_eq!(set.matches(&exec(), &mut scratch), [&1, &4, &0]);
    assert_eq!(set.len(), 5);
}

#[test]
fn a_set_survives_many_removals() {
    let mut set = ConditionSet::new();
    for id in 0..1000_u32 {
        let sql =
            if id % 2 == 0 { format!("name = 'n{id}' OR name = 'Cat'") } else { format!("uid <> {id}") };
        set.insert(id, Condition::from_sql(&sql).unwrap());
    }
    for id in 0..995 {
        set.remove(&id);
    }
    assert_eq!(set.matches(&exec(), &mut Scratch::default()), [&995, &996, &997, &998, &999]);
}

#[test]
fn a_regular_expression_does_not_see_beyond_bytes() {
    let event = CollectionEvent::Filesystem(FilesystemEvent {
        kind: FilesystemEventKind::Create,
        path: Text::from(&b"/tmp/\xff\xfe.sh"[..]),
        ..FilesystemEvent::default()
    });
    check(&event, &[("path REGEXP '\\.sh$'", Truth::True), ("path REGEXP '^/tmp/..\\.sh$'", Truth::False)]);
    check(
        &event,
        &[("path REGEXP '(?s-u)^/tmp/..\\.sh$'", Truth::True), ("path LIKE '/tmp/__.sh'", Truth::True)],
    );
}

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["a", "b", "Cat"]).prop_map(|name| format!("name = '{name}'")),
        prop::sample::select(vec!["a", "b", "cat"]).prop_map(|name| format!("lower(name) = '{name}'")),
        prop::sample::select(vec!["/a", "/b", "b"]).prop_map(|end| format!("executable LIKE '%{end}'")),
        prop::sample::select(vec!["/bin/a", "/bin/b"])
            .prop_map(|path| format!("executable IN ('{path}', '/x')")),
        prop::sample::select(vec![0, 1, 443]).prop_map(|port| format!("remote_port = {port}")),
        prop::sample::select(vec!["10.0.0.1", "::1"]).prop_map(|end| format!("remote_address IN ('{end}')")),
        prop::sample::select(vec!["process.exec", "network.connect"])
            .prop_map(|kind| format!("kind = '{kind}'")),
        prop::sample::select(vec!["process", "network"]).prop_map(|domain| format!("domain = '{domain}'")),
        (0..3).prop_map(|uid| format!("uid = {uid}")),
        prop::sample::select(vec!["a b", "b c", "a"])
            .prop_map(|text| format!("contains(command_line, '{text}')")),
        prop::sample::select(vec!["/bin%", "%bin/a", "/%in/b", "%BIN%"])
            .prop_map(|pattern| format!("executable LIKE '{pattern}'")),
        Just("path IS NULL".to_owned()),
    ]
}

fn sql() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} AND {other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} OR {other})")),
            inner.clone().prop_map(|inner| format!("NOT ({inner})")),
            inner.prop_map(|inner| format!("({inner}) IS TRUE")),
        ]
    })
}

fn event() -> impl Strategy<Value = CollectionEvent> {
    let names = prop::sample::select(vec!["", "a", "B", "Cat"]);
    let paths = prop::sample::select(vec![None, Some("/bin/a"), Some("/bin/B"), Some("b")]);
    let ends =
        prop::sample::select(vec![None, Some("10.0.0.1:443"), Some("[::1]:1"), Some("[::ffff:10.0.0.1]:0")]);
    prop_oneof![
        (names, paths, prop::option::of(0..3_u32), any::<bool>()).prop_map(|(name, path, uid, exec)| {
            CollectionEvent::Process(ProcessEvent {
                name: name.to_owned(),
                executable_path: path.map(Text::from),
                uid,
                command_line: vec!["a".into(), "b".into()],
                kind: if exec { ProcessEventKind::Exec } else { ProcessEventKind::Exit },
                ..ProcessEvent::default()
            })
        }),
        ends.prop_map(|end| {
            let remote = end.map(|end| end.parse().unwrap());
            CollectionEvent::Network(NetworkEvent { remote, ..NetworkEvent::default() })
        }),
    ]
}

proptest! {
    #[test]
    fn a_set_finds_what_trying_each_finds(
        conditions in prop::collection::vec(sql(), 0..40),
        removed in prop::collection::vec(0..40_usize, 0..10),
        events in prop::collection::vec(event(), 1..8),
    ) {
        let mut scratch = Scratch::default();
        let mut set = ConditionSet::new();
        let mut each: Vec<(usize, Condition)> = Vec::new();
        for (id, sql) in conditions.iter().enumerate() {
            let condition = Condition::from_sql(sql).unwrap();
            set.insert(id, condition.clone());
            each.push((id, condition));
        }
        for id in removed {
            set.remove(&id);
            each.retain(|(other, _)| *other != id);
        }
        for event in &events {
            // Full evaluation, so that the choice of kinds is checked as well.
            let expected: Vec<&usize> = each
                .iter()
                .filter(|(_, condition)| condition.evaluate(event, &mut scratch).is_true())
                .map(|(id, _)| id)
                .collect();
            prop_assert_eq!(set.matches(event, &mut scratch), expected);
        }
    }
}
