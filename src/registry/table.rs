//! A registry file as a table of texts, CSV or Parquet.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{KNOWN, Registry, RegistryError, RegistryFile};
use crate::config::shape;
use crate::key::hex;
use crate::moment::{Moment, Zone};
use crate::scan::{ScanError, WholeFile};
use crate::store::{Io, StoreError, StoreErrorKind, StoreUrl};

/// Rows by key, where a repeated key must repeat its values.
pub(super) struct Unique<'a, K, V> {
    table: &'a Table,
    seen: BTreeMap<K, (V, String)>,
}

impl<'a, K: Ord, V: PartialEq> Unique<'a, K, V> {
    pub fn new(table: &'a Table) -> Self {
        Self { table, seen: BTreeMap::new() }
    }

    pub fn insert(&mut self, row: &Row, key: K, value: V, what: &str) -> Result<(), RegistryError> {
        if let Some((old, first)) = self.seen.get(&key) {
            if *old == value {
                return Ok(());
            }
            return Err(RegistryError::Contradiction {
                file: self.table.file.clone(),
                line: row.at.clone(),
                first: first.clone(),
                what: what.to_string(),
            });
        }
        self.seen.insert(key, (value, row.at.clone()));
        Ok(())
    }

    pub fn finish(self) -> BTreeMap<K, V> {
        self.seen.into_iter().map(|(key, (value, _))| (key, value)).collect()
    }
}

/// A small table of texts; empty cells are null.
pub(super) struct Table {
    pub file: String,
    columns: Vec<String>,
    rows: Vec<Row>,
}

pub(super) struct Row {
    /// `line 7` of a CSV file, `row 7` of a Parquet file.
    at: String,
    cells: Vec<Option<String>>,
}

impl Row {
    pub fn value(&self, column: usize) -> Option<&str> {
        self.cells.get(column).and_then(Option::as_deref)
    }
}

impl Table {
    pub fn read(
        role: &'static str,
        url: &StoreUrl,
        (io, memory_limit): (&Io, u64),
        registry: &mut Registry,
    ) -> Result<Self, RegistryError> {
        let file = url.to_string();
        let unreadable = |kind, reason: String| RegistryError::Unreadable {
            role,
            file: file.clone(),
            reason,
            kind,
        };
        let from_store = |e: StoreError| unreadable(e.kind, e.reason);
        if url.local().is_some_and(std::path::Path::is_dir) {
            return Err(unreadable(StoreErrorKind::Settings, "is a folder, not a file".into()));
        }
        let (folder, name) = url.split_last().ok_or_else(|| {
            unreadable(StoreErrorKind::Settings, "the address names no file".into())
        })?;
        let bytes = match folder.open(io).and_then(|store| store.read(&name)) {
            Ok(Some((bytes, _))) => bytes,
            Ok(None) => return Err(unreadable(StoreErrorKind::NotFound, "does not exist".into())),
            Err(e) => return Err(from_store(e)),
        };
        registry.files.push(RegistryFile {
            role,
            url: file.clone(),
            size: bytes.len() as u64,
            sha256: Some(hex(&Sha256::digest(&bytes))),
            e_tag: None,
            version: None,
        });
        let bad = |reason: String| unreadable(StoreErrorKind::Settings, reason);
        let (columns, rows) = if bytes.starts_with(b"PAR1") {
            read_parquet(bytes, io, memory_limit).map_err(bad)?
        } else {
            read_csv(&bytes).map_err(bad)?
        };
        let mut seen = BTreeSet::new();
        if let Some(twice) = columns.iter().find(|column| !seen.insert(column.as_str())) {
            return Err(bad(format!("the column `{twice}` stands in it twice")));
        }
        let known = KNOWN.iter().find(|(of, _)| *of == role).map_or(&[][..], |(_, names)| names);
        for column in columns.iter().filter(|column| !known.contains(&column.as_str())) {
            registry.unknown_columns.push(format!(
                "registry file {file}: nothing reads its column `{column}`{}",
                shape::did_you_mean(column, known.iter().copied())
            ));
        }
        Ok(Self { file, columns, rows })
    }

    /// Takes every row; what is wrong with some is told of all of them, or of the first of very many.
    pub fn each_row(
        &self,
        mut take: impl FnMut(&Row) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        const SHOWN: usize = 20;
        let mut bad: Vec<RegistryError> = Vec::new();
        let mut count = 0;
        for error in self.rows.iter().filter_map(|row| take(row).err()) {
            count += 1;
            if bad.len() < SHOWN {
                bad.push(error);
            }
        }
        if count > 1 {
            let mut shown: Vec<String> = bad.iter().map(ToString::to_string).collect();
            if count > SHOWN {
                shown.push(format!("and {} more", count - SHOWN));
            }
            let shown = shown.join("\n");
            return Err(RegistryError::Several { file: self.file.clone(), count, shown });
        }
        bad.pop().map_or(Ok(()), Err)
    }

    pub fn optional(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c == column)
    }

    pub fn required(&self, column: &'static str) -> Result<usize, RegistryError> {
        self.optional(column).ok_or_else(|| RegistryError::MissingColumn {
            file: self.file.clone(),
            column,
            found: match self.columns.is_empty() {
                true => "no columns at all".into(),
                false => self.columns.join(", "),
            },
        })
    }

    pub fn bad(&self, row: &Row, column: &str, reason: impl Into<String>) -> RegistryError {
        RegistryError::BadValue {
            file: self.file.clone(),
            line: row.at.clone(),
            column: column.into(),
            reason: reason.into(),
        }
    }

    pub fn text(&self, row: &Row, index: usize, column: &str) -> Result<String, RegistryError> {
        let text = row.value(index).ok_or_else(|| self.bad(row, column, "is empty"))?;
        if text.trim() != text {
            return Err(self.bad(
                row,
                column,
                format!("`{text}` has blanks around it; take them out"),
            ));
        }
        Ok(text.to_string())
    }

    pub fn moment(
        &self,
        row: &Row,
        index: usize,
        column: &str,
        zone: Zone,
    ) -> Result<Moment, RegistryError> {
        let text = self.text(row, index, column)?;
        Moment::parse_setting(&text, zone).map_err(|reason| self.bad(row, column, reason))
    }
}

impl Table {
    /// A text that may be missing, as may its column.
    pub fn text_or_none(
        &self,
        row: &Row,
        index: Option<usize>,
        column: &str,
    ) -> Result<Option<String>, RegistryError> {
        let index = index.filter(|index| row.value(*index).is_some());
        index.map(|index| self.text(row, index, column)).transpose()
    }

    /// A moment that may be missing, as may its column.
    pub fn moment_or_none(
        &self,
        row: &Row,
        index: Option<usize>,
        column: &str,
        zone: Zone,
    ) -> Result<Option<Moment>, RegistryError> {
        let index = index.filter(|index| row.value(*index).is_some());
        index.map(|index| self.moment(row, index, column, zone)).transpose()
    }
}

type Parsed = (Vec<String>, Vec<Row>);

fn read_csv(bytes: &[u8]) -> Result<Parsed, String> {
    // A byte order mark is no part of the first column's name.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let columns: Vec<String> = reader
        .headers()
        .map_err(|e| e.to_string())?
        .iter()
        .map(|name| name.trim().to_string())
        .collect();
    let mut rows = Vec::new();
    let mut lines = Lines { bytes, at: 0, line: 1 };
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let line = record.position().map_or(0, |at| lines.line_at(at.byte()));
        rows.push(Row {
            at: format!("line {line}"),
            cells: record.iter().map(|c| (!c.is_empty()).then(|| c.to_string())).collect(),
        });
    }
    Ok((columns, rows))
}

/// Line numbers of records, asked for in the order of the file.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the record that begins at `start`: the reader has not yet passed over the line
    /// ends and empty lines before it.
    fn line_at(&mut self, start: u64) -> usize {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let passed = |i: usize, b: u8| i < start || matches!(b, b'\r' | b'\n');
        while let Some(byte) = self.bytes.get(self.at).filter(|b| passed(self.at, **b)) {
            self.line += usize::from(*byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

/// A file is read as one of a log: damaged ones, and those that would take more memory than they may, end here.
fn read_parquet(bytes: Bytes, io: &Io, memory_limit: u64) -> Result<Parsed, String> {
    let file = WholeFile::of_bytes(bytes, io).map_err(reason)?.within(memory_limit);
    let columns = file.fields().iter().map(|field| field.name().clone()).collect();
    let mut held = 0;
    let mut rows = Vec::new();
    for group in 0..file.parquet().num_row_groups() {
        let read = file.read::<Refused>(group, |batch| {
            add_rows(&batch, &mut rows, (&mut held, memory_limit / 2)).map_err(Refused)?;
            Ok(ControlFlow::Continue(()))
        });
        let _ = read.map_err(|Refused(reason)| reason)?;
    }
    Ok((columns, rows))
}

struct Refused(String);

impl From<ScanError> for Refused {
    fn from(error: ScanError) -> Self {
        Self(reason(error))
    }
}

fn reason(error: ScanError) -> String {
    match error {
        ScanError::Unreadable { reason, .. } => reason,
        ScanError::Memory { large, needed, .. } => {
            format!("{large} needs a memory limit of {needed} MB")
        }
        other => other.to_string(),
    }
}

/// Adds the rows of a batch, which may hold so many bytes with those before.
fn add_rows(
    batch: &RecordBatch,
    rows: &mut Vec<Row>,
    (held, limit): (&mut u64, u64),
) -> Result<(), String> {
    let options = FormatOptions::default();
    let in_utc: Vec<ArrayRef> = batch.columns().iter().map(in_utc).collect();
    let formatters = in_utc
        .iter()
        .map(|array| cell_formatter(array.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    for i in 0..batch.num_rows() {
        let cells: Vec<Option<String>> = batch
            .columns()
            .iter()
            .zip(&formatters)
            .map(|(array, f)| (!array.is_null(i)).then(|| f.value(i).to_string()))
            .map(|cell| cell.filter(|text| !text.is_empty()))
            .collect();
        let texts: usize = cells.iter().flatten().map(String::len).sum();
        *held += (texts + size_of::<Row>() + size_of_val(cells.as_slice())) as u64;
        if *held > limit {
            return Err(format!(
                "its values take more than {limit} bytes, which is half of the memory limit; give more with --memory-limit"
            ));
        }
        rows.push(Row { at: format!("row {}", rows.len() + 1), cells });
    }
    Ok(())
}

/// Times of a named zone are kept in UTC; shown as such, they need no table of zones.
fn in_utc(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
            arrow::compute::cast(array, &utc).unwrap_or_else(|_| array.clone())
        }
        _ => array.clone(),
    }
}

fn cell_formatter<'a>(
    array: &'a dyn Array,
    options: &'a FormatOptions<'a>,
) -> Result<ArrayFormatter<'a>, String> {
    if matches!(array.data_type(), DataType::List(_) | DataType::Struct(_) | DataType::Map(..)) {
        return Err(format!("a column of type {} cannot be read; write text", array.data_type()));
    }
    ArrayFormatter::try_new(array, options).map_err(|e| e.to_string())
}
