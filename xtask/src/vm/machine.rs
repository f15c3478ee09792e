//! A machine: QEMU with a kernel, an archive of files, and two serial lines into files.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::debian::Debian;
use super::kernels::Kernel;
use crate::command::cannot_start;

/// How often to look whether a machine has ended.
const POLL: Duration = Duration::from_millis(100);

/// What the kernel is told. The messages of the kernel, a restart instead of standing still when it panics, and the module
/// order that distributions have by default or will have. Nobody attacks this kernel, and emulated processors are slow enough.
const KERNEL_OPTIONS: &str =
    "console=ttyS0 loglevel=4 panic=-1 mitigations=off tsc=reliable lsm=landlock,bpf";

/// A machine to be run once.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) debian: &'a Debian,
    pub(super) kernel: &'a Kernel,
    pub(super) image: &'a Path,
    /// The files in it.
    pub(super) archive: &'a Path,
    /// Where `console` (the kernel's words), `report` (those of the programs) and `qemu` (QEMU's complaints) go.
    pub(super) dir: &'a Path,
    /// One is exact in time; with more, things happen at the same time, as fast as this machine can.
    pub(super) processors: u8,
    /// How long it may take.
    pub(super) deadline: Duration,
}

/// How a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself: it was through, or its kernel panicked.
    Itself,
    /// It took too long.
    Deadline,
}

impl Machine<'_> {
    /// Runs it to its end, with this task for its first process.
    pub(super) fn run(&self, task: &str) -> Result<End> {
        let Self { debian, kernel, image, archive, dir, processors, deadline } = *self;
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let line = |name: &str| format!("file:{}", dir.join(name).display());
        let complaints =
            File::create(dir.join("qemu")).context("cannot create a file for QEMU's complaints")?;
        let mut qemu = debian.command("usr/bin/qemu-system-x86_64");
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            qemu.arg("-L").arg(debian.path(firmware));
        }
        // Emulated: what a kernel shows must not depend on whether this one offers KVM. The model of the processor is an old
        // one, because 6.12 does not survive what QEMU makes of new ones.
        qemu.args(["-machine", "q35", "-cpu", "Nehalem", "-m", "1G", "-smp", &processors.to_string()]);
        if processors == 1 {
            // An instruction takes a nanosecond, and waiting takes none: deadlines, and how often a tick falls into a
            // program, do not depend on how busy this machine is.
            qemu.args(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]);
        } else {
            qemu.args(["-accel", "tcg,thread=multi"]);
        }
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        qemu.args(["-serial", &line("console"), "-serial", &line("report")]);
        qemu.arg("-kernel").arg(image).arg("-initrd").arg(archive);
        qemu.arg("-append").arg(format!("{KERNEL_OPTIONS} -- {task}"));
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
        let mut child = qemu.spawn().map_err(|error| cannot_start(&qemu, &error))?;
        let begin = Instant::now();
        loop {
            if let Some(status) = child.try_wait().context("QEMU got lost")? {
                if status.success() {
                    return Ok(End::Itself);
                }
                bail!(
                    "QEMU failed ({status}) with kernel {}; see {}",
                    kernel.name,
                    dir.join("qemu").display()
                );
            }
            if begin.elapsed() > deadline {
                child.kill().context("QEMU cannot be ended")?;
                child.wait().context("QEMU got lost")?;
                return Ok(End::Deadline);
            }
            sleep(POLL);
        }
    }
}
