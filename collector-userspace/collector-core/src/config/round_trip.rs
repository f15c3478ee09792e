//! Every configuration survives being written and read, as JSON and as TOML.
//!
//! The structs are built field by field, so that a new one does not compile until it is here too.

use std::fmt::Debug;
use std::time::Duration;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CollectorConfig;
use crate::analysis::{AlertSeverity, HasherConfig, RuleMatch, VerdictRule};
use crate::collector::RestartPolicy;
use crate::trigger::SuspiciousPairs;
use crate::{AnalysisChainConfig, AncestryMode, EventBusConfig, OverflowPolicy, TriggerConfig};

/// The numbers that TOML has.
fn number() -> impl Strategy<Value = usize> {
    prop_oneof![0..2_usize, 0..100_000_usize, 0..=i64::MAX as usize]
}

/// To the nanosecond, up to a century.
fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0..10_000_u64).prop_map(Duration::from_millis),
        (0..100 * 365 * 86_400_u64, 0..1_000_000_000_u32)
            .prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
    ]
}

fn bus() -> impl Strategy<Value = EventBusConfig> {
    let overflow = prop_oneof![
        duration().prop_map(|deadline| OverflowPolicy::Block { deadline }),
        Just(OverflowPolicy::DropOldest),
        Just(OverflowPolicy::DropNewest),
        Just(OverflowPolicy::Disconnect),
    ];
    let ancestry = prop_oneof![Just(AncestryMode::OnDemand), Just(AncestryMode::Always)];
    (number(), number(), overflow, ancestry, number()).prop_map(
        |(max_subscribers, buffer_size, overflow, ancestry, ancestry_capacity)| EventBusConfig {
            max_subscribers,
            buffer_size,
            overflow,
            ancestry,
            ancestry_capacity,
        },
    )
}

fn collector() -> impl Strategy<Value = CollectorConfig> {
    let numbers = [number().boxed(), number().boxed(), number().boxed()];
    let durations = std::array::from_fn::<_, 6, _>(|_| duration().boxed());
    (".{0,20}", numbers, durations, any::<u32>(), any::<[bool; 2]>(), bus()).prop_map(
        |(component_name, numbers, durations, max_restarts, flags, event_bus)| {
            let [max_event_sources, event_buffer_size, max_batch_size] = numbers;
            let [shutdown_timeout, health_check_interval, startup_timeout, pauses @ ..] = durations;
            let [initial_pause, longest_pause, forgive_after] = pauses;
            let [enable_debug_logging, handle_signals] = flags;
            CollectorConfig {
                component_name,
                max_event_sources,
                event_buffer_size,
                max_batch_size,
                shutdown_timeout,
                health_check_interval,
                startup_timeout,
                restart: RestartPolicy { max_restarts, initial_pause, longest_pause, forgive_after },
                enable_debug_logging,
                handle_signals,
                event_bus,
            }
        },
    )
}

fn trigger() -> impl Strategy<Value = TriggerConfig> {
    let names = || prop::collection::vec(".{0,15}", 0..4);
    let numbers = [number().boxed(), number().boxed(), number().boxed()];
    let durations = [duration().boxed(), duration().boxed(), duration().boxed()];
    (numbers, durations, names(), names()).prop_map(|(numbers, durations, parents, children)| {
        let [max_conditions, max_pending_triggers, max_remembered] = numbers;
        let [deduplication_window, default_timeout, ageing] = durations;
        TriggerConfig {
            max_conditions,
            max_pending_triggers,
            deduplication_window,
            max_remembered,
            default_timeout,
            ageing,
            suspicious: SuspiciousPairs { parents, children },
        }
    })
}

fn rule() -> impl Strategy<Value = VerdictRule> {
    let digest = "[0-9a-f]{64}".prop_map(|text| text.parse().unwrap());
    let matches = prop_oneof![
        prop::collection::btree_set(digest, 0..3).prop_map(RuleMatch::Digests),
        prop::collection::vec("/.{0,20}".prop_map(Into::into), 0..3).prop_map(RuleMatch::PathPrefixes),
    ];
    let severity = prop::sample::select(vec![
        AlertSeverity::Low,
        AlertSeverity::Medium,
        AlertSeverity::High,
        AlertSeverity::Critical,
    ]);
    (".{0,20}", ".{0,20}", severity, matches).prop_map(|(id, description, severity, matches)| {
        VerdictRule::new(id, severity, matches).with_description(description)
    })
}

fn hasher() -> impl Strategy<Value = HasherConfig> {
    let numbers = std::array::from_fn::<_, 5, _>(|_| number().boxed());
    (numbers, duration(), duration()).prop_map(|(numbers, time_limit, settle_time)| {
        let [max_file_size, max_concurrent, max_waiting, chunk_size, cache_entries] = numbers;
        let max_file_size = max_file_size as u64;
        HasherConfig {
            max_file_size,
            time_limit,
            max_concurrent,
            max_waiting,
            chunk_size,
            cache_entries,
            settle_time,
        }
    })
}

fn analysis() -> impl Strategy<Value = AnalysisChainConfig> {
    let numbers = std::array::from_fn::<_, 5, _>(|_| number().boxed());
    let durations = std::array::from_fn::<_, 5, _>(|_| duration().boxed());
    let rules = prop::collection::vec(rule(), 0..4);
    (numbers, durations, any::<u32>(), hasher(), any::<Option<u32>>(), rules).prop_map(
        |(numbers, durations, max_retry_attempts, hasher, mount_namespace, rules)| {
            let [max_concurrent_workflows, max_waiting_workflows, max_parallel_stages, rest @ ..] = numbers;
            let [max_stages, max_completed_workflows] = rest;
            let [default_stage_timeout, max_workflow_timeout, retry_base_delay, rest @ ..] = durations;
            let [max_retry_delay, completed_retention] = rest;
            AnalysisChainConfig {
                max_concurrent_workflows,
                max_waiting_workflows,
                max_parallel_stages,
                max_stages,
                default_stage_timeout,
                max_workflow_timeout,
                max_retry_attempts,
                retry_base_delay,
                max_retry_delay,
                max_completed_workflows,
                completed_retention,
                hasher,
                mount_namespace,
                rules,
            }
        },
    )
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(config: &T) {
    let json = serde_json::to_string(config).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), config, "{json}");
    let text = toml::to_string(config).unwrap();
    assert_eq!(&toml::from_str::<T>(&text).unwrap(), config, "{text}");
}

proptest! {
    #[test]
    fn collectors(config in collector()) {
        check(&config);
    }

    #[test]
    fn buses(config in bus()) {
        check(&config);
    }

    #[test]
    fn triggers(config in trigger()) {
        check(&config);
    }

    #[test]
    fn analyses(config in analysis()) {
        check(&config);
    }
}
