//! The views of the schema: what each shows, and whether it still does.
//!
//! A chart reads views. One that somebody has replaced shows other figures under the same name, and no count of rows
//! tells. It is not put back in silence: whoever changed it may have meant to, and since when charts showed what has to
//! be found out by somebody. The run ends and names it.

use super::error::DatabaseError;
use super::present::Present;
use super::session::Work;
use super::sql;

/// The view of the run with the greatest `as_of`, and that of one run for each.
pub const LATEST: &str = "latest_run";
const CURRENT: &str = "current_runs";
pub const OF_RUNS: [&str; 2] = [LATEST, CURRENT];

/// What a view is called by that says what ours would be; its number follows.
const MEANT: &str = "afterscope_view_";

/// What a view shows, of these columns.
pub fn selects(schema: &str, view: &str, columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|name| sql::name(name)).collect();
    let (columns, s) = (columns.join(", "), sql::name(schema));
    match view {
        LATEST => {
            format!("SELECT {columns} FROM {s}.runs ORDER BY as_of DESC, turn DESC LIMIT 1")
        }
        CURRENT => {
            format!("SELECT DISTINCT ON (as_of) {columns} FROM {s}.runs ORDER BY as_of, turn DESC")
        }
        table => format!(
            "SELECT {columns} FROM {s}.{} WHERE run_id = (SELECT run_id FROM {s}.{LATEST})",
            sql::name(&sql::history_of(table))
        ),
    }
}

/// Names of views that are there and are not what a run made, in order.
///
/// The server writes a view's definition in words of its own, other ones in other versions: it is asked to write down
/// what ours would be as well, and both are compared. Until the transaction ends, nobody adds a column to their tables.
fn altered(
    work: &Work<'_, '_>,
    present: &Present,
    schema: &str,
) -> Result<Vec<String>, DatabaseError> {
    let doing = "looking at the views";
    let (mut altered, mut names, mut statements) = (Vec::new(), Vec::new(), Vec::new());
    for (view, table) in made(present) {
        let columns = |relation: &str| -> Vec<String> {
            let of = present.relations.get(relation);
            of.into_iter().flat_map(|of| &of.columns).map(|(name, _)| name.clone()).collect()
        };
        let (own, of_table) = (columns(view), columns(&table));
        if own.is_empty() || own.iter().any(|column| !of_table.contains(column)) {
            altered.push(view.to_string());
            continue;
        }
        names.push(view);
        let meant = format!("{MEANT}{}", names.len());
        let selects = selects(schema, view, &own);
        statements.push(format!("CREATE TEMPORARY VIEW {meant} AS {selects}"));
    }
    if names.is_empty() {
        return Ok(altered);
    }
    work.execute(doing, &statements.join(";\n"))?;
    let statement = "SELECT own.name FROM unnest($2::text[]) WITH ORDINALITY AS own (name, i)
         WHERE NOT EXISTS (
             SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = own.name AND c.relkind = 'v'
               AND pg_get_viewdef(c.oid) = pg_get_viewdef(to_regclass('pg_temp.' || $3::text || own.i)))";
    for row in work.rows(doing, statement, &[&schema, &names, &MEANT])? {
        altered.push(work.value(&row, 0)?);
    }
    let again = (1..=names.len()).map(|i| format!("DROP VIEW pg_temp.{MEANT}{i}"));
    work.execute(doing, &again.collect::<Vec<_>>().join(";\n"))?;
    altered.sort_unstable();
    Ok(altered)
}

/// Looks whether the views that are there show what a run made them to show.
///
/// # Errors
/// Those that do not, by name.
pub fn check(work: &Work<'_, '_>, present: &Present, schema: &str) -> Result<(), DatabaseError> {
    let mut altered = altered(work, present, schema)?;
    if !altered.is_empty() {
        // Another run may just have made them anew, with more columns. Its tables stand still now.
        altered = self::altered(work, &Present::read(work, schema)?, schema)?;
    }
    let Some(first) = altered.first() else { return Ok(()) };
    let s = sql::name(schema);
    let names = altered.join(", ");
    // In the place of the two views that all others rest on anything is looked at.
    let what = match present.relations.get(first) {
        Some(relation) if !relation.is_view => "TABLE",
        _ => "VIEW",
    };
    Err(work.at.differs(&format!(
        "schema \"{schema}\" has views that are not what afterscope made: {names}\nwhat charts show of them is not what was published: find out who changed them, and since when; then DROP {what} {s}.{} (CASCADE takes along what rests on it), and run again: views that are not there are made anew",
        sql::name(first)
    )))
}

/// Whether the user may do what [`check`] does.
///
/// # Errors
/// A user who may not make temporary views.
pub fn check_right(work: &Work<'_, '_>) -> Result<(), DatabaseError> {
    let may = "SELECT has_database_privilege(current_database(), 'TEMPORARY'), quote_ident(current_database())";
    let row = work.row("looking at rights", may, &[])?;
    if work.value(&row, 0)? {
        return Ok(());
    }
    Err(work.at.refused(&format!(
        "the user may not make temporary views, by which a run sees whether the views of the schema are as they were made\nGRANT TEMPORARY ON DATABASE {} to the user (docs/bi.md has all rights)",
        work.value::<String>(&row, 1)?
    )))
}

/// Views that a run made, as far as they are there, and the table that each shows.
fn made(present: &Present) -> Vec<(&str, String)> {
    let is = |name: &str, is_view: bool| {
        present.relations.get(name).is_some_and(|relation| relation.is_view == is_view)
    };
    // All other views rest on these two: whatever is called so is to be them.
    let of_runs = OF_RUNS.iter().map(|view| (*view, "runs".to_string()));
    let of_runs = of_runs.filter(|(view, _)| present.relations.contains_key(*view));
    let of_tables = present.relations.keys().map(|view| (view.as_str(), sql::history_of(view)));
    let of_tables = of_tables.filter(|(view, _)| is(view, true));
    of_runs.chain(of_tables).filter(|(_, table)| is(table, false)).collect()
}
