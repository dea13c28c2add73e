//! `report.html`: one file that asks no network for anything. Sections stand in the order in which a
//! reader needs them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::chart::Chart;
use super::grid::Grid;
use super::kept::{self, Kept};
use super::listing::{Listing, all_columns};
use super::page::Page;
use super::text::{count, day_in_words, number};
use super::{Facts, answer, heat, spec, words};
use crate::impact::{Query, TableFile};
use crate::moment::day_to_date;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Missing stretches of days that are listed for each source.
const STRETCHES: usize = 100;

/// Sections: id and heading.
const SECTIONS: [(&str, &str); 12] = [
    ("answer", "The answer"),
    ("findings", "Findings"),
    ("timeline", "Timeline"),
    ("apps", "Apps"),
    ("jurisdictions", "People by jurisdiction, thresholds and deadlines"),
    ("promises", "Promises of deletion"),
    ("coverage", "Coverage and its gaps"),
    ("more", "Developers, data, groups and other tables"),
    ("reading", "How to read this report"),
    ("verify", "How to verify it"),
    ("unknown", "What is not known"),
    ("files", "Files of this run"),
];

pub fn render(kept: &Kept, facts: &Facts, queries: &[Query], tables: &[TableFile]) -> String {
    let mut page = Page::default();
    let sections = Sections { kept, facts, queries };
    head(&mut page, facts);
    sections.answer(&mut page);
    sections.findings(&mut page);
    sections.timeline(&mut page);
    sections.apps(&mut page);
    sections.jurisdictions(&mut page);
    sections.promises(&mut page);
    sections.coverage(&mut page);
    sections.more(&mut page);
    reading(&mut page, facts);
    verify(&mut page, facts);
    sections.unknown(&mut page);
    files(&mut page, tables);
    page.raw("</main>\n<script>").raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    page.finish()
}

/// `sha256-…` of an element's text, as a Content-Security-Policy names it.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn head(page: &mut Page, facts: &Facts) {
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"").text(&format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'",
        source(SCRIPT),
        source(STYLE),
    ));
    page.raw("\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    page.text(&title(facts)).raw("</title>\n<style>").raw(STYLE).raw("</style>\n</head>\n<body>\n");
    page.raw("<a class=\"skip\" href=\"#answer\">Skip to the answer</a>\n<header>\n<h1>");
    page.raw("Use of access scopes after their restriction</h1>\n<p>");
    page.text(&format!("Counts what happened before {}. ", day_in_words(facts.as_of.micros)));
    page.raw("Times are UTC, cut to the second. Run <code>").text(&facts.run_id);
    page.raw("</code>, afterscope ").raw(env!("CARGO_PKG_VERSION")).raw(".</p>\n");
    if !facts.complete {
        page.raw("<p class=\"warn\"><b>Incomplete:</b> files of the logs could not be read and were left out. Every figure may be too low. ");
        page.raw("See <a href=\"#coverage\">Coverage</a>.</p>\n");
    }
    page.raw("<nav aria-label=\"Sections\"><ul>");
    for (id, heading) in SECTIONS {
        page.raw("<li><a href=\"#").raw(id).raw("\">").raw(heading).raw("</a></li>");
    }
    page.raw("</ul></nav>\n</header>\n<main>\n");
}

fn title(facts: &Facts) -> String {
    format!("Use after restriction, before {}", day_in_words(facts.as_of.micros))
}

fn open(page: &mut Page, id: &'static str) {
    let heading = SECTIONS.iter().find(|s| s.0 == id).map_or(id, |s| s.1);
    page.raw("<section aria-labelledby=\"").raw(id).raw("\"><h2 id=\"").raw(id).raw("\">");
    page.raw(heading).raw("</h2>\n");
}

fn close(page: &mut Page) {
    page.raw("</section>\n");
}

fn paragraph(page: &mut Page, text: &str) {
    page.raw("<p>").text(text).raw("</p>\n");
}

fn list(page: &mut Page, items: impl IntoIterator<Item = String>) {
    page.raw("<ul>\n");
    for item in items {
        page.raw("<li>").name(&item).raw("</li>\n");
    }
    page.raw("</ul>\n");
}

struct Sections<'a> {
    kept: &'a Kept,
    facts: &'a Facts,
    queries: &'a [Query],
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

    fn answer(&self, page: &mut Page) {
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
            "developers_used_after_restriction",
            "subjects_observed",
            "subjects_upper_bound",
            "subjects_unknown_rows",
            "subjects_lookback",
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

    fn findings(&self, page: &mut Page) {
        open(page, "findings");
        let Some(findings) = self.kept.findings.as_ref().filter(|f| f.rows() > 0) else {
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
            "app_name",
            "app_id",
            "developer_name",
            "scope",
            "subjects_observed",
            "groups",
            "requests_allowed",
            "first_access",
            "last_access",
        ];
        self.listing(page, "finding-rows", "Findings, the heaviest first", findings, &columns);
        close(page);
    }

    fn timeline(&self, page: &mut Page) {
        open(page, "timeline");
        paragraph(
            page,
            "The line counts the people observed so far: where it is flat, nobody new was reached. The bars are requests let through by week. The shaded stretch after the restriction is the grace of those apps that had one; the other is the lookback. Triangles are promises of deletion.",
        );
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

    fn apps(&self, page: &mut Page) {
        open(page, "apps");
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

    fn jurisdictions(&self, page: &mut Page) {
        open(page, "jurisdictions");
        match &self.kept.jurisdictions {
            None => paragraph(
                page,
                "This run counted no people by country: it had no register of residence. So it says of no threshold whether it is met.",
            ),
            Some(grid) => {
                paragraph(
                    page,
                    "A threshold that the observed people meet is met for certain. One that only the upper bound meets may be met: the logs cannot exclude it.",
                );
                if grid.has("app_id") {
                    paragraph(
                        page,
                        "Shown are the figures over all apps; those of single apps are in tables/subjects_by_jurisdiction.parquet.",
                    );
                }
                self.whole(
                    page,
                    "jurisdiction-rows",
                    "People by jurisdiction, beside thresholds",
                    grid,
                    &["grain", "app_id", "app_name"],
                );
            }
        }
        match &self.kept.deadlines {
            None => paragraph(
                page,
                "No deadlines were worked out: this run was given no dates of the incident and no clocks of a regime.",
            ),
            Some(grid) => self.whole(page, "deadline-rows", "Deadlines", grid, &["grain"]),
        }
        close(page);
    }

    fn promises(&self, page: &mut Page) {
        open(page, "promises");
        let Some(promises) = self.kept.promises.as_ref().filter(|p| p.rows() > 0) else {
            paragraph(page, "The registry holds no promise of deletion, so none could be checked.");
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
            "app_id",
            "developer_name",
            "scope",
            "asked_at",
            "attested_at",
            "statement",
            "requests_after",
            "requests_denied_after",
            "requests_unknown_after",
            "subjects_after",
            "groups_after",
            "first_after",
            "last_after",
            "regrants",
            "rows_late",
            "coverage_pct_after",
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

    fn coverage(&self, page: &mut Page) {
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
        if let Some(days) = self.kept.coverage_days.as_ref().filter(|g| g.rows() > 0) {
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

    fn more(&self, page: &mut Page) {
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

    fn unknown(&self, page: &mut Page) {
        open(page, "unknown");
        let mut items = Vec::new();
        if let Some(summary) = &self.kept.summary {
            items.extend(answer::unknown(summary, spec(self.queries, "scope_summary")));
            let all =
                (0..summary.rows()).find(|row| summary.text(*row, "scope") == Some(kept::ALL));
            let int = |column| all.and_then(|row| summary.int(row, column)).unwrap_or(0);
            if int("subjects_unknown_rows") > 0 {
                items.push(format!(
                    "{} name no person: whom they reached is not known.",
                    count(int("subjects_unknown_rows"), "event", "events")
                ));
            }
            if int("requests_unknown") > 0 {
                items.push(format!("Of {} the log does not say whether they were let through; they are in no count of people.", count(int("requests_unknown"), "request", "requests")));
            }
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
        let mut nulls: Vec<(String, Vec<String>)> = Vec::new();
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
            match nulls.iter_mut().find(|(why, _)| *why == column.meaning) {
                Some((_, names)) => names.push(name),
                None => nulls.push((column.meaning.clone(), vec![name])),
            }
        }
        if !nulls.is_empty() {
            page.raw("<details><summary>Columns that are empty in this version</summary><dl>\n");
            for (why, names) in nulls {
                page.raw("<dt><code>")
                    .text(&names.join(", "))
                    .raw("</code></dt><dd>")
                    .text(&why)
                    .raw("</dd>\n");
            }
            page.raw("</dl></details>\n");
        }
        close(page);
    }
}

fn reading(page: &mut Page, facts: &Facts) {
    open(page, "reading");
    page.raw("<dl>\n");
    let lookback = format!(
        "The {} before the end of this report, from {}.",
        count(facts.lookback_days.into(), "day", "days"),
        day_in_words(facts.lookback_from.micros)
    );
    for (term, says) in [
        (
            "People observed",
            "Different people whose data a counted call named. Each is counted once in a row, however often they were reached. This many is certain, as far as the logs are true.",
        ),
        (
            "People at most",
            "All members, at that time, of all groups that were read, and all people observed. The number of people reached lies between the two.",
        ),
        (
            "Events naming nobody",
            "Counted calls that name no person and no group whose members are known. They may stand for people who are in neither of the two numbers.",
        ),
        (
            "Do not add rows up",
            "One person can be in the row of several scopes, apps or days. The rows of all scopes, apps or days together count such a person once; a sum would count the person again.",
        ),
        (
            "A call counts",
            "where the log says that it was let through, that it needed the scope, and that it came at or after the restriction and before the end of this report.",
        ),
        (
            "Restriction and grace",
            "From the restriction on, the scope must not be used. An app may have an extension, its grace, in which use was tolerated; it is counted and told apart.",
        ),
        ("Lately, or lookback", lookback.as_str()),
        (
            "Coverage",
            "Of the days that a log must hold, the share with rows that could be read. A zero on a log with gaps does not prove that nothing happened.",
        ),
        ("–", "Not known, or does not apply. It is never a zero."),
        (
            "[U+202E]",
            "A character that is not seen, or that would change the order of others, written as its number. Names stand here as the log or the registry gives them.",
        ),
    ] {
        page.raw("<dt>").raw(term).raw("</dt><dd>").text(says).raw("</dd>\n");
    }
    page.raw("</dl>\n");
    close(page);
}

fn verify(page: &mut Page, facts: &Facts) {
    open(page, "verify");
    page.raw("<p>This page is a view. The record is the folder <code>tables/</code> beside it; <code>manifest.json</code>, also beside it, names every input and output of the run with its SHA-256, this page among them. ");
    page.raw("The last line of <code>manifest.json</code> is the SHA-256 of all its bytes before that line: whoever holds that one line can tell whether anything was changed.</p>\n<ol>\n");
    page.raw("<li>With the program: <code>afterscope verify </code> and the folder of this page, whose name is <code>").text(&facts.run_id).raw("</code>.</li>\n");
    page.raw("<li>Without it, in that folder: <code>head -n -1 manifest.json | sha256sum</code> must print the hash on the last line of <code>manifest.json</code>, and <code>sha256sum</code> of each file the hash that stands there and below.</li>\n");
    page.raw("<li>By counting again: the same inputs, configuration and version of the program give the same bytes.</li>\n</ol>\n");
    page.raw("<p>To cite a figure, name the run, the table, the row and the column, and the last line of <code>manifest.json</code>.</p>\n");
    close(page);
}

fn files(page: &mut Page, tables: &[TableFile]) {
    open(page, "files");
    page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Files of this run\"><table class=\"files\"><caption>Tables of this run; the CSV files beside them hold the same rows</caption>");
    page.raw("<thead><tr><th scope=\"col\">File</th><th scope=\"col\" class=\"n\">Rows</th><th scope=\"col\">SHA-256</th></tr></thead><tbody>\n");
    for file in tables.iter().filter(|f| f.name.ends_with(".parquet")) {
        page.raw("<tr><th scope=\"row\">tables/").text(&file.name).raw("</th><td class=\"n\">");
        page.text(&number(file.rows as i64)).raw("</td><td><code>");
        page.text(&crate::publish::sha256(&file.bytes)).raw("</code></td></tr>\n");
    }
    page.raw("</tbody></table></div>\n");
    close(page);
}
