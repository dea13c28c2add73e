//! Partition values of manifests that call the fields otherwise than the table does: a name that Avro does
//! not allow is written as another. The crate reads by names and would take such values for null; here they
//! are read by the fields' numbers.

use ::iceberg::spec::{PartitionField, PrimitiveLiteral, PrimitiveType, StructType, Type};
use apache_avro::Reader;
use apache_avro::types::Value as Avro;
use serde_json::Value;

/// The values of one file, in the order of the spec's fields.
pub type Values = Vec<Option<PrimitiveLiteral>>;

type Failed = Box<dyn std::error::Error>;

/// The values of every entry of a manifest; `None` where its names are those of the table.
///
/// # Errors
/// Manifests that cannot be read, fields without a number, values of other types.
pub fn by_number(
    bytes: &[u8],
    fields: &[PartitionField],
    types: &StructType,
) -> Result<Option<Vec<Values>>, Failed> {
    let reader = Reader::new(bytes)?;
    let schema = serde_json::to_value(reader.writer_schema())?;
    let partition = field(&schema, "data_file").and_then(|of| field(of, "partition"));
    let written = partition.and_then(record).ok_or("its schema has no `data_file.partition`")?;
    let has = |name: &str| written.iter().any(|field| named(field, name));
    if fields.iter().all(|field| has(&field.name)) {
        return Ok(None);
    }
    let mut places = Vec::with_capacity(fields.len());
    for (field, typed) in fields.iter().zip(types.fields()) {
        let number = |of: &Value| of.get("field-id").and_then(Value::as_i64);
        let place = written.iter().position(|of| number(of) == Some(field.field_id.into()));
        let place = place.ok_or_else(|| format!("it has no partition field `{}`", field.name))?;
        let Type::Primitive(of) = typed.field_type.as_ref() else {
            return Err(format!("partition field `{}` has no single value", field.name).into());
        };
        places.push((place, of));
    }
    let mut found = Vec::new();
    for entry in reader {
        let entry = entry?;
        let partition = member(&entry, "data_file").and_then(|of| member(of, "partition"));
        let Some(Avro::Record(given)) = partition else {
            return Err("an entry has no `data_file.partition`".into());
        };
        let values = places.iter().map(|(place, of)| match given.get(*place) {
            Some((_, value)) => literal(value, of),
            None => Err("an entry lacks a partition value".into()),
        });
        found.push(values.collect::<Result<Values, Failed>>()?);
    }
    Ok(Some(found))
}

/// The fields of a record, which may be one choice of several.
fn record(of: &Value) -> Option<&Vec<Value>> {
    match of {
        Value::Array(choices) => choices.iter().find_map(record),
        other => other.get("fields")?.as_array(),
    }
}

fn named(field: &Value, name: &str) -> bool {
    field.get("name").and_then(Value::as_str) == Some(name)
}

fn field<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    record(of)?.iter().find(|field| named(field, name))?.get("type")
}

fn member<'a>(of: &'a Avro, name: &str) -> Option<&'a Avro> {
    match of {
        Avro::Union(_, inner) => member(inner, name),
        Avro::Record(fields) => fields.iter().find(|(own, _)| own == name).map(|(_, value)| value),
        _ => None,
    }
}

fn literal(value: &Avro, of: &PrimitiveType) -> Result<Option<PrimitiveLiteral>, Failed> {
    use PrimitiveLiteral as L;
    Ok(Some(match value {
        Avro::Union(_, inner) => return literal(inner, of),
        Avro::Null => return Ok(None),
        Avro::Boolean(v) => L::Boolean(*v),
        Avro::Int(v) | Avro::Date(v) => L::Int(*v),
        Avro::Long(v)
        | Avro::TimeMicros(v)
        | Avro::TimestampMicros(v)
        | Avro::TimestampNanos(v)
        | Avro::LocalTimestampMicros(v)
        | Avro::LocalTimestampNanos(v) => L::Long(*v),
        Avro::Float(v) => L::Float((*v).into()),
        Avro::Double(v) => L::Double((*v).into()),
        Avro::String(v) => L::String(v.clone()),
        Avro::Uuid(v) => L::UInt128(v.as_u128()),
        Avro::Decimal(v) => L::Int128(signed(&Vec::<u8>::try_from(v)?)?),
        Avro::Bytes(v) | Avro::Fixed(_, v) => match of {
            PrimitiveType::Uuid => L::UInt128(u128::from_be_bytes(v.as_slice().try_into()?)),
            PrimitiveType::Decimal { .. } => L::Int128(signed(v)?),
            _ => L::Binary(v.clone()),
        },
        other => return Err(format!("a partition value {other:?} is no {of}").into()),
    }))
}

/// Big-endian, in two's complement.
fn signed(bytes: &[u8]) -> Result<i128, Failed> {
    let fill = if bytes.first().is_some_and(|first| first & 0x80 != 0) { 0xFF } else { 0 };
    let mut whole = [fill; 16];
    let from = 16usize.checked_sub(bytes.len()).ok_or("a decimal of more than 16 bytes")?;
    whole.get_mut(from..).ok_or("a decimal of more than 16 bytes")?.copy_from_slice(bytes);
    Ok(i128::from_be_bytes(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_sign() {
        assert_eq!(signed(&[0xFF, 0x85]).unwrap(), -123);
        assert_eq!(signed(&[0x00, 0x85]).unwrap(), 133);
        assert_eq!(signed(&[0x85]).unwrap(), -123);
        assert_eq!(signed(&[]).unwrap(), 0);
        assert!(signed(&[0; 17]).is_err());
    }
}
