//! The only code that touches ring space, sequences and loss counters.

use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_ringbuf_output};
use aya_ebpf::maps::RingBuf;
use collector_common::{Capture, Domain, Kind, LossReason, RecordHeader, WIRE_VERSION, counter_slot};

use crate::maps::{COUNTERS, FILE_EVENTS, NET_EVENTS, PROC_EVENTS, SEQUENCES, WAITING};
use crate::scratch::Scratch;

/// `BPF_RB_NO_WAKEUP`.
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`.
const FORCE_WAKEUP: u64 = 2;

/// Now, on the boot clock.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Adds one to the counter of `kind` and `reason`.
#[inline(always)]
pub fn count(kind: Kind, reason: LossReason) {
    if let Some(counter) = COUNTERS.get_ptr_mut(counter_slot(kind, reason)) {
        // SAFETY: a valid, aligned map value. Atomic, because a network probe may interrupt another one.
        let _: u64 = unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, 1) };
    }
}

/// Adds to a word and returns what it was, in one step.
///
/// # Safety
/// `word` must be valid and aligned.
#[cfg(not(kernel_before_5_12))]
#[inline(always)]
pub unsafe fn fetch_add(word: *mut u64, value: u64) -> u64 {
    // SAFETY: by the caller's promise.
    // Relaxed would compile to the addition that returns nothing, and the result would be the operand.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(word, value) }
}

/// The same for what no interrupt touches: these kernels run programs with preemption off.
///
/// # Safety
/// As above.
#[cfg(kernel_before_5_12)]
#[inline(always)]
pub unsafe fn fetch_add(word: *mut u64, value: u64) -> u64 {
    // SAFETY: by the caller's promise.
    unsafe {
        let before = read_volatile(word);
        write_volatile(word, before.wrapping_add(value));
        before
    }
}

/// Takes a number for a record of `kind` that cannot be built, and counts it.
#[inline(always)]
pub fn lost(kind: Kind, capture: Capture) {
    if header(kind, capture, 0).is_some() {
        count(kind, LossReason::StageFailed);
    }
}

/// The next number of this processor's sequence in the domain of `kind`.
#[cfg(not(kernel_before_5_12))]
#[inline(always)]
fn next_sequence(kind: Kind) -> Option<u64> {
    let sequence = SEQUENCES.get_ptr_mut(kind.domain() as u32)?;
    // SAFETY: a valid, aligned map value.
    Some(unsafe { fetch_add(sequence, 1) })
}

/// The next number of this processor's sequence in the domain of `kind`; `None`, and counted, if it cannot be had.
#[cfg(kernel_before_5_12)]
#[inline(always)]
fn next_sequence(kind: Kind) -> Option<u64> {
    let busy = crate::maps::NUMBERING.get_ptr_mut(kind.domain() as u32)?;
    let next = SEQUENCES.get_ptr_mut(kind.domain() as u32)?;
    let number = collector_common::take_number(&mut Words { busy, next });
    if number.is_none() {
        count(kind, LossReason::SequenceBusy);
    }
    number
}

/// Map values of this processor. Volatile, so that they are accessed in the order that is written.
#[cfg(kernel_before_5_12)]
struct Words {
    busy: *mut u32,
    next: *mut u64,
}

// SAFETY (all four): `next_sequence` makes it of valid, aligned map values.
#[cfg(kernel_before_5_12)]
impl collector_common::NumberWords for Words {
    #[inline(always)]
    fn is_busy(&mut self) -> bool {
        unsafe { read_volatile(self.busy) != 0 }
    }

    #[inline(always)]
    fn set_busy(&mut self, busy: bool) {
        unsafe { write_volatile(self.busy, u32::from(busy)) };
    }

    #[inline(always)]
    fn number(&mut self) -> u64 {
        unsafe { read_volatile(self.next) }
    }

    #[inline(always)]
    fn set_number(&mut self, number: u64) {
        unsafe { write_volatile(self.next, number) };
    }
}

/// A header for a record of `len` bytes; takes the next sequence number. `None`, and counted, if there is none to be had.
#[inline(always)]
pub fn header(kind: Kind, capture: Capture, len: usize) -> Option<RecordHeader> {
    Some(RecordHeader {
        len: len as u32,
        kind: kind as u16,
        version: WIRE_VERSION,
        // SAFETY: the helper has no preconditions.
        cpu: unsafe { bpf_get_smp_processor_id() },
        capture: capture as u32,
        seq: next_sequence(kind)?,
        ktime_ns: now(),
    })
}

/// Reserves a record of fixed size, lets `fill` write all of it, and sends it. Without room, the record is
/// counted and its sequence number leaves a gap.
#[inline(always)]
pub fn fixed<T: 'static>(kind: Kind, capture: Capture, fill: impl FnOnce(*mut T, RecordHeader)) {
    let Some(header) = header(kind, capture, size_of::<T>()) else { return };
    let (ring, flags) = ring(kind);
    match ring.reserve::<T>(0) {
        Some(mut entry) => {
            fill(entry.as_mut_ptr(), header);
            entry.submit(flags);
        }
        None => no_room(kind, flags),
    }
}

/// Sends the record built in `scratch`, whose first bytes are its header.
///
/// # Safety
/// `scratch` must be a valid map value with `len` initialised bytes in `record`.
#[inline(always)]
pub unsafe fn built<const SIZE: usize>(scratch: *mut Scratch<SIZE>, kind: Kind) {
    // SAFETY: by the caller's promise; the length is bounded to the buffer before use.
    unsafe {
        let record = (&raw mut (*scratch).record).cast::<u8>();
        let len = core::ptr::read_volatile(&raw const (*scratch).len) as usize;
        if len < size_of::<RecordHeader>() || len > SIZE {
            count(kind, LossReason::StageFailed);
            return;
        }
        (*record.cast::<RecordHeader>()).len = len as u32;
        let (ring, flags) = ring(kind);
        let map = (&raw const *ring).cast_mut().cast();
        if bpf_ringbuf_output(map, record.cast(), len as u64, flags) != 0 {
            no_room(kind, flags);
        }
    }
}

/// Counts a record for which the ring had no room. A wake-up that it was to bring is left to the next one.
#[inline(always)]
fn no_room(kind: Kind, flags: u64) {
    count(kind, LossReason::RingFull);
    if flags == FORCE_WAKEUP
        && let Some(waiting) = WAITING.get_ptr_mut(kind.domain() as u32)
    {
        // SAFETY: a valid, aligned map value.
        unsafe { write_volatile(waiting, 1) };
    }
}

#[inline(always)]
fn ring(kind: Kind) -> (&'static RingBuf, u64) {
    let domain = kind.domain();
    let ring = match domain {
        Domain::Process => &PROC_EVENTS,
        Domain::Network => &NET_EVENTS,
        Domain::File => &FILE_EVENTS,
    };
    (ring, wake_if_asleep(domain))
}

/// The flag for a record: a wake-up only if the reader sleeps.
///
/// The kernel's own rule, a wake-up whenever the reader has caught up, means one per record with a fast reader:
/// on virtual machines some 15 µs for whoever caused the record, and as much for the agent. While the reader is
/// awake it looks again by itself; while nothing happens nobody wakes.
#[inline(always)]
fn wake_if_asleep(domain: Domain) -> u64 {
    match WAITING.get_ptr_mut(domain as u32) {
        // SAFETY: a valid, aligned map value. Two processors may both find the word set: one wake-up too many.
        Some(waiting) if unsafe { read_volatile(waiting) } != 0 => {
            // SAFETY: as above.
            unsafe { write_volatile(waiting, 0) };
            FORCE_WAKEUP
        }
        _ => NO_WAKEUP,
    }
}
