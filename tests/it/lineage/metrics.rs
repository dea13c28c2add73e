//! Metrics of a run for Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::run_with;
use super::service::{Does, Service};
use crate::lake::{Call, Lake, call, run_args};

/// Every series of the file by name and labels, after a look at the format: each metric is described and typed
/// once, right before its series, by names that Prometheus takes.
fn series(lake: &Lake, file: &str) -> BTreeMap<String, f64> {
    let text = fs::read_to_string(lake.path(file)).unwrap();
    assert!(text.ends_with('\n'));
    let (mut found, mut described, mut at) = (BTreeMap::new(), BTreeSet::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            at = help.split_once(' ').unwrap().0.to_string();
            let fits = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(at.starts_with("afterscope_") && at.chars().all(fits), "{at}");
            // Suffixes of counters, histograms and summaries mean these.
            for end in ["_total", "_count", "_sum", "_bucket"] {
                assert!(!at.ends_with(end), "{at}");
            }
            assert!(described.insert(at.clone()), "{at} twice");
            assert_eq!(lines.next().unwrap(), format!("# TYPE {at} gauge"));
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert_eq!(name.split('{').next().unwrap(), at, "{line}");
        let value: f64 = value.parse().unwrap();
        assert!(found.insert(name.to_string(), value).is_none(), "{name} twice");
    }
    found
}

#[test]
fn a_run_leaves_its_figures() {
    let lake = Lake::standard();
    let service = Service::new(Does::Take);
    let variables = [("OPENLINEAGE_URL", service.url.as_str())];
    let outcome = run_with(&lake, &variables, &["--metrics", "run.prom"]).succeeds();
    let found = series(&lake, "run.prom");
    let run_id = outcome.json()["run_id"].as_str().unwrap().to_string();
    let info = format!("afterscope_run_info{{run_id=\"{run_id}\",verdict=\"complete\"}}");
    // The true answers of the standard lake; 2019-09-01 as seconds.
    for (name, value) in [
        (info.as_str(), 1.0),
        ("afterscope_build_info{version=\"0.1.0\"}", 1.0),
        ("afterscope_run_exit_code", 0.0),
        ("afterscope_run_success", 1.0),
        ("afterscope_run_complete", 1.0),
        ("afterscope_run_reused", 0.0),
        ("afterscope_run_as_of_timestamp_seconds", 1_567_296_000.0),
        ("afterscope_last_success_as_of_timestamp_seconds", 1_567_296_000.0),
        ("afterscope_report_files", 3.0),
        ("afterscope_report_unreadable_files", 0.0),
        ("afterscope_report_rows", 8.0),
        ("afterscope_read_files", 3.0),
        ("afterscope_read_rows", 8.0),
        ("afterscope_people", 4.0),
        ("afterscope_requests", 6.0),
        ("afterscope_scope_people{scope=\"read_members\"}", 3.0),
        ("afterscope_scope_requests{scope=\"read_members\"}", 4.0),
        ("afterscope_scope_requests{scope=\"write_posts\"}", 2.0),
        ("afterscope_lineage_events{outcome=\"sent\"}", 3.0),
        ("afterscope_lineage_events{outcome=\"lost\"}", 0.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in {found:#?}");
    }
    let (begin, end) = (
        found["afterscope_run_start_timestamp_seconds"],
        found["afterscope_run_end_timestamp_seconds"],
    );
    assert!(1.6e9 < begin && begin <= end, "{begin} {end}");
    assert_eq!(found["afterscope_last_success_timestamp_seconds"], end);
    // Another program reads it, and nothing else is left beside it.
    let mode = fs::metadata(lake.path("run.prom")).unwrap().permissions().mode();
    assert_eq!(mode & 0o444, 0o444);
    assert!(!lake.files().keys().any(|name| name.contains("afterscope-metrics")));
    // No app and no person is named.
    assert!(!fs::read_to_string(lake.path("run.prom")).unwrap().contains("app-1"));
}

#[test]
fn a_run_that_fails_leaves_its_exit_code_and_when_one_succeeded_last() {
    let lake = Lake::standard();
    lake.run(&["--metrics", "run.prom"]).succeeds();
    let before = series(&lake, "run.prom");
    lake.write("logs/dt=2019-07-04/part-0.parquet", "no Parquet");
    let later = ["--as-of", "2019-09-02T00:00:00Z", "--metrics", "run.prom"];
    lake.run(&later).fails(3, &["part-0.parquet"]);
    let after = series(&lake, "run.prom");
    assert_eq!(after["afterscope_run_exit_code"], 3.0);
    assert_eq!(after["afterscope_run_success"], 0.0);
    assert_eq!(after["afterscope_run_as_of_timestamp_seconds"], 1_567_382_400.0);
    for kept in [
        "afterscope_last_success_timestamp_seconds",
        "afterscope_last_success_as_of_timestamp_seconds",
    ] {
        assert_eq!(after[kept], before[kept]);
    }
    assert!(!after.contains_key("afterscope_people"), "{after:#?}");
    // With the file left out the report is incomplete, and told as that.
    lake.run(&["--allow-incomplete", "--metrics", "run.prom"]).succeeds();
    let incomplete = series(&lake, "run.prom");
    assert_eq!(incomplete["afterscope_run_success"], 1.0);
    assert_eq!(incomplete["afterscope_run_complete"], 0.0);
    assert_eq!(incomplete["afterscope_report_unreadable_files"], 1.0);
    assert_eq!(incomplete["afterscope_report_files"], 4.0);
}

#[test]
fn a_configuration_that_is_wrong_is_told_by_its_exit_code() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "app_id", "");
    lake.edit("afterscope.toml", "[output]", "[outptu]");
    lake.run(&["--metrics", "run.prom"]).fails(1, &["outptu"]);
    let found = series(&lake, "run.prom");
    assert_eq!(found["afterscope_run_exit_code"], 1.0);
    assert!(!found.contains_key("afterscope_last_success_timestamp_seconds"));
}

#[test]
fn a_file_that_cannot_be_written_is_a_warning() {
    for file in ["nowhere/run.prom", "logs", "/dev/null"] {
        let lake = Lake::standard();
        let outcome = lake.run(&["--metrics", file]).succeeds();
        let warning = format!("warning: --metrics: {file} is not written: ");
        assert!(outcome.stderr.contains(&warning), "{}", outcome.stderr);
        assert_eq!(outcome.json()["totals"]["requests_allowed"], 6);
    }
}

#[test]
fn a_file_that_holds_no_metrics_of_its_own_stays() {
    let lake = Lake::standard();
    let outcome = lake.run(&["--metrics", "run.prom"]).succeeds();
    let manifest = format!("out/runs/{}/manifest.json", outcome.json()["run_id"].as_str().unwrap());
    lake.write("empty", "");
    let other = "# HELP node_load1 1m load average.\n# HELP afterscope_people People.\n";
    lake.write("node.prom", other);
    symlink(lake.path("run.prom"), lake.path("link.prom")).unwrap();
    for file in [
        "afterscope.toml",
        "scopes.csv",
        "logs/dt=2019-07-01/part-0.parquet",
        "out/latest.json",
        "out/latest/scope_summary.parquet",
        manifest.as_str(),
        "empty",
        "node.prom",
        "link.prom",
    ] {
        let (bytes, files) = (fs::read(lake.path(file)).unwrap(), lake.files());
        let outcome = lake.run(&["--metrics", file]).succeeds();
        let other = if file == "link.prom" {
            "something else than a plain file"
        } else {
            "no metrics of afterscope"
        };
        let why = format!("warning: --metrics: {file} is not written: ");
        assert!(
            outcome.stderr.contains(&why) && outcome.stderr.contains(other),
            "{}",
            outcome.stderr
        );
        assert!(fs::read(lake.path(file)).unwrap() == bytes, "{file}");
        assert!(lake.files().keys().eq(files.keys()), "{file}");
    }
    // Nor where stdout is a file.
    let mut command = lake.command(&run_args(&["--metrics", "/dev/stdout"]));
    command.stdout(fs::File::create(lake.path("line.json")).unwrap());
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.contains("/dev/stdout is not written"), "{stderr}");
    assert_eq!(lake.json("line.json")["totals"]["requests_allowed"], 6);
}

#[test]
fn a_scope_is_labelled_as_it_is_named() {
    // A spreadsheet would evaluate the first two, so that a CSV file shows the first as it shows the third.
    let scopes = ["@user", "-read", "'@user"];
    let lake = Lake::empty();
    let rows: String =
        scopes.iter().map(|scope| format!("{scope},2019-06-01T00:00:00Z\n")).collect();
    lake.write("scopes.csv", &format!("scope,deprecated_at\n{rows}"));
    let of = |scope: &str, user: i64| Call {
        scope: scope.into(),
        ..call("2019-07-01T08:00:00Z", "app-1", user)
    };
    let calls = [
        of("@user", 1),
        of("@user", 2),
        of("@user", 2),
        of("-read", 1),
        of("-read", 3),
        of("'@user", 4),
    ];
    lake.log("logs/dt=2019-07-01/part-0.parquet", &calls);
    lake.run(&["--metrics", "run.prom"]).succeeds();
    let found = series(&lake, "run.prom");
    for (scope, people, requests) in
        [("@user", 2.0, 3.0), ("-read", 2.0, 2.0), ("'@user", 1.0, 1.0)]
    {
        for (name, value) in [("people", people), ("requests", requests)] {
            let name = format!("afterscope_scope_{name}{{scope=\"{scope}\"}}");
            assert_eq!(found.get(&name), Some(&value), "{name} in {found:#?}");
        }
    }
    assert_eq!((found["afterscope_people"], found["afterscope_requests"]), (4.0, 6.0));
}

#[test]
fn a_figure_that_the_report_masks_is_no_metric() {
    let lake = Lake::standard();
    let masked = ["--set", "report.suppress_below=5", "--metrics", "run.prom"];
    lake.run(&masked).succeeds();
    let found = series(&lake, "run.prom");
    assert!(!found.keys().any(|name| name.contains("people")), "{found:#?}");
}
