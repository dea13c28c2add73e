//! Rows of `coverage`: what became of the rows of whole files, as the table itself sums them up.

use super::super::account::account as account_for;
use super::super::count::Opened;
use super::super::fill::Filled;
use super::super::prepare::Prepared;
use super::conditions::{Asking, Id};
use super::row::{Key, Row, Way};
use super::sums::{Files, RowSums, Sums};
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::count;
use crate::impact::DayCoverage;
use crate::moment::day_to_date;
use crate::scan::Progress;

/// Which files are asked for.
pub struct FilesOf {
    /// Index of the source; `None` for all.
    source: Option<usize>,
    /// Their day; `None` for all, `Some(None)` for those without one.
    day: Option<Option<i64>>,
}

/// A row of `coverage`.
pub fn files(asking: &Asking<'_>) -> Result<Row, Error> {
    let sources = &asking.prepared.sources;
    let id = asking.of.id("source");
    let mut shown = id.shown().unwrap_or_default();
    let mut source = match id {
        Id::All => None,
        id => {
            let name = id.into_one().unwrap_or_default();
            let found = sources.iter().position(|source| source.plan.name == name);
            let names: Vec<&str> = sources.iter().map(|s| s.plan.name.as_str()).collect();
            Some(found.ok_or_else(|| {
                Error::argument(
                    format!("--where source={name}"),
                    format!("no source is named so; there are {}", names.join(", ")),
                )
            })?)
        }
    };
    let day = match asking.of.get("file_day") {
        None => None,
        Some("") => Some(None),
        Some(_) => Some(asking.of.moment("file_day")?.map(|at| at.day())),
    };
    // There is no row of a day of all sources.
    if day.is_some() && source.is_none() {
        let [only] = sources.as_slice() else {
            return Err(Error::argument(
                "--where file_day",
                "a row of one day is of one source; give source=…",
            ));
        };
        (source, shown) = (Some(0), crate::impact::escaped(&only.plan.name).into_owned());
    }
    let grain = match (source, day) {
        (None, _) => "all",
        (Some(_), None) => "source",
        (Some(_), Some(_)) => "source_day",
    };
    let key = Key::from([
        // Totals have no day, and neither have some files.
        ("grain".to_string(), Some(grain.to_string())),
        ("source".to_string(), Some(shown)),
        ("file_day".to_string(), day.flatten().map(day_to_date)),
    ]);
    Ok(Row { key, way: Way::Files(FilesOf { source, day }) })
}

/// Counts every row anew, and sums up what became of those of the files.
///
/// # Errors
/// As [`count`]; rows that are not conserved.
pub fn account(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    opened: &Opened,
    filled: Vec<Filled>,
    of: &FilesOf,
    progress: &Progress,
) -> Result<super::Shares, Error> {
    let exposure = count(&opened.rows, &opened.settings(plan, prepared, progress))?;
    let (mut total, mut bytes) = (DayCoverage::default(), 0);
    let mut files = Vec::new();
    for (index, (source, filled)) in prepared.sources.iter().zip(&filled).enumerate() {
        if of.source.is_some_and(|only| only != index) {
            continue;
        }
        let told = Files::new(source, filled);
        for file in account_for(index, source, filled, &exposure)? {
            if of.day.is_some_and(|day| day != file.day) {
                continue;
            }
            let pin = file.file.and_then(|file| source.wanted.files.get(file));
            let size = pin.map_or(0, |(_, pin)| pin.size);
            total.add(&file.became);
            bytes += size;
            let sums = Sums::Rows(RowSums::of(&file.became, size));
            files.push(told.share(file.file, file.units, sums));
        }
    }
    let sums = RowSums::of(&total, bytes);
    let figure =
        |(name, rows): (&str, u64)| (name.to_string(), i64::try_from(rows).unwrap_or(i64::MAX));
    Ok(super::Shares {
        sums: Sums::Rows(sums),
        files,
        figures: sums.figures().into_iter().map(figure).collect(),
    })
}
