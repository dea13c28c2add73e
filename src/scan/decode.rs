//! The steps of one file: open, select, read; what is left out of it, and what is looked at first, [`Planner`] says.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::errors::ParquetError;

use super::batch::AccessBatch;
use super::columns::Bound;
use super::endpoint::EndpointCache;
use super::engine::Progress;
use super::events::EventBuilder;
use super::fetch::Fetch;
use super::file::{OpenFile, Opened};
use super::footer::Footer;
use super::mapping::moments;
use super::pages::{FlatColumn, FlatReader, Places};
use super::planner::Planner;
use super::prune;
use super::ranges::{BATCH_ROWS, open_reader, selection_of_ranges, selection_of_rows};
use super::scopes::{Calls, Matcher, Meaning, meaning};
use super::state::KEPT_ROW;
use super::step::{MatchingRows, Selected, Step};
use super::{ScanContext, ScanError, UnitRecord};
use crate::fetched::Fetched;
use crate::headers::Headers;
use crate::moment::Moment;

/// Runs steps on one thread.
pub(super) struct Decoder {
    context: Arc<ScanContext>,
    endpoints: EndpointCache,
    progress: Arc<Progress>,
    /// Bytes that one row group may take.
    rest: u64,
    /// Of them, what the step at hand takes whatever its pages hold.
    taken: u64,
    /// For the step at hand: more than this one where others have nothing to do.
    threads: usize,
}

impl Decoder {
    pub fn new(context: Arc<ScanContext>, rest: u64, progress: Arc<Progress>) -> Self {
        Self { context, endpoints: EndpointCache::default(), progress, rest, taken: 0, threads: 1 }
    }

    /// Runs a step that takes `taken` bytes beside what its pages hold, on so many threads.
    ///
    /// # Errors
    /// Damaged files, columns that are not as mapped, and what does not fit into memory.
    pub fn run(
        &mut self,
        fetch: Fetch,
        bytes: Vec<Bytes>,
        (taken, threads): (u64, usize),
    ) -> Result<Selected, ScanError> {
        (self.taken, self.threads) = (taken, threads);
        let file = fetch.file.clone();
        let mut done = self.step(fetch, bytes)?;
        let footer = file.footer();
        for (unit, _) in &mut done.units {
            let Ok(footer) = &footer else { continue };
            unit.unchecked = footer.is_unchecked(unit.row_group as usize);
            unit.unchecked_deletes = footer.deletes_unchecked();
        }
        Ok(done)
    }

    fn step(&mut self, fetch: Fetch, bytes: Vec<Bytes>) -> Result<Selected, ScanError> {
        let Fetch { file, ranges, step, places, .. } = fetch;
        let fetched =
            Fetched::new(file.pin.size, ranges.into_iter().map(|r| r.start).zip(bytes).collect());
        match step {
            Step::Open => self.open(&file, fetched),
            Step::Days { group } => self.days(&file, group, fetched),
            Step::Bloom { group } => Planner::of(&self.context, &file)?.bloom(group, &fetched),
            Step::Select { group, ranges } => self.select(&file, group, ranges, fetched),
            Step::Read(rows) => self.read(&file, rows, fetched, places),
        }
    }

    /// Looks at the pages of a row group before they are read.
    fn check(
        &self,
        file: &OpenFile,
        group: usize,
        leaves: &[usize],
        fetched: &Fetched,
    ) -> Result<Headers, ScanError> {
        let footer = file.footer()?;
        let Some(details) = footer.group(group) else { return Ok(Headers::default()) };
        let room = (self.taken, self.rest);
        let headers = file.check_pages(details, leaves, fetched, room)?;
        footer.learn_unchecked(group, headers.unchecked);
        let effort = &self.progress.effort;
        effort.pages.fetch_add(headers.pages, Ordering::Relaxed);
        effort.decoded.fetch_add(headers.all_bytes, Ordering::Relaxed);
        Ok(headers)
    }

    /// Rows that the library may decode at once.
    fn rows_at_once(
        &self,
        file: &OpenFile,
        group: usize,
        headers: &Headers,
        fetched: &Fetched,
    ) -> Result<usize, ScanError> {
        let room = (self.taken, self.rest);
        let details = file.footer()?.group(group);
        details.map_or(Ok(BATCH_ROWS), |details| {
            file.rows_at_once(details, headers, fetched, BATCH_ROWS, room)
        })
    }

    fn open(&self, file: &Arc<OpenFile>, fetched: Fetched) -> Result<Selected, ScanError> {
        match file.open(&self.context, fetched)? {
            Opened::Whole => Planner::of(&self.context, file)?.groups(),
            Opened::NeedsFrom(from) => {
                Ok(Selected { next: vec![OpenFile::tail(file.clone(), from)], units: Vec::new() })
            }
        }
    }

    /// Reads the times of a row group for the days on which they lie.
    fn days(
        &self,
        file: &Arc<OpenFile>,
        group: usize,
        fetched: Fetched,
    ) -> Result<Selected, ScanError> {
        let footer = file.footer()?;
        let time = &footer.columns.time;
        let headers = self.check(file, group, &time.leaves, &fetched)?;
        let at_once = self.rows_at_once(file, group, &headers, &fetched)?;
        let mut days = BTreeSet::new();
        let live = footer.live_rows(group).map(|live| selection_of_ranges(footer, group, &live));
        for batch in open_reader(file, footer, group, &time.leaves, live, &fetched, at_once)? {
            let batch = batch.map_err(|e| file.unreadable(&e))?;
            let times = moments(time, &time.values(&batch, &file.shown)?, &file.shown)?;
            days.extend(times.into_iter().flatten().map(Moment::day));
        }
        if let Some(slot) = footer.days.get(group) {
            slot.learn(&days);
        }
        let mut out = Selected::default();
        Planner::of(&self.context, file)?.group(group, &mut out)?;
        Ok(out)
    }

    fn select(
        &mut self,
        file: &Arc<OpenFile>,
        group: usize,
        ranges: Option<Vec<Range<usize>>>,
        fetched: Fetched,
    ) -> Result<Selected, ScanError> {
        let footer = file.footer()?;
        let details = file.group(group)?;
        let mut unit = Planner::of(&self.context, file)?.unit(group, details);
        let rows = usize::try_from(unit.rows).unwrap_or(0);
        let selection = ranges.as_ref().map(|r| selection_of_ranges(footer, group, r));
        let leaves = footer.columns.selecting();
        let headers = self.check(file, group, &leaves, &fetched)?;
        let most = usize::try_from(self.rest / KEPT_ROW).unwrap_or(usize::MAX);
        let mut matcher = Matcher::new(&self.context.asked, most);
        let all_dictionary = footer.scope_leaf.is_some_and(|leaf| {
            footer.group(group).is_some_and(|g| prune::only_dictionary_pages(g, leaf))
        });
        let whole = 0..rows;
        let kept = ranges.as_deref().unwrap_or(std::slice::from_ref(&whole));
        let mut positions =
            kept.iter().flat_map(Clone::clone).map(|row| u32::try_from(row).unwrap_or(u32::MAX));
        let selected: usize = kept.iter().map(ExactSizeIterator::len).sum();
        let mut read = 0usize;
        let mut ruled_out = false;
        let fetched = Arc::new(fetched);
        // One dictionary serves the row group: if it has no asked scope, no row has.
        let rules_out = |matcher: &Matcher<'_>| {
            self.context.pruning && all_dictionary && matcher.dictionary_rules_out()
        };
        let flat = match footer.columns.scopes.as_ref().filter(|_| ranges.is_none()) {
            Some(bound) => self.flat_scopes(file, group, bound, &fetched)?,
            None => None,
        };
        if let (Some(bound), Some(mut column)) = (&footer.columns.scopes, flat) {
            let mut search = || {
                let texts = column.texts()?;
                let learnt = matcher.learn(bound, column.data_type(), texts.as_ref(), &file.shown);
                if let Err(error) = learnt {
                    return Ok(Err(error));
                }
                ruled_out = rules_out(&matcher);
                let found = if ruled_out { Ok(0) } else { matcher.find(&mut column) };
                found.map(Ok)
            };
            match search() {
                Ok(rows_read) => {
                    let seen = (rows, selected, rows_read?, ruled_out);
                    return self.selected(file, group, unit, matcher, seen);
                }
                // Not what its footer says: the library is asked, from the first row on.
                Err(ParquetError::NYI(_)) => matcher = Matcher::new(&self.context.asked, most),
                Err(e) => return Err(file.unreadable(&e)),
            }
        }
        let at_once = self.rows_at_once(file, group, &headers, &fetched)?;
        for batch in open_reader(file, footer, group, &leaves, selection, &fetched, at_once)? {
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
            if rules_out(&matcher) {
                ruled_out = true;
                break;
            }
            if matcher.matches.are_too_many() {
                break;
            }
        }
        self.selected(file, group, unit, matcher, (rows, selected, read, ruled_out))
    }

    /// The scope column, where it can be searched as it lies in its pages.
    fn flat_scopes(
        &self,
        file: &OpenFile,
        group: usize,
        bound: &Bound,
        fetched: &Arc<Fetched>,
    ) -> Result<Option<FlatColumn>, ScanError> {
        let footer = file.footer()?;
        let Some(leaf) = bound.single_leaf().filter(|_| self.context.pruning) else {
            return Ok(None);
        };
        let column = footer.metadata.parquet_schema().columns().get(leaf);
        if !column.is_some_and(|column| bound.is_leaf(column.path().parts())) {
            return Ok(None);
        }
        let column = FlatColumn::open(&footer.metadata, group, leaf, fetched, None);
        let column = column.map_err(|e| file.unreadable(&e))?;
        Ok(column.filter(|c| matches!(c.data_type(), DataType::Dictionary(..))))
    }

    /// What follows from the matches of a row group: nothing, or its other columns.
    fn selected(
        &self,
        file: &Arc<OpenFile>,
        group: usize,
        mut unit: UnitRecord,
        matcher: Matcher<'_>,
        (rows, selected, read, ruled_out): (usize, usize, usize, bool),
    ) -> Result<Selected, ScanError> {
        let footer = file.footer()?;
        if matcher.matches.are_too_many() {
            // The rows that come are like those that came, about.
            let (bytes, seen) = (matcher.matches.bytes(), matcher.matches.rows.len().max(1));
            let all = u128::from(bytes) * (rows as u128) / (seen as u128);
            let all = u64::try_from(all).unwrap_or(u64::MAX);
            return Err(file.too_large(file.large(Some(group)), all.max(self.rest)));
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
        unit.pruned.page_index += unit.live() - selected as u64;
        if matcher.matches.rows.is_empty() {
            return Ok(Selected { next: Vec::new(), units: vec![(unit, AccessBatch::default())] });
        }
        let scopes = footer.columns.scopes.as_ref();
        let of = (&self.context.mapping, self.context.endpoints.is_some());
        let meaning = meaning(of, scopes, matcher.encoding, &file.shown)?;
        let matching = Box::new(MatchingRows { group, matches: matcher.matches, unit, meaning });
        let few = matching.few(footer).filter(|_| self.context.pruning);
        let fetch = matching.fetch(file, footer).of_few(few);
        Ok(Selected { next: vec![fetch], units: Vec::new() })
    }

    fn read(
        &mut self,
        file: &Arc<OpenFile>,
        mut matching: Box<MatchingRows>,
        fetched: Fetched,
        places: Places,
    ) -> Result<Selected, ScanError> {
        let footer = file.footer()?;
        let MatchingRows { group, matches, unit, meaning } = matching.as_ref();
        let (group, meaning, in_parts) = (*group, *meaning, !places.is_empty());
        let rows = usize::try_from(unit.rows).unwrap_or(0);
        let leaves = footer.columns.reading(meaning == Meaning::ByEndpoint);
        let headers = self.check(file, group, &leaves, &fetched)?;
        let room = (self.taken.saturating_add(headers.bytes), self.rest);
        let fetched = Arc::new(fetched);
        let flat = if self.context.pruning {
            FlatReader::open(&footer.metadata, group, &leaves, &matches.rows, &fetched, places)
                .map_err(|e| file.unreadable(&e))?
        } else {
            None
        };
        let begin = || {
            EventBuilder::new(
                &self.context,
                &footer.columns,
                matches,
                meaning,
                (&file.shown, footer.bound.as_ref()),
                room,
            )
        };
        let flat = flat.map(|flat| flat.on(self.threads, &self.progress.effort));
        let mut events = begin();
        let mut read = 0;
        let mut by_library = flat.is_none();
        for batch in flat.into_iter().flatten() {
            match batch {
                Ok(batch) => {
                    read += batch.num_rows();
                    events.take(&batch, &mut self.endpoints)?;
                }
                Err(ParquetError::NYI(_)) => {
                    by_library = true;
                    break;
                }
                Err(e) => return Err(file.unreadable(&e)),
            }
        }
        if by_library && in_parts {
            // It wants all pages, or an index that says where they are.
            drop(events);
            let fetch = matching.fetch(file, footer);
            return Ok(Selected { next: vec![fetch], units: Vec::new() });
        }
        if by_library {
            (events, read) = (begin(), 0);
            let at_once = self.rows_at_once(file, group, &headers, &fetched)?;
            let selection = selection_of_rows(&matches.rows, rows);
            for batch in open_reader(file, footer, group, &leaves, selection, &fetched, at_once)? {
                let batch = batch.map_err(|e| file.unreadable(&e))?;
                read += batch.num_rows();
                events.take(&batch, &mut self.endpoints)?;
            }
        }
        if read != matches.rows.len() {
            return Err(file.unreadable(&format!(
                "row group {group} gave {read} of {} matching rows",
                matches.rows.len()
            )));
        }
        let EventBuilder { before, unmatched_endpoints, batch, outside, .. } = events;
        if let (rows, Some(first)) = outside {
            return Err(self.outside_partition(file, footer, rows, first));
        }
        let mut unit = std::mem::take(&mut matching.unit);
        unit.before = before;
        unit.unmatched_endpoints += unmatched_endpoints;
        unit.kept = batch.len() as u64;
        Ok(Selected { next: Vec::new(), units: vec![(unit, batch)] })
    }

    /// Rows outside the time that the partition declares show that pruning by it would lose rows.
    fn outside_partition(
        &self,
        file: &OpenFile,
        footer: &Footer,
        rows: u64,
        first: Moment,
    ) -> ScanError {
        let column = self.context.partition_time.as_ref().map(|plan| plan.column.clone());
        let column = column.unwrap_or_default();
        let value = file.file.partitions.iter().find(|p| p.name == column);
        let bound = footer.bound.clone().unwrap_or(first..first);
        ScanError::OutsidePartition {
            file: file.shown.clone(),
            value: value.and_then(|p| p.value.clone()).unwrap_or_default(),
            column,
            rows,
            first: first.to_rfc3339(),
            from: bound.start.to_rfc3339(),
            to: bound.end.to_rfc3339(),
        }
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
