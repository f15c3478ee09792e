//! Collects the prototypes that stand beside the kernel programs, for the test that compares them with a kernel's.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> std::io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let probes = manifest.join("../collector-ebpf/src/probes");
    println!("cargo::rerun-if-changed={}", probes.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&probes)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut collected = String::new();
    for path in files {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        for (number, line) in (1..).zip(fs::read_to_string(&path)?.lines()) {
            if let Some(prototype) = line.trim().strip_prefix("// proto: ") {
                let _ = writeln!(collected, "{file}:{number}: {prototype}");
            }
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("prototypes"), collected)
}
