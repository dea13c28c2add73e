//! Why a table is not read.

use ::iceberg::ErrorKind;

use crate::snapshot::SnapshotError;
use crate::store::StoreError;

/// Why a table is not read; [`super::take`] adds of which source.
#[derive(Debug)]
pub enum Refusal {
    /// It needs what this program does not know.
    Unsupported(String),
    /// What it says makes no sense, or what was asked for is not there.
    Table(String),
    /// A file that it needs is not there, or not as it says.
    Gone {
        file: String,
        reason: String,
    },
    Store(StoreError),
    /// Said in full already.
    Whole(SnapshotError),
}

impl From<SnapshotError> for Refusal {
    fn from(error: SnapshotError) -> Self {
        Self::Whole(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<::iceberg::Error> for Refusal {
    fn from(error: ::iceberg::Error) -> Self {
        match error.kind() {
            ErrorKind::FeatureUnsupported => Self::Unsupported(error.message().to_string()),
            _ => Self::Table(error.to_string()),
        }
    }
}
