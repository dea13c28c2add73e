//! Delta tables: the files of one version, by the Delta kernel's replay of the log.
//!
//! The kernel says which files a version has, which rows of them are deleted and what their columns are
//! called; data files are read by this program's own scan.

mod address;
mod choice;
mod engine;
mod history;
mod log;
mod naming;
mod refusal;
mod statistics;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType as ArrowType, Int32Type, Int64Type};
use delta_kernel::actions::deletion_vector::{DeletionVectorDescriptor, DeletionVectorStorageType};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::schema::{DataType, StructField};
use delta_kernel::table_features::ColumnMappingMode;
use delta_kernel::{DeltaResult, Engine as _, Error};
use url::Url;

use self::choice::Choice;
use self::engine::Engine;
use self::history::Commits;
use self::log::Log;
use self::refusal::{FORMAT, refused};
use self::statistics::{Statistics, TimeColumn};
use super::table::{
    Deletes, DeletesError, DeletesSource, GoneRows, Layout, LayoutField, Partition, Table,
    TableField, TableFiles, TableSchema, values_id,
};
use super::{Origin, Snapshot, SnapshotError, SnapshotFile, TimeBounds, VersionOf, there};
use crate::config::At;
use crate::key::hex;
use crate::store::{Io, Pin, Store};

/// The files of the version that the plan names.
///
/// # Errors
/// No table, a version that is not there (any more), features that are not supported, storage failures.
pub fn take(source: &Origin<'_>, at: &At, io: &Io) -> Result<Snapshot, SnapshotError> {
    let failed = |error| SnapshotError::store(source, error);
    let store = source.url.open(io).map_err(failed)?;
    let engine = Engine::new(store.clone(), source.deletes);
    let of = |error: Error| refused(source, at, &engine, &error);
    let choice = Choice::make(at, &engine).map_err(of)?;
    let log = Log::list(&store).map_err(failed)?;
    let (mut table, listed) = read(choice, source, &log, &engine).map_err(of)?;
    let metadata = engine.files_read().into_iter().filter(|(path, _)| *path != address::HINT);
    table.files.metadata = metadata.collect();
    let version = VersionOf {
        source,
        format: FORMAT,
        version: format!("version {}", table.version),
        remover: "VACUUM",
        is_latest: log.latest() == Some(table.version),
    };
    let (files, deletes) = pinned(&version, &store, listed)?;
    engine.hold(&deletes);
    table.files.deletes = deletes;
    Ok(Snapshot { store, files, ignored: 0, table: Some(Arc::new(table)) })
}

/// A file as the log has it.
struct Logged {
    path: String,
    size: u64,
    partitions: Vec<Partition>,
    deletes: Option<Deletes>,
    /// Where they are told, if not in the log itself.
    vector: Option<String>,
    /// Those in the file, the deleted ones among them, where the log says.
    rows: Option<u64>,
    times: Option<TimeBounds>,
}

fn read(
    choice: Choice,
    source: &Origin<'_>,
    log: &Log,
    engine: &Engine,
) -> DeltaResult<(Table, Vec<Logged>)> {
    let version = choice.version.clone();
    let number = version.version();
    let configuration = version.table_configuration();
    let mode = configuration.column_mapping_mode();
    let schema = version.schema();
    let fields: Vec<&StructField> = schema.fields().collect();
    let mut partitions = Vec::new();
    for column in configuration.logical_partition_columns() {
        let field = fields.iter().find(|field| field.name() == column);
        let field = field.ok_or_else(|| Error::missing_column(column))?;
        partitions.push(PartitionColumn {
            name: column.clone(),
            physical: field.physical_name(mode).to_string(),
            data_type: field.data_type().try_into_arrow()?,
        });
    }
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let mut column = table_field(field, mode)?;
        // The log has their values; what a file holds under the name is not asked.
        if partitions.iter().any(|partition| partition.name == column.name) {
            (column.physical, column.id) = (Vec::new(), None);
        }
        columns.push(column);
    }
    let features = configuration.protocol().reader_features().unwrap_or_default();
    let commits = Commits::read(engine.store(), log, (number, choice.until()), &partitions);
    let commits = commits.map_err(|error| engine.failed(error))?;
    let parted = partitions.iter().map(|column| LayoutField {
        name: column.name.clone(),
        column: Some(column.name.clone()),
        transform: "identity".into(),
    });
    let table = Table {
        format: "delta",
        place: source.url.clone(),
        version: number,
        schema_id: None,
        made_at: commits.made_at(number),
        choice: choice.doubts(&commits),
        doubts: commits.doubts(number),
        schema: TableSchema {
            fields: columns,
            elsewhere: naming::elsewhere(&schema, commits.schemas()),
        },
        features: features.iter().map(ToString::to_string).collect(),
        history: commits.history(number),
        versions: commits.versions(number, log.later(number)),
        layouts: vec![Layout { id: 0, is_current: true, fields: parted.collect() }],
        files: TableFiles::default(),
    };
    let time =
        source.time.and_then(|name| table.schema.fields.iter().find(|field| field.name == name));
    let time = time.and_then(TimeColumn::of);
    let mut files = Vec::new();
    let scan = version.scan_builder().without_row_transforms();
    let scan = match &time {
        Some(time) => scan.with_stats(time.wanted()),
        None => scan,
    };
    for part in scan.build()?.scan_metadata(engine)? {
        let rows = engine::batch(part?.scan_files.apply_selection_vector()?)?;
        logged(&rows, &partitions, time.as_ref(), engine, &mut files)?;
    }
    files.sort_by(|a: &Logged, b| a.path.cmp(&b.path));
    Ok((table, files))
}

/// A column of the table that its files do not hold.
struct PartitionColumn {
    name: String,
    physical: String,
    data_type: ArrowType,
}

/// Refuses a value whose key is the name of a column but for the case of letters: whose it is, is not known.
fn in_these_letters(key: &str, columns: &[PartitionColumn]) -> DeltaResult<()> {
    if columns.iter().any(|column| column.physical == key) {
        return Ok(());
    }
    match columns.iter().find(|column| column.physical.to_lowercase() == key.to_lowercase()) {
        None => Ok(()),
        Some(column) => Err(Error::unsupported(format!(
            "values under the names of its partition columns: one of `{}` stands under `{key}`, in other letters",
            column.name
        ))),
    }
}

impl PartitionColumn {
    /// Its value of one file, which `value_of` finds by the physical name.
    fn partition(&self, value_of: impl FnOnce(&str) -> Option<String>) -> Partition {
        Partition {
            name: self.name.clone(),
            id: self.physical.clone(),
            // An empty text stands for null, whatever the type.
            value: value_of(&self.physical).filter(|text| !text.is_empty()),
            data_type: Some(self.data_type.clone()),
            bytes: None,
        }
    }
}

fn table_field(field: &StructField, mode: ColumnMappingMode) -> DeltaResult<TableField> {
    let id = field.column_mapping_id().filter(|_| mode == ColumnMappingMode::Id);
    Ok(TableField {
        name: field.name().clone(),
        physical: vec![field.physical_name(mode).to_string()],
        id: id.and_then(|id| i32::try_from(id).ok()),
        data_type: field.data_type().try_into_arrow()?,
        default: None,
        children: children(field.data_type(), mode)?,
    })
}

fn children(of: &DataType, mode: ColumnMappingMode) -> DeltaResult<Vec<TableField>> {
    let part = |name: &str, data_type: &DataType| -> DeltaResult<TableField> {
        Ok(TableField {
            name: name.into(),
            physical: vec![name.into()],
            id: None,
            data_type: data_type.try_into_arrow()?,
            default: None,
            children: children(data_type, mode)?,
        })
    };
    match of {
        DataType::Primitive(_) | DataType::Variant(_) => Ok(Vec::new()),
        DataType::Struct(of) => of.fields().map(|field| table_field(field, mode)).collect(),
        DataType::Array(of) => Ok(vec![part("element", of.element_type())?]),
        DataType::Map(of) => Ok(vec![part("key", of.key_type())?, part("value", of.value_type())?]),
    }
}

/// Takes the files out of a batch of the kernel's scan.
fn logged(
    rows: &RecordBatch,
    partitions: &[PartitionColumn],
    time: Option<&TimeColumn>,
    engine: &Engine,
    files: &mut Vec<Logged>,
) -> DeltaResult<()> {
    let lacks = |column: &str| Error::missing_column(column);
    let rows = StructArray::from(rows.clone());
    let column =
        |of: &StructArray, name: &str| of.column_by_name(name).cloned().ok_or_else(|| lacks(name));
    let (paths, sizes) = (column(&rows, "path")?, column(&rows, "size")?);
    let paths = paths.as_string_opt::<i32>().ok_or_else(|| lacks("path"))?.clone();
    let sizes = sizes.as_primitive_opt::<Int64Type>().ok_or_else(|| lacks("size"))?.clone();
    let statistics = Statistics::of(&rows, time);
    let vectors = column(&rows, "deletionVector")?;
    let vectors = vectors.as_struct_opt().ok_or_else(|| lacks("deletionVector"))?;
    let constants = column(&rows, "fileConstantValues")?;
    let constants = constants.as_struct_opt().ok_or_else(|| lacks("fileConstantValues"))?;
    let values = column(constants, "partitionValues")?;
    let values = values.as_map_opt().ok_or_else(|| lacks("partitionValues"))?;
    for row in 0..rows.len() {
        let mut given: HashMap<String, String> = HashMap::new();
        if !values.is_null(row) {
            let entries = values.value(row);
            let keys = entries.column(0).as_string_opt::<i32>().ok_or_else(|| lacks("key"))?;
            let texts = entries.column(1).as_string_opt::<i32>().ok_or_else(|| lacks("value"))?;
            let both = keys.iter().zip(texts.iter());
            for (key, text) in both.filter_map(|(key, text)| Some((key?, text))) {
                in_these_letters(key, partitions)?;
                given.extend(text.map(|text| (key.to_string(), text.to_string())));
            }
        }
        let partitions =
            partitions.iter().map(|column| column.partition(|name| given.get(name).cloned()));
        let (deletes, vector) = deletes(vectors, row, engine)?.unzip();
        files.push(Logged {
            path: address::path_in_log(paths.value(row))?,
            size: u64::try_from(sizes.value(row)).unwrap_or(0),
            partitions: partitions.collect(),
            deletes,
            vector: vector.flatten(),
            rows: statistics.rows(row),
            times: statistics.times(row),
        });
    }
    Ok(())
}

/// Deleted rows of a file, and where they are told, if not in the log itself.
fn deletes(
    of: &StructArray,
    row: usize,
    engine: &Engine,
) -> DeltaResult<Option<(Deletes, Option<String>)>> {
    let text = |name: &str| -> Option<String> {
        let array = of.column_by_name(name)?.as_string_opt::<i32>()?;
        (!of.is_null(row) && !array.is_null(row)).then(|| array.value(row).to_string())
    };
    let int = |name: &str| -> Option<i32> {
        let array = of.column_by_name(name)?.as_primitive_opt::<Int32Type>()?;
        (!array.is_null(row)).then(|| array.value(row))
    };
    let cardinality = || -> Option<i64> {
        let array = of.column_by_name("cardinality")?.as_primitive_opt::<Int64Type>()?;
        (!array.is_null(row)).then(|| array.value(row))
    };
    let Some(kind) = text("storageType") else { return Ok(None) };
    let broken = || Error::deletion_vector("a descriptor in the log is not whole");
    let descriptor = DeletionVectorDescriptor::try_new(
        kind.parse::<DeletionVectorStorageType>().map_err(|_| broken())?,
        text("pathOrInlineDv").ok_or_else(broken)?,
        int("offset"),
        int("sizeInBytes").ok_or_else(broken)?,
        cardinality().ok_or_else(broken)?,
    )?;
    let rows = u64::try_from(descriptor.cardinality).map_err(|_| broken())?;
    let id = descriptor.unique_id();
    let url = descriptor.absolute_path(&Url::parse(address::ROOT)?)?;
    let vector = url.as_ref().map(address::path_of).transpose()?;
    let source = Arc::new(Vector { descriptor, engine: engine.clone() });
    Ok(Some((Deletes { id, rows: Some(rows), source }, vector)))
}

/// A deletion vector of one file.
#[derive(Debug)]
struct Vector {
    descriptor: DeletionVectorDescriptor,
    engine: Engine,
}

impl DeletesSource for Vector {
    fn load(&self) -> Result<GoneRows, DeletesError> {
        let storage = self.engine.storage_handler();
        let read = || self.descriptor.read(storage, &Url::parse(address::ROOT)?);
        let rows = read().map_err(|error| match self.engine.failure() {
            Some(failure) => DeletesError::Store(failure),
            None => DeletesError::Damaged(error.to_string()),
        })?;
        // A vector has a checksum of its own, or stands in the log.
        Ok(GoneRows { rows, unchecked: false })
    }
}

/// Gives each file the version that is there now; and so those of deletion vectors.
fn pinned(
    of: &VersionOf<'_>,
    store: &Store,
    logged: Vec<Logged>,
) -> Result<(Vec<SnapshotFile>, BTreeMap<String, Pin>), SnapshotError> {
    let there = there(of.source, store, "_delta_log")?;
    of.refuse_twice(store, logged.iter().map(|file| file.path.as_str()))?;
    let mut files = Vec::with_capacity(logged.len());
    let mut vectors = BTreeMap::new();
    for file in logged {
        let vector = file.vector.as_ref().map(|vector| of.found(&there, store, vector)).transpose();
        let found = vector.and_then(|vector| {
            Ok((vector.cloned(), of.pin(&there, store, &file.path, file.size)?))
        });
        let (vector, pin) = match found {
            Ok(found) => found,
            Err(error) => {
                let named = (file.path, file.size);
                files.push(of.without((&there, store), named, file.partitions, error)?);
                continue;
            }
        };
        let mut deletes = file.deletes;
        if let Some(((path, pin), deletes)) = file.vector.zip(vector).zip(deletes.as_mut()) {
            deletes.id = format!("{} of {}", deletes.id, short_hash(&pin));
            vectors.insert(path, pin);
        }
        let size = pin.size;
        let (gone, values) = (deletes.as_ref().map(|d| d.id.clone()), values_id(&file.partitions));
        let pin = Pin { deletes: gone, values, ..pin };
        files.push(SnapshotFile {
            path: file.path,
            pin,
            partitions: file.partitions,
            deletes,
            rows: file.rows,
            times: file.times,
            other_size: Some(file.size).filter(|told| *told != size),
            lost: None,
        });
    }
    Ok((files, vectors))
}

/// Of a file's size and tag: the same name may stand for another vector.
fn short_hash(pin: &Pin) -> String {
    let text = format!("{} {}", pin.size, pin.e_tag.as_deref().unwrap_or_default());
    hex(blake3::hash(text.as_bytes()).as_bytes().get(..8).unwrap_or_default())
}
