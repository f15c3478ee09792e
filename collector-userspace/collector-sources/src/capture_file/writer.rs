//! Writing frames.

use std::io::{BufWriter, Write};

use collector_common::{Domain, WIRE_VERSION};

use super::codec::{CPUS_PER_FRAME, DELTAS_PER_FRAME, Put};
use super::{CaptureFileError, CaptureHeader, FORMAT_VERSION, FrameType, MAGIC, PAYLOAD_MAX, checksum};
use crate::clock::Anchor;
use crate::identity::snapshot::SnapshotEntry;
use crate::ledger::CounterDelta;

/// Writes a capture, buffered. The order of frames is the caller's business; see [`Recording`](super::Recording).
#[derive(Debug)]
pub struct CaptureWriter<W: Write> {
    out: BufWriter<W>,
    payload: Vec<u8>,
    records: [u64; Domain::COUNT],
    bytes: u64,
}

impl<W: Write> CaptureWriter<W> {
    /// Begins a capture.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(out: W, header: &CaptureHeader) -> Result<Self, CaptureFileError> {
        let json = serde_json::to_vec(header).map_err(|error| CaptureFileError::Header(error.to_string()))?;
        let mut begin = Vec::with_capacity(json.len() + 20);
        begin.extend_from_slice(&MAGIC);
        begin.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        begin.extend_from_slice(&WIRE_VERSION.to_le_bytes());
        begin.extend_from_slice(&(json.len() as u32).to_le_bytes());
        begin.extend_from_slice(&crc32c::crc32c(&json).to_le_bytes());
        begin.extend_from_slice(&json);
        let mut out = BufWriter::with_capacity(256 * 1024, out);
        out.write_all(&begin)?;
        let bytes = begin.len() as u64;
        Ok(Self { out, payload: Vec::new(), records: [0; Domain::COUNT], bytes })
    }

    /// A record as it lay in the ring of `domain`.
    ///
    /// # Errors
    /// What the output says, or that the record does not fit.
    pub fn record(&mut self, domain: Domain, bytes: &[u8]) -> Result<(), CaptureFileError> {
        self.frame(FrameType::Record, |put| put.record(domain, bytes))?;
        if let Some(count) = self.records.get_mut(domain as usize) {
            *count += 1;
        }
        Ok(())
    }

    /// A process found in `/proc`.
    ///
    /// # Errors
    /// What the output says, or that the process does not fit.
    pub fn process(&mut self, entry: &SnapshotEntry) -> Result<(), CaptureFileError> {
        self.frame(FrameType::Process, |put| put.process(entry))
    }

    /// An anchor, for times from here on.
    ///
    /// # Errors
    /// What the output says.
    pub fn anchor(&mut self, anchor: Anchor) -> Result<(), CaptureFileError> {
        self.frame(FrameType::Anchor, |put| put.anchor(anchor))
    }

    /// The name of a user.
    ///
    /// # Errors
    /// What the output says.
    pub fn user(&mut self, uid: u32, name: Option<&str>) -> Result<(), CaptureFileError> {
        self.frame(FrameType::User, |put| put.user(uid, name))
    }

    /// The ledger of a domain is settled: what the kernel's counters for it have gained since the last time.
    ///
    /// # Errors
    /// What the output says.
    pub fn losses(
        &mut self,
        now_ns: u64,
        domain: Domain,
        deltas: &[CounterDelta],
    ) -> Result<(), CaptureFileError> {
        self.counters(now_ns, domain, deltas, true)
    }

    /// The ledger of a domain is closed: what its counters have gained since the last time, and how many records the
    /// kernel side wanted to send, by processor.
    ///
    /// # Errors
    /// What the output says.
    pub fn close(
        &mut self,
        now_ns: u64,
        domain: Domain,
        sent: &[u64],
        deltas: &[CounterDelta],
    ) -> Result<(), CaptureFileError> {
        self.counters(now_ns, domain, deltas, false)?;
        let (mut rest, mut first_cpu) = (sent, 0);
        loop {
            let (now, later) = rest.split_at_checked(CPUS_PER_FRAME).unwrap_or((rest, &[]));
            let is_whole = later.is_empty();
            self.frame(FrameType::Sent, |put| put.sent(now_ns, domain, is_whole, first_cpu, now))?;
            if is_whole {
                return Ok(());
            }
            rest = later;
            first_cpu += CPUS_PER_FRAME as u32;
        }
    }

    /// Ends the capture.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self, now_ns: u64) -> Result<W, CaptureFileError> {
        let records = self.records;
        self.frame(FrameType::End, |put| put.end(now_ns, records))?;
        self.out.into_inner().map_err(|error| error.into_error().into())
    }

    fn counters(
        &mut self,
        now_ns: u64,
        domain: Domain,
        deltas: &[CounterDelta],
        settles: bool,
    ) -> Result<(), CaptureFileError> {
        let mut rest = deltas;
        loop {
            let (now, later) = rest.split_at_checked(DELTAS_PER_FRAME).unwrap_or((rest, &[]));
            let is_whole = settles && later.is_empty();
            self.frame(FrameType::Losses, |put| put.losses(now_ns, domain, is_whole, now))?;
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// What the output says.
    pub fn flush(&mut self) -> Result<(), CaptureFileError> {
        Ok(self.out.flush()?)
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn frame(
        &mut self,
        frame_type: FrameType,
        put: impl FnOnce(&mut Put<'_>),
    ) -> Result<(), CaptureFileError> {
        self.payload.clear();
        put(&mut Put(&mut self.payload));
        let len = self.payload.len();
        if len > PAYLOAD_MAX {
            return Err(CaptureFileError::TooLong { len });
        }
        self.out.write_all(&(len as u32).to_le_bytes())?;
        self.out.write_all(&checksum(frame_type as u8, &self.payload).to_le_bytes())?;
        self.out.write_all(&[frame_type as u8])?;
        self.out.write_all(&self.payload)?;
        self.bytes += (super::FRAME_HEAD + len) as u64;
        Ok(())
    }
}
