//! Object stores: where a URL leads, and reads that are pinned to one version of an object.
//!
//! All storage goes through this module, so that credentials are found in one place, never printed,
//! and every failure is sorted into what it means for the run: wrong settings, a changed input, or
//! something worth a retry.

use std::fmt;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Error as OsError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, RetryConfig, UpdateVersion,
};
use thiserror::Error;
use tokio::runtime::Handle;

use crate::config::raw;

/// A checked address. Its `Display` never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreUrl {
    place: Place,
    options: raw::Store,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Local(PathBuf),
    S3 { bucket: String, key: String },
}

impl StoreUrl {
    /// Reads a path (relative to `base`), `file://` or `s3://` URL.
    ///
    /// # Errors
    /// What is wrong with it; a URL that carries credentials is refused without repeating them.
    pub fn parse(text: &str, base: &FsPath, options: &raw::Store) -> Result<Self, String> {
        let options = options.clone();
        if text.trim().is_empty() {
            return Err("the address is empty; write a path or s3://bucket/prefix".into());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self { place: Place::Local(base.join(text)), options });
        };
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(format!(
                "the {scheme}:// address carries credentials; take them out (and change them: they \
                 stood in a file) and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
            ));
        }
        match scheme {
            "file" => {
                let url = url::Url::parse(text).map_err(|e| format!("bad file:// address: {e}"))?;
                let path = url
                    .to_file_path()
                    .map_err(|()| "a file:// address needs an absolute path: file:///data/logs/")?;
                Ok(Self { place: Place::Local(path), options })
            }
            "s3" | "s3a" => {
                if rest.contains(['?', '#']) {
                    return Err("an s3:// address takes no ? or #; options stand in `store`".into());
                }
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err("the s3:// address names no bucket; write s3://bucket/prefix".into());
                }
                let place = Place::S3 { bucket: bucket.into(), key: key.into() };
                Ok(Self { place, options })
            }
            other => Err(format!(
                "`{other}://` is no known kind of address; write a path, file:// or s3://"
            )),
        }
    }

    /// The address of something below.
    pub fn join(&self, child: &str) -> Self {
        let place = match &self.place {
            Place::Local(path) => Place::Local(path.join(child)),
            Place::S3 { bucket, key } => {
                let key = key.trim_end_matches('/');
                let key =
                    if key.is_empty() { child.to_string() } else { format!("{key}/{child}") };
                Place::S3 { bucket: bucket.clone(), key }
            }
        };
        Self { place, options: self.options.clone() }
    }

    /// Folder and last segment: `logs/a.parquet` is `(logs, a.parquet)`.
    pub fn split_last(&self) -> Option<(Self, String)> {
        let (place, name) = match &self.place {
            Place::Local(path) => {
                let name = path.file_name()?.to_str()?.to_string();
                (Place::Local(path.parent()?.to_path_buf()), name)
            }
            Place::S3 { bucket, key } => {
                let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
                (Place::S3 { bucket: bucket.clone(), key: folder.into() }, name.to_string())
            }
        };
        (!name.is_empty()).then(|| (Self { place, options: self.options.clone() }, name))
    }

    /// Parts before and after the first segment with a glob character, where there is one.
    pub fn split_glob(&self) -> Option<(Self, String)> {
        let is_glob = |segment: &str| segment.contains(['*', '?', '[', '{']);
        let text = match &self.place {
            Place::Local(path) => path.to_str()?.to_string(),
            Place::S3 { key, .. } => key.clone(),
        };
        let segments: Vec<&str> = text.split('/').collect();
        let first = segments.iter().position(|s| is_glob(s))?;
        let head = segments.get(..first)?.join("/");
        let tail = segments.get(first..)?.join("/");
        let place = match &self.place {
            Place::Local(_) if head.is_empty() && text.starts_with('/') => {
                Place::Local(PathBuf::from("/"))
            }
            Place::Local(_) if head.is_empty() => Place::Local(PathBuf::from(".")),
            Place::Local(_) => Place::Local(PathBuf::from(head)),
            Place::S3 { bucket, .. } => Place::S3 { bucket: bucket.clone(), key: head },
        };
        Some((Self { place, options: self.options.clone() }, tail))
    }

    /// The local path, where the address is one.
    pub fn local(&self) -> Option<&FsPath> {
        match &self.place {
            Place::Local(path) => Some(path),
            Place::S3 { .. } => None,
        }
    }

    /// Opens the folder for reading.
    ///
    /// # Errors
    /// Where it does not exist (local), or no credentials are at hand (S3).
    pub fn open(&self, io: &Io) -> Result<Store, StoreError> {
        match &self.place {
            Place::Local(path) => {
                if !path.is_dir() {
                    let what = if path.exists() { "is not a folder" } else { "does not exist" };
                    return Err(StoreError::new(StoreErrorKind::NotFound, self.to_string(), what));
                }
                let inner = LocalFileSystem::new_with_prefix(path)
                    .map_err(|e| StoreError::from_os(&e, self.to_string()))?;
                Ok(Store {
                    inner: Arc::new(inner),
                    prefix: Path::default(),
                    root: Some(path.clone()),
                    shown: self.to_string(),
                    io: io.clone(),
                })
            }
            Place::S3 { bucket, key } => {
                let inner = self.s3(bucket)?;
                let prefix = Path::parse(key).map_err(|e| {
                    StoreError::new(StoreErrorKind::Settings, self.to_string(), e.to_string())
                })?;
                let shown = self.to_string();
                Ok(Store { inner, prefix, root: None, shown, io: io.clone() })
            }
        }
    }

    /// Opens the folder for writing; a local one is made where it does not exist.
    ///
    /// # Errors
    /// As [`Self::open`], and where the folder cannot be made.
    pub fn open_or_create(&self, io: &Io) -> Result<Store, StoreError> {
        if let Place::Local(path) = &self.place {
            std::fs::create_dir_all(path).map_err(|e| {
                StoreError::new(StoreErrorKind::Denied, self.to_string(), format!("cannot be made: {e}"))
            })?;
        }
        self.open(io)
    }

    fn s3(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let set = |name: &str| std::env::var(name).is_ok_and(|v| !v.is_empty());
        let known = set("AWS_ACCESS_KEY_ID")
            || set("AWS_WEB_IDENTITY_TOKEN_FILE")
            || set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            || set("AWS_CONTAINER_CREDENTIALS_FULL_URI")
            || set("AWS_SKIP_SIGNATURE");
        if !known && !self.options.anonymous && !self.options.instance_metadata {
            return Err(StoreError::new(
                StoreErrorKind::Settings,
                self.to_string(),
                "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and \
                 AWS_SESSION_TOKEN), or say store.instance_metadata = true to ask the machine's \
                 metadata service, or store.anonymous = true for a public bucket",
            ));
        }
        let endpoint = self
            .options
            .endpoint
            .clone()
            .or_else(|| std::env::var("AWS_ENDPOINT_URL_S3").ok())
            .or_else(|| std::env::var("AWS_ENDPOINT_URL").ok())
            .or_else(|| std::env::var("AWS_ENDPOINT").ok());
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(RetryConfig {
                max_retries: 8,
                retry_timeout: Duration::from_secs(90),
                ..Default::default()
            });
        if let Some(endpoint) = endpoint {
            // Plain HTTP only where the address says so in so many words.
            builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
        }
        if let Some(region) = &self.options.region {
            builder = builder.with_region(region);
        }
        if let Some(virtual_hosted) = self.options.virtual_hosted_style {
            builder = builder.with_virtual_hosted_style_request(virtual_hosted);
        }
        if self.options.anonymous {
            builder = builder.with_skip_signature(true);
        }
        let store = builder.build().map_err(|e| StoreError::from_os(&e, self.to_string()))?;
        Ok(Arc::new(store))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Local(path) => write!(f, "{}", path.display()),
            Place::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// The threads that wait for storage. Decoding never runs on them.
#[derive(Clone, Debug)]
pub struct Io {
    handle: Handle,
}

impl Io {
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for `future` on a thread that is not one of the runtime's.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

/// What a failure of storage means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The object or folder is not there.
    NotFound,
    /// Credentials do not suffice, or the file system says no.
    Denied,
    /// An address or option is wrong.
    Settings,
    /// The object is not the version that was asked for.
    Changed,
    /// A conditional create found an object, or a conditional replace another version.
    Conflict,
    /// Network or service: worth a retry.
    Transient,
    /// No space is left.
    Full,
}

/// A failure of storage.
#[derive(Debug, Error)]
#[error("{object}: {reason}")]
pub struct StoreError {
    pub kind: StoreErrorKind,
    /// Address of the object, without credentials.
    pub object: String,
    pub reason: String,
}

impl StoreError {
    pub fn new(kind: StoreErrorKind, object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { kind, object: object.into(), reason: reason.into() }
    }

    fn from_os(error: &OsError, object: String) -> Self {
        let mut reason = innermost(error);
        let kind = match error {
            OsError::NotFound { .. } => StoreErrorKind::NotFound,
            OsError::AlreadyExists { .. } => StoreErrorKind::Conflict,
            OsError::Precondition { .. } | OsError::NotModified { .. } => StoreErrorKind::Changed,
            OsError::PermissionDenied { .. } | OsError::Unauthenticated { .. } => {
                StoreErrorKind::Denied
            }
            OsError::InvalidPath { .. }
            | OsError::NotSupported { .. }
            | OsError::NotImplemented { .. }
            | OsError::UnknownConfigurationKey { .. } => StoreErrorKind::Settings,
            _ => match io_kind(error) {
                Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
                    StoreErrorKind::Full
                }
                Some(
                    std::io::ErrorKind::PermissionDenied
                    | std::io::ErrorKind::ReadOnlyFilesystem
                    | std::io::ErrorKind::NotADirectory
                    | std::io::ErrorKind::IsADirectory,
                ) => StoreErrorKind::Denied,
                Some(std::io::ErrorKind::NotFound) => StoreErrorKind::NotFound,
                _ => StoreErrorKind::Transient,
            },
        };
        if kind == StoreErrorKind::NotFound && reason.contains("NoSuchBucket") {
            reason = "the bucket does not exist".into();
        }
        Self { kind, object, reason }
    }
}

/// The deepest cause, on one line: outer layers repeat it with request details.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let text = if text.is_empty() { error.to_string() } else { text };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn io_kind(error: &OsError) -> Option<std::io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = inner.source();
    }
    None
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Pin {
    pub size: u64,
    pub e_tag: Option<String>,
    pub version: Option<String>,
}

impl Pin {
    fn of(meta: &ObjectMeta) -> Self {
        Self { size: meta.size, e_tag: meta.e_tag.clone(), version: meta.version.clone() }
    }
}

/// An object of a listing: path below the folder, and its version.
#[derive(Clone, Debug)]
pub struct Listed {
    pub path: String,
    pub pin: Pin,
}

impl Store {
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
        let listed = self.io.wait(async {
            self.inner.list(Some(&prefix)).try_collect::<Vec<_>>().await
        });
        let mut found: Vec<Listed> = listed
            .map_err(|e| self.error(below, &e))?
            .iter()
            .map(|meta| Listed {
                path: meta.location.parts().skip(depth).collect::<Path>().to_string(),
                pin: Pin::of(meta),
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
            Err(OsError::NotFound { .. }) => Ok(None),
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
            Err(OsError::NotFound { .. }) => Ok(None),
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
            Ok((size, got.bytes().await?))
        };
        let (size, bytes) = result.await.map_err(|e| {
            let mut error = self.error(path, &e);
            // What was listed and is gone or does not reach that far has changed under the run.
            if error.kind == StoreErrorKind::NotFound {
                error.kind = StoreErrorKind::Changed;
                error.reason = "is gone since it was listed".into();
            } else if error.kind == StoreErrorKind::Changed {
                error.reason = "was replaced since it was listed".into();
            }
            error
        })?;
        if size != pin.size || bytes.len() as u64 != wanted {
            return Err(StoreError::new(
                StoreErrorKind::Changed,
                self.shown(path),
                format!("had {} bytes when it was listed and has {size} now", pin.size),
            ));
        }
        Ok(bytes)
    }

    /// Creates an object; `false` where there is one already.
    ///
    /// # Errors
    /// Storage failures.
    pub fn create(&self, path: &str, bytes: Bytes) -> Result<bool, StoreError> {
        match self.put(path, bytes, PutMode::Create) {
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
        self.put(path, bytes, PutMode::Overwrite).map(|_| ()).map_err(|e| self.error(path, &e))
    }

    /// Replaces exactly the version `pin`; `false` where there is another by now. Not for local
    /// folders, which have no such operation.
    ///
    /// # Errors
    /// Storage failures.
    pub fn replace_if(&self, path: &str, bytes: Bytes, pin: &Pin) -> Result<bool, StoreError> {
        let version = UpdateVersion { e_tag: pin.e_tag.clone(), version: pin.version.clone() };
        match self.put(path, bytes, PutMode::Update(version)) {
            Ok(_) => Ok(true),
            Err(OsError::Precondition { .. } | OsError::NotFound { .. }) => Ok(false),
            Err(e) => Err(self.error(path, &e)),
        }
    }

    fn put(&self, path: &str, bytes: Bytes, mode: PutMode) -> Result<(), OsError> {
        let at = self.at(path).map_err(|e| OsError::Generic { store: "path", source: Box::new(e) })?;
        let options = PutOptions { mode, ..Default::default() };
        self.io.wait(self.inner.put_opts(&at, PutPayload::from_bytes(bytes), options)).map(|_| ())
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

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        let error = StoreUrl::parse("s3://AKIA:hunter2@bucket/x", FsPath::new("."), &raw::Store::default())
            .unwrap_err();
        assert!(!error.contains("hunter2") && !error.contains("AKIA:"), "{error}");
    }
}
