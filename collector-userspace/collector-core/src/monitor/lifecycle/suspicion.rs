//! Findings that deserve a second look.

use super::change::{has_executed, has_other_path, image};
use crate::event::{ProcessEvent, Text};

/// Why something about a process is suspicious. None of it is proof: each has honest causes, which are named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suspicion {
    /// The executable lives in memory alone (`memfd`): programs are run like that to leave no file behind. Container runtimes
    /// and some browsers do it as well.
    ExecutableInMemory,
    /// The executable has lost its last name while the process runs: programs delete themselves to hide. So does every
    /// package upgrade.
    ExecutableDeleted,
    /// The path of the executable is another one though there was no exec: the file was renamed under the running process, or
    /// the process had the kernel name another one (`PR_SET_MM_EXE_FILE`). Package managers rename before they delete.
    ExecutableMoved,
    /// A process of user space that looks like a thread of the kernel in a list: its name is one of theirs, or its first
    /// argument is in brackets.
    KernelThreadName,
    /// It has an executable and no arguments at all, not even its own name: in a list it looks like a thread of the kernel.
    /// Its arguments were erased, or it was started without any, which also is how some privileged programs are attacked.
    NoArguments,
    /// Neither the real nor the effective user was root, and now one is, without an exec of a setuid program: what an exploited
    /// kernel leaves. A program that had put root aside in its saved user looks the same.
    RootWithoutExec,
}

impl Suspicion {
    /// The word in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExecutableInMemory => "executable_in_memory",
            Self::ExecutableDeleted => "executable_deleted",
            Self::ExecutableMoved => "executable_moved",
            Self::KernelThreadName => "kernel_thread_name",
            Self::NoArguments => "no_arguments",
            Self::RootWithoutExec => "root_without_exec",
        }
    }
}

/// How names of kernel threads begin.
const KERNEL_NAMES: &[&str] = &[
    "kworker/",
    "ksoftirqd/",
    "migration/",
    "cpuhp/",
    "idle_inject/",
    "irq/",
    "jbd2/",
    "scsi_eh_",
    "rcu_",
    "kthreadd",
    "kswapd",
    "kcompactd",
    "khugepaged",
    "kdevtmpfs",
    "kauditd",
    "khungtaskd",
    "oom_reaper",
    "watchdogd",
];

/// What is suspicious about a process now and was not `before`. Without a look before, or after an exec, everything is new.
pub(super) fn suspicions(before: Option<&ProcessEvent>, now: &ProcessEvent) -> Vec<Suspicion> {
    let before = before.filter(|before| !has_executed(before, now));
    let is_new = |suspicion: &Suspicion| !before.is_some_and(|before| is_so(*suspicion, before));
    let mut found: Vec<Suspicion> = STATES
        .iter()
        .filter(|suspicion| is_so(**suspicion, now))
        .filter(|found| is_new(found))
        .copied()
        .collect();
    if let Some(before) = before {
        if image(before).is_some() && has_other_path(before, now) {
            found.push(Suspicion::ExecutableMoved);
        }
        if is_root(before) == Some(false) && is_root(now) == Some(true) {
            found.push(Suspicion::RootWithoutExec);
        }
    }
    found
}

/// Those that a single look shows.
const STATES: &[Suspicion] = &[
    Suspicion::ExecutableInMemory,
    Suspicion::ExecutableDeleted,
    Suspicion::KernelThreadName,
    Suspicion::NoArguments,
];

fn is_so(suspicion: Suspicion, process: &ProcessEvent) -> bool {
    let has = |flag| process.flags.contains(&flag);
    let is_in_memory = has("memfd");
    // Of a process that has ended and waits for its parent nothing is left, the executable included.
    let is_user_space = !has("kernel_thread") && process.executable_path.is_some();
    match suspicion {
        Suspicion::ExecutableInMemory => is_in_memory,
        Suspicion::ExecutableDeleted => !process.file_exists && !is_in_memory,
        Suspicion::KernelThreadName => is_user_space && looks_like_kernel_thread(process),
        Suspicion::NoArguments => is_user_space && process.command_line.is_empty(),
        Suspicion::ExecutableMoved | Suspicion::RootWithoutExec => false,
    }
}

fn looks_like_kernel_thread(process: &ProcessEvent) -> bool {
    let is_bracketed = |text: &Text| text.as_bytes().starts_with(b"[") && text.as_bytes().ends_with(b"]");
    KERNEL_NAMES.iter().any(|name| process.name.starts_with(name))
        || process.command_line.first().is_some_and(is_bracketed)
}

fn is_root(process: &ProcessEvent) -> Option<bool> {
    Some(process.uid? == 0 || process.euid? == 0)
}
