//! Why a condition cannot be had.

use std::fmt;

use super::field::{Field, FieldType};

/// A place in the text of a condition, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "line {line}, column {column}")
    }
}

/// A condition that was refused: why, and where if it was text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// Where in the text; `None` for a condition built by code.
    pub position: Option<Position>,
    /// Why.
    pub kind: ConditionErrorKind,
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, kind } = self;
        match position {
            Some(position) => write!(f, "{position}: {kind}"),
            None => write!(f, "{kind}"),
        }
    }
}

impl std::error::Error for ConditionError {}

/// Why a condition was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionErrorKind {
    /// Longer than the limit.
    #[error("the condition has {length} bytes, the limit is {limit}")]
    TextTooLong {
        /// Bytes it has.
        length: usize,
        /// Bytes it may have.
        limit: usize,
    },
    /// Nested deeper than the limit.
    #[error("the condition is nested more than {limit} levels deep; take parentheses away or split it")]
    TooDeep {
        /// Levels it may have.
        limit: usize,
    },
    /// More parts than the limit.
    #[error(
        "the condition has more than {limit} parts (comparisons, their values and connectives); split it"
    )]
    TooManyNodes {
        /// Parts it may have.
        limit: usize,
    },
    /// Text that is not SQL.
    #[error("{message}")]
    Token {
        /// What the tokenizer says.
        message: String,
    },
    /// Something else was expected.
    #[error("expected {expected}, found {found}")]
    Syntax {
        /// What could stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// SQL that no condition can have.
    #[error("{what} cannot be used in a condition: {hint}")]
    Unsupported {
        /// The construct.
        what: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A field that does not exist.
    #[error("there is no field `{name}`{}", Suggested(.suggestion))]
    UnknownField {
        /// The name.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A function that does not exist.
    #[error("there is no function `{name}`{}", Suggested(.suggestion))]
    UnknownFunction {
        /// The name.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A kind of event that does not exist, so that the comparison could never hold.
    #[error("there are no events of kind `{name}`{}", Suggested(.suggestion))]
    UnknownKind {
        /// The name.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A value of another type than the field's.
    #[error("`{field}` is {field_type} and cannot be compared with {value}")]
    TypeMismatch {
        /// The field.
        field: Field,
        /// Its type.
        field_type: FieldType,
        /// What it was compared with.
        value: String,
    },
    /// An operator that the field's type does not have.
    #[error("{operator} cannot be used on `{field}`, which is {field_type}")]
    Operator {
        /// The operator.
        operator: &'static str,
        /// The field.
        field: Field,
        /// Its type.
        field_type: FieldType,
    },
    /// A list of alternatives without any.
    #[error("a list of values is empty; give it at least one value")]
    EmptyList,
    /// An address that is none.
    #[error("{text:?} is not an ip address; write it like '10.0.0.1' or 'fe80::1'")]
    InvalidAddress {
        /// The text.
        text: String,
    },
    /// A network that is none.
    #[error(
        "{text:?} is not a network; write it like '10.0.0.0/8' or 'fc00::/7', with no bits set after the prefix"
    )]
    InvalidNetwork {
        /// The text.
        text: String,
    },
    /// A regular expression that is none, or that is too large.
    #[error("the regular expression cannot be used: {reason}")]
    InvalidRegex {
        /// What is wrong with it.
        reason: String,
    },
    /// An escape that is not one character.
    #[error("ESCAPE {text:?} must be exactly one character")]
    InvalidEscape {
        /// The text.
        text: String,
    },
}

impl ConditionErrorKind {
    pub(super) const fn at(self, position: Option<Position>) -> ConditionError {
        ConditionError { position, kind: self }
    }
}

struct Suggested<'a>(&'a Option<String>);

impl fmt::Display for Suggested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

/// The candidate that is most like `name`, if one is so like it that a slip is likely.
pub(super) fn suggest(name: &str, candidates: impl IntoIterator<Item = &'static str>) -> Option<String> {
    // Comparing costs the product of the lengths, and nothing this long is a slip.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}
