//! The commands: each decides what the command line means and does it.

mod completions;
mod config;
mod doctor;
mod fields;
mod last;
mod query;
mod record;
mod replay;
mod run;
mod session;
mod stats;
mod status;

use crate::cli::{Cli, Color, Command};
use crate::config::{Config, Loaded, Origin, load};
use crate::failure::{Failure, Kind};
use crate::logging;
use crate::paths::Paths;

/// What all commands share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) paths: Paths,
    pub(crate) color: Color,
    origin: Origin,
    log_level: Option<String>,
}

impl Context {
    /// The configuration in force, and logging according to it.
    pub(crate) fn configure(&self) -> Result<Loaded, Failure> {
        let loaded = load(&self.origin).map_err(|error| Failure::new(Kind::Usage, error))?;
        self.start_logging(&loaded.config)?;
        Ok(loaded)
    }

    fn start_logging(&self, config: &Config) -> Result<(), Failure> {
        logging::start(self.log_level.as_deref(), &config.log.level, self.color).map_err(|error| {
            Failure::usage(format_args!("log level: {error}"))
                .hint("error, warn, info, debug, trace, or a filter such as `warn,collector_sources=debug`")
        })
    }
}

/// Executes what was typed.
pub(crate) fn execute(cli: Cli) -> Result<(), Failure> {
    let Cli { config, log_level, color, command } = cli;
    let paths = Paths::of_this_process();
    let origin = Origin::of_this_process(config, &paths);
    let context = Context { paths, color, origin, log_level };
    match command {
        Command::Run(args) => run::run(&context, args),
        Command::Doctor(args) => doctor::run(&context, &args),
        Command::Status(args) => status::run(&context, &args),
        Command::Stats(args) => stats::run(&context, &args),
        Command::Fields(args) => fields::run(&args),
        Command::Query(args) => query::run(&context, &args),
        Command::Record(args) => record::run(&context, args),
        Command::Replay(args) => replay::run(&context, args),
        Command::Config { command } => config::run(&context, &command),
        Command::Completions { shell } => completions::run(shell),
    }
}
