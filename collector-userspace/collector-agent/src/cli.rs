//! The command line as it is typed. What it means is decided by the commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Format, Mode, Source, Tier};
use crate::units::Span;

/// Shows and keeps what a Linux machine does: processes, network, files, seen by the kernel.
#[derive(Debug, Parser)]
#[command(name = "collector", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 works but not in full (where asked for).
Data goes to standard output, logs to standard error. NO_COLOR and RUST_LOG are honoured.")]
pub(crate) struct Cli {
    /// Configuration file to use instead of the default ones
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to log: error, warn, info, debug, trace, or a filter such as `warn,collector_sources=debug`
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Capture events, show them and keep them
    Run(RunArgs),
    /// Say what this kernel, these privileges and this configuration allow
    Doctor(DoctorArgs),
    /// Say whether an agent runs, and how well its parts do
    Status(StatusArgs),
    /// Show the counters of the running agent
    Stats(StatsArgs),
    /// Ask the database of events in SQL
    Query(QueryArgs),
    /// Record what the kernel sends, byte by byte, for replay
    Record(RecordArgs),
    /// Show the events of a recording; needs no privileges
    Replay(ReplayArgs),
    /// Check, show or explain the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// List the fields that conditions of triggers can ask about
    Fields(FieldsArgs),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Whose operations, and which ones.
#[derive(Debug, Default, Args)]
pub(crate) struct CaptureArgs {
    /// What to capture
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) sources: Option<Vec<Source>>,
    /// Only these processes and their descendants
    #[arg(long = "pid", value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pids: Vec<u32>,
    /// Only processes of this control group, by its directory
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup: Option<PathBuf>,
    /// Only processes of this user
    #[arg(long, value_name = "UID")]
    pub(crate) uid: Option<u32>,
    /// End after this long: 10s, 5m, 1h30m
    #[arg(long, value_name = "TIME")]
    pub(crate) duration: Option<Span>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    /// How to capture
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<Mode>,
    /// Where kernel programs sit, instead of the best place for each kind of event
    #[arg(long, value_name = "TIER")]
    pub(crate) tier: Option<Tier>,
    /// How to write events
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Append events to this file instead of writing them to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Keep events in this database
    #[arg(long, value_name = "FILE", conflicts_with = "no_store")]
    pub(crate) db: Option<PathBuf>,
    /// Do not keep events
    #[arg(long)]
    pub(crate) no_store: bool,
    /// User to become once root has opened what needs root, by name or number; `root` to stay root [default: `collector`, if there
    /// is one]
    #[arg(long, value_name = "USER")]
    pub(crate) run_as: Option<String>,
    /// Where the lock and the status of the running agent are
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
}

/// How tables are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// How to print
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
    /// End with 3 when something is missing, even if the main job can run
    #[arg(long)]
    pub(crate) strict: bool,
    /// Where the lock and the status of the running agent are
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// How to print
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
    /// End with 3 when the agent runs and is not healthy
    #[arg(long)]
    pub(crate) strict: bool,
    /// Where the lock and the status of the running agent are
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// How to print
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
    /// Where the lock and the status of the running agent are
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns.
    Table,
    /// One JSON object a row.
    Json,
    /// Comma-separated values with a header line.
    Csv,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The table is `events`; `SELECT * FROM events LIMIT 1` or `PRAGMA table_info(events)` shows its columns. The column `event`
is the whole event as JSON. Fast: conditions on kind, and on kind and time_ns. Examples:
  collector query \"SELECT kind, count(*) FROM events GROUP BY kind\"
  collector query \"SELECT datetime(time_ns/1e9, 'unixepoch'), pid, command_line FROM events
                   WHERE kind = 'process.exec' ORDER BY id DESC LIMIT 20\"
  collector query \"SELECT event ->> '$.process.cwd', count(*) FROM events WHERE kind = 'process.exec' GROUP BY 1\"")]
pub(crate) struct QueryArgs {
    /// One statement that reads
    pub(crate) sql: String,
    /// The database
    #[arg(long, value_name = "FILE")]
    pub(crate) db: Option<PathBuf>,
    /// How to print rows
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: RowFormat,
    /// Longest run time
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: Span,
    /// Most rows; 0 for all
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) limit: u64,
}

#[derive(Debug, Args)]
pub(crate) struct FieldsArgs {
    /// How to print them
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The recording to write; must not exist
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The recording
    pub(crate) file: PathBuf,
    /// How to write events
    #[arg(long, short, value_name = "FORMAT", default_value = "pretty")]
    pub(crate) format: Format,
    /// Append events to this file instead of writing them to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Put the events into this database, too
    #[arg(long, value_name = "FILE")]
    pub(crate) db: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration in force, or a file
    Check {
        /// A file to check instead
        file: Option<PathBuf>,
    },
    /// Print every setting with its default and meaning: a file to start from
    PrintDefaults,
    /// Print the configuration in force
    Show,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
