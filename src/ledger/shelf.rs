//! Immutable Parquet objects below one folder of the state: written row group by row group, each with a
//! checksum, and read back the same way.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use xxhash_rust::xxh3::xxh3_128;

use super::LedgerError;
use crate::fetched::Fetched;
use crate::key::hex;
use crate::store::{Pin, Store, StoreErrorKind, Upload};

/// Objects of the state never change: their name and size say which version is meant.
pub fn sized(size: u64) -> Pin {
    Pin { size, ..Default::default() }
}

/// A folder of objects.
#[derive(Clone, Debug)]
pub struct Shelf {
    store: Store,
    folder: &'static str,
}

impl Shelf {
    pub fn new(store: Store, folder: &'static str) -> Self {
        Self { store, folder }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn folder(&self) -> &'static str {
        self.folder
    }

    /// A folder without a name is the store itself.
    pub fn path(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_string() } else { format!("{}/{name}", self.folder) }
    }

    /// The address of an object.
    pub fn shown(&self, name: &str) -> String {
        self.store.shown(&self.path(name))
    }

    /// # Errors
    /// Storage failures.
    pub fn head(&self, name: &str) -> Result<Option<Pin>, LedgerError> {
        Ok(self.store.head(&self.path(name))?)
    }

    /// Removes an object.
    ///
    /// # Errors
    /// Storage failures.
    pub fn remove(&self, name: &str) -> Result<(), LedgerError> {
        Ok(self.store.remove(&self.path(name))?)
    }

    /// Begins an object. Another run may write one of the same name at the same time: its bytes are the
    /// same, so that either may stand.
    pub fn create(&self, name: &str) -> Upload {
        self.store.create_in_parts(&self.path(name))
    }

    /// An object's Parquet metadata.
    ///
    /// # Errors
    /// Storage failures and damaged objects.
    pub fn metadata(&self, name: &str, pin: &Pin) -> Result<ParquetMetaData, LedgerError> {
        let size = pin.size;
        let damaged = |reason: String| LedgerError::Damaged { pack: self.shown(name), reason };
        // The magic number at both ends and the footer's length.
        if size < 12 {
            return Err(damaged(format!("it is no Parquet file: it has {size} bytes")));
        }
        let mut wanted = (64 << 10).min(size);
        let mut reader = ParquetMetaDataReader::new();
        loop {
            let bytes = self.read(name, pin, size - wanted..size)?;
            match reader.try_parse_sized(&bytes, size) {
                Ok(()) => return reader.finish().map_err(|e| damaged(e.to_string())),
                Err(ParquetError::NeedMoreData(needed))
                    if needed as u64 > wanted && needed as u64 <= size =>
                {
                    wanted = needed as u64;
                }
                Err(e) => return Err(damaged(e.to_string())),
            }
        }
    }

    /// Bytes of an object.
    ///
    /// # Errors
    /// Storage failures; an object that is gone or has another size is damaged.
    pub fn read(
        &self,
        name: &str,
        pin: &Pin,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, LedgerError> {
        let path = self.path(name);
        let ranges = [range];
        let read = self.store.wait_for_ranges(&path, pin, &ranges);
        match read {
            Ok(parts) => Ok(parts.into_iter().next().unwrap_or_default()),
            Err(e) if e.kind == StoreErrorKind::Changed => {
                Err(LedgerError::Damaged { pack: self.shown(name), reason: e.reason })
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// Encodes row groups, each with its checksum, and hands their bytes on at once.
pub struct Encoder {
    writer: ArrowWriter<Vec<u8>>,
    /// XXH3 (128 bits) of each row group's bytes.
    pub checksums: Vec<String>,
    /// Bytes handed on before.
    written: u64,
}

impl Encoder {
    /// # Errors
    /// [`LedgerError::Internal`] only.
    pub fn new(schema: SchemaRef, properties: WriterProperties) -> Result<Self, LedgerError> {
        let writer =
            ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(|e| internal(&e))?;
        Ok(Self { writer, checksums: Vec::new(), written: 0 })
    }

    /// The bytes of one more row group.
    ///
    /// # Errors
    /// [`LedgerError::Internal`] only.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Bytes, LedgerError> {
        self.writer.write(batch).map_err(|e| internal(&e))?;
        self.writer.flush().map_err(|e| internal(&e))?;
        self.writer.sync().map_err(|e| internal(&e))?;
        let range = self.writer.flushed_row_groups().last().map(group_bytes).unwrap_or_default();
        // Parquet's writer keeps its own count of bytes: what it has written may be taken away.
        // The next row group is about as large.
        let room = Vec::with_capacity(self.writer.inner().len() + 4096);
        let bytes = std::mem::replace(self.writer.inner_mut(), room);
        let at =
            |offset: u64| offset.checked_sub(self.written).and_then(|at| usize::try_from(at).ok());
        let group = at(range.start).zip(at(range.end)).and_then(|(from, to)| bytes.get(from..to));
        let group = group.ok_or_else(|| LedgerError::Internal {
            what: "a row group's bytes are not where its metadata says".into(),
        })?;
        self.checksums.push(checksum(group));
        self.written += bytes.len() as u64;
        Ok(Bytes::from(bytes))
    }

    /// The bytes that end the object.
    ///
    /// # Errors
    /// [`LedgerError::Internal`] only.
    pub fn finish(self) -> Result<Bytes, LedgerError> {
        Ok(Bytes::from(self.writer.into_inner().map_err(|e| internal(&e))?))
    }

    /// The same, with these keys in the footer, and a seal by which a change of it is noticed.
    ///
    /// # Errors
    /// [`LedgerError::Internal`] only.
    pub fn finish_sealed<'a>(
        mut self,
        footer: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Result<Bytes, LedgerError> {
        let values: Vec<KeyValue> =
            footer.into_iter().map(|(key, json)| KeyValue::new(key.to_string(), json)).collect();
        let parts = values.iter().map(|kv| (kv.key.as_str(), kv.value.as_deref()));
        let seal = seal(parts, self.writer.flushed_row_groups());
        for value in values.into_iter().chain([KeyValue::new(SEAL_KEY.to_string(), seal)]) {
            self.writer.append_key_value_metadata(value);
        }
        self.finish()
    }
}

pub fn internal(error: &impl std::fmt::Display) -> LedgerError {
    LedgerError::Internal { what: error.to_string() }
}

/// The bytes of a row group: all its columns.
pub fn group_bytes(group: &RowGroupMetaData) -> std::ops::Range<u64> {
    let ranges = group.columns().iter().map(|c| c.byte_range());
    let from = ranges.clone().map(|r| r.0).min().unwrap_or(0);
    let to = ranges.map(|r| r.0.saturating_add(r.1)).max().unwrap_or(0);
    from..to
}

pub fn checksum(bytes: &[u8]) -> String {
    // It finds damage. Who forges a pack can forge its checksum, whatever the hash.
    hex(&xxh3_128(bytes).to_be_bytes())
}

/// The footer's key of its seal.
const SEAL_KEY: &str = "afterscope.seal";

/// What of a footer decides which rows are read, and how: our own values, and of each row group its place, its
/// rows, its columns and the extremes by which it is passed over. Row groups have checksums of their own.
fn seal<'a>(
    values: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    groups: impl IntoIterator<Item = &'a RowGroupMetaData>,
) -> String {
    let mut text = String::new();
    // The library has a key of its own.
    for (key, value) in values.filter(|(key, _)| key.starts_with("afterscope.")) {
        text.push_str(&format!("{key} {}\n", checksum(value.unwrap_or_default().as_bytes())));
    }
    for group in groups {
        text.push_str(&format!("rows {}\n", group.num_rows()));
        for column in group.columns() {
            // Not as a range: of a damaged footer that is none.
            let first = column.dictionary_page_offset().unwrap_or(-1);
            let place = (first, column.data_page_offset(), column.compressed_size());
            let extremes = column.statistics().map(|s| {
                let hex = |bytes: Option<&[u8]>| bytes.map(hex);
                (hex(s.min_bytes_opt()), hex(s.max_bytes_opt()), s.null_count_opt())
            });
            let of = column.column_descr();
            let name = of.path().string();
            let shape = (of.max_def_level(), of.max_rep_level(), column.num_values());
            let kind = format!("{} {}", of.physical_type(), of.converted_type());
            text.push_str(&format!("{name} {kind} {shape:?} {place:?} {extremes:?}\n"));
        }
    }
    checksum(text.as_bytes())
}

/// Whether a footer is as it was written.
pub fn is_sealed(metadata: &ParquetMetaData) -> bool {
    let Some(all) = metadata.file_metadata().key_value_metadata() else { return false };
    let own = all.iter().find(|kv| kv.key == SEAL_KEY).and_then(|kv| kv.value.as_deref());
    let others = all.iter().filter(|kv| kv.key != SEAL_KEY);
    let parts = others.map(|kv| (kv.key.as_str(), kv.value.as_deref()));
    own == Some(seal(parts, metadata.row_groups()).as_str())
}

/// A value of an object's footer.
pub fn footer_value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let all = metadata.file_metadata().key_value_metadata()?;
    all.iter().find(|kv| kv.key == key)?.value.as_deref()
}

/// An object as row groups that are read and checked one by one.
#[derive(Debug)]
pub struct Groups {
    pub shelf: Shelf,
    pub name: String,
    pub size: u64,
    pub metadata: ArrowReaderMetadata,
    ranges: Vec<std::ops::Range<u64>>,
    checksums: Vec<String>,
}

impl Groups {
    /// # Errors
    /// [`LedgerError::Damaged`] where there are not as many checksums as row groups.
    pub fn new(
        shelf: Shelf,
        name: String,
        size: u64,
        metadata: ArrowReaderMetadata,
        checksums: Vec<String>,
    ) -> Result<Self, LedgerError> {
        let ranges: Vec<_> = metadata.metadata().row_groups().iter().map(group_bytes).collect();
        let groups = Self { shelf, name, size, metadata, ranges, checksums };
        if groups.ranges.len() != groups.checksums.len() {
            let (found, checked) = (groups.ranges.len(), groups.checksums.len());
            let reason = format!("it has {found} row groups and {checked} checksums");
            return Err(groups.damaged(reason));
        }
        Ok(groups)
    }

    pub fn damaged(&self, reason: impl ToString) -> LedgerError {
        LedgerError::Damaged { pack: self.shelf.shown(&self.name), reason: reason.to_string() }
    }

    /// Row groups whose `column`, of unsigned numbers in order, may hold values of the range; those
    /// whose column holds nulls where `or_null`.
    pub fn within(
        &self,
        column: &str,
        range: &std::ops::RangeInclusive<u64>,
        or_null: bool,
    ) -> Vec<usize> {
        let leaf = self.metadata.parquet_schema().columns().iter().position(|c| c.name() == column);
        let rows = self.metadata.metadata().row_groups();
        (0..rows.len())
            .filter(|i| {
                let statistics = leaf.and_then(|leaf| {
                    rows.get(*i).and_then(|g| g.columns().get(leaf)).and_then(|c| c.statistics())
                });
                let Some(Statistics::Int64(s)) = statistics else { return true };
                let null = or_null && s.null_count_opt().is_none_or(|n| n > 0);
                let (Some(least), Some(greatest)) = (s.min_opt(), s.max_opt()) else { return true };
                // Parquet stores unsigned numbers in signed ones, bit by bit.
                let (least, greatest) = (*least as u64, *greatest as u64);
                null || (least <= *range.end() && greatest >= *range.start())
            })
            .collect()
    }

    /// How many rows a row group has.
    pub fn rows(&self, group: usize) -> usize {
        let group = self.metadata.metadata().row_groups().get(group);
        group.and_then(|group| usize::try_from(group.num_rows()).ok()).unwrap_or(0)
    }

    /// The bytes of one row group, checked.
    ///
    /// # Errors
    /// Storage failures and damaged objects.
    pub fn fetch(&self, group: usize) -> Result<Fetched, LedgerError> {
        let range = self.ranges.get(group).cloned().unwrap_or(0..0);
        let bytes = self.shelf.read(&self.name, &sized(self.size), range.clone())?;
        if Some(&checksum(&bytes)) != self.checksums.get(group) {
            return Err(self.damaged(format!("row group {group} does not match its checksum")));
        }
        Ok(Fetched::new(self.size, vec![(range.start, bytes)]))
    }

    /// The rows of one row group, `rows` of them at a time.
    ///
    /// # Errors
    /// Storage failures and damaged objects.
    pub fn open(&self, group: usize, rows: usize) -> Result<ParquetRecordBatchReader, LedgerError> {
        let leaves = (0..self.metadata.parquet_schema().num_columns()).collect();
        self.columns(group, self.fetch(group)?, leaves, None, rows)
    }

    /// Some columns of a row group that was fetched, `rows` rows of those `selected` at a time; `None` selects all.
    ///
    /// # Errors
    /// Damaged objects.
    pub fn columns(
        &self,
        group: usize,
        fetched: Fetched,
        leaves: Vec<usize>,
        selected: Option<RowSelection>,
        rows: usize,
    ) -> Result<ParquetRecordBatchReader, LedgerError> {
        let columns = ProjectionMask::leaves(self.metadata.parquet_schema(), leaves);
        let mut reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(fetched, self.metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(columns)
                .with_batch_size(rows);
        if let Some(selected) = selected {
            reader = reader.with_row_selection(selected);
        }
        reader.build().map_err(|e| self.damaged(e))
    }
}
