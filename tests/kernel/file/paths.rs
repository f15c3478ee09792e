//! Names of files, however a program spells them.

use serde_json::json;

use super::{check, tell_all, watch};
use crate::Dir;

#[test]
fn a_file_behind_a_symbolic_link_has_its_real_name() {
    check(
        &[
            "mkdir real",
            "symlink real alias",
            "open f w,creat alias/x",
            "write f 1",
            "close f",
            "open f w alias/x",
        ],
        &[
            "create real (directory)",
            "link alias -> real (symlink)",
            "create real/x (write)",
            "modify real/x 1 written (write)",
            "open real/x (write)",
        ],
    );
}

#[test]
fn detours_are_left_out() {
    check(
        &[
            "mkdir a",
            "mkdir a/b",
            "open f w,creat a/./b//../b/x",
            "chdir a/b",
            "rename ../b/x ./.././y",
            "mkdir .././//c/",
            "unlink ../../a/y",
        ],
        &[
            "create a (directory)",
            "create a/b (directory)",
            "create a/b/x (write)",
            "rename a/y <- a/b/x",
            "create a/c (directory)",
            "delete a/y",
        ],
    );
}

#[test]
fn a_bind_mount_shows_the_name_that_was_used() {
    check(
        &[
            "mkdir from",
            "mkdir to",
            "unshare mnt",
            "mount from to",
            "open f w,creat to/x",
            "write f 3",
            "close f",
            "rename to/x to/y",
            "unlink from/y",
        ],
        &[
            "create from (directory)",
            "create to (directory)",
            "create to/x (write)",
            "modify to/x 3 written (write)",
            "rename to/y <- to/x",
            "delete from/y",
        ],
    );
}

#[test]
fn names_in_a_jail_are_those_of_the_host() {
    check(
        &[
            "mkdir jail",
            "mkdir jail/in",
            "chroot jail",
            "chdir /",
            "open f w,creat /x",
            "write f 2",
            "close f",
            "rename /x in/y",
            "unlink /in/../../in/y",
            "mkdir /../z",
        ],
        &[
            "create jail (directory)",
            "create jail/in (directory)",
            "create jail/x (write)",
            "modify jail/x 2 written (write)",
            "rename jail/in/y <- jail/x",
            "delete jail/in/y",
            "create jail/z (directory)",
        ],
    );
}

#[test]
fn names_far_down_are_whole() {
    const LEVELS: usize = 60;
    let dir = Dir::new();
    let down = vec!["directory"; LEVELS].join("/");
    let mut steps: Vec<String> =
        (0..LEVELS).flat_map(|_| ["mkdir directory", "chdir directory"]).map(str::to_owned).collect();
    steps.extend(["open f w,creat x", "write f 1", "close f", "rename x y", "unlink y"].map(str::to_owned));
    let trace = watch(&dir, &steps);
    assert_eq!(
        tell_all(&trace, &dir)[LEVELS..],
        [
            format!("create {down}/x (write)"),
            format!("modify {down}/x 1 written (write)"),
            format!("rename {down}/y <- {down}/x"),
            format!("delete {down}/y"),
        ]
    );
}

#[test]
fn names_deeper_than_the_walk_goes_keep_their_end_and_say_so() {
    const LEVELS: usize = 800;
    let dir = Dir::new();
    let mut steps: Vec<String> =
        (0..LEVELS).flat_map(|_| ["mkdir d", "chdir d"]).map(str::to_owned).collect();
    steps.extend(["open f w,creat x", "rename x y", "unlink y"].map(str::to_owned));
    let trace = watch(&dir, &steps);
    let all = trace.domain("file");
    assert_eq!(all.len(), LEVELS + 3);
    let [.., create, rename, delete] = all[..] else { unreachable!() };
    for (event, pointer, end) in [
        (create, "/file/path", "/d/d/x"),
        (rename, "/file/path", "/d/d/y"),
        (rename, "/file/old_path", "/d/d/x"),
        (delete, "/file/path", "/d/d/y"),
    ] {
        assert!(event.text(pointer).ends_with(end), "{:#}", event.json());
        assert!(event.at("/file/flags").as_array().unwrap().contains(&"path_truncated".into()));
    }
}

#[test]
fn a_name_longer_than_names_may_be_keeps_its_end_and_says_so() {
    // Each step is short; only the whole is longer than PATH_MAX.
    let dir = Dir::new();
    let name = "n".repeat(200);
    let mut steps = Vec::new();
    for _ in 0..30 {
        steps.extend([format!("mkdir {name}"), format!("chdir {name}")]);
    }
    steps.push("open f w,creat x".to_owned());
    let trace = watch(&dir, &steps);
    let create = *trace.domain("file").last().unwrap();
    let path = create.text("/file/path");
    let whole = format!("{}/{}/x", dir.path().display(), vec![&*name; 30].join("/"));
    assert!(whole.ends_with(path) && path.len() > 3500, "{path}");
    create.shows(json!({"kind": "file.create", "file": {"flags": ["write", "path_truncated"]}}));
}

#[test]
fn long_names_are_whole() {
    let name = "n".repeat(255);
    check(&[&format!("open f w,creat {name}")], &[&format!("create {name} (write)")]);
}

#[test]
fn a_file_that_lost_its_name_keeps_the_last_one_and_says_so() {
    check(
        &["open f w,creat x", "unlink x", "write f 7", "close f"],
        &["create x (write)", "delete x", "modify x 7 written (write, unlinked)"],
    );
}

#[test]
fn a_file_renamed_while_it_is_written_is_reported_under_its_new_name() {
    check(
        &["open f w,creat x", "write f 7", "rename x y", "close f"],
        &["create x (write)", "rename y <- x", "modify y 7 written (write)"],
    );
}
