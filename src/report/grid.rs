//! A table as reports read it: rows picked, put in order, and cut where they are too many.

use std::cmp::Ordering;

use arrow::array::{
    Array, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Text(&'a str),
    Int(i64),
    Float(f64),
    /// Microseconds since 1970, UTC.
    Time(i64),
    /// Days since 1970.
    Date(i32),
    Bool(bool),
}

/// Rows of a table.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Name of the table.
    pub table: String,
    pub batch: RecordBatch,
    /// Rows that were picked; more than the batch holds where they were too many.
    pub picked: usize,
}

impl Grid {
    pub fn of(table: &str, batch: RecordBatch) -> Self {
        Self { table: table.to_string(), picked: batch.num_rows(), batch }
    }

    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Picked rows that are not here.
    pub fn left_out(&self) -> usize {
        self.picked.saturating_sub(self.rows())
    }

    pub fn has(&self, column: &str) -> bool {
        self.batch.column_by_name(column).is_some()
    }

    /// `Null` also where there is no such column or row.
    pub fn value(&self, row: usize, column: &str) -> Value<'_> {
        self.batch.column_by_name(column).map_or(Value::Null, |array| value(array.as_ref(), row))
    }

    pub fn text(&self, row: usize, column: &str) -> Option<&str> {
        match self.value(row, column) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn int(&self, row: usize, column: &str) -> Option<i64> {
        match self.value(row, column) {
            Value::Int(n) => Some(n),
            _ => None,
        }
    }

    pub fn float(&self, row: usize, column: &str) -> Option<f64> {
        match self.value(row, column) {
            Value::Float(n) => Some(n),
            _ => None,
        }
    }

    pub fn time(&self, row: usize, column: &str) -> Option<i64> {
        match self.value(row, column) {
            Value::Time(micros) => Some(micros),
            _ => None,
        }
    }

    pub fn flag(&self, row: usize, column: &str) -> Option<bool> {
        match self.value(row, column) {
            Value::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// The rows that fit, in an order, at most `limit` of them. Equal rows keep the table's order.
    ///
    /// # Errors
    /// Where Arrow cannot take the rows.
    pub fn pick(
        &self,
        fits: impl Fn(&Self, usize) -> bool,
        order: impl Fn(&Self, usize, usize) -> Ordering,
        limit: usize,
    ) -> Result<Self, ArrowError> {
        let mut rows: Vec<usize> = (0..self.rows()).filter(|row| fits(self, *row)).collect();
        let picked = rows.len();
        rows.sort_by(|a, b| order(self, *a, *b));
        rows.truncate(limit);
        let rows: UInt32Array = rows.into_iter().map(|row| u32::try_from(row).ok()).collect();
        let batch = take_record_batch(&self.batch, &rows)?;
        Ok(Self { table: self.table.clone(), batch, picked })
    }

    /// Only these columns, as far as there are such.
    ///
    /// # Errors
    /// Never, as columns are looked up first.
    pub fn only(mut self, columns: &[&str]) -> Result<Self, ArrowError> {
        let schema = self.batch.schema();
        let at: Vec<usize> = columns.iter().filter_map(|c| schema.index_of(c).ok()).collect();
        self.batch = self.batch.project(&at)?;
        Ok(self)
    }

    /// Larger numbers first, nulls last.
    pub fn more(&self, column: &str, a: usize, b: usize) -> Ordering {
        self.int(b, column).cmp(&self.int(a, column))
    }
}

/// The value of one cell; what no table holds is null.
pub fn value(array: &dyn Array, row: usize) -> Value<'_> {
    if row >= array.len() || array.is_null(row) {
        return Value::Null;
    }
    let any = array.as_any();
    let found = match array.data_type() {
        DataType::Utf8 => any.downcast_ref::<StringArray>().map(|a| Value::Text(a.value(row))),
        DataType::Int64 => any.downcast_ref::<Int64Array>().map(|a| Value::Int(a.value(row))),
        DataType::Float64 => any.downcast_ref::<Float64Array>().map(|a| Value::Float(a.value(row))),
        DataType::Boolean => any.downcast_ref::<BooleanArray>().map(|a| Value::Bool(a.value(row))),
        DataType::Date32 => any.downcast_ref::<Date32Array>().map(|a| Value::Date(a.value(row))),
        DataType::Timestamp(..) => {
            any.downcast_ref::<TimestampMicrosecondArray>().map(|a| Value::Time(a.value(row)))
        }
        _ => None,
    };
    found.unwrap_or(Value::Null)
}
