//! Does what tests tell it, one step after another.

use std::process::ExitCode;

fn main() -> ExitCode {
    collector_tests::steps::main()
}
