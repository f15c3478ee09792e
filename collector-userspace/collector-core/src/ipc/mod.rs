//! Tasks over a Unix socket: DaemonEye's agent, and everybody who speaks its protocol, asks and is answered.
//!
//! * [`codec`]: the format of frames, without I/O.

pub mod codec;
