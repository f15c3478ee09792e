//! `KERNEL_LEVEL` event sources on eBPF.
//!
//! One way only: features → plan → loader → ring → decode → identity → adapt → source. Nothing above
//! `decode` sees kernel bytes, nothing below `adapt` sees a `CollectionEvent`.

pub mod adapt;
pub mod btf;
pub mod clock;
pub mod config;
pub mod decode;
pub mod features;
pub mod identity;
pub mod ledger;
pub mod offsets;
pub mod pipeline;
pub mod plan;
pub mod stats;
pub mod syscalls;
#[doc(hidden)]
pub mod testing;

pub use config::{Filter, KernelConfig, RingSizes};
pub use stats::{CaptureStats, DomainStats, LossCount, ProgramStats};
