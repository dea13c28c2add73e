//! One file: its footer, and where the mapped columns are in it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use roaring::RoaringTreemap;

use super::columns::{Bound, FileShape};
use super::decode::Step;
use super::engine::Fetch;
use super::events::Columns;
use super::prune;
use super::ranges::Fetched;
use super::{ScanContext, ScanError};
use crate::config::ColumnPlan;
use crate::config::raw::Encoding;
use crate::moment::{EpochUnit, Moment};
use crate::snapshot::{Deletes, DeletesError, SnapshotFile};
use crate::store::{Pin, Store};

/// What a first read takes from the end of a file: most footers fit.
pub(super) const TAIL: u64 = 64 << 10;

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
            footer: OnceLock::new(),
        }
    }

    pub fn first_fetch(file: Arc<Self>) -> Fetch {
        let from = file.pin.size.saturating_sub(TAIL);
        Self::tail(file, from)
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
        let size = self.pin.size;
        if size < 12 {
            return Err(
                self.unreadable(&format!("it has {size} bytes; a Parquet file has at least 12"))
            );
        }
        let from = fetched.parts.first().map_or(0, |(start, _)| *start);
        let tail = fetched.parts.into_iter().next().map(|(_, b)| b).unwrap_or_default();
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(if context.pruning {
            PageIndexPolicy::Optional
        } else {
            PageIndexPolicy::Skip
        });
        match reader.try_parse_sized(&tail, size) {
            Ok(()) => {}
            Err(ParquetError::NeedMoreData(needed)) => {
                let from_needed = size.saturating_sub(needed as u64);
                if from_needed >= from {
                    return Err(self.unreadable(&"its footer is damaged"));
                }
                return Ok(Opened::NeedsFrom(from_needed));
            }
            Err(error) => return Err(self.unreadable(&error)),
        }
        let metadata = Arc::new(reader.finish().map_err(|e| self.unreadable(&e))?);
        // The Arrow schema that writers add says nothing that Parquet's own does not; without it
        // files of different writers look alike.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::try_new(metadata, options.clone())
            .map_err(|e| self.unreadable(&e))?;
        self.check_table(context, &plain)?;
        let columns = self.bind(context, &plain)?;
        let metadata = with_dictionaries(&plain, &columns, options);
        let footer = self.footer_of(context, metadata, columns)?;
        let groups = footer.metadata.metadata().num_row_groups();
        self.units_left.store(groups.max(1), Ordering::Release);
        // Set once: a file is opened once.
        let _ = self.footer.set(footer);
        Ok(Opened::Whole)
    }

    /// What the table says of its files must hold for this one.
    fn check_table(
        &self,
        context: &ScanContext,
        metadata: &ArrowReaderMetadata,
    ) -> Result<(), ScanError> {
        let schema = context.table.as_ref().map(|table| &table.schema);
        if schema.is_some_and(|schema| !schema.tells_apart(metadata.schema())) {
            return Err(ScanError::Unsupported {
                file: self.shown.clone(),
                what:
                    "columns without field ids in a table that has no `schema.name-mapping.default`"
                        .into(),
            });
        }
        let has: u64 = metadata
            .metadata()
            .row_groups()
            .iter()
            .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
            .sum();
        match self.file.rows {
            Some(rows) if rows != has => {
                Err(self
                    .unreadable(&format!("the table says that it has {rows} rows; it has {has}")))
            }
            _ => Ok(()),
        }
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
        let bad = |reason: String| ScanError::BadPartition { file: self.shown.clone(), reason };
        let plan = context.partition_time.as_ref();
        let bound = match plan {
            Some(plan) => prune::partition_bound(plan, &self.file).map_err(bad)?,
            None => None,
        };
        let partition_day = match plan {
            Some(plan) => prune::partition_day(plan, &self.file).map_err(bad)?,
            None => None,
        };
        let parquet = metadata.metadata();
        let leaf = columns.time.single_leaf();
        let unit = leaf.and_then(|leaf| prune::time_unit(parquet, leaf, &columns.time.plan));
        let time = leaf.zip(unit);
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
        let deleted = deletes.map(|deletes| self.deleted(deletes, parquet)).transpose()?;
        Ok(Footer { metadata, columns, bound, file_day, days, time, scope_leaf, deleted })
    }

    /// The rows that the table has deleted.
    fn deleted(&self, of: &Deletes, metadata: &ParquetMetaData) -> Result<Deleted, ScanError> {
        let rows = of.source.load().map_err(|error| match error {
            DeletesError::Store(error) => error.into(),
            DeletesError::Damaged(reason) => {
                self.unreadable(&format!("its deleted rows cannot be read: {reason}"))
            }
            DeletesError::Unsupported(what) => {
                ScanError::Unsupported { file: self.shown.clone(), what }
            }
        })?;
        let mut starts = vec![0u64];
        for group in metadata.row_groups() {
            let before = starts.last().copied().unwrap_or(0);
            starts.push(before + u64::try_from(group.num_rows()).unwrap_or(0));
        }
        let total = starts.last().copied().unwrap_or(0);
        let told = of.rows.unwrap_or(rows.len());
        if rows.len() != told || rows.max().is_some_and(|last| last >= total) {
            return Err(self.unreadable(&format!(
                "the table says that {told} of its rows are deleted; {} are named, up to number {}, and it has {total}",
                rows.len(),
                rows.max().unwrap_or(0),
            )));
        }
        Ok(Deleted { rows, starts })
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
}

/// Rows of a file that are gone, by their number in it.
#[derive(Debug)]
struct Deleted {
    rows: RoaringTreemap,
    /// First row of each row group, and the number of all.
    starts: Vec<u64>,
}

impl Deleted {
    fn group(&self, group: usize) -> Option<Range<u64>> {
        Some(*self.starts.get(group)?..*self.starts.get(group + 1)?)
    }
}

impl Footer {
    /// How many rows of the row group are gone.
    pub fn deleted_in(&self, group: usize) -> u64 {
        let deleted = self.deleted.as_ref();
        let count = deleted.and_then(|d| Some(d.rows.range_cardinality(d.group(group)?)));
        count.unwrap_or(0)
    }

    /// The rows of the row group that are not gone; `None` where all are there.
    pub fn live_rows(&self, group: usize) -> Option<Vec<Range<usize>>> {
        let deleted = self.deleted.as_ref().filter(|_| self.deleted_in(group) > 0)?;
        let rows = deleted.group(group)?;
        let place = |row: u64| usize::try_from(row - rows.start).unwrap_or(usize::MAX);
        let mut gone = deleted.rows.iter();
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

impl Footer {
    pub fn group(&self, group: usize) -> Option<&RowGroupMetaData> {
        self.metadata.metadata().row_groups().get(group)
    }
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

/// Reads app and scope columns as dictionaries where the file has them so.
fn with_dictionaries(
    plain: &ArrowReaderMetadata,
    columns: &Columns,
    options: ArrowReaderOptions,
) -> ArrowReaderMetadata {
    let first = plain.metadata().row_groups().first();
    let wanted: Vec<usize> = [Some(&columns.app), columns.scopes.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(Bound::single_leaf)
        .filter(|leaf| {
            first.is_some_and(|g| {
                g.columns().get(*leaf).is_some_and(|c| c.dictionary_page_offset().is_some())
            })
        })
        .filter_map(|leaf| {
            let column = plain.parquet_schema().columns().get(leaf)?;
            let [name] = column.path().parts() else { return None };
            plain.schema().index_of(name).ok()
        })
        .collect();
    let fields: Vec<Field> = plain
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(i, field)| {
            if wanted.contains(&i) && *field.data_type() == DataType::Utf8 {
                let text =
                    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                Field::new(field.name(), text, field.is_nullable())
            } else {
                field.as_ref().clone()
            }
        })
        .collect();
    let options = options.with_schema(Arc::new(Schema::new(fields)));
    // Only a faster way to the same values: without it all is read as plain text.
    ArrowReaderMetadata::try_new(plain.metadata().clone(), options)
        .unwrap_or_else(|_| plain.clone())
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
