//! Some people, groups and actors, and the rows of theirs.

/// People, groups and actors by the upper halves of their keys, which are spread evenly: a bit for each range of them.
/// Some that were not chosen fall into the same ranges, about one in a hundred.
#[derive(Debug, Default)]
pub struct Chosen {
    pub people: Halves,
    /// Whether rows without a person are chosen.
    pub nobody: bool,
    pub groups: Halves,
    pub actors: Halves,
}

/// Upper halves of keys.
#[derive(Debug, Default)]
pub struct Halves {
    bits: Vec<u64>,
    /// What of a half is not looked at.
    shift: u32,
}

impl Halves {
    /// Ranges for each half; and all of them together, eight megabytes.
    const SPARSE: usize = 256;
    const MOST: usize = 64 << 20;

    pub fn of(halves: &[u64]) -> Self {
        if halves.is_empty() {
            return Self::default();
        }
        let wanted = halves.len().saturating_mul(Self::SPARSE).next_power_of_two();
        let ranges = wanted.clamp(64, Self::MOST);
        let shift = u64::BITS - ranges.trailing_zeros();
        let mut all = Self { bits: vec![0; ranges / 64], shift };
        for half in halves {
            let (word, bit) = all.place(*half);
            if let Some(word) = all.bits.get_mut(word) {
                *word |= bit;
            }
        }
        all
    }

    fn place(&self, half: u64) -> (usize, u64) {
        let range = half >> self.shift;
        (usize::try_from(range / 64).unwrap_or(usize::MAX), 1 << (range % 64))
    }

    #[inline]
    pub fn holds(&self, half: u64) -> bool {
        if self.bits.is_empty() {
            return false;
        }
        let (word, bit) = self.place(half);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Chosen {
    #[inline]
    pub fn holds_person(&self, half: Option<u64>) -> bool {
        half.map_or(self.nobody, |half| self.people.holds(half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_that_were_chosen_are_held_and_few_others(
            halves in proptest::collection::vec(any::<u64>(), 0..200),
            others in proptest::collection::vec(any::<u64>(), 200..400)
        ) {
            let held = Halves::of(&halves);
            prop_assert!(halves.iter().all(|half| held.holds(*half)));
            let wrongly = others.iter().filter(|half| held.holds(**half)).count();
            prop_assert!(wrongly < others.len() / 16, "{wrongly}");
        }
    }

    #[test]
    fn nobody_is_held_where_nobody_was_chosen() {
        let chosen = Chosen { people: Halves::of(&[1]), ..Chosen::default() };
        assert!(chosen.holds_person(Some(1)) && !chosen.holds_person(Some(u64::MAX)));
        assert!(!chosen.holds_person(None) && !chosen.groups.holds(1));
        assert!(Chosen { nobody: true, ..chosen }.holds_person(None));
    }
}
