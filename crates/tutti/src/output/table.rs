//! Aligned columns, at least two spaces apart, without spaces at the end of a line.

use std::fmt::Write as _;

use anstyle::Style;

use super::style::{HEADING, of_status};

/// The gap between columns.
const GAP: usize = 2;

/// Rows of cells under one line of headings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    right: Vec<usize>,
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text in a style.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }

    /// A status word in the colour of its meaning.
    pub(crate) fn status(word: &str) -> Self {
        Self::styled(word, of_status(word))
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

impl Table {
    /// A table with headings.
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self::with(headings.to_vec())
    }

    /// A table whose headings are only known at run time.
    pub(crate) fn with(headings: Vec<&str>) -> Self {
        let headings = headings.into_iter().map(|text| Cell::styled(text, HEADING)).collect();
        Self { rows: vec![headings], right: Vec::new() }
    }

    /// Aligns a column to the right.
    pub(crate) fn right(mut self, column: usize) -> Self {
        self.right.push(column);
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    /// Whether there is nothing below the headings.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The table as text, each row ended by a line break.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            self.render_row(row, &widths, &mut text);
        }
        text
    }

    fn render_row(&self, row: &[Cell], widths: &[usize], text: &mut String) {
        let mut owed = 0;
        for (column, cell) in row.iter().enumerate() {
            let length = cell.text.chars().count();
            let free = widths[column] - length;
            let (before, after) = if self.right.contains(&column) { (free, 0) } else { (0, free) };
            if length > 0 {
                let gap = owed + before;
                let (on, off) = (cell.style.render(), cell.style.render_reset());
                // Writing to a String cannot fail.
                let _ = write!(text, "{:gap$}{on}{}{off}", "", cell.text);
                owed = after + GAP;
            } else {
                owed += widths[column] + GAP;
            }
        }
        text.push('\n');
    }
}

/// Line breaks would tear the columns apart.
fn one_line(mut cell: Cell) -> Cell {
    if cell.text.contains(['\n', '\r', '\t']) {
        cell.text = cell.text.replace(['\n', '\r', '\t'], " ");
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(table: &Table) -> String {
        anstream::adapter::strip_str(&table.render()).to_string()
    }

    #[test]
    fn columns_align_and_lines_end_clean() {
        let mut table = Table::new(["Name", "Rev", "Message"]).right(1);
        table.row(["a".into(), "7".into(), "".into()]);
        table.row(["longer".into(), "123".into(), "two\nlines".into()]);
        table.row(["b".into(), "".into(), "x".into()]);
        assert_eq!(
            plain(&table),
            "Name    Rev  Message\na         7\nlonger  123  two lines\nb            x\n"
        );
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let mut table = Table::new(["Status", "X"]);
        table.row([Cell::status("active"), "1".into()]);
        assert!(table.render().contains("\u{1b}["));
        assert_eq!(plain(&table), "Status  X\nactive  1\n");
    }
}
