//! Everything the agent shows: events, by a thread of its own; tables; messages.

pub(crate) mod human;
pub(crate) mod line;
pub(crate) mod pretty;
pub(crate) mod table;
mod tally;
mod target;
mod thread;

use std::fmt;
use std::io::Write as _;

pub(crate) use tally::{OutputStats, Tally};
pub(crate) use target::Target;
pub(crate) use thread::{Formatter, OutputThread};

use crate::cli::Color;

/// The output's name on the bus.
pub(crate) const OUTPUT: &str = "output";

/// Says something to people, on standard error. That nobody listens is no reason to stop.
pub(crate) fn message(text: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints data on standard output.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Whether to colour: <https://no-color.org> counts unless colour was asked for in so many words.
pub(crate) fn use_color(wish: Color, is_terminal: bool) -> bool {
    match wish {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
