//! Statements that are refused, and what is said then.

use super::{answer, ask};
use crate::lake::Lake;

fn published() -> Lake {
    let lake = Lake::standard();
    lake.publishes(&[]);
    lake
}

#[test]
fn a_statement_that_does_not_only_read_is_refused_by_name() {
    let lake = published();
    let before = lake.files();
    for (sql, says) in [
        ("INSERT INTO findings VALUES (1)", "INSERT does not only read"),
        ("UPDATE findings SET scope = 'x'", "UPDATE does not only read"),
        ("DELETE FROM findings", "DELETE does not only read"),
        ("TRUNCATE TABLE findings", "TRUNCATE does not only read"),
        ("DROP TABLE findings", "DROP does not only read"),
        ("CREATE TABLE x AS SELECT * FROM findings", "CREATE does not only read"),
        ("COPY findings TO 'x.csv'", "COPY does not only read"),
        ("SET x = 1", "SET does not only read"),
        ("SELECT * INTO x FROM findings", "SELECT INTO"),
        ("WITH x AS (SELECT 1 AS a) INSERT INTO findings SELECT * FROM x", "INSERT"),
        ("EXPLAIN DELETE FROM findings", "DELETE does not only read"),
        ("SELECT * FROM findings; DROP TABLE findings", "there are 2 statements"),
        ("", "it is empty"),
        ("SHOW TABLES", "SHOW does not only read"),
    ] {
        ask(&lake, &[sql]).fails(1, &["the statement is refused", says]);
    }
    assert_eq!(lake.files(), before);
}

#[test]
fn functions_that_read_files_are_refused_by_name() {
    let lake = published();
    for name in ["read_parquet", "read_csv", "read_ipc", "read_json", "glob"] {
        let sql = format!("SELECT * FROM {name}('scopes.csv')");
        let says = format!("{name}(…) is a function in place of a table");
        ask(&lake, &[&sql]).fails(1, &[&says]);
        let sql = format!("SELECT (SELECT COUNT(*) FROM {name}('scopes.csv')) FROM findings");
        ask(&lake, &[&sql]).fails(1, &[&says]);
    }
    ask(&lake, &["SELECT * FROM 'scopes.csv'"]).fails(1, &["there is no table `scopes.csv`"]);
    ask(&lake, &["TABLE findings"]).fails(1, &["cannot be read at line 1, column 1"]);
}

#[test]
fn what_is_not_there_is_named_with_its_place_and_what_was_meant() {
    let lake = published();
    ask(&lake, &["SELECT *\nFROM scope_sumary"]).fails(
        1,
        &[
            "line 2, column 6: there is no table `scope_sumary`; did you mean `scope_summary`?",
            "--list",
        ],
    );
    ask(&lake, &["SELECT * FROM all_runs.finding"])
        .fails(1, &["no table `all_runs.finding`; did you mean `all_runs.findings`?"]);
    ask(&lake, &["SELECT * FROM registry.nothing"]).fails(1, &["no table `registry.nothing`"]);
    ask(&lake, &["SELECT scope,\n  subject_observed FROM scope_summary"]).fails(
        1,
        &["line 2, column 3: there is no column `subject_observed`; did you mean `subjects_observed`?"],
    );
    ask(&lake, &["SELECT s.scop FROM scope_summary s"])
        .fails(1, &["column 10: there is no column `scop`; did you mean `scope`?"]);
    ask(&lake, &["SELECT scope FROM findings WHERE"])
        .fails(1, &["the statement cannot be read: Expected: an expression"]);
    ask(&lake, &["SELECT 'x"]).fails(1, &["the statement cannot be read at line 1, column 8"]);
}

/// The engine names no place: the part of the statement that it complains of is found and shown.
#[test]
fn what_cannot_be_answered_is_told_with_its_part_of_the_statement() {
    let lake = published();
    for (sql, at, part, says) in [
        // A column that another table has.
        (
            "SELECT s.finding\nFROM scope_summary s JOIN findings f ON s.scope = f.scope",
            "line 1, column 10",
            "`s.finding`",
            "finding",
        ),
        (
            "WITH a AS (SELECT scope FROM findings),\nb AS (SELECT finding FROM a)\nSELECT * FROM b JOIN findings f ON b.finding = f.finding",
            "line 2, column 14",
            "`finding`",
            "there is no column `finding` here",
        ),
        (
            "SELECT a.scope FROM findings a JOIN scope_summary b USING (finding)",
            "line 1, column 60",
            "`USING (finding)`",
            "there is no column `finding`",
        ),
        (
            "SELECT scope FROM findings f JOIN scope_summary s ON f.scope = s.scope",
            "line 1, column 8",
            "`scope`",
            "ambiguous",
        ),
        // Types.
        (
            "SELECT scope FROM scope_summary WHERE grain = 'all' AND scope > 5",
            "line 1, column 57",
            "`scope > 5`",
            "compares a text with a number",
        ),
        (
            "SELECT scope FROM findings WHERE scope IN (SELECT scope FROM scope_summary WHERE grain = 3)",
            "line 1, column 82",
            "`grain = 3`",
            "compares a text with a number",
        ),
        (
            "SELECT scope, COUNT(*) AS n FROM findings GROUP BY scope HAVING n > 'a'",
            "line 1, column 65",
            "`n > 'a'`",
            "compares a number with a text",
        ),
        (
            "SELECT a.scope FROM findings a JOIN scope_summary b ON a.requests_allowed = b.scope",
            "line 1, column 56",
            "`a.requests_allowed = b.scope`",
            "don't match",
        ),
        ("SELECT SUM(scope) AS n FROM findings", "line 1, column 8", "`SUM(scope)`", "sum"),
        (
            "SELECT UPPER(day) AS n FROM daily_timeline",
            "line 1, column 8",
            "`UPPER(day)`",
            "String",
        ),
        (
            "SELECT scope FROM findings LIMIT 'a'",
            "line 1, column 34",
            "`'a'` of LIMIT",
            "no number",
        ),
        (
            "SELECT scope FROM findings UNION ALL SELECT scope, grain FROM findings",
            "line 1, column 38",
            "`UNION`",
            "number of columns",
        ),
        // Aggregates.
        (
            "SELECT scope,\n  requests_allowed FROM scope_summary GROUP BY scope",
            "line 2, column 3",
            "`requests_allowed`",
            "GROUP BY",
        ),
        (
            "SELECT scope FROM scope_summary ORDER BY COUNT(*)",
            "line 1, column 42",
            "`COUNT(*)` stands in ORDER BY",
            "give it a name there",
        ),
        (
            "SELECT WHAT(scope) AS n FROM findings",
            "line 1, column 8",
            "no function WHAT",
            "analysts.md",
        ),
        (
            "SELECT UPER(scope) AS n FROM findings",
            "line 1, column 8",
            "no function UPER",
            "`UPPER`",
        ),
    ] {
        ask(&lake, &[sql]).fails(1, &[at, part, says]);
    }
}

/// The engine answers each of these, otherwise than anybody means it.
#[test]
fn aggregates_out_of_place_are_refused_with_their_place() {
    let lake = published();
    for (sql, says) in [
        (
            "SELECT scope FROM scope_summary WHERE COUNT(*) > 1",
            "column 39: `COUNT(*)` stands in WHERE",
        ),
        (
            "SELECT scope FROM scope_summary\nWHERE requests_allowed > AVG(requests_allowed)",
            "line 2, column 26: `AVG(requests_allowed)` stands in WHERE",
        ),
        ("SELECT MAX(scope) AS n FROM findings GROUP BY COUNT(*)", "stands in GROUP BY"),
        (
            "SELECT SUM(MAX(requests_allowed)) AS n FROM findings GROUP BY scope",
            "column 12: `MAX(requests_allowed)` stands within SUM",
        ),
    ] {
        ask(&lake, &[sql]).fails(1, &[says]);
    }
    for sql in [
        "SELECT MAX(bytes) AS n, scope FROM findings",
        "SELECT MAX(scope) AS n, * FROM findings",
        "SELECT scope, SUM(requests_allowed) + cases AS n FROM findings GROUP BY scope, cases",
        "SELECT scope FROM findings GROUP BY scope HAVING scope = 'x'",
        "SELECT COUNT(*) AS n FROM findings ORDER BY n",
        "SELECT COUNT(*) AS n FROM findings HAVING COUNT(*) > 1",
    ] {
        ask(&lake, &[sql]).fails(1, &["line 1, column"]);
    }
}

/// A time is a number for the engine, a truth 0 or 1: wherever they come from.
#[test]
fn types_that_do_not_go_together_are_refused_with_their_place() {
    let lake = published();
    for (sql, says) in [
        (
            "SELECT COUNT(*) AS n FROM daily_timeline WHERE day >= 20191001",
            "column 48: `day >= 20191001` compares a time with a number",
        ),
        (
            "SELECT COUNT(*) AS n FROM daily_timeline d WHERE -5 < d.day",
            "column 51: `-5 < d.day` compares a number with a time",
        ),
        (
            "SELECT COUNT(*) AS n FROM daily_timeline WHERE (day) < 20191001",
            "`(day) < 20191001` compares a time with a number",
        ),
        (
            "SELECT COUNT(*) AS n FROM daily_timeline WHERE day BETWEEN 1 AND 2",
            "`day BETWEEN 1 AND 2` compares",
        ),
        (
            "SELECT COUNT(*) AS n FROM (SELECT day AS a FROM daily_timeline) q\nWHERE a < 20191001",
            "line 2, column 7: `a < 20191001` compares a time",
        ),
        (
            "WITH q AS (SELECT MAX(day) AS a FROM daily_timeline) SELECT a < 20191001 AS b FROM q",
            "column 61: `a < 20191001` compares a time",
        ),
        (
            "SELECT MAX(day) < 20191001 AS b FROM daily_timeline",
            "column 8: `MAX(day) < 20191001` compares a time",
        ),
        (
            "SELECT scope FROM daily_timeline GROUP BY scope HAVING MAX(day) < 20191001",
            "`MAX(day) < 20191001` compares a time",
        ),
        (
            "SELECT d.day FROM daily_timeline d JOIN findings f ON d.day = f.requests_allowed",
            "`d.day = f.requests_allowed` cannot be answered",
        ),
        ("SELECT day FROM daily_timeline WHERE day IN (18000)", "`day IN (18000)` compares a time"),
        (
            "SELECT CASE day WHEN 18000 THEN 'x' END AS a FROM daily_timeline",
            "compares a time with a number",
        ),
        (
            "SELECT CASE WHEN scope = 'x' THEN day ELSE 0 END AS a FROM daily_timeline",
            "gives a time or a number",
        ),
        ("SELECT COALESCE(day, 0) AS a FROM daily_timeline", "gives a time or a number"),
        ("SELECT GREATEST(day, 0) AS a FROM daily_timeline", "gives a time or a number"),
        ("SELECT CAST(day AS BIGINT) AS a FROM daily_timeline", "makes a number of a time"),
        (
            "SELECT CAST(requests_allowed AS DATE) AS a FROM daily_timeline",
            "makes a time of a number",
        ),
        (
            "SELECT day FROM daily_timeline UNION ALL SELECT requests_allowed FROM findings",
            "`UNION` puts a time under a number",
        ),
        (
            "SELECT day + INTERVAL '2 hours' AS a FROM daily_timeline",
            "adds hours, minutes or seconds to a day",
        ),
        (
            "SELECT scope FROM findings WHERE requests_allowed AND scope = 'x'",
            "takes a number for a condition",
        ),
        ("SELECT scope + scope AS a FROM findings", "write || between texts"),
        (
            "SELECT requests_allowed + (scope = 'x') AS a FROM findings",
            "calculates with a number and a truth",
        ),
        (
            "SELECT COALESCE(requests_allowed, 'none') AS a FROM findings",
            "gives a number or a text",
        ),
        (
            "SELECT CAST(requests_allowed / 2 AS BIGINT) AS a FROM findings",
            "`CAST(requests_allowed / 2 AS BIGINT)` cuts off what is behind the point",
        ),
        ("SELECT (requests_allowed > 1) = 1 AS a FROM findings", "compares a truth with a number"),
        ("SELECT scope FROM findings WHERE (scope IS TRUE)", "gives a text or a truth"),
    ] {
        ask(&lake, &[sql]).fails(1, &["line ", says]);
    }
    let number =
        ["SELECT scope FROM scope_summary WHERE restricted_at > $at", "--param", "at:int=5"];
    ask(&lake, &number)
        .fails(1, &["column 39: `restricted_at > $at` compares a time with a number"]);
    // A name that the statement itself gives is something else.
    let year = "SELECT day FROM (SELECT EXTRACT(YEAR FROM day) AS day FROM daily_timeline) AS y WHERE day > 2018 GROUP BY day";
    assert_eq!(answer(&lake, &[year]), "day\n2019\n");
    let most = "SELECT scope FROM (SELECT scope, SUM(requests_allowed) AS n FROM findings GROUP BY scope) AS s WHERE n > 100";
    assert_eq!(answer(&lake, &[most]), "scope\n");
}

#[test]
fn a_name_for_two_things_is_refused() {
    let lake = published();
    // The engine takes the table where the query of WITH is meant, and the last of two aliases.
    for (sql, says) in [
        (
            "WITH findings AS (SELECT * FROM findings) SELECT * FROM findings",
            "`findings`, which is that of a table",
        ),
        (
            "SELECT * FROM findings JOIN all_runs.findings ON 1 = 1",
            "`findings` is the name of two things",
        ),
        (
            "SELECT * FROM (SELECT 1 AS a) x UNION ALL SELECT * FROM (SELECT 2 AS a) x",
            "`x` is the name of two things",
        ),
        ("WITH x AS (SELECT 1 AS a) SELECT * FROM findings AS x", "`x` is the name of two things"),
        (
            "SELECT scope FROM findings f UNION ALL SELECT scope FROM coverage f",
            "`f` is the name of two things",
        ),
        ("SELECT * FROM findings AS f(a, b)", "gives names to the columns of a table"),
    ] {
        ask(&lake, &[sql]).fails(1, &[says]);
    }
    let twice = "SELECT f.scope FROM findings f UNION ALL SELECT f.scope FROM findings f";
    answer(&lake, &[twice]);
}

#[test]
fn parameters_are_given_used_and_of_their_type() {
    let lake = published();
    let sql = "SELECT *\nFROM scope_summary WHERE scope = $scope";
    ask(&lake, &[sql]).fails(1, &["line 2, column 34: the parameter `scope` has no value"]);
    ask(&lake, &[sql, "--param", "scop=x"]).fails(1, &["did you mean `scop`?"]);
    ask(&lake, &[sql, "--param", "scope=x", "--param", "app=y"])
        .fails(1, &["--param app: the statement has no $app"]);
    for (parameter, says) in [
        ("scope", "it has no value"),
        ("=x", "a name has letters"),
        ("sc ope=x", "a name has letters"),
        ("scope:number=much", "`much` is no number"),
        ("scope:number=inf", "no number that can be compared"),
        ("scope:int=1.5", "`1.5` is no whole number"),
        ("scope:date=2019-13-01", "is no date"),
        ("scope:bool=yes", "no true or false"),
        ("scope:uuid=x", "there is no type `uuid`"),
    ] {
        ask(&lake, &[sql, "--param", parameter]).fails(1, &[says]);
    }
    ask(&lake, &[sql, "--param", "scope=x", "--param", "scope=y"]).fails(1, &["it is given twice"]);
    ask(&lake, &["SELECT * FROM scope_summary WHERE scope = ?"]).fails(1, &["names no parameter"]);
}

#[test]
fn a_run_that_is_not_there_is_said_so() {
    let lake = published();
    let sql = "SELECT * FROM findings";
    ask(&lake, &["--run", "nowhere", sql]).fails(1, &["nowhere", "is not there"]);
    ask(&lake, &["--run", "logs", sql]).fails(1, &["holds neither a manifest.json nor"]);
    ask(&lake, &["--run", "20190901T000000Z-0123456789ab", sql])
        .fails(1, &["has no run 20190901T000000Z-0123456789ab", "afterscope runs"]);
    ask(&lake, &["--config", "other.toml", sql]).fails(1, &["other.toml"]);
    let empty = Lake::standard();
    ask(&empty, &[sql]).fails(1, &["out"]);
    empty.afterscope(&["show"]).fails(1, &["out"]);
    empty.afterscope(&["runs"]).fails(1, &["out"]);
}

#[test]
fn a_run_that_was_changed_answers_nothing_from_what_was_changed() {
    let lake = Lake::standard();
    let run = lake.publishes(&[]).folder;
    let path = run.join("findings.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    ask(&lake, &["SELECT * FROM findings"]).fails(3, &["findings.parquet was changed or is gone"]);
    ask(&lake, &["SELECT * FROM all_runs.findings"]).fails(3, &["findings.parquet was changed"]);
    answer(&lake, &["SELECT * FROM coverage"]);
    let manifest = run.parent().unwrap().join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap().replacen("complete", "Complete", 1);
    std::fs::write(&manifest, text).unwrap();
    ask(&lake, &["SELECT * FROM coverage"]).fails(3, &["manifest.json was changed"]);
}

#[test]
fn an_answer_of_a_type_that_no_format_has_says_what_to_do() {
    let lake = published();
    ask(&lake, &["SELECT last_access - first_access AS took FROM scope_summary"])
        .fails(1, &["column `took` has type", "cast it to a text, a number or a time"]);
}

/// The engine answers each of these otherwise than SQL says, without a word.
#[test]
fn what_the_engine_answers_otherwise_is_refused() {
    let lake = published();
    let joined = |on: &str| format!("SELECT a.scope FROM coverage a {on}");
    for (sql, says) in [
        (joined("LEFT JOIN findings b ON a.scope = b.scope AND b.finding = 'x'"), "stands in ON"),
        (joined("JOIN findings b ON a.scope = b.scope AND a.grain = a.verdict"), "stands in ON"),
        (joined("JOIN findings b ON a.scope = b.scope AND grain = finding"), "stands in ON"),
        (joined("LEFT JOIN findings b ON a.scope <= b.scope"), "would become an inner one"),
        (joined("JOIN findings b ON a.scope <> b.scope"), "would become an inner one"),
        (joined("ANTI JOIN findings b ON a.scope < b.scope"), "would become an inner one"),
        (joined("RIGHT JOIN findings b USING (scope)"), "the values of one table alone"),
        (joined("RIGHT SEMI JOIN findings b ON a.scope = b.scope"), "a join of another kind"),
        ("SELECT * FROM coverage JOIN findings USING (scope)".into(), "the columns of USING twice"),
        ("SELECT a.scope FROM coverage a, findings b WHERE a.scope = b.scope".into(), "write JOIN … ON"),
        (joined("NATURAL JOIN findings b"), "NATURAL JOIN"),
        (joined("JOIN findings b"), "a JOIN has no ON"),
        ("SELECT grain, SUM(1) AS n FROM coverage GROUP BY grain".into(), "SUM of no column"),
        ("SELECT MAX(2 + 3) AS n FROM coverage".into(), "MAX of no column"),
        ("SELECT COUNT(2 + 3) AS n FROM coverage".into(), "COUNT of no column"),
        ("SELECT COUNT(DISTINCT 1) AS n FROM coverage".into(), "COUNT of no column"),
        ("SELECT COUNT(NULL) AS n FROM coverage".into(), "COUNT of no column"),
        ("SELECT RANK() OVER (ORDER BY -rows_seen) AS n FROM coverage".into(), "by DESC"),
        ("SELECT AVG(rows_seen) OVER (ORDER BY grain) AS n FROM coverage".into(), "another figure"),
        ("SELECT SUM(rows_seen) OVER (ORDER BY grain) AS n FROM coverage".into(), "ROWS BETWEEN"),
        (
            "SELECT LAST_VALUE(grain) OVER (PARTITION BY verdict) AS n FROM coverage".into(),
            "LAST_VALUE",
        ),
        ("SELECT SUM(1) OVER () AS n FROM coverage".into(), "SUM of no column"),
        (
            "SELECT scope FROM coverage a WHERE scope IN (SELECT scope FROM findings b WHERE b.grain = a.grain)".into(),
            "columns of `a`, which stands outside",
        ),
        ("SELECT 1 AS n FROM coverage WHERE EXISTS (SELECT 1 AS n FROM findings)".into(), "SEMI JOIN"),
        ("SELECT 1 AS n FROM coverage WHERE NOT EXISTS (SELECT 1 AS n FROM findings)".into(), "ANTI JOIN"),
        ("SELECT 1 AS n FROM coverage WHERE rows_seen > (SELECT MAX(cases) AS m FROM findings)".into(), "CROSS JOIN"),
        ("SELECT 1 AS n FROM coverage WHERE (scope, grain) IN (('a', 'b'))".into(), "values alone"),
        ("SELECT 1 AS n FROM coverage WHERE scope SIMILAR TO 'a'".into(), "write LIKE"),
        ("SELECT 1 AS n FROM coverage WHERE scope LIKE 'a\\_b'".into(), "has a backslash"),
        ("SELECT 1 AS n FROM coverage WHERE 1 = 1.0".into(), "a condition of no column"),
        ("SELECT 1 AS n FROM coverage WHERE NULL = NULL".into(), "a condition of no column"),
        ("SELECT 1 AS n FROM coverage WHERE scope = 'x' AND 1 > 2".into(), "`1 > 2` is a condition of no column"),
        ("SELECT 1 AS n WHERE 1 = 2".into(), "WHERE without FROM"),
        (
            "SELECT scope FROM coverage EXCEPT SELECT scope FROM findings UNION ALL SELECT scope FROM findings".into(),
            "UNION stands beside EXCEPT",
        ),
        ("SELECT scope FROM coverage EXCEPT ALL SELECT scope FROM findings".into(), "EXCEPT ALL"),
        (
            "SELECT scope FROM coverage QUALIFY ROW_NUMBER() OVER (ORDER BY scope) = 1".into(),
            "column 36: QUALIFY",
        ),
        ("SELECT ROW_NUMBER() OVER (ORDER BY scope, grain) AS n FROM coverage".into(), "COALESCE(grain, '')"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY scope, grain DESC) AS n FROM coverage".into(), "two directions"),
        ("SELECT SUBSTR(scope, -2) AS a FROM coverage".into(), "RIGHT(x, n)"),
        ("SELECT SUBSTR(scope, rows_seen) AS a FROM coverage".into(), "from 1"),
        ("SELECT LEFT(scope, rows_seen) AS a FROM coverage".into(), "no whole number"),
        ("SELECT STRPOS(scope, 'x') AS a FROM coverage".into(), "SPLIT_PART"),
        ("SELECT REPLACE(scope, '', 'x') AS a FROM coverage".into(), "an empty text"),
        ("SELECT rows_seen % (rows_seen % 7) AS a FROM coverage".into(), "another remainder"),
        ("SELECT scope, scope FROM coverage".into(), "the name of two columns"),
        ("SELECT COUNT(*), COUNT(*) FROM coverage".into(), "two columns would have the name `len`"),
        ("SELECT scope FROM coverage LIMIT 2 BY scope".into(), "LIMIT … BY"),
        ("SELECT TOP 2 scope FROM coverage".into(), "write LIMIT"),
        (
            "SELECT grain, COUNT(*) OVER () AS n FROM coverage GROUP BY grain".into(),
            "beside GROUP BY",
        ),
        ("SELECT COUNT(*) FILTER (WHERE TRUE) AS n FROM coverage".into(), "FILTER"),
        (
            "SELECT 1 AS n FROM coverage WHERE file_day < DATE '2019-06-31'".into(),
            "no day 2019-06-31",
        ),
        ("SELECT LOG(100, 10) AS n".into(), "LOG"),
    ] {
        ask(&lake, &[&sql]).fails(1, &[says]);
    }
}

#[test]
fn a_statement_that_takes_more_memory_than_is_allowed_is_ended_by_name() {
    let lake = published();
    // 15 rows or more, six times: eleven million at the least, of eight bytes and of two places each.
    let names = ["a", "b", "c", "d", "e", "f"];
    let from = names.map(|name| format!("daily_timeline AS {name}")).join(" CROSS JOIN ");
    let sql = format!("SELECT a.day, f.scope FROM {from}");
    let limit = ["--memory-limit", "120MB"];
    let ended = ask(&lake, &[&[sql.as_str(), "--output", "a.parquet"], &limit[..]].concat());
    ended.fails(1, &["the memory limit is 120 MB", "came to", "--memory-limit"]);
    assert!(!lake.files().keys().any(|name| name == "a.parquet" || name.contains(".tmp")));
    ask(&lake, &[&["SELECT a.day FROM daily_timeline AS a"], &limit[..]].concat()).succeeds();
    ask(&lake, &["SELECT 1 AS a", "--memory-limit", "much"]).fails(1, &["--memory-limit much"]);
}

#[test]
fn a_statement_without_end_is_refused_and_no_crash() {
    let lake = published();
    let many = |of: &str, by: &str, times: usize| vec![of; times].join(by);
    for (sql, says) in [
        (format!("SELECT {} AS n", many("1", " + ", 20_000)), "within one another"),
        (format!("SELECT {}1{} AS n", "(".repeat(5_000), ")".repeat(5_000)), "nested too deeply"),
        (many("SELECT 1 AS n", " UNION ALL ", 5_000), "queries together"),
    ] {
        let file = lake.write("long.sql", &sql);
        ask(&lake, &["--file", file.to_str().unwrap()]).fails(1, &[says]);
    }
}
