//! Accounts for every row of the input (docs/counting.md, rule 12).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::fill::Filled;
use super::prepare::{Prepared, Source};
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::{Exposure, Term, Terms};
use crate::impact::{DayCoverage, HistoryCoverage, Periods, SourceCoverage};
use crate::moment::Moment;
use crate::scan::{UnitRecord, lies_before};
use crate::snapshot::{History, Removed};

/// What became of one file: what the days of a source are summed up from.
pub struct FileCoverage {
    /// Index into the source's files; `None` of one that is listed no more.
    pub file: Option<usize>,
    pub day: Option<i64>,
    /// Its row groups, among the units of the selection.
    pub units: Range<usize>,
    pub became: DayCoverage,
}

/// Accounts for every row of a source, file by file, those that could not be read last.
///
/// # Errors
/// [`Error::Conservation`].
pub fn account(
    index: usize,
    source: &Source<'_>,
    filled: &Filled,
    exposure: &Exposure,
) -> Result<Vec<FileCoverage>, Error> {
    let terms = exposure.terms.get(index).map(Vec::as_slice).unwrap_or_default();
    let mut files: Vec<FileCoverage> = Vec::new();
    for (unit, (file, record)) in filled.selection.units.iter().enumerate() {
        let own = terms.get(unit).copied().unwrap_or_default();
        let mut became = conserved(source, *file, record, own)?;
        let outside = own.get(Term::Outside as usize).copied().unwrap_or(0);
        // Rows that do not matter may lie in pages that another report need not read. Deletes are read of
        // every file that is opened, and whether a row that is gone mattered nobody can say.
        let unverified = record.unchecked && record.kept > outside
            || record.unchecked_deletes && may_matter(source, *file);
        match files.last_mut() {
            Some(last) if last.file == Some(*file) && last.day == record.file_day => {
                last.units.end = unit + 1;
                let known = last.became.files_unverified > 0;
                became.files_unverified = u64::from(unverified && !known);
                last.became.add(&became);
            }
            last => {
                let is_new = last.is_none_or(|last| last.file != Some(*file));
                became.files_read = u64::from(is_new);
                became.files_unverified = u64::from(unverified);
                let (file, units) = (Some(*file), unit..unit + 1);
                files.push(FileCoverage { file, day: record.file_day, units, became });
            }
        }
    }
    for bad in &filled.unreadable {
        files.push(FileCoverage {
            file: source.snapshot.files.iter().position(|file| file.path == bad.path),
            // What it holds is not known; where it belongs may be.
            day: source.partition_day(&bad.path),
            units: 0..0,
            became: DayCoverage { files_unreadable: 1, ..Default::default() },
        });
    }
    Ok(files)
}

/// Whether a file may hold rows of a day that is kept, whatever is left out unread.
fn may_matter(source: &Source<'_>, file: usize) -> bool {
    source.snapshot.files.get(file).is_none_or(|file| !lies_before(&source.context, file))
}

/// What became of the rows of one row group; `own` are those that the ledger holds.
fn conserved(
    source: &Source<'_>,
    file: usize,
    record: &UnitRecord,
    own: Terms,
) -> Result<DayCoverage, Error> {
    let held: u64 = own.iter().sum();
    let found =
        record.deleted + record.pruned.total() + record.not_matched + record.before + record.kept;
    if found != record.rows || held != record.kept {
        let name = source.wanted.files.get(file).map(|f| f.0.clone()).unwrap_or_default();
        return Err(Error::Conservation {
            source_name: source.plan.name.clone(),
            file: format!("{name}, row group {}", record.row_group),
            rows: record.rows,
            found: found - record.kept + held,
        });
    }
    Ok(DayCoverage {
        rows: record.rows,
        deleted: record.deleted,
        pruned: record.pruned,
        not_matched: record.not_matched,
        before: record.before,
        terms: own,
        ..Default::default()
    })
}

/// Accounts for every row of a source, day by day.
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
    for file in account(index, source, filled, exposure)? {
        days.entry(file.day).or_default().add(&file.became);
    }
    let expected = source.plan.expected.as_ref();
    let within = expected.map_or(0..0, |e| e.days(as_of));
    let mut covered: BTreeSet<i64> = BTreeSet::new();
    for (_, record) in &filled.selection.units {
        for (from, to) in &record.days {
            covered.extend(*from.max(&within.start)..(*to + 1).min(within.end));
        }
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
        history: source.history.as_ref().map(|history| of_history(as_of, source, history)),
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
