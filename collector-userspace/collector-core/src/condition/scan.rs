//! Finding many texts in a field at once.

use std::collections::HashMap;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::field::Field;
use super::grams::Grams;
use super::value::Value;
use crate::event::{KindSet, Text};

/// The conditions that need one of their texts somewhere in a field.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    pub(super) field: Field,
    /// Kinds for which it has any.
    pub(super) kinds: KindSet,
    /// Texts in lower case, with the places of those that need them.
    by_text: HashMap<Box<[u8]>, Vec<u32>>,
    /// Made by the first event after a change, so that adding thousands does not make thousands.
    automaton: OnceLock<Automaton>,
}

#[derive(Clone, Debug)]
struct Automaton {
    /// Says no to most texts, for less.
    grams: Grams,
    /// `None` if there is more of it than the crate can count; then everybody is a candidate.
    texts: Option<AhoCorasick>,
    /// By the number of the text.
    places: Vec<Vec<u32>>,
}

impl Scan {
    pub(super) fn new(field: Field) -> Self {
        Self { field, kinds: KindSet::NONE, by_text: HashMap::new(), automaton: OnceLock::new() }
    }

    pub(super) fn add(&mut self, text: Box<[u8]>, place: u32, kinds: KindSet) {
        self.kinds = self.kinds.union(kinds);
        self.automaton = OnceLock::new();
        let places = self.by_text.entry(text).or_default();
        if places.last() != Some(&place) {
            places.push(place);
        }
    }

    pub(super) fn remove(&mut self, text: &[u8], place: u32) {
        if let Some(places) = self.by_text.get_mut(text) {
            self.automaton = OnceLock::new();
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.by_text.remove(text);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    /// Whether any text may be in the field. False is certain.
    pub(super) fn may_be_in(&self, value: Value<'_>) -> bool {
        let Automaton { grams, .. } = self.made();
        match value {
            Value::Text(text) => grams.may_be_in(text),
            Value::Joined(arguments) => grams.may_be_in_joined(arguments.iter().map(Text::as_bytes)),
            Value::ExecId(_) | Value::Ip(_) => true,
            Value::Null | Value::Integer(_) | Value::Number(_) | Value::Bool(_) | Value::List(_) => false,
        }
    }

    /// Adds the places of those whose text is in `text`, in no order, some perhaps twice.
    pub(super) fn candidates(&self, text: &[u8], candidates: &mut Vec<u32>) {
        let Automaton { texts, places, .. } = self.made();
        match texts {
            Some(texts) => {
                for found in texts.find_overlapping_iter(text) {
                    candidates.extend(places.get(found.pattern().as_usize()).into_iter().flatten());
                }
            }
            None => candidates.extend(places.iter().flatten()),
        }
    }

    fn made(&self) -> &Automaton {
        self.automaton.get_or_init(|| self.make())
    }

    fn make(&self) -> Automaton {
        let (texts, places): (Vec<_>, Vec<_>) =
            self.by_text.iter().map(|(text, places)| (text, places.clone())).unzip();
        let grams = Grams::of(self.by_text.keys().map(|text| &**text));
        let texts = AhoCorasick::builder().ascii_case_insensitive(true).build(texts).ok();
        Automaton { grams, texts, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scan: &Scan, text: &str, expected: &[u32]) {
        let mut found = Vec::new();
        scan.candidates(text.as_bytes(), &mut found);
        assert!(found.is_empty() || scan.may_be_in(Value::Text(text.as_bytes())), "{text}");
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn texts_inside_each_other_are_all_found() {
        let mut scan = Scan::new(Field::Path);
        for (place, text) in ["/tmp/", "tmp", "/tmp/a", "p/a"].iter().enumerate() {
            scan.add(text.as_bytes().into(), place as u32, KindSet::ALL);
        }
        check(&scan, "/TMP/Ab", &[0, 1, 2, 3]);
        check(&scan, "xtmpx", &[1]);
        scan.remove(b"tmp", 1);
        check(&scan, "xtmpx", &[]);
    }
}
