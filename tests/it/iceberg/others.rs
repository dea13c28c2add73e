//! Tables that other programs wrote, and what other programs read in tables of these tests.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use serde_json::json;

use super::deletes::puffin;
use super::figures;
use super::table::{DAY, Ice, partition};
use crate::lake::{Lake, skipped};

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("AFTERSCOPE_PYTHON").map(PathBuf::from);
    if python.is_none() {
        skipped("AFTERSCOPE_PYTHON is not set: no pyiceberg to compare with");
    }
    python
}

#[test]
fn tables_of_pyiceberg_give_what_pyiceberg_reads() {
    let Some(python) = python() else { return };
    let lake = Lake::empty();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/iceberg/tables.py");
    let made = Command::new(python).arg(script).arg(lake.path("tables")).output().unwrap();
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{errors}");
    let readings = String::from_utf8(made.stdout).unwrap();
    let mapping = lake.path("afterscope.toml");
    let mapping = std::fs::read_to_string(mapping).unwrap();
    let mut compared = 0;
    for line in readings.lines() {
        let reading: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let columns = &reading["columns"];
        let mut own = mapping
            .replace("url = \"logs/\"\n", "url = \"tables/\"\nformat = \"iceberg\"\n")
            .replace("\"user_id\"", &columns["user_id"].to_string())
            .replace("bytes = \"bytes\"", &format!("bytes = {}", columns["bytes"]));
        for (key, value) in reading["keys"].as_object().unwrap() {
            own = own.replace(
                "format = \"iceberg\"\n",
                &format!("format = \"iceberg\"\n{key} = {value}\n"),
            );
        }
        lake.write("afterscope.toml", &own);
        // The table as it was when it was read: its newest metadata then.
        let url = format!("source.0.url={}", text(&reading["metadata"]));
        let expected = ["requests", "people", "bytes"].map(|key| reading[key].to_string());
        assert_eq!(figures(&lake, &["--set", &url]), expected, "{line}");
        compared += 1;
    }
    assert_eq!(compared, 18);
}

/// Live rows of tables that Spark wrote, as pyiceberg counts them.
const CORPUS: [(&str, u64); 5] = [
    ("iceberg/lineitem_iceberg", 51_793),
    ("iceberg/lineitem_iceberg/metadata/v1.metadata.json", 60_175),
    ("iceberg/lineitem_iceberg_no_hint", 51_793),
    ("iceberg/lineitem_iceberg_gz", 111_968),
    ("iceberg/lineitem_iceberg_gz_no_hint", 111_968),
];

/// Tables whose data files were replaced by others after the table was written: they have other sizes than
/// the manifests say.
const REPLACED: [&str; 3] =
    ["partition_bigint", "partition_bool", "partition_time/default.db/partition_time"];

#[test]
fn tables_of_the_corpus_have_the_rows_that_others_count() {
    let Some(corpora) = std::env::var_os("AFTERSCOPE_CORPORA").map(PathBuf::from) else {
        return skipped("AFTERSCOPE_CORPORA is not set: no tables of other programs");
    };
    let root = corpora.join("iceberg/data/persistent");
    let lake = Lake::empty();
    // Nothing is mapped that these tables have: only their rows are counted.
    let none = "{ path = \"-\", missing = \"null\" }";
    lake.write(
        "afterscope.toml",
        &format!(
            "[[source]]\nname = \"t\"\nurl = \"logs\"\nformat = \"iceberg\"\n[source.columns]\ntime = {none}\napp = {none}\nscopes = {none}\n[registry]\nscopes = \"scopes.csv\"\n[output]\nurl = \"out\"\n"
        ),
    );
    for (table, rows) in CORPUS {
        let url = format!("source.0.url={}", root.join(table).display());
        let plan = lake.plan(&["--set", &url]);
        assert_eq!(plan["sources"][0]["rows_to_read"], rows, "{table}");
    }
    for table in REPLACED {
        let url = format!("source.0.url={}", root.join(table).display());
        lake.run(&["--set", &url]).fails(3, &["of the Iceberg table needs", "by the table's log"]);
    }
}

const COUNT: &str = r#"
import sys
program, folder, metadata = sys.argv[1:]
if program == "chdb":
    import chdb
    rows = chdb.query(f"SELECT length(groupArray(request_id)) FROM icebergLocal('{folder}')", "CSV")
    print(int(rows.bytes()))
else:
    from pyiceberg.table import StaticTable
    print(StaticTable.from_metadata(metadata).scan().to_arrow().num_rows)
"#;

/// Deletes of the first day's persons, of the kinds that a table may have.
fn with_deletes(kind: &str) -> Ice {
    let mut table = Ice::standard(if kind == "vectors" { 3 } else { 2 });
    let [first, second] = [0, 1].map(|number| table.day(number));
    let person = |table: &Ice, spec: usize| {
        let people: ArrayRef = Arc::new(Int64Array::from(vec![1, 5]));
        let mut file = table.equals("data/people.parquet", vec![("user_id", 4, people)]);
        if spec == 0 { file.partition(partition(DAY)) } else { &mut file }.build().unwrap()
    };
    match kind {
        "positions" => {
            let files = vec![
                table.positions("data/p0.parquet", &first, &[1, 2]),
                table.positions("data/p1.parquet", &second, &[1]),
            ];
            table.commit(files);
        }
        "vectors" => {
            let files = puffin(&table, "data/dv.puffin", &[(&first, &[0, 1, 2]), (&second, &[1])]);
            table.commit(files);
        }
        "equality" => {
            let file = person(&table, 0);
            table.commit(vec![file]);
        }
        _ => {
            let specs = table.metadata["partition-specs"].as_array_mut().unwrap();
            specs.push(json!({"spec-id": 1, "fields": []}));
            let file = person(&table, 1);
            table.commit_of(1, vec![file]);
        }
    }
    table
}

/// Other programs read the tables that these tests make as these tests expect.
#[test]
#[ignore = "wants ClickHouse's library"]
fn other_programs_count_the_same_live_rows() {
    let Some(python) = python() else { return };
    for (kind, programs, rows) in [
        ("positions", &["chdb", "pyiceberg"][..], 5),
        ("vectors", &["pyiceberg"], 4),
        ("equality", &["chdb"], 6),
        // ClickHouse does not know equality deletes of a spec without partitions.
        ("equality everywhere", &[], 4),
    ] {
        let table = with_deletes(kind);
        let folder = table.lake.path("logs");
        let plan = table.lake.plan(&["--no-pruning"]);
        assert_eq!(plan["sources"][0]["rows_to_read"], rows, "{kind}");
        for program in programs {
            let newest = folder.join("metadata/v4.metadata.json");
            let counted = Command::new(&python)
                .args(["-W", "ignore", "-c", COUNT, program])
                .args([&folder, &newest])
                .current_dir(&folder)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&counted.stderr);
            let counted = String::from_utf8_lossy(&counted.stdout);
            assert_eq!(counted.trim(), rows.to_string(), "{kind} by {program}: {errors}");
        }
    }
}
