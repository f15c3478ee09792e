//! Processes as made-up and real files of `/proc` show them.

use std::os::unix::fs::symlink;

use collector_core::Text;

use super::*;

#[test]
fn names_with_parentheses_and_spaces_do_not_shift_fields() {
    let line =
        b"12 (a) b (c) S 7 12 12 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 149908 31 36 184 1 2 4096 0 0";
    let stat = Stat::parse(line).unwrap();
    assert_eq!(&*stat.comm, b"a) b (c");
    assert_eq!((stat.ppid, stat.start_ticks, stat.start_stack), (7, 149_908, 4096));
    assert!(!stat.kernel_thread);
}

#[test]
fn broken_stat_lines_are_no_process() {
    for line in [&b""[..], b"1", b"1 (x", b"1 )x(", b"1 (x) S 1 2", b"1 (x) S a b c", b"1 (\xff) \xff"] {
        assert_eq!(Stat::parse(line), None, "{}", String::from_utf8_lossy(line));
    }
}

/// A process directory with the usual files.
fn process(root: &Path, pid: u32, ppid: u32, start_ticks: u64, exe: &str) {
    let directory = root.join(pid.to_string());
    fs::create_dir_all(directory.join("ns")).unwrap();
    let stat =
        format!("{pid} (p{pid}) S {ppid} 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start_ticks} 0 0 0 0 0 64 0");
    fs::write(directory.join("stat"), stat).unwrap();
    fs::write(directory.join("cmdline"), "p\0--all\0").unwrap();
    let status = "Uid:\t1000\t0\t0\t0\nGid:\t100\t50\t0\t0\nNSpid:\t9\t3\nCapEff:\t00000000000000ff\n";
    fs::write(directory.join("status"), status).unwrap();
    fs::write(directory.join("loginuid"), "4294967295").unwrap();
    fs::write(directory.join("sessionid"), "3").unwrap();
    fs::write(directory.join("cgroup"), "0::/user.slice\n").unwrap();
    symlink(exe, directory.join("exe")).unwrap();
    symlink("/home/u", directory.join("cwd")).unwrap();
    symlink("mnt:[4026531841]", directory.join("ns/mnt")).unwrap();
}

fn procfs(root: &Path) -> Procfs {
    Procfs { proc: root.to_owned(), cgroup: root.to_owned(), argv_max: 5 }
}

#[test]
fn a_process_comes_with_everything_its_files_say() {
    let root = tempfile::tempdir().unwrap();
    process(root.path(), 9, 1, 500, "/memfd:x (deleted)");
    fs::create_dir(root.path().join("user.slice")).unwrap();
    let entries: Vec<_> = procfs(root.path()).snapshot().unwrap().collect();
    let [entry] = &*entries else { panic!("{entries:?}") };
    let expected = SnapshotEntry {
        seen_ns: entry.seen_ns,
        pid: 9,
        ppid: 1,
        parent_start_ticks: None,
        start_ticks: 500,
        start_stack: 64,
        comm: (*b"p9").into(),
        exe: Some((*b"/memfd:x").into()),
        exe_deleted: true,
        argv: (*b"p\0--a").into(),
        argv_truncated: true,
        cwd: Some((*b"/home/u").into()),
        uid: Some(1000),
        gid: Some(100),
        euid: Some(0),
        egid: Some(50),
        login_uid: None,
        session_id: Some(3),
        namespaces: Namespaces { mnt: 4_026_531_841, ..Namespaces::default() },
        pid_in_namespace: Some(3),
        capabilities: Some(0xff),
        cgroup: Some((*b"/user.slice").into()),
        cgroup_id: Some(fs::metadata(root.path().join("user.slice")).unwrap().ino()),
        kernel_thread: false,
    };
    assert_eq!(*entry, expected);
    assert_eq!(entry.executable(), Some(Text::from("memfd:x")));
}

#[test]
fn a_living_file_whose_name_ends_like_the_mark_is_not_deleted() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("x (deleted)");
    fs::write(&file, "").unwrap();
    process(root.path(), 9, 1, 500, file.to_str().unwrap());
    let entry = procfs(root.path()).snapshot().unwrap().next().unwrap();
    assert!(!entry.exe_deleted);
    assert_eq!(entry.executable(), Some(Text::from(file.to_str().unwrap())));
}

#[test]
fn parents_come_before_children_and_are_named_by_their_start() {
    let root = tempfile::tempdir().unwrap();
    process(root.path(), 5, 400, 30, "/c");
    process(root.path(), 400, 1, 20, "/b");
    process(root.path(), 1, 0, 10, "/a");
    let order: Vec<_> =
        procfs(root.path()).snapshot().unwrap().map(|entry| (entry.pid, entry.parent_start_ticks)).collect();
    assert_eq!(order, [(1, None), (400, Some(10)), (5, Some(20))]);
}

#[test]
fn what_vanishes_while_it_is_read_is_left_out() {
    let root = tempfile::tempdir().unwrap();
    process(root.path(), 1, 0, 10, "/a");
    process(root.path(), 2, 1, 20, "/b");
    process(root.path(), 3, 1, 30, "/c");
    let mut snapshot = procfs(root.path()).snapshot().unwrap();
    assert_eq!(snapshot.next().map(|entry| entry.pid), Some(1));
    fs::remove_dir_all(root.path().join("2")).unwrap();
    // Another process under the same pid is not the one that was listed.
    fs::remove_dir_all(root.path().join("3")).unwrap();
    process(root.path(), 3, 1, 31, "/d");
    assert_eq!(snapshot.next(), None);
}

#[test]
fn files_that_cannot_be_read_leave_fields_absent() {
    let root = tempfile::tempdir().unwrap();
    process(root.path(), 1, 0, 10, "/a");
    for file in ["cmdline", "exe", "cwd", "status", "loginuid", "sessionid", "cgroup", "ns/mnt"] {
        fs::remove_file(root.path().join("1").join(file)).unwrap();
    }
    let entry = procfs(root.path()).snapshot().unwrap().next().unwrap();
    let expected = SnapshotEntry {
        seen_ns: entry.seen_ns,
        pid: 1,
        start_ticks: 10,
        start_stack: 64,
        comm: (*b"p1").into(),
        ..SnapshotEntry::default()
    };
    assert_eq!(entry, expected);
}

#[test]
fn this_very_process_is_in_the_real_one() {
    let own = std::process::id();
    let entry = Procfs::default().snapshot().unwrap().find(|entry| entry.pid == own).expect("own process");
    let exe = std::env::current_exe().unwrap();
    assert_eq!(entry.exe.as_deref(), Some(exe.as_os_str().as_bytes()));
    assert_ne!(entry.start_stack, 0);
    assert!(entry.parent_start_ticks.is_some());
}
