//! Files created or opened for writing, read from the description the kernel made.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, Table, Written, file_flag};

use crate::maps::WRITTEN;
use crate::site::Site;
use crate::syscall::Call;
use crate::{emit, file, filter, table, task, written};

const FMODE_CREATED: u32 = 0x10_0000;
const O_TRUNC: u32 = 0o1000;
/// Bits of open flags without which nothing is created or changed: `O_ACCMODE | O_CREAT | O_TRUNC`.
pub const INTERESTING: u64 = 0o3 | 0o100 | 0o1000;

/// `open`: flags in the second argument.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_open(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_open => EXIT_STAGES[0]);
    if Call::new(&ctx).argument::<1>() & INTERESTING != 0 {
        opened(&ctx);
    }
    0
}

/// `openat`, `open_by_handle_at`: flags in the third argument.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_openat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_openat => EXIT_STAGES[0]);
    if Call::new(&ctx).argument::<2>() & INTERESTING != 0 {
        opened(&ctx);
    }
    0
}

/// `creat`, `openat2`: flags implied or in memory; the description tells.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_creat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_creat => EXIT_STAGES[0]);
    opened(&ctx);
    0
}

#[inline(always)]
fn opened(ctx: &BtfTracePointContext) {
    let fd: i64 = ctx.arg(1);
    if fd < 0 {
        return;
    }
    // SAFETY: the current task is typed.
    let description = unsafe { file::description(task::current(), fd as i32) };
    report(ctx, description, truncating(ctx));
}

/// Reports an open description if it was created, emptied or opened for writing. `asked` has the flags of the open:
/// the kernel drops `O_TRUNC` from the description, and it empties the file even when opened for reading.
#[inline(always)]
pub fn report(site: &impl Site, description: u64, asked: u32) {
    let task = task::current();
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        let Some(scratch) = site.claim() else {
            emit::lost(Kind::FileOpen, Capture::Kernel);
            return;
        };
        let opened = file::look(scratch, description);
        let created = opened.mode & FMODE_CREATED != 0;
        let truncated = !created && (opened.flags | asked) & O_TRUNC != 0;
        let changes = opened.mode & (file::FMODE_WRITE | FMODE_CREATED) != 0 || truncated;
        if !changes || !file::is_storage(opened.inode_mode) {
            site.release(scratch);
            return;
        }
        // The address is new to us: an entry under it belongs to a description closed out of sight.
        written::unseen(description);
        let kind = if created { Kind::FileCreate } else { Kind::FileOpen };
        if truncated && filter::wanted(task, Kind::FileModify) {
            let (inode, pid) = (opened.inode, task::tgid(task));
            let written = Written { bytes: 0, inode, flags: file_flag::TRUNCATED, pid };
            table::remember(Table::Written, &WRITTEN, description, &written);
        }
        if !filter::wanted(task, kind) {
            site.release(scratch);
            return;
        }
        if !file::begin(scratch, kind, Capture::Kernel) {
            site.release(scratch);
            return;
        }
        file::describe(scratch, opened);
        if truncated {
            (*file::wire(scratch)).flags |= file_flag::TRUNCATED;
        }
        site.send(scratch);
    }
}

/// `O_TRUNC` among the flags of `open` and `openat`; they sit in different arguments, and in neither can a
/// pointer or mode be mistaken for it by accident often enough to matter: only the call's own register is read.
#[inline(always)]
fn truncating(ctx: &BtfTracePointContext) -> u32 {
    let call = Call::new(ctx);
    match call.number() {
        OPEN => call.argument::<1>() as u32,
        OPENAT => call.argument::<2>() as u32,
        CREAT => O_TRUNC,
        _ => 0,
    }
}

#[cfg(bpf_target_arch = "x86_64")]
const OPEN: u32 = 2;
#[cfg(bpf_target_arch = "x86_64")]
const OPENAT: u32 = 257;
#[cfg(bpf_target_arch = "x86_64")]
const CREAT: u32 = 85;

// aarch64 has only openat; the others are numbers no call has.
#[cfg(bpf_target_arch = "aarch64")]
const OPEN: u32 = u32::MAX;
#[cfg(bpf_target_arch = "aarch64")]
const OPENAT: u32 = 56;
#[cfg(bpf_target_arch = "aarch64")]
const CREAT: u32 = u32::MAX - 1;
