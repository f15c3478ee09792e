//! `cargo xtask test` and `cargo xtask ci`: every check and every test, in the order in which they fail fastest.

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{capture, find_program, is_root, run, say};
use crate::ebpf::Kernels;
use crate::project::{Project, relative};
use crate::public_api::{self, OtherFormat};
use crate::{build, codegen, cross, ebpf, tidy};

/// The package whose test target [`KERNEL_TARGET`] loads programs into the running kernel.
const TESTS_PACKAGE: &str = "collector-tests";
const KERNEL_TARGET: &str = "kernel";

/// Arguments of `cargo xtask test`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Leave out the tests that load programs into the running kernel; the others need no privileges.
    #[arg(long)]
    no_kernel: bool,
    /// Run only tests whose name contains one of these (all checks still run).
    filters: Vec<String>,
}

/// The verb `test`.
pub(crate) fn test(project: &Project, args: &Args) -> Result<()> {
    Steps::run(|steps| checks_and_tests(steps, project, args, OtherFormat::SayAndSkip))
}

/// The verb `ci`: all of `test`, and what depends on the machine.
pub(crate) fn ci(project: &Project) -> Result<()> {
    if let Some(why) = cross::obstacle() {
        bail!("nothing can be built for {}: {why}", cross::ARCH);
    }
    Steps::run(|steps| {
        if project.root.join("Cargo.lock").is_file() {
            // Otherwise cargo would quietly test with other dependencies than the committed ones.
            steps.step("Cargo.lock is up to date", || {
                capture(project.cargo().args(["metadata", "--locked", "--format-version", "1"])).map(drop)
            })?;
        }
        checks_and_tests(steps, project, &Args::default(), OtherFormat::Fail)?;
        if find_program("cargo-deny").is_some() {
            // Not its `advisories`: what is published tomorrow must not fail a commit of today.
            steps.step("dependency policy", || {
                run(project.cargo().args(["deny", "--workspace", "check", "bans", "licenses", "sources"]))
            })?;
        } else {
            say("cargo-deny is not installed: deny.toml is not checked");
        }
        Ok(())
    })
}

fn checks_and_tests(
    steps: &mut Steps,
    project: &Project,
    args: &Args,
    other_format: OtherFormat,
) -> Result<()> {
    if !args.no_kernel && !is_root() {
        bail!(
            "the kernel tests load eBPF programs, which only root may do: \
             run this as root, or leave them out with `cargo xtask test --no-kernel`"
        );
    }
    steps.step("tidy", || tidy::tidy(project))?;
    steps.step("format", || format(project))?;
    steps.step("generated code", || codegen::check(project))?;
    steps.step("kernel programs", || ebpf::build(project))?;
    steps.step("clippy", || {
        run(project.cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    steps.step("clippy of the kernel programs", || {
        Kernels::ALL.into_iter().try_for_each(|kernels| {
            run(ebpf::cargo(project, env::consts::ARCH, kernels, "clippy")?.args(["--", "-D", "warnings"]))
        })
    })?;
    steps.step("documentation of the core", || documentation(project))?;
    steps.step("public API of the core", || public_api::compare(project, other_format))?;
    steps.step("agent", || build::agent(project).map(drop))?;
    match cross::obstacle() {
        Some(why) => say(&format!("nothing is built for {}: {why}", cross::ARCH)),
        None => steps.step(cross::ARCH, || cross::check(project))?,
    }
    steps.step("tests", || tests(project, args))
}

/// rustfmt over the workspace and the crates outside it.
fn format(project: &Project) -> Result<()> {
    let check = |command: &mut Command, remedy: &str| {
        run(command.arg("--check")).with_context(|| format!("not formatted; run `{remedy}`"))
    };
    check(project.cargo().args(["fmt", "--all"]), "cargo fmt --all")?;
    for manifest in [project.ebpf_manifest(), project.fuzz_manifest(), project.lister_manifest()] {
        if manifest.is_file() {
            let remedy = format!("cargo fmt --manifest-path {}", relative(&manifest, &project.root));
            check(project.cargo().args(["fmt", "--manifest-path"]).arg(&manifest), &remedy)?;
        }
    }
    Ok(())
}

/// The documentation of the crate that others build on has no broken link and no item without a word.
fn documentation(project: &Project) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["doc", "--package", "collector-core", "--no-deps", "--all-features"]);
    run(cargo.env("RUSTDOCFLAGS", "-D warnings"))
}

fn tests(project: &Project, args: &Args) -> Result<()> {
    let with_filters = |command: &mut Command| run(command.arg("--").args(&args.filters));
    if !args.no_kernel {
        return with_filters(project.cargo().args(["test", "--workspace"]));
    }
    with_filters(project.cargo().args(["test", "--workspace", "--exclude", TESTS_PACKAGE]))?;
    let metadata = capture(project.cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata did not print JSON")?;
    let others = targets_but(KERNEL_TARGET, &metadata, TESTS_PACKAGE);
    if others.is_empty() {
        return Ok(());
    }
    with_filters(project.cargo().args(["test", "--package", TESTS_PACKAGE]).args(others))
}

/// The arguments that select a package's library and integration tests, all but one.
fn targets_but<'a>(excluded: &str, metadata: &'a Value, package: &str) -> Vec<&'a str> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages
        .filter(|candidate| candidate["name"] == package)
        .flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let mut arguments = Vec::new();
    for target in targets {
        let is =
            |kind: &str| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|it| it == kind));
        match target["name"].as_str() {
            Some(name) if is("test") && name != excluded => arguments.extend(["--test", name]),
            Some(_) if is("lib") => arguments.push("--lib"),
            _ => {}
        }
    }
    arguments
}

/// Runs named steps, times them, and sums up at the end whether all went well or one did not.
#[derive(Default)]
struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    fn run(body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let mut steps = Self::default();
        let result = body(&mut steps);
        if !steps.done.is_empty() {
            eprintln!("\n==> summary");
            for (name, time) in &steps.done {
                eprintln!("{:>8.1} s  {name}", time.as_secs_f64());
            }
        }
        if result.is_ok() {
            eprintln!("          all good");
        }
        result
    }

    fn step(&mut self, name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
        eprintln!("\n==> {name}");
        let start = Instant::now();
        let result = body();
        let outcome = if result.is_ok() { name.to_owned() } else { format!("{name}: FAILED") };
        self.done.push((outcome, start.elapsed()));
        result.with_context(|| format!("step \"{name}\""))
    }
}

#[cfg(test)]
mod step_tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_failing_step_is_the_last_one() {
        let mut ran = Vec::new();
        let result = Steps::run(|steps| {
            steps.step("one", || {
                ran.push(1);
                Ok(())
            })?;
            steps.step("two", || bail!("broken"))?;
            steps.step("three", || unreachable!("a step after a failed one"))
        });
        assert_eq!(format!("{:#}", result.unwrap_err()), "step \"two\": broken");
        assert_eq!(ran, [1]);
    }

    #[test]
    fn all_tests_of_the_package_but_one_are_selected() {
        let metadata = json!({"packages": [
            {"name": "collector-tests", "targets": [
                {"name": "collector_tests", "kind": ["lib"]},
                {"name": "kernel", "kind": ["test"]},
                {"name": "contract", "kind": ["test"]},
                {"name": "build-script-build", "kind": ["custom-build"]},
            ]},
            {"name": "other", "targets": [{"name": "unrelated", "kind": ["test"]}]},
        ]});
        assert_eq!(targets_but("kernel", &metadata, "collector-tests"), ["--lib", "--test", "contract"]);
        assert!(targets_but("kernel", &metadata, "absent").is_empty());
    }
}
