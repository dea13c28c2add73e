//! The sample: a story whose true answers are counted while its rows are made.

use std::collections::HashSet;
use std::fs;

use serde_json::Value;

use crate::lake::{Lake, Outcome, Published};

const STORY_AS_OF: &str = "2019-11-06T00:00:00Z";

fn told(rows: &str) -> (Lake, Published) {
    let lake = Lake::empty();
    let made = lake.afterscope(&["sample", "groups-2019", "demo", "--rows", rows]).succeeds();
    assert!(made.stdout.contains("demo/afterscope.toml"), "{}", made.stdout);
    assert!(made.stdout.contains(STORY_AS_OF), "{}", made.stdout);
    let published = run(&lake).published();
    (lake, published)
}

fn run(lake: &Lake) -> Outcome {
    let args = ["run", "--config", "demo/afterscope.toml", "--as-of", STORY_AS_OF];
    lake.afterscope(&args).succeeds()
}

/// A value of the truth as a table shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn every_figure_of_every_scope_and_app_is_the_true_one() {
    let (lake, published) = told("120000");
    let truth = lake.json("demo/truth.json");
    let rows = truth["exposure"].as_array().unwrap();
    assert!(rows.len() > 100, "{} rows", rows.len());
    let table = published.table("app_scope_exposure");
    assert_eq!(table.rows.len(), rows.len());
    for row in rows {
        let row = row.as_object().unwrap();
        let key = [("scope", shown(&row["scope"])), ("app_id", shown(&row["app_id"]))];
        let key = [(key[0].0, key[0].1.as_str()), (key[1].0, key[1].1.as_str())];
        let names: Vec<&str> = row.keys().map(String::as_str).collect();
        let expected: Vec<String> = row.values().map(shown).collect();
        assert_eq!(table.row(&key, &names), expected, "{key:?}");
    }
}

#[test]
fn apps_in_the_summary_are_the_true_ones() {
    let (lake, published) = told("20000");
    let truth = lake.json("demo/truth.json");
    let scopes = truth["scopes"].as_object().unwrap();
    assert_eq!(scopes.len(), 5);
    let summary = published.table("scope_summary");
    assert_eq!(summary.rows.len(), scopes.len());
    let names = ["apps_used_after_restriction", "apps_used_lookback"];
    for (scope, apps) in scopes {
        let expected = names.map(|name| shown(&apps[name]));
        assert_eq!(summary.row(&[("scope", scope)], &names), expected, "{scope}");
    }
    // The log of one day in 549 was lost.
    let coverage: f64 = summary.row(&[("scope", "(all)")], &["coverage_pct"])[0].parse().unwrap();
    assert!((coverage - 54_800.0 / 549.0).abs() < 1e-9, "{coverage}");
}

#[test]
fn a_hundred_apps_could_and_eleven_still_did() {
    let (lake, published) = told("20000");
    let truth = lake.json("demo/truth.json");
    assert_eq!(truth["story"]["apps_capable"], 100);
    assert_eq!(truth["story"]["apps_used_lookback"], 11);
    // Not what the truth says of itself: whose grant was never taken back.
    let mut grants = csv::Reader::from_path(lake.path("demo/grants.csv")).unwrap();
    let capable: HashSet<String> = grants
        .records()
        .map(Result::unwrap)
        .filter(|grant| grant[2] < *STORY_AS_OF && grant[3].is_empty())
        .map(|grant| grant[0].to_string())
        .collect();
    assert_eq!(capable.len(), 100);
    let exposure = published.table("app_scope_exposure");
    let grains = exposure.column("grain").into_iter().zip(exposure.column("app_id"));
    let late = grains.zip(exposure.column("requests_lookback"));
    let late: Vec<&str> = late
        .filter(|((grain, _), requests)| *grain == "app" && *requests != "0")
        .map(|((_, app), _)| app)
        .collect();
    assert_eq!(late.len(), 11);
    assert!(late.iter().all(|app| capable.contains(*app)));
    let names = ["apps_capable", "apps_used_lookback", "apps_used_without_grant"];
    let summary = published.table("scope_summary");
    assert_eq!(summary.row(&[("scope", "(all)")], &names), ["100", "11", "4"]);
}

#[test]
fn every_promise_has_its_true_verdict() {
    let (lake, published) = told("60000");
    let truth = lake.json("demo/truth.json");
    let table = published.table("deletion_verification");
    let promises = truth["promises"].as_array().unwrap();
    // One was asked for and never given.
    assert_eq!(table.rows.len(), promises.len() + 1);
    assert_eq!(table.row(&[("verdict", "not_attested")], &["attested_at"]), ["null"]);
    let mut verdicts = HashSet::new();
    for promise in promises {
        let value = |name: &str| shown(&promise[name]);
        let (app, scope) = (value("app_id"), value("scope"));
        let names = ["attested_at", "requests_after", "subjects_after", "verdict"];
        let key = [("app_id", app.as_str()), ("scope", scope.as_str())];
        assert_eq!(table.row(&key, &names), names.map(value), "{key:?}");
        verdicts.insert(value("verdict"));
    }
    assert_eq!(verdicts.len(), 3);
    let findings: HashSet<String> =
        published.table("findings").column("finding").into_iter().map(str::to_string).collect();
    assert_eq!(findings.len(), 5, "{findings:?}");
}

#[test]
fn the_same_sample_is_the_same_bytes() {
    let lake = Lake::empty();
    for folder in ["one", "two"] {
        lake.afterscope(&["sample", "groups-2019", folder, "--rows", "20000"]).succeeds();
    }
    let files = lake.files();
    let of = |folder: &str| -> Vec<String> {
        let names = files.keys().filter_map(|name| name.strip_prefix(folder));
        names.map(str::to_string).collect()
    };
    assert!(of("one/").len() > 500);
    assert_eq!(of("one/"), of("two/"));
    for name in of("one/") {
        let read = |folder: &str| fs::read(lake.path(&format!("{folder}/{name}"))).unwrap();
        assert!(read("one") == read("two"), "{name}");
    }
}

#[test]
fn a_sample_goes_into_a_new_folder_only() {
    let lake = Lake::empty();
    lake.write("taken/notes.txt", "mine");
    let args = ["sample", "groups-2019", "taken", "--rows", "20000"];
    lake.afterscope(&args).fails(1, &["taken", "not empty", "new folder"]);
    let left: Vec<String> =
        lake.files().into_keys().filter(|name| name.starts_with("taken")).collect();
    assert_eq!(left, ["taken/notes.txt"]);
}

#[test]
fn people_live_where_they_truly_live() {
    let (lake, published) = told("60000");
    let truth = lake.json("demo/truth.json");
    let homes = truth["homes"].as_array().unwrap();
    let table = published.table("subjects_by_jurisdiction");
    let grains = table.column("grain").into_iter().filter(|grain| *grain == "all");
    assert_eq!(grains.count(), homes.len());
    let (mut observed, mut upper) = (0, 0);
    for home in homes {
        let value = |name: &str| shown(&home[name]);
        let (country, subdivision) = (value("country"), value("subdivision"));
        let key = [
            ("grain", "all"),
            ("country", country.as_str()),
            ("subdivision", subdivision.as_str()),
        ];
        let names = ["is_known", "subjects_observed", "subjects_upper_bound"];
        let counts = [names[1], names[2]].map(value);
        let expected = [(country != "null").to_string(), counts[0].clone(), counts[1].clone()];
        assert_eq!(table.row(&key, &names), expected, "{key:?}");
        observed += counts[0].parse::<u64>().unwrap();
        upper += counts[1].parse::<u64>().unwrap();
    }
    // A person lives in one place: places add up to all.
    let names = ["subjects_observed", "subjects_upper_bound", "upper_bound_complete"];
    let summary = published.table("scope_summary");
    let all = summary.row(&[("scope", "(all)")], &names);
    assert_eq!(all, [observed.to_string(), upper.to_string(), "false".into()]);
    assert!(upper > observed && observed > 1000, "{observed} to {upper}");
}

#[test]
fn thresholds_are_met_by_both_bounds_by_one_or_by_none_that_is_known() {
    let (_lake, published) = told("60000");
    let table = published.table("thresholds");
    let state = |regime: &str| {
        let names = ["met_by_observed", "met_by_upper_bound", "state"];
        table.row(&[("grain", "all"), ("regime", regime)], &names)
    };
    assert_eq!(state("maine"), ["true", "true", "met"]);
    // Members of groups live in Ireland; nobody whom the log names does.
    assert_eq!(state("example"), ["false", "true", "met_by_upper_bound"]);
    assert_eq!(state("gdpr_art_33"), ["null", "null", "no_number"]);
    let deadlines = published.table("deadlines");
    let due = |regime: &str| deadlines.row(&[("regime", regime)], &["due_at", "state"]);
    // Known on Friday, 1 November, at nine: 72 hours had passed on the 6th.
    assert_eq!(due("gdpr_art_33"), ["2019-11-04T09:00:00Z", "passed"]);
    assert_eq!(due("ftc_order_2019"), ["2019-11-30T16:00:00Z", "running"]);
    assert_eq!(due("sec_8k_1_05"), ["null", "not_started"]);
    assert_eq!(due("california_attorney_general"), ["null", "not_started"]);
}
