//! Sample lakes whose true answers are known, because they are counted while the rows are made.

mod answers;
mod avro;
mod delta;
mod groups_2019;
mod history;
mod iceberg;
mod people;
mod plain;
mod rows;
mod standing;
mod truth;

use std::path::{Path, PathBuf};

pub use groups_2019::groups_2019;

use thiserror::Error;

/// What went wrong while a file was written.
type Failed = Box<dyn std::error::Error>;

/// Writes a file; an error names it.
fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Failed> {
    std::fs::write(path, bytes).map_err(|e| unwritten(path, &e).into())
}

fn unwritten(path: &Path, reason: &dyn std::fmt::Display) -> SampleError {
    SampleError::Write { object: path.display().to_string(), reason: reason.to_string() }
}

/// As what the log is written. Its live rows are the same in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    /// With rows and files that are deleted again, a checkpoint, and commits after it.
    Delta,
    /// Format 2, with rows that are deleted by place and by id, and files that are removed again.
    Iceberg,
}

/// A sample to be made.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Folder to write; it must not exist, or be empty.
    pub out: PathBuf,
    /// Rows of log, about.
    pub rows: u64,
    pub format: Format,
    /// The folder of the same sample's registry, as the configuration is to name it, where it is not
    /// written, too.
    pub registry: Option<String>,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Rows that are there to be read.
    pub rows: u64,
    /// Days with a log.
    pub days: u64,
    /// The `--as-of` of the story.
    pub as_of: String,
}

#[derive(Debug, Error)]
pub enum SampleError {
    #[error("{folder} is not empty\nname a new folder for the sample")]
    NotEmpty { folder: String },

    #[error("{object} cannot be written: {reason}")]
    Write { object: String, reason: String },
}
