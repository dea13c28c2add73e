//! Which input files a figure comes from.

mod cells;
mod conditions;
mod files;
mod groups;
mod places;
mod published;
mod row;
mod standing;
mod sums;
mod tables;
mod traced;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::count::Opened;
use super::fill::{Filled, files_left_out};
use super::follow::prepare_following;
use super::prepare::Prepared;
use crate::config::RunPlan;
use crate::error::Error;
use crate::impact;
use crate::ledger::Ledger;
use crate::scan::{Progress, Unreadable};
use crate::store::{Io, StoreErrorKind};

use conditions::{Asking, Conditions};
use row::{Key, Way};

pub use sums::{EventSums, FileShare, RowSums, Sums};
pub use tables::{EXPLAINED, Explainable};

/// A figure, and where it comes from: one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    pub run_id: String,
    pub table: String,
    /// What names the row, as the table shows it.
    pub key: Key,
    /// People are distinct over all files: no sum of theirs.
    pub sums: Sums,
    /// The row's figures as they stand published; null where the run or the row is not there, or where
    /// another row's ids read the same in CSV.
    pub published: Option<BTreeMap<String, i64>>,
    /// Numbers of the row that are not followed to files here, upper bounds among them.
    pub not_traced: Vec<String>,
    /// Files whose rows the ledger lacks: with `--allow-incomplete` none of them counts.
    pub files_left_out: u64,
    pub files: Vec<FileShare>,
    /// What the followed columns come out as; `None` where there is nothing to be counted.
    #[serde(skip)]
    figures: Vec<(String, Option<i64>)>,
}

impl Explained {
    /// Columns whose published figure is not what the files give.
    pub fn disagreements(&self) -> Vec<String> {
        let Some(published) = &self.published else { return Vec::new() };
        let differing = |(column, sum): &(String, Option<i64>)| {
            let (figure, sum) = (published.get(column)?, sum.as_ref()?);
            (figure != sum)
                .then(|| format!("{column} is published as {figure} and comes out as {sum}"))
        };
        self.figures.iter().filter_map(differing).collect()
    }
}

/// Sums over all files, and what each of them gives.
struct Shares {
    sums: Sums,
    files: Vec<FileShare>,
    /// By column.
    figures: Vec<(String, Option<i64>)>,
}

/// Explains one row of a table, which `conditions` (`column=value`) name. Only the ledger is read.
///
/// # Errors
/// Conditions that name no row of a table that can be explained, a ledger that does not hold all files,
/// and as [`super::run`].
pub fn explain(
    plan: &RunPlan,
    io: &Io,
    progress: &Arc<Progress>,
    table: &str,
    conditions: &[String],
) -> Result<Explained, Error> {
    let explainable = Explainable::find(table)?;
    let (mut prepared, followed) = prepare_following(plan, io, false)?;
    let given = Conditions::read(explainable, conditions)?;
    let mut row = (explainable.find)(&Asking { of: &given, prepared: &prepared })?;
    let (ledger, filled) = select(plan, io, &prepared)?;
    let files_left_out = files_left_out(&filled);
    // Nobody is counted for being a member here, and most rows do not ask where people live.
    prepared.memberships = None;
    prepared.residency = prepared.residency.filter(|_| row.asks_for_homes());
    // Groups are not listed.
    let few = RunPlan { groups_limit: Some(0), ..plan.clone() };
    let opened = Opened::open(&few, &prepared, &ledger, &filled, progress)?;
    let shares = match &row.way {
        Way::Events(events) => {
            let (key, figure) = (&mut row.key, events.resolve(plan, &prepared, &opened)?);
            key.extend(figure.key);
            traced::follow(&few, &prepared, (&opened, &filled), &figure.figure, events, progress)?
        }
        Way::Files(of) => {
            let followed = followed.as_ref();
            files::account(&few, (&prepared, followed), (&opened, &filled), of, progress)?
        }
    };
    let columns: Vec<&str> = shares.figures.iter().map(|(column, _)| column.as_str()).collect();
    let published = published::row(plan, io, &prepared.run_id, table, &row.key, &columns)?;
    Ok(Explained {
        run_id: prepared.run_id.clone(),
        table: table.to_string(),
        key: row.key,
        sums: shares.sums,
        published,
        not_traced: not_traced(table, &columns)?,
        files_left_out,
        files: shares.files,
        figures: shares.figures,
    })
}

/// Numbers of a table's rows beside those of `columns`.
fn not_traced(table: &str, columns: &[&str]) -> Result<Vec<String>, Error> {
    let specs = impact::specs()?;
    let of_table = specs.into_iter().filter(|spec| spec.name == table);
    let numbers = of_table.flat_map(|spec| spec.columns).filter(|column| {
        column.data_type.is_number()
            && !column.always_null
            && !columns.contains(&column.name.as_str())
    });
    Ok(numbers.map(|column| column.name).collect())
}

/// What the ledger holds of every file.
///
/// # Errors
/// A ledger that does not hold all of them.
pub(super) fn select(
    plan: &RunPlan,
    io: &Io,
    prepared: &Prepared<'_>,
) -> Result<(Ledger, Vec<Filled>), Error> {
    let lacks = |files: usize, source: &str| {
        Error::argument(
            format!("the ledger {}", plan.state),
            format!(
                "it lacks {files} files of source `{source}`\nrun `afterscope run` with the same configuration: it reads them (again) into the ledger, also where the report stands published, if another --output is named"
            ),
        )
    };
    let store = match plan.state.open(io) {
        Ok(store) => store,
        Err(error) if error.kind == StoreErrorKind::NotFound => {
            let first = prepared.sources.first();
            let (files, name) = first.map_or((0, ""), |s| (s.wanted.files.len(), &s.plan.name));
            return Err(lacks(files, name));
        }
        Err(error) => return Err(error.into()),
    };
    let ledger = Ledger::read_only(store);
    let packs = ledger.packs()?;
    let mut filled = Vec::with_capacity(prepared.sources.len());
    for source in &prepared.sources {
        let selection = source.wanted.select(&packs);
        if !selection.missing.is_empty() && !plan.allow_incomplete {
            return Err(lacks(selection.missing.len(), &source.plan.name));
        }
        // A run that went on without them could not read them.
        let missing = selection.missing.iter().filter_map(|i| source.snapshot.files.get(*i));
        let reason = "the ledger lacks it";
        let unreadable =
            missing.map(|file| Unreadable::new(file.path.clone(), reason.into())).collect();
        filled.push(Filled { selection, unreadable });
    }
    Ok((ledger, filled))
}
