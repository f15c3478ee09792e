//! Process events.

mod exec;
