//! The queries of docs/analysts.md, as they stand there, on the committed sample.

use std::path::Path;
use std::process::Command;

use crate::lake::{Lake, skipped};

/// The committed sample, with its runs of October and November published in the lake's `out`.
pub struct Sample {
    pub lake: Lake,
}

pub const CONFIG: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/data-samples/groups-2019/afterscope.toml");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/analysts.md");

impl Sample {
    pub fn published() -> Self {
        let lake = Lake::empty();
        let out = lake.path("out").display().to_string();
        for as_of in ["2019-10-06", "2019-11-06"] {
            lake.afterscope(&["run", "--config", CONFIG, "--as-of", as_of, "--output", &out])
                .succeeds();
        }
        Self { lake }
    }

    pub fn answer(&self, sql: &str, parameters: &[&str]) -> String {
        let mut args = vec!["query", sql, "--run", "out", "--config", CONFIG, "--format", "csv"];
        for parameter in parameters {
            args.extend(["--param", parameter]);
        }
        self.lake.afterscope(&args).succeeds().stdout
    }

    /// Asks another engine the questions of the page, over the published files and the sample's log.
    fn is_what_others_answer(&self, engine: &str) {
        let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
            return skipped("AFTERSCOPE_PYTHON is not set: no other engine to compare with");
        };
        let checked = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/analysts.py"))
            .args([Path::new(PAGE), &self.lake.path("out"), Path::new(CONFIG).parent().unwrap()])
            .arg(engine)
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        assert_eq!(String::from_utf8_lossy(&checked.stdout), "11\n");
    }
}

/// Parameters, statement and answer of each question.
pub fn questions(page: &str) -> Vec<(Vec<&str>, &str, &str)> {
    let sections = page.split("\n### ").skip(1);
    let block = |text: &str, of: &str| -> Option<(usize, usize)> {
        let from = text.find(&format!("```{of}\n"))? + of.len() + 4;
        Some((from, from + text[from..].find("```")?))
    };
    sections
        .map(|section| {
            let sql = block(section, "sql").unwrap();
            let csv = block(section, "csv").unwrap();
            let given = section.split("--param ").skip(1);
            let given = given.map(|text| text.split([' ', '`']).next().unwrap()).collect();
            (given, &section[sql.0..sql.1], &section[csv.0..csv.1])
        })
        .collect()
}

#[test]
fn the_queries_of_the_page_give_its_answers() {
    let sample = Sample::published();
    let page = std::fs::read_to_string(PAGE).unwrap();
    let questions = questions(&page);
    assert_eq!(questions.len(), 11);
    for (parameters, sql, expected) in &questions {
        assert_eq!(sample.answer(sql, parameters), *expected, "{sql}");
    }
    sample.is_what_others_answer("duckdb");
}

#[test]
#[ignore = "slow: Polars for Python"]
fn polars_for_python_gives_the_answers_of_the_page() {
    Sample::published().is_what_others_answer("polars");
}

#[test]
fn events_are_what_the_figures_are_counted_from() {
    let sample = Sample::published();
    let path = Path::new(CONFIG).with_file_name("truth.json");
    let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let story = &truth["story"];
    let count = |of: &str, condition: &str| {
        let sql = format!(
            "SELECT {of} AS n FROM events WHERE outcome = 'allowed' AND scopes <> '' AND {condition}"
        );
        sample.answer(&sql, &[]).lines().nth(1).unwrap().parse::<i64>().unwrap()
    };
    assert_eq!(count("SUM(weight)", "1 = 1"), story["requests"].as_i64().unwrap());
    assert_eq!(count("COUNT(*)", "1 = 1"), story["requests"].as_i64().unwrap());
    assert_eq!(
        count("COUNT(DISTINCT person)", "1 = 1"),
        story["people_observed"].as_i64().unwrap()
    );
    assert_eq!(
        count("COUNT(*)", "(person IS NOT NULL OR group_id IS NOT NULL)"),
        story["requests_that_name_somebody"].as_i64().unwrap()
    );
    assert_eq!(
        count("COUNT(DISTINCT app_id)", "at >= TIMESTAMP '2019-09-07 00:00:00'"),
        story["apps_used_lookback"].as_i64().unwrap()
    );
    // Each figure of an app and a scope, counted again from the events.
    let again = "SELECT COUNT(*) AS n FROM (
            SELECT app_id, scopes, SUM(weight) AS requests, COUNT(DISTINCT person) AS people
            FROM events WHERE outcome = 'allowed' GROUP BY app_id, scopes) e
        JOIN app_scope_exposure t ON e.app_id = t.app_id AND e.scopes = t.scope
        WHERE e.requests = t.requests_allowed AND e.people = t.subjects_observed";
    let all = "SELECT COUNT(*) AS n FROM app_scope_exposure
        WHERE grain = 'scope_app' AND requests_allowed > 0";
    assert_eq!(sample.answer(again, &[]), sample.answer(all, &[]));
}

#[test]
fn groups_come_in_the_order_in_which_their_first_rows_do() {
    let sample = Sample::published();
    let first = |rows: &str| {
        let mut met = Vec::new();
        // Nothing, alone in a line, is written as "".
        let people = rows.lines().map(|line| line.split(',').next().unwrap().replace('"', ""));
        for person in people {
            if !met.contains(&person) {
                met.push(person);
            }
        }
        met
    };
    let met = first(&sample.answer("SELECT person FROM events", &[]));
    assert!(met.len() > 400, "{}", met.len());
    let grouped = "SELECT person, COUNT(*) AS n FROM events GROUP BY person";
    assert_eq!(first(&sample.answer(grouped, &[])), met);
    let distinct = "SELECT person FROM events UNION SELECT person FROM events";
    assert_eq!(first(&sample.answer(distinct, &[])), met);
    let joined = "SELECT e.person, f.app_id FROM events e LEFT JOIN
        (SELECT person, MIN(app_id) AS app_id FROM events GROUP BY person) f ON e.person = f.person";
    assert_eq!(first(&sample.answer(joined, &[])), met);
    let sorted = "SELECT person FROM events ORDER BY weight";
    assert_eq!(first(&sample.answer(sorted, &[])), met);
}

#[test]
fn what_a_statement_gets_wrong_is_told_before_events_are_read() {
    let sample = Sample::published();
    std::fs::remove_dir_all(sample.lake.path("out/state")).unwrap();
    let ask = |sql| sample.lake.afterscope(&["query", sql, "--run", "out", "--config", CONFIG]);
    ask("SELECT app_id FROM events").fails(1, &["the ledger", "it lacks"]);
    ask("SELECT app_idd FROM events").fails(1, &["column 8", "app_id`"]);
    ask("SELECT at + person FROM events")
        .fails(1, &["column 8", "`at + person` cannot be answered"]);
}
