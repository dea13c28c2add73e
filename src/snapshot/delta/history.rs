//! What the commits of a table's log did to rows that were there before.
//!
//! The log is read as JSON here, and not by the kernel: it replays the log to one version's files and keeps
//! nothing of how they came about.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::PartitionColumn;
use crate::moment::Moment;
use crate::snapshot::table::{Change, History, Partition, Removed, VersionTold, Versions};
use crate::store::{Listed, Store, StoreError, StoreErrorKind};
use crate::threads::in_threads;

/// Commits read at once: nearly all of the time is waiting for storage.
const READING: usize = 8;

/// A line of a commit: one action.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    commit_info: Option<CommitInfo>,
    /// What it says of the file is the kernel's to read.
    add: Option<IgnoredAny>,
    remove: Option<RemoveFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitInfo {
    operation: Option<String>,
    timestamp: Option<i64>,
    in_commit_timestamp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoveFile {
    #[serde(default)]
    data_change: bool,
    partition_values: Option<HashMap<String, Option<String>>>,
    /// JSON in JSON.
    stats: Option<String>,
    deletion_vector: Option<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    cardinality: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    pub num_records: Option<u64>,
}

/// The commits up to `version`, as far back as the log holds them without a gap.
///
/// # Errors
/// Storage failures, and commits that are no JSON.
pub fn read(
    store: &Store,
    version: u64,
    partitions: &[PartitionColumn],
) -> Result<(History, Versions), StoreError> {
    let listed = store.list("_delta_log")?;
    let mut commits: BTreeMap<u64, Listed> =
        listed.into_iter().filter_map(|object| Some((commit(&object.path)?, object))).collect();
    let later = commits.split_off(&version.saturating_add(1)).len() as u64;
    let mut first = version.saturating_add(1);
    while first > 0 && commits.contains_key(&(first - 1)) {
        first -= 1;
    }
    let commits: Vec<(u64, Listed)> = commits.split_off(&first).into_iter().collect();
    let next = AtomicUsize::new(0);
    let read = Mutex::new(BTreeMap::new());
    in_threads(READING.min(commits.len()), |_| -> Result<(), StoreError> {
        while let Some((number, object)) = commits.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = changed(store, *number, object, partitions)?;
            read.lock().unwrap_or_else(PoisonError::into_inner).insert(*number, found);
        }
        Ok(())
    })?;
    let read = read.into_inner().unwrap_or_else(PoisonError::into_inner);
    let known_from = read.first_key_value().and_then(|(_, (told, _))| told.at);
    let first_version = read.first_key_value().map(|(number, _)| *number);
    let versions = Versions::of(read.values().map(|(told, _)| told.clone()), later);
    let changes = read.into_values().filter_map(|(_, change)| change).collect();
    Ok((History { first_version, known_from, changes }, versions))
}

/// The version of a commit, by its name.
fn commit(path: &str) -> Option<u64> {
    let digits = path.strip_prefix("_delta_log/")?.strip_suffix(".json")?;
    let is_version = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    is_version.then(|| digits.parse().ok()).flatten()
}

/// What a commit says of itself, and what it changed of rows that were there, if anything.
fn changed(
    store: &Store,
    version: u64,
    object: &Listed,
    partitions: &[PartitionColumn],
) -> Result<(VersionTold, Option<Change>), StoreError> {
    let failed = |reason: String| {
        StoreError::new(StoreErrorKind::Changed, store.shown(&object.path), reason)
    };
    let (bytes, _) = store.read(&object.path)?.ok_or_else(|| {
        failed("is gone since it was listed\nrun again to read what is there now".into())
    })?;
    // Not when its file was written: a copy of the table is the same table.
    let mut at = None;
    let mut operation = String::new();
    let [mut files_added, mut files_removed] = [0, 0];
    let mut removed: BTreeMap<Vec<Partition>, Removed> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let action: Action = serde_json::from_slice(line)
            .map_err(|e| failed(format!("a line of the table's log is no action: {e}")))?;
        if let Some(info) = action.commit_info {
            let millis = info.in_commit_timestamp.or(info.timestamp);
            at = millis.map(|millis| Moment::from_micros(millis.saturating_mul(1000)));
            operation = info.operation.unwrap_or_default();
        }
        files_added += u64::from(action.add.is_some());
        files_removed += u64::from(action.remove.is_some());
        let Some(remove) = action.remove.filter(|remove| remove.data_change) else { continue };
        let of = remove.partitions(partitions);
        let rows = remove.rows();
        let sum = removed.entry(of.clone()).or_insert_with(|| Removed {
            partitions: of,
            files: 0,
            rows: Some(0),
        });
        sum.files += 1;
        sum.rows = sum.rows.zip(rows).map(|(sum, rows)| sum + rows);
    }
    let is_told = operation.starts_with("RESTORE") || operation.starts_with("VACUUM");
    let removed: Vec<Removed> = removed.into_values().collect();
    let change = (is_told || !removed.is_empty()).then(|| Change {
        version,
        at,
        operation: operation.clone(),
        removed,
    });
    let (files_added, files_removed) = (Some(files_added), Some(files_removed));
    Ok((VersionTold { version, at, operation, files_added, files_removed }, change))
}

impl RemoveFile {
    fn partitions(&self, columns: &[PartitionColumn]) -> Vec<Partition> {
        let Some(values) = &self.partition_values else { return Vec::new() };
        columns.iter().map(|column| column.partition(|name| values.get(name)?.clone())).collect()
    }

    /// The rows that it had, where the log says.
    fn rows(&self) -> Option<u64> {
        let stats: Stats = serde_json::from_str(self.stats.as_deref()?).ok()?;
        let gone = self.deletion_vector.as_ref().map_or(0, |vector| vector.cardinality);
        stats.num_records?.checked_sub(gone)
    }
}
