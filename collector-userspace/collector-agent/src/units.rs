//! Durations and sizes as people write them: `10s`, `1h30m`, `8MiB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time: `250ms`, `10s`, `5m`, `1h30m`, `7d`, `2w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// A number of bytes: `4096`, `64KiB`, `8MiB`, `2GiB`, `1GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

/// Why a text is no span or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: write it like {example}")]
pub(crate) struct UnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

const SPANS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
    ("w", 7 * 86_400 * 1_000_000_000),
];

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("k", 1 << 10),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
];

/// Splits `1h30m` into numbers with units and adds them up.
fn sum(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|ch: char| ch.is_ascii_digit() || ch.is_whitespace()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = tail.trim_start();
        parts += 1;
    }
    (parts > 0).then_some(total)
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error =
            || UnitError { text: text.to_owned(), what: "duration", example: "250ms, 10s, 5m, 1h30m or 7d" };
        sum(text, SPANS).map(|nanos| Self(Duration::from_nanos(nanos))).ok_or_else(error)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return f.write_str("0s");
        }
        // Weeks are read, not written: "14d" is clearer than "2w".
        for (name, factor) in SPANS.iter().rev().skip(1) {
            if nanos >= *factor {
                write!(f, "{}{name}", nanos / factor)?;
                nanos %= factor;
            }
        }
        Ok(())
    }
}

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error =
            || UnitError { text: text.to_owned(), what: "size", example: "4096, 64KiB, 8MiB or 2GiB" };
        sum(text, SIZES).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1_u64 << 10)];
        match exact.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

/// In configuration files both are text; a bare number is a number of bytes.
macro_rules! text_in_files {
    ($type:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged, expecting = "expected text with a unit")]
                enum Raw {
                    Text(String),
                    Number(u64),
                }
                let text = match Raw::deserialize(deserializer)? {
                    Raw::Text(text) => text,
                    Raw::Number(number) => number.to_string(),
                };
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

text_in_files!(Span);
text_in_files!(Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, nanos, shown) in [
            ("10s", 10_000_000_000, "10s"),
            ("250ms", 250_000_000, "250ms"),
            ("1h30m", 5_400_000_000_000, "1h30m"),
            ("1h 30m", 5_400_000_000_000, "1h30m"),
            ("2w", 1_209_600_000_000_000, "14d"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0.as_nanos(), span.to_string().as_str()), (nanos, shown), "{text}");
        }
        for text in ["", "10", "s", "10 s", "-1s", "1.5s", "10sec", "99999999999999d"] {
            text.parse::<Span>().expect_err(text);
        }
        let error = "soon".parse::<Span>().unwrap_err().to_string();
        assert_eq!(error, r#""soon" is not a duration: write it like 250ms, 10s, 5m, 1h30m or 7d"#);
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, shown) in [
            ("4096", 4_096, "4KiB"),
            ("4097", 4_097, "4097"),
            ("8MiB", 8 << 20, "8MiB"),
            ("8M", 8 << 20, "8MiB"),
            ("2GiB", 2 << 30, "2GiB"),
            ("1GB", 1_000_000_000, "1000000000"),
            ("0", 0, "0"),
        ] {
            let size: Bytes = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "8Mb", "99999999TiB"] {
            text.parse::<Bytes>().expect_err(text);
        }
    }
}
