//! What is done with a file, step by step.

use std::ops::Range;
use std::sync::Arc;

use super::UnitRecord;
use super::batch::AccessBatch;
use super::fetch::Fetch;
use super::file::OpenFile;
use super::footer::Footer;
use super::pages::{FewRows, FlatReader};
use super::ranges::{byte_ranges, selection_of_rows};
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

impl MatchingRows {
    /// The other columns: whole, or the pages that an index names.
    pub fn fetch(self: Box<Self>, file: &Arc<OpenFile>, footer: &Footer) -> Fetch {
        let leaves = footer.columns.reading(self.meaning == Meaning::ByEndpoint);
        let by_page = footer.metadata.metadata().offset_index().is_some();
        let rows = usize::try_from(self.unit.rows).unwrap_or(0);
        let selection = by_page.then(|| selection_of_rows(&self.matches.rows, rows)).flatten();
        let ranges = byte_ranges(footer, self.group, &leaves, selection.as_ref());
        Fetch::new(file.clone(), ranges, Step::Read(self))
    }

    /// The rows, where they are so few that not all pages are wanted, and nothing but the pages themselves says which.
    pub fn few(&self, footer: &Footer) -> Option<FewRows> {
        let leaves = footer.columns.reading(self.meaning == Meaning::ByEndpoint);
        let no_index = footer.metadata.metadata().offset_index().is_none();
        let group = footer.group(self.group).filter(|_| no_index)?;
        let few = FewRows::of(group, &leaves, &self.matches.rows)?;
        FlatReader::takes(&footer.metadata, self.group, &leaves).then_some(few)
    }
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

/// What a step leaves: more to fetch, and finished units.
#[derive(Default)]
pub(super) struct Selected {
    pub next: Vec<Fetch>,
    pub units: Vec<(UnitRecord, AccessBatch)>,
}

impl Selected {
    /// Is done with a row group of which no row is handed on.
    pub fn leave(&mut self, unit: UnitRecord) {
        self.units.push((unit, AccessBatch::default()));
    }
}
