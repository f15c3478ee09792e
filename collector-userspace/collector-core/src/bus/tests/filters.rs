//! Typed filters, and what publishers say an event belongs to.

use std::sync::Arc;
use std::time::SystemTime;

use super::*;
use crate::PerformanceEvent;
use crate::event::{FilesystemEvent, ProcessRef, Text, TriggerRequest};

/// The pid under which each kind of event here is published.
const SHELL: u32 = 1;
const CONNECT: u32 = 2;
const RENAME: u32 = 3;
const SAMPLE: u32 = 4;
const BARE_FILE: u32 = 5;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn actor(name: &str, executable: &[u8], uid: u32, container: &str) -> Option<Arc<ProcessRef>> {
    Some(Arc::new(ProcessRef {
        pid: 0,
        exec_id: None,
        name: name.into(),
        executable: Some(executable.into()),
        uid: Some(uid),
        container_id: Some(container.into()),
    }))
}

fn events() -> Vec<CollectionEvent> {
    vec![
        CollectionEvent::Process(ProcessEvent {
            pid: SHELL,
            name: "sh".to_owned(),
            executable_path: Some("/bin/sh".into()),
            uid: Some(0),
            container_id: Some("c1".into()),
            platform_metadata: Some(serde_json::json!({ "a.b": 1, "a": { "b": 2 }, "tty": null })),
            timestamp: at(10),
            kind: ProcessEventKind::Exec,
            ..ProcessEvent::default()
        }),
        CollectionEvent::Network(NetworkEvent {
            pid: Some(CONNECT),
            process: actor("curl", b"/usr/bin/curl", 1000, "c2"),
            timestamp: at(20),
            ..NetworkEvent::default()
        }),
        CollectionEvent::Filesystem(FilesystemEvent {
            pid: Some(RENAME),
            path: Text::from(&b"/tmp/\xff/new"[..]),
            old_path: Some("/etc/shadow".into()),
            process: actor("mv", b"/bin/\xfe", 0, "c1"),
            timestamp: at(30),
            ..FilesystemEvent::default()
        }),
        CollectionEvent::Performance(PerformanceEvent {
            pid: Some(SAMPLE),
            timestamp: at(40),
            ..PerformanceEvent::default()
        }),
        CollectionEvent::Filesystem(FilesystemEvent {
            pid: Some(BARE_FILE),
            path: "/etc/passwd".into(),
            timestamp: at(50),
            ..FilesystemEvent::default()
        }),
    ]
}

async fn selected(filter: EventFilter) -> Vec<u32> {
    let bus = running_bus().await;
    let mut subscription = bus.subscribe(filter).await.unwrap();
    bus.publish_batch(events()).await.unwrap();
    drain(&mut subscription)
}

#[tokio::test]
async fn each_condition_selects_by_what_the_event_has() {
    let new = EventFilter::new;
    let invalid = |bytes: &[u8]| Text::from(bytes);
    let by = |correlation| EventFilter::new().with_correlation_filter(correlation);
    let all = vec![SHELL, CONNECT, RENAME, SAMPLE, BARE_FILE];
    let cases = [
        (new().with_process_name("sh"), vec![SHELL]),
        (new().with_process_name("s"), vec![]),
        (new().with_process_name("curl").with_process_name("mv"), vec![CONNECT, RENAME]),
        (new().with_executable_prefix("/bin/"), vec![SHELL, RENAME]),
        (new().with_executable_prefix(invalid(b"/bin/\xfe")), vec![RENAME]),
        (new().with_executable_prefix(invalid(b"/bin/\xff")), vec![]),
        (new().with_path_prefix("/etc/"), vec![RENAME, BARE_FILE]),
        (new().with_path_prefix(invalid(b"/tmp/\xff")), vec![RENAME]),
        (new().with_path_prefix("/etc/p").with_path_prefix("/tmp/"), vec![RENAME, BARE_FILE]),
        (new().with_uid(0), vec![SHELL, RENAME]),
        (new().with_uid(0).with_uid(1000), vec![SHELL, CONNECT, RENAME]),
        (new().with_container_id("c1"), vec![SHELL, RENAME]),
        (new().with_container_id("c"), vec![]),
        (new().with_metadata("a.b", 1), vec![SHELL]),
        (new().with_metadata("a.b", 2), vec![]),
        (new().with_metadata("a.b", 2).with_metadata("a.b", 1), vec![SHELL]),
        (new().with_metadata("a.b", 1).with_metadata("tty", "pts/0"), vec![]),
        (new().with_metadata("tty", serde_json::Value::Null), vec![SHELL]),
        (new().with_uid(0).with_process_name("mv").with_path_prefix("/etc/"), vec![RENAME]),
        (new().with_topic("events/file/+").with_pid(BARE_FILE), vec![BARE_FILE]),
        (new().with_topic("events/+/connect").with_topic("events/performance/#"), vec![CONNECT, SAMPLE]),
        (new().with_topic("#").with_event_type("process"), vec![SHELL]),
        (
            new().without_event_type("file").without_event_type(CollectionEvent::Performance),
            vec![SHELL, CONNECT],
        ),
        (by(CorrelationFilter::by_time_window(at(20)..at(40))), vec![CONNECT, RENAME]),
        (by(CorrelationFilter::by_time_window(at(20)..=at(40))), vec![CONNECT, RENAME, SAMPLE]),
        (by(CorrelationFilter::by_sequence(2..4)), vec![CONNECT, RENAME]),
        (by(CorrelationFilter::by_sequence(4..)), vec![SAMPLE, BARE_FILE]),
        (by(CorrelationFilter::by_sequence(..=2).with_pid(CONNECT)), vec![CONNECT]),
        (by(CorrelationFilter::by_sequence(..=2).with_pid(RENAME)), vec![]),
        (by(CorrelationFilter::default()), all.clone()),
        (new(), all),
    ];
    for (filter, expected) in cases {
        assert_eq!(selected(filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn filters_that_can_select_nothing_are_refused() {
    let bus = running_bus().await;
    let new = EventFilter::new;
    let by = |correlation| EventFilter::new().with_correlation_filter(correlation);
    let nothing = |condition| EventBusError::SelectsNothing { condition };
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let backwards = 5..3;
    let cases = [
        (new().with_event_type("network").with_topic("events/file/#"), nothing("topic")),
        (new().with_event_type("loss").without_event_type("loss"), nothing("unwanted type")),
        (new().with_event_type("process").with_path_prefix("/"), nothing("path prefix")),
        (new().with_topic("events/file/+").with_metadata("a", 1), nothing("metadata")),
        (new().with_event_type("loss").with_uid(0), nothing("uid")),
        (new().with_path_prefix("/").with_metadata("a", 1), nothing("metadata")),
        (by(CorrelationFilter::by_sequence(backwards)), EventBusError::EmptyRange { of: "sequence numbers" }),
        (by(CorrelationFilter::by_sequence(5..5)), EventBusError::EmptyRange { of: "sequence numbers" }),
        (
            by(CorrelationFilter::by_time_window(at(5)..at(5))),
            EventBusError::EmptyRange { of: "event times" },
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(bus.subscribe(filter).await.unwrap_err(), expected);
    }
    assert_eq!(
        nothing("uid").to_string(),
        "the filter selects nothing: no event of the wanted types can fulfil its uid condition; remove one of them"
    );
}

#[tokio::test]
async fn correlation_ids_and_tags_select_what_was_published_with_them() {
    let bus = running_bus().await;
    let by = |correlation| EventFilter::new().with_correlation_filter(correlation);
    let filters = [
        (by(CorrelationFilter::by_correlation_id("w1")), vec![1, 2, 9]),
        (by(CorrelationFilter::by_tag("stage", "hash")), vec![2, 3]),
        (by(CorrelationFilter::by_correlation_id("w1").with_tag("stage", "hash")), vec![2]),
        (by(CorrelationFilter::by_tag("stage", "hash").with_tag("try", "2")), vec![3]),
        (by(CorrelationFilter::by_correlation_id("w")), vec![]),
    ];
    let mut subscriptions = Vec::new();
    for (filter, expected) in filters {
        subscriptions.push((bus.subscribe(filter).await.unwrap(), expected));
    }
    let w1 = CorrelationTags::new().with_correlation_id("w1");
    let hash = CorrelationTags::new().with_tag("stage", "load").with_tag("stage", "hash");
    bus.publish_with(process(1), w1.clone()).await.unwrap();
    bus.publish_with(process(2), w1.with_tag("stage", "hash")).await.unwrap();
    bus.publish_with(process(3), hash.with_tag("try", "2")).await.unwrap();
    bus.publish(process(4)).await.unwrap();
    let request = TriggerRequest {
        target_pid: Some(9),
        correlation_id: "w1".to_owned(),
        timestamp: at(0),
        ..TriggerRequest::default()
    };
    bus.publish(CollectionEvent::TriggerRequest(request)).await.unwrap();
    for (subscription, expected) in &mut subscriptions {
        assert_eq!(&drain(subscription), expected, "{}", subscription.id());
    }
}

#[tokio::test]
async fn tags_beyond_the_limits_are_refused() {
    let bus = running_bus().await;
    let mut many = CorrelationTags::new();
    for n in 0..17 {
        many = many.with_tag(n.to_string(), "");
    }
    assert_eq!(many.iter().count(), 17);
    let refused = bus.publish_with(process(1), many).await.unwrap_err();
    assert_eq!(refused, EventBusError::TooManyTags { count: 17, limit: 16 });
    let long = || "x".repeat(257);
    for (tags, what) in [
        (CorrelationTags::new().with_correlation_id(long()), "correlation id"),
        (CorrelationTags::new().with_tag(long(), ""), "key of a tag"),
        (CorrelationTags::new().with_tag("", long()), "value of a tag"),
    ] {
        let refused = bus.publish_with(process(1), tags).await.unwrap_err();
        assert_eq!(refused, EventBusError::TagTooLong { what, length: 257, limit: 256 });
    }
    assert_eq!(bus.statistics().events_published, 0);
}
