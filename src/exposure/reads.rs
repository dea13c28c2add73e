//! Which groups were read, in which stretches of their membership, through which leaves.

use super::ExposureError;
use crate::people::GroupStretches;

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

/// Reads of all groups, by number.
#[derive(Debug, Default)]
pub struct Reads {
    parts: Vec<GroupReads>,
    /// Part and place of each group, [`UNREAD`] where it was not read.
    index: Vec<(u32, u32)>,
}

const UNREAD: (u32, u32) = (u32::MAX, u32::MAX);

impl Reads {
    pub fn new(parts: Vec<GroupReads>) -> Self {
        let last = parts.iter().flat_map(|p| p.groups.iter().map(|g| g.0)).max();
        let count = last.map_or(0, |last| usize::try_from(last).unwrap_or(0) + 1);
        let mut index = vec![UNREAD; count];
        for (number, part) in (0u32..).zip(&parts) {
            for ((group, _), place) in part.groups.iter().zip(0u32..) {
                if let Some(slot) =
                    usize::try_from(*group).ok().and_then(|group| index.get_mut(group))
                {
                    *slot = (number, place);
                }
            }
        }
        Self { parts, index }
    }

    /// Reads of a group within the stretches [from, to), in the order of stretches.
    #[inline]
    pub fn of(&self, group: u32, from: u32, to: u32) -> &[Read] {
        let place = usize::try_from(group).ok().and_then(|group| self.index.get(group));
        match place {
            Some(place) if *place != UNREAD => self.stretch(*place, from, to),
            _ => &[],
        }
    }

    fn stretch(&self, (part, place): (u32, u32), from: u32, to: u32) -> &[Read] {
        let index = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let Some(part) = self.parts.get(index(part)) else { return &[] };
        let begin = part.groups.get(index(place)).map_or(0, |group| group.1);
        let end = part.groups.get(index(place) + 1).map_or(part.reads.len(), |group| group.1);
        let reads = part.reads.get(begin..end).unwrap_or_default();
        if (from, to) == (0, u32::MAX) {
            return reads;
        }
        let first = reads.partition_point(|read| read.0 < from);
        let last = reads.partition_point(|read| read.0 < to);
        reads.get(first..last).unwrap_or_default()
    }

    /// Events without a person whose group had a member then, by leaf.
    pub fn resolved(&self) -> Vec<u64> {
        let mut all: Vec<u64> = Vec::new();
        for part in &self.parts {
            all.resize(all.len().max(part.resolved.len()), 0);
            for (sum, own) in all.iter_mut().zip(&part.resolved) {
                *sum += own;
            }
        }
        all
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
        let reads = Reads::new(vec![GroupReads::new(3, 100), part]);
        assert_eq!(reads.of(5, 0, u32::MAX), [(0, 1), (2, 0), (2, 2)]);
        assert_eq!(reads.of(5, 1, u32::MAX), [(2, 0), (2, 2)]);
        assert_eq!(reads.of(5, 0, 2), [(0, 1)]);
        assert!(reads.of(7, 0, u32::MAX).is_empty() && reads.of(99, 0, u32::MAX).is_empty());
        assert_eq!(reads.resolved(), [0, 0, 1]);
    }
}
