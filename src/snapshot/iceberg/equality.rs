//! Equality deletes: files of values; rows of older data files that have them are gone.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StructArray, UInt64Array, make_array, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use roaring::RoaringTreemap;

use super::rows::{Opened, Pinned};
use crate::snapshot::{Constant, DeletesError, TableField};

/// Bytes of values that are held at once. The data file is read once for each such part of the deletes.
const HELD: usize = 64 << 20;

/// What a held value takes beside its own bytes.
const OVERHEAD: usize = 48;

/// Values that are compared with the rows of one data file.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub columns: Vec<Column>,
    /// Delete files that count for the data file.
    pub files: Vec<Pinned>,
}

/// A column that is compared.
#[derive(Clone, Debug)]
pub struct Column {
    /// The way to it: itself, or the structs that it lies in and itself.
    pub way: Vec<TableField>,
    /// What the data file's partition says of it.
    pub constant: Option<Constant>,
}

impl Column {
    fn data_type(&self) -> &DataType {
        self.way.last().map_or(&DataType::Null, |field| &field.data_type)
    }
}

/// Adds the rows of `data` whose values are deleted. Null equals null; a number that is none equals any
/// such; −0 and 0 differ, as in the table format's own implementation.
///
/// # Errors
/// Storage failures, damage, and defaults within structs.
pub fn add(
    comparison: &Comparison,
    data: &Pinned,
    rows: &mut RoaringTreemap,
) -> Result<(), DeletesError> {
    let columns = &comparison.columns;
    let types = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(types).map_err(|e| data.damaged(e))?;
    let data = data.open()?;
    let mut held = Held::default();
    for file in &comparison.files {
        let opened = file.open()?;
        let roots = roots(&opened, columns);
        for group in 0..opened.groups() {
            for batch in opened.read(group, &roots)? {
                let batch = batch?;
                let found: Vec<ArrayRef> = columns
                    .iter()
                    .map(|column| {
                        let value = value(column, &batch, file)?;
                        let name = column.way.last().map_or("", |field| field.name.as_str());
                        value.ok_or_else(|| file.damaged(format!("it has no column `{name}`")))
                    })
                    .collect::<Result<_, _>>()?;
                held.add(&converter, &found, file)?;
                if held.bytes > HELD {
                    mark(&held, &converter, columns, &data, rows)?;
                    held = Held::default();
                }
            }
        }
    }
    mark(&held, &converter, columns, &data, rows)
}

#[derive(Default)]
struct Held {
    values: HashSet<Box<[u8]>>,
    bytes: usize,
}

impl Held {
    fn add(
        &mut self,
        converter: &RowConverter,
        columns: &[ArrayRef],
        file: &Pinned,
    ) -> Result<(), DeletesError> {
        let encoded = converter.convert_columns(columns).map_err(|e| file.damaged(e))?;
        for value in encoded.iter() {
            let value: Box<[u8]> = value.as_ref().into();
            let size = value.len() + OVERHEAD;
            if self.values.insert(value) {
                self.bytes += size;
            }
        }
        Ok(())
    }
}

/// Adds the rows of the data file whose values are held.
fn mark(
    held: &Held,
    converter: &RowConverter,
    columns: &[Column],
    data: &Opened<'_>,
    rows: &mut RoaringTreemap,
) -> Result<(), DeletesError> {
    if held.values.is_empty() {
        return Ok(());
    }
    let roots = roots(data, columns);
    let mut first = 0u64;
    for group in 0..data.groups() {
        let mut at = first;
        for batch in data.read(group, &roots)? {
            let batch = batch?;
            let found: Vec<ArrayRef> = columns
                .iter()
                .map(|column| match value(column, &batch, data.file)? {
                    Some(value) => Ok(value),
                    None => absent(column, batch.num_rows(), data.file),
                })
                .collect::<Result<_, DeletesError>>()?;
            let encoded = converter.convert_columns(&found).map_err(|e| data.file.damaged(e))?;
            for (row, value) in encoded.iter().enumerate() {
                if held.values.contains(value.as_ref()) {
                    rows.insert(at + row as u64);
                }
            }
            at += batch.num_rows() as u64;
        }
        first += data.rows_of(group);
    }
    Ok(())
}

/// The places of the file's columns that are read.
fn roots(file: &Opened<'_>, columns: &[Column]) -> Vec<usize> {
    let fields = file.schema().fields();
    let found = columns.iter().filter_map(|column| {
        let field = column.way.first()?.find(fields)?;
        file.schema().index_of(field.name()).ok()
    });
    found.collect()
}

/// A column's values, of the table's type; `None` where the file does not have it.
fn value(
    column: &Column,
    batch: &RecordBatch,
    file: &Pinned,
) -> Result<Option<ArrayRef>, DeletesError> {
    let mut within = StructArray::from(batch.clone());
    let mut nulls: Option<NullBuffer> = None;
    let (last, structs) = match column.way.split_last() {
        Some((last, structs)) => (last, structs),
        None => return Ok(None),
    };
    for step in structs {
        let Some(field) = step.find(within.fields()) else { return Ok(None) };
        let inner = within.column_by_name(field.name()).and_then(|array| array.as_struct_opt());
        let inner =
            inner.ok_or_else(|| file.damaged(format!("`{}` is no struct", step.name)))?.clone();
        nulls = NullBuffer::union(nulls.as_ref(), inner.nulls());
        within = inner;
    }
    let Some(field) = last.find(within.fields()) else {
        return match (structs.is_empty(), &last.default) {
            (true, _) => Ok(None),
            (false, None) => Ok(Some(new_null_array(&last.data_type, batch.num_rows()))),
            (false, Some(_)) => Err(DeletesError::Unsupported(format!(
                "the default of `{}`, which lies in a struct, and which {} does not hold",
                last.name,
                file.shown()
            ))),
        };
    };
    let array = within.column_by_name(field.name()).cloned();
    let array = array.ok_or_else(|| file.damaged(format!("`{}` is not there", field.name())))?;
    let nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
    let data = array.to_data().into_builder().nulls(nulls).build();
    let array = make_array(data.map_err(|e| file.damaged(e))?);
    let strict = CastOptions { safe: false, ..Default::default() };
    let array = cast_with_options(&array, &last.data_type, &strict)
        .map_err(|e| file.damaged(format!("column `{}`: {e}", last.name)))?;
    Ok(Some(one_nan(&array)))
}

/// What stands for a column that the data file does not hold.
fn absent(column: &Column, rows: usize, file: &Pinned) -> Result<ArrayRef, DeletesError> {
    let of = column.data_type();
    let constant = match column.way.as_slice() {
        [own] => column.constant.as_ref().or(own.default.as_ref()),
        _ => column.constant.as_ref(),
    };
    let Some(constant) = constant.filter(|constant| constant.text.is_some()) else {
        return Ok(new_null_array(of, rows));
    };
    let one = constant.array(of).map_err(|e| file.damaged(e))?;
    take(&one_nan(&one), &UInt64Array::from(vec![0; rows]), None).map_err(|e| file.damaged(e))
}

/// Numbers that are none have many bit patterns; here they are one.
fn one_nan(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float32 => {
            let numbers = array.as_primitive::<Float32Type>();
            Arc::new(numbers.unary::<_, Float32Type>(|n| if n.is_nan() { f32::NAN } else { n }))
        }
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>();
            Arc::new(numbers.unary::<_, Float64Type>(|n| if n.is_nan() { f64::NAN } else { n }))
        }
        _ => array.clone(),
    }
}
