//! The order of the rows of a block.

use super::merge::Head;

/// A row of a block: the upper half of its person's key, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    pub hi: u64,
    pub cursor: u32,
    pub row: u32,
}

/// Rows of a block, to be brought into order: those of each cursor are.
///
/// Keys are spread evenly, so that the place of one among those of the block tells nearly where its row belongs:
/// rows are dealt to buckets of about two by it, and moved a step or two within. That takes half the time of a sort
/// that joins the runs of the cursors. Where keys are not spread (nobody's rows, ids that were chosen to be so), a
/// bucket is too full, and the runs are joined.
#[derive(Default)]
pub struct Slots {
    slots: Vec<Slot>,
    dealt: Vec<Slot>,
    next: Vec<u32>,
}

impl Slots {
    /// Rows of a bucket at most.
    const FULL: u32 = 32;
    /// Fewer rows are not dealt.
    const FEW: usize = 64;

    pub fn clear(&mut self) {
        self.slots.clear();
    }

    pub fn push(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    pub fn as_slice(&self) -> &[Slot] {
        &self.slots
    }

    /// Brings the rows into the order of their heads; equal ones stay in the order of their cursors.
    pub fn sort(&mut self, head: impl Fn(&Slot) -> Option<Head>) {
        if !self.deal() {
            self.slots.sort_by_key(|slot| slot.hi);
        }
        // Runs of one `hi` are short and mostly one person's; only they need the rest of the head.
        for run in self.slots.chunk_by_mut(|a, b| a.hi == b.hi) {
            if run.len() > 1 && !run.is_sorted_by_key(&head) {
                run.sort_by_key(&head);
            }
        }
    }

    /// Sorts by `hi` where the buckets are not too full; says whether they were not.
    fn deal(&mut self) -> bool {
        let rows = self.slots.len();
        if rows < Self::FEW {
            return false;
        }
        let (least, greatest) = self.slots.iter().fold((u64::MAX, 0), |(least, greatest), slot| {
            (least.min(slot.hi), greatest.max(slot.hi))
        });
        let bits = (rows / 2).next_power_of_two().trailing_zeros();
        let shift = (u64::BITS - (greatest - least).leading_zeros()).saturating_sub(bits);
        // Less than a bucket for each row.
        let bucket_of = |slot: &Slot| ((slot.hi - least) >> shift) as usize;
        self.next.clear();
        self.next.resize(1 << bits, 0);
        for slot in &self.slots {
            let Some(next) = self.next.get_mut(bucket_of(slot)) else { return false };
            *next += 1;
        }
        let mut from = 0;
        for next in &mut self.next {
            let own = std::mem::replace(next, from);
            if own > Self::FULL {
                return false;
            }
            from += own;
        }
        self.dealt.clear();
        self.dealt.resize(rows, Slot::default());
        for slot in &self.slots {
            let Some(next) = self.next.get_mut(bucket_of(slot)) else { return false };
            let place = usize::try_from(*next).ok().and_then(|next| self.dealt.get_mut(next));
            let Some(place) = place else { return false };
            *place = *slot;
            *next += 1;
        }
        for row in 1..rows {
            let mut at = row;
            while let Some([before, here]) = self.dealt.get_mut(at - 1..=at)
                && before.hi > here.hi
            {
                std::mem::swap(before, here);
                at -= 1;
                if at == 0 {
                    break;
                }
            }
        }
        std::mem::swap(&mut self.slots, &mut self.dealt);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use proptest::prelude::*;

    /// Few people, and people all over.
    fn hi() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..9, any::<u64>(), 0u64..2_000]
    }

    proptest! {
        #[test]
        fn slots_of_sorted_runs_come_in_the_order_of_their_heads(
            mut runs in proptest::collection::vec(
                proptest::collection::vec((hi(), 0u64..3, 0u64..3), 0..60), 1..20)
        ) {
            for run in &mut runs {
                run.sort_unstable();
            }
            let head = |slot: &Slot| {
                let (hi, lo, event) = runs[slot.cursor as usize][slot.row as usize];
                let event = Some(Key { hi: event, lo: 0 });
                Some(Head { person: Some(Key { hi, lo }), event })
            };
            let mut slots = Slots::default();
            for (cursor, run) in (0..).zip(&runs) {
                for (row, head) in (0..).zip(run) {
                    slots.push(Slot { hi: head.0, cursor, row });
                }
            }
            let mut expected = slots.as_slice().to_vec();
            expected.sort_by_key(|slot| (head(slot), slot.cursor, slot.row));
            slots.sort(head);
            prop_assert_eq!(slots.as_slice(), expected);
        }

        #[test]
        fn keys_that_are_spread_are_dealt(seed in any::<u64>()) {
            let mut slots = Slots::default();
            for row in 0..1_000 {
                slots.push(Slot { hi: crate::key::mix(seed ^ u64::from(row)) >> 20, cursor: 0, row });
            }
            prop_assert!(slots.deal());
            prop_assert!(slots.as_slice().is_sorted_by_key(|slot| slot.hi));
        }
    }
}
