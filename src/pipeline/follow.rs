//! The report that a run follows, and from what each changed figure comes.
//!
//! The earlier report is counted again from the ledger, with today's registry and settings; then one thing
//! after another is let in: another mapping, rewritten files, files that are gone, late files, a later
//! `as_of`. What changes with a step has that step as its cause. No log file is opened for it: what the
//! ledger does not hold any more cannot be told apart, and its causes are named together.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Observer;
use super::count::count;
use super::evidence;
use super::fill::Filled;
use super::prepare::{Prepared, Source, prepare};
use super::tables::tables;
use crate::changes::{Cause, Log, Step, Tables, differences};
use crate::config::{Follows, RunPlan};
use crate::error::Error;
use crate::impact::{self, CHANGE_LOG, SinceReport, SourceCoverage, Table};
use crate::ledger::{Ledger, Lineage, Pack, Wanted};
use crate::moment::Moment;
use crate::publish::{Manifest, Publisher, sha256};
use crate::registry;
use crate::scan::{Progress, Unreadable};
use crate::store::{Io, Pin};
use crate::verify::VerifyError;

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
        let unusable = |reason: String| Error::Argument {
            argument: format!("report.follows (--follows {run_id})"),
            reason,
        };
        let Some(bytes) = publisher.manifest(run_id)? else {
            return Err(unusable(format!("{} holds no such report", publisher.shown())));
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

    /// A table's Parquet file, if its hash holds.
    fn table(&self, name: &str) -> Result<Bytes, Error> {
        let run_id = &self.manifest.run_id;
        let path = format!("tables/{name}.parquet");
        let stated = self.manifest.outputs.iter().find(|output| output.path == path);
        let bytes = self.publisher.table(run_id, &format!("{name}.parquet"))?;
        bytes.filter(|bytes| stated.is_some_and(|s| s.sha256 == sha256(bytes))).ok_or_else(|| {
            Error::Argument {
                argument: format!("report.follows (--follows {run_id})"),
                reason: format!(
                    "its {path} was changed or is gone\nlook at it with afterscope verify; follow a report that holds"
                ),
            }
        })
    }

    /// Its tables, without what it says of the report before.
    fn tables(&self) -> Result<Tables, Error> {
        let names = self.manifest.tables().into_iter().filter(|name| name != CHANGE_LOG);
        names.map(|name| Ok((name.clone(), self.table(&name)?))).collect()
    }
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
        (Some(Follows::Latest), Ok(store)) => latest(Publisher::look(store), &prepared.identity)?,
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
fn latest(publisher: Publisher, identity: &str) -> Result<Option<Followed>, Error> {
    let Some(run_id) = publisher.latest()? else { return Ok(None) };
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
    Err(Error::Argument { argument: format!("report.follows (--follows {run_id})"), reason })
}

/// A source, as the followed report had it.
#[derive(Default, Deserialize)]
struct Then {
    name: String,
    lineage: Option<Lineage>,
    files: Vec<ThenFile>,
    #[serde(default)]
    unreadable: Vec<ThenUnreadable>,
}

#[derive(Deserialize)]
struct ThenFile {
    url: String,
    bytes: u64,
    e_tag: Option<String>,
    version: Option<String>,
    /// Null where it could not be read.
    rows: Option<u64>,
}

#[derive(Deserialize)]
struct ThenUnreadable {
    file: String,
    reason: String,
}

/// The files of one source of the followed report, by address.
fn files_of(then: &Then) -> BTreeMap<&str, Pin> {
    let read = then.files.iter().filter(|file| file.rows.is_some());
    read.map(|f| {
        let (e_tag, version) = (f.e_tag.clone(), f.version.clone());
        (f.url.as_str(), Pin { size: f.bytes, e_tag, version })
    })
    .collect()
}

/// Marks what came late or was changed since the followed report.
pub fn mark(
    coverage: &mut [SourceCoverage],
    prepared: &Prepared<'_>,
    filled: &[Filled],
    followed: &Followed,
) {
    let then = sources_of(followed);
    for ((coverage, source), filled) in coverage.iter_mut().zip(&prepared.sources).zip(filled) {
        let then = then.iter().find(|then| then.name == source.plan.name);
        let had = then.map(files_of).unwrap_or_default();
        coverage.days.values_mut().for_each(|day| day.since = Some(SinceReport::default()));
        let mut last = None;
        for (file, unit) in &filled.selection.units {
            let Some((url, pin)) = source.wanted.files.get(*file) else { continue };
            let Some(day) = coverage.days.get_mut(&unit.file_day) else { continue };
            let since = day.since.get_or_insert_default();
            let first = last.replace(*file) != Some(*file);
            // A day that begins with the end of that report holds nothing for it.
            let begun = unit.file_day.is_none_or(|day| day <= followed.as_of.plus_micros(-1).day());
            match had.get(url.as_str()) {
                None if begun => {
                    since.files_late += u64::from(first);
                    since.rows_late += unit.rows;
                }
                Some(was) if was != pin => since.files_changed += u64::from(first),
                _ => {}
            }
        }
    }
}

/// The sources of the followed report.
fn sources_of(followed: &Followed) -> Vec<Then> {
    let sources = followed.manifest.details.get("sources").cloned();
    sources.and_then(|sources| serde_json::from_value(sources).ok()).unwrap_or_default()
}

/// Counts between the followed report and this one.
#[derive(Default)]
pub struct Between {
    steps: Vec<Step>,
    /// Causes of what changes from the last step on.
    last: Vec<Cause>,
}

/// What a state lets in: the causes up to this one.
const STATES: [Cause; 5] =
    [Cause::Policy, Cause::Mapping, Cause::RewrittenFile, Cause::MissingFile, Cause::LateFile];

/// Counts the followed report again and again, with one cause more each time.
///
/// # Errors
/// Those of counting.
pub fn between(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    followed: &Followed,
    ledger: &Ledger,
    filled: &[Filled],
    io: &Io,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<Between, Error> {
    let details = evidence::made_from(plan, prepared, filled);
    let mut causes: Vec<Cause> =
        differences(&followed.manifest.details, &details).into_iter().map(|d| d.cause).collect();
    let then = sources_of(followed);
    let differs = prepared.sources.iter().any(|source| {
        let then = then.iter().find(|then| then.name == source.plan.name);
        then.is_some_and(|then| then.lineage.as_ref() != Some(&source.wanted.lineage))
    });
    if differs {
        causes.push(Cause::Mapping);
    }
    causes.sort_unstable();
    causes.dedup();
    let packs = ledger.packs()?;
    let earlier = RunPlan { as_of: followed.as_of, ..plan.clone() };
    let mut registry = prepared.registry.clone();
    if earlier.as_of != plan.as_of {
        registry = registry::load(&plan.registry, earlier.as_of, io)?;
        registry.files.clone_from(&prepared.registry.files);
    }
    let mut between = Between::default();
    let mut lacking = 0;
    for state in STATES {
        let own = |cause: &&Cause| {
            **cause == state || state == Cause::Policy && **cause == Cause::Recount
        };
        let own: Vec<Cause> = causes.iter().filter(own).copied().collect();
        // The first state is counted in any case: it must be what was published.
        if own.is_empty() && state != Cause::Policy {
            continue;
        }
        between.last.extend(own);
        if !causes.iter().any(|cause| *cause > state) {
            // No cause is left: the next state is the report itself.
            break;
        }
        let sources: Option<Vec<(Source<'_>, Filled)>> = match known(&then, prepared) {
            false => None,
            true => prepared
                .sources
                .iter()
                .zip(filled)
                .map(|(source, filled)| {
                    let own = then.iter().find(|then| then.name == source.plan.name);
                    state_of(state, source, filled, own.unwrap_or(&Then::default()), &packs)
                })
                .collect(),
        };
        let Some(sources) = sources else {
            lacking += 1;
            continue;
        };
        observer.stage(&format!("counting report {} again: {}", followed.number, state.name()));
        let (sources, filled): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
        let state = Prepared {
            registry: registry.clone(),
            memberships: prepared.memberships.clone(),
            residency: prepared.residency.clone(),
            sources,
            queries: prepared.queries.clone(),
            identity: prepared.identity.clone(),
            run_id: prepared.run_id.clone(),
            budget: prepared.budget,
        };
        let mut counted = count(&earlier, &state, ledger, filled, progress)?;
        let mut found = Tables::new();
        tables(&earlier, &state, &mut counted, |table| {
            found.insert(table.name.clone(), table.parquet()?.bytes);
            Ok(())
        })?;
        between.steps.push(Step { causes: std::mem::take(&mut between.last), tables: found });
    }
    if causes.contains(&Cause::AsOf) {
        between.last.push(Cause::AsOf);
    }
    if lacking > 0 {
        observer.warn(&format!(
            "report {} cannot be counted again as it was: the ledger no longer holds all its rows; where two causes took part, change_log names both",
            followed.number
        ));
    }
    Ok(between)
}

/// Whether every source that the followed report read is there.
fn known(then: &[Then], prepared: &Prepared<'_>) -> bool {
    then.iter().all(|then| prepared.sources.iter().any(|source| source.plan.name == then.name))
}

/// A source in a state; `None` where the ledger does not hold its rows.
fn state_of<'a>(
    state: Cause,
    source: &Source<'a>,
    filled: &Filled,
    then: &Then,
    packs: &[Pack],
) -> Option<(Source<'a>, Filled)> {
    let of = |wanted: Wanted| Source {
        plan: source.plan,
        snapshot: source.snapshot.clone(),
        wanted,
        context: source.context.clone(),
    };
    if state == Cause::LateFile {
        return Some((of(source.wanted.clone()), filled.clone()));
    }
    let bad = |path: &str| filled.unreadable.iter().any(|bad| source.shown(&bad.path) == path);
    let now: BTreeMap<&str, &Pin> =
        source.wanted.files.iter().map(|(url, pin)| (url.as_str(), pin)).collect();
    let lineage = then.lineage.as_ref();
    // Those as they were read then, and those as they are read now.
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (url, pin) in files_of(then) {
        let found = now.get(url).filter(|_| !bad(url));
        match found {
            None if state >= Cause::MissingFile => {}
            Some(now) if **now != pin && state >= Cause::RewrittenFile => {
                new.push((url.to_string(), (*now).clone()));
            }
            Some(now) if **now == pin && state >= Cause::Mapping => {
                new.push((url.to_string(), pin))
            }
            _ => old.push((url.to_string(), pin)),
        }
    }
    let current = &source.wanted.lineage;
    let same = lineage == Some(current);
    if same || old.is_empty() {
        new.append(&mut old);
        new.sort();
    }
    let read_then = match lineage {
        // Under another id key a person of the log meets none of the registry.
        Some(lineage) if lineage.key_id == current.key_id => lineage,
        _ if old.is_empty() => current,
        _ => return None,
    };
    let asked = &source.wanted.asked;
    let wanted =
        |lineage: &Lineage, files| Wanted { lineage: lineage.clone(), asked: asked.clone(), files };
    let (old, mut new) = (wanted(read_then, old), wanted(current, new));
    let selection = new.select(packs).joined(old.select(packs), new.files.len());
    if !selection.missing.is_empty() {
        return None;
    }
    new.files.extend(old.files);
    let unreadable = then
        .unreadable
        .iter()
        .map(|bad| Unreadable { path: bad.file.clone(), reason: bad.reason.clone() });
    Some((of(new), Filled { selection, unreadable: unreadable.collect() }))
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
