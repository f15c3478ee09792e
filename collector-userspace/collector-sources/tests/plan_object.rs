//! The plan's table against the source of the kernel programs: both name programs, tracepoints and offsets,
//! and nothing but this test keeps them together before the object is loaded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use collector_common::Offsets;
use collector_sources::btf::Prototype;
use collector_sources::features::KernelVersion;
use collector_sources::offsets;
use collector_sources::plan::{self, Place};

/// Kernels in which the programs were tried, old to new. Prototypes are written down for these, and for others only as far
/// as they lie between two that agree.
const TRIED: [KernelVersion; 5] = [
    KernelVersion::new(5, 10),
    KernelVersion::new(6, 1),
    KernelVersion::new(6, 12),
    KernelVersion::new(6, 18),
    KernelVersion::new(7, 3),
];

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

/// Programs of a source file: name, what sort of place it is for, and its function.
fn programs(source: &str) -> Vec<(String, Place, String)> {
    let mut programs = Vec::new();
    for (attribute, place) in
        [("btf_tracepoint", Place::Tracepoint), ("fentry", Place::Entry), ("fexit", Place::Return)]
    {
        for program in source.split(&format!("#[{attribute}(function = \"")).skip(1) {
            let (at, rest) = program.split_once('"').unwrap();
            let name = *between(rest, "pub fn ", "(").first().unwrap();
            programs.push((name.to_owned(), place, at.to_owned()));
        }
    }
    // Programs that a macro makes, a line each: name, function, and what it does.
    let calls = between(source, "\ncalls! {\n", "\n}").into_iter().flat_map(str::lines).map(str::trim);
    for line in calls.filter(|line| !line.starts_with("//")) {
        let (name, rest) = line.split_once(" = \"").unwrap();
        let (at, _) = rest.split_once('"').unwrap();
        programs.push((name.to_owned(), Place::Return, at.to_owned()));
    }
    programs
}

/// Prototypes written down in a source file, with the first and the last kernel that each holds for.
fn prototypes(source: &str) -> Vec<(KernelVersion, KernelVersion, Prototype)> {
    let version = |text: &str| KernelVersion::parse(text).unwrap_or_else(|| panic!("no kernel: {text}"));
    let lines = source.lines().filter_map(|line| line.trim().strip_prefix("// proto: "));
    lines
        .map(|line| {
            let (range, prototype) = line.split_once(": ").unwrap_or_else(|| panic!("no range: {line}"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let prototype = prototype.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            (version(first), version(last), prototype)
        })
        .collect()
}

#[test]
fn every_program_stands_beside_the_prototypes_of_its_function() {
    let dispatched: BTreeSet<&str> = plan::rows()
        .flat_map(|row| row.hooks)
        .filter(|hook| matches!(hook.at, ["sys_enter" | "sys_exit"]))
        .map(|hook| hook.program)
        .collect();
    let mut written: BTreeSet<String> = BTreeSet::new();
    for source in sources() {
        let here: BTreeSet<String> = prototypes(&source).into_iter().map(|(.., it)| it.name).collect();
        for (program, _, at) in programs(&source) {
            // Those that the dispatchers call are at the dispatchers' place.
            assert!(
                here.contains(&at) || dispatched.contains(program.as_str()),
                "{program}: no `// proto:` of {at}"
            );
        }
        written.extend(here);
    }
    let places: BTreeSet<&str> = plan::tracepoints().chain(plan::functions()).collect();
    // aarch64 calls its own differently, and nothing else.
    let unwritten =
        places.iter().filter(|place| !place.starts_with("__arm64_") && !written.contains(**place));
    assert_eq!(unwritten.collect::<Vec<_>>(), Vec::<&&str>::new());
    for place in places {
        assert!(plan::taken(place).is_some(), "{place}: what its programs rely on is not in plan/taken.rs");
    }
}

#[test]
fn prototypes_are_those_of_kernels_tried_and_what_the_programs_need() {
    let mut ranges: BTreeMap<String, Vec<(KernelVersion, KernelVersion, Prototype)>> = BTreeMap::new();
    for written in sources().iter().flat_map(|source| prototypes(source)) {
        let all = ranges.entry(written.2.name.clone()).or_default();
        // The same is written beside each program.
        if !all.contains(&written) {
            all.push(written);
        }
    }
    for (function, written) in &ranges {
        let mut before = None;
        for (first, last, prototype) in written {
            assert!(
                TRIED.contains(first) && TRIED.contains(last) && first <= last,
                "{function}: {first}-{last}"
            );
            assert!(before.is_none_or(|before| before < *first), "{function}: {first} is in two ranges");
            assert_eq!(plan::mismatch(prototype), None);
            before = Some(*last);
        }
        let alternatives = Offsets::PATHS.into_iter().flat_map(|path| path.split('|'));
        for (of, parameter) in alternatives.filter_map(|path| path.strip_prefix("arg ")?.split_once('.')) {
            let has = |it: &Prototype| it.parameters.iter().any(|found| found.name == parameter);
            assert!(
                of != function || written.iter().all(|(.., it)| has(it)),
                "{function} has no {parameter}"
            );
        }
    }
}

#[test]
fn table_and_object_name_the_same_programs_and_places() {
    let mut object = BTreeMap::new();
    for source in sources() {
        let programs = programs(&source).into_iter();
        object.extend(programs.map(|(program, place, at)| (program, (place, at))));
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

/// What programs do for a canary: the name they leave the mark under, and the stage they call then.
fn marks() -> BTreeMap<String, Option<(String, u32)>> {
    let mut marks = BTreeMap::new();
    for source in sources() {
        for rest in source.split("(function = ").skip(1) {
            let Some((_, body)) = rest.split_once("-> i32 {\n") else { panic!("a program without a body") };
            let name = between(rest, "pub fn ", "(").first().unwrap().trim();
            if name == "$program" {
                assert!(
                    body.trim_start().starts_with("heard!($program);"),
                    "a macro's programs are not heard"
                );
                continue;
            }
            let (first, _) = body.trim_start().split_once(';').unwrap();
            if let Some(mark) = first.strip_prefix("heard!(").and_then(|it| it.strip_suffix(')')) {
                let (mark, next) = mark.split_once(" => ").map_or((mark, None), |(mark, next)| {
                    let (map, slot) = next.trim_end_matches(']').split_once('[').unwrap();
                    (mark.trim_start_matches("ctx, "), Some((map.to_owned(), slot.parse().unwrap())))
                });
                assert_eq!(mark, name, "it leaves another's mark");
                marks.insert(name.to_owned(), next);
            } else if body.contains(&format!("canary::sings(canary::number!({name}))")) {
                marks.insert(name.to_owned(), None);
            }
        }
        for line in between(&source, "\ncalls! {\n", "\n}").into_iter().flat_map(str::lines) {
            if let Some((name, _)) = line.trim().split_once(" = \"") {
                marks.insert(name.to_owned(), None);
            }
        }
    }
    marks
}

#[test]
fn every_program_leaves_a_mark_under_its_own_name() {
    let marks = marks();
    let numbered: BTreeSet<&str> = collector_common::PROGRAMS.into_iter().collect();
    assert_eq!(numbered.len(), collector_common::PROGRAMS.len(), "a name is there twice");
    assert_eq!(marks.keys().map(String::as_str).collect::<BTreeSet<_>>(), numbered);
    let planned: BTreeSet<&str> = plan::rows().flat_map(|row| row.hooks).map(|hook| hook.program).collect();
    assert_eq!(planned, numbered, "only dispatchers leave none");
}

#[test]
fn a_canary_goes_through_all_stages_of_a_program() {
    let marks = marks();
    let stage_at = |map: &str, slot: u32| {
        let is_it = |hook: &&plan::Hook| matches!(hook.attach, plan::Attach::Stage { map: of, slot: at } if of == map && at == slot);
        plan::rows().flat_map(|row| row.hooks).find(is_it).map(|hook| hook.program)
    };
    for row in plan::rows() {
        let is_stage = |hook: &&plan::Hook| matches!(hook.attach, plan::Attach::Stage { .. });
        for first in row.hooks.iter().filter(|hook| !is_stage(hook)) {
            let stages = row.hooks.iter().filter(is_stage).filter(|stage| stage.at == first.at);
            let expected: BTreeSet<&str> = stages.map(|stage| stage.program).collect();
            let mut reached = BTreeSet::new();
            let mut next = marks[first.program].clone();
            while let Some((map, slot)) = next {
                let stage = stage_at(&map, slot).unwrap_or_else(|| panic!("{map}[{slot}]"));
                assert!(reached.insert(stage), "{}: in a circle", first.program);
                next = marks[stage].clone();
            }
            assert_eq!(reached, expected, "{} in row {}", first.program, row.name);
        }
    }
}
