//! Rows of a table's own Parquet files, a few columns of them: deletes, and what checkpoints list.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};

use crate::fetched::Fetched;
use crate::headers::{self, Large, NoRoom};
use crate::memory::Budget;
use crate::snapshot::DeletesError;
use crate::store::{Pin, Store};

/// Most footers fit.
const TAIL: u64 = 64 << 10;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8 << 10;

/// Pages that take no more are read whatever the memory limit: it leaves as much beside the program.
const LEAST_ROOM: u64 = 16 << 20;

/// One version of a file.
#[derive(Clone, Debug)]
pub struct Pinned {
    pub store: Store,
    /// Below the table's folder.
    pub path: String,
    pub pin: Pin,
    /// Bytes that its pages may take while they are read: one of each column, with the column's dictionary.
    pub room: u64,
}

impl Pinned {
    /// The file's address, for messages.
    pub fn shown(&self) -> String {
        self.store.shown(&self.path)
    }

    pub fn damaged(&self, reason: impl std::fmt::Display) -> DeletesError {
        DeletesError::Damaged(format!("{}: {reason}", self.shown()))
    }

    /// # Errors
    /// Storage failures.
    pub fn bytes(&self, range: Range<u64>) -> Result<Bytes, DeletesError> {
        let range = std::slice::from_ref(&range);
        let parts = self.store.wait_for_ranges(&self.path, &self.pin, range)?;
        parts.into_iter().next().ok_or_else(|| self.damaged("no bytes"))
    }

    /// The file with its footer read.
    ///
    /// # Errors
    /// Storage failures, and what is no Parquet.
    pub fn open(&self) -> Result<Opened, DeletesError> {
        self.open_as(ArrowReaderOptions::new().with_skip_arrow_metadata(true))
    }

    /// The same, with columns of the types that `options` make of them.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as(&self, options: ArrowReaderOptions) -> Result<Opened, DeletesError> {
        let size = self.pin.size;
        let mut from = size.saturating_sub(TAIL);
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip);
        loop {
            let tail = self.bytes(from..size)?;
            match reader.try_parse_sized(&tail, size) {
                Ok(()) => break,
                Err(ParquetError::NeedMoreData(needed)) if from > 0 => {
                    let wanted = size.saturating_sub(needed as u64);
                    if wanted >= from {
                        return Err(self.damaged("its footer is damaged"));
                    }
                    from = wanted;
                }
                Err(error) => return Err(self.damaged(error)),
            }
        }
        let metadata = reader.finish().map_err(|e| self.damaged(e))?;
        let metadata =
            ArrowReaderMetadata::try_new(metadata.into(), options).map_err(|e| self.damaged(e))?;
        Ok(Opened { file: self.clone(), metadata, unchecked: AtomicBool::default() })
    }
}

/// A file whose footer was read.
pub struct Opened {
    pub file: Pinned,
    pub metadata: ArrowReaderMetadata,
    unchecked: AtomicBool,
}

impl Opened {
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    pub fn rows_of(&self, group: usize) -> u64 {
        let group = self.metadata.metadata().row_groups().get(group);
        group.map_or(0, |group| u64::try_from(group.num_rows()).unwrap_or(0))
    }

    /// Whether a page that [`Self::read`] has read has no checksum.
    pub fn is_unchecked(&self) -> bool {
        self.unchecked.load(Ordering::Relaxed)
    }

    /// The whole columns at these places, of one row group, batch by batch. Keeps whether their pages have
    /// checksums.
    ///
    /// # Errors
    /// Storage failures, damage, and pages that there is no room for.
    pub fn read(
        &self,
        group: usize,
        roots: &[usize],
    ) -> Result<impl Iterator<Item = Result<RecordBatch, DeletesError>> + use<>, DeletesError> {
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots.iter().copied());
        self.masked(group, mask)
    }

    /// A part of the columns of one row group, as [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn masked(
        &self,
        group: usize,
        mask: ProjectionMask,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, DeletesError>> + use<>, DeletesError> {
        let chunks = self.fetched(group, &mask)?;
        let mut at_once = BATCH_ROWS;
        if let Some(details) = self.metadata.metadata().row_groups().get(group) {
            let leaves: Vec<usize> =
                (0..details.num_columns()).filter(|leaf| mask.leaf_included(*leaf)).collect();
            let room = self.file.room.max(LEAST_ROOM);
            let pages = headers::look(details, &leaves, &chunks, room, None);
            let pages = pages.map_err(|e| self.file.damaged(e))?;
            let too_large = |NoRoom { bytes, row }| DeletesError::Room {
                file: self.file.shown(),
                large: Box::new(Large::row(details, row)),
                needed: Budget::for_deletes(bytes),
            };
            if pages.bytes > room {
                return Err(too_large(NoRoom { bytes: pages.bytes, row: pages.long_row() }));
            }
            at_once = pages.rows_at_once(details, &chunks, BATCH_ROWS, room).map_err(too_large)?;
            self.unchecked.fetch_or(pages.unchecked, Ordering::Relaxed);
        }
        self.decoded(group, mask, chunks, at_once)
    }

    /// The bytes of a row group's columns.
    fn fetched(&self, group: usize, mask: &ProjectionMask) -> Result<Fetched, DeletesError> {
        let details = self.metadata.metadata().row_groups().get(group);
        let columns = details.map(|group| group.columns()).unwrap_or_default();
        let ranges: Vec<Range<u64>> = columns
            .iter()
            .enumerate()
            .filter(|(leaf, _)| mask.leaf_included(*leaf))
            .map(|(_, column)| column.byte_range())
            .map(|(start, length)| start..start.saturating_add(length))
            .filter(|range| !range.is_empty())
            .collect();
        let file = &self.file;
        let bytes = file.store.wait_for_ranges(&file.path, &file.pin, &ranges)?;
        let starts = ranges.iter().map(|range| range.start);
        Ok(Fetched::new(file.pin.size, starts.zip(bytes).collect()))
    }

    fn decoded(
        &self,
        group: usize,
        mask: ProjectionMask,
        chunks: Fetched,
        at_once: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, DeletesError>> + use<>, DeletesError> {
        let file = self.file.clone();
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, self.metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(mask)
                .with_batch_size(at_once)
                .build()
                .map_err(|e| file.damaged(e))?;
        Ok(reader.map(move |batch| batch.map_err(|e| file.damaged(e))))
    }
}
