//! The agent with few privileges: started as root and given up, or given by whoever starts it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use collector_sources::features::CAPABILITIES;
use collector_tests::{Actor, Agent, EndedAgent, User, run_agent, run_agent_by};
use rustix::process::Signal;
use rustix::thread::{Gid, set_thread_groups};
use serde_json::{Value, json};

use crate::{Dir, real};

/// Whom the agent runs as. Whether there is such a user is not ours to say.
const AGENT: u32 = 1000;
/// Whom it watches.
const ACTOR: u32 = 61_020;

/// `CAP_BPF`, `CAP_PERFMON`, `CAP_SYS_PTRACE`, `CAP_DAC_READ_SEARCH`, by the kernel's numbers.
const KEPT: u64 = 1 << 39 | 1 << 38 | 1 << 19 | 1 << 2;
const TRACING: u64 = 1 << 39 | 1 << 38;
const EVERY_EXEC: &str =
    "[[triggers.conditions]]\nid = \"any\"\nsql = \"kind = 'process.exec'\"\nseverity = \"low\"\n";

/// What is watched: an actor of another user, with a program that only its owner may read.
struct Scene {
    actor: Actor,
    tool: String,
    /// The actor's files.
    home: Dir,
}

impl Scene {
    fn new() -> Self {
        let home = Dir::new();
        let tool = home.join("tool");
        fs::copy(real("/bin/true"), &tool).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(home.join("files")).unwrap();
        for path in ["", "tool", "files"] {
            chown(home.path().join(path), Some(ACTOR), Some(ACTOR)).unwrap();
        }
        let (user, spawn) = (format!("user {ACTOR}"), format!("spawn {tool} one"));
        let steps = [&*user, "wait", &*spawn, "work tcp 1 x", "work file 1 files", "wait"];
        let mut actor = Actor::in_dir(home.path(), steps);
        // It is another user's before the agent looks at it.
        actor.go_on();
        Self { actor, tool, home }
    }

    /// Has the actor act, and the agent end when it has seen it.
    fn play(mut self, mut agent: Agent) -> Seen {
        self.actor.go_on();
        agent.wait_for_output("\"kind\":\"file.delete\"");
        agent.wait_for_output("\"kind\":\"alert\"");
        let pid = self.actor.pid();
        assert!(self.actor.finish().status.success());
        Seen { pid, tool: self.tool, home: self.home, ended: agent.end(Signal::TERM) }
    }
}

/// What an agent told of it.
struct Seen {
    pid: u32,
    tool: String,
    home: Dir,
    ended: EndedAgent,
}

impl Seen {
    /// Nothing is missing that an agent with all privileges would tell.
    fn is_complete(&self) {
        let Self { pid, tool, home, ended } = self;
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
        let process = |line: &Value| line["process"].clone();

        // Of a process that ran before, from another user's /proc.
        let snapshot =
            process(ended.all("process.snapshot").find(|line| line["process"]["pid"] == *pid).unwrap());
        let cwd = home.path().to_str().unwrap();
        assert_eq!(snapshot["cwd"], cwd, "{}", self.pid);
        let actor = collector_tests::actor_program().into_string().unwrap();
        assert_eq!(snapshot["executable"], real(&actor));
        assert_eq!((&snapshot["uid"], &snapshot["accessible"]), (&json!(ACTOR), &Value::Null));

        let exec = process(ended.all("process.exec").next().unwrap());
        let expected = json!({
            "executable": tool, "command_line": [tool, "one"], "cwd": cwd, "uid": ACTOR,
            "parent_exec_id": snapshot["exec_id"],
        });
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(&exec[member], value, "{member}");
        }

        let kinds = [
            ("process.exec", 1),
            ("process.exit", 2),
            ("network.listen", 2),
            ("network.connect", 1),
            ("network.accept", 1),
            ("network.close", 2),
            ("file.create", 1),
            ("file.modify", 1),
            ("file.rename", 1),
            ("file.delete", 1),
            ("loss", 0),
        ];
        for (kind, count) in kinds {
            assert_eq!(ended.all(kind).count(), count, "{kind}");
        }
        for line in
            ended.lines.iter().filter(|line| line["kind"] != "process.snapshot" && line["kind"] != "alert")
        {
            let process = &line["process"];
            assert_eq!(process["uid"], ACTOR, "{}", line["kind"]);
            assert_ne!(line["capture"], "procfs", "{}", line["kind"]);
        }

        // Only who may read others' files has a digest of it.
        let alert = ended.all("alert").next().unwrap();
        let digest = std::process::Command::new("sha256sum").arg(tool).output().unwrap().stdout;
        let digest = String::from_utf8(digest).unwrap();
        let digest = digest.split_whitespace().next().unwrap();
        assert_eq!(
            (&alert["alert"]["path"], &alert["alert"]["sha256"]),
            (&json!(tool), &json!(digest)),
            "{alert}"
        );
    }
}

/// What the kernel says of every thread of a process: the words after these names.
fn credentials(pid: u32, names: &[&str]) -> Vec<Vec<String>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
    let of = |status: &str, name: &str| {
        let words = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    status.map(|status| names.iter().map(|name| of(&status, name)).collect()).collect()
}

/// Every thread is the user's, has these capabilities and never gets others.
fn is_confined(agent: &Agent, bounding: Option<u64>) {
    let id = [AGENT; 4].map(|id| id.to_string()).join(" ");
    let set = |bits: u64| format!("{bits:016x}");
    let names = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs"];
    let expected = [&*id, &id, "", &set(0), &set(KEPT), &set(KEPT), &set(0), "1"];
    let threads = credentials(agent.pid(), &names);
    // The sources, the output, the store.
    assert!(threads.len() > 3, "{threads:?}");
    for thread in threads {
        assert_eq!(thread, expected);
    }
    if let Some(bounding) = bounding {
        assert!(credentials(agent.pid(), &["CapBnd"]).iter().all(|words| *words == [set(bounding)]));
    }
}

fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

#[test]
fn root_gives_way_to_a_user_who_sees_as_much() {
    let dir = Dir::new();
    let run_as = ["--run-as", &AGENT.to_string()];
    let scene = Scene::new();
    // Of this thread, and of what it starts: a group to leave.
    set_thread_groups(&[Gid::from_raw(61_021)]).unwrap();
    let agent = Agent::run_with(dir.path(), &[scene.actor.pid()], EVERY_EXEC, &run_as);
    is_confined(&agent, Some(KEPT));
    for path in [
        "store",
        "store/events.db",
        "store/events.db-wal",
        "runtime",
        "runtime/collector.lock",
        "events.json",
    ] {
        assert_eq!(owner(dir.join(path)), (AGENT, AGENT), "{path}");
    }
    let (status, stdout, stderr) =
        run_agent(&["status", "--runtime-dir", &dir.join("runtime"), "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert!(status.success());
    let expected = (&json!(AGENT), &json!([]), &Value::Null);
    let standing = &report["standing"];
    assert_eq!((&standing["uid"], &standing["missing"], &standing["as_root"]), expected, "{report}");
    scene.play(agent).is_complete();

    // What the first one left belongs to the next one.
    let scene = Scene::new();
    fs::remove_file(dir.join("events.json")).unwrap();
    let agent = Agent::run_with(dir.path(), &[scene.actor.pid()], EVERY_EXEC, &run_as);
    scene.play(agent).is_complete();
    let sql = "SELECT count(*) AS execs FROM events WHERE kind = 'process.exec'";
    let (_, stdout, stderr) =
        run_agent(&["query", "--db", &dir.join("store/events.db"), "--format", "json", sql]);
    assert_eq!(stdout.trim(), "{\"execs\":2}", "{stderr}");
}

#[test]
fn what_an_agent_of_root_left_is_handed_over() {
    let dir = Dir::new();
    for run_as in ["root".to_owned(), AGENT.to_string()] {
        let actor = Actor::new([""; 0]);
        // Appended to it would look as if the second agent were at work before it is.
        let _ = fs::remove_file(dir.join("events.json"));
        let agent = Agent::run_with(dir.path(), &[actor.pid()], "", &["--run-as", &run_as]);
        let ended = agent.end(Signal::TERM);
        assert!(
            ended.status.success() && !ended.stderr.contains("warning"),
            "{:?} {}",
            ended.status,
            ended.stderr
        );
        let id = run_as.parse().unwrap_or(0);
        for path in ["store", "store/events.db", "runtime", "runtime/collector.lock", "runtime/status.json"] {
            assert_eq!(owner(dir.join(path)), (id, id), "{path} of {run_as}");
        }
    }
}

#[test]
fn capabilities_from_outside_are_enough_and_more_are_given_up() {
    // CAP_CHOWN and CAP_NET_ADMIN are of no use, CAP_SETPCAP is what reduces the bounding set.
    for (capabilities, bounding) in [(KEPT, None), (KEPT | 1 | 1 << 12 | 1 << 8, Some(KEPT))] {
        let dir = Dir::new();
        let scene = Scene::new();
        let user = User { id: AGENT, capabilities };
        let agent = Agent::run_by(user, dir.path(), &[scene.actor.pid()], EVERY_EXEC);
        is_confined(&agent, bounding);
        scene.play(agent).is_complete();
    }
}

#[test]
fn what_is_missing_is_said_and_the_rest_is_seen() {
    let dir = Dir::new();
    let scene = Scene::new();
    let user = User { id: AGENT, capabilities: TRACING };
    let agent = Agent::run_by(user, dir.path(), &[scene.actor.pid()], EVERY_EXEC);
    let runtime = dir.join("runtime");
    let (status, stdout, _) = run_agent(&["status", "--strict", "--runtime-dir", &runtime]);
    assert_eq!(status.code(), Some(3), "{stdout}");
    assert!(stdout.contains("CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH missing"), "{stdout}");
    let Seen { pid, tool, ended, .. } = scene.play(agent);
    let snapshot = ended.all("process.snapshot").find(|line| line["process"]["pid"] == pid).unwrap();
    assert_eq!(snapshot["process"]["accessible"], false);
    let exec = ended.all("process.exec").next().unwrap();
    assert_eq!(exec["process"]["executable"], tool);
    let alert = ended.all("alert").next().unwrap();
    assert_eq!((&alert["alert"]["path"], &alert["alert"]["sha256"]), (&json!(tool), &Value::Null));

    let (_, stdout, _) = run_agent_by(user, &["doctor", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let privileges = report["privileges"].as_array().unwrap();
    let missing = privileges.iter().filter(|it| it["needed"] == true && it["has"] == false);
    let names: Vec<&str> = missing.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(
        (names, &report["can_capture"]),
        (vec!["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"], &json!(true))
    );
    assert_eq!(privileges.len(), CAPABILITIES.len());
}

#[test]
fn without_capabilities_it_polls_or_fails_as_was_asked() {
    let user = User { id: AGENT, capabilities: 0 };
    let dir = Dir::new();
    let actor = Actor::new([""; 0]);
    let agent = Agent::run_by(user, dir.path(), &[actor.pid()], "");
    let ended = agent.end(Signal::TERM);
    assert!(ended.status.success() && ended.stderr.contains("polling /proc instead"), "{}", ended.stderr);
    assert!(ended.lines.iter().all(|line| line["capture"] == "procfs"));
    let run = ["run", "--mode", "kernel", "--no-store", "--runtime-dir", &dir.join("runtime")];
    let (status, _, stderr) = run_agent_by(user, &run);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("CAP_BPF, CAP_PERFMON") && stderr.contains("collector doctor"), "{stderr}");
}

#[test]
fn who_is_no_user_or_cannot_be_become_is_an_error() {
    let dir = Dir::new();
    let runtime = dir.join("runtime");
    let run = |name| ["run", "--no-store", "--runtime-dir", &runtime, "--run-as", name];
    let (status, _, stderr) = run_agent(&run("no-such-user"));
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("no user `no-such-user`"), "{stderr}");
    let (status, _, stderr) = run_agent_by(User { id: AGENT, capabilities: KEPT }, &run("root"));
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("only root can"), "{stderr}");
    assert!(!Path::new(&runtime).exists(), "nothing is made before");
    // Where the user may not write, it says so and what to do, before anything is captured.
    fs::create_dir(&runtime).unwrap();
    fs::write(dir.join("runtime/other"), "").unwrap();
    let (status, _, stderr) = run_agent(&run("1000"));
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write to") && stderr.contains("hint: "), "{stderr}");
    assert_eq!(owner(&runtime), (0, 0));
}
