//! A run that needs no kernel programs and no privileges.

use serde_json::Value;

use crate::privileges::unprivileged;
use crate::{Fixture, Ran, text};

const QUICK: &str = "[performance]\ninterval = \"100ms\"\nmax_processes = 3\n[log]\nlevel = \"info\"\n";

fn samples(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether there is a value like this about the agent itself.
fn is_own(sample: &Value, metric: &str) -> bool {
    let Value::Object(process) = &sample["process"] else { return false };
    let performance = &sample["performance"];
    performance["component"] == "collector"
        && performance["metric"] == metric
        && performance["value"].as_f64().is_some_and(|value| value >= 0.0)
        && process["name"] == "collector"
        && process["exec_id"].is_string()
}

#[test]
fn a_run_with_samples_alone_needs_no_kernel_programs_and_no_privileges() {
    let fixture = Fixture::new();
    let config = fixture.file("quick.toml", QUICK);
    let runtime_dir = fixture.path("run");
    let arguments = ["run", "--config", text(&config), "--sources", "performance", "--duration", "1s"];
    let places = ["--no-store", "--format", "json", "--runtime-dir", text(&runtime_dir)];
    let Some(ran) = unprivileged(&fixture, &[&arguments[..], &places].concat()) else { return };
    let ran = ran.succeeds();
    let samples = samples(&ran);
    assert!(samples.iter().all(|sample| sample["kind"] == "performance.sample"), "{}", ran.out);
    for metric in ["cpu_usage", "memory_usage"] {
        assert!(samples.iter().any(|sample| is_own(sample, metric)), "no own {metric}: {}", ran.out);
    }
    let system = |sample: &&Value| sample["performance"]["component"] == "system";
    let usage = samples.iter().filter(system).find(|sample| sample["performance"]["metric"] == "cpu_usage");
    let interval = usage.unwrap()["performance"]["interval_ns"].as_u64().unwrap();
    assert!(interval >= 100_000_000, "{interval}");
    assert!(ran.err.contains("performance.sample") && ran.err.contains("none lost"), "{}", ran.err);

    let stats = ["stats", "--runtime-dir", text(&runtime_dir)];
    let shown = fixture.run(&stats).succeeds();
    assert!(shown.out.contains("\nPerformance: "), "{}", shown.out);
    let json = fixture.run(&[&stats[..], &["--format", "json"]].concat()).succeeds();
    let status: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(status["performance"]["values"], samples.len(), "{status}");
    assert_eq!(status["sources"][0]["name"], "performance");
    assert_eq!(status["plan"][0]["kind"], "performance.sample");
}

#[test]
fn samples_are_shown_and_kept() {
    let fixture = Fixture::new();
    let config = fixture.file("quick.toml", QUICK);
    let (runtime_dir, database) = (fixture.path("run"), fixture.path("x.db"));
    let arguments = ["run", "--config", text(&config), "--sources", "performance", "--duration", "2s"];
    let places = ["--db", text(&database), "--runtime-dir", text(&runtime_dir)];
    let ran = fixture.run(&[&arguments[..], &places].concat()).succeeds();
    let line = ran.out.lines().find(|line| line.contains("collector memory_usage"));
    assert!(line.is_some_and(|line| line.contains("MiB collector")), "{}", ran.out);
    let sql = "SELECT count(*) FROM events WHERE metric = 'memory_usage' AND component = 'collector' AND value > 1e5";
    let found = fixture.run(&["query", "--db", text(&database), "--format", "csv", sql]).succeeds();
    let count: u32 = found.out.lines().nth(1).unwrap().parse().unwrap();
    assert!(count >= 2, "{}", found.out);
}

#[test]
fn a_recording_of_samples_is_refused() {
    let fixture = Fixture::new();
    fixture.run(&["record", "x.cap", "--sources", "performance"]).fails(2, "performance samples are not");
    assert!(!fixture.path("x.cap").exists());
}

#[test]
fn doctor_needs_no_kernel_programs_for_samples() {
    let fixture = Fixture::new();
    let config =
        fixture.file("samples.toml", "[capture]\nsources = [\"performance\"]\n[store]\nenabled = false\n");
    let runtime_dir = fixture.path("run");
    let arguments = ["doctor", "--config", text(&config), "--runtime-dir", text(&runtime_dir)];
    let Some(ran) = unprivileged(&fixture, &arguments) else { return };
    let ran = ran.succeeds();
    assert!(ran.out.starts_with("collector can capture 1 of 1 kinds of events here.\n"), "{}", ran.out);
    assert!(ran.out.contains("performance.sample") && !ran.out.contains("problem: "), "{}", ran.out);
}
