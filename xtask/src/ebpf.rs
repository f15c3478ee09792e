//! `cargo xtask build-ebpf`: compiles the kernel programs and puts the objects where the agent's build looks for them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{run, say};
use crate::project::{Project, Rustc, relative};
use crate::tools::BPF_LINKER;
use crate::{setup, sysroot};

/// The binary target of the crate collector-ebpf.
const BINARY: &str = "collector-ebpf";

/// Which kernels an object is for; all are built from the same source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernels {
    /// From 5.12 on.
    Recent,
    /// Before, down to 5.10: they refuse instructions and helpers that they do not know, even where those are never reached.
    Before512,
}

impl Kernels {
    pub(crate) const ALL: [Self; 2] = [Self::Recent, Self::Before512];

    /// The file's name, which the agent's build knows as well.
    const fn file(self) -> &'static str {
        match self {
            Self::Recent => "collector.bpf.o",
            Self::Before512 => "collector-before-5.12.bpf.o",
        }
    }

    const fn flags(self) -> &'static [&'static str] {
        match self {
            // Instruction set v3 has atomics that return the old value (kernel 5.12): sequences need them.
            Self::Recent => &["-Ctarget-cpu=v3"],
            // With v2 the compiler refuses to make such atomics.
            Self::Before512 => &["-Ctarget-cpu=v2", "--cfg=kernel_before_5_12"],
        }
    }
}

/// Architectures of which the kernel programs know the registers, as Rust and `uname` call them.
pub(crate) const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// Arguments of `cargo xtask build-ebpf`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The architecture of the machines that the programs are for; other ones than this machine's go to target/bpf/ARCH/.
    #[arg(long, value_name = "ARCH", default_value = env::consts::ARCH, value_parser = ARCHITECTURES)]
    arch: String,
}

/// The verb.
pub(crate) fn command(project: &Project, args: &Args) -> Result<()> {
    build_for(project, &args.arch)
}

/// Builds the objects for this machine's architecture.
pub(crate) fn build(project: &Project) -> Result<()> {
    build_for(project, env::consts::ARCH)
}

/// Builds the objects for an architecture. Leaves files alone in which nothing changed, so that cargo does not rebuild
/// everything that embeds them.
pub(crate) fn build_for(project: &Project, arch: &str) -> Result<()> {
    let _lock = project.lock()?;
    setup::ensure(project)?;
    let manifest = project.ebpf_manifest();
    if !manifest.is_file() {
        bail!("{} is absent, so there are no kernel programs to build", manifest.display());
    }
    Kernels::ALL.into_iter().try_for_each(|kernels| build_object(project, arch, kernels))
}

fn build_object(project: &Project, arch: &str, kernels: Kernels) -> Result<()> {
    let file = kernels.file();
    run(&mut cargo(project, arch, kernels, "build")?).with_context(|| format!("{file} does not build"))?;
    let built = target_dir(project, arch, kernels).join(sysroot::TARGET).join("release").join(BINARY);
    let stripped = strip(&built);
    let built = stripped.unwrap_or(built);
    let object = fs::read(&built).with_context(|| format!("cargo built no {}", built.display()))?;
    check(&object).with_context(|| format!("{} is of no use", built.display()))?;
    let path = project.bpf_objects(arch).join(file);
    if write_if_changed(&path, &object)? {
        say(&format!("{}: {} bytes, new", relative(&path, &project.root), object.len()));
    }
    Ok(())
}

/// Takes the debug sections out, four fifths of the object that no kernel reads. BTF stays. Where the toolchain has no
/// tool for it (rustup's has), the object works as it is.
fn strip(built: &Path) -> Option<PathBuf> {
    let sysroot = Rustc::query().ok()?.sysroot;
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let tool = sysroot.join("lib/rustlib").join(host).join("bin/rust-objcopy");
    let target = built.with_added_extension("stripped");
    let mut command = Command::new(tool);
    // The tool is linked with the compiler's own LLVM and does not say where that is.
    command.env("LD_LIBRARY_PATH", sysroot.join("lib")).arg("--strip-debug").arg(built).arg(&target);
    let output = command.output().ok()?;
    (output.status.success() && target.is_file()).then_some(target)
}

/// `cargo <verb>` for the kernel programs, with the library, linker and flags they need. Needs [`setup::ensure`].
pub(crate) fn cargo(project: &Project, arch: &str, kernels: Kernels, verb: &str) -> Result<Command> {
    let manifest = project.ebpf_manifest();
    let crate_dir = manifest.parent().context("the manifest has no directory")?;
    let mut cargo = project.cargo();
    cargo.arg(verb).arg("--release").args(["--target", sysroot::TARGET]);
    if crate_dir.join("Cargo.lock").is_file() {
        cargo.arg("--locked");
    }
    cargo.current_dir(crate_dir);
    cargo.env("CARGO_TARGET_DIR", target_dir(project, arch, kernels));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", encode(&flags(project, arch, kernels))?);
    // aya-ebpf uses unstable features (inline assembly for eBPF among them); this lets a stable compiler accept them.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    Ok(cargo)
}

/// One for each: cargo keeps what it built with one set of flags only.
fn target_dir(project: &Project, arch: &str, kernels: Kernels) -> PathBuf {
    project.bpf_dir().join("build").join(arch).join(kernels.file())
}

fn flags(project: &Project, arch: &str, kernels: Kernels) -> Vec<String> {
    let root = project.root.display();
    let mut flags = vec![
        "--sysroot".to_owned(),
        sysroot::dir(project).display().to_string(),
        format!("-Clinker={}", BPF_LINKER.path(project).display()),
        // Registers of the traced machine differ by architecture; aya's name for the one the object will run on.
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // The object must not depend on where the repository and other people's crates are.
        format!("--remap-path-prefix={root}=."),
    ];
    flags.extend(kernels.flags().iter().copied().map(str::to_owned));
    // cargo sets CARGO_HOME for what it runs only if the user did.
    let cargo_home =
        env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    flags.extend(cargo_home.map(|dir| format!("--remap-path-prefix={}=/cargo", dir.display())));
    flags
}

/// cargo's own encoding of flags, which allows spaces in paths and wins over whatever RUSTFLAGS says.
fn encode(flags: &[String]) -> Result<String> {
    const SEPARATOR: &str = "\u{1f}";
    if let Some(flag) = flags.iter().find(|flag| flag.contains(SEPARATOR)) {
        bail!(
            "the compiler flag {flag:?} has a control character in it; move the repository to a saner path"
        );
    }
    Ok(flags.join(SEPARATOR))
}

/// A last look before the object is embedded: is it ELF for eBPF, and does it have the type information kernels want?
fn check(object: &[u8]) -> Result<()> {
    const ELF_MAGIC: &[u8] = b"\x7fELF";
    const EM_BPF: [u8; 2] = 247_u16.to_le_bytes();
    if !object.starts_with(ELF_MAGIC) || object.get(18..20) != Some(&EM_BPF[..]) {
        bail!("it is not a little-endian ELF object for eBPF");
    }
    if !object.windows(5).any(|bytes| bytes == b".BTF\0") {
        bail!("it has no BTF section, without which no kernel loads it; is bpf-linker the pinned version?");
    }
    Ok(())
}

/// Whether it had to write. Goes through a second file, so that a reader never sees half an object.
fn write_if_changed(path: &Path, content: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let temporary = path.with_added_extension("new");
    fs::write(&temporary, content).with_context(|| format!("cannot write {}", temporary.display()))?;
    fs::rename(&temporary, path).with_context(|| format!("cannot replace {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(machine: u16, section: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0".to_vec();
        bytes.extend(machine.to_le_bytes());
        bytes.extend(section);
        bytes
    }

    #[test]
    fn an_object_for_the_kernel_has_type_information() {
        check(&object(247, b"\0.BTF\0.text\0")).unwrap();
        assert!(check(&object(247, b"\0.BTF.ext\0")).unwrap_err().to_string().contains("no BTF"));
        assert!(check(&object(62, b"\0.BTF\0")).unwrap_err().to_string().contains("not a little-endian"));
        assert!(check(b"").is_err());
    }

    #[test]
    fn flags_may_contain_spaces() {
        assert_eq!(encode(&["--sysroot".into(), "/a b".into()]).unwrap(), "--sysroot\u{1f}/a b");
        assert!(encode(&["\u{1f}".into()]).is_err());
    }
}
