//! The text as tokens with their places.

use sqlparser::dialect::SQLiteDialect;
use sqlparser::tokenizer::{Location, Token as Raw, TokenWithSpan, Tokenizer};

use super::super::error::{ConditionError, ConditionErrorKind, Position};
use super::super::expr::Comparison;

/// What conditions are made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or a word of SQL.
    Word(String),
    /// A name in quotes: never a word of SQL.
    Quoted(String),
    Text(String),
    Integer(i128),
    /// With a fraction or an exponent, finite.
    Number(f64),
    Comparison(Comparison),
    Open,
    Close,
    Comma,
    Minus,
    Star,
    Semicolon,
    End,
}

impl Token {
    /// As it may have been written, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("`{}`", shortened(word)),
            Self::Quoted(name) => format!("the name \"{}\"", shortened(name)),
            Self::Text(text) => format!("the text '{}'", shortened(text)),
            Self::Integer(number) => format!("the number {number}"),
            Self::Number(number) => format!("the number {number}"),
            Self::Comparison(comparison) => format!("`{}`", comparison.symbol()),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::Minus => "`-`".to_owned(),
            Self::Star => "`*`".to_owned(),
            Self::Semicolon => "`;`".to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Messages stay readable whatever they are about.
pub(super) fn shortened(text: &str) -> String {
    const MOST_CHARACTERS: usize = 40;
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Takes the text apart. The last token is [`Token::End`].
pub(super) fn tokens(sql: &str) -> Result<Vec<(Token, Position)>, ConditionError> {
    let raw = Tokenizer::new(&SQLiteDialect {}, sql).tokenize_with_location().map_err(|error| {
        let kind = ConditionErrorKind::Token { message: error.message };
        kind.at(Some(position(error.location)))
    })?;
    let end = raw.last().map_or(Position { line: 1, column: 1 }, |token| position(token.span.end));
    let mut tokens = Vec::with_capacity(raw.len() / 2 + 1);
    for token in raw {
        let place = position(token.span.start);
        if !matches!(token.token, Raw::Whitespace(_)) {
            tokens.push((convert(token).map_err(|kind| kind.at(Some(place)))?, place));
        }
    }
    tokens.push((Token::End, end));
    Ok(tokens)
}

const fn position(location: Location) -> Position {
    Position { line: location.line, column: location.column }
}

fn convert(token: TokenWithSpan) -> Result<Token, ConditionErrorKind> {
    let width = token.span.end.column.saturating_sub(token.span.start.column);
    Ok(match token.token {
        Raw::Word(word) if word.quote_style.is_none() => Token::Word(word.value),
        Raw::Word(word) => Token::Quoted(word.value),
        Raw::SingleQuotedString(text) => Token::Text(text),
        Raw::Number(digits, _) if digits.contains(['.', 'e', 'E']) => number(&digits)?,
        Raw::Number(digits, _) => integer(&digits, 10)?,
        // `0x1f`; the same token also stands for `x'1f'`, which has a quote more.
        Raw::HexStringLiteral(digits) if width == digits.len() as u64 + 2 => integer(&digits, 16)?,
        Raw::Eq | Raw::DoubleEq => Token::Comparison(Comparison::Equal),
        Raw::Neq => Token::Comparison(Comparison::NotEqual),
        Raw::Lt => Token::Comparison(Comparison::Less),
        Raw::LtEq => Token::Comparison(Comparison::LessOrEqual),
        Raw::Gt => Token::Comparison(Comparison::Greater),
        Raw::GtEq => Token::Comparison(Comparison::GreaterOrEqual),
        Raw::LParen => Token::Open,
        Raw::RParen => Token::Close,
        Raw::Comma => Token::Comma,
        Raw::Minus => Token::Minus,
        Raw::Mul => Token::Star,
        Raw::SemiColon => Token::Semicolon,
        other => return Err(refused(&other)),
    })
}

fn integer(digits: &str, radix: u32) -> Result<Token, ConditionErrorKind> {
    // What does not fit 64 bits is a slip: no field holds it.
    let number = i128::from_str_radix(digits, radix).ok().filter(|number| *number <= i128::from(u64::MAX));
    number.map(Token::Integer).ok_or_else(|| ConditionErrorKind::Unsupported {
        what: format!("the number {}", shortened(digits)),
        hint: "write a whole number of at most 64 bits",
    })
}

fn number(digits: &str) -> Result<Token, ConditionErrorKind> {
    let number = digits.parse().ok().filter(|number: &f64| number.is_finite());
    number.map(Token::Number).ok_or_else(|| ConditionErrorKind::Unsupported {
        what: format!("the number {}", shortened(digits)),
        hint: "write a number that a double can hold",
    })
}

/// Tokens that no condition has.
fn refused(token: &Raw) -> ConditionErrorKind {
    let hint = match token {
        Raw::Plus | Raw::Div | Raw::Mod | Raw::StringConcat => {
            "there is no arithmetic; compare a field with a value"
        }
        Raw::Ampersand | Raw::Pipe | Raw::Caret | Raw::Tilde | Raw::ShiftLeft | Raw::ShiftRight => {
            "there are no bit operations; compare a field with a value"
        }
        Raw::Period => "write the name of a field alone, without a table, and whole numbers",
        Raw::Placeholder(_) | Raw::Colon | Raw::AtSign | Raw::Question => {
            "there are no parameters; write the value"
        }
        Raw::Arrow | Raw::LongArrow => "take the field that has the value instead of looking into JSON",
        _ => "text is written in single quotes",
    };
    ConditionErrorKind::Unsupported { what: format!("`{}`", shortened(&token.to_string())), hint }
}
