//! What this way of looking cannot see, it counts or marks.

use collector_common::Kind;
use collector_sources::plan::Tier;
use collector_tests::{Actor, Capture, quiet, tier_of, watch};
use serde_json::json;

use crate::Dir;

#[test]
fn a_process_that_can_act_without_system_calls_is_marked() {
    let trace = watch(Actor::new(["fork", "io_uring", "fork", "end", "end"]));
    let children: Vec<u32> = trace.actor().all_said("child").map(|child| child.parse().unwrap()).collect();
    let &[child, grandchild] = &children[..] else { panic!("{children:?}") };
    trace.of("process.exit", child).shows(json!({"process": {"flags": ["io_uring"]}}));
    trace.of("process.exit", grandchild).shows(json!({"process": {"flags": null}}));
}

#[test]
fn a_system_call_through_the_32_bit_gate_is_seen_or_counted_as_unseen() {
    let dir = Dir::new();
    let actor = Actor::in_dir(dir.path(), ["int80 unseen"]);
    let capture = Capture::start(&quiet(&[actor.pid()]));
    let finished = actor.finish();
    let trace = capture.finish();
    match finished.said("compat") {
        "none" => println!("left out: this kernel has no 32-bit gate"),
        result if tier_of(Kind::FileCreate) == Tier::A => {
            assert_eq!(result, "0");
            trace.one("file.create").shows(json!({"file": {"path": dir.join("unseen")}}));
            assert!(trace.stats().losses.iter().all(|loss| loss.reason != "compat_syscall"));
        }
        result => {
            assert_eq!(result, "0");
            assert!(dir.path().join("unseen").is_dir());
            let counted = trace.stats().losses.iter().find(|loss| loss.reason == "compat_syscall");
            assert!(counted.is_some_and(|loss| loss.is_loss && loss.count > 0), "{:?}", trace.stats().losses);
        }
    }
}

#[test]
fn what_is_asked_for_through_a_ring_is_seen_at_the_kernels_functions() {
    let dir = Dir::new();
    let steps = ["ring mkdir sub", "ring write old 7", "ring rename old new", "ring unlink new"];
    let trace = watch(Actor::in_dir(dir.path(), steps));
    if trace.actor().all_said("ring").any(|said| said == "none") {
        println!("left out: this kernel has no io_uring");
        return;
    }
    if tier_of(Kind::FileCreate) != Tier::A {
        assert!(trace.domain("file").is_empty(), "{}", trace.summary());
        return;
    }
    let path = |name: &str| json!({"file": {"path": dir.join(name)}});
    let made: Vec<_> = trace.all("file.create").collect();
    assert_eq!(made.len(), 2, "{}", trace.summary());
    made[0].shows(path("sub"));
    made[1].shows(path("old"));
    // How much is not known, and it says so.
    trace
        .one("file.modify")
        .shows(json!({"file": {"path": dir.join("old"), "written": null, "flags": ["write", "uncounted"]}}));
    trace
        .one("file.rename")
        .shows(json!({"capture": "kernel", "file": {"path": dir.join("new"), "old_path": dir.join("old")}}));
    trace.one("file.delete").shows(path("new"));
}
