//! What files give to a row's figures.

use serde::Serialize;

use super::super::fill::Filled;
use super::super::prepare::Source;
use crate::exposure::{Share, Shares, Term};
use crate::impact::DayCoverage;

/// What one input file gives to a figure.
#[derive(Clone, Debug, Serialize)]
pub struct FileShare {
    pub source: String,
    pub url: String,
    /// The packs of the ledger that its rows were taken from.
    pub packs: Vec<String>,
    pub row_groups: Vec<u32>,
    #[serde(flatten)]
    pub sums: Sums,
}

/// The files of a source, as they are told of.
pub(super) struct Files<'a> {
    source: &'a Source<'a>,
    filled: &'a Filled,
    /// By unit of the selection: the pack that serves it.
    packs: Vec<Option<&'a str>>,
}

impl<'a> Files<'a> {
    pub fn new(source: &'a Source<'a>, filled: &'a Filled) -> Self {
        let selection = &filled.selection;
        let mut packs = vec![None; selection.units.len()];
        for (pack, units) in &selection.packs {
            for unit in units {
                let slot = usize::try_from(*unit).ok().and_then(|unit| packs.get_mut(unit));
                if let Some(slot) = slot {
                    *slot = Some(pack.name.as_str());
                }
            }
        }
        Self { source, filled, packs }
    }

    /// `file` is an index into the source's files, `units` are its row groups among those of the selection.
    pub fn share(
        &self,
        file: Option<usize>,
        units: impl Iterator<Item = usize> + Clone,
        sums: Sums,
    ) -> FileShare {
        let of_unit = |unit| self.filled.selection.units.get(unit);
        let mut packs: Vec<String> = Vec::new();
        for pack in units.clone().filter_map(|unit| self.packs.get(unit).copied().flatten()) {
            if !packs.iter().any(|known| known == pack) {
                packs.push(pack.to_string());
            }
        }
        let named = file.and_then(|file| self.source.wanted.files.get(file));
        FileShare {
            source: self.source.plan.name.clone(),
            url: named.map(|(url, _)| url.clone()).unwrap_or_default(),
            packs,
            row_groups: units.filter_map(of_unit).map(|(_, record)| record.row_group).collect(),
            sums,
        }
    }
}

/// Sums, by what the figures are of.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Sums {
    Events(EventSums),
    Rows(RowSums),
}

/// Rows, the sums of their weights by what became of them, and the people of those that are exposure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventSums {
    pub rows_allowed: u64,
    pub rows_held_only: u64,
    pub rows_denied: u64,
    pub rows_unknown: u64,
    pub rows_deduplicated: u64,
    pub requests_allowed: i64,
    pub requests_held_only: i64,
    pub requests_denied: i64,
    pub requests_unknown: i64,
    /// Distinct people of the allowed rows.
    pub subjects_observed: u64,
}

/// What of the sums stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Requests,
    People,
    HeldOnly,
    Denied,
    Unknown,
}

impl EventSums {
    pub fn of(shares: &Shares, subjects_observed: u64) -> Self {
        let rows = |share: Share| shares.rows.get(share as usize).copied().unwrap_or(0);
        let requests = |share: Share| shares.requests.get(share as usize).copied().unwrap_or(0);
        Self {
            rows_allowed: rows(Share::Allowed),
            rows_held_only: rows(Share::HeldOnly),
            rows_denied: rows(Share::Denied),
            rows_unknown: rows(Share::Unknown),
            rows_deduplicated: rows(Share::Deduplicated),
            requests_allowed: requests(Share::Allowed),
            requests_held_only: requests(Share::HeldOnly),
            requests_denied: requests(Share::Denied),
            requests_unknown: requests(Share::Unknown),
            subjects_observed,
        }
    }

    pub fn measure(&self, measure: Measure) -> i64 {
        match measure {
            Measure::Requests => self.requests_allowed,
            Measure::People => i64::try_from(self.subjects_observed).unwrap_or(i64::MAX),
            Measure::HeldOnly => self.requests_held_only,
            Measure::Denied => self.requests_denied,
            Measure::Unknown => self.requests_unknown,
        }
    }
}

/// Where every row went (docs/counting.md, rule 12), under the names of `coverage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowSums {
    /// Size of the files.
    pub bytes: u64,
    pub files_read: u64,
    pub files_unverified: u64,
    pub files_unreadable: u64,
    /// Null where the report follows no other.
    pub files_changed: Option<u64>,
    pub files_late: Option<u64>,
    pub rows_in_metadata: u64,
    pub rows_outside: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    pub rows_deduplicated: u64,
    pub rows_after_as_of: u64,
    pub rows_denied: u64,
    pub rows_unknown: u64,
    pub rows_held_only: u64,
    pub rows_counted: u64,
}

impl RowSums {
    pub fn of(became: &DayCoverage, bytes: u64) -> Self {
        Self {
            bytes,
            files_read: became.files_read,
            files_unverified: became.files_unverified,
            files_unreadable: became.files_unreadable,
            files_changed: became.since.map(|since| since.files_changed),
            files_late: became.since.map(|since| since.files_late),
            rows_in_metadata: became.rows,
            rows_outside: became.outside(),
            rows_deleted: became.deleted,
            rows_rejected: became.term(Term::Rejected),
            rows_deduplicated: became.term(Term::Deduplicated),
            rows_after_as_of: became.term(Term::AfterAsOf),
            rows_denied: became.term(Term::Denied),
            rows_unknown: became.term(Term::Unknown),
            rows_held_only: became.term(Term::HeldOnly),
            rows_counted: became.term(Term::Counted),
        }
    }

    /// The columns of `coverage` that they stand in.
    pub fn figures(&self) -> [(&'static str, Option<u64>); 15] {
        [
            ("files_read", Some(self.files_read)),
            ("files_unverified", Some(self.files_unverified)),
            ("files_unreadable", Some(self.files_unreadable)),
            ("files_changed", self.files_changed),
            ("files_late", self.files_late),
            ("rows_in_metadata", Some(self.rows_in_metadata)),
            ("rows_outside", Some(self.rows_outside)),
            ("rows_deleted", Some(self.rows_deleted)),
            ("rows_rejected", Some(self.rows_rejected)),
            ("rows_deduplicated", Some(self.rows_deduplicated)),
            ("rows_after_as_of", Some(self.rows_after_as_of)),
            ("rows_denied", Some(self.rows_denied)),
            ("rows_unknown", Some(self.rows_unknown)),
            ("rows_held_only", Some(self.rows_held_only)),
            ("rows_counted", Some(self.rows_counted)),
        ]
    }
}
