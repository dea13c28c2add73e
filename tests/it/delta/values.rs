//! Values that the log gives all rows of a file: another log over the same file is another answer.

use serde_json::json;

use super::{add, commit, metadata, protocol, schema};
use crate::lake::{Lake, call};
use crate::proof::{differs, holds};

const RECOMPUTE: [&str; 4] = ["out", "--recompute", "--config", "afterscope.toml"];

/// Writes the log anew, in place: all rows of its one file have `value` as `dt`, a text.
fn tell(lake: &Lake, value: &str) {
    let text = schema(|_| json!({})).replace("\"date\"", "\"string\"");
    let file = add(lake, "a.parquet", value, "dt");
    commit(lake, 0, &[protocol(&[]), metadata(&text, &json!({})), file]);
}

/// A table of one call.
fn table(value: &str) -> Lake {
    let lake = Lake::empty();
    lake.log("logs/a.parquet", &[call("2019-07-01T08:00:00Z", "app-1", 1)]);
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    tell(&lake, value);
    lake
}

#[test]
fn other_values_of_the_same_file_are_another_answer() {
    let lake = table("app-1");
    lake.edit("afterscope.toml", "app = \"app_id\"", "app = \"dt\"");
    let run = |args: &[&str], app: &str| {
        let outcome = lake.run(args).succeeds();
        let table = outcome.published().table("app_scope_exposure");
        let used = table.row(&[("grain", "app"), ("app_id", app)], &["requests_allowed"]);
        assert_eq!(used, ["1"], "{app}");
        outcome
    };
    let first = run(&[], "app-1").json();
    tell(&lake, "app-2");
    let again: Vec<&str> = std::iter::once("verify").chain(RECOMPUTE).collect();
    differs(&lake.afterscope(&again), &["a.parquet was changed since the run"]);
    let second = run(&["--follows", "latest"], "app-2");
    assert_ne!(first["run_id"], second.json()["run_id"]);
    // One file, one row of it: and the cause is told.
    let log = second.published().table("change_log");
    let reasons = log.column("reason");
    assert!(reasons.contains(&"rewritten file"), "{reasons:?}");
    assert!(reasons.iter().all(|reason| *reason == "rewritten file"), "{reasons:?}");
    holds(&lake, &RECOMPUTE);
    tell(&lake, "app-1");
    let third = run(&[], "app-1").json();
    assert_eq!((&third["run_id"], &third["reused"]), (&first["run_id"], &json!(true)));
}

#[test]
fn a_day_that_the_log_tells_anew_must_hold_the_rows_again() {
    let lake = table("2019-07-01");
    let partition = "partition_time = { column = \"dt\", grain = \"1d\", slack = \"0d\" }\n";
    lake.edit("afterscope.toml", "\n[source.columns]", &format!("{partition}\n[source.columns]"));
    lake.publishes(&[]);
    tell(&lake, "2019-08-01");
    lake.run(&[]).fails(3, &["a.parquet", "2019-08-01", "2019-07-01T08:00:00Z"]);
}
