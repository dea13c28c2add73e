//! The frames that queries read, made from what was counted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use polars::prelude::{
    Column, DataFrame, Int32Chunked, Int64Chunked, IntoColumn, NamedFrom, PolarsResult, Series,
    StringChunked, TimeUnit,
};

use super::coverage::{self, SourceCoverage, coverage_pct};
use super::whole::Columns;
use super::{dimension_frames, people_frames, policy_frames};
use crate::config::IncidentPlan;
use crate::exposure::{Cell, CellKey, Exposure, Grain, GroupRow, RestGroups, Window};
use crate::hidden::visible_lines;
use crate::moment::{Moment, Zone};
use crate::people::Residence;
use crate::registry::Registry;

/// All that the frames are made from.
pub struct Report<'a> {
    pub registry: &'a Registry,
    pub exposure: &'a Exposure,
    pub coverage: &'a [SourceCoverage],
    /// Names of the group namespaces.
    pub group_namespaces: &'a [String],
    /// What residents of cells refer to.
    pub residences: &'a [Residence],
    pub incident: IncidentPlan,
    pub zone: Zone,
    /// Whether any source lists the fields that a call returned.
    pub has_fields: bool,
    pub as_of: Moment,
    pub lookback_from: Moment,
    pub lookback_days: u32,
    pub complete: bool,
}

/// An id as tables show it: one that reads like a total, `(all)` or `(rest)`, gets a backslash.
pub fn escaped(id: &str) -> Cow<'_, str> {
    let bare = id.trim_start_matches('\\');
    if bare == "(all)" || bare == "(rest)" { format!("\\{id}").into() } else { id.into() }
}

/// Whether a spreadsheet would evaluate the text.
pub fn is_formula(text: &str) -> bool {
    text.trim_start_matches([' ', '\u{a0}']).starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
        // A negative number is evaluated to itself.
        && (text.starts_with('+') || text.parse::<i128>().is_err())
}

/// A text as a cell of a CSV file: what a spreadsheet would evaluate, also behind blanks, has a quote mark in
/// front (OWASP, CSV Injection), and what would act on a terminal is written out.
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    let shown = visible_lines(text);
    if is_formula(&shown) { format!("'{shown}").into() } else { shown }
}

/// A frame that queries read.
pub enum Frame {
    /// Of the query engine.
    Engine(DataFrame),
    /// Columns as tables have them. The query engine gets them only where a query asks more of them than to be taken
    /// as they are.
    Columns(RecordBatch),
}

#[derive(Default)]
pub(super) struct Builder {
    columns: Vec<Column>,
}

impl Builder {
    pub fn text(
        mut self,
        name: &str,
        values: impl Iterator<Item = Option<impl AsRef<str>>>,
    ) -> Self {
        let values: StringChunked = values.collect();
        self.columns.push(values.with_name(name.into()).into_column());
        self
    }

    pub fn int(mut self, name: &str, values: Vec<Option<i64>>) -> Self {
        self.columns.push(Series::new(name.into(), values).into_column());
        self
    }

    pub fn count(self, name: &str, values: impl Iterator<Item = u64>) -> Self {
        self.int(name, values.map(|v| i64::try_from(v).ok()).collect())
    }

    pub fn float(mut self, name: &str, values: Vec<Option<f64>>) -> Self {
        self.columns.push(Series::new(name.into(), values).into_column());
        self
    }

    pub fn boolean(mut self, name: &str, values: Vec<Option<bool>>) -> Self {
        self.columns.push(Series::new(name.into(), values).into_column());
        self
    }

    pub fn time(
        mut self,
        name: &str,
        values: impl Iterator<Item = Option<Moment>>,
    ) -> PolarsResult<Self> {
        let micros: Int64Chunked = values.map(|v| v.map(|m| m.micros)).collect();
        let times = micros.with_name(name.into()).into_datetime(TimeUnit::Microseconds, None);
        self.columns.push(times.into_column());
        Ok(self)
    }

    pub fn date(mut self, name: &str, values: Vec<Option<i64>>) -> PolarsResult<Self> {
        let days: Int32Chunked =
            values.into_iter().map(|v| v.and_then(|d| i32::try_from(d).ok())).collect();
        self.columns.push(days.with_name(name.into()).into_date().into_column());
        Ok(self)
    }

    pub fn finish(self) -> PolarsResult<DataFrame> {
        DataFrame::new_infer_height(self.columns)
    }
}

impl<'a> Names<'a> {
    /// Name, developer and developer's name of an app, as far as the registry has them.
    pub fn app(&self, id: &str) -> (Option<&'a str>, Option<Cow<'a, str>>, Option<&'a str>) {
        let app = self.registry.apps.get(id);
        let developer = app.and_then(|a| a.developer_id.as_deref());
        let named = developer.and_then(|d| self.developer_names.get(d)).copied();
        (app.and_then(|a| a.name.as_deref()), developer.map(escaped), named)
    }
}

/// A key with its names, as tables show it.
struct Shown<'a> {
    scope: Option<Cow<'a, str>>,
    app: Option<Cow<'a, str>>,
    app_name: Option<&'a str>,
    developer: Option<Cow<'a, str>>,
    developer_name: Option<&'a str>,
    restricted_at: Option<Moment>,
    grace_until: Option<Moment>,
}

pub(super) struct Names<'a> {
    registry: &'a Registry,
    developer_names: BTreeMap<&'a str, &'a str>,
}

impl<'a> Names<'a> {
    pub fn new(registry: &'a Registry) -> Self {
        let mut developer_names = BTreeMap::new();
        for app in registry.apps.values() {
            if let (Some(id), Some(name)) = (&app.developer_id, &app.developer_name) {
                developer_names.entry(id.as_str()).or_insert(name.as_str());
            }
        }
        Self { registry, developer_names }
    }

    fn shown(&self, key: &'a CellKey) -> Shown<'a> {
        let all = || Some(Cow::Borrowed("(all)"));
        let with_scope =
            matches!(key.grain, Grain::ScopeApp | Grain::ScopeDeveloper | Grain::Scope);
        let with_app = matches!(key.grain, Grain::ScopeApp | Grain::App);
        let with_developer = matches!(key.grain, Grain::ScopeDeveloper | Grain::Developer);
        let app = key.app.as_ref().and_then(|id| self.registry.apps.get(id));
        // An app's row names its developer; other rows without a developer cover all of them.
        let developer = match (with_app, with_developer) {
            (true, _) => app.and_then(|a| a.developer_id.as_deref()),
            (_, true) => key.developer.as_deref(),
            _ => None,
        };
        let scope = key.scope.as_ref().and_then(|s| self.registry.scopes.get(s));
        let grace = match (&key.app, &key.scope) {
            (Some(app), Some(scope)) => {
                self.registry.grace.get(&(app.clone(), scope.clone())).copied()
            }
            _ => None,
        };
        Shown {
            scope: if with_scope { key.scope.as_deref().map(escaped) } else { all() },
            app: if with_app { key.app.as_deref().map(escaped) } else { all() },
            app_name: app.and_then(|a| a.name.as_deref()),
            developer: if with_app || with_developer { developer.map(escaped) } else { all() },
            developer_name: developer.and_then(|d| self.developer_names.get(d)).copied(),
            restricted_at: scope.map(|s| s.restricted_at),
            grace_until: grace,
        }
    }
}

/// Builds all frames.
///
/// # Errors
/// Never in practice: columns have equal lengths.
pub fn build(report: &Report<'_>) -> PolarsResult<Vec<(&'static str, Frame)>> {
    let engine = |name, frame| (name, Frame::Engine(frame));
    Ok(vec![
        engine("exposure", exposure(report)?),
        ("exposure_days", days(report)?),
        ("exposure_groups", groups(report)?),
        engine("capable", policy_frames::capable(report)?),
        engine("attestations", policy_frames::attestations(report)?),
        engine("residents", people_frames::residents(report)?),
        engine("thresholds", people_frames::thresholds(report)?),
        engine("deadlines", people_frames::deadlines(report)?),
        engine("scopes", scopes(report)?),
        engine("scope_fields", scope_fields(report)?),
        engine("coverage_days", coverage::days(report)?),
        engine("coverage_sources", coverage::sources(report)?),
        engine("run", run(report)?),
        engine("apps", dimension_frames::apps(report)?),
        engine("dates", dimension_frames::dates(report)?),
    ])
}

fn exposure(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = Names::new(report.registry);
    // Promises have a frame of their own.
    let cells = || report.exposure.cells.iter().filter(|c| c.key.grain != Grain::Attestation);
    let shown: Vec<Shown> = cells().map(|c| names.shown(&c.key)).collect();
    let each = || {
        let rows = cells().zip(&shown).enumerate();
        rows.flat_map(|(i, (cell, shown))| std::iter::repeat_n((i, cell, shown), Window::COUNT))
    };
    let rows = || cells().flat_map(|c| c.windows.iter());
    Builder::default()
        .int("cell", each().map(|(i, ..)| i64::try_from(i).ok()).collect())
        .text("grain", each().map(|(_, c, _)| Some(c.key.grain.name())))
        .text("scope", each().map(|(.., s)| s.scope.as_deref()))
        .text("app_id", each().map(|(.., s)| s.app.as_deref()))
        .text("app_name", each().map(|(.., s)| s.app_name))
        .text("developer_id", each().map(|(.., s)| s.developer.as_deref()))
        .text("developer_name", each().map(|(.., s)| s.developer_name))
        .time("restricted_at", each().map(|(.., s)| s.restricted_at))?
        .time("grace_until", each().map(|(.., s)| s.grace_until))?
        .text("window", cells().flat_map(|_| Window::ALL.iter().map(|w| Some(w.name()))))
        .count("events_allowed", rows().map(|m| m.events))
        .int("requests_allowed", rows().map(|m| Some(m.requests)).collect())
        .int("requests_denied", rows().map(|m| Some(m.denied)).collect())
        .int("requests_unknown", rows().map(|m| Some(m.unknown)).collect())
        .int("requests_held_only", rows().map(|m| Some(m.held_only)).collect())
        .count("subjects_observed", rows().map(|m| m.subjects))
        .int(
            "subjects_upper_bound",
            rows().map(|m| m.subjects_upper.and_then(|n| i64::try_from(n).ok())).collect(),
        )
        .boolean(
            "upper_bound_complete",
            rows().map(|m| m.subjects_upper.map(|_| m.subjects_unknown_rows == 0)).collect(),
        )
        .count("subjects_unknown_rows", rows().map(|m| m.subjects_unknown_rows))
        .count("actors", rows().map(|m| m.actors))
        .count("groups", rows().map(|m| m.groups))
        .int("bytes", rows().map(|m| m.bytes).collect())
        .int("records", rows().map(|m| m.records).collect())
        .time("first_access", rows().map(|m| m.first))?
        .time("last_access", rows().map(|m| m.last))?
        .count("active_days", rows().map(|m| m.active_days))
        .finish()
}

fn days(report: &Report<'_>) -> PolarsResult<Frame> {
    let names = Names::new(report.registry);
    let with_days = report.exposure.cells.iter().enumerate().filter(|(_, c)| !c.days.is_empty());
    let mut cells: Vec<_> = with_days.map(|(i, cell)| (i, cell, names.shown(&cell.key))).collect();
    // In the order of the table that is made of it: then nothing is left to sort.
    cells.sort_by(|a, b| {
        let key = |c: &(usize, &Cell, Shown)| c.1.key.grain.name();
        (key(a), &a.2.scope, &a.2.app).cmp(&(key(b), &b.2.scope, &b.2.app))
    });
    let each = || cells.iter().flat_map(|cell| std::iter::repeat_n(cell, cell.1.days.len()));
    let runs = || cells.iter().map(|cell| (cell, cell.1.days.len()));
    let rows = || cells.iter().flat_map(|c| c.1.days.iter());
    let cumulative = cells.iter().flat_map(|c| {
        c.1.days.iter().scan(0u64, |sum, day| {
            *sum += day.new;
            Some(*sum)
        })
    });
    Columns::of(cells.iter().map(|cell| cell.1.days.len()).sum())
        .ints("cell", each().map(|(i, ..)| i64::try_from(*i).ok()))
        .runs("grain", runs().map(|((_, c, _), rows)| (Some(c.key.grain.name()), rows)))?
        .runs("scope", runs().map(|((.., s), rows)| (s.scope.as_deref(), rows)))?
        .runs("app_id", runs().map(|((.., s), rows)| (s.app.as_deref(), rows)))?
        .runs("app_name", runs().map(|((.., s), rows)| (s.app_name, rows)))?
        .days("day", rows().map(|d| d.day))
        .ints("requests_allowed", rows().map(|d| Some(d.requests)))
        .counts("subjects_observed", rows().map(|d| d.subjects))
        .counts("subjects_new", rows().map(|d| d.new))
        .counts("subjects_cumulative", cumulative)
        .finish()
}

fn groups(report: &Report<'_>) -> PolarsResult<Frame> {
    let scope_of = |i: u32| {
        let name = usize::try_from(i).ok().and_then(|i| report.exposure.scope_names.get(i));
        name.map(|name| escaped(name))
    };
    let namespace = |space: usize| report.group_namespaces.get(space).map(|name| escaped(name));
    let mut listed: Vec<&GroupRow> = report.exposure.groups.iter().collect();
    // In the order of the table, as days are; but for ids that are shown otherwise than they are.
    let mut spaces: Vec<usize> = (0..report.group_namespaces.len()).collect();
    spaces.sort_by_key(|space| report.group_namespaces.get(*space));
    let place = |space: usize| spaces.iter().position(|s| *s == space);
    listed.sort_unstable_by_key(|g| (g.scope, place(g.space), &g.id));
    let rest: Vec<(u32, &RestGroups)> =
        (0..).zip(&report.exposure.rest_groups).filter(|(_, rest)| rest.groups > 0).collect();
    let none = || std::iter::repeat_n(None, rest.len());
    let scopes = listed.chunk_by(|a, b| a.scope == b.scope);
    let scopes = scopes.filter_map(|run| Some((scope_of(run.first()?.scope), run.len())));
    let namespaces = listed.chunk_by(|a, b| a.space == b.space);
    let namespaces = namespaces.filter_map(|run| Some((namespace(run.first()?.space), run.len())));
    let grains = [(Some("scope_group"), listed.len()), (Some("scope_rest"), rest.len())];
    let ids = listed.iter().map(|g| Some(escaped(&g.id)));
    let count = |of: fn(&GroupRow) -> Option<u64>| {
        let counts = listed.iter().map(move |g| i64::try_from(of(g)?).ok());
        counts.chain(std::iter::repeat_n(None, rest.len()))
    };
    let requests = listed.iter().map(|g| Some(g.requests));
    Columns::of(listed.len() + rest.len())
        .runs("grain", grains.into_iter())?
        .runs("scope", scopes.chain(rest.iter().map(|r| (scope_of(r.0), 1))))?
        .runs("namespace", namespaces.chain([(Some("(rest)".into()), rest.len())]))?
        .texts("group_id", ids.chain(rest.iter().map(|_| Some("(rest)".into()))))
        .counts("groups", listed.iter().map(|_| 1).chain(rest.iter().map(|r| r.1.groups)))
        .ints("apps", count(|g| Some(g.apps)))
        .ints("members_then", count(|g| g.members))
        .ints("subjects_observed", count(|g| Some(g.subjects)))
        .ints("requests_allowed", requests.chain(rest.iter().map(|r| Some(r.1.requests))))
        .times("first_access", listed.iter().map(|g| Some(g.first)).chain(none()))
        .times("last_access", listed.iter().map(|g| Some(g.last)).chain(none()))
        .finish()
}

fn scopes(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let scopes = &report.registry.scopes;
    let status = |at: Moment| if at < report.as_of { "restricted" } else { "not_yet_restricted" };
    Builder::default()
        .text("scope", scopes.keys().map(|s| Some(escaped(s))))
        .time("restricted_at", scopes.values().map(|s| Some(s.restricted_at)))?
        .text("status", scopes.values().map(|s| Some(status(s.restricted_at))))
        .finish()
}

/// A data category that a scope gives access to.
struct Category<'a> {
    scope: Cow<'a, str>,
    name: Cow<'a, str>,
    special: Option<bool>,
    /// Fields that calls of the scope returned.
    returned: Option<String>,
}

fn scope_fields(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let mut rows: Vec<Category<'_>> = Vec::new();
    let returned = |scope: &String| -> Option<String> {
        let index = report.exposure.scope_names.binary_search(scope).ok();
        let names = index.and_then(|index| report.exposure.fields.get(index));
        let names = names.into_iter().flatten().map(|name| escaped(name));
        report.has_fields.then(|| names.collect::<Vec<_>>().join(";"))
    };
    for (scope, details) in &report.registry.scopes {
        let mut fields: Vec<&str> = details.data_fields.iter().map(String::as_str).collect();
        fields.sort_unstable();
        fields.dedup();
        for field in fields {
            let special = details.special_fields.as_ref().map(|s| s.iter().any(|s| s == field));
            rows.push(Category {
                scope: escaped(scope),
                name: escaped(field),
                special,
                returned: returned(scope),
            });
        }
    }
    Builder::default()
        .text("scope", rows.iter().map(|r| Some(&r.scope)))
        .text("data_category", rows.iter().map(|r| Some(&r.name)))
        .boolean("special_category", rows.iter().map(|r| r.special).collect())
        .text("fields_returned", rows.iter().map(|r| r.returned.as_deref()))
        .finish()
}

fn run(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let verdict = if report.complete { "complete" } else { "incomplete" };
    Builder::default()
        .time("as_of", std::iter::once(Some(report.as_of)))?
        .time("lookback_from", std::iter::once(Some(report.lookback_from)))?
        .int("lookback_days", vec![Some(i64::from(report.lookback_days))])
        .float("coverage_pct", vec![coverage_pct(report.coverage)])
        .text("verdict", std::iter::once(Some(verdict)))
        .boolean("has_grants", vec![Some(report.registry.grants.is_some())])
        .boolean("has_brownouts", vec![Some(report.registry.brownouts.is_some())])
        .boolean("has_attestations", vec![Some(report.registry.attestations.is_some())])
        .boolean("has_memberships", vec![Some(report.registry.has_memberships)])
        .boolean("has_residency", vec![Some(report.registry.has_residency)])
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_reads_like_a_total_is_escaped_and_stays_unique() {
        assert_eq!(escaped("(all)"), "\\(all)");
        assert_eq!(escaped("\\(all)"), "\\\\(all)");
        assert_eq!(escaped("all"), "all");
    }
}
