//! The results as one JSON document, and as a table of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::latency::Latency;
use super::{Idle, Pair, share};

pub(super) fn document(count: u32, loads: &[(&str, Vec<Pair>)], latencies: &[Latency], idle: &Idle) -> Value {
    let loads: Vec<Value> = loads.iter().map(|(name, pairs)| load(name, count, pairs)).collect();
    let latencies: Vec<Value> = latencies
        .iter()
        .map(|latency| {
            let at = |share| latency.quantile(share).as_secs_f64() * 1e3;
            let (p50, p95, p99, max) = (at(0.5), at(0.95), at(0.99), at(1.0));
            let count = latency.sorted.len();
            json!({"name": latency.name, "count": count, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": max})
        })
        .collect();
    let (rss, most) = idle.rss;
    json!({
        "loads": loads,
        "exec_to_output": latencies,
        "idle": {"cpu_percent": idle.cpu * 100.0, "rss_bytes": rss, "rss_max_bytes": most},
    })
}

fn load(name: &str, count: u32, pairs: &[Pair]) -> Value {
    let per_operation = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count.max(1));
    let all = |of: &dyn Fn(&Pair) -> f64| summary(pairs.iter().map(of).collect());
    let ratio = |with: Duration, without: Duration| with.as_secs_f64() / without.as_secs_f64();
    let least = pairs.iter().map(|pair| pair.with.seen).min().unwrap_or(0);
    json!({
        "load": name,
        "operations": count,
        "pairs": pairs.len(),
        "seen": share(least, count),
        "agent_us": all(&|pair| per_operation(pair.with.agent)),
        "workload_without_us": all(&|pair| per_operation(pair.without.cpu)),
        "workload_with_us": all(&|pair| per_operation(pair.with.load.cpu)),
        "workload_cpu_ratio": all(&|pair| ratio(pair.with.load.cpu, pair.without.cpu)),
        "workload_wall_ratio": all(&|pair| ratio(pair.with.load.wall, pair.without.wall)),
    })
}

fn summary(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    // The lower of two middles.
    json!({"median": at(values.len().saturating_sub(1) / 2), "least": at(0), "most": at(values.len().saturating_sub(1))})
}

/// Prints the table.
pub(super) fn print(document: &Value) {
    println!(
        "{:<6} {:>8} {:>22} {:>24} {:>22} {:>8}",
        "load", "seen", "agent us/op", "workload us/op", "workload cpu ratio", "wall"
    );
    for load in list(document, "loads") {
        let spread = |name: &str, digits: usize| {
            let at = |which: &str| number(&load[name][which]);
            format!("{:.digits$} ({:.digits$}–{:.digits$})", at("median"), at("least"), at("most"))
        };
        let median = |name: &str| number(&load[name]["median"]);
        println!(
            "{:<6} {:>7.2}% {:>22} {:>24} {:>22} {:>8.2}",
            load["load"].as_str().unwrap_or_default(),
            number(&load["seen"]) * 100.0,
            spread("agent_us", 1),
            format!("{:.1} -> {:.1}", median("workload_without_us"), median("workload_with_us")),
            spread("workload_cpu_ratio", 3),
            median("workload_wall_ratio"),
        );
    }
    for latency in list(document, "exec_to_output") {
        let at = |name: &str| number(&latency[name]);
        println!(
            "exec to output, {:<11} p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            latency["name"].as_str().unwrap_or_default(),
            at("p50_ms"),
            at("p95_ms"),
            at("p99_ms"),
            at("max_ms"),
        );
    }
    let idle = &document["idle"];
    let mebibytes = |name: &str| number(&idle[name]) / f64::from(1 << 20);
    println!("idle {:.2} % of a processor", number(&idle["cpu_percent"]));
    println!("memory {:.1} MiB, at most {:.1} MiB", mebibytes("rss_bytes"), mebibytes("rss_max_bytes"));
}

fn list<'a>(document: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    document[name].as_array().into_iter().flatten()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_in_order() {
        assert_eq!(summary(vec![3.0, 1.0, 2.0]), json!({"median": 2.0, "least": 1.0, "most": 3.0}));
        assert_eq!(summary(vec![4.0, 1.0]), json!({"median": 1.0, "least": 1.0, "most": 4.0}));
        assert_eq!(summary(Vec::new()), json!({"median": 0.0, "least": 0.0, "most": 0.0}));
    }
}
