//! Sorted tables in the state folder: plain Parquet, a row group at a time.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, Int64Array, UInt32Array, UInt64Array};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
};
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::ledger::LedgerError;
use crate::ledger::shelf::{Encoder, Groups, Shelf, footer_value, internal, is_sealed, sized};
use crate::store::Upload;

/// The footer's key.
const FOOTER_KEY: &str = "afterscope.people";

/// Rows of a row group.
const GROUP_ROWS: usize = 64 << 10;

/// Rows decoded at once.
const BATCH_ROWS: usize = 8 << 10;

/// Values of one column.
pub enum Values {
    U64(Vec<u64>),
    U32(Vec<u32>),
    I64(Vec<i64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::U64(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::I64(v) => v.len(),
        }
    }

    fn take(&mut self) -> ArrayRef {
        match self {
            Self::U64(v) => Arc::new(UInt64Array::from(std::mem::take(v))),
            Self::U32(v) => Arc::new(UInt32Array::from(std::mem::take(v))),
            Self::I64(v) => Arc::new(Int64Array::from(std::mem::take(v))),
        }
    }
}

/// What a table's footer holds beside what its maker says.
#[derive(Serialize, Deserialize)]
struct Footer<F> {
    rows: u64,
    checksums: Vec<String>,
    about: F,
}

/// A table in the making. Rows come in the order of the first column.
pub struct TableWriter {
    names: Vec<&'static str>,
    columns: Vec<Values>,
    object: Upload,
    encoder: Option<Encoder>,
    rows: u64,
}

/// A row: columns take from it, in their order, the values of their type. A key whose lower half no
/// column takes has none.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub key: Key,
    pub numbers: &'a [u32],
    pub moment: i64,
}

impl TableWriter {
    pub fn new(shelf: &Shelf, name: &str, columns: Vec<(&'static str, Values)>) -> Self {
        let (names, columns) = columns.into_iter().unzip();
        Self { names, columns, object: shelf.create(name), encoder: None, rows: 0 }
    }

    /// # Errors
    /// Storage failures.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), LedgerError> {
        let mut halves = [row.key.hi, row.key.lo].into_iter();
        let mut numbers = row.numbers.iter().copied();
        for column in &mut self.columns {
            match column {
                Values::U64(values) => values.extend(halves.next()),
                Values::U32(values) => values.extend(numbers.next()),
                Values::I64(values) => values.push(row.moment),
            }
        }
        if self.columns.first().map_or(0, Values::len) < GROUP_ROWS {
            return Ok(());
        }
        self.write()
    }

    /// Writes what waits as a row group.
    fn write(&mut self) -> Result<(), LedgerError> {
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Values::take).collect();
        let fields: Vec<Field> = self
            .names
            .iter()
            .zip(&arrays)
            .map(|(name, array)| Field::new(*name, array.data_type().clone(), false))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|e| internal(&e))?;
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(Encoder::new(
                batch.schema(),
                properties(self.names.first().copied().unwrap_or_default()),
            )?),
        };
        if batch.num_rows() > 0 {
            self.object.write(encoder.write(&batch)?)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Makes the table visible.
    ///
    /// # Errors
    /// Storage failures.
    pub fn finish<F: Serialize>(mut self, about: &F) -> Result<(), LedgerError> {
        // A table without rows has its columns all the same.
        self.write()?;
        if let Some(mut encoder) = self.encoder.take() {
            let checksums = std::mem::take(&mut encoder.checksums);
            let footer = Footer { rows: self.rows, checksums, about };
            let json = serde_json::to_string(&footer).map_err(|e| internal(&e))?;
            self.object.write(encoder.finish_sealed([(FOOTER_KEY, json)])?)?;
        }
        self.object.finish()?;
        Ok(())
    }
}

fn properties(first: &str) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from(first), EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_size_limit(1 << 20)
        .set_data_page_row_count_limit(usize::MAX)
        .set_created_by("afterscope".into())
        .build()
}

/// A finished table.
#[derive(Debug)]
pub struct Table {
    groups: Groups,
    pub rows: u64,
}

impl Table {
    /// `None` where there is no such table.
    ///
    /// # Errors
    /// Storage failures and damaged tables.
    pub fn open<F: DeserializeOwned>(
        shelf: &Shelf,
        name: &str,
    ) -> Result<Option<(Self, F)>, LedgerError> {
        let Some(pin) = shelf.head(name)? else { return Ok(None) };
        let damaged = |reason: String| LedgerError::Damaged { pack: shelf.shown(name), reason };
        let parquet = shelf.metadata(name, &sized(pin.size))?;
        if !is_sealed(&parquet) {
            return Err(damaged("its footer does not match its seal".into()));
        }
        let json = footer_value(&parquet, FOOTER_KEY)
            .ok_or_else(|| damaged("it has no afterscope footer".into()))?;
        let footer: Footer<F> = serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::try_new(Arc::new(parquet), options)
            .map_err(|e| damaged(e.to_string()))?;
        let groups = Groups::new(shelf.clone(), name.into(), pin.size, metadata, footer.checksums)?;
        Ok(Some((Self { groups, rows: footer.rows }, footer.about)))
    }

    pub fn damaged(&self, reason: impl ToString) -> LedgerError {
        self.groups.damaged(reason)
    }

    /// The batches whose first column, `column`, may hold values of the range.
    pub fn batches(&self, column: &str, range: &RangeInclusive<u64>) -> Batches<'_> {
        let groups = self.groups.within(column, range, false).into_iter();
        Batches { table: self, groups, reader: None }
    }
}

/// Batches of a stretch of a table.
pub struct Batches<'a> {
    table: &'a Table,
    groups: std::vec::IntoIter<usize>,
    reader: Option<ParquetRecordBatchReader>,
}

impl Batches<'_> {
    /// # Errors
    /// Storage failures and damaged tables.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, LedgerError> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next() {
                    Some(Ok(batch)) => return Ok(Some(batch)),
                    Some(Err(e)) => return Err(self.table.damaged(e)),
                    None => self.reader = None,
                }
            }
            let Some(group) = self.groups.next() else { return Ok(None) };
            self.reader = Some(self.table.groups.open(group, BATCH_ROWS)?);
        }
    }

    /// The values of a column; empty where the table does not have it.
    ///
    /// # Errors
    /// A column of another type.
    pub fn column<T: ArrowPrimitiveType>(
        &self,
        batch: &RecordBatch,
        name: &str,
    ) -> Result<ScalarBuffer<T::Native>, LedgerError> {
        let Some(array) = batch.column_by_name(name) else { return Ok(Vec::new().into()) };
        let values = array.as_primitive_opt::<T>().map(|array| array.values().clone());
        values.ok_or_else(|| self.table.damaged(format!("its column `{name}` has another type")))
    }
}

/// A key of two columns, the second of which may be missing.
#[inline]
pub fn key_at(hi: &[u64], lo: &[u64], row: usize) -> Option<Key> {
    Some(Key { hi: *hi.get(row)?, lo: lo.get(row).copied().unwrap_or(0) })
}
