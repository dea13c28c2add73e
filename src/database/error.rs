//! What keeps a run out of a database, sorted by what to do about it.

use std::error::Error as _;

use thiserror::Error;
use tokio_postgres::Error as PgError;

use crate::impact::ImpactError;
use crate::publish::PublishError;

/// What a failure of the database means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Network, server, locks, space: worth a retry.
    Transient,
    /// Address, rights or schema: somebody has to change something.
    Settings,
    /// What stands there is not what was published.
    Differs,
}

#[derive(Debug, Error)]
pub enum DatabaseError {
    #[error("{0}")]
    Publish(#[from] PublishError),

    #[error("{0}")]
    Impact(#[from] ImpactError),

    /// The address itself is not repeated.
    #[error("output.postgres.url: {0}")]
    Address(String),

    /// `database` names server and database, without user and password.
    #[error("{database}: {reason}")]
    Failed { kind: FailureKind, database: String, reason: String },

    #[error("interrupted; run the same command again to go on from here")]
    Interrupted,
}

impl DatabaseError {
    /// Whether a retry may help, without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Failed { kind: FailureKind::Transient, .. })
    }

    /// The same failure, with what else stands.
    pub fn with_next_step(self, next_step: &str) -> Self {
        match self {
            Self::Failed { kind, database, reason } => {
                Self::Failed { kind, database, reason: format!("{reason}\n{next_step}") }
            }
            other => other,
        }
    }
}

/// What is wrong, what it means, and what to do.
pub struct Told {
    pub kind: FailureKind,
    what: &'static str,
    /// In the server's or the library's words.
    said: String,
    next: &'static str,
}

impl Told {
    /// The failure of a statement or of a connection.
    pub fn of(error: &PgError) -> Self {
        match error.as_db_error() {
            Some(refused) => {
                let code = refused.code().code();
                let (kind, what, next) = of_code(code);
                // Its detail is left out: it may hold values of rows.
                Self { kind, what, said: format!("{}: {code}", refused.message()), next }
            }
            None => of_connection(error),
        }
    }

    /// `doing` says during what, for example "filling history_coverage".
    pub fn reason(&self, doing: &str) -> String {
        format!("{doing}: {} ({})\n{}", self.what, self.said, self.next)
    }
}

/// The classes of SQLSTATE in words (PostgreSQL documentation, appendix A).
fn of_code(code: &str) -> (FailureKind, &'static str, &'static str) {
    use FailureKind::{Differs, Settings, Transient};
    match code {
        "28000" | "28P01" => (
            Settings,
            "user or password is refused",
            "check both in the address, and what the server's pg_hba.conf allows",
        ),
        "3D000" => (Settings, "there is no such database", "create it, or name another"),
        "42501" => (
            Settings,
            "the user lacks a right",
            "docs/bi.md lists the rights that are needed: grant them, or let the owner of the tables run once",
        ),
        "25006" => (
            Settings,
            "the database takes no writes",
            "name the primary server in the address, not a standby; or make the database writable",
        ),
        "55P03" => (
            Transient,
            "another session holds a lock for longer than output.postgres.lock_timeout",
            "try again, or give it longer",
        ),
        "40001" | "40P01" => (Transient, "another session was in the way", "try again"),
        "53100" => (Transient, "the server's disk is full", "free some space there and try again"),
        "53300" => (Transient, "the server has too many connections", "try again"),
        "57014" => (
            Transient,
            "the statement was cancelled, or took longer than the server allows (statement_timeout)",
            "try again, or give the user longer: ALTER ROLE … SET statement_timeout",
        ),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => (Transient, "the connection broke", "try again"),
            "53" => (Transient, "the server has not enough resources", "try again later"),
            "57" => (Transient, "the server is starting or stopping", "try again"),
            "58" | "XX" => {
                (Transient, "the server met an error of its own", "look into its log and try again")
            }
            "22" => (
                Settings,
                "a value does not fit into the database",
                "please report it: every value of a table should",
            ),
            "23" => (
                Differs,
                "rows contradict what stands there",
                "remove by hand what was put there by hand, or name another schema",
            ),
            "42" | "3F" | "2B" => (
                Settings,
                "the schema is not as afterscope made it",
                "name another schema, or put back what was changed by hand",
            ),
            _ => (Settings, "the server refuses", "its message says why"),
        },
    }
}

/// A failure that no server told.
fn of_connection(error: &PgError) -> Told {
    use FailureKind::{Settings, Transient};
    let broke = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let broke = broke.is_some_and(|cause| {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
        [BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof].contains(&cause.kind())
    });
    let said = innermost(error);
    // The library tells kinds by these words alone.
    let (kind, what, next) = match error.to_string().as_str() {
        "error performing TLS handshake" if !broke => (
            Settings,
            "the TLS that was asked for is not to be had",
            "check sslmode and sslrootcert in the address, and the server's certificate",
        ),
        "invalid configuration" | "authentication error" => (
            Settings,
            "the address does not suffice to log in",
            "complete it: user, password (or PGPASSWORD), host, database",
        ),
        _ => (
            Transient,
            "the server cannot be reached, or the connection broke",
            "check host and port, and that the server runs; then try again",
        ),
    };
    Told { kind, what, said, next }
}

/// The deepest cause.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_code_means_is_told_by_code_then_by_class() {
        for (code, kind, what) in [
            ("28P01", FailureKind::Settings, "password"),
            ("3D000", FailureKind::Settings, "no such database"),
            ("42501", FailureKind::Settings, "right"),
            ("55P03", FailureKind::Transient, "lock"),
            ("53100", FailureKind::Transient, "disk is full"),
            ("57P03", FailureKind::Transient, "starting"),
            ("08006", FailureKind::Transient, "connection"),
            ("23505", FailureKind::Differs, "contradict"),
            ("42P01", FailureKind::Settings, "schema"),
            ("0A000", FailureKind::Settings, "refuses"),
        ] {
            let (found, words, next) = of_code(code);
            assert_eq!(found, kind, "{code}");
            assert!(words.contains(what) && !next.is_empty(), "{code}: {words}");
        }
    }
}
