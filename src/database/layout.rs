//! The schema: who made it, for which output, and what has to be made so that a run fits in.

use super::error::DatabaseError;
use super::present::{Present, Relation};
use super::session::Work;
use super::shape::{Column, Shape};
use super::{sql, views};

/// Version of the tables that are not a run's.
const LAYOUT: i32 = 1;

/// What stands of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing but the schema itself, or not even that.
    Empty,
    Ours,
}

/// Whether the schema is there for runs of `output`.
///
/// # Errors
/// One that holds something else, is of a newer version, or holds the runs of another output.
pub fn standing(
    work: &Work<'_, '_>,
    present: &Present,
    schema: &str,
    output: &str,
) -> Result<Standing, DatabaseError> {
    if present.relations.is_empty() {
        return Ok(Standing::Empty);
    }
    if !present.relations.contains_key("afterscope_layout") {
        let example = present.relations.keys().next().cloned().unwrap_or_default();
        return Err(work.at.refused(&format!(
            "schema \"{schema}\" holds tables that afterscope did not make ({example})\nname an empty schema with output.postgres.schema"
        )));
    }
    let statement = format!("SELECT layout, output FROM {}.afterscope_layout", sql::name(schema));
    let row = work.row("looking at the schema", &statement, &[])?;
    let (layout, of): (i32, String) = (work.value(&row, 0)?, work.value(&row, 1)?);
    if layout != LAYOUT {
        return Err(work.at.refused(&format!(
            "schema \"{schema}\" was made by another version of afterscope (layout {layout}; this one knows {LAYOUT})\nuse that version, or name another schema with output.postgres.schema"
        )));
    }
    if of != output {
        return Err(work.at.refused(&format!(
            "schema \"{schema}\" holds the runs of the output {of}, and this run's output is {output}: the latest of two outputs would be neither's\nname another schema with output.postgres.schema, or run with --no-database; if the output has moved, UPDATE afterscope_layout SET output = {}",
            sql::literal(output)
        )));
    }
    Ok(Standing::Ours)
}

/// Statements that make what does not belong to a single table.
pub fn create(present: &Present, schema: &str, output: &str) -> Vec<String> {
    let (s, made) = (
        sql::name(schema),
        (!present.schema).then(|| format!("CREATE SCHEMA {}", sql::name(schema))),
    );
    let ours = [
        format!("CREATE TABLE {s}.afterscope_layout (layout integer NOT NULL, output text NOT NULL)"),
        format!("INSERT INTO {s}.afterscope_layout VALUES ({LAYOUT}, {})", sql::literal(output)),
        format!(
            "CREATE TABLE {s}.runs (
                run_id text PRIMARY KEY, as_of timestamp with time zone NOT NULL,
                verdict text NOT NULL, report_number bigint, follows text,
                requests_allowed bigint, subjects_observed bigint, groups bigint, apps bigint,
                program_version text NOT NULL, manifest_sha256 text NOT NULL,
                turn bigint NOT NULL UNIQUE,
                filled_at timestamp with time zone NOT NULL DEFAULT now())"
        ),
        format!("CREATE INDEX ON {s}.runs (as_of, turn)"),
        format!(
            "CREATE TABLE {s}.run_tables (
                run_id text NOT NULL REFERENCES {s}.runs ON DELETE CASCADE, table_name text NOT NULL,
                rows bigint NOT NULL, sha256 text NOT NULL, nul_characters bigint NOT NULL,
                PRIMARY KEY (run_id, table_name))"
        ),
    ];
    let views = views::OF_RUNS.iter().flat_map(|view| view_of_runs(schema, view));
    made.into_iter().chain(ours).chain(comments(&s)).chain(views).collect()
}

/// Statements that make those views of the runs that are not there.
pub fn views_of_runs(present: &Present, schema: &str) -> Vec<String> {
    let lacking = views::OF_RUNS.iter().filter(|view| !present.relations.contains_key(**view));
    lacking.flat_map(|view| view_of_runs(schema, view)).collect()
}

fn view_of_runs(schema: &str, view: &str) -> Vec<String> {
    let columns: Vec<String> = RUNS.iter().map(|(name, _)| (*name).to_string()).collect();
    let made = format!("{}.{view}", sql::name(schema));
    let about = match view {
        views::LATEST => "The run with the greatest as_of, of equals the last published.",
        _ => "For each as_of the run that was published last: what history is charted over.",
    };
    let mut statements = vec![
        format!("CREATE VIEW {made} AS {}", views::selects(schema, view, &columns)),
        format!("COMMENT ON VIEW {made} IS {}", sql::literal(about)),
    ];
    statements.extend(column_comments(&made, &RUNS));
    statements
}

/// Columns of `runs` in their order, and what they say.
const RUNS: [(&str, &str); 13] = [
    ("run_id", "The run, as its folder is called: runs/<run_id>/ of the output."),
    ("as_of", "The end of the report, not included."),
    ("verdict", "complete, or incomplete: files were left out."),
    (
        "report_number",
        "Of the report, within those that follow each other; null where it follows none.",
    ),
    ("follows", "The run whose changed figures change_log explains; null where it follows none."),
    (
        "requests_allowed",
        "requests: As in the row (all) of scope_summary; null where the report leaves it out.",
    ),
    ("subjects_observed", "people: Likewise."),
    ("groups", "groups: Likewise."),
    ("apps", "apps: Apps with an allowed, exercised call after the restriction."),
    ("program_version", "Version of afterscope."),
    ("manifest_sha256", "SHA-256 of the run's manifest.json."),
    ("turn", "Of two runs with one as_of, the one with the greater turn was published last."),
    ("filled_at", "When the rows came here, by the database's clock."),
];

const RUN_TABLES: [(&str, &str); 5] = [
    ("run_id", "The run (runs.run_id)."),
    ("table_name", "The table, as published; its rows are in history_<table_name>."),
    ("rows", "rows: In the published file, and in history_<table> of this run."),
    ("sha256", "SHA-256 of the published Parquet file."),
    ("nul_characters", "characters: U+0000, which no text here holds, written as [U+0000]."),
];

const LAYOUT_COLUMNS: [(&str, &str); 2] = [
    ("layout", "Version of the tables that are not a run's."),
    (
        "output",
        "The output whose runs the schema holds: its address, or its path where it is local.",
    ),
];

fn comments(schema: &str) -> Vec<String> {
    let tables = [
        (
            "runs",
            "One row for each published run. Deleting one deletes its rows in every table.",
            &RUNS[..],
        ),
        ("run_tables", "One row for each run and table: what was published.", &RUN_TABLES),
        (
            "afterscope_layout",
            "Which version of afterscope made this schema, and the output whose runs it holds.",
            &LAYOUT_COLUMNS,
        ),
    ];
    let each = tables.iter().flat_map(|(name, about, columns)| {
        let table = format!("{schema}.{name}");
        let mut statements = vec![format!("COMMENT ON TABLE {table} IS {}", sql::literal(about))];
        statements.extend(column_comments(&table, columns));
        statements
    });
    each.collect()
}

fn column_comments(relation: &str, columns: &[(&str, &str)]) -> Vec<String> {
    let comment = |(name, text): &(&str, &str)| {
        format!("COMMENT ON COLUMN {relation}.{name} IS {}", sql::literal(text))
    };
    columns.iter().map(comment).collect()
}

/// Statements after which the rows of a table fit in. Columns are added; nothing is taken away.
///
/// # Errors
/// What stands in the way, as the end of a sentence about the schema.
pub fn fit(present: &Present, schema: &str, shape: &Shape) -> Result<Vec<String>, String> {
    let (history, view) = (sql::history_of(&shape.table), &shape.table);
    let kind = |is_view: bool| if is_view { "view" } else { "table" };
    for (name, is_view) in [(&history, false), (view, true)] {
        if let Some(other) = present.relations.get(name).filter(|r| r.is_view != is_view) {
            return Err(format!(
                "has a {} `{name}`, where afterscope has a {}\nrename it, or name another schema with output.postgres.schema",
                kind(other.is_view),
                kind(is_view)
            ));
        }
    }
    let Some(table) = present.relations.get(&history) else {
        let order: Vec<String> = shape.columns.iter().map(|c| c.name.clone()).collect();
        return Ok([shape.create(schema), shape.view(schema, &order)].concat());
    };
    let lacking = lacking(table, shape, &history)?;
    if lacking.is_empty() && present.relations.contains_key(view) {
        return Ok(Vec::new());
    }
    let there = table.columns.iter().map(|(name, _)| name);
    let order: Vec<String> = there.chain(lacking.iter().map(|c| &c.name)).cloned().collect();
    Ok([shape.add(schema, &lacking), shape.view(schema, &order)].concat())
}

/// Columns that the table does not have yet.
fn lacking(table: &Relation, shape: &Shape, history: &str) -> Result<Vec<Column>, String> {
    let mut lacking = Vec::new();
    for column in &shape.columns {
        match table.columns.iter().find(|(name, _)| *name == column.name) {
            None => lacking.push(column.clone()),
            Some((_, found)) if found == column.data_type => {}
            Some((name, found)) => {
                return Err(format!(
                    "has a column `{name}` of type {found} in `{history}`, and this version's is {}\nname another schema with output.postgres.schema: both can be read side by side",
                    column.data_type
                ));
            }
        }
    }
    Ok(lacking)
}
