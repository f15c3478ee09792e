//! What the kernel programs and userspace must agree on: record layouts, kinds, settings and loss keys.
//!
//! Compiled twice, for `bpfel-unknown-none` and for the host. Every shared struct is `repr(C)`, made of
//! integers only and free of padding: `layout.rs` asserts that at compile time on both targets, and the
//! `user` feature derives zerocopy traits, which reject padding by themselves. Nothing here allocates, reads
//! memory or knows BPF.

#![no_std]
#![allow(missing_debug_implementations, reason = "zerocopy's derive makes marker types without it")]

mod canary;
mod file;
mod kind;
mod layout;
mod loss;
mod network;
mod number;
mod offsets;
mod process;
mod record;
pub mod registers;
mod settings;
mod table;

pub use canary::{Canary, MUTED_WORDS, NO_PROCESS, PROGRAMS, program_number};
pub use file::{FileWire, file_flag};
pub use kind::{Domain, Kind, UnknownKind};
pub use loss::{COUNTER_SLOTS, LossReason, UnknownReason, counter_slot};
pub use network::{NetworkWire, network_flag};
pub use number::{NumberWords, take_number};
pub use offsets::{MISSING, Offsets};
pub use process::{CredentialsWire, ExecWire, ExitWire, ForkWire, exec_flag};
pub use record::{Capture, RecordHeader, StrRef, TaskWire, task_flag};
pub use settings::{Settings, filter_flag};
pub use table::{SocketOwner, TABLE_SLOTS, Table, Written, table_slot};

/// Version of every layout in this crate. A record with another version is a counted decode error.
pub const WIRE_VERSION: u16 = 1;

/// Longest path the kernel side writes, in bytes.
pub const PATH_MAX: usize = 4096;

/// Longest argument vector the kernel side writes, in bytes; [`Settings::argv_max`] may lower it.
pub const ARGV_MAX: usize = 32 * 1024;

/// Longest record the kernel side writes, in bytes: an exec with a full argument vector and every path full.
pub const RECORD_MAX: usize = 64 * 1024;

/// Buffers per processor for programs at kernel functions: that many of them may be at work there at once, preempting each
/// other.
pub const HOOK_BUFFERS: u32 = 4;

/// Names of maps and programs that userspace looks up by name; at most 15 bytes, the kernel's limit.
pub mod name {
    /// Ring of process records.
    pub const PROC_EVENTS: &str = "PROC_EVENTS";
    /// Ring of network records.
    pub const NET_EVENTS: &str = "NET_EVENTS";
    /// Ring of file records.
    pub const FILE_EVENTS: &str = "FILE_EVENTS";
    /// A `u32` per domain: not zero while its reader sleeps and wants to be woken.
    pub const WAITING: &str = "WAITING";
    /// One `u32`: not zero once nothing is to be reported any more.
    pub const HALTED: &str = "HALTED";
    /// One [`Canary`](crate::Canary).
    pub const CANARY: &str = "CANARY";
    /// A `u32` per program, by [number](crate::program_number): the round of the last canary it heard.
    pub const HEARD: &str = "HEARD";
    /// Per-CPU `u64` per domain: records the kernel side wanted to send.
    pub const SEQUENCES: &str = "SEQUENCES";
    /// Per-CPU `u64` per [`counter_slot`](crate::counter_slot): records that were not sent, by kind and reason.
    pub const COUNTERS: &str = "COUNTERS";
    /// Per-CPU `u64` per [`table_slot`](crate::table_slot): entries put into and taken out of the tables below.
    pub const TABLES: &str = "TABLES";
    /// [`SocketOwner`](crate::SocketOwner) by address of the socket.
    pub const SOCKETS: &str = "SOCKETS";
    /// [`Written`](crate::Written) by address of the file description.
    pub const WRITTEN: &str = "WRITTEN";
    /// Hash of thread-group ids that pass the pid filter; children are added at fork.
    pub const FILTER_PIDS: &str = "FILTER_PIDS";
    /// Tail calls from `sys_enter` by system call number.
    pub const ENTER_CALLS: &str = "ENTER_CALLS";
    /// Tail calls from `sys_exit` by system call number.
    pub const EXIT_CALLS: &str = "EXIT_CALLS";
    /// Second stage of the exec probe.
    pub const EXEC_STAGES: &str = "EXEC_STAGES";
    /// Second stage of the probes on `sys_enter`.
    pub const ENTER_STAGES: &str = "ENTER_STAGES";
    /// Second stage of the probes on `sys_exit`.
    pub const EXIT_STAGES: &str = "EXIT_STAGES";
    /// Second stage of the probe on process exit.
    pub const QUIT_STAGES: &str = "QUIT_STAGES";
    /// Second stage of the probe on the files that an exec closes.
    pub const SHUT_STAGES: &str = "SHUT_STAGES";
    /// Buffers per processor, sized by the loader: exec records.
    pub const EXEC_SCRATCH: &str = "EXEC_SCRATCH";
    /// Buffers per processor: file records of system calls.
    pub const FILE_SCRATCH: &str = "FILE_SCRATCH";
    /// Buffers per processor: file records of process exit.
    pub const QUIT_SCRATCH: &str = "QUIT_SCRATCH";
    /// Buffers per processor: file records of execs.
    pub const SHUT_SCRATCH: &str = "SHUT_SCRATCH";
    /// Buffers of programs at kernel functions.
    pub const HOOK_SCRATCH: &str = "HOOK_SCRATCH";
    /// Read-only global: [`Settings`](crate::Settings).
    pub const SETTINGS: &str = "SETTINGS";
    /// Read-only global: [`Offsets`](crate::Offsets).
    pub const OFFSETS: &str = "OFFSETS";
}
