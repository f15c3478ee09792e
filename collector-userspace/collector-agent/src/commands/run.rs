//! `collector run`: capture, show, keep.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use collector_core::JsonLines;
use collector_sources::{KernelConfig, RunTimes};
use collector_store::StoreConfig;

use super::Context;
use super::session::{End, Ended, Session, Watch, open_target};
use crate::capture::{kernel_config, not_captured, this_host};
use crate::cli::{CaptureArgs, RunArgs};
use crate::config::{Capture, Config, Loaded, Store};
use crate::failure::{Failure, Kind};
use crate::health::HealthTracker;
use crate::instance::Instance;
use crate::output::{Target, human, message};
use crate::paths::make_dir;
use crate::privileges::{self, Directory, Role, Standing, is_within_reach};
use crate::sources::{Counters, Sources};
use crate::status::{self, Cost, Status};

pub(super) fn run(context: &Context, args: RunArgs) -> Result<(), Failure> {
    let Loaded { mut config, detection, sources: _ } = context.configure()?;
    let duration = args.capture.duration;
    apply(args, &mut config)?;
    let runtime_dir = config.agent.runtime_dir.clone().unwrap_or_else(|| context.paths.runtime_dir.clone());
    let mut kernel = kernel_config(&config.capture)?;
    let database = config.store.path.clone().unwrap_or_else(|| context.paths.database());
    let role = privileges::decide(config.agent.run_as.as_deref())
        .map_err(|error| Failure::new(Kind::Usage, error))?;
    let opened = as_root(&role, &config, &mut kernel)?;
    privileges::assume(&role, &directories(&config, &runtime_dir, &database))?;
    kernel.self_check_dir = Some(runtime_dir.clone());

    let _instance = Instance::claim(&runtime_dir)?;
    let lines = JsonLines::new(this_host());
    let mut session = Session::new()?;
    let target = match opened.target {
        Some(target) => Some(target),
        None => open_target(&config.output, None).map_err(|failure| role.explain(failure))?,
    };
    session.add_output(&config.output, target, context.color, &lines)?;
    if config.store.enabled {
        session.add_store(store_config(&config.store, database), &config.store.queue, &lines)?;
    }
    let manager = detection.as_ref().map(|made| made.manager.clone());
    if let Some(detection) = detection {
        session.add_detector(detection, &config.triggers.queue)?;
    }
    let mut sources = Sources::start(&config, &kernel)?;
    session.register(sources.take())?;
    for doubt in config.doubts(manager.as_ref(), sources.polls(), &sources.plan()) {
        message(format_args!("warning: {doubt}"));
    }
    release_memory();
    // What polling does not see was said when it was resorted to.
    if !sources.polls() {
        for line in not_captured(&sources.plan()) {
            message(format_args!("warning: {line}"));
        }
    }
    for planned in sources.plan() {
        for lack in &planned.lacks {
            tracing::info!(kind = planned.kind, lack, "not captured in full");
        }
    }

    let mut report = Report::new(&runtime_dir, &config, sources.counters(), sources.plan(), session.watch());
    report.status.standing = Standing::of_this_process(&role);
    let report = Rc::new(RefCell::new(report));
    let writing = Rc::clone(&report);
    let end = End::Live(duration.map(|span| span.0));
    let ended = session.run(end, config.agent.status_interval.0, move || writing.borrow_mut().write())?;
    let mut report = report.borrow_mut();
    report.finish(&ended);
    conclude(&report.status, ended)
}

/// What was opened as root.
#[derive(Debug, Default)]
struct Opened {
    target: Option<Target>,
    /// Has run times of kernel programs accounted.
    _run_times: Option<RunTimes>,
}

/// Opens what takes root, if root is about to give way.
fn as_root(role: &Role, config: &Config, kernel: &mut KernelConfig) -> Result<Opened, Failure> {
    let Role::Become(account) = role else { return Ok(Opened::default()) };
    let output = &config.output;
    // What the user could have put there is opened by the user.
    let is_theirs = output.path.as_deref().is_some_and(|path| is_within_reach(path, account));
    let target = if is_theirs { None } else { open_target(output, Some(account))? };
    let run_times = kernel.program_statistics.then(RunTimes::account).and_then(Result::ok);
    // If that failed the capture tries, and tells why it cannot.
    kernel.program_statistics &= run_times.is_none();
    Ok(Opened { target, _run_times: run_times })
}

/// The directories this agent writes in.
fn directories(config: &Config, runtime_dir: &Path, database: &Path) -> Vec<Directory> {
    let store = config.store.enabled.then(|| Directory::of_database(database));
    store.into_iter().chain([Directory::of_runtime(runtime_dir)]).collect()
}

/// Gives memory that the allocator keeps for later back to the system: what reading the kernel's types took (some megabytes,
/// once), and what queues took in a burst.
fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Puts the flags over the configuration.
fn apply(args: RunArgs, config: &mut Config) -> Result<(), Failure> {
    let RunArgs { capture, mode, tier, format, output, db, no_store, run_as, runtime_dir } = args;
    apply_capture(capture, &mut config.capture);
    config.capture.mode = mode.unwrap_or(config.capture.mode);
    config.capture.tier = tier.unwrap_or(config.capture.tier);
    if let Some(format) = format {
        config.output.format = format;
    }
    config.output.path = output.or(config.output.path.take());
    if db.is_some() {
        config.store.path = db;
        config.store.enabled = true;
    }
    config.store.enabled &= !no_store;
    config.agent.run_as = run_as.or(config.agent.run_as.take());
    config.agent.runtime_dir = runtime_dir.or(config.agent.runtime_dir.take());
    config.check().map_err(|error| Failure::new(Kind::Usage, error))
}

/// Puts the flags of what to capture over the configuration.
pub(super) fn apply_capture(args: CaptureArgs, capture: &mut Capture) {
    let CaptureArgs { sources, pids, cgroup, uid, duration: _ } = args;
    if let Some(sources) = sources {
        capture.sources = sources;
    }
    if !pids.is_empty() {
        capture.filter.pids = pids;
    }
    capture.filter.cgroup = cgroup.or(capture.filter.cgroup.take());
    capture.filter.uid = uid.or(capture.filter.uid);
}

/// What the library needs to know. Makes the directory of the database.
fn store_config(store: &Store, path: PathBuf) -> StoreConfig {
    let Store { enabled: _, path: _, max_age, max_bytes, batch_events, batch_delay, busy_timeout, queue: _ } =
        store;
    if let Some(directory) = path.parent() {
        // If this fails the store says so, better.
        let _ = make_dir(directory, 0o700);
    }
    let mut config = StoreConfig::new(path);
    config.max_age = (!max_age.0.is_zero()).then_some(max_age.0);
    config.max_bytes = (max_bytes.0 > 0).then_some(max_bytes.0);
    config.batch_events = *batch_events;
    config.batch_delay = batch_delay.0;
    config.busy_timeout = busy_timeout.0;
    config
}

/// Fewer events than this from one status to the next: a burst is over, if there was one.
const QUIET: u64 = 1_000;
/// Growth of the resident memory since the start for which it is worth a try to give some back…
const WORTH_RELEASING: u64 = 4 << 20;
/// …once in so many statuses: what a burst has left is freed bit by bit, and trying costs about a millisecond.
const RELEASE_EVERY: u32 = 5;

/// Keeps the status file up to date, and memory down.
struct Report {
    runtime_dir: PathBuf,
    counters: Counters,
    watch: Watch,
    status: Status,
    health: HealthTracker,
    /// Resident memory at the start, or what turned out to be in use, in bytes.
    lean: u64,
    /// Statuses since memory was last released.
    unreleased: u32,
}

impl Report {
    fn new(
        runtime_dir: &Path,
        config: &Config,
        counters: Counters,
        plan: Vec<crate::capture::PlannedKind>,
        watch: Watch,
    ) -> Self {
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_ns: status::now_ns(),
            interval_ns: u64::try_from(config.agent.status_interval.0.as_nanos()).unwrap_or(u64::MAX),
            plan,
            cost: Cost { startup_cpu_ns: Cost::of_this_process(0).cpu_ns, ..Cost::default() },
            ..Status::default()
        };
        let lean = Cost::of_this_process(0).rss_bytes;
        let health = HealthTracker::default();
        Self { runtime_dir: runtime_dir.to_owned(), counters, watch, status, health, lean, unreleased: 0 }
    }

    fn update(&mut self) {
        let Self { runtime_dir: _, counters, watch, status, health, .. } = self;
        status.written_ns = status::now_ns();
        status.cost = Cost::of_this_process(status.cost.startup_cpu_ns);
        counters.fill(status);
        status.set_runtime(&watch.runtime_stats());
        status.outputs = watch.output_stats().into_iter().collect();
        status.store = watch.store_stats();
        status.detector = watch.detector_stats();
        status.health = health.report(status, &watch.health().sources, SystemTime::now());
    }

    fn write(&mut self) {
        let published = self.status.bus.published;
        self.update();
        let quiet = self.status.bus.published - published < QUIET;
        let grown = self.status.cost.rss_bytes > self.lean + WORTH_RELEASING;
        self.unreleased = self.unreleased.saturating_add(1);
        if quiet && grown && self.unreleased >= RELEASE_EVERY {
            let before = self.status.cost.rss_bytes;
            release_memory();
            self.unreleased = 0;
            let after = Cost::of_this_process(0).rss_bytes;
            if after + WORTH_RELEASING / 4 > before {
                // It is in use: no use trying again until there is more.
                self.lean = after;
            }
        }
        if let Err(error) = status::write(&self.runtime_dir, &self.status) {
            tracing::warn!(%error, "cannot write the status for `collector stats`");
        }
    }

    fn finish(&mut self, ended: &Ended) {
        self.update();
        self.status.ended = true;
        self.status.set_runtime(&ended.runtime);
        self.status.outputs = ended.output.iter().cloned().collect();
        if let Err(error) = status::write(&self.runtime_dir, &self.status) {
            tracing::warn!(%error, "cannot write the status for `collector stats`");
        }
    }
}

/// Says what happened, and with which exit code that ends.
fn conclude(status: &Status, ended: Ended) -> Result<(), Failure> {
    let Ended { result, runtime: _, output, store, store_finished } = ended;
    // Whoever read the output has gone, and was the one to tell.
    if output.as_ref().is_some_and(|output| output.closed) && result.is_ok() {
        return Ok(());
    }
    message(format_args!("{}", summary(status)));
    result?;
    if let Some(output) = output.filter(|output| output.lost > 0 && !output.closed) {
        let error = output.last_error.unwrap_or_default();
        return Err(anyhow::anyhow!(
            "{} events could not be written to {}: {error}",
            human::count(output.lost),
            output.target
        )
        .into());
    }
    let Some(store) = store else { return Ok(()) };
    if store.lost_total() > 0 || store.failing {
        let error = store.last_error.unwrap_or_default();
        let lost: u64 = store.lost.values().sum();
        return Err(anyhow::anyhow!("{} events could not be stored: {error}", human::count(lost)).into());
    }
    if !store_finished {
        return Err(anyhow::anyhow!("the store {} did not take everything in time", store.path).into());
    }
    Ok(())
}

/// One line: what was seen, what was lost, what it cost.
fn summary(status: &Status) -> String {
    let time = status.written().duration_since(status.started()).unwrap_or(Duration::ZERO);
    let kinds: Vec<String> = match status.outputs.first() {
        Some(output) => {
            output.events.iter().map(|(kind, count)| format!("{} {kind}", human::count(*count))).collect()
        }
        None => {
            let domains = status.capture.domains.iter();
            domains.map(|domain| format!("{} {}", human::count(domain.received), domain.domain)).collect()
        }
    };
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let (kernel, later) = status.lost();
    let lost = match (kernel, later) {
        (0, 0) => "none lost".to_owned(),
        (kernel, 0) => format!("{} LOST in the kernel", human::count(kernel)),
        (0, later) => format!("{} LOST on the way out", human::count(later)),
        (kernel, later) => {
            format!("{} LOST in the kernel and {} on the way out", human::count(kernel), human::count(later))
        }
    };
    let unanswered = match status.unanswered() {
        0 => String::new(),
        count => format!(", {} matches of conditions NOT ANALYSED", human::count(count)),
    };
    let cpu = Duration::from_nanos(status.cost.cpu_ns);
    format!(
        "{} events in {}{kinds}, {lost}{unanswered}; {} of processor time ({:.1} %) after {} to start, {}",
        human::count(status.bus.published),
        human::duration(time),
        human::duration(cpu),
        cpu.as_secs_f64() / time.as_secs_f64().max(0.001) * 100.0,
        human::duration(Duration::from_nanos(status.cost.startup_cpu_ns)),
        human::bytes(status.cost.rss_bytes),
    )
}
