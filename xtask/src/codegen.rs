//! `cargo xtask codegen`: makes the committed Rust code of the protobuf messages anew, or compares it.

use anyhow::{Context, Result};

use crate::command::run;
use crate::project::Project;

/// Arguments of `cargo xtask codegen`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail if the committed code is not what the .proto files say.
    #[arg(long)]
    check: bool,
}

pub(crate) fn codegen(project: &Project, args: &Args) -> Result<()> {
    generator(project, args.check)
}

/// What `cargo xtask test` does.
pub(crate) fn check(project: &Project) -> Result<()> {
    generator(project, true).context("generated code is checked")
}

/// The generator is a program of its own, so that xtask stays quick to build.
fn generator(project: &Project, check: bool) -> Result<()> {
    let mut command = project.cargo();
    command.args(["run", "--quiet", "--package", "proto-codegen", "--"]);
    if check {
        command.arg("--check");
    }
    run(&mut command)
}
