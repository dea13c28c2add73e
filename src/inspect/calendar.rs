//! Times that no calendar reaches, which have no text.

use arrow::array::{Array, ArrowPrimitiveType, AsArray};
use arrow::compute::{max, min};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::record_batch::RecordBatch;
use arrow::temporal_conversions::{as_datetime, as_time};

/// Refuses dates and times that have no text: the library would write an error's in their place.
///
/// # Errors
/// The first column with such a value, at any depth.
pub fn check(rows: &RecordBatch) -> Result<(), String> {
    let schema = rows.schema();
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        if let Some(value) = beyond(array.as_ref()) {
            return Err(format!(
                "unsupported: column `{}` holds {value} as {}, which no calendar has\nwrite the rows as Parquet: --format parquet",
                field.name(),
                shown(array.data_type()),
            ));
        }
    }
    Ok(())
}

/// The type of a plain column; of others their kind would be too long.
fn shown(data_type: &DataType) -> String {
    if data_type.is_nested() { "a date or time".into() } else { data_type.to_string() }
}

/// A value that has no text, the least or the greatest.
fn beyond(array: &dyn Array) -> Option<i64> {
    match array.data_type() {
        DataType::Date32 => of::<Date32Type>(array, is_moment::<Date32Type>),
        DataType::Date64 => of::<Date64Type>(array, is_moment::<Date64Type>),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => of::<TimestampSecondType>(array, is_moment::<TimestampSecondType>),
            TimeUnit::Millisecond => {
                of::<TimestampMillisecondType>(array, is_moment::<TimestampMillisecondType>)
            }
            TimeUnit::Microsecond => {
                of::<TimestampMicrosecondType>(array, is_moment::<TimestampMicrosecondType>)
            }
            TimeUnit::Nanosecond => {
                of::<TimestampNanosecondType>(array, is_moment::<TimestampNanosecondType>)
            }
        },
        DataType::Time32(TimeUnit::Second) => {
            of::<Time32SecondType>(array, is_time::<Time32SecondType>)
        }
        DataType::Time32(_) => of::<Time32MillisecondType>(array, is_time::<Time32MillisecondType>),
        DataType::Time64(TimeUnit::Microsecond) => {
            of::<Time64MicrosecondType>(array, is_time::<Time64MicrosecondType>)
        }
        DataType::Time64(_) => of::<Time64NanosecondType>(array, is_time::<Time64NanosecondType>),
        DataType::List(_) => beyond(array.as_list::<i32>().values().as_ref()),
        DataType::LargeList(_) => beyond(array.as_list::<i64>().values().as_ref()),
        DataType::FixedSizeList(..) => beyond(array.as_fixed_size_list().values().as_ref()),
        DataType::Map(..) => beyond(array.as_map().entries()),
        DataType::Struct(_) => {
            array.as_struct().columns().iter().find_map(|column| beyond(column.as_ref()))
        }
        DataType::Dictionary(..) => beyond(array.as_any_dictionary().values().as_ref()),
        _ => None,
    }
}

fn of<T: ArrowPrimitiveType>(array: &dyn Array, has_text: fn(i64) -> bool) -> Option<i64>
where
    T::Native: Into<i64>,
{
    let values = array.as_primitive::<T>();
    let ends = [min(values), max(values)];
    ends.into_iter().flatten().map(Into::into).find(|value| !has_text(*value))
}

fn is_moment<T: ArrowPrimitiveType>(value: i64) -> bool {
    as_datetime::<T>(value).is_some()
}

fn is_time<T: ArrowPrimitiveType>(value: i64) -> bool {
    as_time::<T>(value).is_some()
}
