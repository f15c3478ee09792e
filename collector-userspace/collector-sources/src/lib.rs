//! `KERNEL_LEVEL` event sources on eBPF.
//!
//! One way only: features → plan → loader → ring → decode → identity → adapt → source. Nothing above
//! `decode` sees kernel bytes, nothing below `adapt` sees a `CollectionEvent`.

pub mod btf;
pub mod config;
pub mod decode;
pub mod offsets;
pub mod stats;
#[doc(hidden)]
pub mod testing;

pub use config::{Filter, KernelConfig, RingSizes};
pub use stats::{CaptureStats, DomainStats, LossCount, ProgramStats};
