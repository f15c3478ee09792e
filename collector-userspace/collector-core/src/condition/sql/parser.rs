//! The grammar: connectives, parentheses, and what stands between comparisons.

use super::super::Limits;
use super::super::error::{ConditionError, ConditionErrorKind, Position, suggest};
use super::super::expr::{Expr, ExprNode, Literal, Predicate, Test, Transform};
use super::super::field::{Field, FieldType};
use super::functions::FUNCTIONS;
use super::tokens::{Token, shortened, tokens};

pub(super) type Result<T> = std::result::Result<T, ConditionError>;

/// Reads a condition. See [`Condition::from_sql`](super::super::Condition::from_sql) for the language.
pub(in super::super) fn parse(sql: &str, limits: &Limits) -> Result<Expr> {
    if sql.len() > limits.text_bytes {
        let kind = ConditionErrorKind::TextTooLong { length: sql.len(), limit: limits.text_bytes };
        return Err(kind.at(None));
    }
    let mut parser = Parser { tokens: tokens(sql)?, next: 0, depth: 0, limits: *limits };
    parser.prefix()?;
    let parsed = parser.expression()?;
    let expr = parser.condition(parsed)?;
    parser.take(&Token::Semicolon);
    parser.expect(&Token::End, "AND, OR or the end")?;
    Ok(expr)
}

/// A part of a condition: what it is good for depends on what stands around it.
#[derive(Debug)]
pub(super) enum Part {
    Condition(Expr),
    Value(Literal),
    Field(Subject),
    /// `length(field)`
    Length(Subject),
}

/// A field, perhaps with its case changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    pub(super) field: Field,
    pub(super) transform: Transform,
    pub(super) position: Position,
}

impl Subject {
    pub(super) fn test(self, predicate: Predicate) -> Expr {
        let Self { field, transform, position } = self;
        Expr(ExprNode::Test(Test { field, transform, predicate, position: Some(position) }))
    }
}

pub(super) struct Parser {
    tokens: Vec<(Token, Position)>,
    next: usize,
    depth: usize,
    limits: Limits,
}

impl Parser {
    /// What people paste in front of a condition.
    fn prefix(&mut self) -> Result<()> {
        if self.take_word("SELECT") {
            if !self.take(&Token::Star) {
                self.name("a column or *")?;
                while self.take(&Token::Comma) {
                    self.name("a column")?;
                }
            }
            self.expect_word("FROM", "FROM")?;
            self.expect_word("events", "the table `events`")?;
            self.expect_word("WHERE", "WHERE")?;
        } else {
            self.take_word("WHERE");
        }
        Ok(())
    }

    fn name(&mut self, expected: &'static str) -> Result<()> {
        match self.peek() {
            Token::Word(_) | Token::Quoted(_) => {
                self.next += 1;
                Ok(())
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// `and OR and OR …`
    pub(super) fn expression(&mut self) -> Result<Part> {
        let first = self.conjunction()?;
        if !self.is_word("OR") {
            return Ok(first);
        }
        let mut expr = self.condition(first)?;
        while self.take_word("OR") {
            let next = self.conjunction()?;
            expr = expr.or(self.condition(next)?);
        }
        Ok(Part::Condition(expr))
    }

    /// `not AND not AND …`
    fn conjunction(&mut self) -> Result<Part> {
        let first = self.negation()?;
        if !self.is_word("AND") {
            return Ok(first);
        }
        let mut expr = self.condition(first)?;
        while self.take_word("AND") {
            let next = self.negation()?;
            expr = expr.and(self.condition(next)?);
        }
        Ok(Part::Condition(expr))
    }

    /// `NOT NOT … comparison`: counted and not nested, however many there are.
    fn negation(&mut self) -> Result<Part> {
        let mut count = 0_usize;
        while self.take_word("NOT") {
            count += 1;
        }
        let inner = self.comparison()?;
        if count == 0 {
            return Ok(inner);
        }
        let expr = self.condition(inner)?;
        Ok(Part::Condition(if count % 2 == 1 { expr.not() } else { expr }))
    }

    /// Something that an operator may follow.
    pub(super) fn operand(&mut self) -> Result<Part> {
        let position = self.position();
        match self.advance() {
            Token::Open => self.parenthesis(position),
            Token::Text(text) => Ok(Part::Value(Literal::Text(text))),
            Token::Integer(number) => Ok(Part::Value(Literal::Integer(number))),
            Token::Number(number) => Ok(Part::Value(Literal::Number(number))),
            Token::Minus => match self.advance() {
                Token::Integer(number) => Ok(Part::Value(Literal::Integer(-number))),
                Token::Number(number) => Ok(Part::Value(Literal::Number(-number))),
                _ => Err(self.arithmetic(position)),
            },
            Token::Quoted(name) => self.field(&name, true, position),
            Token::Word(word) if *self.peek() == Token::Open => self.call(&word, position),
            Token::Word(word) => self.word(&word, position),
            Token::Comparison(_)
            | Token::Close
            | Token::Comma
            | Token::Star
            | Token::Semicolon
            | Token::End => {
                self.next = self.next.saturating_sub(1);
                Err(self.unexpected("a field, a value or a condition"))
            }
        }
    }

    fn parenthesis(&mut self, position: Position) -> Result<Part> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(ConditionErrorKind::TooDeep { limit: self.limits.depth }.at(Some(position)));
        }
        let inner = self.expression()?;
        self.expect(&Token::Close, "AND, OR or `)`")?;
        self.depth -= 1;
        Ok(inner)
    }

    fn word(&mut self, word: &str, position: Position) -> Result<Part> {
        if word.eq_ignore_ascii_case("TRUE") || word.eq_ignore_ascii_case("FALSE") {
            return Ok(Part::Value(Literal::Bool(word.eq_ignore_ascii_case("TRUE"))));
        }
        let hint = match word.to_ascii_uppercase().as_str() {
            "NULL" => "nothing equals NULL; write IS NULL or IS NOT NULL",
            "SELECT" | "EXISTS" => "there are no subqueries; a condition sees one event",
            "CASE" => "combine comparisons with AND and OR",
            "AND" | "OR" | "IN" | "LIKE" | "BETWEEN" | "IS" | "NOT" => {
                "a field or a value is missing before it"
            }
            _ => return self.field(word, false, position),
        };
        Err(ConditionErrorKind::Unsupported { what: format!("`{word}`"), hint }.at(Some(position)))
    }

    fn field(&self, name: &str, quoted: bool, position: Position) -> Result<Part> {
        if let Some(field) = Field::named(name) {
            return Ok(Part::Field(Subject { field, transform: Transform::None, position }));
        }
        let suggestion = suggest(name, Field::ALL.iter().map(|field| field.name()));
        let kind = if quoted && suggestion.is_none() {
            let what = format!("the name \"{}\"", shortened(name));
            ConditionErrorKind::Unsupported {
                what,
                hint: "there is no such field; text is written in single quotes",
            }
        } else {
            ConditionErrorKind::UnknownField { name: shortened(name), suggestion }
        };
        Err(kind.at(Some(position)))
    }

    fn call(&mut self, name: &str, position: Position) -> Result<Part> {
        let function = FUNCTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((_, read)) = function else {
            let suggestion = suggest(name, FUNCTIONS.iter().map(|(known, _)| *known));
            let kind = ConditionErrorKind::UnknownFunction { name: shortened(name), suggestion };
            return Err(kind.at(Some(position)));
        };
        self.expect(&Token::Open, "`(`")?;
        // A function in a function recurses like a parenthesis does.
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(ConditionErrorKind::TooDeep { limit: self.limits.depth }.at(Some(position)));
        }
        let part = read(self)?;
        self.expect(&Token::Close, "`)`")?;
        self.depth -= 1;
        Ok(part)
    }

    /// The part as something that is true or false.
    pub(super) fn condition(&self, part: Part) -> Result<Expr> {
        match part {
            Part::Condition(expr) => Ok(expr),
            Part::Value(Literal::Bool(value)) => Ok(Expr::constant(value)),
            Part::Field(subject) if subject.field.field_type() == FieldType::Bool => {
                Ok(subject.test(Predicate::IsTrue))
            }
            Part::Field(_) | Part::Length(_) | Part::Value(_) => Err(self.unexpected("a comparison")),
        }
    }

    /// A text that has to stand here.
    pub(super) fn text(&mut self, expected: &'static str) -> Result<String> {
        match self.peek() {
            Token::Text(text) => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// A value that has to stand here.
    pub(super) fn value(&mut self) -> Result<Literal> {
        let start = self.next;
        match self.peek() {
            Token::Text(_) | Token::Integer(_) | Token::Number(_) | Token::Minus => {}
            Token::Word(word) if word.eq_ignore_ascii_case("NULL") => {}
            _ => return Err(self.unexpected("a text or a number")),
        }
        match self.operand()? {
            Part::Value(literal) => Ok(literal),
            Part::Condition(_) | Part::Field(_) | Part::Length(_) => {
                self.next = start;
                Err(self.unexpected("a text or a number"))
            }
        }
    }

    pub(super) fn unsupported(&self, what: &str, hint: &'static str) -> ConditionError {
        ConditionErrorKind::Unsupported { what: what.to_owned(), hint }.at(Some(self.position()))
    }

    fn arithmetic(&self, position: Position) -> ConditionError {
        let hint = "there is no arithmetic; compare a field with a value";
        ConditionErrorKind::Unsupported { what: "`-`".to_owned(), hint }.at(Some(position))
    }

    /// An error about the token that comes next.
    pub(super) fn unexpected(&self, expected: &'static str) -> ConditionError {
        if *self.peek() == Token::Minus || *self.peek() == Token::Star {
            return self.arithmetic(self.position());
        }
        ConditionErrorKind::Syntax { expected, found: self.peek().describe() }.at(Some(self.position()))
    }

    pub(super) fn limit_depth(&self, depth: usize) -> Result<()> {
        let limit = self.limits.depth;
        if depth + self.depth > limit {
            return Err(ConditionErrorKind::TooDeep { limit }.at(Some(self.position())));
        }
        Ok(())
    }

    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    pub(super) fn position(&self) -> Position {
        let place = self.tokens.get(self.next).or(self.tokens.last());
        place.map_or(Position { line: 1, column: 1 }, |(_, position)| *position)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    pub(super) fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        self.next += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, token: &Token, expected: &'static str) -> Result<()> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(self.next, word)
    }

    /// Whether the word stands after the next token.
    pub(super) fn is_second_word(&self, word: &str) -> bool {
        self.is_word_at(self.next + 1, word)
    }

    fn is_word_at(&self, index: usize, word: &str) -> bool {
        matches!(self.tokens.get(index), Some((Token::Word(found), _)) if found.eq_ignore_ascii_case(word))
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    pub(super) fn expect_word(&mut self, word: &str, expected: &'static str) -> Result<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected(expected)) }
    }
}
