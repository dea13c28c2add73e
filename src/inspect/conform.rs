//! Batches of a file as rows of the table: its columns, in its order, of its types.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::cast_with_options;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::moment::{Zone, wall_time};
use crate::scan::columns::{constant, strict};
use crate::snapshot::{FieldIndex, Partition, TableField};

/// How rows are given out.
#[derive(Clone, Debug)]
pub struct Shape {
    pub fields: Vec<TableField>,
    pub schema: SchemaRef,
    /// Of times that a partition's value gives without one.
    pub zone: Zone,
}

impl Shape {
    pub fn new(fields: Vec<TableField>, zone: Zone) -> Self {
        let schema = Arc::new(Schema::new(fields.iter().map(arrow_field).collect::<Fields>()));
        Self { fields, schema, zone }
    }

    fn of_partition(
        &self,
        of: &Partition,
        field: &TableField,
        rows: usize,
    ) -> Result<ArrayRef, ArrowError> {
        let array = constant(&of.constant(), Some(&field.data_type), rows)?;
        if array.data_type() == &field.data_type {
            return Ok(array);
        }
        let text = of.value.as_deref().unwrap_or_default();
        let Some(moment) = wall_time(text).and_then(|time| self.zone.resolve(time)) else {
            let why = format!("clocks of {} showed this never or twice", self.zone);
            return Err(ArrowError::CastError(format!("{text}: {why}")));
        };
        let micros =
            TimestampMicrosecondArray::from(vec![moment.micros; rows]).with_timezone("UTC");
        cast_with_options(&micros, &field.data_type, &strict())
    }

    /// Where each column of the table stands among the fields of a file.
    ///
    /// # Errors
    /// A column that the file may hold and may lack, because it is called so in other letters: what is unsupported.
    pub fn positions(&self, fields: &Fields) -> Result<Vec<Option<usize>>, String> {
        let index = FieldIndex::new(fields);
        if let Some(what) = self.fields.iter().find_map(|field| index.in_another_case(field)) {
            return Err(what);
        }
        Ok(self.fields.iter().map(|field| index.position(field)).collect())
    }

    /// Rows of a file in which columns stand where [`Self::positions`] says.
    ///
    /// # Errors
    /// Values that are none of the table's type, with the column.
    pub fn conform(
        &self,
        batch: &RecordBatch,
        positions: &[Option<usize>],
        partitions: &[Partition],
    ) -> Result<RecordBatch, String> {
        let rows = batch.num_rows();
        let column = |field: &TableField, at: Option<usize>| -> Result<ArrayRef, ArrowError> {
            if let Some(array) = at.and_then(|at| batch.columns().get(at)) {
                return of_type(array, field);
            }
            match partitions.iter().find(|partition| partition.name == field.name) {
                Some(found) => self.of_partition(found, field, rows),
                None => absent(field, rows),
            }
        };
        let columns: Result<Vec<ArrayRef>, String> = self
            .fields
            .iter()
            .zip(positions)
            .map(|(field, at)| {
                column(field, *at).map_err(|e| format!("column `{}`: {e}", field.name))
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns?, &options)
            .map_err(|e| e.to_string())
    }
}

/// The field as Arrow has it, without what files call it.
fn arrow_field(field: &TableField) -> Field {
    Field::new(&field.name, arrow_type(field), true)
}

fn arrow_type(of: &TableField) -> DataType {
    match (&of.data_type, of.children.as_slice()) {
        (DataType::Struct(_), parts) => DataType::Struct(parts.iter().map(arrow_field).collect()),
        (DataType::List(_), [element]) => DataType::List(Arc::new(arrow_field(element))),
        (DataType::Map(..), [key, value]) => {
            DataType::Map(Arc::new(Field::new("entries", entries(key, value), false)), false)
        }
        (other, _) => other.clone(),
    }
}

fn entries(key: &TableField, value: &TableField) -> DataType {
    let key = arrow_field(key).with_nullable(false);
    DataType::Struct(Fields::from(vec![key, arrow_field(value)]))
}

/// What the rows of a file have that is older than the column.
fn absent(field: &TableField, rows: usize) -> Result<ArrayRef, ArrowError> {
    match &field.default {
        Some(default) => constant(default, Some(&field.data_type), rows),
        None => Ok(new_null_array(&arrow_type(field), rows)),
    }
}

fn of_type(array: &ArrayRef, of: &TableField) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), &of.data_type, of.children.as_slice()) {
        (DataType::Struct(file), DataType::Struct(_), parts) => {
            let own = array.as_struct();
            let index = FieldIndex::new(file);
            let array = |part| index.position(part).and_then(|at| own.columns().get(at));
            let columns = parts.iter().map(|part| match array(part) {
                Some(array) => of_type(array, part),
                None => absent(part, own.len()),
            });
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let fields: Fields = parts.iter().map(arrow_field).collect();
            let nulls = own.nulls().cloned();
            if fields.is_empty() {
                return Ok(Arc::new(StructArray::new_empty_fields(own.len(), nulls)));
            }
            Ok(Arc::new(StructArray::try_new(fields, columns, nulls)?))
        }
        (DataType::List(_), DataType::List(_), [element]) => {
            let own: &ListArray = array.as_list();
            let values = of_type(own.values(), element)?;
            let (offsets, nulls) = (own.offsets().clone(), own.nulls().cloned());
            let field = Arc::new(arrow_field(element));
            Ok(Arc::new(ListArray::try_new(field, offsets, values, nulls)?))
        }
        (DataType::Map(..), DataType::Map(..), [key, value]) => {
            let own = array.as_map();
            let columns = vec![of_type(own.keys(), key)?, of_type(own.values(), value)?];
            let of = entries(key, value);
            let DataType::Struct(fields) = &of else { return Ok(array.clone()) };
            let both = StructArray::try_new(fields.clone(), columns, None)?;
            let (offsets, nulls) = (own.offsets().clone(), own.nulls().cloned());
            let field = Arc::new(Field::new("entries", of, false));
            Ok(Arc::new(MapArray::try_new(field, offsets, both, nulls, false)?))
        }
        (file, wanted, _) if file == wanted => Ok(array.clone()),
        _ => widened(array, &of.data_type),
    }
}

/// The same values in another type.
fn widened(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let wide = cast_with_options(array, to, &strict())?;
    if array.data_type().is_numeric() && to.is_numeric() {
        let back = cast_with_options(&wide, array.data_type(), &strict())?;
        if &back != array {
            let (from, to) = (array.data_type(), to);
            return Err(ArrowError::CastError(format!(
                "a value of type {from} in the file is none of the table's type {to}"
            )));
        }
    }
    Ok(wide)
}
