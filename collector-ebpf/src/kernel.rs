//! Reading kernel memory: constants from userspace, typed loads, and helper reads.
//!
//! Pointers that come from a tracepoint argument, or from following one, are known to the verifier with their
//! BTF type: [`load`] reads through them directly, at the price of a memory access, and a null or stale
//! pointer reads as zero. Pointers that went through memory (a map value, a pointer array) are plain numbers:
//! [`read`] uses `bpf_probe_read_kernel` for those.
//!
//! Kernels before 5.11 have no helper for the running task as a typed pointer. In the object for them ([`crate`]) all
//! pointers are read with `bpf_probe_read_kernel`.

use core::mem::MaybeUninit;
use core::ptr::read_volatile;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use collector_common::{MISSING, Offsets, Settings};

use crate::scratch::{HEAD, Head};

/// A global in `.rodata` that userspace overrides before loading.
#[repr(transparent)]
pub struct Constant<T>(T);

#[unsafe(no_mangle)]
pub static OFFSETS: Constant<Offsets> = Constant(Offsets::EMPTY);

#[unsafe(no_mangle)]
pub static SETTINGS: Constant<Settings> =
    Constant(Settings { kinds: 0, cgroup_id: 0, uid: 0, filters: 0, own_pid: 0, argv_max: 0 });

impl<T> Constant<T> {
    /// Reads one field. Volatile, or the compiler would use the initial value; one field, or it would copy all
    /// of them to the stack.
    #[inline(always)]
    pub fn field<U: Copy>(&self, select: impl FnOnce(&T) -> &U) -> U {
        // SAFETY: a reference is valid for reads.
        unsafe { read_volatile(select(&self.0)) }
    }
}

/// The offset of a field, as the loader resolved it.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::OFFSETS.field(|offsets| &offsets.$field) as usize
    };
}
pub(crate) use offset;

/// A setting, as the loader set it.
macro_rules! setting {
    ($field:ident) => {
        $crate::kernel::SETTINGS.field(|settings| &settings.$field)
    };
}
pub(crate) use setting;

/// Whether this kernel has what an offset stands for.
#[inline(always)]
pub const fn known(offset: usize) -> bool {
    offset != MISSING as usize
}

/// Reads a field through a pointer the verifier has a BTF type for.
///
/// # Safety
/// `base` must be such a pointer (the verifier rejects the program otherwise) and `T` must fit the field.
#[cfg(not(kernel_before_5_12))]
#[inline(always)]
pub unsafe fn load<T: Copy>(base: *const u8, offset: usize) -> T {
    // SAFETY: the kernel handles a faulting load through a typed pointer by returning zero.
    unsafe { read_volatile(base.wrapping_add(offset).cast::<T>()) }
}

/// Reads a field through any pointer into the kernel; zero when it cannot be read.
///
/// # Safety
/// `T` must be made of integers and fit the field.
#[cfg(kernel_before_5_12)]
#[inline(always)]
pub unsafe fn load<T: Copy>(base: *const u8, offset: usize) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the destination is `size_of::<T>()` writable bytes; the helper checks the source, and clears them when it
    // fails.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            base.wrapping_add(offset).cast(),
        );
        value.assume_init()
    }
}

/// Follows a pointer field of a typed object.
///
/// # Safety
/// As for [`load`].
#[inline(always)]
pub unsafe fn follow(base: *const u8, offset: usize) -> *const u8 {
    // SAFETY: by the caller's promise.
    unsafe { load(base, offset) }
}

/// Reads any kernel address; zero when it cannot be read.
#[inline(always)]
pub fn read<T: Copy + Default>(address: u64) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the destination is `size_of::<T>()` writable bytes; the helper checks the source.
    let status = unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _)
    };
    if status < 0 {
        return T::default();
    }
    // SAFETY: the helper filled it.
    unsafe { value.assume_init() }
}

/// Reads a field of an object at an untyped address.
#[inline(always)]
pub fn read_at<T: Copy + Default>(base: u64, offset: usize) -> T {
    read(base.wrapping_add(offset as u64))
}

/// Reads the beginning of an object. What cannot be read is zero.
///
/// # Safety
/// `head` must be writable.
#[inline(always)]
pub unsafe fn read_head(head: *mut Head, base: u64) {
    // SAFETY: the destination is HEAD writable bytes; the helper checks the source and clears on failure.
    unsafe { bpf_probe_read_kernel(head.cast(), HEAD as u32, base as *const _) };
}

/// A field of an object whose beginning was read into `head`.
///
/// # Safety
/// `head` must be readable and hold the beginning of the object at `base`.
#[inline(always)]
pub unsafe fn head_field<T: Copy + Default>(head: *const Head, base: u64, offset: usize) -> T {
    if offset > HEAD - size_of::<u64>() {
        return read_at(base, offset);
    }
    // SAFETY: inside the buffer, by the check above.
    unsafe { read_volatile(head.cast::<u8>().add(offset).cast()) }
}
