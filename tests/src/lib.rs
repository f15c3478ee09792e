//! Harness of the behaviour tests: processes that do exactly what a test says, and captures of what they did.
//!
//! A test tells an [`Actor`] what to do, lets [`watch`] watch it doing so, and reads the [`Trace`]. Tests that look at the
//! capture itself start a [`Capture`] of their own. Either way nothing is seen but the tests' own processes, so tests run
//! beside other programs and beside each other.
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
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a harness: a panic is how a test fails, and actors talk to it over stdout"
)]

mod actor;
mod agent;
mod capture;
mod cgroup;
pub mod load;
pub mod steps;
mod trace;
mod types;
mod user;
mod watch;
pub mod workload;

pub use actor::{Actor, Finished, actor_program};
pub use agent::{Agent, EndedAgent, run_agent, run_agent_after, run_agent_by};
pub use capture::{Capture, everything, forced_tier, names_from, quiet, tier_of, watch_alone};
pub use cgroup::ChildCgroup;
pub use trace::{Event, Trace};
pub use types::Types;
pub use user::User;
pub use watch::{watch, watch_closes};

/// How long anything may take before the test fails. Generous: machines that run tests are busy, or emulated.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);
