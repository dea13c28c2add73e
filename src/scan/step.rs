//! What is done with a file, step by step.

use std::ops::Range;

use super::UnitRecord;
use super::scopes::{Matches, Meaning};

/// What to do with bytes that have arrived.
pub(super) enum Step {
    /// The tail is here: footer, pruning.
    Open,
    /// A row group's times are here, for the days on which they lie.
    Days { group: usize },
    /// A row group's bloom filter is here.
    Bloom { group: usize },
    /// A row group's scope columns are here.
    Select { group: usize, ranges: Option<Vec<Range<usize>>> },
    /// A row group's other columns are here.
    Read(Box<MatchingRows>),
}

/// What is known of a row group before its matching rows are read.
pub(super) struct MatchingRows {
    pub group: usize,
    pub matches: Matches,
    pub unit: UnitRecord,
    pub meaning: Meaning,
}

impl Step {
    pub const RANKS: usize = 5;

    /// Bytes that its matching rows take before it is run.
    pub fn bytes_waiting(&self) -> u64 {
        match self {
            Self::Read(rows) => rows.matches.bytes_waiting(),
            _ => 0,
        }
    }

    /// The row group, where it is one's.
    pub fn group(&self) -> Option<usize> {
        match self {
            Self::Open => None,
            Self::Days { group } | Self::Bloom { group } | Self::Select { group, .. } => {
                Some(*group)
            }
            Self::Read(rows) => Some(rows.group),
        }
    }

    /// Bytes that the rows take which the step hands on, as far as they are known.
    pub fn bytes_kept(&self) -> u64 {
        match self {
            Self::Read(rows) => rows.matches.bytes(),
            _ => 0,
        }
    }

    pub fn rank(&self) -> usize {
        match self {
            Self::Open => 0,
            Self::Days { .. } => 1,
            Self::Bloom { .. } => 2,
            Self::Select { .. } => 3,
            Self::Read(_) => 4,
        }
    }
}
