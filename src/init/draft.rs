//! The configuration as it is proposed, line by line, with its reasons.

use std::path::Path;

use chrono::NaiveDate;
use serde_json::Value;

use super::look::Seen;
use super::propose::Proposal;
use super::quoting::{literal, quoted};
use super::registry::{self, APPS, ENDPOINTS, SAMPLE, SCOPES};
use super::role::Role;
use super::{CONFIGURATION, number};
use crate::config::raw::Store;
use crate::config::{Format, Overrides, from_text, shape};
use crate::hidden::visible;

/// Characters of a line of comment.
const WIDTH: usize = 110;

/// Candidates and values that are written out.
pub(super) const SHOWN: usize = 10;
const VALUES: usize = 20;

/// A configuration, and what is left to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub text: String,
    /// What a run waits for.
    pub open: Vec<String>,
    /// What is not mapped and may be: a run goes on without.
    pub undecided: Vec<String>,
    /// What no column looks like, and what that means for the figures.
    pub lacking: Vec<String>,
}

/// Keys of the registry that are offered, each with what its file is called.
const OFFERED: [(&str, &str); 7] = [
    ("extensions", "extensions.csv"),
    ("grants", "grants.csv"),
    ("brownouts", "brownouts.csv"),
    ("attestations", "attestations.csv"),
    ("memberships", "memberships/"),
    ("residency", "residency/"),
    ("thresholds", "thresholds.csv"),
];

impl Draft {
    /// The configuration of a lake, which will lie in `folder`.
    pub fn new(seen: &Seen, proposal: &Proposal, store: &Store, folder: &Path) -> Self {
        let text = String::new();
        let schema = shape::schema();
        let (open, undecided, lacking) = (Vec::new(), Vec::new(), Vec::new());
        let own = Self { text, open, undecided, lacking };
        let mut writing = Writing { seen, proposal, schema, own };
        writing.head();
        writing.source();
        writing.columns();
        writing.status();
        writing.store(store);
        writing.rest();
        writing.own.checked(folder)
    }

    /// The configuration with something in the place of what is open, so that all else can be looked at.
    pub fn settled(&self) -> String {
        self.text.lines().map(|line| settled(line) + "\n").collect()
    }

    /// With every other mistake that a run would find in it.
    fn checked(mut self, folder: &Path) -> Self {
        let overrides =
            Overrides { as_of: "1970-01-01".into(), unsigned: true, ..Default::default() };
        let env = |name: &str| std::env::var(name).ok();
        let problems = from_text(&self.settled(), folder, &overrides, &env).err();
        for problem in problems.unwrap_or_default() {
            self.open.push(format!("{CONFIGURATION}: {}", problem.message));
        }
        self
    }
}

/// Whether a line waits for a value.
fn is_open(line: &str) -> bool {
    !line.starts_with('#') && (line.contains("\"\"") || line.ends_with("= []"))
}

/// No column is called so.
const ABSENT: &str = "{ path = \"\\u0000\", missing = \"null\" }";

/// The line with something in the place of what is open, so that the others can be tried.
fn settled(line: &str) -> String {
    if !is_open(line) {
        return line.to_string();
    }
    match line.split_once(" = ") {
        Some((key @ ("time" | "app" | "scopes" | "endpoint"), "\"\"")) => {
            format!("{key} = {ABSENT}")
        }
        Some(("scopes_mean", _)) => "scopes_mean = \"exercised\"".into(),
        Some(("allowed", _)) => "allowed = [\"200-299\", \"true\"]".into(),
        Some((_, "\"\"")) => String::new(),
        _ => line
            .replace("zone = \"\"", "zone = \"UTC\"")
            .replace("encoding = \"\"", "encoding = \"single\""),
    }
}

/// A configuration in the making.
pub(super) struct Writing<'a> {
    pub seen: &'a Seen,
    pub proposal: &'a Proposal,
    schema: Value,
    pub own: Draft,
}

impl Writing<'_> {
    pub(super) fn line(&mut self, text: &str) {
        self.own.text.push_str(text);
        self.own.text.push('\n');
    }

    /// A comment, broken between words.
    pub(super) fn comment(&mut self, text: &str) {
        let text = visible(text);
        let mut line = String::from("#");
        for word in text.split(' ') {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    pub(super) fn open(&mut self, text: String) {
        self.own.open.push(visible(&format!("{CONFIGURATION}: {text}")));
    }

    /// What the configuration's own documentation says of a key.
    pub(super) fn meaning(&self, table: &str, key: &str) -> String {
        let path = format!("/$defs/{table}/properties/{key}/description");
        let text = self.schema.pointer(&path).and_then(Value::as_str).unwrap_or_default();
        text.replace('\n', " ")
    }

    fn head(&mut self) {
        let (taken, listed) = (&self.seen.taken, &self.seen.listed);
        let [rows, files, all] = [taken.rows, taken.files, listed.files].map(number);
        let of = if self.seen.is_whole() { "all rows".into() } else { format!("{rows} rows") };
        self.comment(&format!(
            "Proposed by `afterscope init` from names, types and values of {of} of {files} of {all} files."
        ));
        self.comment(
            "Check every line: nobody but you knows what these columns mean. A line marked OPEN stops \
             `afterscope plan` until it is filled in.",
        );
        self.line("");
    }

    fn source(&mut self) {
        self.line("[[source]]");
        self.line("name = \"access\"");
        self.line(&format!("url = {}", quoted(&self.seen.url.to_string())));
        let versions = match self.seen.format {
            Format::Parquet => None,
            Format::Delta => Some(("delta", "version")),
            Format::Iceberg => Some(("iceberg", "snapshot")),
        };
        if let Some((format, key)) = versions {
            self.line(&format!("format = {}", quoted(format)));
            if let Some(version) = self.seen.version {
                self.comment("The one that was looked at; without this line the latest is read.");
                self.line(&format!("# {key} = {version}"));
            }
        }
        if self.proposal.asks_what_scopes_mean() {
            self.line("");
            self.comment(&format!("scopes_mean: {}", self.meaning("Source", "scopes_mean")));
            self.comment(
                "OPEN: rows may hold several scopes, or scopes that the token held and the call did not need, and what they mean decides what counts. Held scopes are no exposure. With an endpoint table (registry.endpoints) and `endpoint` mapped, the table tells which of them a call exercised: then take this line out.",
            );
            self.line("scopes_mean = \"\"");
            self.open("scopes_mean: say whether scopes in a row are exercised or held".into());
        }
        self.partitions();
        self.line("");
    }

    /// What folders promise is offered, not claimed.
    fn partitions(&mut self) {
        let listed = self.seen.listed.partitions.clone();
        let dated = listed.iter().find_map(|of| {
            let (least, greatest) = (of.least.as_deref()?, of.greatest.as_deref()?);
            let grain = grain(least).filter(|grain| Some(*grain) == self::grain(greatest))?;
            Some((of, grain, least, greatest))
        });
        let Some((of, grain, least, greatest)) = dated else { return };
        let name = quoted(&of.name);
        self.line("");
        self.comment(&format!(
            "Folders {} hold {} values, {} to {}. With the next line folders are left out by their date; a row outside of what it promises ends the run. Say how far rows may lie outside.",
            of.name,
            number(of.values),
            least,
            greatest
        ));
        self.line(&format!(
            "# partition_time = {{ column = {name}, grain = \"{grain}\", slack = \"1d\" }}"
        ));
        self.comment("Days for which data must be there; without them coverage_pct is null.");
        let day = quoted(least.get(..10).unwrap_or(least));
        self.line(&format!("# expected = {{ every = \"1d\", from = {day} }}"));
    }

    fn store(&mut self, store: &Store) {
        let Ok(Value::Object(keys)) = serde_json::to_value(store) else { return };
        let plain = serde_json::to_value(Store::default()).unwrap_or_default();
        let set: Vec<_> =
            keys.iter().filter(|(key, value)| plain.get(key.as_str()) != Some(value)).collect();
        if set.is_empty() {
            return;
        }
        self.line("[source.store]");
        for (key, value) in set {
            let value = value.as_str().map_or_else(|| value.to_string(), quoted);
            self.line(&format!("{key} = {value}"));
        }
        self.line("");
    }

    /// What a file lacks of the sample, told where it is named and at the end.
    fn gaps(&mut self, role: Role, file: &str) {
        for gap in registry::gaps(self.seen, self.proposal, role) {
            self.comment(&format!("It may lack some: {gap}."));
            self.own.open.push(format!("{file}: it may lack some: {gap}"));
        }
    }

    fn rest(&mut self) {
        let scopes = registry::scopes(self.seen, self.proposal);
        self.line("[registry]");
        self.comment(&format!("scopes: {}", self.meaning("Registry", "scopes")));
        if scopes.is_empty() {
            self.comment(
                "None are known from the sample: write those that were restricted, and since when.",
            );
            self.own.open.push(format!(
                "{SCOPES}: write the scopes that were restricted, and since when (deprecated_at)"
            ));
        } else {
            self.comment(&format!("In the sample, with their rows: {}", listed(&scopes)));
            self.comment("Write since when (deprecated_at) those are restricted that are, and take the others out.");
            self.own.open.push(format!(
                "{SCOPES}: write since when (deprecated_at) which of {} scopes are restricted, and take the others out",
                number(scopes.len() as u64)
            ));
        }
        self.gaps(Role::Scopes, SCOPES);
        self.line(&format!("scopes = \"{SCOPES}\""));
        self.comment(&format!("apps: {}", self.meaning("Registry", "apps")));
        self.comment(match self.proposal.of(Role::App).taken() {
            Some(own) if registry::is_withheld(self.seen, self.proposal, own) => {
                "It holds none: the column's values are those of people, or secrets."
            }
            Some(_) => "It holds the apps of the sample, and may hold more.",
            None => "Which column names them is open, so that it holds none yet.",
        });
        if self.proposal.of(Role::App).taken().is_some() {
            self.gaps(Role::App, APPS);
        }
        self.line(&format!("apps = \"{APPS}\""));
        if self.proposal.is_by_endpoint() {
            self.gaps(Role::Endpoint, ENDPOINTS);
            self.comment(&format!("endpoints: {}", self.meaning("Registry", "endpoints")));
            self.line(&format!("endpoints = \"{ENDPOINTS}\""));
            self.own.open.push(format!(
                "{ENDPOINTS}: write which scope each call needs, and check the paths"
            ));
        }
        for (key, file) in OFFERED {
            self.comment(&format!("{key}: {}", self.meaning("Registry", key)));
            self.line(&format!("# {key} = \"{file}\""));
        }
        self.comment(&format!(
            "{SAMPLE} has all values that are listed here, with their rows; nothing reads it."
        ));
        self.line("");
        self.line("[report]");
        self.comment(&format!("lookback_days: {}", self.meaning("Report", "lookback_days")));
        self.line("lookback_days = 60");
        self.line("");
        self.line("[output]");
        self.line("url = \"out/\"");
    }
}

/// `"a" 12, "b" 3 and 4 more`.
pub(super) fn listed(counts: &[(String, u64)]) -> String {
    let some = counts.iter().take(VALUES);
    let some: Vec<String> = some
        .map(|(text, times)| format!("{} {}", literal(&clipped(text)), number(*times)))
        .collect();
    let left = counts.len().saturating_sub(VALUES);
    let more = if left == 0 { String::new() } else { format!(" and {} more", number(left as u64)) };
    format!("{}{more}", some.join(", "))
}

/// Characters of a value that are written out in a comment.
const CLIPPED: usize = 120;

fn clipped(text: &str) -> String {
    match text.char_indices().nth(CLIPPED) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_string(),
    }
}

/// ` and 4 more`, where not all are shown.
pub(super) fn more(count: usize) -> String {
    match count.saturating_sub(SHOWN) {
        0 => String::new(),
        left => format!(" and {} more", number(left as u64)),
    }
}

/// The length that a folder's value stands for.
fn grain(value: &str) -> Option<&'static str> {
    if NaiveDate::parse_from_str(value, "%Y-%m-%d").is_ok() {
        return Some("1d");
    }
    let (date, hour) = (value.get(..10)?, value.get(10..)?);
    let hour = hour.strip_prefix(['-', 'T'])?;
    let is_hour = hour.len() == 2 && hour.parse::<u8>().is_ok_and(|hour| hour < 24);
    (is_hour && NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok()).then_some("1h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_left_out_and_the_rest_stays() {
        for (line, wanted) in [
            ("time = \"\"", "time = { path = \"\\u0000\", missing = \"null\" }"),
            ("group = \"\"", ""),
            ("time = { path = \"ts\", zone = \"\" }", "time = { path = \"ts\", zone = \"UTC\" }"),
            ("status = \"code\"", "status = \"code\""),
            ("# app = \"\"", "# app = \"\""),
        ] {
            assert_eq!(settled(line), wanted);
        }
    }
}
