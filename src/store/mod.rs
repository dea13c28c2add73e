//! Object stores: reads that are pinned to one version of an object, and writes that readers see whole.
//!
//! All storage goes through this module, so that credentials are found in one place and every failure
//! is sorted into what it means for the run: wrong settings, a changed input, or something worth a
//! retry.

mod buffers;
mod error;
mod upload;
mod url;

use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Error as OsError, GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use tokio::runtime::Handle;

use buffers::Buffers;

use crate::moment::Moment;

pub use error::{StoreError, StoreErrorKind};
pub use upload::Upload;
pub use url::{StoreUrl, check_endpoint};

/// The threads that wait for storage. Decoding never runs on them.
#[derive(Clone, Debug)]
pub struct Io {
    handle: Handle,
    buffers: Buffers,
}

impl Io {
    pub fn new(handle: Handle) -> Self {
        Self { handle, buffers: Buffers::default() }
    }

    /// Keeps up to so many bytes of buffers for local reads that follow.
    pub fn keep_buffers(&self, bytes: u64) {
        self.buffers.keep(bytes);
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for `future` on a thread that is not one of the runtime's.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

/// A folder in a store.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    prefix: Path,
    root: Option<PathBuf>,
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
}

impl Pin {
    fn of(meta: &ObjectMeta) -> Self {
        let (e_tag, version) = (meta.e_tag.clone(), meta.version.clone());
        Self { size: meta.size, e_tag, version, deletes: None }
    }
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
        let (prefix, root) = (Path::default(), None);
        Self { inner, prefix, root, shown: shown.to_string(), io: io.clone() }
    }

    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The address of `path`, without credentials.
    pub fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.shown.trim_end_matches('/'))
    }

    /// The local folder, where the store is one.
    pub fn local_root(&self) -> Option<&FsPath> {
        self.root.as_deref()
    }

    fn at(&self, path: &str) -> Result<Path, StoreError> {
        let below = Path::parse(path).map_err(|e| {
            StoreError::new(StoreErrorKind::Settings, self.shown(path), e.to_string())
        })?;
        Ok(self.prefix.parts().chain(below.parts()).collect())
    }

    fn error(&self, path: &str, error: &OsError) -> StoreError {
        StoreError::from_os(error, self.shown(path))
    }

    /// Every object below, sorted by path (bytes).
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
            .map(|meta| Listed {
                path: meta.location.parts().skip(depth).collect::<Path>().to_string(),
                pin: Pin::of(meta),
                written: Moment::from_micros(meta.last_modified.timestamp_micros()),
            })
            .collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The object's version; `None` where it is not there.
    ///
    /// # Errors
    /// Other storage failures.
    pub fn head(&self, path: &str) -> Result<Option<Pin>, StoreError> {
        let at = self.at(path)?;
        match self.io.wait(self.inner.head(&at)) {
            Ok(meta) => Ok(Some(Pin::of(&meta))),
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
        let result = self.io.wait(async {
            let got = self.inner.get(&at).await?;
            let pin = Pin::of(&got.meta);
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
        let fetched = futures::stream::iter(merged.iter().cloned())
            .map(|range| self.read_range(path, &at, pin, range))
            .buffered(8)
            .try_collect::<Vec<_>>()
            .await?;
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
            let size = got.meta.size;
            let bytes = match got.payload {
                GetResultPayload::File(file, _) => {
                    let buffers = self.io.buffers.clone();
                    let length = usize::try_from(got.range.end - got.range.start);
                    let length = length.map_err(|e| generic(Box::new(e)))?;
                    let from = got.range.start;
                    tokio::task::spawn_blocking(move || buffers.read(&file, from, length))
                        .await
                        .map_err(|e| generic(Box::new(e)))?
                        .map_err(|e| generic(Box::new(e)))?
                }
                GetResultPayload::Stream(_) => got.bytes().await?,
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
                error.reason =
                    "was replaced since it was listed\nrun again to read what is there now".into();
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

    /// Creates an object; `false` where there is one already.
    ///
    /// # Errors
    /// Storage failures.
    pub fn create(&self, path: &str, bytes: Bytes) -> Result<bool, StoreError> {
        self.create_of(path, vec![bytes])
    }

    /// As [`Self::create`], from parts that follow each other.
    ///
    /// # Errors
    /// Storage failures.
    pub fn create_of(&self, path: &str, parts: Vec<Bytes>) -> Result<bool, StoreError> {
        match self.put(path, parts, PutMode::Create) {
            Ok(_) => Ok(true),
            Err(OsError::AlreadyExists { .. } | OsError::Precondition { .. }) => Ok(false),
            Err(e) => Err(self.error(path, &e)),
        }
    }

    /// Writes an object, over an older one if need be. Readers see the old or the new one, whole.
    ///
    /// # Errors
    /// Storage failures.
    pub fn replace(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put(path, vec![bytes], PutMode::Overwrite)
            .map(|_| ())
            .map_err(|e| self.error(path, &e))
    }

    /// Takes the folder for this program's own: by the file `owner` in it. Where it holds anything and
    /// that file is not there, gives the first file of somebody else.
    ///
    /// # Errors
    /// Storage failures.
    pub fn claim(&self, owner: &str, mark: Bytes) -> Result<Option<String>, StoreError> {
        if self.head(owner)?.is_some() {
            return Ok(None);
        }
        let listed = self.list("")?;
        // Another run may have claimed the folder a moment ago.
        if let Some(first) = listed.first()
            && !listed.iter().any(|l| l.path == owner)
        {
            return Ok(Some(first.path.clone()));
        }
        self.create(owner, mark)?;
        Ok(None)
    }

    /// Replaces exactly the version `pin`; `false` where there is another by now. Not for local
    /// folders, which have no such operation.
    ///
    /// # Errors
    /// Storage failures.
    pub fn replace_if(&self, path: &str, bytes: Bytes, pin: &Pin) -> Result<bool, StoreError> {
        let version = UpdateVersion { e_tag: pin.e_tag.clone(), version: pin.version.clone() };
        match self.put(path, vec![bytes], PutMode::Update(version)) {
            Ok(_) => Ok(true),
            Err(OsError::Precondition { .. } | OsError::NotFound { .. }) => Ok(false),
            Err(e) => Err(self.error(path, &e)),
        }
    }

    fn put(&self, path: &str, parts: Vec<Bytes>, mode: PutMode) -> Result<(), OsError> {
        let at =
            self.at(path).map_err(|e| OsError::Generic { store: "path", source: Box::new(e) })?;
        let options = PutOptions { mode, ..Default::default() };
        self.io.wait(self.inner.put_opts(&at, PutPayload::from_iter(parts), options)).map(|_| ())
    }

    /// Begins an object that is written in parts; readers see it when it is finished, over an older
    /// one if there is one.
    ///
    /// # Errors
    /// Storage failures.
    pub fn upload(&self, path: &str) -> Result<Upload, StoreError> {
        let at = self.at(path)?;
        let parts =
            self.io.wait(self.inner.put_multipart(&at)).map_err(|e| self.error(path, &e))?;
        Ok(Upload::new(parts, self.shown(path), self.io.clone()))
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// Storage failures.
    pub fn remove(&self, path: &str) -> Result<(), StoreError> {
        let at = self.at(path)?;
        match self.io.wait(self.inner.delete(&at)) {
            Ok(()) | Err(OsError::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.error(path, &e)),
        }
    }
}

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> OsError {
    OsError::Generic { store: "local", source }
}

/// Whether the object is not there; a bucket that is not there is another matter.
fn is_absent(error: &OsError) -> bool {
    matches!(error, OsError::NotFound { source, .. } if !source.to_string().contains("NoSuchBucket"))
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
    fn neighbouring_ranges_are_fetched_together() {
        let merged = merge_ranges(&[100..200, 0..50, 1_000_000..1_000_010, 150..300]);
        assert_eq!(merged, vec![0..300, 1_000_000..1_000_010]);
    }
}
