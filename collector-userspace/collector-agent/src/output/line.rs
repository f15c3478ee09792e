//! A line with colours in it that knows its width and lets nothing through to the terminal but text.

use collector_store::quote::escape_into;

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Plain,
    Dim,
    Bold,
    Green,
    Cyan,
    Yellow,
    Red,
    Alarm,
}

impl Style {
    const fn start(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Green => "\x1b[32m",
            Self::Cyan => "\x1b[36m",
            Self::Yellow => "\x1b[33m",
            Self::Red => "\x1b[31m",
            Self::Alarm => "\x1b[1;97;41m",
        }
    }
}

/// A line being built.
#[derive(Debug, Default)]
pub(crate) struct Line {
    text: String,
    /// Where a style begins; it reaches to the next one.
    styles: Vec<(usize, Style)>,
}

impl Line {
    pub(crate) fn clear(&mut self) {
        let Self { text, styles } = self;
        text.clear();
        styles.clear();
    }

    /// Everything pushed from here on has this style.
    pub(crate) fn style(&mut self, style: Style) -> &mut Self {
        self.styles.push((self.text.len(), style));
        self
    }

    /// Text of ours.
    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Text of somebody else: whatever a terminal would act on is escaped.
    pub(crate) fn foreign(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        escape_into(&mut self.text, text.as_ref(), false);
        self
    }

    /// The text, to append what is escaped already.
    pub(crate) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Fills up with blanks until the line is `column` wide, and adds one.
    pub(crate) fn pad_to(&mut self, column: usize) -> &mut Self {
        for _ in width(&self.text)..column {
            self.text.push(' ');
        }
        self.push(" ")
    }

    /// Appends the line to `out`, cut to `max` columns, with colours if wanted.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>, max: Option<usize>, color: bool) {
        let end = max.map_or(self.text.len(), |max| cut(&self.text, max));
        let is_cut = end < self.text.len();
        let mut begin = 0;
        let mut current = Style::Plain;
        for (at, style) in self.styles.drain(..).chain([(usize::MAX, Style::Plain)]) {
            let stop = at.min(end);
            if color && begin < stop {
                out.extend_from_slice(current.start().as_bytes());
            }
            out.extend_from_slice(self.text.as_bytes().get(begin..stop).unwrap_or_default());
            if color && begin < stop && current != Style::Plain {
                out.extend_from_slice(b"\x1b[0m");
            }
            begin = begin.max(stop);
            current = style;
        }
        if is_cut {
            out.extend_from_slice("…".as_bytes());
        }
        out.push(b'\n');
        self.text.clear();
    }
}

/// Where to cut `text` so that it and an ellipsis fit into `max` columns; its length if it fits as it is.
fn cut(text: &str, max: usize) -> usize {
    let mut columns = 0;
    let mut last = 0;
    for (at, ch) in text.char_indices() {
        columns += columns_of(ch);
        if columns > max {
            return last;
        }
        // The place where the ellipsis would still fit.
        if columns < max {
            last = at + ch.len_utf8();
        }
    }
    text.len()
}

/// Columns a terminal needs for `text`.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The words of `text` in lines of at most `max` columns; a longer word has a line of its own.
pub(crate) fn wrap(text: &str, max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if let Some(line) =
            lines.last_mut().filter(|line| line.is_empty() || width(line) + 1 + width(word) <= max)
        {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// East Asian characters and pictographs take two columns. A rough table: an error costs a column, not more.
const fn columns_of(ch: char) -> usize {
    match ch as u32 {
        0x300..=0x36f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(build: impl FnOnce(&mut Line), max: Option<usize>, color: bool) -> String {
        let mut line = Line::default();
        build(&mut line);
        let mut out = Vec::new();
        line.finish(&mut out, max, color);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn words_are_wrapped_between_them() {
        assert_eq!(wrap("a bc def  gh", 4), ["a bc", "def", "gh"]);
        assert_eq!(wrap("a verylongword b", 4), ["a", "verylongword", "b"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("a b", usize::MAX), ["a b"]);
    }

    #[test]
    fn styles_are_closed_where_they_end() {
        let build = |line: &mut Line| {
            line.push("a ").style(Style::Red).push("b").style(Style::Plain).push(" c");
        };
        assert_eq!(render(build, None, false), "a b c\n");
        assert_eq!(render(build, None, true), "a \x1b[31mb\x1b[0m c\n");
    }

    #[test]
    fn lines_are_cut_to_columns_not_bytes() {
        let text = |text: &'static str| move |line: &mut Line| _ = line.push(text);
        assert_eq!(render(text("12345"), Some(5), false), "12345\n");
        assert_eq!(render(text("123456"), Some(5), false), "1234…\n");
        assert_eq!(render(text("ääääää"), Some(5), false), "ääää…\n");
        assert_eq!(render(text("日本語日本"), Some(5), false), "日本…\n");
        assert_eq!(render(text("日本語日本"), Some(6), false), "日本…\n");
        assert_eq!(render(text("abc"), Some(0), false), "…\n");
    }

    #[test]
    fn a_cut_inside_a_style_closes_it() {
        let build = |line: &mut Line| _ = line.style(Style::Red).push("123456");
        assert_eq!(render(build, Some(4), true), "\x1b[31m123\x1b[0m…\n");
    }
}
