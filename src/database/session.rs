//! A connection, and waiting for it: failures are told by server and database, and a signal ends the wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{CancelToken, Client, Error as PgError, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::error::{DatabaseError, FailureKind, Told};
use super::tls;
use crate::store::Io;

/// How often a wait looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);

/// The server may be silent for so long. Waiting for locks is bounded on its own.
const SILENCE: Duration = Duration::from_mins(10);

/// A connection.
pub struct Session<'a> {
    pub client: Client,
    pub at: At<'a>,
}

/// The database that a session is with.
#[derive(Clone)]
pub struct At<'a> {
    io: &'a Io,
    stop: &'a AtomicBool,
    /// Server and database, for messages.
    shown: String,
    server: String,
    /// Ends what the server does for the session; none while it is opened.
    cancel: Option<Cancel>,
}

/// What it takes to ask the server, by a connection of its own, to end a statement: one that waits for a lock would not
/// notice otherwise that nobody waits for it any more.
#[derive(Clone)]
struct Cancel {
    token: CancelToken,
    tls: MakeRustlsConnect,
}

impl Cancel {
    /// A run that was interrupted waits so long for the server to hear of it.
    const LIMIT: Duration = Duration::from_secs(2);

    async fn send(&self) {
        // A server that cannot be reached ends the statement when it notices, or at its limits.
        let _ = tokio::time::timeout(Self::LIMIT, self.token.cancel_query(self.tls.clone())).await;
    }
}

impl<'a> Session<'a> {
    /// # Errors
    /// A server that cannot be reached or says no.
    pub fn open(
        address: &Address,
        io: &'a Io,
        stop: &'a AtomicBool,
    ) -> Result<Self, DatabaseError> {
        let (shown, server) = (address.to_string(), address.server());
        let mut at = At { io, stop, shown, server, cancel: None };
        let tls = tls::connector(address).map_err(|reason| at.refused(&reason))?;
        // What the library's own limit bounds is the connection alone, and not what the server says then.
        let limit = address.config.get_connect_timeout().copied().unwrap_or(SILENCE);
        let connecting = address.config.connect(tls.clone());
        let (client, connection) = at.wait_for(limit, "connecting", connecting)?;
        // It ends with the client; what breaks it is told by the statement that meets it.
        io.handle().spawn(async move {
            let _ = connection.await;
        });
        at.cancel = Some(Cancel { token: client.cancel_token(), tls });
        Ok(Self { client, at })
    }

    /// Begins a transaction: undone unless it is committed. No lock is waited for longer than so many
    /// milliseconds.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn begin(&mut self, lock_timeout_ms: i64) -> Result<Work<'_, 'a>, DatabaseError> {
        let transaction = self.at.wait("beginning", self.client.transaction())?;
        let work = Work { transaction, at: self.at.clone() };
        // What statements here rest on, whatever the server or the role is set to. Others may have put functions
        // and types of the system's names into schemas that come first there (CVE-2018-1058).
        let settings = format!(
            "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL quote_all_identifiers = off; SET LOCAL lock_timeout = '{lock_timeout_ms}ms'; SET LOCAL standard_conforming_strings = on; SET LOCAL client_min_messages = warning"
        );
        work.execute("beginning", &settings)?;
        Ok(work)
    }
}

impl At<'_> {
    /// Waits for the server.
    ///
    /// # Errors
    /// What the server says, told as a failure of `doing`, or that it says nothing;
    /// [`DatabaseError::Interrupted`].
    pub fn wait<T>(
        &self,
        doing: &str,
        work: impl Future<Output = Result<T, PgError>>,
    ) -> Result<T, DatabaseError> {
        self.wait_for(SILENCE, doing, work)
    }

    fn wait_for<T>(
        &self,
        limit: Duration,
        doing: &str,
        work: impl Future<Output = Result<T, PgError>>,
    ) -> Result<T, DatabaseError> {
        let from = Instant::now();
        let done = self.io.wait(async {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    done = &mut work => return Ok(done),
                    () = tokio::time::sleep(LOOK) => {
                        let why = if self.stop.load(Ordering::SeqCst) {
                            DatabaseError::Interrupted
                        } else if from.elapsed() >= limit {
                            self.silent(doing, limit)
                        } else {
                            continue;
                        };
                        if let Some(cancel) = &self.cancel {
                            cancel.send().await;
                        }
                        return Err(why);
                    }
                }
            }
        });
        done?.map_err(|error| {
            let told = Told::of(&error);
            let (kind, reason) = (told.kind, told.reason(doing));
            DatabaseError::Failed { kind, database: self.shown.clone(), reason }
        })
    }

    /// The same, but that an interruption asks the server for nothing: of a commit that waits for another server, the
    /// wait alone would end.
    pub fn uncancelled(self) -> Self {
        Self { cancel: None, ..self }
    }

    /// Host and port.
    pub fn server(&self) -> &str {
        &self.server
    }

    fn silent(&self, doing: &str, limit: Duration) -> DatabaseError {
        let seconds = limit.as_secs();
        let reason = format!(
            "{doing}: the server has not answered for {seconds} seconds\nlook whether it is well, and run again"
        );
        DatabaseError::Failed { kind: FailureKind::Transient, database: self.shown.clone(), reason }
    }

    /// Something that somebody has to change.
    pub fn refused(&self, reason: &str) -> DatabaseError {
        let (kind, reason) = (FailureKind::Settings, reason.to_string());
        DatabaseError::Failed { kind, database: self.shown.clone(), reason }
    }

    /// What stands there is not what was published.
    pub fn differs(&self, reason: &str) -> DatabaseError {
        let (kind, reason) = (FailureKind::Differs, reason.to_string());
        DatabaseError::Failed { kind, database: self.shown.clone(), reason }
    }
}

/// A transaction under way.
pub struct Work<'s, 'a> {
    pub transaction: Transaction<'s>,
    pub at: At<'a>,
}

impl Work<'_, '_> {
    /// Statements without parameters or results.
    ///
    /// # Errors
    /// As [`At::wait`].
    pub fn execute(&self, doing: &str, statements: &str) -> Result<(), DatabaseError> {
        self.at.wait(doing, self.transaction.batch_execute(statements))
    }

    /// # Errors
    /// As [`At::wait`].
    pub fn rows(
        &self,
        doing: &str,
        statement: &str,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, DatabaseError> {
        self.at.wait(doing, self.transaction.query(statement, values))
    }

    /// The one row that there must be.
    ///
    /// # Errors
    /// As [`At::wait`].
    pub fn row(
        &self,
        doing: &str,
        statement: &str,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<tokio_postgres::Row, DatabaseError> {
        self.at.wait(doing, self.transaction.query_one(statement, values))
    }

    /// What `column` of a row holds.
    ///
    /// # Errors
    /// Another type than the statement gives: a bug, told as the library tells it.
    pub fn value<'r, T: tokio_postgres::types::FromSql<'r>>(
        &self,
        row: &'r tokio_postgres::Row,
        column: usize,
    ) -> Result<T, DatabaseError> {
        row.try_get(column).map_err(|error| self.at.refused(&Told::of(&error).reason("reading")))
    }
}
