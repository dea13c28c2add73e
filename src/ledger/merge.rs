//! All rows of one person together, repeats taken out.

use std::collections::HashMap;
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

/// Where a cursor stands. Ordered by person, then by event id; a cursor at its end comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    ended: bool,
    person: Option<Key>,
    event: Option<Key>,
}

/// Cursors over packs, of which the one with the least head comes next.
pub struct Merge {
    pub names: Names,
    cursors: Vec<Cursor>,
    heads: Vec<Head>,
    tree: LoserTree,
    begun: bool,
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
        let mut merge = Self {
            names,
            cursors: Vec::new(),
            heads: Vec::new(),
            tree: LoserTree::default(),
            begun: false,
        };
        for input in inputs {
            let Some(asked) = asked.get(input.source) else { continue };
            for pack in &input.packs {
                merge.cursors.push(Cursor::new(
                    pack.clone(),
                    (input.source, input.group_space),
                    range.clone(),
                    asked,
                    batch_rows,
                    &mut merge.names,
                )?);
            }
        }
        for index in 0..merge.cursors.len() {
            let head = merge.settle(index)?;
            merge.heads.push(head);
        }
        merge.tree = LoserTree::new(&merge.heads);
        Ok(merge)
    }

    /// Moves a cursor to its next row that counts.
    fn settle(&mut self, index: usize) -> Result<Head, LedgerError> {
        let ended = Head { ended: true, person: None, event: None };
        let Some(cursor) = self.cursors.get_mut(index) else { return Ok(ended) };
        loop {
            if !cursor.load()? {
                return Ok(ended);
            }
            if cursor.block.unit.get(cursor.row) == Some(&NONE) {
                cursor.row += 1;
                continue;
            }
            let event = cursor.block.event.get(cursor.row);
            return Ok(Head { ended: false, person: cursor.person(), event });
        }
    }

    /// Moves to the next row in order of (person, event id); `None` at the end.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn next_row(&mut self) -> Result<Option<Merged<'_>>, LedgerError> {
        if self.begun {
            let index = self.tree.winner;
            if let Some(cursor) = self.cursors.get_mut(index) {
                cursor.row += 1;
            }
            let next = self.settle(index)?;
            let Some(head) = self.heads.get_mut(index) else { return Ok(None) };
            if next < *head {
                return Err(LedgerError::Internal {
                    what: "a pack is not sorted by person and event".into(),
                });
            }
            *head = next;
            self.tree.replay(&self.heads, index);
        }
        self.begun = true;
        let (Some(head), Some(cursor)) =
            (self.heads.get(self.tree.winner), self.cursors.get(self.tree.winner))
        else {
            return Ok(None);
        };
        Ok((!head.ended).then_some(Merged {
            person: head.person,
            event: head.event,
            names: &self.names,
            cursor,
        }))
    }
}

/// The row that a merge stands at.
#[derive(Clone, Copy)]
pub struct Merged<'a> {
    /// The subject where one is mapped, else the actor.
    pub person: Option<Key>,
    pub event: Option<Key>,
    pub names: &'a Names,
    cursor: &'a Cursor,
}

impl Merged<'_> {
    pub fn source(&self) -> usize {
        self.cursor.source.0
    }

    /// Position of the row's unit among the source's.
    pub fn unit(&self) -> u32 {
        self.cursor.block.unit.get(self.cursor.row).copied().unwrap_or(NONE)
    }

    pub fn at(&self) -> Moment {
        self.cursor.block.moment(self.cursor.row)
    }

    /// Code of the app in `names`; [`NONE`] without one.
    pub fn app(&self) -> u32 {
        self.cursor.block.app.get(self.cursor.row).copied().unwrap_or(NONE)
    }

    /// Code of the scope set in `names`.
    pub fn set(&self) -> u32 {
        self.cursor.block.scopes.get(self.cursor.row).copied().unwrap_or(NONE)
    }

    pub fn outcome(&self) -> Outcome {
        self.cursor.block.outcome.get(self.cursor.row).copied().unwrap_or(Outcome::Unknown)
    }

    pub fn reject(&self) -> Option<Reject> {
        self.cursor.block.reject.get(self.cursor.row).copied().flatten()
    }

    pub fn actor(&self) -> Option<Key> {
        self.cursor.block.actor.get(self.cursor.row)
    }

    pub fn group(&self) -> Option<Key> {
        self.cursor.block.group.get(self.cursor.row)
    }

    pub fn group_id(&self) -> Option<&[u8]> {
        self.cursor.block.group_id.get(self.cursor.row).and_then(Option::as_deref)
    }

    pub fn weight(&self) -> i64 {
        self.cursor.block.weight.get(self.cursor.row).unwrap_or(1)
    }

    pub fn bytes(&self) -> Option<i64> {
        self.cursor.block.bytes.get(self.cursor.row)
    }

    pub fn records(&self) -> Option<i64> {
        self.cursor.block.records.get(self.cursor.row)
    }

    /// The whole row, for one that must outlive the merge's step.
    pub fn row(&self) -> Row {
        let (block, i) = (&self.cursor.block, self.cursor.row);
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
            fields: block.fields.get(i).copied().unwrap_or(NONE),
            event: self.event,
        }
    }
}

/// A tournament of cursors: every inner node remembers who lost there, so that the next winner is
/// found with one comparison a level (Knuth, The Art of Computer Programming 3, 5.4.1).
#[derive(Debug, Default)]
struct LoserTree {
    /// Losers by inner node; node 0 is not used. Equal heads: the first cursor wins.
    losers: Vec<Option<usize>>,
    winner: usize,
}

impl LoserTree {
    fn new(heads: &[Head]) -> Self {
        let mut tree = Self { losers: vec![None; heads.len()], winner: 0 };
        for index in 0..heads.len() {
            tree.replay(heads, index);
        }
        tree
    }

    /// Plays cursor `index` up from its place. While the tree is filled, the first to come to a node
    /// waits there.
    fn replay(&mut self, heads: &[Head], index: usize) {
        let mut winner = index;
        let mut node = (index + self.losers.len()) / 2;
        while node > 0 {
            let Some(slot) = self.losers.get_mut(node) else { break };
            let Some(loser) = *slot else {
                *slot = Some(winner);
                return;
            };
            if (heads.get(loser), loser) < (heads.get(winner), winner) {
                *slot = Some(winner);
                winner = loser;
            }
            node /= 2;
        }
        self.winner = winner;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(n: Option<u8>) -> Head {
        let key = n.map(|n| Key { hi: n.into(), lo: 0 });
        Head { ended: n.is_none(), person: key, event: None }
    }

    proptest! {
        #[test]
        fn a_loser_tree_gives_what_sorting_gives(
            mut runs in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..20), 1..20)
        ) {
            for run in &mut runs {
                run.sort_unstable();
            }
            let mut expected: Vec<u8> = runs.iter().flatten().copied().collect();
            expected.sort_unstable();
            let mut at = vec![0; runs.len()];
            let mut heads: Vec<Head> = runs.iter().map(|r| head(r.first().copied())).collect();
            let mut tree = LoserTree::new(&heads);
            let mut found = Vec::new();
            while !heads[tree.winner].ended {
                let winner = tree.winner;
                found.push(runs[winner][at[winner]]);
                at[winner] += 1;
                heads[winner] = head(runs[winner].get(at[winner]).copied());
                tree.replay(&heads, winner);
            }
            prop_assert_eq!(found, expected);
        }
    }
}
