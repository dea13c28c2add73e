//! From what was counted to the tables.

use super::count::Counted;
use super::prepare::Prepared;
use crate::config::RunPlan;
use crate::error::Error;
use crate::impact::{self, CHANGE_LOG, Query, Report, Rows, Table};
use crate::moment::DAY_MICROS;
use crate::suppress::{self, Suppressed};

/// Makes every table but that of changes. What was counted is used up. Small counts of people are masked where the plan
/// says so; gives what was.
///
/// # Errors
/// Queries that fail.
pub fn tables(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    counted: &mut Counted,
) -> Result<(Vec<Table>, Option<Suppressed>), Error> {
    let lookback = i64::from(plan.lookback_days).saturating_mul(DAY_MICROS);
    let days = counted.exposure.days();
    let rows = Rows::of(&mut counted.exposure);
    let report = Report {
        registry: &prepared.registry,
        exposure: &counted.exposure,
        days,
        coverage: &counted.coverage,
        group_namespaces: &counted.group_namespaces,
        residences: &counted.residences,
        incident: plan.incident.clone(),
        zone: plan.registry.zone,
        has_fields: prepared.sources.iter().any(|source| source.reading.has_fields),
        as_of: plan.as_of,
        lookback_from: plan.as_of.plus_micros(-lookback),
        lookback_days: plan.lookback_days,
        complete: counted.is_complete(),
    };
    let queries: Vec<Query> =
        prepared.queries.iter().filter(|query| query.table != CHANGE_LOG).cloned().collect();
    // A query that fails leaves no table of the others behind. And of what a count gives back, some may stand in any.
    let mut tables = impact::tables(&queries, &report, rows, plan.threads)?;
    if plan.suppress_below.is_some() {
        tables = tables.into_iter().map(|table| table.unpacked()).collect::<Result<_, _>>()?;
    }
    let suppressed = match plan.suppress_below {
        None => None,
        Some(below) => {
            let thresholds = prepared.registry.thresholds.as_deref().unwrap_or_default();
            let from = plan.as_of.plus_micros(-lookback);
            Some(suppress::mask(&mut tables, below, thresholds, from)?)
        }
    };
    Ok((tables, suppressed))
}
