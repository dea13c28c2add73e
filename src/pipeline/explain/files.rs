//! Rows of `coverage`: what became of the rows of whole files, as the table itself sums them up.

use std::collections::BTreeMap;

use super::super::account::account as account_for;
use super::super::count::Opened;
use super::super::fill::Filled;
use super::super::follow::{FileSince, Followed, files_since};
use super::super::prepare::Prepared;
use super::Shares;
use super::conditions::{Asking, Id};
use super::row::{Key, Row, Way};
use super::sums::{Files, RowSums, Sums};
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::count;
use crate::impact::{DayCoverage, SinceReport, escaped};
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
        (source, shown) = (Some(0), escaped(&only.plan.name).into_owned());
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
/// As [`count`]; rows that are not conserved; a followed report of another form.
pub fn account(
    plan: &RunPlan,
    (prepared, followed): (&Prepared<'_>, Option<&Followed>),
    (opened, filled): (&Opened, &[Filled]),
    of: &FilesOf,
    progress: &Progress,
) -> Result<Shares, Error> {
    let exposure = count(&opened.rows, &opened.settings(plan, prepared, progress))?;
    let since = followed.map(|followed| files_since(prepared, filled, followed)).transpose()?;
    let (mut total, mut bytes) = (DayCoverage::default(), 0);
    total.since = since.is_some().then(SinceReport::default);
    let mut files = Vec::new();
    for (index, (source, filled)) in prepared.sources.iter().zip(filled).enumerate() {
        if of.source.is_some_and(|only| only != index) {
            continue;
        }
        let since = since.as_ref().map(|since| by_file(since.get(index)));
        let told = Files::new(source, filled);
        for mut file in account_for(index, source, filled, &exposure)? {
            if of.day.is_some_and(|day| day != file.day) {
                continue;
            }
            if let Some(since) = &since {
                let own = file.file.and_then(|number| since.get(&(number, file.day)));
                file.became.since = Some(own.copied().unwrap_or_default());
            }
            let pin = file.file.and_then(|number| source.wanted.files.get(number));
            let size = pin.map_or(0, |(_, pin)| pin.size);
            total.add(&file.became);
            bytes += size;
            let sums = Sums::Rows(RowSums::of(&file.became, size));
            files.push(told.share(file.file, file.units, sums));
        }
    }
    let sums = RowSums::of(&total, bytes);
    let figure = |(name, number): (&str, Option<u64>)| {
        (name.to_string(), number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    };
    Ok(Shares {
        sums: Sums::Rows(sums),
        files,
        figures: sums.figures().into_iter().map(figure).collect(),
    })
}

/// What files are to the followed report, by number and day.
fn by_file(files: Option<&Vec<FileSince>>) -> BTreeMap<(usize, Option<i64>), SinceReport> {
    files.into_iter().flatten().map(|of| ((of.file, of.day), of.since)).collect()
}
