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
    /// Bits by the upper part of a gram's hash.
    bits: Box<[u64; WORDS]>,
    exact: HashSet<u64, BuildHasherDefault<AlreadyHashed>>,
}

/// 8 KiB, which processors keep close. Of five thousand texts one bit in thirteen is set, so that most looks end there.
const WORDS: usize = 1024;

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// For four bytes, beginning at each so many: every `stride + 3` bytes in a row have four that begin there.
    Strides(usize),
    /// At each byte, for those of the last four that the mask has.
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
    /// Of texts of at least three bytes.
    pub(super) fn of<'t>(texts: impl Iterator<Item = &'t [u8]> + Clone) -> Self {
        /// Longer strides ask for longer words, and save less and less.
        const LONGEST: usize = 4;
        let step = match texts.clone().map(longest_word).min() {
            Some(word @ 4..) => Step::Strides((word - 3).min(LONGEST)),
            _ if texts.clone().any(|text| text.len() < 4) => Step::Bytes { mask: 0xffff_ff00 },
            _ => Step::Bytes { mask: u32::MAX },
        };
        let mut grams = Self { step, bits: Box::new([0; WORDS]), exact: HashSet::default() };
        for text in texts {
            grams.add_rarest(text);
        }
        grams
    }

    fn add_rarest(&mut self, text: &[u8]) {
        let common = |gram: &&[u8]| gram.iter().map(commonness).sum::<usize>();
        match self.step {
            Step::Strides(stride) => {
                // Within a word: texts that are joined by spaces are looked at one by one.
                let runs = text.windows(stride + 3).filter(|run| !run.contains(&b' '));
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
        let place = place(product);
        self.bits[place / 64] |= 1 << (place % 64);
        self.exact.insert(exact(product));
    }

    /// Whether one of the texts may be in this one.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        match self.step {
            Step::Strides(stride) => self.any_stride(text, stride),
            Step::Bytes { mask } => self.any_byte(text, mask, &mut Window::default()),
        }
    }

    /// Whether one may be in these texts, joined by spaces. Beyond ASCII, where joining changes what is no text, it may.
    pub(super) fn may_be_in_joined<'t>(&self, mut texts: impl Iterator<Item = &'t [u8]>) -> bool {
        let mut window = Window::default();
        texts.any(|text| {
            !text.is_ascii()
                || match self.step {
                    Step::Strides(stride) => self.any_stride(text, stride),
                    Step::Bytes { mask } => {
                        self.any_byte(text, mask, &mut window) || self.any_byte(b" ", mask, &mut window)
                    }
                }
        })
    }

    fn any_stride(&self, text: &[u8], stride: usize) -> bool {
        text.array_windows::<4>().step_by(stride).any(|gram| self.has(u32::from_le_bytes(*gram) | LOWER))
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
        let place = place(product);
        self.bits[place / 64] >> (place % 64) & 1 != 0 && self.exact.contains(&exact(product))
    }
}

const fn product(gram: u32) -> u64 {
    (gram as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Below `WORDS * 64`.
const fn place(product: u64) -> usize {
    (product >> (64 - (WORDS * 64).trailing_zeros())) as usize
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
        check_all(&["/tmp/.hidden", "base64 -d", "Secret"], Step::Strides(3));
        check_all(&["/tmp/.hidden", "base64 -d", "Secret", "|x |"], Step::Bytes { mask: u32::MAX });
        check_all(&["/tmp/.hidden", "base64 -d", "Secret", "xyz"], Step::Bytes { mask: 0xffff_ff00 });
        check_all(&["/tmp/.hidden", "| base64-d", "Secret/"], Step::Strides(4));
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
