//! What is needed of each row group: nothing, or a look at less than its rows first.

use std::ops::Range;
use std::sync::Arc;

use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::RowGroupMetaData;

use super::fetch::Fetch;
use super::file::OpenFile;
use super::footer::Footer;
use super::prune;
use super::ranges::{byte_ranges, selection_of_ranges};
use super::step::{Selected, Step};
use super::{ScanContext, ScanError, UnitRecord};
use crate::fetched::Fetched;

/// Plans what is read of one file, whose footer is known.
pub(super) struct Planner<'a> {
    context: &'a ScanContext,
    file: &'a Arc<OpenFile>,
    footer: &'a Footer,
}

impl<'a> Planner<'a> {
    /// # Errors
    /// Never: the file is open.
    pub fn of(context: &'a ScanContext, file: &'a Arc<OpenFile>) -> Result<Self, ScanError> {
        Ok(Self { context, file, footer: file.footer()? })
    }

    /// What is needed of each row group.
    ///
    /// # Errors
    /// As [`Self::group`].
    pub fn groups(&self) -> Result<Selected, ScanError> {
        let Footer { metadata, columns, .. } = self.footer;
        let groups = metadata.metadata().num_row_groups();
        let mut out = Selected::default();
        if groups == 0 {
            let unit = UnitRecord {
                file_day: self.footer.file_day,
                first_day: self.footer.bound.as_ref().map(|bound| bound.start.day()),
                ..Default::default()
            };
            out.leave(unit);
        }
        for group in 0..groups {
            let known = self.footer.days.get(group).is_none_or(|days| days.known().is_some());
            if known || !self.context.all_days || self.context.survey {
                self.group(group, &mut out)?;
                continue;
            }
            let ranges = byte_ranges(self.footer, group, &columns.time.leaves, None);
            out.next.push(Fetch::new(self.file.clone(), ranges, Step::Days { group }));
        }
        Ok(out)
    }

    /// Leaves the row group out, or asks for what is needed to go on.
    ///
    /// # Errors
    /// [`ScanError::Internal`]: there is no such row group.
    pub fn group(&self, group: usize, out: &mut Selected) -> Result<(), ScanError> {
        let details = self.file.group(group)?;
        let asked = &self.context.asked;
        let mut unit = self.unit(group, details);
        let live = unit.live();
        if live == 0 {
            out.leave(unit);
            return Ok(());
        }
        if !self.context.pruning {
            if self.context.survey {
                unit.not_matched = live;
                out.leave(unit);
            } else {
                out.next.push(self.select(group, self.footer.live_rows(group)));
            }
            return Ok(());
        }
        let Footer { bound, time, scope_leaf, .. } = self.footer;
        let pruned = &mut unit.pruned;
        if bound.as_ref().is_some_and(|bound| prune::last_day(bound) < asked.first_day) {
            pruned.partition = live;
        } else if time
            .and_then(|(leaf, unit)| prune::time_range(details, leaf, unit))
            .is_some_and(|(_, greatest)| greatest.day() < asked.first_day)
        {
            pruned.time_statistics = live;
        } else if scope_leaf.is_some_and(|leaf| !prune::scope_may_occur(details, leaf, asked)) {
            pruned.scope_statistics = live;
        } else if let Some(range) = scope_leaf.and_then(|leaf| prune::bloom_range(details, leaf)) {
            let step = Step::Bloom { group };
            out.next.push(Fetch::new(self.file.clone(), vec![range], step));
            return Ok(());
        } else {
            self.pages(group, unit, out);
            return Ok(());
        }
        out.leave(unit);
        Ok(())
    }

    /// What is told of a row group before any of it is read.
    pub fn unit(&self, group: usize, details: &RowGroupMetaData) -> UnitRecord {
        let Footer { metadata, bound, .. } = self.footer;
        let days = self.footer.days.get(group);
        UnitRecord {
            row_group: u32::try_from(group).unwrap_or(u32::MAX),
            of: u32::try_from(metadata.metadata().num_row_groups()).unwrap_or(u32::MAX),
            rows: u64::try_from(details.num_rows()).unwrap_or(0),
            deleted: self.footer.deleted_in(group),
            file_day: self.footer.file_day,
            first_day: days
                .and_then(|days| days.first())
                .or(bound.as_ref().map(|bound| bound.start.day())),
            last_day: bound.as_ref().map(prune::last_day),
            days: days.and_then(|days| days.known()).map(<[_]>::to_vec).unwrap_or_default(),
            ..Default::default()
        }
    }

    /// The last look before anything is decoded: pages.
    fn pages(&self, group: usize, mut unit: UnitRecord, out: &mut Selected) {
        let Footer { metadata, time, scope_leaf, .. } = self.footer;
        let asked = &self.context.asked;
        let ranges =
            prune::pages_that_may_match(metadata.metadata(), group, *time, *scope_leaf, asked);
        let ranges = match (ranges, self.footer.live_rows(group)) {
            (Some(pages), Some(live)) => Some(prune::intersect(&pages, &live)),
            (one, other) => one.or(other),
        };
        if self.context.survey {
            let left =
                ranges.as_ref().map_or(unit.rows, |r| r.iter().map(|r| r.len() as u64).sum());
            unit.not_matched = left;
            unit.pruned.page_index = unit.live() - left;
            out.leave(unit);
        } else if ranges.as_ref().is_some_and(Vec::is_empty) {
            unit.pruned.page_index = unit.live();
            out.leave(unit);
        } else {
            out.next.push(self.select(group, ranges));
        }
    }

    /// Goes on with a row group whose bloom filter is here.
    ///
    /// # Errors
    /// A damaged filter.
    pub fn bloom(&self, group: usize, fetched: &Fetched) -> Result<Selected, ScanError> {
        let mut out = Selected::default();
        let details = self.file.group(group)?;
        let mut unit = self.unit(group, details);
        let (_, bytes) = fetched.first();
        let filter = Sbbf::from_bytes(&bytes).map_err(|e| self.file.unreadable(&e))?;
        if self.context.asked.scopes.iter().any(|s| filter.check(s.name.as_str())) {
            self.pages(group, unit, &mut out);
        } else {
            unit.pruned.bloom_filter = unit.live();
            out.leave(unit);
        }
        Ok(out)
    }

    /// Asks for the columns that say which rows match, of all rows or some.
    fn select(&self, group: usize, ranges: Option<Vec<Range<usize>>>) -> Fetch {
        let leaves = self.footer.columns.selecting();
        let selection = ranges.as_ref().map(|r| selection_of_ranges(self.footer, group, r));
        let bytes = byte_ranges(self.footer, group, &leaves, selection.as_ref());
        Fetch::new(self.file.clone(), bytes, Step::Select { group, ranges })
    }
}
