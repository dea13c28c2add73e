//! `history/`: the tables of every run, so that one glob reads one table of all of them.

use super::latest::damaged;
use super::manifest::Manifest;
use super::{PublishError, Publisher, sha256};
use crate::moment::Moment;
use crate::store::Store;

const FOLDER: &str = "history";

/// Where a table of a run lies there: below folders that tools read as columns.
pub fn history_path(table: &str, as_of: Moment, run_id: &str) -> String {
    format!("{FOLDER}/{table}/as_of={}/run_id={run_id}/{table}.parquet", as_of.to_compact())
}

/// Puts the tables of a run that stands published there. What is there already stays, if it is the same.
pub fn add(store: &Store, manifest: &Manifest, as_of: Moment) -> Result<(), PublishError> {
    for (table, output) in manifest.parquet_tables() {
        let place = history_path(table, as_of, &manifest.run_id);
        if store.read(&place)?.is_some_and(|(bytes, _)| sha256(&bytes) == output.sha256) {
            continue;
        }
        let published = format!("{}/{}", Publisher::run_path(&manifest.run_id), output.path);
        let bytes = store.read(&published)?.map(|(bytes, _)| bytes);
        let whole = bytes.filter(|bytes| sha256(bytes) == output.sha256);
        let gone = || damaged(store, &published, "is gone, or not what its manifest says");
        store.replace(&place, whole.ok_or_else(gone)?)?;
    }
    Ok(())
}
