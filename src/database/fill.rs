//! A published run, put into the database in one transaction.

use std::collections::BTreeMap;
use std::pin::pin;

use arrow::datatypes::Schema;
use bytes::Bytes;
use futures::SinkExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde::Serialize;
use serde_json::Value;

use super::copy::Rows;
use super::error::DatabaseError;
use super::layout::{self, Standing};
use super::look::{check_as_of, check_server, fit};
use super::present::Present;
use super::session::{Session, Work};
use super::shape::Shape;
use super::{sql, views};
use crate::config::{DatabasePlan, is_run_id};
use crate::impact::{ImpactError, TableSpec, built_in};
use crate::moment::Moment;
use crate::publish::{MANIFEST, Manifest, Output, PublishError, Publisher, merkle, sha256};

/// Where the tables of a run stand: what others call the place, without user and password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Host and port, the first of several; `localhost` where it is a socket of this machine.
    pub server: String,
    pub database: String,
    pub schema: String,
}

/// What became of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filled {
    /// The run's tables, and their rows.
    pub tables: u64,
    pub rows: u64,
    /// Whether the run stood there before.
    pub stood: bool,
    #[serde(skip)]
    pub place: Place,
    /// The schema's latest run before, where the output does not have it.
    #[serde(skip)]
    pub strange: Option<String>,
    /// Tables with NUL characters, which were written out, and how many.
    #[serde(skip)]
    pub nuls: Vec<(String, u64)>,
}

/// Puts a published run in, or sees that it stands there.
///
/// # Errors
/// The database is then as it was.
pub fn fill(
    session: &mut Session<'_>,
    plan: &DatabasePlan,
    publisher: &Publisher,
    run_id: &str,
) -> Result<Filled, DatabaseError> {
    let run = Run::read(publisher, run_id)?;
    let schema = plan.schema.as_str();
    let work = session.begin(plan.lock_timeout_ms)?;
    check_as_of(run.as_of).map_err(|reason| work.at.refused(&reason))?;
    check_server(&work)?;
    // Runs come in one after the other: each sees what the one before has left.
    let statement =
        "SELECT pg_advisory_xact_lock(hashtextextended('afterscope ' || $1::text, 0::bigint))";
    work.rows("waiting for other runs", statement, &[&schema])?;
    let present = Present::read(&work, schema)?;
    let output = publisher.shown();
    let statements = match layout::standing(&work, &present, schema, &output)? {
        Standing::Empty => layout::create(&present, schema, &output),
        Standing::Ours => layout::views_of_runs(&present, schema),
    };
    if !statements.is_empty() {
        work.execute("making the schema", &statements.join(";\n"))?;
    }
    let strange = strange(&work, schema, publisher)?;
    let rows = run.manifest.parquet_tables().map(|(_, output)| output.rows).sum();
    let tables = run.manifest.parquet_tables().count() as u64;
    let (stood, nuls) = if is_there(&work, schema, &run)? {
        run.is_as_published(&work, schema)?;
        run.takes_its_turn(&work, schema)?;
        run.make_views(&work, schema, publisher, &present)?;
        (true, Vec::new())
    } else {
        (false, run.put(&work, schema, publisher, &present)?)
    };
    views::check(&work, &Present::read(&work, schema)?, schema)?;
    let row = work.row("looking at the server", "SELECT current_database()::text", &[])?;
    let (server, schema) = (work.at.server().to_string(), schema.to_string());
    let place = Place { server, database: work.value(&row, 0)?, schema };
    let Work { transaction, at } = work;
    at.uncancelled().wait("committing", transaction.commit())?;
    Ok(Filled { tables, rows, stood, place, strange, nuls })
}

/// The schema's latest run, where the output does not have it: it was removed there, or another machine has an output
/// of the same address.
fn strange(
    work: &Work<'_, '_>,
    schema: &str,
    publisher: &Publisher,
) -> Result<Option<String>, DatabaseError> {
    let statement = format!(
        "SELECT run_id FROM {}.runs ORDER BY as_of DESC, turn DESC LIMIT 1",
        sql::name(schema)
    );
    let rows = work.rows("looking for the latest run", &statement, &[])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let latest: String = work.value(row, 0)?;
    let is_there = is_run_id(&latest) && publisher.manifest(&latest)?.is_some();
    Ok((!is_there).then_some(latest))
}

fn is_there(work: &Work<'_, '_>, schema: &str, run: &Run) -> Result<bool, DatabaseError> {
    let statement = format!("SELECT FROM {}.runs WHERE run_id = $1", sql::name(schema));
    Ok(!work.rows("looking for the run", &statement, &[&run.manifest.run_id])?.is_empty())
}

/// A run, as its manifest tells it.
struct Run {
    manifest: Manifest,
    manifest_sha256: String,
    as_of: Moment,
    specs: Vec<TableSpec>,
}

impl Run {
    fn read(publisher: &Publisher, run_id: &str) -> Result<Self, DatabaseError> {
        let damaged = |reason: &str| PublishError::Damaged {
            object: format!("{}/runs/{run_id}/{MANIFEST}", publisher.shown()),
            reason: format!("{reason}\nrun again: what does not hold is written anew"),
        };
        let bytes =
            publisher.manifest(run_id)?.ok_or_else(|| damaged("is gone since it was written"))?;
        let manifest = Manifest::parse(&bytes).map_err(|reason| damaged(&reason))?;
        let as_of = Moment::parse_rfc3339(merkle::as_of(&manifest.details))
            .ok_or_else(|| damaged("names no as_of"))?;
        let specs = built_in()?.into_iter().filter_map(|query| query.spec).collect();
        Ok(Self { manifest, manifest_sha256: sha256(&bytes), as_of, specs })
    }

    /// Whether the run that stands there is this one.
    fn is_as_published(&self, work: &Work<'_, '_>, schema: &str) -> Result<(), DatabaseError> {
        let run_id = &self.manifest.run_id;
        let doing = "comparing the run";
        let statement = format!(
            "SELECT table_name, rows, sha256 FROM {}.run_tables WHERE run_id = $1",
            sql::name(schema)
        );
        let mut there = BTreeMap::new();
        for row in work.rows(doing, &statement, &[run_id])? {
            let table: String = work.value(&row, 0)?;
            there.insert(table, (work.value::<i64>(&row, 1)?, work.value::<String>(&row, 2)?));
        }
        let mut others: Vec<&str> = there
            .keys()
            .map(String::as_str)
            .filter(|table| !self.manifest.parquet_tables().any(|(own, _)| own == *table))
            .collect();
        for (table, output) in self.manifest.parquet_tables() {
            match there.get(table) {
                Some((_, hash)) if *hash == output.sha256 => {}
                _ => others.push(table),
            }
        }
        if !others.is_empty() {
            return Err(work.at.differs(&format!(
                "run {run_id} stands in schema \"{schema}\" with other tables than were published: {}\nfind out why; to put in what is published now, DELETE FROM {}.runs WHERE run_id = {}, and run again",
                others.join(", "),
                sql::name(schema),
                sql::literal(run_id)
            )));
        }
        for (table, (rows, _)) in &there {
            let history = format!("{}.{}", sql::name(schema), sql::name(&sql::history_of(table)));
            let statement = format!("SELECT count(*) FROM {history} WHERE run_id = $1");
            let row = work.row(doing, &statement, &[run_id])?;
            let found: i64 = work.value(&row, 0)?;
            if found != *rows {
                return Err(work.at.differs(&format!(
                    "run {run_id} has {found} rows in {history}, and {rows} were put in\nrows were added or removed by hand; DELETE FROM {}.runs WHERE run_id = {}, and run again",
                    sql::name(schema),
                    sql::literal(run_id)
                )));
            }
        }
        Ok(())
    }

    /// Of runs with one `as_of`, the last published is the latest: as `latest.json` has it.
    fn takes_its_turn(&self, work: &Work<'_, '_>, schema: &str) -> Result<(), DatabaseError> {
        let runs = format!("{}.runs", sql::name(schema));
        let doing = "looking for the latest run";
        let statement = format!(
            "SELECT FROM {runs} AS own JOIN {runs} AS other USING (as_of) WHERE own.run_id = $1 AND other.turn > own.turn LIMIT 1"
        );
        let run_id = &self.manifest.run_id;
        if work.rows(doing, &statement, &[run_id])?.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "UPDATE {runs} SET turn = (SELECT max(turn) + 1 FROM {runs}) WHERE run_id = $1"
        );
        work.rows(doing, &statement, &[run_id])?;
        Ok(())
    }

    /// Makes views of its tables that somebody has dropped.
    fn make_views(
        &self,
        work: &Work<'_, '_>,
        schema: &str,
        publisher: &Publisher,
        present: &Present,
    ) -> Result<(), DatabaseError> {
        let dropped = |table: &str| !present.relations.contains_key(table);
        for (table, output) in self.manifest.parquet_tables().filter(|(table, _)| dropped(table)) {
            let file = self.opened(table, self.published(publisher, output)?)?;
            self.fitted(work, schema, present, table, file.schema())?;
        }
        Ok(())
    }

    /// The table as the database has it, made fit for the rows.
    fn fitted(
        &self,
        work: &Work<'_, '_>,
        schema: &str,
        present: &Present,
        table: &str,
        columns: &Schema,
    ) -> Result<Shape, DatabaseError> {
        let spec = self.specs.iter().find(|spec| spec.name == table);
        let shape = Shape::of(table, columns, spec);
        let shape = shape.map_err(|reason| work.at.refused(&reason))?;
        let statements = fit(work, present, schema, &shape)?;
        if !statements.is_empty() {
            // What somebody has altered is not replaced unseen.
            views::check(work, present, schema)?;
            work.execute(&format!("making history_{table}"), &statements.join(";\n"))?;
        }
        Ok(shape)
    }

    /// Puts it in; gives the tables with NUL characters.
    fn put(
        &self,
        work: &Work<'_, '_>,
        schema: &str,
        publisher: &Publisher,
        present: &Present,
    ) -> Result<Vec<(String, u64)>, DatabaseError> {
        self.put_run(work, schema)?;
        let mut with_nuls = Vec::new();
        for (table, output) in self.manifest.parquet_tables() {
            let nuls = self.put_table(work, schema, (table, output), publisher, present)?;
            let (rows, nul_characters) = (count(output.rows), count(nuls));
            let statement = format!(
                "INSERT INTO {}.run_tables (run_id, table_name, rows, sha256, nul_characters) VALUES ($1, $2, $3, $4, $5)",
                sql::name(schema)
            );
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&self.manifest.run_id, &table, &rows, &output.sha256, &nul_characters];
            work.rows("filling run_tables", &statement, &values)?;
            if nuls > 0 {
                with_nuls.push((table.to_string(), nuls));
            }
        }
        Ok(with_nuls)
    }

    fn put_run(&self, work: &Work<'_, '_>, schema: &str) -> Result<(), DatabaseError> {
        let details = &self.manifest.details;
        let text = |at: &str| details.pointer(at).and_then(Value::as_str);
        let number = |at: &str| details.pointer(at).and_then(Value::as_i64);
        let statement = format!(
            "INSERT INTO {0}.runs (run_id, as_of, verdict, report_number, follows, requests_allowed, subjects_observed, groups, apps, program_version, manifest_sha256, turn)
             VALUES ($1, $2::text::timestamptz, $3, $4, $5, $6, $7, $8, $9, $10, $11, (SELECT coalesce(max(turn), 0) + 1 FROM {0}.runs))",
            sql::name(schema)
        );
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 11] = [
            &self.manifest.run_id,
            &self.as_of.to_rfc3339(),
            &text("/verdict").unwrap_or("complete"),
            &number("/report/number"),
            &text("/report/follows/run_id"),
            &number("/totals/requests_allowed"),
            &number("/totals/subjects_observed"),
            &number("/totals/groups"),
            &number("/totals/apps"),
            &text("/program/version").unwrap_or_default(),
            &self.manifest_sha256,
        ];
        work.rows("filling runs", &statement, &values)?;
        Ok(())
    }

    /// Copies a published table; gives its NUL characters.
    fn put_table(
        &self,
        work: &Work<'_, '_>,
        schema: &str,
        (table, output): (&str, &Output),
        publisher: &Publisher,
        present: &Present,
    ) -> Result<u64, DatabaseError> {
        let bytes = self.published(publisher, output)?;
        let failed = |reason: String| ImpactError::Output { table: table.to_string(), reason };
        let builder = self.opened(table, bytes)?;
        let shape = self.fitted(work, schema, present, table, builder.schema())?;
        let columns: Vec<String> = shape.columns.iter().map(|c| sql::name(&c.name)).collect();
        let statement = format!(
            "COPY {} ({}) FROM STDIN (FORMAT binary)",
            shape.history(schema),
            columns.join(", ")
        );
        let doing = format!("filling history_{table}");
        let unfit = |reason: String| work.at.refused(&format!("table `{table}`: {reason}"));
        let mut copy = Rows::new(&self.manifest.run_id, self.as_of.micros).map_err(unfit)?;
        let sink =
            work.at.wait(&doing, work.transaction.copy_in::<_, Bytes>(statement.as_str()))?;
        let mut sink = pin!(sink);
        for batch in builder.build().map_err(|e| failed(e.to_string()))? {
            let batch = batch.map_err(|e| failed(e.to_string()))?;
            for chunk in copy.push(&batch).map_err(unfit)? {
                work.at.wait(&doing, sink.send(chunk))?;
            }
        }
        work.at.wait(&doing, sink.send(copy.finish()))?;
        let rows = work.at.wait(&doing, sink.as_mut().finish())?;
        if rows != output.rows || copy.rows != rows {
            return Err(work.at.differs(&format!(
                "{doing}: {rows} rows came in, and {} were published\nthis is a bug in afterscope; please report it",
                output.rows
            )));
        }
        Ok(copy.nuls)
    }

    fn opened(
        &self,
        table: &str,
        bytes: Bytes,
    ) -> Result<ParquetRecordBatchReaderBuilder<Bytes>, DatabaseError> {
        let failed = |e: ParquetError| ImpactError::Output {
            table: table.to_string(),
            reason: e.to_string(),
        };
        Ok(ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(failed)?)
    }

    /// The bytes of a published file, as the manifest vouches for them.
    fn published(&self, publisher: &Publisher, output: &Output) -> Result<Bytes, DatabaseError> {
        let file = output.path.strip_prefix("tables/").unwrap_or(&output.path);
        let bytes = publisher.table(&self.manifest.run_id, file)?;
        let whole = bytes.filter(|bytes| sha256(bytes) == output.sha256);
        let damaged = || {
            PublishError::Damaged {
            object: format!("{}/runs/{}/{}", publisher.shown(), self.manifest.run_id, output.path),
            reason: "is gone, or not what its manifest says\nrun again: what does not hold is written anew".into(),
        }
        };
        Ok(whole.ok_or_else(damaged)?)
    }
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
