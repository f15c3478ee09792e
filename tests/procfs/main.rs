//! Polling `/proc`: what the monitor sees of processes of the tests' own, through a collector. Needs no rights.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod hostile;
mod lifecycle;
mod monitor;
mod network;
mod restart;
mod runtime;
mod sample;
