//! Captures in files: what `record` writes and `replay` reads.
//!
//! ```text
//! file   = magic "collcap\n" | format u16 | wire u16 | len u32 | crc u32 | header (JSON, len bytes) | frame …
//! frame  = len u32 | crc u32 | type u8 | payload (len bytes)
//!
//! type      payload
//! 1 record  domain u8 | bytes as they lay in the ring
//! 2 process a process found in /proc, see `codec`
//! 3 anchor  realtime u64 | boottime u64                            (nanoseconds)
//! 4 user    uid u32 | has a name u8 | name
//! 5 losses  now u64 | domain u8 | is whole u8 | (kind u16 | reason u8 | cpu u32 | count u64) …
//! 6 sent    now u64 | domain u8 | is whole u8 | first cpu u32 | (records the kernel wanted to send u64) …
//! 7 end     now u64 | records of each domain in this file u64 × 3
//! ```
//! All numbers are little-endian; `crc` is CRC-32C, of the header's JSON or of a frame's type and payload. A frame
//! stands before what needs it: a user's name before the first record of that user, an anchor before the times it
//! maps. A whole `losses` says that the live capture settled the domain's ledger at that moment, a whole `sent` that it
//! closed it; those that are not whole belong to the next that is.
//!
//! What is in the file is all that replay knows: no clock, user database or `/proc` of the machine that replays. So
//! the same file gives the same events in the same order, anywhere.

mod codec;
mod error;
mod header;
mod reader;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

pub use error::CaptureFileError;
pub use header::CaptureHeader;
pub use reader::{CaptureReader, Frame, ReadCounts};
pub use recorder::Recording;
pub use replay::{Replay, ReplayEvents, ReplaySummary};
pub use writer::CaptureWriter;

use collector_common::RECORD_MAX;

const MAGIC: [u8; 8] = *b"collcap\n";

/// Version of this format. Record layouts have their own.
pub const FORMAT_VERSION: u16 = 1;

/// Longest payload of a frame: a record, or a process with a full argument vector, and the numbers around it.
pub const PAYLOAD_MAX: usize = RECORD_MAX + 4096;

/// Longest header.
const HEADER_MAX: usize = 64 * 1024;

/// Bytes of a frame before its payload.
const FRAME_HEAD: usize = 9;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum FrameType {
    Record = 1,
    Process = 2,
    Anchor = 3,
    User = 4,
    Losses = 5,
    Sent = 6,
    End = 7,
}

impl FrameType {
    const ALL: [Self; 7] =
        [Self::Record, Self::Process, Self::Anchor, Self::User, Self::Losses, Self::Sent, Self::End];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u8 == number)
    }
}

/// Checksum of a frame.
fn checksum(frame_type: u8, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[frame_type]), payload)
}
