//! Operators: what follows a field or a value and makes a condition of it.

use std::cmp::Ordering;

use super::super::error::ConditionErrorKind;
use super::super::expr::{Case, Comparison, Expr, Folding, Literal, Predicate, Transform};
use super::super::field::FieldType;
use super::parser::{Parser, Part, Result, Subject};
use super::tokens::Token;

/// Operators that NOT may stand before.
const NEGATABLE: &[&str] = &["IN", "BETWEEN", "LIKE", "ILIKE", "GLOB", "REGEXP"];

impl Parser {
    /// An operand and the operators behind it.
    pub(super) fn comparison(&mut self) -> Result<Part> {
        let mut left = self.operand()?;
        // `x IS TRUE IS TRUE …` nests without parentheses.
        let mut levels = 0;
        loop {
            self.limit_depth(levels)?;
            levels += 1;
            left = match self.peek() {
                Token::Comparison(comparison) => {
                    let comparison = *comparison;
                    self.take(&Token::Comparison(comparison));
                    let right = self.operand()?;
                    Part::Condition(self.compare(left, comparison, right)?)
                }
                Token::Word(_) => match self.word_operator(left)? {
                    Operated::Yes(expr) => Part::Condition(expr),
                    Operated::No(left) => return Ok(left),
                },
                _ => return Ok(left),
            };
        }
    }

    fn word_operator(&mut self, left: Part) -> Result<Operated> {
        if self.take_word("IS") {
            return self.is(left).map(Operated::Yes);
        }
        for (word, negated) in [("ISNULL", false), ("NOTNULL", true)] {
            if self.take_word(word) {
                return Ok(Operated::Yes(negate_if(negated, is_null(left))));
            }
        }
        let negated = self.is_word("NOT") && NEGATABLE.iter().any(|word| self.is_second_word(word));
        if negated {
            self.take_word("NOT");
        }
        let Some(operator) = NEGATABLE.iter().find(|word| self.is_word(word)) else {
            return Ok(Operated::No(left));
        };
        // The error for what cannot stand on the left is at the operator.
        let subject = match left {
            Part::Field(subject) => Ok(subject),
            Part::Length(subject) => Err(subject),
            Part::Condition(_) | Part::Value(_) => {
                return Err(self.unsupported(operator, "a field must stand before it"));
            }
        };
        self.take_word(operator);
        let expr = match subject {
            Ok(subject) => self.field_operator(subject, operator)?,
            Err(subject) => self.length_operator(subject, operator)?,
        };
        Ok(Operated::Yes(negate_if(negated, expr)))
    }

    fn field_operator(&mut self, subject: Subject, operator: &str) -> Result<Expr> {
        Ok(subject.test(match operator {
            "IN" => Predicate::In(self.values()?, Case::Sensitive),
            "BETWEEN" => {
                let low = self.value()?;
                self.expect_word("AND", "AND")?;
                Predicate::Between(low, self.value()?)
            }
            "LIKE" => self.like(Folding::Ascii)?,
            "ILIKE" => self.like(Folding::Unicode)?,
            "GLOB" => Predicate::Glob(self.text("a pattern in quotes")?),
            _ => Predicate::Regex(self.text("a regular expression in quotes")?),
        }))
    }

    fn length_operator(&mut self, subject: Subject, operator: &str) -> Result<Expr> {
        match operator {
            "IN" => {
                let lengths = self.values()?;
                let tests = lengths.iter().map(|length| self.length(subject, Comparison::Equal, length));
                Ok(Expr::any(tests.collect::<Result<Vec<_>>>()?))
            }
            "BETWEEN" => {
                let low = self.value()?;
                self.expect_word("AND", "AND")?;
                let high = self.value()?;
                let at_least = self.length(subject, Comparison::GreaterOrEqual, &low)?;
                Ok(at_least.and(self.length(subject, Comparison::LessOrEqual, &high)?))
            }
            _ => Err(self.unsupported("a pattern for a length", "a length is a number")),
        }
    }

    fn like(&mut self, folding: Folding) -> Result<Predicate> {
        let pattern = self.text("a pattern in quotes")?;
        let mut escape = None;
        if self.take_word("ESCAPE") {
            let position = self.position();
            let text = self.text("a character in quotes")?;
            let mut characters = text.chars();
            escape = characters.next();
            if escape.is_none() || characters.next().is_some() {
                return Err(ConditionErrorKind::InvalidEscape { text }.at(Some(position)));
            }
        }
        Ok(Predicate::Like { pattern, escape, folding })
    }

    /// `(value, value, …)`
    fn values(&mut self) -> Result<Vec<Literal>> {
        self.expect(&Token::Open, "`(` and a list of values")?;
        let mut values = vec![self.value()?];
        while self.take(&Token::Comma) {
            values.push(self.value()?);
        }
        self.expect(&Token::Close, "`,` or `)`")?;
        Ok(values)
    }

    /// What follows IS.
    fn is(&mut self, left: Part) -> Result<Expr> {
        let negated = self.take_word("NOT");
        let expr = if self.take_word("NULL") {
            is_null(left)
        } else if self.take_word("TRUE") {
            self.condition(left)?.is_true()
        } else if self.take_word("FALSE") {
            self.condition(left)?.not().is_true()
        } else {
            return Err(self.unexpected("NULL, TRUE or FALSE"));
        };
        Ok(negate_if(negated, expr))
    }

    fn compare(&self, left: Part, comparison: Comparison, right: Part) -> Result<Expr> {
        match (left, right) {
            (Part::Field(subject), Part::Value(value)) => self.compare_value(subject, comparison, value),
            (Part::Value(value), Part::Field(subject)) => {
                self.compare_value(subject, comparison.flipped(), value)
            }
            (Part::Length(subject), Part::Value(value)) => self.length(subject, comparison, &value),
            (Part::Value(value), Part::Length(subject)) => self.length(subject, comparison.flipped(), &value),
            (Part::Field(one), Part::Field(other)) if other.transform == Transform::None => {
                Ok(one.test(Predicate::CompareField(comparison, other.field)))
            }
            (Part::Value(one), Part::Value(other)) => {
                match order(&one, &other) {
                    Some(order) => Ok(Expr::constant(comparison.holds(order))),
                    None => Err(self
                        .unsupported("a comparison of different types", "compare values of the same type")),
                }
            }
            (Part::Condition(_), _) | (_, Part::Condition(_)) => {
                Err(self
                    .unsupported("a comparison of conditions", "write IS TRUE or IS FALSE, or AND and OR"))
            }
            (Part::Field(_) | Part::Length(_), Part::Field(_) | Part::Length(_)) => {
                Err(self.unsupported("a comparison of what functions give", "compare a field with a value"))
            }
        }
    }

    #[expect(clippy::unused_self, reason = "beside its siblings, which need the place for their errors")]
    fn compare_value(&self, subject: Subject, comparison: Comparison, value: Literal) -> Result<Expr> {
        if let (FieldType::Bool, Literal::Bool(value)) = (subject.field.field_type(), &value)
            && !comparison.is_order()
        {
            let wanted = *value == (comparison == Comparison::Equal);
            return Ok(negate_if(!wanted, subject.test(Predicate::IsTrue)));
        }
        // Types are checked when the condition is compiled, at the place of the field.
        Ok(subject.test(Predicate::Compare(comparison, value)))
    }

    fn length(&self, subject: Subject, comparison: Comparison, value: &Literal) -> Result<Expr> {
        match value {
            Literal::Integer(length) => Ok(subject.test(Predicate::Length(comparison, *length))),
            Literal::Text(_) | Literal::Number(_) | Literal::Bool(_) => {
                Err(self.unsupported("a length compared with something else", "a length is a whole number"))
            }
        }
    }
}

enum Operated {
    Yes(Expr),
    /// Nothing that follows is an operator.
    No(Part),
}

fn negate_if(negated: bool, expr: Expr) -> Expr {
    if negated { expr.not() } else { expr }
}

fn is_null(part: Part) -> Expr {
    match part {
        Part::Field(subject) | Part::Length(subject) => subject.test(Predicate::IsNull),
        Part::Condition(expr) => expr.is_unknown(),
        Part::Value(_) => Expr::constant(false),
    }
}

fn order(one: &Literal, other: &Literal) -> Option<Ordering> {
    match (one, other) {
        (Literal::Text(one), Literal::Text(other)) => Some(one.as_bytes().cmp(other.as_bytes())),
        (Literal::Integer(one), Literal::Integer(other)) => Some(one.cmp(other)),
        (Literal::Number(one), Literal::Number(other)) => one.partial_cmp(other),
        (Literal::Integer(one), Literal::Number(other)) => (*one as f64).partial_cmp(other),
        (Literal::Number(one), Literal::Integer(other)) => one.partial_cmp(&(*other as f64)),
        (Literal::Bool(one), Literal::Bool(other)) => Some(one.cmp(other)),
        (Literal::Text(_) | Literal::Integer(_) | Literal::Number(_) | Literal::Bool(_), _) => None,
    }
}
