//! Logs, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::cli::Color;
use crate::output::use_color;

/// Starts logging: `--log-level`, else `RUST_LOG`, else the level of the configuration.
pub(crate) fn start(flag: Option<&str>, configured: &str, color: Color) -> Result<(), ParseError> {
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let directives = flag.map(str::to_owned).or(variable).unwrap_or_else(|| configured.to_owned());
    let filter = EnvFilter::try_new(directives)?;
    let ansi = use_color(color, std::io::stderr().is_terminal());
    // Only a second call fails, and there is none.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .try_init();
    Ok(())
}
