//! Time: what passes by the monotonic clock, whatever the clock on the wall says, and who is woken when.

use std::time::SystemTime;

use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn name_is_x() -> ConditionType {
    ConditionType::ProcessNamePattern("x".to_owned())
}

fn manager_of(config: TriggerConfig, capabilities: TriggerCapabilities) -> TriggerManager {
    let manager = manager_with(config, capabilities);
    manager.register_condition(condition("c", name_is_x())).unwrap();
    manager
}

/// How many requests an event of this process makes, whose time is as given.
fn requests_at(manager: &TriggerManager, pid: u32, timestamp: SystemTime) -> usize {
    manager.evaluate(&CollectionEvent::Process(ProcessEvent { timestamp, ..exec(pid, "x", "/x") })).len()
}

fn requests(manager: &TriggerManager, pid: u32) -> usize {
    requests_at(manager, pid, SystemTime::now())
}

/// Times as a clock gives them that jumps about: today, 1970, long before it, and as late as there is.
fn jumping_clock() -> [SystemTime; 4] {
    let epoch = SystemTime::UNIX_EPOCH;
    let ages = Duration::from_secs(1 << 40);
    [SystemTime::now(), epoch, epoch - ages, epoch + Duration::from_secs(i64::MAX as u64)]
}

#[tokio::test(start_paused = true)]
async fn repetitions_and_rates_know_no_clock_on_the_wall() {
    let config = TriggerConfig { deduplication_window: 10 * SECOND, ..TriggerConfig::default() };
    let manager = manager_of(config, TriggerCapabilities { max_trigger_rate: 2, ..capabilities() });
    for timestamp in jumping_clock() {
        // Two a second, each once in ten seconds.
        let made: Vec<_> = [1, 1, 2, 3].map(|pid| requests_at(&manager, pid, timestamp)).into();
        assert_eq!(made, [1, 0, 1, 0], "{timestamp:?}");
        advance(10 * SECOND).await;
    }
    let counts = manager.statistics().totals();
    assert_eq!((counts.requested, counts.deduplicated, counts.rate_limited), (8, 4, 4));
}

#[tokio::test(start_paused = true)]
async fn requests_wait_as_long_as_they_may_and_not_longer() {
    let manager = manager_of(TriggerConfig::default(), capabilities());
    for (pid, timestamp) in (1..).zip(jumping_clock()) {
        assert_eq!(requests_at(&manager, pid, timestamp), 1);
    }
    advance(30 * SECOND).await;
    let task = manager.try_next(|_| true).expect("its time is not over");
    assert_eq!(task.request().target_pid, Some(1));
    advance(Duration::from_millis(1)).await;
    assert!(manager.try_next(|_| true).is_none());
    let counts = manager.statistics().totals();
    assert_eq!((counts.started, counts.expired, counts.pending), (1, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_may_be_asked_for_again() {
    let limits = TriggerResourceLimits { max_queue_depth: 1, ..TriggerResourceLimits::default() };
    let manager = manager_of(
        TriggerConfig::default(),
        TriggerCapabilities { resource_limits: limits, ..capabilities() },
    );
    assert_eq!([requests(&manager, 1), requests(&manager, 1)], [1, 0]);
    // Something more urgent takes its place.
    let urgent = TriggerCondition {
        priority: TriggerPriority::High,
        ..condition("urgent", ConditionType::ProcessNamePattern("y".to_owned()))
    };
    manager.register_condition(urgent).unwrap();
    assert_eq!(manager.evaluate(&CollectionEvent::Process(exec(2, "y", "/y"))).len(), 1);
    drop(manager.try_next(|_| true).expect("the urgent one"));
    assert_eq!(requests(&manager, 1), 1, "nobody has looked at it");
    advance(31 * SECOND).await;
    assert_eq!(requests(&manager, 1), 1, "it has waited in vain");
    let counts = manager.statistics().totals();
    assert_eq!((counts.requested, counts.queue_full, counts.expired, counts.deduplicated), (4, 1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_vain_for_one_collector_keeps_no_place_from_another() {
    let config = TriggerConfig { max_pending_triggers: 3, ..TriggerConfig::default() };
    let patience = config.default_timeout;
    let manager = manager_of(config, capabilities());
    let other = TriggerCapabilities { collector_id: "other".to_owned(), ..capabilities() };
    manager.register_collector_capabilities(other).unwrap();
    let for_other = TriggerCondition {
        target_collector: "other".to_owned(),
        ..condition("other", ConditionType::ProcessNamePattern("y".to_owned()))
    };
    manager.register_condition(for_other).unwrap();
    let met_by_other = |pid| manager.evaluate(&CollectionEvent::Process(exec(pid, "y", "/y"))).len();
    assert_eq!([1, 2, 3].map(|pid| requests(&manager, pid)), [1; 3]);
    assert_eq!(met_by_other(4), 0, "there is no room left");
    advance(patience + SECOND).await;
    assert_eq!(met_by_other(5), 1);
    let counts = manager.statistics().totals();
    assert_eq!((counts.expired, counts.queue_full, counts.pending), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_urgent_comes_in_where_all_together_are_too_many() {
    let manager =
        manager_of(TriggerConfig { max_pending_triggers: 2, ..TriggerConfig::default() }, capabilities());
    let urgent = TriggerCondition {
        priority: TriggerPriority::High,
        ..condition("urgent", ConditionType::ProcessNamePattern("y".to_owned()))
    };
    manager.register_condition(urgent).unwrap();
    assert_eq!([1, 2, 3].map(|pid| requests(&manager, pid)), [1, 1, 0]);
    assert_eq!(manager.evaluate(&CollectionEvent::Process(exec(4, "y", "/y"))).len(), 1);
    let first = manager.try_next(|_| true).expect("two wait");
    assert_eq!(first.request().priority, TriggerPriority::High);
    let counts = manager.statistics().totals();
    assert_eq!((counts.requested, counts.queue_full, counts.pending), (3, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_analysis_that_takes_too_long_is_abandoned_after_its_time() {
    let limits = TriggerResourceLimits { max_analysis_time_ms: 5_000, ..TriggerResourceLimits::default() };
    let mut served = serve(limits).await;
    let begin = tokio::time::Instant::now();
    served.publish(1, "/x").await;
    served.told().await;
    let counts = served.end().await;
    assert_eq!((counts.started, counts.timed_out, counts.running), (1, 1, 0));
    assert!((5 * SECOND..6 * SECOND).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn whoever_waits_for_another_collector_is_woken_too() {
    let manager = manager();
    let other = TriggerCapabilities { collector_id: "scanner".to_owned(), ..capabilities() };
    manager.register_collector_capabilities(other).unwrap();
    for (id, target) in [("h", "hasher"), ("s", "scanner")] {
        let target_collector = target.to_owned();
        manager
            .register_condition(TriggerCondition { target_collector, ..condition(id, name_is_x()) })
            .unwrap();
    }
    let wait_for = |collector: &'static str| {
        let manager = manager.clone();
        tokio::spawn(
            async move { manager.next(|id| id == collector).await.unwrap().request().trigger_id.clone() },
        )
    };
    let waiting = [wait_for("hasher"), wait_for("nobody"), wait_for("scanner")];
    tokio::task::yield_now().await;
    assert_eq!(requests(&manager, 1), 2);
    let [hasher, nobody, scanner] = waiting;
    for (task, id) in [(hasher, "h-"), (scanner, "s-")] {
        let got = tokio::time::timeout(10 * SECOND, task).await.expect("woken").unwrap();
        assert!(got.starts_with(id), "{got}");
    }
    nobody.abort();
}

#[test]
fn capabilities_that_are_said_again_hold_from_then_on() {
    let with = |depth| TriggerCapabilities {
        resource_limits: TriggerResourceLimits { max_queue_depth: depth, ..TriggerResourceLimits::default() },
        ..capabilities()
    };
    let manager = manager_of(TriggerConfig::default(), with(1));
    assert_eq!([requests(&manager, 1), requests(&manager, 2)], [1, 0]);
    manager.register_collector_capabilities(with(2)).unwrap();
    assert_eq!([requests(&manager, 2), requests(&manager, 3)], [1, 0]);
    assert_eq!(manager.statistics().totals().pending, 2);
}
