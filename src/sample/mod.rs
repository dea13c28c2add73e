//! Sample lakes whose true answers are known, because they are counted while the rows are made.

mod answers;
mod groups_2019;
mod people;
mod standing;
mod truth;

pub use groups_2019::groups_2019;

use thiserror::Error;

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    pub rows: u64,
    pub files: u64,
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
