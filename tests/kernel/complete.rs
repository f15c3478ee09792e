//! Every operation of known loads is seen once, with the right content and in order, and nothing is lost at default sizes.
//!
//! Each load is run by two processes at once, as fast as they can.

use std::collections::BTreeMap;

use collector_core::CollectionEvent;
use collector_sources::{Filter, KernelConfig};
use collector_tests::workload::{SHORT_LIVED, payload};
use collector_tests::{Actor, Capture, Event, Trace, everything};

use crate::Dir;

/// Watches two actors run a load, through a capture with default sizes. Returns their pids.
fn watch_two(dir: &Dir, load: &str, closes: usize) -> (Trace, [u32; 2]) {
    let mut actors = ["left", "right"].map(|tag| Actor::in_dir(dir.path(), [format!("work {load} {tag}")]));
    let pids = [0, 1].map(|side: usize| actors[side].pid());
    let filter = Filter { pids: pids.to_vec(), ..Filter::default() };
    let capture = Capture::start(&KernelConfig { filter, ..everything() });
    for actor in &mut actors {
        actor.release();
    }
    for actor in actors {
        assert!(actor.finish().status.success());
    }
    capture.wait_for_count("network.close", closes);
    let trace = capture.finish();
    trace.assert_nothing_lost();
    (trace, pids)
}

/// The processes that a trace is about, each with its events in order.
fn by_process<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeMap<u32, Vec<&'a Event>> {
    let mut processes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in events {
        processes.entry(event.event.pid().unwrap()).or_default().push(event);
    }
    processes
}

#[test]
fn no_exec_is_missed() {
    const COUNT: usize = 2000;
    let (trace, actors) = watch_two(&Dir::new(), &format!("exec {COUNT}"), 0);
    for (tag, actor) in ["left", "right"].into_iter().zip(actors) {
        let mine = trace.all("process.exec").filter(|exec| *exec.at("/process/ppid") == actor);
        let told: Vec<_> = mine.map(|exec| exec.at("/process/command_line").clone()).collect();
        let expected: Vec<_> =
            (0..COUNT).map(|number| serde_json::json!([SHORT_LIVED, format!("{tag}-{number}")])).collect();
        assert!(told == expected, "{tag}: {} of {COUNT}, or not in order", told.len());
    }
    let mut lives = 0;
    let mut processes = by_process(trace.domain("process"));
    processes.retain(|pid, _| !actors.contains(pid));
    for events in processes.values() {
        // A pid may be used again.
        for life in events.chunks(3) {
            let kinds: Vec<_> = life.iter().map(|event| event.kind()).collect();
            assert_eq!(kinds, ["process.fork", "process.exec", "process.exit"]);
            assert_eq!(life[1].at("/process/exec_id"), life[2].at("/process/exec_id"));
            assert_eq!(*life[2].at("/process/exit/code"), 0);
            lives += 1;
        }
    }
    assert_eq!(lives, 2 * COUNT);
}

#[test]
fn no_connection_is_missed() {
    const COUNT: usize = 1000;
    let (trace, actors) = watch_two(&Dir::new(), &format!("tcp {COUNT}"), 4 * COUNT);
    let events = by_process(trace.domain("network"));
    assert_eq!(trace.count("network.close"), 4 * COUNT);
    for actor in actors {
        let mine = &events[&actor];
        let closes: BTreeMap<_, _> = mine
            .iter()
            .filter(|event| event.kind() == "network.close")
            .map(|close| (close.text("/network/connection_id"), *close))
            .collect();
        assert_eq!(closes.len(), 2 * COUNT, "connections have names of their own");
        let of_kind =
            |kind: &str| mine.iter().copied().filter(|event| event.kind() == kind).collect::<Vec<_>>();
        let (connects, accepts) = (of_kind("network.connect"), of_kind("network.accept"));
        assert_eq!((connects.len(), accepts.len()), (COUNT, COUNT));
        for (number, (connect, accept)) in (0..).zip(connects.into_iter().zip(accepts)) {
            assert_eq!(connect.text("/network/family"), ["ipv4", "ipv6"][number as usize % 2]);
            assert_eq!(connect.number("/network/result"), 0);
            assert_eq!(connect.at("/network/local"), accept.at("/network/remote"));
            assert_eq!(connect.at("/network/remote"), accept.at("/network/local"));
            let (asked, answered) = (payload(number) as u64, payload(number) as u64 + 1);
            for (begin, sent, received) in [(connect, asked, answered), (accept, answered, asked)] {
                let close = closes[begin.text("/network/connection_id")];
                assert_eq!(close.at("/network/local"), begin.at("/network/local"));
                assert_eq!(close.at("/network/direction"), begin.at("/network/direction"));
                assert_eq!(close.number("/network/bytes_sent"), sent);
                assert_eq!(close.number("/network/bytes_received"), received);
            }
        }
    }
}

#[test]
fn no_life_of_a_file_is_missed() {
    const COUNT: usize = 1000;
    let dir = Dir::new();
    for tag in ["left", "right"] {
        std::fs::create_dir(dir.path().join(tag)).unwrap();
    }
    let (trace, actors) = watch_two(&dir, &format!("file {COUNT}"), 0);
    let events = by_process(trace.domain("file"));
    for (tag, actor) in ["left", "right"].into_iter().zip(actors) {
        let told: Vec<_> = events[&actor].iter().map(|event| tell(event)).collect();
        let expected: Vec<_> = (0..COUNT)
            .flat_map(|number| {
                let (a, b) = (dir.join(&format!("{tag}/a{number}")), dir.join(&format!("{tag}/b{number}")));
                [
                    format!("file.create {a}"),
                    format!("file.modify {a} {}", payload(number as u32)),
                    format!("file.rename {b} <- {a}"),
                    format!("file.delete {b}"),
                ]
            })
            .collect();
        let first = told.iter().zip(&expected).position(|(told, expected)| told != expected);
        assert!(told == expected, "{tag}: {} of {}, differing from {first:?} on", told.len(), expected.len());
    }
}

fn tell(event: &Event) -> String {
    let CollectionEvent::Filesystem(file) = &event.event else { panic!("{:?}", event.event) };
    let mut words = format!("{} {}", event.kind(), file.path);
    if let Some(old) = &file.old_path {
        words += &format!(" <- {old}");
    }
    if let Some(written) = file.written {
        words += &format!(" {written}");
    }
    words
}
