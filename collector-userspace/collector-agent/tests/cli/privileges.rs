//! What a user without privileges is told.

use std::os::unix::process::CommandExt as _;

use crate::{Fixture, Ran, text};

/// Runs the binary as nobody; `None` where that is not possible because nobody may not reach the binary.
pub(crate) fn unprivileged(fixture: &Fixture, arguments: &[&str]) -> Option<Ran> {
    let mut command = fixture.command(arguments);
    if rustix::process::geteuid().is_root() {
        // Owned by nobody, so that only the lack of privileges is tested.
        std::os::unix::fs::chown(&fixture.directory, Some(65_534), Some(65_534)).unwrap();
        command.uid(65_534).gid(65_534);
    }
    match command.output() {
        Ok(output) => Some(Ran::of(output)),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn run_without_polling_fails_with_one_clear_sentence_and_a_hint() {
    let fixture = Fixture::new();
    let runtime_dir = fixture.path("run");
    for what in [["--mode", "kernel"], ["--sources", "file"]] {
        let mut arguments = vec!["run", "--no-store", "--runtime-dir", text(&runtime_dir)];
        arguments.extend(what);
        let Some(ran) = unprivileged(&fixture, &arguments) else { return };
        fails_with_a_hint(&ran);
    }
}

fn fails_with_a_hint(ran: &Ran) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(
        matches!(lines[..], [error, hint] if error.starts_with("error: ") && hint.starts_with("hint: ")),
        "{ran:?}"
    );
    assert!(ran.err.contains("sudo") && ran.err.contains("collector doctor"), "{ran:?}");
}

#[test]
fn run_polls_where_the_kernel_takes_no_programs_and_says_so() {
    let fixture = Fixture::new();
    let (runtime_dir, me) = (fixture.path("run"), std::process::id().to_string());
    let arguments = ["run", "--no-store", "--format", "json", "--pid", &me, "--duration", "2s"];
    let runtime = ["--runtime-dir", text(&runtime_dir)];
    let Some(ran) = unprivileged(&fixture, &[&arguments[..], &runtime].concat()) else { return };
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for said in ["the kernel takes no programs", "polling /proc instead", "sudo"] {
        assert!(ran.err.contains(said), "no {said:?}: {}", ran.err);
    }
    let mut lines = ran.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let own = lines.find(|line| line["process"]["pid"] == std::process::id()).unwrap();
    assert_eq!((&own["source"], &own["capture"]), (&"procfs-process".into(), &"procfs".into()), "{own}");
    let stats = fixture.run(&[&["stats", "--format", "json"][..], &runtime].concat());
    let stats: serde_json::Value = serde_json::from_str(&stats.out).unwrap();
    assert!(stats["polling"]["procfs-process"]["collection_cycles"].as_u64() > Some(0), "{stats}");
    let hooks = stats["health"]["components"].as_array().unwrap().iter().find(|part| part["name"] == "hooks");
    assert_eq!(hooks.unwrap()["status"], "degraded", "{stats}");
}

#[test]
fn doctor_says_what_is_missing_and_how_to_get_it() {
    let fixture = Fixture::new();
    let runtime_dir = fixture.path("run");
    let Some(ran) = unprivileged(&fixture, &["doctor", "--runtime-dir", text(&runtime_dir)]) else { return };
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.starts_with("collector cannot capture events here.\n"), "{}", ran.out);
    assert!(ran.out.contains("`collector run` polls /proc instead"), "{}", ran.out);
    assert!(ran.out.contains("problem: ") && ran.out.contains("remedy: "), "{}", ran.out);
    let Some(ran) = unprivileged(&fixture, &["doctor", "--format", "json"]) else { return };
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &document["can_capture"]), (Some(1), &serde_json::Value::Bool(false)));
}

#[test]
fn doctor_says_whom_run_would_run_as() {
    let fixture = Fixture::new();
    let doctor = |user: &str| {
        let mut command = fixture.command(&["doctor", "--format", "json"]);
        let ran = Ran::of(command.env("COLLECTOR_AGENT_RUN_AS", user).output().unwrap());
        (ran.code, serde_json::from_str::<serde_json::Value>(&ran.out).unwrap())
    };
    let (code, report) = doctor("no-such-user");
    assert_eq!(
        (code, &report["can_capture"], &report["polls_instead"]),
        (Some(1), &false.into(), &false.into())
    );
    let problems: Vec<&str> =
        report["obstacles"].as_array().unwrap().iter().map(|it| it["problem"].as_str().unwrap()).collect();
    assert!(problems.contains(&"there is no user `no-such-user` to run as"), "{problems:?}");
    // Oneself is always possible.
    let me = rustix::process::geteuid().as_raw();
    let (_, report) = doctor(&me.to_string());
    assert_eq!(report["runs_as"]["uid"], me, "{}", report["runs_as"]);
    assert_eq!(report["privileges"].as_array().unwrap().len(), 5);
}
