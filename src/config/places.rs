//! Places that must not meet: what is written, and what is read.

use globset::GlobBuilder;

use std::ffi::OsStr;
use std::path::Path;

use crate::config::RunPlan;
use crate::config::raw;
use crate::store::StoreUrl;

/// What a run writes below its folders.
pub(super) const WRITTEN: [&str; 11] = [
    "latest/t.parquet",
    "latest/t.csv",
    "runs/r/tables/t.parquet",
    "runs/r/tables/t.csv",
    "packs/p.parquet",
    "counts/c.bin",
    "index.json",
    "latest.json",
    "runs/r/manifest.json",
    "runs/r/report.html",
    "runs/r/report.xlsx",
];

/// Whether `files` below `place` would be listed as files of a source.
pub fn would_be_read(source: &StoreUrl, place: &StoreUrl, files: &[&str]) -> bool {
    let Some((folder, glob)) = source.split_glob() else {
        // Of a metadata file all of its table is read.
        let table = metadata_of(source).map(|(table, _)| table);
        return table.as_ref().unwrap_or(source).contains(place);
    };
    // A glob that cannot be read is told of when it is used.
    let Ok(glob) = GlobBuilder::new(&glob).literal_separator(true).build() else { return false };
    let matcher = glob.compile_matcher();
    files
        .iter()
        .any(|file| place.join(file).below(&folder).is_some_and(|path| matcher.is_match(path)))
}

/// Whether a local file would be listed as one of a source.
pub fn would_be_read_at(source: &StoreUrl, file: &Path) -> bool {
    let Some((place, name)) = split(file) else { return false };
    // A source may be a single file.
    would_be_read(source, &place, &[name]) || source.contains(&place.join(name))
}

/// What of a configuration would read a local file, the registry among it: its name and address.
pub fn reader_of<'a>(plan: &'a RunPlan, file: &Path) -> Option<(String, &'a StoreUrl)> {
    let tables = plan.registry.given().into_iter();
    let tables = tables.map(|(role, url)| (format!("registry.{role}"), url));
    readers(plan).chain(tables).find(|(_, url)| would_be_read_at(url, file))
}

/// All that a configuration reads rows from: sources, and the tables of people.
pub fn readers(plan: &RunPlan) -> impl Iterator<Item = (String, &StoreUrl)> {
    let people = &plan.registry.people;
    let tables = [("memberships", &people.memberships), ("residency", &people.residency)];
    let tables = tables
        .into_iter()
        .filter_map(|(name, url)| Some((format!("registry.{name}"), url.as_ref()?)));
    let sources = plan.sources.iter().map(|s| (format!("source `{}`", s.name), &s.url));
    sources.chain(tables)
}

/// The folder of a local file, and its name there.
fn split(file: &Path) -> Option<(StoreUrl, &str)> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_str()?;
    let name = file.file_name().and_then(OsStr::to_str)?;
    Some((StoreUrl::parse(folder, Path::new("."), &raw::Store::default()).ok()?, name))
}

/// `v3.metadata.json`, `00003-….metadata.json`, and packed: `v3.gz.metadata.json`,
/// `v3.metadata.json.gz`: a metadata file of an Iceberg table.
pub fn is_metadata(path: &str) -> bool {
    path.strip_suffix(".gz").unwrap_or(path).ends_with(".metadata.json")
}

/// The folder of an Iceberg table and the path below it, where the address is that of a metadata file.
pub fn metadata_of(url: &StoreUrl) -> Option<(StoreUrl, String)> {
    if !is_metadata(&url.to_string()) {
        return None;
    }
    let (folder, file) = url.split_last()?;
    let (table, folder) = folder.split_last()?;
    Some((table, format!("{folder}/{file}")))
}
