//! Which snapshot of a table is read, and with which columns.

use ::iceberg::spec::{SchemaRef, SnapshotRef, TableMetadata};
use serde_json::Value;

use super::metadata::Metadata;
use super::refusal::Refusal;
use crate::config::SnapshotAt;

/// The snapshot, and the columns that readers of it see: of a moment in the past, an id or a tag its own;
/// of a branch those that the table has now.
///
/// # Errors
/// Where there is none.
pub fn choose(metadata: &Metadata, at: &SnapshotAt) -> Result<(SnapshotRef, SchemaRef), Refusal> {
    let table = &metadata.table;
    let own = |snapshot: SnapshotRef| -> Result<_, Refusal> {
        let schema = snapshot.schema(table)?;
        Ok((snapshot, schema))
    };
    let now = |snapshot: SnapshotRef| (snapshot, table.current_schema().clone());
    match at {
        SnapshotAt::Current => table.current_snapshot().cloned().map(now).ok_or_else(|| {
            Refusal::Table("it has no snapshot: nothing was written to it yet".into())
        }),
        SnapshotAt::Id(id) => own(by_id(table, *id)?),
        SnapshotAt::Moment(at) => {
            let millis = at.micros.div_euclid(1000);
            let then = table.history().iter().rfind(|entry| entry.timestamp_ms <= millis);
            let then = then.ok_or_else(|| {
                Refusal::Table(format!(
                    "its log of snapshots does not reach back to {}",
                    at.to_rfc3339()
                ))
            })?;
            own(by_id(table, then.snapshot_id)?)
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
