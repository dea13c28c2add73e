//! Which snapshot of a table is read, and with which columns.

use ::iceberg::spec::{SchemaRef, SnapshotRef, TableMetadata};
use serde_json::Value;

use super::history::moment;
use super::metadata::Metadata;
use super::refusal::Refusal;
use crate::config::SnapshotAt;

/// The snapshot that is read.
pub struct Choice {
    pub snapshot: SnapshotRef,
    /// The columns that readers of it see.
    pub schema: SchemaRef,
    /// What may be doubtful about why it is this one, a sentence each.
    pub doubts: Vec<String>,
}

/// The snapshot, and its columns: of a moment in the past, an id or a tag its own, whichever snapshot is the
/// current one; of a branch those that the table has now.
///
/// # Errors
/// Where there is none.
pub fn choose(metadata: &Metadata, at: &SnapshotAt) -> Result<Choice, Refusal> {
    let table = &metadata.table;
    let own = |snapshot: SnapshotRef| -> Result<_, Refusal> {
        let schema = snapshot.schema(table)?;
        Ok(Choice { snapshot, schema, doubts: Vec::new() })
    };
    let now = |snapshot: SnapshotRef| Choice {
        snapshot,
        schema: table.current_schema().clone(),
        doubts: Vec::new(),
    };
    match at {
        SnapshotAt::Current => table.current_snapshot().cloned().map(now).ok_or_else(|| {
            Refusal::Table("it has no snapshot: nothing was written to it yet".into())
        }),
        SnapshotAt::Id(id) => own(by_id(table, *id)?),
        SnapshotAt::WithSchema { id, schema } => {
            let schema = table.schema_by_id(*schema).cloned().ok_or_else(|| {
                Refusal::Table(format!("it has no schema {schema}: it was removed since"))
            })?;
            Ok(Choice { snapshot: by_id(table, *id)?, schema, doubts: Vec::new() })
        }
        SnapshotAt::Moment(at) => {
            let millis = at.micros.div_euclid(1000);
            let then = table.history().iter().rfind(|entry| entry.timestamp_ms <= millis);
            let then = then.ok_or_else(|| {
                let first = table.history().first().and_then(|entry| {
                    Some((entry.snapshot_id, moment(entry.timestamp_ms)?.to_rfc3339()))
                });
                let first = first.map_or("it is empty".into(), |(id, at)| {
                    format!("the first in it is snapshot {id}, of {at}")
                });
                Refusal::Table(format!(
                    "its log of snapshots does not reach back to {}: {first}",
                    at.to_rfc3339()
                ))
            })?;
            let choice = own(by_id(table, then.snapshot_id)?)?;
            let is_last = table.history().last().is_some_and(|last| last == then);
            let made = moment(then.timestamp_ms).filter(|_| is_last && then.timestamp_ms < millis);
            let doubt = made.map(|made| {
                let (id, asked) = (then.snapshot_id, at.to_rfc3339());
                format!(
                    "`timestamp` {asked} is later than snapshot {id}, the latest, of {}: that one is read, and of snapshots that were made since another run may read a later one; `snapshot = {id}` holds it",
                    made.to_rfc3339()
                )
            });
            Ok(Choice { doubts: doubt.into_iter().collect(), ..choice })
        }
        SnapshotAt::Reference(name) => {
            let snapshot = table.snapshot_for_ref(name).cloned().ok_or_else(|| {
                Refusal::Table(format!(
                    "it has no branch or tag `{name}`{}",
                    known(&metadata.written)
                ))
            })?;
            match kind_of(&metadata.written, name) {
                Some("tag") => own(snapshot),
                _ => Ok(now(snapshot)),
            }
        }
    }
}

fn by_id(table: &TableMetadata, id: i64) -> Result<SnapshotRef, Refusal> {
    table.snapshot_by_id(id).cloned().ok_or_else(|| {
        Refusal::Table(format!("it has no snapshot {id}: it was expired, or there never was one"))
    })
}

fn kind_of<'a>(written: &'a Value, name: &str) -> Option<&'a str> {
    written.get("refs")?.get(name)?.get("type")?.as_str()
}

fn known(written: &Value) -> String {
    let refs = written.get("refs").and_then(Value::as_object);
    let names: Vec<&str> =
        refs.into_iter().flat_map(|refs| refs.keys()).map(String::as_str).collect();
    if names.is_empty() { String::new() } else { format!("; it has {}", names.join(", ")) }
}
