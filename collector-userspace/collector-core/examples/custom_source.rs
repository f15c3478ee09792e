//! An event source outside of this repository, complete: it watches a directory by polling and reports what appears in it
//! and what goes away. Run it with a directory and stop it with Ctrl-C:
//!
//! ```console
//! $ cargo run -p collector-core --example custom_source -- /tmp
//! ```
//!
//! Its crate would depend on `collector-core`, `anyhow`, `async-trait` and `tokio`, and for the tests at the end on
//! `collector-core` with the feature `testing`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use async_trait::async_trait;
use collector_core::json::{HostInfo, write_line};
use collector_core::{
    Capture, CollectionEvent, Collector, CollectorConfig, EventFilter, EventMeta, EventSource,
    FilesystemEvent, FilesystemEventKind, SourceCaps, Text,
};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Reports files that appear in a directory or go away.
struct DirectoryWatch {
    directory: PathBuf,
    interval: Duration,
}

impl DirectoryWatch {
    const NAME: &'static str = "directory-watch";

    const fn new(directory: PathBuf, interval: Duration) -> Self {
        Self { directory, interval }
    }

    fn names(&self) -> anyhow::Result<BTreeSet<OsString>> {
        let entries = std::fs::read_dir(&self.directory)
            .with_context(|| format!("cannot read {}", self.directory.display()))?;
        entries.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn event(&self, name: &OsString, kind: FilesystemEventKind) -> CollectionEvent {
        let path = self.directory.join(name);
        CollectionEvent::Filesystem(FilesystemEvent {
            // Names are bytes and need not be UTF-8.
            path: Text::from(path.as_os_str().as_encoded_bytes()),
            size: path.metadata().ok().map(|metadata| metadata.len()),
            kind,
            // When it was noticed, for want of a better time.
            timestamp: SystemTime::now(),
            meta: EventMeta { source: Self::NAME, capture: Capture::Unknown, sequence: None },
            // What a source does not know it leaves out.
            ..FilesystemEvent::default()
        })
    }
}

#[async_trait]
impl EventSource for DirectoryWatch {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> SourceCaps {
        // Polling: neither REALTIME nor KERNEL_LEVEL.
        SourceCaps::FILESYSTEM
    }

    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        // What is there already is no event. An error ends the source; the collector starts it again after a pause.
        let mut known = self.names()?;
        let mut ticks = tokio::time::interval(self.interval);
        // After having waited for the collector there is nothing to catch up with: one look sees it all.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The first await: from here on the source counts as started.
            ticks.tick().await;
            // The signal cannot be awaited; it is looked at in each round, and between events below.
            if shutdown_signal.load(Ordering::Relaxed) {
                return Ok(());
            }
            let now = self.names()?;
            let created = now.difference(&known).map(|name| self.event(name, FilesystemEventKind::Create));
            let deleted = known.difference(&now).map(|name| self.event(name, FilesystemEventKind::Delete));
            for event in created.chain(deleted).collect::<Vec<_>>() {
                // Waits when the collector is behind. When it is gone there is nobody to tell.
                if shutdown_signal.load(Ordering::Relaxed) || tx.send(event).await.is_err() {
                    return Ok(());
                }
            }
            known = now;
        }
    }

    async fn stop(&self) -> anyhow::Result<()> {
        // Nothing is kept between two looks, so nothing has to be released.
        Ok(())
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        self.names().map(drop)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let mut collector = Collector::new(CollectorConfig::new().with_component_name("directory-watch"));
    collector.register(Box::new(DirectoryWatch::new(directory, Duration::from_millis(200))))?;

    // Subscribe before the run, so that nothing is missed; print on a task of its own.
    let mut events =
        collector.bus().subscribe(EventFilter::new().with_event_type(CollectionEvent::Filesystem)).await?;
    let printer = tokio::spawn(async move {
        let host = HostInfo { host: "example".to_owned(), boot_id: String::new() };
        while let Some(event) = events.recv().await {
            let mut line = Vec::new();
            write_line(&mut line, &event.event, &host)?;
            print!("{}", String::from_utf8_lossy(&line));
        }
        anyhow::Ok(())
    });
    // Ends on Ctrl-C; the bus closes then, and with it the printer's subscription.
    collector.run().await?;
    printer.await?
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicU64;

    use collector_core::testing::{collect, conformance, subscribe};
    use collector_core::{HealthStatus, Subscription};

    use super::*;

    const OFTEN: Duration = Duration::from_millis(5);

    /// It keeps what `EventSource` asks of it. The kit needs to know how to make something happen.
    #[tokio::test]
    async fn it_is_a_good_source() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let count = AtomicU64::new(0);
        let create_a_file = move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            std::fs::write(path.join(number.to_string()), "").unwrap();
        };
        let options = conformance::Options::new().with_stimulus(create_a_file);
        let make = || DirectoryWatch::new(directory.path().to_owned(), OFTEN);
        conformance::check_with(options, make).await.assert_conformant();
    }

    /// What it reports, as a subscriber of its collector sees it.
    #[tokio::test]
    async fn it_tells_what_appears_and_what_goes_away() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new");
        let mut collector = Collector::new(CollectorConfig::new().with_signal_handling(false));
        collector.register(Box::new(DirectoryWatch::new(directory.path().to_owned(), OFTEN))).unwrap();
        let mut events = subscribe(&collector.bus(), EventFilter::new()).await.unwrap();
        let handle = collector.handle();
        let run = tokio::spawn(collector.run());
        // What is there before the source has started is no event.
        while handle.health().status != HealthStatus::Healthy {
            tokio::time::sleep(OFTEN).await; // deadline: polls until the condition holds
        }

        std::fs::write(&file, "five!").unwrap();
        assert_eq!(next(&mut events).await, ("file.create", file.clone()));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(next(&mut events).await, ("file.delete", file));

        handle.shutdown();
        run.await.unwrap().unwrap();
    }

    async fn next(events: &mut Subscription) -> (&'static str, PathBuf) {
        let event = collect(events, 1, Duration::from_secs(20)).await.unwrap().remove(0);
        let CollectionEvent::Filesystem(file) = &event.event else { panic!("not about a file: {event:?}") };
        (event.event.kind(), Path::new(file.path.as_str().unwrap()).to_owned())
    }
}
