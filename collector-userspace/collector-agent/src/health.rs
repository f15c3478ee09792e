//! How well the parts of the agent do, found out from what they count.
//!
//! A part that lost something is degraded for a while after it, so that whoever looks every few minutes sees it; the
//! counters themselves never forget.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use collector_core::{ComponentHealth, HealthReport, HealthStatus, SourceHealth};
use collector_sources::SelfCheck;

use crate::capture::not_captured;
use crate::output::human;
use crate::status::Status;

/// For how long a loss makes its part degraded.
const MEMORY: Duration = Duration::from_secs(300);

/// Remembers which counters rose when.
#[derive(Debug, Default)]
pub(crate) struct HealthTracker {
    losses: BTreeMap<String, Losses>,
    /// Since when a part is as it is now.
    states: BTreeMap<String, (HealthStatus, SystemTime)>,
}

/// A counter of something bad.
#[derive(Debug)]
struct Losses {
    /// The count when the present trouble began.
    before: u64,
    count: u64,
    rose: Option<SystemTime>,
}

/// What the agent may do, as far as its sources have a use for it.
fn privileges(status: &Status) -> Option<ComponentHealth> {
    // Performance samples need none.
    if status.plan.iter().all(|kind| kind.kind == "performance.sample") {
        return None;
    }
    let missing = &status.standing.missing;
    let names: Vec<&str> = missing.iter().map(|missing| missing.capability.as_str()).collect();
    let Some(first) = missing.first() else { return Some(ComponentHealth::healthy("privileges")) };
    let reason = format!("{} missing: {}", names.join(", "), first.without);
    Some(ComponentHealth::not_healthy("privileges", HealthStatus::Degraded, reason))
}

impl HealthTracker {
    /// The health by these counters and by what the sources say.
    pub(crate) fn report(
        &mut self,
        status: &Status,
        sources: &[SourceHealth],
        now: SystemTime,
    ) -> HealthReport {
        let mut parts: Vec<ComponentHealth> = sources.iter().map(ComponentHealth::from).collect();
        parts.extend(privileges(status));
        parts.extend(self.capture(status, now));
        parts.extend(self.subscribers(status, now));
        parts.extend(self.store(status, now));
        parts.extend(self.detection(status, now));
        for part in &mut parts {
            let (state, since) = self.states.entry(part.name.clone()).or_insert((part.status, now));
            if *state != part.status {
                (*state, *since) = (part.status, now);
            }
            part.since.get_or_insert(*since);
        }
        parts.into_iter().collect()
    }

    /// The kernel side: its rings, and what this kernel does not allow.
    fn capture(&mut self, status: &Status, now: SystemTime) -> Vec<ComponentHealth> {
        let missing = not_captured(&status.plan);
        let hooks = if let Some(refused) = &status.kernel_refused {
            let reason = format!("/proc is polled instead: {refused}");
            ComponentHealth::not_healthy("hooks", HealthStatus::Degraded, reason)
        } else if missing.is_empty() {
            ComponentHealth::healthy("hooks")
        } else {
            ComponentHealth::not_healthy("hooks", HealthStatus::Degraded, missing.join("; "))
        };
        let mut parts = if status.plan.is_empty() { Vec::new() } else { vec![hooks] };
        parts.extend(self.self_check(&status.self_check, now));
        for domain in &status.capture.domains {
            let losses = status.capture.losses.iter();
            let lost: u64 = losses
                .filter(|loss| loss.is_loss && loss.domain == domain.domain)
                .map(|loss| loss.count)
                .sum();
            let name = format!("ring {}", domain.domain);
            parts.push(self.losing(name, lost + domain.decode_errors, "events lost in the kernel", now));
        }
        parts
    }

    /// Whether the kernel programs run, as far as that was tried.
    fn self_check(&mut self, check: &SelfCheck, now: SystemTime) -> Option<ComponentHealth> {
        let name = "self-check".to_owned();
        if check.rounds == 0 {
            return None;
        }
        let repaired = self.losing(
            name.clone(),
            check.repaired,
            "things that kept kernel programs from running had to be put right",
            now,
        );
        let troubles = check.troubles();
        if troubles.is_empty() {
            return Some(repaired);
        }
        let reason = troubles.iter().map(|trouble| trouble.what.as_str()).collect::<Vec<_>>().join("; ");
        Some(ComponentHealth::not_healthy(name, HealthStatus::Degraded, reason))
    }

    fn subscribers(&mut self, status: &Status, now: SystemTime) -> Vec<ComponentHealth> {
        let mut parts = Vec::new();
        for subscriber in &status.bus.subscribers {
            let name = format!("queue {}", subscriber.name);
            parts.push(self.losing(name, subscriber.dropped, "events dropped because it was full", now));
        }
        for output in &status.outputs {
            let part = self.losing("output".to_owned(), output.lost, "events could not be written", now);
            parts.push(match &output.last_error {
                Some(error) if part.status != HealthStatus::Healthy => {
                    ComponentHealth::not_healthy("output", HealthStatus::Unhealthy, error)
                }
                _ => part,
            });
        }
        parts
    }

    fn store(&mut self, status: &Status, now: SystemTime) -> Option<ComponentHealth> {
        let store = status.store.as_ref()?;
        let part = self.losing("store".to_owned(), store.lost_total(), "events could not be stored", now);
        if store.failing {
            let error = store.last_error.clone().unwrap_or_else(|| "the last write failed".to_owned());
            return Some(ComponentHealth::not_healthy("store", HealthStatus::Unhealthy, error));
        }
        Some(part)
    }

    fn detection(&mut self, status: &Status, now: SystemTime) -> Vec<ComponentHealth> {
        let Some(detector) = &status.detector else { return Vec::new() };
        let mut parts = Vec::new();
        for (chain, counts) in &detector.triggers.collectors {
            let dropped = counts.rate_limited + counts.queue_full + counts.expired;
            let failed = counts.failed + counts.timed_out;
            let dropped = self.losing(format!("chain {chain}"), dropped, "requests dropped", now);
            let failed =
                self.losing(format!("chain {chain} runs"), failed, "runs failed or took too long", now);
            parts.push(if failed.status > dropped.status {
                ComponentHealth { name: dropped.name, ..failed }
            } else {
                dropped
            });
        }
        let alerts = &detector.analysis.alerts;
        let lost = alerts.refused + alerts.unrouted;
        parts.push(self.losing("alerts".to_owned(), lost, "alerts could not be raised", now));
        parts
    }

    /// A part that is degraded while this count has risen lately.
    fn losing(&mut self, name: String, count: u64, what: &str, now: SystemTime) -> ComponentHealth {
        let losses = self.losses.entry(name.clone()).or_insert(Losses { before: 0, count: 0, rose: None });
        let lately = |rose: SystemTime| now.duration_since(rose).is_ok_and(|age| age < MEMORY);
        if !losses.rose.is_some_and(lately) {
            losses.before = losses.count;
            losses.rose = None;
        }
        if count > losses.count {
            losses.rose = Some(now);
        }
        losses.count = count;
        match losses.rose {
            None => ComponentHealth::healthy(name),
            Some(rose) => {
                let reason = format!("{} {what}", human::count(count.saturating_sub(losses.before)));
                ComponentHealth::not_healthy(name, HealthStatus::Degraded, reason).since(rose)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use collector_sources::check::SilentProgram;
    use collector_sources::{CaptureStats, DomainStats, LossCount};
    use collector_store::StoreStats;

    use super::*;
    use crate::capture::PlannedKind;
    use crate::privileges::Missing;
    use crate::status::{BusStatus, SubscriberStatus};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn status(lost: u64) -> Status {
        Status {
            plan: vec![PlannedKind {
                kind: "file.open".to_owned(),
                captured: true,
                ..PlannedKind::default()
            }],
            capture: CaptureStats {
                domains: vec![DomainStats { domain: "file".to_owned(), ..DomainStats::default() }],
                losses: vec![LossCount {
                    domain: "file".to_owned(),
                    kind: "file.open".to_owned(),
                    reason: "ring_full".to_owned(),
                    count: lost,
                    is_loss: true,
                }],
                ..CaptureStats::default()
            },
            bus: BusStatus {
                subscribers: vec![SubscriberStatus {
                    name: "store".to_owned(),
                    ..SubscriberStatus::default()
                }],
                ..BusStatus::default()
            },
            store: Some(StoreStats::default()),
            ..Status::default()
        }
    }

    /// What is not healthy, with its reason.
    fn troubles(report: &HealthReport) -> Vec<(&str, &str)> {
        let bad = report.components.iter().filter(|part| part.status > HealthStatus::Unknown);
        bad.map(|part| (part.name.as_str(), part.reason.as_deref().unwrap_or(""))).collect()
    }

    #[test]
    fn a_loss_degrades_its_part_for_a_while() {
        let mut tracker = HealthTracker::default();
        let mut report = |lost, seconds| tracker.report(&status(lost), &[], at(seconds));
        assert_eq!((report(0, 0).status, troubles(&report(0, 0)).len()), (HealthStatus::Healthy, 0));
        let degraded = report(5, 10);
        assert_eq!(degraded.status, HealthStatus::Degraded);
        assert_eq!(troubles(&degraded), [("ring file", "5 events lost in the kernel")]);
        assert_eq!(troubles(&report(7, 200)), [("ring file", "7 events lost in the kernel")]);
        assert_eq!(report(7, 499).components[0].since, Some(at(200)));
        assert_eq!(troubles(&report(7, 500)), []);
        // The next trouble counts from its own beginning.
        assert_eq!(troubles(&report(8, 600)), [("ring file", "1 events lost in the kernel")]);
    }

    #[test]
    fn a_missing_capability_degrades_what_has_a_use_for_it() {
        let mut status = status(0);
        let missing = |name: &str| Missing { capability: name.to_owned(), without: format!("no {name}") };
        status.standing.missing = vec![missing("CAP_SYS_PTRACE"), missing("CAP_DAC_READ_SEARCH")];
        let report = HealthTracker::default().report(&status, &[], at(0));
        let reason = "CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH missing: no CAP_SYS_PTRACE";
        assert_eq!(troubles(&report), [("privileges", reason)]);
        status.plan[0].kind = "performance.sample".to_owned();
        let report = HealthTracker::default().report(&status, &[], at(0));
        assert_eq!(troubles(&report), []);
    }

    #[test]
    fn losses_before_the_first_look_count() {
        let mut tracker = HealthTracker::default();
        let report = tracker.report(&status(3), &[], at(0));
        assert_eq!(troubles(&report), [("ring file", "3 events lost in the kernel")]);
    }

    #[test]
    fn a_store_that_fails_now_is_worse_than_one_that_lost_something() {
        let mut tracker = HealthTracker::default();
        let mut status = status(1);
        status.store = Some(StoreStats {
            failing: true,
            last_error: Some("disk full".to_owned()),
            lost: BTreeMap::from([("disk_full".to_owned(), 9)]),
            ..StoreStats::default()
        });
        let report = tracker.report(&status, &[], at(0));
        assert_eq!(report.status, HealthStatus::Unhealthy);
        assert_eq!(troubles(&report)[0], ("store", "disk full"));
        status.store.as_mut().unwrap().failing = false;
        let report = tracker.report(&status, &[], at(1));
        assert!(troubles(&report).contains(&("store", "9 events could not be stored")), "{report:?}");
        // The state changed a moment ago, and the trouble began before.
        let store = report.components.iter().find(|part| part.name == "store").unwrap();
        assert_eq!((store.status, store.since), (HealthStatus::Degraded, Some(at(0))));
    }

    #[test]
    fn silent_programs_are_trouble_while_they_are_silent_and_a_while_after() {
        let mut tracker = HealthTracker::default();
        let mut status = status(0);
        let mut check = SelfCheck { rounds: 1, ..SelfCheck::default() };
        status.self_check = check.clone();
        assert_eq!(troubles(&tracker.report(&status, &[], at(0))), []);
        check.silent.push(SilentProgram {
            program: "open_done".to_owned(),
            calls: vec!["openat".to_owned()],
            instead: Some("tier B for file.open".to_owned()),
            since_ns: 0,
            ran: true,
        });
        status.self_check = check;
        let expected =
            "1 kernel program does not run: open_done (tried: openat); instead: tier B for file.open";
        let report = tracker.report(&status, &[], at(10));
        assert_eq!(
            (report.status, troubles(&report)),
            (HealthStatus::Degraded, vec![("self-check", expected)])
        );
        status.self_check.silent.clear();
        status.self_check.repaired = 1;
        let report = tracker.report(&status, &[], at(20));
        assert_eq!(
            troubles(&report),
            [("self-check", "1 things that kept kernel programs from running had to be put right")]
        );
        assert_eq!(troubles(&tracker.report(&status, &[], at(320))), []);
    }

    #[test]
    fn what_a_kernel_does_not_allow_is_no_secret() {
        let mut status = status(0);
        status.plan[0].captured = false;
        status.plan[0].lacks.push("this kernel has no hooks".to_owned());
        let report = HealthTracker::default().report(&status, &[], at(0));
        assert_eq!(troubles(&report), [("hooks", "not captured: file.open: this kernel has no hooks")]);
    }
}
