//! All rows of one person together.

use std::sync::Arc;

use super::LedgerError;
use super::chosen::Chosen;
use super::pack::PersonColumn;
use super::read::{Cursor, KeyRange, Near, OpenPack};
use super::slots::{Slot, Slots};
use crate::codes::index;
use crate::key::Key;
use crate::moment::Moment;
use crate::scan::Asked;
use crate::scan::batch::{Interner, NONE, Outcome, Reject};
use crate::scan::scope_sets::ScopeSets;

/// Texts that rows refer to by code; one for each merge.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub apps: Interner,
    pub sets: ScopeSets,
    pub fields: Interner,
}

impl Names {
    /// Bytes that they take, about, with what a thread that counts keeps of each app.
    pub fn bytes_held(&self) -> u64 {
        let texts = self.apps.bytes_held() + self.fields.bytes_held();
        (texts + self.apps.len() * OF_APP + self.sets.bytes_held()) as u64
    }
}

/// An app's place among those that have events in parts, and its place without an asked scope.
const OF_APP: usize = 48;

/// One row of the ledger. Two rows are equal when all is equal that the ledger holds, the file
/// apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub at: Moment,
    pub app: u32,
    pub set: u32,
    pub outcome: Outcome,
    pub reject: Option<Reject>,
    pub subject: Option<Key>,
    pub actor: Option<Key>,
    /// Equal keys of two namespaces are not the same group.
    pub group_space: usize,
    pub group: Option<Key>,
    pub group_id: Option<Box<[u8]>>,
    pub weight: Option<i64>,
    pub bytes: Option<i64>,
    pub records: Option<i64>,
    pub fields: u32,
    pub event: Option<Key>,
}

/// A source's packs for a merge.
#[derive(Clone, Debug)]
pub struct Input {
    pub source: usize,
    pub group_space: usize,
    pub packs: Vec<Arc<OpenPack>>,
}

/// What rows are ordered by: the person, then the event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    pub person: Option<Key>,
    pub event: Option<Key>,
}

/// Rows of a block, about: they stay in the processor's second cache from here until they are counted.
const BLOCK_ROWS: usize = 8 << 10;

/// Rows of a pack that are looked at at once, however many packs there are.
const LEAST_SHARE: usize = 32;

/// Cursors over packs, whose rows come a block at a time.
///
/// A tournament of cursors would find the next row with few comparisons, but each of them waits for
/// the one before. Sorting the rows that are decoded anyway, up to where the first cursor ends, costs
/// a fraction.
pub struct Merge {
    pub names: Names,
    cursors: Vec<Cursor>,
    /// The rows of the block at hand, in order.
    slots: Slots,
    /// The last place of the block before.
    floor: Option<Head>,
    /// Whose rows alone are merged.
    chosen: Option<Arc<Chosen>>,
}

impl Merge {
    /// The rows of `inputs` with keys in `range`.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn new(
        inputs: &[Input],
        asked: &[Arc<Asked>],
        range: &KeyRange,
        batch_rows: usize,
        names: Names,
    ) -> Result<Self, LedgerError> {
        let mut merge = Self::begin(names, None);
        for input in inputs {
            for pack in &input.packs {
                merge.add(input, pack, asked, range, batch_rows)?;
            }
        }
        Ok(merge)
    }

    /// A merge of no packs; see [`Self::add`]. With `chosen`, of the rows of these alone.
    pub fn begin(names: Names, chosen: Option<Arc<Chosen>>) -> Self {
        Self { names, cursors: Vec::new(), slots: Slots::default(), floor: None, chosen }
    }

    /// Adds the rows of a pack of `input` with keys in `range`, and what their codes stand for; before the first block.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn add(
        &mut self,
        input: &Input,
        pack: &Arc<OpenPack>,
        asked: &[Arc<Asked>],
        range: &KeyRange,
        batch_rows: usize,
    ) -> Result<(), LedgerError> {
        let Some(asked) = asked.get(input.source) else { return Ok(()) };
        let source = (input.source, input.group_space);
        let names = &mut self.names;
        let cursor = Cursor::new(pack.clone(), source, range.clone(), asked, batch_rows, names)?;
        self.cursors.push(cursor.of(self.chosen.clone()));
        Ok(())
    }

    /// The next rows in order of (person, event id); `None` at the end. A block may be empty, and a
    /// person's rows may go on in the next one.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, LedgerError> {
        // Past the last decoded row of a pack there may be rows that come before those of others.
        let share = (BLOCK_ROWS / self.cursors.len().max(1)).max(LEAST_SHARE);
        let mut bound: Option<Head> = None;
        for cursor in &mut self.cursors {
            if let Some(last) = cursor.load()? {
                let head = heads(cursor);
                let last = head(last.min(cursor.row + share));
                // A block without a row would be followed by others without end.
                if head(cursor.row) > last {
                    return Err(unsorted());
                }
                bound = Some(bound.map_or(last, |bound| bound.min(last)));
            }
        }
        let Some(bound) = bound else { return Ok(None) };
        self.slots.clear();
        let half = |head: &Head| head.person.map(|person| person.hi);
        let end = half(&bound);
        for (number, cursor) in (0..).zip(&mut self.cursors) {
            let mut before = self.floor.as_ref().map(half);
            let head = heads(cursor);
            let mut row = cursor.row;
            while let Some(near) = cursor.near.get(row) {
                let here = near.half();
                // Mostly upper halves tell that a row comes after the one before it, and before the end of the block.
                if before >= Some(here) || here >= end {
                    let head_here = head(row);
                    if head_here > bound {
                        break;
                    }
                    let before = if row > cursor.row { Some(head(row - 1)) } else { self.floor };
                    if before > Some(head_here) {
                        return Err(unsorted());
                    }
                }
                before = Some(here);
                if near.unit != NONE {
                    let place = u32::try_from(row).unwrap_or(NONE);
                    self.slots.push(Slot { hi: near.person, cursor: number, row: place });
                }
                row += 1;
            }
            drop(head);
            cursor.row = row;
        }
        self.floor = Some(bound);
        let cursors = &self.cursors;
        self.slots.sort(|slot| {
            cursors.get(index(slot.cursor)).map(|cursor| heads(cursor)(index(slot.row)))
        });
        Ok(Some(Block { names: &self.names, cursors, slots: self.slots.as_slice() }))
    }
}

#[cold]
fn unsorted() -> LedgerError {
    LedgerError::Internal { what: "a pack is not sorted by person and event".into() }
}

/// The heads of a cursor's block by row.
fn heads(cursor: &Cursor) -> impl Fn(usize) -> Head + '_ {
    let low = cursor.people().map_or(&[][..], |people| &people.lo);
    move |row| Head {
        person: cursor
            .near
            .get(row)
            .and_then(Near::half)
            .map(|hi| Key { hi, lo: low.get(row).copied().unwrap_or(0) }),
        event: cursor.block.event.get(row),
    }
}

/// Rows of a merge in order.
pub struct Block<'a> {
    names: &'a Names,
    cursors: &'a [Cursor],
    slots: &'a [Slot],
}

impl<'a> Block<'a> {
    pub fn rows(&self) -> impl Iterator<Item = Merged<'a>> + Clone + use<'a> {
        let (names, cursors) = (self.names, self.cursors);
        self.slots.iter().filter_map(move |slot| {
            let (cursor, row) = (cursors.get(index(slot.cursor))?, index(slot.row));
            Some(Merged { names, cursor, near: cursor.near.get(row)?, row })
        })
    }
}

/// One row of a block.
#[derive(Clone, Copy)]
pub struct Merged<'a> {
    pub names: &'a Names,
    cursor: &'a Cursor,
    near: &'a Near,
    row: usize,
}

impl Merged<'_> {
    pub fn source(&self) -> usize {
        self.cursor.source.0
    }

    /// The subject where one is mapped, else the actor.
    #[inline]
    pub fn person(&self) -> Option<Key> {
        heads(self.cursor)(self.row).person
    }

    #[inline]
    pub fn event(&self) -> Option<Key> {
        self.cursor.block.event.get(self.row)
    }

    /// Position of the row's unit among the source's.
    pub fn unit(&self) -> u32 {
        self.near.unit
    }

    pub fn at(&self) -> Moment {
        let nanos = self.cursor.block.nanos.get(self.row).copied().unwrap_or_default();
        Moment { micros: self.near.micros, nanos }
    }

    /// Code of the app in `names`; [`NONE`] without one.
    pub fn app(&self) -> u32 {
        self.near.app
    }

    /// Code of the scope set in `names`.
    pub fn set(&self) -> u32 {
        self.near.set
    }

    pub fn outcome(&self) -> Outcome {
        self.near.outcome
    }

    pub fn reject(&self) -> Option<Reject> {
        self.near.reject
    }

    pub fn actor(&self) -> Option<Key> {
        self.cursor.block.actor.get(self.row)
    }

    pub fn group_space(&self) -> usize {
        self.cursor.source.1
    }

    pub fn group(&self) -> Option<Key> {
        let lo = self.cursor.block.group.lo.get(self.row).copied().unwrap_or(0);
        self.near.knows(Near::GROUP).then_some(Key { hi: self.near.group, lo })
    }

    pub fn group_id(&self) -> Option<&[u8]> {
        self.cursor.block.group_id.get(self.row).and_then(Option::as_deref)
    }

    pub fn weight(&self) -> i64 {
        self.cursor.block.weight.get(self.row).unwrap_or(1)
    }

    pub fn bytes(&self) -> Option<i64> {
        self.near.knows(Near::BYTES).then_some(self.near.bytes)
    }

    pub fn records(&self) -> Option<i64> {
        self.cursor.block.records.get(self.row)
    }

    /// Code in `names` of the list of returned fields; [`NONE`] without one.
    pub fn fields(&self) -> u32 {
        self.cursor.block.fields.get(self.row).copied().unwrap_or(NONE)
    }

    /// The whole row, for one that must outlive the merge's step.
    pub fn row(&self) -> Row {
        let (block, i) = (&self.cursor.block, self.row);
        let no_actor = self.cursor.person_column() == PersonColumn::None;
        Row {
            at: self.at(),
            app: self.app(),
            set: self.set(),
            outcome: self.outcome(),
            reject: self.reject(),
            subject: block.subject.get(i),
            actor: if no_actor { None } else { self.actor() },
            group_space: self.cursor.source.1,
            group: self.group(),
            group_id: self.group_id().map(Into::into),
            weight: block.weight.get(i),
            bytes: self.bytes(),
            records: self.records(),
            fields: self.fields(),
            event: self.event(),
        }
    }
}
