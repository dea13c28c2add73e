//! `[output.postgres]` on a real server: what stands in the database is what was published, whole or not at all.

mod lineage;
mod refusals;
mod rights;
mod server;
mod tls;
mod together;
mod views;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use crate::lake::{Lake, Outcome, times};
use server::{Postgres, assert_holds, run};

/// The schema that is taken where none is named.
const SCHEMA: &str = "afterscope";

fn run_id(outcome: &Outcome) -> String {
    outcome.json()["run_id"].as_str().unwrap().to_string()
}

/// Runs the committed sample.
fn run_sample(lake: &Lake, server: &Postgres, as_of: &str) -> Outcome {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/data-samples/groups-2019/afterscope.toml");
    let reference = format!("output.postgres.url=env:{}", server::VARIABLE);
    let args =
        ["run", "--config", config, "--as-of", as_of, "--output", "out", "--set", &reference];
    let url = server.url(server::BOSS, "");
    Outcome::of(lake, lake.command(&args).env(server::VARIABLE, url).output().unwrap())
}

#[test]
#[ignore = "slow"]
fn a_run_in_the_database_is_what_was_published_and_stays_as_it_is() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::with_all();
    let url = server.url(server::BOSS, "");
    let first = run(&lake, &url, &["--as-of", "2019-07-20"]).succeeds();
    let second = run(&lake, &url, &["--follows", "latest", "-vv"]).succeeds();
    assert_eq!(second.json()["database"]["stood"], false);
    for outcome in [&first, &second] {
        let tables = outcome.published().folder;
        let id = run_id(outcome);
        assert_holds(&server, SCHEMA, &tables, |table| {
            format!("{SCHEMA}.history_{table} WHERE run_id = '{id}'")
        });
    }
    // The views are the latest run, as `latest/` is.
    assert_holds(&server, SCHEMA, &lake.path("out/latest"), |table| format!("{SCHEMA}.{table}"));

    // By hand: 6 requests to 4 people, in the second report of two.
    let row = "SELECT as_of, verdict, report_number, follows, requests_allowed, subjects_observed FROM afterscope.latest_run";
    let expected = format!("2019-09-01 00:00:00+00|complete|2|{}|6|4", run_id(&first));
    assert_eq!(server.sql("bi", row), expected);

    let before = server.dump(SCHEMA);
    let again = run(&lake, &url, &["--follows", "latest"]).succeeds().json();
    assert_eq!((&again["reused"], &again["database"]["stood"]), (&true.into(), &true.into()));
    let earlier = run(&lake, &url, &["--as-of", "2019-07-20"]).succeeds().json();
    assert_eq!(earlier["database"]["stood"], true);
    assert!(server.dump(SCHEMA) == before, "something changed");

    for path in lake.files().into_keys() {
        let text = String::from_utf8_lossy(&std::fs::read(lake.path(&path)).unwrap()).into_owned();
        assert!(!text.contains(server::PASSWORD) && !text.contains("pass%40word"), "{path}");
    }

    // Comments and keys are where BI tools look for them.
    let comment = "SELECT col_description('afterscope.scope_summary'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'afterscope.scope_summary'::regclass AND attname = 'subjects_observed'";
    assert_eq!(server.sql("bi", comment), "people: Distinct people whose data was reached.");
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype IN ('p', 'u') AND conrelid::regclass::text LIKE 'afterscope.history\\_%'";
    // The one key without a text.
    assert_eq!(server.sql("bi", keys), "1");
    // One statement takes a run away.
    server.sql("bi", &format!("DELETE FROM afterscope.runs WHERE run_id = '{}'", run_id(&second)));
    assert_eq!(
        server.sql("bi", "SELECT DISTINCT run_id FROM afterscope.scope_summary"),
        run_id(&first)
    );
    assert_eq!(server.sql("bi", "SELECT count(*) FROM afterscope.change_log"), "0");
}

#[test]
#[ignore = "slow"]
fn the_charts_of_the_page_show_in_the_database_what_it_says() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::empty();
    let ran = run_sample(&lake, &server, "2019-11-06").succeeds();
    assert_holds(&server, SCHEMA, &ran.published().folder, |table| format!("{SCHEMA}.{table}"));
    let page = std::fs::read_to_string(crate::query::charts::PAGE).unwrap();
    for (sql, expected) in crate::query::charts::charts(&page) {
        let mut psql = server.psql("bi", "SET search_path = afterscope");
        psql.args(["--csv", "-P", "tuples_only=off", "-c", sql]);
        let output = psql.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{sql}");
    }
}

#[test]
#[ignore = "slow"]
fn the_latest_run_is_the_one_that_the_output_calls_so() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(server::BOSS, "");
    let is_the_latest = |what: &str| {
        let latest = lake.json("out/latest.json")["run_id"].as_str().unwrap().to_string();
        assert_eq!(server.sql("bi", "SELECT run_id FROM afterscope.latest_run"), latest, "{what}");
    };
    let first = run_id(&run(&lake, &url, &[]).succeeds());
    is_the_latest("the only one");
    lake.edit("scopes.csv", "2019-06-01T00:00:00Z", "2019-06-02T00:00:00Z");
    let second = run_id(&run(&lake, &url, &[]).succeeds());
    is_the_latest("of one as_of, the second");
    run(&lake, &url, &["--as-of", "2019-07-03"]).succeeds();
    is_the_latest("not an earlier as_of");
    lake.edit("scopes.csv", "2019-06-02T00:00:00Z", "2019-06-01T00:00:00Z");
    assert_eq!(run_id(&run(&lake, &url, &[]).succeeds()), first);
    is_the_latest("of one as_of, the one that was published again");
    let current = "SELECT string_agg(run_id, ' ' ORDER BY as_of) FROM afterscope.current_runs";
    let current = server.sql("bi", current);
    assert!(current.contains(&first) && !current.contains(&second), "{current}");
}

#[test]
#[ignore = "slow"]
fn hostile_texts_are_kept_but_for_what_no_database_holds() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let odd = [
        "a\0b\0",
        "\\N",
        "\\.",
        "a\t\"b\"\n,c\\",
        "'; DROP TABLE runs; --",
        "(all)",
        "\u{202e}é🦀",
        "",
    ];
    let texts = |values: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let same = |text: &str| texts(vec![text.to_string(); odd.len()]);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(100..100 + odd.len() as i64));
    lake.columns(
        "logs/odd.parquet",
        vec![
            ("event_time", times(odd.iter().map(|_| Some("2019-07-02T08:00:00.123456Z")))),
            ("request_id", texts((0..odd.len()).map(|i| format!("odd-{i}")).collect())),
            ("app_id", texts(odd.iter().map(|text| (*text).to_string()).collect())),
            ("user_id", numbers.clone()),
            ("group_id", numbers),
            ("scope", same("read_members")),
            ("status", Arc::new(Int64Array::from(vec![200; odd.len()]))),
            ("bytes", Arc::new(Int64Array::from(vec![1; odd.len()]))),
        ],
    );
    lake.write("own table.sql", "SELECT app_id, requests_allowed AS \"Of \"\"it\"\"\" FROM exposure WHERE grain = 'app' AND window = 'after_restriction'");
    let set = "report.queries=[\"own table.sql\"]";
    let refused = run(&lake, &server.url(server::BOSS, ""), &["--set", set]);
    refused.fails(1, &["own table.sql"]);
    std::fs::rename(lake.path("own table.sql"), lake.path("Own-table.sql")).unwrap();
    let set = "report.queries=[\"Own-table.sql\"]";
    let ran = run(&lake, &server.url(server::BOSS, ""), &["--set", set]).succeeds();
    // Two in the app's id, in each table that names the app.
    assert!(ran.stderr.contains("app_scope_exposure: 4 characters U+0000"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Own-table: 2 characters U+0000"), "{}", ran.stderr);
    let tables = ran.published().folder;
    assert_holds(&server, SCHEMA, &tables, |table| format!("{SCHEMA}.\"history_{table}\""));
    let told = "SELECT nul_characters FROM afterscope.run_tables WHERE table_name = 'Own-table'";
    assert_eq!(server.sql("bi", told), "2");
}

#[test]
#[ignore = "slow"]
fn columns_that_the_schema_lacks_are_added_and_others_stay() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(server::BOSS, "");
    let first = run(&lake, &url, &["--as-of", "2019-07-20"]).succeeds();
    // As a version before would have made it, and one after.
    server.sql(
        "bi",
        "ALTER TABLE afterscope.history_daily_timeline DROP COLUMN subjects_new CASCADE",
    );
    server.sql("bi", "ALTER TABLE afterscope.history_coverage ADD COLUMN of_tomorrow bigint");
    let second = run(&lake, &url, &[]).succeeds();
    let id = run_id(&second);
    let tables = second.published().folder;
    server.sql("bi", "ALTER TABLE afterscope.history_coverage DROP COLUMN of_tomorrow CASCADE");
    assert_eq!(
        server.sql("bi", "SELECT count(*) > 0, count(subjects_new) FROM afterscope.history_daily_timeline WHERE as_of = '2019-07-20Z'"),
        "t|0"
    );
    assert_eq!(
        server.sql("bi", "SELECT count(subjects_new) > 0 FROM afterscope.daily_timeline"),
        "t"
    );
    assert_holds(&server, SCHEMA, &tables, |table| {
        format!("{SCHEMA}.history_{table} WHERE run_id = '{id}'")
    });
    // What stood before says the same as before.
    assert_eq!(
        run(&lake, &url, &["--as-of", "2019-07-20"]).succeeds().json()["run_id"],
        first.json()["run_id"]
    );
    server.sql("bi", "DROP VIEW afterscope.coverage");
    server.sql("bi", "ALTER TABLE afterscope.history_coverage ALTER verdict TYPE varchar(20)");
    run(&lake, &url, &["--as-of", "2019-07-21"])
        .fails(1, &["`verdict`", "character varying(20)", "history_coverage", "text"]);
}
