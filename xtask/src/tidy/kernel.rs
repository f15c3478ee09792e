//! Rules about the source of the kernel programs.

use super::{Finding, numbered};

/// The kernel keeps 16 bytes of a program's or map's name, the last one zero; `bpftool` would show a truncated one.
const NAME_MAX_BYTES: usize = 15;

/// aya-ebpf's attributes that make a function a program, named by that function.
const PROGRAMS: &[&str] = &[
    "btf_tracepoint",
    "cgroup_",
    "fentry",
    "fexit",
    "fmod_ret",
    "kprobe",
    "kretprobe",
    "lsm",
    "perf_event",
    "raw_tracepoint",
    "sk_",
    "socket_filter",
    "tracepoint",
    "uprobe",
    "uretprobe",
];
const MAPS: &[&str] = &["map", "btf_map"];

/// Names of programs and maps that the kernel would cut.
pub(super) fn long_names(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Set from the attribute to the item it stands on.
    let mut awaited: Option<&str> = None;
    for (number, line) in numbered(text) {
        let line = line.trim_start();
        if let Some(attribute) = line.strip_prefix("#[") {
            let is_one_of = |names: &[&str]| {
                names.iter().any(|name| {
                    let rest = attribute.strip_prefix(name);
                    rest.is_some_and(|rest| name.ends_with('_') || rest.starts_with(['(', ']']))
                })
            };
            let explicit = attribute.split_once("name = \"").and_then(|(_, rest)| rest.split('"').next());
            if is_one_of(PROGRAMS) {
                awaited = Some("fn ");
            } else if is_one_of(MAPS) {
                awaited = if explicit.is_some() { None } else { Some("static ") };
                findings.extend(explicit.and_then(|name| too_long(number, name)));
            }
        } else if let Some((_, rest)) = awaited.and_then(|keyword| line.split_once(keyword)) {
            awaited = None;
            let rest = rest.strip_prefix("mut ").unwrap_or(rest);
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            findings.extend(too_long(number, &rest[..end]));
        }
    }
    findings
}

fn too_long(line: usize, name: &str) -> Option<Finding> {
    let message = || format!("the kernel cuts names after {NAME_MAX_BYTES} bytes: {name} has {}", name.len());
    (name.len() > NAME_MAX_BYTES).then(|| Finding::at(line, message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<usize> {
        long_names(text).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn programs_are_named_by_their_function() {
        let text = "#[fentry(function = \"security_file_open\")]\npub fn file_open(ctx: FEntryContext) -> i32 {\n\
                    #[btf_tracepoint]\n#[inline]\npub fn sched_process_exec(ctx: Ctx) -> i32 {\n\
                    pub fn a_helper_with_a_long_name() {}\n";
        assert_eq!(check(text), [5]);
    }

    #[test]
    fn maps_are_named_by_attribute_or_static() {
        let text = "#[map]\nstatic PROC_EVENTS: RingBuf = a();\n#[btf_map]\npub(crate) static mut A_MAP_TOO_LONG_BY_FAR: X = a();\n\
                    #[map(name = \"EXPLICIT_AND_TOO_LONG\")]\nstatic E: X = a();\n#[map(name = \"E\")]\nstatic EXPLICIT_SO_THIS_DOES_NOT_COUNT: X = a();\n";
        assert_eq!(check(text), [4, 5]);
    }

    #[test]
    fn fifteen_bytes_fit() {
        assert!(check("#[map]\nstatic FIFTEEN_BYTES_X: X = a();\n").is_empty());
        assert_eq!(check("#[map]\nstatic SIXTEEN_BYTES_XX: X = a();\n"), [2]);
    }
}
