//! Small counts of people, left out of the tables of a run together with those that would give them back
//! (docs/counting.md, rule 21).
//!
//! One pass over all finished tables: `figures` says which cells are one figure, `sums` what holds between
//! figures, `solve` which of them go. Cells that go are null.

mod figures;
mod linear;
mod series;
mod solve;
mod sums;

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::nullif;
use arrow::record_batch::RecordBatch;
use serde::Serialize;

use crate::exposure::Window;
use crate::impact::{ImpactError, Table};
use crate::moment::Moment;
use crate::registry::Threshold;

use figures::{Measure, Part, Place, Told};

/// What was left out of a run's tables.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Suppressed {
    /// Counts of fewer people are not told; always 2 at least.
    pub below: u32,
    /// Whether all sums were also looked at together; false where there were too many for that.
    pub together: bool,
    /// Cells that are null for it, by table.
    pub cells: BTreeMap<String, u64>,
    /// What is left out of the row of all.
    #[serde(skip)]
    pub totals: Totals,
}

/// Figures of the row of all that are masked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub requests_allowed: bool,
    pub subjects_observed: bool,
    pub groups: bool,
}

impl Suppressed {
    /// Whether a count of people is one that is not told.
    pub fn hides(below: u32, people: u64) -> bool {
        (1..u64::from(below)).contains(&people)
    }
}

/// Masks the tables of a run. `tables` are all built-in ones but `change_log`, in the order of their numbers.
///
/// # Errors
/// Where two tables differ in a figure that is one, and what Arrow says.
pub fn mask(
    tables: &mut [Table],
    below: u32,
    thresholds: &[Threshold],
    lookback_from: Moment,
) -> Result<Suppressed, ImpactError> {
    let mut told = Told::default();
    for table in tables.iter() {
        told.take(table, thresholds)?;
    }
    sums::tell(&mut told, lookback_from.micros);
    let masked = told.figures.solve(below.into());
    let is_masked = |figure: u32| {
        let masked = usize::try_from(figure).ok().and_then(|figure| masked.figures.get(figure));
        masked.copied().unwrap_or(false)
    };
    let together = masked.together;
    let mut suppressed = Suppressed { below, together, ..Default::default() };
    for table in tables {
        let Some(cells) = told.cells.get(&table.name) else { continue };
        let mut columns: Vec<(&str, Vec<bool>)> = cells
            .iter()
            .map(|(name, figures)| {
                (*name, figures.iter().map(|figure| is_masked(*figure)).collect())
            })
            .collect();
        match table.name.as_str() {
            "daily_timeline" => {
                let new = cells.iter().find(|(name, _)| *name == "subjects_new");
                let new = new.map(|(_, figures)| figures.as_slice()).unwrap_or_default();
                columns.push(("subjects_cumulative", series::cumulative(&told, new, &is_masked)));
            }
            "thresholds" => {
                columns.extend(series::rules(&table.batch, cells, below.into(), &is_masked));
            }
            _ => {}
        }
        let (batch, count) = without(&table.batch, &columns).map_err(|e| ImpactError::Output {
            table: table.name.clone(),
            reason: e.to_string(),
        })?;
        if count > 0 {
            table.batch = batch;
            suppressed.cells.insert(table.name.clone(), count);
        }
    }
    let all = |measure| {
        let part = Part::Window(Window::AfterRestriction);
        told.find(Place::All, part, measure).is_some_and(&is_masked)
    };
    suppressed.totals = Totals {
        requests_allowed: all(Measure::Requests),
        subjects_observed: all(Measure::Subjects),
        groups: all(Measure::Groups),
    };
    Ok(suppressed)
}

/// The batch with nulls in these places of its columns, and how many values they took.
fn without(
    batch: &RecordBatch,
    columns: &[(&str, Vec<bool>)],
) -> Result<(RecordBatch, u64), arrow::error::ArrowError> {
    let schema = batch.schema();
    let mut count = 0;
    let mut arrays: Vec<ArrayRef> = batch.columns().to_vec();
    for (name, hidden) in columns {
        let Ok(at) = schema.index_of(name) else { continue };
        let Some(array) = arrays.get_mut(at) else { continue };
        let known = array.len() - array.null_count();
        *array = nullif(array, &BooleanArray::from(hidden.clone()))?;
        count += (known - (array.len() - array.null_count())) as u64;
    }
    Ok((RecordBatch::try_new(schema, arrays)?, count))
}
