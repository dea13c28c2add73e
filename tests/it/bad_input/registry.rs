//! Registry files.

use std::fs;

use crate::lake::{APPS, Lake, SCOPES, assert_same};

#[test]
fn a_registry_file_that_is_not_there_is_named_with_its_key() {
    let lake = Lake::standard();
    fs::remove_file(lake.path("apps.csv")).unwrap();
    lake.refuses(&[], 1, &["apps.csv", "does not exist", "registry.apps"]);
    fs::remove_file(lake.path("scopes.csv")).unwrap();
    lake.refuses(&[], 1, &["scopes.csv", "does not exist", "registry.scopes"]);
}

#[test]
fn a_registry_column_that_is_not_there_is_named_beside_those_that_are() {
    let lake = Lake::standard();
    lake.edit("scopes.csv", "deprecated_at", "deprecatd_at");
    lake.refuses(&[], 1, &["scopes.csv", "no column `deprecated_at`", "deprecatd_at", "correct"]);
}

#[test]
fn a_bad_date_is_named_with_file_line_and_column() {
    let lake = Lake::standard();
    lake.edit("scopes.csv", "2019-07-01T00:00:00Z", "2019-02-30");
    let says = ["scopes.csv", "line 3", "`deprecated_at`", "`2019-02-30`", "2018-04-04T00:00:00Z"];
    lake.refuses(&[], 1, &says);
}

#[test]
fn a_time_that_clocks_show_twice_asks_for_an_offset() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "zone = \"Europe/Dublin\"\n\n[report]");
    lake.edit("scopes.csv", "2019-06-01T00:00:00Z", "2018-10-28T01:30:00");
    lake.refuses(&[], 1, &["scopes.csv", "line 2", "2018-10-28T01:30:00", "offset"]);
}

#[test]
fn a_bad_grace_end_is_named_with_file_line_and_column() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "extensions = \"extensions.csv\"\n\n[report]");
    let good = "app-1,read_members,2019-07-02\n";
    lake.write("extensions.csv", &format!("app_id,scope,grace_until\n{good}app-2,x,later\n"));
    let says = ["extensions.csv", "line 3", "`grace_until`", "`later`", "2018-04-04"];
    lake.refuses(&[], 1, &says);
}

#[test]
fn a_scope_with_two_restrictions_is_refused_with_both_lines() {
    let lake = Lake::standard();
    lake.write("scopes.csv", &format!("{SCOPES}read_members,2019-06-02T00:00:00Z,name;email\n"));
    lake.refuses(&[], 1, &["scopes.csv", "line 4", "line 2", "`read_members`", "keep the row"]);
}

#[test]
fn an_app_with_two_developers_is_refused_with_both_lines() {
    let lake = Lake::standard();
    lake.write("apps.csv", &format!("{APPS}app-3,Viewer,dev-1,Ada Ltd\n"));
    lake.refuses(&[], 1, &["apps.csv", "line 5", "line 4", "`app-3`", "keep the row"]);
}

#[test]
fn an_extension_with_two_ends_is_refused_with_both_lines() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "extensions = \"extensions.csv\"\n\n[report]");
    let rows = "app-1,read_members,2019-07-02\napp-1,read_members,2019-07-03\n";
    lake.write("extensions.csv", &format!("app_id,scope,grace_until\n{rows}"));
    lake.refuses(&[], 1, &["extensions.csv", "line 3", "line 2", "`app-1`", "`read_members`"]);
}

#[test]
fn rows_that_say_the_same_twice_are_one() {
    let lake = Lake::standard();
    let once = lake.publishes(&[]).bytes();
    let (scope, app) = (SCOPES.lines().nth(1).unwrap(), APPS.lines().nth(3).unwrap());
    lake.write("scopes.csv", &format!("{SCOPES}{scope}\n"));
    lake.write("apps.csv", &format!("{APPS}{app}\n"));
    let twice = lake.run(&[]).succeeds();
    assert_eq!(twice.json()["reused"], false);
    assert_same(&once, &twice.published().bytes());
}

#[test]
fn a_registry_without_a_scope_is_refused() {
    let lake = Lake::standard();
    lake.write("scopes.csv", "scope,deprecated_at\n");
    lake.refuses(&[], 1, &["scopes.csv", "names no scope", "at least one"]);
}

#[test]
fn an_empty_cell_that_must_hold_something_is_named() {
    let lake = Lake::standard();
    lake.write("scopes.csv", &format!("{SCOPES},2019-06-01,\n"));
    lake.refuses(&[], 1, &["scopes.csv", "line 4", "`scope`", "empty"]);
}

#[test]
fn blanks_around_a_scope_do_not_make_its_calls_vanish() {
    let lake = Lake::standard();
    lake.edit("scopes.csv", "read_members,", " read_members ,");
    let outcome = lake.run(&[]);
    if outcome.code == 0 {
        let summary = outcome.published().table("scope_summary");
        let row = summary.row(&[("scope", "read_members")], &["requests_allowed"]);
        assert_eq!(row, ["4"]);
    } else {
        outcome.fails(1, &["scopes.csv", "line 2", "`scope`"]);
    }
}

#[test]
fn a_registry_column_that_stands_there_twice_is_refused() {
    let lake = Lake::standard();
    lake.write("scopes.csv", "scope,scope,deprecated_at\nread_members,write_posts,2019-06-01\n");
    lake.refuses(&[], 1, &["scopes.csv", "`scope`"]);
}

#[test]
fn a_row_with_a_cell_too_few_is_named_by_line() {
    let lake = Lake::standard();
    lake.write("scopes.csv", &format!("{SCOPES}lonely\n"));
    lake.refuses(&[], 1, &["scopes.csv", "line: 4", "registry.scopes"]);
}

#[test]
fn a_damaged_parquet_registry_is_named() {
    let lake = Lake::standard();
    lake.write("scopes.csv", "PAR1 and nothing of a Parquet file behind it");
    lake.refuses(&[], 1, &["scopes.csv", "registry.scopes"]);
}

#[test]
fn all_bad_rows_of_a_file_are_told_at_once() {
    let lake = Lake::standard();
    lake.write(
        "scopes.csv",
        "scope,deprecated_at\na,2019-13-01\n,2019-06-01\nb,2019-06-01\nb,2019-07-01\n",
    );
    lake.refuses(&[], 1, &["3 bad rows", "line 2,", "line 3,", "line 5"]);
    let rows: String = (0..30).map(|i| format!("s{i},never\n")).collect();
    lake.write("scopes.csv", &format!("scope,deprecated_at\n{rows}"));
    lake.refuses(&[], 1, &["30 bad rows", "line 2,", "line 21,", "and 10 more"]);
}

#[test]
fn an_extension_of_an_unknown_app_and_a_developer_of_two_names_are_pointed_out() {
    let lake = Lake::standard();
    lake.edit("apps.csv", "app-2,Mailer,dev-1,Ada Ltd", "app-2,Mailer,dev-1,Ada Inc");
    lake.write("extensions.csv", "app_id,scope,grace_until\napp-9,read_members,2019-08-01\n");
    lake.edit(
        "afterscope.toml",
        "apps = \"apps.csv\"",
        "apps = \"apps.csv\"\nextensions = \"extensions.csv\"",
    );
    let outcome = lake.run(&[]).succeeds();
    for says in
        ["extensions name app `app-9`", "developer `dev-1` has 2 names; tables show `Ada Ltd`"]
    {
        assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
    }
}

/// A registry file of a role and one row that cannot be used.
fn refused(role: &str, text: &str, says: &[&str]) {
    let lake = Lake::with_standing();
    lake.write(&format!("{role}.csv"), text);
    lake.refuses(&[], 1, &[&[format!("{role}.csv").as_str()], says].concat());
}

#[test]
fn a_grant_that_ends_before_it_begins_is_refused() {
    let text = "app_id,scope,granted_at,revoked_at\na,s,2019-01-02,2019-01-02\n";
    refused("grants", text, &["line 2", "`revoked_at`", "2019-01-02T00:00:00Z is not after"]);
}

#[test]
fn a_grant_with_two_ends_is_refused_with_both_lines() {
    let text =
        "app_id,scope,granted_at,revoked_at\na,s,2019-01-02,\nb,s,,\na,s,2019-01-02,2019-02-01\n";
    refused("grants", text, &["line 4", "line 2", "the grant of scope `s` to app `a`", "keep"]);
}

#[test]
fn a_brownout_that_ends_before_it_begins_is_refused() {
    let text = "scope,from,to\nread_members,2019-01-02,2019-01-01\n";
    refused("brownouts", text, &["line 2", "`to`", "is not after from"]);
}

#[test]
fn a_promise_from_before_it_was_asked_for_is_refused() {
    let text = "app_id,asked_at,attested_at\na,2019-01-02,2019-01-01\n";
    refused("attestations", text, &["line 2", "`attested_at`", "is before asked_at"]);
}

#[test]
fn a_promise_without_any_moment_is_refused() {
    refused("attestations", "app_id,asked_at,attested_at\na,,\n", &["line 2", "is empty"]);
}

#[test]
fn one_promise_with_two_statements_is_refused_with_both_lines() {
    let text = "app_id,asked_at,attested_at,statement\na,,2019-01-01,x\na,,2019-01-01,y\n";
    refused("attestations", text, &["line 3", "line 2", "app `a` for all its scopes", "keep"]);
}

#[test]
fn scopes_and_apps_that_the_registry_does_not_know_are_told_and_no_error() {
    let lake = Lake::with_standing();
    lake.write("brownouts.csv", "scope,app_id,from,to\nold,app-7,2019-01-01,2019-01-02\n");
    lake.write("attestations.csv", "app_id,scope,asked_at,attested_at\napp-8,older,,2019-01-01\n");
    lake.edit("grants.csv", "app-3", "app-1,read_member,,\napp-3,email,,\napp-3");
    let outcome = lake.run(&[]).succeeds();
    for part in [
        "grants name 2 scopes that registry.scopes does not (`email`, …)",
        "brownouts name scope `old`, which registry.scopes does not",
        "brownouts name app `app-7`, which registry.apps does not",
        "attestations name scope `older`",
        "attestations name app `app-8`",
        "grants name app `app-9`",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
}
