//! True answers, counted with plain sets while the rows are made: nothing of the engine is used.
//!
//! Calls are counted by scope and app; what is coarser is the union of these sets, made at the end.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::people::{self, Membership, Rule};
use crate::moment::DAY_MICROS;

/// One call, before it becomes a row.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub scope: &'a str,
    pub app: &'a str,
    pub micros: i64,
    pub person: Option<i64>,
    pub group: Option<i64>,
    pub bytes: i64,
    pub allowed: bool,
    pub in_grace: bool,
    pub in_brownout: bool,
    pub after_revocation: bool,
    pub after_attestation: bool,
}

/// What is known of the story beside its calls.
pub struct Facts {
    pub restricted: i64,
    pub as_of: i64,
    pub lookback_from: i64,
    /// Days with a log: [first, end) but for the lost one.
    pub first_day: i64,
    pub end_day: i64,
    pub lost_day: i64,
    /// When what starts a deadline's clock happened.
    pub clocks: BTreeMap<&'static str, i64>,
    pub scopes: Vec<Scope>,
    /// Apps of the registry, by id.
    pub apps: BTreeMap<String, App>,
    /// Ends of grace, the same for all scopes of an app.
    pub graces: BTreeMap<String, i64>,
    pub grants: Vec<Granted>,
    pub promises: Vec<Promise>,
    pub rules: Vec<Rule>,
}

pub struct Scope {
    pub name: &'static str,
    pub categories: Vec<&'static str>,
    /// Those of them that are special.
    pub special: Vec<&'static str>,
}

pub struct App {
    pub name: String,
    pub developer: String,
    pub developer_name: String,
}

/// An app may use a scope in [from, to).
pub struct Granted {
    pub app: String,
    pub scope: &'static str,
    pub from: i64,
    pub to: Option<i64>,
}

pub struct Promise {
    pub app: String,
    /// None where it is about all of them.
    pub scope: Option<&'static str>,
    pub asked: i64,
    pub given: Option<i64>,
    pub statement: &'static str,
}

impl Promise {
    pub fn covers(&self, scope: &str) -> bool {
        self.scope.is_none_or(|own| own == scope)
    }
}

/// Allowed calls.
#[derive(Clone, Default)]
pub struct Measures {
    pub requests: u64,
    pub bytes: i64,
    pub people: HashSet<i64>,
    /// With members of the groups that were read.
    pub reached: HashSet<i64>,
    /// Calls that name nobody, and no group that had a member then.
    pub nameless: u64,
    pub groups: HashSet<i64>,
    pub days: HashSet<i64>,
    pub first: Option<i64>,
    pub last: Option<i64>,
}

impl Measures {
    fn add(&mut self, call: &Call<'_>, members: &[i64]) {
        self.requests += 1;
        self.bytes += call.bytes;
        self.people.extend(call.person);
        self.reached.extend(call.person);
        self.reached.extend(members);
        self.nameless += u64::from(call.person.is_none() && members.is_empty());
        self.groups.extend(call.group);
        self.days.insert(call.micros.div_euclid(DAY_MICROS));
        self.spans(Some(call.micros), Some(call.micros));
    }

    fn spans(&mut self, first: Option<i64>, last: Option<i64>) {
        self.first = [self.first, first].into_iter().flatten().min();
        self.last = self.last.max(last);
    }

    fn unite(&mut self, other: &Self) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.people.extend(&other.people);
        self.reached.extend(&other.reached);
        self.nameless += other.nameless;
        self.groups.extend(&other.groups);
        self.days.extend(&other.days);
        self.spans(other.first, other.last);
    }
}

/// Calls of an app in a scope, or of several.
#[derive(Clone, Default)]
pub struct Cell {
    pub denied: u64,
    pub all: Measures,
    pub in_grace: Measures,
    pub after_grace: Measures,
    pub in_brownout: Measures,
    pub after_revocation: Measures,
    pub after_attestation: Measures,
    pub lookback: Measures,
    /// Calls that name a person.
    pub naming: u64,
}

impl Cell {
    fn add(&mut self, call: &Call<'_>, members: &[i64], lookback_from: i64) {
        if !call.allowed {
            self.denied += 1;
            return;
        }
        self.naming += u64::from(call.person.is_some());
        let windows = [
            (&mut self.all, true),
            (&mut self.in_grace, call.in_grace),
            (&mut self.after_grace, !call.in_grace),
            (&mut self.in_brownout, call.in_brownout),
            (&mut self.after_revocation, call.after_revocation),
            (&mut self.after_attestation, call.after_attestation),
            (&mut self.lookback, call.micros >= lookback_from),
        ];
        for (measures, _) in windows.into_iter().filter(|(_, falls)| *falls) {
            measures.add(call, members);
        }
    }

    fn unite(&mut self, other: &Self) {
        self.denied += other.denied;
        self.naming += other.naming;
        let pairs = [
            (&mut self.all, &other.all),
            (&mut self.in_grace, &other.in_grace),
            (&mut self.after_grace, &other.after_grace),
            (&mut self.in_brownout, &other.in_brownout),
            (&mut self.after_revocation, &other.after_revocation),
            (&mut self.after_attestation, &other.after_attestation),
            (&mut self.lookback, &other.lookback),
        ];
        for (own, other) in pairs {
            own.unite(other);
        }
    }
}

/// What was read of a group through a scope.
#[derive(Default)]
pub struct GroupRead {
    pub requests: u64,
    pub people: HashSet<i64>,
    /// Members at a moment at which it was read.
    pub members: HashSet<i64>,
    pub apps: BTreeSet<String>,
    pub first: Option<i64>,
    pub last: Option<i64>,
}

#[derive(Default)]
pub struct Day {
    pub requests: u64,
    pub people: HashSet<i64>,
}

/// Where the rows of one day's file belong.
#[derive(Clone, Copy, Default)]
pub struct FileRows {
    pub outside: u64,
    pub repeated: u64,
    pub denied: u64,
    pub counted: u64,
}

impl FileRows {
    /// Whether one of the rows matters.
    pub fn any_inside(&self) -> bool {
        self.repeated + self.denied + self.counted > 0
    }
}

/// Everything that was counted.
pub struct Truth {
    pub facts: Facts,
    members: BTreeMap<i64, Vec<Membership>>,
    /// By scope and app.
    pub cells: BTreeMap<(String, String), Cell>,
    /// By scope and group.
    pub groups: BTreeMap<(String, i64), GroupRead>,
    /// By scope and day.
    pub days: BTreeMap<(String, i64), Day>,
    pub files: BTreeMap<i64, FileRows>,
    /// What came after each promise, in the order of the facts.
    pub after: Vec<Cell>,
}

impl Truth {
    pub fn new(facts: Facts) -> Self {
        let after = facts.promises.iter().map(|_| Cell::default()).collect();
        Self {
            facts,
            members: people::by_group(),
            cells: BTreeMap::new(),
            groups: BTreeMap::new(),
            days: BTreeMap::new(),
            files: BTreeMap::new(),
            after,
        }
    }

    /// A call of a restricted scope, with a row in the file of `day`.
    pub fn count(&mut self, call: &Call<'_>, day: i64) {
        let rows = self.files.entry(day).or_default();
        *(if call.allowed { &mut rows.counted } else { &mut rows.denied }) += 1;
        let of_group = call.group.and_then(|group| self.members.get(&group)).into_iter().flatten();
        let members: Vec<i64> =
            of_group.filter(|m| m.holds(call.micros)).map(|m| m.subject).collect();
        let lookback_from = self.facts.lookback_from;
        for (promise, after) in self.facts.promises.iter().zip(&mut self.after) {
            let since = promise.given.is_some_and(|given| given <= call.micros);
            if since && promise.app == call.app && promise.covers(call.scope) {
                after.add(call, &members, lookback_from);
            }
        }
        let cell = self.cells.entry((call.scope.into(), call.app.into())).or_default();
        cell.add(call, &members, lookback_from);
        if !call.allowed {
            return;
        }
        let on = call.micros.div_euclid(DAY_MICROS);
        let of_day = self.days.entry((call.scope.into(), on)).or_default();
        of_day.requests += 1;
        of_day.people.extend(call.person);
        if let Some(group) = call.group {
            let read = self.groups.entry((call.scope.into(), group)).or_default();
            read.requests += 1;
            read.people.extend(call.person);
            read.members.extend(&members);
            if !read.apps.contains(call.app) {
                read.apps.insert(call.app.into());
            }
            read.first = Some(read.first.map_or(call.micros, |first| first.min(call.micros)));
            read.last = read.last.max(Some(call.micros));
        }
    }

    /// A second row of a call.
    pub fn repeat(&mut self, day: i64) {
        self.files.entry(day).or_default().repeated += 1;
    }

    /// A row of a scope that nobody restricted.
    pub fn outside(&mut self, day: i64) {
        self.files.entry(day).or_default().outside += 1;
    }

    /// All calls of the cells that fit, as one.
    pub fn union(&self, fits: impl Fn(&str, &str) -> bool) -> Cell {
        let mut all = Cell::default();
        for ((scope, app), cell) in &self.cells {
            if fits(scope, app) {
                all.unite(cell);
            }
        }
        all
    }

    /// Everybody whom a call names.
    pub fn people(&self) -> impl Iterator<Item = i64> + '_ {
        self.cells.values().flat_map(|cell| cell.all.people.iter().copied())
    }
}
