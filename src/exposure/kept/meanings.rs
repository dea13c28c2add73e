//! What rows of an app and a scope set mean, by their moment: their leaf, and whether that was another.

use super::spans::Spans;
use crate::exposure::leaf::Standing;
use crate::exposure::lookup::LeafAt;

/// What a row means: where the leaf of its exposure is found, and two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning(u32);

impl Meaning {
    const CHANGED: u32 = 1 << 31;

    /// It does not stand here.
    pub const ELSEWHERE: Self = Self(1 << 30);

    /// An allowed event of this leaf; `None` for a leaf that has no place here.
    fn of(leaf: &LeafAt, changed: bool) -> Option<Self> {
        let exposed = leaf.standing == Standing::Counts && leaf.exercised;
        let slot = if exposed { leaf.number.checked_add(1)? } else { 0 };
        let has_place = leaf.number < Self::ELSEWHERE.0 - 1 && !leaf.in_parts;
        has_place.then_some(Self(slot | Self::of_row(changed).0))
    }

    /// No exposure.
    pub fn of_row(changed: bool) -> Self {
        Self(if changed { Self::CHANGED } else { 0 })
    }

    /// Of a row that is rejected, and may mean something else for that.
    pub fn rejected(self, differs: bool) -> Self {
        if self == Self::ELSEWHERE { self } else { Self::of_row(self.is_changed() || differs) }
    }

    /// The number of the leaf that an allowed event is an exposure of, and one; else 0.
    #[inline]
    pub fn slot(self) -> usize {
        usize::try_from(self.0 & (Self::ELSEWHERE.0 - 1)).unwrap_or(0)
    }

    /// Whether the row means something else than it did.
    #[inline]
    pub fn is_changed(self) -> bool {
        self.0 & Self::CHANGED > 0
    }
}

/// The meanings between the moments at which they change. Every row asks for one: all stands in a line or two of the
/// processor's cache.
#[derive(Clone, Debug)]
pub struct Meanings {
    /// Microseconds, ascending; those that there are not lie at the end of time.
    cuts: [i64; Self::CUTS],
    meanings: [Meaning; Self::CUTS + 1],
}

impl Meanings {
    /// `as_of`, the lookback, one restriction and one grace, of which one or two were others.
    const CUTS: usize = 6;

    /// Nothing stands here.
    pub const ELSEWHERE: Self =
        Self { cuts: [i64::MAX; Self::CUTS], meanings: [Meaning::ELSEWHERE; Self::CUTS + 1] };

    /// Of leaves between cuts, and of where they were others; `None` where these are more than most are, or lie between
    /// two microseconds.
    pub fn of((cuts, leaves): (&[i64], &[LeafAt]), changed: &Spans) -> Option<Self> {
        let spans = changed.near()?;
        let ends = spans.iter().filter(|(from, last)| from <= last);
        let ends = ends.flat_map(|(from, last)| [Some(*from), last.checked_add(1)]);
        let mut all: Vec<i64> = cuts.iter().copied().chain(ends.flatten()).collect();
        all.sort_unstable();
        all.dedup();
        // From the end of time on there is one moment that is in no segment of its own.
        if all.len() > Self::CUTS || all.last() == Some(&i64::MAX) {
            return None;
        }
        let is_within = |at: i64| spans.iter().any(|(from, last)| *from <= at && at <= *last);
        let meaning = |at: i64| {
            let leaf = leaves.get(cuts.iter().filter(|cut| **cut <= at).count())?;
            Meaning::of(leaf, is_within(at))
        };
        let mut meanings = [meaning(i64::MIN)?; Self::CUTS + 1];
        for (segment, at) in (1..).zip(&all) {
            // Those behind the last cut are asked for at the end of time alone.
            meanings.get_mut(segment..)?.fill(meaning(*at)?);
        }
        let mut own = [i64::MAX; Self::CUTS];
        own.get_mut(..all.len())?.copy_from_slice(&all);
        Some(Self { cuts: own, meanings })
    }

    pub fn are_elsewhere(&self) -> bool {
        self.meanings[0] == Meaning::ELSEWHERE
    }

    #[inline]
    pub fn at(&self, micros: i64) -> Meaning {
        let segment: usize = self.cuts.iter().map(|cut| usize::from(*cut <= micros)).sum();
        self.meanings.get(segment).copied().unwrap_or(self.meanings[Self::CUTS])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::moment::Moment;

    fn leaf(number: u32) -> LeafAt {
        let standing = if number % 3 == 2 { Standing::Outside } else { Standing::Counts };
        LeafAt {
            number,
            standing,
            exercised: number.is_multiple_of(2),
            exercises: true,
            in_parts: false,
        }
    }

    proptest! {
        #[test]
        fn a_meaning_is_that_of_the_leaf_and_of_the_spans(
            mut cuts in proptest::collection::vec(-9..9i64, 0..5),
            spans in proptest::collection::vec((-9..9i64, 0..6i64), 0..3),
            endless in any::<bool>(),
        ) {
            cuts.sort_unstable();
            cuts.dedup();
            let leaves: Vec<LeafAt> = (0..=cuts.len()).map(|n| leaf(u32::try_from(n).unwrap())).collect();
            let mut spans: Vec<_> = spans
                .into_iter()
                .map(|(from, long)| (Moment::from_micros(from), Moment::from_micros(from + long)))
                .filter(|(from, to)| from < to)
                .collect();
            if endless {
                spans.push((Moment::from_micros(7), Moment::MAX));
            }
            let spans = Spans::of(spans);
            let Some(meanings) = Meanings::of((&cuts, &leaves), &spans) else { return Ok(()) };
            for at in (-12..18).chain([i64::MIN, i64::MAX]) {
                let expected = &leaves[cuts.iter().filter(|cut| **cut <= at).count()];
                let found = meanings.at(at);
                let exposed = expected.standing == Standing::Counts && expected.exercised;
                prop_assert_eq!(found.slot(), if exposed { expected.number as usize + 1 } else { 0 });
                prop_assert_eq!(found.is_changed(), spans.hold(Moment::from_micros(at)), "{}", at);
            }
        }
    }

    #[test]
    fn a_row_that_is_rejected_is_no_exposure() {
        for (changed, differs) in [(false, false), (false, true), (true, false), (true, true)] {
            let meaning = Meaning::of(&leaf(0), changed).unwrap();
            assert_eq!((meaning.slot(), meaning.is_changed()), (1, changed));
            let rejected = meaning.rejected(differs);
            assert_eq!((rejected.slot(), rejected.is_changed()), (0, changed || differs));
            assert_eq!(Meaning::ELSEWHERE.rejected(differs), Meaning::ELSEWHERE);
        }
        assert_eq!((Meaning::ELSEWHERE.slot(), Meaning::ELSEWHERE.is_changed()), (0, false));
    }

    #[test]
    fn what_most_pairs_have_has_meanings() {
        let cuts = [0, 100, 200];
        let leaves: Vec<LeafAt> = (0..4).map(leaf).collect();
        let day = |from| (Moment::from_micros(from), Moment::from_micros(from + 10));
        assert!(Meanings::of((&cuts, &leaves), &Spans::of(vec![day(90), day(190)])).is_some());
        let parts = LeafAt { in_parts: true, ..leaf(1) };
        assert!(Meanings::of((&[], &[parts]), &Spans::of(vec![])).is_none());
        for (number, has_place) in [(0, true), ((1 << 30) - 2, true), ((1 << 30) - 1, false)] {
            let far = LeafAt { number, ..leaf(0) };
            let meanings = Meanings::of((&[], &[far]), &Spans::of(vec![]));
            let slot = meanings.map(|meanings| meanings.at(0).slot());
            assert_eq!(slot, has_place.then_some(number as usize + 1));
        }
    }
}
