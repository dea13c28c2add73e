//! What the manifest says of a run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Totals;
use super::count::Counted;
use super::fill::Filled;
use super::prepare::{Prepared, Source};
use crate::config::RunPlan;
use crate::exposure::{self, Exposure, Grain, Term, Window};
use crate::impact::{HistoryCoverage, SourceCoverage};
use crate::moment::day_to_date;
use crate::publish::{Output, sha256};
use crate::registry::{is_country, is_subdivision};
use crate::scan::{Asked, Pruned};
use crate::snapshot::TableFiles;
use crate::store::Pin;
use crate::suppress::Suppressed;

/// Figures of the `(all)` row, as tables show them.
pub fn totals(exposure: &Exposure, suppressed: Option<&Suppressed>) -> Totals {
    let hides = suppressed.map(|suppressed| suppressed.totals).unwrap_or_default();
    let all = exposure.cells.iter().find(|c| c.key.grain == Grain::All);
    let measures = all.map(|c| c.windows.get(Window::AfterRestriction));
    let apps = exposure
        .cells
        .iter()
        .filter(|c| c.key.grain == Grain::App && c.key.app.is_some())
        .filter(|c| c.windows.get(Window::AfterRestriction).events > 0)
        .count();
    Totals {
        requests_allowed: (!hides.requests_allowed).then(|| measures.map_or(0, |m| m.requests)),
        subjects_observed: (!hides.subjects_observed).then(|| measures.map_or(0, |m| m.subjects)),
        groups: (!hides.groups).then(|| measures.map_or(0, |m| m.groups)),
        apps: apps as u64,
    }
}

/// Figures that may be true and may be a slip: what a reader should look at.
pub fn doubts(plan: &RunPlan, prepared: &Prepared<'_>, counted: &Counted) -> Vec<String> {
    const SHOWN: usize = 10;
    let mut doubts = Vec::new();
    let met: BTreeSet<&str> = counted
        .exposure
        .cells
        .iter()
        .filter(|c| c.key.grain == Grain::Scope)
        .filter_map(|c| c.key.scope.as_deref())
        .collect();
    let unmet: Vec<&String> = prepared
        .registry
        .scopes
        .iter()
        .filter(|(name, scope)| scope.restricted_at < plan.as_of && !met.contains(name.as_str()))
        .map(|(name, _)| name)
        .collect();
    for scope in unmet.iter().take(SHOWN) {
        doubts.push(format!(
            "no call of scope `{scope}` counts in this report; if that is unexpected, compare its spelling with the log's"
        ));
    }
    if unmet.len() > SHOWN {
        doubts.push(format!("and of {} more scopes", unmet.len() - SHOWN));
    }
    doubts.extend(of_tables(prepared));
    for coverage in &counted.coverage {
        if !coverage.has_status {
            doubts.push(format!(
                "source `{}` maps no status: every call counts as allowed",
                coverage.source
            ));
        }
        let sum = |t: Term| -> u64 {
            coverage.days.values().filter_map(|d| d.terms.get(t as usize)).sum()
        };
        doubts.extend(coverage.history.and_then(|history| of_history(&coverage.source, history)));
        let refused = sum(Term::Denied) + sum(Term::Unknown);
        if refused > 0 && sum(Term::Counted) + sum(Term::HeldOnly) == 0 {
            doubts.push(format!(
                "source `{}`: the status rule allows none of its {refused} calls; if that is unexpected, say which statuses mean allowed with [source.status]",
                coverage.source
            ));
        }
    }
    for table in &counted.tables {
        if let Some(rows) = table.overlapping.filter(|rows| *rows > 0) {
            doubts.push(format!(
                "{rows} rows of registry.memberships overlap another of the same person and group: they count as one"
            ));
        }
        if let Some(rows) = table.empty.filter(|rows| *rows > 0) {
            doubts.push(format!("{rows} rows of registry.memberships end where they begin"));
        }
    }
    let people = match contradictions(plan, counted) {
        Ok(people) => people.to_string(),
        Err(below) => format!("fewer than {below}"),
    };
    if counted.exposure.residence_contradictions > 0 {
        doubts.push(format!(
            "registry.residency gives {people} people that were reached two residences at one moment: they count without one"
        ));
    }
    doubts.extend(undeclared(plan, prepared, counted));
    doubts.extend(no_codes(prepared, counted));
    let mut read_by: BTreeMap<&str, &str> = BTreeMap::new();
    let mut shared: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for source in &prepared.sources {
        let is_local = source.snapshot.store.local_root().is_some();
        for (address, pin) in &source.wanted.files {
            // A local file's tag holds its inode: links may lead to it by several addresses.
            let tag = pin.e_tag.as_deref().filter(|_| is_local && pin.size > 0);
            let file = tag.unwrap_or(address);
            if let Some(first) = read_by.insert(file, &source.plan.name) {
                *shared.entry((first, &source.plan.name)).or_default() += 1;
            }
        }
    }
    for ((first, second), files) in shared {
        doubts.push(format!(
            "{files} files are read by source `{first}` and by source `{second}`: a row that matches in both counts in both"
        ));
    }
    doubts
}

/// What may be doubtful about the versions of tables that are read, and about which ones they are.
pub fn of_tables(prepared: &Prepared<'_>) -> Vec<String> {
    let doubts = prepared.sources.iter().flat_map(|source| {
        let doubts = source.snapshot.table.iter().flat_map(|table| table.warnings());
        doubts.map(|doubt| format!("source `{}`: {doubt}", source.plan.name))
    });
    doubts.collect()
}

/// That a table's history holds more than the version that is read.
fn of_history(source: &str, history: HistoryCoverage) -> Option<String> {
    if !history.is_told {
        return Some(format!(
            "source `{source}`: the table's log tells of no earlier version: whether rows were taken out before cannot be seen"
        ));
    }
    let since = history.known_from.map(|from| format!(" since {}", from.to_rfc3339()));
    let since = since.unwrap_or_default();
    let HistoryCoverage { versions, files_removed: files, .. } = history;
    let rows =
        history.rows_removed.map_or("rows that are not told".into(), |n| format!("{n} rows"));
    let took_out = match (files, history.rows_removed) {
        // Nothing of the kind is told of them.
        (0, Some(0)) => "restored earlier ones, were rolled back, vacuumed the table, or do not tell what they took out".into(),
        (0, _) => format!("took out {rows} of the report's days, restored or vacuumed"),
        (..) => format!("took out or rewrote {files} files ({rows}) of the report's days, restored or vacuumed"),
    };
    (versions > 0).then(|| {
        format!(
            "source `{source}`: {versions} versions of the table{since} {took_out}: what is gone is not counted; sources[].table.history in the manifest names them"
        )
    })
}

/// Days since the first restriction that a source does not declare: coverage says nothing of them.
fn undeclared(plan: &RunPlan, prepared: &Prepared<'_>, counted: &Counted) -> Vec<String> {
    let scopes = prepared.registry.scopes.values().map(|scope| scope.restricted_at);
    let Some(first) = scopes.filter(|at| *at < plan.as_of).min() else { return Vec::new() };
    let from = first.day();
    let any = counted.coverage.iter().any(|source| source.periods.is_some());
    let each = counted.coverage.iter().filter_map(|source| {
        let name = &source.source;
        let since = day_to_date(from);
        let Some(periods) = &source.periods else {
            return any.then(|| {
                format!("source `{name}` declares no days (expected): coverage speaks of the other sources only")
            });
        };
        let before = (periods.days.start.min(periods.settled) - from).max(0);
        let after = (periods.settled - periods.days.end.max(from)).max(0);
        (before + after > 0).then(|| {
            format!(
                "source `{name}` declares {} of the {} days since the first restriction ({since}): coverage says nothing of the other {}, on which calls may have come that no log shows",
                periods.settled - from - before - after,
                periods.settled - from,
                before + after,
            )
        })
    });
    each.collect()
}

/// Places that are no codes: no rule can name them.
fn no_codes(prepared: &Prepared<'_>, counted: &Counted) -> Option<String> {
    prepared.registry.thresholds.as_ref()?;
    let written = counted.residences.iter().filter_map(|residence| {
        let country = residence.country.as_deref()?;
        if !is_country(country) {
            return Some(country.to_string());
        }
        let part = residence.subdivision.as_deref()?;
        (!is_subdivision(country, part)).then(|| format!("{country} {part}"))
    });
    let written: BTreeSet<String> = written.collect();
    let shown: Vec<String> = written.iter().take(3).map(|place| format!("`{place}`")).collect();
    (!written.is_empty()).then(|| {
        format!(
            "registry.residency has {} written otherwise than by codes of ISO 3166 ({}{}): no rule of registry.thresholds can name them, and their people may live in any place",
            if written.len() == 1 { "1 place".into() } else { format!("{} places", written.len()) },
            shown.join(", "),
            if written.len() > shown.len() { ", …" } else { "" }
        )
    })
}

/// People of whom two residences are known at one moment; where that is a number that is not told, the least
/// that is.
fn contradictions(plan: &RunPlan, counted: &Counted) -> Result<u64, u32> {
    let people = counted.exposure.residence_contradictions;
    match plan.suppress_below {
        Some(below) if Suppressed::hides(below, people) => Err(below),
        _ => Ok(people),
    }
}

/// What decides the tables, as the manifest says it: what [`crate::changes::differences`] looks at.
pub fn made_from(plan: &RunPlan, prepared: &Prepared<'_>, filled: &[Filled]) -> Value {
    let sources = prepared.sources.iter().zip(filled).map(|(source, filled)| {
        let table = source.snapshot.table.as_ref().map(|table| table.record());
        json!({
            "name": source.plan.name,
            "files": files(source, filled),
            "kept_from": kept_from(&source.wanted.asked),
            "lineage": source.wanted.lineage,
            "table": table,
        })
    });
    json!({
        "program": { "name": "afterscope", "version": env!("CARGO_PKG_VERSION") },
        "as_of": plan.as_of.to_rfc3339(),
        "configuration": plan.written,
        "variables": variables(&plan.written, &plan.document),
        "options": { "pruning": plan.pruning, "allow_incomplete": plan.allow_incomplete },
        "queries": prepared
            .queries
            .iter()
            .filter(|query| query.spec.is_none())
            .map(|query| json!({ "table": query.table, "sha256": sha256(query.sql.as_bytes()) }))
            .collect::<Vec<_>>(),
        "ids": {
            "key_format": crate::key::KEY_FORMAT,
            "text": "first 128 bits of BLAKE3",
            "keyed": plan.keyer.is_keyed(),
            "key_id": plan.keyer.key_id(),
        },
        "registry": prepared.registry.files,
        "sources": sources.collect::<Vec<_>>(),
    })
}

/// What a finished run tells beside its tables.
pub struct Told<'a> {
    pub totals: Totals,
    pub verdict: &'a str,
    /// Its place among others.
    pub report: &'a Value,
    pub suppressed: Option<&'a Suppressed>,
}

/// Everything but the outputs.
pub fn manifest_details(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    counted: &Counted,
    outputs: &[Output],
    told: &Told<'_>,
) -> Value {
    let Told { totals, verdict, report, suppressed } = told;
    let sources: Vec<Value> = prepared
        .sources
        .iter()
        .zip(&counted.filled)
        .zip(&counted.coverage)
        .map(|((source, filled), coverage)| source_details(source, filled, coverage))
        .collect();
    let mut details = made_from(plan, prepared, &counted.filled);
    let more = json!({
        "report": report,
        "identity": prepared.identity,
        "verdict": verdict,
        "totals": totals,
        "people": counted.tables,
        "residence_contradictions": contradictions(plan, counted).ok(),
        "registry_without_effect": prepared.registry.without_effect(),
        "sources": sources,
        "doubts": doubts(plan, prepared, counted),
        "tables": outputs.iter().filter_map(table).collect::<Vec<_>>(),
    });
    if let (Some(all), Value::Object(more)) = (details.as_object_mut(), more) {
        all.extend(more);
        if let Some(suppressed) = suppressed {
            all.insert("suppressed".into(), json!(suppressed));
        }
    }
    details
}

/// A table of which this is the CSV file.
fn table(output: &Output) -> Option<Value> {
    let name = output.path.strip_prefix("tables/")?.strip_suffix(".csv")?;
    Some(json!({ "name": name, "rows": output.rows }))
}

/// Hashes of values that the configuration takes from the environment, by the place of the value: whether
/// one is another than in an earlier run, and not what it is.
fn variables(written: &Value, document: &Value) -> Value {
    fn walk(path: &str, written: &Value, document: &Value, out: &mut Map<String, Value>) {
        let (pairs, value): (Vec<(String, &Value)>, _) = match written {
            Value::Object(fields) => (fields.iter().map(|(k, v)| (k.clone(), v)).collect(), None),
            Value::Array(items) => {
                (items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(), None)
            }
            Value::String(text) if text.contains("${") => (Vec::new(), Some(text)),
            _ => (Vec::new(), None),
        };
        if value.is_some() {
            let hash = sha256(format!("{path}={document}").as_bytes());
            out.insert(path.to_string(), hash.get(..16).unwrap_or_default().into());
        }
        for (key, below) in pairs {
            let expanded = match document {
                Value::Object(fields) => fields.get(&key),
                Value::Array(items) => key.parse().ok().and_then(|i: usize| items.get(i)),
                _ => None,
            };
            walk(&format!("{path}/{key}"), below, expanded.unwrap_or(&Value::Null), out);
        }
    }
    let mut out = Map::new();
    walk("", written, document, &mut out);
    // Places change no figure.
    out.retain(|path, _| !["/run/", "/output/", "/state/"].iter().any(|p| path.starts_with(p)));
    Value::Object(out)
}

/// The files of a source with the rows that their metadata declare; null where a file could not be read.
fn files(source: &Source<'_>, filled: &Filled) -> Vec<Value> {
    // Rows, the first day that they may be of, none where a row group shows none, and what was told of a
    // file that was not opened.
    let mut known: BTreeMap<usize, (u64, Option<i64>, Option<String>)> = BTreeMap::new();
    for (file, record) in &filled.selection.units {
        let first = || (0, record.first_day, record.told());
        let (rows, day, _) = known.entry(*file).or_insert_with(first);
        *rows += record.rows;
        *day = day.zip(record.first_day).map(|(a, b)| a.min(b));
    }
    let each = source.wanted.files.iter().enumerate().map(|(i, (address, pin))| {
        // A file without row groups has no unit.
        let read = !filled.unreadable.iter().any(|bad| source.shown(&bad.path) == *address);
        let (rows, day, left_out) = known.remove(&i).unwrap_or_default();
        let mut file = json!({
            "url": address,
            "bytes": pin.size,
            "e_tag": pin.e_tag,
            "version": pin.version,
            "rows": read.then_some(rows),
            "first_day": day.map(day_to_date),
        });
        let others = [("deletes", &pin.deletes), ("values", &pin.values), ("left_out", &left_out)];
        for (key, told) in others {
            if let Some((fields, told)) = file.as_object_mut().zip(told.as_ref()) {
                fields.insert(key.into(), told.clone().into());
            }
        }
        file
    });
    each.collect()
}

/// The first day whose rows are kept; null where no scope is asked for. A file that lies before it need not be
/// opened.
pub fn kept_from(asked: &Asked) -> Option<String> {
    (!asked.scopes.is_empty()).then(|| day_to_date(asked.first_day))
}

/// Files of deletes and of metadata, pinned as files of data are.
fn table_files(source: &Source<'_>, files: &TableFiles) -> Value {
    let list = |of: &BTreeMap<String, Pin>| -> Vec<Value> {
        let each = of.iter().map(|(path, pin)| {
            json!({
                "url": source.shown(path),
                "bytes": pin.size,
                "e_tag": pin.e_tag,
                "version": pin.version,
            })
        });
        each.collect()
    };
    let mut told = json!({ "deletes": list(&files.deletes), "metadata": list(&files.metadata) });
    let lost = lost(source);
    if let Some(told) = told.as_object_mut().filter(|_| !lost.is_empty()) {
        told.insert("lost".into(), lost.into());
    }
    told
}

/// What the run went on without, each once, and what was there in its place: null where nothing was.
fn lost(source: &Source<'_>) -> Vec<Value> {
    let lost = source.snapshot.files.iter().filter_map(|file| file.lost.as_ref());
    let by_address: BTreeMap<&str, Option<&Pin>> =
        lost.map(|lost| (lost.file.as_str(), lost.found.as_ref())).collect();
    let each = by_address.into_iter().map(|(url, found)| {
        json!({
            "url": url,
            "bytes": found.map(|pin| pin.size),
            "e_tag": found.and_then(|pin| pin.e_tag.as_ref()),
            "version": found.and_then(|pin| pin.version.as_ref()),
        })
    });
    each.collect()
}

fn source_details(source: &Source<'_>, filled: &Filled, coverage: &SourceCoverage) -> Value {
    let mut pruned = Pruned::default();
    let (mut rows, mut not_matched, mut before, mut terms) = (0, 0, 0, exposure::Terms::default());
    let mut deleted = 0;
    for day in coverage.days.values() {
        pruned.add(&day.pruned);
        rows += day.rows;
        deleted += day.deleted;
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
        "files": files(source, filled),
        "kept_from": kept_from(&source.wanted.asked),
        "lineage": source.wanted.lineage,
        "reading": source.reading,
        "table": source.snapshot.table.as_ref().map(|table| table.record()),
        "table_files": source.snapshot.table.as_ref().map(|table| table_files(source, &table.files)),
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
            "deleted": deleted,
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
        "has_status": coverage.has_status,
        "folds_case": source.plan.mapping.folded(),
    })
}
