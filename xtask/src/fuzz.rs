//! `cargo xtask fuzz`: runs the fuzz targets under tests/fuzz, each for a while.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{capture, run, say};
use crate::packages;
use crate::project::Project;
use crate::tools::CARGO_FUZZ;

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to run each target.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// Only this target.
    target: Option<String>,
}

pub(crate) fn fuzz(project: &Project, args: &Args) -> Result<()> {
    let manifest = project.fuzz_manifest();
    if !manifest.is_file() {
        bail!("{} is absent, so there are no fuzz targets", manifest.display());
    }
    {
        let _lock = project.lock()?;
        packages::ensure(packages::FOR_BUILDS)?;
        packages::ensure(packages::FOR_FUZZING)?;
        CARGO_FUZZ.ensure(project)?;
    }
    let listed = capture(&mut cargo_fuzz(project, "list"))?;
    let mut targets: Vec<&str> = listed.split_whitespace().collect();
    if let Some(only) = &args.target {
        if !targets.contains(&only.as_str()) {
            bail!("there is no fuzz target {only}; there are: {}", targets.join(", "));
        }
        targets.retain(|target| target == only);
    }
    for target in targets {
        say(&format!("fuzzing {target} for {} s", args.seconds));
        let mut command = cargo_fuzz(project, "run");
        // Without a sanitizer: ours is safe Rust, where they find nothing and cost half the speed.
        command.args(["--sanitizer", "none", target, "--"]).arg(format!("-max_total_time={}", args.seconds));
        run(&mut command).with_context(|| {
            format!("{target} found an input that breaks it; it is kept under tests/fuzz/artifacts/{target}")
        })?;
    }
    Ok(())
}

fn cargo_fuzz(project: &Project, verb: &str) -> Command {
    let mut command = Command::new(CARGO_FUZZ.path(project));
    command.arg(verb).arg("--fuzz-dir").arg(project.root.join("tests/fuzz")).current_dir(&project.root);
    // Coverage instrumentation is an unstable flag; this lets a stable compiler accept it.
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}
