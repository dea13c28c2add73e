//! What each row means by the rules of now, and whether it meant something else in the count that is kept.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::Mutex;

use super::meanings::{Meaning, Meanings};
use super::spans::Spans;
use super::survey::{NEVER, Question};
use crate::codes::index;
use crate::exposure::ExposureError;
use crate::exposure::by_pair::both;
use crate::exposure::carried::index_of;
use crate::exposure::eras::Era;
use crate::exposure::leaf::Standing;
use crate::exposure::lookup::{Codes, Lookup, Place};
use crate::exposure::passes::Passes;
use crate::exposure::policy::Policy;
use crate::exposure::rules::Rules;
use crate::key::{MixHasher, MixMap};
use crate::ledger::{Cursor, Names};
use crate::moment::Moment;
use crate::scan::batch::{AccessBatch, KeyColumn, NONE, Outcome};

/// What one thread has found.
#[derive(Default)]
pub struct Found {
    pub people: Vec<u64>,
    pub nobody: bool,
    pub groups: Vec<u64>,
    pub actors: Vec<u64>,
    pub rows: u64,
    pub changed: u64,
    /// The same of those that were in the count that is kept.
    pub old: u64,
    pub old_changed: u64,
}

impl Found {
    pub fn halves(&self) -> usize {
        self.people.len() + self.groups.len() + self.actors.len()
    }

    pub fn merge(&mut self, other: Self) {
        self.people.extend(other.people);
        self.groups.extend(other.groups);
        self.actors.extend(other.actors);
        self.nobody |= other.nobody;
        self.rows += other.rows;
        self.changed += other.changed;
        self.old += other.old;
        self.old_changed += other.old_changed;
    }
}

/// What one thread has met of exposures.
#[derive(Default)]
pub struct Exposed {
    /// By leaf: the first and the last.
    pub bounds: Vec<(Moment, Moment)>,
    /// Leaves with the fields that were read: codes of both.
    pub fields: HashSet<u64, BuildHasherDefault<MixHasher>>,
}

impl Exposed {
    fn put(&mut self, leaf: u32, at: Moment, fields: u32) {
        self.widen(leaf, (at, at));
        self.read(leaf, fields);
    }

    fn read(&mut self, leaf: u32, fields: u32) {
        if fields != NONE {
            self.fields.insert(both(leaf, fields));
        }
    }

    fn widen(&mut self, leaf: u32, (from, to): (Moment, Moment)) {
        let index = index(leaf);
        if index >= self.bounds.len() {
            self.bounds.resize(index + 1, NEVER);
        }
        if let Some((first, last)) = self.bounds.get_mut(index) {
            (*first, *last) = (from.min(*first), to.max(*last));
        }
    }
}

pub struct Looker<'a> {
    question: &'a Question<'a>,
    rules_differ: bool,
    /// Whether rejected rows may mean something else.
    rejects_differ: bool,
    scope_names: Vec<String>,
    lookup: Lookup<'a>,
    /// Of the rows of the block at hand, where the rules differ.
    places: Vec<Place>,
    meant: Vec<Meaning>,
    /// Places of [`Lookup`] that it knew when this was last made the same: what their rows mean is known here, too.
    learnt: usize,
    /// By place.
    near: Vec<Meanings>,
    /// Where the rules differ for places of which not all stands near.
    far: MixMap<u32, Spans>,
    /// Where the rules differ for events in parts, by codes of app and scope.
    of_scopes: MixMap<u64, Spans>,
    /// By slots of [`Meaning`]: the first and the last microsecond of rows at whole ones.
    bounds: Vec<(i64, i64)>,
    exposed: Exposed,
    found: Found,
}

/// The upper half of a row's key.
fn half(keys: &KeyColumn, row: usize) -> Option<u64> {
    keys.hi.get(row).copied().filter(|_| keys.valid.get(row) != Some(&false))
}

fn code(codes: &[u32], row: usize) -> u32 {
    codes.get(row).copied().unwrap_or(NONE)
}

impl<'a> Looker<'a> {
    pub fn new(
        passes: &Passes<'_>,
        policy: &'a Mutex<Policy>,
        question: &'a Question<'a>,
        rules_differ: bool,
    ) -> Self {
        let least = |rules: &Rules| rules.restricted.values().min().copied();
        Self {
            question,
            rules_differ,
            rejects_differ: least(question.old) != least(question.new),
            scope_names: question.new.restricted.keys().cloned().collect(),
            lookup: Lookup::new((policy, Era::Now), passes.memory),
            places: Vec::new(),
            meant: Vec::new(),
            learnt: 0,
            near: Vec::new(),
            far: MixMap::default(),
            of_scopes: MixMap::default(),
            bounds: Vec::new(),
            exposed: Exposed::default(),
            found: Found::default(),
        }
    }

    /// What was found so far.
    pub fn found(&self) -> &Found {
        &self.found
    }

    pub fn finish(mut self) -> (Found, Exposed) {
        for (leaf, (first, last)) in (0..).zip(self.bounds.iter().skip(1)) {
            if first <= last {
                let ends = (Moment::from_micros(*first), Moment::from_micros(*last));
                self.exposed.widen(leaf, ends);
            }
        }
        (self.found, self.exposed)
    }

    /// Looks at the rows of a block.
    ///
    /// # Errors
    /// As those of [`Lookup`].
    pub fn look(&mut self, cursor: &Cursor, names: &Names) -> Result<(), ExposureError> {
        let block = &cursor.block;
        if self.rules_differ {
            self.mean(block, names)?;
        }
        let added = self.question.added.get(cursor.source.0).map(Vec::as_slice).unwrap_or_default();
        let is_added = |unit: u32| usize::try_from(unit).ok().and_then(|unit| added.get(unit));
        let people = cursor.people();
        let (mut rows, mut changed_rows, mut old, mut old_changed) = (0, 0, 0, 0);
        for (row, unit) in block.unit.iter().enumerate() {
            if *unit == NONE {
                continue;
            }
            rows += 1;
            let added = is_added(*unit) == Some(&true);
            let changed = self.meant.get(row).is_some_and(|meaning| meaning.is_changed());
            old += u64::from(!added);
            if !added && !changed {
                continue;
            }
            old_changed += u64::from(!added);
            changed_rows += 1;
            match people.and_then(|keys| half(keys, row)) {
                Some(half) => self.found.people.push(half),
                None => self.found.nobody = true,
            }
            // Of groups and actors allowed events alone are counted.
            if block.outcome.get(row) == Some(&Outcome::Allowed) {
                self.found.groups.extend(half(&block.group, row));
                self.found.actors.extend(half(&block.actor, row));
            }
        }
        let found = &mut self.found;
        found.rows += rows;
        found.changed += changed_rows;
        found.old += old;
        found.old_changed += old_changed;
        Ok(())
    }

    /// What the rows of a block mean; the moments and the fields of exposures are put down. In loops of their own, of
    /// which nothing follows from what a row is: the processor does not guess wrong.
    fn mean(&mut self, block: &AccessBatch, names: &Names) -> Result<(), ExposureError> {
        let codes = block.unit.iter().zip(&block.app).zip(&block.scopes);
        // Rows of units that do not count are passed over, and nothing is made for them.
        let codes = codes.map(|((unit, app), set)| match *unit {
            NONE => (NONE, NONE, names),
            _ => (*app, *set, names),
        });
        self.lookup.places(codes.clone(), &mut self.places)?;
        if self.lookup.place_count() > self.learnt {
            self.learnt = self.lookup.place_count();
            for (row, of) in codes.enumerate() {
                if let Some(Place::Whole(place)) = self.places.get(row) {
                    self.learn(*place, of);
                }
            }
        }
        self.meant.clear();
        let rows = self.places.iter().zip(&block.micros);
        self.meant.extend(rows.map(|(place, micros)| {
            let place = place.whole().and_then(|place| self.near.get(place));
            place.map_or(Meaning::ELSEWHERE, |meanings| meanings.at(*micros))
        }));
        for (meaning, reject) in self.meant.iter_mut().zip(&block.reject) {
            if reject.is_some() {
                *meaning = meaning.rejected(self.rejects_differ);
            }
        }
        self.put_down(block);
        for row in 0..block.len() {
            if self.meant.get(row) != Some(&Meaning::ELSEWHERE) || code(&block.unit, row) == NONE {
                continue;
            }
            let changed = self.meaning(block, row, names)?;
            if let Some(meaning) = self.meant.get_mut(row) {
                *meaning = Meaning::of_row(changed);
            }
        }
        Ok(())
    }

    /// Puts down moments and fields of the rows whose meaning stands near.
    fn put_down(&mut self, block: &AccessBatch) {
        let slots = |(meaning, outcome): (&Meaning, &Outcome)| match outcome {
            Outcome::Allowed => meaning.slot(),
            _ => 0,
        };
        let slots = self.meant.iter().zip(&block.outcome).map(slots);
        if block.nanos.is_empty() {
            // The first slot is for rows that are no exposures.
            self.bounds.resize(self.lookup.leaf_count() + 1, (i64::MAX, i64::MIN));
            for (slot, micros) in slots.clone().zip(&block.micros) {
                if let Some((first, last)) = self.bounds.get_mut(slot) {
                    *first = *micros.min(first);
                    *last = *micros.max(last);
                }
            }
        } else {
            for (row, leaf) in leaves(slots.clone()) {
                self.exposed.widen(leaf, (block.moment(row), block.moment(row)));
            }
        }
        if !block.fields.is_empty() {
            let exposed = &mut self.exposed;
            leaves(slots).for_each(|(row, leaf)| exposed.read(leaf, code(&block.fields, row)));
        }
    }

    /// Whether a row whose meaning does not stand near means something else than before. Its moment and fields are put
    /// down.
    fn meaning(
        &mut self,
        block: &AccessBatch,
        row: usize,
        names: &Names,
    ) -> Result<bool, ExposureError> {
        let (app, set) = (code(&block.app, row), code(&block.scopes, row));
        let at = block.moment(row);
        let rejected = block.reject.get(row).is_some_and(Option::is_some);
        let (leaf, known) = match self.places.get(row).copied() {
            None | Some(Place::Nowhere) => return Ok(rejected && self.rejects_differ),
            Some(Place::Whole(place)) => {
                let what = || format!("nothing is known of place {place}");
                let spans = self.far.get(&place);
                let spans = spans.ok_or_else(|| ExposureError::Internal { what: what() })?;
                (self.lookup.leaf(place, at), spans.hold(at))
            }
            Some(Place::InParts) => (self.lookup.leaf_in_parts(app, set, at)?, false),
        };
        let is_exposure = !rejected
            && leaf.standing == Standing::Counts
            && leaf.exercised
            && block.outcome.get(row) == Some(&Outcome::Allowed);
        if is_exposure {
            let fields = code(&block.fields, row);
            if leaf.in_parts {
                let (.., parts) = self.lookup.parts(leaf);
                let exposed = parts.iter().filter(|part| part.exposed);
                exposed.for_each(|part| self.exposed.put(part.leaf, at, fields));
            } else {
                self.exposed.put(leaf.number, at, fields);
            }
        }
        if rejected && self.rejects_differ {
            return Ok(true);
        }
        if !leaf.in_parts {
            return Ok(known);
        }
        for scope in self.lookup.scopes_in_parts(set) {
            let index = index_of(*scope);
            let known = match self.of_scopes.get(&both(app, index)) {
                Some(spans) => spans.hold(at),
                None => {
                    let name = usize::try_from(index).ok().and_then(|i| self.scope_names.get(i));
                    let name = name.cloned();
                    let spans = self.differences(app, names, name.as_slice());
                    let known = spans.hold(at);
                    self.of_scopes.insert(both(app, index), spans);
                    known
                }
            };
            if known {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts down what rows of a place mean, where it was not met before.
    fn learn(&mut self, place: u32, (app, set, names): Codes<'_>) {
        let index = index(place);
        let is_near = self.near.get(index).is_some_and(|meanings| !meanings.are_elsewhere());
        if is_near || self.far.contains_key(&place) {
            return;
        }
        let scopes = names.sets.get(set).map(|set| set.scopes).unwrap_or_default();
        let spans = self.differences(app, names, &scopes);
        let Some(meanings) = self.lookup.segments(place).and_then(|of| Meanings::of(of, &spans))
        else {
            self.far.insert(place, spans);
            return;
        };
        if index >= self.near.len() {
            self.near.resize(index + 1, Meanings::ELSEWHERE);
        }
        if let Some(slot) = self.near.get_mut(index) {
            *slot = meanings;
        }
    }

    /// Where the rules differ for any of these scopes.
    fn differences(&self, app: u32, names: &Names, scopes: &[String]) -> Spans {
        let Question { old, new, .. } = self.question;
        let app = names.apps.name(app);
        Spans::of(scopes.iter().flat_map(|scope| new.differences(old, app, scope)).collect())
    }
}

/// Rows and leaves of those that have a slot.
fn leaves(slots: impl Iterator<Item = usize>) -> impl Iterator<Item = (usize, u32)> {
    let leaf = |slot: usize| u32::try_from(slot.checked_sub(1)?).ok();
    slots.enumerate().filter_map(move |(row, slot)| Some((row, leaf(slot)?)))
}
