//! The passes over the ledger: rows in the order of people, then in that of groups, of actors, and of people again.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::cells::{CellKey, Window};
use super::counter::{Counter, SourceSpaces};
use super::counts::CellCounts;
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
use crate::threads::{all_at_once, in_threads};

/// Rules by which rows are counted, and whose.
pub struct Way<'a> {
    pub rules: Rules,
    pub groups: KeepGroups<'a>,
    /// People, groups and actors whose rows alone count; `None` for all.
    pub chosen: Option<Arc<Chosen>>,
    /// By source and unit: whether its rows are left out. Empty leaves none out.
    pub without: &'a [Vec<bool>],
}

impl<'a> Way<'a> {
    /// Everything, by the rules of `settings`; so many groups of each scope are kept.
    pub fn all(settings: &Settings<'_>, groups: Option<u64>) -> Self {
        let groups = KeepGroups::First(groups);
        Self { rules: settings.rules.clone(), groups, chosen: None, without: &[] }
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

    /// Counts every way, and gives each of them its cells.
    ///
    /// # Errors
    /// Storage failures, damaged packs, sums that overflow, interruption; those of the takers.
    pub fn count<E: From<ExposureError> + Send>(
        &self,
        ways: Vec<(Way<'_>, impl FnMut(CellKey, CellCounts) -> Result<(), E> + Send)>,
    ) -> Result<Vec<Passed>, E> {
        let (ways, takers): (Vec<_>, Vec<_>) = ways.into_iter().unzip();
        let policies: Vec<Mutex<Policy>> =
            ways.iter().map(|way| Mutex::new(Policy::new(way.rules.clone()))).collect();
        let observed: Vec<Mutex<Option<ObservedReader>>> =
            self.jobs.iter().map(|_| Mutex::new(None)).collect();
        let merged = self.by_person(&ways, &policies, &observed)?;
        let mut passed = Vec::with_capacity(ways.len());
        let mut sums = Vec::with_capacity(ways.len());
        for ((way, policy), merged) in ways.iter().zip(policies).zip(merged) {
            let policy = policy.into_inner().unwrap_or_else(PoisonError::into_inner);
            let (beside, of_way) = self.by_others(way, policy, merged, &observed)?;
            passed.push(beside);
            sums.push(of_way);
        }
        // One thread sums up the cells of a way.
        let sums = sums.into_iter().zip(takers).map(|(sums, each)| move || sums.roll_up(each));
        all_at_once(self.memory.threads, sums)?;
        Ok(passed)
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
        policies: &[Mutex<Policy>],
        observed: &[Mutex<Option<ObservedReader>>],
    ) -> Result<Vec<Merged>, ExposureError> {
        let settings = self.settings;
        let chosen = ways.first().and_then(|way| way.chosen.clone());
        let sorters = self.group_spaces + self.actors.iter().filter(|a| **a).count();
        let sorters = u64::try_from((sorters * ways.len()).max(1)).unwrap_or(1);
        let sort_budget = settings.budget.sort_buffer / sorters;
        let temp: Arc<Path> = settings.temp.into();
        let next = AtomicUsize::new(0);
        let (people, repeats_held) = (AtomicU64::new(0), AtomicU64::new(0));
        let counting = |_| {
            let counter = |(way, policy)| {
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
                Counter::new(policy, of, projections, shared, self.memory).of(way)
            };
            let mut counters: Vec<Counter<'_>> = ways.iter().zip(policies).map(counter).collect();
            let mut names = Names::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = self.jobs.get(number) else { break };
                if settings.people.is_some() {
                    counters.iter_mut().try_for_each(|counter| counter.remember(settings.temp))?;
                }
                names = self.run_job(job, names, chosen.clone(), &mut counters)?;
                for counter in &mut counters {
                    if let (Some(slot), Some(reader)) =
                        (observed.get(number), counter.remembered()?)
                    {
                        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
                    }
                }
            }
            let parts = counters.into_iter().map(|counter| {
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
        counters: &mut [Counter<'_>],
    ) -> Result<Names, ExposureError> {
        let mut merge = Merge::begin(names, chosen);
        for input in &job.inputs(self.sources) {
            for pack in &input.packs {
                merge.add(input, pack, &self.asked, &job.range, self.memory.rows)?;
                // Before those of the next pack are held, too.
                self.fits(&merge.names)?;
            }
        }
        counters.iter_mut().for_each(|counter| counter.begin(job.person_space));
        while let Some(block) = merge.next_block()? {
            counters.iter_mut().try_for_each(|counter| counter.take(&block))?;
            if self.settings.stop.load(Ordering::Relaxed) {
                return Err(ExposureError::Interrupted);
            }
        }
        counters.iter_mut().try_for_each(Counter::end)?;
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
        policy: Policy,
        merged: Merged,
        observed: &[Mutex<Option<ObservedReader>>],
    ) -> Result<(Passed, Counts), ExposureError> {
        let settings = self.settings;
        let Merged { mut tally, groups, actors: actor_runs, returned } = merged;
        let spilled = groups.iter().map(SortedGroups::spilled).sum::<u64>()
            + actor_runs.iter().map(Sorted::spilled).sum::<u64>();
        settings.effort.spilled.fetch_add(spilled, Ordering::Relaxed);
        let mut leaves = LeafTable::default();
        for (number, leaf) in (0..).zip(&policy.leaves) {
            leaves.learn(number, leaf);
        }
        let GroupsSeen { counts: group_counts, top, reads } =
            count_groups(&policy, &leaves, &groups, &way.groups, settings)?;
        drop(groups);
        let mut ranked = top.finish();
        let listed_groups = ranked.count(settings.groups_limit);
        let mut actor_counts = vec![[0; Window::COUNT]; policy.cells.len()];
        for (differ, runs) in self.actors.iter().zip(&actor_runs) {
            if *differ {
                count_actors(&policy, runs, &mut actor_counts, settings)?;
            }
        }
        let (mut listed, mut reached) = (None, None);
        if let Some(of) = settings.people {
            let orders = ranked.orders(settings.groups_limit);
            let mut groups = std::mem::take(&mut ranked).listed(orders);
            let places = places(&groups);
            let found =
                reach(&policy, &leaves, &self.jobs, observed, &reads, &places, settings, of)?;
            if of.has_members {
                let mut members = found.members.iter().copied();
                for of in &mut groups {
                    of.members = members.by_ref().take(of.count()).collect();
                }
            }
            (listed, reached) = (Some(groups), Some(found));
        }
        drop(leaves);
        for (sums, resolved) in tally.sums.iter_mut().zip(reads.resolved()) {
            sums.subjects_unknown_rows = sums.subjects_unknown_rows.saturating_sub(*resolved);
        }
        drop(reads);
        // Sums of leaves take less than the figures of cells that are made of them.
        let (cells, days) = totals::cells_and_days_at_least(&policy, &tally);
        settings.fits(cells, days, listed_groups)?;
        let fields = fields_by_scope(&policy, returned);
        let Policy { cells: keys, leaves, scope_names, .. } = policy;
        let Tally { sums, surplus, terms, conflicts } = tally;
        let of = settings.people;
        let Reached { upper, residents, contradictions, .. } = reached.unwrap_or_default();
        let second = Second {
            groups: group_counts,
            actors: actor_counts,
            actors_are_people: self.actors_are_people,
            upper: of.filter(|of| of.has_members).map(|_| upper),
            residents: of.filter(|of| of.has_residency).map(|_| residents.into_iter().collect()),
        };
        let counts = Counts { keys, leaves, sums, surplus, second };
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
    policy: &Policy,
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
    counts: &mut [[u64; Window::COUNT]],
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
