//! Finding many texts in a field at once.

use std::collections::HashMap;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::field::Field;
use crate::event::KindSet;

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

    /// Adds the places of those whose text is in `text`, in no order, some perhaps twice.
    pub(super) fn candidates(&self, text: &[u8], candidates: &mut Vec<u32>) {
        let Automaton { texts, places } = self.automaton.get_or_init(|| self.automaton());
        match texts {
            Some(texts) => {
                for found in texts.find_overlapping_iter(text) {
                    candidates.extend(places.get(found.pattern().as_usize()).into_iter().flatten());
                }
            }
            None => candidates.extend(places.iter().flatten()),
        }
    }

    fn automaton(&self) -> Automaton {
        let (texts, places): (Vec<_>, Vec<_>) =
            self.by_text.iter().map(|(text, places)| (text, places.clone())).unzip();
        let texts = AhoCorasick::builder().ascii_case_insensitive(true).build(texts).ok();
        Automaton { texts, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scan: &Scan, text: &str, expected: &[u32]) {
        let mut found = Vec::new();
        scan.candidates(text.as_bytes(), &mut found);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn texts_inside_each_other_are_all_found() {
        let mut scan = Scan::new(Field::Path);
        for (place, text) in ["/tmp/", "tmp", "/tmp/a", "a"].iter().enumerate() {
            scan.add(text.as_bytes().into(), place as u32, KindSet::ALL);
        }
        check(&scan, "/TMP/Ab", &[0, 1, 2, 3]);
        check(&scan, "xtmpx", &[1]);
        scan.remove(b"tmp", 1);
        check(&scan, "xtmpx", &[]);
    }
}
