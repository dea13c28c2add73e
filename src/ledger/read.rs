//! Packs as sorted streams of rows.

use std::ops::{Mul, RangeInclusive};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Int64Type, SchemaRef, TimestampMicrosecondType, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::LedgerError;
use super::chosen::{Chosen, chosen_rows};
use super::group_rows::{GroupRows, Wanted};
use super::merge::Names;
use super::pack::{NAMES_KEY, PackNames, PersonColumn};
use super::shelf::{Groups, checksum, footer_value, is_sealed, sized};
use super::store::{Ledger, Pack};
use crate::scan::Asked;
use crate::scan::batch::{AccessBatch, IntColumn, KeyColumn, NONE, Outcome, Reject, translated};

/// A stretch of keys by their upper half. Rows without a person belong to the stretch that begins
/// at 0.
pub type KeyRange = RangeInclusive<u64>;

/// A pack, opened once and shared by the cursors of all ranges.
#[derive(Debug)]
pub struct OpenPack {
    pub pack: Pack,
    /// Positions of the pack's units among the run's; [`NONE`] for units to skip.
    pub units: Vec<u32>,
    groups: Groups,
}

impl OpenPack {
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn open(ledger: &Ledger, pack: Pack, units: Vec<u32>) -> Result<Self, LedgerError> {
        let shelf = ledger.shelf();
        let damaged =
            |reason: String| LedgerError::Damaged { pack: shelf.shown(&pack.name), reason };
        let parquet = Arc::new(shelf.metadata(&pack.name, &sized(pack.size))?);
        if !is_sealed(&parquet) {
            return Err(damaged("its footer does not match its seal".into()));
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata =
            ArrowReaderMetadata::try_new(parquet, options).map_err(|e| damaged(e.to_string()))?;
        let checksums = pack.footer.checksums.clone();
        let groups = Groups::new(shelf.clone(), pack.name.clone(), pack.size, metadata, checksums)?;
        Ok(Self { pack, units, groups })
    }

    /// The pack's columns.
    pub fn schema(&self) -> &SchemaRef {
        self.groups.metadata.schema()
    }

    /// What the codes of the rows stand for.
    fn names(&self) -> Result<PackNames, LedgerError> {
        let json = footer_value(self.groups.metadata.metadata(), NAMES_KEY)
            .ok_or_else(|| self.damaged("it has no names"))?;
        if checksum(json.as_bytes()) != self.pack.footer.names_checksum {
            return Err(self.damaged("its names do not match their checksum"));
        }
        let names: PackNames = serde_json::from_str(json).map_err(|e| self.damaged(e))?;
        match names.are_whole() {
            true => Ok(names),
            false => Err(self.damaged("it has a scope without a name")),
        }
    }

    /// Bytes of what the codes of the rows stand for, as they lie in the pack.
    pub fn names_bytes(&self) -> u64 {
        footer_value(self.groups.metadata.metadata(), NAMES_KEY).map_or(0, |json| json.len() as u64)
    }

    fn damaged(&self, reason: impl ToString) -> LedgerError {
        self.groups.damaged(reason)
    }

    /// Row groups that may hold keys of the range.
    fn groups_in(&self, range: &KeyRange) -> Vec<usize> {
        let column = match self.pack.footer.person {
            PersonColumn::Subject => "subject_hi",
            PersonColumn::Actor => "actor_hi",
            PersonColumn::None => "",
        };
        self.groups.within(column, range, *range.start() == 0)
    }
}

/// The codes of a pack's names in a merge's.
struct Codes {
    apps: Vec<u32>,
    sets: Vec<u32>,
    fields: Vec<u32>,
}

impl Codes {
    /// A pack may hold more scopes than the run asks for: the others are left out.
    fn of(pack: PackNames, asked: &Asked, names: &mut Names) -> Self {
        let wanted =
            |name: &str| asked.scopes.binary_search_by(|s| s.name.as_str().cmp(name)).is_ok();
        Self {
            sets: names.sets.add_written((&pack.scopes, &pack.scope_sets), wanted),
            apps: pack.apps.iter().map(|app| names.apps.code(app)).collect(),
            fields: pack.fields.iter().map(|list| names.fields.code(list)).collect(),
        }
    }
}

/// What every row is asked for, side by side: a merge jumps between packs, and finds one line of the
/// processor's cache at each jump instead of one for each column.
#[derive(Clone, Copy, Debug)]
pub struct Near {
    /// Upper halves of keys; see `known`.
    pub person: u64,
    pub group: u64,
    pub micros: i64,
    pub bytes: i64,
    pub unit: u32,
    pub app: u32,
    pub set: u32,
    pub outcome: Outcome,
    pub reject: Option<Reject>,
    /// Which of the values are not null: [`Self::PERSON`] and its like.
    known: u8,
}

impl Near {
    pub const PERSON: u8 = 1;
    pub const GROUP: u8 = 2;
    pub const BYTES: u8 = 4;

    /// The upper half of the person's key.
    #[inline]
    pub fn half(&self) -> Option<u64> {
        self.knows(Self::PERSON).then_some(self.person)
    }

    /// Whether the value is not null.
    #[inline]
    pub fn knows(&self, value: u8) -> bool {
        self.known & value != 0
    }

    /// Appends all rows of a block.
    fn extend(near: &mut Vec<Self>, block: &AccessBatch, people: Option<&KeyColumn>) {
        /// A column, and which of its values are not null: slices, whose place need not be looked up for every row.
        #[derive(Clone, Copy, Default)]
        struct Values<'a, T>(&'a [T], &'a [bool]);
        impl<'a> Values<'a, u64> {
            fn of(keys: &'a KeyColumn) -> Self {
                Self(&keys.hi, &keys.valid)
            }
        }
        impl<T: Copy + Default + From<bool> + Mul<Output = T>> Values<'_, T> {
            /// The value or 0, and `flag` where it is not null: without a guess, which nulls would make a bad one.
            fn at(self, row: usize, flag: u8) -> (T, u8) {
                let Some(value) = self.0.get(row) else { return (T::default(), 0) };
                let known = self.1.get(row) != Some(&false);
                (*value * T::from(known), u8::from(known) * flag)
            }
        }
        let (people, groups) =
            (people.map(Values::of).unwrap_or_default(), Values::of(&block.group));
        let all_bytes = Values(&block.bytes.values[..], &block.bytes.valid);
        let rejects = block.reject.as_slice();
        let rows = block.unit.iter().zip(&block.app).zip(&block.scopes);
        let rows = rows.zip(&block.outcome).zip(&block.micros).enumerate();
        near.extend(rows.map(move |(row, ((((unit, app), set), outcome), micros))| {
            let (person, knows_person) = people.at(row, Self::PERSON);
            let (group, knows_group) = groups.at(row, Self::GROUP);
            let (bytes, knows_bytes) = all_bytes.at(row, Self::BYTES);
            Self {
                person,
                group,
                micros: *micros,
                bytes,
                unit: *unit,
                app: *app,
                set: *set,
                outcome: *outcome,
                reject: rejects.get(row).copied().flatten(),
                known: knows_person | knows_group | knows_bytes,
            }
        }));
    }
}

/// The rows of one pack within a key range, in order, a block at a time.
pub struct Cursor {
    pack: Arc<OpenPack>,
    range: KeyRange,
    groups: std::vec::IntoIter<usize>,
    /// Rows of the row group at hand.
    rows: Option<GroupRows>,
    batch_rows: usize,
    codes: Codes,
    /// The source, and the namespace of its groups.
    pub source: (usize, usize),
    /// The current block; its codes are the merge's.
    pub block: AccessBatch,
    /// By row of `block`.
    pub near: Vec<Near>,
    pub row: usize,
    /// Whose rows alone are given.
    chosen: Option<Arc<Chosen>>,
    /// Columns that are read.
    leaves: Vec<usize>,
}

impl Cursor {
    /// A cursor before its first row; see [`Self::load`]. Rows of its blocks refer to `names`.
    ///
    /// # Errors
    /// Damaged packs.
    pub fn new(
        pack: Arc<OpenPack>,
        source: (usize, usize),
        range: KeyRange,
        asked: &Asked,
        batch_rows: usize,
        names: &mut Names,
    ) -> Result<Self, LedgerError> {
        let groups = pack.groups_in(&range).into_iter();
        let leaves = (0..pack.groups.metadata.parquet_schema().num_columns()).collect();
        let codes = Codes::of(pack.names()?, asked, names);
        Ok(Self {
            pack,
            range,
            groups,
            rows: None,
            batch_rows,
            codes,
            source,
            block: AccessBatch::default(),
            near: Vec::new(),
            row: 0,
            chosen: None,
            leaves,
        })
    }

    /// Gives the rows of these alone.
    pub fn of(self, chosen: Option<Arc<Chosen>>) -> Self {
        Self { chosen, ..self }
    }

    /// Columns by which rules tell what a row means, and the upper halves of the keys that say whose it is.
    const MEANING: [&str; 9] = [
        "time",
        "time_nanos",
        "call",
        "allowed",
        "reject",
        "subject_hi",
        "actor_hi",
        "group_hi",
        "fields",
    ];

    /// Gives of each row no more than what tells what it means, and whose it is by the upper halves of keys.
    pub fn of_meaning(mut self) -> Self {
        let schema = self.pack.groups.metadata.parquet_schema();
        let columns = schema.columns().iter().enumerate();
        let wanted = columns.filter(|(_, column)| Self::MEANING.contains(&column.name()));
        self.leaves = wanted.map(|(leaf, _)| leaf).collect();
        self
    }

    pub fn person_column(&self) -> PersonColumn {
        self.pack.pack.footer.person
    }

    /// Keys of the people of `block`; `None` where its pack names none.
    pub fn people(&self) -> Option<&KeyColumn> {
        self.person_column().keys(&self.block)
    }

    /// Makes sure that `row` is a row of `block`, and gives the last one; `None` at the end.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn load(&mut self) -> Result<Option<usize>, LedgerError> {
        while self.row >= self.block.len() {
            self.row = 0;
            self.near.clear();
            if !self.read()? {
                return Ok(None);
            }
            let people = self.person_column().keys(&self.block);
            Near::extend(&mut self.near, &self.block, people);
            if self.near.len() != self.block.len() {
                return Err(self.pack.damaged("its columns are not equally long"));
            }
        }
        Ok(self.near.len().checked_sub(1))
    }

    /// Reads the next block, which may be empty; false at the end. What rows are asked for in a merge stays as it was.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn read(&mut self) -> Result<bool, LedgerError> {
        let batch = self.next_batch()?;
        let more = batch.is_some();
        self.block = batch.map(|batch| self.decode(batch)).transpose()?.unwrap_or_default();
        Ok(more)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, LedgerError> {
        loop {
            let next = self.rows.as_mut().map(GroupRows::next).transpose();
            if let Some(batch) = next.map_err(|e| self.pack.damaged(e))?.flatten() {
                return Ok(Some(batch));
            }
            // Before the next row group is held, too.
            self.rows = None;
            let Some(group) = self.groups.next() else { return Ok(None) };
            let groups = &self.pack.groups;
            let fetched = Arc::new(groups.fetch(group)?);
            let wanted = match &self.chosen {
                None => Wanted::All(groups.rows(group)),
                Some(chosen) => {
                    let of = (self.person_column(), chosen.as_ref());
                    Wanted::Some(chosen_rows(groups, group, &fetched, of)?)
                }
            };
            let rows =
                GroupRows::open((groups, group), &fetched, &self.leaves, wanted, self.batch_rows)?;
            self.rows = Some(rows);
        }
    }

    /// The rows of `batch` that lie in the range and belong to units that count.
    fn decode(&self, batch: RecordBatch) -> Result<AccessBatch, LedgerError> {
        let mut columns = Columns::of(batch);
        let missing =
            |name: &str| self.pack.damaged(format!("it has no column `{name}` of its type"));
        let mut code = |name: &str, codes: &[u32]| {
            let (own, valid) = columns.take::<UInt32Type>(name)?;
            let mut own = own;
            for (i, code) in own.iter_mut().enumerate() {
                let null = valid.get(i) == Some(&false);
                *code = if null { NONE } else { translated(codes, *code) };
            }
            Some(own)
        };
        let fields = code("fields", &self.codes.fields).unwrap_or_default();
        let (unit, app, scopes) = self.calls(&mut columns).ok_or_else(|| missing("call"))?;
        let mut out = AccessBatch {
            unit,
            app,
            scopes,
            fields,
            micros: columns
                .take::<TimestampMicrosecondType>("time")
                .ok_or_else(|| missing("time"))?
                .0,
            nanos: columns.take::<UInt16Type>("time_nanos").unwrap_or_default().0,
            subject: columns.keys("subject"),
            actor: columns.keys("actor"),
            group: columns.keys("group"),
            event: columns.keys("event"),
            weight: columns.ints("weight"),
            bytes: columns.ints("bytes"),
            records: columns.ints("records"),
            ..Default::default()
        };
        let allowed = columns.array("allowed");
        let allowed = allowed.as_ref().and_then(|a| a.as_boolean_opt());
        let allowed = allowed.ok_or_else(|| missing("allowed"))?;
        let outcome = |allowed| if allowed { Outcome::Allowed } else { Outcome::Denied };
        out.outcome = if allowed.null_count() == 0 {
            allowed.values().iter().map(outcome).collect()
        } else {
            allowed.iter().map(|allowed| allowed.map_or(Outcome::Unknown, outcome)).collect()
        };
        if let Some(array) = columns.array("reject") {
            let texts = array.as_string_opt::<i32>().ok_or_else(|| missing("reject"))?;
            let of = |name: &str| Reject::ALL.into_iter().find(|r| r.name() == name);
            out.reject = texts.iter().map(|text| text.and_then(of)).collect();
        }
        if let Some(array) = columns.array("group_id") {
            let ids = array.as_binary_opt::<i32>().ok_or_else(|| missing("group_id"))?;
            out.group_id = ids.iter().map(|id| id.map(Into::into)).collect();
        }
        self.trim(&mut out);
        Ok(out)
    }

    /// Units, apps and scope sets of the rows.
    fn calls(&self, columns: &mut Columns) -> Option<(Vec<u32>, Vec<u32>, Vec<u32>)> {
        let array = columns.array("call")?;
        let bits = self.pack.pack.footer.call;
        if let Some(calls) = array.as_primitive_opt::<UInt32Type>() {
            return Some(self.parts(calls.values().iter().map(|call| bits.parts((*call).into()))));
        }
        let calls = array.as_primitive_opt::<UInt64Type>()?;
        Some(self.parts(calls.values().iter().map(|call| bits.parts(*call))))
    }

    /// Their codes in the merge's names.
    fn parts(
        &self,
        calls: impl ExactSizeIterator<Item = (u32, u32, u32)>,
    ) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        let mut parts = [(); 3].map(|()| Vec::with_capacity(calls.len()));
        let [units, apps, scopes] = &mut parts;
        for (unit, app, set) in calls {
            units.push(translated(&self.pack.units, unit));
            apps.push(translated(&self.codes.apps, app));
            scopes.push(translated(&self.codes.sets, set));
        }
        parts.into()
    }

    /// Drops what lies outside the key range (at the ends: rows are sorted) by moving the first row
    /// and cutting the tail. Units to skip stay in the block; the merge passes over them.
    fn trim(&self, block: &mut AccessBatch) {
        let Some(keys) = self.person_column().keys(block) else {
            if *self.range.start() != 0 {
                block.clear();
            }
            return;
        };
        let inside = |row: usize| match keys.get(row) {
            None => *self.range.start() == 0,
            Some(key) => self.range.contains(&key.hi),
        };
        let rows = block.len();
        if rows > 0 && inside(0) && inside(rows - 1) {
            return;
        }
        let keep: Vec<bool> = (0..rows).map(inside).collect();
        block.retain(&keep);
    }
}

/// The arrays of a batch, taken out one by one: a column that nobody else holds is not copied.
struct Columns {
    schema: SchemaRef,
    arrays: Vec<Option<ArrayRef>>,
}

impl Columns {
    fn of(batch: RecordBatch) -> Self {
        let (schema, arrays, _) = batch.into_parts();
        Self { schema, arrays: arrays.into_iter().map(Some).collect() }
    }

    fn array(&mut self, name: &str) -> Option<ArrayRef> {
        let (index, _) = self.schema.column_with_name(name)?;
        self.arrays.get_mut(index)?.take()
    }

    /// A column's values, and which of them are not null; empty where all are.
    fn take<T: ArrowPrimitiveType>(&mut self, name: &str) -> Option<(Vec<T::Native>, Vec<bool>)> {
        let array = self.array(name)?;
        let valid = validity(&array);
        let values = array.as_primitive_opt::<T>()?.values().clone();
        drop(array);
        let values = values.into_inner().into_vec();
        Some((values.unwrap_or_else(|shared| shared.typed_data().to_vec()), valid))
    }

    fn keys(&mut self, role: &str) -> KeyColumn {
        let (hi, valid) = self.take::<UInt64Type>(&format!("{role}_hi")).unwrap_or_default();
        let (lo, _) = self.take::<UInt64Type>(&format!("{role}_lo")).unwrap_or_default();
        KeyColumn { kind: None, hi, lo, valid }
    }

    fn ints(&mut self, name: &str) -> IntColumn {
        let (values, valid) = self.take::<Int64Type>(name).unwrap_or_default();
        IntColumn { values, valid }
    }
}

fn validity(array: &ArrayRef) -> Vec<bool> {
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => nulls.iter().collect(),
        _ => Vec::new(),
    }
}
