//! `report.suppress_below`: small counts of people, and what would give them back, stand nowhere.

mod attack;

use std::fs::{self, File};
use std::io::Read;

use serde_json::Value;

use crate::lake::{Call, Lake, Published, Table, call};
use crate::proof::{differs, holds, manifest, run_folder};

/// Arguments that leave out counts of fewer than this many people.
fn below(n: &str) -> Vec<String> {
    vec!["--set".into(), format!("report.suppress_below={n}")]
}

fn masked(lake: &Lake, n: &str) -> Published {
    let args = below(n);
    lake.publishes(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Columns of a table whose unit is people, but for thresholds themselves.
fn of_people(lake: &Lake) -> Vec<(String, String)> {
    let schema = lake.afterscope(&["schema", "tables"]).succeeds();
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    let mut found = Vec::new();
    for table in schema.as_array().unwrap_or_else(|| schema["tables"].as_array().unwrap()) {
        for column in table["columns"].as_array().unwrap() {
            if column["unit"] == "people" && column["name"] != "number" {
                let name = |of: &Value| of["name"].as_str().unwrap().to_string();
                found.push((name(table), name(column)));
            }
        }
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

fn no_small_count(lake: &Lake, published: &Published, n: i64) {
    for (table, column) in of_people(lake) {
        for value in published.table(&table).column(&column) {
            let told = value == "null" || value == "0" || value.parse::<i64>().unwrap() >= n;
            assert!(told, "{table}.{column} tells {value}");
        }
    }
}

/// All windows: 1 2 3 5 were reached, 1 2 3 through read_members by app-1, 1 5 through write_posts by app-2.
#[test]
fn counts_of_fewer_people_go_with_those_that_would_give_them_back() {
    let lake = Lake::with_all();
    let published = masked(&lake, "3");
    no_small_count(&lake, &published, 3);
    let summary = published.table("scope_summary");
    let columns = [
        "subjects_observed",
        "subjects_upper_bound",
        "groups",
        "requests_allowed",
        "requests_denied",
        "requests_lookback",
        "subjects_lookback",
        "apps_used_after_restriction",
    ];
    // All: 4 people and 6 at most (with 20 and 21), 3 groups, 6 requests, and one in the lookback. The one
    // denied request is masked in read_members, where 3 people are masked, and nowhere else is another.
    let row = summary.row(&[("scope", "(all)")], &columns);
    assert_eq!(row, ["4", "6", "3", "6", "null", "null", "null", "2"]);
    // 2 people through write_posts are too few, and 4 less the 3 of read_members would give them back. The
    // 3 at most of write_posts live in three places, one in each, which only hides if the 3 goes, too.
    let row = summary.row(&[("scope", "read_members")], &columns);
    assert_eq!(row, ["null", "null", "null", "null", "null", "0", "0", "1"]);
    let row = summary.row(&[("scope", "write_posts")], &columns);
    assert_eq!(row, ["null", "null", "null", "null", "0", "null", "null", "1"]);
    // One developer has both apps: the figure of all.
    let developers = published.table("developer_exposure");
    let row = |scope| [("scope", scope), ("developer_id", "dev-1")];
    assert_eq!(developers.row(&row("(all)"), &["subjects_observed"]), ["4"]);
    assert_eq!(developers.row(&row("read_members"), &["subjects_observed"]), ["null"]);
    // Three were new on the first day, one on the third: 4 less 3 would tell.
    let days = published.table("daily_timeline");
    let rows: Vec<[&str; 4]> = ["2019-07-01", "2019-07-02", "2019-07-03"]
        .map(|day| {
            let key = [("grain", "all"), ("day", day)];
            let wanted =
                ["requests_allowed", "subjects_observed", "subjects_new", "subjects_cumulative"];
            days.row(&key, &wanted).try_into().unwrap()
        })
        .to_vec();
    assert_eq!(rows[0], ["null", "null", "null", "null"]);
    assert_eq!(rows[1], ["null", "null", "0", "null"]);
    // The last running total is the figure of all.
    assert_eq!(rows[2], ["null", "null", "null", "4"]);
    // Two of all live in Germany, three at most: one beside them in France, two of unknown residence.
    let places = published.table("subjects_by_jurisdiction");
    let row = |country| {
        let known = if country == "null" { "false" } else { "true" };
        let key = [("grain", "all"), ("country", country), ("is_known", known)];
        places.row(&key, &["subjects_observed", "subjects_upper_bound"])
    };
    assert_eq!(row("DE"), ["null", "3"]);
    assert_eq!(row("FR"), ["0", "null"]);
    assert_eq!(row("null"), ["null", "null"]);
    // That two of them are reached would tell that there are two.
    let rules = published.table("thresholds");
    let wanted = [
        "subjects_observed",
        "subjects_upper_bound",
        "met_by_observed",
        "met_by_upper_bound",
        "state",
    ];
    assert_eq!(rules.row(&[("scope", "(all)")], &wanted), ["null", "3", "null", "true", "null"]);
    // That a promise was broken is no count.
    let promises = published.table("deletion_verification");
    let key = [("app_id", "app-1"), ("scope", "(all)")];
    let row = promises.row(&key, &["subjects_after", "requests_after", "groups_after", "verdict"]);
    assert_eq!(row, ["null", "null", "null", "violated"]);
    let totals = &manifest(&lake)["totals"];
    assert_eq!(totals["subjects_observed"], 4);
    assert_eq!(totals["requests_allowed"], 6);
}

#[test]
fn nothing_is_masked_where_nobody_asks_or_nothing_is_small() {
    let lake = Lake::with_all();
    let plain = lake.publishes(&[]).bytes();
    assert!(manifest(&lake).get("suppressed").is_none());
    let one = masked(&lake, "1");
    crate::lake::assert_same(&plain, &one.bytes());
    assert!(manifest(&lake).get("suppressed").is_none());
    // A hundred people in all, all of whom did all.
    let lake = Lake::empty();
    let calls: Vec<Call> =
        (0..100).map(|user| call("2019-07-01T08:00:00Z", "app-1", user)).collect();
    lake.log("logs/part-0.parquet", &calls);
    let plain = lake.publishes(&[]).bytes();
    crate::lake::assert_same(&plain, &masked(&lake, "100").bytes());
    let nothing = serde_json::json!({ "below": 100, "together": true, "cells": {} });
    assert_eq!(manifest(&lake)["suppressed"], nothing);
}

#[test]
fn totals_of_few_people_stand_nowhere_not_even_on_the_last_line() {
    let lake = Lake::with_all();
    let outcome = lake.run(&["--set", "report.suppress_below=5"]).succeeds();
    // 4 people; 6 requests would bound none, 3 groups do.
    let totals = &outcome.json()["totals"];
    assert_eq!(totals["subjects_observed"], Value::Null, "{totals}");
    assert_eq!(totals["groups"], Value::Null);
    assert_eq!(totals["apps"], 2);
    assert_eq!(&manifest(&lake)["totals"], totals);
    let line = outcome.stderr.lines().find(|line| line.starts_with("(all)")).unwrap();
    // Apps able, used, lately; people, at most (6, of whom 4 or 6 may be masked), unknown, groups.
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((cells[4], cells[7]), ("-", "-"), "{line}");
    let page = fs::read_to_string(run_folder(&lake).join("report.html")).unwrap();
    assert!(page.contains("reached data of people whose number is left out"), "{page}");
    assert!(page.contains("People: left out observed"), "{page}");
    // Found again, it says the same.
    let again = lake.run(&["--set", "report.suppress_below=5"]).succeeds().json();
    assert_eq!((&again["totals"], &again["reused"]), (totals, &Value::Bool(true)));
    let told = manifest(&lake);
    let cells = told["suppressed"]["cells"].as_object().unwrap();
    assert_eq!(told["suppressed"]["below"], 5);
    for table in ["scope_summary", "thresholds", "findings", "daily_timeline", "groups_exposed"] {
        assert!(cells[table].as_u64().unwrap() > 0, "{table}");
    }
    assert!(cells.get("coverage").is_none());
}

#[test]
fn few_requests_of_groups_that_are_not_listed_would_bound_their_people() {
    let lake = Lake::standard();
    let published =
        lake.publishes(&["--set", "report.suppress_below=3", "--set", "report.groups=1"]);
    let groups = published.table("groups_exposed");
    // Group 11 was read once through read_members; 4 requests less the 3 in group 10 would tell, but the 4 are
    // masked: they are 6 of all less the 2 of write_posts, whose 2 people are too few.
    let row = |grain| {
        let key = [("grain", grain), ("scope", "read_members")];
        groups.row(&key, &["groups", "requests_allowed", "subjects_observed"])
    };
    assert_eq!(row("scope_rest"), ["1", "null", "null"]);
    assert_eq!(row("scope_group"), ["1", "3", "3"]);
    let summary = published.table("scope_summary");
    let requests = |scope| summary.row(&[("scope", scope)], &["requests_allowed"])[0];
    assert_eq!(
        [requests("(all)"), requests("read_members"), requests("write_posts")],
        ["6", "null", "null"]
    );
}

/// People with numbers that nothing else has: 4,321 through one app, others through three more.
fn large() -> Lake {
    let lake = Lake::empty();
    let of = |app: &str, scope: &str, people: std::ops::Range<i64>| -> Vec<Call> {
        let call = |user| Call { scope: scope.into(), ..call("2019-07-01T08:00:00Z", app, user) };
        people.map(call).collect()
    };
    // app-2 and app-3 overlap with nobody; app-2 is the smaller one.
    let mut calls = of("app-1", "read_members", 0..4_321);
    calls.extend(of("app-2", "read_members", 10_000..16_789));
    calls.extend(of("app-3", "read_members", 20_000..29_876));
    calls.extend(of("app-3", "write_posts", 20_000..29_876));
    lake.log("logs/part-0.parquet", &calls);
    lake
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != ',')
        .map(|word| word.trim_matches(','))
        .flat_map(|word| [word].into_iter().chain(word.split(',')))
}

/// Every text that a run leaves to its readers, by name.
fn texts(lake: &Lake) -> Vec<(String, String)> {
    let folder = run_folder(lake);
    let mut texts = Vec::new();
    for name in ["report.html", "manifest.json"] {
        texts.push((name.to_string(), fs::read_to_string(folder.join(name)).unwrap()));
    }
    for entry in fs::read_dir(folder.join("tables")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            texts.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
        } else {
            texts.push((path.display().to_string(), format!("{:?}", Table::read(&path).rows)));
        }
    }
    let mut book = zip::ZipArchive::new(File::open(folder.join("report.xlsx")).unwrap()).unwrap();
    for at in 0..book.len() {
        let mut part = book.by_index(at).unwrap();
        let name = part.name().unwrap().to_string();
        let mut text = String::new();
        part.read_to_string(&mut text).unwrap();
        texts.push((name, text));
    }
    texts
}

#[test]
fn a_masked_number_stands_in_no_file_and_on_no_screen() {
    let lake = large();
    let shown = |lake: &Lake, args: &[&str]| {
        let outcome = lake.run(args).succeeds();
        let mut texts = texts(lake);
        texts.push(("stdout".into(), outcome.stdout));
        texts.push(("stderr".into(), outcome.stderr));
        texts
    };
    let with = |texts: &[(String, String)], number: &str| -> Vec<String> {
        let comma = format!("{},{}", &number[..number.len() - 3], &number[number.len() - 3..]);
        let has = |text: &str| words(text).any(|word| word == number || word == comma);
        texts.iter().filter(|(_, text)| has(text)).map(|(name, _)| name.clone()).collect()
    };
    // The numbers are found where nothing is masked: people and requests of app-1 and of app-2.
    let plain = shown(&lake, &[]);
    assert!(with(&plain, "4321").len() >= 6, "{:?}", with(&plain, "4321"));
    assert!(with(&plain, "6789").len() >= 6);
    let masked = shown(&lake, &["--set", "report.suppress_below=5000"]);
    assert_eq!(with(&masked, "4321"), Vec::<String>::new());
    // 6,789 less would give it back, and so would 16,665 without app-1 in developer_exposure: app-1 and
    // app-2 have one developer, whose figure is 11,110.
    assert_eq!(with(&masked, "6789"), Vec::<String>::new());
    assert!(with(&masked, "11110").len() >= 4);
    assert!(with(&masked, "9876").len() >= 6);
    let page = &masked[0].1;
    assert!(page.contains("Counts of fewer than 5000 people are left out"), "{page}");
    let cover = masked.iter().find(|(name, _)| name.ends_with("sharedStrings.xml")).unwrap();
    assert!(cover.1.contains("Counts of fewer than 5000 people are left out"));
}

#[test]
fn own_queries_and_masking_do_not_go_together() {
    let lake = Lake::standard();
    lake.write("mine.sql", "SELECT scope FROM scopes");
    let set = ["--set", "report.suppress_below=5", "--set", "report.queries=[\"mine.sql\"]"];
    lake.refuses(&set, 1, &["report.suppress_below", "report.queries", "unmasked"]);
    lake.publishes(&["--set", "report.suppress_below=1", "--set", "report.queries=[\"mine.sql\"]"]);
}

#[test]
fn what_is_no_number_of_people_is_refused() {
    let lake = Lake::standard();
    for bad in ["-1", "2.5", "\"five\"", "4294967296"] {
        let set = format!("report.suppress_below={bad}");
        lake.refuses(&["--set", &set], 1, &["suppress_below"]);
    }
}

#[test]
fn a_masked_run_is_verified_and_comes_out_again() {
    let lake = Lake::with_all();
    lake.edit("afterscope.toml", "[report]", "[report]\nsuppress_below = 3");
    lake.publishes(&[]);
    let args = ["out", "--recompute", "--config", "afterscope.toml"];
    assert_eq!(holds(&lake, &args)["recomputed"], true);
    // Without the setting it is another run.
    lake.edit("afterscope.toml", "\nsuppress_below = 3", "");
    let all: Vec<&str> = std::iter::once("verify").chain(args).collect();
    differs(&lake.afterscope(&all), &["report.suppress_below"]);
}

#[test]
fn a_masked_report_follows_another_and_tells_of_changes_only_what_both_tell() {
    let lake = Lake::with_all();
    lake.edit("afterscope.toml", "[report]", "[report]\nsuppress_below = 3");
    lake.publishes(&[]);
    // Persons 6 and 7 through app-1: 5 of read_members, 6 of all.
    let late = [6, 7].map(|user| call("2019-07-04T08:00:00Z", "app-1", user));
    lake.log("logs/dt=2019-07-04/part-0.parquet", &late);
    let second = lake.run(&["--follows", "latest"]).succeeds().published();
    let log = second.table("change_log");
    let change = |table: &str, key: &str, column: &str| {
        log.row(&[("table", table), ("key", key), ("column", column)], &["old", "new", "reason"])
    };
    let all = change("scope_summary", "grain=all scope=(all)", "subjects_observed");
    assert_eq!(all, ["4", "6", "late file"]);
    // The three of read_members were left out and are five now, which are left out.
    let told = log.column("key");
    assert!(!told.contains(&"grain=scope scope=read_members subjects_observed"), "{told:?}");
    for (old, column) in log.column("old").iter().zip(log.column("column")) {
        assert!(!column.starts_with("subjects") || !["1", "2"].contains(old), "{column} {old}");
    }
    let args = ["out", "--recompute", "--config", "afterscope.toml"];
    assert_eq!(holds(&lake, &args)["recomputed"], true);
}

#[test]
fn a_masked_report_does_not_follow_one_that_tells_more() {
    let lake = Lake::standard();
    let first = lake.run(&[]).succeeds().json();
    let set = ["--set", "report.suppress_below=3", "--follows", "latest"];
    lake.run(&set).fails(1, &["change_log", "report.suppress_below", "--follows none"]);
    lake.publishes(&["--set", "report.suppress_below=3"]);
    // One that tells more may follow one that tells less.
    let more = lake.run(&["--set", "report.suppress_below=2", "--follows", "latest"]).succeeds();
    assert_ne!(more.json()["run_id"], first["run_id"]);
}
