//! True answers, counted with plain sets while the rows are made: nothing of the engine is used.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use crate::moment::Moment;

/// One call, before it becomes a row.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub scope: &'a str,
    pub app: &'a str,
    pub micros: i64,
    pub person: i64,
    pub group: Option<i64>,
    pub bytes: i64,
    pub allowed: bool,
    pub in_grace: bool,
}

#[derive(Default)]
struct Figures {
    requests: u64,
    denied: u64,
    bytes: i64,
    people: HashSet<i64>,
    groups: HashSet<i64>,
    first: Option<i64>,
    last: Option<i64>,
    requests_in_grace: u64,
    requests_lookback: u64,
    people_lookback: HashSet<i64>,
    groups_lookback: HashSet<i64>,
}

/// True figures by (scope or `(all)`, app or `(all)`).
#[derive(Default)]
pub struct Truth {
    lookback_from: i64,
    figures: BTreeMap<(String, String), Figures>,
}

impl Truth {
    pub fn new(lookback_from: Moment) -> Self {
        Self { lookback_from: lookback_from.micros, figures: BTreeMap::new() }
    }

    pub fn count(&mut self, call: &Call<'_>) {
        for scope in [call.scope, "(all)"] {
            for app in [call.app, "(all)"] {
                let f = self.figures.entry((scope.into(), app.into())).or_default();
                if !call.allowed {
                    f.denied += 1;
                    continue;
                }
                f.requests += 1;
                f.bytes += call.bytes;
                f.people.insert(call.person);
                f.groups.extend(call.group);
                f.first = Some(f.first.map_or(call.micros, |t| t.min(call.micros)));
                f.last = f.last.max(Some(call.micros));
                f.requests_in_grace += u64::from(call.in_grace);
                if call.micros >= self.lookback_from {
                    f.requests_lookback += 1;
                    f.people_lookback.insert(call.person);
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

    pub fn to_json(&self, extra: Value) -> Value {
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
                    "requests_lookback": f.requests_lookback,
                    "subjects_observed": f.people.len(),
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
        json!({ "story": extra, "scopes": scopes, "exposure": rows })
    }
}
