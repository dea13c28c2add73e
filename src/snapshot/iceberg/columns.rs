//! A table's columns as the scan knows them: types of Arrow, names and numbers in files, defaults.

use std::collections::HashMap;
use std::sync::Arc;

use ::iceberg::arrow::type_to_arrow_type;
use ::iceberg::spec::{
    DEFAULT_SCHEMA_NAME_MAPPING, Literal, MappedField, NameMapping, NestedField, PrimitiveLiteral,
    PrimitiveType, Schema, TableMetadata, Type,
};
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::refusal::Refusal;
use crate::snapshot::{Constant, TableField, TableSchema};

/// Names of fields in files without numbers, by the numbers that the table gives them.
#[derive(Debug, Default)]
pub struct Names(HashMap<i32, Vec<String>>);

impl Names {
    /// # Errors
    /// A property of the table that cannot be read.
    pub fn of(table: &TableMetadata) -> Result<Self, Refusal> {
        let mut names = Self::default();
        if let Some(text) = table.properties().get(DEFAULT_SCHEMA_NAME_MAPPING) {
            let mapping: NameMapping = serde_json::from_str(text).map_err(|e| {
                Refusal::Table(format!(
                    "its property {DEFAULT_SCHEMA_NAME_MAPPING} cannot be read: {e}"
                ))
            })?;
            mapping.fields().iter().for_each(|field| names.add(field));
        }
        Ok(names)
    }

    fn add(&mut self, field: &MappedField) {
        if let Some(id) = field.field_id() {
            self.0.entry(id).or_default().extend(field.names().iter().cloned());
        }
        field.fields().iter().for_each(|child| self.add(child));
    }
}

/// # Errors
/// Types that have no place in Arrow.
pub fn table_schema(schema: &Schema, names: &Names) -> Result<TableSchema, Refusal> {
    let fields = schema.as_struct().fields().iter();
    Ok(TableSchema {
        fields: fields.map(|field| table_field(field, names)).collect::<Result<_, _>>()?,
    })
}

/// # Errors
/// As [`table_schema`].
pub fn table_field(field: &NestedField, names: &Names) -> Result<TableField, Refusal> {
    let default = match (&field.initial_default, field.field_type.as_ref()) {
        (Some(Literal::Primitive(value)), Type::Primitive(of)) => Some(constant(Some(value), of)?),
        (None, _) => None,
        (Some(_), _) => {
            return Err(Refusal::Unsupported(format!(
                "the initial default of column `{}`",
                field.name
            )));
        }
    };
    let part = |field: &Arc<NestedField>| table_field(field, names);
    let children = match field.field_type.as_ref() {
        Type::Primitive(_) => Vec::new(),
        Type::Struct(of) => of.fields().iter().map(part).collect::<Result<_, _>>()?,
        Type::List(of) => vec![part(&of.element_field)?],
        Type::Map(of) => vec![part(&of.key_field)?, part(&of.value_field)?],
    };
    Ok(TableField {
        name: field.name.clone(),
        physical: names.0.get(&field.id).cloned().unwrap_or_default(),
        id: Some(field.id),
        data_type: type_to_arrow_type(&field.field_type)?,
        default,
        children,
    })
}

/// A value as a constant: its text as Arrow writes it, and bytes as such.
///
/// # Errors
/// A value that is not of its type.
pub fn constant(value: Option<&PrimitiveLiteral>, of: &PrimitiveType) -> Result<Constant, Refusal> {
    let Some(value) = value else { return Ok(Constant { text: None, bytes: None }) };
    let of_bytes = |bytes: Vec<u8>, text: String| Constant { text: Some(text), bytes: Some(bytes) };
    match (value, of) {
        (PrimitiveLiteral::Binary(bytes), _) => Ok(of_bytes(bytes.clone(), crate::key::hex(bytes))),
        (PrimitiveLiteral::UInt128(number), PrimitiveType::Uuid) => {
            let text = uuid::Uuid::from_u128(*number).to_string();
            Ok(of_bytes(number.to_be_bytes().to_vec(), text))
        }
        _ => {
            let odd = || Refusal::Table(format!("a value {value:?} is no {of}"));
            let array = array(value, of).ok_or_else(odd)?;
            let text = cast(&array, &DataType::Utf8).map_err(|_| odd())?;
            let text = text.as_any().downcast_ref::<StringArray>().ok_or_else(odd)?;
            Ok(Constant { text: text.iter().flatten().next().map(str::to_string), bytes: None })
        }
    }
}

fn array(value: &PrimitiveLiteral, of: &PrimitiveType) -> Option<ArrayRef> {
    use PrimitiveLiteral as L;
    use PrimitiveType as T;
    Some(match (value, of) {
        (L::Boolean(v), _) => Arc::new(BooleanArray::from(vec![*v])),
        (L::Int(v), T::Date) => Arc::new(Date32Array::from(vec![*v])),
        (L::Int(v), _) => Arc::new(Int32Array::from(vec![*v])),
        (L::Long(v), T::Time) => Arc::new(Time64MicrosecondArray::from(vec![*v])),
        (L::Long(v), T::Timestamp) => Arc::new(TimestampMicrosecondArray::from(vec![*v])),
        (L::Long(v), T::Timestamptz) => {
            Arc::new(TimestampMicrosecondArray::from(vec![*v]).with_timezone_utc())
        }
        (L::Long(v), T::TimestampNs) => Arc::new(TimestampNanosecondArray::from(vec![*v])),
        (L::Long(v), T::TimestamptzNs) => {
            Arc::new(TimestampNanosecondArray::from(vec![*v]).with_timezone_utc())
        }
        (L::Long(v), _) => Arc::new(Int64Array::from(vec![*v])),
        (L::Float(v), _) => Arc::new(Float32Array::from(vec![v.into_inner()])),
        (L::Double(v), _) => Arc::new(Float64Array::from(vec![v.into_inner()])),
        (L::String(v), _) => Arc::new(StringArray::from(vec![v.as_str()])),
        (L::Int128(v), T::Decimal { precision, scale }) => {
            let (precision, scale) = (u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?);
            let numbers = Decimal128Array::from(vec![*v]);
            Arc::new(numbers.with_precision_and_scale(precision, scale).ok()?)
        }
        _ => return None,
    })
}
