//! The groups that are listed: the first of each scope by people, and how many there are beside.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::ExposureError;
use super::group_ids::{GroupId, GroupIds, halves, own_id};
use super::totals::add;
use crate::codes::index;
use crate::key::Key;
use crate::memory::Budget;

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
    /// Its number among the groups with members; `None` where it has none, or nothing is known.
    pub number: Option<u32>,
    pub apps: u64,
    pub subjects: u64,
    pub requests: i64,
    /// Microseconds.
    pub first: i64,
    pub last: i64,
}

/// A group that was reached through a scope, and may be listed. There may be very many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    id: GroupId,
    met: Met,
}

/// Most people first, ties by id. No two groups are alike, whatever their ids show.
pub type Rank<'a> = (Reverse<u64>, (u128, &'a str), u32, Key);

impl Candidate {
    #[cfg(test)]
    pub fn new(id: &str, met: Met) -> Self {
        Self { id: GroupId::new(id), met }
    }

    pub fn met(&self) -> &Met {
        &self.met
    }

    /// As the log has it. A short one needs no memory of its own.
    pub fn id(&self) -> CompactString {
        self.id.text()
    }

    /// What tells it from others.
    pub fn name(&self) -> (u32, Key) {
        (self.met.space, self.met.key)
    }

    pub fn rank(&self) -> Rank<'_> {
        (Reverse(self.met.subjects), self.id.halves(), self.met.space, self.met.key)
    }

    /// By what they are listed.
    fn place(&self) -> (u32, &GroupId) {
        (self.met.space, &self.id)
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
    /// Once the limit was reached, the last of those that counted then.
    floor: Floor,
    all: RestGroups,
}

/// Which groups of each scope are kept while they are counted.
pub enum KeepGroups<'a> {
    /// So many, first by rank; `None` keeps all.
    First(Option<u64>),
    /// Those that do not rank after the floor, by scope.
    Above(&'a [Floor]),
}

/// The last group by rank of those of a scope that are looked for. Whoever ranks after it is out.
#[derive(Clone, Debug, Default)]
pub enum Floor {
    /// All are.
    #[default]
    None,
    At(Candidate),
    /// None is.
    Top,
}

impl Floor {
    /// That of the first `most` of some groups.
    fn of(groups: &[Candidate], most: usize) -> Self {
        if groups.len() <= most {
            return Self::None;
        }
        let Some(nth) = most.checked_sub(1) else { return Self::Top };
        // By people alone, which lie near each other, and by their ids those that have as many.
        let mut subjects: Vec<u64> = groups.iter().map(|group| group.met.subjects).collect();
        let (_, fewest, _) = subjects.select_nth_unstable_by(nth, |a, b| b.cmp(a));
        let more = groups.iter().filter(|group| group.met.subjects > *fewest).count();
        let equal = groups.iter().filter(|group| group.met.subjects == *fewest);
        let mut equal: Vec<&Candidate> = equal.collect();
        let nth = nth.saturating_sub(more);
        let (_, last, _) = equal.select_nth_unstable_by(nth, |a, b| a.rank().cmp(&b.rank()));
        Self::At((*last).clone())
    }

    pub fn holds(&self, group: &Candidate) -> bool {
        self.holds_rank(|| group.rank())
    }

    fn holds_rank<'a>(&self, rank: impl FnOnce() -> Rank<'a>) -> bool {
        match self {
            Self::None => true,
            Self::At(floor) => rank() <= floor.rank(),
            Self::Top => false,
        }
    }

    /// Whether so many people are too few, whatever the id.
    fn is_above(&self, subjects: u64) -> bool {
        match self {
            Self::None => false,
            Self::At(floor) => subjects < floor.met.subjects,
            Self::Top => true,
        }
    }
}

/// Keeps the first `most` by rank, in the order that they have.
fn prune(groups: &mut Vec<Candidate>, most: usize) -> Floor {
    let floor = Floor::of(groups, most);
    if !matches!(floor, Floor::None) {
        groups.retain(|group| floor.holds(group));
    }
    floor
}

/// Groups that are held at once to find the first `limit`: each thread holds as many of each scope. With more of
/// them fewer looks for the last one that counts are needed, and these cost little: few groups come past the floor.
fn room(limit: usize) -> usize {
    limit.saturating_add(limit / 4).max(64)
}

impl Top {
    fn prune(&mut self, limit: usize) {
        if self.rows.len() > limit {
            self.floor = prune(&mut self.rows, limit);
        }
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
        let scope = |scope: usize| {
            let floor = floors.get(scope).cloned().unwrap_or_default();
            Top { floor, ..Top::default() }
        };
        Self {
            limit: limit.map(|n| at_most(Some(n))),
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
        if top.floor.is_above(met.subjects) {
            return Ok(());
        }
        self.id.clear();
        id(&mut self.id);
        let rank = || (Reverse(met.subjects), halves(&self.id), met.space, met.key);
        if !top.floor.holds_rank(rank) {
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

/// As many as a limit allows.
fn at_most(limit: Option<u64>) -> usize {
    limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

impl ScopeGroups {
    /// Keeps the first `most`, in the order that they have.
    pub fn prune(&mut self, most: Option<u64>) {
        prune(&mut self.first, at_most(most));
    }

    /// Places of the first `most`, in the order in which they are listed.
    fn order(&self, most: Option<u64>) -> Vec<u32> {
        let floor = Floor::of(&self.first, at_most(most));
        let held = (0..).zip(&self.first).filter(|(_, group)| floor.holds(group));
        let mut order: Vec<(u32, &Candidate)> = held.collect();
        order.sort_by(|(_, a), (_, b)| a.place().cmp(&b.place()));
        order.into_iter().map(|(place, _)| place).collect()
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

    /// By scope: places of those that are listed, in their order.
    pub fn orders(&self, limit: Option<u64>) -> Vec<Vec<u32>> {
        self.0.iter().map(|of| of.order(limit)).collect()
    }

    /// Those that are listed, in these orders.
    pub fn listed(self, orders: Vec<Vec<u32>>) -> Vec<ListedGroups> {
        let of_scopes = self.0.into_iter().zip(orders);
        of_scopes.map(|(groups, order)| ListedGroups::new(groups, order)).collect()
    }
}

/// The listed groups of a scope, in the order of their namespaces and ids.
#[derive(Clone, Debug, Default)]
pub struct ListedGroups {
    groups: Vec<Candidate>,
    /// Places of those that are listed. To copy them would touch as much memory again.
    order: Vec<u32>,
    /// By listed group: people who were members when it was read; empty without memberships.
    pub members: Vec<u64>,
    /// All groups that are not listed.
    pub rest: RestGroups,
}

impl ListedGroups {
    fn new(groups: ScopeGroups, order: Vec<u32>) -> Self {
        let mut listed =
            Self { groups: groups.first, order, members: Vec::new(), rest: groups.all };
        let mut rest = listed.rest;
        for group in listed.iter() {
            rest.groups -= 1;
            rest.requests -= group.met.requests;
        }
        listed.rest = rest;
        listed
    }

    pub fn count(&self) -> usize {
        self.order.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Candidate> + Clone {
        self.order.iter().filter_map(|place| self.groups.get(index(*place)))
    }

    /// By listed group: people who were members when it was read; `None` without memberships.
    pub fn members(&self) -> impl Iterator<Item = Option<u64>> {
        (0..self.count()).map(|place| self.members.get(place).copied())
    }

    /// Namespaces, each with how many groups below each other are of it.
    pub fn spaces(&self) -> impl Iterator<Item = (u32, usize)> {
        let runs = self.order.chunk_by(|a, b| self.space(*a) == self.space(*b));
        runs.filter_map(|run| Some((self.space(*run.first()?)?, run.len())))
    }

    /// Puts namespaces into this order instead of that of their numbers.
    pub fn put_spaces_in_order<P: Ord>(&mut self, place: impl Fn(u32) -> P) {
        if self.spaces().map(|(space, _)| place(space)).is_sorted() {
            return;
        }
        let mut order: Vec<(P, u32, Option<u64>)> = Vec::with_capacity(self.count());
        for ((group, at), members) in self.iter().zip(&self.order).zip(self.members()) {
            order.push((place(group.met.space), *at, members));
        }
        // Ids keep the order that they have.
        order.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        self.order = order.iter().map(|(_, at, _)| *at).collect();
        self.members = order.iter().filter_map(|(.., members)| *members).collect();
    }

    fn space(&self, place: u32) -> Option<u32> {
        self.groups.get(index(place)).map(|group| group.met.space)
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
