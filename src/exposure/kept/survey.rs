//! One look at every row: which of them mean something else than in the count that is kept, and when the first and
//! the last exposure of each cell was.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::meanings::{Meaning, Meanings};
use super::spans::Spans;
use crate::effort::Part;
use crate::exposure::by_pair::both;
use crate::exposure::carried::index_of;
use crate::exposure::cells::{CellKey, Window};
use crate::exposure::leaf::Standing;
use crate::exposure::lookup::{Codes, Lookup, Place};
use crate::exposure::passes::{Passes, fields_by_scope, read_fields};
use crate::exposure::policy::Policy;
use crate::exposure::rules::Rules;
use crate::exposure::{ExposureError, SourceRows};
use crate::key::{MixHasher, MixMap};
use crate::ledger::{Chosen, Cursor, Halves, Names};
use crate::moment::Moment;
use crate::scan::batch::{AccessBatch, KeyColumn, NONE, Outcome};
use crate::threads::in_threads;

/// First and last moments by window.
pub type Bounds = [(Moment, Moment); Window::COUNT];

const NEVER: (Moment, Moment) = (Moment::MAX, Moment::MIN);

/// What was found.
pub struct Survey {
    /// Whose rows mean something else.
    pub chosen: Chosen,
    /// Rows that were looked at, and those of them that mean something else.
    pub rows: u64,
    pub changed: u64,
    /// Where rules differ: bounds of every cell with an exposure.
    pub bounds: Option<HashMap<CellKey, Bounds>>,
    /// Where rules differ: fields by scope.
    pub fields: Vec<BTreeSet<String>>,
}

/// What is looked for.
pub struct Question<'a> {
    pub old: &'a Rules,
    pub new: &'a Rules,
    /// By source and unit: whether its rows were not in the count that is kept.
    pub added: &'a [Vec<bool>],
}

impl Question<'_> {
    fn rules_differ(&self) -> bool {
        let Self { old, new, .. } = self;
        (old.as_of, old.lookback_from) != (new.as_of, new.lookback_from)
            || old.restricted != new.restricted
            || old.grace != new.grace
            || !old.has_stretches_of(new)
    }

    fn is_added(&self, source: usize, unit: u32) -> bool {
        let unit = usize::try_from(unit).unwrap_or(usize::MAX);
        self.added.get(source).and_then(|units| units.get(unit)) == Some(&true)
    }
}

/// One part in so many of what is left beside the program is for first and last moments, and bytes that those of a cell
/// take with its key.
const BOUNDS: u64 = 8;
const OF_BOUNDS: u64 = 400;

/// One part in so many is for halves of keys.
const HALVES: u64 = 64;

/// After so many rows a thread knows about how many of all have changed: they come in no order of time.
const ENOUGH: u64 = 50_000;

/// Looks at the rows of `passes`; `None` where so many of so many mean something else that it is much, or there is no
/// room for whose they are.
///
/// # Errors
/// Storage failures, damaged packs, interruption.
pub fn survey(
    passes: &Passes<'_>,
    sources: &[SourceRows],
    question: &Question<'_>,
    is_much: impl Fn(u64, u64) -> bool + Sync,
) -> Result<Option<Survey>, ExposureError> {
    let settings = passes.settings;
    let rules_differ = question.rules_differ();
    let policy = Mutex::new(Policy::new(question.new.clone()));
    let share = settings.budget.rest / HALVES / size_of::<u64>() as u64;
    let most_halves = usize::try_from(share).unwrap_or(usize::MAX) / passes.memory.threads.max(1);
    let next = AtomicUsize::new(0);
    let looking = |_| {
        let mut looker = Looker::new(passes, &policy, question, rules_differ);
        let mut names = Names::default();
        while let Some(job) = passes.jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            for input in &job.inputs(sources) {
                let Some(asked) = passes.asked.get(input.source) else { continue };
                for pack in &input.packs {
                    let wanted =
                        |unit: &u32| *unit != NONE && question.is_added(input.source, *unit);
                    // By the same rules old rows mean what they meant.
                    if !rules_differ && !pack.units.iter().any(wanted) {
                        continue;
                    }
                    let (source, range) = ((input.source, input.group_space), job.range.clone());
                    let rows = passes.memory.rows;
                    let mut cursor =
                        Cursor::new(pack.clone(), source, range, asked, rows, &mut names)?
                            .of_meaning();
                    passes.fits(&names)?;
                    while cursor.read()? {
                        looker.look(&cursor, &names)?;
                        if looker.found.old > ENOUGH
                            && is_much(looker.found.old_changed, looker.found.old)
                            || looker.found.halves() > most_halves
                        {
                            return Ok(None);
                        }
                        if settings.stop.load(Ordering::Relaxed) {
                            return Err(ExposureError::Interrupted);
                        }
                    }
                }
            }
        }
        let fields = read_fields(&looker.fields, &names);
        Ok(Some((looker.found, fields)))
    };
    let found = in_threads::<_, ExposureError>(passes.memory.threads, |number| {
        settings.effort.timed(Part::Counting, || looking(number))
    })?;
    let policy = policy.into_inner().unwrap_or_else(PoisonError::into_inner);
    if policy.cells.len() as u64 * OF_BOUNDS > settings.budget.rest / BOUNDS {
        return Ok(None);
    }
    let mut all = Found::default();
    let mut fields = Vec::new();
    for found in found {
        let Some((found, own)) = found else { return Ok(None) };
        all.merge(found);
        fields.extend(own);
    }
    Ok(Some(Survey {
        chosen: Chosen {
            people: Halves::of(&all.people),
            nobody: all.nobody,
            groups: Halves::of(&all.groups),
            actors: Halves::of(&all.actors),
        },
        rows: all.rows,
        changed: all.changed,
        fields: fields_by_scope(&policy, fields),
        bounds: rules_differ.then(|| bounds(policy, &all.bounds)),
    }))
}

/// Bounds of leaves as those of cells.
fn bounds(policy: Policy, of_leaves: &[(Moment, Moment)]) -> HashMap<CellKey, Bounds> {
    let mut by_cell: Vec<Option<Bounds>> = vec![None; policy.cells.len()];
    for (leaf, (first, last)) in policy.leaves.iter().zip(of_leaves) {
        if first > last {
            continue;
        }
        for (cell, windows) in &leaf.exposed {
            let at = usize::try_from(*cell).unwrap_or(usize::MAX);
            let Some(slot) = by_cell.get_mut(at) else { continue };
            let bounds = slot.get_or_insert([NEVER; Window::COUNT]);
            for (i, bound) in bounds.iter_mut().enumerate() {
                if windows >> i & 1 == 1 {
                    *bound = (bound.0.min(*first), bound.1.max(*last));
                }
            }
        }
    }
    // A table that grows moves what it holds.
    let mut all = HashMap::with_capacity(policy.cells.len());
    let cells = policy.cells.into_iter().zip(by_cell);
    all.extend(cells.filter_map(|(key, bounds)| Some((key, bounds?))));
    all
}

/// What one thread has found.
#[derive(Default)]
struct Found {
    people: Vec<u64>,
    nobody: bool,
    groups: Vec<u64>,
    actors: Vec<u64>,
    rows: u64,
    changed: u64,
    /// The same of those that were in the count that is kept.
    old: u64,
    old_changed: u64,
    /// By leaf.
    bounds: Vec<(Moment, Moment)>,
}

impl Found {
    fn halves(&self) -> usize {
        self.people.len() + self.groups.len() + self.actors.len()
    }

    fn merge(&mut self, other: Self) {
        self.people.extend(other.people);
        self.groups.extend(other.groups);
        self.actors.extend(other.actors);
        self.nobody |= other.nobody;
        self.rows += other.rows;
        self.changed += other.changed;
        self.old += other.old;
        self.old_changed += other.old_changed;
        self.bounds.resize(self.bounds.len().max(other.bounds.len()), NEVER);
        for (mine, theirs) in self.bounds.iter_mut().zip(other.bounds) {
            *mine = (mine.0.min(theirs.0), mine.1.max(theirs.1));
        }
    }
}

/// What rows of an app and a scope set mean.
#[derive(Clone)]
enum OfPlace {
    Near(Meanings),
    /// Where the rules differ.
    Far(Spans),
}

struct Looker<'a> {
    question: &'a Question<'a>,
    rules_differ: bool,
    /// Whether rejected rows may mean something else.
    rejects_differ: bool,
    scope_names: Vec<String>,
    lookup: Lookup<'a>,
    /// Of the rows of the block at hand.
    places: Vec<Place>,
    /// By places of [`Lookup`].
    of_places: Vec<Option<OfPlace>>,
    /// Where the rules differ for events in parts, by codes of app and scope.
    of_scopes: MixMap<u64, Spans>,
    fields: HashSet<u64, BuildHasherDefault<MixHasher>>,
    found: Found,
}

fn code(codes: &[u32], row: usize) -> u32 {
    codes.get(row).copied().unwrap_or(NONE)
}

/// The upper half of a row's key.
fn half(keys: &KeyColumn, row: usize) -> Option<u64> {
    keys.hi.get(row).copied().filter(|_| keys.valid.get(row) != Some(&false))
}

impl<'a> Looker<'a> {
    fn new(
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
            lookup: Lookup::new(policy, passes.memory),
            places: Vec::new(),
            of_places: Vec::new(),
            of_scopes: MixMap::default(),
            fields: HashSet::default(),
            found: Found::default(),
        }
    }

    fn look(&mut self, cursor: &Cursor, names: &Names) -> Result<(), ExposureError> {
        let block = &cursor.block;
        let people = cursor.people();
        let codes = || {
            let codes = block.unit.iter().zip(&block.app).zip(&block.scopes);
            // Rows of units that do not count are passed over, and nothing is made for them.
            codes.map(|((unit, app), set)| match *unit {
                NONE => (NONE, NONE, names),
                _ => (*app, *set, names),
            })
        };
        let mut places = std::mem::take(&mut self.places);
        match self.rules_differ {
            true => self.lookup.places(codes(), &mut places)?,
            false => places.resize(block.len(), Place::Nowhere),
        }
        let added = self.question.added.get(cursor.source.0).map(Vec::as_slice).unwrap_or_default();
        let is_added = |unit: u32| usize::try_from(unit).ok().and_then(|unit| added.get(unit));
        let (mut rows, mut changed_rows, mut old, mut old_changed) = (0, 0, 0, 0);
        let columns = block.unit.iter().zip(&places).zip(&block.micros).zip(&block.outcome);
        for (row, (((unit, place), micros), outcome)) in columns.enumerate() {
            if *unit == NONE {
                continue;
            }
            rows += 1;
            let added = is_added(*unit) == Some(&true);
            let changed = self.rules_differ
                && match self.near(*place, *micros) {
                    Some(meaning) => self.put_down(block, row, *outcome, meaning),
                    None => self.meaning(block, row, *place, names)?,
                };
            old += u64::from(!added);
            old_changed += u64::from(!added && changed);
            if !added && !changed {
                continue;
            }
            changed_rows += 1;
            match people.and_then(|keys| half(keys, row)) {
                Some(half) => self.found.people.push(half),
                None => self.found.nobody = true,
            }
            // Of groups and actors allowed events alone are counted.
            if *outcome == Outcome::Allowed {
                self.found.groups.extend(half(&block.group, row));
                self.found.actors.extend(half(&block.actor, row));
            }
        }
        let found = &mut self.found;
        found.rows += rows;
        found.changed += changed_rows;
        found.old += old;
        found.old_changed += old_changed;
        self.places = places;
        Ok(())
    }

    /// What a row at a place means, where that stands near.
    #[inline(always)]
    fn near(&self, place: Place, micros: i64) -> Option<Meaning> {
        let Place::Whole(place) = place else { return None };
        match self.of_places.get(usize::try_from(place).ok()?)? {
            Some(OfPlace::Near(meanings)) => Some(meanings.at(micros)),
            _ => None,
        }
    }

    /// Puts down when a row was that means this; whether it means something else than before.
    #[inline(always)]
    fn put_down(
        &mut self,
        block: &AccessBatch,
        row: usize,
        outcome: Outcome,
        meaning: Meaning,
    ) -> bool {
        let rejected = block.reject.get(row).is_some_and(Option::is_some);
        if meaning.is_exposed() && !rejected && outcome == Outcome::Allowed {
            let leaf = meaning.leaf();
            bound(&mut self.found.bounds, leaf, block.moment(row));
            let fields = code(&block.fields, row);
            if fields != NONE {
                self.fields.insert(both(leaf, fields));
            }
        }
        meaning.is_changed() || rejected && self.rejects_differ
    }

    /// As [`Self::put_down`], of a row whose meaning does not stand near.
    fn meaning(
        &mut self,
        block: &AccessBatch,
        row: usize,
        place: Place,
        names: &Names,
    ) -> Result<bool, ExposureError> {
        let (app, set) = (code(&block.app, row), code(&block.scopes, row));
        let at = block.moment(row);
        let outcome = block.outcome.get(row).copied().unwrap_or(Outcome::Unknown);
        let rejected = block.reject.get(row).is_some_and(Option::is_some);
        let (leaf, known) = match place {
            Place::Nowhere => return Ok(rejected && self.rejects_differ),
            Place::Whole(place) => {
                let at_place = usize::try_from(place).unwrap_or(usize::MAX);
                if !matches!(self.of_places.get(at_place), Some(Some(_))) {
                    self.learn(place, (app, set, names));
                }
                let known = match self.of_places.get(at_place) {
                    Some(Some(OfPlace::Near(meanings))) => {
                        let meaning = meanings.at(at.micros);
                        return Ok(self.put_down(block, row, outcome, meaning));
                    }
                    Some(Some(OfPlace::Far(spans))) => spans.hold(at),
                    _ => {
                        let what = format!("nothing is known of place {place}");
                        return Err(ExposureError::Internal { what });
                    }
                };
                (self.lookup.leaf(place, at), known)
            }
            Place::InParts => (self.lookup.leaf_in_parts(app, set, at)?, false),
        };
        let is_exposure = !rejected
            && leaf.standing == Standing::Counts
            && leaf.exercised
            && outcome == Outcome::Allowed;
        if is_exposure {
            let fields = block.fields.get(row).copied().unwrap_or(NONE);
            if leaf.in_parts {
                let (.., parts) = self.lookup.parts(leaf);
                for part in parts.iter().filter(|part| part.exposed) {
                    bound(&mut self.found.bounds, part.leaf, at);
                    if fields != NONE {
                        self.fields.insert(both(part.leaf, fields));
                    }
                }
            } else {
                bound(&mut self.found.bounds, leaf.number, at);
                if fields != NONE {
                    self.fields.insert(both(leaf.number, fields));
                }
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

    /// Puts down what rows of a place mean, which was not met before.
    #[cold]
    fn learn(&mut self, place: u32, (app, set, names): Codes<'_>) {
        let scopes = names.sets.get(set).map(|set| set.scopes).unwrap_or_default();
        let spans = self.differences(app, names, &scopes);
        let near = self.lookup.segments(place).and_then(|of| Meanings::of(of, &spans));
        let made = near.map_or(OfPlace::Far(spans), OfPlace::Near);
        let at = usize::try_from(place).unwrap_or(usize::MAX);
        if at >= self.of_places.len() {
            self.of_places.resize(at + 1, None);
        }
        if let Some(slot) = self.of_places.get_mut(at) {
            *slot = Some(made);
        }
    }

    /// Where the rules differ for any of these scopes.
    fn differences(&self, app: u32, names: &Names, scopes: &[String]) -> Spans {
        let Question { old, new, .. } = self.question;
        let app = names.apps.name(app);
        Spans::of(scopes.iter().flat_map(|scope| new.differences(old, app, scope)).collect())
    }
}

#[inline]
fn bound(bounds: &mut Vec<(Moment, Moment)>, leaf: u32, at: Moment) {
    let index = usize::try_from(leaf).unwrap_or(usize::MAX);
    if index >= bounds.len() {
        bounds.resize(index + 1, NEVER);
    }
    let Some((first, last)) = bounds.get_mut(index) else { return };
    // Nearly always it lies between them.
    if at < *first {
        *first = at;
    }
    if at > *last {
        *last = at;
    }
}
