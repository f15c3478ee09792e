//! One event as one row of the table `records`.

use std::time::{SystemTime, UNIX_EPOCH};

use collector_core::CollectionEvent;
use rusqlite::Statement;

use crate::quote;

/// The statement [`Encoder::insert`] fills.
pub(crate) const INSERT: &str =
    "INSERT INTO records (time_ns, kind, command_line, event) VALUES (?1, ?2, ?3, ?4)";

/// Turns events into rows. Keeps its buffer, so that a row costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
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
        let Self { command_line } = self;
        command_line.clear();
        if let CollectionEvent::Process(process) = event {
            quote::join_into(command_line, &process.command_line);
        }
        statement.raw_bind_parameter(1, nanoseconds(event.timestamp()))?;
        statement.raw_bind_parameter(2, event.kind())?;
        statement.raw_bind_parameter(3, (!command_line.is_empty()).then_some(&**command_line))?;
        statement.raw_bind_parameter(4, line.trim_ascii_end())?;
        statement.raw_execute().map(|_| ())
    }
}

/// Nanoseconds since 1970, clamped to what 64 bits hold (years 1677 to 2262).
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}
