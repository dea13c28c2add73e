//! What a table format says about the files of a source: its columns, and which rows are gone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, LargeBinaryArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::headers::Large;
use crate::key::hex;
use crate::moment::{Moment, wall_time};
use crate::store::{Pin, StoreError, StoreUrl};

/// One version of a table.
#[derive(Clone, Debug)]
pub struct Table {
    /// As the configuration names it.
    pub format: &'static str,
    /// The table's folder.
    pub place: StoreUrl,
    /// The version's number; of an Iceberg table the snapshot's.
    pub version: u64,
    /// The number of the schema that its columns are of: a snapshot of an Iceberg table may be read with those of
    /// another. Versions of Delta tables have their own.
    pub schema_id: Option<i32>,
    /// When it was made, where the table says.
    pub made_at: Option<Moment>,
    /// What may be doubtful about which version it is, a sentence each: a moment chose it.
    pub choice: Vec<String>,
    /// What may be doubtful about the version itself, a sentence each.
    pub doubts: Vec<String>,
    pub schema: TableSchema,
    /// What readers of the table must know, by the format's own names.
    pub features: Vec<String>,
    pub history: History,
    pub versions: Versions,
    /// How its files are parted, each way that it has had.
    pub layouts: Vec<Layout>,
    pub files: TableFiles,
}

/// One way in which a table parts its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Its number in the table.
    pub id: i32,
    /// Whether new files are parted so.
    pub is_current: bool,
    /// None where files are not parted.
    pub fields: Vec<LayoutField>,
}

/// What files are parted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayoutField {
    pub name: String,
    /// The column that its values are made of; null where no schema has it.
    pub column: Option<String>,
    /// How, as the table's format names it: `identity`, `day`, `bucket[16]`.
    pub transform: String,
}

/// The versions that a table still tells of: the last up to the one that is read, and how many others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// At most [`Self::SHOWN`], the one that is read first.
    pub last: Vec<VersionTold>,
    pub earlier: u64,
    pub later: u64,
}

/// What a table says of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionTold {
    pub version: u64,
    /// When it was made, where the table says.
    pub at: Option<Moment>,
    /// As the table's format names it; empty where nobody says.
    pub operation: String,
    /// Files of data and of deletes; null where it is not told.
    pub files_added: Option<u64>,
    pub files_removed: Option<u64>,
}

impl Versions {
    /// So many are told of.
    pub const SHOWN: usize = 10;

    /// Of versions in their order, up to the one that is read.
    pub fn of(
        all: impl DoubleEndedIterator<Item = VersionTold> + ExactSizeIterator,
        later: u64,
    ) -> Self {
        let earlier = all.len().saturating_sub(Self::SHOWN) as u64;
        Self { last: all.rev().take(Self::SHOWN).collect(), earlier, later }
    }
}

/// Files beside those of data that a version was read from, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFiles {
    /// That say which rows are deleted.
    pub deletes: BTreeMap<String, Pin>,
    /// That say which files there are. Tables remove old ones.
    pub metadata: BTreeMap<String, Pin>,
}

/// What is known of a table's versions up to the one that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The earliest version that the table still tells of; what changed before cannot be seen.
    pub first_version: Option<u64>,
    /// When that was made, where the table says.
    pub known_from: Option<Moment>,
    /// In the order of versions.
    pub changes: Vec<Change>,
}

/// A version that took out or rewrote rows that were there before, restored an older version, or removed the
/// files of older ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub version: u64,
    /// When it was made, where the table says.
    pub at: Option<Moment>,
    /// As the table's format names it: DELETE, MERGE, WRITE.
    pub operation: String,
    /// Files whose data it changed, by their partition values.
    pub removed: Vec<Removed>,
}

/// Files of the same partition values that a version took out. Their rows may stand in others since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// None where they are not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
    pub files: u64,
    /// Rows that they had; null where it is not told.
    pub rows: Option<u64>,
}

/// Columns of a table, and what they are called in its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSchema {
    pub fields: Vec<TableField>,
    /// Names that other versions of the table give to columns, and what these are called here; `None` where they
    /// are no columns here.
    pub elsewhere: BTreeMap<String, Option<String>>,
}

/// A column or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableField {
    pub name: String,
    /// Its names in files, where files name it.
    pub physical: Vec<String>,
    /// Its number in files: it goes before the names.
    pub id: Option<i32>,
    pub data_type: DataType,
    /// What its rows have in files that are older than the column; null where nobody says.
    pub default: Option<Constant>,
    /// Of a struct its fields, of a list its element, of a map key and value.
    pub children: Vec<TableField>,
}

/// Field ids stand in Arrow's metadata under this key.
const FIELD_ID: &str = "PARQUET:field_id";

impl TableField {
    /// The field of a file that holds it.
    pub fn find<'a>(&self, fields: &'a Fields) -> Option<&'a Arc<Field>> {
        let numbered =
            self.id.and_then(|id| fields.iter().find(|field| field_id(field) == Some(id)));
        // A field with another number is another column, whatever it is called.
        let unnumbered = |field: &&Arc<Field>| self.id.is_none() || field_id(field).is_none();
        let named = || {
            fields
                .iter()
                .filter(unnumbered)
                .find(|field| self.physical.iter().any(|name| name == field.name()))
        };
        numbered.or_else(named)
    }

    /// What is wrong where no field holds it, but one of it, or of its parts, is called so but for the case of
    /// letters: whether the file holds it is not known.
    pub fn in_another_case(&self, fields: &Fields) -> Option<String> {
        if let Some(found) = self.find(fields) {
            return match found.data_type() {
                DataType::Struct(parts) => {
                    self.children.iter().find_map(|part| part.in_another_case(parts))
                }
                DataType::List(element) => {
                    let DataType::Struct(parts) = element.data_type() else { return None };
                    let own = self.children.iter().flat_map(|element| &element.children);
                    own.into_iter().find_map(|part| part.in_another_case(parts))
                }
                _ => None,
            };
        }
        let names: Vec<String> = self.physical.iter().map(|name| name.to_lowercase()).collect();
        let mut unnumbered = fields.iter().filter(|field| field_id(field).is_none());
        let found = unnumbered.find(|field| names.contains(&field.name().to_lowercase()))?;
        Some(in_other_letters(self, found))
    }

    pub(super) fn as_json(&self) -> Value {
        let children: Vec<Value> = self.children.iter().map(Self::as_json).collect();
        let default = self.default.as_ref().map(|constant| &constant.text);
        json!([self.name, self.physical, self.id, self.data_type.to_string(), default, children])
    }
}

/// What is wrong with a field that is called as a column but for the case of letters.
pub(super) fn in_other_letters(column: &TableField, found: &Field) -> String {
    let (own, name) = (&column.name, found.name());
    format!(
        "the table's column `{own}` stands there as `{name}`, in other letters, which some engines read as the column and others as none"
    )
}

/// Whether any field of the file has a number.
fn is_numbered(fields: &Fields) -> bool {
    fields.iter().any(|field| {
        let below = match field.data_type() {
            DataType::Struct(children) => is_numbered(children),
            DataType::List(element) | DataType::Map(element, _) => {
                is_numbered(&Fields::from(vec![element.clone()]))
            }
            _ => false,
        };
        below || field_id(field).is_some()
    })
}

pub(super) fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID)?.parse().ok()
}

impl TableSchema {
    /// Whether the columns of a file can be told apart: by their numbers, or by names that the table
    /// gives to files without numbers.
    pub fn tells_apart(&self, file: &Schema) -> bool {
        let named = |field: &TableField| field.id.is_none() || !field.physical.is_empty();
        self.fields.iter().any(named) || self.fields.is_empty() || is_numbered(file.fields())
    }

    /// A column by its name, or by the dotted path into one: the fields on the way.
    pub fn resolve(&self, path: &str) -> Option<Vec<&TableField>> {
        if let Some(field) = self.fields.iter().find(|field| field.name == path) {
            return Some(vec![field]);
        }
        let mut found: Vec<&TableField> = Vec::new();
        for segment in path.split('.') {
            let fields = match found.last() {
                None => &self.fields,
                Some(parent) if matches!(parent.data_type, DataType::Struct(_)) => &parent.children,
                Some(_) => return None,
            };
            found.push(fields.iter().find(|field| field.name == segment)?);
        }
        Some(found)
    }

    /// All that decides how the columns at `paths` are read, as text: a part of what names a pack.
    pub fn reading(&self, paths: &[&str]) -> String {
        let columns = paths.iter().map(|path| {
            let own = self.resolve(path).and_then(|found| found.first().map(|top| top.as_json()));
            json!([path, own])
        });
        Value::Array(columns.collect()).to_string()
    }
}

/// The value that all rows of a file have in a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Partition {
    pub name: String,
    /// What the table's files know the column by, whatever it is called now.
    #[serde(skip)]
    pub id: String,
    /// Of bytes, where the table keeps them as such: as hexadecimal digits.
    pub value: Option<String>,
    /// `None` where nobody says: then it is text.
    #[serde(skip)]
    pub data_type: Option<DataType>,
    #[serde(skip)]
    pub bytes: Option<Vec<u8>>,
}

impl Partition {
    pub fn constant(&self) -> Constant {
        Constant { text: self.value.clone(), bytes: self.bytes.clone() }
    }
}

/// A name of the values that a table gives a file; `None` where it gives none: the same name, the same values.
/// Neither what a column is called now nor its type is part of it: how it is read stands in
/// [`TableSchema::reading`].
pub(super) fn values_id(partitions: &[Partition]) -> Option<String> {
    if partitions.is_empty() {
        return None;
    }
    let mut values: Vec<_> = partitions.iter().map(|p| (&p.id, &p.value, &p.bytes)).collect();
    values.sort();
    let hash = blake3::hash(json!(values).to_string().as_bytes());
    Some(hex(hash.as_bytes().get(..16).unwrap_or_default()))
}

/// A value that stands for the rows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    pub text: Option<String>,
    /// Of values that are bytes, not texts of them.
    pub bytes: Option<Vec<u8>>,
}

impl Constant {
    /// The value alone, as one of type `of`. A time that the text gives no zone comes without one, whatever
    /// the type: nobody knows which was meant.
    ///
    /// # Errors
    /// A text that stands for no value of the type, bytes of another length.
    pub fn array(&self, of: &DataType) -> Result<ArrayRef, ArrowError> {
        if let Some(bytes) = &self.bytes {
            let one = [bytes.as_slice()];
            let array: ArrayRef = match of {
                DataType::FixedSizeBinary(size) => {
                    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                        one.iter().copied().map(Some),
                        *size,
                    )?)
                }
                DataType::LargeBinary => Arc::new(LargeBinaryArray::from_iter_values(one)),
                _ => Arc::new(BinaryArray::from_iter_values(one)),
            };
            return Ok(array);
        }
        let text: ArrayRef = Arc::new(StringArray::from(vec![self.text.as_deref()]));
        let is_wall_time = || self.text.as_deref().and_then(wall_time).is_some();
        let strict = CastOptions { safe: false, ..Default::default() };
        match of {
            DataType::Utf8 => Ok(text),
            DataType::Timestamp(unit, Some(_)) if is_wall_time() => {
                cast_with_options(&text, &DataType::Timestamp(*unit, None), &strict)
            }
            of => cast_with_options(&text, of, &strict),
        }
    }
}

/// Rows of a file that the table has deleted.
#[derive(Clone, Debug)]
pub struct Deletes {
    /// Names them: the same name, the same rows.
    pub id: String,
    /// How many there are, where the table says so.
    pub rows: Option<u64>,
    pub source: Arc<dyn DeletesSource>,
}

/// Two names, two sets of rows.
impl PartialEq for Deletes {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Deletes {}

/// Where the numbers of deleted rows come from.
pub trait DeletesSource: fmt::Debug + Send + Sync {
    /// The rows of the file that are gone.
    ///
    /// # Errors
    /// Storage failures, and damage.
    fn load(&self) -> Result<GoneRows, DeletesError>;
}

/// Rows of a file that are gone.
#[derive(Debug)]
pub struct GoneRows {
    /// Counted from the file's first, which is 0.
    pub rows: RoaringTreemap,
    /// Whether a page that was read to find them has no checksum: damage in it need not be seen.
    pub unchecked: bool,
}

#[derive(Debug, Error)]
pub enum DeletesError {
    #[error("{0}")]
    Store(#[from] StoreError),

    #[error("{0}")]
    Damaged(String),

    #[error("unsupported: {0}")]
    Unsupported(String),

    #[error("{file}: {large} needs a memory limit of {needed} MB\n{}", large.advice())]
    Room { file: String, large: Box<Large>, needed: u64 },
}

/// A table as the manifest tells it.
#[derive(Clone, Debug, Serialize)]
pub struct TableRecord {
    pub format: &'static str,
    pub version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<i32>,
    pub made_at: Option<Moment>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choice: Vec<String>,
    pub features: Vec<String>,
    pub history: History,
}

impl Table {
    pub fn record(&self) -> TableRecord {
        TableRecord {
            format: self.format,
            version: self.version,
            schema_id: self.schema_id,
            made_at: self.made_at,
            choice: self.choice.clone(),
            features: self.features.clone(),
            history: self.history.clone(),
        }
    }

    /// All that may be doubtful about which version it is, and about that version.
    pub fn warnings(&self) -> Vec<String> {
        self.choice.iter().chain(&self.doubts).cloned().collect()
    }

    /// Which version of what it is, as people read it.
    pub fn shown(&self) -> String {
        let version = match self.format {
            "iceberg" => format!("Iceberg snapshot {}", self.version),
            _ => format!("Delta version {}", self.version),
        };
        match self.made_at {
            Some(at) => format!("{version} of {}", at.to_rfc3339()),
            None => version,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn field(name: &str, physical: Option<&str>, id: Option<i32>) -> TableField {
        TableField {
            name: name.into(),
            physical: physical.map(str::to_string).into_iter().collect(),
            id,
            data_type: DataType::Int64,
            default: None,
            children: Vec::new(),
        }
    }

    #[test]
    fn a_field_is_found_by_its_number_first() {
        let numbered = |name: &str, id: &str| {
            Field::new(name, DataType::Int64, true)
                .with_metadata(HashMap::from([(FIELD_ID.to_string(), id.to_string())]))
        };
        let fields = Fields::from(vec![
            numbered("a", "2"),
            numbered("b", "1"),
            Field::new("c", DataType::Int64, true),
        ]);
        let found = |of: TableField| of.find(&fields).map(|field| field.name().clone());
        assert_eq!(found(field("x", None, Some(1))), Some("b".into()));
        assert_eq!(found(field("x", Some("a"), Some(1))), Some("b".into()));
        // No number of that kind: fields without one are asked for their names.
        assert_eq!(found(field("x", Some("c"), Some(9))), Some("c".into()));
        assert_eq!(found(field("x", Some("a"), Some(9))), None);
        assert_eq!(found(field("x", Some("a"), None)), Some("a".into()));
        assert_eq!(found(field("c", None, Some(9))), None);
    }

    #[test]
    fn paths_lead_into_structs_and_a_dotted_name_goes_first() {
        let inner = field("b", Some("col-2"), None);
        let parent = TableField {
            data_type: DataType::Struct(Fields::empty()),
            children: vec![inner],
            ..field("a", Some("col-1"), None)
        };
        let fields = vec![parent, field("a.c", Some("col-3"), None)];
        let schema = TableSchema { fields, ..Default::default() };
        let physical = |path| -> Option<Vec<String>> {
            let found = schema.resolve(path)?;
            Some(found.iter().flat_map(|field| field.physical.clone()).collect())
        };
        assert_eq!(physical("a.b"), Some(vec!["col-1".into(), "col-2".into()]));
        assert_eq!(physical("a.c"), Some(vec!["col-3".into()]));
        assert_eq!(physical("a.d"), None);
        assert_eq!(physical("b"), None);
    }
}
