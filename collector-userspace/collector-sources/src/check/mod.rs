//! Self-check: each program proves that it runs, and what is silent is put back, replaced, and said.
//!
//! A program can be attached and never run: its function was patched away, `ftrace_enabled` was switched off, an entry of a
//! table was taken out. Nothing of that is an error to anybody. So a thread of the capture makes the very calls that the
//! programs are there for ([`songs`], [`child`]), and looks for their marks ([`marks`]). What must be heard follows from the
//! plan ([`expected`]). [`verdict`] says what answers mean, [`guard`] draws the consequences, and
//! [`switches`] finds causes that can be read.

mod child;
mod expected;
mod guard;
mod marks;
mod songs;
mod status;
mod switches;
mod verdict;
mod watch;

pub(crate) use guard::Guard;
pub(crate) use marks::Marks;
pub use status::{Problem, SelfCheck, SilentProgram, UntriedProgram};
pub(crate) use watch::{Bell, watch};
