//! What reports say of a run beside its tables.

use super::count::Counted;
use super::evidence;
use super::follow::{self, Followed};
use super::prepare::Prepared;
use crate::config::RunPlan;
use crate::impact::SourceCoverage;
use crate::moment::DAY_MICROS;
use crate::report::{Facts, Follows, ReportBuilder, ReportError, SourceFacts, Wanted};

/// The reports that the plan wants.
///
/// # Errors
/// Where temporary files cannot be made.
pub fn builder<'a>(
    plan: &RunPlan,
    prepared: &'a Prepared<'_>,
    counted: &Counted,
    followed: Option<&Followed>,
) -> Result<ReportBuilder<'a>, ReportError> {
    let lookback = i64::from(plan.lookback_days).saturating_mul(DAY_MICROS);
    let facts = Facts {
        run_id: prepared.run_id.clone(),
        as_of: plan.as_of,
        lookback_from: plan.as_of.plus_micros(-lookback),
        lookback_days: plan.lookback_days,
        number: follow::number(followed),
        follows: followed.map(|earlier| Follows { number: earlier.number, as_of: earlier.as_of }),
        complete: counted.is_complete(),
        suppress_below: plan.suppress_below,
        doubts: evidence::doubts(plan, prepared, counted),
        sources: counted.coverage.iter().map(source).collect(),
    };
    let wanted = Wanted { html: plan.html, xlsx: plan.xlsx, temp_dir: plan.temp_dir.clone() };
    ReportBuilder::new(&wanted, &prepared.queries, facts)
}

fn source(coverage: &SourceCoverage) -> SourceFacts {
    let declared = coverage.periods.as_ref().filter(|p| !p.days.is_empty());
    let mut missing: Vec<(i64, i64)> = Vec::new();
    if let Some(periods) = declared {
        for day in periods.days.clone().filter(|day| !periods.covered.contains(day)) {
            match missing.last_mut() {
                Some((_, last)) if *last + 1 == day => *last = day,
                _ => missing.push((day, day)),
            }
        }
    }
    SourceFacts {
        name: coverage.source.clone(),
        has_status: coverage.has_status,
        deduplicates: coverage.deduplicates,
        files_unreadable: coverage.days.values().map(|d| d.files_unreadable).sum(),
        declared: declared.map(|p| (p.days.start, p.days.end)),
        missing,
    }
}
