//! Questions to a parsed blob: offsets of members, sizes, enum values, parameters.

use super::raw::{Kind, u32_at};
use super::{Btf, BtfError, Class, TypeHead};

/// Typedefs, qualifiers and tags in a row that are followed. The kernel's longest chain is below ten.
const MAX_MODIFIERS: usize = 32;
/// Anonymous composites inside each other that are entered.
const MAX_NESTING: usize = 16;
/// Members looked at for one name. `task_struct` with everything inlined has about 300; the bound keeps a
/// crafted blob, where each member contains all others, from running for ever.
const MAX_MEMBERS: u32 = 1 << 18;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The name was not among those given to [`Btf::parse`]: a mistake of the caller, not of the kernel.
    #[error("{0} was not indexed")]
    NotIndexed(String),
    /// The kernel has no such struct, enum, function or typedef.
    #[error("no {0}")]
    NoType(String),
    /// The struct has no such member.
    #[error("{composite} has no {member}")]
    NoMember {
        /// The struct, or the path to it.
        composite: String,
        /// The member.
        member: String,
    },
    /// Something below the last component is not a struct held by value.
    #[error("{0} is not a struct held by value")]
    NotComposite(String),
    /// The enum has no such value.
    #[error("enum {enumeration} has no {value}")]
    NoValue {
        /// The enum.
        enumeration: String,
        /// The value.
        value: String,
    },
    /// The function has no such parameter.
    #[error("{function} has no parameter {parameter}")]
    NoParameter {
        /// The function.
        function: String,
        /// The parameter.
        parameter: String,
    },
    /// A function or typedef that does not end in a prototype.
    #[error("{0} is not a function")]
    NotFunction(String),
    /// The blob is broken.
    #[error(transparent)]
    Broken(#[from] BtfError),
}

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Distance from the start of the struct, in bits.
    pub bit_offset: u32,
    /// Bits of a bit field; `None` for other members.
    pub bit_size: Option<u32>,
    /// Id of its type.
    pub type_id: u32,
}

impl Btf<'_> {
    /// Ids of the types of this class and name.
    fn ids(&self, class: Class, name: &str) -> Result<impl Iterator<Item = u32>, LookupError> {
        let ids = self.named.get(name).ok_or_else(|| LookupError::NotIndexed(name.to_owned()))?;
        Ok(ids.iter().filter(move |(of, _)| *of == class).map(|&(_, id)| id))
    }

    /// Asks every type of this class and name until one answers: the kernel's BTF may hold several, from
    /// translation units that saw different definitions.
    pub(super) fn first<T>(
        &self,
        class: Class,
        name: &str,
        ask: impl Fn(u32) -> Result<T, LookupError>,
    ) -> Result<T, LookupError> {
        let mut error = None;
        for id in self.ids(class, name)? {
            match ask(id) {
                Ok(answer) => return Ok(answer),
                Err(reason) => error = error.or(Some(reason)),
            }
        }
        Err(error.unwrap_or_else(|| LookupError::NoType(name.to_owned())))
    }

    /// Id of the first type of this class and name, as `attach_btf_id` takes it.
    ///
    /// # Errors
    /// When there is none.
    pub fn type_id(&self, class: Class, name: &str) -> Result<u32, LookupError> {
        self.first(class, name, Ok)
    }

    /// Size of a struct or union in bytes.
    ///
    /// # Errors
    /// When there is none.
    pub fn size_of(&self, composite: &str) -> Result<u32, LookupError> {
        self.first(Class::Composite, composite, |id| Ok(self.head(id)?.0.size_or_type))
    }

    /// Position of `path`, member by member, inside a struct or union. Anonymous structs and unions on the
    /// way are looked through, named members must hold the next struct by value.
    ///
    /// # Errors
    /// When a component does not exist or is not a struct.
    pub fn member(&self, composite: &str, path: &[&str]) -> Result<Member, LookupError> {
        self.first(Class::Composite, composite, |id| {
            let mut here = Member { bit_offset: 0, bit_size: None, type_id: id };
            for (depth, name) in path.iter().enumerate() {
                let so_far = || {
                    let above = path.get(..depth).unwrap_or_default();
                    std::iter::once(&composite).chain(above).copied().collect::<Vec<_>>().join(".")
                };
                let (id, head, at) = self.strip(here.type_id)?;
                if !head.kind.is_composite() {
                    return Err(LookupError::NotComposite(so_far()));
                }
                let mut budget = MAX_MEMBERS;
                let found = self.find_member(id, head, at, name.as_bytes(), MAX_NESTING, &mut budget)?;
                let inner = found.ok_or_else(|| LookupError::NoMember {
                    composite: so_far(),
                    member: (*name).to_owned(),
                })?;
                let bit_offset =
                    here.bit_offset.checked_add(inner.bit_offset).ok_or(BtfError::Overflow { id })?;
                here = Member { bit_offset, ..inner };
            }
            Ok(here)
        })
    }

    /// Value of an enumerator.
    ///
    /// # Errors
    /// When the enum or the enumerator does not exist.
    pub fn enum_value(&self, enumeration: &str, value: &str) -> Result<i128, LookupError> {
        self.first(Class::Enum, enumeration, |id| {
            let (head, at) = self.head(id)?;
            let wide = head.kind == Kind::ENUM64;
            let step = if wide { 12 } else { 8 };
            for index in 0..head.count {
                let entry = self.element(at, index, step)?;
                if !self.is_name(self.word(entry)?, value.as_bytes()) {
                    continue;
                }
                let low = self.word(entry.saturating_add(4))?;
                return Ok(match (wide, head.flag) {
                    (false, true) => i128::from(low.cast_signed()),
                    (false, false) => i128::from(low),
                    (true, signed) => {
                        let high = self.word(entry.saturating_add(8))?;
                        let both = u64::from(high) << 32 | u64::from(low);
                        if signed { i128::from(both.cast_signed()) } else { i128::from(both) }
                    }
                });
            }
            Err(LookupError::NoValue { enumeration: enumeration.to_owned(), value: value.to_owned() })
        })
    }

    /// Number of parameters of a function, or of the function a typedef points to. For `btf_trace_*`
    /// typedefs this counts the leading `void *` that programs do not get.
    ///
    /// # Errors
    /// When there is no such function or typedef, or it does not lead to a prototype.
    pub fn parameter_count(&self, class: Class, name: &str) -> Result<u32, LookupError> {
        self.first(class, name, |id| Ok(self.prototype_of(id, name)?.1.count))
    }

    /// Position of a function's parameter, from 0.
    ///
    /// # Errors
    /// When there is no such function or parameter.
    pub fn parameter_index(&self, function: &str, parameter: &str) -> Result<u32, LookupError> {
        self.first(Class::Function, function, |id| {
            let (_, head, at) = self.strip(self.head(id)?.0.size_or_type)?;
            if head.kind != Kind::FUNC_PROTO {
                return Err(LookupError::NotFunction(function.to_owned()));
            }
            for index in 0..head.count {
                if self.is_name(self.word(self.element(at, index, 8)?)?, parameter.as_bytes()) {
                    return Ok(index);
                }
            }
            Err(LookupError::NoParameter { function: function.to_owned(), parameter: parameter.to_owned() })
        })
    }

    /// The type behind typedefs, qualifiers and tags: its id, head and offset.
    pub(super) fn strip(&self, id: u32) -> Result<(u32, TypeHead, usize), BtfError> {
        let mut current = id;
        for _ in 0..MAX_MODIFIERS {
            let (head, at) = self.head(current)?;
            match head.kind {
                Kind::TYPEDEF | Kind::CONST | Kind::VOLATILE | Kind::RESTRICT | Kind::TYPE_TAG => {
                    current = head.size_or_type;
                }
                _ => return Ok((current, head, at)),
            }
        }
        Err(BtfError::TooDeep { id })
    }

    /// A member of the composite at `at`, its anonymous members included.
    fn find_member(
        &self,
        id: u32,
        head: TypeHead,
        at: usize,
        name: &[u8],
        nesting: usize,
        budget: &mut u32,
    ) -> Result<Option<Member>, BtfError> {
        let nesting = nesting.checked_sub(1).ok_or(BtfError::TooDeep { id })?;
        for index in 0..head.count {
            *budget = budget.checked_sub(1).ok_or(BtfError::TooDeep { id })?;
            let entry = self.element(at, index, 12)?;
            let entry_name = self.word(entry)?;
            let anonymous = entry_name == 0;
            if !anonymous && !self.is_name(entry_name, name) {
                continue;
            }
            let type_id = self.word(entry.saturating_add(4))?;
            let position = self.word(entry.saturating_add(8))?;
            let (bit_offset, bit_size) =
                if head.flag { (position & 0x00ff_ffff, position >> 24) } else { (position, 0) };
            if !anonymous {
                let plain = Member { bit_offset, bit_size: (bit_size != 0).then_some(bit_size), type_id };
                return if head.flag { Ok(Some(plain)) } else { self.with_int_bits(plain).map(Some) };
            }
            // Unnamed bit fields are padding: their types are integers and have nothing inside.
            let (inner_id, inner, inner_at) = self.strip(type_id)?;
            if !inner.kind.is_composite() {
                continue;
            }
            if let Some(found) = self.find_member(inner_id, inner, inner_at, name, nesting, budget)? {
                let bit_offset = bit_offset.checked_add(found.bit_offset).ok_or(BtfError::Overflow { id })?;
                return Ok(Some(Member { bit_offset, ..found }));
            }
        }
        Ok(None)
    }

    /// Composites without `kind_flag` put the width of a bit field into an integer type of its own.
    fn with_int_bits(&self, member: Member) -> Result<Member, BtfError> {
        // Void and broken types are nobody's bit field; whoever follows the type will hear of it.
        let Ok((id, head, at)) = self.strip(member.type_id) else { return Ok(member) };
        if head.kind != Kind::INT {
            return Ok(member);
        }
        let encoding = self.word(at.saturating_add(TypeHead::LEN))?;
        let (bits, shift) = (encoding & 0xff, (encoding >> 16) & 0xff);
        if shift == 0 && Some(bits) == head.size_or_type.checked_mul(8) {
            return Ok(member);
        }
        let bit_offset = member.bit_offset.checked_add(shift).ok_or(BtfError::Overflow { id })?;
        Ok(Member { bit_offset, bit_size: Some(bits), ..member })
    }

    /// Offset of the element `index`, `step` bytes each, of the type at `at`.
    pub(super) fn element(&self, at: usize, index: u32, step: usize) -> Result<usize, BtfError> {
        (index as usize)
            .checked_mul(step)
            .and_then(|offset| offset.checked_add(at)?.checked_add(TypeHead::LEN))
            .ok_or_else(|| self.truncated(at))
    }

    pub(super) fn word(&self, at: usize) -> Result<u32, BtfError> {
        u32_at(self.types, at).ok_or_else(|| self.truncated(at))
    }

    fn truncated(&self, at: usize) -> BtfError {
        BtfError::Truncated { what: "type", offset: self.types_at.saturating_add(at) }
    }

    /// Whether the string at offset `at` is `name`.
    fn is_name(&self, at: u32, name: &[u8]) -> bool {
        let Some(tail) = self.strings.get(at as usize..) else { return false };
        tail.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
    }
}
