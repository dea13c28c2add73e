//! Columns of a file, as the file has them: its rows but for those that its table has deleted.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Fields, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use object_store::memory::InMemory;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::ParquetMetaData;

use super::ScanError;
use super::deleted::Deleted;
use super::file::{OpenFile, TAIL};
use super::footer::FooterRead;
use super::types::arrow_metadata;
use crate::fetched::Fetched;
use crate::headers::Large;
use crate::memory::{Budget, default_limit};
use crate::snapshot::{Partition, SnapshotFile, TableSchema};
use crate::store::{Io, Pin, Store};

/// Rows of a batch at most: few, as they may be wide.
const ROWS: usize = 4 << 10;

/// A file whose footer was read.
pub struct WholeFile {
    file: OpenFile,
    store: Store,
    metadata: ArrowReaderMetadata,
    deleted: Option<Deleted>,
    /// Bytes that one row group may take.
    rest: u64,
    /// Who have the limit together.
    sharers: u64,
}

impl WholeFile {
    /// Opens the version of the file that the snapshot pinned, a file of `table` if there is one.
    ///
    /// # Errors
    /// Files that changed or are damaged.
    pub fn open(
        store: &Store,
        of: &SnapshotFile,
        table: Option<&TableSchema>,
    ) -> Result<Self, ScanError> {
        let file = OpenFile::new(0, of, store);
        let mut from = file.pin.size.saturating_sub(TAIL);
        let footer = loop {
            let whole = from..file.pin.size;
            let ranges = if whole.is_empty() { Vec::new() } else { vec![whole] };
            let bytes = store.wait_for_ranges(&file.path, &file.pin, &ranges)?;
            let parts = bytes.into_iter().map(|bytes| (from, bytes)).collect();
            let fetched = Fetched::new(file.pin.size, parts);
            match file.decoded(|| file.read_footer(fetched, false))? {
                FooterRead::Whole(footer) => break footer,
                FooterRead::NeedsFrom(earlier) => from = earlier,
            }
        };
        let metadata = file.decoded(|| arrow_metadata(&file, footer))?;
        file.check_table(table, &metadata)?;
        let deletes = file.file.deletes.as_ref();
        let deleted = deletes.map(|of| Deleted::load(&file, of, metadata.metadata()));
        let deleted = deleted.transpose()?;
        let own = Self { file, store: store.clone(), metadata, deleted, rest: 0, sharers: 1 };
        Ok(own.within(default_limit()))
    }

    /// A file whose bytes are at hand.
    ///
    /// # Errors
    /// Damaged files.
    pub fn of_bytes(bytes: Bytes, io: &Io) -> Result<Self, ScanError> {
        const NAME: &str = "file.parquet";
        let pin = Pin { size: bytes.len() as u64, ..Default::default() };
        let store = Store::of(Arc::new(InMemory::new()), "memory:", io);
        store.replace(NAME, bytes)?;
        Self::open(&store, &SnapshotFile::new(NAME.into(), pin), None)
    }

    /// Reads within this limit of memory, in bytes.
    #[must_use]
    pub fn within(self, memory_limit: u64) -> Self {
        let rest = Budget::new(memory_limit, 1).map_or(0, |budget| budget.rest);
        Self { rest, ..self }
    }

    /// The address, for messages.
    pub fn shown(&self) -> &str {
        &self.file.shown
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(super) fn partitions(&self) -> &[Partition] {
        &self.file.file.partitions
    }

    pub fn fields(&self) -> &Fields {
        self.metadata.schema().fields()
    }

    pub fn parquet(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// Rows that the table has deleted.
    pub fn deleted(&self) -> u64 {
        let groups = 0..self.parquet().num_row_groups();
        self.deleted.as_ref().map_or(0, |deleted| groups.map(|group| deleted.count(group)).sum())
    }

    /// Reads within a limit that so many share, who each read a row group at a time.
    #[must_use]
    pub fn shared(self, sharers: u64) -> Self {
        let sharers = sharers.max(1);
        Self { rest: self.rest / sharers, sharers, ..self }
    }

    /// Hands on the rows of a row group, in their order, until `take` breaks.
    ///
    /// # Errors
    /// Files that changed or are damaged, and what `take` says.
    pub fn read<E: From<ScanError>>(
        &self,
        group: usize,
        take: impl FnMut(RecordBatch) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        self.read_leaves(group, |_| true, take)
    }

    /// As [`Self::read`], of these top-level columns alone; one that the file lacks is left out.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_columns<E: From<ScanError>>(
        &self,
        group: usize,
        columns: &[&str],
        take: impl FnMut(RecordBatch) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        self.read_leaves(group, |column| columns.contains(&column), take)
    }

    fn read_leaves<E: From<ScanError>>(
        &self,
        group: usize,
        is_wanted: impl Fn(&str) -> bool,
        mut take: impl FnMut(RecordBatch) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        let details = self.parquet().row_groups().get(group).ok_or_else(|| {
            ScanError::Internal { what: format!("{} has no row group {group}", self.shown()) }
        })?;
        let columns = details.columns().iter().enumerate();
        let leaves: Vec<usize> = columns
            .filter(|(_, column)| {
                column.column_path().parts().first().is_some_and(|c| is_wanted(c))
            })
            .map(|(leaf, _)| leaf)
            .collect();
        let chunks = leaves.iter().filter_map(|leaf| details.columns().get(*leaf)).map(|column| {
            let (start, length) = column.byte_range();
            start..start.saturating_add(length)
        });
        let ranges: Vec<_> = chunks.filter(|range| !range.is_empty()).collect();
        let (file, store) = (&self.file, &self.store);
        let held = ranges.iter().map(|range| range.end - range.start).sum();
        if held > self.rest {
            // Not even fetched.
            let large = Large::group(group, Some(details.num_rows()));
            return Err(self.of_all(file.too_large(large, held)).into());
        }
        let bytes = store.wait_for_ranges(&file.path, &file.pin, &ranges);
        let bytes = bytes.map_err(ScanError::from)?;
        let parts = ranges.iter().map(|range| range.start).zip(bytes).collect();
        let fetched = Fetched::new(file.pin.size, parts);
        let mut rows = file.decoded(|| {
            let checked = file.check_pages(details, &leaves, &fetched, (held, self.rest));
            let headers = checked.map_err(|error| self.of_all(error))?;
            let at_once = file.rows_at_once(details, &headers, &fetched, ROWS, (held, self.rest));
            let at_once = at_once.map_err(|error| self.of_all(error))?;
            let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), leaves.clone());
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(fetched, self.metadata.clone());
            let builder = builder.with_row_groups(vec![group]).with_batch_size(at_once);
            let builder = builder.with_projection(mask);
            let total = usize::try_from(details.num_rows()).unwrap_or(0);
            let live = self.deleted.as_ref().and_then(|deleted| deleted.live(group));
            let live =
                live.map(|live| RowSelection::from_consecutive_ranges(live.into_iter(), total));
            let builder = match live {
                Some(live) => builder.with_row_selection(live),
                None => builder,
            };
            builder.build().map_err(|e| file.unreadable(&e))
        })?;
        let gone = self.deleted.as_ref().map_or(0, |deleted| deleted.count(group));
        let wanted = u64::try_from(details.num_rows()).unwrap_or(0).saturating_sub(gone);
        let mut read = 0;
        let mut next = || file.decoded(|| Ok(rows.next()));
        while let Some(batch) = next()? {
            let batch = batch.map_err(|e| file.unreadable(&e))?;
            read += batch.num_rows() as u64;
            if take(batch)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if read != wanted {
            let reason = format!("row group {group} gives {read} rows, and should give {wanted}");
            return Err(file.unreadable(&reason).into());
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl WholeFile {
    /// What one of several needs is needed for each.
    fn of_all(&self, error: ScanError) -> ScanError {
        match error {
            ScanError::Memory { file, large, needed } => {
                ScanError::Memory { file, large, needed: needed.saturating_mul(self.sharers) }
            }
            other => other,
        }
    }
}
