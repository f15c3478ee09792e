//! `KERNEL_LEVEL` event sources on eBPF.
//!
//! One way only: features → plan → loader → ring → decode → identity → adapt → source. Nothing above
//! `decode` sees kernel bytes, nothing below `adapt` sees a `CollectionEvent`.

pub mod config;
pub mod stats;

pub use config::{Filter, KernelConfig, RingSizes};
pub use stats::{CaptureStats, DomainStats, LossCount, ProgramStats};
