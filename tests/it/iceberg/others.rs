//! Tables that other programs wrote, and what other programs read in tables of these tests.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::figures;
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

/// Live rows of tables that Spark and pyiceberg wrote, as pyiceberg counts them. Where it refuses to read
/// (a required column that stands in the partition alone) the manifests' own sums: rows in data files.
const CORPUS: [(&str, u64); 18] = [
    ("iceberg/lineitem_iceberg", 51_793),
    ("iceberg/lineitem_iceberg/metadata/v1.metadata.json", 60_175),
    ("iceberg/lineitem_iceberg_no_hint", 51_793),
    ("iceberg/lineitem_iceberg_gz", 111_968),
    ("iceberg/lineitem_iceberg_gz_no_hint", 111_968),
    ("partition_bigint", 2),
    ("partition_binary", 2),
    ("partition_bool", 2),
    ("partition_decimal_bigint", 10),
    ("partition_decimal_hugeint", 15),
    ("partition_decimal_integer", 3),
    ("partition_decimal_smallint", 2),
    ("partition_double", 2),
    ("partition_float", 2),
    ("partition_integer", 2),
    ("partition_time/default.db/partition_time", 2),
    ("partition_timestamp/default.db/partition_timestamp", 2),
    ("partition_timestamptz/default.db/partition_timestamptz", 2),
];

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
}
