//! The `bpf` system call, for asking the kernel what it accepts: loads programs of a few instructions and
//! drops them again, without attaching anything.
//!
//! Raw system calls, hence the only unsafe code of the probing: aya can load programs too, but wants an object
//! file and buries the errno under the verifier's log.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_MAP_TYPE_RINGBUF: u32 = 27;
/// `lsm_list_modules`, the same on every architecture; 6.8 and later.
const SYS_LSM_LIST_MODULES: libc::c_long = 461;

/// A kind of program that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgramKind {
    /// Tracepoint with typed arguments; its BTF id is that of the typedef `btf_trace_*`.
    TpBtf,
    /// Entry of a kernel function through a trampoline; its BTF id is that of the function.
    Fentry,
    /// Security hook; its BTF id is that of the function `bpf_lsm_*`.
    Lsm,
}

impl ProgramKind {
    /// `BPF_PROG_TYPE_*` and `BPF_TRACE_*` or `BPF_LSM_*`.
    fn numbers(self) -> (u32, u32) {
        match self {
            Self::TpBtf => (26, 23),
            Self::Fentry => (26, 24),
            Self::Lsm => (29, 27),
        }
    }
}

/// One instruction: `struct bpf_insn`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Insn {
    code: u8,
    /// Destination in the low half, source in the high half.
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Insn {
    const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        Self { code, registers: destination | source << 4, offset, immediate }
    }
}

const RETURN_ZERO: Insn = Insn::new(0xb7, 0, 0, 0, 0);
const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

/// `return 0`.
pub(super) const EMPTY: &[Insn] = &[RETURN_ZERO, EXIT];
/// Calls `bpf_get_current_task_btf` (5.11).
pub(super) const CURRENT_TASK: &[Insn] = &[Insn::new(0x85, 0, 0, 0, 158), RETURN_ZERO, EXIT];
/// Adds to a word on the stack and fetches what it was, atomically (5.12).
pub(super) const FETCH_ADD: &[Insn] = &[
    RETURN_ZERO,
    Insn::new(0x7b, 10, 0, -8, 0), // *(u64 *)(r10 - 8) = r0
    Insn::new(0xdb, 10, 0, -8, 1), // r0 = atomic_fetch_add((u64 *)(r10 - 8), r0)
    RETURN_ZERO,
    EXIT,
];

/// `union bpf_attr` for `BPF_PROG_LOAD`, as long as 5.10 has it.
#[derive(Default)]
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_prog_fd: u32,
    padding: u32,
}

/// `union bpf_attr` for `BPF_MAP_CREATE`, its beginning.
#[derive(Default)]
#[repr(C)]
struct MapAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
}

/// Loads a program and drops it.
pub(super) fn try_load(kind: ProgramKind, btf_id: u32, program: &[Insn]) -> Result<(), Errno> {
    let (prog_type, expected_attach_type) = kind.numbers();
    let mut prog_name = [0; 16];
    prog_name[..15].copy_from_slice(b"collector_probe");
    let attr = LoadAttr {
        prog_type,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        prog_name,
        expected_attach_type,
        attach_btf_id: btf_id,
        ..LoadAttr::default()
    };
    // SAFETY: the attribute is a live, zero-initialised repr(C) struct without padding whose addresses, of the
    // instructions and the licence, are live for the call and read only.
    unsafe { bpf(BPF_PROG_LOAD, &attr) }.map(drop)
}

/// Creates the smallest ring buffer and drops it.
pub(super) fn try_ring_buffer() -> Result<(), Errno> {
    let max_entries = rustix::param::page_size() as u32;
    let attr = MapAttr { map_type: BPF_MAP_TYPE_RINGBUF, max_entries, ..MapAttr::default() };
    // SAFETY: the attribute is a live repr(C) struct of integers without padding and holds no addresses.
    unsafe { bpf(BPF_MAP_CREATE, &attr) }.map(drop)
}

/// Runs a command that returns a descriptor.
///
/// # Safety
/// `attr` must be laid out as the kernel's `union bpf_attr` for this command, and all addresses in it must be
/// valid for the call.
unsafe fn bpf<T>(command: libc::c_long, attr: &T) -> Result<OwnedFd, Errno> {
    // SAFETY: the address and size are those of a live value; the kernel only reads it for these commands, and
    // what it refers to is valid by the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    let fd = checked(result)?;
    // SAFETY: the kernel just returned this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Ids of the active security modules, in order.
pub(super) fn security_modules() -> Result<Vec<u64>, Errno> {
    // Three times as many as exist; a kernel with more answers E2BIG.
    let mut ids = [0_u64; 48];
    let mut bytes = size_of_val(&ids) as u32;
    // SAFETY: the kernel writes at most `bytes` bytes of ids and then `bytes` itself; both are live locals.
    let result =
        unsafe { libc::syscall(SYS_LSM_LIST_MODULES, ids.as_mut_ptr(), &raw mut bytes, 0 as libc::c_uint) };
    let count = usize::try_from(checked(result)?).unwrap_or(0);
    Ok(ids.iter().copied().take(count).collect())
}

fn checked(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    let code = std::io::Error::last_os_error().raw_os_error();
    Err(Errno::from_raw_os_error(code.unwrap_or(libc::EINVAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_as_long_as_the_kernels() {
        assert_eq!(size_of::<Insn>(), 8);
        // 5.10 ends at attach_prog_fd; rounded up to the alignment.
        assert_eq!(size_of::<LoadAttr>(), 120);
        assert_eq!(std::mem::offset_of!(LoadAttr, attach_btf_id), 108);
        assert_eq!(size_of::<MapAttr>(), 44);
    }

    #[test]
    fn instructions_are_encoded_as_the_kernel_reads_them() {
        let fetch_add = FETCH_ADD[2];
        assert_eq!((fetch_add.code, fetch_add.registers, fetch_add.immediate), (0xdb, 0x0a, 1));
    }
}
