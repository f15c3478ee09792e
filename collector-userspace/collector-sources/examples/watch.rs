//! Prints what one process and its descendants do, as JSON lines: `watch PID|all SECONDS`. Needs root.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use collector_core::json::{HostInfo, write_line};
use collector_sources::{Filter, KernelCapture, KernelConfig};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pids =
        arguments.next().filter(|pid| pid != "all").map(|pid| pid.parse()).transpose()?.into_iter().collect();
    let seconds = arguments.next().map_or(Ok(5), |seconds| seconds.parse())?;
    let config = KernelConfig { filter: Filter { pids, ..Filter::default() }, ..KernelConfig::default() };
    let mut capture = KernelCapture::start(&config)?;
    let (tx, mut rx) = mpsc::channel(1024);
    let shutdown = Arc::new(AtomicBool::new(false));
    for source in capture.sources() {
        tokio::spawn({
            let (tx, shutdown) = (tx.clone(), Arc::clone(&shutdown));
            async move { source.start(tx, shutdown).await }
        });
    }
    drop(tx);
    tokio::spawn({
        let shutdown = Arc::clone(&shutdown);
        async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            shutdown.store(true, Ordering::Relaxed);
        }
    });
    let host = HostInfo { host: "example".to_owned(), boot_id: String::new() };
    let mut line = Vec::new();
    let mut stdout = std::io::stdout().lock();
    while let Some(event) = rx.recv().await {
        line.clear();
        write_line(&mut line, &event, &host)?;
        stdout.write_all(&line)?;
    }
    serde_json::to_writer(std::io::stderr(), &capture.stats().domains)?;
    Ok(())
}
