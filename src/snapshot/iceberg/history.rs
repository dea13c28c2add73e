//! What the snapshots before the one that is read did to rows that were there; and what the metadata says of
//! snapshots and partitions.

use std::collections::HashSet;

use iceberg::spec::{Operation, Snapshot, TableMetadata};

use crate::moment::Moment;
use crate::snapshot::table::{
    Change, History, Layout, LayoutField, Removed, VersionTold, Versions,
};

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
    if matches!(summary.operation, Operation::Append | Operation::Replace) {
        return None;
    }
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
        operation: summary.operation.as_str().into(),
        removed: vec![removed],
    })
}

/// All snapshots that the metadata holds, by the time when they were made, of whatever branch.
pub fn versions(table: &TableMetadata, chosen: &Snapshot) -> Versions {
    let mut all: Vec<&Snapshot> = table.snapshots().map(AsRef::as_ref).collect();
    let place = |of: &Snapshot| (of.timestamp_ms(), of.sequence_number(), of.snapshot_id());
    all.sort_by_key(|snapshot| place(snapshot));
    let later = all.partition_point(|snapshot| place(snapshot) <= place(chosen));
    let later = all.split_off(later).len() as u64;
    let told: Vec<VersionTold> = all.into_iter().filter_map(told).collect();
    Versions::of(told.into_iter(), later)
}

fn told(snapshot: &Snapshot) -> Option<VersionTold> {
    let summary = snapshot.summary();
    let figures = &summary.additional_properties;
    // Writers leave out what is 0; some write none at all.
    let is_told = figures.keys().any(|key| key.starts_with("total-") || key.starts_with("added-"));
    let sum = |keys: [&str; 2]| -> Option<u64> {
        let figure = |key| figures.get(key).map_or(Some(0), |text| text.parse::<u64>().ok());
        keys.map(figure).into_iter().sum::<Option<u64>>().filter(|_| is_told)
    };
    Some(VersionTold {
        version: u64::try_from(snapshot.snapshot_id()).ok()?,
        at: moment(snapshot.timestamp_ms()),
        operation: summary.operation.as_str().into(),
        files_added: sum(["added-data-files", "added-delete-files"]),
        files_removed: sum(["deleted-data-files", "removed-delete-files"]),
    })
}

/// All partition specs of the table, in the order of their numbers.
pub fn layouts(table: &TableMetadata) -> Vec<Layout> {
    let current = table.current_schema();
    let column = |id: i32| -> Option<String> {
        let old = || table.schemas_iter().find_map(|schema| schema.name_by_field_id(id));
        current.name_by_field_id(id).or_else(old).map(str::to_string)
    };
    let mut layouts: Vec<Layout> = table
        .partition_specs_iter()
        .map(|spec| Layout {
            id: spec.spec_id(),
            is_current: spec.spec_id() == table.default_partition_spec_id(),
            fields: spec
                .fields()
                .iter()
                .map(|field| LayoutField {
                    name: field.name.clone(),
                    column: column(field.source_id),
                    transform: field.transform.to_string(),
                })
                .collect(),
        })
        .collect();
    layouts.sort_by_key(|layout| layout.id);
    layouts
}
