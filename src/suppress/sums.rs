//! What holds between the figures of a run: which are sums of which, and which bound others.
//!
//! Distinct people of parts that overlap do not add up. But bounds follow, and parts need not overlap: they
//! are taken as sums all the same, which masks more and never less.

use std::collections::{BTreeSet, HashMap};

use super::figures::{Key, Measure, Name, Part, Place, Told};
use super::solve::{Figure, Parts};
use crate::exposure::Window;
use crate::moment::DAY_MICROS;

const AFTER: Part = Part::Window(Window::AfterRestriction);

/// A sum among those of a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Over {
    Scopes,
    Apps,
    /// Developers, and apps without one.
    Developers,
    Days,
    NewOfDays,
    Residences,
    Groups,
}

/// Parents and children of sums, in no order.
#[derive(Default)]
struct Pairs(Vec<(Figure, Over, Figure)>);

impl Pairs {
    fn add(&mut self, parent: Option<Figure>, over: Over, child: Figure) {
        self.0.extend(parent.map(|parent| (parent, over, child)));
    }
}

/// Tells what holds between all figures.
pub fn tell(told: &mut Told, lookback_from: i64) {
    let mut pairs = Pairs::default();
    let days = Days::new(told, lookback_from);
    let listed_in_part: BTreeSet<Place> =
        told.keys.iter().filter(|key| key.part == Part::Rest).map(|key| key.place).collect();
    for (figure, key) in (0..).zip(&told.keys) {
        by_place(told, &mut pairs, figure, key);
        days.parents(told, &mut pairs, figure, key);
        let whole = |measure| told.find(key.place, AFTER, measure);
        match (key.part, key.measure) {
            (Part::Residence(_), measure) => pairs.add(whole(measure), Over::Residences, figure),
            (Part::Group(_) | Part::Rest, Measure::Requests) => {
                pairs.add(whole(Measure::Requests), Over::Groups, figure);
            }
            // Of groups that are not listed no people are told: nothing follows then.
            (Part::Group(_), Measure::Subjects) if !listed_in_part.contains(&key.place) => {
                pairs.add(whole(Measure::Subjects), Over::Groups, figure);
            }
            (Part::Group(_), Measure::Members) if !listed_in_part.contains(&key.place) => {
                pairs.add(whole(Measure::UpperBound), Over::Groups, figure);
            }
            _ => {}
        }
    }
    pairs.0.sort_unstable();
    let mut children = Vec::new();
    for same in pairs.0.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        children.clear();
        children.extend(same.iter().map(|pair| pair.2));
        if let Some((parent, over, child)) = same.first() {
            let measure = usize::try_from(*child).ok().and_then(|child| told.keys.get(child));
            let parts = measure.map_or(Parts::Apart, |key| parts(*over, key.measure));
            told.figures.sum(*parent, &children, parts);
        }
    }
    grace(told);
    equals(told);
    residences(told);
    bounds(told);
}

/// A person lives in one place and is new on one day; a request is one of an app, a day and a group, and mostly of
/// one scope.
fn parts(over: Over, measure: Measure) -> Parts {
    match (over, measure) {
        (Over::NewOfDays | Over::Residences, _) => Parts::Apart,
        (_, Measure::Groups) => Parts::Overlapping,
        (_, measure) if measure.is_people() => Parts::Overlapping,
        _ => Parts::Apart,
    }
}

/// A part is a part of what is larger: a scope of all, an app of its developer.
fn by_place(told: &Told, pairs: &mut Pairs, figure: Figure, key: &Key) {
    if matches!(key.part, Part::Group(_) | Part::Rest) {
        return;
    }
    let at = |place| told.find(place, key.part, key.measure);
    // Days and residences are not told of developers.
    let with_developers = matches!(key.part, Part::Window(_));
    let developer = |app: &Option<Name>| told.developers.get(app).copied().flatten();
    match key.place {
        Place::Scope(_) => pairs.add(at(Place::All), Over::Scopes, figure),
        Place::App(app) => {
            pairs.add(at(Place::All), Over::Apps, figure);
            match developer(&app) {
                Some(developer) => pairs.add(at(Place::Developer(developer)), Over::Apps, figure),
                None if with_developers => pairs.add(at(Place::All), Over::Developers, figure),
                None => {}
            }
        }
        Place::Developer(_) => pairs.add(at(Place::All), Over::Developers, figure),
        Place::ScopeApp(scope, app) => {
            pairs.add(at(Place::Scope(scope)), Over::Apps, figure);
            pairs.add(at(Place::App(app)), Over::Scopes, figure);
            match developer(&app) {
                Some(developer) => {
                    pairs.add(at(Place::ScopeDeveloper(scope, developer)), Over::Apps, figure);
                }
                None if with_developers => {
                    pairs.add(at(Place::Scope(scope)), Over::Developers, figure);
                }
                None => {}
            }
        }
        Place::ScopeDeveloper(scope, developer) => {
            pairs.add(at(Place::Scope(scope)), Over::Developers, figure);
            pairs.add(at(Place::Developer(developer)), Over::Scopes, figure);
        }
        Place::All | Place::Promise(_) => {}
    }
}

/// Which windows a day lies in.
struct Days {
    lookback_from: i64,
    /// Promises by what they are about: row and moment.
    promises: HashMap<Place, Vec<(u32, i64)>>,
}

impl Days {
    fn new(told: &Told, lookback_from: i64) -> Self {
        let mut promises: HashMap<Place, Vec<(u32, i64)>> = HashMap::new();
        for (row, promise) in (0..).zip(&told.promises) {
            if let Some(at) = promise.at {
                promises.entry(promise.place).or_default().push((row, at));
            }
        }
        Self { lookback_from, promises }
    }

    /// A day is a part of every window that it meets.
    fn parents(&self, told: &Told, pairs: &mut Pairs, figure: Figure, key: &Key) {
        let Part::Day(day) = key.part else { return };
        let at = |window| told.find(key.place, Part::Window(window), key.measure);
        match key.measure {
            Measure::New => {
                let all = told.find(key.place, AFTER, Measure::Subjects);
                return pairs.add(all, Over::NewOfDays, figure);
            }
            Measure::Subjects | Measure::Requests => {}
            _ => return,
        }
        let from = i64::from(day).saturating_mul(DAY_MICROS);
        let to = from.saturating_add(DAY_MICROS);
        pairs.add(at(Window::AfterRestriction), Over::Days, figure);
        if to > self.lookback_from {
            pairs.add(at(Window::Lookback), Over::Days, figure);
        }
        let grace = match key.place {
            Place::ScopeApp(scope, app) => told.graces.get(&(scope, app)).copied(),
            _ => None,
        };
        if let Some(grace) = grace {
            if from < grace {
                pairs.add(at(Window::InGrace), Over::Days, figure);
            }
            if to > grace {
                pairs.add(at(Window::AfterGrace), Over::Days, figure);
            }
        }
        for (row, promised) in self.promises.get(&key.place).into_iter().flatten() {
            if to > *promised {
                let part = Part::Window(Window::AfterAttestation);
                let promise = told.find(Place::Promise(*row), part, key.measure);
                pairs.add(promise, Over::Days, figure);
            }
        }
    }
}

/// What came after the restriction came within grace or after it.
fn grace(told: &mut Told) {
    let mut sums = Vec::new();
    for (figure, key) in (0..).zip(&told.keys) {
        if key.part != AFTER {
            continue;
        }
        let parts = [Window::InGrace, Window::AfterGrace]
            .map(|window| told.find(key.place, Part::Window(window), key.measure));
        if let [Some(within), Some(after)] = parts {
            let parts = match key.measure.is_people() {
                true => Parts::Overlapping,
                false => Parts::Apart,
            };
            sums.push((figure, [within, after], parts));
        }
    }
    for (parent, children, parts) in sums {
        told.figures.sum(parent, &children, parts);
    }
}

/// Figures of one row that are equal: a reader may know that they must be, because a window holds all
/// that happened, actors are the subjects, or nobody new is among the members.
fn equals(told: &mut Told) {
    let mut known: Vec<(Place, Option<Part>, bool, i64, Figure)> = Vec::new();
    let mut first_days: HashMap<Place, (i32, Figure)> = HashMap::new();
    for (figure, key) in (0..).zip(&told.keys) {
        let value = told.figures.value(figure);
        let is_people = key.measure.is_people();
        match (key.part, key.measure) {
            (Part::Window(_), Measure::Groups) => {
                known.push((key.place, Some(Part::Rest), is_people, value, figure));
            }
            (Part::Window(_), measure) if is_people || measure == Measure::Requests => {
                let promise = match key.place {
                    Place::Promise(row) => usize::try_from(row).ok(),
                    _ => None,
                };
                let promise = promise.and_then(|row| told.promises.get(row));
                let place = promise.map_or(key.place, |promise| promise.place);
                known.push((place, None, is_people, value, figure));
            }
            (Part::Residence(_) | Part::Residences(_), _) => {
                known.push((key.place, Some(key.part), is_people, value, figure));
            }
            (Part::Day(day), Measure::New) => {
                let first = first_days.entry(key.place).or_insert((day, figure));
                *first = (*first).min((day, figure));
            }
            _ => {}
        }
    }
    known.retain(|known| known.3 > 0);
    known.sort_unstable();
    for pair in known.windows(2) {
        let [a, b] = pair else { continue };
        if (a.0, a.1, a.2, a.3) == (b.0, b.1, b.2, b.3) {
            told.figures.same(a.4, b.4);
        }
    }
    // On the first day everybody is new.
    let mut first: Vec<_> = first_days.into_iter().collect();
    first.sort_unstable();
    for (place, (day, new)) in first {
        if let Some(people) = told.find(place, Part::Day(day), Measure::Subjects) {
            told.figures.same(people, new);
        }
    }
}

/// Residences, and the people who live there.
type Counted = (BTreeSet<u32>, Figure);

/// Rules count people of several residences: what one counts beyond another are people of some residences.
fn residences(told: &mut Told) {
    let mut lived: HashMap<(Place, Measure), HashMap<u32, Figure>> = HashMap::new();
    let mut sets: HashMap<(Place, Measure), Vec<Counted>> = HashMap::new();
    for (figure, key) in (0..).zip(&told.keys) {
        if let Part::Residence(code) = key.part
            && told.figures.value(figure) > 0
        {
            lived.entry((key.place, key.measure)).or_default().insert(code, figure);
        }
    }
    for (figure, key) in (0..).zip(&told.keys) {
        let Part::Residences(set) = key.part else { continue };
        let of = (key.place, key.measure);
        let set = usize::try_from(set).ok().and_then(|set| told.sets.get(set));
        let lived = lived.get(&of);
        let there = |code: &&u32| lived.is_some_and(|lived| lived.contains_key(code));
        let set: BTreeSet<u32> = set.into_iter().flatten().filter(there).copied().collect();
        sets.entry(of).or_default().push((set, figure));
    }
    let mut each: Vec<_> = sets.into_iter().collect();
    each.sort_unstable_by_key(|(of, _)| *of);
    for (of, mut sets) in each {
        let Some(lived) = lived.get(&of) else { continue };
        if let Some(all) = told.find(of.0, AFTER, of.1) {
            sets.push((lived.keys().copied().collect(), all));
        }
        for (larger, parent) in &sets {
            let figures = |codes: &mut dyn Iterator<Item = &u32>| -> Vec<Figure> {
                codes.filter_map(|code| lived.get(code).copied()).collect()
            };
            let children = figures(&mut larger.iter());
            told.figures.sum(*parent, &children, Parts::Apart);
            for (smaller, part) in sets.iter().filter(|(set, _)| set.is_subset(larger)) {
                if part == parent || smaller.is_empty() {
                    continue;
                }
                let mut children = figures(&mut larger.difference(smaller));
                children.push(*part);
                told.figures.sum(*parent, &children, Parts::Apart);
            }
        }
    }
}

/// Few people are behind few events: where the people of a row are masked, its small counts of events are.
fn bounds(told: &mut Told) {
    let mut bounds = Vec::new();
    for (figure, key) in (0..).zip(&told.keys).filter(|(_, key)| !key.measure.is_people()) {
        // Those of the window, and those of the whole row.
        for part in [key.part, AFTER] {
            if part == AFTER && !matches!(key.part, Part::Window(_)) {
                continue;
            }
            if let Some(people) = told.find(key.place, part, Measure::Subjects) {
                bounds.push((people, figure));
            }
        }
    }
    for (people, events) in bounds {
        told.figures.bound(people, events);
    }
}
