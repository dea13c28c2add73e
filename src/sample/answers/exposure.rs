//! Who used what, whom it reached, and when.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Value, json};

use super::{
    ALL, Row, SOURCE, capable, coverage_pct, developers, is_in, registered, scopes, time, used,
    without_grant,
};
use crate::moment::day_to_date;
use crate::sample::truth::{Cell, Facts, Truth};

fn figures(facts: &Facts, cell: &Cell) -> Row {
    let Cell { all, in_grace, after_grace, in_brownout, lookback, .. } = cell;
    let (revoked, promised) = (&cell.after_revocation, &cell.after_attestation);
    vec![
        ("requests_allowed", json!(all.requests)),
        ("requests_denied", json!(cell.denied)),
        ("requests_unknown", json!(0)),
        ("requests_held_only", json!(0)),
        ("subjects_observed", json!(all.people.len())),
        ("subjects_upper_bound", json!(all.reached.len())),
        ("upper_bound_complete", json!(all.nameless == 0)),
        ("subjects_unknown_rows", json!(all.nameless)),
        // The log has no column of them.
        ("actors", json!(0)),
        ("groups", json!(all.groups.len())),
        ("records", Value::Null),
        ("bytes", json!((all.requests > 0).then_some(all.bytes))),
        ("first_access", time(all.first)),
        ("last_access", time(all.last)),
        ("active_days", json!(all.days.len())),
        ("requests_in_grace", json!(in_grace.requests)),
        ("subjects_in_grace", json!(in_grace.people.len())),
        ("requests_after_grace", json!(after_grace.requests)),
        ("subjects_after_grace", json!(after_grace.people.len())),
        ("requests_in_brownout", json!(in_brownout.requests)),
        ("subjects_in_brownout", json!(in_brownout.people.len())),
        ("requests_after_revocation", json!(revoked.requests)),
        ("subjects_after_revocation", json!(revoked.people.len())),
        ("requests_after_attestation", json!(promised.requests)),
        ("subjects_after_attestation", json!(promised.people.len())),
        ("requests_lookback", json!(lookback.requests)),
        ("subjects_lookback", json!(lookback.people.len())),
        ("groups_lookback", json!(lookback.groups.len())),
        ("coverage_pct", json!(coverage_pct(facts, facts.first_day))),
        ("verdict", json!("complete")),
    ]
}

pub fn scope_summary(truth: &Truth) -> Vec<Row> {
    let facts = &truth.facts;
    let row = |scope: &'static str| {
        let is_one = scope != ALL;
        let (able, used_ever) = (capable(facts, scope), used(truth, scope, false));
        let lately = used(truth, scope, true);
        let unknown = used_ever.iter().filter(|app| !facts.apps.contains_key(**app)).count();
        let mut row = vec![
            ("grain", json!(if is_one { "scope" } else { "all" })),
            ("scope", json!(scope)),
            ("status", json!(is_one.then_some("restricted"))),
            ("restricted_at", time(is_one.then_some(facts.restricted))),
            ("apps_capable", json!(able.len())),
            ("apps_used_after_restriction", json!(used_ever.len())),
            ("apps_used_lookback", json!(lately.len())),
            ("apps_used_without_grant", json!(without_grant(truth, scope).len())),
            ("developers_capable", json!(developers(facts, &able).len())),
            ("developers_used_after_restriction", json!(developers(facts, &used_ever).len())),
            ("developers_used_lookback", json!(developers(facts, &lately).len())),
            ("developers_unknown_apps", json!(unknown)),
        ];
        let is_told = |column: &str| {
            let windows = ["grace", "brownout", "revocation", "attestation", "groups_lookback"];
            !windows.iter().any(|window| column.ends_with(window))
        };
        let all = truth.union(|own, _| is_in(scope, own));
        row.extend(figures(facts, &all).into_iter().filter(|(column, _)| is_told(column)));
        row
    };
    scopes(facts).map(row).collect()
}

pub fn app_scope_exposure(truth: &Truth) -> Vec<Row> {
    let facts = &truth.facts;
    let row = |grain: &str, scope: &str, app: &str, cell: &Cell| {
        let is_one = scope != ALL;
        let mut row = vec![("grain", json!(grain)), ("scope", json!(scope))];
        if app == ALL {
            let all = [("app_id", json!(ALL)), ("app_name", Value::Null)];
            row.extend(all);
            row.extend([("developer_id", json!(ALL)), ("developer_name", Value::Null)]);
        } else {
            row.extend(registered(facts, app));
        }
        let grace = facts.graces.get(app).filter(|_| is_one);
        row.push(("restricted_at", time(is_one.then_some(facts.restricted))));
        row.push(("grace_until", time(grace.copied())));
        row.extend(figures(facts, cell));
        row
    };
    let mut rows: Vec<Row> =
        truth.cells.iter().map(|((scope, app), c)| row("scope_app", scope, app, c)).collect();
    for scope in scopes(facts) {
        let grain = if scope == ALL { "all" } else { "scope" };
        rows.push(row(grain, scope, ALL, &truth.union(|own, _| is_in(scope, own))));
    }
    let apps: BTreeSet<&String> = truth.cells.keys().map(|(_, app)| app).collect();
    rows.extend(
        apps.into_iter().map(|app| row("app", ALL, app, &truth.union(|_, own| own == app))),
    );
    rows
}

pub fn developer_exposure(truth: &Truth) -> Vec<Row> {
    let facts = &truth.facts;
    let developer = |app: &str| facts.apps.get(app);
    let mut rows = Vec::new();
    for scope in scopes(facts) {
        let cells = || truth.cells.iter().filter(|((own, _), _)| is_in(scope, own));
        let all: BTreeMap<&str, &str> = cells()
            .filter_map(|((_, app), _)| developer(app))
            .map(|app| (app.developer.as_str(), app.developer_name.as_str()))
            .collect();
        for (id, name) in all {
            let is_own = |app: &str| developer(app).is_some_and(|app| app.developer == id);
            let apps = used(truth, scope, false).into_iter().filter(|app| is_own(app)).count();
            let is_one = scope != ALL;
            let mut row = vec![
                ("grain", json!(if is_one { "scope_developer" } else { "developer" })),
                ("scope", json!(scope)),
                ("developer_id", json!(id)),
                ("developer_name", json!(name)),
                ("apps_used_after_restriction", json!(apps)),
                ("restricted_at", time(is_one.then_some(facts.restricted))),
            ];
            let cell = truth.union(|own, app| is_in(scope, own) && is_own(app));
            row.extend(figures(facts, &cell));
            rows.push(row);
        }
    }
    rows
}

pub fn data_categories(truth: &Truth) -> Vec<Row> {
    let facts = &truth.facts;
    let mut rows = Vec::new();
    for scope in &facts.scopes {
        let Cell { all, .. } = truth.union(|own, _| own == scope.name);
        for category in &scope.categories {
            rows.push(vec![
                ("grain", json!("scope_category")),
                ("scope", json!(scope.name)),
                ("data_category", json!(category)),
                ("fields_returned", Value::Null),
                ("special_category", json!(scope.special.contains(category))),
                ("subjects_observed", json!(all.people.len())),
                ("subjects_upper_bound", json!(all.reached.len())),
                ("upper_bound_complete", json!(all.nameless == 0)),
                ("subjects_unknown_rows", json!(all.nameless)),
                ("records", Value::Null),
                ("coverage_pct", json!(coverage_pct(facts, facts.first_day))),
                ("verdict", json!("complete")),
            ]);
        }
    }
    rows
}

pub fn daily_timeline(truth: &Truth) -> Vec<Row> {
    let mut rows = Vec::new();
    for scope in scopes(&truth.facts) {
        let mut days: BTreeMap<i64, (u64, HashSet<i64>)> = BTreeMap::new();
        for ((_, day), of) in truth.days.iter().filter(|((own, _), _)| is_in(scope, own)) {
            let all = days.entry(*day).or_default();
            all.0 += of.requests;
            all.1.extend(&of.people);
        }
        let mut seen: HashSet<i64> = HashSet::new();
        for (day, (requests, people)) in days {
            let before = seen.len();
            seen.extend(&people);
            rows.push(vec![
                ("grain", json!(if scope == ALL { "all" } else { "scope" })),
                ("scope", json!(scope)),
                ("app_id", json!(ALL)),
                ("app_name", Value::Null),
                ("day", json!(day_to_date(day))),
                ("requests_allowed", json!(requests)),
                ("subjects_observed", json!(people.len())),
                ("subjects_new", json!(seen.len() - before)),
                ("subjects_cumulative", json!(seen.len())),
            ]);
        }
    }
    rows
}

pub fn groups_exposed(truth: &Truth) -> Vec<Row> {
    let groups = truth.groups.iter().map(|((scope, group), read)| {
        vec![
            ("grain", json!("scope_group")),
            ("scope", json!(scope)),
            ("namespace", json!(SOURCE)),
            ("group_id", json!(group.to_string())),
            ("groups", json!(1)),
            ("apps", json!(read.apps.len())),
            ("members_then", json!(read.members.len())),
            ("subjects_observed", json!(read.people.len())),
            ("requests_allowed", json!(read.requests)),
            ("first_access", time(read.first)),
            ("last_access", time(read.last)),
        ]
    });
    groups.collect()
}
