//! Puts the planned programs into the kernel: settings, maps, programs, tail calls, attachments.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, BtfError, Ebpf, EbpfError, EbpfLoader};
use collector_common::{
    ARGV_MAX, Domain, Kind, LossReason, Offsets, Settings, counter_slot, filter_flag, name,
};
use zerocopy::IntoBytes;

use crate::config::{Filter, KernelConfig};
use crate::plan::Plan;
use crate::stats::ProgramStats;
use crate::tables::Tables;

/// The kernel programs, empty when they were not built before this crate.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/collector.bpf.o"));

/// Whether the kernel programs are part of this build.
#[must_use]
pub const fn has_object() -> bool {
    !OBJECT.is_empty()
}

/// Why the kernel programs could not be put to work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Built without the object.
    #[error("this build has no kernel programs: run `cargo xtask build-ebpf` and build again")]
    ObjectMissing,
    /// The kernel refused a map, or the object is damaged.
    #[error(
        "the kernel refused the maps of the kernel programs: {0}; `collector doctor` says what is missing"
    )]
    Object(#[from] EbpfError),
    /// The kernel's types could not be read.
    #[error("cannot read the kernel's type information (BTF): {0}; the kernel needs CONFIG_DEBUG_INFO_BTF")]
    Btf(#[from] BtfError),
    /// A program that the plan relies on.
    #[error("program {program}: {reason}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What the kernel or the library said; the verifier's log goes to the debug log.
        reason: String,
    },
    /// A map that userspace uses.
    #[error("map {map}: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// What went wrong.
        source: MapError,
    },
    /// A map is absent from the object.
    #[error("map {0} is not in the kernel programs: object and agent are of different versions")]
    MapMissing(&'static str),
}

/// Programs in the kernel, attached. Dropping it detaches and unloads them.
pub struct Loaded {
    ebpf: Ebpf,
    attached: Vec<(&'static str, BtfTracePointLinkId)>,
    /// Last numbers of the programs that were attached.
    detached: Vec<ProgramStats>,
    /// The kernel empties a program array when its last user-space handle goes.
    tail_calls: BTreeMap<&'static str, ProgramArray<MapData>>,
    filter_pids: HashMap<MapData, u32, u32>,
    waiting: Array<MapData, u32>,
    counters: PerCpuArray<MapData, u64>,
    sequences: PerCpuArray<MapData, u64>,
    tables: Option<Tables>,
    ring_bytes: [u64; Domain::COUNT],
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attached: Vec<_> = self.attached.iter().map(|(name, _)| name).collect();
        f.debug_struct("Loaded").field("attached", &attached).finish_non_exhaustive()
    }
}

/// Most living processes that the pid filter follows; of more, descendants are missed.
const FOLLOWED_MAX: u32 = 32_768;

/// What the programs are told about the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelTraits {
    /// Control groups are those of the v1 memory hierarchy.
    pub cgroup_v1: bool,
    /// `sched_process_exit` has the argument `group_dead`.
    pub group_dead: bool,
}

/// Rings by domain; `None` where nothing of the domain is captured.
pub type Rings = [Option<RingBuf<MapData>>; Domain::COUNT];

const RINGS: [&str; Domain::COUNT] = [name::PROC_EVENTS, name::NET_EVENTS, name::FILE_EVENTS];
const SCRATCHES: [&str; 4] = [name::EXEC_SCRATCH, name::FILE_SCRATCH, name::QUIT_SCRATCH, name::SHUT_SCRATCH];

/// Loads and attaches what `plan` says. `kernel` says what the programs cannot see for themselves.
///
/// # Errors
/// See [`LoadError`]. Nothing stays attached after an error.
pub fn load(
    plan: &Plan,
    offsets: &Offsets,
    kernel: KernelTraits,
    config: &KernelConfig,
) -> Result<(Loaded, Rings), LoadError> {
    if !has_object() {
        return Err(LoadError::ObjectMissing);
    }
    let mut settings = settings(plan.served(), kernel, config);
    if plan.programs.iter().any(|program| program.name == "net_connect") {
        settings.filters |= filter_flag::CONNECT_RESULT;
    }
    let sizes = [config.rings.process, config.rings.network, config.rings.file].map(ring_size);
    let mut ebpf = create_maps(offsets, &settings, sizes, config)?;
    let btf = Btf::from_sys_fs()?;

    let mut rings: Rings = [None, None, None];
    for ((slot, ring), domain) in rings.iter_mut().zip(RINGS).zip(Domain::ALL) {
        if Kind::ALL.iter().any(|kind| kind.domain() == domain && plan.served() & kind.bit() != 0) {
            *slot = Some(RingBuf::try_from(take(&mut ebpf, ring)?).map_err(in_map(ring))?);
        }
    }
    let counters = take(&mut ebpf, name::COUNTERS)?;
    let sequences = take(&mut ebpf, name::SEQUENCES)?;
    let waiting = take(&mut ebpf, name::WAITING)?;
    let filter_pids = take(&mut ebpf, name::FILTER_PIDS)?;
    let mut loaded = Loaded {
        attached: Vec::new(),
        detached: Vec::new(),
        tail_calls: BTreeMap::new(),
        filter_pids: HashMap::try_from(filter_pids).map_err(in_map(name::FILTER_PIDS))?,
        waiting: Array::try_from(waiting).map_err(in_map(name::WAITING))?,
        counters: PerCpuArray::try_from(counters).map_err(in_map(name::COUNTERS))?,
        sequences: PerCpuArray::try_from(sequences).map_err(in_map(name::SEQUENCES))?,
        tables: Some(Tables::take(&mut ebpf, possible_cpus())?),
        ring_bytes: sizes.map(u64::from),
        ebpf,
    };
    for &pid in &config.filter.pids {
        loaded.follow(pid)?;
    }
    for program in &plan.programs {
        tracepoint(&mut loaded.ebpf, program.name)?
            .load(program.tracepoint, &btf)
            .map_err(in_program(program.name))?;
    }
    loaded.filltail_calls(plan)?;
    // Tail calls are all in place before the first program runs.
    for program in &plan.attach {
        let link = tracepoint(&mut loaded.ebpf, program.name)?.attach().map_err(in_program(program.name))?;
        loaded.attached.push((program.name, link));
    }
    Ok((loaded, rings))
}

impl Loaded {
    /// Lets a process through the pid filter.
    ///
    /// # Errors
    /// When the map is full.
    pub fn follow(&mut self, pid: u32) -> Result<(), LoadError> {
        self.filter_pids.insert(pid, 1, 0).map_err(in_map(name::FILTER_PIDS))
    }

    /// Stops every program. Records already in the rings stay there.
    pub fn detach(&mut self) {
        let mut attached = std::mem::take(&mut self.attached);
        // Exits of calls first: with closes gone before opens, descriptions would seem closed unseen.
        attached.sort_by_key(|(name, _)| *name != "sys_exit");
        for (name, link) in attached {
            // What a program missed to its end is known between the end of its link and its own.
            let detached = tracepoint(&mut self.ebpf, name)
                .and_then(|program| program.detach(link).map_err(in_program(name)));
            if let Err(error) = detached {
                tracing::warn!(program = name, %error, "cannot detach a kernel program");
            }
            self.detached.extend(self.ebpf.program(name).and_then(|program| program_stats(name, program)));
            if let Ok(program) = tracepoint(&mut self.ebpf, name)
                && let Err(error) = program.unload()
            {
                tracing::warn!(program = name, %error, "cannot unload a kernel program");
            }
        }
    }

    /// Asks for a wake-up at the next record of `domain`.
    ///
    /// # Errors
    /// When the kernel refuses the write.
    pub fn ask_for_wakeup(&mut self, domain: Domain) -> Result<(), LoadError> {
        self.waiting.set(domain as u32, 1, 0).map_err(in_map(name::WAITING))
    }

    /// Whether programs are attached.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        !self.attached.is_empty()
    }

    /// Records the kernel side of `domain` wanted to send so far, per processor.
    #[must_use]
    pub fn sent(&self, domain: Domain) -> Vec<u64> {
        self.sequences.get(&(domain as u32), 0).map(|values| values.to_vec()).unwrap_or_default()
    }

    /// Current value of a loss counter, per processor.
    #[must_use]
    pub fn counter(&self, kind: Kind, reason: LossReason) -> Vec<u64> {
        self.counters.get(&counter_slot(kind, reason), 0).map(|values| values.to_vec()).unwrap_or_default()
    }

    /// The tables that forget, for who looks after them; once.
    pub(crate) const fn take_tables(&mut self) -> Option<Tables> {
        self.tables.take()
    }

    /// Bytes of the ring of `domain`.
    #[must_use]
    pub fn ring_bytes(&self, domain: Domain) -> u64 {
        self.ring_bytes.get(domain as usize).copied().unwrap_or(0)
    }

    /// Numbers of the programs at tracepoints, the last ones of those that were detached. What they call by tail call runs
    /// on their account.
    #[must_use]
    pub fn program_stats(&self) -> Vec<ProgramStats> {
        let attached = self.attached.iter().filter_map(|&(name, _)| {
            let program = self.ebpf.program(name)?;
            program_stats(name, program)
        });
        let mut stats: Vec<ProgramStats> = attached.chain(self.detached.iter().cloned()).collect();
        stats.sort_by(|a, b| a.name.cmp(&b.name));
        stats
    }

    fn filltail_calls(&mut self, plan: &Plan) -> Result<(), LoadError> {
        for entry in &plan.table {
            if !self.tail_calls.contains_key(entry.map) {
                let array = take(&mut self.ebpf, entry.map)?;
                self.tail_calls.insert(entry.map, ProgramArray::try_from(array).map_err(in_map(entry.map))?);
            }
            let failed = in_program(entry.program);
            let program = tracepoint(&mut self.ebpf, entry.program)?.fd().map_err(failed)?;
            if let Some(array) = self.tail_calls.get_mut(entry.map) {
                array.set(entry.index, program, 0).map_err(in_map(entry.map))?;
            }
        }
        Ok(())
    }
}

fn create_maps(
    offsets: &Offsets,
    settings: &Settings,
    sizes: [u32; 3],
    config: &KernelConfig,
) -> Result<Ebpf, LoadError> {
    let cpus = possible_cpus();
    let mut loader = EbpfLoader::new();
    loader.override_global(name::OFFSETS, offsets.as_bytes(), true).override_global(
        name::SETTINGS,
        settings.as_bytes(),
        true,
    );
    for (ring, size) in RINGS.into_iter().zip(sizes) {
        loader.map_max_entries(ring, size);
    }
    loader.map_max_entries(name::SOCKETS, config.max_connections);
    loader.map_max_entries(name::WRITTEN, config.max_written_files);
    for scratch in SCRATCHES {
        loader.map_max_entries(scratch, cpus);
    }
    if settings.filters & filter_flag::PIDS != 0 {
        loader.map_max_entries(name::FILTER_PIDS, FOLLOWED_MAX);
    }
    Ok(loader.load(OBJECT)?)
}

fn settings(kinds: u64, kernel: KernelTraits, config: &KernelConfig) -> Settings {
    let Filter { pids, cgroup_id, uid } = &config.filter;
    let mut filters = 0;
    for (set, flag) in [
        (!pids.is_empty(), filter_flag::PIDS),
        (cgroup_id.is_some(), filter_flag::CGROUP),
        (uid.is_some(), filter_flag::UID),
        (kernel.cgroup_v1, filter_flag::CGROUP_V1),
        (kernel.group_dead, filter_flag::GROUP_DEAD),
    ] {
        if set {
            filters |= flag;
        }
    }
    Settings {
        kinds,
        cgroup_id: cgroup_id.unwrap_or(0),
        uid: uid.unwrap_or(0),
        filters,
        own_pid: if config.exclude_own { std::process::id() } else { 0 },
        argv_max: config.argv_max.min(ARGV_MAX as u32),
    }
}

/// A ring's size must be a power of two and a multiple of the page size.
fn ring_size(wanted: u32) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    wanted.max(page).checked_next_power_of_two().unwrap_or(1 << 31)
}

/// Processors the kernel may ever have: ids of running ones may lie anywhere below.
fn possible_cpus() -> u32 {
    aya::util::nr_cpus().ok().and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1)
}

/// Numbers of a program, from the information file of its descriptor: the one place that has them all.
fn program_stats(name: &str, program: &aya::programs::Program) -> Option<ProgramStats> {
    let fd = program.fd().ok()?;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).ok()?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    Some(ProgramStats {
        name: name.to_owned(),
        run_count: field("run_cnt"),
        run_time_ns: field("run_time_ns"),
        missed: field("recursion_misses"),
    })
}

fn take(ebpf: &mut Ebpf, map: &'static str) -> Result<aya::maps::Map, LoadError> {
    ebpf.take_map(map).ok_or(LoadError::MapMissing(map))
}

fn in_map(map: &'static str) -> impl Fn(MapError) -> LoadError {
    move |source| LoadError::Map { map, source }
}

fn in_program(program: &'static str) -> impl Fn(ProgramError) -> LoadError {
    move |error| {
        if let ProgramError::LoadError { io_error, verifier_log } = &error {
            tracing::debug!(program, %verifier_log, "the verifier's log");
            return LoadError::Program { program, reason: format!("the kernel refused it: {io_error}") };
        }
        LoadError::Program { program, reason: error.to_string() }
    }
}

fn tracepoint<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut BtfTracePoint, LoadError> {
    let missing = || LoadError::Program { program: name, reason: "not in this build's object".to_owned() };
    ebpf.program_mut(name).ok_or_else(missing)?.try_into().map_err(in_program(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_sizes_are_what_the_kernel_takes() {
        assert_eq!(ring_size(1), 4096);
        assert_eq!(ring_size(5000), 8192);
        assert_eq!(ring_size(8 << 20), 8 << 20);
        assert_eq!(ring_size(u32::MAX), 1 << 31);
    }

    #[test]
    fn settings_carry_the_filter() {
        let config = KernelConfig {
            filter: Filter { pids: vec![1], cgroup_id: None, uid: Some(5) },
            exclude_own: false,
            argv_max: u32::MAX,
            ..KernelConfig::default()
        };
        let settings = settings(3, KernelTraits { cgroup_v1: true, group_dead: false }, &config);
        assert_eq!(settings.filters, filter_flag::PIDS | filter_flag::UID | filter_flag::CGROUP_V1);
        assert_eq!((settings.kinds, settings.uid, settings.own_pid), (3, 5, 0));
        assert_eq!(settings.argv_max as usize, ARGV_MAX);
    }
}
