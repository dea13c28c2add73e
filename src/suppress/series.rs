//! Columns that are no figures and would give masked ones back: running totals, and whether a rule's number
//! is reached.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;

use super::figures::{Columns, Measure, NONE, Part, Told};
use super::solve::Figure;
use crate::exposure::Window;

/// Which cells of `subjects_cumulative` go: all of a series in which somebody's first day is masked, because
/// the difference of two totals is what is new. The last total is the figure of the whole time, and goes
/// with it. `new` are the figures of `subjects_new`, row by row.
pub fn cumulative(told: &Told, new: &[Figure], is_masked: &dyn Fn(Figure) -> bool) -> Vec<bool> {
    let place = |figure: &Figure| {
        usize::try_from(*figure).ok().and_then(|figure| told.keys.get(figure)).map(|key| key.place)
    };
    let mut hidden = Vec::with_capacity(new.len());
    for series in new.chunk_by(|a, b| place(a) == place(b)) {
        let any = series.iter().any(|figure| is_masked(*figure));
        let whole = series.first().and_then(place).and_then(|place| {
            told.find(place, Part::Window(Window::AfterRestriction), Measure::Subjects)
        });
        hidden.extend(series.iter().map(|_| any));
        if let Some(last) = hidden.last_mut() {
            *last = whole.map_or(any, is_masked);
        }
    }
    hidden
}

/// What the rows of `thresholds` tell of one masked figure: it lies between these.
#[derive(Clone, Copy)]
struct Between(i64, i64);

/// The columns of `thresholds` that say whether a number is reached.
const FLAGS: [(&str, &str); 2] =
    [("subjects_observed", "met_by_observed"), ("subjects_upper_bound", "met_by_upper_bound")];

/// Which of the cells that say whether a number is reached go: of a masked figure, where the number lies
/// among those that are not told, or where two rules leave one value only.
pub fn rules(
    batch: &RecordBatch,
    cells: &[(&'static str, Vec<Figure>)],
    below: i64,
    is_masked: &dyn Fn(Figure) -> bool,
) -> Vec<(&'static str, Vec<bool>)> {
    let columns = Columns(batch);
    let (number, operator) = (columns.ints("number"), columns.texts("operator"));
    // From how many people on the rule is met.
    let least = |row: usize| number(row).map(|n| n + i64::from(operator(row) == Some(">")));
    let figures = |name: &str| {
        let found = cells.iter().find(|(known, _)| *known == name);
        move |row: usize| found.and_then(|(_, figures)| figures.get(row)).copied().unwrap_or(NONE)
    };
    let mut known: BTreeMap<Figure, Between> = BTreeMap::new();
    for (counted, flag) in FLAGS {
        let (figure, met) = (figures(counted), columns.flags(flag));
        for row in 0..batch.num_rows() {
            let (Some(met), Some(least)) = (met(row), least(row)) else { continue };
            let between = known.entry(figure(row)).or_insert(Between(1, i64::MAX));
            match met {
                true => between.0 = between.0.max(least),
                false => between.1 = between.1.min(least.saturating_sub(1)),
            }
        }
    }
    let tells = |figure: Figure, row: usize| {
        let one = known.get(&figure).is_some_and(|between| between.0 == between.1);
        is_masked(figure) && least(row).is_some_and(|least| one || (2..below).contains(&least))
    };
    let rows = || 0..batch.num_rows();
    let mut hidden: Vec<(&'static str, Vec<bool>)> = Vec::new();
    for (counted, flag) in FLAGS {
        let figure = figures(counted);
        hidden.push((flag, rows().map(|row| tells(figure(row), row)).collect()));
    }
    let state = rows().map(|row| hidden.iter().any(|(_, cells)| cells.get(row) == Some(&true)));
    let state = state.collect();
    hidden.push(("state", state));
    hidden
}
