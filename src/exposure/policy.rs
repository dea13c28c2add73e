//! What a moment means for an app and its scopes: the registry, made ready for look-ups.
//!
//! For each pair of app and scope set that occurs, time is cut at every moment at which anything
//! changes (restriction, grace end, lookback, `as_of`). Between two cuts all is constant, so a row
//! needs one search among a few cuts, and all else is known beforehand for that *leaf*.

use std::collections::HashMap;
use std::sync::Arc;

use super::by_pair::both;
use super::carried::{Carried, ScopeUse, SetList, SetOfScopes, SetPlace, index_of, is_exercised};
use super::cells::{CellKey, Grain, Window, WindowSet};
use super::eras::{ByRules, Era, Ruling};
use super::held::Held;
use super::leaf::{Leaf, LeafScope, Pair, Standing};
use super::parts::PromisePart;
use super::rules::{Promise, Rules};
use crate::key::MixMap;
use crate::moment::Moment;
use crate::scan::batch::{Interner, NONE};
use crate::scan::scope_sets::ScopeSet;

/// Sets of several scopes of which each app has leaves of their own, as they are met: events of the
/// others are summed up in parts. So few that one in ten of the oracle's random lakes has both.
const WHOLE_SETS: u32 = 4;

/// Leaves of an app and a scope set, as they are looked up.
pub enum Leaves {
    Whole(Arc<Pair>),
    /// Numbers of app and scope set.
    InParts {
        app: u32,
        set: u32,
    },
}

/// Parts of which the rules decide nothing but where they are asked for, by what they are parts of.
#[derive(Debug, Default)]
struct PartTables {
    /// By app, and the windows of exercised scopes and of all.
    without_scope: HashMap<(u32, WindowSet, WindowSet), (u32, Arc<Leaf>)>,
    /// By app.
    promises: MixMap<u32, Arc<[PromisePart]>>,
}

/// Leaves and cells, made as they are met; one for all threads, so that their numbers agree. Where two counts are
/// compared it is one for both: what means the same by the rules of either is one leaf.
#[derive(Debug)]
pub struct Policy {
    now: ByRules,
    /// Where they are others: those of then. Scopes, developers and promises are the same.
    then: Option<ByRules>,
    /// Names of apps by number.
    apps: Interner,
    sets: HashMap<SetOfScopes, u32>,
    by_number: Vec<SetPlace>,
    set_list: SetList,
    /// By app: sets of several scopes that have a leaf of their own.
    whole: MixMap<u32, u32>,
    parts: PartTables,
    pub leaves: Vec<Arc<Leaf>>,
    /// Those of them that lie outside or after `as_of`.
    idle: Vec<(u32, Arc<Leaf>)>,
    pub cells: Vec<CellKey>,
    /// By grain, number of the scope, and number of the app or developer; [`NONE`] for those that a grain has not.
    by_numbers: MixMap<(u32, u32, u32), u32>,
    /// Of promises.
    by_promise: HashMap<CellKey, u32>,
    developers: Interner,
    /// By number of the app: that of its developer; [`NONE`] where it has none.
    developer_of: MixMap<u32, u32>,
    pub scope_names: Vec<String>,
    /// Of pairs and leaves.
    pub held: Held,
}

/// Moments that stand for the stretches between cuts: every moment of one is alike.
fn segments(cuts: &[Moment]) -> impl Iterator<Item = Moment> {
    std::iter::once(Moment::MIN).chain(cuts.iter().copied())
}

impl Policy {
    pub fn new(rules: Rules) -> Self {
        Self::of(Ruling::one(rules), None)
    }

    /// By the rules of now, and by those of then. They have scopes, developers and promises in common.
    pub fn of_both(now: Rules, then: Rules) -> Self {
        Self::of(Ruling::one(now), Some(Ruling::one(then)))
    }

    /// By both in one, where rows stand by the one as they do by the other.
    pub fn joint(now: Rules, then: Rules) -> Self {
        Self::of(Ruling::both(now, then), None)
    }

    fn of(now: Ruling, then: Option<Ruling>) -> Self {
        Self {
            scope_names: now.own.restricted.keys().cloned().collect(),
            now: ByRules::new(now),
            then: then.map(ByRules::new),
            apps: Interner::default(),
            sets: HashMap::new(),
            by_number: Vec::new(),
            set_list: SetList::default(),
            whole: MixMap::default(),
            parts: PartTables::default(),
            leaves: Vec::new(),
            idle: Vec::new(),
            // Room that is not touched costs nothing.
            cells: Vec::with_capacity(1 << 13),
            by_numbers: MixMap::default(),
            by_promise: HashMap::new(),
            developers: Interner::default(),
            developer_of: MixMap::default(),
            held: Held::default(),
        }
    }

    fn by(&self, era: Era) -> &ByRules {
        match (era, &self.then) {
            (Era::Then, Some(then)) => then,
            _ => &self.now,
        }
    }

    fn by_mut(&mut self, era: Era) -> &mut ByRules {
        match (era, &mut self.then) {
            (Era::Then, Some(then)) => then,
            _ => &mut self.now,
        }
    }

    /// By the other rules, if there are any.
    fn by_other(&self, era: Era) -> Option<&ByRules> {
        self.then.as_ref().map(|then| if era == Era::Then { &self.now } else { then })
    }

    /// Whether rules of then are asked apart.
    pub fn is_of_two_eras(&self) -> bool {
        self.then.is_some()
    }

    /// Whether windows are those of two rules.
    pub fn is_joint(&self) -> bool {
        self.now.rules.are_two()
    }

    /// The least of all restrictions: what lies before it is outside, whatever its scopes may be.
    pub fn first_restriction(&self, era: Era) -> Moment {
        self.by(era).rules.own.restricted.values().min().copied().unwrap_or(Moment::MAX)
    }

    /// Numbers of an app and a scope set.
    pub(super) fn numbers(&mut self, app: Option<&str>, set: &ScopeSet) -> (u32, u32) {
        let app = app.map_or(NONE, |app| self.apps.code(app));
        let index = |scope| self.scope_names.binary_search(scope).ok();
        let used = |scope| u32::from(set.exercised.contains(scope));
        let scopes = set.scopes.iter().filter_map(|scope| {
            let index = u32::try_from(index(scope)?).unwrap_or(NONE >> 1);
            Some(index << 1 | used(scope))
        });
        let set = SetOfScopes { scopes: scopes.collect(), exercises: !set.exercised.is_empty() };
        if let Some(number) = self.sets.get(&set) {
            return (app, *number);
        }
        let number = u32::try_from(self.by_number.len()).unwrap_or(NONE);
        self.held.set(&set);
        self.by_number.push(self.set_list.push((&set).into()));
        self.sets.insert(set, number);
        (app, number)
    }

    /// The scope set of a number.
    #[inline]
    pub fn set(&self, number: u32) -> Option<Carried<'_>> {
        self.set_list.get(*self.by_number.get(usize::try_from(number).ok()?)?)
    }

    /// The leaves of an app and a scope set; in parts, where the app has called with very many sets.
    pub fn find(&mut self, era: Era, app: Option<&str>, set: &ScopeSet) -> Leaves {
        let (of, number) = self.numbers(app, set);
        let several = set.scopes.len() > 1;
        let is_known = |by: &ByRules| by.pairs.contains_key(&both(of, number));
        let known = is_known(&self.now) || self.then.as_ref().is_some_and(is_known);
        if several && !known {
            let whole = self.whole.get(&of).copied().unwrap_or(0);
            if whole >= WHOLE_SETS {
                return Leaves::InParts { app: of, set: number };
            }
            self.whole.insert(of, whole + 1);
        }
        Leaves::Whole(self.pair_of(era, (of, app), (number, set)))
    }

    /// The leaves of an app and a scope set, by the rules of now.
    pub fn pair(&mut self, app: Option<&str>, set: &ScopeSet) -> Arc<Pair> {
        let (of, number) = self.numbers(app, set);
        self.pair_of(Era::Now, (of, app), (number, set))
    }

    /// The same by the rules of either, and by numbers too.
    fn pair_of(
        &mut self,
        era: Era,
        (of, app): (u32, Option<&str>),
        (number, set): (u32, &ScopeSet),
    ) -> Arc<Pair> {
        let key = both(of, number);
        if let Some(pair) = self.by(era).pairs.get(&key) {
            return pair.clone();
        }
        let alike = self.by_other(era).and_then(|by| by.pairs.get(&key)).cloned();
        let pair = self.leaves_by(era, (app, &set.scopes), alike, |policy, at| {
            policy.make_leaf(era, (of, app), set, at)
        });
        self.by_mut(era).pairs.insert(key, pair.clone());
        pair
    }

    /// A leaf for each stretch in which nothing changes; those that there are `alike` by the other rules, where they are
    /// the same.
    fn leaves_by(
        &mut self,
        era: Era,
        (app, scopes): (Option<&str>, &[String]),
        alike: Option<Arc<Pair>>,
        make: impl Fn(&mut Self, Moment) -> Leaf,
    ) -> Arc<Pair> {
        let rules = &self.by(era).rules;
        let cuts = rules.cuts(app, scopes);
        if let (Some(alike), Some(other)) = (&alike, self.by_other(era))
            && alike.cuts() == cuts
            && segments(&cuts).all(|at| rules.agree_with(&other.rules, app, scopes, at))
        {
            return alike.clone();
        }
        let mut leaves = Vec::with_capacity(cuts.len() + 1);
        for at in segments(&cuts) {
            let leaf = make(self, at);
            let known = alike.iter().flat_map(|alike| alike.leaves());
            let known = known.into_iter().find(|(_, known)| **known == leaf).cloned();
            leaves.push(known.unwrap_or_else(|| self.number(leaf)));
        }
        let pair = Arc::new(Pair::new(cuts, leaves));
        self.held.pair(&pair);
        pair
    }

    pub fn known_scope_part(&self, era: Era, app: u32, scope: ScopeUse) -> Option<&Arc<Pair>> {
        self.by(era).scopes.get(&both(app, scope))
    }

    pub fn known_part_without_scope(
        &self,
        app: u32,
        exercised: WindowSet,
        all: WindowSet,
    ) -> Option<&(u32, Arc<Leaf>)> {
        self.parts.without_scope.get(&(app, exercised, all))
    }

    pub fn known_promise_parts(&self, app: u32) -> Option<&Arc<[PromisePart]>> {
        self.parts.promises.get(&app)
    }

    /// The leaves of one scope of an app, of cells that name the scope alone.
    pub fn make_scope_part(&mut self, era: Era, app: u32, scope: ScopeUse) -> Arc<Pair> {
        if let Some(pair) = self.known_scope_part(era, app, scope) {
            return pair.clone();
        }
        let app_name = self.apps.name(app).map(str::to_string);
        let of = app_name.as_deref();
        let index = usize::try_from(index_of(scope)).ok();
        let names = index.and_then(|i| self.scope_names.get(i).cloned());
        let used = is_exercised(scope);
        let alike = self.by_other(era).and_then(|by| by.scopes.get(&both(app, scope))).cloned();
        let pair = self.leaves_by(era, (of, names.as_slice()), alike, |policy, at| {
            let standing = policy.by(era).rules.own.standing(names.as_slice(), at);
            let mut leaf = Leaf::new(standing, used);
            for scope in names.iter().filter(|_| standing == Standing::Counts) {
                let windows = policy.by(era).rules.windows(of, scope, at);
                policy.add_scope(&mut leaf, app, scope, windows, used);
            }
            leaf
        });
        self.held.app_in_parts(app);
        self.by_mut(era).scopes.insert(both(app, scope), pair.clone());
        pair
    }

    /// The leaf of an app's cells that name no scope, for events with these windows of exercised scopes
    /// and of all.
    pub fn make_part_without_scope(
        &mut self,
        app: u32,
        exercised: WindowSet,
        all: WindowSet,
    ) -> (u32, Arc<Leaf>) {
        if let Some(leaf) = self.known_part_without_scope(app, exercised, all) {
            return leaf.clone();
        }
        let mut leaf = Leaf::new(Standing::Counts, exercised != 0);
        self.add_without_scope(&mut leaf, app, exercised, all);
        let leaf = self.number(leaf);
        self.parts.without_scope.insert((app, exercised, all), leaf.clone());
        leaf
    }

    /// What an app promised.
    pub fn make_promise_parts(&mut self, app: u32) -> Arc<[PromisePart]> {
        if let Some(parts) = self.known_promise_parts(app) {
            return parts.clone();
        }
        let name = self.apps.name(app).map(str::to_string);
        let given = self.now.rules.own.promises(name.as_deref()).to_vec();
        let parts: Arc<[PromisePart]> = given
            .iter()
            .map(|promise| {
                let mut part = |used| {
                    let mut leaf = Leaf::new(Standing::Counts, used);
                    self.add_promise(&mut leaf, name.as_deref(), promise, used);
                    self.number(leaf)
                };
                let (exercised, held) = (part(true), part(false));
                let covers = self.scope_names.iter().map(|scope| promise.covers(scope)).collect();
                PromisePart { at: promise.at, covers, exercised, held }
            })
            .collect();
        self.parts.promises.insert(app, parts.clone());
        parts
    }

    /// A leaf with its number. Leaves that count nothing are alike: one stands for all pairs.
    fn number(&mut self, leaf: Leaf) -> (u32, Arc<Leaf>) {
        let idle = leaf.standing != Standing::Counts;
        let alike = |known: &&(u32, Arc<Leaf>)| {
            (known.1.standing, known.1.exercises) == (leaf.standing, leaf.exercises)
        };
        if idle && let Some(known) = self.idle.iter().find(alike) {
            return known.clone();
        }
        let numbered = (u32::try_from(self.leaves.len()).unwrap_or(NONE), Arc::new(leaf));
        self.held.leaf(&numbered.1);
        self.leaves.push(numbered.1.clone());
        if idle {
            self.idle.push(numbered.clone());
        }
        numbered
    }

    /// Of an app by number and name.
    fn make_leaf(
        &mut self,
        era: Era,
        (of, app): (u32, Option<&str>),
        set: &ScopeSet,
        at: Moment,
    ) -> Leaf {
        let standing = self.by(era).rules.own.standing(&set.scopes, at);
        let mut leaf = Leaf::new(standing, !set.exercised.is_empty());
        if standing != Standing::Counts {
            return leaf;
        }
        if set.scopes.len() == 1 {
            // Three cells of the scope, and three that name none.
            leaf.refused.reserve_exact(6);
            match set.exercised.is_empty() {
                true => leaf.held_only.reserve_exact(6),
                false => leaf.exposed.reserve_exact(6),
            }
        }
        let (mut all, mut exercised) = (0, 0);
        for scope in &set.scopes {
            let windows = self.by(era).rules.windows(app, scope, at);
            if windows == 0 {
                continue;
            }
            all |= windows;
            let used = set.exercised.contains(scope);
            if used {
                exercised |= windows;
            }
            self.add_scope(&mut leaf, of, scope, windows, used);
        }
        self.add_without_scope(&mut leaf, of, exercised, all);
        self.add_promises(era, &mut leaf, app, set, at);
        leaf
    }

    /// The number of an app's developer; [`NONE`] where it has none.
    fn developer(&mut self, app: u32) -> u32 {
        if let Some(developer) = self.developer_of.get(&app) {
            return *developer;
        }
        let name =
            self.apps.name(app).and_then(|app| self.now.rules.own.developers.get(app)?.as_deref());
        let developer = name.map_or(NONE, |name| self.developers.code(name));
        self.developer_of.insert(app, developer);
        developer
    }

    /// Adds the cells that name a scope.
    fn add_scope(
        &mut self,
        leaf: &mut Leaf,
        app: u32,
        scope: &str,
        windows: WindowSet,
        used: bool,
    ) {
        let index = self.scope_names.binary_search_by(|name| name.as_str().cmp(scope));
        let Some(scope) = index.ok().and_then(|index| u32::try_from(index).ok()) else { return };
        let developer = self.developer(app);
        let app_cell = self.cell(Grain::ScopeApp, scope, app);
        if used {
            let app_cell = Some(app_cell).filter(|_| app != NONE);
            leaf.scopes.push(LeafScope { scope, app_cell });
        }
        let of_developer =
            (developer != NONE).then(|| self.cell(Grain::ScopeDeveloper, scope, developer));
        let of_scope = self.cell(Grain::Scope, scope, NONE);
        for cell in [Some(app_cell), of_developer, Some(of_scope)].into_iter().flatten() {
            leaf.refused.push((cell, windows));
            let allowed = if used { &mut leaf.exposed } else { &mut leaf.held_only };
            allowed.push((cell, windows));
        }
    }

    /// Adds the cells that name no scope, with the windows of exercised scopes and of all.
    fn add_without_scope(
        &mut self,
        leaf: &mut Leaf,
        app: u32,
        exercised: WindowSet,
        all: WindowSet,
    ) {
        let developer = self.developer(app);
        for (grain, of) in [(Grain::App, app), (Grain::Developer, developer), (Grain::All, NONE)] {
            if grain == Grain::Developer && developer == NONE {
                continue;
            }
            let cell = self.cell(grain, NONE, of);
            leaf.refused.push((cell, all));
            if exercised != 0 {
                leaf.exposed.push((cell, exercised));
            } else {
                leaf.held_only.push((cell, all));
            }
        }
    }

    /// Adds the cells of the promises that an event of the leaf comes after.
    fn add_promises(
        &mut self,
        era: Era,
        leaf: &mut Leaf,
        app: Option<&str>,
        set: &ScopeSet,
        at: Moment,
    ) {
        let given = self.by(era).rules.own.promises(app);
        let given: Vec<Promise> =
            given.iter().filter(|promise| promise.at <= at).cloned().collect();
        for promise in given {
            let rules = &self.by(era).rules;
            let mut covered = set
                .scopes
                .iter()
                .filter(|scope| promise.covers(scope) && rules.windows(app, scope, at) != 0);
            let Some(first) = covered.next() else { continue };
            let used = std::iter::once(first).chain(covered).any(|s| set.exercised.contains(s));
            self.add_promise(leaf, app, &promise, used);
        }
    }

    fn add_promise(&mut self, leaf: &mut Leaf, app: Option<&str>, promise: &Promise, used: bool) {
        let key = CellKey {
            grain: Grain::Attestation,
            scope: promise.promise.scope.clone(),
            app: app.map(str::to_string),
            developer: None,
            attested_at: Some(promise.at),
        };
        let cell = match self.by_promise.get(&key) {
            Some(cell) => *cell,
            None => {
                let cell = self.new_cell(key.clone());
                self.by_promise.insert(key, cell);
                cell
            }
        };
        let windows = self.now.rules.alike(Window::AfterAttestation.bit());
        leaf.refused.push((cell, windows));
        let allowed = if used { &mut leaf.exposed } else { &mut leaf.held_only };
        allowed.push((cell, windows));
    }

    /// The cell of a scope, and of an app or a developer, by their numbers. Texts are made once a cell.
    fn cell(&mut self, grain: Grain, scope: u32, of: u32) -> u32 {
        if let Some(cell) = self.by_numbers.get(&(grain as u32, scope, of)) {
            return *cell;
        }
        let name = |names: &Interner| names.name(of).map(str::to_string);
        let (app, developer) = match grain {
            Grain::ScopeApp | Grain::App => (name(&self.apps), None),
            Grain::ScopeDeveloper | Grain::Developer => (None, name(&self.developers)),
            Grain::Scope | Grain::All | Grain::Attestation => (None, None),
        };
        let index = usize::try_from(scope).ok();
        let text = index.and_then(|index| self.scope_names.get(index).cloned());
        let key = CellKey { grain, scope: text, app, developer, attested_at: None };
        let cell = self.new_cell(key);
        self.by_numbers.insert((grain as u32, scope, of), cell);
        cell
    }

    fn new_cell(&mut self, key: CellKey) -> u32 {
        let cell = u32::try_from(self.cells.len()).unwrap_or(NONE);
        self.cells.push(key);
        cell
    }
}
