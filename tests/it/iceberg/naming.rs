//! What is said of the snapshot that is read, and of tables that are named otherwise than they are.

use std::fs;

use iceberg::spec::DataContentType;
use serde_json::json;

use super::requests;
use super::table::{DAY, Ice, calls_of, columns, partition, schema};
use crate::lake::{Lake, call};

#[test]
fn a_timestamp_later_than_the_latest_snapshot_is_told() {
    let table = Ice::standard(2);
    let read = |moment: &str| {
        let told = table.lake.run(&["--set", &format!("source.0.timestamp={moment}")]).succeeds();
        assert_eq!(told.json()["totals"]["requests_allowed"], 6);
        told.stderr
    };
    // Commits were made at 0, 1 and 2 o'clock.
    assert!(!read("2019-08-01T02:00:00Z").contains("timestamp"));
    let told = read("2019-08-01T02:00:01Z");
    let says = "`timestamp` 2019-08-01T02:00:01Z is later than snapshot 1003, the latest, of 2019-08-01T02:00:00Z";
    assert!(told.contains(says) && told.contains("`snapshot = 1003`"), "{told}");
    let says = ["does not reach back to 2019-07-31", "snapshot 1001, of 2019-08-01T00:00:00Z"];
    table.lake.run(&["--set", "source.0.timestamp=2019-07-31"]).fails(1, &says);
}

#[test]
fn a_snapshot_is_read_with_the_names_of_its_own_columns() {
    let mut table = Ice::standard(2);
    // Renamed, and nothing written since: the current snapshot still has the old schema.
    let mut renamed = columns();
    renamed[5]["name"] = "permission".into();
    table.metadata["schemas"].as_array_mut().unwrap().push(schema(1, &renamed));
    table.metadata["current-schema-id"] = 1.into();
    table.save();
    let lake = &table.lake;
    let old = ["--set", "source.0.snapshot=1003"];
    let names = "map scopes to";
    assert_eq!(requests(lake, &old), "6");
    lake.run(&[]).fails(
        1,
        &["column `scope` (mapped as scopes) is called `permission`", names, "\"permission\""],
    );
    lake.edit("afterscope.toml", "scopes = \"scope\"", "scopes = \"permission\"");
    assert_eq!(requests(lake, &[]), "6");
    let says = ["column `permission` (mapped as scopes) is called `scope`", names, "\"scope\""];
    let told = lake.run(&old).fails(1, &says);
    assert!(!told.stderr.contains("null"), "{}", told.stderr);
    // Nulls in its place would count nobody.
    let absent = "scopes = { path = \"permission\", missing = \"null\" }";
    lake.edit("afterscope.toml", "scopes = \"permission\"", absent);
    assert_eq!(requests(lake, &[]), "6");
    lake.run(&old).fails(1, &says);
}

#[test]
fn a_column_that_came_later_may_be_null_where_that_is_said() {
    let mut table = Ice::standard(2);
    let mut more = columns();
    let new = json!({"id": 10, "name": "size", "type": "long", "required": false});
    more.as_array_mut().unwrap().push(new);
    table.metadata["schemas"].as_array_mut().unwrap().push(schema(1, &more));
    table.metadata["current-schema-id"] = 1.into();
    table.save();
    let lake = &table.lake;
    lake.edit("afterscope.toml", "bytes = \"bytes\"", "bytes = \"size\"");
    assert_eq!(requests(lake, &[]), "6");
    let old = ["--set", "source.0.snapshot=1003"];
    lake.run(&old).fails(1, &["no column `size`", "other versions of the table have it"]);
    let absent = "bytes = { path = \"size\", missing = \"null\" }";
    lake.edit("afterscope.toml", "bytes = \"size\"", absent);
    assert_eq!(requests(lake, &old), "6");
}

#[test]
fn a_history_of_nothing_taken_out_does_not_say_0_files() {
    let mut table = Ice::standard(2);
    table.metadata["snapshots"][1]["summary"] = json!({"operation": "overwrite"});
    table.save();
    let told = table.lake.run(&[]).succeeds().stderr;
    assert!(told.contains("1 versions of the table") && told.contains("do not tell"), "{told}");
    assert!(!told.contains("0 files") && !told.contains("0 rows"), "{told}");
    // Rows that deletes name, and no file.
    table.metadata["snapshots"][1]["summary"] =
        json!({"operation": "delete", "added-position-deletes": "2"});
    table.save();
    let told = table.lake.run(&[]).succeeds().stderr;
    assert!(told.contains("took out 2 rows of the report's days"), "{told}");
    assert!(!told.contains("0 files"), "{told}");
}

#[test]
fn partition_time_of_a_hidden_partition_is_not_needed() {
    let fields = json!([
        {"source-id": 1, "field-id": 1000, "name": "event_time_day", "transform": "day"},
    ]);
    let mut table = Ice::new(2, &columns(), &fields);
    let calls = [call("2019-07-01T08:00:00Z", "app-1", 1)];
    let rows = table.write("data/a.parquet", calls_of(&calls, "data/a.parquet"));
    let mut file = table.file(DataContentType::Data, "data/a.parquet", rows);
    let file = file.partition(partition(DAY)).build().unwrap();
    table.commit(vec![file]);
    assert_eq!(requests(&table.lake, &[]), "1");
    for column in ["event_time", "event_time_day"] {
        let set = format!("source.0.partition_time={{ column = \"{column}\", grain = \"1d\" }}");
        let says = [
            &format!("`{column}` is no partition by its own values")[..],
            "take partition_time out: nothing else is needed",
        ];
        table.lake.run(&["--set", &set]).fails(1, &says);
    }
}

#[test]
fn a_folder_of_another_kind_of_table_is_named_as_what_it_is() {
    let table = Ice::standard(2);
    let lake = &table.lake;
    lake.edit("afterscope.toml", "format = \"iceberg\"", "format = \"delta\"");
    let says = ["is an Iceberg table (metadata/v", "no Delta table", "set format = \"iceberg\""];
    lake.refuses(&[], 1, &says);
    // A folder without a table of any kind.
    let plain = Lake::standard();
    plain.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"iceberg\"\n");
    plain.refuses(&[], 1, &["Iceberg table", "holds no file"]);
}

#[test]
fn two_sources_of_one_table_read_one_snapshot() {
    let table = Ice::standard(2);
    let lake = &table.lake;
    let text = fs::read_to_string(lake.path("afterscope.toml")).unwrap();
    let (begin, end) = (text.find("[[source]]").unwrap(), text.find("[registry]").unwrap());
    let second = text[begin..end]
        .replace("name = \"access\"", "name = \"again\"")
        .replace("\"logs/\"", "\"logs/metadata/v2.metadata.json\"");
    lake.write("afterscope.toml", &format!("{}{second}{}", &text[..end], &text[end..]));
    let says = ["sources `access` and `again`", "Iceberg snapshot 1003", "Iceberg snapshot 1002"];
    lake.refuses(&[], 1, &says);
    // By metadata of another time, and the same snapshot.
    let told = lake.run(&["--set", "source.0.snapshot=1002"]).succeeds().stderr;
    assert!(told.contains("2 files are read by source `access` and by source `again`"), "{told}");
}
