//! Records of CSV files (RFC 4180, lines end in `\n`), as the csv crate writes them. It asks of every cell anew what
//! has to be quoted; here texts that stand below each other again and again are copied as they were written, and
//! figures, dates and times are known to need no quotes (benches/stages.rs).

use std::borrow::Cow;
use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, Date32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use arrow::compute::{max, min};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::frames;
use super::texts::Texts;
use crate::moment::{DAY_MICROS, Moment, day_to_date};

/// A text as a cell, in quotes where it has to be.
fn write_text(text: &str, out: &mut Vec<u8>) {
    let has_to = |byte: u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !text.bytes().any(has_to) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for (i, part) in text.split('"').enumerate() {
        out.extend_from_slice(if i == 0 { b"" } else { b"\"\"" });
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// The line of names.
pub fn names(schema: &Schema, out: &mut Vec<u8>) {
    let from = out.len();
    for (i, field) in schema.fields().iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"" } else { b"," });
        write_text(field.name(), out);
    }
    end(from, out);
}

/// Ends a record that begins at `from`. One empty cell alone would be an empty line, which readers pass over.
fn end(from: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(if out.len() == from { b"\"\"\n" } else { b"\n" });
}

/// Texts, of which those below each other are often the same.
struct TextCells<'a> {
    texts: Texts<'a>,
    /// Rows up to this one have the text that was looked up last.
    until: usize,
    /// Where it stands, if it does.
    written: Option<Range<usize>>,
    /// Bytes from the begin of the record to its end, with the comma behind it.
    end: usize,
}

impl<'a> TextCells<'a> {
    fn of(texts: Texts<'a>) -> Self {
        Self { texts, until: 0, written: None, end: 0 }
    }

    /// Where the text of a row stands, if it does already.
    fn above(&self, row: usize) -> Option<&Range<usize>> {
        self.written.as_ref().filter(|_| row < self.until)
    }

    fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        if let Some(written) = self.above(row) {
            out.extend_from_within(written.clone());
            return;
        }
        let from = out.len();
        if let Some(text) = self.texts.get(row) {
            write_text(&frames::csv_cell(text), out);
        }
        // A long run is looked through once, however often its text is written.
        if row >= self.until {
            self.until = self.texts.run_end(row);
        }
        self.written = Some(from..out.len());
    }
}

/// Days as dates.
struct Dates {
    first: i64,
    /// Dates of the days from `first` on; none where they would be more than the rows.
    near: Vec<String>,
}

impl Dates {
    /// For days that lie between two.
    fn between(days: Option<(i64, i64)>, rows: usize) -> Self {
        let Some((first, last)) = days else { return Self { first: 0, near: Vec::new() } };
        let span = usize::try_from(last.saturating_sub(first)).unwrap_or(usize::MAX);
        let near = if span < rows { (first..=last).map(day_to_date).collect() } else { Vec::new() };
        Self { first, near }
    }

    fn text(&self, day: i64) -> Cow<'_, str> {
        let place = day.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| self.near.get(place)) {
            Some(date) => date.into(),
            None => day_to_date(day).into(),
        }
    }

    /// As [`Moment::write_rfc3339_micros`].
    fn write_time(&self, micros: i64, out: &mut Vec<u8>) {
        let date = self.text(micros.div_euclid(DAY_MICROS));
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        match (text.first_chunk_mut(), <[u8; 10]>::try_from(date.as_bytes())) {
            // Of years that need no more than four digits.
            (Some(place), Ok(date)) if date.first() != Some(&b'-') => *place = date,
            _ => {
                let mut longer = String::new();
                Moment::from_micros(micros).write_rfc3339_micros(&mut longer);
                out.extend_from_slice(longer.as_bytes());
                return;
            }
        }
        let mut rest = micros.rem_euclid(DAY_MICROS);
        for (places, size) in [(20..26, 1_000_000), (17..19, 60), (14..16, 60), (11..13, 24)] {
            let mut number = rest % size;
            rest /= size;
            for place in text.get_mut(places).into_iter().flatten().rev() {
                // A digit is less than 256.
                *place = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        out.extend_from_slice(&text);
    }
}

/// A column as cells; nulls are empty.
enum Cells<'a> {
    Texts(TextCells<'a>),
    Ints(&'a Int64Array),
    /// In RFC 3339 with six digits.
    Times(&'a TimestampMicrosecondArray, Dates),
    /// As `2019-11-06`.
    Days(&'a Date32Array, Dates),
    Other(ArrayFormatter<'a>),
}

impl<'a> Cells<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let any = array.as_any();
        Ok(if let Some(texts) = Texts::of(array) {
            Self::Texts(TextCells::of(texts))
        } else if let Some(ints) = any.downcast_ref() {
            Self::Ints(ints)
        } else if let Some(times) = any.downcast_ref::<TimestampMicrosecondArray>() {
            let day = |micros: i64| micros.div_euclid(DAY_MICROS);
            let days = min(times).map(day).zip(max(times).map(day));
            Self::Times(times, Dates::between(days, times.len()))
        } else if let Some(dates) = any.downcast_ref::<Date32Array>() {
            let days = min(dates).map(i64::from).zip(max(dates).map(i64::from));
            Self::Days(dates, Dates::between(days, dates.len()))
        } else {
            static EMPTY_NULLS: FormatOptions<'static> = FormatOptions::new();
            Self::Other(ArrayFormatter::try_new(array.as_ref(), &EMPTY_NULLS)?)
        })
    }

    fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Texts(texts) => texts.write(row, out),
            Self::Ints(ints) if ints.is_valid(row) => {
                let mut digits = itoa::Buffer::new();
                out.extend_from_slice(digits.format(ints.value(row)).as_bytes());
            }
            Self::Times(times, dates) if times.is_valid(row) => {
                dates.write_time(times.value(row), out);
            }
            Self::Days(days, dates) if days.is_valid(row) => {
                out.extend_from_slice(dates.text(days.value(row).into()).as_bytes());
            }
            Self::Other(cells) => write_text(&cells.value(row).try_to_string()?, out),
            _ => {}
        }
        Ok(())
    }
}

/// The rows of a table as records; texts as [`frames::csv_cell`] has them.
pub struct Records<'a> {
    /// Columns before the first that is no text: in most tables the key, or all of it but a day.
    leading: Vec<TextCells<'a>>,
    rest: Vec<Cells<'a>>,
    /// Where the record before begins.
    above: usize,
}

impl<'a> Records<'a> {
    /// # Errors
    /// Types that cannot be written as text.
    pub fn of(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        let (mut leading, mut rest) = (Vec::new(), Vec::new());
        for column in batch.columns() {
            match Cells::of(column)? {
                Cells::Texts(texts) if rest.is_empty() => leading.push(texts),
                cells => rest.push(cells),
            }
        }
        Ok(Self { leading, rest, above: 0 })
    }

    /// Lets the next record stand at the begin of other bytes: nothing is copied from those before it.
    pub fn begin(&mut self) {
        self.above = 0;
        self.leading.iter_mut().for_each(|cells| cells.written = None);
        for cells in &mut self.rest {
            if let Cells::Texts(cells) = cells {
                cells.written = None;
            }
        }
    }

    /// Appends the record of a row to those before it, which are of earlier rows.
    ///
    /// # Errors
    /// Values that cannot be shown.
    pub fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let from = out.len();
        // As far as texts are those of the record above, they are copied from there in one go.
        let same = self.leading.iter().take_while(|cells| cells.above(row).is_some());
        let (same, bytes) = same.fold((0, 0), |(same, _), cells| (same + 1, cells.end));
        out.extend_from_within(self.above..self.above + bytes);
        let mut columns = self.leading.len() + self.rest.len() - same;
        for cells in self.leading.iter_mut().skip(same) {
            cells.write(row, out);
            columns -= 1;
            if columns > 0 {
                out.push(b',');
            }
            cells.end = out.len() - from;
        }
        for cells in &mut self.rest {
            cells.write(row, out)?;
            columns -= 1;
            if columns > 0 {
                out.push(b',');
            }
        }
        end(from, out);
        self.above = from;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, DictionaryArray, Float64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Int32Type};
    use proptest::prelude::*;

    use super::*;

    /// What the csv crate writes, of the same cells.
    fn expected(names: &[String], rows: &[Vec<String>]) -> String {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(names).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    fn found(batch: &RecordBatch) -> String {
        let all = in_blocks(batch, usize::MAX);
        // Wherever other bytes begin, the same records come.
        (1..4).for_each(|rows| assert_eq!(in_blocks(batch, rows), all));
        all
    }

    /// Records of which so many stand in the same bytes.
    fn in_blocks(batch: &RecordBatch, rows: usize) -> String {
        let (mut out, mut block) = (Vec::new(), Vec::new());
        names(batch.schema_ref(), &mut block);
        let mut records = Records::of(batch).unwrap();
        for row in 0..batch.num_rows() {
            if row % rows == 0 {
                out.append(&mut block);
                records.begin();
            }
            records.write(row, &mut block).unwrap();
        }
        out.append(&mut block);
        String::from_utf8(out).unwrap()
    }

    /// Few texts, so that neighbours are often the same; one in so many needs quotes or is shown otherwise.
    fn text() -> impl Strategy<Value = Option<String>> {
        prop_oneof![
            2 => Just(None),
            2 => Just(Some(String::new())),
            6 => "[ab]{1,2}".prop_map(Some),
            3 => "[a,\"\r\n =+\t'é\u{202e}-]{0,4}".prop_map(Some),
        ]
    }

    fn column(which: u8, rows: &[(Option<String>, Option<i64>)]) -> (ArrayRef, Vec<String>) {
        let numbers = || rows.iter().map(|row| row.1);
        let shown = |of: fn(i64) -> String| numbers().map(move |n| n.map(of).unwrap_or_default());
        let texts = || rows.iter().map(|row| row.0.as_deref());
        let cells = texts().map(|text| text.map(frames::csv_cell).unwrap_or_default().into());
        match which {
            0 => (Arc::new(StringArray::from_iter(texts())), cells.collect()),
            6 => (Arc::new(DictionaryArray::<Int32Type>::from_iter(texts())), cells.collect()),
            1 => (Arc::new(Int64Array::from_iter(numbers())), shown(|n| n.to_string()).collect()),
            2 => (
                Arc::new(Date32Array::from_iter(numbers().map(|n| n.map(|n| n as i32)))),
                shown(|n| day_to_date((n as i32).into())).collect(),
            ),
            3 => (
                Arc::new(TimestampMicrosecondArray::from_iter(numbers())),
                shown(|n| {
                    let mut text = String::new();
                    Moment::from_micros(n).write_rfc3339_micros(&mut text);
                    text
                })
                .collect(),
            ),
            4 => (
                Arc::new(BooleanArray::from_iter(numbers().map(|n| n.map(|n| n > 0)))),
                shown(|n| (n > 0).to_string()).collect(),
            ),
            _ => (
                Arc::new(Float64Array::from_iter(numbers().map(|n| n.map(|n| n as f64 / 4.0)))),
                shown(|n| format!("{:?}", n as f64 / 4.0)).collect(),
            ),
        }
    }

    proptest! {
        #[test]
        fn records_are_those_that_the_csv_crate_writes(
            columns in proptest::collection::vec(
                (text(), prop_oneof![2 => Just(0u8), 2 => Just(6), 3 => 1u8..6]),
                1..5,
            ),
            rows in proptest::collection::vec(
                proptest::collection::vec(
                    (text(), proptest::option::of(-1000i64..70_000_000_000)),
                    4,
                ),
                0..12,
            ),
        ) {
            let (mut fields, mut arrays, mut cells) = (Vec::new(), Vec::new(), Vec::new());
            for (i, (name, which)) in columns.iter().enumerate() {
                let values: Vec<_> = rows.iter().map(|row| row[i].clone()).collect();
                let (array, shown) = column(*which, &values);
                let name = name.clone().unwrap_or_default();
                fields.push(Field::new(name, array.data_type().clone(), true));
                arrays.push(array);
                cells.push(shown);
            }
            let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
            let names: Vec<String> = columns.iter().map(|c| c.0.clone().unwrap_or_default()).collect();
            let rows: Vec<Vec<String>> =
                (0..rows.len()).map(|row| cells.iter().map(|c| c[row].clone()).collect()).collect();
            prop_assert_eq!(found(&batch), expected(&names, &rows));
        }

        #[test]
        fn times_are_written_as_moments_are(
            times in prop_oneof![
                proptest::collection::vec(any::<i64>(), 1..20),
                proptest::collection::vec(-70_000_000_000_000_000i64..260_000_000_000_000_000, 1..20),
                // Within a hundred days about 1970-01-01 and about the year 10,000.
                proptest::collection::vec(-50 * DAY_MICROS..50 * DAY_MICROS, 1..20),
                proptest::collection::vec(2_932_850 * DAY_MICROS..2_932_950 * DAY_MICROS, 1..20),
            ],
        ) {
            let days = times.iter().map(|micros| micros.div_euclid(DAY_MICROS));
            let dates = Dates::between(days.clone().min().zip(days.max()), 100);
            for micros in times {
                let (mut found, mut expected) = (Vec::new(), String::new());
                dates.write_time(micros, &mut found);
                Moment::from_micros(micros).write_rfc3339_micros(&mut expected);
                prop_assert_eq!(String::from_utf8(found).unwrap(), expected);
            }
        }
    }

    #[test]
    fn cells_are_quoted_where_readers_need_it() {
        let texts = [Some("a,b"), Some("a,b"), Some("say \"x\""), None, Some("=1"), Some("")];
        let days = Date32Array::from(vec![Some(0), Some(1), None, None, Some(-1), None]);
        let fields = [("t\"", DataType::Utf8), ("d", DataType::Date32)];
        let schema = Schema::new(fields.map(|(name, of)| Field::new(name, of, true)).to_vec());
        let texts: ArrayRef = Arc::new(StringArray::from_iter(texts));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![texts, Arc::new(days)]).unwrap();
        let expected = "\"t\"\"\",d\n\"a,b\",1970-01-01\n\"a,b\",1970-01-02\n\"say \"\"x\"\"\",\n,\n'=1,1969-12-31\n,\n";
        assert_eq!(found(&batch), expected);
    }

    #[test]
    fn a_long_run_is_looked_through_once_however_many_blocks_it_fills() {
        let texts = StringArray::from_iter_values(std::iter::repeat_n("same", 1_000));
        let texts: ArrayRef = Arc::new(texts);
        let mut cells = TextCells::of(Texts::of(&texts).unwrap());
        let mut out = Vec::new();
        cells.write(0, &mut out);
        cells.written = None;
        // Where it would look again, it would find that the run ends here.
        cells.until = 999;
        cells.write(998, &mut out);
        assert_eq!((cells.until, out.as_slice()), (999, &b"samesame"[..]));
        cells.write(999, &mut out);
        assert_eq!(cells.until, 1_000);
    }

    #[test]
    fn an_empty_cell_alone_is_no_empty_line() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![None, None, Some("x"), Some("")]));
        let batch = RecordBatch::try_from_iter_with_nullable([("t", texts, true)]).unwrap();
        assert_eq!(found(&batch), "t\n\"\"\n\"\"\nx\n\"\"\n");
    }
}
