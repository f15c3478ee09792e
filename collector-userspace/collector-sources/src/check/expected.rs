//! Which programs must hear which call: a pure function of the plan.

use std::collections::BTreeSet;

use crate::plan::{Attach, Hook, Place, Plan, Row, rows};
use crate::syscalls::Arch;

/// A child is born.
pub(super) const FORK: &str = "fork";
/// It becomes another program.
pub(super) const EXEC: &str = "exec";
/// It ends.
pub(super) const EXIT: &str = "exit";
/// A datagram is sent.
pub(super) const SEND: &str = "send";
/// `mknodat` for a regular file, which the kernel makes in another way than other nodes.
pub(super) const MAKE_FILE: &str = "mknodat of a file";
/// `unlinkat` for a directory.
pub(super) const REMOVE_DIR: &str = "unlinkat of a directory";

/// A program that must run when something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Expected {
    /// What is done: the name of a system call, or one of the names above.
    pub(super) call: &'static str,
    /// Name of the program.
    pub(super) program: &'static str,
    /// Whether a call that fails proves nothing, because the kernel may never come as far as the program.
    pub(super) if_it_succeeds: bool,
    /// The program that goes on to this one: if it is silent, this one is not to blame.
    pub(super) after: Option<&'static str>,
}

/// Everything that must be heard while this plan is at work.
pub(super) fn expected(plan: &Plan, arch: Option<Arch>) -> BTreeSet<Expected> {
    let planned = |hook: &Hook| {
        plan.programs.iter().find(|it| it.name == hook.program && it.place == hook.place).copied()
    };
    let mut all = BTreeSet::new();
    for (row, hook) in rows().flat_map(|row| row.hooks.iter().map(move |hook| (row, hook))) {
        let Some(program) = planned(hook) else { continue };
        for (call, if_it_succeeds) in calls(hook, program.at, arch) {
            all.insert(Expected { call, program: hook.program, if_it_succeeds, after: None });
            for stage in stages(row, hook).filter(|stage| planned(stage).is_some()) {
                let after = Some(hook.program);
                all.insert(Expected { call, program: stage.program, if_it_succeeds, after });
            }
        }
    }
    all
}

/// Programs that are planned and that nothing done here would run.
pub(super) fn unprovable(plan: &Plan, arch: Option<Arch>) -> Vec<&'static str> {
    let expected = expected(plan, arch);
    let is_expected = |name: &str| expected.iter().any(|it| it.program == name);
    // Dispatchers leave no marks: they are heard through the programs they call.
    let leaves_marks = |name: &&str| collector_common::program_number(name).is_some();
    plan.programs.iter().map(|it| it.name).filter(leaves_marks).filter(|name| !is_expected(name)).collect()
}

/// The stages a canary goes through from a program on: those of its row at the same place.
fn stages<'r>(row: &'r Row, first: &'r Hook) -> impl Iterator<Item = &'r Hook> {
    let is_stage = |hook: &Hook| matches!(hook.attach, Attach::Stage { .. });
    row.hooks.iter().filter(move |hook| is_stage(hook) && !is_stage(first) && hook.at == first.at)
}

/// What runs a program, and whether it has to succeed for that.
fn calls(hook: &Hook, at: &'static str, arch: Option<Arch>) -> Vec<(&'static str, bool)> {
    match hook.attach {
        Attach::EnterCall(calls) | Attach::ExitCall(calls) => {
            let is_here = |call: &&&'static str| arch.and_then(|arch| arch.number(call)).is_some();
            calls.iter().filter(is_here).map(|&call| (call, false)).collect()
        }
        Attach::Stage { .. } => Vec::new(),
        Attach::Directly | Attach::IfThere => at_place(hook.place, at).into_iter().collect(),
    }
}

fn at_place(place: Place, at: &'static str) -> Option<(&'static str, bool)> {
    let call = at.strip_prefix("__x64_sys_").or_else(|| at.strip_prefix("__arm64_sys_"));
    if let Some(call) = call {
        return Some((if call == "sendfile64" { "sendfile" } else { call }, false));
    }
    Some(match (place, at) {
        (Place::Tracepoint, "sched_process_fork") => (FORK, true),
        (Place::Tracepoint, "sched_process_exec" | "sched_prepare_exec") => (EXEC, true),
        (Place::Tracepoint, "sched_process_exit") => (EXIT, true),
        (Place::Tracepoint, "inet_sock_set_state") => ("listen", true),
        (Place::Tracepoint, "net_dev_queue") => (SEND, true),
        (Place::Tracepoint, _) => return None,
        (_, "do_filp_open" | "do_file_open") => ("openat", true),
        (_, "inet_accept") => ("accept", true),
        (_, "inet_listen") => ("listen", true),
        (_, "inet_stream_connect" | "security_socket_connect") => ("connect", true),
        (_, "vfs_write" | "security_file_permission") => ("write", true),
        (_, "security_mmap_file") => ("mmap", true),
        (_, "vfs_fallocate") => ("fallocate", true),
        (_, "filp_close") => ("dup3", true),
        (_, "security_path_chmod" | "notify_change") => ("fchmod", true),
        (_, "security_path_chown") => ("fchown", true),
        (_, "security_path_truncate") => ("truncate", true),
        (_, "security_path_mkdir" | "vfs_mkdir") => ("mkdirat", true),
        (_, "security_path_mknod" | "vfs_mknod") => ("mknodat", true),
        (_, "vfs_create") => (MAKE_FILE, true),
        (_, "security_path_unlink" | "vfs_unlink") => ("unlinkat", true),
        (_, "security_path_rmdir" | "vfs_rmdir") => (REMOVE_DIR, true),
        (_, "security_path_rename" | "vfs_rename") => ("renameat2", true),
        (_, "security_path_link" | "vfs_link") => ("linkat", true),
        (_, "security_path_symlink" | "vfs_symlink") => ("symlinkat", true),
        (_, "security_bprm_creds_from_file") => (EXEC, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::songs;
    use crate::plan::Program;

    /// Everything in the table at once, which no kernel has.
    fn everything() -> Plan {
        let mut plan = Plan::default();
        for hook in rows().flat_map(|row| row.hooks) {
            let program = Program { name: hook.program, place: hook.place, at: hook.at[0] };
            if !plan.programs.contains(&program) {
                plan.programs.push(program);
            }
        }
        plan
    }

    #[test]
    fn every_program_can_be_made_to_run() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let mut silent = unprovable(&everything(), Some(arch));
            if arch == Arch::Aarch64 {
                // Programs for calls that this architecture does not have are not planned.
                let is_for_calls = |name: &&str| {
                    let mut hooks = rows().flat_map(|row| row.hooks);
                    let hook = hooks.find(|hook| hook.program == *name).unwrap();
                    matches!(hook.attach, Attach::EnterCall(_) | Attach::ExitCall(_))
                };
                silent.retain(|name| !is_for_calls(name));
            }
            assert_eq!(silent, Vec::<&str>::new(), "{arch:?}");
        }
    }

    #[test]
    fn everything_expected_is_done() {
        for Expected { call, .. } in expected(&everything(), Some(Arch::X86_64)) {
            assert!(songs::is_known(call), "{call}");
        }
    }

    #[test]
    fn a_call_that_is_seen_as_such_need_not_succeed_and_reaches_the_stages() {
        let expected = expected(&everything(), Some(Arch::X86_64));
        let of = |call: &str| -> Vec<(&str, bool)> {
            expected.iter().filter(|it| it.call == call).map(|it| (it.program, it.if_it_succeeds)).collect()
        };
        assert_eq!(of("rename"), [("file_finish", false), ("file_rename", false)]);
        assert_eq!(of("write"), [("file_write", false), ("write_begins", true), ("write_done", true)]);
        assert_eq!(
            of("close_range"),
            [("file_close_rest", false), ("file_closerange", false), ("file_finish_ent", false)]
        );
        assert_eq!(
            of("exit"),
            [("exit_files", true), ("file_finish_end", true), ("file_quit", true), ("proc_exit", true)]
        );
    }
}
