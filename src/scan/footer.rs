//! Footers: read, checked before anything relies on them, and what opening a file found in them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};

use super::ScanError;
use super::deleted::Deleted;
use super::events::Columns;
use super::file::OpenFile;
use super::prune;
use crate::fetched::Fetched;
use crate::moment::{EpochUnit, Moment};
use crate::thrift::walk;

/// Rows of a row group at most: their numbers have 32 bits.
const MOST_ROWS: i64 = u32::MAX as i64;

/// A footer, as far as it could be read with the bytes at hand.
pub(super) enum FooterRead {
    Whole(Arc<ParquetMetaData>),
    /// It begins before them: at this byte.
    NeedsFrom(u64),
}

impl OpenFile {
    /// Reads the footer, and the index of pages where it is wanted and there, from the file's end.
    ///
    /// # Errors
    /// Damaged files.
    pub fn read_footer(&self, fetched: Fetched, pages: bool) -> Result<FooterRead, ScanError> {
        let size = self.pin.size;
        if size < 12 {
            return Err(
                self.unreadable(&format!("it has {size} bytes; a Parquet file has at least 12"))
            );
        }
        let (from, tail) = fetched.first();
        self.check_tail(&tail)?;
        let mut reader = ParquetMetaDataReader::new();
        if let Some(earlier) = self.parsed(reader.try_parse_sized(&tail, size), from)? {
            return Ok(FooterRead::NeedsFrom(earlier));
        }
        let metadata = reader.finish().map_err(|e| self.unreadable(&e))?;
        self.check_footer(&metadata)?;
        if !pages {
            return Ok(FooterRead::Whole(Arc::new(metadata)));
        }
        self.check_page_index(&metadata, from, &tail)?;
        let mut reader = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_page_index_policy(PageIndexPolicy::Optional);
        if let Some(earlier) = self.parsed(reader.read_page_indexes_sized(&tail, size), from)? {
            return Ok(FooterRead::NeedsFrom(earlier));
        }
        let metadata = reader.finish().map_err(|e| self.unreadable(&e))?;
        Ok(FooterRead::Whole(Arc::new(metadata)))
    }

    /// Where the bytes from `from` on are not enough: from where they are.
    fn parsed(&self, done: Result<(), ParquetError>, from: u64) -> Result<Option<u64>, ScanError> {
        match done {
            Ok(()) => Ok(None),
            Err(ParquetError::NeedMoreData(needed)) => {
                let needed = self.pin.size.saturating_sub(needed as u64);
                if needed >= from {
                    return Err(self.unreadable(&"its footer is damaged"));
                }
                Ok(Some(needed))
            }
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// Encrypted files are told as what they are; and a footer that claims more than its bytes can hold does
    /// not reach the library.
    fn check_tail(&self, tail: &[u8]) -> Result<(), ScanError> {
        let encrypted = || {
            self.unreadable(
                &"unsupported: the file is encrypted; give a copy that is not, or leave it out",
            )
        };
        let Some((rest, [a, b, c, d, magic @ ..])) = tail.split_last_chunk::<8>() else {
            return Ok(());
        };
        if magic == b"PARE" {
            return Err(encrypted());
        }
        let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let footer = rest.len().checked_sub(length).and_then(|from| rest.get(from..));
        // The library says what is wrong with a footer that is not here, and what else the end may be.
        let Some(footer) = footer.filter(|_| magic == b"PAR1") else { return Ok(()) };
        let mut is_encrypted = false;
        // parquet.thrift, FileMetaData: 8 is the algorithm by which columns are encrypted.
        let walked = walk(footer, |path, _| is_encrypted |= path.first() == Some(&8));
        if is_encrypted {
            return Err(encrypted());
        }
        walked.map(drop).ok_or_else(|| self.unreadable(&"its footer is damaged"))
    }

    /// What of the index of pages is here must be what it says; it is parsed like the footer.
    fn check_page_index(
        &self,
        metadata: &ParquetMetaData,
        from: u64,
        tail: &[u8],
    ) -> Result<(), ScanError> {
        for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
            let place = |offset: Option<i64>, length: Option<i32>| {
                let start = u64::try_from(offset?).ok()?.checked_sub(from)?;
                let start = usize::try_from(start).ok()?;
                tail.get(start..start.checked_add(usize::try_from(length?).ok()?)?)
            };
            let parts = [
                place(column.column_index_offset(), column.column_index_length()),
                place(column.offset_index_offset(), column.offset_index_length()),
            ];
            if parts.into_iter().flatten().any(|part| walk(part, |_, _| ()).is_none()) {
                let of = column.column_path().string();
                return Err(
                    self.unreadable(&format!("its index of the pages of `{of}` is damaged"))
                );
            }
        }
        Ok(())
    }

    /// A footer that contradicts itself or the file says nothing that could be relied on. (The library takes
    /// no rows of a file whose own count is 0, whatever its row groups hold.)
    fn check_footer(&self, metadata: &ParquetMetaData) -> Result<(), ScanError> {
        let rows = metadata.file_metadata().num_rows();
        let held: i64 = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).sum();
        if rows != held || metadata.row_groups().iter().any(|group| group.num_rows() < 0) {
            let reason =
                format!("its footer says that it has {rows} rows, and its row groups {held}");
            return Err(self.unreadable(&reason));
        }
        for (number, group) in metadata.row_groups().iter().enumerate() {
            if group.num_rows() > MOST_ROWS {
                let rows = group.num_rows();
                return Err(self.unreadable(&format!(
                    "unsupported: row group {number} has {rows} rows, and at most {MOST_ROWS} are read"
                )));
            }
            for column in group.columns() {
                let (start, length) = column.byte_range();
                let end = start.checked_add(length).filter(|end| *end <= self.pin.size);
                if end.is_none() {
                    return Err(self.unreadable(&format!(
                        "its footer says that column `{}` of row group {number} has {length} bytes from byte {start} on, and the file has {}",
                        column.column_path().string(),
                        self.pin.size
                    )));
                }
            }
        }
        Ok(())
    }
}

/// What opening a file found.
#[derive(Debug)]
pub struct Footer {
    pub metadata: ArrowReaderMetadata,
    pub columns: Columns,
    /// The time that the file's partition declares.
    pub bound: Option<Range<Moment>>,
    pub file_day: Option<i64>,
    /// By row group.
    pub days: Vec<GroupDays>,
    /// Leaf and unit of the time column, where its statistics speak of moments.
    pub time: Option<(usize, EpochUnit)>,
    /// The scope column, where its statistics, bloom filters and pages speak for single scopes.
    pub scope_leaf: Option<usize>,
    pub(super) deleted: Option<Deleted>,
    /// By row group: whether a page that was read has no checksum.
    pub(super) unchecked: Vec<AtomicBool>,
}

impl Footer {
    /// How many rows of the row group are gone.
    pub fn deleted_in(&self, group: usize) -> u64 {
        self.deleted.as_ref().map_or(0, |deleted| deleted.count(group))
    }

    /// Whether a page that tells which rows are gone has no checksum.
    pub fn deletes_unchecked(&self) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.unchecked)
    }

    /// The rows of the row group that are not gone; `None` where all are there.
    pub fn live_rows(&self, group: usize) -> Option<Vec<Range<usize>>> {
        self.deleted.as_ref()?.live(group)
    }

    /// Keeps whether pages of the row group that were read lack checksums.
    pub fn learn_unchecked(&self, group: usize, unchecked: bool) {
        if let Some(known) = self.unchecked.get(group) {
            known.fetch_or(unchecked, Ordering::Relaxed);
        }
    }

    pub fn is_unchecked(&self, group: usize) -> bool {
        self.unchecked.get(group).is_some_and(|known| known.load(Ordering::Relaxed))
    }

    pub fn group(&self, group: usize) -> Option<&RowGroupMetaData> {
        self.metadata.metadata().row_groups().get(group)
    }
}

/// The days of a row group's times.
#[derive(Debug)]
pub struct GroupDays {
    /// Of the least and the greatest.
    pub extremes: Option<(i64, i64)>,
    /// Known from the partition, from extremes that leave nothing between them, or by reading.
    known: OnceLock<Vec<(i64, i64)>>,
}

impl GroupDays {
    /// Of a row group, `gone` of whose rows its table has deleted.
    pub fn new(
        group: &RowGroupMetaData,
        gone: u64,
        partition_day: Option<i64>,
        time: Option<(usize, EpochUnit)>,
    ) -> Self {
        let days = |(least, greatest): (Moment, Moment)| (least.day(), greatest.day());
        let extremes =
            time.and_then(|(leaf, unit)| prune::time_extremes(group, leaf, unit)).map(days);
        let told = if gone == 0 {
            extremes.filter(|(from, to)| to - from <= 1)
        } else {
            // The rows that had these times may be gone: one day for all, and no row without a time.
            let range = time.and_then(|(leaf, unit)| prune::time_range(group, leaf, unit));
            range.map(days).filter(|(from, to)| from == to)
        };
        let live = u64::try_from(group.num_rows()).unwrap_or(0).saturating_sub(gone);
        let day = partition_day.map(|day| (day, day));
        let known = match day.or(told) {
            // Without rows it covers no day, whatever its partition says.
            _ if live == 0 => OnceLock::from(Vec::new()),
            Some(days) => OnceLock::from(vec![days]),
            None => OnceLock::new(),
        };
        Self { extremes, known }
    }

    /// The day of the least time.
    pub fn first(&self) -> Option<i64> {
        self.extremes.map(|(first, _)| first)
    }

    pub fn known(&self) -> Option<&[(i64, i64)]> {
        self.known.get().map(Vec::as_slice)
    }

    /// Keeps the days that were read, as ranges.
    pub fn learn(&self, days: &BTreeSet<i64>) {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for day in days {
            match ranges.last_mut() {
                Some(last) if last.1 + 1 == *day => last.1 = *day,
                _ => ranges.push((*day, *day)),
            }
        }
        // Read once: a row group is planned once.
        let _ = self.known.set(ranges);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::metadata::RowGroupMetaData;
    use parquet::schema::types::{SchemaDescriptor, Type};

    fn group(rows: i64) -> RowGroupMetaData {
        let root = Type::group_type_builder("schema").build().unwrap();
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        RowGroupMetaData::builder(schema).set_num_rows(rows).build().unwrap()
    }

    #[test]
    fn a_row_group_without_rows_lies_on_no_day_whatever_its_partition_says() {
        let days = |rows, gone| GroupDays::new(&group(rows), gone, Some(18_000), None);
        assert_eq!(days(2, 1).known(), Some(&[(18_000, 18_000)][..]));
        assert_eq!(days(0, 0).known(), Some(&[][..]));
        assert_eq!(days(2, 2).known(), Some(&[][..]));
    }
}
