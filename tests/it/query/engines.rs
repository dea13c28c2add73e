//! What a statement may hold, beside DuckDB: every function, operator and clause that is allowed gives what it gives
//! there, over values with nulls among them and over the published tables.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::analysts::{CONFIG, Sample};
use crate::lake::skipped;

/// Names for the statements: values as they are met, null among them.
const VALUES: &str = "WITH v AS (
    SELECT 1 AS i, 'aBc' AS t, 2.5 AS f, 10 AS x, TRUE AS b, DATE '2019-10-06' AS d, TIMESTAMP '2019-10-06 12:34:56' AS m
    UNION ALL SELECT -3 AS i, 'b' AS t, NULL AS f, 20 AS x, FALSE AS b, NULL AS d, NULL AS m
    UNION ALL SELECT NULL AS i, 'b' AS t, -0.4 AS f, 30 AS x, NULL AS b, DATE '1969-12-31' AS d, TIMESTAMP '1969-12-31 23:59:59' AS m
    UNION ALL SELECT 2 AS i, NULL AS t, 7.0 AS f, 40 AS x, TRUE AS b, DATE '2019-01-31' AS d, TIMESTAMP '2019-01-31 00:00:00' AS m
    UNION ALL SELECT 2 AS i, 'é x;y' AS t, 1.25 AS f, NULL AS x, FALSE AS b, DATE '2019-10-06' AS d, TIMESTAMP '2019-10-06 00:00:00' AS m),
w AS (
    SELECT 1 AS i, 'b' AS t, 5 AS y
    UNION ALL SELECT 2 AS i, 'z' AS t, 6 AS y
    UNION ALL SELECT NULL AS i, 'b' AS t, 7 AS y
    UNION ALL SELECT 4 AS i, 'é x;y' AS t, 8 AS y) ";

/// Of a row of `v`.
const EXPRESSIONS: &str = "
i, t, f, x, b, d, m
i + 1, i - f, i * x, i / 2, -i, +x, i - (x - 2), 7 / 2, i * 0.5
i % 2, x % i, -7 % 3, 7 % -3, -7 // 2, i // 2, x // i, MOD(i, 2), MOD(x, 7), f % 2, f % 2 = f
i = 1, i <> 1, i != 1, i < f, i <= 2, i > 1, i >= 2, t = 'b', t < 'b', b = TRUE, d = DATE '2019-10-06', d < m, m >= TIMESTAMP '2019-01-31 00:00:00'
b AND i > 0, b OR i > 0, NOT b, NOT i > 1, b AND NULL, b OR NULL, NULL, NULL + 1
b IS TRUE, b IS FALSE, b IS NOT TRUE, b IS NOT FALSE, i > 1 IS TRUE, b IS NULL, b IS NOT NULL, t IS NULL
i IS DISTINCT FROM 2, i IS NOT DISTINCT FROM 2, i IS DISTINCT FROM NULL
i IN (1, 2), i NOT IN (1, 2), i IN (1, NULL), i NOT IN (2, NULL), t IN ('b', 'c'), d IN (DATE '2019-10-06', DATE '1969-12-31'), i IN (-3)
i BETWEEN 1 AND 2, i NOT BETWEEN 1 AND 2, d BETWEEN '2019-01-01' AND '2019-02-01', f BETWEEN i AND x
d > '2019-02-01', m > '2019-02-01', m < '2019-10-06 12:00:00'
t LIKE 'a%', t LIKE '%b%', t ILIKE '%B%', t NOT LIKE '_', t LIKE 'b', t NOT LIKE 'b', t LIKE 'a.c', t LIKE ''
t || 'x', t || t || '-', CONCAT(t, 'x'), CONCAT(t, x), CONCAT_WS('-', t, 'x', x)
CASE WHEN i > 1 THEN 'many' WHEN i < 0 THEN 'none' ELSE 'not known' END, CASE i WHEN 1 THEN 'one' WHEN 2 THEN 'two' END, CASE WHEN b THEN 1 ELSE 2.5 END
COALESCE(i, 0), COALESCE(t, 'none'), COALESCE(i, f, x), IFNULL(t, 'none'), NULLIF(i, 2), NULLIF(t, 'b'), IF(b, 1, 0), COALESCE(d, DATE '2019-01-01')
GREATEST(i, 0), LEAST(i, f), GREATEST(t, 'b'), GREATEST(d, DATE '2019-01-01'), LEAST(i, x, 1)
ABS(i), ABS(f), SIGN(i), SIGN(f), SQRT(x), POW(i, 2), POWER(x, 0.5), EXP(i), LN(x), LOG10(x), LOG2(x)
FLOOR(f), CEIL(f), CEILING(f), TRUNC(f), ROUND(f + 0.01, 1), ROUND(x / 7.0, 3), ROUND(7.4), FLOOR(i)
UPPER(t), LOWER(t), LENGTH(t), CHAR_LENGTH(t), CHARACTER_LENGTH(t), REVERSE(t), TRIM('  a '), LTRIM('  a '), RTRIM('  a '), TRIM(BOTH 'a' FROM t), TRIM(LEADING 'a' FROM t), TRIM(TRAILING 'c' FROM t), LTRIM(t, 'a'), RTRIM(t, 'c')
LEFT(t, 2), LEFT(t, -1), RIGHT(t, 2), RIGHT(t, -1), SUBSTR(t, 2), SUBSTR(t, 2, 1), SUBSTRING(t, 1, 9), SUBSTRING(t FROM 2 FOR 2), SUBSTRING(t FROM 9)
REPLACE(t, 'b', 'x'), STARTS_WITH(t, 'a'), ENDS_WITH(t, 'c'), LPAD(t, 5, '.'), RPAD(t, 2, '.'), SPLIT_PART(t, ';', 1), SPLIT_PART(t, ';', 2), SPLIT_PART(t, ';', 7)
ARRAY_CONTAINS(STRING_TO_ARRAY(t, ';'), 'y'), ARRAY_LENGTH(STRING_TO_ARRAY(t, ';')), ARRAY_TO_STRING(STRING_TO_ARRAY(t, ';'), '|')
CAST(i AS VARCHAR), CAST(b AS VARCHAR), CAST(d AS VARCHAR), CAST(i AS DOUBLE), CAST('12' AS INTEGER), CAST('-7' AS BIGINT), CAST('1.5' AS DOUBLE PRECISION), CAST(b AS INTEGER), CAST(i AS BOOLEAN), CAST(m AS DATE), CAST(d AS TIMESTAMP), CAST('2019-10-06' AS DATE), CAST(i AS SMALLINT), CAST(i AS TINYINT), CAST(i AS TEXT), CAST(i AS STRING), CAST(x AS INT)
CAST(ROUND(f, 0) AS BIGINT) - CAST(ROUND(f, 0) AS BIGINT), CAST(FLOOR(f) AS INTEGER), CAST(TRUNC(f) AS BIGINT), x::VARCHAR, TRY_CAST(t AS INTEGER), TRY_CAST('2019-13-01' AS DATE)
EXTRACT(YEAR FROM m), EXTRACT(QUARTER FROM d), EXTRACT(MONTH FROM d), EXTRACT(WEEK FROM d), EXTRACT(ISOYEAR FROM d), EXTRACT(DAY FROM d), EXTRACT(DOY FROM d), EXTRACT(DOW FROM d), EXTRACT(ISODOW FROM d), EXTRACT(HOUR FROM m), EXTRACT(MINUTE FROM m), EXTRACT(SECOND FROM m)
EXTRACT(YEAR FROM DATE '2019-12-30'), EXTRACT(ISOYEAR FROM DATE '2019-12-30'), EXTRACT(WEEK FROM DATE '2019-12-30'), DATE_PART('month', d), DATE_PART('dow', d), STRFTIME(d, '%Y-%m'), STRFTIME(m, '%d.%m.%y %H:%M')
m + INTERVAL '36 hours', m - INTERVAL '1 month', CAST(d + INTERVAL '1 week' AS TIMESTAMP), CAST(d - INTERVAL '1 month' AS TIMESTAMP), (m - TIMESTAMP '2019-10-05 00:00:00') > INTERVAL '1 day'
RIGHT(t, 4), RIGHT(t || t, 3), RIGHT(t, 9), 0 - LENGTH(t), LENGTH(t) - 9, EXTRACT(MONTH FROM d) * 100, EXTRACT(YEAR FROM d) * 10000000, EXTRACT(DAY FROM m) * 100 + EXTRACT(HOUR FROM m), CAST(x AS SMALLINT) * 100000, CAST(x AS INTEGER) * 1000, ARRAY_LENGTH(STRING_TO_ARRAY(t, ';')) - 5, SIGN(i) * 1000, CASE WHEN b THEN 1000000000 ELSE 0 END * 2
";

/// Of whole queries.
const STATEMENTS: &str = "
SELECT SUM(x) AS a, COUNT(*) AS n, COUNT(x) AS m, AVG(x) AS b, MIN(t) AS c, MAX(d) AS e, COUNT(DISTINCT t) AS g, MEDIAN(x) AS h FROM v
SELECT SUM(x) AS a, AVG(x) AS b, MIN(x) AS c, COUNT(x) AS n, MEDIAN(x) AS e, STDDEV(x) AS g FROM v WHERE i > 100
SELECT STDDEV(x) AS a, STDDEV_SAMP(x) AS b, VARIANCE(x) AS c, VAR_SAMP(x) AS e FROM v
SELECT CORR(x, f) AS a, COVAR_SAMP(x, f) AS b, COVAR_POP(x, f) AS c FROM v
SELECT QUANTILE_CONT(x, 0.9) AS a, QUANTILE_DISC(x, 0.9) AS b, QUANTILE_CONT(x, 0.1) AS c, QUANTILE_DISC(x, 0.25) AS e FROM v
SELECT STRING_AGG(t, ',' ORDER BY t DESC) AS a, STRING_AGG(t, ',' ORDER BY x) AS b FROM v WHERE t IS NOT NULL AND x IS NOT NULL
SELECT STRING_AGG(DISTINCT t, ',' ORDER BY t) AS a, ARRAY_LENGTH(ARRAY_AGG(t)) AS b, ARRAY_TO_STRING(ARRAY_AGG(t ORDER BY x), '|') AS c FROM v
SELECT COUNT(*) AS n FROM v WHERE i BETWEEN 3 AND 1
SELECT COUNT(t) - COUNT(*) - 1 AS a, COUNT(*) * 10000000000 AS b, SUM(CASE WHEN x > 0 THEN 1000000000 ELSE 0 END) AS c, COUNT(DISTINCT t) - 9 AS e, -COUNT(*) AS g FROM v
SELECT t, COUNT(x) - COUNT(*) AS a, SUM(CASE WHEN x > 0 THEN 2000000000 ELSE 1 END) AS c FROM v GROUP BY t ORDER BY t
SELECT x, ROW_NUMBER() OVER (ORDER BY x) - 5 AS a, RANK() OVER (ORDER BY t) - 5 AS b, COUNT(*) OVER () - 9 AS c FROM v ORDER BY x
SELECT c0, x1 FROM (SELECT (v.t LIKE 'a%') AS c0, (v.i < w.y) AS c1, v.x AS x1, w.y AS y1 FROM v CROSS JOIN w WHERE (CASE WHEN (2 BETWEEN w.i AND v.x) THEN v.x ELSE w.i END IS NULL)) AS q ORDER BY c0, x1
SELECT COUNT(*) * 2 AS n, COUNT(1) AS m, 7 AS seven, MAX(x) - MIN(x) AS c FROM v
SELECT t, SUM(x) AS a, COUNT(*) AS n, AVG(x) AS b, COUNT(DISTINCT i) AS e FROM v GROUP BY t ORDER BY t
SELECT t, SUM(CASE WHEN x > 15 THEN 1 ELSE 0 END) AS n, SUM(x) / COUNT(*) AS r FROM v GROUP BY t ORDER BY t
SELECT UPPER(t) AS u, COUNT(*) AS n FROM v GROUP BY UPPER(t) ORDER BY u
SELECT UPPER(t) AS u, COUNT(*) AS n FROM v GROUP BY u ORDER BY n DESC, u
SELECT i % 2 AS k, COUNT(*) AS n FROM v GROUP BY i % 2 ORDER BY k
SELECT CASE WHEN x > 15 THEN 'hi' ELSE 'lo' END AS k, COUNT(*) AS n FROM v GROUP BY 1 ORDER BY 1
SELECT t, i, 7 AS seven FROM v GROUP BY t, i ORDER BY t, i
SELECT t, COUNT(*) AS n FROM v GROUP BY t HAVING COUNT(*) > 1 ORDER BY t
SELECT t, COUNT(*) AS n, SUM(x) AS s FROM v GROUP BY t HAVING n > 1 OR s > 30 ORDER BY t
SELECT t FROM v GROUP BY t HAVING SUM(x) > 10 AND MAX(t) > 'a' ORDER BY t
SELECT t, SUM(x) AS s FROM v GROUP BY t ORDER BY SUM(x) DESC, t
SELECT t, COUNT(*) FROM v GROUP BY t ORDER BY COUNT(*), t
SELECT t, COUNT(*) AS n FROM v GROUP BY t ORDER BY n + 1, t
SELECT COALESCE(SUM(x), 0) AS s, ABS(MIN(x)) AS m FROM v GROUP BY t ORDER BY t
SELECT DISTINCT t FROM v ORDER BY t
SELECT DISTINCT t FROM v ORDER BY t DESC LIMIT 2
SELECT DISTINCT ON (t) t, x FROM v ORDER BY t, x
SELECT ALL t FROM v ORDER BY t
SELECT i, t FROM v ORDER BY x
SELECT i, t FROM v ORDER BY x DESC
SELECT i, t FROM v ORDER BY -x NULLS FIRST
SELECT i, t FROM v ORDER BY x DESC NULLS LAST
SELECT -x AS x FROM v ORDER BY x
SELECT i AS a, x AS b FROM v ORDER BY 2 DESC
SELECT i, x FROM v ORDER BY x LIMIT 2 OFFSET 1
SELECT i, x FROM v ORDER BY x OFFSET 3
SELECT i, x FROM v ORDER BY x FETCH FIRST 2 ROWS ONLY
SELECT i, x FROM v ORDER BY x LIMIT 0
SELECT * FROM v ORDER BY x
SELECT v.* FROM v ORDER BY x
SELECT * EXCLUDE (f) FROM v ORDER BY x
SELECT * REPLACE (x + 1 AS x) FROM v ORDER BY x
SELECT * RENAME (x AS q) FROM v ORDER BY q
SELECT v.i, w.y FROM v JOIN w ON v.i = w.i ORDER BY v.x
SELECT v.i, w.i AS j, w.y FROM v LEFT JOIN w ON v.i = w.i ORDER BY v.x, w.y
SELECT v.i, w.i AS j, w.y FROM v RIGHT JOIN w ON v.i = w.i ORDER BY w.y, v.x
SELECT v.i, w.i AS j, w.y FROM v FULL JOIN w ON v.i = w.i ORDER BY w.y, v.x
SELECT v.x FROM v INNER JOIN w ON (v.i = w.i AND (v.x > w.y)) ORDER BY v.x
SELECT v.x FROM v LEFT OUTER JOIN w ON (v.i = w.i) AND (v.t = w.t) WHERE w.i IS NULL ORDER BY v.x
SELECT v.x, w.y FROM v JOIN w ON v.i < w.i ORDER BY v.x, w.y
SELECT v.x, w.y FROM v JOIN w ON UPPER(v.t) = UPPER(w.t) ORDER BY v.x, w.y
SELECT i, y FROM v JOIN w USING (i) ORDER BY x
SELECT i, y FROM v LEFT JOIN w USING (i) ORDER BY x
SELECT v.x FROM v SEMI JOIN w ON v.i = w.i ORDER BY v.x
SELECT v.x FROM v ANTI JOIN w ON v.i = w.i ORDER BY v.x
SELECT v.x, w.y FROM v CROSS JOIN w WHERE v.t = w.t ORDER BY v.x, w.y
SELECT v.x FROM v CROSS JOIN (SELECT AVG(x) AS a FROM v) AS m WHERE v.x > m.a ORDER BY v.x
SELECT a.x, b.x AS bx FROM v a JOIN v b ON a.i = b.i ORDER BY a.x, bx
SELECT u.t AS a, w.t AS b, v.t AS c FROM v JOIN w ON v.i = w.i LEFT JOIN w u ON u.t = w.t ORDER BY v.x, u.y
SELECT w.t, COUNT(*) AS n FROM v LEFT JOIN w ON v.i = w.i GROUP BY w.t ORDER BY w.t
SELECT w.t AS k, COUNT(*) AS n FROM v LEFT JOIN w ON v.i = w.i GROUP BY k ORDER BY COUNT(*) DESC, k
SELECT v.t, w.t AS u, COUNT(*) AS n, SUM(x) AS s FROM v LEFT JOIN w ON v.i = w.i WHERE v.x < 50 GROUP BY v.t, w.t HAVING COUNT(w.t) < 5 ORDER BY v.t, u
SELECT COUNT(DISTINCT w.t) AS n, MAX(w.i) AS m, MIN(v.t) AS k FROM v LEFT JOIN w ON v.i = w.i
SELECT w.t, SUM(v.x) AS s FROM v JOIN w ON v.i = w.i WHERE v.i IN (1, 2) GROUP BY w.t ORDER BY s
SELECT x FROM v WHERE i IN (SELECT i FROM w) ORDER BY x
SELECT x FROM v WHERE i NOT IN (SELECT i FROM w) ORDER BY x
SELECT x FROM v WHERE i NOT IN (SELECT i FROM w WHERE i IS NOT NULL) ORDER BY x
SELECT x FROM v WHERE i IN (SELECT i FROM w WHERE y > 100) OR x = 30 ORDER BY x
SELECT x FROM v WHERE i NOT IN (SELECT i FROM w WHERE y > 100) ORDER BY x
SELECT x FROM v WHERE i + 1 IN (SELECT MAX(i) AS m FROM w GROUP BY t) ORDER BY x
SELECT i FROM v UNION SELECT i FROM w ORDER BY i
SELECT i FROM v UNION ALL SELECT y FROM w ORDER BY i
SELECT i, x FROM v UNION SELECT y, i FROM w ORDER BY i, x LIMIT 4
SELECT i FROM v INTERSECT SELECT i FROM w ORDER BY i
SELECT i FROM v EXCEPT SELECT i FROM w ORDER BY i
SELECT i FROM v EXCEPT SELECT i FROM w EXCEPT SELECT -3 AS i ORDER BY i
SELECT i FROM (SELECT i FROM v EXCEPT SELECT i FROM w) q UNION ALL SELECT i FROM w ORDER BY i
(SELECT x FROM v ORDER BY x LIMIT 1) UNION ALL (SELECT y FROM w ORDER BY y LIMIT 1) ORDER BY x
SELECT COUNT(*) AS n FROM (SELECT i FROM v UNION ALL SELECT i FROM w) u
SELECT x, ROW_NUMBER() OVER (ORDER BY x) AS r, ROW_NUMBER() OVER (ORDER BY x DESC) AS s FROM v ORDER BY x
SELECT x, ROW_NUMBER() OVER (PARTITION BY t ORDER BY x) AS r FROM v ORDER BY x
SELECT x, RANK() OVER (ORDER BY t) AS r, DENSE_RANK() OVER (ORDER BY t) AS s, RANK() OVER (ORDER BY UPPER(t)) AS q FROM v ORDER BY x
SELECT x, RANK() OVER (ORDER BY t NULLS FIRST) AS r, RANK() OVER (ORDER BY t DESC NULLS LAST) AS s FROM v ORDER BY x
SELECT x, RANK() OVER (ORDER BY t, COALESCE(i, 0)) AS r, ROW_NUMBER() OVER (ORDER BY i, COALESCE(x, 0)) AS s FROM v ORDER BY x
SELECT x, LAG(i) OVER (ORDER BY x) AS r, LEAD(i) OVER (ORDER BY x) AS s, LAG(x, 2) OVER (ORDER BY x) AS q FROM v ORDER BY x
SELECT x, FIRST_VALUE(t) OVER (PARTITION BY i ORDER BY x DESC) AS r FROM v ORDER BY x
SELECT x, SUM(x) OVER (PARTITION BY t) AS r, COUNT(*) OVER () AS n, MAX(x) OVER () AS m, MIN(t) OVER () AS k, AVG(x) OVER (PARTITION BY t) AS a FROM v ORDER BY x
SELECT x, SUM(f) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS r, COUNT(f) OVER (ORDER BY x ROWS UNBOUNDED PRECEDING) AS n FROM v WHERE f IS NOT NULL ORDER BY x
SELECT x, MAX(x) OVER (PARTITION BY b ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS r, MIN(x) OVER (ORDER BY x ROWS UNBOUNDED PRECEDING) AS m FROM v WHERE x > 0 ORDER BY x
SELECT x - SUM(x) OVER (PARTITION BY t) AS r FROM v ORDER BY x
SELECT x, UNNEST(STRING_TO_ARRAY(t, ';')) AS u FROM v WHERE t IS NOT NULL ORDER BY x
SELECT n, s FROM (VALUES (1, 'a'), (2, 'b')) AS q(n, s) ORDER BY n
SELECT q.a FROM (SELECT i AS a FROM v) AS q WHERE q.a > 1 ORDER BY q.a
SELECT 1 AS one FROM v WHERE 1 = 1 AND TRUE
SELECT x FROM v WHERE (x > 10) IS TRUE AND (i > 1) IS NOT TRUE ORDER BY x
SELECT s.scope, COUNT(*) AS n, MAX(s.subjects_observed) AS p FROM scope_summary s LEFT JOIN app_scope_exposure e ON s.scope = e.scope GROUP BY s.scope ORDER BY COUNT(*) DESC, s.scope
SELECT e.scope, COUNT(*) AS n FROM scope_summary s LEFT JOIN app_scope_exposure e ON s.scope = e.scope GROUP BY e.scope ORDER BY e.scope
SELECT a.scope, b.app_id FROM scope_summary a CROSS JOIN app_scope_exposure b WHERE a.scope = b.scope AND b.grain = 'scope_app' ORDER BY a.scope, b.app_id LIMIT 3
SELECT CAST(last_access AS DATE) AS day, COUNT(*) AS n FROM app_scope_exposure WHERE grain = 'scope_app' AND last_access > '2019-08-01' GROUP BY CAST(last_access AS DATE) ORDER BY n DESC, day LIMIT 5
SELECT EXTRACT(MONTH FROM day) AS month, SUM(requests_allowed) AS n FROM daily_timeline WHERE grain = 'all' GROUP BY EXTRACT(MONTH FROM day) ORDER BY month
SELECT scope, requests_allowed * 100.0 / SUM(requests_allowed) OVER () AS share FROM scope_summary WHERE grain = 'scope' ORDER BY share DESC
SELECT app_id, requests_allowed, RANK() OVER (PARTITION BY scope ORDER BY requests_allowed DESC) AS place FROM app_scope_exposure WHERE grain = 'scope_app' ORDER BY scope, place, app_id LIMIT 20
";

fn statements() -> Vec<String> {
    let lines = |text: &'static str| text.lines().filter(|line| !line.is_empty());
    let of_rows = lines(EXPRESSIONS).map(|line| {
        let named = split(line).into_iter().enumerate();
        let items: Vec<String> = named.map(|(i, of)| format!("{of} AS x{i}")).collect();
        format!("SELECT {} FROM v ORDER BY x", items.join(", "))
    });
    of_rows.chain(lines(STATEMENTS).map(str::to_string)).collect()
}

/// Expressions with commas between them, outside of parentheses and texts.
fn split(line: &str) -> Vec<&str> {
    let (mut open, mut is_text, mut from) = (0, false, 0);
    let mut parts = Vec::new();
    for (i, c) in line.char_indices() {
        match c {
            '\'' => is_text = !is_text,
            '(' if !is_text => open += 1,
            ')' if !is_text => open -= 1,
            ',' if !is_text && open == 0 => {
                parts.push(line[from..i].trim());
                from = i + 1;
            }
            _ => {}
        }
    }
    parts.push(line[from..].trim());
    parts
}

/// Numbers to nine places: sums of floating point are made in another order.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        _ => ours == theirs,
    }
}

#[test]
fn what_is_allowed_gives_what_duckdb_gives() {
    let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
        return skipped("AFTERSCOPE_PYTHON is not set: no DuckDB to compare with");
    };
    let sample = Sample::published();
    let statements: Vec<String> =
        statements().into_iter().map(|sql| format!("{VALUES}{sql}")).collect();
    let mut asked = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/statements.py"))
        .args([&sample.lake.path("out"), Path::new(CONFIG).parent().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_vec(&statements).unwrap();
    asked.stdin.take().unwrap().write_all(&text).unwrap();
    let told = asked.wait_with_output().unwrap();
    let theirs: Vec<Value> = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(theirs.len(), statements.len());
    let mut wrong = Vec::new();
    for (sql, theirs) in statements.iter().zip(&theirs) {
        let short = sql.strip_prefix(VALUES).unwrap();
        let args = ["query", sql, "--run", "out", "--config", CONFIG, "--format", "ndjson"];
        let outcome = sample.lake.afterscope(&args);
        let Some(rows) = theirs["rows"].as_array() else {
            wrong.push(format!("{short}\n  DuckDB: {}", theirs["error"]));
            continue;
        };
        if outcome.code != 0 {
            wrong.push(format!("{short}\n  {}", outcome.stderr));
            continue;
        }
        let ours: Vec<Value> =
            outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let same_row = |(ours, theirs): (&Value, &Value)| {
            let (ours, theirs) = (ours.as_object().unwrap(), theirs.as_array().unwrap());
            // By place: names that nobody gave are each engine's own.
            ours.len() == theirs.len() && ours.values().zip(theirs).all(|(a, b)| is_same(a, b))
        };
        if ours.len() != rows.len() || !ours.iter().zip(rows).all(same_row) {
            let ours: Vec<String> = ours.iter().map(Value::to_string).collect();
            wrong.push(format!("{short}\n  {}\n  DuckDB: {rows:?}", ours.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
