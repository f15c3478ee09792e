//! `KERNEL_LEVEL` event sources on eBPF, and beside them [`performance`], which samples `/proc`.
//!
//! One way only: features → plan → loader → ring → decode → identity → adapt → source. Nothing above
//! `decode` sees kernel bytes, nothing below `adapt` sees a `CollectionEvent`.

pub mod adapt;
pub mod btf;
pub mod capture_file;
pub mod check;
pub mod clock;
pub mod config;
pub mod decode;
pub mod features;
pub mod identity;
pub mod kernel;
pub mod ledger;
pub mod linger;
pub mod loader;
pub mod object;
pub mod offsets;
pub mod performance;
pub mod pipeline;
pub mod plan;
pub mod procfs;
pub mod procmond;
mod programs;
mod reader;
mod refused;
mod session;
mod source;
pub mod stats;
pub mod syscalls;
mod tables;
pub mod tap;
mod targets;
#[doc(hidden)]
pub mod testing;

pub use check::SelfCheck;
pub use collector_common::Domain;
pub use config::{Filter, KernelConfig, RingSizes};
pub use kernel::{CaptureHandle, KernelCapture, RunTimes, StartError, rehearse};
pub use stats::{CaptureStats, DomainStats, LossCount, ProgramStats};
