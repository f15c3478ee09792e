//! Proof that a program runs: userspace does something that must run it, and finds its mark.
//!
//! What the canary does is neither reported nor counted. Without one, a program pays for the look with a few instructions.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::bpf_get_current_pid_tgid;
use collector_common::Canary;

use crate::maps::{CANARY, HEARD};

/// Why a program runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// To report.
    Work,
    /// For nothing: it is muted.
    None,
    /// Because a canary sang; the mark is left.
    Canary,
}

/// The first thing every program does. `heard!(name)` leaves the program if there is nothing to report;
/// `heard!(ctx, name => STAGES[n])` lets a canary go on to the program's next stage, which otherwise only a record reaches.
macro_rules! heard {
    ($program:ident) => {
        if $crate::canary::cause($crate::canary::number!($program)) != $crate::canary::Cause::Work {
            return 0;
        }
    };
    ($context:ident, $program:ident => $stages:ident[$slot:literal]) => {
        match $crate::canary::cause($crate::canary::number!($program)) {
            $crate::canary::Cause::Work => {}
            $crate::canary::Cause::None => return 0,
            $crate::canary::Cause::Canary => {
                // SAFETY: programs in the array are of this tracepoint.
                unsafe { $crate::maps::$stages.tail_call(&$context, $slot) };
                return 0;
            }
        }
    };
}

/// Number of a program, which has to be in the list.
macro_rules! number {
    ($program:ident) => {
        const {
            match collector_common::program_number(stringify!($program)) {
                Some(number) => number,
                None => panic!("not in collector_common::PROGRAMS"),
            }
        }
    };
}
pub(crate) use number;

/// Why the program with this number runs now.
#[inline(always)]
pub fn cause(number: u32) -> Cause {
    let Some(canary) = CANARY.get_ptr(0) else { return Cause::Work };
    // SAFETY: a valid, aligned map value.
    unsafe {
        if mark(canary, number) {
            return Cause::Canary;
        }
        let muted = read_volatile(&raw const (*canary).muted[number as usize / 32]);
        if muted & 1 << (number % 32) != 0 { Cause::None } else { Cause::Work }
    }
}

/// Whether the running thread is a canary; then the program with this number leaves its mark.
///
/// For programs that may run in an interrupt, which go on all the same: what interrupts a canary is not its doing.
#[inline(always)]
pub fn sings(number: u32) -> bool {
    // SAFETY: a valid, aligned map value.
    CANARY.get_ptr(0).is_some_and(|canary| unsafe { mark(canary, number) })
}

#[inline(always)]
unsafe fn mark(canary: *const Canary, number: u32) -> bool {
    // SAFETY: valid, aligned map values; the helper has no preconditions.
    unsafe {
        let thread = read_volatile(&raw const (*canary).thread);
        if thread == 0 {
            return false;
        }
        let running = bpf_get_current_pid_tgid();
        let process = read_volatile(&raw const (*canary).process);
        if running as u32 != thread && (running >> 32) as u32 != process {
            return false;
        }
        if let Some(mark) = HEARD.get_ptr_mut(number) {
            write_volatile(mark, read_volatile(&raw const (*canary).round));
        }
        true
    }
}

/// Whether a datagram to this port is the canary's, if one sings.
#[inline(always)]
pub fn sent_to(port: u16) -> bool {
    // SAFETY: a valid, aligned map value.
    CANARY
        .get_ptr(0)
        .is_some_and(|canary| unsafe { read_volatile(&raw const (*canary).port) } == u32::from(port))
}
