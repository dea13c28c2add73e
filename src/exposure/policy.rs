//! What a moment means for an app and its scopes: the registry, made ready for look-ups.
//!
//! For each pair of app and scope set that occurs, time is cut at every moment at which anything
//! changes (restriction, grace end, lookback, `as_of`). Between two cuts all is constant, so a row
//! needs one search among a few cuts, and all else is known beforehand for that *leaf*.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::held::Held;
use crate::moment::Moment;
use crate::registry::{Attestation, Grant, Registry};
use crate::scan::batch::{NONE, ScopeSet};

/// A stretch of time that matters for an app and a scope (docs/counting.md, rule 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    AfterRestriction,
    InGrace,
    AfterGrace,
    InBrownout,
    AfterRevocation,
    AfterAttestation,
    Lookback,
}

impl Window {
    pub const COUNT: usize = 7;
    pub const ALL: [Self; Self::COUNT] = [
        Self::AfterRestriction,
        Self::InGrace,
        Self::AfterGrace,
        Self::InBrownout,
        Self::AfterRevocation,
        Self::AfterAttestation,
        Self::Lookback,
    ];

    /// The window of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::AfterRestriction => "after_restriction",
            Self::InGrace => "in_grace",
            Self::AfterGrace => "after_grace",
            Self::InBrownout => "in_brownout",
            Self::AfterRevocation => "after_revocation",
            Self::AfterAttestation => "after_attestation",
            Self::Lookback => "lookback",
        }
    }

    /// The window's bit in a set of windows.
    pub const fn bit(self) -> WindowSet {
        1 << self as u8
    }
}

/// Windows as bits.
pub type WindowSet = u8;

/// Adds one to the count of each window of the set.
#[inline]
pub fn count_windows(counts: &mut [u64; Window::COUNT], mut set: WindowSet) {
    while set != 0 {
        if let Some(count) = counts.get_mut(set.trailing_zeros() as usize) {
            *count += 1;
        }
        set &= set - 1;
    }
}

/// What a figure is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    ScopeApp,
    ScopeDeveloper,
    Scope,
    App,
    Developer,
    All,
    /// What an app did after a promise of deletion, one for each promise.
    Attestation,
}

impl Grain {
    pub fn name(self) -> &'static str {
        match self {
            Self::ScopeApp => "scope_app",
            Self::ScopeDeveloper => "scope_developer",
            Self::Scope => "scope",
            Self::App => "app",
            Self::Developer => "developer",
            Self::All => "all",
            Self::Attestation => "attestation",
        }
    }

    /// Whether its figures are told by day and by residence, too.
    pub fn has_days(self) -> bool {
        !matches!(self, Self::ScopeDeveloper | Self::Developer | Self::Attestation)
    }
}

/// One figure's group. `None` stands for "names none" (an event without an app), a grain that has
/// no such part holds `None` too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    pub grain: Grain,
    pub scope: Option<String>,
    pub app: Option<String>,
    pub developer: Option<String>,
    /// When the promise was given, of [`Grain::Attestation`].
    pub attested_at: Option<Moment>,
}

/// Which terms of row conservation a row falls into, before its outcome is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Before the restriction of every scope of the row.
    Outside,
    /// At or after `as_of`.
    AfterAsOf,
    Counts,
}

/// All that is known of an app, a scope set and a stretch of time.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub standing: Standing,
    /// Cells for which an allowed event is exposure.
    pub exposed: Vec<(u32, WindowSet)>,
    /// Cells for which an allowed event is held only.
    pub held_only: Vec<(u32, WindowSet)>,
    /// Cells for which a denied or unknown event counts.
    pub refused: Vec<(u32, WindowSet)>,
    /// Exercised scopes that count.
    pub scopes: Vec<LeafScope>,
    /// Whether any of the event's scopes is exercised, restricted by now or not.
    pub exercises: bool,
}

/// An exercised scope of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafScope {
    /// Index into [`Policy::scope_names`].
    pub scope: u32,
    /// The cell of the scope and the leaf's app; `None` where the event names no app.
    pub app_cell: Option<u32>,
}

/// What is asked of leaves for every event, in one place: lists that each leaf holds itself lie
/// anywhere in memory.
#[derive(Debug, Default)]
pub struct LeafTable {
    /// By leaf: its stretches of the lists.
    places: Vec<(Range<usize>, Range<usize>)>,
    scopes: Vec<LeafScope>,
    exposed: Vec<(u32, WindowSet)>,
}

/// Lists of one leaf.
#[derive(Clone, Copy, Debug)]
pub struct LeafCells<'a> {
    pub scopes: &'a [LeafScope],
    pub exposed: &'a [(u32, WindowSet)],
}

impl LeafTable {
    /// Leaf numbers lie below this.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes a leaf in, once or again.
    pub fn learn(&mut self, number: u32, leaf: &Leaf) {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        if self.places.len() <= index {
            self.places.resize(index + 1, (0..0, 0..0));
        }
        let (scopes, exposed) = (self.scopes.len(), self.exposed.len());
        match self.places.get_mut(index) {
            Some(place) if *place == (0..0, 0..0) => {
                self.scopes.extend_from_slice(&leaf.scopes);
                self.exposed.extend_from_slice(&leaf.exposed);
                *place = (scopes..self.scopes.len(), exposed..self.exposed.len());
            }
            _ => {}
        }
    }

    #[inline]
    pub fn get(&self, number: u32) -> Option<LeafCells<'_>> {
        let (scopes, exposed) = self.places.get(usize::try_from(number).ok()?)?;
        Some(LeafCells {
            scopes: self.scopes.get(scopes.clone())?,
            exposed: self.exposed.get(exposed.clone())?,
        })
    }
}

/// The leaves of one app and scope set.
#[derive(Debug)]
pub struct Pair {
    /// Ascending; segment `i` lies before cut `i`.
    cuts: Vec<Moment>,
    /// Number of each segment's leaf, and the leaf.
    leaves: Vec<(u32, Arc<Leaf>)>,
}

impl Pair {
    #[inline]
    pub fn at(&self, at: Moment) -> Option<(u32, &Leaf)> {
        let (number, leaf) = self.leaves.get(self.cuts.partition_point(|cut| *cut <= at))?;
        Some((*number, leaf))
    }

    pub fn cuts(&self) -> &[Moment] {
        &self.cuts
    }

    pub fn leaves(&self) -> &[(u32, Arc<Leaf>)] {
        &self.leaves
    }
}

/// A hash for pairs of small numbers: one multiplication chain, no secrets.
#[derive(Default)]
pub struct MixHasher(u64);

impl std::hash::Hasher for MixHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = crate::key::mix(self.0 ^ value);
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
}

pub type MixMap<K, V> = HashMap<K, V, std::hash::BuildHasherDefault<MixHasher>>;

/// A half-open stretch of time.
type Stretch = (Moment, Moment);

/// A promise of deletion that was given, and when.
#[derive(Clone, Debug)]
struct Promise {
    promise: Attestation,
    at: Moment,
}

impl Promise {
    fn covers(&self, scope: &str) -> bool {
        self.promise.covers(scope)
    }
}

/// When an app's grant was taken back and no other held: after each grant that ended, until the next
/// (docs/counting.md, rule 1).
fn revoked(grants: &[Grant]) -> Vec<Stretch> {
    let mut held: Vec<Stretch> = grants
        .iter()
        .map(|g| (g.granted_at.unwrap_or(Moment::MIN), g.revoked_at.unwrap_or(Moment::MAX)))
        .collect();
    held.sort_unstable();
    let mut without: Vec<Stretch> = Vec::new();
    let mut end = None;
    for (from, to) in held {
        if let Some(end) = end.filter(|end| *end < from) {
            without.push((end, from));
        }
        end = end.max(Some(to));
    }
    without.extend(end.filter(|end| *end < Moment::MAX).map(|end| (end, Moment::MAX)));
    without
}

/// The registry's dates by name.
#[derive(Clone, Debug)]
pub struct Rules {
    pub as_of: Moment,
    pub lookback_from: Moment,
    pub restricted: BTreeMap<String, Moment>,
    pub grace: BTreeMap<(String, String), Moment>,
    pub developers: BTreeMap<String, Option<String>>,
    /// By app and scope.
    revoked: BTreeMap<(String, String), Vec<Stretch>>,
    /// By scope; an app of `None` is every app.
    brownouts: BTreeMap<String, Vec<(Option<String>, Stretch)>>,
    /// By app; those given before `as_of`.
    promises: BTreeMap<String, Vec<Promise>>,
}

impl Rules {
    pub fn new(registry: &Registry, as_of: Moment, lookback_days: u32) -> Self {
        let back = i64::from(lookback_days).saturating_mul(crate::moment::DAY_MICROS);
        let mut brownouts: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for b in registry.brownouts.iter().flatten() {
            brownouts.entry(b.scope.clone()).or_default().push((b.app.clone(), (b.from, b.to)));
        }
        let mut promises: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for a in registry.attestations.iter().flatten() {
            if let Some(at) = a.attested_at.filter(|at| *at < as_of) {
                let promise = Promise { promise: a.clone(), at };
                promises.entry(a.app.clone()).or_default().push(promise);
            }
        }
        let grants = registry.grants.iter().flatten();
        Self {
            as_of,
            lookback_from: as_of.plus_micros(-back),
            restricted: registry.scopes.iter().map(|(n, s)| (n.clone(), s.restricted_at)).collect(),
            grace: registry.grace.clone(),
            developers: registry
                .apps
                .iter()
                .map(|(id, app)| (id.clone(), app.developer_id.clone()))
                .collect(),
            revoked: grants
                .filter(|((_, scope), _)| registry.scopes.contains_key(scope))
                .map(|(key, grants)| (key.clone(), revoked(grants)))
                .collect(),
            brownouts,
            promises,
        }
    }

    fn brownouts<'a>(
        &'a self,
        app: Option<&'a str>,
        scope: &str,
    ) -> impl Iterator<Item = Stretch> + 'a {
        let all = self.brownouts.get(scope).into_iter().flatten();
        all.filter(move |(of, _)| of.is_none() || of.as_deref() == app).map(|(_, stretch)| *stretch)
    }

    fn promises(&self, app: Option<&str>) -> &[Promise] {
        app.and_then(|app| self.promises.get(app)).map_or(&[], Vec::as_slice)
    }

    fn revoked(&self, app: Option<&str>, scope: &str) -> &[Stretch] {
        let key = app.map(|app| (app.to_string(), scope.to_string()));
        key.and_then(|key| self.revoked.get(&key)).map_or(&[], Vec::as_slice)
    }

    /// The windows of (app, scope) that hold `at`; empty outside [restricted_at, as_of).
    fn windows(&self, app: Option<&str>, scope: &str, at: Moment) -> WindowSet {
        let Some(restricted) = self.restricted.get(scope) else { return 0 };
        if at < *restricted || at >= self.as_of {
            return 0;
        }
        let grace = app.and_then(|app| self.grace.get(&(app.to_string(), scope.to_string())));
        let mut windows = Window::AfterRestriction.bit();
        windows |= match grace {
            Some(until) if at < *until => Window::InGrace.bit(),
            _ => Window::AfterGrace.bit(),
        };
        let within = |stretch: Stretch| stretch.0 <= at && at < stretch.1;
        for (window, holds) in [
            (Window::Lookback, at >= self.lookback_from),
            (Window::InBrownout, self.brownouts(app, scope).any(within)),
            (Window::AfterRevocation, self.revoked(app, scope).iter().copied().any(within)),
            (
                Window::AfterAttestation,
                self.promises(app).iter().any(|promise| promise.covers(scope) && promise.at <= at),
            ),
        ] {
            if holds {
                windows |= window.bit();
            }
        }
        windows
    }

    fn cuts(&self, app: Option<&str>, set: &ScopeSet) -> Vec<Moment> {
        let mut cuts = vec![self.as_of, self.lookback_from];
        for scope in &set.scopes {
            cuts.extend(self.restricted.get(scope));
            cuts.extend(app.and_then(|app| self.grace.get(&(app.to_string(), scope.clone()))));
            let stretches =
                self.brownouts(app, scope).chain(self.revoked(app, scope).iter().copied());
            cuts.extend(stretches.flat_map(|(from, to)| [from, to]));
            let promises = self.promises(app).iter().filter(|promise| promise.covers(scope));
            cuts.extend(promises.map(|promise| promise.at));
        }
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }
}

/// Leaves and cells, made as they are met; one for all threads, so that their numbers agree.
#[derive(Debug)]
pub struct Policy {
    rules: Rules,
    pairs: HashMap<(Option<String>, ScopeSet), Arc<Pair>>,
    pub leaves: Vec<Arc<Leaf>>,
    /// Those of them that lie outside or after `as_of`.
    idle: Vec<(u32, Arc<Leaf>)>,
    pub cells: Vec<CellKey>,
    by_key: HashMap<CellKey, u32>,
    pub scope_names: Vec<String>,
    /// Of pairs and leaves.
    pub held: Held,
    /// The least of all restrictions: what lies before it is outside, whatever its scopes may be.
    pub first_restriction: Moment,
}

impl Policy {
    pub fn new(rules: Rules) -> Self {
        Self {
            scope_names: rules.restricted.keys().cloned().collect(),
            first_restriction: rules.restricted.values().min().copied().unwrap_or(Moment::MAX),
            rules,
            pairs: HashMap::new(),
            leaves: Vec::new(),
            idle: Vec::new(),
            cells: Vec::new(),
            by_key: HashMap::new(),
            held: Held::default(),
        }
    }

    /// The leaves of an app and a scope set.
    pub fn pair(&mut self, app: Option<&str>, set: &ScopeSet) -> Arc<Pair> {
        let key = (app.map(str::to_string), set.clone());
        if let Some(pair) = self.pairs.get(&key) {
            return pair.clone();
        }
        let cuts = self.rules.cuts(app, set);
        let mut leaves = Vec::with_capacity(cuts.len() + 1);
        for segment in 0..=cuts.len() {
            // Every moment of a segment is alike; its first one stands for all.
            let at = match segment.checked_sub(1) {
                None => Moment::MIN,
                Some(i) => cuts.get(i).copied().unwrap_or(Moment::MAX),
            };
            let leaf = self.make_leaf(app, set, at);
            leaves.push(self.number(leaf));
        }
        let pair = Arc::new(Pair { cuts, leaves });
        self.held.pair(set, &pair);
        self.pairs.insert(key, pair.clone());
        pair
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

    fn make_leaf(&mut self, app: Option<&str>, set: &ScopeSet, at: Moment) -> Leaf {
        let mut leaf = Leaf {
            standing: Standing::Counts,
            exposed: Vec::new(),
            held_only: Vec::new(),
            refused: Vec::new(),
            scopes: Vec::new(),
            exercises: !set.exercised.is_empty(),
        };
        let begun = |scope: &String| self.rules.restricted.get(scope).is_some_and(|r| *r <= at);
        if !set.scopes.iter().any(begun) {
            leaf.standing = Standing::Outside;
            return leaf;
        }
        if at >= self.rules.as_of {
            leaf.standing = Standing::AfterAsOf;
            return leaf;
        }
        let developer = app.and_then(|a| self.rules.developers.get(a).cloned().flatten());
        let has_developer = developer.is_some();
        let key = |grain: Grain, scope: Option<&String>| CellKey {
            grain,
            scope: scope.cloned(),
            app: matches!(grain, Grain::ScopeApp | Grain::App)
                .then(|| app.map(str::to_string))
                .flatten(),
            developer: matches!(grain, Grain::ScopeDeveloper | Grain::Developer)
                .then(|| developer.clone())
                .flatten(),
            attested_at: None,
        };
        let (mut all, mut exercised) = (0, 0);
        for scope in &set.scopes {
            let windows = self.rules.windows(app, scope, at);
            if windows == 0 {
                continue;
            }
            all |= windows;
            let used = set.exercised.contains(scope);
            if used {
                exercised |= windows;
                if let Ok(index) = self.scope_names.binary_search(scope) {
                    let app_cell = app.map(|_| self.cell(key(Grain::ScopeApp, Some(scope))));
                    let scope = u32::try_from(index).unwrap_or(NONE);
                    leaf.scopes.push(LeafScope { scope, app_cell });
                }
            }
            for grain in [Grain::ScopeApp, Grain::ScopeDeveloper, Grain::Scope] {
                if grain == Grain::ScopeDeveloper && !has_developer {
                    continue;
                }
                let cell = self.cell(key(grain, Some(scope)));
                leaf.refused.push((cell, windows));
                let allowed = if used { &mut leaf.exposed } else { &mut leaf.held_only };
                allowed.push((cell, windows));
            }
        }
        for grain in [Grain::App, Grain::Developer, Grain::All] {
            if grain == Grain::Developer && !has_developer {
                continue;
            }
            let cell = self.cell(key(grain, None));
            leaf.refused.push((cell, all));
            if exercised != 0 {
                leaf.exposed.push((cell, exercised));
            } else {
                leaf.held_only.push((cell, all));
            }
        }
        self.add_promises(&mut leaf, app, set, at);
        leaf
    }

    /// Adds the cells of the promises that an event of the leaf comes after.
    fn add_promises(&mut self, leaf: &mut Leaf, app: Option<&str>, set: &ScopeSet, at: Moment) {
        let given: Vec<Promise> =
            self.rules.promises(app).iter().filter(|promise| promise.at <= at).cloned().collect();
        for promise in given {
            let mut covered = set
                .scopes
                .iter()
                .filter(|scope| promise.covers(scope) && self.rules.windows(app, scope, at) != 0);
            let Some(first) = covered.next() else { continue };
            let used = std::iter::once(first).chain(covered).any(|s| set.exercised.contains(s));
            let cell = self.cell(CellKey {
                grain: Grain::Attestation,
                scope: promise.promise.scope.clone(),
                app: app.map(str::to_string),
                developer: None,
                attested_at: Some(promise.at),
            });
            let windows = Window::AfterAttestation.bit();
            leaf.refused.push((cell, windows));
            let allowed = if used { &mut leaf.exposed } else { &mut leaf.held_only };
            allowed.push((cell, windows));
        }
    }

    fn cell(&mut self, key: CellKey) -> u32 {
        if let Some(cell) = self.by_key.get(&key) {
            return *cell;
        }
        let cell = u32::try_from(self.cells.len()).unwrap_or(NONE);
        self.by_key.insert(key.clone(), cell);
        self.cells.push(key);
        cell
    }
}
