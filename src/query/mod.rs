//! Statements of SQL over what was published: tables of one run, and the same tables of all runs.
//!
//! Nothing is written, and nothing of a run is read before its hash was looked at.

mod allowed;
mod complaint;
mod locate;
mod made;
mod order;
mod parameters;
mod rewrite;
mod statement;
mod table;
mod types;
mod wide;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use polars::prelude::{DataFrame, DslPlan, LazyFrame, PolarsResult};
use polars::sql::SQLContext;
use thiserror::Error;

use crate::config::shape::did_you_mean;
use crate::impact::{self, ImpactError, Table, TableSpec};
use crate::moment::Moment;
use crate::publish::{Manifest, merkle};
use crate::verify::{Place, VerifyError};
use complaint::{complaint, engine};
use statement::{At, LIST};
use table::{Part, PublishedTable, STAMPED, Stamp};

pub use made::{EVENTS, MADE, MadeTable, REGISTRY, columns as made_columns};
pub use parameters::Parameters;
pub use statement::Statement;

/// What tables of all runs are called by.
pub const ALL_RUNS: &str = "all_runs";

#[derive(Debug, Error)]
pub enum QueryError {
    #[error("{0}")]
    Run(#[from] VerifyError),

    #[error("{0}")]
    Impact(#[from] ImpactError),

    #[error("the statement cannot be read{}: {reason}", place(.at.as_ref()))]
    Syntax { at: Option<At>, reason: String },

    #[error("the statement is refused: {what}\n{next}")]
    Refused { what: String, next: String },

    /// A name of the statement that cannot be what it is.
    #[error("line {}, column {}: {reason}", at.line, at.column)]
    Name { at: At, reason: String },

    #[error("--param {name}: {reason}")]
    Parameter { name: String, reason: String },

    #[error("the statement cannot be answered: {reason}")]
    Engine { reason: String },

    /// Megabytes.
    #[error(
        "the statement was ended: the memory limit is {limit} MB, and what it makes of the tables came to {held} MB\njoin on more columns, or take fewer rows in a query of FROM first (WHERE, GROUP BY): a join has a row for each pair of rows that go together; or give more with --memory-limit"
    )]
    Memory { limit: u64, held: u64 },

    #[error("table {table} of run {run_id}: {reason}")]
    Unreadable { table: String, run_id: String, reason: String },
}

fn place(at: Option<&At>) -> String {
    at.map_or_else(String::new, |at| format!(" at line {}, column {}", at.line, at.column))
}

impl QueryError {
    fn refused(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), next: next.into() }
    }
}

/// A run that is asked.
#[derive(Debug)]
pub struct Library<'a> {
    place: &'a Place,
    manifest: Manifest,
}

/// A table and its columns, for a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    pub name: String,
    /// What one row is.
    pub about: String,
    pub columns: Vec<ListedColumn>,
}

#[derive(Clone, Debug)]
pub struct ListedColumn {
    pub name: String,
    pub data_type: String,
    pub unit: String,
    pub meaning: String,
}

impl<'a> Library<'a> {
    /// # Errors
    /// A run without a manifest that holds.
    pub fn of(place: &'a Place) -> Result<Self, QueryError> {
        Ok(Self { place, manifest: place.manifest()? })
    }

    pub fn run_id(&self) -> &str {
        &self.manifest.run_id
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Names of the tables of [`MADE`] that the statement reads.
    pub fn made(&self, statement: &Statement) -> BTreeSet<String> {
        let names = statement.tables.iter().map(|table| &table.name);
        names.filter(|name| self.is_made(name)).cloned().collect()
    }

    /// A query of the configuration may have the name of one.
    fn is_made(&self, name: &str) -> bool {
        MADE.iter().any(|table| table.name == name) && !self.manifest.tables().contains(name)
    }

    /// Looks at the statement without making a row of the tables that [`Self::made`] names, which may take long.
    ///
    /// # Errors
    /// Statements that name what is not there, or that the engine does not understand.
    pub fn check(&self, statement: &Statement, parameters: &Parameters) -> Result<(), QueryError> {
        let made = MADE.iter().map(|table| (table.name.to_string(), made::without_rows(table)));
        let planned = |frame: LazyFrame| {
            meant(frame.logical_plan).map(LazyFrame::from)?.collect_schema()?;
            Ok(DataFrame::empty())
        };
        self.asked(statement, parameters, &made.collect(), planned).map(drop)
    }

    /// What the statement gives, as a table. `made` has the rows of every table that [`Self::made`] names.
    ///
    /// # Errors
    /// Statements that name what is not there, or cannot be answered; a run that is not what its
    /// manifest says.
    pub fn answer(
        &self,
        statement: &Statement,
        parameters: &Parameters,
        made: &BTreeMap<String, RecordBatch>,
    ) -> Result<Table, QueryError> {
        let is_explain = statement.is_explain();
        let answered = |frame: LazyFrame| {
            if is_explain {
                return frame.collect();
            }
            let frame = LazyFrame::from(meant(frame.logical_plan)?);
            // What the engine cannot put in a better order it can mostly answer as it stands: COUNT(*) over UNION ALL,
            // which it counts in a type that this program is built without; a CROSS JOIN with a condition on a column
            // that both tables have.
            frame.clone().collect().or_else(|error| {
                let plain = frame.with_projection_pushdown(false).with_predicate_pushdown(false);
                plain.collect().map_err(|_| error)
            })
        };
        let frame = self.asked(statement, parameters, made, answered)?;
        Table::from_frame("query", &frame).map_err(|error| match error {
            ImpactError::Output { reason, .. } => QueryError::Engine { reason },
            other => other.into(),
        })
    }

    /// What `answer` makes of the statement over its tables.
    fn asked(
        &self,
        statement: &Statement,
        parameters: &Parameters,
        made: &BTreeMap<String, RecordBatch>,
        answer: impl FnOnce(LazyFrame) -> PolarsResult<DataFrame>,
    ) -> Result<DataFrame, QueryError> {
        let own = self.manifest.tables();
        let is_taken = |name: &&String| own.contains(*name) || self.is_made(name);
        if let Some(name) = statement.given.iter().find(is_taken) {
            return Err(QueryError::refused(
                format!("WITH gives the name `{name}`, which is that of a table"),
                "give the query another name",
            ));
        }
        let mut context = SQLContext::new();
        let (mut registered, mut empty) = (BTreeMap::new(), Vec::new());
        let mut columns: BTreeSet<String> = statement.aliases.clone();
        let mut runs = None;
        for reference in &statement.tables {
            let name = &reference.name;
            if registered.contains_key(name) {
                continue;
            }
            let found = match name.split_once('.') {
                _ if self.is_made(name) => made.get(name).map(of_rows).transpose()?,
                None if own.contains(name) => Some(self.of_run(name)?),
                Some((ALL_RUNS, table)) => {
                    if runs.is_none() {
                        runs = Some(self.runs()?);
                    }
                    of_runs(runs.as_deref().unwrap_or_default(), table)?
                }
                _ => None,
            };
            let Some(found) = found else { return Err(self.unknown(name, reference.at)) };
            columns.extend(found.columns());
            // No query of a statement may have a colon in its name, so that none takes its place.
            let internal = format!("table:{name}");
            empty.push((internal.clone(), found.without_rows()));
            let frame = found.lazy().map_err(|e| engine(&e, statement, &columns))?;
            context.register(&internal, frame);
            registered.insert(name.clone(), internal);
        }
        let bound = statement.clone().bound(&registered, parameters)?;
        let frame = context.execute(&bound.text).and_then(answer);
        frame.map_err(|e| complaint(&e, statement, &columns, &bound, &empty))
    }

    fn unknown(&self, name: &str, at: At) -> QueryError {
        let own = self.manifest.tables();
        let all = own.iter().map(|table| format!("{ALL_RUNS}.{table}"));
        let made = MADE.iter().map(|table| table.name.to_string());
        let known = own.iter().cloned().chain(all).chain(made);
        let known: Vec<String> = known.collect();
        let near = did_you_mean(name, known.iter().map(String::as_str));
        QueryError::Name { at, reason: format!("there is no table `{name}`{near}\n{LIST}") }
    }

    fn of_run(&self, table: &str) -> Result<PublishedTable, QueryError> {
        let part = part(self.place, &self.manifest, table, None)?;
        PublishedTable::of(vec![part]).map_err(|reason| self.unreadable(table, reason))
    }

    fn unreadable(&self, table: &str, reason: String) -> QueryError {
        let run_id = self.manifest.run_id.clone();
        QueryError::Unreadable { table: table.to_string(), run_id, reason }
    }

    /// All runs of the output, the earliest `as_of` first.
    fn runs(&self) -> Result<Vec<(Place, Manifest)>, QueryError> {
        let Some(places) = self.place.runs()? else {
            return Err(QueryError::refused(
                format!("{} lies in no output: other runs are not there", self.place.shown("")),
                "name the output, or a run within it",
            ));
        };
        let mut runs = Vec::with_capacity(places.len());
        for place in places {
            let manifest = place.manifest()?;
            runs.push((place, manifest));
        }
        runs.sort_by_cached_key(|(_, manifest)| {
            (Moment::parse_rfc3339(merkle::as_of(&manifest.details)), manifest.run_id.clone())
        });
        Ok(runs)
    }

    /// Tables and columns that a statement can name.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn listing(&self) -> Result<Vec<Listed>, QueryError> {
        let specs = impact::specs()?;
        let mut listed = Vec::new();
        for name in self.manifest.tables() {
            listed.push(match specs.iter().find(|spec| spec.name == name) {
                Some(spec) => of_spec(spec),
                None => self.of_own(&name)?,
            });
        }
        let all: Vec<Listed> = listed.iter().map(of_all).collect();
        listed.extend(all);
        listed.extend(MADE.iter().filter(|table| self.is_made(table.name)).map(of_made));
        Ok(listed)
    }

    /// The table of a query of the configuration.
    fn of_own(&self, name: &str) -> Result<Listed, QueryError> {
        let found = self.of_run(name)?;
        let column = |(name, data_type): (String, &'static str)| ListedColumn {
            name,
            data_type: data_type.into(),
            unit: String::new(),
            meaning: String::new(),
        };
        let columns = found.types().into_iter().map(column).collect();
        Ok(Listed { name: name.into(), about: "Of a query of report.queries.".into(), columns })
    }
}

/// A listing as rows: table, column, type, unit, meaning.
///
/// # Errors
/// Never; the columns are of one length.
pub fn listed(tables: &[Listed]) -> Result<RecordBatch, QueryError> {
    let rows = tables.iter().flat_map(|table| {
        table.columns.iter().map(|c| [&table.name, &c.name, &c.data_type, &c.unit, &c.meaning])
    });
    let rows: Vec<[&String; 5]> = rows.collect();
    let columns = ["table", "column", "type", "unit", "meaning"].into_iter().enumerate();
    let columns = columns.map(|(i, name)| {
        let texts = rows.iter().map(|row| row.get(i).map(|text| text.as_str()));
        (name, Arc::new(StringArray::from_iter(texts)) as ArrayRef)
    });
    RecordBatch::try_from_iter(columns).map_err(|e| QueryError::Engine { reason: e.to_string() })
}

fn of_spec(spec: &TableSpec) -> Listed {
    let column = |column: &impact::ColumnSpec| ListedColumn {
        name: column.name.clone(),
        data_type: column.data_type.name().into(),
        unit: column.unit.clone(),
        meaning: column.meaning.clone(),
    };
    Listed {
        name: spec.name.clone(),
        about: spec.about.clone(),
        columns: spec.columns.iter().map(column).collect(),
    }
}

fn of_all(of: &Listed) -> Listed {
    let column = |name: &str, data_type: &str, unit: &str, meaning: String| ListedColumn {
        name: name.into(),
        data_type: data_type.into(),
        unit: unit.into(),
        meaning,
    };
    let [(run_id, text), (as_of, time)] = STAMPED;
    Listed {
        name: format!("{ALL_RUNS}.{}", of.name),
        about: format!(
            "The same of every run of the output, the earliest as_of first: {}",
            of.about
        ),
        columns: vec![
            column(run_id, text, "", "Whose row it is.".into()),
            column(as_of, time, "UTC", "End of that run's report, not included.".into()),
            column("*", "", "", format!("The columns of {}; null where a run has none.", of.name)),
        ],
    }
}

fn of_made(table: &MadeTable) -> Listed {
    let column = |(name, data_type, unit, meaning): &(&str, &str, &str, &str)| ListedColumn {
        name: (*name).into(),
        data_type: (*data_type).into(),
        unit: (*unit).into(),
        meaning: (*meaning).into(),
    };
    Listed {
        name: table.name.into(),
        about: table.about.into(),
        columns: table.columns.iter().map(column).collect(),
    }
}

/// The engine's plan as SQL means it: its types looked at, its whole numbers wide, its rows in order.
fn meant(plan: DslPlan) -> PolarsResult<DslPlan> {
    let plan = wide::wide(plan);
    types::check(&plan)?;
    Ok(order::ordered(plan))
}

fn of_rows(rows: &RecordBatch) -> Result<PublishedTable, QueryError> {
    Part::of_rows(rows.clone())
        .and_then(|part| PublishedTable::of(vec![part]))
        .map_err(|reason| QueryError::Engine { reason })
}

/// A table of a run, if its hash holds.
fn part(
    place: &Place,
    manifest: &Manifest,
    table: &str,
    stamp: Option<Stamp>,
) -> Result<Part, QueryError> {
    let bytes = place.output(manifest, &format!("tables/{table}.parquet"))?;
    Part::of(bytes, stamp).map_err(|reason| QueryError::Unreadable {
        table: table.to_string(),
        run_id: manifest.run_id.clone(),
        reason,
    })
}

/// A table of all runs that have it; `None` where none does.
fn of_runs(runs: &[(Place, Manifest)], table: &str) -> Result<Option<PublishedTable>, QueryError> {
    let mut parts = Vec::new();
    let mut last = "";
    for (place, manifest) in runs.iter().filter(|(_, of)| of.tables().contains(table)) {
        let as_of = Moment::parse_rfc3339(merkle::as_of(&manifest.details));
        let stamp = Stamp { run_id: manifest.run_id.clone(), as_of };
        parts.push(part(place, manifest, table, Some(stamp))?);
        last = &manifest.run_id;
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let all = PublishedTable::of(parts).map_err(|reason| QueryError::Unreadable {
        table: format!("{ALL_RUNS}.{table}"),
        run_id: last.to_string(),
        reason,
    })?;
    Ok(Some(all))
}
