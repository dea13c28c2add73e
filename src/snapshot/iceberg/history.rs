//! What the snapshots before the one that is read did to rows that were there.

use std::collections::HashSet;

use iceberg::spec::{Operation, Snapshot, TableMetadata};

use crate::moment::Moment;
use crate::snapshot::table::{Change, History, Removed};

/// The snapshot's ancestors, as far back as the metadata still holds them, and those that were current once
/// and are none of them: what they had was rolled back.
pub fn of(table: &TableMetadata, chosen: &Snapshot) -> History {
    let mut history = History::default();
    let mut ancestors = HashSet::new();
    let mut at = Some(chosen);
    while let Some(snapshot) = at {
        // A chain that leads back into itself ends here.
        if !ancestors.insert(snapshot.snapshot_id()) {
            break;
        }
        history.first_version = u64::try_from(snapshot.snapshot_id()).ok();
        history.known_from = moment(snapshot.timestamp_ms());
        history.changes.extend(change(snapshot));
        let parent = snapshot.parent_snapshot_id();
        at = parent.and_then(|id| table.snapshot_by_id(id)).map(AsRef::as_ref);
    }
    let rolled_back = table.history().iter().filter(|entry| {
        entry.timestamp_ms <= chosen.timestamp_ms() && !ancestors.contains(&entry.snapshot_id)
    });
    history.changes.extend(rolled_back.filter_map(|entry| {
        Some(Change {
            version: u64::try_from(entry.snapshot_id).ok()?,
            at: moment(entry.timestamp_ms),
            operation: "rolled back".into(),
            removed: Vec::new(),
        })
    }));
    history.changes.sort_by_key(|change| (change.at, change.version));
    history
}

/// A moment of the table, which counts milliseconds.
pub fn moment(millis: i64) -> Option<Moment> {
    millis.checked_mul(1000).map(Moment::from_micros)
}

/// What a snapshot took out, by its summary; what only wrote rows anew took nothing out.
fn change(snapshot: &Snapshot) -> Option<Change> {
    let summary = snapshot.summary();
    let operation = match summary.operation {
        Operation::Append | Operation::Replace => return None,
        Operation::Overwrite => "overwrite",
        Operation::Delete => "delete",
    };
    let number =
        |key: &str| -> Option<u64> { summary.additional_properties.get(key)?.parse().ok() };
    let deletes = number("added-position-deletes").unwrap_or(0);
    // How many rows an equality delete is about nobody tells.
    let is_told = number("added-equality-deletes").unwrap_or(0) == 0;
    let rows = number("deleted-records").filter(|_| is_told).map(|rows| rows + deletes);
    let removed = Removed {
        partitions: Vec::new(),
        files: number("deleted-data-files").unwrap_or(0),
        // Where nothing of the kind is told none were.
        rows: rows.or_else(|| is_told.then_some(deletes)),
    };
    Some(Change {
        version: u64::try_from(snapshot.snapshot_id()).ok()?,
        at: moment(snapshot.timestamp_ms()),
        operation: operation.into(),
        removed: vec![removed],
    })
}
