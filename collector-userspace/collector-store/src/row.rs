//! One event as one row of the table `records`.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use collector_core::{CollectionEvent, ExecId};
use rusqlite::Statement;

use crate::quote;

/// The statement [`Encoder::insert`] fills.
pub(crate) const INSERT: &str = "
INSERT INTO records (time_ns, kind, pid, exec_id, parent_exec_id, command_line, event)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Turns events into rows. Keeps its buffers, so that a row costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    exec_id: String,
    parent_exec_id: String,
    command_line: String,
}

impl Encoder {
    /// Inserts `event` and its `line` with `statement`, which is [`INSERT`].
    pub(crate) fn insert(
        &mut self,
        statement: &mut Statement<'_>,
        event: &CollectionEvent,
        line: &str,
    ) -> rusqlite::Result<()> {
        let Self { exec_id, parent_exec_id, command_line } = self;
        command_line.clear();
        let mut parent = None;
        if let CollectionEvent::Process(process) = event {
            quote::join_into(command_line, &process.command_line);
            parent = process.parent_exec_id;
        }
        statement.raw_bind_parameter(1, nanoseconds(event.timestamp()))?;
        statement.raw_bind_parameter(2, event.kind())?;
        statement.raw_bind_parameter(3, event.pid())?;
        statement.raw_bind_parameter(4, show(exec_id, event.exec_id()))?;
        statement.raw_bind_parameter(5, show(parent_exec_id, parent))?;
        statement.raw_bind_parameter(6, (!command_line.is_empty()).then_some(&**command_line))?;
        statement.raw_bind_parameter(7, line.trim_ascii_end())?;
        statement.raw_execute().map(|_| ())
    }
}

fn show(buffer: &mut String, id: Option<ExecId>) -> Option<&str> {
    buffer.clear();
    // Writing to a String cannot fail.
    write!(buffer, "{}", id?).ok()?;
    Some(buffer)
}

/// Nanoseconds since 1970, clamped to what 64 bits hold (years 1677 to 2262).
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}
