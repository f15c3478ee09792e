//! Made-up events, one of each shape, shared by tests and benches.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use collector_core::{
    Capture, CollectionEvent, Direction, EventMeta, ExecId, FilesystemEvent, FilesystemEventKind, HostInfo,
    JsonLines, Namespaces, NetworkEvent, NetworkEventKind, ProcessEvent, ProcessEventKind, ProcessExit,
    ProcessRef, Sequence,
};

/// The host of all samples.
pub fn lines() -> JsonLines {
    let boot_id = "3f2a9c1e-0000-4000-8000-000000000001".to_owned();
    JsonLines::new(HostInfo { host: "web-1".to_owned(), boot_id })
}

/// One millisecond per event, from some day in 2026.
pub fn time(number: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000) + Duration::from_millis(number)
}

fn exec_id(pid: u32) -> Option<ExecId> {
    Some(ExecId { boot: 0x3f2a_9c1e, pid, start_ticks: 88_123, image: 0x9b20_c4d1 })
}

fn meta(domain: &'static str, number: u64) -> EventMeta {
    EventMeta {
        source: "kernel-test",
        capture: Capture::Kernel,
        sequence: Some(Sequence { domain, cpu: 1, number }),
    }
}

fn bash() -> Arc<ProcessRef> {
    Arc::new(ProcessRef {
        pid: 4700,
        exec_id: exec_id(4700),
        name: "bash".into(),
        executable: Some("/usr/bin/bash".into()),
        uid: Some(1000),
        container_id: Some("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into()),
    })
}

/// `number` selects sequence, time and an argument.
pub fn exec(number: u64) -> CollectionEvent {
    let pid = 10_000 + (number % 20_000) as u32;
    CollectionEvent::Process(ProcessEvent {
        pid,
        ppid: Some(4700),
        name: "true".to_owned(),
        executable_path: Some("/usr/bin/true".into()),
        command_line: vec!["/bin/true".into(), format!("run {number}").into(), "--color=auto".into()],
        start_time: Some(time(number)),
        timestamp: time(number),
        kind: ProcessEventKind::Exec,
        meta: meta("process", number),
        tid: Some(pid),
        exec_id: exec_id(pid),
        parent_exec_id: exec_id(4700),
        argv_length: Some(33),
        cwd: Some("/home/user/projects/collector".into()),
        uid: Some(1000),
        gid: Some(1000),
        euid: Some(1000),
        egid: Some(1000),
        login_uid: Some(1000),
        session_id: Some(3),
        user: Some("user".into()),
        cgroup_id: Some(7_421),
        namespaces: Some(Namespaces {
            mnt: 4_026_531_841,
            pid: 4_026_531_836,
            net: 4_026_531_840,
            user: 4_026_531_837,
        }),
        capabilities: Some(0),
        ancestors: [bash(), bash(), bash()].into(),
        ..ProcessEvent::default()
    })
}

/// The end of the process of [`exec`].
pub fn exit(number: u64) -> CollectionEvent {
    let pid = 10_000 + (number % 20_000) as u32;
    CollectionEvent::Process(ProcessEvent {
        pid,
        ppid: Some(4700),
        name: "true".to_owned(),
        executable_path: Some("/usr/bin/true".into()),
        timestamp: time(number),
        kind: ProcessEventKind::Exit,
        meta: meta("process", number),
        exec_id: exec_id(pid),
        uid: Some(1000),
        exit: Some(ProcessExit {
            code: None,
            signal: Some(9),
            core_dumped: false,
            duration: Some(Duration::from_micros(812)),
        }),
        ..ProcessEvent::default()
    })
}

/// A TCP connection.
pub fn connect(number: u64) -> CollectionEvent {
    CollectionEvent::Network(NetworkEvent {
        connection_id: format!("3f2a9c1e-{number:x}"),
        protocol: "tcp".to_owned(),
        timestamp: time(number),
        local: Some(SocketAddr::from(([10, 0, 0, 1], 40_000 + (number % 20_000) as u16))),
        remote: Some(SocketAddr::from(([0x2606, 0x4700, 0, 0, 0, 0, 0, 0x1111], 443))),
        state: "established".to_owned(),
        pid: Some(4700),
        kind: NetworkEventKind::Connect,
        meta: meta("network", number),
        process: Some(bash()),
        direction: Some(Direction::Outbound),
        duration: Some(Duration::from_micros(4_711)),
        result: Some(0),
        net_ns: Some(4_026_531_840),
        ..NetworkEvent::default()
    })
}

/// A renamed file.
pub fn rename(number: u64) -> CollectionEvent {
    CollectionEvent::Filesystem(FilesystemEvent {
        path: format!("/var/lib/app/data/{number}.json").into(),
        old_path: Some(format!("/var/lib/app/data/.{number}.json.tmp").into()),
        timestamp: time(number),
        pid: Some(4700),
        size: Some(4_096),
        mode: Some(0o100_644),
        kind: FilesystemEventKind::Rename,
        meta: meta("file", number),
        process: Some(bash()),
        inode: Some(131_072 + number),
        device: Some((254, 1)),
        mount_ns: Some(4_026_531_841),
        owner: Some((1000, 1000)),
        result: Some(0),
        ..FilesystemEvent::default()
    })
}

/// The kinds in turn.
pub fn mixed(number: u64) -> CollectionEvent {
    match number % 4 {
        0 => exec(number),
        1 => exit(number),
        2 => connect(number),
        _ => rename(number),
    }
}
