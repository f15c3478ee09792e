//! Which process has a socket open.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use collector_core::ProcessRef;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::config::Filter;
use crate::identity::Boot;
use crate::identity::snapshot::Procfs;
use crate::procfs::known::identity;

/// Most descriptors looked at for one look.
const DESCRIPTORS_MAX: usize = 1 << 18;

/// Most generations between a process and one that a filter names.
const GENERATIONS_MAX: usize = 256;

/// A process that has a socket open.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) process: Arc<ProcessRef>,
    /// Whether the user wants to hear of it.
    pub(super) is_wanted: bool,
}

/// Finds the owners of these sockets, and says how many processes could not be looked at in full. Of several that share one, as
/// after a fork, it is the oldest: the one that opened it, unless that has ended.
pub(super) fn find(
    procfs: &Procfs,
    boot: &Boot,
    filter: &Filter,
    pids: &[u32],
    inodes: &FxHashSet<u64>,
) -> (FxHashMap<u64, Owner>, usize) {
    let mut holders: FxHashMap<u64, (u64, u32)> = FxHashMap::default();
    let (mut looked_at, mut unread) = (0, 0);
    for &pid in pids {
        let Ok(descriptors) = std::fs::read_dir(procfs.path(pid, "fd")) else {
            // Not ours to see, or gone.
            unread += usize::from(procfs.path(pid, "").exists());
            continue;
        };
        let mut start = None;
        for descriptor in descriptors.filter_map(Result::ok) {
            looked_at += 1;
            if looked_at > DESCRIPTORS_MAX {
                break;
            }
            let Some(inode) = socket_of(&descriptor.path()).filter(|inode| inodes.contains(inode)) else {
                continue;
            };
            let start =
                *start.get_or_insert_with(|| procfs.stat(pid).map_or(u64::MAX, |stat| stat.start_ticks));
            let holder = holders.entry(inode).or_insert((start, pid));
            *holder = (*holder).min((start, pid));
        }
        if looked_at > DESCRIPTORS_MAX {
            unread += 1;
        }
    }
    let mut known: FxHashMap<u32, Option<Owner>> = FxHashMap::default();
    let owners = holders.into_iter().filter_map(|(inode, (_, pid))| {
        let owner = known.entry(pid).or_insert_with(|| describe(procfs, boot, filter, pid));
        Some((inode, owner.clone()?))
    });
    (owners.collect(), unread)
}

/// The number in `socket:[number]`.
fn socket_of(descriptor: &std::path::Path) -> Option<u64> {
    let link = std::fs::read_link(descriptor).ok()?;
    let number = link.as_os_str().as_bytes().strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn describe(procfs: &Procfs, boot: &Boot, filter: &Filter, pid: u32) -> Option<Owner> {
    let stat = procfs.stat(pid).ok()?;
    let (_, mut entry) = procfs.read_process(pid, &stat, Procfs::details).ok()?;
    procfs.identify_cgroup(&mut entry, &mut FxHashMap::default());
    let Filter { pids, cgroup_id, uid } = filter;
    let is_wanted = uid.is_none_or(|uid| entry.uid == Some(uid))
        && cgroup_id.is_none_or(|id| entry.cgroup_id == Some(id))
        && (pids.is_empty() || descends(procfs, pid, pids));
    Some(Owner { process: identity(boot, &entry, None).process, is_wanted })
}

/// Whether a process is one of these or descends from one, as far as their parents live.
fn descends(procfs: &Procfs, mut pid: u32, from: &[u32]) -> bool {
    for _ in 0..GENERATIONS_MAX {
        if from.contains(&pid) {
            return true;
        }
        match procfs.stat(pid) {
            Ok(stat) if stat.ppid != 0 => pid = stat.ppid,
            _ => return false,
        }
    }
    false
}
