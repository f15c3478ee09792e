//! Patterns with wildcards: LIKE, ILIKE and GLOB, as SQLite understands them.

use super::super::expr::{Case, Folding};
use super::{Needle, TextTest};

/// A pattern, made ready. Matching takes at most the product of the lengths, and no memory.
#[derive(Clone, Debug)]
pub(in super::super) struct Wildcards {
    elements: Box<[Element]>,
    folding: Option<Folding>,
}

#[derive(Clone, Debug, PartialEq)]
enum Element {
    /// Any characters, or none.
    Many,
    /// One character.
    One,
    /// This character, folded.
    Exactly(char),
    /// One of these.
    Class(Box<Class>),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

/// A character, or a byte that is not part of one.
#[derive(Clone, Copy)]
enum Symbol {
    Char(char),
    Stray,
}

/// The test for a LIKE or ILIKE pattern.
pub(in super::super) fn like(pattern: &str, escape: Option<char>, folding: Folding) -> TextTest {
    let mut elements = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        elements.push(match character {
            // First, so that an escape that is a wildcard is an escape.
            _ if Some(character) == escape => match characters.next() {
                Some(escaped) => Element::Exactly(fold(escaped, Some(folding))),
                // SQLite: a pattern that ends in the escape matches nothing.
                None => return TextTest::Never,
            },
            '%' => Element::Many,
            '_' => Element::One,
            other => Element::Exactly(fold(other, Some(folding))),
        });
    }
    simplest(elements, Some(folding))
}

/// The test for a GLOB pattern.
pub(in super::super) fn glob(pattern: &str) -> TextTest {
    let mut elements = Vec::new();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        elements.push(match character {
            '*' => Element::Many,
            '?' => Element::One,
            '[' => match class(&mut rest) {
                Some(class) => Element::Class(Box::new(class)),
                // SQLite: a class without an end matches nothing.
                None => return TextTest::Never,
            },
            other => Element::Exactly(other),
        });
    }
    simplest(elements, None)
}

/// Reads a class up to its `]`, character by character as SQLite does: a `]` that comes first is a member, and so is a `-`
/// that has nothing on one side.
fn class(rest: &mut std::str::Chars<'_>) -> Option<Class> {
    let mut class = Class::default();
    let mut before = None;
    let mut current = rest.next()?;
    if current == '^' {
        class.negated = true;
        current = rest.next()?;
    }
    if current == ']' {
        class.ranges.push((']', ']'));
        current = rest.next()?;
    }
    while current != ']' {
        let next = rest.clone().next();
        match (before, next) {
            (Some(low), Some(next)) if current == '-' && next != ']' => {
                class.ranges.push((low, rest.next()?));
                before = None;
            }
            _ => {
                class.ranges.push((current, current));
                before = Some(current);
            }
        }
        current = rest.next()?;
    }
    Some(class)
}

/// The cheapest test that says the same: most patterns are a text with wildcards around it.
fn simplest(mut elements: Vec<Element>, folding: Option<Folding>) -> TextTest {
    elements.dedup_by(|one, other| *one == Element::Many && *other == Element::Many);
    let case = match folding {
        None => Case::Sensitive,
        Some(Folding::Ascii) => Case::AsciiInsensitive,
        // Not a matter of bytes.
        Some(Folding::Unicode) => {
            return TextTest::Wildcards(Wildcards { elements: elements.into(), folding });
        }
    };
    let (open_start, inner) = match &*elements {
        [Element::Many, inner @ ..] => (true, inner),
        inner => (false, inner),
    };
    let (open_end, inner) = match inner {
        [inner @ .., Element::Many] => (true, inner),
        // A lone `%` was taken as the start.
        [] => (open_start, inner),
        inner => (false, inner),
    };
    let text: Option<String> = inner
        .iter()
        .map(|element| match element {
            Element::Exactly(character) => Some(*character),
            Element::Many | Element::One | Element::Class(_) => None,
        })
        .collect();
    let Some(text) = text else {
        return TextTest::Wildcards(Wildcards { elements: elements.into(), folding });
    };
    match (open_start, open_end) {
        (false, false) => TextTest::one_of([text], case),
        (false, true) => TextTest::StartsWith(text.into_bytes().into(), case),
        (true, false) => TextTest::EndsWith(text.into_bytes().into(), case),
        (true, true) => TextTest::Contains(Needle::new(text.as_bytes(), case)),
    }
}

impl Wildcards {
    pub(in super::super) fn matches(&self, text: &[u8]) -> bool {
        let mut elements = &*self.elements;
        let mut rest = text;
        // Where to go on after the last `Many`, if what follows it does not fit here: only the last one ever needs to take
        // more, because an earlier one with more leaves less for the same elements.
        let mut retry: Option<(&[Element], &[u8])> = None;
        loop {
            match elements {
                [Element::Many] => return true,
                [Element::Many, after @ ..] => {
                    retry = Some((after, rest));
                    elements = after;
                    continue;
                }
                [] if rest.is_empty() => return true,
                [element, after @ ..] => {
                    if let Some((symbol, tail)) = next(rest)
                        && self.fits(element, symbol)
                    {
                        (elements, rest) = (after, tail);
                        continue;
                    }
                }
                [] => {}
            }
            let Some((after, from)) = retry else { return false };
            let Some(from) = self.skip(after, from) else { return false };
            retry = Some((after, from));
            (elements, rest) = (after, from);
        }
    }

    /// Where `elements`, which did not fit at the beginning of `text`, may begin next.
    fn skip<'t>(&self, elements: &[Element], text: &'t [u8]) -> Option<&'t [u8]> {
        let (_, tail) = next(text)?;
        if let (Some(Element::Exactly(character)), None | Some(Folding::Ascii)) =
            (elements.first(), self.folding)
            && character.is_ascii()
        {
            let byte = *character as u8;
            let other = if self.folding.is_some() { byte.to_ascii_uppercase() } else { byte };
            return tail.get(memchr::memchr2(byte, other, tail)?..);
        }
        Some(tail)
    }

    fn fits(&self, element: &Element, symbol: Symbol) -> bool {
        match (element, symbol) {
            (Element::Many | Element::One, _) => true,
            (Element::Exactly(wanted), Symbol::Char(found)) => fold(found, self.folding) == *wanted,
            (Element::Class(class), Symbol::Char(found)) => {
                class.ranges.iter().any(|(low, high)| (*low..=*high).contains(&found)) != class.negated
            }
            (Element::Exactly(_), Symbol::Stray) => false,
            (Element::Class(class), Symbol::Stray) => class.negated,
        }
    }
}

fn fold(character: char, folding: Option<Folding>) -> char {
    match folding {
        None => character,
        Some(Folding::Ascii) => character.to_ascii_lowercase(),
        Some(Folding::Unicode) => {
            let mut lower = character.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(lower), None) => lower,
                // One that becomes several would need a comparison of texts instead of characters.
                _ => character,
            }
        }
    }
}

/// The first character and what follows.
fn next(text: &[u8]) -> Option<(Symbol, &[u8])> {
    let (first, tail) = text.split_first()?;
    let length = match first {
        0..0x80 => return Some((Symbol::Char(char::from(*first)), tail)),
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Some((Symbol::Stray, tail)),
    };
    let decoded = text.split_at_checked(length).and_then(|(head, tail)| {
        let character = std::str::from_utf8(head).ok()?.chars().next()?;
        Some((Symbol::Char(character), tail))
    });
    Some(decoded.unwrap_or((Symbol::Stray, tail)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_like(pattern: &str, matching: &[&str], others: &[&str]) {
        let test = like(pattern, Some('!'), Folding::Ascii);
        for text in matching {
            assert!(test.holds(text.as_bytes()), "{text:?} LIKE {pattern:?}: {test:?}");
        }
        for text in others {
            assert!(!test.holds(text.as_bytes()), "{text:?} NOT LIKE {pattern:?}: {test:?}");
        }
    }

    #[test]
    fn like_patterns() {
        check_like("", &[""], &["a"]);
        check_like("%", &["", "a", "\u{1F600}"], &[]);
        check_like("%%", &["", "a"], &[]);
        check_like("abc", &["abc", "ABC"], &["abcd", "xabc", ""]);
        check_like("ab%", &["ab", "ABc"], &["a", "xab"]);
        check_like("%ab", &["ab", "cAB"], &["abc", "b"]);
        check_like("%ab%", &["ab", "xABx"], &["a b"]);
        check_like("a%b%c", &["abc", "a-b-c", "abcbc", "AxBxC"], &["acb", "abcd"]);
        check_like("%a_c%", &["abc", "xaxabcx"], &["ac"]);
        check_like("_", &["a", "ü", "€"], &["", "ab"]);
        check_like("a!%", &["a%"], &["ab", "a"]);
        check_like("a!!%", &["a!", "a!b"], &["a"]);
        check_like("a!", &[], &["a", "a!", ""]);
        check_like("Ü", &["Ü"], &["ü"]);
    }

    #[test]
    fn ilike_knows_other_alphabets() {
        let test = like("%GRÜN_", None, Folding::Unicode);
        assert!(test.holds("dunkelgrünE".as_bytes()) && !test.holds("grün".as_bytes()));
    }

    #[test]
    fn glob_patterns() {
        for (pattern, text, expected) in [
            ("/tmp/*.sh", "/tmp/a.sh", true),
            ("/tmp/*.sh", "/TMP/a.sh", false),
            ("?", "ü", true),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[^a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[^]]", "]", false),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[a", "a", false),
            ("*[0-9]", "abc7", true),
        ] {
            assert_eq!(glob(pattern).holds(text.as_bytes()), expected, "{text:?} GLOB {pattern:?}");
        }
    }

    #[test]
    fn a_stray_byte_is_one_character() {
        let one = like("a_b", None, Folding::Ascii);
        assert!(one.holds(b"a\xffb") && !one.holds(b"a\xff\xffb"));
        assert!(glob("[^x]").holds(b"\xff") && !glob("[x]").holds(b"\xff"));
    }

    /// The definition, by trying everything.
    fn naive(elements: &[Element], text: &[char]) -> bool {
        match (elements, text) {
            ([], []) => true,
            ([Element::Many, after @ ..], _) => (0..=text.len()).any(|taken| naive(after, &text[taken..])),
            ([Element::One, after @ ..], [_, tail @ ..]) => naive(after, tail),
            ([Element::Exactly(wanted), after @ ..], [found, tail @ ..]) => {
                wanted == found && naive(after, tail)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_trying_everything_finds(
            elements in prop::collection::vec(
                prop_oneof![
                    Just(Element::Many),
                    Just(Element::One),
                    prop::sample::select(vec!['a', 'b', 'ü']).prop_map(Element::Exactly),
                ],
                0..8,
            ),
            text in "[abü]{0,10}",
        ) {
            let characters: Vec<char> = text.chars().collect();
            let expected = naive(&elements, &characters);
            let general = Wildcards { elements: elements.clone().into(), folding: None };
            prop_assert_eq!(general.matches(text.as_bytes()), expected);
            prop_assert_eq!(simplest(elements, None).holds(text.as_bytes()), expected);
        }

        #[test]
        fn any_bytes_are_matched_without_a_panic(pattern in ".{0,12}", text: Vec<u8>) {
            glob(&pattern).holds(&text);
            like(&pattern, Some('%'), Folding::Unicode).holds(&text);
        }
    }
}
