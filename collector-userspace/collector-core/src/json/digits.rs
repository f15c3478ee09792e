//! Numbers as decimal digits, two at a time.

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

/// The last two digits of `value`.
pub(super) const fn pair(value: u32) -> [u8; 2] {
    PAIRS[(value % 100) as usize]
}

/// A number in decimal, without leading zeros.
pub(super) struct Decimal {
    digits: [u8; Self::MOST],
    start: usize,
}

impl Decimal {
    /// Digits of the largest number.
    const MOST: usize = 20;

    pub(super) const fn of(mut value: u64) -> Self {
        let mut digits = [0; Self::MOST];
        let mut start = Self::MOST;
        while value >= 10 {
            start -= 2;
            [digits[start], digits[start + 1]] = PAIRS[(value % 100) as usize];
            value /= 100;
        }
        // One digit is left, unless the last pair was the whole rest.
        if value > 0 || start == Self::MOST {
            start -= 1;
            digits[start] = b'0' + value as u8;
        }
        Self { digits, start }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let values = powers.flat_map(|power| [power - 1, power, power + 1, 7 * (power / 10)]);
        for value in values.chain([u64::MAX]) {
            assert_eq!(Decimal::of(value).as_bytes(), value.to_string().as_bytes());
        }
    }

    #[test]
    fn pairs_keep_their_zeros() {
        assert_eq!((pair(0), pair(7), pair(42), pair(199)), (*b"00", *b"07", *b"42", *b"99"));
    }
}
