//! Events as JSON lines: one object a line. This page is the reference of the format, version [`SCHEMA`].
//!
//! # Rules
//!
//! * **Absent means unknown or not applicable.** No member is ever `null`, and empty strings and arrays are left out, with
//!   the exceptions named below. `argv_truncated`, `core_dumped` and `count` are written whenever their object is.
//! * **Times** are RFC 3339 in UTC with nine fractional digits and `Z`, so that they sort as text. Members ending in `_ns`
//!   are nanoseconds. `length`, `size`, `written` and `bytes_*` are bytes.
//! * **Integers** use up to 64 bits (`inode`, `cgroup_id`, `n`): read them as integers, not as doubles.
//! * **Bytes that are not UTF-8**: the object that holds them has `"encoding":"escaped"`, and then *all* of `name`,
//!   `executable`, `command_line`, `cwd`, `interpreter`, `script`, `path`, `old_path` and `target` of *that* object (not of
//!   objects inside it) are escaped: `\\` for a backslash, `\xNN` for a byte that is not part of valid UTF-8, before JSON's
//!   own escaping. [`Text::unescape`](crate::Text::unescape) rebuilds the bytes. Without `encoding` strings are verbatim.
//! * **New members may appear** in a minor version; readers ignore what they do not know.
//!
//! # Every line
//!
//! | member | shape |
//! |---|---|
//! | `schema` | semantic version of this format |
//! | `time` | when it happened |
//! | `kind` | `process.exec`, `file.open`…: see below |
//! | `source` | name of the source |
//! | `host` | host name |
//! | `boot_id` | the kernel's boot id, a UUID |
//! | `seq` | `domain` (`process`, `network`, `file`), `cpu`, `n`: place in the kernel's sequence of that domain and processor |
//! | `capture` | `kernel` (kernel objects), `syscall` (user memory, the program may have changed it meanwhile), `procfs` (after the fact) |
//!
//! # `process`: `process.exec`, `process.fork`, `process.exit`, `process.snapshot`
//!
//! | member | shape |
//! |---|---|
//! | `pid` `tid` `ppid` | integers; `pid` is the thread group, in the initial pid namespace |
//! | `exec_id` `parent_exec_id` | identity of one image of one process on one boot ([`ExecId`](crate::ExecId)) |
//! | `name` | thread name (`comm`) |
//! | `executable` | path as the kernel resolved it |
//! | `command_line` | array of strings; present, if empty, for exec and snapshot |
//! | `argv_length` | bytes of the whole vector before any cut, terminators included |
//! | `argv_truncated` | whether `command_line` is incomplete; present when `command_line` is |
//! | `cwd` | current directory |
//! | `uid` `gid` `euid` `egid` | integers |
//! | `login_uid` `session_id` | audit login uid and session, absent when never set |
//! | `user` | name of the real user |
//! | `user_id` | user as text, only from sources that know no `uid` |
//! | `interpreter` `script` | what the kernel started for a script, and the script |
//! | `start_time` | when the process started |
//! | `exit` | `code` or `signal`, `core_dumped`, `duration_ns` from start to end |
//! | `cgroup_id` `container_id` | integer; string |
//! | `namespaces` | `mnt`, `pid`, `net`, `user`: inode numbers; an exit has no `pid` and `user` |
//! | `pid_in_namespace` | its pid in its own pid namespace, where that is not the initial one |
//! | `capabilities` | effective set, sixteen hexadecimal digits, bit 0 last: `"000001ffffffffff"` |
//! | `cpu_usage` `memory_usage` | percent of one processor; resident bytes |
//! | `executable_hash` `hash_algorithm` | hexadecimal digest; `sha256`… |
//! | `accessible` `file_exists` | only as `false`: could not be looked at in full; the executable has no name any more |
//! | `flags` | array of words: `memfd`, `deleted`, `setuid`, `io_uring`, `kernel_thread`, `compat` |
//! | `ancestors` | array of short processes, parent first; for exec and snapshot, which a fork or an exit is joined with by `exec_id` and `parent_exec_id` |
//! | `platform_metadata` | object, whatever the source added |
//!
//! A **short process** has `pid`, `exec_id`, `name`, `executable`, `uid`, `container_id`. It is the member `process` of the
//! kinds below; where only a pid is known it has only `pid`.
//!
//! # `network`: `network.connect`, `.accept`, `.listen`, `.close`, `.send`
//!
//! | member | shape |
//! |---|---|
//! | `connection_id` | the same from connect or accept to close |
//! | `protocol` | `tcp`, `udp`… |
//! | `family` | `ipv4` or `ipv6`, of the addresses |
//! | `direction` | `inbound` or `outbound`: who began |
//! | `local` `remote` | `address`, `port` |
//! | `state` | after the event: `established`, `listen`, `closed`… |
//! | `bytes_sent` `bytes_received` | payload so far; present for close, except with `capture` `procfs`; otherwise when not 0 |
//! | `duration_ns` | open to close (close), attempt to result (connect) |
//! | `result` | errno, 0 for success |
//! | `net_ns` | inode number of the network namespace |
//!
//! # `file`: `file.create`, `.open`, `.modify`, `.delete`, `.rename`, `.link`, `.attributes`
//!
//! | member | shape |
//! |---|---|
//! | `path` `old_path` `target` | after the event; before a rename; what a link points to |
//! | `inode` `device` | integer; `"major:minor"` |
//! | `mount_ns` | inode number of the mount namespace |
//! | `mode` | octal with type bits: `"0100644"` |
//! | `owner` | `uid`, `gid` |
//! | `size` `written` | size after the event; bytes written through the description that was closed |
//! | `flags` | array of words, see [`FilesystemEvent::flags`](crate::FilesystemEvent::flags) |
//! | `file_hash` | hexadecimal digest of the content |
//! | `result` | errno, 0 for success |
//!
//! # Others
//!
//! * `performance.sample` has `performance`: `metric`, `value` (a number, absent when not finite), `unit`, `component`
//!   (`system`, `process`, `collector`…), `interval_ns` over which a rate was taken; and the short `process` it belongs to.
//! * `trigger.request` has `trigger`: `trigger_id`, `target_collector`, `analysis_type` (`binary_hash`, `memory_analysis`,
//!   `yara_scan`, `network_analysis`, `behavioral_analysis` or `custom:NAME`), `priority` (`low`, `normal`, `high`,
//!   `critical`), `target_pid`, `target_path` (lossy where it is not UTF-8), `target_mount_ns`, `correlation_id`, `metadata` (object of strings);
//!   and `process`, if it is about one.
//! * `alert` has `process` (short), if it is about one, and `alert`: `alert_id`, `severity` (`low`, `medium`, `high`, `critical`),
//!   `title`, `rules` (array of `rule`, `description`, `severity`, `evidence`), `unasked` (ids of rules that could not be
//!   asked), `condition` (the trigger condition that began it), `correlation_id`, `path`, `size`, `sha256`, `blake3`. `path`
//!   follows `encoding`.
//! * `loss` has `loss`: `domain` (`process`, `network`, `file`, `subscriber`), `kind` of the lost events, `reason`
//!   (`ring_full`, `queue_full`…), `count`, `cpu`, `first_seq`, `last_seq`.

mod alert;
mod compact;
mod digits;
mod file;
mod lines;
mod members;
mod network;
mod other;
mod process;
mod short;
#[cfg(test)]
mod tests;
mod time;

use serde::{Serialize, Serializer};

pub use self::lines::JsonLines;
pub(crate) use self::lines::KeptLine;
pub(crate) use self::short::ShortText;

use self::compact::Compact;
use self::members::Members;
pub(crate) use self::time::Rfc3339;
use crate::event::{CollectionEvent, Sequence};

/// Version of the format, in every line.
pub const SCHEMA: &str = "1.0.0";

/// What every line says about where it comes from. An empty field is left out of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// Host name.
    pub host: String,
    /// The kernel's boot id, a UUID as text.
    pub boot_id: String,
}

/// An event as a JSON object; see the [module documentation](self) for its members.
#[derive(Clone, Copy, Debug)]
pub struct EventJson<'a> {
    /// The event.
    pub event: &'a CollectionEvent,
    /// The host it was seen on.
    pub host: &'a HostInfo,
}

impl Serialize for EventJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event, host } = self;
        let mut line = Members::begin(serializer)?;
        line.put("schema", SCHEMA)?;
        line.put("time", &Rfc3339(event.timestamp()))?;
        line.put("kind", event.kind())?;
        let meta = event.meta();
        line.word("source", meta.map_or("", |meta| meta.source))?;
        line.word("host", &host.host)?;
        line.word("boot_id", &host.boot_id)?;
        line.some("seq", meta.and_then(|meta| meta.sequence).map(Seq))?;
        line.some("capture", meta.and_then(|meta| meta.capture.name()))?;
        match event {
            CollectionEvent::Process(event) => line.put("process", &process::Full(event))?,
            CollectionEvent::Network(event) => {
                line.some("process", process::Short::of(event.process.as_deref(), event.pid))?;
                line.put("network", &network::Network(event))?;
            }
            CollectionEvent::Filesystem(event) => {
                line.some("process", process::Short::of(event.process.as_deref(), event.pid))?;
                line.put("file", &file::File(event))?;
            }
            CollectionEvent::Performance(event) => {
                line.some("process", process::Short::of(event.process.as_deref(), event.pid))?;
                line.put("performance", &other::Performance(event))?;
            }
            CollectionEvent::TriggerRequest(request) => {
                line.some("process", process::Short::of(request.process.as_deref(), request.target_pid))?;
                line.put("trigger", &other::Trigger(request))?;
            }
            CollectionEvent::Alert(alert) => {
                line.some("process", process::Short::of(alert.process.as_deref(), alert.pid))?;
                line.put("alert", &alert::Alert(alert))?;
            }
            CollectionEvent::Loss(loss) => line.put("loss", &other::Loss(loss))?,
        }
        line.end()
    }
}

/// Appends the event to `out` as one line, newline included. On an error `out` is as before.
///
/// # Errors
/// Only for a `platform_metadata` value that JSON cannot hold.
pub fn write_line(out: &mut Vec<u8>, event: &CollectionEvent, host: &HostInfo) -> serde_json::Result<()> {
    let start = out.len();
    let result = EventJson { event, host }.serialize(Compact(out));
    match result {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(start),
    }
    result
}

/// A place in a kernel sequence.
struct Seq(Sequence);

impl Serialize for Seq {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Sequence { domain, cpu, number } = self.0;
        let mut object = Members::begin(serializer)?;
        object.put("domain", domain)?;
        object.put("cpu", &cpu)?;
        object.put("n", &number)?;
        object.end()
    }
}
