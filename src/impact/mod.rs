//! Measures to impact tables: frames that already hold every grain, and one SQL query for each
//! table.

mod coverage;
mod csv;
mod dimension_frames;
mod engine;
mod exposure_frames;
mod frame_specs;
mod frames;
mod header;
mod leaves;
mod output;
mod people_frames;
mod policy_frames;
mod read_back;
mod records;
mod texts;
mod whole;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};
use polars::prelude::{IntoLazy, PolarsError};
use thiserror::Error;

use crate::config::IncidentPlan;
use crate::exposure::Exposure;
use crate::moment::{Moment, Zone};
use crate::registry::Registry;
use crate::threads::both;
use engine::{FEW_ROWS, names, on_this_thread, run};

pub use coverage::{
    DayCoverage, HistoryCoverage, Periods, SinceReport, SourceCoverage, coverage_pct,
};
pub use csv::Block;
pub use exposure_frames::Rows;
pub use frame_specs::{FRAMES, FRAMES_VERSION, FrameSpec};
pub use frames::{Names, Report, csv_cell, escaped, is_formula};
pub use header::{ColumnSpec, ColumnType, TableSpec};
pub use leaves::{COLUMNS as LEAF_COLUMNS, RECORDS as LEAF_RECORDS};
pub use output::{Table, TableFile, parquet_properties};
pub use policy_frames::ChangeRow;

/// The table of what changed since another report: it is made last, from the others.
pub const CHANGE_LOG: &str = "change_log";

/// Tables that say what others refer to by id or day.
const DIMENSIONS: [&str; 4] = ["dim_scope", "dim_app", "dim_developer", "dim_date"];

/// Whether a table is there for others to be joined with. It holds no figure of a report: what changes in it is
/// no change of one, and stands beside the figures as far as it matters to them.
pub fn is_dimension(table: &str) -> bool {
    DIMENSIONS.contains(&table)
}

/// The built-in tables: file name and query.
pub const QUERIES: [(&str, &str); 17] = [
    ("01_scope_summary", include_str!("../../queries/01_scope_summary.sql")),
    ("02_app_scope_exposure", include_str!("../../queries/02_app_scope_exposure.sql")),
    ("03_developer_exposure", include_str!("../../queries/03_developer_exposure.sql")),
    ("04_subjects_by_jurisdiction", include_str!("../../queries/04_subjects_by_jurisdiction.sql")),
    ("05_data_categories", include_str!("../../queries/05_data_categories.sql")),
    ("06_daily_timeline", include_str!("../../queries/06_daily_timeline.sql")),
    ("07_groups_exposed", include_str!("../../queries/07_groups_exposed.sql")),
    ("08_deletion_verification", include_str!("../../queries/08_deletion_verification.sql")),
    ("09_coverage", include_str!("../../queries/09_coverage.sql")),
    ("10_deadlines", include_str!("../../queries/10_deadlines.sql")),
    ("11_change_log", include_str!("../../queries/11_change_log.sql")),
    ("13_findings", include_str!("../../queries/13_findings.sql")),
    ("14_thresholds", include_str!("../../queries/14_thresholds.sql")),
    ("15_dim_scope", include_str!("../../queries/15_dim_scope.sql")),
    ("16_dim_app", include_str!("../../queries/16_dim_app.sql")),
    ("17_dim_developer", include_str!("../../queries/17_dim_developer.sql")),
    ("18_dim_date", include_str!("../../queries/18_dim_date.sql")),
];

/// The table of people, none of a run's: its file says what its columns are and holds no query, because
/// what makes it must not pass through frames, reports or a run's folder.
pub const NOTIFICATION_LIST: (&str, &str) =
    ("12_notification_list", include_str!("../../queries/12_notification_list.sql"));

#[derive(Debug, Error)]
pub enum ImpactError {
    #[error(
        "query {file}: {reason}\nafterscope schema frames lists the frames and columns that a query may use"
    )]
    Query { file: String, reason: String },

    #[error(
        "query file {file} cannot be read: {reason}\ncheck report.queries in the configuration"
    )]
    Unreadable { file: String, reason: String },

    #[error(
        "query file {file} would make the table `{table}`, which is there already\nrename the file"
    )]
    Taken { file: String, table: String },

    #[error(
        "query {file}: its result repeats the key {key} ({values})\nthis is a bug in afterscope; please report it"
    )]
    Repeated { file: String, key: String, values: String },

    #[error(
        "table {table}: its {column} is not what another table says of the same people or events\nthis is a bug in afterscope; please report it"
    )]
    TwoFigures { table: String, column: String },

    #[error("table {table}: {reason}")]
    Output { table: String, reason: String },
}

impl ImpactError {
    fn query(file: &str, error: &PolarsError) -> Self {
        Self::Query { file: file.to_string(), reason: error.to_string() }
    }
}

/// A query and where it came from.
#[derive(Clone, Debug)]
pub struct Query {
    /// `02_app_scope_exposure.sql`, or the user's path.
    pub file: String,
    pub table: String,
    pub sql: String,
    /// `None` for a user's query: its columns are as they come out.
    pub spec: Option<TableSpec>,
    /// What columns the table has; of a user's query known once it was checked.
    pub columns: SchemaRef,
}

impl Query {
    /// Whether it may read the frame. One of a user's may ask for any, and be told which there are.
    fn asks(&self, frame: &str) -> bool {
        self.spec.is_none() || names(&self.sql, frame)
    }
}

/// The built-in queries.
///
/// # Errors
/// Never in a released program: a test reads every header.
pub fn built_in() -> Result<Vec<Query>, ImpactError> {
    QUERIES
        .iter()
        .map(|(file, sql)| {
            let spec = TableSpec::parse(file, sql)
                .map_err(|reason| ImpactError::Query { file: (*file).to_string(), reason })?;
            Ok(Query {
                file: format!("{file}.sql"),
                table: spec.name.clone(),
                sql: (*sql).to_string(),
                columns: Table::schema(&spec),
                spec: Some(spec),
            })
        })
        .collect()
}

/// What the list of people to notify is.
///
/// # Errors
/// As [`built_in`].
pub fn notification_list() -> Result<TableSpec, ImpactError> {
    let (file, header) = NOTIFICATION_LIST;
    TableSpec::parse(file, header)
        .map_err(|reason| ImpactError::Query { file: file.to_string(), reason })
}

/// Every table, those of a run and the list of people, in the order of their files.
///
/// # Errors
/// As [`built_in`].
pub fn specs() -> Result<Vec<TableSpec>, ImpactError> {
    let mut files = QUERIES.to_vec();
    files.push(NOTIFICATION_LIST);
    files.sort_unstable();
    let parse = |(file, sql): &(&str, &str)| {
        TableSpec::parse(file, sql)
            .map_err(|reason| ImpactError::Query { file: (*file).to_string(), reason })
    };
    files.iter().map(parse).collect()
}

/// The keys of the built-in tables, by name: what a row is told by.
///
/// # Errors
/// As [`built_in`].
pub fn keys() -> Result<BTreeMap<String, Vec<String>>, ImpactError> {
    let keys = built_in()?.into_iter().filter_map(|query| Some((query.table, query.spec?.key)));
    Ok(keys.collect())
}

/// The user's queries; each table is named after its file, without a leading number.
///
/// # Errors
/// Files that cannot be read or whose table exists already.
pub fn user_queries(files: &[PathBuf], taken: &[Query]) -> Result<Vec<Query>, ImpactError> {
    let mut queries: Vec<Query> = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let sql = std::fs::read_to_string(path)
            .map_err(|e| ImpactError::Unreadable { file: file.clone(), reason: e.to_string() })?;
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let table = stem.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_').to_string();
        let valid = !table.is_empty()
            && table.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !valid {
            return Err(ImpactError::Unreadable {
                file,
                reason: "its name makes no table name; use letters, digits and _".into(),
            });
        }
        // Nothing of a run bears the name of the list of people.
        let is_list = notification_list()?.name == table;
        if is_list || taken.iter().chain(&queries).any(|q| q.table == table) {
            return Err(ImpactError::Taken { file, table });
        }
        let columns = SchemaRef::new(Schema::empty());
        queries.push(Query { file, table, sql, spec: None, columns });
    }
    Ok(queries)
}

/// Runs the queries over empty frames: a mistake shows before anything is read, and which columns come out.
///
/// # Errors
/// As [`tables`].
pub fn check(queries: &mut [Query]) -> Result<(), ImpactError> {
    if queries.is_empty() {
        return Ok(());
    }
    let registry = Registry::default();
    let empty = Report {
        registry: &registry,
        names: Names::new(&registry),
        exposure: &Exposure::default(),
        days: None,
        coverage: &[],
        group_namespaces: &[],
        residences: &[],
        incident: IncidentPlan::default(),
        zone: Zone::UTC,
        has_fields: false,
        as_of: Moment::from_micros(0),
        lookback_from: Moment::from_micros(0),
        lookback_days: 0,
        complete: true,
    };
    let (tables, ()) = collected(|take| tables(queries, &empty, Rows::default(), 1, take))?;
    for (query, table) in queries.iter_mut().zip(tables) {
        query.columns = table.batch.schema();
    }
    Ok(())
}

/// The table of changes.
///
/// # Errors
/// As [`tables`].
pub fn change_log(queries: &[Query], rows: &[ChangeRow]) -> Result<Table, ImpactError> {
    let failed = |reason: String| ImpactError::Output { table: CHANGE_LOG.into(), reason };
    let frame = policy_frames::changes(rows).map_err(|e| failed(e.to_string()))?;
    let query = queries.iter().find(|query| query.table == CHANGE_LOG);
    let query = query.ok_or_else(|| failed("there is no query of it".into()))?;
    let few = frame.height() < FEW_ROWS;
    let make = || run(query, &[("changes", frame.lazy())]);
    if few { on_this_thread(make) } else { make() }
}

/// Takes a table that is made, with the place of its query.
pub type Take<'a> = dyn Fn(usize, Table) + Sync + 'a;

/// All tables that `make` hands on, in their order, and what it gives.
///
/// # Errors
/// Those of `make`.
pub fn collected<T, E>(make: impl FnOnce(&Take<'_>) -> Result<T, E>) -> Result<(Vec<Table>, T), E> {
    let tables = Mutex::new(BTreeMap::new());
    let made = make(&|at, table| {
        tables.lock().unwrap_or_else(PoisonError::into_inner).insert(at, table);
    })?;
    let tables = tables.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((tables.into_values().collect(), made))
}

/// Makes the tables of the queries, some of them packed. Where there is more than one thread, those that are frames as
/// they are, which hold nearly all rows, are made beside those that the query engine makes. What queries ask the engine of
/// these frames is made before both.
///
/// # Errors
/// Queries that fail, with the engine's reason.
pub fn tables(
    queries: &[Query],
    report: &Report<'_>,
    rows: Rows,
    threads: usize,
    take: &Take<'_>,
) -> Result<(), ImpactError> {
    let (others, whole): (Vec<_>, Vec<_>) =
        queries.iter().enumerate().partition(|(_, query)| whole::taken(query).is_none());
    let asking: Vec<&Query> = others.iter().map(|(_, query)| *query).collect();
    // What the engine is asked for must be there before.
    let is_asked = whole::is_asked(&asking);
    let mut rows = Some(rows);
    let mut make = || rows.take().map(|rows| whole::columns(report, rows, is_asked)).transpose();
    let columns = if is_asked { make().map_err(of_frames)? } else { None };
    let of_whole = || -> Result<(), ImpactError> {
        let made = if columns.is_none() { make().map_err(of_frames)? } else { None };
        let columns = columns.as_ref().or(made.as_ref());
        for (at, query) in &whole {
            let columns = whole::taken(query).and_then(|name| columns?.get(name));
            let (columns, spec) = columns.zip(query.spec.as_ref()).ok_or_else(|| {
                let (table, reason) = (query.table.clone(), "its frame is not there".into());
                ImpactError::Output { table, reason }
            })?;
            let table = whole::table(query, spec, columns)?;
            take(*at, table.sorted(&query.file, &spec.key)?);
        }
        Ok(())
    };
    let of_engine = || -> Result<(), ImpactError> {
        let is_asked = |frame: &str| asking.iter().any(|query| query.asks(frame));
        let mut frames = frames::build(report, is_asked).map_err(of_frames)?;
        if let Some(columns) = &columns {
            frames.extend(whole::asked(&asking, columns).map_err(of_frames)?);
        }
        let rows = frames.iter().map(|(_, made)| made.height()).max().unwrap_or_default();
        // An own query may make many rows of few.
        let few = rows < FEW_ROWS && asking.iter().all(|query| query.spec.is_some());
        let frames: Vec<_> = frames.into_iter().map(|(name, made)| (name, made.lazy())).collect();
        let run_all = || {
            others.iter().try_for_each(|(at, query)| {
                take(*at, run(query, &frames)?);
                Ok(())
            })
        };
        if few { on_this_thread(run_all) } else { run_all() }
    };
    let (of_engine, of_whole) = both(threads, of_engine, of_whole);
    of_engine.and(of_whole)
}

fn of_frames(error: PolarsError) -> ImpactError {
    ImpactError::Output { table: "frames".into(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_tables_do_not_ask_for_a_row_for_each_window() {
        assert!(built_in().unwrap().iter().all(|query| !query.asks("exposure")));
    }
}
