//! `collector doctor`: what this kernel, these privileges and this configuration allow.

mod diagnosis;
mod render;
#[cfg(test)]
mod tests;
mod trial;

use super::Context;
use super::last::runtime_dirs;
use crate::cli::{DoctorArgs, ReportFormat};
use crate::failure::{Failure, Kind};
use crate::output::print;
use diagnosis::diagnose;

pub(super) fn run(context: &Context, args: &DoctorArgs) -> Result<(), Failure> {
    let loaded = context.configure()?;
    let runtime_dirs = runtime_dirs(context, &loaded.config, args.runtime_dir.as_deref());
    let diagnosis = diagnose(&context.paths, &loaded, &runtime_dirs);
    match args.format {
        ReportFormat::Json => print(&format!("{}\n", serde_json::to_string(&diagnosis)?))?,
        ReportFormat::Text => print(&render::render(&diagnosis))?,
    }
    // The story is told: what remains is the exit code.
    if !diagnosis.can_capture {
        return Err(Failure::silent(Kind::Failed));
    }
    if args.strict && diagnosis.is_degraded() {
        return Err(Failure::silent(Kind::Degraded));
    }
    Ok(())
}
