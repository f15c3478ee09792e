//! Rules about crates: who may depend on whom, and that all share the lints.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::command::capture;
use crate::project::Project;

/// Which of our crates each of our crates may depend on, for building as for testing. Data flows up, knowledge does
/// not flow down: a crate absent on the right is one whose changes cannot break the crate on the left.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("collector-common", &[]),
    ("collector-ebpf", &["collector-common"]),
    ("collector-proto", &[]),
    ("proto-codegen", &[]),
    ("collector-core", &["collector-proto"]),
    ("collector-sources", &["collector-common", "collector-core"]),
    ("collector-store", &["collector-core"]),
    ("collector-rules", &["collector-core", "collector-store"]),
    ("collector-agent", &["collector-core", "collector-sources", "collector-store", "collector-rules"]),
    ("collector-tests", &[ANYTHING]),
    ("xtask", &[]),
];
const ANYTHING: &str = "*";

/// What tests may depend on besides. The guide of the framework shows it with the sources and the store that go with it.
const TESTS_MAY_DEPEND_ON: &[(&str, &[&str])] =
    &[("collector-core", &["collector-sources", "collector-store"])];

/// Compares what the manifests say with [`MAY_DEPEND_ON`].
pub(super) fn dependency_directions(project: &Project) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let manifests = [project.root.join("Cargo.toml"), project.ebpf_manifest()];
    for manifest in manifests.iter().filter(|manifest| manifest.is_file()) {
        let mut cargo = project.cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
        let metadata =
            serde_json::from_str(&capture(&mut cargo)?).context("cargo metadata did not print JSON")?;
        findings.extend(wrong_directions(&metadata));
    }
    Ok(findings)
}

fn wrong_directions(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(known, _)| *known == name) else {
            let message =
                format!("{name} has no row in the table of dependencies in xtask/src/tidy/crates.rs");
            findings.push(Finding::at(0, message));
            continue;
        };
        // Ours are the ones with a path.
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let ours = dependencies.filter(|dependency| dependency["path"].is_string());
        for dependency in ours {
            let for_tests = dependency["kind"] == "dev";
            let Some(dependency) = dependency["name"].as_str() else { continue };
            // Its tests may take a crate the way others do, with a feature.
            let is_itself = dependency == name;
            let tested_with = TESTS_MAY_DEPEND_ON.iter().find(|(known, _)| *known == name);
            let for_tests = for_tests && tested_with.is_some_and(|(_, tested)| tested.contains(&dependency));
            if !is_itself && !for_tests && !allowed.contains(&dependency) && !allowed.contains(&ANYTHING) {
                let message = format!("{name} must not depend on {dependency}: {}", describe(allowed));
                findings.push(Finding::at(0, message));
            }
        }
    }
    findings
}

fn describe(allowed: &[&str]) -> String {
    match allowed {
        [] => "it stands alone".to_owned(),
        _ => format!("of ours it may use {}", allowed.join(", ")),
    }
}

/// Every crate of the workspace takes the workspace's lints.
pub(super) fn inherits_lints(path: &Path, text: &str) -> Vec<Finding> {
    // The root has no package, and crates outside the workspace cannot inherit.
    let outside =
        ["Cargo.toml", "collector-ebpf/Cargo.toml", "tests/fuzz/Cargo.toml", "xtask/public-api/Cargo.toml"];
    if outside.iter().any(|manifest| path == Path::new(manifest)) {
        return Vec::new();
    }
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    if lines.next() == Some("workspace = true") {
        return Vec::new();
    }
    vec![Finding::at(0, "the manifest must say `[lints]` and `workspace = true`")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn messages(package: &str, dependency: &Value) -> Vec<String> {
        let metadata = json!({"packages": [{"name": package, "dependencies": [dependency]}]});
        wrong_directions(&metadata).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn dependencies_point_one_way() {
        let core = json!({"name": "collector-core", "path": "/x/collector-core"});
        assert!(messages("collector-store", &core).is_empty());
        assert!(messages("collector-tests", &core).is_empty());
        assert_eq!(messages("xtask", &core), ["xtask must not depend on collector-core: it stands alone"]);
        assert!(messages("collector-core", &core).is_empty());
        assert_eq!(
            messages("collector-core", &json!({"name": "collector-store", "path": "/x"})),
            ["collector-core must not depend on collector-store: of ours it may use collector-proto"]
        );
        let store = |kind| json!({"name": "collector-store", "path": "/x", "kind": kind});
        assert!(messages("collector-core", &store("dev")).is_empty());
        assert_eq!(messages("collector-core", &store("build")).len(), 1);
        assert_eq!(messages("collector-common", &store("dev")).len(), 1);
    }

    #[test]
    fn crates_of_others_do_not_count() {
        assert!(messages("xtask", &json!({"name": "anyhow", "path": null})).is_empty());
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        assert!(messages("collector-new", &json!({}))[0].starts_with("collector-new has no row"));
    }

    #[test]
    fn lints_are_inherited() {
        let path = Path::new("xtask/Cargo.toml");
        assert!(inherits_lints(path, "[package]\n\n[lints]\nworkspace = true\n").is_empty());
        assert_eq!(inherits_lints(path, "[package]\n").len(), 1);
        assert!(inherits_lints(Path::new("collector-ebpf/Cargo.toml"), "[package]\n").is_empty());
    }
}
