//! A bounded load that says what it cost.

use std::process::ExitCode;

fn main() -> ExitCode {
    collector_tests::load::main()
}
