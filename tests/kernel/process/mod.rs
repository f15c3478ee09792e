//! Process events.

mod arguments;
mod exec;
mod identity;
mod life;
