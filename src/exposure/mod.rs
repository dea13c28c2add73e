//! Merged rows to measures, for every grain and window, in one pass over the ledger.

mod block_leaves;
mod by_pair;
mod carried;
mod cells;
mod counter;
mod counts;
mod days;
mod distinct;
mod eras;
mod events;
mod fetch;
mod group_events;
mod group_ids;
mod groups;
mod held;
mod home;
pub mod kept;
mod leaf;
pub(crate) mod listed;
mod lookup;
mod measures;
mod observed;
mod parts;
mod passes;
mod pending;
mod people_list;
mod policy;
mod projections;
mod reach;
mod reads;
mod records;
mod rules;
mod same_event;
mod seen;
mod shared;
mod tally;
mod totals;
mod trace;
mod visits;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use thiserror::Error;

use crate::effort::Effort;
use crate::key::{IdKind, Keyer};
use crate::ledger::{Input, KeyRange, LedgerError, OpenPack};
use crate::memory::Budget;
use crate::scan::Asked;
use crate::sorter::SortError;

pub use cells::{CellKey, Grain, Window};
pub use events::{Event, Events, events};
pub use listed::{ListedGroups, Met};
pub use measures::{Measures, WindowMeasures};
pub use people_list::{Choice, Entry, Facts, Listing, list_people};
pub use reach::{NOWHERE, PeopleOf, Residents};
pub use rules::Rules;
pub use tally::{Term, Terms};
pub use totals::{Cell, Day, Exposure};
pub use trace::{Figure, Share, Shares, trace};

use counts::CellCounts;
use group_ids::GroupIds;
use passes::{Passed, Passes};

#[derive(Debug, Error)]
pub enum ExposureError {
    #[error("{0}")]
    Ledger(#[from] LedgerError),

    #[error("{0}")]
    Sort(#[from] SortError),

    #[error(
        "a sum of weights, bytes or records does not fit 64 bits (9,223,372,036,854,775,807 at most)\nlook for the largest values of the columns mapped as weight, bytes and records; such values are no counts"
    )]
    Overflow,

    #[error(
        "the memory limit does not hold the answer: {cells} rows of figures{more} need at least {needed} MB\ngive more with --memory-limit, or list fewer groups with report.groups"
    )]
    Memory { cells: u64, more: String, needed: u64 },

    #[error(
        "the memory limit does not hold the sums: {pairs} pairs of an app and a set of scopes so far, with {leaves} stretches of time to sum up in each of {threads} threads, need at least {needed} MB\ngive more with --memory-limit, or count with fewer threads (--threads)"
    )]
    Leaves { pairs: u64, leaves: u64, threads: usize, needed: u64 },

    #[error(
        "the memory limit does not hold the {packs} packs of the ledger that are merged at once: they need at least {needed} MB\ngive more with --memory-limit"
    )]
    Packs { packs: usize, needed: u64 },

    #[error(
        "the memory limit does not hold the names of apps, sets of scopes and lists of returned fields that the log gives: {bytes} bytes of them so far, in each thread, need at least {needed} MB\ngive more with --memory-limit, or leave `fields` out of the mapping where nearly every row has another list"
    )]
    Names { bytes: u64, needed: u64 },

    #[error(
        "source `{source_name}`: one event id of one person, or of nobody, has {rows} rows so far that are not equal; the memory limit does not hold more\nmap event_id only where it tells events apart, or give more with --memory-limit"
    )]
    Repeats { source_name: String, rows: u64 },

    #[error(
        "the memory limit does not hold which groups were read by whom: {reads} reads of groups with members so far\ngive more with --memory-limit"
    )]
    Reads { reads: u64 },

    #[error("interrupted")]
    Interrupted,

    #[error("{what}\nthis is a bug in afterscope; please report it")]
    Internal { what: String },
}

/// One source's rows, and the namespaces of its ids.
#[derive(Clone, Debug)]
pub struct SourceRows {
    /// The source, for messages.
    pub name: String,
    pub packs: Vec<Arc<OpenPack>>,
    pub asked: Arc<Asked>,
    /// Units that the packs refer to: the last day of each one's partition, where one is declared.
    pub units: Vec<Option<i64>>,
    pub person_space: usize,
    pub group_space: usize,
    pub event_space: usize,
}

/// What a count needs beside the rows.
pub struct Settings<'a> {
    pub rules: Rules,
    pub keyer: &'a Keyer,
    pub group_kinds: Vec<Option<IdKind>>,
    pub groups_limit: Option<u64>,
    /// `None` where the registry knows nothing of people.
    pub people: Option<PeopleOf<'a>>,
    pub budget: Budget,
    pub threads: usize,
    /// For temporary files, which have no names there.
    pub temp: &'a Path,
    pub stop: &'a AtomicBool,
    pub effort: &'a Effort,
}

impl Settings<'_> {
    fn group_ids(&self) -> GroupIds<'_> {
        GroupIds { keyer: self.keyer, kinds: &self.group_kinds }
    }

    /// # Errors
    /// [`ExposureError::Memory`] where the memory limit does not hold an answer of this size.
    fn fits(&self, cells: u64, days: u64, groups: u64) -> Result<(), ExposureError> {
        match self.budget.beyond(cells, days, groups) {
            Some(needed) => {
                let more = format!(", {days} days and {groups} listed groups");
                Err(ExposureError::Memory { cells, more, needed: needed.div_ceil(1_000_000) })
            }
            None => Ok(()),
        }
    }
}

/// Bits of the key that make a partition of the second pass.
const PARTITION_BITS: u32 = 6;

/// A stretch of keys of one person namespace.
pub(crate) struct Job {
    person_space: usize,
    range: KeyRange,
}

impl Job {
    /// The packs of the sources whose people share the namespace.
    fn inputs(&self, sources: &[SourceRows]) -> Vec<Input> {
        let own = sources.iter().enumerate().filter(|(_, s)| s.person_space == self.person_space);
        own.map(|(source, s)| Input { source, group_space: s.group_space, packs: s.packs.clone() })
            .collect()
    }
}

/// Counts everything.
///
/// # Errors
/// Storage failures, damaged packs, sums that overflow, interruption.
pub fn count(sources: &[SourceRows], settings: &Settings<'_>) -> Result<Exposure, ExposureError> {
    let passes = Passes::new(sources, settings, 1)?;
    let mut cells = Vec::new();
    let each = |key, counts: CellCounts| {
        cells.push(counts.cell(key)?);
        Ok::<(), ExposureError>(())
    };
    let passed = passes.count(settings.groups_limit, each)?;
    exposure(cells, passed, settings)
}

/// The result of passes over all rows.
fn exposure(
    mut cells: Vec<Cell>,
    passed: Passed,
    settings: &Settings<'_>,
) -> Result<Exposure, ExposureError> {
    cells.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let groups = passed.listed.unwrap_or_else(|| {
        let orders = passed.groups.orders(settings.groups_limit);
        passed.groups.listed(orders)
    });
    let days: usize = cells.iter().map(|cell| cell.days.len()).sum();
    let listed: usize = groups.iter().map(ListedGroups::count).sum();
    settings.fits(cells.len() as u64, days as u64, listed as u64)?;
    Ok(Exposure {
        cells,
        groups,
        scope_names: passed.scope_names,
        terms: passed.terms,
        conflicts: passed.conflicts,
        residence_contradictions: passed.contradictions,
        fields: passed.fields,
    })
}

fn plan_jobs(
    sources: &[SourceRows],
    person_spaces: usize,
    threads: usize,
    people: Option<PeopleOf<'_>>,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    for person_space in 0..person_spaces {
        let of = people.filter(|of| of.person_space == person_space);
        let members = of.and_then(|of| of.people.members.as_ref()).map_or(0, |pack| pack.rows());
        let own: u64 = sources
            .iter()
            .filter(|s| s.person_space == person_space)
            .flat_map(|s| &s.packs)
            .map(|p| p.pack.footer.rows)
            .sum();
        let rows = own.max(members);
        // A stretch costs a row group of each pack at its ends; few rows need no parallel work.
        let wanted = usize::try_from(rows / 200_000).unwrap_or(usize::MAX);
        let count = wanted.clamp(1, (threads * 2).max(1)) as u64;
        let step = u64::MAX / count;
        for i in 0..count {
            let from = i * step;
            let to = if i + 1 == count { u64::MAX } else { (i + 1) * step - 1 };
            jobs.push(Job { person_space, range: from..=to });
        }
    }
    jobs
}
