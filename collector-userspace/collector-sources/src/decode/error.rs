//! Why bytes are not a record.

use collector_common::{Domain, Kind};

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than a header has.
    #[error("{have} bytes are too few for a record header")]
    HeaderTruncated {
        /// Bytes there are.
        have: usize,
    },
    /// Written by programs of another wire version.
    #[error("wire version {0} is not ours")]
    Version(u16),
    /// The length in the header is not one the bytes can have.
    #[error("record states {stated} bytes where there are {have}")]
    Length {
        /// Length in the header.
        stated: u32,
        /// Bytes there are.
        have: usize,
    },
    /// No kind has this number.
    #[error("no kind has number {0}")]
    Kind(u16),
    /// No capture has this number.
    #[error("no capture has number {0}")]
    Capture(u32),
    /// Fewer bytes than the kind's fixed part has.
    #[error("{} of {have} bytes, its fixed part has {need}", kind.name())]
    PayloadTruncated {
        /// The record's kind.
        kind: Kind,
        /// Bytes there are.
        have: usize,
        /// Bytes of the fixed part.
        need: usize,
    },
    /// A string does not lie inside the record's string area.
    #[error("{} of {record} bytes: {field} at {offset}+{len} is not in the string area", kind.name())]
    StringRange {
        /// The record's kind.
        kind: Kind,
        /// Which string.
        field: &'static str,
        /// Where it is said to begin.
        offset: u32,
        /// How long it is said to be.
        len: u32,
        /// Bytes of the record.
        record: usize,
    },
    /// The record lay in the ring of another domain.
    #[error("{} in the ring of {}", kind.name(), ring.name())]
    Domain {
        /// The record's kind.
        kind: Kind,
        /// Domain of the ring.
        ring: Domain,
    },
}

impl DecodeError {
    /// What to count the error under.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        match self {
            Self::HeaderTruncated { .. } => DecodeErrorKind::HeaderTruncated,
            Self::Version(_) => DecodeErrorKind::Version,
            Self::Length { .. } => DecodeErrorKind::Length,
            Self::Kind(_) => DecodeErrorKind::Kind,
            Self::Capture(_) => DecodeErrorKind::Capture,
            Self::PayloadTruncated { .. } => DecodeErrorKind::PayloadTruncated,
            Self::StringRange { .. } => DecodeErrorKind::StringRange,
            Self::Domain { .. } => DecodeErrorKind::Domain,
        }
    }
}

/// [`DecodeError`] without its details: the key of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DecodeErrorKind {
    /// [`DecodeError::HeaderTruncated`].
    HeaderTruncated = 0,
    /// [`DecodeError::Version`].
    Version = 1,
    /// [`DecodeError::Length`].
    Length = 2,
    /// [`DecodeError::Kind`].
    Kind = 3,
    /// [`DecodeError::Capture`].
    Capture = 4,
    /// [`DecodeError::PayloadTruncated`].
    PayloadTruncated = 5,
    /// [`DecodeError::StringRange`].
    StringRange = 6,
    /// [`DecodeError::Domain`].
    Domain = 7,
}

impl DecodeErrorKind {
    /// Number of kinds.
    pub const COUNT: usize = 8;
    /// Every kind, in numeric order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::HeaderTruncated,
        Self::Version,
        Self::Length,
        Self::Kind,
        Self::Capture,
        Self::PayloadTruncated,
        Self::StringRange,
        Self::Domain,
    ];

    /// The name used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeaderTruncated => "header_truncated",
            Self::Version => "version",
            Self::Length => "length",
            Self::Kind => "kind",
            Self::Capture => "capture",
            Self::PayloadTruncated => "payload_truncated",
            Self::StringRange => "string_range",
            Self::Domain => "domain",
        }
    }
}
