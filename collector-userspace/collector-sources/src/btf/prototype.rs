//! Prototypes of functions in C, as far as type information tells them.

use std::fmt;
use std::str::FromStr;

use super::raw::{Kind, name_of};
use super::{Btf, BtfError, Class, LookupError, TypeHead};

/// Types looked at for one prototype. The longest of those hooked takes about 30; the bound keeps a crafted blob, whose
/// function takes pointers to itself, from running for ever.
const MAX_TYPES: u32 = 512;
/// Types inside each other.
const MAX_DEPTH: u32 = 32;
/// Bytes of a declaration.
const MAX_BYTES: usize = 4096;
/// Bytes of a name; the kernel has none longer.
const MAX_NAME: usize = 512;

/// A function as C declares it.
///
/// `Display` writes the declaration, without an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prototype {
    /// Its name.
    pub name: String,
    /// Type of its result.
    pub result: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; empty where none is told, as in those of tracepoints.
    pub name: String,
    /// Its type, for example `const struct path *`.
    pub of_type: String,
    /// The two together, as C writes them.
    pub declaration: String,
}

impl fmt::Display for Prototype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, result, parameters } = self;
        let space = if result.ends_with('*') { "" } else { " " };
        write!(f, "{result}{space}{name}(")?;
        for (index, parameter) in parameters.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", parameter.declaration)?;
        }
        f.write_str(if parameters.is_empty() { "void)" } else { ")" })
    }
}

/// A text that declares no function, or not as [`Prototype`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the declaration of a function whose parameters all have names")]
pub struct NotPrototype;

/// Reads what `Display` writes, of functions all of whose parameters have names and none is a function itself.
impl FromStr for Prototype {
    type Err = NotPrototype;

    fn from_str(text: &str) -> Result<Self, NotPrototype> {
        /// Type and name of `const struct path *path`.
        fn split(declaration: &str) -> Result<(&str, &str), NotPrototype> {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let of_type = declaration.trim_end_matches(is_name);
            let name = declaration.strip_prefix(of_type).unwrap_or_default();
            let of_type = of_type.trim_end();
            if of_type.is_empty() || name.is_empty() { Err(NotPrototype) } else { Ok((of_type, name)) }
        }
        let (head, rest) = text.trim().split_once('(').ok_or(NotPrototype)?;
        let (result, name) = split(head)?;
        let inside =
            rest.strip_suffix(')').filter(|inside| !inside.contains(['(', ')', '…'])).ok_or(NotPrototype)?;
        let declarations = if inside == "void" { Vec::new() } else { inside.split(", ").collect() };
        let parameter = |declaration: &str| {
            let (of_type, name) = split(declaration)?;
            Ok(Parameter {
                name: name.to_owned(),
                of_type: of_type.to_owned(),
                declaration: declaration.to_owned(),
            })
        };
        let parameters = declarations.into_iter().map(parameter).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), result: result.to_owned(), parameters })
    }
}

impl Btf<'_> {
    /// Prototype of a function, or of the function a typedef points to. For `btf_trace_*` typedefs it begins with the
    /// `void *` that programs do not get.
    ///
    /// Integers are spelled as C programs do (`unsigned long`), whatever the compiler wrote.
    ///
    /// # Errors
    /// When there is no such function or typedef, it does not lead to a prototype, or that is absurdly long.
    pub fn prototype(&self, class: Class, name: &str) -> Result<Prototype, LookupError> {
        self.first(class, name, |id| {
            let (id, head, at) = self.prototype_of(id, name)?;
            let budget = &mut Budget { id, types: MAX_TYPES, depth: MAX_DEPTH };
            let result = self.declare(head.size_or_type, String::new(), budget)?;
            let mut parameters = Vec::new();
            for index in 0..head.count {
                let (name, type_id) = self.parameter(at, index)?;
                parameters.push(Parameter {
                    of_type: self.declare(type_id, String::new(), budget)?,
                    declaration: self.declare(type_id, name.clone(), budget)?,
                    name,
                });
            }
            Ok(Prototype { name: name.to_owned(), result, parameters })
        })
    }

    /// The prototype behind a function, or behind a typedef of a pointer to one: its id, head and offset.
    pub(super) fn prototype_of(&self, id: u32, name: &str) -> Result<(u32, TypeHead, usize), LookupError> {
        let mut found = self.strip(id)?;
        if matches!(found.1.kind, Kind::PTR | Kind::FUNC) {
            found = self.strip(found.1.size_or_type)?;
        }
        if found.1.kind == Kind::FUNC_PROTO {
            Ok(found)
        } else {
            Err(LookupError::NotFunction(name.to_owned()))
        }
    }

    /// Declares something of this type, which is called or itself declared by `inner`.
    fn declare(&self, id: u32, inner: String, budget: &mut Budget) -> Result<String, BtfError> {
        budget.spend(&inner)?;
        if id == 0 {
            return Ok(join("void", &inner));
        }
        budget.enter()?;
        let (head, at) = self.head(id)?;
        let target = head.size_or_type;
        let text = match head.kind {
            Kind::PTR => {
                let binds_tighter = matches!(self.kind_behind_tags(target)?, Kind::ARRAY | Kind::FUNC_PROTO);
                let inner = if binds_tighter { format!("(*{inner})") } else { format!("*{inner}") };
                self.declare(target, inner, budget)?
            }
            Kind::CONST => self.qualify("const", target, inner, budget)?,
            Kind::VOLATILE => self.qualify("volatile", target, inner, budget)?,
            Kind::RESTRICT => self.qualify("restrict", target, inner, budget)?,
            Kind::TYPE_TAG => self.declare(target, inner, budget)?,
            Kind::ARRAY => {
                let element = self.word(at.saturating_add(TypeHead::LEN))?;
                let count = self.word(at.saturating_add(TypeHead::LEN).saturating_add(8))?;
                self.declare(element, format!("{inner}[{count}]"), budget)?
            }
            Kind::FUNC_PROTO => {
                let parameters = self.parameter_list(head, at, budget)?;
                self.declare(target, format!("{inner}({parameters})"), budget)?
            }
            Kind::INT => join(&integer(&self.name(head.name, at)?), &inner),
            Kind::FLOAT | Kind::TYPEDEF => join(&self.name(head.name, at)?, &inner),
            Kind::STRUCT => self.tagged("struct", head, at, &inner)?,
            Kind::UNION => self.tagged("union", head, at, &inner)?,
            Kind::ENUM | Kind::ENUM64 => self.tagged("enum", head, at, &inner)?,
            Kind::FWD => self.tagged(if head.flag { "union" } else { "struct" }, head, at, &inner)?,
            _ => return Err(BtfError::BadType { id }),
        };
        budget.leave();
        budget.spend(&text)?;
        Ok(text)
    }

    /// What is said of a pointer stands behind its star, of everything else in front.
    fn qualify(
        &self,
        word: &str,
        target: u32,
        inner: String,
        budget: &mut Budget,
    ) -> Result<String, BtfError> {
        if self.kind_behind_tags(target)? == Kind::PTR {
            return self.declare(target, join(word, &inner), budget);
        }
        Ok(format!("{word} {}", self.declare(target, inner, budget)?))
    }

    fn tagged(&self, word: &str, head: TypeHead, at: usize, inner: &str) -> Result<String, BtfError> {
        let name = self.name(head.name, at)?;
        Ok(join(&format!("{word} {}", if name.is_empty() { "{…}" } else { &name }), inner))
    }

    fn parameter_list(&self, head: TypeHead, at: usize, budget: &mut Budget) -> Result<String, BtfError> {
        let mut list = String::new();
        for index in 0..head.count {
            let (name, type_id) = self.parameter(at, index)?;
            let separator = if index == 0 { "" } else { ", " };
            list.push_str(separator);
            list.push_str(&self.declare(type_id, name, budget)?);
            budget.spend(&list)?;
        }
        Ok(list)
    }

    /// Name and type of a parameter of the prototype at `at`.
    fn parameter(&self, at: usize, index: u32) -> Result<(String, u32), BtfError> {
        let entry = self.element(at, index, 8)?;
        Ok((self.name(self.word(entry)?, at)?, self.word(entry.saturating_add(4))?))
    }

    fn kind_behind_tags(&self, id: u32) -> Result<Kind, BtfError> {
        let mut current = id;
        for _ in 0..MAX_TYPES {
            if current == 0 {
                break;
            }
            let (head, _) = self.head(current)?;
            if head.kind != Kind::TYPE_TAG {
                return Ok(head.kind);
            }
            current = head.size_or_type;
        }
        Ok(Kind::FWD)
    }

    /// The string at offset `name`, used by the type at `at`.
    fn name(&self, name: u32, at: usize) -> Result<String, BtfError> {
        let bad = BtfError::BadName { name, offset: self.types_at.saturating_add(at) };
        let tail = self.strings.get(name as usize..).ok_or_else(|| bad.clone())?;
        let bytes = name_of(tail.get(..MAX_NAME).unwrap_or(tail)).ok_or(bad)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// What a prototype may cost.
struct Budget {
    /// Id of the prototype.
    id: u32,
    types: u32,
    depth: u32,
}

impl Budget {
    fn spend(&mut self, text: &str) -> Result<(), BtfError> {
        self.types = self.types.checked_sub(1).ok_or(BtfError::TooDeep { id: self.id })?;
        if text.len() > MAX_BYTES { Err(BtfError::TooDeep { id: self.id }) } else { Ok(()) }
    }

    fn enter(&mut self) -> Result<(), BtfError> {
        self.depth = self.depth.checked_sub(1).ok_or(BtfError::TooDeep { id: self.id })?;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_add(1);
    }
}

fn join(base: &str, inner: &str) -> String {
    if inner.is_empty() { base.to_owned() } else { format!("{base} {inner}") }
}

/// The spelling of an integer type: gcc writes `long unsigned int` into its debug information, clang `unsigned long`.
fn integer(name: &str) -> String {
    let mut long = 0_u32;
    let (mut unsigned, mut signed, mut base) = (false, false, "int");
    for word in name.split(' ') {
        match word {
            "long" => long = long.saturating_add(1),
            "unsigned" => unsigned = true,
            "signed" => signed = true,
            "int" => {}
            "char" | "short" => base = word,
            _ => return name.to_owned(),
        }
    }
    let base = match long {
        0 => base,
        1 => "long",
        _ => "long long",
    };
    match (unsigned, signed && base == "char") {
        (true, _) => format!("unsigned {base}"),
        (false, true) => format!("signed {base}"),
        (false, false) => base.to_owned(),
    }
}

#[cfg(test)]
#[path = "prototype_tests.rs"]
mod tests;
