//! The words of the diagnosis, on made-up machines.

use std::collections::BTreeMap;

use collector_sources::features::{
    BtfState, Capabilities, CgroupMode, Cgroups, Fact, Features, KernelVersion, Lockdown, Support,
};
use collector_sources::object::Object;

use super::diagnosis::{Agent, Diagnosis, Place, RunsAs, kernel_obstacle, privileges};
use super::render::render;
use crate::capture::PlannedKind;

fn features(support: &Support, capabilities: Capabilities) -> Features {
    let fact = |evidence: &str| Fact::new(support.clone(), evidence);
    Features {
        kernel: Fact::new(Some(KernelVersion::new(6, 1)), "uname: 6.1.0-28-amd64"),
        arch: Fact::new(None, "uname: riscv64"),
        btf: Fact::new(BtfState::Readable { bytes: 5_000_000, types: 130_000 }, "/sys/kernel/btf/vmlinux"),
        capabilities: Fact::new(Some(capabilities), "/proc/self/status"),
        lockdown: Fact::new(Some(Lockdown::None), "/sys/kernel/security/lockdown"),
        security_modules: Fact::new(None, "unknown"),
        unprivileged_bpf_disabled: Fact::new(Some(2), "/proc"),
        cgroups: Fact::new(
            Cgroups { mode: CgroupMode::V2, unified: Some("/sys/fs/cgroup".to_owned()), memory: None },
            "/proc/self/mountinfo",
        ),
        memlock: fact("setrlimit"),
        tp_btf: fact("loaded an empty program"),
        fentry: fact("loaded an empty program for security_file_open"),
        lsm: fact("loaded an empty program for bpf_lsm_file_open"),
        ring_buffer: fact("created one of a page"),
        current_task: fact("loaded a call"),
        fetch_atomics: fact("loaded a fetch-and-add"),
        tracepoints: BTreeMap::new(),
        functions: BTreeMap::new(),
    }
}

fn kind(name: &str, captured: bool, lacks: &[&str]) -> PlannedKind {
    PlannedKind {
        kind: name.to_owned(),
        captured,
        tier: if captured { "B".to_owned() } else { String::new() },
        lacks: lacks.iter().map(|lack| (*lack).to_owned()).collect(),
        no_better: String::new(),
    }
}

#[test]
fn machine_where_most_things_work() {
    let all = Capabilities {
        bpf: true,
        perfmon: true,
        net_admin: true,
        sys_resource: true,
        sys_ptrace: true,
        dac_read_search: true,
        sys_admin: true,
    };
    let diagnosis = Diagnosis {
        can_capture: true,
        polls_instead: false,
        obstacles: Vec::new(),
        kinds: vec![
            kind("process.exec", true, &[]),
            kind(
                "file.open",
                true,
                &["opens through io_uring: no such tracepoint", "opens by handle: too old"],
            ),
            kind("network.send", false, &["this kernel has no tracepoint sys_exit"]),
        ],
        object: Object::for_kernel(&features(&Support::Supported, all)),
        features: features(&Support::Supported, all),
        runs_as: RunsAs {
            user: "collector".to_owned(),
            uid: Some(990),
            note: Some("root gives way to this user, who keeps the capabilities below".to_owned()),
        },
        privileges: privileges(Some(all), true),
        places: vec![Place {
            what: "database",
            path: "/var/lib/collector/collector.db".into(),
            problem: None,
            note: "1,234 events, 2.0 MiB".to_owned(),
        }],
        configuration: vec!["/etc/collector/collector.toml".to_owned()],
        agent: Some(Agent {
            pid: 4711,
            lost_in_kernel: 12,
            lost_later: 0,
            trouble: vec!["the store cannot write: database or disk is full".to_owned()],
            self_check: collector_sources::SelfCheck::default(),
        }),
    };
    assert!(diagnosis.is_degraded());
    insta::assert_snapshot!(render(&diagnosis));
}

#[test]
fn user_without_privileges_is_told_how_to_get_them() {
    let none = Capabilities::default();
    let kinds = vec![kind("process.exec", false, &["tp_btf programs refused: operation not permitted"])];
    let obstacle = kernel_obstacle(&kinds, Some(none)).unwrap();
    let diagnosis = Diagnosis {
        can_capture: false,
        polls_instead: true,
        obstacles: vec![obstacle],
        kinds,
        object: Object::for_kernel(&features(&Support::Refused { errno: 1 }, none)),
        features: features(&Support::Refused { errno: 1 }, none),
        runs_as: RunsAs { user: "anna".to_owned(), uid: Some(1000), note: None },
        privileges: privileges(Some(none), false),
        places: vec![Place {
            what: "database",
            path: "/var/lib/collector/collector.db".into(),
            problem: Some("/var/lib: permission denied".to_owned()),
            note: "will be made".to_owned(),
        }],
        configuration: Vec::new(),
        agent: None,
    };
    insta::assert_snapshot!(render(&diagnosis));
}

#[test]
fn kernel_that_refuses_is_named_when_privileges_are_there() {
    let root = Capabilities { sys_admin: true, ..Capabilities::default() };
    let kinds = vec![kind("process.exec", false, &["this kernel has no BTF"])];
    let obstacle = kernel_obstacle(&kinds, Some(root)).unwrap();
    assert_eq!(obstacle.problem, "this kernel does not allow it: this kernel has no BTF");
    assert_eq!(kernel_obstacle(&[kind("process.exec", true, &[])], Some(root)), None);
}
