//! What a run prints, and where.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::lake::{AS_OF, Lake};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_run_prints_one_line_of_json_and_all_else_goes_to_stderr() {
    let lake = Lake::standard();
    let outcome = lake.run(&["-v"]).succeeds();
    assert_eq!(outcome.stdout.lines().count(), 1, "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("}\n"));
    assert!(outcome.stderr.contains("read_members"), "{}", outcome.stderr);
    let line = outcome.json();
    assert_eq!(keys(&line), ["run_id", "verdict", "tables", "totals", "reused", "effort"]);
    let totals = &line["totals"];
    assert_eq!(keys(totals), ["requests_allowed", "subjects_observed", "groups", "apps"]);
    let figures: Vec<u64> =
        totals.as_object().unwrap().values().map(|v| v.as_u64().unwrap()).collect();
    assert_eq!(figures, [6, 4, 3, 2]);
    assert_eq!((&line["verdict"], &line["reused"]), (&"complete".into(), &false.into()));
    assert!(line["run_id"].as_str().unwrap().starts_with("20190901T000000Z-"));
    assert!(outcome.published().folder.join("coverage.csv").is_file());
}

#[test]
fn the_totals_are_those_of_the_all_row() {
    let lake = Lake::standard();
    let summary = lake.publishes(&[]).table("scope_summary");
    let wanted = ["requests_allowed", "subjects_observed", "groups", "apps_used_after_restriction"];
    assert_eq!(summary.row(&[("scope", "(all)")], &wanted), ["6", "4", "3", "2"]);
    assert_eq!(summary.row(&[("scope", "read_members")], &wanted), ["4", "3", "2", "1"]);
    assert_eq!(summary.row(&[("scope", "write_posts")], &wanted), ["2", "2", "2", "1"]);
}

#[test]
fn quiet_says_nothing_but_errors() {
    let lake = Lake::standard();
    // Without a status there is something to warn of.
    lake.edit("afterscope.toml", "status = \"status\"\n", "");
    let outcome = lake.run(&["--quiet"]).succeeds();
    assert_eq!(outcome.stderr, "");
    assert_eq!(outcome.stdout.lines().count(), 1);
    let warned = lake.run(&["--output", "second"]).succeeds();
    assert!(warned.stderr.contains("`access` maps no status"), "{}", warned.stderr);
    lake.afterscope(&["run", "-q", "--config", "no.toml", "--as-of", AS_OF]).fails(1, &["no.toml"]);
}

#[test]
fn json_messages_are_one_object_a_line() {
    let lake = Lake::standard();
    let good = lake.run(&["--log-format", "json", "-v"]).succeeds();
    let bad = lake.run(&["--log-format", "json", "--memory-limit", "1MB"]);
    assert_eq!(bad.code, 1);
    for (outcome, level) in [(&good, "info"), (&bad, "error")] {
        let lines: Vec<Value> = outcome
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        assert!(!lines.is_empty());
        for line in &lines {
            assert_eq!(keys(line), ["level", "message"]);
            assert_eq!(line["level"], level);
        }
    }
    let message: Value = serde_json::from_str(good.stderr.lines().next().unwrap()).unwrap();
    assert!(!message["message"].as_str().unwrap().is_empty());
    assert_eq!(good.stdout.lines().count(), 1);
}

#[test]
fn verbose_says_how_many_files_are_read_and_how_many_are_not() {
    let lake = Lake::standard();
    let first = lake.run(&["-v"]).succeeds();
    assert!(first.stderr.contains("3 files to read"), "{}", first.stderr);
    let second = lake.run(&["-v", "--output", "second", "--state", "out/state"]).succeeds();
    assert!(second.stderr.contains("0 files to read"), "{}", second.stderr);
    assert!(second.stderr.contains("3 in the ledger"), "{}", second.stderr);
}

#[test]
fn set_takes_the_place_of_a_key() {
    let lake = Lake::standard();
    fs::rename(lake.path("logs"), lake.path("archive")).unwrap();
    let sets = ["--set", "source.0.url=archive/", "--set", "report.lookback_days=61"];
    let summary = lake.publishes(&sets).table("scope_summary");
    // 61 days before 2019-09-01 begin on 2019-07-02: two of the six calls.
    assert_eq!(summary.row(&[("scope", "(all)")], &["requests_lookback"]), ["2"]);
    let sets = ["--set", "source.0.url=archive/", "--set", "report.lookback_days=62"];
    let summary = lake.publishes(&sets).table("scope_summary");
    assert_eq!(summary.row(&[("scope", "(all)")], &["requests_lookback"]), ["6"]);
    let word = ["--set", "source.0.url=archive/", "--set", "report.groups=\"all\""];
    lake.publishes(&word);
}

#[test]
fn paths_are_relative_to_the_configuration_and_flags_to_the_working_folder() {
    let lake = Lake::standard();
    let mut command = lake.command(&["run", "--config", "../afterscope.toml", "--as-of", AS_OF]);
    command.current_dir(lake.path("home"));
    crate::lake::Outcome::of(&lake, command.output().unwrap()).succeeds();
    assert!(lake.path("out/latest.json").is_file());
    let mut command = lake.command(&["run", "--config", "../afterscope.toml", "--as-of", AS_OF]);
    command.args(["--output", "mine", "--state", "ledger"]).current_dir(lake.path("home"));
    crate::lake::Outcome::of(&lake, command.output().unwrap()).succeeds();
    assert!(lake.path("home/mine/latest.json").is_file());
    assert!(lake.path("home/ledger/packs").is_dir());
}

#[test]
fn the_address_of_the_tables_holds_in_any_folder() {
    let lake = Lake::standard();
    let line = lake.run(&[]).succeeds().json();
    let tables = Path::new(line["tables"].as_str().unwrap());
    assert!(tables.is_absolute(), "{}", tables.display());
}

#[test]
fn the_working_folder_is_no_part_of_a_run() {
    let lake = Lake::standard();
    let first = lake.run(&[]).succeeds().json();
    let mut command = lake.command(&["run", "--config", "../afterscope.toml", "--as-of", AS_OF]);
    let output = command.current_dir(lake.path("home")).output().unwrap();
    let second = crate::lake::Outcome::of(&lake, output).succeeds().json();
    assert_eq!(first["run_id"], second["run_id"]);
    assert_eq!(second["reused"], true);
}

#[test]
fn plan_touches_nothing_and_tells_what_a_run_then_does() {
    let lake = Lake::standard();
    let before = lake.files();
    let plan = lake.plan(&[]);
    let mut text = crate::lake::run_args(&[]);
    text[0] = "plan";
    let shown = lake.afterscope(&text).succeeds().stdout;
    assert!(!lake.path("out").exists());
    assert_eq!(before, lake.files());

    let source = &plan["sources"][0];
    let figures = ["files", "files_to_read", "files_reused", "rows_in_metadata"];
    assert_eq!(figures.map(|key| source[key].as_u64().unwrap()), [3, 3, 0, 8]);
    assert_eq!(plan["published"], false);
    assert!(shown.contains(plan["run_id"].as_str().unwrap()), "{shown}");

    let run = lake.run(&[]).succeeds().json();
    assert_eq!(run["run_id"], plan["run_id"]);
    let after = lake.files();
    let plan = lake.plan(&[]);
    assert_eq!(plan["published"], true);
    assert_eq!(plan["sources"][0]["files_to_read"], 0);
    assert_eq!(plan["sources"][0]["files_reused"], 3);
    assert_eq!(after, lake.files());
}

#[test]
fn plan_finds_what_a_run_would_stumble_over() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "\"user_id\"", "\"usr_id\"");
    let mut args = crate::lake::run_args(&[]);
    args[0] = "plan";
    lake.afterscope(&args).fails(1, &["no column `usr_id`", "did you mean `user_id`?"]);
}

#[test]
fn a_run_leaves_no_temporary_files_behind() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    lake.run(&["--set", "source.0.columns.app=no_such"]).fails(1, &["no_such"]);
    for folder in ["tmp", "home"] {
        assert_eq!(fs::read_dir(lake.path(folder)).unwrap().count(), 0, "{folder}");
    }
}
