//! `history/`, where one glob reads a table of every run.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::lake::{Lake, skipped};

const SET: [&str; 2] = ["--set", "output.history=true"];

/// Files below `history/`.
fn history(lake: &Lake) -> BTreeMap<String, Vec<u8>> {
    let paths = lake.files().into_keys().filter(|path| path.starts_with("out/history/"));
    paths.map(|path| (path.clone(), fs::read(lake.path(&path)).unwrap())).collect()
}

#[test]
fn every_table_of_every_run_lies_below_its_as_of_and_its_run() {
    let lake = Lake::standard();
    lake.publishes(&["--as-of", "2019-07-03"]);
    assert!(history(&lake).is_empty(), "nobody asked for it");
    let mut expected = BTreeMap::new();
    for as_of in ["2019-07-03", "2019-09-01"] {
        let ran = lake.run(&[&SET[..], &["--as-of", as_of]].concat()).succeeds();
        let run = ran.json()["run_id"].as_str().unwrap().to_string();
        for (file, bytes) in ran.published().bytes() {
            if let Some(table) = file.strip_suffix(".parquet") {
                let day = as_of.replace('-', "");
                let folder = format!("{table}/as_of={day}T000000Z/run_id={run}");
                expected.insert(format!("out/history/{folder}/{file}"), bytes);
            }
        }
    }
    assert_eq!(expected.len(), 2 * 17);
    assert!(history(&lake) == expected);
    let written = lake.files();
    lake.publishes(&SET);
    let again = lake.files();
    assert!(expected.keys().all(|path| written[path] == again[path]), "the same run wrote again");

    let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
        return skipped("AFTERSCOPE_PYTHON is not set: no DuckDB to read the glob with");
    };
    // As docs/bi.md has it.
    let query = "import duckdb; print(duckdb.sql(\"SELECT strptime(as_of, '%Y%m%dT%H%M%SZ')::DATE::VARCHAR, requests_allowed FROM read_parquet('out/history/scope_summary/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true) WHERE grain = 'all' ORDER BY 1\").fetchall())";
    let read =
        Command::new(python).args(["-c", query]).current_dir(lake.path("")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    // By hand: five requests before July 3rd, six in all.
    let said = String::from_utf8_lossy(&read.stdout).trim().to_string();
    assert_eq!(said, "[('2019-07-03', 5), ('2019-09-01', 6)]");
}

#[test]
fn what_was_changed_there_is_noticed_and_written_anew() {
    let lake = Lake::standard();
    lake.publishes(&SET);
    lake.afterscope(&["verify", "out"]).succeeds();
    let (path, bytes) = history(&lake).into_iter().next().unwrap();
    let mut flipped = bytes.clone();
    flipped[10] ^= 1;
    fs::write(lake.path(&path), flipped).unwrap();
    let differs = lake.afterscope(&["verify", "out"]);
    assert_eq!(differs.code, 3);
    assert!(differs.stderr.contains(&path), "{}", differs.stderr);
    fs::remove_file(lake.path(&path)).unwrap();
    let missing = lake.afterscope(&["verify", "out"]);
    assert!(missing.code == 3 && missing.stderr.contains("is missing"), "{}", missing.stderr);
    lake.publishes(&SET);
    assert!(fs::read(lake.path(&path)).unwrap() == bytes);
    lake.afterscope(&["verify", "out"]).succeeds();
}
