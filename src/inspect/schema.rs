//! The columns of plain files together: what their footers say, and what their folders are called.

use arrow::datatypes::{DataType, Field, Fields};
use indexmap::IndexMap;
use indexmap::map::Entry;

use crate::snapshot::{SnapshotFile, TableField};

/// A column of two types that no type of both holds.
#[derive(Debug)]
pub struct TwoTypes {
    pub column: String,
    pub first: DataType,
    pub second: DataType,
    /// The file that has the second.
    pub file: String,
}

/// Columns by name, in the order in which they were met.
pub type Columns = IndexMap<String, TableField>;

/// Adds the columns of one more file.
///
/// # Errors
/// A column of a type that does not go with that of the files before.
pub fn add(columns: &mut Columns, fields: &Fields, file: &str) -> Result<(), TwoTypes> {
    for field in fields {
        let more = of_field(field);
        match columns.entry(more.name.clone()) {
            Entry::Vacant(new) => drop(new.insert(more)),
            Entry::Occupied(mut known) => {
                merge(known.get_mut(), &more).map_err(|(first, second)| TwoTypes {
                    column: more.name.clone(),
                    first,
                    second,
                    file: file.to_string(),
                })?;
            }
        }
    }
    Ok(())
}

/// Adds the columns that only the folders of files name.
pub fn add_folders(columns: &mut Columns, files: &[SnapshotFile]) {
    for partition in files.iter().flat_map(|file| &file.partitions) {
        if !columns.contains_key(&partition.name) {
            columns.insert(partition.name.clone(), leaf(&partition.name, DataType::Utf8));
        }
    }
}

fn leaf(name: &str, data_type: DataType) -> TableField {
    TableField {
        name: name.to_string(),
        physical: vec![name.to_string()],
        id: None,
        data_type,
        default: None,
        children: Vec::new(),
    }
}

fn of_field(field: &Field) -> TableField {
    let children = match field.data_type() {
        DataType::Struct(parts) => parts.iter().map(|part| of_field(part)).collect(),
        DataType::List(element) => {
            vec![TableField { name: "element".into(), ..of_field(element) }]
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(both) => both
                .iter()
                .zip(["key", "value"])
                .map(|(part, name)| TableField { name: name.into(), ..of_field(part) })
                .collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    TableField { children, ..leaf(field.name(), field.data_type().clone()) }
}

/// Makes `known` a type that holds the values of both.
fn merge(known: &mut TableField, more: &TableField) -> Result<(), (DataType, DataType)> {
    use DataType::{List, Map, Struct};
    match (&known.data_type, &more.data_type) {
        (Struct(_), Struct(_)) => {
            for part in &more.children {
                match known.children.iter_mut().find(|own| own.name == part.name) {
                    Some(own) => merge(own, part)?,
                    None => known.children.push(part.clone()),
                }
            }
            Ok(())
        }
        (List(_), List(_)) | (Map(..), Map(..)) => known
            .children
            .iter_mut()
            .zip(&more.children)
            .try_for_each(|(own, part)| merge(own, part)),
        (first, second) if first == second => Ok(()),
        (first, second) => {
            let both = both(first, second).ok_or_else(|| (first.clone(), second.clone()))?;
            known.data_type = both;
            Ok(())
        }
    }
}

/// The wider of two types, where it holds all values of the other.
fn both(a: &DataType, b: &DataType) -> Option<DataType> {
    let holds = |wide: &DataType, narrow: &DataType| {
        use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, Null, Timestamp};
        matches!(
            (wide, narrow),
            (_, Null)
                | (Int64, Int8 | Int16 | Int32)
                | (Int32, Int8 | Int16)
                | (Int16, Int8)
                | (Float64, Float32 | Int8 | Int16 | Int32)
        ) || matches!((wide, narrow), (Timestamp(fine, zone), Timestamp(coarse, other))
            if zone == other && fine > coarse)
    };
    if holds(a, b) { Some(a.clone()) } else { holds(b, a).then(|| b.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(of: &[(&str, DataType)]) -> Fields {
        of.iter().map(|(name, of)| Field::new(*name, of.clone(), true)).collect()
    }

    #[test]
    fn columns_of_two_files_stand_together() {
        let mut columns = Columns::new();
        let first = fields(&[("a", DataType::Int32), ("b", DataType::Utf8)]);
        add(&mut columns, &first, "1").unwrap();
        let second = fields(&[("c", DataType::Boolean), ("a", DataType::Int64)]);
        add(&mut columns, &second, "2").unwrap();
        let seen: Vec<(&str, &DataType)> =
            columns.values().map(|c| (c.name.as_str(), &c.data_type)).collect();
        let wanted = [("a", &DataType::Int64), ("b", &DataType::Utf8), ("c", &DataType::Boolean)];
        assert_eq!(seen, wanted);
        let other = fields(&[("b", DataType::Int64)]);
        let refused = add(&mut columns, &other, "3").unwrap_err();
        assert_eq!((refused.column.as_str(), refused.file.as_str()), ("b", "3"));
    }

    #[test]
    fn parts_of_structs_are_told_apart_by_name() {
        let of = |parts: &[(&str, DataType)]| fields(&[("s", DataType::Struct(fields(parts)))]);
        let mut columns = Columns::new();
        add(&mut columns, &of(&[("x", DataType::Int16)]), "1").unwrap();
        let second = of(&[("y", DataType::Utf8), ("x", DataType::Int8)]);
        add(&mut columns, &second, "2").unwrap();
        let parts: Vec<(&str, &DataType)> =
            columns[0].children.iter().map(|c| (c.name.as_str(), &c.data_type)).collect();
        assert_eq!(parts, [("x", &DataType::Int16), ("y", &DataType::Utf8)]);
    }
}
