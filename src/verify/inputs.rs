//! Whether the files that a run was made from still are the ones that it read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::{Report, VerifyError, is_absent};
use crate::config::raw;
use crate::publish::{Manifest, sha256};
use crate::store::{Io, Pin, Store, StoreUrl};

/// Files of all sources, and of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InputsReport {
    pub files: u64,
    pub unchanged: u64,
    pub changed: u64,
    pub missing: u64,
}

/// What is listed of a source.
struct Listed<'a> {
    /// For messages.
    what: &'a str,
    files: Vec<&'a Value>,
    /// Whether the run cannot be made again without them.
    needed: bool,
}

impl<'a> Listed<'a> {
    fn of(what: &'a str, of: Option<&'a Value>, key: &str, needed: bool) -> Self {
        Self { what, files: of.into_iter().flat_map(|of| array(of, key)).collect(), needed }
    }

    /// Deletes that the run went on without, and the data that they count for.
    fn lost(table: Option<&'a Value>, files: &[&Value]) -> Self {
        let data: HashSet<&str> = files.iter().map(|file| text(file, "url")).collect();
        let mut lost = Self::of("deletes in ", table, "lost", true);
        lost.files.retain(|file| !data.contains(text(file, "url")));
        lost
    }
}

/// Addresses where the run found nothing.
fn missing_then(source: &Value) -> HashSet<&str> {
    let lost = source.get("table_files").into_iter().flat_map(|table| array(table, "lost"));
    let missing = lost.filter(|file| file.get("bytes").is_some_and(Value::is_null));
    missing.map(|file| text(file, "url")).collect()
}

/// Compares every input file's size, ETag and version with those of the manifest, so those of a table's
/// deletes and metadata, and every registry file's hash. No log file is read.
///
/// # Errors
/// Storage failures. What differs stands in the report.
pub fn check_inputs(manifest: &Manifest, io: &Io, report: &mut Report) -> Result<(), VerifyError> {
    let details = &manifest.details;
    let written = details.get("configuration").cloned().unwrap_or_default();
    let mut found = InputsReport::default();
    for (index, source) in array(details, "sources").enumerate() {
        let store = store_options(&written, &["source", &index.to_string(), "store"]);
        let table = source.get("table_files");
        let data = Listed::of("", Some(source), "files", true);
        let lost = Listed::lost(table, &data.files);
        let all = [
            data,
            Listed::of("deletes in ", table, "deletes", true),
            Listed::of("metadata in ", table, "metadata", false),
            lost,
        ];
        check_source(source, &all, &store, io, report, &mut found)?;
    }
    let store = store_options(&written, &["registry", "store"]);
    for file in array(details, "registry") {
        check_registry(file, &store, io, report, &mut found)?;
    }
    report.inputs = Some(found);
    Ok(())
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// How the run reached a store. Where a variable of the environment stood, the environment says it
/// again (AWS_ENDPOINT_URL_S3 and so on).
fn store_options(written: &Value, path: &[&str]) -> raw::Store {
    let mut at = written.pointer(&format!("/{}", path.join("/"))).cloned().unwrap_or_default();
    if let Some(keys) = at.as_object_mut() {
        keys.retain(|_, value| value.as_str().is_none_or(|text| !text.contains("${")));
    }
    serde_json::from_value(at).unwrap_or_default()
}

fn check_source(
    source: &Value,
    all: &[Listed<'_>],
    options: &raw::Store,
    io: &Io,
    report: &mut Report,
    found: &mut InputsReport,
) -> Result<(), VerifyError> {
    let name = text(source, "name");
    let missing_then = missing_then(source);
    // One listing for each folder: a request for each file would take hours where there are many.
    let mut by_folder: BTreeMap<String, Vec<(String, &Value, &Listed<'_>)>> = BTreeMap::new();
    let top = text(source, "url");
    for (listed, file) in all.iter().flat_map(|of| of.files.iter().map(move |file| (of, *file))) {
        let url = text(file, "url");
        let folder = common(top, url);
        let below = url.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
        by_folder.entry(folder.to_string()).or_default().push((below.to_string(), file, listed));
    }
    for (folder, files) in by_folder {
        let store = open(&folder, options, io)?;
        let mut files = files;
        if let Some(store) = &store {
            files.iter_mut().for_each(|(below, _, _)| *below = store.unshown(below));
        }
        let now = listing(store.as_ref(), files.iter().map(|(below, _, _)| below))?;
        for (below, file, listed) in files {
            let what = listed.what;
            let url = text(file, "url");
            let Some(pin) = now.get(&below) else {
                if listed.needed {
                    found.files += 1;
                    found.missing += 1;
                    report.differs(format!("source `{name}`: {what}{url} is missing"));
                } else {
                    report.warnings.push(format!(
                        "source `{name}`: {what}{url} is not there any more; tables remove old ones"
                    ));
                }
                continue;
            };
            found.files += 1;
            if missing_then.contains(url) {
                found.changed += 1;
                report.differs(format!(
                    "source `{name}`: {what}{url} is there again; the run went on without it"
                ));
                continue;
            }
            let mut difference = difference_of(file, pin);
            if let (Some(_), Some(store)) = (&difference, &store)
                && let Some(pin) = store.head(&below)?
            {
                // A listing may not tell versions.
                difference = difference_of(file, &pin);
            }
            match difference {
                None => found.unchanged += 1,
                Some(difference) => {
                    found.changed += 1;
                    report
                        .differs(format!("source `{name}`: {what}{url} was changed: {difference}"));
                }
            }
        }
    }
    Ok(())
}

/// The folder to list for a file: as much of the source's address as leads to it.
fn common<'a>(source: &str, file: &'a str) -> &'a str {
    let same = source.bytes().zip(file.bytes()).take_while(|(a, b)| a == b).count();
    let whole = same == source.len() && file.as_bytes().get(same) == Some(&b'/');
    let end =
        if whole { same } else { file.get(..same).and_then(|head| head.rfind('/')).unwrap_or(0) };
    file.get(..end).unwrap_or_default()
}

fn listing<'a>(
    store: Option<&Store>,
    files: impl Iterator<Item = &'a String>,
) -> Result<HashMap<String, Pin>, VerifyError> {
    let Some(store) = store else { return Ok(HashMap::new()) };
    if store.files_by_name() {
        let pins = files.map(|below| Ok((below.clone(), store.head(below)?)));
        let pins: Vec<(String, Option<Pin>)> = pins.collect::<Result<_, VerifyError>>()?;
        return Ok(pins.into_iter().filter_map(|(below, pin)| Some((below, pin?))).collect());
    }
    Ok(store.list("")?.into_iter().map(|listed| (listed.path, listed.pin)).collect())
}

/// A folder; `None` where it is not there.
fn open(folder: &str, options: &raw::Store, io: &Io) -> Result<Option<Store>, VerifyError> {
    let folder = if folder.is_empty() { "/" } else { folder };
    // The folder is absolute; files of secrets are looked for in the working folder.
    let url = StoreUrl::parse(folder, Path::new("."), options)
        .map_err(|reason| VerifyError::User { what: folder.to_string(), reason })?;
    match url.open(io) {
        Ok(store) => Ok(Some(store)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn difference_of(file: &Value, now: &Pin) -> Option<String> {
    let bytes = file.get("bytes").or_else(|| file.get("size")).and_then(Value::as_u64);
    if bytes != Some(now.size) {
        return Some(format!("it has {} bytes and had {}", now.size, bytes.unwrap_or_default()));
    }
    let differs = |key: &str, now: &Option<String>| {
        let then = file.get(key).and_then(Value::as_str);
        let now = now.as_deref();
        (then != now).then(|| {
            format!("its {key} is {} and was {}", now.unwrap_or("none"), then.unwrap_or("none"))
        })
    };
    differs("e_tag", &now.e_tag).or_else(|| differs("version", &now.version))
}

fn check_registry(
    file: &Value,
    options: &raw::Store,
    io: &Io,
    report: &mut Report,
    found: &mut InputsReport,
) -> Result<(), VerifyError> {
    found.files += 1;
    let (role, url) = (text(file, "role"), text(file, "url"));
    let (folder, name) = url.rsplit_once('/').unwrap_or(("", url));
    let store = open(folder, options, io)?;
    if file.get("sha256").is_none() {
        // A large one is pinned as logs are.
        let pin = match &store {
            Some(store) => store.head(name)?,
            None => None,
        };
        match pin.map(|pin| difference_of(file, &pin)) {
            None => {
                found.missing += 1;
                report.differs(format!("registry.{role}: {url} is missing"));
            }
            Some(Some(difference)) => {
                found.changed += 1;
                report.differs(format!("registry.{role}: {url} was changed: {difference}"));
            }
            Some(None) => found.unchanged += 1,
        }
        return Ok(());
    }
    let bytes = match store {
        Some(store) => store.read(name)?,
        None => None,
    };
    match bytes {
        None => {
            found.missing += 1;
            report.differs(format!("registry.{role}: {url} is missing"));
        }
        Some((bytes, _)) if sha256(&bytes) != text(file, "sha256") => {
            found.changed += 1;
            report.differs(format!(
                "registry.{role}: {url} was changed: its SHA-256 is {} and was {}",
                sha256(&bytes),
                text(file, "sha256")
            ));
        }
        Some(_) => found.unchanged += 1,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_to_list_is_the_sources_or_the_part_before_a_glob() {
        let file = "/data/logs/dt=1/a.parquet";
        assert_eq!(common("/data/logs", file), "/data/logs");
        assert_eq!(common("/data/logs/", file), "/data/logs");
        assert_eq!(common("/data/lo*/dt=*/*.parquet", file), "/data");
        assert_eq!(common(file, file), "/data/logs/dt=1");
        assert_eq!(common("/data/log", "/data/logs/a"), "/data");
        assert_eq!(common("s3://b/l*", "s3://b/logs/a"), "s3://b");
    }
}
