//! Tests on bytes that are usually text, made ready for many events.

mod needle;
mod wildcards;

use std::cmp::Ordering;

pub(super) use self::needle::{Needle, commonness};
pub(super) use self::wildcards::{Wildcards, glob, like};
use super::expr::{Case, Comparison};

/// What is asked of a text that is there.
#[derive(Clone, Debug)]
pub(super) enum TextTest {
    Never,
    Compare(Comparison, Box<[u8]>),
    /// Sorted.
    In(Box<[Box<[u8]>]>),
    /// Sorted and in lower case.
    InIgnoringCase(Box<[Box<[u8]>]>),
    Between(Box<[u8]>, Box<[u8]>),
    StartsWith(Box<[u8]>, Case),
    EndsWith(Box<[u8]>, Case),
    Contains(Needle),
    Wildcards(Wildcards),
    Regex(Box<regex::bytes::Regex>),
    Length(Comparison, i128),
}

impl TextTest {
    pub(super) fn one_of(texts: impl IntoIterator<Item = impl AsRef<[u8]>>, case: Case) -> Self {
        let mut texts: Vec<Box<[u8]>> = match case {
            Case::Sensitive => texts.into_iter().map(|text| text.as_ref().into()).collect(),
            Case::AsciiInsensitive => {
                texts.into_iter().map(|text| text.as_ref().to_ascii_lowercase().into()).collect()
            }
        };
        texts.sort_unstable();
        texts.dedup();
        match case {
            Case::Sensitive => Self::In(texts.into()),
            Case::AsciiInsensitive => Self::InIgnoringCase(texts.into()),
        }
    }

    pub(super) fn holds(&self, text: &[u8]) -> bool {
        match self {
            Self::Never => false,
            Self::Compare(Comparison::Equal, value) => text == &**value,
            Self::Compare(comparison, value) => comparison.holds(text.cmp(value)),
            Self::In(values) => values.binary_search_by(|value| (**value).cmp(text)).is_ok(),
            Self::InIgnoringCase(values) => {
                values.binary_search_by(|value| compare_lowered(text, value).reverse()).is_ok()
            }
            Self::Between(low, high) => &**low <= text && text <= &**high,
            Self::StartsWith(start, case) => {
                text.get(..start.len()).is_some_and(|head| equal(head, start, *case))
            }
            Self::EndsWith(end, case) => text
                .len()
                .checked_sub(end.len())
                .and_then(|start| text.get(start..))
                .is_some_and(|tail| equal(tail, end, *case)),
            Self::Contains(needle) => needle.is_in(text),
            Self::Wildcards(pattern) => pattern.matches(text),
            Self::Regex(regex) => regex.is_match(text),
            Self::Length(comparison, length) => comparison.holds(characters(text).cmp(length)),
        }
    }

    /// What it costs, roughly, so that cheap tests come first.
    pub(super) const fn cost(&self) -> u32 {
        match self {
            Self::Never => 1,
            Self::Compare(..) | Self::StartsWith(..) | Self::EndsWith(..) => 2,
            Self::In(_) | Self::Between(..) => 3,
            Self::InIgnoringCase(_) => 5,
            Self::Contains(_) => 8,
            Self::Length(..) => 10,
            Self::Wildcards(_) => 30,
            Self::Regex(_) => 60,
        }
    }
}

fn equal(text: &[u8], value: &[u8], case: Case) -> bool {
    match case {
        Case::Sensitive => text == value,
        Case::AsciiInsensitive => text.eq_ignore_ascii_case(value),
    }
}

/// Compares a text in lower case with one that is so already.
fn compare_lowered(text: &[u8], lowered: &[u8]) -> Ordering {
    text.iter().map(u8::to_ascii_lowercase).cmp(lowered.iter().copied())
}

/// Unicode scalar values, and bytes that are part of none.
fn characters(text: &[u8]) -> i128 {
    let count: usize =
        text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum();
    count as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ignore_case_only_when_asked() {
        let exact = TextTest::one_of(["b", "A", "b"], Case::Sensitive);
        assert!(exact.holds(b"A") && exact.holds(b"b") && !exact.holds(b"a") && !exact.holds(b"B"));
        let any_case = TextTest::one_of(["Zsh", "BASH", "ksh"], Case::AsciiInsensitive);
        for (text, expected) in [("bash", true), ("BaSh", true), ("zsH", true), ("sh", false), ("", false)] {
            assert_eq!(any_case.holds(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn ends_of_texts() {
        let starts = TextTest::StartsWith((*b"/tmp/").into(), Case::Sensitive);
        assert!(
            starts.holds(b"/tmp/")
                && starts.holds(b"/tmp/x")
                && !starts.holds(b"/tmp")
                && !starts.holds(b"/TMP/")
        );
        let ends = TextTest::EndsWith((*b"/nc").into(), Case::AsciiInsensitive);
        assert!(ends.holds(b"/nc") && ends.holds(b"/bin/NC") && !ends.holds(b"nc") && !ends.holds(b"/nc "));
    }

    #[test]
    fn every_stray_byte_is_a_character() {
        assert_eq!(characters("aü€".as_bytes()), 3);
        assert_eq!(characters(b"a\xff\xfe\xe2\x82"), 5);
    }
}
