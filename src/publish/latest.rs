//! `latest.json`, an atomic pointer, and `latest/`, the same tables under a stable name.

use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::{PublishError, Publisher, sha256};
use crate::moment::Moment;
use crate::store::{Pin, Store, StoreError, StoreErrorKind};

pub const POINTER: &str = "latest.json";
pub const FOLDER: &str = "latest";
const LOCK: &str = ".latest.lock";

/// Where a local folder has what takes the place of `latest/` and `latest.json`, until all of it is there.
const NEXT: &str = ".latest.next";

/// How often a pointer that others move at the same time is tried.
const ATTEMPTS: u32 = 64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    pub run_id: String,
    pub as_of: String,
    pub manifest: String,
    pub manifest_sha256: String,
}

pub fn read(store: &Store) -> Result<Option<(Latest, Pin)>, PublishError> {
    let Some((bytes, pin)) = store.read(POINTER)? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(latest) => Ok(Some((latest, pin))),
        Err(error) => Err(PublishError::Damaged {
            object: store.shown(POINTER),
            reason: format!("{error}\nremove it; the next run writes it anew"),
        }),
    }
}

/// Hash of the manifest that a run of `as_of` takes the place of; `None` where it is the first, or
/// one with a later `as_of` stays the latest.
pub fn superseded(store: &Store, as_of: Moment) -> Result<Option<String>, PublishError> {
    let current = read(store)?.map(|(latest, _)| latest);
    Ok(current.filter(|l| later(l, as_of)).map(|l| l.manifest_sha256))
}

/// Whether a run of `as_of` comes after the run that `current` names: the greatest `as_of` wins, of
/// equals the last published.
fn later(current: &Latest, as_of: Moment) -> bool {
    Moment::parse_rfc3339(&current.as_of).is_none_or(|before| before <= as_of)
}

pub fn point(store: &Store, run_id: &str, as_of: Moment) -> Result<(), PublishError> {
    let path = Publisher::manifest_path(run_id);
    let Some((manifest, _)) = store.read(&path)? else {
        return Err(damaged(store, &path, "is gone since it was written"));
    };
    // What came back is what the pointer will vouch for.
    Manifest::parse(&manifest).map_err(|e| damaged(store, &path, &e))?;
    let ours = Latest {
        run_id: run_id.to_string(),
        as_of: as_of.to_rfc3339(),
        manifest: path,
        manifest_sha256: sha256(&manifest),
    };
    match store.local_root() {
        Some(root) => {
            // A local folder has no conditional replace; a lock file stands in. The system drops the
            // lock when its holder dies.
            let lock = root.join(LOCK);
            let failed = |e: std::io::Error| StoreError::of_io(lock.display().to_string(), &e);
            let file = std::fs::File::create(&lock).map_err(failed)?;
            file.lock().map_err(failed)?;
            let current = read(store)?;
            if current.is_some_and(|(current, _)| !later(&current, as_of)) {
                return Ok(());
            }
            let next = root.join(NEXT);
            let moved = prepare(store, &ours).and_then(|tables| take_over(root, &tables));
            // Whatever came of it; under the lock it is nobody else's.
            let _ = std::fs::remove_dir_all(next);
            moved
        }
        None => point_remote(store, &ours, as_of),
    }
}

impl Latest {
    /// The file, as it is written.
    pub fn render(&self) -> Bytes {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        Bytes::from(text)
    }
}

fn point_remote(store: &Store, ours: &Latest, as_of: Moment) -> Result<(), PublishError> {
    for _ in 0..ATTEMPTS {
        let moved = match read(store)? {
            None => store.create(POINTER, ours.render())?,
            Some((current, _)) if !later(&current, as_of) => return Ok(()),
            Some((current, _)) if current == *ours => true,
            Some((_, pin)) => store.replace_if(POINTER, ours.render(), &pin)?,
        };
        if moved {
            return settle(store);
        }
    }
    Err(PublishError::Store(StoreError::new(
        StoreErrorKind::Conflict,
        store.shown(POINTER),
        "other runs keep moving it; try again",
    )))
}

/// Writes all that is to be the latest beside it: what has no room is missed before anything is replaced.
/// Gives the tables' names.
fn prepare(store: &Store, latest: &Latest) -> Result<Vec<String>, PublishError> {
    let tables = copy_tables(store, latest, NEXT)?;
    store.replace(&format!("{NEXT}/{POINTER}"), latest.render())?;
    Ok(tables)
}

/// Moves what was prepared into its place, the pointer last.
fn take_over(root: &Path, tables: &[String]) -> Result<(), PublishError> {
    let (next, folder) = (root.join(NEXT), root.join(FOLDER));
    let failed = |place: &Path| {
        let place = place.display().to_string();
        move |e: std::io::Error| StoreError::of_io(place, &e)
    };
    std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
    for table in tables {
        let place = folder.join(table);
        std::fs::rename(next.join(table), &place).map_err(failed(&place))?;
    }
    // Tables of an earlier run that this one does not have must not be taken for its own.
    for entry in std::fs::read_dir(&folder).map_err(failed(&folder))? {
        let place = entry.map_err(failed(&folder))?.path();
        let stays = tables.iter().any(|table| place == folder.join(table));
        if !stays && place.is_file() {
            std::fs::remove_file(&place).map_err(failed(&place))?;
        }
    }
    let place = root.join(POINTER);
    Ok(std::fs::rename(next.join(POINTER), &place).map_err(failed(&place))?)
}

/// Copies tables until they are those of the pointer: whoever writes last looks again, so that runs
/// that publish at once leave one consistent folder.
fn settle(store: &Store) -> Result<(), PublishError> {
    for _ in 0..ATTEMPTS {
        let Some((before, _)) = read(store)? else { return Ok(()) };
        let names = copy_tables(store, &before, FOLDER)?;
        for listed in store.list(FOLDER)? {
            if !names.iter().any(|name| listed.path == format!("{FOLDER}/{name}")) {
                store.remove(&listed.path)?;
            }
        }
        if read(store)?.is_some_and(|(after, _)| after == before) {
            return Ok(());
        }
    }
    Err(PublishError::Store(StoreError::new(
        StoreErrorKind::Conflict,
        store.shown(FOLDER),
        "other runs keep changing it; try again",
    )))
}

pub(super) fn damaged(store: &Store, object: &str, what: &str) -> PublishError {
    let next = "run again: what does not hold is written anew";
    PublishError::Damaged { object: store.shown(object), reason: format!("{what}\n{next}") }
}

/// Copies the tables of a run to `folder`; gives their names.
fn copy_tables(store: &Store, latest: &Latest, folder: &str) -> Result<Vec<String>, PublishError> {
    let Some((bytes, _)) = store.read(&latest.manifest)? else {
        return Err(damaged(store, &latest.manifest, "is gone"));
    };
    let manifest = Manifest::parse(&bytes).map_err(|e| damaged(store, &latest.manifest, &e))?;
    let mut names = Vec::new();
    for output in manifest.outputs.iter().filter(|o| o.path.ends_with(".parquet")) {
        let path = format!("{}/{}", Publisher::run_path(&latest.run_id), output.path);
        let Some((bytes, _)) = store.read(&path)? else {
            return Err(damaged(store, &path, "is gone"));
        };
        if sha256(&bytes) != output.sha256 {
            return Err(damaged(store, &path, "its SHA-256 is not the one in its manifest"));
        }
        let name = output.path.rsplit('/').next().unwrap_or_default();
        store.replace(&format!("{folder}/{name}"), bytes)?;
        names.push(name.to_string());
    }
    Ok(names)
}
