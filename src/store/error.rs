//! Failures of storage, sorted by what they mean for a run.

use object_store::Error as OsError;
use thiserror::Error;

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

    /// The same failure, with what to do about it.
    pub fn hint(mut self, next_step: &str) -> Self {
        self.reason = format!("{}\n{next_step}", self.reason);
        self
    }

    pub(super) fn from_os(error: &OsError, object: String) -> Self {
        let mut reason = innermost(error);
        let whole = error.to_string();
        if let Some(what) = no_container(&whole).or_else(|| no_container(&reason)) {
            let kind = StoreErrorKind::NotFound;
            return Self { kind, object, reason: format!("the {what} does not exist") };
        }
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
                // Listings of some services come with the status alone.
                _ if matches!(status(&reason), Some(401 | 403)) => StoreErrorKind::Denied,
                _ if status(&reason) == Some(404) => StoreErrorKind::NotFound,
                // Some services answer so with the status of a bad request.
                _ if whole.contains("ExpiredToken") => StoreErrorKind::Denied,
                _ if whole.contains("File system loop") => StoreErrorKind::Settings,
                _ => StoreErrorKind::Transient,
            },
        };
        match kind {
            StoreErrorKind::Full => reason.push_str("\nfree some space, or name another place"),
            StoreErrorKind::Denied => {
                reason.push_str("\ngive this user the rights, or name another place");
            }
            _ => {}
        }
        Self { kind, object, reason }
    }
}

/// The status of an answer, where a request failed by its answer.
fn status(reason: &str) -> Option<u16> {
    let rest = reason.strip_prefix("Server returned non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// What is not there, where a service says that it is not an object but what holds objects.
pub(super) fn no_container(answer: &str) -> Option<&'static str> {
    let codes = [("NoSuchBucket", "bucket"), ("ContainerNotFound", "container")];
    codes.into_iter().find(|(code, _)| answer.contains(code)).map(|(_, what)| what)
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

/// Whether the connection broke.
pub(super) fn is_broken_off(error: &OsError) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let kind = io_kind(error);
    kind.is_some_and(|k| {
        [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&k)
    })
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
