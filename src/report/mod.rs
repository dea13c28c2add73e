//! What people read of a run: a page for browsers and a workbook for spreadsheets.
//!
//! Each finished table is shown to a [`ReportBuilder`] as it passes. The page keeps the few rows that
//! it shows; the workbook's rows go to temporary files. Neither knows a clock or a network.

mod answer;
mod chart;
mod closing;
mod findings;
mod grid;
mod heat;
mod html;
mod kept;
mod listing;
mod page;
mod sections;
mod text;
mod words;
mod xlsx;

use std::path::PathBuf;

use bytes::Bytes;
use thiserror::Error;

use crate::impact::{Query, Table, TableFile, TableSpec};
use crate::moment::Moment;
use crate::publish::Output;

pub use text::number;

/// File names, below the run's folder.
pub const HTML: &str = "report.html";
pub const XLSX: &str = "report.xlsx";

#[derive(Debug, Error)]
pub enum ReportError {
    #[error(
        "{HTML}: table {table}: {reason}\nthis is a bug in afterscope; `[report] html = false` leaves the page out"
    )]
    Page { table: String, reason: String },

    #[error(
        "{XLSX}: sheet {sheet}: {reason}\nthis is a bug in afterscope; `[report] xlsx = false` leaves the workbook out"
    )]
    Workbook { sheet: String, reason: String },

    #[error(
        "{XLSX}: sheet {sheet}: a temporary file in {folder} cannot be written: {reason}\nname a folder with more space (about 450 bytes for each row of a table) with run.temp_dir, or leave the workbook out with `[report] xlsx = false`"
    )]
    Temporary { folder: String, sheet: String, reason: String },
}

/// What reports say beside the tables.
#[derive(Clone, Debug)]
pub struct Facts {
    pub run_id: String,
    pub as_of: Moment,
    /// The report's number among those that follow each other.
    pub number: u64,
    pub follows: Option<Follows>,
    pub lookback_from: Moment,
    pub lookback_days: u32,
    /// Whether no file was left out.
    pub complete: bool,
    /// Counts of fewer people are left out; `None` where all are told.
    pub suppress_below: Option<u32>,
    /// What the run warned of.
    pub doubts: Vec<String>,
    pub sources: Vec<SourceFacts>,
}

/// The report that this one follows.
#[derive(Clone, Copy, Debug)]
pub struct Follows {
    pub number: u64,
    pub as_of: Moment,
}

/// What reports say of one log.
#[derive(Clone, Debug, Default)]
pub struct SourceFacts {
    pub name: String,
    pub has_status: bool,
    pub deduplicates: bool,
    pub files_unreadable: u64,
    /// Declared days: the first, and the one after the last; `None` where the source declares none.
    pub declared: Option<(i64, i64)>,
    /// Declared days without a row in a readable file: stretches of first and last day.
    pub missing: Vec<(i64, i64)>,
}

/// Which reports are wanted, and where temporary files may go.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub html: bool,
    pub xlsx: bool,
    pub temp_dir: Option<PathBuf>,
}

/// Takes the tables of a run one by one and makes its reports.
pub struct ReportBuilder<'a> {
    queries: &'a [Query],
    facts: Facts,
    page: Option<kept::Kept>,
    book: Option<xlsx::Book>,
}

impl<'a> ReportBuilder<'a> {
    /// `queries` tell what tables and their columns mean.
    ///
    /// # Errors
    /// Where the folder for temporary files cannot be used.
    pub fn new(wanted: &Wanted, queries: &'a [Query], facts: Facts) -> Result<Self, ReportError> {
        let book = match wanted.xlsx {
            true => Some(xlsx::Book::new(&facts, wanted.temp_dir.as_deref())?),
            false => None,
        };
        Ok(Self { queries, facts, page: wanted.html.then(kept::Kept::default), book })
    }

    /// Takes what the reports need of a finished table.
    ///
    /// # Errors
    /// A full disk, or a table that is not as its header says.
    pub fn take(&mut self, table: &Table) -> Result<(), ReportError> {
        if self.page.is_none() && self.book.is_none() {
            return Ok(());
        }
        let spec = spec(self.queries, &table.name);
        let failed = |reason| ReportError::Page { table: table.name.clone(), reason };
        let table = &table.unpacked().map_err(|e| failed(e.to_string()))?;
        if let Some(page) = &mut self.page {
            page.take(table).map_err(|e| failed(e.to_string()))?;
        }
        if let Some(book) = &mut self.book {
            book.sheet(table, spec)?;
        }
        Ok(())
    }

    /// The reports as files; `written` are those of the run's tables.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn finish(self, written: &[Output]) -> Result<Vec<TableFile>, ReportError> {
        let mut files = Vec::new();
        let file = |name: &str, bytes: Vec<u8>| TableFile {
            name: name.to_string(),
            bytes: Bytes::from(bytes),
            rows: 0,
        };
        if let Some(kept) = self.page {
            let page = html::render(&kept, &self.facts, self.queries, written);
            files.push(file(HTML, page.into_bytes()));
        }
        if let Some(book) = self.book {
            files.push(file(XLSX, book.finish(&self.facts, self.queries)?));
        }
        Ok(files)
    }
}

/// What a table's header says; `None` for a table of the user's.
fn spec<'a>(queries: &'a [Query], table: &str) -> Option<&'a TableSpec> {
    queries.iter().find(|q| q.table == table)?.spec.as_ref()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::record_batch::RecordBatch;

    use super::*;

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn numbers(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    /// Those of a run of which nothing matters.
    pub(super) fn facts() -> Facts {
        Facts {
            run_id: "r".into(),
            as_of: Moment::from_micros(0),
            number: 1,
            follows: None,
            lookback_from: Moment::from_micros(0),
            lookback_days: 60,
            complete: true,
            suppress_below: None,
            doubts: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// The page over tables that pass.
    fn page(tables: Vec<(&str, Vec<(&str, ArrayRef)>)>) -> String {
        let wanted = Wanted { html: true, xlsx: false, temp_dir: None };
        let mut builder = ReportBuilder::new(&wanted, &[], facts()).unwrap();
        for (name, columns) in tables {
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            builder.take(&Table { name: name.into(), batch }).unwrap();
        }
        let [file] = builder.finish(&[]).unwrap().try_into().unwrap();
        assert_eq!(file.path(), "report.html");
        String::from_utf8(file.bytes.to_vec()).unwrap()
    }

    #[test]
    fn thresholds_that_are_met_come_first_and_apps_are_left_to_the_table() {
        let states = ["not_met", "met_by_upper_bound", "met"];
        let text = page(vec![
            (
                "thresholds",
                vec![
                    ("regime", texts(&["high", "middle", "low"])),
                    ("subjects_observed", numbers(&[4, 4, 4])),
                    ("state", texts(&states)),
                ],
            ),
            (
                "subjects_by_jurisdiction",
                vec![
                    ("app_id", texts(&["(all)", "(all)", "app-1"])),
                    ("country", texts(&["FR", "IE", "IE"])),
                    ("subjects_observed", numbers(&[1, 2, 2])),
                ],
            ),
        ]);
        let places =
            ["<bdi>low</bdi>", "<bdi>middle</bdi>", "<bdi>high</bdi>"].map(|p| text.find(p));
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}");
        assert!(text.contains("<bdi>met by the upper bound only</bdi>"));
        assert!(text.find("<bdi>IE</bdi>") < text.find("<bdi>FR</bdi>"));
        assert!(text.contains("Rows 1 to 2 of 2."), "rows of apps are not those of all apps");
        assert!(text.contains("No deadlines were worked out"));
    }

    #[test]
    fn a_section_without_its_table_says_why() {
        let own = ("by_team", vec![("team", texts(&["red"])), ("requests", numbers(&[1_234_567]))]);
        let text = page(vec![own]);
        for says in ["No thresholds were given", "no register of residence", "No deadlines were"] {
            assert!(text.contains(says), "{says}");
        }
        // A table of the user's own queries.
        assert!(text.contains("<bdi>red</bdi></th><td class=\"n\">1,234,567</td>"), "{text}");
    }
}
