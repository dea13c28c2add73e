//! The memory limit, measured from outside: the peak that the system saw.

use std::ops::Range;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use crate::lake::{AS_OF, Call, Lake, call, program, skipped, times};
use crate::published::{assert_same, bytes_below};

/// Runs a program and prints, last, the most memory that it held (KiB).
const MEASURE: &str = "import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)";

/// Exit code, peak in bytes, and standard error of a run in `lake` with a limit of `megabytes`.
fn measured(lake: &Lake, config: &str, as_of: &str, megabytes: u64) -> Option<(i32, u64, String)> {
    let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
        skipped("AFTERSCOPE_PYTHON is not set: nothing to measure memory with");
        return None;
    };
    let out = Command::new(python)
        .args(["-c", MEASURE])
        .arg(program())
        .args(["run", "--quiet", "--threads", "2"])
        .args(["--config", config, "--as-of", as_of])
        .args(["--memory-limit", &format!("{megabytes}MB")])
        .current_dir(lake.path(""))
        .output()
        .unwrap();
    let peak: u64 = String::from_utf8_lossy(&out.stdout).trim().parse().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    Some((out.status.code().unwrap(), peak * 1024, stderr))
}

#[test]
fn a_million_rows_stay_within_a_small_limit() {
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "story"]).succeeds();
    let (config, as_of) = ("story/afterscope.toml", "2019-11-06T00:00:00Z");
    let Some((code, peak, stderr)) = measured(&lake, config, as_of, 160) else { return };
    assert_eq!(code, 0, "{stderr}");
    assert!(peak <= 160_000_000, "{peak} bytes");
}

#[test]
fn an_answer_that_does_not_fit_is_refused_with_what_it_needs() {
    let lake = Lake::standard();
    let calls: Vec<_> =
        (0..60_000).map(|i| call("2019-07-02T08:00:00Z", &format!("app-{i}"), i)).collect();
    lake.log("logs/dt=2019-07-02/part-1.parquet", &calls);
    let Some((code, peak, stderr)) = measured(&lake, "afterscope.toml", AS_OF, 160) else { return };
    assert_eq!(code, 1, "{stderr}");
    for part in ["the memory limit does not hold the answer", "rows of figures", "--memory-limit"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    let needed = stderr.split("need at least ").nth(1).and_then(|s| s.split(' ').next());
    assert!(needed.unwrap().parse::<u64>().unwrap() > 160, "{stderr}");
    assert!(peak <= 200_000_000, "{peak} bytes");
    let (code, ..) = measured(&lake, "afterscope.toml", AS_OF, 1_000).unwrap();
    assert_eq!(code, 0);
}

/// Apps with calls of any three of forty scopes, hardly any three twice.
fn many_sets(rows: usize) -> Lake {
    let lake = Lake::empty();
    let name = |i: usize| format!("scope-{i:02}");
    let scopes: Vec<_> =
        (0..40).map(|i| format!("{},2019-06-01T00:00:00Z,name", name(i))).collect();
    lake.write("scopes.csv", &format!("scope,deprecated_at,data_fields\n{}\n", scopes.join("\n")));
    let column = "scopes = { path = \"scope\", encoding = \"space\" }";
    lake.edit("afterscope.toml", "scopes = \"scope\"", column);
    lake.edit(
        "afterscope.toml",
        "[source.columns]",
        "scopes_mean = \"exercised\"\n\n[source.columns]",
    );
    let sets: Vec<_> = (0..40)
        .flat_map(|a| (0..a).flat_map(move |b| (0..b).map(move |c| [a, b, c].map(name).join(" "))))
        .collect();
    let calls: Vec<_> = (0..rows)
        .map(|i| Call {
            scope: sets[i % sets.len()].clone(),
            ..call(
                "2019-07-02T08:00:00Z",
                &format!("app-{}", i / sets.len()),
                i64::try_from(i).unwrap(),
            )
        })
        .collect();
    lake.log("logs/dt=2019-07-02/part-0.parquet", &calls);
    lake
}

#[test]
fn apps_with_very_many_sets_of_scopes_take_no_more_memory_than_the_limit() {
    let lake = many_sets(60_000);
    let Some((code, peak, stderr)) = measured(&lake, "afterscope.toml", AS_OF, 160) else { return };
    assert_eq!(code, 0, "{stderr}");
    assert!(peak <= 160_000_000, "{peak} bytes");
    // Every call is of somebody else.
    let published = lake.run(&[]).succeeds().json();
    assert_eq!(published["totals"]["requests_allowed"], 60_000);
    assert_eq!(published["totals"]["subjects_observed"], 60_000);
}

/// The least that this lake's answer takes is more than 64 MB: the program's own code takes as much while its
/// tables are made. What it says that it needs is enough.
#[test]
#[ignore = "slow"]
fn a_flood_is_counted_the_same_within_any_limit_that_is_not_refused() {
    let flood = ["--days", "6", "--rows-per-day", "400000", "--deprecated-share", "0.6"];
    let Some(lake) = Lake::generated(&flood) else { return };
    let measured_in = |megabytes: u64| {
        let _ = std::fs::remove_dir_all(lake.path("out"));
        let (code, peak, stderr) = measured(&lake, "afterscope.toml", AS_OF, megabytes)?;
        eprintln!("{megabytes} MB allowed: exit {code}, {} MB at most", peak / 1_000_000);
        assert!(peak <= megabytes * 1_000_000, "{peak} bytes of {megabytes} MB");
        Some((code, stderr, (code == 0).then(|| bytes_below(&lake.path("out/latest")))))
    };
    let mut limit = 64;
    let least = loop {
        let Some((code, stderr, tables)) = measured_in(limit) else { return };
        if let Some(tables) = tables {
            break tables;
        }
        // Each refusal names a greater limit, so this ends.
        assert_eq!(code, 1, "{stderr}");
        let named = stderr.split(" MB").filter_map(|s| s.rsplit(' ').next()?.parse::<u64>().ok());
        let needed = named.max().unwrap();
        assert!(needed > limit, "{stderr}");
        limit = needed;
    };
    assert!(limit < 200, "{limit} MB");
    for megabytes in [256, 1_000] {
        let (code, stderr, tables) = measured_in(megabytes).unwrap();
        assert_eq!(code, 0, "{stderr}");
        assert_same(&least, &tables.unwrap());
    }
}

/// Columns of calls of one app through one scope, in files of at most 100,000 rows; `more` are those that differ.
fn calls_in_files(
    lake: &Lake,
    rows: i64,
    more: impl Fn(Range<i64>) -> Vec<(&'static str, ArrayRef)>,
) {
    const EACH: i64 = 100_000;
    for (file, from) in (0..rows).step_by(EACH as usize).enumerate() {
        let rows = from..rows.min(from + EACH);
        let same = |value: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.clone().map(|_| value)))
        };
        let mut columns = vec![
            ("event_time", times(rows.clone().map(|_| Some("2019-07-02T08:00:00Z")))),
            ("app_id", same("app-1")),
            ("scope", same("read_members")),
            ("bytes", numbers(rows.clone())),
        ];
        let more = more(rows);
        columns.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        columns.extend(more);
        lake.columns(&format!("logs/part-{file}.parquet"), columns);
    }
}

fn numbers(of: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(of))
}

/// Calls of one app, each with other bytes; nobody knows who made them.
fn calls_of_nobody(rows: i64, event_id: &str, group: impl Fn(i64) -> i64) -> Lake {
    let lake = Lake::empty();
    lake.edit("afterscope.toml", "status = \"status\"\n", "");
    calls_in_files(&lake, rows, |rows| {
        let ids = rows.clone().map(|_| event_id);
        vec![
            ("request_id", Arc::new(StringArray::from_iter_values(ids))),
            ("user_id", Arc::new(Int64Array::from_iter(rows.clone().map(|_| None::<i64>)))),
            ("group_id", numbers(rows.map(&group))),
        ]
    });
    lake
}

#[test]
fn rows_that_share_one_event_id_are_counted_or_refused_within_the_limit() {
    for (rows, code) in [(100_000, 0), (500_000, 1)] {
        let lake = calls_of_nobody(rows, "-", |_| 1);
        let Some((exit, peak, stderr)) = measured(&lake, "afterscope.toml", AS_OF, 200) else {
            return;
        };
        assert_eq!(exit, code, "{stderr}");
        assert!(peak <= 200_000_000, "{rows} rows: {peak} bytes");
        if code == 0 {
            let published = lake.publishes(&[]);
            let of_all = |table: &str, column| {
                published.table(table).row(&[("grain", "all")], &[column]).concat()
            };
            assert_eq!(of_all("scope_summary", "requests_allowed"), "100000");
            assert_eq!(of_all("coverage", "event_id_conflicts"), "1");
        } else {
            for part in ["source `access`", "one event id", "map event_id only where"] {
                assert!(stderr.contains(part), "{stderr}");
            }
        }
    }
}

#[test]
fn where_no_actor_is_named_none_of_the_memory_waits_for_actors() {
    let lake = Lake::empty();
    lake.edit("afterscope.toml", "event_id = \"request_id\"\n", "");
    lake.edit("afterscope.toml", "status = \"status\"\n", "");
    calls_in_files(&lake, 280_000, |rows| {
        let actors = rows.clone().map(|row| (row == 0).then_some(7));
        vec![
            ("user_id", Arc::new(Int64Array::from_iter(rows.clone().map(|_| None::<i64>)))),
            ("actor_id", Arc::new(Int64Array::from_iter(actors))),
            ("group_id", numbers(rows.map(|row| row % 50))),
        ]
    });
    let spilled = |folder: &str| {
        let state = format!("{folder}-state");
        let places = ["--output", folder, "--state", &state];
        let limits = ["--memory-limit", "150MB", "--threads", "2"];
        let outcome = lake.run(&[places, limits].concat()).succeeds();
        outcome.json()["effort"]["bytes_spilled"].as_u64().unwrap()
    };
    assert_eq!(spilled("without"), 0);
    lake.edit(
        "afterscope.toml",
        "subject = \"user_id\"\n",
        "subject = \"user_id\"\nactor = \"actor_id\"\n",
    );
    assert!(spilled("with") > 0);
}

#[test]
fn listed_groups_that_do_not_fit_are_refused_before_all_are_held() {
    let lake = calls_of_nobody(900_000, "-", |row| row);
    lake.edit("afterscope.toml", "event_id = \"request_id\"\n", "");
    lake.edit("afterscope.toml", "[report]\n", "[report]\ngroups = \"all\"\n");
    let Some((code, peak, stderr)) = measured(&lake, "afterscope.toml", AS_OF, 150) else { return };
    assert_eq!(code, 1, "{stderr}");
    for part in ["the memory limit does not hold the answer", "listed groups", "report.groups"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert!(peak <= 150_000_000, "{peak} bytes");
}

/// 300,000 calls, each of another person, whose column `name` has `text` of their number.
fn calls_with(lake: &Lake, name: &'static str, text: impl Fn(i64) -> String) {
    calls_in_files(lake, 300_000, |rows| {
        vec![
            ("request_id", numbers(rows.clone())),
            ("status", numbers(rows.clone().map(|_| 200))),
            ("user_id", numbers(rows.clone())),
            ("group_id", numbers(rows.clone().map(|_| 1))),
            (name, Arc::new(StringArray::from_iter_values(rows.map(&text)))),
        ]
    });
}

/// Tokens that carry any of twenty scopes: each row has another set of them.
#[test]
fn sets_of_scopes_that_are_all_different_count_in_the_limit() {
    let lake = Lake::empty();
    let scopes = "scopes = { path = \"scope\", encoding = \"space\" }";
    lake.edit("afterscope.toml", "scopes = \"scope\"", scopes);
    let meant = "scopes_mean = \"exercised\"\n\n[source.columns]";
    lake.edit("afterscope.toml", "[source.columns]", meant);
    let name = |bit: i64| format!("read_the_part_{bit:02}_of_a_profile");
    let restricted = (0..20).map(|bit| format!("{},2019-06-01T00:00:00Z,name\n", name(bit)));
    let header = "scope,deprecated_at,data_fields\n".to_string();
    lake.write("scopes.csv", &std::iter::once(header).chain(restricted).collect::<String>());
    let set = |row: i64| {
        let named = (0..19).filter(|bit| row >> bit & 1 == 1).map(name);
        named.chain([name(19)]).collect::<Vec<_>>().join(" ")
    };
    calls_with(&lake, "scope", set);
    let Some((code, peak, stderr)) = measured(&lake, "afterscope.toml", AS_OF, 160) else { return };
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("sets of scopes") && stderr.contains("--memory-limit"), "{stderr}");
    assert!(peak <= 160_000_000, "{peak} bytes");
    let (code, peak, stderr) = measured(&lake, "afterscope.toml", AS_OF, 500).unwrap();
    assert_eq!(code, 0, "{stderr}");
    assert!(peak <= 500_000_000, "{peak} bytes");
    let published = lake.publishes(&[]);
    let summary = published.table("scope_summary");
    // Of 300,000 rows, those whose number is odd; all have the last scope.
    let requests = |scope: &str| summary.row(&[("scope", scope)], &["requests_allowed"]).concat();
    assert_eq!(requests(&name(0)), "150000");
    assert_eq!(requests(&name(19)), "300000");
    assert_eq!(requests("(all)"), "300000");
}

#[test]
fn lists_of_returned_fields_that_are_all_different_count_in_the_limit() {
    let lake = Lake::empty();
    let fields = "bytes = \"bytes\"\nfields = { path = \"fields\", encoding = \"space\" }";
    lake.edit("afterscope.toml", "bytes = \"bytes\"", fields);
    let list = |row: i64| {
        let named = (0..18).filter(|bit| row >> bit & 1 == 1).map(|bit| format!("field_{bit:02}"));
        named.chain([format!("field_{}", 18 + row % 2)]).collect::<Vec<_>>().join(" ")
    };
    calls_with(&lake, "fields", list);
    let Some((code, peak, stderr)) = measured(&lake, "afterscope.toml", AS_OF, 160) else { return };
    assert_eq!(code, 1, "{stderr}");
    for part in ["lists of returned fields", "--memory-limit", "`fields`"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert!(peak <= 160_000_000, "{peak} bytes");
    let (code, peak, stderr) = measured(&lake, "afterscope.toml", AS_OF, 500).unwrap();
    assert_eq!(code, 0, "{stderr}");
    assert!(peak <= 500_000_000, "{peak} bytes");
    let published = lake.publishes(&[]);
    let summary = published.table("scope_summary");
    assert_eq!(summary.row(&[("grain", "all")], &["requests_allowed"]).concat(), "300000");
}
