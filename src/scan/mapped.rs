//! What a mapping makes of a file's columns, found without its rows: by the same steps that read them, over
//! none.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::columns::{Bound, FileShape};
use super::mapping::{encoding_of, floats, id_kind, integers, list_rows, moments};
use super::{ScanError, WholeFile};
use crate::config::raw::Encoding;
use crate::config::{ColumnPlan, MappingPlan};
use crate::snapshot::TableSchema;

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

impl WholeFile {
    /// All columns of the mapping, in the order of the configuration's keys.
    pub fn mapped(&self, mapping: &MappingPlan, table: Option<&TableSchema>) -> Vec<MappedColumn> {
        let shape = FileShape {
            file: self.shown(),
            schema: self.schema(),
            leaves: self.parquet().file_metadata().schema_descr(),
            partitions: self.partitions(),
            table,
        };
        let none = RecordBatch::new_empty(Arc::clone(self.schema()));
        let found = |plan: &ColumnPlan| {
            let bound = shape.bind(plan)?;
            type_of(&bound, &none, self.shown())
        };
        let columns = mapping.columns().map(|plan| MappedColumn {
            role: plan.role,
            column: plan.source.shown(),
            found: found(plan),
        });
        columns.collect()
    }
}

/// The type of a column's values, where they can be read as what they are mapped as.
fn type_of(bound: &Bound, none: &RecordBatch, file: &str) -> Result<String, ScanError> {
    let array = bound.values(none, file)?;
    match bound.plan.role {
        "time" => drop(moments(bound, &array, file)?),
        "subject" | "actor" | "group" | "event_id" => {
            id_kind(bound, array.data_type(), file)?;
        }
        "bytes" | "records" | "weight" => drop(integers(bound, &array, file)?),
        "status" if array.data_type().is_floating() => drop(floats(bound, &array, file)?),
        "scopes" | "fields" => {
            let encoding = encoding_of(bound, array.data_type(), file)?;
            if encoding == Encoding::List && array.data_type().is_nested() {
                list_rows(bound, &array, file, |_| ())?;
            } else {
                bound.to_text(&array, file)?;
            }
        }
        _ => drop(bound.to_text(&array, file)?),
    }
    Ok(match bound.constant() {
        Some(Some(value)) => format!("{}, `{value}` in all rows", array.data_type()),
        Some(None) => "null in all rows".into(),
        None => array.data_type().to_string(),
    })
}
