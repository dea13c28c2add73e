//! What differs between two published runs: rows and values by key, and what the runs were made from.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, make_comparator};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;
use serde_json::Value;

use super::check::read;
use super::{Place, VerifyError};
use crate::impact::{self, Table};
use crate::publish::{MANIFEST, Manifest, sha256};

/// One value that differs, or a row that only one run has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub table: String,
    /// `column=value`, parted by blanks, of the table's key.
    pub key: String,
    /// `(row)` for a row that only one run has.
    pub column: String,
    /// Null where there is no row, and for a null value.
    pub old: Option<String>,
    pub new: Option<String>,
}

/// Something that the runs were made from, and that is not the same: what changes can come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// `late_file`, `missing_file`, `rewritten_file`, `policy`, `configuration`, `as_of` or `program`.
    pub kind: &'static str,
    pub what: String,
}

/// The answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Difference {
    pub old_run: String,
    pub new_run: String,
    pub sources: Vec<Source>,
    /// Changes by table; tables without any are not named.
    pub changed: BTreeMap<String, u64>,
    /// Tables that only one of the runs has, and columns.
    pub shape: Vec<String>,
    #[serde(skip)]
    pub changes: Vec<Change>,
}

/// Compares two runs.
///
/// # Errors
/// Storage failures; [`VerifyError::Differs`] where a run is not what its manifest says.
pub fn diff(old: &Place, new: &Place, only: Option<&str>) -> Result<Difference, VerifyError> {
    let (before, after) = (manifest(old)?, manifest(new)?);
    let mut found = Difference {
        old_run: before.run_id.clone(),
        new_run: after.run_id.clone(),
        sources: sources(&before.details, &after.details),
        ..Default::default()
    };
    let keys: BTreeMap<String, Vec<String>> = impact::built_in()?
        .into_iter()
        .filter_map(|query| Some((query.table, query.spec?.key)))
        .collect();
    let (old_tables, new_tables) = (tables(&before), tables(&after));
    if let Some(only) =
        only.filter(|only| !new_tables.contains(*only) && !old_tables.contains(*only))
    {
        let names: Vec<&str> = new_tables.iter().map(String::as_str).collect();
        return Err(VerifyError::User {
            what: format!("--table {only}"),
            reason: format!("neither run has such a table; there are {}", names.join(", ")),
        });
    }
    for name in old_tables.union(&new_tables) {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let which = match (old_tables.contains(name), new_tables.contains(name)) {
            (true, true) => None,
            (true, false) => Some(&found.old_run),
            _ => Some(&found.new_run),
        };
        if let Some(run) = which {
            found.shape.push(format!("only run {run} has the table {name}"));
            continue;
        }
        let (a, b) = (table(old, &before, name)?, table(new, &after, name)?);
        let Some(key) = keys.get(name) else {
            if a.batch != b.batch {
                found.shape.push(format!(
                    "{name} differs: it is of your own SQL and has no key to compare rows by"
                ));
            }
            continue;
        };
        let first = found.changes.len();
        compare(&a, &b, key, &mut found)?;
        let count = (found.changes.len() - first) as u64;
        if count > 0 {
            found.changed.insert(name.clone(), count);
        }
    }
    Ok(found)
}

fn manifest(place: &Place) -> Result<Manifest, VerifyError> {
    let shown = place.shown(MANIFEST);
    let bytes =
        read(place, MANIFEST)?.ok_or(VerifyError::Differs(format!("{shown} is missing")))?;
    Manifest::parse(&bytes)
        .map_err(|reason| VerifyError::Differs(format!("{shown} was changed: {reason}")))
}

fn tables(manifest: &Manifest) -> BTreeSet<String> {
    let names = manifest.outputs.iter().filter_map(|output| {
        let name = output.path.strip_prefix("tables/")?;
        name.strip_suffix(".parquet").map(str::to_string)
    });
    names.collect()
}

/// A table, if its hash holds.
fn table(place: &Place, manifest: &Manifest, name: &str) -> Result<Table, VerifyError> {
    let path = format!("tables/{name}.parquet");
    let changed = || VerifyError::Differs(format!("{} was changed or is gone", place.shown(&path)));
    let bytes = read(place, &path)?.ok_or_else(changed)?;
    let stated = manifest.outputs.iter().find(|output| output.path == path);
    if stated.is_none_or(|output| output.sha256 != sha256(&bytes)) {
        return Err(changed());
    }
    Ok(Table::read_back(name, bytes)?)
}

/// Tables are sorted by their keys: rows meet as two sorted lists do.
fn compare(
    a: &Table,
    b: &Table,
    key: &[String],
    found: &mut Difference,
) -> Result<(), VerifyError> {
    let failed = |e: ArrowError| VerifyError::User {
        what: a.name.clone(),
        reason: format!("cannot be compared: {e}"),
    };
    let (first, second) =
        (shown_in_utc(&a.batch).map_err(failed)?, shown_in_utc(&b.batch).map_err(failed)?);
    let both = |name: &str| -> Option<(&ArrayRef, &ArrayRef)> {
        Some((first.column_by_name(name)?, second.column_by_name(name)?))
    };
    let mut values = Vec::new();
    for field in a.batch.schema().fields() {
        let name = field.name();
        match both(name) {
            Some((x, y)) if x.data_type() == y.data_type() => {
                if !key.contains(name) {
                    values.push(Column::new(name, x, y).map_err(failed)?);
                }
            }
            _ => found
                .shape
                .push(format!("{}: only one run has the column {name} of its type", a.name)),
        }
    }
    for field in b.batch.schema().fields() {
        if a.batch.column_by_name(field.name()).is_none() {
            found.shape.push(format!(
                "{}: only one run has the column {} of its type",
                b.name,
                field.name()
            ));
        }
    }
    let mut keys = Vec::new();
    for name in key {
        let Some((x, y)) = both(name) else { return Ok(()) };
        keys.push(Column::new(name, x, y).map_err(failed)?);
    }
    let (mut i, mut j) = (0, 0);
    let (rows_a, rows_b) = (a.batch.num_rows(), b.batch.num_rows());
    while i < rows_a || j < rows_b {
        let order = match (i < rows_a, j < rows_b) {
            (true, true) => {
                let orders = keys.iter().map(|key| (key.compare)(i, j));
                orders.fold(Ordering::Equal, Ordering::then)
            }
            (true, false) => Ordering::Less,
            _ => Ordering::Greater,
        };
        let shown = |old: bool| -> String {
            let parts = keys.iter().map(|key| {
                let value = if old { key.old(i) } else { key.new_value(j) };
                format!("{}={}", key.name, value.unwrap_or_else(|| "null".into()))
            });
            parts.collect::<Vec<_>>().join(" ")
        };
        let row = |old: bool| Change {
            table: a.name.clone(),
            key: shown(old),
            column: "(row)".into(),
            old: old.then(|| "there".into()),
            new: (!old).then(|| "there".into()),
        };
        match order {
            Ordering::Less => {
                found.changes.push(row(true));
                i += 1;
            }
            Ordering::Greater => {
                found.changes.push(row(false));
                j += 1;
            }
            Ordering::Equal => {
                for value in values.iter().filter(|v| (v.compare)(i, j) != Ordering::Equal) {
                    found.changes.push(Change {
                        table: a.name.clone(),
                        key: shown(true),
                        column: value.name.clone(),
                        old: value.old(i),
                        new: value.new_value(j),
                    });
                }
                i += 1;
                j += 1;
            }
        }
    }
    Ok(())
}

/// Times of a named zone cannot be shown without a table of zones; those of an offset can.
fn shown_in_utc(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, array)| {
        let array = match field.data_type() {
            DataType::Timestamp(unit, Some(_)) => {
                cast(array, &DataType::Timestamp(*unit, Some("+00:00".into())))?
            }
            _ => array.clone(),
        };
        Ok((field.name().clone(), array, true))
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, ArrowError>>()?)
}

/// A column of both runs.
struct Column<'a> {
    name: String,
    compare: Box<dyn Fn(usize, usize) -> Ordering + Send + Sync>,
    arrays: (&'a ArrayRef, &'a ArrayRef),
    shown: (ArrayFormatter<'a>, ArrayFormatter<'a>),
}

static OPTIONS: FormatOptions<'static> = FormatOptions::new();

impl<'a> Column<'a> {
    fn new(name: &str, a: &'a ArrayRef, b: &'a ArrayRef) -> Result<Self, ArrowError> {
        Ok(Self {
            name: name.to_string(),
            compare: make_comparator(a, b, SortOptions::default())?,
            arrays: (a, b),
            shown: (ArrayFormatter::try_new(a, &OPTIONS)?, ArrayFormatter::try_new(b, &OPTIONS)?),
        })
    }

    fn old(&self, row: usize) -> Option<String> {
        self.arrays.0.is_valid(row).then(|| self.shown.0.value(row).to_string())
    }

    fn new_value(&self, row: usize) -> Option<String> {
        self.arrays.1.is_valid(row).then(|| self.shown.1.value(row).to_string())
    }
}

/// What is not the same in what the runs were made from.
fn sources(before: &Value, after: &Value) -> Vec<Source> {
    let mut found = Vec::new();
    let mut push = |kind, what: String| found.push(Source { kind, what });
    let text = |of: &Value, path: &str| of.pointer(path).map(shown).unwrap_or_default();
    let versions =
        ["/program/version", "/as_of"].map(|path| (text(before, path), text(after, path)));
    for ((old, new), kind) in versions.into_iter().zip(["program", "as_of"]) {
        if old != new {
            push(kind, format!("{old} became {new}"));
        }
    }
    let files = |of: &Value| -> BTreeMap<(String, String), Value> {
        let sources = of.pointer("/sources").and_then(Value::as_array).into_iter().flatten();
        let each = sources.flat_map(|source| {
            let name = text(source, "/name");
            let files = source.pointer("/files").and_then(Value::as_array).into_iter().flatten();
            files.map(move |file| ((name.clone(), text(file, "/url")), file.clone()))
        });
        each.collect()
    };
    let (old, new) = (files(before), files(after));
    let pin = |file: &Value| ["/bytes", "/e_tag", "/version"].map(|path| text(file, path));
    for ((source, url), file) in &new {
        match old.get(&(source.clone(), url.clone())) {
            None => {
                push("late_file", format!("{url} ({} rows, source {source})", text(file, "/rows")))
            }
            Some(was) if pin(was) != pin(file) => push(
                "rewritten_file",
                format!(
                    "{url} ({} rows became {}, source {source})",
                    text(was, "/rows"),
                    text(file, "/rows")
                ),
            ),
            Some(_) => {}
        }
    }
    for ((source, url), file) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        push("missing_file", format!("{url} ({} rows, source {source})", text(file, "/rows")));
    }
    let registry = |of: &Value| -> BTreeMap<String, Vec<Value>> {
        let mut roles: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for file in of.pointer("/registry").and_then(Value::as_array).into_iter().flatten() {
            let mut file = file.clone();
            // Where a registry file lies changes no figure.
            if let Some(fields) = file.as_object_mut() {
                fields.remove("url");
            }
            roles.entry(text(&file, "/role")).or_default().push(file);
        }
        roles
    };
    let (old, new) = (registry(before), registry(after));
    for role in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        if old.get(role) != new.get(role) {
            push("policy", format!("registry.{role}"));
        }
    }
    let settings = |of: &Value| of.pointer("/configuration").map(leaves).unwrap_or_default();
    let (old, new) = (settings(before), settings(after));
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let place = ["output.", "state.", "run."].iter().any(|place| key.starts_with(place));
        if old.get(key) != new.get(key) && !place {
            let value =
                |of: &BTreeMap<String, String>| of.get(key).cloned().unwrap_or("nothing".into());
            push("configuration", format!("{key}: {} became {}", value(&old), value(&new)));
        }
    }
    found
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// Values by their path, as `--set` names it.
fn leaves(value: &Value) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        let below =
            |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(k, v)| walk(&below(k), v, out)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, v)| walk(&below(&i.to_string()), v, out));
            }
            Value::Null => {}
            other => {
                out.insert(path.to_string(), shown(other));
            }
        }
    }
    let mut out = BTreeMap::new();
    walk("", value, &mut out);
    out
}
