//! Reading the processes that run from `/proc`, once.
//!
//! Total: a process may vanish or exec between any two reads; what is gone is left out, what cannot be read is absent.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use collector_core::Namespaces;
use rustc_hash::FxHashMap;

use super::container::path_in_proc;
use super::snapshot::SnapshotEntry;
use crate::clock::boottime_ns;

/// Flag of a kernel thread in `/proc/PID/stat` (`PF_KTHREAD`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// Longest small file read from `/proc`.
const FILE_MAX: usize = 16 * 1024;

/// How the link of an executable ends that has no name any more.
const DELETED: &[u8] = b" (deleted)";

/// Where and how much to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Procfs {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
    /// Bytes of an argument vector to keep.
    pub argv_max: usize,
}

impl Default for Procfs {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            cgroup: PathBuf::from("/sys/fs/cgroup"),
            argv_max: collector_common::ARGV_MAX,
        }
    }
}

impl Procfs {
    /// All processes, parents before their children. Lists them at once and reads each when it is asked for.
    ///
    /// # Errors
    /// When the directory of processes cannot be listed.
    pub fn snapshot(&self) -> std::io::Result<impl Iterator<Item = SnapshotEntry> + use<>> {
        let mut listed: Vec<(u64, u32)> = Vec::new();
        for entry in fs::read_dir(&self.proc)? {
            let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(stat) = self.stat(pid) {
                listed.push((stat.start_ticks, pid));
            }
        }
        // Nobody is older than his parent: a new one after the parent's death is an ancestor, too.
        listed.sort_unstable();
        let starts: FxHashMap<u32, u64> = listed.iter().map(|&(ticks, pid)| (pid, ticks)).collect();
        let procfs = self.clone();
        let mut cgroup_ids = FxHashMap::default();
        Ok(listed.into_iter().filter_map(move |(start_ticks, pid)| {
            let mut entry = procfs.process(pid)?;
            if entry.start_ticks != start_ticks {
                return None;
            }
            entry.parent_start_ticks = starts.get(&entry.ppid).copied();
            procfs.identify_cgroup(&mut entry, &mut cgroup_ids);
            Some(entry)
        }))
    }

    /// One process, without what only a [`snapshot`](Self::snapshot) of all can know.
    fn process(&self, pid: u32) -> Option<SnapshotEntry> {
        // An exec between two reads would mix two images: then the second try, at a moment when the process is quite
        // new, is taken as it is.
        let mut before = self.stat(pid)?;
        let mut entry = self.details(pid);
        let after = self.stat(pid)?;
        if after.start_stack != before.start_stack {
            entry = self.details(pid);
            before = after;
        }
        entry.seen_ns = boottime_ns();
        entry.pid = pid;
        entry.ppid = before.ppid;
        entry.start_ticks = before.start_ticks;
        entry.start_stack = before.start_stack;
        entry.kernel_thread = before.kernel_thread;
        entry.comm = before.comm;
        Some(entry)
    }

    fn stat(&self, pid: u32) -> Option<Stat> {
        Stat::parse(&self.read(pid, "stat", FILE_MAX)?)
    }

    fn details(&self, pid: u32) -> SnapshotEntry {
        let mut entry = SnapshotEntry::default();
        let mut argv = self.read(pid, "cmdline", self.argv_max + 1).unwrap_or_default();
        entry.argv_truncated = argv.len() > self.argv_max;
        argv.truncate(self.argv_max);
        entry.argv = argv.into();
        if let Some(mut exe) = self.link(pid, "exe") {
            // The name of a living file may end like the mark.
            let linked = || fs::metadata(self.path(pid, "exe")).is_ok_and(|file| file.nlink() > 0);
            if exe.ends_with(DELETED) && !linked() {
                exe.truncate(exe.len() - DELETED.len());
                entry.exe_deleted = true;
            }
            entry.exe = Some(exe.into());
        }
        entry.cwd = self.link(pid, "cwd").map(Into::into);
        if let Some(status) = self.read(pid, "status", FILE_MAX) {
            read_status(&status, &mut entry);
        }
        let number = |name| -> Option<u32> {
            let text = self.read(pid, name, FILE_MAX)?;
            std::str::from_utf8(&text).ok()?.trim().parse().ok().filter(|&number| number != u32::MAX)
        };
        entry.login_uid = number("loginuid");
        entry.session_id = number("sessionid");
        entry.namespaces = Namespaces {
            mnt: self.namespace(pid, "ns/mnt"),
            pid: self.namespace(pid, "ns/pid"),
            net: self.namespace(pid, "ns/net"),
            user: self.namespace(pid, "ns/user"),
        };
        entry.cgroup = self.read(pid, "cgroup", FILE_MAX).map(Into::into);
        entry
    }

    /// Replaces the text of the `cgroup` file by the path it names and finds the id: the directory's inode number.
    fn identify_cgroup(&self, entry: &mut SnapshotEntry, known: &mut FxHashMap<Box<[u8]>, Option<u64>>) {
        let Some(text) = entry.cgroup.take() else { return };
        let Some((path, is_v1)) = path_in_proc(&text) else { return };
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let directory = || {
            let root = if is_v1 { self.cgroup.join("memory") } else { self.cgroup.clone() };
            root.join(Path::new(std::ffi::OsStr::from_bytes(relative)))
        };
        let id = *known
            .entry(path.into())
            .or_insert_with(|| fs::metadata(directory()).ok().map(|directory| directory.ino()));
        entry.cgroup_id = id;
        entry.cgroup = Some(path.into());
    }

    fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.proc.join(pid.to_string()).join(name)
    }

    fn read(&self, pid: u32, name: &str, limit: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs::File::open(self.path(pid, name)).ok()?;
        file.take(limit as u64).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn link(&self, pid: u32, name: &str) -> Option<Vec<u8>> {
        Some(fs::read_link(self.path(pid, name)).ok()?.into_os_string().as_bytes().to_vec())
    }

    fn namespace(&self, pid: u32, name: &str) -> u32 {
        let inode = || -> Option<u32> {
            let link = self.link(pid, name)?;
            let text = std::str::from_utf8(&link).ok()?;
            text.split_once('[')?.1.strip_suffix(']')?.parse().ok()
        };
        inode().unwrap_or(0)
    }
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    comm: Box<[u8]>,
    ppid: u32,
    start_ticks: u64,
    start_stack: u64,
    kernel_thread: bool,
}

impl Stat {
    fn parse(line: &[u8]) -> Option<Self> {
        // The name may hold spaces and parentheses; the last one ends it.
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The manual counts from 1, the name being 2.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            comm: line.get(open + 1..close)?.into(),
            ppid: u32::try_from(field(4)?).ok()?,
            start_ticks: field(22)?,
            start_stack: field(28)?,
            kernel_thread: field(9)? & PF_KTHREAD != 0,
        })
    }
}

fn read_status(status: &[u8], entry: &mut SnapshotEntry) {
    for line in status.split(|&byte| byte == b'\n') {
        let Some((name, values)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':'))
        else {
            continue;
        };
        let mut numbers = values.split_ascii_whitespace().map(|value| value.parse::<u32>().ok());
        match name {
            "Uid" => {
                entry.uid = numbers.next().flatten();
                entry.euid = numbers.next().flatten();
            }
            "Gid" => {
                entry.gid = numbers.next().flatten();
                entry.egid = numbers.next().flatten();
            }
            "NSpid" if numbers.next().is_some() => entry.pid_in_namespace = numbers.next_back().flatten(),
            "CapEff" => entry.capabilities = u64::from_str_radix(values.trim(), 16).ok(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
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
        let stat = format!(
            "{pid} (p{pid}) S {ppid} 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start_ticks} 0 0 0 0 0 64 0"
        );
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
        let order: Vec<_> = procfs(root.path())
            .snapshot()
            .unwrap()
            .map(|entry| (entry.pid, entry.parent_start_ticks))
            .collect();
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
        let entry =
            Procfs::default().snapshot().unwrap().find(|entry| entry.pid == own).expect("own process");
        let exe = std::env::current_exe().unwrap();
        assert_eq!(entry.exe.as_deref(), Some(exe.as_os_str().as_bytes()));
        assert_ne!(entry.start_stack, 0);
        assert!(entry.parent_start_ticks.is_some());
    }
}
