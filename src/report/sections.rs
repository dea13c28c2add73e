//! The sections of the page that stand on tables, each from the rows that were kept.

use super::chart::Chart;
use super::grid::Grid;
use super::html::{close, list, open, paragraph};
use super::kept::{self, Kept};
use super::listing::{Listing, all_columns};
use super::page::Page;
use super::text::{count, day_in_words, number};
use super::{Facts, answer, heat, spec, words};
use crate::impact::Query;
use crate::moment::day_to_date;

/// Missing stretches of days that are listed for each source.
const STRETCHES: usize = 100;

/// A table with rows.
fn filled(grid: &Option<Grid>) -> Option<&Grid> {
    grid.as_ref().filter(|grid| grid.rows() > 0)
}

/// What sections are made from.
pub struct Sections<'a> {
    pub kept: &'a Kept,
    pub facts: &'a Facts,
    pub queries: &'a [Query],
}

impl Sections<'_> {
    fn listing(
        &self,
        page: &mut Page,
        id: &'static str,
        caption: &str,
        grid: &Grid,
        columns: &[&str],
    ) {
        let spec = spec(self.queries, &grid.table);
        Listing { id, caption, grid, columns, spec }.render(page);
    }

    /// All columns but those that say the same in every row.
    fn whole(&self, page: &mut Page, id: &'static str, caption: &str, grid: &Grid, but: &[&str]) {
        let columns = all_columns(grid);
        let columns: Vec<&str> =
            columns.iter().map(String::as_str).filter(|c| !but.contains(c)).collect();
        self.listing(page, id, caption, grid, &columns);
    }

    pub fn answer(&self, page: &mut Page) {
        open(page, "answer");
        let Some(summary) = &self.kept.summary else { return close(page) };
        answer::render(page, summary, self.facts);
        let reasons = answer::unknown(summary, spec(self.queries, "scope_summary"));
        if !reasons.is_empty() {
            page.raw("<h3>Why some of it is not known</h3>\n");
            list(page, reasons);
        }
        if !self.facts.doubts.is_empty() {
            page.raw("<h3>What the run warned of</h3>\n");
            list(page, self.facts.doubts.iter().cloned());
        }
        let columns = [
            "scope",
            "restricted_at",
            "apps_capable",
            "apps_used_after_restriction",
            "apps_used_lookback",
            "apps_used_without_grant",
            "developers_capable",
            "developers_used_after_restriction",
            "developers_used_lookback",
            "subjects_observed",
            "subjects_upper_bound",
            "subjects_unknown_rows",
            "subjects_lookback",
            "subjects_upper_bound_lookback",
            "groups",
            "requests_allowed",
            "requests_denied",
            "requests_unknown",
            "first_access",
            "last_access",
            "active_days",
            "coverage_pct",
        ];
        self.listing(page, "scopes", "Restricted scopes", summary, &columns);
        close(page);
    }

    pub fn changes(&self, page: &mut Page) {
        open(page, "changes");
        let Some(follows) = self.facts.follows else {
            paragraph(page, "This report follows no other.");
            return close(page);
        };
        let before = format!(
            "report {}, which counts what happened before {}",
            follows.number,
            day_in_words(follows.as_of.micros)
        );
        let Some(changes) = filled(&self.kept.changes) else {
            paragraph(page, &format!("No figure differs from {before}."));
            return close(page);
        };
        paragraph(
            page,
            &format!(
                "This report follows {before}. Every figure that is not the same stands below with what its change comes from."
            ),
        );
        page.raw("<dl>\n");
        for (reason, rows) in &self.kept.reasons {
            let rows = count(i64::try_from(*rows).unwrap_or(i64::MAX), "change", "changes");
            page.raw("<dt>").text(&format!("{}: {rows}", words::capitalised(reason))).raw("</dt>");
            page.raw("<dd>").text(words::reason_says(reason)).raw("</dd>\n");
        }
        page.raw("</dl>\n");
        let columns = ["table", "key", "column", "old", "new", "reason"];
        self.listing(page, "change-rows", "Changed figures", changes, &columns);
        close(page);
    }

    pub fn findings(&self, page: &mut Page) {
        open(page, "findings");
        let Some(findings) = filled(&self.kept.findings) else {
            paragraph(
                page,
                "No app used a restricted scope in a way that it should not have, as far as the logs and the registry show.",
            );
            return close(page);
        };
        paragraph(
            page,
            "Each row is one way in which one app used one scope although it should not have. The heaviest come first: by kind, then by people.",
        );
        page.raw("<dl>\n");
        for (name, says) in words::FINDINGS {
            let of_kind = |row: &usize| findings.text(*row, "finding") == Some(name);
            let found = (0..findings.rows()).filter(of_kind).count() as i64;
            if found > 0 {
                page.raw("<dt>").text(words::finding(name)).raw(": ");
                page.text(&count(found, "app and scope", "apps and scopes"));
                page.raw("</dt><dd>").raw(says).raw("</dd>\n");
            }
        }
        page.raw("</dl>\n");
        let columns = [
            "finding",
            "scope",
            "app_name",
            "subjects_observed",
            "subjects_upper_bound",
            "subjects_unknown_rows",
            "groups",
            "requests_allowed",
            "first_access",
            "last_access",
            "app_id",
            "developer_name",
        ];
        self.listing(page, "finding-rows", "Findings, the heaviest first", findings, &columns);
        close(page);
    }

    pub fn timeline(&self, page: &mut Page) {
        open(page, "timeline");
        paragraph(
            page,
            "The line counts the people observed so far: where it is flat, nobody new was reached. The bars are requests let through by week. The stretch after the restriction is shaded where apps that called had grace: darker until the first extension ends, lighter until the last one does. The other shaded stretch is the lookback. Triangles are promises of deletion.",
        );
        self.days_left_out(page);
        let Some(summary) = &self.kept.summary else { return close(page) };
        let mut drawn = 0;
        for row in 0..summary.rows() {
            let scope = summary.text(row, "scope").unwrap_or_default();
            let Some(days) = self.kept.days.get(scope).filter(|days| !days.is_empty()) else {
                continue;
            };
            let all = scope == kept::ALL;
            let restricted: Vec<i64> = (0..summary.rows())
                .filter(|r| all || *r == row)
                .filter_map(|r| summary.time(r, "restricted_at"))
                .collect();
            let graces = self.kept.graces.iter().filter(|(name, _)| all || *name == scope);
            Chart {
                id: drawn,
                title: if all { "All scopes together".into() } else { scope.to_string() },
                days,
                restricted_at: restricted.into_iter().min(),
                graces: graces.map(|(_, g)| *g).reduce(kept::Graces::with),
                promises: self.promised(scope),
                lookback_from: self.facts.lookback_from.micros,
                as_of: self.facts.as_of.micros,
            }
            .render(page);
            drawn += 1;
        }
        let left = summary.picked.saturating_sub(kept::CHARTS + 1);
        if left > 0 {
            paragraph(
                page,
                &format!(
                    "{} that reached fewer people have no drawing here; their days are in tables/daily_timeline.parquet.",
                    count(left as i64, "scope", "scopes")
                ),
            );
        }
        if drawn == 0 {
            paragraph(page, "There is nothing to draw: no request was let through.");
        }
        close(page);
    }

    /// What a drawing of days shows where figures of days are left out.
    fn days_left_out(&self, page: &mut Page) {
        if self.facts.suppress_below.is_some() {
            paragraph(
                page,
                "A week or month of which a day is left out, because few people were reached, has no bar and no number here, and no bar does not mean no call; a line of people in which a day is left out is not drawn. Apps of which a day is left out have no row in the map of weeks.",
            );
        }
    }

    /// Moments of promises about a scope.
    fn promised(&self, scope: &str) -> Vec<i64> {
        let Some(promises) = &self.kept.promises else { return Vec::new() };
        let about = |row: &usize| {
            let said = promises.text(*row, "scope");
            scope == kept::ALL || said == Some(scope) || said == Some(kept::ALL)
        };
        let mut moments: Vec<i64> = (0..promises.rows())
            .filter(about)
            .filter_map(|row| promises.time(row, "attested_at"))
            .filter(|at| *at < self.facts.as_of.micros)
            .collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    pub fn apps(&self, page: &mut Page) {
        open(page, "apps");
        self.days_left_out(page);
        heat::render(page, self.kept);
        if let Some(apps) = &self.kept.apps {
            let columns = all_columns(apps);
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            self.listing(page, "app-rows", "Apps, over all scopes", apps, &columns);
        }
        if let Some(pairs) = &self.kept.app_scopes {
            self.whole(page, "app-scope-rows", "Apps by scope", pairs, &[]);
        }
        close(page);
    }

    pub fn jurisdictions(&self, page: &mut Page) {
        open(page, "jurisdictions");
        match filled(&self.kept.thresholds) {
            None => paragraph(
                page,
                "No thresholds were given (registry.thresholds), so this report says of none whether it is met.",
            ),
            Some(grid) => {
                paragraph(
                    page,
                    "A threshold that the observed people meet is met for certain. One that only the upper bound meets may be met: the logs cannot exclude it. Thresholds are data that somebody entered: check each against the primary text of the law.",
                );
                let but: &[&str] = &["grain", "met_by_observed", "met_by_upper_bound"];
                self.whole(
                    page,
                    "threshold-rows",
                    "Thresholds, those that are met first",
                    grid,
                    but,
                );
            }
        }
        match filled(&self.kept.jurisdictions) {
            None => paragraph(
                page,
                "People are not counted by the place where they live: this run had no register of residence (registry.residency).",
            ),
            Some(grid) => {
                paragraph(
                    page,
                    "People by the place where they live, over all apps; the figures of single apps are in tables/subjects_by_jurisdiction.parquet. No place's number is the most that it can be: people whose residence is not known stand in rows of their own and may live in any of them, and of calls that name nobody it is not known whom they reached.",
                );
                let but: &[&str] = &["grain", "app_id", "app_name"];
                self.whole(page, "jurisdiction-rows", "People by jurisdiction", grid, but);
            }
        }
        match filled(&self.kept.deadlines) {
            None => paragraph(
                page,
                "No deadlines were worked out: no rule with a time limit was given (registry.thresholds).",
            ),
            Some(grid) => self.whole(page, "deadline-rows", "Deadlines", grid, &["grain"]),
        }
        close(page);
    }

    pub fn promises(&self, page: &mut Page) {
        open(page, "promises");
        let Some(promises) = filled(&self.kept.promises) else {
            paragraph(
                page,
                "No promise of deletion was given to this run (registry.attestations), so none could be checked.",
            );
            return close(page);
        };
        page.raw("<dl>\n");
        for (verdict, says) in words::VERDICTS {
            let found = (0..promises.rows())
                .filter_map(|row| promises.text(row, "verdict"))
                .filter(|v| words::value("verdict", v) == verdict)
                .count() as i64;
            if found > 0 {
                page.raw("<dt>").raw(verdict).raw(": ").text(&number(found));
                page.raw("</dt><dd>").raw(says).raw("</dd>\n");
            }
        }
        page.raw("</dl>\n");
        let columns = [
            "verdict",
            "app_name",
            "scope",
            "attested_at",
            "subjects_after",
            "subjects_upper_bound_after",
            "subjects_unknown_rows_after",
            "requests_after",
            "first_after",
            "last_after",
            "coverage_pct_after",
            "statement",
            "asked_at",
            "groups_after",
            "requests_denied_after",
            "requests_unknown_after",
            "regrants",
            "rows_late",
            "app_id",
            "developer_name",
        ];
        self.listing(
            page,
            "promise-rows",
            "Promises of deletion, the broken ones first",
            promises,
            &columns,
        );
        close(page);
    }

    pub fn coverage(&self, page: &mut Page) {
        open(page, "coverage");
        paragraph(
            page,
            "A count can only be as whole as its logs. Every row of every file that was read ended in one of the columns below; the run fails where one does not.",
        );
        for source in &self.facts.sources {
            page.raw("<p>Log ").name(&source.name).raw(": ");
            match source.declared {
                None => {
                    page.raw("it does not say which days it must hold, so a missing day would not be noticed.");
                }
                Some((from, until)) => {
                    let days = until - from;
                    let missing: i64 = source.missing.iter().map(|(a, b)| b - a + 1).sum();
                    page.text(&format!(
                        "{} declared, {} to {}; {}",
                        count(days, "day", "days"),
                        day_to_date(from),
                        day_to_date(until - 1),
                        match missing {
                            0 => "none is missing.".to_string(),
                            n => format!("{} without a readable row: ", count(n, "day", "days")),
                        }
                    ));
                    let stretch = |(a, b): &(i64, i64)| match a == b {
                        true => day_to_date(*a),
                        false => format!("{} to {}", day_to_date(*a), day_to_date(*b)),
                    };
                    let shown: Vec<String> =
                        source.missing.iter().take(STRETCHES).map(stretch).collect();
                    page.raw("<b>").text(&shown.join(", ")).raw("</b>");
                    if source.missing.len() > STRETCHES {
                        let more = number((source.missing.len() - STRETCHES) as i64);
                        page.text(&format!(" and {more} more stretches"));
                    }
                }
            }
            page.raw("</p>\n");
        }
        if let Some(grid) = &self.kept.coverage {
            self.whole(
                page,
                "coverage-rows",
                "Rows of the logs, by what became of them",
                grid,
                &["grain", "file_day"],
            );
        }
        if let Some(days) = filled(&self.kept.coverage_days) {
            self.whole(
                page,
                "coverage-days",
                "Days on which something was wrong with files or rows",
                days,
                &["grain"],
            );
        }
        close(page);
    }

    pub fn more(&self, page: &mut Page) {
        open(page, "more");
        if let Some(grid) = &self.kept.developers {
            self.whole(page, "developer-rows", "Developers, over all scopes", grid, &[]);
        }
        if let Some(grid) = &self.kept.categories {
            self.whole(
                page,
                "category-rows",
                "Kinds of data that the scopes give access to",
                grid,
                &["grain"],
            );
        }
        if let Some(grid) = &self.kept.groups {
            self.whole(
                page,
                "group-rows",
                "Groups, those with most people first",
                grid,
                &["grain"],
            );
        }
        const IDS: [&str; 8] = [
            "other-1", "other-2", "other-3", "other-4", "other-5", "other-6", "other-7", "other-8",
        ];
        for (id, grid) in IDS.into_iter().zip(&self.kept.others) {
            self.whole(page, id, &grid.table, grid, &[]);
        }
        if self.kept.others.len() > IDS.len() {
            let more = (self.kept.others.len() - IDS.len()) as i64;
            paragraph(
                page,
                &format!(
                    "{} not shown here; all are in the folder tables/.",
                    count(more, "more table is", "more tables are")
                ),
            );
        }
        close(page);
    }

    pub fn unknown(&self, page: &mut Page) {
        open(page, "unknown");
        let mut items = Vec::new();
        if let Some(summary) = &self.kept.summary {
            items.extend(answer::unknown(summary, spec(self.queries, "scope_summary")));
            let all =
                (0..summary.rows()).find(|row| summary.text(*row, "scope") == Some(kept::ALL));
            let int = |column| all.and_then(|row| summary.int(row, column)).unwrap_or(0);
            if int("subjects_unknown_rows") > 0 {
                items.push(format!(
                    "{} name no person, and no group with a known member: whom they reached is not known.",
                    count(int("subjects_unknown_rows"), "event", "events")
                ));
            }
            let unknown = all.map(|row| summary.int(row, "requests_unknown"));
            let unknown = match unknown {
                Some(Some(0)) | None => None,
                Some(Some(unknown)) => Some(count(unknown, "request", "requests")),
                Some(None) => Some("some requests".to_string()),
            };
            items.extend(unknown.map(|requests| format!("Of {requests} the log does not say whether they were let through; they are in no count of people.")));
            if int("developers_unknown_apps") > 0 {
                items.push(format!(
                    "Of {} that called, the developer is not known.",
                    count(int("developers_unknown_apps"), "app", "apps")
                ));
            }
        }
        for source in &self.facts.sources {
            if !source.has_status {
                items.push(format!("Log {} does not say which calls were refused: every call counts as let through.", source.name));
            }
            if !source.deduplicates {
                items.push(format!(
                    "Log {} gives its events no id: an event that was written twice counts twice.",
                    source.name
                ));
            }
            if source.files_unreadable > 0 {
                items.push(format!(
                    "{} of log {} could not be read; what they hold is in no figure.",
                    count(source.files_unreadable as i64, "file", "files"),
                    source.name
                ));
            }
        }
        items.extend([
            "What an app did with the data after it had received it is in no log of calls.".to_string(),
            "Calls that were never logged, or logged in files that this run was not given, are not counted.".to_string(),
            "A person with two ids counts twice; two people who share an id count once.".to_string(),
        ]);
        list(page, items);
        let mut nulls: Vec<(&str, Vec<String>)> = Vec::new();
        for column in self
            .queries
            .iter()
            .filter_map(|q| q.spec.as_ref())
            .flat_map(|s| s.columns.iter().map(move |c| (s, c)))
        {
            let (table, column) = column;
            if !column.always_null {
                continue;
            }
            let name = format!("{}.{}", table.name, column.name);
            let reason = answer::reason(column);
            match nulls.iter_mut().find(|(why, _)| *why == reason) {
                Some((_, names)) => names.push(name),
                None => nulls.push((reason, vec![name])),
            }
        }
        if !nulls.is_empty() {
            page.raw("<details><summary>Columns that are empty in this version</summary><dl>\n");
            for (why, names) in nulls {
                page.raw("<dt><code>")
                    .text(&names.join(", "))
                    .raw("</code></dt><dd>")
                    .text(why)
                    .raw("</dd>\n");
            }
            page.raw("</dl></details>\n");
        }
        close(page);
    }
}
