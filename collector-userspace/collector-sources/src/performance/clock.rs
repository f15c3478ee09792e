//! The clock that intervals are measured with.

#[cfg(test)]
use std::sync::{Arc, atomic};

use crate::clock::boottime_ns;

/// `CLOCK_BOOTTIME`, which start times of processes are stated in, and which nobody can set.
#[derive(Clone, Debug, Default)]
pub(super) struct SampleClock {
    #[cfg(test)]
    pub(super) fixed: Option<Arc<atomic::AtomicU64>>,
}

impl SampleClock {
    pub(super) fn now_ns(&self) -> u64 {
        #[cfg(test)]
        if let Some(fixed) = &self.fixed {
            return fixed.load(atomic::Ordering::Relaxed);
        }
        boottime_ns()
    }
}
