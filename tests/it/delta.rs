//! Delta tables as sources: one version of the table, its deleted rows, its columns under other names.

pub mod covered;
pub mod follows;
pub mod inputs;
mod later;
mod statistics;
mod values;
mod versions;

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use roaring::RoaringTreemap;
use serde_json::{Value, json};

use crate::lake::{Call, Lake, call, micros, standard_days, times};
use crate::published::assert_same;

/// Columns of the standard log, and their types in a Delta schema.
const COLUMNS: [(&str, &str); 8] = [
    ("event_time", "timestamp"),
    ("request_id", "string"),
    ("app_id", "string"),
    ("user_id", "long"),
    ("group_id", "long"),
    ("scope", "string"),
    ("status", "integer"),
    ("bytes", "long"),
];

fn schema(field: impl Fn(&str) -> Value) -> String {
    let plain = COLUMNS.iter().chain(&[("dt", "date")]).map(
        |(name, of)| json!({"name": name, "type": of, "nullable": true, "metadata": field(name)}),
    );
    json!({"type": "struct", "fields": plain.collect::<Vec<_>>()}).to_string()
}

fn metadata(schema: &str, configuration: &Value) -> Value {
    json!({"metaData": {
        "id": "t", "format": {"provider": "parquet", "options": {}}, "schemaString": schema,
        "partitionColumns": ["dt"], "configuration": configuration, "createdTime": 0,
    }})
}

fn protocol(features: &[&str]) -> Value {
    if features.is_empty() {
        return json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    }
    json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": features, "writerFeatures": features,
    }})
}

fn commit(lake: &Lake, version: u64, actions: &[Value]) {
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    lake.write(&format!("logs/_delta_log/{version:020}.json"), &(lines.join("\n") + "\n"));
}

/// A file of the table; its day stands in the log alone.
fn add(lake: &Lake, path: &str, day: &str, column: &str) -> Value {
    let size = fs::metadata(lake.path("logs").join(path)).unwrap().len();
    json!({"add": {
        "path": path, "partitionValues": {column: day}, "size": size, "modificationTime": 0,
        "dataChange": true,
    }})
}

fn remove(path: &str) -> Value {
    json!({"remove": {"path": path, "deletionTimestamp": 1, "dataChange": true}})
}

/// Takes out a file with its deletion vector: the log knows files by both.
fn remove_of(added: &Value) -> Value {
    let mut remove = remove(added["add"]["path"].as_str().unwrap());
    remove["remove"]["deletionVector"] = added["add"]["deletionVector"].clone();
    remove
}

/// The files of the standard lake, in a folder without partitions.
fn files(lake: &Lake) -> Vec<(String, &'static str)> {
    let mut files = Vec::new();
    for (number, (path, calls)) in standard_days().into_iter().enumerate() {
        let name = format!("part-{number}.parquet");
        lake.log(&format!("logs/{name}"), &calls);
        let (_, day) = path.split_once("dt=").unwrap();
        files.push((name, &day[..10]));
    }
    files
}

/// The standard lake as a Delta table of two versions: the first two days, then the third.
fn table() -> Lake {
    let lake = Lake::empty();
    let files = files(&lake);
    let mut first = vec![protocol(&[]), metadata(&schema(|_| json!({})), &json!({}))];
    first.extend(files[..2].iter().map(|(path, day)| add(&lake, path, day, "dt")));
    commit(&lake, 0, &first);
    commit(&lake, 1, &[add(&lake, &files[2].0, files[2].1, "dt")]);
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    lake
}

fn requests(lake: &Lake, args: &[&str]) -> String {
    let published = lake.publishes(args);
    let table = published.table("scope_summary");
    table.row(&[("scope", "(all)")], &["requests_allowed"])[0].to_string()
}

#[test]
fn a_table_gives_the_tables_of_its_files() {
    let plain = Lake::standard();
    let partition = "partition_time = { column = \"dt\", grain = \"1d\" }\n";
    let table = table();
    for lake in [&plain, &table] {
        lake.edit(
            "afterscope.toml",
            "\n[source.columns]",
            &format!("{partition}\n[source.columns]"),
        );
    }
    // Event ids name their file: the same ones in both.
    for (path, calls) in standard_days() {
        let number = path.as_bytes()[17] - b'1';
        let name = format!("logs/part-{number}.parquet");
        let written = fs::read(table.log(&name, &calls)).unwrap();
        fs::write(plain.path(path), written).unwrap();
    }
    // The table alone tells what it was before; that stands in `coverage`.
    let tables = |lake: &Lake| {
        let mut tables = lake.publishes(&[]).bytes();
        tables.retain(|name, _| !name.starts_with("coverage"));
        tables
    };
    assert_same(&tables(&plain), &tables(&table));
}

#[test]
fn what_versions_took_out_is_told() {
    let lake = table();
    let partition = "partition_time = { column = \"dt\", grain = \"1d\" }\n";
    lake.edit("afterscope.toml", "\n[source.columns]", &format!("{partition}\n[source.columns]"));
    let history = |args: &[&str]| -> Vec<String> {
        let published = lake.publishes(args);
        let names = ["history_known_from", "history_versions", "history_files_removed"];
        let names = [names.as_slice(), &["history_rows_removed"]].concat();
        let row = published.table("coverage");
        let row = row.row(&[("source", "(all)")], &names);
        row.into_iter().map(str::to_string).collect()
    };
    assert_eq!(history(&[]), ["null", "0", "0", "0"]);
    let info = |at: &str, operation: &str| {
        let millis = micros(at) / 1000;
        json!({"commitInfo": {"timestamp": millis, "operation": operation}})
    };
    let told = |path: &str, day: &str, rows: u64, changes: bool| {
        let mut remove = remove(path);
        remove["remove"]["dataChange"] = changes.into();
        remove["remove"]["partitionValues"] = json!({"dt": day});
        remove["remove"]["stats"] = json!({"numRecords": rows}).to_string().into();
        remove
    };
    // The first day's four rows are deleted; files of a day before every restriction, and one that was only
    // written anew, are none of the report's.
    commit(
        &lake,
        2,
        &[
            info("2019-08-01T00:00:00Z", "DELETE"),
            told("part-0.parquet", "2019-07-01", 4, true),
            told("old.parquet", "2019-01-01", 100, true),
        ],
    );
    commit(
        &lake,
        3,
        &[
            info("2019-08-02T00:00:00Z", "OPTIMIZE"),
            told("part-1.parquet", "2019-07-02", 2, false),
            add(&lake, "part-1.parquet", "2019-07-02", "dt"),
        ],
    );
    assert_eq!(history(&[]), ["null", "1", "1", "4"]);
    let before = ["--set", "source.0.version=1"];
    assert_eq!(history(&before), ["null", "0", "0", "0"]);
    // Where the days of what went are not told they may be the report's; and how many rows it had is open.
    commit(&lake, 4, &[info("2019-08-03T00:00:00Z", "VACUUM END")]);
    commit(&lake, 5, &[info("2019-08-04T00:00:00Z", "MERGE"), remove("elsewhere.parquet")]);
    assert_eq!(history(&[]), ["null", "3", "2", "null"]);
    let told = lake.run(&["--set", "report.lookback_days=61"]).succeeds().stderr;
    assert!(told.contains("3 versions of the table took out or rewrote 2 files"), "{told}");
}

#[test]
fn inspect_tells_the_versions_and_what_files_are_parted_by() {
    let lake = table();
    let info = |operation: &str| {
        let millis = micros("2019-08-01T00:00:00Z") / 1000;
        json!({"commitInfo": {"timestamp": millis, "operation": operation}})
    };
    let other = add(&lake, "part-1.parquet", "2019-07-02", "dt");
    commit(
        &lake,
        2,
        &[info("OPTIMIZE"), remove("part-0.parquet"), remove("part-1.parquet"), other],
    );
    for version in 3..12 {
        commit(&lake, version, &[info("WRITE")]);
    }
    let seen = |args: &[&str]| {
        let all = [&["inspect", "logs", "--json"], args].concat();
        lake.afterscope(&all).succeeds().json_of_all()
    };
    let now = seen(&[]);
    let fields = json!([{"name": "dt", "column": "dt", "transform": "identity"}]);
    assert_eq!(now["layouts"], json!([{"id": 0, "is_current": true, "fields": fields}]));
    let versions = &now["versions"];
    assert_eq!((&versions["earlier"], &versions["later"]), (&2.into(), &0.into()));
    let numbers = |of: &Value| -> Vec<u64> {
        let last = of["versions"]["last"].as_array().unwrap().iter();
        last.map(|told| told["version"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&now), (2..12).rev().collect::<Vec<_>>());
    assert_eq!(
        versions["last"][9],
        json!({"version": 2, "at": "2019-08-01T00:00:00Z", "operation": "OPTIMIZE",
            "files_added": 1, "files_removed": 2})
    );
    let then = seen(&["--version", "1"]);
    assert_eq!((numbers(&then), &then["versions"]["later"]), (vec![1, 0], &10.into()));
    let first = &then["versions"]["last"][1];
    assert_eq!((&first["files_added"], &first["at"]), (&2.into(), &Value::Null));
    let text = lake.afterscope(&["inspect", "logs", "--version", "2"]).succeeds().stdout;
    for says in [
        "parted by  dt = identity(dt)\nversions (9 later)\n  2  2019-08-01T00:00:00Z",
        "OPTIMIZE    1 files added, 2 removed\n  1  -",
    ] {
        assert!(text.contains(says), "nothing says {says:?} in\n{text}");
    }
}

#[test]
fn one_version_is_read_and_named() {
    let lake = table();
    assert_eq!(requests(&lake, &[]), "6");
    let manifest = |args: &[&str]| -> Value {
        let outcome = lake.run(args).succeeds();
        let folder = outcome.published().folder;
        let text = fs::read_to_string(folder.parent().unwrap().join("manifest.json")).unwrap();
        let end = text.trim_end().rfind('\n').unwrap();
        serde_json::from_str(&text[..end]).unwrap_or_else(|_| serde_json::from_str(&text).unwrap())
    };
    let source = |manifest: &Value| manifest["sources"][0]["table"].clone();
    assert_eq!(source(&manifest(&[]))["version"], 1);
    let first = ["--set", "source.0.version=0"];
    assert_eq!(requests(&lake, &first), "5");
    assert_eq!(
        source(&manifest(&first)),
        json!({
            "format": "delta", "version": 0, "made_at": null, "features": [],
            "history": {"first_version": 0, "known_from": null, "changes": []},
        })
    );
    // Files that the table has removed are there and do not count.
    commit(&lake, 2, &[remove("part-0.parquet")]);
    assert_eq!(requests(&lake, &[]), "2");
    assert_eq!(requests(&lake, &["--set", "source.0.version=1"]), "6");
    let says = ["Delta table", "at version 9"];
    lake.run(&["--set", "source.0.version=9"]).fails(1, &says);
}

#[test]
fn files_of_days_before_every_restriction_are_not_opened_where_the_log_tells_their_rows() {
    let lake = table();
    let partition = "partition_time = { column = \"dt\", grain = \"1d\" }\n";
    lake.edit("afterscope.toml", "\n[source.columns]", &format!("{partition}\n[source.columns]"));
    lake.write("logs/old.parquet", "no Parquet file");
    let with = |path: &str, day: &str, rows: u64| {
        let mut added = add(&lake, path, day, "dt");
        added["add"]["stats"] = json!({"numRecords": rows}).to_string().into();
        added
    };
    commit(&lake, 2, &[with("old.parquet", "2019-01-01", 7)]);
    let coverage = lake.publishes(&[]).table("coverage");
    let names = ["files_read", "rows_in_metadata", "rows_outside", "rows_counted"];
    assert_eq!(coverage.row(&[("source", "(all)")], &names), ["4", "15", "8", "6"]);
    let day = [("grain", "source_day"), ("file_day", "2019-01-01")];
    assert_eq!(coverage.row(&day, &names), ["1", "7", "7", "0"]);
    lake.run(&["--no-pruning"]).fails(3, &["old.parquet"]);
    // A log that tells another number of rows than the file has is not believed.
    commit(&lake, 3, &[remove("old.parquet"), remove("part-0.parquet")]);
    commit(&lake, 4, &[with("part-0.parquet", "2019-07-01", 5)]);
    let says = ["part-0.parquet", "the table says that it has 5 rows; it has 4"];
    lake.run(&["--state", "another-ledger"]).fails(3, &says);
}

fn base_85(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 85] =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let digits = |four: &[u8]| -> [u8; 5] {
        let number = u32::from_be_bytes(four.try_into().unwrap());
        [4, 3, 2, 1, 0].map(|place| DIGITS[(number / 85u32.pow(place) % 85) as usize])
    };
    String::from_utf8(bytes.chunks(4).flat_map(digits).collect()).unwrap()
}

/// Magic, and bitmaps in their portable form; as text of base 85.
fn inline_vector(rows: &[u64]) -> Value {
    let mut bytes = 1_681_511_377u32.to_le_bytes().to_vec();
    let bitmap: RoaringTreemap = rows.iter().copied().collect();
    bitmap.serialize_into(&mut bytes).unwrap();
    let size = bytes.len();
    bytes.resize(size.next_multiple_of(4), 0);
    json!({
        "storageType": "i", "pathOrInlineDv": base_85(&bytes),
        "sizeInBytes": size, "cardinality": rows.len(),
    })
}

#[test]
fn deleted_rows_count_for_nothing_and_are_told() {
    let lake = table();
    let mut with = add(&lake, "part-0.parquet", "2019-07-01", "dt");
    with["add"]["deletionVector"] = inline_vector(&[0, 3]);
    let upgraded = protocol(&["deletionVectors"]);
    commit(&lake, 2, &[upgraded, remove("part-0.parquet"), with.clone()]);
    for args in [&[][..], &["--no-pruning"]] {
        let published = lake.publishes(args);
        let table = published.table("scope_summary");
        let row = table.row(&[("scope", "(all)")], &["requests_allowed", "subjects_observed"]);
        // Of the first day the calls of persons 2 and 3 are left.
        assert_eq!(row, ["4", "4"], "{args:?}");
        let coverage = published.table("coverage");
        let names = ["rows_in_metadata", "rows_deleted", "rows_counted"];
        assert_eq!(coverage.row(&[("source", "(all)")], &names), ["8", "2", "4"], "{args:?}");
    }
    // Another vector is another version of the file: it is read again.
    let before = with.clone();
    with["add"]["deletionVector"] = inline_vector(&[0, 1, 2, 3]);
    commit(&lake, 3, &[remove_of(&before), with.clone()]);
    assert_eq!(requests(&lake, &[]), "2");
    // What the log says of the rows must be what the vector holds.
    let before = with.clone();
    with["add"]["deletionVector"] = inline_vector(&[1, 3]);
    with["add"]["deletionVector"]["cardinality"] = 3.into();
    commit(&lake, 4, &[remove_of(&before), with.clone()]);
    lake.run(&[]).fails(3, &["part-0.parquet", "deleted"]);
    let before = with.clone();
    with["add"]["deletionVector"] = inline_vector(&[4]);
    commit(&lake, 5, &[remove_of(&before), with.clone()]);
    lake.run(&[]).fails(3, &["part-0.parquet", "1 of its rows are deleted", "up to number 4"]);
    // A log that adds a file twice, with other rows deleted each time.
    with["add"]["deletionVector"] = inline_vector(&[0]);
    commit(&lake, 6, &[with]);
    lake.run(&[]).fails(1, &["part-0.parquet twice", "would count twice"]);
}

#[test]
fn columns_are_found_under_the_names_that_files_have() {
    let lake = Lake::empty();
    let (_, calls) = standard_days().into_iter().next().unwrap();
    let calls: Vec<Call> = calls;
    let texts = |of: fn(&Call) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(calls.iter().map(of)))
    };
    let ids = Arc::new(StringArray::from_iter_values((0..calls.len()).map(|n| n.to_string())));
    lake.columns(
        "logs/a.parquet",
        vec![
            ("c-event_time", times(calls.iter().map(|c| c.time.as_deref()))),
            ("c-request_id", ids as ArrayRef),
            ("c-app_id", texts(|c| &c.app)),
            ("c-user_id", Arc::new(Int64Array::from_iter(calls.iter().map(|c| c.user)))),
            ("c-group_id", Arc::new(Int64Array::from_iter(calls.iter().map(|c| c.group)))),
            ("c-scope", texts(|c| &c.scope)),
            ("c-status", Arc::new(Int32Array::from_iter_values(calls.iter().map(|c| c.status)))),
            // What was called `bytes` once is another column now.
            ("bytes", Arc::new(Int64Array::from_iter_values(calls.iter().map(|_| 7)))),
        ],
    );
    let mapped = |name: &str| {
        let id = COLUMNS.iter().position(|(known, _)| *known == name).unwrap_or(8) + 1;
        json!({"delta.columnMapping.id": id, "delta.columnMapping.physicalName": format!("c-{name}")})
    };
    let configuration = json!({
        "delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "9",
    });
    let actions = [
        protocol(&["columnMapping"]),
        metadata(&schema(mapped), &configuration),
        add(&lake, "a.parquet", "2019-07-01", "c-dt"),
    ];
    commit(&lake, 0, &actions);
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    let published = lake.publishes(&[]);
    let table = published.table("scope_summary");
    let row = table.row(&[("scope", "(all)")], &["requests_allowed", "subjects_observed", "bytes"]);
    // The file is older than the column that is called `bytes` now.
    assert_eq!(row, ["4", "3", "null"]);
    lake.edit("afterscope.toml", "bytes = \"bytes\"", "bytes = \"c-scope\"");
    lake.run(&[]).fails(1, &["column `c-scope` (mapped as bytes) is called `scope`"]);
    lake.edit("afterscope.toml", "bytes = \"c-scope\"", "bytes = \"size\"");
    lake.run(&[]).fails(1, &["no column `size`", "its columns are: event_time, request_id"]);
    // Nulls in the place of a column that is there under another name would count nobody.
    lake.edit("afterscope.toml", "bytes = \"size\"\n", "");
    let renamed = schema(mapped).replacen("\"user_id\"", "\"person\"", 1);
    assert!(renamed.contains("\"name\":\"person\""), "{renamed}");
    commit(&lake, 1, &[metadata(&renamed, &configuration)]);
    let absent = "subject = { path = \"user_id\", missing = \"null\" }";
    lake.edit("afterscope.toml", "subject = \"user_id\"", absent);
    let says =
        ["column `user_id` (mapped as subject) is called `person`", "map subject to \"person\""];
    lake.run(&[]).fails(1, &says);
    assert_eq!(requests(&lake, &["--set", "source.0.version=0"]), "4");
    lake.edit("afterscope.toml", absent, "subject = \"person\"");
    assert_eq!(requests(&lake, &[]), "4");
}

/// Some engines take names in other letters for the same column. To read it as a column of nulls would be silent.
#[test]
fn a_column_in_other_letters_is_neither_read_nor_null() {
    let lake = Lake::empty();
    let (path, day) = files(&lake).remove(0);
    let schema = schema(|_| json!({})).replace("user_id", "User_ID");
    let added = add(&lake, &path, day, "dt");
    commit(&lake, 0, &[protocol(&[]), metadata(&schema, &json!({})), added]);
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    lake.edit("afterscope.toml", "subject = \"user_id\"", "subject = \"User_ID\"");
    let says = ["part-0.parquet", "unsupported", "`User_ID`", "`user_id`"];
    lake.run(&[]).fails(1, &says);
    lake.afterscope(&["inspect", "logs", "--rows", "all"]).fails(1, &says[..2]);
}

#[test]
fn a_partition_s_value_in_other_letters_is_no_null() {
    let lake = Lake::empty();
    let (path, day) = files(&lake).remove(0);
    let added = add(&lake, &path, day, "DT");
    let schema = metadata(&schema(|_| json!({})), &json!({}));
    commit(&lake, 0, &[protocol(&[]), schema, added]);
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    lake.run(&[]).fails(1, &["unsupported", "partition columns: one of `dt`", "`DT`"]);
}

#[test]
fn a_partition_s_value_has_the_type_that_the_table_says() {
    let lake = Lake::empty();
    lake.log("logs/a.parquet", &[call("2019-07-01T08:00:00Z", "app-1", 1)]);
    lake.log("logs/b.parquet", &[call("2019-07-01T08:00:00Z", "app-1", 2)]);
    let typed = schema(|_| json!({})).replace("\"date\"", "\"long\"");
    let add = |path, person| add(&lake, path, person, "dt");
    let actions =
        [protocol(&[]), metadata(&typed, &json!({})), add("a.parquet", "7"), add("b.parquet", "")];
    commit(&lake, 0, &actions);
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    lake.edit("afterscope.toml", "subject = \"user_id\"", "subject = \"dt\"\nactor = \"user_id\"");
    let published = lake.publishes(&[]);
    let table = published.table("scope_summary");
    let names = ["requests_allowed", "subjects_observed", "subjects_unknown_rows", "actors"];
    // Person 7 as a number, as actors are; an empty text stands for nobody.
    assert_eq!(table.row(&[("scope", "(all)")], &names), ["2", "1", "1", "2"]);
}

#[test]
fn a_table_whose_catalog_keeps_its_commits_is_refused() {
    let lake = table();
    let configuration = json!({
        "delta.enableInCommitTimestamps": "true",
        "delta.inCommitTimestampEnablementVersion": "2",
        "delta.inCommitTimestampEnablementTimestamp": "1567000000000",
    });
    let info = json!({"commitInfo": {
        "timestamp": 1_567_000_000_000_i64, "inCommitTimestamp": 1_567_000_000_000_i64,
    }});
    let mut protocol = protocol(&["catalogManaged"]);
    protocol["protocol"]["writerFeatures"] = json!(["catalogManaged", "inCommitTimestamp"]);
    commit(&lake, 2, &[info, protocol, metadata(&schema(|_| json!({})), &configuration)]);
    lake.refuses(&[], 1, &["unsupported", "catalogManaged", "which version is the current one"]);
    // The version before was not the catalog's yet.
    lake.publishes(&["--set", "source.0.version=1"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let lake = table();
    fs::remove_file(lake.path("logs/part-1.parquet")).unwrap();
    lake.refuses(&[], 3, &["version 1 of the Delta table", "part-1.parquet", "the latest"]);
    let lake = table();
    lake.write("logs/part-1.parquet", "other bytes");
    lake.refuses(&[], 3, &["part-1.parquet", "has 11 bytes", "by the table's log"]);
    let lake = table();
    commit(&lake, 2, &[protocol(&["newestFeature"])]);
    lake.refuses(&[], 1, &["unsupported", "newestFeature"]);
    let lake = table();
    commit(
        &lake,
        2,
        &[json!({"add": {
            "path": "s3://elsewhere/x.parquet", "partitionValues": {"dt": null}, "size": 1,
            "modificationTime": 0, "dataChange": true,
        }})],
    );
    let says = ["unsupported", "outside of the table's folder", "s3://elsewhere/x.parquet"];
    lake.refuses(&[], 1, &[&says[..], &["a deep clone"]].concat());
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    lake.refuses(&[], 1, &["Delta table", "logs"]);
    lake.edit("afterscope.toml", "format = \"delta\"", "version = 3");
    lake.refuses(&[], 1, &["afterscope.toml:4", "plain files have no versions"]);
    let lake = table();
    lake.edit("afterscope.toml", "format = \"delta\"\n", "");
    lake.refuses(&[], 1, &["is a Delta table", "set format = \"delta\""]);
    lake.edit(
        "afterscope.toml",
        "url = \"logs/\"\n",
        "url = \"logs/\"\nformat = \"delta\"\nversion = 1\ntimestamp = \"2019-07-01\"\n",
    );
    lake.refuses(&[], 1, &["timestamp", "not both"]);
}
