//! The plan's table against the source of the kernel programs: both name programs, tracepoints and offsets,
//! and nothing but this test keeps them together before the object is loaded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use collector_sources::offsets;
use collector_sources::plan::{self, Place};

/// Source of the kernel programs, file by file.
fn sources() -> Vec<String> {
    fn collect(directory: &Path, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut out = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../collector-ebpf/src"), &mut out);
    out
}

/// What stands between `open` and `close` wherever it does.
fn between<'t>(text: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(inside, _)| inside).collect()
}

#[test]
fn table_and_object_name_the_same_programs_and_places() {
    let mut object = BTreeMap::new();
    for source in sources() {
        for (attribute, place) in
            [("btf_tracepoint", Place::Tracepoint), ("fentry", Place::Entry), ("fexit", Place::Return)]
        {
            for program in source.split(&format!("#[{attribute}(function = \"")).skip(1) {
                let (at, rest) = program.split_once('"').unwrap();
                let name = *between(rest, "pub fn ", "(").first().unwrap();
                object.insert(name.to_owned(), (place, at.to_owned()));
            }
        }
        // Programs that a macro makes, a line each: name, function, and what it does.
        for line in between(&source, "\ncalls! {\n", "\n}").into_iter().flat_map(str::lines) {
            let (name, rest) = line.trim().split_once(" = \"").unwrap();
            let (at, _) = rest.split_once('"').unwrap();
            object.insert(name.to_owned(), (Place::Return, at.to_owned()));
        }
    }
    let mut table: BTreeMap<String, (Place, &[&str])> = plan::rows()
        .flat_map(|row| row.hooks)
        .map(|hook| (hook.program.to_owned(), (hook.place, hook.at)))
        .collect();
    for dispatcher in [&["sys_enter"], &["sys_exit"]] {
        table.insert(dispatcher[0].to_owned(), (Place::Tracepoint, dispatcher));
    }
    assert_eq!(table.keys().collect::<Vec<_>>(), object.keys().collect::<Vec<_>>());
    for (name, (place, at)) in &object {
        let (planned, names) = table[name];
        assert!(
            planned == *place && names.contains(&at.as_str()),
            "{name}: {planned:?} {names:?}, {place:?} {at}"
        );
    }
}

#[test]
fn every_stage_a_program_calls_is_in_the_table() {
    let slots: BTreeSet<(String, u32)> = plan::rows()
        .flat_map(|row| row.hooks)
        .filter_map(|hook| match hook.attach {
            plan::Attach::Stage { map, slot } => Some((map.to_owned(), slot)),
            _ => None,
        })
        .collect();
    for source in sources() {
        for (before, after) in source.match_indices("_STAGES.tail_call(").map(|(at, _)| source.split_at(at)) {
            let map = before.rsplit(|c: char| !c.is_ascii_uppercase()).next().unwrap();
            let slot = between(after, ", ", ")").first().unwrap().parse().unwrap();
            assert!(slots.contains(&(format!("{map}_STAGES"), slot)), "{map}_STAGES[{slot}]");
        }
    }
}

#[test]
fn every_offset_a_program_reads_is_required_or_known_to_be_optional() {
    let required: BTreeSet<&str> =
        plan::rows().flat_map(|row| row.offsets).copied().flatten().map(|field| field.name).collect();
    let optional: BTreeSet<&str> =
        [offsets::OPTIONAL, offsets::CGROUP_V1].concat().iter().map(|field| field.name).collect();
    assert!(required.is_disjoint(&optional));
    let read: BTreeSet<String> = sources()
        .iter()
        .flat_map(|source| between(source, "offset!(", ")"))
        .filter(|name| !name.starts_with('$'))
        .map(str::to_owned)
        .collect();
    for name in &read {
        assert!(required.contains(name.as_str()) || optional.contains(name.as_str()), "{name} is read");
    }
    // Whatever is asked for before it is read must be optional, and only that.
    let asked: BTreeSet<String> = sources()
        .iter()
        .flat_map(|source| between(source, "known(offset!(", ")"))
        .map(str::to_owned)
        .collect();
    assert!(asked.iter().all(|name| optional.contains(name.as_str())), "{asked:?}");
}
