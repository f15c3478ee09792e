//! Puts the planned programs into the kernel: settings, maps, programs, tail calls, attachments.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, ProgramArray, RingBuf};
use aya::{BtfError, Ebpf, EbpfError, EbpfLoader};
use collector_common::{
    ARGV_MAX, Domain, HOOK_BUFFERS, Kind, LossReason, Offsets, Settings, counter_slot, filter_flag, name,
};
use zerocopy::IntoBytes;

use crate::check::Marks;
use crate::config::{Filter, KernelConfig};
use crate::features::Probed;
use crate::object::Object;
use crate::plan::{Plan, Program, TableEntry};
use crate::programs::{self, Link};
use crate::stats::ProgramStats;
use crate::tables::Tables;
use crate::targets::Targets;

/// Why the kernel programs could not be put to work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Built without the object.
    #[error("this build has no kernel programs {0}: run `cargo xtask build-ebpf` and build again")]
    ObjectMissing(Object),
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
    /// Programs that the plan relies on, and what was said of each: plan without them.
    #[error("{}", refusals(.0))]
    Refused(Vec<(&'static str, String)>),
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
    /// Where programs can be attached.
    targets: Targets,
    attached: Vec<(Program, Link)>,
    /// Every program that the kernel has accepted so far.
    accepted: Vec<Program>,
    /// Numbers of the programs that are attached no more, by name.
    detached: BTreeMap<String, ProgramStats>,
    /// The kernel empties a program array when its last user-space handle goes.
    tail_calls: BTreeMap<&'static str, ProgramArray<MapData>>,
    /// What is in them.
    entries: Vec<TableEntry>,
    filter_pids: HashMap<MapData, u32, u32>,
    waiting: Array<MapData, u32>,
    halted: Array<MapData, u32>,
    is_halted: bool,
    counters: PerCpuArray<MapData, u64>,
    sequences: PerCpuArray<MapData, u64>,
    tables: Option<Tables>,
    marks: Option<Marks>,
    ring_bytes: [u64; Domain::COUNT],
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attached: Vec<_> = self.attached.iter().map(|(program, _)| program.name).collect();
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
    probed: &Probed,
    kernel: KernelTraits,
    config: &KernelConfig,
) -> Result<(Loaded, Rings), LoadError> {
    let (mut loaded, rings) = prepare(plan, probed, kernel, config)?;
    loaded.apply(plan)?;
    Ok((loaded, rings))
}

/// Loads what `plan` says, attaches nothing, and unloads it.
///
/// # Errors
/// As [`load`].
pub fn rehearse(
    plan: &Plan,
    probed: &Probed,
    kernel: KernelTraits,
    config: &KernelConfig,
) -> Result<(), LoadError> {
    // The programs refer to the rings.
    let (mut loaded, _rings) = prepare(plan, probed, kernel, config)?;
    loaded.accept(plan)
}

/// Creates the maps.
fn prepare(
    plan: &Plan,
    probed: &Probed,
    kernel: KernelTraits,
    config: &KernelConfig,
) -> Result<(Loaded, Rings), LoadError> {
    if !plan.object.is_embedded() {
        return Err(LoadError::ObjectMissing(plan.object));
    }
    let mut settings = settings(plan.served(), kernel, config);
    if plan.programs.iter().any(|program| matches!(program.name, "net_connect" | "connect_done")) {
        settings.filters |= filter_flag::CONNECT_RESULT;
    }
    let sizes = [config.rings.process, config.rings.network, config.rings.file].map(ring_size);
    let mut ebpf = create_maps(plan.object, &probed.offsets.offsets, &settings, sizes, config)?;
    let mut rings: Rings = [None, None, None];
    for ((slot, ring), domain) in rings.iter_mut().zip(RINGS).zip(Domain::ALL) {
        if Kind::ALL.iter().any(|kind| kind.domain() == domain && plan.served() & kind.bit() != 0) {
            *slot = Some(RingBuf::try_from(take(&mut ebpf, ring)?).map_err(in_map(ring))?);
        }
    }
    let counters = take(&mut ebpf, name::COUNTERS)?;
    let sequences = take(&mut ebpf, name::SEQUENCES)?;
    let waiting = take(&mut ebpf, name::WAITING)?;
    let halted = take(&mut ebpf, name::HALTED)?;
    let filter_pids = take(&mut ebpf, name::FILTER_PIDS)?;
    let mut loaded = Loaded {
        attached: Vec::new(),
        accepted: Vec::new(),
        detached: BTreeMap::new(),
        tail_calls: BTreeMap::new(),
        entries: Vec::new(),
        filter_pids: HashMap::try_from(filter_pids).map_err(in_map(name::FILTER_PIDS))?,
        waiting: Array::try_from(waiting).map_err(in_map(name::WAITING))?,
        halted: Array::try_from(halted).map_err(in_map(name::HALTED))?,
        is_halted: false,
        counters: PerCpuArray::try_from(counters).map_err(in_map(name::COUNTERS))?,
        sequences: PerCpuArray::try_from(sequences).map_err(in_map(name::SEQUENCES))?,
        marks: Some(Marks::take(&mut ebpf)?),
        tables: Some(Tables::take(&mut ebpf, possible_cpus())?),
        ring_bytes: sizes.map(u64::from),
        targets: Targets::new(&probed.features),
        ebpf,
    };
    for &pid in &config.filter.pids {
        loaded.follow(pid)?;
    }
    Ok((loaded, rings))
}

fn refusals(programs: &[(&'static str, String)]) -> String {
    let each: Vec<String> =
        programs.iter().map(|(name, reason)| format!("program {name}: {reason}")).collect();
    each.join("; ")
}

impl Loaded {
    /// Does what `plan` says: loads and attaches what is not there yet, and then stops what is in it no more. For a
    /// moment both the old and the new run.
    ///
    /// # Errors
    /// [`LoadError::Refused`] with every program the kernel does not take. Then only the programs that were attached before
    /// are.
    pub fn apply(&mut self, plan: &Plan) -> Result<(), LoadError> {
        self.add(plan)?;
        self.retire(plan);
        Ok(())
    }

    /// The first half of [`Loaded::apply`]: what is there goes on.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn add(&mut self, plan: &Plan) -> Result<(), LoadError> {
        self.accept(plan)?;
        let mut refused = Vec::new();
        // Tail calls are all in place before the first program runs.
        self.fill_tail_calls(plan)?;
        let before = self.attached.len();
        for &program in &plan.attach {
            if self.attached.iter().any(|(attached, _)| *attached == program) {
                continue;
            }
            match programs::attach(&mut self.ebpf, program) {
                Ok(link) => self.attached.push((program, link)),
                Err(error) => refused.push(refusal(error)?),
            }
        }
        if !refused.is_empty() {
            let new = self.attached.split_off(before);
            self.stop(new);
            return Err(LoadError::Refused(refused));
        }
        Ok(())
    }

    /// The second half: stops and forgets what `plan` does not have.
    pub(crate) fn retire(&mut self, plan: &Plan) {
        let attached = std::mem::take(&mut self.attached);
        let (kept, gone) = attached.into_iter().partition(|(program, _)| plan.attach.contains(program));
        self.attached = kept;
        self.stop(gone);
        for entry in self.entries.extract_if(.., |entry| !plan.table.contains(entry)) {
            if let Some(array) = self.tail_calls.get_mut(entry.map)
                && let Err(error) = array.clear_index(&entry.index)
            {
                tracing::warn!(map = entry.map, index = entry.index, %error, "cannot clear an entry");
            }
        }
        // What was called by others runs no more.
        let (kept, gone): (Vec<Program>, _) =
            self.accepted.iter().partition(|program| plan.programs.contains(program));
        self.accepted = kept;
        for program in gone {
            self.unload(program);
        }
    }

    /// Puts programs of the plan back in their places that do not run although they should: fills tables anew and, with
    /// `attachments`, attaches again. What cannot be put back is left out, and said.
    pub(crate) fn reinstate(&mut self, plan: &Plan, silent: &[&str], attachments: bool) {
        if let Err(error) = self.fill_tail_calls(plan) {
            tracing::warn!(%error, "cannot fill a table of kernel programs anew");
        }
        if !attachments {
            return;
        }
        let callers = |map: &str| plan.table.iter().any(|it| it.map == map && silent.contains(&it.program));
        let is_silent = |program: &Program| {
            silent.contains(&program.name)
                || (program.name == "sys_enter" && callers(name::ENTER_CALLS))
                || (program.name == "sys_exit" && callers(name::EXIT_CALLS))
        };
        for program in plan.attach.iter().copied().filter(is_silent) {
            // First the old attachment: the kernel does not take a program twice in one place.
            self.attached.retain(|(attached, _)| *attached != program);
            match programs::attach(&mut self.ebpf, program) {
                Ok(link) => self.attached.push((program, link)),
                Err(error) => tracing::warn!(program = program.name, %error, "cannot attach it again"),
            }
        }
    }

    /// Attachments that the kernel does not have any more, each with what is wrong.
    pub(crate) fn missing_links(&self, plan: &Plan) -> Vec<(&'static str, String)> {
        let problem = |program: &Program| {
            let Some((_, link)) = self.attached.iter().find(|(attached, _)| attached == program) else {
                return Some((program.name, "it is not attached".to_owned()));
            };
            let id = self.ebpf.program(program.name).and_then(|it| it.info().ok()).map(|info| info.id());
            link.look(id).err().map(|what| (program.name, what))
        };
        plan.attach.iter().filter_map(problem).collect()
    }

    /// Loads what is not there yet.
    fn accept(&mut self, plan: &Plan) -> Result<(), LoadError> {
        let targets = self.targets.for_library()?;
        let mut refused = Vec::new();
        for &program in &plan.programs {
            if self.accepted.contains(&program) {
                continue;
            }
            match programs::load(&mut self.ebpf, program, &targets) {
                Ok(()) => self.accepted.push(program),
                Err(error) => refused.push(refusal(error)?),
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(LoadError::Refused(refused)) }
    }

    /// Lets a process through the pid filter.
    ///
    /// # Errors
    /// When the map is full.
    pub fn follow(&mut self, pid: u32) -> Result<(), LoadError> {
        self.filter_pids.insert(pid, 1, 0).map_err(in_map(name::FILTER_PIDS))
    }

    /// Ends the reports of all programs. Records already in the rings stay there.
    ///
    /// The programs stay attached until this is dropped, which takes up to a tenth of a second for each: old kernels wait
    /// until no task can be inside a function's trampoline any more.
    pub fn halt(&mut self) {
        if self.is_halted {
            return;
        }
        if let Err(error) = self.halted.set(0, 1, 0) {
            tracing::warn!(%error, "cannot tell the kernel programs to stop: detaching them one by one");
            let attached = std::mem::take(&mut self.attached);
            self.stop(attached);
        }
        // A program that looked just before may still be about to send.
        wait_for_programs();
        self.is_halted = true;
    }

    fn stop(&mut self, attached: Vec<(Program, Link)>) {
        for (program, link) in attached {
            let name = program.name;
            // What a program missed to its end is known between the end of its link and its own.
            drop(link);
            let last = self.ebpf.program(name).and_then(|program| program_stats(name, program));
            add_up(&mut self.detached, last);
            self.unload(program);
            self.accepted.retain(|accepted| *accepted != program);
        }
    }

    fn unload(&mut self, program: Program) {
        if let Err(error) = programs::unload(&mut self.ebpf, program) {
            tracing::warn!(program = program.name, %error, "cannot unload a kernel program");
        }
    }

    /// Asks for a wake-up at the next record of `domain`.
    ///
    /// # Errors
    /// When the kernel refuses the write.
    pub fn ask_for_wakeup(&mut self, domain: Domain) -> Result<(), LoadError> {
        self.waiting.set(domain as u32, 1, 0).map_err(in_map(name::WAITING))
    }

    /// Whether programs are at work.
    #[must_use]
    pub const fn is_at_work(&self) -> bool {
        !self.is_halted
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

    /// What tells of canaries, for who lets them sing; once.
    pub(crate) const fn take_marks(&mut self) -> Option<Marks> {
        self.marks.take()
    }

    /// Lets the programs go on if anybody else has told them to report nothing any more. Returns whether nobody has.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn keep_working(&mut self) -> Result<bool, LoadError> {
        if self.is_halted || self.halted.get(&0, 0).map_err(in_map(name::HALTED))? == 0 {
            return Ok(true);
        }
        self.halted.set(0, 0, 0).map_err(in_map(name::HALTED))?;
        Ok(false)
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
        let mut stats = self.detached.clone();
        let attached = self.attached.iter().filter_map(|(program, _)| {
            let loaded = self.ebpf.program(program.name)?;
            program_stats(program.name, loaded)
        });
        add_up(&mut stats, attached);
        stats.into_values().collect()
    }

    fn fill_tail_calls(&mut self, plan: &Plan) -> Result<(), LoadError> {
        for entry in &plan.table {
            if !self.tail_calls.contains_key(entry.map) {
                let array = take(&mut self.ebpf, entry.map)?;
                self.tail_calls.insert(entry.map, ProgramArray::try_from(array).map_err(in_map(entry.map))?);
            }
            let program = programs::fd(&self.ebpf, entry.program)?;
            if let Some(array) = self.tail_calls.get_mut(entry.map) {
                array.set(entry.index, program, 0).map_err(in_map(entry.map))?;
            }
            if !self.entries.contains(entry) {
                self.entries.push(*entry);
            }
        }
        Ok(())
    }
}

fn create_maps(
    object: Object,
    offsets: &Offsets,
    settings: &Settings,
    sizes: [u32; 3],
    config: &KernelConfig,
) -> Result<Ebpf, LoadError> {
    let cpus = possible_cpus();
    let mut loader = EbpfLoader::new();
    // Nothing in the object is to be relocated by the kernel's types.
    loader.btf(None);
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
    loader.map_max_entries(name::HOOK_SCRATCH, cpus.saturating_mul(HOOK_BUFFERS));
    if settings.filters & filter_flag::PIDS != 0 {
        loader.map_max_entries(name::FILTER_PIDS, FOLLOWED_MAX);
    }
    Ok(loader.load(object.bytes())?)
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

/// Adds numbers to those of the same program when it was attached before.
fn add_up(all: &mut BTreeMap<String, ProgramStats>, more: impl IntoIterator<Item = ProgramStats>) {
    for ProgramStats { name, run_count, run_time_ns, missed } in more {
        let none = ProgramStats { name: name.clone(), run_count: 0, run_time_ns: 0, missed: 0 };
        let sum = all.entry(name).or_insert(none);
        sum.run_count += run_count;
        sum.run_time_ns += run_time_ns;
        sum.missed += missed;
    }
}

pub(crate) fn take(ebpf: &mut Ebpf, map: &'static str) -> Result<aya::maps::Map, LoadError> {
    ebpf.take_map(map).ok_or(LoadError::MapMissing(map))
}

pub(crate) fn in_map(map: &'static str) -> impl Fn(MapError) -> LoadError {
    move |source| LoadError::Map { map, source }
}

/// Waits until every program that runs now has ended: they run in read-side sections of the kernel's RCU, and this call
/// returns after all that there were.
pub(crate) fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes three numbers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        // Where processors run without a tick there is no such call. A program takes microseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// What a program's error says; errors of anything else are passed on.
fn refusal(error: LoadError) -> Result<(&'static str, String), LoadError> {
    match error {
        LoadError::Program { program, reason } => Ok((program, reason)),
        other => Err(other),
    }
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
