//! Plain files below a prefix: folders, hive partitions, globs, or one file.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use globset::GlobBuilder;

use super::inside::{EXPORT, refuse_inside_table, refuse_links_into_table};
use super::{Origin, Partition, Snapshot, SnapshotError, SnapshotFile};
use crate::config::{Format, is_metadata};
use crate::store::{Io, Listed, Store, StoreError, StoreErrorKind, odd_kind};
use crate::threads::beside;

/// Lists the source's files.
///
/// # Errors
/// See [`SnapshotError`].
pub fn take(source: &Origin<'_>, io: &Io) -> Result<Snapshot, SnapshotError> {
    if source.url.local().is_some() {
        refuse_inside_table(source, io)?;
        return files_of(source, io);
    }
    // A service is asked for both at once: each answer takes its time.
    let (files, outside) = beside(|| files_of(source, io), || refuse_inside_table(source, io));
    outside.and(files)
}

fn files_of(source: &Origin<'_>, io: &Io) -> Result<Snapshot, SnapshotError> {
    let source_name = source.name.to_string();
    let failed = |error| SnapshotError::store(source, error);
    let empty = |ignored| SnapshotError::Empty {
        source_name: source_name.clone(),
        url: source.url.to_string(),
        ignored,
    };

    if let Some((folder, glob)) = source.url.split_glob() {
        let matcher = GlobBuilder::new(&glob)
            .literal_separator(true)
            .build()
            .map_err(|e| SnapshotError::Glob {
                source_name: source_name.clone(),
                glob: glob.clone(),
                reason: e.to_string(),
            })?
            .compile_matcher();
        let store = folder.open(io).map_err(failed)?;
        let listed = store.list("").map_err(failed)?;
        refuse_tables(source, &listed)?;
        refuse_unlisted(source, &store, &listed, |path| matcher.is_match(path))?;
        refuse_links_into_table(source, &store, |path| matcher.is_match(path), io)?;
        let matching = listed.into_iter().filter(|l| matcher.is_match(&l.path)).collect();
        let (files, ignored) = visible(&store, matching).map_err(failed)?;
        refuse_twice(source, &store, &files)?;
        return if files.is_empty() {
            Err(empty(ignored))
        } else {
            Ok(Snapshot { store, files, ignored, table: None })
        };
    }

    if source.url.names_a_file() {
        // There may be no listing to find out whether it is a folder.
        return one_file(source, io, failed)?.ok_or_else(|| {
            let reason = "is not there (the address of a folder ends in /)";
            failed(StoreError::new(StoreErrorKind::NotFound, source.url.to_string(), reason))
        });
    }

    match source.url.open(io) {
        Ok(store) => {
            let listed = store.list("").map_err(failed)?;
            refuse_tables(source, &listed)?;
            refuse_unlisted(source, &store, &listed, |_| true)?;
            refuse_links_into_table(source, &store, |_| true, io)?;
            let (files, ignored) = visible(&store, listed).map_err(failed)?;
            refuse_twice(source, &store, &files)?;
            if !files.is_empty() {
                return Ok(Snapshot { store, files, ignored, table: None });
            }
            one_file(source, io, failed)?.ok_or_else(|| empty(ignored))
        }
        Err(error) if error.kind == StoreErrorKind::NotFound => {
            one_file(source, io, failed)?.ok_or_else(|| failed(error))
        }
        Err(error) => Err(failed(error)),
    }
}

/// The source as one object, where its URL names one.
fn one_file(
    source: &Origin<'_>,
    io: &Io,
    failed: impl Fn(StoreError) -> SnapshotError,
) -> Result<Option<Snapshot>, SnapshotError> {
    let Some((folder, name)) = source.url.split_last() else { return Ok(None) };
    let store = match folder.open(io) {
        Ok(store) => store,
        Err(e) if e.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let Some(pin) = store.head(&name).map_err(failed)? else { return Ok(None) };
    let files = vec![SnapshotFile::new(name, pin)];
    Ok(Some(Snapshot { store, files, ignored: 0, table: None }))
}

/// A table format's log says which of the files count; without it they must not be read.
fn refuse_tables(source: &Origin<'_>, listed: &[Listed]) -> Result<(), SnapshotError> {
    for object in listed {
        let folders: Vec<&str> = object.path.split('/').collect();
        let (format, way) = if folders.first() == Some(&"_delta_log") {
            ("a Delta", "set format = \"delta\"")
        } else if folders.contains(&"_delta_log") {
            ("a Delta", "name the folder that holds _delta_log as url, and set format = \"delta\"")
        } else if folders.contains(&".hoodie") {
            ("a Hudi", EXPORT)
        } else if is_metadata(&object.path) && folders.first() == Some(&"metadata") {
            ("an Iceberg", "set format = \"iceberg\"")
        } else if is_metadata(&object.path) && folders.contains(&"metadata") {
            (
                "an Iceberg",
                "name the folder that holds metadata/ as url, and set format = \"iceberg\"",
            )
        } else {
            continue;
        };
        return Err(SnapshotError::TableFormat {
            source_name: source.name.to_string(),
            url: source.url.to_string(),
            format,
            marker: object.path.clone(),
            way: way.to_string(),
        });
    }
    Ok(())
}

/// What shows that a folder is a table of another format than `wanted`: what it is, a file of it, and what to do.
/// Where nothing can be listed, none is known.
pub(super) fn other_table(
    store: &Store,
    wanted: Format,
) -> Option<(&'static str, String, &'static str)> {
    if wanted != Format::Delta
        && let Some(log) = store.find("_delta_log", |_| true).ok()?
    {
        return Some(("a Delta table", log.path, "set format = \"delta\""));
    }
    if wanted != Format::Iceberg
        && let Some(metadata) = store.find("metadata", is_metadata).ok()?
    {
        return Some(("an Iceberg table", metadata.path, "set format = \"iceberg\""));
    }
    None
}

/// The local store does not list names that end like its own temporary files (`#1`), nor links that
/// lead nowhere, nor what is no regular file. Where such a name would be data, the run must not go on as if it
/// were not there. `is_meant` tells of a path below the folder whether the source's glob matches it.
fn refuse_unlisted(
    source: &Origin<'_>,
    store: &Store,
    listed: &[Listed],
    is_meant: impl Fn(&str) -> bool,
) -> Result<(), SnapshotError> {
    let Some(root) = store.local_root() else { return Ok(()) };
    let known: HashSet<&str> = listed.iter().map(|l| l.path.as_str()).collect();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        // What cannot be opened has failed the listing already, or was removed since.
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            let Some(name) = name.filter(|name| !is_hidden(name)) else { continue };
            let refuse = |reason: &str| unlisted(source, &path, reason.into());
            let below = path.strip_prefix(root).ok().and_then(|p| p.to_str());
            match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() => folders.push(path),
                Ok(_) if below.is_some_and(|below| known.contains(below)) => {}
                Ok(_) if below.is_none() => return Err(refuse("its name is no UTF-8")),
                Ok(_) if ends_like_staged(&name) => {
                    return Err(refuse(
                        "names that end in # and digits are taken for temporary files",
                    ));
                }
                // Arrived since the listing, where it is a file: the next run reads it.
                Ok(_) if !below.is_some_and(&is_meant) => {}
                Ok(_) | Err(_) => {
                    if let Some(reason) = unlistable(&path) {
                        return Err(unlisted(source, &path, reason));
                    }
                }
            }
        }
    }
    Ok(())
}

fn unlisted(source: &Origin<'_>, path: &Path, reason: String) -> SnapshotError {
    SnapshotError::Unlisted {
        source_name: source.name.to_string(),
        file: path.display().to_string(),
        reason,
    }
}

/// Why the local store does not list what stands there, whatever it is called.
fn unlistable(path: &Path) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(found) => odd_kind(&found).map(|kind| format!("it is {kind} and no regular file")),
        Err(_) if path.is_symlink() => Some("it is a link that leads nowhere".into()),
        Err(_) => None,
    }
}

/// The first visible name in the local folder `below` that its store does not list, whatever it is called, and
/// why.
pub fn first_unlistable(store: &Store, below: &str) -> Option<(String, String)> {
    let mut folders = vec![store.local_root()?.join(below)];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.file_name().is_none_or(|name| is_hidden(&name.to_string_lossy())) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Some(reason) = unlistable(&path) {
                return Some((path.display().to_string(), reason));
            }
        }
    }
    None
}

/// A local file's tag holds its inode: two names with one tag are one file.
fn refuse_twice(
    source: &Origin<'_>,
    store: &Store,
    files: &[SnapshotFile],
) -> Result<(), SnapshotError> {
    if store.local_root().is_none() {
        return Ok(());
    }
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for file in files.iter().filter(|file| file.pin.size > 0) {
        let Some(tag) = file.pin.e_tag.as_deref() else { continue };
        if let Some(other) = seen.insert(tag, &file.path) {
            return Err(SnapshotError::Twice {
                source_name: source.name.to_string(),
                file: store.shown(&file.path),
                other: store.shown(other),
            });
        }
    }
    Ok(())
}

fn ends_like_staged(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, tail)| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit()))
}

/// Files that are data, and how many objects were passed over.
fn visible(store: &Store, listed: Vec<Listed>) -> Result<(Vec<SnapshotFile>, u64), StoreError> {
    let mut ignored = 0;
    let mut files = Vec::with_capacity(listed.len());
    for object in listed {
        if object.path.split('/').any(is_hidden) || store.is_folder(&object)? {
            ignored += 1;
            continue;
        }
        files.push(SnapshotFile::new(object.path, object.pin));
    }
    Ok((files, ignored))
}

/// `_SUCCESS`, `_delta_log`, `.part.crc`; but `_year=2019` is a partition.
pub(super) fn is_hidden(segment: &str) -> bool {
    segment.starts_with('.') || (segment.starts_with('_') && !segment.contains('='))
}

pub(super) fn partitions(path: &str) -> Vec<Partition> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders
        .split('/')
        .filter_map(|segment| segment.split_once('='))
        .map(|(key, value)| {
            let value = (value != "__HIVE_DEFAULT_PARTITION__").then(|| percent_decoded(value));
            let name = percent_decoded(key);
            Partition { id: name.clone(), name, value, data_type: None, bytes: None }
        })
        .collect()
}

/// Odd characters stand as `%XX`: in hive's values, and in addresses.
pub(super) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3);
        // Numbers may have a sign.
        let hex = hex.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_values_are_decoded_and_may_be_null() {
        let found = partitions(
            "dt=2019-07-01/app=a%2Fb/y=5%+1/x=__HIVE_DEFAULT_PARTITION__/part=0.parquet",
        );
        let expected =
            [("dt", Some("2019-07-01")), ("app", Some("a/b")), ("y", Some("5%+1")), ("x", None)];
        let found: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.value.as_deref())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn hidden_names_are_passed_over_but_partitions_are_not() {
        assert!(is_hidden("_SUCCESS") && is_hidden(".crc"));
        assert!(!is_hidden("_year=2019") && !is_hidden("part_0.parquet"));
    }
}
