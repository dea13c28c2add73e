//! Frames of who could call, and of what was promised.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::{DataFrame, PolarsResult};

use super::coverage::{DayCoverage, percent, periods_since};
use super::frames::{Builder, Report, escaped};
use crate::exposure::{CellKey, Grain, Measures, Term, Window};
use crate::moment::Moment;
use crate::registry::{Attestation, Grant, Registry};

/// An app with a grant of a restricted scope that holds at some moment of [restriction, as_of)
/// (docs/counting.md, rule 9).
struct Capable<'a> {
    scope: &'a str,
    app: &'a str,
    granted_at: Option<Moment>,
    revoked_at: Option<Moment>,
}

fn capable_apps<'a>(registry: &'a Registry, as_of: Moment) -> Vec<Capable<'a>> {
    let mut capable: Vec<Capable<'a>> = Vec::new();
    for ((app, scope), grants) in registry.grants.iter().flatten() {
        let Some(restricted) = registry.scopes.get(scope) else { continue };
        let holds = |grant: &&Grant| grant.overlaps(restricted.restricted_at, as_of);
        let first = grants.iter().filter(holds).map(|g| g.granted_at).min();
        let Some(granted_at) = first else { continue };
        let open = grants.iter().filter(holds).any(|g| g.revoked_at.is_none());
        let last = grants.iter().filter(holds).filter_map(|g| g.revoked_at).max();
        let revoked_at = last.filter(|_| !open);
        capable.push(Capable { scope, app, granted_at, revoked_at });
    }
    capable.sort_by_key(|c| (c.scope, c.app));
    capable
}

/// A row of `change_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// `value`, `row`, `column` or `table`.
    pub grain: &'static str,
    pub table: String,
    pub key: Option<String>,
    pub column: String,
    /// 1 for the first cause of a figure, 2 for the next.
    pub step: u64,
    pub old: Option<String>,
    pub new: Option<String>,
    pub reason: String,
}

/// What `change_log` reads.
pub(super) fn changes(rows: &[ChangeRow]) -> PolarsResult<DataFrame> {
    Builder::default()
        .text("grain", rows.iter().map(|row| Some(row.grain)))
        .text("table", rows.iter().map(|row| Some(&row.table)))
        .text("key", rows.iter().map(|row| row.key.as_ref()))
        .text("column", rows.iter().map(|row| Some(&row.column)))
        .count("step", rows.iter().map(|row| row.step))
        .text("old", rows.iter().map(|row| row.old.as_ref()))
        .text("new", rows.iter().map(|row| row.new.as_ref()))
        .text("reason", rows.iter().map(|row| Some(&row.reason)))
        .finish()
}

pub(super) fn capable(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = &report.names;
    let rows = capable_apps(report.registry, report.as_of);
    let named: Vec<_> = rows.iter().map(|c| names.app(c.app)).collect();
    Builder::default()
        .text("scope", rows.iter().map(|c| Some(escaped(c.scope))))
        .text("app_id", rows.iter().map(|c| Some(escaped(c.app))))
        .text("app_name", named.iter().map(|n| n.0))
        .text("developer_id", named.iter().map(|n| n.1.as_deref()))
        .text("developer_name", named.iter().map(|n| n.2))
        .time("granted_at", rows.iter().map(|c| c.granted_at))?
        .time("revoked_at", rows.iter().map(|c| c.revoked_at))?
        .finish()
}

/// What came after a promise.
#[derive(Default)]
struct After<'a> {
    measures: Option<&'a Measures>,
    /// `None` where no grants are known.
    regrants: Option<u64>,
    /// Covered and expected days since.
    periods: Option<(u64, u64)>,
    /// Whether no access after it can have been missed.
    is_whole: bool,
}

/// What a verdict rests on and all promises share.
struct Seen<'a> {
    /// Figures after each promise.
    cells: BTreeMap<&'a CellKey, &'a Measures>,
    /// Apps that the log names.
    apps: BTreeSet<&'a String>,
    /// Figures of events that name no app.
    nameless: Option<&'a Measures>,
    /// Whether no file was left out and no row rejected.
    is_read: bool,
}

impl<'a> Seen<'a> {
    fn new(report: &'a Report<'_>) -> Self {
        let cells = &report.exposure.cells;
        let promised = cells.iter().filter(|c| c.key.grain == Grain::Attestation);
        let nameless = cells.iter().find(|c| c.key.grain == Grain::App && c.key.app.is_none());
        let days = report.coverage.iter().flat_map(|source| source.days.values());
        let rejected = |day: &DayCoverage| day.terms.get(Term::Rejected as usize) != Some(&0);
        Self {
            cells: promised.map(|c| (&c.key, c.windows.get(Window::AfterAttestation))).collect(),
            apps: cells.iter().filter_map(|c| c.key.app.as_ref()).collect(),
            nameless: nameless.map(|cell| cell.windows.get(Window::AfterRestriction)),
            is_read: report.complete && !days.into_iter().any(rejected),
        }
    }
}

/// The grants of an app by scope.
fn grants_of<'a>(
    registry: &'a Registry,
    app: &str,
) -> impl Iterator<Item = (&'a str, &'a [Grant])> {
    let from = (app.to_string(), String::new());
    let grants = registry.grants.iter().flat_map(move |grants| grants.range(from.clone()..));
    let app = app.to_string();
    grants
        .take_while(move |((of, _), _)| *of == app)
        .map(|((_, scope), grants)| (scope.as_str(), grants.as_slice()))
}

/// Whether a use would be seen: the promise covers a scope that is restricted by now, and its app is known
/// to the registry or the log. Else it may be misspelt.
fn is_counted(report: &Report<'_>, seen: &Seen<'_>, attestation: &Attestation) -> bool {
    let app = &attestation.app;
    let mut scopes = report.registry.scopes.iter();
    scopes.any(|(name, scope)| attestation.covers(name) && scope.restricted_at < report.as_of)
        && (report.registry.apps.contains_key(app)
            || grants_of(report.registry, app).next().is_some()
            || seen.apps.contains(app))
}

fn after<'a>(
    report: &'a Report<'_>,
    seen: &Seen<'a>,
    attestation: &Attestation,
) -> Option<After<'a>> {
    let at = attestation.attested_at.filter(|at| *at < report.as_of)?;
    let key = CellKey {
        grain: Grain::Attestation,
        scope: attestation.scope.clone(),
        app: Some(attestation.app.clone()),
        developer: None,
        attested_at: Some(at),
    };
    let covered = grants_of(report.registry, &attestation.app).filter(|(scope, _)| {
        report.registry.scopes.contains_key(*scope) && attestation.covers(scope)
    });
    let again = |grant: &Grant| grant.granted_at.is_some_and(|g| at <= g && g < report.as_of);
    let regrants = covered.map(|(_, grants)| grants.iter().filter(|g| again(g)).count() as u64);
    // Calls that name no app may be this one's.
    let nameless = |m: &Measures| m.unsettled > 0 || m.last.is_some_and(|last| last >= at);
    let is_whole = seen.is_read
        && is_counted(report, seen, attestation)
        && !seen.nameless.is_some_and(nameless)
        && report
            .coverage
            .iter()
            .all(|source| source.periods.as_ref().is_some_and(|p| p.is_declared_since(at.day())));
    Some(After {
        measures: seen.cells.get(&key).copied(),
        regrants: report.registry.grants.is_some().then(|| regrants.sum()),
        periods: periods_since(report.coverage, at.day()),
        is_whole,
    })
}

pub(super) fn attestations(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = &report.names;
    let rows: Vec<&Attestation> = report.registry.attestations.iter().flatten().collect();
    let named: Vec<_> = rows.iter().map(|a| names.app(&a.app)).collect();
    let seen = Seen::new(report);
    let after: Vec<Option<After<'_>>> = rows.iter().map(|a| after(report, &seen, a)).collect();
    let none = Measures::default();
    let measures =
        || after.iter().map(|after| after.as_ref().map(|after| after.measures.unwrap_or(&none)));
    let count = |of: fn(&Measures) -> u64| -> Vec<Option<i64>> {
        measures().map(|m| m.and_then(|m| i64::try_from(of(m)).ok())).collect()
    };
    let periods = || after.iter().map(|a| a.as_ref().and_then(|a| a.periods));
    let of_periods = |of: fn((u64, u64)) -> u64| -> Vec<Option<i64>> {
        periods().map(|p| p.and_then(|p| i64::try_from(of(p)).ok())).collect()
    };
    // Where a report is followed; else nothing is known of what came late.
    let late = |at: Moment| -> Option<i64> {
        let days = report.coverage.iter().flat_map(|source| &source.days);
        let own = days.filter(|(day, _)| day.is_none_or(|day| day >= at.day()));
        let rows = own.map(|(_, found)| Some(found.since?.rows_late));
        i64::try_from(rows.sum::<Option<u64>>()?).ok()
    };
    let follows = report.coverage.iter().flat_map(|s| s.days.values()).any(|d| d.since.is_some());
    let late = rows
        .iter()
        .zip(&after)
        .map(|(row, after)| late(row.attested_at.filter(|_| follows && after.is_some())?));
    let upper: Vec<Option<i64>> = measures()
        .map(|m| {
            let none = report.registry.has_memberships.then_some(0);
            i64::try_from(m?.subjects_upper.or(none)?).ok()
        })
        .collect();
    let scope =
        |a: &&Attestation| a.scope.as_deref().map_or(Cow::from("(all)"), escaped).into_owned();
    Builder::default()
        .text("app_id", rows.iter().map(|a| Some(escaped(&a.app))))
        .text("app_name", named.iter().map(|n| n.0))
        .text("developer_id", named.iter().map(|n| n.1.as_deref()))
        .text("developer_name", named.iter().map(|n| n.2))
        .text("scope", rows.iter().map(|a| Some(scope(a))))
        .time("asked_at", rows.iter().map(|a| a.asked_at))?
        .time("attested_at", rows.iter().map(|a| a.attested_at))?
        .text("statement", rows.iter().map(|a| a.statement.as_deref()))
        .int("events_after", count(|m| m.events))
        .int("requests_after", measures().map(|m| m.map(|m| m.requests)).collect())
        .int("requests_denied_after", measures().map(|m| m.map(|m| m.denied)).collect())
        .int("requests_unknown_after", measures().map(|m| m.map(|m| m.unknown)).collect())
        .int("events_unsettled_after", count(|m| m.unsettled))
        .int("subjects_after", count(|m| m.subjects))
        .int("subjects_upper_bound_after", upper)
        .int("subjects_unknown_rows_after", count(|m| m.subjects_unknown_rows))
        .int("groups_after", count(|m| m.groups))
        .time("first_after", measures().map(|m| m.and_then(|m| m.first)))?
        .time("last_after", measures().map(|m| m.and_then(|m| m.last)))?
        .int("rows_late", late.collect())
        .int(
            "regrants",
            after
                .iter()
                .map(|a| a.as_ref().and_then(|a| i64::try_from(a.regrants?).ok()))
                .collect(),
        )
        .int("periods_expected_after", of_periods(|p| p.1))
        .int("periods_covered_after", of_periods(|p| p.0))
        .float("coverage_pct_after", periods().map(percent).collect())
        .boolean("is_whole_after", after.iter().map(|a| a.as_ref().map(|a| a.is_whole)).collect())
        .finish()
}
