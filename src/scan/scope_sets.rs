//! Sets of scopes, each once: a log whose tokens carry any of very many sets has nearly as many as rows.

use std::cmp::Ordering;

use indexmap::IndexSet;

use super::batch::{Interner, NONE};

/// The asked scopes of a row: all that it carries, and those of them that the call exercised.
/// Sorted, without repeats. A row whose scope value cannot be read has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet {
    pub scopes: Vec<String>,
    pub exercised: Vec<String>,
}

/// A scope of a set: its code, and in the lowest bit whether the call exercised it.
type Use = u32;

/// Scope sets by number.
#[derive(Clone, Debug, Default)]
pub struct ScopeSets {
    names: Interner,
    /// By their names, in the names' order.
    sets: IndexSet<Box<[Use]>>,
    /// Scopes of all sets.
    uses: usize,
    at_hand: Vec<Use>,
}

/// What a set takes beside its scopes: where it lies, its hash, its place, what the allocator rounds it up by, and
/// what a thread that counts keeps to find its number.
const SET: usize = 80;

impl ScopeSets {
    /// The number of a set.
    pub fn code(&mut self, set: &ScopeSet) -> u32 {
        let uses = set.scopes.iter().map(|scope| {
            let used = set.exercised.binary_search(scope).is_ok();
            self.names.code(scope) << 1 | u32::from(used)
        });
        self.at_hand.clear();
        self.at_hand.extend(uses);
        self.at_hand_code()
    }

    fn at_hand_code(&mut self) -> u32 {
        let known = self.sets.get_index_of(self.at_hand.as_slice());
        let code = known.unwrap_or_else(|| {
            self.uses += self.at_hand.len();
            self.sets.insert_full(self.at_hand.as_slice().into()).0
        });
        u32::try_from(code).unwrap_or(NONE)
    }

    pub fn len(&self) -> usize {
        self.sets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    pub fn get(&self, code: u32) -> Option<ScopeSet> {
        let set = self.sets.get_index(usize::try_from(code).ok()?)?;
        let name = |of: &Use| self.names.name(of >> 1).map(str::to_string);
        Some(ScopeSet {
            scopes: set.iter().filter_map(name).collect(),
            exercised: exercised(set).filter_map(|of| name(&of)).collect(),
        })
    }

    /// Bytes that they take, about.
    pub fn bytes_held(&self) -> usize {
        self.names.bytes_held() + self.uses * size_of::<Use>() + self.sets.len() * SET
    }

    /// The numbers of all own sets in `other`.
    pub fn translate(&self, other: &mut Self) -> Vec<u32> {
        let names: Vec<&str> = self.names.names().collect();
        let sets = self.sets.iter().map(AsRef::as_ref);
        translated(&names, sets, |_| true, other)
    }

    /// The sets in their order, by their scopes, then by those that were exercised; and the number that each own one
    /// has there.
    pub fn sorted(&self) -> (Self, Vec<u32>) {
        let mut sorted = Self { names: self.names.sorted().0, ..Self::default() };
        self.translate(&mut sorted);
        sorted.sets.sort_unstable_by(|a, b| by_scopes(a, b));
        let codes = self.translate(&mut sorted);
        (sorted, codes)
    }

    /// Names of scopes, and of each set the places of its scopes there, twice each, and one more where the call
    /// exercised it.
    pub fn written(&self) -> (Vec<Box<str>>, Vec<Box<[u32]>>) {
        (self.names.names().map(Into::into).collect(), self.sets.iter().cloned().collect())
    }

    /// Adds sets as [`Self::written`] gives them, without the scopes that are not wanted; gives their numbers.
    pub fn add_written(
        &mut self,
        (names, sets): (&[Box<str>], &[Box<[u32]>]),
        is_wanted: impl Fn(&str) -> bool,
    ) -> Vec<u32> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        translated(&names, sets.iter().map(AsRef::as_ref), is_wanted, self)
    }
}

/// The numbers in `other` of sets whose scopes are called by `names`, without those that are not wanted.
fn translated<'a>(
    names: &[&str],
    sets: impl Iterator<Item = &'a [Use]>,
    is_wanted: impl Fn(&str) -> bool,
    other: &mut ScopeSets,
) -> Vec<u32> {
    let code = |name: &&str| is_wanted(name).then(|| other.names.code(name));
    let codes: Vec<Option<u32>> = names.iter().map(code).collect();
    let of_set = |set: &[Use]| {
        let uses = set.iter().filter_map(|of| {
            let code = usize::try_from(of >> 1).ok().and_then(|name| codes.get(name));
            code.copied().flatten().map(|code| code << 1 | of & 1)
        });
        other.at_hand.clear();
        other.at_hand.extend(uses);
        other.at_hand_code()
    };
    sets.map(of_set).collect()
}

fn exercised(set: &[Use]) -> impl Iterator<Item = Use> {
    set.iter().copied().filter(|of| of & 1 == 1)
}

fn by_scopes(a: &[Use], b: &[Use]) -> Ordering {
    let [ours, theirs] = [a, b].map(|set| set.iter().map(|of| of >> 1));
    ours.cmp(theirs).then_with(|| exercised(a).cmp(exercised(b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(bits: u8) -> Vec<String> {
        (0..8).filter(|bit| bits >> bit & 1 == 1).map(|bit| bit.to_string()).collect()
    }

    /// Sets of scopes `0` to `7`, and which of them are exercised.
    fn sets() -> impl Strategy<Value = Vec<ScopeSet>> {
        let set = |(scopes, exercised): (u8, u8)| ScopeSet {
            scopes: names(scopes),
            exercised: names(scopes & exercised),
        };
        proptest::collection::vec(any::<(u8, u8)>().prop_map(set), 0..40)
    }

    fn at(codes: &[u32], code: u32) -> u32 {
        codes[code as usize]
    }

    proptest! {
        #[test]
        fn sets_come_back_by_their_numbers(given in sets(), more in sets()) {
            let mut sets = ScopeSets::default();
            let codes: Vec<u32> = given.iter().map(|set| sets.code(set)).collect();
            let mut others = ScopeSets::default();
            for set in &more {
                others.code(set);
            }
            let there = sets.translate(&mut others);
            let (sorted, ranks) = sets.sorted();
            let (written, numbers) = sets.written();
            let mut read = ScopeSets::default();
            let wanted = |name: &str| name < "4";
            let numbers = read.add_written((&written, &numbers), wanted);
            for (set, code) in given.iter().zip(codes) {
                prop_assert_eq!(sets.get(code), Some(set.clone()));
                prop_assert_eq!(others.get(at(&there, code)), Some(set.clone()));
                prop_assert_eq!(sorted.get(at(&ranks, code)), Some(set.clone()));
                let mut kept = set.clone();
                kept.scopes.retain(|name| wanted(name));
                kept.exercised.retain(|name| wanted(name));
                prop_assert_eq!(read.get(at(&numbers, code)), Some(kept));
            }
        }

        #[test]
        fn the_order_of_sets_does_not_depend_on_when_they_came(given in sets()) {
            let mut sets = ScopeSets::default();
            for set in &given {
                sets.code(set);
            }
            let (sorted, _) = sets.sorted();
            let mut expected = given;
            expected.sort_by_key(|set| (set.scopes.clone(), set.exercised.clone()));
            expected.dedup();
            let found: Vec<ScopeSet> = (0..).map_while(|code| sorted.get(code)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
