//! Rows as a table of texts; where it is wider than the terminal, as a block for each row.

use std::io::IsTerminal;

use crate::hidden::visible;

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    pub heading: String,
    /// Numbers stand to the right.
    pub is_number: bool,
}

/// Characters of a line of the terminal; `None` where standard output is none.
pub fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(terminal_size::Width(width), _)| width.into())
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Lines of the table; `None` is a value that is not known. Nothing is cut, and what would act on a
/// terminal is written out.
pub fn render(columns: &[Column], rows: &[Vec<Option<String>>], width: Option<usize>) -> String {
    let headings: Vec<String> = columns.iter().map(|column| visible(&column.heading)).collect();
    let cell = |cell: &Option<String>| cell.as_deref().map_or_else(|| "-".into(), visible);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let widest = |i: usize| {
        let own = rows.iter().filter_map(|row| row.get(i)).map(|text| length(text)).max();
        own.unwrap_or(0).max(headings.get(i).map_or(0, |heading| length(heading)))
    };
    let widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let line = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    if width.is_some_and(|width| width < line) {
        return blocks(&headings, &rows);
    }
    let mut out = String::new();
    for row in std::iter::once(&headings).chain(&rows) {
        let cells = row.iter().zip(&widths).zip(columns).map(|((text, width), column)| {
            let gap = " ".repeat(width.saturating_sub(length(text)));
            if column.is_number { format!("{gap}{text}") } else { format!("{text}{gap}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// A block of lines for each row.
fn blocks(headings: &[String], rows: &[Vec<String>]) -> String {
    let widest = headings.iter().map(|heading| length(heading)).max().unwrap_or(0);
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        out.push_str(&format!("{}row {}\n", if i == 0 { "" } else { "\n" }, i + 1));
        for (heading, text) in headings.iter().zip(row) {
            let gap = " ".repeat(widest.saturating_sub(length(heading)));
            out.push_str(&format!("  {heading}{gap}  {text}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: Option<usize>) -> String {
        let column = |heading: &str, is_number| Column { heading: heading.into(), is_number };
        let columns = [column("app", false), column("requests", true)];
        let rows = [
            vec![Some("Plan\x1b[2Jner".into()), Some("7".into())],
            vec![None, Some("1234".into())],
        ];
        render(&columns, &rows, width)
    }

    #[test]
    fn columns_stand_below_each_other_and_nothing_acts_on_a_terminal() {
        let table = "app                 requests\nPlan[U+001B][2Jner         7\n-                       1234\n";
        assert_eq!(shown(None), table);
        assert_eq!(shown(Some(28)), table);
    }

    #[test]
    fn what_is_wider_than_the_terminal_is_shown_row_by_row_and_not_cut() {
        assert_eq!(
            shown(Some(27)),
            "row 1\n  app       Plan[U+001B][2Jner\n  requests  7\n\nrow 2\n  app       -\n  requests  1234\n"
        );
    }
}
