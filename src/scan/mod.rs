//! Files to mapped rows.
//!
//! A file goes through three steps: *open* (footer, pruning), *select* (only the columns that tell
//! the scopes, one row group at a time) and *read* (the other mapped columns, only where a row
//! matched). Between the steps the bytes are fetched by threads that do nothing else; see
//! `engine.rs`.

pub mod batch;
mod bind;
pub mod columns;
mod decode;
mod deleted;
pub mod endpoint;
mod engine;
mod events;
mod fetch;
mod file;
mod footer;
mod mapped;
mod mapping;
pub(crate) mod pages;
mod person_ids;
mod planner;
mod prune;
mod ranges;
pub mod scope_sets;
mod scopes;
mod state;
mod statuses;
mod step;
mod types;
mod unopened;
mod whole;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{MappingPlan, PartitionTimePlan};
use crate::headers::Large;
use crate::key::{IdKind, Keyer, hex};
use crate::snapshot::{SnapshotFile, Table};
use crate::store::{Store, StoreError};

pub use batch::AccessBatch;
pub use engine::{Progress, ScanOutcome, Sink, Unreadable, scan};
pub use mapped::{Mapped, MappedColumn, TriedColumn};
pub use mapping::{epoch_unit, split};
pub use person_ids::PersonIds;
pub use prune::{Pruned, partition_day};
pub use unopened::{left_out, lies_before};
pub use whole::WholeFile;

/// What a scan looks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Sorted by name.
    pub scopes: Vec<AskedScope>,
    /// The least of the scopes' first days.
    pub first_day: i64,
}

/// A scope, and the first day whose rows are kept for it (days since 1970-01-01, UTC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedScope {
    pub name: String,
    pub first_day: i64,
}

impl Asked {
    pub fn new(mut scopes: Vec<AskedScope>) -> Self {
        scopes.sort_by(|a, b| a.name.cmp(&b.name));
        let first_day = scopes.iter().map(|s| s.first_day).min().unwrap_or(i64::MAX);
        Self { scopes, first_day }
    }

    /// Whether rows kept for `self` hold all that `other` asks for.
    pub fn serves(&self, other: &Self) -> bool {
        other.scopes.iter().all(|wanted| {
            self.scopes
                .binary_search_by(|s| s.name.cmp(&wanted.name))
                .ok()
                .and_then(|i| self.scopes.get(i))
                .is_some_and(|kept| kept.first_day <= wanted.first_day)
        })
    }
}

/// All that decides how the rows of a source are read.
#[derive(Clone, Debug)]
pub struct ScanContext {
    pub source: String,
    pub mapping: MappingPlan,
    pub partition_time: Option<PartitionTimePlan>,
    /// The table that the files are of.
    pub table: Option<Arc<Table>>,
    pub asked: Asked,
    pub keyer: Keyer,
    pub endpoints: Option<Arc<endpoint::EndpointTable>>,
    pub pruning: bool,
    /// Whether every day with a row must be known, at the price of reading times.
    pub all_days: bool,
    /// Only open files and tell what would be pruned; rows that would be read count as not matched.
    pub survey: bool,
}

/// The files of one source that must be read.
#[derive(Clone, Debug)]
pub struct ScanJob {
    pub context: Arc<ScanContext>,
    pub store: Store,
    pub files: Vec<SnapshotFile>,
}

/// One row group of one file, accounted for: every row is in exactly one of the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Row group number; a file without row groups has one record with `of` 0.
    pub row_group: u32,
    /// Row groups of the file.
    pub of: u32,
    /// Rows in the metadata.
    pub rows: u64,
    /// Of them, those that the table has deleted; in no other count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deleted: u64,
    pub pruned: Pruned,
    /// Read; no asked scope.
    pub not_matched: u64,
    /// Read; before the first kept day of each of its asked scopes.
    pub before: u64,
    /// Handed on, rejected ones among them.
    pub kept: u64,
    /// Rows whose endpoint is in no row of the endpoint table.
    pub unmatched_endpoints: u64,
    /// The day that the file is accounted under: its partition's, or the one on which all its times
    /// lie, as far as statistics show.
    pub file_day: Option<i64>,
    /// The first day that rows may be of: that of the least time, as far as statistics show it; else the
    /// first that the partition declares.
    pub first_day: Option<i64>,
    /// The last day that the file's partition declares, where it does.
    pub last_day: Option<i64>,
    /// Whether a page that was read has no checksum: damage in it need not be seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
    /// The same of the pages that tell which of the file's rows are deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchecked_deletes: bool,
    /// Whether the file was left out by what its table tells of it, and not opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unopened: bool,
    /// Days of the row group's times, as ranges; empty where neither partition nor statistics show
    /// them and nobody asked.
    pub days: Vec<(i64, i64)>,
}

impl UnitRecord {
    /// Rows that the table still has.
    pub fn live(&self) -> u64 {
        self.rows.saturating_sub(self.deleted)
    }

    /// A name of what the table tells of a file that was left out by it; `None` of one that was opened.
    pub fn told(&self) -> Option<String> {
        self.unopened.then(|| {
            let record = serde_json::json!(self).to_string();
            hex(blake3::hash(record.as_bytes()).as_bytes().get(..16).unwrap_or_default())
        })
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Error)]
pub enum ScanError {
    #[error("{0}")]
    Store(#[from] StoreError),

    #[error(
        "{file}: {reason}\nthe file is damaged or no Parquet file; restore it, or leave it out with --allow-incomplete (the report will say so)"
    )]
    Unreadable { file: String, reason: String },

    /// The same where nothing can be left out.
    #[error(
        "{file}: {reason}\nthe file is damaged or no Parquet file; restore it, or name files without it"
    )]
    Damaged { file: String, reason: String },

    #[error(
        "{file}: unsupported: {what}\nlet the table's writer rewrite the file, or read a version before that"
    )]
    Unsupported { file: String, what: String },

    #[error(
        "{file}: no column `{column}` (mapped as {role}){hint}\nits columns are: {found}\nif files without it are right, map it as {{ path = \"{column}\", missing = \"null\" }}"
    )]
    MissingColumn { file: String, role: &'static str, column: String, hint: String, found: String },

    #[error(
        "{file}: column `{column}` (mapped as {role}) has type {found}; {wanted} needed\nmap another column, or correct the file"
    )]
    WrongType { file: String, role: &'static str, column: String, found: String, wanted: String },

    #[error(
        "{file}: times in column `{column}` carry no zone\nsay which with {{ path = \"{column}\", zone = \"UTC\" }}; it is never guessed"
    )]
    NoZone { file: String, column: String },

    #[error(
        "{file}: column `{column}` holds whole numbers as times\nsay what they count with {{ path = \"{column}\", format = \"epoch_ms\" }} (or epoch_s, epoch_us, epoch_ns)"
    )]
    NoFormat { file: String, column: String },

    #[error(
        "{file}: column `{column}` holds several scopes in a row\nsay what they mean with scopes_mean = \"exercised\" or \"held\", or map `endpoint` and give registry.endpoints"
    )]
    NoMeaning { file: String, column: String },

    #[error(
        "{file}: a value of column `{column}` is no {kind}\ncorrect the file, or map the column as text"
    )]
    BadId { file: String, column: String, kind: IdKind },

    #[error(
        "{file}: {role} ids are {found} here and {before} in other files of the namespace \"{namespace}\"\nids of two kinds are never the same; correct the files, or map the column with kind = \"text\""
    )]
    MixedKinds {
        file: String,
        role: &'static str,
        namespace: String,
        found: IdKind,
        before: IdKind,
    },

    #[error(
        "{file}: {rows} rows lie outside the time that partition `{column}` = {value} declares (the first at {first}); the declared bound is [{from}, {to})\nwiden partition_time.slack"
    )]
    OutsidePartition {
        file: String,
        column: String,
        value: String,
        rows: u64,
        first: String,
        from: String,
        to: String,
    },

    #[error(
        "{file}: the table's statistics say that times in column `{column}` lie from {from} to {to}; the file's own say from {least} to {greatest}\nfiles are left out by what the table tells, so it must be true: let the table's writer compute its statistics anew, or run with --no-pruning, which does not use them"
    )]
    OutsideStatistics {
        file: String,
        column: String,
        from: String,
        to: String,
        least: String,
        greatest: String,
    },

    #[error(
        "{file}: column `{column}` (mapped as {role}) is called `{here}` in the version of the table that is read, which has the columns of its own schema\nmap {role} to \"{here}\" in [source.columns], or read a version in which it is called `{column}`"
    )]
    RenamedColumn { file: String, role: &'static str, column: String, here: String },

    #[error(
        "{file}: column `{column}` (mapped as {role}, missing = \"null\") is not there, but `{here}` is, in other letters: whether it is the same is not known\nif it is, map {role} to \"{here}\"; where files differ, let them agree on one name, or read those of each name as a source of their own"
    )]
    OtherLetters { file: String, role: &'static str, column: String, here: String },

    #[error("{file}: partition_time: {reason}")]
    BadPartition { file: String, reason: String },

    #[error(
        "{file}: a value of column `{column}` (mapped as {role}) is no JSON: {reason}\ncorrect the file, or map another column"
    )]
    BadJson { file: String, role: &'static str, column: String, reason: String },

    #[error(
        "{file}: {large} needs a memory limit of {needed} MB\n{}", large.advice()
    )]
    Memory { file: String, large: Box<Large>, needed: u64 },

    #[error(
        "{file}: {people} people whom the ledger has from this file are not found in it\nit was changed without a new size or time; restore it, or write it anew and run again"
    )]
    PeopleGone { file: String, people: u64 },

    #[error("interrupted")]
    Interrupted,

    #[error("{what}\nthis is a bug in afterscope; please report it")]
    Internal { what: String },
}

impl ScanError {
    /// Whether the file itself is at fault: then `--allow-incomplete` may go on without it.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }

    /// The same where there is no `--allow-incomplete`.
    #[must_use]
    pub fn for_good(self) -> Self {
        match self {
            Self::Unreadable { file, reason } => Self::Damaged { file, reason },
            other => other,
        }
    }
}
