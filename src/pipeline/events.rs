//! The events that the figures of a published run were counted from, as a table: read from the ledger, each
//! event once.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringBuilder, TimestampMicrosecondArray};

use super::count::Opened;
use super::explain::select;
use super::fill::Filled;
use super::prepare::{Prepared, prepare};
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::{self, Event, Events};
use crate::impact::escaped;
use crate::key::{Key, MixMap, hex};
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
    let scopes = Scopes::of(&found);
    let texts: u64 = rows.iter().map(|row| texts_of(row, &scopes, &prepared)).sum();
    let count = rows.len() as u64;
    if count * (EVENT_BYTES + ROW_BYTES) + COPIES * texts > plan.memory_limit {
        let megabytes = texts.div_ceil(1_000_000);
        return Err(too_many(&format!("{count} with {megabytes} MB of texts")));
    }
    table(&rows, &scopes, &prepared)
        .map_err(|e| Error::argument(format!("events of run {run_id}"), e.to_string()))
}

/// An event and what it refers to. Rows are many, and their texts are few: each is made once.
struct Row<'a> {
    event: &'a Event,
    app: Option<&'a str>,
    group: Option<&'a str>,
    place: Place<'a>,
}

/// Source, file and row group.
type Place<'a> = (&'a str, Option<&'a str>, Option<i64>);

/// Scopes with ; between them.
struct Scopes {
    /// By leaf: those that were exercised.
    exercised: MixMap<u32, String>,
    /// By scope set: those of the registry that the token carried, whether they were exercised or not, restricted by
    /// then or later.
    held: MixMap<u32, String>,
}

impl Scopes {
    fn of(found: &Events) -> Self {
        let exercised = found.scopes.iter().map(|(leaf, scopes)| (*leaf, scopes.join(";")));
        let sets: BTreeSet<u32> = found.rows.iter().map(|event| event.set).collect();
        let held = sets.into_iter().filter_map(|code| {
            let set = found.names.sets.get(code)?;
            Some((code, set.scopes.join(";")))
        });
        Self { exercised: exercised.collect(), held: held.collect() }
    }

    fn exercised(&self, event: &Event) -> Option<&str> {
        self.exercised.get(&event.leaf).map(String::as_str)
    }

    fn held(&self, event: &Event) -> Option<&str> {
        self.held.get(&event.set).map(String::as_str)
    }
}

/// Bytes of a row's texts.
fn texts_of(row: &Row<'_>, scopes: &Scopes, prepared: &Prepared<'_>) -> u64 {
    let of_app = row.app.and_then(|app| prepared.registry.apps.get(app)).map_or(0, |app| {
        let texts = [&app.name, &app.developer_id];
        texts.into_iter().flatten().map(String::len).sum()
    });
    let (source, file, _) = row.place;
    let texts = [row.app, scopes.exercised(row.event), scopes.held(row.event), row.group, file];
    let bytes = texts.into_iter().flatten().map(str::len).sum::<usize>() + of_app + source.len();
    // Key and outcome.
    bytes as u64 + 40
}

/// What a row is sorted by: all that it shows, so that equal rows alone may change places.
fn key<'a>(row: &Row<'a>, sets: &[u32]) -> impl Ord + use<'a> {
    let Event { at, person, group, outcome, weight, .. } = *row.event;
    // Not by its code, which depends on the packs.
    let set = usize::try_from(row.event.set).ok().and_then(|set| sets.get(set).copied());
    ((at, row.app, person), (group, set, outcome, weight), row.place)
}

fn sorted<'a>(found: &'a Events, prepared: &'a Prepared<'_>, filled: &[Filled]) -> Vec<Row<'a>> {
    let row = |event: &'a Event| Row {
        event,
        app: found.names.apps.name(event.app),
        group: event.group.and_then(|group| found.groups.get(&group)).map(String::as_str),
        place: place(event, prepared, filled),
    };
    let mut rows: Vec<Row<'_>> = found.rows.iter().map(row).collect();
    let (_, sets) = found.names.sets.sorted();
    rows.sort_unstable_by(|a, b| key(a, &sets).cmp(&key(b, &sets)));
    rows
}

fn table(
    rows: &[Row<'_>],
    scopes: &Scopes,
    prepared: &Prepared<'_>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let app = |row: &Row<'_>| row.app.and_then(|id| prepared.registry.apps.get(id));
    let texts = |of: &dyn Fn(&Row<'_>, &mut StringBuilder)| -> ArrayRef {
        let mut texts = StringBuilder::new();
        rows.iter().for_each(|row| of(row, &mut texts));
        Arc::new(texts.finish())
    };
    let as_shown = |id: Option<&str>, out: &mut StringBuilder| out.append_option(id.map(escaped));
    let at = rows.iter().map(|row| row.event.at.micros);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(at).with_timezone("UTC")),
        texts(&|row, out| as_shown(row.app, out)),
        texts(&|row, out| out.append_option(app(row).and_then(|app| app.name.as_ref()))),
        texts(&|row, out| as_shown(app(row).and_then(|app| app.developer_id.as_deref()), out)),
        texts(&|row, out| out.append_option(scopes.exercised(row.event))),
        texts(&|row, out| out.append_option(scopes.held(row.event))),
        texts(&|row, out| out.append_value(row.event.outcome.name())),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.event.weight))),
        texts(&|row, out| out.append_option(row.event.person.map(shown))),
        texts(&|row, out| out.append_option(row.group)),
        texts(&|row, out| out.append_value(row.place.0)),
        texts(&|row, out| out.append_option(row.place.1)),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.place.2))),
    ];
    RecordBatch::try_from_iter(made_columns(EVENTS).zip(columns))
}

fn shown(key: Key) -> String {
    hex(&[key.hi.to_be_bytes(), key.lo.to_be_bytes()].concat())
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
