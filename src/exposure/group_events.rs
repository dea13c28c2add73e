//! Events in the order of (group, person), of both kinds and sizes.

use super::projections::{BySize, GroupSorters};
use super::records::{GroupName, GroupRecord, InParts, Of, SmallRecord};
use super::{ExposureError, PARTITION_BITS};
use crate::key::{IdKind, Key};
use crate::sorter::{Ordered, Sorted};

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
    pub names: Sorted<GroupName>,
    pub kind: Option<IdKind>,
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
pub enum GroupEvent {
    Whole(GroupRecord<u32>),
    InParts(GroupRecord<InParts>),
}

/// Events of both kinds in the order of (group, person).
pub struct Events<'a> {
    whole: Stream<'a, u32>,
    in_parts: Stream<'a, InParts>,
}

impl<'a> Events<'a> {
    /// # Errors
    /// Temporary files that cannot be read.
    pub fn open(sorted: &'a SortedGroups, partition: usize) -> Result<Self, ExposureError> {
        let whole = Stream::open(&sorted.whole, partition)?;
        Ok(Self { whole, in_parts: Stream::open(&sorted.in_parts, partition)? })
    }

    /// # Errors
    /// Temporary files that cannot be read.
    pub fn next(&mut self) -> Result<Option<GroupEvent>, ExposureError> {
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
