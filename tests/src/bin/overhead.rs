//! What kernel programs cost whoever makes system calls: loops without and with a capture, in alternating order, measured in
//! processor time of the thread that makes the calls.
//!
//! ```text
//! overhead [--rounds N] [--calls N] [--programs]
//! ```
//! Prints a line of JSON: nanoseconds per iteration for each loop, without a capture and in each tier that this kernel has,
//! with the ratio, the median of pairs; with `--programs` instead the run time of each program per run, as the kernel
//! accounts it. Needs root. In an emulated machine with one processor a nanosecond is an instruction.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring program: nothing to go on with, and prints"
)]

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use collector_sources::KernelConfig;
use collector_sources::plan::{Outcome, Tier};
use collector_tests::{Capture, quiet};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Loops, and whether an iteration is reported.
const LOOPS: [(&str, bool); 6] = [
    ("getppid", false),
    ("read", false),
    ("stat", false),
    ("open to read, close", false),
    ("open to write, close", true),
    ("connect, close", true),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u32| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (rounds, calls) = (number("--rounds", 9), number("--calls", 2000));
    let place = Place::new();
    let tiers: Vec<Tier> = [Tier::A, Tier::B].into_iter().filter(|tier| serves_all(*tier)).collect();
    let report = if arguments.iter().any(|argument| argument == "--programs") {
        programs(&place, &tiers, calls)
    } else {
        loops(&place, &tiers, rounds, calls)
    };
    println!("{report}");
    ExitCode::SUCCESS
}

/// What the loops work on.
struct Place {
    dir: TempDir,
    listener: TcpListener,
    zero: File,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory of our own");
        std::fs::write(dir.path().join("file"), "content").expect("a file of our own");
        Self {
            dir,
            listener: TcpListener::bind("127.0.0.1:0").expect("a port of our own"),
            zero: File::open("/dev/zero").expect("every system has it"),
        }
    }

    /// Processor time of this thread per iteration, in nanoseconds.
    fn measure(&self, name: &str, calls: u32) -> f64 {
        let path = self.dir.path().join("file");
        let address = self.listener.local_addr().expect("it is bound");
        let mut byte = [0_u8; 1];
        // Connections cost a hundred times as much as the rest, and leave something behind.
        let calls = if name.starts_with("connect") { calls / 20 } else { calls };
        let begin = processor_time();
        for _ in 0..calls {
            match name {
                "getppid" => drop(rustix::process::getppid()),
                "read" => drop(rustix::io::read(&self.zero, &mut byte)),
                "stat" => drop(rustix::fs::stat(&path)),
                "open to read, close" => drop(File::open(&path)),
                "open to write, close" => drop(File::options().write(true).open(&path)),
                _ => drop(TcpStream::connect(address)),
            }
        }
        let took = processor_time() - begin;
        // Outside of what is measured: room in the queue for the next ones.
        self.listener.set_nonblocking(true).expect("it is a socket");
        while self.listener.accept().is_ok() {}
        took.as_nanos() as f64 / f64::from(calls)
    }
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A capture of this process alone, all that it does included.
fn config(tier: Tier) -> KernelConfig {
    KernelConfig { tier: Some(tier), exclude_own: false, ..quiet(&[std::process::id()]) }
}

fn serves_all(tier: Tier) -> bool {
    let capture = Capture::start(&config(tier));
    let all = capture.plan().kinds.iter().all(|of| matches!(of.outcome, Outcome::Served { .. }));
    drop(capture.finish());
    all
}

fn loops(place: &Place, tiers: &[Tier], rounds: u32, calls: u32) -> Value {
    let measure_all = || LOOPS.map(|(name, _)| place.measure(name, calls));
    measure_all(); // Caches and allocators get used to it.
    let mut report: Vec<Map<String, Value>> = LOOPS
        .iter()
        .map(|(_, is_reported)| Map::from_iter([("reported".to_owned(), (*is_reported).into())]))
        .collect();
    for tier in tiers {
        let mut pairs = Vec::new();
        for _ in 0..rounds {
            // Programs of the capture before are out of the kernel by now.
            let without = measure_all();
            let capture = Capture::start(&config(*tier));
            let with = measure_all();
            drop(capture.finish());
            pairs.push((without, with));
        }
        for (index, of_loop) in report.iter_mut().enumerate() {
            let of = |select: &dyn Fn(f64, f64) -> f64| {
                median(pairs.iter().map(|(without, with)| select(without[index], with[index])).collect())
            };
            let figures = json!({
                "without_ns": of(&|without, _| without),
                "with_ns": of(&|_, with| with),
                "ratio": of(&|without, with| with / without),
            });
            of_loop.insert(format!("{tier:?}"), figures);
        }
    }
    LOOPS.iter().zip(report).map(|((name, _), of_loop)| ((*name).to_owned(), Value::from(of_loop))).collect()
}

fn programs(place: &Place, tiers: &[Tier], calls: u32) -> Value {
    let mut report = Map::new();
    for tier in tiers {
        let capture = Capture::start(&KernelConfig { program_statistics: true, ..config(*tier) });
        for (name, _) in LOOPS {
            place.measure(name, calls);
        }
        let trace = capture.finish();
        let programs: Map<String, Value> = trace
            .stats()
            .programs
            .iter()
            .filter(|program| program.run_count > 0)
            .map(|program| {
                let figures =
                    json!({"runs": program.run_count, "ns": program.run_time_ns / program.run_count});
                (program.name.clone(), figures)
            })
            .collect();
        report.insert(format!("{tier:?}"), programs.into());
    }
    report.into()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    (middle * 1000.0).round() / 1000.0
}
