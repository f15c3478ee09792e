//! One event as one row of the table `events`.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use collector_core::json::{self, HostInfo};
use collector_core::{
    CollectionEvent, ExecId, FilesystemEvent, LossEvent, NetworkEvent, ProcessEvent, ProcessRef, Text,
};
use rusqlite::{Statement, ToSql};

use crate::quote;

/// The statement [`Encoder::insert`] fills; columns in the order of [`Row::bind`].
pub(crate) const INSERT: &str = "
INSERT INTO events (time_ns, kind, source, domain, cpu, seq, pid, ppid, exec_id, parent_exec_id, name, executable,
    command_line, uid, user, container_id, path, old_path, local_address, local_port, remote_address, remote_port, result,
    event)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)";

/// Turns events into rows. Keeps its buffers, so that a row costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    line: Vec<u8>,
    command_line: String,
    exec_id: String,
    parent_exec_id: String,
    local: String,
    remote: String,
}

/// The columns between `kind` and `event`; what an event does not have is NULL.
#[derive(Default)]
struct Row<'a> {
    pid: Option<u32>,
    ppid: Option<u32>,
    exec_id: Option<&'a str>,
    parent_exec_id: Option<&'a str>,
    name: Option<Cow<'a, str>>,
    executable: Option<Cow<'a, str>>,
    command_line: Option<&'a str>,
    uid: Option<u32>,
    user: Option<&'a str>,
    container_id: Option<&'a str>,
    path: Option<Cow<'a, str>>,
    old_path: Option<Cow<'a, str>>,
    local: Option<(&'a str, u16)>,
    remote: Option<(&'a str, u16)>,
    result: Option<i32>,
}

impl Encoder {
    /// Inserts `event` with `statement`, which is [`INSERT`].
    pub(crate) fn insert(
        &mut self,
        statement: &mut Statement<'_>,
        event: &CollectionEvent,
        host: &HostInfo,
    ) -> rusqlite::Result<()> {
        let Self { line, command_line, exec_id, parent_exec_id, local, remote } = self;
        line.clear();
        if let Err(error) = json::write_line(line, event, host) {
            // Only metadata that JSON cannot hold gets here. The columns still tell most of the event.
            line.extend_from_slice(serde_json::json!({ "error": error.to_string() }).to_string().as_bytes());
        }
        let ids = (exec_id, parent_exec_id);
        let row = match event {
            CollectionEvent::Process(process) => Row::process(process, command_line, ids),
            CollectionEvent::Network(network) => Row::network(network, ids.0, (local, remote)),
            CollectionEvent::Filesystem(file) => Row::file(file, ids.0),
            CollectionEvent::Loss(_) => Row::default(),
            other => Row { pid: other.pid(), ..Row::default() },
        };
        Head::of(event).bind(statement)?;
        row.bind(statement)?;
        // JSON is UTF-8 by construction; should it ever not be, an empty object is better than a lost event.
        statement.raw_bind_parameter(24, std::str::from_utf8(line.trim_ascii_end()).unwrap_or("{}"))?;
        statement.raw_execute().map(|_| ())
    }
}

/// The columns every event has.
struct Head<'a> {
    time_ns: i64,
    kind: &'a str,
    source: Option<&'a str>,
    domain: Option<&'a str>,
    cpu: Option<u32>,
    seq: Option<u64>,
}

impl<'a> Head<'a> {
    fn of(event: &'a CollectionEvent) -> Self {
        let sequence = event.meta().and_then(|meta| meta.sequence);
        let (domain, cpu, seq) = match (event, sequence) {
            (CollectionEvent::Loss(LossEvent { domain, cpu, first_seq, .. }), _) => {
                (Some(*domain), *cpu, *first_seq)
            }
            (_, Some(sequence)) => (Some(sequence.domain), Some(sequence.cpu), Some(sequence.number)),
            (_, None) => (None, None, None),
        };
        let source = event.meta().map(|meta| meta.source).filter(|source| !source.is_empty());
        Self { time_ns: nanoseconds(event.timestamp()), kind: event.kind(), source, domain, cpu, seq }
    }

    fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        let Self { time_ns, kind, source, domain, cpu, seq } = self;
        bind_all(statement, 1, &[time_ns, kind, source, domain, cpu, &seq.map(signed)])
    }
}

impl<'a> Row<'a> {
    fn process(
        event: &'a ProcessEvent,
        command_line: &'a mut String,
        (exec_id, parent_exec_id): (&'a mut String, &'a mut String),
    ) -> Self {
        command_line.clear();
        quote::join_into(command_line, &event.command_line);
        Self {
            pid: Some(event.pid),
            ppid: event.ppid,
            exec_id: event.exec_id.map(|id| show(exec_id, id)),
            parent_exec_id: event.parent_exec_id.map(|id| show(parent_exec_id, id)),
            name: Some(Cow::Borrowed(&event.name)),
            executable: event.executable_path.as_ref().map(text),
            command_line: (!event.command_line.is_empty()).then_some(command_line),
            uid: event.uid,
            user: event.user.as_deref(),
            container_id: event.container_id.as_deref(),
            result: event.exit.as_ref().and_then(|exit| exit.code.or(exit.signal.map(|signal| -signal))),
            ..Self::default()
        }
    }

    fn network(
        event: &'a NetworkEvent,
        exec_id: &'a mut String,
        (local, remote): (&'a mut String, &'a mut String),
    ) -> Self {
        Self {
            local: event.local.map(|address| socket(local, address)),
            remote: event.remote.map(|address| socket(remote, address)),
            result: event.result,
            ..Self::actor(event.pid, event.process.as_deref(), exec_id)
        }
    }

    fn file(event: &'a FilesystemEvent, exec_id: &'a mut String) -> Self {
        Self {
            path: Some(text(&event.path)),
            old_path: event.old_path.as_ref().map(text),
            result: event.result,
            ..Self::actor(event.pid, event.process.as_deref(), exec_id)
        }
    }

    /// The columns of the process behind a network or file event.
    fn actor(pid: Option<u32>, process: Option<&'a ProcessRef>, exec_id: &'a mut String) -> Self {
        let Some(ProcessRef { pid: _, exec_id: id, name, executable, uid, container_id }) = process else {
            return Self { pid, ..Self::default() };
        };
        Self {
            pid,
            exec_id: id.map(|id| show(exec_id, id)),
            name: Some(text(name)),
            executable: executable.as_ref().map(text),
            uid: *uid,
            container_id: container_id.as_deref(),
            ..Self::default()
        }
    }

    fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        let Self {
            pid,
            ppid,
            exec_id,
            parent_exec_id,
            name,
            executable,
            command_line,
            uid,
            user,
            container_id,
            path,
            old_path,
            local,
            remote,
            result,
        } = self;
        let (local_address, local_port) = local.unzip();
        let (remote_address, remote_port) = remote.unzip();
        bind_all(
            statement,
            7,
            &[
                pid,
                ppid,
                exec_id,
                parent_exec_id,
                name,
                executable,
                command_line,
                uid,
                user,
                container_id,
                path,
                old_path,
                &local_address,
                &local_port,
                &remote_address,
                &remote_port,
                result,
            ],
        )
    }
}

fn bind_all(statement: &mut Statement<'_>, first: usize, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(first + index, value)?;
    }
    Ok(())
}

/// Text as the JSON has it: unchanged where it is UTF-8, escaped without loss where it is not.
fn text(text: &Text) -> Cow<'_, str> {
    text.escaped().0
}

fn show(buffer: &mut String, id: ExecId) -> &str {
    write(buffer, id)
}

fn socket(buffer: &mut String, address: SocketAddr) -> (&str, u16) {
    (write(buffer, address.ip()), address.port())
}

fn write(buffer: &mut String, value: impl Display) -> &str {
    buffer.clear();
    // Writing to a String cannot fail.
    let _ = write!(buffer, "{value}");
    buffer
}

/// A sequence number as SQLite's signed integer; the kernel would need centuries to get past it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Nanoseconds since 1970, clamped to what 64 bits hold (years 1677 to 2262).
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}
