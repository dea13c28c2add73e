//! `afterscope what-if`, by figures that follow by hand.

use serde_json::{Value, json};

use crate::lake::{AS_OF, Lake, Outcome};

fn asked(lake: &Lake, more: &[&str]) -> Outcome {
    let args = ["what-if", "--config", "afterscope.toml", "--as-of", AS_OF];
    lake.afterscope(&[args.as_slice(), more].concat())
}

fn answer(lake: &Lake, more: &[&str]) -> Value {
    asked(lake, more).succeeds().json()
}

#[test]
fn who_would_break_and_whom_it_would_have_spared() {
    let lake = Lake::with_people();
    let found = answer(&lake, &["--scope", "read_members", "--at", "2019-07-01T09:00:00Z"]);
    assert_eq!(found["restricted_at"], "2019-06-01T00:00:00Z");
    assert_eq!(found["enforced_at"], "2019-07-01T09:00:00Z");
    // app-1 at 9 and 10 o'clock, and on the next day: people 2, 3 and 1, groups 10 and 11. Member 20 left
    // group 10 at nine and is one of group 11.
    let broken = json!({
        "apps": 1, "developers": 1, "requests_allowed": 3, "subjects_observed": 3,
        "subjects_upper_bound": 4, "subjects_unknown_rows": 0, "groups": 2,
    });
    assert_eq!(found["would_break"], broken);
    // Person 1 and group 10 were reached at eight already.
    assert_eq!((&found["subjects_spared"], &found["groups_spared"]), (&json!(2), &json!(1)));
    let apps = found["apps"].as_array().unwrap();
    assert_eq!(apps.len(), 1);
    assert_eq!((&apps[0]["app_id"], &apps[0]["app_name"]), (&json!("app-1"), &json!("Planner")));
    assert_eq!(apps[0]["last_access"], "2019-07-02T08:00:00Z");
    lake.nothing_is_published();
}

#[test]
fn an_answer_without_all_files_says_so() {
    let lake = Lake::standard();
    let asked_of = ["--scope", "read_members", "--at", "2019-07-01", "--allow-incomplete"];
    assert_eq!(answer(&lake, &asked_of)["files_left_out"], 0);
    lake.write("logs/dt=2019-07-04/part-0.parquet", "no Parquet file at all");
    let outcome = asked(&lake, &asked_of).succeeds();
    assert_eq!(outcome.json()["files_left_out"], 1);
    assert!(outcome.stderr.contains("incomplete: 1 files were left out"), "{outcome:#?}");
}

#[test]
fn a_grace_moves_the_enforcement() {
    let lake = Lake::standard();
    let with = ["--scope", "read_members", "--at", "2019-06-01", "--grace", "31d"];
    let found = answer(&lake, &with);
    assert_eq!(found["enforced_at"], "2019-07-02T00:00:00Z");
    assert_eq!(found["would_break"]["requests_allowed"], 1);
    assert_eq!(found["would_break"]["subjects_upper_bound"], Value::Null);
    assert_eq!(found["subjects_spared"], 0);
    let late = ["--scope", "read_members", "--at", "2019-08-01", "--grace", "60d"];
    asked(&lake, &late).fails(1, &["--at", "not before as_of", "shorter grace"]);
}

#[test]
fn a_scope_that_is_not_restricted_can_be_asked_about() {
    let lake = Lake::standard();
    let found = answer(&lake, &["--scope", "email", "--at", "2019-07-01"]);
    assert_eq!(found["restricted_at"], Value::Null);
    assert_eq!(found["would_break"]["requests_allowed"], 1);
    assert_eq!(found["subjects_spared"], Value::Null);
    // The run after it finds the ledger as it needs it.
    let summary = lake.publishes(&[]).table("scope_summary");
    assert_eq!(summary.row(&[("scope", "(all)")], &["requests_allowed"]), ["6"]);
    let none = answer(&lake, &["--scope", "no_such_scope", "--at", "2019-07-01"]);
    assert_eq!(none["would_break"]["requests_allowed"], 0);
}

#[test]
fn an_enforcement_before_the_restriction_counts_from_there() {
    let lake = Lake::standard();
    let found = answer(&lake, &["--scope", "write_posts", "--at", "2019-06-01"]);
    assert_eq!(found["would_break"]["requests_allowed"], 2);
    // Whom calls before it reached is not known.
    assert_eq!(found["subjects_spared"], Value::Null);
    let text = asked(&lake, &["--scope", "write_posts", "--at", "2019-06-01"]).stderr;
    assert!(text.contains("1 apps of 1 developers would break, 2 requests, 2 people"), "{text}");
}
