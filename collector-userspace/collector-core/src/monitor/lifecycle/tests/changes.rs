//! Starts, ends, execs and changes.

use super::*;

#[test]
fn the_first_look_shows_who_is_there_and_the_next_nothing_new() {
    let mut watched = Watched::new(defaults());
    let there = [process(1, 10, 1), process(2, 20, 2)];
    let present = |pid| (pid, "present", "process.snapshot");
    assert_eq!(watched.changes(&there), [present(1), present(2)]);
    assert_eq!(watched.changes(&there), []);
    assert_eq!(watched.tracker.counts(), TrackerCounts { looks: 2, tracked: 2, not_tracked: 0 });
}

#[test]
fn who_is_new_has_executed_or_was_forked_by_whether_the_image_is_known() {
    let mut watched = Watched::having_seen(defaults(), &[process(1, 10, 1)]);
    let found =
        watched.changes(&[process(1, 10, 1), process(5, 50, 1), process(6, 60, 6), process(7, 61, 6)]);
    let expected = [
        (5, "started", "process.fork"),
        (6, "started", "process.exec"),
        // By the one before it in the same look.
        (7, "started", "process.fork"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_image_of_a_parent_that_has_ended_or_executed_since_is_known() {
    let mut watched = Watched::having_seen(defaults(), &[process(1, 10, 1), process(2, 20, 2)]);
    let found = watched.changes(&[process(2, 20, 22), process(5, 50, 1), process(6, 60, 2)]);
    let expected = [
        (1, "exited", "process.exit"),
        (2, "exec", "process.exec"),
        (5, "started", "process.fork"),
        (6, "started", "process.fork"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn without_digests_the_parent_tells_whether_a_new_process_is_its_copy() {
    let parent = process(1, 10, 0);
    let copy = process(2, 20, 0);
    let other = ProcessEvent { command_line: vec![Text::from("other")], ..process(3, 30, 0) };
    let kernel = ProcessEvent { flags: vec!["kernel_thread"], executable_path: None, ..process(4, 40, 0) };
    let mut watched = Watched::having_seen(defaults(), std::slice::from_ref(&parent));
    let found = watched.changes(&[parent, copy, other, kernel]);
    let kinds: Vec<_> = found.iter().map(|(pid, _, kind)| (*pid, *kind)).collect();
    assert_eq!(kinds, [(2, "process.fork"), (3, "process.exec"), (4, "process.fork")]);
}

#[test]
fn a_pid_with_another_start_is_another_process() {
    let mut watched = Watched::having_seen(defaults(), &[process(5, 50, 1)]);
    let found = watched.look(&[process(5, 51, 1)]);
    let [exit, start] = &*found else { panic!("{found:?}") };
    assert_eq!((exit.change, exit.process.exec_id.unwrap().start_ticks), (LifecycleChange::Exited, 50));
    assert_eq!((start.change, start.process.exec_id.unwrap().start_ticks), (LifecycleChange::PidReused, 51));
    let config = LifecycleTrackingConfig { detect_pid_reuse: false, ..defaults() };
    let mut watched = Watched::having_seen(config, &[process(5, 50, 1)]);
    let found = watched.changes(&[process(5, 51, 1)]);
    assert_eq!(found, [(5, "exited", "process.exit"), (5, "started", "process.fork")]);
}

#[test]
fn a_start_time_tells_processes_apart_where_there_is_no_identity() {
    let at = |seconds| ProcessEvent {
        exec_id: None,
        start_time: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        ..process(5, 0, 0)
    };
    let mut watched = Watched::having_seen(defaults(), &[at(1)]);
    assert_eq!(watched.changes(&[at(1)]), []);
    assert_eq!(watched.changes(&[at(2)]).len(), 2);
    let unknown = ProcessEvent { start_time: None, ..at(0) };
    assert_eq!(watched.changes(&[unknown]), [], "what is not known is no difference");
}

#[test]
fn an_exec_is_one_event_whatever_else_it_changed() {
    let mut watched = Watched::having_seen(defaults(), &[process(5, 50, 1)]);
    let other = ProcessEvent {
        executable_path: Some(Text::from("/bin/su")),
        command_line: vec![Text::from("su")],
        euid: Some(0),
        ..process(5, 50, 2)
    };
    let found = watched.look(&[other]);
    let [exec] = &*found else { panic!("{found:?}") };
    assert_eq!((exec.change, exec.kind), (LifecycleChange::Exec, crate::ProcessEventKind::Exec));
    assert_eq!(exec.suspicious, [], "su is to become root");
}

#[test]
fn what_changes_without_an_exec_is_told_by_what_changed() {
    let cases = [
        (
            ProcessEvent { command_line: vec![Text::from("sshd: idle")], ..process(5, 50, 1) },
            "command_line_changed",
        ),
        (ProcessEvent { executable_path: Some(Text::from("/x")), ..process(5, 50, 1) }, "executable_changed"),
        (ProcessEvent { file_exists: false, ..process(5, 50, 1) }, "executable_changed"),
        (ProcessEvent { euid: Some(33), ..process(5, 50, 1) }, "credentials_changed"),
    ];
    for (now, change) in cases {
        let mut watched = Watched::having_seen(defaults(), &[process(5, 50, 1)]);
        let expected = [(5, change, "process.snapshot")];
        assert_eq!(watched.changes(std::slice::from_ref(&now)), expected);
        assert_eq!(watched.changes(std::slice::from_ref(&now)), [], "once");
        let quiet = LifecycleTrackingConfig {
            track_command_line_changes: false,
            track_executable_changes: false,
            track_credential_changes: false,
            detect_suspicious_events: false,
            ..defaults()
        };
        assert_eq!(Watched::having_seen(quiet, &[process(5, 50, 1)]).changes(&[now]), []);
    }
}

#[test]
fn memory_and_usage_are_compared_with_what_was_reported_last() {
    let config = LifecycleTrackingConfig {
        track_memory_changes: true,
        memory_change_threshold: 50.0,
        track_cpu_changes: true,
        cpu_change_threshold: 25.0,
        ..defaults()
    };
    let mut watched = Watched::having_seen(config, &[process(5, 50, 1)]);
    let using = |memory: u64, cpu: f64| {
        [ProcessEvent { memory_usage: Some(memory << 20), cpu_usage: Some(cpu), ..process(5, 50, 1) }]
    };
    assert_eq!(watched.changes(&using(14, 20.0)), []);
    assert_eq!(watched.changes(&using(15, 20.0)), [(5, "memory_changed", "process.snapshot")]);
    assert_eq!(watched.changes(&using(20, 44.0)), [], "24 % more than was reported");
    assert_eq!(watched.changes(&using(20, 46.0)), [(5, "cpu_changed", "process.snapshot")]);
    assert_eq!(watched.changes(&using(10, 46.0)), [(5, "memory_changed", "process.snapshot")]);
}

#[test]
fn what_exists_and_was_not_read_has_not_ended() {
    let mut watched = Watched::having_seen(defaults(), &[process(1, 10, 1), process(2, 20, 2)]);
    assert_eq!(watched.look_beside(&[process(1, 10, 1)], &[2]), []);
    assert_eq!(watched.look(&[process(1, 10, 1), process(2, 20, 2)]), []);
    // One that could not be read from the start is present once it can, not new.
    watched.look_beside(&[process(1, 10, 1), process(2, 20, 2), process(9, 90, 9)], &[3]);
    let all =
        [process(1, 10, 1), process(2, 20, 2), process(3, 30, 3), process(9, 90, 9), process(10, 91, 10)];
    assert_eq!(watched.changes(&all), [(3, "present", "process.snapshot"), (10, "started", "process.exec")]);
}

#[test]
fn a_full_table_leaves_out_and_counts_and_catches_up() {
    let config = LifecycleTrackingConfig { max_snapshots: 2, ..defaults() };
    let mut watched =
        Watched::having_seen(config, &[process(1, 10, 1), process(2, 20, 2), process(3, 30, 3)]);
    assert_eq!(watched.tracker.counts(), TrackerCounts { looks: 1, tracked: 2, not_tracked: 1 });
    let found = watched.changes(&[process(1, 10, 1), process(3, 30, 3)]);
    assert_eq!(found, [(2, "exited", "process.exit"), (3, "present", "process.snapshot")]);
    assert_eq!(watched.changes(&[process(1, 10, 1)]), [(3, "exited", "process.exit")]);
    assert_eq!(watched.tracker.counts().not_tracked, 0);
}

#[test]
fn a_pid_twice_in_a_look_counts_once() {
    let mut watched = Watched::having_seen(defaults(), &[process(1, 10, 1), process(1, 11, 1)]);
    assert_eq!(watched.tracker.counts().tracked, 1);
    assert_eq!(watched.changes(&[process(1, 10, 1), process(1, 11, 1)]), []);
}

#[test]
fn without_lifecycle_only_changes_are_told() {
    let config = LifecycleTrackingConfig { track_process_lifecycle: false, ..defaults() };
    let mut watched = Watched::new(config);
    assert_eq!(watched.changes(&[process(1, 10, 1), process(2, 20, 2)]), []);
    let renamed = ProcessEvent { command_line: vec![Text::from("y")], ..process(2, 20, 2) };
    assert_eq!(watched.changes(&[renamed]), [(2, "command_line_changed", "process.snapshot")]);
}

#[test]
fn settings_that_cannot_work_are_named() {
    defaults().validate().unwrap();
    let cases = [
        (LifecycleTrackingConfig { max_snapshots: 0, ..defaults() }, "max_snapshots is 0"),
        (
            LifecycleTrackingConfig { cpu_change_threshold: f64::NAN, ..defaults() },
            "cpu_change_threshold is NaN",
        ),
        (
            LifecycleTrackingConfig { memory_change_threshold: 0.0, ..defaults() },
            "memory_change_threshold is 0",
        ),
    ];
    for (config, message) in cases {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with(message), "{error} for {message}");
    }
}
