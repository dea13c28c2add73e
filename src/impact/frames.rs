//! The frames that queries read: a versioned contract (`afterscope schema frames`).

use std::collections::BTreeMap;

use polars::prelude::{
    Column, DataFrame, DataType, IntoColumn, NamedFrom, PolarsResult, Series, TimeUnit,
};

use crate::exposure::{CellKey, Exposure, Grain, Window};
use crate::moment::Moment;
use crate::registry::Registry;
use crate::scan::Pruned;

/// Version of the frames' names and columns.
pub const FRAMES_VERSION: u32 = 1;

/// A frame and what its columns hold.
#[derive(Clone, Copy, Debug)]
pub struct FrameSpec {
    pub name: &'static str,
    pub about: &'static str,
    /// Name, type, unit, meaning.
    pub columns: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

/// All frames. Times are timestamps in microseconds, UTC.
pub const FRAMES: &[FrameSpec] = &[
    FrameSpec {
        name: "exposure",
        about: "Every measure for every grain and window. One row for each cell with an event and each window.",
        columns: &[
            ("cell", "int64", "", "Number of the cell: joins rows of one cell, also where its app is null."),
            ("grain", "string", "", "scope_app, scope_developer, scope, app, developer or all."),
            ("scope", "string", "", "Scope, or (all)."),
            ("app_id", "string", "", "App, (all), or null: events that name no app."),
            ("app_name", "string", "", "From the registry."),
            ("developer_id", "string", "", "Developer, (all), or null: not known."),
            ("developer_name", "string", "", "From the registry."),
            ("restricted_at", "timestamp", "UTC", "Null where the scope is (all)."),
            ("grace_until", "timestamp", "UTC", "End of the app's grace for the scope; null without one."),
            ("window", "string", "", "after_restriction, in_grace, after_grace, in_brownout, after_revocation, after_attestation or lookback."),
            ("events_allowed", "int64", "events", "Allowed, exercised events, unweighted."),
            ("requests_allowed", "int64", "requests", "Sum of weights of allowed, exercised events."),
            ("requests_denied", "int64", "requests", "Of denied events, whatever was exercised."),
            ("requests_unknown", "int64", "requests", "Of events whose outcome is unknown."),
            ("requests_held_only", "int64", "requests", "Of allowed events none of whose scopes was exercised."),
            ("subjects_observed", "int64", "people", "Distinct people whose data was reached."),
            ("subjects_unknown_rows", "int64", "events", "Events that name no subject and no group with a known member."),
            ("actors", "int64", "people", "Distinct holders of tokens."),
            ("groups", "int64", "groups", "Distinct groups read."),
            ("bytes", "int64", "bytes", "Sum of known values; null if none is known."),
            ("records", "int64", "records", "Sum of known values; null if none is known."),
            ("first_access", "timestamp", "UTC", "First allowed, exercised event."),
            ("last_access", "timestamp", "UTC", "Last allowed, exercised event."),
            ("active_days", "int64", "UTC days", "Days with such an event."),
        ],
    },
    FrameSpec {
        name: "exposure_days",
        about: "Figures by UTC day for the grains scope_app, scope, app and all. One row for each day with an allowed, exercised event.",
        columns: &[
            ("cell", "int64", "", "As in `exposure`."),
            ("grain", "string", "", ""),
            ("scope", "string", "", "Scope, or (all)."),
            ("app_id", "string", "", "App, (all), or null."),
            ("app_name", "string", "", "From the registry."),
            ("day", "date", "UTC day", ""),
            ("requests_allowed", "int64", "requests", "On that day."),
            ("subjects_observed", "int64", "people", "Distinct on that day."),
            ("subjects_new", "int64", "people", "Seen on that day and never before it."),
            ("subjects_cumulative", "int64", "people", "Distinct up to and with that day."),
        ],
    },
    FrameSpec {
        name: "exposure_groups",
        about: "Groups reached, for each scope the first by people (report.groups), and a row (rest).",
        columns: &[
            ("grain", "string", "", "scope_group, or scope_rest for what is not listed."),
            ("scope", "string", "", ""),
            ("namespace", "string", "", "Namespace of the group's id; (rest) on the rest row."),
            ("group_id", "string", "", "The group's own id; (rest) on the rest row."),
            ("groups", "int64", "groups", "1, or the number of groups in the rest."),
            ("apps", "int64", "apps", "Distinct apps that read it; null for the rest."),
            ("subjects_observed", "int64", "people", "Distinct; null for the rest."),
            ("requests_allowed", "int64", "requests", ""),
            ("first_access", "timestamp", "UTC", "Null for the rest."),
            ("last_access", "timestamp", "UTC", "Null for the rest."),
        ],
    },
    FrameSpec {
        name: "scopes",
        about: "The restricted scopes of the registry.",
        columns: &[
            ("scope", "string", "", ""),
            ("restricted_at", "timestamp", "UTC", ""),
            ("status", "string", "", "restricted, or not_yet_restricted: at or after as_of."),
        ],
    },
    FrameSpec {
        name: "scope_fields",
        about: "Data categories that a scope gives access to. One row for each scope and category.",
        columns: &[("scope", "string", "", ""), ("data_category", "string", "", "")],
    },
    FrameSpec {
        name: "coverage_days",
        about: "Where every row of the input went (docs/counting.md, rule 12). One row for each source and file day.",
        columns: &[
            ("source", "string", "", ""),
            ("file_day", "date", "UTC day", "Declared partition day, or the day that all of a file's times share, or null."),
            ("files_read", "int64", "files", ""),
            ("files_unreadable", "int64", "files", "Left out with --allow-incomplete."),
            ("rows_in_metadata", "int64", "rows", ""),
            ("rows_outside", "int64", "rows", "Pruned, without an asked scope, or before the restriction of all its scopes."),
            ("rows_deleted", "int64", "rows", "Deleted in the table format; 0 for plain files."),
            ("rows_rejected", "int64", "rows", ""),
            ("rows_deduplicated", "int64", "rows", ""),
            ("rows_after_as_of", "int64", "rows", ""),
            ("rows_denied", "int64", "rows", ""),
            ("rows_unknown", "int64", "rows", ""),
            ("rows_held_only", "int64", "rows", ""),
            ("rows_counted", "int64", "rows", ""),
        ],
    },
    FrameSpec {
        name: "coverage_sources",
        about: "Declared periods of each source, and one row (all).",
        columns: &[
            ("source", "string", "", "Source, or (all)."),
            ("periods_expected", "int64", "periods", "Null where the source declares none."),
            ("periods_covered", "int64", "periods", "Of them, those with rows in readable files."),
            ("coverage_pct", "float64", "percent", "Null where the source declares none."),
            ("event_id_conflicts", "int64", "event ids", "Ids whose rows contradict each other."),
            ("deduplicates", "bool", "", "Whether the source maps an event id."),
            ("has_status", "bool", "", "Whether the source maps a status; without one all is allowed."),
        ],
    },
    FrameSpec {
        name: "run",
        about: "The run, in one row.",
        columns: &[
            ("as_of", "timestamp", "UTC", ""),
            ("lookback_from", "timestamp", "UTC", ""),
            ("lookback_days", "int64", "days", ""),
            ("coverage_pct", "float64", "percent", "Over all sources that declare periods."),
            ("verdict", "string", "", "complete or incomplete."),
        ],
    },
];

/// What became of the files of one source and file day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayCoverage {
    pub files_read: u64,
    pub files_unreadable: u64,
    pub rows: u64,
    pub pruned: Pruned,
    pub not_matched: u64,
    pub before: u64,
    /// Rows that the ledger holds, by [`crate::exposure::Term`].
    pub terms: crate::exposure::Terms,
}

/// What became of one source.
#[derive(Clone, Debug, Default)]
pub struct SourceCoverage {
    pub source: String,
    pub days: BTreeMap<Option<i64>, DayCoverage>,
    pub periods: Option<(u64, u64)>,
    pub conflicts: u64,
    pub deduplicates: bool,
    pub has_status: bool,
}

/// All that the frames are made from.
pub struct Report<'a> {
    pub registry: &'a Registry,
    pub exposure: &'a Exposure,
    pub coverage: &'a [SourceCoverage],
    /// Names of the group namespaces.
    pub group_namespaces: &'a [String],
    pub as_of: Moment,
    pub lookback_from: Moment,
    pub lookback_days: u32,
    pub complete: bool,
}

/// An id as tables show it: one that reads like a total, `(all)` or `(rest)`, gets a backslash.
pub fn escaped(id: &str) -> String {
    let bare = id.trim_start_matches('\\');
    if bare == "(all)" || bare == "(rest)" { format!("\\{id}") } else { id.to_string() }
}

/// Whether a spreadsheet would evaluate the text.
pub fn is_formula(text: &str) -> bool {
    text.trim_start_matches([' ', '\u{a0}']).starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

#[derive(Default)]
struct Builder {
    columns: Vec<Column>,
}

impl Builder {
    fn text(mut self, name: &str, values: Vec<Option<String>>) -> Self {
        self.columns.push(Series::new(name.into(), values).into_column());
        self
    }

    fn int(mut self, name: &str, values: Vec<Option<i64>>) -> Self {
        self.columns.push(Series::new(name.into(), values).into_column());
        self
    }

    fn count(self, name: &str, values: impl Iterator<Item = u64>) -> Self {
        self.int(name, values.map(|v| i64::try_from(v).ok()).collect())
    }

    fn float(mut self, name: &str, values: Vec<Option<f64>>) -> Self {
        self.columns.push(Series::new(name.into(), values).into_column());
        self
    }

    fn boolean(mut self, name: &str, values: Vec<Option<bool>>) -> Self {
        self.columns.push(Series::new(name.into(), values).into_column());
        self
    }

    fn time(mut self, name: &str, values: Vec<Option<Moment>>) -> PolarsResult<Self> {
        let micros: Vec<Option<i64>> = values.into_iter().map(|v| v.map(|m| m.micros)).collect();
        let series = Series::new(name.into(), micros);
        let series = series.cast(&DataType::Datetime(TimeUnit::Microseconds, None))?;
        self.columns.push(series.into_column());
        Ok(self)
    }

    fn date(mut self, name: &str, values: Vec<Option<i64>>) -> PolarsResult<Self> {
        let days: Vec<Option<i32>> =
            values.into_iter().map(|v| v.and_then(|d| i32::try_from(d).ok())).collect();
        let series = Series::new(name.into(), days).cast(&DataType::Date)?;
        self.columns.push(series.into_column());
        Ok(self)
    }

    fn finish(self) -> PolarsResult<DataFrame> {
        DataFrame::new_infer_height(self.columns)
    }
}

/// A key with its names, as tables show it.
struct Shown {
    scope: Option<String>,
    app: Option<String>,
    app_name: Option<String>,
    developer: Option<String>,
    developer_name: Option<String>,
    restricted_at: Option<Moment>,
    grace_until: Option<Moment>,
}

struct Names<'a> {
    registry: &'a Registry,
    developer_names: BTreeMap<&'a str, &'a str>,
}

impl<'a> Names<'a> {
    fn new(registry: &'a Registry) -> Self {
        let mut developer_names = BTreeMap::new();
        for app in registry.apps.values() {
            if let (Some(id), Some(name)) = (&app.developer_id, &app.developer_name) {
                developer_names.entry(id.as_str()).or_insert(name.as_str());
            }
        }
        Self { registry, developer_names }
    }

    fn shown(&self, key: &CellKey) -> Shown {
        let all = || Some("(all)".to_string());
        let with_scope = matches!(key.grain, Grain::ScopeApp | Grain::ScopeDeveloper | Grain::Scope);
        let with_app = matches!(key.grain, Grain::ScopeApp | Grain::App);
        let with_developer = matches!(key.grain, Grain::ScopeDeveloper | Grain::Developer);
        let app = key.app.as_ref().and_then(|id| self.registry.apps.get(id));
        // An app's row names its developer; other rows without a developer cover all of them.
        let developer = match (with_app, with_developer) {
            (true, _) => app.and_then(|a| a.developer_id.clone()),
            (_, true) => key.developer.clone(),
            _ => None,
        };
        let developer_name =
            developer.as_ref().and_then(|d| self.developer_names.get(d.as_str())).map(|n| (*n).to_string());
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
            app_name: app.and_then(|a| a.name.clone()),
            developer: if with_app || with_developer {
                developer.as_deref().map(escaped)
            } else {
                all()
            },
            developer_name,
            restricted_at: scope.map(|s| s.restricted_at),
            grace_until: grace,
        }
    }
}

/// Builds all frames.
///
/// # Errors
/// Never in practice: columns have equal lengths.
pub fn build(report: &Report<'_>) -> PolarsResult<Vec<(&'static str, DataFrame)>> {
    Ok(vec![
        ("exposure", exposure(report)?),
        ("exposure_days", days(report)?),
        ("exposure_groups", groups(report)?),
        ("scopes", scopes(report)?),
        ("scope_fields", scope_fields(report)?),
        ("coverage_days", coverage_days(report)?),
        ("coverage_sources", coverage_sources(report)?),
        ("run", run(report)?),
    ])
}

fn exposure(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = Names::new(report.registry);
    let cells = &report.exposure.cells;
    let shown: Vec<Shown> = cells.iter().map(|c| names.shown(&c.key)).collect();
    let windows = Window::ALL.len();
    let each = |f: &dyn Fn(&Shown) -> Option<String>| -> Vec<Option<String>> {
        shown.iter().flat_map(|s| std::iter::repeat_n(f(s), windows)).collect()
    };
    let moments = |f: &dyn Fn(&Shown) -> Option<Moment>| -> Vec<Option<Moment>> {
        shown.iter().flat_map(|s| std::iter::repeat_n(f(s), windows)).collect()
    };
    let rows = || cells.iter().flat_map(|c| c.windows.iter());
    let number = |i: usize| i64::try_from(i).ok();
    Builder::default()
        .int("cell", (0..cells.len()).flat_map(|i| std::iter::repeat_n(number(i), windows)).collect())
        .text(
            "grain",
            cells
                .iter()
                .flat_map(|c| std::iter::repeat_n(Some(c.key.grain.name().to_string()), windows))
                .collect(),
        )
        .text("scope", each(&|s| s.scope.clone()))
        .text("app_id", each(&|s| s.app.clone()))
        .text("app_name", each(&|s| s.app_name.clone()))
        .text("developer_id", each(&|s| s.developer.clone()))
        .text("developer_name", each(&|s| s.developer_name.clone()))
        .time("restricted_at", moments(&|s| s.restricted_at))?
        .time("grace_until", moments(&|s| s.grace_until))?
        .text(
            "window",
            cells
                .iter()
                .flat_map(|_| Window::ALL.iter().map(|w| Some(w.name().to_string())))
                .collect(),
        )
        .count("events_allowed", rows().map(|m| m.events))
        .int("requests_allowed", rows().map(|m| Some(m.requests)).collect())
        .int("requests_denied", rows().map(|m| Some(m.denied)).collect())
        .int("requests_unknown", rows().map(|m| Some(m.unknown)).collect())
        .int("requests_held_only", rows().map(|m| Some(m.held_only)).collect())
        .count("subjects_observed", rows().map(|m| m.subjects))
        .count("subjects_unknown_rows", rows().map(|m| m.subjects_unknown_rows))
        .count("actors", rows().map(|m| m.actors))
        .count("groups", rows().map(|m| m.groups))
        .int("bytes", rows().map(|m| m.bytes).collect())
        .int("records", rows().map(|m| m.records).collect())
        .time("first_access", rows().map(|m| m.first).collect())?
        .time("last_access", rows().map(|m| m.last).collect())?
        .count("active_days", rows().map(|m| m.active_days))
        .finish()
}

fn days(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = Names::new(report.registry);
    let cells = &report.exposure.cells;
    let each = |f: &dyn Fn(&Shown, &CellKey) -> Option<String>| -> Vec<Option<String>> {
        cells
            .iter()
            .filter(|c| !c.days.is_empty())
            .flat_map(|c| {
                let shown = names.shown(&c.key);
                std::iter::repeat_n(f(&shown, &c.key), c.days.len())
            })
            .collect()
    };
    let rows = || cells.iter().flat_map(|c| c.days.iter());
    let cumulative = cells.iter().flat_map(|c| {
        c.days.iter().scan(0u64, |sum, day| {
            *sum += day.new;
            Some(*sum)
        })
    });
    let numbers = cells
        .iter()
        .enumerate()
        .flat_map(|(i, c)| std::iter::repeat_n(i64::try_from(i).ok(), c.days.len()));
    Builder::default()
        .int("cell", numbers.collect())
        .text("grain", each(&|_, key| Some(key.grain.name().to_string())))
        .text("scope", each(&|s, _| s.scope.clone()))
        .text("app_id", each(&|s, _| s.app.clone()))
        .text("app_name", each(&|s, _| s.app_name.clone()))
        .date("day", rows().map(|d| Some(d.day)).collect())?
        .int("requests_allowed", rows().map(|d| Some(d.requests)).collect())
        .count("subjects_observed", rows().map(|d| d.subjects))
        .count("subjects_new", rows().map(|d| d.new))
        .count("subjects_cumulative", cumulative)
        .finish()
}

fn groups(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let listed = &report.exposure.groups;
    let scope_of = |i: u32| {
        let name = usize::try_from(i).ok().and_then(|i| report.exposure.scope_names.get(i));
        name.map(|n| escaped(n))
    };
    let rest: Vec<_> = report
        .exposure
        .rest_groups
        .iter()
        .enumerate()
        .filter(|(_, rest)| rest.groups > 0)
        .filter_map(|(i, rest)| Some((u32::try_from(i).ok()?, rest)))
        .collect();
    let rests = rest.len();
    let word = |text: &str, n: usize| std::iter::repeat_n(Some(text.to_string()), n);
    let namespace = |space: usize| report.group_namespaces.get(space).map(|n| escaped(n));
    Builder::default()
        .text("grain", word("scope_group", listed.len()).chain(word("scope_rest", rests)).collect())
        .text(
            "scope",
            listed.iter().map(|g| scope_of(g.scope)).chain(rest.iter().map(|r| scope_of(r.0))).collect(),
        )
        .text("namespace", listed.iter().map(|g| namespace(g.space)).chain(word("(rest)", rests)).collect())
        .text("group_id", listed.iter().map(|g| Some(escaped(&g.id))).chain(word("(rest)", rests)).collect())
        .count("groups", listed.iter().map(|_| 1).chain(rest.iter().map(|r| r.1.groups)))
        .int(
            "apps",
            listed
                .iter()
                .map(|g| i64::try_from(g.apps).ok())
                .chain(std::iter::repeat_n(None, rests))
                .collect(),
        )
        .int(
            "subjects_observed",
            listed
                .iter()
                .map(|g| i64::try_from(g.subjects).ok())
                .chain(std::iter::repeat_n(None, rests))
                .collect(),
        )
        .int(
            "requests_allowed",
            listed
                .iter()
                .map(|g| Some(g.requests))
                .chain(rest.iter().map(|r| Some(r.1.requests)))
                .collect(),
        )
        .time(
            "first_access",
            listed.iter().map(|g| Some(g.first)).chain(std::iter::repeat_n(None, rests)).collect(),
        )?
        .time(
            "last_access",
            listed.iter().map(|g| Some(g.last)).chain(std::iter::repeat_n(None, rests)).collect(),
        )?
        .finish()
}

fn scopes(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let scopes = &report.registry.scopes;
    let status = |at: Moment| if at < report.as_of { "restricted" } else { "not_yet_restricted" };
    Builder::default()
        .text("scope", scopes.keys().map(|s| Some(escaped(s))).collect())
        .time("restricted_at", scopes.values().map(|s| Some(s.restricted_at)).collect())?
        .text("status", scopes.values().map(|s| Some(status(s.restricted_at).to_string())).collect())
        .finish()
}

fn scope_fields(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let mut rows: Vec<(String, String)> = Vec::new();
    for (scope, details) in &report.registry.scopes {
        let mut fields = details.data_fields.clone();
        fields.sort();
        fields.dedup();
        rows.extend(fields.into_iter().map(|f| (escaped(scope), escaped(&f))));
    }
    Builder::default()
        .text("scope", rows.iter().map(|r| Some(r.0.clone())).collect())
        .text("data_category", rows.iter().map(|r| Some(r.1.clone())).collect())
        .finish()
}

fn coverage_days(report: &Report<'_>) -> PolarsResult<DataFrame> {
    use crate::exposure::Term;
    let rows: Vec<(&str, Option<i64>, &DayCoverage)> = report
        .coverage
        .iter()
        .flat_map(|s| s.days.iter().map(|(day, c)| (s.source.as_str(), *day, c)))
        .collect();
    let term = |t: Term| {
        rows.iter().map(move |r| r.2.terms.get(t as usize).copied().unwrap_or(0)).collect::<Vec<_>>()
    };
    let outside = rows.iter().map(|r| {
        let before = r.2.terms.get(Term::Outside as usize).copied().unwrap_or(0);
        r.2.pruned.total() + r.2.not_matched + r.2.before + before
    });
    Builder::default()
        .text("source", rows.iter().map(|r| Some(escaped(r.0))).collect())
        .date("file_day", rows.iter().map(|r| r.1).collect())?
        .count("files_read", rows.iter().map(|r| r.2.files_read))
        .count("files_unreadable", rows.iter().map(|r| r.2.files_unreadable))
        .count("rows_in_metadata", rows.iter().map(|r| r.2.rows))
        .count("rows_outside", outside)
        .count("rows_deleted", rows.iter().map(|_| 0))
        .count("rows_rejected", term(Term::Rejected).into_iter())
        .count("rows_deduplicated", term(Term::Deduplicated).into_iter())
        .count("rows_after_as_of", term(Term::AfterAsOf).into_iter())
        .count("rows_denied", term(Term::Denied).into_iter())
        .count("rows_unknown", term(Term::Unknown).into_iter())
        .count("rows_held_only", term(Term::HeldOnly).into_iter())
        .count("rows_counted", term(Term::Counted).into_iter())
        .finish()
}

/// Share of declared periods, in percent; `None` where none are declared.
pub fn percent(periods: Option<(u64, u64)>) -> Option<f64> {
    let (covered, expected) = periods?;
    (expected > 0).then(|| covered as f64 * 100.0 / expected as f64)
}

/// Covered and expected periods over all sources that declare any.
pub fn all_periods(coverage: &[SourceCoverage]) -> Option<(u64, u64)> {
    coverage.iter().filter_map(|s| s.periods).reduce(|a, b| (a.0 + b.0, a.1 + b.1))
}

fn coverage_sources(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let sources = report.coverage;
    let all = all_periods(sources);
    let periods: Vec<Option<(u64, u64)>> =
        sources.iter().map(|s| s.periods).chain(std::iter::once(all)).collect();
    let pick = |f: fn((u64, u64)) -> u64| {
        periods.iter().map(|p| p.and_then(|p| i64::try_from(f(p)).ok())).collect::<Vec<_>>()
    };
    let conflicts: u64 = sources.iter().map(|s| s.conflicts).sum();
    let names = sources.iter().map(|s| Some(escaped(&s.source)));
    Builder::default()
        .text("source", names.chain(std::iter::once(Some("(all)".into()))).collect())
        .int("periods_expected", pick(|p| p.1))
        .int("periods_covered", pick(|p| p.0))
        .float("coverage_pct", periods.iter().map(|p| percent(*p)).collect())
        .count("event_id_conflicts", sources.iter().map(|s| s.conflicts).chain([conflicts]))
        .boolean(
            "deduplicates",
            sources
                .iter()
                .map(|s| Some(s.deduplicates))
                .chain([Some(sources.iter().all(|s| s.deduplicates))])
                .collect(),
        )
        .boolean(
            "has_status",
            sources
                .iter()
                .map(|s| Some(s.has_status))
                .chain([Some(sources.iter().all(|s| s.has_status))])
                .collect(),
        )
        .finish()
}

fn run(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let verdict = if report.complete { "complete" } else { "incomplete" };
    Builder::default()
        .time("as_of", vec![Some(report.as_of)])?
        .time("lookback_from", vec![Some(report.lookback_from)])?
        .int("lookback_days", vec![Some(i64::from(report.lookback_days))])
        .float("coverage_pct", vec![percent(all_periods(report.coverage))])
        .text("verdict", vec![Some(verdict.into())])
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
