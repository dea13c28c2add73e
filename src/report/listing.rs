//! Tables of the page: the first rows as HTML, all kept rows as JSON that the page's script sorts,
//! filters and turns over.

use std::fmt::Write;

use arrow::datatypes::DataType;

use super::grid::{Grid, Value};
use super::page::Page;
use super::text::{count, decimal, json_string, number, shown, time};
use super::words;
use crate::impact::TableSpec;
use crate::moment::day_to_date;

/// Rows that stand in the page without a script.
const FIRST: usize = 25;
/// Whole numbers beyond this are JSON text: a script would round them.
const LARGEST: i64 = 9_007_199_254_740_991;

/// How a column is set: texts keep to their own direction, numbers stand to the right, times in one
/// line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Text,
    Number,
    Time,
}

/// A table of the page.
pub struct Listing<'a> {
    /// Id in the document, unique.
    pub id: &'static str,
    pub caption: &'a str,
    pub grid: &'a Grid,
    /// Columns in their order; those without a value in any row are left out.
    pub columns: &'a [&'a str],
    pub spec: Option<&'a TableSpec>,
}

impl Listing<'_> {
    pub fn render(&self, page: &mut Page) {
        let columns: Vec<&str> = self.columns.iter().copied().filter(|c| self.is_used(c)).collect();
        if self.grid.rows() == 0 || columns.is_empty() {
            page.raw("<p class=\"none\">").text(self.caption).raw(": no rows.</p>\n");
            return;
        }
        page.raw("<div class=\"listing\" data-for=\"").text(self.id).raw("\">\n");
        page.raw("<div class=\"tools\" hidden><label>Show rows that contain ");
        page.raw(
            "<input type=\"search\" autocomplete=\"off\" spellcheck=\"false\"></label></div>\n",
        );
        page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"");
        page.text(self.id).raw("-c\"><table id=\"").text(self.id).raw("\"><caption id=\"");
        page.text(self.id).raw("-c\">").text(self.caption).raw("</caption>\n<thead><tr>");
        for column in &columns {
            page.raw("<th scope=\"col\"");
            page.raw(if self.class(column) == Class::Number { " class=\"n\">" } else { ">" });
            page.text(&words::heading(column)).raw("</th>");
        }
        page.raw("</tr></thead>\n<tbody>\n");
        for row in 0..self.grid.rows().min(FIRST) {
            page.raw("<tr>");
            for (at, column) in columns.iter().enumerate() {
                let text = cell(column, self.grid.value(row, column));
                let class = self.class(column);
                page.raw(if at == 0 { "<th scope=\"row\"" } else { "<td" });
                page.raw(match class {
                    Class::Text => "><bdi>",
                    Class::Number => " class=\"n\">",
                    Class::Time => " class=\"t\">",
                });
                page.text(&text).raw(if class == Class::Text { "</bdi>" } else { "" });
                page.raw(if at == 0 { "</th>" } else { "</td>" });
            }
            page.raw("</tr>\n");
        }
        page.raw("</tbody></table></div>\n<p class=\"rows\" role=\"status\">");
        page.text(&self.extent(FIRST.min(self.grid.rows()))).raw("</p>\n");
        page.raw("<div class=\"turn\" hidden></div>\n");
        self.left_out(page);
        self.meanings(page, &columns);
        page.raw("<script type=\"application/json\" id=\"").text(self.id).raw("-d\">");
        page.json(|out| self.data(&columns, out));
        page.raw("</script>\n</div>\n");
    }

    fn extent(&self, to: usize) -> String {
        format!("Rows 1 to {} of {}.", number(to as i64), number(self.grid.rows() as i64))
    }

    fn left_out(&self, page: &mut Page) {
        let (left, table) = (self.grid.left_out() as i64, &self.grid.table);
        if left > 0 {
            page.raw("<p class=\"cut\">");
            page.text(&format!(
                "This page holds the first {} of {}. {} left out here; all are in tables/{table}.parquet.",
                number(self.grid.rows() as i64),
                count(self.grid.picked as i64, "row", "rows"),
                if left == 1 { "1 is".to_string() } else { format!("{} are", number(left)) },
            ));
            page.raw("</p>\n");
        }
        page.raw("<noscript><p>Without a script this page shows the first ");
        page.text(&number(FIRST as i64)).raw(" rows; all are in tables/");
        page.text(table).raw(".parquet.</p></noscript>\n");
    }

    /// What the columns mean, in the words of the table's header.
    fn meanings(&self, page: &mut Page, columns: &[&str]) {
        let Some(spec) = self.spec else { return };
        page.raw("<details><summary>What the columns mean</summary>\n<p>").text(&spec.about);
        page.raw("</p>\n<dl>\n");
        for name in columns {
            let Some(column) = spec.columns.iter().find(|c| c.name == *name) else { continue };
            page.raw("<dt>").text(&words::heading(name)).raw(" <code>").text(name);
            page.raw("</code></dt><dd>").text(&column.meaning).raw("</dd>\n");
        }
        page.raw("</dl></details>\n");
    }

    fn is_used(&self, column: &str) -> bool {
        (0..self.grid.rows()).any(|row| self.grid.value(row, column) != Value::Null)
    }

    fn class(&self, column: &str) -> Class {
        match self.grid.batch.column_by_name(column).map(|a| a.data_type()) {
            Some(DataType::Int64 | DataType::Float64) => Class::Number,
            Some(DataType::Timestamp(..) | DataType::Date32) => Class::Time,
            _ => Class::Text,
        }
    }

    /// `{"n":"012…","rows":[[…],…]}`: which columns are numbers and times, and the rows.
    fn data(&self, columns: &[&str], out: &mut String) {
        out.push_str("{\"n\":\"");
        out.extend(columns.iter().map(|c| match self.class(c) {
            Class::Text => '0',
            Class::Number => '1',
            Class::Time => '2',
        }));
        out.push_str("\",\"rows\":[");
        for row in 0..self.grid.rows() {
            out.push_str(if row == 0 { "\n[" } else { ",\n[" });
            for (at, column) in columns.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                match self.grid.value(row, column) {
                    Value::Null => out.push_str("null"),
                    // Writing to a String cannot fail.
                    Value::Int(n) if (-LARGEST..=LARGEST).contains(&n) => {
                        let _ = write!(out, "{n}");
                    }
                    Value::Int(n) => json_string(&n.to_string(), out),
                    Value::Float(n) if n.is_finite() => out.push_str(&decimal(n)),
                    value => json_string(&cell(column, value), out),
                }
            }
            out.push(']');
        }
        out.push_str("]}");
    }
}

/// A cell as people read it.
pub fn cell(column: &str, value: Value<'_>) -> String {
    match value {
        Value::Null => "–".into(),
        Value::Text(text) => shown(words::value(column, text)),
        Value::Int(n) => number(n),
        Value::Float(n) => decimal(n),
        Value::Time(micros) => time(micros),
        Value::Date(day) => day_to_date(day.into()),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
    }
}

/// All columns of a table, in its order.
pub fn all_columns(grid: &Grid) -> Vec<String> {
    grid.batch.schema().fields().iter().map(|f| f.name().clone()).collect()
}
