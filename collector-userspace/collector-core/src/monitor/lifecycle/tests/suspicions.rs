//! What is suspicious, and what is not.

use super::Suspicion::*;
use super::*;

/// What is suspicious about a process that is new.
#[track_caller]
fn check_new(process: ProcessEvent, expected: &[Suspicion]) {
    let mut watched = Watched::having_seen(defaults(), &[]);
    let found = watched.look(&[process]);
    assert_eq!(found[0].suspicious, expected, "{found:?}");
}

/// What is suspicious about a change of [`process`].
#[track_caller]
fn check_change(now: ProcessEvent, expected: &[Suspicion]) {
    let mut watched = Watched::having_seen(defaults(), &[process(5, 50, 1)]);
    let found = watched.look(&[now]);
    assert_eq!(found.first().map_or(&[][..], |event| &event.suspicious), expected, "{found:?}");
}

fn named(name: &str) -> ProcessEvent {
    ProcessEvent { name: name.to_owned(), ..process(5, 50, 1) }
}

fn arguments(arguments: &[&str]) -> ProcessEvent {
    ProcessEvent {
        command_line: arguments.iter().map(|text| Text::from(*text)).collect(),
        ..process(5, 50, 1)
    }
}

#[test]
fn an_ordinary_process_is_not_suspicious() {
    check_new(process(5, 50, 1), &[]);
    check_change(arguments(&["postgres: writer"]), &[]);
    check_change(named("worker"), &[]);
    check_change(ProcessEvent { uid: Some(33), euid: Some(33), ..process(5, 50, 1) }, &[]);
}

#[test]
fn executables_without_a_name() {
    let memfd = ProcessEvent {
        flags: vec!["memfd"],
        file_exists: false,
        executable_path: Some(Text::from("memfd:x")),
        ..process(5, 50, 1)
    };
    check_new(memfd, &[ExecutableInMemory]);
    let deleted = ProcessEvent { file_exists: false, flags: vec!["deleted"], ..process(5, 50, 1) };
    check_new(deleted.clone(), &[ExecutableDeleted]);
    check_change(deleted, &[ExecutableDeleted]);
    check_change(
        ProcessEvent { executable_path: Some(Text::from("/tmp/x")), ..process(5, 50, 1) },
        &[ExecutableMoved],
    );
}

#[test]
fn who_dresses_up_as_a_thread_of_the_kernel() {
    check_new(named("kworker/0:1"), &[KernelThreadName]);
    check_change(named("kworker/0:1"), &[KernelThreadName]);
    check_change(arguments(&["[kswapd0]"]), &[KernelThreadName]);
    check_change(arguments(&[]), &[NoArguments]);
    let thread = ProcessEvent {
        flags: vec!["kernel_thread"],
        executable_path: None,
        command_line: Vec::new(),
        ..named("kworker/0:1")
    };
    check_new(thread, &[]);
    // Ended, and waiting for its parent.
    check_change(ProcessEvent { executable_path: None, ..arguments(&[]) }, &[]);
}

#[test]
fn root_without_an_exec() {
    let root = |uid, euid| ProcessEvent { uid: Some(uid), euid: Some(euid), ..process(5, 50, 1) };
    check_change(root(0, 0), &[RootWithoutExec]);
    check_change(root(1000, 0), &[RootWithoutExec]);
    check_change(ProcessEvent { uid: None, euid: None, ..process(5, 50, 1) }, &[]);
    check_change(ProcessEvent { exec_id: process(5, 50, 2).exec_id, ..root(1000, 0) }, &[]);
    // A daemon that gives root away for a moment keeps it as its real user.
    let mut watched = Watched::having_seen(defaults(), &[root(0, 33)]);
    assert_eq!(watched.look(&[root(0, 0)])[0].suspicious, []);
}

#[test]
fn what_is_suspicious_is_told_once_and_even_where_changes_are_not() {
    let config = LifecycleTrackingConfig {
        track_process_lifecycle: false,
        track_executable_changes: false,
        track_command_line_changes: false,
        track_credential_changes: false,
        ..defaults()
    };
    let mut watched = Watched::having_seen(config, &[process(5, 50, 1)]);
    let fake = [arguments(&["[kswapd0]"])];
    assert_eq!(watched.changes(&fake), [(5, "command_line_changed", "process.snapshot")]);
    assert_eq!(watched.changes(&fake), []);
    assert_eq!(watched.changes(&[arguments(&["[kswapd0]", "x"])]), [], "it was suspicious before");
    let config = LifecycleTrackingConfig { detect_suspicious_events: false, ..defaults() };
    let mut watched = Watched::having_seen(config, &[process(5, 50, 1)]);
    assert_eq!(watched.look(&fake)[0].suspicious, []);
}
