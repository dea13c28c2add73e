//! Clocks that are wrong, or that do not agree: figures know no clock.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::faults::Troubled;
use crate::lake::{Lake, Outcome, assert_same, skipped};

const DAY: Duration = Duration::from_secs(86_400);

/// The same command by another clock: `+1d`, `-1d`. `None`, with the reason said, where that cannot be done.
fn by_clock(command: &Command, offset: &str) -> Option<Command> {
    let mut wrapped = Command::new("faketime");
    // What waits goes on waiting by the real clock.
    wrapped.args(["-f", offset]).arg(command.get_program()).args(command.get_args());
    wrapped.current_dir(command.get_current_dir().unwrap()).env_clear();
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped.env("DONT_FAKE_MONOTONIC", "1");
    wrapped.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let asked = Command::new("faketime").args(["-f", offset, "true"]).output();
    if asked.is_ok_and(|said| said.status.success()) {
        return Some(wrapped);
    }
    skipped("faketime is not there: no clock can be set wrong");
    None
}

#[test]
fn files_from_the_future_and_from_long_ago_give_the_same_tables() {
    let lake = Lake::with_people();
    let expected = lake.publishes(&[]).bytes();
    let now = SystemTime::now();
    for (turn, time) in [now + DAY, now + 3650 * DAY, now - 7300 * DAY].into_iter().enumerate() {
        let names = lake.files().into_keys().filter(|name| !name.starts_with("out"));
        for name in names.filter(|name| !name.starts_with("tmp") && !name.starts_with("home")) {
            let file = File::options().write(true).open(lake.path(&name)).unwrap();
            file.set_modified(time).unwrap();
        }
        let output = format!("out-{turn}");
        for _ in 0..2 {
            assert_same(&expected, &lake.publishes(&["--output", &output]).bytes());
        }
    }
}

#[test]
#[ignore = "slow"]
fn two_machines_with_clocks_two_days_apart_share_a_state_and_an_output() {
    let lake = Lake::with_people();
    let expected = lake.publishes(&["--output", "elsewhere"]).bytes();
    let earlier = ["--as-of", "2019-08-15"];
    let expected_earlier =
        lake.publishes(&[&["--output", "elsewhere"][..], &earlier].concat()).bytes();
    let start = |offset: &str, args: &[&str]| {
        let args = crate::lake::run_args(args);
        Some(by_clock(&lake.command(&args), offset)?.spawn().unwrap())
    };
    for turn in 0..3 {
        // Both at once, each now the one and now the other.
        let (one, other) = if turn % 2 == 0 { ("-1d", "+1d") } else { ("+1d", "-1d") };
        let Some(first) = start(one, &earlier) else { return };
        let Some(second) = start(other, &[]) else { return };
        let [first, second] = [first, second]
            .map(|run| Outcome::of(&lake, run.wait_with_output().unwrap()).succeeds());
        assert_same(&expected_earlier, &first.published().bytes());
        assert_same(&expected, &second.published().bytes());
        let latest = lake.json("out/latest.json");
        assert_eq!(latest["as_of"], "2019-09-01T00:00:00Z", "by as_of, whatever the clock says");
        let kept = fs::read_dir(lake.path("out/state/packs")).unwrap().count();
        // Packs that a machine with a late clock wrote are from the future to the other; used ones stay.
        let gc = ["state", "gc", "--config", "afterscope.toml", "--as-of", "2019-09-01"];
        for offset in ["-1d", "+1d"] {
            let mut gc = by_clock(&lake.command(&gc), offset).unwrap();
            Outcome::of(&lake, gc.output().unwrap()).succeeds();
        }
        let after = fs::read_dir(lake.path("out/state/packs")).unwrap().count();
        assert!(after > 0 && after <= kept);
        let names: Vec<_> = fs::read_dir(lake.path("out/runs")).unwrap().collect();
        for name in names {
            fs::remove_dir_all(name.unwrap().path()).unwrap();
        }
    }
}

/// Signatures of requests say when they were made; a service refuses those of another day.
#[test]
#[ignore = "slow"]
fn a_clock_that_a_service_does_not_believe_is_named() {
    let Some(troubled) = Troubled::by_seaweedfs() else { return };
    let Some(mut command) = by_clock(&troubled.command("skewed"), "+1d") else { return };
    let outcome = Outcome::of(&troubled.lake, command.output().unwrap());
    outcome.fails(1, &["s3://lake/", "clock"]);
    let clean = troubled.run("skewed").succeeds();
    troubled.is_done("skewed", &clean).unwrap();
}
