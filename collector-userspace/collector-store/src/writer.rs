//! The writer thread: from the bus to the database, whatever the disk does.
//!
//! A failed transaction costs its batch: the events are counted as lost with the reason, and until the next attempt, after a
//! pause that doubles from failure to failure, further events are counted without trying. The queue before the writer so
//! never fills because of the disk, and capture never waits for it. The first transaction that works again also stores a
//! `loss` event per reason, so that whoever reads the database sees the hole and its size.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use collector_core::bus::{BusEvent, Subscription, TryRecvError};
use collector_core::{CollectionEvent, EventMeta, JsonLines, LossEvent};

use crate::config::StoreConfig;
use crate::database::Database;
use crate::error::{LossReason, StoreError};
use crate::stats::StoreStats;

/// How often age is looked at, the file is checked and, without events, statistics are refreshed.
const MAINTENANCE: Duration = Duration::from_secs(10);

/// How often the queue is looked at while a batch gathers. Waiting for each event instead would cost a wake-up an event.
const GATHER: Duration = Duration::from_millis(50);

/// A running writer thread.
#[derive(Debug)]
pub struct StoreWriter {
    stats: Arc<Mutex<StoreStats>>,
    thread: Option<JoinHandle<Subscription>>,
    finished: mpsc::Receiver<()>,
}

impl StoreWriter {
    /// Opens the database and starts the thread. It ends when the subscription does and everything is
    /// written.
    ///
    /// # Errors
    /// Only where waiting cannot help ([`StoreError::is_permanent`]). A disk that is full, read-only or locked is no error
    /// here: the writer starts, counts what it loses and goes on trying.
    pub fn start(config: StoreConfig, lines: JsonLines, events: Subscription) -> Result<Self, StoreError> {
        let mut writer = Writer::new(config, lines);
        if let Err(error) = writer.open() {
            if error.is_permanent() {
                return Err(error);
            }
            writer.failed(&error);
        }
        writer.spawn(events)
    }

    /// What the writer did so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        lock(&self.stats).clone()
    }

    /// A way to [`stats`](Self::stats) for another thread.
    #[must_use]
    pub fn handle(&self) -> StoreHandle {
        StoreHandle(Arc::clone(&self.stats))
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the thread to end, which needs the end of its subscription. Without success within `patience` the thread is left
    /// alone; the database stays consistent in any case.
    pub fn finish(mut self, patience: Duration) -> StoreStats {
        let in_time = self.finished.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
        if in_time
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            // The panic hook has told the story; the events of its last batch are lost.
            lock(&self.stats).failing = true;
        }
        self.stats()
    }
}

/// Shows what a writer did, from anywhere, even after its end.
#[derive(Clone, Debug)]
pub struct StoreHandle(Arc<Mutex<StoreStats>>);

impl StoreHandle {
    /// What the writer did so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        lock(&self.0).clone()
    }
}

fn lock(stats: &Mutex<StoreStats>) -> MutexGuard<'_, StoreStats> {
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's state.
struct Writer {
    config: StoreConfig,
    lines: JsonLines,
    database: Option<Database>,
    stats: Arc<Mutex<StoreStats>>,
    /// The pause after failures, when there are any.
    back_off: Option<BackOff>,
    /// Lost since the last transaction that worked: what the next one has to tell.
    untold: BTreeMap<LossReason, u64>,
    next_maintenance: Instant,
    /// Caps the size of the database, in pages, while it is not 0.
    #[cfg(test)]
    page_limit: Arc<std::sync::atomic::AtomicU32>,
}

#[derive(Clone, Copy)]
struct BackOff {
    reason: LossReason,
    pause: Duration,
    until: Instant,
}

impl Writer {
    fn new(config: StoreConfig, lines: JsonLines) -> Self {
        let stats = StoreStats { path: config.path.display().to_string(), ..StoreStats::default() };
        Self {
            config,
            lines,
            database: None,
            stats: Arc::new(Mutex::new(stats)),
            back_off: None,
            untold: BTreeMap::new(),
            next_maintenance: Instant::now(),
            #[cfg(test)]
            page_limit: Arc::default(),
        }
    }

    fn spawn(mut self, mut events: Subscription) -> Result<StoreWriter, StoreError> {
        let path = self.config.path.clone();
        let stats = Arc::clone(&self.stats);
        let (sender, finished) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                self.run(&mut events);
                // Nobody may be waiting.
                let _ = sender.send(());
                // Kept until the end is noticed, and its statistics with it.
                events
            })
            .map_err(|source| StoreError::Io { path, source })?;
        Ok(StoreWriter { stats, thread: Some(thread), finished })
    }

    fn run(&mut self, events: &mut Subscription) {
        let mut batch = Vec::with_capacity(self.config.batch_events);
        let mut open = true;
        while open {
            batch.clear();
            open = self.receive(events, &mut batch);
            if !batch.is_empty() || (!open && !self.untold.is_empty()) {
                self.store(&batch, !open);
            }
            if open {
                self.maintain();
            }
        }
        self.refresh();
        // Closing writes the log back into the database: done here and not by the caller.
        self.database = None;
    }

    /// Waits for a first event, but not past the next maintenance, then for a full batch or the end of its delay. Says
    /// whether more can come.
    fn receive(&self, events: &mut Subscription, batch: &mut Vec<Arc<BusEvent>>) -> bool {
        let full = self.config.batch_events;
        let idle = self.next_maintenance.saturating_duration_since(Instant::now());
        match events.recv_blocking_many(batch, full, idle) {
            Err(TryRecvError::Closed) => return false,
            Err(TryRecvError::Empty) => return true,
            Ok(_) => {}
        }
        let deadline = Instant::now() + self.config.batch_delay;
        while batch.len() < full {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(GATHER));
            match events.recv_blocking_many(batch, full - batch.len(), Duration::ZERO) {
                Err(TryRecvError::Closed) => return false,
                Err(TryRecvError::Empty) | Ok(_) => {}
            }
        }
        true
    }

    /// Writes the batch, or counts it as lost.
    fn store(&mut self, batch: &[Arc<BusEvent>], last_chance: bool) {
        if let Some(back_off) = self.back_off
            && Instant::now() < back_off.until
            && !last_chance
        {
            self.lose(batch.len(), back_off.reason);
            return;
        }
        match self.try_store(batch) {
            Ok(()) => self.stored(batch.len()),
            Err(error) => {
                self.failed(&error);
                self.lose(batch.len(), error.reason());
            }
        }
    }

    fn try_store(&mut self, batch: &[Arc<BusEvent>]) -> Result<(), StoreError> {
        self.open()?;
        let losses: Vec<CollectionEvent> =
            self.untold.iter().map(|(reason, count)| loss_event(*reason, *count)).collect();
        let Some(database) = &mut self.database else { return Ok(()) };
        #[cfg(test)]
        database.limit_pages(match self.page_limit.load(std::sync::atomic::Ordering::SeqCst) {
            0 => u32::MAX - 1,
            pages => pages,
        });
        database.append_batch(&losses, batch)
    }

    fn open(&mut self) -> Result<(), StoreError> {
        if self.database.is_none() {
            self.database = Some(Database::open(&self.config, &self.lines)?);
        }
        Ok(())
    }

    fn stored(&mut self, count: usize) {
        if self.back_off.take().is_some() {
            tracing::info!(path = %self.config.path.display(), "the store works again");
        }
        self.untold.clear();
        let mut stats = lock(&self.stats);
        stats.failing = false;
        stats.written += count as u64;
        stats.batches += 1;
    }

    fn failed(&mut self, error: &StoreError) {
        let (reason, min, max) = (error.reason(), self.config.retry_min, self.config.retry_max);
        let pause = self.back_off.map_or(min, |before| (before.pause * 2).min(max));
        if self.back_off.is_none_or(|before| before.reason != reason) {
            tracing::error!(%error, reason = reason.name(), "the store cannot write; events go on, without it");
        }
        self.back_off = Some(BackOff { reason, pause, until: Instant::now() + pause });
        // A full disk is better met with the same connection; everything else may be healed by a new one.
        if !matches!(reason, LossReason::DiskFull | LossReason::Locked) {
            self.database = None;
        }
        let mut stats = lock(&self.stats);
        stats.failing = true;
        stats.last_error = Some(error.to_string());
    }

    fn lose(&mut self, count: usize, reason: LossReason) {
        *self.untold.entry(reason).or_default() += count as u64;
        *lock(&self.stats).lost.entry(reason.name().to_owned()).or_default() += count as u64;
    }

    /// Retention and statistics: by size after every batch, everything else now and then.
    fn maintain(&mut self) {
        let now = Instant::now();
        let due = now >= self.next_maintenance;
        if due {
            self.next_maintenance = now + MAINTENANCE;
        }
        if self.back_off.is_some_and(|back_off| now < back_off.until) {
            return;
        }
        let Some(database) = &mut self.database else { return };
        let outcome = database.retain(SystemTime::now(), due).and_then(|retention| {
            if due { database.check_in_place().map(|()| retention) } else { Ok(retention) }
        });
        match outcome {
            Ok(retention) => {
                if retention.more {
                    self.next_maintenance = now;
                }
                let mut stats = lock(&self.stats);
                stats.deleted_by_age += retention.by_age;
                stats.deleted_by_size += retention.by_size;
            }
            // Somebody else writes just now: there is no hurry.
            Err(error) if error.reason() == LossReason::Locked => {}
            // No event was lost by this. Whether writing fails too, the next batch shows.
            Err(error) => {
                tracing::warn!(%error, "the store could not be tidied");
                if matches!(error, StoreError::Replaced { .. }) {
                    self.database = None;
                }
                lock(&self.stats).last_error = Some(error.to_string());
            }
        }
        if due {
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        if let Some(database) = &self.database
            && let Ok((bytes, oldest)) = database.extent()
        {
            let mut stats = lock(&self.stats);
            stats.bytes = bytes;
            stats.oldest_time_ns = oldest;
        }
    }
}

fn loss_event(reason: LossReason, count: u64) -> CollectionEvent {
    CollectionEvent::Loss(LossEvent {
        timestamp: SystemTime::now(),
        meta: EventMeta { source: "store", ..EventMeta::default() },
        domain: "store",
        kind: None,
        reason: reason.name(),
        count,
        cpu: None,
        first_seq: None,
        last_seq: None,
    })
}

#[cfg(test)]
mod tests;
