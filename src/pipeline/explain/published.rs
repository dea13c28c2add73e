//! A row's figures as they stand published.

use std::collections::BTreeMap;

use super::row::Key;
use super::tables::PARTS;
use crate::config::RunPlan;
use crate::error::Error;
use crate::impact::csv_cell;
use crate::publish::Publisher;
use crate::store::{Io, StoreErrorKind};

/// The figures of the row in the run's table; `None` where nobody knows which row that is.
///
/// # Errors
/// Storage failures.
pub fn row(
    plan: &RunPlan,
    io: &Io,
    run_id: &str,
    table: &str,
    key: &Key,
    columns: &[&str],
) -> Result<Option<BTreeMap<String, i64>>, Error> {
    let store = match plan.output.open(io) {
        Ok(store) => store,
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(csv) = Publisher::look(store).table(run_id, &format!("{table}.csv"))? else {
        return Ok(None);
    };
    let mut reader = csv::Reader::from_reader(csv.as_ref());
    let headers = reader.headers().cloned().unwrap_or_default();
    let at = |name: &str| headers.iter().position(|header| header == name);
    let cell =
        |value: &Option<String>| value.as_deref().map(csv_cell).unwrap_or_default().into_owned();
    let wanted: Vec<(Option<usize>, String)> = key
        .iter()
        .filter(|(name, _)| !PARTS.contains(&name.as_str()))
        .map(|(name, value)| (at(name), cell(value)))
        .collect();
    let mut found = None;
    for record in reader.records().flatten() {
        let fits = |(at, value): &(Option<usize>, String)| {
            at.and_then(|at| record.get(at)).is_some_and(|cell| cell == value)
        };
        if !wanted.iter().all(fits) {
            continue;
        }
        let figure = |name: &&str| {
            let value = record.get(at(name)?)?.parse().ok()?;
            Some(((*name).to_string(), value))
        };
        // Two ids can read alike in CSV; then nobody knows which row is the one that is asked for.
        if found.replace(columns.iter().filter_map(figure).collect()).is_some() {
            return Ok(None);
        }
    }
    Ok(found)
}
