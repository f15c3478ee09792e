//! The files for packages fit the program.

use std::path::{Path, PathBuf};

use collector_sources::features::{CAPABILITIES, Need};

use crate::{Fixture, text};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(name)
}

fn setting<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    let values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).collect()
}

#[test]
fn the_service_has_the_capabilities_that_the_agent_keeps() {
    let unit = std::fs::read_to_string(packaging("collector.service")).unwrap();
    let always = CAPABILITIES.iter().filter(|capability| capability.need == Need::Always);
    let names: Vec<&str> = always.map(|capability| capability.name).collect();
    assert_eq!(setting(&unit, "AmbientCapabilities"), names);
    assert_eq!(setting(&unit, "CapabilityBoundingSet"), names);
    // The one that is not kept is made up for.
    assert_eq!(setting(&unit, "LimitMEMLOCK"), ["infinity"]);
    let users = std::fs::read_to_string(packaging("sysusers.conf")).unwrap();
    let user = setting(&unit, "User")[0];
    assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{users}");
}

#[test]
fn the_service_cannot_attach_to_processes() {
    let unit = std::fs::read_to_string(packaging("collector.service")).unwrap();
    let filters = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let denied: Vec<&str> =
        filters.filter_map(|list| list.strip_prefix('~')).flat_map(str::split_whitespace).collect();
    assert!(["ptrace", "process_vm_writev"].iter().all(|call| denied.contains(call)), "{denied:?}");
}

/// A mount namespace of the service's own would cost it the digests of all files.
#[test]
fn the_service_stays_in_the_mount_namespace_of_the_host() {
    let unit = std::fs::read_to_string(packaging("collector.service")).unwrap();
    for name in [
        "ProtectSystem",
        "ProtectHome",
        "ProtectProc",
        "ProcSubset",
        "ProtectKernelTunables",
        "ProtectKernelModules",
        "ProtectKernelLogs",
        "ProtectControlGroups",
        "PrivateTmp",
        "PrivateDevices",
        "PrivateMounts",
        "PrivateUsers",
        "PrivateNetwork",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "ReadWritePaths",
        "BindPaths",
        "RootDirectory",
        "TemporaryFileSystem",
        "DynamicUser",
        "MountFlags",
    ] {
        assert_eq!(setting(&unit, name), [""; 0], "{name}");
    }
}

#[test]
fn the_configuration_of_the_service_is_valid() {
    let fixture = Fixture::new();
    let file = packaging("collector.toml");
    let ran = fixture.run(&["config", "check", text(&file)]).succeeds();
    assert_eq!(ran.err, "", "{ran:?}");
    let shown = fixture.run(&["--config", text(&file), "config", "show"]).succeeds();
    assert!(shown.out.contains("format = \"none\""), "{}", shown.out);
}
