//! Remembers which open descriptions were written through; the event comes when they are closed.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Kind, Table, Written, file_flag};

use crate::kernel::{offset, read_at};
use crate::maps::WRITTEN;
use crate::syscall::Call;
use crate::{file, filter, table, task, written};

/// `write` and relatives: descriptor first, bytes returned.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_write(ctx: BtfTracePointContext) -> i32 {
    heard!(file_write);
    let bytes: i64 = ctx.arg(1);
    if bytes > 0 {
        wrote(Call::new(&ctx).argument::<0>() as i32, bytes as u64, 0);
    }
    0
}

/// `splice`, `copy_file_range`: the target is the third argument.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_copy(ctx: BtfTracePointContext) -> i32 {
    heard!(file_copy);
    let bytes: i64 = ctx.arg(1);
    if bytes > 0 {
        wrote(Call::new(&ctx).argument::<2>() as i32, bytes as u64, 0);
    }
    0
}

/// `ftruncate`, `fallocate`: descriptor first, zero returned.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_resize(ctx: BtfTracePointContext) -> i32 {
    heard!(file_resize);
    let result: i64 = ctx.arg(1);
    if result == 0 {
        wrote(Call::new(&ctx).argument::<0>() as i32, 0, file_flag::TRUNCATED);
    }
    0
}

/// `mmap`: a shared writable mapping may change the file without further calls.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_mmap(ctx: BtfTracePointContext) -> i32 {
    heard!(file_mmap);
    const PROT_WRITE: u64 = 2;
    const MAP_SHARED: u64 = 1;
    let call = Call::new(&ctx);
    let result: i64 = ctx.arg(1);
    let fd = call.argument::<4>() as i32;
    let failed = (-4095..0).contains(&result);
    if !failed && fd >= 0 && call.argument::<2>() & PROT_WRITE != 0 && call.argument::<3>() & MAP_SHARED != 0
    {
        wrote(fd, 0, file_flag::MAPPED);
    }
    0
}

#[inline(always)]
pub fn wrote(fd: i32, bytes: u64, flags: u32) {
    let task = task::current();
    // SAFETY: the current task is typed.
    let description = unsafe { file::description(task, fd) };
    if description != 0 {
        wrote_through(task, description, bytes, flags);
    }
}

/// Notes that `task`, which must be typed, wrote through a description.
#[inline(always)]
pub fn wrote_through(task: *const u8, description: u64, bytes: u64, flags: u32) {
    // SAFETY: by the caller's promise; map values are valid until the program ends.
    unsafe {
        let inode: u64 = read_at(description, offset!(file_inode));
        if let Some(entry) = WRITTEN.get_ptr_mut(description) {
            if (*entry).inode == inode {
                (*entry).bytes += bytes;
                (*entry).flags |= flags;
                (*entry).pid = task::tgid(task);
                return;
            }
            written::unseen(description);
        }
        if !file::is_storage(read_at(inode, offset!(inode_mode))) || !filter::wanted(task, Kind::FileModify) {
            return;
        }
        let written = Written { bytes, inode, flags, pid: task::tgid(task) };
        table::remember(Table::Written, &WRITTEN, description, &written);
    }
}
