//! Bytes that are usually text: paths, arguments, names as the kernel holds them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Bytes from the kernel, immutable and cheap to share.
///
/// The kernel promises no encoding. `Text` keeps the bytes as they are, compares and hashes them as bytes, and offers two
/// views: [`as_str`](Self::as_str) when they are UTF-8, and [`escaped`](Self::escaped), which is lossless for any bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Arc<[u8]>);

impl Text {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, if the bytes are UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text with every byte that is not part of valid UTF-8 replaced by the replacement character. Lossy: for
    /// display and for matching, not for storing.
    #[must_use]
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The lossless escaped form and whether anything was escaped: valid UTF-8 comes back unchanged; otherwise each
    /// byte outside valid sequences becomes `\xNN` and each backslash `\\`, so that the original can be rebuilt.
    #[must_use]
    pub fn escaped(&self) -> (Cow<'_, str>, bool) {
        if let Some(text) = self.as_str() {
            return (Cow::Borrowed(text), false);
        }
        let mut out = String::with_capacity(self.0.len() + 16);
        for chunk in self.0.utf8_chunks() {
            for ch in chunk.valid().chars() {
                if ch == '\\' {
                    out.push('\\');
                }
                out.push(ch);
            }
            for byte in chunk.invalid() {
                use fmt::Write as _;
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        (Cow::Owned(out), true)
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Arc::from(&[][..]))
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
        Self(Arc::from(bytes))
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::from(bytes))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Arc::from(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Arc::from(text.into_bytes()))
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
}
