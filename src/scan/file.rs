//! One file: its footer, and where the mapped columns are in it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};

use super::columns::FileShape;
use super::decode::Step;
use super::deleted::Deleted;
use super::engine::Fetch;
use super::events::Columns;
use super::prune;
use super::types::{arrow_metadata, with_dictionaries};
use super::unopened::Times;
use super::{ScanContext, ScanError};
use crate::config::ColumnPlan;
use crate::config::raw::Encoding;
use crate::fetched::Fetched;
use crate::headers::{self, Headers};
use crate::memory::Budget;
use crate::moment::{EpochUnit, Moment};
use crate::snapshot::{SnapshotFile, TableSchema};
use crate::store::{Pin, Store};
use crate::thrift::walk;

/// What a first read takes from the end of a file: most footers fit.
pub(super) const TAIL: u64 = 64 << 10;

/// A file of so many bytes at most is read whole and at once: asking for its parts costs more than they do.
const SMALL: u64 = 512 << 10;

/// Rows of a row group at most: their numbers have 32 bits.
const MOST_ROWS: i64 = u32::MAX as i64;

/// A file while it is read.
#[derive(Debug)]
pub struct OpenFile {
    /// Position in the job's list.
    pub index: usize,
    /// Path below the source's folder.
    pub path: String,
    pub pin: Pin,
    /// The address, for messages.
    pub shown: String,
    pub file: SnapshotFile,
    units_left: AtomicUsize,
    abandoned: AtomicBool,
    /// All of it, where it is small and was read.
    whole: OnceLock<Bytes>,
    /// Whether the budget knows of `whole`.
    pub(super) is_kept: AtomicBool,
    footer: OnceLock<Footer>,
}

impl OpenFile {
    pub fn new(index: usize, file: &SnapshotFile, store: &Store) -> Self {
        Self {
            index,
            path: file.path.clone(),
            pin: file.pin.clone(),
            shown: store.shown(&file.path),
            file: file.clone(),
            units_left: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
            whole: OnceLock::new(),
            is_kept: AtomicBool::new(false),
            footer: OnceLock::new(),
        }
    }

    pub fn first_fetch(file: Arc<Self>) -> Fetch {
        let from = file.pin.size.saturating_sub(TAIL);
        Self::tail(file, from)
    }

    /// The same of a file whose rows are wanted too: all of it where it is small.
    pub fn first_fetch_of_rows(file: Arc<Self>) -> Fetch {
        let from = file.pin.size - Self::first_bytes(file.pin.size);
        Self::tail(file, from)
    }

    /// Bytes that [`Self::first_fetch_of_rows`] takes of a file of so many.
    pub fn first_bytes(size: u64) -> u64 {
        if size <= SMALL { size } else { TAIL }
    }

    /// Keeps the file where `ranges`, which were fetched, are all of it.
    pub fn keep_whole(&self, ranges: &[Range<u64>], bytes: &[Bytes]) {
        if let ([range], [bytes]) = (ranges, bytes)
            && *range == (0..self.pin.size)
            && self.pin.size <= SMALL
        {
            // Set once: it is fetched once.
            let _ = self.whole.set(bytes.clone());
        }
    }

    pub fn is_whole(&self) -> bool {
        self.whole.get().is_some()
    }

    /// Ranges of the file, where it is kept.
    pub fn at_hand(&self, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let whole = self.whole.get()?;
        let part = |range: &Range<u64>| {
            let (from, to) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
            (from <= to && to <= whole.len()).then(|| whole.slice(from..to))
        };
        ranges.iter().map(part).collect()
    }

    /// The end of the file from byte `from` on.
    pub fn tail(file: Arc<Self>, from: u64) -> Fetch {
        // Nothing can be read of an empty file; opening it says what is wrong.
        let ranges = if file.pin.size == 0 { Vec::new() } else { vec![from..file.pin.size] };
        Fetch { file, ranges, step: Step::Open }
    }

    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Gives the file up; `true` for the first to do so.
    pub fn abandon(&self) -> bool {
        !self.abandoned.swap(true, Ordering::Relaxed)
    }

    /// Counts finished units; `true` when these were the last.
    pub fn finish_units(&self, count: usize) -> bool {
        if count == 0 || self.is_abandoned() {
            return false;
        }
        self.units_left.fetch_sub(count, Ordering::AcqRel) == count
    }

    /// Reads the footer from the file's end, and finds the mapped columns.
    ///
    /// # Errors
    /// Damaged files, and columns that are not as mapped.
    pub fn open(&self, context: &ScanContext, fetched: Fetched) -> Result<Opened, ScanError> {
        let metadata = match self.read_footer(fetched, context.pruning)? {
            FooterRead::Whole(metadata) => metadata,
            FooterRead::NeedsFrom(from) => return Ok(Opened::NeedsFrom(from)),
        };
        let plain = arrow_metadata(self, metadata)?;
        self.check_table(context.table.as_ref().map(|table| &table.schema), &plain)?;
        let columns = self.bind(context, &plain)?;
        let metadata = with_dictionaries(&plain, &columns);
        let footer = self.footer_of(context, metadata, columns)?;
        let groups = footer.metadata.metadata().num_row_groups();
        self.units_left.store(groups.max(1), Ordering::Release);
        // Set once: a file is opened once.
        let _ = self.footer.set(footer);
        Ok(Opened::Whole)
    }

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
        let from = fetched.parts.first().map_or(0, |(start, _)| *start);
        let tail = fetched.parts.into_iter().next().map(|(_, b)| b).unwrap_or_default();
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

    /// What the table says of its files must hold for this one.
    ///
    /// # Errors
    /// Columns that cannot be told apart, another number of rows.
    pub fn check_table(
        &self,
        table: Option<&TableSchema>,
        metadata: &ArrowReaderMetadata,
    ) -> Result<(), ScanError> {
        if table.is_some_and(|schema| !schema.tells_apart(metadata.schema())) {
            return Err(ScanError::Unsupported {
                file: self.shown.clone(),
                what:
                    "columns without field ids in a table that has no `schema.name-mapping.default`"
                        .into(),
            });
        }
        let has = metadata.metadata().file_metadata().num_rows();
        match self.file.rows {
            Some(rows) if u64::try_from(has) != Ok(rows) => {
                Err(self
                    .unreadable(&format!("the table says that it has {rows} rows; it has {has}")))
            }
            _ => Ok(()),
        }
    }

    /// What the table tells of the file's times must hold: other files are left out by it. Where rows are
    /// deleted it may tell of the others alone.
    fn check_times(
        &self,
        plan: &ColumnPlan,
        metadata: &ParquetMetaData,
        leaf: usize,
        unit: EpochUnit,
    ) -> Result<(), ScanError> {
        let told = self.file.times.as_ref().filter(|_| self.file.deletes.is_none());
        let Some(told) = told.and_then(|bounds| Times::of(bounds, plan)) else { return Ok(()) };
        let with_rows = metadata.row_groups().iter().filter(|group| group.num_rows() > 0);
        let extremes = with_rows.filter_map(|group| prune::time_extremes(group, leaf, unit));
        for (least, greatest) in extremes {
            if !told.hold(least, greatest) {
                let [from, to] = told.shown();
                return Err(ScanError::OutsideStatistics {
                    file: self.shown.clone(),
                    column: plan.source.shown(),
                    from,
                    to,
                    least: least.to_rfc3339(),
                    greatest: greatest.to_rfc3339(),
                });
            }
        }
        Ok(())
    }

    fn bind(
        &self,
        context: &ScanContext,
        metadata: &ArrowReaderMetadata,
    ) -> Result<Columns, ScanError> {
        let shape = FileShape {
            file: &self.shown,
            schema: metadata.schema(),
            leaves: metadata.parquet_schema(),
            partitions: &self.file.partitions,
            table: context.table.as_ref().map(|table| &table.schema),
        };
        let m = &context.mapping;
        let optional = |plan: &Option<ColumnPlan>| plan.as_ref().map(|p| shape.bind(p)).transpose();
        Ok(Columns {
            time: shape.bind(&m.time)?,
            app: shape.bind(&m.app)?,
            scopes: optional(&m.scopes)?,
            subject: optional(&m.subject)?,
            actor: optional(&m.actor)?,
            group: optional(&m.group)?,
            status: optional(&m.status)?,
            bytes: optional(&m.bytes)?,
            records: optional(&m.records)?,
            fields: optional(&m.fields)?,
            weight: optional(&m.weight)?,
            event_id: optional(&m.event_id)?,
            endpoint: optional(&m.endpoint)?,
            method: optional(&m.method)?,
        })
    }

    fn footer_of(
        &self,
        context: &ScanContext,
        metadata: ArrowReaderMetadata,
        columns: Columns,
    ) -> Result<Footer, ScanError> {
        let plan = context.partition_time.as_ref();
        let bad = |reason: String| ScanError::BadPartition {
            file: self.shown.clone(),
            reason: self.no_partition(context).unwrap_or(reason),
        };
        let bound = match plan {
            Some(plan) => prune::partition_bound(plan, &self.file.partitions).map_err(bad)?,
            None => None,
        };
        let partition_day = match plan {
            Some(plan) => prune::partition_day(plan, &self.file.partitions).map_err(bad)?,
            None => None,
        };
        let parquet = metadata.metadata();
        let leaf = columns.time.single_leaf();
        let unit = leaf.and_then(|leaf| prune::time_unit(parquet, leaf, &columns.time.plan));
        let time = leaf.zip(unit);
        if let Some((leaf, unit)) = time.filter(|_| context.pruning) {
            self.check_times(&columns.time.plan, parquet, leaf, unit)?;
        }
        let days: Vec<GroupDays> = parquet
            .row_groups()
            .iter()
            .map(|group| GroupDays::new(group, partition_day, time))
            .collect();
        let file_day = partition_day.or_else(|| {
            let with_rows =
                parquet.row_groups().iter().zip(&days).filter(|(g, _)| g.num_rows() > 0);
            let mut extremes = with_rows.map(|(_, days)| days.extremes);
            let first = extremes.next().flatten()?;
            (first.0 == first.1 && extremes.all(|days| days == Some(first))).then_some(first.0)
        });
        let scope_leaf = columns.scopes.as_ref().and_then(|bound| {
            let leaf = bound.single_leaf()?;
            let column = metadata.parquet_schema().columns().get(leaf)?;
            // Statistics and bloom filters of other types speak of numbers, not of their texts.
            if column.physical_type() != PhysicalType::BYTE_ARRAY {
                return None;
            }
            let single = match bound.plan.encoding {
                None | Some(Encoding::Single) => true,
                Some(Encoding::List) => column.max_rep_level() > 0,
                Some(Encoding::Space | Encoding::Comma) => false,
            };
            (single && !bound.plan.fold_case).then_some(leaf)
        });
        let deletes = self.file.deletes.as_ref();
        let deleted = deletes.map(|deletes| Deleted::load(self, deletes, parquet)).transpose()?;
        let unchecked = days.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Footer {
            metadata,
            columns,
            bound,
            file_day,
            days,
            time,
            scope_leaf,
            deleted,
            unchecked,
        })
    }

    /// Why a file of a table has no value of the column that `partition_time` names, where it has none.
    fn no_partition(&self, context: &ScanContext) -> Option<String> {
        let column = &context.partition_time.as_ref()?.column;
        let table = context.table.as_ref()?;
        if self.file.partitions.iter().any(|partition| partition.name == *column) {
            return None;
        }
        Some(if table.format == "iceberg" {
            format!(
                "`{column}` is no partition by its own values (transform identity); an Iceberg table hides its partitioning, and files are left out by the times that its manifests tell\ntake partition_time out: nothing else is needed"
            )
        } else {
            format!(
                "`{column}` is no partition column of the table\nname one that is, or take partition_time out"
            )
        })
    }

    /// Looks at the pages before they are read: whether one has no checksum.
    ///
    /// # Errors
    /// Damaged pages; pages that, beside what is `taken`, need more memory than `rest`.
    pub fn check_pages(
        &self,
        group: &RowGroupMetaData,
        leaves: &[usize],
        fetched: &Fetched,
        (taken, rest): (u64, u64),
    ) -> Result<Headers, ScanError> {
        let room = rest.saturating_sub(taken);
        let headers =
            headers::look(group, leaves, fetched, room).map_err(|e| self.unreadable(&e))?;
        if headers.bytes > room {
            let needed = Budget::limit_for(taken.saturating_add(headers.bytes));
            return Err(ScanError::Memory {
                file: self.shown.clone(),
                needed: needed.div_ceil(1_000_000),
            });
        }
        Ok(headers)
    }

    pub fn unreadable(&self, error: &impl std::fmt::Display) -> ScanError {
        ScanError::Unreadable { file: self.shown.clone(), reason: error.to_string() }
    }

    pub fn footer(&self) -> Result<&Footer, ScanError> {
        self.footer.get().ok_or_else(|| ScanError::Internal {
            what: format!("{} was read before it was opened", self.shown),
        })
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
    deleted: Option<Deleted>,
    /// By row group: whether a page that was read has no checksum.
    unchecked: Vec<AtomicBool>,
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

/// A footer, as far as it could be read with the bytes at hand.
pub(super) enum FooterRead {
    Whole(Arc<ParquetMetaData>),
    /// It begins before them: at this byte.
    NeedsFrom(u64),
}

/// How far a file could be opened with the bytes at hand.
pub(super) enum Opened {
    Whole,
    /// The footer begins before them: at this byte.
    NeedsFrom(u64),
}

/// The days of a row group's times.
#[derive(Debug)]
pub struct GroupDays {
    /// Of the least and the greatest.
    extremes: Option<(i64, i64)>,
    /// Known from the partition, from extremes that leave nothing between them, or by reading.
    known: OnceLock<Vec<(i64, i64)>>,
}

impl GroupDays {
    fn new(
        group: &RowGroupMetaData,
        partition_day: Option<i64>,
        time: Option<(usize, EpochUnit)>,
    ) -> Self {
        let extremes = time
            .and_then(|(leaf, unit)| prune::time_extremes(group, leaf, unit))
            .map(|(least, greatest)| (least.day(), greatest.day()));
        let day = partition_day.map(|day| (day, day));
        let known = match day.or(extremes.filter(|(from, to)| to - from <= 1)) {
            // Without rows it covers no day, whatever its partition says.
            _ if group.num_rows() == 0 => OnceLock::from(Vec::new()),
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
        let days = |rows| GroupDays::new(&group(rows), Some(18_000), None);
        assert_eq!(days(1).known(), Some(&[(18_000, 18_000)][..]));
        assert_eq!(days(0).known(), Some(&[][..]));
    }
}
