//! What is looked up of the few processes that are reported.

use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::Arc;

use collector_core::{ProcessRef, Text};
use rustc_hash::FxHashMap;
use rustix::fs::{AtFlags, readlinkat, statat};

use super::clock::SampleClock;
use super::delta::per_second;
use super::files::Reader;
use super::parse::{PidStat, ProcessIo, real_uid};
use super::processes::Found;
use super::values::{DISK_READ, DISK_WRITE, Of, Values};
use crate::identity::Boot;
use crate::identity::container::{container_of_path, path_in_proc};
use crate::identity::snapshot::SnapshotEntry;

/// How the link of an executable ends that has no name any more.
const DELETED: &[u8] = b" (deleted)";

/// Who the process is. One that has ended since it was looked at is known by pid and identity alone.
pub(super) fn describe(
    proc: BorrowedFd<'_>,
    reader: &mut Reader,
    boot: Option<Boot>,
    found: &Found,
) -> Arc<ProcessRef> {
    let Found { pid, start_ticks, start_stack, .. } = *found;
    let exec_id = |start_stack| boot.map(|boot| boot.exec_id(pid, start_ticks, start_stack));
    let mut process = ProcessRef {
        pid,
        exec_id: exec_id(start_stack),
        name: Text::default(),
        executable: None,
        uid: None,
        container_id: None,
    };
    let is_it = |stat: &PidStat<'_>| stat.start_ticks == start_ticks;
    let mut named = |process: &mut ProcessRef| {
        let line = reader.read_once(proc, &format!("{pid}/stat")).ok()?;
        let stat = PidStat::parse(line).filter(is_it)?;
        process.name = stat.comm.into();
        process.exec_id = exec_id(stat.start_stack);
        Some(())
    };
    if named(&mut process).is_some() {
        process.executable = executable(proc, pid);
        process.uid = reader.read(proc, &format!("{pid}/status")).ok().and_then(real_uid);
        let cgroup = reader.read(proc, &format!("{pid}/cgroup")).ok().and_then(path_in_proc);
        process.container_id = cgroup.and_then(|(path, _)| container_of_path(path));
    }
    Arc::new(process)
}

/// The path of the executable, as other events name it.
fn executable(proc: BorrowedFd<'_>, pid: u32) -> Option<Text> {
    let path = format!("{pid}/exe");
    let link = readlinkat(proc, &*path, Vec::new()).ok()?;
    let mut exe = std::ffi::OsString::from_vec(link.into_bytes()).into_vec();
    // The name of a living file may end like the mark.
    let has_name = || statat(proc, Path::new(&path), AtFlags::empty()).is_ok_and(|file| file.st_nlink > 0);
    let exe_deleted = exe.ends_with(DELETED) && !has_name();
    if exe_deleted {
        exe.truncate(exe.len() - DELETED.len());
    }
    SnapshotEntry { exe: Some(exe.into()), exe_deleted, ..SnapshotEntry::default() }.executable()
}

/// Bytes read and written by the processes that were reported last time.
#[derive(Debug, Default)]
pub(super) struct InputOutput {
    known: FxHashMap<u32, Known>,
    next: FxHashMap<u32, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    start_ticks: u64,
    io: ProcessIo,
    read_ns: u64,
}

impl InputOutput {
    /// Reads the counters of a process, if that is allowed, and adds their rates if it was reported last time too. Most
    /// processes do nothing of the kind most of the time: of those nothing is said.
    pub(super) fn sample(
        &mut self,
        proc: BorrowedFd<'_>,
        reader: &mut Reader,
        clock: &SampleClock,
        (found, of): (&Found, &Of),
        values: &mut Values<'_>,
    ) {
        let Found { pid, start_ticks, .. } = *found;
        let Ok(text) = reader.read(proc, &format!("{pid}/io")) else { return };
        let Some(io) = ProcessIo::parse(text) else { return };
        let now = Known { start_ticks, io, read_ns: clock.now_ns() };
        self.next.insert(pid, now);
        let Some(before) = self.known.get(&pid).filter(|known| known.start_ticks == start_ticks) else {
            return;
        };
        let elapsed_ns = now.read_ns.saturating_sub(before.read_ns);
        for (metric, before, now) in
            [(DISK_READ, before.io.read, io.read), (DISK_WRITE, before.io.written, io.written)]
        {
            if before != now {
                values.over(of, metric, per_second(before, now, elapsed_ns), elapsed_ns);
            }
        }
    }

    /// Forgets those that were not reported this time.
    pub(super) fn finish(&mut self) {
        std::mem::swap(&mut self.known, &mut self.next);
        self.next.clear();
    }
}
