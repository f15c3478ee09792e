//! The thread that writes events: takes what is there, writes it in one go, waits for more.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use collector_core::{
    BusEvent, CollectionEvent, JsonLines, SubscriberStatistics, Subscription, TryRecvError,
};

use super::pretty::Pretty;
use super::{OutputStats, Tally, Target};

/// Most events written in one go.
const BATCH: usize = 1_024;
/// Only bounds how long the thread sleeps; events wake it.
const IDLE: Duration = Duration::from_secs(60);

/// How events become bytes.
#[derive(Debug)]
pub(crate) enum Formatter {
    /// For people.
    Pretty(Box<Pretty>),
    /// JSON lines.
    Json(JsonLines),
}

/// A running output.
#[derive(Debug)]
pub(crate) struct OutputThread {
    tally: Tally,
    /// Gives its subscription back at the end of the events, so that the bus has its statistics until then.
    thread: JoinHandle<Option<Subscription>>,
}

impl OutputThread {
    /// Starts the thread. It ends with its subscription, or when whoever reads the output has gone; then it calls
    /// `on_closed`.
    pub(crate) fn start(
        mut events: Subscription,
        formatter: Formatter,
        target: Target,
        tally: Tally,
        on_closed: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut output = Output { formatter, target, tally: tally.clone(), buffer: Vec::new(), torn: false };
        let thread = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            match output.run(&mut events) {
                End::NoMoreEvents => Some(events),
                End::ReaderGone => {
                    // At once, so that nobody waits for place in its queue.
                    drop(events);
                    on_closed();
                    None
                }
            }
        })?;
        Ok(Self { tally, thread })
    }

    /// What it counts.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Whether everything is written, or nobody reads any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the output; `subscriber` is what the bus counted for it. A thread that is not [finished](Self::is_finished)
    /// waits for a reader that does not read: it is left alone, ends with the process, and what it has is lost.
    pub(crate) fn finish(self, subscriber: Option<&SubscriberStatistics>) -> OutputStats {
        let Self { tally, thread } = self;
        if !thread.is_finished() {
            let mut stats = tally.lock();
            let written: u64 = stats.events.values().sum();
            let taken = subscriber.map_or(0, |subscriber| subscriber.delivered + subscriber.queued as u64);
            stats.lost = stats.lost.max(taken.saturating_sub(written));
            stats.last_error = Some("its reader did not read in time".to_owned());
        } else if thread.join().is_err() {
            tally.lock().last_error = Some("the output failed".to_owned());
        }
        tally.stats()
    }
}

/// Why the thread ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    NoMoreEvents,
    ReaderGone,
}

struct Output {
    formatter: Formatter,
    target: Target,
    tally: Tally,
    buffer: Vec<u8>,
    /// Whether a failed write left part of a line behind.
    torn: bool,
}

impl Output {
    fn run(&mut self, events: &mut Subscription) -> End {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.clear();
            match events.recv_blocking_many(&mut batch, BATCH, IDLE) {
                Ok(_) => {}
                Err(TryRecvError::Empty) => continue,
                Err(TryRecvError::Closed) => return End::NoMoreEvents,
            }
            if self.write(&batch) == Some(ErrorKind::BrokenPipe) {
                self.tally.lock().closed = true;
                return End::ReaderGone;
            }
        }
    }

    fn write(&mut self, batch: &[Arc<BusEvent>]) -> Option<ErrorKind> {
        let Self { formatter, target, tally, buffer, torn } = self;
        buffer.clear();
        if *torn {
            // So that the next event has a line of its own.
            buffer.push(b'\n');
        }
        if let Formatter::Pretty(pretty) = formatter
            && pretty.width.is_some()
        {
            // Terminals change their size.
            pretty.width = target.width();
        }
        for event in batch {
            match formatter {
                Formatter::Pretty(pretty) => pretty.write(buffer, &event.event),
                Formatter::Json(lines) => buffer.extend_from_slice(lines.of(event).as_bytes()),
            }
        }
        match target.write(buffer) {
            Ok(()) => {
                *torn = false;
                count(&mut tally.lock(), batch, buffer.len());
                None
            }
            Err(error) => {
                // A full disk: the events are lost to this output, the next ones are tried again.
                *torn = true;
                let mut stats = tally.lock();
                if stats.lost == 0 && error.kind() != ErrorKind::BrokenPipe {
                    tracing::error!(%error, target = stats.target, "cannot write events; capture goes on, what is lost is counted");
                }
                stats.lost += batch.len() as u64;
                stats.last_error = Some(error.to_string());
                Some(error.kind())
            }
        }
    }
}

fn count(stats: &mut OutputStats, batch: &[Arc<BusEvent>], bytes: usize) {
    let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
    for event in batch {
        *kinds.entry(event.event.kind()).or_default() += 1;
        if let CollectionEvent::Loss(loss) = &event.event {
            stats.told_lost += loss.count;
        }
    }
    for (kind, count) in kinds {
        match stats.events.get_mut(kind) {
            Some(total) => *total += count,
            None => _ = stats.events.insert(kind.to_owned(), count),
        }
    }
    stats.bytes += bytes as u64;
}
