//! Signals: a run stops soon, and the next one goes on.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::lake::{Lake, Outcome, assert_same, run_args, signal, wait_until};

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

/// A store that takes requests and never answers: no request is given up for minutes.
#[test]
fn a_silent_store_does_not_keep_a_run_from_ending() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let lake = Lake::standard();
    let far = ["--set", "source.0.url=s3://lake/logs/"];
    let mut command = lake.command(&run_args(&far));
    command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "tester")
        .env("AWS_SECRET_ACCESS_KEY", "a-secret");
    let child = command.spawn().unwrap();
    // It is kept, so that the connection stays open.
    let _connection = silent.accept().unwrap();
    signal("TERM", child.id());
    let asked = Instant::now();
    let outcome = Outcome::of(&lake, child.wait_with_output().unwrap());
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    outcome.fails(143, &["storage has not answered for 10 seconds"]);
    lake.nothing_is_published();
}
