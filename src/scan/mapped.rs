//! What a mapping makes of a file's columns, found without its rows: by the same steps that read them, over
//! none; and of the values of a sample.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;

use super::bind::FileShape;
use super::columns::Bound;
use super::mapping::{
    check_status, encoding_of, floats, folded, ids, integers, list_rows, moments,
};
use super::scopes::{listed, meaning};
use super::{ScanError, WholeFile};
use crate::config::raw::Encoding;
use crate::config::{ColumnPlan, ColumnSource, MappingPlan};
use crate::key::Keyer;
use crate::snapshot::TableSchema;

/// How a source's columns are read.
#[derive(Clone, Debug)]
pub struct Mapped {
    pub mapping: MappingPlan,
    /// Whether the registry says which scopes a call needs.
    pub has_endpoints: bool,
}

/// A mapped column in one file.
#[derive(Debug)]
pub struct MappedColumn {
    /// The configuration's key.
    pub role: &'static str,
    /// The column, as the configuration writes it.
    pub column: String,
    /// The type that its values have; or why they cannot be read as what they are mapped as.
    pub found: Result<String, ScanError>,
}

/// What became of the values of a mapped column.
#[derive(Debug)]
pub struct TriedColumn {
    pub role: &'static str,
    pub read: u64,
    pub nulls: u64,
    pub unread: u64,
    pub first_unread: Option<Unread>,
}

/// A value that cannot be read as what its column is mapped as.
#[derive(Debug)]
pub struct Unread {
    pub value: String,
    pub data_type: String,
    pub reason: String,
}

/// What became of one value.
enum Reading {
    Read,
    Null,
    /// Its row is rejected, for this reason.
    Rejected(&'static str),
}

impl WholeFile {
    /// All columns of the mapping, in the order of the configuration's keys.
    pub fn mapped(&self, mapped: &Mapped, table: Option<&TableSchema>) -> Vec<MappedColumn> {
        let shape = self.shape(table);
        let none = RecordBatch::new_empty(Arc::clone(self.schema()));
        let found = |plan: &ColumnPlan| {
            let bound = shape.bind(plan)?;
            readings(mapped, &bound, &none, self.shown())?;
            shown_type(&bound, &none, self.shown())
        };
        let columns = mapped.mapping.columns().map(|plan| MappedColumn {
            role: plan.role,
            column: plan.source.shown(),
            found: found(plan),
        });
        columns.collect()
    }

    /// Reads the values of all mapped columns that are there in the first row group with rows, of `most` rows to the
    /// next whole batch; gives the rows.
    ///
    /// # Errors
    /// Files that changed or are damaged. What a value is not stands in what is given.
    pub fn tried(
        &self,
        mapped: &Mapped,
        table: Option<&TableSchema>,
        most: u64,
    ) -> Result<(u64, Vec<TriedColumn>), ScanError> {
        let groups = self.parquet().row_groups();
        let Some(group) = groups.iter().position(|group| group.num_rows() > 0) else {
            return Ok((0, Vec::new()));
        };
        let shape = self.shape(table);
        let bound = mapped.mapping.columns().filter_map(|plan| shape.bind(plan).ok());
        let mut columns: Vec<(Bound, TriedColumn)> = bound
            .map(|bound| {
                let role = bound.plan.role;
                (bound, TriedColumn { role, read: 0, nulls: 0, unread: 0, first_unread: None })
            })
            .collect();
        let leaves = columns.iter().flat_map(|(bound, _)| &bound.leaves);
        let tops = leaves.filter_map(|leaf| {
            let column = self.parquet().file_metadata().schema_descr().columns().get(*leaf)?;
            column.path().parts().first().cloned()
        });
        let tops: Vec<String> = tops.collect();
        let tops: Vec<&str> = tops.iter().map(String::as_str).collect();
        let mut rows = 0;
        let _ = self.read_columns::<ScanError>(group, &tops, |batch| {
            rows += batch.num_rows() as u64;
            for (bound, tried) in &mut columns {
                tried.add(mapped, bound, &batch, self.shown());
            }
            Ok(if rows < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok((rows, columns.into_iter().map(|(_, tried)| tried).collect()))
    }

    fn shape<'a>(&'a self, table: Option<&'a TableSchema>) -> FileShape<'a> {
        FileShape {
            file: self.shown(),
            schema: self.schema(),
            leaves: self.parquet().file_metadata().schema_descr(),
            partitions: self.partitions(),
            table,
        }
    }
}

impl TriedColumn {
    /// All values at once; where that stops, one by one.
    fn add(&mut self, mapped: &Mapped, bound: &Bound, batch: &RecordBatch, file: &str) {
        let all = readings(mapped, bound, batch, file);
        if let Ok(all) = all {
            for (row, reading) in all.into_iter().enumerate() {
                self.count(reading, || shown_value(bound, &batch.slice(row, 1), file));
            }
            return;
        }
        for row in 0..batch.num_rows() {
            let one = batch.slice(row, 1);
            match readings(mapped, bound, &one, file) {
                Ok(readings) => {
                    for reading in readings {
                        self.count(reading, || shown_value(bound, &one, file));
                    }
                }
                Err(error) => {
                    let reason = error.to_string();
                    let reason = reason.lines().next().unwrap_or_default().to_string();
                    self.unread(reason, || shown_value(bound, &one, file));
                }
            }
        }
    }

    fn count(&mut self, reading: Reading, value: impl FnOnce() -> (String, String)) {
        match reading {
            Reading::Read => self.read += 1,
            Reading::Null => self.nulls += 1,
            Reading::Rejected(reason) => self.unread(reason.into(), value),
        }
    }

    fn unread(&mut self, reason: String, value: impl FnOnce() -> (String, String)) {
        self.unread += 1;
        self.first_unread.get_or_insert_with(|| {
            let (value, data_type) = value();
            Unread { value, data_type, reason }
        });
    }
}

/// What becomes of the values of a batch, by the steps of a run.
///
/// # Errors
/// As those steps: for the column, or for the first value that stops them.
fn readings(
    mapped: &Mapped,
    bound: &Bound,
    batch: &RecordBatch,
    file: &str,
) -> Result<Vec<Reading>, ScanError> {
    let array = bound.values(batch, file)?;
    let broken = broken_json(bound, batch, file)?;
    let rejects: Vec<Option<&str>> = match bound.plan.role {
        "time" => {
            let times = moments(bound, &array, file)?;
            let reject = |at: &Option<_>| at.is_none().then_some("no time can be read from it");
            times.iter().map(reject).collect()
        }
        "subject" | "actor" | "group" | "event_id" => {
            ids(bound, &array, &Keyer::plain(), file, |_, _| ())?;
            Vec::new()
        }
        "bytes" | "records" => {
            integers(bound, &array, file)?;
            Vec::new()
        }
        "weight" => {
            let values = integers(bound, &array, file)?;
            let values = values.iter();
            values.map(|v| v.filter(|v| *v < 0).map(|_| "a weight is not negative")).collect()
        }
        "status" => {
            check_status(&mapped.mapping.status_rule, bound, array.data_type(), file)?;
            if array.data_type().is_integer() {
                integers(bound, &array, file)?;
            } else if array.data_type().is_floating() {
                floats(bound, &array, file)?;
            } else {
                bound.to_text(&array, file)?;
            }
            Vec::new()
        }
        "scopes" | "fields" => {
            let encoding = encoding_of(bound, array.data_type(), file)?;
            let is_scopes = bound.plan.role == "scopes";
            if is_scopes {
                let of = (&mapped.mapping, mapped.has_endpoints);
                meaning(of, Some(bound), Some(encoding), file)?;
            }
            if encoding == Encoding::List && array.data_type().is_nested() {
                list_rows(bound, &array, file, |_| ())?;
                Vec::new()
            } else {
                let texts = bound.to_text(&array, file)?;
                let is_read = |text: &str| {
                    encoding != Encoding::List || listed(&folded(bound, text)).is_some()
                };
                let reject = |text: Option<&str>| {
                    let bad = text.is_some_and(|text| is_scopes && !is_read(text));
                    bad.then_some("it is no list of texts in JSON")
                };
                texts.iter().map(reject).collect()
            }
        }
        _ => {
            bound.to_text(&array, file)?;
            Vec::new()
        }
    };
    let nulls = array.logical_nulls();
    let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let reading = |row| match rejects.get(row).copied().flatten() {
        _ if broken.get(row) == Some(&true) => Reading::Rejected("the value is not in its JSON"),
        _ if is_null(row) => Reading::Null,
        Some(reason) => Reading::Rejected(reason),
        None => Reading::Read,
    };
    Ok((0..array.len()).map(reading).collect())
}

/// Rows that a run rejects because their JSON cannot be read.
fn broken_json(bound: &Bound, batch: &RecordBatch, file: &str) -> Result<Vec<bool>, ScanError> {
    let rejects = ["scopes", "time"].contains(&bound.plan.role);
    if !rejects || !matches!(bound.plan.source, ColumnSource::Json { .. }) {
        return Ok(Vec::new());
    }
    let is_list = bound.plan.encoding == Some(Encoding::List);
    let texts = bound.json_texts(batch, file)?;
    Ok(texts.iter().map(|t| t.is_some_and(|t| bound.is_broken_json(t, is_list))).collect())
}

/// The value of a batch of one row, as text, and its type.
fn shown_value(bound: &Bound, one: &RecordBatch, file: &str) -> (String, String) {
    const MOST: usize = 80;
    let array = match (&bound.plan.source, bound.values(one, file)) {
        (ColumnSource::Json { .. }, _) | (_, Err(_)) => {
            bound.json_texts(one, file).map(|texts| Arc::new(texts) as ArrayRef)
        }
        (_, found) => found,
    };
    let Ok(array) = array else { return (String::new(), String::new()) };
    let text = array_value_to_string(&array, 0).unwrap_or_default();
    let short = text
        .char_indices()
        .nth(MOST)
        .map(|(end, _)| format!("{}…", text.get(..end).unwrap_or_default()));
    (short.unwrap_or(text), array.data_type().to_string())
}

/// The type of a column's values.
fn shown_type(bound: &Bound, none: &RecordBatch, file: &str) -> Result<String, ScanError> {
    let array = bound.values(none, file)?;
    Ok(match bound.constant() {
        Some(Some(value)) => format!("{}, `{value}` in all rows", array.data_type()),
        Some(None) => "null in all rows".into(),
        None => array.data_type().to_string(),
    })
}
