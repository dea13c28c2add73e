//! The groups of each scope that are kept, and those of now.

use super::Unfit;
use super::file::CellsIn;
use crate::exposure::counts::{Misfit, take};
use crate::exposure::group_ids::GroupIds;
use crate::exposure::listed::{Candidate, Floor, RestGroups, ScopeGroups};
use crate::exposure::totals::add;
use crate::key::MixMap;

/// The groups of a scope that are kept.
pub struct KeptGroups {
    pub first: Vec<Candidate>,
    pub all: RestGroups,
}

/// The groups of every scope.
pub fn kept_groups(
    scopes: &[(u64, RestGroups)],
    kept: &mut CellsIn<'_>,
    ids: GroupIds<'_>,
) -> Result<Vec<KeptGroups>, Misfit> {
    let mut text = String::new();
    let mut of_scope = |(count, all): &(u64, RestGroups)| {
        let mut first = Vec::new();
        // With room for those that come to them: memory that is not touched costs nothing, and a copy does.
        let room = usize::try_from(count.saturating_add(count / 8)).unwrap_or(usize::MAX);
        first.try_reserve_exact(room).map_err(|_| Misfit)?;
        for _ in 0..*count {
            first.push(kept.group()?.candidate(ids, &mut text));
        }
        Ok(KeptGroups { first, all: *all })
    };
    scopes.iter().map(&mut of_scope).collect()
}

impl KeptGroups {
    /// Whoever ranks after the last of those that were kept may rank after others that were not.
    pub fn floor(&self) -> Floor {
        if self.first.len() as u64 == self.all.groups {
            return Floor::None;
        }
        let last = self.first.iter().max_by(|a, b| a.rank().cmp(&b.rank()));
        last.map_or(Floor::Top, |last| Floor::At(last.clone()))
    }

    /// Those of now, of which `then` were counted as they were and `now` as they are; of both those that the floor
    /// holds. No more than `most` are kept.
    pub fn now(
        mut self,
        then: ScopeGroups,
        now: ScopeGroups,
        (limit, most): (Option<u64>, Option<u64>),
    ) -> Result<ScopeGroups, Unfit> {
        take(&mut self.all.groups, then.all.groups)?;
        self.all.groups += now.all.groups;
        self.all.requests = self.all.requests.checked_sub(then.all.requests).ok_or(Misfit)?;
        add(&mut self.all.requests, now.all.requests)?;
        let gone: MixMap<_, &Candidate> = then.first.iter().map(|g| (g.name(), g)).collect();
        let before = self.first.len();
        let mut fits = true;
        self.first.retain(|group| match gone.get(&group.name()) {
            Some(then) => {
                fits &= **then == *group;
                false
            }
            None => true,
        });
        if !fits || before - self.first.len() != then.first.len() {
            return Err(Unfit::Misfit);
        }
        self.first.extend(now.first);
        let listed = limit.unwrap_or(u64::MAX).min(self.all.groups);
        if (self.first.len() as u64) < listed {
            return Err(Unfit::Other);
        }
        let mut ranked = ScopeGroups { first: self.first, all: self.all };
        ranked.prune(most);
        Ok(ranked)
    }
}
