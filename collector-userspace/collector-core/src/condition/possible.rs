//! For which kinds of events a condition can be true, unknown or false: found by following three sets through the tree.
//!
//! A leaf on a field that a kind of event never has is always unknown there. The sets are never too small; they can be too
//! large, because parts of a condition are looked at one by one.

use super::expr::Transform;
use super::field::Field;
use super::node::{Leaf, Node, Test};
use super::text::TextTest;
use super::truth::Truth;
use crate::event::KindSet;

/// For which kinds each truth value is possible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Possible {
    pub(super) yes: KindSet,
    no: KindSet,
    unknown: KindSet,
}

impl Possible {
    pub(super) fn of(node: &Node) -> Self {
        match node {
            Node::Constant(truth) => Self::always(*truth),
            Node::Kinds(kinds) => Self { yes: *kinds, no: kinds.complement(), unknown: KindSet::NONE },
            Node::All(nodes) => nodes.iter().map(Self::of).fold(Self::always(Truth::True), Self::and),
            Node::Any(nodes) => {
                !nodes.iter().map(|node| !Self::of(node)).fold(Self::always(Truth::True), Self::and)
            }
            Node::Not(node) => !Self::of(node),
            Node::Is(truth, node) => Self::of(node).is(*truth),
            Node::Leaf(leaf) => Self::of_leaf(leaf),
        }
    }

    fn always(truth: Truth) -> Self {
        let all_if = |wanted| if truth == wanted { KindSet::ALL } else { KindSet::NONE };
        Self { yes: all_if(Truth::True), no: all_if(Truth::False), unknown: all_if(Truth::Unknown) }
    }

    fn of_leaf(leaf: &Leaf) -> Self {
        let Leaf { field, test } = leaf;
        let carriers = field.kinds();
        match test {
            Test::Text(Transform::None, test) if *field == Field::Domain => Self::of_domain(test),
            Test::Null => Self { yes: KindSet::ALL, no: carriers, unknown: KindSet::NONE },
            Test::Field(_, other) => {
                let both = carriers.intersection(other.kinds());
                Self { yes: both, no: both, unknown: KindSet::ALL }
            }
            Test::True
            | Test::Integer(_)
            | Test::Number(_)
            | Test::Address(_)
            | Test::Text(..)
            | Test::AnyText(..) => Self { yes: carriers, no: carriers, unknown: KindSet::ALL },
        }
    }

    /// The domain follows from the kind, except for losses.
    fn of_domain(test: &TextTest) -> Self {
        let open = Field::Domain.kinds();
        let (mut yes, mut known) = (open, KindSet::NONE);
        for domain in ["process", "network", "file"] {
            let kinds = KindSet::named(domain).unwrap_or(KindSet::NONE);
            known = known.union(kinds);
            if !test.holds(domain.as_bytes()) {
                yes = yes.intersection(kinds.complement());
            }
        }
        let no = open.intersection(known.intersection(yes).complement());
        Self { yes, no, unknown: known.complement() }
    }

    fn and(self, other: Self) -> Self {
        let not_false = |side: Self| side.yes.union(side.unknown);
        Self {
            yes: self.yes.intersection(other.yes),
            no: self.no.union(other.no),
            unknown: self
                .unknown
                .intersection(not_false(other))
                .union(other.unknown.intersection(not_false(self))),
        }
    }

    fn is(self, truth: Truth) -> Self {
        let Self { yes, no, unknown } = self;
        let (wanted, others) = match truth {
            Truth::True => (yes, no.union(unknown)),
            Truth::False => (no, yes.union(unknown)),
            Truth::Unknown => (unknown, yes.union(no)),
        };
        Self { yes: wanted, no: others, unknown: KindSet::NONE }
    }
}

impl std::ops::Not for Possible {
    type Output = Self;

    fn not(self) -> Self {
        let Self { yes, no, unknown } = self;
        Self { yes: no, no: yes, unknown }
    }
}
