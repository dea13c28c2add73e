//! Which figure a cell of a table is. The same figure stands in several tables: it is masked in all of them
//! or in none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{
    Array, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::record_batch::RecordBatch;

use super::solve::{Figure, Figures};
use crate::exposure::Window;
use crate::impact::{ImpactError, Table};
use crate::registry::Threshold;

/// The number of a name.
pub type Name = u32;

/// No figure: the cell is null, or no count.
pub const NONE: Figure = Figure::MAX;

/// Whose figure it is. An app is `None` for events that name none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    All,
    Scope(Name),
    App(Option<Name>),
    Developer(Name),
    ScopeApp(Name, Option<Name>),
    ScopeDeveloper(Name, Name),
    /// A row of `deletion_verification`.
    Promise(u32),
}

/// Which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Window(Window),
    Day(i32),
    Residence(u32),
    /// Several residences, by the number of their set.
    Residences(u32),
    /// A row of `groups_exposed`.
    Group(u32),
    /// Groups that are not listed.
    Rest,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    Subjects,
    UpperBound,
    Actors,
    New,
    Members,
    Requests,
    Denied,
    Unknown,
    HeldOnly,
    Groups,
    Records,
}

impl Measure {
    pub fn is_people(self) -> bool {
        use Measure::{Actors, Members, New, Subjects, UpperBound};
        matches!(self, Subjects | UpperBound | Actors | New | Members)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub place: Place,
    pub part: Part,
    pub measure: Measure,
}

/// A column with counts: its name, its window (else the part is that of the row), what it counts.
type Counts = (&'static str, Option<Window>, Measure);

const EXPOSURE: &[Counts] = {
    use Measure::*;
    use Window::*;
    &[
        ("subjects_observed", Some(AfterRestriction), Subjects),
        ("subjects_upper_bound", Some(AfterRestriction), UpperBound),
        ("actors", Some(AfterRestriction), Actors),
        ("requests_allowed", Some(AfterRestriction), Requests),
        ("requests_denied", Some(AfterRestriction), Denied),
        ("requests_unknown", Some(AfterRestriction), Unknown),
        ("requests_held_only", Some(AfterRestriction), HeldOnly),
        ("groups", Some(AfterRestriction), Groups),
        ("records", Some(AfterRestriction), Records),
        ("subjects_in_grace", Some(InGrace), Subjects),
        ("subjects_upper_bound_in_grace", Some(InGrace), UpperBound),
        ("requests_in_grace", Some(InGrace), Requests),
        ("subjects_after_grace", Some(AfterGrace), Subjects),
        ("subjects_upper_bound_after_grace", Some(AfterGrace), UpperBound),
        ("requests_after_grace", Some(AfterGrace), Requests),
        ("subjects_in_brownout", Some(InBrownout), Subjects),
        ("subjects_upper_bound_in_brownout", Some(InBrownout), UpperBound),
        ("requests_in_brownout", Some(InBrownout), Requests),
        ("subjects_after_revocation", Some(AfterRevocation), Subjects),
        ("subjects_upper_bound_after_revocation", Some(AfterRevocation), UpperBound),
        ("requests_after_revocation", Some(AfterRevocation), Requests),
        ("subjects_after_attestation", Some(AfterAttestation), Subjects),
        ("subjects_upper_bound_after_attestation", Some(AfterAttestation), UpperBound),
        ("requests_after_attestation", Some(AfterAttestation), Requests),
        ("subjects_lookback", Some(Lookback), Subjects),
        ("subjects_upper_bound_lookback", Some(Lookback), UpperBound),
        ("requests_lookback", Some(Lookback), Requests),
        ("groups_lookback", Some(Lookback), Groups),
    ]
};
const RESIDENTS: &[Counts] = &[
    ("subjects_observed", None, Measure::Subjects),
    ("subjects_upper_bound", None, Measure::UpperBound),
];
/// `subjects_cumulative` is made of `subjects_new`: see [`super::series`].
const DAYS: &[Counts] = &[
    ("subjects_observed", None, Measure::Subjects),
    ("subjects_new", None, Measure::New),
    ("requests_allowed", None, Measure::Requests),
];
/// Its `groups` is 1, or the number of those that are not listed, of whom no people are told.
const GROUPS: &[Counts] = &[
    ("subjects_observed", None, Measure::Subjects),
    ("members_then", None, Measure::Members),
    ("requests_allowed", None, Measure::Requests),
];
const PROMISES: &[Counts] = &[
    ("subjects_after", Some(Window::AfterAttestation), Measure::Subjects),
    ("subjects_upper_bound_after", Some(Window::AfterAttestation), Measure::UpperBound),
    ("requests_after", Some(Window::AfterAttestation), Measure::Requests),
    ("requests_denied_after", Some(Window::AfterAttestation), Measure::Denied),
    ("requests_unknown_after", Some(Window::AfterAttestation), Measure::Unknown),
    ("groups_after", Some(Window::AfterAttestation), Measure::Groups),
];
const FINDINGS: &[Counts] = &[
    ("subjects_observed", None, Measure::Subjects),
    ("subjects_upper_bound", None, Measure::UpperBound),
    ("requests_allowed", None, Measure::Requests),
    ("groups", None, Measure::Groups),
];
const RULES: &[Counts] = &[
    ("subjects_observed", None, Measure::Subjects),
    ("subjects_upper_bound", None, Measure::UpperBound),
    ("subjects_observed_unplaced", None, Measure::Subjects),
    ("subjects_upper_bound_unplaced", None, Measure::UpperBound),
];

/// The columns of a table that hold counts of people, or of events that would bound them.
pub fn counts(table: &str) -> &'static [Counts] {
    match table {
        "scope_summary" | "app_scope_exposure" | "developer_exposure" | "data_categories" => {
            EXPOSURE
        }
        "subjects_by_jurisdiction" => RESIDENTS,
        "daily_timeline" => DAYS,
        "groups_exposed" => GROUPS,
        "deletion_verification" => PROMISES,
        "findings" => FINDINGS,
        "thresholds" => RULES,
        _ => &[],
    }
}

/// What a promise is about.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub place: Place,
    /// When it was given, in microseconds.
    pub at: Option<i64>,
}

/// Country and subdivision.
type Residence = (Option<String>, Option<String>);

/// All figures of a run, found by what they are.
#[derive(Default)]
pub struct Told {
    pub figures: Figures,
    /// By figure.
    pub keys: Vec<Key>,
    found: HashMap<Key, Figure>,
    names: HashMap<String, Name>,
    /// The developer of each app, where it is known.
    pub developers: HashMap<Option<Name>, Option<Name>>,
    /// End of grace of scope and app, in microseconds.
    pub graces: HashMap<(Name, Option<Name>), i64>,
    /// By row of their table.
    pub promises: Vec<Promise>,
    residences: Vec<Residence>,
    residence_codes: HashMap<[Option<String>; 4], u32>,
    /// Sets of residences.
    pub sets: Vec<BTreeSet<u32>>,
    /// For each table, its columns with counts and the figures in them.
    pub cells: BTreeMap<String, Vec<(&'static str, Vec<Figure>)>>,
}

/// Columns of a table by their types.
pub struct Columns<'a>(pub &'a RecordBatch);

impl<'a> Columns<'a> {
    fn of<A: Array + 'static>(&self, name: &str) -> Option<&'a A> {
        self.0.column_by_name(name)?.as_any().downcast_ref()
    }

    pub fn texts(&self, name: &str) -> impl Fn(usize) -> Option<&'a str> + use<'a> {
        let array = self.of::<StringArray>(name);
        move |row| array.filter(|a| row < a.len() && a.is_valid(row)).map(|a| a.value(row))
    }

    pub fn ints(&self, name: &str) -> impl Fn(usize) -> Option<i64> + use<'a> {
        let array = self.of::<Int64Array>(name);
        move |row| array.filter(|a| row < a.len() && a.is_valid(row)).map(|a| a.value(row))
    }

    pub fn flags(&self, name: &str) -> impl Fn(usize) -> Option<bool> + use<'a> {
        let array = self.of::<BooleanArray>(name);
        move |row| array.filter(|a| row < a.len() && a.is_valid(row)).map(|a| a.value(row))
    }

    fn times(&self, name: &str) -> impl Fn(usize) -> Option<i64> + use<'a> {
        let array = self.of::<TimestampMicrosecondArray>(name);
        move |row| array.filter(|a| row < a.len() && a.is_valid(row)).map(|a| a.value(row))
    }

    fn days(&self, name: &str) -> impl Fn(usize) -> Option<i32> + use<'a> {
        let array = self.of::<Date32Array>(name);
        move |row| array.filter(|a| row < a.len() && a.is_valid(row)).map(|a| a.value(row))
    }
}

impl Told {
    /// Takes the figures of a table. Tables come in the order of their numbers.
    ///
    /// # Errors
    /// Where two tables differ in a figure that is one.
    pub fn take(&mut self, table: &Table, thresholds: &[Threshold]) -> Result<(), ImpactError> {
        let columns = Columns(&table.batch);
        let rows = table.batch.num_rows();
        let counted = counts(&table.name);
        if counted.is_empty() {
            return Ok(());
        }
        let places = self.places(&columns, rows);
        if table.name == "app_scope_exposure" {
            self.learn_apps(&columns, &places);
        }
        if table.name == "deletion_verification" {
            let at = columns.times("attested_at");
            self.promises = places
                .iter()
                .zip(0..)
                .map(|(place, row)| Promise { place: *place, at: at(row) })
                .collect();
        }
        let parts = self.parts(&table.name, &columns, rows, thresholds);
        let mut cells = Vec::new();
        for (name, window, measure) in counted {
            if table.batch.column_by_name(name).is_none() {
                continue;
            }
            let values = columns.ints(name);
            let mut figures = Vec::with_capacity(rows);
            for (row, place) in places.iter().enumerate() {
                let part = window.map(Part::Window).or_else(|| {
                    let (part, unplaced) = parts.get(row).copied()?;
                    if name.ends_with("_unplaced") { unplaced } else { part }
                });
                let place = match table.name.as_str() {
                    "deletion_verification" => {
                        Place::Promise(u32::try_from(row).unwrap_or(u32::MAX))
                    }
                    _ => *place,
                };
                figures.push(match (values(row), part) {
                    (Some(value), Some(part)) => {
                        let key = Key { place, part, measure: *measure };
                        self.figure(key, value).ok_or_else(|| ImpactError::TwoFigures {
                            table: table.name.clone(),
                            column: (*name).to_string(),
                        })?
                    }
                    _ => NONE,
                });
            }
            cells.push((*name, figures));
        }
        self.cells.insert(table.name.clone(), cells);
        Ok(())
    }

    /// The figure that is this.
    pub fn find(&self, place: Place, part: Part, measure: Measure) -> Option<Figure> {
        self.found.get(&Key { place, part, measure }).copied()
    }

    /// `None` where it was told with another value.
    fn figure(&mut self, key: Key, value: i64) -> Option<Figure> {
        if let Some(found) = self.found.get(&key) {
            return (self.figures.value(*found) == value).then_some(*found);
        }
        // Of groups that are not listed no people are told: few requests would bound them all the same.
        let is_people = key.measure.is_people() || key.part == Part::Rest;
        let figure = self.figures.add(value, is_people);
        self.found.insert(key, figure);
        self.keys.push(key);
        Some(figure)
    }

    fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.names.get(text) {
            return *name;
        }
        let name = Name::try_from(self.names.len()).unwrap_or(Name::MAX);
        self.names.insert(text.to_string(), name);
        name
    }

    /// What each row is about, by its grain.
    pub fn places(&mut self, columns: &Columns<'_>, rows: usize) -> Vec<Place> {
        let (grain, scope) = (columns.texts("grain"), columns.texts("scope"));
        let (app, developer) = (columns.texts("app_id"), columns.texts("developer_id"));
        let mut places = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut named = |text: Option<&str>| text.map(|text| self.name(text));
            let grain = grain(row).unwrap_or_default();
            let all = scope(row) == Some("(all)");
            places.push(match grain {
                "scope_app" => Place::ScopeApp(named(scope(row)).unwrap_or(NONE), named(app(row))),
                "app" => Place::App(named(app(row))),
                // A promise about all scopes.
                "attestation" if all => Place::App(named(app(row))),
                "attestation" => {
                    Place::ScopeApp(named(scope(row)).unwrap_or(NONE), named(app(row)))
                }
                "developer" => Place::Developer(named(developer(row)).unwrap_or(NONE)),
                "scope_developer" => Place::ScopeDeveloper(
                    named(scope(row)).unwrap_or(NONE),
                    named(developer(row)).unwrap_or(NONE),
                ),
                "all" => Place::All,
                _ => Place::Scope(named(scope(row)).unwrap_or(NONE)),
            });
        }
        places
    }

    fn learn_apps(&mut self, columns: &Columns<'_>, places: &[Place]) {
        let (developer, grace) = (columns.texts("developer_id"), columns.times("grace_until"));
        for (row, place) in places.iter().enumerate() {
            match *place {
                Place::App(app) => {
                    let developer = developer(row).map(|developer| self.name(developer));
                    self.developers.insert(app, developer);
                }
                Place::ScopeApp(scope, app) => {
                    if let Some(grace) = grace(row) {
                        self.graces.insert((scope, app), grace);
                    }
                }
                _ => {}
            }
        }
    }

    /// Which part of its place each row tells, and which part its unplaced people are.
    fn parts(
        &mut self,
        table: &str,
        columns: &Columns<'_>,
        rows: usize,
        thresholds: &[Threshold],
    ) -> Vec<(Option<Part>, Option<Part>)> {
        let number = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
        let plain =
            |of: &dyn Fn(usize) -> Option<Part>| (0..rows).map(|row| (of(row), None)).collect();
        match table {
            "daily_timeline" => {
                let day = columns.days("day");
                plain(&|row| day(row).map(Part::Day))
            }
            "findings" => {
                let finding = columns.texts("finding");
                plain(&|row| {
                    let name = finding(row)?;
                    // Use without a grant is looked at over the whole time.
                    let window = Window::ALL.into_iter().find(|window| window.name() == name);
                    Some(Part::Window(window.unwrap_or(Window::AfterRestriction)))
                })
            }
            "groups_exposed" => {
                let grain = columns.texts("grain");
                plain(&|row| match grain(row) {
                    Some("scope_rest") => Some(Part::Rest),
                    _ => Some(Part::Group(number(row))),
                })
            }
            "subjects_by_jurisdiction" => {
                let known = columns.flags("is_known");
                let (country, part) = (columns.texts("country"), columns.texts("subdivision"));
                let category = columns.texts("category");
                let owned = |text: Option<&str>| text.map(String::from);
                (0..rows)
                    .map(|row| {
                        let known = known(row).unwrap_or(false).then(|| "known".to_string());
                        let place = (owned(country(row)), owned(part(row)));
                        let code = [known, place.0.clone(), place.1.clone(), owned(category(row))];
                        let next = number(self.residences.len());
                        let code = *self.residence_codes.entry(code).or_insert(next);
                        if code == next {
                            self.residences.push(place);
                        }
                        (Some(Part::Residence(code)), None)
                    })
                    .collect()
            }
            "thresholds" => self.rules(columns, rows, thresholds),
            _ => Vec::new(),
        }
    }

    /// The residences that each rule counts, and those of people who may live where it counts.
    fn rules(
        &mut self,
        columns: &Columns<'_>,
        rows: usize,
        thresholds: &[Threshold],
    ) -> Vec<(Option<Part>, Option<Part>)> {
        let (regime, jurisdiction) = (columns.texts("regime"), columns.texts("jurisdiction"));
        let mut parts = Vec::with_capacity(rows);
        for row in 0..rows {
            let rule = thresholds.iter().find(|rule| {
                regime(row) == Some(&crate::impact::escaped(&rule.regime))
                    && jurisdiction(row) == Some(rule.jurisdiction.as_str())
            });
            let Some(rule) = rule else {
                parts.push((None, None));
                continue;
            };
            if rule.places.is_none() {
                // Everybody, wherever they live.
                let unplaced = self.set(BTreeSet::new());
                parts.push((Some(Part::Window(Window::AfterRestriction)), Some(unplaced)));
                continue;
            }
            let (mut covered, mut unplaced) = (BTreeSet::new(), BTreeSet::new());
            for (code, (country, subdivision)) in (0..).zip(&self.residences) {
                let (country, subdivision) = (country.as_deref(), subdivision.as_deref());
                if rule.covers(country, subdivision) {
                    covered.insert(code);
                } else if rule.may_cover(country, subdivision) {
                    unplaced.insert(code);
                }
            }
            parts.push((Some(self.set(covered)), Some(self.set(unplaced))));
        }
        parts
    }

    /// People of several residences. Those of one, and those of all, are figures that stand elsewhere, too.
    fn set(&mut self, set: BTreeSet<u32>) -> Part {
        if let (1, Some(code)) = (set.len(), set.first()) {
            return Part::Residence(*code);
        }
        if !set.is_empty() && set.len() == self.residences.len() {
            return Part::Window(Window::AfterRestriction);
        }
        let found = self.sets.iter().position(|known| *known == set);
        let number = found.unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        Part::Residences(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impact::built_in;

    /// The threshold itself is no count, `subjects_cumulative` follows `subjects_new`.
    const APART: [(&str, &str); 2] =
        [("thresholds", "number"), ("daily_timeline", "subjects_cumulative")];

    #[test]
    fn every_column_of_people_is_a_figure() {
        let mut seen = 0;
        for spec in built_in().unwrap().into_iter().filter_map(|query| query.spec) {
            for column in spec.columns.iter().filter(|column| column.unit == "people") {
                let name = (spec.name.as_str(), column.name.as_str());
                let known = counts(name.0).iter().any(|(known, ..)| *known == name.1);
                assert!(known || APART.contains(&name), "{name:?} would be told unmasked");
                seen += 1;
            }
        }
        assert!(seen > 30, "{seen}");
    }

    #[test]
    fn every_column_of_requests_is_a_figure() {
        for spec in built_in().unwrap().into_iter().filter_map(|query| query.spec) {
            for column in spec.columns.iter().filter(|column| column.unit == "requests") {
                let known = counts(&spec.name).iter().any(|(known, ..)| *known == column.name);
                assert!(known, "{}.{}", spec.name, column.name);
            }
        }
    }
}
