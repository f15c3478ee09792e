//! Written files that an exec closes, on kernels without the tracepoint `sched_prepare_exec`: at the place where it was put
//! later, the process still being what it was.

use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;
use collector_common::file_flag;

use crate::probes::exec_files::closes_alone;
use crate::{hook, task, written};

/// Most files reported; the length of the list in the buffer.
const MOST: u32 = 16;

// proto: 5.10-6.1: int security_bprm_creds_from_file(struct linux_binprm *bprm, struct file *file)
// proto: 6.12-7.3: int security_bprm_creds_from_file(struct linux_binprm *bprm, const struct file *file)
#[fentry(function = "security_bprm_creds_from_file")]
pub fn creds_begins(_: FEntryContext) -> i32 {
    heard!(creds_begins);
    let task = task::current();
    // SAFETY: the current task is typed; the buffer is a valid map value.
    unsafe {
        if !closes_alone(task) {
            return 0;
        }
        let Some(scratch) = hook::claim() else { return 0 };
        if written::collect(scratch, task, written::Which::ClosedByExec) > 0 {
            for _ in 0..MOST {
                if report_next((*scratch).index) == 0 {
                    break;
                }
            }
        }
        hook::release(scratch);
    }
    0
}

/// Reports one of the files in a buffer's list; 0 when that was the last. A function of its own, which the verifier looks
/// at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn report_next(index: u32) -> u32 {
    let Some(scratch) = hook::buffer(index) else { return 0 };
    // SAFETY: a valid map value in use by the caller; the current task is typed.
    unsafe {
        if written::begin_next(scratch, task::current(), file_flag::CLOSED_BY_EXEC) {
            hook::send(scratch);
        }
        u32::from(written::more(scratch))
    }
}
