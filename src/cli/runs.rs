//! `afterscope runs` and `afterscope show`.

use std::cmp::Reverse;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::args::{Global, LogFormat, RunsArgs, RunsFormat, ShowArgs};
use super::run::{Runtime, findings};
use super::terminal::{self, number};
use super::which::{plan_of, run_of};
use super::{Failure, grid, print_bytes, print_json, print_line};
use crate::config::raw;
use crate::error::Error;
use crate::moment::Moment;
use crate::pipeline::{Summary, Totals};
use crate::publish::{Manifest, merkle};
use crate::store::StoreUrl;
use crate::verify::{Place, VerifyError};

/// A published run.
#[derive(Debug, Serialize)]
struct Told {
    run_id: String,
    as_of: String,
    verdict: String,
    /// Of the report, within those that follow each other.
    number: Option<u64>,
    /// Id of the run that the report follows.
    follows: Option<String>,
    is_latest: bool,
    totals: Totals,
}

fn told(manifest: &Manifest, latest: &str) -> Told {
    let details = &manifest.details;
    let text = |pointer: &str| details.pointer(pointer).and_then(Value::as_str).map(str::to_string);
    let totals = details.get("totals").cloned().unwrap_or_default();
    Told {
        run_id: manifest.run_id.clone(),
        as_of: merkle::as_of(details).to_string(),
        verdict: text("/verdict").unwrap_or_else(|| "complete".into()),
        number: details.pointer("/report/number").and_then(Value::as_u64),
        follows: text("/report/follows/run_id"),
        is_latest: latest == manifest.run_id,
        totals: serde_json::from_value(totals).unwrap_or_default(),
    }
}

pub fn list(args: &RunsArgs, global: &Global) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let output = match &args.output {
        Some(address) => StoreUrl::parse(address, Path::new("."), &raw::Store::default())
            .map_err(|reason| Error::argument("--output", reason))?,
        None => plan_of(&args.config)?.output,
    };
    let place = Place::find(&output, &runtime.io)?;
    let latest = place.run.rsplit('/').next().unwrap_or_default();
    let runs = place.runs()?.unwrap_or_else(|| vec![place.clone()]);
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for run in runs {
        match run.manifest() {
            Ok(manifest) => found.push(told(&manifest, latest)),
            Err(VerifyError::Differs(what)) => damaged.push(what),
            Err(error) => return Err(error.into()),
        }
    }
    found.sort_by_cached_key(|run| {
        Reverse((Moment::parse_rfc3339(&run.as_of), run.is_latest, run.number, run.run_id.clone()))
    });
    match args.format {
        RunsFormat::Json => print_json(serde_json::to_string_pretty(&found))?,
        RunsFormat::Table => print_bytes(shown(&found).as_bytes())?,
    }
    damaged.iter().for_each(|what| terminal::warning(what, global));
    match damaged.first() {
        None => Ok(()),
        Some(first) => Err(VerifyError::Differs(first.clone()).into()),
    }
}

fn shown(runs: &[Told]) -> String {
    let headings =
        ["run", "as of", "verdict", "report", "follows", "requests", "people", "groups", "apps"];
    let dash = || "-".to_string();
    let rows = runs.iter().map(|run| {
        let Totals { requests_allowed, subjects_observed, groups, apps } = run.totals;
        vec![
            Some(format!("{}{}", run.run_id, if run.is_latest { " (latest)" } else { "" })),
            Some(run.as_of.clone()),
            Some(run.verdict.clone()),
            Some(run.number.map_or_else(dash, number)),
            Some(run.follows.clone().unwrap_or_else(dash)),
            Some(requests_allowed.map_or_else(dash, number)),
            Some(subjects_observed.map_or_else(dash, number)),
            Some(groups.map_or_else(dash, number)),
            Some(number(apps)),
        ]
    });
    let is_number = [false, false, false, true, false, true, true, true, true];
    let columns = headings
        .iter()
        .zip(is_number)
        .map(|(heading, is_number)| grid::Column { heading: (*heading).to_string(), is_number });
    grid::render(&columns.collect::<Vec<_>>(), &rows.collect::<Vec<_>>(), grid::width())
}

pub fn show(args: &ShowArgs, global: &Global) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let place = run_of(args.run.as_deref(), &args.config, &runtime.io)?;
    let manifest = place.manifest()?;
    let Told { run_id, verdict, totals, .. } = told(&manifest, "");
    let tables = place.shown("tables");
    let summary = Summary { run_id, verdict, tables, totals, reused: true, database: None };
    if !global.quiet && global.log_format == LogFormat::Text {
        findings(&summary, |file| {
            let path = format!("tables/{file}");
            let is_there = manifest.outputs.iter().any(|output| output.path == path);
            Ok(is_there.then(|| place.output(&manifest, &path)).transpose()?)
        })?;
    }
    print_line(&summary)
}
