//! Whole events from synthetic records.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use collector_common::{CredentialsWire, Kind, exec_flag, file_flag, network_flag, task_flag};
use collector_core::{
    Direction, FilesystemEvent, Namespaces, NetworkEvent, ProcessEvent, ProcessEventKind, ProcessExit,
    ProcessRef, Text,
};

use super::*;
use crate::clock::Anchor;
use crate::decode::{Record, decode};
use crate::identity::{Boot, ProcessTable, TableConfig};
use crate::testing;

const SECOND: u64 = 1_000_000_000;
const BOOTED_S: u64 = 1_700_000_000;

fn context() -> Context {
    let anchor = Anchor { realtime_ns: BOOTED_S * SECOND, boottime_ns: 0 };
    Context { clock: Clock::new(anchor), source: "test" }
}

fn after_boot(ns: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(BOOTED_S * SECOND + ns)
}

fn table() -> ProcessTable {
    ProcessTable::new(Boot::new("3f2a9c1e-0000", 100), TableConfig::default())
}

/// The event of a process record, after `earlier` ones.
fn process_event(earlier: &[Vec<u8>], bytes: &[u8]) -> ProcessEvent {
    let mut table = table();
    let mut event = None;
    for bytes in earlier.iter().map(Vec::as_slice).chain([bytes]) {
        event = Some(match decode(bytes).unwrap() {
            Record::Exec(record) => {
                let executable = Executable::of(&record);
                let identity = table.on_exec(&record, executable.path.clone());
                adapt_exec(&record, executable, &identity, Some(Arc::from("u")), &context())
            }
            Record::Fork(record) => adapt_fork(&record, &table.on_fork(&record), None, &context()),
            Record::Exit(record) => adapt_exit(&record, &table.on_exit(&record), None, &context()),
            other => panic!("no process record: {other:?}"),
        });
    }
    event.unwrap()
}

fn network_event(bytes: &[u8]) -> NetworkEvent {
    let Record::Network(record) = decode(bytes).unwrap() else { panic!("no network record") };
    adapt_network(&record, None, &context())
}

fn file_event(bytes: &[u8]) -> FilesystemEvent {
    let Record::File(record) = decode(bytes).unwrap() else { panic!("no file record") };
    adapt_file(&record, None, &context())
}

#[test]
fn an_exec_fills_everything_its_record_knows() {
    let task = testing::next_image(testing::task(100), "ls");
    let bytes = testing::exec(task, "/usr/bin/ls", &["ls", "-l", ""]).at(3 * SECOND).sequence(1, 9).build();
    let boot = Boot::new("3f2a9c1e", 100);
    let parent = ProcessRef {
        pid: 1,
        exec_id: Some(boot.exec_id(1, 1, 0)),
        name: Text::default(),
        executable: None,
        uid: None,
        container_id: None,
    };
    let expected = ProcessEvent {
        pid: 100,
        tid: Some(100),
        ppid: Some(1),
        name: "ls".to_owned(),
        executable_path: Some(Text::from("/usr/bin/ls")),
        command_line: vec![Text::from("ls"), Text::from("-l"), Text::from("")],
        start_time: Some(after_boot(task.start_ns)),
        user_id: Some("1000".to_owned()),
        timestamp: after_boot(3 * SECOND),
        kind: ProcessEventKind::Exec,
        meta: EventMeta {
            source: "test",
            capture: Capture::Kernel,
            sequence: Some(Sequence { domain: "process", cpu: 1, number: 9 }),
        },
        exec_id: Some(boot.exec_id(100, 100, task.start_stack)),
        parent_exec_id: parent.exec_id,
        argv_length: Some(7),
        cwd: Some(Text::from("/home/u")),
        uid: Some(1000),
        gid: Some(1000),
        euid: Some(1000),
        egid: Some(1000),
        user: Some(Arc::from("u")),
        cgroup_id: Some(77),
        namespaces: Some(Namespaces {
            mnt: 4_026_531_841,
            pid: 4_026_531_836,
            net: 4_026_531_840,
            user: 4_026_531_837,
        }),
        capabilities: Some(0),
        ancestors: [Arc::new(parent)].into(),
        ..ProcessEvent::default()
    };
    assert_eq!(process_event(&[], &bytes), expected);
}

#[test]
fn credentials_that_are_set_appear_and_others_do_not() {
    let exec = |credentials: CredentialsWire| {
        let bytes = testing::exec(testing::task(5), "/x", &[]).with(|wire| wire.credentials = credentials);
        process_event(&[], &bytes.build())
    };
    let unset = exec(testing::credentials());
    assert_eq!((unset.login_uid, unset.session_id, unset.pid_in_namespace), (None, None, None));
    let set = exec(CredentialsWire {
        login_uid: 1000,
        session_id: 2,
        ns_level: 1,
        ns_pid: 7,
        cap_effective: 3,
        ..testing::credentials()
    });
    assert_eq!((set.login_uid, set.session_id, set.pid_in_namespace), (Some(1000), Some(2), Some(7)));
    assert_eq!(set.capabilities, Some(3));
}

#[test]
fn a_script_and_its_interpreter_appear_only_when_they_differ() {
    let exec = |filename: &str, interp: &str| {
        let bytes = testing::exec(testing::task(5), "/usr/bin/dash", &["sh", "x"])
            .text(|wire| &mut wire.filename, filename)
            .text(|wire| &mut wire.interp, interp)
            .build();
        let event = process_event(&[], &bytes);
        (event.script, event.interpreter)
    };
    let text = |text: &str| Some(Text::from(text));
    assert_eq!(exec("/bin/dash", "/bin/dash"), (None, None));
    assert_eq!(exec("/opt/x", "/bin/sh"), (text("/opt/x"), text("/bin/sh")));
    assert_eq!(exec("./bin/../x", "/bin/sh"), (text("/home/u/x"), text("/bin/sh")));
}

#[test]
fn unusual_executables_are_marked() {
    let exec = |exe: &str, flags: u32, links: u32| {
        let bytes = testing::exec(testing::task(5), exe, &["x"]).with(|wire| {
            wire.flags = flags;
            wire.exe_nlink = links;
        });
        let event = process_event(&[], &bytes.build());
        (event.executable_path.unwrap().to_string(), event.flags, event.file_exists)
    };
    let internal = exec_flag::INTERNAL_MOUNT;
    assert_eq!(exec("/bin/x", 0, 1), ("/bin/x".to_owned(), vec![], true));
    assert_eq!(exec("/bin/x", exec_flag::SECURE, 1), ("/bin/x".to_owned(), vec!["setuid"], true));
    assert_eq!(exec("/tmp/x", 0, 0), ("/tmp/x".to_owned(), vec!["deleted"], false));
    assert_eq!(exec("/tmp/x (deleted)", 0, 0), ("/tmp/x".to_owned(), vec!["deleted"], false));
    assert_eq!(exec("/tmp/x (deleted)", 0, 1), ("/tmp/x (deleted)".to_owned(), vec![], true));
    assert_eq!(exec("/memfd:a (deleted)", internal, 0), ("memfd:a".to_owned(), vec!["memfd"], false));
    assert_eq!(exec("memfd:a", internal, 0), ("memfd:a".to_owned(), vec!["memfd"], false));
    assert_eq!(exec("/memfd:a", 0, 1), ("/memfd:a".to_owned(), vec![], true), "a file may have that name");
}

#[test]
fn task_flags_become_words() {
    let flags = task_flag::IO_URING | task_flag::COMPAT | task_flag::KERNEL_THREAD;
    let task = collector_common::TaskWire { flags, ..testing::task(5) };
    let event = process_event(&[], &testing::fork(task).build());
    assert_eq!(event.flags, ["io_uring", "kernel_thread", "compat"]);
}

#[test]
fn a_cut_or_unreadable_argument_vector_says_so() {
    for flags in [exec_flag::ARGV_TRUNCATED, exec_flag::ARGV_FAULT] {
        let bytes = testing::exec(testing::task(5), "/x", &[])
            .text(|wire| &mut wire.argv, "cat\0/etc/pas")
            .with(|wire| {
                wire.flags = flags;
                wire.argv_len = 99;
            })
            .build();
        let event = process_event(&[], &bytes);
        assert_eq!(event.command_line, [Text::from("cat"), Text::from("/etc/pas")]);
        assert_eq!((event.argv_truncated, event.argv_length), (true, Some(99)));
    }
}

#[test]
fn an_exit_states_code_or_signal_and_what_ran() {
    let task = testing::next_image(testing::task(100), "ls");
    let exec = testing::exec(task, "/usr/bin/ls", &["ls"]).build();
    let exit = |status: u32| {
        let bytes = testing::exit(task, status).at(task.start_ns + SECOND).build();
        process_event(std::slice::from_ref(&exec), &bytes)
    };
    let duration = Some(Duration::from_secs(1));
    let killed = ProcessExit { signal: Some(11), core_dumped: true, duration, ..ProcessExit::default() };
    assert_eq!(exit(3 << 8).exit, Some(ProcessExit { code: Some(3), duration, ..ProcessExit::default() }));
    assert_eq!(exit(0).exit.and_then(|exit| exit.code), Some(0));
    assert_eq!(exit(11 | 128).exit, Some(killed));
    let event = exit(0);
    assert_eq!(event.kind, ProcessEventKind::Exit);
    assert_eq!(event.executable_path, Some(Text::from("/usr/bin/ls")));
    assert_eq!(
        event.exec_id.map(|id| id.image != 0),
        Some(true),
        "the image is known although its memory is gone"
    );
}

#[test]
fn a_fork_runs_what_its_parent_ran() {
    let parent = testing::next_image(testing::task(100), "bash");
    let child = testing::child(&parent, 101);
    let fork =
        testing::fork(child).with(|wire| wire.credentials = testing::credentials_under(&parent)).build();
    let event = process_event(&[testing::exec(parent, "/bin/bash", &["bash"]).build()], &fork);
    assert_eq!(event.executable_path, Some(Text::from("/bin/bash")));
    assert_eq!(event.ancestors.iter().map(|process| process.pid).collect::<Vec<_>>(), [100, 1]);
    assert_eq!(event.parent_exec_id, event.ancestors[0].exec_id);
    assert_ne!(event.exec_id, event.parent_exec_id);
}

#[test]
fn both_ends_of_a_connection_appear_as_addresses() {
    let task = testing::task(5);
    let event = network_event(&testing::network(Kind::NetworkConnect, task).at(task.start_ns + 7).build());
    assert_eq!(event.local, "10.0.0.1:40000".parse().ok());
    assert_eq!(event.remote, "192.0.2.7:443".parse().ok());
    assert_eq!((&*event.protocol, &*event.state), ("tcp", "established"));
    assert_eq!(event.direction, Some(Direction::Outbound));
    assert_eq!((event.result, event.duration), (Some(0), Some(Duration::from_nanos(7))));
    assert_eq!((event.pid, event.net_ns), (Some(5), Some(4_026_531_840)));
}

#[test]
fn ipv4_inside_ipv6_is_shown_as_ipv4() {
    let with = |remote: std::net::Ipv6Addr| {
        let bytes = testing::network(Kind::NetworkConnect, testing::task(5)).with(|wire| {
            wire.family = 10;
            wire.remote = remote.octets();
        });
        network_event(&bytes.build()).remote
    };
    assert_eq!(with("::ffff:192.0.2.7".parse().unwrap()), "192.0.2.7:443".parse().ok());
    assert_eq!(with("2001:db8::1".parse().unwrap()), "[2001:db8::1]:443".parse().ok());
    assert_eq!(with("::1".parse().unwrap()), "[::1]:443".parse().ok());
}

#[test]
fn every_network_kind_has_the_fields_that_mean_something() {
    let of = |kind, flags| {
        let bytes = testing::network(kind, testing::task(5)).with(|wire| {
            wire.flags = flags;
            wire.result = 111;
            wire.new_state = if kind == Kind::NetworkListen { 10 } else { 7 };
            wire.bytes_sent = 10;
        });
        network_event(&bytes.build())
    };
    let listen = of(Kind::NetworkListen, 0);
    assert_eq!((listen.remote, listen.direction, listen.result), (None, None, None));
    assert_eq!(listen.state, "listen");
    let accept = of(Kind::NetworkAccept, 0);
    assert_eq!((accept.direction, accept.duration), (Some(Direction::Inbound), None));
    let close = of(Kind::NetworkClose, network_flag::INBOUND);
    assert_eq!((close.direction, close.result, close.bytes_sent), (Some(Direction::Inbound), None, 10));
    assert_eq!((&*close.state, close.duration), ("closed", Some(Duration::ZERO)));
    let refused = of(Kind::NetworkConnect, 0);
    assert_eq!((refused.result, &*refused.state), (Some(111), "closed"));
    let abandoned = of(Kind::NetworkConnect, network_flag::ABANDONED);
    assert_eq!(abandoned.result, None, "it has no result, least of all success");
}

#[test]
fn unknown_numbers_of_a_socket_do_not_disappear_and_do_not_lie() {
    let bytes = testing::network(Kind::NetworkSend, testing::task(0)).with(|wire| {
        wire.family = 99;
        wire.protocol = 132;
        wire.new_state = 200;
        wire.opened_ns = 0;
    });
    let event = network_event(&bytes.build());
    assert_eq!((event.local, event.remote, event.pid, event.duration), (None, None, None, None));
    assert_eq!((&*event.protocol, &*event.state), ("132", "200"));
}

#[test]
fn a_connection_has_one_id_from_connect_to_close() {
    let id = |kind, change: fn(&mut collector_common::NetworkWire)| {
        network_event(&testing::network(kind, testing::task(5)).with(change).build()).connection_id
    };
    let connect = id(Kind::NetworkConnect, |_| {});
    assert_eq!(connect.len(), 16);
    assert_eq!(id(Kind::NetworkClose, |wire| wire.bytes_sent = 9), connect);
    let others: [fn(&mut collector_common::NetworkWire); 7] = [
        |wire| wire.task.net_ns += 1,
        |wire| wire.protocol = 17,
        |wire| wire.local_port += 1,
        |wire| wire.remote_port += 1,
        |wire| wire.local[3] += 1,
        |wire| wire.remote[3] += 1,
        |wire| wire.opened_ns += 1,
    ];
    for (index, change) in others.into_iter().enumerate() {
        assert_ne!(id(Kind::NetworkConnect, change), connect, "change {index}");
    }
    // Stored events are compared with new ones: the function must not change.
    assert_eq!(connect, "c9bff6fc42eec411");
}

#[test]
fn a_path_the_kernel_resolved_is_taken_as_it_is() {
    let event = file_event(&testing::file(Kind::FileOpen, testing::task(5), "/tmp/a").build());
    assert_eq!(event.path, "/tmp/a");
    assert_eq!(event.meta.capture, Capture::Kernel);
    assert_eq!((event.inode, event.device, event.size), (Some(815), Some((8, 1)), Some(42)));
    assert_eq!((event.mode, event.owner), (Some(0o100_644), Some((1000, 1000))));
    assert_eq!((event.old_path, event.target, event.written), (None, None, None));
}

#[test]
fn names_of_system_calls_are_joined_to_their_directories() {
    let bytes = testing::file(Kind::FileRename, testing::task(5), "/home/u")
        .from_syscall()
        .text(|wire| &mut wire.name, "../v/./new")
        .text(|wire| &mut wire.old_base, "/jail")
        .text(|wire| &mut wire.old_name, "/../old")
        .build();
    let event = file_event(&bytes);
    assert_eq!(event.path, "/home/v/new");
    assert_eq!(event.old_path, Some(Text::from("/jail/old")));
    assert_eq!(event.target, None);
    assert_eq!(event.meta.capture, Capture::Syscall);
}

#[test]
fn a_symbolic_links_target_is_verbatim_and_a_hard_links_is_a_path() {
    let link = |flags| {
        let bytes = testing::file(Kind::FileLink, testing::task(5), "/home/u")
            .from_syscall()
            .with(|wire| wire.flags = flags)
            .text(|wire| &mut wire.name, "l")
            .text(|wire| &mut wire.old_base, "/srv")
            .text(|wire| &mut wire.old_name, "../x//y")
            .build();
        file_event(&bytes)
    };
    assert_eq!(link(file_flag::SYMLINK).target, Some(Text::from("../x//y")));
    assert_eq!(link(file_flag::SYMLINK).flags, ["symlink"]);
    assert_eq!(link(0).target, Some(Text::from("/x/y")));
    assert_eq!(link(0).path, "/home/u/l");
}

#[test]
fn what_is_unknown_of_a_file_is_absent() {
    let bytes = testing::file(Kind::FileDelete, testing::task(5), "/x").with(|wire| {
        wire.inode = 0;
        wire.size = 0;
        wire.device = 0;
        wire.mode = 0;
        wire.owner_uid = u32::MAX;
        wire.owner_gid = u32::MAX;
        wire.task.mnt_ns = 0;
    });
    let event = file_event(&bytes.build());
    assert_eq!((event.inode, event.size, event.device, event.mode), (None, None, None, None));
    assert_eq!((event.owner, event.mount_ns), (None, None));
}

#[test]
fn how_a_file_was_opened_and_what_changed_become_words() {
    let words = |kind, flags, open_flags| {
        let bytes = testing::file(kind, testing::task(5), "/x").with(|wire| {
            wire.flags = flags;
            wire.open_flags = open_flags;
        });
        file_event(&bytes.build()).flags
    };
    assert_eq!(words(Kind::FileOpen, 0, 0o2001), ["write", "append"]);
    assert_eq!(words(Kind::FileOpen, file_flag::TRUNCATED, 0o1002), ["write", "truncate"]);
    assert_eq!(words(Kind::FileModify, file_flag::TRUNCATED, 0), ["truncate"]);
    assert_eq!(
        words(Kind::FileDelete, file_flag::DIRECTORY, 0o2001),
        ["directory"],
        "not the flags of an open"
    );
    let changed = file_flag::MODE_CHANGED | file_flag::XATTR_CHANGED | file_flag::NAME_FAULT;
    assert_eq!(words(Kind::FileAttributes, changed, 0), ["mode", "xattr", "name_unreadable"]);
    assert_eq!(words(Kind::FileCreate, file_flag::OLD_BASE_TRUNCATED, 0), ["path_truncated"]);
}

#[test]
fn bytes_written_are_absent_where_a_mapping_wrote() {
    let written = |flags| {
        let bytes = testing::file(Kind::FileModify, testing::task(5), "/x").with(|wire| {
            wire.flags = flags;
            wire.written = 12;
        });
        file_event(&bytes.build()).written
    };
    assert_eq!(written(0), Some(12));
    assert_eq!(written(file_flag::MAPPED), None);
}
