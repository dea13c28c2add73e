//! Iceberg tables: the files of one snapshot, by the table's own metadata and manifests.
//!
//! The `iceberg` crate says what metadata and manifests hold. Which deletes count for which file is
//! decided here, because its planner leaves out deletion vectors; files are read by this program's own
//! stores, so that credentials, errors and pins have one place.

mod catalog;
mod columns;
mod deletes;
mod equality;
mod held;
mod history;
mod manifests;
mod metadata;
mod partitions;
mod place;
mod positions;
mod refusal;
#[cfg(test)]
mod tests;
mod vectors;
mod version;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ::iceberg::spec::{DataContentType, DataFileFormat, Schema};

use self::columns::{Names, elsewhere, table_field, table_schema};
use self::deletes::Plan;
use self::manifests::{Entry, Manifests};
use self::metadata::Metadata;
use self::place::Location;
use self::refusal::Refusal;
use self::version::Choice;
use super::rows::Pinned;
use super::table::values_id;
use super::{
    NAME_ANOTHER, Origin, Partition, Snapshot, SnapshotError, SnapshotFile, Table, TableFiles,
    TableSchema, VersionOf, other_format, there,
};
use crate::config::{Format, IcebergPlan, SnapshotAt, metadata_of};
use crate::store::{Io, Pin, Store, StoreUrl};

/// As people write the format's name.
const FORMAT: &str = "Iceberg";

/// The files of the snapshot that the plan names.
///
/// # Errors
/// No table, a snapshot that is not there (any more), what is not supported, storage failures.
pub fn take(source: &Origin<'_>, plan: &IcebergPlan, io: &Io) -> Result<Snapshot, SnapshotError> {
    let failed = |error| SnapshotError::store(source, error);
    let (place, named) = place(source.url);
    let store = place.open(io).map_err(failed)?;
    let version = shown(&plan.at);
    let refused = |refusal| refused(source, &version, refusal);
    let (path, doubt) = match (&plan.catalog, named) {
        (Some(catalog), _) => (catalog::current(catalog, source.url, io).map_err(refused)?, None),
        (None, Some(path)) => (path, None),
        (None, None) => match metadata::newest(&store) {
            // Of a table of another format no metadata is to be expected.
            Err(refusal @ Refusal::Table(_)) => {
                return Err(other_format(source, &store, Format::Iceberg)
                    .unwrap_or_else(|| refused(refusal)));
            }
            found => found.map_err(refused)?,
        },
    };
    let metadata = metadata::read(&store, &path).map_err(refused)?;
    let mut snapshot = snapshot(source, plan, (place, store), &metadata).map_err(refused)?;
    if let Some(table) = snapshot.table.as_mut().filter(|_| doubt.is_some()) {
        Arc::make_mut(table).choice.extend(doubt);
    }
    Ok(snapshot)
}

/// The table's folder, and its metadata file where the url names one.
fn place(url: &StoreUrl) -> (StoreUrl, Option<String>) {
    match metadata_of(url) {
        Some((table, path)) => (table, Some(path)),
        None => (url.clone(), None),
    }
}

fn shown(at: &SnapshotAt) -> String {
    match at {
        SnapshotAt::Current => "the current snapshot".into(),
        SnapshotAt::Id(id) | SnapshotAt::WithSchema { id, .. } => format!("snapshot {id}"),
        SnapshotAt::Moment(at) => format!("the snapshot of {}", at.to_rfc3339()),
        SnapshotAt::Reference(name) => format!("the snapshot of `{name}`"),
    }
}

fn snapshot(
    source: &Origin<'_>,
    plan: &IcebergPlan,
    (place, store): (StoreUrl, Store),
    metadata: &Metadata,
) -> Result<Snapshot, Refusal> {
    let table = &metadata.table;
    let Choice { snapshot: chosen, schema, doubts: choice } = version::choose(metadata, &plan.at)?;
    let id = u64::try_from(chosen.snapshot_id()).map_err(|_| {
        Refusal::Unsupported(format!("a snapshot of negative number {}", chosen.snapshot_id()))
    })?;
    let names = Names::of(table)?;
    let location = Location::new(table.location());
    let time = source.time.and_then(|name| schema.as_struct().field_by_name(name));
    let time = time.map(|field| field.id);
    let of = VersionOf {
        source,
        format: FORMAT,
        version: format!("snapshot {id}"),
        remover: "expiring snapshots",
        is_latest: table.current_snapshot_id() == Some(chosen.snapshot_id()),
    };
    let manifests = Manifests::new(&store, &location, table, time, of.lost("ones"));
    let entries = manifests.entries(&chosen)?;
    let features = features(metadata, &entries);
    let (data, deletes): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.content == DataContentType::Data);
    let there = there(source, &store, metadata::FOLDER)?;
    let plan = Plan::new(&manifests, &of, &there, &schema, &names, (&data, deletes))?;
    let mut files = Vec::with_capacity(data.len());
    for entry in &data {
        files.push(file(entry, &manifests, &of, &there, &schema, &plan)?);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    of.refuse_twice(&store, files.iter().map(|file| file.path.as_str()))?;
    let table = Table {
        format: "iceberg",
        place,
        version: id,
        schema_id: Some(schema.schema_id()),
        made_at: history::moment(chosen.timestamp_ms()),
        choice,
        doubts: Vec::new(),
        schema: TableSchema {
            elsewhere: elsewhere(table, &schema),
            ..table_schema(&schema, &names)?
        },
        features,
        history: history::of(table, &chosen),
        versions: history::versions(table, &chosen),
        layouts: history::layouts(table),
        files: TableFiles { deletes: plan.files(), metadata: manifests.files_read(metadata) },
    };
    Ok(Snapshot { store: store.clone(), files, ignored: 0, table: Some(Arc::new(table)) })
}

/// What a reader of the snapshot must know.
fn features(metadata: &Metadata, entries: &[Entry]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for entry in entries {
        found.extend(match (entry.content, entry.format) {
            (DataContentType::Data, _) => None,
            (DataContentType::EqualityDeletes, _) => Some("equality-deletes"),
            (_, DataFileFormat::Puffin) => Some("deletion-vectors"),
            _ => Some("position-deletes"),
        });
    }
    let format = metadata.table.format_version();
    std::iter::once(format!("format-{format}"))
        .chain(found.into_iter().map(str::to_string))
        .collect()
}

fn file(
    entry: &Entry,
    manifests: &Manifests<'_>,
    of: &VersionOf<'_>,
    there: &HashMap<String, Pin>,
    schema: &Schema,
    deletes: &Plan<'_>,
) -> Result<SnapshotFile, Refusal> {
    if entry.format != DataFileFormat::Parquet {
        let what = format!("data files in {} ({})", entry.format, entry.address);
        return Err(Refusal::Unsupported(what));
    }
    let store = manifests.store;
    let path = manifests.path(&entry.address)?;
    let partitions = partitions(entry, schema)?;
    let found = of.pin(there, store, &path, entry.size).map_err(Refusal::from).and_then(|pin| {
        let (store, path, room) = (store.clone(), path.clone(), of.source.deletes);
        let pinned = Pinned { store, path, pin, room };
        Ok((deletes.of(entry, &pinned)?, pinned.pin))
    });
    let (deletes, pin) = match found {
        Ok(found) => found,
        Err(Refusal::Whole(error)) => {
            return Ok(of.without((there, store), (path, entry.size), partitions, error)?);
        }
        Err(refusal) => return Err(refusal),
    };
    let size = pin.size;
    let (gone, values) = (deletes.as_ref().map(|d| d.id.clone()), values_id(&partitions));
    Ok(SnapshotFile {
        path,
        pin: Pin { deletes: gone, values, ..pin },
        partitions,
        deletes,
        rows: Some(entry.rows),
        times: entry.times,
        other_size: Some(entry.size).filter(|told| *told != size),
        lost: None,
    })
}

/// Values by the partition, of the columns that the table still has.
fn partitions(entry: &Entry, schema: &Schema) -> Result<Vec<Partition>, Refusal> {
    let mut found = Vec::new();
    for (column, constant) in &entry.constants {
        let (name, field) = (schema.name_by_field_id(*column), schema.field_by_id(*column));
        let Some((name, field)) = name.zip(field) else { continue };
        found.push(Partition {
            name: name.to_string(),
            id: column.to_string(),
            value: constant.text.clone(),
            data_type: Some(table_field(field, &Names::default())?.data_type),
            bytes: constant.bytes.clone(),
        });
    }
    Ok(found)
}

fn refused(source: &Origin<'_>, version: &str, refusal: Refusal) -> SnapshotError {
    let source_name = source.name.to_string();
    let url = source.url.to_string();
    match refusal {
        Refusal::Unsupported(what) => {
            SnapshotError::Unsupported { source_name, url, format: FORMAT, what }
        }
        Refusal::Table(reason) => SnapshotError::Table { source_name, url, format: FORMAT, reason },
        Refusal::Gone { file, reason } => SnapshotError::Gone {
            source_name,
            format: FORMAT,
            version: version.to_string(),
            file,
            reason,
            guess: String::new(),
            way: NAME_ANOTHER,
        },
        Refusal::Store(error) => SnapshotError::store(source, error),
        Refusal::Whole(error) => error,
    }
}
