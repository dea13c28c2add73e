//! Kills at any moment, as when a machine fails: the next run gives the tables of an undisturbed one.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::lake::{Lake, assert_same, bytes_below};

const RUN: [&str; 5] =
    ["run", "--config", "demo/afterscope.toml", "--as-of", "2019-11-06T00:00:00Z"];

/// Numbers that look random; the seed is told, so that a failure can be seen again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Without what a killed run wrote half: it has a name of its own, `…#1`, that readers do not take
/// for a table.
fn finished(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    files.retain(|name, _| !name.contains('#'));
    files
}

/// Kills `kills` runs over one output in a row at random moments, then lets one finish; `rounds` times.
fn survives(rounds: u32, kills: u32) {
    let seed = std::env::var("AFTERSCOPE_SEED").ok().and_then(|text| text.parse().ok());
    let nanos = || std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let seed = seed.unwrap_or_else(|| u64::from(nanos()) | 1);
    eprintln!("AFTERSCOPE_SEED={seed}");
    let mut dice = Dice(seed);
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "demo", "--rows", "1000000"]).succeeds();
    let mut undisturbed = RUN.to_vec();
    undisturbed.extend(["--output", "undisturbed"]);
    let begun = Instant::now();
    let expected = lake.afterscope(&undisturbed).succeeds().published().bytes();
    let mut duration = u64::try_from(begun.elapsed().as_micros()).unwrap();
    for round in 0..rounds {
        let _ = fs::remove_dir_all(lake.path("demo/out"));
        let mut killed = 0;
        while killed < kills {
            let mut child = lake.command(&RUN).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(dice.below(duration)));
            child.kill().unwrap();
            if child.wait().unwrap().success() {
                // It was faster than the undisturbed run, and what it published would be used again.
                duration = (duration * 3 / 4).max(1000);
                fs::remove_dir_all(lake.path("demo/out")).unwrap();
            } else {
                killed += 1;
            }
        }
        let outcome = lake.afterscope(&RUN).succeeds();
        assert_same(&expected, &finished(outcome.published().bytes()));
        let parquet = |name: &String| name.ends_with(".parquet");
        let mut tables = expected.clone();
        tables.retain(|name, _| parquet(name));
        assert_same(&tables, &finished(bytes_below(&lake.path("demo/out/latest"))));
        let latest = lake.json("demo/out/latest.json");
        assert_eq!(latest["run_id"], outcome.json()["run_id"], "round {round}");
    }
}

#[test]
#[ignore = "slow"]
fn fifty_kills_at_any_moment_change_no_table() {
    survives(50, 1);
}

#[test]
#[ignore = "slow"]
fn kills_one_after_another_over_one_output_change_no_table() {
    survives(10, 5);
}
