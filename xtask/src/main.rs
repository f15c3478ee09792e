//! `cargo xtask`: build, run, test and check the project. One file per verb; this one only names them.
//!
//! To add a verb: a file with its argument struct and a function, and here a variant and a match arm.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod apt;
mod bench;
mod build;
mod codegen;
mod command;
mod cross;
mod ebpf;
mod fuzz;
mod packages;
mod project;
mod public_api;
mod run;
mod rust_src;
mod setup;
mod sysroot;
mod test;
mod tidy;
mod tools;
mod vm;

use project::Project;

/// Build, run, test and check the collector.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// Where the `library/` directory of this compiler's own source is, if it is to be found nowhere else.
    #[arg(long, global = true, value_name = "DIR", env = "COLLECTOR_RUST_SRC")]
    rust_src: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fetch what builds and tests need, pinned and under target/ (the other verbs do this by themselves).
    Setup,
    /// Compile the kernel programs to target/bpf/: collector.bpf.o, and collector-before-5.12.bpf.o for old kernels.
    BuildEbpf(ebpf::Args),
    /// Compile everything for aarch64, and run the tests that depend on it in an emulator; part of `test`.
    CrossCheck,
    /// Compile the kernel programs and the agent, in release mode.
    Build,
    /// Build, then run the agent as root; what follows `--` goes to `collector run`.
    Run(run::Args),
    /// Run every check and every test, cheap ones first.
    Test(test::Args),
    /// Make the Rust code of the protobuf messages anew.
    Codegen(codegen::Args),
    /// Check what compilers do not: module docs, dependency direction, links, names …
    Tidy,
    /// Compare the public API of collector-core with its committed listing, or write that anew with --bless.
    PublicApi(public_api::Args),
    /// What the CI machine runs: `test`, and checks for which it happens to have the tool.
    Ci,
    /// Run the fuzz targets for a while each.
    Fuzz(fuzz::Args),
    /// Measure what the agent costs: loads without and with it, latency, idle, memory.
    Bench(bench::Args),
    /// Run the kernel tests inside the kernels that distributions ship, in emulated machines.
    VmTest(vm::Args),
}

fn main() -> ExitCode {
    let Cli { rust_src, verb } = Cli::parse();
    let result = Project::find(rust_src).and_then(|project| match verb {
        Verb::Setup => setup::command(&project),
        Verb::BuildEbpf(args) => ebpf::command(&project, &args),
        Verb::CrossCheck => cross::check(&project),
        Verb::Build => build::build(&project).map(drop),
        Verb::Run(args) => run::run(&project, &args),
        Verb::Test(args) => test::test(&project, &args),
        Verb::Codegen(args) => codegen::codegen(&project, &args),
        Verb::Tidy => tidy::tidy(&project),
        Verb::PublicApi(args) => public_api::command(&project, &args),
        Verb::Ci => test::ci(&project),
        Verb::Fuzz(args) => fuzz::fuzz(&project, &args),
        Verb::Bench(args) => bench::bench(&project, &args),
        Verb::VmTest(args) => vm::test(&project, &args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `{:#}` is the chain of causes in one line, without a backtrace whatever RUST_BACKTRACE says.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
