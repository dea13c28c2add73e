//! Which groups were read, in which stretches of their membership, through which leaves.

use super::ExposureError;
use crate::people::{GroupSet, GroupStretches};

/// A read of a group: a stretch, and the leaf of an event in it.
pub type Read = (u32, u32);

/// Reads of the groups that one thread has counted.
#[derive(Debug, Default)]
pub struct GroupReads {
    /// Number of each group, and where its reads begin.
    groups: Vec<(u32, usize)>,
    reads: Vec<Read>,
    /// Reads of the group at hand.
    current: Vec<Read>,
    /// By leaf: events without a person whose group had a member then.
    pub resolved: Vec<u64>,
    /// Reads that may be held.
    limit: usize,
}

impl GroupReads {
    pub fn new(leaves: usize, limit: usize) -> Self {
        Self { resolved: vec![0; leaves], limit, ..Default::default() }
    }

    /// Takes an event of the group.
    #[inline]
    pub fn event(&mut self, group: &GroupStretches, micros: i64, leaf: u32, nobody: bool) {
        let stretch = group.at(micros);
        if !group.inhabited(stretch) {
            return;
        }
        if nobody
            && let Some(resolved) =
                usize::try_from(leaf).ok().and_then(|leaf| self.resolved.get_mut(leaf))
        {
            *resolved += 1;
        }
        if self.current.last() != Some(&(stretch, leaf)) {
            self.current.push((stretch, leaf));
        }
    }

    /// Ends the group.
    ///
    /// # Errors
    /// [`ExposureError::Reads`] where more is held than the memory limit allows.
    pub fn close(&mut self, group: u32) -> Result<(), ExposureError> {
        if self.current.is_empty() {
            return Ok(());
        }
        self.current.sort_unstable();
        self.current.dedup();
        self.groups.push((group, self.reads.len()));
        self.reads.append(&mut self.current);
        if self.reads.len() + self.groups.len() * 2 > self.limit {
            return Err(ExposureError::Reads { reads: self.reads.len() as u64 });
        }
        Ok(())
    }
}

/// What is known of a group: its only read, or where its reads stand. A run with hundreds of millions of
/// memberships looks one up for each that matters, anywhere in memory: so it is one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(Read);

impl Entry {
    const UNREAD: Self = Self((u32::MAX, u32::MAX));
    /// Set where the first half is a place among `many`, and the rest of the second their number.
    const MANY: u32 = 1 << 31;
}

/// Reads of all groups, by number.
#[derive(Debug, Default)]
pub struct Reads {
    entries: Vec<Entry>,
    /// Reads of groups that have several, group after group.
    many: Vec<Read>,
    resolved: Vec<u64>,
    /// The groups that were read.
    pub groups: GroupSet,
}

impl Reads {
    /// # Errors
    /// [`ExposureError::Reads`] where there are more than four thousand million.
    pub fn new(parts: Vec<GroupReads>) -> Result<Self, ExposureError> {
        let last = parts.iter().flat_map(|p| p.groups.iter().map(|g| g.0)).max();
        let count = last.map_or(0, |last| usize::try_from(last).unwrap_or(0) + 1);
        let mut reads = Self { entries: vec![Entry::UNREAD; count], ..Default::default() };
        for part in parts {
            reads.resolved.resize(reads.resolved.len().max(part.resolved.len()), 0);
            for (sum, own) in reads.resolved.iter_mut().zip(&part.resolved) {
                *sum += own;
            }
            let ends = part.groups.iter().skip(1).map(|g| g.1).chain([part.reads.len()]);
            for ((group, from), to) in part.groups.iter().zip(ends) {
                let own = part.reads.get(*from..to).unwrap_or_default();
                let entry = reads.entry_of(own)?;
                reads.groups.insert(*group);
                let slot = usize::try_from(*group).ok().and_then(|g| reads.entries.get_mut(g));
                if let Some(slot) = slot {
                    *slot = entry;
                }
            }
        }
        Ok(reads)
    }

    fn entry_of(&mut self, own: &[Read]) -> Result<Entry, ExposureError> {
        if let [(stretch, leaf)] = own
            && *leaf < Entry::MANY
        {
            return Ok(Entry((*stretch, *leaf)));
        }
        let full = || ExposureError::Reads { reads: self.many.len() as u64 };
        let place = u32::try_from(self.many.len()).map_err(|_| full())?;
        let count = u32::try_from(own.len()).ok().filter(|n| *n < Entry::MANY).ok_or_else(full)?;
        self.many.extend_from_slice(own);
        Ok(Entry((place, Entry::MANY | count)))
    }

    #[inline]
    pub fn entry(&self, group: u32) -> Entry {
        let entry = usize::try_from(group).ok().and_then(|group| self.entries.get(group));
        entry.copied().unwrap_or(Entry::UNREAD)
    }

    /// Reads of a group within the stretches [from, to), in the order of stretches.
    #[inline]
    pub fn of<'a>(&'a self, entry: &'a Entry, from: u32, to: u32) -> &'a [Read] {
        if *entry == Entry::UNREAD {
            return &[];
        }
        let (first, second) = entry.0;
        let reads = if second & Entry::MANY == 0 {
            std::slice::from_ref(&entry.0)
        } else {
            let place = usize::try_from(first).unwrap_or(usize::MAX);
            let count = usize::try_from(second & !Entry::MANY).unwrap_or(0);
            self.many.get(place..place.saturating_add(count)).unwrap_or_default()
        };
        if (from, to) == (0, u32::MAX) {
            return reads;
        }
        let begin = reads.partition_point(|read| read.0 < from);
        let end = reads.partition_point(|read| read.0 < to);
        reads.get(begin..end).unwrap_or_default()
    }

    /// Events without a person whose group had a member then, by leaf.
    pub fn resolved(&self) -> &[u64] {
        &self.resolved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Stretch;

    #[test]
    fn reads_are_found_by_group_and_stretch() {
        let stretch = |from, inhabited| Stretch { from, inhabited };
        let group = GroupStretches {
            number: 5,
            stretches: vec![stretch(i64::MIN, true), stretch(10, false), stretch(20, true)],
        };
        let mut part = GroupReads::new(3, 100);
        // Before 10, between (nobody is a member then), and after 20 through two leaves.
        part.event(&group, 9, 1, false);
        part.event(&group, 15, 1, true);
        part.event(&group, 20, 2, true);
        part.event(&group, 21, 0, false);
        part.event(&group, 22, 2, false);
        part.close(5).unwrap();
        part.close(7).unwrap();
        let mut other = GroupReads::new(3, 100);
        other.event(&group, 30, 1, false);
        other.close(3).unwrap();
        let reads = Reads::new(vec![other, part]).unwrap();
        let of = |group, from, to| reads.of(&reads.entry(group), from, to).to_vec();
        assert_eq!(of(5, 0, u32::MAX), [(0, 1), (2, 0), (2, 2)]);
        assert_eq!(of(5, 1, u32::MAX), [(2, 0), (2, 2)]);
        assert_eq!(of(5, 0, 2), [(0, 1)]);
        assert_eq!(of(3, 0, u32::MAX), [(2, 1)]);
        assert!(of(3, 0, 2).is_empty());
        assert!(of(7, 0, u32::MAX).is_empty() && of(99, 0, u32::MAX).is_empty());
        assert_eq!(reads.resolved(), [0, 0, 1]);
    }
}
