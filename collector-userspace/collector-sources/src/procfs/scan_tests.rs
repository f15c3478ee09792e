//! Scans of a made-up `/proc`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use collector_core::ProcessEvent;
use collector_core::monitor::{Look, MonitorCollectorStats};
use proptest::prelude::*;

use super::scan::ProcessScan;
use crate::config::Filter;
use crate::identity::Boot;
use crate::identity::snapshot::Procfs;
use crate::procmond::ProcessCollectionConfig;

/// A `/proc` of our own.
struct Fake {
    root: tempfile::TempDir,
    scan: ProcessScan,
    stats: Arc<MonitorCollectorStats>,
}

/// What differs between processes here.
struct Process {
    pid: u32,
    ppid: u32,
    start_ticks: u64,
    stack: u64,
    state: char,
    flags: u32,
    threads: u32,
    cpu_ticks: u64,
    uid: u32,
}

fn process(pid: u32, ppid: u32) -> Process {
    let start_ticks = u64::from(pid) * 10;
    Process { pid, ppid, start_ticks, stack: 64, state: 'S', flags: 0, threads: 1, cpu_ticks: 0, uid: 1000 }
}

impl Fake {
    fn new(config: ProcessCollectionConfig, filter: Filter) -> Self {
        let root = tempfile::tempdir().unwrap();
        let procfs = Procfs { proc: root.path().to_owned(), cgroup: root.path().to_owned(), argv_max: 0 };
        let stats = Arc::new(MonitorCollectorStats::default());
        let scan =
            ProcessScan::new(procfs, Boot::new("00000007", 100), "test", config, filter, Arc::clone(&stats));
        Self { root, scan, stats }
    }

    fn with(processes: &[Process]) -> Self {
        let fake = Self::new(ProcessCollectionConfig::default(), Filter::default());
        processes.iter().for_each(|process| fake.write(process));
        fake
    }

    fn write(&self, process: &Process) {
        let Process { pid, ppid, start_ticks, stack, state, flags, threads, cpu_ticks, uid } = process;
        let stat = format!(
            "{pid} (p{pid}) {state} {ppid} 0 0 0 -1 {flags} 0 0 0 0 {cpu_ticks} 0 0 0 20 0 {threads} 0 {start_ticks} 0 3 0 0 0 {stack} 0"
        );
        self.put(*pid, "stat", stat.as_bytes());
        self.put(*pid, "cmdline", format!("p{pid}\0").as_bytes());
        self.put(*pid, "status", format!("Uid:\t{uid}\t{uid}\t0\t0\n").as_bytes());
        let exe = self.root.path().join(pid.to_string()).join("exe");
        if fs::symlink_metadata(&exe).is_err() {
            symlink("/bin/p", exe).unwrap();
        }
    }

    fn put(&self, pid: u32, name: &str, content: &[u8]) {
        let directory = self.root.path().join(pid.to_string());
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), content).unwrap();
    }

    fn remove(&self, pid: u32) {
        fs::remove_dir_all(self.root.path().join(pid.to_string())).unwrap();
    }

    fn look(&mut self) -> Look {
        self.scan.look().unwrap()
    }

    fn pids(&mut self) -> (Vec<u32>, Vec<u32>) {
        let mut look = self.look();
        look.unread.sort_unstable();
        (look.processes.iter().map(|process| process.pid).collect(), look.unread)
    }

    fn one(&mut self, pid: u32) -> Arc<ProcessEvent> {
        self.look().processes.into_iter().find(|process| process.pid == pid).unwrap()
    }
}

#[test]
fn a_look_has_parents_before_their_children_and_names_ancestors() {
    let mut fake = Fake::with(&[Process { start_ticks: 5, ..process(9, 0) }, process(3, 9), process(4, 3)]);
    let look = fake.look();
    let pids: Vec<u32> = look.processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [9, 3, 4]);
    let ancestors: Vec<u32> = look.processes[2].ancestors.iter().map(|process| process.pid).collect();
    assert_eq!(ancestors, [3, 9]);
    // Who loses his parent keeps his ancestors.
    fake.remove(3);
    fake.write(&process(4, 9));
    let orphan = fake.one(4);
    assert_eq!((orphan.ppid, orphan.parent_exec_id), (Some(9), look.processes[1].exec_id));
}

#[test]
fn the_identity_is_that_of_the_kernels_records() {
    let mut fake = Fake::with(&[Process { stack: 0x7ffc_1234_5678, ..process(9, 0) }]);
    let expected = Boot::new("00000007", 100).exec_id(9, 90, 0x7ffc_1234_5678);
    assert_eq!(fake.one(9).exec_id, Some(expected));
    fake.write(&Process { stack: 0x7ffd_0000_0000, ..process(9, 0) });
    let expected = Boot::new("00000007", 100).exec_id(9, 90, 0x7ffd_0000_0000);
    assert_eq!(fake.one(9).exec_id, Some(expected));
}

#[test]
fn who_has_ended_is_gone_before_the_parent_takes_notice() {
    let zombie = Process { state: 'Z', ..process(3, 1) };
    let exiting = Process { state: 'R', flags: 4, ..process(4, 1) };
    let headless = Process { state: 'Z', threads: 2, ..process(5, 1) };
    let mut fake = Fake::with(&[process(1, 0), zombie, exiting, headless]);
    assert_eq!(fake.pids(), (vec![1], vec![5]));
    assert_eq!(fake.stats.snapshot().vanished, 0, "they did not go while they were read");
}

#[test]
fn usage_is_that_since_the_look_before() {
    let mut fake = Fake::with(&[process(1, 0)]);
    let first = fake.one(1);
    assert_eq!((first.cpu_usage, first.memory_usage), (None, Some(3 * rustix::param::page_size() as u64)));
    // An hour of processor time in much less than an hour.
    fake.write(&Process { cpu_ticks: 360_000, ..process(1, 0) });
    assert!(fake.one(1).cpu_usage.unwrap() > 100.0);
    assert_eq!(fake.one(1).cpu_usage, Some(0.0));
}

#[test]
fn what_is_no_process_is_counted_and_not_taken_for_an_end() {
    let mut fake = Fake::with(&[process(1, 0), process(2, 1), process(3, 1)]);
    fake.put(2, "stat", b"2 (x) nonsense");
    fs::remove_file(fake.root.path().join("3/stat")).unwrap();
    fs::create_dir(fake.root.path().join("3/stat")).unwrap();
    fs::create_dir(fake.root.path().join("4")).unwrap();
    assert_eq!(fake.pids(), (vec![1], vec![2, 3]));
    let stats = fake.stats.snapshot();
    assert_eq!((stats.unreadable, stats.vanished, stats.denied), (2, 1, 0));
}

#[test]
fn who_is_beyond_the_limit_is_counted_and_known_ones_come_first() {
    let config = ProcessCollectionConfig { max_processes: 10, ..Default::default() };
    let mut fake = Fake::new(config, Filter::default());
    let known: Vec<u32> = (11..21).collect();
    known.iter().for_each(|pid| fake.write(&process(*pid, 0)));
    assert_eq!(fake.pids(), (known.clone(), vec![]));
    // Before and after them, whatever the order of the directory.
    let new = [1, 2, 3, 31, 32, 33];
    new.iter().for_each(|pid| fake.write(&process(*pid, 0)));
    assert_eq!(fake.pids(), (known, new.to_vec()));
    assert_eq!(fake.stats.snapshot().beyond_limit, 6);
}

#[test]
fn filters_leave_out_others_and_follow_descent_and_users() {
    let filter = Filter { pids: vec![2], ..Filter::default() };
    let mut fake = Fake::new(ProcessCollectionConfig::default(), filter);
    for (pid, ppid) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1)] {
        fake.write(&process(pid, ppid));
    }
    assert_eq!(fake.pids(), (vec![2, 3, 4], vec![]));
    // A descendant stays one when its parent has gone.
    fake.remove(3);
    fake.write(&process(4, 1));
    assert_eq!(fake.pids(), (vec![2, 4], vec![]));
    assert_eq!(fake.stats.snapshot().skipped, 2);

    let filter = Filter { uid: Some(33), ..Filter::default() };
    let mut fake = Fake::new(ProcessCollectionConfig::default(), filter);
    fake.write(&process(1, 0));
    fake.write(&Process { uid: 33, ..process(2, 1) });
    assert_eq!(fake.pids(), (vec![2], vec![]));
    // Who becomes another user has not ended, and who becomes this one is seen.
    fake.write(&Process { uid: 33, ..process(1, 0) });
    fake.write(&process(2, 1));
    assert_eq!(fake.pids(), (vec![1], vec![2]));
}

#[test]
fn processes_of_the_system_are_left_out_when_asked() {
    let check = |config: ProcessCollectionConfig, expected: &[u32]| {
        let mut fake = Fake::new(config, Filter::default());
        fake.write(&Process { flags: 0x0020_0000, stack: 0, uid: 0, ..process(2, 0) });
        fake.write(&Process { uid: 33, ..process(3, 1) });
        fake.write(&Process { uid: 0, ..process(4, 1) });
        fake.put(4, "loginuid", b"1000");
        fake.write(&process(5, 1));
        assert_eq!(fake.pids().0, expected);
    };
    let config = ProcessCollectionConfig { collect_enhanced_metadata: false, ..Default::default() };
    check(config.clone(), &[2, 3, 4, 5]);
    check(ProcessCollectionConfig { skip_kernel_threads: true, ..config.clone() }, &[3, 4, 5]);
    check(ProcessCollectionConfig { skip_system_processes: true, ..config }, &[4, 5]);
}

#[test]
fn a_directory_without_processes_is_an_error_and_not_the_end_of_all() {
    let mut fake = Fake::with(&[]);
    let error = fake.scan.look().unwrap_err();
    assert!(error.to_string().contains("is /proc mounted?"), "{error}");
    fake.write(&process(1, 0));
    assert_eq!(fake.pids().0, [1]);
    assert!(Path::new("/proc/self").exists());
}

/// Files of a process, with any bytes in them.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let stat = "7 (p) S 1 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 70 0 0 0 0 0 64 0";
    let damaged = (0..stat.len(), any::<u8>()).prop_map(move |(at, byte)| {
        let mut bytes = stat.as_bytes().to_vec();
        bytes[at] = byte;
        bytes
    });
    let named = proptest::collection::vec(any::<u8>(), 0..15).prop_map(|name| {
        let mut bytes = b"7 (".to_vec();
        bytes.extend(name);
        bytes.extend(b") S 1 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 70 0 0 0 0 0 64 0");
        bytes
    });
    prop_oneof![damaged, named, proptest::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_files_hold_the_others_are_read(stat in content(), other in content(), file in 0..6_usize) {
        let mut fake = Fake::with(&[process(1, 0), process(7, 1)]);
        fake.look();
        fake.put(7, "stat", &stat);
        let name = ["cmdline", "status", "loginuid", "sessionid", "cgroup", "oom"][file];
        fake.put(7, name, &other);
        let (pids, _) = fake.pids();
        prop_assert!(pids.contains(&1));
    }
}
