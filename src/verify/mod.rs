//! Whether a published run still is what it was when it was published, and evidence of single apps.
//!
//! Nothing is written, and nothing of a run is believed before its hash was looked at.

mod check;
mod diff;
mod evidence;
mod history;
mod inputs;
mod latest;
mod place;
mod tables;

use serde::Serialize;
use thiserror::Error;

use crate::impact::ImpactError;
use crate::publish::PublishError;
use crate::signature::PublicKey;
use crate::store::{StoreError, StoreErrorKind};

pub use check::check;
pub use diff::{RunDiff, diff};
pub use evidence::{Evidence, Proven, check_alone, check_with, extract};
pub use inputs::{InputsReport, check_inputs};
pub use place::Place;

#[derive(Debug, Error)]
pub enum VerifyError {
    #[error("{0}")]
    Store(#[from] StoreError),

    #[error("{0}")]
    Publish(#[from] PublishError),

    #[error("{0}")]
    Impact(#[from] ImpactError),

    #[error("{address}: {reason}")]
    NoRun { address: String, reason: String },

    #[error("{what}: {reason}")]
    User { what: String, reason: String },

    /// What does not hold.
    #[error("{0}")]
    Differs(String),
}

/// What was found, one line of JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub run_id: String,
    /// `holds` or `differs`.
    pub verdict: &'static str,
    pub manifest_sha256: String,
    /// The root of the Merkle tree over inputs and tables.
    pub root: String,
    /// The public key whose signature holds; null without one.
    pub signed_by: Option<String>,
    /// Files of the run's folder whose hash holds, and their bytes.
    pub files: u64,
    pub bytes: u64,
    /// Tables whose Parquet and CSV hold the same rows, and these.
    pub tables: u64,
    pub rows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<InputsReport>,
    /// Whether a recomputation gave the same bytes; null where none was made.
    pub recomputed: Option<bool>,
    /// What differs or is missing; the first thing first.
    pub differences: Vec<String>,
    /// What could not be looked at, or is unusual and no difference.
    pub warnings: Vec<String>,
}

impl Report {
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }

    /// A report of one difference, found before there was a run to look at.
    pub fn of_difference(what: String) -> Self {
        Self { verdict: "differs", differences: vec![what], ..Default::default() }
    }

    fn differs(&mut self, what: impl Into<String>) {
        self.differences.push(what.into());
    }

    /// Sets the verdict; nothing is found afterwards.
    pub fn finish(&mut self) {
        self.verdict = if self.holds() { "holds" } else { "differs" };
    }

    /// The first difference, and how many more there are.
    pub fn shown(&self) -> String {
        let first = self.differences.first().cloned().unwrap_or_default();
        match self.differences.len() {
            0 | 1 => first,
            n => format!("{first}\nand {} more; the last line on stdout has them all", n - 1),
        }
    }
}

/// What is asked of a run beside its hashes.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Whose signature there must be.
    pub public_key: Option<PublicKey>,
}

/// A folder that cannot be listed or read is no difference: it is told as what it is.
fn is_absent(error: &StoreError) -> bool {
    error.kind == StoreErrorKind::NotFound
}
