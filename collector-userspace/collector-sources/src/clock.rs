//! Kernel time to wall time.
//!
//! Records carry `CLOCK_BOOTTIME`, which never steps and counts suspend. An [`Anchor`] pairs it with
//! `CLOCK_REALTIME`; between anchors the two run alike. When they drift apart by more than [`STEP_NS`] (somebody
//! set the clock, or it was slewed for long) a new anchor is taken, for times from then on. Replay takes the
//! anchors from the capture, never from this machine.

use std::time::{Duration, SystemTime};

/// Difference between anchor and clocks that makes a new anchor necessary.
pub const STEP_NS: u64 = 50_000_000;

/// Shortest time between two looks at the clocks.
pub const CHECK_INTERVAL_NS: u64 = 1_000_000_000;

/// Readings per anchor: one is enough unless the thread is interrupted between its two clocks.
const READINGS: usize = 5;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchor {
    /// `CLOCK_REALTIME`, nanoseconds since the Unix epoch.
    pub realtime_ns: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds since boot.
    pub boottime_ns: u64,
}

impl Anchor {
    /// Reads both clocks back to back, several times, and keeps the reading that took least.
    #[must_use]
    pub fn read() -> Self {
        let mut best = Self::default();
        let mut best_width = u64::MAX;
        for _ in 0..READINGS {
            let before = boottime_ns();
            let realtime_ns = nanoseconds(rustix::time::ClockId::Realtime);
            let width = boottime_ns().saturating_sub(before);
            if width < best_width {
                best_width = width;
                best = Self { realtime_ns, boottime_ns: before + width / 2 };
            }
        }
        best
    }

    /// How far the difference of the clocks is from what it was at the other anchor.
    const fn distance_ns(&self, other: &Self) -> u64 {
        let here = self.realtime_ns.wrapping_sub(self.boottime_ns).cast_signed();
        let there = other.realtime_ns.wrapping_sub(other.boottime_ns).cast_signed();
        here.wrapping_sub(there).unsigned_abs()
    }
}

/// Now, as kernel records state it: `CLOCK_BOOTTIME` in nanoseconds.
#[must_use]
pub fn boottime_ns() -> u64 {
    nanoseconds(rustix::time::ClockId::Boottime)
}

fn nanoseconds(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Maps kernel time to wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    anchor: Anchor,
    checked_ns: u64,
}

impl Clock {
    /// A clock on this anchor.
    #[must_use]
    pub const fn new(anchor: Anchor) -> Self {
        Self { anchor, checked_ns: anchor.boottime_ns }
    }

    /// The anchor in use.
    #[must_use]
    pub const fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// Replaces the anchor: what replay does with a recorded one.
    pub const fn set_anchor(&mut self, anchor: Anchor) {
        *self = Self::new(anchor);
    }

    /// Looks at the clocks through `read` ([`Anchor::read`] when live) unless that was done within
    /// [`CHECK_INTERVAL_NS`] before `now_ns`. Returns the new anchor if there had to be one.
    pub fn check(&mut self, now_ns: u64, read: impl FnOnce() -> Anchor) -> Option<Anchor> {
        if now_ns.saturating_sub(self.checked_ns) < CHECK_INTERVAL_NS {
            return None;
        }
        self.checked_ns = now_ns;
        let now = read();
        if now.distance_ns(&self.anchor) <= STEP_NS {
            return None;
        }
        self.anchor = now;
        Some(now)
    }

    /// Wall time of a moment in kernel time. Moments the system's time cannot express become the epoch.
    #[must_use]
    pub fn system_time(&self, ktime_ns: u64) -> SystemTime {
        let since_epoch =
            i128::from(self.anchor.realtime_ns) + i128::from(ktime_ns) - i128::from(self.anchor.boottime_ns);
        u64::try_from(since_epoch)
            .ok()
            .and_then(|ns| SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(ns)))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(realtime_ns: u64, boottime_ns: u64) -> Anchor {
        Anchor { realtime_ns, boottime_ns }
    }

    fn epoch_plus(ns: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(ns)
    }

    #[test]
    fn times_before_and_after_the_anchor_map_by_their_distance() {
        let clock = Clock::new(at(1_000 * SECOND, 10 * SECOND));
        assert_eq!(clock.system_time(10 * SECOND), epoch_plus(1_000 * SECOND));
        assert_eq!(clock.system_time(12 * SECOND + 5), epoch_plus(1_002 * SECOND + 5));
        assert_eq!(clock.system_time(3 * SECOND), epoch_plus(993 * SECOND));
    }

    #[test]
    fn impossible_times_do_not_panic() {
        let clock = Clock::new(at(5, u64::MAX));
        assert_eq!(clock.system_time(0), SystemTime::UNIX_EPOCH);
        let clock = Clock::new(at(u64::MAX, 0));
        assert_eq!(clock.system_time(u64::MAX), SystemTime::UNIX_EPOCH);
        assert!(Clock::new(at(0, u64::MAX)).check(u64::MAX, || at(u64::MAX, 0)).is_none());
    }

    #[test]
    fn drift_within_the_limit_keeps_the_anchor() {
        let mut clock = Clock::new(at(1_000 * SECOND, 0));
        let drifted = at(1_002 * SECOND + STEP_NS, 2 * SECOND);
        assert_eq!(clock.check(2 * SECOND, || drifted), None);
        assert_eq!(clock.system_time(0), epoch_plus(1_000 * SECOND));
    }

    #[test]
    fn a_step_of_the_wall_clock_either_way_takes_a_new_anchor() {
        for realtime_ns in [5_000 * SECOND, 3 * SECOND] {
            let mut clock = Clock::new(at(1_000 * SECOND, 0));
            let stepped = at(realtime_ns, 2 * SECOND);
            assert_eq!(clock.check(2 * SECOND, || stepped), Some(stepped));
            assert_eq!(clock.system_time(2 * SECOND), epoch_plus(realtime_ns));
        }
    }

    #[test]
    fn the_clocks_are_read_at_most_once_an_interval() {
        let mut clock = Clock::new(at(1_000 * SECOND, 0));
        let mut reads = 0;
        for now in (0..3 * SECOND).step_by(100_000_000) {
            let _ = clock.check(now, || {
                reads += 1;
                at(1_000 * SECOND + now, now)
            });
        }
        assert_eq!(reads, 2);
    }

    #[test]
    fn the_real_clocks_make_an_anchor_close_to_now() {
        let clock = Clock::new(Anchor::read());
        let mapped = clock.system_time(boottime_ns());
        let now = SystemTime::now();
        let apart = now.duration_since(mapped).unwrap_or_else(|error| error.duration());
        assert!(apart < Duration::from_secs(1), "{apart:?} apart");
    }
}
