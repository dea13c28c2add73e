//! The ids of people, read again: of a file nothing but the column that names its rows' people.
//!
//! The ledger holds keys. Who must know the ids themselves reads the row groups again that hold them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::columns::Bound;
use super::file::{OpenFile, Opened};
use super::footer::Footer;
use super::mapping::ids_with_texts;
use super::ranges::{BATCH_ROWS, byte_ranges, open_reader};
use super::state::DECODING;
use super::{Progress, ScanContext, ScanError};
use crate::fetched::Fetched;
use crate::key::Key;
use crate::snapshot::SnapshotFile;
use crate::store::Store;

/// A file, and its people's column.
pub struct PersonIds {
    file: Arc<OpenFile>,
    context: Arc<ScanContext>,
    store: Store,
    progress: Arc<Progress>,
    /// Bytes that one row group may take.
    rest: u64,
}

impl PersonIds {
    /// Opens the version of the file that the snapshot pinned.
    ///
    /// # Errors
    /// Files that changed, are damaged, or whose columns are not as mapped.
    pub fn open(
        context: &Arc<ScanContext>,
        store: &Store,
        file: &SnapshotFile,
        progress: &Arc<Progress>,
        rest: u64,
    ) -> Result<Self, ScanError> {
        let own = Self {
            file: Arc::new(OpenFile::new(0, file, store)),
            context: context.clone(),
            store: store.clone(),
            progress: progress.clone(),
            rest,
        };
        let mut fetch = OpenFile::first_fetch(own.file.clone());
        loop {
            let fetched = own.fetch(fetch.ranges)?;
            match own.file.decoded(|| own.file.open(context, fetched))? {
                Opened::Whole => return Ok(own),
                Opened::NeedsFrom(from) => fetch = OpenFile::tail(own.file.clone(), from),
            }
        }
    }

    /// The address, for messages.
    pub fn shown(&self) -> &str {
        &self.file.shown
    }

    /// Bytes that the column of a row group takes, read and decoded: about.
    ///
    /// # Errors
    /// [`ScanError::Internal`] only.
    pub fn weight(&self, group: u32) -> Result<u64, ScanError> {
        let (footer, bound) = self.column()?;
        let group = footer.group(usize::try_from(group).unwrap_or(usize::MAX));
        let columns = group.map(|g| g.columns()).unwrap_or_default();
        let own = bound.leaves.iter().filter_map(|leaf| columns.get(*leaf));
        Ok(own.map(|c| u64::try_from(c.compressed_size()).unwrap_or(0)).sum::<u64>() + DECODING)
    }

    /// Gives each person of a row group with their id, row by row: whole numbers as digits, UUIDs in
    /// their canonical form, texts as the mapping makes them.
    ///
    /// # Errors
    /// Files that changed or are damaged.
    pub fn read(&self, group: u32, mut take: impl FnMut(Key, &str)) -> Result<(), ScanError> {
        let (footer, bound) = self.column()?;
        let group = usize::try_from(group).unwrap_or(usize::MAX);
        let (file, keyer) = (&self.file, &self.context.keyer);
        let mut batch = |batch: &RecordBatch| {
            let array = bound.values(batch, &file.shown)?;
            ids_with_texts(bound, &array, keyer, &file.shown, &mut take)
        };
        if bound.leaves.is_empty() {
            // The file's folder names the person of all its rows.
            let one = RecordBatchOptions::new().with_row_count(Some(1));
            let row =
                RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one)
                    .map_err(|e| ScanError::Internal { what: e.to_string() })?;
            return batch(&row);
        }
        let details = footer.group(group);
        let details =
            details.ok_or_else(|| file.unreadable(&format!("it has no row group {group}")))?;
        let ranges = byte_ranges(footer, group, &bound.leaves, None);
        let fetched = self.fetch(ranges)?;
        let held = fetched.bytes();
        file.decoded(|| {
            let headers = file.check_pages(details, &bound.leaves, &fetched, (held, self.rest))?;
            let room = (held, self.rest);
            let at_once = file.rows_at_once(details, &headers, &fetched, BATCH_ROWS, room)?;
            for rows in open_reader(file, footer, group, &bound.leaves, None, &fetched, at_once)? {
                batch(&rows.map_err(|e| file.unreadable(&e))?)?;
            }
            Ok(())
        })
    }

    /// The column that names people: the actors' where no subject is mapped.
    fn column(&self) -> Result<(&Footer, &Bound), ScanError> {
        let footer = self.file.footer()?;
        let bound = footer.columns.subject.as_ref().or(footer.columns.actor.as_ref());
        let bound = bound.ok_or_else(|| ScanError::Internal {
            what: format!("{}: people are looked for where none are mapped", self.file.shown),
        })?;
        Ok((footer, bound))
    }

    fn fetch(&self, ranges: Vec<Range<u64>>) -> Result<Fetched, ScanError> {
        let file = &self.file;
        if self.progress.stop.load(Ordering::Relaxed) {
            return Err(ScanError::Interrupted);
        }
        let bytes: u64 = ranges.iter().map(|r| r.end - r.start).sum();
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        let parts = self.store.wait_for_ranges(&file.path, &file.pin, &ranges)?;
        let parts = ranges.into_iter().map(|r| r.start).zip(parts).collect();
        Ok(Fetched::new(file.pin.size, parts))
    }
}
