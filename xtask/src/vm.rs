//! `cargo xtask vm-test`: the kernel tests inside the kernels that distributions ship, in machines that QEMU emulates.
//!
//! Nothing is installed and no privileges are needed: QEMU, the kernels and the few programs that tests start are Debian
//! packages, fetched once into target/vm/. A machine consists of a kernel and of one archive of files, and ends by itself.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::say;
use crate::ebpf;
use crate::project::{Project, relative};

mod cpio;
mod debian;
mod guest;
mod kernels;
mod machine;
mod report;
mod table;

use debian::Debian;
use kernels::{KERNELS, Kernel};
use machine::Machine;
use report::{Outcome, Report};
use table::Column;

/// Arguments of `cargo xtask vm-test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Machines at the same time; each takes 1 GiB of memory.
    #[arg(long, default_value_t = 2, value_name = "N")]
    jobs: usize,
    /// Processors of a machine: with one, time is exact and tests repeat; several find races, and miss deadlines.
    #[arg(long, default_value_t = 1, value_name = "N")]
    processors: u8,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Write docs/kernels.md, in which users read what works in which kernel; `--filter doctor::` is enough for that.
    #[arg(long, conflicts_with_all = ["exec", "kernels"])]
    table: bool,
    /// Run this command in the machines and show its output, in place of the tests; words are parted by spaces.
    #[arg(long, value_name = "COMMAND", conflicts_with = "filter")]
    exec: Option<String>,
    /// Seconds after which a machine has failed.
    #[arg(long, default_value_t = 900, value_name = "N")]
    deadline: u64,
    /// The kernels; all, unless some are named.
    #[arg(value_parser = KERNELS.map(|kernel| kernel.name), value_name = "KERNEL")]
    kernels: Vec<String>,
}

/// The verb.
pub(crate) fn test(project: &Project, args: &Args) -> Result<()> {
    let wanted =
        |kernel: &&Kernel| args.kernels.is_empty() || args.kernels.iter().any(|it| it == kernel.name);
    let kernels: Vec<&Kernel> = KERNELS.iter().filter(wanted).collect();
    ebpf::build(project)?;
    let (debian, images) = {
        let _lock = project.lock()?;
        let debian = Debian::ensure(project)?;
        let images = kernels.iter().map(|kernel| kernel.ensure(project)).collect::<Result<Vec<_>>>()?;
        (debian, images)
    };
    let archive = guest::build(project, &debian)?;

    let queue: VecDeque<(&Kernel, PathBuf)> = kernels.into_iter().zip(images).collect();
    let results = run(queue, args.jobs.max(1), |kernel, image| {
        let dir = dir(project).join("runs").join(kernel.name);
        let task = match &args.exec {
            Some(command) => format!("exec {command}"),
            None => format!("test {}", args.filter.join(" ")),
        };
        let deadline = Duration::from_secs(args.deadline);
        let processors = args.processors;
        let machine =
            Machine { debian: &debian, kernel, image, archive: &archive, dir: &dir, processors, deadline };
        machine.run(&task).map(|console| (console, dir.join("report")))
    });
    if args.exec.is_some() { show(results) } else { judge(project, results, args.table) }
}

/// Prints what commands put out.
fn show(runs: Vec<Run<'_>>) -> Result<()> {
    for Run { kernel, ended, took: _ } in runs {
        let (end, path) = ended.with_context(|| format!("kernel {}", kernel.name))?;
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        println!("==> {} ({end:?})\n{}", kernel.name, String::from_utf8_lossy(&text));
    }
    Ok(())
}

/// Everything of this verb's.
fn dir(project: &Project) -> PathBuf {
    project.target.join("vm")
}

/// A kernel, where its report is and how its machine ended, and how long it took.
struct Run<'a> {
    kernel: &'a Kernel,
    ended: Result<(machine::End, PathBuf)>,
    took: Duration,
}

/// Does all in the queue, some at the same time, and returns the results in the order of [`KERNELS`].
fn run<'a>(
    queue: VecDeque<(&'a Kernel, PathBuf)>,
    jobs: usize,
    work: impl Fn(&Kernel, &PathBuf) -> Result<(machine::End, PathBuf)> + Sync,
) -> Vec<Run<'a>> {
    let (queue, results) = (Mutex::new(queue), Mutex::new(Vec::new()));
    let next = || queue.lock().ok()?.pop_front();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((kernel, image)) = next() {
                    let begin = Instant::now();
                    say(&format!("{}: the machine starts", kernel.name));
                    let ended = work(kernel, &image);
                    let took = begin.elapsed();
                    say(&format!("{}: the machine ended after {} s", kernel.name, took.as_secs()));
                    if let Ok(mut results) = results.lock() {
                        results.push(Run { kernel, ended, took });
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|run| KERNELS.iter().position(|kernel| kernel.name == run.kernel.name));
    results
}

/// Prints what came of it, and writes the page if wanted; an error if a kernel is not as it should be.
fn judge(project: &Project, runs: Vec<Run<'_>>, write_page: bool) -> Result<()> {
    let mut failed = Vec::new();
    let mut reports = Vec::new();
    println!("kernel release                      passed failed left out   time  result");
    for Run { kernel, ended, took } in runs {
        let (end, path) = ended.with_context(|| format!("kernel {}", kernel.name))?;
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let report = Report::parse(&String::from_utf8_lossy(&text));
        let outcome = report.outcome(end);
        let Report { release, passed, left_out, .. } = &report;
        println!(
            "{:<6} {release:<28} {passed:>6} {:>6} {left_out:>8} {:>4} s  {outcome}",
            kernel.name,
            report.failed.len(),
            took.as_secs(),
        );
        if let Outcome::Failed(why) = &outcome {
            eprintln!("\n==> {}: {why}; see {}", kernel.name, relative(&path, &project.root));
            eprint!("{}", report.failures);
            failed.push(kernel.name);
        }
        reports.push((kernel, report));
    }
    for (kernel, report) in reports.iter().filter(|(_, report)| report.left_out > 0) {
        println!("{}: {} tests left out, as asked for", kernel.name, report.left_out);
    }
    // Also when something is not as it should be: that is what the page is to say.
    if write_page {
        page(project, &reports)?;
    }
    if failed.is_empty() { Ok(()) } else { bail!("not as it should be: kernel {}", failed.join(", ")) }
}

/// Writes docs/kernels.md.
fn page(project: &Project, reports: &[(&Kernel, Report)]) -> Result<()> {
    let columns = reports.iter().map(|(kernel, report)| Column {
        release: &report.release,
        doctor: &report.doctor,
        note: kernel.note,
    });
    let path = project.root.join("docs/kernels.md");
    fs::write(&path, table::render(&columns.collect::<Vec<_>>()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("wrote {}", relative(&path, &project.root)));
    Ok(())
}
