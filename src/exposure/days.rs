//! Values by day, as they are summed up.

use std::collections::BTreeMap;

use super::tally::DaySums;

/// Values by day: a few in a list, more of them side by side where they lie close together, or within a few years and
/// are many.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Days<T> {
    near: Vec<T>,
    /// The day of the first value of `near`.
    first: i64,
    /// In order. Most leaves of a log with many apps have an event on a few days only, far apart.
    few: Vec<(i64, T)>,
    /// Days that lie apart from `near`.
    far: BTreeMap<i64, T>,
}

impl<T> Default for Days<T> {
    fn default() -> Self {
        Self { near: Vec::new(), first: 0, few: Vec::new(), far: BTreeMap::new() }
    }
}

impl Days<DaySums> {
    /// Something of a day. Asked for many days in a short loop, the processor fetches several of them at once for what
    /// comes then.
    #[inline]
    pub fn touch(&self, day: i64) -> u64 {
        let index = usize::try_from(day.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        match self.near.get(index) {
            Some(on) => on.events,
            // Where a search for it begins.
            None => self.few.get(self.few.len() / 2).map_or(0, |few| few.1.events),
        }
    }
}

impl<T: Copy + Default> Days<T> {
    /// Days that `near` may span.
    const SPAN: i64 = 4096;
    /// Days in `few` at most.
    const FEW: usize = 24;
    /// From so many days on it is looked whether they lie side by side: to look one up in `few` waits for several
    /// places in memory, and for each of them before the next.
    const SOME: usize = 8;
    /// `near` grows by so many, and up to so many.
    const STEP: i64 = 8;
    const MOST: i64 = 32;

    #[inline]
    pub fn entry(&mut self, day: i64) -> &mut T {
        let index = usize::try_from(day.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if index >= self.near.len() {
            return self.make_room(day);
        }
        // The index was just looked at.
        self.near.get_mut(index).unwrap_or_else(|| self.far.entry(day).or_default())
    }

    fn make_room(&mut self, day: i64) -> &mut T {
        if !self.near.is_empty() {
            return self.widen(day);
        }
        match self.few.binary_search_by_key(&day, |few| few.0) {
            Ok(at) => self.few_at(at, day),
            Err(at) if self.few.len() < Self::FEW && !self.is_dense(day) => {
                self.few.insert(at, (day, T::default()));
                self.few_at(at, day)
            }
            Err(_) => {
                let few = std::mem::take(&mut self.few);
                let ends = few.first().zip(few.last());
                let (first, last) = ends.map_or((day, day), |(first, last)| (first.0, last.0));
                self.cover(first.min(day), last.max(day));
                for (day, value) in few {
                    *self.widen(day) = value;
                }
                self.widen(day)
            }
        }
    }

    /// Whether `few` and one day more take about as much memory side by side.
    fn is_dense(&self, day: i64) -> bool {
        if self.few.len() < self.few.capacity().max(Self::SOME) {
            return false;
        }
        let ends = self.few.first().zip(self.few.last()).map(|(first, last)| (first.0, last.0));
        let (first, last) = ends.unwrap_or((day, day));
        let ends = Self::steps(first.min(day), last.max(day), Self::STEP);
        let room = i64::try_from(self.few.len() * 4).unwrap_or(i64::MAX);
        ends.is_some_and(|(from, to)| to - from <= room)
    }

    fn few_at(&mut self, at: usize, day: i64) -> &mut T {
        match self.few.get_mut(at) {
            Some((_, value)) => value,
            None => self.far.entry(day).or_default(),
        }
    }

    /// Where the step of `first` begins, and that of `last` ends; none for days that no calendar has.
    fn steps(first: i64, last: i64, step: i64) -> Option<(i64, i64)> {
        let from = first.checked_sub(first.rem_euclid(step))?;
        let to = last.checked_sub(last.rem_euclid(step))?.checked_add(step)?;
        (from.checked_add(Self::SPAN)? >= to).then_some((from, to))
    }

    #[cold]
    fn widen(&mut self, day: i64) -> &mut T {
        self.cover(day, day);
        let index = usize::try_from(day.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        match self.near.get_mut(index) {
            Some(value) => value,
            None => self.far.entry(day).or_default(),
        }
    }

    /// Makes room side by side for these days and those between, unless they are too many.
    fn cover(&mut self, first: i64, last: i64) {
        let length = i64::try_from(self.near.len()).unwrap_or(i64::MAX);
        let end = last.saturating_add(1);
        let (from, to) = match length {
            0 => (first, end),
            _ => (self.first.min(first), end.max(self.first + length)),
        };
        if length > 0 && (from, to) == (self.first, self.first + length) {
            return;
        }
        // By a quarter, not day by day: people come in no order of days, and each step copies all.
        let step = (length / 4 / Self::STEP * Self::STEP).clamp(Self::STEP, Self::MOST);
        let (from, to) = Self::steps(from, to - 1, step).unwrap_or((from, to));
        let span = to.saturating_sub(from);
        // A few days far from all others do not fill the years between with nothing.
        let apart = length > 0 && span > length.saturating_mul(4) && self.far.len() < Self::FEW;
        if apart || span > Self::SPAN {
            return;
        }
        let before = match length {
            0 => 0,
            _ => usize::try_from(self.first - from).unwrap_or(0),
        };
        let length = usize::try_from(to - from).unwrap_or(0);
        self.near.reserve_exact(length.saturating_sub(self.near.len()));
        self.near.splice(0..0, std::iter::repeat_n(T::default(), before));
        self.near.resize(length, T::default());
        self.first = from;
        // Days that were far may be near now: a day stands in one place only.
        let early: Vec<i64> = self.far.range(from..to).map(|(day, _)| *day).collect();
        for day in early {
            let index = usize::try_from(day - from).unwrap_or(usize::MAX);
            if let (Some(slot), Some(value)) = (self.near.get_mut(index), self.far.remove(&day)) {
                *slot = value;
            }
        }
    }

    /// The value of a day; the default where there is none.
    pub fn get(&self, day: i64) -> T {
        let index = usize::try_from(day.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        let few = || self.few.binary_search_by_key(&day, |few| few.0).ok();
        let near = self.near.get(index);
        let found = near.or_else(|| Some(&self.few.get(few()?)?.1)).or_else(|| self.far.get(&day));
        found.copied().unwrap_or_default()
    }

    /// Day and value, in no order; days without a value may come with the default.
    pub fn iter(&self) -> impl Iterator<Item = (i64, T)> {
        let near = (self.first..).zip(self.near.iter().copied());
        near.chain(self.few.iter().copied())
            .chain(self.far.iter().map(|(day, value)| (*day, *value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Days close together, then some anywhere.
    fn days() -> impl Strategy<Value = Vec<i64>> {
        let far = prop_oneof![
            -3i64..40,
            -9_000i64..9_000,
            Just(i64::MAX / 2),
            Just(i64::MIN / 2),
            Just(i64::MIN),
            Just(i64::MAX - 1),
        ];
        let close = (-60i64..60, proptest::collection::vec(0i64..40, 0..40));
        (close, proptest::collection::vec(far, 0..60)).prop_map(|((from, close), far)| {
            close.into_iter().map(|day| from + day).chain(far).collect()
        })
    }

    #[test]
    fn days_close_together_lie_side_by_side_and_one_far_from_them_does_not() {
        let mut days = Days::<u64>::default();
        for day in 100..120 {
            *days.entry(day) += 1;
        }
        assert!(days.few.is_empty() && (20..=32).contains(&days.near.len()), "{days:?}");
        *days.entry(1_000) += 1;
        assert_eq!((days.near.len() <= 32, days.far.get(&1_000)), (true, Some(&1)));
        // Until there are many of them.
        for day in 200..300 {
            *days.entry(day * 10) += 1;
        }
        assert_eq!((days.far.len() < 24, *days.entry(1_000)), (true, 1));
        assert_eq!(days.iter().map(|(_, n)| n).sum::<u64>(), 121);
    }

    proptest! {
        #[test]
        fn days_hold_what_a_map_would_hold(days in days()) {
            let mut found = Days::<u64>::default();
            let mut expected = BTreeMap::<i64, u64>::new();
            for day in days {
                *found.entry(day) += 1;
                *expected.entry(day).or_default() += 1;
            }
            for (day, count) in &expected {
                prop_assert_eq!(found.get(*day), *count);
                prop_assert_eq!(found.get(*day ^ 1), expected.get(&(*day ^ 1)).copied().unwrap_or(0));
            }
            let found: BTreeMap<i64, u64> = found.iter().filter(|(_, n)| *n > 0).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
