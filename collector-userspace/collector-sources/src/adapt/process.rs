//! Exec, fork and exit.

use std::sync::Arc;
use std::time::Duration;

use collector_common::{
    CredentialsWire, Domain, ExecWire, ForkWire, RecordHeader, TaskWire, exec_flag, task_flag,
};
use collector_core::{Namespaces, ProcessEvent, ProcessEventKind, ProcessExit, Text};

use super::path::join;
use super::{Context, known, set};
use crate::decode::{ExecRecord, ExitRecord, ForkRecord};
use crate::identity::Identity;

/// What ran, and what is unusual about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executable {
    /// Its path, or `memfd:name`.
    pub path: Option<Text>,
    /// It lives in memory alone.
    pub memfd: bool,
    /// It lost its last name before it ran.
    pub deleted: bool,
}

impl Executable {
    /// The executable of an exec.
    #[must_use]
    pub fn of(record: &ExecRecord<'_>) -> Self {
        let wire = &record.wire;
        let Some(exe) = record.exe else { return Self::default() };
        // An inode of 0 means that nothing was read of the file, its links included.
        let nameless = wire.exe_nlink == 0 && wire.exe_inode != 0;
        let internal = wire.flags & exec_flag::INTERNAL_MOUNT != 0;
        let unmarked = if nameless { exe.strip_suffix(b" (deleted)").unwrap_or(exe) } else { exe };
        if internal {
            let name = unmarked.strip_prefix(b"/").unwrap_or(unmarked);
            if name.starts_with(b"memfd:") {
                return Self { path: Some(Text::from(name)), memfd: true, deleted: false };
            }
        }
        Self { path: Some(Text::from(unmarked)), memfd: false, deleted: nameless }
    }
}

/// The event of an exec.
#[must_use]
pub fn adapt_exec(
    record: &ExecRecord<'_>,
    executable: Executable,
    identity: &Identity,
    user: Option<Arc<str>>,
    context: &Context,
) -> ProcessEvent {
    let ExecWire { header, task, credentials, flags, argv_len, .. } = &record.wire;
    let mut words = Vec::new();
    let mut flag = |word, is_set| {
        if is_set {
            words.push(word);
        }
    };
    flag("memfd", executable.memfd);
    flag("deleted", executable.deleted);
    flag("setuid", flags & exec_flag::SECURE != 0);
    task_words(task, &mut words);
    let (interpreter, script) = match (record.filename, record.interp) {
        (Some(filename), Some(interp)) if filename != interp => {
            let from = if filename.starts_with(b"/") { None } else { record.cwd };
            (Some(Text::from(interp)), join(from, Some(filename), true))
        }
        _ => (None, None),
    };
    ProcessEvent {
        kind: ProcessEventKind::Exec,
        meta: context.meta(header, Domain::Process, record.capture),
        file_exists: !(executable.memfd || executable.deleted),
        executable_path: executable.path,
        command_line: record.arguments().map(Text::from).collect(),
        argv_length: Some(*argv_len),
        argv_truncated: flags & (exec_flag::ARGV_TRUNCATED | exec_flag::ARGV_FAULT) != 0,
        cwd: record.cwd.map(Text::from),
        interpreter,
        script,
        user,
        flags: words,
        ..with_credentials(credentials, with_task(header, task, identity, context))
    }
}

/// The event of a fork.
#[must_use]
pub fn adapt_fork(
    record: &ForkRecord,
    identity: &Identity,
    user: Option<Arc<str>>,
    context: &Context,
) -> ProcessEvent {
    let ForkWire { header, task, credentials } = &record.wire;
    let mut flags = Vec::new();
    task_words(task, &mut flags);
    ProcessEvent {
        kind: ProcessEventKind::Fork,
        meta: context.meta(header, Domain::Process, record.capture),
        executable_path: identity.process.executable.clone(),
        user,
        flags,
        ..with_credentials(credentials, with_task(header, task, identity, context))
    }
}

/// The event of an exit.
#[must_use]
pub fn adapt_exit(
    record: &ExitRecord,
    identity: &Identity,
    user: Option<Arc<str>>,
    context: &Context,
) -> ProcessEvent {
    let wire = &record.wire;
    let mut flags = Vec::new();
    task_words(&wire.task, &mut flags);
    let signal = (wire.status & 0x7f).cast_signed();
    let code = (wire.status >> 8 & 0xff).cast_signed();
    let duration = known(wire.task.start_ns)
        .and_then(|start_ns| wire.header.ktime_ns.checked_sub(start_ns))
        .map(Duration::from_nanos);
    ProcessEvent {
        kind: ProcessEventKind::Exit,
        meta: context.meta(&wire.header, Domain::Process, record.capture),
        executable_path: identity.process.executable.clone(),
        euid: Some(wire.euid),
        login_uid: set(wire.login_uid),
        session_id: set(wire.session_id),
        exit: Some(ProcessExit {
            code: (signal == 0).then_some(code),
            signal: known(signal),
            core_dumped: wire.status & 0x80 != 0,
            duration,
        }),
        user,
        flags,
        ..with_task(&wire.header, &wire.task, identity, context)
    }
}

/// An event with what every record of a process says.
fn with_task(header: &RecordHeader, task: &TaskWire, identity: &Identity, context: &Context) -> ProcessEvent {
    let process = &identity.process;
    ProcessEvent {
        pid: task.pid,
        tid: Some(task.tid),
        ppid: Some(task.ppid),
        name: process.name.to_string_lossy().into_owned(),
        start_time: known(task.start_ns).map(|start_ns| context.clock.system_time(start_ns)),
        timestamp: context.clock.system_time(header.ktime_ns),
        user_id: Some(task.uid.to_string()),
        uid: Some(task.uid),
        gid: Some(task.gid),
        exec_id: process.exec_id,
        parent_exec_id: identity.parent_exec_id(),
        cgroup_id: known(task.cgroup_id),
        container_id: process.container_id.clone(),
        namespaces: namespaces(task, 0, 0),
        ancestors: Arc::clone(&identity.ancestors),
        ..ProcessEvent::default()
    }
}

fn with_credentials(credentials: &CredentialsWire, event: ProcessEvent) -> ProcessEvent {
    let namespaces = Namespaces {
        pid: credentials.pid_ns,
        user: credentials.user_ns,
        ..event.namespaces.unwrap_or_default()
    };
    ProcessEvent {
        euid: Some(credentials.euid),
        egid: Some(credentials.egid),
        login_uid: set(credentials.login_uid),
        session_id: set(credentials.session_id),
        capabilities: Some(credentials.cap_effective),
        pid_in_namespace: (credentials.ns_level > 0).then_some(credentials.ns_pid),
        namespaces: known(namespaces),
        ..event
    }
}

fn namespaces(task: &TaskWire, pid: u32, user: u32) -> Option<Namespaces> {
    known(Namespaces { mnt: task.mnt_ns, pid, net: task.net_ns, user })
}

fn task_words(task: &TaskWire, words: &mut Vec<&'static str>) {
    for (bit, word) in [
        (task_flag::IO_URING, "io_uring"),
        (task_flag::KERNEL_THREAD, "kernel_thread"),
        (task_flag::COMPAT, "compat"),
    ] {
        if task.flags & bit != 0 {
            words.push(word);
        }
    }
}
