//! Which files a source has, at which version.
//!
//! A snapshot is taken once, before anything is read; every later read carries the pin that it
//! recorded, so a file that changes under the run is noticed and named.

mod listing;

use thiserror::Error;

use crate::config::SourcePlan;
use crate::store::{Io, Pin, Store, StoreError};

pub use listing::take_listing;

/// The files of one source.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub store: Store,
    /// Sorted by path.
    pub files: Vec<SnapshotFile>,
    /// Objects passed over because their names begin with `_` or `.`.
    pub ignored: u64,
}

/// One file, pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Path below the source's folder.
    pub path: String,
    pub pin: Pin,
    /// Hive partition values of its folders; null for `__HIVE_DEFAULT_PARTITION__`.
    pub partitions: Vec<(String, Option<String>)>,
}

impl SnapshotFile {
    /// The partition values are those of its folders.
    pub fn new(path: String, pin: Pin) -> Self {
        let partitions = listing::partitions(&path);
        Self { path, pin, partitions }
    }
}

#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("source `{source_name}`: {error}\ncheck the source's url")]
    Store { source_name: String, error: StoreError },

    #[error(
        "source `{source_name}`: {url} holds no files ({ignored} whose names begin with _ or . were passed over)\ncheck the source's url; an empty log must still have a file"
    )]
    Empty { source_name: String, url: String, ignored: u64 },

    #[error(
        "source `{source_name}`: {url} is {format} table ({marker} shows it); read as plain files it would give rows that the table has removed\nexport the version that you need as plain Parquet files, and name their folder"
    )]
    TableFormat { source_name: String, url: String, format: &'static str, marker: String },

    #[error(
        "source `{source_name}`: {file} stands in the folder and cannot be read: {reason}\nrename, mend or remove it; nothing is left out in silence"
    )]
    Unlisted { source_name: String, file: String, reason: &'static str },

    #[error(
        "source `{source_name}`: {file} is the same file as {other} (a link leads to it): its rows would count twice\nremove one of the two, or leave it out with a glob"
    )]
    Twice { source_name: String, file: String, other: String },

    #[error("source `{source_name}`: the glob \"{glob}\" cannot be read: {reason}")]
    Glob { source_name: String, glob: String, reason: String },
}

/// Takes the snapshot of a source.
///
/// # Errors
/// Where the place does not exist, cannot be read or holds no files.
pub fn take(source: &SourcePlan, io: &Io) -> Result<Snapshot, SnapshotError> {
    take_listing(source, io)
}
