//! What differs between two published runs: rows and values by key, and what the runs were made from.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray};
use serde::Serialize;

use super::{Place, VerifyError};
use crate::changes::{Change, Difference, about_changes, compare, differences, only_one};
use crate::impact::{self, CHANGE_LOG, Table};
use crate::publish::Manifest;

/// The answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunDiff {
    pub old_run: String,
    pub new_run: String,
    /// What changes can come from.
    pub sources: Vec<Difference>,
    /// Changes by table; tables without any are not named.
    pub changed: BTreeMap<String, u64>,
    #[serde(skip)]
    pub changes: Vec<Change>,
    /// Where the new run follows the old one: what it says that a change comes from, by table, key and
    /// column.
    #[serde(skip)]
    pub reasons: BTreeMap<(String, Option<String>, String), String>,
}

impl RunDiff {
    /// What a change comes from, if the new run says it.
    pub fn reason(&self, change: &Change) -> Option<&str> {
        let place = (change.table.clone(), change.key.clone(), change.column.clone());
        self.reasons.get(&place).map(String::as_str)
    }
}

/// Compares two runs.
///
/// # Errors
/// Storage failures; [`VerifyError::Differs`] where a run is not what its manifest says.
pub fn diff(old: &Place, new: &Place, only: Option<&str>) -> Result<RunDiff, VerifyError> {
    let (before, after) = (old.manifest()?, new.manifest()?);
    let mut found = RunDiff {
        old_run: before.run_id.clone(),
        new_run: after.run_id.clone(),
        sources: differences(&before.details, &after.details),
        ..Default::default()
    };
    let keys = impact::keys()?;
    let (old_tables, new_tables) = (before.tables(), after.tables());
    if let Some(only) =
        only.filter(|only| !new_tables.contains(*only) && !old_tables.contains(*only))
    {
        let names: Vec<&str> = new_tables.iter().map(String::as_str).collect();
        return Err(VerifyError::User {
            what: format!("--table {only}"),
            reason: format!("neither run has such a table; there are {}", names.join(", ")),
        });
    }
    let names: BTreeSet<&String> = old_tables.union(&new_tables).collect();
    let follows = after.details.pointer("/report/follows/run_id").and_then(|id| id.as_str());
    if follows == Some(before.run_id.as_str()) && new_tables.contains(CHANGE_LOG) {
        found.reasons = reasons(&table(new, &after, CHANGE_LOG)?);
    }
    // What is about another report is no figure of both.
    for name in names.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        if name == CHANGE_LOG && only.is_none() {
            continue;
        }
        let changes = match (old_tables.contains(name), new_tables.contains(name)) {
            (true, true) => {
                let (a, b) = (table(old, &before, name)?, table(new, &after, name)?);
                compare(&a, &b, keys.get(name).map(Vec::as_slice)).map_err(|e| {
                    VerifyError::User {
                        what: name.clone(),
                        reason: format!("cannot be compared: {e}"),
                    }
                })?
            }
            (old, _) => vec![only_one(name, None, "table", old)],
        };
        let changes: Vec<Change> =
            changes.into_iter().filter(|change| !about_changes(change)).collect();
        if !changes.is_empty() {
            found.changed.insert(name.clone(), changes.len() as u64);
        }
        found.changes.extend(changes);
    }
    Ok(found)
}

/// What a table of changes says that each comes from; several causes in their order.
fn reasons(log: &Table) -> BTreeMap<(String, Option<String>, String), String> {
    let column = |name: &str| log.batch.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
    let mut found: BTreeMap<_, String> = BTreeMap::new();
    let columns = ["table", "key", "column", "reason"].map(column);
    let [Some(table), Some(key), Some(name), Some(reason)] = columns else { return found };
    for row in 0..log.batch.num_rows() {
        let key = key.is_valid(row).then(|| key.value(row).to_string());
        let place = (table.value(row).to_string(), key, name.value(row).to_string());
        let reason = reason.value(row);
        found
            .entry(place)
            .and_modify(|all| *all = format!("{all}, {reason}"))
            .or_insert_with(|| reason.to_string());
    }
    found
}

/// A table, if its hash holds.
fn table(place: &Place, manifest: &Manifest, name: &str) -> Result<Table, VerifyError> {
    let bytes = place.output(manifest, &format!("tables/{name}.parquet"))?;
    Ok(Table::read_back(name, bytes)?)
}
