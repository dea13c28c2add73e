//! The scopes that events carry, by numbers: what decides on their leaves.

/// A scope of a set, by number, and in the lowest bit whether the call exercised it.
pub type ScopeUse = u32;

pub const fn is_exercised(scope: ScopeUse) -> bool {
    scope & 1 == 1
}

pub const fn index_of(scope: ScopeUse) -> u32 {
    scope >> 1
}

/// A scope set by numbers. Scopes that the registry does not name are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetOfScopes {
    pub scopes: Box<[ScopeUse]>,
    /// Whether any of the event's scopes is exercised, restricted by now or not.
    pub exercises: bool,
}

/// A scope set, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct Carried<'a> {
    pub scopes: &'a [ScopeUse],
    pub exercises: bool,
}

impl Carried<'_> {
    /// Something of its scopes. Asked for many sets in a short loop, the processor fetches several of them at once for
    /// what comes then.
    #[inline]
    pub fn touch(&self) -> u64 {
        self.scopes.first().map_or(0, |scope| u64::from(*scope))
    }
}

impl<'a> From<&'a SetOfScopes> for Carried<'a> {
    fn from(set: &'a SetOfScopes) -> Self {
        Self { scopes: &set.scopes, exercises: set.exercises }
    }
}

/// Scope sets side by side: events ask for them in no order, and lists of their own would lie anywhere in memory.
#[derive(Debug, Default)]
pub struct SetList {
    scopes: Vec<ScopeUse>,
}

/// Where a set stands in a [`SetList`].
#[derive(Clone, Copy, Debug)]
pub struct SetPlace {
    from: u32,
    pub length: u32,
    exercises: bool,
}

impl SetList {
    /// Memory ends long before there are four billion entries; one beyond them would be at no place.
    pub fn push(&mut self, set: Carried<'_>) -> SetPlace {
        let place = u32::try_from(self.scopes.len()).ok().zip(u32::try_from(set.scopes.len()).ok());
        let (from, length) = place.unwrap_or((u32::MAX, u32::MAX));
        self.scopes.extend_from_slice(set.scopes);
        SetPlace { from, length, exercises: set.exercises }
    }

    #[inline]
    pub fn get(&self, place: SetPlace) -> Option<Carried<'_>> {
        let SetPlace { from, length, exercises } = place;
        let (from, length) = (usize::try_from(from).ok()?, usize::try_from(length).ok()?);
        Some(Carried { scopes: self.scopes.get(from..)?.get(..length)?, exercises })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_stand_side_by_side_and_come_back() {
        let mut list = SetList::default();
        let sets = [(vec![3, 5], true), (vec![], false), (vec![7], false)];
        let carried = |set: &(Vec<ScopeUse>, bool)| SetOfScopes {
            scopes: set.0.clone().into(),
            exercises: set.1,
        };
        let places: Vec<SetPlace> =
            sets.iter().map(|set| list.push((&carried(set)).into())).collect();
        for (place, (scopes, exercises)) in places.into_iter().zip(&sets) {
            let found = list.get(place).unwrap();
            assert_eq!((found.scopes, found.exercises), (scopes.as_slice(), *exercises));
        }
        let nowhere = SetPlace { from: u32::MAX, length: u32::MAX, exercises: false };
        assert!(list.get(nowhere).is_none());
    }
}
