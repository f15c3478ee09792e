//! The collector binary: command line, configuration, composition root.

// Everything else in this project hands data to somebody; this crate shows it to people.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the agent is the one crate that prints")]

mod capture;
mod cli;
mod commands;
mod config;
mod detector;
mod failure;
mod health;
mod instance;
mod logging;
mod output;
mod paths;
mod polling;
mod privileges;
mod sources;
mod status;
mod units;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    share_arenas();
    let cli = cli::Cli::parse();
    match commands::execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Two arenas for the handful of threads instead of one each: events are made by one thread and freed by another, so that
/// each arena keeps pages of its own for no one's use. Costs no measurable processor time.
fn share_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions; an old or other allocator ignores it.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
