//! Conditions: predicates over events, built by code or from SQL, compiled once and evaluated on every event.
//!
//! ```
//! use collector_core::condition::{Condition, Scratch};
//! use collector_core::{CollectionEvent, ProcessEvent, ProcessEventKind};
//!
//! let condition = Condition::from_sql("kind = 'process.exec' AND executable LIKE '/tmp/%' AND uid <> 0")?;
//! let event = CollectionEvent::Process(ProcessEvent {
//!     kind: ProcessEventKind::Exec,
//!     executable_path: Some("/tmp/x".into()),
//!     uid: Some(1000),
//!     ..Default::default()
//! });
//! assert!(condition.matches(&event, &mut Scratch::default()));
//! # Ok::<(), collector_core::ConditionError>(())
//! ```
//!
//! * [`Condition`]: one condition. [`Condition::from_sql`] has the language; [`Expr`] builds the same from code, and is what a
//!   compiler of rules targets.
//! * [`ConditionSet`]: many conditions, one pass per event.
//! * [`Field`]: what can be asked about, with names, types and meaning.
//!
//! # Truth
//!
//! As in SQL there are three truth values. A comparison with a field that the event does not have is *unknown*, and so is its
//! negation; `AND`, `OR` and `NOT` follow SQL's tables. Only *true* makes a condition match: `uid <> 0` does not match an
//! event without a uid, and neither does `NOT uid = 0`. Lists are never missing where the kind of event has them: without any
//! flags `NOT has(flags, 'memfd')` is true.
//!
//! # Cost
//!
//! Compiling finds the kinds of events a condition can be true for; for all others evaluation is one bit test. Texts are
//! compared as the bytes they are. `command_line` is joined, and ids and addresses are written out, only when a condition
//! really gets there, once per event, into a [`Scratch`] that the caller keeps. With that, evaluating allocates nothing.

mod address;
mod compile;
mod error;
mod expr;
mod field;
mod grams;
mod keys;
mod leaf;
mod node;
mod possible;
mod scan;
mod scratch;
mod set;
mod sql;
#[cfg(test)]
mod tests;
mod text;
mod truth;
mod value;

pub use self::error::{ConditionError, ConditionErrorKind, Position};
pub use self::expr::{Case, Comparison, Expr, Folding, Literal, Predicate, Transform};
pub use self::field::{Field, FieldType};
pub use self::scratch::{EventView, Scratch};
pub(crate) use self::set::AlreadyHashed;
pub use self::set::ConditionSet;
pub use self::truth::Truth;

use self::node::Node;
use self::possible::Possible;
use self::scratch::Context;
use crate::event::{KindIndex, KindSet};

/// What a condition may cost its owner. The defaults fit every condition a person writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of SQL.
    pub text_bytes: usize,
    /// Levels of parentheses and connectives. Evaluation recurses this deep.
    pub depth: usize,
    /// Comparisons, their values and connectives.
    pub nodes: usize,
    /// Bytes of memory of one compiled regular expression, and of its cache.
    pub regex_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text_bytes: 64 << 10, depth: 64, nodes: 10_000, regex_bytes: 1 << 20 }
    }
}

/// A condition, checked and ready for evaluation. Cheap to share behind an `Arc`; it keeps nothing about events.
#[derive(Clone, Debug)]
pub struct Condition {
    root: Node,
    /// Kinds of events it can be true for.
    kinds: KindSet,
}

impl Condition {
    /// Checks and compiles an expression, with the default [`Limits`].
    ///
    /// # Errors
    /// When a field's type does not have an operator or a value, a regular expression, address or network is none, a kind of
    /// event does not exist, or a limit is exceeded.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever built an expression has no use for it any more"
    )]
    pub fn new(expr: Expr) -> Result<Self, ConditionError> {
        Self::with_limits(&expr, &Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`Condition::new`].
    pub fn with_limits(expr: &Expr, limits: &Limits) -> Result<Self, ConditionError> {
        let root = compile::compile(expr, limits)?;
        let kinds = Possible::of(&root).yes;
        Ok(Self { root, kinds })
    }

    /// Compiles SQL: what can stand behind `WHERE`, with the default [`Limits`]. A leading `WHERE`, or
    /// `SELECT … FROM events WHERE`, and a semicolon at the end are taken for what they are.
    ///
    /// | | |
    /// |---|---|
    /// | connectives | `AND` `OR` `NOT`, parentheses, `TRUE` `FALSE`, `IS [NOT] TRUE`, `IS [NOT] FALSE` |
    /// | comparisons | `=` `==` `<>` `!=` `<` `<=` `>` `>=`, of a field with a value or another field |
    /// | | `[NOT] IN (…)`, `[NOT] BETWEEN … AND …`, `IS [NOT] NULL` |
    /// | texts | `[NOT] LIKE` (any case of ASCII letters, as in SQLite), `[NOT] ILIKE` (any case of any alphabet), both with `ESCAPE`; `[NOT] GLOB`, `[NOT] REGEXP` |
    /// | functions | `starts_with(field, 'x')`, `ends_with`, `contains`: true or false; case matters, `starts_with(lower(field), 'x')` where it should not |
    /// | | `cidr_match(field, '10.0.0.0/8', …)`, `has(list_field, 'x')` |
    /// | | `lower(field)`, `upper(field)` (of ASCII letters), `length(field)` (in characters) |
    /// | values | `'text'` with `''` for a quote, integers such as `-5` and `0x1f` |
    ///
    /// On a list of texts `=`, `IN`, `LIKE`, `GLOB`, `REGEXP` and the functions hold if any element satisfies them. Addresses
    /// are compared as addresses, and their text can be matched with `LIKE`. Field and function names, and words of SQL, can
    /// be written in upper or lower case. Where SQLite has the same operator, the answer is SQLite's.
    ///
    /// # Errors
    /// For everything that is not in the table, with the position; also as [`Condition::new`].
    pub fn from_sql(sql: &str) -> Result<Self, ConditionError> {
        Self::from_sql_with(sql, &Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`Condition::from_sql`].
    pub fn from_sql_with(sql: &str, limits: &Limits) -> Result<Self, ConditionError> {
        Self::with_limits(&sql::parse(sql, limits)?, limits)
    }

    /// Whether the condition is true for the event.
    #[must_use]
    pub fn matches<'a>(&self, event: impl Into<EventView<'a>>, scratch: &mut Scratch) -> bool {
        let EventView { event, kind } = event.into();
        self.kinds.contains(kind) && self.holds(kind, &mut Context::new(event, scratch).0)
    }

    /// What the condition says about the event.
    #[must_use]
    pub fn evaluate<'a>(&self, event: impl Into<EventView<'a>>, scratch: &mut Scratch) -> Truth {
        let EventView { event, kind } = event.into();
        self.root.evaluate(kind, &mut Context::new(event, scratch).0)
    }

    /// The kinds of events it can be true for, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let Self { root: _, kinds } = self;
        let kinds = *kinds;
        KindIndex::all().filter(move |kind| kinds.contains(*kind)).map(KindIndex::name)
    }

    fn holds(&self, kind: KindIndex, context: &mut Context<'_, '_>) -> bool {
        self.kinds.contains(kind) && self.root.evaluate(kind, context).is_true()
    }
}
