//! Signals: a run stops soon, and the next one goes on.

use std::fs;
use std::time::{Duration, Instant};

use crate::lake::{Lake, Outcome, assert_same, signal, wait_until};

const RUN: [&str; 7] = [
    "run",
    "--config",
    "demo/afterscope.toml",
    "--as-of",
    "2019-11-06T00:00:00Z",
    "--threads",
    "1",
];

/// Stops a run over a large sample while it reads, and lets another one finish.
fn stops_and_goes_on(name: &str, code: i32) {
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "demo", "--rows", "2000000"]).succeeds();
    let mut undisturbed = RUN.to_vec();
    undisturbed.extend(["--output", "undisturbed"]);
    let expected = lake.afterscope(&undisturbed).succeeds().published().bytes();

    let child = lake.command(&RUN).spawn().unwrap();
    // The ledger's folder is marked right before the first log is read.
    wait_until("the ledger", || lake.path("demo/out/state/afterscope-state.json").exists());
    std::thread::sleep(Duration::from_millis(50));
    signal(name, child.id());
    let asked = Instant::now();
    let outcome = Outcome::of(&lake, child.wait_with_output().unwrap());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    outcome.fails(code, &["interrupted", "run the same command again"]);
    assert!(!lake.path("demo/out/latest.json").exists());
    assert!(!lake.path("demo/out/runs").exists());
    assert_eq!(fs::read_dir(lake.path("tmp")).unwrap().count(), 0);

    let again = lake.afterscope(&RUN).succeeds();
    assert_eq!(again.json()["reused"], false);
    assert_same(&expected, &again.published().bytes());
}

#[test]
fn a_terminated_run_stops_within_seconds_and_the_next_one_goes_on() {
    stops_and_goes_on("TERM", 143);
}

#[test]
fn an_interrupted_run_stops_within_seconds_and_the_next_one_goes_on() {
    stops_and_goes_on("INT", 130);
}
