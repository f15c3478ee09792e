//! What an event must have for a condition to be true: the keys by which a set of conditions is indexed.
//!
//! A key is only a hash. It decides who is looked at, never who matches, so a collision costs an evaluation and nothing else.

use std::net::IpAddr;

use super::address::AddressTest;
use super::expr::{Comparison, Transform};
use super::field::Field;
use super::node::{IntegerTest, Leaf, Node, Test};
use super::scratch::Context;
use super::text::TextTest;
use super::value::Value;

/// More alternatives than this in a condition are cheaper evaluated than indexed for each kind of rule.
const MOST_KEYS: usize = 4096;

/// The part of a field that is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// What follows the last slash: `ends with "/sh"` needs the file name `sh`.
    FileName,
}

/// A place of the index: where it looks, and the hash it must find there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) field: Field,
    pub(super) part: Part,
    pub(super) hash: u64,
}

/// Keys of which an event has at least one if the condition is true for it; `None` if nothing like that can be said.
pub(super) fn keys(node: &Node) -> Option<Vec<Key>> {
    let keys = match node {
        // Any one part will do: the one with the fewest keys leaves the fewest candidates.
        Node::All(parts) => parts.iter().filter_map(keys).min_by_key(Vec::len)?,
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

fn leaf_keys(leaf: &Leaf) -> Option<Vec<Key>> {
    let Leaf { field, test } = leaf;
    let field = *field;
    if !selective(field) {
        return None;
    }
    let whole = |hash| Key { field, part: Part::Whole, hash };
    match test {
        Test::Text(Transform::None, test) => text_keys(field, test),
        Test::Integer(IntegerTest::Compare(Comparison::Equal, number)) => {
            Some(vec![whole(hash_integer(*number))])
        }
        Test::Integer(IntegerTest::In(numbers)) => {
            Some(numbers.iter().map(|n| whole(hash_integer(*n))).collect())
        }
        Test::Address(AddressTest::In(addresses)) => {
            Some(addresses.iter().map(|a| whole(hash_address(*a))).collect())
        }
        Test::Null
        | Test::True
        | Test::Integer(_)
        | Test::Address(_)
        | Test::Text(..)
        | Test::AnyText(..)
        | Test::Field(..) => None,
    }
}

fn text_keys(field: Field, test: &TextTest) -> Option<Vec<Key>> {
    let whole = |text: &[u8]| Key { field, part: Part::Whole, hash: hash_text(text) };
    match test {
        TextTest::Compare(Comparison::Equal, text) => Some(vec![whole(text)]),
        TextTest::In(texts) | TextTest::InIgnoringCase(texts) => {
            Some(texts.iter().map(|text| whole(text)).collect())
        }
        TextTest::EndsWith(end, _) if end.contains(&b'/') => {
            Some(vec![Key { field, part: Part::FileName, hash: hash_text(file_name(end)) }])
        }
        TextTest::Never
        | TextTest::Compare(..)
        | TextTest::Between(..)
        | TextTest::StartsWith(..)
        | TextTest::EndsWith(..)
        | TextTest::Contains(_)
        | TextTest::Wildcards(_)
        | TextTest::Regex(_)
        | TextTest::Length(..) => None,
    }
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
        (Value::Null | Value::ExecId(_) | Value::Joined(_) | Value::Bool(_) | Value::List(_), _) => None,
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

    fn check(sql: &str, expected: &[(Field, Part, &str)]) {
        let condition = Condition::from_sql(sql).unwrap();
        let mut found = keys(&condition.root).unwrap_or_default();
        let mut expected: Vec<Key> = expected
            .iter()
            .map(|(field, part, text)| Key { field: *field, part: *part, hash: hash_text(text.as_bytes()) })
            .collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn keys_are_what_must_be_there() {
        use Part::{FileName, Whole};
        check("name = 'nc'", &[(Field::Name, Whole, "nc")]);
        check("kind = 'process.exec' AND lower(name) = 'nc'", &[(Field::Name, Whole, "NC")]);
        check("name IN ('a', 'b') AND executable = '/bin/c'", &[(Field::Executable, Whole, "/bin/c")]);
        check("name = 'a' OR path = '/b'", &[(Field::Name, Whole, "a"), (Field::Path, Whole, "/b")]);
        check("executable LIKE '%/bin/SH'", &[(Field::Executable, FileName, "sh")]);
    }

    #[test]
    fn no_keys_where_something_else_can_make_it_true() {
        for sql in [
            "name <> 'a'",
            "NOT name = 'a'",
            "name = 'a' OR uid = 0",
            "name LIKE 'a%'",
            "(name = 'a') IS NULL",
        ] {
            check(sql, &[]);
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
