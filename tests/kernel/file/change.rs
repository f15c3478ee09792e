//! Files made, removed, renamed, linked, and their attributes changed.

use collector_common::Kind;
use collector_sources::plan::Tier;
use collector_tests::{names_from, tier_of};
use serde_json::json;

use super::{check, watch};
use crate::Dir;

#[test]
fn a_new_file_shows_what_it_is_and_who_made_it() {
    let dir = Dir::new();
    let trace = watch(&dir, ["open f w,creat new", "write f 5", "fchmod f 600"]);
    let create = trace.one("file.create").shows(json!({
        "source": "kernel-file",
        "capture": "kernel",
        "process": {"pid": trace.actor().pid, "name": "actor", "uid": 0},
        "file": {
            "path": dir.join("new"),
            "mode": "0100644",
            "owner": {"uid": 0, "gid": 0},
            "size": 0,
            "flags": ["write"],
        },
    }));
    let made = std::fs::metadata(dir.join("new")).unwrap();
    let (inode, device) = {
        use std::os::unix::fs::MetadataExt as _;
        (made.ino(), made.dev())
    };
    let device = format!("{}:{}", libc::major(device), libc::minor(device));
    create.shows(json!({"file": {"inode": inode, "device": device}}));
    trace.one("file.attributes").shows(json!({
        "file": {"inode": inode, "mode": "0100600", "size": 5, "flags": ["mode"]},
    }));
    trace.one("file.modify").shows(json!({"file": {"inode": inode, "size": 5, "written": 5}}));
}

#[test]
fn every_way_to_make_a_file_is_seen() {
    check(
        &[
            "open a w,creat one",
            "open b r,creat two",
            "open c rw,creat,excl three",
            "creat d four",
            "openat2 e w,creat five",
            "open dir r,dir .",
            "openat f dir w,creat six",
        ],
        &[
            "create one (write)",
            "create two",
            "create three (write)",
            "create four (write)",
            "create five (write)",
            "create six (write)",
        ],
    );
}

#[test]
fn directories_and_nodes_are_made() {
    let trace = check(
        &[
            "mkdir sub",
            "open dir r,dir sub",
            "mkdirat dir inner",
            "mkfifo pipe",
            "chdir sub",
            "mkdir ../last",
        ],
        &["create sub (directory)", "create sub/inner (directory)", "create pipe", "create last (directory)"],
    );
    trace.only("file.create", |event| event.text("/file/path").ends_with("/pipe")).shows(json!({
        "capture": names_from(Kind::FileCreate), "file": {"mode": "010644"},
    }));
}

#[test]
fn a_file_that_is_there_is_opened_not_created() {
    check(
        &[
            "open f w,creat x",
            "close f",
            "open f rw x",
            "close f",
            "open f w,creat x",
            "close f",
            "open f w,append x",
        ],
        &["create x (write)", "open x (write)", "open x (write)", "open x (write, append)"],
    );
}

#[test]
fn reading_is_no_event() {
    check(
        &[
            "open f w,creat x",
            "close f",
            "open f r x",
            "close f",
            "open f r,dir .",
            "open f path x",
            "fails open f r y",
        ],
        &["create x (write)"],
    );
}

#[test]
fn what_failed_did_not_happen() {
    check(
        &[
            "mkdir d",
            "open keep w,creat d/x",
            "fails open f w absent",
            "fails open f w,creat,excl d/x",
            "fails open f w,creat absent/x",
            "fails mkdir d",
            "fails rmdir d",
            "fails unlink absent",
            "fails rename absent x",
            "fails link absent x",
            "fails symlink target d",
            "fails chmod absent 600",
            "fails chown absent 1 1",
            "fails setxattr absent",
            "fails truncate absent 1",
        ],
        &["create d (directory)", "create d/x (write)"],
    );
}

#[test]
fn names_are_removed() {
    let trace = check(
        &[
            "open f w,creat x",
            "open f w,creat y",
            "mkdir d",
            "unlink x",
            "open dir r,dir .",
            "unlinkat dir y",
            "rmdir d",
        ],
        &[
            "create x (write)",
            "create y (write)",
            "create d (directory)",
            "delete x",
            "delete y",
            "delete d (directory)",
        ],
    );
    let from = names_from(Kind::FileDelete);
    assert!(trace.all("file.delete").all(|event| event.at("/capture") == from));
}

#[test]
fn names_change_and_change_places() {
    check(
        &[
            "open f w,creat x",
            "rename x y",
            "mkdir d",
            "open dir r,dir d",
            "open here r,dir .",
            "renameat here y dir z",
            "open f w,creat other",
            "exchange other d/z",
        ],
        &[
            "create x (write)",
            "rename y <- x",
            "create d (directory)",
            "rename d/z <- y",
            "create other (write)",
            "rename d/z <- other (exchange)",
        ],
    );
}

#[test]
fn links_show_what_they_point_to() {
    check(
        &["open f w,creat x", "link x hard", "symlink ../somewhere/else soft", "symlink x sub"],
        &[
            "create x (write)",
            "link hard -> x",
            "link soft -> ../somewhere/else (symlink)",
            "link sub -> x (symlink)",
        ],
    );
}

#[test]
fn changed_attributes_say_which() {
    check(
        &[
            "open f w,creat x",
            "chmod x 4755",
            "fchmod f 600",
            "open dir r,dir .",
            "fchmodat dir x 640",
            "chown x 1 2",
            "lchown x 3 4",
            "fchown f 5 6",
            "utimensat x",
            "futimens f",
            "setxattr x",
            "fsetxattr f",
            "removexattr x",
        ],
        &[
            "create x (write)",
            "attributes x (mode)",
            "attributes x (mode)",
            "attributes x (mode)",
            "attributes x (owner)",
            "attributes x (owner)",
            "attributes x (owner)",
            "attributes x (times)",
            "attributes x (times)",
            "attributes x (xattr)",
            "attributes x (xattr)",
            "attributes x (xattr)",
        ],
    );
}

#[test]
fn a_new_mode_and_a_new_owner_are_told() {
    let trace = check(
        &["open f w,creat x", "chmod x 4711", "chown x 1 2", "fchmod f 600", "fchown f 3 4"],
        &[
            "create x (write)",
            "attributes x (mode)",
            "attributes x (owner)",
            "attributes x (mode)",
            "attributes x (owner)",
        ],
    );
    let [by_name, owner_by_name, by_descriptor, owner] = trace.all("file.attributes").collect::<Vec<_>>()[..]
    else {
        panic!("four changes");
    };
    owner_by_name.shows(json!({"file": {"owner": {"uid": 1, "gid": 2}}}));
    if tier_of(Kind::FileAttributes) == Tier::A {
        // What the file has now: a new owner costs it the permission to run as the old one.
        by_name.shows(json!({"capture": "kernel", "file": {"mode": "0104711"}}));
        owner_by_name.shows(json!({"file": {"mode": "0100711"}}));
        assert_eq!(by_name.at("/file/inode"), by_descriptor.at("/file/inode"));
    } else {
        // What was asked for.
        by_name.shows(json!({"capture": "syscall", "file": {"mode": "04711", "inode": null}}));
        owner_by_name.shows(json!({"file": {"mode": null}}));
    }
    by_descriptor.shows(json!({"capture": "kernel", "file": {"mode": "0100600"}}));
    owner.shows(json!({"file": {"owner": {"uid": 3, "gid": 4}}}));
}
