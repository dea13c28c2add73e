//! Restrictions that are moved later: what was read for the earlier ones is not what is published.

use std::fs::File;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::json;

use super::{add, commit, metadata, protocol, schema};
use crate::lake::{Lake, assert_same, call};
use crate::proof::holds;

const RECOMPUTE: [&str; 4] = ["out", "--recompute", "--config", "afterscope.toml"];

/// A file of one call whose footer tells nothing of its times.
fn log(lake: &Lake, path: &str, at: &str) {
    let path = lake.log(path, &[call(at, "app-1", 1)]);
    let batches = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let batches: Vec<_> = batches.build().unwrap().map(Result::unwrap).collect();
    let silent = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None);
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), Some(silent.build())).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

/// A table of a file of March, of which the log tells the times, and one of July.
fn table() -> Lake {
    let lake = Lake::empty();
    log(&lake, "logs/march.parquet", "2019-03-01T08:00:00Z");
    log(&lake, "logs/july.parquet", "2019-07-01T08:00:00Z");
    let mut march = add(&lake, "march.parquet", "2019-03-01", "dt");
    march["add"]["stats"] = json!({
        "numRecords": 1, "nullCount": {"event_time": 0},
        "minValues": {"event_time": "2019-03-01T08:00:00.000Z"},
        "maxValues": {"event_time": "2019-03-01T08:00:00.000Z"},
    })
    .to_string()
    .into();
    let july = add(&lake, "july.parquet", "2019-07-01", "dt");
    commit(&lake, 0, &[protocol(&[]), metadata(&schema(|_| json!({})), &json!({})), march, july]);
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    lake
}

/// The same calls as plain files, whose footers tell.
fn plain() -> Lake {
    let lake = Lake::empty();
    lake.log("logs/march.parquet", &[call("2019-03-01T08:00:00Z", "app-1", 1)]);
    lake.log("logs/july.parquet", &[call("2019-07-01T08:00:00Z", "app-1", 1)]);
    lake
}

#[test]
fn what_is_published_does_not_hang_on_what_the_ledger_held() {
    for lake in [table(), plain()] {
        lake.edit("scopes.csv", "2019-06-01", "2018-04-01");
        let early = lake.publishes(&[]);
        assert_eq!(
            early.table("scope_summary").row(&[("scope", "(all)")], &["requests_allowed"]),
            ["2"]
        );
        lake.edit("scopes.csv", "2018-04-01", "2019-06-01");
        let late = lake.publishes(&[]);
        let fresh = lake.publishes(&["--output", "fresh/"]);
        assert_same(&late.bytes(), &fresh.bytes());
        let coverage = late.table("coverage");
        let march = coverage.row(&[("file_day", "2019-03-01")], &["files_read", "rows_outside"]);
        assert_eq!(march, ["1", "1"]);
        holds(&lake, &RECOMPUTE);
        // And back: the file of March counts again.
        lake.edit("scopes.csv", "2019-06-01", "2018-04-01");
        let again = lake.run(&[]).succeeds();
        assert_eq!(again.json()["reused"], true);
    }
}

#[test]
fn a_day_that_the_log_tells_now_is_no_late_file() {
    let lake = table();
    lake.edit("scopes.csv", "2019-06-01", "2018-04-01");
    lake.publishes(&[]);
    lake.edit("scopes.csv", "2018-04-01", "2019-06-01");
    // It ends later, too: there is a state between.
    let outcome = lake.run(&["--follows", "latest", "--as-of", "2019-09-02"]).succeeds();
    let log = outcome.published().table("change_log");
    let of_march = log.rows.iter().filter(|row| row.join(" ").contains("file_day=2019-03-01"));
    let reasons: Vec<&String> = of_march.filter_map(|row| row.last()).collect();
    assert!(!reasons.is_empty());
    assert!(reasons.iter().all(|reason| *reason == "policy change"), "{reasons:?}");
    holds(&lake, &RECOMPUTE);
}
