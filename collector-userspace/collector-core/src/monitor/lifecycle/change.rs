//! What happened to a process between two looks.

use crate::event::ProcessEvent;

/// What happened to a process. Where several things did, the first of this list that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LifecycleChange {
    /// It was there at the first look, or had been overlooked before: full table, not readable.
    Present,
    /// It is new.
    Started,
    /// It is new, and has the pid of one that has ended since the look before.
    PidReused,
    /// It is gone.
    Exited,
    /// Its image was replaced.
    Exec,
    /// The path of its executable is another one without an exec, or has ceased to exist.
    ExecutableChanged,
    /// Its real or effective user is another one without an exec.
    CredentialsChanged,
    /// Its command line is another one without an exec: it wrote over its arguments.
    CommandLineChanged,
    /// Its name is another one without an exec. Reported only with a suspicion.
    NameChanged,
    /// Its resident memory differs by more than the threshold from what was reported last.
    MemoryChanged,
    /// Its processor usage does.
    CpuChanged,
}

impl LifecycleChange {
    /// The word in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Started => "started",
            Self::PidReused => "pid_reused",
            Self::Exited => "exited",
            Self::Exec => "exec",
            Self::ExecutableChanged => "executable_changed",
            Self::CredentialsChanged => "credentials_changed",
            Self::CommandLineChanged => "command_line_changed",
            Self::NameChanged => "name_changed",
            Self::MemoryChanged => "memory_changed",
            Self::CpuChanged => "cpu_changed",
        }
    }
}

/// Whether two looks show the same process: the same start under the same pid. A start that is not known is no difference.
pub(super) fn is_same_process(a: &ProcessEvent, b: &ProcessEvent) -> bool {
    match (a.exec_id, b.exec_id) {
        (Some(a), Some(b)) => (a.boot, a.start_ticks) == (b.boot, b.start_ticks),
        _ => match (a.start_time, b.start_time) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        },
    }
}

/// The digest of the image, if there is one.
pub(super) fn image(process: &ProcessEvent) -> Option<u32> {
    process.exec_id.map(|id| id.image).filter(|image| *image != 0)
}

/// Whether the image of a process was replaced. Without digests it is another path of the executable that tells, so an exec of
/// the same program is missed then, and a program that was renamed is taken for one.
pub(super) fn has_executed(before: &ProcessEvent, now: &ProcessEvent) -> bool {
    match (image(before), image(now)) {
        (Some(before), Some(now)) => before != now,
        _ => has_other_path(before, now),
    }
}

/// Whether both paths of the executable are known and differ.
pub(super) fn has_other_path(before: &ProcessEvent, now: &ProcessEvent) -> bool {
    before.executable_path.is_some()
        && now.executable_path.is_some()
        && before.executable_path != now.executable_path
}

/// Whether a user is known in both looks and differs.
pub(super) fn has_other_user(before: &ProcessEvent, now: &ProcessEvent) -> bool {
    let differs = |before: Option<u32>, now: Option<u32>| before.is_some() && now.is_some() && before != now;
    differs(before.uid, now.uid) || differs(before.euid, now.euid)
}
