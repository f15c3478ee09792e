//! The kit itself: for each check a source that is wrong in one way, which that check alone must find.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::*;
use crate::event::{CollectionEvent, EventMeta, NetworkEvent, ProcessEvent};
use crate::source::SourceCaps;

/// Used up by the check that fails.
const DEADLINE: Duration = Duration::from_secs(2);

/// What is wrong with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// What the check of this name is to find.
    Of(Check),
    BlocksInStart,
    Spins,
    PanicsInHealthCheck,
}

/// Reports every happening that is counted in `happened` after its start; wrong in one way.
struct Watcher {
    fault: Fault,
    happened: Arc<AtomicU64>,
    calls: AtomicU64,
    is_started: AtomicBool,
    was_started: AtomicBool,
    kept: Mutex<Option<Sender<CollectionEvent>>>,
}

impl Watcher {
    fn has(&self, check: Check) -> bool {
        self.fault == Fault::Of(check)
    }

    /// Every second time.
    fn wavers(&self, check: Check) -> bool {
        self.has(check) && self.calls.fetch_add(1, Ordering::SeqCst) % 2 == 1
    }

    fn event(&self) -> CollectionEvent {
        let has_no_time = self.has(Check::Timestamps);
        let timestamp = if has_no_time { SystemTime::UNIX_EPOCH } else { SystemTime::now() };
        let source = if self.has(Check::Origin) { "somebody" } else { "" };
        let meta = EventMeta { source, ..EventMeta::default() };
        if self.has(Check::Domains) {
            CollectionEvent::Network(NetworkEvent { timestamp, meta, ..NetworkEvent::default() })
        } else {
            CollectionEvent::Process(ProcessEvent { timestamp, meta, ..ProcessEvent::default() })
        }
    }

    /// Sends one event; false when the receiver is gone.
    async fn send(&self, tx: &Sender<CollectionEvent>, shutdown: &AtomicBool) -> bool {
        let patiently = !self.has(Check::WaitsWhenFull) && self.fault != Fault::Spins;
        if self.has(Check::SendsEvents) {
            return true;
        }
        if self.has(Check::LosesNothing) {
            return !matches!(tx.try_send(self.event()), Err(TrySendError::Closed(_)));
        }
        if self.has(Check::ShutsDownWhenFull) && tx.capacity() == 0 {
            while tx.send(self.event()).await.is_ok() {}
        }
        if patiently {
            return tx.send(self.event()).await.is_ok();
        }
        loop {
            match tx.try_send(self.event()) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(_)) if shutdown.load(Ordering::SeqCst) => return true,
                Err(TrySendError::Full(_)) if self.fault == Fault::Spins => std::hint::spin_loop(),
                Err(TrySendError::Full(_)) => tokio::task::yield_now().await,
            }
        }
    }
}

#[async_trait]
impl EventSource for Watcher {
    fn name(&self) -> &'static str {
        if self.wavers(Check::Name) { "other" } else { "watcher" }
    }

    fn capabilities(&self) -> SourceCaps {
        let more = if self.wavers(Check::Capabilities) { SourceCaps::REALTIME } else { SourceCaps::empty() };
        SourceCaps::PROCESS | more
    }

    async fn start(&self, tx: Sender<CollectionEvent>, shutdown: Arc<AtomicBool>) -> anyhow::Result<()> {
        if self.fault == Fault::BlocksInStart {
            std::thread::park_timeout(DEADLINE * 3);
        }
        let again = self.was_started.swap(true, Ordering::SeqCst);
        anyhow::ensure!(!(again && self.has(Check::Restarts)), "there is nothing left to do");
        *self.kept.lock().unwrap() = self.has(Check::RunsInCollector).then(|| tx.clone());
        let mut seen = self.happened.load(Ordering::SeqCst);
        self.is_started.store(true, Ordering::SeqCst);
        while self.has(Check::ShutsDown) || !shutdown.load(Ordering::SeqCst) {
            let mut receives = !tx.is_closed();
            while seen < self.happened.load(Ordering::SeqCst) && receives {
                receives = self.send(&tx, &shutdown).await;
                seen += 1;
            }
            if !receives && !self.has(Check::ReceiverGone) {
                break;
            }
            // deadline: the period of a source that polls
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.is_started.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn stop(&self) -> anyhow::Result<()> {
        let was_started = self.was_started.load(Ordering::SeqCst);
        anyhow::ensure!(was_started || !self.has(Check::StopsAnyTime), "it has not started");
        anyhow::ensure!(!(was_started && self.has(Check::Stops)), "the lock is stuck");
        Ok(())
    }

    fn is_started(&self) -> bool {
        self.is_started.load(Ordering::SeqCst) && !self.has(Check::Starts)
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        assert!(self.fault != Fault::PanicsInHealthCheck, "at the doctor's");
        anyhow::ensure!(!self.has(Check::Health), "a cold");
        Ok(())
    }
}

fn report(fault: Fault, options: Options) -> Report {
    let happened = Arc::new(AtomicU64::new(0));
    let stimulus = {
        let happened = Arc::clone(&happened);
        move || {
            happened.fetch_add(1, Ordering::SeqCst);
        }
    };
    let make = || Watcher {
        fault,
        happened: Arc::clone(&happened),
        calls: AtomicU64::new(0),
        is_started: AtomicBool::new(false),
        was_started: AtomicBool::new(false),
        kept: Mutex::default(),
    };
    let options = options.with_deadline(DEADLINE).with_stimulus(stimulus);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check_with(options, make))
}

fn failed(report: &Report) -> Vec<Check> {
    report.failures().map(|result| result.check).collect()
}

#[test]
fn a_source_without_fault_passes_every_check() {
    let report = report(Fault::None, Options::new());
    let passed = |result: &CheckResult| matches!(result.outcome, Outcome::Passed { .. });
    assert!(report.results.iter().all(passed), "{report}");
    assert_eq!(report.results.iter().map(|result| result.check).collect::<Vec<_>>(), Check::ALL);
    report.assert_conformant();
}

/// Side by side, as each takes a deadline.
fn check_faults(faults: impl IntoIterator<Item = (Fault, Check)>) {
    std::thread::scope(|scope| {
        for (fault, check) in faults {
            scope.spawn(move || {
                let report = report(fault, Options::new());
                assert_eq!(failed(&report), [check], "{fault:?}: {report}");
            });
        }
    });
}

#[test]
fn each_fault_is_found_by_its_check_and_by_no_other() {
    check_faults(Check::ALL.iter().map(|check| (Fault::Of(*check), *check)));
}

#[test]
fn sources_that_block_spin_or_panic_are_found_too() {
    check_faults([
        (Fault::BlocksInStart, Check::Starts),
        (Fault::Spins, Check::WaitsWhenFull),
        (Fault::PanicsInHealthCheck, Check::Health),
    ]);
}

#[test]
fn what_the_author_leaves_out_is_not_made_and_his_reason_is_told() {
    let options = Options::new().skip(Check::Restarts, "it is read once");
    let report = report(Fault::Of(Check::Restarts), options);
    report.assert_conformant();
    let reason = "it is read once".to_owned();
    assert_eq!(report.outcome(Check::Restarts), Some(&Outcome::Skipped { reason }));
    assert!(report.to_string().contains("skipped  restarts: it is read once"), "{report}");
}

#[test]
fn a_report_says_what_to_look_at() {
    let report = report(Fault::Of(Check::LosesNothing), Options::new());
    let text = report.to_string();
    assert!(text.starts_with("source \"watcher\": 1 of 17 checks failed\n       ok  name\n"), "{text}");
    assert!(text.contains("\n   FAILED  loses-nothing: 8 events were due"), "{text}");
}
