//! Splitting an argument vector.

use std::iter::FusedIterator;

/// Iterator over NUL-terminated strings that lie back to back.
#[derive(Clone, Debug)]
pub struct Arguments<'a> {
    rest: &'a [u8],
}

impl<'a> Arguments<'a> {
    /// The arguments in `vector`.
    #[must_use]
    pub const fn new(vector: &'a [u8]) -> Self {
        Self { rest: vector }
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        match self.rest.iter().position(|&byte| byte == 0) {
            Some(end) => {
                let (argument, rest) = self.rest.split_at(end);
                self.rest = rest.get(1..).unwrap_or_default();
                Some(argument)
            }
            // Without its terminator: the last piece of a vector that was cut.
            None => Some(std::mem::take(&mut self.rest)),
        }
    }
}

impl FusedIterator for Arguments<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vector: &[u8], expected: &[&str]) {
        let found: Vec<_> = Arguments::new(vector).map(String::from_utf8_lossy).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn empty_arguments_count_wherever_they_stand() {
        check(b"ls\0-l\0", &["ls", "-l"]);
        check(b"\0", &[""]);
        check(b"sh\0\0-c\0\0", &["sh", "", "-c", ""]);
        check(b"\0\0a\0", &["", "", "a"]);
    }

    #[test]
    fn the_unterminated_piece_of_a_cut_vector_counts() {
        check(b"cat\0/etc/pas", &["cat", "/etc/pas"]);
        check(b"x", &["x"]);
    }

    #[test]
    fn no_bytes_are_no_arguments() {
        check(b"", &[]);
    }
}
