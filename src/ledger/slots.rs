//! The order of the rows of a block.

use super::merge::Head;
use crate::dealer::Dealer;

/// A row of a block: the upper half of its person's key, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    pub hi: u64,
    pub cursor: u32,
    pub row: u32,
}

/// Rows of a block, to be brought into order: those of each cursor are.
#[derive(Default)]
pub struct Slots {
    slots: Vec<Slot>,
    dealer: Dealer<Slot>,
}

impl Slots {
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
        if self.dealer.deal(&self.slots, |slot| slot.hi) {
            std::mem::swap(&mut self.slots, &mut self.dealer.dealt);
        } else {
            self.slots.sort_by_key(|slot| slot.hi);
        }
        // Runs of one `hi` are short and mostly one person's; only they need the rest of the head.
        for run in self.slots.chunk_by_mut(|a, b| a.hi == b.hi) {
            if run.len() > 1 && !run.is_sorted_by_key(&head) {
                run.sort_by_key(&head);
            }
        }
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
    }
}
