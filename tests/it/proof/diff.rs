//! `afterscope diff`: every value that differs, and what the runs were made from.

use std::fs;

use serde_json::{Value, json};

use crate::lake::{Lake, call};

fn run_id(lake: &Lake) -> String {
    lake.json("out/latest.json")["run_id"].as_str().unwrap().to_string()
}

fn kinds(found: &Value) -> Vec<&str> {
    let sources = found["sources"].as_array().unwrap();
    sources.iter().map(|source| source["cause"].as_str().unwrap()).collect()
}

#[test]
fn every_changed_value_is_named_with_what_it_can_come_from() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let first = format!("out/runs/{}", run_id(&lake));
    // A file that came late: app-3 uses the scope, and reaches one person more in a new group.
    let late = crate::lake::Call { group: Some(77), ..call("2019-07-04T08:00:00Z", "app-3", 9) };
    lake.log("logs/dt=2019-07-04/part-0.parquet", &[late]);
    lake.edit("apps.csv", "Planner", "Planner 2");
    lake.publishes(&["--set", "report.lookback_days=30"]);
    let outcome = lake.afterscope(&["diff", &first, "out", "--out", "changes.csv"]).succeeds();
    let found = outcome.json();
    assert_eq!(found["old_run"], first.rsplit('/').next().unwrap());
    assert_eq!(found["new_run"], run_id(&lake));
    assert_eq!(kinds(&found), ["late file", "policy change", "policy change"]);
    let what = |i: usize| found["sources"][i]["what"].as_str().unwrap();
    assert!(what(0).contains("dt=2019-07-04/part-0.parquet (1 rows"), "{}", what(0));
    assert_eq!(what(1), "registry.apps");
    assert_eq!(what(2), "report.lookback_days: 60 became 30");
    let changes = fs::read_to_string(lake.path("changes.csv")).unwrap();
    for line in [
        "scope_summary,grain=scope scope=read_members,requests_allowed,4,5,",
        "scope_summary,grain=all scope=(all),subjects_observed,4,5,",
        "app_scope_exposure,grain=app scope=(all) app_id=app-1,app_name,Planner,Planner 2,",
        "groups_exposed,grain=scope_group scope=read_members namespace=access group_id=77,(row),,there,",
    ] {
        assert!(changes.lines().any(|l| l == line), "{line}\n{changes}");
    }
    let lines = changes.lines().skip(1).filter(|line| line.starts_with("scope_summary,"));
    assert_eq!(found["changed"]["scope_summary"], lines.count());
    let only = lake.afterscope(&["diff", &first, "out", "--table", "coverage"]).succeeds().json();
    let tables: Vec<&String> = only["changed"].as_object().unwrap().keys().collect();
    assert_eq!(tables, ["coverage"]);
}

#[test]
fn equal_runs_differ_in_nothing_and_a_damaged_one_is_refused() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    lake.publishes(&["--output", "again"]);
    let found = lake.afterscope(&["diff", "out", "again"]).succeeds();
    assert!(found.stderr.contains("no figure differs"), "{}", found.stderr);
    assert_eq!(found.json()["changed"], json!({}));
    assert_eq!(found.json()["sources"], json!([]));
    let says = ["--table sums", "neither run has such a table", "scope_summary"];
    lake.afterscope(&["diff", "out", "again", "--table", "sums"]).fails(1, &says);
    let table = lake.path(&format!("out/runs/{}/tables/coverage.parquet", run_id(&lake)));
    fs::write(&table, b"nothing").unwrap();
    let says = ["coverage.parquet", "was changed"];
    lake.afterscope(&["diff", "out", "again"]).fails(3, &says);
}

#[test]
fn a_file_that_was_rewritten_or_went_is_told_of() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let first = format!("out/runs/{}", run_id(&lake));
    lake.log("logs/dt=2019-07-02/part-0.parquet", &[call("2019-07-02T08:00:00Z", "app-1", 7)]);
    fs::remove_file(lake.path("logs/dt=2019-07-03/part-0.parquet")).unwrap();
    lake.publishes(&[]);
    let found = lake.afterscope(&["diff", &first, "out"]).succeeds().json();
    assert_eq!(kinds(&found), ["rewritten file", "missing file"]);
    let what = found["sources"][0]["what"].as_str().unwrap();
    assert!(what.contains("(2 rows became 1"), "{what}");
}
