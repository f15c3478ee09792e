//! Ends of processes (of their last thread).

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, ExitWire, Kind, filter_flag};

use crate::kernel::{follow, load, offset, setting};
use crate::maps::{FILTER_PIDS, LEAVING};
use crate::{emit, filter, task};

/// `signal_struct.flags`: the group's status is `group_exit_code`.
const SIGNAL_GROUP_EXIT: u32 = 4;

// proto: 5.10-6.12: void sched_process_exit(struct task_struct *p)
// proto: 6.18-7.3: void sched_process_exit(struct task_struct *p, bool group_dead)
#[btf_tracepoint(function = "sched_process_exit")]
pub fn proc_exit(ctx: BtfTracePointContext) -> i32 {
    heard!(proc_exit);
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the argument is a typed task pointer; what it points to is followed typed.
    unsafe {
        let signal = follow(task, offset!(task_signal));
        if !last_of_group(&ctx, task, signal) {
            return 0; // Threads that leave a living group are not events.
        }
        let wanted = filter::wanted(task, Kind::ProcessExit);
        if setting!(filters) & filter_flag::PIDS != 0 {
            let _ = FILTER_PIDS.remove(task::tgid(task));
        }
        if !wanted {
            return 0;
        }
        let status: u32 = if load::<u32>(signal, offset!(signal_flags)) & SIGNAL_GROUP_EXIT != 0 {
            load(signal, offset!(signal_group_exit_code))
        } else {
            load(follow(task, offset!(task_group_leader)), offset!(task_exit_code))
        };
        emit::fixed(Kind::ProcessExit, Capture::Kernel, |record: *mut ExitWire, header| {
            (*record).header = header;
            task::fill(task, &raw mut (*record).task);
            // Which thread was the last is chance: the end is the process's, under the process's name.
            let leader = follow(task, offset!(task_group_leader));
            (*record).task.tid = (*record).task.pid;
            task::name(leader, &raw mut (*record).task);
            (*record).status = status;
            (*record).login_uid = task::login_uid(task);
            (*record).session_id = task::session_id(task);
            (*record).euid = load(follow(task, offset!(task_real_cred)), offset!(cred_euid));
        });
    }
    0
}

/// Whether this thread ends its process.
///
/// # Safety
/// `task` and `signal` must be typed pointers.
#[inline(always)]
unsafe fn last_of_group(ctx: &BtfTracePointContext, task: *const u8, signal: *const u8) -> bool {
    const BPF_NOEXIST: u64 = 1;
    if setting!(filters) & filter_flag::GROUP_DEAD != 0 {
        // The kernel says it. Where it does not, the verifier never sees this read.
        return ctx.arg::<u64>(1) & 0xff != 0;
    }
    // SAFETY: by the caller's promise.
    unsafe {
        if load::<u32>(signal, offset!(signal_live)) != 0 {
            return false;
        }
        // Of several threads that leave at once exactly one brings the count to zero, but each may read zero
        // afterwards: the first to enter the process in the map reports it.
        let start: u64 = load(follow(task, offset!(task_group_leader)), offset!(task_start));
        let key = (u64::from(task::tgid(task)) << 40) ^ start;
        LEAVING.insert(key, 1u32, BPF_NOEXIST).is_ok()
    }
}
