//! Embeds the kernel programs, if they have been built.
//!
//! The objects are optional inputs: without them the crate compiles and its tests pass, and loading fails with a
//! message that names `cargo xtask build-ebpf`.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=COLLECTOR_BPF_OBJECT");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object = env::var_os("COLLECTOR_BPF_OBJECT").map_or_else(
        || manifest.join("../../target/bpf").join(foreign_arch()).join("collector.bpf.o"),
        PathBuf::from,
    );
    embed(&object, "collector.bpf.o");
    embed(&object.with_file_name(BEFORE_5_12), BEFORE_5_12);
}

/// The architecture this is built for, if it is not the one it is built on: objects for it lie in a directory of their own.
fn foreign_arch() -> String {
    let target = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let host = env::var("HOST").unwrap_or_default();
    if host.split('-').next() == Some(&target) { String::new() } else { target }
}

/// The object for kernels before 5.12: stands beside the other one.
const BEFORE_5_12: &str = "collector-before-5.12.bpf.o";

/// Puts an object, or an empty file, where the code includes it.
fn embed(object: &Path, name: &str) {
    println!("cargo::rerun-if-changed={}", object.display());
    let bytes = fs::read(object).unwrap_or_default();
    let target = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join(name);
    if let Err(error) = fs::write(&target, bytes) {
        println!("cargo::error=cannot write {}: {error}", target.display());
    }
}
