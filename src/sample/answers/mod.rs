//! `truth.json`: what was counted while the rows were made, in the shape of the report's tables.
//!
//! Of each table it has the columns, and of some the grains, that the story decides.

mod exposure;
mod places;
mod policy;

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::Format;
use super::truth::{Cell, Facts, FileRows, Measures, Truth};
use crate::moment::{Moment, day_to_date};

const ALL: &str = "(all)";
const SOURCE: &str = "access";

/// Columns of a row, each with its value.
type Row = Vec<(&'static str, Value)>;

/// What is known of one table.
struct Known {
    table: &'static str,
    /// All with the same columns.
    rows: Vec<Row>,
}

fn time(micros: Option<i64>) -> Value {
    json!(micros.map(|at| Moment::from_micros(at).to_rfc3339()))
}

/// Share of the days from `first` that have a log.
fn coverage_pct(facts: &Facts, first: i64) -> f64 {
    let days = facts.end_day - first;
    let lost = i64::from((first..facts.end_day).contains(&facts.lost_day));
    100.0 * (days - lost) as f64 / days as f64
}

/// The file's text: one line for each row.
pub fn render(truth: &Truth, rows: u64, format: Format) -> String {
    // Writing to a String cannot fail.
    let mut out = String::from("{\n  \"story\": {");
    for (i, (name, value)) in story(truth, rows).iter().enumerate() {
        let _ = write!(out, "{}\n    \"{name}\": {value}", if i == 0 { "" } else { "," });
    }
    out.push_str("\n  },\n  \"tables\": {");
    for (i, Known { table, rows }) in tables(truth, format).iter().enumerate() {
        let columns: Vec<&str> =
            rows.first().into_iter().flatten().map(|(column, _)| *column).collect();
        let _ = write!(
            out,
            "{}\n    \"{table}\": {{\n      \"columns\": {},\n      \"rows\": [",
            if i == 0 { "" } else { "," },
            json!(columns)
        );
        for (i, row) in rows.iter().enumerate() {
            let values: Vec<&Value> = row.iter().map(|(_, value)| value).collect();
            let _ = write!(out, "{}\n        {}", if i == 0 { "" } else { "," }, json!(values));
        }
        out.push_str("\n      ]\n    }");
    }
    out.push_str("\n  }\n}\n");
    out
}

/// The answer in a few numbers.
fn story(truth: &Truth, rows: u64) -> Row {
    let facts = &truth.facts;
    let all = truth.union(|_, _| true);
    let used = |lookback| used(truth, ALL, lookback).len();
    let breaches = |window: fn(&Cell) -> &Measures| window(&all).requests;
    vec![
        ("as_of", time(Some(facts.as_of))),
        ("restricted_at", time(Some(facts.restricted))),
        ("apps_capable", json!(capable(facts, ALL).len())),
        ("apps_used_after_restriction", json!(used(false))),
        ("apps_used_lookback", json!(used(true))),
        ("apps_used_without_grant", json!(without_grant(truth, ALL).len())),
        ("people_observed", json!(all.all.people.len())),
        ("people_lookback", json!(all.lookback.people.len())),
        ("people_upper_bound", json!(all.all.reached.len())),
        ("requests", json!(all.all.requests)),
        ("requests_that_name_somebody", json!(all.naming)),
        ("requests_in_brownout", json!(breaches(|all| &all.in_brownout))),
        ("requests_after_revocation", json!(breaches(|all| &all.after_revocation))),
        ("requests_after_promise", json!(breaches(|all| &all.after_attestation))),
        ("rows", json!(rows)),
    ]
}

/// What `coverage` says of files and deleted rows is known of plain files alone.
fn tables(truth: &Truth, format: Format) -> Vec<Known> {
    let known = |table, rows| Known { table, rows };
    let mut tables = vec![
        known("scope_summary", exposure::scope_summary(truth)),
        known("app_scope_exposure", exposure::app_scope_exposure(truth)),
        known("developer_exposure", exposure::developer_exposure(truth)),
        known("subjects_by_jurisdiction", places::subjects_by_jurisdiction(truth)),
        known("data_categories", exposure::data_categories(truth)),
        known("daily_timeline", exposure::daily_timeline(truth)),
        known("groups_exposed", exposure::groups_exposed(truth)),
        known("deletion_verification", policy::deletion_verification(truth)),
        known("coverage", coverage(truth)),
        known("deadlines", policy::deadlines(&truth.facts)),
        known("findings", policy::findings(truth)),
        known("thresholds", places::thresholds(truth)),
    ];
    tables.retain(|known| format == Format::Parquet || known.table != "coverage");
    tables
}

/// Scopes, and what all of them together are called.
fn scopes(facts: &Facts) -> impl Iterator<Item = &'static str> + '_ {
    facts.scopes.iter().map(|scope| scope.name).chain([ALL])
}

fn is_in(scope: &str, own: &str) -> bool {
    scope == ALL || scope == own
}

/// Apps whose grant of the scope holds at a moment between the restriction and the report's end.
fn capable<'a>(facts: &'a Facts, scope: &str) -> BTreeSet<&'a str> {
    let holds = facts.grants.iter().filter(|grant| {
        grant.from < facts.as_of && grant.to.is_none_or(|to| facts.restricted < to)
    });
    holds.filter(|grant| is_in(scope, grant.scope)).map(|grant| grant.app.as_str()).collect()
}

/// Apps with an allowed call in the scope; within the lookback only if asked.
fn used<'a>(truth: &'a Truth, scope: &str, lookback: bool) -> BTreeSet<&'a str> {
    let cells = truth.cells.iter().filter(|((own, _), cell)| {
        let measures = if lookback { &cell.lookback } else { &cell.all };
        is_in(scope, own) && measures.requests > 0
    });
    cells.map(|((_, app), _)| app.as_str()).collect()
}

/// Apps that used a scope of which they had no grant.
fn without_grant<'a>(truth: &'a Truth, scope: &str) -> BTreeSet<&'a str> {
    let own = truth.facts.scopes.iter().map(|of| of.name).filter(|own| is_in(scope, own));
    own.flat_map(|own| {
        let capable = capable(&truth.facts, own);
        used(truth, own, false).into_iter().filter(move |app| !capable.contains(app))
    })
    .collect()
}

fn developers<'a>(facts: &'a Facts, apps: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    apps.iter().filter_map(|app| facts.apps.get(*app)).map(|app| app.developer.as_str()).collect()
}

/// Who an app is: its name, its developer, and the developer's name.
fn registered(facts: &Facts, app: &str) -> Row {
    let own = facts.apps.get(app);
    vec![
        ("app_id", json!(app)),
        ("app_name", json!(own.map(|own| &own.name))),
        ("developer_id", json!(own.map(|own| &own.developer))),
        ("developer_name", json!(own.map(|own| &own.developer_name))),
    ]
}

fn coverage(truth: &Truth) -> Vec<Row> {
    let facts = &truth.facts;
    let days = facts.end_day - facts.first_day;
    let pct = coverage_pct(facts, facts.first_day);
    let row = |grain: &str, source: &str, day: Option<i64>| {
        let files: Vec<_> =
            truth.files.iter().filter(|(own, _)| day.is_none_or(|d| d == **own)).collect();
        let sum =
            |of: fn(&FileRows) -> u64| -> u64 { files.iter().map(|(_, rows)| of(rows)).sum() };
        let total = day.is_none();
        vec![
            ("grain", json!(grain)),
            ("source", json!(source)),
            ("file_day", json!(day.map(day_to_date))),
            ("files_read", json!(files.len())),
            // The files are written without checksums.
            ("files_unverified", json!(files.iter().filter(|(_, rows)| rows.any_inside()).count())),
            ("files_unreadable", json!(0)),
            (
                "rows_in_metadata",
                json!(sum(|rows| rows.outside + rows.repeated + rows.denied + rows.counted)),
            ),
            ("rows_outside", json!(sum(|rows| rows.outside))),
            ("rows_deleted", json!(0)),
            ("rows_rejected", json!(0)),
            ("rows_deduplicated", json!(sum(|rows| rows.repeated))),
            ("rows_after_as_of", json!(0)),
            ("rows_denied", json!(sum(|rows| rows.denied))),
            ("rows_unknown", json!(0)),
            ("rows_held_only", json!(0)),
            ("rows_counted", json!(sum(|rows| rows.counted))),
            ("event_id_conflicts", json!(total.then_some(0))),
            ("periods_expected", json!(total.then_some(days))),
            ("periods_covered", json!(total.then_some(days - 1))),
            ("coverage_pct", json!(total.then_some(pct))),
            ("deduplicates", json!(total.then_some(true))),
            ("has_status", json!(total.then_some(true))),
            ("history_known_from", Value::Null),
            ("history_versions", Value::Null),
            ("history_files_removed", Value::Null),
            ("history_rows_removed", Value::Null),
            ("verdict", json!("complete")),
        ]
    };
    let mut rows = vec![row("all", ALL, None), row("source", SOURCE, None)];
    rows.extend(truth.files.keys().map(|day| row("source_day", SOURCE, Some(*day))));
    rows
}
