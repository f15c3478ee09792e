//! Makes `proto/src/generated.rs` of the `.proto` files; with `--check`, only compares. No protoc: protox reads them.
//!
//! A program of its own, outside the crate it writes: that crate need not compile for its code to be made anew.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Says what the file is, to people and to `cargo xtask tidy`.
const HEAD: &str = "// @generated from common.proto and ipc.proto by `cargo xtask codegen`. Do not edit.\n";

fn main() -> Result<()> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this crate is inside proto/")?;
    let committed = proto.join("src/generated.rs");
    let generated = generate(proto)?;
    let check = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        other => bail!("arguments {other:?} are unknown; there is --check"),
    };
    if !check {
        return fs::write(&committed, generated)
            .with_context(|| format!("cannot write {}", committed.display()));
    }
    let text =
        fs::read_to_string(&committed).with_context(|| format!("cannot read {}", committed.display()))?;
    if text != generated {
        bail!("{} is not what the .proto files say; run `cargo xtask codegen`", committed.display());
    }
    Ok(())
}

fn generate(proto: &Path) -> Result<String> {
    let descriptors = protox::compile(["common.proto", "ipc.proto"], [proto])?;
    let out = tempfile::tempdir().context("no temporary directory")?;
    // Ordered maps, so that a message has one encoding.
    prost_build::Config::new().btree_map(["."]).out_dir(out.path()).compile_fds(descriptors)?;
    // So prost names the file of what has no package.
    Ok(HEAD.to_owned() + &fs::read_to_string(out.path().join("_.rs")).context("nothing was generated")?)
}
