//! From an expression to what is evaluated: checks types and limits, folds constants, puts cheap parts first.

use super::error::{ConditionError, ConditionErrorKind, suggest};
use super::expr::{Expr, ExprNode, Literal, Predicate, Test as Source, Transform};
use super::field::Field;
use super::leaf;
use super::node::{Leaf, Node, Test};
use super::text::TextTest;
use super::truth::Truth;
use super::{Case, Comparison, Limits};
use crate::event::{KINDS, KindIndex, KindSet};

pub(super) fn compile(expr: &Expr, limits: &Limits) -> Result<Node, ConditionError> {
    Compiler { limits, nodes: 0 }.node(expr, 0)
}

struct Compiler<'a> {
    limits: &'a Limits,
    nodes: usize,
}

impl Compiler<'_> {
    fn node(&mut self, expr: &Expr, depth: usize) -> Result<Node, ConditionError> {
        if depth > self.limits.depth {
            return Err(ConditionErrorKind::TooDeep { limit: self.limits.depth }.at(None));
        }
        self.count(1)?;
        let depth = depth + 1;
        Ok(match &expr.0 {
            ExprNode::Constant(value) => Node::Constant(Truth::from(*value)),
            ExprNode::All(parts) => join(self.nodes(parts, depth)?, Truth::False, Truth::True, Node::All),
            ExprNode::Any(parts) => join(self.nodes(parts, depth)?, Truth::True, Truth::False, Node::Any),
            ExprNode::Not(inner) => negate(self.node(inner, depth)?),
            ExprNode::IsTrue(inner) => is(Truth::True, self.node(inner, depth)?),
            ExprNode::IsUnknown(inner) => is(Truth::Unknown, self.node(inner, depth)?),
            ExprNode::Test(test) => self.test(test)?,
        })
    }

    fn nodes(&mut self, parts: &[Expr], depth: usize) -> Result<Vec<Node>, ConditionError> {
        parts.iter().map(|part| self.node(part, depth)).collect()
    }

    fn test(&mut self, source: &Source) -> Result<Node, ConditionError> {
        let Source { field, transform, predicate, position } = source;
        self.count(values(predicate))?;
        check_kinds(*field, *transform, predicate).map_err(|kind| kind.at(*position))?;
        let test =
            leaf::test(*field, *transform, predicate, self.limits).map_err(|kind| kind.at(*position))?;
        Ok(known_by_kind(*field, &test).unwrap_or(Node::Leaf(Leaf { field: *field, test })))
    }

    fn count(&mut self, nodes: usize) -> Result<(), ConditionError> {
        self.nodes = self.nodes.saturating_add(nodes);
        let limit = self.limits.nodes;
        if self.nodes > limit {
            return Err(ConditionErrorKind::TooManyNodes { limit }.at(None));
        }
        Ok(())
    }
}

/// How many values a predicate holds beyond one.
fn values(predicate: &Predicate) -> usize {
    match predicate {
        Predicate::In(values, _) => values.len(),
        Predicate::InNetworks(networks) => networks.len(),
        Predicate::IsNull
        | Predicate::IsTrue
        | Predicate::Compare(..)
        | Predicate::CompareField(..)
        | Predicate::Between(..)
        | Predicate::StartsWith(..)
        | Predicate::EndsWith(..)
        | Predicate::Contains(..)
        | Predicate::Like { .. }
        | Predicate::Glob(_)
        | Predicate::Regex(_)
        | Predicate::Length(..) => 0,
    }
}

/// A connective over several nodes: flattened, without constants, cheapest first.
fn join(nodes: Vec<Node>, decisive: Truth, neutral: Truth, make: fn(Box<[Node]>) -> Node) -> Node {
    let mut kept = Vec::with_capacity(nodes.len());
    for node in nodes {
        match (node, decisive) {
            (Node::Constant(truth), _) if truth == decisive => return Node::Constant(decisive),
            (Node::Constant(truth), _) if truth == neutral => {}
            (Node::All(parts), Truth::False) | (Node::Any(parts), Truth::True) => kept.extend(parts),
            (node, _) => kept.push(node),
        }
    }
    kept.sort_by_cached_key(Node::cost);
    match kept.pop() {
        None => Node::Constant(neutral),
        Some(only) if kept.is_empty() => only,
        Some(last) => {
            kept.push(last);
            make(kept.into())
        }
    }
}

fn negate(node: Node) -> Node {
    match node {
        Node::Constant(truth) => Node::Constant(!truth),
        Node::Kinds(kinds) => Node::Kinds(kinds.complement()),
        Node::Not(inner) => *inner,
        node @ (Node::All(_) | Node::Any(_) | Node::Is(..) | Node::Leaf(_)) => Node::Not(Box::new(node)),
    }
}

fn is(truth: Truth, node: Node) -> Node {
    match node {
        Node::Constant(value) => Node::Constant(Truth::from(value == truth)),
        node => Node::Is(truth, Box::new(node)),
    }
}

/// A test on the kind itself is a set of kinds.
fn known_by_kind(field: Field, test: &Test) -> Option<Node> {
    if field != Field::Kind {
        return None;
    }
    let mut kinds = KindSet::NONE;
    for kind in KindIndex::all() {
        let holds = match test {
            Test::Null => false,
            Test::Text(transform, test) => holds_for(kind.name(), *transform, test),
            Test::True
            | Test::Integer(_)
            | Test::Number(_)
            | Test::Address(_)
            | Test::AnyText(..)
            | Test::Field(..) => return None,
        };
        if holds {
            kinds = kinds.with(kind);
        }
    }
    Some(Node::Kinds(kinds))
}

fn holds_for(name: &str, transform: Transform, test: &TextTest) -> bool {
    match transform {
        Transform::None => test.holds(name.as_bytes()),
        Transform::Lower => test.holds(name.to_ascii_lowercase().as_bytes()),
        Transform::Upper => test.holds(name.to_ascii_uppercase().as_bytes()),
    }
}

/// Refuses kinds that do not exist: such a condition could never hold, and its writer would never know.
fn check_kinds(field: Field, transform: Transform, predicate: &Predicate) -> Result<(), ConditionErrorKind> {
    let literals = match predicate {
        Predicate::Compare(Comparison::Equal | Comparison::NotEqual, literal) => {
            std::slice::from_ref(literal)
        }
        Predicate::In(literals, Case::Sensitive) => literals,
        _ => return Ok(()),
    };
    if field != Field::Kind || transform != Transform::None {
        return Ok(());
    }
    for literal in literals {
        if let Literal::Text(name) = literal
            && !KINDS.iter().any(|(kind, _)| kind == name)
        {
            let suggestion = suggest(name, KINDS.iter().map(|(kind, _)| *kind));
            return Err(ConditionErrorKind::UnknownKind { name: name.clone(), suggestion });
        }
    }
    Ok(())
}
