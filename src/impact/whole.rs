//! Frames that tables take as they are: their rows, by far the most of all, become tables without passing through
//! the query engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, Date32Builder, DictionaryArray, Int32Builder,
    Int64Array, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use polars::prelude::{DataFrame, PolarsError, PolarsResult};

use super::exposure_frames::Rows;
use super::frames::{Builder, COLUMNS, Report};
use super::output::arrow_type;
use super::texts::{Texts, plain};
use super::{ColumnSpec, ColumnType, ImpactError, Query, Table, TableSpec};
use crate::moment::Moment;

/// Bytes that most texts do not exceed, of which no two below each other are the same: ids.
const OF_TEXT: usize = 20;

/// Columns of so many rows.
pub(super) struct Columns {
    rows: usize,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    pub fn of(rows: usize) -> Self {
        Self { rows, fields: Vec::new(), arrays: Vec::new() }
    }

    fn with(mut self, name: &str, array: ArrayRef) -> Self {
        self.fields.push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
        self
    }

    /// Texts, one for each row.
    pub fn texts<T: AsRef<str>>(self, name: &str, values: impl Iterator<Item = Option<T>>) -> Self {
        let mut texts = StringBuilder::with_capacity(self.rows, self.rows * OF_TEXT);
        values.for_each(|text| texts.append_option(text));
        self.with(name, Arc::new(texts.finish()))
    }

    /// Texts, each with the number of rows below each other that have it: it is kept once.
    pub fn runs<T: AsRef<str>>(
        self,
        name: &str,
        runs: impl Iterator<Item = (Option<T>, usize)>,
    ) -> PolarsResult<Self> {
        let (mut texts, mut keys) = (StringBuilder::new(), Int32Builder::with_capacity(self.rows));
        let mut last: Option<T> = None;
        for (text, rows) in runs {
            let Some(text) = text else {
                keys.append_nulls(rows);
                continue;
            };
            if last.as_ref().is_none_or(|last| last.as_ref() != text.as_ref()) {
                texts.append_value(text.as_ref());
                last = Some(text);
            }
            keys.append_value_n(i32::try_from(texts.len()).map_err(failed)? - 1, rows);
        }
        let runs = DictionaryArray::try_new(keys.finish(), Arc::new(texts.finish()));
        Ok(self.with(name, Arc::new(runs.map_err(failed)?)))
    }

    pub fn ints(self, name: &str, values: impl Iterator<Item = Option<i64>>) -> Self {
        let mut ints = Int64Builder::with_capacity(self.rows);
        values.for_each(|value| ints.append_option(value));
        self.with(name, Arc::new(ints.finish()))
    }

    /// Numbers none of which is null.
    pub fn whole_ints(self, name: &str, values: impl Iterator<Item = i64>) -> Self {
        let mut ints = Vec::with_capacity(self.rows);
        ints.extend(values);
        self.with(name, Arc::new(Int64Array::from(ints)))
    }

    pub fn counts(self, name: &str, values: impl Iterator<Item = u64> + Clone) -> Self {
        match values.clone().max() {
            Some(most) if i64::try_from(most).is_err() => {
                self.ints(name, values.map(|value| i64::try_from(value).ok()))
            }
            _ => self.whole_ints(name, values.map(u64::cast_signed)),
        }
    }

    /// Moments in microseconds.
    pub fn times(self, name: &str, values: impl Iterator<Item = Option<i64>>) -> Self {
        let mut times = TimestampMicrosecondBuilder::with_capacity(self.rows)
            .with_data_type(arrow_type(ColumnType::Time));
        values.for_each(|value| times.append_option(value));
        self.with(name, Arc::new(times.finish()))
    }

    pub fn days(self, name: &str, values: impl Iterator<Item = i64>) -> Self {
        let mut days = Date32Builder::with_capacity(self.rows);
        values.for_each(|value| days.append_option(i32::try_from(value).ok()));
        self.with(name, Arc::new(days.finish()))
    }

    pub fn finish(self) -> PolarsResult<RecordBatch> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays).map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> PolarsError {
    PolarsError::ComputeError(error.to_string().into())
}

/// The columns as a frame of the query engine.
fn frame(batch: &RecordBatch) -> PolarsResult<DataFrame> {
    let mut builder = Builder::default();
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let name = field.name();
        builder = match field.data_type() {
            DataType::Utf8 | DataType::Dictionary(..) => {
                let texts = Texts::of(array).ok_or_else(|| failed("texts that are none"))?;
                builder.text(name, (0..array.len()).map(|row| texts.get(row)))
            }
            DataType::Int64 => {
                builder.int(name, array.as_primitive::<Int64Type>().iter().collect())
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let times = array.as_primitive::<TimestampMicrosecondType>().iter();
                builder.time(name, times.map(|micros| micros.map(Moment::from_micros)))?
            }
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().iter();
                builder.date(name, days.map(|day| day.map(i64::from)).collect())?
            }
            other => return Err(failed(format!("column {name} has type {other}"))),
        };
    }
    builder.finish()
}

/// Whether a built-in query takes every row of the frame and the columns of its table as they are.
fn takes(query: &Query, frame: &str) -> bool {
    let Some(spec) = &query.spec else { return false };
    let columns: Vec<&str> = spec.columns.iter().map(|column| column.name.as_str()).collect();
    let lines = query.sql.lines().filter(|line| !line.starts_with("--"));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ") == format!("SELECT {} FROM {frame}", columns.join(", "))
}

/// The name of the frame whose rows are the table of the query as they are; `None` where the query engine must be asked.
pub(super) fn taken(query: &Query) -> Option<&'static str> {
    COLUMNS.iter().map(|(name, _)| *name).find(|name| takes(query, name))
}

/// Frames of very many rows, by name, as columns.
pub(super) type Whole = BTreeMap<&'static str, RecordBatch>;

/// # Errors
/// Never in practice: columns have equal lengths.
pub(super) fn columns(report: &Report<'_>, mut rows: Rows, are_asked: bool) -> PolarsResult<Whole> {
    COLUMNS.iter().map(|(name, make)| Ok((*name, make(report, &mut rows, are_asked)?))).collect()
}

/// Whether one of the queries asks more of such a frame than to be taken as it is.
pub(super) fn is_asked(queries: &[&Query]) -> bool {
    COLUMNS.iter().any(|(name, _)| queries.iter().any(|query| query.asks(name)))
}

/// The frames that queries ask for.
///
/// # Errors
/// Never in practice: frames have no columns of other types.
pub(super) fn asked(
    queries: &[&Query],
    whole: &Whole,
) -> PolarsResult<Vec<(&'static str, DataFrame)>> {
    let asked = whole.iter().filter(|(name, _)| queries.iter().any(|query| query.asks(name)));
    asked.map(|(name, columns)| Ok((*name, frame(columns)?))).collect()
}

/// The table of a query that takes the rows as they are, packed.
///
/// # Errors
/// Columns that are not those of the table.
pub(super) fn table(
    query: &Query,
    spec: &TableSpec,
    rows: &RecordBatch,
) -> Result<Table, ImpactError> {
    let failed = |reason: String| ImpactError::Output { table: query.table.clone(), reason };
    let place = |column: &ColumnSpec| rows.schema_ref().index_of(&column.name);
    let places = spec.columns.iter().map(place).collect::<Result<Vec<_>, _>>();
    let batch =
        places.and_then(|places| rows.project(&places)).map_err(|e| failed(e.to_string()))?;
    if plain(batch.schema_ref()) != *query.columns {
        return Err(failed("its columns are not those of its header".into()));
    }
    Ok(Table { name: query.table.clone(), batch })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{DayCoverage, SourceCoverage, Take, built_in, collected, tables as made};
    use super::*;
    use crate::config::IncidentPlan;
    use crate::exposure::listed::{Candidate, Met, RankedGroups, RestGroups, ScopeGroups};
    use crate::exposure::{Cell, CellKey, Day, Exposure, Grain, Measures, WindowMeasures};
    use crate::impact::Names;
    use crate::key::Key;
    use crate::moment::Zone;
    use crate::registry::Registry;

    fn cell(grain: Grain, app: Option<&str>, days: &[i64]) -> Cell {
        let day = |day: &i64| Day { day: *day, requests: 7, subjects: 3, new: 2 };
        Cell {
            key: CellKey {
                grain,
                scope: Some("s".into()).filter(|_| grain != Grain::All),
                app: app.map(Into::into),
                developer: None,
                attested_at: None,
            },
            windows: WindowMeasures::new(std::array::from_fn(|_| Measures {
                events: 7,
                requests: 9,
                subjects: 3,
                groups: 2,
                ..Default::default()
            })),
            days: days.iter().map(day).collect(),
            residents: Vec::new(),
        }
    }

    fn exposure() -> Exposure {
        let group = |space, id: &str| {
            let met = Met {
                key: Key { hi: 0, lo: 0 },
                space,
                number: None,
                apps: 2,
                subjects: 5,
                requests: 9,
                first: -1,
                last: 1_573_000_000_123_456,
            };
            Candidate::new(id, met)
        };
        let listed = |first: Vec<Candidate>, rest: RestGroups, members: Vec<u64>| {
            let groups = rest.groups + first.len() as u64;
            let requests = rest.requests + 9 * i64::try_from(first.len()).unwrap();
            let order = (0..u32::try_from(first.len()).unwrap()).rev().collect();
            let groups = ScopeGroups { first, all: RestGroups { groups, requests } };
            let mut listed = RankedGroups(vec![groups]).listed(vec![order]).remove(0);
            assert_eq!(listed.rest, rest);
            listed.members = members;
            listed
        };
        Exposure {
            cells: vec![
                cell(Grain::ScopeApp, Some("b"), &[18_000, 18_002]),
                cell(Grain::ScopeApp, Some("(all)"), &[18_001]),
                cell(Grain::ScopeApp, None, &[-1]),
                cell(Grain::ScopeApp, Some("none"), &[]),
                cell(Grain::Scope, None, &[18_000]),
                cell(Grain::All, None, &[18_000]),
            ],
            groups: vec![
                listed(
                    vec![group(1, "Z"), group(1, "(rest)"), group(0, "b")],
                    RestGroups::default(),
                    vec![0, 4, 7],
                ),
                listed(
                    vec![group(0, "y"), group(0, "x"), group(0, "(all)")],
                    RestGroups { groups: 3, requests: 11 },
                    Vec::new(),
                ),
            ],
            scope_names: vec!["s".into(), "t".into()],
            ..Exposure::default()
        }
    }

    /// What `look` finds in a report of few cells, days and groups; it is given a way to take their rows, too.
    pub fn with_report<T>(
        registry: &Registry,
        look: impl FnOnce(&Report<'_>, &dyn Fn() -> Rows) -> T,
    ) -> T {
        let all = exposure();
        let mut exposure = all.clone();
        Rows::of(&mut exposure);
        let day = DayCoverage { files_read: 2, rows: 5, ..Default::default() };
        let source = |name: &str, days: &[Option<i64>]| SourceCoverage {
            source: name.into(),
            days: days.iter().map(|at| (*at, day)).collect(),
            ..Default::default()
        };
        let sources = [source("a", &[Some(18_000), None]), source("b", &[Some(18_000)])];
        let report = Report {
            registry,
            names: Names::new(registry),
            exposure: &exposure,
            days: all.days(),
            coverage: &sources,
            group_namespaces: &["n".into(), "m".into()],
            residences: &[],
            incident: IncidentPlan::default(),
            zone: Zone::UTC,
            has_fields: false,
            as_of: Moment::from_micros(0),
            lookback_from: Moment::from_micros(0),
            lookback_days: 0,
            complete: true,
        };
        look(&report, &|| Rows::of(&mut all.clone()))
    }

    /// The tables that queries make, by name.
    fn tables(queries: &[Query]) -> BTreeMap<String, RecordBatch> {
        with_report(&Registry::default(), |report, rows| {
            let made = |threads| {
                let make = |take: &Take<'_>| made(queries, report, rows(), threads, take);
                let (tables, ()) = collected(make).unwrap();
                assert_eq!(tables.len(), queries.len());
                let unpacked = tables.into_iter().zip(queries).map(|(table, query)| {
                    assert_eq!(table.name, query.table);
                    (query.table.clone(), table.unpacked().unwrap().batch)
                });
                unpacked.collect::<BTreeMap<_, _>>()
            };
            let both = made(2);
            assert_eq!(both, made(1));
            both
        })
    }

    #[test]
    fn a_table_that_is_a_frame_as_it_is_is_what_the_query_engine_makes_of_the_same_query() {
        let built_in = built_in().unwrap();
        let whole: Vec<Query> =
            built_in.into_iter().filter(|q| COLUMNS.iter().any(|(of, _)| q.asks(of))).collect();
        assert_eq!(whole.len(), 2);
        let mut queries = whole.clone();
        for query in whole {
            let table = format!("own_{}", query.table);
            queries.push(Query { table, spec: None, ..query });
        }
        queries.push(Query {
            table: "own_cells".into(),
            sql: "SELECT cell FROM exposure_days".into(),
            spec: None,
            ..queries[0].clone()
        });
        let found = tables(&queries);
        // What the table has not, own queries have: here in the order of the table.
        let cells = found["own_cells"].column(0).as_primitive::<Int64Type>();
        assert_eq!(cells.values(), &[5, 4, 2, 1, 0, 0]);
        assert!(takes(&queries[0], "exposure_days") && takes(&queries[1], "exposure_groups"));
        let taken = tables(&queries[..2]);
        for (name, rows) in [("daily_timeline", 6), ("groups_exposed", 7)] {
            assert_eq!(found[name].num_rows(), rows);
            // Own queries are left in the order of their frames.
            let key = queries.iter().find(|query| query.table == name).unwrap().spec.as_ref();
            let own = Table { name: name.into(), batch: found[&format!("own_{name}")].clone() };
            assert_eq!(found[name], own.sorted(name, &key.unwrap().key).unwrap().batch);
            assert_eq!(found[name], taken[name]);
        }
        let text = |table: &str, column: &str| -> Vec<Option<String>> {
            let array = taken[table].column_by_name(column).unwrap();
            array.as_string::<i32>().iter().map(|text| text.map(Into::into)).collect()
        };
        let all = |texts: &[&str]| -> Vec<Option<String>> {
            texts.iter().map(|text| Some((*text).into())).collect()
        };
        // Sorted as they are shown.
        let shown = all(&["Z", "\\(rest)", "b", "\\(all)", "x", "y", "(rest)"]);
        assert_eq!(text("groups_exposed", "group_id"), shown);
        let namespaces = all(&["m", "m", "n", "n", "n", "n", "(rest)"]);
        assert_eq!(text("groups_exposed", "namespace"), namespaces);
        let members = taken["groups_exposed"].column_by_name("members_then").unwrap();
        let members: Vec<Option<i64>> = members.as_primitive::<Int64Type>().iter().collect();
        // Members stay with their groups where namespaces come in another order than by their numbers.
        assert_eq!(members, [Some(7), Some(4), Some(0), None, None, None, None]);
        assert_eq!(text("daily_timeline", "app_id")[2..4], [None, Some("\\(all)".into())]);
    }
}
