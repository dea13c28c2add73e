//! What the program sees of a log or a table, without a configuration: its files, its columns, its rows.

mod calendar;
mod conform;
mod keys;
mod sample;
mod schema;
mod seen;
mod times;
mod walk;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow::datatypes::Fields;

use self::conform::Shape;
use self::seen::{add_mapped, add_tried, partitions};
use self::times::Extremes;
use crate::config::{self, At, Format, Kept, SourcePlan};
use crate::error::Error;
use crate::memory::default_limit;
use crate::moment::Zone;
use crate::scan::{Mapped, MappedColumn, Progress, ScanError, WholeFile};
use crate::snapshot::{
    self, FieldIndex, Gone, Origin, Sizes, Snapshot, SnapshotFile, Table, TableField,
};
use crate::store::{Io, StoreUrl};
use crate::threads::in_threads;

pub use sample::{Listed, Taken};
pub use seen::{ColumnSeen, FirstUnread, Inspection, MappedSeen, PartitionSeen, Sampled};
pub use write::{Pipe, RowFormat, RowWriter, Watched};

/// Files opened at once: nearly all of the time is waiting for storage.
const OPENING: usize = 16;

/// Files of which values are tried.
const TRIED: usize = 8;

/// A log or table, seen whole.
pub struct Inspected {
    url: StoreUrl,
    format: Format,
    snapshot: Snapshot,
    shape: Shape,
    seen: Vec<Seen>,
    mapping: Option<Mapped>,
    mapped: Vec<MappedSeen>,
    sample: Option<Sampled>,
    memory_limit: u64,
}

impl Inspected {
    /// Whether a local file is, or would be, a part of what is inspected.
    pub fn would_read(&self, path: &Path) -> bool {
        if config::would_be_read_at(&self.url, path) {
            return true;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let Some(name) = path.file_name() else { return false };
        let root = self.snapshot.store.local_root().and_then(|root| root.canonicalize().ok());
        let Some((root, folder)) = root.zip(folder.canonicalize().ok()) else { return false };
        let Ok(below) = folder.strip_prefix(&root) else { return false };
        // The folder of a plain file holds others that are none of its business.
        let is_file = |file: &SnapshotFile| Path::new(&file.path) == below.join(name);
        self.snapshot.table.is_some() || self.snapshot.files.iter().any(is_file)
    }
}

/// What a file's footer says.
struct Seen {
    fields: Fields,
    row_groups: u64,
    rows: u64,
    deleted: u64,
    /// Bytes of its first row group with rows.
    first_group: u64,
    codecs: BTreeSet<String>,
    writer: Option<String>,
    /// By top-level column: times and dates.
    times: BTreeMap<String, Option<Extremes>>,
}

impl Seen {
    fn of(file: &WholeFile) -> Self {
        let parquet = file.parquet();
        let columns = parquet.row_groups().iter().flat_map(|group| group.columns());
        let first = parquet.row_groups().iter().find(|group| group.num_rows() > 0);
        let codec = |codec: String| codec.split('(').next().unwrap_or_default().to_lowercase();
        Self {
            fields: file.fields().clone(),
            row_groups: parquet.num_row_groups() as u64,
            rows: u64::try_from(parquet.file_metadata().num_rows()).unwrap_or(0),
            deleted: file.deleted(),
            first_group: first.map_or(0, |of| u64::try_from(of.compressed_size()).unwrap_or(0)),
            codecs: columns.map(|column| codec(column.compression().to_string())).collect(),
            writer: parquet.file_metadata().created_by().map(str::to_string),
            times: times::of_file(file),
        }
    }
}

/// What is inspected.
pub struct Place {
    pub url: StoreUrl,
    pub format: Format,
    pub kept: Kept,
    /// How its columns are read, of a source of a configuration.
    pub mapped: Option<Mapped>,
}

impl Place {
    /// Whatever lies at an address, at a version of it.
    ///
    /// # Errors
    /// As [`snapshot::detect`]; a version of plain files.
    pub fn detect(url: StoreUrl, at: At, io: &Io) -> Result<Self, Error> {
        let format = snapshot::detect(&url, io).map_err(Error::from)?;
        let kept = Kept::new(format, at).ok_or_else(|| {
            let reason = "holds plain files, which have no versions\nleave out --version and --timestamp, or name the folder of a table";
            Error::argument(url.to_string(), reason)
        })?;
        Ok(Self { url, format, kept, mapped: None })
    }

    /// A source of a configuration, whose registry may say which scopes a call needs.
    pub fn of_source(source: &SourcePlan, has_endpoints: bool) -> Self {
        let format = match source.kept {
            Kept::Files => Format::Parquet,
            Kept::Delta(_) => Format::Delta,
            Kept::Iceberg(_) => Format::Iceberg,
        };
        let mapped = Some(Mapped { mapping: source.mapping.clone(), has_endpoints });
        Self { url: source.url.clone(), format, kept: source.kept.clone(), mapped }
    }
}

impl Inspected {
    /// Takes the snapshot of what lies at an address, and opens all its files. `zone` is that of times which
    /// the table's log gives without one.
    ///
    /// # Errors
    /// As [`snapshot::take`]; a version of plain files; damaged files.
    pub fn open(
        url: StoreUrl,
        at: At,
        zone: Zone,
        io: &Io,
        progress: &Progress,
    ) -> Result<Self, Error> {
        Self::of(Place::detect(url, at, io)?, zone, io, progress, default_limit())
    }

    /// As [`Self::open`], of a place that is known already, within this limit of memory, in bytes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(
        place: Place,
        zone: Zone,
        io: &Io,
        progress: &Progress,
        memory_limit: u64,
    ) -> Result<Self, Error> {
        Ok(Self::of_some(place, zone, io, progress, (memory_limit, usize::MAX))?.1)
    }

    /// As [`Self::of`], of `most` files, evenly chosen; and what is listed there in all.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_some(
        place: Place,
        zone: Zone,
        io: &Io,
        progress: &Progress,
        (memory_limit, most): (u64, usize),
    ) -> Result<(Listed, Self), Error> {
        let Place { url, format, kept, mapped: mapping } = place;
        let shown = url.to_string();
        let mut snapshot = snapshot::take(
            &Origin {
                name: &shown,
                url: &url,
                kept: &kept,
                sizes: Sizes::Tell,
                gone: Gone::Refuse,
                time: None,
                deletes: memory_limit / 8,
            },
            io,
        )?;
        let listed = Listed::of(&snapshot);
        snapshot.files = sample::evenly(snapshot.files, most);
        let (seen, mapped) = look(&snapshot, mapping.as_ref(), progress).map_err(for_good)?;
        let fields = match &snapshot.table {
            Some(table) => table.schema.fields.clone(),
            None => of_files(&snapshot, &seen, &shown)?,
        };
        let shape = Shape::new(fields, zone);
        let sample = None;
        let own =
            Self { url, format, snapshot, shape, seen, mapping, mapped, sample, memory_limit };
        Ok((listed, own))
    }

    /// Reads rows within this limit of memory, in bytes.
    #[must_use]
    pub fn within(self, memory_limit: u64) -> Self {
        Self { memory_limit, ..self }
    }

    /// Reads values as they are mapped, of the first row group with rows of some files, evenly chosen.
    ///
    /// # Errors
    /// Files that changed or are damaged; interruption.
    pub fn with_values_tried(self, progress: &Progress) -> Result<Self, Error> {
        self.with_some_values_tried(u64::MAX, progress)
    }

    /// As [`Self::with_values_tried`], of so many rows of each file, to the next whole batch.
    ///
    /// # Errors
    /// As [`Self::with_values_tried`].
    pub fn with_some_values_tried(mut self, most: u64, progress: &Progress) -> Result<Self, Error> {
        let Some(mapping) = &self.mapping else { return Ok(self) };
        let (store, table) = (&self.snapshot.store, self.snapshot.schema());
        let (all, mut sample) = (self.snapshot.files.len(), Sampled::default());
        let some = TRIED.min(all);
        let chosen = (0..some).filter_map(|turn| self.snapshot.files.get(turn * all / some));
        for of in chosen {
            if progress.stop.load(Ordering::Relaxed) {
                return Err(ScanError::Interrupted.into());
            }
            let tried = WholeFile::open(store, of, table)
                .and_then(|file| file.within(self.memory_limit).tried(mapping, table, most));
            let (rows, columns) = tried.map_err(|error| Error::from(error.for_good()))?;
            sample.files += 1;
            sample.rows += rows;
            let shown = store.shown(&of.path);
            columns.into_iter().for_each(|column| add_tried(&mut self.mapped, column, &shown));
        }
        self.sample = Some(sample);
        Ok(self)
    }

    pub fn inspection(&self) -> Inspection {
        let (files, seen) = (&self.snapshot.files, &self.seen);
        let table = self.snapshot.table.as_deref();
        let mut writers: BTreeMap<String, u64> = BTreeMap::new();
        for writer in seen.iter().filter_map(|seen| seen.writer.clone()) {
            *writers.entry(writer).or_default() += 1;
        }
        let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
        let deleted = sum(|seen| seen.deleted);
        Inspection {
            url: self.url.to_string(),
            format: self.format,
            version: table.map(|table| table.version),
            version_made_at: table.and_then(|table| table.made_at),
            warnings: table.map(Table::warnings).unwrap_or_default(),
            features: table.map(|table| table.features.clone()).unwrap_or_default(),
            files: files.len() as u64,
            hidden_files_passed_over: self.snapshot.ignored,
            bytes: files.iter().map(|file| file.pin.size).sum(),
            row_groups: sum(|seen| seen.row_groups),
            rows: sum(|seen| seen.rows).saturating_sub(deleted),
            rows_deleted: deleted,
            files_with_deletes: seen.iter().filter(|seen| seen.deleted > 0).count() as u64,
            files_of_other_size: files.iter().filter(|f| f.other_size.is_some()).count() as u64,
            columns: self.columns(),
            mapped: self.mapped.clone(),
            sample: self.sample,
            partitions: partitions(files),
            layouts: table.map(|table| table.layouts.clone()),
            versions: table.map(|table| table.versions.clone()),
            codecs: seen.iter().flat_map(|seen| seen.codecs.iter().cloned()).collect(),
            writers,
        }
    }

    fn columns(&self) -> Vec<ColumnSeen> {
        let fields = &self.shape.fields;
        let mut files_without = vec![0; fields.len()];
        // The extremes of all files so far with rows that have the column, where each of them tells.
        let mut known: Vec<Option<Option<Extremes>>> = vec![None; fields.len()];
        for seen in &self.seen {
            let index = FieldIndex::new(&seen.fields);
            for ((field, without), whole) in fields.iter().zip(&mut files_without).zip(&mut known) {
                let Some(own) = index.find(field) else {
                    *without += 1;
                    continue;
                };
                if seen.rows == 0 {
                    continue;
                }
                let more = seen.times.get(own.name()).copied().flatten();
                *whole = Some(match *whole {
                    None => more,
                    Some(known) => known.zip(more).map(|(a, b)| a.with(b)),
                });
            }
        }
        let columns = fields.iter().zip(files_without).zip(known);
        let columns = columns.map(|((field, files_without), known)| {
            let extremes = known.flatten();
            ColumnSeen {
                name: field.name.clone(),
                data_type: field.data_type.to_string(),
                name_in_files: field.physical.first().filter(|name| **name != field.name).cloned(),
                id_in_files: field.id,
                files_without,
                least: extremes.map(|of| of.least()),
                greatest: extremes.map(|of| of.greatest()),
            }
        });
        columns.collect()
    }
}

/// Here no file can be left out.
fn for_good(error: Error) -> Error {
    match error {
        Error::Scan(error) => Error::Scan(error.for_good()),
        other => other,
    }
}

/// Opens all files; with a mapping, sees what it makes of each.
fn look(
    snapshot: &Snapshot,
    mapping: Option<&Mapped>,
    progress: &Progress,
) -> Result<(Vec<Seen>, Vec<MappedSeen>), Error> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Seen, Vec<MappedColumn>)>> =
        Mutex::new(Vec::with_capacity(snapshot.files.len()));
    in_threads(OPENING.min(snapshot.files.len()), |_| -> Result<(), ScanError> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = snapshot.files.get(at) else { return Ok(()) };
            if progress.stop.load(Ordering::Relaxed) {
                return Err(ScanError::Interrupted);
            }
            let open = WholeFile::open(&snapshot.store, file, snapshot.schema())?;
            let of = |mapping| open.mapped(mapping, snapshot.schema());
            let (seen, mapped) = (Seen::of(&open), mapping.map(of).unwrap_or_default());
            progress.done.fetch_add(file.pin.size, Ordering::Relaxed);
            found.lock().unwrap_or_else(PoisonError::into_inner).push((at, seen, mapped));
        }
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(at, ..)| *at);
    let (mut all, mut mapped) = (Vec::with_capacity(found.len()), Vec::new());
    for (_, seen, columns) in found {
        all.push(seen);
        add_mapped(&mut mapped, columns);
    }
    Ok((all, mapped))
}

/// The columns of plain files.
fn of_files(snapshot: &Snapshot, seen: &[Seen], shown: &str) -> Result<Vec<TableField>, Error> {
    let mut columns = schema::Columns::new();
    for (file, seen) in snapshot.files.iter().zip(seen) {
        let address = snapshot.store.shown(&file.path);
        schema::add(&mut columns, &seen.fields, &address).map_err(|two| {
            Error::argument(
                shown,
                format!(
                    "unsupported: column `{}` is {} in {} and {} in files before it\nname one of the files, or a folder or glob whose files agree",
                    two.column, two.second, two.file, two.first
                ),
            )
        })?;
    }
    schema::add_folders(&mut columns, &snapshot.files);
    Ok(columns.into_values().collect())
}
