//! Event sources that poll `/proc`: what is left where the kernel takes no programs.
//!
//! They see processes and TCP, and no files. [`ProcfsCapture`] makes them, in the shape of
//! [`KernelCapture`](crate::KernelCapture), whose events they stand in for.

mod capture;
mod known;
mod network;
pub(crate) mod poll;
pub(crate) mod scan;
#[cfg(test)]
mod scan_tests;

pub use capture::{ProcfsCapture, ProcfsConfig, ProcfsHandle, SOURCE_NAMES};
pub use network::ProcfsNetworkSource;
