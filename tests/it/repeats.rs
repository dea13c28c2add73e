//! Rows that bear one event id: one event, or a contradiction.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use crate::lake::{Lake, times};

/// Requests, rows deduplicated and conflicts of one file of rows with the event id `e1`, as texts.
fn counted(rows: &[(i64, Option<i64>, i64)]) -> [String; 3] {
    let lake = Lake::empty();
    lake.edit("afterscope.toml", "group = \"group_id\"\n", "weight = \"weight\"\n");
    lake.edit("afterscope.toml", "status = \"status\"\n", "");
    let same = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|_| value)))
    };
    lake.columns(
        "logs/part-0.parquet",
        vec![
            ("event_time", times(rows.iter().map(|_| Some("2019-07-02T08:00:00Z")))),
            ("request_id", same("e1")),
            ("app_id", same("app-1")),
            ("scope", same("read_members")),
            ("user_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)))),
            ("weight", Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.1)))),
            ("bytes", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2)))),
        ],
    );
    let published = lake.publishes(&[]);
    let summary = published.table("scope_summary");
    let coverage = published.table("coverage");
    let all = [("grain", "all")];
    let cells = [
        summary.row(&all, &["requests_allowed"]),
        coverage.row(&all, &["rows_deduplicated"]),
        coverage.row(&all, &["event_id_conflicts"]),
    ];
    cells.map(|cell| cell.concat())
}

#[test]
fn equal_rows_are_one_event_and_its_weight_counts_once() {
    assert_eq!(counted(&[(1, Some(5), 100), (1, Some(5), 100)]), ["5", "1", "0"]);
}

#[test]
fn twice_equal_and_once_with_other_bytes_is_two_events_and_a_conflict() {
    let rows = [(1, Some(1), 100), (1, Some(1), 200), (1, Some(1), 100)];
    assert_eq!(counted(&rows), ["2", "1", "1"]);
}

#[test]
fn a_null_weight_and_a_weight_of_one_contradict_each_other() {
    assert_eq!(counted(&[(1, None, 100), (1, Some(1), 100), (1, None, 100)]), ["2", "1", "1"]);
}

#[test]
fn one_id_under_two_people_is_two_events_and_no_conflict() {
    assert_eq!(counted(&[(1, Some(1), 100), (2, Some(1), 100)]), ["2", "0", "0"]);
}

/// A person's rows fill many blocks of a merge. Every third event is in a second file, and that in a
/// pack of its own: its rows are passed at another pace.
#[test]
fn repeats_of_one_person_are_found_however_many_rows_lie_between() {
    const EVENTS: i64 = 30_000;
    let lake = Lake::empty();
    lake.edit("afterscope.toml", "group = \"group_id\"\n", "");
    lake.edit("afterscope.toml", "status = \"status\"\n", "");
    let write = |file: &str, step: usize| {
        let ids = || (0..EVENTS).step_by(step);
        let same = |value: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(ids().map(|_| value)))
        };
        lake.columns(
            file,
            vec![
                ("event_time", times(ids().map(|_| Some("2019-07-02T08:00:00Z")))),
                (
                    "request_id",
                    Arc::new(StringArray::from_iter_values(ids().map(|i| format!("e{i}")))),
                ),
                ("app_id", same("app-1")),
                ("scope", same("read_members")),
                ("user_id", Arc::new(Int64Array::from_iter_values(ids().map(|i| i % 10 / 9)))),
                ("bytes", Arc::new(Int64Array::from_iter_values(ids()))),
            ],
        );
    };
    write("logs/part-0.parquet", 1);
    lake.publishes(&[]);
    write("logs/part-1.parquet", 3);
    let published = lake.publishes(&[]);
    let summary = published.table("scope_summary");
    let coverage = published.table("coverage");
    let all = [("grain", "all")];
    let figures = ["requests_allowed", "subjects_observed", "bytes"];
    let bytes = EVENTS * (EVENTS - 1) / 2;
    assert_eq!(summary.row(&all, &figures), ["30000", "2", bytes.to_string().as_str()]);
    let figures = ["rows_deduplicated", "event_id_conflicts"];
    assert_eq!(coverage.row(&all, &figures), ["10000", "0"]);
}
