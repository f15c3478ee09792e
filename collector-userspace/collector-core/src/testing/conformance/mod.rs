//! Whether an [`EventSource`] keeps its part of the bargain: what its documentation asks of it, and what a
//! [`Collector`](crate::Collector) does with it.
//!
//! ```
//! use async_trait::async_trait;
//! use collector_core::testing::conformance;
//! use collector_core::{CollectionEvent, EventSource, PerformanceEvent, SourceCaps};
//! use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
//! use std::time::{Duration, SystemTime};
//! use tokio::sync::mpsc::Sender;
//!
//! /// Measures nothing, ten times a second.
//! struct Nothing;
//!
//! #[async_trait]
//! impl EventSource for Nothing {
//!     fn name(&self) -> &'static str {
//!         "nothing"
//!     }
//!
//!     fn capabilities(&self) -> SourceCaps {
//!         SourceCaps::PERFORMANCE | SourceCaps::SYSTEM_WIDE
//!     }
//!
//!     async fn start(&self, tx: Sender<CollectionEvent>, shutdown: Arc<AtomicBool>) -> anyhow::Result<()> {
//!         while !shutdown.load(Ordering::Relaxed) {
//!             let timestamp = SystemTime::now();
//!             let sample = PerformanceEvent { metric_name: "nothing".into(), timestamp, ..Default::default() };
//!             if tx.send(CollectionEvent::Performance(sample)).await.is_err() {
//!                 break;
//!             }
//!             tokio::time::sleep(Duration::from_millis(100)).await;
//!         }
//!         Ok(())
//!     }
//!
//!     async fn stop(&self) -> anyhow::Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::check(|| Nothing).await.assert_conformant();
//! # }
//! ```
//!
//! Each [`Check`] has a name and, when it fails, a reason that says what to look at. A source runs on a thread of its own, as
//! in a collector; one that hangs costs a deadline and its thread. Time must be real: not a runtime with its clock paused.

mod cpu;
mod ending;
mod kit;
mod life;
mod options;
mod pressure;
mod probe;
mod report;
mod seen;
#[cfg(test)]
mod tests;

use std::cell::Cell;

pub use options::Options;
pub use report::{Check, CheckResult, Outcome, Report};

use self::kit::{Kit, Verdict, skipped};
use crate::source::EventSource;

/// Checks a source that sends events by itself. `make` is called for each fresh source that is needed.
pub async fn check<S: EventSource + 'static>(make: impl Fn() -> S) -> Report {
    check_with(Options::default(), make).await
}

/// Checks a source of which the kit has to know more.
pub async fn check_with<S: EventSource + 'static>(options: Options, make: impl Fn() -> S) -> Report {
    let make = || Box::new(make()) as Box<dyn EventSource>;
    let source = make().name().to_owned();
    let (sends, ends) = (Cell::new(false), Cell::new(true));
    let mut kit = Kit { options, make: &make, sends, ends, results: Vec::new() };
    let name = seen::name(&kit);
    kit.note(Check::Name, name);
    let capabilities = seen::capabilities(&kit);
    kit.note(Check::Capabilities, capabilities);
    if seen::events(&mut kit).await {
        check_running(&mut kit).await;
    }
    for check in Check::ALL {
        if !kit.has_noted(*check) {
            kit.note(*check, skipped("the source does not start"));
        }
    }
    kit.results.sort_by_key(|result| result.check);
    Report { source, results: kit.results }
}

/// The checks of a source that can be started. One that is left out is not made either: that may be why it is left out.
async fn check_running(kit: &mut Kit<'_>) {
    if kit.wants(&[Check::WaitsWhenFull, Check::LosesNothing]) {
        pressure::pressure(kit).await;
    }
    made(kit, Check::ReceiverGone, ending::receiver_gone).await;
    made(kit, Check::Health, life::health).await;
    if kit.wants(&[Check::ShutsDown, Check::Stops]) {
        ending::shut_down(kit).await;
    }
    // A source that cannot even end would fail all of these too, and say less.
    if !kit.has_failed(Check::ShutsDown) && !kit.has_failed(Check::Stops) {
        made(kit, Check::ShutsDownWhenFull, ending::shut_down_when_full).await;
        made(kit, Check::StopsAnyTime, ending::stop_any_time).await;
        made(kit, Check::Restarts, life::restart).await;
        made(kit, Check::RunsInCollector, life::collector).await;
    }
    for check in Check::ALL {
        if !kit.has_noted(*check) {
            kit.note(*check, skipped("the source does not end as it should"));
        }
    }
}

/// Makes one check that has a run of its own.
async fn made(kit: &mut Kit<'_>, check: Check, make: impl AsyncFnOnce(&Kit<'_>) -> Verdict) {
    if kit.wants(&[check]) {
        let verdict = make(kit).await;
        kit.note(check, verdict);
    }
}
