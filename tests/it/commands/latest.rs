//! `latest.json` and `latest/`, also when several runs publish at once.

use std::collections::BTreeMap;
use std::fs;
use std::process::Child;

use crate::lake::{Lake, Outcome, assert_same, bytes_below, run_args};

/// The tables under `latest/` are those of the run that `latest.json` names; gives its `as_of`.
fn as_of_of_latest(lake: &Lake, output: &str) -> String {
    let latest = lake.json(&format!("{output}/latest.json"));
    let run = latest["run_id"].as_str().unwrap();
    let tables = bytes_below(&lake.path(&format!("{output}/runs/{run}/tables")));
    let expected: BTreeMap<String, Vec<u8>> =
        tables.into_iter().filter(|(name, _)| name.ends_with(".parquet")).collect();
    assert_same(&expected, &bytes_below(&lake.path(&format!("{output}/latest"))));
    let manifest = format!("{output}/{}", latest["manifest"].as_str().unwrap());
    assert_eq!(lake.json(&manifest)["run_id"], run);
    latest["as_of"].as_str().unwrap().to_string()
}

#[test]
fn latest_moves_on_and_never_back() {
    let lake = Lake::standard();
    for (as_of, expected) in [
        ("2019-08-01T00:00:00Z", "2019-08-01T00:00:00Z"),
        ("2019-07-02T00:00:00Z", "2019-08-01T00:00:00Z"),
        ("2019-09-01T00:00:00Z", "2019-09-01T00:00:00Z"),
        // A run that stands already does not move it back either.
        ("2019-08-01T00:00:00Z", "2019-09-01T00:00:00Z"),
    ] {
        lake.publishes(&["--as-of", as_of]);
        assert_eq!(as_of_of_latest(&lake, "out"), expected);
    }
    assert_eq!(fs::read_dir(lake.path("out/runs")).unwrap().count(), 3);
}

#[test]
fn of_equal_times_the_last_published_is_the_latest() {
    let lake = Lake::standard();
    let first = lake.run(&[]).succeeds().json();
    lake.edit("scopes.csv", "2019-06-01T00:00:00Z", "2019-06-02T00:00:00Z");
    let second = lake.run(&[]).succeeds().json();
    assert_ne!(first["run_id"], second["run_id"]);
    as_of_of_latest(&lake, "out");
    assert_eq!(lake.json("out/latest.json")["run_id"], second["run_id"]);
}

#[test]
fn a_manifest_names_the_one_that_it_supersedes() {
    let lake = Lake::standard();
    lake.publishes(&["--as-of", "2019-08-01"]);
    let before = lake.json("out/latest.json");
    let second = lake.run(&[]).succeeds().json();
    let path = format!("out/runs/{}/manifest.json", second["run_id"].as_str().unwrap());
    assert_eq!(lake.json(&path)["supersedes"], before["manifest_sha256"]);
}

#[test]
fn a_table_that_the_latest_run_does_not_have_goes() {
    let lake = Lake::standard();
    lake.write("extra.sql", "SELECT scope FROM scopes");
    lake.publishes(&["--as-of", "2019-08-01", "--set", "report.queries=[\"extra.sql\"]"]);
    assert!(lake.path("out/latest/extra.parquet").is_file());
    lake.publishes(&[]);
    assert!(!lake.path("out/latest/extra.parquet").exists());
    as_of_of_latest(&lake, "out");
}

#[test]
fn eight_runs_at_once_leave_one_consistent_latest() {
    let lake = Lake::with_more_files(60);
    let days = ["01", "05", "08", "12", "19", "23", "28", "30"];
    let children: Vec<Child> = days
        .iter()
        .map(|day| {
            let as_of = format!("2019-08-{day}T00:00:00Z");
            // One thread: all of them make one pack of the same files, met in an order of their own.
            lake.command(&run_args(&["--as-of", &as_of, "--threads", "1"])).spawn().unwrap()
        })
        .collect();
    for child in children {
        Outcome::of(&lake, child.wait_with_output().unwrap()).succeeds();
    }
    assert_eq!(as_of_of_latest(&lake, "out"), "2019-08-30T00:00:00Z");
    assert_eq!(fs::read_dir(lake.path("out/runs")).unwrap().count(), 8);
    // What they left in the ledger serves the next run, and counts no row twice.
    let afterwards = lake.run(&[]).succeeds().json();
    assert_eq!(afterwards["totals"]["requests_allowed"], 66);
    assert_eq!(afterwards["totals"]["subjects_observed"], 64);
}

#[test]
fn eight_equal_runs_at_once_give_one_run() {
    let lake = Lake::with_more_files(60);
    let children: Vec<Child> =
        (0..8).map(|_| lake.command(&run_args(&["--threads", "1"])).spawn().unwrap()).collect();
    let lines: Vec<_> = children
        .into_iter()
        .map(|child| Outcome::of(&lake, child.wait_with_output().unwrap()).succeeds().json())
        .collect();
    assert!(lines.iter().all(|line| line["run_id"] == lines[0]["run_id"]));
    assert!(lines.iter().all(|line| line["totals"] == lines[0]["totals"]));
    assert!(lines.iter().any(|line| line["reused"] == false));
    as_of_of_latest(&lake, "out");
    let alone = Lake::with_more_files(60);
    let expected = alone.publishes(&[]).bytes();
    let run = lines[0]["run_id"].as_str().unwrap();
    assert_same(&expected, &bytes_below(&lake.path(&format!("out/runs/{run}/tables"))));
    // What they left in the ledger serves the next run, and counts no row twice.
    let afterwards = lake.publishes(&["--output", "second", "--state", "out/state"]);
    assert_same(&expected, &afterwards.bytes());
}
