//! Rows of a file that its table has deleted.

use std::ops::Range;

use parquet::file::metadata::ParquetMetaData;
use roaring::RoaringTreemap;

use super::ScanError;
use super::file::OpenFile;
use crate::snapshot::{Deletes, DeletesError, GoneRows};

/// Rows of a file that are gone, by their number in it.
#[derive(Debug)]
pub(super) struct Deleted {
    rows: RoaringTreemap,
    /// First row of each row group, and the number of all.
    starts: Vec<u64>,
    /// Whether a page that tells of them has no checksum.
    pub unchecked: bool,
}

impl Deleted {
    /// # Errors
    /// Storage failures, and rows that the file or the table does not have so.
    pub fn load(
        file: &OpenFile,
        of: &Deletes,
        metadata: &ParquetMetaData,
    ) -> Result<Self, ScanError> {
        let GoneRows { rows, unchecked } = of.source.load().map_err(|error| match error {
            DeletesError::Store(error) => error.into(),
            DeletesError::Damaged(reason) => {
                file.unreadable(&format!("its deleted rows cannot be read: {reason}"))
            }
            DeletesError::Unsupported(what) => {
                ScanError::Unsupported { file: file.shown.clone(), what }
            }
            DeletesError::Room { file, large, needed } => ScanError::Memory { file, large, needed },
        })?;
        let mut starts = vec![0u64];
        for group in metadata.row_groups() {
            let before = starts.last().copied().unwrap_or(0);
            starts.push(before + u64::try_from(group.num_rows()).unwrap_or(0));
        }
        let total = starts.last().copied().unwrap_or(0);
        let told = of.rows.unwrap_or(rows.len());
        if rows.len() != told || rows.max().is_some_and(|last| last >= total) {
            return Err(file.unreadable(&format!(
                "the table says that {told} of its rows are deleted; {} are named, up to number {}, and it has {total}",
                rows.len(),
                rows.max().unwrap_or(0),
            )));
        }
        Ok(Self { rows, starts, unchecked })
    }

    fn group(&self, group: usize) -> Option<Range<u64>> {
        Some(*self.starts.get(group)?..*self.starts.get(group + 1)?)
    }

    /// How many rows of the row group are gone.
    pub fn count(&self, group: usize) -> u64 {
        self.group(group).map_or(0, |rows| self.rows.range_cardinality(rows))
    }

    /// The rows of the row group that are not gone, counted from its first; `None` where all are there.
    pub fn live(&self, group: usize) -> Option<Vec<Range<usize>>> {
        let rows = self.group(group).filter(|_| self.count(group) > 0)?;
        let place = |row: u64| usize::try_from(row - rows.start).unwrap_or(usize::MAX);
        let mut gone = self.rows.iter();
        gone.advance_to(rows.start);
        let mut live = Vec::new();
        let mut from = rows.start;
        for row in gone.take_while(|row| *row < rows.end) {
            if row > from {
                live.push(place(from)..place(row));
            }
            from = row + 1;
        }
        if from < rows.end {
            live.push(place(from)..place(rows.end));
        }
        Some(live)
    }
}
