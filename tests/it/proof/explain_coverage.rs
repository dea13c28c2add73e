//! `afterscope explain` of where the rows of files went.

use std::fs;

use serde_json::{Value, json};

use super::explain::explain;
use super::run_folder;
use crate::lake::{AS_OF, Call, Lake, call};

/// What became of a file's rows: in its metadata, outside, denied, counted.
fn rows(sums: &Value) -> [u64; 4] {
    ["rows_in_metadata", "rows_outside", "rows_denied", "rows_counted"]
        .map(|column| sums[column].as_u64().unwrap())
}

/// The end of each file's address, and what became of its rows.
fn files(line: &Value) -> Vec<(String, [u64; 4])> {
    let of = |file: &Value| {
        let (_, below) = file["url"].as_str().unwrap().split_once("/logs/").unwrap();
        (below.to_string(), rows(file))
    };
    line["files"].as_array().unwrap().iter().map(of).collect()
}

fn listed(found: &[(String, [u64; 4])]) -> Vec<(&str, [u64; 4])> {
    found.iter().map(|(file, rows)| (file.as_str(), *rows)).collect()
}

const FIRST: (&str, [u64; 4]) = ("dt=2019-07-01/part-0.parquet", [4, 0, 0, 4]);
const SECOND: (&str, [u64; 4]) = ("dt=2019-07-02/part-0.parquet", [2, 0, 1, 1]);
/// One of its calls is of a scope that nobody restricted.
const THIRD: (&str, [u64; 4]) = ("dt=2019-07-03/part-0.parquet", [2, 1, 0, 1]);
/// Over two days.
const LONG: (&str, [u64; 4]) = ("long.parquet", [3, 1, 0, 2]);

/// The standard lake with a file of no one day: a call before the restriction, and two after.
fn lake() -> Lake {
    let lake = Lake::standard();
    let calls = ["2019-05-30T08:00:00Z", "2019-07-04T08:00:00Z", "2019-07-05T08:00:00Z"];
    lake.log("logs/long.parquet", &calls.map(|time| call(time, "app-1", 1)));
    lake
}

#[test]
fn every_row_of_the_input_is_followed_to_its_file() {
    let lake = lake();
    lake.publishes(&[]);
    let of = |conditions: &[&str]| explain(&lake, "coverage", conditions).succeeds().json();
    for (conditions, grain, expected) in [
        (&[][..], "all", vec![FIRST, SECOND, THIRD, LONG]),
        (&["source=access"], "source", vec![FIRST, SECOND, THIRD, LONG]),
        (&["source=access", "file_day=2019-07-02"], "source_day", vec![SECOND]),
        // The only source need not be named.
        (&["file_day=2019-07-03"], "source_day", vec![THIRD]),
        // Files of no one day are a row; the source's total has no day either.
        (&["source=access", "file_day="], "source_day", vec![LONG]),
        (&["file_day=2019-07-09"], "source_day", vec![]),
    ] {
        let line = of(conditions);
        assert_eq!(listed(&files(&line)), expected, "{conditions:?}");
        assert_eq!(line["key"]["grain"], grain, "{conditions:?}");
        let sum = |i: usize| expected.iter().map(|(_, rows)| rows[i]).sum();
        let sums: [u64; 4] = [sum(0), sum(1), sum(2), sum(3)];
        assert_eq!(rows(&line["sums"]), sums, "{conditions:?}");
        assert_eq!(line["sums"]["files_read"], expected.len(), "{conditions:?}");
        if expected.is_empty() {
            assert_eq!(line["published"], Value::Null);
            continue;
        }
        assert_eq!(rows(&line["published"]), sums, "{conditions:?}");
        assert_eq!(line["published"]["files_read"], expected.len(), "{conditions:?}");
        for file in line["files"].as_array().unwrap() {
            let url = file["url"].as_str().unwrap();
            let size = fs::metadata(url.strip_prefix("file://").unwrap_or(url)).unwrap().len();
            assert_eq!((&file["bytes"], &file["row_groups"]), (&size.into(), &json!([0])));
            let pack = file["packs"][0].as_str().unwrap();
            assert!(lake.path("out/state/packs").join(pack).is_file());
        }
    }
    let line = of(&["source=access"]);
    let rest = [
        "event_id_conflicts",
        "periods_expected",
        "periods_covered",
        "coverage_pct",
        "history_versions",
        "history_files_removed",
        "history_rows_removed",
    ];
    assert_eq!(line["not_traced"], json!(rest));
    let refused = |conditions: &[&str], says: &str| {
        explain(&lake, "coverage", conditions).fails(1, &[says]);
    };
    refused(&["source=no_such"], "there are access");
    refused(&["file_day=yesterday"], "yesterday");
    refused(&["scope=read_members"], "a row of coverage is named by source, file_day");
}

#[test]
fn rows_of_every_kind_are_told_apart() {
    let lake = Lake::empty();
    let denied = Call { status: 403, ..call("2019-07-01T09:00:00Z", "app-1", 1) };
    let other = Call { scope: "email".into(), ..call("2019-07-01T10:00:00Z", "app-1", 1) };
    let later = call("2019-09-01T00:00:00Z", "app-1", 1);
    let timeless = Call { time: None, ..call("2019-07-01T10:00:00Z", "app-1", 1) };
    let calls = [call("2019-07-01T08:00:00Z", "app-1", 1), denied, other, later, timeless];
    lake.log("logs/a.parquet", &calls);
    // The same rows once more: each is a repeat, but for what is outside or has no time.
    fs::copy(lake.path("logs/a.parquet"), lake.path("logs/b.parquet")).unwrap();
    lake.edit("afterscope.toml", "[report]\n", "[report]\nmax_rejected_rows = 2\n");
    lake.publishes(&[]);
    let line = explain(&lake, "coverage", &[]).succeeds().json();
    let columns = [
        "files_read",
        "rows_in_metadata",
        "rows_outside",
        "rows_rejected",
        "rows_deduplicated",
        "rows_after_as_of",
        "rows_denied",
        "rows_counted",
    ];
    let expected = [2, 10, 2, 2, 3, 1, 1, 1];
    for of in ["sums", "published"] {
        let found = columns.map(|column| line[of][column].as_u64().unwrap());
        assert_eq!(found, expected, "{of}");
    }
}

#[test]
fn a_file_that_was_left_out_is_named() {
    let lake = lake();
    lake.write("logs/bad.parquet", "this is no Parquet file, and never was one");
    let args = ["--allow-incomplete"];
    lake.publishes(&args);
    let mut explained = crate::lake::run_args(&[&args[..], &["--table", "coverage"]].concat());
    explained[0] = "explain";
    let line = lake.afterscope(&explained).succeeds().json();
    let bad: Vec<&Value> = line["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| file["files_unreadable"] == 1)
        .collect();
    let [bad] = bad.as_slice() else { panic!("{line}") };
    assert_eq!(line["files_left_out"], 1);
    // Another figure says that it is not counted from all files, too.
    explained.pop();
    explained.extend(["scope_summary", "--where", "scope=read_members"]);
    let told = lake.afterscope(&explained).succeeds();
    assert_eq!(told.json()["files_left_out"], 1);
    assert!(told.stderr.contains("incomplete: 1 files were left out"), "{told:#?}");
    assert!(bad["url"].as_str().unwrap().ends_with("logs/bad.parquet"), "{line}");
    assert_eq!((&bad["files_read"], rows(bad)), (&0.into(), [0; 4]));
    assert_eq!(bad["bytes"], 42);
    for of in ["sums", "published"] {
        assert_eq!(
            (&line[of]["files_read"], &line[of]["files_unreadable"]),
            (&4.into(), &1.into())
        );
    }
}

#[test]
fn files_that_came_late_or_were_changed_are_named() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let more = [call("2019-07-02T08:00:00Z", "app-1", 1), call("2019-07-02T09:00:00Z", "app-1", 2)];
    lake.log("logs/dt=2019-07-02/part-0.parquet", &more);
    lake.log("logs/dt=2019-07-05/part-0.parquet", &[call("2019-07-05T08:00:00Z", "app-1", 1)]);
    let args = ["--follows", "latest"];
    lake.publishes(&args);
    let mut explained = crate::lake::run_args(&[&args[..], &["--table", "coverage"]].concat());
    explained[0] = "explain";
    let line = lake.afterscope(&explained).succeeds().json();
    let since = |of: &Value| [of["files_changed"].as_u64(), of["files_late"].as_u64()];
    let by_file: Vec<_> = line["files"].as_array().unwrap().iter().map(since).collect();
    let of = |changed, late| [Some(changed), Some(late)];
    assert_eq!(by_file, [of(0, 0), of(1, 0), of(0, 0), of(0, 1)]);
    assert_eq!((since(&line["sums"]), since(&line["published"])), (of(1, 1), of(1, 1)));
    // Where no report is followed nothing is late.
    let line = explain(&lake, "coverage", &[]).succeeds().json();
    assert_eq!(since(&line["sums"]), [None, None]);
}

#[test]
fn a_published_count_of_rows_that_is_not_the_sum_is_named() {
    let lake = lake();
    lake.publishes(&[]);
    let path = run_folder(&lake).join("tables/coverage.csv");
    let csv = fs::read_to_string(&path).unwrap();
    // Rows in metadata, of the day with two.
    let forged = csv.replace(
        "source_day,access,2019-07-02,,1,,1,,,0,2,",
        "source_day,access,2019-07-02,,1,,1,,,0,3,",
    );
    assert_ne!(csv, forged);
    fs::write(&path, forged).unwrap();
    let outcome = explain(&lake, "coverage", &["file_day=2019-07-02"]);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    let says = "rows_in_metadata is published as 3 and comes out as 2";
    assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
    explain(&lake, "coverage", &["file_day=2019-07-01"]).succeeds();
}

#[test]
fn counting_rows_opens_no_log_and_writes_nothing() {
    let lake = Lake::with_people();
    lake.publishes(&[]);
    lake.spoil_logs();
    let before = lake.files();
    let line = explain(&lake, "coverage", &[]).succeeds().json();
    assert_eq!(before, lake.files());
    assert_eq!(line["published"]["rows_in_metadata"], 8);
    let args = ["explain", "--config", "afterscope.toml", "--as-of", AS_OF];
    let args: Vec<&str> = args.into_iter().chain(["--table", "coverage"]).collect();
    let told = lake.afterscope(&args).succeeds().stderr;
    for text in
        ["outside", "counted", "3 files", "coverage", "not traced, not compared: 7 other numbers"]
    {
        assert!(told.contains(text), "{text:?} in\n{told}");
    }
}
