//! Iceberg tables made by hand: metadata as JSON, manifests by the crate's writer.

use std::fs::{self, File};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, ManifestFile,
    ManifestListWriter, ManifestWriterBuilder, PartitionSpec, Schema, Struct,
    UnboundPartitionField,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::lake::{Call, Lake, standard_days, times};

/// Days since 1970 of the standard lake's first one.
pub const DAY: i32 = 18_078;

/// A column of a file: name, number (none below 0), values.
pub type Column = (&'static str, i32, ArrayRef);

/// A table below `logs/`.
pub struct Ice {
    pub lake: Lake,
    /// Its metadata, to be changed at will before the next commit.
    pub metadata: Value,
    manifests: Vec<ManifestFile>,
    versions: u64,
}

/// The columns of the standard log and `dt`, the day of a file, which is a partition.
pub fn columns() -> Value {
    let of = |id: i32, name: &str, data_type: &str| json!({"id": id, "name": name, "type": data_type, "required": false});
    json!([
        of(1, "event_time", "timestamptz"),
        of(2, "request_id", "string"),
        of(3, "app_id", "string"),
        of(4, "user_id", "long"),
        of(5, "group_id", "long"),
        of(6, "scope", "string"),
        of(7, "status", "int"),
        of(8, "bytes", "long"),
        of(9, "dt", "date"),
    ])
}

/// One partition a day.
pub fn by_day() -> Value {
    json!([{"source-id": 9, "field-id": 1000, "name": "dt", "transform": "identity"}])
}

pub fn schema(id: i32, fields: &Value) -> Value {
    json!({"type": "struct", "schema-id": id, "fields": fields})
}

impl Ice {
    /// An empty table of a format, with columns and partitions.
    pub fn new(format: u8, fields: &Value, partitions: &Value) -> Self {
        let lake = Lake::empty();
        let location = lake.path("logs").to_str().unwrap().to_string();
        fs::create_dir(lake.path("logs/metadata")).unwrap();
        let mut metadata = json!({
            "format-version": format, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
            "location": location, "last-sequence-number": 0, "last-updated-ms": 0,
            "last-column-id": 99, "current-schema-id": 0, "schemas": [schema(0, fields)],
            "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": partitions}],
            "last-partition-id": 1009, "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
            "snapshots": [], "snapshot-log": [], "refs": {},
        });
        if format == 3 {
            metadata["next-row-id"] = 0.into();
        }
        lake.edit(
            "afterscope.toml",
            "url = \"logs/\"\n",
            "url = \"logs/\"\nformat = \"iceberg\"\n",
        );
        Self { lake, metadata, manifests: Vec::new(), versions: 0 }
    }

    /// The standard lake: three days, each a file of a commit of its own.
    pub fn standard(format: u8) -> Self {
        let mut table = Self::new(format, &columns(), &by_day());
        for number in 0..3 {
            let file = table.day(number);
            table.commit(vec![file]);
        }
        table
    }

    /// The file of a day of the standard lake.
    pub fn day(&self, number: usize) -> DataFile {
        let calls = &standard_days()[number].1;
        let name = format!("data/part-{number}.parquet");
        let rows = self.write(&name, calls_of(calls, &name));
        let day = DAY + i32::try_from(number).unwrap();
        self.file(DataContentType::Data, &name, rows).partition(partition(day)).build().unwrap()
    }

    /// Writes a Parquet file; gives its rows.
    pub fn write(&self, path: &str, columns: Vec<Column>) -> u64 {
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, id, array)| {
                let field = Field::new(*name, array.data_type().clone(), true);
                let own = (*id >= 0).then(|| ("PARQUET:field_id".to_string(), id.to_string()));
                field.with_metadata(own.into_iter().collect())
            })
            .collect();
        let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
        let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).unwrap();
        let path = self.lake.path("logs").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer =
            ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        batch.num_rows() as u64
    }

    pub fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.metadata["location"].as_str().unwrap())
    }

    /// An entry of a manifest, for a file that is there.
    pub fn file(&self, content: DataContentType, path: &str, rows: u64) -> DataFileBuilder {
        let format = if path.ends_with(".puffin") {
            DataFileFormat::Puffin
        } else {
            DataFileFormat::Parquet
        };
        let size = fs::metadata(self.lake.path("logs").join(path)).unwrap().len();
        let mut builder = DataFileBuilder::default();
        builder
            .content(content)
            .file_path(self.address(path))
            .file_format(format)
            .record_count(rows)
            .file_size_in_bytes(size);
        builder
    }

    /// A position delete file of rows of one data file, in the data file's partition.
    pub fn positions(&self, path: &str, of: &DataFile, rows: &[i64]) -> DataFile {
        let addresses = StringArray::from_iter_values(rows.iter().map(|_| of.file_path()));
        let places = Int64Array::from(rows.to_vec());
        let columns: Vec<Column> = vec![
            ("file_path", 2_147_483_546, Arc::new(addresses)),
            ("pos", 2_147_483_545, Arc::new(places)),
        ];
        let count = self.write(path, columns);
        let mut file = self.file(DataContentType::PositionDeletes, path, count);
        file.partition(of.partition().clone()).build().unwrap()
    }

    /// An equality delete file.
    pub fn equals(&self, path: &str, columns: Vec<Column>) -> DataFileBuilder {
        let ids = columns.iter().map(|(_, id, _)| *id).collect();
        let rows = self.write(path, columns);
        let mut file = self.file(DataContentType::EqualityDeletes, path, rows);
        file.equality_ids(Some(ids));
        file
    }

    /// Adds files in a commit of their own; gives the number of its snapshot.
    pub fn commit(&mut self, files: Vec<DataFile>) -> i64 {
        self.commit_of(0, files)
    }

    /// As [`Self::commit`], of another partition spec.
    pub fn commit_of(&mut self, spec: usize, files: Vec<DataFile>) -> i64 {
        let before = self.metadata["snapshots"].as_array().unwrap().len();
        let sequence = i64::try_from(before).unwrap() + 1;
        let id = 1000 + sequence;
        let (data, deletes): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.content_type() == DataContentType::Data);
        for (kind, files) in [("data", data), ("deletes", deletes)] {
            if !files.is_empty() {
                let manifest = self.manifest(&format!("m{sequence}-{kind}"), id, spec, files);
                self.manifests.push(manifest);
            }
        }
        let list = self.address(&format!("metadata/list-{sequence}.avro"));
        self.write_list(&list, id, sequence);
        let format = self.metadata["format-version"].as_u64().unwrap();
        let at = moment(sequence);
        self.metadata["last-sequence-number"] = if format == 1 { 0 } else { sequence }.into();
        self.metadata["last-updated-ms"] = at.into();
        let parent = self.metadata["current-snapshot-id"].as_i64().filter(|id| *id > 0);
        self.metadata["current-snapshot-id"] = id.into();
        self.metadata["refs"]["main"] = json!({"snapshot-id": id, "type": "branch"});
        let mut snapshot = json!({
            "snapshot-id": id, "sequence-number": sequence, "timestamp-ms": at,
            "manifest-list": list, "summary": {"operation": "append"},
            "schema-id": self.metadata["current-schema-id"],
        });
        if let Some(parent) = parent {
            snapshot["parent-snapshot-id"] = parent.into();
        }
        if format == 3 {
            snapshot["first-row-id"] = 0.into();
            snapshot["added-rows"] = 0.into();
        }
        self.metadata["snapshots"].as_array_mut().unwrap().push(snapshot);
        let entry = json!({"snapshot-id": id, "timestamp-ms": at});
        self.metadata["snapshot-log"].as_array_mut().unwrap().push(entry);
        self.save();
        id
    }

    /// Writes the metadata as it stands now, as the newest version.
    pub fn save(&mut self) {
        self.versions += 1;
        let name = format!("logs/metadata/v{}.metadata.json", self.versions);
        self.lake.write(&name, &self.metadata.to_string());
        self.lake.write("logs/metadata/version-hint.text", &self.versions.to_string());
    }

    /// The schema and partition spec that the next manifest is written with.
    fn written_as(&self, spec: usize) -> (Arc<Schema>, PartitionSpec) {
        let current = &self.metadata["current-schema-id"];
        let schemas = self.metadata["schemas"].as_array().unwrap();
        let schema = schemas.iter().find(|schema| schema["schema-id"] == *current).unwrap();
        let schema: Arc<Schema> = Arc::new(serde_json::from_value(schema.clone()).unwrap());
        let fields = self.metadata["partition-specs"][spec]["fields"].clone();
        let fields: Vec<UnboundPartitionField> = serde_json::from_value(fields).unwrap();
        let bound = PartitionSpec::builder(schema.clone())
            .with_spec_id(i32::try_from(spec).unwrap())
            .add_unbound_fields(fields)
            .unwrap()
            .build()
            .unwrap();
        (schema, bound)
    }

    fn manifest(&self, name: &str, id: i64, spec: usize, files: Vec<DataFile>) -> ManifestFile {
        let (schema, spec) = self.written_as(spec);
        let output = FileIO::new_with_fs()
            .new_output(self.address(&format!("metadata/{name}.avro")))
            .unwrap();
        let builder = ManifestWriterBuilder::new(output, Some(id), schema, spec);
        let is_data = files.iter().all(|file| file.content_type() == DataContentType::Data);
        let mut writer = match (self.metadata["format-version"].as_u64().unwrap(), is_data) {
            (1, _) => builder.build_v1(),
            (2, true) => builder.build_v2_data(),
            (2, false) => builder.build_v2_deletes(),
            (_, true) => builder.build_v3_data(),
            (_, false) => builder.build_v3_deletes(),
        };
        for file in files {
            // Its sequence number is that of the commit.
            writer.add_file(file, -1).unwrap();
        }
        wait(writer.write_manifest_file()).unwrap()
    }

    fn write_list(&mut self, address: &str, id: i64, sequence: i64) {
        let writer = wait(FileIO::new_with_fs().new_output(address).unwrap().writer()).unwrap();
        let mut list = match self.metadata["format-version"].as_u64().unwrap() {
            1 => ManifestListWriter::v1(writer, id, None),
            2 => ManifestListWriter::v2(writer, id, None, sequence),
            _ => ManifestListWriter::v3(writer, id, None, sequence, Some(0)),
        };
        list.add_manifests(self.manifests.iter().cloned()).unwrap();
        wait(list.close()).unwrap();
        // What was new keeps the number of its commit.
        for manifest in &mut self.manifests {
            if manifest.sequence_number < 0 {
                manifest.sequence_number = sequence;
            }
            if manifest.min_sequence_number < 0 {
                manifest.min_sequence_number = sequence;
            }
        }
    }
}

/// When a commit was made: an hour after the one before, from 2019-08-01 on.
pub fn moment(sequence: i64) -> i64 {
    1_564_617_600_000 + (sequence - 1) * 3_600_000
}

pub fn partition(day: i32) -> Struct {
    Struct::from_iter([Some(Literal::date(day))])
}

/// The columns of the standard log; event ids name their file as those of plain logs do.
pub fn calls_of(calls: &[Call], path: &str) -> Vec<Column> {
    let texts = |of: fn(&Call) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(calls.iter().map(of)))
    };
    let ids = (0..calls.len()).map(|row| format!("logs/{path}#{row}"));
    vec![
        ("event_time", 1, times(calls.iter().map(|c| c.time.as_deref()))),
        ("request_id", 2, Arc::new(StringArray::from_iter_values(ids)) as ArrayRef),
        ("app_id", 3, texts(|c| &c.app)),
        ("user_id", 4, Arc::new(Int64Array::from_iter(calls.iter().map(|c| c.user)))),
        ("group_id", 5, Arc::new(Int64Array::from_iter(calls.iter().map(|c| c.group)))),
        ("scope", 6, texts(|c| &c.scope)),
        ("status", 7, Arc::new(Int32Array::from_iter_values(calls.iter().map(|c| c.status)))),
        ("bytes", 8, Arc::new(Int64Array::from_iter_values(calls.iter().map(|_| 100)))),
    ]
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
