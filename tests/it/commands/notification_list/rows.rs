//! Who is on the list, and what is read for it.

use std::fs::{self, File};
use std::io::Read;

use std::sync::Arc;

use arrow::array::StringArray;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ids::calls_of;
use super::{asked, files, lines, listed, nothing_is_listed, table};
use crate::lake::{Call, Lake, assert_same, call, spoil, standard_days};

const FIRST: &str = "logs/dt=2019-07-01/part-0.parquet";
const SECOND: &str = "logs/dt=2019-07-02/part-0.parquet";
const THIRD: &str = "logs/dt=2019-07-03/part-0.parquet";

/// Everybody of [`Lake::with_people`]. Person 2 lived in France until June, in Germany on the day of the
/// report; where 3 and 5 live nobody says.
const ALL: [&str; 4] = [
    "subject,access,1,DE,,,read_members;write_posts,app-1;app-2,3,2019-07-01T08:00:00.000000Z,2019-07-02T08:00:00.000000Z",
    "subject,access,2,DE,,,read_members,app-1,1,2019-07-01T09:00:00.000000Z,2019-07-01T09:00:00.000000Z",
    "subject,access,3,,,,read_members,app-1,1,2019-07-01T10:00:00.000000Z,2019-07-01T10:00:00.000000Z",
    "subject,access,5,,,,write_posts,app-2,1,2019-07-03T08:00:00.000000Z,2019-07-03T08:00:00.000000Z",
];

#[test]
fn everybody_who_was_observed_is_listed_once() {
    let lake = Lake::with_people();
    assert_eq!(listed(&lake, &[]), ALL);
    let found = table(&lake);
    assert_eq!(found.columns.join(","), super::HEADER);
    assert_eq!(found.column("country"), ["DE", "DE", "null", "null"]);
    assert_eq!(found.column("last_access")[0], "2019-07-02T08:00:00Z");
    lake.nothing_is_published();
    // As many as the report says, whose run it names.
    let run = lake.run(&[]).succeeds().json();
    assert_eq!(run["totals"]["subjects_observed"], 4);
    let about = lake.json("list/notification_list.json");
    assert_eq!(about["run_id"], run["run_id"]);
    assert_eq!((&about["rows"], &about["requests_allowed"]), (&json!(4), &json!(6)));
    assert_eq!(about["options"], json!({ "scopes": null, "apps": null }));
}

#[test]
fn scopes_and_apps_can_be_chosen() {
    let lake = Lake::standard();
    let with = |more: &[&str]| listed(&lake, more);
    let of_first = [
        "subject,access,1,,,,read_members,app-1,2,2019-07-01T08:00:00.000000Z,2019-07-02T08:00:00.000000Z",
        "subject,access,2,,,,read_members,app-1,1,2019-07-01T09:00:00.000000Z,2019-07-01T09:00:00.000000Z",
        "subject,access,3,,,,read_members,app-1,1,2019-07-01T10:00:00.000000Z,2019-07-01T10:00:00.000000Z",
    ];
    let of_second = [
        "subject,access,1,,,,write_posts,app-2,1,2019-07-01T11:00:00.000000Z,2019-07-01T11:00:00.000000Z",
        "subject,access,5,,,,write_posts,app-2,1,2019-07-03T08:00:00.000000Z,2019-07-03T08:00:00.000000Z",
    ];
    assert_eq!(with(&["--scope", "read_members"]), of_first);
    assert_eq!(with(&["--app", "app-1"]), of_first);
    assert_eq!(with(&["--scope", "read_members", "--app", "app-1"]), of_first);
    assert_eq!(with(&["--scope", "write_posts"]), of_second);
    assert_eq!(
        with(&["--app", "app-2", "--scope", "read_members", "--scope", "write_posts"]),
        of_second
    );
    let about = lake.json("list/notification_list.json");
    assert_eq!(
        about["options"],
        json!({ "scopes": ["read_members", "write_posts"], "apps": ["app-2"] })
    );
    // Nobody: app-2 never used the first scope, and app-3 was only denied.
    assert_eq!(with(&["--app", "app-2", "--scope", "read_members"]), [""; 0]);
    assert_eq!(with(&["--app", "app-3"]), [""; 0]);
    // An app that only the log knows, of another scope than those chosen.
    lake.write("apps.csv", "app_id,app_name,developer_id,developer_name\n");
    assert_eq!(with(&["--app", "app-2", "--scope", "read_members"]), [""; 0]);
    let all: Vec<String> = with(&[]);
    assert_eq!(with(&["--app", "app-1", "--app", "app-2"]), all);
    assert_eq!(with(&["--scope", "read_members", "--scope", "write_posts"]), all);
}

#[test]
fn what_nobody_knows_is_no_choice() {
    let lake = Lake::standard();
    asked(&lake, &["--scope", "email"])
        .fails(1, &["--scope email", "the registry names no such scope"]);
    asked(&lake, &["--app", "app-4"]).fails(1, &["--app app-4", "neither the registry nor"]);
    nothing_is_listed(&lake, "list");
}

#[test]
fn an_event_without_an_app_counts_and_names_none() {
    let lake = Lake::standard();
    lake.log_without_app("logs/more.parquet", "2019-07-04T08:00:00Z");
    let last = "subject,access,9,,,,read_members,,1,2019-07-04T08:00:00.000000Z,2019-07-04T08:00:00.000000Z";
    let all = listed(&lake, &[]);
    assert_eq!((all.len(), all[4].as_str()), (5, last));
    assert_eq!(table(&lake).column("apps")[4], "null");
    assert_eq!(listed(&lake, &["--app", "app-1"]).len(), 3);
}

#[test]
fn an_event_that_names_nobody_is_on_no_line() {
    let lake = Lake::standard();
    lake.log(
        "logs/more.parquet",
        &[Call { user: None, ..call("2019-07-04T08:00:00Z", "app-1", 0) }],
    );
    assert_eq!(listed(&lake, &[]).len(), 4);
    assert_eq!(lake.json("list/notification_list.json")["requests_allowed"], 7);
}

#[test]
fn what_lies_outside_the_window_is_not_listed() {
    let lake = Lake::standard();
    let before = call("2019-05-31T23:59:59Z", "app-1", 40);
    let first = call("2019-06-01T00:00:00Z", "app-1", 41);
    let at_the_end = call("2019-09-01T00:00:00Z", "app-1", 42);
    lake.log("logs/more.parquet", &[before, first, at_the_end]);
    listed(&lake, &[]);
    assert_eq!(table(&lake).column("subject"), ["1", "2", "3", "41", "5"]);
}

#[test]
fn only_files_that_hold_people_of_the_list_are_read_again() {
    let lake = Lake::standard();
    lake.log(
        "logs/denied.parquet",
        &[Call { status: 403, ..call("2019-07-05T08:00:00Z", "app-1", 50) }],
    );
    lake.publishes(&[]);
    // Person 1 of the second day is found in the first day's file already.
    spoil(&lake.path("logs/denied.parquet"));
    spoil(&lake.path(SECOND));
    let outcome = asked(&lake, &[]).succeeds();
    assert_eq!((&outcome.json()["rows"], &outcome.json()["files"]), (&json!(4), &json!(2)));
    let said = "4 people; read again: 2 of 4 files, 2 of 4 row groups, ";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    spoil(&lake.path(THIRD));
    assert_eq!(asked(&lake, &["--scope", "read_members"]).succeeds().json()["files"], 1);
    asked(&lake, &[]).fails(3, &[THIRD]);
    // Nothing of either list is taken for one.
    assert!(lines(&lake).len() == 3, "the list before stands as it was");
}

#[test]
fn a_log_that_changed_in_silence_ends_it() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let before = fs::metadata(lake.path(FIRST)).unwrap();
    let mut calls = standard_days()[0].1.clone();
    calls[1].user = Some(8);
    lake.log(FIRST, &calls);
    let after = File::options().write(true).open(lake.path(FIRST)).unwrap();
    assert_eq!(after.metadata().unwrap().len(), before.len());
    after.set_modified(before.modified().unwrap()).unwrap();
    drop(after);
    asked(&lake, &[]).fails(3, &[FIRST, "1 people whom the ledger has", "changed"]);
    nothing_is_listed(&lake, "list");
    // One that shows its change is read again, as a run would.
    lake.log(FIRST, &calls);
    listed(&lake, &[]);
    assert_eq!(table(&lake).column("subject"), ["1", "3", "5", "8"]);
}

#[test]
fn the_same_list_is_the_same_bytes() {
    let lake = Lake::with_people();
    listed(&lake, &["--threads", "3"]);
    let first = files(&lake);
    assert_eq!(first.len(), 3);
    listed(&lake, &[]);
    assert_same(&first, &files(&lake));
    for way in [&["--threads", "1"][..], &["--threads", "1", "--memory-limit", "118MB"]] {
        listed(&lake, way);
        assert_same(&first, &files(&lake));
    }
    // A narrower list takes its place whole.
    assert_eq!(listed(&lake, &["--scope", "write_posts"]).len(), 2);
}

#[test]
fn its_last_line_proves_the_rest_and_its_hashes_hold() {
    let lake = Lake::standard();
    listed(&lake, &[]);
    let files = files(&lake);
    let json = &files["notification_list.json"];
    let about: Value = serde_json::from_str(afterscope::seal::unseal(json).unwrap()).unwrap();
    assert_eq!(about["ids"], json!({ "hashed": false }));
    assert_eq!(
        (&about["as_of"], &about["verdict"]),
        (&json!("2019-09-01T00:00:00Z"), &json!("complete"))
    );
    let stated = about["files"].as_array().unwrap();
    assert_eq!(stated.len(), 2);
    for file in stated {
        let bytes = &files[file["name"].as_str().unwrap()];
        let hash: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!((&file["bytes"], &file["sha256"]), (&json!(bytes.len()), &json!(hash)));
    }
}

#[test]
fn a_list_without_all_files_says_so() {
    let lake = Lake::standard();
    lake.write("logs/dt=2019-07-04/part-0.parquet", "no Parquet file at all");
    asked(&lake, &[]).fails(3, &["dt=2019-07-04"]);
    let outcome = asked(&lake, &["--allow-incomplete"]).succeeds();
    assert!(outcome.stderr.contains("left out"), "{}", outcome.stderr);
    assert_eq!(outcome.json()["files_left_out"], 1);
    let about = lake.json("list/notification_list.json");
    assert_eq!((&about["verdict"], &about["files_left_out"]), (&json!("incomplete"), &json!(1)));
}

#[test]
fn nobody_who_did_not_ask_gets_it() {
    let lake = Lake::empty();
    let people = (0..9).map(|number| format!("resident-{number}"));
    calls_of(&lake, "logs/a.parquet", Arc::new(StringArray::from_iter_values(people)));
    let published = lake.publishes(&[]);
    listed(&lake, &[]);
    assert_eq!(table(&lake).column("subject")[8], "resident-8");
    lake.publishes(&["--as-of", "2019-09-02"]);
    let names: Vec<String> =
        lake.files().into_keys().filter(|name| !name.starts_with("list/")).collect();
    assert!(names.iter().all(|name| !name.contains("notification")), "{names:?}");
    let mut looked_into = 0;
    for name in names.iter().filter(|name| name.starts_with("out/")) {
        let bytes = fs::read(lake.path(name)).unwrap();
        assert!(!holds(&bytes, b"resident-"), "{name}");
        looked_into += 1;
    }
    assert!(looked_into > 40);
    let book = File::open(published.folder.join("../report.xlsx")).unwrap();
    let mut book = zip::ZipArchive::new(book).unwrap();
    for part in 0..book.len() {
        let mut bytes = Vec::new();
        book.by_index(part).unwrap().read_to_end(&mut bytes).unwrap();
        assert!(!holds(&bytes, b"resident-") && !holds(&bytes, b"notification"));
    }
    // Nor is there a table of that name by another way.
    lake.write("sql/99_notification_list.sql", "SELECT app_id FROM exposure");
    lake.edit(
        "afterscope.toml",
        "[report]",
        "[report]\nqueries = [\"sql/99_notification_list.sql\"]",
    );
    lake.run(&[])
        .fails(1, &["99_notification_list.sql", "would make the table `notification_list`"]);
}

pub fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn its_columns_are_described_apart_from_those_of_a_runs_tables() {
    let lake = Lake::standard();
    listed(&lake, &[]);
    let schema: Value =
        serde_json::from_str(&lake.afterscope(&["schema", "tables"]).succeeds().stdout).unwrap();
    let about = &schema["notification_list"];
    let names: Vec<&str> =
        about["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, table(&lake).columns);
    assert_eq!(about["key"], json!(["namespace", "subject"]));
    let of_runs = schema["tables"].as_array().unwrap();
    assert!(of_runs.iter().all(|t| t["name"] != "notification_list"));
}
