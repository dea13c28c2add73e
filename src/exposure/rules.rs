//! The registry's dates by name: which windows hold a moment, and where time is cut.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cells::{Window, WindowSet};
use super::leaf::Standing;
use crate::key::hex;
use crate::moment::Moment;
use crate::registry::{Attestation, Grant, Registry};

/// A half-open stretch of time.
pub(super) type Stretch = (Moment, Moment);

/// A promise of deletion that was given, and when.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub promise: Attestation,
    pub at: Moment,
}

impl Promise {
    pub(super) fn covers(&self, scope: &str) -> bool {
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

/// Rules as they are kept from one count to the next, so that it can be told where others differ from them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRules {
    as_of: Stamp,
    lookback_from: Stamp,
    restricted: BTreeMap<String, Stamp>,
    grace: BTreeMap<(String, String), Stamp>,
    revoked: BTreeMap<(String, String), Vec<KeptStretch>>,
    brownouts: BTreeMap<String, Vec<(Option<String>, KeptStretch)>>,
    /// A hash of developers and promises.
    others: String,
}

/// A moment: microseconds and what is beyond them in nanoseconds.
type Stamp = (i64, u16);
type KeptStretch = (Stamp, Stamp);

fn stamp(at: Moment) -> Stamp {
    (at.micros, at.nanos)
}

fn moment((micros, nanos): Stamp) -> Moment {
    Moment { micros, nanos }
}

impl KeptRules {
    pub fn of(rules: &Rules) -> Self {
        let both = |(from, to): Stretch| (stamp(from), stamp(to));
        let moments = |(key, at): (&(String, String), &Moment)| (key.clone(), stamp(*at));
        Self {
            as_of: stamp(rules.as_of),
            lookback_from: stamp(rules.lookback_from),
            restricted: rules.restricted.iter().map(|(s, at)| (s.clone(), stamp(*at))).collect(),
            grace: rules.grace.iter().map(moments).collect(),
            revoked: rules
                .revoked
                .iter()
                .map(|(key, all)| (key.clone(), all.iter().copied().map(both).collect()))
                .collect(),
            brownouts: rules
                .brownouts
                .iter()
                .map(|(scope, all)| {
                    let all = all.iter().map(|(app, stretch)| (app.clone(), both(*stretch)));
                    (scope.clone(), all.collect())
                })
                .collect(),
            others: rules.others(),
        }
    }

    /// A name of all but `as_of` and the lookback, which move from run to run.
    pub fn name(self) -> String {
        let told = Self { as_of: (0, 0), lookback_from: (0, 0), ..self };
        let told = rmp_serde::to_vec(&told).unwrap_or_default();
        hex(blake3::hash(&told).as_bytes().get(..8).unwrap_or_default())
    }

    /// The rules, where they have the scopes, developers and promises of `new`.
    pub fn restored(self, new: &Rules) -> Option<Rules> {
        if self.others != new.others() || !self.restricted.keys().eq(new.restricted.keys()) {
            return None;
        }
        let both = |(from, to): KeptStretch| (moment(from), moment(to));
        Some(Rules {
            as_of: moment(self.as_of),
            lookback_from: moment(self.lookback_from),
            restricted: self.restricted.into_iter().map(|(s, at)| (s, moment(at))).collect(),
            grace: self.grace.into_iter().map(|(key, at)| (key, moment(at))).collect(),
            developers: new.developers.clone(),
            revoked: self
                .revoked
                .into_iter()
                .map(|(key, all)| (key, all.into_iter().map(both).collect()))
                .collect(),
            brownouts: self
                .brownouts
                .into_iter()
                .map(|(scope, all)| {
                    let all = all.into_iter().map(|(app, stretch)| (app, both(stretch)));
                    (scope, all.collect())
                })
                .collect(),
            promises: new.promises.clone(),
        })
    }
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

    /// A hash of developers and promises.
    fn others(&self) -> String {
        let promises: Vec<_> = self
            .promises
            .iter()
            .map(|(app, given)| {
                let given =
                    given.iter().map(|Promise { promise, at }| (&promise.scope, stamp(*at)));
                (app, given.collect::<Vec<_>>())
            })
            .collect();
        let told = serde_json::json!({ "developers": self.developers, "promises": promises });
        hex(blake3::hash(told.to_string().as_bytes()).as_bytes())
    }

    /// Whether brownouts and the stretches after grants were taken back are the same.
    pub(super) fn has_stretches_of(&self, other: &Self) -> bool {
        self.revoked == other.revoked && self.brownouts == other.brownouts
    }

    /// Where `other` gives an app and a scope other windows, or another standing: stretches in order.
    pub(super) fn differences(&self, other: &Self, app: Option<&str>, scope: &str) -> Vec<Stretch> {
        let scopes = [scope.to_string()];
        let mut cuts = self.cuts(app, &scopes);
        cuts.extend(other.cuts(app, &scopes));
        cuts.push(Moment::MIN);
        cuts.sort_unstable();
        cuts.dedup();
        let ends = cuts.iter().skip(1).copied().chain([Moment::MAX]);
        let state =
            |rules: &Self, at: Moment| (rules.windows(app, scope, at), rules.standing(&scopes, at));
        // Every moment between two cuts is alike.
        let differ = cuts.iter().copied().zip(ends);
        differ.filter(|(from, _)| state(self, *from) != state(other, *from)).collect()
    }

    fn brownouts<'a>(
        &'a self,
        app: Option<&'a str>,
        scope: &str,
    ) -> impl Iterator<Item = Stretch> + 'a {
        let all = self.brownouts.get(scope).into_iter().flatten();
        all.filter(move |(of, _)| of.is_none() || of.as_deref() == app).map(|(_, stretch)| *stretch)
    }

    pub(super) fn promises(&self, app: Option<&str>) -> &[Promise] {
        app.and_then(|app| self.promises.get(app)).map_or(&[], Vec::as_slice)
    }

    fn grace(&self, app: Option<&str>, scope: &str) -> Option<Moment> {
        let app = app.filter(|_| !self.grace.is_empty())?;
        self.grace.get(&(app.to_string(), scope.to_string())).copied()
    }

    fn revoked(&self, app: Option<&str>, scope: &str) -> &[Stretch] {
        // Texts for a look-up are made only where there is anything to find.
        let key = app.filter(|_| !self.revoked.is_empty());
        let key = key.map(|app| (app.to_string(), scope.to_string()));
        key.and_then(|key| self.revoked.get(&key)).map_or(&[], Vec::as_slice)
    }

    /// The windows of (app, scope) that hold `at`; empty outside [restricted_at, as_of).
    pub(super) fn windows(&self, app: Option<&str>, scope: &str, at: Moment) -> WindowSet {
        let Some(restricted) = self.restricted.get(scope) else { return 0 };
        if at < *restricted || at >= self.as_of {
            return 0;
        }
        let mut windows = Window::AfterRestriction.bit();
        windows |= match self.grace(app, scope) {
            Some(until) if at < until => Window::InGrace.bit(),
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

    /// Which terms rows with these scopes fall into.
    pub(super) fn standing(&self, scopes: &[String], at: Moment) -> Standing {
        let begun = |scope: &String| self.restricted.get(scope).is_some_and(|r| *r <= at);
        match scopes.iter().any(begun) {
            false => Standing::Outside,
            true if at >= self.as_of => Standing::AfterAsOf,
            true => Standing::Counts,
        }
    }

    pub(super) fn cuts(&self, app: Option<&str>, scopes: &[String]) -> Vec<Moment> {
        let mut cuts = vec![self.as_of, self.lookback_from];
        for scope in scopes {
            cuts.extend(self.restricted.get(scope));
            cuts.extend(self.grace(app, scope));
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
