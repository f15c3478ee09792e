//! System calls, from the registers of who makes them.

#[cfg(bpf_target_arch = "aarch64")]
use collector_common::registers::AARCH64 as REGISTERS;
#[cfg(bpf_target_arch = "x86_64")]
use collector_common::registers::X86_64 as REGISTERS;

use crate::kernel::load;
use crate::site::Site;

#[cfg(bpf_target_arch = "x86_64")]
type Number = u64;
/// Behind it lies another field, and the verifier knows.
#[cfg(bpf_target_arch = "aarch64")]
type Number = u32;

/// A system call as seen from `sys_enter` or `sys_exit`.
#[derive(Clone, Copy)]
pub struct Call {
    regs: *const u8,
}

impl Call {
    /// The call at whose entry or exit a program runs.
    #[inline(always)]
    pub fn new(site: &impl Site) -> Self {
        Self { regs: site.arg(0) }
    }

    /// Its number.
    #[inline(always)]
    pub fn number(self) -> u32 {
        // SAFETY: the first argument is a typed `pt_regs`.
        unsafe { load::<Number>(self.regs, REGISTERS.number) as u32 }
    }

    /// Argument `N`, from 0.
    #[inline(always)]
    pub fn argument<const N: usize>(self) -> u64 {
        // SAFETY: as in `number`.
        unsafe { load(self.regs, REGISTERS.arguments[N]) }
    }
}
