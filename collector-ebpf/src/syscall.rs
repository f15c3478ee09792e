//! Registers of a system call, per architecture.
//!
//! At `sys_exit` the argument registers still hold what the program passed: the kernel changes only the one
//! that returns the result.

use crate::kernel::load;
use crate::site::Site;

#[cfg(bpf_target_arch = "x86_64")]
mod layout {
    /// Byte offsets in `struct pt_regs` of the six arguments.
    pub const ARGUMENTS: [usize; 6] = [112, 104, 96, 56, 72, 64];
    /// Of the system call number.
    pub const NUMBER: usize = 120;
}

#[cfg(bpf_target_arch = "aarch64")]
mod layout {
    /// Byte offsets in `struct pt_regs` of the six arguments; the first survives in `orig_x0`.
    pub const ARGUMENTS: [usize; 6] = [272, 8, 16, 24, 32, 40];
    /// Of the system call number, `syscallno`.
    pub const NUMBER: usize = 280;
}

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
        unsafe { load::<u64>(self.regs, layout::NUMBER) as u32 }
    }

    /// Argument `N`, from 0.
    #[inline(always)]
    pub fn argument<const N: usize>(self) -> u64 {
        // SAFETY: as in `number`.
        unsafe { load(self.regs, layout::ARGUMENTS[N]) }
    }
}
