//! A table's columns as the scan knows them: types of Arrow, names and numbers in files, defaults.

use std::collections::{BTreeMap, HashMap};
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

/// Names that other schemas of the table give to columns, the current one's before older ones', and what these
/// are called in `schema`.
pub fn elsewhere(table: &TableMetadata, schema: &Schema) -> BTreeMap<String, Option<String>> {
    let mut others: Vec<_> = table.schemas_iter().collect();
    others.sort_by_key(|other| other.schema_id());
    let mut found = BTreeMap::new();
    for other in others.into_iter().chain([table.current_schema()]) {
        for (id, name) in other.field_id_to_name_map() {
            if schema.field_id_by_name(name).is_none() {
                found.insert(name.clone(), schema.name_by_field_id(*id).map(str::to_string));
            }
        }
    }
    found
}

/// # Errors
/// Types that have no place in Arrow.
pub fn table_schema(schema: &Schema, names: &Names) -> Result<TableSchema, Refusal> {
    let fields = schema.as_struct().fields().iter();
    Ok(TableSchema {
        fields: fields.map(|field| table_field(field, names)).collect::<Result<_, _>>()?,
        ..Default::default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_gives_the_value_that_it_was_made_of() {
        use PrimitiveLiteral as L;
        use PrimitiveType as T;
        let decimal = T::Decimal { precision: 38, scale: 23 };
        let cases = [
            (L::Boolean(false), T::Boolean, "false"),
            (L::Int(-7), T::Int, "-7"),
            (L::Int(18_078), T::Date, "2019-07-01"),
            (L::Int(-1), T::Date, "1969-12-31"),
            (L::Long(i64::MIN), T::Long, "-9223372036854775808"),
            (L::Long(30_069_000_000), T::Time, "08:21:09"),
            (L::Long(45_296_000_001), T::Time, "12:34:56.000001"),
            (L::Long(1_684_161_045_000_000), T::Timestamp, "2023-05-15T14:30:45"),
            (L::Long(1_684_161_045_000_001), T::Timestamptz, "2023-05-15T14:30:45.000001Z"),
            (L::Long(-1), T::TimestampNs, "1969-12-31T23:59:59.999999999"),
            (L::Long(1), T::TimestamptzNs, "1970-01-01T00:00:00.000000001Z"),
            (L::Float(4.56.into()), T::Float, "4.56"),
            (L::Double((-0.0).into()), T::Double, "-0.0"),
            (L::Double(f64::NEG_INFINITY.into()), T::Double, "-inf"),
            (L::String("a=b/ü".into()), T::String, "a=b/ü"),
            (L::Int128(-12_345_678_901_234_567_890_123), decimal, "-0.12345678901234567890123"),
        ];
        for (value, of, text) in cases {
            let constant = constant(Some(&value), &of).unwrap();
            assert_eq!(constant.text.as_deref(), Some(text));
            let data_type = type_to_arrow_type(&Type::Primitive(of.clone())).unwrap();
            let expected = array(&value, &of).unwrap();
            assert_eq!(&constant.array(&data_type).unwrap(), &expected, "{text}");
        }
    }

    #[test]
    fn bytes_are_no_text() {
        let bytes = PrimitiveLiteral::Binary(vec![0xAA, 0xBB, 0xCC]);
        let fixed = constant(Some(&bytes), &PrimitiveType::Fixed(3)).unwrap();
        assert_eq!(fixed.text.as_deref(), Some("aabbcc"));
        let array = fixed.array(&DataType::FixedSizeBinary(3)).unwrap();
        let array = array.as_any().downcast_ref::<arrow::array::FixedSizeBinaryArray>().unwrap();
        assert_eq!(array.value(0), [0xAA, 0xBB, 0xCC]);
        assert!(fixed.array(&DataType::FixedSizeBinary(4)).is_err());
        let uuid = constant(Some(&PrimitiveLiteral::UInt128(1)), &PrimitiveType::Uuid).unwrap();
        assert_eq!(uuid.text.as_deref(), Some("00000000-0000-0000-0000-000000000001"));
        assert_eq!(uuid.bytes.as_deref(), Some(&1u128.to_be_bytes()[..]));
    }
}
