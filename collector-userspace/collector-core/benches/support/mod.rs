//! Measuring processor time instead of the clock on the wall: the same on a busy machine as on an idle one.

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// Processor time of all threads of this process, in nanoseconds.
pub(crate) struct CpuTime(WallTime);

impl CpuTime {
    pub(crate) const fn new() -> Self {
        Self(WallTime)
    }

    fn now() -> u64 {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    }
}

impl Measurement for CpuTime {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        Self::now()
    }

    fn end(&self, start: u64) -> u64 {
        Self::now() - start
    }

    fn add(&self, one: &u64, other: &u64) -> u64 {
        one + other
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, nanoseconds: &u64) -> f64 {
        *nanoseconds as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        // It prints nanoseconds, which is what these are.
        self.0.formatter()
    }
}

/// Events of which every round handles so many.
pub(crate) const fn events(count: usize) -> Throughput {
    Throughput::Elements(count as u64)
}
