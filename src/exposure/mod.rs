//! Merged rows to measures, for every grain and window, in one pass over the ledger.

mod cells;
mod counter;
mod distinct;
mod events;
mod group_events;
mod groups;
mod held;
mod home;
mod leaf;
mod listed;
mod lookup;
mod observed;
mod parts;
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
mod tally;
mod totals;
mod trace;
mod visits;
mod walk;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::effort::{Effort, Part};
use crate::key::{IdKind, Keyer};
use crate::ledger::pack::PersonColumn;
use crate::ledger::{Input, KeyRange, LedgerError, Merge, Names, OpenPack};
use crate::memory::{Budget, Counting};
use crate::scan::Asked;
use crate::sorter::{SortError, Sorted, Sorter, partition_keys};
use crate::threads::in_threads;

pub use cells::{CellKey, Grain, Window};
pub use events::{Event, Events, events};
pub use listed::{GroupRow, RestGroups};
pub use people_list::{Choice, Entry, Facts, Listing, list_people};
pub use reach::{NOWHERE, PeopleOf, Residents};
pub use rules::Rules;
pub use tally::{Term, Terms};
pub use totals::{Cell, Day, Exposure, Measures};
pub use trace::{Figure, Share, Shares, trace};

use counter::{Counter, SourceSpaces};
use group_events::SortedGroups;
use groups::{GroupCounter, GroupsSeen};
use leaf::LeafTable;
use listed::GroupsMet;
use observed::ObservedReader;
use policy::Policy;
use projections::{GroupSorters, Projections};
use reach::{Listed, reach};
use reads::{GroupReads, Reads};
use records::ActorRecord;
use seen::Seen;
use tally::Tally;

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
    let policy = Mutex::new(Policy::new(settings.rules.clone()));
    let person_spaces = sources.iter().map(|s| s.person_space + 1).max().unwrap_or(0);
    let group_spaces = sources.iter().map(|s| s.group_space + 1).max().unwrap_or(0);
    // Where nothing tells them apart, the people are the actors (docs/counting.md, rule 5).
    let actors_are_people = person_columns(sources).all(|c| c == PersonColumn::Actor);
    let actors = vec![!actors_are_people; person_spaces];
    let jobs = plan_jobs(sources, person_spaces, settings.threads, settings.people);
    let asked: Vec<Arc<Asked>> = sources.iter().map(|s| s.asked.clone()).collect();
    let spaces: Vec<SourceSpaces> = sources
        .iter()
        .map(|s| SourceSpaces {
            name: s.name.clone(),
            group_space: s.group_space,
            event_space: s.event_space,
            last_days: s.units.clone(),
        })
        .collect();
    let units: Vec<usize> = sources.iter().map(|s| s.units.len()).collect();
    let sorters = group_spaces + actors.iter().filter(|a| **a).count();
    let sorters = u64::try_from(sorters.max(1)).unwrap_or(1);
    let sort_budget = settings.budget.sort_buffer / sorters;
    let temp: Arc<Path> = settings.temp.into();
    let groups_sorters = || GroupSorters::new(&temp, sort_budget);
    let actor_sorter = || Sorter::new(temp.clone(), sort_budget, PARTITION_BITS);

    let observed: Vec<Mutex<Option<ObservedReader>>> =
        jobs.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let (people, repeats_held) = (AtomicU64::new(0), AtomicU64::new(0));
    let packs = sources.iter().map(|s| s.packs.len()).sum();
    let memory = settings.budget.counting(packs, settings.threads);
    if let Some(needed) = memory.beyond_leaves(0) {
        return Err(ExposureError::Packs { packs, needed: needed.div_ceil(1_000_000) });
    }
    let packed = sources.iter().flat_map(|s| &s.packs).map(|pack| pack.names_bytes()).sum();
    let threads = memory.threads;
    let counting = |_| {
        let projections = Projections {
            groups: (0..group_spaces).map(|_| groups_sorters()).collect(),
            actors: actors.iter().map(|differ| differ.then(actor_sorter)).collect(),
        };
        let shared = (&people, &repeats_held);
        let mut counter = Counter::new(&policy, &spaces, &units, projections, shared, memory);
        let mut names = Names::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(number) else { break };
            let inputs = job.inputs(sources);
            if settings.people.is_some() {
                counter.remember(settings.temp)?;
            }
            let bounds = (memory, packed, settings.stop);
            names = run_job(job, &inputs, &asked, names, &mut counter, bounds)?;
            if let Some(slot) = observed.get(number) {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = counter.remembered()?;
            }
        }
        let returned = counter.returned(&names);
        Ok((counter.tally, counter.projections, returned))
    };
    let counted = in_threads::<_, ExposureError>(threads.min(jobs.len().max(1)), |number| {
        settings.effort.timed(Part::Counting, || counting(number))
    })?;

    let mut tally: Option<Tally> = None;
    let mut groups: Vec<SortedGroups> = (0..group_spaces)
        .map(|space| SortedGroups::new(settings.group_kinds.get(space).copied().flatten()))
        .collect();
    let mut actor_runs: Vec<Sorted<ActorRecord>> =
        actors.iter().map(|_| Sorted::new(PARTITION_BITS)).collect();
    let mut returned: Vec<(u32, Vec<String>)> = Vec::new();
    for (part, projections, fields) in counted {
        returned.extend(fields);
        match &mut tally {
            Some(tally) => tally.merge(part)?,
            None => tally = Some(part),
        }
        for (all, sorters) in groups.iter_mut().zip(projections.groups) {
            all.take(sorters);
        }
        for (all, sorter) in actor_runs.iter_mut().zip(projections.actors) {
            if let Some(sorter) = sorter {
                sorter.finish(all);
            }
        }
    }
    let spilled = groups.iter().map(SortedGroups::spilled).sum::<u64>()
        + actor_runs.iter().map(Sorted::spilled).sum::<u64>();
    settings.effort.spilled.fetch_add(spilled, Ordering::Relaxed);
    let policy = policy.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut leaves = LeafTable::default();
    for (number, leaf) in (0..).zip(&policy.leaves) {
        leaves.learn(number, leaf);
    }
    let GroupsSeen { counts: group_counts, top, reads } =
        count_groups(&policy, &leaves, &groups, settings)?;
    drop(groups);
    let listed = top.finish();
    let listed_groups = listed.0.len() as u64;
    let mut actor_counts = vec![[0; Window::COUNT]; policy.cells.len()];
    for (space, runs) in actor_runs.iter().enumerate() {
        if actors.get(space) == Some(&true) {
            count_actors(&policy, runs, &mut actor_counts, settings)?;
        }
    }
    let reached = match settings.people {
        Some(of) => {
            let places = places(&listed.0);
            Some(reach(&policy, &leaves, &jobs, &observed, &reads, &places, settings, of)?)
        }
        None => None,
    };
    drop(leaves);
    let mut tally = tally.unwrap_or_default();
    for (sums, resolved) in tally.sums.iter_mut().zip(reads.resolved()) {
        sums.subjects_unknown_rows = sums.subjects_unknown_rows.saturating_sub(*resolved);
    }
    drop(reads);
    let fits =
        |cells: u64, days: u64, groups: u64| match settings.budget.beyond(cells, days, groups) {
            Some(needed) => {
                let more = format!(", {days} days and {groups} listed groups");
                Err(ExposureError::Memory { cells, more, needed: needed.div_ceil(1_000_000) })
            }
            None => Ok(()),
        };
    // Sums of leaves take less than the figures of cells that are made of them.
    let (cells, days) = totals::cells_and_days_at_least(&policy, &tally);
    fits(cells, days, listed_groups)?;
    let mut fields: Vec<BTreeSet<String>> = vec![BTreeSet::new(); policy.scope_names.len()];
    for (leaf, names) in returned {
        let leaf = usize::try_from(leaf).ok().and_then(|leaf| policy.leaves.get(leaf));
        for scope in leaf.iter().flat_map(|leaf| &leaf.scopes) {
            let index = usize::try_from(scope.scope).unwrap_or(usize::MAX);
            if let Some(fields) = fields.get_mut(index) {
                fields.extend(names.iter().cloned());
            }
        }
    }
    let second = totals::Second {
        fields,
        groups: group_counts,
        actors: actor_counts,
        actors_are_people,
        listed,
        reached,
        has_members: settings.people.is_some_and(|of| of.has_members),
        has_residency: settings.people.is_some_and(|of| of.has_residency),
    };
    let exposure = totals::roll_up(policy, tally, second)?;
    let days: usize = exposure.cells.iter().map(|cell| cell.days.len()).sum();
    let (cells, days, groups) =
        (exposure.cells.len() as u64, days as u64, exposure.groups.len() as u64);
    fits(cells, days, groups)?;
    Ok(exposure)
}

fn run_job(
    job: &Job,
    inputs: &[Input],
    asked: &[Arc<Asked>],
    names: Names,
    counter: &mut Counter<'_>,
    (memory, packed, stop): (Counting, u64, &AtomicBool),
) -> Result<Names, ExposureError> {
    let mut merge = Merge::begin(names);
    for input in inputs {
        for pack in &input.packs {
            merge.add(input, pack, asked, &job.range, memory.rows)?;
            // Before those of the next pack are held, too.
            let bytes = merge.names.bytes_held();
            if let Some(needed) = memory.beyond_names(packed, bytes) {
                return Err(ExposureError::Names { bytes, needed: needed.div_ceil(1_000_000) });
            }
        }
    }
    counter.begin(job.person_space);
    while let Some(block) = merge.next_block()? {
        counter.take(&block)?;
        if stop.load(Ordering::Relaxed) {
            return Err(ExposureError::Interrupted);
        }
    }
    counter.end()?;
    Ok(merge.names)
}

fn person_columns(sources: &[SourceRows]) -> impl Iterator<Item = PersonColumn> {
    sources
        .iter()
        .flat_map(|s| s.packs.iter())
        .filter(|p| p.pack.footer.rows > 0)
        .map(|p| p.pack.footer.person)
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

type Counts = Vec<[u64; Window::COUNT]>;

/// Listed groups by their numbers among those with members.
fn places(listed: &[GroupRow]) -> Listed {
    let rows = listed.iter().zip(0u32..);
    Listed::new(
        rows.filter_map(|(row, place)| Some((row.number?, row.scope, place))).collect(),
        listed.len(),
    )
}

fn count_groups(
    policy: &Policy,
    leaves: &LeafTable,
    groups: &[SortedGroups],
    settings: &Settings<'_>,
) -> Result<GroupsSeen, ExposureError> {
    let scopes = policy.scope_names.len();
    let cells = policy.cells.len();
    let jobs: Vec<(usize, usize)> = groups
        .iter()
        .enumerate()
        .flat_map(|(space, sorted)| (0..sorted.partitions()).map(move |p| (space, p)))
        .collect();
    let next = AtomicUsize::new(0);
    let limit = settings.budget.reads(settings.threads);
    let met = GroupsMet::new(scopes, settings.groups_limit, cells, settings.budget);
    let counting = |_| {
        let reads = GroupReads::new(policy.leaves.len(), limit);
        let mut counter = GroupCounter::new(leaves, policy, &met, settings.keyer, reads);
        while let Some((space, partition)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if settings.stop.load(Ordering::Relaxed) {
                return Err(ExposureError::Interrupted);
            }
            let Some(sorted) = groups.get(*space) else { continue };
            let members = settings
                .people
                .filter(|of| of.group_space == *space)
                .and_then(|of| of.people.members.as_ref())
                .map(|pack| pack.groups(&partition_keys(*partition, PARTITION_BITS)));
            counter.partition(sorted, *partition, *space, members)?;
        }
        Ok((counter.seen, counter.top, counter.reads))
    };
    let parts = in_threads::<_, ExposureError>(settings.threads, |number| {
        settings.effort.timed(Part::Counting, || counting(number))
    })?;
    let mut counts = vec![[0; Window::COUNT]; cells];
    let mut top = met.top();
    let mut reads = Vec::with_capacity(parts.len());
    for (part, part_top, part_reads) in parts {
        part.add_to(&mut counts);
        top.merge(part_top)?;
        reads.push(part_reads);
    }
    Ok(GroupsSeen { counts, top, reads: Reads::new(reads)? })
}

fn count_actors(
    policy: &Policy,
    runs: &Sorted<ActorRecord>,
    counts: &mut Counts,
    settings: &Settings<'_>,
) -> Result<(), ExposureError> {
    let next = AtomicUsize::new(0);
    let parts = in_threads::<_, ExposureError>(settings.threads, |_| {
        let mut seen = Seen::new(policy.cells.len());
        let mut number = 0u64;
        loop {
            let partition = next.fetch_add(1, Ordering::Relaxed);
            if partition >= runs.partitions {
                break;
            }
            let mut ordered = runs.partition(partition)?;
            let mut at = None;
            while let Some(record) = ordered.next_record()? {
                if at != Some(record.actor) {
                    at = Some(record.actor);
                    number += 1;
                }
                let leaf = usize::try_from(record.leaf).ok().and_then(|i| policy.leaves.get(i));
                for (cell, windows) in leaf.map(|l| l.exposed.as_slice()).unwrap_or_default() {
                    seen.add(*cell, number, *windows);
                }
            }
        }
        Ok(seen)
    })?;
    for part in parts {
        part.add_to(counts);
    }
    Ok(())
}
