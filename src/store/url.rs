//! Where a URL leads. Credentials are found here and nowhere else, and are never printed.

use std::fmt;
use std::path::{Component, Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};

use super::{Io, Store, StoreError, StoreErrorKind};
use crate::config::raw;

/// A checked address. Its `Display` never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreUrl {
    place: Place,
    options: raw::Store,
    /// Leading segments of a local path that were not written by the user: no globs.
    fixed: usize,
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
        if let Some(endpoint) = &options.endpoint {
            check_endpoint(endpoint)?;
        }
        if text.trim().is_empty() {
            return Err("the address is empty; write a path or s3://bucket/prefix".into());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let (path, fixed) = absolute(text, base)?;
            let url = Self { place: Place::Local(path), options, fixed };
            return Ok(url.with_all_below(text));
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
                if rest.contains(['?', '#']) {
                    return Err(
                        "a file:// address takes no ? or #; write %3F and %23, or a path".into()
                    );
                }
                let url = url::Url::parse(text).map_err(|e| format!("bad file:// address: {e}"))?;
                let path = url
                    .to_file_path()
                    .map_err(|()| "a file:// address needs an absolute path: file:///data/logs/")?;
                // What was written as %5B or %7B is no glob.
                let segments = rest.split('/');
                let fixed = segments.clone().position(is_glob).unwrap_or(segments.count());
                let url = Self { place: Place::Local(path), options, fixed };
                Ok(url.with_all_below(text))
            }
            "s3" | "s3a" => {
                if rest.contains(['?', '#']) {
                    return Err("an s3:// address takes no ? or #; options stand in `store`".into());
                }
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(
                        "the s3:// address names no bucket; write s3://bucket/prefix".into()
                    );
                }
                let place = Place::S3 { bucket: bucket.into(), key: key.into() };
                Ok(Self { place, options, fixed: 0 }.with_all_below(text))
            }
            other => Err(format!(
                "`{other}://` is no known kind of address; write a path, file:// or s3://"
            )),
        }
    }

    /// Another address, whose store is reached as this one's.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn other(&self, text: &str, base: &FsPath) -> Result<Self, String> {
        Self::parse(text, base, &self.options)
    }

    /// A glob that ends in a slash names folders: all that lies below them is meant.
    fn with_all_below(self, written: &str) -> Self {
        let folders = written.ends_with('/') && self.split_glob().is_some();
        if folders { self.join("**") } else { self }
    }

    /// The address of something below.
    pub fn join(&self, child: &str) -> Self {
        let place = match &self.place {
            Place::Local(path) => Place::Local(path.join(child)),
            Place::S3 { bucket, key } => {
                let key = key.trim_end_matches('/');
                let key = if key.is_empty() { child.to_string() } else { format!("{key}/{child}") };
                Place::S3 { bucket: bucket.clone(), key }
            }
        };
        Self { place, ..self.clone() }
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
        (!name.is_empty()).then(|| (Self { place, ..self.clone() }, name))
    }

    /// Parts before and after the first segment with a glob character, where there is one.
    pub fn split_glob(&self) -> Option<(Self, String)> {
        let text = match &self.place {
            Place::Local(path) => path.to_str()?.to_string(),
            Place::S3 { key, .. } => key.clone(),
        };
        let segments: Vec<&str> = text.split('/').collect();
        let written = segments.get(self.fixed..)?;
        let first = self.fixed + written.iter().position(|s| is_glob(s))?;
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
        Some((Self { place, ..self.clone() }, tail))
    }

    /// Whether `other` is the same folder or lies below it.
    pub fn contains(&self, other: &Self) -> bool {
        other.below(self).is_some()
    }

    /// The path of this address below `folder`, where it lies there.
    pub fn below(&self, folder: &Self) -> Option<String> {
        match (&folder.place, &self.place) {
            (Place::Local(folder), Place::Local(own)) => {
                let (own, folder) = (real(own), real(folder));
                own.strip_prefix(&folder).ok()?.to_str().map(str::to_string)
            }
            (Place::S3 { bucket: folder_bucket, key: folder }, Place::S3 { bucket, key }) => {
                let folder = folder.trim_matches('/');
                let rest = key.trim_matches('/').strip_prefix(folder)?;
                let inside = folder.is_empty() || rest.is_empty() || rest.starts_with('/');
                (bucket == folder_bucket && inside)
                    .then(|| rest.trim_start_matches('/').to_string())
            }
            _ => None,
        }
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
                let kind = StoreErrorKind::Denied;
                StoreError::new(kind, self.to_string(), format!("the folder cannot be made: {e}"))
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
        if set("AWS_ACCESS_KEY_ID") && !set("AWS_SECRET_ACCESS_KEY") && !self.options.anonymous {
            return Err(StoreError::new(
                StoreErrorKind::Settings,
                self.to_string(),
                "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both",
            ));
        }
        let endpoint = self
            .options
            .endpoint
            .clone()
            .or_else(|| std::env::var("AWS_ENDPOINT_URL_S3").ok())
            .or_else(|| std::env::var("AWS_ENDPOINT_URL").ok())
            .or_else(|| std::env::var("AWS_ENDPOINT").ok());
        let mut builder =
            AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(RetryConfig {
                max_retries: 8,
                retry_timeout: Duration::from_secs(90),
                ..Default::default()
            });
        if let Some(endpoint) = endpoint {
            // Plain HTTP only where the address says so in so many words.
            builder = builder
                .with_allow_http(endpoint.starts_with("http://"))
                .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
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

fn is_glob(segment: &str) -> bool {
    segment.contains(['*', '?', '[', '{'])
}

/// An absolute path without `..`, so that a ledger does not depend on the folder that a run was started
/// in; and how many of its segments come from `base`.
fn absolute(text: &str, base: &FsPath) -> Result<(PathBuf, usize), String> {
    let failed = |e: std::io::Error| format!("the path {text} cannot be used: {e}");
    let base = base.canonicalize().or_else(|_| std::path::absolute(base)).map_err(failed)?;
    let mut path = if FsPath::new(text).is_absolute() { PathBuf::from("/") } else { base };
    let mut fixed = path.components().count();
    for part in FsPath::new(text).components() {
        match part {
            Component::ParentDir => {
                path.pop();
                fixed = fixed.min(path.components().count());
            }
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Ok((path, fixed))
}

/// The path without links, as far as it is there.
fn real(path: &FsPath) -> PathBuf {
    let there = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    match there {
        Some((part, real)) => path.strip_prefix(part).map_or(real.clone(), |rest| {
            if rest.as_os_str().is_empty() { real.clone() } else { real.join(rest) }
        }),
        None => path.to_path_buf(),
    }
}

/// # Errors
/// What is wrong with an endpoint, without repeating it where it carries credentials.
pub fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if host.contains('@') {
        return Err(
            "store.endpoint carries credentials; take them out (and change them: they stood \
                    in a file) and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
                .into(),
        );
    }
    if host.is_empty() {
        return Err(format!(
            "store.endpoint is `{endpoint}`; write http://host:port or https://host"
        ));
    }
    Ok(())
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Local(path) => write!(f, "{}", path.display()),
            Place::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        let error =
            StoreUrl::parse("s3://AKIA:hunter2@bucket/x", FsPath::new("."), &raw::Store::default())
                .unwrap_err();
        assert!(!error.contains("hunter2") && !error.contains("AKIA:"), "{error}");
    }
}
