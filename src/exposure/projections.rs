//! What the first pass leaves for the second: records in other orders than that of people.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::path::Path;
use std::sync::Arc;

use super::records::{ActorRecord, GroupName, GroupRecord, InParts, Of, SmallRecord};
use super::{ExposureError, PARTITION_BITS};
use crate::key::Key;
use crate::key::MixHasher;
use crate::sorter::Sorter;

/// Where records for the second pass go.
pub struct Projections {
    /// By group namespace.
    pub groups: Vec<GroupSorters>,
    /// Actor records by person namespace; none where every actor is the subject, or no row names one.
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

/// Events in the order of groups: most are small.
pub struct BySize<L> {
    pub small: Sorter<SmallRecord<L>>,
    pub large: Sorter<GroupRecord<L>>,
}

impl<L: Of> BySize<L> {
    fn new(folder: &Arc<Path>, [small, large]: [u64; 2]) -> Self {
        let small = Sorter::new(folder.clone(), small, PARTITION_BITS);
        Self { small, large: Sorter::new(folder.clone(), large, PARTITION_BITS) }
    }

    #[inline]
    fn push(&mut self, record: GroupRecord<L>) -> Result<(), ExposureError> {
        match SmallRecord::of(&record) {
            Some(small) => self.small.push(small)?,
            None => self.large.push(record)?,
        }
        Ok(())
    }

    fn limit(&mut self, [small, large]: [u64; 2]) -> Result<(), ExposureError> {
        self.small.limit(small)?;
        Ok(self.large.limit(large)?)
    }
}

/// Events in the order of groups, and the groups' own ids where keys do not give them back.
pub struct GroupSorters {
    pub whole: BySize<u32>,
    pub in_parts: BySize<InParts>,
    pub names: Sorter<GroupName>,
    /// Bytes of all sorters together.
    budget: u64,
    /// Whether any event is in parts.
    has_parts: bool,
    /// Groups whose id was kept a moment ago.
    named: HashSet<Key, BuildHasherDefault<MixHasher>>,
}

impl GroupSorters {
    /// Groups remembered as named; above it the memory is cleared and ids are kept again.
    const NAMED: usize = 1 << 16;

    // Eighths of the budget, small and large. A namespace has events of one size, nearly always; ids take
    // little beside them. As long as there are no events in parts, nothing is left free for them.
    const ALL_WHOLE: [u64; 2] = [4, 3];
    const WHOLE: [u64; 2] = [2, 1];
    const IN_PARTS: [u64; 2] = [3, 1];

    pub fn new(folder: &Arc<Path>, budget: u64) -> Self {
        let share = |parts: [u64; 2]| parts.map(|of| budget / 8 * of);
        Self {
            whole: BySize::new(folder, share(Self::ALL_WHOLE)),
            in_parts: BySize::new(folder, share(Self::IN_PARTS)),
            names: Sorter::new(folder.clone(), budget / 8, PARTITION_BITS),
            budget,
            has_parts: false,
            named: HashSet::default(),
        }
    }

    /// Leaves no more than `budget` bytes to what waits to be sorted.
    fn limit(&mut self, budget: u64) -> Result<(), ExposureError> {
        self.budget = budget;
        let share = |parts: [u64; 2]| parts.map(|of| budget / 8 * of);
        self.whole.limit(share(if self.has_parts { Self::WHOLE } else { Self::ALL_WHOLE }))?;
        self.in_parts.limit(share(Self::IN_PARTS))?;
        Ok(self.names.limit(budget / 8)?)
    }

    /// # Errors
    /// Temporary files that cannot be written.
    #[inline]
    pub fn push(&mut self, record: GroupRecord<u32>) -> Result<(), ExposureError> {
        self.whole.push(record)
    }

    /// # Errors
    /// As [`Self::push`].
    pub fn push_in_parts(&mut self, record: GroupRecord<InParts>) -> Result<(), ExposureError> {
        if !self.has_parts {
            self.has_parts = true;
            self.limit(self.budget)?;
        }
        self.in_parts.push(record)
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
