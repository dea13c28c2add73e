//! `report.html`: one file that asks no network for anything. Sections stand in the order in which a
//! reader needs them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::Facts;
use super::closing::{files, reading, verify};
use super::kept::Kept;
use super::page::Page;
use super::sections::Sections;
use super::text::day_in_words;
use crate::impact::{Query, TableFile};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

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

pub fn open(page: &mut Page, id: &'static str) {
    let heading = SECTIONS.iter().find(|s| s.0 == id).map_or(id, |s| s.1);
    page.raw("<section aria-labelledby=\"").raw(id).raw("\"><h2 id=\"").raw(id).raw("\">");
    page.raw(heading).raw("</h2>\n");
}

pub fn close(page: &mut Page) {
    page.raw("</section>\n");
}

pub fn paragraph(page: &mut Page, text: &str) {
    page.raw("<p>").text(text).raw("</p>\n");
}

pub fn list(page: &mut Page, items: impl IntoIterator<Item = String>) {
    page.raw("<ul>\n");
    for item in items {
        page.raw("<li>").name(&item).raw("</li>\n");
    }
    page.raw("</ul>\n");
}
