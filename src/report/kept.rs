//! What the page keeps of each table: the rows that it shows, and sums for its charts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::error::ArrowError;

use super::findings;
use super::grid::{Grid, Value};
use crate::impact::{Table, is_dimension};

/// Rows that the page holds of a table that grows with apps, and of any other.
const ROWS_OF_APPS: usize = 20_000;
const ROWS: usize = 2_000;
/// Apps with a row in the heat map.
const HEAT_APPS: usize = 5_000;
/// Scopes with a chart of their own; all of them together have one more.
pub const CHARTS: usize = 12;

/// Grain of a row.
const GRAIN: &str = "grain";
/// Key of totals.
pub const ALL: &str = "(all)";

/// One day of one scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    pub day: i64,
    /// `None` where the report leaves them out.
    pub requests: Option<i64>,
    pub people: i64,
    /// `None` where it is left out.
    pub cumulative: Option<i64>,
}

/// Requests of one app by week.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppWeeks {
    /// `None` for events that name no app.
    pub app: Option<String>,
    pub name: Option<String>,
    pub people: i64,
    /// `None` where they are left out.
    pub requests: Option<i64>,
    /// Week and its requests, ascending; see [`week_of`].
    pub weeks: Vec<(i64, i64)>,
}

/// Grace periods of a scope, of apps that are in `app_scope_exposure`. Ends are microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graces {
    pub first: i64,
    pub last: i64,
    pub given: u64,
}

impl Graces {
    /// Both together.
    pub fn with(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            given: self.given + other.given,
        }
    }
}

/// All that the page is made from.
#[derive(Debug, Default)]
pub struct Kept {
    pub summary: Option<Grid>,
    pub findings: Option<Grid>,
    pub apps: Option<Grid>,
    pub app_scopes: Option<Grid>,
    pub developers: Option<Grid>,
    pub categories: Option<Grid>,
    pub groups: Option<Grid>,
    pub promises: Option<Grid>,
    pub coverage: Option<Grid>,
    pub coverage_days: Option<Grid>,
    pub jurisdictions: Option<Grid>,
    pub thresholds: Option<Grid>,
    pub deadlines: Option<Grid>,
    pub changes: Option<Grid>,
    /// Changed figures by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Tables of which nothing is known here: of later versions, and of the user's queries.
    pub others: Vec<Grid>,
    /// Days by scope; `(all)` is one of them.
    pub days: BTreeMap<String, Vec<Day>>,
    pub graces: BTreeMap<String, Graces>,
    /// Apps by people, the most first.
    pub weeks: Vec<AppWeeks>,
    /// Apps that were used and have no row in `weeks`.
    pub weeks_left_out: usize,
    /// Apps of which figures of days are left out.
    pub weeks_masked: usize,
}

/// The week of a day, from Monday to Sunday, counted from the one of 1970-01-01.
pub fn week_of(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}

/// The Monday of a week.
pub fn monday(week: i64) -> i64 {
    week * 7 - 3
}

fn grain_is(grain: &'static str) -> impl Fn(&Grid, usize) -> bool {
    move |grid, row| grid.text(row, GRAIN) == Some(grain)
}

/// People first, then requests.
fn by_people(grid: &Grid, a: usize, b: usize) -> std::cmp::Ordering {
    grid.more("subjects_observed", a, b).then_with(|| grid.more("requests_allowed", a, b))
}

/// The tables that a reader looks at first come first.
fn by_weight_of_table(grid: &Grid, a: usize, b: usize) -> std::cmp::Ordering {
    const FIRST: [&str; 6] = [
        "scope_summary",
        "findings",
        "thresholds",
        "deletion_verification",
        "app_scope_exposure",
        "developer_exposure",
    ];
    let place = |row| {
        let table = grid.text(row, "table");
        FIRST.iter().position(|name| Some(*name) == table).unwrap_or(FIRST.len())
    };
    place(a).cmp(&place(b))
}

fn as_it_is(_: &Grid, _: usize, _: usize) -> std::cmp::Ordering {
    std::cmp::Ordering::Equal
}

impl Kept {
    /// Takes what the page needs of a table. Tables come in the order of their numbers.
    ///
    /// # Errors
    /// Where Arrow cannot take rows.
    pub fn take(&mut self, table: &Table) -> Result<(), ArrowError> {
        let grid = Grid::of(&table.name, table.batch.clone());
        let any = |_: &Grid, _: usize| true;
        match table.name.as_str() {
            "scope_summary" => {
                // Totals first, then the scopes that reached most people.
                let order = |g: &Grid, a: usize, b: usize| {
                    let total = |row| g.text(row, GRAIN) == Some("all");
                    total(b).cmp(&total(a)).then_with(|| by_people(g, a, b))
                };
                self.summary = Some(grid.pick(any, order, ROWS)?);
            }
            "app_scope_exposure" => self.take_apps(&grid)?,
            "developer_exposure" => {
                self.developers =
                    Some(grid.pick(grain_is("developer"), by_people, ROWS_OF_APPS)?.only(&[
                        "developer_name",
                        "developer_id",
                        "apps_used_after_restriction",
                        "subjects_observed",
                        "subjects_upper_bound",
                        "subjects_unknown_rows",
                        "groups",
                        "requests_allowed",
                        "first_access",
                        "last_access",
                    ])?);
            }
            "data_categories" => self.categories = Some(grid.pick(any, as_it_is, ROWS)?),
            "groups_exposed" => {
                self.groups = Some(grid.pick(grain_is("scope_group"), by_people, ROWS)?);
            }
            "daily_timeline" => self.take_days(&grid),
            "deletion_verification" => {
                self.promises = Some(grid.pick(any, findings::promises, ROWS_OF_APPS)?);
            }
            "coverage" => {
                let total = |g: &Grid, row: usize| g.text(row, GRAIN) != Some("source_day");
                let odd = |g: &Grid, row: usize| {
                    g.text(row, GRAIN) == Some("source_day")
                        && (["files_unreadable", "files_missing", "files_late", "files_changed"]
                            .iter()
                            .chain(&["rows_rejected"])
                            .any(|c| g.int(row, c).is_some_and(|n| n > 0))
                            || g.text(row, "verdict") == Some("incomplete"))
                };
                self.coverage = Some(grid.pick(total, as_it_is, ROWS)?);
                self.coverage_days = Some(grid.pick(odd, as_it_is, ROWS)?);
            }
            "findings" => {
                self.findings = Some(grid.pick(any, findings::weight, ROWS_OF_APPS)?);
            }
            "subjects_by_jurisdiction" => {
                // Rows of single apps are many; the page shows those of all apps together.
                let totals =
                    |g: &Grid, row: usize| !g.has("app_id") || g.text(row, "app_id") == Some(ALL);
                self.jurisdictions = Some(grid.pick(totals, by_people, ROWS)?);
            }
            "thresholds" => {
                self.thresholds = Some(grid.pick(any, findings::thresholds, ROWS)?);
            }
            "deadlines" => self.deadlines = Some(grid.pick(any, as_it_is, ROWS)?),
            "change_log" => {
                for row in 0..grid.rows() {
                    let reason = grid.text(row, "reason").unwrap_or_default();
                    *self.reasons.entry(reason.to_string()).or_default() += 1;
                }
                self.changes = Some(grid.pick(any, by_weight_of_table, ROWS_OF_APPS)?);
            }
            name if is_dimension(name) => {}
            _ => self.others.push(grid.pick(any, as_it_is, ROWS)?),
        }
        Ok(())
    }

    fn take_apps(&mut self, grid: &Grid) -> Result<(), ArrowError> {
        const COLUMNS: [&str; 20] = [
            "scope",
            "app_name",
            "subjects_observed",
            "subjects_upper_bound",
            "subjects_unknown_rows",
            "groups",
            "requests_allowed",
            "requests_denied",
            "grace_until",
            "subjects_in_grace",
            "subjects_after_grace",
            "subjects_in_brownout",
            "subjects_after_revocation",
            "subjects_after_attestation",
            "subjects_lookback",
            "subjects_upper_bound_lookback",
            "first_access",
            "last_access",
            "app_id",
            "developer_name",
        ];
        let without_scope = |c: &&str| !matches!(*c, "scope" | "grace_until");
        let columns: Vec<&str> = COLUMNS.into_iter().filter(without_scope).collect();
        let apps = grid.pick(grain_is("app"), by_people, ROWS_OF_APPS)?.only(&columns)?;
        let used = |row: &usize| apps.int(*row, "requests_allowed").is_none_or(|n| n > 0);
        let used: Vec<usize> = (0..apps.rows()).filter(used).collect();
        self.weeks_left_out = used.len().saturating_sub(HEAT_APPS) + apps.left_out();
        self.weeks = used
            .iter()
            .take(HEAT_APPS)
            .map(|row| AppWeeks {
                app: apps.text(*row, "app_id").map(String::from),
                name: apps.text(*row, "app_name").map(String::from),
                people: apps.int(*row, "subjects_observed").unwrap_or(0),
                requests: apps.int(*row, "requests_allowed"),
                weeks: Vec::new(),
            })
            .collect();
        self.apps = Some(apps);
        let pairs = grid.pick(grain_is("scope_app"), by_people, ROWS_OF_APPS)?;
        self.app_scopes = Some(pairs.only(&COLUMNS)?);
        for row in 0..grid.rows() {
            let (Some(scope), Some(until)) =
                (grid.text(row, "scope"), grid.time(row, "grace_until"))
            else {
                continue;
            };
            let graces = self.graces.entry(scope.to_string()).or_insert(Graces {
                first: until,
                last: until,
                given: 0,
            });
            graces.first = graces.first.min(until);
            graces.last = graces.last.max(until);
            graces.given += 1;
        }
        Ok(())
    }

    fn take_days(&mut self, grid: &Grid) {
        let charts: Vec<&str> = self.charted().collect();
        let mut days: BTreeMap<String, Vec<Day>> =
            charts.into_iter().map(|scope| (scope.to_string(), Vec::new())).collect();
        let by_app: HashMap<Option<String>, usize> =
            self.weeks.iter().enumerate().map(|(i, a)| (a.app.clone(), i)).collect();
        let mut masked: BTreeSet<Option<String>> = BTreeSet::new();
        // One owned key, filled anew for each run of rows of one app.
        let mut last: (Option<Option<String>>, Option<usize>) = (None, None);
        for row in 0..grid.rows() {
            let Value::Date(day) = grid.value(row, "day") else { continue };
            let day = i64::from(day);
            let requests = grid.int(row, "requests_allowed");
            match grid.text(row, GRAIN) {
                Some("scope" | "all") => {
                    let scope = grid.text(row, "scope").and_then(|s| days.get_mut(s));
                    if let Some(days) = scope {
                        days.push(Day {
                            day,
                            requests,
                            people: grid.int(row, "subjects_observed").unwrap_or(0),
                            cumulative: grid.int(row, "subjects_cumulative"),
                        });
                    }
                }
                Some("app") => {
                    let app = grid.text(row, "app_id");
                    if last.0.as_ref().map(|known| known.as_deref()) != Some(app) {
                        let key = app.map(String::from);
                        last = (Some(key.clone()), by_app.get(&key).copied());
                    }
                    let Some(found) = last.1.and_then(|at| self.weeks.get_mut(at)) else {
                        continue;
                    };
                    let Some(requests) = requests else {
                        masked.insert(app.map(String::from));
                        continue;
                    };
                    let week = week_of(day);
                    match found.weeks.last_mut() {
                        Some((same, sum)) if *same == week => *sum = sum.saturating_add(requests),
                        _ => found.weeks.push((week, requests)),
                    }
                }
                _ => {}
            }
        }
        self.days = days;
        // A week in which a day is left out has no shade, and must not look like one without calls.
        let shown = self.weeks.len();
        self.weeks.retain(|app| !masked.contains(&app.app));
        self.weeks_masked = shown - self.weeks.len();
    }

    /// The scopes with a chart: all together, and those that reached most people.
    pub fn charted(&self) -> impl Iterator<Item = &str> {
        let summary = self.summary.iter();
        summary.flat_map(|s| (0..s.rows()).filter_map(|row| s.text(row, "scope"))).take(CHARTS + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday() {
        // 2019-07-01 was a Monday: day 18,078.
        assert_eq!(monday(week_of(18_078)), 18_078);
        assert_eq!(week_of(18_084), week_of(18_078));
        assert_eq!(week_of(18_085), week_of(18_078) + 1);
        // 1969-12-28 was a Sunday, the day before the week of the epoch.
        assert_eq!((week_of(-4), week_of(-3), week_of(3)), (-1, 0, 0));
    }
}
