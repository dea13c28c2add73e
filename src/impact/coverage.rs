//! What became of files, days and rows, and the frames that say it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use polars::prelude::{DataFrame, PolarsResult};

use super::frames::{Builder, Report, escaped};
use crate::exposure::Term;
use crate::moment::Moment;
use crate::scan::Pruned;

/// What became of the files of one source and file day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayCoverage {
    pub files_read: u64,
    /// Of them, those whose rows that matter were read from pages without checksums.
    pub files_unverified: u64,
    pub files_unreadable: u64,
    pub rows: u64,
    pub pruned: Pruned,
    /// Deleted in the table format.
    pub deleted: u64,
    pub not_matched: u64,
    pub before: u64,
    /// Rows that the ledger holds, by [`crate::exposure::Term`].
    pub terms: crate::exposure::Terms,
    /// `None` where the report follows no other.
    pub since: Option<SinceReport>,
}

impl DayCoverage {
    /// Takes in what became of further rows.
    pub fn add(&mut self, other: &Self) {
        self.files_read += other.files_read;
        self.files_unverified += other.files_unverified;
        self.files_unreadable += other.files_unreadable;
        self.rows += other.rows;
        self.pruned.add(&other.pruned);
        self.deleted += other.deleted;
        self.not_matched += other.not_matched;
        self.before += other.before;
        for (sum, term) in self.terms.iter_mut().zip(other.terms) {
            *sum += term;
        }
        if let Some(since) = &other.since {
            self.since.get_or_insert_default().add(since);
        }
    }

    /// Rows of a term that the merge decides.
    pub fn term(&self, term: Term) -> u64 {
        self.terms.get(term as usize).copied().unwrap_or(0)
    }

    /// Rows that no restriction is about.
    pub fn outside(&self) -> u64 {
        self.pruned.total() + self.not_matched + self.before + self.term(Term::Outside)
    }
}

/// What became of files since the report that is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinceReport {
    /// Files that it did not have and that may hold calls before its end.
    pub files_late: u64,
    /// Their rows.
    pub rows_late: u64,
    /// Files that it had with another content.
    pub files_changed: u64,
}

impl SinceReport {
    pub fn add(&mut self, other: &Self) {
        self.files_late += other.files_late;
        self.rows_late += other.rows_late;
        self.files_changed += other.files_changed;
    }
}

/// Declared days of a source, and those of them with rows in readable files (docs/counting.md, rule 13).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Periods {
    pub days: Range<i64>,
    pub covered: BTreeSet<i64>,
    /// Days before this one are over, with the grace that the source declares.
    pub settled: i64,
}

impl Periods {
    /// Covered and expected days from day `from` on.
    pub fn since(&self, from: i64) -> (u64, u64) {
        let first = self.days.start.max(from);
        let expected = u64::try_from(self.days.end.saturating_sub(first)).unwrap_or(0);
        (self.covered.range(first..).count() as u64, expected)
    }

    /// Whether every day from `from` to the last that is over is declared, and there is one.
    pub fn is_declared_since(&self, from: i64) -> bool {
        self.days.start <= from && self.days.end >= self.settled && from < self.settled
    }
}

/// What became of one source.
#[derive(Clone, Debug, Default)]
pub struct SourceCoverage {
    pub source: String,
    pub days: BTreeMap<Option<i64>, DayCoverage>,
    /// `None` where the source declares none.
    pub periods: Option<Periods>,
    pub conflicts: u64,
    pub deduplicates: bool,
    pub has_status: bool,
    /// `None` where it is kept as plain files, which tell nothing of what they were.
    pub history: Option<HistoryCoverage>,
}

/// What a table's versions did to rows of days that the report counts, or of days that are not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryCoverage {
    /// Whether the table tells of any version.
    pub is_told: bool,
    /// Since when it is known, where the table says.
    pub known_from: Option<Moment>,
    pub versions: u64,
    pub files_removed: u64,
    /// `None` where the table does not tell of all of them.
    pub rows_removed: Option<u64>,
}

impl HistoryCoverage {
    /// Two sources together.
    fn and(self, other: Self) -> Self {
        Self {
            is_told: self.is_told && other.is_told,
            // Before the later of the two, one of them is not known.
            known_from: self.known_from.zip(other.known_from).map(|(a, b)| a.max(b)),
            versions: self.versions + other.versions,
            files_removed: self.files_removed + other.files_removed,
            rows_removed: self.rows_removed.zip(other.rows_removed).map(|(a, b)| a + b),
        }
    }
}

/// One row a source and file day.
pub(super) fn days(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let rows: Vec<(&str, Option<i64>, &DayCoverage)> = report
        .coverage
        .iter()
        .flat_map(|s| s.days.iter().map(|(day, c)| (s.source.as_str(), *day, c)))
        .collect();
    let term = |term: Term| rows.iter().map(move |r| r.2.term(term));
    let since = |of: fn(&SinceReport) -> u64| -> Vec<Option<i64>> {
        rows.iter().map(|r| i64::try_from(of(r.2.since.as_ref()?)).ok()).collect()
    };
    Builder::default()
        .text("source", rows.iter().map(|r| Some(escaped(r.0))))
        .date("file_day", rows.iter().map(|r| r.1).collect())?
        .count("files_read", rows.iter().map(|r| r.2.files_read))
        .count("files_unverified", rows.iter().map(|r| r.2.files_unverified))
        .count("files_unreadable", rows.iter().map(|r| r.2.files_unreadable))
        .int("files_changed", since(|s| s.files_changed))
        .int("files_late", since(|s| s.files_late))
        .count("rows_in_metadata", rows.iter().map(|r| r.2.rows))
        .count("rows_outside", rows.iter().map(|r| r.2.outside()))
        .count("rows_deleted", rows.iter().map(|r| r.2.deleted))
        .count("rows_rejected", term(Term::Rejected))
        .count("rows_deduplicated", term(Term::Deduplicated))
        .count("rows_after_as_of", term(Term::AfterAsOf))
        .count("rows_denied", term(Term::Denied))
        .count("rows_unknown", term(Term::Unknown))
        .count("rows_held_only", term(Term::HeldOnly))
        .count("rows_counted", term(Term::Counted))
        .finish()
}

/// Share of declared periods, in percent; `None` where none are declared.
pub fn percent(periods: Option<(u64, u64)>) -> Option<f64> {
    let (covered, expected) = periods?;
    (expected > 0).then(|| covered as f64 * 100.0 / expected as f64)
}

/// Covered and expected periods from day `from` on, over all sources that declare any.
pub(super) fn periods_since(coverage: &[SourceCoverage], from: i64) -> Option<(u64, u64)> {
    let each = coverage.iter().filter_map(|s| s.periods.as_ref()).map(|p| p.since(from));
    each.reduce(|a, b| (a.0 + b.0, a.1 + b.1))
}

/// Covered and expected periods over all sources that declare any.
pub fn all_periods(coverage: &[SourceCoverage]) -> Option<(u64, u64)> {
    periods_since(coverage, i64::MIN)
}

/// Share of declared periods over all sources that declare any, in percent.
pub fn coverage_pct(coverage: &[SourceCoverage]) -> Option<f64> {
    percent(all_periods(coverage))
}

/// One row a source, and one of all.
pub(super) fn sources(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let sources = report.coverage;
    let all = all_periods(sources);
    let periods: Vec<Option<(u64, u64)>> =
        sources.iter().map(|s| Some(s.periods.as_ref()?.since(i64::MIN))).chain([all]).collect();
    let pick = |f: fn((u64, u64)) -> u64| {
        periods.iter().map(|p| p.and_then(|p| i64::try_from(f(p)).ok())).collect::<Vec<_>>()
    };
    let conflicts: u64 = sources.iter().map(|s| s.conflicts).sum();
    let names = sources.iter().map(|s| Some(escaped(&s.source)));
    let tables = sources.iter().filter_map(|s| s.history);
    let histories: Vec<Option<HistoryCoverage>> =
        sources.iter().map(|s| s.history).chain([tables.reduce(HistoryCoverage::and)]).collect();
    let told = |of: fn(&HistoryCoverage) -> Option<u64>| -> Vec<Option<i64>> {
        histories.iter().map(|h| i64::try_from(of(h.as_ref()?)?).ok()).collect()
    };
    Builder::default()
        .text("source", names.chain(std::iter::once(Some("(all)".into()))))
        .int("periods_expected", pick(|p| p.1))
        .int("periods_covered", pick(|p| p.0))
        .float("coverage_pct", periods.iter().map(|p| percent(*p)).collect())
        .count("event_id_conflicts", sources.iter().map(|s| s.conflicts).chain([conflicts]))
        .boolean(
            "deduplicates",
            sources
                .iter()
                .map(|s| Some(s.deduplicates))
                .chain([Some(sources.iter().all(|s| s.deduplicates))])
                .collect(),
        )
        .boolean(
            "has_status",
            sources
                .iter()
                .map(|s| Some(s.has_status))
                .chain([Some(sources.iter().all(|s| s.has_status))])
                .collect(),
        )
        .time("history_known_from", histories.iter().map(|h| h.as_ref()?.known_from))?
        .int("history_versions", told(|h| Some(h.versions)))
        .int("history_files_removed", told(|h| Some(h.files_removed)))
        .int("history_rows_removed", told(|h| h.rows_removed))
        .finish()
}
