//! The closing sections of the page: how to read it, how to verify it, and which files there are.

use super::Facts;
use super::html::{close, open};
use super::page::Page;
use super::text::{count, day_in_words, number};
use crate::publish::Output;

pub fn reading(page: &mut Page, facts: &Facts) {
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
            "All members, at that time, of all groups that were read, and all people observed. Where every call names a person, or a group that had a member then, the number of people reached lies between the two; else more may have been reached.",
        ),
        (
            "Calls of which nobody can say whom they reached",
            "Counted calls that name no person and no group with a known member at that moment. They may stand for people who are in neither of the two numbers.",
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
        (
            "(all)",
            "All scopes, or all apps, together. An id that really reads like this has a backslash in front.",
        ),
        (
            "–",
            match facts.suppress_below {
                None => {
                    "Not known, or does not apply. It is never a zero. A row without an app is of calls that name none."
                }
                Some(_) => {
                    "Not known, does not apply, or a count that is left out because it is of few people or would give one away. It is never a zero. A row without an app is of calls that name none."
                }
            },
        ),
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

pub fn verify(page: &mut Page, facts: &Facts) {
    open(page, "verify");
    page.raw("<p>This page is a view. The record is the folder <code>tables/</code> beside it; <code>manifest.json</code>, also beside it, names every input and output of the run with its SHA-256, this page among them. ");
    page.raw("The last line of <code>manifest.json</code> is the SHA-256 of all its bytes before that line: whoever holds that one line can tell whether anything was changed.</p>\n<ol>\n");
    page.raw("<li>With the program: <code>afterscope verify </code> and the folder of this page, whose name is <code>").text(&facts.run_id).raw("</code>.</li>\n");
    page.raw("<li>Without it, in that folder: <code>head -n -1 manifest.json | sha256sum</code> must print the hash on the last line of <code>manifest.json</code>, and <code>sha256sum</code> of each file the hash that stands there and below.</li>\n");
    page.raw("<li>By counting again: the same inputs, configuration and version of the program give the same bytes.</li>\n</ol>\n");
    page.raw("<p>To cite a figure, name the run, the table, the row and the column, and the last line of <code>manifest.json</code>.</p>\n");
    close(page);
}

pub fn files(page: &mut Page, written: &[Output]) {
    open(page, "files");
    page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Files of this run\"><table class=\"files\"><caption>Tables of this run; the CSV files beside them hold the same rows</caption>");
    page.raw("<thead><tr><th scope=\"col\">File</th><th scope=\"col\" class=\"n\">Rows</th><th scope=\"col\">SHA-256</th></tr></thead><tbody>\n");
    for file in written.iter().filter(|file| file.path.ends_with(".parquet")) {
        page.raw("<tr><th scope=\"row\">").text(&file.path).raw("</th><td class=\"n\">");
        page.text(&number(file.rows.cast_signed())).raw("</td><td><code>");
        page.text(&file.sha256).raw("</code></td></tr>\n");
    }
    page.raw("</tbody></table></div>\n");
    close(page);
}
