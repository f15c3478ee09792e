//! Measurements of the system and its processes, sampled from `/proc`: no kernel programs, no privileges.
//!
//! ```text
//! parse      files of /proc to numbers, whatever bytes they have
//! delta      two readings of a counter to a value, or to a reason why there is none
//! system     the whole system      devices    sums over disks and network interfaces
//! processes  a look at all of them, and which ones to report      details    who those are
//! sampler    one sample      source    samples at intervals
//! ```
//!
//! A sample reads one line of each process and some files of the few it reports. Nothing is kept open, and memory is
//! allocated for what is reported, not for what is looked at. What each metric means is in `docs/events.md`.

mod clock;
mod config;
mod delta;
mod details;
mod devices;
mod files;
mod parse;
mod processes;
mod sampler;
mod source;
mod stats;
mod system;
#[cfg(test)]
mod tests;
mod values;

pub use config::{PerformanceConfig, PerformanceConfigError};
pub use sampler::{PerformanceSampler, SampleError};
pub use source::PerformanceSource;
pub use stats::{PerformanceHandle, PerformanceStats};

/// Name of the source.
pub const NAME: &str = "performance";
