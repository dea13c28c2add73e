//! Which files are a source's: folders, partitions, globs, one file; and many small ones.

use std::fs;

use crate::lake::{Lake, assert_same, call, standard_days};

fn without_coverage(
    mut tables: std::collections::BTreeMap<String, Vec<u8>>,
) -> std::collections::BTreeMap<String, Vec<u8>> {
    tables.retain(|name, _| !name.starts_with("coverage"));
    assert!(!tables.is_empty());
    tables
}

#[test]
fn nested_folders_are_read_to_the_bottom() {
    let lake = Lake::empty();
    for (index, (_, calls)) in standard_days().iter().enumerate() {
        let path = ["logs/top.parquet", "logs/a/b/c/deep.parquet", "logs/a/odd name.pq"][index];
        lake.log(path, calls);
    }
    let plain = without_coverage(Lake::standard().publishes(&[]).bytes());
    assert_same(&plain, &without_coverage(lake.publishes(&[]).bytes()));
}

#[test]
fn names_that_begin_with_a_mark_are_passed_over_and_partitions_are_not() {
    let lake = Lake::standard();
    let expected = lake.publishes(&["--output", "first"]).bytes();
    for hidden in [
        "logs/_SUCCESS",
        "logs/_temporary/0/part-0.parquet",
        "logs/.part-0.parquet.crc",
        "logs/dt=2019-07-01/_committed_1",
        "logs/.hidden/part-0.parquet",
    ] {
        lake.write(hidden, "no Parquet");
    }
    let plan = lake.plan(&[]);
    assert_eq!(plan["sources"][0]["hidden_files_passed_over"], 5);
    assert_eq!(plan["sources"][0]["files"], 3);
    assert_same(&expected, &lake.publishes(&["--output", "second"]).bytes());
    // `_year=2019` is a partition, whatever it begins with.
    lake.log("logs/_year=2019/part-0.parquet", &[call("2019-07-09T08:00:00Z", "app-3", 9)]);
    assert_eq!(lake.run(&[]).succeeds().json()["totals"]["requests_allowed"], 7);
}

/// A file that is not read is named as a failure, or counted among those passed over.
fn is_not_passed_over_in_silence(lake: &Lake, name: &str) {
    let mut args = crate::lake::run_args(&["--json"]);
    args[0] = "plan";
    let outcome = lake.afterscope(&args);
    if outcome.code != 0 {
        outcome.fails(3, &[name]);
        return;
    }
    let plan: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let source = &plan["sources"][0];
    let seen =
        source["files"].as_u64().unwrap() + source["hidden_files_passed_over"].as_u64().unwrap();
    assert_eq!(seen, 4, "{name} is neither read nor counted as passed over: {plan:#}");
}

#[test]
fn a_name_that_ends_in_a_number_sign_and_a_number_is_not_passed_over_in_silence() {
    let lake = Lake::standard();
    lake.log("logs/part-0.parquet#2", &[call("2019-07-01T08:00:00Z", "app-3", 9)]);
    is_not_passed_over_in_silence(&lake, "part-0.parquet#2");
}

#[test]
fn a_link_that_leads_nowhere_is_not_passed_over_in_silence() {
    let lake = Lake::standard();
    std::os::unix::fs::symlink("/nowhere/at/all.parquet", lake.path("logs/link.parquet")).unwrap();
    is_not_passed_over_in_silence(&lake, "link.parquet");
}

#[test]
fn a_glob_takes_what_it_matches_and_no_more() {
    let lake = Lake::standard();
    for (glob, requests) in [
        ("logs/**/*.parquet", 6),
        ("logs/dt=2019-07-0[12]/*.parquet", 5),
        ("logs/dt=*/part-?.parquet", 6),
        ("logs/{dt=2019-07-01,dt=2019-07-03}/part-0.parquet", 5),
    ] {
        let set = format!("source.0.url=\"{glob}\"");
        let line = lake.run(&["--set", &set]).succeeds().json();
        assert_eq!(line["totals"]["requests_allowed"], requests, "{glob}");
    }
    lake.log("logs/top.parquet", &[]);
    let set = "source.0.url=\"logs/*/part-0.parquet\"";
    assert_eq!(lake.plan(&["--set", set])["sources"][0]["files"], 3);
}

#[test]
fn one_file_may_be_a_source() {
    let lake = Lake::standard();
    let set = "source.0.url=logs/dt=2019-07-01/part-0.parquet";
    let line = lake.run(&["--set", set]).succeeds().json();
    assert_eq!(line["totals"]["requests_allowed"], 4);
}

#[test]
fn a_partition_value_serves_as_a_column() {
    let lake = Lake::standard();
    for (path, _) in standard_days() {
        let name = path.rsplit('/').nth(1).unwrap();
        let target = lake.path(&format!("logs/client=app%3A9/{name}"));
        fs::create_dir_all(&target).unwrap();
        fs::rename(lake.path(path), target.join("part-0.parquet")).unwrap();
    }
    lake.edit("afterscope.toml", "\"app_id\"", "\"client\"");
    let table = lake.publishes(&[]).table("app_scope_exposure");
    let row = table.row(&[("scope", "(all)"), ("app_id", "app:9")], &["requests_allowed"]);
    assert_eq!(row, ["6"]);
}

#[test]
fn partitions_leave_files_out_only_where_declared_and_change_no_figure() {
    let lake = Lake::standard();
    lake.log("logs/dt=2019-05-01/part-0.parquet", &[call("2019-05-01T08:00:00Z", "app-1", 50)]);
    assert_eq!(lake.plan(&[])["sources"][0]["rows_pruned"]["partition"], 0);
    let undeclared = without_coverage(lake.publishes(&[]).bytes());
    let partition = "url = \"logs/\"\npartition_time = { column = \"dt\", grain = \"1d\" }";
    lake.edit("afterscope.toml", "url = \"logs/\"", partition);
    assert_eq!(lake.plan(&[])["sources"][0]["rows_pruned"]["partition"], 1);
    let declared = lake.publishes(&[]);
    let row = declared.table("coverage").row(&[("grain", "all")], &["rows_outside"]).join("");
    assert_eq!(row, "2", "the row of May and the live scope");
    assert_same(&undeclared, &without_coverage(declared.bytes()));
}

#[test]
fn how_rows_are_split_into_files_changes_no_figure() {
    let lake = Lake::empty();
    let mut number = 0;
    for (_, calls) in standard_days() {
        for one in calls {
            lake.log(&format!("logs/{number}.parquet"), &[one]);
            number += 1;
        }
    }
    let split = without_coverage(lake.publishes(&[]).bytes());
    assert_same(&without_coverage(Lake::standard().publishes(&[]).bytes()), &split);
}

#[test]
fn a_thousand_small_files_make_few_packs() {
    let lake = Lake::empty();
    for number in 0..1000 {
        let app = format!("app-{}", number % 3 + 1);
        let calls =
            [call("2019-07-01T08:00:00Z", &app, number), call("2019-07-02T08:00:00Z", "x", 7)];
        lake.log(&format!("logs/{:02}/{number}.parquet", number % 50), &calls);
    }
    let line = lake.run(&["--threads", "2"]).succeeds().json();
    assert_eq!(line["totals"]["requests_allowed"], 2000);
    assert_eq!(line["totals"]["subjects_observed"], 1000);
    let packs = fs::read_dir(lake.path("out/state/packs")).unwrap().count();
    assert!((1..=4).contains(&packs), "{packs} packs");
    assert_eq!(lake.plan(&[])["sources"][0]["files_to_read"], 0);
}

#[test]
fn a_glob_that_ends_in_a_slash_takes_all_that_lies_below_the_folders() {
    let lake = Lake::standard();
    let expected = lake.publishes(&["--output", "plain"]).bytes();
    let set = "source.0.url=\"logs/dt=*/\"";
    assert_same(&expected, &lake.publishes(&["--set", set, "--output", "globbed"]).bytes());
}

#[test]
fn brackets_that_a_file_address_escapes_are_no_glob() {
    let lake = Lake::standard();
    let expected = lake.publishes(&["--output", "plain"]).bytes();
    fs::rename(lake.path("logs"), lake.path("[x]{y}")).unwrap();
    let folder = fs::canonicalize(lake.path("")).unwrap();
    let set = format!("source.0.url=\"file://{}/%5Bx%5D%7By%7D/\"", folder.display());
    assert_same(&expected, &lake.publishes(&["--set", &set, "--output", "escaped"]).bytes());
}
