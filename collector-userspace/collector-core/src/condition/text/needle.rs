//! Finding a text inside another.

use memchr::memmem::Finder;

use super::super::expr::Case;

/// A text to be found.
#[derive(Clone, Debug)]
pub(in super::super) enum Needle {
    Exact(Box<Finder<'static>>),
    AnyCase(AnyCase),
}

impl Needle {
    pub(in super::super) fn new(text: &[u8], case: Case) -> Self {
        // Without letters there is no case, and the exact search is faster.
        let letters = text.iter().any(u8::is_ascii_alphabetic);
        match case {
            Case::AsciiInsensitive if letters => Self::AnyCase(AnyCase::new(text)),
            Case::Sensitive | Case::AsciiInsensitive => Self::Exact(Box::new(Finder::new(text).into_owned())),
        }
    }

    /// What is looked for.
    pub(in super::super) fn text(&self) -> &[u8] {
        match self {
            Self::Exact(finder) => finder.needle(),
            Self::AnyCase(needle) => &needle.text,
        }
    }

    pub(in super::super) fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(finder) => finder.find(text).is_some(),
            Self::AnyCase(needle) => needle.is_in(text),
        }
    }
}

/// A text to be found whatever the case of ASCII letters: looks for its rarest byte, then compares around it.
#[derive(Clone, Debug)]
pub(in super::super) struct AnyCase {
    text: Box<[u8]>,
    rarest: usize,
    lower: u8,
    upper: u8,
}

impl AnyCase {
    fn new(text: &[u8]) -> Self {
        let rarest = (0..text.len()).min_by_key(|index| text.get(*index).map(commonness)).unwrap_or(0);
        let byte = text.get(rarest).copied().unwrap_or(0);
        Self { text: text.into(), rarest, lower: byte.to_ascii_lowercase(), upper: byte.to_ascii_uppercase() }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        let Self { text: needle, rarest, lower, upper } = self;
        let Some(last_start) = text.len().checked_sub(needle.len()) else { return false };
        // The rarest byte can be found only where all of the needle has place around it.
        let places = text.get(*rarest..=last_start + rarest).unwrap_or_default();
        memchr::memchr2_iter(*lower, *upper, places).any(|start| {
            text.get(start..start + needle.len()).is_some_and(|part| part.eq_ignore_ascii_case(needle))
        })
    }
}

/// How often a byte occurs in paths and command lines, roughly: the ones that come first here occur most.
pub(in super::super) fn commonness(byte: &u8) -> usize {
    const COMMON: &[u8] = b"/ e-tainsorl.cudpmbhg01_2";
    let byte = byte.to_ascii_lowercase();
    COMMON.iter().position(|common| *common == byte).map_or(0, |place| COMMON.len() - place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(needle in "[aAbB/é]{0,4}", text in "[aAbB/é]{0,24}") {
            let exact = Needle::new(needle.as_bytes(), Case::Sensitive);
            prop_assert_eq!(exact.is_in(text.as_bytes()), text.contains(&needle));
            let any_case = Needle::new(needle.as_bytes(), Case::AsciiInsensitive);
            let expected = text.to_ascii_lowercase().contains(&needle.to_ascii_lowercase());
            prop_assert_eq!(any_case.is_in(text.as_bytes()), expected);
        }
    }
}
