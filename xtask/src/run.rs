//! `cargo xtask run`: builds the agent and becomes it, as root.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build;
use crate::command::{cannot_start, find_program, is_root, say};
use crate::project::Project;

/// Arguments of `cargo xtask run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for `collector run`.
    #[arg(last = true)]
    agent_args: Vec<OsString>,
}

/// Does not return on success: the agent takes this process over, and with it signals, terminal and exit code.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let agent = build::build(project)?;
    let mut command = if is_root() {
        Command::new(&agent)
    } else if find_program("sudo").is_some() {
        say(&format!("starting {} with sudo, because only root may load kernel programs", agent.display()));
        let mut sudo = Command::new("sudo");
        sudo.arg("--").arg(&agent);
        sudo
    } else {
        bail!(
            "only root may load kernel programs, and sudo is not installed: \
             become root and start `{} run` or this command again",
            agent.display()
        );
    };
    command.arg("run").args(&args.agent_args);
    let error = command.exec();
    Err(cannot_start(&command, &error))
}
