//! Programs started.

use collector_tests::{Actor, watch};
use serde_json::json;

#[test]
fn an_exec_shows_what_runs_where_for_whom_and_from_whom() {
    let dir = tempfile::tempdir().unwrap();
    let dir_path = dir.path().canonicalize().unwrap();
    let trace = watch(Actor::in_dir(&dir_path, ["spawn /bin/true one two"]));
    let exec = trace.one("process.exec");
    let pid = trace.actor().number("child");
    exec.shows(json!({
        "source": "kernel-process",
        "capture": "kernel",
        "process": {
            "pid": pid,
            "tid": pid,
            "ppid": trace.actor().pid,
            "name": "true",
            "executable": std::fs::canonicalize("/bin/true").unwrap().to_str(),
            "command_line": ["/bin/true", "one", "two"],
            "argv_length": 18,
            "argv_truncated": false,
            "cwd": dir_path.to_str(),
            "uid": 0, "gid": 0, "euid": 0, "egid": 0,
            "user": "root",
            "interpreter": null,
            "script": null,
            "flags": null,
        },
    }));
}
