//! Object stores: reads that are pinned to one version of an object, and writes that readers see whole.
//!
//! All storage goes through this module, so that credentials are found in one place and every failure
//! is sorted into what it means for the run: wrong settings, a changed input, or something worth a
//! retry.

mod buffers;
mod error;
mod local;
mod read;
mod remote;
mod secret;
mod service;
mod traffic;
mod upload;
mod url;
mod write;

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::TryStreamExt;
use futures::executor::block_on;
use object_store::path::Path;
use object_store::{Error as OsError, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use crate::moment::Moment;
use buffers::Buffers;

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

    /// Waits for what the library does, as [`Io::wait`]. Of a local folder it does it on this thread: where it sees a
    /// runtime, it has every call of the system made on another one, which takes longer than most of these calls.
    fn wait<F: Future>(&self, future: F) -> F::Output {
        match self.root {
            Some(_) => self.io.waiting(|| block_on(future)),
            None => self.io.wait(future),
        }
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
            self.wait(async { self.inner.list(Some(&prefix)).try_collect::<Vec<_>>().await });
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
        let found = self.wait(async {
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
        match self.wait(self.inner.head(&at)) {
            Ok(meta) => Ok(Some(self.pin(&meta))),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(self.error(path, &e)),
        }
    }
}

/// Whether an object without bytes has the name of the folder that is listed.
fn shows(meta: &ObjectMeta, folder: &Path) -> bool {
    meta.size == 0 && meta.location == *folder
}

/// Whether the object is not there; a bucket that is not there is another matter.
fn is_absent(error: &OsError) -> bool {
    matches!(error, OsError::NotFound { source, .. } if error::no_container(&source.to_string()).is_none())
}
