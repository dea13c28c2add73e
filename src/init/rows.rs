//! Rows of a sample, taken apart into columns that a configuration can name.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use indexmap::IndexSet;
use serde_json::Value;

use super::column::{Column, Kind, Place};
use super::columns::Columns;
use super::names::TOGETHER;
use super::values::{Part, as_texts, at_path, span, valid};
use super::words::normal;

/// How deep JSON is taken apart.
const DEPTH: usize = 4;

/// Takes rows apart as they go by.
pub struct Walk {
    rows: u64,
    columns: Columns,
    /// Paths of columns that are parts of [`TOGETHER`].
    together: Option<Vec<[String; 3]>>,
    /// What no configuration can name.
    pub unnamed: IndexSet<String>,
}

impl Walk {
    /// Of rows with so many columns, whose values may take so many bytes.
    pub fn new(columns: usize, room: u64) -> Self {
        Self {
            rows: 0,
            columns: Columns::new(columns, room),
            together: None,
            unnamed: IndexSet::new(),
        }
    }

    pub fn add(&mut self, rows: &RecordBatch) {
        let fields = rows.schema_ref().fields();
        let tops: HashSet<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        for (field, array) in fields.iter().zip(rows.columns()) {
            if field.name().is_empty() {
                self.cannot_be_named("the column without a name");
                continue;
            }
            self.array(field.name(), array, None, &tops);
        }
        self.together(rows);
        self.rows += rows.num_rows() as u64;
    }

    fn cannot_be_named(&mut self, what: &str) {
        if !self.unnamed.contains(what) {
            self.unnamed.insert(what.to_string());
        }
    }

    fn array(
        &mut self,
        path: &str,
        array: &ArrayRef,
        above: Option<&NullBuffer>,
        tops: &HashSet<&str>,
    ) {
        let nulls = NullBuffer::union(above, array.logical_nulls().as_ref());
        match array.data_type() {
            DataType::Struct(fields) => {
                for (field, part) in fields.iter().zip(array.as_struct().columns()) {
                    let below = format!("{path}.{}", field.name());
                    // Such a name is parted, or another column is found first.
                    let is_hidden = tops.contains(below.as_str());
                    if is_hidden || field.name().is_empty() || field.name().contains('.') {
                        self.cannot_be_named(&below);
                    } else if path.contains('.') && tops.contains(path) {
                        // A struct whose own name has dots is a column; its parts have no path.
                        self.cannot_be_named(&below);
                    } else {
                        self.array(&below, part, nulls.as_ref(), tops);
                    }
                }
            }
            DataType::List(element) => match element.data_type() {
                DataType::Struct(_) => self.entries(path, array.as_list(), nulls.as_ref()),
                DataType::Utf8 => self.texts(path, array.as_list(), nulls.as_ref()),
                _ => self.others(path, array, nulls.as_ref()),
            },
            _ => match as_texts(array) {
                Some((kind, texts)) => self.values(path, array, kind, &texts, nulls.as_ref()),
                None => self.others(path, array, nulls.as_ref()),
            },
        }
    }

    fn values(
        &mut self,
        path: &str,
        array: &ArrayRef,
        kind: Kind,
        texts: &StringArray,
        nulls: Option<&NullBuffer>,
    ) {
        let place = Place::Path(path.to_string());
        let Some(growing) = self.columns.at(place, kind, || array.data_type().to_string()) else {
            return;
        };
        let nulls = NullBuffer::union(nulls, texts.nulls());
        let nulls = nulls.as_ref();
        for row in valid(array.len(), nulls) {
            growing.row();
            growing.value(texts.value(row));
        }
        if kind == Kind::Text {
            self.json(path, texts, nulls);
        }
    }

    fn texts(&mut self, path: &str, lists: &ListArray, nulls: Option<&NullBuffer>) {
        let place = Place::Path(path.to_string());
        let data_type = || lists.data_type().to_string();
        let Some(growing) = self.columns.at(place, Kind::Texts, data_type) else { return };
        for row in valid(lists.len(), nulls) {
            growing.row();
            let list = lists.value(row);
            let list = list.as_string::<i32>();
            list.iter().flatten().for_each(|text| growing.value(text));
        }
    }

    /// What has no values to look at.
    fn others(&mut self, path: &str, array: &ArrayRef, nulls: Option<&NullBuffer>) {
        let kind = match array.data_type() {
            DataType::Timestamp(_, Some(_)) => Kind::Moment,
            DataType::Timestamp(_, None) => Kind::WallTime,
            _ => Kind::Other,
        };
        let place = Place::Path(path.to_string());
        let Some(growing) = self.columns.at(place, kind, || array.data_type().to_string()) else {
            return;
        };
        valid(array.len(), nulls).for_each(|_| growing.row());
        if let Some((least, greatest)) = span(array) {
            growing.span(least, greatest);
        }
    }

    /// A list of structs of which one part names what the others hold.
    fn entries(&mut self, path: &str, lists: &ListArray, nulls: Option<&NullBuffer>) {
        let structs: &StructArray = lists.values().as_struct();
        let naming = ["name", "key"].into_iter().find_map(|name| {
            let names = structs.column_by_name(name)?;
            Some((name, names.as_string_opt::<i32>()?))
        });
        let Some((name, names)) = naming else {
            let array: ArrayRef = std::sync::Arc::new(lists.clone());
            return self.others(path, &array, nulls);
        };
        let fields = structs.fields().iter().zip(structs.columns());
        for (field, part) in fields.filter(|(field, _)| field.name() != name) {
            let part = Part::of(part);
            let Some(part) = part else { continue };
            for row in valid(lists.len(), nulls) {
                let mut met: Vec<&str> = Vec::new();
                let (from, to) =
                    (lists.value_offsets().get(row), lists.value_offsets().get(row + 1));
                let (Some(from), Some(to)) = (from, to) else { continue };
                for at in (*from..*to).filter_map(|at| usize::try_from(at).ok()) {
                    if names.is_null(at) || met.contains(&names.value(at)) {
                        continue;
                    }
                    // The first of a name counts.
                    met.push(names.value(at));
                    let Some(values) = part.values(at) else { continue };
                    let place = Place::Entry {
                        path: path.to_string(),
                        name: name.to_string(),
                        equals: names.value(at).to_string(),
                        value: field.name().clone(),
                    };
                    let data_type = || field.data_type().to_string();
                    let Some(growing) = self.columns.at(place, part.kind(), data_type) else {
                        continue;
                    };
                    growing.row();
                    values.iter().for_each(|text| growing.value(text));
                }
            }
        }
    }

    fn json(&mut self, path: &str, texts: &StringArray, nulls: Option<&NullBuffer>) {
        for row in valid(texts.len(), nulls) {
            let text = texts.value(row);
            if !text.trim_start().starts_with('{') {
                continue;
            }
            if !self.columns.parses(path, self.rows + row as u64 + 1) {
                return;
            }
            if let Ok(value) = serde_json::from_str(text) {
                self.json_value(path, "", &value, 0);
            }
        }
    }

    fn json_value(&mut self, path: &str, json: &str, value: &Value, depth: usize) {
        let place = || Place::Json { path: path.to_string(), json: json.to_string() };
        match value {
            Value::Null => {}
            Value::Object(parts) if depth < DEPTH => {
                for (key, part) in parts {
                    if key.is_empty() || key.contains('.') {
                        let dot = if json.is_empty() { "" } else { "." };
                        self.cannot_be_named(&format!("{path} → {json}{dot}{key}"));
                        continue;
                    }
                    let below = if json.is_empty() { key.clone() } else { format!("{json}.{key}") };
                    self.json_value(path, &below, part, depth + 1);
                }
            }
            Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                let Some(texts) = texts else { return };
                let of = || "a list of texts in JSON".to_string();
                let Some(growing) = self.columns.at(place(), Kind::Texts, of) else { return };
                growing.row();
                texts.iter().for_each(|text| growing.value(text));
            }
            Value::Object(_) => {}
            scalar => {
                let text = scalar.as_str().map_or_else(|| scalar.to_string(), str::to_string);
                let of = || "a value in JSON".to_string();
                let Some(growing) = self.columns.at(place(), Kind::Text, of) else { return };
                growing.row();
                growing.value(&text);
            }
        }
    }

    /// Values of two columns that are one together.
    fn together(&mut self, rows: &RecordBatch) {
        let columns = &self.columns;
        let pairs = self.together.get_or_insert_with(|| {
            let named = |wanted: &str| {
                columns.places().find_map(|place| match place {
                    Place::Path(path) if normal(path) == wanted => Some(path.clone()),
                    _ => None,
                })
            };
            let of = |(first, between, second): &(&str, &str, &str)| {
                Some([named(first)?, (*between).to_string(), named(second)?])
            };
            TOGETHER.iter().filter_map(of).collect()
        });
        for parts in pairs.clone() {
            let [first, between, second] = &parts;
            let both = at_path(rows, first).zip(at_path(rows, second));
            let Some((left, right)) = both else { continue };
            let place = Place::Concat(parts.clone());
            let of = || "two columns as one text".to_string();
            let Some(growing) = self.columns.at(place, Kind::Text, of) else { continue };
            for (left, right) in left.iter().zip(&right) {
                if let Some((left, right)) = left.as_ref().zip(right.as_ref()) {
                    growing.row();
                    growing.value(&format!("{left}{between}{right}"));
                }
            }
        }
    }

    /// All columns, in the order in which they were met; `without` says of how many files a top-level column
    /// is missing.
    pub fn finish(self, without: &BTreeMap<&str, u64>) -> Vec<Column> {
        self.columns.finish(self.rows, without)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::Field;

    use super::*;

    fn ints(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn walked(columns: Vec<(&str, ArrayRef)>) -> (Vec<Column>, Vec<String>) {
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut walk = Walk::new(batch.num_columns(), 1 << 20);
        walk.add(&batch);
        let unnamed = std::mem::take(&mut walk.unnamed).into_iter().collect();
        (walk.finish(&BTreeMap::new()), unnamed)
    }

    fn nulls(columns: &[Column]) -> Vec<(String, u64)> {
        columns.iter().map(|column| (column.place.shown(), column.values.nulls)).collect()
    }

    #[test]
    fn parts_that_a_configuration_would_not_find_are_told() {
        let parts = [("b", ints(&[Some(1), None])), ("c.d", ints(&[Some(1), Some(2)]))];
        let fields = parts.map(|(name, array)| {
            (Arc::new(Field::new(name, array.data_type().clone(), true)), array)
        });
        let structs: ArrayRef = Arc::new(StructArray::from(fields.to_vec()));
        // `a.b` is the column of that name, not the part of `a`.
        let (columns, unnamed) = walked(vec![("a", structs), ("a.b", ints(&[Some(1), Some(2)]))]);
        assert_eq!(nulls(&columns), [("a.b".to_string(), 0)]);
        assert_eq!(unnamed, ["a.b", "a.c.d"]);
    }

    #[test]
    fn json_is_taken_apart_as_far_as_its_keys_can_be_named() {
        let details = texts(&[
            "{\"a\":{\"b\":1,\"c.d\":2},\"scopes\":[\"x\",\"y\"],\"n\":null}",
            "{\"a\":{\"b\":\"two\"},\"mixed\":[1,\"x\"]}",
            "no JSON",
        ]);
        let (columns, unnamed) = walked(vec![("details", details)]);
        let wanted = [("details", 0), ("details → a.b", 1), ("details → scopes", 2)];
        assert_eq!(nulls(&columns), wanted.map(|(name, nulls)| (name.to_string(), nulls)));
        assert_eq!(unnamed, ["details → a.c.d"]);
        assert_eq!(columns[2].values.counts, [("x".to_string(), 1), ("y".to_string(), 1)]);
    }

    #[test]
    fn what_lies_in_a_struct_that_is_null_is_null() {
        let field = Arc::new(Field::new("b", DataType::Int64, true));
        let validity = NullBuffer::from(vec![true, false]);
        let part = ints(&[Some(1), Some(2)]);
        let structs = StructArray::try_new(vec![field].into(), vec![part], Some(validity)).unwrap();
        let (columns, _) = walked(vec![("a", Arc::new(structs))]);
        assert_eq!(nulls(&columns), [("a.b".to_string(), 1)]);
        assert_eq!(columns[0].values.counts, [("1".to_string(), 1)]);
    }
}
