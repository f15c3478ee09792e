//! One pass over `/proc`: the processes as a look for the tracker.
//!
//! Of a process that was read before, in the image it still has, only what may change without an exec is read again: four files
//! instead of a dozen. The rest is read when one of the four shows something new.

use std::hash::RandomState;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use collector_core::ProcessEvent;
use collector_core::monitor::{Look, MonitorCollectorStats};
use rustc_hash::FxHashMap;

use super::known::{Known, fingerprint, identity};
use crate::adapt::{Context, adapt_snapshot};
use crate::clock::{Anchor, Clock, boottime_ns};
use crate::config::Filter;
use crate::identity::procfs::{Stat, Unread};
use crate::identity::snapshot::{Procfs, SnapshotEntry};
use crate::identity::{Boot, Users};
use crate::procmond::ProcessCollectionConfig;

/// The first user id of people; those below belong to the system.
const FIRST_PERSON: u32 = 1000;

/// Reads processes, again and again.
#[derive(Debug)]
pub(crate) struct ProcessScan {
    procfs: Procfs,
    boot: Boot,
    context: Context,
    config: ProcessCollectionConfig,
    filter: Filter,
    page_bytes: u64,
    users: Users,
    known: FxHashMap<u32, Known>,
    /// Control group ids by path, for one scan: a path may name another one later.
    cgroups: FxHashMap<Box<[u8]>, Option<u64>>,
    fingerprints: RandomState,
    scans: u64,
    stats: Arc<MonitorCollectorStats>,
}

impl ProcessScan {
    pub(crate) fn new(
        procfs: Procfs,
        boot: Boot,
        source: &'static str,
        config: ProcessCollectionConfig,
        filter: Filter,
        stats: Arc<MonitorCollectorStats>,
    ) -> Self {
        Self {
            procfs: Procfs { argv_max: config.max_command_line, ..procfs },
            boot,
            context: Context { clock: Clock::new(Anchor::read()), source },
            config,
            filter,
            page_bytes: rustix::param::page_size() as u64,
            users: Users::system(),
            known: FxHashMap::default(),
            cgroups: FxHashMap::default(),
            fingerprints: RandomState::new(),
            scans: 0,
            stats,
        }
    }

    /// The boot whose processes these are.
    pub(crate) const fn boot(&self) -> Boot {
        self.boot
    }

    /// Sets whose processes are shown, before the first look.
    pub(crate) fn set_filter(&mut self, filter: Filter) {
        self.filter = filter;
    }

    /// Reads all processes.
    ///
    /// # Errors
    /// When the directory of processes cannot be listed.
    pub(crate) fn look(&mut self) -> io::Result<Look> {
        let at = SystemTime::now();
        self.context.clock.check(boottime_ns(), Anchor::read);
        self.scans += 1;
        self.cgroups.clear();
        let (pids, mut unread) = self.list()?;
        let mut stats = Vec::with_capacity(pids.len());
        for pid in pids {
            match self.procfs.stat(pid) {
                Ok(stat) if !stat.is_leaving => stats.push((pid, stat)),
                // Others of its threads go on: what there is to see of it was seen before.
                Ok(stat) if stat.threads > 1 => unread.push(pid),
                // It has ended. That its parent has not taken notice yet is not its business.
                Ok(_) => {}
                Err(why) => self.count(pid, why, &mut unread),
            }
        }
        // Parents before their children, because nobody is older than his parent.
        stats.sort_unstable_by_key(|(pid, stat)| (stat.start_ticks, *pid));
        let mut processes = Vec::with_capacity(stats.len());
        let mut skipped = 0;
        for (pid, stat) in stats {
            if let Err(why) = self.read(pid, &stat) {
                self.count(pid, why, &mut unread);
                continue;
            }
            let Some(known) = self.known.get_mut(&pid) else { continue };
            known.scan = self.scans;
            if known.is_wanted {
                known.was_shown = true;
                processes.push(Arc::clone(&known.event));
            } else {
                skipped += 1;
                // It goes on, though it is of no interest any more.
                unread.extend(known.was_shown.then_some(pid));
            }
        }
        for pid in &unread {
            if let Some(known) = self.known.get_mut(pid) {
                known.scan = self.scans;
            }
        }
        self.known.retain(|_, known| known.scan == self.scans);
        MonitorCollectorStats::set(&self.stats.seen, processes.len());
        MonitorCollectorStats::set(&self.stats.skipped, skipped);
        Ok(Look { at, processes, unread })
    }

    /// The pids to read, and those that are too many. Who is known stays known.
    fn list(&self) -> io::Result<(Vec<u32>, Vec<u32>)> {
        let mut pids = self.procfs.pids()?;
        if pids.is_empty() {
            // There is always oneself: this is no directory of processes.
            let path = self.procfs.proc.display();
            return Err(io::Error::other(format!("no processes in {path}; is /proc mounted?")));
        }
        let limit = self.config.max_processes;
        if pids.len() <= limit {
            return Ok((pids, Vec::new()));
        }
        pids.sort_by_key(|pid| !self.known.contains_key(pid));
        let beyond = pids.split_off(limit);
        MonitorCollectorStats::add(&self.stats.beyond_limit, beyond.len());
        Ok((pids, beyond))
    }

    fn count(&self, pid: u32, why: Unread, unread: &mut Vec<u32>) {
        let stats = &self.stats;
        let counter = match why {
            Unread::Gone => &stats.vanished,
            Unread::Denied => &stats.denied,
            Unread::Failed | Unread::Malformed => &stats.unreadable,
        };
        MonitorCollectorStats::add(counter, 1);
        if why != Unread::Gone {
            unread.push(pid);
        }
    }

    /// Brings what is known of a process up to date.
    fn read(&mut self, pid: u32, stat: &Stat) -> Result<(), Unread> {
        let known = self.known.get(&pid).filter(|known| known.is(stat));
        let Some(known) = known else { return self.read_in_full(pid, stat) };
        if !known.is_wanted && self.filter.uid.is_none() {
            return Ok(());
        }
        let (stat, entry) = self.procfs.read_process(pid, stat, Procfs::brief)?;
        check_alive(&stat)?;
        let is_as_before = known.is(&stat) && fingerprint(&self.fingerprints, &entry) == known.fingerprint;
        if !is_as_before {
            return self.read_in_full(pid, &stat);
        }
        let (event, usage) = self.with_usage(ProcessEvent::clone(&known.event), &stat, &entry);
        if let Some(known) = self.known.get_mut(&pid) {
            (known.event, known.usage) = (Arc::new(event), usage);
        }
        Ok(())
    }

    fn read_in_full(&mut self, pid: u32, stat: &Stat) -> Result<(), Unread> {
        // Filters ask for what only the other files say.
        let is_asked = self.filter.cgroup_id.is_some() || self.config.skip_system_processes;
        let what: fn(&Procfs, u32) -> SnapshotEntry =
            if self.config.collect_enhanced_metadata || is_asked { Procfs::details } else { Procfs::brief };
        let (stat, mut entry) = self.procfs.read_process(pid, stat, what)?;
        check_alive(&stat)?;
        self.procfs.identify_cgroup(&mut entry, &mut self.cgroups);
        let before = self.known.get(&pid).filter(|known| known.start_ticks == stat.start_ticks);
        let (was_shown, mut descends, lineage) = before.map_or((false, false, None), |known| {
            (known.was_shown, known.descends, Some(Arc::clone(&known.identity.ancestors)))
        });
        descends = descends || self.descends(&entry);
        let mut identity = identity(&self.boot, &entry, self.known.get(&entry.ppid));
        // Who created a process stays who created it when another process takes care of it.
        if let Some(ancestors) = lineage {
            identity.ancestors = ancestors;
        }
        let user = entry.uid.and_then(|uid| self.users.name(uid));
        let event = adapt_snapshot(&entry, &identity, &self.boot, user, &self.context);
        let (event, usage) = self.with_usage(event, &stat, &entry);
        let known = Known {
            start_ticks: stat.start_ticks,
            start_stack: stat.start_stack,
            fingerprint: fingerprint(&self.fingerprints, &entry),
            is_wanted: descends && self.is_wanted(&entry),
            descends,
            was_shown,
            identity,
            event: Arc::new(event),
            usage,
            scan: self.scans,
        };
        self.known.insert(pid, known);
        Ok(())
    }

    /// Completes an event by what the process has used since it was read last.
    fn with_usage(
        &self,
        event: ProcessEvent,
        stat: &Stat,
        entry: &SnapshotEntry,
    ) -> (ProcessEvent, (u64, u64)) {
        let before = self.known.get(&entry.pid).filter(|known| known.start_ticks == stat.start_ticks);
        let cpu_usage = before.and_then(|known| {
            let (ticks, at_ns) = known.usage;
            let elapsed_ns = entry.seen_ns.checked_sub(at_ns).filter(|elapsed| *elapsed > 0)?;
            let used_ns = self.boot.tick_ns(stat.cpu_ticks.saturating_sub(ticks));
            Some(used_ns as f64 * 100.0 / elapsed_ns as f64)
        });
        let event = ProcessEvent {
            cpu_usage,
            memory_usage: Some(stat.resident_pages.saturating_mul(self.page_bytes)),
            timestamp: self.context.clock.system_time(entry.seen_ns),
            ..event
        };
        (event, (stat.cpu_ticks, entry.seen_ns))
    }

    /// Whether it is one of the processes that the filter names, or a descendant of one.
    fn descends(&self, entry: &SnapshotEntry) -> bool {
        let pids = &self.filter.pids;
        let parent = self.known.get(&entry.ppid).filter(|parent| parent.start_ticks <= entry.start_ticks);
        pids.is_empty() || pids.contains(&entry.pid) || parent.is_some_and(|parent| parent.descends)
    }

    /// Whether the user wants to hear of it, descent aside.
    fn is_wanted(&self, entry: &SnapshotEntry) -> bool {
        let ProcessCollectionConfig { skip_kernel_threads, skip_system_processes, .. } = &self.config;
        if entry.kernel_thread && (*skip_kernel_threads || *skip_system_processes) {
            return false;
        }
        let is_system = entry.login_uid.is_none() && entry.uid.is_some_and(|uid| uid < FIRST_PERSON);
        let Filter { pids: _, cgroup_id, uid } = &self.filter;
        !(*skip_system_processes && is_system)
            && uid.is_none_or(|uid| entry.uid == Some(uid))
            && cgroup_id.is_none_or(|id| entry.cgroup_id == Some(id))
    }
}

/// Refuses what was read of a process that was ending meanwhile: it may be of a memory that is gone.
const fn check_alive(stat: &Stat) -> Result<(), Unread> {
    match stat {
        Stat { is_leaving: false, .. } => Ok(()),
        Stat { threads: 0..=1, .. } => Err(Unread::Gone),
        // The others go on; the next look shows which it is.
        Stat { .. } => Err(Unread::Failed),
    }
}
