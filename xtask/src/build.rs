//! `cargo xtask build`: the kernel programs, then the agent that embeds them.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::command::run;
use crate::ebpf;
use crate::project::Project;

/// Builds everything in release mode and returns the path of the agent.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    ebpf::build(project)?;
    agent(project)
}

/// Builds the agent around the object that is there.
pub(crate) fn agent(project: &Project) -> Result<PathBuf> {
    run(project.cargo().args(["build", "--release", "--package", "collector-agent"]))
        .context("the agent does not build")?;
    Ok(project.target.join("release/collector"))
}
