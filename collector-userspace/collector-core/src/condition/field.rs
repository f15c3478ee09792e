//! The fields that conditions can ask about: one table with name, type, meaning, and the events that have them.

use std::fmt;

use crate::event::KindSet;

/// What values a field has, and so what it can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldType {
    /// Bytes that are usually text, compared as bytes.
    Text,
    /// A whole number; any of 64 bits, with or without sign, is exact.
    Integer,
    /// A number, perhaps with a fraction: a double, compared with whole numbers as the double nearest to them.
    Number,
    /// True or false.
    Bool,
    /// An IPv4 or IPv6 address. An IPv4 address mapped into IPv6 equals the IPv4 address.
    Ip,
    /// Several texts. A predicate holds if it holds for any of them.
    TextList,
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Ip => "an ip address",
            Self::TextList => "a list of texts",
        })
    }
}

/// One row of the table.
struct Row {
    name: &'static str,
    field_type: FieldType,
    doc: &'static str,
    /// Kinds and domains whose events can have it.
    carriers: &'static [&'static str],
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $type:ident $carriers:ident;)+) => {
        /// A field of events, typed. Events that lack it have NULL there; so have texts that are empty because the source
        /// knew nothing better (`name`, `path`, `protocol`, `state`…).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Field {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Field {
            /// Every field, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        field_type: FieldType::$type,
                        doc: concat!($($doc),+),
                        carriers: $carriers,
                    },)+
                }
            }
        }
    };
}

const EVERY: &[&str] = &["process", "network", "file", "performance", "trigger_request", "alert", "loss"];
const PROCESS: &[&str] = &["process"];
const NETWORK: &[&str] = &["network"];
const FILE: &[&str] = &["file"];
const LOSS: &[&str] = &["loss"];
const PERFORMANCE: &[&str] = &["performance"];
const ALERT: &[&str] = &["alert"];
const FILE_ALERT: &[&str] = &["file", "alert"];
const ACTOR: &[&str] = &["process", "network", "file", "performance", "trigger_request", "alert"];
const CAPTURED: &[&str] = &["process", "network", "file", "performance", "alert", "loss"];
const DOMAIN: &[&str] = &["process", "network", "file", "loss"];
const ABOUT: &[&str] = &["process", "network", "file", "performance", "trigger_request", "alert"];
const PROCESS_FILE: &[&str] = &["process", "file"];
const PROCESS_NETWORK: &[&str] = &["process", "network"];
const RESULT: &[&str] = &["process.exit", "network", "file"];
const EXIT: &[&str] = &["process.exit"];

fields! {
    /// Kind of event, for example `process.exec`.
    Kind "kind" Text EVERY;
    /// When it happened: nanoseconds since 1970, UTC.
    TimeNs "time_ns" Integer EVERY;
    /// Name of the source that produced it.
    Source "source" Text CAPTURED;
    /// `process`, `network` or `file`; for a loss what was lost.
    Domain "domain" Text DOMAIN;
    /// Processor on which it was captured.
    Cpu "cpu" Integer CAPTURED;
    /// Number in the sequence of its domain and processor; for a loss the first missing one.
    Seq "seq" Integer CAPTURED;
    /// How it was captured: `kernel`, `syscall` or `procfs`.
    Capture "capture" Text CAPTURED;
    /// Process id.
    Pid "pid" Integer ABOUT;
    /// Process id of the parent.
    Ppid "ppid" Integer PROCESS;
    /// Thread that acted.
    Tid "tid" Integer PROCESS;
    /// Identity of the process's image.
    ExecId "exec_id" Text ACTOR;
    /// Identity of the parent's image.
    ParentExecId "parent_exec_id" Text PROCESS;
    /// Thread name (`comm`).
    Name "name" Text ACTOR;
    /// Path of the executable.
    Executable "executable" Text ACTOR;
    /// The arguments, joined by one space; bytes that are not UTF-8 are replacement characters. The store quotes them instead.
    CommandLine "command_line" Text PROCESS;
    /// The arguments.
    Arguments "arguments" TextList PROCESS;
    /// Whether the arguments are incomplete.
    ArgvTruncated "argv_truncated" Bool PROCESS;
    /// Current directory.
    Cwd "cwd" Text PROCESS;
    /// Interpreter the kernel started for a script.
    Interpreter "interpreter" Text PROCESS;
    /// Script given to the interpreter.
    Script "script" Text PROCESS;
    /// Real user id.
    Uid "uid" Integer ACTOR;
    /// Real group id.
    Gid "gid" Integer PROCESS;
    /// Effective user id.
    Euid "euid" Integer PROCESS;
    /// Effective group id.
    Egid "egid" Integer PROCESS;
    /// Audit login uid, if set.
    LoginUid "login_uid" Integer PROCESS;
    /// Audit session id, if set.
    SessionId "session_id" Integer PROCESS;
    /// Name of the real user.
    User "user" Text PROCESS;
    /// Container the process runs in.
    ContainerId "container_id" Text ACTOR;
    /// Control group id.
    CgroupId "cgroup_id" Integer PROCESS;
    /// Name of the parent.
    ParentName "parent_name" Text PROCESS;
    /// Path of the parent's executable.
    ParentExecutable "parent_executable" Text PROCESS;
    /// Names of parent, grandparent and so on.
    AncestorNames "ancestor_names" TextList PROCESS;
    /// Executables of parent, grandparent and so on.
    AncestorExecutables "ancestor_executables" TextList PROCESS;
    /// Whether the executable still has a name.
    FileExists "file_exists" Bool PROCESS;
    /// Digest of the executable, hexadecimal.
    ExecutableHash "executable_hash" Text PROCESS;
    /// What a source that polls found to be different: `started`, `command_line_changed` and so on.
    Change "change" Text PROCESS;
    /// What deserves a second look, by a source that polls: `executable_deleted`, `kernel_thread_name` and so on.
    Suspicious "suspicious" TextList PROCESS;
    /// Words that mark something unusual, such as `memfd`, `setuid`, `symlink`; for `file.open` how it was opened.
    Flags "flags" TextList PROCESS_FILE;
    /// Exit code of a process that ended by itself.
    ExitCode "exit_code" Integer EXIT;
    /// Signal that killed the process.
    ExitSignal "exit_signal" Integer EXIT;
    /// Nanoseconds from start to end of a process or connection, or from a connect to its result.
    DurationNs "duration_ns" Integer PROCESS_NETWORK;
    /// Network and file: errno, 0 for success. Exit: the code, or minus the signal.
    Result "result" Integer RESULT;
    /// Path of the file after the event; of an alert the file it is about.
    Path "path" Text FILE_ALERT;
    /// Path of the file before a rename.
    OldPath "old_path" Text FILE;
    /// What a link points to.
    Target "target" Text FILE;
    /// Inode number.
    Inode "inode" Integer FILE;
    /// Size of the file in bytes after the event.
    Size "size" Integer FILE;
    /// Bytes written through the description that was closed.
    Written "written" Integer FILE;
    /// Mode of the file with type bits: 33188 is `0100644`.
    Mode "mode" Integer FILE;
    /// Owner of the file, user.
    OwnerUid "owner_uid" Integer FILE;
    /// Owner of the file, group.
    OwnerGid "owner_gid" Integer FILE;
    /// Digest of the file's content, hexadecimal.
    FileHash "file_hash" Text FILE;
    /// The same from connect or accept to close.
    ConnectionId "connection_id" Text NETWORK;
    /// `tcp`, `udp` or what the source calls it.
    Protocol "protocol" Text NETWORK;
    /// `ipv4` or `ipv6`, of the addresses.
    Family "family" Text NETWORK;
    /// Who began: `inbound` or `outbound`.
    Direction "direction" Text NETWORK;
    /// Connection state after the event, for example `established`.
    State "state" Text NETWORK;
    /// Local address.
    LocalAddress "local_address" Ip NETWORK;
    /// Local port.
    LocalPort "local_port" Integer NETWORK;
    /// Remote address.
    RemoteAddress "remote_address" Ip NETWORK;
    /// Remote port.
    RemotePort "remote_port" Integer NETWORK;
    /// Payload bytes sent so far; before the close only if not 0.
    BytesSent "bytes_sent" Integer NETWORK;
    /// Payload bytes received so far; before the close only if not 0.
    BytesReceived "bytes_received" Integer NETWORK;
    /// What was measured, for example `cpu_usage`.
    Metric "metric" Text PERFORMANCE;
    /// What the measurement gave.
    Value "value" Number PERFORMANCE;
    /// Unit of the value, for example `percent` or `bytes`.
    Unit "unit" Text PERFORMANCE;
    /// Part of the system that was measured: `system`, `process`, `collector` or what the source calls it.
    Component "component" Text PERFORMANCE;
    /// Nanoseconds over which a rate or an average was taken.
    IntervalNs "interval_ns" Integer PERFORMANCE;
    /// Why events were lost, for example `ring_full`.
    Reason "reason" Text LOSS;
    /// How many events were lost.
    Count "count" Integer LOSS;
    /// How bad an alert is: `low`, `medium`, `high` or `critical`.
    Severity "severity" Text ALERT;
    /// Ids of the rules for which an alert was raised.
    Rules "rules" TextList ALERT;
}

impl Field {
    /// The name in SQL and rules, as the store's columns and the JSON members are called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Its type.
    #[must_use]
    pub const fn field_type(self) -> FieldType {
        self.row().field_type
    }

    /// What it means, in a sentence.
    #[must_use]
    pub const fn doc(self) -> &'static str {
        self.row().doc.trim_ascii()
    }

    /// Domains and kinds of the events that can have it; in all others it is NULL.
    #[must_use]
    pub const fn carriers(self) -> &'static [&'static str] {
        self.row().carriers
    }

    /// The field called `name`; upper and lower case are the same, as in SQL.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name().eq_ignore_ascii_case(name))
    }

    /// The kinds whose events can have it; in all others it is NULL.
    pub(super) fn kinds(self) -> KindSet {
        let named = |name: &&str| KindSet::named(name).unwrap_or(KindSet::ALL);
        self.row().carriers.iter().map(named).fold(KindSet::NONE, KindSet::union)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for field in Field::ALL {
            assert_eq!(Field::named(field.name()), Some(*field));
            assert!(field.doc().ends_with(['.', '`']), "{field}: {:?}", field.doc());
        }
        assert_eq!(Field::named("UID"), Some(Field::Uid));
        assert_eq!(Field::named("cmdline"), None);
    }

    #[test]
    fn carriers_exist() {
        for field in Field::ALL {
            for name in field.row().carriers {
                assert!(KindSet::named(name).is_some(), "{field}: there are no {name} events");
            }
        }
    }
}
