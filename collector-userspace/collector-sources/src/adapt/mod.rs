//! Decoded records to events: pure functions of record, identity and clock.
//!
//! A field is filled only when the record or the identity knows it. Numbers that mean "unknown" on the wire become
//! absent here and are seen nowhere above.

mod file;
mod network;
mod path;
mod process;
mod snapshot;
#[cfg(test)]
mod tests;

use collector_common::{Domain, RecordHeader};
use collector_core::{Capture, EventMeta, Sequence};

pub use file::adapt_file;
pub(crate) use network::tcp_state;
pub use network::{adapt_network, connection_id};
pub use process::{Executable, adapt_exec, adapt_exit, adapt_fork};
pub use snapshot::adapt_snapshot;

use crate::clock::Clock;

/// What every adaptation needs besides the record.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Maps the record's time.
    pub clock: Clock,
    /// Name of the source, as [`EventSource::name`](collector_core::EventSource::name) gives it.
    pub source: &'static str,
}

impl Context {
    fn meta(&self, header: &RecordHeader, domain: Domain, capture: collector_common::Capture) -> EventMeta {
        EventMeta {
            source: self.source,
            capture: match capture {
                collector_common::Capture::Kernel => Capture::Kernel,
                collector_common::Capture::Syscall => Capture::Syscall,
            },
            sequence: Some(Sequence { domain: domain.name(), cpu: header.cpu, number: header.seq }),
        }
    }
}

/// `u32::MAX`, which ids have where they are not set.
fn set(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

/// 0, which numbers have where they are unknown.
fn known<N: Default + PartialEq>(number: N) -> Option<N> {
    (number != N::default()).then_some(number)
}
