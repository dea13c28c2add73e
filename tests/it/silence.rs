//! Nothing that could make a number wrong is passed over in silence.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray, TimestampNanosecondArray};

use crate::lake::{Lake, call, micros, times};

/// A lake whose scopes and people stand in JSON texts.
fn json_lake(texts: &[&str]) -> Lake {
    let lake = Lake::empty();
    let scopes = r#"scopes = { path = "details", json = "s" }"#;
    lake.edit("afterscope.toml", r#"scopes = "scope""#, scopes);
    lake.edit("afterscope.toml", "event_id = \"request_id\"\n", "");
    for line in ["group = \"group_id\"\n", "status = \"status\"\n", "bytes = \"bytes\"\n"] {
        lake.edit("afterscope.toml", line, "");
    }
    let text = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(texts.iter().map(|_| value)))
    };
    lake.columns(
        "logs/part-0.parquet",
        vec![
            ("event_time", times(texts.iter().map(|_| Some("2019-07-02T08:00:00Z")))),
            ("app_id", text("app-1")),
            ("user_id", text("u1")),
            ("details", Arc::new(StringArray::from_iter_values(texts.iter()))),
        ],
    );
    lake
}

#[test]
fn a_scope_in_json_that_cannot_be_read_is_a_reject_and_not_a_row_without_scope() {
    let good = r#"{"s":"read_members"}"#;
    assert_eq!(
        json_lake(&[good, good]).run(&[]).succeeds().json()["totals"]["requests_allowed"],
        2
    );
    for broken in [
        r#"{"x":"\ud83d","s":"read_members"}"#,
        r#"{"x":1e999,"s":"read_members"}"#,
        r#"{"s":["read_members"]}"#,
        "no JSON",
    ] {
        let lake = json_lake(&[good, broken]);
        lake.refuses(&[], 3, &["1 rows are rejected", "part-0.parquet"]);
    }
}

#[test]
fn a_person_in_json_that_cannot_be_read_is_an_error_and_not_nobody() {
    let lake = json_lake(&[r#"{"s":"read_members"}"#, r#"{"x":"\ud83d"}"#]);
    let person = r#"subject = { path = "details", json = "s" }"#;
    lake.edit("afterscope.toml", r#"subject = "user_id""#, person);
    lake.edit(
        "afterscope.toml",
        r#"scopes = { path = "details", json = "s" }"#,
        "scopes = \"user_id\"",
    );
    lake.write("scopes.csv", "scope,deprecated_at\nu1,2019-06-01\n");
    lake.refuses(&[], 3, &["part-0.parquet", "`details`", "subject", "is no JSON"]);
}

#[test]
fn a_file_address_with_a_fragment_is_refused() {
    let lake = Lake::standard();
    for mark in ["#2", "?x"] {
        let url = format!("source.0.url=file://{}{mark}/", lake.path("logs").display());
        lake.refuses(&["--set", &url], 1, &["file:// address takes no ? or #", "%23"]);
    }
}

#[test]
fn a_link_to_a_file_of_the_log_is_refused() {
    let lake = Lake::standard();
    let file = lake.path("logs/dt=2019-07-01/part-0.parquet");
    std::os::unix::fs::symlink(&file, lake.path("logs/again.parquet")).unwrap();
    lake.refuses(&[], 3, &["again.parquet", "the same file", "dt=2019-07-01/part-0.parquet"]);
}

#[test]
fn files_that_two_sources_read_are_told() {
    let lake = Lake::standard();
    let config = std::fs::read_to_string(lake.path("afterscope.toml")).unwrap();
    let (source, _) = config.split_once("[registry]").unwrap();
    let second = source.replace("\"access\"", "\"again\"");
    lake.write("afterscope.toml", &config.replace("[registry]", &format!("{second}[registry]")));
    let outcome = lake.run(&[]).succeeds();
    assert!(outcome.stderr.contains("3 files are read by source `access` and by source `again`"));
}

#[test]
fn a_registry_column_that_nothing_reads_is_told_with_the_nearest_name() {
    let lake = Lake::standard();
    lake.edit("apps.csv", "developer_name", "developer_nam");
    let outcome = lake.run(&[]).succeeds();
    for says in ["apps.csv", "`developer_nam`", "did you mean `developer_name`?"] {
        assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
    }
}

#[test]
fn a_scope_without_a_call_and_a_rule_that_allows_none_are_told() {
    let lake = Lake::standard();
    lake.edit("scopes.csv", "write_posts", "Write_Posts");
    let outcome = lake.run(&[]).succeeds();
    assert!(outcome.stderr.contains("no call of scope `Write_Posts` counts"), "{}", outcome.stderr);
    let none = lake.run(&["--set", "source.0.status.allowed=[\"OK\"]", "--output", "none"]);
    let none = none.succeeds();
    assert!(none.stderr.contains("the status rule allows none of its 5 calls"), "{}", none.stderr);
}

#[test]
fn a_status_of_true_and_false_needs_its_words() {
    let lake = Lake::empty();
    for line in ["event_id = \"request_id\"\n", "group = \"group_id\"\n", "bytes = \"bytes\"\n"] {
        lake.edit("afterscope.toml", line, "");
    }
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value, value])) };
    lake.columns(
        "logs/part-0.parquet",
        vec![
            ("event_time", times([Some("2019-07-02T08:00:00Z"); 2].into_iter())),
            ("app_id", text("app-1")),
            ("user_id", text("u1")),
            ("scope", text("read_members")),
            ("status", Arc::new(BooleanArray::from(vec![true, false]))),
        ],
    );
    lake.refuses(&[], 1, &["`status`", "Boolean", "status.allowed"]);
    let words = ["--set", "source.0.status.allowed=[\"true\"]"];
    assert_eq!(lake.run(&words).succeeds().json()["totals"]["requests_allowed"], 1);
}

#[test]
fn a_run_that_was_altered_is_told_and_published_anew() {
    let lake = Lake::standard();
    let first = lake.run(&[]).succeeds();
    let id = first.json()["run_id"].as_str().unwrap().to_string();
    lake.edit(
        &format!("out/runs/{id}/manifest.json"),
        "\"requests_allowed\": 6",
        "\"requests_allowed\": 5",
    );
    let again = lake.run(&[]).succeeds();
    assert!(again.stderr.contains("no longer holds"), "{}", again.stderr);
    assert_eq!(again.json()["totals"]["requests_allowed"], 6);
}

#[test]
fn lines_of_a_registry_are_counted_as_an_editor_counts_them() {
    for (text, line) in [
        ("scope,deprecated_at\r\nread_members,2019-06-01\r\nwrite_posts,soon\r\n", "line 3"),
        ("scope,deprecated_at\n\n\nread_members,2019-06-01\n\nwrite_posts,soon\n", "line 6"),
    ] {
        let lake = Lake::standard();
        lake.write("scopes.csv", text);
        lake.refuses(&[], 1, &["scopes.csv", line, "`soon`"]);
    }
}

#[test]
fn a_registry_in_parquet_may_have_times_of_a_named_zone() {
    let lake = Lake::standard();
    let nanos = ["2019-06-01T00:00:00Z", "2019-07-01T00:00:00Z"].map(|t| micros(t) * 1000);
    let times = TimestampNanosecondArray::from(nanos.to_vec()).with_timezone("Europe/Berlin");
    let scopes = StringArray::from(vec!["read_members", "write_posts"]);
    lake.columns(
        "scopes.parquet",
        vec![("scope", Arc::new(scopes)), ("deprecated_at", Arc::new(times))],
    );
    let csv = lake.publishes(&["--output", "csv"]);
    let set = ["--set", "registry.scopes=scopes.parquet", "--output", "parquet"];
    let key = [("grain", "all"), ("scope", "(all)")];
    let figures = ["requests_allowed", "subjects_observed", "first_access"];
    let found = lake.publishes(&set);
    assert_eq!(
        found.table("scope_summary").row(&key, &figures),
        csv.table("scope_summary").row(&key, &figures)
    );
}

#[test]
fn an_output_inside_the_logs_is_refused_also_through_a_link() {
    let lake = Lake::standard();
    std::fs::rename(lake.path("logs"), lake.path("real")).unwrap();
    std::os::unix::fs::symlink(lake.path("real"), lake.path("logs")).unwrap();
    lake.refuses(&["--output", "real/out"], 1, &["--output", "inside source `access`"]);
    lake.log("logs/more.parquet", &[call("2019-07-05T08:00:00Z", "app-1", 7)]);
}

#[test]
fn a_file_without_rows_covers_no_day_even_if_its_folder_names_one() {
    let lake = Lake::standard();
    let declared = "partition_time = { column = \"dt\", grain = \"1d\", slack = \"0d\" }
expected = { every = \"1d\", from = \"2019-07-01\", until = \"2019-07-05\" }
";
    let config = std::fs::read_to_string(lake.path("afterscope.toml")).unwrap();
    let config = config.replacen("[source.columns]", &format!("{declared}\n[source.columns]"), 1);
    lake.write("afterscope.toml", &config);
    lake.log("logs/dt=2019-07-04/part-0.parquet", &[]);
    let coverage = lake.publishes(&[]).table("coverage");
    let wanted = ["periods_expected", "periods_covered"];
    assert_eq!(coverage.row(&[("grain", "source"), ("source", "access")], &wanted), ["4", "3"]);
}
