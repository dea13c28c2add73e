//! The second pass: events in the order of (group, person).

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cells::{Window, WindowSet, count_windows};
use super::leaf::{LeafCells, LeafScope, LeafTable};
use super::parts::{Part, Parts};
use super::policy::Policy;
use super::projections::{BySize, GroupSorters};
use super::reads::{GroupReads, Reads};
use super::records::{GroupName, GroupRecord, InParts, NOBODY, Of, SmallRecord};
use super::totals::add;
use super::{ExposureError, PARTITION_BITS};
use crate::key::{IdKind, Key, Keyer};
use crate::memory::Budget;
use crate::moment::Moment;
use crate::people::{GroupCursor, GroupStretches};
use crate::scan::batch::NONE;
use crate::sorter::{Ordered, Sorted};

/// A group's own id as text. Ids are compared often, and mostly their first bytes tell: they stand
/// beside, as a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId {
    head: u128,
    text: String,
}

impl GroupId {
    fn read(&mut self, write: impl FnOnce(&mut String)) {
        self.text.clear();
        write(&mut self.text);
        let mut head = [0; 16];
        for (byte, text) in head.iter_mut().zip(self.text.bytes()) {
            *byte = text;
        }
        self.head = u128::from_be_bytes(head);
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A group that was reached through a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Index of the scope.
    pub scope: u32,
    pub id: GroupId,
    /// Index of the group namespace.
    pub space: usize,
    /// Its number among the groups with members; `None` where it has none, or nothing is known.
    pub number: Option<u32>,
    /// People who were members when it was read; `None` without memberships.
    pub members: Option<u64>,
    pub apps: u64,
    pub subjects: u64,
    pub requests: i64,
    pub first: Moment,
    pub last: Moment,
}

/// All groups of a scope beyond those listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestGroups {
    pub groups: u64,
    pub requests: i64,
}

/// Most people first, ties by id.
type Rank<'a> = (Reverse<u64>, &'a GroupId, usize);

fn rank(row: &GroupRow) -> Rank<'_> {
    (Reverse(row.subjects), &row.id, row.space)
}

/// The first groups of one scope by rank, and how many there are in all.
#[derive(Default)]
struct Top {
    /// At most twice the limit, in no order.
    rows: Vec<GroupRow>,
    /// Once the limit was reached: the last of those that counted then. Whoever ranks after it is out.
    floor: Option<GroupRow>,
    all: RestGroups,
}

impl Top {
    fn prune(&mut self, limit: usize) {
        if self.rows.len() <= limit || limit == 0 {
            self.rows.truncate(limit);
            return;
        }
        let (_, last, _) =
            self.rows.select_nth_unstable_by(limit - 1, |a, b| rank(a).cmp(&rank(b)));
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
    id: GroupId,
}

impl TopGroups {
    pub fn new(limit: Option<u64>, scopes: usize) -> Self {
        Self {
            limit: limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            scopes: (0..scopes).map(|_| Top::default()).collect(),
            id: GroupId::default(),
        }
    }

    /// Offers a group without its id, which is written only where the group may be listed.
    fn offer(
        &mut self,
        scope: usize,
        row: GroupRow,
        id: impl FnOnce(&mut String),
    ) -> Result<(), ExposureError> {
        let Some(top) = self.scopes.get_mut(scope) else { return Ok(()) };
        top.all.groups += 1;
        add(&mut top.all.requests, row.requests)?;
        if let Some(floor) = &top.floor {
            if row.subjects < floor.subjects {
                return Ok(());
            }
            self.id.read(id);
            if (Reverse(row.subjects), &self.id, row.space) > rank(floor) {
                return Ok(());
            }
        } else {
            self.id.read(id);
        }
        if top.rows.len() == top.rows.capacity() {
            // Memory that is not touched costs nothing, and growing by copies touches it over and over.
            top.rows.reserve_exact((top.rows.len() * 3).max(64));
        }
        top.rows.push(GroupRow { id: self.id.clone(), ..row });
        if let Some(limit) = self.limit
            && top.rows.len() >= limit.saturating_mul(2).max(64)
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

    /// Listed groups, by scope and rank, and for each scope what is left.
    pub fn finish(self) -> (Vec<GroupRow>, Vec<RestGroups>) {
        let limit = self.limit.unwrap_or(usize::MAX);
        let listed = self.scopes.iter().map(|top| top.rows.len().min(limit)).sum();
        let mut rows = Vec::with_capacity(listed);
        let mut rest = Vec::with_capacity(self.scopes.len());
        for Top { rows: mut listed, mut all, .. } in self.scopes {
            listed.sort_unstable_by(|a, b| rank(a).cmp(&rank(b)));
            listed.truncate(limit);
            for row in listed {
                all.groups -= 1;
                all.requests -= row.requests;
                rows.push(row);
            }
            rest.push(all);
        }
        (rows, rest)
    }
}

/// Groups of each scope as all threads have met them, and what may be listed of them.
pub struct GroupsMet {
    /// By scope.
    groups: Vec<AtomicU64>,
    /// Groups listed of each scope at most.
    limit: Option<u64>,
    cells: u64,
    budget: Budget,
}

impl GroupsMet {
    pub fn new(scopes: usize, limit: Option<u64>, cells: usize, budget: Budget) -> Self {
        let groups = (0..scopes).map(|_| AtomicU64::new(0)).collect();
        Self { groups, limit, cells: cells as u64, budget }
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

/// What is known of the group at hand, for one scope.
#[derive(Default)]
struct Current {
    group: u64,
    subjects: u64,
    last_subject: Option<u64>,
    apps: u64,
    requests: i64,
    first: i64,
    last: i64,
}

/// Events of one kind, sorted.
pub struct SortedBySize<L> {
    small: Sorted<SmallRecord<L>>,
    large: Sorted<GroupRecord<L>>,
}

impl<L: Of> SortedBySize<L> {
    fn new() -> Self {
        Self { small: Sorted::new(PARTITION_BITS), large: Sorted::new(PARTITION_BITS) }
    }

    fn take(&mut self, sorters: BySize<L>) {
        sorters.small.finish(&mut self.small);
        sorters.large.finish(&mut self.large);
    }

    fn spilled(&self) -> u64 {
        self.small.spilled() + self.large.spilled()
    }
}

/// Everything sorted of one group namespace.
pub struct SortedGroups {
    whole: SortedBySize<u32>,
    in_parts: SortedBySize<InParts>,
    names: Sorted<GroupName>,
    kind: Option<IdKind>,
}

impl SortedGroups {
    pub fn new(kind: Option<IdKind>) -> Self {
        let (whole, in_parts) = (SortedBySize::new(), SortedBySize::new());
        Self { whole, in_parts, names: Sorted::new(PARTITION_BITS), kind }
    }

    /// Takes what one thread has collected.
    pub fn take(&mut self, sorters: GroupSorters) {
        self.whole.take(sorters.whole);
        self.in_parts.take(sorters.in_parts);
        sorters.names.finish(&mut self.names);
    }

    pub fn partitions(&self) -> usize {
        self.names.partitions
    }

    /// Bytes in temporary files.
    pub fn spilled(&self) -> u64 {
        self.whole.spilled() + self.in_parts.spilled() + self.names.spilled()
    }
}

/// Events of one kind and both sizes, in the order of (group, person).
struct Stream<'a, L> {
    small: Ordered<'a, SmallRecord<L>>,
    large: Ordered<'a, GroupRecord<L>>,
    next_small: Option<GroupRecord<L>>,
    next_large: Option<GroupRecord<L>>,
}

impl<'a, L: Of> Stream<'a, L> {
    fn open(sorted: &'a SortedBySize<L>, partition: usize) -> Result<Self, ExposureError> {
        let mut small = sorted.small.partition(partition)?;
        let mut large = sorted.large.partition(partition)?;
        let next_small = small.next_record()?.map(|r| r.record());
        let next_large = large.next_record()?;
        Ok(Self { small, large, next_small, next_large })
    }

    #[inline]
    fn large_first(&self) -> bool {
        match (&self.next_small, &self.next_large) {
            (Some(small), Some(large)) => large < small,
            (small, _) => small.is_none(),
        }
    }

    /// Group and person of the next event.
    #[inline]
    fn peek(&self) -> Option<(Key, u64)> {
        let next = if self.large_first() { &self.next_large } else { &self.next_small };
        next.as_ref().map(|record| (record.group, record.subject))
    }

    fn next(&mut self) -> Result<Option<GroupRecord<L>>, ExposureError> {
        if self.large_first() {
            let next = self.large.next_record()?;
            return Ok(std::mem::replace(&mut self.next_large, next));
        }
        let next = self.small.next_record()?.map(|r| r.record());
        Ok(std::mem::replace(&mut self.next_small, next))
    }
}

/// An event of either kind.
#[derive(Clone, Copy)]
enum GroupEvent {
    Whole(GroupRecord<u32>),
    InParts(GroupRecord<InParts>),
}

impl GroupEvent {
    fn group(&self) -> Key {
        match self {
            Self::Whole(record) => record.group,
            Self::InParts(record) => record.group,
        }
    }
}

/// Events of both kinds in the order of (group, person).
struct Events<'a> {
    whole: Stream<'a, u32>,
    in_parts: Stream<'a, InParts>,
}

impl<'a> Events<'a> {
    fn open(sorted: &'a SortedGroups, partition: usize) -> Result<Self, ExposureError> {
        let whole = Stream::open(&sorted.whole, partition)?;
        Ok(Self { whole, in_parts: Stream::open(&sorted.in_parts, partition)? })
    }

    fn next(&mut self) -> Result<Option<GroupEvent>, ExposureError> {
        // Most logs have none in parts.
        let Some(in_parts) = self.in_parts.peek() else {
            return Ok(self.whole.next()?.map(GroupEvent::Whole));
        };
        let in_parts_first = self.whole.peek().is_none_or(|whole| in_parts < whole);
        Ok(if in_parts_first {
            self.in_parts.next()?.map(GroupEvent::InParts)
        } else {
            self.whole.next()?.map(GroupEvent::Whole)
        })
    }
}

/// An event as it is counted in a leaf.
#[derive(Clone, Copy)]
struct Counted {
    subject: u64,
    micros: i64,
    weight: i64,
}

/// After so many groups it is looked whether those that are listed fit into the memory limit.
const FEW_GROUPS: u64 = 1 << 12;

/// Counts groups on one thread.
pub struct GroupCounter<'a> {
    leaves: &'a LeafTable,
    policy: &'a Policy,
    parts: Parts,
    /// Of the event at hand.
    found: Vec<Part>,
    keyer: &'a Keyer,
    /// By cell.
    pub groups: Vec<[u64; Window::COUNT]>,
    stamps: Vec<(u64, WindowSet)>,
    number: u64,
    current: Vec<Current>,
    /// Scopes through which the group at hand was reached.
    open: Vec<usize>,
    met: &'a GroupsMet,
    /// By scope: groups that `met` does not know of yet.
    untold: Vec<u64>,
    pub top: TopGroups,
    pub reads: GroupReads,
    /// The group at hand, where it has members.
    stretches: Option<GroupStretches>,
}

/// What the second pass has found out.
pub struct GroupsSeen {
    /// Groups by cell and window.
    pub counts: Vec<[u64; Window::COUNT]>,
    pub top: TopGroups,
    /// Which of those with members were read.
    pub reads: Reads,
}

impl<'a> GroupCounter<'a> {
    pub fn new(
        leaves: &'a LeafTable,
        policy: &'a Policy,
        met: &'a GroupsMet,
        keyer: &'a Keyer,
        reads: GroupReads,
    ) -> Self {
        let (cells, scopes) = (policy.cells.len(), policy.scope_names.len());
        Self {
            leaves,
            policy,
            parts: Parts::default(),
            found: Vec::new(),
            keyer,
            groups: vec![[0; Window::COUNT]; cells],
            stamps: vec![(0, 0); cells],
            number: 0,
            current: (0..scopes).map(|_| Current::default()).collect(),
            open: Vec::new(),
            met,
            untold: vec![0; scopes],
            top: TopGroups::new(met.limit, scopes),
            reads,
            stretches: None,
        }
    }

    /// Counts one partition of group namespace `space`, of whose members `members` tells.
    ///
    /// # Errors
    /// Temporary files or packs that cannot be read, sums that overflow.
    pub fn partition(
        &mut self,
        sorted: &SortedGroups,
        partition: usize,
        space: usize,
        mut members: Option<GroupCursor<'_>>,
    ) -> Result<(), ExposureError> {
        let mut names = sorted.names.partition(partition)?;
        let mut name = names.next_record()?;
        let mut events = Events::open(sorted, partition)?;
        let mut next = events.next()?;
        while let Some(first) = next {
            let group = first.group();
            self.number += 1;
            self.stretches = match &mut members {
                Some(members) => members.find(group)?.cloned(),
                None => None,
            };
            next = Some(first);
            while let Some(record) = next.filter(|record| record.group() == group) {
                self.take(&record)?;
                next = events.next()?;
            }
            while name.as_ref().is_some_and(|name| name.group < group) {
                name = names.next_record()?;
            }
            if let Some(group) = &self.stretches {
                self.reads.close(group.number)?;
            }
            let own = name.as_ref().filter(|name| name.group == group).map(|name| name.id.as_ref());
            self.close(group, own, space, sorted.kind)?;
            if self.number.is_multiple_of(FEW_GROUPS) {
                self.tell()?;
            }
        }
        self.tell()
    }

    /// Tells how many groups were met since the last time.
    fn tell(&mut self) -> Result<(), ExposureError> {
        for (all, own) in self.met.groups.iter().zip(&mut self.untold) {
            all.fetch_add(std::mem::take(own), Ordering::Relaxed);
        }
        self.met.fits()
    }

    fn take(&mut self, event: &GroupEvent) -> Result<(), ExposureError> {
        match event {
            GroupEvent::Whole(GroupRecord { of, subject, micros, weight, .. }) => {
                self.count(*of, Counted { subject: *subject, micros: *micros, weight: *weight })
            }
            GroupEvent::InParts(GroupRecord { of, subject, micros, weight, .. }) => {
                let event = Counted { subject: *subject, micros: *micros, weight: *weight };
                self.find_parts(*of, *micros)?;
                for at in 0..self.found.len() {
                    let part = self.found.get(at).filter(|part| part.exposed).map(|part| part.leaf);
                    part.map_or(Ok(()), |leaf| self.count(leaf, event))?;
                }
                Ok(())
            }
        }
    }

    fn find_parts(&mut self, of: InParts, micros: i64) -> Result<(), ExposureError> {
        let InParts { app, set, nanos } = of;
        let Some(scopes) = self.policy.set(set) else {
            return Err(ExposureError::Internal { what: format!("there is no scope set {set}") });
        };
        self.found.clear();
        let mut known = self.policy;
        self.parts.find((app, &scopes), Moment { micros, nanos }, &mut known, &mut self.found)?;
        self.parts.learned.clear();
        Ok(())
    }

    /// Counts an event of the group in a leaf.
    fn count(&mut self, leaf: u32, record: Counted) -> Result<(), ExposureError> {
        let Some(LeafCells { scopes, exposed }) = self.leaves.get(leaf) else {
            return Ok(());
        };
        if let Some(group) = &self.stretches {
            self.reads.event(group, record.micros, leaf, record.subject == NOBODY);
        }
        for LeafScope { scope, app_cell } in scopes {
            let index = usize::try_from(*scope).unwrap_or(usize::MAX);
            let Some(current) = self.current.get_mut(index) else { continue };
            if current.group != self.number {
                *current = Current {
                    group: self.number,
                    first: record.micros,
                    last: record.micros,
                    ..Default::default()
                };
                self.open.push(index);
            }
            if record.subject != NOBODY && current.last_subject != Some(record.subject) {
                current.last_subject = Some(record.subject);
                current.subjects += 1;
            }
            // An app is new to the group where the cell of app and scope is.
            let stamp = app_cell
                .and_then(|cell| self.stamps.get(usize::try_from(cell).unwrap_or(usize::MAX)));
            current.apps += u64::from(stamp.is_some_and(|stamp| stamp.0 != self.number));
            add(&mut current.requests, record.weight)?;
            current.first = current.first.min(record.micros);
            current.last = current.last.max(record.micros);
        }
        for (cell, windows) in exposed {
            let cell = usize::try_from(*cell).unwrap_or(usize::MAX);
            let (Some(stamp), Some(counts)) =
                (self.stamps.get_mut(cell), self.groups.get_mut(cell))
            else {
                continue;
            };
            if stamp.0 != self.number {
                *stamp = (self.number, 0);
            }
            count_windows(counts, windows & !stamp.1);
            stamp.1 |= windows;
        }
        Ok(())
    }

    fn close(
        &mut self,
        key: Key,
        id: Option<&[u8]>,
        space: usize,
        kind: Option<IdKind>,
    ) -> Result<(), ExposureError> {
        let mut open = std::mem::take(&mut self.open);
        for index in open.drain(..) {
            let Some(current) = self.current.get(index) else { continue };
            if let Some(untold) = self.untold.get_mut(index) {
                *untold += 1;
            }
            let row = GroupRow {
                scope: u32::try_from(index).unwrap_or(NONE),
                id: GroupId::default(),
                space,
                number: self.stretches.as_ref().map(|group| group.number),
                members: None,
                apps: current.apps,
                subjects: current.subjects,
                requests: current.requests,
                first: Moment::from_micros(current.first),
                last: Moment::from_micros(current.last),
            };
            let keyer = self.keyer;
            self.top.offer(index, row, |text| own_id(keyer, key, id, kind, text))?;
        }
        self.open = open;
        Ok(())
    }
}

/// Writes a group's own id, from its key or from the text that the ledger keeps.
pub(super) fn own_id(
    keyer: &Keyer,
    key: Key,
    id: Option<&[u8]>,
    kind: Option<IdKind>,
    out: &mut String,
) {
    if let Some(id) = id {
        let mut bytes = id.to_vec();
        keyer.veil(key, &mut bytes);
        out.push_str(&String::from_utf8_lossy(&bytes));
        return;
    }
    match kind {
        Some(IdKind::Int) => {
            if let Some(id) = keyer.int_of(key) {
                out.push_str(itoa::Buffer::new().format(id));
            }
        }
        Some(IdKind::Uuid) => {
            if let Some(id) = keyer.uuid_of(key) {
                let mut text = uuid::Uuid::encode_buffer();
                out.push_str(uuid::Uuid::from_u128(id).hyphenated().encode_lower(&mut text));
            }
        }
        _ => {}
    }
}
