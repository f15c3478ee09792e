//! Triggers from events to handlers.

mod again;
mod time;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::analysis::{AnalysisChainConfig, AnalysisChainCoordinator};
use crate::bus::{EventBusConfig, EventFilter, EventSubscription, LocalEventBus, OverflowPolicy};
use crate::event::{
    AnalysisType, CollectionEvent, ExecId, PerformanceEvent, ProcessEvent, ProcessEventKind, ProcessRef,
    Text, TriggerPriority, TriggerRequest,
};

fn capabilities() -> TriggerCapabilities {
    use ConditionType as C;
    TriggerCapabilities {
        collector_id: "hasher".to_owned(),
        supported_conditions: vec![
            C::ProcessNamePattern(String::new()),
            C::ExecutablePathPattern(String::new()),
            C::MissingExecutable,
            C::HashMismatch,
            C::SuspiciousParentChild,
            C::ResourceAnomaly { cpu_threshold: 0.0, memory_threshold: 0 },
            C::Sql(String::new()),
            C::Custom(String::new()),
        ],
        supported_analysis: vec![AnalysisType::BinaryHash],
        max_trigger_rate: 1000,
        max_concurrent_analysis: 2,
        supported_priorities: vec![TriggerPriority::Low, TriggerPriority::Normal, TriggerPriority::High],
        resource_limits: TriggerResourceLimits::default(),
    }
}

fn manager_with(config: TriggerConfig, capabilities: TriggerCapabilities) -> TriggerManager {
    let manager = TriggerManager::new(config).unwrap();
    manager.register_collector_capabilities(capabilities).unwrap();
    manager
}

fn manager() -> TriggerManager {
    manager_with(TriggerConfig::default(), capabilities())
}

fn condition(id: &str, condition_type: ConditionType) -> TriggerCondition {
    TriggerCondition {
        id: id.to_owned(),
        description: "of a test".to_owned(),
        analysis_type: AnalysisType::BinaryHash,
        priority: TriggerPriority::Normal,
        target_collector: "hasher".to_owned(),
        condition_type,
    }
}

fn exec(pid: u32, name: &str, executable: &str) -> ProcessEvent {
    ProcessEvent {
        pid,
        name: name.to_owned(),
        executable_path: Some(executable.into()),
        kind: ProcessEventKind::Exec,
        exec_id: Some(ExecId { boot: 1, pid, start_ticks: 5, image: 7 }),
        ..ProcessEvent::default()
    }
}

/// Panics unless a condition is met by the one event and not by the other.
#[track_caller]
fn check(condition_type: ConditionType, yes: ProcessEvent, no: ProcessEvent) {
    let manager = manager();
    manager.register_condition(condition("c", condition_type)).unwrap();
    assert_eq!(manager.evaluate(&CollectionEvent::Process(no)).len(), 0);
    assert_eq!(manager.evaluate(&CollectionEvent::Process(yes)).len(), 1);
    let statistics = manager.statistics();
    assert_eq!((statistics.evaluated, statistics.matches["c"]), (2, 1));
}

#[test]
fn each_kind_of_condition_is_met_by_what_it_says() {
    use ConditionType as C;
    let name = |pattern: &str| C::ProcessNamePattern(pattern.to_owned());
    let path = |pattern: &str| C::ExecutablePathPattern(pattern.to_owned());
    check(name("mal"), exec(1, "xMALx", "/x"), exec(1, "ma", "/mal"));
    check(name("mal*"), exec(1, "malware", "/x"), exec(1, "xmalware", "/x"));
    check(path("/tmp/"), exec(1, "x", "/TMP/x"), exec(1, "x", "/usr/tmp"));
    check(path("/tmp/*.sh"), exec(1, "x", "/tmp/a/b.sh"), exec(1, "x", "/tmp/a.shx"));
    check(path("/a[1]?"), exec(1, "x", "/a[1]2"), exec(1, "x", "/a12"));
    let gone = ProcessEvent { file_exists: false, ..exec(1, "x", "/x") };
    check(C::MissingExecutable, gone, exec(1, "x", "/x"));
    let child_of = |parent: &str, child: &str| {
        let parent = ProcessRef {
            pid: 1,
            exec_id: None,
            name: parent.into(),
            executable: None,
            uid: None,
            container_id: None,
        };
        ProcessEvent { ancestors: [Arc::new(parent)].into(), ..exec(2, child, "/bin/x") }
    };
    check(C::SuspiciousParentChild, child_of("nginx", "sh"), child_of("bash", "sh"));
    let takes = |cpu, memory| ProcessEvent { cpu_usage: cpu, memory_usage: memory, ..exec(1, "x", "/x") };
    let anomaly = C::ResourceAnomaly { cpu_threshold: 50.0, memory_threshold: 1000 };
    check(anomaly.clone(), takes(Some(50.1), None), takes(Some(50.0), Some(1000)));
    check(anomaly, takes(None, Some(1001)), takes(None, None));
    check(C::Sql("name = 'nc' AND pid > 5".to_owned()), exec(6, "nc", "/x"), exec(5, "nc", "/x"));
}

#[test]
fn samples_of_processes_can_be_anomalies() {
    let manager = manager();
    let anomaly = ConditionType::ResourceAnomaly { cpu_threshold: 50.0, memory_threshold: 1000 };
    manager.register_condition(condition("c", anomaly)).unwrap();
    // Each of another process, so that none is the repetition of another.
    let mut pid = 0;
    let mut asks = |metric: &str, unit: &str, value, of_process: bool| {
        pid += 1;
        let name: Text = "hog".into();
        let exec_id = Some(ExecId { boot: 1, pid, start_ticks: 1, image: 1 });
        let executable = Some(format!("/x{pid}").into());
        let process = ProcessRef { pid, exec_id, name, executable, uid: None, container_id: None };
        let event = CollectionEvent::Performance(PerformanceEvent {
            metric_name: metric.to_owned(),
            value,
            unit: unit.to_owned(),
            pid: of_process.then_some(pid),
            process: of_process.then(|| Arc::new(process)),
            ..PerformanceEvent::default()
        });
        let requests = manager.evaluate(&event);
        if let [request] = &*requests {
            assert_eq!(request.target_path, Some(format!("/x{pid}")));
        }
        requests.len()
    };
    assert_eq!([asks("cpu_usage", "percent", 50.1, true), asks("cpu_usage", "percent", 50.0, true)], [1, 0]);
    assert_eq!(
        [asks("memory_usage", "bytes", 1001.0, true), asks("memory_usage", "bytes", 1000.0, true)],
        [1, 0]
    );
    // The whole system, another metric, another unit, and what is no number.
    assert_eq!(asks("cpu_usage", "percent", 99.0, false), 0);
    assert_eq!(asks("disk_read", "bytes/s", 1e9, true), 0);
    assert_eq!(asks("memory_usage", "percent", 1e9, true), 0);
    assert_eq!(asks("cpu_usage", "percent", f64::NAN, true), 0);
}

#[test]
fn a_hash_that_changes_under_the_same_path_is_a_mismatch() {
    let manager = manager();
    manager.register_condition(condition("c", ConditionType::HashMismatch)).unwrap();
    let hashed = |pid, path: &str, hash: &str| {
        let event = ProcessEvent { executable_hash: Some(hash.to_owned()), ..exec(pid, "x", path) };
        manager.evaluate(&CollectionEvent::Process(event)).len()
    };
    assert_eq!([hashed(1, "/a", "1"), hashed(2, "/b", "2"), hashed(3, "/a", "1")], [0, 0, 0]);
    assert_eq!([hashed(4, "/a", "3"), hashed(5, "/a", "3"), hashed(6, "/a", "1")], [1, 0, 1]);
}

#[test]
fn a_predicate_that_panics_harms_no_other_condition() {
    let manager = manager();
    manager.register_predicate("breaks", |_: &CollectionEvent| panic!("it breaks"));
    manager.register_predicate("odd", |event: &CollectionEvent| event.pid().is_some_and(|pid| pid % 2 == 1));
    for name in ["breaks", "odd"] {
        manager.register_condition(condition(name, ConditionType::Custom(name.to_owned()))).unwrap();
    }
    for pid in 1..5 {
        let requests = manager.evaluate(&CollectionEvent::Process(exec(pid, "x", "/x")));
        assert_eq!(requests.len() as u32, pid % 2);
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_reason_and_changes_nothing() {
    let manager = manager();
    let sql = |text: &str| ConditionType::Sql(text.to_owned());
    let unsupported =
        TriggerCondition { priority: TriggerPriority::Critical, ..condition("c", sql("pid = 1")) };
    let elsewhere =
        TriggerCondition { target_collector: "yara".to_owned(), ..condition("c", sql("pid = 1")) };
    for (condition, reason) in [
        (condition("c", sql("pid = ")), "condition \"c\": "),
        (condition("c", sql("pit = 1")), "condition \"c\": "),
        (condition("c", ConditionType::Custom("none".to_owned())), "condition \"c\": there is no predicate"),
        (
            condition("c", ConditionType::ProcessNamePattern(String::new())),
            "condition \"c\": the pattern is empty",
        ),
        (unsupported, "condition \"c\": collector \"hasher\" does not offer the priority Critical"),
        (elsewhere, "condition \"c\" is for \"yara\", which is not registered"),
    ] {
        let error = manager.register_condition(condition).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
    manager.register_condition(condition("c", sql("pid = 1"))).unwrap();
    let twice = manager.register_condition(condition("c", sql("pid = 2"))).unwrap_err();
    assert_eq!(twice, TriggerError::DuplicateCondition { id: "c".to_owned() });
    assert_eq!(manager.evaluate(&CollectionEvent::Process(exec(1, "x", "/x"))).len(), 1);
    assert!(manager.unregister_condition("c") && !manager.unregister_condition("c"));
    assert_eq!(manager.evaluate(&CollectionEvent::Process(exec(1, "x", "/y"))).len(), 0);
    let wrong = TriggerCapabilities { max_trigger_rate: 0, ..capabilities() };
    let error = manager.register_collector_capabilities(wrong).unwrap_err().to_string();
    assert_eq!(error, "collector \"hasher\": max_trigger_rate is 0; it must be at least 1");
}

#[test]
fn repetitions_floods_and_full_queues_are_counted() {
    let capabilities = TriggerCapabilities {
        max_trigger_rate: 5,
        resource_limits: TriggerResourceLimits { max_queue_depth: 3, ..TriggerResourceLimits::default() },
        ..capabilities()
    };
    let manager = manager_with(TriggerConfig::default(), capabilities);
    manager.register_condition(condition("c", ConditionType::ProcessNamePattern("x".to_owned()))).unwrap();
    for pid in [1, 1, 2, 3, 4, 5, 6, 7] {
        manager.evaluate(&CollectionEvent::Process(exec(pid, "x", "/x")));
    }
    let counts = manager.statistics().totals();
    assert_eq!((counts.matched, counts.deduplicated), (8, 1));
    // Of seven the rate lets five through, and of those the queue takes three.
    assert_eq!((counts.rate_limited, counts.queue_full, counts.requested, counts.pending), (2, 2, 3, 3));
}

#[test]
fn no_condition_hides_another_one_that_the_same_event_meets() {
    let manager = manager();
    for id in ["often", "seldom"] {
        manager.register_condition(condition(id, ConditionType::ProcessNamePattern("x".to_owned()))).unwrap();
    }
    let met = || {
        let requests = manager.evaluate(&CollectionEvent::Process(exec(5, "x", "/opt/x")));
        let mut ids: Vec<String> =
            requests.iter().map(|request| request.metadata["condition"].clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(met(), ["often", "seldom"]);
    assert!(met().is_empty(), "repetitions");
}

#[test]
fn a_request_says_what_is_to_be_looked_at_and_why() {
    let manager = manager();
    manager.register_condition(condition("c", ConditionType::ProcessNamePattern("x".to_owned()))).unwrap();
    let request = manager.evaluate(&CollectionEvent::Process(exec(5, "x", "/opt/x"))).remove(0);
    assert_eq!((request.target_pid, request.target_path.as_deref()), (Some(5), Some("/opt/x")));
    assert_eq!((&*request.target_collector, request.priority), ("hasher", TriggerPriority::Normal));
    assert_eq!(request.correlation_id, "00000001-5-5-00000007");
    assert!(request.trigger_id.starts_with("c-"), "{}", request.trigger_id);
    assert_eq!(request.metadata["condition"], "c");
    assert_eq!(request.metadata["kind"], "process.exec");
}

#[tokio::test(start_paused = true)]
async fn requests_that_nobody_takes_are_given_up_and_make_room() {
    let config = TriggerConfig { max_pending_triggers: 1, ..TriggerConfig::default() };
    let patience = config.default_timeout;
    let manager = manager_with(config, capabilities());
    manager.register_condition(condition("c", ConditionType::ProcessNamePattern("x".to_owned()))).unwrap();
    for pid in 1..=3 {
        assert_eq!(manager.evaluate(&CollectionEvent::Process(exec(pid, "x", "/x"))).len(), 1);
        tokio::time::advance(patience + Duration::from_millis(1)).await;
    }
    assert!(manager.try_next(|_| true).is_none());
    let counts = manager.statistics().totals();
    assert_eq!((counts.expired, counts.pending, counts.started), (3, 0, 0));
}

/// Waits for leave to end, and tells what it does.
struct Handler {
    leave: Arc<Semaphore>,
    busy: Arc<AtomicUsize>,
    told: mpsc::UnboundedSender<(TriggerRequest, usize)>,
}

#[async_trait]
impl TriggerHandler for Handler {
    fn collector_id(&self) -> &str {
        "hasher"
    }

    async fn handle(
        &self,
        request: TriggerRequest,
        _: TriggerResourceLimits,
    ) -> Result<(), TriggerHandlerError> {
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        let path = request.target_path.clone().unwrap_or_default();
        self.told.send((request, busy)).unwrap();
        let leave = self.leave.acquire().await.unwrap();
        leave.forget();
        self.busy.fetch_sub(1, Ordering::SeqCst);
        match &*path {
            "/fails" => Err(TriggerHandlerError::new("no such file")),
            "/panics" => panic!("on purpose"),
            _ => Ok(()),
        }
    }
}

/// A bus that is served, and what the test needs of it.
struct Served {
    bus: LocalEventBus,
    manager: TriggerManager,
    leave: Arc<Semaphore>,
    told: mpsc::UnboundedReceiver<(TriggerRequest, usize)>,
    serving: tokio::task::JoinHandle<()>,
}

async fn serve(limits: TriggerResourceLimits) -> Served {
    serve_with(limits, EventSubscription::new("triggers")).await
}

async fn serve_as(subscription: EventSubscription) -> Served {
    serve_with(TriggerResourceLimits::default(), subscription).await
}

async fn serve_with(limits: TriggerResourceLimits, subscription: EventSubscription) -> Served {
    let bus = LocalEventBus::new(EventBusConfig::default()).await.unwrap();
    bus.start().await.unwrap();
    let manager = manager_with(
        TriggerConfig::default(),
        TriggerCapabilities { resource_limits: limits, ..capabilities() },
    );
    manager.register_condition(condition("c", ConditionType::ProcessNamePattern("x".to_owned()))).unwrap();
    let leave = Arc::new(Semaphore::new(0));
    let (tell, told) = mpsc::unbounded_channel();
    let handler = Handler { leave: Arc::clone(&leave), busy: Arc::default(), told: tell };
    let serving = tokio::spawn({
        let (manager, bus) = (manager.clone(), bus.clone());
        async move {
            let handler: Arc<dyn TriggerHandler> = Arc::new(handler);
            manager.serve(&bus, subscription, [handler]).await.unwrap();
        }
    });
    while bus.statistics().active_subscribers == 0 {
        tokio::task::yield_now().await;
    }
    Served { bus, manager, leave, told, serving }
}

impl Served {
    async fn publish(&self, pid: u32, path: &str) {
        self.bus.publish(CollectionEvent::Process(exec(pid, "x", path))).await.unwrap();
    }

    async fn told(&mut self) -> (TriggerRequest, usize) {
        tokio::time::timeout(Duration::from_secs(10), self.told.recv()).await.expect("in time").unwrap()
    }

    /// Closes the bus and waits for the end.
    async fn end(self) -> TriggerCounts {
        self.bus.shutdown().await;
        tokio::time::timeout(Duration::from_secs(10), self.serving).await.expect("in time").unwrap();
        self.manager.statistics().totals()
    }
}

#[tokio::test]
async fn handlers_run_as_many_at_once_as_their_collector_says() {
    let mut served = serve(TriggerResourceLimits::default()).await;
    let mut seen = served.bus.subscribe(EventFilter::new().with_event_type("trigger.request")).await.unwrap();
    for pid in 1..=5 {
        served.publish(pid, "/x").await;
    }
    let mut busiest = 0;
    for _ in 1..=5 {
        busiest = busiest.max(served.told().await.1);
        served.leave.add_permits(1);
    }
    assert!((1..=2).contains(&busiest), "{busiest}");
    for _ in 1..=5 {
        let event =
            tokio::time::timeout(Duration::from_secs(10), seen.recv()).await.expect("in time").unwrap();
        assert_eq!(event.event.kind(), "trigger.request");
    }
    let counts = served.end().await;
    assert_eq!((counts.requested, counts.started, counts.succeeded, counts.running), (5, 5, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn serving_does_not_wait_for_itself() {
    let policy = OverflowPolicy::Block { deadline: Duration::from_secs(3600) };
    let mut served =
        serve_as(EventSubscription::new("triggers").with_capacity(1).with_overflow(policy)).await;
    let requests = EventFilter::new().with_event_type("trigger.request");
    let mut seen = served.bus.subscribe(requests).await.unwrap();
    // Each event makes two requests, which is more than its queue has place for.
    let supported_analysis = vec![AnalysisType::BinaryHash, AnalysisType::YaraScan];
    let both = TriggerCapabilities { supported_analysis, ..capabilities() };
    served.manager.register_collector_capabilities(both).unwrap();
    let scan = TriggerCondition {
        analysis_type: AnalysisType::YaraScan,
        ..condition("scan", ConditionType::ProcessNamePattern("x".to_owned()))
    };
    served.manager.register_condition(scan).unwrap();
    served.leave.add_permits(20);
    for pid in 0..10 {
        served.publish(pid, "/x").await;
    }
    for _ in 0..20 {
        assert_eq!(seen.recv().await.unwrap().event.kind(), "trigger.request");
        served.told().await;
    }
    assert_eq!(served.bus.statistics().events_dropped, 0);
    assert_eq!(served.end().await.succeeded, 20);
}

#[tokio::test]
async fn a_program_started_from_tmp_is_hashed_and_alerts() {
    let directory = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
    let program = directory.path().join("tool");
    std::fs::write(&program, "abc").unwrap();
    let bus = LocalEventBus::new(EventBusConfig::default()).await.unwrap();
    bus.start().await.unwrap();
    let config = AnalysisChainConfig::default();
    let chain = AnalysisChainCoordinator::with_alert_sink(config, bus.clone()).unwrap();
    let manager = manager();
    let from_tmp = ConditionType::Sql("kind = 'process.exec' AND executable LIKE '/tmp/%'".to_owned());
    manager.register_condition(condition("from-tmp", from_tmp)).unwrap();
    // Met by alerts: if those were looked at, there would be no end of them.
    let any = ConditionType::Sql("kind = 'alert'".to_owned());
    manager.register_condition(condition("alerts", any)).unwrap();
    let mut alerts = bus.subscribe(EventFilter::new().with_event_type(CollectionEvent::Alert)).await.unwrap();
    let handler: Arc<dyn TriggerHandler> = Arc::new(ChainHandler::new("hasher", Arc::new(chain)));
    let serving = tokio::spawn({
        let (manager, bus) = (manager.clone(), bus.clone());
        async move { manager.serve(&bus, EventSubscription::new("triggers"), [handler]).await }
    });
    while bus.statistics().active_subscribers < 2 {
        tokio::task::yield_now().await;
    }
    for path in ["/usr/bin/true", program.to_str().unwrap()] {
        bus.publish(CollectionEvent::Process(exec(5, "tool", path))).await.unwrap();
    }
    let event = tokio::time::timeout(Duration::from_secs(10), alerts.recv()).await.expect("in time").unwrap();
    assert_eq!(event.correlation_id(), Some("00000001-5-5-00000007"));
    let CollectionEvent::Alert(alert) = &event.event else { panic!("{event:?}") };
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((alert.sha256.as_deref(), alert.size), (Some(abc), Some(3)));
    assert_eq!((alert.condition.as_deref(), alert.pid), (Some("from-tmp"), Some(5)));
    assert_eq!(alert.process.as_ref().unwrap().executable, Some(program.to_str().unwrap().into()));
    assert_eq!(alert.severity, crate::AlertSeverity::Medium);
    bus.shutdown().await;
    serving.await.unwrap().unwrap();
    assert_eq!(manager.statistics().totals().succeeded, 1);
    assert!(alerts.recv().await.is_none());
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_harms_no_other() {
    let mut served = serve(TriggerResourceLimits::default()).await;
    served.leave.add_permits(3);
    for (pid, path) in [(1, "/fails"), (2, "/panics"), (3, "/x")] {
        served.publish(pid, path).await;
        served.told().await;
    }
    let counts = served.end().await;
    assert_eq!((counts.started, counts.failed, counts.succeeded, counts.running), (3, 2, 1, 0));
}

#[tokio::test]
async fn dropping_the_service_ends_what_runs_and_counts_it() {
    let mut served = serve(TriggerResourceLimits::default()).await;
    served.publish(1, "/x").await;
    served.told().await;
    assert_eq!(served.manager.statistics().totals().running, 1);
    served.serving.abort();
    assert!(served.serving.await.unwrap_err().is_cancelled());
    while served.manager.statistics().totals().running > 0 {
        tokio::task::yield_now().await;
    }
    let counts = served.manager.statistics().totals();
    assert_eq!((counts.started, counts.failed, counts.succeeded), (1, 1, 0));
    assert_eq!(served.bus.statistics().active_subscribers, 0);
}

#[test]
fn the_kinds_are_those_that_can_meet_a_condition() {
    let manager = manager();
    assert!(manager.kinds().is_empty());
    let kinds = |id: &str, condition_type| {
        manager.register_condition(condition(id, condition_type)).unwrap();
        let kinds: Vec<_> = manager.kinds().into_iter().collect();
        assert!(manager.kinds_of(id).unwrap().into_iter().eq(kinds.iter().copied()));
        assert!(manager.unregister_condition(id) && manager.kinds_of(id).is_none());
        kinds
    };
    let exec = "kind = 'process.exec' AND executable LIKE '/tmp/%'".to_owned();
    assert_eq!(kinds("sql", ConditionType::Sql(exec)), ["process.exec"]);
    let processes = ["process.exec", "process.exit", "process.fork", "process.snapshot"];
    assert_eq!(kinds("hash", ConditionType::HashMismatch), processes);
    let anomaly = ConditionType::ResourceAnomaly { cpu_threshold: 1.0, memory_threshold: 1 };
    assert_eq!(kinds("anomaly", anomaly), [&["performance.sample"][..], &processes].concat());
    manager.register_predicate("any", |_| true);
    // All but requests and alerts, which are not looked at.
    assert_eq!(kinds("custom", ConditionType::Custom("any".to_owned())).len(), crate::event::KINDS.len() - 2);
    assert!(kinds("alerts", ConditionType::Sql("kind = 'alert'".to_owned())).is_empty());
    assert!(manager.kinds().is_empty());
}
