//! Which deletes count for which data file.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ::iceberg::spec::{DataContentType, DataFileFormat, NestedFieldRef, Schema, Type};
use roaring::RoaringTreemap;
use serde_json::json;

use super::columns::{Names, table_field};
use super::equality::{self, Column, Comparison, Group};
use super::held::Room;
use super::manifests::{Entry, Manifests, PartitionKey};
use super::positions::Positions;
use super::refusal::Refusal;
use super::vectors;
use crate::key::hex;
use crate::snapshot::rows::Pinned;
use crate::snapshot::table::DeletesSource;
use crate::snapshot::{Deletes, DeletesError, GoneRows, VersionOf};
use crate::store::Pin;

/// A partition (none: all of them), and the numbers of the columns that are compared.
type ComparedIn = (Option<PartitionKey>, Vec<i32>);

/// The deletes of a snapshot.
pub struct Plan<'a> {
    manifests: &'a Manifests<'a>,
    of: &'a VersionOf<'a>,
    there: &'a HashMap<String, Pin>,
    schema: &'a Schema,
    names: &'a Names,
    /// By the data file that they are of.
    vectors: HashMap<String, Entry>,
    /// That speak of one data file.
    positions_of: HashMap<String, Vec<Entry>>,
    positions_in: HashMap<PartitionKey, Vec<Entry>>,
    /// By the columns that they compare. Those of a spec without partitions count everywhere.
    equality_in: HashMap<Option<PartitionKey>, BTreeMap<Vec<i32>, Vec<Entry>>>,
    /// The least sequence number of the data files that deletes of a partition may count for.
    oldest: HashMap<Option<PartitionKey>, i64>,
    /// What is shared by the data files that it counts for: by path, and by partition and columns.
    shared_positions: RefCell<HashMap<String, Arc<Positions>>>,
    shared_values: RefCell<HashMap<ComparedIn, Arc<Group>>>,
    room: Arc<Room>,
    /// Files that count for some data file.
    files: RefCell<BTreeMap<String, Pin>>,
}

impl<'a> Plan<'a> {
    /// Sorts the delete files of a snapshot of some data files.
    ///
    /// # Errors
    /// Formats that are not read, and files that do not say what they speak of.
    pub fn new(
        manifests: &'a Manifests<'a>,
        of: &'a VersionOf<'a>,
        there: &'a HashMap<String, Pin>,
        schema: &'a Schema,
        names: &'a Names,
        (data, deletes): (&[Entry], Vec<Entry>),
    ) -> Result<Self, Refusal> {
        let mut plan = Self {
            manifests,
            of,
            there,
            schema,
            names,
            vectors: HashMap::new(),
            positions_of: HashMap::new(),
            positions_in: HashMap::new(),
            equality_in: HashMap::new(),
            oldest: HashMap::new(),
            shared_positions: RefCell::default(),
            shared_values: RefCell::default(),
            room: Arc::new(Room::new(of.source.deletes)),
            files: RefCell::default(),
        };
        for entry in data {
            for partition in [Some(entry.partition.clone()), None] {
                let oldest = plan.oldest.entry(partition).or_insert(i64::MAX);
                *oldest = entry.sequence.min(*oldest);
            }
        }
        let addresses: HashSet<&str> = data.iter().map(|entry| entry.address.as_str()).collect();
        for entry in deletes {
            plan.add(entry, &addresses)?;
        }
        Ok(plan)
    }

    /// `data` are the addresses of the data files.
    fn add(&mut self, mut entry: Entry, data: &HashSet<&str>) -> Result<(), Refusal> {
        match (entry.content, entry.format) {
            (DataContentType::PositionDeletes, DataFileFormat::Puffin) => {
                let address = &entry.address;
                let (Some(data), Some(_)) = (entry.referenced.clone(), entry.blob) else {
                    return Err(Refusal::Table(format!(
                        "the deletion vector in {address} does not say which data file it is of, or where it lies"
                    )));
                };
                if let Some(other) = self.vectors.insert(data.clone(), entry) {
                    let other = other.address;
                    return Err(Refusal::Table(format!(
                        "{data} has two deletion vectors, one of them in {other}"
                    )));
                }
            }
            (DataContentType::PositionDeletes, DataFileFormat::Parquet) => {
                // Bounds of one address name a file as `referenced_data_file` does. Those of none that the
                // snapshot has may be cut short: then only the file itself tells which it names.
                let of_one = entry.addresses.as_ref().filter(|(least, greatest)| least == greatest);
                let of_one = of_one.map(|of| of.0.clone());
                let is_known = |of: &String| data.contains(of.as_str());
                if !of_one.as_ref().is_none_or(is_known) {
                    entry.addresses = None;
                }
                let named = entry.referenced.clone().or(of_one.filter(is_known));
                match named {
                    Some(data) => self.positions_of.entry(data).or_default().push(entry),
                    None => {
                        let key = entry.partition.clone();
                        self.positions_in.entry(key).or_default().push(entry);
                    }
                }
            }
            (DataContentType::EqualityDeletes, DataFileFormat::Parquet) => {
                let spec = self.manifests.table.partition_spec_by_id(entry.partition.spec);
                let spec = spec.ok_or_else(|| {
                    Refusal::Table(format!("{} is of an unknown partition spec", entry.address))
                })?;
                let mut ids = entry.equality_ids.clone();
                ids.sort_unstable();
                ids.dedup();
                if ids.is_empty() {
                    let address = &entry.address;
                    return Err(Refusal::Table(format!(
                        "{address} does not say which columns it compares"
                    )));
                }
                let key = (!spec.is_unpartitioned()).then(|| entry.partition.clone());
                // Older than all data that they could count for: nobody needs them.
                if self.oldest.get(&key).is_some_and(|oldest| entry.sequence > *oldest) {
                    let by_columns = self.equality_in.entry(key).or_default();
                    by_columns.entry(ids).or_default().push(entry);
                }
            }
            (_, format) => {
                let what = format!("delete files in {format} ({})", entry.address);
                return Err(Refusal::Unsupported(what));
            }
        }
        Ok(())
    }

    /// Delete files that count for the data files asked for so far.
    pub fn files(&self) -> BTreeMap<String, Pin> {
        self.files.borrow().clone()
    }

    /// What is deleted of a data file.
    ///
    /// # Errors
    /// Delete files that are gone or contradict themselves, columns that nobody knows.
    pub fn of(&self, data: &Entry, file: &Pinned) -> Result<Option<Deletes>, Refusal> {
        let vector = self.vector_of(data)?;
        let mut positions = Vec::new();
        // A vector holds all positions that were deleted before.
        if vector.is_none() {
            let near = self.positions_in.get(&data.partition).into_iter().flatten();
            let own = self.positions_of.get(&data.address).into_iter().flatten();
            for entry in near.chain(own) {
                if entry.sequence >= data.sequence && may_name(entry, &data.address) {
                    self.check_partition(entry, data)?;
                    positions.push(self.positions(entry)?);
                }
            }
            positions.sort_by(|a, b| a.file.path.cmp(&b.file.path));
        }
        let comparisons = self.comparisons_of(data)?;
        if vector.is_none() && positions.is_empty() && comparisons.is_empty() {
            return Ok(None);
        }
        let told = vector.as_ref().map(|(_, entry)| entry.rows);
        let rows = told.filter(|_| comparisons.is_empty());
        let source = Sources {
            data: file.clone(),
            address: data.address.clone(),
            vector: vector.and_then(|(file, entry)| Some((file, entry.blob?))),
            positions,
            comparisons,
            room: self.room.clone(),
        };
        Ok(Some(Deletes { id: source.id(), rows, source: Arc::new(source) }))
    }

    fn vector_of(&self, data: &Entry) -> Result<Option<(Pinned, &Entry)>, Refusal> {
        let Some(entry) = self.vectors.get(&data.address) else { return Ok(None) };
        self.check_partition(entry, data)?;
        if entry.sequence < data.sequence {
            return Err(Refusal::Table(format!(
                "the deletion vector of {} is older than the file: sequence numbers {} and {}",
                data.address, entry.sequence, data.sequence
            )));
        }
        Ok(Some((self.pinned(entry)?, entry)))
    }

    /// Deletes that name one data file are of its partition; where they are not, the format's own
    /// implementations disagree on whether they count.
    fn check_partition(&self, entry: &Entry, data: &Entry) -> Result<(), Refusal> {
        if entry.partition == data.partition {
            return Ok(());
        }
        Err(Refusal::Table(format!(
            "{} deletes rows of {}, and is of another partition",
            entry.address, data.address
        )))
    }

    fn positions(&self, entry: &Entry) -> Result<Arc<Positions>, Refusal> {
        let file = self.pinned(entry)?;
        let mut shared = self.shared_positions.borrow_mut();
        let own = shared.entry(file.path.clone());
        Ok(own.or_insert_with(|| Arc::new(Positions::new(file))).clone())
    }

    /// Equality deletes that are newer than a data file, by the columns that they compare.
    fn comparisons_of(&self, data: &Entry) -> Result<Vec<Comparison>, Refusal> {
        let mut comparisons = Vec::new();
        for partition in [Some(data.partition.clone()), None] {
            for (ids, entries) in self.equality_in.get(&partition).into_iter().flatten() {
                if !entries.iter().any(|entry| entry.sequence > data.sequence) {
                    continue;
                }
                let columns: Vec<Column> =
                    ids.iter().map(|id| self.column(*id, data)).collect::<Result<_, _>>()?;
                let key = (partition.clone(), ids.clone());
                let known = self.shared_values.borrow().get(&key).cloned();
                let group = match known {
                    Some(group) => group,
                    None => Arc::new(self.group(&columns, entries)?),
                };
                self.shared_values.borrow_mut().insert(key, group.clone());
                comparisons.push(Comparison { group, columns, sequence: data.sequence });
            }
        }
        Ok(comparisons)
    }

    fn group(&self, columns: &[Column], entries: &[Entry]) -> Result<Group, Refusal> {
        let files = entries.iter().map(|entry| Ok((entry.sequence, self.pinned(entry)?)));
        let mut files: Vec<(i64, Pinned)> = files.collect::<Result<_, Refusal>>()?;
        files.sort_by(|a, b| a.1.path.cmp(&b.1.path));
        Ok(Group::new(columns.iter().map(|column| column.way.clone()).collect(), files))
    }

    /// A compared column, which the table may have dropped since.
    fn column(&self, id: i32, data: &Entry) -> Result<Column, Refusal> {
        let mut others: Vec<_> = self.manifests.table.schemas_iter().collect();
        others.sort_by_key(|schema| std::cmp::Reverse(schema.schema_id()));
        let known = std::iter::once(self.schema).chain(others.into_iter().map(AsRef::as_ref));
        let mut ways = known.filter_map(|schema| way_to(schema.as_struct().fields(), id));
        let way = ways.next().filter(|way| {
            way.last().is_some_and(|field| matches!(*field.field_type, Type::Primitive(_)))
        });
        let way = way.ok_or_else(|| {
            Refusal::Unsupported(format!(
                "equality deletes of field {id}, which is no column of one value"
            ))
        })?;
        let constant = data.constants.iter().find(|(column, _)| *column == id);
        Ok(Column {
            way: way
                .iter()
                .map(|field| table_field(field, self.names))
                .collect::<Result<_, _>>()?,
            constant: constant.map(|(_, constant)| constant.clone()),
        })
    }

    fn pinned(&self, entry: &Entry) -> Result<Pinned, Refusal> {
        let store = self.manifests.store;
        let path = self.manifests.path(&entry.address)?;
        let pin = self.of.pin(self.there, store, &path, entry.size)?;
        self.files.borrow_mut().insert(path.clone(), pin.clone());
        Ok(Pinned { store: store.clone(), path, pin, room: self.of.source.deletes })
    }
}

/// Whether a position delete file may hold rows of a data file, by the addresses that it is said to hold.
fn may_name(entry: &Entry, address: &str) -> bool {
    let within = |(least, greatest): &(String, String)| {
        least.as_str() <= address && address <= greatest.as_str()
    };
    entry.addresses.as_ref().is_none_or(within)
}

/// The way to a field through structs.
fn way_to(fields: &[NestedFieldRef], id: i32) -> Option<Vec<NestedFieldRef>> {
    fields.iter().find_map(|field| {
        if field.id == id {
            return Some(vec![field.clone()]);
        }
        let Type::Struct(inner) = field.field_type.as_ref() else { return None };
        let mut way = way_to(inner.fields(), id)?;
        way.insert(0, field.clone());
        Some(way)
    })
}

/// All deletes of one data file.
#[derive(Debug)]
struct Sources {
    data: Pinned,
    /// The data file as position deletes name it.
    address: String,
    vector: Option<(Pinned, (u64, u64))>,
    positions: Vec<Arc<Positions>>,
    comparisons: Vec<Comparison>,
    room: Arc<Room>,
}

impl Sources {
    /// Names the deletes: which files, in which version, what is compared, and what is kept of them beside
    /// the rows.
    fn id(&self) -> String {
        let file = |file: &Pinned| json!([file.path, file.pin]);
        let positions: Vec<_> = self.positions.iter().map(|of| file(&of.file)).collect();
        let vector = self.vector.as_ref().map(|(of, blob)| json!([file(of), blob.0, blob.1]));
        let comparisons: Vec<_> = self
            .comparisons
            .iter()
            .map(|comparison| {
                let columns = comparison.columns.iter().map(|column| {
                    let way: Vec<_> = column.way.iter().map(|field| field.as_json()).collect();
                    json!([way, column.constant.as_ref().map(|constant| &constant.text)])
                });
                let files: Vec<_> = comparison.files().map(file).collect();
                json!([columns.collect::<Vec<_>>(), files])
            })
            .collect();
        const KEPT: &str = "checksums";
        let all = json!([KEPT, vector, self.address, positions, comparisons]).to_string();
        hex(blake3::hash(all.as_bytes()).as_bytes().get(..16).unwrap_or_default())
    }
}

impl DeletesSource for Sources {
    fn load(&self) -> Result<GoneRows, DeletesError> {
        let mut rows = RoaringTreemap::new();
        if let Some((file, blob)) = &self.vector {
            vectors::add(file, *blob, &mut rows)?;
        }
        // A vector has a checksum of its own.
        let mut unchecked = false;
        for file in &self.positions {
            file.add(&self.address, &self.room, &mut rows)?;
            unchecked |= file.is_unchecked();
        }
        for comparison in &self.comparisons {
            unchecked |= equality::add(comparison, &self.data, &self.room, &mut rows)?;
        }
        Ok(GoneRows { rows, unchecked })
    }
}
