//! The order of the stages; nothing else knows it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::{RunPlan, SourcePlan};
use crate::error::Error;
use crate::exposure::{self, Exposure, Grain, Rules, Settings, SourceRows, Term, Window};
use crate::impact::{self, DayCoverage, Query, Report, SourceCoverage, Table};
use crate::key::IdKind;
use crate::ledger::{
    Ledger, Lineage, OpenPack, Pack, PackWriter, Selection, Wanted, WriterSettings, kind_of,
};
use crate::memory::Budget;
use crate::moment::DAY_MICROS;
use crate::publish::{Published, Publisher, sha256};
use crate::registry::{self, Registry};
use crate::scan::endpoint::EndpointTable;
use crate::scan::{
    self, AccessBatch, Asked, AskedScope, Progress, Pruned, ScanContext, ScanError, ScanJob, Sink,
    UnitRecord, Unreadable,
};
use crate::snapshot::{self, Snapshot};
use crate::store::{Io, Pin};

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

/// One source, listed and compared with the ledger.
struct Source<'a> {
    plan: &'a SourcePlan,
    snapshot: Snapshot,
    wanted: Wanted,
    context: Arc<ScanContext>,
}

struct Prepared<'a> {
    registry: Registry,
    sources: Vec<Source<'a>>,
    queries: Vec<Query>,
    run_id: String,
    budget: Budget,
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

fn prepare<'a>(plan: &'a RunPlan, io: &Io, survey: bool) -> Result<Prepared<'a>, Error> {
    let budget = Budget::new(plan.memory_limit, plan.threads).ok_or_else(|| Error::Memory {
        limit: megabytes(plan.memory_limit),
        needed: megabytes(Budget::needed(plan.threads as u64)),
        threads: plan.threads,
    })?;
    let built_in = impact::built_in()?;
    let mut queries = impact::user_queries(&plan.queries, &built_in)?;
    let registry = registry::load(&plan.registry, io)?;
    let endpoints = registry.endpoints.as_ref().map(|e| Arc::new(EndpointTable::new(e)));
    let endpoints_text = registry.endpoints.as_ref().map(|e| format!("{e:?}")).unwrap_or_default();
    let asked = Asked::new(
        registry
            .scopes
            .iter()
            .map(|(name, scope)| AskedScope { name: name.clone(), first_day: scope.restricted_at.day() })
            .collect(),
    );
    let mut sources = Vec::with_capacity(plan.sources.len());
    for source in &plan.sources {
        let snapshot = snapshot::take(source, io)?;
        let context = ScanContext {
            source: source.name.clone(),
            mapping: source.mapping.clone(),
            partition_time: source.partition_time.clone(),
            asked: asked.clone(),
            keyer: plan.keyer.clone(),
            endpoints: endpoints.clone(),
            pruning: plan.pruning,
            survey,
        };
        // Only a source that looks calls up depends on the endpoint table.
        let endpoints = if source.mapping.endpoint.is_some() { endpoints_text.as_str() } else { "" };
        let pruning = if plan.pruning { "" } else { "\0no pruning" };
        let mapping = format!("{}{pruning}", source.mapping.fingerprint);
        let wanted = Wanted {
            lineage: Lineage::new(&mapping, endpoints, plan.keyer.key_id()),
            asked: asked.clone(),
            files: snapshot
                .files
                .iter()
                .map(|f| (snapshot.store.shown(&f.path), f.pin.clone()))
                .collect(),
        };
        sources.push(Source { plan: source, snapshot, wanted, context: Arc::new(context) });
    }
    let run_id = run_id(plan, &registry, &sources, &queries);
    queries.splice(0..0, built_in);
    Ok(Prepared { registry, sources, queries, run_id, budget })
}

/// `as_of` and a hash of all that decides the tables.
fn run_id(plan: &RunPlan, registry: &Registry, sources: &[Source<'_>], user: &[Query]) -> String {
    let mut document = plan.document.clone();
    if let Some(keys) = document.as_object_mut() {
        // Limits and places change no figure.
        for key in ["run", "output", "state"] {
            keys.remove(key);
        }
    }
    let inputs: Vec<_> = sources.iter().map(|s| (&s.plan.name, &s.wanted.files)).collect();
    let queries: Vec<_> = user.iter().map(|q| (&q.table, &q.sql)).collect();
    let identity = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "as_of": plan.as_of.to_rfc3339(),
        "document": document,
        "inputs": inputs,
        "registry": registry.files,
        "queries": queries,
        "key": plan.keyer.key_id(),
        "pruning": plan.pruning,
        "allow_incomplete": plan.allow_incomplete,
    });
    let hash = sha256(identity.to_string().as_bytes());
    format!("{}-{}", plan.as_of.to_compact(), hash.get(..12).unwrap_or_default())
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
    let publisher = Publisher::open(plan.output.open_or_create(io)?)?;
    if let Some(manifest) = publisher.find(&prepared.run_id)? {
        let published = publisher.standing(&prepared.run_id);
        publisher.point_latest(&prepared.run_id, plan.as_of)?;
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
    let ledger = Ledger::open(plan.state.open_or_create(io)?)?;
    let scanned = fill_ledger(plan, &prepared, &ledger, progress, observer)?;
    if progress.stop.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    observer.stage("counting");
    let counted = count(plan, &prepared, &ledger, scanned, progress)?;
    observer.stage("writing tables");
    finish(plan, &prepared, &publisher, &counted, observer)
}

/// A source whose rows are in the ledger.
struct Filled {
    selection: Selection,
    unreadable: Vec<Unreadable>,
}

/// Reads what the ledger lacks.
fn fill_ledger(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<Vec<Filled>, Error> {
    let mut packs = ledger.packs()?;
    let mut filled = Vec::with_capacity(prepared.sources.len());
    for source in &prepared.sources {
        let mut selection = source.wanted.select(&packs);
        let mut unreadable = Vec::new();
        let reused = source.wanted.files.len() - selection.missing.len();
        if selection.missing.is_empty() {
            observer.scanning(&source.plan.name, 0, 0, reused as u64);
        } else {
            let files: Vec<_> = selection
                .missing
                .iter()
                .filter_map(|i| source.snapshot.files.get(*i).cloned())
                .collect();
            let bytes = files.iter().map(|f| f.pin.size).sum();
            observer.scanning(&source.plan.name, files.len() as u64, bytes, reused as u64);
            let written = Arc::new(Mutex::new(Vec::new()));
            let settings = WriterSettings {
                ledger: ledger.clone(),
                lineage: source.wanted.lineage.clone(),
                asked: source.wanted.asked.clone(),
                person_namespace: source.plan.person_namespace.clone(),
                group_namespace: source.plan.group_namespace.clone(),
                budget: prepared.budget.pack_buffer,
            };
            let mut writers = PackWriter::many(
                &settings,
                &files,
                |path| source.snapshot.store.shown(path),
                plan.threads,
                &written,
            );
            let job = ScanJob {
                context: source.context.clone(),
                store: source.snapshot.store.clone(),
                files,
            };
            let outcome = scan::scan(
                &job,
                &mut writers,
                prepared.budget.prefetch,
                plan.allow_incomplete,
                progress,
            )?;
            unreadable = outcome.unreadable;
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            packs.extend(
                written.drain(..).map(|(name, size, footer)| Pack { name, size, footer }),
            );
            packs.sort_by(|a, b| a.name.cmp(&b.name));
            packs.dedup_by(|a, b| a.name == b.name);
            ledger.write_index(&packs)?;
            selection = source.wanted.select(&packs);
        }
        for bad in &unreadable {
            observer.warn(&format!("left out: {}", bad.reason));
        }
        if selection.missing.len() != unreadable.len() {
            return Err(ScanError::Internal {
                what: format!(
                    "source `{}`: {} files are still unread after the scan",
                    source.plan.name,
                    selection.missing.len()
                ),
            }
            .into());
        }
        filled.push(Filled { selection, unreadable });
    }
    Ok(filled)
}

/// Numbers for names, in the order in which they are met.
fn spaces<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<usize>, Vec<String>) {
    let mut known: Vec<String> = Vec::new();
    let numbers = names
        .map(|name| {
            known.iter().position(|k| k == name).unwrap_or_else(|| {
                known.push(name.to_string());
                known.len() - 1
            })
        })
        .collect();
    (numbers, known)
}

struct Counted {
    exposure: Exposure,
    filled: Vec<Filled>,
    coverage: Vec<SourceCoverage>,
    group_namespaces: Vec<String>,
}

fn count(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    filled: Vec<Filled>,
    progress: &Arc<Progress>,
) -> Result<Counted, Error> {
    let of = |f: fn(&SourcePlan) -> &String| prepared.sources.iter().map(move |s| f(s.plan).as_str());
    let (person, person_names) = spaces(of(|s| &s.person_namespace));
    let (group, group_names) = spaces(of(|s| &s.group_namespace));
    let (event, event_names) = spaces(of(|s| &s.event_namespace));
    one_kind("person", &filled, &person, &person_names, |k| k.person)?;
    one_kind("event", &filled, &event, &event_names, |k| k.event)?;
    let group_kinds = one_kind("group", &filled, &group, &group_names, |k| k.group)?;

    let mut rows = Vec::with_capacity(filled.len());
    for ((source, filled), i) in prepared.sources.iter().zip(&filled).zip(0..) {
        let packs = filled
            .selection
            .packs
            .iter()
            .filter(|(pack, _)| pack.footer.rows > 0)
            .map(|(pack, units)| OpenPack::open(ledger, pack.clone(), units.clone()).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let number = |of: &[usize]| of.get(i).copied().unwrap_or(0);
        rows.push(SourceRows {
            packs,
            asked: Arc::new(source.wanted.asked.clone()),
            units: filled.selection.units.len(),
            person_space: number(&person),
            group_space: number(&group),
            event_space: number(&event),
        });
    }
    let temp = temp_dir(plan)?;
    let settings = Settings {
        rules: Rules::new(&prepared.registry, plan.as_of, plan.lookback_days),
        keyer: &plan.keyer,
        group_kinds,
        groups_limit: plan.groups_limit,
        budget: prepared.budget,
        threads: plan.threads,
        temp: temp.path(),
        stop: &progress.stop,
    };
    let exposure = exposure::count(&rows, &settings)?;
    let coverage = prepared
        .sources
        .iter()
        .zip(&filled)
        .enumerate()
        .map(|(i, (source, filled))| cover(i, source, filled, &exposure))
        .collect::<Result<Vec<_>, Error>>()?;
    check_rejects(plan, prepared, &filled, &exposure)?;
    Ok(Counted { exposure, filled, coverage, group_namespaces: group_names })
}

fn temp_dir(plan: &RunPlan) -> Result<tempfile::TempDir, Error> {
    let made = match &plan.temp_dir {
        Some(folder) => tempfile::Builder::new().prefix("afterscope-").tempdir_in(folder),
        None => tempfile::Builder::new().prefix("afterscope-").tempdir(),
    };
    made.map_err(|error| Error::Folder {
        folder: plan
            .temp_dir
            .as_ref()
            .map_or_else(|| "the system's temporary folder".into(), |d| d.display().to_string()),
        reason: format!("no temporary files can be made there: {error}\nname another with run.temp_dir"),
    })
}

/// The kind of ids in each namespace; two kinds in one are an error.
fn one_kind(
    role: &'static str,
    filled: &[Filled],
    numbers: &[usize],
    names: &[String],
    kind: impl Fn(&crate::ledger::pack::Kinds) -> Option<IdKind> + Copy,
) -> Result<Vec<Option<IdKind>>, Error> {
    let mut found: Vec<Option<(IdKind, String)>> = vec![None; names.len()];
    for (filled, number) in filled.iter().zip(numbers) {
        for (kind, file) in kind_of(&filled.selection.packs, kind) {
            let Some(slot) = found.get_mut(*number) else { continue };
            match slot {
                Some((known, first)) if *known != kind => {
                    return Err(Error::MixedKinds {
                        role,
                        namespace: names.get(*number).cloned().unwrap_or_default(),
                        first: format!("{known} in {first}"),
                        second: format!("{kind} in {file}"),
                    });
                }
                Some(_) => {}
                None => *slot = Some((kind, file)),
            }
        }
    }
    Ok(found.into_iter().map(|k| k.map(|(kind, _)| kind)).collect())
}

/// The day that a file is accounted under.
fn file_day(record: &UnitRecord) -> Option<i64> {
    record.file_days.filter(|(from, to)| from == to).map(|(from, _)| from)
}

/// Accounts for every row of a source.
fn cover(
    index: usize,
    source: &Source<'_>,
    filled: &Filled,
    exposure: &Exposure,
) -> Result<SourceCoverage, Error> {
    let mut days: BTreeMap<Option<i64>, DayCoverage> = BTreeMap::new();
    let terms = exposure.terms.get(index).map(Vec::as_slice).unwrap_or_default();
    let mut covered = std::collections::BTreeSet::new();
    let mut last_file = None;
    for (unit, (file, record)) in filled.selection.units.iter().enumerate() {
        let day = days.entry(file_day(record)).or_default();
        if last_file != Some(*file) {
            last_file = Some(*file);
            day.files_read += 1;
        }
        let own = terms.get(unit).copied().unwrap_or_default();
        let held: u64 = own.iter().sum();
        let found = record.pruned.total() + record.not_matched + record.before + record.kept;
        if found != record.rows || held != record.kept {
            let name = source.wanted.files.get(*file).map(|f| f.0.clone()).unwrap_or_default();
            return Err(Error::Conservation {
                source_name: source.plan.name.clone(),
                file: format!("{name}, row group {}", record.row_group),
                rows: record.rows,
                found: found - record.kept + held,
            });
        }
        day.rows += record.rows;
        day.pruned.add(&record.pruned);
        day.not_matched += record.not_matched;
        day.before += record.before;
        for (sum, term) in day.terms.iter_mut().zip(own) {
            *sum += term;
        }
        if record.rows > 0
            && let Some((from, to)) = record.file_days
        {
            covered.insert(from);
            covered.insert(to);
        }
    }
    for _ in &filled.unreadable {
        days.entry(None).or_default().files_unreadable += 1;
    }
    let periods = source.plan.expected.as_ref().map(|expected| {
        let range = expected.from_day..expected.until_day.max(expected.from_day);
        let have = covered.iter().filter(|day| range.contains(day)).count() as u64;
        (have, u64::try_from(range.end - range.start).unwrap_or(0))
    });
    Ok(SourceCoverage {
        source: source.plan.name.clone(),
        days,
        periods,
        conflicts: exposure.conflicts.get(index).copied().unwrap_or(0),
        deduplicates: source.plan.mapping.event_id.is_some(),
        has_status: source.plan.mapping.status.is_some(),
    })
}

fn check_rejects(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    filled: &[Filled],
    exposure: &Exposure,
) -> Result<(), Error> {
    let mut rejected = 0;
    let mut files: Vec<(String, u64)> = Vec::new();
    for ((source, filled), terms) in prepared.sources.iter().zip(filled).zip(&exposure.terms) {
        for ((file, _), own) in filled.selection.units.iter().zip(terms) {
            let rows = own.get(Term::Rejected as usize).copied().unwrap_or(0);
            if rows == 0 {
                continue;
            }
            rejected += rows;
            let name = source.wanted.files.get(*file).map(|f| f.0.as_str()).unwrap_or_default();
            match files.last_mut() {
                Some((last, sum)) if last == name => *sum += rows,
                _ => files.push((name.to_string(), rows)),
            }
        }
    }
    if rejected <= plan.max_rejected_rows {
        return Ok(());
    }
    let mut shown: Vec<String> =
        files.iter().take(5).map(|(name, rows)| format!("  {rows} in {name}")).collect();
    if files.len() > 5 {
        shown.push(format!("  and in {} more files", files.len() - 5));
    }
    shown.push(
        "a row is rejected for a null or unreadable time, a negative weight, or a scope that cannot be parsed"
            .into(),
    );
    Err(Error::Rejected { rejected, allowed: plan.max_rejected_rows, shown: shown.join("\n") })
}

fn totals(exposure: &Exposure) -> Totals {
    let all = exposure.cells.iter().find(|c| c.key.grain == Grain::All);
    let measures = all.and_then(|c| c.windows.get(Window::AfterRestriction as usize));
    let apps = exposure
        .cells
        .iter()
        .filter(|c| c.key.grain == Grain::App && c.key.app.is_some())
        .filter(|c| c.windows.first().is_some_and(|m| m.events > 0))
        .count();
    Totals {
        requests_allowed: measures.map_or(0, |m| m.requests),
        subjects_observed: measures.map_or(0, |m| m.subjects),
        groups: measures.map_or(0, |m| m.groups),
        apps: apps as u64,
    }
}

fn finish(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    publisher: &Publisher,
    counted: &Counted,
    observer: &dyn Observer,
) -> Result<Summary, Error> {
    let complete = counted.filled.iter().all(|f| f.unreadable.is_empty());
    let lookback = i64::from(plan.lookback_days).saturating_mul(DAY_MICROS);
    let report = Report {
        registry: &prepared.registry,
        exposure: &counted.exposure,
        coverage: &counted.coverage,
        group_namespaces: &counted.group_namespaces,
        as_of: plan.as_of,
        lookback_from: plan.as_of.plus_micros(-lookback),
        lookback_days: plan.lookback_days,
        complete,
    };
    let frames = impact::build_frames(&report).map_err(|e| impact::ImpactError::Output {
        table: "frames".into(),
        reason: e.to_string(),
    })?;
    let tables = impact::run(&prepared.queries, &frames)?;
    let mut files = Vec::with_capacity(tables.len() * 2);
    for table in &tables {
        files.push(table.parquet()?);
        files.push(table.csv()?);
    }
    let totals = totals(&counted.exposure);
    let verdict = if complete { "complete" } else { "incomplete" };
    for coverage in &counted.coverage {
        if !coverage.has_status {
            observer.warn(&format!(
                "source `{}` maps no status: every call counts as allowed",
                coverage.source
            ));
        }
    }
    let details = manifest_details(plan, prepared, counted, &tables, totals, verdict);
    let (published, _): (Published, _) = publisher.publish(&prepared.run_id, &files, details)?;
    publisher.point_latest(&prepared.run_id, plan.as_of)?;
    Ok(Summary {
        run_id: published.run_id,
        verdict: verdict.into(),
        tables: published.tables,
        totals,
        reused: published.reused,
    })
}

fn manifest_details(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    counted: &Counted,
    tables: &[Table],
    totals: Totals,
    verdict: &str,
) -> Value {
    let sources: Vec<Value> = prepared
        .sources
        .iter()
        .zip(&counted.filled)
        .zip(&counted.coverage)
        .map(|((source, filled), coverage)| source_details(source, filled, coverage))
        .collect();
    json!({
        "program": { "name": "afterscope", "version": env!("CARGO_PKG_VERSION") },
        "as_of": plan.as_of.to_rfc3339(),
        "verdict": verdict,
        "totals": totals,
        "configuration": plan.document,
        "ids": {
            "key_format": crate::key::KEY_FORMAT,
            "text": "first 128 bits of BLAKE3",
            "keyed": plan.keyer.is_keyed(),
            "key_id": plan.keyer.key_id(),
        },
        "registry": prepared.registry.files,
        "sources": sources,
        "tables": tables
            .iter()
            .map(|t| json!({ "name": t.name, "rows": t.batch.num_rows() }))
            .collect::<Vec<_>>(),
    })
}

fn source_details(source: &Source<'_>, filled: &Filled, coverage: &SourceCoverage) -> Value {
    let mut rows_of: BTreeMap<usize, u64> = BTreeMap::new();
    for (file, record) in &filled.selection.units {
        *rows_of.entry(*file).or_default() += record.rows;
    }
    let files: Vec<Value> = source
        .wanted
        .files
        .iter()
        .enumerate()
        .map(|(i, (address, pin))| {
            json!({
                "url": address,
                "bytes": pin.size,
                "e_tag": pin.e_tag,
                "version": pin.version,
                "rows": rows_of.get(&i),
            })
        })
        .collect();
    let mut pruned = Pruned::default();
    let (mut rows, mut not_matched, mut before, mut terms) = (0, 0, 0, exposure::Terms::default());
    for day in coverage.days.values() {
        pruned.add(&day.pruned);
        rows += day.rows;
        not_matched += day.not_matched;
        before += day.before;
        for (sum, term) in terms.iter_mut().zip(day.terms) {
            *sum += term;
        }
    }
    let term = |t: Term| terms.get(t as usize).copied().unwrap_or(0);
    let unmatched: u64 = filled.selection.units.iter().map(|(_, r)| r.unmatched_endpoints).sum();
    let packs: Vec<&str> = filled.selection.packs.iter().map(|(p, _)| p.name.as_str()).collect();
    json!({
        "name": source.plan.name,
        "url": source.plan.url.to_string(),
        "files": files,
        "hidden_files_passed_over": source.snapshot.ignored,
        "unreadable": filled
            .unreadable
            .iter()
            .map(|u| json!({ "file": u.path, "reason": u.reason }))
            .collect::<Vec<_>>(),
        "packs": packs,
        "rows": {
            "in_metadata": rows,
            "outside": {
                "pruned": pruned,
                "not_matched": not_matched,
                "before_first_day": before,
                "before_restriction": term(Term::Outside),
            },
            "deleted": 0,
            "rejected": term(Term::Rejected),
            "deduplicated": term(Term::Deduplicated),
            "after_as_of": term(Term::AfterAsOf),
            "denied": term(Term::Denied),
            "unknown": term(Term::Unknown),
            "held_only": term(Term::HeldOnly),
            "counted": term(Term::Counted),
        },
        "calls_without_endpoint": unmatched,
        "event_id_conflicts": coverage.conflicts,
        "deduplicates": coverage.deduplicates,
        "folds_case": source.plan.mapping.folded(),
    })
}

/// What a run would do.
#[derive(Clone, Debug, Serialize)]
pub struct Outlook {
    pub run_id: String,
    /// The run stands already and would be used again.
    pub published: bool,
    pub sources: Vec<SourceOutlook>,
    /// Bytes that the run will stay within.
    pub memory_limit: u64,
    /// Bytes that it is expected to reach.
    pub memory_expected: u64,
    pub threads: usize,
    pub tables: Vec<String>,
    pub output: String,
    pub state: String,
}

/// What a run would do with one source.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceOutlook {
    pub name: String,
    pub url: String,
    pub files: u64,
    pub bytes: u64,
    pub hidden_files_passed_over: u64,
    /// Files whose rows the ledger holds.
    pub files_reused: u64,
    /// Files to be opened, and what opening them shows.
    pub files_to_read: u64,
    pub bytes_of_files_to_read: u64,
    pub rows_in_metadata: u64,
    pub rows_pruned: Pruned,
    pub rows_to_read: u64,
}

/// Collects what opening files shows.
struct Survey<'a>(&'a Mutex<SourceOutlook>);

impl Sink for Survey<'_> {
    fn take(&mut self, _: usize, unit: UnitRecord, _: AccessBatch) -> Result<(), ScanError> {
        let mut outlook = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outlook.rows_in_metadata += unit.rows;
        outlook.rows_pruned.add(&unit.pruned);
        outlook.rows_to_read += unit.not_matched;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ScanError> {
        Ok(())
    }
}

/// Looks at what a run would do; writes nothing.
///
/// # Errors
/// As [`run`], as far as they show before rows are decoded.
pub fn outlook(plan: &RunPlan, io: &Io, progress: &Arc<Progress>) -> Result<Outlook, Error> {
    let prepared = prepare(plan, io, true)?;
    let published = match plan.output.open(io) {
        Ok(store) => Publisher::look(store).find(&prepared.run_id)?.is_some(),
        Err(_) => false,
    };
    let packs = match plan.state.open(io) {
        Ok(store) => Ledger::read_only(store).packs()?,
        Err(_) => Vec::new(),
    };
    let mut sources = Vec::new();
    let mut matched_rows = 0;
    for source in &prepared.sources {
        let selection = source.wanted.select(&packs);
        matched_rows += selection.packs.iter().map(|(p, _)| p.footer.rows).sum::<u64>();
        let files: Vec<_> = selection
            .missing
            .iter()
            .filter_map(|i| source.snapshot.files.get(*i).cloned())
            .collect();
        let outlook = Mutex::new(SourceOutlook {
            name: source.plan.name.clone(),
            url: source.plan.url.to_string(),
            files: source.wanted.files.len() as u64,
            bytes: source.wanted.files.iter().map(|(_, pin): &(String, Pin)| pin.size).sum(),
            hidden_files_passed_over: source.snapshot.ignored,
            files_reused: (source.wanted.files.len() - files.len()) as u64,
            files_to_read: files.len() as u64,
            bytes_of_files_to_read: files.iter().map(|f| f.pin.size).sum(),
            ..Default::default()
        });
        let mut sinks: Vec<Survey<'_>> = (0..plan.threads).map(|_| Survey(&outlook)).collect();
        let job = ScanJob {
            context: source.context.clone(),
            store: source.snapshot.store.clone(),
            files,
        };
        scan::scan(&job, &mut sinks, prepared.budget.prefetch, plan.allow_incomplete, progress)?;
        drop(sinks);
        sources.push(outlook.into_inner().unwrap_or_else(PoisonError::into_inner));
    }
    let rows_to_read: u64 = sources.iter().map(|s| s.rows_to_read).sum();
    Ok(Outlook {
        run_id: prepared.run_id,
        published,
        memory_limit: plan.memory_limit,
        memory_expected: prepared.budget.expected(plan.threads as u64, rows_to_read + matched_rows),
        threads: plan.threads,
        tables: prepared.queries.iter().map(|q| q.table.clone()).collect(),
        output: plan.output.to_string(),
        state: plan.state.to_string(),
        sources,
    })
}

/// Packs that a run of this plan would not use.
///
/// # Errors
/// As [`run`], up to listing the files.
pub fn unused_packs(plan: &RunPlan, io: &Io) -> Result<(Ledger, Vec<Pack>, Vec<Pack>), Error> {
    let prepared = prepare(plan, io, true)?;
    let ledger = Ledger::read_only(plan.state.open(io)?);
    let packs = ledger.packs()?;
    let used: std::collections::BTreeSet<String> = prepared
        .sources
        .iter()
        .flat_map(|s| s.wanted.select(&packs).packs)
        .map(|(pack, _)| pack.name)
        .collect();
    let unused = packs.iter().filter(|p| !used.contains(&p.name)).cloned().collect();
    Ok((ledger, packs, unused))
}
