//! What differs between two published runs: rows and values by key, and what the runs were made from.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::check::read;
use super::{Place, VerifyError};
use crate::changes::{Change, Difference, compare, differences, only_one};
use crate::impact::{self, Table};
use crate::publish::{MANIFEST, Manifest, sha256};

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
}

/// Compares two runs.
///
/// # Errors
/// Storage failures; [`VerifyError::Differs`] where a run is not what its manifest says.
pub fn diff(old: &Place, new: &Place, only: Option<&str>) -> Result<RunDiff, VerifyError> {
    let (before, after) = (manifest(old)?, manifest(new)?);
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
    for name in names.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
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
        if !changes.is_empty() {
            found.changed.insert(name.clone(), changes.len() as u64);
        }
        found.changes.extend(changes);
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
