//! `report.xlsx`: a cover, and one sheet for each table.
//!
//! Rows go to temporary files while a table passes, so that memory holds one row and, at the end, the
//! compressed workbook. Every text is written as a string, never as a formula or a link.

use std::collections::HashSet;
use std::path::Path;

use arrow::datatypes::DataType;
use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};

use super::grid::{Value, value};
use super::text::{number, visible};
use super::words::{LIMITS_OF_THE_WORKBOOK, left_out};
use super::{Facts, ReportError};
use crate::impact::{Query, Table, TableSpec, is_formula};
use crate::threads::guarded;

/// Rows of a sheet, its header among them: what Excel holds.
const SHEET_ROWS: usize = 1_048_576;
/// UTF-16 units in a cell.
const CELL_TEXT: usize = 32_767;
/// Whole numbers beyond this lose digits in a spreadsheet; they are written as text.
const LARGEST: i64 = 999_999_999_999_999;
/// Days from 1899-12-30, where spreadsheets begin, to 1970.
const EPOCH: i64 = 25_569;
/// Serial numbers of 1900-03-01 and of the day after 9999-12-31: days before the first are counted
/// differently by different programs, and there are none after the last.
const SERIALS: std::ops::Range<i64> = 61..2_958_466;
const DAY_MILLIS: i64 = 86_400_000;

/// A workbook in the making.
pub struct Book {
    workbook: Workbook,
    formats: Formats,
    sheets: Vec<Sheet>,
    names: HashSet<String>,
    /// Rows of a sheet; smaller in tests only.
    limit: usize,
    place: Place,
}

/// What the cover says of a sheet.
struct Sheet {
    name: String,
    table: String,
    rows: usize,
    written: usize,
}

struct Formats {
    header: Format,
    text: Format,
    /// Of a text that would become a formula if somebody edited its cell.
    quoted: Format,
    int: Format,
    float: Format,
    time: Format,
    date: Format,
    title: Format,
    wrapped: Format,
}

impl Formats {
    fn new() -> Self {
        let new = || Format::new().set_font_name("Calibri");
        Self {
            header: new()
                .set_bold()
                .set_border_bottom(FormatBorder::Thin)
                .set_align(FormatAlign::Top),
            text: new().set_num_format("@"),
            quoted: new().set_num_format("@").set_quote_prefix(),
            int: new().set_num_format("#,##0"),
            float: new().set_num_format("#,##0.00"),
            time: new().set_num_format("yyyy-mm-dd hh:mm:ss.000"),
            date: new().set_num_format("yyyy-mm-dd"),
            title: new().set_bold().set_font_size(16),
            wrapped: new().set_num_format("@").set_text_wrap().set_align(FormatAlign::Top),
        }
    }
}

/// Where temporary files go, as it is shown.
#[derive(Clone)]
struct Place(String);

impl Place {
    /// What ends a sheet.
    fn failed(&self, sheet: &str) -> impl Fn(XlsxError) -> ReportError + use<> {
        let (folder, sheet) = (self.0.clone(), sheet.to_string());
        move |e| {
            let (folder, sheet, reason) = (folder.clone(), sheet.clone(), e.to_string());
            match e {
                XlsxError::IoError(_) | XlsxError::TempFileError(..) => {
                    ReportError::Temporary { folder, sheet, reason }
                }
                _ => ReportError::Workbook { sheet, reason },
            }
        }
    }

    /// The library takes it for impossible that a row cannot be written to its temporary file.
    fn guard<T>(
        &self,
        sheet: &str,
        work: impl FnOnce() -> Result<T, ReportError>,
    ) -> Result<T, ReportError> {
        guarded(work).unwrap_or_else(|reason| {
            let (folder, sheet) = (self.0.clone(), sheet.to_string());
            // As Rust shows an error of the system.
            Err(if reason.contains("Os { code: ") {
                ReportError::Temporary { folder, sheet, reason }
            } else {
                ReportError::Workbook { sheet, reason }
            })
        })
    }
}

impl Book {
    /// # Errors
    /// Where `temp_dir` cannot be used.
    pub fn new(facts: &Facts, temp_dir: Option<&Path>) -> Result<Self, ReportError> {
        let mut workbook = Workbook::new();
        // Level 6 takes a third more of the time, level 1 twice the space.
        workbook.set_zip_compression_level(3);
        let folder = temp_dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let place = Place(folder.display().to_string());
        workbook.set_tempdir(folder).map_err(place.failed("Cover"))?;
        let mut properties = DocProperties::new()
            .set_title("Use of access scopes after their restriction")
            .set_author("afterscope")
            .set_comment(format!("Run {}", facts.run_id));
        // The end of the report, not the clock: the same run is the same bytes.
        let seconds = facts.as_of.micros.div_euclid(1_000_000);
        if let Ok(made) = ExcelDateTime::from_timestamp(seconds) {
            properties = properties.set_creation_datetime(&made);
        }
        workbook.set_properties(&properties);
        workbook.add_worksheet().set_name("Cover").map_err(place.failed("Cover"))?;
        // Excel keeps the name `History` for itself.
        let names = ["cover", "history"].map(String::from).into();
        let formats = Formats::new();
        Ok(Self { workbook, formats, sheets: Vec::new(), names, limit: SHEET_ROWS, place })
    }

    /// Writes a table as a sheet.
    ///
    /// # Errors
    /// [`ReportError::Workbook`] and [`ReportError::Temporary`].
    pub fn sheet(&mut self, table: &Table, spec: Option<&TableSpec>) -> Result<(), ReportError> {
        let name = self.name(&table.name);
        let place = self.place.clone();
        place.guard(&name, || self.write_sheet(name.clone(), table, spec))
    }

    fn write_sheet(
        &mut self,
        name: String,
        table: &Table,
        spec: Option<&TableSpec>,
    ) -> Result<(), ReportError> {
        let fail = self.place.failed(&name);
        let batch = &table.batch;
        let sheet = self.workbook.add_worksheet_with_constant_memory().map_err(&fail)?;
        sheet.set_name(&name).map_err(&fail)?;
        let rows = batch.num_rows();
        let room = self.limit.saturating_sub(1);
        // The last row says that there are more.
        let written = if rows > room { room.saturating_sub(1) } else { rows };
        let columns = u16::try_from(batch.num_columns()).unwrap_or(u16::MAX);
        for (at, field) in (0..columns).zip(batch.schema().fields()) {
            let width = match field.data_type() {
                DataType::Utf8 => 22.0,
                DataType::Timestamp(..) => 23.0,
                _ => 12.0,
            };
            let width = f64::max(width, field.name().len() as f64 + 4.0);
            sheet.set_column_width(at, width).map_err(&fail)?;
            sheet
                .write_string_with_format(0, at, field.name(), &self.formats.header)
                .map_err(&fail)?;
        }
        sheet.set_freeze_panes(1, 0).map_err(&fail)?;
        if let (Some(last), Ok(end)) = (columns.checked_sub(1), u32::try_from(written)) {
            sheet.autofilter(0, 0, end, last).map_err(&fail)?;
        }
        sheet.set_repeat_rows(0, 0).map_err(&fail)?.set_landscape();
        for row in 0..written {
            let line = u32::try_from(row + 1).unwrap_or(u32::MAX);
            for (at, array) in (0..columns).zip(batch.columns()) {
                put(sheet, line, at, value(array.as_ref(), row), &self.formats).map_err(&fail)?;
            }
        }
        if written < rows {
            let line = u32::try_from(written + 1).unwrap_or(u32::MAX);
            let note = format!(
                "{} more rows do not fit on a sheet; all are in tables/{}.parquet",
                number((rows - written) as i64),
                table.name
            );
            sheet.write_string_with_format(line, 0, note, &self.formats.header).map_err(&fail)?;
        }
        drop(fail);
        debug_assert!(spec.is_none_or(|s| s.columns.len() == batch.num_columns()));
        self.sheets.push(Sheet { name, table: table.name.clone(), rows, written });
        Ok(())
    }

    /// A sheet's name: at most 31 characters, unlike any other but for case.
    fn name(&mut self, table: &str) -> String {
        let mut name: String = table.chars().take(31).collect();
        let mut copy = 2;
        while !self.names.insert(name.to_lowercase()) {
            let end = format!("~{copy}");
            name = table.chars().take(31 - end.len()).collect::<String>() + &end;
            copy += 1;
        }
        name
    }

    /// The workbook's bytes.
    ///
    /// # Errors
    /// [`ReportError::Workbook`] and [`ReportError::Temporary`].
    pub fn finish(mut self, facts: &Facts, queries: &[Query]) -> Result<Vec<u8>, ReportError> {
        let fail = self.place.failed("Cover");
        let cover = self.workbook.worksheet_from_index(0).map_err(&fail)?;
        fill_cover(cover, &self.formats, &self.sheets, facts, queries).map_err(&fail)?;
        let all = "(all)";
        let Self { workbook: mut book, place, .. } = self;
        place.guard(all, || book.save_to_buffer().map_err(place.failed(all)))
    }
}

/// Writes one cell; null stays empty.
fn put(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    value: Value<'_>,
    formats: &Formats,
) -> Result<(), XlsxError> {
    match value {
        Value::Null => {}
        Value::Text(text) => put_text(sheet, row, column, text, formats)?,
        Value::Int(n) if n.abs_diff(0) <= LARGEST.unsigned_abs() => {
            sheet.write_number_with_format(row, column, n as f64, &formats.int)?;
        }
        Value::Int(n) => put_text(sheet, row, column, &n.to_string(), formats)?,
        Value::Float(n) if n.is_finite() => {
            sheet.write_number_with_format(row, column, n, &formats.float)?;
        }
        Value::Float(n) => put_text(sheet, row, column, &n.to_string(), formats)?,
        Value::Bool(flag) => {
            sheet.write_boolean(row, column, flag)?;
        }
        Value::Date(day) if SERIALS.contains(&(i64::from(day) + EPOCH)) => {
            let serial = (i64::from(day) + EPOCH) as f64;
            sheet.write_number_with_format(row, column, serial, &formats.date)?;
        }
        Value::Date(day) => {
            put_text(sheet, row, column, &crate::moment::day_to_date(day.into()), formats)?;
        }
        Value::Time(micros) => {
            // Down to the millisecond, which is what spreadsheets show: rounding could name the next day.
            let millis = micros.div_euclid(1_000);
            let day = millis.div_euclid(DAY_MILLIS) + EPOCH;
            if SERIALS.contains(&day) {
                let serial = day as f64 + millis.rem_euclid(DAY_MILLIS) as f64 / DAY_MILLIS as f64;
                sheet.write_number_with_format(row, column, serial, &formats.time)?;
            } else {
                let text = crate::moment::Moment::from_micros(micros).to_rfc3339();
                put_text(sheet, row, column, &text, formats)?;
            }
        }
    }
    Ok(())
}

fn put_text(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    text: &str,
    formats: &Formats,
) -> Result<(), XlsxError> {
    let format = if is_formula(text) { &formats.quoted } else { &formats.text };
    sheet.write_string_with_format(row, column, fitting(visible(text)), format)?;
    Ok(())
}

/// The text, cut where a cell cannot hold it, with the length that it had.
fn fitting(text: String) -> String {
    let units = |c: char| c.len_utf16();
    let length: usize = text.chars().map(units).sum();
    if length <= CELL_TEXT {
        return text;
    }
    let end = format!("… [cut: {} characters]", number(text.chars().count() as i64));
    let mut left = CELL_TEXT - end.encode_utf16().count();
    let kept = |c: &char| {
        let fits = units(*c) <= left;
        left = left.saturating_sub(units(*c));
        fits
    };
    text.chars().take_while(kept).collect::<String>() + &end
}

/// What the workbook is, what its sheets are, and what their columns mean.
fn fill_cover(
    sheet: &mut Worksheet,
    formats: &Formats,
    sheets: &[Sheet],
    facts: &Facts,
    queries: &[Query],
) -> Result<(), XlsxError> {
    for (column, width) in [(0, 30.0), (1, 32.0), (2, 20.0), (3, 14.0), (4, 90.0)] {
        sheet.set_column_width(column, width)?;
    }
    let mut line = 0;
    let mut row = |sheet: &mut Worksheet, cells: &[&str], format: &Format| {
        for (at, text) in (0..).zip(cells) {
            sheet.write_string_with_format(line, at, visible(text), format)?;
        }
        line += 1;
        Ok::<(), XlsxError>(())
    };
    let title = "Use of access scopes after their restriction";
    row(sheet, &[title], &formats.title)?;
    let verdict = if facts.complete { "complete" } else { "incomplete: files were left out" };
    let mut place = facts.number.to_string();
    if let Some(follows) = facts.follows {
        place += &format!(
            ", follows report {} of events before {}",
            follows.number,
            follows.as_of.to_rfc3339()
        );
    }
    for (name, value) in [
        ("Report", place.as_str()),
        ("Run", facts.run_id.as_str()),
        ("Made by", concat!("afterscope ", env!("CARGO_PKG_VERSION"))),
        ("Counts events before", &facts.as_of.to_rfc3339()),
        ("Lookback begins", &facts.lookback_from.to_rfc3339()),
        ("Verdict", verdict),
    ] {
        row(sheet, &[name, value], &formats.text)?;
    }
    row(sheet, &[], &formats.text)?;
    for sentence in LIMITS_OF_THE_WORKBOOK {
        row(sheet, &[sentence], &formats.text)?;
    }
    if let Some(below) = facts.suppress_below {
        row(sheet, &[&left_out(below)], &formats.text)?;
    }
    row(sheet, &[], &formats.text)?;
    row(sheet, &["Sheet", "Table", "Rows", "Rows here", "What one row is"], &formats.header)?;
    for found in sheets {
        let spec = super::spec(queries, &found.table);
        let about = spec.map_or("A table of the configuration's own queries.", |s| &s.about);
        let (rows, written) = (number(found.rows as i64), number(found.written as i64));
        row(sheet, &[&found.name, &found.table, &rows, &written, about], &formats.wrapped)?;
    }
    row(sheet, &[], &formats.text)?;
    row(sheet, &["Sheet", "Column", "Type", "Unit", "What it means"], &formats.header)?;
    for found in sheets {
        for column in super::spec(queries, &found.table).into_iter().flat_map(|s| &s.columns) {
            let (kind, unit) = (column.data_type.name(), column.unit.as_str());
            let cells = [&found.name, &column.name, kind, unit, &column.meaning];
            row(sheet, &cells, &formats.wrapped)?;
        }
    }
    sheet.set_landscape().set_print_fit_to_pages(1, 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::report::tests::facts;

    #[test]
    fn a_sheet_that_is_too_short_for_its_table_says_so() {
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e"]));
        let batch = RecordBatch::try_from_iter([("name", names)]).unwrap();
        let table = Table { name: "letters".into(), batch };
        let sheet = |limit| {
            let mut book = Book::new(&facts(), None).unwrap();
            book.limit = limit;
            book.sheet(&table, None).unwrap();
            let bytes = book.finish(&facts(), &[]).unwrap();
            let mut workbook = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
            let mut xml = String::new();
            workbook.by_name("xl/worksheets/sheet2.xml").unwrap().read_to_string(&mut xml).unwrap();
            xml
        };
        // A header and five rows.
        let whole = sheet(6);
        assert!(whole.contains("<t>e</t>") && !whole.contains("more rows"), "{whole}");
        // A header, three rows, and the line that speaks of the other two.
        let cut = sheet(5);
        assert!(cut.contains("<t>c</t>") && !cut.contains("<t>d</t>"), "{cut}");
        let says = "2 more rows do not fit on a sheet; all are in tables/letters.parquet";
        assert!(cut.contains(says), "{cut}");
    }

    #[test]
    fn a_text_longer_than_a_cell_is_cut_and_says_how_long_it_was() {
        // An emoji takes two units of UTF-16.
        let cut = fitting("😀".repeat(20_000));
        assert!(cut.ends_with("… [cut: 20,000 characters]"), "{}", cut.len());
        assert!((CELL_TEXT - 2..=CELL_TEXT).contains(&cut.encode_utf16().count()));
        assert_eq!(fitting("x".repeat(CELL_TEXT)), "x".repeat(CELL_TEXT));
    }

    #[test]
    fn names_of_sheets_are_short_and_unlike_each_other() {
        let mut book = Book::new(&facts(), None).unwrap();
        let long = "a_table_with_a_name_of_more_than_31_characters";
        assert_eq!(book.name(long), "a_table_with_a_name_of_more_tha");
        assert_eq!(book.name(long), "a_table_with_a_name_of_more_t~2");
        assert_eq!(book.name("History"), "History~2");
    }
}
