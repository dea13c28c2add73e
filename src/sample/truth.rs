//! True answers, counted with plain sets while the rows are made: nothing of the engine is used.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::people::{self, Home, Membership};
use crate::moment::{DAY_MICROS, Moment};

/// One call, before it becomes a row.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub scope: &'a str,
    pub app: &'a str,
    pub micros: i64,
    pub person: Option<i64>,
    pub group: Option<i64>,
    pub bytes: i64,
    pub allowed: bool,
    pub in_grace: bool,
    pub in_brownout: bool,
    pub after_revocation: bool,
    pub after_attestation: bool,
}

#[derive(Default)]
struct Figures {
    requests: u64,
    denied: u64,
    bytes: i64,
    people: HashSet<i64>,
    /// With members of the groups that were read.
    reached: HashSet<i64>,
    /// Calls that name nobody, and no group that had a member then.
    nameless: u64,
    groups: HashSet<i64>,
    first: Option<i64>,
    last: Option<i64>,
    requests_in_grace: u64,
    requests_in_brownout: u64,
    requests_after_revocation: u64,
    requests_after_attestation: u64,
    people_after_attestation: HashSet<i64>,
    requests_lookback: u64,
    people_lookback: HashSet<i64>,
    groups_lookback: HashSet<i64>,
}

/// A promise of deletion, and what was done after it.
struct Promise {
    app: String,
    scope: Option<String>,
    micros: i64,
    requests: u64,
    people: HashSet<i64>,
}

/// True figures by (scope or `(all)`, app or `(all)`).
#[derive(Default)]
pub struct Truth {
    lookback_from: i64,
    figures: BTreeMap<(String, String), Figures>,
    promises: Vec<Promise>,
    members: BTreeMap<i64, Vec<Membership>>,
}

impl Truth {
    /// Promises are an app, a scope or all of them, and when the promise was given.
    pub fn new(lookback_from: Moment, promises: Vec<(String, Option<String>, i64)>) -> Self {
        let promises = promises.into_iter().map(|(app, scope, micros)| Promise {
            app,
            scope,
            micros,
            requests: 0,
            people: HashSet::new(),
        });
        Self {
            lookback_from: lookback_from.micros,
            figures: BTreeMap::new(),
            promises: promises.collect(),
            members: people::by_group(),
        }
    }

    /// Everybody whom a call names.
    pub fn people(&self) -> impl Iterator<Item = i64> + '_ {
        let all = self.figures.get(&("(all)".to_string(), "(all)".to_string()));
        all.into_iter().flat_map(|f| f.people.iter().copied())
    }

    pub fn count(&mut self, call: &Call<'_>) {
        for promise in self.promises.iter_mut().filter(|_| call.allowed) {
            let covered = promise.scope.as_deref().is_none_or(|scope| scope == call.scope);
            if covered && promise.app == call.app && promise.micros <= call.micros {
                promise.requests += 1;
                promise.people.extend(call.person);
            }
        }
        let of_group = call.group.and_then(|group| self.members.get(&group)).into_iter().flatten();
        let members: Vec<i64> =
            of_group.filter(|m| m.holds(call.micros)).map(|m| m.subject).collect();
        for scope in [call.scope, "(all)"] {
            for app in [call.app, "(all)"] {
                let f = self.figures.entry((scope.into(), app.into())).or_default();
                if !call.allowed {
                    f.denied += 1;
                    continue;
                }
                f.requests += 1;
                f.bytes += call.bytes;
                f.people.extend(call.person);
                f.reached.extend(call.person);
                f.reached.extend(&members);
                f.nameless += u64::from(call.person.is_none() && members.is_empty());
                f.groups.extend(call.group);
                f.first = Some(f.first.map_or(call.micros, |t| t.min(call.micros)));
                f.last = f.last.max(Some(call.micros));
                f.requests_in_grace += u64::from(call.in_grace);
                f.requests_in_brownout += u64::from(call.in_brownout);
                f.requests_after_revocation += u64::from(call.after_revocation);
                if call.after_attestation {
                    f.requests_after_attestation += 1;
                    f.people_after_attestation.extend(call.person);
                }
                if call.micros >= self.lookback_from {
                    f.requests_lookback += 1;
                    f.people_lookback.extend(call.person);
                    f.groups_lookback.extend(call.group);
                }
            }
        }
    }

    /// Apps with an allowed call in the scope; within the lookback only if asked.
    fn apps(&self, scope: &str, lookback: bool) -> usize {
        self.figures
            .iter()
            .filter(|((s, app), f)| {
                let requests = if lookback { f.requests_lookback } else { f.requests };
                s == scope && app != "(all)" && requests > 0
            })
            .count()
    }

    /// The answers; on `lost_day` there is no log.
    pub fn to_json(&self, extra: Value, lost_day: i64) -> Value {
        let time = |t: Option<i64>| t.map(|t| Moment::from_micros(t).to_rfc3339());
        let rows: Vec<Value> = self
            .figures
            .iter()
            .map(|((scope, app), f)| {
                json!({
                    "scope": scope,
                    "app_id": app,
                    "requests_allowed": f.requests,
                    "requests_denied": f.denied,
                    "requests_in_grace": f.requests_in_grace,
                    "requests_in_brownout": f.requests_in_brownout,
                    "requests_after_revocation": f.requests_after_revocation,
                    "requests_after_attestation": f.requests_after_attestation,
                    "subjects_after_attestation": f.people_after_attestation.len(),
                    "requests_lookback": f.requests_lookback,
                    "subjects_observed": f.people.len(),
                    "subjects_upper_bound": f.reached.len(),
                    "upper_bound_complete": f.nameless == 0,
                    "subjects_unknown_rows": f.nameless,
                    "subjects_lookback": f.people_lookback.len(),
                    "groups": f.groups.len(),
                    "groups_lookback": f.groups_lookback.len(),
                    "bytes": (f.requests > 0).then_some(f.bytes),
                    "first_access": time(f.first),
                    "last_access": time(f.last),
                })
            })
            .collect();
        let scopes: BTreeMap<&str, Value> = self
            .figures
            .keys()
            .filter(|(_, app)| app == "(all)")
            .map(|(scope, _)| {
                let apps = json!({
                    "apps_used_after_restriction": self.apps(scope, false),
                    "apps_used_lookback": self.apps(scope, true),
                });
                (scope.as_str(), apps)
            })
            .collect();
        let promises: Vec<Value> = self
            .promises
            .iter()
            .map(|p| {
                let verdict = if p.requests > 0 {
                    "violated"
                } else if p.micros < (lost_day + 1) * DAY_MICROS {
                    "inconclusive"
                } else {
                    "clean"
                };
                json!({
                    "app_id": p.app,
                    "scope": p.scope.as_deref().unwrap_or("(all)"),
                    "attested_at": time(Some(p.micros)),
                    "requests_after": p.requests,
                    "subjects_after": p.people.len(),
                    "verdict": verdict,
                })
            })
            .collect();
        let mut homes: BTreeMap<Option<Home>, (u64, u64)> = BTreeMap::new();
        let all = self.figures.get(&("(all)".to_string(), "(all)".to_string()));
        for (person, all) in
            all.into_iter().flat_map(|all| all.reached.iter().map(move |p| (p, all)))
        {
            let count = homes.entry(people::home(*person)).or_default();
            count.0 += u64::from(all.people.contains(person));
            count.1 += 1;
        }
        let homes: Vec<Value> = homes
            .into_iter()
            .map(|(home, (observed, upper))| {
                json!({
                    "country": home.map(|home| home.0),
                    "subdivision": home.and_then(|home| home.1),
                    "subjects_observed": observed,
                    "subjects_upper_bound": upper,
                })
            })
            .collect();
        json!({
            "story": extra,
            "scopes": scopes,
            "exposure": rows,
            "homes": homes,
            "promises": promises,
        })
    }
}
