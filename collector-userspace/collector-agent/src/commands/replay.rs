//! `collector replay FILE`: a recording through the same pipeline, on any machine, without privileges.

use std::time::Duration;

use anyhow::Context as _;
use collector_core::{HostInfo, JsonLines};
use collector_sources::capture_file::Replay;
use collector_store::StoreConfig;

use super::Context;
use super::session::{End, Ended, Session, open_target};
use crate::cli::ReplayArgs;
use crate::config::{Output, Overflow, Queue};
use crate::failure::Failure;
use crate::units::Span;

/// Nothing is dropped: the same file gives the same bytes, however slow the reader is.
const QUEUE: Queue =
    Queue { capacity: 16_384, overflow: Overflow::Block, deadline: Span(Duration::from_secs(1 << 32)) };

pub(super) fn run(context: &Context, args: ReplayArgs) -> Result<(), Failure> {
    context.configure()?;
    let ReplayArgs { file, format, output: path, db } = args;
    let replay = Replay::open(&file).with_context(|| format!("cannot replay {}", file.display()))?;
    let header = replay.header();
    let host = HostInfo { host: header.host.clone(), boot_id: header.boot_id.clone() };
    let lines = JsonLines::new(host);
    let mut session = Session::new()?;
    let output = Output { format, path, queue: QUEUE };
    session.add_output(&output, open_target(&output, None)?, context.color, &lines)?;
    if let Some(db) = db {
        // What was recorded long ago is not old here.
        session.add_store(StoreConfig::new(db).keep_everything(), &QUEUE, &lines)?;
    }
    session.register(vec![Box::new(replay)])?;
    let Ended { result, output, store, .. } = session.run(End::Everything, Duration::from_secs(60), || {})?;
    if output.as_ref().is_some_and(|output| output.closed) {
        return Ok(());
    }
    result?;
    if let Some(output) = output.filter(|output| output.lost > 0) {
        let error = output.last_error.unwrap_or_default();
        return Err(anyhow::anyhow!("{} events could not be written: {error}", output.lost).into());
    }
    if let Some(store) = store.filter(|store| store.lost_total() > 0) {
        let error = store.last_error.clone().unwrap_or_default();
        return Err(anyhow::anyhow!("{} events could not be stored: {error}", store.lost_total()).into());
    }
    Ok(())
}
