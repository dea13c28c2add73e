//! Files that are left out by the times that a manifest tells of them.
//!
//! A file that must not be opened is none: opening it ends the run.

use std::collections::HashMap;

use iceberg::spec::{DataContentType, DataFile, Datum};
use serde_json::json;

use super::requests;
use super::table::{DAY, Ice, calls_of, columns, partition};
use crate::lake::standard_days;

/// 2019-01-01, and the first day of the earliest restriction, in microseconds.
const OLD: i64 = 1_546_300_800_000_000;
const RESTRICTED: i64 = 1_559_347_200_000_000;

const TIME: i32 = 1;

/// A file of 7 rows that cannot be opened, and what the manifest tells of its times.
fn closed(table: &Ice, bounds: Option<(Datum, Datum)>, nulls: Option<u64>) -> DataFile {
    let path =
        format!("data/old-{}.parquet", table.metadata["snapshots"].as_array().unwrap().len());
    table.lake.write(&format!("logs/{path}"), "no Parquet file");
    let mut file = table.file(DataContentType::Data, &path, 7);
    file.partition(partition(DAY));
    if let Some((least, greatest)) = bounds {
        file.lower_bounds(HashMap::from([(TIME, least)]));
        file.upper_bounds(HashMap::from([(TIME, greatest)]));
    }
    if let Some(nulls) = nulls {
        file.null_value_counts(HashMap::from([(TIME, nulls)]));
    }
    file.build().unwrap()
}

fn instants(least: i64, greatest: i64) -> Option<(Datum, Datum)> {
    Some((Datum::timestamptz_micros(least), Datum::timestamptz_micros(greatest)))
}

#[test]
fn files_whose_times_lie_before_every_restriction_are_not_opened() {
    for format in 1..=3 {
        let mut table = Ice::standard(format);
        let old = closed(&table, instants(OLD, RESTRICTED - 1), Some(0));
        table.commit(vec![old]);
        let coverage = table.lake.publishes(&[]).table("coverage");
        let names = ["files_read", "rows_in_metadata", "rows_outside", "rows_counted"];
        assert_eq!(coverage.row(&[("source", "(all)")], &names), ["4", "15", "8", "6"]);
        table.lake.run(&["--no-pruning"]).fails(3, &["old-3.parquet"]);
    }
}

#[test]
fn in_doubt_a_file_is_opened() {
    let wall = (Datum::timestamp_micros(OLD), Datum::timestamp_micros(OLD));
    let texts = (Datum::string("2019-01-01"), Datum::string("2019-01-01"));
    let cases = [
        (instants(OLD, RESTRICTED), Some(0)),
        (instants(OLD, OLD), Some(1)),
        (instants(OLD, OLD), None),
        (None, Some(0)),
        (instants(OLD + 1, OLD), Some(0)),
    ];
    for (bounds, nulls) in cases {
        let mut table = Ice::standard(2);
        let old = closed(&table, bounds, nulls);
        table.commit(vec![old]);
        table.lake.run(&[]).fails(3, &["old-3.parquet"]);
    }
    // Bounds of other types than the column has: the manifest's own schema says what they are.
    for (data_type, bounds) in [("timestamp", wall), ("string", texts)] {
        let mut fields = columns();
        fields[0]["type"] = json!(data_type);
        let mut table = Ice::new(2, &fields, &super::table::by_day());
        let old = closed(&table, Some(bounds), Some(0));
        table.commit(vec![old]);
        table.lake.run(&[]).fails(3, &["old-0.parquet"]);
    }
}

#[test]
fn bounds_that_a_file_contradicts_are_not_believed() {
    let mut table = Ice::standard(2);
    let calls = &standard_days()[0].1;
    let rows = table.write("data/again.parquet", calls_of(calls, "data/again.parquet"));
    let mut file = table.file(DataContentType::Data, "data/again.parquet", rows);
    let at = |hour: i64| {
        Datum::timestamptz_micros(i64::from(DAY) * 86_400_000_000 + hour * 3_600_000_000)
    };
    file.partition(partition(DAY))
        .lower_bounds(HashMap::from([(TIME, at(9))]))
        .upper_bounds(HashMap::from([(TIME, at(11))]))
        .null_value_counts(HashMap::from([(TIME, 0)]));
    table.commit(vec![file.build().unwrap()]);
    let says = ["again.parquet", "from 2019-07-01T09:00:00Z", "from 2019-07-01T08:00:00Z"];
    table.lake.run(&[]).fails(3, &says);
    assert_eq!(requests(&table.lake, &["--no-pruning"]), "10");
}
