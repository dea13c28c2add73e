//! The steps of one file: open, look into bloom filters, select, read.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema};
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::Encoding as PageEncoding;
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};

use super::batch::AccessBatch;
use super::columns::{Bound, FileShape};
use super::endpoint::EndpointCache;
use super::engine::Fetch;
use super::events::{Columns, EventBuilder};
use super::prune;
use super::scopes::{Calls, Matcher, Matches, Meaning, meaning};
use super::{ScanContext, ScanError, UnitRecord};
use crate::config::ColumnPlan;
use crate::config::raw::Encoding;
use crate::moment::{DAY_MICROS, Moment};
use crate::snapshot::SnapshotFile;
use crate::store::{Pin, Store};

/// What a first read takes from the end of a file: most footers fit.
const TAIL: u64 = 64 << 10;

/// Rows decoded at once.
const BATCH_ROWS: usize = 32 << 10;

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
    file: SnapshotFile,
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

    fn tail(file: Arc<Self>, from: u64) -> Fetch {
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

    fn unreadable(&self, error: &impl std::fmt::Display) -> ScanError {
        ScanError::Unreadable { file: self.shown.clone(), reason: error.to_string() }
    }

    fn footer(&self) -> Result<&Footer, ScanError> {
        self.footer.get().ok_or_else(|| ScanError::Internal {
            what: format!("{} was read before it was opened", self.shown),
        })
    }
}

/// What opening a file found.
#[derive(Debug)]
struct Footer {
    metadata: ArrowReaderMetadata,
    columns: Columns,
    bound: Option<Range<Moment>>,
    file_days: Option<(i64, i64)>,
    /// The scope column, where its statistics, bloom filters and pages speak for single scopes.
    scope_leaf: Option<usize>,
}

/// What to do with bytes that have arrived.
pub(super) enum Step {
    /// The tail is here: footer, pruning.
    Open,
    /// A row group's bloom filter is here.
    Bloom { group: usize },
    /// A row group's scope columns are here.
    Select { group: usize, ranges: Option<Vec<Range<usize>>> },
    /// A row group's other columns are here.
    Read { group: usize, matches: Box<Matches>, unit: Box<UnitRecord>, meaning: Meaning },
}

impl Step {
    pub const RANKS: usize = 4;

    pub fn rank(&self) -> usize {
        match self {
            Self::Open => 0,
            Self::Bloom { .. } => 1,
            Self::Select { .. } => 2,
            Self::Read { .. } => 3,
        }
    }
}

/// What a step leaves: more to fetch, and finished units.
#[derive(Default)]
pub(super) struct Selected {
    pub next: Vec<Fetch>,
    pub units: Vec<(UnitRecord, AccessBatch)>,
}

/// Runs steps on one thread.
pub(super) struct Decoder {
    context: Arc<ScanContext>,
    endpoints: EndpointCache,
}

impl Decoder {
    pub fn new(context: Arc<ScanContext>) -> Self {
        Self { context, endpoints: EndpointCache::default() }
    }

    /// # Errors
    /// Damaged files, and columns that are not as mapped.
    pub fn run(&mut self, fetch: Fetch, bytes: Vec<Bytes>) -> Result<Selected, ScanError> {
        let Fetch { file, ranges, step } = fetch;
        let fetched = Fetched {
            size: file.pin.size,
            parts: ranges.into_iter().map(|r| r.start).zip(bytes).collect(),
        };
        match step {
            Step::Open => self.open(&file, fetched),
            Step::Bloom { group } => self.bloom(&file, group, &fetched),
            Step::Select { group, ranges } => self.select(&file, group, ranges, fetched),
            Step::Read { group, matches, unit, meaning } => {
                self.read(&file, group, &matches, *unit, meaning, fetched)
            }
        }
    }

    fn open(&self, file: &Arc<OpenFile>, fetched: Fetched) -> Result<Selected, ScanError> {
        let size = file.pin.size;
        if size < 12 {
            return Err(file.unreadable(&format!("it has {size} bytes; a Parquet file has at least 12")));
        }
        let from = fetched.parts.first().map_or(0, |(start, _)| *start);
        let tail = fetched.parts.into_iter().next().map(|(_, b)| b).unwrap_or_default();
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(if self.context.pruning {
            PageIndexPolicy::Optional
        } else {
            PageIndexPolicy::Skip
        });
        match reader.try_parse_sized(&tail, size) {
            Ok(()) => {}
            Err(ParquetError::NeedMoreData(needed)) => {
                let from_needed = size.saturating_sub(needed as u64);
                if from_needed >= from {
                    return Err(file.unreadable(&"its footer is damaged"));
                }
                return Ok(Selected {
                    next: vec![OpenFile::tail(file.clone(), from_needed)],
                    units: Vec::new(),
                });
            }
            Err(error) => return Err(file.unreadable(&error)),
        }
        let metadata = Arc::new(reader.finish().map_err(|e| file.unreadable(&e))?);
        // The Arrow schema that writers add says nothing that Parquet's own does not; without it
        // files of different writers look alike.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::try_new(metadata, options.clone())
            .map_err(|e| file.unreadable(&e))?;
        let columns = self.bind(file, &plain)?;
        let metadata = with_dictionaries(&plain, &columns, options);
        let footer = self.footer(file, metadata, columns)?;
        let groups = footer.metadata.metadata().num_row_groups();
        file.units_left.store(groups.max(1), Ordering::Release);
        // Set once: a file is opened once.
        let _ = file.footer.set(footer);
        self.plan_groups(file)
    }

    fn bind(&self, file: &OpenFile, metadata: &ArrowReaderMetadata) -> Result<Columns, ScanError> {
        let shape = FileShape {
            file: &file.shown,
            schema: metadata.schema(),
            leaves: metadata.parquet_schema(),
            partitions: &file.file.partitions,
        };
        let m = &self.context.mapping;
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

    fn footer(
        &self,
        file: &OpenFile,
        metadata: ArrowReaderMetadata,
        columns: Columns,
    ) -> Result<Footer, ScanError> {
        let bad = |reason: String| ScanError::BadPartition { file: file.shown.clone(), reason };
        let plan = self.context.partition_time.as_ref();
        let bound = match plan {
            Some(plan) => prune::partition_bound(plan, &file.file).map_err(bad)?,
            None => None,
        };
        let file_days = match (plan, &bound) {
            (Some(plan), Some(bound)) => {
                // The day that the partition names, without the slack.
                let from = bound.start.plus_micros(plan.slack);
                let to = from.plus_micros(plan.grain.min(DAY_MICROS) - 1);
                Some((from.day(), to.day()))
            }
            _ => file_days(&metadata, &columns.time),
        };
        let scope_leaf = columns.scopes.as_ref().and_then(|bound| {
            let leaf = bound.single_leaf()?;
            let column = metadata.parquet_schema().columns().get(leaf)?;
            let single = match bound.plan.encoding {
                None | Some(Encoding::Single) => true,
                Some(Encoding::List) => column.max_rep_level() > 0,
                Some(Encoding::Space | Encoding::Comma) => false,
            };
            (single && !bound.plan.fold_case).then_some(leaf)
        });
        Ok(Footer { metadata, columns, bound, file_days, scope_leaf })
    }

    /// Decides for each row group what is needed of it.
    fn plan_groups(&self, file: &Arc<OpenFile>) -> Result<Selected, ScanError> {
        let footer = file.footer()?;
        let parquet = footer.metadata.metadata();
        let mut out = Selected::default();
        if parquet.num_row_groups() == 0 {
            let unit = UnitRecord { file_days: footer.file_days, ..Default::default() };
            out.units.push((unit, AccessBatch::default()));
            return Ok(out);
        }
        let asked = &self.context.asked;
        let too_early = footer.bound.as_ref().is_some_and(|b| {
            // Half-open: the last moment inside is one microsecond before the end.
            b.end.plus_micros(-1).day() < asked.first_day
        });
        let time = footer.columns.time.single_leaf().and_then(|leaf| {
            Some((leaf, prune::time_unit(parquet, leaf, &footer.columns.time.plan)?))
        });
        for (group, details) in parquet.row_groups().iter().enumerate() {
            let rows = u64::try_from(details.num_rows()).unwrap_or(0);
            let mut unit = self.unit(footer, group, rows);
            if !self.context.pruning {
                if self.context.survey {
                    unit.not_matched = rows;
                    out.units.push((unit, AccessBatch::default()));
                    continue;
                }
                out.next.push(self.select_fetch(file, group, None)?);
                continue;
            }
            let pruned = &mut unit.pruned;
            if too_early {
                pruned.partition = rows;
            } else if time
                .and_then(|(leaf, unit)| prune::time_range(details, leaf, unit))
                .is_some_and(|(_, greatest)| greatest.day() < asked.first_day)
            {
                pruned.time_statistics = rows;
            } else if footer.scope_leaf.is_some_and(|l| !prune::scope_may_occur(details, l, asked)) {
                pruned.scope_statistics = rows;
            } else if self.context.survey {
                unit.not_matched = rows;
            } else if let Some(range) = footer.scope_leaf.and_then(|l| bloom_range(details, l)) {
                let step = Step::Bloom { group };
                out.next.push(Fetch { file: file.clone(), ranges: vec![range], step });
                continue;
            } else {
                self.plan_pages(file, group, unit, &mut out)?;
                continue;
            }
            out.units.push((unit, AccessBatch::default()));
        }
        Ok(out)
    }

    fn unit(&self, footer: &Footer, group: usize, rows: u64) -> UnitRecord {
        UnitRecord {
            row_group: u32::try_from(group).unwrap_or(u32::MAX),
            of: u32::try_from(footer.metadata.metadata().num_row_groups()).unwrap_or(u32::MAX),
            rows,
            file_days: footer.file_days,
            ..Default::default()
        }
    }

    /// The last look before anything is decoded: pages.
    fn plan_pages(
        &self,
        file: &Arc<OpenFile>,
        group: usize,
        mut unit: UnitRecord,
        out: &mut Selected,
    ) -> Result<(), ScanError> {
        let footer = file.footer()?;
        let parquet = footer.metadata.metadata();
        let time = footer.columns.time.single_leaf().and_then(|leaf| {
            Some((leaf, prune::time_unit(parquet, leaf, &footer.columns.time.plan)?))
        });
        let ranges = prune::pages_that_may_match(
            parquet,
            group,
            time,
            footer.scope_leaf,
            &self.context.asked,
        );
        if ranges.as_ref().is_some_and(Vec::is_empty) {
            unit.pruned.page_index = unit.rows;
            out.units.push((unit, AccessBatch::default()));
        } else {
            out.next.push(self.select_fetch(file, group, ranges)?);
        }
        Ok(())
    }

    fn bloom(
        &self,
        file: &Arc<OpenFile>,
        group: usize,
        fetched: &Fetched,
    ) -> Result<Selected, ScanError> {
        let footer = file.footer()?;
        let mut out = Selected::default();
        let rows = group_of(footer, group).map_or(0, RowGroupMetaData::num_rows);
        let mut unit = self.unit(footer, group, u64::try_from(rows).unwrap_or(0));
        let bytes = fetched.parts.first().map(|(_, b)| b.clone()).unwrap_or_default();
        let filter = Sbbf::from_bytes(&bytes).map_err(|e| file.unreadable(&e))?;
        if self.context.asked.scopes.iter().any(|s| filter.check(s.name.as_str())) {
            self.plan_pages(file, group, unit, &mut out)?;
        } else {
            unit.pruned.bloom_filter = unit.rows;
            out.units.push((unit, AccessBatch::default()));
        }
        Ok(out)
    }

    fn select_fetch(
        &self,
        file: &Arc<OpenFile>,
        group: usize,
        ranges: Option<Vec<Range<usize>>>,
    ) -> Result<Fetch, ScanError> {
        let footer = file.footer()?;
        let leaves = footer.columns.selecting();
        let selection = ranges.as_ref().map(|r| selection_of_ranges(footer, group, r));
        let bytes = byte_ranges(footer, group, &leaves, selection.as_ref());
        Ok(Fetch { file: file.clone(), ranges: bytes, step: Step::Select { group, ranges } })
    }

    fn select(
        &mut self,
        file: &Arc<OpenFile>,
        group: usize,
        ranges: Option<Vec<Range<usize>>>,
        fetched: Fetched,
    ) -> Result<Selected, ScanError> {
        let footer = file.footer()?;
        let rows = group_of(footer, group).map_or(0, RowGroupMetaData::num_rows);
        let rows = usize::try_from(rows).unwrap_or(0);
        let mut unit = self.unit(footer, group, rows as u64);
        let selection = ranges.as_ref().map(|r| selection_of_ranges(footer, group, r));
        let mut matcher = Matcher::new(&self.context.asked);
        let all_dictionary = footer.scope_leaf.is_some_and(|leaf| {
            group_of(footer, group).is_some_and(|g| only_dictionary_pages(g, leaf))
        });
        let whole = 0..rows;
        let kept = ranges.as_deref().unwrap_or(std::slice::from_ref(&whole));
        let mut positions =
            kept.iter().flat_map(Clone::clone).map(|row| u32::try_from(row).unwrap_or(u32::MAX));
        let selected: usize = kept.iter().map(ExactSizeIterator::len).sum();
        let mut read = 0usize;
        let mut ruled_out = false;
        let leaves = footer.columns.selecting();
        for batch in open_reader(file, footer, group, &leaves, selection, fetched)? {
            let batch = batch.map_err(|e| file.unreadable(&e))?;
            read += batch.num_rows();
            match &footer.columns.scopes {
                Some(bound) => matcher.scopes(bound, &batch, &mut positions, &file.shown)?,
                None => {
                    let calls = calls(&self.context, footer, file)?;
                    unit.unmatched_endpoints += matcher.endpoints(
                        &calls,
                        &batch,
                        &mut positions,
                        &mut self.endpoints,
                        &file.shown,
                    )?;
                }
            }
            // One dictionary serves the row group: if it has no asked scope, no row has.
            if self.context.pruning && all_dictionary && matcher.dictionary_rules_out() {
                ruled_out = true;
                break;
            }
        }
        if ruled_out {
            unit.pruned.dictionary = selected as u64;
        } else if read == selected {
            unit.not_matched = (selected - matcher.matches.rows.len()) as u64;
        } else {
            return Err(file.unreadable(&format!(
                "row group {group} has {read} rows where its metadata says {selected}"
            )));
        }
        unit.pruned.page_index += (rows - selected) as u64;
        if matcher.matches.rows.is_empty() {
            return Ok(Selected { next: Vec::new(), units: vec![(unit, AccessBatch::default())] });
        }
        let scopes = footer.columns.scopes.as_ref();
        let meaning = meaning(&self.context, scopes, matcher.encoding, &file.shown)?;
        let matches = Box::new(matcher.matches);
        let leaves = footer.columns.reading(meaning == Meaning::ByEndpoint);
        let selection = selection_of_rows(&matches.rows, rows);
        let ranges = byte_ranges(footer, group, &leaves, selection.as_ref());
        let step = Step::Read { group, matches, unit: Box::new(unit), meaning };
        Ok(Selected { next: vec![Fetch { file: file.clone(), ranges, step }], units: Vec::new() })
    }

    fn read(
        &mut self,
        file: &Arc<OpenFile>,
        group: usize,
        matches: &Matches,
        mut unit: UnitRecord,
        meaning: Meaning,
        fetched: Fetched,
    ) -> Result<Selected, ScanError> {
        let footer = file.footer()?;
        let rows = usize::try_from(unit.rows).unwrap_or(0);
        let leaves = footer.columns.reading(meaning == Meaning::ByEndpoint);
        let selection = selection_of_rows(&matches.rows, rows);
        let mut events =
            EventBuilder::new(&self.context, &footer.columns, matches, meaning, &file.shown);
        let mut read = 0;
        for batch in open_reader(file, footer, group, &leaves, selection, fetched)? {
            let batch = batch.map_err(|e| file.unreadable(&e))?;
            read += batch.num_rows();
            events.take(&batch, &mut self.endpoints)?;
        }
        if read != matches.rows.len() {
            return Err(file.unreadable(&format!(
                "row group {group} gave {read} of {} matching rows",
                matches.rows.len()
            )));
        }
        unit.before = events.before;
        unit.unmatched_endpoints += events.unmatched_endpoints;
        unit.kept = events.batch.len() as u64;
        let batch = events.batch;
        self.check_bound(file, footer, &batch)?;
        Ok(Selected { next: Vec::new(), units: vec![(unit, batch)] })
    }

    /// Rows outside the time that the partition declares show that pruning by it would lose rows.
    fn check_bound(
        &self,
        file: &OpenFile,
        footer: &Footer,
        batch: &AccessBatch,
    ) -> Result<(), ScanError> {
        let (Some(bound), Some(plan)) = (&footer.bound, &self.context.partition_time) else {
            return Ok(());
        };
        let readable = |row: &usize| batch.reject.get(*row).copied().flatten().is_none();
        let mut outside = (0..batch.len())
            .filter(readable)
            .map(|row| batch.moment(row))
            .filter(|at| !bound.contains(at));
        let Some(first) = outside.next() else { return Ok(()) };
        let value = file.file.partitions.iter().find(|(k, _)| *k == plan.column);
        Err(ScanError::OutsidePartition {
            file: file.shown.clone(),
            column: plan.column.clone(),
            value: value.and_then(|(_, v)| v.clone()).unwrap_or_default(),
            rows: 1 + outside.count() as u64,
            first: first.to_rfc3339(),
            from: bound.start.to_rfc3339(),
            to: bound.end.to_rfc3339(),
        })
    }
}

fn calls<'a>(
    context: &'a ScanContext,
    footer: &'a Footer,
    file: &OpenFile,
) -> Result<Calls<'a>, ScanError> {
    match (&context.endpoints, &footer.columns.endpoint) {
        (Some(table), Some(endpoint)) => {
            Ok(Calls { table, endpoint, method: footer.columns.method.as_ref() })
        }
        _ => Err(ScanError::Internal {
            what: format!("{}: neither scopes nor endpoints are mapped", file.shown),
        }),
    }
}

fn group_of(footer: &Footer, group: usize) -> Option<&RowGroupMetaData> {
    footer.metadata.metadata().row_groups().get(group)
}

/// Days of the file's least and greatest time, where every row group's statistics show them.
fn file_days(metadata: &ArrowReaderMetadata, time: &Bound) -> Option<(i64, i64)> {
    let parquet = metadata.metadata();
    let leaf = time.single_leaf()?;
    let unit = prune::time_unit(parquet, leaf, &time.plan)?;
    let mut days: Option<(i64, i64)> = None;
    for group in parquet.row_groups().iter().filter(|g| g.num_rows() > 0) {
        let (least, greatest) = prune::time_extremes(group, leaf, unit)?;
        let (from, to) = days.unwrap_or((least.day(), greatest.day()));
        days = Some((from.min(least.day()), to.max(greatest.day())));
    }
    days
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
        .filter(|leaf| first.is_some_and(|g| {
            g.columns().get(*leaf).is_some_and(|c| c.dictionary_page_offset().is_some())
        }))
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
                let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                Field::new(field.name(), text, field.is_nullable())
            } else {
                field.as_ref().clone()
            }
        })
        .collect();
    let options = options.with_schema(Arc::new(Schema::new(fields)));
    // Only a faster way to the same values: without it all is read as plain text.
    ArrowReaderMetadata::try_new(plain.metadata().clone(), options).unwrap_or_else(|_| plain.clone())
}

fn bloom_range(group: &RowGroupMetaData, leaf: usize) -> Option<Range<u64>> {
    let column = group.columns().get(leaf)?;
    let from = u64::try_from(column.bloom_filter_offset()?).ok()?;
    let length = u64::try_from(column.bloom_filter_length()?).ok()?;
    Some(from..from.checked_add(length)?)
}

fn only_dictionary_pages(group: &RowGroupMetaData, leaf: usize) -> bool {
    group.columns().get(leaf).is_some_and(|column| {
        column.dictionary_page_offset().is_some()
            && column.page_encoding_stats_mask().is_some_and(|mask| {
                mask.is_only(PageEncoding::PLAIN_DICTIONARY) || mask.is_only(PageEncoding::RLE_DICTIONARY)
            })
    })
}

fn selection_of_ranges(footer: &Footer, group: usize, ranges: &[Range<usize>]) -> RowSelection {
    let rows = group_of(footer, group).map_or(0, RowGroupMetaData::num_rows);
    RowSelection::from_consecutive_ranges(
        ranges.iter().cloned(),
        usize::try_from(rows).unwrap_or(0),
    )
}

/// `None` where every row is selected.
fn selection_of_rows(matching: &[u32], rows: usize) -> Option<RowSelection> {
    if matching.len() == rows {
        return None;
    }
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in matching {
        let row = usize::try_from(*row).unwrap_or(usize::MAX);
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end = row + 1,
            _ => ranges.push(row..row + 1),
        }
    }
    Some(RowSelection::from_consecutive_ranges(ranges.into_iter(), rows))
}

/// The bytes of the columns: whole chunks, or the pages that the selection touches.
fn byte_ranges(
    footer: &Footer,
    group: usize,
    leaves: &[usize],
    selection: Option<&RowSelection>,
) -> Vec<Range<u64>> {
    let Some(details) = group_of(footer, group) else { return Vec::new() };
    let offsets = footer.metadata.metadata().offset_index().and_then(|i| i.get(group));
    let mut ranges = Vec::new();
    let mut sorted = leaves.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    for leaf in sorted {
        let Some(column) = details.columns().get(leaf) else { continue };
        let (start, length) = column.byte_range();
        let pages = offsets.and_then(|o| o.get(leaf)).map(|o| o.page_locations());
        match (selection, pages) {
            (Some(selection), Some(pages)) if !pages.is_empty() => {
                let first = pages.first().and_then(|p| u64::try_from(p.offset).ok());
                if let Some(first) = first.filter(|first| *first > start) {
                    ranges.push(start..first);
                }
                ranges.extend(selection.scan_ranges(pages));
            }
            _ => ranges.push(start..start.saturating_add(length)),
        }
    }
    ranges
}

fn open_reader(
    file: &OpenFile,
    footer: &Footer,
    group: usize,
    leaves: &[usize],
    selection: Option<RowSelection>,
    fetched: Fetched,
) -> Result<ParquetRecordBatchReader, ScanError> {
    let mask = ProjectionMask::leaves(footer.metadata.parquet_schema(), leaves.iter().copied());
    let mut builder =
        ParquetRecordBatchReaderBuilder::new_with_metadata(fetched, footer.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS);
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    builder.build().map_err(|e| file.unreadable(&e))
}

/// The parts of a file that were fetched.
struct Fetched {
    size: u64,
    /// Offset and bytes.
    parts: Vec<(u64, Bytes)>,
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.size
    }
}

impl Fetched {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        self.parts
            .iter()
            .find_map(|(offset, bytes)| {
                let at = usize::try_from(start.checked_sub(*offset)?).ok()?;
                (at < bytes.len()).then(|| bytes.slice(at..))
            })
            .ok_or_else(|| ParquetError::EOF(format!("byte {start} belongs to no mapped column")))
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from {start} reach past their column"
            )));
        }
        Ok(bytes.slice(..length))
    }
}
