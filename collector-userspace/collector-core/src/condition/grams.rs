//! A quick answer to whether any of many texts can be in another. Mostly it is no.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use super::set::AlreadyHashed;
use super::text::commonness;

/// Texts that are looked for, as grams: a few bytes in a row, whatever the case of ASCII letters, of which each text has at
/// least one. A text that has none of the grams has none of the texts.
///
/// Looking costs a nanosecond a byte or less however many texts there are, a third of what an automaton takes, whose every
/// step waits for the one before.
#[derive(Clone, Debug)]
pub(super) struct Grams {
    step: Step,
    /// Bits by the upper part of a gram's hash; a power of two of them.
    bits: Box<[u64]>,
    shift: u32,
    exact: HashSet<u64, BuildHasherDefault<AlreadyHashed>>,
}

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// At each fourth byte, for four: every seven bytes in a row have four that begin there.
    Chunks,
    /// At each byte, for those of four that the mask has.
    Bytes { mask: u32 },
}

/// Sets the bit of lower case. It maps some other characters together too, which is only a false alarm.
const LOWER: u32 = 0x2020_2020;

/// The last four bytes that were read, the newest on top, as in a little-endian number.
#[derive(Clone, Copy, Default)]
struct Window(u32);

impl Window {
    const fn next(self, byte: u8) -> Self {
        Self(self.0 >> 8 | (byte as u32) << 24)
    }
}

impl Grams {
    /// Bytes in a row that always have an aligned chunk in them.
    const RUN: usize = 7;

    /// Of texts of at least three bytes.
    pub(super) fn of<'t>(texts: impl ExactSizeIterator<Item = &'t [u8]> + Clone) -> Self {
        // A bit in 64 is set, so that nearly every look ends there; never more than 32 KiB, which processors keep close.
        let bits = (texts.len() * 64).next_power_of_two().clamp(1 << 12, 1 << 18);
        let step = match texts.clone().map(|text| (text.len(), longest_word(text))).min() {
            Some(_) if texts.clone().all(|text| longest_word(text) >= Self::RUN) => Step::Chunks,
            Some((3, _)) => Step::Bytes { mask: 0xffff_ff00 },
            _ => Step::Bytes { mask: u32::MAX },
        };
        let shift = 64 - bits.trailing_zeros();
        let mut grams = Self { step, bits: vec![0; bits / 64].into(), shift, exact: HashSet::default() };
        for text in texts {
            grams.add_rarest(text);
        }
        grams
    }

    fn add_rarest(&mut self, text: &[u8]) {
        let common = |gram: &&[u8]| gram.iter().map(commonness).sum::<usize>();
        match self.step {
            Step::Chunks => {
                // Within a word: texts that are joined by spaces are looked at one by one.
                let runs = text.windows(Self::RUN).filter(|run| !run.contains(&b' '));
                for gram in runs.min_by_key(common).unwrap_or_default().windows(4) {
                    self.add(gram, u32::MAX);
                }
            }
            Step::Bytes { mask } => {
                let length = 4 - mask.trailing_zeros() as usize / 8;
                if let Some(gram) = text.windows(length).min_by_key(common) {
                    self.add(gram, mask);
                }
            }
        }
    }

    fn add(&mut self, gram: &[u8], mask: u32) {
        let Window(gram) = gram.iter().fold(Window::default(), |window, byte| window.next(*byte));
        let product = product((gram | LOWER) & mask);
        let place = (product >> self.shift) as usize;
        if let Some(word) = self.bits.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
        self.exact.insert(exact(product));
    }

    /// Whether one of the texts may be in this one.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        match self.step {
            Step::Chunks => self.any_chunk(text),
            Step::Bytes { mask } => self.any_byte(text, mask, &mut Window::default()),
        }
    }

    /// Whether one may be in these texts, joined by spaces. Beyond ASCII, where joining changes what is no text, it may.
    pub(super) fn may_be_in_joined<'t>(&self, mut texts: impl Iterator<Item = &'t [u8]>) -> bool {
        let mut window = Window::default();
        texts.any(|text| {
            !text.is_ascii()
                || match self.step {
                    Step::Chunks => self.any_chunk(text),
                    Step::Bytes { mask } => {
                        self.any_byte(text, mask, &mut window) || self.any_byte(b" ", mask, &mut window)
                    }
                }
        })
    }

    fn any_chunk(&self, text: &[u8]) -> bool {
        let (chunks, _) = text.as_chunks::<4>();
        chunks.iter().any(|chunk| self.has(u32::from_le_bytes(*chunk) | LOWER))
    }

    fn any_byte(&self, text: &[u8], mask: u32, window: &mut Window) -> bool {
        text.iter().any(|byte| {
            *window = window.next(*byte);
            self.has((window.0 | LOWER) & mask)
        })
    }

    #[inline]
    fn has(&self, gram: u32) -> bool {
        let product = product(gram);
        let place = (product >> self.shift) as usize;
        let bit = self.bits.get(place / 64).map_or(0, |word| word >> (place % 64) & 1);
        bit != 0 && self.exact.contains(&exact(product))
    }
}

const fn product(gram: u32) -> u64 {
    (gram as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A hash that is another for each gram: the multiplier is odd.
const fn exact(product: u64) -> u64 {
    // The lower half has seen the lower bytes only.
    product ^ product >> 32
}

/// Bytes of the longest part without a space.
fn longest_word(text: &[u8]) -> usize {
    text.split(|byte| *byte == b' ').map(<[u8]>::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grams(texts: &[&str]) -> Grams {
        Grams::of(texts.iter().map(|text| text.as_bytes()))
    }

    #[test]
    fn what_has_nothing_of_the_texts_is_told_apart() {
        check_all(&["/tmp/.hidden", "base64 -d", "Secret"], Step::Bytes { mask: u32::MAX });
        check_all(&["/tmp/.hidden", "base64 -d", "Secret", "xyz"], Step::Bytes { mask: 0xffff_ff00 });
        check_all(&["/tmp/.hidden", "| base64-d", "Secret/"], Step::Chunks);
    }

    #[track_caller]
    fn check_all(texts: &[&str], step: Step) {
        let grams = grams(texts);
        assert_eq!(grams.step, step);
        for (text, expected) in [
            ("/usr/bin/git", false),
            ("", false),
            ("se", false),
            ("x/TMP/.HIDDEN/y", true),
            ("sEcReT/", true),
        ] {
            assert_eq!(grams.may_be_in(text.as_bytes()), expected, "{text}");
            assert_eq!(grams.may_be_in_joined(text.split(' ').map(str::as_bytes)), expected, "{text}");
        }
        assert!(grams.may_be_in_joined([&b"git"[..], b"\xff"].into_iter()), "beyond ascii anything may be");
    }

    proptest! {
        #[test]
        fn no_text_is_missed(
            texts in prop_oneof![
                prop::collection::vec("[aAbB/ é_@`]{3,6}", 1..5),
                prop::collection::vec("[aAbB/ é_@`]{7,12}", 1..5),
            ],
            before in "[aAbB/ é]{0,8}",
            after in "[aAbB/ é]{0,8}",
            which: prop::sample::Index,
            upper: bool,
        ) {
            let grams = Grams::of(texts.iter().map(String::as_bytes));
            let found = texts[which.index(texts.len())].clone();
            let found = if upper { found.to_ascii_uppercase() } else { found };
            let text = format!("{before}{found}{after}");
            prop_assert!(grams.may_be_in(text.as_bytes()));
            prop_assert!(grams.may_be_in_joined(text.split(' ').map(str::as_bytes)));
        }
    }
}
