//! Sequence numbers on kernels without an addition that returns the old value (before 5.12).
//!
//! The kernel programs and the test below run the same code, because what goes wrong here shows once in a million records.

/// The two words of a domain on a processor.
pub trait NumberWords {
    /// Whether a program is taking a number.
    fn is_busy(&mut self) -> bool;
    /// Says so.
    fn set_busy(&mut self, busy: bool);
    /// The next number.
    fn number(&mut self) -> u64;
    /// Changes it.
    fn set_number(&mut self, number: u64);
}

/// Takes the next number; `None` if this program has interrupted another one that is taking it.
///
/// Those kernels run the programs of tracepoints with preemption off, so only an interrupt can come between two steps, and
/// all that it runs is through before the next one. Whoever comes between finds the word set and takes nothing, so no number
/// is taken twice; whoever comes before it is set finds it clear, and leaves it clear.
#[inline(always)]
pub fn take_number(words: &mut impl NumberWords) -> Option<u64> {
    if words.is_busy() {
        return None;
    }
    words.set_busy(true);
    let number = words.number();
    words.set_number(number + 1);
    words.set_busy(false);
    Some(number)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    /// A processor whose programs may be interrupted before each access: `choices` says before which, in order.
    #[derive(Default)]
    struct Processor {
        busy: bool,
        number: u64,
        choices: Vec<bool>,
        asked: usize,
        depth: u32,
        taken: Vec<u64>,
        refused: u64,
    }

    const DEEPEST: u32 = 3;
    const CHOICES: u32 = 16;

    impl Processor {
        fn run(&mut self) {
            self.depth += 1;
            match take_number(self) {
                Some(number) => self.taken.push(number),
                None => self.refused += 1,
            }
            self.depth -= 1;
        }

        fn maybe_interrupt(&mut self) {
            let interrupted = self.choices.get(self.asked).copied().unwrap_or(false);
            self.asked += 1;
            if interrupted && self.depth < DEEPEST {
                self.run();
            }
        }
    }

    impl NumberWords for Processor {
        fn is_busy(&mut self) -> bool {
            self.maybe_interrupt();
            self.busy
        }

        fn set_busy(&mut self, busy: bool) {
            self.maybe_interrupt();
            self.busy = busy;
        }

        fn number(&mut self) -> u64 {
            self.maybe_interrupt();
            self.number
        }

        fn set_number(&mut self, number: u64) {
            self.maybe_interrupt();
            self.number = number;
        }
    }

    #[test]
    fn no_interrupt_makes_a_number_be_taken_twice_or_left_out() {
        let mut refused = 0;
        for pattern in 0..1_u32 << CHOICES {
            let choices = (0..CHOICES).map(|bit| pattern >> bit & 1 != 0).collect();
            let mut processor = Processor { choices, ..Processor::default() };
            processor.run();
            processor.run();
            processor.taken.sort_unstable();
            let expected: Vec<u64> = (0..processor.number).collect();
            assert_eq!(processor.taken, expected, "interrupted at {pattern:b}");
            assert!(!processor.busy);
            refused += processor.refused;
        }
        assert!(refused > 0);
    }
}
