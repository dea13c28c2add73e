//! Mapped rows, column by column.

use indexmap::IndexSet;

use super::scope_sets::ScopeSets;
use crate::key::{IdKind, Key};
use crate::moment::Moment;

/// A code that stands for null.
pub const NONE: u32 = u32::MAX;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Allowed,
    Denied,
    Unknown,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Allowed, Self::Denied, Self::Unknown];

    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a row cannot be counted (docs/counting.md, rule 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// Its time is null or unreadable.
    Time,
    /// Its weight is negative.
    Weight,
    /// Its scope value cannot be parsed.
    Scope,
    /// Neither can its scope value, nor is there a time.
    ScopeAndTime,
}

impl Reject {
    pub const ALL: [Self; 4] = [Self::Time, Self::Weight, Self::Scope, Self::ScopeAndTime];

    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Weight => "weight",
            Self::Scope => "scope",
            Self::ScopeAndTime => "scope and time",
        }
    }
}

/// Texts by number, in the order in which they were met.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    names: IndexSet<Box<str>>,
    /// Bytes of the texts themselves.
    texts: usize,
}

/// What a text takes beside its bytes: where it lies, its hash, its place, and what the allocator rounds it up by.
const TEXT: usize = 48;

impl Interner {
    pub fn code(&mut self, name: &str) -> u32 {
        let known = self.names.get_index_of(name);
        let code = known.unwrap_or_else(|| {
            self.texts += name.len();
            self.names.insert_full(name.into()).0
        });
        u32::try_from(code).unwrap_or(NONE)
    }

    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    pub fn name(&self, code: u32) -> Option<&str> {
        self.names.get_index(usize::try_from(code).ok()?).map(AsRef::as_ref)
    }

    /// Bytes that it takes, about.
    pub fn bytes_held(&self) -> usize {
        self.texts + self.names.len() * TEXT
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names in their order, and the code that each own one has there.
    pub fn sorted(&self) -> (Self, Vec<u32>) {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        let mut sorted = Self::default();
        for name in names {
            sorted.code(name);
        }
        let codes = self.translate(&mut sorted);
        (sorted, codes)
    }

    /// The codes of all own names in `other`.
    pub fn translate(&self, other: &mut Self) -> Vec<u32> {
        self.names().map(|name| other.code(name)).collect()
    }
}

/// A code's counterpart; [`NONE`] stays.
pub fn translated(codes: &[u32], code: u32) -> u32 {
    usize::try_from(code).ok().and_then(|i| codes.get(i)).copied().unwrap_or(NONE)
}

/// Appends a column that stays empty while all its values are `usual`: `mine` stands for `rows` rows,
/// `theirs` for `more`.
fn append_sparse<T: Clone>(mine: &mut Vec<T>, theirs: &[T], rows: usize, more: usize, usual: T) {
    if mine.is_empty() && theirs.is_empty() {
        return;
    }
    mine.resize(rows, usual.clone());
    mine.extend_from_slice(theirs);
    mine.resize(rows + more, usual);
}

/// Ids as keys; null where the row has none. A column that no source column fills stays empty.
#[derive(Clone, Debug, Default)]
pub struct KeyColumn {
    pub kind: Option<IdKind>,
    pub hi: Vec<u64>,
    /// Empty while every key's low half is zero (integers).
    pub lo: Vec<u64>,
    /// Empty while no key is null.
    pub valid: Vec<bool>,
}

impl KeyColumn {
    pub fn push(&mut self, key: Option<Key>) {
        let rows = self.hi.len();
        match key {
            Some(key) => {
                if key.lo != 0 && self.lo.is_empty() {
                    self.lo.resize(rows, 0);
                }
                self.hi.push(key.hi);
                if key.lo != 0 || !self.lo.is_empty() {
                    self.lo.push(key.lo);
                }
                if !self.valid.is_empty() {
                    self.valid.push(true);
                }
            }
            None => {
                if self.valid.is_empty() {
                    self.valid.resize(rows, true);
                }
                self.valid.push(false);
                self.hi.push(0);
                if !self.lo.is_empty() {
                    self.lo.push(0);
                }
            }
        }
    }

    /// Appends keys without nulls whose lower half is zero.
    pub fn extend_plain(&mut self, keys: impl ExactSizeIterator<Item = u64>) {
        let rows = self.hi.len() + keys.len();
        self.hi.extend(keys);
        if !self.lo.is_empty() {
            self.lo.resize(rows, 0);
        }
        if !self.valid.is_empty() {
            self.valid.resize(rows, true);
        }
    }

    /// Appends keys whose lower half is zero; those that are not valid are null.
    pub fn extend_nullable(
        &mut self,
        keys: impl ExactSizeIterator<Item = u64>,
        valid: impl Iterator<Item = bool>,
    ) {
        let before = self.hi.len();
        self.extend_plain(keys);
        self.valid.resize(self.hi.len(), true);
        let added = self.hi.iter_mut().zip(&mut self.valid).skip(before);
        for ((key, is_valid), valid) in added.zip(valid) {
            *is_valid = valid;
            *key = if valid { *key } else { 0 };
        }
    }

    #[inline]
    pub fn get(&self, row: usize) -> Option<Key> {
        if self.valid.get(row) == Some(&false) {
            return None;
        }
        let hi = *self.hi.get(row)?;
        Some(Key { hi, lo: self.lo.get(row).copied().unwrap_or(0) })
    }

    pub fn len(&self) -> usize {
        self.hi.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hi.is_empty()
    }

    /// Appends all rows of `other`.
    pub fn append(&mut self, other: &Self) {
        self.kind = self.kind.or(other.kind);
        let (rows, more) = (self.hi.len(), other.len());
        append_sparse(&mut self.lo, &other.lo, rows, more, 0);
        append_sparse(&mut self.valid, &other.valid, rows, more, true);
        self.hi.extend_from_slice(&other.hi);
    }
}

/// Optional whole numbers. A column that no source column fills stays empty.
#[derive(Clone, Debug, Default)]
pub struct IntColumn {
    pub values: Vec<i64>,
    /// Empty while no value is null.
    pub valid: Vec<bool>,
}

impl IntColumn {
    pub fn push(&mut self, value: Option<i64>) {
        if value.is_none() {
            if self.valid.is_empty() {
                self.valid.resize(self.values.len(), true);
            }
            self.valid.push(false);
        } else if !self.valid.is_empty() {
            self.valid.push(true);
        }
        self.values.push(value.unwrap_or(0));
    }

    /// Appends values without nulls.
    pub fn extend_plain(&mut self, values: &[i64]) {
        self.values.extend_from_slice(values);
        if !self.valid.is_empty() {
            self.valid.resize(self.values.len(), true);
        }
    }

    #[inline]
    pub fn get(&self, row: usize) -> Option<i64> {
        if self.valid.get(row) == Some(&false) {
            return None;
        }
        self.values.get(row).copied()
    }

    pub fn append(&mut self, other: &Self) {
        let (rows, more) = (self.values.len(), other.values.len());
        append_sparse(&mut self.valid, &other.valid, rows, more, true);
        self.values.extend_from_slice(&other.values);
    }
}

/// Events of one source: columns of equal length, apart from those that the source does not map,
/// which are empty. Texts are codes into the batch's own lists.
#[derive(Clone, Debug, Default)]
pub struct AccessBatch {
    /// Which scan unit the row came from (an index that the reader of the batch gives meaning).
    pub unit: Vec<u32>,
    /// Microseconds since the epoch, UTC; 0 where the row is rejected for its time.
    pub micros: Vec<i64>,
    /// Nanoseconds beyond, 0 to 999; empty while all are 0.
    pub nanos: Vec<u16>,
    pub app: Vec<u32>,
    pub scopes: Vec<u32>,
    pub outcome: Vec<Outcome>,
    /// Empty while no row is rejected.
    pub reject: Vec<Option<Reject>>,
    pub subject: KeyColumn,
    pub actor: KeyColumn,
    pub group: KeyColumn,
    /// The group's own id where the key does not give it back (text, or keyed ids).
    pub group_id: Vec<Option<Box<[u8]>>>,
    pub weight: IntColumn,
    pub bytes: IntColumn,
    pub records: IntColumn,
    /// Codes of JSON arrays of field names.
    pub fields: Vec<u32>,
    pub event: KeyColumn,

    pub app_names: Interner,
    pub scope_sets: ScopeSets,
    pub field_lists: Interner,
}

/// What can be done to every column of an [`AccessBatch`], whatever stands in it.
trait ColumnEdit {
    fn edit<T>(&self, column: &mut Vec<T>);
}

impl AccessBatch {
    pub fn len(&self) -> usize {
        self.unit.len()
    }

    pub fn is_empty(&self) -> bool {
        self.unit.is_empty()
    }

    #[inline]
    pub fn moment(&self, row: usize) -> Moment {
        Moment {
            micros: self.micros.get(row).copied().unwrap_or_default(),
            nanos: self.nanos.get(row).copied().unwrap_or_default(),
        }
    }

    /// Appends all rows of `other`, as rows of `unit`.
    ///
    /// A column that only one of the two has is null in the other's rows.
    pub fn append(&mut self, other: &Self, unit: u32) {
        let (rows, more) = (self.len(), other.len());
        self.unit.resize(rows + more, unit);
        self.micros.extend_from_slice(&other.micros);
        append_sparse(&mut self.nanos, &other.nanos, rows, more, 0);
        let apps = other.app_names.translate(&mut self.app_names);
        self.app.extend(other.app.iter().map(|c| translated(&apps, *c)));
        let sets = other.scope_sets.translate(&mut self.scope_sets);
        self.scopes.extend(other.scopes.iter().map(|c| translated(&sets, *c)));
        self.outcome.extend_from_slice(&other.outcome);
        append_sparse(&mut self.reject, &other.reject, rows, more, None);
        for (mine, theirs) in [
            (&mut self.subject, &other.subject),
            (&mut self.actor, &other.actor),
            (&mut self.group, &other.group),
            (&mut self.event, &other.event),
        ] {
            if more > 0 {
                mine.append(theirs);
            }
        }
        append_sparse(&mut self.group_id, &other.group_id, rows, more, None);
        self.weight.append(&other.weight);
        self.bytes.append(&other.bytes);
        self.records.append(&other.records);
        let lists = other.field_lists.translate(&mut self.field_lists);
        self.fields.extend(other.fields.iter().map(|c| translated(&lists, *c)));
    }

    /// Gives lists, and units by `units`, an order that does not depend on when their rows came.
    pub fn renumber(&mut self, units: &[u32]) {
        let (app_names, apps) = self.app_names.sorted();
        let (field_lists, fields) = self.field_lists.sorted();
        let (scope_sets, sets) = self.scope_sets.sorted();
        (self.app_names, self.field_lists, self.scope_sets) = (app_names, field_lists, scope_sets);
        for (column, codes) in [
            (&mut self.unit, units),
            (&mut self.app, &apps),
            (&mut self.scopes, &sets),
            (&mut self.fields, &fields),
        ] {
            column.iter_mut().for_each(|code| *code = translated(codes, *code));
        }
    }

    /// Takes all rows out, with the lists that they refer to, and keeps the room that they stood in.
    pub fn clear(&mut self) {
        self.clear_rows();
        self.app_names = Interner::default();
        self.scope_sets = ScopeSets::default();
        self.field_lists = Interner::default();
    }

    /// Takes all rows out and leaves the lists.
    pub fn clear_rows(&mut self) {
        struct Clear;
        impl ColumnEdit for Clear {
            fn edit<T>(&self, column: &mut Vec<T>) {
                column.clear();
            }
        }
        self.edit_columns(&Clear);
        for keys in [&mut self.subject, &mut self.actor, &mut self.group, &mut self.event] {
            keys.kind = None;
        }
    }

    /// Makes room for `rows` rows in every column that has any. Growing by copies would touch large
    /// columns again and again.
    pub fn reserve(&mut self, rows: usize) {
        struct Reserve(usize);
        impl ColumnEdit for Reserve {
            fn edit<T>(&self, column: &mut Vec<T>) {
                if !column.is_empty() {
                    column.reserve_exact(self.0.saturating_sub(column.len()));
                }
            }
        }
        self.edit_columns(&Reserve(rows));
    }

    /// Keeps the rows for which `keep` is true.
    pub fn retain(&mut self, keep: &[bool]) {
        struct Retain<'a>(&'a [bool]);
        impl ColumnEdit for Retain<'_> {
            fn edit<T>(&self, column: &mut Vec<T>) {
                let mut row = 0;
                column.retain(|_| {
                    row += 1;
                    self.0.get(row - 1).copied().unwrap_or(false)
                });
            }
        }
        self.edit_columns(&Retain(keep));
    }

    /// Does the same to every column that has a value for each row.
    fn edit_columns(&mut self, e: &impl ColumnEdit) {
        e.edit(&mut self.unit);
        e.edit(&mut self.micros);
        e.edit(&mut self.nanos);
        e.edit(&mut self.app);
        e.edit(&mut self.scopes);
        e.edit(&mut self.outcome);
        e.edit(&mut self.reject);
        for keys in [&mut self.subject, &mut self.actor, &mut self.group, &mut self.event] {
            e.edit(&mut keys.hi);
            e.edit(&mut keys.lo);
            e.edit(&mut keys.valid);
        }
        e.edit(&mut self.group_id);
        for ints in [&mut self.weight, &mut self.bytes, &mut self.records] {
            e.edit(&mut ints.values);
            e.edit(&mut ints.valid);
        }
        e.edit(&mut self.fields);
    }

    /// Bytes that the rows take with their lists, roughly: what a memory budget is held against.
    pub fn bytes_held(&self) -> usize {
        let keys = |k: &KeyColumn| k.hi.len() * 8 + k.lo.len() * 8 + k.valid.len();
        let ints = |c: &IntColumn| c.values.len() * 8 + c.valid.len();
        self.len() * (4 + 8 + 4 + 4 + 1)
            + self.nanos.len() * 2
            + self.reject.len() * 2
            + keys(&self.subject)
            + keys(&self.actor)
            + keys(&self.group)
            + keys(&self.event)
            + ints(&self.weight)
            + ints(&self.bytes)
            + ints(&self.records)
            + self.fields.len() * 4
            + self.app_names.bytes_held()
            + self.scope_sets.bytes_held()
            + self.field_lists.bytes_held()
            + self
                .group_id
                .iter()
                .map(|g| 16 + g.as_ref().map_or(0, |b| b.len() + 16))
                .sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whole_numbers_and_their_nulls_come_back(
            first: Vec<Option<i64>>,
            second: Vec<Option<i64>>,
        ) {
            let column = |values: &[Option<i64>]| {
                let mut column = IntColumn::default();
                values.iter().for_each(|v| column.push(*v));
                column
            };
            let mut joined = column(&first);
            joined.append(&column(&second));
            let all: Vec<_> = first.iter().chain(&second).copied().collect();
            let found: Vec<_> = (0..all.len()).map(|i| joined.get(i)).collect();
            prop_assert_eq!(found, all);
        }

        #[test]
        fn keys_and_their_nulls_come_back(
            first in proptest::collection::vec(proptest::option::of((any::<u64>(), 0..2u64)), 0..9),
            second in proptest::collection::vec(proptest::option::of((any::<u64>(), 0..2u64)), 0..9),
        ) {
            let key = |k: &Option<(u64, u64)>| k.map(|(hi, lo)| Key { hi, lo });
            let column = |keys: &[Option<(u64, u64)>]| {
                let mut column = KeyColumn::default();
                keys.iter().for_each(|k| column.push(key(k)));
                column
            };
            let mut joined = column(&first);
            joined.append(&column(&second));
            joined.extend_nullable(
                first.iter().map(|k| k.map_or(7, |(hi, _)| hi)),
                first.iter().map(Option::is_some),
            );
            let plain = first.iter().map(|k| k.map(|(hi, _)| Key { hi, lo: 0 }));
            let all: Vec<_> = first.iter().chain(&second).map(key).chain(plain).collect();
            let found: Vec<_> = (0..all.len()).map(|i| joined.get(i)).collect();
            prop_assert_eq!(found, all);
        }
    }
}
