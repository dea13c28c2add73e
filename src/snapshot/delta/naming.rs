//! What other versions of a table call its columns.

use std::collections::{BTreeMap, HashMap, HashSet};

use delta_kernel::schema::{ColumnMetadataKey, DataType, MetadataValue, StructField, StructType};

/// Names that other versions of the table give to columns, later versions' before older ones', and what these are
/// called in `schema`: `None` where they are no columns there. `others` are schemas as commits write them, in the
/// order of versions; what cannot be read names nothing.
pub fn elsewhere(
    schema: &StructType,
    others: impl Iterator<Item = impl AsRef<str>>,
) -> BTreeMap<String, Option<String>> {
    let here = columns(schema);
    let names: HashSet<&str> = here.iter().map(|column| column.path.as_str()).collect();
    let by_id: HashMap<i64, &str> =
        here.iter().filter_map(|column| Some((column.id?, column.path.as_str()))).collect();
    let mut found = BTreeMap::new();
    for other in others.filter_map(|text| serde_json::from_str(text.as_ref()).ok()) {
        for column in columns(&other) {
            if !names.contains(column.path.as_str()) {
                let now = column.id.and_then(|id| by_id.get(&id));
                found.insert(column.path, now.map(ToString::to_string));
            }
        }
    }
    // A table whose columns got numbers later keeps their first names in its files, and commits may be gone.
    for column in &here {
        if let Some(first) = column.physical.as_ref().filter(|path| !names.contains(path.as_str()))
        {
            let now = found.entry(first.clone()).or_default();
            now.get_or_insert_with(|| column.path.clone());
        }
    }
    found
}

/// A column, or a part of one.
struct Column {
    /// Names on the way to it, parted by dots.
    path: String,
    id: Option<i64>,
    /// The same way with its name in files as the last.
    physical: Option<String>,
}

fn columns(of: &StructType) -> Vec<Column> {
    let mut found = Vec::new();
    add(of, "", &mut found);
    found
}

fn add(of: &StructType, above: &str, found: &mut Vec<Column>) {
    for field in of.fields() {
        let path = format!("{above}{}", field.name());
        if let DataType::Struct(parts) = field.data_type() {
            add(parts, &format!("{path}."), found);
        }
        let physical = physical(field).map(|name| format!("{above}{name}"));
        found.push(Column { path, id: field.column_mapping_id(), physical });
    }
}

fn physical(field: &StructField) -> Option<&str> {
    match field.get_config_value(&ColumnMetadataKey::ColumnMappingPhysicalName)? {
        MetadataValue::String(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A column of whole numbers, with its number and its name in files where it has them.
    fn column(name: &str, mapped: Option<(i64, &str)>) -> Value {
        let metadata = match mapped {
            Some((id, physical)) => json!({
                "delta.columnMapping.id": id, "delta.columnMapping.physicalName": physical,
            }),
            None => json!({}),
        };
        json!({"name": name, "type": "long", "nullable": true, "metadata": metadata})
    }

    fn schema(columns: &[Value]) -> String {
        json!({"type": "struct", "fields": columns}).to_string()
    }

    fn of(now: &str, others: &[String]) -> Vec<(String, Option<String>)> {
        let now = serde_json::from_str(now).unwrap();
        elsewhere(&now, others.iter()).into_iter().collect()
    }

    #[test]
    fn columns_are_known_by_their_numbers() {
        let before = schema(&[column("a", Some((1, "c1"))), column("gone", Some((2, "c2")))]);
        let now = schema(&[column("b", Some((1, "c1")))]);
        let found = of(&now, &["no schema".to_string(), before]);
        let called = |name: &str, now: Option<&str>| (name.to_string(), now.map(str::to_string));
        assert_eq!(found, [called("a", Some("b")), called("c1", Some("b")), called("gone", None)]);
    }

    #[test]
    fn what_got_its_number_later_is_known_by_its_first_name() {
        let inner = json!({"type": "struct", "fields": [column("y", Some((3, "x")))]});
        let mut parent = column("s", Some((2, "s")));
        parent["type"] = inner;
        let now = schema(&[column("b", Some((1, "a"))), parent]);
        let called = |name: &str, now: &str| (name.to_string(), Some(now.to_string()));
        // Whether or not the commit is there that called it so.
        for others in [vec![], vec![schema(&[column("a", None)])]] {
            assert_eq!(of(&now, &others), [called("a", "b"), called("s.x", "s.y")]);
        }
    }
}
