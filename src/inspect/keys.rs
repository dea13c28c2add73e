//! Keys of maps as texts, which JSON wants them to be.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

/// The columns with texts as the keys of all maps.
///
/// # Errors
/// Maps whose keys have no such text.
pub fn with_text_keys(schema: &Schema) -> Result<SchemaRef, String> {
    let columns = schema.fields().iter().map(|field| {
        of_field(field).map_err(|key| {
            format!(
                "unsupported: column `{}` has maps with keys of type {key}, which are no keys of JSON\nwrite the rows as Parquet: --format parquet",
                field.name()
            )
        })
    });
    Ok(Arc::new(Schema::new(columns.collect::<Result<Vec<_>, _>>()?)))
}

/// The rows with the columns of `schema`, as [`with_text_keys`] gives them.
///
/// # Errors
/// Values without a text.
pub fn as_text_keys(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if rows.schema().fields() == schema.fields() || rows.num_columns() == 0 {
        return Ok(rows.clone());
    }
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}

fn of_field(field: &FieldRef) -> Result<FieldRef, DataType> {
    let data_type = of(field.data_type())?;
    Ok(Arc::new(field.as_ref().clone().with_data_type(data_type)))
}

/// A type with texts as the keys of its maps; the type of keys that have none.
fn of(data_type: &DataType) -> Result<DataType, DataType> {
    Ok(match data_type {
        DataType::List(item) => DataType::List(of_field(item)?),
        DataType::LargeList(item) => DataType::LargeList(of_field(item)?),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(of_field).collect::<Result<_, _>>()?)
        }
        DataType::Map(entries, sorted) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return Ok(data_type.clone());
            };
            let fields = fields.iter().enumerate().map(|(place, field)| match place {
                0 => of_key(field),
                _ => of_field(field),
            });
            let fields = DataType::Struct(fields.collect::<Result<_, _>>()?);
            DataType::Map(Arc::new(Field::clone(entries).with_data_type(fields)), *sorted)
        }
        other => other.clone(),
    })
}

fn of_key(field: &FieldRef) -> Result<FieldRef, DataType> {
    let has_text = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => return Ok(field.clone()),
        DataType::Boolean | DataType::Date32 | DataType::Timestamp(..) => true,
        DataType::Time32(_) | DataType::Time64(_) => true,
        other => other.is_numeric(),
    };
    match has_text {
        true => Ok(Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8))),
        false => Err(field.data_type().clone()),
    }
}
