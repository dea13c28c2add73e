//! The database beside the output (`[output.postgres]`): looked at before anything is read, filled once the run
//! stands published.

use std::sync::Arc;

use super::Observer;
use crate::config::RunPlan;
use crate::database::{Database, Filled};
use crate::error::Error;
use crate::impact::Query;
use crate::publish::Publisher;
use crate::scan::Progress;
use crate::store::Io;

/// The database, where the plan names one. What would keep the run out for good ends it here; what may pass
/// is told, and the database is tried again when the run stands.
///
/// # Errors
/// Addresses, rights and schemas that do not suffice.
pub fn look<'a>(
    plan: &'a RunPlan,
    queries: &[Query],
    io: &'a Io,
    progress: &'a Arc<Progress>,
    observer: &dyn Observer,
) -> Result<Option<Database<'a>>, Error> {
    let Some(of) = &plan.database else { return Ok(None) };
    let database = Database::new(of, io, &progress.stop)?;
    let output = plan.output.to_string();
    match database.look(output.trim_end_matches('/'), plan.as_of, queries) {
        Err(error) if error.is_transient() => observer.warn(&format!(
            "{error}\nthe run goes on; the database is tried again when it stands published"
        )),
        other => other?,
    }
    Ok(Some(database))
}

/// Puts the run that stands published into the database.
///
/// # Errors
/// What kept it out; the database is as it was, and the run stands.
pub fn fill(
    database: &Database<'_>,
    plan: &RunPlan,
    run_id: &str,
    io: &Io,
    observer: &dyn Observer,
) -> Result<Filled, Error> {
    observer.stage("filling the database");
    let publisher = Publisher::look(plan.output.open(io)?);
    let next = format!(
        "run {run_id} stands published in {}, and the database is as it was: the same command puts the run there and counts nothing again",
        publisher.shown()
    );
    let filled = database.fill(&publisher, run_id).map_err(|error| error.with_next_step(&next))?;
    for (table, nuls) in &filled.nuls {
        observer.warn(&format!(
            "table {table}: {nuls} characters U+0000 stand in the database as [U+0000], as in CSV: no text of PostgreSQL holds them"
        ));
    }
    if let Some(run) = &filled.strange {
        let (output, schema) = (publisher.shown(), &filled.place.schema);
        observer.warn(&format!(
            "run {run} was the latest in schema \"{schema}\", and {output} does not have it: it was removed there, or another machine puts the runs of its own {output} into the same schema, and what is the latest there is neither's\nwhere it is another machine, give each a schema of its own (output.postgres.schema)"
        ));
    }
    Ok(filled)
}
