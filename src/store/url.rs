//! Where a URL leads. Credentials are found here and nowhere else, and are never printed.

use std::fmt;
use std::path::{Component, Path as FsPath, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::remote::Remote;
use super::{Io, Store, StoreError, StoreErrorKind, secret, service};
use crate::config::raw;

/// A checked address. Its `Display` never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreUrl {
    place: Place,
    options: raw::Store,
    /// Leading segments of the path that were not written by the user, or not as globs.
    fixed: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Local(PathBuf),
    Remote(Remote),
}

impl StoreUrl {
    /// Reads a path (relative to `base`), a `file://` URL or an address of one of
    /// the services (`service::SERVICES`). Files of secrets are relative to `base`, too.
    ///
    /// # Errors
    /// What is wrong with it; a URL that carries credentials is refused without repeating them.
    pub fn parse(text: &str, base: &FsPath, options: &raw::Store) -> Result<Self, String> {
        let options = check_options(options, base).map_err(|(_, message)| message)?;
        if text.trim().is_empty() {
            return Err("the address is empty; write a path or s3://bucket/prefix".into());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let (path, fixed) = absolute(text, base)?;
            if may_hold_password(text) && !path.exists() {
                return Err(MISTYPED.into());
            }
            let url = Self { place: Place::Local(path), options, fixed };
            return Ok(url.with_all_below(text));
        };
        let (place, segments) = match scheme {
            "file" => {
                let authority = rest.split('/').next().unwrap_or_default();
                if authority.contains('@') {
                    return Err("the file:// address carries credentials; take them out".into());
                }
                if rest.contains(['?', '#']) {
                    return Err(
                        "a file:// address takes no ? or #; write %3F and %23, or a path".into()
                    );
                }
                let url = url::Url::parse(text).map_err(|e| format!("bad file:// address: {e}"))?;
                let path = url
                    .to_file_path()
                    .map_err(|()| "a file:// address needs an absolute path: file:///data/logs/")?;
                (Place::Local(path), rest)
            }
            _ => {
                let remote = Remote::parse(scheme, rest)?;
                let key = if remote.service.escaped { path_of(rest) } else { "" };
                (Place::Remote(remote), key)
            }
        };
        // What was written as %5B or %7B is no glob.
        let parts = || segments.split('/').skip_while(|_| segments.is_empty());
        let fixed = parts().position(is_glob).unwrap_or_else(|| parts().count());
        Ok(Self { place, options, fixed }.with_all_below(text))
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
            Place::Remote(remote) => {
                let key = remote.key.trim_end_matches('/');
                let key = if key.is_empty() { child.to_string() } else { format!("{key}/{child}") };
                Place::Remote(remote.at(key))
            }
        };
        Self { place, ..self.clone() }
    }

    /// The same address without slashes at its end: a folder's last segment is its name.
    #[must_use]
    pub fn without_slash(&self) -> Self {
        let place = match &self.place {
            Place::Local(path) => Place::Local(path.clone()),
            Place::Remote(remote) => {
                Place::Remote(remote.at(remote.key.trim_end_matches('/').into()))
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
            Place::Remote(remote) => {
                let (folder, name) = remote.key.rsplit_once('/').unwrap_or(("", &remote.key));
                (Place::Remote(remote.at(folder.into())), name.to_string())
            }
        };
        (!name.is_empty()).then(|| (Self { place, ..self.clone() }, name))
    }

    /// Parts before and after the first segment with a glob character, where there is one.
    pub fn split_glob(&self) -> Option<(Self, String)> {
        let text = match &self.place {
            Place::Local(path) => path.to_str()?.to_string(),
            Place::Remote(remote) => remote.key.clone(),
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
            Place::Remote(remote) => Place::Remote(remote.at(head)),
        };
        Some((Self { place, ..self.clone() }, tail))
    }

    /// Whether `other` is the same folder or lies below it.
    pub fn contains(&self, other: &Self) -> bool {
        other.below(self).is_some()
    }

    /// Whether `other` is the same folder, by whichever links.
    pub fn is_same(&self, other: &Self) -> bool {
        self.contains(other) && other.contains(self)
    }

    /// The path of this address below `folder`, where it lies there.
    pub fn below(&self, folder: &Self) -> Option<String> {
        match (&folder.place, &self.place) {
            (Place::Local(folder), Place::Local(own)) => {
                let (own, folder) = (real(own), real(folder));
                own.strip_prefix(&folder).ok()?.to_str().map(str::to_string)
            }
            (Place::Remote(folder), Place::Remote(own)) => {
                let top = folder.key.trim_matches('/');
                let rest = own.key.trim_matches('/').strip_prefix(top)?;
                let inside = top.is_empty() || rest.is_empty() || rest.starts_with('/');
                (own.shares_container(folder) && inside)
                    .then(|| rest.trim_start_matches('/').to_string())
            }
            _ => None,
        }
    }

    /// The same place without links, as far as it is there: of a local folder or file its own path.
    #[must_use]
    pub fn real(&self) -> Self {
        match &self.place {
            Place::Local(path) => self.at_local(&real(path)),
            Place::Remote(_) => self.clone(),
        }
    }

    /// A local path, reached as this address is.
    #[must_use]
    pub fn at_local(&self, path: &FsPath) -> Self {
        Self { place: Place::Local(path.to_path_buf()), ..self.clone() }
    }

    /// The local path, where the address is one.
    pub fn local(&self) -> Option<&FsPath> {
        match &self.place {
            Place::Local(path) => Some(path),
            Place::Remote(_) => None,
        }
    }

    /// The container, and the path in it: a key as it is, of a web server the path of the address. Of a local
    /// path the path alone.
    pub fn container_and_path(&self) -> (String, String) {
        match &self.place {
            Place::Local(path) => (String::new(), path.display().to_string()),
            Place::Remote(remote) => {
                let is_path = remote.service.escaped;
                let key = remote.service.shown(&remote.key);
                let key = if is_path { format!("/{key}") } else { key };
                (service::full_root(remote, &self.options), key)
            }
        }
    }

    /// The kind of store, where nothing can be written to it.
    pub fn read_only(&self) -> Option<&'static str> {
        match &self.place {
            Place::Remote(remote) if remote.service.read_only => Some(remote.service.name),
            Place::Remote(_) | Place::Local(_) => None,
        }
    }

    /// Whether the address can only be that of one file: its store tells folders by their slash.
    pub fn names_a_file(&self) -> bool {
        match &self.place {
            Place::Remote(remote) => {
                let named = !remote.key.is_empty() && !remote.key.ends_with('/');
                remote.service.files_by_name && named && self.split_glob().is_none()
            }
            Place::Local(_) => false,
        }
    }

    /// Opens the folder for reading.
    ///
    /// # Errors
    /// Where it does not exist (local), or no credentials are at hand.
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
                    // Where this cannot be told the library reads alone.
                    home: path.canonicalize().ok(),
                    is_input: true,
                    service: None,
                    shown: self.to_string(),
                    io: io.clone(),
                })
            }
            Place::Remote(remote) => {
                let inner = service::open(remote, &self.options, &io.traffic)?;
                let prefix = Path::parse(&remote.key).map_err(|e| {
                    StoreError::new(StoreErrorKind::Settings, self.to_string(), e.to_string())
                })?;
                let (service, shown) = (Some(remote.service), self.to_string());
                let (root, home, is_input) = (None, None, true);
                Ok(Store { inner, prefix, root, home, is_input, service, shown, io: io.clone() })
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
        // The program's own place: none but its own files are in it.
        Ok(Store { is_input: false, ..self.open(io)? })
    }
}

/// The options of a store, checked; files of secrets are relative to `base`.
///
/// # Errors
/// The key that is wrong, and what is wrong with it; a secret is not repeated.
pub fn check_options(
    options: &raw::Store,
    base: &FsPath,
) -> Result<raw::Store, (&'static str, String)> {
    let mut options = options.clone();
    if let Some(endpoint) = &options.endpoint {
        check_endpoint("store.endpoint", endpoint).map_err(|message| ("endpoint", message))?;
    }
    secret::settle(&mut options, base)?;
    Ok(options)
}

/// What follows the host.
fn path_of(rest: &str) -> &str {
    rest.split_once('/').map_or("", |(_, path)| path)
}

/// Whether messages must not repeat a path: a mistyped address with a password (`https:/user:…@host`) is none.
fn may_hold_password(text: &str) -> bool {
    text.split_once(':').is_some_and(|(_, rest)| rest.contains('@'))
}

const MISTYPED: &str = "is not repeated here: it has an @ behind a colon, as an address with a password has, and is neither an address nor a path that is there\ntake credentials out (and change them: they may stand in a shell's history), and write an address as scheme://";

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
/// What is wrong with an endpoint that `name` gives, without repeating it where it carries credentials.
pub(super) fn check_endpoint(name: &str, endpoint: &str) -> Result<(), String> {
    let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if endpoint.contains(['@', '?']) {
        return Err(format!(
            "{name} carries credentials; take them out (and change them: they stood in a file) and \
             set those that the service's users set, or keys of `store` that are references"
        ));
    }
    if host.is_empty() {
        return Err(format!("{name} is `{endpoint}`; write http://host:port or https://host"));
    }
    Ok(())
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Local(path) => write!(f, "{}", path.display()),
            Place::Remote(remote) => remote.fmt(f),
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
