//! Conditions as they are built: by code, by the SQL front end, or by a compiler of rules.

use super::error::Position;
use super::field::Field;

/// A condition being built. It is checked when it becomes a [`Condition`](super::Condition).
///
/// ```
/// use collector_core::condition::{Case, Condition, Expr, Field, Predicate};
///
/// let shell = Expr::test(Field::Kind, Predicate::equals("process.exec"))
///     .and(Expr::test(Field::Executable, Predicate::ends_with("/sh", Case::Sensitive)))
///     .and(Expr::test(Field::Uid, Predicate::equals(0)).not());
/// Condition::new(shell)?;
/// # Ok::<(), collector_core::ConditionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Expr(pub(super) ExprNode);

#[derive(Clone, Debug)]
pub(super) enum ExprNode {
    Constant(bool),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    IsTrue(Box<Expr>),
    IsUnknown(Box<Expr>),
    Test(Test),
}

/// A predicate on a field.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) field: Field,
    pub(super) transform: Transform,
    pub(super) predicate: Predicate,
    pub(super) position: Option<Position>,
}

impl Expr {
    /// Always true or always false.
    #[must_use]
    pub const fn constant(value: bool) -> Self {
        Self(ExprNode::Constant(value))
    }

    /// A predicate on a field. On a list it holds if it holds for any element.
    #[must_use]
    pub const fn test(field: Field, predicate: Predicate) -> Self {
        Self::transformed(field, Transform::None, predicate)
    }

    /// A predicate on a field whose text is changed first.
    #[must_use]
    pub const fn transformed(field: Field, transform: Transform, predicate: Predicate) -> Self {
        Self(ExprNode::Test(Test { field, transform, predicate, position: None }))
    }

    /// All of them; true if there are none.
    #[must_use]
    pub fn all(expressions: impl IntoIterator<Item = Self>) -> Self {
        Self(ExprNode::All(expressions.into_iter().collect()))
    }

    /// Any of them; false if there are none.
    #[must_use]
    pub fn any(expressions: impl IntoIterator<Item = Self>) -> Self {
        Self(ExprNode::Any(expressions.into_iter().collect()))
    }

    /// Both. A chain of `and` is flat, however long.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self.0 {
            ExprNode::All(mut expressions) => {
                expressions.push(other);
                Self(ExprNode::All(expressions))
            }
            node => Self::all([Self(node), other]),
        }
    }

    /// Either. A chain of `or` is flat, however long.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self.0 {
            ExprNode::Any(mut expressions) => {
                expressions.push(other);
                Self(ExprNode::Any(expressions))
            }
            node => Self::any([Self(node), other]),
        }
    }

    /// The opposite; unknown stays unknown, as in SQL. For a `not` that also holds for missing fields, as Sigma's does, use
    /// `.is_true().not()`.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "beside `and` and `or`, which no operator can be")]
    pub fn not(self) -> Self {
        match self.0 {
            ExprNode::Not(inner) => *inner,
            node => Self(ExprNode::Not(Box::new(Self(node)))),
        }
    }

    /// Whether it is true: unknown becomes false.
    #[must_use]
    pub fn is_true(self) -> Self {
        Self(ExprNode::IsTrue(Box::new(self)))
    }

    /// Whether it is unknown.
    #[must_use]
    pub fn is_unknown(self) -> Self {
        Self(ExprNode::IsUnknown(Box::new(self)))
    }
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Predicate {
    /// The event does not have the field. Never unknown.
    IsNull,
    /// A bool is true.
    IsTrue,
    /// It compares so with a value.
    Compare(Comparison, Literal),
    /// It compares so with another field of the same type.
    CompareField(Comparison, Field),
    /// It is one of these; the case counts for texts only.
    In(Vec<Literal>, Case),
    /// It is at least the first and at most the second.
    Between(Literal, Literal),
    /// The text begins so.
    StartsWith(String, Case),
    /// The text ends so.
    EndsWith(String, Case),
    /// The text has this in it.
    Contains(String, Case),
    /// SQL's LIKE: `%` stands for any characters, `_` for one. A character is a Unicode scalar value, or a byte that is not
    /// part of valid UTF-8.
    Like {
        /// The pattern.
        pattern: String,
        /// Takes the meaning from the character after it.
        escape: Option<char>,
        /// Which characters are the same.
        folding: Folding,
    },
    /// SQLite's GLOB: `*`, `?`, `[a-z]`, `[^a-z]`, and case matters.
    Glob(String),
    /// A regular expression of the crate `regex` is found in it (`(?i)` for any case, `^` and `$` to anchor). Bytes that are
    /// not UTF-8 are matched by no `.`; `(?s-u:.)` matches them.
    Regex(String),
    /// The address is in one of these networks, written like `10.0.0.0/8`; an address alone is a network of one.
    InNetworks(Vec<String>),
    /// The number of characters of the text compares so.
    Length(Comparison, i128),
}

impl Predicate {
    /// It is this value. A text is compared byte by byte.
    #[must_use]
    pub fn equals(value: impl Into<Literal>) -> Self {
        Self::Compare(Comparison::Equal, value.into())
    }

    /// The text is this one, whatever the case of ASCII letters.
    #[must_use]
    pub fn equals_ignoring_case(text: impl Into<String>) -> Self {
        Self::In(vec![Literal::Text(text.into())], Case::AsciiInsensitive)
    }

    /// It is one of these values.
    #[must_use]
    pub fn is_in(values: impl IntoIterator<Item: Into<Literal>>) -> Self {
        Self::In(values.into_iter().map(Into::into).collect(), Case::Sensitive)
    }

    /// The text begins so.
    #[must_use]
    pub fn starts_with(text: impl Into<String>, case: Case) -> Self {
        Self::StartsWith(text.into(), case)
    }

    /// The text ends so.
    #[must_use]
    pub fn ends_with(text: impl Into<String>, case: Case) -> Self {
        Self::EndsWith(text.into(), case)
    }

    /// The text has this in it.
    #[must_use]
    pub fn contains(text: impl Into<String>, case: Case) -> Self {
        Self::Contains(text.into(), case)
    }

    /// SQLite's LIKE without an escape: the case of ASCII letters does not matter.
    #[must_use]
    pub fn like(pattern: impl Into<String>) -> Self {
        Self::Like { pattern: pattern.into(), escape: None, folding: Folding::Ascii }
    }
}

/// How two values compare. Texts compare as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it holds for values in this order.
    pub(super) const fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The comparison with both sides exchanged.
    pub(super) const fn flipped(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// Whether it asks for an order and not only for equality.
    pub(super) const fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Whether the case of letters matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Case {
    /// It does: bytes are compared.
    #[default]
    Sensitive,
    /// It does not for ASCII letters.
    AsciiInsensitive,
}

/// Which characters LIKE takes for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Folding {
    /// Upper and lower case of ASCII letters: SQLite's LIKE.
    Ascii,
    /// Upper and lower case of every alphabet, where that is one character for one: ILIKE.
    Unicode,
}

/// A change to a text before it is looked at; of ASCII letters only, as SQLite's functions do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transform {
    /// As it is.
    #[default]
    None,
    /// `lower(...)`
    Lower,
    /// `upper(...)`
    Upper,
}

/// A value that stands in a condition.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Literal {
    /// A text; also an address.
    Text(String),
    /// A whole number.
    Integer(i128),
    /// A number that may have a fraction; must be finite.
    Number(f64),
    /// TRUE or FALSE.
    Bool(bool),
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Literal {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Literal {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Literal {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

macro_rules! integers {
    ($($integer:ty),+) => {$(
        impl From<$integer> for Literal {
            fn from(number: $integer) -> Self {
                Self::Integer(i128::from(number))
            }
        }
    )+};
}

integers!(u16, i32, u32, i64, u64);
