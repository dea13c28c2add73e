//! What was promised, what should not have happened, and by when somebody must be told.

use std::collections::HashSet;

use serde_json::json;

use super::{ALL, Row, coverage_pct, registered, time, without_grant};
use crate::moment::DAY_MICROS;
use crate::sample::people::Rule;
use crate::sample::truth::{Facts, Measures, Truth};

const HOUR_MICROS: i64 = DAY_MICROS / 24;

pub fn deletion_verification(truth: &Truth) -> Vec<Row> {
    let facts = &truth.facts;
    let rows = facts.promises.iter().zip(&truth.after).map(|(promise, after)| {
        let given = promise.given;
        let verdict = match given {
            None => "not_attested",
            Some(_) if after.all.requests > 0 => "violated",
            // What it did on the lost day nobody knows.
            Some(given) if given < (facts.lost_day + 1) * DAY_MICROS => "inconclusive",
            Some(_) => "clean",
        };
        let regrants = |given: i64| {
            let own = facts.grants.iter().filter(|grant| {
                grant.app == promise.app && promise.covers(grant.scope) && grant.from < facts.as_of
            });
            own.filter(|grant| given <= grant.from).count()
        };
        let after_it = |count: u64| json!(given.map(|_| count));
        let set = |set: &HashSet<i64>| json!(given.map(|_| set.len()));
        let since = given.map(|given| coverage_pct(facts, given.div_euclid(DAY_MICROS)));
        let mut row = vec![("grain", json!("attestation"))];
        row.extend(registered(facts, &promise.app));
        row.extend([
            ("scope", json!(promise.scope.unwrap_or(ALL))),
            ("asked_at", time(Some(promise.asked))),
            ("attested_at", time(given)),
            ("statement", json!(given.map(|_| promise.statement))),
            ("requests_after", after_it(after.all.requests)),
            ("requests_denied_after", after_it(after.denied)),
            ("requests_unknown_after", after_it(0)),
            ("subjects_after", set(&after.all.people)),
            ("subjects_upper_bound_after", set(&after.all.reached)),
            ("subjects_unknown_rows_after", after_it(after.all.nameless)),
            ("groups_after", set(&after.all.groups)),
            ("first_after", time(after.all.first)),
            ("last_after", time(after.all.last)),
            ("regrants", json!(given.map(regrants))),
            ("coverage_pct_after", json!(since)),
            ("verdict", json!(verdict)),
        ]);
        row
    });
    rows.collect()
}

pub fn deadlines(facts: &Facts) -> Vec<Row> {
    let timed = facts.rules.iter().filter_map(|rule| Some((rule, rule.limit?)));
    let row = |(rule, limit): (&Rule, i64)| {
        let started = facts.clocks.get(rule.clock.as_str()).copied();
        let unit = match rule.unit.as_str() {
            "hours" => Some(HOUR_MICROS),
            "calendar_days" => Some(DAY_MICROS),
            // No clock that runs in business days has started in this story.
            _ => None,
        };
        let due = started.zip(unit).map(|(started, unit)| started + limit * unit);
        let state = match due {
            None => "not_started",
            Some(due) if due < facts.as_of => "passed",
            Some(_) => "running",
        };
        vec![
            ("grain", json!("regime")),
            ("regime", json!(rule.regime)),
            ("jurisdiction", json!(rule.jurisdiction)),
            ("starting_event", json!(rule.clock)),
            ("started_at", time(started)),
            ("time_limit", json!(limit)),
            ("unit", json!(rule.unit)),
            ("due_at", time(due)),
            ("state", json!(state)),
        ]
    };
    timed.map(row).collect()
}

pub fn findings(truth: &Truth) -> Vec<Row> {
    let facts = &truth.facts;
    let mut rows = Vec::new();
    for ((scope, app), cell) in &truth.cells {
        let ungranted = Measures::default();
        let is_ungranted = without_grant(truth, scope).contains(app.as_str());
        let kinds = [
            ("after_attestation", &cell.after_attestation),
            ("after_revocation", &cell.after_revocation),
            ("in_brownout", &cell.in_brownout),
            ("without_grant", if is_ungranted { &cell.all } else { &ungranted }),
            ("after_grace", &cell.after_grace),
        ];
        for (finding, of) in kinds.into_iter().filter(|(_, of)| of.requests > 0) {
            let mut row = vec![
                ("grain", json!("scope_app")),
                ("finding", json!(finding)),
                ("scope", json!(scope)),
            ];
            row.extend(registered(facts, app));
            row.extend([
                ("requests_allowed", json!(of.requests)),
                ("subjects_observed", json!(of.people.len())),
                ("subjects_upper_bound", json!(of.reached.len())),
                ("subjects_unknown_rows", json!(of.nameless)),
                ("groups", json!(of.groups.len())),
                ("first_access", time(of.first)),
                ("last_access", time(of.last)),
            ]);
            rows.push(row);
        }
    }
    rows
}
