//! Which input files a figure comes from.

use std::collections::BTreeMap;

use serde::Serialize;

use super::count::{open_rows, temp_dir};
use super::explain_key::Wanted;
use super::follow::prepare_following;
use super::prepare::Prepared;
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::{self, Rules, Settings, Share, Shares, Window};
use crate::impact::csv_cell;
use crate::ledger::{Ledger, Selection};
use crate::publish::Publisher;
use crate::scan::Progress;
use crate::store::{Io, StoreErrorKind};

/// A table whose figures can be explained.
pub struct Explainable {
    pub table: &'static str,
    /// Columns that name a row. `window` is none of a table: it takes the figures of one of the windows.
    pub key: &'static [&'static str],
    /// Columns of the row's figures, in the order of [`Sums::figures`], as far as it has them.
    figures: [&'static str; 5],
}

pub const EXPLAINED: [Explainable; 8] = [
    Explainable { table: "scope_summary", key: &["scope", "window"], figures: FIGURES },
    Explainable {
        table: "app_scope_exposure",
        key: &["scope", "app_id", "window"],
        figures: FIGURES,
    },
    Explainable {
        table: "developer_exposure",
        key: &["scope", "developer_id", "window"],
        figures: FIGURES,
    },
    Explainable {
        table: "daily_timeline",
        key: &["scope", "app_id", "day"],
        figures: ["requests_allowed", "subjects_observed", "", "", ""],
    },
    Explainable {
        table: "deletion_verification",
        key: &["scope", "app_id", "attested_at"],
        figures: [
            "requests_after",
            "subjects_after",
            "",
            "requests_denied_after",
            "requests_unknown_after",
        ],
    },
    Explainable {
        table: "findings",
        key: &["scope", "app_id", "finding"],
        figures: ["requests_allowed", "subjects_observed", "", "", ""],
    },
    Explainable {
        table: "groups_exposed",
        key: &["scope", "namespace", "group_id"],
        figures: ["requests_allowed", "subjects_observed", "", "", ""],
    },
    Explainable {
        table: "data_categories",
        key: &["scope", "data_category"],
        figures: ["", "subjects_observed", "", "", ""],
    },
];

const FIGURES: [&str; 5] = [
    "requests_allowed",
    "subjects_observed",
    "requests_held_only",
    "requests_denied",
    "requests_unknown",
];

impl Explainable {
    fn find(table: &str) -> Option<&'static Self> {
        EXPLAINED.iter().find(|known| known.table == table)
    }

    /// Where the figures of the row, or of one of its windows, stand.
    fn columns(&self, window: Option<Window>) -> [String; 5] {
        match window.filter(|_| self.key.contains(&"window")) {
            None => self.figures.map(str::to_string),
            Some(window) => {
                let of = |what: &str| format!("{what}_{}", window.name());
                [of("requests"), of("subjects"), String::new(), String::new(), String::new()]
            }
        }
    }
}

/// A figure, and where it comes from: one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    pub run_id: String,
    pub table: String,
    /// What names the row, as the table shows it.
    pub key: BTreeMap<String, Option<String>>,
    /// People are distinct over all files: no sum of theirs.
    pub sums: Sums,
    /// The row's figures as they stand published; null where the run or the row is not there, or where
    /// another row's ids read the same in CSV.
    pub published: Option<BTreeMap<String, i64>>,
    pub files: Vec<FileShare>,
    /// Columns of the figures, in the order of [`Sums::figures`].
    #[serde(skip)]
    columns: [String; 5],
}

/// What one input file gives to a figure.
#[derive(Clone, Debug, Serialize)]
pub struct FileShare {
    pub source: String,
    pub url: String,
    /// The packs of the ledger that its rows were taken from.
    pub packs: Vec<String>,
    pub row_groups: Vec<u32>,
    #[serde(flatten)]
    pub sums: Sums,
}

/// Rows, the sums of their weights by what became of them, and the people of those that are exposure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    pub rows_allowed: u64,
    pub rows_held_only: u64,
    pub rows_denied: u64,
    pub rows_unknown: u64,
    pub rows_deduplicated: u64,
    pub requests_allowed: i64,
    pub requests_held_only: i64,
    pub requests_denied: i64,
    pub requests_unknown: i64,
    /// Distinct people of the allowed rows.
    pub subjects_observed: u64,
}

impl Sums {
    fn of(shares: &Shares, subjects_observed: u64) -> Self {
        let rows = |share: Share| shares.rows.get(share as usize).copied().unwrap_or(0);
        let requests = |share: Share| shares.requests.get(share as usize).copied().unwrap_or(0);
        Self {
            rows_allowed: rows(Share::Allowed),
            rows_held_only: rows(Share::HeldOnly),
            rows_denied: rows(Share::Denied),
            rows_unknown: rows(Share::Unknown),
            rows_deduplicated: rows(Share::Deduplicated),
            requests_allowed: requests(Share::Allowed),
            requests_held_only: requests(Share::HeldOnly),
            requests_denied: requests(Share::Denied),
            requests_unknown: requests(Share::Unknown),
            subjects_observed,
        }
    }

    fn figures(&self) -> [i64; 5] {
        [
            self.requests_allowed,
            i64::try_from(self.subjects_observed).unwrap_or(i64::MAX),
            self.requests_held_only,
            self.requests_denied,
            self.requests_unknown,
        ]
    }
}

/// Explains one row of a table, which `conditions` (`column=value`) name. Only the ledger is read.
///
/// # Errors
/// Conditions that name no row of a table that can be explained, a ledger that does not hold all files,
/// and as [`super::run`].
pub fn explain(
    plan: &RunPlan,
    io: &Io,
    progress: &Progress,
    table: &str,
    conditions: &[String],
) -> Result<Explained, Error> {
    let Some(explainable) = Explainable::find(table) else {
        let known: Vec<&str> = EXPLAINED.iter().map(|known| known.table).collect();
        return Err(Error::argument(
            format!("--table {table}"),
            format!("its figures cannot be explained; those of {} can", known.join(", ")),
        ));
    };
    let (prepared, _) = prepare_following(plan, io, false)?;
    let mut wanted = Wanted::read(explainable, conditions, &prepared)?;
    let columns = explainable.columns(wanted.figure.window);
    let (ledger, selections) = select(plan, io, &prepared)?;
    let rows = open_rows(&prepared, &ledger, selections.iter())?;
    wanted.find_group(&prepared, &rows, &plan.keyer)?;
    let temp = temp_dir(plan)?;
    let settings = Settings {
        rules: Rules::new(&prepared.registry, plan.as_of, plan.lookback_days),
        keyer: &plan.keyer,
        group_kinds: Vec::new(),
        groups_limit: Some(0),
        people: None,
        budget: prepared.budget,
        threads: 1,
        temp: &temp,
        stop: &progress.stop,
    };
    let file_of = |source: usize, unit: u32| {
        let units = selections.get(source).map(|selection| &selection.units);
        let at =
            usize::try_from(unit).ok().and_then(|unit| units.and_then(|units| units.get(unit)));
        at.map_or(usize::MAX, |(file, _)| *file)
    };
    let trace = exposure::trace(&rows, &settings, &wanted.figure, file_of)?;
    let mut total = Shares::default();
    let mut files: BTreeMap<(usize, usize), (Shares, FileShare)> = BTreeMap::new();
    for ((source, unit), shares) in &trace.units {
        total.merge(shares)?;
        let (Some(of), Some(selection)) = (prepared.sources.get(*source), selections.get(*source))
        else {
            continue;
        };
        let at = usize::try_from(*unit).unwrap_or(usize::MAX);
        let Some((file, record)) = selection.units.get(at) else { continue };
        let (sum, share) = files.entry((*source, *file)).or_insert_with(|| {
            let url = of.wanted.files.get(*file).map(|(url, _)| url.clone()).unwrap_or_default();
            let share = FileShare {
                source: of.plan.name.clone(),
                url,
                packs: Vec::new(),
                row_groups: Vec::new(),
                sums: Sums::default(),
            };
            (Shares::default(), share)
        });
        sum.merge(shares)?;
        share.row_groups.push(record.row_group);
        let serves = |(_, units): &&(_, Vec<u32>)| units.contains(unit);
        if let Some((pack, _)) = selection.packs.iter().find(serves)
            && !share.packs.contains(&pack.name)
        {
            share.packs.push(pack.name.clone());
        }
    }
    let files = files.into_iter().map(|(file, (sum, share))| {
        let people = trace.people.get(&file).copied().unwrap_or(0);
        FileShare { sums: Sums::of(&sum, people), ..share }
    });
    let sums = Sums::of(&total, trace.subjects);
    let published = published(plan, io, &prepared.run_id, table, &wanted.key, &columns)?;
    Ok(Explained {
        run_id: prepared.run_id.clone(),
        table: table.to_string(),
        key: wanted.key,
        sums,
        published,
        files: files.collect(),
        columns,
    })
}

impl Explained {
    /// Columns whose published figure is not what the files give.
    pub fn disagreements(&self) -> Vec<String> {
        let Some(published) = &self.published else { return Vec::new() };
        let pairs = self.columns.iter().zip(self.sums.figures());
        pairs
            .filter_map(|(column, sum)| {
                let figure = published.get(column)?;
                (*figure != sum)
                    .then(|| format!("{column} is published as {figure} and comes out as {sum}"))
            })
            .collect()
    }
}

/// What the ledger holds of every file.
fn select(
    plan: &RunPlan,
    io: &Io,
    prepared: &Prepared<'_>,
) -> Result<(Ledger, Vec<Selection>), Error> {
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
    let mut selections = Vec::with_capacity(prepared.sources.len());
    for source in &prepared.sources {
        let selection = source.wanted.select(&packs);
        if !selection.missing.is_empty() && !plan.allow_incomplete {
            return Err(lacks(selection.missing.len(), &source.plan.name));
        }
        selections.push(selection);
    }
    Ok((ledger, selections))
}

/// The figures of the row as they stand in the run's table.
fn published(
    plan: &RunPlan,
    io: &Io,
    run_id: &str,
    table: &str,
    key: &BTreeMap<String, Option<String>>,
    columns: &[String],
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
        .filter(|(name, _)| *name != "window")
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
        let figure = |name: &String| {
            let value = record.get(at(name)?)?.parse().ok()?;
            Some((name.clone(), value))
        };
        // Two ids can read alike in CSV; then nobody knows which row is the one that is asked for.
        if found.replace(columns.iter().filter_map(figure).collect()).is_some() {
            return Ok(None);
        }
    }
    Ok(found)
}
