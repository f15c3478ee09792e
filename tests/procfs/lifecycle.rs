//! What happens to processes, as the next look shows it.

use collector_core::{Capture, ProcessEventKind, Text};
use collector_tests::Actor;
use serde_json::json;

use crate::monitor::{Monitor, changed, config, only, suspicious};

fn watching(actor: &Actor) -> Monitor {
    Monitor::watching(config(), only(actor.pid()))
}

#[test]
fn a_process_is_present_executes_and_ends() {
    let mut actor = Actor::new(["wait", "exec-actor wait wait"]);
    let mut monitor = watching(&actor);
    let first = monitor.take().into_iter().find_map(crate::monitor::process).unwrap();
    assert_eq!(
        (first.pid, first.kind, changed(&first)),
        (actor.pid(), ProcessEventKind::Snapshot, "present")
    );
    assert_eq!((first.meta.source, first.meta.capture), ("procfs-process", Capture::Procfs));
    assert!(first.memory_usage.is_some_and(|bytes| bytes > 4096) && first.cpu_usage.is_none());
    assert!(first.start_time.is_some() && first.cwd.is_some() && !first.ancestors.is_empty());
    assert_eq!(monitor.look(), []);

    actor.go_on();
    actor.release();
    let exec = monitor.see(actor.pid(), "exec");
    assert_eq!(exec.kind, ProcessEventKind::Exec);
    assert_ne!(exec.exec_id, first.exec_id);
    assert_eq!(exec.parent_exec_id, first.parent_exec_id);
    assert_eq!(exec.command_line.get(1), Some(&Text::from("at-once")));
    let lifecycle = &exec.platform_metadata.as_ref().unwrap()["lifecycle"];
    assert_eq!(lifecycle["previous"]["exec_id"], json!(first.exec_id.unwrap().to_string()));
    assert!(lifecycle["previous_look"].is_string());
    assert!(exec.cpu_usage.is_some_and(|percent| percent >= 0.0));

    let pid = actor.pid();
    let _ = actor.finish();
    let exit = monitor.see(pid, "exited");
    assert_eq!((exit.kind, exit.exec_id, exit.exit), (ProcessEventKind::Exit, exec.exec_id, None));
    monitor.end();
}

#[test]
fn an_end_is_told_before_the_parent_takes_notice() {
    let mut actor = Actor::new(["wait", "exit 0"]);
    let mut monitor = watching(&actor);
    actor.go_on();
    actor.release();
    // Nobody waits for it before this.
    monitor.see(actor.pid(), "exited");
    let _ = actor.finish();
    assert_eq!(monitor.look(), []);
}

#[test]
fn children_are_forks_or_execs_of_their_parent() {
    let mut actor = Actor::new(["wait", "fork", "wait", "exec-actor wait", "end"]);
    let mut monitor = watching(&actor);
    let parent = monitor.take().into_iter().find_map(crate::monitor::process).unwrap();
    actor.release();
    // Its child waits now.
    actor.until_it_waits();
    actor.go_on();
    let child = actor.said("child").parse().unwrap();
    let fork = monitor.see(child, "started");
    assert_eq!((fork.kind, fork.parent_exec_id), (ProcessEventKind::Fork, parent.exec_id));
    assert_eq!(fork.exec_id.unwrap().image, parent.exec_id.unwrap().image);
    assert_eq!(fork.ancestors[0].pid, actor.pid());
    actor.go_on();
    let exec = monitor.see(child, "exec");
    assert_eq!((exec.kind, exec.parent_exec_id), (ProcessEventKind::Exec, parent.exec_id));
    let _ = actor.finish();
    monitor.see(child, "exited");
}

#[test]
fn who_is_new_in_an_image_of_its_own_has_executed() {
    let mut actor = Actor::new(["wait", "spawn /bin/cat /dev/stdin"]);
    let mut monitor = watching(&actor);
    actor.go_on();
    actor.release();
    let exec = loop {
        let found = monitor.processes();
        if let Some(event) = found.into_iter().find(|event| event.name == "cat") {
            break event;
        }
    };
    // It was seen before its exec, or after.
    assert!(matches!(changed(&exec), "started" | "exec"), "{exec:?}");
    assert_eq!(exec.kind, ProcessEventKind::Exec);
    let _ = actor.finish();
}

#[test]
fn arguments_that_are_written_over_are_told_with_those_before() {
    let mut actor = Actor::new(["wait", "title [kworker/u8:2]", "wait"]);
    let mut monitor = watching(&actor);
    let before = monitor.take().into_iter().find_map(crate::monitor::process).unwrap();
    actor.go_on();
    actor.go_on();
    let change = monitor.see(actor.pid(), "command_line_changed");
    assert_eq!((change.kind, change.exec_id), (ProcessEventKind::Snapshot, before.exec_id));
    assert_eq!(change.command_line[0], Text::from("[kworker/u8:2]"));
    assert_eq!(suspicious(&change), ["kernel_thread_name"]);
    let lifecycle = &change.platform_metadata.as_ref().unwrap()["lifecycle"];
    assert_eq!(lifecycle["previous"]["command_line"][1], json!("wait"));
    let _ = actor.finish();
}

#[test]
fn a_name_of_the_kernels_is_suspicious_and_another_is_none_of_our_business() {
    let mut actor = Actor::new(["wait", "comm worker", "wait", "comm kworker/0:9", "wait"]);
    let mut monitor = watching(&actor);
    monitor.take();
    actor.go_on();
    actor.go_on();
    assert_eq!(monitor.look(), []);
    actor.go_on();
    let change = monitor.see(actor.pid(), "name_changed");
    assert_eq!((change.name.as_str(), suspicious(&change)), ("kworker/0:9", vec!["kernel_thread_name"]));
    let _ = actor.finish();
}

#[test]
fn an_executable_that_is_deleted_under_the_process_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().canonicalize().unwrap().join("cat");
    std::fs::copy("/bin/cat", &program).unwrap();
    let program = program.to_str().unwrap();
    let mut actor = Actor::new(["wait", &format!("exec {program} -")]);
    let mut monitor = watching(&actor);
    actor.go_on();
    actor.release();
    let exec = monitor.see(actor.pid(), "exec");
    assert_eq!((exec.executable_path.clone(), exec.file_exists), (Some(Text::from(program)), true));
    std::fs::remove_file(program).unwrap();
    let change = monitor.see(actor.pid(), "executable_changed");
    assert_eq!((change.executable_path.clone(), change.file_exists), (Some(Text::from(program)), false));
    assert_eq!(suspicious(&change), ["executable_deleted"]);
    assert!(change.flags.contains(&"deleted"));
    let _ = actor.finish();
}

#[test]
fn an_executable_in_memory_is_suspicious_from_the_start() {
    let mut actor = Actor::new(["wait", "memfd payload /bin/cat -"]);
    let mut monitor = watching(&actor);
    actor.go_on();
    actor.release();
    let exec = monitor.see(actor.pid(), "exec");
    assert_eq!(exec.executable_path, Some(Text::from("memfd:payload")));
    assert_eq!(suspicious(&exec), ["executable_in_memory"]);
    let _ = actor.finish();
}

#[test]
fn digests_of_executables_are_those_of_the_files() {
    let mut config = config();
    config.process_config.compute_executable_hashes = true;
    let mut actor = Actor::new(["wait", "memfd payload /bin/cat -"]);
    let mut monitor = Monitor::watching(config, only(actor.pid()));
    let first = monitor.take().into_iter().find_map(crate::monitor::process).unwrap();
    let output =
        std::process::Command::new("sha256sum").arg(collector_tests::actor_program()).output().unwrap();
    let expected = String::from_utf8(output.stdout).unwrap();
    let digest = first.executable_hash.expect("it has one");
    assert_eq!(
        (Some(digest.as_str()), first.hash_algorithm.as_deref()),
        (expected.split_whitespace().next(), Some("sha256"))
    );
    actor.go_on();
    actor.release();
    let exec = monitor.see(actor.pid(), "exec");
    assert_eq!(exec.executable_hash, None, "what lives in memory has no file to hash");
    let stats = monitor.stats();
    assert_eq!((stats.hashes, stats.hash_failures), (1, 1));
    let _ = actor.finish();
}

#[test]
fn usage_is_told_when_it_changes() {
    let mut config = config();
    config.lifecycle_config.track_memory_changes = true;
    config.lifecycle_config.track_cpu_changes = true;
    // Whatever it gets on a machine that does other things as well.
    config.lifecycle_config.cpu_change_threshold = 0.1;
    let mut actor = Actor::new(["wait", "repeat 100000000", "fails chdir /nowhere", "end"]);
    let mut monitor = Monitor::watching(config, only(actor.pid()));
    monitor.take();
    actor.go_on();
    monitor.look();
    actor.release();
    let busy = monitor.see(actor.pid(), "cpu_changed");
    assert!(busy.cpu_usage.is_some_and(|percent| (0.1..=400.0).contains(&percent)), "{busy:?}");
}
