//! A parser of BTF, the kernel's description of its own types: only what resolving offsets needs, in one pass.
//!
//! One walk over the type section notes where each type starts and which types carry the names asked for;
//! everything else is read in place when a query needs it. The blob is taken as hostile: any bytes give a
//! value or a [`BtfError`] with the offset at fault, following references is bounded, and there is no
//! unchecked arithmetic or indexing.
//!
//! Covers the kinds of kernels 5.10 to 7.x. A blob that describes the layout of its kinds (7.2 and later)
//! may hold kinds unknown here: they are skipped.

#![forbid(unsafe_code)]
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod prototype;
mod query;
mod raw;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;

use raw::{Header, Kind, Layout, TypeHead};

pub use prototype::{NotPrototype, Parameter, Prototype};
pub use query::{LookupError, Member};

/// What is wrong with a blob. Offsets count bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// It does not begin with the magic of BTF.
    #[error("not BTF: magic {magic:#06x}")]
    Magic {
        /// What it begins with.
        magic: u16,
    },
    /// It was written for a big-endian machine.
    #[error("big-endian BTF")]
    ForeignEndian,
    /// Its version is not 1.
    #[error("BTF version {version}")]
    Version {
        /// The version it has.
        version: u8,
    },
    /// It ends inside something.
    #[error("{what} truncated at offset {offset}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where.
        offset: usize,
    },
    /// A type of a kind that is neither known here nor described by the blob.
    #[error("type of unknown kind {kind} at offset {offset}")]
    UnknownKind {
        /// Its number.
        kind: u8,
        /// Where the type starts.
        offset: usize,
    },
    /// A name outside the string section, or without an end.
    #[error("name {name} outside the strings, used at offset {offset}")]
    BadName {
        /// Offset of the name inside the string section.
        name: u32,
        /// Where it is used.
        offset: usize,
    },
    /// A reference to a type that does not exist.
    #[error("no type {id}")]
    BadType {
        /// Its id.
        id: u32,
    },
    /// Following references from this type took too many steps: a loop, or nonsense.
    #[error("references from type {id} do not end")]
    TooDeep {
        /// Its id.
        id: u32,
    },
    /// A member offset that does not fit 32 bits.
    #[error("offset of a member of type {id} overflows")]
    Overflow {
        /// Id of the type.
        id: u32,
    },
}

/// What a name names. C keeps struct and union tags, enum tags and everything else apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A struct or union.
    Composite,
    /// An enum, of 32 or 64 bits.
    Enum,
    /// A function.
    Function,
    /// A typedef.
    Typedef,
}

/// A parsed blob, borrowed. Answers only for the names given to [`Btf::parse`].
#[derive(Clone, Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    /// Offset of `types` inside the blob, for errors.
    types_at: usize,
    strings: &'a [u8],
    /// Where each type starts inside `types`; the type with id `n` at index `n - 1`, as id 0 is `void`.
    starts: Vec<u32>,
    /// Ids of the named types, in order of id. The kernel's BTF may hold several types of one name.
    named: HashMap<Box<str>, Vec<(Class, u32)>>,
}

impl<'a> Btf<'a> {
    /// Reads `blob`, keeping the ids of types called one of `names`.
    ///
    /// # Errors
    /// When the blob is no little-endian BTF of version 1, is truncated or holds a kind nobody describes.
    pub fn parse<'n>(blob: &'a [u8], names: impl IntoIterator<Item = &'n str>) -> Result<Self, BtfError> {
        let header = Header::read(blob)?;
        let types_at = header.types.start;
        let types = section(blob, header.types, "type section")?;
        let strings = section(blob, header.strings, "string section")?;
        let layout = match header.layout {
            Some(range) => Layout::new(section(blob, range, "layout section")?),
            None => Layout::default(),
        };

        let mut named: HashMap<Box<str>, Vec<(Class, u32)>> = HashMap::new();
        let mut filter = NameFilter::default();
        for name in names {
            filter.add(name.as_bytes());
            named.entry(name.into()).or_default();
        }

        // A type of a kernel takes 25 bytes on average; reserving by the minimum would waste half.
        let mut starts = Vec::with_capacity(types.len() / 24);
        let mut at = 0_usize;
        while at < types.len() {
            let offset = types_at.saturating_add(at);
            let head = TypeHead::read(types, at).ok_or(BtfError::Truncated { what: "type", offset })?;
            let Some(payload) = head.payload_len(layout) else {
                return Err(BtfError::UnknownKind { kind: head.kind.0, offset });
            };
            let next = at
                .checked_add(TypeHead::LEN)
                .and_then(|end| end.checked_add(payload))
                .filter(|&end| end <= types.len())
                .ok_or(BtfError::Truncated { what: "type", offset })?;
            starts.push(at as u32); // Sections are u32 long by format.

            if let Some(class) = class_of(head.kind)
                && head.name != 0
            {
                let tail =
                    strings.get(head.name as usize..).ok_or(BtfError::BadName { name: head.name, offset })?;
                if filter.may_hold(tail) {
                    let name = raw::name_of(tail).ok_or(BtfError::BadName { name: head.name, offset })?;
                    if let Some(ids) = std::str::from_utf8(name).ok().and_then(|name| named.get_mut(name)) {
                        ids.push((class, starts.len() as u32));
                    }
                }
            }
            at = next;
        }
        Ok(Self { types, types_at, strings, starts, named })
    }

    /// Number of types, `void` not counted.
    #[must_use]
    pub fn type_count(&self) -> usize {
        self.starts.len()
    }

    /// Head and offset of a type.
    fn head(&self, id: u32) -> Result<(TypeHead, usize), BtfError> {
        let bad = BtfError::BadType { id };
        let index = (id as usize).checked_sub(1).ok_or_else(|| bad.clone())?;
        let &at = self.starts.get(index).ok_or_else(|| bad.clone())?;
        let head = TypeHead::read(self.types, at as usize).ok_or(bad)?;
        Ok((head, at as usize))
    }
}

fn section<'a>(
    blob: &'a [u8],
    range: std::ops::Range<usize>,
    what: &'static str,
) -> Result<&'a [u8], BtfError> {
    let offset = range.start;
    blob.get(range).ok_or(BtfError::Truncated { what, offset })
}

/// The kinds that names are looked up for.
fn class_of(kind: Kind) -> Option<Class> {
    match kind {
        Kind::STRUCT | Kind::UNION => Some(Class::Composite),
        Kind::ENUM | Kind::ENUM64 => Some(Class::Enum),
        Kind::FUNC => Some(Class::Function),
        Kind::TYPEDEF => Some(Class::Typedef),
        _ => None,
    }
}

/// A bit per pair of first bytes: tells most of the kernel's 70 000 names apart from the wanted ones without
/// looking for their end.
struct NameFilter {
    bits: Vec<u64>,
}

impl Default for NameFilter {
    fn default() -> Self {
        Self { bits: vec![0; 65_536 / 64] }
    }
}

impl NameFilter {
    /// Word and bit of a name; the end of a name counts as a zero byte.
    fn place(name: &[u8]) -> (usize, u64) {
        let first = name.first().copied().unwrap_or(0);
        let second = name.get(1).copied().unwrap_or(0);
        let pair = u16::from_le_bytes([first, second]);
        (usize::from(pair >> 6), 1_u64 << (pair & 63))
    }

    fn add(&mut self, name: &[u8]) {
        let (word, bit) = Self::place(name);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_hold(&self, name: &[u8]) -> bool {
        let (word, bit) = Self::place(name);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }
}
