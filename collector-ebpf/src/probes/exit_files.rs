//! Written files that a process leaves open when it ends: the kernel closes them without a system call.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, file_flag};

use crate::kernel::{follow, load, offset, read};
use crate::maps::{QUIT_SCRATCH, QUIT_STAGES, WRITTEN};
use crate::scratch::Scratch;
use crate::{file, filter, task};

/// Descriptors looked at, from 0.
const DESCRIPTORS: u32 = 256;
/// Most written files reported for one process.
const PENDING: u32 = 16;

/// Runs before `proc_exit`, so that a process's last file events precede its end.
// proto: 5.10-6.15: void sched_process_exit(struct task_struct *p)
// proto: 6.16-:     void sched_process_exit(struct task_struct *p, bool group_dead)
#[btf_tracepoint(function = "sched_process_exit")]
pub fn exit_files(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the argument is a typed task pointer; the scratch buffer is a valid map value.
    unsafe {
        let files = follow(task, offset!(task_files));
        // Others still use the table: nothing is closed yet.
        if load::<u32>(files, offset!(files_count)) != 1 {
            return 0;
        }
        let table = follow(files, offset!(files_fdt));
        let max: u32 = load(table, offset!(fdt_max));
        let array: u64 = load(table, offset!(fdt_fd));
        let bitmap: u64 = load(table, offset!(fdt_open));
        let Some(scratch) = Scratch::get(&QUIT_SCRATCH) else { return 0 };
        write_volatile(&raw mut (*scratch).pending_len, 0);
        let pid = task::tgid(task);
        let mut word = 0u64;
        for fd in 0..DESCRIPTORS {
            if fd >= max {
                break;
            }
            if fd % 64 == 0 {
                word = read(bitmap + u64::from(fd / 8));
            }
            // Most descriptors are closed, most processes have a handful: stop early on an empty rest.
            if word == 0 {
                continue;
            }
            let open = word & 1 != 0;
            word >>= 1;
            if !open {
                continue;
            }
            let description: u64 = read(array + u64::from(fd) * 8);
            let Some(written) = WRITTEN.get_ptr(description) else { continue };
            if (*written).pid != pid {
                continue;
            }
            let count = read_volatile(&raw const (*scratch).pending_len);
            if count < PENDING {
                (*scratch).pending[(core::hint::black_box(count) & (PENDING - 1)) as usize] = description;
                write_volatile(&raw mut (*scratch).pending_len, count + 1);
            }
        }
        if read_volatile(&raw const (*scratch).pending_len) > 0 {
            QUIT_STAGES.tail_call(&ctx, 0);
        }
    }
    0
}

/// Reports one pending file and calls itself for the next.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn file_quit(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    // SAFETY: as above; the index is masked to the array.
    unsafe {
        let Some(scratch) = Scratch::get(&QUIT_SCRATCH) else { return 0 };
        let count = read_volatile(&raw const (*scratch).pending_len);
        if count == 0 || count > PENDING {
            return 0;
        }
        let next = core::hint::black_box(count - 1) & (PENDING - 1);
        write_volatile(&raw mut (*scratch).pending_len, next);
        let description = (*scratch).pending[next as usize];
        if let Some(written) = WRITTEN.get_ptr(description) {
            let written = *written;
            if WRITTEN.remove(description).is_ok() && filter::wanted(task, Kind::FileModify) {
                file::begin_in(scratch, task, Kind::FileModify, Capture::Kernel);
                file::describe(scratch, description);
                let wire = file::wire(scratch);
                (*wire).flags |= written.flags | file_flag::CLOSED_BY_EXIT;
                (*wire).written = written.bytes;
                file::finish(scratch);
            }
        }
        if next > 0 {
            QUIT_STAGES.tail_call(&ctx, 0);
        }
    }
    0
}
