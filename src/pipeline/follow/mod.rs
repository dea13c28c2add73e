//! The report that a run follows, and from what each changed figure comes.
//!
//! The earlier report is counted again from the ledger, with today's registry and settings; then one thing
//! after another is let in: another mapping, what a table tells of its history, rewritten files, files that
//! are gone, late files, a later `as_of`. What changes with a step has that step as its cause. No log file is
//! opened for it: what the ledger does not hold any more cannot be told apart, and its causes are named
//! together.

mod states;

use bytes::Bytes;
use serde_json::{Value, json};

use super::prepare::{Prepared, prepare};
use crate::changes::{Log, Step, Tables};
use crate::config::shape::did_you_mean;
use crate::config::{Follows, RunPlan};
use crate::error::Error;
use crate::impact::{self, CHANGE_LOG, Table};
use crate::moment::Moment;
use crate::publish::{Manifest, Publisher, sha256};
use crate::store::Io;
use crate::verify::VerifyError;

pub use states::{Between, FileSince, between, files_since, mark};

/// The report that this one follows.
#[derive(Debug)]
pub struct Followed {
    publisher: Publisher,
    pub manifest: Manifest,
    pub manifest_sha256: String,
    pub as_of: Moment,
    /// Its number.
    pub number: u64,
}

impl Followed {
    /// # Errors
    /// Where there is no such report, or it is not what its manifest says.
    pub fn open(publisher: Publisher, run_id: &str) -> Result<Self, Error> {
        let unusable = |reason| unusable(run_id, reason);
        let Some(bytes) = publisher.manifest(run_id)? else {
            let runs = publisher.runs()?;
            let known = ["latest", "none"].into_iter().chain(runs.iter().map(String::as_str));
            let hint = did_you_mean(run_id, known);
            return Err(unusable(format!(
                "{} holds no such report{hint}\nname one of its folder runs/, or latest, or none",
                publisher.shown()
            )));
        };
        let damaged = |reason: String| {
            unusable(format!(
                "its manifest does not hold: {reason}\nlook at it with afterscope verify"
            ))
        };
        let manifest = Manifest::parse(&bytes).map_err(damaged)?;
        let as_of = manifest.details.get("as_of").and_then(Value::as_str).unwrap_or_default();
        let as_of =
            Moment::parse_rfc3339(as_of).ok_or_else(|| damaged("it has no as_of".into()))?;
        let number = manifest.details.pointer("/report/number").and_then(Value::as_u64);
        Ok(Self {
            publisher,
            manifest_sha256: sha256(&bytes),
            as_of,
            number: number.unwrap_or(1),
            manifest,
        })
    }

    fn unusable(&self, reason: String) -> Error {
        unusable(&self.manifest.run_id, reason)
    }

    /// A table's Parquet file, if its hash holds.
    fn table(&self, name: &str) -> Result<Bytes, Error> {
        let run_id = &self.manifest.run_id;
        let path = format!("tables/{name}.parquet");
        let stated = self.manifest.outputs.iter().find(|output| output.path == path);
        let bytes = self.publisher.table(run_id, &format!("{name}.parquet"))?;
        bytes.filter(|bytes| stated.is_some_and(|s| s.sha256 == sha256(bytes))).ok_or_else(|| {
            self.unusable(format!(
                "its {path} was changed or is gone\nlook at it with afterscope verify; follow a report that holds"
            ))
        })
    }

    /// Its tables, without what it says of the report before.
    fn tables(&self) -> Result<Tables, Error> {
        let names = self.manifest.tables().into_iter().filter(|name| name != CHANGE_LOG);
        names.map(|name| Ok((name.clone(), self.table(&name)?))).collect()
    }
}

fn unusable(run_id: &str, reason: String) -> Error {
    Error::argument(format!("report.follows (--follows {run_id})"), reason)
}

/// What a report is called: for the manifest and for people.
pub fn number(followed: Option<&Followed>) -> u64 {
    followed.map_or(1, |followed| followed.number + 1)
}

/// What the manifest says of the report's place among others.
pub fn place_of(followed: Option<&Followed>) -> Value {
    json!({
        "number": number(followed),
        "follows": followed.map(|followed| json!({
            "run_id": followed.manifest.run_id,
            "number": followed.number,
            "as_of": followed.as_of.to_rfc3339(),
            "manifest_sha256": followed.manifest_sha256,
        })),
    })
}

/// [`prepare`], and the report that the plan follows.
///
/// # Errors
/// As [`prepare`]; a report that cannot be followed.
pub fn prepare_following<'a>(
    plan: &'a RunPlan,
    io: &Io,
    survey: bool,
) -> Result<(Prepared<'a>, Option<Followed>), Error> {
    let mut prepared = prepare(plan, io, survey)?;
    let followed = match (&plan.follows, plan.output.open(io)) {
        (None, _) => None,
        // Nothing was published there yet.
        (Some(Follows::Latest), Err(_)) => None,
        (Some(Follows::Latest), Ok(store)) => latest(Publisher::look(store), &prepared)?,
        (Some(Follows::Run(run_id)), store) => {
            Some(Followed::open(Publisher::look(store?), run_id)?)
        }
    };
    if let Some(followed) = &followed {
        refuse(plan, followed, &prepared)?;
        prepared.follow(plan.as_of, &followed.manifest_sha256);
    }
    Ok((prepared, followed))
}

/// The latest report. Where that is this very one, published before, the one that it followed: the same
/// command gives the same report.
fn latest(publisher: Publisher, prepared: &Prepared<'_>) -> Result<Option<Followed>, Error> {
    let identity = prepared.identity.as_str();
    let Some(run_id) = publisher.latest()? else {
        // A run of this very command may have been cut short before it became the latest.
        let standing = publisher.runs()?.into_iter().find(|run| *run != prepared.run_id);
        return match standing {
            None => Ok(None),
            Some(run_id) => Err(unusable(
                "latest",
                format!(
                    "{} has no latest.json, and run {run_id} stands there\nname the report with --follows RUN, or follow none with --follows none",
                    publisher.shown()
                ),
            )),
        };
    };
    let latest = Followed::open(publisher.clone(), &run_id)?;
    if latest.manifest.details.get("identity").and_then(Value::as_str) != Some(identity) {
        return Ok(Some(latest));
    }
    let before = latest.manifest.details.pointer("/report/follows/run_id").and_then(Value::as_str);
    before.map(|run_id| Followed::open(publisher, run_id)).transpose()
}

fn refuse(plan: &RunPlan, followed: &Followed, prepared: &Prepared<'_>) -> Result<(), Error> {
    let run_id = &followed.manifest.run_id;
    let told = followed.manifest.details.pointer("/suppressed/below").and_then(Value::as_u64);
    // What was told from this number of people on would stand in change_log.
    let told = told.unwrap_or(1);
    let reason = if let Some(below) = plan.suppress_below.filter(|below| u64::from(*below) > told) {
        format!(
            "it leaves out no counts from {told} people on, and this report those of fewer than {below} (report.suppress_below): change_log would tell what is left out\nfollow a report that leaves out as much, or follow none with --follows none"
        )
    } else if followed.as_of > plan.as_of {
        format!(
            "its as_of, {}, is later than this report's, {}\nname an earlier report with --follows RUN, or follow none with --follows none",
            followed.as_of, plan.as_of
        )
    } else if followed.manifest.details.get("identity").and_then(Value::as_str)
        == Some(&prepared.identity)
    {
        "it is made from the same as this one: a report does not follow itself".into()
    } else {
        return Ok(());
    };
    Err(unusable(run_id, reason))
}

/// The table of changes between the followed report and this one, whose tables are `new`. Of a report
/// that is counted again it is `given`, and must say what differs.
///
/// # Errors
/// Figures that changed without a cause.
pub fn log_of(
    prepared: &Prepared<'_>,
    followed: Option<&Followed>,
    between: Option<Between>,
    given: Option<Table>,
    new: &Tables,
) -> Result<Table, Error> {
    let Some(followed) = followed else {
        return Ok(impact::change_log(&prepared.queries, &[])?);
    };
    let mut log = Log::new(impact::keys()?, followed.tables()?);
    if let Some(given) = given {
        if let Some(reason) = log.contradicts(&given, new)? {
            return Err(VerifyError::Differs(format!("recomputation: {reason}")).into());
        }
        return Ok(given);
    }
    let Between { steps, last } = between.unwrap_or_default();
    for step in steps {
        log.push(step)?;
    }
    log.push(Step { causes: last, tables: new.clone() })?;
    Ok(impact::change_log(&prepared.queries, &log.finish()?)?)
}
