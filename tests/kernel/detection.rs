//! Conditions, chains and alerts, from the kernel to the database: the example of docs/detection.md.

use std::process::Command;

use collector_tests::{Actor, Agent, run_agent};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{Dir, real};

/// The configuration that the documentation shows.
fn example() -> &'static str {
    let page = include_str!("../../docs/detection.md");
    page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page has an example")
}

fn sha256(path: &str) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_program_started_from_tmp_is_hashed_and_alerts() {
    let dir = Dir::new();
    let (tool, other) = (dir.join("tool"), dir.join("other"));
    assert!(tool.starts_with("/tmp/"), "the example is about /tmp");
    for copy in [&tool, &other] {
        std::fs::copy(real("/bin/true"), copy).unwrap();
    }
    let again = format!("spawn {tool}");
    let last = format!("spawn {other}");
    let mut actor = Actor::in_dir(dir.path(), ["spawn /bin/true", &again, &again, "wait", &last]);
    let mut agent = Agent::run(dir.path(), &[actor.pid()], example());
    actor.go_on();
    agent.wait_for_output("\"kind\":\"alert\"");
    // What happens just before the end leads to an alert, too.
    assert!(actor.finish().status.success());
    let ended = agent.end(Signal::TERM);
    assert!(ended.status.success(), "{}", ended.stderr);

    let execs: Vec<&Value> = ended.all("process.exec").collect();
    let alerts: Vec<&Value> = ended.all("alert").collect();
    assert_eq!(execs.len(), 4);
    // Another process is another trigger, the same program or not; /bin/true is none.
    assert_eq!(alerts.len(), 3, "{alerts:?}");
    for (exec, path) in execs[1..].iter().zip([&tool, &tool, &other]) {
        let about = |alert: &&&Value| alert["process"]["exec_id"] == exec["process"]["exec_id"];
        let alert = alerts.iter().find(about).unwrap_or_else(|| panic!("no alert about {exec}"));
        let expected = json!({
            "severity": "high",
            "condition": "run-from-tmp",
            "path": path,
            "sha256": sha256(path),
            "size": std::fs::metadata(path).unwrap().len(),
        });
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(&alert["alert"][member], value, "{member} of {alert}");
        }
        let rules: Vec<&Value> = alert["alert"]["rules"].as_array().unwrap().iter().collect();
        let ids: Vec<&Value> = rules.iter().map(|rule| &rule["rule"]).collect();
        assert_eq!(ids, ["executable-in-world-writable-place", "run-from-tmp"]);
        assert_eq!(
            (&alert["process"]["pid"], &alert["source"]),
            (&exec["process"]["pid"], &json!("analysis"))
        );
    }

    let database = dir.join("store/events.db");
    let sql = "SELECT count(*) AS alerts FROM events WHERE kind = 'alert' AND severity = 'high'";
    let (status, stdout, stderr) = run_agent(&["query", "--db", &database, "--format", "json", sql]);
    assert!(status.success(), "{stderr}");
    assert_eq!(stdout.trim(), "{\"alerts\":3}");

    let runtime = dir.join("runtime");
    let (status, stdout, stderr) = run_agent(&["stats", "--runtime-dir", &runtime, "--format", "json"]);
    assert!(status.success(), "{stderr}");
    let stats: Value = serde_json::from_str(&stdout).unwrap();
    let detector = &stats["detector"];
    assert_eq!(detector["triggers"]["matches"]["run-from-tmp"], 3, "{detector}");
    assert_eq!(detector["triggers"]["collectors"]["verdict"]["succeeded"], 3, "{detector}");
    assert_eq!(detector["analysis"]["alerts"]["delivered"], 3, "{detector}");
}

/// The same path is another file in another mount namespace, and its digest would be a lie.
#[test]
fn a_file_of_another_mount_namespace_is_not_mistaken_for_one_of_here() {
    let dir = Dir::new();
    let hidden = dir.path().join("hidden");
    std::fs::create_dir(&hidden).unwrap();
    let tool = dir.join("hidden/tool");
    std::fs::copy(real("/bin/true"), &tool).unwrap();
    let copy = dir.join("tool");
    std::fs::copy(real("/bin/false"), &copy).unwrap();
    let steps = [
        "unshare mnt".to_owned(),
        format!("tmpfs {} 1m", hidden.display()),
        format!("copy {copy} {tool} 755"),
        format!("spawn {tool}"),
    ];
    let actor = Actor::in_dir(dir.path(), steps);
    let mut agent = Agent::run(dir.path(), &[actor.pid()], example());
    let _ = actor.finish();
    agent.wait_for_output("\"kind\":\"alert\"");
    let ended = agent.end(Signal::TERM);
    let alerts: Vec<&Value> = ended.all("alert").collect();
    let alert =
        alerts.iter().find(|alert| alert["alert"]["path"] == tool).unwrap_or_else(|| panic!("{alerts:?}"));
    assert_eq!(alert["alert"]["severity"], "high");
    assert_eq!(alert["alert"]["sha256"], Value::Null, "{alert}");
    assert_eq!(alert["alert"]["unasked"], json!(["known-bad"]), "{alert}");
}
