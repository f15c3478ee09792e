//! Why a record was not sent: the key of the kernel side's counters.

use crate::Kind;

/// Reasons a record that was wanted did not reach its ring, or was not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum LossReason {
    /// The ring had no room: userspace was too slow or the ring too small. Advances the sequence.
    RingFull = 0,
    /// A stage of the probe could not run (tail call refused). Advances the sequence.
    StageFailed = 1,
    /// The agent's own operation, left out so that output does not feed on itself. Not a loss.
    Own = 2,
    /// A filter set by the user left it out. Not a loss.
    Filtered = 3,
    /// A written file or a connection was closed where no hook saw it (passed descriptors, for example): its modify or close
    /// event is missing. Noticed when the kernel reuses the memory; not part of the sequence.
    CloseUnseen = 4,
    /// A 32-bit system call that this tier cannot read. Not part of the sequence.
    Compat = 5,
    /// A [`Table`](crate::Table) was full and forgot an entry, or had no room: the event that would have followed from it is
    /// missing. With `process.fork`: the set of followed pids had no room. Not part of the sequence.
    TableFull = 6,
    /// Kernels before 5.12 only: the program interrupted another one of its domain on the same processor while that took a
    /// number, and could not take one itself. Not part of the sequence.
    SequenceBusy = 7,
}

/// A number that names no reason of this wire version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason(pub u8);

impl LossReason {
    /// Number of reasons.
    pub const COUNT: usize = 8;
    /// Every reason, in numeric order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::RingFull,
        Self::StageFailed,
        Self::Own,
        Self::Filtered,
        Self::CloseUnseen,
        Self::Compat,
        Self::TableFull,
        Self::SequenceBusy,
    ];

    /// The name used in JSON, metrics and the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::StageFailed => "stage_failed",
            Self::Own => "own",
            Self::Filtered => "filtered",
            Self::CloseUnseen => "close_unseen",
            Self::Compat => "compat_syscall",
            Self::TableFull => "table_full",
            Self::SequenceBusy => "sequence_busy",
        }
    }

    /// Whether the record had already taken a sequence number, so that its absence shows as a gap.
    #[must_use]
    pub const fn in_sequence(self) -> bool {
        matches!(self, Self::RingFull | Self::StageFailed)
    }

    /// Whether something the user asked for is missing.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        !matches!(self, Self::Own | Self::Filtered)
    }
}

impl TryFrom<u8> for LossReason {
    type Error = UnknownReason;
    fn try_from(number: u8) -> Result<Self, UnknownReason> {
        Self::ALL.get(number as usize).copied().ok_or(UnknownReason(number))
    }
}

/// Entries of the counter map: one per kind and reason.
pub const COUNTER_SLOTS: usize = Kind::LIMIT * 8;

/// Index of the counter of `kind` and `reason`.
#[must_use]
pub const fn counter_slot(kind: Kind, reason: LossReason) -> u32 {
    (kind as u32) * 8 + reason as u32
}
