//! What statements give. Expected figures: the true answers of the standard lake (`lake::standard_days`).

use std::io::Write;
use std::process::Stdio;

use super::{answer, ask};
use crate::lake::{Lake, Outcome};

#[test]
fn a_statement_reads_the_tables_of_the_latest_run() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = "SELECT scope, requests_allowed, subjects_observed, groups FROM scope_summary";
    let expected = "scope,requests_allowed,subjects_observed,groups
(all),6,4,3
read_members,4,3,2
write_posts,2,2,2
";
    assert_eq!(answer(&lake, &[sql]), expected);
}

#[test]
fn a_run_is_named_by_folder_output_or_id() {
    let lake = Lake::standard();
    let first = lake.run(&["--as-of", "2019-07-02"]).succeeds().json();
    lake.publishes(&[]);
    let id = first["run_id"].as_str().unwrap();
    let folder = format!("out/runs/{id}");
    let sql = "SELECT requests_allowed FROM scope_summary WHERE grain = 'all'";
    for (run, requests) in [(id, 4), (folder.as_str(), 4), ("out", 6)] {
        let expected = format!("requests_allowed\n{requests}\n");
        assert_eq!(answer(&lake, &["--run", run, sql]), expected, "{run}");
    }
}

#[test]
fn all_runs_has_every_run_with_the_earliest_first() {
    let lake = Lake::standard();
    // Published in the other order.
    lake.publishes(&[]);
    lake.publishes(&["--as-of", "2019-07-02"]);
    let sql = "SELECT as_of, a.scope, a.requests_allowed, now.requests_allowed AS now
        FROM all_runs.scope_summary a JOIN scope_summary now ON a.scope = now.scope
        WHERE a.scope = '(all)'";
    let expected = "as_of,scope,requests_allowed,now
2019-07-02T00:00:00Z,(all),4,6
2019-09-01T00:00:00Z,(all),6,6
";
    assert_eq!(answer(&lake, &[sql]), expected);
    let ids = "SELECT COUNT(DISTINCT run_id) AS runs FROM all_runs.coverage";
    assert_eq!(answer(&lake, &[ids]), "runs\n2\n");
}

#[test]
fn the_same_rows_come_in_the_same_order_without_an_order_by() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    // Grouped, joined, distinct and united: in the order in which the table has the rows, which has scope
    // after scope.
    let sql = "WITH used AS (
            SELECT app_id, SUM(requests_allowed) AS requests FROM app_scope_exposure
            WHERE grain = 'scope_app' GROUP BY app_id
        )
        SELECT DISTINCT u.app_id, u.requests, e.app_name FROM used u
        JOIN app_scope_exposure e ON u.app_id = e.app_id WHERE e.grain = 'app'
        UNION ALL SELECT '(all)' AS app_id, SUM(requests) AS requests, NULL AS app_name FROM used";
    let expected = "app_id,requests,app_name
app-1,4,Planner
app-3,0,Viewer
app-2,2,Mailer
(all),6,
";
    for _ in 0..4 {
        assert_eq!(answer(&lake, &[sql]), expected);
    }
}

#[test]
fn what_is_not_known_stays_unknown_in_a_sum() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    // Without memberships there is no upper bound.
    let sql = "SELECT SUM(subjects_upper_bound) AS up_to, COUNT(subjects_upper_bound) AS known
        FROM scope_summary";
    assert_eq!(answer(&lake, &[sql]), "up_to,known\n,0\n");
}

#[test]
fn parameters_are_values_whatever_they_hold() {
    let lake = Lake::standard();
    // Values that would end a text, were they pasted in, or that a library takes for escaped.
    let names =
        ["Pla''nner", "x' OR 1=1 --", r"\' OR 1=1 --", r"\", "'", "''", "a''''b", "\u{1f600}"];
    let mut apps = "app_id,app_name,developer_id,developer_name\n".to_string();
    for (i, name) in names.iter().enumerate() {
        apps.push_str(&format!("app-{},\"{name}\",dev,Dev\n", i + 1));
    }
    lake.write("apps.csv", &apps);
    lake.publishes(&[]);
    for (i, name) in names.iter().enumerate() {
        let parameter = format!("name={name}");
        let sql = "SELECT $name = :name AS same, $name AS name, LENGTH($name) AS characters
            FROM scope_summary WHERE grain = 'all'";
        let outcome = ask(&lake, &[sql, "--param", &parameter, "--format", "json"]).succeeds();
        let row = &outcome.json_of_all()[0];
        assert_eq!(row["name"], **name);
        assert_eq!(row["characters"], name.chars().count());
        assert_eq!(row["same"], true);
        if i < 3 {
            let sql =
                "SELECT app_id FROM app_scope_exposure WHERE grain = 'app' AND app_name = $name";
            let expected = format!("app_id\napp-{}\n", i + 1);
            assert_eq!(answer(&lake, &[sql, "--param", &parameter]), expected, "{name}");
        }
    }
}

#[test]
fn texts_of_the_statement_itself_are_kept_as_they_are() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = r"SELECT 'it''s' AS a, 'b''''c' AS b, 'd\''' AS c, '' AS d, '''' AS e
        FROM scope_summary WHERE grain = 'all'";
    let row = ask(&lake, &[sql, "--format", "json"]).succeeds().json_of_all()[0].clone();
    let expected = serde_json::json!({"a": "it's", "b": "b''c", "c": r"d\'", "d": "", "e": "'"});
    assert_eq!(row, expected);
}

#[test]
fn parameters_have_types() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let count = |condition: &str, parameter: &str| {
        let sql = format!(
            "SELECT COUNT(*) AS n FROM daily_timeline WHERE grain = 'scope_app' AND {condition}"
        );
        answer(&lake, &[&sql, "--param", parameter])
    };
    // Days of read_members by app-1: 1 and 2 July; of write_posts by app-2: 1 and 3 July.
    assert_eq!(count("day = $day", "day:date=2019-07-01"), "n\n2\n");
    assert_eq!(count("day > $at", "at:time=2019-07-01T12:00:00+02:00"), "n\n2\n");
    assert_eq!(count("requests_allowed >= $least", "least:int=3"), "n\n1\n");
    assert_eq!(count("requests_allowed > $least", "least:int=-1"), "n\n4\n");
    assert_eq!(count("requests_allowed * 0.5 >= $least", "least:number=1.5"), "n\n1\n");
    assert_eq!(count("(requests_allowed = 3) = $three", "three:bool=true"), "n\n1\n");
    let sql = "SELECT day FROM daily_timeline WHERE grain = 'all' ORDER BY day LIMIT $n";
    assert_eq!(answer(&lake, &[sql, "--param", "n:int=1"]), "day\n2019-07-01\n");
}

fn piped(lake: &Lake, args: &[&str], text: &str) -> Outcome {
    let mut child = lake.command(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Outcome::of(lake, child.wait_with_output().unwrap())
}

#[test]
fn a_statement_comes_from_a_file_or_from_standard_input() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = "SELECT apps_used_after_restriction AS apps -- how many\nFROM scope_summary WHERE grain = 'all';\n";
    lake.write("question.sql", sql);
    assert_eq!(answer(&lake, &["--file", "question.sql"]), "apps\n2\n");
    let outcome = piped(&lake, &["query", "-", "--format", "csv"], sql).succeeds();
    assert_eq!(outcome.stdout, "apps\n2\n");
    ask(&lake, &["--file", "nowhere.sql"]).fails(1, &["--file nowhere.sql", "cannot be read"]);
}

#[test]
fn a_query_of_the_configuration_is_a_table_too() {
    let lake = Lake::standard();
    lake.edit(
        "afterscope.toml",
        "lookback_days = 60",
        "lookback_days = 60\nqueries = [\"own.sql\"]",
    );
    lake.write("own.sql", "SELECT scope, restricted_at FROM scopes ORDER BY scope");
    lake.publishes(&[]);
    let sql = "SELECT scope FROM own WHERE restricted_at > TIMESTAMP '2019-06-15 00:00:00'";
    assert_eq!(answer(&lake, &[sql]), "scope\nwrite_posts\n");
    assert!(answer(&lake, &["--list"]).contains("own,restricted_at,\"timestamp[us, UTC]\""));
}

#[test]
fn explain_shows_the_plan_and_runs_nothing() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let plan = answer(&lake, &["EXPLAIN SELECT scope FROM scope_summary WHERE grain = 'all'"]);
    assert!(plan.contains("PROJECT 2/"), "{plan}");
}

#[test]
fn a_query_writes_nothing_anywhere() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let before = lake.files();
    answer(&lake, &["SELECT * FROM all_runs.coverage"]);
    answer(&lake, &["--list"]);
    lake.afterscope(&["runs"]).succeeds();
    lake.afterscope(&["show"]).succeeds();
    assert_eq!(lake.files(), before);
}

/// What is refused in ON has another way, and gives what it should: figures by hand.
#[test]
fn joins_and_windows_that_are_taken_give_what_sql_says() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = |text: &str| answer(&lake, &[text]);
    let of_two = "FROM (SELECT 1 AS a UNION ALL SELECT 2 AS a) x";
    let right = "(SELECT 2 AS a, 7 AS b UNION ALL SELECT 3 AS a, 8 AS b) y";
    let joined = format!("SELECT x.a, y.b {of_two} LEFT JOIN {right} ON x.a = y.a ORDER BY x.a");
    assert_eq!(sql(&joined), "a,b\n1,\n2,7\n");
    let swapped = format!("SELECT x.a, y.b {of_two} LEFT JOIN {right} ON y.a = x.a ORDER BY x.a");
    assert_eq!(sql(&swapped), sql(&joined));
    let less = format!("SELECT x.a, y.b {of_two} JOIN {right} ON x.a < y.a ORDER BY x.a, y.b");
    assert_eq!(sql(&less), "a,b\n1,7\n1,8\n2,8\n");
    let part = format!(
        "SELECT x.a, z.b {of_two} LEFT JOIN (SELECT * FROM {right} WHERE y.b = 8) z ON x.a = z.a ORDER BY x.a"
    );
    assert_eq!(sql(&part), "a,b\n1,\n2,\n");
    let running = format!(
        "SELECT x.a, SUM(x.a) OVER (ORDER BY x.a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS s {of_two} ORDER BY x.a"
    );
    assert_eq!(sql(&running), "a,s\n1,1\n2,3\n");
}

/// The engine has months in 8 bits and counts in 32, without a sign.
#[test]
fn whole_numbers_have_64_bits() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = "SELECT CAST(a AS INTEGER) * 1000000000 AS b, EXTRACT(MONTH FROM DATE '2019-12-01') * 100 AS c,
        LENGTH('ab') - 5 AS d FROM (SELECT 10 AS a) x";
    assert_eq!(answer(&lake, &[sql]), "b,c,d\n10000000000,1200,-3\n");
    let sql =
        "SELECT COUNT(a) - COUNT(*) - 1 AS n, SUM(CASE WHEN b > 0 THEN 2000000000 ELSE 0 END) AS s
        FROM (SELECT 1 AS a, 1 AS b UNION ALL SELECT NULL AS a, 2 AS b) x";
    assert_eq!(answer(&lake, &[sql]), "n,s\n-2,4000000000\n");
}
