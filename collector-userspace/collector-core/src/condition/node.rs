//! Conditions as they are evaluated.

use std::cmp::Ordering;

use super::address::AddressTest;
use super::expr::{Comparison, Transform};
use super::field::Field;
use super::scratch::Context;
use super::text::TextTest;
use super::truth::Truth;
use super::value::Value;
use crate::event::{KindIndex, KindSet};

/// A compiled condition. Trees are no deeper than [`Limits::depth`](super::Limits::depth), so evaluating may recurse.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Truth),
    /// The event is of one of these kinds.
    Kinds(KindSet),
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Not(Box<Node>),
    Is(Truth, Box<Node>),
    Leaf(Leaf),
}

/// A test on one field.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) field: Field,
    pub(super) test: Test,
}

#[derive(Clone, Debug)]
pub(super) enum Test {
    Null,
    True,
    Integer(IntegerTest),
    Number(NumberTest),
    Address(AddressTest),
    Text(Transform, TextTest),
    /// On a list: any of its texts.
    AnyText(Transform, TextTest),
    /// Compares with another field of the same type.
    Field(Comparison, Field),
}

/// What is asked of a number that is there.
#[derive(Clone, Debug)]
pub(super) enum IntegerTest {
    Compare(Comparison, i128),
    /// Sorted.
    In(Box<[i128]>),
    Between(i128, i128),
}

impl IntegerTest {
    fn holds(&self, number: i128) -> bool {
        match self {
            Self::Compare(comparison, value) => comparison.holds(number.cmp(value)),
            Self::In(values) => values.binary_search(&number).is_ok(),
            Self::Between(low, high) => (low..=high).contains(&&number),
        }
    }
}

/// What is asked of a number with a fraction that is there. All are finite.
#[derive(Clone, Debug)]
pub(super) enum NumberTest {
    Compare(Comparison, f64),
    In(Box<[f64]>),
    Between(f64, f64),
}

impl NumberTest {
    fn holds(&self, number: f64) -> bool {
        match self {
            Self::Compare(comparison, value) => {
                number.partial_cmp(value).is_some_and(|order| comparison.holds(order))
            }
            Self::In(values) => values.contains(&number),
            Self::Between(low, high) => (low..=high).contains(&&number),
        }
    }
}

impl Node {
    pub(super) fn evaluate(&self, kind: KindIndex, context: &mut Context<'_, '_>) -> Truth {
        match self {
            Self::Constant(truth) => *truth,
            Self::Kinds(kinds) => Truth::from(kinds.contains(kind)),
            Self::All(nodes) => until(nodes, Truth::False, Truth::True, kind, context),
            Self::Any(nodes) => until(nodes, Truth::True, Truth::False, kind, context),
            Self::Not(node) => !node.evaluate(kind, context),
            Self::Is(truth, node) => Truth::from(node.evaluate(kind, context) == *truth),
            Self::Leaf(leaf) => leaf.evaluate(context),
        }
    }

    /// What it costs, roughly, so that cheap parts come first.
    pub(super) fn cost(&self) -> u32 {
        let sum = |nodes: &[Self]| nodes.iter().map(Self::cost).fold(0, u32::saturating_add);
        match self {
            Self::Constant(_) | Self::Kinds(_) => 0,
            Self::All(nodes) | Self::Any(nodes) => sum(nodes),
            Self::Not(node) | Self::Is(_, node) => node.cost(),
            Self::Leaf(leaf) => leaf.cost(),
        }
    }
}

/// Evaluates one by one: `decisive` ends it, unknown is kept in mind, and nothing of both gives `otherwise`.
fn until(
    nodes: &[Node],
    decisive: Truth,
    otherwise: Truth,
    kind: KindIndex,
    context: &mut Context<'_, '_>,
) -> Truth {
    let mut result = otherwise;
    for node in nodes {
        let truth = node.evaluate(kind, context);
        if truth == decisive {
            return decisive;
        }
        if truth == Truth::Unknown {
            result = Truth::Unknown;
        }
    }
    result
}

impl Leaf {
    fn evaluate(&self, context: &mut Context<'_, '_>) -> Truth {
        let Self { field, test } = self;
        let field = *field;
        match test {
            Test::Null => Truth::from(matches!(context.value(field), Value::Null)),
            Test::True => match context.value(field) {
                Value::Bool(value) => Truth::from(value),
                _ => Truth::Unknown,
            },
            Test::Integer(test) => match context.value(field) {
                Value::Integer(number) => Truth::from(test.holds(number)),
                _ => Truth::Unknown,
            },
            Test::Number(test) => match context.value(field) {
                Value::Number(number) => Truth::from(test.holds(number)),
                _ => Truth::Unknown,
            },
            Test::Address(test) => match context.value(field) {
                Value::Ip(address) => Truth::from(test.holds(address)),
                _ => Truth::Unknown,
            },
            Test::Text(transform, test) => Truth::from(match change(*transform) {
                None => context.text(field).map(|text| test.holds(text)),
                Some(change) => context.changed_text(field, change).map(|text| test.holds(text)),
            }),
            Test::AnyText(transform, test) => any_text(field, *transform, test, context),
            Test::Field(comparison, other) => compare(*comparison, field, *other, context),
        }
    }

    fn cost(&self) -> u32 {
        // Joining and writing out comes on top once per event; who gets there last may not get there at all.
        let making = |field| match field {
            Field::CommandLine => 200,
            Field::ExecId | Field::ParentExecId | Field::LocalAddress | Field::RemoteAddress => 30,
            _ => 0,
        };
        let changing = |transform| if transform == Transform::None { 0 } else { 10 };
        match &self.test {
            Test::Null | Test::True | Test::Integer(_) | Test::Number(_) => 1,
            Test::Address(_) => 2,
            Test::Text(transform, test) => making(self.field) + changing(*transform) + test.cost(),
            Test::AnyText(transform, test) => 8 * (changing(*transform) + test.cost()),
            Test::Field(_, other) => 4 + making(self.field) + making(*other),
        }
    }
}

fn any_text(field: Field, transform: Transform, test: &TextTest, context: &mut Context<'_, '_>) -> Truth {
    let Value::List(list) = context.value(field) else { return Truth::Unknown };
    let Some(change) = change(transform) else { return Truth::from(list.any(|text| test.holds(text))) };
    let folded = context.folded();
    Truth::from(list.any(|text| {
        folded.clear();
        folded.extend(text.iter().map(change));
        test.holds(folded)
    }))
}

fn change(transform: Transform) -> Option<fn(&u8) -> u8> {
    match transform {
        Transform::None => None,
        Transform::Lower => Some(u8::to_ascii_lowercase),
        Transform::Upper => Some(u8::to_ascii_uppercase),
    }
}

fn compare(comparison: Comparison, one: Field, other: Field, context: &mut Context<'_, '_>) -> Truth {
    let order: Option<Ordering> = match (context.value(one), context.value(other)) {
        (Value::Integer(one), Value::Integer(other)) => Some(one.cmp(&other)),
        (Value::Number(one), Value::Number(other)) => one.partial_cmp(&other),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(&other)),
        (Value::Ip(one), Value::Ip(other)) => Some(one.to_canonical().cmp(&other.to_canonical())),
        _ => context.texts(one, other).map(|(one, other)| one.cmp(other)),
    };
    Truth::from(order.map(|order| comparison.holds(order)))
}
