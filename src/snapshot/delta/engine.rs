//! What the Delta kernel asks of an engine: listing and reading by this program's own stores, so that
//! credentials, errors and pins have one place.

use std::collections::BTreeMap;
use std::io::{BufReader, Cursor};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use delta_kernel::arrow::json::ReaderBuilder;
use delta_kernel::engine::arrow_conversion::TryFromArrow;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::engine::arrow_expression::ArrowEvaluationHandler;
use delta_kernel::engine::arrow_utils::{
    RowIndexBuilder, build_json_reorder_indices, fixup_json_read, fixup_parquet_read,
    json_arrow_schema, ordering_needs_row_indexes, parquet_read_plan,
};
use delta_kernel::engine::{parse_json, reader_options};
use delta_kernel::engine_data::FilteredEngineData;
use delta_kernel::schema::{SchemaRef, StructType};
use delta_kernel::{
    DeltaResult, DeltaResultIterator, DeltaResultIteratorStatic, EngineData, Error,
    EvaluationHandler, FileDataReadResultIterator, FileMeta, FileSize, FileSlice, JsonHandler,
    ParquetFooter, ParquetHandler, PredicateRef, StorageHandler,
};
use parquet::arrow::ProjectionMask;
use url::Url;

use super::address;
use crate::snapshot::DeletesError;
use crate::snapshot::rows::{Opened, Pinned};
use crate::store::{Pin, Store, StoreError};

/// The kernel's view of one table's folder. It reads and never writes.
#[derive(Clone, Debug)]
pub struct Engine {
    folder: Arc<Folder>,
}

#[derive(Clone, Debug)]
struct Folder {
    store: Store,
    room: u64,
    /// The last failure of storage: the kernel passes errors on as texts, which do not say what kind of
    /// failure it was.
    failure: Arc<Mutex<Option<StoreError>>>,
    /// The last file of the log that could be fetched and not be read, and why.
    damage: Arc<Mutex<Option<String>>>,
    /// Files that were read, in which version.
    read: Arc<Mutex<BTreeMap<String, Pin>>>,
    /// Files of which only one version may be read.
    held: Arc<Mutex<BTreeMap<String, Pin>>>,
}

impl Engine {
    /// Checkpoints whose pages take more than `room` bytes at once are refused.
    pub fn new(store: Store, room: u64) -> Self {
        let (failure, damage, read, held) = Default::default();
        Self { folder: Arc::new(Folder { store, room, failure, damage, read, held }) }
    }

    pub fn store(&self) -> &Store {
        &self.folder.store
    }

    /// From now on only these versions of files are read.
    pub fn hold(&self, files: &BTreeMap<String, Pin>) {
        lock(&self.folder.held).extend(files.iter().map(|(path, pin)| (path.clone(), pin.clone())));
    }

    /// Files that were read since this was asked last.
    pub fn files_read(&self) -> BTreeMap<String, Pin> {
        std::mem::take(&mut lock(&self.folder.read))
    }

    /// Keeps a failure of storage, and makes it one of the kernel.
    pub fn failed(&self, error: StoreError) -> Error {
        self.folder.failed(error)
    }

    /// The storage failure behind the last error, where there is one.
    pub fn failure(&self) -> Option<StoreError> {
        lock(&self.folder.failure).take()
    }

    /// The damaged file behind the last error, where there is one.
    pub fn damage(&self) -> Option<String> {
        lock(&self.folder.damage).take()
    }
}

impl delta_kernel::Engine for Engine {
    fn evaluation_handler(&self) -> Arc<dyn EvaluationHandler> {
        Arc::new(ArrowEvaluationHandler)
    }
    fn storage_handler(&self) -> Arc<dyn StorageHandler> {
        self.folder.clone()
    }
    fn json_handler(&self) -> Arc<dyn JsonHandler> {
        self.folder.clone()
    }
    fn parquet_handler(&self) -> Arc<dyn ParquetHandler> {
        self.folder.clone()
    }
}

impl Folder {
    fn failed(&self, error: StoreError) -> Error {
        let text = error.to_string();
        *lock(&self.failure) = Some(error);
        Error::generic(text)
    }

    /// Keeps which file is damaged, and makes that an error of the kernel.
    fn damaged(&self, path: &str, reason: impl std::fmt::Display) -> Error {
        let text = format!("{}: {reason}", self.store.shown(path));
        // The kernel does without version checksums.
        if !path.ends_with(".crc") {
            *lock(&self.damage) = Some(text.clone());
        }
        Error::generic(text)
    }

    fn whole(&self, url: &Url) -> DeltaResult<Bytes> {
        let path = address::path_of(url)?;
        let held = lock(&self.held).get(&path).cloned();
        if let Some(pin) = held {
            return self.pinned(&path, &pin);
        }
        match self.store.read(&path) {
            Ok(Some((bytes, pin))) => {
                lock(&self.read).insert(path, pin);
                Ok(bytes)
            }
            Ok(None) => Err(Error::file_not_found(self.store.shown(&path))),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// A checkpoint with its footer read, in the version that is there now.
    fn open(&self, url: &Url) -> DeltaResult<Opened> {
        let path = address::path_of(url)?;
        let pin = match self.store.head(&path) {
            Ok(Some(pin)) => pin,
            Ok(None) => return Err(Error::file_not_found(self.store.shown(&path))),
            Err(error) => return Err(self.failed(error)),
        };
        lock(&self.read).insert(path.clone(), pin.clone());
        let file = Pinned { store: self.store.clone(), path, pin, room: self.room };
        file.open_as(reader_options()).map_err(|e| self.unreadable(e))
    }

    fn unreadable(&self, error: DeletesError) -> Error {
        match error {
            DeletesError::Store(error) => self.failed(error),
            other => {
                let text = other.to_string();
                *lock(&self.damage) = Some(text.clone());
                Error::generic(text)
            }
        }
    }

    /// All of the version that is held.
    fn pinned(&self, path: &str, pin: &Pin) -> DeltaResult<Bytes> {
        let parts = self.store.wait_for_ranges(path, pin, &[0..pin.size]);
        let parts = parts.map_err(|e| self.failed(e))?;
        Ok(parts.into_iter().next().unwrap_or_default())
    }
}

/// Batches of one file after the other; none is opened before it is asked for.
fn one_by_one<B>(
    files: &[FileMeta],
    open: impl Fn(&FileMeta) -> DeltaResult<B> + Send + 'static,
) -> FileDataReadResultIterator
where
    B: Iterator<Item = DeltaResult<Box<dyn EngineData>>> + Send + 'static,
{
    let files = files.to_vec();
    Box::new(files.into_iter().flat_map(move |file| all_or_error(open(&file))))
}

/// What is in `found`, or the error alone.
fn all_or_error<T, E>(
    found: Result<impl Iterator<Item = Result<T, E>>, E>,
) -> impl Iterator<Item = Result<T, E>> {
    let (batches, error) = match found {
        Ok(batches) => (Some(batches), None),
        Err(error) => (None, Some(Err(error))),
    };
    batches.into_iter().flatten().chain(error)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reads_only() -> Error {
    Error::unsupported("writing to a table")
}

impl StorageHandler for Folder {
    fn list_from(&self, path: &Url) -> DeltaResult<DeltaResultIteratorStatic<FileMeta>> {
        let after = address::path_of(path)?;
        let folder = match after.rsplit_once('/') {
            Some((folder, _)) => folder.to_string(),
            None if path.path().ends_with('/') => after.clone(),
            None => String::new(),
        };
        let whole_folder = path.path().ends_with('/');
        let listed = self.store.list(folder.trim_end_matches('/')).map_err(|e| self.failed(e))?;
        let mut found = Vec::new();
        for object in listed {
            if whole_folder || object.path > after {
                found.push(FileMeta {
                    location: address::url_of(&object.path)?,
                    last_modified: object.written.micros.div_euclid(1000),
                    size: object.pin.size,
                });
            }
        }
        Ok(Box::new(found.into_iter().map(Ok)))
    }

    fn read_files(&self, files: Vec<FileSlice>) -> DeltaResult<DeltaResultIteratorStatic<Bytes>> {
        let read = |(url, range): FileSlice| {
            let bytes = self.whole(&url)?;
            let Some(range) = range else { return Ok(bytes) };
            let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
            let (from, to) = (at(range.start), at(range.end));
            if from > to || to > bytes.len() {
                let have = bytes.len();
                return Err(Error::generic(format!("{url} has {have} bytes, not {to}")));
            }
            Ok(bytes.slice(from..to))
        };
        let read: Vec<DeltaResult<Bytes>> = files.into_iter().map(read).collect();
        Ok(Box::new(read.into_iter()))
    }

    fn copy_atomic(&self, _: &Url, _: &Url) -> DeltaResult<()> {
        Err(reads_only())
    }

    fn put(&self, _: &Url, _: Bytes, _: bool) -> DeltaResult<()> {
        Err(reads_only())
    }

    fn head(&self, url: &Url) -> DeltaResult<FileMeta> {
        let path = address::path_of(url)?;
        match self.store.head(&path) {
            Ok(Some(pin)) => {
                Ok(FileMeta { location: url.clone(), last_modified: 0, size: pin.size })
            }
            Ok(None) => Err(Error::file_not_found(self.store.shown(&path))),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn delete(&self, _: &Url) -> DeltaResult<()> {
        Err(reads_only())
    }
}

impl JsonHandler for Folder {
    fn parse_json(
        &self,
        texts: Box<dyn EngineData>,
        schema: SchemaRef,
    ) -> DeltaResult<Box<dyn EngineData>> {
        parse_json(texts, schema)
    }

    fn read_json_files(
        &self,
        files: &[FileMeta],
        schema: SchemaRef,
        _: Option<PredicateRef>,
    ) -> DeltaResult<FileDataReadResultIterator> {
        let folder = self.clone();
        Ok(one_by_one(files, move |file| {
            let bytes = folder.whole(&file.location)?;
            let arrow = Arc::new(json_arrow_schema(&schema)?);
            let order = build_json_reorder_indices(&schema)?;
            let location = file.location.to_string();
            let path = address::path_of(&file.location)?;
            let reader = ReaderBuilder::new(arrow)
                .with_coerce_primitive(true)
                .build(BufReader::new(Cursor::new(bytes)))?;
            let folder = folder.clone();
            Ok(reader.map(move |batch| {
                let batch = batch.map_err(|e| folder.damaged(&path, e))?;
                let data = fixup_json_read(batch, &order, &location)?;
                Ok(Box::new(data) as Box<dyn EngineData>)
            }))
        }))
    }

    fn write_json_file(
        &self,
        _: &Url,
        _: DeltaResultIterator<'_, FilteredEngineData>,
        _: bool,
    ) -> DeltaResult<FileSize> {
        Err(reads_only())
    }
}

impl ParquetHandler for Folder {
    fn read_parquet_files(
        &self,
        files: &[FileMeta],
        schema: SchemaRef,
        _: Option<PredicateRef>,
    ) -> DeltaResult<FileDataReadResultIterator> {
        let folder = self.clone();
        Ok(one_by_one(files, move |file| {
            let opened = Arc::new(folder.open(&file.location)?);
            let (order, mask) = parquet_read_plan(&schema, &opened.metadata)?;
            let mask = mask.unwrap_or_else(ProjectionMask::all);
            let parquet = opened.metadata.metadata();
            let mut rows = ordering_needs_row_indexes(&order)
                .then(|| RowIndexBuilder::new(parquet.row_groups()).build())
                .transpose()?;
            let (location, schema) = (file.location.to_string(), schema.clone());
            let (of, folder) = (opened.clone(), folder.clone());
            // One row group after the other: a checkpoint may be larger than memory.
            let batches = (0..opened.groups())
                .flat_map(move |group| all_or_error(of.masked(group, mask.clone())));
            Ok(batches.map(move |batch| {
                let batch = batch.map_err(|e| folder.unreadable(e))?;
                let at = Some(location.as_str());
                let data = fixup_parquet_read(batch, &order, rows.as_mut(), at, Some(&schema))?;
                Ok(Box::new(data) as Box<dyn EngineData>)
            }))
        }))
    }

    fn write_parquet_file(
        &self,
        _: Url,
        _: DeltaResultIteratorStatic<Box<dyn EngineData>>,
    ) -> DeltaResult<()> {
        Err(reads_only())
    }

    fn read_parquet_footer(&self, file: &FileMeta) -> DeltaResult<ParquetFooter> {
        let opened = self.open(&file.location)?;
        let schema = Arc::new(StructType::try_from_arrow(opened.schema().as_ref())?);
        Ok(ParquetFooter { schema })
    }
}

/// A batch of the kernel as one of Arrow.
///
/// # Errors
/// Data that no handler of this engine made.
pub fn batch(data: Box<dyn EngineData>) -> DeltaResult<arrow::record_batch::RecordBatch> {
    Ok((*ArrowEngineData::try_from_engine_data(data)?).into())
}
