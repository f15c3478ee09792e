//! What the kernel programs see, tried on processes of the tests' own. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod process;
