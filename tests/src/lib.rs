//! Harness of the behaviour tests: processes that do exactly what a test says, and captures of what they did.
//!
//! A test starts an [`Actor`], which waits; starts a [`Capture`] that follows this actor alone; lets the actor go; and
//! reads the [`Trace`]. Nothing of other processes is seen, so tests run beside other programs and beside each other.
//!
//! ```no_run
//! # use collector_tests::{Actor, watch};
//! # use serde_json::json;
//! let trace = watch(Actor::new(["spawn /bin/true one"]));
//! trace.one("process.exec").shows(json!({"process": {"command_line": ["/bin/true", "one"]}}));
//! ```

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a harness: a panic is how a test fails, and actors talk to it over stdout"
)]

mod actor;
mod capture;
mod cgroup;
pub mod steps;
mod trace;
pub mod workload;

pub use actor::{Actor, Finished, actor_program};
pub use capture::{Capture, quiet, watch, watch_closes, watch_with};
pub use cgroup::ChildCgroup;
pub use trace::{Event, Trace};

/// How long anything may take before the test fails. Generous: machines that run tests are busy.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);
