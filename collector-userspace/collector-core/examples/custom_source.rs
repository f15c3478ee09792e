//! An event source outside of this repository, complete: it watches a directory by polling and reports what appears in it
//! and what goes away. Run it with a directory and stop it with Ctrl-C:
//!
//! ```console
//! $ cargo run -p collector-core --example custom_source -- /tmp
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
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

/// Reports files that appear in a directory or go away.
struct DirectoryWatch {
    directory: PathBuf,
    interval: Duration,
}

impl DirectoryWatch {
    const NAME: &'static str = "directory-watch";

    fn names(&self) -> anyhow::Result<BTreeSet<OsString>> {
        let entries = std::fs::read_dir(&self.directory)
            .with_context(|| format!("cannot read {}", self.directory.display()))?;
        entries.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn event(&self, name: &OsString, kind: FilesystemEventKind) -> CollectionEvent {
        let path = self.directory.join(name);
        CollectionEvent::Filesystem(FilesystemEvent {
            path: Text::from(path.as_os_str().as_bytes()),
            size: path.metadata().ok().map(|metadata| metadata.len()),
            kind,
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
        let mut known = self.names()?;
        let mut ticks = tokio::time::interval(self.interval);
        while !shutdown_signal.load(Ordering::Relaxed) {
            ticks.tick().await;
            let now = self.names()?;
            let created = now.difference(&known).map(|name| self.event(name, FilesystemEventKind::Create));
            let deleted = known.difference(&now).map(|name| self.event(name, FilesystemEventKind::Delete));
            for event in created.chain(deleted).collect::<Vec<_>>() {
                // Waits when the collector is behind. When it is gone there is nobody to tell.
                if tx.send(event).await.is_err() {
                    return Ok(());
                }
            }
            known = now;
        }
        Ok(())
    }

    async fn stop(&self) -> anyhow::Result<()> {
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
    collector.register(Box::new(DirectoryWatch { directory, interval: Duration::from_millis(200) }))?;

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
