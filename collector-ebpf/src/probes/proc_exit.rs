//! Ends of processes (of their last thread).

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, ExitWire, Kind, filter_flag};

use crate::kernel::{follow, load, offset, setting};
use crate::maps::{FILTER_PIDS, LEAVING};
use crate::{emit, filter, task};

/// `signal_struct.flags`: the group's status is `group_exit_code`.
const SIGNAL_GROUP_EXIT: u32 = 4;

// proto: 5.10-6.15: void sched_process_exit(struct task_struct *p)
// proto: 6.16-:     void sched_process_exit(struct task_struct *p, bool group_dead)
#[btf_tracepoint(function = "sched_process_exit")]
pub fn proc_exit(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the argument is a typed task pointer; what it points to is followed typed.
    unsafe {
        let signal = follow(task, offset!(task_signal));
        // Threads that leave a living group are not events. Of several that leave at once, the kernel lets
        // exactly one bring the count to zero, but each may read it as zero afterwards: the process is
        // reported by whichever enters it in the map first.
        if load::<u32>(signal, offset!(signal_live)) != 0 || !first_to_report(task) {
            return 0;
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
            (*record).status = status;
            (*record).login_uid = task::login_uid(task);
            (*record).session_id = task::session_id(task);
            (*record).euid = load(follow(task, offset!(task_real_cred)), offset!(cred_euid));
        });
    }
    0
}

/// Whether no other thread of this group has been here.
///
/// # Safety
/// `task` must be a typed task pointer.
#[inline(always)]
unsafe fn first_to_report(task: *const u8) -> bool {
    const BPF_NOEXIST: u64 = 1;
    // SAFETY: by the caller's promise.
    let start: u64 = unsafe { load(follow(task, offset!(task_group_leader)), offset!(task_start)) };
    // SAFETY: as above.
    let key = (u64::from(unsafe { task::tgid(task) }) << 40) ^ start;
    LEAVING.insert(key, 1u32, BPF_NOEXIST).is_ok()
}
