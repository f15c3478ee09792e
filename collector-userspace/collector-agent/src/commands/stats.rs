//! `collector stats`: what the running agent, or the last one, counted.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use collector_core::analysis::AnalysisStatistics;
use collector_core::{ComponentHealth, HealthStatus, TriggerStatistics};
use collector_sources::SelfCheck;
use collector_sources::check::UntriedProgram;
use collector_sources::performance::PerformanceStats;

use super::Context;
use super::last::{last_status, warning};
use crate::cli::{ReportFormat, StatsArgs};
use crate::detector::DetectorStats;
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{human, message, print};
use crate::status::{Status, SubscriberStatus};

pub(super) fn run(context: &Context, args: &StatsArgs) -> Result<(), Failure> {
    let config = context.configure()?.config;
    let (status, running) = last_status(context, &config, args.runtime_dir.as_deref())?;
    match args.format {
        ReportFormat::Json => {
            let mut document = serde_json::to_value(&status)?;
            if let Some(members) = document.as_object_mut() {
                members.insert("running".to_owned(), running.into());
            }
            print(&format!("{document}\n"))?;
        }
        ReportFormat::Text => print(&render(&status, running, SystemTime::now()))?,
    }
    if let Some(warning) = warning(&status, running, SystemTime::now()) {
        message(format_args!("{warning}"));
    }
    Ok(())
}

fn render(status: &Status, running: bool, now: SystemTime) -> String {
    let mut out = String::new();
    head(&mut out, status, running, now);
    capture(&mut out, status);
    self_check(&mut out, status, now);
    polling(&mut out, status);
    samples(&mut out, status);
    bus(&mut out, status);
    outputs(&mut out, status);
    store(&mut out, status);
    detector(&mut out, status);
    programs(&mut out, status);
    out
}

fn head(out: &mut String, status: &Status, running: bool, now: SystemTime) {
    let Status { version, pid, cost, .. } = status;
    let end = if running { now } else { status.written() };
    let time = end.duration_since(status.started()).unwrap_or(Duration::ZERO);
    let cpu = Duration::from_nanos(cost.cpu_ns);
    let counted = status.written().duration_since(status.started()).unwrap_or(Duration::ZERO);
    let share = cpu.as_secs_f64() / counted.as_secs_f64().max(0.001) * 100.0;
    let state = if running { "running for" } else { "ended after" };
    let (kernel, later) = status.lost();
    let lost = match kernel + later {
        0 => "none lost".to_owned(),
        _ => format!("LOST: {} in the kernel, {} on the way out", human::count(kernel), human::count(later)),
    };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "collector {version}, pid {pid}, {state} {}", human::duration(time));
    let _ = writeln!(
        out,
        "{} events, {lost}; {} of processor time ({share:.2} %) after {} to start, {}",
        human::count(status.bus.published),
        human::duration(cpu),
        human::duration(Duration::from_nanos(cost.startup_cpu_ns)),
        human::bytes(cost.rss_bytes)
    );
    let troubles = status.health.components.iter().filter(|part| part.status > HealthStatus::Unknown);
    for ComponentHealth { name, status, reason, since: _ } in troubles {
        let _ = writeln!(out, "{name} is {status}: {}", reason.as_deref().unwrap_or_default());
    }
    for source in status.sources.iter().filter(|source| source.last_error.is_some()) {
        let error = source.last_error.as_deref().unwrap_or_default();
        let _ = writeln!(out, "source {} {}: {error}", source.name, source.state);
    }
}

fn section(out: &mut String, name: &str, table: &Table) {
    if !table.is_empty() {
        let _ = write!(out, "\n{name}\n{}", table.render());
    }
}

fn capture(out: &mut String, status: &Status) {
    let mut ledger = Table::new(&["domain", ">sent", ">received", ">lost", ">gaps", ">undecodable", ">ring"]);
    for domain in &status.capture.domains {
        ledger.row([
            domain.domain.clone(),
            human::count(domain.sent),
            human::count(domain.received),
            human::count(domain.lost),
            human::count(domain.gaps),
            human::count(domain.decode_errors),
            human::bytes(domain.ring_bytes),
        ]);
    }
    section(out, "Kernel records (received + lost = sent, once the rings are drained)", &ledger);
    let mut losses = Table::new(&["kind", "reason", ">count", ""]);
    for loss in &status.capture.losses {
        let what = if loss.is_loss { "LOST" } else { "left out" };
        losses.row([loss.kind.clone(), loss.reason.clone(), human::count(loss.count), what.to_owned()]);
    }
    section(out, "Records not sent", &losses);
    let mut limits = Table::new(&["kind", "", ""]);
    for planned in &status.plan {
        for lack in &planned.lacks {
            let state = if planned.captured { "captured without" } else { "not captured" };
            limits.row([planned.kind.clone(), state.to_owned(), lack.clone()]);
        }
    }
    section(out, "Not captured, or not in full", &limits);
}

/// From a time in nanoseconds since 1970 to now.
fn now_since(now: SystemTime, then_ns: u64) -> Duration {
    now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_nanos(then_ns)).unwrap_or(Duration::ZERO)
}

fn self_check(out: &mut String, status: &Status, now: SystemTime) {
    let SelfCheck { rounds, checked_ns, cpu_ns, round_cpu_ns, heard, untried, .. } = &status.self_check;
    let SelfCheck { repaired, replaced, restored, .. } = &status.self_check;
    if *rounds == 0 {
        return;
    }
    let _ = writeln!(
        out,
        "\nSelf-check: {} kernel programs run, as of {} ago; {} rounds took {} of processor time, a whole one {}",
        human::count(*heard),
        human::duration(now_since(now, *checked_ns)),
        human::count(*rounds),
        human::duration(Duration::from_nanos(*cpu_ns)),
        human::duration(Duration::from_nanos(*round_cpu_ns)),
    );
    for trouble in status.self_check.troubles() {
        let since = now_since(now, trouble.since_ns);
        let _ = writeln!(out, "  TROUBLE: {} (for {})", trouble.what, human::duration(since));
    }
    for remark in status.self_check.remarks() {
        let _ = writeln!(out, "  {}", remark.what);
    }
    for (count, what) in [
        (repaired, "programs were silent until they were put back"),
        (replaced, "times silent programs were replaced"),
        (restored, "times programs that had been replaced ran again"),
    ] {
        if *count > 0 {
            let _ = writeln!(out, "  {} {what}", human::count(*count));
        }
    }
    for UntriedProgram { program, reason } in untried {
        let _ = writeln!(out, "  not tried: {program}: {reason}");
    }
}

fn polling(out: &mut String, status: &Status) {
    let mut table = Table::new(&[
        "polling",
        ">looks",
        ">failed",
        ">time each",
        ">seen",
        ">gone",
        ">unreadable",
        ">beyond limit",
        ">changes",
    ]);
    for (name, stats) in &status.polling {
        table.row([
            name.clone(),
            human::count(stats.collection_cycles),
            human::count(stats.collection_errors),
            human::duration(Duration::from_nanos(stats.cycle_time_ns / stats.collection_cycles.max(1))),
            human::count(stats.seen),
            human::count(stats.vanished),
            human::count(stats.denied + stats.unreadable),
            human::count(stats.beyond_limit + stats.not_tracked),
            human::count(stats.lifecycle_events),
        ]);
    }
    section(out, "Polling of /proc", &table);
}

fn samples(out: &mut String, status: &Status) {
    let Some(stats) = status.performance else { return };
    let PerformanceStats { samples, values, failures, backwards, implausible, untracked, unreported } = stats;
    let _ = writeln!(
        out,
        "\nPerformance: {} values in {} samples, {} samples failed",
        human::count(values),
        human::count(samples),
        human::count(failures)
    );
    for (count, what) in [
        (backwards, "values left out: a counter went backwards"),
        (implausible, "values left out: more than can be"),
        (untracked, "times a process was not remembered: too many processes"),
        (unreported, "processes above a threshold not reported: too many"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "  {} {what}", human::count(count));
        }
    }
}

fn bus(out: &mut String, status: &Status) {
    let mut table = Table::new(&[
        "subscriber",
        ">delivered",
        ">dropped",
        ">queued",
        ">most queued",
        ">capacity",
        ">waited for",
        "",
    ]);
    for subscriber in &status.bus.subscribers {
        let SubscriberStatus { name, delivered, dropped, dropped_by_reason, .. } = subscriber;
        let reasons: Vec<String> = dropped_by_reason.keys().cloned().collect();
        table.row([
            name.clone(),
            human::count(*delivered),
            human::count(*dropped),
            human::count(subscriber.queued),
            human::count(subscriber.high_water_mark),
            human::count(subscriber.capacity),
            human::duration(Duration::from_nanos(subscriber.blocked_ns)),
            reasons.join(", "),
        ]);
    }
    section(out, "Queues", &table);
}

fn outputs(out: &mut String, status: &Status) {
    let mut kinds = Table::new(&["kind", ">events"]);
    for output in &status.outputs {
        let total: u64 = output.events.values().sum();
        let _ = writeln!(
            out,
            "\nOutput: {} to {}, {} events, {}, {} lost",
            output.format,
            output.target,
            human::count(total),
            human::bytes(output.bytes),
            human::count(output.lost)
        );
        if let Some(error) = &output.last_error {
            let _ = writeln!(out, "  last error: {error}");
        }
        for (kind, count) in &output.events {
            kinds.row([kind.clone(), human::count(*count)]);
        }
    }
    out.push_str(&if kinds.is_empty() { String::new() } else { kinds.render() });
}

fn store(out: &mut String, status: &Status) {
    let Some(store) = &status.store else { return };
    let _ = writeln!(
        out,
        "\nStore: {}{}, {}, {} events in {} transactions, {} lost",
        store.path,
        if store.failing { " (FAILING)" } else { "" },
        human::bytes(store.bytes),
        human::count(store.written),
        human::count(store.batches),
        human::count(store.lost_total())
    );
    for (reason, count) in &store.lost {
        let _ = writeln!(out, "  {} lost: {reason}", human::count(*count));
    }
    if store.deleted_by_age + store.deleted_by_size > 0 {
        let _ = writeln!(
            out,
            "  deleted: {} by age, {} by size",
            human::count(store.deleted_by_age),
            human::count(store.deleted_by_size)
        );
    }
    if let Some(error) = &store.last_error {
        let _ = writeln!(out, "  last error: {error}");
    }
}

/// Conditions that a table names; of more, those that were met most.
const MAX_CONDITIONS: usize = 30;

fn conditions(out: &mut String, triggers: &TriggerStatistics) {
    let mut met: Vec<(&String, u64)> = triggers.matches.iter().map(|(id, met)| (id, *met)).collect();
    met.sort_by_key(|(_, met)| std::cmp::Reverse(*met));
    let (shown, rest) = met.split_at(met.len().min(MAX_CONDITIONS));
    let mut table = Table::new(&["condition", ">met"]);
    for (id, met) in shown {
        table.row([(*id).clone(), human::count(*met)]);
    }
    section(out, &format!("Conditions ({} events looked at)", human::count(triggers.evaluated)), &table);
    if !rest.is_empty() {
        let sum = rest.iter().map(|(_, met)| met).sum();
        let rest = human::count(rest.len() as u64);
        let _ = writeln!(out, "  and {rest} more, met {} times in all", human::count(sum));
    }
}

fn detector(out: &mut String, status: &Status) {
    let Some(DetectorStats { triggers, analysis }) = &status.detector else { return };
    conditions(out, triggers);
    let mut chains = Table::new(&[
        "chain",
        ">met",
        ">repeated",
        ">too many",
        ">no room",
        ">expired",
        ">done",
        ">failed",
        ">too slow",
        ">waiting",
        ">running",
    ]);
    for (id, counts) in &triggers.collectors {
        let numbers = [
            counts.matched,
            counts.deduplicated,
            counts.rate_limited,
            counts.queue_full,
            counts.expired,
            counts.succeeded,
            counts.failed,
            counts.timed_out,
            counts.pending,
            counts.running,
        ];
        chains.row(std::iter::once(id.clone()).chain(numbers.into_iter().map(human::count)));
    }
    section(out, "Chains", &chains);
    let AnalysisStatistics { hasher, alerts, .. } = analysis;
    let hashed = hasher.requests.saturating_sub(hasher.failures + hasher.cache_hits);
    let _ = writeln!(
        out,
        "\nAlerts: {} raised, {} not taken by the bus",
        human::count(alerts.delivered),
        human::count(alerts.refused + alerts.unrouted)
    );
    let _ = writeln!(
        out,
        "Files: {} hashed ({}), {} known from before, {} could not be hashed",
        human::count(hashed),
        human::bytes(hasher.bytes_hashed),
        human::count(hasher.cache_hits),
        human::count(hasher.failures)
    );
    for (name, analyzer) in &analysis.analyzers {
        let wrong = analyzer.failures + analyzer.timeouts + analyzer.panics;
        if wrong > 0 {
            let _ = writeln!(
                out,
                "  {name}: {} of {} runs failed, {} took too long, {} panicked",
                human::count(analyzer.failures),
                human::count(analyzer.runs),
                human::count(analyzer.timeouts),
                human::count(analyzer.panics)
            );
        }
    }
}

fn programs(out: &mut String, status: &Status) {
    let mut table = Table::new(&["program", ">runs", ">time", ">per run", ">missed"]);
    for program in status.capture.programs.iter().filter(|program| program.run_count + program.missed > 0) {
        table.row([
            program.name.clone(),
            human::count(program.run_count),
            human::duration(Duration::from_nanos(program.run_time_ns)),
            human::duration(Duration::from_nanos(program.run_time_ns / program.run_count.max(1))),
            human::count(program.missed),
        ]);
    }
    section(out, "Kernel programs", &table);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use collector_sources::{CaptureStats, DomainStats, LossCount};
    use collector_store::StoreStats;

    use super::*;
    use crate::capture::PlannedKind;
    use crate::output::OutputStats;
    use crate::status::{BusStatus, Cost};

    const START: u64 = 1_790_000_000_000_000_000;

    fn status() -> Status {
        Status {
            version: "0.1.0".to_owned(),
            pid: 4711,
            started_ns: START,
            written_ns: START + 60_000_000_000,
            interval_ns: 2_000_000_000,
            cost: Cost { cpu_ns: 90_000_000, startup_cpu_ns: 400_000_000, rss_bytes: 24 << 20 },
            plan: vec![PlannedKind {
                kind: "file.open".to_owned(),
                captured: true,
                tier: "B".to_owned(),
                lacks: vec![
                    "opens through io_uring: this kernel has no tracepoint io_uring_complete".to_owned(),
                ],
                no_better: String::new(),
            }],
            capture: CaptureStats {
                domains: vec![DomainStats {
                    domain: "process".to_owned(),
                    sent: 12_345,
                    received: 12_340,
                    lost: 5,
                    gaps: 5,
                    decode_errors: 0,
                    ring_bytes: 8 << 20,
                }],
                losses: vec![LossCount {
                    domain: "process".to_owned(),
                    kind: "process.exec".to_owned(),
                    reason: "ring_full".to_owned(),
                    count: 5,
                    is_loss: true,
                }],
                ..CaptureStats::default()
            },
            bus: BusStatus {
                published: 12_341,
                lost_at_shutdown: 0,
                subscribers: vec![SubscriberStatus {
                    name: "output".to_owned(),
                    delivered: 12_341,
                    capacity: 16_384,
                    high_water_mark: 512,
                    ..SubscriberStatus::default()
                }],
            },
            outputs: vec![OutputStats {
                format: "json".to_owned(),
                target: "standard output".to_owned(),
                events: BTreeMap::from([("process.exec".to_owned(), 12_340), ("loss".to_owned(), 1)]),
                bytes: 9_876_543,
                ..OutputStats::default()
            }],
            store: Some(StoreStats {
                path: "/var/lib/collector/collector.db".to_owned(),
                written: 12_300,
                batches: 240,
                lost: BTreeMap::from([("disk_full".to_owned(), 41)]),
                failing: true,
                last_error: Some("database or disk is full".to_owned()),
                bytes: 11 << 20,
                ..StoreStats::default()
            }),
            detector: Some(detector_stats()),
            ..Status::default()
        }
    }

    fn detector_stats() -> DetectorStats {
        serde_json::from_value(serde_json::json!({
            "triggers": {
                "evaluated": 12_000,
                "conditions": 1,
                "matches": { "from-tmp": 7 },
                "collectors": { "verdict": { "matched": 7, "deduplicated": 2, "succeeded": 4, "pending": 1 } },
            },
            "analysis": {
                "alerts": { "delivered": 3, "refused": 1 },
                "hasher": { "requests": 5, "cache_hits": 2, "failures": 1, "bytes_hashed": 2_000_000 },
                "analyzers": {
                    "enrichment": { "runs": 5, "failures": 1, "run_time": "1s", "longest_run": "1s" },
                    "detection": { "runs": 5, "run_time": "1s", "longest_run": "1s" },
                },
            },
        }))
        .unwrap()
    }

    fn at(nanos: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(START + nanos)
    }

    #[test]
    fn tables_are_aligned_and_losses_stand_out() {
        insta::assert_snapshot!(render(&status(), true, at(61_000_000_000)));
    }

    #[test]
    fn of_many_conditions_those_that_were_met_are_shown() {
        let matches: BTreeMap<String, u64> = (0..1_000).map(|n| (format!("c{n:03}"), n / 900)).collect();
        let mut triggers = TriggerStatistics::default();
        triggers.matches = matches;
        let mut out = String::new();
        conditions(&mut out, &triggers);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 34, "{out}");
        assert_eq!((lines[3], lines[33]), ("  c900         1", "  and 970 more, met 70 times in all"));
    }
}
