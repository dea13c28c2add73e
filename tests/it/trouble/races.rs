//! Two runs at once over one output and one ledger, while requests fail, or one of them is ended: each gives
//! the right tables or ends by name, and a clean run after them gives the right tables.

use std::collections::BTreeMap;
use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::faults::{EARLIER, Expected, Files, Troubled, at_random, expected, same, seed, whole};
use super::share;
use crate::lake::{AS_OF, Lake, Outcome, run_args, signal};

/// The second of two runs is the same as the first, or an earlier one, in turn.
fn as_of_of_second(round: usize) -> &'static str {
    if round.is_multiple_of(2) { AS_OF } else { EARLIER }
}

impl Troubled {
    fn race(&self, round: usize, place: &str, rules: &Value) -> Result<Vec<i32>, String> {
        self.proxy.rules(rules);
        let start = |as_of: &str| self.command_as_of(place, as_of).spawn().unwrap();
        let both = [start(AS_OF), start(as_of_of_second(round))];
        let both = both.map(|run| Outcome::of(&self.lake, run.wait_with_output().unwrap()));
        self.proxy.rules(&json!([]));
        self.is_whole(place)?;
        for outcome in &both {
            let named = [3, 4].contains(&outcome.code)
                && outcome.stderr.contains("s3://lake/")
                && outcome.stdout.is_empty();
            if outcome.code != 0 && !named {
                return Err(format!("{outcome:#?}"));
            }
        }
        let clean = self.run(place);
        if clean.code != 0 {
            return Err(format!("the clean run after {both:#?}: {clean:#?}"));
        }
        self.is_done(place, &clean)?;
        Ok(both.map(|outcome| outcome.code).to_vec())
    }

    fn races(&self, rounds: usize) {
        let (mut endings, mut failures) = (BTreeMap::new(), Vec::new());
        for (round, (_, rules)) in (0..).zip(at_random(rounds as u64, seed())) {
            match self.race(round, &format!("race-{round}"), &rules) {
                Ok(codes) => *endings.entry(codes).or_insert(0) += 1,
                Err(what) => failures.push(format!("round {round}, by {rules}: {what}")),
            }
        }
        eprintln!("exit codes of both: {endings:?}, {} failed", failures.len());
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

#[test]
#[ignore = "slow"]
fn two_runs_at_once_survive_faults_at_random() {
    let Some(troubled) = Troubled::by_moto() else { return };
    troubled.races(120_usize.div_ceil(share()));
}

#[test]
#[ignore = "slow"]
fn two_runs_at_once_on_seaweedfs_survive_faults_at_random() {
    let Some(troubled) = Troubled::by_seaweedfs() else { return };
    troubled.races(60_usize.div_ceil(share()));
}

/// Files of output and ledger, by their names below the lake.
fn files(lake: &Lake) -> Files {
    let names = lake.files().into_keys().filter(|name| name.starts_with("out/"));
    names.map(|name| (name.clone(), fs::read(lake.path(&name)).unwrap())).collect()
}

fn is_done(lake: &Lake, expected: &Expected) -> Result<(), String> {
    let outcome = lake.run(&["--threads", "1"]);
    if outcome.code != 0 {
        return Err(format!("the clean run: {outcome:#?}"));
    }
    let mut tables = expected["20190901T"].clone();
    let below = |folder: &str| -> Files {
        let files = files(lake).into_iter().filter(|(name, _)| !name.contains('#'));
        files.filter_map(|(name, bytes)| Some((name.strip_prefix(folder)?.into(), bytes))).collect()
    };
    let run = outcome.json()["run_id"].as_str().unwrap().to_string();
    same(&tables, &below(&format!("out/runs/{run}/tables/")))?;
    tables.retain(|name, _| name.ends_with(".parquet"));
    same(&tables, &below("out/latest/"))
}

/// Ends one of two runs at a moment that looks random.
fn with_one_ended(name: &str, code: i32, rounds: usize) {
    let lake = Lake::with_people();
    let expected = expected(&lake);
    let begun = Instant::now();
    lake.publishes(&["--output", "timed", "--threads", "1"]);
    let whole_run = begun.elapsed();
    let mut dice = seed() | 1;
    let mut part = |of: Duration| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        of.mul_f64((dice % 1000) as f64 / 1000.0)
    };
    let mut ended = 0;
    for round in 0..rounds {
        let _ = fs::remove_dir_all(lake.path("out"));
        let start = |as_of: &str| -> Child {
            lake.command(&run_args(&["--threads", "1", "--as-of", as_of])).spawn().unwrap()
        };
        let first = start(AS_OF);
        if round > 0 {
            sleep(part(whole_run / 3));
        }
        let second = start(as_of_of_second(round));
        // The first is ended at once, whatever else the moments come to.
        if round > 0 {
            sleep(part(whole_run));
        }
        signal(name, first.id());
        let [first, second] =
            [first, second].map(|run| Outcome::of(&lake, run.wait_with_output().unwrap()));
        assert!([0, code].contains(&first.code), "round {round}: {first:#?}");
        assert_eq!(second.code, 0, "round {round}: {second:#?}");
        ended += u32::from(first.code == code);
        whole(&files(&lake), &expected).unwrap_or_else(|what| panic!("round {round}: {what}"));
        is_done(&lake, &expected).unwrap_or_else(|what| panic!("round {round}: {what}"));
    }
    assert!(ended > 0);
    eprintln!("{ended} of {rounds} were ended by {name}");
}

#[test]
fn of_two_runs_at_once_one_that_is_killed_does_the_other_no_harm() {
    with_one_ended("KILL", 137, 6);
    with_one_ended("TERM", 143, 6);
}

#[test]
#[ignore = "slow"]
fn of_many_pairs_of_runs_one_that_is_killed_does_the_other_no_harm() {
    with_one_ended("KILL", 137, 100_usize.div_ceil(share()));
    with_one_ended("TERM", 143, 100_usize.div_ceil(share()));
}
