//! Both tiers side by side on the same workload: they tell the same, but for the differences that are named here.

use std::collections::{BTreeMap, BTreeSet};

use collector_sources::KernelConfig;
use collector_sources::plan::{Outcome, Tier};
use collector_tests::{Actor, Capture, Event, quiet};
use serde_json::Value;

use crate::Dir;

/// A difference that is as it should be: kinds of events, the member of their JSON, and why.
struct Accepted {
    kinds: &'static [&'static str],
    member: &'static str,
    why: &'static str,
}

const NAMED: &[&str] =
    &["file.create", "file.delete", "file.rename", "file.link", "file.attributes", "file.modify"];

const ACCEPTED: &[Accepted] = &[
    Accepted {
        kinds: NAMED,
        member: "/capture",
        why: "tier B has names from the arguments of system calls, tier A from the kernel's objects",
    },
    Accepted {
        kinds: NAMED,
        member: "/file/inode",
        why: "only the kernel's objects know which file a name stands for",
    },
    Accepted { kinds: NAMED, member: "/file/device", why: "as the inode" },
    Accepted { kinds: NAMED, member: "/file/size", why: "as the inode" },
    Accepted {
        kinds: NAMED,
        member: "/file/owner",
        why: "as the inode; tier B has what a change of owner asked for",
    },
    Accepted {
        kinds: NAMED,
        member: "/file/mode",
        why: "tier B has what was asked for, tier A what the file has: less the umask, and with its type",
    },
    Accepted {
        kinds: &["network.connect"],
        member: "/capture",
        why: "the address of a connect that fails at once, as above",
    },
];

/// Members that differ between any two captures: when each saw it.
const OWN: &[&str] =
    &["/time", "/seq", "/network/connection_id", "/network/duration_ns", "/process/exit/duration_ns"];

/// Some of everything, done once; `{file}` is a copy of a program.
fn workload() -> Vec<&'static str> {
    vec![
        "open a w,creat new",
        "write a 100",
        "pwrite a 10 200",
        "writev a 3 4",
        "ftruncate a 50",
        "fchmod a 600",
        "fchown a 1 2",
        "futimens a",
        "fsetxattr a",
        "close a",
        "open b rw new",
        "write b 7",
        "mmap b 4",
        "close b",
        "open c r,trunc new",
        "close c",
        "open d r new",
        "close d",
        "creat e made",
        "open f r other",
        "sendfile e f 5",
        "splice e 6",
        "copy_file_range f e 1",
        "fallocate e 4096",
        "dup2 f e",
        "openat2 g w,creat second",
        "write g 1",
        "open h w,creat third",
        "write h 1",
        "close_range g h",
        "truncate second 3",
        "mkdir dir",
        "mkfifo fifo",
        "rename new dir/moved",
        "rename dir moved-dir",
        "exchange second third",
        "link second hard",
        "symlink anywhere soft",
        "chmod second 640",
        "chown second 3 4",
        "lchown soft 5 6",
        "utimensat second",
        "setxattr second",
        "removexattr second",
        "unlink hard",
        "unlink fifo",
        "unlink moved-dir/moved",
        "rmdir moved-dir",
        "fails unlink absent",
        "fails rmdir second",
        "fails mkdir second",
        "fails open x r,creat,excl second",
        "listen server 127.0.0.1:0 7",
        "connect client @server",
        "accept peer server",
        "send client 1000",
        "receive peer 1000",
        "close client",
        "close peer",
        "udp in 127.0.0.1:0",
        "udp out 127.0.0.1:0",
        "sendto out @in 12",
        "fails connect no 255.255.255.255:1",
        "fork",
        "open left w,creat,cloexec left",
        "write left 9",
        "exec /bin/true shut-by-exec",
        "end",
        "open end w,creat at-the-end",
        "write end 11",
        "exit 3",
    ]
}

#[test]
fn both_tiers_tell_the_same_of_the_same_workload() {
    let dir = Dir::new();
    dir.write("other", "0123456789");
    let actor = Actor::in_dir(dir.path(), workload());
    let only = |tier| KernelConfig { tier: Some(tier), ..quiet(&[actor.pid()]) };
    let Some(a) = capture_all(&only(Tier::A)) else {
        println!("left out: this kernel does not have tier A, and says why");
        return;
    };
    let b = Capture::start(&only(Tier::B));
    let b_sees_execs_close = !lacks(&b, "files closed by exec");
    let finished = actor.finish();
    let (a, b) = (a.finish(), b.finish());
    drop(finished);
    // Where the kernel interrupts programs (7.x), they are left out for others now and then, and that is stated.
    let was_busy = [&a, &b].map(|trace| {
        let (busy, lost): (Vec<_>, Vec<_>) = trace
            .stats()
            .losses
            .iter()
            .filter(|loss| loss.is_loss)
            .partition(|loss| loss.reason == "program_busy");
        assert!(lost.is_empty(), "{lost:?}");
        !busy.is_empty()
    });

    let (mut a, b) = (by_kind(a.events()), by_kind(b.events()));
    if !b_sees_execs_close && let Some(modified) = a.get_mut("file.modify") {
        // What tier B lacks before 6.10, and says so.
        modified.retain(|event| !event.at("/file/flags").to_string().contains("closed_by_exec"));
    }
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for kind in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        let none = Vec::new();
        let (a, b) = (a.get(kind).unwrap_or(&none), b.get(kind).unwrap_or(&none));
        if a.len() != b.len() {
            if (was_busy[1] && a.len() > b.len()) || (was_busy[0] && a.len() < b.len()) {
                println!("{kind}: {} in A, {} in B, whose programs the kernel has skipped", a.len(), b.len());
                continue;
            }
            let list =
                |events: &[&Event]| events.iter().map(|event| subject(event)).collect::<Vec<_>>().join(", ");
            wrong.push(format!(
                "{kind}: {} in A, {} in B\n  A: {}\n  B: {}",
                a.len(),
                b.len(),
                list(a),
                list(b)
            ));
            continue;
        }
        for (a, b) in a.iter().zip(b) {
            for (member, in_a, in_b) in differences(a.json(), b.json()) {
                let accepted = ACCEPTED.iter().position(|it| {
                    it.kinds.contains(&kind.as_str())
                        && (member == it.member || member.starts_with(&format!("{}/", it.member)))
                });
                match accepted {
                    Some(index) => drop(seen.insert(index)),
                    None => wrong.push(format!("{kind} {}: {member}: A {in_a}, B {in_b}", subject(a))),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "differences that nobody has accepted:\n{}", wrong.join("\n"));
    for (index, Accepted { member, why, .. }) in
        ACCEPTED.iter().enumerate().filter(|_| was_busy == [false; 2])
    {
        assert!(seen.contains(&index), "{member} does not differ ({why}): take it off the list");
    }
}

/// A capture in which tier A serves everything; `None` where the plan says that it cannot, and why.
fn capture_all(config: &KernelConfig) -> Option<Capture> {
    let capture = Capture::start(config);
    let plan = capture.plan();
    let unavailable: Vec<_> = plan
        .kinds
        .iter()
        .filter_map(|of| match &of.outcome {
            Outcome::Unavailable { reason } => Some((of.kind, reason)),
            Outcome::Served { .. } => None,
        })
        .collect();
    if unavailable.is_empty() {
        return Some(capture);
    }
    for (kind, reason) in unavailable {
        assert!(
            ["fentry", "function", "tracepoints only"].iter().any(|it| reason.contains(it)),
            "{kind:?}: {reason}"
        );
    }
    drop(capture.finish());
    None
}

fn lacks(capture: &Capture, row: &str) -> bool {
    capture.plan().kinds.iter().any(|of| match &of.outcome {
        Outcome::Served { without, .. } => without.iter().any(|lack| lack.row == row),
        Outcome::Unavailable { .. } => false,
    })
}

fn by_kind(events: &[Event]) -> BTreeMap<String, Vec<&Event>> {
    let mut kinds: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| !event.kind().ends_with(".snapshot")) {
        kinds.entry(event.kind().to_owned()).or_default().push(event);
    }
    // Of several closed by one call each tier has its own order.
    for events in kinds.values_mut() {
        events.sort_by_key(|event| (subject(event), event.event.timestamp()));
    }
    kinds
}

/// What an event is about, for messages.
fn subject(event: &Event) -> String {
    let of = ["/file/path", "/network/remote/port", "/process/executable"];
    of.into_iter()
        .map(|at| event.at(at))
        .find(|value| !value.is_null())
        .map_or_else(String::new, Value::to_string)
}

fn differences(a: &Value, b: &Value) -> Vec<(String, Value, Value)> {
    let (mut in_a, mut in_b) = (BTreeMap::new(), BTreeMap::new());
    flatten("", a, &mut in_a);
    flatten("", b, &mut in_b);
    let members: BTreeSet<&String> = in_a.keys().chain(in_b.keys()).collect();
    let own = |member: &str| OWN.iter().any(|own| member == *own || member.starts_with(&format!("{own}/")));
    members
        .into_iter()
        .filter(|member| !own(member) && in_a.get(*member) != in_b.get(*member))
        .map(|member| {
            let of = |members: &BTreeMap<String, Value>| members.get(member).cloned().unwrap_or_default();
            (member.clone(), of(&in_a), of(&in_b))
        })
        .collect()
}

fn flatten(at: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(&format!("{at}/{name}"), member, out);
            }
        }
        other => drop(out.insert(at.to_owned(), other.clone())),
    }
}
