//! Where two sets of rules differ, as every row asks for it.

use std::sync::Arc;

use crate::exposure::rules::Stretch;
use crate::moment::Moment;

/// Stretches of time. Nearly always they are one or two and begin and end with whole microseconds: then they stand here,
/// and what a row asks for is in one place.
#[derive(Clone, Debug)]
pub struct Spans {
    /// From the first to the last microsecond, both within.
    near: [(i64, i64); Self::NEAR],
    /// All of them, where they are more or lie between two microseconds.
    all: Option<Arc<[Stretch]>>,
}

impl Spans {
    const NEAR: usize = 2;
    const NONE: (i64, i64) = (i64::MAX, i64::MIN);

    /// Of stretches in any order; the last moment of all is the end of time, and within.
    pub fn of(mut stretches: Vec<Stretch>) -> Self {
        stretches.sort_unstable();
        let mut joined: Vec<Stretch> = Vec::new();
        for (from, to) in stretches {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        let mut near = [Self::NONE; Self::NEAR];
        let mut fits = joined.len() <= Self::NEAR;
        for (slot, (from, to)) in near.iter_mut().zip(&joined) {
            let last = match *to {
                Moment::MAX => Some(i64::MAX),
                Moment { micros, nanos: 0 } => micros.checked_sub(1),
                _ => None,
            };
            fits &= from.nanos == 0 && last.is_some();
            *slot = (from.micros, last.unwrap_or(i64::MIN));
        }
        Self { near, all: (!fits).then(|| joined.into()) }
    }

    /// The stretches, where they are few and whole microseconds; of one that is none, the first lies behind the last.
    pub fn near(&self) -> Option<&[(i64, i64)]> {
        self.all.is_none().then_some(&self.near)
    }

    #[inline]
    pub fn hold(&self, at: Moment) -> bool {
        match &self.all {
            None => self.near.iter().any(|(from, last)| *from <= at.micros && at.micros <= *last),
            Some(all) => {
                all.iter().any(|(from, to)| *from <= at && (at < *to || *to == Moment::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few moments, so that ends meet; some lie between two microseconds.
    fn moment() -> impl Strategy<Value = Moment> {
        prop_oneof![
            1 => Just(Moment::MIN),
            1 => Just(Moment::MAX),
            6 => (0i64..8, prop_oneof![6 => Just(0u16), 1 => 1u16..999])
                .prop_map(|(micros, nanos)| Moment { micros, nanos }),
        ]
    }

    proptest! {
        #[test]
        fn spans_hold_what_one_of_their_stretches_holds(
            ends in proptest::collection::vec((moment(), moment()), 0..5),
            at in moment(),
        ) {
            let stretches: Vec<Stretch> =
                ends.into_iter().map(|(a, b)| (a.min(b), a.max(b))).filter(|(a, b)| a < b).collect();
            let holds = |s: &Stretch| s.0 <= at && (at < s.1 || s.1 == Moment::MAX);
            let expected = stretches.iter().any(holds);
            prop_assert_eq!(Spans::of(stretches).hold(at), expected);
        }
    }
}
