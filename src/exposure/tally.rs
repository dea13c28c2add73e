//! Counting one stretch of people.
//!
//! Sums go to leaves, of which there are few, and are rolled up into cells at the end. What must be
//! distinct goes to cells at once, with a stamp per cell: the last person seen there, and in which
//! windows. A person is forgotten as soon as the next one begins.

use std::sync::{Arc, Mutex, PoisonError};

use super::ExposureError;
use super::policy::{Leaf, MixMap, Pair, Policy, Standing, Window, WindowSet};
use super::sorter::Sorter;
use crate::key::Key;
use crate::ledger::{Merged, Names, Repeats, Row};
use crate::moment::{DAY_MICROS, Moment};
use crate::scan::batch::{Outcome, Reject};

/// Terms of row conservation that the merge decides (docs/counting.md, rule 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    Outside,
    Rejected,
    Deduplicated,
    AfterAsOf,
    Denied,
    Unknown,
    HeldOnly,
    Counted,
}

impl Term {
    pub const COUNT: usize = 8;
}

/// Rows of one unit, by term.
pub type Terms = [u64; Term::COUNT];

/// Sums over the events of a leaf.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// Events of every outcome.
    pub rows: u64,
    /// Allowed and exercised events: those that the measures below are about.
    pub events: u64,
    pub requests: i64,
    pub bytes: i64,
    /// Events whose bytes are not null.
    pub bytes_known: u64,
    pub records: i64,
    pub records_known: u64,
    pub subjects_unknown_rows: u64,
    pub first: Option<Moment>,
    pub last: Option<Moment>,
    pub denied: i64,
    pub unknown: i64,
    pub held_only: i64,
    pub days: Days<DaySums>,
}

/// One day of a leaf.
#[derive(Clone, Copy, Debug, Default)]
pub struct DaySums {
    pub events: u64,
    pub requests: i64,
}

/// People of one day of a cell.
#[derive(Clone, Copy, Debug, Default)]
pub struct DayPeople {
    pub subjects: u64,
    pub new: u64,
}

const CHUNK: usize = 32;

/// Values by day, kept for stretches of days in which there are any.
#[derive(Clone, Debug)]
pub struct Days<T> {
    /// The day of the first chunk's first entry; chunks follow each other.
    first_chunk: i64,
    chunks: std::collections::VecDeque<Option<Box<[T; CHUNK]>>>,
}

impl<T> Default for Days<T> {
    fn default() -> Self {
        Self { first_chunk: 0, chunks: std::collections::VecDeque::new() }
    }
}

impl<T: Copy + Default> Days<T> {
    pub fn entry(&mut self, day: i64) -> Option<&mut T> {
        let chunk = day.div_euclid(CHUNK as i64);
        if self.chunks.is_empty() {
            self.first_chunk = chunk;
        }
        while chunk < self.first_chunk {
            self.chunks.push_front(None);
            self.first_chunk -= 1;
        }
        let index = usize::try_from(chunk - self.first_chunk).ok()?;
        while self.chunks.len() <= index {
            self.chunks.push_back(None);
        }
        let days =
            self.chunks.get_mut(index)?.get_or_insert_with(|| Box::new([T::default(); CHUNK]));
        days.get_mut(usize::try_from(day.rem_euclid(CHUNK as i64)).ok()?)
    }

    /// Day and value; days without a value have the default.
    pub fn iter(&self) -> impl Iterator<Item = (i64, T)> {
        self.chunks.iter().enumerate().flat_map(move |(i, chunk)| {
            let first = (self.first_chunk + i as i64) * CHUNK as i64;
            chunk.iter().flat_map(move |days| {
                days.iter().enumerate().map(move |(d, v)| (first + d as i64, *v))
            })
        })
    }
}

/// Distinct people of a cell.
#[derive(Clone, Debug, Default)]
pub struct People {
    pub subjects: [u64; Window::COUNT],
    pub days: Days<DayPeople>,
}

#[derive(Clone, Copy, Debug)]
struct Stamp {
    person: u64,
    seen: WindowSet,
    day: i64,
}

const NOBODY: u64 = u64::MAX;

/// What one thread has counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// By leaf number.
    pub sums: Vec<Sums>,
    /// By cell number.
    pub people: Vec<People>,
    /// By source and unit.
    pub terms: Vec<Vec<Terms>>,
    /// Event ids with more than one set of values, by source.
    pub conflicts: Vec<u64>,
}

/// Where records for the second pass go.
pub struct Projections {
    /// Group records by group namespace, with whether the key's lower half is needed.
    pub groups: Vec<(Sorter, bool)>,
    /// Actor records by person namespace; none where every actor is the subject, or none is mapped.
    pub actors: Vec<Option<Sorter>>,
}

/// What a source's rows refer to.
#[derive(Clone, Debug)]
pub struct SourceSpaces {
    pub group_space: usize,
    pub event_space: usize,
}

/// Counts the rows of one merge.
pub struct Counter<'a> {
    policy: &'a Mutex<Policy>,
    spaces: &'a [SourceSpaces],
    pairs: MixMap<(u32, u32), Option<Arc<Pair>>>,
    leaves: Vec<Option<Arc<Leaf>>>,
    stamps: Vec<Stamp>,
    pub tally: Tally,
    pub projections: Projections,
    person_space: usize,
    person: Option<Key>,
    /// Number of the person, unique over all threads.
    ordinal: u64,
    /// (day, leaf) of the person's counted events.
    visits: Vec<(i64, u32)>,
    visits_limit: usize,
    event: Option<Key>,
    repeats: Vec<Repeats>,
    actors: Vec<(Key, u32)>,
    record: Vec<u8>,
}

impl<'a> Counter<'a> {
    pub fn new(
        policy: &'a Mutex<Policy>,
        spaces: &'a [SourceSpaces],
        units: &[usize],
        projections: Projections,
    ) -> Self {
        let event_spaces = spaces.iter().map(|s| s.event_space + 1).max().unwrap_or(0);
        Self {
            policy,
            spaces,
            pairs: MixMap::default(),
            leaves: Vec::new(),
            stamps: Vec::new(),
            tally: Tally {
                terms: units.iter().map(|n| vec![[0; Term::COUNT]; *n]).collect(),
                conflicts: vec![0; units.len()],
                ..Default::default()
            },
            projections,
            person_space: 0,
            person: None,
            ordinal: NOBODY,
            visits: Vec::new(),
            visits_limit: 1 << 16,
            event: None,
            repeats: (0..event_spaces).map(|_| Repeats::default()).collect(),
            actors: Vec::new(),
            record: Vec::new(),
        }
    }

    /// Begins a new stretch of keys: names have other codes from here on, and people other numbers.
    pub fn begin(&mut self, person_space: usize, first_ordinal: u64) {
        self.pairs.clear();
        self.person_space = person_space;
        self.ordinal = first_ordinal;
        self.person = None;
        self.event = None;
    }

    fn term(&mut self, place: u64, term: Term) {
        let (source, unit) = unpack(place);
        if let Some(terms) = self.tally.terms.get_mut(source).and_then(|s| s.get_mut(unit))
            && let Some(count) = terms.get_mut(term as usize)
        {
            *count += 1;
        }
    }

    /// Takes the next row in order of (person, event id).
    ///
    /// # Errors
    /// Sums that overflow, temporary files that cannot be written.
    pub fn take(&mut self, merged: Merged, names: &Names) -> Result<(), ExposureError> {
        let Merged { person, source, unit, row } = merged;
        let place = pack(source, unit);
        if person != self.person {
            self.flush_event(names)?;
            self.flush_person()?;
            self.person = person;
            self.ordinal = self.ordinal.wrapping_add(1);
            self.event = row.event;
        } else if row.event != self.event || row.event.is_none() {
            self.flush_event(names)?;
            self.event = row.event;
        }
        let Some(pair) = self.pair(&row, names) else {
            // None of its scopes is asked for by this run: the pack held more.
            let term =
                if row.reject == Some(Reject::Scope) { Term::Rejected } else { Term::Outside };
            self.term(place, term);
            return Ok(());
        };
        let early = row.reject != Some(Reject::Time)
            && pair.at(row.at).is_none_or(|(_, leaf)| leaf.standing == Standing::Outside);
        if early {
            self.term(place, Term::Outside);
            return Ok(());
        }
        if row.reject.is_some() {
            self.term(place, Term::Rejected);
            return Ok(());
        }
        if row.event.is_none() {
            return self.count(place, &row, &pair);
        }
        let space = self.spaces.get(source).map_or(0, |s| s.event_space);
        let repeat = self.repeats.get_mut(space).and_then(|r| r.add(place, row));
        if let Some(repeat) = repeat {
            self.term(repeat, Term::Deduplicated);
        }
        Ok(())
    }

    fn pair(&mut self, row: &Row, names: &Names) -> Option<Arc<Pair>> {
        if let Some(pair) = self.pairs.get(&(row.app, row.set)) {
            return pair.clone();
        }
        let set = usize::try_from(row.set).ok().and_then(|i| names.sets.sets().get(i))?;
        let pair = (!set.scopes.is_empty()).then(|| {
            let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
            policy.pair(names.apps.name(row.app), set)
        });
        self.pairs.insert((row.app, row.set), pair.clone());
        pair
    }

    /// Counts what is left of the rows of one event id.
    fn flush_event(&mut self, names: &Names) -> Result<(), ExposureError> {
        for space in 0..self.repeats.len() {
            let Some(repeats) = self.repeats.get_mut(space) else { continue };
            if repeats.is_empty() {
                continue;
            }
            let conflict = repeats.len() > 1;
            let rows: Vec<(u64, Row)> = repeats.drain().collect();
            if conflict {
                let first = rows.iter().map(|(place, _)| unpack(*place).0).min().unwrap_or(0);
                if let Some(count) = self.tally.conflicts.get_mut(first) {
                    *count += 1;
                }
            }
            for (place, row) in rows {
                if let Some(pair) = self.pair(&row, names) {
                    self.count(place, &row, &pair)?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, place: u64, row: &Row, pair: &Arc<Pair>) -> Result<(), ExposureError> {
        let Some((number, leaf)) = pair.at(row.at) else { return Ok(()) };
        if leaf.standing == Standing::AfterAsOf {
            self.term(place, Term::AfterAsOf);
            return Ok(());
        }
        let index = usize::try_from(*number).unwrap_or(usize::MAX);
        if self.tally.sums.len() <= index {
            self.tally.sums.resize_with(index + 1, Sums::default);
            self.leaves.resize(index + 1, None);
        }
        let Some(sums) = self.tally.sums.get_mut(index) else { return Ok(()) };
        if let Some(slot) = self.leaves.get_mut(index)
            && slot.is_none()
        {
            *slot = Some(leaf.clone());
        }
        sums.rows += 1;
        let weight = row.weight.unwrap_or(1);
        let term = match row.outcome {
            Outcome::Denied => {
                add(&mut sums.denied, weight)?;
                Term::Denied
            }
            Outcome::Unknown => {
                add(&mut sums.unknown, weight)?;
                Term::Unknown
            }
            Outcome::Allowed if leaf.scopes.is_empty() => {
                add(&mut sums.held_only, weight)?;
                Term::HeldOnly
            }
            Outcome::Allowed => {
                sums.events += 1;
                add(&mut sums.requests, weight)?;
                if let Some(bytes) = row.bytes {
                    add(&mut sums.bytes, bytes)?;
                    sums.bytes_known += 1;
                }
                if let Some(records) = row.records {
                    add(&mut sums.records, records)?;
                    sums.records_known += 1;
                }
                sums.first = Some(sums.first.map_or(row.at, |t| t.min(row.at)));
                sums.last = Some(sums.last.map_or(row.at, |t| t.max(row.at)));
                sums.subjects_unknown_rows += u64::from(self.person.is_none());
                let day = row.at.micros.div_euclid(DAY_MICROS);
                if let Some(sums) = sums.days.entry(day) {
                    sums.events += 1;
                    add(&mut sums.requests, weight)?;
                }
                self.visit(day, *number);
                self.project(place, row, *number)?;
                Term::Counted
            }
        };
        self.term(place, term);
        Ok(())
    }

    fn visit(&mut self, day: i64, leaf: u32) {
        if self.person.is_none() {
            return;
        }
        if self.visits.last() == Some(&(day, leaf)) {
            return;
        }
        self.visits.push((day, leaf));
        if self.visits.len() >= self.visits_limit {
            // Somebody with very many events: days and leaves are few, events need not be kept.
            self.visits.sort_unstable();
            self.visits.dedup();
            self.visits_limit = (self.visits.len() * 2).max(1 << 16);
        }
    }

    fn project(&mut self, place: u64, row: &Row, leaf: u32) -> Result<(), ExposureError> {
        if matches!(self.projections.actors.get(self.person_space), Some(Some(_)))
            && let Some(actor) = row.actor
            && self.actors.last() != Some(&(actor, leaf))
        {
            self.actors.push((actor, leaf));
            if self.actors.len() >= 1 << 16 {
                self.flush_actors()?;
            }
        }
        let Some(group) = row.group else { return Ok(()) };
        let space = self.spaces.get(unpack(place).0).map_or(0, |s| s.group_space);
        let Some((sorter, wide)) = self.projections.groups.get_mut(space) else { return Ok(()) };
        let subject = if self.person.is_none() { NOBODY } else { self.ordinal };
        GroupRecord {
            group,
            subject,
            leaf,
            micros: row.at.micros,
            weight: row.weight.unwrap_or(1),
            id: row.group_id.as_deref(),
        }
        .encode(*wide, &mut self.record);
        sorter.push(&self.record)
    }

    fn flush_actors(&mut self) -> Result<(), ExposureError> {
        self.actors.sort_unstable();
        self.actors.dedup();
        if let Some(Some(sorter)) = self.projections.actors.get_mut(self.person_space) {
            for (actor, leaf) in &self.actors {
                self.record.clear();
                self.record.extend_from_slice(&actor.hi.to_be_bytes());
                self.record.extend_from_slice(&actor.lo.to_be_bytes());
                self.record.extend_from_slice(&leaf.to_be_bytes());
                sorter.push(&self.record)?;
            }
        }
        self.actors.clear();
        Ok(())
    }

    fn flush_person(&mut self) -> Result<(), ExposureError> {
        if !self.actors.is_empty() {
            self.flush_actors()?;
        }
        if self.visits.is_empty() {
            return Ok(());
        }
        let mut visits = std::mem::take(&mut self.visits);
        if visits.len() > 1 {
            visits.sort_unstable();
            visits.dedup();
        }
        for (day, number) in &visits {
            let index = usize::try_from(*number).unwrap_or(usize::MAX);
            let Some(Some(leaf)) = self.leaves.get(index) else { continue };
            for (cell, windows) in &leaf.exposed {
                let cell = usize::try_from(*cell).unwrap_or(usize::MAX);
                if self.stamps.len() <= cell {
                    let empty = Stamp { person: NOBODY, seen: 0, day: i64::MIN };
                    self.stamps.resize(cell + 1, empty);
                    self.tally.people.resize_with(cell + 1, People::default);
                }
                let (Some(stamp), Some(people)) =
                    (self.stamps.get_mut(cell), self.tally.people.get_mut(cell))
                else {
                    continue;
                };
                let first = stamp.person != self.ordinal;
                if first {
                    *stamp = Stamp { person: self.ordinal, seen: 0, day: i64::MIN };
                }
                let fresh = windows & !stamp.seen;
                if fresh != 0 {
                    stamp.seen |= windows;
                    for (window, count) in people.subjects.iter_mut().enumerate() {
                        *count += u64::from(fresh >> window & 1);
                    }
                }
                if stamp.day != *day {
                    stamp.day = *day;
                    if let Some(counts) = people.days.entry(*day) {
                        counts.subjects += 1;
                        counts.new += u64::from(first);
                    }
                }
            }
        }
        visits.clear();
        self.visits = visits;
        Ok(())
    }

    /// Ends a stretch of keys.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn end(&mut self, names: &Names) -> Result<(), ExposureError> {
        self.flush_event(names)?;
        self.flush_person()?;
        self.person = None;
        Ok(())
    }
}

fn pack(source: usize, unit: u32) -> u64 {
    (source as u64) << 32 | u64::from(unit)
}

fn unpack(place: u64) -> (usize, usize) {
    let low = usize::try_from(place & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    (usize::try_from(place >> 32).unwrap_or(usize::MAX), low)
}

fn add(sum: &mut i64, value: i64) -> Result<(), ExposureError> {
    *sum = sum.checked_add(value).ok_or(ExposureError::Overflow)?;
    Ok(())
}

/// One event in the order of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRecord<'a> {
    pub group: Key,
    /// A number that is the person's alone; `u64::MAX` where the event names nobody.
    pub subject: u64,
    pub leaf: u32,
    pub micros: i64,
    pub weight: i64,
    pub id: Option<&'a [u8]>,
}

impl<'a> GroupRecord<'a> {
    fn encode(&self, wide: bool, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.group.hi.to_be_bytes());
        if wide {
            out.extend_from_slice(&self.group.lo.to_be_bytes());
        } else {
            out.push(u8::try_from(self.group.lo).unwrap_or(u8::MAX));
        }
        out.extend_from_slice(&self.subject.to_be_bytes());
        out.extend_from_slice(&self.leaf.to_be_bytes());
        out.extend_from_slice(&self.micros.to_be_bytes());
        match (self.weight, self.id) {
            (1, None) => {}
            (weight, id) => {
                out.extend_from_slice(&weight.to_be_bytes());
                out.extend_from_slice(id.unwrap_or_default());
            }
        }
    }

    pub fn decode(wide: bool, bytes: &'a [u8]) -> Option<Self> {
        let (hi, rest) = bytes.split_first_chunk::<8>()?;
        let (lo, rest) = if wide {
            let (lo, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*lo), rest)
        } else {
            let (lo, rest) = rest.split_first()?;
            (u64::from(*lo), rest)
        };
        let (subject, rest) = rest.split_first_chunk::<8>()?;
        let (leaf, rest) = rest.split_first_chunk::<4>()?;
        let (micros, rest) = rest.split_first_chunk::<8>()?;
        let (weight, id) = match rest.split_first_chunk::<8>() {
            Some((weight, id)) => (i64::from_be_bytes(*weight), (!id.is_empty()).then_some(id)),
            None => (1, None),
        };
        Some(Self {
            group: Key { hi: u64::from_be_bytes(*hi), lo },
            subject: u64::from_be_bytes(*subject),
            leaf: u32::from_be_bytes(*leaf),
            micros: i64::from_be_bytes(*micros),
            weight,
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_records_survive_their_encoding() {
        let record = GroupRecord {
            group: Key { hi: 7, lo: 1 },
            subject: NOBODY,
            leaf: 3,
            micros: -5,
            weight: 1,
            id: None,
        };
        let others = [
            record,
            GroupRecord { weight: 9, ..record },
            GroupRecord { id: Some(b"g"), group: Key { hi: 1, lo: u64::MAX }, ..record },
        ];
        for record in others {
            let wide = record.group.lo > 1;
            let mut bytes = Vec::new();
            record.encode(wide, &mut bytes);
            assert_eq!(GroupRecord::decode(wide, &bytes), Some(record));
        }
    }
}
