//! Gathering from subjects of every kind, and rules.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::rule::plain;
use super::*;
use crate::analysis::AnalysisSubject;
use crate::event::{
    CollectionEvent, ExecId, FilesystemEvent, FilesystemEventKind, NetworkEvent, NetworkEventKind,
    PerformanceEvent, ProcessEvent, ProcessRef, Text,
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
        let verdict = detection.judge(Some(Path::new(path)), None);
        assert_eq!(verdict.is_positive(), positive, "{path}: {verdict:?}");
    }
    let verdict = detection.judge(None, None);
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
    let verdict = DetectionAnalyzer::new(&rules).unwrap().judge(Some(Path::new("/tmp/x")), None);
    assert_eq!((verdict.severity, verdict.reasons.len()), (Some(Critical), 3));
}

#[test]
fn paths_that_lead_elsewhere_are_not_followed() {
    let executable = |path: &str, container: Option<&str>| {
        let event = ProcessEvent {
            executable_path: Some(Text::from(path)),
            container_id: container.map(Into::into),
            ..ProcessEvent::default()
        };
        gather(CollectionEvent::Process(event)).path_from_here()
    };
    assert_eq!(executable("/bin/sh", None), Ok(Some("/bin/sh".into())));
    for (path, container) in [("/bin/sh", Some("c0ffee")), ("bin/sh", None), ("memfd:x", None)] {
        assert!(executable(path, container).is_err(), "{path} in {container:?}");
    }
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
