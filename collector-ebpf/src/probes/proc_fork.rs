//! New processes (not threads).

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, ForkWire, Kind, LossReason, filter_flag};

use crate::kernel::{load, offset, setting};
use crate::maps::FILTER_PIDS;
use crate::{emit, filter, task};

// proto: 5.10-7.3: void sched_process_fork(struct task_struct *parent, struct task_struct *child)
#[btf_tracepoint(function = "sched_process_fork")]
pub fn proc_fork(ctx: BtfTracePointContext) -> i32 {
    heard!(proc_fork);
    let parent: *const u8 = ctx.arg(0);
    let child: *const u8 = ctx.arg(1);
    // SAFETY: both arguments are typed task pointers.
    unsafe {
        let pid = task::tgid(child);
        if load::<u32>(child, offset!(task_pid)) != pid {
            return 0;
        }
        // The pid filter follows descendants, whether or not forks themselves are wanted.
        if setting!(filters) & filter_flag::PIDS != 0
            && FILTER_PIDS.get(task::tgid(parent)).is_some()
            && FILTER_PIDS.insert(pid, 1, 0).is_err()
        {
            // Nothing of what it does will be seen.
            emit::count(Kind::ProcessFork, LossReason::TableFull);
            return 0;
        }
        if !filter::wanted(child, Kind::ProcessFork) {
            return 0;
        }
        emit::fixed(Kind::ProcessFork, Capture::Kernel, |record: *mut ForkWire, header| {
            (*record).header = header;
            task::fill(child, &raw mut (*record).task);
            task::fill_credentials(child, &raw mut (*record).credentials);
        });
    }
    0
}
