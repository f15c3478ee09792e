//! Too much for the rings: what is lost is counted, to the record, and said.

use std::collections::BTreeMap;

use collector_core::CollectionEvent;
use collector_sources::{Filter, KernelConfig, RingSizes};
use collector_tests::{Actor, Capture, Trace, everything, quiet};

use crate::Dir;

const TINY: u32 = 16 << 10;

/// Lets actors run while nobody reads the rings, then reads what is left.
fn overload<const N: usize>(dir: &Dir, loads: [&str; N], rings: RingSizes) -> Trace {
    let mut actors = loads.map(|load| Actor::in_dir(dir.path(), [load, "wait"]));
    let filter = Filter { pids: actors.iter().map(Actor::pid).collect(), ..Filter::default() };
    let mut capture = Capture::attach(&KernelConfig { filter, rings, ..everything() });
    for actor in &mut actors {
        actor.release();
    }
    for actor in &mut actors {
        actor.until_it_waits();
    }
    capture.poll();
    // Their own ends come when there is room again: a hole shows also without a later record, these or not.
    for actor in actors {
        assert!(actor.finish().status.success());
    }
    capture.finish()
}

/// Events and stated losses, by kind, and how often a program did not run because it ran already: on kernels that preempt
/// programs (from 7.0 on) for other tasks that come by meanwhile, else never. Some of those would have sent something.
fn account(trace: &Trace) -> (BTreeMap<String, (u64, u64)>, u64) {
    let mut kinds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let (mut busy, mut consequences) = (0, 0);
    for event in trace.events() {
        if let CollectionEvent::Loss(loss) = &event.event {
            match loss.reason {
                "program_busy" => busy += loss.count,
                // A close that was not seen, because the program that sees closes was busy.
                "close_unseen" => consequences += loss.count,
                _ => {}
            }
            if matches!(loss.reason, "program_busy" | "close_unseen") {
                continue;
            }
            assert_eq!(loss.reason, "ring_full", "{loss:?}");
            kinds.entry(loss.kind.expect("the kernel counts by kind").to_owned()).or_default().1 +=
                loss.count;
        } else {
            kinds.entry(event.kind().to_owned()).or_default().0 += 1;
        }
    }
    assert!(busy > 0 || consequences == 0, "{consequences} closes were not seen, and no program was busy");
    (kinds, busy)
}

/// Panics unless what came and what was said to be lost are all there was, and the events and the counters agree.
#[track_caller]
fn check(trace: &Trace, generated: &[(&str, u64)]) {
    let (kinds, busy) = account(trace);
    for &(kind, generated) in generated {
        let (came, lost) = kinds.get(kind).copied().unwrap_or_default();
        let possible = generated.saturating_sub(busy)..=generated;
        assert!(
            possible.contains(&(came + lost)),
            "{kind}: {came} came, {lost} lost, of {generated}; {busy} times busy"
        );
    }
    for domain in &trace.stats().domains {
        let of_domain = kinds.iter().filter(|(kind, _)| kind.starts_with(&domain.domain));
        let stated: u64 = of_domain.map(|(_, (_, lost))| lost).sum();
        assert_eq!(stated, domain.lost, "what {} events say is lost", domain.domain);
    }
    for counted in trace.stats().losses.iter().filter(|counted| counted.reason == "ring_full") {
        assert_eq!(kinds[&counted.kind].1, counted.count, "{counted:?}");
    }
}

fn lost(trace: &Trace, domain: &str) -> u64 {
    trace.stats().domains.iter().find(|stats| stats.domain == domain).unwrap().lost
}

#[test]
fn lost_process_events_are_counted_to_the_record() {
    let rings = RingSizes { process: TINY, network: TINY, file: TINY };
    let trace = overload(&Dir::new(), ["work exec 300 left", "work exec 300 right"], rings);
    assert!(lost(&trace, "process") > 100, "nothing was too much: {:?}", trace.stats());
    // The actors end as well.
    check(&trace, &[("process.fork", 600), ("process.exec", 600), ("process.exit", 602)]);
}

#[test]
fn lost_network_events_are_counted_to_the_record() {
    let rings = RingSizes { process: TINY, network: TINY, file: TINY };
    let trace = overload(&Dir::new(), ["work tcp 300 left", "work tcp 300 right"], rings);
    assert!(lost(&trace, "network") > 100, "nothing was too much: {:?}", trace.stats());
    check(
        &trace,
        &[
            ("network.listen", 4),
            ("network.connect", 600),
            ("network.accept", 600),
            ("network.close", 1200),
            ("process.exit", 2),
        ],
    );
}

#[test]
fn lost_file_events_are_counted_to_the_record_and_cost_no_process_event() {
    let dir = Dir::new();
    for tag in ["left", "right"] {
        std::fs::create_dir(dir.path().join(tag)).unwrap();
    }
    let rings = RingSizes { file: TINY, ..everything().rings };
    let loads = ["work file 1000 left", "work file 1000 right", "work exec 300 x"];
    let trace = overload(&dir, loads, rings);
    assert!(lost(&trace, "file") > 1000, "nothing was too much: {:?}", trace.stats());
    assert_eq!(lost(&trace, "process"), 0);
    check(
        &trace,
        &[
            ("file.create", 2000),
            ("file.modify", 2000),
            ("file.rename", 2000),
            ("file.delete", 2000),
            ("process.fork", 300),
            ("process.exec", 300),
            ("process.exit", 303),
        ],
    );
}

/// Panics unless all `count` events of a kind came or were said to have been forgotten, and some of them were.
#[track_caller]
fn check_forgotten(trace: &Trace, kind: &str, count: u64) {
    let mut forgotten = 0;
    for event in trace.events() {
        if let CollectionEvent::Loss(loss) = &event.event {
            assert_eq!((loss.reason, loss.kind, loss.cpu), ("table_full", Some(kind), None), "{loss:?}");
            forgotten += loss.count;
        }
    }
    let came = trace.count(kind) as u64;
    assert!(forgotten > 0 && came > 0, "{came} came, {forgotten} were forgotten");
    assert_eq!(came + forgotten, count, "{came} came, {forgotten} were forgotten");
    let counted = trace.stats().losses.iter().find(|loss| loss.reason == "table_full").unwrap();
    assert_eq!((&*counted.kind, counted.count), (kind, forgotten));
}

#[test]
fn written_files_that_a_full_table_forgets_are_counted() {
    const FILES: u64 = 200;
    let dir = Dir::new();
    let mut steps = Vec::new();
    for number in 0..FILES {
        steps.extend([format!("open f{number} w,creat x{number}"), format!("write f{number} 1")]);
    }
    steps.extend((0..FILES).map(|number| format!("close f{number}")));
    let actor = Actor::in_dir(dir.path(), steps);
    let mut config = quiet(&[actor.pid()]);
    config.max_written_files = 64;
    let capture = Capture::start(&config);
    assert!(actor.finish().status.success());
    check_forgotten(&capture.finish(), "file.modify", FILES);
}

#[test]
fn files_left_open_beyond_those_that_can_be_reported_are_counted() {
    const FILES: u64 = 40;
    let dir = Dir::new();
    let mut steps = vec!["fork".to_owned()];
    for number in 0..FILES {
        steps.extend([format!("open f{number} w,creat x{number}"), format!("write f{number} 1")]);
    }
    steps.push("end".to_owned());
    let actor = Actor::in_dir(dir.path(), steps);
    let capture = Capture::start(&quiet(&[actor.pid()]));
    assert!(actor.finish().status.success());
    let trace = capture.finish();
    let unseen = trace.stats().losses.iter().find(|loss| loss.reason == "close_unseen").unwrap();
    assert_eq!((&*unseen.kind, unseen.count), ("file.modify", FILES - 16));
    assert_eq!(trace.count("file.modify"), 16);
}

#[test]
fn connections_that_a_full_table_forgets_are_counted() {
    const CONNECTIONS: u64 = 100;
    let mut steps = vec!["listen l 127.0.0.1:0 128".to_owned()];
    for number in 0..CONNECTIONS {
        steps.extend([format!("connect c{number} @l"), format!("accept a{number} l")]);
    }
    for number in 0..CONNECTIONS {
        steps.extend([format!("close c{number}"), format!("close a{number}")]);
    }
    steps.push("wait".to_owned());
    let mut actor = Actor::new(steps);
    let mut config = quiet(&[actor.pid()]);
    config.max_connections = 64;
    let capture = Capture::start(&config);
    actor.release();
    actor.until_it_waits();
    assert!(actor.finish().status.success());
    let trace = capture.finish();
    assert_eq!(trace.count("network.connect"), CONNECTIONS as usize);
    check_forgotten(&trace, "network.close", 2 * CONNECTIONS);
}

#[test]
fn holes_in_sequences_are_where_losses_say() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("left")).unwrap();
    let rings = RingSizes { file: TINY, ..everything().rings };
    let trace = overload(&dir, ["work file 500 left"], rings);
    let mut missing: BTreeMap<u32, (u64, u64, u64)> = BTreeMap::new();
    for event in trace.all("loss") {
        let CollectionEvent::Loss(loss) = &event.event else { unreachable!() };
        let (first, last) = (loss.first_seq.unwrap(), loss.last_seq.unwrap());
        let place = missing.entry(loss.cpu.unwrap()).or_insert((first, last, 0));
        *place = (place.0.min(first), place.1.max(last), place.2 + loss.count);
    }
    for event in trace.domain("file") {
        let (cpu, number) = (event.number("/seq/cpu") as u32, event.number("/seq/n"));
        if let Some(&(first, last, count)) = missing.get(&cpu) {
            assert!(last - first + 1 >= count, "{count} do not fit {first} to {last}");
            assert!(number < first || number > last || last - first + 1 > count, "{number} came and is lost");
        }
    }
    assert!(!missing.is_empty());
}

#[test]
fn a_capture_that_ends_in_the_middle_of_things_has_a_ledger_that_adds_up() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    let loads = ["work exec 1000000 x", "work file 1000000 files"];
    let mut actors = loads.map(|load| Actor::in_dir(dir.path(), [load]));
    let pids: Vec<u32> = actors.iter().map(Actor::pid).collect();
    for actor in &mut actors {
        actor.release();
    }
    for _ in 0..3 {
        let capture = Capture::start(&quiet(&pids));
        capture.wait_for_count("process.exec", 50);
        capture.wait_for_count("file.rename", 50);
        // Whether anything was lost is chance; whether that was said is not.
        check(&capture.finish(), &[]);
    }
    // The actors are ended here, in the middle of things as well.
}
