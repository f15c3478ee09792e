//! Tables of text with aligned columns.

use super::line::width;

/// Where a cell stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells. Cells must not hold control characters.
#[derive(Debug, Default)]
pub(crate) struct Table {
    head: Vec<String>,
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Table {
    /// A table with these columns; a name that begins with `>` is of a column aligned to the right.
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self::with_columns(columns.iter().map(|name| match name.strip_prefix('>') {
            Some(name) => (name.to_owned(), Align::Right),
            None => ((*name).to_owned(), Align::Left),
        }))
    }

    /// A table with these columns.
    pub(crate) fn with_columns(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        let (head, align) = columns.into_iter().unzip();
        Self { head, align, rows: Vec::new(), indent: 2 }
    }

    /// Begins lines with this many blanks; 2 unless said otherwise.
    pub(crate) fn indent(mut self, blanks: usize) -> Self {
        self.indent = blanks;
        self
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines.
    pub(crate) fn render(&self) -> String {
        let has_head = self.head.iter().any(|name| !name.is_empty());
        let lines: Vec<&Vec<String>> = has_head.then_some(&self.head).into_iter().chain(&self.rows).collect();
        let columns = lines.iter().map(|cells| cells.len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                lines.iter().filter_map(|cells| cells.get(column)).map(|cell| width(cell)).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for cells in lines {
            let mut line = " ".repeat(self.indent);
            for (column, cell) in cells.iter().enumerate() {
                let fill = " ".repeat(widths.get(column).copied().unwrap_or(0).saturating_sub(width(cell)));
                match self.align.get(column) {
                    Some(Align::Right) => line.extend([fill.as_str(), cell]),
                    _ => line.extend([cell, fill.as_str()]),
                }
                line.push_str("  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["name", ">count"]);
        table.row(["exec".to_owned(), "12".to_owned()]);
        table.row(["日本".to_owned(), "1,234".to_owned()]);
        assert_eq!(table.render(), "  name  count\n  exec     12\n  日本  1,234\n");
    }

    #[test]
    fn columns_without_names_have_no_head() {
        let mut table = Table::new(&["", ""]).indent(0);
        table.row(["a".to_owned(), "b".to_owned()]);
        assert_eq!(table.render(), "a  b\n");
    }
}
