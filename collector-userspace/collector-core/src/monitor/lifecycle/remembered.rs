//! A process in the form in which it outlives the monitor.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::event::{ExecId, ProcessEvent, Text};

/// What is needed of a process to recognise it after a restart, and to say what changed and who ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RememberedProcess {
    pid: u32,
    ppid: Option<u32>,
    /// Boot, start and image of the identity.
    exec_id: Option<(u32, u64, u32)>,
    /// Nanoseconds since 1970.
    start_time_ns: Option<u64>,
    name: String,
    /// These in their escaped form.
    executable: Option<String>,
    command_line: Vec<String>,
    file_exists: bool,
    uid: Option<u32>,
    euid: Option<u32>,
    flags: Vec<String>,
}

/// The words of [`ProcessEvent::flags`] that comparisons need.
const FLAGS: &[&str] = &["memfd", "deleted", "kernel_thread"];

impl RememberedProcess {
    /// What is needed of this process.
    #[must_use]
    pub fn of(process: &ProcessEvent) -> Self {
        let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let is_needed = |flag: &&&str| FLAGS.contains(*flag);
        Self {
            pid: process.pid,
            ppid: process.ppid,
            exec_id: process.exec_id.map(|id| (id.boot, id.start_ticks, id.image)),
            start_time_ns: process
                .start_time
                .and_then(since_1970)
                .and_then(|time| u64::try_from(time.as_nanos()).ok()),
            name: process.name.clone(),
            executable: process.executable_path.as_ref().map(|path| path.escape().to_string()),
            command_line: process.command_line.iter().map(|argument| argument.escape().to_string()).collect(),
            file_exists: process.file_exists,
            uid: process.uid,
            euid: process.euid,
            flags: process.flags.iter().filter(is_needed).map(|flag| (*flag).to_owned()).collect(),
        }
    }

    /// The process as far as it was remembered; `None` if this is not what [`of`](Self::of) made.
    #[must_use]
    pub fn to_event(&self) -> Option<ProcessEvent> {
        let texts =
            |escaped: &[String]| escaped.iter().map(|text| Text::unescape(text)).collect::<Option<_>>();
        let executable_path = match &self.executable {
            Some(escaped) => Some(Text::unescape(escaped)?),
            None => None,
        };
        let start_time = self.start_time_ns.map(Duration::from_nanos);
        Some(ProcessEvent {
            pid: self.pid,
            ppid: self.ppid,
            exec_id: self.exec_id.map(|(boot, start_ticks, image)| ExecId {
                boot,
                pid: self.pid,
                start_ticks,
                image,
            }),
            start_time: start_time.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
            name: self.name.clone(),
            executable_path,
            command_line: texts(&self.command_line)?,
            file_exists: self.file_exists,
            uid: self.uid,
            user_id: self.uid.map(|uid| uid.to_string()),
            euid: self.euid,
            flags: FLAGS.iter().filter(|flag| self.flags.iter().any(|word| word == *flag)).copied().collect(),
            ..ProcessEvent::default()
        })
    }
}
