//! The order of the stages; nothing else knows it.

mod account;
mod count;
mod evidence;
mod explain;
mod explain_key;
mod fill;
mod outlook;
mod people;
mod prepare;
mod recompute;
mod reports;
mod what_if;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use serde_json::Value;

use crate::config::RunPlan;
use crate::error::Error;
use crate::impact::{self, Report};
use crate::ledger::Ledger;
use crate::moment::DAY_MICROS;
use crate::publish::{Publisher, Standing};
use crate::scan::Progress;
use crate::signature::PublicKey;
use crate::store::Io;

use count::{Counted, count};
use fill::fill_ledger;
use prepare::{Prepared, prepare};

pub use explain::{EXPLAINED, Explained, FileShare, Sums, explain};
pub use outlook::{Outlook, SourceOutlook, Unused, outlook, unused_packs};
pub use recompute::recompute;
pub use what_if::{Answer, BrokenApp, Figures, Question, what_if};

/// What to do about a folder that cannot be used.
const OUTPUT: &str = "name another output folder with output.url or --output";
const STATE: &str = "name another folder for the ledger with state.url or --state";

/// What a run tells as it goes; the command line shows it.
pub trait Observer: Sync {
    /// A stage begins.
    fn stage(&self, name: &str);
    /// Files of a source are about to be read: how many, their bytes, and how many the ledger holds
    /// already.
    fn scanning(&self, source: &str, files: u64, bytes: u64, reused: u64);
    /// Something that the user should know and that does not end the run.
    fn warn(&self, text: &str);
}

/// What a finished run says on its last line.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub run_id: String,
    pub verdict: String,
    pub tables: String,
    pub totals: Totals,
    pub reused: bool,
}

/// Figures of the `(all)` row.
#[derive(Clone, Copy, Debug, Default, Serialize, serde::Deserialize)]
pub struct Totals {
    pub requests_allowed: i64,
    pub subjects_observed: u64,
    pub groups: u64,
    pub apps: u64,
}

/// Runs the job.
///
/// # Errors
/// Everything in [`Error`].
pub fn run(
    plan: &RunPlan,
    io: &Io,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<Summary, Error> {
    observer.stage("listing files");
    let prepared = prepare(plan, io, false)?;
    for text in prepared.registry.without_effect() {
        observer.warn(&text);
    }
    let publisher = Publisher::open(plan.output.open_or_create(io).map_err(|e| e.hint(OUTPUT))?)?;
    let standing = publisher.find(&prepared.run_id)?;
    if matches!(standing, Standing::Broken) {
        observer.warn(&format!(
            "run {} stands published and no longer holds: its manifest, its signature or a table was altered or damaged; it is published anew",
            prepared.run_id
        ));
    }
    // A signature vouches for figures: what stands without it is counted again first.
    let vouched = |by: &Option<PublicKey>| {
        plan.signer.as_ref().is_none_or(|signer| by.as_ref() == Some(&signer.public_key()))
    };
    if let Standing::Whole(manifest, signed_by) = standing
        && vouched(&signed_by)
    {
        let published = publisher.standing(&prepared.run_id);
        publisher.point_latest(&prepared.run_id, plan.as_of)?;
        // What was doubtful then is doubtful now.
        let doubts = manifest.details.get("doubts").and_then(Value::as_array).into_iter().flatten();
        doubts.filter_map(Value::as_str).for_each(|text| observer.warn(text));
        let totals = manifest.details.get("totals").cloned().unwrap_or_default();
        let verdict = manifest.details.get("verdict").and_then(Value::as_str).unwrap_or("complete");
        return Ok(Summary {
            run_id: published.run_id,
            verdict: verdict.to_string(),
            tables: published.tables,
            totals: serde_json::from_value(totals).unwrap_or_default(),
            reused: true,
        });
    }
    let ledger = Ledger::open(plan.state.open_or_create(io).map_err(|e| e.hint(STATE))?)?;
    let scanned = fill_ledger(plan, &prepared, &ledger, progress, observer)?;
    if progress.stop.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    observer.stage("counting");
    let counted = count(plan, &prepared, &ledger, scanned, progress)?;
    observer.stage("writing tables");
    finish(plan, &prepared, &publisher, counted, observer)
}

fn finish(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    publisher: &Publisher,
    mut counted: Counted,
    observer: &dyn Observer,
) -> Result<Summary, Error> {
    let complete = counted.filled.iter().all(|f| f.unreadable.is_empty());
    let lookback = i64::from(plan.lookback_days).saturating_mul(DAY_MICROS);
    let report = Report {
        registry: &prepared.registry,
        exposure: &counted.exposure,
        coverage: &counted.coverage,
        group_namespaces: &counted.group_namespaces,
        residences: &counted.residences,
        incident: plan.incident.clone(),
        zone: plan.registry.zone,
        has_fields: plan.sources.iter().any(|s| s.mapping.fields.is_some()),
        as_of: plan.as_of,
        lookback_from: plan.as_of.plus_micros(-lookback),
        lookback_days: plan.lookback_days,
        complete,
    };
    let frames = impact::build_frames(&report).map_err(|e| impact::ImpactError::Output {
        table: "frames".into(),
        reason: e.to_string(),
    })?;
    // The frames hold them now.
    counted.exposure.groups = Vec::new();
    counted.exposure.cells.iter_mut().for_each(|cell| cell.days = Vec::new());
    let mut files = Vec::with_capacity(prepared.queries.len() * 2 + 2);
    let mut reports = reports::builder(plan, prepared, &counted)?;
    impact::run(&prepared.queries, frames, |table| {
        files.push(table.parquet()?);
        files.push(table.csv()?);
        reports.take(&table)?;
        Ok::<(), Error>(())
    })?;
    files.extend(reports.finish(&files)?);
    let totals = evidence::totals(&counted.exposure);
    let verdict = if complete { "complete" } else { "incomplete" };
    for text in evidence::doubts(plan, prepared, &counted) {
        observer.warn(&text);
    }
    let details = evidence::manifest_details(plan, prepared, &counted, &files, totals, verdict);
    let (published, _) =
        publisher.publish(&prepared.run_id, plan.as_of, &files, details, plan.signer.as_ref())?;
    publisher.point_latest(&prepared.run_id, plan.as_of)?;
    Ok(Summary {
        run_id: published.run_id,
        verdict: verdict.into(),
        tables: published.tables,
        totals,
        reused: published.reused,
    })
}
