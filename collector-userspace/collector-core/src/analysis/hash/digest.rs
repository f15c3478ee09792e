//! A digest of 256 bits, and how it is written.

use std::fmt;
use std::str::FromStr;

/// 256 bits of SHA-256 or BLAKE3. Written as 64 lower-case hexadecimal digits; read in either case.
///
/// ```
/// use collector_core::analysis::Digest;
///
/// let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// assert_eq!(text.parse::<Digest>()?.to_string(), text);
/// # Ok::<(), collector_core::analysis::DigestError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

/// The text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a digest; write the 64 hexadecimal digits of a SHA-256 or BLAKE3 digest")]
pub struct DigestError {
    /// The text, cut after 80 characters.
    pub text: String,
}

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Self).ok_or_else(|| DigestError { text: text.chars().take(80).collect() })
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: &u8| char::from(*digit).to_digit(16);
        *byte = (digit(high)? << 4 | digit(low)?) as u8;
    }
    Some(bytes)
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_in_either_case_and_written_in_lower() {
        let text = "0123456789abcdefFEDCBA98765432100123456789ABCDEFfedcba9876543210";
        let digest: Digest = text.parse().unwrap();
        assert_eq!(digest.as_bytes()[..2], [0x01, 0x23]);
        assert_eq!(digest.to_string(), text.to_lowercase());
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("{:?}", text.to_lowercase()));
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let digits = "0".repeat(64);
        for wrong in [
            "",
            "00",
            &digits[1..],
            &format!("{digits}0"),
            &format!("{digits}00"),
            &format!("g{}", &digits[1..]),
        ] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
        assert!(
            format!("ü{}", &digits[2..]).parse::<Digest>().is_err(),
            "bytes of one character are no digits"
        );
    }
}
