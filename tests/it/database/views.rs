//! Views that somebody has changed: charts would show something else under the same name.

use super::server::{BOSS, Postgres, assert_holds, run};
use super::{SCHEMA, run_id};
use crate::lake::Lake;

/// What `run_id` and the columns of a view's definition are asked from.
fn columns(server: &Postgres, schema: &str, view: &str) -> String {
    server.sql(
        "bi",
        &format!(
            "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
             FROM information_schema.columns WHERE table_schema = '{schema}' AND table_name = '{view}'"
        ),
    )
}

#[test]
#[ignore = "slow"]
fn a_view_that_somebody_has_changed_is_named_and_serves_no_new_run() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(BOSS, "");
    let first = run(&lake, &url, &["--as-of", "2019-07-03"]).succeeds();
    let own = columns(&server, SCHEMA, "coverage");
    let made = format!("CREATE OR REPLACE VIEW afterscope.coverage AS SELECT {own}");
    let of = "FROM afterscope.history_coverage WHERE run_id";
    for (view, change) in [
        // Every run's rows.
        ("coverage", format!("{made} FROM afterscope.history_coverage")),
        ("coverage", format!("{made} {of} = (SELECT min(run_id) FROM afterscope.runs)")),
        // The same words, of which one means the column of the table outside: every run's rows again.
        (
            "coverage",
            format!("{made} {of} = (SELECT history_coverage.run_id FROM afterscope.latest_run)"),
        ),
        // Another column, and none.
        (
            "scope_summary",
            "ALTER VIEW afterscope.scope_summary RENAME COLUMN subjects_observed TO subjects".into(),
        ),
        (
            "findings",
            "DROP VIEW afterscope.findings; CREATE VIEW afterscope.findings AS SELECT 1 AS n".into(),
        ),
        // What stays as it is when the next run comes.
        (
            "coverage",
            format!(
                "DROP VIEW afterscope.coverage; CREATE MATERIALIZED VIEW afterscope.coverage AS
                 SELECT {own} {of} = (SELECT run_id FROM afterscope.latest_run)"
            ),
        ),
        (
            "latest_run",
            "CREATE OR REPLACE VIEW afterscope.latest_run AS SELECT * FROM afterscope.runs ORDER BY as_of, turn LIMIT 1".into(),
        ),
        (
            "current_runs",
            "CREATE OR REPLACE VIEW afterscope.current_runs AS SELECT * FROM afterscope.runs".into(),
        ),
    ] {
        server.sql("bi", &change);
        let told = format!("not what afterscope made: {view}\n");
        run(&lake, &url, &[]).fails(3, &[&told, "find out who", "DROP VIEW"]);
        // The run that stands there neither.
        run(&lake, &url, &["--as-of", "2019-07-03"]).fails(3, &[&told]);
        assert_eq!(lake.json("out/latest.json")["run_id"], first.json()["run_id"], "{change}");
        assert_eq!(server.sql("bi", "SELECT count(*) FROM afterscope.runs"), "1");
        let kind = if change.contains("MATERIALIZED") { "MATERIALIZED VIEW" } else { "VIEW" };
        server.sql("bi", &format!("DROP {kind} afterscope.{view} CASCADE"));
        // What is not there is made anew, whoever dropped it.
        let again = run(&lake, &url, &["--as-of", "2019-07-03"]).succeeds();
        assert_eq!(again.json()["database"]["stood"], true);
        let latest = lake.path("out/latest");
        assert_holds(&server, SCHEMA, &latest, |table| format!("{SCHEMA}.{table}"));
        assert_eq!(
            server.sql("bi", "SELECT run_id FROM afterscope.latest_run"),
            server.sql("bi", "SELECT run_id FROM afterscope.current_runs")
        );
    }
    // Names, rights and comments are nobody's figures.
    server.sql("bi", "COMMENT ON VIEW afterscope.coverage IS 'ours'; CREATE ROLE someone; GRANT SELECT ON afterscope.coverage TO someone");
    run(&lake, &url, &[]).succeeds();
}

/// All other views ask it which run is the latest.
#[test]
#[ignore = "slow"]
fn a_table_in_the_place_of_the_latest_run_is_named() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(BOSS, "");
    let first = run(&lake, &url, &["--as-of", "2019-07-03"]).succeeds();
    server.sql(
        "bi",
        "DROP VIEW afterscope.latest_run CASCADE; CREATE TABLE afterscope.latest_run AS SELECT * FROM afterscope.runs",
    );
    let told =
        ["not what afterscope made: latest_run\n", "DROP TABLE \"afterscope\".\"latest_run\""];
    run(&lake, &url, &[]).fails(3, &told);
    run(&lake, &url, &["--as-of", "2019-07-03"]).fails(3, &told);
    assert_eq!(lake.json("out/latest.json")["run_id"], first.json()["run_id"]);
    assert_eq!(server.sql("bi", "SELECT count(*) FROM afterscope.runs"), "1");
    server.sql("bi", "DROP TABLE afterscope.latest_run");
    let next = run(&lake, &url, &[]).succeeds();
    assert_eq!(server.sql("bi", "SELECT run_id FROM afterscope.latest_run"), run_id(&next));
    let latest = lake.path("out/latest");
    assert_holds(&server, SCHEMA, &latest, |table| format!("{SCHEMA}.{table}"));
}

#[test]
#[ignore = "slow"]
fn a_view_is_compared_whatever_schema_and_columns_are_called() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let odd = r#"it's "odd"; -- "#;
    lake.write(
        "Own-table.sql",
        "SELECT app_id, requests_allowed AS \"Of \"\"it\"\"\" FROM exposure WHERE grain = 'app' AND window = 'after_restriction'",
    );
    let schema = format!("output.postgres.schema={}", serde_json::json!(odd));
    let args = ["--set", &schema, "--set", "report.queries=[\"Own-table.sql\"]"];
    let url = server.url(BOSS, "");
    for as_of in ["2019-07-02", "2019-07-03", "2019-07-03"] {
        run(&lake, &url, &[&args[..], &["--as-of", as_of]].concat()).succeeds();
    }
    let (s, own) = (odd.replace('"', "\"\""), "\"Own-table\"");
    server.sql("bi", &format!(
        "CREATE OR REPLACE VIEW \"{s}\".{own} AS SELECT run_id, as_of, app_id, 0::bigint AS \"Of \"\"it\"\"\" FROM \"{s}\".\"history_Own-table\""
    ));
    run(&lake, &url, &args).fails(3, &["not what afterscope made: Own-table"]);
}

/// Whoever looks at a table in a BI tool sees what each column is.
#[test]
#[ignore = "slow"]
fn every_column_of_every_table_and_view_has_a_comment() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    lake.write("own.sql", "SELECT scope FROM scopes");
    let own = ["--set", "report.queries=[\"own.sql\"]"];
    run(&lake, &server.url(BOSS, ""), &own).succeeds();
    let without = "
        SELECT string_agg(c.table_name || '.' || c.column_name, ' ')
        FROM information_schema.columns c
        JOIN pg_class t ON t.relname = c.table_name AND t.relnamespace = 'afterscope'::regnamespace
        LEFT JOIN pg_description d ON d.objoid = t.oid AND d.objsubid = c.ordinal_position
        WHERE c.table_schema = 'afterscope' AND coalesce(d.description, '') = ''";
    assert_eq!(server.sql("bi", without), "");
    let without = "
        SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'afterscope'::regnamespace
          AND relkind IN ('r', 'v') AND coalesce(obj_description(oid, 'pg_class'), '') = ''";
    assert_eq!(server.sql("bi", without), "");
    // 17 tables and that of the query, each twice; five that describe runs.
    let all = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'afterscope'";
    assert_eq!(server.sql("bi", all), "41");
}

#[test]
#[ignore = "slow"]
fn columns_that_no_table_can_have_are_told_before_anything_is_published() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(BOSS, "");
    lake.write("own.sql", "SELECT scope AS what FROM scopes");
    let own = ["--set", "report.queries=[\"own.sql\"]"];
    let first = run(&lake, &url, &own).succeeds();
    let published = || {
        let mut files = lake.files();
        files.retain(|name, _| name.starts_with("out/"));
        files
    };
    let before = (published(), server.dump(SCHEMA));
    let long = "x".repeat(64);
    let long = format!("SELECT scope AS {long} FROM scopes");
    for (sql, says) in [
        ("SELECT scope AS run_id FROM scopes", &["column `run_id`", "in front of every table"][..]),
        ("SELECT scope AS as_of FROM scopes", &["column `as_of`"]),
        ("SELECT scope AS xmin FROM scopes", &["column `xmin`", "of its own"]),
        ("SELECT scope AS \"\" FROM scopes", &["empty"]),
        (&long, &["64 bytes", "at most 63"]),
        // It was a text.
        ("SELECT 1 AS what FROM scopes", &["column `what`", "bigint", "text", "history_own"]),
    ] {
        lake.write("own.sql", sql);
        run(&lake, &url, &own).fails(1, says);
        assert_eq!((published(), server.dump(SCHEMA)), before, "{sql}");
    }
    // Without a server as well.
    lake.write("own.sql", "SELECT scope AS run_id FROM scopes");
    run(&lake, "postgresql://me@127.0.0.1:1/bi", &own).fails(1, &["column `run_id`"]);
    assert_eq!(lake.json("out/latest.json")["run_id"], run_id(&first));
}
