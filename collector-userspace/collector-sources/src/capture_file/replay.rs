//! A capture as a source of events.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use collector_common::Domain;
use collector_core::{CollectionEvent, EventSource, SourceCaps};
use tokio::sync::mpsc;

use super::{CaptureFileError, CaptureHeader, CaptureReader, Frame, ReadCounts};
use crate::clock::{Anchor, Clock};
use crate::identity::{ProcessTable, TableConfig, Users};
use crate::ledger::{CounterDelta, Start};
use crate::pipeline::{Pipeline, Shared};
use crate::stats::DomainStats;

const NAME: &str = "replay";

/// Processors taken from `sent` frames at most; the kernel can have no more.
const CPUS_MAX: usize = 8192;

/// What a replay found, besides the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplaySummary {
    /// Frames.
    pub frames: ReadCounts,
    /// Ledger per domain.
    pub domains: Vec<DomainStats>,
    /// What stopped the reading before the end, if something did.
    pub stopped_by: Option<String>,
}

/// Replays a capture: the same file gives the same events in the same order.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    header: CaptureHeader,
    summary: Mutex<Option<ReplaySummary>>,
}

impl Replay {
    /// Opens a capture and reads its header.
    ///
    /// # Errors
    /// That there is no such file, or that it is no capture of ours.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureFileError> {
        let path = path.as_ref().to_owned();
        let header = CaptureReader::new(File::open(&path)?)?.header().clone();
        Ok(Self { path, header, summary: Mutex::new(None) })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &CaptureHeader {
        &self.header
    }

    /// The events, from the beginning.
    ///
    /// # Errors
    /// That the file is not there any more or has changed.
    pub fn events(&self) -> Result<ReplayEvents<BufReader<File>>, CaptureFileError> {
        ReplayEvents::new(BufReader::with_capacity(256 * 1024, File::open(&self.path)?))
    }

    /// What the last [`start`](EventSource::start) found, once it is over.
    #[must_use]
    pub fn summary(&self) -> Option<ReplaySummary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl EventSource for Replay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
            | SourceCaps::NETWORK
            | SourceCaps::FILESYSTEM
            | SourceCaps::KERNEL_LEVEL
            | SourceCaps::SYSTEM_WIDE
    }

    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        let mut events = self.events()?;
        let events = tokio::task::spawn_blocking(move || {
            for event in &mut events {
                if shutdown_signal.load(Ordering::Relaxed) || tx.blocking_send(event).is_err() {
                    break;
                }
            }
            events
        })
        .await?;
        let summary = events.summary();
        if summary.frames.skipped > 0 {
            tracing::warn!(path = %self.path.display(), skipped = summary.frames.skipped, "capture is damaged");
        }
        let stopped_by = summary.stopped_by.clone();
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
        match stopped_by {
            Some(error) => Err(anyhow::anyhow!("{}: {error}", self.path.display())),
            None => Ok(()),
        }
    }

    async fn stop(&self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Iterator over the events of a capture. Damaged frames are left out and counted.
#[derive(Debug)]
pub struct ReplayEvents<R> {
    reader: CaptureReader<R>,
    pipeline: Pipeline,
    ready: VecDeque<CollectionEvent>,
    batch: Vec<CollectionEvent>,
    deltas: Vec<CounterDelta>,
    /// Records the kernel side wanted to send, by domain and processor.
    sent: [Vec<u64>; Domain::COUNT],
    /// The last moment the capture stated.
    now_ns: u64,
    finished: bool,
    stopped_by: Option<CaptureFileError>,
}

impl<R: Read> ReplayEvents<R> {
    /// Events of the capture in `input`, which should be buffered.
    ///
    /// # Errors
    /// That it is no capture of ours.
    pub fn new(input: R) -> Result<Self, CaptureFileError> {
        let reader = CaptureReader::new(input)?;
        let table = ProcessTable::new(reader.header().boot(), TableConfig::default());
        let started_ns = reader.header().started_unix_ns;
        // Until the first anchor; a capture begins with one.
        let clock = Clock::new(Anchor { realtime_ns: started_ns, boottime_ns: 0 });
        let pipeline =
            Pipeline::new(Shared::new(table, clock), Users::recorded(), [NAME; Domain::COUNT], Start::Fresh)
                .publishing(reader.header().published());
        Ok(Self {
            reader,
            pipeline,
            ready: VecDeque::new(),
            batch: Vec::new(),
            deltas: Vec::new(),
            sent: Default::default(),
            now_ns: 0,
            finished: false,
            stopped_by: None,
        })
    }

    /// What was found so far.
    #[must_use]
    pub fn summary(&self) -> ReplaySummary {
        ReplaySummary {
            frames: self.reader.counts(),
            domains: Domain::ALL.iter().map(|&domain| self.domain_stats(domain)).collect(),
            stopped_by: self.stopped_by.as_ref().map(ToString::to_string),
        }
    }

    fn domain_stats(&self, domain: Domain) -> DomainStats {
        let sent = self.sent[domain as usize].iter().fold(0_u64, |sum, &count| sum.saturating_add(count));
        DomainStats { sent, ..self.pipeline.domain_stats(domain) }
    }

    /// Reads one frame, or finishes.
    fn advance(&mut self) {
        let Self { reader, pipeline, batch, deltas, sent, now_ns, .. } = self;
        match reader.next_frame() {
            None => {
                self.finish();
                return;
            }
            Some(Err(error)) if error.is_skippable() => tracing::debug!(%error, "frame left out"),
            Some(Err(error)) => self.stopped_by = Some(error),
            Some(Ok(frame)) => match frame {
                Frame::Record { domain, bytes } => pipeline.record(domain, bytes, batch),
                Frame::Process(entry) => {
                    *now_ns = (*now_ns).max(entry.seen_ns);
                    pipeline.snapshot(&entry, batch);
                }
                Frame::Anchor(anchor) => {
                    *now_ns = (*now_ns).max(anchor.boottime_ns);
                    pipeline.set_anchor(anchor);
                }
                Frame::User { uid, name } => pipeline.users_mut().set(uid, name),
                Frame::Losses { now_ns: at, domain, is_whole, deltas: further } => {
                    *now_ns = at;
                    deltas.extend(further);
                    if is_whole {
                        pipeline.settle(at, domain, deltas, batch);
                        deltas.clear();
                    }
                }
                Frame::Sent { now_ns: at, domain, is_whole, first_cpu, counts } => {
                    *now_ns = at;
                    let sent = &mut sent[domain as usize];
                    add_counts(sent, first_cpu, &counts);
                    if is_whole {
                        pipeline.finish(at, domain, sent, deltas, batch);
                        deltas.clear();
                    }
                }
                Frame::End { now_ns: at, .. } => *now_ns = at,
            },
        }
        self.ready.extend(self.batch.drain(..));
    }

    fn finish(&mut self) {
        self.finished = true;
        for (domain, sent) in Domain::ALL.into_iter().zip(&self.sent) {
            // For a domain that was closed already this states nothing new.
            let deltas = std::mem::take(&mut self.deltas);
            self.pipeline.finish(self.now_ns, domain, sent, &deltas, &mut self.batch);
        }
        self.ready.extend(self.batch.drain(..));
    }
}

impl<R: Read> Iterator for ReplayEvents<R> {
    type Item = CollectionEvent;

    fn next(&mut self) -> Option<CollectionEvent> {
        while self.ready.is_empty() && !self.finished {
            self.advance();
        }
        self.ready.pop_front()
    }
}

fn add_counts(sent: &mut Vec<u64>, first_cpu: u32, counts: &[u64]) {
    let first = (first_cpu as usize).min(CPUS_MAX);
    let end = (first + counts.len()).min(CPUS_MAX);
    if sent.len() < end {
        sent.resize(end, 0);
    }
    for (to, from) in sent.iter_mut().skip(first).zip(counts) {
        *to = *from;
    }
}
