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
use super::words::left_out;
use crate::impact::Query;
use crate::publish::Output;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Sections: id and heading.
const SECTIONS: [(&str, &str); 13] = [
    ("answer", "The answer"),
    ("changes", "What changed since the report before"),
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

pub fn render(kept: &Kept, facts: &Facts, queries: &[Query], written: &[Output]) -> String {
    let mut page = Page::default();
    let sections = Sections { kept, facts, queries };
    head(&mut page, facts);
    sections.answer(&mut page);
    sections.changes(&mut page);
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
    files(&mut page, written);
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
    page.text(&format!(
        "Report {}. Counts what happened before {}. ",
        facts.number,
        day_in_words(facts.as_of.micros)
    ));
    page.raw("Times are UTC, cut to the second. Run <code>").text(&facts.run_id);
    page.raw("</code>, afterscope ").raw(env!("CARGO_PKG_VERSION")).raw(".</p>\n");
    if !facts.complete {
        page.raw("<p class=\"warn\"><b>Incomplete:</b> files of the logs could not be read and were left out. Every figure may be too low. ");
        page.raw("See <a href=\"#coverage\">Coverage</a>.</p>\n");
    }
    if let Some(below) = facts.suppress_below {
        page.raw("<p>").text(&left_out(below)).raw("</p>\n");
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
        page.raw("<li>").sentence(&item).raw("</li>\n");
    }
    page.raw("</ul>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of `#rrggbb` (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    #[test]
    fn every_colour_has_the_contrast_that_wcag_asks_for() {
        let palettes: Vec<&str> = STYLE.split(":root {").skip(1).collect();
        assert_eq!(palettes.len(), 3, "light, dark and paper");
        for palette in palettes {
            let (palette, _) = palette.split_once('}').unwrap();
            let colour = |name: &str| {
                let (_, rest) = palette.split_once(&format!("--{name}: ")).unwrap();
                luminance(rest.get(..7).unwrap())
            };
            let contrast = |a: &str, b: &str| {
                let (a, b) = (colour(a), colour(b));
                (a.max(b) + 0.05) / (a.min(b) + 0.05)
            };
            for (text, behind) in [
                ("ink", "paper"),
                ("ink", "band"),
                ("soft", "paper"),
                ("soft", "band"),
                ("link", "paper"),
                ("warn-ink", "warn"),
            ] {
                assert!(contrast(text, behind) >= 4.5, "{text} on {behind} in {palette}");
            }
            for (shape, behind) in [
                ("line", "paper"),
                ("line", "bars"),
                ("bars", "paper"),
                ("bars", "grace"),
                ("bars", "grace-all"),
                ("bars", "lookback"),
                ("mark", "paper"),
                ("promise", "paper"),
                ("h1", "paper"),
            ] {
                assert!(contrast(shape, behind) >= 3.0, "{shape} on {behind} in {palette}");
            }
            for shades in ["h1", "h2", "h3", "h4", "h5"].windows(2) {
                assert!(contrast(shades[0], shades[1]) >= 1.3, "{shades:?} in {palette}");
            }
        }
    }
}
