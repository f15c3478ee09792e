//! Type information for the library that loads programs, in which nothing has a name but the places to attach to.
//!
//! The library looks places up by name in BTF that it parses itself: 80 ms for a kernel's, by a parser that does not know
//! the newest kinds and panics at a name outside of the strings. The ids are known from our own parser; what the library
//! gets is a blob of as many types as it takes for each place to have its id.

use std::collections::BTreeMap;

use aya::{Btf, BtfError, Endianness};

use crate::features::{Features, Target};

/// A forward declaration: the shortest type there is.
const FILLER: u32 = 7;
const TYPEDEF: u32 = 8;
const FUNCTION: u32 = 12;
/// Types of a kernel's BTF; with this bound a forged id costs 12 MB and no more.
const MAX_ID: u32 = 1 << 20;

/// Places to attach to, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets(BTreeMap<u32, (u32, String)>);

impl Targets {
    /// The places that were found.
    pub(crate) fn new(features: &Features) -> Self {
        let typedef = |name: &String| (TYPEDEF, format!("btf_trace_{name}"));
        let typedefs = features.tracepoints.iter().map(|(name, target)| (target, typedef(name)));
        let functions = features.functions.iter().map(|(name, target)| (target, (FUNCTION, name.clone())));
        let places = typedefs.chain(functions).map(|(Target { btf_id, .. }, place)| (*btf_id, place));
        Self(places.filter(|(id, _)| (1..=MAX_ID).contains(id)).collect())
    }

    /// As the library wants them. That takes some megabytes: not to be kept.
    pub(crate) fn for_library(&self) -> Result<Btf, BtfError> {
        Btf::parse(&blob(&self.0), Endianness::default())
    }
}

/// BTF in which the types of these ids have these kinds and names.
fn blob(named: &BTreeMap<u32, (u32, String)>) -> Vec<u8> {
    const HEADER: u32 = 24;
    let count = named.last_key_value().map_or(0, |(id, _)| *id);
    let mut types = Vec::with_capacity(count as usize * 12);
    let mut strings = vec![0];
    for id in 1..=count {
        let (kind, name) = match named.get(&id) {
            Some((kind, name)) => {
                let at = strings.len() as u32;
                strings.extend(name.bytes().chain([0]));
                (*kind, at)
            }
            None => (FILLER, 0),
        };
        for word in [name, kind << 24, 0] {
            types.extend(word.to_ne_bytes());
        }
    }
    let mut blob = 0xeb9f_u16.to_ne_bytes().to_vec();
    blob.extend([1, 0]);
    let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
    for word in [HEADER, 0, types_len, types_len, strings_len] {
        blob.extend(word.to_ne_bytes());
    }
    blob.extend(types);
    blob.extend(strings);
    blob
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::{self, Class};

    #[test]
    fn places_have_their_ids_and_nothing_else_has_a_name() {
        let names = BTreeMap::from([
            (3, (TYPEDEF, "btf_trace_it".to_owned())),
            (70_000, (FUNCTION, "vfs_it".to_owned())),
        ]);
        let blob = blob(&names);
        let ours = btf::Btf::parse(&blob, ["btf_trace_it", "vfs_it"]).unwrap();
        assert_eq!(ours.type_count(), 70_000);
        assert_eq!(ours.type_id(Class::Typedef, "btf_trace_it"), Ok(3));
        assert_eq!(ours.type_id(Class::Function, "vfs_it"), Ok(70_000));
        assert!(Btf::parse(&blob, Endianness::default()).is_ok());
    }
}
