//! The files of a run, written as they are made: large tables are never held as bytes. Readers look for the manifest,
//! which comes last.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::manifest::Output;
use super::merkle::{Part, RowTree};
use super::{PublishError, Publisher};
use crate::impact::{Table, TableFile};
use crate::key::hex;
use crate::store::{Store, StoreError, Upload};
use crate::threads::in_threads;

/// A file that is sent and hashed while it is made; readers see it when it is finished.
pub struct NewFile {
    upload: Upload,
    hash: Sha256,
}

impl NewFile {
    pub fn of(upload: Upload) -> Self {
        Self { upload, hash: Sha256::new() }
    }

    /// # Errors
    /// Storage failures.
    pub fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.hash.update(&bytes);
        self.upload.write(bytes)
    }

    /// Makes the file visible; gives its size and its SHA-256.
    ///
    /// # Errors
    /// Storage failures.
    pub fn finish(self) -> Result<(u64, String), StoreError> {
        let (bytes, _) = self.upload.finish()?;
        Ok((bytes, hex(&self.hash.finalize())))
    }
}

/// Files of tables that are written at once, at most: each takes some memory.
const AT_ONCE: usize = 4;

/// One of the two files of a table.
enum Written {
    Parquet(Bytes, Output),
    Csv(Output, Part),
}

/// What was written of a run.
pub struct RunFiles {
    store: Store,
    run_id: String,
    pub outputs: Vec<Output>,
    /// Of each table's CSV file, the tree over its rows.
    pub(super) parts: Vec<Part>,
}

impl RunFiles {
    pub(super) fn new(store: Store, run_id: &str) -> Self {
        Self { store, run_id: run_id.to_string(), outputs: Vec::new(), parts: Vec::new() }
    }

    fn begin(&self, path: &str) -> NewFile {
        let path = format!("{}/{path}", Publisher::run_path(&self.run_id));
        // Of two runs at once with the same id, each writes all of its files.
        NewFile::of(self.store.share_in_parts(&path))
    }

    /// Writes tables as Parquet and as CSV, several files at once where there are threads for it. Gives the bytes of the
    /// Parquet files, table by table.
    ///
    /// # Errors
    /// Storage failures, and values that cannot be written.
    pub fn tables(&mut self, tables: &[Table], threads: usize) -> Result<Vec<Bytes>, PublishError> {
        let both = |at| [(at, true), (at, false)];
        let mut files: Vec<(usize, bool)> = (0..tables.len()).flat_map(both).collect();
        // The longest first, so that no thread is left alone with one at the end.
        files.sort_by_key(|(at, _)| Reverse(tables.get(*at).map(|table| table.batch.num_rows())));
        let next = AtomicUsize::new(0);
        let written = in_threads(threads.min(AT_ONCE), |_| {
            let mut written = Vec::new();
            while let Some((at, is_parquet)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(table) = tables.get(*at) else { continue };
                let file = if *is_parquet { self.parquet(table)? } else { self.csv(table)? };
                written.push(((*at, !is_parquet), file));
            }
            Ok::<_, PublishError>(written)
        })?;
        let mut written: Vec<_> = written.into_iter().flatten().collect();
        written.sort_by_key(|(place, _)| *place);
        let mut parquet = Vec::with_capacity(tables.len());
        for (_, file) in written {
            match file {
                Written::Parquet(bytes, output) => {
                    self.outputs.push(output);
                    parquet.push(bytes);
                }
                Written::Csv(output, part) => {
                    self.outputs.push(output);
                    self.parts.push(part);
                }
            }
        }
        Ok(parquet)
    }

    fn parquet(&self, table: &Table) -> Result<Written, PublishError> {
        let file = table.parquet()?;
        let output = self.write(&file)?;
        Ok(Written::Parquet(file.bytes, output))
    }

    fn csv(&self, table: &Table) -> Result<Written, PublishError> {
        let path = format!("tables/{}.csv", table.name);
        let (mut file, mut rows) = (self.begin(&path), RowTree::default());
        table.csv_blocks(true, |block| {
            rows.take(&block);
            Ok::<(), PublishError>(file.write(block.into())?)
        })?;
        let (bytes, sha256) = file.finish()?;
        let part = rows.part(&path);
        let rows = table.batch.num_rows() as u64;
        Ok(Written::Csv(Output { path, bytes, rows, sha256 }, part))
    }

    /// Writes a file that is made already: a report.
    ///
    /// # Errors
    /// Storage failures.
    pub fn add(&mut self, file: &TableFile) -> Result<(), PublishError> {
        let output = self.write(file)?;
        self.outputs.push(output);
        Ok(())
    }

    fn write(&self, made: &TableFile) -> Result<Output, StoreError> {
        let path = made.path();
        let mut file = self.begin(&path);
        file.write(made.bytes.clone())?;
        let (bytes, sha256) = file.finish()?;
        Ok(Output { path, bytes, rows: made.rows as u64, sha256 })
    }
}
