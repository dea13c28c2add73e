//! Whether a run could be put in: server, names, schema and rights, looked at without a change.

use super::error::DatabaseError;
use super::layout::{self, Standing};
use super::present::Present;
use super::session::{Session, Work};
use super::shape::Shape;
use super::{sql, views};
use crate::config::{DatabasePlan, LONGEST_NAME};
use crate::impact::Query;
use crate::moment::Moment;

/// The oldest server that this works with: earlier ones cannot hold a key with nulls.
const OLDEST: i32 = 150_000;

/// Looks whether a run could be put in.
///
/// # Errors
/// What would keep it out.
pub fn look(
    session: &mut Session<'_>,
    plan: &DatabasePlan,
    output: &str,
    shapes: &[Shape],
) -> Result<(), DatabaseError> {
    let work = session.begin(plan.lock_timeout_ms)?;
    check_server(&work)?;
    let schema = plan.schema.as_str();
    let present = Present::read(&work, schema)?;
    check_usage(&work, &present, schema)?;
    let standing = layout::standing(&work, &present, schema, output)?;
    let mut lacking =
        standing == Standing::Empty || !layout::views_of_runs(&present, schema).is_empty();
    for shape in shapes {
        lacking |= !fit(&work, &present, schema, shape)?.is_empty();
    }
    check_rights(&work, &present, schema, shapes, lacking)?;
    views::check_right(&work)?;
    if standing == Standing::Ours { views::check(&work, &present, schema) } else { Ok(()) }
}

/// The tables of a run as the database would have them: what is wrong with their names and types needs no server to
/// be told.
///
/// # Errors
/// What keeps one out, as the reason of a refusal.
pub fn shapes(queries: &[Query]) -> Result<Vec<Shape>, String> {
    check_names(queries)?;
    let shapes =
        queries.iter().map(|query| Shape::of(&query.table, &query.columns, query.spec.as_ref()));
    shapes.collect()
}

/// # Errors
/// A moment that would be another in the database.
pub fn check_as_of(as_of: Moment) -> Result<(), String> {
    if as_of.nanos == 0 {
        return Ok(());
    }
    Err(format!(
        "as_of {} is finer than a microsecond, and no time of PostgreSQL is\ngive a whole microsecond with --as-of, or run with --no-database",
        as_of.to_rfc3339()
    ))
}

/// No two relations can share a name.
fn check_names(queries: &[Query]) -> Result<(), String> {
    let mut names = sql::names_of_ours(queries.iter().map(|query| query.table.as_str()));
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(a),
        _ => None,
    }) {
        return Err(format!(
            "two tables or views of the schema would be called `{twice}`\nrename the file of report.queries that makes the table"
        ));
    }
    match names.iter().find(|name| name.len() > LONGEST_NAME) {
        None => Ok(()),
        Some(long) => Err(format!(
            "the table `{long}` has a name of {} bytes, and PostgreSQL's names have at most {LONGEST_NAME}\nrename the file of report.queries that makes it",
            long.len()
        )),
    }
}

/// # Errors
/// A server or database that cannot hold every table.
pub fn check_server(work: &Work<'_, '_>) -> Result<(), DatabaseError> {
    let statement = "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), current_setting('server_encoding'), current_setting('transaction_read_only') = 'on'";
    let row = work.row("looking at the server", statement, &[])?;
    let (number, version): (i32, String) = (work.value(&row, 0)?, work.value(&row, 1)?);
    let (encoding, is_read_only): (String, bool) = (work.value(&row, 2)?, work.value(&row, 3)?);
    if number < OLDEST {
        return Err(work.at.refused(&format!(
            "the server is PostgreSQL {version}; 15 or later is needed\nupgrade it, or run with --no-database"
        )));
    }
    if encoding != "UTF8" {
        return Err(work.at.refused(&format!(
            "the database's encoding is {encoding}, which does not hold every text\nname a database that was made with ENCODING 'UTF8'"
        )));
    }
    if is_read_only {
        return Err(work.at.refused(
            "the database takes no writes\nname the primary server in the address, not a standby; or make the database writable",
        ));
    }
    Ok(())
}

/// Whether the user may do something.
fn may(
    work: &Work<'_, '_>,
    statement: &str,
    values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<bool, DatabaseError> {
    let row = work.row("looking at rights", statement, values)?;
    work.value(&row, 0)
}

/// Whether there is a schema that the user may look into, or may make.
fn check_usage(work: &Work<'_, '_>, present: &Present, schema: &str) -> Result<(), DatabaseError> {
    let name = sql::name(schema);
    if present.schema {
        if may(work, "SELECT has_schema_privilege($1::text, 'USAGE')", &[&schema])? {
            return Ok(());
        }
        return Err(work.at.refused(&format!(
            "the user lacks a right on schema \"{schema}\"\nGRANT USAGE ON SCHEMA {name} to the user (docs/bi.md has all rights)"
        )));
    }
    if may(work, "SELECT has_database_privilege(current_database(), 'CREATE')", &[])? {
        return Ok(());
    }
    Err(work.at.refused(&format!(
        "there is no schema \"{schema}\", and the user may not make one\nCREATE SCHEMA {name}, and GRANT USAGE, CREATE ON it to the user"
    )))
}

/// Whether the user may do what has to be done. `lacking`: something has to be made first. Tables of others in the
/// schema are none of our business.
fn check_rights(
    work: &Work<'_, '_>,
    present: &Present,
    schema: &str,
    shapes: &[Shape],
    lacking: bool,
) -> Result<(), DatabaseError> {
    let name = sql::name(schema);
    if present.schema
        && lacking
        && !may(work, "SELECT has_schema_privilege($1::text, 'CREATE')", &[&schema])?
    {
        return Err(work.at.refused(&format!(
            "schema \"{schema}\" lacks tables or columns of this version, and the user may not make them\nlet their owner run once, or GRANT CREATE ON SCHEMA {name} to the user"
        )));
    }
    let statement =
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = ANY ($2::text[])
          AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'))
        ORDER BY 1 LIMIT 1";
    let histories = shapes.iter().map(|shape| sql::history_of(&shape.table));
    let filled: Vec<String> =
        ["runs", "run_tables"].map(str::to_string).into_iter().chain(histories).collect();
    match work.rows("looking at rights", statement, &[&schema, &filled])?.first() {
        None => Ok(()),
        Some(row) => Err(work.at.refused(&format!(
            "the user may not read and fill the table {schema}.{}\nGRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {name} to the user (docs/bi.md has all rights)",
            work.value::<String>(row, 0)?
        ))),
    }
}

/// [`layout::fit`], its reason told as a failure.
///
/// # Errors
/// What stands in the way of the table.
pub fn fit(
    work: &Work<'_, '_>,
    present: &Present,
    schema: &str,
    shape: &Shape,
) -> Result<Vec<String>, DatabaseError> {
    layout::fit(present, schema, shape)
        .map_err(|reason| work.at.refused(&format!("schema \"{schema}\" {reason}")))
}
