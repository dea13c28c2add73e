//! Rows as Parquet, CSV or JSON.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, LineDelimited, WriterBuilder, make_encoder};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::calendar;
use super::keys::{as_text_keys, with_text_keys};
use crate::error::Error;
use crate::hidden::in_json;
use crate::impact::csv_cell;
use crate::store::is_full;

/// What rows are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// All types as they are.
    Parquet,
    /// One line a row, null as nothing; lists, structs and maps as JSON, bytes as hexadecimal digits. Cells
    /// are in quotes where that is needed; what a spreadsheet would evaluate has a ' in front; hidden
    /// characters stand as [U+202E].
    Csv,
    /// One object a line; bytes as hexadecimal digits, numbers that are none as null, hidden characters as
    /// \u202e.
    Json,
}

impl RowFormat {
    /// The format that a file's ending stands for.
    pub fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "parquet" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The library looks for the next quote of a cell each time that its buffer is full: with a small one, a cell of a
/// gigabyte takes hours.
const CSV_BUFFER: usize = 16 << 20;

/// Where rows go.
pub enum RowWriter<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Csv(Box<csv::Writer<W>>, SchemaRef),
    Json(W, SchemaRef),
}

impl<W: Write + Send> RowWriter<W> {
    /// # Errors
    /// Columns that cannot be written so, and failures of the place.
    pub fn new(format: RowFormat, schema: &SchemaRef, out: W) -> Result<Self, String> {
        Ok(match format {
            RowFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties));
                Self::Parquet(Box::new(writer.map_err(|e| e.to_string())?))
            }
            RowFormat::Csv => {
                let with_keys = with_text_keys(schema)?;
                let mut writer =
                    csv::WriterBuilder::new().buffer_capacity(CSV_BUFFER).from_writer(out);
                let names = schema.fields().iter().map(|field| csv_cell(field.name()).into_owned());
                writer.write_record(names).map_err(|e| e.to_string())?;
                Self::Csv(Box::new(writer), with_keys)
            }
            RowFormat::Json => Self::Json(out, with_text_keys(schema)?),
        })
    }

    /// # Errors
    /// As [`Self::new`].
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), String> {
        match self {
            Self::Parquet(writer) => writer.write(rows).map_err(|e| e.to_string()),
            Self::Csv(writer, schema) => {
                calendar::check(rows)?;
                let rows = as_text_keys(rows, schema).map_err(|e| e.to_string())?;
                csv_rows(writer, &rows)
            }
            Self::Json(out, schema) => {
                calendar::check(rows)?;
                let rows = as_text_keys(rows, schema).map_err(|e| e.to_string())?;
                let text = json_lines(&rows).map_err(|e| e.to_string())?;
                out.write_all(text.as_bytes()).map_err(|e| e.to_string())
            }
        }
    }

    /// Writes what is left; gives the place back.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn finish(self) -> Result<W, String> {
        let mut out = match self {
            Self::Parquet(writer) => writer.into_inner().map_err(|e| e.to_string())?,
            Self::Csv(writer, _) => writer.into_inner().map_err(|e| e.to_string())?,
            Self::Json(out, _) => out,
        };
        out.flush().map_err(|e| e.to_string())?;
        Ok(out)
    }
}

fn json_lines(rows: &RecordBatch) -> Result<String, ArrowError> {
    if rows.num_columns() == 0 {
        return Ok("{}\n".repeat(rows.num_rows()));
    }
    let mut bytes = Vec::new();
    let mut writer =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut bytes);
    writer.write(rows)?;
    writer.finish()?;
    drop(writer);
    let text = String::from_utf8(bytes).map_err(|e| ArrowError::JsonError(e.to_string()))?;
    Ok(in_json(text))
}

fn csv_rows<W: Write>(writer: &mut csv::Writer<W>, rows: &RecordBatch) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| e.to_string();
    let schema = rows.schema();
    let mut columns: Vec<Vec<String>> = Vec::with_capacity(rows.num_columns());
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        columns.push(cells(field, array.as_ref()).map_err(|e| failed(&e))?);
    }
    for row in 0..rows.num_rows() {
        let record = columns.iter().map(|cells| cells.get(row).map_or("", String::as_str));
        writer.write_record(record).map_err(|e| failed(&e))?;
    }
    Ok(())
}

/// A column's values as cells; null is empty.
fn cells(field: &FieldRef, array: &dyn Array) -> Result<Vec<String>, ArrowError> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Ok(texts.iter().map(|text| csv_cell(text.unwrap_or("")).into_owned()).collect());
    }
    let is_nested = matches!(
        array.data_type(),
        DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) | DataType::Map(..)
    );
    if is_nested {
        let options = EncoderOptions::default().with_explicit_nulls(true);
        let mut encoder = make_encoder(field, array, &options)?;
        let cell = |row: usize| {
            if encoder.is_null(row) {
                return String::new();
            }
            let mut text = Vec::new();
            encoder.encode(row, &mut text);
            csv_cell(&in_json(String::from_utf8_lossy(&text).into_owned())).into_owned()
        };
        return Ok((0..array.len()).map(cell).collect());
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    (0..array.len()).map(|row| formatter.value(row).try_to_string()).collect()
}

/// A place that is watched: writers of formats keep no more of its failures than a text.
#[derive(Debug)]
pub struct Watched<W> {
    out: W,
    told: Told,
}

/// What became of a place.
#[derive(Clone, Debug, Default)]
pub struct Told(Arc<Mutex<(u64, Option<std::io::Error>)>>);

impl<W> Watched<W> {
    /// The place, and what tells of it.
    pub fn new(out: W) -> (Self, Told) {
        let told = Told::default();
        (Self { out, told: told.clone() }, told)
    }

    pub fn into_inner(self) -> W {
        self.out
    }
}

impl Told {
    /// Why a writer stopped: for the place, which messages call `shown`, or for a `reason` of its own.
    pub fn error(&self, shown: &str, reason: String) -> Error {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = told.0;
        let Some(error) = told.1.take() else {
            return Error::Folder { folder: shown.to_string(), reason };
        };
        let next = if is_full(&error) { "free some space, or name" } else { "name" };
        let reason = format!(
            "{error}: it took {written} bytes and no more\n{next} another place with --output"
        );
        Error::unwritable(shown, reason, &error)
    }

    fn note<T>(
        &self,
        done: std::io::Result<T>,
        bytes: impl FnOnce(&T) -> u64,
    ) -> std::io::Result<T> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(done) => {
                told.0 += bytes(&done);
                Ok(done)
            }
            Err(error) => {
                let same = std::io::Error::new(error.kind(), error.to_string());
                if error.kind() != std::io::ErrorKind::Interrupted {
                    told.1.get_or_insert(error);
                }
                Err(same)
            }
        }
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.out.write(bytes);
        self.told.note(done, |written| *written as u64)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.out.flush();
        self.told.note(done, |()| 0)
    }
}

/// Standard output; a reader that goes away is no failure of ours.
#[derive(Clone, Debug, Default)]
pub struct Pipe {
    gone: Arc<AtomicBool>,
}

impl Pipe {
    /// Whether nobody reads on.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn quietly<T>(&self, done: std::io::Result<T>, otherwise: T) -> std::io::Result<T> {
        match done {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {
                self.gone.store(true, Ordering::Relaxed);
                Ok(otherwise)
            }
            other => other,
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.is_gone() {
            return Ok(bytes.len());
        }
        self.quietly(std::io::stdout().lock().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.quietly(std::io::stdout().lock().flush(), ())
    }
}
