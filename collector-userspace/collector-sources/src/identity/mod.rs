//! Who acted: processes and their images, from kernel records and `/proc` alike.
//!
//! A pid names nothing by itself. Here a process is pid and start time, an image of it is what one exec made, and
//! [`ProcessTable`] knows both for as long as records about them can arrive.

pub mod container;
mod digest;
mod image;
pub(crate) mod procfs;
pub mod snapshot;
mod table;
#[cfg(test)]
mod table_tests;
mod users;

use collector_core::ExecId;

pub use container::Cgroups;
pub use digest::{image_digest, mix64};
pub use table::{Identity, ProcessTable, TableConfig, TableCounts};
pub use users::Users;

/// What turns pids and times of one boot of one host into identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// First 32 bits of the boot id.
    pub id: u32,
    /// Clock ticks in a second (`sysconf(_SC_CLK_TCK)`), the unit of start times in `/proc`.
    pub ticks_per_second: u64,
}

impl Boot {
    /// A boot from its textual boot id (`/proc/sys/kernel/random/boot_id`); anything but hexadecimal counts as zero.
    #[must_use]
    pub fn new(boot_id: &str, ticks_per_second: u64) -> Self {
        let id = boot_id.get(..8).and_then(|prefix| u32::from_str_radix(prefix, 16).ok()).unwrap_or(0);
        Self { id, ticks_per_second: ticks_per_second.clamp(1, 1_000_000_000) }
    }

    /// The tick in which a moment of kernel time lies, as the kernel computes it for `/proc`.
    #[must_use]
    pub const fn ticks(&self, ktime_ns: u64) -> u64 {
        ktime_ns / (1_000_000_000 / self.ticks_per_second)
    }

    /// When a tick began, in kernel time.
    #[must_use]
    pub const fn tick_ns(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(1_000_000_000 / self.ticks_per_second)
    }

    /// The identity of an image.
    #[must_use]
    pub const fn exec_id(&self, pid: u32, start_ticks: u64, start_stack: u64) -> ExecId {
        ExecId { boot: self.id, pid, start_ticks, image: image_digest(start_stack) }
    }
}

/// Ticks per second of this machine.
#[must_use]
pub fn clock_ticks() -> u64 {
    rustix::param::clock_ticks_per_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_those_proc_shows() {
        let boot = Boot::new("3f2a9c1e-0000-0000-0000-000000000000", 100);
        assert_eq!(boot.id, 0x3f2a_9c1e);
        assert_eq!(boot.ticks(9_999_999), 0);
        assert_eq!(boot.ticks(10_000_000), 1);
        assert_eq!(boot.tick_ns(88_123), 881_230_000_000);
    }

    #[test]
    fn nonsense_makes_a_boot_all_the_same() {
        assert_eq!(Boot::new("", 0), Boot { id: 0, ticks_per_second: 1 });
        assert_eq!(Boot::new("zzzzzzzz", u64::MAX).ticks(u64::MAX), u64::MAX);
        assert_eq!(Boot::new("äöüß", 100).id, 0);
    }

    #[test]
    fn an_image_without_a_stack_has_no_digest_and_every_other_has_one() {
        assert_eq!(image_digest(0), 0);
        for start_stack in 1..10_000_u64 {
            assert_ne!(image_digest(start_stack << 4), 0);
        }
        assert_ne!(image_digest(0x7ffc_0000_0010), image_digest(0x7ffc_0000_0020));
    }
}
