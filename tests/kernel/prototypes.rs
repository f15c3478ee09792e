//! The prototypes written beside the kernel programs, against the types of the running kernel.

use std::collections::{BTreeMap, BTreeSet};

use collector_common::Offsets;
use collector_sources::btf::{Btf, Class, LookupError, Prototype};
use collector_sources::features::{KernelVersion, VMLINUX_BTF, probe};

/// Lines `file:line: first[-last]: prototype`.
const WRITTEN: &str = include_str!(concat!(env!("OUT_DIR"), "/prototypes"));

/// A prototype and the kernels it is said to hold for.
struct Written {
    place: &'static str,
    first: KernelVersion,
    last: KernelVersion,
    prototype: Prototype,
}

fn written() -> impl Iterator<Item = Written> {
    WRITTEN.lines().map(|line| {
        let [place, range, prototype] = *line.splitn(3, ": ").collect::<Vec<_>>() else { panic!("{line}") };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let version = |text| KernelVersion::parse(text).unwrap();
        Written { place, first: version(first), last: version(last), prototype: prototype.parse().unwrap() }
    })
}

/// What the kernel says of a place; `None` if it has no such place.
fn of_kernel(btf: &Btf<'_>, written: &Prototype, is_tracepoint: bool) -> Option<Prototype> {
    let name = &written.name;
    let found = if is_tracepoint {
        btf.prototype(Class::Typedef, &typedef(name)).map(|mut prototype| {
            prototype.name.clone_from(name);
            // What programs do not get.
            prototype.parameters.remove(0);
            prototype
        })
    } else {
        btf.prototype(Class::Function, name)
    };
    match found {
        Ok(prototype) => Some(prototype),
        Err(LookupError::NoType(_)) => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

fn typedef(tracepoint: &str) -> String {
    format!("btf_trace_{tracepoint}")
}

/// Types, and the names that offsets are looked up by.
fn same(written: &Prototype, found: &Prototype) -> bool {
    let of_types = |it: &Prototype| it.parameters.iter().map(|it| it.of_type.clone()).collect::<Vec<_>>();
    let names = |it: &Prototype| -> BTreeSet<(usize, String)> {
        let parameters = it.parameters.iter().map(|it| it.name.clone()).enumerate();
        parameters.filter(|(_, name)| is_looked_up(&written.name, name)).collect()
    };
    written.result == found.result && of_types(written) == of_types(found) && names(written) == names(found)
}

fn is_looked_up(function: &str, parameter: &str) -> bool {
    let query = format!("arg {function}.{parameter}");
    Offsets::PATHS.into_iter().flat_map(|path| path.split('|')).any(|path| path == query)
}

/// On a kernel that was tried, everything is as it is written down. On others, it is as in some kernel that was.
#[test]
fn prototypes_are_as_they_are_written() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("left out: they are written down for x86-64");
        return;
    }
    let kernel = probe().features.kernel.value.unwrap();
    let blob = std::fs::read(VMLINUX_BTF).unwrap();
    let tracepoints: BTreeSet<&str> = collector_sources::plan::tracepoints().collect();
    let mut places: BTreeMap<String, Vec<Written>> = BTreeMap::new();
    for written in written() {
        places.entry(written.prototype.name.clone()).or_default().push(written);
    }
    let names: Vec<String> = places.keys().flat_map(|name| [name.clone(), typedef(name)]).collect();
    let btf = Btf::parse(&blob, names.iter().map(String::as_str)).unwrap();
    let tried = places.values().flatten().any(|it| it.first == kernel || it.last == kernel);
    let mut wrong = Vec::new();
    for (name, written) in &places {
        let found = of_kernel(&btf, &written[0].prototype, tracepoints.contains(name.as_str()));
        let covering: Vec<&Written> =
            written.iter().filter(|it| (it.first..=it.last).contains(&kernel)).collect();
        match &found {
            None => wrong.extend(covering.iter().map(|it| format!("{}: {kernel} has no {name}", it.place))),
            Some(found) if covering.is_empty() => {
                if tried || !written.iter().any(|it| same(&it.prototype, found)) {
                    wrong.push(format!("{}: nothing is written for {kernel}: {found}", written[0].place));
                }
            }
            Some(found) => wrong.extend(
                covering
                    .iter()
                    .filter(|it| !same(&it.prototype, found))
                    .map(|it| format!("{}: {kernel} has {found}", it.place)),
            ),
        }
    }
    assert!(places.len() > 50, "only {} places have prototypes", places.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let as_before = if tried { "" } else { ", which was not tried: as in others" };
    println!("{} places as written in {kernel}{as_before}", places.len());
}
