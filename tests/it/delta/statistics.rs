//! Files that are left out by the times that the log tells of them.
//!
//! A file that must not be opened is none: opening it ends the run.

use std::fs::File;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::json::ReaderBuilder;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::{
    COLUMNS, add, commit, inline_vector, metadata, protocol, remove, requests, schema, table,
};
use crate::lake::{Call, Lake, call};

const NAMES: [&str; 5] =
    ["files_read", "rows_in_metadata", "rows_deleted", "rows_outside", "rows_counted"];

/// Statistics of 7 rows with times between two.
fn statistics(least: &str, greatest: &str) -> Value {
    json!({
        "numRecords": 7,
        "minValues": {"event_time": least}, "maxValues": {"event_time": greatest},
        "nullCount": {"event_time": 0},
    })
}

/// Adds a file that cannot be opened.
fn closed(lake: &Lake, path: &str, stats: &Value) -> Value {
    lake.write(&format!("logs/{path}"), "no Parquet file");
    let mut added = add(lake, path, "2019-07-01", "dt");
    added["add"]["stats"] = stats.to_string().into();
    added
}

fn coverage(lake: &Lake) -> Vec<String> {
    let coverage = lake.publishes(&[]).table("coverage");
    let row = coverage.row(&[("source", "(all)")], &NAMES);
    row.into_iter().map(str::to_string).collect()
}

#[test]
fn files_whose_times_lie_before_every_restriction_are_not_opened() {
    let lake = table();
    let last = statistics("2019-01-01T00:00:00.000Z", "2019-05-31T23:59:59.998Z");
    commit(&lake, 2, &[closed(&lake, "old.parquet", &last)]);
    assert_eq!(coverage(&lake), ["4", "15", "0", "8", "6"]);
    lake.run(&["--no-pruning"]).fails(3, &["old.parquet"]);
    // On one day, as far as the log tells; and its deleted rows are told apart.
    let mut one = statistics("2019-03-01T08:00:00.000Z", "2019-03-01T09:00:00.000+01:00");
    one["tightBounds"] = false.into();
    let mut one = closed(&lake, "one.parquet", &one);
    one["add"]["deletionVector"] = inline_vector(&[0, 6]);
    commit(&lake, 3, &[protocol(&["deletionVectors"]), one]);
    assert_eq!(coverage(&lake), ["5", "22", "2", "13", "6"]);
    let told = lake.publishes(&[]).table("coverage");
    let day = [("grain", "source_day"), ("file_day", "2019-03-01")];
    assert_eq!(told.row(&day, &NAMES), ["1", "7", "2", "5", "0"]);
}

#[test]
fn in_doubt_a_file_is_opened() {
    let (from, to) = ("2019-01-01T00:00:00Z", "2019-02-01T00:00:00Z");
    let changed = |change: fn(&mut Value)| {
        let mut stats = statistics(from, to);
        change(&mut stats);
        stats
    };
    let cases = [
        // The day of a restriction; and times are cut to milliseconds.
        statistics(from, "2019-06-01T00:00:00Z"),
        statistics(from, "2019-05-31T23:59:59.999500Z"),
        changed(|stats| stats["nullCount"] = json!({"event_time": 1})),
        changed(|stats| stats["nullCount"] = json!({})),
        changed(|stats| stats["minValues"] = json!({})),
        changed(|stats| stats["maxValues"] = json!({"event_time": null})),
        changed(|stats| stats["numRecords"] = Value::Null),
        statistics("2019-02-02T00:00:00Z", to),
        statistics(from, "yesterday"),
    ];
    for stats in cases {
        let lake = table();
        commit(&lake, 2, &[closed(&lake, "old.parquet", &stats)]);
        lake.run(&[]).fails(3, &["old.parquet"]);
    }
    // Where every day with a row must be known, one of several days.
    let lake = table();
    commit(&lake, 2, &[closed(&lake, "old.parquet", &statistics(from, to))]);
    let expected = "expected = { from = \"2019-01-01\", every = \"1d\" }\n";
    lake.edit("afterscope.toml", "\n[source.columns]", &format!("{expected}\n[source.columns]"));
    lake.run(&[]).fails(3, &["old.parquet"]);
}

#[test]
fn times_that_the_table_keeps_in_utc_are_in_utc_whatever_files_and_zones_say() {
    let lake = table();
    // The first is before the restriction of 2019-06-01, and were not in New York; the second were in Berlin.
    let calls = ["2019-05-31T20:30:00Z", "2019-06-01T00:30:00Z", "2019-07-05T00:00:00Z"];
    let calls: Vec<Call> = calls.iter().map(|time| call(time, "app-1", 9)).collect();
    let file = File::open(lake.log("logs/utc.parquet", &calls)).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = batches.map(Result::unwrap).next().unwrap();
    let schema_of = batch.schema();
    let columns = schema_of.fields().iter().zip(batch.columns()).map(|(field, array)| {
        let bare = array
            .as_primitive_opt::<TimestampMicrosecondType>()
            .map(|times| Arc::new(times.clone().with_timezone_opt(None::<Arc<str>>)) as ArrayRef);
        (field.name().as_str(), bare.unwrap_or_else(|| array.clone()))
    });
    lake.columns("logs/wall.parquet", columns.collect());
    let file = add(&lake, "wall.parquet", "2019-07-05", "dt");
    commit(&lake, 2, &[file]);
    let time = |zone: &str| format!("time = {{ path = \"event_time\", zone = \"{zone}\" }}");
    let mut written = "time = \"event_time\"".to_string();
    for zone in ["UTC", "America/New_York", "Europe/Berlin"] {
        assert_eq!(requests(&lake, &[]), "8", "{written}");
        assert_eq!(requests(&lake, &["--no-pruning"]), "8", "{written}");
        lake.edit("afterscope.toml", &written, &time(zone));
        written = time(zone);
    }
    assert_eq!(requests(&lake, &[]), "8", "{written}");
}

#[test]
fn statistics_name_columns_as_files_do() {
    let lake = table();
    let mapped = |name: &str| {
        let number = COLUMNS.iter().position(|(known, _)| *known == name).unwrap_or(8) + 1;
        json!({"delta.columnMapping.id": number, "delta.columnMapping.physicalName": match name {
            "event_time" => "request_id".to_string(),
            "request_id" => "event_time".to_string(),
            other => other.to_string(),
        }})
    };
    let configuration =
        json!({"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "999"});
    let old =
        closed(&lake, "old.parquet", &statistics("2019-01-01T00:00:00Z", "2019-02-01T00:00:00Z"));
    let files = [0, 1, 2].map(|number| remove(&format!("part-{number}.parquet")));
    let mut actions = vec![protocol(&["columnMapping"]), metadata(&schema(mapped), &configuration)];
    actions.extend(files);
    actions.push(old);
    commit(&lake, 2, &actions);
    // The times are those of another column.
    lake.run(&[]).fails(3, &["old.parquet"]);
    let mut stats = statistics("", "");
    for group in ["minValues", "maxValues"] {
        stats[group] = json!({"request_id": "2019-01-01T00:00:00Z", "event_time": "x"});
    }
    stats["nullCount"] = json!({"request_id": 0, "event_time": 0});
    commit(&lake, 3, &[closed(&lake, "old.parquet", &stats)]);
    assert_eq!(coverage(&lake), ["1", "7", "0", "7", "0"]);
}

#[test]
fn whole_numbers_are_times_where_the_mapping_says_which() {
    let as_numbers = |format: &str| {
        let lake = table();
        let typed = schema(|_| json!({})).replace("\"timestamp\"", "\"long\"");
        let mut old = statistics("", "");
        old["minValues"] = json!({"event_time": 1_546_300_800_000i64});
        old["maxValues"] = json!({"event_time": 1_546_300_800_001i64});
        let files = [0, 1, 2].map(|number| remove(&format!("part-{number}.parquet")));
        let mut actions = vec![metadata(&typed, &json!({}))];
        actions.extend(files);
        actions.push(closed(&lake, "old.parquet", &old));
        commit(&lake, 2, &actions);
        let time = format!("time = {{ path = \"event_time\", format = \"{format}\" }}");
        lake.edit("afterscope.toml", "time = \"event_time\"", &time);
        lake
    };
    assert_eq!(coverage(&as_numbers("epoch_ms")), ["1", "7", "0", "7", "0"]);
    // In seconds they are of the year 50,970.
    as_numbers("epoch_s").run(&[]).fails(3, &["old.parquet"]);
}

#[test]
fn wall_times_are_moments_where_they_are_in_utc() {
    let as_wall_times = |zone: &str| {
        let lake = table();
        let typed = schema(|_| json!({})).replace("\"timestamp\"", "\"timestamp_ntz\"");
        let old = statistics("2019-01-01T00:00:00.000", "2019-01-02T00:00:00.000");
        let files = [0, 1, 2].map(|number| remove(&format!("part-{number}.parquet")));
        let mut actions = vec![protocol(&["timestampNtz"]), metadata(&typed, &json!({}))];
        actions.extend(files);
        actions.push(closed(&lake, "old.parquet", &old));
        commit(&lake, 2, &actions);
        let time = format!("time = {{ path = \"event_time\", zone = \"{zone}\" }}");
        lake.edit("afterscope.toml", "time = \"event_time\"", &time);
        lake
    };
    assert_eq!(coverage(&as_wall_times("UTC")), ["1", "7", "0", "7", "0"]);
    as_wall_times("Europe/Berlin").run(&[]).fails(3, &["old.parquet"]);
}

#[test]
fn statistics_that_a_file_contradicts_are_not_believed() {
    let lake = table();
    let mut part = add(&lake, "part-0.parquet", "2019-07-01", "dt");
    let mut lie = statistics("2019-07-01T08:00:00Z", "2019-07-01T10:59:59.999Z");
    lie["numRecords"] = 4.into();
    part["add"]["stats"] = lie.to_string().into();
    commit(&lake, 2, &[part.clone()]);
    let says = ["part-0.parquet", "2019-07-01T10:59:59.999999Z", "2019-07-01T11:00:00Z"];
    lake.run(&[]).fails(3, &says);
    assert_eq!(requests(&lake, &["--no-pruning"]), "6");
    // What they leave out unread they are believed of, until they are corrected: then the ledger that holds
    // them does not serve.
    let mut before = lie.clone();
    before["minValues"] = json!({"event_time": "2019-01-01T00:00:00Z"});
    before["maxValues"] = json!({"event_time": "2019-01-02T00:00:00Z"});
    part["add"]["stats"] = before.to_string().into();
    commit(&lake, 3, &[part.clone()]);
    assert_eq!(requests(&lake, &[]), "2");
    lie["maxValues"] = json!({"event_time": "2019-07-01T11:00:00Z"});
    part["add"]["stats"] = lie.to_string().into();
    commit(&lake, 4, &[part]);
    assert_eq!(requests(&lake, &[]), "6");
}

/// A checkpoint of version 1 with statistics in columns, none as text, and row groups of so many actions; the
/// commits before it are gone.
pub fn checkpoint(lake: &Lake, actions: &[Value], in_group: usize) {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let group = |name: &str, parts: Vec<Field>| {
        Field::new(name, DataType::Struct(Fields::from(parts)), true)
    };
    let time = || {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Field::new("event_time", utc, true)
    };
    let map = |name: &str| {
        let entry =
            DataType::Struct(vec![Field::new("key", DataType::Utf8, false), text("value")].into());
        Field::new(
            name,
            DataType::Map(Arc::new(Field::new("key_value", entry, false)), false),
            true,
        )
    };
    let list = |name: &str| Field::new(name, DataType::List(Arc::new(text("element"))), true);
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let stats = vec![
        long("numRecords"),
        group("minValues", vec![time()]),
        group("maxValues", vec![time()]),
        group("nullCount", vec![long("event_time")]),
    ];
    let flag = Field::new("dataChange", DataType::Boolean, true);
    let added = vec![
        text("path"),
        map("partitionValues"),
        long("size"),
        long("modificationTime"),
        flag,
        group("stats_parsed", stats),
    ];
    let of_table = vec![
        text("id"),
        group("format", vec![text("provider"), map("options")]),
        text("schemaString"),
        list("partitionColumns"),
        map("configuration"),
        long("createdTime"),
    ];
    let schema = Arc::new(Schema::new(vec![
        group("protocol", vec![int("minReaderVersion"), int("minWriterVersion")]),
        group("metaData", of_table),
        group("add", added),
    ]));
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    let rows = ReaderBuilder::new(schema.clone()).build(Cursor::new(lines.join("\n"))).unwrap();
    let path = lake.path("logs/_delta_log/00000000000000000001.checkpoint.parquet");
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(in_group)).build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
    for batch in rows {
        writer.write(&batch.unwrap()).unwrap();
    }
    writer.close().unwrap();
    std::fs::remove_file(lake.path("logs/_delta_log/00000000000000000000.json")).unwrap();
}

#[test]
fn statistics_in_a_checkpoint_s_columns_serve_as_well() {
    let lake = table();
    let mut actions = vec![protocol(&[]), metadata(&schema(|_| json!({})), &json!({}))];
    for number in 0..3 {
        let day = format!("2019-07-0{}", number + 1);
        actions.push(add(&lake, &format!("part-{number}.parquet"), &day, "dt"));
    }
    lake.write("logs/old.parquet", "no Parquet file");
    let mut old = add(&lake, "old.parquet", "2019-07-01", "dt");
    old["add"]["stats_parsed"] = statistics("2019-01-01T00:00:00Z", "2019-01-02T00:00:00Z");
    actions.push(old);
    checkpoint(&lake, &actions, 2);
    assert_eq!(coverage(&lake), ["4", "15", "0", "8", "6"]);
    // A commit after it has them as text.
    let newer = statistics("2019-01-03T00:00:00Z", "2019-01-04T00:00:00Z");
    commit(&lake, 2, &[closed(&lake, "newer.parquet", &newer)]);
    assert_eq!(coverage(&lake), ["5", "22", "0", "15", "6"]);
}

#[test]
#[ignore = "slow: 20,000 files"]
fn a_large_checkpoint_is_read_row_group_by_row_group() {
    let lake = table();
    let mut actions = vec![protocol(&[]), metadata(&schema(|_| json!({})), &json!({}))];
    for number in 0..20_000 {
        let path = format!("old-{number}.parquet");
        lake.write(&format!("logs/{path}"), "no Parquet file");
        let mut old = add(&lake, &path, "2019-07-01", "dt");
        old["add"]["stats_parsed"] = statistics("2019-01-01T00:00:00Z", "2019-01-02T00:00:00Z");
        actions.push(old);
    }
    checkpoint(&lake, &actions, 1_000);
    assert_eq!(coverage(&lake), ["20000", "140000", "0", "140000", "0"]);
}
