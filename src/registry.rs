//! What was restricted when, and who owns what: the policy side of a run.
//!
//! Registry files are small tables, CSV with a header or Parquet. Every value is checked here, and
//! an error names file, line and column. Two rows that say the same are one; two that differ are an
//! error, because either could be the truth.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::config::{ColumnPlan, RegistryPlan, SourcePlan, shape};
use crate::key::hex;
use crate::moment::{Moment, Zone};
use crate::store::{Io, StoreError, StoreErrorKind, StoreUrl};

/// The registry of one run.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Restricted scopes by name.
    pub scopes: BTreeMap<String, Scope>,
    /// Apps by id.
    pub apps: BTreeMap<String, App>,
    /// Grace ends by (app, scope).
    pub grace: BTreeMap<(String, String), Moment>,
    /// Which scopes a call needs; `None` where no endpoint table is given.
    pub endpoints: Option<Vec<Endpoint>>,
    /// Every file read, with its size and SHA-256.
    pub files: Vec<RegistryFile>,
    /// Columns that nothing reads, as messages.
    pub unknown_columns: Vec<String>,
}

/// A restricted scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// From this moment on the scope must not be used.
    pub restricted_at: Moment,
    /// Data categories that the scope gives access to.
    pub data_fields: Vec<String>,
}

/// A registered app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct App {
    pub name: Option<String>,
    pub developer_id: Option<String>,
    pub developer_name: Option<String>,
}

/// One row of the endpoint table: calls that match need one of `scopes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper case; `None` matches every method.
    pub method: Option<String>,
    /// A path template; a segment in braces matches any one segment.
    pub path: String,
    pub scopes: BTreeSet<String>,
}

/// A registry file as it was read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RegistryFile {
    pub role: &'static str,
    pub url: String,
    pub size: u64,
    pub sha256: String,
}

#[derive(Debug, Error)]
pub enum RegistryError {
    #[error("registry file {file} ({role}): {reason}\ncheck registry.{role} in the configuration")]
    Unreadable { role: &'static str, file: String, reason: String, kind: StoreErrorKind },

    #[error(
        "registry file {file} has no column `{column}`; it has {found}\nadd the column, or correct its name"
    )]
    MissingColumn { file: String, column: &'static str, found: String },

    #[error("registry file {file}, {line}, column `{column}`: {reason}")]
    BadValue { file: String, line: String, column: String, reason: String },

    #[error(
        "registry file {file}, {line}: {what} stands there a second time with other values (first in {first})\nkeep the row that is true"
    )]
    Contradiction { file: String, line: String, first: String, what: String },

    #[error(
        "registry: {role} `{value}` is not in lower case, and source `{source_name}` folds the case of its {role} column: it would never match\nwrite it in lower case, or take fold_case out of the mapping"
    )]
    NeverMatches { role: &'static str, value: String, source_name: String },

    #[error("registry file {file} has {count} bad rows:\n{shown}")]
    Several { file: String, count: usize, shown: String },

    #[error("registry file {file} names no scope\na run needs at least one restricted scope")]
    NoScopes { file: String },
}

impl RegistryError {
    /// What the underlying storage failure means, where there was one.
    pub fn store_kind(&self) -> Option<StoreErrorKind> {
        match self {
            Self::Unreadable { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}

/// Reads the registry.
///
/// # Errors
/// The first file, line and column that cannot be used.
pub fn load(plan: &RegistryPlan, io: &Io) -> Result<Registry, RegistryError> {
    let mut registry = Registry::default();
    let scopes = Table::read("scopes", &plan.scopes, io, &mut registry)?;
    registry.scopes = read_scopes(&scopes, plan.zone)?;
    if let Some(url) = &plan.apps {
        let table = Table::read("apps", url, io, &mut registry)?;
        registry.apps = read_apps(&table)?;
    }
    if let Some(url) = &plan.extensions {
        let table = Table::read("extensions", url, io, &mut registry)?;
        registry.grace = read_extensions(&table, plan.zone)?;
    }
    if let Some(url) = &plan.endpoints {
        let table = Table::read("endpoints", url, io, &mut registry)?;
        registry.endpoints = Some(read_endpoints(&table)?);
    }
    Ok(registry)
}

impl Registry {
    /// A source that folds the case of a column can only meet registry values in lower case.
    ///
    /// # Errors
    /// [`RegistryError::NeverMatches`] with the first value that could not match.
    pub fn check_folding(&self, source: &SourcePlan) -> Result<(), RegistryError> {
        let folds = |column: Option<&ColumnPlan>| column.is_some_and(|c| c.fold_case);
        let refuse = |role, value: &String| RegistryError::NeverMatches {
            role,
            value: value.clone(),
            source_name: source.name.clone(),
        };
        let unfolded = |value: &&String| value.to_lowercase() != **value;
        if folds(source.mapping.scopes.as_ref())
            && let Some(scope) = self.scopes.keys().find(unfolded)
        {
            return Err(refuse("scopes", scope));
        }
        let extended = self.grace.keys().map(|(app, _)| app);
        if folds(Some(&source.mapping.app))
            && let Some(app) = self.apps.keys().chain(extended).find(unfolded)
        {
            return Err(refuse("app", app));
        }
        Ok(())
    }

    /// What stands in the registry and has no effect, for the user to look at.
    pub fn without_effect(&self) -> Vec<String> {
        let lost: BTreeSet<&str> = self
            .grace
            .keys()
            .map(|(_, scope)| scope.as_str())
            .filter(|scope| !self.scopes.contains_key(*scope))
            .collect();
        let columns = self.unknown_columns.iter().cloned();
        let strangers: BTreeSet<&str> = self
            .grace
            .keys()
            .map(|(app, _)| app.as_str())
            .filter(|app| !self.apps.is_empty() && !self.apps.contains_key(*app))
            .collect();
        let strangers = strangers
            .into_iter()
            .map(|app| format!("extensions name app `{app}`, which registry.apps does not"));
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for app in self.apps.values() {
            if let (Some(id), Some(name)) = (&app.developer_id, &app.developer_name) {
                let known = names.entry(id).or_default();
                if !known.contains(&name.as_str()) {
                    known.push(name);
                }
            }
        }
        let renamed = names.into_iter().filter(|(_, names)| names.len() > 1).map(|(id, names)| {
            // docs/counting.md, rule 5: that of the first app by id.
            let first = names.first().copied().unwrap_or_default();
            format!("developer `{id}` has {} names; tables show `{first}`", names.len())
        });
        let lost = lost.into_iter()
            .map(|scope| {
                format!("extensions name scope `{scope}`, which registry.scopes does not: they have no effect")
            });
        columns.chain(lost).chain(strangers).chain(renamed).collect()
    }
}

fn read_scopes(table: &Table, zone: Zone) -> Result<BTreeMap<String, Scope>, RegistryError> {
    let (scope, at) = (table.required("scope")?, table.required("deprecated_at")?);
    let fields = table.optional("data_fields");
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let name = table.text(row, scope, "scope")?;
        let restricted_at = table.moment(row, at, "deprecated_at", zone)?;
        let data_fields = fields
            .and_then(|i| row.value(i))
            .unwrap_or_default()
            .split(';')
            .map(str::trim)
            .filter(|f| !f.is_empty())
            .map(str::to_string)
            .collect();
        let what = format!("scope `{name}`");
        unique.insert(row, name, Scope { restricted_at, data_fields }, &what)
    })?;
    let scopes = unique.finish();
    if scopes.is_empty() {
        return Err(RegistryError::NoScopes { file: table.file.clone() });
    }
    Ok(scopes)
}

fn read_apps(table: &Table) -> Result<BTreeMap<String, App>, RegistryError> {
    let id = table.required("app_id")?;
    let name = table.optional("app_name");
    let developer_id = table.optional("developer_id");
    let developer_name = table.optional("developer_name");
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let app = table.text(row, id, "app_id")?;
        let value = |column: Option<usize>| column.and_then(|i| row.value(i)).map(str::to_string);
        let details = App {
            name: value(name),
            developer_id: value(developer_id),
            developer_name: value(developer_name),
        };
        let what = format!("app `{app}`");
        unique.insert(row, app, details, &what)
    })?;
    Ok(unique.finish())
}

fn read_extensions(
    table: &Table,
    zone: Zone,
) -> Result<BTreeMap<(String, String), Moment>, RegistryError> {
    let (app, scope) = (table.required("app_id")?, table.required("scope")?);
    let until = table.required("grace_until")?;
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let key = (table.text(row, app, "app_id")?, table.text(row, scope, "scope")?);
        let moment = table.moment(row, until, "grace_until", zone)?;
        let what = format!("the extension of app `{}` for scope `{}`", key.0, key.1);
        unique.insert(row, key, moment, &what)
    })?;
    Ok(unique.finish())
}

fn read_endpoints(table: &Table) -> Result<Vec<Endpoint>, RegistryError> {
    let (path, scope) = (table.required("path")?, table.required("scope")?);
    let method = table.optional("method");
    let mut grouped: BTreeMap<(Option<String>, String), BTreeSet<String>> = BTreeMap::new();
    table.each_row(|row| {
        let method = method.and_then(|i| row.value(i)).map(str::to_ascii_uppercase);
        let path = table.text(row, path, "path")?;
        grouped.entry((method, path)).or_default().insert(table.text(row, scope, "scope")?);
        Ok(())
    })?;
    Ok(grouped
        .into_iter()
        .map(|((method, path), scopes)| Endpoint { method, path, scopes })
        .collect())
}

/// Rows by key, where a repeated key must repeat its values.
struct Unique<'a, K, V> {
    table: &'a Table,
    seen: BTreeMap<K, (V, String)>,
}

impl<'a, K: Ord, V: PartialEq> Unique<'a, K, V> {
    fn new(table: &'a Table) -> Self {
        Self { table, seen: BTreeMap::new() }
    }

    fn insert(&mut self, row: &Row, key: K, value: V, what: &str) -> Result<(), RegistryError> {
        if let Some((old, first)) = self.seen.get(&key) {
            if *old == value {
                return Ok(());
            }
            return Err(RegistryError::Contradiction {
                file: self.table.file.clone(),
                line: row.at.clone(),
                first: first.clone(),
                what: what.to_string(),
            });
        }
        self.seen.insert(key, (value, row.at.clone()));
        Ok(())
    }

    fn finish(self) -> BTreeMap<K, V> {
        self.seen.into_iter().map(|(key, (value, _))| (key, value)).collect()
    }
}

/// The columns that registry files may have.
const KNOWN: [(&str, &[&str]); 4] = [
    ("scopes", &["scope", "deprecated_at", "data_fields"]),
    ("apps", &["app_id", "app_name", "developer_id", "developer_name"]),
    ("extensions", &["app_id", "scope", "grace_until"]),
    ("endpoints", &["method", "path", "scope"]),
];

/// A small table of texts; empty cells are null.
struct Table {
    file: String,
    columns: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    /// `line 7` of a CSV file, `row 7` of a Parquet file.
    at: String,
    cells: Vec<Option<String>>,
}

impl Row {
    fn value(&self, column: usize) -> Option<&str> {
        self.cells.get(column).and_then(Option::as_deref)
    }
}

impl Table {
    fn read(
        role: &'static str,
        url: &StoreUrl,
        io: &Io,
        registry: &mut Registry,
    ) -> Result<Self, RegistryError> {
        let file = url.to_string();
        let unreadable = |kind, reason: String| RegistryError::Unreadable {
            role,
            file: file.clone(),
            reason,
            kind,
        };
        let from_store = |e: StoreError| unreadable(e.kind, e.reason);
        if url.local().is_some_and(std::path::Path::is_dir) {
            return Err(unreadable(StoreErrorKind::Settings, "is a folder, not a file".into()));
        }
        let (folder, name) = url.split_last().ok_or_else(|| {
            unreadable(StoreErrorKind::Settings, "the address names no file".into())
        })?;
        let bytes = match folder.open(io).and_then(|store| store.read(&name)) {
            Ok(Some((bytes, _))) => bytes,
            Ok(None) => return Err(unreadable(StoreErrorKind::NotFound, "does not exist".into())),
            Err(e) => return Err(from_store(e)),
        };
        registry.files.push(RegistryFile {
            role,
            url: file.clone(),
            size: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
        });
        let bad = |reason: String| unreadable(StoreErrorKind::Settings, reason);
        let (columns, rows) = if bytes.starts_with(b"PAR1") {
            read_parquet(bytes).map_err(bad)?
        } else {
            read_csv(&bytes).map_err(bad)?
        };
        let mut seen = BTreeSet::new();
        if let Some(twice) = columns.iter().find(|column| !seen.insert(column.as_str())) {
            return Err(bad(format!("the column `{twice}` stands in it twice")));
        }
        let known = KNOWN.iter().find(|(of, _)| *of == role).map_or(&[][..], |(_, names)| names);
        for column in columns.iter().filter(|column| !known.contains(&column.as_str())) {
            registry.unknown_columns.push(format!(
                "registry file {file}: nothing reads its column `{column}`{}",
                shape::did_you_mean(column, known.iter().copied())
            ));
        }
        Ok(Self { file, columns, rows })
    }

    /// Takes every row; what is wrong with some is told of all of them, or of the first of very many.
    fn each_row(
        &self,
        mut take: impl FnMut(&Row) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        const SHOWN: usize = 20;
        let mut bad: Vec<RegistryError> = Vec::new();
        let mut count = 0;
        for error in self.rows.iter().filter_map(|row| take(row).err()) {
            count += 1;
            if bad.len() < SHOWN {
                bad.push(error);
            }
        }
        if count > 1 {
            let mut shown: Vec<String> = bad.iter().map(ToString::to_string).collect();
            if count > SHOWN {
                shown.push(format!("and {} more", count - SHOWN));
            }
            let shown = shown.join("\n");
            return Err(RegistryError::Several { file: self.file.clone(), count, shown });
        }
        bad.pop().map_or(Ok(()), Err)
    }

    fn optional(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c == column)
    }

    fn required(&self, column: &'static str) -> Result<usize, RegistryError> {
        self.optional(column).ok_or_else(|| RegistryError::MissingColumn {
            file: self.file.clone(),
            column,
            found: self.columns.join(", "),
        })
    }

    fn bad(&self, row: &Row, column: &str, reason: impl Into<String>) -> RegistryError {
        RegistryError::BadValue {
            file: self.file.clone(),
            line: row.at.clone(),
            column: column.into(),
            reason: reason.into(),
        }
    }

    fn text(&self, row: &Row, index: usize, column: &str) -> Result<String, RegistryError> {
        let text = row.value(index).ok_or_else(|| self.bad(row, column, "is empty"))?;
        if text.trim() != text {
            return Err(self.bad(
                row,
                column,
                format!("`{text}` has blanks around it; take them out"),
            ));
        }
        Ok(text.to_string())
    }

    fn moment(
        &self,
        row: &Row,
        index: usize,
        column: &str,
        zone: Zone,
    ) -> Result<Moment, RegistryError> {
        let text = self.text(row, index, column)?;
        Moment::parse_setting(&text, zone).map_err(|reason| self.bad(row, column, reason))
    }
}

type Parsed = (Vec<String>, Vec<Row>);

fn read_csv(bytes: &[u8]) -> Result<Parsed, String> {
    // A byte order mark is no part of the first column's name.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let columns: Vec<String> = reader
        .headers()
        .map_err(|e| e.to_string())?
        .iter()
        .map(|name| name.trim().to_string())
        .collect();
    let mut rows = Vec::new();
    let mut lines = Lines { bytes, at: 0, line: 1 };
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let line = record.position().map_or(0, |at| lines.line_at(at.byte()));
        rows.push(Row {
            at: format!("line {line}"),
            cells: record.iter().map(|c| (!c.is_empty()).then(|| c.to_string())).collect(),
        });
    }
    Ok((columns, rows))
}

/// Line numbers of records, asked for in the order of the file.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the record that begins at `start`: the reader has not yet passed over the line
    /// ends and empty lines before it.
    fn line_at(&mut self, start: u64) -> usize {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let passed = |i: usize, b: u8| i < start || matches!(b, b'\r' | b'\n');
        while let Some(byte) = self.bytes.get(self.at).filter(|b| passed(self.at, **b)) {
            self.line += usize::from(*byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

fn read_parquet(bytes: Bytes) -> Result<Parsed, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| e.to_string())?;
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    let options = FormatOptions::default();
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        columns = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        let in_utc: Vec<ArrayRef> = batch.columns().iter().map(in_utc).collect();
        let formatters = in_utc
            .iter()
            .map(|array| cell_formatter(array.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for i in 0..batch.num_rows() {
            let cells = batch
                .columns()
                .iter()
                .zip(&formatters)
                .map(|(array, f)| (!array.is_null(i)).then(|| f.value(i).to_string()))
                .map(|cell| cell.filter(|text| !text.is_empty()))
                .collect();
            rows.push(Row { at: format!("row {}", rows.len() + 1), cells });
        }
    }
    Ok((columns, rows))
}

/// Times of a named zone are kept in UTC; shown as such, they need no table of zones.
fn in_utc(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
            arrow::compute::cast(array, &utc).unwrap_or_else(|_| array.clone())
        }
        _ => array.clone(),
    }
}

fn cell_formatter<'a>(
    array: &'a dyn Array,
    options: &'a FormatOptions<'a>,
) -> Result<ArrayFormatter<'a>, String> {
    if matches!(array.data_type(), DataType::List(_) | DataType::Struct(_) | DataType::Map(..)) {
        return Err(format!("a column of type {} cannot be read; write text", array.data_type()));
    }
    ArrayFormatter::try_new(array, options).map_err(|e| e.to_string())
}
