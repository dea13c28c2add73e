//! The groups that are listed: the first of each scope by people, and how many there are beside.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::ExposureError;
use super::group_ids::{GroupId, GroupIds, halves, own_id};
use super::totals::add;
use crate::key::Key;
use crate::memory::Budget;

/// A group that was reached through a scope. There may be very many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Index of the scope.
    pub scope: u32,
    /// Index of the group namespace.
    pub space: u32,
    /// As the log has it. A short one needs no memory of its own.
    pub id: CompactString,
    /// Its number among the groups with members; `None` where it has none, or nothing is known.
    pub number: Option<u32>,
    /// People who were members when it was read; `None` without memberships.
    pub members: Option<u64>,
    pub apps: u64,
    pub subjects: u64,
    pub requests: i64,
    /// Microseconds.
    pub first: i64,
    pub last: i64,
}

/// All groups of a scope beyond those listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestGroups {
    pub groups: u64,
    pub requests: i64,
}

/// What is kept of a group that may be listed, until all are met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub key: Key,
    /// Index of the group namespace.
    pub space: u32,
    /// As [`GroupRow::number`].
    pub number: Option<u32>,
    pub apps: u64,
    pub subjects: u64,
    pub requests: i64,
    /// Microseconds.
    pub first: i64,
    pub last: i64,
}

/// A group that may be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    id: GroupId,
    met: Met,
}

/// Most people first, ties by id.
pub type Rank<'a> = (Reverse<u64>, (u128, &'a str), u32);

impl Candidate {
    #[cfg(test)]
    pub fn new(id: &str, met: Met) -> Self {
        Self { id: GroupId::new(id), met }
    }

    #[cfg(test)]
    pub fn requests(&self) -> i64 {
        self.met.requests
    }

    #[cfg(test)]
    pub fn met(&self) -> &Met {
        &self.met
    }

    /// What tells it from others.
    pub fn name(&self) -> (u32, Key) {
        (self.met.space, self.met.key)
    }

    pub fn rank(&self) -> Rank<'_> {
        (Reverse(self.met.subjects), self.id.halves(), self.met.space)
    }

    /// By what they are listed.
    fn place(&self) -> (u32, &GroupId) {
        (self.met.space, &self.id)
    }

    fn row(&self, scope: u32) -> GroupRow {
        let Met { space, number, apps, subjects, requests, first, last, .. } = self.met;
        GroupRow {
            scope,
            id: self.id.text(),
            space,
            number,
            members: None,
            apps,
            subjects,
            requests,
            first,
            last,
        }
    }
}

/// A group as it is kept from one count to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptGroup {
    pub key: (u64, u64),
    /// Veiled, as in the ledger; empty where the key gives it back.
    pub id: Vec<u8>,
    pub space: u32,
    pub apps: u64,
    pub subjects: u64,
    pub requests: i64,
    pub first: i64,
    pub last: i64,
}

impl KeptGroup {
    pub fn of(group: &Candidate, ids: GroupIds<'_>) -> Self {
        let Met { key, space, apps, subjects, requests, first, last, .. } = group.met;
        let mut id = Vec::new();
        if !ids.keyer.gives_back(key, ids.kind(space)) {
            id = group.id.text().as_bytes().to_vec();
            ids.keyer.veil(key, &mut id);
        }
        Self { key: (key.hi, key.lo), id, space, apps, subjects, requests, first, last }
    }

    pub fn candidate(self, ids: GroupIds<'_>, text: &mut String) -> Candidate {
        let Self { key: (hi, lo), id, space, apps, subjects, requests, first, last } = self;
        let (key, kind) = (Key { hi, lo }, ids.kind(space));
        text.clear();
        let own = (!ids.keyer.gives_back(key, kind)).then_some(id.as_slice());
        own_id(ids.keyer, key, own, kind, text);
        let met = Met { key, space, number: None, apps, subjects, requests, first, last };
        Candidate { id: GroupId::new(text), met }
    }
}

/// The first groups of one scope by rank, and how many there are in all.
#[derive(Default)]
struct Top {
    /// At most [`room`] for the limit, in no order.
    rows: Vec<Candidate>,
    /// Once the limit was reached: the last of those that counted then. Whoever ranks after it is out.
    floor: Option<Candidate>,
    /// None is kept.
    only_counts: bool,
    all: RestGroups,
}

/// Which groups of each scope are kept while they are counted.
pub enum KeepGroups<'a> {
    /// So many, first by rank; `None` keeps all.
    First(Option<u64>),
    /// Those that do not rank after the floor, by scope.
    Above(&'a [Floor]),
}

/// The last group by rank of those of a scope that are looked for.
#[derive(Clone, Debug)]
pub enum Floor {
    /// All are.
    None,
    At(Candidate),
    /// None is.
    Top,
}

impl Floor {
    #[cfg(test)]
    pub fn holds(&self, group: &Candidate) -> bool {
        match self {
            Self::None => true,
            Self::At(floor) => group.rank() <= floor.rank(),
            Self::Top => false,
        }
    }
}

/// Groups that are held at once to find the first `limit`: each thread holds as many of each scope. With more of
/// them fewer looks for the last one that counts are needed, and these cost little: few groups come past the floor.
fn room(limit: usize) -> usize {
    limit.saturating_add(limit / 4).max(64)
}

impl Top {
    fn prune(&mut self, limit: usize) {
        if self.rows.len() <= limit || limit == 0 {
            self.rows.truncate(limit);
            return;
        }
        let (_, last, _) =
            self.rows.select_nth_unstable_by(limit - 1, |a, b| a.rank().cmp(&b.rank()));
        self.floor = Some(last.clone());
        self.rows.truncate(limit);
    }
}

/// The first groups of each scope by rank.
#[derive(Default)]
pub struct TopGroups {
    /// `None` keeps all.
    limit: Option<usize>,
    scopes: Vec<Top>,
    /// The id of the group at hand.
    id: String,
}

impl TopGroups {
    fn new(kept: &KeepGroups<'_>, scopes: usize) -> Self {
        let (limit, floors): (_, &[Floor]) = match kept {
            KeepGroups::First(limit) => (*limit, &[]),
            KeepGroups::Above(floors) => (None, floors),
        };
        let scope = |scope: usize| match floors.get(scope) {
            Some(Floor::At(floor)) => Top { floor: Some(floor.clone()), ..Top::default() },
            Some(Floor::Top) => Top { only_counts: true, ..Top::default() },
            Some(Floor::None) | None => Top::default(),
        };
        Self {
            limit: limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            scopes: (0..scopes).map(scope).collect(),
            id: String::new(),
        }
    }

    /// Offers a group without its id, which is written only where the group may be listed.
    ///
    /// # Errors
    /// [`ExposureError::Overflow`].
    pub fn offer(
        &mut self,
        scope: usize,
        met: Met,
        id: impl FnOnce(&mut String),
    ) -> Result<(), ExposureError> {
        let Some(top) = self.scopes.get_mut(scope) else { return Ok(()) };
        top.all.groups += 1;
        add(&mut top.all.requests, met.requests)?;
        if top.only_counts
            || top.floor.as_ref().is_some_and(|floor| met.subjects < floor.met.subjects)
        {
            return Ok(());
        }
        self.id.clear();
        id(&mut self.id);
        let rank = (Reverse(met.subjects), halves(&self.id), met.space);
        if top.floor.as_ref().is_some_and(|floor| rank > floor.rank()) {
            return Ok(());
        }
        let room = self.limit.map_or(usize::MAX, room);
        let held = top.rows.len();
        if held == top.rows.capacity() {
            // Memory that is not touched costs nothing, and growing by copies touches it over and over.
            top.rows.reserve_exact((held * 3).max(64).min(room.saturating_sub(held)));
        }
        top.rows.push(Candidate { id: GroupId::new(&self.id), met });
        if let Some(limit) = self.limit
            && top.rows.len() >= room
        {
            top.prune(limit);
        }
        Ok(())
    }

    /// # Errors
    /// [`ExposureError::Overflow`].
    pub fn merge(&mut self, other: Self) -> Result<(), ExposureError> {
        for (mine, theirs) in self.scopes.iter_mut().zip(other.scopes) {
            mine.all.groups += theirs.all.groups;
            add(&mut mine.all.requests, theirs.all.requests)?;
            match mine.rows.is_empty() {
                true => mine.rows = theirs.rows,
                false => mine.rows.extend(theirs.rows),
            }
            if let Some(limit) = self.limit {
                mine.prune(limit);
            }
        }
        Ok(())
    }

    /// The first of each scope, as many as the limit allows.
    pub fn finish(self) -> RankedGroups {
        let limit = self.limit.unwrap_or(usize::MAX);
        let of_scope = |mut top: Top| {
            top.prune(limit);
            ScopeGroups { first: top.rows, all: top.all }
        };
        RankedGroups(self.scopes.into_iter().map(of_scope).collect())
    }
}

/// The first groups of a scope by rank, in no certain order, and how many there are in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeGroups {
    pub first: Vec<Candidate>,
    pub all: RestGroups,
}

impl ScopeGroups {
    /// Keeps the first `most`, in the order that they have.
    pub fn prune(&mut self, most: Option<u64>) {
        let Some(last) = self.last_of(most) else { return };
        let last = last.cloned();
        self.first.retain(|group| last.as_ref().is_some_and(|last| group.rank() <= last.rank()));
    }

    /// The last of the first `most`, if `most` are any; `None` where there are no more.
    fn last_of(&self, most: Option<u64>) -> Option<Option<&Candidate>> {
        let most = most.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if self.first.len() <= most {
            return None;
        }
        let mut ranks: Vec<(Rank<'_>, usize)> =
            self.first.iter().map(Candidate::rank).zip(0..).collect();
        let last = most.checked_sub(1).map(|last| ranks.select_nth_unstable(last).1.1);
        Some(last.and_then(|last| self.first.get(last)))
    }

    /// The first `most`, in the order in which they are listed.
    fn listed(&self, most: Option<u64>) -> Vec<&Candidate> {
        let mut listed: Vec<&Candidate> = match self.last_of(most) {
            None => self.first.iter().collect(),
            Some(None) => Vec::new(),
            Some(Some(last)) => {
                self.first.iter().filter(|group| group.rank() <= last.rank()).collect()
            }
        };
        listed.sort_by(|a, b| a.place().cmp(&b.place()));
        listed
    }

    /// Puts them into the order in which they are listed. Those that are kept from one count to the next have it nearly: of
    /// them such a sort takes little.
    pub fn put_in_order(&mut self) {
        self.first.sort_by(|a, b| a.place().cmp(&b.place()));
    }
}

/// Groups by scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankedGroups(pub Vec<ScopeGroups>);

impl RankedGroups {
    /// Groups that are listed where each scope lists at most `limit`.
    pub fn count(&self, limit: Option<u64>) -> u64 {
        let most = limit.unwrap_or(u64::MAX);
        self.0.iter().map(|of| (of.first.len() as u64).min(most)).sum()
    }

    /// Listed groups, by scope, namespace and id, and for each scope what is left.
    pub fn listed(&self, limit: Option<u64>) -> (Vec<GroupRow>, Vec<RestGroups>) {
        let mut rows: Vec<GroupRow> =
            Vec::with_capacity(usize::try_from(self.count(limit)).unwrap_or_default());
        let mut rest = Vec::with_capacity(self.0.len());
        for (scope, groups) in (0..).zip(&self.0) {
            let mut all = groups.all;
            for candidate in groups.listed(limit) {
                all.groups -= 1;
                all.requests -= candidate.met.requests;
                rows.push(candidate.row(scope));
            }
            rest.push(all);
        }
        (rows, rest)
    }
}

/// Groups of each scope as all threads have met them, and what may be listed of them.
pub struct GroupsMet<'a> {
    /// By scope.
    groups: Vec<AtomicU64>,
    /// Groups listed of each scope at most, and kept of each.
    limit: Option<u64>,
    kept: &'a KeepGroups<'a>,
    cells: u64,
    budget: Budget,
}

impl<'a> GroupsMet<'a> {
    pub fn new(
        scopes: usize,
        (limit, kept): (Option<u64>, &'a KeepGroups<'a>),
        cells: usize,
        budget: Budget,
    ) -> Self {
        let groups = (0..scopes).map(|_| AtomicU64::new(0)).collect();
        Self { groups, limit, kept, cells: cells as u64, budget }
    }

    /// What one thread keeps.
    pub fn top(&self) -> TopGroups {
        TopGroups::new(self.kept, self.groups.len())
    }

    /// Adds groups that one thread has met, by scope; none are left there.
    pub fn add(&self, met: &mut [u64]) {
        for (all, own) in self.groups.iter().zip(met) {
            all.fetch_add(std::mem::take(own), Ordering::Relaxed);
        }
    }

    /// Groups that are listed, as far as they are met.
    pub fn listed(&self) -> u64 {
        let all = self.groups.iter().map(|groups| groups.load(Ordering::Relaxed));
        all.map(|all| all.min(self.limit.unwrap_or(u64::MAX))).sum()
    }

    /// # Errors
    /// [`ExposureError::Memory`] where the memory limit does not hold an answer with those that are met.
    pub fn fits(&self) -> Result<(), ExposureError> {
        let listed = self.listed();
        match self.budget.beyond(self.cells, 0, listed) {
            Some(needed) => Err(ExposureError::Memory {
                cells: self.cells,
                more: format!(" and {listed} listed groups so far"),
                needed: needed.div_ceil(1_000_000),
            }),
            None => Ok(()),
        }
    }
}
