//! Reading a field of an event, without a copy.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::field::Field;
use crate::event::{
    AlertEvent, AlertReason, Capture, CollectionEvent, Direction, ExecId, FilesystemEvent, LossEvent,
    NetworkEvent, NetworkEventKind, PerformanceEvent, ProcessEvent, ProcessEventKind, ProcessRef, Text,
};
use crate::monitor::LIFECYCLE_KEY;

/// What an event has in a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Null,
    Text(&'a [u8]),
    /// Text once it is written out.
    ExecId(ExecId),
    /// Text once they are joined.
    Joined(&'a [Text]),
    Integer(i128),
    /// Finite.
    Number(f64),
    Bool(bool),
    Ip(IpAddr),
    List(List<'a>),
}

/// Several texts.
#[derive(Clone, Copy, Debug)]
pub(super) enum List<'a> {
    Texts(&'a [Text]),
    Words(&'a [&'static str]),
    Names(&'a [Arc<ProcessRef>]),
    Executables(&'a [Arc<ProcessRef>]),
    Rules(&'a [AlertReason]),
    /// Whatever is no text in it is passed over.
    Json(&'a [serde_json::Value]),
}

impl<'a> List<'a> {
    pub(super) fn any(self, mut holds: impl FnMut(&'a [u8]) -> bool) -> bool {
        match self {
            Self::Texts(texts) => texts.iter().any(|text| holds(text.as_bytes())),
            Self::Words(words) => words.iter().any(|word| holds(word.as_bytes())),
            Self::Names(processes) => processes.iter().any(|process| holds(process.name.as_bytes())),
            Self::Executables(processes) => processes
                .iter()
                .filter_map(|process| process.executable.as_ref())
                .any(|path| holds(path.as_bytes())),
            Self::Json(values) => {
                values.iter().filter_map(serde_json::Value::as_str).any(|text| holds(text.as_bytes()))
            }
            Self::Rules(reasons) => reasons.iter().any(|reason| holds(reason.rule.as_bytes())),
        }
    }
}

impl<'a> Value<'a> {
    /// One arm per field, so that a new field does not compile until it can be read.
    pub(super) fn of(event: &'a CollectionEvent, field: Field) -> Self {
        let process = || as_process(event);
        let network = || as_network(event);
        let file = || as_file(event);
        let performance = || as_performance(event);
        match field {
            Field::Kind => Self::Text(event.kind().as_bytes()),
            Field::TimeNs => Self::Integer(nanoseconds(event.timestamp())),
            Field::Source => word(event.meta().map(|meta| meta.source)),
            Field::Domain => word(domain(event)),
            Field::Cpu => {
                integer(sequence(event).map(|(cpu, _)| cpu).or(as_loss(event).and_then(|loss| loss.cpu)))
            }
            Field::Seq => integer(
                sequence(event).map(|(_, seq)| seq).or(as_loss(event).and_then(|loss| loss.first_seq)),
            ),
            Field::Capture => word(event.meta().map(|meta| meta.capture).and_then(Capture::name)),
            Field::Pid => integer(actor(event).map(|actor| actor.pid).or(event.pid())),
            Field::Ppid => integer(process().and_then(|process| process.ppid)),
            Field::Tid => integer(process().and_then(|process| process.tid)),
            Field::ExecId => event.exec_id().map_or(Self::Null, Self::ExecId),
            Field::ParentExecId => {
                process().and_then(|process| process.parent_exec_id).map_or(Self::Null, Self::ExecId)
            }
            Field::Name => match process() {
                Some(process) => word(Some(&process.name)),
                None => named(actor(event).map(|actor| &actor.name)),
            },
            Field::Executable => text(match process() {
                Some(process) => process.executable_path.as_ref(),
                None => actor(event).and_then(|actor| actor.executable.as_ref()),
            }),
            Field::CommandLine => process()
                .map(|process| &*process.command_line)
                .filter(|arguments| !arguments.is_empty())
                .map_or(Self::Null, Self::Joined),
            Field::Arguments => known_arguments(event)
                .map_or(Self::Null, |process| Self::List(List::Texts(&process.command_line))),
            Field::ArgvTruncated => boolean(known_arguments(event).map(|process| process.argv_truncated)),
            Field::Cwd => text(process().and_then(|process| process.cwd.as_ref())),
            Field::Interpreter => text(process().and_then(|process| process.interpreter.as_ref())),
            Field::Script => text(process().and_then(|process| process.script.as_ref())),
            Field::Uid => integer(match process() {
                Some(process) => process.uid,
                None => actor(event).and_then(|actor| actor.uid),
            }),
            Field::Gid => integer(process().and_then(|process| process.gid)),
            Field::Euid => integer(process().and_then(|process| process.euid)),
            Field::Egid => integer(process().and_then(|process| process.egid)),
            Field::LoginUid => integer(process().and_then(|process| process.login_uid)),
            Field::SessionId => integer(process().and_then(|process| process.session_id)),
            Field::User => string(process().and_then(|process| process.user.as_deref())),
            Field::ContainerId => string(match process() {
                Some(process) => process.container_id.as_deref(),
                None => actor(event).and_then(|actor| actor.container_id.as_deref()),
            }),
            Field::CgroupId => integer(process().and_then(|process| process.cgroup_id)),
            Field::ParentName => named(parent(event).map(|parent| &parent.name)),
            Field::ParentExecutable => text(parent(event).and_then(|parent| parent.executable.as_ref())),
            Field::AncestorNames => {
                process().map_or(Self::Null, |process| Self::List(List::Names(&process.ancestors)))
            }
            Field::AncestorExecutables => {
                process().map_or(Self::Null, |process| Self::List(List::Executables(&process.ancestors)))
            }
            Field::FileExists => boolean(process().map(|process| process.file_exists)),
            Field::ExecutableHash => string(process().and_then(|process| process.executable_hash.as_deref())),
            Field::Change => string(lifecycle(event).and_then(|found| found.get("change")?.as_str())),
            Field::Suspicious => lifecycle(event)
                .and_then(|found| found.get("suspicious")?.as_array())
                .map_or(Self::Null, |words| Self::List(List::Json(words))),
            Field::Flags => match event {
                CollectionEvent::Process(event) => Self::List(List::Words(&event.flags)),
                CollectionEvent::Filesystem(event) => Self::List(List::Words(&event.flags)),
                CollectionEvent::Network(_)
                | CollectionEvent::Performance(_)
                | CollectionEvent::TriggerRequest(_)
                | CollectionEvent::Alert(_)
                | CollectionEvent::Loss(_) => Self::Null,
            },
            Field::ExitCode => integer(ended(event).and_then(|exit| exit.code)),
            Field::ExitSignal => integer(ended(event).and_then(|exit| exit.signal)),
            Field::DurationNs => duration(match network() {
                Some(network) => network.duration,
                None => ended(event).and_then(|exit| exit.duration),
            }),
            Field::Result => integer(result(event)),
            Field::Path => match event {
                CollectionEvent::Alert(alert) => text(alert.path.as_ref()),
                _ => named(file().map(|file| &file.path)),
            },
            Field::OldPath => text(file().and_then(|file| file.old_path.as_ref())),
            Field::Target => text(file().and_then(|file| file.target.as_ref())),
            Field::Inode => integer(file().and_then(|file| file.inode)),
            Field::Size => integer(file().and_then(|file| file.size)),
            Field::Written => integer(file().and_then(|file| file.written)),
            Field::Mode => integer(file().and_then(|file| file.mode)),
            Field::OwnerUid => integer(file().and_then(|file| file.owner).map(|(uid, _)| uid)),
            Field::OwnerGid => integer(file().and_then(|file| file.owner).map(|(_, gid)| gid)),
            Field::FileHash => string(file().and_then(|file| file.file_hash.as_deref())),
            Field::ConnectionId => word(network().map(|network| &*network.connection_id)),
            Field::Protocol => word(network().map(|network| &*network.protocol)),
            Field::Family => word(network().and_then(family)),
            Field::Direction => word(network().and_then(|network| network.direction).map(Direction::name)),
            Field::State => word(network().map(|network| &*network.state)),
            Field::LocalAddress => address(network().and_then(|network| network.local)),
            Field::LocalPort => integer(network().and_then(|network| network.local).map(|end| end.port())),
            Field::RemoteAddress => address(network().and_then(|network| network.remote)),
            Field::RemotePort => integer(network().and_then(|network| network.remote).map(|end| end.port())),
            Field::BytesSent => integer(network().and_then(|network| counted(network, network.bytes_sent))),
            Field::BytesReceived => {
                integer(network().and_then(|network| counted(network, network.bytes_received)))
            }
            Field::Metric => word(performance().map(|sample| &*sample.metric_name)),
            Field::Value => performance()
                .map(|sample| sample.value)
                .filter(|value| value.is_finite())
                .map_or(Self::Null, Self::Number),
            Field::Unit => word(performance().map(|sample| &*sample.unit)),
            Field::Component => word(performance().map(|sample| &*sample.component)),
            Field::IntervalNs => duration(performance().and_then(|sample| sample.interval)),
            Field::Reason => word(as_loss(event).map(|loss| loss.reason)),
            Field::Count => integer(as_loss(event).map(|loss| loss.count)),
            Field::Severity => word(as_alert(event).map(|alert| alert.severity.name())),
            Field::Rules => as_alert(event).map_or(Self::Null, |alert| Self::List(List::Rules(&alert.rules))),
        }
    }
}

const fn as_process(event: &CollectionEvent) -> Option<&ProcessEvent> {
    if let CollectionEvent::Process(event) = event { Some(event) } else { None }
}

const fn as_network(event: &CollectionEvent) -> Option<&NetworkEvent> {
    if let CollectionEvent::Network(event) = event { Some(event) } else { None }
}

const fn as_file(event: &CollectionEvent) -> Option<&FilesystemEvent> {
    if let CollectionEvent::Filesystem(event) = event { Some(event) } else { None }
}

const fn as_alert(event: &CollectionEvent) -> Option<&AlertEvent> {
    if let CollectionEvent::Alert(event) = event { Some(event) } else { None }
}

const fn as_performance(event: &CollectionEvent) -> Option<&PerformanceEvent> {
    if let CollectionEvent::Performance(event) = event { Some(event) } else { None }
}

const fn as_loss(event: &CollectionEvent) -> Option<&LossEvent> {
    if let CollectionEvent::Loss(event) = event { Some(event) } else { None }
}

/// The process behind a network or file event, or behind a measurement.
fn actor(event: &CollectionEvent) -> Option<&ProcessRef> {
    match event {
        CollectionEvent::Network(event) => event.process.as_deref(),
        CollectionEvent::Filesystem(event) => event.process.as_deref(),
        CollectionEvent::TriggerRequest(event) => event.process.as_deref(),
        CollectionEvent::Alert(event) => event.process.as_deref(),
        CollectionEvent::Performance(event) => event.process.as_deref(),
        CollectionEvent::Process(_) | CollectionEvent::Loss(_) => None,
    }
}

/// What a source that polls found.
fn lifecycle(event: &CollectionEvent) -> Option<&serde_json::Value> {
    as_process(event)?.platform_metadata.as_ref()?.get(LIFECYCLE_KEY)
}

fn parent(event: &CollectionEvent) -> Option<&ProcessRef> {
    as_process(event)?.ancestors.first().map(|parent| &**parent)
}

/// How the process ended. Only an exit says so.
fn ended(event: &CollectionEvent) -> Option<crate::event::ProcessExit> {
    as_process(event).filter(|process| process.kind == ProcessEventKind::Exit)?.exit
}

/// The process, if its arguments are known: a fork or an exit without any says nothing about them.
fn known_arguments(event: &CollectionEvent) -> Option<&ProcessEvent> {
    as_process(event).filter(|process| {
        matches!(process.kind, ProcessEventKind::Exec | ProcessEventKind::Snapshot)
            || !process.command_line.is_empty()
    })
}

/// By the kind, so that sources without sequences have it too. The names are those of the kernel's sequences.
const fn domain(event: &CollectionEvent) -> Option<&'static str> {
    match event {
        CollectionEvent::Process(_) => Some("process"),
        CollectionEvent::Network(_) => Some("network"),
        CollectionEvent::Filesystem(_) => Some("file"),
        CollectionEvent::Performance(_) | CollectionEvent::TriggerRequest(_) | CollectionEvent::Alert(_) => {
            None
        }
        CollectionEvent::Loss(loss) => Some(loss.domain),
    }
}

fn sequence(event: &CollectionEvent) -> Option<(u32, u64)> {
    event.meta()?.sequence.map(|sequence| (sequence.cpu, sequence.number))
}

fn family(event: &NetworkEvent) -> Option<&'static str> {
    event.remote.or(event.local).map(|end| if end.is_ipv4() { "ipv4" } else { "ipv6" })
}

/// As in JSON: before the close a count of 0 says nothing.
fn counted(event: &NetworkEvent, bytes: u64) -> Option<u64> {
    (bytes > 0 || event.kind == NetworkEventKind::Close).then_some(bytes)
}

fn result(event: &CollectionEvent) -> Option<i32> {
    match event {
        CollectionEvent::Process(_) => {
            let exit = ended(event)?;
            exit.code.or(exit.signal.map(|signal| -signal))
        }
        CollectionEvent::Network(event) => event.result,
        CollectionEvent::Filesystem(event) => event.result,
        CollectionEvent::Performance(_)
        | CollectionEvent::TriggerRequest(_)
        | CollectionEvent::Alert(_)
        | CollectionEvent::Loss(_) => None,
    }
}

/// A text that is empty where nothing is known.
fn word(word: Option<&str>) -> Value<'_> {
    string(word.filter(|word| !word.is_empty()))
}

fn string(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, |text| Value::Text(text.as_bytes()))
}

fn text(text: Option<&Text>) -> Value<'_> {
    text.map_or(Value::Null, |text| Value::Text(text.as_bytes()))
}

fn named(name: Option<&Text>) -> Value<'_> {
    text(name.filter(|name| !name.is_empty()))
}

fn integer<'a>(number: Option<impl Into<i128>>) -> Value<'a> {
    number.map_or(Value::Null, |number| Value::Integer(number.into()))
}

fn boolean<'a>(value: Option<bool>) -> Value<'a> {
    value.map_or(Value::Null, Value::Bool)
}

fn address<'a>(end: Option<SocketAddr>) -> Value<'a> {
    end.map_or(Value::Null, |end| Value::Ip(end.ip()))
}

fn duration<'a>(duration: Option<Duration>) -> Value<'a> {
    integer(duration.map(|duration| duration.as_nanos().min(u128::from(u64::MAX)) as u64))
}

/// Nanoseconds since 1970, negative before.
fn nanoseconds(time: SystemTime) -> i128 {
    let saturated = |nanos: u128| i128::try_from(nanos).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => saturated(after.as_nanos()),
        Err(before) => -saturated(before.duration().as_nanos()),
    }
}

#[cfg(test)]
mod tests;
