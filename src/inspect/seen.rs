//! What is seen, as it is told.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::Format;
use crate::moment::Moment;
use crate::scan::{MappedColumn, TriedColumn};
use crate::snapshot::{Layout, SnapshotFile, Versions};

/// A column of a source as its configuration maps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MappedSeen {
    /// The configuration's key: time, app, subject, …
    #[serde(rename = "as")]
    pub role: &'static str,
    pub column: String,
    /// The types that its values have, and in how many files.
    pub types: BTreeMap<String, u64>,
    /// Files in which it cannot be read as that, and why of the first of them.
    pub files_refused: u64,
    pub refused: Option<String>,
    /// Of the sample's values: how many can be read as that, are null, and cannot be read.
    pub values_read: u64,
    pub nulls: u64,
    pub values_unread: u64,
    pub first_unread: Option<FirstUnread>,
}

/// The first value of the sample that cannot be read as what it is mapped as.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FirstUnread {
    pub file: String,
    pub value: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub reason: String,
}

/// What was read to try a mapping: of each file the first row group with rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sampled {
    pub files: u64,
    pub rows: u64,
}

/// What is seen, as one JSON object.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    pub url: String,
    pub format: Format,
    /// The version of the table; null of plain files.
    pub version: Option<u64>,
    /// When it was made, where the table says.
    pub version_made_at: Option<Moment>,
    /// What may be doubtful about the version, and about which one it is.
    pub warnings: Vec<String>,
    /// What readers of the table must know, by the format's own names.
    pub features: Vec<String>,
    pub files: u64,
    pub hidden_files_passed_over: u64,
    pub bytes: u64,
    pub row_groups: u64,
    /// Rows that the table has: those in the files less the deleted.
    pub rows: u64,
    pub rows_deleted: u64,
    pub files_with_deletes: u64,
    /// Files whose size is not what the table says: they were replaced. A run refuses them.
    pub files_of_other_size: u64,
    pub columns: Vec<ColumnSeen>,
    /// What the configuration makes of them; empty where none is given.
    pub mapped: Vec<MappedSeen>,
    /// What the values of `mapped` were read from; null where nothing is mapped.
    pub sample: Option<Sampled>,
    pub partitions: Vec<PartitionSeen>,
    /// How a table parts its files, each way that it has had; null of plain files.
    pub layouts: Option<Vec<Layout>>,
    /// The versions that a table still tells of; null of plain files.
    pub versions: Option<Versions>,
    /// Compression of columns.
    pub codecs: BTreeSet<String>,
    /// Programs that wrote the files, and how many each.
    pub writers: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ColumnSeen {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    /// What files call it, where that is another name.
    pub name_in_files: Option<String>,
    pub id_in_files: Option<i32>,
    /// Files that lack it: its values there are null, or those of the file's partition.
    pub files_without: u64,
    /// The least and greatest time or date in the statistics of all row groups, deleted rows among them;
    /// null where one has none.
    pub least: Option<String>,
    pub greatest: Option<String>,
}

/// A column whose values stand in the names of folders, or in the table's log.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionSeen {
    pub name: String,
    pub values: u64,
    pub files_with_null: u64,
    /// As texts compare.
    pub least: Option<String>,
    pub greatest: Option<String>,
}

/// Adds what the mapping makes of one more file.
pub(super) fn add_mapped(all: &mut Vec<MappedSeen>, of_file: Vec<MappedColumn>) {
    for column in of_file {
        let at = all.iter().position(|seen| seen.role == column.role).unwrap_or(all.len());
        if at == all.len() {
            all.push(MappedSeen {
                role: column.role,
                column: column.column,
                types: BTreeMap::new(),
                files_refused: 0,
                refused: None,
                values_read: 0,
                nulls: 0,
                values_unread: 0,
                first_unread: None,
            });
        }
        let Some(seen) = all.get_mut(at) else { continue };
        match column.found {
            Ok(found) => *seen.types.entry(found).or_default() += 1,
            Err(error) => {
                seen.files_refused += 1;
                seen.refused.get_or_insert(error.to_string());
            }
        }
    }
}

/// Adds what became of the values of one more file.
pub(super) fn add_tried(all: &mut [MappedSeen], tried: TriedColumn, file: &str) {
    let Some(seen) = all.iter_mut().find(|seen| seen.role == tried.role) else { return };
    seen.values_read += tried.read;
    seen.nulls += tried.nulls;
    seen.values_unread += tried.unread;
    if let Some(first) = tried.first_unread {
        seen.first_unread.get_or_insert_with(|| FirstUnread {
            file: file.to_string(),
            value: first.value,
            data_type: first.data_type,
            reason: first.reason,
        });
    }
}

pub(super) fn partitions(files: &[SnapshotFile]) -> Vec<PartitionSeen> {
    let mut names: Vec<&str> = Vec::new();
    let mut values: BTreeMap<&str, (BTreeSet<&str>, u64)> = BTreeMap::new();
    for partition in files.iter().flat_map(|file| &file.partitions) {
        if !names.contains(&partition.name.as_str()) {
            names.push(&partition.name);
        }
        let (known, nulls) = values.entry(&partition.name).or_default();
        match &partition.value {
            Some(value) => drop(known.insert(value)),
            None => *nulls += 1,
        }
    }
    let seen = names.iter().filter_map(|name| {
        let (known, nulls) = values.get(name)?;
        Some(PartitionSeen {
            name: (*name).to_string(),
            values: known.len() as u64,
            files_with_null: *nulls,
            least: known.first().map(ToString::to_string),
            greatest: known.last().map(ToString::to_string),
        })
    });
    seen.collect()
}
