//! `collector record FILE`: what the kernel sends, byte by byte.

use std::fs::File;
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use anyhow::Context as _;
use collector_sources::capture_file::{CaptureHeader, Recording};
use collector_sources::clock::boottime_ns;
use collector_sources::identity::Users;

use super::Context;
use super::run::apply_capture;
use super::session::{End, Session};
use crate::capture::{Running, kernel_config};
use crate::cli::RecordArgs;
use crate::failure::{Failure, Kind};
use crate::output::{human, message};

pub(super) fn run(context: &Context, args: RecordArgs) -> Result<(), Failure> {
    let mut config = context.configure()?.config;
    let RecordArgs { file: path, capture: args } = args;
    let duration = args.duration.map(|span| span.0);
    apply_capture(args, &mut config.capture);
    config.check().map_err(|error| Failure::new(Kind::Usage, error))?;
    if !config.capture.needs_kernel() {
        return Err(Failure::usage(
            "a recording is of what the kernel programs send, and performance samples are not",
        )
        .hint("name at least one of process, network and file with --sources"));
    }
    let kernel = kernel_config(&config.capture)?;
    let mut capture = Running::start(&kernel)?;
    // Command lines hold secrets, and a recording that is written over is gone.
    let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
    let file =
        BufWriter::with_capacity(256 << 10, file.with_context(|| format!("cannot make {}", path.display()))?);

    let failed = || format!("cannot record to {}", path.display());
    let header = CaptureHeader::of_this_host().of_kinds(kernel.kinds);
    let recording = Recording::new(file, &header, Users::system()).with_context(failed)?;
    capture.inner().record_to(recording.tap());
    let mut session = Session::new()?;
    session.register(capture.sources())?;
    let handle = capture.handle();
    let ended = session.run(End::Live(duration), Duration::from_secs(60), || {})?;
    let bytes = recording.bytes();
    recording.finish(boottime_ns()).with_context(failed)?;
    ended.result?;

    let stats = handle.stats();
    let records: u64 = stats.domains.iter().map(|domain| domain.received).sum();
    let lost: u64 = stats.domains.iter().map(|domain| domain.lost).sum();
    message(format_args!(
        "{} records in {}{}, {}",
        human::count(records),
        path.display(),
        bytes.map(|bytes| format!(" ({})", human::bytes(bytes))).unwrap_or_default(),
        if lost == 0 { "none lost".to_owned() } else { format!("{} LOST in the kernel", human::count(lost)) },
    ));
    Ok(())
}
