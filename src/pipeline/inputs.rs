//! What a run is made from, as others are told before anything is read.

use serde_json::json;

use super::prepare::{Prepared, Source};
use crate::config::{ColumnSource, MappingPlan, RunPlan};
use crate::publish::sha256;
use crate::registry::RegistryFile;
use crate::store::StoreUrl;

/// One source, or one table of the registry.
#[derive(Clone, Debug)]
pub struct Input {
    pub of: InputOf,
    pub url: StoreUrl,
    /// The table's version; of files a hash of all of them as they are pinned.
    pub version: String,
    /// Names and types of its columns: all of a table's; of plain files those that are mapped, whose types
    /// nobody has told yet. Empty where none is known.
    pub columns: Vec<(String, Option<String>)>,
    pub files: u64,
    pub bytes: u64,
}

/// Which input it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputOf {
    /// By its name.
    Source(String),
    /// By its key in `[registry]`.
    Registry(&'static str),
}

/// Every input, sources first.
pub fn inputs(plan: &RunPlan, prepared: &Prepared<'_>) -> Vec<Input> {
    let sources = prepared.sources.iter().map(of_source);
    let registry = plan.registry.given().into_iter().map(|(role, url)| {
        let files = prepared.registry.files.iter().filter(|file| file.role == role);
        of_registry(role, url, &files.collect::<Vec<_>>())
    });
    sources.chain(registry).collect()
}

fn of_source(source: &Source<'_>) -> Input {
    let files = &source.wanted.files;
    let (version, columns) = match &source.snapshot.table {
        Some(table) => {
            let fields = table.schema.fields.iter();
            let columns = fields.map(|f| (f.name.clone(), Some(f.data_type.to_string())));
            (table.version.to_string(), columns.collect())
        }
        None => (format!("sha256:{}", sha256(json!(files).to_string().as_bytes())), {
            mapped(&source.plan.mapping).into_iter().map(|name| (name, None)).collect()
        }),
    };
    Input {
        of: InputOf::Source(source.plan.name.clone()),
        url: source.plan.url.clone(),
        version,
        columns,
        files: files.len() as u64,
        bytes: files.iter().map(|(_, pin)| pin.size).sum(),
    }
}

/// Columns that are mapped, each once. What is put together of several parts is left out: which of them are
/// columns, the files say.
fn mapped(mapping: &MappingPlan) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in mapping.columns() {
        match &column.source {
            ColumnSource::Path(path)
            | ColumnSource::Entry { path, .. }
            | ColumnSource::Json { path, .. } => {
                if !names.contains(path) {
                    names.push(path.clone());
                }
            }
            ColumnSource::Concat(_) => {}
        }
    }
    names
}

fn of_registry(role: &'static str, url: &StoreUrl, files: &[&RegistryFile]) -> Input {
    let version = match files {
        [RegistryFile { sha256: Some(hash), .. }] => hash.clone(),
        _ => sha256(json!(files).to_string().as_bytes()),
    };
    Input {
        of: InputOf::Registry(role),
        url: url.clone(),
        version: format!("sha256:{version}"),
        columns: Vec::new(),
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
    }
}
