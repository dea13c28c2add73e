//! Object stores: reads that are pinned to one version of an object, and writes that readers see whole.
//!
//! All storage goes through this module, so that credentials are found in one place and every failure
//! is sorted into what it means for the run: wrong settings, a changed input, or something worth a
//! retry.

mod buffers;
mod error;
mod local;
mod remote;
mod secret;
mod service;
mod traffic;
mod upload;
mod url;
mod write;

use std::fs::File;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Error as OsError, GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore,
    ObjectStoreExt,
};
use tokio::runtime::Handle;

use buffers::Buffers;
use local::Found;

use crate::moment::Moment;

pub use error::{StoreError, StoreErrorKind, is_full};
pub use local::{Sought, odd_kind};
use service::Service;
use traffic::Traffic;

pub use traffic::Asked;
pub use upload::Upload;
use url::check_endpoint;

pub use url::{StoreUrl, check_options};

/// The threads that wait for storage. Decoding never runs on them.
#[derive(Clone, Debug)]
pub struct Io {
    handle: Handle,
    buffers: Buffers,
    traffic: Traffic,
    waits: Arc<Waits>,
}

/// Threads that wait for storage.
#[derive(Debug, Default)]
struct Waits {
    pending: AtomicUsize,
    ended: AtomicUsize,
}

impl Io {
    pub fn new(handle: Handle) -> Self {
        let (buffers, traffic) = (Buffers::default(), Traffic::default());
        Self { handle, buffers, traffic, waits: Arc::default() }
    }

    /// How many threads wait for storage, and how many such waits have ended.
    pub fn waits(&self) -> (usize, usize) {
        let Waits { pending, ended } = self.waits.as_ref();
        (pending.load(Ordering::Relaxed), ended.load(Ordering::Relaxed))
    }

    /// Keeps up to so many bytes of buffers for local reads that follow.
    pub fn keep_buffers(&self, bytes: u64) {
        self.buffers.keep(bytes);
    }

    /// What was asked of services over the network, of all stores opened with this.
    pub fn asked(&self) -> Vec<Asked> {
        self.traffic.asked()
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for `future` on a thread that is not one of the runtime's.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.waiting(|| self.handle.block_on(future))
    }

    /// What reads on a thread that is not one of the runtime's, which waits meanwhile.
    fn waiting<T>(&self, read: impl FnOnce() -> T) -> T {
        self.waits.pending.fetch_add(1, Ordering::Relaxed);
        let found = read();
        self.waits.ended.fetch_add(1, Ordering::Relaxed);
        self.waits.pending.fetch_sub(1, Ordering::Relaxed);
        found
    }
}

/// A folder in a store.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    prefix: Path,
    root: Option<PathBuf>,
    /// The same without links on the way to it, as it was when it was opened: the library follows them then, too.
    home: Option<PathBuf>,
    /// Whether others put files there, so that anything may stand under a name.
    is_input: bool,
    /// `None` where the folder is local.
    service: Option<&'static Service>,
    shown: String,
    io: Io,
}

/// The version of an object that reads must see.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Pin {
    pub size: u64,
    pub e_tag: Option<String>,
    pub version: Option<String>,
    /// Names the rows that a table format has deleted from it; no part of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes: Option<String>,
    /// Names the values that a table gives all its rows, where it gives any; no part of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<String>,
}

/// An object of a listing: path below the folder, and its version.
#[derive(Clone, Debug)]
pub struct Listed {
    pub path: String,
    pub pin: Pin,
    /// When it was last written, by the store's clock.
    pub written: Moment,
}

impl Store {
    /// A store that is open already, shown as `shown`.
    pub fn of(inner: Arc<dyn ObjectStore>, shown: &str, io: &Io) -> Self {
        let (prefix, root, home, service) = (Path::default(), None, None, None);
        let (is_input, shown) = (true, shown.to_string());
        Self { inner, prefix, root, home, is_input, service, shown, io: io.clone() }
    }

    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The address of `path`, without credentials.
    pub fn shown(&self, path: &str) -> String {
        let below = self.service.map_or_else(|| path.to_string(), |service| service.shown(path));
        format!("{}/{below}", self.shown.trim_end_matches('/'))
    }

    /// The path of which [`Self::shown`] shows `below`.
    pub fn unshown(&self, below: &str) -> String {
        self.service.map_or_else(|| below.to_string(), |service| service.unshown(below))
    }

    /// The path of which [`Self::shown`] shows all of `address`; `None` of an address elsewhere.
    pub fn below(&self, address: &str) -> Option<String> {
        address.strip_prefix(&self.shown("")).map(|below| self.unshown(below))
    }

    /// Whether a file is to be asked for by its name, because there may be no listing.
    pub fn files_by_name(&self) -> bool {
        self.service.is_some_and(|service| service.files_by_name)
    }

    /// The local folder, where the store is one.
    pub fn local_root(&self) -> Option<&FsPath> {
        self.root.as_deref()
    }

    fn pin(&self, meta: &ObjectMeta) -> Pin {
        let (e_tag, version) =
            (meta.e_tag.as_deref().map(|t| self.quoted(t)), meta.version.clone());
        Pin { size: meta.size, e_tag, version, deletes: None, values: None }
    }

    /// A service's ETag stands in quotes, which listings of Azure and Google Cloud Storage leave out.
    fn quoted(&self, tag: &str) -> String {
        let bare = self.service.is_some() && !tag.ends_with('"');
        if bare { format!("\"{tag}\"") } else { tag.to_string() }
    }

    fn at(&self, path: &str) -> Result<Path, StoreError> {
        let below = Path::parse(path).map_err(|e| {
            StoreError::new(StoreErrorKind::Settings, self.shown(path), e.to_string())
        })?;
        Ok(self.prefix.parts().chain(below.parts()).collect())
    }

    /// Where the object is a local file; never outside the folder.
    ///
    /// # Errors
    /// A path that no object has.
    fn file(&self, path: &str) -> Result<Option<PathBuf>, StoreError> {
        let at = self.at(path)?;
        Ok(self.home.as_ref().map(|home| home.join(at.as_ref())))
    }

    fn error(&self, path: &str, error: &OsError) -> StoreError {
        StoreError::from_os(error, self.shown(path))
    }

    /// Every object below, sorted by path (bytes), but for one that only shows that this folder is there.
    ///
    /// # Errors
    /// Storage failures.
    pub fn list(&self, below: &str) -> Result<Vec<Listed>, StoreError> {
        let prefix = self.at(below)?;
        let depth = self.prefix.parts().count();
        let listed =
            self.io.wait(async { self.inner.list(Some(&prefix)).try_collect::<Vec<_>>().await });
        let mut found: Vec<Listed> = listed
            .map_err(|e| self.error(below, &e))?
            .iter()
            .filter(|meta| !shows(meta, &prefix))
            .map(|meta| self.listed(meta, depth))
            .collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// An object below of whose path `wanted` says `true`, whichever is met first: no more of the listing is
    /// asked for.
    ///
    /// # Errors
    /// Storage failures.
    pub fn find(
        &self,
        below: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<Listed>, StoreError> {
        let prefix = self.at(below)?;
        let depth = self.prefix.parts().count();
        let found = self.io.wait(async {
            let mut listed = self.inner.list(Some(&prefix));
            while let Some(meta) = listed.try_next().await? {
                let object = self.listed(&meta, depth);
                if !shows(&meta, &prefix) && wanted(&object.path) {
                    return Ok(Some(object));
                }
            }
            Ok(None)
        });
        found.map_err(|e: OsError| self.error(below, &e))
    }

    /// Whether an object of a listing only shows that a folder is there: one without bytes whose key ends in `/`, as
    /// consoles of services make it, or in `_$folder$`, as Hadoop does. Listings leave out the `/`, and no object has
    /// the name without it.
    ///
    /// # Errors
    /// Storage failures.
    pub fn is_folder(&self, object: &Listed) -> Result<bool, StoreError> {
        if object.pin.size > 0 || self.root.is_some() {
            return Ok(false);
        }
        Ok(object.path.ends_with("_$folder$") || self.head(&object.path)?.is_none())
    }

    /// An object of a listing; `depth` segments of its path lead to this folder.
    fn listed(&self, meta: &ObjectMeta, depth: usize) -> Listed {
        Listed {
            path: meta.location.parts().skip(depth).collect::<Path>().to_string(),
            pin: self.pin(meta),
            written: Moment::from_micros(meta.last_modified.timestamp_micros()),
        }
    }

    /// The library opens whatever it is asked for, and of a FIFO that may never end.
    fn refuse_odd(&self, path: &str) -> Result<(), StoreError> {
        let Some(file) = self.file(path)?.filter(|_| self.is_input) else { return Ok(()) };
        // What cannot be looked at is the library's to name.
        let found = std::fs::metadata(file).ok();
        match found.as_ref().and_then(odd_kind) {
            None => Ok(()),
            Some(kind) => Err(StoreError::new(
                StoreErrorKind::Settings,
                self.shown(path),
                format!(
                    "is {kind} and no regular file\nname a regular file; what comes through a pipe has to be written to one"
                ),
            )),
        }
    }

    /// The object's version; `None` where it is not there.
    ///
    /// # Errors
    /// Other storage failures.
    pub fn head(&self, path: &str) -> Result<Option<Pin>, StoreError> {
        let at = self.at(path)?;
        self.refuse_odd(path)?;
        match self.io.wait(self.inner.head(&at)) {
            Ok(meta) => Ok(Some(self.pin(&meta))),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(self.error(path, &e)),
        }
    }

    /// The whole object and its version; `None` where it is not there.
    ///
    /// # Errors
    /// Other storage failures.
    pub fn read(&self, path: &str) -> Result<Option<(Bytes, Pin)>, StoreError> {
        let at = self.at(path)?;
        self.refuse_odd(path)?;
        if let Some(found) =
            self.file(path)?.and_then(|file| self.io.waiting(|| local::read_whole(&file)))
        {
            return Ok(Some(found));
        }
        let result = self.io.wait(async {
            let got = self.inner.get(&at).await?;
            let pin = self.pin(&got.meta);
            Ok((got.bytes().await?, pin))
        });
        match result {
            Ok(found) => Ok(Some(found)),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(self.error(path, &e)),
        }
    }

    /// Ranges of the version `pin` of an object; neighbours are fetched together.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] where the object is another version, is gone, or is shorter.
    pub async fn read_ranges(
        &self,
        path: &str,
        pin: &Pin,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, StoreError> {
        let at = self.at(path)?;
        let merged = merge_ranges(ranges);
        let fetched = match self.read_here(path, pin, &merged).await? {
            Some(fetched) => fetched,
            None => {
                self.refuse_odd(path)?;
                futures::stream::iter(merged.iter().cloned())
                    .map(|range| self.read_range(path, &at, pin, range))
                    .buffered(8)
                    .try_collect()
                    .await?
            }
        };
        self.slices(path, ranges, &merged, &fetched)
    }

    /// The same on a thread that is not one of the runtime's, and waits: of a local file without a change of threads.
    ///
    /// # Errors
    /// As [`Self::read_ranges`].
    pub fn wait_for_ranges(
        &self,
        path: &str,
        pin: &Pin,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, StoreError> {
        if let Some(file) = self.file(path)? {
            let merged = merge_ranges(ranges);
            let seek = |_: &File| (merged, ());
            let read = || local::read(&self.io.buffers, &file, pin, seek);
            if let Some(found) = self.found(path, self.io.waiting(read))? {
                return self.slices(path, ranges, &found.ranges, &found.bytes);
            }
        }
        self.io.wait(self.read_ranges(path, pin, ranges))
    }

    /// Ranges of what was fetched, which are sorted.
    fn slices(
        &self,
        path: &str,
        ranges: &[Range<u64>],
        merged: &[Range<u64>],
        fetched: &[Bytes],
    ) -> Result<Vec<Bytes>, StoreError> {
        ranges
            .iter()
            .map(|range| {
                let index = merged.partition_point(|m| m.start <= range.start).checked_sub(1);
                let slice = index.and_then(|i| {
                    let (whole, bytes) = (merged.get(i)?, fetched.get(i)?);
                    let from = usize::try_from(range.start - whole.start).ok()?;
                    let to = usize::try_from(range.end - whole.start).ok()?;
                    (to <= bytes.len()).then(|| bytes.slice(from..to))
                });
                slice.ok_or_else(|| {
                    StoreError::new(
                        StoreErrorKind::Changed,
                        self.shown(path),
                        format!("bytes {}..{} are missing", range.start, range.end),
                    )
                })
            })
            .collect()
    }

    /// Ranges of a local file, all at once; `None` where the library is to be asked.
    async fn read_here(
        &self,
        path: &str,
        pin: &Pin,
        ranges: &[Range<u64>],
    ) -> Result<Option<Vec<Bytes>>, StoreError> {
        let ranges = ranges.to_vec();
        let found = self.read_sought(path, pin, move |_| (ranges, ())).await?;
        Ok(found.map(|found| found.bytes))
    }

    /// Ranges of the version `pin` of a local file, which `seek` finds in it, off the threads that wait for storage;
    /// `None` where the file is elsewhere, or another version: [`Self::read_ranges`] says what is wrong.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] where the file was written meanwhile.
    pub async fn read_sought<T: Send + 'static>(
        &self,
        path: &str,
        pin: &Pin,
        seek: impl FnOnce(&File) -> (Vec<Range<u64>>, T) + Send + 'static,
    ) -> Result<Option<Sought<T>>, StoreError> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let (pin, buffers) = (pin.clone(), self.io.buffers.clone());
        let read = move || local::read(&buffers, &file, &pin, seek);
        let found = tokio::task::spawn_blocking(read).await;
        self.found(path, found.map_err(|e| self.error(path, &generic(Box::new(e))))?)
    }

    fn found<T>(&self, path: &str, found: Found<T>) -> Result<Option<Sought<T>>, StoreError> {
        match found {
            Found::Bytes(found) => Ok(Some(found)),
            Found::Other => Ok(None),
            Found::Written => Err(StoreError::new(
                StoreErrorKind::Changed,
                self.shown(path),
                REPLACED.to_string(),
            )),
        }
    }

    async fn read_range(
        &self,
        path: &str,
        at: &Path,
        pin: &Pin,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
        let wanted = range.end - range.start;
        let options = GetOptions {
            if_match: pin.e_tag.clone(),
            version: pin.version.clone(),
            range: Some(GetRange::Bounded(range)),
            ..Default::default()
        };
        let result = async {
            let got = self.inner.get_opts(at, options).await?;
            // Some services take no notice of the condition.
            if let (Some(asked), Some(tag)) = (&pin.e_tag, &got.meta.e_tag)
                && *asked != self.quoted(tag)
            {
                return Err(OsError::Precondition {
                    path: at.to_string(),
                    source: format!("its ETag is {tag} and was {asked}").into(),
                });
            }
            let size = got.meta.size;
            let bytes = match got.payload {
                GetResultPayload::File(file, _) => {
                    let buffers = self.io.buffers.clone();
                    let length = usize::try_from(got.range.end - got.range.start);
                    let length = length.map_err(|e| generic(Box::new(e)))?;
                    let from = got.range.start;
                    let read = move || {
                        let bytes = buffers.read(&file, from, length)?;
                        let after = file.metadata()?;
                        Ok::<_, std::io::Error>((bytes, after.len(), after.modified()?))
                    };
                    let (bytes, length, written) = tokio::task::spawn_blocking(read)
                        .await
                        .map_err(|e| generic(Box::new(e)))?
                        .map_err(|e| generic(Box::new(e)))?;
                    // What was written while it was read may be of two versions.
                    if length != size || written != got.meta.last_modified.into() {
                        return Err(OsError::Precondition {
                            path: at.to_string(),
                            source: "it was written while it was read".into(),
                        });
                    }
                    bytes
                }
                GetResultPayload::Stream(stream) => {
                    let length = usize::try_from(wanted).map_err(|e| generic(Box::new(e)))?;
                    let bytes = self.io.buffers.fill(length, stream).await?;
                    // More than was asked for is of another version.
                    bytes.ok_or_else(|| OsError::Precondition {
                        path: at.to_string(),
                        source: format!("it sent more than {wanted} bytes").into(),
                    })?
                }
            };
            Ok((size, bytes))
        };
        let (size, bytes) = result.await.map_err(|e| {
            let mut error = self.error(path, &e);
            // What was listed and is gone or does not reach that far has changed under the run.
            if error.kind == StoreErrorKind::NotFound {
                error.kind = StoreErrorKind::Changed;
                error.reason =
                    "is gone since it was listed\nrun again to read what is there now".into();
            } else if error.kind == StoreErrorKind::Changed {
                error.reason = REPLACED.into();
            }
            error
        })?;
        if size != pin.size || bytes.len() as u64 != wanted {
            return Err(StoreError::new(
                StoreErrorKind::Changed,
                self.shown(path),
                format!(
                    "had {} bytes when it was listed and has {size} now\nrun again to read what is there now",
                    pin.size
                ),
            ));
        }
        Ok(bytes)
    }
}

const REPLACED: &str = "was replaced since it was listed\nrun again to read what is there now";

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> OsError {
    OsError::Generic { store: "local", source }
}

/// Whether the object is not there; a bucket that is not there is another matter.
/// Whether an object without bytes has the name of the folder that is listed.
fn shows(meta: &ObjectMeta, folder: &Path) -> bool {
    meta.size == 0 && meta.location == *folder
}

fn is_absent(error: &OsError) -> bool {
    matches!(error, OsError::NotFound { source, .. } if error::no_container(&source.to_string()).is_none())
}

/// Gaps up to this size are read rather than skipped: a request costs more than these bytes.
const COALESCE: u64 = 64 << 10;

/// Joins ranges that touch or nearly do; sorted.
fn merge_ranges(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.to_vec();
    sorted.sort_by_key(|r| r.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(COALESCE) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_folder_that_was_opened_and_not_out_of_it() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (folder, io) = (tempfile::tempdir().unwrap(), Io::new(runtime.handle().clone()));
        let file = |name: &str| folder.path().join(name);
        for (name, text) in [("one", "first"), ("two", "other")] {
            std::fs::create_dir(file(name)).unwrap();
            std::fs::write(file(name).join("a%20 b"), text).unwrap();
        }
        std::os::unix::fs::symlink(file("one"), file("link")).unwrap();
        let url = StoreUrl::parse("link/", folder.path(), &Default::default()).unwrap();
        let store = url.open(&io).unwrap();
        // The library followed the link when the folder was opened.
        std::fs::remove_file(file("link")).unwrap();
        std::os::unix::fs::symlink(file("two"), file("link")).unwrap();

        let (bytes, pin) = store.read("a%20 b").unwrap().unwrap();
        assert_eq!((bytes.as_ref(), store.head("a%20 b").unwrap()), (&b"first"[..], Some(pin)));
        let sized = Pin { size: 5, ..Pin::default() };
        let read = |path: &str| store.wait_for_ranges(path, &sized, &[1..3]);
        assert_eq!(read("a%20 b").unwrap(), ["ir"]);

        let outside = file("two").join("a%20 b").display().to_string();
        assert_eq!(store.read(&outside).unwrap(), None);
        assert_eq!(read(&outside).unwrap_err().kind, StoreErrorKind::Changed);
        assert!(store.read("../two/a%20 b").is_err() && read("../two/a%20 b").is_err());
    }

    #[test]
    fn neighbouring_ranges_are_fetched_together() {
        let merged = merge_ranges(&[100..200, 0..50, 1_000_000..1_000_010, 150..300]);
        assert_eq!(merged, vec![0..300, 1_000_000..1_000_010]);
    }
}
