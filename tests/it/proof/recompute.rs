//! `afterscope verify --recompute`.

use std::fs;

use super::{differs, holds};
use crate::lake::{Lake, call};

const RECOMPUTE: [&str; 5] = ["verify", "out", "--recompute", "--config", "afterscope.toml"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    RECOMPUTE.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn a_run_comes_out_again_with_the_same_bytes_and_leaves_nothing_behind() {
    let lake = Lake::with_standing();
    lake.publishes(&[]);
    let before = lake.files();
    let line = holds(&lake, &RECOMPUTE[1..]);
    assert_eq!(line["recomputed"], true);
    assert_eq!(before, lake.files());
    // It reads the logs, not the ledger.
    lake.spoil_logs();
    lake.afterscope(&RECOMPUTE).fails(3, &["logs/"]);
    assert_eq!(fs::read_dir(lake.path("tmp")).unwrap().count(), 0);
}

#[test]
fn what_was_given_to_the_run_is_given_again() {
    let lake = Lake::standard();
    lake.write("secret", "0123456789abcdef0123456789abcdef");
    lake.write("extra.sql", "SELECT scope FROM scopes");
    lake.write("logs/dt=2019-07-04/bad.parquet", "PAR1 no");
    let set = ["--set", "report.lookback_days=61", "--set", "report.queries=[\"extra.sql\"]"];
    let run = ["--id-key", "file:secret", "--allow-incomplete", "--no-pruning"];
    lake.publishes(&set.into_iter().chain(run).collect::<Vec<_>>());
    let same: Vec<&str> = set.into_iter().chain(["--id-key", "file:secret"]).collect();
    assert_eq!(lake.afterscope(&with(&same)).succeeds().json()["recomputed"], true);
    // What is missing or other is named.
    differs(&lake.afterscope(&with(&set)), &["the id key is not that of the run", "--id-key"]);
    let key = ["--id-key", "file:secret", "--set", "report.queries=[\"extra.sql\"]"];
    let says = ["report.lookback_days = 60", "said 61"];
    differs(&lake.afterscope(&with(&key)), &says);
    lake.write("extra.sql", "SELECT scope, status FROM scopes");
    differs(&lake.afterscope(&with(&same)), &["texts of own queries"]);
}

#[test]
fn inputs_that_are_not_those_of_the_run_are_named() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    lake.log("logs/dt=2019-07-04/part-0.parquet", &[call("2019-07-04T08:00:00Z", "app-1", 1)]);
    let says = ["dt=2019-07-04/part-0.parquet is new since the run"];
    differs(&lake.afterscope(&RECOMPUTE), &says);
    fs::remove_file(lake.path("logs/dt=2019-07-02/part-0.parquet")).unwrap();
    let says = ["dt=2019-07-02/part-0.parquet is missing since the run; 2 input files differ"];
    differs(&lake.afterscope(&RECOMPUTE), &says);
}

#[test]
fn a_registry_that_is_not_that_of_the_run_is_named() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    lake.edit("scopes.csv", "2019-06-01", "2019-06-02");
    differs(&lake.afterscope(&RECOMPUTE), &["registry.scopes is another than that of the run"]);
}

#[test]
fn an_environment_that_is_not_that_of_the_run_is_told() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "name = \"access\"", "name = \"${LOG}\"");
    let run = |args: &[&str], value: &str| {
        let output = lake.command(args).env("LOG", value).output().unwrap();
        crate::lake::Outcome::of(&lake, output)
    };
    run(&crate::lake::run_args(&[]), "one").succeeds();
    run(&RECOMPUTE, "one").succeeds();
    let outcome = run(&RECOMPUTE, "two");
    // Its inputs are named after the source.
    differs(&outcome, &["source `one`"]);
}

#[test]
fn a_recomputation_needs_the_configuration() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    lake.afterscope(&["verify", "out", "--recompute"]).fails(2, &["--config"]);
    lake.afterscope(&["verify", "out", "--recompute", "--config", "no.toml"])
        .fails(1, &["no.toml"]);
}

#[test]
fn a_run_that_was_signed_is_recomputed_without_the_key() {
    let lake = Lake::standard();
    super::signature::write_keys(&lake);
    let config = "url = \"out/\"\nsign_key = \"key.pem\"";
    lake.edit("afterscope.toml", "url = \"out/\"", config);
    lake.publishes(&[]);
    fs::remove_file(lake.path("key.pem")).unwrap();
    assert_eq!(holds(&lake, &RECOMPUTE[1..])["recomputed"], true);
}
