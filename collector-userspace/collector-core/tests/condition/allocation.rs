//! Evaluating does not allocate once the scratch has grown.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use collector_core::condition::{Condition, ConditionSet, Scratch};
use collector_core::{
    AnalysisType, CollectionEvent, ConditionType, NetworkEvent, ProcessEvent, ProcessEventKind,
    TriggerCapabilities, TriggerCondition, TriggerConfig, TriggerManager, TriggerPriority,
    TriggerResourceLimits,
};

/// The system's allocator, counting per thread: tests run beside each other.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // During the end of a thread there is nothing left to count with.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged, so its guarantees are this one's; counting touches a
// thread-local cell that needs no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about the layout are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System`, because all allocations do, and with this layout, as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; the caller promises that the size is valid for the layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn exec() -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent {
        name: "Cat".to_owned(),
        executable_path: Some("/usr/bin/cat".into()),
        command_line: vec!["cat".into(), "/etc/hosts".into()],
        kind: ProcessEventKind::Exec,
        uid: Some(1000),
        flags: vec!["memfd"],
        exec_id: Some(collector_core::ExecId { boot: 1, pid: 2, start_ticks: 3, image: 4 }),
        ..ProcessEvent::default()
    })
}

fn connect() -> CollectionEvent {
    CollectionEvent::Network(NetworkEvent {
        remote: Some("10.0.0.1:443".parse().expect("an address")),
        ..NetworkEvent::default()
    })
}

/// Conditions that look at every sort of field in every way.
const CONDITIONS: &[&str] = &[
    "name = 'nc' OR name IN ('a', 'b') OR lower(name) = 'nc'",
    "upper(executable) > 'a' OR executable LIKE '%x%y%' OR executable GLOB '*[0-9]*'",
    "contains(command_line, 'shadow') OR command_line LIKE '%SHADOW%' OR command_line REGEXP 'pass(wd)?$'",
    "has(flags, 'deleted') OR lower(arguments) = 'x'",
    "exec_id = 'x' OR exec_id LIKE 'x%'",
    "remote_address LIKE '192.%' OR cidr_match(remote_address, '192.168.0.0/16') OR remote_address = '1.1.1.1'",
    "length(name) > 100 OR name ILIKE 'ü%'",
    "uid = 0 OR remote_port IN (1, 2)",
];

#[test]
fn a_miss_does_not_allocate() {
    let mut set = ConditionSet::new();
    for sql in CONDITIONS {
        set.insert(*sql, Condition::from_sql(sql).expect("a condition"));
    }
    let mut scratch = Scratch::default();
    let events = [exec(), connect()];
    let mut round = || events.iter().map(|event| set.matches(event, &mut scratch).len()).sum::<usize>();
    // The first round makes the buffers grow, and the caches of regular expressions.
    assert_eq!(round(), 0);
    let mut matched = 0;
    assert_eq!(allocations(|| matched = round()), 0);
    assert_eq!(matched, 0);
}

#[test]
fn a_command_line_that_is_not_needed_is_not_made() {
    let condition = Condition::from_sql("command_line LIKE '%x%' AND uid = 0").expect("a condition");
    let event = exec();
    let mut scratch = Scratch::default();
    let mut matched = true;
    assert_eq!(
        allocations(|| matched = condition.matches(&event, &mut scratch)),
        0,
        "cheap parts come first"
    );
    assert!(!matched);
    let needed = Condition::from_sql("command_line LIKE '%x%' AND uid = 1000").expect("a condition");
    assert_ne!(allocations(|| matched = needed.matches(&event, &mut scratch)), 0, "the counter counts");
}

#[test]
fn telling_matches_one_by_one_does_not_allocate() {
    let mut set = ConditionSet::new();
    for id in 0..100 {
        set.insert(
            id,
            Condition::from_sql("name = 'Cat' AND contains(command_line, 'hosts')").expect("a condition"),
        );
    }
    let (mut scratch, event, mut found) = (Scratch::default(), exec(), 0);
    set.for_each_match(&event, &mut scratch, |_| found += 1);
    assert_eq!(found, 100);
    assert_eq!(allocations(|| set.for_each_match(&event, &mut scratch, |_| found += 1)), 0);
}

/// A manager with a condition of each of these types, all for the same collector.
fn triggers(types: Vec<ConditionType>) -> TriggerManager {
    let manager = TriggerManager::new(TriggerConfig::default()).expect("the defaults are valid");
    let capabilities = TriggerCapabilities {
        collector_id: "hasher".to_owned(),
        supported_conditions: types.clone(),
        supported_analysis: vec![AnalysisType::BinaryHash],
        max_trigger_rate: 1000,
        max_concurrent_analysis: 1,
        supported_priorities: vec![TriggerPriority::Normal],
        resource_limits: TriggerResourceLimits::default(),
    };
    manager.register_collector_capabilities(capabilities).expect("they are valid");
    for (id, condition_type) in types.into_iter().enumerate() {
        manager
            .register_condition(TriggerCondition {
                id: id.to_string(),
                description: String::new(),
                analysis_type: AnalysisType::BinaryHash,
                priority: TriggerPriority::Normal,
                target_collector: "hasher".to_owned(),
                condition_type,
            })
            .expect("a condition");
    }
    manager
}

#[test]
fn triggers_allocate_for_requests_only() {
    let mut types: Vec<_> = CONDITIONS.iter().map(|sql| ConditionType::Sql((*sql).to_owned())).collect();
    types.extend([
        ConditionType::ProcessNamePattern("miner".to_owned()),
        ConditionType::ExecutablePathPattern("/tmp/*".to_owned()),
        ConditionType::SuspiciousParentChild,
        ConditionType::MissingExecutable,
        ConditionType::HashMismatch,
        ConditionType::ResourceAnomaly { cpu_threshold: 1.0, memory_threshold: 1 },
    ]);
    let missed = triggers(types);
    let (exec, connect) = (exec(), connect());
    let round = || missed.evaluate(&exec).len() + missed.evaluate(&connect).len();
    assert_eq!(round(), 0);
    assert_eq!(allocations(|| assert_eq!(round(), 0)), 0);

    let repeated = triggers(vec![ConditionType::ProcessNamePattern("cat".to_owned())]);
    assert_ne!(allocations(|| assert_eq!(repeated.evaluate(&exec).len(), 1)), 0, "the counter counts");
    assert_eq!(
        allocations(|| assert_eq!(repeated.evaluate(&exec).len(), 0)),
        0,
        "a repetition costs nothing"
    );
}
