//! What DaemonEye's agent sends and expects, byte by byte.
//!
//! A key is `number << 3 | kind`: kind 0 is a varint, 1 eight bytes, 2 a length and that many bytes. Every field of every
//! message is here with a key written by hand, so that no slip in the `.proto` files can pass.

use collector_proto::*;
use prost::Message;

/// Both directions, and no field that the bytes do not have.
#[track_caller]
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M, parts: &[&[u8]]) {
    let bytes = parts.concat();
    assert_eq!(message.encode_to_vec(), bytes);
    assert_eq!(M::decode(&*bytes).as_ref(), Ok(message));
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn types_of_tasks_and_domains_have_their_numbers() {
    let tasks = [
        TaskType::EnumerateProcesses,
        TaskType::CheckProcessHash,
        TaskType::MonitorProcessTree,
        TaskType::VerifyExecutable,
        TaskType::MonitorNetworkConnections,
        TaskType::TrackFileOperations,
        TaskType::CollectPerformanceMetrics,
    ];
    assert_eq!(tasks.map(|task| task as i32), [0, 1, 2, 3, 4, 5, 6]);
    assert!(TaskType::try_from(7).is_err(), "an eighth type needs a line here");
    let domains = [
        MonitoringDomain::Process,
        MonitoringDomain::Network,
        MonitoringDomain::Filesystem,
        MonitoringDomain::Performance,
    ];
    assert_eq!(domains.map(|domain| domain as i32), [0, 1, 2, 3]);
    assert!(MonitoringDomain::try_from(4).is_err(), "a fifth domain needs a line here");
}

#[test]
fn a_task_with_everything() {
    let task = DetectionTask {
        task_id: text("t1"),
        task_type: TaskType::CollectPerformanceMetrics.into(),
        process_filter: Some(ProcessFilter {
            process_names: vec![text("sh"), text("cp")],
            pids: vec![1, 300],
            executable_pattern: Some(text("/*")),
        }),
        hash_check: Some(HashCheck {
            expected_hash: text("ab"),
            hash_algorithm: text("sha256"),
            executable_path: text("/x"),
        }),
        metadata: Some(text("m")),
        network_filter: Some(NetworkFilter {
            protocols: vec![text("tcp")],
            source_addresses: vec![text("a")],
            destination_addresses: vec![text("b")],
            connection_states: vec![text("c")],
        }),
        filesystem_filter: Some(FilesystemFilter {
            path_patterns: vec![text("p")],
            operation_types: vec![text("o")],
            file_extensions: vec![text("e")],
        }),
        performance_filter: Some(PerformanceFilter {
            metric_names: vec![text("n")],
            components: vec![text("k")],
            min_thresholds: [(text("l"), 1.0)].into(),
            max_thresholds: [(text("h"), 2.0)].into(),
        }),
    };
    check(
        &task,
        &[
            b"\x0a\x02t1\x10\x06",
            b"\x1a\x11\x0a\x02sh\x0a\x02cp\x12\x03\x01\xac\x02\x1a\x02/*",
            b"\x22\x10\x0a\x02ab\x12\x06sha256\x1a\x02/x",
            b"\x2a\x01m",
            b"\x32\x0e\x0a\x03tcp\x12\x01a\x1a\x01b\x22\x01c",
            b"\x3a\x09\x0a\x01p\x12\x01o\x1a\x01e",
            b"\x42\x22\x0a\x01n\x12\x01k",
            b"\x1a\x0c\x0a\x01l\x11\0\0\0\0\0\0\xf0\x3f",
            b"\x22\x0c\x0a\x01h\x11\0\0\0\0\0\0\0\x40",
        ],
    );
}

#[test]
fn a_negotiation_as_daemoneye_sends_it() {
    let task = DetectionTask {
        task_id: text("capability-negotiation-1"),
        metadata: Some(text("capability_negotiation")),
        ..DetectionTask::default()
    };
    check(&task, &[b"\x0a\x18capability-negotiation-1", b"\x2a\x16capability_negotiation"]);
}

#[test]
fn a_process_with_everything() {
    let process = ProcessRecord {
        pid: 300,
        ppid: Some(1),
        name: text("sh"),
        executable_path: Some(text("/x")),
        command_line: vec![text("sh"), text("-c")],
        start_time: Some(1),
        cpu_usage: Some(1.0),
        memory_usage: Some(4096),
        executable_hash: Some(text("ab")),
        hash_algorithm: Some(text("md")),
        user_id: Some(text("0")),
        accessible: true,
        file_exists: true,
        collection_time: 2,
        ssdeep_hash: Some(text("3:")),
        on_disk_mismatch: true,
        ssdeep_degraded: true,
    };
    check(
        &process,
        &[
            b"\x08\xac\x02\x10\x01\x1a\x02sh\x22\x02/x\x2a\x02sh\x2a\x02-c\x30\x01",
            b"\x39\0\0\0\0\0\0\xf0\x3f\x40\x80\x20\x4a\x02ab\x52\x02md\x5a\x010",
            b"\x60\x01\x68\x01\x70\x02\x7a\x023:\x80\x01\x01\x88\x01\x01",
        ],
    );
}

#[test]
fn optional_fields_that_are_zero_are_sent_and_those_that_are_absent_are_not() {
    let zero = ProcessRecord { ppid: Some(0), memory_usage: Some(0), ..ProcessRecord::default() };
    check(&zero, &[b"\x10\x00\x40\x00"]);
    check(&ProcessRecord::default(), &[]);
}

#[test]
fn a_result_with_everything() {
    let result = DetectionResult {
        task_id: text("t1"),
        success: true,
        error_message: Some(text("e")),
        processes: vec![ProcessRecord { pid: 1, ..ProcessRecord::default() }, ProcessRecord::default()],
        hash_result: Some(HashResult {
            hash_value: text("ab"),
            algorithm: text("md"),
            file_path: text("/x"),
            success: true,
            error_message: Some(text("f")),
        }),
        network_events: vec![NetworkRecord {
            connection_id: text("i"),
            source_address: text("s"),
            destination_address: text("d"),
            protocol: text("p"),
            state: text("t"),
            pid: Some(1),
            bytes_sent: 2,
            bytes_received: 3,
            collection_time: 4,
        }],
        filesystem_events: vec![FilesystemRecord {
            operation_id: text("i"),
            path: text("/x"),
            operation_type: text("o"),
            pid: Some(1),
            file_size: Some(2),
            permissions: Some(text("p")),
            file_hash: Some(text("h")),
            collection_time: 3,
        }],
        performance_events: vec![PerformanceRecord {
            metric_id: text("i"),
            metric_name: text("n"),
            value: 1.0,
            unit: text("%"),
            pid: Some(1),
            component: text("c"),
            collection_time: 2,
        }],
    };
    check(
        &result,
        &[
            b"\x0a\x02t1\x10\x01\x1a\x01e",
            b"\x22\x02\x08\x01\x22\x00",
            b"\x2a\x11\x0a\x02ab\x12\x02md\x1a\x02/x\x20\x01\x2a\x01f",
            b"\x32\x17\x0a\x01i\x12\x01s\x1a\x01d\x22\x01p\x2a\x01t\x30\x01\x38\x02\x40\x03\x48\x04",
            b"\x3a\x16\x0a\x01i\x12\x02/x\x1a\x01o\x20\x01\x28\x02\x32\x01p\x3a\x01h\x40\x03",
            b"\x42\x19\x0a\x01i\x12\x01n\x19\0\0\0\0\0\0\xf0\x3f\x22\x01%\x28\x01\x32\x01c\x38\x02",
        ],
    );
}

#[test]
fn what_a_collector_can_do() {
    let request = CapabilityRequest {
        client_id: text("c"),
        requested_domains: vec![MonitoringDomain::Process.into(), MonitoringDomain::Network.into()],
        client_version: Some(text("1")),
    };
    check(&request, &[b"\x0a\x01c\x12\x02\x00\x01\x1a\x011"]);
    let response = CapabilityResponse {
        negotiation_success: true,
        capabilities: Some(CollectionCapabilities {
            supported_domains: vec![
                MonitoringDomain::Filesystem.into(),
                MonitoringDomain::Performance.into(),
            ],
            advanced: Some(AdvancedCapabilities { kernel_level: true, realtime: true, system_wide: true }),
        }),
        error_message: Some(text("e")),
        server_version: Some(text("2")),
    };
    check(
        &response,
        &[b"\x08\x01", b"\x12\x0c\x0a\x02\x02\x03\x12\x06\x08\x01\x10\x01\x18\x01", b"\x1a\x01e\x22\x012"],
    );
}

#[test]
fn fields_of_later_versions_are_skipped() {
    let result = DetectionResult::decode(&b"\x0a\x01t\x10\x01\xc2\x3e\x03new"[..]).unwrap();
    assert_eq!(result, DetectionResult::success("t", Vec::new()));
}
