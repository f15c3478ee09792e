//! Bytes that are usually text: paths, arguments, names as the kernel holds them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Bytes from the kernel, immutable and cheap to share.
///
/// The kernel promises no encoding. `Text` keeps the bytes as they are, compares and hashes them as bytes, and offers two
/// views: [`as_str`](Self::as_str) when they are UTF-8, which is found out once, and [`escaped`](Self::escaped), which is lossless for any bytes.
#[derive(Clone)]
pub struct Text(Bytes);

#[derive(Clone)]
enum Bytes {
    Utf8(Arc<str>),
    Other(Arc<[u8]>),
}

impl Text {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Utf8(text) => text.as_bytes(),
            Bytes::Other(bytes) => bytes,
        }
    }

    /// The text, if the bytes are UTF-8. Costs nothing.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Bytes::Utf8(text) => Some(text),
            Bytes::Other(_) => None,
        }
    }

    /// The text with every byte that is not part of valid UTF-8 replaced by the replacement character. Lossy: for
    /// display and for matching, not for storing.
    #[must_use]
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }

    /// The lossless escaped form and whether anything was escaped: valid UTF-8 comes back unchanged; otherwise each
    /// byte outside valid sequences becomes `\xNN` and each backslash `\\`, so that the original can be rebuilt.
    #[must_use]
    pub fn escaped(&self) -> (Cow<'_, str>, bool) {
        if let Some(text) = self.as_str() {
            return (Cow::Borrowed(text), false);
        }
        (Cow::Owned(self.escape().to_string()), true)
    }

    /// The escaped form, also for valid UTF-8: each backslash becomes `\\`, each byte outside valid UTF-8 `\xNN`. What
    /// an object writes for all its texts once one of them needs it, so that a reader need not guess.
    #[must_use]
    pub const fn escape(&self) -> EscapedText<'_> {
        EscapedText(self)
    }

    /// Rebuilds the text from its [escaped form](Self::escape); `None` if `escaped` is not one.
    #[must_use]
    pub fn unescape(escaped: &str) -> Option<Self> {
        let mut out = Vec::with_capacity(escaped.len());
        let mut rest = escaped.as_bytes();
        while let [byte, tail @ ..] = rest {
            rest = match (byte, tail) {
                (b'\\', [b'\\', tail @ ..]) => {
                    out.push(b'\\');
                    tail
                }
                (b'\\', [b'x', high, low, tail @ ..]) => {
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    out.push((digit(*high)? << 4 | digit(*low)?) as u8);
                    tail
                }
                (b'\\', _) => return None,
                (byte, tail) => {
                    out.push(*byte);
                    tail
                }
            };
        }
        Some(Self::from(out))
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

/// The [escaped form](Text::escape) of a text, for writing.
#[derive(Clone, Copy, Debug)]
pub struct EscapedText<'a>(&'a Text);

impl fmt::Display for EscapedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_bytes().utf8_chunks() {
            let mut parts = chunk.valid().split('\\');
            if let Some(first) = parts.next() {
                f.write_str(first)?;
            }
            for part in parts {
                f.write_str("\\\\")?;
                f.write_str(part)?;
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::from("")
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string_lossy())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string_lossy())
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Utf8(Arc::from(text)),
            Err(_) => Bytes::Other(Arc::from(bytes)),
        })
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        // Either way the bytes are copied once, into the shared allocation.
        Self::from(&bytes[..])
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::Utf8(Arc::from(text)))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::Utf8(Arc::from(text)))
    }
}

// Equal bytes are in equal variants, so comparing bytes is enough.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_lossless_and_only_where_needed() {
        let plain = Text::from("a\\b ü\n");
        assert_eq!(plain.escaped(), (Cow::Borrowed("a\\b ü\n"), false));
        let broken = Text::from(&b"a\\\xffb\xc3"[..]);
        assert_eq!(broken.escaped(), (Cow::Owned("a\\\\\\xffb\\xc3".to_owned()), true));
    }
    #[test]
    fn unescaping_gives_back_the_bytes() {
        for bytes in [&b"plain"[..], b"a\\b", b"\xff\xfe\\x41", "ü\\".as_bytes(), b"", b"\xc3"] {
            let text = Text::from(bytes);
            assert_eq!(Text::unescape(&text.escape().to_string()), Some(text));
        }
        for broken in ["\\", "\\x4", "\\xzz", "\\n"] {
            assert_eq!(Text::unescape(broken), None, "{broken}");
        }
    }
}
