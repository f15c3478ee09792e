//! The workspace for aarch64, on a machine that is not: compiled, linked, and some of its tests run in an emulator.
//!
//! No toolchain for x86-64 ships the standard library of another architecture, so it is compiled from the source that the
//! kernel programs' `core` comes from. The C compiler, the C library and the emulator are Debian packages below target/.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustc_build_sysroot::{BuildMode, SysrootBuilder, SysrootConfig};

use crate::apt::{self, PrivateApt};
use crate::command::{find_program, run, say};
use crate::project::{Project, Rustc, cargo_program, relative};
use crate::{ebpf, rust_src};

pub(crate) const ARCH: &str = "aarch64";
pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The oldest suite whose compiler does: its programs run with the C library of this machine, which is as old or newer.
const SUITE: &str = "bookworm";
const PACKAGES: &[&str] = &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user"];
/// What is not unpacked: this machine has a C library, and two of different age do not go together.
const OWN: &str = "libc6_";

/// Linked statically, a program runs wherever it is taken.
const STATIC: &str = "-Ctarget-feature=+crt-static";

const CC: &str = "aarch64-linux-gnu-gcc";
const AR: &str = "aarch64-linux-gnu-ar";
const EMULATOR: &str = "qemu-aarch64";

/// The check: everything compiles and links, and the tests that depend on the architecture pass in an emulator.
pub(crate) fn check(project: &Project) -> Result<()> {
    ebpf::build_for(project, ARCH)?;
    ensure(project)?;
    let test = || {
        let mut cargo = cargo(project, "test");
        // Always all packages, or cargo would build what they need again, with fewer features. But those two, which run
        // where collector is built.
        cargo.args(["--workspace", "--exclude", "xtask", "--exclude", "proto-codegen"]);
        cargo
    };
    run(test().arg("--no-run")).with_context(|| format!("the workspace does not build for {ARCH}"))?;
    // What knows numbers and layouts of the architecture, and the whole way from recorded bytes to JSON.
    run(test().args(["--lib", "--", "syscalls::", "features::bpf::"]))?;
    run(test().args([
        "--test",
        "pipeline",
        "--",
        "a_recording_gives_the_same_json",
        "a_recording_is_a_source",
    ]))
}

/// Why this machine cannot do it, if so.
pub(crate) fn obstacle() -> Option<String> {
    if env::consts::ARCH != "x86_64" {
        return Some(format!("the tools for it are for x86_64, and this machine is {}", env::consts::ARCH));
    }
    let missing = ["apt-get", "dpkg-deb"].into_iter().find(|program| find_program(program).is_none());
    missing.map(|program| format!("the tools for it are Debian packages, and this machine has no {program}"))
}

/// Everything of this module's.
fn dir(project: &Project) -> PathBuf {
    project.target.join(ARCH)
}

/// Brings what is missing.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    let _lock = project.lock()?;
    ensure_tools(project)?;
    ensure_library(project)
}

/// cargo for that architecture. Needs [`ensure`].
pub(crate) fn cargo(project: &Project, verb: &str) -> Command {
    let mut cargo = project.cargo();
    cargo.args([verb, "--target", TARGET]);
    cargo.env("CARGO_TARGET_DIR", dir(project).join("build"));
    // Costs much time, and nobody looks for mistakes here.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo.env("COLLECTOR_BPF_OBJECT", project.bpf_objects(ARCH).join("collector.bpf.o"));
    let flags = format!("--sysroot\u{1f}{}\u{1f}{STATIC}", sysroot(project).display());
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    let tool = |name: &str| tools(project).join("bin").join(name);
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", tool(CC));
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", tool(EMULATOR));
    cargo.env("CC_aarch64_unknown_linux_gnu", tool(CC)).env("AR_aarch64_unknown_linux_gnu", tool(AR));
    cargo
}

fn tools(project: &Project) -> PathBuf {
    dir(project).join("debian")
}

/// Fetches and unpacks compiler, C library and emulator, unless that was done before.
fn ensure_tools(project: &Project) -> Result<()> {
    let root = tools(project);
    if root.is_dir() {
        return Ok(());
    }
    say(&format!(
        "fetching {} and what they need from Debian {SUITE}, because the workspace is to be built for {ARCH}; cached in {} \
         (70 MB; nothing is installed, /etc/apt stays as it is)",
        PACKAGES.join(", "),
        relative(&root, &project.root)
    ));
    let work = dir(project).join("apt");
    let sources = apt::configured();
    let apt = PrivateApt::new(work.clone(), apt::mirror(&sources), SUITE)?;
    apt.update().with_context(|| format!("suite {SUITE}"))?;
    let staging = root.with_added_extension("partial");
    if staging.exists() {
        fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
    }
    for archive in apt.download_with_dependencies(PACKAGES)? {
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(OWN) {
            apt::unpack(&archive, &staging, &[])?;
        }
    }
    for tool in [CC, AR, EMULATOR] {
        wrap(&staging, &root, tool)?;
    }
    fs::rename(&staging, &root).with_context(|| format!("cannot create {}", root.display()))?;
    let _ = fs::remove_dir_all(&work);
    Ok(())
}

/// Writes a script that starts a program with the libraries that were unpacked with it.
fn wrap(staging: &Path, root: &Path, tool: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let root = root.display();
    let script = format!(
        "#!/bin/sh\nexport LD_LIBRARY_PATH='{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu'\n\
         exec '{root}/usr/bin/{tool}' \"$@\"\n"
    );
    let bin = staging.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot create {}", bin.display()))?;
    let path = bin.join(tool);
    fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}

/// What to give to `rustc --sysroot`.
fn sysroot(project: &Project) -> PathBuf {
    dir(project).join("sysroot")
}

/// Compiles the standard library, unless that was done before by this very compiler.
fn ensure_library(project: &Project) -> Result<()> {
    let rustc = Rustc::query()?;
    let dir = sysroot(project);
    let stamp = format!("{} {} {}\n", rustc.release, rustc.commit, rustc.sysroot.display());
    let stamp_path = dir.join("built-by");
    if fs::read_to_string(&stamp_path).is_ok_and(|text| text == stamp) {
        return Ok(());
    }
    let source = rust_src::locate(project, &rustc)?;
    say(&format!(
        "building the standard library for {TARGET} from {}, because this toolchain does not have it; cached in {} (takes a \
         minute, once)",
        relative(&source, &project.root),
        relative(&dir, &project.root)
    ));
    let mut cargo = Command::new(cargo_program());
    cargo.env("RUSTC_BOOTSTRAP", "1");
    SysrootBuilder::new(&dir, TARGET)
        .build_mode(BuildMode::Build)
        .sysroot_config(SysrootConfig::WithStd {
            std_features: vec!["backtrace".to_owned(), "panic-unwind".to_owned()],
        })
        // Without the shared library, which nothing here would be linked with.
        .rustflag(STATIC)
        .cargo(cargo)
        .build_from_source(&source)
        .with_context(|| format!("cannot build the standard library with rustc {}", rustc.release))?;
    if !dir.join("lib/rustlib").join(TARGET).is_dir() {
        bail!("{} has no library after it was built", dir.display());
    }
    // What was built with another one is of no use.
    let build = self::dir(project).join("build");
    if build.exists() {
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    }
    fs::write(&stamp_path, stamp).with_context(|| format!("cannot write {}", stamp_path.display()))
}
