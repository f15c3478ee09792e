//! Prints what the running kernel allows and what the plan makes of it, as JSON.
//!
//! `cargo run -p collector-sources --example kernel_features`

#![allow(clippy::print_stdout, reason = "an example reports to its user")]

use collector_sources::{features, plan};

fn main() -> Result<(), serde_json::Error> {
    let probed = features::probe();
    let plan = plan::plan(&probed.features, &probed.offsets, u64::MAX, &plan::Limits::default());
    let report = serde_json::json!({
        "features": &probed.features,
        "trampolines": probed.features.trampolines(),
        "lsm_programs_run": probed.features.lsm_programs_run(),
        "missing_offsets": &probed.offsets.missing,
        "plan": &plan,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
