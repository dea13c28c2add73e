//! `afterscope explain`: the files behind a figure.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use serde_json::Value;

use crate::lake::{AS_OF, Lake, Outcome, times};

pub fn explain(lake: &Lake, table: &str, conditions: &[&str]) -> Outcome {
    let mut args = vec!["explain", "--config", "afterscope.toml", "--as-of", AS_OF];
    args.extend(["--table", table]);
    conditions.iter().for_each(|condition| args.extend(["--where", condition]));
    lake.afterscope(&args)
}

/// Day of the file, allowed rows, held-only rows, denied rows and requests.
pub fn files(line: &Value) -> Vec<(String, [i64; 4])> {
    let of = |file: &Value| {
        let url = file["url"].as_str().unwrap();
        let (_, day) = url.split_once("dt=").unwrap();
        let sums = ["rows_allowed", "rows_held_only", "rows_denied", "requests_allowed"];
        (day[..10].to_string(), sums.map(|sum| file[sum].as_i64().unwrap()))
    };
    line["files"].as_array().unwrap().iter().map(of).collect()
}

pub fn shown(found: &[(String, [i64; 4])]) -> Vec<(&str, [i64; 4])> {
    found.iter().map(|(day, sums)| (day.as_str(), *sums)).collect()
}

#[test]
fn a_figure_is_the_sum_over_its_files() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let (first, second, third) = ("2019-07-01", "2019-07-02", "2019-07-03");
    type Case = (&'static str, Vec<&'static str>, Vec<(&'static str, [i64; 4])>);
    let cases: Vec<Case> = vec![
        (
            "app_scope_exposure",
            vec!["scope=read_members", "app_id=app-1"],
            vec![(first, [3, 0, 0, 3]), (second, [1, 0, 0, 1])],
        ),
        ("app_scope_exposure", vec!["app_id=app-3"], vec![(second, [0, 0, 1, 0])]),
        (
            "scope_summary",
            vec!["scope=write_posts"],
            vec![(first, [1, 0, 0, 1]), (third, [1, 0, 0, 1])],
        ),
        (
            "scope_summary",
            vec![],
            vec![(first, [4, 0, 0, 4]), (second, [1, 0, 1, 1]), (third, [1, 0, 0, 1])],
        ),
        (
            "developer_exposure",
            vec!["developer_id=dev-1"],
            vec![(first, [4, 0, 0, 4]), (second, [1, 0, 0, 1]), (third, [1, 0, 0, 1])],
        ),
        (
            "developer_exposure",
            vec!["developer_id=dev-2", "scope=read_members"],
            vec![(second, [0, 0, 1, 0])],
        ),
        // Denied calls are no figure of a day.
        ("daily_timeline", vec!["day=2019-07-02"], vec![(second, [1, 0, 0, 1])]),
        (
            "daily_timeline",
            vec!["day=2019-07-01", "app_id=app-2", "scope=write_posts"],
            vec![(first, [1, 0, 0, 1])],
        ),
    ];
    for (table, conditions, expected) in cases {
        let line = explain(&lake, table, &conditions).succeeds().json();
        assert_eq!(shown(&files(&line)), expected, "{table} {conditions:?}");
        let sum: i64 = expected.iter().map(|(_, sums)| sums[3]).sum();
        assert_eq!(line["sums"]["requests_allowed"], sum);
        assert_eq!(line["published"]["requests_allowed"], sum, "{line}");
        let pack = line["files"][0]["packs"][0].as_str().unwrap();
        assert!(lake.path("out/state/packs").join(pack).is_file());
        assert_eq!(line["files"][0]["row_groups"], serde_json::json!([0]));
    }
}

#[test]
fn a_figure_after_a_promise_is_explained() {
    let lake = Lake::with_standing();
    lake.publishes(&[]);
    // app-1 promised for all its scopes on 2019-07-02, and called on that day at eight.
    let line = explain(&lake, "deletion_verification", &["app_id=app-1"]).succeeds().json();
    assert_eq!(shown(&files(&line)), [("2019-07-02", [1, 0, 0, 1])]);
    assert_eq!(line["published"]["requests_after"], 1);
    assert_eq!(line["key"]["attested_at"], "2019-07-02T00:00:00.000000Z");
    let says = ["0 promises", "attested_at"];
    explain(&lake, "deletion_verification", &["app_id=app-2"]).fails(1, &says);
}

#[test]
fn a_promise_is_named_as_the_table_shows_it() {
    let lake = Lake::with_standing();
    // Of one moment the table shows the microsecond alone; the other is about a scope that nobody restricted.
    lake.write(
        "attestations.csv",
        "app_id,scope,asked_at,attested_at,statement
app-1,read_members,2019-06-20,2019-07-01T08:30:00.123456789Z,Once
app-1,email,2019-06-20,2019-07-01T08:30:00Z,Never
",
    );
    let published = lake.publishes(&[]);
    let table = published.table("deletion_verification");
    let at = table.row(&[("scope", "read_members")], &["attested_at"])[0];
    assert_eq!(at, "2019-07-01T08:30:00.123456Z");
    let of = |scope: &str, at: &str| {
        let row = [format!("scope={scope}"), format!("attested_at={at}"), "app_id=app-1".into()];
        let row: Vec<&str> = row.iter().map(String::as_str).collect();
        explain(&lake, "deletion_verification", &row).succeeds().json()
    };
    // Persons 2 and 3 within the hours after, and 1 a day later.
    let line = of("read_members", at);
    let found = files(&line);
    assert_eq!(shown(&found), [("2019-07-01", [2, 0, 0, 2]), ("2019-07-02", [1, 0, 0, 1])]);
    assert_eq!(line["published"]["subjects_after"], 3);
    let line = of("email", "2019-07-01T08:30:00Z");
    assert_eq!(
        (&line["files"], &line["published"]["requests_after"]),
        (&serde_json::json!([]), &0.into())
    );
}

#[test]
fn people_are_distinct_in_each_file_and_over_all() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    // Persons 1, 2 and 3 on the first day, 1 again on the second.
    let row = ["scope=read_members", "app_id=app-1"];
    let line = explain(&lake, "app_scope_exposure", &row).succeeds().json();
    let people = |of: &Value| of["subjects_observed"].as_u64().unwrap();
    let by_file: Vec<u64> = line["files"].as_array().unwrap().iter().map(people).collect();
    assert_eq!((by_file, people(&line["sums"]), people(&line["published"])), (vec![3, 1], 3, 3));
    // Person 1 is the one of the second day, too: once in the day's file, once in all.
    let line = explain(&lake, "scope_summary", &[]).succeeds().json();
    let by_file: Vec<u64> = line["files"].as_array().unwrap().iter().map(people).collect();
    assert_eq!((by_file, people(&line["sums"]), people(&line["published"])), (vec![3, 1, 1], 4, 4));
}

#[test]
fn the_figures_of_one_window_and_of_a_finding_are_explained() {
    let lake = Lake::with_standing();
    lake.publishes(&[]);
    let row = |more: &'static str| ["scope=read_members", "app_id=app-1", more];
    // Calls must fail from nine to ten on the first day; the grant ends with it.
    for (window, day) in [("in_brownout", "2019-07-01"), ("after_revocation", "2019-07-02")] {
        let condition: &'static str = format!("window={window}").leak();
        let line = explain(&lake, "app_scope_exposure", &row(condition)).succeeds().json();
        assert_eq!(shown(&files(&line)), [(day, [1, 0, 0, 1])], "{window}");
        let published = serde_json::json!({
            format!("requests_{window}"): 1, format!("subjects_{window}"): 1,
        });
        assert_eq!(line["published"], published);
        let condition: &'static str = format!("finding={window}").leak();
        let line = explain(&lake, "findings", &row(condition)).succeeds().json();
        assert_eq!(shown(&files(&line)), [(day, [1, 0, 0, 1])], "{window}");
        let published = serde_json::json!({"requests_allowed": 1, "subjects_observed": 1});
        assert_eq!(line["published"], published);
    }
    // Group 10 was read on the first day by persons 1 to 3, group 11 on the second by person 1.
    for (group, day, figures) in [("10", "2019-07-01", [3, 3]), ("11", "2019-07-02", [1, 1])] {
        let condition = format!("group_id={group}");
        let row = ["scope=read_members", condition.as_str()];
        let line = explain(&lake, "groups_exposed", &row).succeeds().json();
        assert_eq!(shown(&files(&line)), [(day, [figures[0], 0, 0, figures[0]])], "{group}");
        let published = serde_json::json!({
            "requests_allowed": figures[0], "subjects_observed": figures[1],
        });
        assert_eq!(line["published"], published, "{group}");
    }
    let refused = |table: &str, conditions: &[&str], says: &[&str]| {
        explain(&lake, table, conditions).fails(1, says);
    };
    refused("groups_exposed", &["group_id=10"], &["give scope=…"]);
    refused("groups_exposed", &["scope=read_members"], &["give group_id=…"]);
    refused("groups_exposed", &["scope=read_members", "group_id=x"], &["group_id=x", "integer"]);
    let row = ["scope=read_members", "group_id=10", "namespace=other"];
    refused("groups_exposed", &row, &["namespace=other", "namespaces access"]);
    let row = ["scope=read_members", "group_id=(rest)"];
    refused("groups_exposed", &row, &["all groups that are not listed"]);
    refused("data_categories", &["scope=read_members"], &["give data_category=…"]);
    let row = ["scope=read_members", "data_category=posts"];
    refused("data_categories", &row, &["scope read_members no such data field"]);
    refused("app_scope_exposure", &["window=later"], &["window=later", "in_grace, after_grace"]);
    refused("scope_summary", &["window=in_grace"], &["windows lookback"]);
    refused("findings", &["scope=read_members", "app_id=app-1"], &["give finding=after_attest"]);
    refused("findings", &["finding=lookback"], &["give finding=after_attestation"]);
    refused("findings", &["finding=after_grace"], &["give scope=… and app_id=…"]);
}

#[test]
fn repeats_and_weights_are_told_by_file() {
    let lake = Lake::empty();
    lake.edit("afterscope.toml", "group = \"group_id\"\n", "weight = \"weight\"\n");
    lake.edit("afterscope.toml", "status = \"status\"\n", "");
    // The second file repeats the row of the first one, and has one of its own.
    for (day, ids) in [("2019-07-01", &["e1"][..]), ("2019-07-02", &["e1", "e2"])] {
        let text = |value: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(ids.iter().map(|_| value)))
        };
        let number = |value: i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(ids.iter().map(|_| value)))
        };
        lake.columns(
            &format!("logs/dt={day}/part-0.parquet"),
            vec![
                ("event_time", times(ids.iter().map(|_| Some("2019-07-01T08:00:00Z")))),
                ("request_id", Arc::new(StringArray::from_iter_values(ids.iter()))),
                ("app_id", text("app-1")),
                ("scope", text("read_members")),
                ("user_id", number(1)),
                ("weight", number(5)),
                ("bytes", number(100)),
            ],
        );
    }
    lake.publishes(&[]);
    let line = explain(&lake, "scope_summary", &["scope=read_members"]).succeeds().json();
    let found = files(&line);
    assert_eq!(shown(&found), [("2019-07-01", [1, 0, 0, 5]), ("2019-07-02", [1, 0, 0, 5])]);
    assert_eq!(line["files"][1]["rows_deduplicated"], 1);
    assert_eq!(line["published"]["requests_allowed"], 10);
}

#[test]
fn what_was_only_held_and_what_is_unknown_is_told_too() {
    let lake = Lake::empty();
    let scopes = r#"scopes = { path = "scope", encoding = "space" }"#;
    lake.edit("afterscope.toml", r#"scopes = "scope""#, &format!("{scopes}\nendpoint = \"path\""));
    lake.edit("afterscope.toml", "group = \"group_id\"\nscopes", "scopes");
    lake.edit("afterscope.toml", "[registry]", "[registry]\nendpoints = \"endpoints.csv\"");
    lake.write("endpoints.csv", "path,scope\n/members,read_members\n/posts,write_posts\n");
    // One call of each scope, one of neither, and one that nobody knows how it ended.
    let paths = ["/members", "/posts", "/other", "/members"];
    let text = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(paths.iter().map(|_| value)))
    };
    let number = |values: [Option<i64>; 4]| -> ArrayRef { Arc::new(Int64Array::from_iter(values)) };
    lake.columns(
        "logs/dt=2019-07-05/part-0.parquet",
        vec![
            ("event_time", times(paths.iter().map(|_| Some("2019-07-05T08:00:00Z")))),
            ("request_id", Arc::new(StringArray::from_iter_values(["a", "b", "c", "d"]))),
            ("app_id", text("app-1")),
            ("scope", text("read_members write_posts")),
            ("path", Arc::new(StringArray::from_iter_values(paths))),
            ("user_id", number([Some(1), Some(2), Some(3), Some(4)])),
            ("status", number([Some(200), Some(200), Some(200), None])),
            ("bytes", number([Some(1), Some(1), Some(1), Some(1)])),
        ],
    );
    lake.publishes(&[]);
    let columns = ["requests_allowed", "requests_held_only", "requests_denied", "requests_unknown"];
    for (scope, expected) in [
        // Held by the calls of the other endpoint and of neither.
        ("scope=read_members", [1, 2, 0, 1]),
        ("scope=write_posts", [1, 2, 0, 1]),
        // At a grain without a scope, a call that exercised any is exposure.
        ("scope=(all)", [2, 1, 0, 1]),
    ] {
        let line = explain(&lake, "app_scope_exposure", &[scope, "app_id=app-1"]).succeeds().json();
        let sums = columns.map(|column| line["sums"][column].as_i64().unwrap());
        let published = columns.map(|column| line["published"][column].as_i64().unwrap());
        assert_eq!((sums, published), (expected, expected), "{scope}");
    }
}

#[test]
fn every_row_of_the_sample_that_can_be_explained_is() {
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "demo", "--rows", "20000"]).succeeds();
    let run = ["run", "--config", "demo/afterscope.toml", "--as-of", "2019-11-06T00:00:00Z"];
    let published = lake.afterscope(&run).succeeds().published();
    let mut explained = 0;
    for (name, keys, step) in [
        ("scope_summary", &["scope"][..], 1),
        ("app_scope_exposure", &["scope", "app_id"], 9),
        ("developer_exposure", &["scope", "developer_id"], 9),
        ("daily_timeline", &["scope", "app_id", "day"], 401),
        ("findings", &["scope", "app_id", "finding"], 7),
        ("subjects_by_jurisdiction", &["scope", "app_id", "country", "subdivision"], 61),
        ("thresholds", &["scope", "regime", "jurisdiction"], 11),
        ("coverage", &["source", "file_day"], 97),
    ] {
        let table = published.table(name);
        let columns: Vec<Vec<&str>> = keys.iter().map(|key| table.column(key)).collect();
        let figures = ["requests_allowed", "subjects_observed", "rows_in_metadata", "rows_counted"];
        let figures =
            figures.into_iter().filter(|figure| table.columns.contains(&(*figure).into()));
        let figures: Vec<(&str, Vec<&str>)> = figures.map(|f| (f, table.column(f))).collect();
        for row in (0..table.rows.len()).step_by(step) {
            let conditions: Vec<String> = keys
                .iter()
                .zip(&columns)
                // A total of days names none.
                .filter(|(key, column)| **key != "file_day" || column[row] != "null")
                .map(|(key, column)| format!("{key}={}", column[row].replace("null", "")))
                .collect();
            let mut args = run.to_vec();
            args[0] = "explain";
            args.extend(["--quiet", "--table", name]);
            conditions.iter().for_each(|condition| args.extend(["--where", condition]));
            let line = lake.afterscope(&args).succeeds().json();
            for (figure, column) in &figures {
                let wanted: i64 = column[row].parse().unwrap();
                assert_eq!(line["sums"][figure], wanted, "{figure} {conditions:?}");
                assert_eq!(line["published"][figure], wanted, "{figure} {conditions:?}");
            }
            explained += 1;
        }
    }
    assert!(explained > 40, "{explained}");
}

#[test]
fn only_the_ledger_is_read_and_nothing_written() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    lake.spoil_logs();
    let before = lake.files();
    explain(&lake, "scope_summary", &[]).succeeds();
    assert_eq!(before, lake.files());
    fs::remove_dir_all(lake.path("out/state")).unwrap();
    let says = ["the ledger", "lacks 3 files of source `access`", "afterscope run"];
    explain(&lake, "scope_summary", &[]).fails(1, &says);
}

#[test]
fn a_published_figure_that_is_not_the_sum_is_named() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    super::forged::forge(&lake);
    let outcome = explain(&lake, "scope_summary", &["scope=read_members"]);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    let says = "requests_allowed is published as 3 and comes out as 4";
    assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
}

#[test]
fn a_figure_that_nothing_is_published_of_is_explained_all_the_same() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    // No run of this day stands, but the ledger has all rows.
    let args = ["explain", "--config", "afterscope.toml", "--as-of", "2019-07-02T00:00:00Z"];
    let args: Vec<&str> = args.into_iter().chain(["--table", "scope_summary"]).collect();
    let line = lake.afterscope(&args).succeeds().json();
    assert_eq!((&line["published"], &line["sums"]["requests_allowed"]), (&Value::Null, &4.into()));
}

#[test]
fn what_cannot_be_explained_is_said() {
    let lake = Lake::standard();
    lake.log_without_app("logs/dt=2019-07-04/part-0.parquet", "2019-07-04T08:00:00Z");
    lake.publishes(&[]);
    explain(&lake, "deadlines", &[]).fails(1, &["deadlines", "scope_summary, app_scope_exposure"]);
    let refused = |table: &str, condition: &str, says: &[&str]| {
        explain(&lake, table, &[condition]).fails(1, says);
    };
    refused("scope_summary", "app_id=app-1", &["a row of scope_summary is named by scope"]);
    refused("scope_summary", "scope", &["column=value"]);
    refused("scope_summary", "scope=no_such", &["names no such scope"]);
    refused("daily_timeline", "scope=read_members", &["give day="]);
    refused("daily_timeline", "day=yesterday", &["yesterday"]);
    refused("developer_exposure", "scope=read_members", &["give developer_id="]);
    // An app that did nothing is no mistake: its figure is 0.
    let line = explain(&lake, "app_scope_exposure", &["app_id=app-8"]).succeeds().json();
    assert_eq!((&line["files"], &line["published"]), (&serde_json::json!([]), &Value::Null));
    // The row of events that name no app.
    let row = ["scope=read_members", "app_id="];
    let line = explain(&lake, "app_scope_exposure", &row).succeeds().json();
    assert_eq!(shown(&files(&line)), [("2019-07-04", [1, 0, 0, 1])]);
    assert_eq!(line["published"]["requests_allowed"], 1);
}
