//! People who are keys in the ledger get their ids back: from the row groups that hold them, read again.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde::Serialize;

use super::fill::Filled;
use super::prepare::Prepared;
use crate::error::Error;
use crate::exposure::{Entry, ExposureError, Facts, Listing, SourceRows};
use crate::headers::Large;
use crate::key::{IdHash, Key};
use crate::memory::Budget;
use crate::scan::{PersonIds, Progress, ScanError};
use crate::sorter::{Ordered, Record, Sorted, Sorter};
use crate::threads::in_threads;

/// A person with their id, or its hash: what a list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Number of the namespace; numbers are in the order of names.
    pub space: u32,
    pub subject: Box<str>,
    pub facts: Facts,
}

impl Record for Named {
    /// People are one partition.
    fn prefix(&self) -> u64 {
        0
    }
    fn held(&self) -> usize {
        self.subject.len() + self.facts.held()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.space.to_be_bytes());
        out.extend_from_slice(&(self.subject.len() as u64).to_be_bytes());
        out.extend_from_slice(self.subject.as_bytes());
        self.facts.encode(out);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (space, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let (subject, rest) = rest.split_at_checked(length)?;
        Some(Self {
            space: u32::from_be_bytes(*space),
            subject: std::str::from_utf8(subject).ok()?.into(),
            facts: Facts::decode(rest)?,
        })
    }
}

/// What was read again, and of how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reread {
    pub files: u64,
    pub of_files: u64,
    pub row_groups: u64,
    pub of_row_groups: u64,
    pub bytes: u64,
    pub of_bytes: u64,
}

/// Who is named, and from where.
pub struct Naming<'a> {
    pub prepared: &'a Prepared<'a>,
    pub filled: &'a [Filled],
    pub rows: &'a [SourceRows],
    /// Names of person namespaces.
    pub namespaces: &'a [String],
    pub hash: Option<&'a IdHash>,
    pub threads: usize,
    pub temp: &'a std::path::Path,
    /// Bytes that each thread's sorter may hold.
    pub sort_budget: u64,
}

/// Entries of one row group after another; those of a large one in several parts.
struct Units<'a> {
    entries: Ordered<'a, Entry>,
    next: Option<Entry>,
}

impl Units<'_> {
    fn next(&mut self, limit: u64) -> Result<Vec<Entry>, ExposureError> {
        let mut unit: Vec<Entry> = Vec::new();
        let mut held = 0u64;
        loop {
            let next = match self.next.take() {
                Some(next) => Some(next),
                None => self.entries.next_record()?,
            };
            let Some(next) = next else { return Ok(unit) };
            let same = unit.first().is_none_or(|e| (e.source, e.unit) == (next.source, next.unit));
            if !same || held > limit {
                self.next = Some(next);
                return Ok(unit);
            }
            held += (size_of::<Entry>() + next.facts.held()) as u64;
            unit.push(next);
        }
    }
}

/// Lets through what fits into memory together; where nothing is inside, anything.
struct Gate {
    held: Mutex<u64>,
    changed: Condvar,
    limit: u64,
}

struct Inside<'a>(&'a Gate, u64);

impl Gate {
    fn enter(&self, weight: u64) -> Inside<'_> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while *held > 0 && *held + weight > self.limit {
            held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held += weight;
        Inside(self, weight)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let Self(gate, weight) = self;
        *gate.held.lock().unwrap_or_else(PoisonError::into_inner) -= *weight;
        gate.changed.notify_all();
    }
}

/// Names everybody of the list.
///
/// # Errors
/// Files that changed, went, or do not hold a person whom the ledger has from them; storage failures.
pub fn name_people(
    of: &Naming<'_>,
    listing: &Listing,
    progress: &Arc<Progress>,
) -> Result<(Sorted<Named>, Reread), Error> {
    let before = progress.bytes.load(Ordering::Relaxed);
    let units = Mutex::new(Units {
        entries: listing.entries.partition(0).map_err(ExposureError::from)?,
        next: None,
    });
    let budget = &of.prepared.budget;
    let gate = Gate { held: Mutex::default(), changed: Condvar::new(), limit: budget.decode };
    let (failed, named) = (AtomicBool::new(false), AtomicU64::new(0));
    let parts = in_threads::<_, Error>(of.threads, |_| {
        let mut reader = Reader { of, progress, gate: &gate, open: None, seen: BTreeSet::new() };
        let mut sorter = Sorter::new(of.temp.into(), of.sort_budget, 0);
        let mut work = || -> Result<(), Error> {
            while !failed.load(Ordering::Relaxed) {
                let unit =
                    units.lock().unwrap_or_else(PoisonError::into_inner).next(of.sort_budget)?;
                if unit.is_empty() {
                    break;
                }
                named.fetch_add(unit.len() as u64, Ordering::Relaxed);
                reader.name(unit, &mut sorter)?;
            }
            Ok(())
        };
        let done = work();
        if done.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        done.map(|()| (sorter, reader.seen))
    })?;
    let mut sorted = Sorted::new(0);
    let mut seen = BTreeSet::new();
    for (sorter, own) in parts {
        sorter.finish(&mut sorted);
        seen.extend(own);
    }
    let named = named.into_inner();
    if named != listing.people {
        let what = format!("{} people are listed and {named} were named", listing.people);
        return Err(ExposureError::Internal { what }.into());
    }
    let files: BTreeSet<(u32, usize)> =
        seen.iter().map(|(source, file, _)| (*source, *file)).collect();
    let all = of.prepared.sources.iter().flat_map(|source| &source.wanted.files);
    Ok((
        sorted,
        Reread {
            files: files.len() as u64,
            of_files: all.clone().count() as u64,
            row_groups: seen.len() as u64,
            of_row_groups: of.filled.iter().map(|f| f.selection.units.len() as u64).sum(),
            bytes: progress.bytes.load(Ordering::Relaxed) - before,
            of_bytes: all.map(|(_, pin)| pin.size).sum(),
        },
    ))
}

/// Reads row groups on one thread.
struct Reader<'a> {
    of: &'a Naming<'a>,
    progress: &'a Arc<Progress>,
    gate: &'a Gate,
    /// Row groups of one file follow each other: its footer is read once.
    open: Option<((u32, usize), PersonIds)>,
    /// Source, file and row group.
    seen: BTreeSet<(u32, usize, u32)>,
}

impl Reader<'_> {
    /// Finds the ids of people in the row group that they were met in.
    fn name(&mut self, unit: Vec<Entry>, sorter: &mut Sorter<Named>) -> Result<(), Error> {
        let lost =
            |what: &str| ScanError::Internal { what: format!("a row group's {what} is not known") };
        let first = unit.first().map_or((0, 0), |entry| (entry.source, entry.unit));
        let index = usize::try_from(first.0).unwrap_or(usize::MAX);
        let source = self.of.prepared.sources.get(index).ok_or_else(|| lost("source"))?;
        let units = self.of.filled.get(index).map(|filled| &filled.selection.units);
        let place = usize::try_from(first.1).ok();
        let found = units.zip(place).and_then(|(units, place)| units.get(place));
        let (file, record) = found.ok_or_else(|| lost("file"))?;
        let space = self.of.rows.get(index).map_or(0, |rows| rows.person_space);
        let namespace = self.of.namespaces.get(space).map_or("", String::as_str);
        let space = u32::try_from(space).unwrap_or(u32::MAX);

        let at = (first.0, *file);
        let ids = match self.open.take().filter(|(known, _)| *known == at) {
            Some((_, ids)) => ids,
            None => {
                let listed = source.snapshot.files.get(*file).ok_or_else(|| lost("path"))?;
                let (context, store) = (&source.context, &source.snapshot.store);
                PersonIds::open(
                    context,
                    store,
                    listed,
                    self.progress,
                    self.of.prepared.budget.rest,
                )?
            }
        };
        let weight = ids.weight(record.row_group)?;
        if weight > self.of.prepared.budget.rest {
            let needed = Budget::limit_for(weight).div_ceil(1_000_000);
            let (file, group) = (ids.shown().to_string(), record.row_group as usize);
            let large = Box::new(Large::group(group, i64::try_from(record.rows).ok()));
            return Err(ScanError::Memory { file, large, needed }.into());
        }
        let mut texts: Vec<Option<Box<str>>> = vec![None; unit.len()];
        // Searching entries in their order would wait for memory at every step.
        let places: HashMap<Key, usize> =
            unit.iter().enumerate().map(|(place, entry)| (entry.key, place)).collect();
        let inside = self.gate.enter(weight);
        ids.read(record.row_group, |key, text| {
            let slot = places.get(&key).and_then(|place| texts.get_mut(*place));
            if let Some(slot) = slot.filter(|slot| slot.is_none()) {
                *slot = Some(match self.of.hash {
                    Some(hash) => hash.of(namespace, text).into(),
                    None => text.into(),
                });
            }
        })?;
        drop(inside);
        self.seen.insert((first.0, *file, record.row_group));
        let missing = texts.iter().filter(|text| text.is_none()).count() as u64;
        if missing > 0 {
            let file = ids.shown().to_string();
            return Err(ScanError::PeopleGone { file, people: missing }.into());
        }
        for (entry, subject) in unit.into_iter().zip(texts.into_iter().flatten()) {
            let named = Named { space, subject, facts: entry.facts };
            sorter.push(named).map_err(ExposureError::from)?;
        }
        self.open = Some((at, ids));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_named_person_comes_back_from_their_bytes(
            space: u32, subject: String, requests: i64, scopes: Vec<u32>, apps: Vec<u32>,
        ) {
            let facts = Facts { first: -1, last: 1, requests, residence: 7, scopes, apps };
            let named = Named { space, subject: subject.into(), facts };
            let mut bytes = Vec::new();
            named.encode(&mut bytes);
            prop_assert_eq!(Named::decode(&bytes), Some(named));
        }
    }
}
