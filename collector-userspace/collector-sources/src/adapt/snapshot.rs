//! Processes found in `/proc`.

use std::sync::Arc;

use collector_core::{Capture, EventMeta, ProcessEvent, ProcessEventKind, Text};

use super::{Context, known};
use crate::decode::Arguments;
use crate::identity::snapshot::SnapshotEntry;
use crate::identity::{Boot, Identity};

/// The event of a process that was there before capture began.
#[must_use]
pub fn adapt_snapshot(
    entry: &SnapshotEntry,
    identity: &Identity,
    boot: &Boot,
    user: Option<Arc<str>>,
    context: &Context,
) -> ProcessEvent {
    let mut flags = Vec::new();
    if entry.is_memfd() {
        flags.push("memfd");
    } else if entry.exe_deleted {
        flags.push("deleted");
    }
    if entry.kernel_thread {
        flags.push("kernel_thread");
    }
    ProcessEvent {
        pid: entry.pid,
        ppid: Some(entry.ppid),
        name: String::from_utf8_lossy(&entry.comm).into_owned(),
        executable_path: entry.executable(),
        command_line: Arguments::new(&entry.argv).map(Text::from).collect(),
        start_time: Some(context.clock.system_time(boot.tick_ns(entry.start_ticks))),
        user_id: entry.uid.map(|uid| uid.to_string()),
        accessible: entry.kernel_thread || entry.exe.is_some(),
        file_exists: !entry.exe_deleted,
        timestamp: context.clock.system_time(entry.seen_ns),
        kind: ProcessEventKind::Snapshot,
        meta: EventMeta { source: context.source, capture: Capture::Procfs, sequence: None },
        exec_id: identity.process.exec_id,
        parent_exec_id: identity.parent_exec_id(),
        argv_length: (!entry.argv_truncated).then_some(entry.argv.len() as u64),
        argv_truncated: entry.argv_truncated,
        cwd: entry.cwd.as_deref().map(Text::from),
        uid: entry.uid,
        gid: entry.gid,
        euid: entry.euid,
        egid: entry.egid,
        login_uid: entry.login_uid,
        session_id: entry.session_id,
        user,
        cgroup_id: entry.cgroup_id,
        container_id: identity.process.container_id.clone(),
        namespaces: known(entry.namespaces),
        pid_in_namespace: entry.pid_in_namespace,
        capabilities: entry.capabilities,
        flags,
        ancestors: Arc::clone(&identity.ancestors),
        ..ProcessEvent::default()
    }
}
