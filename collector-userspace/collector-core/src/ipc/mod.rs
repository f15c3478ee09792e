//! Tasks over a Unix socket: DaemonEye's agent, and everybody who speaks its protocol, asks and is answered.
//!
//! ```text
//! client ─► frame ─► request ─► capabilities? ─► handler ─► result ─► fit ─► frame ─► client
//!           codec    request    capabilities     yours,               fit    codec
//!             │         │            │           under a timeout
//!             ▼         ▼            ▼
//!          closed    closed       a failure
//! ```
//!
//! * [`CollectorIpcServer`] serves and [`IpcClient`] asks; [`IpcConfig`] says where, who and how long.
//! * [`codec`]: the format of frames, without I/O. [`Request`]: what a frame from a client may hold.
//! * [`proto`]: the messages. This module is the only one that knows protobuf.
//!
//! ## The protocol
//!
//! A client sends one frame per request, and gets one frame per request, in order; it may send ahead. A frame that is wrong, or
//! holds no request, closes the connection without an answer.
//!
//! | request | answer |
//! |---|---|
//! | task whose `metadata` is `capability_negotiation` | result: success, nothing else |
//! | capability request with at least one domain | capability response |
//! | task of a type that has no name | result: failure, `Unknown task type: 99` |
//! | task for which the collector has no source | result: failure, `Network monitoring not supported`, for example |
//! | any other task | result, from the handler |
//!
//! The `task_id` of a result is the task's, whatever happened. An id may have 1024 bytes.
//!
//! A result that does not fit into a frame has the records that do, in their order. Then `success` stays true, and `error_message`
//! says how many there would have been.
//!
//! Somebody who is not let in, for want of a role or because there are too many clients, gets a failure for an answer to the first
//! request and is disconnected.

#[cfg(unix)]
mod accept;
mod access;
mod capabilities;
#[cfg(unix)]
mod client;
pub mod codec;
mod config;
#[cfg(unix)]
mod connection;
mod error;
#[cfg(unix)]
mod fit;
mod request;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod service;
#[cfg(unix)]
mod socket;
mod statistics;
#[cfg(unix)]
mod stream;
mod task;
#[cfg(test)]
#[cfg(unix)]
mod tests;

pub use access::{IpcAccess, Peer, Principals, Role};
pub use capabilities::IpcCapabilities;
#[cfg(unix)]
pub use client::{IpcClient, IpcClientConfig, IpcClientError};
pub use config::{DAEMONEYE_SOCKET, IpcConfig, IpcConfigError};
pub use error::IpcError;
pub use request::{Request, RequestError};
#[cfg(unix)]
pub use server::CollectorIpcServer;
pub use statistics::{ClosedConnections, IpcStatistics, RefusedConnections, TaskCounts};
pub use task::{DetectionTask, IntoTaskResult};

/// The messages of the protocol, and the task as a handler gets it.
pub mod proto {
    pub use collector_proto::{
        AdvancedCapabilities, CapabilityRequest, CapabilityResponse, CollectionCapabilities, DetectionResult,
        FilesystemFilter, FilesystemRecord, HashCheck, HashResult, MonitoringDomain, NetworkFilter,
        NetworkRecord, PerformanceFilter, PerformanceRecord, ProcessFilter, ProcessRecord,
        TaskType as ProtoTaskType,
    };

    pub use super::task::DetectionTask;
}
