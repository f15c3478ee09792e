//! Conditions from outside: what SQLite says about the same rows, and what evaluation allocates.
#![allow(clippy::expect_used, reason = "helpers of tests are not tests to clippy")]

mod allocation;
mod sqlite;
