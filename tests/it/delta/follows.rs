//! Reports of a table that follow each other: what became of its history has a cause of its own.

use serde_json::json;

use super::statistics::checkpoint;
use super::versions::{dated, made};
use super::{add, commit, metadata, protocol, remove, schema, table};
use crate::lake::{Lake, call};

const FOLLOW: [&str; 2] = ["--follows", "latest"];

/// Changes as `table column old>new reason`, of the totals of `coverage` and `scope_summary`.
pub fn changes(lake: &Lake) -> Vec<String> {
    let log = lake.run(&FOLLOW).succeeds().published().table("change_log");
    let of = |row: &Vec<String>| {
        let [_, table, key, column, _, old, new, reason] = row.as_slice() else { panic!() };
        let is_total = key.starts_with("grain=all ")
            && ["coverage", "scope_summary"].contains(&table.as_str());
        is_total.then(|| format!("{table} {column} {old}>{new} {reason}"))
    };
    log.rows.iter().filter_map(of).collect()
}

/// Expects these changes.
pub fn has(found: &[String], expected: &[&str]) {
    for line in expected {
        assert!(found.iter().any(|found| found == line), "{line}\n{}", found.join("\n"));
    }
}

#[test]
fn rows_that_were_deleted_or_overwritten_since_have_their_causes() {
    let lake = table();
    lake.publishes(&[]);
    let gone = |path: &str, day: &str, rows: u64| {
        let mut remove = remove(path);
        remove["remove"]["partitionValues"] = json!({"dt": day});
        remove["remove"]["stats"] = json!({"numRecords": rows}).to_string().into();
        remove
    };
    // Four of the six calls that count are of the first day.
    let delete = json!({"commitInfo": {"operation": "DELETE"}});
    commit(&lake, 2, &[delete, gone("part-0.parquet", "2019-07-01", 4)]);
    let found = changes(&lake);
    has(
        &found,
        &[
            "coverage history_versions 0>1 table history",
            "coverage history_files_removed 0>1 table history",
            "coverage history_rows_removed 0>4 table history",
            "scope_summary requests_allowed 6>2 missing file",
        ],
    );
    // The table's only call of the second day gives way to three.
    let again = |user| call("2019-07-02T08:00:00Z", "app-1", user);
    lake.log("logs/again.parquet", &[again(1), again(20), again(21)]);
    let overwrite = json!({"commitInfo": {"operation": "WRITE"}});
    let new = add(&lake, "again.parquet", "2019-07-02", "dt");
    commit(&lake, 3, &[overwrite, gone("part-1.parquet", "2019-07-02", 2), new]);
    let found = changes(&lake);
    has(
        &found,
        &[
            "coverage history_versions 1>2 table history",
            "coverage history_rows_removed 4>6 table history",
            "scope_summary requests_allowed 2>1 missing file",
            "scope_summary requests_allowed 1>4 late file",
        ],
    );
    // Registry and history change at once.
    lake.edit("apps.csv", "app-1,", "app-1,Other ");
    let vacuum = json!({"commitInfo": {"operation": "VACUUM END"}});
    commit(&lake, 4, &[vacuum]);
    has(&changes(&lake), &["coverage history_versions 2>3 table history"]);
}

#[test]
fn a_log_that_was_cleaned_since_is_a_cause() {
    let lake = dated();
    lake.publishes(&[]);
    let mut actions = vec![protocol(&[]), metadata(&schema(|_| json!({})), &json!({}))];
    for number in 0..3 {
        let day = format!("2019-07-0{}", number + 1);
        actions.push(add(&lake, &format!("part-{number}.parquet"), &day, "dt"));
    }
    checkpoint(&lake, &actions, 2);
    lake.log("logs/late.parquet", &[call("2019-07-04T08:00:00Z", "app-1", 9)]);
    let late = add(&lake, "late.parquet", "2019-07-04", "dt");
    commit(&lake, 2, &[made("2019-08-03T00:00:00Z"), late]);
    has(
        &changes(&lake),
        &[
            "coverage history_known_from 2019-08-01T00:00:00Z>2019-08-02T00:00:00Z table history",
            "scope_summary requests_allowed 6>7 late file",
        ],
    );
}
