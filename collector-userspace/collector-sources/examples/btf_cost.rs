//! Measures parsing the kernel's BTF and resolving every offset; prints what this kernel does not have.
//!
//! `cargo run --release -p collector-sources --example btf_cost`

#![allow(clippy::print_stdout, reason = "an example reports to its user")]

use std::time::{Duration, Instant};

use collector_sources::btf::Btf;
use collector_sources::offsets;

/// CPU time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for _ in 0..5 {
        let (wall, start) = (Instant::now(), cpu());
        let blob = std::fs::read("/sys/kernel/btf/vmlinux")?;
        let read = cpu();
        let btf = Btf::parse(&blob, offsets::names())?;
        let parsed = cpu();
        let resolved = offsets::resolve(&btf);
        let end = cpu();
        println!(
            "read {:?}, parse {:?}, resolve {:?}; CPU {:?}, wall {:?}; {} types, {} missing",
            read.saturating_sub(start),
            parsed.saturating_sub(read),
            end.saturating_sub(parsed),
            end.saturating_sub(start),
            wall.elapsed(),
            btf.type_count(),
            resolved.missing.len(),
        );
    }
    let blob = std::fs::read("/sys/kernel/btf/vmlinux")?;
    let btf = Btf::parse(&blob, offsets::names())?;
    for path in collector_common::Offsets::PATHS {
        match offsets::resolve_path(&btf, path) {
            Ok(value) => println!("{path} = {value}"),
            Err(error) => println!("{path}: {error}"),
        }
    }
    Ok(())
}
