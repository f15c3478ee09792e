//! Bytes of BTF: header, heads of types, sizes of what follows them.

use std::ops::Range;

use super::BtfError;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
/// Header up to the string section; later kernels append to it.
const HEADER_LEN: u32 = 24;
/// Header with the layout section (7.2).
const HEADER_LEN_LAYOUT: u32 = 32;

/// Sections of a blob, as ranges of it. They may lie outside of it.
pub(super) struct Header {
    pub(super) types: Range<usize>,
    pub(super) strings: Range<usize>,
    pub(super) layout: Option<Range<usize>>,
}

impl Header {
    pub(super) fn read(blob: &[u8]) -> Result<Self, BtfError> {
        let truncated = |offset| BtfError::Truncated { what: "header", offset };
        let magic = u16_at(blob, 0).ok_or(truncated(0))?;
        if magic == MAGIC.swap_bytes() {
            return Err(BtfError::ForeignEndian);
        }
        if magic != MAGIC {
            return Err(BtfError::Magic { magic });
        }
        let version = *blob.get(2).ok_or(truncated(2))?;
        if version != VERSION {
            return Err(BtfError::Version { version });
        }
        let len = u32_at(blob, 4).ok_or(truncated(4))?;
        if len < HEADER_LEN {
            return Err(truncated(4));
        }
        // Section offsets count from the end of the header.
        let range = |at: usize| -> Result<Range<usize>, BtfError> {
            let word = |at| u32_at(blob, at).map(|word| word as usize).ok_or(truncated(at));
            let start = (len as usize).checked_add(word(at)?);
            let size = word(at.saturating_add(4))?;
            let end = start.and_then(|start| start.checked_add(size));
            start.zip(end).map(|(start, end)| start..end).ok_or(truncated(at))
        };
        let layout = if len >= HEADER_LEN_LAYOUT { Some(range(24)?) } else { None };
        Ok(Self { types: range(8)?, strings: range(16)?, layout })
    }
}

/// Number of a kind. A newtype, as an unknown one must stay representable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    pub(super) const INT: Self = Self(1);
    pub(super) const PTR: Self = Self(2);
    pub(super) const ARRAY: Self = Self(3);
    pub(super) const STRUCT: Self = Self(4);
    pub(super) const UNION: Self = Self(5);
    pub(super) const ENUM: Self = Self(6);
    pub(super) const FWD: Self = Self(7);
    pub(super) const TYPEDEF: Self = Self(8);
    pub(super) const VOLATILE: Self = Self(9);
    pub(super) const CONST: Self = Self(10);
    pub(super) const RESTRICT: Self = Self(11);
    pub(super) const FUNC: Self = Self(12);
    pub(super) const FUNC_PROTO: Self = Self(13);
    pub(super) const VAR: Self = Self(14);
    pub(super) const DATASEC: Self = Self(15);
    pub(super) const FLOAT: Self = Self(16);
    pub(super) const DECL_TAG: Self = Self(17);
    pub(super) const TYPE_TAG: Self = Self(18);
    pub(super) const ENUM64: Self = Self(19);

    pub(super) fn is_composite(self) -> bool {
        matches!(self, Self::STRUCT | Self::UNION)
    }
}

/// What every type begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct TypeHead {
    /// Offset of the name in the string section; 0 is no name.
    pub(super) name: u32,
    pub(super) kind: Kind,
    /// Number of members, values or parameters that follow.
    pub(super) count: u32,
    /// For composites: members carry bit field sizes. For enums: values are signed.
    pub(super) flag: bool,
    /// Size of the type, or id of the type it refers to, by kind.
    pub(super) size_or_type: u32,
}

impl TypeHead {
    pub(super) const LEN: usize = 12;

    pub(super) fn read(types: &[u8], at: usize) -> Option<Self> {
        let bytes = types.get(at..)?.first_chunk::<{ Self::LEN }>()?;
        let info = u32_at(bytes, 4)?;
        Some(Self {
            name: u32_at(bytes, 0)?,
            // 7.2 widened the count from 16 to 24 bits and the kind from 5 to 7; the bits between were zero
            // before, checked by the kernel, so the wide reading is right for all.
            kind: Kind(((info >> 24) & 0x7f) as u8),
            count: info & 0x00ff_ffff,
            flag: info >> 31 != 0,
            size_or_type: u32_at(bytes, 8)?,
        })
    }

    /// Bytes that follow the head, unless nobody knows the kind.
    pub(super) fn payload_len(self, layout: Layout<'_>) -> Option<usize> {
        let (fixed, each) = match self.kind {
            Kind::INT | Kind::VAR | Kind::DECL_TAG => (4, 0),
            Kind::ARRAY => (12, 0),
            Kind::STRUCT | Kind::UNION | Kind::DATASEC | Kind::ENUM64 => (0, 12),
            Kind::ENUM | Kind::FUNC_PROTO => (0, 8),
            Kind::PTR
            | Kind::FWD
            | Kind::TYPEDEF
            | Kind::VOLATILE
            | Kind::CONST
            | Kind::RESTRICT
            | Kind::FUNC
            | Kind::FLOAT
            | Kind::TYPE_TAG => (0, 0),
            other => layout.of(other)?,
        };
        (self.count as usize).checked_mul(each)?.checked_add(fixed)
    }
}

/// The layout section: an entry of four bytes per kind, so that readers can skip kinds they do not know.
#[derive(Clone, Copy, Default)]
pub(super) struct Layout<'a>(&'a [u8]);

impl<'a> Layout<'a> {
    pub(super) fn new(section: &'a [u8]) -> Self {
        Self(section)
    }

    /// Bytes after the head, and bytes of each of the counted elements.
    fn of(self, kind: Kind) -> Option<(usize, usize)> {
        if kind.0 == 0 {
            return None; // Void has no entry of its own in the type section.
        }
        let at = usize::from(kind.0).checked_mul(4)?;
        let [fixed, each, ..] = *self.0.get(at..)?.first_chunk::<4>()?;
        Some((usize::from(fixed), usize::from(each)))
    }
}

/// The name at the start of `tail`, a suffix of the string section.
pub(super) fn name_of(tail: &[u8]) -> Option<&[u8]> {
    let end = tail.iter().position(|&byte| byte == 0)?;
    tail.get(..end)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|word| u32::from_le_bytes(*word))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|word| u16::from_le_bytes(*word))
}
