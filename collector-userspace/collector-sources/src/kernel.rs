//! A running kernel capture: programs, rings, readers, and what they share.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use aya::sys::{Stats, enable_stats};
use collector_common::Domain;
use collector_core::EventSource;

use crate::check::{Guard, SelfCheck, watch};
use crate::clock::{Anchor, Clock};
use crate::config::{KernelConfig, RingSizes};
use crate::features::{Features, Probed, probe};
use crate::identity::{Boot, ProcessTable, TableConfig, clock_ticks};
use crate::loader::{self, KernelTraits, LoadError, load};
use crate::offsets;
use crate::pipeline::Shared;
use crate::plan::{IDENTITY, Limits, Outcome, Plan, plan};
use crate::refused;
use crate::session::Session;
use crate::source::KernelSource;
use crate::stats::CaptureStats;
use crate::tap::Tap;

/// Names of the sources, by domain.
pub const SOURCE_NAMES: [&str; Domain::COUNT] = ["kernel-process", "kernel-network", "kernel-file"];

/// Why a capture could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Nothing that was asked for can be captured on this kernel with these privileges.
    #[error(
        "cannot capture {kinds}: {reason}; `collector doctor` lists what this kernel and these privileges allow"
    )]
    Unavailable {
        /// What was asked for.
        kinds: String,
        /// The first reason.
        reason: String,
    },
    /// The kernel programs could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The boot id could not be read: no identity would be stable.
    #[error("cannot read {path}: {source}; is /proc mounted?")]
    Boot {
        /// File.
        path: &'static str,
        /// Reason.
        source: std::io::Error,
    },
    /// Pids of the kernel would mean other processes here.
    #[error(
        "this is a pid namespace of its own: the kernel's pids mean other processes here; run collector in the initial one \
         (containers: with the host's pid namespace)"
    )]
    PidNamespace,
    /// No process to filter on.
    #[error("no process {0}: it does not exist or has ended")]
    NoProcess(u32),
    /// The thread of the self-check.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// A ring could not be waited on.
    #[error("cannot duplicate the descriptor of a ring: {0}")]
    Descriptor(std::io::Error),
}

/// The kernel programs at work.
#[derive(Debug)]
pub struct KernelCapture {
    session: Arc<Session>,
    probed: Arc<Probed>,
    /// Rings to wait on, by domain, until the sources are made.
    ring_fds: [Option<OwnedFd>; Domain::COUNT],
}

/// Has the kernel account the run time of each program, of everybody's, as long as this lives.
///
/// A capture does that itself where its configuration says so; this is for whoever gives up the privilege for it,
/// `CAP_SYS_ADMIN`, before.
#[derive(Debug)]
pub struct RunTimes {
    _kept: OwnedFd,
}

impl RunTimes {
    /// Begins.
    ///
    /// # Errors
    /// Without the privilege, and on kernels before 5.8.
    pub fn account() -> std::io::Result<Self> {
        let kept = enable_stats(Stats::RunTime).map_err(|error| error.io_error)?;
        Ok(Self { _kept: kept })
    }
}

/// A view of a capture's counters that outlives its sources.
#[derive(Clone, Debug)]
pub struct CaptureHandle {
    session: Arc<Session>,
}

impl KernelCapture {
    /// Probes the kernel, plans, loads and attaches. From here on records gather in the rings.
    ///
    /// # Errors
    /// See [`StartError`]; nothing stays behind in the kernel.
    pub fn start(config: &KernelConfig) -> Result<Self, StartError> {
        Self::start_on(config, probe)
    }

    /// The same on a kernel of which `probe` says what it allows and where things are in it: what would become of others
    /// than the running one. `probe` is not asked where the configuration is impossible.
    ///
    /// # Errors
    /// As [`KernelCapture::start`].
    pub fn start_on(config: &KernelConfig, probe: impl FnOnce() -> Probed) -> Result<Self, StartError> {
        if !in_initial_pid_namespace() {
            return Err(StartError::PidNamespace);
        }
        for &pid in &config.filter.pids {
            if !std::path::Path::new("/proc").join(pid.to_string()).exists() {
                return Err(StartError::NoProcess(pid));
            }
        }
        let probed = Arc::new(probe());
        let load = |plan: &Plan| load(plan, &probed, traits(&probed), config);
        let (plan, limits, loaded) = load_what_is_accepted(&probed, config, load)?;
        let (mut loaded, rings) = loaded.ok_or_else(|| unavailable(&plan, config.kinds))?;
        refused::warn(&plan, &limits);
        let boot = Boot::new(&boot_id()?, clock_ticks());
        let table = TableConfig { max_processes: config.max_processes, ..TableConfig::default() };
        let shared = Shared::new(ProcessTable::new(boot, table), Clock::new(Anchor::read()));
        let mut ring_fds = [None, None, None];
        for (fd, ring) in ring_fds.iter_mut().zip(&rings) {
            if let Some(ring) = ring {
                *fd = Some(ring.as_fd().try_clone_to_owned().map_err(StartError::Descriptor)?);
            }
        }
        let run_times = config.program_statistics.then(RunTimes::account).and_then(|result| {
            result.inspect_err(|error| tracing::warn!(%error, "the kernel does not account run times")).ok()
        });
        let marks = loaded.take_marks().filter(|_| !config.self_check.is_zero());
        let session = Arc::new(Session::new(config, loaded, plan, rings, shared, run_times));
        if let Some(marks) = marks {
            let wanted = config.kinds | IDENTITY;
            let directory = config.self_check_dir.clone();
            let mut guard = Guard::new(Arc::clone(&probed), wanted, limits, marks, directory);
            // Nobody is told that the capture is at work before it has been seen to be.
            guard.check_all(&session);
            watch(&session, guard, config.self_check).map_err(StartError::Thread)?;
        }
        Ok(Self { session, probed, ring_fds })
    }

    /// Sends a copy of all raw input to `tap` from now on. Call it before [`KernelCapture::sources`].
    pub fn record_to(&mut self, tap: Box<dyn Tap>) {
        self.session.record_to(tap);
    }

    /// One event source per domain that is on, after the processes that run already were entered in the
    /// identity table. Events of the start-up snapshot come from the process source.
    pub fn sources(&mut self) -> Vec<Box<dyn EventSource>> {
        self.session.snapshot();
        let mut sources: Vec<Box<dyn EventSource>> = Vec::new();
        for (domain, fd) in Domain::ALL.into_iter().zip(&mut self.ring_fds) {
            if self.session.config.wants(domain)
                && let Some(fd) = fd.take()
            {
                sources.push(Box::new(KernelSource::new(Arc::clone(&self.session), domain, fd)));
            }
        }
        sources
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> CaptureStats {
        self.session.stats()
    }

    /// A handle for counters that may be kept apart from the capture.
    #[must_use]
    pub fn handle(&self) -> CaptureHandle {
        CaptureHandle { session: Arc::clone(&self.session) }
    }

    /// What serves which kind.
    #[must_use]
    pub fn report(&self) -> Plan {
        self.session.plan()
    }

    /// What the kernel allows.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.probed.features
    }
}

impl CaptureHandle {
    /// Counters.
    #[must_use]
    pub fn stats(&self) -> CaptureStats {
        self.session.stats()
    }

    /// What serves which kind now: silent programs may have been replaced.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.session.plan()
    }

    /// What the self-check has found.
    #[must_use]
    pub fn self_check(&self) -> SelfCheck {
        self.session.self_check()
    }

    /// Ends recording and gives the tap back, if there was one. For after the sources have ended.
    #[must_use]
    pub fn take_tap(&self) -> Option<Box<dyn Tap>> {
        self.session.take_tap()
    }
}

/// The plan that [`KernelCapture::start_on`] would end with, found out by loading what it says, and attaching nothing. Where
/// there is no other way it may say that nothing is served.
///
/// # Errors
/// See [`LoadError`].
pub fn rehearse(config: &KernelConfig, probed: &Probed) -> Result<Plan, LoadError> {
    let config = &KernelConfig { rings: RingSizes { process: 1, network: 1, file: 1 }, ..config.clone() };
    let load = |plan: &Plan| loader::rehearse(plan, probed, traits(probed), config);
    load_what_is_accepted(probed, config, load).map(|(plan, ..)| plan)
}

/// Plans and loads; where the kernel refuses a program, plans again without it. Nothing is loaded where nothing that is
/// wanted is served.
fn load_what_is_accepted<T>(
    probed: &Probed,
    config: &KernelConfig,
    load: impl Fn(&Plan) -> Result<T, LoadError>,
) -> Result<(Plan, Limits, Option<T>), LoadError> {
    let mut limits = Limits { tier: config.tier, ..Limits::default() };
    loop {
        let plan = plan(&probed.features, &probed.offsets, config.kinds | IDENTITY, &limits);
        if plan.served() & config.kinds == 0 {
            return Ok((plan, limits, None));
        }
        match load(&plan) {
            Ok(loaded) => return Ok((plan, limits, Some(loaded))),
            // Every plan leaves out at least one program more than the last.
            Err(LoadError::Refused(programs)) => {
                limits.unusable.extend(programs.into_iter().map(|(name, reason)| (name.to_owned(), reason)));
            }
            Err(error) => return Err(error),
        }
    }
}

fn traits(probed: &Probed) -> KernelTraits {
    let features = &probed.features;
    let exit = features.tracepoints.get("sched_process_exit");
    KernelTraits {
        cgroup_v1: features.cgroups.value.in_memory_hierarchy() && probed.offsets.has(offsets::CGROUP_V1),
        group_dead: exit.is_some_and(|point| point.prototype.parameters.len() >= 2),
    }
}

/// Whether this process is in the namespace whose pids the kernel programs see. Where `/proc` does not say: yes.
fn in_initial_pid_namespace() -> bool {
    // PROC_PID_INIT_INO, part of the kernel's interface since 3.8.
    const INITIAL: &str = "pid:[4026531836]";
    std::fs::read_link("/proc/self/ns/pid").map_or(true, |link| link.as_os_str() == INITIAL)
}

fn unavailable(plan: &Plan, kinds: u64) -> StartError {
    let wanted = || plan.kinds.iter().filter(|planned| kinds & planned.kind.bit() != 0);
    let mut domains: Vec<&str> = wanted().map(|planned| planned.kind.domain().name()).collect();
    domains.dedup();
    let reason = wanted()
        .find_map(|planned| match &planned.outcome {
            Outcome::Unavailable { reason } => Some(reason.clone()),
            Outcome::Served { .. } => None,
        })
        .unwrap_or_else(|| "no kind was asked for".to_owned());
    StartError::Unavailable { kinds: format!("{} events", domains.join(", ")), reason }
}

fn boot_id() -> Result<String, StartError> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    std::fs::read_to_string(PATH)
        .map(|text| text.trim().to_owned())
        .map_err(|source| StartError::Boot { path: PATH, source })
}
