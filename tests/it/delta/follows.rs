//! Reports of a table that follow each other: what became of its history has a cause of its own.

use serde_json::json;

use super::statistics::checkpoint;
use super::versions::{dated, made};
use super::{COLUMNS, add, commit, inline_vector, metadata, protocol, remove, schema, table};
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

/// What the registry says of when the scopes were restricted.
fn restrict(lake: &Lake, from: &str, to: &str) {
    let text = std::fs::read_to_string(lake.path("scopes.csv")).unwrap();
    assert!(text.contains(from), "{text}");
    lake.write("scopes.csv", &text.replace(from, to));
}

/// A table with a file of two row groups and four calls in March, before every restriction.
fn with_march() -> (Lake, serde_json::Value) {
    let lake = table();
    let march = ["08", "09", "10", "11"].map(|hour| format!("2019-03-01T{hour}:00:00Z"));
    let calls: Vec<_> = march.iter().map(|time| call(time, "app-1", 30)).collect();
    lake.log_in_groups("logs/march.parquet", &calls, 2);
    let mut file = add(&lake, "march.parquet", "2019-03-01", "dt");
    file["add"]["stats"] = json!({
        "numRecords": 4, "tightBounds": false, "nullCount": {"event_time": 0},
        "minValues": {"event_time": "2019-03-01T08:00:00Z"},
        "maxValues": {"event_time": "2019-03-01T11:00:00Z"},
    })
    .to_string()
    .into();
    commit(&lake, 2, &[protocol(&["deletionVectors"]), file.clone()]);
    (lake, file)
}

#[test]
fn what_was_told_of_a_file_that_was_not_opened_is_known_later() {
    let (lake, file) = with_march();
    // First it is read: the ledger holds both of its row groups.
    restrict(&lake, "2019-06-01", "2019-01-01");
    lake.publishes(&[]);
    // Then it lies before every restriction.
    restrict(&lake, "2019-01-01", "2019-06-01");
    lake.publishes(&[]);
    // Then a row of it is deleted, and the report changes beside.
    let mut with = file.clone();
    with["add"]["deletionVector"] = inline_vector(&[0]);
    commit(&lake, 3, &[remove("march.parquet"), with]);
    lake.edit("afterscope.toml", "lookback_days = 60", "lookback_days = 61");
    let found = changes(&lake);
    has(
        &found,
        &["coverage rows_deleted 0>1 rewritten file", "coverage rows_outside 5>4 rewritten file"],
    );
    let by_policy = |line: &&String| line.ends_with("policy change");
    let coverage = |line: &&String| line.starts_with("coverage ");
    // The longer lookback is one; the file is none of it.
    assert!(found.iter().any(|line| by_policy(&line)), "{found:?}");
    assert!(!found.iter().filter(coverage).any(|line| by_policy(&line)), "{found:?}");
}

#[test]
fn a_table_that_tells_otherwise_of_a_file_that_is_not_opened_is_a_cause() {
    let (lake, mut file) = with_march();
    lake.publishes(&[]);
    let run_id = lake.json("out/latest.json")["run_id"].as_str().unwrap().to_string();
    // By its times the file could be of February: no day is known of it any more.
    let stats = file["add"]["stats"].as_str().unwrap().replace("2019-03-01T08", "2019-02-01T08");
    file["add"]["stats"] = stats.into();
    commit(&lake, 3, &[file]);
    lake.edit("afterscope.toml", "lookback_days = 60", "lookback_days = 61");
    let log = lake.run(&FOLLOW).succeeds().published().table("change_log");
    let coverage: Vec<_> = log.rows.iter().filter(|row| row[1] == "coverage").collect();
    assert!(!coverage.is_empty());
    assert!(coverage.iter().all(|row| row[7] == "table history"), "{coverage:?}");
    let found = lake.afterscope(&["diff", &format!("out/runs/{run_id}"), "out"]).succeeds();
    let sources = found.json()["sources"].to_string();
    assert!(sources.contains("march.parquet (its table tells otherwise of it"), "{sources}");
}

#[test]
fn a_partition_column_that_is_only_renamed_changes_no_file() {
    let lake = table();
    let mapped = |name: &str| {
        let id = COLUMNS.iter().position(|(known, _)| *known == name).unwrap_or(8) + 1;
        json!({"delta.columnMapping.id": id, "delta.columnMapping.physicalName": name})
    };
    let configuration =
        json!({"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "99"});
    commit(&lake, 2, &[protocol(&["columnMapping"]), metadata(&schema(mapped), &configuration)]);
    lake.publishes(&[]);
    let renamed = schema(mapped).replace("\"name\":\"dt\"", "\"name\":\"day\"");
    let mut new = metadata(&renamed, &configuration);
    new["metaData"]["partitionColumns"] = json!(["day"]);
    commit(&lake, 3, &[new]);
    let published = lake.run(&FOLLOW).succeeds().published();
    let coverage = published.table("coverage");
    let told = coverage.row(&[("source", "(all)")], &["files_read", "files_changed", "files_late"]);
    assert_eq!(told, ["3", "0", "0"]);
    assert_eq!(published.table("change_log").rows, Vec::<Vec<String>>::new());
}

/// The standard lake's files, by days in their folders, become a table of the same days.
#[test]
fn plain_files_that_become_a_table_are_none_that_changed() {
    let lake = Lake::standard();
    let partition = "partition_time = { column = \"dt\", grain = \"1d\" }\n";
    lake.edit("afterscope.toml", "\n[source.columns]", &format!("{partition}\n[source.columns]"));
    lake.publishes(&[]);
    let run_id = lake.json("out/latest.json")["run_id"].as_str().unwrap().to_string();
    let mut actions = vec![protocol(&[]), metadata(&schema(|_| json!({})), &json!({}))];
    actions.extend(
        ["2019-07-01", "2019-07-02", "2019-07-03"]
            .map(|day| add(&lake, &format!("dt={day}/part-0.parquet"), day, "dt")),
    );
    commit(&lake, 0, &actions);
    let format = |from: &str, to: &str| {
        let line = |format: &str| match format {
            "" => "url = \"logs/\"\n".to_string(),
            format => format!("url = \"logs/\"\nformat = \"{format}\"\n"),
        };
        lake.edit("afterscope.toml", &line(from), &line(to));
    };
    format("", "delta");
    let counts = |published: &crate::published::Published| -> Vec<String> {
        let coverage = published.table("coverage");
        let names = ["files_read", "files_changed", "files_late"];
        let row = coverage.row(&[("source", "(all)")], &names);
        row.into_iter().map(str::to_string).collect()
    };
    let published = lake.run(&FOLLOW).succeeds().published();
    assert_eq!(counts(&published), ["3", "0", "0"]);
    let log = published.table("change_log");
    assert!(log.rows.iter().all(|row| row[7] == "mapping change"), "{:?}", log.rows);
    let found = lake.afterscope(&["diff", &format!("out/runs/{run_id}"), "out"]).succeeds();
    assert!(!found.json()["sources"].to_string().contains("rows became"), "{found:?}");
    // Back to plain files, of which one was written anew in between.
    std::fs::remove_dir_all(lake.path("logs/_delta_log")).unwrap();
    lake.log("logs/dt=2019-07-02/part-0.parquet", &[call("2019-07-02T08:00:00Z", "app-1", 1)]);
    format("delta", "");
    let published = lake.run(&FOLLOW).succeeds().published();
    assert_eq!(counts(&published), ["3", "1", "0"]);
    let log = published.table("change_log");
    assert!(log.rows.iter().any(|row| row[7] == "rewritten file"), "{:?}", log.rows);
}
