//! `cargo xtask bench`: what the agent costs the machine, end to end, with all sources on, JSON to a file and the store on.
//!
//! Loads run in pairs, without and with the agent, in alternating order, so that whatever else the machine does falls on
//! both sides. The agent is told to watch this process and its descendants alone: nothing of other programs is read or kept,
//! and other programs cost it no more than a look-up.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::build;
use crate::command::{capture, is_root, run, say};
use crate::project::{Project, relative};

mod agent;
mod latency;
mod report;

use agent::Agent;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pairs of runs per load; one more comes first and does not count.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pairs: usize,
    /// Operations in a run.
    #[arg(long, default_value_t = 4000, value_name = "N")]
    count: u32,
    /// Seconds to look at the idle agent.
    #[arg(long, default_value_t = 10, value_name = "N")]
    idle: u64,
    /// Only these loads.
    #[arg(value_parser = ["exec", "spawn", "tcp", "file", "calls"])]
    loads: Vec<String>,
}

/// A load, the operations of which are counted by events of one kind.
const LOADS: [(&str, &str); 5] = [
    ("exec", "process.exec"),
    ("spawn", "process.exec"),
    ("tcp", "network.accept"),
    ("file", "file.rename"),
    // System calls that nobody watches: what hooks on system calls cost those who do nothing else.
    ("calls", NOTHING),
];

/// The kind of operations that give no event.
const NOTHING: &str = "";

/// What one run of a load took.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

/// A run beside an agent.
struct Watched {
    load: Cost,
    /// Processor time of the agent.
    agent: Duration,
    /// Operations that came out.
    seen: usize,
}

/// Runs of one load without and with the agent.
struct Pair {
    without: Cost,
    with: Watched,
}

pub(crate) fn bench(project: &Project, args: &Args) -> Result<()> {
    if !is_root() {
        bail!("the agent loads eBPF programs, which only root may do: run this as root");
    }
    let bench = Bench::new(project, args)?;
    let mut results = Vec::new();
    for (load, kind) in LOADS {
        if args.loads.is_empty() || args.loads.iter().any(|wanted| wanted == load) {
            results.push((load, bench.pairs(load, kind)?));
        }
    }
    say("latency and idle");
    let latency = latency::measure(&bench)?;
    let idle = bench.idle()?;
    let document = report::document(args.count, &results, &latency, &idle);
    report::print(&document);
    let path = project.target.join("bench/result.json");
    fs::write(&path, format!("{document:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("the same as JSON: {}", relative(&path, &project.root)));
    Ok(())
}

/// What an agent takes when nothing happens, and how much memory it has after something did.
struct Idle {
    /// Share of one processor.
    cpu: f64,
    /// Resident memory in bytes, and the most it ever was.
    rss: (u64, u64),
}

/// Programs and places.
struct Bench {
    agent: PathBuf,
    load: PathBuf,
    dir: PathBuf,
    pairs: usize,
    count: u32,
    idle: Duration,
}

impl Bench {
    fn new(project: &Project, args: &Args) -> Result<Self> {
        let agent = build::build(project)?;
        run(project.cargo().args(["build", "--release", "--package", "collector-tests", "--bin", "load"]))?;
        let dir = project.target.join("bench");
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self {
            agent,
            load: project.target.join("release/load"),
            dir,
            pairs: args.pairs,
            count: args.count,
            idle: Duration::from_secs(args.idle),
        })
    }

    fn pairs(&self, load: &str, kind: &str) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        // The first pair warms caches and does not count.
        for number in 0..=self.pairs {
            say(&format!("{load}: pair {number} of {}", self.pairs));
            let pair = if number % 2 == 0 {
                let without = self.run(load, self.count, "without")?;
                Pair { without, with: self.watched(load, kind)? }
            } else {
                let with = self.watched(load, kind)?;
                Pair { without: self.run(load, self.count, "without")?, with }
            };
            if number > 0 {
                pairs.push(pair);
            }
        }
        Ok(pairs)
    }

    /// Runs a load, whose arguments bear `tag`.
    fn run(&self, load: &str, count: u32, tag: &str) -> Result<Cost> {
        let text = capture(Command::new(&self.load).args([load, &count.to_string(), tag]))?;
        let cost: Value = serde_json::from_str(&text).context("the load did not print JSON")?;
        let nanos = |name: &str| cost[name].as_u64().map(Duration::from_nanos);
        let (wall, cpu) = nanos("wall_ns").zip(nanos("cpu_ns")).context("the load's JSON lacks a time")?;
        Ok(Cost { wall, cpu })
    }

    fn watched(&self, load: &str, kind: &str) -> Result<Watched> {
        let agent = Agent::to_file(self)?;
        let begin = agent.output_len()?;
        let before = agent.cpu()?;
        let cost = self.run(load, self.count, "counted")?;
        agent.wait_until_quiet()?;
        let after = agent.cpu()?;
        let output = agent.output_from(begin)?;
        agent.stop()?;
        let word = format!(r#""kind":"{kind}""#);
        // The load's own exec is one of those.
        let is_it =
            |line: &&str| line.contains(&word) && (kind != "process.exec" || line.contains(r#""counted-"#));
        let seen = if kind == NOTHING { self.count as usize } else { output.lines().filter(is_it).count() };
        Ok(Watched { load: cost, agent: after.saturating_sub(before), seen })
    }

    fn idle(&self) -> Result<Idle> {
        let agent = Agent::to_file(self)?;
        for (load, _) in LOADS {
            self.run(load, self.count, "memory")?;
        }
        agent.wait_until_quiet()?;
        let before = agent.cpu()?;
        std::thread::sleep(self.idle);
        let cpu = (agent.cpu()? - before).as_secs_f64() / self.idle.as_secs_f64();
        let rss = agent.memory()?;
        agent.stop()?;
        Ok(Idle { cpu, rss })
    }
}

/// The document's name for a share of operations.
fn share(part: usize, whole: u32) -> Value {
    json!(part as f64 / f64::from(whole.max(1)))
}
