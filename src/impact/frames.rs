//! The frames that queries read, made from what was counted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use polars::prelude::{
    Column, DataFrame, Int32Chunked, Int64Chunked, IntoColumn, NamedFrom, PolarsResult, Series,
    StringChunked, TimeUnit,
};

use super::coverage::{self, SourceCoverage, coverage_pct};
use super::exposure_frames::Rows;
use super::{dimension_frames, exposure_frames, people_frames, policy_frames};
use crate::config::IncidentPlan;
use crate::exposure::{CellKey, Exposure, Grain};
use crate::hidden::visible_lines;
use crate::moment::{Moment, Zone};
use crate::people::Residence;
use crate::registry::Registry;

/// All that the frames are made from.
pub struct Report<'a> {
    pub registry: &'a Registry,
    pub names: Names<'a>,
    /// But for its rows, which are given apart.
    pub exposure: &'a Exposure,
    /// The first and the last day with an event that counts.
    pub days: Option<(i64, i64)>,
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
pub(super) struct Shown<'a> {
    pub scope: Option<Cow<'a, str>>,
    pub app: Option<Cow<'a, str>>,
    pub app_name: Option<&'a str>,
    pub developer: Option<Cow<'a, str>>,
    pub developer_name: Option<&'a str>,
    pub restricted_at: Option<Moment>,
    pub grace_until: Option<Moment>,
}

/// What the registry calls apps and developers.
pub struct Names<'a> {
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

    pub(super) fn shown(&self, key: &'a CellKey) -> Shown<'a> {
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
            (Some(app), Some(scope)) if !self.registry.grace.is_empty() => {
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

/// Makes a frame.
type Make = fn(&Report<'_>) -> PolarsResult<DataFrame>;

/// The frames that queries are run over.
const MADE: [(&str, Make); 14] = [
    ("exposure", exposure_frames::exposure),
    ("exposure_cells", exposure_frames::exposure_cells),
    ("capable", policy_frames::capable),
    ("attestations", policy_frames::attestations),
    ("residents", people_frames::residents),
    ("thresholds", people_frames::thresholds),
    ("deadlines", people_frames::deadlines),
    ("scopes", scopes),
    ("scope_fields", scope_fields),
    ("coverage_days", coverage::days),
    ("coverage_sources", coverage::sources),
    ("run", run),
    ("apps", dimension_frames::apps),
    ("dates", dimension_frames::dates),
];

/// Those of the frames that are asked for.
///
/// # Errors
/// Never in practice: columns have equal lengths.
pub(super) fn build(
    report: &Report<'_>,
    is_asked: impl Fn(&str) -> bool,
) -> PolarsResult<Vec<(&'static str, DataFrame)>> {
    let asked = MADE.iter().filter(|(name, _)| is_asked(name));
    asked.map(|(name, make)| Ok((*name, make(report)?))).collect()
}

/// Makes the columns of a frame, of rows that it takes: those of its table, and all where queries ask for the frame.
type MakeColumns = fn(&Report<'_>, &mut Rows, bool) -> PolarsResult<RecordBatch>;

/// Frames of very many rows, as columns of tables. The query engine gets them only where a query asks more of them than
/// to be taken as they are.
pub(super) const COLUMNS: [(&str, MakeColumns); 2] =
    [("exposure_days", exposure_frames::days), ("exposure_groups", exposure_frames::groups)];

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

pub(super) fn verdict(report: &Report<'_>) -> &'static str {
    if report.complete { "complete" } else { "incomplete" }
}

fn run(report: &Report<'_>) -> PolarsResult<DataFrame> {
    Builder::default()
        .time("as_of", std::iter::once(Some(report.as_of)))?
        .time("lookback_from", std::iter::once(Some(report.lookback_from)))?
        .int("lookback_days", vec![Some(i64::from(report.lookback_days))])
        .float("coverage_pct", vec![coverage_pct(report.coverage)])
        .text("verdict", std::iter::once(Some(verdict(report))))
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
