//! A count as a file: what the next count of the same ledger begins with.
//!
//! A line that names the form, a checksum (XXH3, 128 bits) of all that follows, and MessagePack: a [`Header`], the first
//! groups of each scope, and the cells, each in an `Option`, the last one `None`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::exposure::cells::CellKey;
use crate::exposure::counts::CellCounts;
use crate::exposure::listed::{KeptGroup, RestGroups};
use crate::exposure::rules::KeptRules;
use crate::exposure::tally::Terms;

/// Changes whenever a count of the same rows by the same rules may come to something else.
const FORMAT: &[u8] = concat!("afterscope counts 1 ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

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

/// Cells on their way into a file.
#[derive(Debug, Default)]
pub struct CellsOut {
    bytes: Vec<u8>,
    /// No more bytes than this; then the count is not kept.
    limit: usize,
    too_many: bool,
}

impl CellsOut {
    pub fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, ..Self::default() }
    }

    pub fn push(&mut self, key: &CellKey, counts: &CellCounts) {
        if self.too_many {
            return;
        }
        let written = rmp_serde::encode::write(&mut self.bytes, &Some((key, counts)));
        if written.is_err() || self.bytes.len() > self.limit {
            self.too_many = true;
            self.bytes = Vec::new();
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
        let mut head = Vec::new();
        rmp_serde::encode::write(&mut head, header).ok()?;
        for group in groups {
            rmp_serde::encode::write(&mut head, &group).ok()?;
        }
        rmp_serde::encode::write(&mut self.bytes, &None::<(CellKey, CellCounts)>).ok()?;
        if head.len() + self.bytes.len() > self.limit {
            return None;
        }
        let mut file = Vec::with_capacity(FORMAT.len() + 16 + head.len() + self.bytes.len());
        file.extend_from_slice(FORMAT);
        file.extend_from_slice(&[0; 16]);
        file.append(&mut head);
        file.append(&mut self.bytes);
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
    rest: rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'a, [u8]>>,
}

impl<'a> CellsIn<'a> {
    /// The header, and what follows: first the groups that it tells of, then the cells. `None` for a file of another form or version, or a damaged one.
    pub fn open(file: &'a [u8]) -> Option<(Header, Self)> {
        let (sum, body) = file.strip_prefix(FORMAT)?.split_first_chunk()?;
        if *sum != checksum(body) {
            return None;
        }
        let mut rest = rmp_serde::Deserializer::from_read_ref(body);
        Some((Header::deserialize(&mut rest).ok()?, Self { rest }))
    }

    /// The next group, before the first cell.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn group(&mut self) -> Result<KeptGroup, rmp_serde::decode::Error> {
        KeptGroup::deserialize(&mut self.rest)
    }

    /// The next cell; `None` after the last one. An error only where the program wrote what it cannot read.
    ///
    /// # Errors
    /// As the library says.
    pub fn next(&mut self) -> Result<Option<(CellKey, CellCounts)>, rmp_serde::decode::Error> {
        Option::deserialize(&mut self.rest)
    }
}

/// Places of units by name.
pub fn places(units: &[(u64, u64, Terms)]) -> BTreeMap<(u64, u64), usize> {
    units.iter().enumerate().map(|(at, (hi, lo, _))| ((*hi, *lo), at)).collect()
}
