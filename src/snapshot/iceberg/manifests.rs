//! A snapshot's files, as its manifests list them.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use ::iceberg::spec::{
    DataContentType, DataFile, DataFileFormat, Datum, Literal, Manifest, ManifestEntry,
    ManifestFile, ManifestList, ManifestStatus, PartitionField, PrimitiveLiteral, PrimitiveType,
    SnapshotRef, StructType, TableMetadata, Transform, Type,
};
use bytes::Bytes;

use super::columns::constant;
use super::metadata::Metadata;
use super::partitions::{Values, by_number};
use super::place::Location;
use super::refusal::Refusal;
use crate::moment::EpochUnit;
use crate::snapshot::{Clock, Constant, TimeBounds};
use crate::store::{Pin, Store};

/// Number of the column of a position delete file that names data files.
pub const FILE_PATH_ID: i32 = 2_147_483_546;

/// A live file of a snapshot: data, or deletes.
#[derive(Debug)]
pub struct Entry {
    /// As the table writes it: what deletes name data files by.
    pub address: String,
    pub content: DataContentType,
    pub format: DataFileFormat,
    /// The data sequence number: deletes count for older data.
    pub sequence: i64,
    /// The partition that it belongs to.
    pub partition: PartitionKey,
    /// Values that all rows have by the partition, by the numbers of their columns.
    pub constants: Vec<(i32, Constant)>,
    pub rows: u64,
    pub size: u64,
    /// Of equality deletes: numbers of the columns that are compared.
    pub equality_ids: Vec<i32>,
    /// Of deletes: the only data file that they speak of.
    pub referenced: Option<String>,
    /// Of a deletion vector: offset and length in its file.
    pub blob: Option<(u64, u64)>,
    /// Of position deletes: least and greatest address of a data file.
    pub addresses: Option<(String, String)>,
    /// Of data: between which the event times lie.
    pub times: Option<TimeBounds>,
}

/// Two files have equal keys where they are of the same partition of the same spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    pub spec: i32,
    values: Vec<Option<String>>,
}

/// Reads manifests of one table.
pub struct Manifests<'a> {
    pub store: &'a Store,
    pub location: &'a Location,
    pub table: &'a TableMetadata,
    /// Number of the column of event times, where somebody asks for its bounds.
    time: Option<i32>,
    /// Why one may be missing.
    lost: String,
    /// Files that were read, in which version.
    read: RefCell<BTreeMap<String, Pin>>,
}

impl<'a> Manifests<'a> {
    pub fn new(
        store: &'a Store,
        location: &'a Location,
        table: &'a TableMetadata,
        time: Option<i32>,
        lost: String,
    ) -> Self {
        Self { store, location, table, time, lost, read: RefCell::default() }
    }

    /// Manifests and lists that were read, and the metadata file that led to them.
    pub fn files_read(&self, metadata: &Metadata) -> BTreeMap<String, Pin> {
        let (path, pin) = metadata.file.clone();
        self.read.borrow().clone().into_iter().chain([(path, pin)]).collect()
    }

    /// All live files of a snapshot.
    ///
    /// # Errors
    /// Manifests that are gone or cannot be read, and what this program does not know.
    pub fn entries(&self, snapshot: &SnapshotRef) -> Result<Vec<Entry>, Refusal> {
        if snapshot.encryption_key_id().is_some() {
            return Err(Refusal::Unsupported("encryption".into()));
        }
        let bytes = self.bytes(snapshot.manifest_list())?;
        let list = ManifestList::parse_with_version(&bytes, self.table.format_version())
            .map_err(|e| self.broken(snapshot.manifest_list(), &e))?;
        let mut entries = Vec::new();
        for file in list.entries() {
            self.manifest(file, &mut entries)?;
        }
        Ok(entries)
    }

    /// The path of a file below the table's folder.
    ///
    /// # Errors
    /// A file outside of it.
    pub fn path(&self, address: &str) -> Result<String, Refusal> {
        self.location.below(address).ok_or_else(|| {
            Refusal::Unsupported(format!(
                "files outside of the table's location {} ({address}); copy or rewrite them into it",
                self.table.location()
            ))
        })
    }

    fn bytes(&self, address: &str) -> Result<Bytes, Refusal> {
        let path = self.path(address)?;
        match self.store.read(&path)? {
            Some((bytes, pin)) => {
                self.read.borrow_mut().insert(path, pin);
                Ok(bytes)
            }
            None => Err(Refusal::Gone { file: self.store.shown(&path), reason: self.lost.clone() }),
        }
    }

    fn broken(&self, address: &str, reason: &dyn std::fmt::Display) -> Refusal {
        Refusal::Table(format!("{address} cannot be read: {reason}"))
    }

    fn manifest(&self, file: &ManifestFile, entries: &mut Vec<Entry>) -> Result<(), Refusal> {
        let address = &file.manifest_path;
        if file.key_metadata.as_ref().is_some_and(|key| !key.is_empty()) {
            return Err(Refusal::Unsupported(format!("encryption ({address})")));
        }
        let bytes = self.bytes(address)?;
        let manifest = Manifest::parse_avro(&bytes).map_err(|e| self.broken(address, &e))?;
        let metadata = manifest.metadata();
        let spec = metadata.partition_spec();
        let types = spec.partition_type(metadata.schema())?;
        let own = by_number(&bytes, spec.fields(), &types).map_err(|e| self.broken(address, &e))?;
        for (place, entry) in manifest.entries().iter().enumerate() {
            if !entry.is_alive() {
                continue;
            }
            let values = match &own {
                Some(own) => own.get(place).cloned().unwrap_or_default(),
                None => values(entry),
            };
            if values.len() != spec.fields().len() {
                return Err(Refusal::Table(format!(
                    "{address}: {} has no value for each partition field",
                    entry.file_path()
                )));
            }
            entries.push(self.entry(file, entry, &types, spec.fields(), &values)?);
        }
        Ok(())
    }

    fn entry(
        &self,
        file: &ManifestFile,
        entry: &ManifestEntry,
        types: &StructType,
        fields: &[PartitionField],
        values: &Values,
    ) -> Result<Entry, Refusal> {
        let data = entry.data_file();
        let address = data.file_path().to_string();
        if data.key_metadata().is_some_and(|key| !key.is_empty()) {
            return Err(Refusal::Unsupported(format!("encryption ({address})")));
        }
        // Numbers that are left out are those of the commit that added the manifest.
        let inherited = (entry.status() == ManifestStatus::Added || file.sequence_number == 0)
            .then_some(file.sequence_number);
        let sequence = entry.sequence_number().or(inherited).ok_or_else(|| {
            Refusal::Table(format!("{}: {address} has no sequence number", file.manifest_path))
        })?;
        let mut constants = Vec::new();
        for ((field, typed), value) in fields.iter().zip(types.fields()).zip(values) {
            if let (Transform::Identity, Type::Primitive(of)) =
                (field.transform, typed.field_type.as_ref())
            {
                constants.push((field.source_id, constant(value.as_ref(), of)?));
            }
        }
        let values = values.iter().map(|value| value.as_ref().map(canonical)).collect();
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let bound =
            |of: &HashMap<i32, Datum>| match of.get(&FILE_PATH_ID).map(|datum| datum.literal()) {
                Some(PrimitiveLiteral::String(text)) => Some(text.clone()),
                _ => None,
            };
        Ok(Entry {
            content: data.content_type(),
            format: data.file_format(),
            sequence,
            partition: PartitionKey { spec: file.partition_spec_id, values },
            constants,
            rows: data.record_count(),
            size: data.file_size_in_bytes(),
            equality_ids: data.equality_ids().unwrap_or_default(),
            referenced: data.referenced_data_file(),
            blob: number(data.content_offset()).zip(number(data.content_size_in_bytes())),
            addresses: bound(data.lower_bounds()).zip(bound(data.upper_bounds())),
            times: self.time.and_then(|column| times(data, column)),
            address,
        })
    }
}

/// Bounds of the time column; `None` where values may be null, or are no times that a table counts.
fn times(data: &DataFile, column: i32) -> Option<TimeBounds> {
    if data.null_value_counts().get(&column) != Some(&0) {
        return None;
    }
    let (least, greatest) = (data.lower_bounds().get(&column)?, data.upper_bounds().get(&column)?);
    let value = |of: &Datum| match of.literal() {
        PrimitiveLiteral::Int(value) => Some(i64::from(*value)),
        PrimitiveLiteral::Long(value) => Some(*value),
        _ => None,
    };
    // As the file has the column: the table may have widened it since.
    let clock = |of: &Datum| match of.data_type() {
        PrimitiveType::Timestamptz => Some(Clock::Utc(EpochUnit::Micros)),
        PrimitiveType::TimestamptzNs => Some(Clock::Utc(EpochUnit::Nanos)),
        PrimitiveType::Timestamp => Some(Clock::Wall(EpochUnit::Micros)),
        PrimitiveType::TimestampNs => Some(Clock::Wall(EpochUnit::Nanos)),
        PrimitiveType::Int | PrimitiveType::Long => Some(Clock::Number),
        _ => None,
    };
    let one = clock(least)?;
    (clock(greatest) == Some(one)).then_some(())?;
    TimeBounds::new(one, value(least)?, value(greatest)?)
}

/// The partition values of an entry.
fn values(entry: &ManifestEntry) -> Values {
    let given = entry.data_file().partition().fields().iter();
    let single = given.map_while(|value| match value {
        Some(Literal::Primitive(value)) => Some(Some(value.clone())),
        None => Some(None),
        Some(_) => None,
    });
    single.collect()
}

/// A partition value as text that is the same for equal values, also where the column's type was widened
/// between two manifests.
fn canonical(value: &PrimitiveLiteral) -> String {
    let bits = |number: f64| if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() };
    match value {
        PrimitiveLiteral::Int(number) => format!("n{number}"),
        PrimitiveLiteral::Long(number) => format!("n{number}"),
        PrimitiveLiteral::Float(number) => format!("f{:x}", bits(f64::from(number.into_inner()))),
        PrimitiveLiteral::Double(number) => format!("f{:x}", bits(number.into_inner())),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_partition_values_are_equal_whatever_width_their_column_had() {
        use ::iceberg::spec::PrimitiveLiteral::{Double, Float, Int, Long};
        assert_eq!(canonical(&Int(-7)), canonical(&Long(-7)));
        assert_eq!(canonical(&Float(0.5.into())), canonical(&Double(0.5.into())));
        assert_eq!(canonical(&Float(f32::NAN.into())), canonical(&Double((-f64::NAN).into())));
        assert_ne!(canonical(&Double(0.0.into())), canonical(&Double((-0.0).into())));
        assert_ne!(canonical(&Int(1)), canonical(&Double(1.0.into())));
    }
}
