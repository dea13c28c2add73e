//! All rows of one person together, repeats taken out.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::LedgerError;
use super::pack::PersonColumn;
use super::read::{Cursor, KeyRange, OpenPack};
use crate::key::Key;
use crate::moment::Moment;
use crate::scan::Asked;
use crate::scan::batch::{Interner, NONE, Outcome, Reject, ScopeSets};

/// Texts that rows refer to by code; one for each merge.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub apps: Interner,
    pub sets: ScopeSets,
    pub fields: Interner,
}

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
    pub group: Option<Key>,
    pub group_id: Option<Box<[u8]>>,
    pub weight: Option<i64>,
    pub bytes: Option<i64>,
    pub records: Option<i64>,
    pub fields: u32,
    pub event: Option<Key>,
}

/// A row where it stands in the merge.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The subject where one is mapped, else the actor.
    pub person: Option<Key>,
    pub source: usize,
    /// Position of the row's unit among the source's.
    pub unit: u32,
    pub row: Row,
}

/// A source's packs for a merge.
#[derive(Clone, Debug)]
pub struct Input {
    pub source: usize,
    pub packs: Vec<Arc<OpenPack>>,
}

/// Where a cursor stands. Ordered by person, then by event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    person: Option<Key>,
    event: Option<Key>,
}

/// Merges cursors over packs.
pub struct Merge {
    pub names: Names,
    cursors: Vec<Cursor>,
    heap: BinaryHeap<Reverse<(Head, usize)>>,
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
        let mut merge = Self { names, cursors: Vec::new(), heap: BinaryHeap::new() };
        for input in inputs {
            let Some(asked) = asked.get(input.source) else { continue };
            for pack in &input.packs {
                let cursor = Cursor::new(
                    pack.clone(),
                    input.source,
                    range.clone(),
                    asked.clone(),
                    batch_rows,
                );
                merge.cursors.push(cursor);
            }
        }
        for index in 0..merge.cursors.len() {
            if let Some(head) = merge.settle(index)? {
                merge.heap.push(Reverse((head, index)));
            }
        }
        Ok(merge)
    }

    /// Moves a cursor to its next row that counts; `None` at its end.
    fn settle(&mut self, index: usize) -> Result<Option<Head>, LedgerError> {
        let Some(cursor) = self.cursors.get_mut(index) else { return Ok(None) };
        loop {
            if !cursor.load(&mut self.names)? {
                return Ok(None);
            }
            if cursor.block.unit.get(cursor.row) == Some(&NONE) {
                cursor.row += 1;
                continue;
            }
            let head = Head { person: cursor.person(), event: cursor.block.event.get(cursor.row) };
            return Ok(Some(head));
        }
    }

    /// The next row in order of (person, event id).
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn next_row(&mut self) -> Result<Option<Merged>, LedgerError> {
        let Some(Reverse((head, index))) = self.heap.peek().copied() else { return Ok(None) };
        let Some(cursor) = self.cursors.get_mut(index) else { return Ok(None) };
        let (source, unit, row) = take(cursor);
        cursor.row += 1;
        match self.settle(index)? {
            Some(next) => {
                if let Some(mut top) = self.heap.peek_mut() {
                    if next.cmp(&head) == Ordering::Less {
                        return Err(LedgerError::Internal {
                            what: "a pack is not sorted by person and event".into(),
                        });
                    }
                    *top = Reverse((next, index));
                }
            }
            None => {
                self.heap.pop();
            }
        }
        Ok(Some(Merged { person: head.person, source, unit, row }))
    }
}

fn take(cursor: &Cursor) -> (usize, u32, Row) {
    let (block, i) = (&cursor.block, cursor.row);
    let code = |from: &[u32]| from.get(i).copied().unwrap_or(NONE);
    let row = Row {
        at: block.moment(i),
        app: code(&block.app),
        set: code(&block.scopes),
        outcome: block.outcome.get(i).copied().unwrap_or(Outcome::Unknown),
        reject: block.reject.get(i).copied().flatten(),
        subject: block.subject.get(i),
        actor: if cursor.person_column() == PersonColumn::None { None } else { block.actor.get(i) },
        group: block.group.get(i),
        group_id: block.group_id.get(i).cloned().flatten(),
        weight: block.weight.get(i),
        bytes: block.bytes.get(i),
        records: block.records.get(i),
        fields: code(&block.fields),
        event: block.event.get(i),
    };
    (cursor.source, code(&block.unit), row)
}

/// Takes repeats out of rows that share one event id, in the order in which they come.
#[derive(Debug, Default)]
pub struct Repeats {
    kept: Vec<(u64, Row)>,
    index: HashMap<Row, usize>,
}

impl Repeats {
    /// Rows compared one by one; above it they are looked up.
    const FEW: usize = 8;

    /// Adds a row of the same event id. Of equal rows the one from the first unit is kept; the unit
    /// of the other is returned.
    pub fn add(&mut self, unit: u64, row: Row) -> Option<u64> {
        let found = if self.kept.len() <= Self::FEW {
            self.kept.iter().position(|(_, kept)| *kept == row)
        } else {
            if self.index.is_empty() {
                self.index =
                    self.kept.iter().enumerate().map(|(i, (_, row))| (row.clone(), i)).collect();
            }
            self.index.get(&row).copied()
        };
        match found.and_then(|i| self.kept.get_mut(i)) {
            Some((kept, _)) => {
                let repeat = unit.max(*kept);
                *kept = unit.min(*kept);
                Some(repeat)
            }
            None => {
                if !self.index.is_empty() {
                    self.index.insert(row.clone(), self.kept.len());
                }
                self.kept.push((unit, row));
                None
            }
        }
    }

    /// The rows that are left; more than one means that they contradict each other.
    pub fn drain(&mut self) -> std::vec::Drain<'_, (u64, Row)> {
        self.index.clear();
        self.kept.drain(..)
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}
