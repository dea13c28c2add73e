//! Counting one stretch of people.
//!
//! A person is counted once in every leaf with one of its events. Where two leaves of a person belong to
//! one cell, the person was counted there too often; a stamp per cell (the last person seen there, and
//! in which windows) tells, and what is too much is put down. A person is forgotten as soon as the next
//! one begins, so memory does not grow with people.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::ExposureError;
use super::block_leaves::BlockLeaves;
use super::leaf::{MANY_LEAVES, Standing};
use super::lookup::{LeafAt, Lookup};
use super::observed::{ObservedReader, ObservedWriter};
use super::parts::Part;
use super::passes::{Way, read_fields};
use super::pending::{Moved, Pending, PendingEvent, Refusal};
use super::policy::Policy;
use super::projections::Projections;
use super::records::{ActorRecord, GroupRecord, InParts, NOBODY};
use super::same_event::SameEvent;
use super::tally::{Sums, Surpluses, Tally, Term};
use super::visits::{Visitor, Visits};
use crate::key::Key;
use crate::key::MixHasher;
use crate::ledger::{Block, Chosen, Merged, Names, Repeat};
use crate::memory::Counting;
use crate::moment::{DAY_MICROS, Moment};
use crate::scan::batch::{NONE, Outcome, Reject};

/// What a source's rows refer to.
#[derive(Clone, Debug)]
pub struct SourceSpaces {
    /// The source, for messages.
    pub name: String,
    pub group_space: usize,
    pub event_space: usize,
    /// By unit: the last day of its file's partition, where one is declared.
    pub last_days: Vec<Option<i64>>,
}

/// Counts the rows of one merge.
pub struct Counter<'a> {
    first_restriction: Moment,
    spaces: &'a [SourceSpaces],
    /// Of the event at hand, if it has any.
    parts: Vec<Part>,
    pending: Pending,
    pub tally: Tally,
    pub projections: Projections,
    person_space: usize,
    person: Option<Key>,
    /// Number of the person, unique over all threads, and those that may be given to the next ones.
    ordinal: u64,
    ordinals: Range<u64>,
    people: &'a AtomicU64,
    visits: Visits,
    /// The person's counted events.
    exposures: u64,
    event: Option<Key>,
    same_event: SameEvent<'a>,
    actors: Vec<ActorRecord>,
    /// Where people are put down for the third pass, if there is one.
    observed: Option<ObservedWriter>,
    leaves: Vec<u32>,
    /// Leaves and codes of the lists of fields that their events returned.
    fields: HashSet<u64, BuildHasherDefault<MixHasher>>,
    last_fields: u64,
    /// People, groups and actors that alone count, and by source and unit whether rows are left out.
    chosen: Option<&'a Chosen>,
    without: &'a [Vec<bool>],
    /// Whether the person is one that counts. Rows of others are there for their groups and actors.
    counts_person: bool,
}

impl<'a> Counter<'a> {
    pub fn new(
        policy: &'a Mutex<Policy>,
        way: &'a Way<'_>,
        (spaces, units): (&'a [SourceSpaces], &[usize]),
        projections: Projections,
        (people, repeats_held): (&'a AtomicU64, &'a AtomicU64),
        memory: Counting,
    ) -> Self {
        let (first_restriction, are_joint) = {
            let policy = policy.lock().unwrap_or_else(PoisonError::into_inner);
            (policy.first_restriction(way.era), policy.is_joint())
        };
        let event_spaces = spaces.iter().map(|s| s.event_space + 1).max().unwrap_or(0);
        Self {
            first_restriction,
            spaces,
            parts: Vec::new(),
            pending: Pending::default(),
            tally: Tally {
                terms: units.iter().map(|n| vec![[0; Term::COUNT]; *n]).collect(),
                conflicts: vec![0; units.len()],
                surplus: Surpluses { are_joint, ..Surpluses::default() },
                ..Default::default()
            },
            projections,
            person_space: 0,
            person: None,
            ordinal: NOBODY,
            ordinals: 0..0,
            people,
            visits: Visits::default(),
            exposures: 0,
            event: None,
            same_event: SameEvent::new(event_spaces, repeats_held, memory.repeats()),
            actors: Vec::new(),
            observed: None,
            leaves: Vec::new(),
            fields: HashSet::default(),
            last_fields: u64::MAX,
            chosen: way.chosen.as_deref(),
            without: way.without,
            counts_person: true,
        }
    }

    /// Fields that events of each leaf returned; `names` are those of the merges.
    pub fn returned(&self, names: &Names) -> Vec<(u32, Vec<String>)> {
        read_fields(&self.fields, names)
    }

    /// Puts the people of the next stretch down for the third pass.
    ///
    /// # Errors
    /// Where there can be no temporary file.
    pub fn remember(&mut self, temp: &Path) -> Result<(), ExposureError> {
        self.observed = Some(ObservedWriter::new(temp)?);
        Ok(())
    }

    /// The people of the stretch that has ended.
    ///
    /// # Errors
    /// Where the temporary file cannot be written.
    pub fn remembered(&mut self) -> Result<Option<ObservedReader>, ExposureError> {
        Ok(self.observed.take().map(ObservedWriter::finish).transpose()?)
    }

    /// Begins a new stretch of keys.
    pub fn begin(&mut self, person_space: usize) {
        self.person_space = person_space;
        self.next_person(None);
        self.event = None;
    }

    fn next_person(&mut self, person: Option<Key>) {
        /// Numbers taken at once.
        const STRETCH: u64 = 1 << 12;
        self.person = person;
        let half = person.map(|key| key.hi);
        self.counts_person = self.chosen.is_none_or(|chosen| chosen.holds_person(half));
        self.ordinal = self.ordinals.next().unwrap_or_else(|| {
            let first = self.people.fetch_add(STRETCH, Ordering::Relaxed);
            self.ordinals = first + 1..first + STRETCH;
            first
        });
    }

    #[inline]
    fn term(&mut self, place: u64, term: Term) {
        if let Some(count) = self.count_of(place, term) {
            *count += 1;
        }
    }

    #[inline]
    fn count_of(&mut self, place: u64, term: Term) -> Option<&mut u64> {
        if !self.counts_person {
            return None;
        }
        let (source, unit) = unpack(place);
        self.tally.terms.get_mut(source)?.get_mut(unit)?.get_mut(term as usize)
    }

    /// Takes the next rows in order of (person, event id), and what is known of their leaves.
    ///
    /// # Errors
    /// Sums that overflow, temporary files that cannot be written.
    pub fn take(
        &mut self,
        block: &Block<'_>,
        leaves: &BlockLeaves<'_>,
    ) -> Result<(), ExposureError> {
        let lookup = &leaves.lookup;
        self.make_room(lookup)?;
        for (row, leaf) in block.rows().zip(&leaves.found) {
            self.take_row(lookup, &row, *leaf)?;
        }
        Ok(())
    }

    /// Makes room for the sums of leaves that were met first.
    fn make_room(&mut self, lookup: &Lookup<'_>) -> Result<(), ExposureError> {
        let leaves = lookup.leaf_count();
        if self.visits.leaves() >= leaves {
            return Ok(());
        }
        self.projections.limit(lookup.sort_buffer())?;
        self.visits.make_room(leaves);
        let sums = &mut self.tally.sums;
        if leaves > sums.capacity() {
            // A quarter more, not twice as many: sums are large, and the memory limit knows of them. Of few, room for
            // many: what is not touched costs nothing, and to grow by little copies all over and over.
            sums.reserve_exact((leaves - sums.len() + leaves / 4).max(MANY_LEAVES));
        }
        sums.resize_with(leaves, Sums::default);
        Ok(())
    }

    fn take_row(
        &mut self,
        lookup: &Lookup<'_>,
        merged: &Merged<'_>,
        leaf: Option<LeafAt>,
    ) -> Result<(), ExposureError> {
        let place = pack(merged.source(), merged.unit());
        if self.leaves_out(place) {
            return Ok(());
        }
        let (person, event) = (merged.person(), merged.event());
        if person != self.person {
            self.flush_event();
            self.flush_person(lookup)?;
            self.next_person(person);
            self.event = event;
        } else if event != self.event || event.is_none() {
            self.flush_event();
            self.event = event;
        }
        let reject = merged.reject();
        let Some(leaf) = leaf else {
            // None of its scopes is asked for by this run: the pack held more. Or they cannot be read.
            let at = merged.at();
            let unknown = match reject {
                Some(Reject::Scope) => at >= self.first_restriction,
                Some(Reject::ScopeAndTime) => !self.ends_before_all(place),
                _ => false,
            };
            self.term(place, if unknown { Term::Rejected } else { Term::Outside });
            return Ok(());
        };
        let outside = match reject {
            // Without a time, the partition tells whether the row may have been left out.
            Some(Reject::Time) => self.ends_before_all(place),
            _ => leaf.standing == Standing::Outside,
        };
        if outside {
            self.term(place, Term::Outside);
            return Ok(());
        }
        if reject.is_some() {
            self.term(place, Term::Rejected);
            return Ok(());
        }
        if event.is_none() {
            return self.count(lookup, place, merged, leaf).map(|_| ());
        }
        let source = self.spaces.get(merged.source());
        let space = source.map_or(0, |source| source.event_space);
        let name = || source.map(|source| source.name.clone()).unwrap_or_default();
        if let Some(repeat) = self.same_event.add(space, place, merged.row(), name)? {
            self.repeated(repeat);
            return Ok(());
        }
        let term = self.count(lookup, place, merged, leaf)?;
        self.same_event.became(space, term);
        Ok(())
    }

    /// Puts a row down that is equal to one of its event. Where it is of an earlier unit, that one takes its
    /// place.
    fn repeated(&mut self, repeat: Repeat<Term>) {
        if repeat.moves {
            if let Some(count) = self.count_of(repeat.gone, repeat.value) {
                *count -= 1;
            }
            self.term(repeat.kept, repeat.value);
        }
        self.term(repeat.gone, Term::Deduplicated);
    }

    /// Whether rows of the unit do not count.
    #[inline]
    fn leaves_out(&self, place: u64) -> bool {
        let (source, unit) = unpack(place);
        self.without.get(source).and_then(|units| units.get(unit)) == Some(&true)
    }

    /// Whether the partition of the row's file ends before the first kept day of every scope.
    fn ends_before_all(&self, place: u64) -> bool {
        let (source, unit) = unpack(place);
        let last = self.spaces.get(source).and_then(|s| s.last_days.get(unit)).copied().flatten();
        last.is_some_and(|last| last < self.first_restriction.day())
    }

    /// Forgets the rows of one event id.
    fn flush_event(&mut self) {
        let conflicts = &mut self.tally.conflicts;
        let counts = self.counts_person;
        self.same_event.forget(|places| {
            let first = places.map(|place| unpack(place).0).min().unwrap_or(0);
            if counts && let Some(count) = conflicts.get_mut(first) {
                *count += 1;
            }
        });
    }

    /// Counts an event; gives what became of its row.
    fn count(
        &mut self,
        lookup: &Lookup<'_>,
        place: u64,
        event: &Merged<'_>,
        leaf: LeafAt,
    ) -> Result<Term, ExposureError> {
        if leaf.standing == Standing::AfterAsOf {
            self.term(place, Term::AfterAsOf);
            return Ok(Term::AfterAsOf);
        }
        let (refusal, term) = match event.outcome() {
            Outcome::Allowed if leaf.exercised => {
                self.exposures += 1;
                if leaf.in_parts {
                    self.expose_parts(lookup, place, event, leaf)?;
                } else {
                    self.expose(event, leaf.number);
                    self.project(place, event, leaf.number)?;
                }
                (None, Term::Counted)
            }
            // Rule 12 asks for every scope of the row, rule 3 for those that count.
            Outcome::Allowed if leaf.exercises => (Some(Refusal::HeldOnly), Term::Counted),
            Outcome::Allowed => (Some(Refusal::HeldOnly), Term::HeldOnly),
            Outcome::Denied => (Some(Refusal::Denied), Term::Denied),
            Outcome::Unknown => (Some(Refusal::Unknown), Term::Unknown),
        };
        if let Some(refusal) = refusal.filter(|_| self.counts_person) {
            if leaf.in_parts {
                let (.., parts) = lookup.parts(leaf);
                let weight = event.weight();
                self.pending.refused.extend(parts.iter().map(|part| (part.leaf, refusal, weight)));
            } else {
                self.pending.refused.push((leaf.number, refusal, event.weight()));
            }
        }
        self.term(place, term);
        if self.pending.is_full() {
            self.pending.apply(&mut self.tally.sums)?;
        }
        Ok(term)
    }

    /// Adds an event to the sums of a leaf.
    #[inline]
    fn expose(&mut self, event: &Merged<'_>, leaf: u32) {
        if !self.counts_person {
            return;
        }
        let (at, weight, nobody) = (event.at(), event.weight(), self.person.is_none());
        let day = at.micros.div_euclid(DAY_MICROS);
        let (bytes, records) = (event.bytes(), event.records());
        self.pending.events.push(PendingEvent { leaf, nobody, only_visit: false, day, at, weight });
        if bytes.is_some() || records.is_some() {
            self.pending.moved.push(Moved { leaf, bytes, records });
        }
        if !nobody {
            self.visits.add(day, leaf);
        }
        let fields = event.fields();
        if fields != NONE {
            let key = u64::from(leaf) << 32 | u64::from(fields);
            if self.last_fields != key {
                self.last_fields = key;
                self.fields.insert(key);
            }
        }
    }

    /// Adds an event to the sums of its parts.
    fn expose_parts(
        &mut self,
        lookup: &Lookup<'_>,
        place: u64,
        event: &Merged<'_>,
        leaf: LeafAt,
    ) -> Result<(), ExposureError> {
        let mut parts = std::mem::take(&mut self.parts);
        let (app, set, own) = lookup.parts(leaf);
        parts.clear();
        parts.extend_from_slice(own);
        for part in &parts {
            if part.exposed {
                self.expose(event, part.leaf);
                self.acted(event, part.leaf)?;
            } else if self.counts_person {
                self.pending.refused.push((part.leaf, Refusal::HeldOnly, event.weight()));
            }
        }
        self.parts = parts;
        let Some((space, group)) = self.group(place, event)? else { return Ok(()) };
        let Some(sorters) = self.projections.groups.get_mut(space) else { return Ok(()) };
        let Moment { micros, nanos } = event.at();
        sorters.push_in_parts(GroupRecord {
            group,
            subject: if self.person.is_none() { NOBODY } else { self.ordinal },
            of: InParts { app, set, nanos },
            micros,
            weight: event.weight(),
        })
    }

    /// Puts an event of a leaf down for the second pass.
    fn project(&mut self, place: u64, event: &Merged<'_>, leaf: u32) -> Result<(), ExposureError> {
        self.acted(event, leaf)?;
        let Some((space, group)) = self.group(place, event)? else { return Ok(()) };
        let Some(sorters) = self.projections.groups.get_mut(space) else { return Ok(()) };
        sorters.push(GroupRecord {
            group,
            subject: if self.person.is_none() { NOBODY } else { self.ordinal },
            of: leaf,
            micros: event.at().micros,
            weight: event.weight(),
        })
    }

    fn acted(&mut self, event: &Merged<'_>, leaf: u32) -> Result<(), ExposureError> {
        if matches!(self.projections.actors.get(self.person_space), Some(Some(_)))
            && let Some(actor) = event.actor()
            && self.chosen.is_none_or(|chosen| chosen.actors.holds(actor.hi))
        {
            let record = ActorRecord { actor, leaf };
            if self.actors.last() != Some(&record) {
                self.actors.push(record);
                if self.actors.len() >= 1 << 16 {
                    self.flush_actors()?;
                }
            }
        }
        Ok(())
    }

    /// Namespace and key of the group that was read; its own id is kept.
    #[inline(always)]
    fn group(
        &mut self,
        place: u64,
        event: &Merged<'_>,
    ) -> Result<Option<(usize, Key)>, ExposureError> {
        let Some(group) = event.group() else { return Ok(None) };
        if self.chosen.is_some_and(|chosen| !chosen.groups.holds(group.hi)) {
            return Ok(None);
        }
        let space = self.spaces.get(unpack(place).0).map_or(0, |s| s.group_space);
        if let Some(id) = event.group_id()
            && let Some(sorters) = self.projections.groups.get_mut(space)
        {
            sorters.name(group, id)?;
        }
        Ok(Some((space, group)))
    }

    fn flush_actors(&mut self) -> Result<(), ExposureError> {
        self.actors.sort_unstable();
        self.actors.dedup();
        if let Some(Some(sorter)) = self.projections.actors.get_mut(self.person_space) {
            for record in self.actors.drain(..) {
                sorter.push(record)?;
            }
        }
        self.actors.clear();
        Ok(())
    }

    fn flush_person(&mut self, lookup: &Lookup<'_>) -> Result<(), ExposureError> {
        if !self.actors.is_empty() {
            self.flush_actors()?;
        }
        if !self.visits.is_empty() {
            if let (Some(observed), Some(person)) = (&mut self.observed, self.person) {
                self.leaves.clear();
                self.leaves.extend(self.visits.iter().map(|(_, leaf)| *leaf));
                self.leaves.sort_unstable();
                self.leaves.dedup();
                observed.person(person, &self.leaves)?;
            }
            let person = Visitor { number: self.ordinal, exposures: self.exposures };
            let (pending, surplus) = (&mut self.pending, &mut self.tally.surplus);
            self.visits.count(person, lookup, pending, surplus);
        }
        self.exposures = 0;
        Ok(())
    }

    /// Ends a stretch of keys.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn end(&mut self, leaves: &BlockLeaves<'_>) -> Result<(), ExposureError> {
        self.flush_event();
        self.flush_person(&leaves.lookup)?;
        self.person = None;
        self.visits.find_surplus(&leaves.lookup, &mut self.tally.surplus);
        self.pending.apply(&mut self.tally.sums)
    }
}

fn pack(source: usize, unit: u32) -> u64 {
    (source as u64) << 32 | u64::from(unit)
}

fn unpack(place: u64) -> (usize, usize) {
    let low = usize::try_from(place & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    (usize::try_from(place >> 32).unwrap_or(usize::MAX), low)
}
