//! The answer: one sentence for each scope, with its three counts of people and its coverage.

use super::grid::Grid;
use super::page::Page;
use super::text::{count, day_in_words, decimal, number};
use super::words::told;
use super::{Facts, kept};
use crate::impact::{ColumnSpec, TableSpec};

/// Scopes with a sentence; the table below the sentences has them all.
const SENTENCES: usize = 40;

/// The first paragraph and the sentences.
pub fn render(page: &mut Page, summary: &Grid, facts: &Facts) {
    let is_total = |row: &usize| summary.text(*row, "scope") == Some(kept::ALL);
    let scopes: Vec<usize> = (0..summary.rows()).filter(|row| !is_total(row)).collect();
    if let Some(all) = (0..summary.rows()).find(is_total) {
        page.raw("<p class=\"lead\">").text(&headline(summary, all, &scopes, facts)).raw("</p>\n");
    }
    page.raw("<ul class=\"answers\">\n");
    for row in scopes.iter().take(SENTENCES) {
        page.raw("<li>");
        sentence(page, summary, *row, facts);
        page.raw("</li>\n");
    }
    page.raw("</ul>\n");
    if scopes.len() > SENTENCES {
        let more = (scopes.len() - SENTENCES) as i64;
        page.raw("<p>").text(&format!(
            "{} more stand in the table below only.",
            count(more, "scope", "scopes")
        ));
        page.raw("</p>\n");
    }
}

fn headline(summary: &Grid, all: usize, scopes: &[usize], facts: &Facts) -> String {
    let int = |column| summary.int(all, column);
    let used = int("apps_used_after_restriction").unwrap_or(0);
    let known = count(scopes.len() as i64, "restricted scope", "restricted scopes");
    if used == 0 {
        return format!(
            "No app used any of {known} after the restriction, as far as the logs show."
        );
    }
    let is_used =
        |row: &&usize| summary.int(**row, "apps_used_after_restriction").is_some_and(|n| n > 0);
    let scopes = match scopes.iter().filter(is_used).count() {
        some if some < scopes.len() => format!("{} of {known}", number(some as i64)),
        _ => known,
    };
    let mut said = format!("After the restriction, {} used {scopes}", count(used, "app", "apps"));
    if let Some(last) = summary.time(all, "last_access").map(day_in_words) {
        said += &format!(", the last time on {last}");
    }
    let lately = int("apps_used_lookback").unwrap_or(0);
    let lately = if lately == 0 { "none".to_string() } else { number(lately) };
    let days = number(facts.lookback_days.into());
    said += &match int("apps_capable") {
        Some(capable) => {
            format!("; {} could call, {lately} did in the last {days} days.", number(capable))
        }
        None => format!(
            "; {lately} of them did in the last {days} days; how many could call is not known."
        ),
    };
    said += &match int("subjects_observed") {
        Some(people) => format!(
            " They reached data of {} observed",
            count(people, "person who was", "people who were")
        ),
        None => " They reached data of people whose number is left out".to_string(),
    };
    said += &most(summary, all, "subjects_upper_bound", ", and of ");
    said += match int("subjects_unknown_rows").unwrap_or(0) {
        0 => ".".to_string(),
        unknown => {
            format!("; of {} nobody can say whom they reached.", count(unknown, "call", "calls"))
        }
    }
    .as_str();
    said += &coverage(summary, all);
    said
}

/// The most people that can have been reached, after `and`; what is not known is said.
fn most(summary: &Grid, row: usize, column: &str, and: &str) -> String {
    let complete = summary.flag(row, "upper_bound_complete");
    let known = match (summary.int(row, column), complete) {
        (Some(most), _) => format!("at most {}", number(most)),
        (None, Some(_)) => "at most a number that is left out".to_string(),
        (None, None) => "how many more is not known".to_string(),
    };
    let end = if complete == Some(false) { " as far as is known" } else { "" };
    match complete {
        None => format!("; {known}"),
        Some(_) => format!("{and}{known}{end}"),
    }
}

fn coverage(summary: &Grid, row: usize) -> String {
    match summary.float(row, "coverage_pct") {
        Some(pct) => format!(" Coverage of the logs: {} %.", decimal(pct)),
        None => " Coverage of the logs: not known.".to_string(),
    }
}

fn sentence(page: &mut Page, summary: &Grid, row: usize, facts: &Facts) {
    let int = |column| summary.int(row, column);
    page.raw("<strong>").name(summary.text(row, "scope").unwrap_or_default()).raw("</strong>");
    let since = summary.time(row, "restricted_at").map(day_in_words).unwrap_or_default();
    if summary.text(row, "status") == Some("not_yet_restricted") {
        page.text(&format!(
            " is restricted on {since}, after the end of this report; nothing counts."
        ));
        return;
    }
    page.text(&format!(", restricted on {since}, "));
    match int("apps_used_after_restriction").unwrap_or(0) {
        0 => page.text("was used by no app after that"),
        used => page.text(&format!(
            "was used after that by {}, {} of them in the last {} days",
            count(used, "app", "apps"),
            match int("apps_used_lookback").unwrap_or(0) {
                0 => "none".to_string(),
                lately => number(lately),
            },
            number(facts.lookback_days.into()),
        )),
    };
    match int("apps_capable") {
        Some(capable) => page.text(&format!("; {} could call", count(capable, "app", "apps"))),
        None => page.text("; how many could call is not known"),
    };
    page.text(". ").raw("<b class=\"people\">People: ");
    page.text(&told(int("subjects_observed"))).raw(" observed; ");
    let complete = summary.flag(row, "upper_bound_complete");
    match (int("subjects_upper_bound"), complete) {
        (Some(most), _) => page.text(&format!("at most {}", number(most))),
        (None, Some(_)) => page.raw("how many at most is left out"),
        (None, None) => page.raw("an upper bound is not known"),
    };
    if complete == Some(false) {
        page.raw(" as far as is known");
    }
    let unknown = int("subjects_unknown_rows").unwrap_or(0);
    page.raw("; calls of which nobody can say whom they reached: ").text(&number(unknown));
    page.raw(".</b>");
    if int("apps_used_after_restriction") > Some(0) {
        page.text(&format!(
            " In the last {} days: {} observed{}.",
            number(facts.lookback_days.into()),
            told(int("subjects_lookback")),
            most(summary, row, "subjects_upper_bound_lookback", ", "),
        ));
    }
    page.text(&coverage(summary, row));
    if summary.text(row, "verdict") == Some("incomplete") {
        page.raw(" Files were left out: these figures are too low by what they hold.");
    }
}

/// Why a column is always null, without the words that say so.
pub fn reason(column: &ColumnSpec) -> &str {
    column.meaning.strip_prefix("Null in this version: ").unwrap_or(&column.meaning)
}

/// Why figures that the sentences need are not there.
pub fn unknown(summary: &Grid, spec: Option<&TableSpec>) -> Vec<String> {
    let mut reasons = Vec::new();
    let rows =
        || (0..summary.rows()).filter(|r| summary.text(*r, "status") != Some("not_yet_restricted"));
    let is_null = |column: &str| {
        rows().next().is_some()
            && rows().all(|row| {
                // A bound that is known and left out says whether it is complete.
                let known = column == "subjects_upper_bound"
                    && summary.flag(row, "upper_bound_complete").is_some();
                !known && summary.int(row, column).is_none() && summary.float(row, column).is_none()
            })
    };
    for (column, says, otherwise) in [
        (
            "subjects_upper_bound",
            "An upper bound of the people is not known",
            "this run was given no memberships of groups",
        ),
        (
            "apps_capable",
            "How many apps could call is not known",
            "this run was given no register of grants (registry.grants)",
        ),
        (
            "coverage_pct",
            "Coverage is not known",
            "no log says which days it must hold (source.expected), so that a missing day would not be noticed",
        ),
    ] {
        if !is_null(column) {
            continue;
        }
        let column = spec.and_then(|s| s.columns.iter().find(|c| c.name == column));
        let why = match column {
            Some(column) if column.always_null => reason(column).to_string(),
            _ => otherwise.to_string(),
        };
        reasons.push(format!("{says}: {}.", why.trim_end_matches('.')));
    }
    reasons
}
