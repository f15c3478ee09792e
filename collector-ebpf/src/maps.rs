//! Every map of the object, with the reason for its size.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf};
use collector_common::{COUNTER_SLOTS, Canary, Domain, PROGRAMS, SocketOwner, TABLE_SLOTS, Written};

use crate::pending::{OldName, Pending};
use crate::probes::net_connect::Attempt;
use crate::scratch::{ExecScratch, FileScratch};

// Rings: sizes are the loader's to set; these are the smallest that load everywhere.
#[map]
pub static PROC_EVENTS: RingBuf = RingBuf::with_byte_size(4096 * 16, 0);
#[map]
pub static NET_EVENTS: RingBuf = RingBuf::with_byte_size(4096 * 16, 0);
#[map]
pub static FILE_EVENTS: RingBuf = RingBuf::with_byte_size(4096 * 16, 0);

/// A word per domain that userspace sets before it sleeps until the next record; see `emit`.
#[map]
pub static WAITING: Array<u32> = Array::with_max_entries(Domain::COUNT as u32, 0);

/// One word, not zero once nothing is to be reported any more; see `filter`.
#[map]
pub static HALTED: Array<u32> = Array::with_max_entries(1, 0);

/// Whose doings only prove that programs run, and the marks that these leave; see `canary`.
#[map]
pub static CANARY: Array<Canary> = Array::with_max_entries(1, 0);
#[map]
pub static HEARD: Array<u32> = Array::with_max_entries(PROGRAMS.len() as u32, 0);

#[map]
pub static SEQUENCES: PerCpuArray<u64> = PerCpuArray::with_max_entries(Domain::COUNT as u32, 0);
/// A word per domain that is set while a program takes a number; see `emit`.
#[cfg(kernel_before_5_12)]
#[map]
pub static NUMBERING: PerCpuArray<u32> = PerCpuArray::with_max_entries(Domain::COUNT as u32, 0);
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTER_SLOTS as u32, 0);

/// Thread-group ids that pass the pid filter. The loader gives it room when that filter is set.
#[map]
pub static FILTER_PIDS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// Processes whose last threads end at the same moment: the first one in reports the exit.
#[map]
pub static LEAVING: LruHashMap<u64, u32> = LruHashMap::with_max_entries(4_096, 0);

/// Entries put into and taken out of the two tables below, which only `table` changes.
#[map]
pub static TABLES: PerCpuArray<u64> = PerCpuArray::with_max_entries(TABLE_SLOTS as u32, 0);
/// Who opened a TCP connection, by socket address; least recently used go first when it is full.
#[map]
pub static SOCKETS: LruHashMap<u64, SocketOwner> = LruHashMap::with_max_entries(16_384, 0);
/// Destinations a process has sent UDP to.
#[map]
pub static DESTINATIONS: LruHashMap<Destination, u64> = LruHashMap::with_max_entries(16_384, 0);
/// Connects that run, by thread, and sockets whose connect failed after its call.
#[map]
pub static CONNECTING: LruHashMap<u64, Attempt> = LruHashMap::with_max_entries(4_096, 0);
/// Bytes written through a file description that is still open, by its address.
#[map]
pub static WRITTEN: LruHashMap<u64, Written> = LruHashMap::with_max_entries(16_384, 0);

// A buffer per possible processor (the loader sets the count): records too large for the stack are built
// there. Plain arrays, because per-CPU values may not exceed 32 KiB.
#[map]
pub static EXEC_SCRATCH: Array<ExecScratch> = Array::with_max_entries(1, 0);
#[map]
pub static FILE_SCRATCH: Array<FileScratch> = Array::with_max_entries(1, 0);
#[map]
pub static QUIT_SCRATCH: Array<FileScratch> = Array::with_max_entries(1, 0);
#[map]
pub static SHUT_SCRATCH: Array<FileScratch> = Array::with_max_entries(1, 0);

/// Buffers of programs at kernel functions, several per processor; see `hook`.
#[map]
pub static HOOK_SCRATCH: Array<FileScratch> = Array::with_max_entries(1, 0);
/// What a thread is about to do to a name, from the decision to the result.
#[map]
pub static PENDING: LruHashMap<u64, Pending> = LruHashMap::with_max_entries(4_096, 0);
/// The old name of a rename that is about to be done.
#[map]
pub static OLD_NAMES: LruHashMap<u64, OldName> = LruHashMap::with_max_entries(1_024, 0);

// Tail calls: by system call number, and to the second stage of a probe, which walks paths. A program array
// serves one tracepoint only, hence one per hook.
#[map]
pub static ENTER_CALLS: ProgramArray = ProgramArray::with_max_entries(512, 0);
#[map]
pub static EXIT_CALLS: ProgramArray = ProgramArray::with_max_entries(512, 0);
#[map]
pub static EXEC_STAGES: ProgramArray = ProgramArray::with_max_entries(1, 0);
#[map]
pub static ENTER_STAGES: ProgramArray = ProgramArray::with_max_entries(2, 0);
#[map]
pub static EXIT_STAGES: ProgramArray = ProgramArray::with_max_entries(1, 0);
#[map]
pub static QUIT_STAGES: ProgramArray = ProgramArray::with_max_entries(2, 0);
#[map]
pub static SHUT_STAGES: ProgramArray = ProgramArray::with_max_entries(2, 0);

/// Key of [`DESTINATIONS`].
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Destination {
    /// Thread-group id of the sender.
    pub pid: u32,
    /// Port, host order.
    pub port: u16,
    /// Address family.
    pub family: u16,
    /// Address; IPv4 in the first word.
    pub address: [u64; 2],
}
