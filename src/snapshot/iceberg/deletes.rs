//! Which deletes count for which data file.

use std::collections::HashMap;
use std::sync::Arc;

use ::iceberg::spec::{DataContentType, DataFileFormat, NestedFieldRef, Schema, Type};
use roaring::RoaringTreemap;
use serde_json::json;

use super::columns::{Names, table_field};
use super::equality::{self, Column, Comparison};
use super::manifests::{Entry, Manifests, PartitionKey};
use super::refusal::Refusal;
use super::rows::Pinned;
use super::{positions, vectors};
use crate::key::hex;
use crate::snapshot::table::DeletesSource;
use crate::snapshot::{Deletes, DeletesError, VersionOf};
use crate::store::Pin;

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
    equality_in: HashMap<PartitionKey, Vec<Entry>>,
    /// Those of a spec without partitions count everywhere.
    equality: Vec<Entry>,
}

impl<'a> Plan<'a> {
    /// Sorts a snapshot's delete files.
    ///
    /// # Errors
    /// Formats that are not read, and files that do not say what they speak of.
    pub fn new(
        manifests: &'a Manifests<'a>,
        of: &'a VersionOf<'a>,
        there: &'a HashMap<String, Pin>,
        schema: &'a Schema,
        names: &'a Names,
        deletes: Vec<Entry>,
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
            equality: Vec::new(),
        };
        for entry in deletes {
            plan.add(entry)?;
        }
        Ok(plan)
    }

    fn add(&mut self, entry: Entry) -> Result<(), Refusal> {
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
                match entry.referenced.clone() {
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
                if spec.is_unpartitioned() {
                    self.equality.push(entry);
                } else {
                    let key = entry.partition.clone();
                    self.equality_in.entry(key).or_default().push(entry);
                }
            }
            (_, format) => {
                let what = format!("delete files in {format} ({})", entry.address);
                return Err(Refusal::Unsupported(what));
            }
        }
        Ok(())
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
                    positions.push(self.pinned(entry)?);
                }
            }
            positions.sort_by(|a, b| a.path.cmp(&b.path));
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

    /// Equality deletes that are newer than a data file, by the columns that they compare.
    fn comparisons_of(&self, data: &Entry) -> Result<Vec<Comparison>, Refusal> {
        let near = self.equality_in.get(&data.partition).into_iter().flatten();
        let newer = near.chain(&self.equality).filter(|entry| entry.sequence > data.sequence);
        let mut by_columns: HashMap<Vec<i32>, Vec<Pinned>> = HashMap::new();
        for entry in newer {
            let mut ids = entry.equality_ids.clone();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                let address = &entry.address;
                return Err(Refusal::Table(format!(
                    "{address} does not say which columns it compares"
                )));
            }
            by_columns.entry(ids).or_default().push(self.pinned(entry)?);
        }
        let mut sorted: Vec<(Vec<i32>, Vec<Pinned>)> = by_columns.into_iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut comparisons = Vec::with_capacity(sorted.len());
        for (ids, mut files) in sorted {
            files.sort_by(|a, b| a.path.cmp(&b.path));
            let columns = ids.iter().map(|id| self.column(*id, data)).collect::<Result<_, _>>()?;
            comparisons.push(Comparison { columns, files });
        }
        Ok(comparisons)
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
        Ok(Pinned { store: store.clone(), path, pin })
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
    positions: Vec<Pinned>,
    comparisons: Vec<Comparison>,
}

impl Sources {
    /// Names the deletes: which files, in which version, and what is compared.
    fn id(&self) -> String {
        let file = |file: &Pinned| json!([file.path, file.pin]);
        let files = |of: &[Pinned]| of.iter().map(file).collect::<Vec<_>>();
        let vector = self.vector.as_ref().map(|(of, blob)| json!([file(of), blob.0, blob.1]));
        let comparisons: Vec<_> = self
            .comparisons
            .iter()
            .map(|comparison| {
                let columns = comparison.columns.iter().map(|column| {
                    let way: Vec<_> = column.way.iter().map(|field| field.as_json()).collect();
                    json!([way, column.constant.as_ref().map(|constant| &constant.text)])
                });
                json!([columns.collect::<Vec<_>>(), files(&comparison.files)])
            })
            .collect();
        let all = json!([vector, self.address, files(&self.positions), comparisons]).to_string();
        hex(blake3::hash(all.as_bytes()).as_bytes().get(..16).unwrap_or_default())
    }
}

impl DeletesSource for Sources {
    fn load(&self) -> Result<RoaringTreemap, DeletesError> {
        let mut rows = RoaringTreemap::new();
        if let Some((file, blob)) = &self.vector {
            vectors::add(file, *blob, &mut rows)?;
        }
        for file in &self.positions {
            positions::add(file, &self.address, &mut rows)?;
        }
        for comparison in &self.comparisons {
            equality::add(comparison, &self.data, &mut rows)?;
        }
        Ok(rows)
    }
}
