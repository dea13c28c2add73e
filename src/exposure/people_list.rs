//! Who was observed, one by one: what a list of people needs of the ledger.
//!
//! The rows are merged as they are when everything is counted. The ledger holds keys, no ids: an entry says
//! in which row group a counted row of the person stands, so that the id can be read there again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::distinct::Seen;
use super::home::Residences;
use super::leaf::{Pair, Standing};
use super::policy::Policy;
use super::reach::NOWHERE;
use super::totals::add;
use super::walk::{Follower, Walk};
use super::{ExposureError, Settings, SourceRows};
use crate::key::Key;
use crate::key::MixMap;
use crate::ledger::Merged;
use crate::scan::batch::{Interner, NONE, Outcome};
use crate::sorter::{Record, Sorted, Sorter, decode_key, encode_key};
use crate::threads::in_threads;

/// Which exposure is listed; empty means all.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    pub scopes: BTreeSet<String>,
    pub apps: BTreeSet<String>,
}

impl Choice {
    fn holds(of: &BTreeSet<String>, name: &str) -> bool {
        of.is_empty() || of.contains(name)
    }
}

/// What a list says of a person beside who it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Facts {
    /// Of the least and the greatest time, in microseconds.
    pub first: i64,
    pub last: i64,
    pub requests: i64,
    /// Index into the residences, or [`NOWHERE`].
    pub residence: u32,
    /// Codes in [`Listing::scopes`] and [`Listing::apps`], each once.
    pub scopes: Vec<u32>,
    pub apps: Vec<u32>,
}

impl Facts {
    /// Bytes beside the struct's own.
    pub fn held(&self) -> usize {
        (self.scopes.capacity() + self.apps.capacity()) * size_of::<u32>()
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.first, self.last, self.requests] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.residence.to_be_bytes());
        let scopes = u32::try_from(self.scopes.len()).unwrap_or(NONE);
        out.extend_from_slice(&scopes.to_be_bytes());
        for code in self.scopes.iter().chain(&self.apps) {
            out.extend_from_slice(&code.to_be_bytes());
        }
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk()?;
        let (last, rest) = rest.split_first_chunk()?;
        let (requests, rest) = rest.split_first_chunk()?;
        let (residence, rest) = rest.split_first_chunk()?;
        let (scopes, rest) = rest.split_first_chunk()?;
        let scopes = usize::try_from(u32::from_be_bytes(*scopes)).ok()?;
        let codes: Option<Vec<u32>> = rest
            .chunks(size_of::<u32>())
            .map(|code| Some(u32::from_be_bytes(code.try_into().ok()?)))
            .collect();
        let mut scopes_then_apps = codes?;
        let apps =
            (scopes <= scopes_then_apps.len()).then(|| scopes_then_apps.split_off(scopes))?;
        Some(Self {
            first: i64::from_be_bytes(*first),
            last: i64::from_be_bytes(*last),
            requests: i64::from_be_bytes(*requests),
            residence: u32::from_be_bytes(*residence),
            scopes: scopes_then_apps,
            apps,
        })
    }
}

/// A person, and the first row group with a counted row of theirs: entries come in the order of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub source: u32,
    pub unit: u32,
    pub key: Key,
    pub facts: Facts,
}

impl Record for Entry {
    /// Entries are one partition.
    fn prefix(&self) -> u64 {
        0
    }
    fn held(&self) -> usize {
        self.facts.held()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.source.to_be_bytes());
        out.extend_from_slice(&self.unit.to_be_bytes());
        encode_key(self.key, out);
        self.facts.encode(out);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (source, rest) = bytes.split_first_chunk()?;
        let (unit, rest) = rest.split_first_chunk()?;
        let (key, rest) = decode_key(rest)?;
        Some(Self {
            source: u32::from_be_bytes(*source),
            unit: u32::from_be_bytes(*unit),
            key,
            facts: Facts::decode(rest)?,
        })
    }
}

/// Everybody who was observed.
pub struct Listing {
    pub entries: Sorted<Entry>,
    pub people: u64,
    /// Of all counted events, those that name nobody included.
    pub requests: i64,
    /// Sorted.
    pub scopes: Vec<String>,
    /// In no particular order.
    pub apps: Interner,
    /// Chosen apps that the ledger names, listed or not.
    pub met: BTreeSet<String>,
}

/// Lists everybody whom allowed, exercised events after the restriction name (docs/counting.md, rules 1
/// to 5 and 7): those whom `subjects_observed` counts.
///
/// # Errors
/// As [`super::count`].
pub fn list_people(
    sources: &[SourceRows],
    settings: &Settings<'_>,
    choice: &Choice,
    sort_budget: u64,
) -> Result<Listing, ExposureError> {
    let policy = Policy::new(settings.rules.clone());
    let scopes = policy.scope_names.clone();
    let chosen: Vec<bool> = scopes.iter().map(|s| Choice::holds(&choice.scopes, s)).collect();
    let (policy, apps) = (Mutex::new(policy), Mutex::new(Interner::default()));
    let walk = Walk::new(sources, settings, settings.threads);
    let parts = in_threads::<_, ExposureError>(walk.threads, |_| {
        let mut lister = Lister {
            policy: &policy,
            apps: &apps,
            choice,
            chosen: &chosen,
            pairs: MixMap::default(),
            scopes: Vec::new(),
            person: None,
            entry: None,
            sorter: Sorter::new(settings.temp.into(), sort_budget, 0),
            people: 0,
            requests: 0,
        };
        let names = walk.follow(&mut lister)?;
        let met = names.apps.names();
        let met: Vec<String> =
            met.filter(|app: &&str| choice.apps.contains(*app)).map(str::to_string).collect();
        Ok((lister.sorter, lister.people, lister.requests, met))
    })?;
    let mut listing = Listing {
        entries: Sorted::new(0),
        people: 0,
        requests: 0,
        scopes,
        apps: apps.into_inner().unwrap_or_else(PoisonError::into_inner),
        met: BTreeSet::new(),
    };
    for (sorter, people, requests, met) in parts {
        listing.met.extend(met);
        sorter.finish(&mut listing.entries);
        listing.people += people;
        add(&mut listing.requests, requests)?;
    }
    Ok(listing)
}

/// The leaves of an app and a scope set, and the app's code for all threads.
type Touching = Option<(Arc<Pair>, u32)>;

struct Lister<'a> {
    policy: &'a Mutex<Policy>,
    apps: &'a Mutex<Interner>,
    choice: &'a Choice,
    /// By scope.
    chosen: &'a [bool],
    /// By the codes of app and scope set; `None` where nothing of theirs is listed.
    pairs: MixMap<u64, Touching>,
    /// Chosen scopes of the row at hand.
    scopes: Vec<u32>,
    person: Option<Key>,
    /// What is known of the person so far; `None` before their first counted event.
    entry: Option<Entry>,
    sorter: Sorter<Entry>,
    people: u64,
    requests: i64,
}

impl Lister<'_> {
    #[cold]
    fn learn(&self, row: &Merged<'_>) -> Touching {
        let set = row.names.sets.get(row.set()).filter(|set| !set.scopes.is_empty())?;
        let app = row.names.apps.name(row.app());
        // An event without an app is of none that was chosen.
        if !self.choice.apps.is_empty() && !app.is_some_and(|app| self.choice.apps.contains(app)) {
            return None;
        }
        let pair = self.policy.lock().unwrap_or_else(PoisonError::into_inner).pair(app, &set);
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        Some((pair, app.map_or(NONE, |app| apps.code(app))))
    }

    /// Puts the person down, if anything of theirs was counted.
    fn end_person(&mut self, homes: &mut Residences<'_>) -> Result<(), ExposureError> {
        self.person = None;
        let Some(mut entry) = self.entry.take() else { return Ok(()) };
        entry.facts.residence = homes.find(entry.key)?;
        self.people += 1;
        Ok(self.sorter.push(entry)?)
    }
}

impl Follower for Lister<'_> {
    /// Whether the row may be listed, or be a repeat of one that is.
    fn touches(&mut self, row: &Merged<'_>) -> bool {
        if row.reject().is_some() {
            return false;
        }
        let codes = u64::from(row.app()) << 32 | u64::from(row.set());
        if !self.pairs.contains_key(&codes) {
            let found = self.learn(row);
            self.pairs.insert(codes, found);
        }
        let pair = self.pairs.get(&codes).and_then(Option::as_ref);
        pair.and_then(|(pair, _)| pair.at(row.at()))
            .is_some_and(|(_, leaf)| leaf.standing != Standing::Outside)
    }

    /// Adds a row to its person, as the counter would.
    fn add(&mut self, seen: &Seen, homes: &mut Residences<'_>) -> Result<(), ExposureError> {
        if seen.repeat || seen.outcome != Outcome::Allowed {
            return Ok(());
        }
        let codes = u64::from(seen.app) << 32 | u64::from(seen.set);
        let Some(Some((pair, app))) = self.pairs.get(&codes) else { return Ok(()) };
        let Some((_, leaf)) = pair.at(seen.at) else { return Ok(()) };
        let app = *app;
        let is_chosen = |scope: &u32| {
            let scope = usize::try_from(*scope).ok();
            scope.and_then(|scope| self.chosen.get(scope)) == Some(&true)
        };
        self.scopes.clear();
        self.scopes.extend(leaf.scopes.iter().map(|scope| scope.scope).filter(is_chosen));
        if leaf.standing != Standing::Counts || self.scopes.is_empty() {
            return Ok(());
        }
        add(&mut self.requests, seen.weight)?;
        let Some(person) = seen.person else { return Ok(()) };
        if self.person != Some(person) {
            self.end_person(homes)?;
            self.person = Some(person);
        }
        let source = u32::try_from(seen.place.0).unwrap_or(NONE);
        let micros = seen.at.micros;
        let mut entry = self.entry.take().unwrap_or_else(|| Entry {
            source,
            unit: seen.place.1,
            key: person,
            facts: Facts {
                first: micros,
                last: micros,
                requests: 0,
                residence: NOWHERE,
                scopes: Vec::new(),
                apps: Vec::new(),
            },
        });
        (entry.source, entry.unit) = (entry.source, entry.unit).min((source, seen.place.1));
        let facts = &mut entry.facts;
        facts.first = facts.first.min(micros);
        facts.last = facts.last.max(micros);
        add(&mut facts.requests, seen.weight)?;
        for scope in &self.scopes {
            if !facts.scopes.contains(scope) {
                facts.scopes.push(*scope);
            }
        }
        if app != NONE && !facts.apps.contains(&app) {
            facts.apps.push(app);
        }
        self.entry = Some(entry);
        Ok(())
    }

    fn end_stretch(&mut self, homes: &mut Residences<'_>) -> Result<(), ExposureError> {
        self.end_person(homes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_comes_back_from_its_bytes(
            (source, unit, residence) in any::<(u32, u32, u32)>(),
            (hi, lo) in any::<(u64, u64)>(),
            (first, last, requests) in any::<(i64, i64, i64)>(),
            scopes in any::<Vec<u32>>(),
            apps in any::<Vec<u32>>(),
        ) {
            let facts = Facts { first, last, requests, residence, scopes, apps };
            let entry = Entry { source, unit, key: Key { hi, lo }, facts };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            prop_assert_eq!(Entry::decode(&bytes), Some(entry));
            bytes.pop();
            prop_assert_eq!(Entry::decode(&bytes), None);
        }
    }
}
