//! Lost events, stated in the stream.

use std::time::SystemTime;

use super::EventMeta;

/// Events that are missing. What is not known is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossEvent {
    /// When the loss was noticed.
    pub timestamp: SystemTime,
    /// Provenance: the source that noticed.
    pub meta: EventMeta,
    /// `process`, `network`, `file`, or the place that lost them, such as `subscriber`.
    pub domain: &'static str,
    /// Kind of the lost events, for example `file.open`.
    pub kind: Option<&'static str>,
    /// Why, for example `ring_full`.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
    /// Processor whose sequence has the hole.
    pub cpu: Option<u32>,
    /// First missing sequence number.
    pub first_seq: Option<u64>,
    /// Last missing sequence number.
    pub last_seq: Option<u64>,
}

impl Default for LossEvent {
    fn default() -> Self {
        Self {
            timestamp: SystemTime::UNIX_EPOCH,
            meta: EventMeta::default(),
            domain: "",
            kind: None,
            reason: "",
            count: 0,
            cpu: None,
            first_seq: None,
            last_seq: None,
        }
    }
}
