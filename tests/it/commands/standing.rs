//! Grants, brownouts, revocations and promises of deletion, by figures that follow by hand.

use crate::lake::{Lake, Published, call};

/// The standard lake; its whole days are declared and there, up to the last one.
fn declared(until: &str) -> Lake {
    let lake = Lake::with_standing();
    let expected =
        format!("expected = {{ every = \"1d\", from = \"2019-07-01\", until = \"{until}\" }}\n");
    lake.edit("afterscope.toml", "\n[source.columns]", &format!("{expected}\n[source.columns]"));
    lake
}

fn verdict<'a>(table: &'a crate::lake::Table, app: &str, scope: &str) -> Vec<&'a str> {
    table.row(&[("app_id", app), ("scope", scope)], &["verdict"])
}

#[test]
fn apps_that_could_call_are_counted_beside_those_that_did() {
    let lake = Lake::with_standing();
    let published = lake.publishes(&[]);
    let summary = published.table("scope_summary");
    let names = ["apps_capable", "apps_used_without_grant", "developers_capable"];
    // read_members: app-1, and app-3 until after the restriction; app-1 used it.
    assert_eq!(summary.row(&[("scope", "read_members")], &names), ["2", "0", "2"]);
    // write_posts: app-9, whom the registry does not know, and app-3 up to the restriction's very moment,
    // which is no overlap. app-2 used it.
    assert_eq!(summary.row(&[("scope", "write_posts")], &names), ["1", "1", "0"]);
    assert_eq!(summary.row(&[("scope", "(all)")], &names), ["3", "1", "2"]);
}

#[test]
fn without_registry_files_their_columns_are_null_and_not_zero() {
    let lake = Lake::standard();
    let published = lake.publishes(&[]);
    let summary = published.table("scope_summary");
    let names = ["apps_capable", "apps_used_without_grant", "developers_capable"];
    assert_eq!(summary.row(&[("scope", "(all)")], &names), ["null"; 3]);
    let exposure = published.table("app_scope_exposure");
    let names = [
        "requests_in_brownout",
        "subjects_in_brownout",
        "requests_after_revocation",
        "subjects_after_revocation",
        "requests_after_attestation",
        "subjects_after_attestation",
    ];
    assert_eq!(exposure.row(&[("grain", "all")], &names), ["null"; 6]);
    assert!(published.table("deletion_verification").rows.is_empty());
}

#[test]
fn windows_are_told_for_each_app_and_scope() {
    let lake = Lake::with_standing();
    let published = lake.publishes(&[]);
    let exposure = published.table("app_scope_exposure");
    let app = [("grain", "scope_app"), ("scope", "read_members"), ("app_id", "app-1")];
    let names = ["requests_in_brownout", "requests_after_revocation", "requests_after_attestation"];
    // The call of 9 o'clock on July 1st; the one of July 2nd, for both others.
    assert_eq!(exposure.row(&app, &names), ["1", "1", "1"]);
    let all = exposure.row(&[("grain", "all")], &names);
    assert_eq!(all, ["1", "1", "1"]);
    let findings = published.table("findings");
    let of = |finding| {
        let key = [("finding", finding), ("app_id", "app-1")];
        findings.row(&key, &["scope", "requests_allowed", "subjects_observed", "first_access"])
    };
    let late = ["read_members", "1", "1", "2019-07-02T08:00:00Z"];
    assert_eq!(of("after_attestation"), late);
    assert_eq!(of("after_revocation"), late);
    assert_eq!(of("in_brownout"), ["read_members", "1", "1", "2019-07-01T09:00:00Z"]);
    let without = findings.row(&[("finding", "without_grant")], &["app_id", "requests_allowed"]);
    assert_eq!(without, ["app-2", "2"]);
}

#[test]
fn a_grant_that_is_given_again_ends_the_time_without_one() {
    let lake = Lake::with_standing();
    // Again from the very moment of the call on.
    lake.edit("grants.csv", "app-3", "app-1,read_members,2019-07-02T08:00:00Z,\napp-3");
    let exposure = lake.publishes(&[]).table("app_scope_exposure");
    assert_eq!(exposure.row(&[("grain", "all")], &["requests_after_revocation"]), ["0"]);
}

#[test]
fn of_two_snapshots_of_a_grant_the_later_one_before_as_of_holds() {
    let lake = Lake::with_standing();
    let snapshots = "app_id,scope,granted_at,revoked_at,as_of
app-1,read_members,2016-01-01,,2019-01-01
app-1,read_members,2016-01-01,2019-07-02,2019-08-01
app-1,read_members,2016-01-01,2019-07-01,2019-10-01
";
    lake.write("grants.csv", snapshots);
    let exposure = lake.publishes(&[]).table("app_scope_exposure");
    // As of September the second: the first would give 0, the third 4.
    assert_eq!(exposure.row(&[("grain", "all")], &["requests_after_revocation"]), ["1"]);
}

#[test]
fn a_promise_is_violated_by_one_access() {
    let lake = Lake::with_standing();
    let table = lake.publishes(&[]).table("deletion_verification");
    let names = ["verdict", "requests_after", "subjects_after", "groups_after", "first_after"];
    let app = [("app_id", "app-1")];
    assert_eq!(table.row(&app, &names), ["violated", "1", "1", "1", "2019-07-02T08:00:00Z"]);
    assert_eq!(verdict(&table, "app-2", "write_posts"), ["not_attested"]);
}

/// `app-3` promised before anything of it was seen; all that came after was denied.
fn verdict_of_app_3(lake: &Lake) -> String {
    let published: Published = lake.publishes(&["--as-of", "2019-07-04T00:00:00Z"]);
    verdict(&published.table("deletion_verification"), "app-3", "(all)")[0].to_string()
}

#[test]
fn a_promise_is_clean_only_where_every_day_since_is_declared_and_there() {
    assert_eq!(verdict_of_app_3(&declared("2019-07-04")), "clean");
    // Without a declaration nothing tells what is missing.
    assert_eq!(verdict_of_app_3(&Lake::with_standing()), "inconclusive");
    // The last day is not declared.
    assert_eq!(verdict_of_app_3(&declared("2019-07-03")), "inconclusive");
    // A day is not there.
    let lake = declared("2019-07-04");
    std::fs::remove_file(lake.path("logs/dt=2019-07-02/part-0.parquet")).unwrap();
    assert_eq!(verdict_of_app_3(&lake), "inconclusive");
    // A file could not be read.
    let lake = declared("2019-07-04");
    lake.write("logs/dt=2019-07-03/part-1.parquet", "rubbish");
    let published = lake.publishes(&["--as-of", "2019-07-04T00:00:00Z", "--allow-incomplete"]);
    let table = published.table("deletion_verification");
    assert_eq!(verdict(&table, "app-3", "(all)"), ["inconclusive"]);
}

#[test]
fn a_call_without_an_app_may_be_anybodys() {
    let lake = declared("2019-07-04");
    lake.log("logs/dt=2019-07-03/part-1.parquet", &[call("2019-07-03T12:00:00Z", "app-1", 9)]);
    assert_eq!(verdict_of_app_3(&lake), "clean");
    lake.log_without_app("logs/dt=2019-07-03/part-2.parquet", "2019-07-03T12:00:00Z");
    assert_eq!(verdict_of_app_3(&lake), "inconclusive");
}

#[test]
fn a_changed_promise_or_grant_reads_no_log() {
    let lake = Lake::with_standing();
    lake.publishes(&[]);
    lake.spoil_logs();
    lake.edit("attestations.csv", "2019-07-02T00:00:00Z", "2019-07-01T09:30:00Z");
    let table = lake.publishes(&[]).table("deletion_verification");
    let app = [("app_id", "app-1")];
    assert_eq!(table.row(&app, &["requests_after", "subjects_after"]), ["2", "2"]);
}

#[test]
fn a_misspelt_promise_is_nobodys_clean_record() {
    for (name, misspelt) in [("app-3,all,", "app-3,read_member,"), ("app-3,all,", "app-33,all,")] {
        let lake = declared("2019-07-04");
        lake.edit("attestations.csv", name, misspelt);
        let published = lake.publishes(&["--as-of", "2019-07-04T00:00:00Z"]);
        let table = published.table("deletion_verification");
        let statement = [("statement", "We kept nothing")];
        assert_eq!(table.row(&statement, &["verdict"]), ["inconclusive"], "{misspelt}");
    }
}
