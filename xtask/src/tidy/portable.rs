//! Rules that keep `collector-core` free of Linux: a third party's source may run anywhere.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Finding, numbered};
use crate::command::capture;
use crate::project::Project;

const PORTABLE: &str = "collector-core";
const PORTABLE_SOURCE: &str = "collector-userspace/collector-core/src";

/// Crates that exist for Linux, or whose use would show that code is about one system. `libc` is not among them: it is
/// there for every system, and tokio needs it.
const LINUX_ONLY: &[&str] = &[
    "aya",
    "aya-log",
    "aya-obj",
    "btf-rs",
    "caps",
    "fanotify-rs",
    "inotify",
    "io-uring",
    "landlock",
    "libbpf-cargo",
    "libbpf-rs",
    "libbpf-sys",
    "libseccomp",
    "linux-raw-sys",
    "netlink-sys",
    "nix",
    "perf-event",
    "procfs",
    "procfs-core",
    "rtnetlink",
    "rustix",
    "sd-notify",
    "systemd",
    "tokio-uring",
    "uzers",
];

/// Walks the dependencies that [`PORTABLE`] is built with, on whatever system and with whatever features. What only its
/// tests need may be anything.
pub(super) fn portable_dependencies(project: &Project) -> Result<Vec<Finding>> {
    let mut cargo = project.cargo();
    cargo.args(["metadata", "--all-features", "--format-version", "1"]);
    let metadata =
        serde_json::from_str(&capture(&mut cargo)?).context("cargo metadata did not print JSON")?;
    Ok(linux_only_dependencies(&metadata))
}

fn linux_only_dependencies(metadata: &Value) -> Vec<Finding> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let names: HashMap<&str, &str> =
        packages.filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?))).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().into_iter().flatten();
    let nodes: HashMap<&str, &Value> =
        nodes.filter_map(|node| Some((node["id"].as_str()?, &node["deps"]))).collect();
    let Some(root) = names.iter().find(|(_, name)| **name == PORTABLE).map(|(id, _)| *id) else {
        return vec![Finding::at(0, format!("there is no crate {PORTABLE} to check for portability"))];
    };

    // Breadth first, so that the way to a crate is a shortest one. Each crate remembers who brought it.
    let mut brought_by: HashMap<&str, &str> = HashMap::from([(root, root)]);
    let mut queue = VecDeque::from([root]);
    let mut findings = Vec::new();
    while let Some(id) = queue.pop_front() {
        if names.get(id).is_some_and(|name| LINUX_ONLY.contains(name)) {
            let way = way_to(id, &brought_by, &names);
            let message = format!("{PORTABLE} must build without crates for Linux: {way}");
            findings.push(Finding::at(0, message));
            // What it needs itself goes when it goes.
            continue;
        }
        let dependencies = nodes.get(id).and_then(|deps| deps.as_array()).into_iter().flatten();
        for dependency in dependencies.filter(|dependency| is_normal(dependency)) {
            if let Some(next) = dependency["pkg"].as_str().filter(|next| !brought_by.contains_key(next)) {
                brought_by.insert(next, id);
                queue.push_back(next);
            }
        }
    }
    findings
}

/// Whether the crate is part of what is built, not only of tests or build scripts.
fn is_normal(dependency: &Value) -> bool {
    dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
}

/// `collector-core → a → b`.
fn way_to(id: &str, brought_by: &HashMap<&str, &str>, names: &HashMap<&str, &str>) -> String {
    let mut way = Vec::new();
    let mut at = id;
    loop {
        way.push(names.get(at).copied().unwrap_or(at));
        match brought_by.get(at) {
            Some(by) if *by != at => at = by,
            _ => break,
        }
    }
    way.reverse();
    way.join(" → ")
}

/// In the portable crate nothing public exists on Linux alone. What is private may know the system.
pub(super) fn linux_only_items(path: &Path, text: &str) -> Vec<Finding> {
    if !path.starts_with(PORTABLE_SOURCE) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut attribute = None;
    for (number, line) in numbered(text) {
        let line = line.trim_start();
        if line.starts_with("//") {
            continue;
        }
        if line.contains(concat!("os::", "linux")) {
            findings.push(Finding::at(number, format!("{PORTABLE} must build on other systems than Linux")));
        }
        let names_linux = line.contains("cfg(") && line.contains(concat!("target_os = ", "\"linux\""));
        if line.starts_with("#![") && names_linux {
            findings.push(Finding::at(number, format!("a whole file of {PORTABLE} for Linux alone")));
        } else if line.starts_with("#[") {
            attribute = attribute.or(names_linux.then_some(number));
        } else {
            // `pub(crate)` and the like are nobody else's business.
            if let Some(at) = attribute.take().filter(|_| line.starts_with("pub ")) {
                findings.push(Finding::at(at, format!("public items of {PORTABLE} exist on every system")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(kind: &Value) -> Value {
        let dependency = |id: &str, kind: &Value| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
        json!({
            "packages": [
                {"id": "1", "name": PORTABLE},
                {"id": "2", "name": "between"},
                {"id": "3", "name": "rustix"},
            ],
            "resolve": {"nodes": [
                {"id": "1", "deps": [dependency("2", kind), dependency("1", &json!("dev"))]},
                {"id": "2", "deps": [dependency("3", &Value::Null)]},
                {"id": "3", "deps": []},
            ]},
        })
    }

    #[test]
    fn a_crate_for_linux_is_found_with_the_way_to_it() {
        let findings = linux_only_dependencies(&metadata(&Value::Null));
        let messages: Vec<_> = findings.into_iter().map(|finding| finding.message).collect();
        assert_eq!(
            messages,
            ["collector-core must build without crates for Linux: collector-core → between → rustix"]
        );
    }

    #[test]
    fn what_tests_and_build_scripts_need_does_not_count() {
        assert!(linux_only_dependencies(&metadata(&json!("dev"))).is_empty());
        assert!(linux_only_dependencies(&metadata(&json!("build"))).is_empty());
    }

    #[test]
    fn a_check_that_checks_nothing_says_so() {
        assert_eq!(linux_only_dependencies(&json!({"packages": []})).len(), 1);
    }

    #[test]
    fn public_items_exist_everywhere() {
        let lines = |text: &str| -> Vec<usize> {
            let path = Path::new(PORTABLE_SOURCE).join("a.rs");
            linux_only_items(&path, text).iter().map(|finding| finding.line).collect()
        };
        let cfg = concat!("cfg(target_os = ", "\"linux\")");
        assert_eq!(lines(&format!("\n#[{cfg}]\n#[must_use]\npub fn a() {{}}\npub fn b() {{}}\n")), [2]);
        assert_eq!(lines(&format!("#[{cfg}]\npub(crate) fn a() {{}}\n#[{cfg}]\nfn b() {{}}\n")), [0; 0]);
        assert_eq!(lines(&format!("#![{cfg}]\n")), [1]);
        assert_eq!(lines(concat!("use std::os::", "linux::fs::MetadataExt;\n")), [1]);
        let elsewhere = Path::new("collector-userspace/collector-sources/src/a.rs");
        assert!(linux_only_items(elsewhere, concat!("use std::os::", "linux::fs;\n")).is_empty());
    }
}
