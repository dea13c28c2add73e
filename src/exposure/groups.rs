//! The second pass: events in the order of (group, person).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashSet};
use std::sync::Arc;

use super::ExposureError;
use super::policy::{Leaf, Window, WindowSet};
use super::sorter::Sorted;
use super::tally::GroupRecord;
use crate::key::{IdKind, Key, Keyer};
use crate::moment::Moment;
use crate::scan::batch::NONE;

/// A group that was reached through a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Index of the scope.
    pub scope: u32,
    /// The group's own id as text.
    pub id: String,
    /// Index of the group namespace.
    pub space: usize,
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

/// Groups ranked: most people first, ties by id.
#[derive(PartialEq, Eq)]
struct Ranked(GroupRow);

impl Ranked {
    fn rank(&self) -> (Reverse<u64>, &str, usize) {
        (Reverse(self.0.subjects), &self.0.id, self.0.space)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The first groups of each scope by rank, and how many there are in all.
#[derive(Default)]
pub struct TopGroups {
    /// `None` keeps all.
    limit: Option<usize>,
    /// By scope; the heap's top is the last in rank.
    top: Vec<BinaryHeap<Ranked>>,
    all: Vec<RestGroups>,
}

impl TopGroups {
    pub fn new(limit: Option<u64>, scopes: usize) -> Self {
        Self {
            limit: limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            top: (0..scopes).map(|_| BinaryHeap::new()).collect(),
            all: vec![RestGroups::default(); scopes],
        }
    }

    fn offer(
        &mut self,
        scope: usize,
        subjects: u64,
        requests: i64,
        row: impl FnOnce() -> GroupRow,
    ) -> Result<(), ExposureError> {
        let (Some(heap), Some(all)) = (self.top.get_mut(scope), self.all.get_mut(scope)) else {
            return Ok(());
        };
        all.groups += 1;
        all.requests = all.requests.checked_add(requests).ok_or(ExposureError::Overflow)?;
        if let Some(limit) = self.limit
            && heap.len() >= limit
            && heap.peek().is_none_or(|last| last.0.subjects > subjects)
        {
            return Ok(());
        }
        heap.push(Ranked(row()));
        if self.limit.is_some_and(|limit| heap.len() > limit) {
            heap.pop();
        }
        Ok(())
    }

    /// # Errors
    /// [`ExposureError::Overflow`].
    pub fn merge(&mut self, other: Self) -> Result<(), ExposureError> {
        for (mine, theirs) in self.all.iter_mut().zip(&other.all) {
            mine.groups += theirs.groups;
            mine.requests =
                mine.requests.checked_add(theirs.requests).ok_or(ExposureError::Overflow)?;
        }
        for (mine, theirs) in self.top.iter_mut().zip(other.top) {
            mine.extend(theirs);
            while self.limit.is_some_and(|limit| mine.len() > limit) {
                mine.pop();
            }
        }
        Ok(())
    }

    /// Listed groups, by scope and rank, and for each scope what is left.
    pub fn finish(self) -> (Vec<GroupRow>, Vec<RestGroups>) {
        let mut rows = Vec::new();
        let mut rest = Vec::new();
        for (heap, mut all) in self.top.into_iter().zip(self.all) {
            for Ranked(row) in heap.into_sorted_vec() {
                all.groups -= 1;
                all.requests -= row.requests;
                rows.push(row);
            }
            rest.push(all);
        }
        (rows, rest)
    }
}

/// What is known of the group at hand, for one scope.
#[derive(Default)]
struct Current {
    group: u64,
    subjects: u64,
    last_subject: Option<u64>,
    apps: HashSet<u32>,
    requests: i64,
    first: i64,
    last: i64,
}

/// Counts groups on one thread.
pub struct GroupCounter<'a> {
    leaves: &'a [Arc<Leaf>],
    keyer: &'a Keyer,
    /// By cell.
    pub groups: Vec<[u64; Window::COUNT]>,
    stamps: Vec<(u64, WindowSet)>,
    number: u64,
    current: Vec<Current>,
    open: BTreeSet<usize>,
    pub top: TopGroups,
}

impl<'a> GroupCounter<'a> {
    pub fn new(
        leaves: &'a [Arc<Leaf>],
        cells: usize,
        scopes: usize,
        limit: Option<u64>,
        keyer: &'a Keyer,
    ) -> Self {
        Self {
            leaves,
            keyer,
            groups: vec![[0; Window::COUNT]; cells],
            stamps: vec![(0, 0); cells],
            number: 0,
            current: (0..scopes).map(|_| Current::default()).collect(),
            open: BTreeSet::new(),
            top: TopGroups::new(limit, scopes),
        }
    }

    /// Counts one partition of one group namespace.
    ///
    /// # Errors
    /// Temporary files that cannot be read, sums that overflow.
    pub fn partition(
        &mut self,
        sorted: &Sorted,
        partition: usize,
        space: usize,
        kind: Option<IdKind>,
        wide: bool,
    ) -> Result<(), ExposureError> {
        let mut at: Option<(Key, Option<Box<[u8]>>)> = None;
        sorted.each(partition, |bytes| {
            let record = GroupRecord::decode(wide, bytes).ok_or_else(|| {
                ExposureError::Internal { what: "a sorted record cannot be read back".into() }
            })?;
            if at.as_ref().map(|(key, _)| *key) != Some(record.group) {
                if let Some((key, id)) = at.take() {
                    self.close(key, id.as_deref(), space, kind)?;
                }
                at = Some((record.group, record.id.map(Into::into)));
                self.number += 1;
            }
            self.take(&record)
        })?;
        if let Some((key, id)) = at.take() {
            self.close(key, id.as_deref(), space, kind)?;
        }
        Ok(())
    }

    fn take(&mut self, record: &GroupRecord<'_>) -> Result<(), ExposureError> {
        let leaves = self.leaves;
        let Some(leaf) = usize::try_from(record.leaf).ok().and_then(|i| leaves.get(i)) else {
            return Ok(());
        };
        for (cell, windows) in &leaf.exposed {
            let cell = usize::try_from(*cell).unwrap_or(usize::MAX);
            let (Some(stamp), Some(counts)) =
                (self.stamps.get_mut(cell), self.groups.get_mut(cell))
            else {
                continue;
            };
            if stamp.0 != self.number {
                *stamp = (self.number, 0);
            }
            let fresh = windows & !stamp.1;
            if fresh != 0 {
                stamp.1 |= windows;
                for (window, count) in counts.iter_mut().enumerate() {
                    *count += u64::from(fresh >> window & 1);
                }
            }
        }
        for scope in &leaf.scopes {
            let index = usize::try_from(*scope).unwrap_or(usize::MAX);
            let Some(current) = self.current.get_mut(index) else { continue };
            if current.group != self.number {
                current.group = self.number;
                current.subjects = 0;
                current.last_subject = None;
                current.apps.clear();
                current.requests = 0;
                current.first = record.micros;
                current.last = record.micros;
                self.open.insert(index);
            }
            if record.subject != u64::MAX && current.last_subject != Some(record.subject) {
                current.last_subject = Some(record.subject);
                current.subjects += 1;
            }
            if leaf.app != NONE {
                current.apps.insert(leaf.app);
            }
            current.requests =
                current.requests.checked_add(record.weight).ok_or(ExposureError::Overflow)?;
            current.first = current.first.min(record.micros);
            current.last = current.last.max(record.micros);
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
        for index in std::mem::take(&mut self.open) {
            let Some(current) = self.current.get(index) else { continue };
            let keyer = self.keyer;
            self.top.offer(index, current.subjects, current.requests, || GroupRow {
                scope: u32::try_from(index).unwrap_or(NONE),
                id: own_id(keyer, key, id, kind),
                space,
                apps: current.apps.len() as u64,
                subjects: current.subjects,
                requests: current.requests,
                first: Moment::from_micros(current.first),
                last: Moment::from_micros(current.last),
            })?;
        }
        Ok(())
    }
}

/// A group's own id, from its key or from the text that the ledger keeps.
fn own_id(keyer: &Keyer, key: Key, id: Option<&[u8]>, kind: Option<IdKind>) -> String {
    if let Some(id) = id {
        let mut bytes = id.to_vec();
        keyer.veil(key, &mut bytes);
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    match kind {
        Some(IdKind::Int) => keyer.int_of(key).map(|id| id.to_string()),
        Some(IdKind::Uuid) => keyer.uuid_of(key).map(|id| uuid::Uuid::from_u128(id).to_string()),
        _ => None,
    }
    .unwrap_or_default()
}
