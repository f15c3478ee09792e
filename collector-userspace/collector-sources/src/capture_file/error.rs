//! Why a capture cannot be read, or a part of it.

use std::io;

/// Why a capture cannot be read, or a part of it.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFileError {
    /// The file could not be opened, read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin as captures do.
    #[error("not a capture of collector")]
    Magic,
    /// Written by another version.
    #[error("capture format {found} is not ours, {expected}")]
    Format {
        /// Version in the file.
        found: u16,
        /// Our version.
        expected: u16,
    },
    /// Its records are of another version.
    #[error("capture holds records of wire version {found}, ours is {expected}")]
    Wire {
        /// Version in the file.
        found: u16,
        /// Our version.
        expected: u16,
    },
    /// The header is damaged.
    #[error("capture header is damaged: {0}")]
    Header(String),
    /// The file ends inside a frame: whoever wrote it was interrupted.
    #[error("capture ends inside the frame at offset {offset}")]
    Truncated {
        /// Where the frame begins.
        offset: u64,
    },
    /// A frame cannot have this length, so nothing says where the next one begins.
    #[error("frame at offset {offset} states an impossible length of {len} bytes")]
    FrameLength {
        /// Where the frame begins.
        offset: u64,
        /// Length it states.
        len: u32,
    },
    /// A frame is damaged; the next one can be read.
    #[error("frame at offset {offset} is damaged")]
    Checksum {
        /// Where the frame begins.
        offset: u64,
    },
    /// A frame of a type that is not ours; the next one can be read.
    #[error("frame at offset {offset} has unknown type {frame_type}")]
    FrameType {
        /// Where the frame begins.
        offset: u64,
        /// Its type.
        frame_type: u8,
    },
    /// A frame whose payload is not what its type says; the next one can be read.
    #[error("frame at offset {offset} of type {frame_type} has a malformed payload")]
    Payload {
        /// Where the frame begins.
        offset: u64,
        /// Its type.
        frame_type: u8,
    },
    /// Something does not fit into a frame; it was not written.
    #[error("{len} bytes do not fit into a frame")]
    TooLong {
        /// Bytes of the payload.
        len: usize,
    },
}

impl CaptureFileError {
    /// Whether reading goes on behind it.
    #[must_use]
    pub const fn is_skippable(&self) -> bool {
        match self {
            Self::Checksum { .. } | Self::FrameType { .. } | Self::Payload { .. } => true,
            Self::Io(_)
            | Self::Magic
            | Self::Format { .. }
            | Self::Wire { .. }
            | Self::Header(_)
            | Self::Truncated { .. }
            | Self::FrameLength { .. }
            | Self::TooLong { .. } => false,
        }
    }
}
