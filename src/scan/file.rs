//! One file while it is read, and where the mapped columns are in it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::bind::FileShape;
use super::deleted::Deleted;
use super::events::Columns;
use super::fetch::Fetch;
use super::footer::{Footer, FooterRead, GroupDays};
use super::prune;
use super::step::Step;
use super::types::{arrow_metadata, with_dictionaries};
use super::unopened::Times;
use super::{ScanContext, ScanError};
use crate::config::ColumnPlan;
use crate::config::raw::Encoding;
use crate::fetched::Fetched;
use crate::headers::{self, Headers, Large};
use crate::memory::Budget;
use crate::moment::EpochUnit;
use crate::snapshot::{SnapshotFile, TableSchema};
use crate::store::{Pin, Store};
use crate::threads::guarded;

/// What a first read takes from the end of a file: most footers fit.
pub(super) const TAIL: u64 = 64 << 10;

/// A file of so many bytes at most is read whole and at once: asking for its parts costs more than they do.
const SMALL: u64 = 512 << 10;

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
        Fetch::new(file, ranges, Step::Open)
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
        let deletes = self.file.deletes.as_ref();
        let deleted = deletes.map(|deletes| Deleted::load(self, deletes, parquet)).transpose()?;
        let gone = |number| deleted.as_ref().map_or(0, |deleted: &Deleted| deleted.count(number));
        let groups = parquet.row_groups().iter().enumerate();
        let days: Vec<GroupDays> = groups
            .map(|(number, group)| GroupDays::new(group, gone(number), partition_day, time))
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
        let index = self.footer.get().and_then(|footer| {
            let number = usize::try_from(group.ordinal()?).ok()?;
            footer.metadata.metadata().offset_index()?.get(number)
        });
        let index = index.map(Vec::as_slice);
        let headers =
            headers::look(group, leaves, fetched, room, index).map_err(|e| self.unreadable(&e))?;
        if headers.bytes > room {
            let large = Large::row(group, headers.long_row());
            return Err(self.too_large(large, taken.saturating_add(headers.bytes)));
        }
        Ok(headers)
    }

    /// Rows that the library may decode at once of columns whose pages were looked at, at most `most`.
    ///
    /// # Errors
    /// [`ScanError::Memory`] where a row's texts, beside what is `taken`, need more memory than `rest`.
    pub fn rows_at_once(
        &self,
        group: &RowGroupMetaData,
        headers: &Headers,
        fetched: &Fetched,
        most: usize,
        (taken, rest): (u64, u64),
    ) -> Result<usize, ScanError> {
        let rows = headers.rows_at_once(group, fetched, most, rest.saturating_sub(taken));
        rows.map_err(|no_room| {
            let large = Large::row(group, no_room.row);
            self.too_large(large, taken.saturating_add(no_room.bytes))
        })
    }

    /// What of it has no room: of a row group, where it is known which.
    pub fn large(&self, group: Option<usize>) -> Large {
        let footer = self.footer.get();
        group.map_or_else(Large::default, |number| {
            let details = footer.and_then(|footer| footer.group(number));
            Large::group(number, details.map(RowGroupMetaData::num_rows))
        })
    }

    /// `bytes` of it would have to be held at once, and have no room.
    pub fn too_large(&self, large: Large, bytes: u64) -> ScanError {
        let needed = Budget::limit_for(bytes).div_ceil(1_000_000);
        ScanError::Memory { file: self.shown.clone(), large: Box::new(large), needed }
    }

    pub fn unreadable(&self, error: &impl std::fmt::Display) -> ScanError {
        ScanError::Unreadable { file: self.shown.clone(), reason: error.to_string() }
    }

    /// What `work` makes of its bytes. The Parquet library stops at some damage.
    ///
    /// # Errors
    /// What `work` says.
    pub fn decoded<T>(&self, work: impl FnOnce() -> Result<T, ScanError>) -> Result<T, ScanError> {
        guarded(work).unwrap_or_else(|what| {
            let reason = format!("decoding it stopped at something impossible ({what})");
            Err(self.unreadable(&reason))
        })
    }

    pub fn footer(&self) -> Result<&Footer, ScanError> {
        self.footer.get().ok_or_else(|| ScanError::Internal {
            what: format!("{} was read before it was opened", self.shown),
        })
    }

    /// What the footer says of a row group.
    pub fn group(&self, group: usize) -> Result<&RowGroupMetaData, ScanError> {
        self.footer()?.group(group).ok_or_else(|| ScanError::Internal {
            what: format!("{} has no row group {group}", self.shown),
        })
    }
}

/// How far a file could be opened with the bytes at hand.
pub(super) enum Opened {
    Whole,
    /// The footer begins before them: at this byte.
    NeedsFrom(u64),
}
