//! Finds a mapped column in a file's schema and takes its values out of decoded batches.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBufferBuilder, ListArray, StringArray, StringBuilder,
    StructArray, UInt64Array, make_array, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Fields};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use serde_json::Value;

use super::ScanError;
use crate::config::ColumnPlan;
use crate::snapshot::Constant;

/// A mapped column, found in one file.
#[derive(Clone, Debug)]
pub struct Bound {
    pub plan: ColumnPlan,
    pub(super) expr: Expr,
    /// Parquet leaf columns that must be decoded.
    pub leaves: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Expr {
    /// The value that all rows of the file have: that of a partition, a default, or null where the file
    /// lacks the column and may. Of a type where somebody says which; else it is text.
    Constant(Constant, Option<DataType>),
    Path(Vec<String>),
    /// A column that the table has since given a type in which this file does not write it.
    Widened(Vec<String>, DataType),
    Concat(Vec<Part>),
    Entry {
        path: Vec<String>,
        name: String,
        equals: String,
        value: String,
    },
    Json {
        path: Vec<String>,
        pointer: Vec<String>,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    Literal(String),
    Column(Box<Expr>),
}

impl Bound {
    /// Whether the column is one leaf of the file: then its statistics speak for it.
    pub fn single_leaf(&self) -> Option<usize> {
        match (&self.expr, self.leaves.as_slice()) {
            (Expr::Path(_), [leaf]) => Some(*leaf),
            _ => None,
        }
    }

    /// Whether the column is the leaf at `path` itself, and no struct or list around it.
    pub fn is_leaf(&self, path: &[String]) -> bool {
        matches!(&self.expr, Expr::Path(segments) if segments.as_slice() == path)
    }

    /// Whether the column is a list of texts with the leaf at `path`.
    pub fn is_list_of_texts(&self, fields: &Fields, path: &[String]) -> bool {
        let Expr::Path(segments) = &self.expr else { return false };
        let Some((first, rest)) = segments.split_first() else { return false };
        let mut at = fields.find(first).map(|(_, field)| field.data_type());
        for name in rest {
            let Some(DataType::Struct(parts)) = at else { return false };
            at = parts.find(name).map(|(_, field)| field.data_type());
        }
        path.starts_with(segments)
            && matches!(at, Some(DataType::List(element)) if *element.data_type() == DataType::Utf8)
    }

    /// The value that every row has, where the file's folder or its lack of the column gives it.
    pub fn constant(&self) -> Option<Option<&str>> {
        match &self.expr {
            Expr::Constant(value, _) => Some(value.text.as_deref()),
            _ => None,
        }
    }

    /// The column's values for the rows of `batch`.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] where a part has no textual form.
    pub fn values(&self, batch: &RecordBatch, file: &str) -> Result<ArrayRef, ScanError> {
        self.evaluate(&self.expr, batch, file)
    }

    /// The JSON texts that the column's values are taken from.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] where they are no texts.
    pub fn json_texts(&self, batch: &RecordBatch, file: &str) -> Result<StringArray, ScanError> {
        match &self.expr {
            Expr::Json { path, .. } => self.to_text(&self.descend(path, batch, file)?, file),
            _ => self.to_text(&self.values(batch, file)?, file),
        }
    }

    fn bad_json(&self, file: &str, reason: &serde_json::Error) -> ScanError {
        ScanError::BadJson {
            file: file.to_string(),
            role: self.plan.role,
            column: self.plan.source.shown(),
            reason: reason.to_string(),
        }
    }

    /// Whether the scope in a JSON text cannot be read: the text is no JSON, or its value is of a shape
    /// that holds no scope.
    pub fn is_broken_json(&self, text: &str, is_list: bool) -> bool {
        let Expr::Json { pointer, .. } = &self.expr else { return false };
        match json_value(text, pointer) {
            Err(_) => true,
            Ok(Some(Value::Object(_))) => true,
            Ok(Some(Value::Array(_))) => !is_list,
            Ok(_) => false,
        }
    }

    fn wrong_type(&self, file: &str, found: &DataType, wanted: &str) -> ScanError {
        ScanError::WrongType {
            file: file.to_string(),
            role: self.plan.role,
            column: self.plan.source.shown(),
            found: found.to_string(),
            wanted: wanted.to_string(),
        }
    }

    fn evaluate(
        &self,
        expr: &Expr,
        batch: &RecordBatch,
        file: &str,
    ) -> Result<ArrayRef, ScanError> {
        let rows = batch.num_rows();
        match expr {
            Expr::Constant(value, of) => {
                constant(value, of.as_ref(), rows).map_err(|e| ScanError::BadPartition {
                    file: file.to_string(),
                    reason: format!(
                        "`{}` = {}: {e}",
                        self.plan.source.shown(),
                        value.text.as_deref().unwrap_or_default()
                    ),
                })
            }
            Expr::Path(path) => self.descend(path, batch, file),
            Expr::Widened(path, to) => {
                let array = self.descend(path, batch, file)?;
                widen(&array, to)
                    .map_err(|_| self.wrong_type(file, array.data_type(), &to.to_string()))
            }
            Expr::Concat(parts) => {
                let columns = parts
                    .iter()
                    .map(|part| match part {
                        Part::Literal(text) => Ok((Some(text.as_str()), None)),
                        Part::Column(expr) => {
                            let array = self.evaluate(expr, batch, file)?;
                            Ok((None, Some(self.to_text(&array, file)?)))
                        }
                    })
                    .collect::<Result<Vec<_>, ScanError>>()?;
                let mut out = StringBuilder::new();
                for row in 0..rows {
                    let mut text = String::new();
                    let mut null = false;
                    for (literal, column) in &columns {
                        match column {
                            Some(column) if column.is_null(row) => null = true,
                            Some(column) => text.push_str(column.value(row)),
                            None => text.push_str(literal.unwrap_or_default()),
                        }
                    }
                    out.append_option((!null).then_some(text));
                }
                Ok(Arc::new(out.finish()))
            }
            Expr::Entry { path, name, equals, value } => {
                let array = self.descend(path, batch, file)?;
                self.entry(&array, name, equals, value, file)
            }
            Expr::Json { path, pointer } => {
                let array = self.descend(path, batch, file)?;
                let texts = self.to_text(&array, file)?;
                let mut out = StringBuilder::new();
                for text in &texts {
                    let value = match text.map(|text| json_value(text, pointer)).transpose() {
                        Ok(value) => value.flatten(),
                        // A scope or time that cannot be read rejects its row; what else a row says
                        // must not be taken for nothing.
                        Err(_) if ["scopes", "time"].contains(&self.plan.role) => None,
                        Err(reason) => return Err(self.bad_json(file, &reason)),
                    };
                    out.append_option(value.as_ref().and_then(json_text));
                }
                Ok(Arc::new(out.finish()))
            }
        }
    }

    fn descend(
        &self,
        path: &[String],
        batch: &RecordBatch,
        file: &str,
    ) -> Result<ArrayRef, ScanError> {
        let lost = || self.wrong_type(file, &DataType::Null, "a column");
        let (first, rest) = path.split_first().ok_or_else(lost)?;
        let mut array = batch.column_by_name(first).cloned().ok_or_else(lost)?;
        for name in rest {
            let structs = array.as_struct_opt().ok_or_else(lost)?;
            let child = structs.column_by_name(name).cloned().ok_or_else(lost)?;
            array = mask_nulls(structs, &child)?;
        }
        Ok(array)
    }

    /// Any scalar column as text.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] for nested columns.
    pub fn to_text(&self, array: &ArrayRef, file: &str) -> Result<StringArray, ScanError> {
        let text = match array.data_type() {
            DataType::Utf8 => Ok(array.clone()),
            DataType::Struct(_)
            | DataType::List(_)
            | DataType::LargeList(_)
            | DataType::Map(..) => {
                return Err(self.wrong_type(file, array.data_type(), "one value a row"));
            }
            DataType::FixedSizeBinary(16) => {
                let mut out = StringBuilder::new();
                for bytes in array.as_fixed_size_binary() {
                    out.append_option(
                        bytes.and_then(|b| uuid::Uuid::from_slice(b).ok()).map(|u| u.to_string()),
                    );
                }
                Ok(Arc::new(out.finish()) as ArrayRef)
            }
            _ => cast_with_options(array, &DataType::Utf8, &strict()),
        };
        let text = text.map_err(|_| self.wrong_type(file, array.data_type(), "text"))?;
        Ok(text.as_string::<i32>().clone())
    }

    fn entry(
        &self,
        array: &ArrayRef,
        name: &str,
        equals: &str,
        value: &str,
        file: &str,
    ) -> Result<ArrayRef, ScanError> {
        let wrong = || self.wrong_type(file, array.data_type(), "a list of name/value structs");
        let list: &ListArray = array.as_list_opt().ok_or_else(wrong)?;
        let entries = list.values().as_struct_opt().ok_or_else(wrong)?;
        let names = entries.column_by_name(name).ok_or_else(wrong)?;
        let values = entries.column_by_name(value).ok_or_else(wrong)?;
        let names = self.to_text(names, file)?;
        // For each row the first entry of that name; null where there is none.
        let mut picked = Vec::with_capacity(list.len());
        for row in 0..list.len() {
            let (from, to) = match (list.offsets().get(row), list.offsets().get(row + 1)) {
                (Some(from), Some(to)) if !list.is_null(row) => (*from, *to),
                _ => (0, 0),
            };
            picked.push((from..to).find_map(|at| {
                let at = usize::try_from(at).ok()?;
                (!names.is_null(at) && names.value(at) == equals).then_some(at as u64)
            }));
        }
        let indices = UInt64Array::from(picked);
        arrow::compute::take(values.as_ref(), &indices, None).map_err(|_| wrong())
    }
}

/// A value for each row, of the type that the table says.
///
/// # Errors
/// What is no value of the type.
pub fn constant(
    value: &Constant,
    of: Option<&DataType>,
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    let of = of.unwrap_or(&DataType::Utf8);
    if value.text.is_none() {
        return Ok(new_null_array(of, rows));
    }
    arrow::compute::take(&value.array(of)?, &UInt64Array::from(vec![0; rows]), None)
}

/// Values as the table's type `to` has them.
///
/// # Errors
/// Values that the type cannot hold.
fn widen(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        // They count from one moment in UTC, as the table says and the file does not.
        (DataType::Timestamp(unit, None), DataType::Timestamp(_, zone)) => {
            let data_type = DataType::Timestamp(*unit, zone.clone());
            Ok(make_array(array.to_data().into_builder().data_type(data_type).build()?))
        }
        _ => cast_with_options(array, to, &strict()),
    }
}

/// A cast that fails rather than turning what it cannot read into null.
pub fn strict() -> CastOptions<'static> {
    CastOptions { safe: false, ..Default::default() }
}

/// A child column is null where its parent is.
fn mask_nulls(parent: &StructArray, child: &ArrayRef) -> Result<ArrayRef, ScanError> {
    let Some(parent_nulls) = parent.nulls() else { return Ok(child.clone()) };
    let mut valid = BooleanBufferBuilder::new(child.len());
    for row in 0..child.len() {
        valid.append(parent_nulls.is_valid(row) && child.is_valid(row));
    }
    let nulls = Some(valid.finish().into_inner());
    let data = child.to_data().into_builder().null_bit_buffer(nulls).build();
    data.map(make_array).map_err(|e| ScanError::Internal { what: e.to_string() })
}

/// The value at `pointer` in a JSON text.
fn json_value(text: &str, pointer: &[String]) -> Result<Option<Value>, serde_json::Error> {
    let mut at: Value = serde_json::from_str(text)?;
    for key in pointer {
        let next = match &mut at {
            Value::Array(items) => key.parse::<usize>().ok().and_then(|i| items.get_mut(i)),
            other => other.get_mut(key),
        };
        match next {
            Some(next) => at = next.take(),
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Texts as they are, all else as JSON.
fn json_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
