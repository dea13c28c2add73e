//! The files of a run, written as they are made: large tables are never held as bytes. Readers look for the manifest,
//! which comes last.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::manifest::Output;
use super::merkle::{Part, RowTree};
use super::{PublishError, Publisher};
use crate::impact::{Table, TableFile};
use crate::key::hex;
use crate::store::{Store, StoreError, Upload};
use crate::threads::beside;

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

/// From so many rows on a table is worth a thread of its own.
const LARGE_TABLE: usize = 4096;

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

    /// Writes a table as Parquet and as CSV, at once where there are threads for it. Gives the bytes of the Parquet
    /// file.
    ///
    /// # Errors
    /// Storage failures, and values that cannot be written.
    pub fn table(&mut self, table: &Table, threads: usize) -> Result<Bytes, PublishError> {
        let rows = table.batch.num_rows();
        let (parquet, csv) = if threads > 1 && rows >= LARGE_TABLE {
            beside(|| self.parquet(table), || self.csv(table))
        } else {
            (self.parquet(table), self.csv(table))
        };
        let ((parquet, output), (csv, part)) = (parquet?, csv?);
        self.outputs.extend([output, csv]);
        self.parts.push(part);
        Ok(parquet)
    }

    fn parquet(&self, table: &Table) -> Result<(Bytes, Output), PublishError> {
        let file = table.parquet()?;
        let output = self.write(&file)?;
        Ok((file.bytes, output))
    }

    fn csv(&self, table: &Table) -> Result<(Output, Part), PublishError> {
        let path = format!("tables/{}.csv", table.name);
        let (mut file, mut rows) = (self.begin(&path), RowTree::default());
        table.csv_blocks(true, |block| {
            rows.take(&block);
            Ok::<(), PublishError>(file.write(block.into())?)
        })?;
        let (bytes, sha256) = file.finish()?;
        let part = rows.part(&path);
        Ok((Output { path, bytes, rows: table.batch.num_rows() as u64, sha256 }, part))
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
