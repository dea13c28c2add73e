//! The registry's large tables as they lie in their stores: Parquet files, pinned.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::PeopleError;
use super::ids::Bad;
use crate::fetched::Fetched;
use crate::key::IdKind;
use crate::ledger::LedgerError;
use crate::ledger::shelf::{Shelf, group_bytes};
use crate::sorter::SortError;
use crate::store::{Io, Pin, StoreErrorKind, StoreUrl};

/// A file of the table.
#[derive(Clone, Debug)]
pub struct InputFile {
    pub url: String,
    pub pin: Pin,
    shelf: Shelf,
    name: String,
}

/// A table: one file, or all visible files of a folder.
#[derive(Clone, Debug)]
pub struct Input {
    /// `memberships` or `residency`: the key in the configuration.
    pub role: &'static str,
    pub files: Vec<InputFile>,
}

/// Lists and pins a table's files.
///
/// # Errors
/// Stores that cannot be read; no file at all.
pub fn list(role: &'static str, url: &StoreUrl, io: &Io) -> Result<Input, PeopleError> {
    let unusable = |reason: String| PeopleError::Unusable { role, file: url.to_string(), reason };
    let is_folder = url.to_string().ends_with('/') || url.local().is_some_and(|p| p.is_dir());
    let mut files = Vec::new();
    if is_folder {
        let store = url.open(io).map_err(|e| unusable(e.reason))?;
        for listed in store.list("").map_err(LedgerError::from)? {
            let parts: Vec<&str> = listed.path.split('/').collect();
            let is_table = parts.iter().any(|part| ["_delta_log", ".hoodie"].contains(part))
                || parts.contains(&"metadata") && listed.path.ends_with(".metadata.json");
            if is_table {
                return Err(unusable(format!(
                    "it is a table of Delta, Hudi or Iceberg ({}): files that the table no longer holds would be read too\nwrite its rows to files of their own",
                    listed.path
                )));
            }
            // Every visible file counts, as in a folder of logs: none is left out silently.
            if !parts.iter().any(|part| part.starts_with(['_', '.'])) {
                files.push(InputFile {
                    url: store.shown(&listed.path),
                    pin: listed.pin,
                    shelf: Shelf::new(store.clone(), ""),
                    name: listed.path,
                });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
    } else if let Some((folder, name)) = url.split_last() {
        let store = folder.open(io).map_err(|e| unusable(e.reason))?;
        if let Some(pin) = store.head(&name).map_err(LedgerError::from)? {
            let shelf = Shelf::new(store, "");
            files.push(InputFile { url: url.to_string(), pin, shelf, name });
        }
    }
    if files.is_empty() {
        let what = if is_folder { "the folder holds no file" } else { "does not exist" };
        return Err(unusable(what.into()));
    }
    Ok(Input { role, files })
}

impl Input {
    /// What kind of ids a column's type stands for.
    ///
    /// # Errors
    /// Files that are no Parquet, or lack the column.
    pub fn kind_of(&self, column: &str) -> Result<Option<IdKind>, PeopleError> {
        let opened = Opened::open(self, &[column])?;
        let types = opened.metadata.iter().filter_map(|(metadata, _)| {
            Some(metadata.schema().field_with_name(column).ok()?.data_type().clone())
        });
        let kinds = types.filter_map(|data_type| match data_type {
            DataType::Null => None,
            t if t.is_integer() => Some(IdKind::Int),
            DataType::FixedSizeBinary(16) => Some(IdKind::Uuid),
            _ => Some(IdKind::Text),
        });
        // Numbers can be read as texts, texts not as numbers.
        Ok(kinds.reduce(|a, b| if a == b { a } else { IdKind::Text }))
    }
}

/// Why a batch is not taken.
pub enum Refusal {
    /// A column, and what is wrong with a row of it.
    Row(&'static str, Bad),
    Sort(SortError),
}

impl From<SortError> for Refusal {
    fn from(error: SortError) -> Self {
        Self::Sort(error)
    }
}

/// A stretch of a table that is read in one go: a row group.
pub struct Part {
    file: usize,
    group: usize,
    /// Rows of the file before it.
    rows_before: u64,
}

/// A table with its footers read.
pub struct Opened<'a> {
    input: &'a Input,
    metadata: Vec<(ArrowReaderMetadata, Vec<Range<u64>>)>,
    pub parts: Vec<Part>,
    pub rows: u64,
}

impl<'a> Opened<'a> {
    /// # Errors
    /// Files that are no Parquet or lack one of the columns `needed`.
    pub fn open(input: &'a Input, needed: &[&str]) -> Result<Self, PeopleError> {
        let mut opened = Self { input, metadata: Vec::new(), parts: Vec::new(), rows: 0 };
        for (number, file) in input.files.iter().enumerate() {
            let metadata = opened.reading(
                number,
                file.shelf.metadata(&file.name, &file.pin).and_then(|parquet| {
                    ArrowReaderMetadata::try_new(Arc::new(parquet), ArrowReaderOptions::new())
                        .map_err(|e| LedgerError::Internal { what: e.to_string() })
                }),
            )?;
            for column in needed {
                if metadata.schema().column_with_name(column).is_none() {
                    let found: Vec<&str> =
                        metadata.schema().fields().iter().map(|f| f.name().as_str()).collect();
                    return Err(opened.unusable(
                        number,
                        format!("it has no column `{column}`; it has {}", found.join(", ")),
                    ));
                }
            }
            let mut rows_before = 0;
            let groups = metadata.metadata().row_groups();
            for (group, meta) in groups.iter().enumerate() {
                opened.parts.push(Part { file: number, group, rows_before });
                rows_before += u64::try_from(meta.num_rows()).unwrap_or(0);
            }
            opened.rows += rows_before;
            let ranges = groups.iter().map(group_bytes).collect();
            opened.metadata.push((metadata, ranges));
        }
        Ok(opened)
    }

    fn unusable(&self, file: usize, reason: String) -> PeopleError {
        let url = self.input.files.get(file).map(|f| f.url.clone()).unwrap_or_default();
        PeopleError::Unusable { role: self.input.role, file: url, reason }
    }

    /// Says of a failure that the file was meant, not a pack.
    fn reading<T>(&self, file: usize, result: Result<T, LedgerError>) -> Result<T, PeopleError> {
        result.map_err(|error| match error {
            LedgerError::Damaged { reason, .. } => self.unusable(
                file,
                format!("it cannot be read as Parquet, which members and residences are: {reason}"),
            ),
            LedgerError::Internal { what } => self.unusable(file, what),
            LedgerError::Store(e) if e.kind == StoreErrorKind::Changed => {
                self.unusable(file, format!("changed under the run: {}", e.reason))
            }
            other => other.into(),
        })
    }

    /// Gives the batches of a part to `take`, with the number of rows of the file before each.
    ///
    /// # Errors
    /// Files that cannot be read, and what `take` says.
    pub fn read(
        &self,
        part: &Part,
        columns: &[&str],
        mut take: impl FnMut(&RecordBatch) -> Result<(), Refusal>,
    ) -> Result<(), PeopleError> {
        let (Some(file), Some((metadata, ranges))) =
            (self.input.files.get(part.file), self.metadata.get(part.file))
        else {
            return Ok(());
        };
        let range = ranges.get(part.group).cloned().unwrap_or(0..0);
        let bytes =
            self.reading(part.file, file.shelf.read(&file.name, &file.pin, range.clone()))?;
        let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.iter().copied());
        let chunk = Fetched { size: file.pin.size, parts: vec![(range.start, bytes)] };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(chunk, metadata.clone())
            .with_row_groups(vec![part.group])
            .with_projection(mask)
            .with_batch_size(8192)
            .build()
            .map_err(|e| self.unusable(part.file, e.to_string()))?;
        let mut before = part.rows_before;
        for batch in reader {
            let batch = batch.map_err(|e| self.unusable(part.file, e.to_string()))?;
            take(&batch).map_err(|refusal| match refusal {
                Refusal::Row(column, bad) => PeopleError::BadValue {
                    file: file.url.clone(),
                    row: before + bad.row as u64 + 1,
                    column: column.into(),
                    reason: bad.reason,
                },
                Refusal::Sort(error) => error.into(),
            })?;
            before += batch.num_rows() as u64;
        }
        Ok(())
    }
}
