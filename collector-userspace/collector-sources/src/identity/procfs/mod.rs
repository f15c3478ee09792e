//! Reading processes from `/proc`: all of them once, or one of them in parts.
//!
//! Total: a process may vanish or exec between any two reads; what is gone is left out, what cannot be read is absent.

mod stat;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Read;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use collector_core::Namespaces;
use rustc_hash::FxHashMap;

pub(crate) use self::stat::Stat;
use super::container::path_in_proc;
use super::snapshot::SnapshotEntry;
use crate::clock::boottime_ns;

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
        for pid in self.pids()? {
            if let Ok(stat) = self.stat(pid) {
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

    /// The pids of all processes, in the order of the directory.
    pub(crate) fn pids(&self) -> std::io::Result<Vec<u32>> {
        let names = fs::read_dir(&self.proc)?.filter_map(Result::ok).map(|entry| entry.file_name());
        Ok(names.filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// One process, without what only a [`snapshot`](Self::snapshot) of all can know.
    fn process(&self, pid: u32) -> Option<SnapshotEntry> {
        let before = self.stat(pid).ok()?;
        self.read_process(pid, &before, Self::details).ok().map(|(_, entry)| entry)
    }

    /// One process whose `stat` was just read: what `read` reads of it, and its `stat` as of then.
    pub(crate) fn read_process(
        &self,
        pid: u32,
        before: &Stat,
        read: impl Fn(&Self, u32) -> SnapshotEntry,
    ) -> Result<(Stat, SnapshotEntry), Unread> {
        // An exec between two reads would mix two images: then the second try, at a moment when the process is quite
        // new, is taken as it is.
        let mut entry = read(self, pid);
        let after = self.stat(pid)?;
        if after.start_ticks != before.start_ticks {
            return Err(Unread::Gone);
        }
        if after.start_stack != before.start_stack {
            entry = read(self, pid);
        }
        entry.seen_ns = boottime_ns();
        entry.pid = pid;
        entry.ppid = after.ppid;
        entry.start_ticks = after.start_ticks;
        entry.start_stack = after.start_stack;
        entry.kernel_thread = after.kernel_thread;
        entry.comm = after.comm.clone();
        Ok((after, entry))
    }

    pub(crate) fn stat(&self, pid: u32) -> Result<Stat, Unread> {
        let line = self.try_read(pid, "stat", FILE_MAX).map_err(|error| Unread::of(&error))?;
        Stat::parse(&line).ok_or(if line.is_empty() { Unread::Gone } else { Unread::Malformed })
    }

    /// All that a process's own files say of it.
    pub(crate) fn details(&self, pid: u32) -> SnapshotEntry {
        let mut entry = self.brief(pid);
        entry.cwd = self.link(pid, "cwd").map(Into::into);
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

    /// What may change without an exec and is worth comparing: arguments, executable, users.
    pub(crate) fn brief(&self, pid: u32) -> SnapshotEntry {
        let mut entry = SnapshotEntry::default();
        let mut argv = self.read(pid, "cmdline", self.argv_max.saturating_add(1)).unwrap_or_default();
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
        if let Some(status) = self.read(pid, "status", FILE_MAX) {
            read_status(&status, &mut entry);
        }
        entry
    }

    /// Replaces the text of the `cgroup` file by the path it names and finds the id: the directory's inode number.
    pub(crate) fn identify_cgroup(
        &self,
        entry: &mut SnapshotEntry,
        known: &mut FxHashMap<Box<[u8]>, Option<u64>>,
    ) {
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

    /// The ports that the system gives to those who connect; the usual ones where it does not say.
    pub(crate) fn ephemeral_ports(&self) -> RangeInclusive<u16> {
        let read = || -> Option<RangeInclusive<u16>> {
            let text = fs::read_to_string(self.proc.join("sys/net/ipv4/ip_local_port_range")).ok()?;
            let mut ports = text.split_ascii_whitespace().map(str::parse);
            Some(ports.next()?.ok()?..=ports.next()?.ok()?)
        };
        read().unwrap_or(32_768..=60_999)
    }

    pub(crate) fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.proc.join(pid.to_string()).join(name)
    }

    fn read(&self, pid: u32, name: &str, limit: usize) -> Option<Vec<u8>> {
        self.try_read(pid, name, limit).ok()
    }

    fn try_read(&self, pid: u32, name: &str, limit: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(self.path(pid, name))?.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn link(&self, pid: u32, name: &str) -> Option<Vec<u8>> {
        Some(fs::read_link(self.path(pid, name)).ok()?.into_os_string().as_bytes().to_vec())
    }

    pub(crate) fn namespace(&self, pid: u32, name: &str) -> u32 {
        let inode = || -> Option<u32> {
            let link = self.link(pid, name)?;
            let text = std::str::from_utf8(&link).ok()?;
            text.split_once('[')?.1.strip_suffix(']')?.parse().ok()
        };
        inode().unwrap_or(0)
    }
}

/// Why a process was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It has ended.
    Gone,
    /// We may not.
    Denied,
    /// The file could not be read for another reason.
    Failed,
    /// What the file holds is not what it should be.
    Malformed,
}

impl Unread {
    fn of(error: &std::io::Error) -> Self {
        // A process may end between open and read; then the kernel says that there is no such process.
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Gone,
            std::io::ErrorKind::PermissionDenied => Self::Denied,
            _ if error.raw_os_error() == Some(libc::ESRCH) => Self::Gone,
            _ => Self::Failed,
        }
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
