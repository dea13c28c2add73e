//! Columns with one value a row, in structs or not, read page by page at the rows that are wanted.
//!
//! Parquet's Arrow reader decodes the rows between two wanted ones to pass over them, and makes arrays
//! of dictionary codes that are looked at once. Here a page is taken as it was decompressed: values in
//! plain encoding are read where they lie, and of bit-packed codes only those of wanted rows are
//! unpacked. docs/performance.md has the figures. Columns of any other shape (lists and maps, long texts,
//! delta encodings, pages that were not fetched) go through the library's reader, and tests hold
//! both against each other.

mod column;
mod levels;
mod page;
mod seek;
mod source;
mod structs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_nested;
#[cfg(test)]
mod tests_seek;
mod texts;

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::ArrayRef;
use arrow::datatypes::{FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::ParquetError;

use column::Flat;
pub(super) use column::FlatColumn;
pub(crate) use page::Rows;
pub(super) use seek::{FewRows, Places};
use structs::in_structs;

use super::ranges::BATCH_ROWS;
use crate::codes::index;
use crate::effort::{Effort, Part};
use crate::fetched::Fetched;
use crate::threads::in_threads;

type Result<T> = std::result::Result<T, ParquetError>;

fn damaged(what: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(what.to_string())
}

/// A page that is not what the footer says, or of an old kind: the library's reader is to be asked.
fn not_flat(what: impl std::fmt::Display) -> ParquetError {
    ParquetError::NYI(what.to_string())
}

/// The `i`-th piece of `N` bytes.
#[inline]
fn chunk<const N: usize>(bytes: &[u8], i: usize) -> Option<&[u8; N]> {
    bytes.get(i.checked_mul(N)?..)?.first_chunk()
}

/// Wanted rows of flat columns, in their structs, a batch at a time. [`ParquetError::NYI`] says that a page is of a kind
/// that only the library reads: all rows are to be read there.
pub(super) struct FlatReader<'a> {
    columns: Vec<FlatColumn>,
    wanted: std::slice::Chunks<'a, u32>,
    /// So many threads read a column each.
    threads: usize,
    effort: Option<&'a Effort>,
}

impl<'a> FlatReader<'a> {
    /// Rows `wanted` (ascending) of the columns; `None` where one is not flat, or not all here. Of those with `places`
    /// the pages of wanted rows are.
    pub fn open(
        metadata: &ArrowReaderMetadata,
        group: usize,
        leaves: &[usize],
        wanted: &'a [u32],
        fetched: &Arc<Fetched>,
        mut places: Places,
    ) -> Result<Option<Self>> {
        let mut leaves = leaves.to_vec();
        leaves.sort_unstable();
        leaves.dedup();
        let mut columns = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let column = FlatColumn::open(metadata, group, leaf, fetched, places.remove(&leaf))?;
            let Some(column) = column else { return Ok(None) };
            columns.push(column);
        }
        // Without a column nothing tells how many rows there are.
        let wanted = wanted.chunks(BATCH_ROWS);
        Ok((!columns.is_empty()).then(|| Self { columns, wanted, threads: 1, effort: None }))
    }

    /// The same on so many threads, where others have nothing to do; what they take is put down.
    pub fn on(self, threads: usize, effort: &'a Effort) -> Self {
        Self { threads: threads.min(self.columns.len()), effort: Some(effort), ..self }
    }

    /// Whether all of the columns are flat, by what the file says of them.
    pub fn takes(metadata: &ArrowReaderMetadata, group: usize, leaves: &[usize]) -> bool {
        leaves.iter().all(|leaf| Flat::of(metadata, group, *leaf).is_some())
    }

    fn read(&mut self, rows: &[u32]) -> Result<RecordBatch> {
        let next = Mutex::new(self.columns.iter_mut().enumerate());
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        let reading = || {
            let mut read = Vec::new();
            while let Some((number, column)) = take() {
                read.push((number, column.read(Rows::Some(rows))));
            }
            read
        };
        let read = in_threads::<_, ParquetError>(self.threads, |number| {
            // What the first one takes is put down where it was called.
            let effort = self.effort.filter(|_| number > 0);
            Ok(effort.map_or_else(reading, |effort| effort.timed(Part::Decoding, reading)))
        })?;
        let mut read: Vec<_> = read.into_iter().flatten().collect();
        read.sort_unstable_by_key(|(number, _)| *number);
        // Of several that are damaged the first one is named, whichever was met first.
        let arrays: Result<Vec<ArrayRef>> = read.into_iter().map(|(_, array)| array).collect();
        let ways = self.columns.iter().map(|column| column.way.as_slice());
        let leaves: Vec<_> = ways.zip(arrays?).collect();
        let (fields, arrays) = in_structs(&leaves)?;
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }
}

impl Iterator for FlatReader<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.wanted.next()?;
        Some(self.read(rows))
    }
}

/// Flat columns of a row group that is all here.
#[derive(Default)]
pub(crate) struct FlatColumns {
    columns: Vec<FlatColumn>,
}

impl FlatColumns {
    /// Those of `leaves` that are flat, and the others.
    pub(crate) fn open(
        metadata: &ArrowReaderMetadata,
        group: usize,
        leaves: impl IntoIterator<Item = usize>,
        fetched: &Arc<Fetched>,
    ) -> Result<(Self, Vec<usize>)> {
        let (mut flat, mut others) = (Self::default(), Vec::new());
        for leaf in leaves {
            match FlatColumn::open(metadata, group, leaf, fetched, None)? {
                Some(column) if column.way.len() == 1 => flat.columns.push(column),
                _ => others.push(leaf),
            }
        }
        Ok((flat, others))
    }

    /// As [`FlatColumn::mark`], of one column.
    pub(crate) fn mark(
        metadata: &ArrowReaderMetadata,
        (group, leaf): (usize, usize),
        fetched: &Arc<Fetched>,
        marks: &mut [u8],
        mark: impl Fn(u64) -> u8,
        of_null: u8,
    ) -> Result<()> {
        match FlatColumn::open(metadata, group, leaf, fetched, None)? {
            Some(column) => column.mark(marks, mark, of_null),
            None => Err(not_flat("it is no flat column")),
        }
    }

    /// Fields and values of `rows`, which ascend, also from one call to the next.
    pub(crate) fn read(&mut self, rows: Rows<'_>) -> Result<Vec<(FieldRef, ArrayRef)>> {
        let columns = self.columns.iter_mut();
        let read = |column: &mut FlatColumn| {
            let values = column.read(rows.clone())?;
            Ok(column.way.last().cloned().map(|field| (field, values)))
        };
        columns.filter_map(|column| read(column).transpose()).collect()
    }
}
