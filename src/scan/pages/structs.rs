//! Leaves in structs: the fields that lead to one, and the structs built again around the values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StructArray};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;

/// The fields that lead to a leaf, outermost first: structs, and last its own.
pub(super) type Way = Vec<FieldRef>;

/// The way to the leaf of that number; `None` where it lies in a list or a map.
pub(super) fn way(fields: &Fields, leaf: usize) -> Option<Way> {
    let (mut fields, mut before) = (fields, leaf);
    let mut way = Vec::new();
    loop {
        let field = fields.iter().find(|field| {
            let own = leaves(field.data_type());
            let is_here = before < own;
            before -= if is_here { 0 } else { own };
            is_here
        })?;
        way.push(field.clone());
        match field.data_type() {
            DataType::Struct(parts) => fields = parts,
            DataType::List(_) | DataType::Map(..) => return None,
            _ => return Some(way),
        }
    }
}

fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(parts) => parts.iter().map(|part| leaves(part.data_type())).sum(),
        DataType::List(element) | DataType::Map(element, _) => leaves(element.data_type()),
        _ => 1,
    }
}

/// The values of leaves, in the order of the file, in their structs. A value is null where it or a struct
/// around it is, and no struct is: what is asked for is always a leaf.
pub(super) fn in_structs(
    leaves: &[(&[FieldRef], ArrayRef)],
) -> Result<(Fields, Vec<ArrayRef>), ArrowError> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    let is_same = |a: &[FieldRef], b: &[FieldRef]| {
        a.first().zip(b.first()).is_some_and(|(a, b)| Arc::ptr_eq(a, b))
    };
    for same in leaves.chunk_by(|(a, _), (b, _)| is_same(a, b)) {
        let Some(([field, rest @ ..], column)) = same.first() else { continue };
        if rest.is_empty() {
            let nullable = field.is_nullable() || column.null_count() > 0;
            fields.push(Arc::new(field.as_ref().clone().with_nullable(nullable)));
            columns.push(column.clone());
            continue;
        }
        let within = same.iter().filter_map(|(way, column)| Some((way.get(1..)?, column.clone())));
        let within: Vec<_> = within.collect();
        let (parts, values) = in_structs(&within)?;
        let of = DataType::Struct(parts.clone());
        fields.push(Arc::new(field.as_ref().clone().with_data_type(of)));
        columns.push(Arc::new(StructArray::try_new(parts, values, None)?));
    }
    Ok((fields.into(), columns))
}
