//! An argument vector as one line for humans, quoted so that a shell would read the same vector back.

use std::fmt::Write as _;

use collector_core::Text;

/// Appends `arguments` to `out`, separated by spaces and quoted where needed. See [`quote_into`].
pub fn join_into<'a>(out: &mut String, arguments: impl IntoIterator<Item = &'a Text>) {
    for (index, argument) in arguments.into_iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        quote_into(out, argument.as_bytes());
    }
}

/// Appends `bytes` to `out` as one shell word.
///
/// Plain words stay as they are, words with blanks or shell characters get single quotes, and words with control
/// characters, bytes that are not UTF-8, quotes or characters that change how a terminal shows text get the `$'…'` form
/// of bash, zsh and POSIX 2024. The result has no control characters, whatever goes in.
pub fn quote_into(out: &mut String, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.bytes().all(is_plain) => out.push_str(text),
        Ok(text) if !text.chars().any(|ch| ch == '\'' || is_unsafe(ch)) => {
            out.push('\'');
            out.push_str(text);
            out.push('\'');
        }
        _ => {
            out.push_str("$'");
            escape_into(out, bytes, true);
            out.push('\'');
        }
    }
}

/// Appends `bytes` to `out` with every control character, invalid byte and terminal-changing character as an escape
/// (`\n`, `\x1b`, `\u202e`); with `quotes`, single quotes and backslashes too.
pub fn escape_into(out: &mut String, bytes: &[u8], quotes: bool) {
    for chunk in bytes.utf8_chunks() {
        for ch in chunk.valid().chars() {
            escape_char(out, ch, quotes);
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

fn escape_char(out: &mut String, ch: char, quotes: bool) {
    let _ = match ch {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\'' if quotes => out.write_str("\\'"),
        '\\' if quotes => out.write_str("\\\\"),
        ch if !is_unsafe(ch) => out.write_char(ch),
        ch if ch.is_ascii() => write!(out, "\\x{:02x}", ch as u32),
        ch if (ch as u32) <= 0xffff => write!(out, "\\u{:04x}", ch as u32),
        ch => write!(out, "\\U{:08x}", ch as u32),
    };
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'/' | b':' | b'=' | b'@' | b'%' | b'+' | b',')
}

/// Whether a terminal would do more with `ch` than show it: C0 and C1 controls, line and paragraph separators, and the
/// invisible and direction-changing characters with which one text is made to look like another.
fn is_unsafe(ch: char) -> bool {
    ch.is_control()
        || matches!(ch,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&[u8]], expected: &str) {
        let arguments: Vec<Text> = arguments.iter().map(|bytes| Text::from(*bytes)).collect();
        let mut out = String::new();
        join_into(&mut out, &arguments);
        assert_eq!(out, expected);
    }

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        check(&[b"/bin/ls", b"-l", b"--color=auto", b"a,b:c@d%e+f"], "/bin/ls -l --color=auto a,b:c@d%e+f");
        check(&[b"sh", b"-c", b"echo $HOME | wc"], "sh -c 'echo $HOME | wc'");
        check(&[b"printf", b"", b"~", "grüße".as_bytes()], "printf '' '~' 'grüße'");
        check(&[b"echo", b"it's"], r"echo $'it\'s'");
        check(&[], "");
    }

    #[test]
    fn nothing_that_moves_a_terminal_comes_out() {
        check(&[b"a\nb\r\tc"], r"$'a\nb\r\tc'");
        check(&[b"\x1b[31mred\x07\x7f"], r"$'\x1b[31mred\x07\x7f'");
        check(&[b"\xff\xc3("], r"$'\xff\xc3('");
        check(&["\u{202e}txt.exe\u{9b}2J\u{e0041}".as_bytes()], r"$'\u202etxt.exe\u009b2J\U000e0041'");
        check(&[br"back\slash"], r"'back\slash'");
    }

    #[test]
    fn every_byte_comes_out_printable() {
        for first in 0..=u8::MAX {
            for second in [b'a', 0x80, 0x1b, b'\''] {
                let mut out = String::new();
                quote_into(&mut out, &[first, second]);
                assert!(!out.chars().any(is_unsafe), "{first:#x} {second:#x} became {out:?}");
            }
        }
    }
}
