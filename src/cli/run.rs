//! `afterscope run`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use serde::Serialize;

use super::args::{Global, JobArgs, LogFormat};
use super::progress::{Shown, on_signals, watch};
use super::{Failure, print_line, terminal};
use crate::config::{self, Overrides, RunPlan};
use crate::database::Filled;
use crate::effort::Told;
use crate::error::{Error, ExitCode};
use crate::impact::Table;
use crate::lineage::{self, End, Lineage, Published};
use crate::metrics::Metrics;
use crate::pipeline::{self, Input, Observer, Scanning, Summary};
use crate::publish::Publisher;
use crate::scan::Progress;
use crate::store::Io;

/// The threads that wait for storage.
pub struct Runtime {
    pub io: Io,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    pub fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("afterscope-io")
            .enable_all()
            .build()
            .map_err(|e| Error::Folder { folder: "threads".into(), reason: e.to_string() })?;
        Ok(Self { io: Io::new(runtime.handle().clone()), runtime: Some(runtime) })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Requests under way must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub fn run(args: &JobArgs, global: &Global) -> Result<(), Failure> {
    let mut metrics = Metrics::new(SystemTime::now(), args.metrics.is_some());
    let outcome = job(args, global, &mut metrics);
    if let Some(file) = &args.metrics {
        let code = outcome.as_ref().map_or_else(|failure| failure.code, |_| ExitCode::Complete);
        // The figures are published by now: a run does not fail for what is told of it.
        if let Err(reason) = metrics.write(file, code) {
            let file = file.display();
            terminal::warning(&format!("--metrics: {file} is not written: {reason}"), global);
        }
    }
    print_line(&outcome?)
}

/// The run, told of while it goes on and when it is over.
fn job(args: &JobArgs, global: &Global, metrics: &mut Metrics) -> Result<Line, Failure> {
    let overrides = Overrides { no_database: args.no_database, ..args.run.overrides() };
    let plan = config::load(&args.run.place.config, &overrides)?;
    metrics.as_of = Some(plan.as_of);
    let runtime = Runtime::new()?;
    let lineage = told_of(&plan, &runtime.io, global);
    let outcome = worked(&plan, &runtime, lineage.as_ref(), global, metrics);
    // Asked again only where somebody wants it told; a failure of that is none of the run's.
    let summary = outcome.as_ref().ok().map(|line| &line.summary);
    let summary = summary.filter(|_| lineage.is_some() || metrics.are_wanted);
    let published = summary.and_then(|summary| {
        let publisher = Publisher::look(plan.output.open(&runtime.io).ok()?);
        let scopes = publisher.table(&summary.run_id, "scope_summary.parquet").ok().flatten();
        metrics.scopes = scopes.and_then(|file| Table::read_back("scope_summary", file).ok());
        Published::of(&publisher, summary)
    });
    let events = lineage.map(|lineage| {
        let (events, lost) = lineage.end(match &outcome {
            Ok(_) => End::Complete(published.as_ref()),
            Err(failure) if failure.is_by_signal() => End::Abort,
            Err(failure) => End::Fail(&failure.error),
        });
        lost.iter().for_each(|text| terminal::warning(text, global));
        events
    });
    metrics.published = published;
    metrics.events = events;
    let mut line = outcome?;
    line.effort.lineage = events;
    Ok(line)
}

/// The events of the run, where the environment says that somebody wants them.
fn told_of(plan: &RunPlan, io: &Io, global: &Global) -> Option<Lineage> {
    let (settings, warnings) = lineage::read(&lineage::variables());
    warnings.iter().for_each(|text| terminal::warning(text, global));
    Some(Lineage::begin(settings?, plan, io))
}

/// Counts and publishes, and shows it.
fn worked(
    plan: &RunPlan,
    runtime: &Runtime,
    lineage: Option<&Lineage>,
    global: &Global,
    metrics: &mut Metrics,
) -> Result<Line, Failure> {
    let (summary, effort) = watched(runtime, global, |progress, shown| {
        let outcome = pipeline::run(plan, &runtime.io, progress, &Both { shown, lineage });
        let effort = progress.effort.told(progress.read(), plan.memory_limit, plan.threads);
        metrics.effort = Some(effort.clone());
        Ok((outcome?, effort))
    })?;
    metrics.summary = Some(summary.clone());
    if !global.quiet && global.log_format == LogFormat::Text {
        let publisher = Publisher::look(plan.output.open(&runtime.io)?);
        findings(&summary, |file| Ok(publisher.table(&summary.run_id, file)?))?;
    }
    if let Some(filled) = &summary.database {
        copied(filled, global);
    }
    traffic(&runtime.io, global);
    if global.verbose > 0 {
        took(&effort, global);
    }
    Ok(Line { summary, effort })
}

/// Shows a run as it goes, and tells others.
struct Both<'a> {
    shown: &'a Shown,
    lineage: Option<&'a Lineage>,
}

impl Observer for Both<'_> {
    fn stage(&self, name: &str) {
        self.shown.stage(name);
        self.lineage.iter().for_each(|lineage| lineage.stage());
    }

    fn scanning(&self, scanning: &Scanning<'_>) {
        self.shown.scanning(scanning);
        self.lineage.iter().for_each(|lineage| lineage.stage());
    }

    fn warn(&self, text: &str) {
        self.shown.warn(text);
    }

    fn pinned(&self, inputs: &dyn Fn() -> Vec<Input>) {
        self.lineage.iter().for_each(|lineage| lineage.pinned(inputs()));
    }
}

/// The last line of stdout.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    summary: Summary,
    effort: Told,
}

/// Says what the run took.
fn took(effort: &Told, global: &Global) {
    let number = |count: u64| terminal::number(count);
    let bytes = terminal::bytes;
    let seconds = |seconds: f64| format!("{seconds:.2} s");
    let stages = effort
        .stages
        .iter()
        .map(|(name, took)| format!("{name} {}", seconds(took.as_f64().unwrap_or_default())));
    let stages: Vec<String> = stages.collect();
    let threads = &effort.threads;
    let parts = [
        ("waiting for reads", threads.reading),
        ("decoding", threads.decoding),
        ("sorting", threads.sorting),
        ("counting", threads.counting),
        ("tables", threads.tables),
    ];
    let parts: Vec<String> =
        parts.iter().map(|(name, took)| format!("{name} {}", seconds(*took))).collect();
    let bound = effort.bound_by.map(|part| format!("; bound by {part}")).unwrap_or_default();
    let read = &effort.read;
    let rate = effort.rows_per_second.map_or_else(String::new, |rate| {
        // A rate is a whole number.
        format!(", {} rows a second", number(rate as u64))
    });
    let peak = effort.memory.system_peak.map_or_else(|| "unknown".into(), bytes);
    let changed = effort.rows_changed.map_or_else(String::new, |rows| {
        format!("; {} of its rows new or of another meaning since the last count", number(rows))
    });
    for text in [
        format!("took {}: {}", seconds(effort.seconds), stages.join(", ")),
        format!("{} threads: {}{bound}", threads.count, parts.join(", ")),
        format!(
            "read {} files, {}, {} rows{rate}; {} pages decoded to {}; {} rows matched; {} files in the ledger already{changed}; {} spilled",
            number(read.files),
            bytes(read.bytes),
            number(read.rows),
            number(effort.pages_decoded),
            bytes(effort.bytes_decoded),
            number(read.matched),
            number(effort.files_reused),
            bytes(effort.bytes_spilled)
        ),
        format!(
            "memory: {peak} at most by the system, {} by the allocator, {} allowed",
            bytes(effort.memory.allocator_peak),
            bytes(effort.memory.limit)
        ),
    ] {
        terminal::info(&text, global);
    }
}

/// Says what became of the run in the database.
fn copied(filled: &Filled, global: &Global) {
    let tables = terminal::number(filled.tables);
    let text = match filled.stood {
        true => format!("database: the run stood there already, with {tables} tables"),
        false => {
            format!("database: {} rows of {tables} tables put in", terminal::number(filled.rows))
        }
    };
    terminal::info(&text, global);
}

/// Says what was asked of services over the network. It depends on what was tried again and on what the
/// ledger held, so that it is no part of the run: the manifest of the same run is the same.
fn traffic(io: &Io, global: &Global) {
    for asked in io.asked() {
        terminal::info(
            &format!(
                "{}: {} requests, {} read, {} written",
                asked.container,
                terminal::number(asked.requests),
                terminal::bytes(asked.read),
                terminal::bytes(asked.written)
            ),
            global,
        );
    }
}

/// Shows work as it goes, and ends it on a signal.
pub fn watched<T>(
    runtime: &Runtime,
    global: &Global,
    work: impl FnOnce(&Arc<Progress>, &Shown) -> Result<T, Error>,
) -> Result<T, Failure> {
    let progress = Arc::new(Progress::default());
    let signal = Arc::new(AtomicI32::new(0));
    on_signals(&runtime.io, &progress, &signal);
    let shown = Arc::new(Shown::new(global, &progress));
    let ticking = watch(&shown, runtime.io.handle());
    let outcome = work(&progress, &shown);
    ticking.abort();
    drop(shown);
    outcome.map_err(|error| {
        let mut failure = Failure::from(error);
        if failure.code == ExitCode::Interrupted {
            failure.error = Error::Interrupted;
            if signal.load(Ordering::SeqCst) == 15 {
                failure.code = ExitCode::Terminated;
            }
        }
        failure
    })
}

/// Says what changed since the report that the run follows.
fn changes(file: impl Fn(&str) -> Result<Option<Bytes>, Failure>) -> Result<(), Failure> {
    let Some(bytes) = file("change_log.csv")? else { return Ok(()) };
    let mut reader = csv::Reader::from_reader(bytes.as_ref());
    let headers = reader.headers().cloned().unwrap_or_default();
    let Some(at) = headers.iter().position(|h| h == "reason") else { return Ok(()) };
    let mut reasons: BTreeMap<String, i64> = BTreeMap::new();
    for record in reader.records().flatten() {
        *reasons.entry(record.get(at).unwrap_or_default().to_string()).or_default() += 1;
    }
    if !reasons.is_empty() {
        let each = reasons.iter().map(|(reason, n)| format!("{} {reason}", terminal::number(*n)));
        let each: Vec<String> = each.collect();
        terminal::plain(&format!("changes since the report before: {}", each.join(", ")));
    }
    Ok(())
}

/// Columns of the short table on stderr: name in `scope_summary`, heading.
const FINDINGS: [(&str, &str); 11] = [
    ("scope", "scope"),
    ("apps_capable", "apps able"),
    ("apps_used_after_restriction", "used"),
    ("apps_used_lookback", "lately"),
    ("subjects_observed", "people"),
    ("subjects_upper_bound", "up to"),
    ("subjects_unknown_rows", "unknown"),
    ("groups", "groups"),
    ("requests_allowed", "requests"),
    ("last_access", "last access"),
    ("coverage_pct", "coverage"),
];

/// Scopes that the short table shows.
const SHOWN: usize = 25;

/// Shows what was found, and where the tables lie. `file` reads one of the run's tables.
pub fn findings(
    summary: &Summary,
    file: impl Fn(&str) -> Result<Option<Bytes>, Failure>,
) -> Result<(), Failure> {
    let Some(bytes) = file("scope_summary.csv")? else { return Ok(()) };
    let mut reader = csv::Reader::from_reader(bytes.as_ref());
    let headers = reader.headers().cloned().unwrap_or_default();
    let at: Vec<Option<usize>> =
        FINDINGS.iter().map(|(name, _)| headers.iter().position(|h| h == *name)).collect();
    let mut lines = vec![FINDINGS.iter().map(|(_, heading)| (*heading).to_string()).collect()];
    for record in reader.records().flatten() {
        let cell = |i: &Option<usize>| i.and_then(|i| record.get(i)).unwrap_or_default();
        let shown = |text: &str| match text {
            // Not known, which is not 0.
            "" => "-".to_string(),
            text => text.parse::<i64>().map_or_else(|_| text.to_string(), terminal::number),
        };
        let pct = FINDINGS.iter().position(|(name, _)| *name == "coverage_pct");
        let mut line: Vec<String> = at.iter().map(|i| shown(cell(i))).collect();
        // A bound beside which there are calls of which nobody can say whom they reached is none.
        let complete = headers.iter().position(|h| h == "upper_bound_complete");
        let upper = FINDINGS.iter().position(|(name, _)| *name == "subjects_upper_bound");
        if cell(&complete) == "false"
            && let Some(upper) = upper.and_then(|upper| line.get_mut(upper))
            && upper != "-"
        {
            upper.push('+');
        }
        if let Some(pct) = pct.and_then(|pct| line.get_mut(pct))
            && let Ok(share) = pct.parse::<f64>()
        {
            // 99.999 is not 100.
            *pct = format!("{:.2} %", (share * 100.0).floor() / 100.0);
        }
        lines.push(line);
    }
    let more = lines.len().saturating_sub(SHOWN + 1);
    lines.truncate(SHOWN + 1);
    terminal::table(&lines);
    if more > 0 {
        terminal::plain(&format!("and {more} more scopes in scope_summary"));
    }
    changes(file)?;
    let (verdict, again) =
        (&summary.verdict, if summary.reused { ", published before" } else { "" });
    terminal::plain(&format!("{verdict}{again}: {}", summary.tables));
    Ok(())
}
