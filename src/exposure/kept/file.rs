//! A count as a file: what the next count of the same ledger begins with.
//!
//! A line that names the form, a checksum (XXH3, 128 bits) of all that follows, the length of a [`Header`] and the header
//! in MessagePack, the first groups of each scope, and the cells, as [`numbers`](super::numbers). Before each cell stands
//! a 1, after the last one a 0.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::numbers::{NumbersIn, NumbersOut};
use crate::exposure::cells::CellKey;
use crate::exposure::counts::{CellCounts, Misfit};
use crate::exposure::listed::{KeptGroup, RestGroups};
use crate::exposure::rules::KeptRules;
use crate::exposure::tally::Terms;

/// Changes whenever a count of the same rows by the same rules may come to something else.
const FORMAT: &[u8] = concat!("afterscope counts 2 ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// All but the cells.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    pub rules: KeptRules,
    /// What else must be the same for the count to serve.
    pub of: String,
    /// By source: its units by name, in their order, and their rows by term.
    pub units: Vec<Vec<(u64, u64, Terms)>>,
    /// By source.
    pub conflicts: Vec<u64>,
    /// By scope, in the order of the rules.
    pub fields: Vec<BTreeSet<String>>,
    /// By scope: how many groups follow, and all together.
    pub groups: Vec<(u64, RestGroups)>,
    /// Exposures and groups in all.
    pub exposures: (u64, u64),
    /// How many cells follow.
    pub cells: u64,
}

impl Header {
    /// Exposures of a group, about.
    pub fn events_of_group(&self) -> f64 {
        match self.exposures {
            (_, 0) => 0.0,
            (events, groups) => events as f64 / groups as f64,
        }
    }
}

/// Bytes that the cells of most counts take.
const ROOM: usize = 8 << 20;

/// Bytes that a group takes whose key gives its id back.
const OF_GROUP: u64 = 48;

/// Cells on their way into a file.
#[derive(Debug, Default)]
pub struct CellsOut {
    cells: NumbersOut,
    /// No more bytes than this; then the count is not kept.
    limit: usize,
    too_many: bool,
}

impl CellsOut {
    pub fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { cells: NumbersOut::with_room(limit.min(ROOM)), limit, too_many: false }
    }

    pub fn push(&mut self, key: &CellKey, counts: &CellCounts) {
        if self.too_many {
            return;
        }
        self.cells.count(1);
        self.cells.cell(key, counts);
        if self.cells.len() > self.limit {
            *self = Self::closed();
        }
    }

    /// Takes none.
    pub fn closed() -> Self {
        Self { too_many: true, ..Self::default() }
    }

    pub fn is_closed(&self) -> bool {
        self.too_many
    }

    /// The file; `None` where there are too many.
    pub fn finish(
        mut self,
        header: &Header,
        groups: impl Iterator<Item = KeptGroup>,
    ) -> Option<Vec<u8>> {
        if self.too_many {
            return None;
        }
        let head = rmp_serde::to_vec(header).ok()?;
        let count = header.groups.iter().map(|(count, _)| *count).fold(0, u64::saturating_add);
        let of_groups = usize::try_from(count.saturating_mul(OF_GROUP)).unwrap_or(usize::MAX);
        let room = of_groups.saturating_add(head.len() + self.cells.len());
        let mut file = NumbersOut::with_room(room.min(self.limit));
        file.bytes(FORMAT);
        file.bytes(&[0; 16]);
        file.text(&head);
        groups.for_each(|group| file.group(&group));
        self.cells.count(0);
        if file.len() + self.cells.len() > self.limit {
            return None;
        }
        let mut file = file.finish();
        file.append(&mut self.cells.finish());
        let sum = checksum(file.get(FORMAT.len() + 16..)?);
        file.get_mut(FORMAT.len()..FORMAT.len() + 16)?.copy_from_slice(&sum);
        Some(file)
    }
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    xxh3_128(bytes).to_be_bytes()
}

/// A file, read from its beginning.
pub struct CellsIn<'a> {
    rest: NumbersIn<'a>,
}

impl<'a> CellsIn<'a> {
    /// The header, and what follows: first the groups that it tells of, then the cells. `None` for a file of another form or version, or a damaged one.
    pub fn open(file: &'a [u8]) -> Option<(Header, Self)> {
        let (sum, body) = file.strip_prefix(FORMAT)?.split_first_chunk()?;
        if *sum != checksum(body) {
            return None;
        }
        let mut rest = NumbersIn::new(body);
        let header = rmp_serde::from_slice(rest.text().ok()?).ok()?;
        Some((header, Self { rest }))
    }

    /// The next group, before the first cell.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn group(&mut self) -> Result<KeptGroup, Misfit> {
        self.rest.group()
    }

    /// The next cell; `None` after the last one.
    ///
    /// # Errors
    /// Only where the program wrote what it cannot read.
    pub fn next(&mut self) -> Result<Option<(CellKey, CellCounts)>, Misfit> {
        match self.rest.count()? {
            0 => Ok(None),
            1 => self.rest.cell().map(Some),
            _ => Err(Misfit),
        }
    }
}

/// Places of units by name.
pub fn places(units: &[(u64, u64, Terms)]) -> BTreeMap<(u64, u64), usize> {
    units.iter().enumerate().map(|(at, (hi, lo, _))| ((*hi, *lo), at)).collect()
}
