//! Reading frames, whatever the file holds.

use std::io::{self, Read};
use std::sync::Arc;

use collector_common::{Domain, WIRE_VERSION};

use super::codec::take_frame;
use super::{
    CaptureFileError, CaptureHeader, FORMAT_VERSION, FRAME_HEAD, FrameType, HEADER_MAX, MAGIC, PAYLOAD_MAX,
    checksum,
};
use crate::clock::Anchor;
use crate::identity::snapshot::SnapshotEntry;
use crate::ledger::CounterDelta;

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A record as it lay in a ring.
    Record {
        /// Domain of the ring.
        domain: Domain,
        /// The record.
        bytes: &'a [u8],
    },
    /// A process found in `/proc`.
    Process(Box<SnapshotEntry>),
    /// An anchor for times from here on.
    Anchor(Anchor),
    /// The name of a user.
    User {
        /// The user.
        uid: u32,
        /// Its name; absent if it has none.
        name: Option<Arc<str>>,
    },
    /// The ledger of a domain was settled.
    Losses {
        /// When, kernel time.
        now_ns: u64,
        /// Domain.
        domain: Domain,
        /// Whether this is all, or belongs to what follows.
        is_whole: bool,
        /// What the kernel's counters had gained.
        deltas: Vec<CounterDelta>,
    },
    /// The ledger of a domain was closed: how many records the kernel side wanted to send.
    Sent {
        /// When, kernel time.
        now_ns: u64,
        /// Domain.
        domain: Domain,
        /// Whether this is all, or belongs to what follows.
        is_whole: bool,
        /// Processor of the first count.
        first_cpu: u32,
        /// A count per processor.
        counts: Vec<u64>,
    },
    /// The capture was ended in order.
    End {
        /// When, kernel time.
        now_ns: u64,
        /// Records written, by domain.
        records: [u64; Domain::COUNT],
    },
}

/// What was read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Frames that were read.
    pub frames: u64,
    /// Frames that were damaged, of unknown type or malformed, and left out.
    pub skipped: u64,
    /// Whether the end marker was read.
    pub complete: bool,
}

/// Reads a capture frame by frame. Keeps one frame in memory at a time.
#[derive(Debug)]
pub struct CaptureReader<R> {
    input: R,
    header: CaptureHeader,
    /// Where the next frame begins.
    offset: u64,
    payload: Vec<u8>,
    counts: ReadCounts,
    /// Nothing further can be read.
    done: bool,
}

impl<R: Read> CaptureReader<R> {
    /// Reads the beginning of a capture. Give it a buffered input.
    ///
    /// # Errors
    /// That it is no capture, one of another version, or that its header is damaged.
    pub fn new(mut input: R) -> Result<Self, CaptureFileError> {
        let mut begin = [0; 20];
        let have = read_full(&mut input, &mut begin)?;
        let (magic, rest) = begin.split_at(MAGIC.len());
        if have < MAGIC.len() || magic != MAGIC {
            return Err(CaptureFileError::Magic);
        }
        let &[format0, format1, wire0, wire1, l0, l1, l2, l3, c0, c1, c2, c3] = rest else {
            return Err(CaptureFileError::Magic);
        };
        if have < begin.len() {
            return Err(CaptureFileError::Header("it is cut off".to_owned()));
        }
        let (format, wire) = (u16::from_le_bytes([format0, format1]), u16::from_le_bytes([wire0, wire1]));
        if format != FORMAT_VERSION {
            return Err(CaptureFileError::Format { found: format, expected: FORMAT_VERSION });
        }
        if wire != WIRE_VERSION {
            return Err(CaptureFileError::Wire { found: wire, expected: WIRE_VERSION });
        }
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if len > HEADER_MAX {
            return Err(CaptureFileError::Header(format!("it states {len} bytes")));
        }
        let mut json = vec![0; len];
        if read_full(&mut input, &mut json)? < len {
            return Err(CaptureFileError::Header("it is cut off".to_owned()));
        }
        if crc32c::crc32c(&json) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(CaptureFileError::Header("its checksum is another".to_owned()));
        }
        let header =
            serde_json::from_slice(&json).map_err(|error| CaptureFileError::Header(error.to_string()))?;
        let offset = (begin.len() + len) as u64;
        Ok(Self { input, header, offset, payload: Vec::new(), counts: ReadCounts::default(), done: false })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &CaptureHeader {
        &self.header
    }

    /// What was read so far.
    #[must_use]
    pub const fn counts(&self) -> ReadCounts {
        self.counts
    }

    /// The next frame; `None` at the end. After an error that [is skippable](CaptureFileError::is_skippable) there
    /// may be further frames, after any other there are none.
    pub fn next_frame(&mut self) -> Option<Result<Frame<'_>, CaptureFileError>> {
        if self.done {
            return None;
        }
        let (frame_type, offset) = match self.load() {
            Ok(Some(loaded)) => loaded,
            Ok(None) => {
                self.done = true;
                return None;
            }
            Err(error) => {
                self.done = !error.is_skippable();
                self.counts.skipped += u64::from(error.is_skippable());
                return Some(Err(error));
            }
        };
        let Some(frame) = take_frame(frame_type, &self.payload) else {
            self.counts.skipped += 1;
            return Some(Err(CaptureFileError::Payload { offset, frame_type: frame_type as u8 }));
        };
        self.counts.frames += 1;
        if let Frame::End { .. } = frame {
            self.counts.complete = true;
            self.done = true;
        }
        Some(Ok(frame))
    }

    /// Reads a frame into the payload buffer and returns its type and where it began.
    fn load(&mut self) -> Result<Option<(FrameType, u64)>, CaptureFileError> {
        let offset = self.offset;
        let mut head = [0; FRAME_HEAD];
        match read_full(&mut self.input, &mut head)? {
            0 => return Ok(None),
            FRAME_HEAD => {}
            _ => return Err(CaptureFileError::Truncated { offset }),
        }
        let [l0, l1, l2, l3, c0, c1, c2, c3, frame_type] = head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        if len as usize > PAYLOAD_MAX {
            return Err(CaptureFileError::FrameLength { offset, len });
        }
        self.payload.resize(len as usize, 0);
        if read_full(&mut self.input, &mut self.payload)? < self.payload.len() {
            return Err(CaptureFileError::Truncated { offset });
        }
        self.offset += (FRAME_HEAD + self.payload.len()) as u64;
        if checksum(frame_type, &self.payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(CaptureFileError::Checksum { offset });
        }
        match FrameType::from_number(frame_type) {
            Some(known) => Ok(Some((known, offset))),
            None => Err(CaptureFileError::FrameType { offset, frame_type }),
        }
    }
}

/// Reads until the buffer is full or the input ends; returns how much there was.
fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while let Some(rest) = buffer.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}
