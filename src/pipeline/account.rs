//! Accounts for every row of the input (docs/counting.md, rule 12).

use std::collections::{BTreeMap, BTreeSet};

use super::fill::Filled;
use super::prepare::{Prepared, Source};
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::{Exposure, Term};
use crate::impact::{DayCoverage, HistoryCoverage, Periods, SourceCoverage};
use crate::moment::Moment;
use crate::snapshot::{History, Removed};

/// Accounts for every row of a source.
///
/// # Errors
/// [`Error::Conservation`].
pub fn cover(
    as_of: Moment,
    index: usize,
    source: &Source<'_>,
    filled: &Filled,
    exposure: &Exposure,
) -> Result<SourceCoverage, Error> {
    let mut days: BTreeMap<Option<i64>, DayCoverage> = BTreeMap::new();
    let terms = exposure.terms.get(index).map(Vec::as_slice).unwrap_or_default();
    let expected = source.plan.expected.as_ref();
    let within = expected.map_or(0..0, |e| e.days(as_of));
    let mut covered: BTreeSet<i64> = BTreeSet::new();
    let mut last_file = None;
    for (unit, (file, record)) in filled.selection.units.iter().enumerate() {
        let day = days.entry(record.file_day).or_default();
        if last_file != Some(*file) {
            last_file = Some(*file);
            day.files_read += 1;
        }
        let own = terms.get(unit).copied().unwrap_or_default();
        let held: u64 = own.iter().sum();
        let found = record.deleted
            + record.pruned.total()
            + record.not_matched
            + record.before
            + record.kept;
        if found != record.rows || held != record.kept {
            let name = source.wanted.files.get(*file).map(|f| f.0.clone()).unwrap_or_default();
            return Err(Error::Conservation {
                source_name: source.plan.name.clone(),
                file: format!("{name}, row group {}", record.row_group),
                rows: record.rows,
                found: found - record.kept + held,
            });
        }
        day.rows += record.rows;
        day.deleted += record.deleted;
        day.pruned.add(&record.pruned);
        day.not_matched += record.not_matched;
        day.before += record.before;
        for (sum, term) in day.terms.iter_mut().zip(own) {
            *sum += term;
        }
        for (from, to) in &record.days {
            covered.extend(*from.max(&within.start)..(*to + 1).min(within.end));
        }
    }
    for bad in &filled.unreadable {
        // What it holds is not known; where it belongs may be.
        let day = source.partition_day(&bad.path);
        days.entry(day).or_default().files_unreadable += 1;
    }
    let settled = expected.map(|e| e.settled_day(as_of));
    let periods = settled.map(|settled| Periods { days: within, covered, settled });
    Ok(SourceCoverage {
        source: source.plan.name.clone(),
        days,
        periods,
        conflicts: exposure.conflicts.get(index).copied().unwrap_or(0),
        deduplicates: source.reading.deduplicates,
        has_status: source.reading.has_status,
        history: source
            .snapshot
            .table
            .as_ref()
            .map(|table| of_history(as_of, source, &table.history)),
    })
}

/// What of a table's history may concern a row that counts: one of a day from the first that is kept to the
/// end of the report, or of a day that nobody tells.
fn of_history(as_of: Moment, source: &Source<'_>, history: &History) -> HistoryCoverage {
    let last_day = as_of.plus_micros(-1).day();
    let may_count = source.context.asked.first_day..=last_day;
    let mut sum = HistoryCoverage {
        is_told: history.first_version.is_some(),
        known_from: history.known_from,
        rows_removed: Some(0),
        ..Default::default()
    };
    for change in &history.changes {
        let concerns = |removed: &&Removed| {
            let day = source.day_of(&removed.partitions);
            day.is_none_or(|day| may_count.contains(&day))
        };
        let of_days: Vec<&Removed> = change.removed.iter().filter(concerns).collect();
        // One that takes nothing out is told for what it is.
        if of_days.is_empty() && !change.removed.is_empty() {
            continue;
        }
        sum.versions += 1;
        for removed in of_days {
            sum.files_removed += removed.files;
            sum.rows_removed = sum.rows_removed.zip(removed.rows).map(|(sum, rows)| sum + rows);
        }
    }
    sum
}

/// # Errors
/// [`Error::Rejected`] where more rows are rejected than the plan allows.
pub fn check_rejects(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    filled: &[Filled],
    exposure: &Exposure,
) -> Result<(), Error> {
    let mut rejected = 0;
    let mut files: Vec<(String, u64)> = Vec::new();
    for ((source, filled), terms) in prepared.sources.iter().zip(filled).zip(&exposure.terms) {
        for ((file, _), own) in filled.selection.units.iter().zip(terms) {
            let rows = own.get(Term::Rejected as usize).copied().unwrap_or(0);
            if rows == 0 {
                continue;
            }
            rejected += rows;
            let name = source.wanted.files.get(*file).map(|f| f.0.as_str()).unwrap_or_default();
            match files.last_mut() {
                Some((last, sum)) if last == name => *sum += rows,
                _ => files.push((name.to_string(), rows)),
            }
        }
    }
    if rejected <= plan.max_rejected_rows {
        return Ok(());
    }
    let mut shown: Vec<String> =
        files.iter().take(5).map(|(name, rows)| format!("  {rows} in {name}")).collect();
    if files.len() > 5 {
        shown.push(format!("  and in {} more files", files.len() - 5));
    }
    shown.push(
        "a row is rejected for a null or unreadable time, a negative weight, or a scope that cannot be parsed"
            .into(),
    );
    Err(Error::Rejected { rejected, allowed: plan.max_rejected_rows, shown: shown.join("\n") })
}
