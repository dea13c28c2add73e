//! Plain files that lie inside a table: which of their rows are there still, the table alone knows.

use std::collections::HashSet;
use std::path::Path;

use super::listing::is_hidden;
use super::{Origin, SnapshotError};
use crate::config::is_metadata;
use crate::store::{Io, Store, StoreError, StoreErrorKind, StoreUrl};
use crate::threads::in_threads;

/// What to do with a table that is not read as one.
pub(super) const EXPORT: &str =
    "export the version that you need as plain Parquet files, and name their folder";

/// Folders of a service that are asked although their names are none that tables give: as deep as Iceberg's
/// layout for object storage puts its files.
const OTHERS: usize = 4;

/// A table that a folder is.
struct Found {
    format: &'static str,
    /// A file that shows it.
    marker: String,
    way: String,
}

/// Refuses a source whose folder or file lies below a table's own folder, by whichever links.
///
/// # Errors
/// See [`SnapshotError`].
pub(super) fn refuse_inside_table(source: &Origin<'_>, io: &Io) -> Result<(), SnapshotError> {
    if source.url.names_a_file() {
        // A web server, which is asked for one file.
        return Ok(());
    }
    let folder = source.url.split_glob().map_or_else(|| source.url.clone(), |(folder, _)| folder);
    let mut asked = HashSet::new();
    // A link in a table leads out of it, and one outside into it.
    for at in [folder.without_slash(), folder.without_slash().real()] {
        if let Some(found) = table_above(&at, &mut asked, source, io)? {
            return Err(refused(source, source.url.to_string(), found));
        }
    }
    Ok(())
}

/// Refuses links below a local folder that lead into a table; `is_meant` tells of a path below the folder whether
/// the source's glob matches it.
///
/// # Errors
/// See [`SnapshotError`].
pub(super) fn refuse_links_into_table(
    source: &Origin<'_>,
    store: &Store,
    is_meant: impl Fn(&str) -> bool,
    io: &Io,
) -> Result<(), SnapshotError> {
    let Some(root) = store.local_root() else { return Ok(()) };
    let mut asked = HashSet::new();
    let mut folders = vec![(root.to_path_buf(), false)];
    while let Some((folder, is_linked)) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Some(kind) = entry.file_type().ok().filter(|_| !is_hidden(&name.to_string_lossy()))
            else {
                continue;
            };
            let is_linked = is_linked || kind.is_symlink();
            if kind.is_dir() || kind.is_symlink() && path.is_dir() {
                folders.push((path, is_linked));
            } else if is_linked && below(&path, root).is_some_and(&is_meant) {
                let at = source.url.at_local(&path).real();
                if let Some(found) = table_above(&at, &mut asked, source, io)? {
                    return Err(refused(source, path.display().to_string(), found));
                }
            }
        }
    }
    Ok(())
}

fn below<'a>(path: &'a Path, root: &Path) -> Option<&'a str> {
    path.strip_prefix(root).ok()?.to_str()
}

fn refused(source: &Origin<'_>, url: String, found: Found) -> SnapshotError {
    let Found { format, marker, way } = found;
    SnapshotError::TableFormat { source_name: source.name.to_string(), url, format, marker, way }
}

/// What a format's tables have in their folder: a folder of this name, in it an object whose path shows it.
struct Kind {
    below: &'static str,
    shows: fn(&str) -> bool,
    name: &'static str,
    /// The format's name as a source's key.
    key: Option<&'static str>,
}

const KINDS: [Kind; 3] = [
    Kind { below: "_delta_log", shows: |_| true, name: "part of a Delta", key: Some("delta") },
    Kind {
        below: "metadata",
        shows: is_metadata,
        name: "part of an Iceberg",
        key: Some("iceberg"),
    },
    Kind { below: ".hoodie", shows: |_| true, name: "part of a Hudi", key: None },
];

/// The table that `at` lies inside of, the innermost; `asked` are folders that are none, and are not asked again.
fn table_above(
    at: &StoreUrl,
    asked: &mut HashSet<StoreUrl>,
    source: &Origin<'_>,
    io: &Io,
) -> Result<Option<Found>, SnapshotError> {
    let (mut at, mut others) = (at.clone(), 0);
    let mut questions = Vec::new();
    while let Some((parent, name)) = at.split_last() {
        if parent.to_string() == at.to_string() || !asked.insert(parent.clone()) {
            break;
        }
        // Tables give such names; others a service is asked for a few times only.
        let is_usual = name == "data" || name.contains('=') || name.ends_with(".parquet");
        others += usize::from(parent.local().is_none() && !is_usual);
        if others > OTHERS {
            break;
        }
        questions.extend(KINDS.iter().map(|kind| (parent.clone(), kind)));
        at = parent;
    }
    // A service is asked all at once: each answer takes its time.
    let threads = if at.local().is_some() { 1 } else { questions.len().max(1) };
    let answers = in_threads(threads, |thread| {
        let own = questions.iter().skip(thread).step_by(threads);
        own.map(|(folder, kind)| table_at(folder, kind, io)).collect::<Result<Vec<_>, _>>()
    });
    let answers = answers.map_err(|error| SnapshotError::store(source, error))?;
    Ok(answers.into_iter().flatten().flatten().next())
}

/// The table whose folder it is, of one kind. Where nothing may be listed, none is known.
///
/// # Errors
/// Failures of storage that may pass: what was not asked is not known to be no table.
fn table_at(folder: &StoreUrl, kind: &Kind, io: &Io) -> Result<Option<Found>, StoreError> {
    let Some(store) = allowed(folder.open(io))? else { return Ok(None) };
    let found = allowed(store.find(kind.below, kind.shows))?.flatten();
    Ok(found.map(|first| Found {
        format: kind.name,
        marker: folder.join(&first.path).to_string(),
        way: match kind.key {
            Some(key) => format!("name {folder} as url, and set format = \"{key}\""),
            None => EXPORT.to_string(),
        },
    }))
}

/// What was found; `None` where nobody may look, or there is no such place.
fn allowed<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == StoreErrorKind::Transient => Err(error),
        Err(_) => Ok(None),
    }
}
