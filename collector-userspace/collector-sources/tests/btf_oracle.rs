//! Our BTF parser against btf-rs on the kernel this runs on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use btf_rs::{Btf as Oracle, Member, Type};
use collector_common::{MISSING, Offsets};
use collector_sources::btf::{Btf, Class};
use collector_sources::offsets;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's BTF, or `None` on a machine without it, where these tests have nothing to compare.
fn vmlinux() -> Option<Vec<u8>> {
    std::fs::read(VMLINUX).ok()
}

fn stripped(oracle: &Oracle, id: u32) -> Type {
    let mut current = oracle.resolve_type_by_id(id).unwrap();
    while let Type::Typedef(_) | Type::Const(_) | Type::Volatile(_) | Type::Restrict(_) | Type::TypeTag(_) =
        current
    {
        current = oracle.resolve_chained_type(current.as_btf_type().unwrap()).unwrap();
    }
    current
}

fn members(r#type: &Type) -> Option<&[Member]> {
    match r#type {
        Type::Struct(composite) | Type::Union(composite) => Some(&composite.members),
        _ => None,
    }
}

/// Bit offset of a member and its type, by the shortest recursion there is.
fn find(oracle: &Oracle, composite: &Type, name: &str) -> Option<(u32, Type)> {
    use btf_rs::BtfType;
    for member in members(composite)? {
        let this = oracle.resolve_name(member).unwrap_or_default();
        let inner = || stripped(oracle, member.get_type_id().unwrap());
        if this == name {
            return Some((member.bit_offset(), inner()));
        }
        if this.is_empty()
            && let Some((bits, found)) = find(oracle, &inner(), name)
        {
            return Some((member.bit_offset() + bits, found));
        }
    }
    None
}

fn oracle_value(oracle: &Oracle, path: &str) -> Option<u32> {
    let (verb, object) = path.split_once(' ').unwrap_or(("", path));
    let mut components = object.split('.');
    let candidates = oracle.resolve_types_by_name(components.next()?).ok()?;
    let components: Vec<_> = components.collect();
    candidates.into_iter().find_map(|candidate| match (verb, candidate) {
        ("sizeof", Type::Struct(composite) | Type::Union(composite)) => Some(composite.size() as u32),
        ("enum", Type::Enum(enumeration)) => enumeration
            .members
            .iter()
            .find(|member| oracle.resolve_name(*member).unwrap() == components[0])
            .map(btf_rs::EnumMember::val),
        ("" | "bit" | "bits", mut composite) => {
            let mut bits = 0;
            for component in &components {
                let (inside, next) = find(oracle, &composite, component)?;
                bits += inside;
                composite = next;
            }
            Some(match verb {
                "bit" => bits % 32,
                "bits" => bits / 32 * 4,
                _ => bits / 8,
            })
        }
        ("arg" | "args", Type::Func(function)) => {
            let Type::FuncProto(proto) = oracle.resolve_chained_type(&function).unwrap() else { return None };
            let named = |name: &str| {
                proto.parameters.iter().position(|it| oracle.resolve_name(it).is_ok_and(|it| it == name))
            };
            let value = components.first().map_or(Some(proto.parameters.len()), |name| named(name))?;
            Some(value as u32)
        }
        _ => None,
    })
}

#[test]
fn every_offset_equals_the_oracle() {
    let Some(blob) = vmlinux() else { return };
    let btf = Btf::parse(&blob, offsets::names()).unwrap();
    let oracle = Oracle::from_bytes(&blob).unwrap();
    for path in Offsets::PATHS {
        let expected = path.split('|').find_map(|alternative| oracle_value(&oracle, alternative));
        assert_eq!(offsets::resolve_path(&btf, path).ok(), expected, "{path}");
    }
    let resolved = offsets::resolve(&btf);
    let words: [u32; Offsets::COUNT] = zerocopy::transmute!(resolved.offsets);
    assert_eq!(words.iter().filter(|&&word| word == MISSING).count(), resolved.missing.len());
    // Entries of optional parts of the kernel may be missing; the task itself is not optional.
    assert!(offsets::TASK.iter().all(|&field| resolved.value(field).is_some()), "{:?}", resolved.missing);
}

#[test]
fn every_function_and_typedef_has_the_oracles_id() {
    let Some(blob) = vmlinux() else { return };
    let oracle = Oracle::from_bytes(&blob).unwrap();
    let names =
        ["btf_trace_sched_process_exit", "btf_trace_sys_exit", "security_file_open", "bpf_lsm_file_open"];
    let btf = Btf::parse(&blob, names).unwrap();
    for name in names {
        for class in [Class::Function, Class::Typedef] {
            let expected = oracle.resolve_ids_by_name(name).unwrap_or_default().into_iter().find(|&id| {
                match oracle.resolve_type_by_id(id).unwrap() {
                    Type::Func(_) => class == Class::Function,
                    Type::Typedef(_) => class == Class::Typedef,
                    _ => false,
                }
            });
            assert_eq!(btf.type_id(class, name).ok(), expected, "{name}");
        }
    }
}
