//! Two tables of the same name, compared row by row.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, make_comparator};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;

use crate::impact::Table;

/// One value that differs, or something that only one report has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub table: String,
    /// `column=value`, parted by blanks, of the table's key. Values that are more than letters, digits and
    /// `_ - . : / + ( )` are JSON texts. Null where it is about no row.
    pub key: Option<String>,
    /// `(row)`, `(column NAME)` or `(table)` for what only one report has; `(table)` with two values for a
    /// table without a key.
    pub column: String,
    /// Null where there is nothing, and for a null value.
    pub old: Option<String>,
    pub new: Option<String>,
}

/// What stands for something that is there.
const THERE: &str = "there";

/// A change of something that only the old report has, or only the new one.
pub fn only_one(table: &str, key: Option<String>, what: &str, old: bool) -> Change {
    Change {
        table: table.to_string(),
        key,
        column: format!("({what})"),
        old: old.then(|| THERE.into()),
        new: (!old).then(|| THERE.into()),
    }
}

/// What differs between two tables that are sorted by `key`: rows meet as two sorted lists do. `None` for a
/// table without a key, whose rows cannot be told apart.
///
/// # Errors
/// Values that cannot be compared or shown.
pub fn compare(a: &Table, b: &Table, key: Option<&[String]>) -> Result<Vec<Change>, ArrowError> {
    let mut found = Vec::new();
    let Some(key) = key else {
        if a.batch != b.batch {
            found.push(Change {
                table: a.name.clone(),
                key: None,
                column: "(table)".into(),
                old: Some("one content".into()),
                new: Some("another".into()),
            });
        }
        return Ok(found);
    };
    let (first, second) = (shown_in_utc(&a.batch)?, shown_in_utc(&b.batch)?);
    let both = |name: &str| -> Option<(&ArrayRef, &ArrayRef)> {
        let (x, y) = (first.column_by_name(name)?, second.column_by_name(name)?);
        (x.data_type() == y.data_type()).then_some((x, y))
    };
    let mut values = Vec::new();
    for (table, old) in [(a, true), (b, false)] {
        for field in table.batch.schema().fields() {
            let name = field.name();
            match both(name) {
                None => found.push(only_one(&a.name, None, &format!("column {name}"), old)),
                Some((x, y)) if old && !key.contains(name) => values.push(Column::new(name, x, y)?),
                Some(_) => {}
            }
        }
    }
    let mut keys = Vec::new();
    for name in key {
        let Some((x, y)) = both(name) else { return Ok(found) };
        keys.push(Column::new(name, x, y)?);
    }
    let (mut i, mut j) = (0, 0);
    let (rows_a, rows_b) = (a.batch.num_rows(), b.batch.num_rows());
    while i < rows_a || j < rows_b {
        let order = match (i < rows_a, j < rows_b) {
            (true, true) => {
                let orders = keys.iter().map(|key| (key.compare)(i, j));
                orders.fold(Ordering::Equal, Ordering::then)
            }
            (true, false) => Ordering::Less,
            _ => Ordering::Greater,
        };
        let shown = |old: bool| -> Option<String> {
            let parts = keys.iter().map(|key| {
                let value = if old { key.old(i) } else { key.new_value(j) };
                format!("{}={}", key.name, value.map_or_else(|| "null".into(), plain))
            });
            Some(parts.collect::<Vec<_>>().join(" "))
        };
        if order.is_le() && order.is_ge() {
            for value in values.iter().filter(|v| (v.compare)(i, j) != Ordering::Equal) {
                found.push(Change {
                    table: a.name.clone(),
                    key: shown(true),
                    column: value.name.clone(),
                    old: value.old(i),
                    new: value.new_value(j),
                });
            }
        } else {
            let old = order.is_lt();
            found.push(only_one(&a.name, shown(old), "row", old));
        }
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    Ok(found)
}

/// A value of a key that cannot be taken for another, or for two.
fn plain(value: String) -> String {
    let simple = |c: char| c.is_alphanumeric() || "_-.:/+()".contains(c);
    if !value.is_empty() && value != "null" && value.chars().all(simple) {
        return value;
    }
    serde_json::Value::from(value).to_string()
}

/// Times of a named zone cannot be shown without a table of zones; those of an offset can.
fn shown_in_utc(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, array)| {
        let array = match field.data_type() {
            DataType::Timestamp(unit, Some(_)) => {
                cast(array, &DataType::Timestamp(*unit, Some("+00:00".into())))?
            }
            _ => array.clone(),
        };
        Ok((field.name().clone(), array, true))
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, ArrowError>>()?)
}

/// A column of both tables.
struct Column<'a> {
    name: String,
    compare: Box<dyn Fn(usize, usize) -> Ordering + Send + Sync>,
    arrays: (&'a ArrayRef, &'a ArrayRef),
    shown: (ArrayFormatter<'a>, ArrayFormatter<'a>),
}

static OPTIONS: FormatOptions<'static> = FormatOptions::new();

impl<'a> Column<'a> {
    fn new(name: &str, a: &'a ArrayRef, b: &'a ArrayRef) -> Result<Self, ArrowError> {
        Ok(Self {
            name: name.to_string(),
            compare: make_comparator(a, b, SortOptions::default())?,
            arrays: (a, b),
            shown: (ArrayFormatter::try_new(a, &OPTIONS)?, ArrayFormatter::try_new(b, &OPTIONS)?),
        })
    }

    fn old(&self, row: usize) -> Option<String> {
        self.arrays.0.is_valid(row).then(|| self.shown.0.value(row).to_string())
    }

    fn new_value(&self, row: usize) -> Option<String> {
        self.arrays.1.is_valid(row).then(|| self.shown.1.value(row).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_key_stay_apart() {
        for value in ["a b=c", "null", "", "a\u{1b}[0m", "\"x\""] {
            assert!(plain(value.into()).starts_with('"'), "{value:?}");
        }
        assert_eq!(plain("2019-07-01T00:00:00Z".into()), "2019-07-01T00:00:00Z");
        assert_eq!(plain("(all)".into()), "(all)");
    }
}
