//! The list of people who were observed: made only when asked for, written to a place of its own, and never a
//! part of a run. Ids stand in the log alone; the files that hold its rows are read again for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use serde::Serialize;
use serde_json::json;

use super::account::check_rejects;
use super::count::{Counted, Opened};
use super::evidence::doubts;
use super::fill::{files_left_out, filled_ledger};
use super::follow::prepare_following;
use super::list_files::{FILES, ListFolder};
use super::name_people::{Named, Naming, Reread, name_people};
use super::{Observer, open_output};
use crate::config::{RunPlan, readers, shape, would_be_read};
use crate::error::Error;
use crate::exposure::{
    Choice, Exposure, ExposureError, Grain, Listing, Measures, Window, list_people,
};
use crate::impact::{self, Table, TableSpec};
use crate::key::IdHash;
use crate::people::Residence;
use crate::scan::Progress;
use crate::store::{Io, StoreUrl};

/// What is asked for.
#[derive(Debug)]
pub struct ListRequest {
    /// Where the list goes.
    pub out: String,
    pub choice: Choice,
    /// Where ids must not stand in the open.
    pub hash: Option<IdHash>,
}

/// A list that was written: one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct ListSummary {
    pub rows: u64,
    /// Log files that were read again.
    pub files: u64,
    /// Log files that could not be read: with `--allow-incomplete` nobody is listed for them.
    pub files_left_out: u64,
    pub url: String,
    pub hashed: bool,
}

/// Rows of a row group.
const GROUP_ROWS: usize = 64 << 10;

/// Lists people.
///
/// # Errors
/// A place that is somebody else's, a scope or app that nobody knows, log files that changed since the ledger
/// read them, and as [`super::run`].
pub fn notification_list(
    plan: &RunPlan,
    request: &ListRequest,
    io: &Io,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<(ListSummary, Reread), Error> {
    let out = place(plan, &request.out)?;
    observer.stage("listing files");
    let (mut prepared, _) = prepare_following(plan, io, false)?;
    let choice = &request.choice;
    for scope in &choice.scopes {
        if !prepared.registry.scopes.contains_key(scope) {
            let known = prepared.registry.scopes.keys().map(String::as_str);
            let hint = shape::did_you_mean(scope, known);
            let reason = format!("the registry names no such scope{hint}");
            return Err(Error::argument(format!("--scope {scope}"), reason));
        }
    }
    make_private(&out)?;
    let folder = ListFolder::claim(out.open_or_create(io)?)?;
    if request.hash.is_none() && folder.is_hashed()? {
        return Err(Error::argument(
            format!("--out {}", folder.shown()),
            "it holds a list of keyed hashes, and this one would have ids in their place\nname another folder, or give --hash-key",
        ));
    }
    if is_open(&out) {
        observer.warn(&format!(
            "others on this machine may read {}: take their rights away (chmod 700) unless they may see the list",
            folder.shown()
        ));
    }
    // The ledger may lie below the output, which is nobody else's then.
    open_output(plan, io)?;
    let (ledger, filled) = filled_ledger(plan, &prepared, io, progress, observer)?;

    observer.stage("counting");
    // Nobody is listed for being a member.
    prepared.memberships = None;
    if choice.scopes.len() > 1 {
        // A report has no row for several scopes. With no others in the registry, (all) is that row.
        let registry = &mut prepared.registry;
        registry.scopes.retain(|name, _| choice.scopes.contains(name));
        (registry.grants, registry.brownouts, registry.attestations) = (None, None, None);
    }
    // Groups are not listed.
    let few = RunPlan { groups_limit: Some(0), ..plan.clone() };
    let opened = Opened::open(&few, &prepared, &ledger, &filled, progress)?;
    let counted = opened.count(&few, &prepared, filled, progress)?;
    check_rejects(plan, &prepared, &counted.filled, &counted.exposure)?;
    for text in doubts(plan, &prepared, &counted) {
        observer.warn(&text);
    }

    observer.stage("listing people");
    // Entries, and people with their ids, each waiting and in order: four times at most.
    let sort_budget = prepared.budget.sort_buffer / 4;
    let settings = opened.settings(&few, &prepared, progress);
    let listing = list_people(&opened.rows, &settings, choice, sort_budget)?;
    for app in &choice.apps {
        if !prepared.registry.apps.contains_key(app) && !listing.met.contains(app) {
            let known = prepared.registry.apps.keys().map(String::as_str);
            let hint = shape::did_you_mean(app, known);
            let reason =
                format!("neither the registry nor a call of a restricted scope names it{hint}");
            return Err(Error::argument(format!("--app {app}"), reason));
        }
    }
    agrees(&counted.exposure, choice, &listing)?;

    observer.stage("reading ids again");
    let naming = Naming {
        prepared: &prepared,
        filled: &counted.filled,
        rows: &opened.rows,
        namespaces: &opened.person_namespaces,
        hash: request.hash.as_ref(),
        threads: plan.threads,
        temp: settings.temp,
        sort_budget,
    };
    let (people, reread) = name_people(&naming, &listing, progress)?;

    observer.stage("writing the list");
    let spec = impact::notification_list()?;
    let mut files = folder.begin(&spec)?;
    let names = ListNames::new(&listing, &opened.person_namespaces, &counted.residences);
    let mut ordered = people.partition(0).map_err(ExposureError::from)?;
    loop {
        let mut rows = Vec::new();
        while rows.len() < GROUP_ROWS
            && let Some(named) = ordered.next_record().map_err(ExposureError::from)?
        {
            rows.push(named);
        }
        if progress.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let last = rows.len() < GROUP_ROWS;
        files.write(&names.table(&spec, &rows)?)?;
        if last {
            break;
        }
    }
    let rows = files.finish(about(plan, request, &prepared.run_id, &counted, &listing))?;
    let hashed = request.hash.is_some();
    let (files, url) = (reread.files, folder.shown());
    let files_left_out = files_left_out(&counted.filled);
    Ok((ListSummary { rows, files, files_left_out, url, hashed }, reread))
}

/// Where the list goes: a place that is nobody else's.
fn place(plan: &RunPlan, text: &str) -> Result<StoreUrl, Error> {
    let argument = || format!("--out {text}");
    let out = plan
        .output
        .other(text, Path::new("."))
        .map_err(|reason| Error::argument("--out", reason))?;
    if let Some(kind) = out.read_only() {
        return Err(Error::argument(
            argument(),
            format!("an {kind} server is only read\nname a local folder, s3://, az:// or gs://"),
        ));
    }
    for (what, key, url) in
        [("output", "output.url", &plan.output), ("ledger", "state.url", &plan.state)]
    {
        let how = match (url.contains(&out), out.contains(url)) {
            (true, true) => "is",
            (true, false) => "lies inside",
            (false, true) => "holds",
            (false, false) => continue,
        };
        return Err(Error::argument(
            argument(),
            format!(
                "it {how} the folder of the {what} ({key}: {url}), which others may read\nname a folder of its own"
            ),
        ));
    }
    for (what, url) in readers(plan) {
        if would_be_read(url, &out, &FILES) {
            return Err(Error::argument(
                argument(),
                format!(
                    "it lies inside {what} ({url}): the next run would read it as rows of that\nname a folder of its own"
                ),
            ));
        }
    }
    Ok(out)
}

/// A local folder that is not there yet is made for this user alone.
fn make_private(out: &StoreUrl) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(path) = out.local().filter(|path| !path.exists()) else { return Ok(()) };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Error::Folder {
            folder: path.display().to_string(),
            reason: format!("the folder cannot be made: {error}\nname another with --out"),
        }
    })
}

/// Whether a local folder lets others in.
fn is_open(out: &StoreUrl) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let details = out.local().and_then(|path| std::fs::metadata(path).ok());
    details.is_some_and(|details| details.permissions().mode() & 0o077 != 0)
}

/// Whether the list says what the report says: its rows are subjects_observed, its events requests_allowed.
fn agrees(exposure: &Exposure, choice: &Choice, listing: &Listing) -> Result<(), Error> {
    // Of several scopes there are no others.
    let scope = choice.scopes.first().filter(|_| choice.scopes.len() == 1);
    let grain = match (scope, choice.apps.is_empty()) {
        (None, true) => Grain::All,
        (None, false) => Grain::App,
        (Some(_), true) => Grain::Scope,
        (Some(_), false) => Grain::ScopeApp,
    };
    let own: Vec<&Measures> = exposure
        .cells
        .iter()
        .filter(|cell| cell.key.grain == grain && cell.key.scope.as_ref() == scope)
        .filter(|cell| {
            choice.apps.is_empty()
                || cell.key.app.as_ref().is_some_and(|app| choice.apps.contains(app))
        })
        .map(|cell| cell.windows.get(Window::AfterRestriction))
        .collect();
    let requests: i64 = own.iter().map(|m| m.requests).sum();
    // People of several apps are in several rows.
    let least = own.iter().map(|m| m.subjects).max().unwrap_or(0);
    let most: u64 = own.iter().map(|m| m.subjects).sum();
    if requests == listing.requests && (least..=most).contains(&listing.people) {
        return Ok(());
    }
    let what = format!(
        "the list has {} people with {} requests where {least} to {most} people with {requests} requests were counted",
        listing.people, listing.requests
    );
    Err(ExposureError::Internal { what }.into())
}

/// What the list's JSON says of it. No id, no key.
fn about(
    plan: &RunPlan,
    request: &ListRequest,
    run_id: &str,
    counted: &Counted,
    listing: &Listing,
) -> serde_json::Value {
    let chosen = |names: &BTreeSet<String>| (!names.is_empty()).then(|| names.clone());
    let left_out = files_left_out(&counted.filled);
    let ids = match request.hash {
        Some(_) => json!({
            "hashed": true,
            "hash": "BLAKE3 keyed, 256 bits, in lower-case hex",
            "of": "namespace, one zero byte, id",
            "key": format!("BLAKE3 derive_key with context \"{}\" from the secret", IdHash::CONTEXT),
        }),
        None => json!({ "hashed": false }),
    };
    json!({
        "program": { "name": "afterscope", "version": env!("CARGO_PKG_VERSION") },
        "as_of": plan.as_of.to_rfc3339(),
        "run_id": run_id,
        "verdict": if counted.is_complete() { "complete" } else { "incomplete" },
        "files_left_out": left_out,
        "options": {
            "scopes": chosen(&request.choice.scopes),
            "apps": chosen(&request.choice.apps),
        },
        "ids": ids,
        "requests_allowed": listing.requests,
    })
}

/// What the numbers of a list stand for.
struct ListNames<'a> {
    namespaces: &'a [String],
    scopes: &'a [String],
    residences: &'a [Residence],
    listing: &'a Listing,
}

fn at<T>(all: &[T], number: u32) -> Option<&T> {
    usize::try_from(number).ok().and_then(|number| all.get(number))
}

/// Names in order, parted as all lists of tables are.
fn joined<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: BTreeSet<&str> = names.collect();
    (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(";"))
}

impl<'a> ListNames<'a> {
    fn new(listing: &'a Listing, namespaces: &'a [String], residences: &'a [Residence]) -> Self {
        Self { namespaces, scopes: &listing.scopes, residences, listing }
    }

    fn table(&self, spec: &TableSpec, rows: &[Named]) -> Result<Table, Error> {
        let texts = |of: &dyn Fn(&Named) -> Option<String>| -> ArrayRef {
            Arc::new(rows.iter().map(of).collect::<StringArray>())
        };
        let home = |named: &Named| at(self.residences, named.facts.residence);
        let times = |of: fn(&Named) -> i64| -> ArrayRef {
            let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(of));
            Arc::new(times.with_timezone("UTC"))
        };
        let columns = spec.columns.iter().map(|column| match column.name.as_str() {
            "grain" => Ok(texts(&|_| Some("subject".into()))),
            "namespace" => Ok(texts(&|n| at(self.namespaces, n.space).cloned())),
            "subject" => Ok(texts(&|n| Some(n.subject.to_string()))),
            "country" => Ok(texts(&|n| home(n)?.country.clone())),
            "subdivision" => Ok(texts(&|n| home(n)?.subdivision.clone())),
            "category" => Ok(texts(&|n| home(n)?.category.clone())),
            "scopes" => Ok(texts(&|n| {
                joined(
                    n.facts.scopes.iter().filter_map(|s| at(self.scopes, *s)).map(String::as_str),
                )
            })),
            "apps" => Ok(texts(&|n| {
                joined(n.facts.apps.iter().filter_map(|app| self.listing.apps.name(*app)))
            })),
            "requests" => {
                let requests = rows.iter().map(|named| named.facts.requests);
                Ok(Arc::new(Int64Array::from_iter_values(requests)) as ArrayRef)
            }
            "first_access" => Ok(times(|named| named.facts.first)),
            "last_access" => Ok(times(|named| named.facts.last)),
            other => Err(ExposureError::Internal {
                what: format!("nothing fills the column `{other}` of the list"),
            }),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(Table::of(spec, columns)?)
    }
}
