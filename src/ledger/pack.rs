//! What a pack looks like: plain Parquet, readable by any tool.
//!
//! | column | type | |
//! |---|---|---|
//! | `call` | uint32 or uint64 | three indexes side by side, see below |
//! | `time` | timestamp\[µs, UTC\] | floored; 1970-01-01 where the row is rejected for its time |
//! | `time_nanos` | uint16 | nanoseconds beyond, where a source has them |
//! | `allowed` | bool | whether the call was allowed; null where it is unknown |
//! | `reject` | string | why the row cannot be counted: time, weight, scope, or scope and time |
//! | `subject_hi`, `_lo`, `actor_…`, `group_…`, `event_…` | uint64 | 128-bit keys; `_lo` where it is not zero |
//! | `group_id` | binary | the group's own id where the key does not give it back (veiled under an id key) |
//! | `weight`, `bytes`, `records` | int64 | |
//! | `fields` | uint32 | index into `fields`: a JSON array of field names |
//!
//! Of a `call` the lowest bits are 1 more than an index into `scope_sets` (the asked scopes, and those of them that the
//! call exercised), the next ones 1 more than an index into `apps`, 0 where the event names none, and the highest an
//! index into the footer's `units`: file and row group. How many bits each takes stands in the footer. Side by side
//! they take a third of the bytes that a column for each would take to write and to read back.
//!
//! Only mapped columns are there; they are nullable where a row is null. Rows are sorted by (person,
//! event id); the person is the subject where one is mapped, else the actor. The footer's key `afterscope.pack` holds a
//! [`PackFooter`] as JSON, `afterscope.names` the [`PackNames`] that the indexes point into.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::call::CallBits;
use crate::codes::index;
use crate::key::{IdKind, KEY_FORMAT, hex};
use crate::scan::batch::{AccessBatch, IntColumn, Interner, KeyColumn, NONE, Outcome, Reject};
use crate::scan::scope_sets::ScopeSets;
use crate::scan::{Asked, UnitRecord};
use crate::store::Pin;

/// Version of this format; part of every pack's name.
pub const FORMAT: u32 = 10;

/// The footer's key.
pub const FOOTER_KEY: &str = "afterscope.pack";

/// The key of the names.
pub const NAMES_KEY: &str = "afterscope.names";

/// What the codes of a pack's rows stand for. Kept once a pack: texts in every row, even as the codes
/// of a dictionary page, would be hashed once a row when they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackNames {
    pub apps: Vec<Box<str>>,
    pub scopes: Vec<Box<str>>,
    /// Of each set the places of its scopes in `scopes`: twice each, and one more where the call exercised it.
    pub scope_sets: Vec<Box<[u32]>>,
    pub fields: Vec<Box<str>>,
}

impl PackNames {
    pub fn new(apps: &Interner, scopes: &ScopeSets, fields: &Interner) -> Self {
        let (scopes, scope_sets) = scopes.written();
        Self {
            apps: apps.names().map(Into::into).collect(),
            scopes,
            scope_sets,
            fields: fields.names().map(Into::into).collect(),
        }
    }

    /// Whether every scope of a set has a name.
    pub fn are_whole(&self) -> bool {
        let named = |of: &u32| usize::try_from(of >> 1).is_ok_and(|name| name < self.scopes.len());
        self.scope_sets.iter().all(|set| set.iter().all(named))
    }

    pub fn of(rows: &AccessBatch) -> Self {
        Self::new(&rows.app_names, &rows.scope_sets, &rows.field_lists)
    }
}

/// What the rows of a pack were read with: packs of one lineage can stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    pub format: u32,
    pub key_format: u32,
    /// BLAKE3 of the mapping and the endpoint table.
    pub mapping: String,
    /// Name of the id key; empty without one.
    pub key_id: String,
}

impl Lineage {
    pub fn new(mapping: &str, endpoints: &str, key_id: String) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(mapping.as_bytes()).update(&[0]).update(endpoints.as_bytes());
        let mapping = hex(hasher.finalize().as_bytes().get(..16).unwrap_or_default());
        Self { format: FORMAT, key_format: KEY_FORMAT, mapping, key_id }
    }
}

/// A row group of an input file that a pack covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackUnit {
    /// Address of the file, without credentials.
    pub file: String,
    pub pin: Pin,
    #[serde(flatten)]
    pub record: UnitRecord,
}

/// Kinds of the ids in a pack, by role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kinds {
    /// Subjects and actors.
    pub person: Option<IdKind>,
    pub group: Option<IdKind>,
    pub event: Option<IdKind>,
}

/// What a pack says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackFooter {
    /// What it must be called: see [`Self::name_from`].
    pub name: String,
    pub lineage: Lineage,
    pub asked: Asked,
    pub kinds: Kinds,
    /// Whether people are the subject column or, where none is mapped, the actor.
    pub person: PersonColumn,
    pub rows: u64,
    pub units: Vec<PackUnit>,
    /// How the column `call` is read.
    pub call: CallBits,
    /// XXH3 (128 bits) of each row group's bytes.
    pub checksums: Vec<String>,
    /// The same of the names' JSON.
    pub names_checksum: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonColumn {
    Subject,
    Actor,
    None,
}

impl PersonColumn {
    pub fn of(batch: &AccessBatch) -> Self {
        match (batch.subject.is_empty(), batch.actor.is_empty()) {
            (false, _) => Self::Subject,
            (true, false) => Self::Actor,
            (true, true) => Self::None,
        }
    }

    /// The column that holds the person.
    pub fn keys(self, batch: &AccessBatch) -> Option<&KeyColumn> {
        match self {
            Self::Subject => Some(&batch.subject),
            Self::Actor => Some(&batch.actor),
            Self::None => None,
        }
    }
}

impl PackFooter {
    /// The name of a pack made from these units, and from the packs `merged`: a hash of what it was
    /// made from, not of when.
    ///
    /// # Errors
    /// Never in practice: the parts are plain data.
    pub fn name_from(&self, merged: &[&str]) -> Result<String, LedgerError> {
        let mut units: Vec<(&str, &Pin, u32)> =
            self.units.iter().map(|u| (u.file.as_str(), &u.pin, u.record.row_group)).collect();
        units.sort_by(|a, b| (a.0, a.2).cmp(&(b.0, b.2)));
        let identity = (&self.lineage, &self.asked, units, merged);
        // Of a file that was not opened the table may tell another story later.
        let mut told: Vec<_> = self.units.iter().filter(|u| u.record.unopened).collect();
        told.sort_by(|a, b| a.file.cmp(&b.file));
        let told: Vec<_> = told.iter().map(|u| &u.record).collect();
        let identity = match told.as_slice() {
            [] => serde_json::to_vec(&identity),
            told => serde_json::to_vec(&(identity, told)),
        };
        let identity = identity.map_err(|e| LedgerError::Internal { what: e.to_string() })?;
        let hash = blake3::hash(&identity);
        Ok(format!("{}.parquet", hex(hash.as_bytes().get(..16).unwrap_or_default())))
    }
}

/// Codes as a column; [`NONE`] is null.
fn codes(codes: impl Iterator<Item = u32>) -> ArrayRef {
    let codes = codes.map(|code| (code != NONE).then_some(code));
    Arc::new(codes.collect::<UInt32Array>())
}

/// What nearly every row has, side by side: half a line of memory, picked in one go.
#[derive(Clone, Copy, Debug)]
pub struct Common {
    pub micros: i64,
    /// Upper half of the group's key.
    group: u64,
    /// Unit, app and scope set.
    call: u64,
    /// The row's place in its batch.
    pub row: u32,
    outcome: Outcome,
}

impl Common {
    pub const NONE: Self =
        Self { micros: 0, group: 0, call: 0, row: NONE, outcome: Outcome::Unknown };

    /// Of all rows of a batch.
    pub fn all(batch: &AccessBatch, call: CallBits) -> impl Iterator<Item = Self> + '_ {
        let columns = batch.unit.iter().zip(&batch.app).zip(&batch.scopes).zip(&batch.outcome);
        let groups = batch.group.hi.as_slice();
        columns.zip(&batch.micros).zip(0..).map(
            move |(((((unit, app), scopes), outcome), micros), row)| Self {
                micros: *micros,
                group: groups.get(index(row)).copied().unwrap_or(0),
                call: call.call(*unit, *app, *scopes),
                row,
                outcome: *outcome,
            },
        )
    }
}

/// Rows of a batch that become rows of a pack, in their order.
pub struct Picked {
    /// Upper halves of the keys of their people.
    pub people: Vec<u64>,
    pub rows: Vec<Common>,
    /// Whether any row of the pack has an outcome that is not known.
    pub unknown: bool,
}

/// What is true of each row.
fn bits(rows: &[Common], of: impl Fn(&Common) -> bool) -> BooleanBuffer {
    BooleanBuffer::collect_bool(rows.len(), |row| rows.get(row).is_some_and(&of))
}

/// Which of the rows are valid, where not all are.
fn nulls(valid: &[bool], rows: &[Common]) -> Option<NullBuffer> {
    let is_valid = |row: &Common| valid.get(index(row.row)) == Some(&true);
    (!valid.is_empty()).then(|| NullBuffer::new(bits(rows, is_valid)))
}

/// What `rows` have of a column.
fn picked<'a, T: Copy>(
    from: &'a [T],
    rows: &'a [Common],
    missing: T,
) -> impl ExactSizeIterator<Item = T> + 'a {
    rows.iter().map(move |common| from.get(index(common.row)).copied().unwrap_or(missing))
}

struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    /// A column that may hold nulls costs more, to write and to read.
    fn push(&mut self, name: &str, array: ArrayRef, nullable: bool) {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(array);
    }

    /// `hi` are the upper halves, where they were picked before.
    fn keys(&mut self, role: &str, keys: &KeyColumn, rows: &[Common], hi: Option<Vec<u64>>) {
        if keys.is_empty() {
            return;
        }
        let nullable = !keys.valid.is_empty();
        let valid = nulls(&keys.valid, rows);
        let pick = |from: &[u64]| -> Vec<u64> { picked(from, rows, 0).collect() };
        let hi = hi.unwrap_or_else(|| pick(&keys.hi));
        let hi = UInt64Array::new(hi.into(), valid.clone());
        self.push(&format!("{role}_hi"), Arc::new(hi), nullable);
        if !keys.lo.is_empty() {
            let lo = UInt64Array::new(pick(&keys.lo).into(), valid);
            self.push(&format!("{role}_lo"), Arc::new(lo), nullable);
        }
    }

    fn ints(&mut self, name: &str, column: &IntColumn, rows: &[Common]) {
        if column.values.is_empty() {
            return;
        }
        let values: Vec<i64> = picked(&column.values, rows, 0).collect();
        let array = Int64Array::new(values.into(), nulls(&column.valid, rows));
        self.push(name, Arc::new(array), !column.valid.is_empty());
    }
}

/// Rows of `batch`, whose people are in the column `person`, as a pack's columns.
///
/// # Errors
/// [`LedgerError::Internal`] only.
pub fn to_arrow(
    batch: &AccessBatch,
    person: PersonColumn,
    call: CallBits,
    Picked { people, rows, unknown }: Picked,
) -> Result<RecordBatch, LedgerError> {
    let mut out = Columns { fields: Vec::new(), arrays: Vec::new() };
    out.push("call", call.column(rows.iter().map(|r| r.call)), false);
    let micros: Vec<i64> = rows.iter().map(|r| r.micros).collect();
    let time = TimestampMicrosecondArray::from(micros).with_timezone("UTC");
    out.push("time", Arc::new(time), false);
    if !batch.nanos.is_empty() {
        let nanos: Vec<u16> = picked(&batch.nanos, &rows, 0).collect();
        out.push("time_nanos", Arc::new(UInt16Array::from(nanos)), false);
    }
    let known =
        unknown.then(|| NullBuffer::new(bits(&rows, |row| row.outcome != Outcome::Unknown)));
    let allowed = BooleanArray::new(bits(&rows, |row| row.outcome == Outcome::Allowed), known);
    out.push("allowed", Arc::new(allowed), unknown);
    if !batch.reject.is_empty() {
        let names = picked(&batch.reject, &rows, None).map(|reject| reject.map(Reject::name));
        out.push("reject", Arc::new(names.collect::<StringArray>()), true);
    }
    let mut people = Some(people);
    let mut of_person = |column| people.take_if(|_| person == column);
    out.keys("subject", &batch.subject, &rows, of_person(PersonColumn::Subject));
    out.keys("actor", &batch.actor, &rows, of_person(PersonColumn::Actor));
    out.keys("group", &batch.group, &rows, Some(rows.iter().map(|r| r.group).collect()));
    if !batch.group_id.is_empty() {
        let mut ids = BinaryBuilder::new();
        for common in &rows {
            let id = batch.group_id.get(index(common.row));
            ids.append_option(id.and_then(Option::as_ref));
        }
        out.push("group_id", Arc::new(ids.finish()), true);
    }
    out.keys("event", &batch.event, &rows, None);
    out.ints("weight", &batch.weight, &rows);
    out.ints("bytes", &batch.bytes, &rows);
    out.ints("records", &batch.records, &rows);
    if !batch.fields.is_empty() {
        out.push("fields", codes(picked(&batch.fields, &rows, NONE)), true);
    }
    RecordBatch::try_new(Arc::new(Schema::new(out.fields)), out.arrays)
        .map_err(|e| LedgerError::Internal { what: e.to_string() })
}
