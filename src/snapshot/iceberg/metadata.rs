//! Which metadata file of a table counts, and what it says.

use std::collections::HashSet;
use std::io::Read;

use ::iceberg::spec::{NestedFieldRef, TableMetadata, Type};
use flate2::read::GzDecoder;
use serde_json::Value;

use super::refusal::Refusal;
use crate::config::is_metadata;
use crate::store::{Pin, Store};

/// The folder of metadata files below a table's.
pub const FOLDER: &str = "metadata";

/// The newest format that is read.
const NEWEST_FORMAT: u64 = 3;

/// A metadata file that was read.
pub struct Metadata {
    pub table: TableMetadata,
    /// As it is written: the crate leaves out what it does not know.
    pub written: Value,
    /// Its path, and the version that was read.
    pub file: (String, Pin),
}

/// The metadata file that a folder's version hint names, else the newest by its number; a path below the
/// table's folder. With what is doubtful about it: a hint that is behind tells an old snapshot.
///
/// # Errors
/// None, several of the same number, or names that cannot be put in order.
pub fn newest(store: &Store) -> Result<(String, Option<String>), Refusal> {
    let listed = store.list(FOLDER)?;
    let below = |path: &str| path.strip_prefix("metadata/").map(str::to_string);
    let names: Vec<String> = listed
        .iter()
        .filter_map(|object| below(&object.path))
        .filter(|name| !name.contains('/') && !name.starts_with('.') && is_metadata(name))
        .collect();
    if names.is_empty() {
        let folder = store.shown(FOLDER);
        return Err(Refusal::Table(format!("{folder} holds no file ….metadata.json")));
    }
    let (name, doubt) = match store.read("metadata/version-hint.text")? {
        Some((hint, _)) => {
            let name = hinted(&names, String::from_utf8_lossy(&hint).trim());
            let name = name.map_err(Refusal::Table)?;
            let newer = latest(&names).ok().filter(|newer| *newer != name);
            let doubt = newer.map(|newer| {
                format!(
                    "version-hint.text leads to {name}, and {newer} lies beside it: if that was committed, what is read is an old state of the table"
                )
            });
            (name, doubt)
        }
        None => (latest(&names).map_err(Refusal::Table)?, None),
    };
    Ok((format!("{FOLDER}/{name}"), doubt))
}

/// What the names of a table's metadata files begin with: `v` and a number where a folder is the catalog,
/// a number and an id where another catalog keeps the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Numbered {
    Folder(u64),
    Catalog(u64),
}

fn stem(name: &str) -> &str {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let name = name.strip_suffix(".metadata.json").unwrap_or(name);
    name.strip_suffix(".gz").unwrap_or(name)
}

fn number(name: &str) -> Option<Numbered> {
    let stem = stem(name);
    if let Some(digits) = stem.strip_prefix('v') {
        return digits.parse().ok().map(Numbered::Folder);
    }
    let (digits, _) = stem.split_once('-')?;
    digits.parse().ok().map(Numbered::Catalog)
}

const NAME_ONE: &str = "name the metadata file itself as url";

fn only(names: &[String], wanted: impl Fn(&str) -> bool) -> Result<Option<String>, String> {
    let found: Vec<&String> = names.iter().filter(|name| wanted(name)).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        [first, second, ..] => Err(format!(
            "{first} and {second} are both the newest metadata: which one counts is not to be told; {NAME_ONE}"
        )),
    }
}

fn hinted(names: &[String], hint: &str) -> Result<String, String> {
    let missing = || {
        format!("version-hint.text says `{hint}`, and no metadata file has that name; {NAME_ONE}")
    };
    let Ok(mut version) = hint.parse::<u64>() else {
        return only(names, |name| name == hint || stem(name) == hint)?.ok_or_else(missing);
    };
    let of = |version| only(names, |name| number(name) == Some(Numbered::Folder(version)));
    let mut name = of(version)?.ok_or_else(missing)?;
    // The hint is written after the metadata: it may be behind.
    while let Some(next) = of(version + 1)? {
        (name, version) = (next, version + 1);
    }
    Ok(name)
}

fn latest(names: &[String]) -> Result<String, String> {
    let mut newest = None;
    for name in names {
        let found = number(name).ok_or_else(|| {
            format!("the name of {name} holds no number: which metadata is the newest is not to be told; {NAME_ONE}")
        })?;
        newest = match newest {
            Some(Numbered::Folder(_)) if matches!(found, Numbered::Catalog(_)) => None,
            Some(Numbered::Catalog(_)) if matches!(found, Numbered::Folder(_)) => None,
            before => before.max(Some(found)),
        };
        if newest.is_none() {
            return Err(format!(
                "metadata files are numbered in two ways (one is {name}): which one is the newest is not to be told; {NAME_ONE}"
            ));
        }
    }
    let found = only(names, |name| number(name) == newest)?;
    found.ok_or_else(|| "there is no metadata file".to_string())
}

/// A packed file of a few megabytes could take all memory: no table's metadata is as large as this.
const MOST_UNPACKED: u64 = 128 << 20;

/// Reads a metadata file.
///
/// # Errors
/// What this program does not know, by name; what is no metadata.
pub fn read(store: &Store, path: &str) -> Result<Metadata, Refusal> {
    let Some((bytes, pin)) = store.read(path)? else {
        let reason = "is not there".to_string();
        return Err(Refusal::Gone { file: store.shown(path), reason });
    };
    let bad = |reason: &dyn std::fmt::Display| {
        Refusal::Table(format!("{} is no table metadata: {reason}", store.shown(path)))
    };
    let text = if bytes.starts_with(&[0x1F, 0x8B]) {
        let mut text = Vec::new();
        let mut packed = GzDecoder::new(bytes.as_ref()).take(MOST_UNPACKED + 1);
        packed.read_to_end(&mut text).map_err(|e| bad(&e))?;
        if text.len() as u64 > MOST_UNPACKED {
            let what = format!("{} unpacks to more than {MOST_UNPACKED} bytes", store.shown(path));
            return Err(Refusal::Unsupported(what));
        }
        text
    } else {
        bytes.to_vec()
    };
    let written: Value = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
    check(&written)?;
    let table: TableMetadata = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
    check_defaults(&written, &table)?;
    Ok(Metadata { table, written, file: (path.to_string(), pin) })
}

/// Refuses what the crate would leave out or misread.
fn check(written: &Value) -> Result<(), Refusal> {
    let format = written.get("format-version").and_then(Value::as_u64);
    match format {
        Some(1..=NEWEST_FORMAT) => {}
        Some(other) => return Err(Refusal::Unsupported(format!("format version {other}"))),
        None => return Err(Refusal::Table("its metadata has no `format-version`".into())),
    }
    for schema in schemas(written) {
        check_type(schema, "")?;
    }
    let specs = list(written, "partition-specs").chain(written.get("partition-spec"));
    for field in specs.flat_map(|spec| spec.get("fields").or(Some(spec))).flat_map(elements) {
        let several =
            field.get("source-ids").and_then(Value::as_array).is_some_and(|ids| ids.len() > 1);
        if several {
            let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
            let what = format!("partition field `{name}`, made of several columns");
            return Err(Refusal::Unsupported(what));
        }
    }
    let embedded = list(written, "snapshots").any(|s| s.get("manifest-list").is_none());
    if embedded {
        let what = "snapshots that list their manifests themselves (early writers of format 1)";
        return Err(Refusal::Unsupported(what.into()));
    }
    Ok(())
}

fn elements(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of.get(key).into_iter().flat_map(elements)
}

/// All schemas of the table; format 1 may have one alone.
fn schemas(written: &Value) -> impl Iterator<Item = &Value> {
    list(written, "schemas").chain(written.get("schema"))
}

const TYPES: [&str; 14] = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "timestamp_ns",
    "timestamptz_ns",
    "string",
    "uuid",
    "binary",
];

fn check_type(of: &Value, column: &str) -> Result<(), Refusal> {
    if let Some(name) = of.as_str() {
        let is_known =
            TYPES.contains(&name) || name.starts_with("decimal(") || name.starts_with("fixed[");
        if is_known {
            return Ok(());
        }
        return Err(Refusal::Unsupported(format!("column `{column}` of type {name}")));
    }
    for field in list(of, "fields") {
        let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
        let way = if column.is_empty() { name.to_string() } else { format!("{column}.{name}") };
        check_type(field.get("type").unwrap_or(&Value::Null), &way)?;
    }
    for part in ["element", "key", "value"] {
        if let Some(inner) = of.get(part) {
            check_type(inner, &format!("{column}.{part}"))?;
        }
    }
    Ok(())
}

/// A default that the crate cannot read would be null without a word.
fn check_defaults(written: &Value, table: &TableMetadata) -> Result<(), Refusal> {
    let mut read = HashSet::new();
    for schema in table.schemas_iter() {
        with_default(schema.as_struct().fields(), schema.schema_id(), &mut read);
    }
    for schema in schemas(written) {
        let id = schema.get("schema-id").and_then(Value::as_i64).unwrap_or(0);
        check_fields(schema, id, &read)?;
    }
    Ok(())
}

fn with_default(fields: &[NestedFieldRef], schema: i32, found: &mut HashSet<(i64, i64)>) {
    for field in fields {
        if field.initial_default.is_some() {
            found.insert((schema.into(), field.id.into()));
        }
        match field.field_type.as_ref() {
            Type::Primitive(_) => {}
            Type::Struct(of) => with_default(of.fields(), schema, found),
            Type::List(of) => with_default(std::slice::from_ref(&of.element_field), schema, found),
            Type::Map(of) => {
                with_default(&[of.key_field.clone(), of.value_field.clone()], schema, found);
            }
        }
    }
}

fn check_fields(of: &Value, schema: i64, read: &HashSet<(i64, i64)>) -> Result<(), Refusal> {
    for field in list(of, "fields") {
        let id = field.get("id").and_then(Value::as_i64).unwrap_or(-1);
        let is_given = field.get("initial-default").is_some_and(|default| !default.is_null());
        if is_given && !read.contains(&(schema, id)) {
            let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
            return Err(Refusal::Unsupported(format!("the initial default of column `{name}`")));
        }
        if let Some(inner) = field.get("type") {
            check_fields(inner, schema, read)?;
        }
    }
    for inner in ["element", "value"].iter().filter_map(|part| of.get(part)) {
        check_fields(inner, schema, read)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_newest_metadata_is_told_by_its_number_or_not_at_all() {
        let found = |of: &[&str]| latest(&names(of));
        assert_eq!(
            found(&["v9.metadata.json", "v10.gz.metadata.json"]).unwrap(),
            "v10.gz.metadata.json"
        );
        assert_eq!(
            found(&["00009-a.metadata.json", "00010-b.metadata.json.gz"]).unwrap(),
            "00010-b.metadata.json.gz"
        );
        for ambiguous in [
            &["00001-a.metadata.json", "00001-b.metadata.json"][..],
            &["v1.metadata.json", "v1.gz.metadata.json"],
            &["v2.metadata.json", "00001-b.metadata.json"],
            &["00001-b.metadata.json", "v2.metadata.json"],
            &["v2.metadata.json", "copy.metadata.json"],
        ] {
            assert!(found(ambiguous).unwrap_err().contains("not to be told"), "{ambiguous:?}");
        }
    }

    #[test]
    fn a_hint_may_be_behind_and_must_name_a_file() {
        let files = names(&[
            "v1.metadata.json",
            "v2.metadata.json",
            "v3.metadata.json",
            "v5.metadata.json",
        ]);
        assert_eq!(hinted(&files, "2").unwrap(), "v3.metadata.json");
        assert_eq!(hinted(&files, "v5").unwrap(), "v5.metadata.json");
        assert!(hinted(&files, "4").unwrap_err().contains("says `4`"));
    }

    #[test]
    fn types_that_are_not_known_are_named_with_their_column() {
        let schema = serde_json::json!({"type": "struct", "fields": [
            {"id": 1, "name": "a", "type": "long"},
            {"id": 2, "name": "b", "type": {"type": "list", "element": {
                "type": "struct", "fields": [{"id": 4, "name": "c", "type": "variant"}],
            }}},
        ]});
        let Err(Refusal::Unsupported(what)) = check_type(&schema, "") else { panic!() };
        assert_eq!(what, "column `b.element.c` of type variant");
    }
}
