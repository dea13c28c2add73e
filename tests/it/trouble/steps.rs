//! A run that is ended at each step by which something becomes visible in a local folder: where a file that
//! was written takes its name.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::faults::{Files, expected, whole};
use super::share;
use crate::lake::{AS_OF, Lake, Outcome, assert_same, bytes_below, run_args, skipped};

const STEPS: &str = "rename,renameat,renameat2,link,linkat";

/// The run under `strace`, into `out`.
fn traced(lake: &Lake, log: &str, options: &[&str]) -> Outcome {
    let run = lake.command(&run_args(&["--threads", "1", "--as-of", AS_OF]));
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={STEPS}"), "-s", "4096", "-o"]);
    command.arg(lake.path(log)).args(options).arg(run.get_program()).args(run.get_args());
    command.current_dir(run.get_current_dir().unwrap()).env_clear();
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Outcome::of(lake, command.output().unwrap())
}

/// The names that files have and take, in turn.
fn steps(log: &Path) -> Vec<[String; 2]> {
    let text = fs::read_to_string(log).unwrap();
    // `linkat(AT_FDCWD, "from", AT_FDCWD, "to", 0) = 0`.
    let names = |line: &str| -> Option<[String; 2]> {
        let mut quoted = line.split('"').skip(1).step_by(2).map(str::to_string);
        Some([quoted.next()?, quoted.next()?])
    };
    text.lines().filter_map(names).collect()
}

fn ended_at_each_step(name: &str, code: i32) {
    if !Command::new("strace").arg("-V").output().is_ok_and(|said| said.status.success()) {
        return skipped("strace is not there: no run can be ended at a step of its own");
    }
    let lake = Lake::with_people();
    lake.edit("afterscope.toml", "[report]\n", "[report]\nhtml = false\nxlsx = false\n");
    let expected = expected(&lake);
    traced(&lake, "steps", &[]).succeeds();
    let steps = steps(&lake.path("steps"));
    // Owners, packs and their index, tables, manifest; tables of the latest, its pointer.
    assert!(
        steps.len() > 60 && steps.last().unwrap()[1].ends_with("/out/latest.json"),
        "{steps:?}"
    );
    let mut ended = 0;
    for [from, step] in steps.iter().step_by(share()) {
        fs::remove_dir_all(lake.path("out")).unwrap();
        let inject = format!("inject={STEPS}:signal={name}");
        let outcome = traced(&lake, "log", &["-P", from, "-P", step, "-e", &inject]);
        assert!([0, code].contains(&outcome.code), "{step}: {outcome:#?}");
        ended += usize::from(outcome.code == code);
        let names = lake.files().into_keys().filter(|name| name.starts_with("out/"));
        let left: Files =
            names.map(|name| (name.clone(), fs::read(lake.path(&name)).unwrap())).collect();
        whole(&left, &expected).unwrap_or_else(|what| panic!("{step}: {what}"));
        let clean = lake.publishes(&["--threads", "1"]).bytes();
        let mut tables = expected["20190901T"].clone();
        assert_same(&tables, &without_half_written(clean));
        tables.retain(|name, _| name.ends_with(".parquet"));
        assert_same(&tables, &bytes_below(&lake.path("out/latest")));
        assert!(!lake.path("out/.latest.next").exists(), "{step}");
    }
    eprintln!("{name}: {ended} of {} steps ended a run", steps.len().div_ceil(share()));
    // A stopped run may be past the last moment at which it looks.
    assert!(ended > 0 && (name != "KILL" || ended == steps.len().div_ceil(share())), "{ended}");
}

fn without_half_written(mut files: Files) -> Files {
    files.retain(|name, _| !name.contains('#'));
    files
}

#[test]
#[ignore = "slow"]
fn a_run_killed_at_any_step_on_disk_is_gone_on_with() {
    ended_at_each_step("KILL", 137);
}

#[test]
#[ignore = "slow"]
fn a_run_stopped_at_any_step_on_disk_is_gone_on_with() {
    ended_at_each_step("TERM", 143);
}
