//! What an event must have for a condition to be true: the keys by which a set of conditions is indexed.
//!
//! A key decides who is looked at, never who matches, so one that fits too often costs an evaluation and nothing else.

use std::net::IpAddr;

use super::address::AddressTest;
use super::expr::{Comparison, Transform};
use super::field::Field;
use super::node::{IntegerTest, Leaf, Node, Test};
use super::scratch::Context;
use super::text::TextTest;
use super::value::Value;

/// A condition with more alternatives than this is tried for every event: its keys would fill the index.
const MOST_KEYS: usize = 4096;

/// The part of a field that is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// What follows the last slash: `ends with "/sh"` needs the file name `sh`.
    FileName,
}

/// A place of the index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// This part of the field has this hash.
    Value(Field, Part, u64),
    /// The field has this text, in lower case, somewhere in it, whatever the case of its ASCII letters.
    Literal(Field, Box<[u8]>),
}

/// Keys of which an event has at least one if the condition is true for it; `None` if nothing like that can be said.
pub(super) fn keys(node: &Node) -> Option<Vec<Key>> {
    let keys = match node {
        // Any one part will do. A hash is cheaper to look up than a text is to find, and fewer keys leave fewer candidates.
        Node::All(parts) => parts.iter().filter_map(keys).min_by_key(|keys| (literals(keys), keys.len()))?,
        Node::Any(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(keys(part)?);
                if all.len() > MOST_KEYS {
                    return None;
                }
            }
            all
        }
        Node::Is(super::Truth::True, inner) => keys(inner)?,
        Node::Leaf(leaf) => leaf_keys(leaf)?,
        Node::Constant(_) | Node::Kinds(_) | Node::Not(_) | Node::Is(..) => return None,
    };
    (keys.len() <= MOST_KEYS).then_some(keys)
}

fn literals(keys: &[Key]) -> usize {
    keys.iter().filter(|key| matches!(key, Key::Literal(..))).count()
}

fn leaf_keys(leaf: &Leaf) -> Option<Vec<Key>> {
    let Leaf { field, test } = leaf;
    let field = *field;
    let whole = |hash| Key::Value(field, Part::Whole, hash);
    match test {
        Test::Text(Transform::None, test) => text_keys(field, test),
        Test::Integer(test) if selective(field) => match test {
            IntegerTest::Compare(Comparison::Equal, number) => Some(vec![whole(hash_integer(*number))]),
            IntegerTest::In(numbers) => {
                Some(numbers.iter().map(|number| whole(hash_integer(*number))).collect())
            }
            IntegerTest::Compare(..) | IntegerTest::Between(..) => None,
        },
        Test::Address(AddressTest::In(addresses)) if selective(field) => {
            Some(addresses.iter().map(|address| whole(hash_address(*address))).collect())
        }
        Test::Null
        | Test::True
        | Test::Integer(_)
        | Test::Number(_)
        | Test::Address(_)
        | Test::Text(..)
        | Test::AnyText(..)
        | Test::Field(..) => None,
    }
}

fn text_keys(field: Field, test: &TextTest) -> Option<Vec<Key>> {
    let whole = |text: &[u8]| Key::Value(field, Part::Whole, hash_text(text));
    let selective = selective(field);
    match test {
        TextTest::Compare(Comparison::Equal, text) if selective => Some(vec![whole(text)]),
        TextTest::In(texts) | TextTest::InIgnoringCase(texts) if selective => {
            Some(texts.iter().map(|text| whole(text)).collect())
        }
        TextTest::EndsWith(end, _) if selective && end.contains(&b'/') => {
            Some(vec![Key::Value(field, Part::FileName, hash_text(file_name(end)))])
        }
        TextTest::StartsWith(text, _) | TextTest::EndsWith(text, _) => literal(field, text),
        TextTest::Contains(needle) => literal(field, needle.text()),
        TextTest::Wildcards(pattern) => literal(field, pattern.literal()?.as_bytes()),
        TextTest::Never
        | TextTest::Compare(..)
        | TextTest::In(_)
        | TextTest::InIgnoringCase(_)
        | TextTest::Between(..)
        | TextTest::Regex(_)
        | TextTest::Length(..) => None,
    }
}

fn literal(field: Field, text: &[u8]) -> Option<Vec<Key>> {
    /// Shorter ones are in every other text.
    const SHORTEST: usize = 3;
    (text.len() >= SHORTEST).then(|| vec![Key::Literal(field, text.to_ascii_lowercase().into())])
}

/// Whether the field tells events apart well enough, and can be had cheaply enough, to be looked up for each event.
const fn selective(field: Field) -> bool {
    matches!(
        field,
        Field::Name
            | Field::Executable
            | Field::ParentName
            | Field::ParentExecutable
            | Field::Interpreter
            | Field::Script
            | Field::Cwd
            | Field::ContainerId
            | Field::ExecutableHash
            | Field::FileHash
            | Field::Path
            | Field::OldPath
            | Field::Target
            | Field::User
            | Field::Pid
            | Field::Ppid
            | Field::CgroupId
            | Field::RemoteAddress
            | Field::RemotePort
            | Field::LocalPort
    )
}

/// The hash to look up for an event, if it has the field.
pub(super) fn hash_of(field: Field, part: Part, context: &Context<'_, '_>) -> Option<u64> {
    match (context.value(field), part) {
        (Value::Text(text), Part::Whole) => Some(hash_text(text)),
        (Value::Text(text), Part::FileName) => Some(hash_text(file_name(text))),
        (Value::Integer(number), _) => Some(hash_integer(number)),
        (Value::Ip(address), _) => Some(hash_address(address.to_canonical())),
        (
            Value::Null
            | Value::ExecId(_)
            | Value::Joined(_)
            | Value::Number(_)
            | Value::Bool(_)
            | Value::List(_),
            _,
        ) => None,
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    path.get(start..).unwrap_or_default()
}

/// A hash that is the same for texts that differ in the case of ASCII letters only, so that one index serves tests that mind
/// the case and tests that do not.
fn hash_text(text: &[u8]) -> u64 {
    // Sets a bit that is set in lower case: maps some other characters together too, which is only a collision.
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let (words, tail) = text.as_chunks::<8>();
    let mut hash = mix(0, text.len() as u64);
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word) | LOWER);
    }
    let last = tail.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(hash, last | LOWER)
}

fn hash_integer(number: i128) -> u64 {
    mix(1, number as u64)
}

fn hash_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => mix(4, u64::from(u32::from(address))),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            mix(mix(6, (bits >> 64) as u64), bits as u64)
        }
    }
}

/// A multiplication whose both halves count spreads every bit over the whole word.
const fn mix(hash: u64, word: u64) -> u64 {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
    let product = (hash.rotate_left(23) ^ word) as u128 * ODD;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Case, Condition, Expr, Predicate};

    fn value(field: Field, part: Part, text: &str) -> Key {
        Key::Value(field, part, hash_text(text.as_bytes()))
    }

    fn check(sql: &str, mut expected: Vec<Key>) {
        let condition = Condition::from_sql(sql).unwrap();
        let mut found = keys(&condition.root).unwrap_or_default();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn keys_are_what_must_be_there() {
        use Field::{Executable, Name, Path};
        use Part::{FileName, Whole};
        check("name = 'nc'", vec![value(Name, Whole, "nc")]);
        check("kind = 'process.exec' AND lower(name) = 'nc'", vec![value(Name, Whole, "NC")]);
        check("name IN ('a', 'b') AND executable = '/bin/c'", vec![value(Executable, Whole, "/bin/c")]);
        check("name = 'a' OR path = '/b'", vec![value(Name, Whole, "a"), value(Path, Whole, "/b")]);
        check("executable LIKE '%/bin/SH'", vec![value(Executable, FileName, "sh")]);
        check("executable LIKE '%/sh' AND name LIKE '%abc%'", vec![value(Executable, FileName, "sh")]);
    }

    #[test]
    fn texts_that_must_be_somewhere_are_keys() {
        let literal = |field, text: &str| Key::Literal(field, text.as_bytes().into());
        check("command_line LIKE '%Secret%'", vec![literal(Field::CommandLine, "secret")]);
        check("path GLOB '/tmp/*.sh?'", vec![literal(Field::Path, "/tmp/")]);
        check("starts_with(path, '/tmp/') AND uid = 0", vec![literal(Field::Path, "/tmp/")]);
        check(
            "name = 'a' OR contains(cwd, '/dev/')",
            vec![value(Field::Name, Part::Whole, "a"), literal(Field::Cwd, "/dev/")],
        );
    }

    #[test]
    fn no_keys_where_something_else_can_make_it_true() {
        for sql in [
            "name <> 'a'",
            "NOT name = 'a'",
            "name = 'a' OR uid = 0",
            "name LIKE 'a%'",
            "name ILIKE '%abcd%'",
            "NOT name LIKE '%abcd%'",
            "name = 'abcd' OR name LIKE '_'",
            "(name = 'a') IS NULL",
        ] {
            check(sql, vec![]);
        }
    }

    #[test]
    fn is_true_keeps_the_keys() {
        let inner = Expr::test(Field::Name, Predicate::starts_with("x", Case::Sensitive).clone());
        let keyed = Expr::test(Field::Name, Predicate::equals("a")).is_true().and(inner);
        assert_eq!(keys(&Condition::new(keyed).unwrap().root).map(|keys| keys.len()), Some(1));
    }

    #[test]
    fn hashes_ignore_the_case_at_every_length() {
        let text = b"/Usr/Bin/Some-Thing_Long.SH";
        for length in 0..text.len() {
            assert_eq!(hash_text(&text[..length]), hash_text(&text[..length].to_ascii_lowercase()));
            assert_ne!(hash_text(&text[..length]), hash_text(&text[..=length]));
        }
    }
}
