//! Published tables, copied to a PostgreSQL database (`[output.postgres]`, docs/bi.md).
//!
//! The files of a run come first and stay what counts. The database is filled from them, in one
//! transaction for each run: it holds a run whole or not at all, and the same run again changes nothing.

mod address;
mod copy;
mod error;
mod fill;
mod layout;
mod look;
mod present;
mod session;
mod shape;
mod sql;
mod tls;
mod views;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::config::{DatabasePlan, referenced};
use crate::impact::{Query, Table, TableSpec};
use crate::moment::Moment;
use crate::publish::Publisher;
use crate::store::Io;

use address::Address;
use session::Session;

pub use error::{DatabaseError, FailureKind};
pub use fill::{Filled, Place};
pub use sql::history_of;

/// A database that runs are copied to, not connected yet.
#[derive(Debug)]
pub struct Database<'a> {
    plan: &'a DatabasePlan,
    address: Address,
    io: &'a Io,
    /// Set from outside to stop soon.
    stop: &'a AtomicBool,
}

impl<'a> Database<'a> {
    /// Reads the address that the plan refers to.
    ///
    /// # Errors
    /// References that lead nowhere and addresses that cannot be used; nothing of an address is repeated.
    pub fn new(
        plan: &'a DatabasePlan,
        io: &'a Io,
        stop: &'a AtomicBool,
    ) -> Result<Self, DatabaseError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let text = referenced("database address", &plan.url, Path::new("/"), &variable)
            .map_err(DatabaseError::Address)?;
        let address = Address::parse(text.trim(), &variable).map_err(DatabaseError::Address)?;
        Ok(Self { plan, address, io, stop })
    }

    /// Looks whether a run of `output` could be copied, before anything is counted: a password that is
    /// wrong is not told after hours.
    ///
    /// # Errors
    /// Whatever would keep the run out, and a database that cannot be reached.
    pub fn look(
        &self,
        output: &str,
        as_of: Moment,
        queries: &[Query],
    ) -> Result<(), DatabaseError> {
        // What no database could have is told before one is asked: it may be down.
        let shapes = look::check_as_of(as_of).and_then(|()| look::shapes(queries));
        let shapes = shapes.map_err(|reason| DatabaseError::Failed {
            kind: FailureKind::Settings,
            database: self.address.to_string(),
            reason,
        })?;
        let mut session = self.connect()?;
        look::look(&mut session, self.plan, output, &shapes)
    }

    /// Copies a published run, or sees that it is there.
    ///
    /// # Errors
    /// The database is as it was before.
    pub fn fill(&self, publisher: &Publisher, run_id: &str) -> Result<Filled, DatabaseError> {
        let mut session = self.connect()?;
        fill::fill(&mut session, self.plan, publisher, run_id)
    }

    fn connect(&self) -> Result<Session<'a>, DatabaseError> {
        Session::open(&self.address, self.io, self.stop)
    }
}

/// Columns of a published table as the database has them, those that it puts in front among them: name, type and
/// comment.
pub fn columns(spec: &TableSpec) -> Vec<(String, &'static str, String)> {
    let shape = shape::Shape::of(&spec.name, &Table::schema(spec), Some(spec));
    let columns = shape.into_iter().flat_map(|shape| shape.columns);
    columns.map(|column| (column.name, column.data_type, column.comment)).collect()
}
