//! A published run, counted again from its inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Observer;
use super::follow::Followed;
use super::prepare::{Prepared, prepare};
use crate::config::{RunPlan, is_run_id};
use crate::error::Error;
use crate::impact::{CHANGE_LOG, Table};
use crate::publish::{Manifest, Publisher, Standing, sha256};
use crate::scan::Progress;
use crate::store::Io;
use crate::verify::{Place, VerifyError};

/// Runs `plan`, whose output and state are empty folders, and compares what comes out with the run of
/// `manifest`. Gives what differs, the first thing first.
///
/// # Errors
/// As [`super::run`].
pub fn recompute(
    plan: &RunPlan,
    io: &Io,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
    place: &Place,
    manifest: &Manifest,
) -> Result<Vec<String>, Error> {
    let plan = &pinned(plan, manifest);
    let mut prepared = prepare(plan, io, false)?;
    chosen_then(&mut prepared, manifest);
    let (mut followed, mut changes) = (None, None);
    if let Some(follows) = manifest.details.pointer("/report/follows").filter(|f| !f.is_null()) {
        let run_id = text(follows, "run_id");
        let Some(publisher) = place.publisher().filter(|_| is_run_id(run_id)) else {
            return Ok(vec![format!(
                "recomputation: the run follows {run_id}, which does not lie beside it: changes cannot be looked at"
            )]);
        };
        let name = format!("{CHANGE_LOG}.parquet");
        let table = publisher.table(&manifest.run_id, &name)?.unwrap_or_default();
        changes = Some(Table::read_back(CHANGE_LOG, table)?);
        let earlier = match Followed::open(publisher, run_id) {
            Err(Error::Argument { reason, .. }) => {
                return Ok(vec![format!(
                    "recomputation: of {run_id}, which the run follows: {reason}"
                )]);
            }
            earlier => earlier?,
        };
        if earlier.manifest_sha256 != text(follows, "manifest_sha256") {
            return Ok(vec![format!(
                "recomputation: the manifest of {run_id}, which the run follows, is another than then"
            )]);
        }
        prepared.follow(plan.as_of, &earlier.manifest_sha256);
        followed = Some(earlier);
    }
    if prepared.run_id != manifest.run_id {
        let causes = causes(plan, &prepared, manifest);
        return Ok(causes.into_iter().map(|cause| format!("recomputation: {cause}")).collect());
    }
    let prepared = (prepared, followed);
    let summary = match super::run_prepared(plan, prepared, changes, io, progress, observer) {
        // Of the report that is followed, or of what the run says that has changed since.
        Err(Error::Argument { argument, reason }) => {
            return Ok(vec![format!("recomputation: {argument}: {reason}")]);
        }
        Err(Error::Verify(VerifyError::Differs(reason))) => return Ok(vec![reason]),
        summary => summary?,
    };
    let publisher = Publisher::look(plan.output.open(io)?);
    let Standing::Whole(again, _) = publisher.find(&summary.run_id)? else {
        return Ok(vec!["recomputation: its own files changed while they were looked at".into()]);
    };
    Ok(compare(manifest, &again))
}

/// The plan for the versions of tables that the run read: they may have later ones by now.
fn pinned(plan: &RunPlan, manifest: &Manifest) -> RunPlan {
    let mut plan = plan.clone();
    let sources = array(&manifest.details, "sources");
    for (source, then) in plan.sources.iter_mut().zip(sources) {
        if let Some(version) = then.pointer("/table/version").and_then(Value::as_u64) {
            let schema = then.pointer("/table/schema_id").and_then(Value::as_i64);
            let schema = schema.and_then(|id| i32::try_from(id).ok());
            source.kept = source.kept.at_version(version, schema);
        }
    }
    plan
}

/// What was doubtful about the choice of a version: it is named now, and not chosen.
fn chosen_then(prepared: &mut Prepared<'_>, manifest: &Manifest) {
    let then = array(&manifest.details, "sources");
    for (source, then) in prepared.sources.iter_mut().zip(then) {
        let told = then.pointer("/table/choice").and_then(Value::as_array);
        if let (Some(told), Some(table)) = (told, &mut source.snapshot.table) {
            let texts = told.iter().filter_map(Value::as_str).map(str::to_string);
            Arc::make_mut(table).choice = texts.collect();
        }
    }
}

/// What of a manifest decides nothing: places, limits and packs.
fn compared(manifest: &Manifest) -> Value {
    let mut details = manifest.details.clone();
    if let Some(keys) = details.get_mut("configuration").and_then(Value::as_object_mut) {
        for key in ["run", "output", "state"] {
            keys.shift_remove(key);
        }
    }
    for source in details.get_mut("sources").and_then(Value::as_array_mut).into_iter().flatten() {
        source.as_object_mut().map(|source| source.shift_remove("packs"));
        // A table may have been given a newer checkpoint of the same version.
        let files = source.get_mut("table_files").and_then(Value::as_object_mut);
        files.map(|files| files.shift_remove("metadata"));
        // What of a row told that it does not matter depends on how much was read, for which run.
        if let Some(outside) = source.pointer_mut("/rows/outside") {
            *outside = sum(outside).into();
        }
    }
    details
}

/// Of all numbers in a value.
fn sum(of: &Value) -> u64 {
    match of {
        Value::Object(parts) => parts.values().map(sum).sum(),
        of => of.as_u64().unwrap_or_default(),
    }
}

fn compare(manifest: &Manifest, again: &Manifest) -> Vec<String> {
    let mut differences = Vec::new();
    let files = |m: &Manifest| -> BTreeMap<String, String> {
        m.outputs.iter().map(|o| (o.path.clone(), o.sha256.clone())).collect()
    };
    let (then, now) = (files(manifest), files(again));
    for output in &manifest.outputs {
        match now.get(&output.path) {
            None => differences.push(format!("recomputation: it makes no {}", output.path)),
            Some(hash) if *hash != output.sha256 => differences.push(format!(
                "recomputation: {} comes out with SHA-256 {hash}, not {}",
                output.path, output.sha256
            )),
            Some(_) => {}
        }
    }
    for path in now.keys().filter(|path| !then.contains_key(*path)) {
        differences.push(format!("recomputation: it makes {path}, which the run does not have"));
    }
    if let Some(at) = first_difference(&compared(manifest), &compared(again), String::new()) {
        differences.push(format!("recomputation: the manifest comes out with another {at}"));
    }
    differences
}

/// Why a plan is not that of the run.
fn causes(plan: &RunPlan, prepared: &Prepared<'_>, manifest: &Manifest) -> Vec<String> {
    let details = &manifest.details;
    let mut causes = Vec::new();
    let version = details.pointer("/program/version").and_then(Value::as_str).unwrap_or_default();
    if version != env!("CARGO_PKG_VERSION") {
        causes.push(format!(
            "the run was made by version {version} and this is {}; use that version",
            env!("CARGO_PKG_VERSION")
        ));
    }
    let trimmed = |configuration: &Value| {
        let mut configuration = configuration.clone();
        if let Some(keys) = configuration.as_object_mut() {
            for key in ["run", "output", "state"] {
                keys.shift_remove(key);
            }
        }
        configuration
    };
    let then = trimmed(details.get("configuration").unwrap_or(&Value::Null));
    if let Some(at) = first_difference(&then, &trimmed(&plan.written), String::new()) {
        let value = |of: &Value| {
            let path = format!("/{}", at.replace('.', "/"));
            of.pointer(&path).map_or_else(|| "nothing".into(), Value::to_string)
        };
        causes.push(format!(
            "the configuration says {at} = {}, and the run's said {}",
            value(&trimmed(&plan.written)),
            value(&then)
        ));
    }
    causes.extend(of_inputs(prepared, details));
    for (source, then) in prepared.sources.iter().zip(array(details, "sources")) {
        let now = source.snapshot.table.as_ref().map(|table| json!(table.record().history));
        if now.is_some_and(|now| Some(&now) != then.pointer("/table/history")) {
            causes.push(format!(
                "source `{}`: the table's log tells another history of it than it told the run; old commits may have been removed",
                source.plan.name
            ));
        }
    }
    causes.extend(of_registry(prepared, details));
    let queries: Vec<Value> = prepared
        .queries
        .iter()
        .filter(|query| query.spec.is_none())
        .map(|query| json!({ "table": query.table, "sha256": sha256(query.sql.as_bytes()) }))
        .collect();
    if details.get("queries").is_some_and(|then| *then != Value::from(queries)) {
        causes.push("the texts of own queries (report.queries) are not those of the run".into());
    }
    let key = details.pointer("/ids/key_id").and_then(Value::as_str).unwrap_or_default();
    if key != plan.keyer.key_id() {
        causes.push("the id key is not that of the run; give it with --id-key".into());
    }
    if causes.is_empty() {
        causes.extend(of_readings(prepared, details));
    }
    if causes.is_empty() {
        let told = prepared.sources.iter().any(|source| source.snapshot.table.is_some());
        let or = if told { ", or a table tells other rows or times of its files" } else { "" };
        causes.push(format!(
            "the configuration is not that of the run: a variable of the environment that it names holds another value{or}"
        ));
    }
    causes
}

/// Sources whose rows are read in another way than then.
fn of_readings(prepared: &Prepared<'_>, details: &Value) -> Vec<String> {
    let sources = prepared.sources.iter().zip(array(details, "sources"));
    let other = sources.filter(|(source, then)| {
        then.get("lineage").is_some_and(|then| *then != json!(source.wanted.lineage))
    });
    let said = other.map(|(source, _)| {
        let table = source.snapshot.table.as_ref();
        let columns = table.map_or("", |_| "the table has other columns, ");
        format!(
            "source `{}`: its rows are read in another way than then: {columns}a variable of the environment that its mapping names holds another value, or another build of the program made the run",
            source.plan.name
        )
    });
    said.collect()
}

fn of_inputs(prepared: &Prepared<'_>, details: &Value) -> Option<String> {
    let line =
        |source: &str, url: &str, file: &Value| (format!("source `{source}`: {url}"), file.clone());
    let mut then = BTreeMap::new();
    for source in array(details, "sources") {
        for file in array(source, "files") {
            let pin = ["bytes", "e_tag", "version", "deletes", "values"].map(|key| file.get(key));
            let pin = json!(pin);
            let (name, pin) = line(text(source, "name"), text(file, "url"), &pin);
            then.insert(name, pin);
        }
    }
    let mut now = BTreeMap::new();
    for source in &prepared.sources {
        for (url, pin) in &source.wanted.files {
            let pin = json!([pin.size, pin.e_tag, pin.version, pin.deletes, pin.values]);
            let (name, pin) = line(&source.plan.name, url, &pin);
            now.insert(name, pin);
        }
    }
    let changed = then.iter().filter_map(|(name, pin)| match now.get(name) {
        None => Some(format!("{name} is missing")),
        Some(found) if found != pin => Some(format!("{name} was changed")),
        Some(_) => None,
    });
    let new = now.keys().filter(|name| !then.contains_key(*name));
    let all: Vec<String> = changed.chain(new.map(|name| format!("{name} is new"))).collect();
    let first = all.first()?;
    Some(match all.len() {
        1 => format!("{first} since the run"),
        n => format!("{first} since the run; {n} input files differ"),
    })
}

fn of_registry(prepared: &Prepared<'_>, details: &Value) -> Option<String> {
    let now = serde_json::to_value(&prepared.registry.files).unwrap_or_default();
    let then = details.get("registry")?;
    let (now, then) = (now.as_array()?, then.as_array()?);
    let role =
        |files: &[Value], role: &str| files.iter().find(|f| text(f, "role") == role).cloned();
    let roles = then.iter().chain(now).map(|file| text(file, "role"));
    let changed = roles.into_iter().find(|name| role(now, name) != role(then, name))?;
    Some(format!("the file of registry.{changed} is another than that of the run"))
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The key, with those around it, at which two values first differ.
fn first_difference(a: &Value, b: &Value, at: String) -> Option<String> {
    let below = |key: &str| if at.is_empty() { key.to_string() } else { format!("{at}.{key}") };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter().find_map(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => first_difference(a, b, below(key)),
                _ => Some(below(key)),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| first_difference(a, b, below(&i.to_string()))),
        _ => (a != b).then_some(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_that_differs_is_named() {
        let a = json!({"source": [{"url": "logs/", "name": "x"}], "report": {"lookback_days": 60}});
        let mut b = a.clone();
        assert_eq!(first_difference(&a, &b, String::new()), None);
        b["report"]["lookback_days"] = 61.into();
        assert_eq!(first_difference(&a, &b, String::new()).unwrap(), "report.lookback_days");
        b["source"][0]["status"] = 1.into();
        assert_eq!(first_difference(&a, &b, String::new()).unwrap(), "source.0.status");
    }
}
