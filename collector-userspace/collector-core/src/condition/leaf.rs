//! From a predicate on a field to a test, if the field's type has it.

use regex::bytes::RegexBuilder;

use super::Limits;
use super::address::{AddressTest, Network, address};
use super::error::ConditionErrorKind;
use super::expr::{Case, Comparison, Literal, Predicate, Transform};
use super::field::{Field, FieldType};
use super::node::{IntegerTest, NumberTest, Test};
use super::text::{self, Needle, TextTest};

type Result<T> = std::result::Result<T, ConditionErrorKind>;

pub(super) fn test(
    field: Field,
    transform: Transform,
    predicate: &Predicate,
    limits: &Limits,
) -> Result<Test> {
    if *predicate == Predicate::IsNull {
        return Ok(Test::Null);
    }
    if let Predicate::CompareField(comparison, other) = predicate {
        return compare_fields(field, *comparison, *other, transform);
    }
    match field.field_type() {
        FieldType::Integer => integer(field, transform, predicate).map(Test::Integer),
        FieldType::Number => number(field, transform, predicate).map(Test::Number),
        FieldType::Bool => boolean(field, transform, predicate),
        FieldType::Ip => match addresses(field, predicate)? {
            Some(test) if transform == Transform::None => Ok(Test::Address(test)),
            Some(_) | None => text_test(field, transform, predicate, limits),
        },
        FieldType::Text | FieldType::TextList => text_test(field, transform, predicate, limits),
    }
}

fn compare_fields(field: Field, comparison: Comparison, other: Field, transform: Transform) -> Result<Test> {
    let (one_type, other_type) = (field.field_type(), other.field_type());
    if one_type == FieldType::TextList || transform != Transform::None {
        return Err(operator("a comparison with another field", field));
    }
    if one_type != other_type {
        return Err(mismatch(field, format!("`{other}`, which is {other_type}")));
    }
    if comparison.is_order() && matches!(one_type, FieldType::Ip | FieldType::Bool) {
        return Err(operator(comparison.symbol(), field));
    }
    Ok(Test::Field(comparison, other))
}

fn integer(field: Field, transform: Transform, predicate: &Predicate) -> Result<IntegerTest> {
    if transform != Transform::None {
        return Err(operator("a change of case", field));
    }
    let number = |literal: &Literal| match literal {
        Literal::Integer(number) => Ok(*number),
        Literal::Text(_) | Literal::Number(_) | Literal::Bool(_) => Err(mismatch_literal(field, literal)),
    };
    match predicate {
        Predicate::Compare(comparison, literal) => Ok(IntegerTest::Compare(*comparison, number(literal)?)),
        Predicate::Between(low, high) => Ok(IntegerTest::Between(number(low)?, number(high)?)),
        Predicate::In(literals, _) => {
            let mut numbers = not_empty(literals)?.iter().map(number).collect::<Result<Vec<_>>>()?;
            numbers.sort_unstable();
            Ok(IntegerTest::In(numbers.into()))
        }
        other => Err(operator(operator_name(other), field)),
    }
}

fn number(field: Field, transform: Transform, predicate: &Predicate) -> Result<NumberTest> {
    if transform != Transform::None {
        return Err(operator("a change of case", field));
    }
    let number = |literal: &Literal| match literal {
        Literal::Integer(number) => Ok(*number as f64),
        Literal::Number(number) if number.is_finite() => Ok(*number),
        Literal::Text(_) | Literal::Number(_) | Literal::Bool(_) => Err(mismatch_literal(field, literal)),
    };
    match predicate {
        Predicate::Compare(comparison, literal) => Ok(NumberTest::Compare(*comparison, number(literal)?)),
        Predicate::Between(low, high) => Ok(NumberTest::Between(number(low)?, number(high)?)),
        Predicate::In(literals, _) => {
            Ok(NumberTest::In(not_empty(literals)?.iter().map(number).collect::<Result<_>>()?))
        }
        other => Err(operator(operator_name(other), field)),
    }
}

fn boolean(field: Field, transform: Transform, predicate: &Predicate) -> Result<Test> {
    if transform != Transform::None {
        return Err(operator("a change of case", field));
    }
    match predicate {
        Predicate::IsTrue => Ok(Test::True),
        other => Err(operator(operator_name(other), field)),
    }
}

/// The test, unless the predicate looks at the address as text.
fn addresses(field: Field, predicate: &Predicate) -> Result<Option<AddressTest>> {
    let read = |literal: &Literal| match literal {
        Literal::Text(text) => address(text),
        Literal::Integer(_) | Literal::Number(_) | Literal::Bool(_) => Err(mismatch_literal(field, literal)),
    };
    Ok(Some(match predicate {
        Predicate::Compare(Comparison::Equal, literal) => AddressTest::one_of([read(literal)?]),
        Predicate::Compare(Comparison::NotEqual, literal) => AddressTest::NotEqual(read(literal)?),
        Predicate::In(literals, _) => {
            AddressTest::one_of(not_empty(literals)?.iter().map(read).collect::<Result<Vec<_>>>()?)
        }
        Predicate::InNetworks(networks) => AddressTest::InNetworks(
            not_empty(networks)?.iter().map(|network| Network::parse(network)).collect::<Result<_>>()?,
        ),
        Predicate::Compare(comparison, _) => return Err(operator(comparison.symbol(), field)),
        Predicate::Between(..) => return Err(operator("BETWEEN", field)),
        Predicate::IsNull
        | Predicate::IsTrue
        | Predicate::CompareField(..)
        | Predicate::StartsWith(..)
        | Predicate::EndsWith(..)
        | Predicate::Contains(..)
        | Predicate::Like { .. }
        | Predicate::Glob(_)
        | Predicate::Regex(_)
        | Predicate::Length(..) => return Ok(None),
    }))
}

fn text_test(field: Field, transform: Transform, predicate: &Predicate, limits: &Limits) -> Result<Test> {
    let is_list = field.field_type() == FieldType::TextList;
    let (transform, predicate) = without_transform(transform, predicate);
    let test = match &predicate {
        // "Some element is different" is hardly ever what somebody wants to know.
        Predicate::Compare(comparison, _) if is_list && *comparison != Comparison::Equal => {
            return Err(operator(comparison.symbol(), field));
        }
        Predicate::Between(..) | Predicate::Length(..) if is_list => {
            return Err(operator(operator_name(&predicate), field));
        }
        Predicate::Compare(comparison, literal) => TextTest::Compare(*comparison, bytes(field, literal)?),
        Predicate::In(literals, case) => {
            let texts = not_empty(literals)?.iter().map(|literal| bytes(field, literal));
            TextTest::one_of(texts.collect::<Result<Vec<_>>>()?, *case)
        }
        Predicate::Between(low, high) => TextTest::Between(bytes(field, low)?, bytes(field, high)?),
        Predicate::StartsWith(start, case) => TextTest::StartsWith(start.as_bytes().into(), *case),
        Predicate::EndsWith(end, case) => TextTest::EndsWith(end.as_bytes().into(), *case),
        Predicate::Contains(needle, case) => TextTest::Contains(Needle::new(needle.as_bytes(), *case)),
        Predicate::Like { pattern, escape, folding } => text::like(pattern, *escape, *folding),
        Predicate::Glob(pattern) => text::glob(pattern),
        Predicate::Regex(pattern) => regex(pattern, limits)?,
        Predicate::Length(comparison, length) => TextTest::Length(*comparison, *length),
        Predicate::IsNull | Predicate::IsTrue | Predicate::CompareField(..) | Predicate::InNetworks(_) => {
            return Err(operator(operator_name(&predicate), field));
        }
    };
    Ok(if is_list { Test::AnyText(transform, test) } else { Test::Text(transform, test) })
}

/// The same without a change of case, where ignoring case says it too: `lower(name) = 'x'` need not copy the name.
fn without_transform(transform: Transform, predicate: &Predicate) -> (Transform, Predicate) {
    let unchanged = |text: &str| match transform {
        Transform::None => true,
        Transform::Lower => !text.bytes().any(|byte| byte.is_ascii_uppercase()),
        Transform::Upper => !text.bytes().any(|byte| byte.is_ascii_lowercase()),
    };
    let unchanged_literal = |literal: &Literal| matches!(literal, Literal::Text(text) if unchanged(text));
    let ignored = Case::AsciiInsensitive;
    let same = (transform, predicate.clone());
    if transform == Transform::None {
        return same;
    }
    let simpler = match predicate {
        Predicate::Compare(Comparison::Equal, literal) if unchanged_literal(literal) => {
            Predicate::In(vec![literal.clone()], ignored)
        }
        Predicate::In(literals, _) if literals.iter().all(unchanged_literal) => {
            Predicate::In(literals.clone(), ignored)
        }
        Predicate::StartsWith(text, _) if unchanged(text) => Predicate::StartsWith(text.clone(), ignored),
        Predicate::EndsWith(text, _) if unchanged(text) => Predicate::EndsWith(text.clone(), ignored),
        Predicate::Contains(text, _) if unchanged(text) => Predicate::Contains(text.clone(), ignored),
        Predicate::Like { .. } | Predicate::Length(..) => predicate.clone(),
        _ => return same,
    };
    (Transform::None, simpler)
}

fn regex(pattern: &str, limits: &Limits) -> Result<TextTest> {
    let built = RegexBuilder::new(pattern)
        .size_limit(limits.regex_bytes)
        .dfa_size_limit(limits.regex_bytes)
        .build()
        .map_err(|error| ConditionErrorKind::InvalidRegex { reason: error.to_string() })?;
    Ok(TextTest::Regex(Box::new(built)))
}

fn bytes(field: Field, literal: &Literal) -> Result<Box<[u8]>> {
    match literal {
        Literal::Text(text) => Ok(text.as_bytes().into()),
        Literal::Integer(_) | Literal::Number(_) | Literal::Bool(_) => Err(mismatch_literal(field, literal)),
    }
}

fn not_empty<T>(values: &[T]) -> Result<&[T]> {
    if values.is_empty() { Err(ConditionErrorKind::EmptyList) } else { Ok(values) }
}

fn mismatch_literal(field: Field, literal: &Literal) -> ConditionErrorKind {
    mismatch(
        field,
        match literal {
            Literal::Text(text) => format!("the text {text:?}"),
            Literal::Integer(number) => format!("the number {number}"),
            Literal::Number(number) => format!("the number {number}"),
            Literal::Bool(value) => value.to_string().to_uppercase(),
        },
    )
}

fn mismatch(field: Field, value: String) -> ConditionErrorKind {
    ConditionErrorKind::TypeMismatch { field, field_type: field.field_type(), value }
}

fn operator(operator: &'static str, field: Field) -> ConditionErrorKind {
    ConditionErrorKind::Operator { operator, field, field_type: field.field_type() }
}

fn operator_name(predicate: &Predicate) -> &'static str {
    match predicate {
        Predicate::IsNull => "IS NULL",
        Predicate::IsTrue => "a test for TRUE",
        Predicate::Compare(comparison, _) | Predicate::CompareField(comparison, _) => comparison.symbol(),
        Predicate::In(..) => "IN",
        Predicate::Between(..) => "BETWEEN",
        Predicate::StartsWith(..) => "starts_with",
        Predicate::EndsWith(..) => "ends_with",
        Predicate::Contains(..) => "contains",
        Predicate::Like { .. } => "LIKE",
        Predicate::Glob(_) => "GLOB",
        Predicate::Regex(_) => "REGEXP",
        Predicate::InNetworks(_) => "cidr_match",
        Predicate::Length(..) => "length",
    }
}
