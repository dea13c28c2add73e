//! From what was counted to the tables.

use super::count::Counted;
use super::prepare::Prepared;
use crate::config::RunPlan;
use crate::error::Error;
use crate::impact::{self, CHANGE_LOG, Names, Query, Report, Rows, Table, Take};
use crate::moment::DAY_MICROS;
use crate::suppress::{self, Suppressed};

/// Makes every table but that of changes, and hands each to `take`. What was counted is used up. Small counts of people
/// are masked where the plan says so; gives what was.
///
/// # Errors
/// Queries that fail.
pub fn tables(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    counted: &mut Counted,
    take: &Take<'_>,
) -> Result<Option<Suppressed>, Error> {
    let lookback = i64::from(plan.lookback_days).saturating_mul(DAY_MICROS);
    let days = counted.exposure.days();
    let rows = Rows::of(&mut counted.exposure);
    let report = Report {
        registry: &prepared.registry,
        names: Names::new(&prepared.registry),
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
    let make = |take: &Take<'_>| impact::tables(&queries, &report, rows, plan.threads, take);
    let Some(below) = plan.suppress_below else {
        make(take)?;
        return Ok(None);
    };
    // Of what a count gives back, some may stand in any table: all are looked at together.
    let (tables, ()) = impact::collected(make)?;
    let tables = tables.into_iter().map(|table| table.unpacked());
    let mut tables: Vec<Table> = tables.collect::<Result<_, _>>()?;
    let thresholds = prepared.registry.thresholds.as_deref().unwrap_or_default();
    let from = plan.as_of.plus_micros(-lookback);
    let suppressed = suppress::mask(&mut tables, below, thresholds, from)?;
    tables.into_iter().enumerate().for_each(|(at, table)| take(at, table));
    Ok(Some(suppressed))
}
