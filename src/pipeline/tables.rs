//! From what was counted to the tables.

use super::count::Counted;
use super::prepare::Prepared;
use crate::config::RunPlan;
use crate::error::Error;
use crate::impact::{self, CHANGE_LOG, Query, Report, Table};
use crate::moment::DAY_MICROS;
use crate::suppress::{self, Suppressed};

/// Makes every table but that of changes, and hands each on. What was counted is used up. Small counts of people
/// are masked where the plan says so; gives what was.
///
/// # Errors
/// Queries that fail, and what `take` says.
pub fn tables(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    counted: &mut Counted,
    mut take: impl FnMut(Table) -> Result<(), Error>,
) -> Result<Option<Suppressed>, Error> {
    let lookback = i64::from(plan.lookback_days).saturating_mul(DAY_MICROS);
    let report = Report {
        registry: &prepared.registry,
        exposure: &counted.exposure,
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
    let frames = impact::build_frames(&report).map_err(|e| impact::ImpactError::Output {
        table: "frames".into(),
        reason: e.to_string(),
    })?;
    // The frames hold them now.
    counted.exposure.groups = Vec::new();
    counted.exposure.cells.iter_mut().for_each(|cell| cell.days = Vec::new());
    let queries: Vec<Query> =
        prepared.queries.iter().filter(|query| query.table != CHANGE_LOG).cloned().collect();
    let Some(below) = plan.suppress_below else {
        impact::run(&queries, frames, take)?;
        return Ok(None);
    };
    // What a count gives back stands in other tables: all of them are needed first.
    let mut tables = Vec::with_capacity(queries.len());
    impact::run(&queries, frames, |table| {
        tables.push(table.unpacked()?);
        Ok::<(), Error>(())
    })?;
    let thresholds = prepared.registry.thresholds.as_deref().unwrap_or_default();
    let from = plan.as_of.plus_micros(-lookback);
    let suppressed = suppress::mask(&mut tables, below, thresholds, from)?;
    tables.into_iter().try_for_each(&mut take)?;
    Ok(Some(suppressed))
}
