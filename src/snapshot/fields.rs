//! Fields of a file, found by many columns of its table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::table::{TableField, field_id, in_other_letters};

/// Fields by number and by name: what [`TableField::find`] and [`TableField::in_another_case`] look through for one
/// column is looked through once for all of them.
pub struct FieldIndex<'a> {
    fields: &'a Fields,
    by_number: HashMap<i32, usize>,
    by_name: HashMap<&'a str, usize>,
    /// Those without a number.
    unnumbered: HashMap<&'a str, usize>,
    in_lower_case: HashMap<String, usize>,
}

impl<'a> FieldIndex<'a> {
    pub fn new(fields: &'a Fields) -> Self {
        let mut own = Self {
            fields,
            by_number: HashMap::new(),
            by_name: HashMap::with_capacity(fields.len()),
            unnumbered: HashMap::new(),
            in_lower_case: HashMap::new(),
        };
        // The first of a name counts.
        for (at, field) in fields.iter().enumerate() {
            own.by_name.entry(field.name()).or_insert(at);
            match field_id(field) {
                Some(number) => drop(own.by_number.entry(number).or_insert(at)),
                None => {
                    own.unnumbered.entry(field.name()).or_insert(at);
                    own.in_lower_case.entry(field.name().to_lowercase()).or_insert(at);
                }
            }
        }
        own
    }

    fn get(&self, at: usize) -> Option<&'a Arc<Field>> {
        self.fields.get(at)
    }

    /// Where the field stands that holds the column.
    pub fn position(&self, column: &TableField) -> Option<usize> {
        let names = if column.id.is_some() { &self.unnumbered } else { &self.by_name };
        let named = || column.physical.iter().filter_map(|name| names.get(name.as_str())).min();
        let numbered = column.id.and_then(|number| self.by_number.get(&number));
        numbered.or_else(named).copied()
    }

    /// As [`TableField::find`].
    pub fn find(&self, column: &TableField) -> Option<&'a Arc<Field>> {
        self.position(column).and_then(|at| self.get(at))
    }

    /// As [`TableField::in_another_case`].
    pub fn in_another_case(&self, column: &TableField) -> Option<String> {
        if let Some(found) = self.find(column) {
            let (parts, children) = match found.data_type() {
                DataType::Struct(parts) => (parts, column.children.as_slice()),
                DataType::List(element) => {
                    match (element.data_type(), column.children.as_slice()) {
                        (DataType::Struct(parts), [element]) => {
                            (parts, element.children.as_slice())
                        }
                        _ => return None,
                    }
                }
                _ => return None,
            };
            let parts = FieldIndex::new(parts);
            return children.iter().find_map(|part| parts.in_another_case(part));
        }
        let names = column.physical.iter().map(|name| name.to_lowercase());
        let at = names.filter_map(|name| self.in_lower_case.get(&name)).min()?;
        Some(in_other_letters(column, self.get(*at)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_field(name: &str, number: Option<i32>, data_type: DataType) -> Field {
        let number = number.map(|number| ("PARQUET:field_id".to_string(), number.to_string()));
        Field::new(name, data_type, true).with_metadata(number.into_iter().collect())
    }

    fn column(id: Option<i32>, physical: &[&str], children: Vec<TableField>) -> TableField {
        TableField {
            name: "x".into(),
            physical: physical.iter().map(|name| (*name).to_string()).collect(),
            id,
            data_type: DataType::Int64,
            default: None,
            children,
        }
    }

    #[test]
    fn an_index_finds_what_is_found_one_by_one() {
        let parts = Fields::from(vec![
            file_field("In", None, DataType::Int64),
            file_field("b", Some(3), DataType::Int64),
        ]);
        let list = Field::new("element", DataType::Struct(parts.clone()), true);
        let fields = Fields::from(vec![
            file_field("a", Some(2), DataType::Int64),
            file_field("a", None, DataType::Int64),
            file_field("B", None, DataType::Int64),
            file_field("b", Some(1), DataType::Struct(parts)),
            file_field("C", Some(7), DataType::Int64),
            file_field("c", Some(1), DataType::List(Arc::new(list))),
        ]);
        let index = FieldIndex::new(&fields);
        let (mut found, mut told) = (0, 0);
        for id in [None, Some(1), Some(2), Some(3), Some(9)] {
            for names in [&["a"][..], &["b"], &["c"], &["A"], &["d"], &["b", "a"], &["C", "B"], &[]]
            {
                for part in ["in", "In", "b", "B"] {
                    let part = || column(None, &[part], vec![]);
                    for children in [vec![part()], vec![column(None, &["element"], vec![part()])]] {
                        let of = column(id, names, children);
                        let one = of.find(&fields).map(Arc::as_ptr);
                        assert_eq!(index.find(&of).map(Arc::as_ptr), one, "{of:?}");
                        let other = of.in_another_case(&fields);
                        assert_eq!(index.in_another_case(&of), other, "{of:?}");
                        found += u32::from(one.is_some());
                        told += u32::from(other.is_some());
                    }
                }
            }
        }
        assert!(found > 100 && told > 20, "{found} {told}");
    }
}
