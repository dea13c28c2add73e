//! The third pass: people who were observed, members of groups that were read, and where all of them live,
//! joined in the order of people.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cells::{Window, WindowSet, count_windows};
use super::home::Home;
use super::leaf::LeafTable;
use super::observed::ObservedReader;
use super::policy::Policy;
use super::reads::{Entry, Read, Reads};
use super::totals::add_counts;
use super::{ExposureError, Job, Settings};
use crate::key::Key;
use crate::key::MixMap;
use crate::people::{GroupSet, Member, MemberCursor, People};
use crate::scan::batch::NONE;
use crate::threads::in_threads;

/// What the registry knows of people, and whose ids its tables hold.
#[derive(Clone, Copy)]
pub struct PeopleOf<'a> {
    pub people: &'a People,
    /// Whether the tables are given: those of whose ids the log has none have no pack.
    pub has_members: bool,
    pub has_residency: bool,
    pub person_space: usize,
    pub group_space: usize,
}

/// People of a cell who live in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residents {
    pub observed: u64,
    /// Observed, or member of a group that was read.
    pub upper: u64,
    /// When the earliest and the latest of their residences was known, in microseconds; the wrong way
    /// around where the registry does not say.
    known: (i64, i64),
}

impl Default for Residents {
    fn default() -> Self {
        Self { observed: 0, upper: 0, known: (i64::MAX, i64::MIN) }
    }
}

impl Residents {
    #[inline]
    fn person(&mut self, observed: bool, known: Option<i64>) {
        self.upper += 1;
        self.observed += u64::from(observed);
        if let Some(at) = known {
            self.known = (self.known.0.min(at), self.known.1.max(at));
        }
    }

    fn merge(&mut self, other: &Self) {
        self.observed += other.observed;
        self.upper += other.upper;
        self.known = (self.known.0.min(other.known.0), self.known.1.max(other.known.1));
    }

    /// Takes out people who were counted more than once: when they were known stays as it is.
    fn without(&mut self, again: &Self) {
        self.observed -= again.observed;
        self.upper -= again.upper;
    }

    /// When the earliest and the latest of their residences was known, in microseconds.
    pub fn known(&self) -> Option<(i64, i64)> {
        (self.known.0 <= self.known.1).then_some(self.known)
    }
}

/// Stands for a person of whom the registry does not know, or not surely, where they live.
pub const NOWHERE: u32 = NONE;

/// What the pass has counted.
#[derive(Default)]
pub struct Reached {
    /// By cell and window.
    pub upper: Vec<[u64; Window::COUNT]>,
    /// By cell and residence.
    pub residents: MixMap<u64, Residents>,
    /// By listed group: its members then.
    pub members: Vec<u64>,
    /// People reached whom the registry gives two residences at one moment.
    pub contradictions: u64,
}

/// Cell and residence as one number.
pub fn pack(cell: u32, residence: u32) -> u64 {
    u64::from(cell) << 32 | u64::from(residence)
}

/// Listed groups: the scopes through which they were read, and their places in the list.
#[derive(Debug, Default)]
pub struct Listed {
    groups: GroupSet,
    /// By number of a group: where its rows begin.
    starts: Vec<u32>,
    /// Scope and place, group after group; a row without a scope ends each.
    rows: Vec<(u32, u32)>,
    /// Length of the list.
    pub count: usize,
}

impl Listed {
    /// Rows are group, scope and place.
    pub fn new(mut rows: Vec<(u32, u32, u32)>, count: usize) -> Self {
        rows.sort_unstable();
        let mut listed = Self { count, ..Default::default() };
        for group in rows.chunk_by(|a, b| a.0 == b.0) {
            let Some((number, ..)) = group.first() else { continue };
            let index = usize::try_from(*number).unwrap_or(usize::MAX);
            listed.groups.insert(*number);
            listed.starts.resize(listed.starts.len().max(index + 1), NONE);
            if let Some(start) = listed.starts.get_mut(index) {
                *start = u32::try_from(listed.rows.len()).unwrap_or(NONE);
            }
            listed.rows.extend(group.iter().map(|(_, scope, place)| (*scope, *place)));
            listed.rows.push((NONE, NONE));
        }
        listed
    }

    #[inline]
    fn start(&self, group: u32) -> u32 {
        let start = usize::try_from(group).ok().and_then(|group| self.starts.get(group));
        start.copied().unwrap_or(NONE)
    }

    /// The place of a group and scope, from where the group's rows begin.
    #[inline]
    fn place(&self, start: u32, scope: u32) -> Option<usize> {
        let rows = self.rows.get(usize::try_from(start).ok()?..)?;
        let own = rows.iter().take_while(|row| row.0 != NONE).find(|row| row.0 == scope)?;
        usize::try_from(own.1).ok()
    }
}

/// People by residence, of each leaf or cell: in a table while that is small, else in a map.
struct ByResidence {
    /// Places for residences, nowhere included; 0 where the map is used.
    width: usize,
    table: Vec<Residents>,
    map: MixMap<u64, Residents>,
}

impl ByResidence {
    /// Entries of a table at most: 32 MiB for each thread.
    const TABLE: usize = 1 << 20;

    fn new(count: usize, residences: usize) -> Self {
        let width = residences + 1;
        let small = count.saturating_mul(width) <= Self::TABLE;
        let table = if small { vec![Residents::default(); count * width] } else { Vec::new() };
        Self { width: if small { width } else { 0 }, table, map: MixMap::default() }
    }

    #[inline]
    fn at(&mut self, of: u32, residence: u32) -> &mut Residents {
        let index = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        if self.width > 0 {
            let place = index(residence).min(self.width - 1);
            if let Some(people) = self.table.get_mut(index(of) * self.width + place) {
                return people;
            }
        }
        self.map.entry(pack(of, residence)).or_default()
    }

    /// Leaf or cell, residence and people.
    fn entries(&self) -> impl Iterator<Item = (u32, u32, &Residents)> {
        let number = |n: usize| u32::try_from(n).unwrap_or(NONE);
        let width = self.width.max(1);
        let table = self.table.iter().enumerate().map(move |(i, people)| {
            let place = i % width;
            let residence = if place + 1 == width { NOWHERE } else { number(place) };
            (number(i / width), residence, people)
        });
        let map = self.map.iter().map(|(key, people)| {
            let residence = u32::try_from(key & u64::from(u32::MAX)).unwrap_or(NONE);
            (u32::try_from(key >> 32).unwrap_or(NONE), residence, people)
        });
        table.chain(map).filter(|(.., people)| people.upper > 0)
    }
}

/// Memberships of a stretch of people, with what is known of their groups. It is looked up for many at
/// once: the processor then waits for many places in memory together.
struct Members<'a> {
    cursor: MemberCursor<'a>,
    reads: &'a Reads,
    rows: Vec<Member>,
    entries: Vec<Entry>,
    at: usize,
}

impl<'a> Members<'a> {
    fn new(cursor: MemberCursor<'a>, reads: &'a Reads) -> Self {
        Self { cursor, reads, rows: Vec::new(), entries: Vec::new(), at: 0 }
    }

    /// The next membership, without taking it.
    #[inline]
    fn peek(&mut self) -> Result<Option<Member>, ExposureError> {
        if self.at >= self.rows.len() {
            self.rows.clear();
            self.entries.clear();
            self.at = 0;
            self.cursor.next(&mut self.rows)?;
            self.entries.extend(self.rows.iter().map(|row| self.reads.entry(row.group)));
        }
        Ok(self.rows.get(self.at).copied())
    }

    /// Takes it, with the reads of its group while it held.
    #[inline]
    fn take(&mut self, member: &Member) -> &[Read] {
        let entry = self.entries.get(self.at);
        self.at += 1;
        entry.map_or(&[], |entry| self.reads.of(entry, member.from, member.to))
    }
}

/// People that wait at most.
const WAITING: usize = 1024;

/// A person in one of its leaves.
#[derive(Clone, Copy)]
struct Waiting {
    leaf: u32,
    residence: u32,
    observed: bool,
    known: Option<i64>,
}

struct Pass<'a> {
    leaves: &'a LeafTable,
    listed: &'a Listed,
    /// Group and scope of members who are not counted yet, as those who wait below.
    members: Vec<(u32, u32)>,
    /// Memory that is used again.
    scopes: Vec<u32>,
    /// Cells whose people are told by residence.
    placed: &'a [bool],
    /// By cell: who was counted in it last, in which windows.
    stamps: Vec<(u64, WindowSet)>,
    leaf_stamps: Vec<u64>,
    ordinal: u64,
    /// Leaves of the person at hand, each once: those by which they were observed come first.
    own: Vec<u32>,
    observed: usize,
    /// People by leaf, as if leaves had no cell in common.
    people: Vec<u64>,
    by_leaf: ByResidence,
    /// Those who were counted in a cell through more than one leaf, as often as beyond once.
    again: Vec<[u64; Window::COUNT]>,
    by_cell_again: ByResidence,
    /// Those who are not in it yet: where they go lies anywhere in memory, and a loop that does nothing
    /// else waits for many places at once.
    waiting: Vec<Waiting>,
    with_residence: bool,
    reached: Reached,
}

impl Pass<'_> {
    fn begin(&mut self) {
        self.ordinal += 1;
        self.own.clear();
    }

    #[inline]
    fn leaf(&mut self, leaf: u32) {
        let stamp = usize::try_from(leaf).ok().and_then(|leaf| self.leaf_stamps.get_mut(leaf));
        if let Some(stamp) = stamp.filter(|stamp| **stamp != self.ordinal) {
            *stamp = self.ordinal;
            self.own.push(leaf);
        }
    }

    /// Takes the memberships of one person.
    fn members(&mut self, person: Key, members: &mut Members<'_>) -> Result<(), ExposureError> {
        // Scopes of the group at hand for which the person was counted among its members.
        let mut counted = (NONE, std::mem::take(&mut self.scopes));
        while let Some(member) = members.peek()?.filter(|member| member.subject == person) {
            let reads = members.take(&member);
            for (_, leaf) in reads {
                self.leaf(*leaf);
            }
            if !self.listed.groups.holds(member.group) {
                continue;
            }
            if counted.0 != member.group {
                counted.0 = member.group;
                counted.1.clear();
            }
            for (_, leaf) in reads {
                let scopes = self.leaves.get(*leaf).map(|own| own.scopes).unwrap_or_default();
                for scope in scopes.iter().map(|scope| scope.scope) {
                    if !counted.1.contains(&scope) {
                        counted.1.push(scope);
                        self.members.push((member.group, scope));
                    }
                }
            }
        }
        self.scopes = counted.1;
        if self.members.len() >= WAITING {
            self.count_members();
        }
        Ok(())
    }

    fn count_members(&mut self) {
        for (group, _) in &mut self.members {
            *group = self.listed.start(*group);
        }
        for (start, scope) in self.members.drain(..) {
            let place = self.listed.place(start, scope);
            if let Some(count) = place.and_then(|place| self.reached.members.get_mut(place)) {
                *count += 1;
            }
        }
    }

    /// Counts the person, who lives there, once in each leaf; and finds the cells in which that is more
    /// than once.
    fn count(&mut self, residence: u32, known: Option<i64>) {
        for (i, leaf) in self.own.iter().enumerate() {
            let observed = i < self.observed;
            self.waiting.push(Waiting { leaf: *leaf, residence, observed, known });
        }
        if self.own.len() > 1 {
            self.count_again(residence);
        }
        if self.waiting.len() >= WAITING {
            self.count_waiting();
        }
    }

    fn count_again(&mut self, residence: u32) {
        for (i, leaf) in self.own.iter().enumerate() {
            let Some(own) = self.leaves.get(*leaf) else { continue };
            for (cell, windows) in own.exposed {
                let index = usize::try_from(*cell).unwrap_or(usize::MAX);
                let Some(stamp) = self.stamps.get_mut(index) else { continue };
                if stamp.0 != self.ordinal {
                    *stamp = (self.ordinal, *windows);
                    continue;
                }
                let again = windows & stamp.1;
                stamp.1 |= windows;
                if let Some(counts) = self.again.get_mut(index) {
                    count_windows(counts, again);
                }
                let placed = self.placed.get(index) == Some(&true);
                if placed && again & Window::AfterRestriction.bit() != 0 {
                    // Leaves by which the person was observed come first: where this one is among
                    // them, so is the one before.
                    self.by_cell_again.at(*cell, residence).person(i < self.observed, None);
                }
            }
        }
    }

    fn count_waiting(&mut self) {
        if self.with_residence {
            for person in &self.waiting {
                let residents = self.by_leaf.at(person.leaf, person.residence);
                residents.person(person.observed, person.known);
            }
        }
        for person in self.waiting.drain(..) {
            let people =
                usize::try_from(person.leaf).ok().and_then(|leaf| self.people.get_mut(leaf));
            if let Some(people) = people {
                *people += 1;
            }
        }
    }

    /// Rolls people up from leaves to cells.
    fn finish(mut self, cells: usize, residences: usize) -> Reached {
        self.count_waiting();
        self.count_members();
        let place = |cell: u32| usize::try_from(cell).unwrap_or(usize::MAX);
        for (leaf, people) in (0u32..).zip(&self.people).filter(|(_, people)| **people > 0) {
            let exposed = self.leaves.get(leaf).map(|own| own.exposed).unwrap_or_default();
            for (cell, windows) in exposed {
                let counts = self.reached.upper.get_mut(place(*cell));
                for (i, count) in counts.into_iter().flatten().enumerate() {
                    if windows >> i & 1 == 1 {
                        *count += people;
                    }
                }
            }
        }
        for (counts, again) in self.reached.upper.iter_mut().zip(&self.again) {
            counts.iter_mut().zip(again).for_each(|(count, again)| *count -= again);
        }
        let placed = if self.with_residence { cells } else { 0 };
        let mut by_cell = ByResidence::new(placed, residences);
        for (leaf, residence, people) in self.by_leaf.entries() {
            let exposed = self.leaves.get(leaf).map(|own| own.exposed).unwrap_or_default();
            for (cell, windows) in exposed {
                let placed = self.placed.get(place(*cell)) == Some(&true);
                if placed && windows & Window::AfterRestriction.bit() != 0 {
                    by_cell.at(*cell, residence).merge(people);
                }
            }
        }
        for (cell, residence, again) in self.by_cell_again.entries() {
            by_cell.at(cell, residence).without(again);
        }
        for (cell, residence, people) in by_cell.entries() {
            self.reached.residents.insert(pack(cell, residence), *people);
        }
        self.reached
    }
}

/// Joins everything.
///
/// # Errors
/// Storage failures, damaged packs, temporary files that cannot be read, interruption.
pub fn reach(
    policy: &Policy,
    leaves: &LeafTable,
    jobs: &[Job],
    observed: &[Mutex<Option<ObservedReader>>],
    reads: &Reads,
    listed: &Listed,
    settings: &Settings<'_>,
    of: PeopleOf<'_>,
) -> Result<Reached, ExposureError> {
    let placed: Vec<bool> =
        policy.cells.iter().map(|key| of.has_residency && key.grain.has_days()).collect();
    let told = |count: usize| if of.has_residency { count } else { 0 };
    let residences = of.people.residency.as_ref().map_or(0, |pack| pack.residences.len());
    let next = AtomicUsize::new(0);
    let parts = in_threads::<_, ExposureError>(settings.threads.min(jobs.len().max(1)), |_| {
        let mut pass = Pass {
            leaves,
            listed,
            members: Vec::with_capacity(WAITING),
            scopes: Vec::new(),
            placed: &placed,
            stamps: vec![(0, 0); policy.cells.len()],
            leaf_stamps: vec![0; policy.leaves.len()],
            ordinal: 0,
            own: Vec::new(),
            observed: 0,
            people: vec![0; policy.leaves.len()],
            by_leaf: ByResidence::new(told(policy.leaves.len()), residences),
            again: vec![[0; Window::COUNT]; policy.cells.len()],
            by_cell_again: ByResidence::new(told(policy.cells.len()), residences),
            waiting: Vec::with_capacity(WAITING),
            with_residence: of.has_residency,
            reached: Reached {
                upper: vec![[0; Window::COUNT]; policy.cells.len()],
                members: vec![0; listed.count],
                ..Default::default()
            },
        };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(job), Some(observed)) = (jobs.get(number), observed.get(number)) else {
                break;
            };
            let observed = observed.lock().unwrap_or_else(PoisonError::into_inner).take();
            run_job(job, observed, reads, settings, of, &mut pass)?;
        }
        Ok(pass.finish(policy.cells.len(), residences))
    })?;
    let mut all = Reached {
        upper: vec![[0; Window::COUNT]; policy.cells.len()],
        members: vec![0; listed.count],
        ..Default::default()
    };
    for part in parts {
        add_counts(&mut all.upper, &part.upper);
        all.contradictions += part.contradictions;
        for (sum, own) in all.members.iter_mut().zip(part.members) {
            *sum += own;
        }
        for (key, own) in part.residents {
            all.residents.entry(key).or_default().merge(&own);
        }
    }
    Ok(all)
}

fn run_job(
    job: &Job,
    mut observed: Option<ObservedReader>,
    reads: &Reads,
    settings: &Settings<'_>,
    of: PeopleOf<'_>,
    pass: &mut Pass<'_>,
) -> Result<(), ExposureError> {
    // The tables speak of one namespace of people.
    let known = job.person_space == of.person_space;
    let pack = of.people.members.as_ref().filter(|_| known);
    let mut members = pack.map(|pack| Members::new(pack.people(&job.range, &reads.groups), reads));
    let mut residency = Home::cursor(of, job, settings.rules.as_of);
    let mut seen = match &mut observed {
        Some(observed) => observed.next()?,
        None => None,
    };
    let mut since_look = 0u32;
    loop {
        let member = match &mut members {
            Some(members) => members.peek()?.map(|member| member.subject),
            None => None,
        };
        let person = match (seen, member) {
            (Some(a), Some(b)) => a.min(b),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return Ok(()),
        };
        since_look += 1;
        if since_look >= 1 << 16 {
            since_look = 0;
            if settings.stop.load(Ordering::Relaxed) {
                return Err(ExposureError::Interrupted);
            }
        }
        pass.begin();
        if seen == Some(person)
            && let Some(observed) = &mut observed
        {
            for leaf in &observed.leaves {
                pass.leaf(*leaf);
            }
            seen = observed.next()?;
        }
        pass.observed = pass.own.len();
        if member == Some(person)
            && let Some(members) = &mut members
        {
            pass.members(person, members)?;
        }
        if pass.own.is_empty() {
            continue;
        }
        let home = Home::of(of, &mut residency, person)?;
        pass.reached.contradictions += u64::from(home.contradicted);
        pass.count(home.residence, home.known);
    }
}
