//! Whose operations are captured, and which.

use collector_common::{Domain, Kind};
use collector_sources::KernelConfig;
use collector_tests::{Actor, Capture, ChildCgroup, Trace, quiet};
use serde_json::json;

use crate::Dir;

/// What the actors of this file do: something of each domain, by themselves and by a child.
const STEPS: [&str; 4] =
    ["listen server 127.0.0.1:0 8", "mkdir directory", "spawn /bin/true", "rmdir directory"];

/// Watches an actor and a bystander do the same.
fn beside_a_bystander(prepare: impl FnOnce(&Actor) -> KernelConfig) -> Trace {
    let (dir, elsewhere) = (Dir::new(), Dir::new());
    let actor = Actor::in_dir(dir.path(), STEPS);
    let bystander = Actor::in_dir(elsewhere.path(), STEPS);
    let capture = Capture::start(&prepare(&actor));
    assert!(bystander.finish().status.success());
    let finished = actor.finish();
    let trace = capture.finish().by(finished);
    trace.assert_nothing_lost();
    let here = dir.join("directory");
    assert!(trace.domain("file").iter().all(|event| event.text("/file/path") == here), "{}", trace.summary());
    trace
}

/// Panics unless everything of [`STEPS`] was seen once.
#[track_caller]
fn check_all_seen(trace: &Trace) {
    let kinds = ["process.fork", "process.exec", "network.listen", "file.create", "file.delete"];
    assert_eq!(kinds.map(|kind| trace.count(kind)), [1; 5], "{}", trace.summary());
    let child = trace.actor().number("child");
    trace.one("process.exec").shows(json!({"process": {"pid": child}}));
    trace.one("network.listen").shows(json!({"process": {"pid": trace.actor().pid}}));
    let _ = trace.of("process.exit", child);
}

#[test]
fn a_process_and_its_descendants() {
    let trace = beside_a_bystander(|actor| quiet(&[actor.pid()]));
    check_all_seen(&trace);
    assert_eq!(trace.count("process.exit"), 2);
    let filtered = trace.stats().losses.iter().filter(|counted| counted.reason == "filtered");
    assert!(filtered.clone().count() > 0 && filtered.clone().all(|counted| !counted.is_loss));
}

#[test]
fn a_process_and_descendants_that_were_there_before() {
    let dir = Dir::new();
    let mut actor = Actor::in_dir(dir.path(), ["fork", "fork", "wait", "mkdir directory", "end", "end"]);
    actor.go_on();
    let capture = Capture::start(&quiet(&[actor.pid()]));
    let finished = actor.finish();
    let trace = capture.finish().by(finished);
    let snapshots: Vec<_> = trace.all("process.snapshot").map(|event| event.number("/process/pid")).collect();
    assert_eq!(snapshots.len(), 3, "{}", trace.summary());
    let create = trace.one("file.create").shows(json!({"file": {"path": dir.join("directory")}}));
    assert!(snapshots.contains(&create.number("/process/pid")));
    assert_eq!(trace.count("process.exit"), 3);
}

#[test]
fn a_user() {
    let dir = Dir::new();
    // A user nobody else is.
    let uid = 1_000_000 + std::process::id();
    let everybody = format!("chmod {} 777", dir.path().display());
    let user = format!("user {uid}");
    let steps = [&[&*everybody, "mkdir roots", &*user], &STEPS[..]].concat();
    let actor = Actor::in_dir(dir.path(), steps);
    let mut config = quiet(&[]);
    config.filter.uid = Some(uid);
    let capture = Capture::start(&config);
    let finished = actor.finish();
    let trace = capture.finish().by(finished);
    check_all_seen(&trace);
    assert!(trace.events().iter().all(|event| event.at("/process/uid") == uid), "{}", trace.summary());
}

#[test]
fn a_control_group_and_those_below() {
    let (outer, inner) = match ChildCgroup::new("outer") {
        Ok(outer) => {
            let inner = outer.child("inner").unwrap();
            (outer, inner)
        }
        Err(error) => {
            // Read-only in most containers; virtual machines and hosts have them.
            println!("left out: no control group can be made here: {error}");
            return;
        }
    };
    let trace = beside_a_bystander(|actor| {
        inner.take_in(actor.pid());
        let mut config = quiet(&[]);
        config.filter.cgroup_id = Some(outer.id());
        config
    });
    check_all_seen(&trace);
    assert!(trace.all("process.exec").all(|event| event.at("/process/cgroup_id") == inner.id()));
}

#[test]
fn one_kind_alone() {
    for kind in [Kind::ProcessExec, Kind::ProcessExit, Kind::NetworkListen, Kind::FileDelete] {
        let trace = beside_a_bystander(|actor| KernelConfig { kinds: kind.bit(), ..quiet(&[actor.pid()]) });
        let mut others = trace.events().iter().filter(|event| event.event.meta().unwrap().sequence.is_some());
        assert!(others.all(|event| event.kind() == kind.name()), "{}: {}", kind.name(), trace.summary());
        assert!(trace.count(kind.name()) > 0, "{}: {:?}", kind.name(), trace.stats());
    }
}

#[test]
fn one_domain_alone_still_knows_who_acted() {
    for (domain, kind) in [(Domain::File, "file.create"), (Domain::Network, "network.listen")] {
        let dir = Dir::new();
        // By a process that was not there when the capture began.
        let steps = ["fork", "exec-actor mkdir|directory listen|server|127.0.0.1:0|8", "end"];
        let actor = Actor::in_dir(dir.path(), steps);
        let mut config = quiet(&[actor.pid()]);
        config.retain_domains(&[domain]);
        let capture = Capture::start(&config);
        let finished = actor.finish();
        let trace = capture.finish().by(finished);
        assert_eq!(trace.domain("process").len(), 0, "{}", trace.summary());
        let child = trace.actor().number("child");
        trace.one(kind).shows(json!({
            "process": {"pid": child, "name": "actor", "executable": actor_path()},
        }));
    }
}

fn actor_path() -> String {
    crate::real(collector_tests::actor_program().to_str().unwrap())
}

#[test]
fn fewer_bytes_of_arguments() {
    let actor = Actor::new(["exec /bin/true abcdefghij"]);
    let config = KernelConfig { argv_max: 14, ..quiet(&[actor.pid()]) };
    let capture = Capture::start(&config);
    drop(actor.finish());
    capture.finish().one("process.exec").shows(json!({
        "process": {"command_line": ["/bin/true", "abcd"], "argv_length": 21, "argv_truncated": true},
    }));
}

#[test]
fn the_agents_own_operations_are_counted_and_not_told() {
    for exclude_own in [true, false] {
        let dir = Dir::new();
        let mut config = KernelConfig { exclude_own, ..quiet(&[std::process::id()]) };
        config.retain_domains(&[Domain::File]);
        let capture = Capture::start(&config);
        std::fs::create_dir(dir.path().join("own")).unwrap();
        let trace = capture.finish();
        let told =
            trace.all("file.create").filter(|event| event.text("/file/path") == dir.join("own")).count();
        let own = trace.stats().losses.iter().find(|it| it.reason == "own" && it.kind == "file.create");
        assert_eq!((told, own.is_some()), if exclude_own { (0, true) } else { (1, false) });
        assert!(own.is_none_or(|counted| !counted.is_loss));
    }
}
