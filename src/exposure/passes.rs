//! The passes over the ledger: rows in the order of people, then in that of groups, of actors, and of people again.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::block_leaves::BlockLeaves;
use super::cells::{ByWindow, CellKey};
use super::counter::{Counter, SourceSpaces};
use super::counts::CellCounts;
use super::eras::Era;
use super::group_events::SortedGroups;
use super::groups::{GroupCounter, GroupsSeen};
use super::leaf::LeafTable;
use super::listed::{GroupsMet, KeepGroups, ListedGroups, RankedGroups, ScopeGroups};
use super::observed::ObservedReader;
use super::policy::Policy;
use super::projections::{GroupSorters, Projections};
use super::reach::{Listed, Reached, reach};
use super::reads::{GroupReads, Reads};
use super::records::ActorRecord;
use super::rules::Rules;
use super::seen::Seen;
use super::tally::{Tally, Term, Terms};
use super::totals::{self, Counts, Second};
use super::{ExposureError, Job, PARTITION_BITS, Settings, SourceRows, plan_jobs};
use crate::effort::Part;
use crate::ledger::pack::PersonColumn;
use crate::ledger::{Chosen, Merge, Names};
use crate::memory::Counting;
use crate::scan::Asked;
use crate::scan::batch::NONE;
use crate::sorter::{Sorted, Sorter, partition_keys};
use crate::threads::in_threads;

/// Rules by which rows are counted, and whose.
pub struct Way<'a> {
    pub era: Era,
    pub groups: KeepGroups<'a>,
    /// People, groups and actors whose rows alone count; `None` for all.
    pub chosen: Option<Arc<Chosen>>,
    /// By source and unit: whether its rows are left out. Empty leaves none out.
    pub without: &'a [Vec<bool>],
}

impl<'a> Way<'a> {
    /// Everything; so many groups of each scope are kept.
    fn all(groups: Option<u64>) -> Self {
        Self { era: Era::Now, groups: KeepGroups::First(groups), chosen: None, without: &[] }
    }
}

/// What was counted beside the cells.
pub struct Passed {
    pub scope_names: Vec<String>,
    pub groups: RankedGroups,
    /// The listed ones, where their members had to be counted.
    pub listed: Option<Vec<ListedGroups>>,
    /// By source and unit.
    pub terms: Vec<Vec<Terms>>,
    /// By source.
    pub conflicts: Vec<u64>,
    /// By scope: fields that its calls returned.
    pub fields: Vec<BTreeSet<String>>,
    pub contradictions: u64,
}

/// What all threads have counted of one way in the order of people.
struct Merged {
    tally: Tally,
    groups: Vec<SortedGroups>,
    actors: Vec<Sorted<ActorRecord>>,
    /// Fields that events of each leaf returned.
    returned: Vec<(u32, Vec<String>)>,
}

/// Those of one thread that count by the same rules, and the leaves that are theirs.
type Counters<'a> = (BlockLeaves<'a>, Vec<Counter<'a>>);

/// What the passes have in common.
pub struct Passes<'a> {
    sources: &'a [SourceRows],
    pub settings: &'a Settings<'a>,
    pub asked: Vec<Arc<Asked>>,
    spaces: Vec<SourceSpaces>,
    units: Vec<usize>,
    pub(super) jobs: Vec<Job>,
    group_spaces: usize,
    /// Whether holders of tokens are the people.
    actors_are_people: bool,
    /// By person namespace: whether rows name actors that are counted beside the people.
    actors: Vec<bool>,
    pub memory: Counting,
    /// Bytes of names in all packs.
    packed: u64,
}

impl<'a> Passes<'a> {
    /// For so many ways at once.
    ///
    /// # Errors
    /// Where the memory limit does not hold the packs.
    pub fn new(
        sources: &'a [SourceRows],
        settings: &'a Settings<'a>,
        ways: usize,
    ) -> Result<Self, ExposureError> {
        let person_spaces = sources.iter().map(|s| s.person_space + 1).max().unwrap_or(0);
        // Where nothing tells them apart, the people are the actors (docs/counting.md, rule 5).
        let actors_are_people = person_columns(sources).all(|c| c == PersonColumn::Actor);
        let spaces = sources.iter().map(|s| SourceSpaces {
            name: s.name.clone(),
            group_space: s.group_space,
            event_space: s.event_space,
            last_days: s.units.clone(),
        });
        let packs = sources.iter().map(|s| s.packs.len()).sum();
        // Each way has counters of its own.
        let memory = settings.budget.counting(packs, settings.threads).shared_by(ways);
        if let Some(needed) = memory.beyond_leaves(0) {
            return Err(ExposureError::Packs { packs, needed: needed.div_ceil(1_000_000) });
        }
        Ok(Self {
            sources,
            settings,
            asked: sources.iter().map(|s| s.asked.clone()).collect(),
            spaces: spaces.collect(),
            units: sources.iter().map(|s| s.units.len()).collect(),
            jobs: plan_jobs(sources, person_spaces, settings.threads, settings.people),
            group_spaces: sources.iter().map(|s| s.group_space + 1).max().unwrap_or(0),
            actors_are_people,
            // Memory is for what there is: most logs name no actor.
            actors: (0..person_spaces)
                .map(|space| !actors_are_people && has_actors(sources, space))
                .collect(),
            memory,
            packed: sources.iter().flat_map(|s| &s.packs).map(|pack| pack.names_bytes()).sum(),
        })
    }

    /// Counts everything by the rules of the settings, and gives its cells to `each`. So many groups of each scope are
    /// kept.
    ///
    /// # Errors
    /// As those of [`Self::count_ways`]; those of `each`.
    pub fn count<E: From<ExposureError>>(
        &self,
        groups: Option<u64>,
        each: impl FnMut(CellKey, CellCounts) -> Result<(), E>,
    ) -> Result<Passed, E> {
        let policy = Mutex::new(Policy::new(self.settings.rules.clone()));
        let (policy, [(passed, counts)]) = self.count_ways(policy, &[Way::all(groups)])?;
        counts.roll_up(policy.cells, &policy.leaves, each)?;
        Ok(passed)
    }

    /// Counts all ways at once. Sums are those of the policy's leaves and cells.
    ///
    /// # Errors
    /// Storage failures, damaged packs, sums that overflow, interruption.
    pub fn count_ways<const WAYS: usize>(
        &self,
        policy: Mutex<Policy>,
        ways: &[Way<'_>; WAYS],
    ) -> Result<(Policy, [(Passed, Counts); WAYS]), ExposureError> {
        let observed: Vec<Mutex<Option<ObservedReader>>> =
            self.jobs.iter().map(|_| Mutex::new(None)).collect();
        let merged = self.by_person(ways, &policy, &observed)?;
        let policy = policy.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut leaves = LeafTable::default();
        for (number, leaf) in (0..).zip(&policy.leaves) {
            leaves.learn(number, leaf);
        }
        let mut counted = Vec::with_capacity(WAYS);
        for (way, merged) in ways.iter().zip(merged) {
            counted.push(self.by_others(way, (&policy, &leaves), merged, &observed)?);
        }
        let counted = counted.try_into();
        let counted = counted
            .map_err(|_| ExposureError::Internal { what: "not every way was counted".into() })?;
        Ok((policy, counted))
    }

    /// What there is of a way where nobody is chosen.
    pub fn of_nobody(&self, rules: &Rules) -> Passed {
        let scopes = rules.restricted.len();
        Passed {
            scope_names: rules.restricted.keys().cloned().collect(),
            groups: RankedGroups(vec![ScopeGroups::default(); scopes]),
            listed: None,
            terms: self.units.iter().map(|units| vec![[0; Term::COUNT]; *units]).collect(),
            conflicts: vec![0; self.units.len()],
            fields: vec![BTreeSet::new(); scopes],
            contradictions: 0,
        }
    }

    /// The first pass.
    fn by_person(
        &self,
        ways: &[Way<'_>],
        policy: &Mutex<Policy>,
        observed: &[Mutex<Option<ObservedReader>>],
    ) -> Result<Vec<Merged>, ExposureError> {
        let settings = self.settings;
        let chosen = ways.first().and_then(|way| way.chosen.clone());
        let sorters = self.group_spaces + self.actors.iter().filter(|a| **a).count();
        let sorters = u64::try_from((sorters * ways.len()).max(1)).unwrap_or(1);
        let sort_budget = settings.budget.sort_buffer / sorters;
        let temp: Arc<Path> = settings.temp.into();
        let next = AtomicUsize::new(0);
        let are_apart = policy.lock().unwrap_or_else(PoisonError::into_inner).is_of_two_eras();
        let era = |way: &Way<'_>| if are_apart { way.era } else { Era::Now };
        let (people, repeats_held) = (AtomicU64::new(0), AtomicU64::new(0));
        let counting = |_| {
            let counter = |way| {
                let projections = Projections {
                    groups: (0..self.group_spaces)
                        .map(|_| GroupSorters::new(&temp, sort_budget))
                        .collect(),
                    actors: self
                        .actors
                        .iter()
                        .map(|differ| {
                            differ.then(|| Sorter::new(temp.clone(), sort_budget, PARTITION_BITS))
                        })
                        .collect(),
                };
                let shared = (&people, &repeats_held);
                let of = (self.spaces.as_slice(), self.units.as_slice());
                Counter::new(policy, way, of, projections, shared, self.memory)
            };
            let by_rules = ways.chunk_by(|a, b| era(a) == era(b)).filter_map(|ways| {
                let leaves = BlockLeaves::new(policy, era(ways.first()?), self.memory);
                Some((leaves, ways.iter().map(counter).collect()))
            });
            let mut counters: Vec<Counters<'_>> = by_rules.collect();
            let mut names = Names::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = self.jobs.get(number) else { break };
                if settings.people.is_some() {
                    let mut all = counters.iter_mut().flat_map(|(_, counters)| counters);
                    all.try_for_each(|counter| counter.remember(settings.temp))?;
                }
                names = self.run_job(job, names, chosen.clone(), &mut counters)?;
                for counter in counters.iter_mut().flat_map(|(_, counters)| counters) {
                    if let (Some(slot), Some(reader)) =
                        (observed.get(number), counter.remembered()?)
                    {
                        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
                    }
                }
            }
            let parts = counters.into_iter().flat_map(|(_, counters)| counters).map(|counter| {
                let returned = counter.returned(&names);
                (counter.tally, counter.projections, returned)
            });
            Ok(parts.collect::<Vec<_>>())
        };
        let threads = self.memory.threads.min(self.jobs.len().max(1));
        let counted = in_threads::<_, ExposureError>(threads, |number| {
            settings.effort.timed(Part::Counting, || counting(number))
        })?;
        let mut merged: Vec<Merged> = ways.iter().map(|_| self.merged()).collect();
        for parts in counted {
            for (merged, (tally, projections, returned)) in merged.iter_mut().zip(parts) {
                merged.returned.extend(returned);
                merged.tally.merge(tally)?;
                for (all, sorters) in merged.groups.iter_mut().zip(projections.groups) {
                    all.take(sorters);
                }
                for (all, sorter) in merged.actors.iter_mut().zip(projections.actors) {
                    if let Some(sorter) = sorter {
                        sorter.finish(all);
                    }
                }
            }
        }
        Ok(merged)
    }

    fn merged(&self) -> Merged {
        let kind = |space: usize| self.settings.group_kinds.get(space).copied().flatten();
        Merged {
            tally: Tally::default(),
            groups: (0..self.group_spaces).map(|space| SortedGroups::new(kind(space))).collect(),
            actors: self.actors.iter().map(|_| Sorted::new(PARTITION_BITS)).collect(),
            returned: Vec::new(),
        }
    }

    fn run_job(
        &self,
        job: &Job,
        names: Names,
        chosen: Option<Arc<Chosen>>,
        counters: &mut [Counters<'_>],
    ) -> Result<Names, ExposureError> {
        let mut merge = Merge::begin(names, chosen);
        for input in &job.inputs(self.sources) {
            for pack in &input.packs {
                merge.add(input, pack, &self.asked, &job.range, self.memory.rows)?;
                // Before those of the next pack are held, too.
                self.fits(&merge.names)?;
            }
        }
        let all = counters.iter_mut().flat_map(|(_, counters)| counters);
        all.for_each(|counter| counter.begin(job.person_space));
        while let Some(block) = merge.next_block()? {
            for (leaves, counters) in &mut *counters {
                leaves.find(&block)?;
                counters.iter_mut().try_for_each(|counter| counter.take(&block, leaves))?;
            }
            if self.settings.stop.load(Ordering::Relaxed) {
                return Err(ExposureError::Interrupted);
            }
        }
        for (leaves, counters) in counters {
            counters.iter_mut().try_for_each(|counter| counter.end(leaves))?;
        }
        Ok(merge.names)
    }

    /// # Errors
    /// Where the memory limit does not hold the names of a merge.
    pub(super) fn fits(&self, names: &Names) -> Result<(), ExposureError> {
        let bytes = names.bytes_held();
        match self.memory.beyond_names(self.packed, bytes) {
            Some(needed) => Err(ExposureError::Names { bytes, needed: needed.div_ceil(1_000_000) }),
            None => Ok(()),
        }
    }

    /// The passes after the first, of one way. The cells are still to be summed up.
    fn by_others(
        &self,
        way: &Way<'_>,
        (policy, leaves): (&Policy, &LeafTable),
        merged: Merged,
        observed: &[Mutex<Option<ObservedReader>>],
    ) -> Result<(Passed, Counts), ExposureError> {
        let settings = self.settings;
        let Merged { mut tally, groups, actors: actor_runs, returned } = merged;
        let spilled = groups.iter().map(SortedGroups::spilled).sum::<u64>()
            + actor_runs.iter().map(Sorted::spilled).sum::<u64>();
        settings.effort.spilled.fetch_add(spilled, Ordering::Relaxed);
        let GroupsSeen { counts: (groups_now, groups_then), top, reads } =
            count_groups((policy, way.era), leaves, &groups, &way.groups, settings)?;
        drop(groups);
        let mut ranked = top.finish();
        let listed_groups = ranked.count(settings.groups_limit);
        let (mut actors_now, mut actors_then) = (Vec::new(), Vec::new());
        actors_now.resize(policy.cells.len(), ByWindow::default());
        for (differ, runs) in self.actors.iter().zip(&actor_runs) {
            if *differ {
                count_actors(policy, runs, (&mut actors_now, &mut actors_then), settings)?;
            }
        }
        let (mut listed, mut reached) = (None, None);
        if let Some(of) = settings.people {
            let orders = ranked.orders(settings.groups_limit);
            let mut groups = std::mem::take(&mut ranked).listed(orders);
            let places = places(&groups);
            let found = reach(policy, leaves, &self.jobs, observed, &reads, &places, settings, of)?;
            if of.has_members {
                let mut members = found.members.iter().copied();
                for of in &mut groups {
                    of.members = members.by_ref().take(of.count()).collect();
                }
            }
            (listed, reached) = (Some(groups), Some(found));
        }
        for (sums, resolved) in tally.sums.iter_mut().zip(reads.resolved()) {
            sums.subjects_unknown_rows = sums.subjects_unknown_rows.saturating_sub(*resolved);
        }
        drop(reads);
        // Sums of leaves take less than the figures of cells that are made of them.
        let (cells, days) = totals::cells_and_days_at_least(policy, &tally);
        settings.fits(cells, days, listed_groups)?;
        let fields = fields_by_scope(policy, returned);
        let scope_names = policy.scope_names.clone();
        let Tally { sums, surplus, terms, conflicts } = tally;
        let of = settings.people;
        let Reached { upper, residents, contradictions, .. } = reached.unwrap_or_default();
        let second = Second {
            groups: groups_now,
            actors: actors_now,
            groups_then,
            actors_then,
            actors_are_people: self.actors_are_people,
            upper: of.filter(|of| of.has_members).map(|_| upper),
            residents: of.filter(|of| of.has_residency).map(|_| residents.into_iter().collect()),
        };
        let counts = Counts { sums, surplus, second };
        let groups = ranked;
        Ok((
            Passed { scope_names, groups, listed, terms, conflicts, fields, contradictions },
            counts,
        ))
    }
}

/// Lists of fields by leaf, from codes in `names`: leaf and code as one number.
pub fn read_fields<'a>(
    codes: impl IntoIterator<Item = &'a u64>,
    names: &Names,
) -> Vec<(u32, Vec<String>)> {
    let list = |code: u32| {
        let json = names.fields.name(code).unwrap_or_default();
        serde_json::from_str::<Vec<String>>(json).unwrap_or_default()
    };
    let parts = |key: &u64| {
        let low = u32::try_from(key & u64::from(u32::MAX)).unwrap_or(NONE);
        (u32::try_from(key >> 32).unwrap_or(NONE), list(low))
    };
    codes.into_iter().map(parts).collect()
}

/// Fields that leaves returned, by scope.
pub fn fields_by_scope(
    policy: &Policy,
    returned: Vec<(u32, Vec<String>)>,
) -> Vec<BTreeSet<String>> {
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
    fields
}

/// Whether any pack of a person namespace has actors.
fn has_actors(sources: &[SourceRows], space: usize) -> bool {
    let of_space = sources.iter().filter(|source| source.person_space == space);
    let mut packs = of_space.flat_map(|source| &source.packs);
    packs.any(|pack| pack.schema().column_with_name("actor_hi").is_some())
}

fn person_columns(sources: &[SourceRows]) -> impl Iterator<Item = PersonColumn> {
    sources
        .iter()
        .flat_map(|s| s.packs.iter())
        .filter(|p| p.pack.footer.rows > 0)
        .map(|p| p.pack.footer.person)
}

/// Listed groups by their numbers among those with members.
fn places(listed: &[ListedGroups]) -> Listed {
    let groups = (0..).zip(listed).flat_map(|(scope, of)| of.iter().map(move |g| (scope, g)));
    let groups = groups.zip(0u32..);
    Listed::new(
        groups.filter_map(|((scope, g), place)| Some((g.met().number?, scope, place))).collect(),
        listed.iter().map(ListedGroups::count).sum(),
    )
}

fn count_groups(
    (policy, era): (&Policy, Era),
    leaves: &LeafTable,
    groups: &[SortedGroups],
    kept: &KeepGroups<'_>,
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
    let met = GroupsMet::new(scopes, (settings.groups_limit, kept), cells, settings.budget);
    let counting = |_| {
        let reads = GroupReads::new(policy.leaves.len(), limit);
        let mut counter = GroupCounter::new(leaves, (policy, era), &met, settings.keyer, reads);
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
    let mut counts = (vec![ByWindow::default(); cells], Vec::new());
    let mut top = met.top();
    let mut reads = Vec::with_capacity(parts.len());
    for (part, part_top, part_reads) in parts {
        part.add_to((&mut counts.0, &mut counts.1));
        top.merge(part_top)?;
        reads.push(part_reads);
    }
    Ok(GroupsSeen { counts, top, reads: Reads::new(reads)? })
}

fn count_actors(
    policy: &Policy,
    runs: &Sorted<ActorRecord>,
    (now, then): (&mut Vec<ByWindow>, &mut Vec<ByWindow>),
    settings: &Settings<'_>,
) -> Result<(), ExposureError> {
    let next = AtomicUsize::new(0);
    let parts = in_threads::<_, ExposureError>(settings.threads, |_| {
        let mut seen = Seen::new(policy.cells.len(), policy.is_joint());
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
        part.add_to((now, then));
    }
    Ok(())
}
