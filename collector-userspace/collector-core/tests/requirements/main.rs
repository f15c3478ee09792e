//! The requirements of the specification, one test for each: at least 1000 events a second, at most 5 % of a processor,
//! bounded memory under continuous load, and a shutdown within its timeout.
//!
//! What runs is a whole: source, collector, bus, subscribers of which some are stuck, triggers and their requests. Costs are
//! asserted as processor time, which is the same on a busy machine as on an idle one. With `--nocapture` the tests say what
//! they measured.
//!
//! The full soak, five million events in release, takes less than a minute:
//!
//! ```console
//! $ COLLECTOR_SOAK_EVENTS=5000000 cargo test --release -p collector-core --test requirements memory -- --nocapture
//! ```
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are not tests to clippy"
)]

mod cost;
mod load;
mod measure;
mod memory;
mod shutdown;
