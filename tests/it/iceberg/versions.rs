//! Which metadata, which snapshot; and what is refused.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use iceberg::spec::{DataContentType, DataFileFormat};
use serde_json::{Value, json};

use super::requests;
use super::table::{DAY, Ice, columns, partition, schema};
use crate::delta::follows::{changes, has};
use crate::lake::Lake;

#[test]
fn a_snapshot_is_named_by_id_time_or_reference_and_told() {
    let mut table = Ice::standard(2);
    table.metadata["refs"]["audit"] = json!({"snapshot-id": 1002, "type": "tag"});
    table.save();
    let set = |text: &str| requests(&table.lake, &["--set", text]);
    assert_eq!(requests(&table.lake, &[]), "6");
    assert_eq!(set("source.0.snapshot=1001"), "4");
    assert_eq!(set("source.0.ref=audit"), "5");
    assert_eq!(set("source.0.ref=main"), "6");
    // Commits were made at 0, 1 and 2 o'clock.
    assert_eq!(set("source.0.timestamp=2019-08-01T00:59:59Z"), "4");
    assert_eq!(set("source.0.timestamp=2019-08-01T01:00:00Z"), "5");
    let fails = |text: &str, says: &[&str]| {
        table.lake.run(&["--set", text]).fails(1, says);
    };
    fails("source.0.timestamp=2019-07-31", &["does not reach back to 2019-07-31"]);
    fails("source.0.snapshot=7", &["no snapshot 7", "expired"]);
    fails("source.0.ref=nightly", &["no branch or tag `nightly`", "audit", "main"]);
    fails("source.0.version=1", &["an Iceberg table has no `version`", "`snapshot`"]);
    let manifest = |args: &[&str]| -> Value {
        let folder = table.lake.run(args).succeeds().published().folder;
        let text = fs::read_to_string(folder.parent().unwrap().join("manifest.json")).unwrap();
        let end = text.trim_end().rfind('\n').unwrap();
        serde_json::from_str(&text[..end]).unwrap_or_else(|_| serde_json::from_str(&text).unwrap())
    };
    let told = manifest(&["--set", "source.0.ref=audit"])["sources"][0]["table"].clone();
    assert_eq!(
        told,
        json!({
            "format": "iceberg", "version": 1002, "schema_id": 0, "made_at": "2019-08-01T01:00:00Z",
            "features": ["format-v2"],
            "history": {
                "first_version": 1001, "known_from": "2019-08-01T00:00:00Z", "changes": [],
            },
        })
    );
}

#[test]
fn what_snapshots_took_out_is_told() {
    let mut table = Ice::standard(2);
    let history = |table: &Ice, args: &[&str]| -> Vec<String> {
        let published = table.lake.publishes(args);
        let coverage = published.table("coverage");
        let names = ["history_versions", "history_files_removed", "history_rows_removed"];
        let row = coverage.row(&[("source", "(all)")], &names);
        row.into_iter().map(str::to_string).collect()
    };
    assert_eq!(history(&table, &[]), ["0", "0", "0"]);
    // The second deleted three rows of a file and two by their positions; the third only wrote rows anew.
    table.metadata["snapshots"][1]["summary"] = json!({
        "operation": "overwrite", "deleted-data-files": "1", "deleted-records": "3",
        "added-position-deletes": "2",
    });
    table.metadata["snapshots"][2]["summary"] =
        json!({"operation": "replace", "deleted-data-files": "7", "deleted-records": "70"});
    table.save();
    assert_eq!(history(&table, &[]), ["1", "1", "5"]);
    assert_eq!(history(&table, &["--set", "source.0.snapshot=1001"]), ["0", "0", "0"]);
    // How many rows an equality delete is about nobody tells.
    table.metadata["snapshots"][1]["summary"]["added-equality-deletes"] = "1".into();
    // The first was current once and is no ancestor: what it had was rolled back.
    table.metadata["snapshots"][1].as_object_mut().unwrap().remove("parent-snapshot-id");
    table.save();
    assert_eq!(history(&table, &[]), ["2", "1", "null"]);
}

#[test]
fn rows_that_were_deleted_since_and_snapshots_that_were_expired_have_their_cause() {
    let mut table = Ice::standard(2);
    table.lake.publishes(&[]);
    // Of the first day both calls of person 1 go.
    let deletes = table.positions("data/deletes-0.parquet", &table.day(0), &[0, 3]);
    table.commit(vec![deletes]);
    table.metadata["snapshots"][3]["summary"] = json!({
        "operation": "delete", "added-position-deletes": "2", "added-delete-files": "1",
    });
    table.save();
    has(
        &changes(&table.lake),
        &[
            "coverage history_versions 0>1 table history",
            "coverage history_rows_removed 0>2 table history",
            "scope_summary requests_allowed 6>4 rewritten file",
        ],
    );
    // Snapshots of 0 o'clock are gone.
    table.metadata["snapshots"].as_array_mut().unwrap().remove(0);
    table.metadata["snapshot-log"].as_array_mut().unwrap().remove(0);
    table.save();
    let known =
        "coverage history_known_from 2019-08-01T00:00:00Z>2019-08-01T01:00:00Z table history";
    has(&changes(&table.lake), &[known]);
}

#[test]
fn a_run_whose_columns_are_younger_than_its_snapshot_comes_out_again() {
    let mut table = Ice::standard(2);
    let renamed = |name: &str| {
        let mut fields = columns();
        let person = fields.as_array_mut().unwrap().iter_mut().find(|f| f["name"] == "user_id");
        person.unwrap()["name"] = name.into();
        fields
    };
    let recompute = ["verify", "out", "--recompute", "--config", "afterscope.toml"];
    for (id, name, said) in [(1, "person", "user_id"), (2, "human", "person")] {
        table.metadata["schemas"].as_array_mut().unwrap().push(schema(id, &renamed(name)));
        table.metadata["current-schema-id"] = id.into();
        table.save();
        if id == 2 {
            // Of a later schema the run knew nothing.
            assert_eq!(table.lake.afterscope(&recompute).succeeds().json()["recomputed"], true);
        }
        table.lake.run(&[]).fails(1, &[said]);
        table.lake.edit("afterscope.toml", &format!("\"{said}\""), &format!("\"{name}\""));
        assert_eq!(requests(&table.lake, &[]), "6");
        assert_eq!(table.lake.afterscope(&recompute).succeeds().json()["recomputed"], true);
    }
    let last = table.metadata["schemas"].as_array_mut().unwrap();
    last.truncate(2);
    table.metadata["current-schema-id"] = 1.into();
    table.save();
    table.lake.afterscope(&recompute).fails(1, &["it has no schema 2"]);
}

#[test]
fn a_metadata_file_a_hint_or_the_newest_number_says_what_counts() {
    let table = Ice::standard(2);
    let lake = &table.lake;
    let url = |name: &str| format!("source.0.url=logs/{name}");
    assert_eq!(requests(lake, &["--set", &url("metadata/v1.metadata.json")]), "4");
    // A hint may be behind.
    lake.write("logs/metadata/version-hint.text", "2");
    assert_eq!(requests(lake, &[]), "6");
    lake.write("logs/metadata/version-hint.text", "9\n");
    lake.run(&[]).fails(1, &["version-hint.text says `9`"]);
    fs::remove_file(lake.path("logs/metadata/version-hint.text")).unwrap();
    assert_eq!(requests(lake, &[]), "6");
    // Packed, under the names that writers give it.
    let text = fs::read(lake.path("logs/metadata/v2.metadata.json")).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&text).unwrap();
    let packed = packed.finish().unwrap();
    fs::write(lake.path("logs/metadata/v4.gz.metadata.json"), &packed).unwrap();
    assert_eq!(requests(lake, &[]), "5");
    // A hint that leads to one which is not the newest is followed, and said so.
    fs::rename(lake.path("logs/metadata/v3.metadata.json"), lake.path("v3")).unwrap();
    lake.write("logs/metadata/version-hint.text", "2");
    let told = lake.run(&[]).succeeds();
    assert_eq!(told.json()["totals"]["requests_allowed"], 5);
    let says = "leads to v2.metadata.json, and v4.gz.metadata.json lies beside it";
    assert!(told.stderr.contains(says), "{told:#?}");
    let warnings =
        lake.afterscope(&["inspect", "logs", "--json"]).succeeds().json_of_all()["warnings"]
            .clone();
    assert!(warnings[0].as_str().unwrap().contains(says), "{warnings}");
    fs::remove_file(lake.path("logs/metadata/version-hint.text")).unwrap();
    fs::rename(lake.path("v3"), lake.path("logs/metadata/v3.metadata.json")).unwrap();
    fs::write(lake.path("logs/metadata/v4.metadata.json.gz"), &packed).unwrap();
    lake.run(&[]).fails(1, &["v4.gz.metadata.json and v4.metadata.json.gz", "not to be told"]);
    assert_eq!(requests(lake, &["--set", &url("metadata/v4.metadata.json.gz")]), "5");
    lake.run(&["--set", &url("data")]).fails(1, &["Iceberg table", "holds no file"]);
}

#[test]
fn a_table_may_be_moved_as_a_whole() {
    let table = Ice::standard(2);
    let lake = &table.lake;
    fs::rename(lake.path("logs"), lake.path("moved")).unwrap();
    fs::create_dir(lake.path("logs")).unwrap();
    assert_eq!(requests(lake, &["--set", "source.0.url=moved"]), "6");
    lake.run(&[]).fails(1, &["Iceberg table", "holds no file"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    // A table is no folder of files.
    let table = Ice::standard(2);
    table.lake.edit("afterscope.toml", "format = \"iceberg\"\n", "");
    table.lake.refuses(&[], 1, &["is an Iceberg table", "set format = \"iceberg\""]);
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nref = \"main\"\n");
    lake.refuses(&[], 1, &["afterscope.toml:4", "plain files have no versions"]);

    let changed = |change: fn(&mut Value), says: &[&str]| {
        let mut table = Ice::standard(2);
        change(&mut table.metadata);
        table.save();
        table.lake.refuses(&[], 1, says);
    };
    changed(|of| of["format-version"] = 4.into(), &["unsupported", "format version 4"]);
    changed(
        |of| of["schemas"][0]["fields"][7]["type"] = "variant".into(),
        &["unsupported", "column `bytes` of type variant"],
    );
    changed(
        |of| {
            of["partition-specs"][0]["fields"][0]["source-ids"] = json!([9, 3]);
        },
        &["unsupported", "partition field `dt`, made of several columns"],
    );
    changed(
        |of| {
            of["schemas"][0]["fields"][7]["initial-default"] = json!("many");
        },
        &["unsupported", "the initial default of column `bytes`"],
    );
    changed(
        |of| of["location"] = "s3://elsewhere/t".into(),
        &["unsupported", "outside of the table's location"],
    );
    changed(
        |of| {
            of["current-snapshot-id"] = (-1).into();
            of["refs"] = json!({});
        },
        &["has no snapshot"],
    );
}

#[test]
fn files_that_are_gone_or_of_other_formats_are_named() {
    let mut table = Ice::standard(2);
    fs::remove_file(table.lake.path("logs/data/part-1.parquet")).unwrap();
    table.lake.refuses(&[], 3, &["snapshot 1003 of the Iceberg table", "part-1.parquet"]);
    table.lake.write("logs/data/part-1.parquet", "other bytes");
    table.lake.refuses(&[], 3, &["part-1.parquet", "has 11 bytes"]);
    fs::remove_file(table.lake.path("logs/metadata/m2-data.avro")).unwrap();
    table.lake.refuses(&[], 3, &["m2-data.avro", "snapshot 1003 is the latest"]);

    let add = |format: DataFileFormat, content: DataContentType, says: &[&str]| {
        let mut table = Ice::standard(2);
        let mut file = table.file(content, "data/part-0.parquet", 4);
        file.file_format(format).partition(partition(DAY)).equality_ids(Some(vec![4]));
        let file = file.build().unwrap();
        table.commit(vec![file]);
        table.lake.refuses(&[], 1, says);
    };
    add(DataFileFormat::Orc, DataContentType::Data, &["unsupported", "data files in orc"]);
    add(
        DataFileFormat::Avro,
        DataContentType::PositionDeletes,
        &["unsupported", "delete files in avro"],
    );
    add(
        DataFileFormat::Orc,
        DataContentType::EqualityDeletes,
        &["unsupported", "delete files in orc"],
    );

    // Manifests that say other than files.
    table = Ice::standard(2);
    let day = table.day(0);
    table.commit(vec![day]);
    table.lake.refuses(&[], 1, &["part-0.parquet twice", "would count twice"]);
    table = Ice::new(2, &columns(), &json!([]));
    let rows = table.write(
        "data/a.parquet",
        super::table::calls_of(&[crate::lake::call("2019-07-01T08:00:00Z", "app-1", 1)], "a"),
    );
    let file = table.file(DataContentType::Data, "data/a.parquet", rows + 1).build().unwrap();
    table.commit(vec![file]);
    table.lake.run(&[]).fails(3, &["a.parquet", "2 rows; it has 1"]);
}

#[test]
fn nothing_is_written_into_a_table_that_is_named_by_its_metadata() {
    let table = Ice::standard(2);
    let (lake, named) = (&table.lake, "logs/metadata/v3.metadata.json");
    let set = format!("source.0.url={named}");
    for folder in ["logs", "logs/out", "logs/data/out", "logs/metadata/out"] {
        for place in ["--output", "--state"] {
            let says = [place, "inside source `access`", "next run"];
            lake.refuses(&["--set", &set, place, folder], 1, &says);
        }
    }
    let before = lake.files();
    for file in ["logs/rows.parquet", "logs/data/rows.parquet", named] {
        lake.afterscope(&["inspect", named, "--rows", "1", "--output", file])
            .fails(1, &[file, "would change it"]);
    }
    assert!(before.keys().eq(lake.files().keys()));
    lake.publishes(&["--set", &set]);
}

#[test]
fn inspect_tells_the_snapshots_and_what_files_are_parted_by() {
    let mut table = Ice::standard(2);
    let field = |source: i32, id: i32, name: &str, transform: &str| json!({"source-id": source, "field-id": id, "name": name, "transform": transform});
    let fields = [field(1, 1001, "event_hour", "hour"), field(4, 1002, "user", "bucket[16]")];
    let specs = table.metadata["partition-specs"].as_array_mut().unwrap();
    specs.push(json!({"spec-id": 1, "fields": fields}));
    table.metadata["default-spec-id"] = 1.into();
    table.metadata["snapshots"][1]["summary"] = json!({
        "operation": "overwrite", "added-data-files": "3", "added-delete-files": "1",
        "deleted-data-files": "2", "total-data-files": "9",
    });
    table.save();
    let seen = |args: &[&str]| {
        let all = [&["inspect", "logs", "--json"], args].concat();
        table.lake.afterscope(&all).succeeds().json_of_all()
    };
    let now = seen(&[]);
    let shown = |name: &str, column: &str, transform: &str| json!({"name": name, "column": column, "transform": transform});
    let old = json!([shown("dt", "dt", "identity")]);
    let new =
        json!([shown("event_hour", "event_time", "hour"), shown("user", "user_id", "bucket[16]"),]);
    assert_eq!(
        now["layouts"],
        json!([
            {"id": 0, "is_current": false, "fields": old},
            {"id": 1, "is_current": true, "fields": new},
        ])
    );
    let told = |version: u64, hour: u64, operation: &str, files: [Value; 2]| {
        json!({"version": version, "at": format!("2019-08-01T0{hour}:00:00Z"),
            "operation": operation, "files_added": files[0], "files_removed": files[1]})
    };
    let nobody_says = || [Value::Null, Value::Null];
    let last = json!([
        told(1003, 2, "append", nobody_says()),
        told(1002, 1, "overwrite", [4.into(), 2.into()]),
        told(1001, 0, "append", nobody_says()),
    ]);
    assert_eq!(now["versions"], json!({"last": last, "earlier": 0, "later": 0}));
    let then = seen(&["--version", "1002"]);
    assert_eq!((&then["versions"]["later"], &then["versions"]["last"][0]), (&1.into(), &last[1]));
    let text = table.lake.afterscope(&["inspect", "logs"]).succeeds().stdout;
    for says in [
        "was parted by  dt = identity(dt)\n",
        "\nparted by  event_hour = hour(event_time), user = bucket[16](user_id)\n",
        "versions\n  1003  2019-08-01T02:00:00Z",
        "overwrite   4 files added, 2 removed",
    ] {
        assert!(text.contains(says), "nothing says {says:?} in\n{text}");
    }
}
