//! Counts between the followed report and this one: which files, read how, each state has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use super::Followed;
use crate::changes::{Cause, Step, Tables, differences};
use crate::config::RunPlan;
use crate::error::Error;
use crate::impact::{self, SinceReport, SourceCoverage};
use crate::ledger::{Ledger, Lineage, Pack, Wanted};
use crate::pipeline::Observer;
use crate::pipeline::count::count;
use crate::pipeline::evidence;
use crate::pipeline::fill::Filled;
use crate::pipeline::prepare::{Prepared, Reading, Source};
use crate::pipeline::tables::tables;
use crate::registry;
use crate::scan::{Progress, Unreadable};
use crate::snapshot::History;
use crate::store::{Io, Pin};

/// A source, as the followed report had it.
#[derive(Default, Deserialize)]
struct Then {
    name: String,
    #[serde(default)]
    kept_from: Option<String>,
    lineage: Option<Lineage>,
    reading: Option<Reading>,
    /// Of plain files none.
    table: Option<ThenTable>,
    files: Vec<ThenFile>,
    #[serde(default)]
    unreadable: Vec<ThenUnreadable>,
}

#[derive(Deserialize)]
struct ThenTable {
    history: History,
}

#[derive(Deserialize)]
struct ThenFile {
    url: String,
    bytes: u64,
    e_tag: Option<String>,
    version: Option<String>,
    #[serde(default)]
    deletes: Option<String>,
    #[serde(default)]
    values: Option<String>,
    /// What the table told of it where it was not opened.
    #[serde(default)]
    left_out: Option<String>,
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
        let (deletes, values) = (f.deletes.clone(), f.values.clone());
        (f.url.as_str(), Pin { size: f.bytes, e_tag, version, deletes, values })
    })
    .collect()
}

/// Whether a source was plain files and is a table, or the other way around.
fn became_another(source: &Source<'_>, then: &Then) -> bool {
    then.table.is_some() != source.snapshot.table.is_some()
}

/// Whether a file is as it was. Values that a table gives all its rows, and plain files take from their folders,
/// come with the mapping where plain files became a table.
fn is_as_it_was(was: &Pin, now: &Pin, became_another: bool) -> bool {
    was == now || became_another && Pin { values: now.values.clone(), ..was.clone() } == *now
}

/// What one file is to the followed report.
pub struct FileSince {
    /// Index into the source's files.
    pub file: usize,
    pub day: Option<i64>,
    pub since: SinceReport,
}

/// What the read files of each source are to the followed report: late, changed, or neither.
///
/// # Errors
/// A manifest of another form.
pub fn files_since(
    prepared: &Prepared<'_>,
    filled: &[Filled],
    followed: &Followed,
) -> Result<Vec<Vec<FileSince>>, Error> {
    let then = sources_of(followed)?;
    let sources = prepared.sources.iter().zip(filled);
    let since = sources.map(|(source, filled)| {
        let then = then.iter().find(|then| then.name == source.plan.name);
        let had = then.map(files_of).unwrap_or_default();
        let other = then.is_some_and(|then| became_another(source, then));
        let due = due_files(source, filled, followed);
        let mut files: Vec<FileSince> = Vec::new();
        for (file, unit) in &filled.selection.units {
            let Some((url, pin)) = source.wanted.files.get(*file) else { continue };
            let first = files.last().is_none_or(|last| last.file != *file);
            let mut since = SinceReport::default();
            match had.get(url.as_str()) {
                None if !due.contains(file) => {
                    since.files_late = u64::from(first);
                    since.rows_late = unit.rows;
                }
                Some(was) if !is_as_it_was(was, pin, other) => {
                    since.files_changed = u64::from(first);
                }
                _ => {}
            }
            match files.last_mut() {
                Some(last) if last.file == *file && last.day == unit.file_day => {
                    last.since.add(&since);
                }
                _ => files.push(FileSince { file: *file, day: unit.file_day, since }),
            }
        }
        files
    });
    Ok(since.collect())
}

/// Marks what came late or was changed since the followed report.
///
/// # Errors
/// A manifest of another form.
pub fn mark(
    coverage: &mut [SourceCoverage],
    prepared: &Prepared<'_>,
    filled: &[Filled],
    followed: &Followed,
) -> Result<(), Error> {
    for (coverage, files) in coverage.iter_mut().zip(files_since(prepared, filled, followed)?) {
        coverage.days.values_mut().for_each(|day| day.since = Some(SinceReport::default()));
        for file in files {
            if let Some(day) = coverage.days.get_mut(&file.day) {
                day.since.get_or_insert_default().add(&file.since);
            }
        }
    }
    Ok(())
}

/// Files none of whose rows can be of a moment before the end of the followed report.
fn due_files(source: &Source<'_>, filled: &Filled, followed: &Followed) -> BTreeSet<usize> {
    let mut due: BTreeMap<usize, bool> = BTreeMap::new();
    for (file, unit) in &filled.selection.units {
        let later = unit.first_day.is_some_and(|day| day > followed.as_of.plus_micros(-1).day());
        let known = due.entry(*file).or_insert(true);
        *known &= later;
    }
    let known = |file: &usize| source.wanted.files.get(*file).is_some();
    due.into_iter().filter(|(file, due)| *due && known(file)).map(|(file, _)| file).collect()
}

/// The sources of the followed report.
fn sources_of(followed: &Followed) -> Result<Vec<Then>, Error> {
    let sources = followed.manifest.details.get("sources").cloned().unwrap_or_default();
    serde_json::from_value(sources).map_err(|e| {
        followed.unusable(format!(
            "its manifest has another form than this version reads: {e}\nfollow none with --follows none, or use the version that made it"
        ))
    })
}

/// Counts between the followed report and this one.
#[derive(Default)]
pub struct Between {
    pub(super) steps: Vec<Step>,
    /// Causes of what changes from the last step on.
    pub(super) last: Vec<Cause>,
}

/// What a state lets in: the causes up to this one.
const STATES: [Cause; 6] = [
    Cause::Policy,
    Cause::Mapping,
    Cause::TableHistory,
    Cause::RewrittenFile,
    Cause::MissingFile,
    Cause::LateFile,
];

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
    let then = sources_of(followed)?;
    causes.sort_unstable();
    causes.dedup();
    let packs = ledger.packs()?;
    let earlier = RunPlan { as_of: followed.as_of, ..plan.clone() };
    let mut registry = prepared.registry.clone();
    if earlier.as_of != plan.as_of {
        registry = registry::load(&plan.registry, earlier.as_of, io, plan.memory_limit)?;
        registry.files.clone_from(&prepared.registry.files);
    }
    let mut between = Between::default();
    let mut lacking = 0;
    for let_in in STATES {
        let own = |cause: &&Cause| {
            **cause == let_in || let_in == Cause::Policy && **cause == Cause::Recount
        };
        let own: Vec<Cause> = causes.iter().filter(own).copied().collect();
        // The first state is counted in any case: it must be what was published.
        if own.is_empty() && let_in != Cause::Policy {
            continue;
        }
        between.last.extend(own);
        if !causes.iter().any(|cause| *cause > let_in) {
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
                    let (source, filled) = state_of(
                        let_in,
                        source,
                        filled,
                        own.unwrap_or(&Then::default()),
                        &packs,
                        followed,
                    )?;
                    let history = history_in(let_in, &source, own);
                    Some((Source { history, ..source }, filled))
                })
                .collect(),
        };
        let Some(sources) = sources else {
            lacking += 1;
            continue;
        };
        observer.stage(&format!("counting report {} again: {}", followed.number, let_in.name()));
        let (sources, filled): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
        let mixed = causes.contains(&Cause::Mapping) && let_in < Cause::LateFile;
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
        let mut counted = match count(&earlier, &state, ledger, filled, progress) {
            // Rows that were read in two ways do not go together, or not with the registry.
            Err(Error::MixedKinds { .. } | Error::People(_)) if mixed => {
                lacking += 1;
                continue;
            }
            counted => counted?,
        };
        let mut found = Tables::new();
        let make = |take: &impact::Take<'_>| tables(&earlier, &state, &mut counted, take);
        for table in impact::collected(make)?.0 {
            let parquet = table.parquet()?.bytes;
            found.insert(table.name, parquet);
        }
        between.steps.push(Step { causes: std::mem::take(&mut between.last), tables: found });
    }
    if causes.contains(&Cause::AsOf) {
        between.last.push(Cause::AsOf);
    }
    if lacking > 0 {
        observer.warn(&format!(
            "report {} cannot be counted again in every state between: the ledger does not hold all its rows any more, or a source is not there, or its ids were read in another way; where two causes took part, change_log names both",
            followed.number
        ));
    }
    Ok(between)
}

/// Whether every source that the followed report read is there.
fn known(then: &[Then], prepared: &Prepared<'_>) -> bool {
    then.iter().all(|then| prepared.sources.iter().any(|source| source.plan.name == then.name))
}

/// Names of what a table tells of files that are not opened, in a state: of those that are as they were what it
/// tells now, of others what it told then. Where rows were kept from the same day on and read alike, so that the
/// table's word alone leaves files out, what it tells now comes with its history.
struct LeftOut<'a> {
    now: HashMap<(&'a str, &'a Pin), Option<&'a String>>,
    then: HashMap<&'a str, &'a String>,
    from_now: bool,
}

impl<'a> LeftOut<'a> {
    fn of(state: Cause, now: &'a Wanted, then: &'a Then) -> Self {
        let files = now.files.iter().enumerate();
        let told = then.files.iter().filter_map(|f| Some((f.url.as_str(), f.left_out.as_ref()?)));
        Self {
            now: files.map(|(i, (url, pin))| ((url.as_str(), pin), now.unopened.get(&i))).collect(),
            then: told.collect(),
            from_now: state >= Cause::TableHistory
                || match then.lineage.as_ref() == Some(&now.lineage) {
                    true => evidence::kept_from(&now.asked) != then.kept_from,
                    false => state >= Cause::Mapping,
                },
        }
    }

    fn tell(&self, wanted: &mut Wanted, had: &BTreeMap<&str, Pin>) {
        for (place, (url, pin)) in wanted.files.iter().enumerate() {
            let is_new = !had.contains_key(url.as_str());
            let told = match self.now.get(&(url.as_str(), pin)) {
                Some(told) if self.from_now || is_new => *told,
                _ => self.then.get(url.as_str()).copied(),
            };
            wanted.unopened.extend(told.map(|told| (place, told.clone())));
        }
    }
}

/// What a state knows of the versions of a source's table. That plain files are a table now, or a table's files
/// plain ones, comes with the mapping; a source that is new has no other history than today's.
fn history_in(state: Cause, source: &Source<'_>, then: Option<&Then>) -> Option<History> {
    let now = source.history.clone();
    let Some(then) = then else { return now };
    let was = then.table.as_ref().map(|table| table.history.clone());
    let comes_with =
        if was.is_some() == now.is_some() { Cause::TableHistory } else { Cause::Mapping };
    if state < comes_with { was } else { now }
}

/// A source in a state; `None` where the ledger does not hold its rows.
fn state_of<'a>(
    state: Cause,
    source: &Source<'a>,
    filled: &Filled,
    then: &Then,
    packs: &[Pack],
    followed: &Followed,
) -> Option<(Source<'a>, Filled)> {
    let bad = |url: &str| filled.unreadable.iter().any(|bad| source.shown(&bad.path) == url);
    let now: BTreeMap<&str, &Pin> =
        source.wanted.files.iter().map(|(url, pin)| (url.as_str(), pin)).collect();
    let lineage = then.lineage.as_ref();
    // Those as they were read then, and those as they are read now.
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let had = files_of(then);
    let other = became_another(source, then);
    for (url, pin) in &had {
        let found = now.get(url).filter(|_| !bad(url)).copied();
        let comes_with = |now| match is_as_it_was(pin, now, other) {
            true => Cause::Mapping,
            false => Cause::RewrittenFile,
        };
        match found {
            None if state >= Cause::MissingFile => {}
            Some(now) if state >= comes_with(now) => new.push(((*url).to_string(), now.clone())),
            _ => old.push(((*url).to_string(), pin.clone())),
        }
    }
    if state == Cause::LateFile {
        let due = due_files(source, filled, followed);
        let files = source.wanted.files.iter().enumerate();
        let late = files.filter(|(i, (url, _))| {
            !had.contains_key(url.as_str()) && !due.contains(i) && !bad(url)
        });
        new.extend(late.map(|(_, file)| file.clone()));
    }
    let current = &source.wanted.lineage;
    if lineage == Some(current) || old.is_empty() {
        new.append(&mut old);
    }
    new.sort();
    let read_then = match lineage {
        // Under another id key a person of the log meets none of the registry.
        Some(lineage) if lineage.key_id == current.key_id => lineage,
        _ if old.is_empty() => current,
        _ => return None,
    };
    let reading = match (&then.reading, lineage == Some(current) || state >= Cause::Mapping) {
        (_, true) => source.reading.clone(),
        (Some(reading), false) => reading.clone(),
        (None, false) => return None,
    };
    let asked = &source.wanted.asked;
    let wanted = |lineage: &Lineage, files| Wanted {
        lineage: lineage.clone(),
        asked: asked.clone(),
        files,
        unopened: HashMap::new(),
    };
    let (mut old, mut new) = (wanted(read_then, old), wanted(current, new));
    let left_out = LeftOut::of(state, &source.wanted, then);
    left_out.tell(&mut new, &had);
    left_out.tell(&mut old, &had);
    let selection = new.select(packs).joined(old.select(packs), new.files.len());
    if !selection.missing.is_empty() {
        return None;
    }
    new.files.extend(old.files);
    let was_bad = then.unreadable.iter().filter(|bad| {
        // Those that can be read now come with the late files; what is gone, went before.
        state < Cause::MissingFile
            || state < Cause::LateFile && now.contains_key(source.shown(&bad.file).as_str())
    });
    let mut unreadable: Vec<Unreadable> =
        was_bad.map(|bad| Unreadable::new(bad.file.clone(), bad.reason.clone())).collect();
    if state >= Cause::MissingFile {
        let known = |bad: &&Unreadable| !unreadable.iter().any(|other| other.path == bad.path);
        let more: Vec<Unreadable> = filled.unreadable.iter().filter(known).cloned().collect();
        unreadable.extend(more);
    }
    let source = Source {
        plan: source.plan,
        snapshot: source.snapshot.clone(),
        wanted: new,
        context: source.context.clone(),
        reading,
        history: source.history.clone(),
    };
    Some((source, Filled { selection, unreadable }))
}
