//! A figure of events, followed to the files that they stand in.

use std::collections::BTreeMap;

use super::super::count::Opened;
use super::super::fill::Filled;
use super::super::prepare::Prepared;
use super::row::Events;
use super::sums::{EventSums, Files, Sums};
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::{self, Figure};
use crate::scan::Progress;

/// # Errors
/// Damaged packs, sums that overflow, interruption.
pub fn follow(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    (opened, filled): (&Opened, &[Filled]),
    figure: &Figure,
    events: &Events,
    progress: &Progress,
) -> Result<super::Shares, Error> {
    let file_of = |source: usize, unit: u32| {
        let units = filled.get(source).map(|filled| &filled.selection.units);
        let at =
            usize::try_from(unit).ok().and_then(|unit| units.and_then(|units| units.get(unit)));
        at.map_or(usize::MAX, |(file, _)| *file)
    };
    let settings = opened.settings(plan, prepared, progress);
    let trace = exposure::trace(&opened.rows, &settings, figure, file_of)?;
    let mut total = exposure::Shares::default();
    let mut files: BTreeMap<(usize, usize), (exposure::Shares, Vec<usize>)> = BTreeMap::new();
    for ((source, unit), shares) in &trace.units {
        total.merge(shares)?;
        let (sum, units) = files.entry((*source, file_of(*source, *unit))).or_default();
        sum.merge(shares)?;
        units.extend(usize::try_from(*unit));
    }
    let told: Vec<Files<'_>> =
        prepared.sources.iter().zip(filled).map(|(of, filled)| Files::new(of, filled)).collect();
    let files = files.into_iter().filter_map(|((source, file), (sum, units))| {
        let people = trace.people.get(&(source, file)).copied().unwrap_or(0);
        let sums = Sums::Events(EventSums::of(&sum, people));
        Some(told.get(source)?.share(Some(file), units.into_iter(), sums))
    });
    let sums = EventSums::of(&total, trace.subjects);
    let figures = events.columns.iter().map(|(of, name)| (name.clone(), Some(sums.measure(*of))));
    Ok(super::Shares {
        sums: Sums::Events(sums),
        files: files.collect(),
        figures: figures.collect(),
    })
}
