//! Conditions written in SQL.
//!
//! `sqlparser` takes the text apart into tokens by SQLite's rules. The grammar is ours: its parser reads all of SQL, drops the
//! places of most things, and builds trees as deep as the text wants. This one knows what conditions can be, says where the
//! text is something else, and its recursion is bounded by [`Limits::depth`](super::Limits::depth).

mod functions;
mod operators;
mod parser;
#[cfg(test)]
mod tests;
mod tokens;

pub(super) use self::parser::parse;
