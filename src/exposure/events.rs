//! The events of a report one by one, each of them once: what its figures are counted from.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::distinct::Seen;
use super::group_ids::own_id;
use super::home::Residences;
use super::leaf::{Pair, Standing};
use super::policy::Policy;
use super::walk::{Follower, Walk};
use super::{ExposureError, Settings, SourceRows};
use crate::key::{Key, MixMap};
use crate::ledger::{Merged, Names};
use crate::moment::Moment;
use crate::scan::batch::Outcome;

/// An event that counts.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Source and unit.
    pub place: (usize, u32),
    pub at: Moment,
    /// Codes of [`Events::names`].
    pub app: u32,
    pub set: u32,
    /// Number of its leaf.
    pub leaf: u32,
    pub outcome: Outcome,
    pub weight: i64,
    pub person: Option<Key>,
    /// Namespace and key.
    pub group: Option<(usize, Key)>,
}

/// The events, and what they refer to.
#[derive(Debug, Default)]
pub struct Events {
    pub rows: Vec<Event>,
    pub names: Names,
    /// By leaf: the scopes that an event exercised of those restricted by then.
    pub scopes: BTreeMap<u32, Vec<String>>,
    /// A group's own id.
    pub groups: MixMap<(usize, Key), String>,
}

/// All events that belong to the report: those of a scope that was restricted by then, before `as_of`, whatever
/// their outcome. Repeats and rejected rows are none. `None` where there are more than `most`.
///
/// # Errors
/// As [`super::count`].
pub fn events(
    sources: &[SourceRows],
    settings: &Settings<'_>,
    most: usize,
) -> Result<Option<Events>, ExposureError> {
    let mut collector = Collector {
        settings,
        policy: Policy::new(settings.rules.clone()),
        pairs: MixMap::default(),
        most,
        found: Events::default(),
    };
    let names = Walk::new(sources, settings, 1).follow(&mut collector)?;
    if collector.is_done() {
        return Ok(None);
    }
    let mut found = collector.found;
    found.names = names;
    Ok(Some(found))
}

struct Collector<'a> {
    settings: &'a Settings<'a>,
    policy: Policy,
    /// By the codes of app and scope set; `None` of sets without a scope.
    pairs: MixMap<u64, Option<Arc<Pair>>>,
    most: usize,
    found: Events,
}

fn codes(app: u32, set: u32) -> u64 {
    u64::from(app) << 32 | u64::from(set)
}

impl Collector<'_> {
    fn pair(&mut self, row: &Merged<'_>) -> Option<Arc<Pair>> {
        let codes = codes(row.app(), row.set());
        if let Some(known) = self.pairs.get(&codes) {
            return known.clone();
        }
        let set = row.names.sets.get(row.set()).filter(|set| !set.scopes.is_empty());
        let found = set.map(|set| self.policy.pair(row.names.apps.name(row.app()), &set));
        self.pairs.insert(codes, found.clone());
        found
    }

    fn name_group(&mut self, row: &Merged<'_>) {
        let Some(key) = row.group() else { return };
        let space = row.group_space();
        let (kinds, keyer) = (&self.settings.group_kinds, self.settings.keyer);
        self.found.groups.entry((space, key)).or_insert_with(|| {
            let mut text = String::new();
            own_id(keyer, key, row.group_id(), kinds.get(space).copied().flatten(), &mut text);
            text
        });
    }
}

impl Follower for Collector<'_> {
    fn touches(&mut self, row: &Merged<'_>) -> bool {
        let pair = self.pair(row);
        let leaf = pair.as_ref().and_then(|pair| pair.at(row.at()));
        let touches = row.reject().is_none()
            && leaf.is_some_and(|(_, leaf)| leaf.standing != Standing::Outside);
        if touches {
            self.name_group(row);
        }
        touches
    }

    fn add(&mut self, seen: &Seen, _homes: &mut Residences<'_>) -> Result<(), ExposureError> {
        let pair = self.pairs.get(&codes(seen.app, seen.set)).cloned().flatten();
        let Some((number, leaf)) = pair.as_ref().and_then(|pair| pair.at(seen.at)) else {
            return Ok(());
        };
        if leaf.standing != Standing::Counts || seen.repeat {
            return Ok(());
        }
        let names = &self.policy.scope_names;
        self.found.scopes.entry(number).or_insert_with(|| {
            let scopes = leaf.scopes.iter();
            let name = |index: u32| usize::try_from(index).ok().and_then(|i| names.get(i));
            scopes.filter_map(|scope| name(scope.scope).cloned()).collect()
        });
        self.found.rows.push(Event {
            place: seen.place,
            at: seen.at,
            app: seen.app,
            set: seen.set,
            leaf: number,
            outcome: seen.outcome,
            weight: seen.weight,
            person: seen.person,
            group: seen.group,
        });
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.found.rows.len().max(self.found.groups.len()) > self.most
    }
}
