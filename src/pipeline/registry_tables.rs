//! Files of the registry as tables, as a published run read them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::Value;

use crate::config::RunPlan;
use crate::error::Error;
use crate::impact::escaped;
use crate::moment::Moment;
use crate::publish::Manifest;
use crate::query::{REGISTRY, made_columns};
use crate::registry::{self, Registry};
use crate::store::Io;

/// Rows of `registry.apps` and the like, times floored to the microsecond.
///
/// # Errors
/// Files that cannot be read, that the configuration does not have, or that are not what the run read.
pub fn registry_table(
    plan: &RunPlan,
    io: &Io,
    manifest: &Manifest,
    name: &str,
) -> Result<RecordBatch, Error> {
    let failed =
        |reason: String| Error::argument(format!("{name} of run {}", manifest.run_id), reason);
    let role = name.strip_prefix(REGISTRY).map(|role| role.trim_start_matches('.'));
    let role = role.unwrap_or_default();
    let registry = registry::load(&plan.registry, plan.as_of, io, plan.memory_limit)?;
    let now = registry.files.iter().filter(|file| file.role == role);
    let now: Vec<Option<&str>> = now.map(|file| file.sha256.as_deref()).collect();
    if now.is_empty() {
        return Err(failed(format!("the configuration has no {name}")));
    }
    let files = manifest.details.get("registry").and_then(Value::as_array).into_iter().flatten();
    let of_role = files.filter(|file| file.get("role").and_then(Value::as_str) == Some(role));
    let then = of_role.map(|file| file.get("sha256").and_then(Value::as_str));
    if !now.iter().copied().eq(then) {
        return Err(failed(
            "the file is not the one that the run read (its SHA-256 is another)\nname the configuration as the run had it with --config, or run it again and ask that run".into(),
        ));
    }
    let columns = rows(&registry, role);
    RecordBatch::try_from_iter(made_columns(name).zip(columns)).map_err(|e| failed(e.to_string()))
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// Ids as tables have them.
fn ids<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values.map(|id| id.map(escaped))))
}

fn lists<'a>(values: impl Iterator<Item = Option<&'a [String]>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values.map(|list| list.map(|list| list.join(";")))))
}

fn times(values: impl Iterator<Item = Option<Moment>>) -> ArrayRef {
    let micros = values.map(|at| at.map(|at| at.micros));
    Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone("UTC"))
}

/// Columns in the order of the table's.
fn rows(of: &Registry, role: &str) -> Vec<ArrayRef> {
    match role {
        "scopes" => vec![
            texts(of.scopes.keys().map(|scope| Some(scope.as_str()))),
            times(of.scopes.values().map(|scope| Some(scope.restricted_at))),
            lists(of.scopes.values().map(|scope| Some(scope.data_fields.as_slice()))),
            lists(of.scopes.values().map(|scope| scope.special_fields.as_deref())),
        ],
        "apps" => vec![
            ids(of.apps.keys().map(|app| Some(app.as_str()))),
            texts(of.apps.values().map(|app| app.name.as_deref())),
            ids(of.apps.values().map(|app| app.developer_id.as_deref())),
            texts(of.apps.values().map(|app| app.developer_name.as_deref())),
        ],
        "extensions" => vec![
            ids(of.grace.keys().map(|(app, _)| Some(app.as_str()))),
            texts(of.grace.keys().map(|(_, scope)| Some(scope.as_str()))),
            times(of.grace.values().map(|until| Some(*until))),
        ],
        "grants" => {
            let all = || {
                let pairs = of.grants.iter().flatten();
                pairs.flat_map(|(pair, grants)| grants.iter().map(move |grant| (pair, grant)))
            };
            vec![
                ids(all().map(|((app, _), _)| Some(app.as_str()))),
                texts(all().map(|((_, scope), _)| Some(scope.as_str()))),
                times(all().map(|(_, grant)| grant.granted_at)),
                times(all().map(|(_, grant)| grant.revoked_at)),
            ]
        }
        "brownouts" => {
            let all = || of.brownouts.iter().flatten();
            vec![
                texts(all().map(|brownout| Some(brownout.scope.as_str()))),
                ids(all().map(|brownout| brownout.app.as_deref())),
                times(all().map(|brownout| Some(brownout.from))),
                times(all().map(|brownout| Some(brownout.to))),
            ]
        }
        "attestations" => {
            let all = || of.attestations.iter().flatten();
            vec![
                ids(all().map(|promise| Some(promise.app.as_str()))),
                texts(all().map(|promise| promise.scope.as_deref())),
                times(all().map(|promise| promise.asked_at)),
                times(all().map(|promise| promise.attested_at)),
                texts(all().map(|promise| promise.statement.as_deref())),
            ]
        }
        _ => Vec::new(),
    }
}
