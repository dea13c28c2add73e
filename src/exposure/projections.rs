//! What the first pass leaves for the second: records in other orders than that of people.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use super::ExposureError;
use super::policy::MixHasher;
use super::records::{ActorRecord, GroupName, GroupRecord, SmallRecord};
use crate::key::Key;
use crate::sorter::Sorter;

/// Where records for the second pass go.
pub struct Projections {
    /// By group namespace.
    pub groups: Vec<GroupSorters>,
    /// Actor records by person namespace; none where every actor is the subject, or none is mapped.
    pub actors: Vec<Option<Sorter<ActorRecord>>>,
}

impl Projections {
    /// Leaves no more than `budget` bytes to what waits to be sorted, in all sorters together.
    ///
    /// # Errors
    /// Temporary files that cannot be written.
    pub fn limit(&mut self, budget: u64) -> Result<(), ExposureError> {
        let sorters = self.groups.len() + self.actors.iter().flatten().count();
        let share = budget / u64::try_from(sorters.max(1)).unwrap_or(1);
        self.groups.iter_mut().try_for_each(|sorters| sorters.limit(share))?;
        Ok(self.actors.iter_mut().flatten().try_for_each(|sorter| sorter.limit(share))?)
    }
}

/// Events in the order of groups, and the groups' own ids where keys do not give them back.
pub struct GroupSorters {
    /// Most events are small.
    pub small: Sorter<SmallRecord>,
    pub events: Sorter<GroupRecord>,
    pub names: Sorter<GroupName>,
    /// Groups whose id was kept a moment ago.
    named: HashSet<Key, BuildHasherDefault<MixHasher>>,
}

impl GroupSorters {
    /// Groups remembered as named; above it the memory is cleared and ids are kept again.
    const NAMED: usize = 1 << 16;

    /// Bytes of the three sorters, of `budget` together: a namespace has events of one size, nearly
    /// always; ids take little beside them.
    pub fn shares(budget: u64) -> [u64; 3] {
        [4, 3, 1].map(|of| budget / 8 * of)
    }

    /// Leaves no more than `budget` bytes to what waits to be sorted.
    fn limit(&mut self, budget: u64) -> Result<(), ExposureError> {
        let [small, events, names] = Self::shares(budget);
        self.small.limit(small)?;
        self.events.limit(events)?;
        Ok(self.names.limit(names)?)
    }

    pub fn new(
        small: Sorter<SmallRecord>,
        events: Sorter<GroupRecord>,
        names: Sorter<GroupName>,
    ) -> Self {
        Self { small, events, names, named: HashSet::default() }
    }

    #[inline]
    pub fn push(&mut self, record: GroupRecord) -> Result<(), ExposureError> {
        match SmallRecord::of(&record) {
            Some(small) => self.small.push(small)?,
            None => self.events.push(record)?,
        }
        Ok(())
    }

    pub fn name(&mut self, group: Key, id: &[u8]) -> Result<(), ExposureError> {
        if self.named.len() >= Self::NAMED {
            self.named.clear();
        }
        if self.named.insert(group) {
            self.names.push(GroupName { group, id: id.into() })?;
        }
        Ok(())
    }
}
