//! The kernel programs of collector.
//!
//! probe → filter → emit: each file under `probes/` is one hook. Programs write self-contained records into
//! one ring per domain; only `emit` touches ring space. Offsets of kernel structs and all settings are
//! read-only globals that userspace fills in before loading, so the verifier treats them as constants and
//! removes what is switched off.
//!
//! Two objects are built from this source. Kernels before 5.12 refuse instructions and helpers they do not know even where
//! they are never reached, so one, with `kernel_before_5_12`, does without.

#![no_std]
#![no_main]
// The target has fetching atomics in its instruction set, but the language offers them only as an intrinsic.
#![feature(asm_experimental_arch, core_intrinsics)]
#![allow(internal_features, reason = "atomic_xadd, see above")]

#[macro_use]
mod canary;
mod emit;
mod file;
mod filter;
mod hook;
mod kernel;
mod maps;
mod net;
mod path;
mod pending;
mod probes;
mod scratch;
mod site;
mod syscall;
mod table;
mod task;
mod written;

/// Required by the language; the verifier proves that nothing reaches it.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Licence the kernel checks before it lets a program call GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
