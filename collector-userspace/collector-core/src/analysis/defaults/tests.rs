//! Gathering from subjects of every kind, and rules.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::rule::plain;
use super::*;
use crate::analysis::AnalysisSubject;
use crate::event::{
    AlertEvent, AlertSeverity, CollectionEvent, ExecId, FilesystemEvent, FilesystemEventKind, Namespaces,
    NetworkEvent, NetworkEventKind, PerformanceEvent, ProcessEvent, ProcessRef, Text, TriggerRequest,
};

fn process() -> ProcessRef {
    ProcessRef {
        pid: 7,
        exec_id: Some(ExecId { boot: 1, pid: 7, start_ticks: 2, image: 3 }),
        name: Text::from("sh"),
        executable: Some(Text::from("/bin/sh")),
        uid: None,
        container_id: Some("c0ffee".into()),
    }
}

fn gather(event: CollectionEvent) -> CollectedSubject {
    CollectedSubject::of(&AnalysisSubject::event(event).with_metadata("k", "v"))
}

#[test]
fn each_kind_of_event_tells_what_it_knows() {
    let when = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
    let process = Arc::new(process());
    let known = gather(CollectionEvent::Filesystem(FilesystemEvent {
        path: Text::from("/etc/passwd"),
        pid: Some(7),
        size: Some(10),
        process: Some(Arc::clone(&process)),
        kind: FilesystemEventKind::Modify,
        file_hash: Some("ab".to_owned()),
        timestamp: when,
        ..FilesystemEvent::default()
    }));
    let expected = CollectedSubject {
        kind: SubjectKind::Event("file.modify"),
        path: Some("/etc/passwd".into()),
        pid: Some(7),
        exec_id: process.exec_id,
        process_name: Some("sh".to_owned()),
        process: Some(Arc::clone(&process)),
        container_id: Some("c0ffee".to_owned()),
        size: Some(10),
        observed: Some(when),
        reported_hash: Some("ab".to_owned()),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        ..CollectedSubject::default()
    };
    assert_eq!(known, expected);

    let known = gather(CollectionEvent::Network(NetworkEvent {
        pid: Some(7),
        process: Some(process),
        kind: NetworkEventKind::Connect,
        ..NetworkEvent::default()
    }));
    assert_eq!((known.kind, known.path), (SubjectKind::Event("network.connect"), Some("/bin/sh".into())));

    let known = gather(CollectionEvent::Process(ProcessEvent {
        start_time: Some(when),
        executable_path: Some(Text::from("")),
        ..ProcessEvent::default()
    }));
    assert_eq!((known.path, known.process_name, known.process_started), (None, None, Some(when)));

    let known = gather(CollectionEvent::Performance(PerformanceEvent::default()));
    assert_eq!((known.kind, known.path), (SubjectKind::Event("performance.sample"), None));
    assert_eq!(CollectedSubject::of(&AnalysisSubject::default()), CollectedSubject::default());
}

#[cfg(unix)]
#[test]
fn paths_keep_bytes_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt as _;

    let known = gather(CollectionEvent::Process(ProcessEvent {
        executable_path: Some(Text::from(&b"/tmp/\xff"[..])),
        ..ProcessEvent::default()
    }));
    assert_eq!(known.path.unwrap().as_os_str().as_bytes(), b"/tmp/\xff");
}

/// A subject of which only the path is known.
fn at(path: &str) -> CollectedSubject {
    CollectedSubject { path: Some(path.into()), ..CollectedSubject::default() }
}

fn place(prefix: &str) -> VerdictRule {
    VerdictRule::new(prefix, AlertSeverity::High, RuleMatch::PathPrefixes(vec![prefix.into()]))
}

#[test]
fn prefixes_are_whole_parts_of_plain_paths() {
    let detection =
        DetectionAnalyzer::new(&[VerdictRule::world_writable_places(), place("/opt/../srv/")]).unwrap();
    let cases = [
        ("/tmp/x", true),
        ("/tmp", true),
        ("/tmp/../usr/bin/x", false),
        ("/usr/../tmp/./x", true),
        ("/../../tmp/x", true),
        ("/tmpfs/x", false),
        ("/var/tmp/x", true),
        ("/var/x", false),
        ("/dev/shm/a/b", true),
        ("/usr/bin/tmp", false),
        ("tmp/x", false),
        ("/srv/x", true),
        ("/opt/x", false),
    ];
    for (path, positive) in cases {
        let verdict = detection.judge(&at(path), None);
        assert_eq!(verdict.is_positive(), positive, "{path}: {verdict:?}");
    }
    let verdict = detection.judge(&CollectedSubject::default(), None);
    assert_eq!(verdict.unasked.len(), 2, "without a path nothing can be said");
    assert!(!verdict.is_positive());
    assert_eq!(plain(Path::new("/a/./b/../../..")), PathBuf::from("/"));
}

#[test]
fn the_worst_reason_counts_wherever_it_stands() {
    use AlertSeverity::{Critical, High, Low};

    let rules = [("a", Low), ("b", Critical), ("c", High)].map(|(id, severity)| VerdictRule {
        id: id.to_owned(),
        severity,
        ..place("/tmp")
    });
    let verdict = DetectionAnalyzer::new(&rules).unwrap().judge(&at("/tmp/x"), None);
    assert_eq!((verdict.severity, verdict.reasons.len()), (Some(Critical), 3));
}

#[test]
fn a_condition_is_a_reason_only_for_what_it_began() {
    let rule =
        VerdictRule::new("r", AlertSeverity::High, RuleMatch::Conditions(["from-tmp".to_owned()].into()));
    let detection = DetectionAnalyzer::new(&[rule]).unwrap();
    let request = |condition: &str| TriggerRequest {
        target_path: Some("/x".to_owned()),
        metadata: [("condition".to_owned(), condition.to_owned())].into(),
        ..TriggerRequest::default()
    };
    let judge = |subject| detection.judge(&CollectedSubject::of(&subject), None);
    let verdict = judge(AnalysisSubject::trigger(request("from-tmp")));
    assert_eq!(verdict.severity, Some(AlertSeverity::High));
    assert_eq!(verdict.reasons[0].evidence, "the condition from-tmp was met");
    for other in [
        AnalysisSubject::trigger(request("another")),
        AnalysisSubject::path("/x").with_metadata("condition", "from-tmp"),
    ] {
        assert_eq!(judge(other), Verdict::default());
    }
}

#[test]
fn a_trigger_says_who_acted_and_keeps_the_bytes_of_its_file() {
    let request = TriggerRequest {
        target_pid: Some(7),
        target_path: Some("/tmp/\u{fffd}".to_owned()),
        target_bytes: Some(Text::from(&b"/tmp/\xff"[..])),
        process: Some(Arc::new(process())),
        ..TriggerRequest::default()
    };
    let known = gather(CollectionEvent::TriggerRequest(request));
    assert_eq!(known.path.unwrap().as_os_str().as_encoded_bytes(), b"/tmp/\xff");
    assert_eq!(
        (known.pid, known.exec_id, known.process_name.as_deref()),
        (Some(7), process().exec_id, Some("sh"))
    );
    assert_eq!((known.process, known.container_id.as_deref()), (Some(Arc::new(process())), Some("c0ffee")));
}

#[test]
fn an_alert_on_the_bus_says_what_the_analysis_found() {
    let subject = CollectedSubject {
        kind: SubjectKind::Trigger,
        path: Some("/tmp/x".into()),
        pid: Some(7),
        process: Some(Arc::new(process())),
        size: Some(3),
        metadata: [("condition".to_owned(), "c".to_owned())].into(),
        ..CollectedSubject::default()
    };
    let rules = DetectionAnalyzer::new(&[VerdictRule::world_writable_places()]).unwrap();
    let alert = Alert {
        id: "a".to_owned(),
        severity: AlertSeverity::Medium,
        title: "/tmp/x".to_owned(),
        execution: crate::analysis::ExecutionId(3),
        correlation_id: "id".into(),
        created: SystemTime::UNIX_EPOCH,
        reasons: rules.judge(&subject, None).reasons,
        digests: None,
        unasked: vec!["u".to_owned()],
        subject,
    };
    let event = AlertEvent::from(&alert);
    assert_eq!(
        (&*event.alert_id, event.condition.as_deref(), &*event.correlation_id),
        ("a", Some("c"), "id")
    );
    assert_eq!((event.pid, event.process.map(|process| process.pid)), (Some(7), Some(7)));
    assert_eq!((event.path, event.size, event.sha256), (Some("/tmp/x".into()), Some(3), None));
    assert_eq!(event.rules[0].evidence, "/tmp/x lies in /tmp");
    assert_eq!((event.unasked, event.meta.source), (vec!["u".to_owned()], "analysis"));
}

#[test]
fn paths_that_lead_elsewhere_are_not_followed() {
    const HERE: Option<u32> = Some(7);
    let executable = |path: &str, container: Option<&str>, mnt: u32, here| {
        let event = ProcessEvent {
            executable_path: Some(Text::from(path)),
            container_id: container.map(Into::into),
            namespaces: Some(Namespaces { mnt, ..Namespaces::default() }),
            ..ProcessEvent::default()
        };
        gather(CollectionEvent::Process(event)).path_from_here(here).is_ok()
    };
    let container = Some("c0ffee");
    // The namespace decides where it is known: names of control groups are anybody's choice.
    for (container, mnt, here, follows) in [
        (None, 7, HERE, true),
        (container, 7, HERE, true),
        (None, 8, HERE, false),
        (container, 8, HERE, false),
        (None, 0, HERE, true),
        (container, 0, HERE, false),
        (None, 8, None, true),
        (container, 8, None, false),
    ] {
        let followed = executable("/bin/sh", container, mnt, here);
        assert_eq!(followed, follows, "{container:?} in {mnt}, seen from {here:?}");
    }
    for path in ["bin/sh", "memfd:x"] {
        assert!(!executable(path, None, 7, HERE), "{path}");
    }
    let request = TriggerRequest {
        target_path: Some("/bin/sh".to_owned()),
        target_mount_ns: Some(8),
        ..TriggerRequest::default()
    };
    assert!(gather(CollectionEvent::TriggerRequest(request)).path_from_here(HERE).is_err());
}

#[test]
fn rules_that_cannot_work_are_named() {
    let digests = VerdictRule::new("d", AlertSeverity::Low, RuleMatch::Digests([].into()));
    let cases = [
        (vec![digests], "rule \"d\" names no digests"),
        (
            vec![VerdictRule::new("p", AlertSeverity::Low, RuleMatch::PathPrefixes(vec![]))],
            "rule \"p\" names no path",
        ),
        (vec![place("tmp")], "rule \"tmp\" has the prefix \"tmp\"; write an absolute path"),
        (vec![place("/a"), place("/a")], "two rules have the id \"/a\""),
        (vec![VerdictRule { id: String::new(), ..place("/a") }], "rule id \"\" is not a name"),
        ((0..1001).map(|at| place(&format!("/{at}"))).collect(), "there are 1001 rules; 1000 are allowed"),
    ];
    for (rules, message) in cases {
        let error = VerdictRule::validate_all(&rules).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error} for {message}");
    }
}

#[test]
fn rules_are_read_from_files() {
    let text = serde_json::json!({
        "id": "eicar", "severity": "critical",
        "matches": { "digests": ["275A021BBFB6489E54D471899F7DB9D1663FC695EC2FE2A2C4538AABF651FD0F"] },
    });
    let rule: VerdictRule = serde_json::from_value(text).unwrap();
    let written = serde_json::to_string(&rule).unwrap();
    assert!(written.contains("275a021bbfb6489e"), "{written}");
    assert_eq!(serde_json::from_str::<VerdictRule>(&written).unwrap(), rule);
    let wrong = serde_json::json!({ "id": "x", "severity": "low", "matches": { "digests": ["12"] } });
    let error = serde_json::from_value::<VerdictRule>(wrong).unwrap_err().to_string();
    assert!(error.contains("\"12\" is not a digest"), "{error}");
}
