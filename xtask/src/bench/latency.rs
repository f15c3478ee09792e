//! From an exec to its line at a reader of the agent's output.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Bench;
use super::agent::{Agent, wait};

/// Execs one after another, with time to breathe in between.
const PACED: u32 = 300;
const PACE: Duration = Duration::from_millis(5);
/// Longest wait for a line.
const PATIENCE: Duration = Duration::from_secs(30);

/// Latencies of one way to start programs, ascending.
pub(super) struct Latency {
    pub(super) name: &'static str,
    pub(super) sorted: Vec<Duration>,
}

impl Latency {
    /// The smallest that this share of all does not exceed.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        let index = (self.sorted.len() as f64 * share).ceil() as usize;
        self.sorted.get(index.saturating_sub(1).min(last)).copied().unwrap_or_default()
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Latency>> {
    let (agent, pipe) = Agent::to_pipe(bench)?;
    let lines = read(pipe);
    wait("start", || {
        bench.run("exec", 1, "ready")?;
        Ok(lines.try_iter().any(|(_, line)| line.contains("ready-0")))
    })?;
    for _ in 0..PACED {
        bench.run("exec", 1, "paced")?;
        std::thread::sleep(PACE);
    }
    let paced = collect(&lines, "paced", PACED)?;
    bench.run("exec", bench.count, "burst")?;
    let burst = collect(&lines, "burst", bench.count)?;
    agent.stop()?;
    Ok(vec![Latency { name: "paced", sorted: paced }, Latency { name: "full speed", sorted: burst }])
}

/// Lines with the moment at which they came.
fn read(pipe: impl Read + Send + 'static) -> Receiver<(SystemTime, String)> {
    let (tx, rx) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if tx.send((SystemTime::now(), line)).is_err() {
                return;
            }
        }
    });
    rx
}

/// Latencies of the execs with this tag, as many as there were.
fn collect(lines: &Receiver<(SystemTime, String)>, tag: &str, count: u32) -> Result<Vec<Duration>> {
    let word = format!(r#""{tag}-"#);
    let mut latencies = Vec::new();
    while latencies.len() < count as usize {
        let Ok((came, line)) = lines.recv_timeout(PATIENCE) else {
            bail!("{} of {count} execs came out", latencies.len());
        };
        if !line.contains(r#""kind":"process.exec""#) || !line.contains(&word) {
            continue;
        }
        let event: Value = serde_json::from_str(&line).context("a line of output is not JSON")?;
        let happened = event["time"].as_str().and_then(parse_time).context("a line has no time")?;
        // The clocks of an event and of ours agree to some microseconds only.
        latencies.push(came.duration_since(happened).unwrap_or_default());
    }
    latencies.sort_unstable();
    Ok(latencies)
}

/// A time as events have it: `2026-11-22T14:43:05.123456789Z`.
fn parse_time(text: &str) -> Option<SystemTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years = year * 365 + year / 4 - year / 100 + year / 400;
    let days = (days_of_years + (month * 153 + 2) / 5 + day).checked_sub(1 + DAYS_TO_EPOCH)?;
    let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    Some(UNIX_EPOCH + Duration::new(seconds, number(20, 29)? as u32))
}

/// From the first of March of year 0 to the first of January 1970.
const DAYS_TO_EPOCH: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let at = |text| parse_time(text).unwrap().duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(at("1970-01-01T00:00:00.000000000Z"), Duration::ZERO);
        assert_eq!(at("2000-02-29T12:00:00.000000001Z"), Duration::new(951_825_600, 1));
        assert_eq!(at("2026-11-22T13:58:47.676767398Z"), Duration::new(1_795_355_927, 676_767_398));
        assert_eq!(parse_time("soon"), None);
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let sorted = (1..=100).map(Duration::from_millis).collect();
        let latency = Latency { name: "", sorted };
        assert_eq!(latency.quantile(0.5), Duration::from_millis(50));
        assert_eq!(latency.quantile(0.95), Duration::from_millis(95));
        assert_eq!(latency.quantile(1.0), Duration::from_millis(100));
        assert_eq!(Latency { name: "", sorted: Vec::new() }.quantile(0.5), Duration::ZERO);
    }
}
