//! Programs started.

use collector_tests::{Actor, watch};
use serde_json::json;

use crate::{Dir, real};

#[test]
fn an_exec_shows_what_runs_where_for_whom_and_from_whom() {
    let dir = Dir::new();
    let trace = watch(Actor::in_dir(dir.path(), ["spawn /bin/true one two"]));
    let pid = trace.actor().number("child");
    trace.one("process.exec").shows(json!({
        "source": "kernel-process",
        "capture": "kernel",
        "process": {
            "pid": pid,
            "tid": pid,
            "ppid": trace.actor().pid,
            "name": "true",
            "executable": real("/bin/true"),
            "command_line": ["/bin/true", "one", "two"],
            "argv_length": 18,
            "argv_truncated": false,
            "cwd": dir.path().to_str(),
            "uid": 0, "gid": 0, "euid": 0, "egid": 0,
            "user": "root",
            "interpreter": null,
            "script": null,
            "flags": null,
            "pid_in_namespace": null,
        },
    }));
}

#[test]
fn failed_execs_are_no_execs() {
    let dir = Dir::new();
    dir.write("text", "no program");
    let steps = [
        "fails exec ./absent",
        "fails exec ./text",
        "copy text damaged 755",
        "fails exec ./damaged",
        "fails exec /",
        "exec /bin/true at last",
    ];
    let trace = watch(Actor::in_dir(dir.path(), steps));
    let errors: Vec<_> = trace.actor().all_said("errno").collect();
    assert_eq!(errors, [libc::ENOENT, libc::EACCES, libc::ENOEXEC, libc::EACCES].map(|it| it.to_string()));
    trace.one("process.exec").shows(json!({"process": {"command_line": ["/bin/true", "at", "last"]}}));
}

#[test]
fn a_program_by_another_name_shows_both() {
    let dir = Dir::new();
    let trace = watch(Actor::in_dir(dir.path(), ["symlink /bin/true alias", "exec ./alias"]));
    trace.one("process.exec").shows(json!({
        "process": {"executable": real("/bin/true"), "command_line": ["./alias"], "name": "alias"},
    }));
}

#[test]
fn a_script_shows_itself_and_its_interpreter() {
    let dir = Dir::new();
    dir.write("text", "#!/bin/sh -e\nexit 3\n");
    let steps = ["mkdir sub", "copy text sub/script 755", "exec ./sub/../sub/script argument"];
    let trace = watch(Actor::in_dir(dir.path(), steps));
    trace.one("process.exec").shows(json!({
        "process": {
            "name": "script",
            "executable": real("/bin/sh"),
            "interpreter": "/bin/sh",
            "script": dir.join("sub/script"),
            "command_line": ["/bin/sh", "-e", "./sub/../sub/script", "argument"],
        },
    }));
    trace.of("process.exit", trace.actor().pid).shows(json!({"process": {"exit": {"code": 3}}}));
}

#[test]
fn a_script_run_by_a_script_shows_the_first_script_and_the_last_interpreter() {
    let dir = Dir::new();
    dir.write("inner.text", "#!/bin/sh\nexit 0\n");
    dir.write("outer.text", &format!("#!{}\n", dir.join("inner")));
    let steps = ["copy inner.text inner 755", "copy outer.text outer 755", "exec ./outer"];
    let trace = watch(Actor::in_dir(dir.path(), steps));
    trace.one("process.exec").shows(json!({
        "process": {
            "executable": real("/bin/sh"),
            "interpreter": "/bin/sh",
            "script": dir.join("outer"),
            "command_line": ["/bin/sh", dir.join("inner"), "./outer"],
        },
    }));
}

#[test]
fn a_setuid_program_shows_who_asked_and_whose_rights_it_got() {
    let dir = Dir::new();
    let steps = ["copy /bin/true raise 4755", "user 61001", "exec ./raise"];
    let trace = watch(Actor::in_dir(dir.path(), steps));
    trace.one("process.exec").shows(json!({
        "process": {"uid": 61001, "gid": 61001, "euid": 0, "egid": 61001, "flags": ["setuid"]},
    }));
}

#[test]
fn a_setgid_program_shows_the_group_it_got() {
    let dir = Dir::new();
    let steps = ["copy /bin/true raise 2755", "user 61001", "exec ./raise"];
    let trace = watch(Actor::in_dir(dir.path(), steps));
    trace.one("process.exec").shows(json!({
        "process": {"uid": 61001, "gid": 61001, "euid": 61001, "egid": 0, "flags": ["setuid"]},
    }));
}

#[test]
fn a_user_without_rights_raises_no_flag() {
    let trace = watch(Actor::new(["user 61001", "exec /bin/true"]));
    trace.one("process.exec").shows(json!({
        "process": {
            "uid": 61001, "euid": 61001, "user": null, "flags": null, "capabilities": "0000000000000000",
        },
    }));
}

#[test]
fn a_program_in_memory_alone_is_marked_memfd() {
    let trace = watch(Actor::new(["memfd payload /bin/true argument"]));
    trace.one("process.exec").shows(json!({
        "process": {
            "executable": "memfd:payload",
            "flags": ["memfd"],
            "file_exists": false,
            "command_line": ["/bin/true", "argument"],
        },
    }));
}

#[test]
fn a_deleted_program_keeps_its_name_and_is_marked() {
    let dir = Dir::new();
    let steps = ["copy /bin/true gone 755", "nameless ./gone"];
    let trace = watch(Actor::in_dir(dir.path(), steps));
    trace.one("process.exec").shows(json!({
        "process": {"executable": dir.join("gone"), "flags": ["deleted"], "file_exists": false},
    }));
}

#[test]
fn an_exec_in_a_jail_shows_paths_as_the_host_sees_them() {
    let dir = Dir::new();
    let steps = ["mkdir jail", "unshare mnt", "mount / jail", "chroot jail", "chdir /etc", "exec /bin/true"];
    let trace = watch(Actor::in_dir(dir.path(), steps));
    let program = real("/bin/true");
    trace.one("process.exec").shows(json!({
        "process": {
            "executable": dir.join(&format!("jail{program}")),
            "cwd": dir.join("jail/etc"),
            "command_line": ["/bin/true"],
        },
    }));
}

#[test]
fn a_directory_far_down_is_shown_whole() {
    let dir = Dir::new();
    let mut steps = Vec::new();
    let mut expected = dir.path().to_str().unwrap().to_owned();
    for level in 0..60 {
        let name = format!("level-{level}");
        steps.extend([format!("mkdir {name}"), format!("chdir {name}")]);
        expected = format!("{expected}/{name}");
    }
    steps.extend(["copy /bin/true program 755".to_owned(), "exec ./program".to_owned()]);
    let trace = watch(Actor::in_dir(dir.path(), steps));
    trace.one("process.exec").shows(json!({
        "process": {"executable": format!("{expected}/program"), "cwd": expected},
    }));
}

#[test]
fn a_program_deeper_than_the_walk_goes_is_seen() {
    let dir = Dir::new();
    let mut steps: Vec<_> = (0..800).flat_map(|_| ["mkdir d", "chdir d"]).collect();
    steps.extend(["copy /bin/true program 755", "exec ./program argument"]);
    let trace = watch(Actor::in_dir(dir.path(), steps));
    let exec = trace.one("process.exec").shows(json!({
        "process": {"name": "program", "command_line": ["./program", "argument"]},
    }));
    assert!(exec.text("/process/executable").ends_with("/d/d/program"), "{:#}", exec.json());
    assert!(exec.text("/process/cwd").ends_with("/d/d"), "{:#}", exec.json());
}
