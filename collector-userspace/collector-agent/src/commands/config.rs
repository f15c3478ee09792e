//! `collector config check|print-defaults|show`.

use std::fmt::Write as _;
use std::path::Path;

use super::Context;
use crate::cli::ConfigCommand;
use crate::config::{DEFAULTS, Loaded, Mode, Origin, load};
use crate::failure::{Failure, Kind};
use crate::output::{message, print};
use crate::polling;

pub(super) fn run(context: &Context, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { file } => check(context, file.as_deref()),
        ConfigCommand::PrintDefaults => Ok(print(DEFAULTS)?),
        ConfigCommand::Show => {
            show(&load(&context.origin).map_err(|error| Failure::new(Kind::Usage, error))?)
        }
    }
}

/// A file alone, or everything that is in force.
fn check(context: &Context, file: Option<&Path>) -> Result<(), Failure> {
    let origin = match file {
        Some(file) => Origin { named: Some(file.to_owned()), ..Origin::default() },
        None => context.origin.clone(),
    };
    let Loaded { config, detection, sources } =
        load(&origin).map_err(|error| Failure::new(Kind::Usage, error))?;
    let polled = config.capture.mode == Mode::Procfs;
    let plan = if polled { polling::plan(&config.capture.sources) } else { Vec::new() };
    for doubt in config.doubts(detection.as_ref().map(|made| &made.manager), polled, &plan) {
        message(format_args!("warning: {doubt}"));
    }
    let what = if sources.is_empty() { "defaults only".to_owned() } else { sources.join(", ") };
    Ok(print(&format!("configuration is valid: {what}\n"))?)
}

fn show(loaded: &Loaded) -> Result<(), Failure> {
    let mut text = String::new();
    for source in &loaded.sources {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# from {source}");
    }
    text.push_str(&toml::to_string(&loaded.config)?);
    Ok(print(&text)?)
}
