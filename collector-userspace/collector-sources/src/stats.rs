//! Counters of a capture, as `collector stats` and the metrics show them.

use serde::{Deserialize, Serialize};

/// Everything a capture counts. All numbers are totals since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStats {
    /// The ledger, one entry per domain.
    pub domains: Vec<DomainStats>,
    /// Records not sent, by kind and reason; zero counts are left out.
    pub losses: Vec<LossCount>,
    /// Cost per kernel program; run times are zero unless the kernel accounts them.
    pub programs: Vec<ProgramStats>,
    /// Processes in the identity table.
    pub processes: u64,
    /// Processes dropped from the identity table because it was full.
    pub processes_evicted: u64,
}

/// Ledger of one domain. After a drain, `received + lost = sent` exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainStats {
    /// `process`, `network` or `file`.
    pub domain: String,
    /// Records the kernel side wanted to send.
    pub sent: u64,
    /// Records userspace took from the ring, undecodable ones included.
    pub received: u64,
    /// Records that took a sequence number and never reached the ring, as the kernel counted them.
    pub lost: u64,
    /// Holes seen in the sequences of received records; equals `lost` after a drain.
    pub gaps: u64,
    /// Received records that could not be decoded.
    pub decode_errors: u64,
    /// Bytes of the ring.
    pub ring_bytes: u64,
}

/// Records of one kind that were not sent for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossCount {
    /// Domain.
    pub domain: String,
    /// Kind, for example `file.open`.
    pub kind: String,
    /// Reason, for example `ring_full`.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// Whether this is a loss; filtered records are counted too.
    pub is_loss: bool,
}

/// Cost of one kernel program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStats {
    /// Name of the program.
    pub name: String,
    /// Times it ran.
    pub run_count: u64,
    /// Nanoseconds it ran.
    pub run_time_ns: u64,
    /// Times the kernel skipped it because it was already running on that processor.
    pub missed: u64,
}
