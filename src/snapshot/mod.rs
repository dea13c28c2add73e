//! Which files a source has, at which version.
//!
//! A snapshot is taken once, before anything is read; every later read carries the pin that it
//! recorded, so a file that changes under the run is noticed and named.

mod bounds;
mod delta;
mod fields;
mod iceberg;
mod inside;
mod listing;
mod rows;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;

use crate::config::{ColumnSource, Format, Kept, SourcePlan, is_metadata};
use crate::store::{Io, Pin, Store, StoreError, StoreErrorKind, StoreUrl};

pub use bounds::{Clock, TimeBounds};
pub use fields::FieldIndex;
pub use listing::first_unlistable;
pub use table::{
    Change, Constant, Deletes, DeletesError, GoneRows, History, Layout, LayoutField, Partition,
    Removed, Table, TableField, TableFiles, TableRecord, TableSchema, VersionTold, Versions,
};

/// What to do where a file is gone that a version cannot be without.
const NAME_ANOTHER: &str = "name another, or restore the file";

/// Where a log lies, and what is read of it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// For messages.
    pub name: &'a str,
    pub url: &'a StoreUrl,
    pub kept: &'a Kept,
    pub sizes: Sizes,
    pub gone: Gone,
    /// The column of event times, where it is one column and somebody asks for its bounds.
    pub time: Option<&'a str>,
    /// Bytes that what is read of delete files may take, together.
    pub deletes: u64,
}

/// What it means where a file of a table has not the size that the table tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// It was replaced: what counts on it is refused.
    Hold,
    /// It is told.
    Tell,
}

/// What it means where a file that a table names is not there, or not as the table tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    Refuse,
    /// The data file is left out, and so are those whose deleted rows stood there.
    LeaveOut,
}

impl<'a> Origin<'a> {
    /// Of a source, `deletes` bytes of whose delete files may be held.
    pub fn of(of: &'a SourcePlan, deletes: u64, gone: Gone) -> Self {
        let time = match &of.mapping.time.source {
            ColumnSource::Path(path) => Some(path.as_str()),
            _ => None,
        };
        let (name, url, kept) = (&of.name, &of.url, &of.kept);
        Self { name, url, kept, sizes: Sizes::Hold, gone, time, deletes }
    }
}

/// The files of one source.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub store: Store,
    /// Sorted by path.
    pub files: Vec<SnapshotFile>,
    /// Objects passed over: names begin with `_` or `.`, or they only show that a folder is there.
    pub ignored: u64,
    /// `None` where all files below the url are read.
    pub table: Option<Arc<Table>>,
}

impl Snapshot {
    /// The table's columns, where it is one.
    pub fn schema(&self) -> Option<&TableSchema> {
        self.table.as_ref().map(|table| &table.schema)
    }
}

/// One file, pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Path below the source's folder.
    pub path: String,
    pub pin: Pin,
    /// Values that all its rows have: by the table's log, else by hive's names of its folders (null for
    /// `__HIVE_DEFAULT_PARTITION__`).
    pub partitions: Vec<Partition>,
    pub deletes: Option<Deletes>,
    /// How many rows it has, where a table says so.
    pub rows: Option<u64>,
    /// Between which its event times lie, where a table says so.
    pub times: Option<TimeBounds>,
    /// The size that the table tells, where it is not that of the file.
    pub other_size: Option<u64>,
    /// Where it is not there, or what tells which of its rows are deleted is not.
    pub lost: Option<Lost>,
}

/// Why a file of a table cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The address of what is not there, or not as the table tells: the file itself, or one of its deletes.
    pub file: String,
    /// What is there in its place.
    pub found: Option<Pin>,
    /// What is known: the manifest has it.
    pub reason: String,
    /// What may have happened, as the sentence goes on. It depends on which versions the table has got since.
    pub guess: String,
}

impl SnapshotFile {
    /// A plain file: the partition values are those of its folders.
    pub fn new(path: String, pin: Pin) -> Self {
        let partitions = listing::partitions(&path);
        Self {
            path,
            pin,
            partitions,
            deletes: None,
            rows: None,
            times: None,
            other_size: None,
            lost: None,
        }
    }
}

#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("source `{source_name}`: {}", stored(url, error))]
    Store { source_name: String, url: String, error: StoreError },

    #[error(
        "source `{source_name}`: {url} holds no files ({ignored} were passed over: names that begin with _ or ., and markers of folders)\ncheck the source's url; an empty log must still have a file"
    )]
    Empty { source_name: String, url: String, ignored: u64 },

    #[error(
        "source `{source_name}`: {url} is {format} table ({marker} shows it); read as plain files it would give rows that the table has removed\n{way}"
    )]
    TableFormat {
        source_name: String,
        url: String,
        format: &'static str,
        marker: String,
        way: String,
    },

    #[error(
        "source `{source_name}`: {url} is {found} ({marker} shows it), and no {format} table\n{way}"
    )]
    OtherFormat {
        source_name: String,
        url: String,
        format: &'static str,
        found: &'static str,
        marker: String,
        way: &'static str,
    },

    #[error(
        "source `{source_name}`: unsupported: the {format} table {url} needs {what}\nread a version before that, or write the table without it"
    )]
    Unsupported { source_name: String, url: String, format: &'static str, what: String },

    #[error(
        "source `{source_name}`: the {format} table {url} cannot be read: {reason}\ncheck `url`, and which version is asked for"
    )]
    Table { source_name: String, url: String, format: &'static str, reason: String },

    #[error(
        "source `{source_name}`: the log of the {format} table {url} is damaged: {reason}\nrestore that file, or read a version that does not need it"
    )]
    Damaged { source_name: String, url: String, format: &'static str, reason: String },

    #[error(
        "sources `{first}` and `{second}` read the same table, {url}, at two versions ({versions}): rows that stand in both would count twice\nname one version in both sources, or read the table as one source"
    )]
    TwoVersions { first: String, second: String, url: String, versions: String },

    #[error(
        "source `{source_name}`: {version} of the {format} table needs {file}, which {reason}{guess}\na version without all of its files is unsupported: {way}"
    )]
    Gone {
        source_name: String,
        format: &'static str,
        version: String,
        file: String,
        reason: String,
        /// What may have happened, as it goes on in that sentence.
        guess: String,
        way: &'static str,
    },

    #[error(
        "source `{source_name}`: {file} stands in the folder and cannot be read: {reason}\nrename, mend or remove it; nothing is left out in silence"
    )]
    Unlisted { source_name: String, file: String, reason: String },

    #[error(
        "source `{source_name}`: {file} is the same file as {other} (a link leads to it): its rows would count twice\nremove one of the two, or leave it out with a glob"
    )]
    Twice { source_name: String, file: String, other: String },

    #[error("source `{source_name}`: the glob \"{glob}\" cannot be read: {reason}")]
    Glob { source_name: String, glob: String, reason: String },
}

impl SnapshotError {
    fn store(source: &Origin<'_>, error: StoreError) -> Self {
        let (source_name, url) = (source.name.to_string(), source.url.to_string());
        Self::Store { source_name, url, error }
    }
}

/// A failure of storage, with the source's own address where what failed is another's: folders above it are asked
/// whether they are tables.
fn stored(url: &str, error: &StoreError) -> String {
    let of = if error.object.starts_with(url.trim_end_matches('/')) {
        String::new()
    } else {
        format!("{url}: ")
    };
    let next = match error.kind {
        StoreErrorKind::Transient => "check that the service can be reached, and run again",
        _ => "check the source's url",
    };
    format!("{of}{error}\n{next}")
}

/// What is kept at an address.
///
/// # Errors
/// Storage failures.
pub fn detect(url: &StoreUrl, io: &Io) -> Result<Format, StoreError> {
    if is_metadata(&url.to_string()) {
        return Ok(Format::Iceberg);
    }
    if url.names_a_file() {
        return Ok(Format::Parquet);
    }
    let store = match url.open(io) {
        Ok(store) => store,
        // It may name one file.
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(Format::Parquet),
        Err(error) => return Err(error),
    };
    if store.find("_delta_log", |_| true)?.is_some() {
        return Ok(Format::Delta);
    }
    let is_iceberg = store.find("metadata", is_metadata)?.is_some();
    Ok(if is_iceberg { Format::Iceberg } else { Format::Parquet })
}

/// Takes the snapshot of a source.
///
/// # Errors
/// Where the place does not exist, cannot be read or holds no files.
pub fn take(source: &Origin<'_>, io: &Io) -> Result<Snapshot, SnapshotError> {
    match source.kept {
        Kept::Files => listing::take(source, io),
        Kept::Delta(at) => delta::take(source, at, io),
        Kept::Iceberg(at) => iceberg::take(source, at, io),
    }
}

/// What is said of one version of a table when its files are looked for.
struct VersionOf<'a> {
    source: &'a Origin<'a>,
    /// As people write it.
    format: &'static str,
    /// `version 3`, `snapshot 7`.
    version: String,
    /// What removes files that older versions need.
    remover: &'static str,
    /// Whether the table has no later one.
    is_latest: bool,
}

impl VersionOf<'_> {
    fn gone(&self, file: String, reason: String, guess: String) -> SnapshotError {
        const OR_LEAVE_OUT: &str = "name another, restore the file, or leave out what needs it with --allow-incomplete (the report will say so)";
        SnapshotError::Gone {
            source_name: self.source.name.to_string(),
            format: self.format,
            version: self.version.clone(),
            file,
            reason,
            guess,
            way: if self.source.sizes == Sizes::Hold { OR_LEAVE_OUT } else { NAME_ANOTHER },
        }
    }

    /// A data file that cannot be read for an `error` of its own or of its deletes, where it is left out then.
    ///
    /// # Errors
    /// The error itself, where it is another, or the source is not to be read without the file.
    fn without(
        &self,
        (there, store): (&HashMap<String, Pin>, &Store),
        (path, size): (String, u64),
        partitions: Vec<Partition>,
        mut error: SnapshotError,
    ) -> Result<SnapshotFile, SnapshotError> {
        let SnapshotError::Gone { file, guess, .. } = &mut error else { return Err(error) };
        if self.source.gone == Gone::Refuse {
            return Err(error);
        }
        let (file, guess) = (file.clone(), std::mem::take(guess));
        let (shown, why) = (store.shown(&path), error.to_string());
        let why = why.lines().next().unwrap_or_default();
        let reason = if file == shown { why.to_string() } else { format!("{shown}: {why}") };
        let pin = there.get(&path).cloned().unwrap_or(Pin { size, ..Pin::default() });
        let found = store.below(&file).and_then(|path| there.get(&path).cloned());
        // No pack serves for it: some may hold its deleted rows.
        let gone = Some(format!("lost with {file}"));
        let pin = Pin { deletes: gone, values: table::values_id(&partitions), ..pin };
        Ok(SnapshotFile {
            partitions,
            rows: None,
            lost: Some(Lost { file, found, reason, guess }),
            ..SnapshotFile::new(path, pin)
        })
    }

    fn unreadable(&self, reason: String) -> SnapshotError {
        SnapshotError::Table {
            source_name: self.source.name.to_string(),
            url: self.source.url.to_string(),
            format: self.format,
            reason,
        }
    }

    /// The version of a file that is there now, whatever its size.
    fn found<'p>(
        &self,
        there: &'p HashMap<String, Pin>,
        store: &Store,
        path: &str,
    ) -> Result<&'p Pin, SnapshotError> {
        let gone = || self.gone(store.shown(path), "is not there".into(), self.guess("versions"));
        there.get(path).ok_or_else(gone)
    }

    /// That a file is not there which older ones of `what` may need as well.
    fn lost(&self, what: &str) -> String {
        format!("is not there{}", self.guess(what))
    }

    /// What may have removed it, as that sentence goes on.
    fn guess(&self, what: &str) -> String {
        let Self { version, remover, .. } = self;
        if self.is_latest {
            return format!(
                ", though {version} is the latest: it was removed by something that the table does not know of"
            );
        }
        format!(" any more; {remover} removes files of older {what}")
    }

    /// The version of a file that is there now. Tables know sizes, and no tags.
    fn pin(
        &self,
        there: &HashMap<String, Pin>,
        store: &Store,
        path: &str,
        size: u64,
    ) -> Result<Pin, SnapshotError> {
        let pin = self.found(there, store, path)?;
        if pin.size != size && self.source.sizes == Sizes::Hold {
            let reason = format!("has {} bytes, and {size} by the table's log", pin.size);
            return Err(self.gone(store.shown(path), reason, String::new()));
        }
        Ok(pin.clone())
    }

    /// # Errors
    /// A path that stands in `sorted` twice.
    fn refuse_twice<'p>(
        &self,
        store: &Store,
        sorted: impl Iterator<Item = &'p str>,
    ) -> Result<(), SnapshotError> {
        let mut before = None;
        for path in sorted {
            if before == Some(path) {
                let (version, file) = (&self.version, store.shown(path));
                return Err(self.unreadable(format!(
                    "{version} names {file} twice: its rows would count twice"
                )));
            }
            before = Some(path);
        }
        Ok(())
    }
}

/// What the folder of a source is instead, where it is a table of another format than `wanted`.
fn other_format(source: &Origin<'_>, store: &Store, wanted: Format) -> Option<SnapshotError> {
    let (found, marker, way) = listing::other_table(store, wanted)?;
    Some(SnapshotError::OtherFormat {
        source_name: source.name.to_string(),
        url: source.url.to_string(),
        format: if wanted == Format::Iceberg { "Iceberg" } else { "Delta" },
        found,
        marker,
        way,
    })
}

/// Every object of a table's folder, by its path.
///
/// # Errors
/// What cannot be listed in `metadata`, the folder of the files that tell which version is the newest.
fn there(
    source: &Origin<'_>,
    store: &Store,
    metadata: &str,
) -> Result<HashMap<String, Pin>, SnapshotError> {
    let failed = |error| SnapshotError::store(source, error);
    let listed = store.list("").map_err(failed)?;
    // The newest counts: the run must not go on with an older one because that is not listed.
    if let Some((file, reason)) = first_unlistable(store, metadata) {
        let source_name = source.name.to_string();
        return Err(SnapshotError::Unlisted { source_name, file, reason });
    }
    Ok(listed.into_iter().map(|object| (object.path, object.pin)).collect())
}
