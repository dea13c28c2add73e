//! The order of the stages; nothing else knows it.

mod account;
mod count;
mod database;
mod events;
mod evidence;
mod explain;
mod fill;
mod follow;
mod inputs;
mod list_files;
mod name_people;
mod notification_list;
mod outlook;
mod people;
mod prepare;
mod recompute;
mod registry_tables;
mod reports;
mod tables;
mod what_if;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::changes::Tables;
use crate::config::RunPlan;
use crate::database::Filled;
use crate::effort::Part;
use crate::error::Error;
use crate::impact::Table;
use crate::publish::{Filed, Publisher, Standing};
use crate::scan::Progress;
use crate::signature::PublicKey;
use crate::store::Io;

use account::check_rejects;
use count::{Counted, count_kept};
use fill::filled_ledger;
use follow::{Between, Followed, between, log_of, prepare_following};
use prepare::Prepared;
use tables::tables;

pub use events::events;
pub use explain::{
    EXPLAINED, EventSums, Explainable, Explained, FileShare, RowSums, Sums, explain,
};
pub use inputs::{Input, InputOf};
pub use name_people::Reread;
pub use notification_list::{ListRequest, ListSummary, notification_list};
pub use outlook::{Outlook, SourceOutlook, Unused, outlook, unused_packs};
pub use recompute::recompute;
pub use registry_tables::registry_table;
pub use what_if::{Answer, BrokenApp, Figures, Question, what_if};

/// A source whose files are about to be read.
#[derive(Clone, Copy, Debug)]
pub struct Scanning<'a> {
    pub source: &'a str,
    /// Which version is read; `None` of plain files.
    pub version: Option<&'a str>,
    pub files: u64,
    pub bytes: u64,
    /// Files that the ledger holds already.
    pub reused: u64,
}

/// What a run tells as it goes; the command line shows it.
pub trait Observer: Sync {
    /// A stage begins.
    fn stage(&self, name: &str);
    /// Files of a source are about to be read.
    fn scanning(&self, scanning: &Scanning<'_>);
    /// Something that the user should know and that does not end the run.
    fn warn(&self, text: &str);
    /// All that a run will read is pinned; `inputs` tells what it is.
    fn pinned(&self, inputs: &dyn Fn() -> Vec<Input>) {
        let _ = inputs;
    }
}

/// What a finished run says on its last line.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub run_id: String,
    pub verdict: String,
    pub tables: String,
    pub totals: Totals,
    pub reused: bool,
    /// What became of the run in the database; `None` where none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Filled>,
}

/// Figures of the `(all)` row; null where the report masks them.
#[derive(Clone, Copy, Debug, Default, Serialize, serde::Deserialize)]
pub struct Totals {
    pub requests_allowed: Option<i64>,
    pub subjects_observed: Option<u64>,
    pub groups: Option<u64>,
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
    let (prepared, followed) = prepare_following(plan, io, false)?;
    observer.pinned(&|| inputs::inputs(plan, &prepared));
    let database = database::look(plan, &prepared.queries, io, progress, observer)?;
    let mut summary = run_prepared(plan, (prepared, followed), None, io, progress, observer)?;
    if let Some(database) = database {
        let filled = database::fill(&database, plan, &summary.run_id, io, observer)?;
        summary.database = Some(filled);
    }
    Ok(summary)
}

/// The output, ours from here on.
///
/// # Errors
/// Storage failures, and a folder that holds something else.
fn open_output(plan: &RunPlan, io: &Io) -> Result<Publisher, Error> {
    const HINT: &str = "name another output folder with output.url or --output";
    Ok(Publisher::open(plan.output.open_or_create(io).map_err(|e| e.hint(HINT))?)?)
}

/// Runs what is prepared. With a table of changes, that one is taken if it says what has changed: it may
/// rest on rows that are not there any more.
fn run_prepared(
    plan: &RunPlan,
    (prepared, followed): (Prepared<'_>, Option<Followed>),
    changes: Option<Table>,
    io: &Io,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<Summary, Error> {
    for text in prepared.registry.without_effect() {
        observer.warn(&text);
    }
    let publisher = open_output(plan, io)?;
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
        make_known(plan, &publisher, &prepared.run_id)?;
        // What was doubtful then is doubtful now, and something may be since.
        let then = manifest.details.get("doubts").and_then(Value::as_array).into_iter().flatten();
        let then: Vec<&str> = then.filter_map(Value::as_str).collect();
        let now = evidence::of_tables(&prepared);
        let new = now.iter().map(String::as_str).filter(|text| !then.contains(text));
        then.iter().copied().chain(new).for_each(|text| observer.warn(text));
        let totals = manifest.details.get("totals").cloned().unwrap_or_default();
        let verdict = manifest.details.get("verdict").and_then(Value::as_str).unwrap_or("complete");
        return Ok(Summary {
            run_id: published.run_id,
            verdict: verdict.to_string(),
            tables: published.tables,
            totals: serde_json::from_value(totals).unwrap_or_default(),
            reused: true,
            database: None,
        });
    }
    let (ledger, scanned) = filled_ledger(plan, &prepared, io, progress, observer)?;
    let steps = match &followed {
        Some(followed) if changes.is_none() => {
            Some(between(plan, &prepared, followed, &ledger, &scanned, io, progress, observer)?)
        }
        _ => None,
    };
    observer.stage("counting");
    // Packs are read in smaller pieces than logs.
    io.keep_buffers(prepared.budget.prefetch / 4);
    let counted = count_kept(plan, &prepared, &ledger, scanned, progress, observer)?;
    check_rejects(plan, &prepared, &counted.filled, &counted.exposure)?;
    // Little is read from here on.
    io.keep_buffers(0);
    observer.stage("writing tables");
    let earlier = Earlier { followed, steps, changes };
    progress
        .effort
        .timed(Part::Tables, || finish(plan, &prepared, &publisher, counted, earlier, observer))
}

/// Lets others find a run that stands published: among those before, and as the latest.
fn make_known(plan: &RunPlan, publisher: &Publisher, run_id: &str) -> Result<(), Error> {
    if plan.history {
        publisher.add_to_history(run_id, plan.as_of)?;
    }
    Ok(publisher.point_latest(run_id, plan.as_of)?)
}

/// What came before a report.
struct Earlier {
    followed: Option<Followed>,
    steps: Option<Between>,
    changes: Option<Table>,
}

fn finish(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    publisher: &Publisher,
    mut counted: Counted,
    earlier: Earlier,
    observer: &dyn Observer,
) -> Result<Summary, Error> {
    let followed = earlier.followed.as_ref();
    if let Some(followed) = followed {
        follow::mark(&mut counted.coverage, prepared, &counted.filled, followed)?;
    }
    let mut files = publisher.files(&prepared.run_id);
    let mut new = Tables::new();
    let mut reports = reports::builder(plan, prepared, &counted, followed)?;
    let (tables, suppressed) =
        files.tables(plan.threads, |take| tables(plan, prepared, &mut counted, take))?;
    for Filed { table, parquet } in tables {
        reports.take(&table)?;
        new.insert(table.name.clone(), parquet);
    }
    let changes = log_of(prepared, followed, earlier.steps, earlier.changes, &new)?;
    files.tables(plan.threads, |take| {
        take(0, changes.clone());
        Ok::<(), Error>(())
    })?;
    reports.take(&changes)?;
    reports.finish(&files.outputs)?.iter().try_for_each(|report| files.add(report))?;
    let totals = evidence::totals(&counted.exposure, suppressed.as_ref());
    let verdict = if counted.is_complete() { "complete" } else { "incomplete" };
    for text in evidence::doubts(plan, prepared, &counted) {
        observer.warn(&text);
    }
    if suppressed.as_ref().is_some_and(|suppressed| !suppressed.together) {
        observer.warn(
            "there are too many masked figures to look at all their sums together (report.suppress_below): no sum by itself gives one back, several together might",
        );
    }
    let place = follow::place_of(followed);
    let told = evidence::Told { totals, verdict, report: &place, suppressed: suppressed.as_ref() };
    let details = evidence::manifest_details(plan, prepared, &counted, &files.outputs, &told);
    let (published, _) =
        publisher.publish(&prepared.run_id, plan.as_of, files, details, plan.signer.as_ref())?;
    make_known(plan, publisher, &prepared.run_id)?;
    Ok(Summary {
        run_id: published.run_id,
        verdict: verdict.into(),
        tables: published.tables,
        totals,
        reused: published.reused,
        database: None,
    })
}
