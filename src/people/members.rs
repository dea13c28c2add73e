//! Memberships as packs: groups with the stretches of time between changes of their membership, and
//! people with the stretches in which they were members.

use std::ops::RangeInclusive;

use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Int64Type, UInt32Type, UInt64Type};
use serde::{Deserialize, Serialize};

use super::input::Input;
use super::member_sort::make;
use super::table::{Batches, Table, key_at};
use super::{IdRule, MadeFrom, PeopleError, Workshop};
use crate::key::Key;
use crate::ledger::LedgerError;
use crate::sorter::{Record, decode_key, encode_key};

/// A membership without an end goes on past every stretch.
pub const OPEN_END: u32 = u32::MAX;

/// No beginning, no end.
pub(super) const ALWAYS: i64 = i64::MIN;
pub(super) const FOREVER: i64 = i64::MAX;

/// What is said of a pack, beside its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What the pack was made from.
    #[serde(flatten)]
    pub(super) made: MadeFrom,
    /// Rows of the registry's table.
    pub rows: u64,
    pub groups: u64,
    /// Rows whose time meets that of another row of the same person and group.
    pub overlapping: u64,
    /// Rows that end where they begin.
    pub empty: u64,
}

/// A sorted membership table.
#[derive(Debug)]
pub struct MembersPack {
    groups: Table,
    people: Table,
    pub about: About,
    /// Name of the pack.
    pub name: String,
}

/// A membership of a person: the group's number, and the stretches [from, to).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub subject: Key,
    pub group: u32,
    pub from: u32,
    pub to: u32,
}

impl Record for Member {
    fn prefix(&self) -> u64 {
        self.subject.hi
    }
    fn encode(&self, out: &mut Vec<u8>) {
        encode_key(self.subject, out);
        out.extend_from_slice(&self.group.to_be_bytes());
        if (self.from, self.to) != (0, OPEN_END) {
            out.extend_from_slice(&self.from.to_be_bytes());
            out.extend_from_slice(&self.to.to_be_bytes());
        }
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (subject, rest) = decode_key(bytes)?;
        let (group, rest) = rest.split_first_chunk()?;
        let group = u32::from_be_bytes(*group);
        let Some((from, rest)) = rest.split_first_chunk() else {
            return Some(Self { subject, group, from: 0, to: OPEN_END });
        };
        let to = rest.first_chunk()?;
        Some(Self { subject, group, from: u32::from_be_bytes(*from), to: u32::from_be_bytes(*to) })
    }
}

/// A stretch of time in which a group's membership does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Microseconds since the epoch, UTC; the first stretch of a group begins at [`i64::MIN`].
    pub from: i64,
    /// Whether anybody is a member.
    pub inhabited: bool,
}

/// A group and its stretches, in order.
#[derive(Clone, Debug, Default)]
pub struct GroupStretches {
    pub number: u32,
    pub stretches: Vec<Stretch>,
}

impl GroupStretches {
    /// The stretch that a moment lies in.
    #[inline]
    pub fn at(&self, micros: i64) -> u32 {
        if self.stretches.len() == 1 {
            return 0;
        }
        let after = self.stretches.partition_point(|s| s.from <= micros);
        u32::try_from(after.saturating_sub(1)).unwrap_or(OPEN_END)
    }

    pub fn inhabited(&self, stretch: u32) -> bool {
        let stretch = usize::try_from(stretch).ok().and_then(|i| self.stretches.get(i));
        stretch.is_some_and(|s| s.inhabited)
    }
}

impl MembersPack {
    /// The pack of a membership table, made where it is not there yet.
    ///
    /// # Errors
    /// Tables that cannot be used; storage failures.
    pub fn of(
        input: &Input,
        person: &IdRule,
        group: &IdRule,
        shop: &Workshop<'_>,
    ) -> Result<Self, PeopleError> {
        let name = shop.name(input, &[person, group]);
        if let Some(pack) = Self::find(&name, shop)? {
            return Ok(pack);
        }
        shop.may_make(input)?;
        make(input, person, group, shop, &name)?;
        Self::find(&name, shop)?.ok_or_else(|| {
            LedgerError::Internal { what: format!("the pack {name} is gone") }.into()
        })
    }

    fn find(name: &str, shop: &Workshop<'_>) -> Result<Option<Self>, LedgerError> {
        // The people come last: where they are, the groups are.
        let Some((people, about)) = Table::open(&shop.shelf, &people_of(name))? else {
            return Ok(None);
        };
        let found = Table::open::<About>(&shop.shelf, &groups_of(name))?;
        Ok(found.map(|(groups, _)| Self { groups, people, about, name: name.into() }))
    }

    /// Rows of the people's table.
    pub fn rows(&self) -> u64 {
        self.people.rows
    }

    /// The groups with keys of the range.
    pub fn groups(&self, range: &RangeInclusive<u64>) -> GroupCursor<'_> {
        GroupCursor {
            batches: self.groups.batches("group_hi", range),
            key: (Vec::new().into(), Vec::new().into()),
            marked: Vec::new().into(),
            from: Vec::new().into(),
            row: 0,
            current: None,
        }
    }

    /// The memberships of people with keys of the range, in groups that `wanted` names.
    pub fn people<'a>(
        &'a self,
        range: &RangeInclusive<u64>,
        wanted: &'a GroupSet,
    ) -> MemberCursor<'a> {
        MemberCursor {
            batches: self.people.batches("subject_hi", range),
            range: range.clone(),
            wanted,
            hi: Vec::new().into(),
            lo: Vec::new().into(),
            group: Vec::new().into(),
            from: Vec::new().into(),
            to: Vec::new().into(),
            rows: Vec::new(),
        }
    }
}

/// Numbers of groups go up to here.
pub(super) const GREATEST_NUMBER: u32 = u32::MAX >> 1;

/// A group's number, and whether anybody is a member in the stretch at hand, in one column: a column of
/// truth values would cost as much to read as all others together.
pub(super) fn marked(number: u32, inhabited: bool) -> u32 {
    number << 1 | u32::from(inhabited)
}

/// Groups by number, a bit each: a set that stays in the processor's cache while all memberships go by.
#[derive(Debug, Default)]
pub struct GroupSet {
    bits: Vec<u64>,
}

impl GroupSet {
    pub fn insert(&mut self, group: u32) {
        let word = usize::try_from(group / 64).unwrap_or(usize::MAX);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= 1 << (group % 64);
        }
    }

    #[inline]
    pub fn holds(&self, group: u32) -> bool {
        let word = usize::try_from(group / 64).ok().and_then(|word| self.bits.get(word));
        word.is_some_and(|bits| bits >> (group % 64) & 1 == 1)
    }
}

pub(super) fn people_of(name: &str) -> String {
    format!("{name}-people.parquet")
}

pub(super) fn groups_of(name: &str) -> String {
    format!("{name}-groups.parquet")
}

/// Groups in order of key; asked for in that order.
pub struct GroupCursor<'a> {
    batches: Batches<'a>,
    key: (ScalarBuffer<u64>, ScalarBuffer<u64>),
    marked: ScalarBuffer<u32>,
    from: ScalarBuffer<i64>,
    row: usize,
    current: Option<(Key, GroupStretches)>,
}

impl GroupCursor<'_> {
    /// The group of this key; `None` where it has no members.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn find(&mut self, key: Key) -> Result<Option<&GroupStretches>, LedgerError> {
        if self.current.as_ref().is_none_or(|(at, _)| *at < key) {
            self.pass(key)?;
            if !self.advance()? {
                return Ok(None);
            }
        }
        Ok(self.current.as_ref().filter(|(at, _)| *at == key).map(|(_, stretches)| stretches))
    }

    /// Passes over the groups before this key: most were not read.
    fn pass(&mut self, key: Key) -> Result<(), LedgerError> {
        while self.head()?.is_some_and(|at| at < key) {
            let rest = self.key.0.get(self.row..).unwrap_or_default();
            // Those that are read lie near one another: steps that grow, then the half of the last.
            let mut step = 1;
            while rest.get(step).is_some_and(|hi| *hi < key.hi) {
                step *= 2;
            }
            let (from, to) = (step / 2, rest.len().min(step));
            let within = rest.get(from..to).unwrap_or_default();
            // Of the rows with this upper half, those with another lower half are passed one by one.
            self.row += (from + within.partition_point(|hi| *hi < key.hi)).max(1);
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<bool, LedgerError> {
        let Some(key) = self.head()? else { return Ok(false) };
        let mut group = self.current.take().map(|(_, group)| group).unwrap_or_default();
        group.stretches.clear();
        while self.head()? == Some(key) {
            let marked = self.marked.get(self.row).copied().unwrap_or(0);
            group.number = marked >> 1;
            group.stretches.push(Stretch {
                from: self.from.get(self.row).copied().unwrap_or(ALWAYS),
                inhabited: marked & 1 == 1,
            });
            self.row += 1;
        }
        self.current = Some((key, group));
        Ok(true)
    }

    fn head(&mut self) -> Result<Option<Key>, LedgerError> {
        loop {
            if let Some(key) = key_at(&self.key.0, &self.key.1, self.row) {
                return Ok(Some(key));
            }
            let Some(batch) = self.batches.next()? else { return Ok(None) };
            self.key = (
                self.batches.column::<UInt64Type>(&batch, "group_hi")?,
                self.batches.column::<UInt64Type>(&batch, "group_lo")?,
            );
            self.marked = self.batches.column::<UInt32Type>(&batch, "marked")?;
            self.from = self.batches.column::<Int64Type>(&batch, "from")?;
            self.row = 0;
        }
    }
}

/// Memberships in order of person.
pub struct MemberCursor<'a> {
    batches: Batches<'a>,
    range: RangeInclusive<u64>,
    wanted: &'a GroupSet,
    hi: ScalarBuffer<u64>,
    lo: ScalarBuffer<u64>,
    group: ScalarBuffer<u32>,
    from: ScalarBuffer<u32>,
    to: ScalarBuffer<u32>,
    /// Rows of the batch that are wanted.
    rows: Vec<u32>,
}

impl MemberCursor<'_> {
    /// Appends the next memberships, about as many as are decoded at once; none at the end.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn next(&mut self, out: &mut Vec<Member>) -> Result<(), LedgerError> {
        while self.load()? {
            let of = |row: &u32| {
                let row = usize::try_from(*row).ok()?;
                Some(Member {
                    subject: key_at(&self.hi, &self.lo, row)?,
                    group: self.group.get(row).copied()?,
                    from: self.from.get(row).copied().unwrap_or(0),
                    to: self.to.get(row).copied().unwrap_or(OPEN_END),
                })
            };
            out.extend(self.rows.iter().filter_map(of));
            if !self.rows.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn load(&mut self) -> Result<bool, LedgerError> {
        let Some(batch) = self.batches.next()? else { return Ok(false) };
        self.hi = self.batches.column::<UInt64Type>(&batch, "subject_hi")?;
        self.lo = self.batches.column::<UInt64Type>(&batch, "subject_lo")?;
        self.group = self.batches.column::<UInt32Type>(&batch, "group")?;
        self.from = self.batches.column::<UInt32Type>(&batch, "from")?;
        self.to = self.batches.column::<UInt32Type>(&batch, "to")?;
        // Most memberships are in groups that nobody read: they are passed over in a loop of their own.
        // Which ones are wanted comes as a bit each, so that the processor has nothing to guess.
        self.rows.clear();
        for (start, groups) in (0u32..).step_by(64).zip(self.group.chunks(64)) {
            let bits = groups.iter().zip(0u32..);
            let mut bits = bits
                .fold(0u64, |bits, (group, i)| bits | u64::from(self.wanted.holds(*group)) << i);
            while bits != 0 {
                self.rows.push(start + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        let (first, last) = (self.hi.first(), self.hi.last());
        let inside = |hi: Option<&u64>| hi.is_some_and(|hi| self.range.contains(hi));
        if !inside(first) || !inside(last) {
            let (hi, range) = (&self.hi, &self.range);
            self.rows.retain(|row| {
                let hi = usize::try_from(*row).ok().and_then(|row| hi.get(row));
                hi.is_some_and(|hi| range.contains(hi))
            });
        }
        Ok(true)
    }
}
