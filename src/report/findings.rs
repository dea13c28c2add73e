//! In which order findings, promises and thresholds are told: what weighs most comes first.

use std::cmp::Ordering;

use super::grid::Grid;

/// Findings from the heaviest to the lightest. One that is not here comes last.
const WEIGHTS: [&str; 5] =
    ["after_attestation", "after_revocation", "in_brownout", "without_grant", "after_grace"];

/// Promises from the worst to the best.
const VERDICTS: [&str; 4] = ["violated", "inconclusive", "not_attested", "clean"];

/// Thresholds from what obliges somebody to what does not.
const STATES: [&str; 5] = ["met", "met_by_upper_bound", "undecided", "no_number", "not_met"];

fn place(list: &[&str], found: Option<&str>) -> usize {
    list.iter().position(|name| Some(*name) == found).unwrap_or(list.len())
}

/// By kind, then by people, then by requests.
pub fn weight(grid: &Grid, a: usize, b: usize) -> Ordering {
    let kind = |row| place(&WEIGHTS, grid.text(row, "finding"));
    kind(a)
        .cmp(&kind(b))
        .then_with(|| grid.more("subjects_observed", a, b))
        .then_with(|| grid.more("requests_allowed", a, b))
}

/// By verdict, then by people reached since.
pub fn promises(grid: &Grid, a: usize, b: usize) -> Ordering {
    let verdict = |row| place(&VERDICTS, grid.text(row, "verdict"));
    verdict(a).cmp(&verdict(b)).then_with(|| grid.more("subjects_after", a, b))
}

/// By what follows from them, then by people.
pub fn thresholds(grid: &Grid, a: usize, b: usize) -> Ordering {
    let state = |row| place(&STATES, grid.text(row, "state"));
    state(a).cmp(&state(b)).then_with(|| grid.more("subjects_observed", a, b))
}
