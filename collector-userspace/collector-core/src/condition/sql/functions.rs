//! Functions.

use super::super::error::ConditionErrorKind;
use super::super::expr::{Case, Expr, Literal, Predicate, Transform};
use super::super::field::FieldType;
use super::parser::{Parser, Part, Result, Subject};
use super::tokens::Token;

/// Reads the arguments of a function, up to the parenthesis that closes them.
type Read = fn(&mut Parser) -> Result<Part>;

/// Every function with what reads it.
pub(super) const FUNCTIONS: &[(&str, Read)] = &[
    ("lower", |parser| parser.transformed(Transform::Lower)),
    ("upper", |parser| parser.transformed(Transform::Upper)),
    ("length", |parser| parser.subject().map(Part::Length)),
    ("starts_with", |parser| parser.part_of_text(Predicate::StartsWith)),
    ("ends_with", |parser| parser.part_of_text(Predicate::EndsWith)),
    ("contains", |parser| parser.part_of_text(Predicate::Contains)),
    ("cidr_match", Parser::cidr_match),
    ("has", Parser::has),
];

impl Parser {
    /// A field as the first argument.
    fn subject(&mut self) -> Result<Subject> {
        let before = self.position();
        match self.expression()? {
            Part::Field(subject) => Ok(subject),
            Part::Condition(_) | Part::Value(_) | Part::Length(_) => {
                let kind = ConditionErrorKind::Unsupported {
                    what: "something that is no field".to_owned(),
                    hint: "the first argument of a function is a field",
                };
                Err(kind.at(Some(before)))
            }
        }
    }

    fn transformed(&mut self, transform: Transform) -> Result<Part> {
        // Of two changes of case the outer one decides.
        let subject = self.subject()?;
        Ok(Part::Field(Subject { transform, ..subject }))
    }

    fn part_of_text(&mut self, predicate: fn(String, Case) -> Predicate) -> Result<Part> {
        let subject = self.subject()?;
        self.expect(&Token::Comma, "`,` and a text in quotes")?;
        let text = self.text("a text in quotes")?;
        Ok(Part::Condition(subject.test(predicate(text, Case::Sensitive))))
    }

    fn cidr_match(&mut self) -> Result<Part> {
        let subject = self.subject()?;
        let networks = self.texts("a network in quotes, such as '10.0.0.0/8'")?;
        Ok(Part::Condition(subject.test(Predicate::InNetworks(networks))))
    }

    fn has(&mut self) -> Result<Part> {
        let start = self.position();
        let subject = self.subject()?;
        let texts = self.texts("a text in quotes")?;
        if subject.field.field_type() != FieldType::TextList {
            let kind = ConditionErrorKind::Operator {
                operator: "has",
                field: subject.field,
                field_type: subject.field.field_type(),
            };
            return Err(kind.at(Some(start)));
        }
        Ok(Part::Condition(one_of(subject, texts)))
    }

    /// `, text, text …`: one at least.
    fn texts(&mut self, expected: &'static str) -> Result<Vec<String>> {
        self.expect(&Token::Comma, "`,`")?;
        let mut texts = vec![self.text(expected)?];
        while self.take(&Token::Comma) {
            texts.push(self.text(expected)?);
        }
        Ok(texts)
    }
}

fn one_of(subject: Subject, texts: Vec<String>) -> Expr {
    subject.test(Predicate::In(texts.into_iter().map(Literal::Text).collect(), Case::Sensitive))
}
