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

    /// A failure of this program's own local files.
    pub fn of_io(object: impl Into<String>, error: &std::io::Error) -> Self {
        let kind = of_io(error.kind()).unwrap_or(StoreErrorKind::Transient);
        Self::new(kind, object, error.to_string()).with_next_step()
    }

    /// The same failure; where no space is left, with how much was to be written.
    pub(super) fn of_bytes(self, bytes: u64) -> Self {
        self.full(&format!("{bytes} bytes were to be written"))
    }

    /// The same of something that is written while it is made: how much of it there was by then.
    pub(super) fn after_bytes(self, bytes: u64) -> Self {
        self.full(&format!("{bytes} bytes were to be written by then"))
    }

    fn full(mut self, told: &str) -> Self {
        if self.kind == StoreErrorKind::Full {
            let (what, next) = self.reason.split_once('\n').unwrap_or((&self.reason, ""));
            self.reason = format!("{what}: {told}\n{next}");
        }
        self
    }

    fn with_next_step(mut self) -> Self {
        self.reason += match self.kind {
            StoreErrorKind::Full => "\nfree some space, or name another place",
            StoreErrorKind::Denied => "\ngive this user the rights, or name another place",
            _ => "",
        };
        self
    }

    /// The same failure, with what to do about it.
    pub fn hint(mut self, next_step: &str) -> Self {
        self.reason = format!("{}\n{next_step}", self.reason);
        self
    }

    pub(super) fn from_os(error: &OsError, object: String) -> Self {
        let reason = match error {
            // Said by this program, with the next step on a line of its own.
            OsError::NotSupported { source } => source.to_string(),
            _ => innermost(error),
        };
        let whole = error.to_string();
        if let Some(what) = no_container(&whole).or_else(|| no_container(&reason)) {
            let kind = StoreErrorKind::NotFound;
            return Self { kind, object, reason: format!("the {what} does not exist") };
        }
        // From here on the whole answer is looked at, and what is shown of it is little.
        let (answer, reason) = (reason.clone(), shown(reason));
        if whole.contains("RequestTimeTooSkewed") || answer.contains("RequestTimeTooSkewed") {
            let reason = format!("{reason}\nset the clock of this machine right");
            return Self { kind: StoreErrorKind::Denied, object, reason };
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
            _ => match io_kind(error).and_then(of_io) {
                Some(kind) => kind,
                // Listings of some services come with the status alone.
                _ if matches!(status(&answer), Some(401 | 403)) => StoreErrorKind::Denied,
                _ if status(&answer) == Some(404) => StoreErrorKind::NotFound,
                // Some services answer so with the status of a bad request.
                _ if whole.contains("ExpiredToken") => StoreErrorKind::Denied,
                _ if whole.contains("File system loop") => StoreErrorKind::Settings,
                _ => StoreErrorKind::Transient,
            },
        };
        Self { kind, object, reason }.with_next_step()
    }
}

/// What a failure of the file system means, where it says so.
fn of_io(kind: std::io::ErrorKind) -> Option<StoreErrorKind> {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some(StoreErrorKind::Full)
        }
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory => Some(StoreErrorKind::Denied),
        ErrorKind::NotFound => Some(StoreErrorKind::NotFound),
        _ => None,
    }
}

/// Whether there was no room.
pub fn is_full(error: &std::io::Error) -> bool {
    of_io(error.kind()) == Some(StoreErrorKind::Full)
}

/// The status of an answer, where a request failed by its answer.
fn status(reason: &str) -> Option<u16> {
    let rest = reason.strip_prefix("Server returned non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// What is shown of a failure. Of an answer it is the status, and the service's code and message: some services
/// repeat what was asked, with tokens and signatures in it.
fn shown(reason: String) -> String {
    const MOST: usize = 300;
    let cut = |text: &str| text.chars().take(MOST).collect::<String>();
    if status(&reason).is_none() {
        return if reason.len() > 4 * MOST { format!("{} …", cut(&reason)) } else { reason };
    }
    // The phrase behind the number holds no colon.
    let colons = reason.match_indices(": ").map(|(at, _)| at).nth(1);
    let (status, body) = reason.split_at(colons.unwrap_or(reason.len()));
    let said = |name: &str| said(body, name).map(cut);
    let said: Vec<String> = [said("Code"), said("Message")].into_iter().flatten().collect();
    if said.is_empty() { status.to_string() } else { format!("{status}: {}", said.join(": ")) }
}

/// A value of an answer in XML or JSON, by its name in XML.
fn said<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let xml = || {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0)
    };
    let json = || {
        let (_, rest) = body.split_once(&format!("\"{}\":", name.to_lowercase()))?;
        rest.trim_start().trim_start_matches('"').split(['"', ',', '}']).next()
    };
    xml().or_else(json).map(str::trim).filter(|text| !text.is_empty())
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
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Behind it the body of an answer would stand, which some have not.
    text.trim_end_matches(':').to_string()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_only_what_names_the_failure_is_shown() {
        let status = "Server returned non-2xx status code: 403 Forbidden";
        let body = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>The signature differs.</Message><StringToSign>AWS4-HMAC-SHA256 x-amz-security-token:TOKEN</StringToSign></Error>";
        let expected = format!("{status}: SignatureDoesNotMatch: The signature differs.");
        assert_eq!(shown(format!("{status}: {body}")), expected);
        let body = r#"{"error": {"code": 403, "message": "no access", "details": "TOKEN"}}"#;
        assert_eq!(shown(format!("{status}: {body}")), format!("{status}: 403: no access"));
        assert_eq!(shown(format!("{status}: <html>TOKEN</html>")), status);
        assert_eq!(shown(format!("{status}: TOKEN")), status);
        let long = format!("{status}: <Message>{}</Message>", "x".repeat(100_000));
        assert!(shown(long).len() < 400);
        assert_eq!(
            shown("the connection was reset: by peer: 5".into()),
            "the connection was reset: by peer: 5"
        );
    }
}
