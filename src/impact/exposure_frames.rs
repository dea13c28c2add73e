//! Frames of what was counted: every grain and window, days, and groups.

use std::borrow::Cow;

use arrow::record_batch::RecordBatch;
use compact_str::CompactString;
use polars::prelude::{DataFrame, PolarsResult};

use super::coverage::coverage_pct;
use super::frames::{Builder, Report, Shown, escaped, verdict};
use super::whole::Columns;
use crate::codes::index;
use crate::exposure::{Cell, Day, Exposure, Grain, ListedGroups, Measures, Met, Window};

/// Promises have a frame of their own.
fn cells<'a>(report: &Report<'a>) -> impl Iterator<Item = &'a Cell> + Clone {
    report.exposure.cells.iter().filter(|cell| cell.key.grain != Grain::Attestation)
}

fn upper(measures: &Measures) -> Option<i64> {
    measures.subjects_upper.and_then(|people| i64::try_from(people).ok())
}

/// What tells the rows of a cell: its number, key and names.
fn keys<'r>(
    builder: Builder,
    each: impl Iterator<Item = (usize, &'r Cell, &'r Shown<'r>)> + Clone,
) -> PolarsResult<Builder> {
    builder
        .int("cell", each.clone().map(|(i, ..)| i64::try_from(i).ok()).collect())
        .text("grain", each.clone().map(|(_, c, _)| Some(c.key.grain.name())))
        .text("scope", each.clone().map(|(.., s)| s.scope.as_deref()))
        .text("app_id", each.clone().map(|(.., s)| s.app.as_deref()))
        .text("app_name", each.clone().map(|(.., s)| s.app_name))
        .text("developer_id", each.clone().map(|(.., s)| s.developer.as_deref()))
        .text("developer_name", each.clone().map(|(.., s)| s.developer_name))
        .time("restricted_at", each.clone().map(|(.., s)| s.restricted_at))?
        .time("grace_until", each.map(|(.., s)| s.grace_until))
}

/// All measures of a window.
fn measures<'r>(
    builder: Builder,
    rows: impl Iterator<Item = &'r Measures> + Clone,
) -> PolarsResult<Builder> {
    let rows = || rows.clone();
    let complete = |m: &Measures| m.subjects_upper.map(|_| m.subjects_unknown_rows == 0);
    Ok(builder
        .count("events_allowed", rows().map(|m| m.events))
        .int("requests_allowed", rows().map(|m| Some(m.requests)).collect())
        .int("requests_denied", rows().map(|m| Some(m.denied)).collect())
        .int("requests_unknown", rows().map(|m| Some(m.unknown)).collect())
        .int("requests_held_only", rows().map(|m| Some(m.held_only)).collect())
        .count("subjects_observed", rows().map(|m| m.subjects))
        .int("subjects_upper_bound", rows().map(upper).collect())
        .boolean("upper_bound_complete", rows().map(complete).collect())
        .count("subjects_unknown_rows", rows().map(|m| m.subjects_unknown_rows))
        .count("actors", rows().map(|m| m.actors))
        .count("groups", rows().map(|m| m.groups))
        .int("bytes", rows().map(|m| m.bytes).collect())
        .int("records", rows().map(|m| m.records).collect())
        .time("first_access", rows().map(|m| m.first))?
        .time("last_access", rows().map(|m| m.last))?
        .count("active_days", rows().map(|m| m.active_days)))
}

pub(super) fn exposure(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = &report.names;
    let shown: Vec<Shown> = cells(report).map(|c| names.shown(&c.key)).collect();
    let each = cells(report).zip(&shown).enumerate();
    let each =
        each.flat_map(|(i, (cell, shown))| std::iter::repeat_n((i, cell, shown), Window::COUNT));
    let windows = cells(report).flat_map(|_| Window::ALL.iter().map(|w| Some(w.name())));
    let builder = keys(Builder::default(), each)?.text("window", windows);
    measures(builder, cells(report).flat_map(|c| c.windows.iter()))?.finish()
}

/// The same with one row for each cell: what most queries ask, without a join for each window.
pub(super) fn exposure_cells(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = &report.names;
    let shown: Vec<Shown> = cells(report).map(|c| names.shown(&c.key)).collect();
    let each = cells(report).zip(&shown).enumerate().map(|(i, (cell, shown))| (i, cell, shown));
    let of = |window: Window| cells(report).map(move |c| c.windows.get(window));
    let mut builder = measures(keys(Builder::default(), each)?, of(Window::AfterRestriction))?;
    for window in Window::ALL.into_iter().filter(|window| *window != Window::AfterRestriction) {
        // A zero would say that nothing happened in windows that nobody knows of.
        let is_known = match window {
            Window::InBrownout => report.registry.brownouts.is_some(),
            Window::AfterRevocation => report.registry.grants.is_some(),
            Window::AfterAttestation => report.registry.attestations.is_some(),
            _ => true,
        };
        let rows = || of(window).map(|m| is_known.then_some(m));
        let count = |of: fn(&Measures) -> u64| -> Vec<Option<i64>> {
            rows().map(|m| i64::try_from(of(m?)).ok()).collect()
        };
        let column = |name: &str| format!("{name}_{}", window.name());
        builder = builder
            .int(&column("events"), count(|m| m.events))
            .int(&column("requests"), rows().map(|m| Some(m?.requests)).collect())
            .int(&column("subjects"), count(|m| m.subjects))
            .int(&column("subjects_upper_bound"), rows().map(|m| upper(m?)).collect())
            .int(&column("subjects_unknown_rows"), count(|m| m.subjects_unknown_rows))
            .int(&column("groups"), count(|m| m.groups))
            .time(&column("first_access"), rows().map(|m| m?.first))?
            .time(&column("last_access"), rows().map(|m| m?.last))?;
    }
    let count = cells(report).count();
    builder
        .float("coverage_pct", vec![coverage_pct(report.coverage); count])
        .text("verdict", std::iter::repeat_n(Some(verdict(report)), count))
        .finish()
}

/// Rows of which there are very many, apart from the rest of what was counted: they are freed as soon as tables have
/// them.
#[derive(Default)]
pub struct Rows {
    /// By cell.
    days: Vec<Vec<Day>>,
    /// By scope.
    groups: Vec<ListedGroups>,
}

impl Rows {
    /// Takes them.
    pub fn of(exposure: &mut Exposure) -> Self {
        let days = exposure.cells.iter_mut().map(|cell| std::mem::take(&mut cell.days));
        let groups = std::mem::take(&mut exposure.groups);
        Self { days: days.collect(), groups }
    }
}

/// A cell with its number, what is shown of its key, and its days.
struct CellDays<'a> {
    number: i64,
    grain: &'static str,
    shown: Shown<'a>,
    days: &'a [Day],
}

pub(super) fn days(
    report: &Report<'_>,
    rows: &mut Rows,
    are_asked: bool,
) -> PolarsResult<RecordBatch> {
    let names = &report.names;
    let of_cells = std::mem::take(&mut rows.days);
    let mut cells: Vec<CellDays<'_>> = Vec::new();
    for (number, (cell, days)) in (0..).zip(report.exposure.cells.iter().zip(&of_cells)) {
        if !days.is_empty() {
            let (grain, shown) = (cell.key.grain.name(), names.shown(&cell.key));
            cells.push(CellDays { number, grain, shown, days });
        }
    }
    // In the order of the table that is made of it: then nothing is left to sort.
    cells.sort_by(|a, b| {
        let key = |cell: &CellDays<'_>| cell.grain;
        (key(a), &a.shown.scope, &a.shown.app).cmp(&(key(b), &b.shown.scope, &b.shown.app))
    });
    let numbers = cells.iter().flat_map(|c| std::iter::repeat_n(c.number, c.days.len()));
    let runs = || cells.iter().map(|cell| (&cell.shown, cell.days.len()));
    let rows = || cells.iter().flat_map(|cell| cell.days.iter());
    let cumulative = cells.iter().flat_map(|cell| {
        cell.days.iter().scan(0u64, |sum, day| {
            *sum += day.new;
            Some(*sum)
        })
    });
    let columns = Columns::of(cells.iter().map(|cell| cell.days.len()).sum());
    let columns = match are_asked {
        true => columns.whole_ints("cell", numbers),
        // The table has no such column.
        false => columns,
    };
    columns
        .runs("grain", cells.iter().map(|cell| (Some(cell.grain), cell.days.len())))?
        .runs("scope", runs().map(|(shown, rows)| (shown.scope.as_deref(), rows)))?
        .runs("app_id", runs().map(|(shown, rows)| (shown.app.as_deref(), rows)))?
        .runs("app_name", runs().map(|(shown, rows)| (shown.app_name, rows)))?
        .days("day", rows().map(|d| d.day))
        .whole_ints("requests_allowed", rows().map(|d| d.requests))
        .counts("subjects_observed", rows().map(|d| d.subjects))
        .counts("subjects_new", rows().map(|d| d.new))
        .counts("subjects_cumulative", cumulative)
        .finish()
}

pub(super) fn groups(report: &Report<'_>, rows: &mut Rows, _: bool) -> PolarsResult<RecordBatch> {
    let scope_of = |i: u32| {
        let name = usize::try_from(i).ok().and_then(|i| report.exposure.scope_names.get(i));
        name.map(|name| escaped(name))
    };
    let namespace =
        |space: u32| report.group_namespaces.get(index(space)).map(|name| escaped(name));
    // In the order of the table, as days are; but for ids that are shown otherwise than they are.
    let mut spaces: Vec<usize> = (0..report.group_namespaces.len()).collect();
    spaces.sort_by_key(|space| report.group_namespaces.get(*space));
    let place = |space: u32| spaces.iter().position(|s| *s == index(space));
    let mut of_scopes = std::mem::take(&mut rows.groups);
    of_scopes.iter_mut().for_each(|of| of.put_spaces_in_order(place));
    let groups = || of_scopes.iter().flat_map(ListedGroups::iter);
    let rest = || (0..).zip(&of_scopes).filter(|(_, of)| of.rest.groups > 0);
    let (listed, beyond) = (groups().count(), rest().count());
    let none = || std::iter::repeat_n(None, beyond);
    let scopes = (0..).zip(&of_scopes).map(|(scope, of)| (scope_of(scope), of.count()));
    let scopes = scopes.filter(|(_, rows)| *rows > 0);
    let namespaces = of_scopes.iter().flat_map(ListedGroups::spaces);
    let namespaces = namespaces.map(|(space, rows)| (namespace(space), rows));
    let grains = [(Some("scope_group"), listed), (Some("scope_rest"), beyond)];
    let ids = groups().map(|group| Some(shown(group.id())));
    let count = |of: fn(&Met) -> u64| {
        let counts = groups().map(move |group| i64::try_from(of(group.met())).ok());
        counts.chain(none())
    };
    let members = of_scopes.iter().flat_map(ListedGroups::members);
    let members = members.map(|members| i64::try_from(members?).ok());
    let requests = groups().map(|group| Some(group.met().requests));
    let time = |of: fn(&Met) -> i64| groups().map(move |g| Some(of(g.met()))).chain(none());
    Columns::of(listed + beyond)
        .runs("grain", grains.into_iter())?
        .runs("scope", scopes.chain(rest().map(|(scope, _)| (scope_of(scope), 1))))?
        .runs("namespace", namespaces.chain([(Some("(rest)".into()), beyond)]))?
        .texts("group_id", ids.chain(rest().map(|_| Some("(rest)".into()))))
        .counts("groups", groups().map(|_| 1).chain(rest().map(|(_, of)| of.rest.groups)))
        .ints("apps", count(|met| met.apps))
        .ints("members_then", members.chain(none()))
        .ints("subjects_observed", count(|met| met.subjects))
        .ints("requests_allowed", requests.chain(rest().map(|(_, of)| Some(of.rest.requests))))
        .times("first_access", time(|met| met.first))
        .times("last_access", time(|met| met.last))
        .finish()
}

/// An id of a group as it is shown.
fn shown(id: CompactString) -> CompactString {
    match escaped(&id) {
        Cow::Borrowed(_) => id,
        Cow::Owned(shown) => shown.into(),
    }
}
