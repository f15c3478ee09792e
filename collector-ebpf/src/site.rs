//! Where a program runs: how it gets a buffer there, and how it sends a record built in one.
//!
//! At tracepoints of system calls a second stage resolves paths, called by tail call, and a buffer per processor is
//! enough, because only one program of a tracepoint runs there at a time. Programs at kernel functions send by
//! themselves; tasks inside them preempt each other, hence several buffers.

use aya_ebpf::Argument;
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext, FExitContext};
use collector_common::{Capture, Kind};

use crate::maps::{EXIT_STAGES, FILE_SCRATCH};
use crate::scratch::{FileScratch, Scratch};
use crate::{emit, file, hook};

/// A program's context. At the exit of a system call, be it the tracepoint or the return from the call's own function,
/// argument 0 is the call's registers and argument 1 its result.
pub trait Site {
    /// Argument `n`.
    fn arg<T: Argument>(&self, n: usize) -> T;

    /// A buffer, to be given back by [`Site::send`] or [`Site::release`].
    fn claim(&self) -> Option<*mut FileScratch>;

    /// Gives a buffer back.
    ///
    /// # Safety
    /// `scratch` must come from [`Site::claim`].
    unsafe fn release(&self, scratch: *mut FileScratch);

    /// Resolves paths, sends the record, and gives the buffer back.
    ///
    /// # Safety
    /// As for [`Site::release`], and the record must have been begun.
    unsafe fn send(&self, scratch: *mut FileScratch);

    /// A buffer with a record begun in it. Without a buffer the record is counted as lost.
    #[inline(always)]
    fn begin(&self, kind: Kind, capture: Capture) -> Option<*mut FileScratch> {
        match self.claim() {
            Some(scratch) => {
                // SAFETY: a valid map value, claimed here.
                unsafe {
                    if file::begin(scratch, kind, capture) {
                        return Some(scratch);
                    }
                    self.release(scratch);
                }
                None
            }
            None => {
                emit::lost(kind, capture);
                None
            }
        }
    }
}

/// The tracepoint `sys_exit`.
impl Site for BtfTracePointContext {
    #[inline(always)]
    fn arg<T: Argument>(&self, n: usize) -> T {
        Self::arg(self, n)
    }

    #[inline(always)]
    fn claim(&self) -> Option<*mut FileScratch> {
        Scratch::get(&FILE_SCRATCH)
    }

    #[inline(always)]
    unsafe fn release(&self, _: *mut FileScratch) {}

    #[inline(always)]
    unsafe fn send(&self, scratch: *mut FileScratch) {
        // SAFETY: by the caller's promise; programs in the array are of this tracepoint.
        unsafe {
            EXIT_STAGES.tail_call(self, 0);
            file::stage_failed(scratch);
        }
    }
}

macro_rules! at_functions {
    ($($context:ty)*) => {$(
        impl Site for $context {
            #[inline(always)]
            fn arg<T: Argument>(&self, n: usize) -> T {
                Self::arg(self, n)
            }

            #[inline(always)]
            fn claim(&self) -> Option<*mut FileScratch> {
                hook::claim()
            }

            #[inline(always)]
            unsafe fn release(&self, scratch: *mut FileScratch) {
                // SAFETY: by the caller's promise.
                unsafe { hook::release(scratch) }
            }

            #[inline(always)]
            unsafe fn send(&self, scratch: *mut FileScratch) {
                // SAFETY: by the caller's promise.
                unsafe {
                    hook::send(scratch);
                    hook::release(scratch);
                }
            }
        }
    )*};
}

at_functions! { FEntryContext FExitContext }
