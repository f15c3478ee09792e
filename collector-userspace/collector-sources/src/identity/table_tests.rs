//! The process table over the lives of processes.

use collector_common::{Kind, NetworkWire, TaskWire};
use collector_core::{ProcessRef, Text};

use super::snapshot::SnapshotEntry;
use super::*;
use crate::decode::{Record, decode};
use crate::testing::{self, TICK_NS, child, credentials_under, next_image, task};

const SECOND: u64 = 1_000_000_000;
const CONTAINER: &str = "3bd7a2f4c1e0596887a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607";

fn table_of(max_processes: usize) -> ProcessTable {
    let config = TableConfig { max_processes, ..TableConfig::default() };
    ProcessTable::new(Boot::new("3f2a9c1e", 100), config)
}

fn table() -> ProcessTable {
    table_of(100)
}

/// Passes a record to the table.
fn apply(table: &mut ProcessTable, bytes: &[u8]) -> Identity {
    match decode(bytes).unwrap() {
        Record::Exec(record) => table.on_exec(&record, record.exe.map(Text::from)),
        Record::Fork(record) => table.on_fork(&record),
        Record::Exit(record) => table.on_exit(&record),
        other => panic!("no process record: {other:?}"),
    }
}

fn exec(table: &mut ProcessTable, task: TaskWire, exe: &str) -> Identity {
    apply(table, &testing::exec(task, exe, &[exe]).build())
}

fn fork(table: &mut ProcessTable, parent: &TaskWire, child: TaskWire) -> Identity {
    apply(table, &testing::fork(child).with(|wire| wire.credentials = credentials_under(parent)).build())
}

fn exit(table: &mut ProcessTable, task: TaskWire, at: u64) -> Identity {
    apply(table, &testing::exit(task, 0).at(at).build())
}

fn executable(process: &ProcessRef) -> Option<&str> {
    process.executable.as_ref().and_then(Text::as_str)
}

/// The executable a record of another domain is shown under.
fn resolved(table: &mut ProcessTable, task: &TaskWire) -> Option<String> {
    let process = table.resolve(task, task.start_ns + SECOND).unwrap();
    executable(&process).map(str::to_owned)
}

fn snapshot_entry(task: &TaskWire, exe: &str) -> SnapshotEntry {
    SnapshotEntry {
        pid: task.pid,
        ppid: task.ppid,
        start_ticks: task.start_ns / TICK_NS,
        start_stack: task.start_stack,
        comm: (*b"sh").into(),
        exe: Some(exe.as_bytes().into()),
        uid: Some(task.uid),
        ..SnapshotEntry::default()
    }
}

#[test]
fn records_drained_after_an_exec_belong_to_the_image_that_made_them() {
    let mut table = table();
    let shell = task(10);
    let ls = next_image(shell, "ls");
    exec(&mut table, shell, "/bin/sh");
    exec(&mut table, ls, "/bin/ls");
    assert_eq!(resolved(&mut table, &shell).as_deref(), Some("/bin/sh"));
    assert_eq!(resolved(&mut table, &ls).as_deref(), Some("/bin/ls"));
}

#[test]
fn without_the_kernels_counter_the_stack_tells_images_apart_and_else_time() {
    let mut table = table();
    let shell = task(10);
    let ls = next_image(shell, "ls");
    apply(&mut table, &testing::exec(shell, "/bin/sh", &[]).at(SECOND).build());
    apply(&mut table, &testing::exec(ls, "/bin/ls", &[]).at(3 * SECOND).build());
    let uncounted = TaskWire { image: 0, ..shell };
    assert_eq!(resolved(&mut table, &uncounted).as_deref(), Some("/bin/sh"));
    let bare = TaskWire { image: 0, start_stack: 0, ..shell };
    let mut at = |ktime| executable(&table.resolve(&bare, ktime).unwrap()).map(str::to_owned);
    assert_eq!(at(2 * SECOND).as_deref(), Some("/bin/sh"));
    assert_eq!(at(3 * SECOND).as_deref(), Some("/bin/ls"));
    assert_eq!(at(0), None, "before anything that is known");
}

#[test]
fn an_image_whose_exec_was_lost_is_not_taken_for_the_one_before() {
    let mut table = table();
    let shell = task(10);
    exec(&mut table, shell, "/bin/sh");
    let lost = next_image(shell, "ls");
    let process = table.resolve(&lost, SECOND).unwrap();
    assert_eq!((process.name.as_str(), executable(&process)), (Some("ls"), None));
    assert_ne!(process.exec_id, table.resolve(&shell, SECOND).unwrap().exec_id);
}

#[test]
fn what_proc_showed_is_not_taken_for_an_image_after_a_numbered_one() {
    let mut table = table();
    let shell = task(10);
    let ls = next_image(shell, "ls");
    // A reader without privileges does not see the place of the stack.
    table.on_snapshot(&SnapshotEntry { start_stack: 0, ..snapshot_entry(&shell, "/bin/sh") });
    exec(&mut table, ls, "/bin/ls");
    let lost = TaskWire { start_stack: 0, ..next_image(ls, "cat") };
    assert_eq!(resolved(&mut table, &lost), None);
    assert_eq!(resolved(&mut table, &shell).as_deref(), Some("/bin/sh"), "but it may be one before");
}

#[test]
fn without_counter_and_with_a_hidden_stack_proc_and_kernel_still_agree() {
    let mut table = table();
    let shell = TaskWire { image: 0, ..task(10) };
    table.on_snapshot(&SnapshotEntry { start_stack: 0, ..snapshot_entry(&shell, "/bin/sh") });
    assert_eq!(resolved(&mut table, &shell).as_deref(), Some("/bin/sh"));
}

#[test]
fn a_pid_used_again_within_a_tick_is_another_process() {
    let mut table = table();
    exec(&mut table, task(10), "/bin/first");
    let parent = next_image(task(20), "p");
    exec(&mut table, parent, "/bin/p");
    exit(&mut table, task(10), SECOND);
    let again = TaskWire { start_ns: task(10).start_ns + 1, ..child(&parent, 10) };
    fork(&mut table, &parent, again);
    let identity = exec(&mut table, next_image(again, "second"), "/bin/second");
    assert_eq!(executable(&identity.ancestors[0]), Some("/bin/p"));
    assert_eq!(resolved(&mut table, &task(10)), None, "the first is gone");
    exit(&mut table, next_image(again, "second"), SECOND);
    let third = exec(&mut table, TaskWire { ppid: 0, ..next_image(again, "third") }, "/bin/third");
    assert_eq!(third.ancestors.len(), 0);
}

#[test]
fn a_pid_used_again_is_another_process() {
    let mut table = table();
    let first = task(10);
    let second = TaskWire { start_ns: first.start_ns + SECOND, ..first };
    exec(&mut table, first, "/bin/first");
    exec(&mut table, second, "/bin/second");
    assert_eq!(resolved(&mut table, &first).as_deref(), Some("/bin/first"));
    assert_eq!(resolved(&mut table, &second).as_deref(), Some("/bin/second"));
}

#[test]
fn a_child_runs_its_parents_image_under_an_identity_of_its_own() {
    let mut table = table();
    let shell = next_image(task(10), "bash");
    let parent = exec(&mut table, shell, "/bin/bash");
    let forked = fork(&mut table, &shell, child(&shell, 11));
    assert_eq!(executable(&forked.process), Some("/bin/bash"));
    assert_eq!(forked.parent_exec_id(), parent.process.exec_id);
    assert_ne!(forked.process.exec_id, parent.process.exec_id);
}

#[test]
fn a_childs_parent_is_the_image_that_forked_it() {
    let mut table = table();
    let before = next_image(task(10), "old");
    let after = next_image(before, "new");
    exec(&mut table, before, "/bin/old");
    exec(&mut table, after, "/bin/new");
    let forked = fork(&mut table, &before, child(&before, 11));
    assert_eq!(executable(&forked.ancestors[0]), Some("/bin/old"));
}

#[test]
fn with_clone_parent_the_child_does_not_inherit_from_its_parent() {
    let mut table = table();
    let grandparent = next_image(task(10), "a");
    exec(&mut table, grandparent, "/bin/a");
    let creator = next_image(child(&grandparent, 11), "b");
    exec(&mut table, creator, "/bin/b");
    let sibling = TaskWire { ppid: 10, ..child(&creator, 12) };
    let forked = fork(&mut table, &grandparent, sibling);
    assert_eq!(executable(&forked.process), None);
    assert_eq!(executable(&forked.ancestors[0]), Some("/bin/a"));
}

#[test]
fn with_clone_parent_counters_tell_images_apart_where_no_stack_is_known() {
    let mut table = table();
    let grandparent = TaskWire { start_stack: 0, ..next_image(task(10), "a") };
    exec(&mut table, grandparent, "/bin/a");
    let creator = TaskWire { start_stack: 0, ..next_image(child(&grandparent, 11), "b") };
    let sibling = TaskWire { ppid: 10, ..child(&creator, 12) };
    assert_eq!(executable(&fork(&mut table, &grandparent, sibling).process), None);
    let own = fork(&mut table, &grandparent, child(&grandparent, 13));
    assert_eq!(executable(&own.process), Some("/bin/a"));
}

#[test]
fn a_double_fork_changes_ppid_and_not_ancestors() {
    let mut table = table();
    let shell = task(10);
    exec(&mut table, shell, "/bin/sh");
    let middle = child(&shell, 11);
    fork(&mut table, &shell, middle);
    let daemon = child(&middle, 12);
    fork(&mut table, &middle, daemon);
    exit(&mut table, middle, daemon.start_ns + 1);
    let orphan = TaskWire { ppid: 1, ..next_image(daemon, "evil") };
    let identity = exec(&mut table, orphan, "/tmp/evil");
    let pids: Vec<_> = identity.ancestors.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [11, 10, 1]);
}

#[test]
fn ancestors_end_after_sixteen() {
    let mut table = table();
    let mut parent = task(10);
    exec(&mut table, parent, "/bin/sh");
    for pid in 11..40 {
        let next = child(&parent, pid);
        let forked = fork(&mut table, &parent, next);
        assert_eq!(forked.ancestors[0].pid, pid - 1);
        assert!(forked.ancestors.len() <= 16);
        parent = next;
    }
}

#[test]
fn an_unknown_parent_is_described_by_what_its_newborn_child_copied() {
    let mut table = table();
    let parent = next_image(task(10), "daemon");
    let forked = fork(&mut table, &parent, child(&parent, 11));
    let [known] = &*forked.ancestors else { panic!("{:?}", forked.ancestors) };
    assert_eq!((known.pid, known.name.as_str(), known.uid), (10, Some("daemon"), Some(1000)));
    assert_eq!(executable(known), None);
    let seen = table.resolve(&parent, SECOND).unwrap();
    assert_eq!(known.exec_id, seen.exec_id, "the same identity as when it acts itself");
}

#[test]
fn an_ended_process_is_known_until_its_grace_is_over() {
    let mut table = table();
    let shell = task(10);
    exec(&mut table, shell, "/bin/sh");
    let end = exit(&mut table, shell, SECOND);
    assert_eq!(executable(&end.process), Some("/bin/sh"));
    assert_eq!(resolved(&mut table, &shell).as_deref(), Some("/bin/sh"));
    apply(&mut table, &testing::fork(task(11)).at(6 * SECOND - 1).build());
    assert_eq!(resolved(&mut table, &shell).as_deref(), Some("/bin/sh"));
    apply(&mut table, &testing::fork(task(12)).at(6 * SECOND).build());
    assert_eq!(resolved(&mut table, &shell), None);
    assert_eq!(table.counts(), TableCounts { processes: 2, evicted_ended: 0, evicted_alive: 0 });
}

#[test]
fn a_full_table_drops_the_ended_first_and_then_the_oldest() {
    let mut table = table_of(3);
    for pid in [10, 11, 12] {
        exec(&mut table, task(pid), "/bin/x");
    }
    exit(&mut table, task(12), task(12).start_ns);
    exec(&mut table, task(13), "/bin/x");
    assert_eq!(table.counts(), TableCounts { processes: 3, evicted_ended: 1, evicted_alive: 0 });
    assert_eq!(resolved(&mut table, &task(12)), None);
    exec(&mut table, task(14), "/bin/x");
    assert_eq!(table.counts(), TableCounts { processes: 3, evicted_ended: 1, evicted_alive: 1 });
    assert_eq!(resolved(&mut table, &task(10)), None);
    assert_eq!(resolved(&mut table, &task(11)).as_deref(), Some("/bin/x"));
}

#[test]
fn books_stay_small_over_many_short_lives() {
    let mut table = table_of(50);
    for round in 0..10_000_u32 {
        // All within the grace period, under two pids only.
        let task = TaskWire { start_ns: u64::from(round % 7) * TICK_NS, ..task(round % 2 + 1) };
        exec(&mut table, task, "/bin/x");
        exit(&mut table, task, 1);
    }
    let (order, ended) = table.book_lengths();
    assert!(order <= 200 && ended <= 200, "{order} and {ended} entries for 50 processes");
}

#[test]
fn name_user_and_container_of_the_record_win() {
    let mut table = table();
    let shell = task(10);
    exec(&mut table, shell, "/bin/sh");
    let names = format!("docker-{CONTAINER}.scope/system.slice/");
    let inside = TaskWire { cgroup_id: 99, ..task(11) };
    apply(&mut table, &testing::exec(inside, "/x", &[]).text(|wire| &mut wire.cgroup, names).build());
    let changed = TaskWire { comm: testing::comm("renamed"), uid: 33, cgroup_id: 99, ..shell };
    let process = table.resolve(&changed, SECOND).unwrap();
    assert_eq!((process.name.as_str(), process.uid), (Some("renamed"), Some(33)));
    assert_eq!(process.container_id.as_deref(), Some(CONTAINER));
    assert_eq!(executable(&process), Some("/bin/sh"));
    assert!(std::sync::Arc::ptr_eq(&process, &table.resolve(&changed, SECOND).unwrap()), "made once");
    let before = table.resolve(&shell, SECOND).unwrap();
    assert_eq!((before.name.as_str(), before.uid, &before.container_id), (Some("sh"), Some(1000), &None));
}

#[test]
fn each_change_of_user_is_seen() {
    let mut table = table();
    exec(&mut table, task(10), "/bin/sh");
    for uid in [0, 33, 0, 1000] {
        let process = table.resolve(&TaskWire { uid, ..task(10) }, SECOND).unwrap();
        assert_eq!(process.uid, Some(uid));
    }
}

#[test]
fn children_are_in_their_parents_container_unless_born_into_another_group() {
    let mut table = table();
    let names = format!("docker-{CONTAINER}.scope/system.slice/");
    let inside = TaskWire { cgroup_id: 99, ..task(10) };
    apply(&mut table, &testing::exec(inside, "/x", &[]).text(|wire| &mut wire.cgroup, names).build());
    exec(&mut table, task(20), "/bin/sh");
    let stays = fork(&mut table, &inside, child(&inside, 11));
    assert_eq!(stays.process.container_id.as_deref(), Some(CONTAINER));
    let leaves = fork(&mut table, &inside, TaskWire { cgroup_id: 77, ..child(&inside, 12) });
    assert_eq!(leaves.process.container_id, None, "group 77 is a session");
}

#[test]
fn a_process_nobody_announced_is_described_by_its_record() {
    let mut table = table();
    let process = table.resolve(&task(10), SECOND).unwrap();
    assert_eq!((process.pid, process.name.as_str(), process.uid), (10, Some("sh"), Some(1000)));
    assert_eq!(executable(&process), None);
    let id = process.exec_id.unwrap();
    assert_eq!((id.boot, id.pid, id.start_ticks), (0x3f2a_9c1e, 10, 10));
    assert_ne!(id.image, 0);
    assert_eq!(table.resolve(&task(0), SECOND), None);
    let bytes = testing::RecordBuilder::<NetworkWire>::new(Kind::NetworkClose, task(9)).build();
    assert!(decode(&bytes).is_ok_and(|record| table.resolve(record.task(), 0).is_some()));
}

#[test]
fn proc_and_kernel_agree_on_a_process() {
    let mut table = table();
    let shell = task(10);
    let from_proc = table.on_snapshot(&snapshot_entry(&shell, "/bin/sh"));
    let process = table.resolve(&shell, SECOND).unwrap();
    assert_eq!(executable(&process), Some("/bin/sh"));
    assert_eq!(process.exec_id, from_proc.process.exec_id);
    // From here on its number is known, so a later image is not mistaken for it, even without a stack.
    let lost = TaskWire { start_stack: 0, ..next_image(shell, "ls") };
    assert_eq!(resolved(&mut table, &lost), None);
    let end = TaskWire { start_stack: 0, ..shell };
    assert_eq!(executable(&exit(&mut table, end, SECOND).process), Some("/bin/sh"));
}

#[test]
fn an_exec_between_reading_proc_and_its_record_makes_one_image() {
    let mut table = table();
    let ls = next_image(task(10), "ls");
    table.on_snapshot(&snapshot_entry(&ls, "/bin/ls"));
    let identity = exec(&mut table, ls, "/bin/ls");
    assert_eq!(identity.process.exec_id, table.resolve(&ls, SECOND).unwrap().exec_id);
    assert_eq!(table.counts().processes, 1);
    // An image from before is not that one.
    assert_eq!(resolved(&mut table, &task(10)), None);
}

#[test]
fn proc_completes_what_the_kernel_showed_and_replaces_nothing() {
    let mut table = table();
    let shell = task(10);
    fork(&mut table, &task(9), shell);
    let renamed = TaskWire { comm: testing::comm("other"), ..shell };
    assert_eq!(resolved(&mut table, &shell), None);
    assert_eq!(resolved(&mut table, &renamed), None);
    table.on_snapshot(&snapshot_entry(&shell, "/bin/sh"));
    assert_eq!(resolved(&mut table, &shell).as_deref(), Some("/bin/sh"));
    assert_eq!(resolved(&mut table, &renamed).as_deref(), Some("/bin/sh"));
    table.on_snapshot(&snapshot_entry(&shell, "/bin/other"));
    assert_eq!(resolved(&mut table, &shell).as_deref(), Some("/bin/sh"));
}

#[test]
fn a_fork_recorded_after_proc_was_read_gives_the_lineage() {
    let mut table = table();
    let shell = task(10);
    exec(&mut table, shell, "/bin/sh");
    let ls = next_image(child(&shell, 11), "ls");
    table.on_snapshot(&snapshot_entry(&ls, "/bin/ls"));
    let forked = fork(&mut table, &shell, child(&shell, 11));
    assert_eq!(forked.ancestors[0].pid, 10);
    assert_eq!(exec(&mut table, ls, "/bin/ls").ancestors[0].pid, 10);
    assert_eq!(resolved(&mut table, &child(&shell, 11)).as_deref(), Some("/bin/sh"));
    assert_eq!(resolved(&mut table, &ls).as_deref(), Some("/bin/ls"));
}

#[test]
fn snapshots_bring_lineage_and_containers() {
    let mut table = table();
    let parent = task(10);
    table.on_snapshot(&snapshot_entry(&parent, "/sbin/init"));
    let entry = SnapshotEntry {
        ppid: 10,
        parent_start_ticks: Some(10),
        cgroup: Some(format!("/docker/{CONTAINER}").into_bytes().into()),
        cgroup_id: Some(5),
        ..snapshot_entry(&task(11), "/bin/sh")
    };
    let identity = table.on_snapshot(&entry);
    assert_eq!(executable(&identity.ancestors[0]), Some("/sbin/init"));
    assert_eq!(identity.process.container_id.as_deref(), Some(CONTAINER));
    let other = TaskWire { cgroup_id: 5, ..task(12) };
    assert_eq!(table.resolve(&other, 0).unwrap().container_id.as_deref(), Some(CONTAINER));
}
