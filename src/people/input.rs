//! The registry's large tables as they lie in their stores: Parquet files, pinned.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use super::PeopleError;
use super::ids::Bad;
use crate::key::IdKind;
use crate::ledger::LedgerError;
use crate::scan::{ScanError, WholeFile};
use crate::snapshot::{SnapshotFile, first_unlistable};
use crate::sorter::SortError;
use crate::store::{Io, Pin, Store, StoreErrorKind, StoreUrl};

/// A file of the table.
#[derive(Clone, Debug)]
pub struct InputFile {
    pub url: String,
    pub pin: Pin,
    store: Store,
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
        let all = store.list("").map_err(LedgerError::from)?;
        if let Some((file, reason)) = first_unlistable(&store, "") {
            return Err(unusable(format!(
                "{file} stands in the folder and cannot be read: {reason}\nrename, mend or remove it; nothing is left out in silence"
            )));
        }
        for listed in all {
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
            let is_hidden = parts.iter().any(|part| part.starts_with(['_', '.']));
            if !is_hidden && !store.is_folder(&listed).map_err(LedgerError::from)? {
                files.push(InputFile {
                    url: store.shown(&listed.path),
                    pin: listed.pin,
                    store: store.clone(),
                    name: listed.path,
                });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
    } else if let Some((folder, name)) = url.split_last() {
        let store = folder.open(io).map_err(|e| unusable(e.reason))?;
        if let Some(pin) = store.head(&name).map_err(LedgerError::from)? {
            files.push(InputFile { url: url.to_string(), pin, store, name });
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
        let types = opened.files.iter().filter_map(|file| {
            let (_, field) = file.fields().find(column)?;
            Some(field.data_type().clone())
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

/// A table with its footers read. Nothing of a file is believed that its bytes contradict, and no page
/// is decompressed that does not fit into memory: as of logs (`scan::whole`).
pub struct Opened<'a> {
    input: &'a Input,
    files: Vec<WholeFile>,
    pub parts: Vec<Part>,
    pub rows: u64,
}

impl<'a> Opened<'a> {
    /// # Errors
    /// Files that are no Parquet or lack one of the columns `needed`.
    pub fn open(input: &'a Input, needed: &[&str]) -> Result<Self, PeopleError> {
        let mut opened = Self { input, files: Vec::new(), parts: Vec::new(), rows: 0 };
        for (number, file) in input.files.iter().enumerate() {
            let of = SnapshotFile::new(file.name.clone(), file.pin.clone());
            let open = WholeFile::open(&file.store, &of, None);
            let open = open.map_err(|error| opened.failed(number, error))?;
            for column in needed {
                if open.fields().find(column).is_none() {
                    let found: Vec<&str> =
                        open.fields().iter().map(|f| f.name().as_str()).collect();
                    return Err(opened.unusable(
                        number,
                        format!("it has no column `{column}`; it has {}", found.join(", ")),
                    ));
                }
            }
            let mut rows_before = 0;
            for (group, meta) in open.parquet().row_groups().iter().enumerate() {
                opened.parts.push(Part { file: number, group, rows_before });
                rows_before += u64::try_from(meta.num_rows()).unwrap_or(0);
            }
            opened.rows += rows_before;
            opened.files.push(open);
        }
        Ok(opened)
    }

    /// Reads on so many threads at once, within a limit of memory in bytes: half of it is for what is sorted.
    #[must_use]
    pub fn within(self, memory_limit: u64, threads: usize) -> Self {
        let sharers = u64::try_from(threads).unwrap_or(u64::MAX).max(1).saturating_mul(2);
        let files = self.files.into_iter().map(|file| file.within(memory_limit).shared(sharers));
        Self { files: files.collect(), ..self }
    }

    fn unusable(&self, file: usize, reason: String) -> PeopleError {
        let url = self.input.files.get(file).map(|f| f.url.clone()).unwrap_or_default();
        PeopleError::Unusable { role: self.input.role, file: url, reason }
    }

    fn failed(&self, file: usize, error: ScanError) -> PeopleError {
        match error {
            ScanError::Unreadable { reason, .. } => self.unusable(
                file,
                format!(
                    "it is no Parquet file, which members and residences are, or damaged: {reason}"
                ),
            ),
            ScanError::Memory { large, needed, .. } => self.unusable(
                file,
                format!("{large} needs a memory limit of {needed} MB: {}", large.advice()),
            ),
            ScanError::Store(e) if e.kind == StoreErrorKind::Changed => {
                self.unusable(file, format!("changed under the run: {}", e.reason))
            }
            ScanError::Store(e) => LedgerError::Store(e).into(),
            other => self.unusable(file, other.to_string()),
        }
    }

    /// Gives the batches of a part to `take`.
    ///
    /// # Errors
    /// Files that cannot be read, and what `take` says.
    pub fn read(
        &self,
        part: &Part,
        columns: &[&str],
        mut take: impl FnMut(&RecordBatch) -> Result<(), Refusal>,
    ) -> Result<(), PeopleError> {
        let (Some(file), Some(open)) = (self.input.files.get(part.file), self.files.get(part.file))
        else {
            return Ok(());
        };
        let mut before = part.rows_before;
        let done = open.read_columns::<Ended>(part.group, columns, |batch| {
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
            Ok(ControlFlow::Continue(()))
        });
        match done {
            Ok(_) => Ok(()),
            Err(Ended::Scan(error)) => Err(self.failed(part.file, error)),
            Err(Ended::Taken(error)) => Err(error),
        }
    }
}

/// Who ended the reading of a part: the file, or who took its rows.
enum Ended {
    Scan(ScanError),
    Taken(PeopleError),
}

impl From<ScanError> for Ended {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl From<PeopleError> for Ended {
    fn from(error: PeopleError) -> Self {
        Self::Taken(error)
    }
}
