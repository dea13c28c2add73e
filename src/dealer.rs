//! Sorting by keys that are spread evenly.

use crate::codes::index;

/// Sorts by keys that are spread evenly, so that the place of one among the others tells nearly where its row belongs:
/// rows are dealt to buckets of about two by it, and moved a step or two within. That takes half the time of a sort
/// that compares. Where keys are not spread (nobody's rows, somebody who comes again and again, ids that were chosen to be
/// so), a bucket is too full for that, and its rows alone are compared.
#[derive(Debug)]
pub struct Dealer<T> {
    /// The rows in order.
    pub dealt: Vec<T>,
    next: Vec<u32>,
}

impl<T> Default for Dealer<T> {
    fn default() -> Self {
        Self { dealt: Vec::new(), next: Vec::new() }
    }
}

impl<T: Copy> Dealer<T> {
    /// Rows of a bucket at most, where it is put in order step by step.
    const FULL: usize = 32;
    /// Fewer rows are not dealt.
    const FEW: usize = 64;

    /// Puts the rows in the order of their keys into `dealt`, equal ones in their own order, where there are neither too
    /// few nor too many to number; says whether there were not.
    pub fn deal(&mut self, all: &[T], key: impl Fn(&T) -> u64) -> bool {
        if !self.deal_out(all, &key) {
            return false;
        }
        for bucket in buckets(&mut self.dealt, &self.next) {
            if bucket.len() > Self::FULL {
                bucket.sort_by_key(&key);
            }
        }
        for row in 1..self.dealt.len() {
            let mut at = row;
            while let Some([before, here]) = self.dealt.get_mut(at - 1..=at)
                && key(before) > key(here)
            {
                std::mem::swap(before, here);
                at -= 1;
                if at == 0 {
                    break;
                }
            }
        }
        true
    }

    /// Puts the rows into order, where there are neither too few nor too many to number; says whether there were not. Many
    /// may have one key: each bucket is sorted by comparing, and most hold the rows of one key or two.
    pub fn sort(&mut self, all: &[T], key: impl Fn(&T) -> u64) -> bool
    where
        T: Ord,
    {
        if !self.deal_out(all, &key) {
            return false;
        }
        for bucket in buckets(&mut self.dealt, &self.next) {
            bucket.sort_unstable();
        }
        true
    }

    /// Puts the rows into `dealt` bucket by bucket; of each `next` is the end.
    fn deal_out(&mut self, all: &[T], key: &impl Fn(&T) -> u64) -> bool {
        let rows = all.len();
        let Some(first) = all.first().filter(|_| rows >= Self::FEW && u32::try_from(rows).is_ok())
        else {
            return false;
        };
        let (least, greatest) = all.iter().fold((u64::MAX, 0), |(least, greatest), row| {
            (key(row).min(least), key(row).max(greatest))
        });
        let bits = (rows / 2).next_power_of_two().trailing_zeros();
        let shift = (u64::BITS - (greatest - least).leading_zeros()).saturating_sub(bits);
        // Less than a bucket for each row.
        let bucket_of = |row: &T| ((key(row) - least) >> shift) as usize;
        self.next.clear();
        self.next.resize(1 << bits, 0);
        for row in all {
            let Some(next) = self.next.get_mut(bucket_of(row)) else { return false };
            *next += 1;
        }
        let mut from = 0;
        for next in &mut self.next {
            from += std::mem::replace(next, from);
        }
        // Each of them is written below.
        self.dealt.resize(rows, *first);
        for row in all {
            let Some(next) = self.next.get_mut(bucket_of(row)) else { return false };
            let place = usize::try_from(*next).ok().and_then(|next| self.dealt.get_mut(next));
            let Some(place) = place else { return false };
            *place = *row;
            *next += 1;
        }
        true
    }
}

/// Buckets one after the other, of each the end.
fn buckets<'a, T>(mut rest: &'a mut [T], ends: &'a [u32]) -> impl Iterator<Item = &'a mut [T]> {
    let mut from = 0;
    ends.iter().map_while(move |end| {
        let own = index(end - std::mem::replace(&mut from, *end));
        let (bucket, after) = std::mem::take(&mut rest).split_at_mut_checked(own)?;
        rest = after;
        Some(bucket)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_that_are_spread_are_dealt(seed in any::<u64>()) {
            let key = |row: &u64| crate::key::mix(seed ^ *row) >> 20;
            let rows: Vec<u64> = (0..1_000).collect();
            let mut dealer = Dealer::default();
            prop_assert!(dealer.deal(&rows, key));
            prop_assert!(dealer.dealt.is_sorted_by_key(key));
            let mut buckets = buckets(&mut dealer.dealt, &dealer.next);
            prop_assert!(buckets.all(|bucket| bucket.len() <= Dealer::<u64>::FULL));
        }

        #[test]
        fn what_is_sorted_is_in_order_whatever_the_keys(
            keys in proptest::collection::vec(prop_oneof![0u64..50, any::<u64>(), Just(u64::MAX)], 0..400),
            seed in any::<u64>(),
        ) {
            let mut rows: Vec<(u64, u64)> =
                keys.into_iter().zip(0..).map(|(key, i)| (key, crate::key::mix(seed ^ i))).collect();
            let mut dealer = Dealer::default();
            prop_assert_eq!(dealer.sort(&rows, |row| row.0), rows.len() >= 64);
            if rows.len() >= 64 {
                rows.sort_unstable();
                prop_assert_eq!(dealer.dealt, rows);
            }
        }

        #[test]
        fn what_is_dealt_is_in_order_and_equal_keys_stay_in_theirs(
            keys in proptest::collection::vec(prop_oneof![0u64..50, any::<u64>(), Just(7)], 0..400),
        ) {
            let rows: Vec<(u64, u32)> = keys.into_iter().zip(0..).collect();
            let mut dealer = Dealer::default();
            prop_assert_eq!(dealer.deal(&rows, |row| row.0), rows.len() >= 64);
            if rows.len() >= 64 {
                let mut expected = rows;
                expected.sort_by_key(|row| row.0);
                prop_assert_eq!(dealer.dealt, expected);
            }
        }
    }
}
