//! The sample's log as a Delta table: <https://github.com/delta-io/delta/blob/master/PROTOCOL.md>
//!
//! Of each half of the log one commit adds the files, one deletes rows and files, one corrects and rewrites.
//! The first half's commits end with a checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::json::ReaderBuilder;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use roaring::RoaringTreemap;
use serde_json::{Value, json};
use uuid::Uuid;

use super::history::{Day, Fate, Lake};
use super::rows::{self, Row, Size};
use super::{Failed, write};
use crate::moment::day_to_date;

/// When the table was made, in milliseconds: 2019-11-06T01:00:00Z. Each commit comes an hour after the one
/// before.
const MADE: u64 = 1_573_002_000_000;
const HOUR: u64 = 3_600_000;

/// What a deletion vector begins with, in 32 and 64 bits' form.
const MAGIC: u32 = 1_681_511_377;

const COLUMNS: [(&str, &str, bool); 9] = [
    ("event_time", "timestamp", false),
    ("request_id", "string", false),
    ("app_id", "string", false),
    ("user_id", "long", true),
    ("group_id", "long", true),
    ("scope", "string", false),
    ("status", "short", false),
    ("bytes", "long", false),
    ("dt", "date", true),
];

/// Actions of commits that are still to be written.
#[derive(Default)]
struct Pending {
    written: Vec<Value>,
    deleted: Vec<Value>,
    corrected: Vec<Value>,
    /// The file of deletion vectors; empty where there is none.
    vectors: Vec<u8>,
}

pub struct Delta {
    root: PathBuf,
    first_day: i64,
    next_version: u64,
    pending: Pending,
    turns: u128,
    /// What the table holds: `protocol`, `metaData`, and files by their paths.
    state: BTreeMap<String, Value>,
    tombstones: Vec<Value>,
}

impl Delta {
    /// An empty table.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn new(root: PathBuf, first_day: i64) -> Result<Self, Failed> {
        fs::create_dir_all(root.join("_delta_log"))?;
        let mut table = Self {
            root,
            first_day,
            next_version: 0,
            pending: Pending::default(),
            turns: 0,
            state: BTreeMap::new(),
            tombstones: Vec::new(),
        };
        table.commit("CREATE TABLE", vec![protocol(), metadata()])?;
        Ok(table)
    }

    fn commit(&mut self, operation: &str, actions: Vec<Value>) -> Result<(), Failed> {
        let at = MADE + self.next_version * HOUR;
        let info = json!({"commitInfo": {
            "timestamp": at, "operation": operation, "operationParameters": {},
            "engineInfo": "afterscope sample",
        }});
        let mut text = format!("{info}\n");
        for mut action in actions {
            if let Some(remove) = action.get_mut("remove") {
                insert(remove, "deletionTimestamp", at.into());
            }
            text.push_str(&format!("{action}\n"));
            self.apply(action);
        }
        let version = self.next_version;
        write(&self.root.join(format!("_delta_log/{version:020}.json")), text)?;
        self.next_version += 1;
        Ok(())
    }

    fn apply(&mut self, action: Value) {
        let path = |kind: &str| {
            let path = action.get(kind)?.get("path")?.as_str()?;
            Some(path.to_string())
        };
        if let Some(path) = path("remove") {
            self.state.remove(&path);
            self.tombstones.push(action);
        } else if let Some(path) = path("add") {
            self.state.insert(path, action);
        } else {
            // The path of a file holds a slash: protocol and metadata keep places of their own.
            let kind = action.as_object().and_then(|a| a.keys().next().cloned());
            self.state.insert(kind.unwrap_or_default(), action);
        }
    }

    /// Writes the state at the last version as a checkpoint of one file, and names it.
    fn checkpoint(&self) -> Result<(), Failed> {
        let version = self.next_version.saturating_sub(1);
        let mut actions: Vec<Value> = self.state.values().cloned().collect();
        actions.extend(self.tombstones.iter().cloned());
        for action in &mut actions {
            // A checkpoint changes no data.
            if let Some(file) = action.as_object_mut().and_then(|a| a.values_mut().next())
                && file.get("dataChange").is_some()
            {
                insert(file, "dataChange", false.into());
            }
        }
        let mut decoder = ReaderBuilder::new(Arc::new(checkpoint_schema()))
            .with_batch_size(actions.len().max(1))
            .build_decoder()?;
        decoder.serialize(&actions)?;
        let batch = decoder.flush()?.ok_or("a checkpoint without actions")?;
        let log = self.root.join("_delta_log");
        let file = fs::File::create(log.join(format!("{version:020}.checkpoint.parquet")))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("afterscope sample".into())
            .build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.close()?;
        let last = json!({"version": version, "size": actions.len()});
        write(&log.join("_last_checkpoint"), format!("{last}\n"))?;
        Ok(())
    }

    /// Writes a file of a day; gives the action that adds it.
    fn write(&self, name: &str, date: &str, rows: &[Row]) -> Result<Value, Failed> {
        let path = format!("dt={date}/{name}");
        let size = rows::write_for_table(&self.root.join(&path), rows::columns(rows))?;
        Ok(add(&path, date, size))
    }

    /// The file of deletion vectors that this turn's corrections go to.
    fn vectors(&self) -> Uuid {
        Uuid::from_u128(0x5ca1_ab1e_0000_4000_8000_0000_0000_0001 + self.turns)
    }

    /// Puts a deletion vector into the turn's file.
    fn vector_in_file(&mut self, rows: &[u64]) -> Result<Value, Failed> {
        const VERSION: u8 = 1;
        let id = base85(self.vectors().as_bytes());
        let file = &mut self.pending.vectors;
        if file.is_empty() {
            file.push(VERSION);
        }
        let offset = file.len();
        let bytes = vector(rows)?;
        file.extend(u32::try_from(bytes.len())?.to_be_bytes());
        file.extend_from_slice(&bytes);
        file.extend(crc32fast::hash(&bytes).to_be_bytes());
        Ok(json!({
            "storageType": "u", "pathOrInlineDv": id, "offset": offset,
            "sizeInBytes": bytes.len(), "cardinality": rows.len(),
        }))
    }
}

impl Lake for Delta {
    fn day(&mut self, day: i64, rows: Vec<Row>, strangers: Vec<Row>) -> Result<(), Failed> {
        let date = day_to_date(day);
        let day = Day::new(day - self.first_day, rows, strangers);
        let first = self.write("part-0.parquet", &date, &day.first)?;
        let second = (!day.second.is_empty())
            .then(|| self.write("part-1.parquet", &date, &day.second))
            .transpose()?;
        self.pending.written.push(first.clone());
        match day.fate {
            Fate::Kept => {}
            Fate::Marked => {
                let marked = with_vector(&first, inline_vector(&day.gone)?);
                self.pending.deleted.extend([remove(&first), marked]);
            }
            Fate::Corrected => {
                let marked = with_vector(&first, self.vector_in_file(&day.gone)?);
                self.pending.corrected.extend([remove(&first), marked]);
                self.pending.corrected.extend(second);
            }
            Fate::Rewritten => {
                self.pending.corrected.push(remove(&first));
                self.pending.corrected.extend(second);
            }
            Fate::Dropped => {
                self.pending.deleted.extend(second.as_ref().map(remove));
                self.pending.written.extend(second);
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Failed> {
        let pending = std::mem::take(&mut self.pending);
        if !pending.vectors.is_empty() {
            let name = format!("deletion_vector_{}.bin", self.vectors());
            write(&self.root.join(name), pending.vectors)?;
        }
        self.commit("WRITE", pending.written)?;
        self.commit("DELETE", pending.deleted)?;
        self.commit("MERGE", pending.corrected)?;
        if self.turns == 0 {
            self.checkpoint()?;
        }
        self.turns += 1;
        Ok(())
    }
}

fn insert(of: &mut Value, name: &str, value: Value) {
    if let Some(object) = of.as_object_mut() {
        object.insert(name.to_string(), value);
    }
}

fn protocol() -> Value {
    let features = ["deletionVectors"];
    json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": features, "writerFeatures": features,
    }})
}

fn metadata() -> Value {
    let fields = COLUMNS.map(
        |(name, of, nullable)| json!({"name": name, "type": of, "nullable": nullable, "metadata": {}}),
    );
    let schema = json!({"type": "struct", "fields": fields});
    json!({"metaData": {
        "id": "5ca1ab1e-0000-4000-8000-000000000000", "name": "access",
        "format": {"provider": "parquet", "options": {}}, "schemaString": schema.to_string(),
        "partitionColumns": ["dt"], "configuration": {"delta.enableDeletionVectors": "true"},
        "createdTime": MADE,
    }})
}

fn add(path: &str, date: &str, size: Size) -> Value {
    json!({"add": {
        "path": path, "partitionValues": {"dt": date}, "size": size.bytes,
        "modificationTime": MADE, "dataChange": true,
        "stats": json!({"numRecords": size.rows}).to_string(),
    }})
}

/// Takes out a file that has no deletion vector.
fn remove(added: &Value) -> Value {
    let of = |name: &str| added.pointer(&format!("/add/{name}")).cloned().unwrap_or_default();
    json!({"remove": {
        "path": of("path"), "deletionTimestamp": 0, "dataChange": true,
        "extendedFileMetadata": true, "partitionValues": of("partitionValues"),
        "size": of("size"), "stats": of("stats"),
    }})
}

fn with_vector(added: &Value, vector: Value) -> Value {
    let mut added = added.clone();
    if let Some(file) = added.get_mut("add") {
        insert(file, "deletionVector", vector);
    }
    added
}

/// A deletion vector: magic, and bitmaps in their portable form.
fn vector(rows: &[u64]) -> Result<Vec<u8>, Failed> {
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    rows.iter().copied().collect::<RoaringTreemap>().serialize_into(&mut bytes)?;
    Ok(bytes)
}

fn inline_vector(rows: &[u64]) -> Result<Value, Failed> {
    let bytes = vector(rows)?;
    Ok(json!({
        "storageType": "i", "pathOrInlineDv": base85(&bytes),
        "sizeInBytes": bytes.len(), "cardinality": rows.len(),
    }))
}

/// Z85, four bytes as five digits; what is missing of the last four is zero.
fn base85(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 85] =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let mut text = String::new();
    for part in bytes.chunks(4) {
        let mut four = [0; 4];
        for (place, byte) in four.iter_mut().zip(part) {
            *place = *byte;
        }
        let number = u32::from_be_bytes(four) as usize;
        for power in [85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1] {
            text.extend(DIGITS.get(number / power % 85).map(|digit| char::from(*digit)));
        }
    }
    text
}

fn checkpoint_schema() -> Schema {
    use DataType::{Boolean, Int32, Int64, Utf8};
    let field = |name: &str, of: DataType| Field::new(name, of, true);
    let of = |fields: Vec<Field>| DataType::Struct(Fields::from(fields));
    let texts = || DataType::List(Arc::new(Field::new("element", Utf8, true)));
    let map = || {
        let entry = vec![Field::new("key", Utf8, false), Field::new("value", Utf8, true)];
        let entries = Field::new("key_value", DataType::Struct(Fields::from(entry)), false);
        DataType::Map(Arc::new(entries), false)
    };
    let vector = of(vec![
        field("storageType", Utf8),
        field("pathOrInlineDv", Utf8),
        field("offset", Int32),
        field("sizeInBytes", Int32),
        field("cardinality", Int64),
    ]);
    let format = of(vec![field("provider", Utf8), field("options", map())]);
    Schema::new(vec![
        field(
            "protocol",
            of(vec![
                field("minReaderVersion", Int32),
                field("minWriterVersion", Int32),
                field("readerFeatures", texts()),
                field("writerFeatures", texts()),
            ]),
        ),
        field(
            "metaData",
            of(vec![
                field("id", Utf8),
                field("name", Utf8),
                field("format", format),
                field("schemaString", Utf8),
                field("partitionColumns", texts()),
                field("configuration", map()),
                field("createdTime", Int64),
            ]),
        ),
        field(
            "add",
            of(vec![
                field("path", Utf8),
                field("partitionValues", map()),
                field("size", Int64),
                field("modificationTime", Int64),
                field("dataChange", Boolean),
                field("stats", Utf8),
                field("deletionVector", vector),
            ]),
        ),
        field(
            "remove",
            of(vec![
                field("path", Utf8),
                field("deletionTimestamp", Int64),
                field("dataChange", Boolean),
                field("extendedFileMetadata", Boolean),
                field("partitionValues", map()),
                field("size", Int64),
            ]),
        ),
    ])
}
