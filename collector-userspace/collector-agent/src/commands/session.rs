//! A collector with its subscribers, from the first event to the last: what `run`, `record` and `replay` have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use collector_core::{
    Collector, CollectorConfig, CollectorHandle, CollectorHealth, EventFilter, EventSource,
    EventSubscription, JsonLines, OverflowPolicy, RestartPolicy, RuntimeStats, Subscription,
};
use collector_store::{StoreConfig, StoreHandle, StoreStats, StoreWriter};
use jiff::tz::TimeZone;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Color;
use crate::config::{Detection, Format, Output, Overflow, Queue};
use crate::detector::{Detector, DetectorHandle, DetectorStats, TRIGGERS};
use crate::failure::Failure;
use crate::output::OUTPUT;
use crate::output::pretty::Pretty;
use crate::output::{Formatter, OutputStats, OutputThread, Tally, Target, use_color};
use crate::privileges::Account;

/// The sources' part of the two seconds from a signal to the end.
const SOURCES_PATIENCE: Duration = Duration::from_millis(700);
/// The subscribers' part.
const SUBSCRIBERS_PATIENCE: Duration = Duration::from_millis(1_200);

/// A collector and its subscribers, before and while it runs.
pub(super) struct Session {
    runtime: Runtime,
    collector: Collector,
    output: Option<OutputThread>,
    store: Option<StoreWriter>,
    detector: Option<Detector>,
}

/// What was counted, for whoever asks while the session runs.
#[derive(Clone)]
pub(super) struct Watch {
    collector: CollectorHandle,
    output: Option<Tally>,
    store: Option<StoreHandle>,
    detector: Option<DetectorHandle>,
}

/// How a session ended.
pub(super) struct Ended {
    /// What the sources had to say.
    pub(super) result: anyhow::Result<()>,
    /// The counters, subscribers that have ended included.
    pub(super) runtime: RuntimeStats,
    pub(super) output: Option<OutputStats>,
    pub(super) store: Option<StoreStats>,
    /// Whether everything reached the store before the end.
    pub(super) store_finished: bool,
}

/// How long a session goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Until a signal, or this long; subscribers get a moment to write what is queued.
    Live(Option<Duration>),
    /// Until the sources have ended and everything is written.
    Everything,
}

impl Watch {
    pub(super) fn runtime_stats(&self) -> RuntimeStats {
        self.collector.statistics()
    }

    pub(super) fn health(&self) -> CollectorHealth {
        self.collector.health()
    }

    pub(super) fn output_stats(&self) -> Option<OutputStats> {
        self.output.as_ref().map(Tally::stats)
    }

    pub(super) fn store_stats(&self) -> Option<StoreStats> {
        self.store.as_ref().map(StoreHandle::stats)
    }

    pub(super) fn detector_stats(&self) -> Option<DetectorStats> {
        self.detector.as_ref().map(DetectorHandle::stats)
    }
}

impl Session {
    pub(super) fn new() -> Result<Self, Failure> {
        // One thread: sources and subscribers have threads of their own, what runs here only passes batches on.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = CollectorConfig::new()
            .with_component_name("collector")
            .with_event_buffer_size(4_096)
            .with_max_batch_size(512)
            // The kernel programs cannot be put to work a second time, and a recording would be told from its beginning again.
            .with_restart_policy(RestartPolicy::never())
            .with_shutdown_timeout(SOURCES_PATIENCE);
        Ok(Self { runtime, collector: Collector::new(config), output: None, store: None, detector: None })
    }

    pub(super) fn register(&mut self, sources: Vec<Box<dyn EventSource>>) -> Result<(), Failure> {
        for source in sources {
            self.collector.register(source)?;
        }
        Ok(())
    }

    /// Adds the output, which goes to `target`, if there is one. Whoever reads it may go: then the session ends.
    pub(super) fn add_output(
        &mut self,
        output: &Output,
        target: Option<Target>,
        color: Color,
        lines: &JsonLines,
    ) -> Result<(), Failure> {
        let Output { format, path: _, queue } = output;
        let Some(target) = target else { return Ok(()) };
        let name = target_name(output);
        let (format, formatter) = match format {
            Format::Json => ("json", Formatter::Json(lines.clone())),
            _ => {
                let color = use_color(color, target.is_terminal());
                let pretty = Pretty::new(TimeZone::system(), color, target.width());
                ("pretty", Formatter::Pretty(Box::new(pretty)))
            }
        };
        let events = self.subscribe(OUTPUT, queue, EventFilter::new())?;
        let handle = self.collector.handle();
        let thread = OutputThread::start(events, formatter, target, Tally::new(format, &name), move || {
            handle.shutdown();
        })?;
        self.output = Some(thread);
        Ok(())
    }

    /// Adds the store.
    pub(super) fn add_store(
        &mut self,
        config: StoreConfig,
        queue: &Queue,
        lines: &JsonLines,
    ) -> Result<(), Failure> {
        let events = self.subscribe("store", queue, EventFilter::new())?;
        self.store = Some(StoreWriter::start(config, lines.clone(), events)?);
        Ok(())
    }

    /// Adds what looks for conditions in the events and starts chains.
    pub(super) fn add_detector(&mut self, detection: Detection, queue: &Queue) -> Result<(), Failure> {
        // What no condition can meet need not go there.
        let kinds = detection.manager.kinds();
        let filter = kinds.into_iter().fold(EventFilter::new(), EventFilter::with_event_type);
        let events = self.subscribe(TRIGGERS, queue, filter)?;
        self.detector = Some(Detector::start(detection, &self.collector, events)?);
        Ok(())
    }

    fn subscribe(&self, name: &str, queue: &Queue, filter: EventFilter) -> Result<Subscription, Failure> {
        let Queue { capacity, overflow, deadline } = queue;
        let policy = match overflow {
            Overflow::Block => OverflowPolicy::Block { deadline: deadline.0 },
            Overflow::DropOldest => OverflowPolicy::DropOldest,
            Overflow::DropNewest => OverflowPolicy::DropNewest,
        };
        let subscription =
            EventSubscription::new(name).with_capacity(*capacity).with_overflow(policy).with_filter(filter);
        Ok(self.runtime.block_on(self.collector.bus().subscribe(subscription))?)
    }

    /// A view of the counters.
    pub(super) fn watch(&self) -> Watch {
        Watch {
            collector: self.collector.handle(),
            output: self.output.as_ref().map(OutputThread::tally),
            store: self.store.as_ref().map(StoreWriter::handle),
            detector: self.detector.as_ref().map(Detector::handle),
        }
    }

    /// Runs to the end. Calls `tick` every `interval` meanwhile.
    pub(super) fn run(
        self,
        end: End,
        interval: Duration,
        mut tick: impl FnMut() + 'static,
    ) -> Result<Ended, Failure> {
        let Self { runtime, collector, output, store, detector } = self;
        let interrupted = Arc::new(AtomicBool::new(false));
        let local = tokio::task::LocalSet::new();
        let handle = collector.handle();
        let stopping = handle.clone();
        let result = local.block_on(&runtime, async {
            local.spawn_local(note_signals(Arc::clone(&interrupted))?);
            local.spawn_local(async move {
                let mut interval = tokio::time::interval(interval);
                loop {
                    interval.tick().await;
                    tick();
                }
            });
            if let End::Live(Some(duration)) = end {
                local.spawn_local(async move {
                    tokio::time::sleep(duration).await;
                    stopping.shutdown();
                });
            }
            let result = collector.run().await;
            let subscribers_finished = || {
                output.as_ref().is_none_or(OutputThread::is_finished)
                    && store.as_ref().is_none_or(StoreWriter::is_finished)
                    && detector.as_ref().is_none_or(Detector::is_finished)
            };
            let mut deadline = matches!(end, End::Live(_)).then(|| Instant::now() + SUBSCRIBERS_PATIENCE);
            while !subscribers_finished() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
                tokio::time::sleep(Duration::from_millis(2)).await;
                if deadline.is_none() && interrupted.load(Ordering::Relaxed) {
                    deadline = Some(Instant::now() + SUBSCRIBERS_PATIENCE);
                }
            }
            std::io::Result::Ok(result)
        })?;
        let store_finished = store.as_ref().is_none_or(StoreWriter::is_finished);
        let runtime_stats = handle.statistics();
        let subscriber =
            |id| runtime_stats.event_bus.subscribers.iter().find(|subscriber| subscriber.id == id);
        let output = output.map(|output| output.finish(subscriber(OUTPUT)));
        Ok(Ended {
            result,
            output,
            store: store.map(|store| store.finish(Duration::ZERO)),
            store_finished,
            runtime: runtime_stats,
        })
    }
}

/// Opens what the output goes to, if there is one; a new file is this owner's.
pub(super) fn open_target(output: &Output, owner: Option<&Account>) -> Result<Option<Target>, Failure> {
    if output.format == Format::None {
        return Ok(None);
    }
    let target = Target::open(output.path.as_deref(), owner);
    Ok(Some(target.with_context(|| format!("cannot write events to {}", target_name(output)))?))
}

fn target_name(output: &Output) -> String {
    let path = output.path.as_ref();
    path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string())
}

/// Notes that a signal came. The collector stops because of it by itself.
fn note_signals(interrupted: Arc<AtomicBool>) -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        interrupted.store(true, Ordering::Relaxed);
    })
}
