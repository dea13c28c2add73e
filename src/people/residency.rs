//! Where people lived, as far as was known when: a pack in the order of people.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Int64Type, UInt32Type, UInt64Type};
use serde::{Deserialize, Serialize};

use super::ids::{Bad, keys, micros, texts};
use super::input::{Input, Opened, Refusal};
use super::table::{Batches, Row, Table, TableWriter, Values, key_at};
use super::{IdRule, MadeFrom, PeopleError, Workshop};
use crate::key::Key;
use crate::ledger::LedgerError;
use crate::sorter::{Record, Sorted, Sorter, decode_key, encode_key};

const PARTITION_BITS: u32 = 6;

/// Country, subdivision, and category of person; as the registry writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Residence {
    pub country: Option<String>,
    pub subdivision: Option<String>,
    pub category: Option<String>,
}

/// What is known of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Index into [`ResidencyPack::residences`].
    pub residence: u32,
    /// When it was known, in microseconds; [`i64::MIN`] where the table does not say.
    pub as_of: i64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct About {
    #[serde(flatten)]
    made: MadeFrom,
    rows: u64,
    residences: Vec<Residence>,
}

/// A sorted residency table.
#[derive(Debug)]
pub struct ResidencyPack {
    table: Table,
    pub residences: Vec<Residence>,
    pub rows: u64,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    subject: Key,
    as_of: i64,
    code: u32,
}

impl Record for Entry {
    fn prefix(&self) -> u64 {
        self.subject.hi
    }
    fn encode(&self, out: &mut Vec<u8>) {
        encode_key(self.subject, out);
        out.extend_from_slice(&self.as_of.to_be_bytes());
        out.extend_from_slice(&self.code.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (subject, rest) = decode_key(bytes)?;
        let (as_of, rest) = rest.split_first_chunk()?;
        let code = u32::from_be_bytes(*rest.first_chunk()?);
        Some(Self { subject, as_of: i64::from_be_bytes(*as_of), code })
    }
}

/// Codes of residences, shared by the threads that read.
type Codes = Mutex<HashMap<Residence, u32>>;

impl ResidencyPack {
    /// The pack of a residency table, made where it is not there yet.
    ///
    /// # Errors
    /// Tables that cannot be used; storage failures.
    pub fn of(input: &Input, person: &IdRule, shop: &Workshop<'_>) -> Result<Self, PeopleError> {
        let name = format!("{}-residency.parquet", shop.name(input, &[person]));
        if let Some(pack) = Self::find(&name, shop)? {
            return Ok(pack);
        }
        shop.may_make(input)?;
        make(input, person, shop, &name)?;
        Self::find(&name, shop)?.ok_or_else(|| {
            LedgerError::Internal { what: format!("the pack {name} is gone") }.into()
        })
    }

    fn find(name: &str, shop: &Workshop<'_>) -> Result<Option<Self>, LedgerError> {
        let found = Table::open::<About>(&shop.shelf, name)?;
        Ok(found.map(|(table, about)| Self {
            table,
            residences: about.residences,
            rows: about.rows,
            name: name.into(),
        }))
    }

    /// What is known by `as_of` (microseconds) of people with keys of the range.
    pub fn people(&self, range: &RangeInclusive<u64>, as_of: i64) -> ResidencyCursor<'_> {
        ResidencyCursor {
            batches: self.table.batches("subject_hi", range),
            as_of,
            hi: Vec::new().into(),
            lo: Vec::new().into(),
            known: Vec::new().into(),
            code: Vec::new().into(),
            row: 0,
        }
    }
}

/// Residences in order of person; asked for in that order.
pub struct ResidencyCursor<'a> {
    batches: Batches<'a>,
    as_of: i64,
    hi: ScalarBuffer<u64>,
    lo: ScalarBuffer<u64>,
    known: ScalarBuffer<i64>,
    code: ScalarBuffer<u32>,
    row: usize,
}

/// What the table says of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Resident(Resident),
    /// Two residences at one moment: neither is believed.
    Contradiction,
}

impl ResidencyCursor<'_> {
    /// The latest that was known of the person by the cursor's moment.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn find(&mut self, person: Key) -> Result<Found, LedgerError> {
        let mut found: Option<(Resident, bool)> = None;
        loop {
            let Some(key) = key_at(&self.hi, &self.lo, self.row) else {
                if self.load()? {
                    continue;
                }
                break;
            };
            if key > person {
                break;
            }
            let as_of = self.known.get(self.row).copied().unwrap_or(i64::MIN);
            let residence = self.code.get(self.row).copied().unwrap_or(0);
            self.row += 1;
            if key < person || as_of > self.as_of {
                continue;
            }
            // Rows of a person come in the order of their moments.
            match &mut found {
                Some((known, contradicted)) if known.as_of == as_of => {
                    *contradicted |= known.residence != residence;
                }
                _ => found = Some((Resident { residence, as_of }, false)),
            }
        }
        Ok(match found {
            None => Found::Nothing,
            Some((_, true)) => Found::Contradiction,
            Some((resident, false)) => Found::Resident(resident),
        })
    }

    fn load(&mut self) -> Result<bool, LedgerError> {
        let Some(batch) = self.batches.next()? else { return Ok(false) };
        self.hi = self.batches.column::<UInt64Type>(&batch, "subject_hi")?;
        self.lo = self.batches.column::<UInt64Type>(&batch, "subject_lo")?;
        self.known = self.batches.column::<Int64Type>(&batch, "as_of")?;
        self.code = self.batches.column::<UInt32Type>(&batch, "residence")?;
        self.row = 0;
        Ok(true)
    }
}

/// The columns that are read; the last three may be missing.
const COLUMNS: [&str; 5] = ["subject", "country", "subdivision", "category", "as_of"];

fn make(
    input: &Input,
    person: &IdRule,
    shop: &Workshop<'_>,
    name: &str,
) -> Result<(), PeopleError> {
    let opened = Opened::open(input, &["subject", "country"])?;
    let opened = opened.within(shop.memory_limit, shop.threads);
    let temp: Arc<std::path::Path> = shop.temp.into();
    let next = AtomicUsize::new(0);
    let codes = Codes::default();
    let work = || -> Result<(Sorter<Entry>, bool, bool), PeopleError> {
        let mut sorter = Sorter::new(temp.clone(), shop.sort_buffer, PARTITION_BITS);
        let (mut low, mut dated) = (false, false);
        let mut own: HashMap<Residence, u32> = HashMap::new();
        while let Some(part) = opened.parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            shop.go_on()?;
            opened.read(part, &COLUMNS, |batch| {
                let of = |name: &'static str| move |bad: Bad| Refusal::Row(name, bad);
                let people = batch.column_by_name("subject");
                let people = people.map(|array| keys(array, person, shop.keyer)).transpose();
                let people = people.map_err(of("subject"))?.unwrap_or_default();
                let text = |name: &'static str| match batch.column_by_name(name) {
                    None => Ok(vec![None; batch.num_rows()]),
                    Some(array) => texts(array).map_err(of(name)),
                };
                let (country, subdivision) = (text("country")?, text("subdivision")?);
                let category = text("category")?;
                let as_of = match batch.column_by_name("as_of") {
                    None => vec![None; batch.num_rows()],
                    Some(array) => micros(array, shop.zone).map_err(of("as_of"))?,
                };
                let places = country.into_iter().zip(subdivision).zip(category);
                for ((subject, at), ((country, subdivision), category)) in
                    people.into_iter().zip(as_of).zip(places)
                {
                    let residence = Residence { country, subdivision, category };
                    let code = match own.get(&residence) {
                        Some(code) => *code,
                        None => {
                            let mut all = codes.lock().unwrap_or_else(PoisonError::into_inner);
                            let fresh = u32::try_from(all.len()).unwrap_or(u32::MAX);
                            let code = *all.entry(residence.clone()).or_insert(fresh);
                            own.insert(residence, code);
                            code
                        }
                    };
                    low |= subject.lo != 0;
                    dated |= at.is_some();
                    sorter.push(Entry { subject, as_of: at.unwrap_or(i64::MIN), code })?;
                }
                Ok(())
            })?;
        }
        Ok((sorter, low, dated))
    };
    let parts = shop.sort(work)?;
    let (mut sorted, mut low, mut dated) = (Sorted::new(PARTITION_BITS), false, false);
    for (sorter, has_low, is_dated) in parts {
        sorter.finish(&mut sorted);
        low |= has_low;
        dated |= is_dated;
    }
    shop.effort.spilled.fetch_add(sorted.spilled(), Ordering::Relaxed);
    // Threads met residences in any order; the pack does not show it.
    let mut residences: Vec<(Residence, u32)> =
        codes.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
    residences.sort_unstable();
    let mut numbers = vec![0u32; residences.len()];
    for ((_, code), number) in residences.iter().zip(0u32..) {
        if let Some(slot) = numbers.get_mut(usize::try_from(*code).unwrap_or(usize::MAX)) {
            *slot = number;
        }
    }
    let mut columns = vec![("subject_hi", Values::U64(Vec::new()))];
    if low {
        columns.push(("subject_lo", Values::U64(Vec::new())));
    }
    columns.push(("residence", Values::U32(Vec::new())));
    if dated {
        columns.push(("as_of", Values::I64(Vec::new())));
    }
    let mut table = TableWriter::new(&shop.shelf, name, columns);
    for partition in 0..sorted.partitions {
        shop.go_on()?;
        let mut rows = sorted.partition(partition)?;
        while let Some(entry) = rows.next_record()? {
            let number = usize::try_from(entry.code).ok().and_then(|code| numbers.get(code));
            let numbers = &[number.copied().unwrap_or(0)];
            table.push(&Row { key: entry.subject, numbers, moment: entry.as_of })?;
        }
    }
    let residences = residences.into_iter().map(|(residence, _)| residence).collect();
    let made = MadeFrom::of(input);
    Ok(table.finish(&About { made, rows: opened.rows, residences })?)
}
