//! The events that the figures of a published run were counted from, as a table: read from the ledger, each
//! event once.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::count::Opened;
use super::explain::select;
use super::fill::Filled;
use super::prepare::{Prepared, prepare};
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::{self, Event, Events};
use crate::impact::escaped;
use crate::key::{Key, hex};
use crate::query::{EVENTS, made_columns};
use crate::scan::Progress;
use crate::store::Io;

/// Bytes that an event takes here, while it is collected and sorted.
const EVENT_BYTES: u64 = 256;

/// Bytes that its row takes as well, of the table and as the engine holds it, texts apart.
const ROW_BYTES: u64 = 512;

/// How often its texts are held: in the table, by the engine, and in an answer.
const COPIES: u64 = 3;

/// The events of the run with this identity. Only the ledger is read.
///
/// # Errors
/// A configuration, or files, that give another run now; a ledger that does not hold all files; more events
/// than fit into the memory limit; and as [`super::run`].
pub fn events(
    plan: &RunPlan,
    io: &Io,
    progress: &Arc<Progress>,
    (run_id, identity): (&str, &str),
) -> Result<RecordBatch, Error> {
    let mut prepared = prepare(plan, io, false)?;
    if prepared.identity != identity {
        return Err(Error::argument(
            format!("events of run {run_id}"),
            "the configuration and its files give another run now, whose events are others\nname the configuration as the run had it with --config, or run it again and ask that run",
        ));
    }
    let (ledger, filled) = select(plan, io, &prepared)?;
    // Who is a member, and where people live, is nothing of an event.
    (prepared.memberships, prepared.residency) = (None, None);
    let few = RunPlan { groups_limit: Some(0), ..plan.clone() };
    let opened = Opened::open(&few, &prepared, &ledger, &filled, progress)?;
    let settings = opened.settings(&few, &prepared, progress);
    let too_many = |events: &str| {
        let limit = plan.memory_limit.div_ceil(1_000_000);
        Error::argument(
            format!("events of run {run_id}"),
            format!(
                "there are {events}, and they do not fit into the memory limit of {limit} MB\ngive more with --memory-limit, or ask the tables of the run"
            ),
        )
    };
    let most = plan.memory_limit / (EVENT_BYTES + ROW_BYTES);
    let found =
        exposure::events(&opened.rows, &settings, usize::try_from(most).unwrap_or(usize::MAX))?;
    let found = found.ok_or_else(|| too_many(&format!("more than {most}")))?;
    let rows = sorted(&found, &prepared, &filled);
    let texts: u64 = rows.iter().map(|row| texts_of(row, &found, &prepared)).sum();
    let count = rows.len() as u64;
    if count * (EVENT_BYTES + ROW_BYTES) + COPIES * texts > plan.memory_limit {
        let megabytes = texts.div_ceil(1_000_000);
        return Err(too_many(&format!("{count} with {megabytes} MB of texts")));
    }
    table(&rows, &found, &prepared)
        .map_err(|e| Error::argument(format!("events of run {run_id}"), e.to_string()))
}

/// Bytes of a row's texts.
fn texts_of((event, app, place): &Sorted<'_>, found: &Events, prepared: &Prepared<'_>) -> u64 {
    let joined = |texts: &[String]| texts.iter().map(|text| text.len() + 1).sum::<usize>();
    let of_app = app.and_then(|app| prepared.registry.apps.get(app)).map_or(0, |app| {
        let texts = [&app.name, &app.developer_id];
        texts.into_iter().flatten().map(String::len).sum()
    });
    let (source, file, _) = place;
    let bytes = app.map_or(0, str::len)
        + of_app
        + found.scopes.get(&event.leaf).map_or(0, |scopes| joined(scopes))
        + held(event, found).map_or(0, |scopes| joined(&scopes))
        + event.group.and_then(|group| found.groups.get(&group)).map_or(0, String::len)
        + source.len()
        + file.map_or(0, str::len);
    // Key and outcome.
    bytes as u64 + 40
}

/// An event with what it is sorted by: all that it shows, so that equal rows alone may change places.
type Sorted<'a> = (&'a Event, Option<&'a str>, Place<'a>);

/// Source, file and row group.
type Place<'a> = (&'a str, Option<&'a str>, Option<i64>);

fn key<'a>((event, app, place): &Sorted<'a>, sets: &[u32]) -> impl Ord + use<'a> {
    let Event { at, person, group, outcome, weight, .. } = **event;
    // Not by its code, which depends on the packs.
    let set = usize::try_from(event.set).ok().and_then(|set| sets.get(set).copied());
    ((at, *app, person), (group, set, outcome, weight), *place)
}

fn sorted<'a>(found: &'a Events, prepared: &'a Prepared<'_>, filled: &[Filled]) -> Vec<Sorted<'a>> {
    let row = |event: &'a Event| {
        (event, found.names.apps.name(event.app), place(event, prepared, filled))
    };
    let mut rows: Vec<Sorted<'_>> = found.rows.iter().map(row).collect();
    let (_, sets) = found.names.sets.sorted();
    rows.sort_unstable_by(|a, b| key(a, &sets).cmp(&key(b, &sets)));
    rows
}

fn table(
    rows: &[Sorted<'_>],
    found: &Events,
    prepared: &Prepared<'_>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let app = |id: Option<&str>| id.and_then(|id| prepared.registry.apps.get(id));
    let text = |of: &dyn Fn(&Sorted<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(of)))
    };
    let at = rows.iter().map(|(event, ..)| event.at.micros);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(at).with_timezone("UTC")),
        text(&|(_, id, _)| id.map(|id| escaped(id).into_owned())),
        text(&|(_, id, _)| app(*id).and_then(|app| app.name.clone())),
        text(&|(_, id, _)| {
            let developer = app(*id).and_then(|app| app.developer_id.as_deref());
            developer.map(|developer| escaped(developer).into_owned())
        }),
        text(&|(event, ..)| found.scopes.get(&event.leaf).map(|scopes| scopes.join(";"))),
        text(&|(event, ..)| held(event, found).map(|scopes| scopes.join(";"))),
        text(&|(event, ..)| Some(event.outcome.name().to_string())),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(event, ..)| event.weight))),
        text(&|(event, ..)| event.person.map(shown)),
        text(&|(event, ..)| found.groups.get(&event.group?).cloned()),
        text(&|(.., (source, ..))| Some((*source).to_string())),
        text(&|(.., (_, file, _))| file.map(str::to_string)),
        Arc::new(Int64Array::from_iter(rows.iter().map(|(.., (_, _, group))| *group))),
    ];
    RecordBatch::try_from_iter(made_columns(EVENTS).zip(columns))
}

fn shown(key: Key) -> String {
    hex(&[key.hi.to_be_bytes(), key.lo.to_be_bytes()].concat())
}

/// Scopes of the registry that the token carried, whether they were exercised or not, restricted by then or
/// later.
fn held(event: &Event, found: &Events) -> Option<Vec<String>> {
    found.names.sets.get(event.set).map(|set| set.scopes)
}

fn place<'a>(event: &Event, prepared: &'a Prepared<'_>, filled: &[Filled]) -> Place<'a> {
    let (source, unit) = event.place;
    let of = prepared.sources.get(source);
    let units = filled.get(source).map(|filled| &filled.selection.units);
    let unit = usize::try_from(unit).ok();
    let unit = unit.and_then(|unit| units.and_then(|units| units.get(unit)));
    let file = unit.and_then(|(file, _)| of?.snapshot.files.get(*file));
    let group = unit.map(|(_, record)| i64::from(record.row_group));
    (of.map_or("", |of| of.plan.name.as_str()), file.map(|file| file.path.as_str()), group)
}
