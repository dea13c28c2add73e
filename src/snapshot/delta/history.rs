//! What the commits of a table's log tell: when they were made, and what they did to rows that were there
//! before.
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
use super::log::Log;
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
    meta_data: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    schema_string: Option<String>,
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

/// Commits of a log, by their versions.
pub struct Commits(BTreeMap<u64, Commit>);

/// What one tells.
struct Commit {
    /// The address of its file.
    shown: String,
    /// Its time is not that of its file: a copy of the table is the same table.
    told: VersionTold,
    /// What it changed, if anything.
    change: Option<Change>,
    /// The columns that the table has from it on, as JSON, where it says.
    schema: Option<String>,
    /// Whether it holds no action.
    is_empty: bool,
}

impl Commits {
    /// Reads those that `log` holds up to `version`, as far back as there is no gap, and later ones up to `until`.
    ///
    /// # Errors
    /// Storage failures, and commits that are no JSON.
    pub fn read(
        store: &Store,
        log: &Log,
        (version, until): (u64, u64),
        partitions: &[PartitionColumn],
    ) -> Result<Self, StoreError> {
        let commits = log.commits(version, until);
        let next = AtomicUsize::new(0);
        let read = Mutex::new(BTreeMap::new());
        in_threads(READING.min(commits.len()), |_| -> Result<(), StoreError> {
            while let Some((number, object)) = commits.get(next.fetch_add(1, Ordering::Relaxed)) {
                let found = told(store, *number, object, partitions)?;
                read.lock().unwrap_or_else(PoisonError::into_inner).insert(*number, found);
            }
            Ok(())
        })?;
        Ok(Self(read.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What is known of the versions up to one.
    pub fn history(&self, version: u64) -> History {
        let first = self.0.first_key_value().filter(|(number, _)| **number <= version);
        let changes = self.0.range(..=version).filter_map(|(_, commit)| commit.change.clone());
        History {
            first_version: first.map(|(number, _)| *number),
            known_from: first.and_then(|(_, commit)| commit.told.at),
            changes: changes.collect(),
        }
    }

    /// What each version up to one says of itself; the log has `later` after it.
    pub fn versions(&self, version: u64, later: u64) -> Versions {
        let told: Vec<_> =
            self.0.range(..=version).map(|(_, commit)| commit.told.clone()).collect();
        Versions::of(told.into_iter(), later)
    }

    /// The schemas that commits tell, in the order of versions.
    pub fn schemas(&self) -> impl Iterator<Item = &str> {
        self.0.values().filter_map(|commit| commit.schema.as_deref())
    }

    /// When a version was made, where its commit tells.
    pub fn made_at(&self, version: u64) -> Option<Moment> {
        self.0.get(&version)?.told.at
    }

    /// What is doubtful about a version and those before it, a sentence each.
    ///
    /// No writer makes a commit without any action: each tells at least who made it. It is no error either: the
    /// protocol does not forbid it, and the kernel takes it for a version that changes nothing, as Spark does.
    pub fn doubts(&self, version: u64) -> Vec<String> {
        const SHOWN: usize = 3;
        let empty = self.0.range(..=version).filter(|(_, commit)| commit.is_empty);
        let empty: Vec<&str> = empty.map(|(_, commit)| commit.shown.as_str()).collect();
        let mut names: Vec<String> = empty.iter().take(SHOWN).map(ToString::to_string).collect();
        if empty.len() > SHOWN {
            names.push(format!("{} more", empty.len() - SHOWN));
        }
        let doubt = format!(
            "commits of the table's log hold no action ({}): they count as versions that changed nothing, and one that was torn while it was written looks the same; ask what wrote the table what they were to hold",
            names.join(", ")
        );
        if empty.is_empty() { Vec::new() } else { vec![doubt] }
    }

    /// What the times that commits tell say was the last version by `moment`, where that cannot be `version`.
    pub fn instead_of(&self, version: u64, moment: Moment) -> Option<String> {
        let (mut at_least, mut at_most) = (None, None);
        let mut before: Option<Moment> = None;
        for (number, commit) in &self.0 {
            // Versions follow each other, whatever clocks say.
            let at = commit.told.at.map(|at| before.map_or(at, |before| at.max(before)));
            if at.is_some_and(|at| at > moment) {
                break;
            }
            at_most = Some(*number);
            if at.is_some() {
                (at_least, before) = (at_most, at);
            }
        }
        if (at_least..=at_most).contains(&Some(version)) {
            return None;
        }
        Some(match (at_least, at_most) {
            (_, None) => "none of those that it tells of".into(),
            (Some(first), Some(last)) if first < last => {
                format!("one of versions {first} to {last}")
            }
            (_, Some(last)) => format!("version {last}"),
        })
    }
}

/// Reads a commit.
fn told(
    store: &Store,
    version: u64,
    object: &Listed,
    partitions: &[PartitionColumn],
) -> Result<Commit, StoreError> {
    let failed = |reason: String| {
        StoreError::new(StoreErrorKind::Changed, store.shown(&object.path), reason)
    };
    let (bytes, _) = store.read(&object.path)?.ok_or_else(|| {
        failed("is gone since it was listed\nrun again to read what is there now".into())
    })?;
    let (mut at, mut operation, mut is_empty) = (None, String::new(), true);
    let mut schema = None;
    let [mut files_added, mut files_removed] = [0, 0];
    let mut removed: BTreeMap<Vec<Partition>, Removed> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let action: Action = serde_json::from_slice(line)
            .map_err(|e| failed(format!("a line of the table's log is no action: {e}")))?;
        is_empty &= line.trim_ascii() == b"{}";
        if let Some(info) = action.commit_info {
            let millis = info.in_commit_timestamp.or(info.timestamp);
            at = millis.map(|millis| Moment::from_micros(millis.saturating_mul(1000)));
            operation = info.operation.unwrap_or_default();
        }
        schema = action.meta_data.and_then(|metadata| metadata.schema_string).or(schema);
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
    let told = VersionTold { version, at, operation, files_added, files_removed };
    Ok(Commit { shown: store.shown(&object.path), told, change, schema, is_empty })
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
