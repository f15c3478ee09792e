//! Process events and process identity.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{EventMeta, Text};

/// What happened to a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessEventKind {
    /// It was seen alive, not starting: the state at start-up or of a scan.
    #[default]
    Snapshot,
    /// Its image was replaced.
    Exec,
    /// It was created.
    Fork,
    /// It ended.
    Exit,
}

impl ProcessEventKind {
    /// The name used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "process.snapshot",
            Self::Exec => "process.exec",
            Self::Fork => "process.fork",
            Self::Exit => "process.exit",
        }
    }
}

/// Identity of one image of one process on one boot of one host: a pid alone names nothing.
///
/// Displayed as `boot-pid-start-image` in hexadecimal and decimal, for example `3f2a9c1e-4711-88123-9b20c4d1`.
/// The parts are what both the kernel and `/proc` know, so the same process has the same id after a restart of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecId {
    /// First 32 bits of the kernel's boot id.
    pub boot: u32,
    /// Process id (thread-group id).
    pub pid: u32,
    /// Start time in clock ticks (1/100 s) since boot.
    pub start_ticks: u64,
    /// Digest of what is random per exec (place of the stack); 0 for kernel threads and where it is unknown.
    pub image: u32,
}

impl fmt::Display for ExecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}-{}-{:08x}", self.boot, self.pid, self.start_ticks, self.image)
    }
}

/// A process in a few words: an ancestor, or the process behind a network or file event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRef {
    /// Process id.
    pub pid: u32,
    /// Identity.
    pub exec_id: Option<ExecId>,
    /// Thread name (`comm`).
    pub name: Text,
    /// Path of the executable.
    pub executable: Option<Text>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Container the process runs in.
    pub container_id: Option<Arc<str>>,
}

impl From<&ProcessEvent> for ProcessRef {
    /// The process an event is about.
    fn from(event: &ProcessEvent) -> Self {
        Self {
            pid: event.pid,
            exec_id: event.exec_id,
            name: event.name.as_str().into(),
            executable: event.executable_path.clone(),
            uid: event.uid,
            container_id: event.container_id.clone(),
        }
    }
}

/// Inode numbers of a process's namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Mount namespace.
    pub mnt: u32,
    /// Pid namespace.
    pub pid: u32,
    /// Network namespace.
    pub net: u32,
    /// User namespace.
    pub user: u32,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessExit {
    /// Exit code, if it ended by itself.
    pub code: Option<i32>,
    /// Signal, if one killed it.
    pub signal: Option<i32>,
    /// Whether it left a core dump.
    pub core_dumped: bool,
    /// From its start to its end.
    pub duration: Option<Duration>,
}

/// An event about a process.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessEvent {
    /// Process id (thread-group id) in the initial pid namespace.
    pub pid: u32,
    /// Process id of the parent.
    pub ppid: Option<u32>,
    /// Name (`comm`), at most 15 bytes on Linux.
    pub name: String,
    /// Path of the executable as the kernel resolved it.
    pub executable_path: Option<Text>,
    /// The argument vector, one element per argument.
    pub command_line: Vec<Text>,
    /// When the process started.
    pub start_time: Option<SystemTime>,
    /// Share of one processor, in percent.
    pub cpu_usage: Option<f64>,
    /// Resident memory in bytes.
    pub memory_usage: Option<u64>,
    /// Digest of the executable, hexadecimal. Present together with `hash_algorithm` or not at all.
    pub executable_hash: Option<String>,
    /// Algorithm of `executable_hash`, for example `sha256`.
    pub hash_algorithm: Option<String>,
    /// Real user id as text, as the specification has it; `uid` is the number.
    pub user_id: Option<String>,
    /// Whether the process could be looked at in full.
    pub accessible: bool,
    /// Whether the executable still has a name.
    pub file_exists: bool,
    /// When it happened.
    pub timestamp: SystemTime,
    /// What a platform adds beyond these fields.
    pub platform_metadata: Option<serde_json::Value>,

    /// What happened.
    pub kind: ProcessEventKind,
    /// Provenance.
    pub meta: EventMeta,
    /// Thread that acted.
    pub tid: Option<u32>,
    /// Identity of this image.
    pub exec_id: Option<ExecId>,
    /// Identity of the parent's image.
    pub parent_exec_id: Option<ExecId>,
    /// Bytes of the whole argument vector before any cut, terminators included.
    pub argv_length: Option<u64>,
    /// Whether `command_line` is incomplete.
    pub argv_truncated: bool,
    /// Current directory.
    pub cwd: Option<Text>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Real group id.
    pub gid: Option<u32>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Effective group id.
    pub egid: Option<u32>,
    /// Audit login uid; absent when never set.
    pub login_uid: Option<u32>,
    /// Audit session id; absent when never set.
    pub session_id: Option<u32>,
    /// Name of the real user.
    pub user: Option<Arc<str>>,
    /// Interpreter the kernel started for a script.
    pub interpreter: Option<Text>,
    /// Script given to the interpreter.
    pub script: Option<Text>,
    /// How it ended (exit only).
    pub exit: Option<ProcessExit>,
    /// Control group id.
    pub cgroup_id: Option<u64>,
    /// Container the process runs in.
    pub container_id: Option<Arc<str>>,
    /// Namespaces.
    pub namespaces: Option<Namespaces>,
    /// Its pid inside its own pid namespace, where that is not the initial one.
    pub pid_in_namespace: Option<u32>,
    /// Effective capabilities, a bit per capability.
    pub capabilities: Option<u64>,
    /// Words that mark something unusual: `memfd`, `deleted`, `setuid`, `io_uring`, `kernel_thread`, `compat`.
    pub flags: Vec<&'static str>,
    /// Parent, grandparent and so on, as far as known.
    pub ancestors: Arc<[Arc<ProcessRef>]>,
}

impl Default for ProcessEvent {
    /// An empty snapshot at the epoch, accessible and with its file present, as the specification's samples expect.
    fn default() -> Self {
        Self {
            pid: 0,
            ppid: None,
            name: String::new(),
            executable_path: None,
            command_line: Vec::new(),
            start_time: None,
            cpu_usage: None,
            memory_usage: None,
            executable_hash: None,
            hash_algorithm: None,
            user_id: None,
            accessible: true,
            file_exists: true,
            timestamp: SystemTime::UNIX_EPOCH,
            platform_metadata: None,
            kind: ProcessEventKind::default(),
            meta: EventMeta::default(),
            tid: None,
            exec_id: None,
            parent_exec_id: None,
            argv_length: None,
            argv_truncated: false,
            cwd: None,
            uid: None,
            gid: None,
            euid: None,
            egid: None,
            login_uid: None,
            session_id: None,
            user: None,
            interpreter: None,
            script: None,
            exit: None,
            cgroup_id: None,
            container_id: None,
            namespaces: None,
            pid_in_namespace: None,
            capabilities: None,
            flags: Vec::new(),
            ancestors: Arc::default(),
        }
    }
}
