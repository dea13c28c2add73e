//! What two reports were made from, and what of it is not the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::moment::{Moment, Zone};

/// What a changed figure can come from. In the order in which they are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Another version of the program.
    Recount,
    /// Registry, people, own queries, and what the configuration says beside the mapping.
    Policy,
    /// How rows are read: columns, status, scopes' meaning, endpoint table, id key.
    Mapping,
    /// A table tells of other versions before the one that is read.
    TableHistory,
    /// A file has other content than before.
    RewrittenFile,
    /// A file is gone, or cannot be read.
    MissingFile,
    /// A file is new, or can be read now.
    LateFile,
    /// The report ends later.
    AsOf,
}

impl Cause {
    /// As `change_log` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recount => "recount",
            Self::Policy => "policy change",
            Self::Mapping => "mapping change",
            Self::TableHistory => "table history",
            Self::RewrittenFile => "rewritten file",
            Self::MissingFile => "missing file",
            Self::LateFile => "late file",
            Self::AsOf => "later as_of",
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Something that the reports were made from, and that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub cause: Cause,
    pub what: String,
}

/// Sections of the configuration that change no figure.
const PLACES: [&str; 6] =
    ["output.", "state.", "run.", "report.follows", "report.html", "report.xlsx"];

/// Keys of a source that say how its rows are read.
const MAPPING: [&str; 5] = ["columns", "scopes_mean", "status", "partition_time", "format"];

/// What is not the same in the manifests' details of two runs.
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut push = |cause, what: String| found.push(Difference { cause, what });
    let versions = ["/program/version", "/as_of", "/ids/key_id"];
    let versions = versions.map(|path| (text(before, path), text(after, path)));
    let causes = [Cause::Recount, Cause::AsOf, Cause::Mapping];
    for (((old, new), cause), name) in
        versions.into_iter().zip(causes).zip(["version", "as_of", "the id key"])
    {
        if old != new {
            push(cause, format!("{name}: {old} became {new}"));
        }
    }
    of_files(before, after, &mut push);
    let roles = (registry(before), registry(after));
    for role in roles.0.keys().chain(roles.1.keys()).collect::<BTreeSet<_>>() {
        if roles.0.get(role) != roles.1.get(role) {
            let mapping = role == "endpoints";
            let cause = if mapping { Cause::Mapping } else { Cause::Policy };
            push(cause, format!("registry.{role}"));
        }
    }
    if before.get("queries") != after.get("queries") {
        push(Cause::Policy, "the texts of own queries (report.queries)".into());
    }
    if before.pointer("/options/pruning") != after.pointer("/options/pruning") {
        push(Cause::Mapping, "--no-pruning".into());
    }
    of_configuration(before, after, &mut push);
    of_readings(before, after, &mut push);
    of_histories(before, after, &mut push);
    found
}

fn of_files(before: &Value, after: &Value, push: &mut impl FnMut(Cause, String)) {
    let files = |of: &Value| -> BTreeMap<(String, String), Value> {
        let each = array(of, "/sources").flat_map(|source| {
            let name = text(source, "/name");
            let files = array(source, "/files");
            files.map(move |file| ((name.clone(), text(file, "/url")), file.clone()))
        });
        each.collect()
    };
    let (old, new) = (files(before), files(after));
    let [kept, keeps] = [before, after].map(|of| -> BTreeMap<String, [String; 2]> {
        let ways = |source| ["/kept_from", "/lineage"].map(|path| text(source, path));
        array(of, "/sources").map(|source| (text(source, "/name"), ways(source))).collect()
    });
    // Where rows are kept from another day on, or read in another way, that alone may leave out other files.
    let is_kept_alike = |source: &String| kept.get(source) == keeps.get(source);
    let ends = [before, after].map(|of| Moment::parse_rfc3339(&text(of, "/as_of")));
    let [were, are] = [before, after].map(|of| -> BTreeMap<String, bool> {
        let is_table = |source| (text(source, "/name"), table_of(source).is_some());
        array(of, "/sources").map(is_table).collect()
    });
    // Values that a table gives, and plain files take from their folders, come with the mapping where these became one.
    let pin = |file: &Value, source: &String| {
        let values =
            if were.get(source) == are.get(source) { text(file, "/values") } else { String::new() };
        let object = ["/bytes", "/e_tag", "/version", "/deletes"].map(|path| text(file, path));
        (object, values)
    };
    // A file without rows could not be read.
    let is_read = |file: &&Value| file.get("rows").is_some_and(|rows| !rows.is_null());
    for (key, file) in &new {
        let (source, url) = key;
        let (was, rows) = (old.get(key), text(file, "/rows"));
        match (was.filter(is_read), Some(file).filter(is_read)) {
            (None, Some(_)) if is_due(&text(file, "/first_day"), ends) => {
                push(Cause::AsOf, format!("{url} ({rows} rows, source {source})"));
            }
            (None, Some(_)) => {
                push(Cause::LateFile, format!("{url} ({rows} rows, source {source})"));
            }
            (Some(was), Some(_)) if pin(was, source) != pin(file, source) => {
                let [then, now] = [was, file].map(|file| text(file, "/values"));
                let told = if then == now { "" } else { ", with other partition values" };
                let rows_then = text(was, "/rows");
                push(
                    Cause::RewrittenFile,
                    format!("{url} ({rows_then} rows became {rows}{told}, source {source})"),
                );
            }
            (Some(was), Some(_))
                if text(was, "/left_out") != text(file, "/left_out") && is_kept_alike(source) =>
            {
                let what = "its table tells otherwise of it than then, by which it is left out unopened or not";
                push(Cause::TableHistory, format!("{url} ({what}, source {source})"));
            }
            (Some(was), None) => push(
                Cause::MissingFile,
                format!("{url} cannot be read ({} rows then, source {source})", text(was, "/rows")),
            ),
            (None, None) if was.is_none() => {
                push(Cause::MissingFile, format!("{url} cannot be read (source {source})"));
            }
            _ => {}
        }
    }
    for ((source, url), file) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        let rows = match is_read(&file) {
            true => format!("{} rows", text(file, "/rows")),
            false => "it could not be read".into(),
        };
        push(Cause::MissingFile, format!("{url} ({rows}, source {source})"));
    }
}

/// Whether a new file came with time: the report ends later, and no row of the file can be of a moment
/// before the end of the report before.
fn is_due(day: &str, [before, after]: [Option<Moment>; 2]) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    let day = Moment::parse_setting(day, Zone::UTC);
    before < after && day.is_ok_and(|day| day >= before)
}

/// The registry's files by role. Where one lies changes no figure.
fn registry(of: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut roles: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for file in array(of, "/registry") {
        let mut file = file.clone();
        let hashed = file.get("sha256").is_some_and(|hash| !hash.is_null());
        if let Some(fields) = file.as_object_mut() {
            fields.retain(|key, _| !(hashed && key == "url"));
        }
        roles.entry(text(&file, "/role")).or_default().push(file);
    }
    roles
}

fn of_configuration(before: &Value, after: &Value, push: &mut impl FnMut(Cause, String)) {
    let (old, new) = (settings(before), settings(after));
    let sources = |of: &BTreeMap<String, String>| -> BTreeSet<String> {
        of.keys().filter_map(|key| source_of(key)).map(|(name, _)| name.to_string()).collect()
    };
    let (had, has) = (sources(&old), sources(&new));
    for name in had.symmetric_difference(&has) {
        let what = if has.contains(name) { "is new" } else { "is gone" };
        push(Cause::Policy, format!("source {name} {what}"));
    }
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let source = source_of(key);
        let in_both = source.is_none_or(|(name, _)| had.contains(name) && has.contains(name));
        if old.get(key) == new.get(key) || !in_both {
            continue;
        }
        let reads = |rest: &str| MAPPING.iter().any(|own| rest.split('.').next() == Some(own));
        let mapping = source.is_some_and(|(_, rest)| reads(rest));
        let value =
            |of: &BTreeMap<String, String>| of.get(key).cloned().unwrap_or("nothing".into());
        let cause = if mapping { Cause::Mapping } else { Cause::Policy };
        push(cause, format!("{}: {} became {}", key.replace(PART, "."), value(&old), value(&new)));
    }
}

/// Sources whose rows are read in another way although no setting of theirs says so: an endpoint table
/// moved, or the program's packs.
fn of_readings(before: &Value, after: &Value, push: &mut impl FnMut(Cause, String)) {
    for source in array(after, "/sources") {
        let name = text(source, "/name");
        let was = array(before, "/sources").find(|was| text(was, "/name") == name);
        if was.is_some_and(|was| was.get("lineage") != source.get("lineage")) {
            push(Cause::Mapping, format!("rows of source {name} are read in another way"));
        }
    }
}

/// Tables that tell another history than they told then: a version changed or deleted rows, or old versions
/// were removed from it.
fn of_histories(before: &Value, after: &Value, push: &mut impl FnMut(Cause, String)) {
    for source in array(after, "/sources") {
        let name = text(source, "/name");
        let was = array(before, "/sources").find(|was| text(was, "/name") == name);
        let tables = (was.and_then(|was| table_of(was)), table_of(source));
        let (Some(old), Some(new)) = tables else { continue };
        if old.get("history") != new.get("history") {
            let [old, new] = [old, new].map(|table| text(table, "/version"));
            let what = format!(
                "the history that the table of source {name} tells (version {old}, now {new})"
            );
            push(Cause::TableHistory, what);
        }
    }
}

/// What a source's table is, where it is kept as one.
fn table_of(source: &Value) -> Option<&Value> {
    source.get("table").filter(|table| !table.is_null())
}

/// Stands behind a source's name, which may hold dots.
const PART: char = '\u{1f}';

/// Name and key of a setting of a source.
fn source_of(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("source.")?.split_once(PART)
}

/// Settings by their path, sources by their names.
fn settings(of: &Value) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        let below =
            |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(k, v)| walk(&below(k), v, out)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, v)| walk(&below(&i.to_string()), v, out));
            }
            Value::Null => {}
            other => {
                out.insert(path.to_string(), shown(other));
            }
        }
    }
    let mut out = BTreeMap::new();
    let mut configuration = of.get("configuration").cloned().unwrap_or_default();
    // A setting that the environment gives is another where the environment is.
    for (place, hash) in of.get("variables").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = configuration.pointer_mut(place) {
            *value = format!("{} (hash {})", shown(value), shown(hash)).into();
        }
    }
    for (section, value) in configuration.as_object().into_iter().flatten() {
        if section != "source" {
            walk(section, value, &mut out);
            continue;
        }
        for source in value.as_array().into_iter().flatten() {
            let name = text(source, "/name");
            for (key, value) in source.as_object().into_iter().flatten() {
                walk(&format!("source.{name}{PART}{key}"), value, &mut out);
            }
        }
    }
    out.retain(|key, _| !PLACES.iter().any(|place| key.starts_with(place)));
    out
}

fn array<'a>(of: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    of.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

fn text(of: &Value, path: &str) -> String {
    of.pointer(path).map(shown).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn causes(before: &Value, after: &Value) -> Vec<(Cause, String)> {
        differences(before, after).into_iter().map(|d| (d.cause, d.what)).collect()
    }

    fn run(change: impl FnOnce(&mut Value)) -> Value {
        let mut of = json!({
            "program": {"version": "1"}, "as_of": "2019-01-01", "ids": {"key_id": ""},
            "configuration": {
                "source": [{"name": "a.b", "url": "logs", "columns": {"time": "ts"},
                            "expected": {"from": "2018-01-01"}}],
                "report": {"lookback_days": 60, "html": true},
                "output": {"url": "out"},
            },
            "variables": {},
            "registry": [{"role": "scopes", "url": "s.csv", "sha256": "1"},
                         {"role": "endpoints", "url": "e.csv", "sha256": "2"}],
            "sources": [{"name": "a.b", "files": [
                {"url": "f", "bytes": 1, "e_tag": "t", "rows": 5},
                {"url": "broken", "bytes": 1, "rows": null}]}],
        });
        change(&mut of);
        of
    }

    #[test]
    fn each_setting_has_its_cause() {
        let before = run(|_| ());
        let one = |change: fn(&mut Value)| {
            let mut found = causes(&before, &run(change));
            assert_eq!(found.len(), 1, "{found:?}");
            found.remove(0)
        };
        assert_eq!(causes(&before, &run(|_| ())), []);
        let mapping = one(|of| of["configuration"]["source"][0]["columns"]["time"] = "t".into());
        assert_eq!(mapping, (Cause::Mapping, "source.a.b.columns.time: ts became t".into()));
        let policy = one(|of| of["configuration"]["source"][0]["expected"]["from"] = "x".into());
        assert_eq!(policy.0, Cause::Policy);
        assert_eq!(one(|of| of["registry"][0]["sha256"] = "9".into()).0, Cause::Policy);
        assert_eq!(one(|of| of["registry"][1]["sha256"] = "9".into()).0, Cause::Mapping);
        assert_eq!(one(|of| of["as_of"] = "9".into()).0, Cause::AsOf);
        assert_eq!(one(|of| of["program"]["version"] = "9".into()).0, Cause::Recount);
        let variable = one(|of| of["variables"]["/report/lookback_days"] = "9".into());
        assert_eq!(variable.0, Cause::Policy);
        let variable = one(|of| of["variables"]["/source/0/columns/time"] = "9".into());
        assert_eq!(variable.0, Cause::Mapping);
        // It can be read now.
        assert_eq!(one(|of| of["sources"][0]["files"][1]["rows"] = 3.into()).0, Cause::LateFile);
        assert_eq!(
            one(|of| of["sources"][0]["files"][0]["e_tag"] = "9".into()).0,
            Cause::RewrittenFile
        );
        assert_eq!(
            one(|of| of["sources"][0]["files"][0]["rows"] = Value::Null).0,
            Cause::MissingFile
        );
    }

    #[test]
    fn a_table_that_tells_another_history_is_a_cause_and_another_version_alone_is_none() {
        let table = |version: u64, versions: &[u64]| {
            let changes: Vec<Value> = versions.iter().map(|v| json!({"version": v})).collect();
            let table = json!({"version": version, "history": {"changes": changes}});
            run(|of| of["sources"][0]["table"] = table)
        };
        let before = table(1, &[]);
        assert_eq!(causes(&before, &table(2, &[])), []);
        let what = "the history that the table of source a.b tells (version 1, now 2)";
        assert_eq!(causes(&before, &table(2, &[2])), [(Cause::TableHistory, what.into())]);
        // Plain files become a table by the configuration.
        assert_eq!(causes(&run(|_| ()), &table(2, &[2])), []);
    }

    #[test]
    fn a_file_whose_day_had_not_begun_comes_with_time() {
        let new = |day: &str, as_of: &str| {
            run(|of| {
                of["as_of"] = as_of.into();
                let files = of["sources"][0]["files"].as_array_mut().unwrap();
                files.push(json!({"url": "new", "bytes": 1, "rows": 5, "first_day": day}));
            })
        };
        let before = run(|of| of["as_of"] = "2019-10-01T00:00:00Z".into());
        let causes = |day, as_of| -> Vec<Cause> {
            causes(&before, &new(day, as_of)).into_iter().map(|found| found.0).collect()
        };
        let later = "2019-11-01T00:00:00Z";
        assert_eq!(causes("2019-10-01", later), [Cause::AsOf, Cause::AsOf]);
        assert_eq!(causes("2019-09-30", later), [Cause::AsOf, Cause::LateFile]);
        assert_eq!(causes("", later), [Cause::AsOf, Cause::LateFile]);
        // Without time passing, nothing comes with it.
        assert_eq!(causes("2019-10-05", "2019-10-01T00:00:00Z"), [Cause::LateFile]);
    }

    #[test]
    fn files_that_cannot_be_read_are_causes() {
        let bad = json!({"url": "bad", "bytes": 1, "rows": null});
        let with = run(|of| of["sources"][0]["files"].as_array_mut().unwrap().push(bad.clone()));
        for (a, b) in [(run(|_| ()), with.clone()), (with, run(|_| ()))] {
            let found = causes(&a, &b);
            assert!(matches!(found.as_slice(), [(Cause::MissingFile, _)]), "{found:?}");
        }
    }

    #[test]
    fn places_change_no_figure() {
        let after = run(|of| {
            of["configuration"]["output"]["url"] = "elsewhere".into();
            of["configuration"]["report"]["html"] = false.into();
            of["registry"][0]["url"] = "other.csv".into();
            of["configuration"]["report"]["xlsx"] = false.into();
        });
        assert_eq!(causes(&run(|_| ()), &after), []);
    }
}
