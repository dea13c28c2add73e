//! The committed sample gives the tables that were written beside it by the second definition
//! (tests/oracle, in SQL), and the answers that follow from how it was made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lake::{Lake, program};
use crate::published::{Published, assert_same, bytes_below};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples/groups-2019")
}

#[test]
fn the_report_before_and_the_committed_sample_meet_in_the_log_of_changes() {
    let out = tempfile::tempdir().unwrap();
    let run = |as_of: &str, more: &[&str]| {
        let folder = out.path().display().to_string();
        let config = sample().join("afterscope.toml").display().to_string();
        let mut args =
            vec!["run", "-q", "--config", &config, "--as-of", as_of, "--output", &folder];
        args.extend(more);
        let output = Command::new(program()).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run("2019-10-06", &[]);
    run("2019-11-06", &["--follows", "latest"]);
    let published = Published { folder: out.path().join("latest") };
    let (log, summary) = (published.table("change_log"), published.table("scope_summary"));
    assert!(log.column("reason").iter().all(|reason| *reason == "later as_of"));
    let figure = [
        ("table", "scope_summary"),
        ("key", "grain=all scope=(all)"),
        ("column", "requests_allowed"),
    ];
    let all = summary.row(&[("grain", "all")], &["requests_allowed"]);
    assert_eq!(log.row(&figure, &["new"]), all);
}

#[test]
fn the_committed_sample_gives_its_expected_tables() {
    let lake = Lake::empty();
    let config = sample().join("afterscope.toml");
    let args = ["run", "--config", config.to_str().unwrap(), "--as-of", "2019-11-06T00:00:00Z"];
    let outcome = lake.afterscope(&[args.as_slice(), &["--output", "out"]].concat()).succeeds();
    let csv = |files: BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
        files.into_iter().filter(|(name, _)| name.ends_with(".csv")).collect()
    };
    assert_same(&bytes_below(&sample().join("expected")), &csv(outcome.published().bytes()));
}

#[test]
fn the_committed_sample_is_what_the_program_makes() {
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "made", "--rows", "20000"]).succeeds();
    for name in [
        "truth.json",
        "scopes.csv",
        "apps.csv",
        "grants.csv",
        "extensions.csv",
        "brownouts.csv",
        "attestations.csv",
        "thresholds.csv",
        "memberships.parquet",
        "residency.parquet",
    ] {
        let made = std::fs::read(lake.path(&format!("made/{name}"))).unwrap();
        assert!(made == std::fs::read(sample().join(name)).unwrap(), "{name} differs");
    }
    let day = "logs/dt=2019-11-05/part-0.parquet";
    let made = std::fs::read(lake.path(&format!("made/{day}"))).unwrap();
    assert!(made == std::fs::read(sample().join(day)).unwrap(), "{day} differs");
}
