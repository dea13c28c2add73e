//! The second pass: events in the order of (group, person).

use std::ops::Range;

use super::ExposureError;
use super::cells::ByWindow;
use super::eras::Era;
use super::fetch::fetch;
use super::group_events::{Events, GroupEvent, SortedGroups};
use super::group_ids::own_id;
use super::leaf::{LeafCells, LeafScope, LeafTable};
use super::listed::{GroupsMet, Met, TopGroups};
use super::parts::{Part, Parts};
use super::policy::Policy;
use super::reads::{GroupReads, Reads};
use super::records::{GroupName, GroupRecord, InParts, NOBODY};
use super::seen::Seen;
use super::totals::add;
use crate::key::{IdKind, Key, Keyer};
use crate::moment::Moment;
use crate::people::{GroupCursor, GroupStretches};
use crate::scan::batch::NONE;
use crate::sorter::Ordered;

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

/// An event of a group, and its leaves: where they stand in [`Batch::leaves`].
#[derive(Clone, Copy)]
struct Counted {
    group: Key,
    subject: u64,
    micros: i64,
    weight: i64,
    from: usize,
    to: usize,
}

/// Events that follow each other. What one needs lies anywhere in memory: short loops over all of them wait for many
/// places at once.
#[derive(Default)]
struct Batch {
    events: Vec<Counted>,
    leaves: Vec<u32>,
    /// Of events in parts, whose leaves are not known yet: where they stand in `events`.
    split: Vec<(usize, InParts)>,
}

impl Batch {
    const FULL: usize = if cfg!(test) { 3 } else { 256 };

    fn clear(&mut self) {
        self.events.clear();
        self.leaves.clear();
        self.split.clear();
    }
}

impl Counted {
    fn new<L>(record: &GroupRecord<L>, leaves: Range<usize>) -> Self {
        let GroupRecord { group, subject, micros, weight, .. } = *record;
        Self { group, subject, micros, weight, from: leaves.start, to: leaves.end }
    }
}

/// After so many groups it is looked whether those that are listed fit into the memory limit.
const FEW_GROUPS: u64 = 1 << 12;

/// Counts groups on one thread.
pub struct GroupCounter<'a> {
    leaves: &'a LeafTable,
    policy: &'a Policy,
    era: Era,
    parts: Parts,
    /// Of the event at hand.
    found: Vec<Part>,
    keyer: &'a Keyer,
    pub seen: Seen,
    /// Of the group at hand, the first is 1.
    number: u64,
    current: Vec<Current>,
    /// Scopes through which the group at hand was reached.
    open: Vec<usize>,
    met: &'a GroupsMet<'a>,
    /// By scope: groups that `met` does not know of yet.
    untold: Vec<u64>,
    pub top: TopGroups,
    pub reads: GroupReads,
    /// The group at hand, where it has members.
    stretches: Option<GroupStretches>,
}

/// What the second pass has found out.
pub struct GroupsSeen {
    /// Groups by cell and window; those of then where they are counted, too.
    pub counts: (Vec<ByWindow>, Vec<ByWindow>),
    pub top: TopGroups,
    /// Which of those with members were read.
    pub reads: Reads,
}

impl<'a> GroupCounter<'a> {
    pub fn new(
        leaves: &'a LeafTable,
        (policy, era): (&'a Policy, Era),
        met: &'a GroupsMet<'a>,
        keyer: &'a Keyer,
        reads: GroupReads,
    ) -> Self {
        let (cells, scopes) = (policy.cells.len(), policy.scope_names.len());
        Self {
            leaves,
            policy,
            era,
            parts: Parts::default(),
            found: Vec::new(),
            keyer,
            seen: Seen::new(cells, policy.is_joint()),
            number: 0,
            current: (0..scopes).map(|_| Current::default()).collect(),
            open: Vec::new(),
            met,
            untold: vec![0; scopes],
            top: met.top(),
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
        let mut batch = Batch::default();
        let mut at: Option<Key> = None;
        loop {
            self.fill(&mut batch, &mut events)?;
            let last = batch.events.is_empty();
            for event in &batch.events {
                if at != Some(event.group) {
                    if let Some(group) = at {
                        self.end(group, &mut names, &mut name, (space, sorted.kind))?;
                    }
                    at = Some(event.group);
                    self.number += 1;
                    self.stretches = match &mut members {
                        Some(members) => members.find(event.group)?.cloned(),
                        None => None,
                    };
                }
                for leaf in batch.leaves.get(event.from..event.to).unwrap_or_default() {
                    self.count(*leaf, event)?;
                }
            }
            if last {
                break;
            }
        }
        if let Some(group) = at {
            self.end(group, &mut names, &mut name, (space, sorted.kind))?;
        }
        self.tell()
    }

    /// The next events, with their leaves.
    fn fill(&mut self, batch: &mut Batch, events: &mut Events<'_>) -> Result<(), ExposureError> {
        batch.clear();
        let Batch { events: counted, leaves, split } = batch;
        while counted.len() < Batch::FULL
            && let Some(event) = events.next()?
        {
            let from = leaves.len();
            match event {
                GroupEvent::Whole(record) => {
                    leaves.push(record.of);
                    counted.push(Counted::new(&record, from..leaves.len()));
                }
                GroupEvent::InParts(record) => {
                    split.push((counted.len(), record.of));
                    counted.push(Counted::new(&record, from..from));
                }
            }
        }
        let sets = split.iter().map(|(_, of)| (of.app, self.policy.set(of.set)));
        self.parts.fetch(sets.filter_map(|(app, set)| Some((app, set?))));
        for (event, of) in split {
            let Some(event) = counted.get_mut(*event) else { continue };
            self.find_parts(*of, event.micros)?;
            let exposed = self.found.iter().filter(|part| part.exposed);
            event.from = leaves.len();
            leaves.extend(exposed.map(|part| part.leaf));
            event.to = leaves.len();
        }
        fetch(leaves.iter().filter_map(|leaf| self.leaves.get(*leaf)).map(
            |LeafCells { scopes, exposed }| {
                let first = scopes.first().map_or(0, |scope| u64::from(scope.scope));
                exposed.iter().fold(first, |touched, (cell, _)| touched ^ self.seen.touch(*cell))
            },
        ));
        Ok(())
    }

    /// Ends the group at hand.
    fn end(
        &mut self,
        group: Key,
        names: &mut Ordered<'_, GroupName>,
        name: &mut Option<GroupName>,
        of: (usize, Option<IdKind>),
    ) -> Result<(), ExposureError> {
        while name.as_ref().is_some_and(|name| name.group < group) {
            *name = names.next_record()?;
        }
        if let Some(group) = &self.stretches {
            self.reads.close(group.number)?;
        }
        let own = name.as_ref().filter(|name| name.group == group).map(|name| name.id.as_ref());
        self.close(group, own, of)?;
        if self.number.is_multiple_of(FEW_GROUPS) {
            self.tell()?;
        }
        Ok(())
    }

    /// Tells how many groups were met since the last time.
    fn tell(&mut self) -> Result<(), ExposureError> {
        self.met.add(&mut self.untold);
        self.met.fits()
    }

    fn find_parts(&mut self, of: InParts, micros: i64) -> Result<(), ExposureError> {
        let InParts { app, set, nanos } = of;
        let Some(scopes) = self.policy.set(set) else {
            return Err(ExposureError::Internal { what: format!("there is no scope set {set}") });
        };
        self.found.clear();
        let mut known = (self.policy, self.era);
        self.parts.find((app, scopes), Moment { micros, nanos }, &mut known, &mut self.found)?;
        self.parts.learned.clear();
        Ok(())
    }

    /// Counts an event of the group in a leaf.
    fn count(&mut self, leaf: u32, record: &Counted) -> Result<(), ExposureError> {
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
            let is_new = app_cell.is_some_and(|cell| self.seen.is_new(cell, self.number));
            current.apps += u64::from(is_new);
            add(&mut current.requests, record.weight)?;
            current.first = current.first.min(record.micros);
            current.last = current.last.max(record.micros);
        }
        for (cell, windows) in exposed {
            self.seen.add(*cell, self.number, *windows);
        }
        Ok(())
    }

    fn close(
        &mut self,
        key: Key,
        id: Option<&[u8]>,
        (space, kind): (usize, Option<IdKind>),
    ) -> Result<(), ExposureError> {
        let mut open = std::mem::take(&mut self.open);
        for index in open.drain(..) {
            let Some(current) = self.current.get(index) else { continue };
            if let Some(untold) = self.untold.get_mut(index) {
                *untold += 1;
            }
            let met = Met {
                key,
                space: u32::try_from(space).unwrap_or(NONE),
                number: self.stretches.as_ref().map(|group| group.number),
                apps: current.apps,
                subjects: current.subjects,
                requests: current.requests,
                first: current.first,
                last: current.last,
            };
            let keyer = self.keyer;
            self.top.offer(index, met, |text| own_id(keyer, key, id, kind, text))?;
        }
        self.open = open;
        Ok(())
    }
}
