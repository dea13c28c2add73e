//! The sample's log as an Iceberg table of format 2: <https://iceberg.apache.org/spec/>
//!
//! Of each half of the log one snapshot adds the files, one deletes rows by their places and removes files,
//! one deletes rows by their ids and adds what is written in their place. A row that is deleted by its id is
//! there again in a file of the same snapshot: such a delete counts for files of earlier ones.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};
use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, ManifestFile,
    ManifestListWriter, ManifestWriter, ManifestWriterBuilder, PartitionSpec, Schema, Struct,
    Transform,
};
use serde_json::{Value, json};

use super::history::{Day, Fate, Lake};
use super::rows::{self, Column, Row, Size};
use super::{Failed, avro, write};
use crate::moment::day_to_date;

/// The table's own address, below which the addresses of its files lie. It names no place, so that the table
/// may lie anywhere.
const LOCATION: &str = "logs";

/// When the table was made, in milliseconds: 2019-11-06T01:00:00Z. Each snapshot comes an hour after the one
/// before.
const MADE: i64 = 1_573_002_000_000;
const HOUR: i64 = 3_600_000;

/// Numbers that the format gives the columns of files of deleted places.
const FILE_PATH: i32 = 2_147_483_546;
const POSITION: i32 = 2_147_483_545;
/// The number of `request_id`.
const REQUEST_ID: i32 = 2;

/// A file that is live or was, and the snapshot that added it.
#[derive(Clone)]
struct Added {
    file: DataFile,
    sequence: i64,
}

/// Files of snapshots that are still to be written.
#[derive(Default)]
struct Pending {
    written: Vec<DataFile>,
    /// Of the files that are written first, those that go: at once, and with the corrections.
    dropped: Vec<DataFile>,
    replaced: Vec<DataFile>,
    places: Vec<DataFile>,
    ids: Vec<DataFile>,
    corrected: Vec<DataFile>,
}

/// What a manifest says of a file.
enum Entry {
    Added(DataFile),
    Existing(Added),
    Removed(Added),
}

pub struct Iceberg {
    root: PathBuf,
    first_day: i64,
    schema: Arc<Schema>,
    spec: PartitionSpec,
    pending: Pending,
    /// Of the last snapshot.
    manifests: Vec<ManifestFile>,
    snapshots: Vec<Value>,
    io: FileIO,
    runtime: tokio::runtime::Runtime,
}

impl Iceberg {
    /// An empty table.
    ///
    /// # Errors
    /// What the library says.
    pub fn new(root: PathBuf, first_day: i64) -> Result<Self, Failed> {
        fs::create_dir_all(root.join("metadata"))?;
        let schema: Arc<Schema> = Arc::new(serde_json::from_value(schema())?);
        let spec = PartitionSpec::builder(schema.clone())
            .with_spec_id(0)
            .add_partition_field("dt", "dt", Transform::Identity)?
            .build()?;
        Ok(Self {
            root,
            first_day,
            schema,
            spec,
            pending: Pending::default(),
            manifests: Vec::new(),
            snapshots: Vec::new(),
            io: FileIO::new_with_memory(),
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
        })
    }

    /// The number of the snapshot that is written next; its id is greater by 1000.
    fn next(&self) -> i64 {
        i64::try_from(self.snapshots.len()).unwrap_or(i64::MAX - 1000) + 1
    }

    /// Writes a Parquet file of a day's partition.
    fn write(
        &self,
        content: DataContentType,
        (name, day): (&str, i64),
        columns: Vec<Column>,
    ) -> Result<DataFile, Failed> {
        let path = format!("data/dt={}/{name}", day_to_date(day));
        let ids = columns.iter().map(|column| column.id).collect();
        let Size { rows, bytes } = rows::write_for_table(&self.root.join(&path), columns)?;
        let is_by_value = content == DataContentType::EqualityDeletes;
        let day = Literal::date(i32::try_from(day)?);
        let file = DataFileBuilder::default()
            .content(content)
            .file_path(format!("{LOCATION}/{path}"))
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([Some(day)]))
            .partition_spec_id(0)
            .record_count(rows)
            .file_size_in_bytes(bytes)
            .equality_ids(is_by_value.then_some(ids))
            .build()?;
        Ok(file)
    }

    fn data(&self, name: &str, day: i64, rows: &[Row]) -> Result<DataFile, Failed> {
        self.write(DataContentType::Data, (name, day), rows::iceberg_columns(rows, day))
    }

    /// Deletes rows of a file by their places in it.
    fn places(&self, day: i64, of: &DataFile, rows: &[u64]) -> Result<DataFile, Failed> {
        let addresses = StringArray::from_iter_values(rows.iter().map(|_| of.file_path()));
        let places: Vec<i64> =
            rows.iter().map(|row| i64::try_from(*row)).collect::<Result<_, _>>()?;
        let columns = vec![
            Column::whole("file_path", FILE_PATH, Arc::new(addresses)),
            Column::whole("pos", POSITION, Arc::new(Int64Array::from(places))),
        ];
        self.write(DataContentType::PositionDeletes, ("places.parquet", day), columns)
    }

    /// Deletes rows by their ids, of all files of the day's partition that were there before.
    fn ids(&self, day: i64, rows: &[Row]) -> Result<DataFile, Failed> {
        let ids = StringArray::from_iter_values(rows.iter().take(1).map(|row| &row.id));
        let columns = vec![Column::whole("request_id", REQUEST_ID, Arc::new(ids))];
        self.write(DataContentType::EqualityDeletes, ("ids.parquet", day), columns)
    }

    /// Writes a manifest of the next snapshot and lists it.
    fn manifest(&mut self, name: &str, entries: Vec<Entry>) -> Result<(), Failed> {
        let sequence = self.next();
        let name = format!("metadata/{sequence}-{name}.avro");
        let address = format!("memory:///{name}");
        let output = self.io.new_output(&address)?;
        let builder = ManifestWriterBuilder::new(
            output,
            Some(1000 + sequence),
            self.schema.clone(),
            self.spec.clone(),
        );
        let is_data = entries.iter().all(|entry| match entry {
            Entry::Added(file) => file.content_type() == DataContentType::Data,
            Entry::Existing(_) | Entry::Removed(_) => true,
        });
        let mut writer = if is_data { builder.build_v2_data() } else { builder.build_v2_deletes() };
        for entry in entries {
            put(&mut writer, entry)?;
        }
        let mut manifest = self.runtime.block_on(writer.write_manifest_file())?;
        self.settle(&address, &name)?;
        manifest.manifest_path = format!("{LOCATION}/{name}");
        self.manifests.push(manifest);
        Ok(())
    }

    /// Moves a file of the library's to its place, with bytes that are the same each time.
    fn settle(&self, address: &str, name: &str) -> Result<(), Failed> {
        let bytes = self.runtime.block_on(async { self.io.new_input(address)?.read().await })?;
        let bytes = avro::settled(&bytes).ok_or("the library's file is no Avro")?;
        write(&self.root.join(name), bytes)
    }

    /// Ends a snapshot: lists its manifests.
    fn snapshot(&mut self, operation: &str) -> Result<(), Failed> {
        let sequence = self.next();
        let id = 1000 + sequence;
        let parent = (sequence > 1).then_some(id - 1);
        let name = format!("metadata/{sequence}-snapshot.avro");
        let address = format!("memory:///{name}");
        let writer =
            self.runtime.block_on(async { self.io.new_output(&address)?.writer().await })?;
        let mut list = ManifestListWriter::v2(writer, id, parent, sequence);
        list.add_manifests(self.manifests.iter().cloned())?;
        self.runtime.block_on(list.close())?;
        self.settle(&address, &name)?;
        for manifest in &mut self.manifests {
            // What was new keeps the number of its snapshot.
            for number in [&mut manifest.sequence_number, &mut manifest.min_sequence_number] {
                if *number < 0 {
                    *number = sequence;
                }
            }
        }
        let mut snapshot = json!({
            "snapshot-id": id, "sequence-number": sequence, "timestamp-ms": MADE + sequence * HOUR,
            "manifest-list": format!("{LOCATION}/{name}"), "summary": {"operation": operation},
            "schema-id": 0,
        });
        if let Some((parent, object)) = parent.zip(snapshot.as_object_mut()) {
            object.insert("parent-snapshot-id".into(), parent.into());
        }
        self.snapshots.push(snapshot);
        Ok(())
    }

    /// Writes the metadata as it stands now, and the hint that names it.
    fn save(&self) -> Result<(), Failed> {
        let version = self.snapshots.len();
        let of = |snapshot: &Value, key: &str| snapshot.get(key).cloned().unwrap_or_default();
        let last = self.snapshots.last().ok_or("a table without snapshots")?;
        let log: Vec<Value> = self
            .snapshots
            .iter()
            .map(|s| json!({"snapshot-id": of(s, "snapshot-id"), "timestamp-ms": of(s, "timestamp-ms")}))
            .collect();
        let metadata = json!({
            "format-version": 2, "table-uuid": "5ca1ab1e-0000-4000-8000-000000000000",
            "location": LOCATION, "last-sequence-number": of(last, "sequence-number"),
            "last-updated-ms": of(last, "timestamp-ms"), "last-column-id": 9,
            "current-schema-id": 0, "schemas": [schema()], "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": [
                {"source-id": 9, "field-id": 1000, "name": "dt", "transform": "identity"},
            ]}],
            "last-partition-id": 1000, "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
            "current-snapshot-id": of(last, "snapshot-id"), "snapshots": self.snapshots,
            "snapshot-log": log, "metadata-log": [],
            "refs": {"main": {"snapshot-id": of(last, "snapshot-id"), "type": "branch"}},
        });
        let folder = self.root.join("metadata");
        let text = serde_json::to_string_pretty(&metadata)?;
        write(&folder.join(format!("v{version}.metadata.json")), format!("{text}\n"))?;
        write(&folder.join("version-hint.text"), version.to_string())
    }
}

impl Lake for Iceberg {
    fn day(&mut self, day: i64, rows: Vec<Row>, strangers: Vec<Row>) -> Result<(), Failed> {
        let Day { fate, first, gone, second } = Day::new(day - self.first_day, rows, strangers);
        let file = self.data("part-0.parquet", day, &first)?;
        let second_file =
            (!second.is_empty()).then(|| self.data("part-1.parquet", day, &second)).transpose()?;
        match fate {
            Fate::Kept => self.pending.written.push(file),
            Fate::Marked => {
                let places = self.places(day, &file, &gone)?;
                self.pending.places.push(places);
                self.pending.written.push(file);
            }
            Fate::Corrected => {
                let ids = self.ids(day, &second)?;
                self.pending.ids.push(ids);
                self.pending.written.push(file);
                self.pending.corrected.extend(second_file);
            }
            Fate::Rewritten => {
                self.pending.replaced.push(file);
                self.pending.corrected.extend(second_file);
            }
            Fate::Dropped => {
                self.pending.written.push(file);
                self.pending.dropped.extend(second_file);
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Failed> {
        let pending = std::mem::take(&mut self.pending);
        // Files that go later have a manifest of their own, which alone is written anew.
        self.manifests.retain(|manifest| manifest.deleted_files_count.unwrap_or(0) == 0);
        let sequence = self.next();
        let added = |files: Vec<DataFile>| files.into_iter().map(Entry::Added);
        let from = |files: &[DataFile]| -> Vec<Added> {
            files.iter().map(|file| Added { file: file.clone(), sequence }).collect()
        };
        let (dropped, replaced) = (from(&pending.dropped), from(&pending.replaced));
        self.manifest("files", added(pending.written).collect())?;
        let going = added(pending.dropped).chain(added(pending.replaced));
        self.manifest("going", going.collect())?;
        self.snapshot("append")?;

        self.manifests.pop();
        let going = replaced.iter().cloned().map(Entry::Existing);
        self.manifest("going", going.chain(dropped.into_iter().map(Entry::Removed)).collect())?;
        let going = self.manifests.pop();
        self.manifest("places", added(pending.places).collect())?;
        self.manifests.extend(going);
        self.snapshot("delete")?;

        self.manifests.pop();
        self.manifest("ids", added(pending.ids).collect())?;
        self.manifest("corrected", added(pending.corrected).collect())?;
        self.manifest("going", replaced.into_iter().map(Entry::Removed).collect())?;
        self.snapshot("overwrite")?;
        self.save()
    }
}

fn put(writer: &mut ManifestWriter, entry: Entry) -> Result<(), Failed> {
    match entry {
        // Its sequence number is that of the snapshot.
        Entry::Added(file) => writer.add_file(file, -1)?,
        Entry::Existing(Added { file, sequence }) => {
            writer.add_existing_file(file, 1000 + sequence, sequence, Some(sequence))?;
        }
        Entry::Removed(Added { file, sequence }) => {
            writer.add_delete_file(file, sequence, Some(sequence))?;
        }
    }
    Ok(())
}

fn schema() -> Value {
    let of = |id: i32, name: &str, data_type: &str, required: bool| json!({"id": id, "name": name, "required": required, "type": data_type});
    json!({"type": "struct", "schema-id": 0, "fields": [
        of(1, "event_time", "timestamptz", true),
        of(2, "request_id", "string", true),
        of(3, "app_id", "string", true),
        of(4, "user_id", "long", false),
        of(5, "group_id", "long", false),
        of(6, "scope", "string", true),
        of(7, "status", "int", true),
        of(8, "bytes", "long", true),
        of(9, "dt", "date", false),
    ]})
}
