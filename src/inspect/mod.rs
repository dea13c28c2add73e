//! What the program sees of a log or a table, without a configuration: its files, its columns, its rows.

mod conform;
mod schema;
mod times;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow::datatypes::Fields;
use serde::Serialize;

use self::conform::Shape;
use self::times::Extremes;
use crate::config::{self, At, Format, Kept, MappingPlan, SourcePlan, raw};
use crate::error::Error;
use crate::memory::default_limit;
use crate::moment::Zone;
use crate::scan::{MappedColumn, Progress, ScanError, WholeFile};
use crate::snapshot::{self, Gone, Origin, Sizes, Snapshot, SnapshotFile, TableField};
use crate::store::{Io, StoreUrl};
use crate::threads::in_threads;

pub use write::{Pipe, RowFormat, RowWriter, Watched};

/// Files opened at once: nearly all of the time is waiting for storage.
const OPENING: usize = 16;

/// A log or table, seen whole.
pub struct Inspected {
    url: StoreUrl,
    format: Format,
    snapshot: Snapshot,
    shape: Shape,
    seen: Vec<Seen>,
    mapped: Vec<MappedSeen>,
    memory_limit: u64,
}

impl Inspected {
    /// Whether a local file is, or would be, a part of what is inspected.
    pub fn would_read(&self, path: &Path) -> bool {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let Some((text, name)) = folder.to_str().zip(path.file_name().and_then(OsStr::to_str))
        else {
            return false;
        };
        let below = StoreUrl::parse(text, Path::new("."), &raw::Store::default());
        if below.is_ok_and(|below| config::would_be_read(&self.url, &below, &[name])) {
            return true;
        }
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
    codecs: BTreeSet<String>,
    writer: Option<String>,
    /// By top-level column: times and dates.
    times: BTreeMap<String, Option<Extremes>>,
}

impl Seen {
    fn of(file: &WholeFile) -> Self {
        let parquet = file.parquet();
        let columns = parquet.row_groups().iter().flat_map(|group| group.columns());
        let codec = |codec: String| codec.split('(').next().unwrap_or_default().to_lowercase();
        Self {
            fields: file.fields().clone(),
            row_groups: parquet.num_row_groups() as u64,
            rows: u64::try_from(parquet.file_metadata().num_rows()).unwrap_or(0),
            deleted: file.deleted(),
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
    /// The name in the configuration and how its columns are read, of a source.
    pub source: Option<(String, MappingPlan)>,
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
        Ok(Self { url, format, kept, source: None })
    }

    /// A source of a configuration.
    pub fn of_source(source: &SourcePlan) -> Self {
        let format = match source.kept {
            Kept::Files => Format::Parquet,
            Kept::Delta(_) => Format::Delta,
            Kept::Iceberg(_) => Format::Iceberg,
        };
        let mapped = Some((source.name.clone(), source.mapping.clone()));
        Self { url: source.url.clone(), format, kept: source.kept.clone(), source: mapped }
    }
}

/// A column of a source as its configuration maps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MappedSeen {
    /// The configuration's key: time, app, subject, …
    #[serde(rename = "as")]
    pub role: &'static str,
    pub column: String,
    /// The types that its values have, and in how many files.
    pub types: BTreeMap<String, u64>,
    /// Files in which it cannot be read as that, and why of the first of them.
    pub files_refused: u64,
    pub refused: Option<String>,
}

/// What is seen, as one JSON object.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    pub url: String,
    pub format: Format,
    /// The version of the table; null of plain files.
    pub version: Option<u64>,
    /// What readers of the table must know, by the format's own names.
    pub features: Vec<String>,
    pub files: u64,
    pub hidden_files_passed_over: u64,
    pub bytes: u64,
    pub row_groups: u64,
    /// Rows that the table has: those in the files less the deleted.
    pub rows: u64,
    pub rows_deleted: u64,
    pub files_with_deletes: u64,
    /// Files whose size is not what the table says: they were replaced. A run refuses them.
    pub files_of_other_size: u64,
    pub columns: Vec<ColumnSeen>,
    /// What the configuration makes of them; empty where none is given.
    pub mapped: Vec<MappedSeen>,
    pub partitions: Vec<PartitionSeen>,
    /// Compression of columns.
    pub codecs: BTreeSet<String>,
    /// Programs that wrote the files, and how many each.
    pub writers: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ColumnSeen {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    /// What files call it, where that is another name.
    pub name_in_files: Option<String>,
    pub id_in_files: Option<i32>,
    /// Files that lack it: its values there are null, or those of the file's partition.
    pub files_without: u64,
    /// The least and greatest time or date in the statistics of all row groups, deleted rows among them;
    /// null where one has none.
    pub least: Option<String>,
    pub greatest: Option<String>,
}

/// A column whose values stand in the names of folders, or in the table's log.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionSeen {
    pub name: String,
    pub values: u64,
    pub files_with_null: u64,
    /// As texts compare.
    pub least: Option<String>,
    pub greatest: Option<String>,
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
        Self::of(Place::detect(url, at, io)?, zone, io, progress)
    }

    /// As [`Self::open`], of a place that is known already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(place: Place, zone: Zone, io: &Io, progress: &Progress) -> Result<Self, Error> {
        let Place { url, format, kept, source } = place;
        let shown = url.to_string();
        let snapshot = snapshot::take(
            &Origin {
                name: &shown,
                url: &url,
                kept: &kept,
                sizes: Sizes::Tell,
                gone: Gone::Refuse,
                time: None,
                deletes: default_limit() / 8,
            },
            io,
        )?;
        let mapping = source.as_ref().map(|(_, mapping)| mapping);
        let (seen, mapped) = look(&snapshot, mapping, progress).map_err(for_good)?;
        let fields = match &snapshot.table {
            Some(table) => table.schema.fields.clone(),
            None => of_files(&snapshot, &seen, &shown)?,
        };
        let shape = Shape::new(fields, zone);
        Ok(Self { url, format, snapshot, shape, seen, mapped, memory_limit: default_limit() })
    }

    /// Reads rows within this limit of memory, in bytes.
    #[must_use]
    pub fn within(self, memory_limit: u64) -> Self {
        Self { memory_limit, ..self }
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
            features: table.map(|table| table.features.clone()).unwrap_or_default(),
            files: files.len() as u64,
            hidden_files_passed_over: self.snapshot.ignored,
            bytes: files.iter().map(|file| file.pin.size).sum(),
            row_groups: sum(|seen| seen.row_groups),
            rows: sum(|seen| seen.rows).saturating_sub(deleted),
            rows_deleted: deleted,
            files_with_deletes: seen.iter().filter(|seen| seen.deleted > 0).count() as u64,
            files_of_other_size: files.iter().filter(|f| f.other_size.is_some()).count() as u64,
            columns: self.shape.fields.iter().map(|field| self.column(field)).collect(),
            mapped: self.mapped.clone(),
            partitions: partitions(files),
            codecs: seen.iter().flat_map(|seen| seen.codecs.iter().cloned()).collect(),
            writers,
        }
    }

    fn column(&self, field: &TableField) -> ColumnSeen {
        let mut whole: Option<Option<Extremes>> = None;
        let mut without = 0;
        for seen in &self.seen {
            let Some(own) = field.find(&seen.fields) else {
                without += 1;
                continue;
            };
            if seen.rows == 0 {
                continue;
            }
            let more = seen.times.get(own.name()).copied().flatten();
            whole = Some(match whole {
                None => more,
                Some(known) => known.zip(more).map(|(a, b)| a.with(b)),
            });
        }
        let name_in_files = field.physical.first().filter(|name| **name != field.name).cloned();
        let (least, greatest) = match whole.flatten() {
            Some(extremes) => (Some(extremes.least()), Some(extremes.greatest())),
            None => (None, None),
        };
        ColumnSeen {
            name: field.name.clone(),
            data_type: field.data_type.to_string(),
            name_in_files,
            id_in_files: field.id,
            files_without: without,
            least,
            greatest,
        }
    }

    /// Writes rows, at most `limit`, to a place that messages call `shown`: files in the order of their paths,
    /// rows in theirs. Gives their number.
    ///
    /// # Errors
    /// Files that changed or are damaged, values that are none of the table's type, and failures of the
    /// place; interruption.
    pub fn rows<W: Write + Send>(
        &self,
        limit: Option<u64>,
        format: RowFormat,
        (shown, out): (&str, W),
        progress: &Progress,
        is_gone: impl Fn() -> bool,
    ) -> Result<(u64, W), Error> {
        let (out, told) = Watched::new(out);
        let failed = |reason: String| told.error(shown, reason);
        let mut writer = RowWriter::new(format, &self.shape.schema, out).map_err(failed)?;
        let mut left = limit.unwrap_or(u64::MAX);
        let mut written = 0;
        for of in &self.snapshot.files {
            if left == 0 || is_gone() {
                break;
            }
            let file = WholeFile::open(&self.snapshot.store, of, self.snapshot.schema())
                .map_err(|error| for_good(error.into()))?
                .within(self.memory_limit);
            for group in 0..file.parquet().num_row_groups() {
                if progress.stop.load(Ordering::Relaxed) {
                    return Err(ScanError::Interrupted.into());
                }
                let done = file.read::<Error>(group, |rows| {
                    let rows = self.shape.conform(&rows, &of.partitions);
                    let rows = rows.map_err(|reason| ScanError::Damaged {
                        file: file.shown().to_string(),
                        reason,
                    })?;
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(rows.num_rows());
                    writer.write(&rows.slice(0, take)).map_err(failed)?;
                    left -= take as u64;
                    written += take as u64;
                    let stop = left == 0 || is_gone();
                    Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                });
                let done = done.map_err(for_good)?;
                if done.is_break() {
                    break;
                }
            }
        }
        Ok((written, writer.finish().map_err(failed)?.into_inner()))
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
    mapping: Option<&MappingPlan>,
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

/// Adds what the mapping makes of one more file.
fn add_mapped(all: &mut Vec<MappedSeen>, of_file: Vec<MappedColumn>) {
    for column in of_file {
        let at = all.iter().position(|seen| seen.role == column.role).unwrap_or(all.len());
        if at == all.len() {
            all.push(MappedSeen {
                role: column.role,
                column: column.column,
                types: BTreeMap::new(),
                files_refused: 0,
                refused: None,
            });
        }
        let Some(seen) = all.get_mut(at) else { continue };
        match column.found {
            Ok(found) => *seen.types.entry(found).or_default() += 1,
            Err(error) => {
                seen.files_refused += 1;
                seen.refused.get_or_insert(error.to_string());
            }
        }
    }
}

/// The columns of plain files.
fn of_files(snapshot: &Snapshot, seen: &[Seen], shown: &str) -> Result<Vec<TableField>, Error> {
    let mut columns = Vec::new();
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
    Ok(columns)
}

fn partitions(files: &[SnapshotFile]) -> Vec<PartitionSeen> {
    let mut names: Vec<&str> = Vec::new();
    let mut values: BTreeMap<&str, (BTreeSet<&str>, u64)> = BTreeMap::new();
    for partition in files.iter().flat_map(|file| &file.partitions) {
        if !names.contains(&partition.name.as_str()) {
            names.push(&partition.name);
        }
        let (known, nulls) = values.entry(&partition.name).or_default();
        match &partition.value {
            Some(value) => drop(known.insert(value)),
            None => *nulls += 1,
        }
    }
    let seen = names.iter().filter_map(|name| {
        let (known, nulls) = values.get(name)?;
        Some(PartitionSeen {
            name: (*name).to_string(),
            values: known.len() as u64,
            files_with_null: *nulls,
            least: known.first().map(ToString::to_string),
            greatest: known.last().map(ToString::to_string),
        })
    });
    seen.collect()
}
