//! Writing a capture that replays: what replay cannot know is put before the record that needs it.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use collector_common::Domain;
use rustc_hash::FxHashMap;

use super::{CaptureFileError, CaptureHeader, CaptureWriter};
use crate::clock::Anchor;
use crate::decode::decode;
use crate::identity::Users;
use crate::identity::snapshot::SnapshotEntry;
use crate::ledger::CounterDelta;
use crate::tap::Tap;

/// Users whose written names are remembered; beyond that all are forgotten and written again.
const USERS_MAX: usize = 16_384;

/// A capture that is being recorded.
///
/// Its [taps](Self::tap) share it. The first error ends the recording; [`finish`](Self::finish) returns it.
#[derive(Debug)]
pub struct Recording<W: Write> {
    recorder: Arc<Mutex<Recorder<W>>>,
}

#[derive(Debug)]
struct Recorder<W: Write> {
    /// `None` after an error or the end.
    writer: Option<CaptureWriter<W>>,
    error: Option<CaptureFileError>,
    users: Users,
    written: FxHashMap<u32, Option<Arc<str>>>,
}

/// A recording's ear at a capture.
#[derive(Debug)]
struct RecordingTap<W: Write> {
    recorder: Arc<Mutex<Recorder<W>>>,
}

impl<W: Write + Send + 'static> Recording<W> {
    /// Begins a capture. The tap's first call should be the anchor.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(out: W, header: &CaptureHeader, users: Users) -> Result<Self, CaptureFileError> {
        let recorder = Recorder {
            writer: Some(CaptureWriter::new(out, header)?),
            error: None,
            users,
            written: FxHashMap::default(),
        };
        Ok(Self { recorder: Arc::new(Mutex::new(recorder)) })
    }

    /// What writes to this recording.
    #[must_use]
    pub fn tap(&self) -> Box<dyn Tap> {
        Box::new(RecordingTap { recorder: Arc::clone(&self.recorder) })
    }

    /// Bytes written so far; `None` once the recording has failed.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        lock(&self.recorder).writer.as_ref().map(CaptureWriter::bytes)
    }

    /// Marks the end, for after the sources have ended. A tap that is still there records nothing any more.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub fn finish(self, now_ns: u64) -> Result<W, CaptureFileError> {
        let mut recorder = lock(&self.recorder);
        match (recorder.error.take(), recorder.writer.take()) {
            (None, Some(writer)) => writer.finish(now_ns),
            (Some(error), _) => Err(error),
            (None, None) => Err(CaptureFileError::Io(std::io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl<W: Write> Recorder<W> {
    fn write(&mut self, write: impl FnOnce(&mut CaptureWriter<W>) -> Result<(), CaptureFileError>) {
        if let Some(Err(error)) = self.writer.as_mut().map(write) {
            tracing::error!(%error, "recording has ended");
            self.error = Some(error);
            self.writer = None;
        }
    }

    fn name_user(&mut self, uid: u32) {
        let name = self.users.name(uid);
        if self.written.get(&uid) == Some(&name) {
            return;
        }
        self.write(|writer| writer.user(uid, name.as_deref()));
        if self.written.len() >= USERS_MAX {
            self.written.clear();
        }
        self.written.insert(uid, name);
    }
}

impl<W: Write + Send> Tap for RecordingTap<W> {
    fn record(&mut self, domain: Domain, bytes: &[u8]) {
        let mut recorder = lock(&self.recorder);
        // Events of the other domains name no users.
        if domain == Domain::Process
            && let Ok(record) = decode(bytes)
        {
            recorder.name_user(record.task().uid);
        }
        recorder.write(|writer| writer.record(domain, bytes));
    }

    fn snapshot(&mut self, entry: &SnapshotEntry) {
        let mut recorder = lock(&self.recorder);
        if let Some(uid) = entry.uid {
            recorder.name_user(uid);
        }
        recorder.write(|writer| writer.process(entry));
    }

    fn anchor(&mut self, anchor: Anchor) {
        lock(&self.recorder).write(|writer| writer.anchor(anchor));
    }

    fn losses(&mut self, now_ns: u64, domain: Domain, deltas: &[CounterDelta]) {
        lock(&self.recorder).write(|writer| writer.losses(now_ns, domain, deltas));
    }

    fn finish(&mut self, now_ns: u64, domain: Domain, sent: &[u64], deltas: &[CounterDelta]) {
        lock(&self.recorder).write(|writer| writer.close(now_ns, domain, sent, deltas));
    }
}

fn lock<W: Write>(recorder: &Mutex<Recorder<W>>) -> MutexGuard<'_, Recorder<W>> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}
