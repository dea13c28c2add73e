//! The ledger's folder: packs, and an index that saves opening them all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LedgerError;
use super::pack::{FOOTER_KEY, Kinds, Lineage, PackFooter, PackUnit};
use super::shelf::{Shelf, footer_value, is_sealed};
use crate::key::IdKind;
use crate::moment::Moment;
use crate::scan::batch::NONE;
use crate::scan::{Asked, UnitRecord};
use crate::seal::{seal, unseal};
use crate::store::{Listed, Pin, Store, Upload};

const INDEX: &str = "index.json";
const PACKS: &str = "packs";
const COUNTS: &str = "counts";
/// Counts of a name that are kept by other rules.
const OTHER_COUNTS: usize = 2;
/// Marks a folder as ours, so that nothing else's files are ever taken for packs or removed.
const OWNER: &str = "afterscope-state.json";

/// A place where packs are kept.
#[derive(Clone, Debug)]
pub struct Ledger {
    shelf: Shelf,
    read_only: bool,
}

/// A pack, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    pub name: String,
    pub size: u64,
    pub footer: PackFooter,
}

#[derive(Default, Serialize, Deserialize)]
struct Index {
    format: u32,
    packs: Vec<Pack>,
}

impl Ledger {
    /// # Errors
    /// Storage failures, and a folder that holds something else.
    pub fn open(store: Store) -> Result<Self, LedgerError> {
        let mark = format!("{{\"afterscope_state\":{}}}\n", super::pack::FORMAT);
        match store.claim(OWNER, Bytes::from(mark))? {
            None => Ok(Self { shelf: Shelf::new(store, PACKS), read_only: false }),
            Some(example) => Err(LedgerError::Foreign {
                folder: store.shown("").trim_end_matches('/').to_string(),
                example,
            }),
        }
    }

    /// The ledger as it is; nothing is written.
    pub fn read_only(store: Store) -> Self {
        Self { shelf: Shelf::new(store, PACKS), read_only: true }
    }

    /// Whether nothing may be written.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub fn store(&self) -> &Store {
        self.shelf.store()
    }

    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// A pack that is there already.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn find(&self, name: &str) -> Result<Option<Pack>, LedgerError> {
        match self.shelf.head(name)? {
            Some(pin) => self.read_footer(name, &pin),
            None => Ok(None),
        }
    }

    /// Begins a pack. Another run may write one of the same name at the same time: its bytes are the
    /// same, so that either may stand.
    pub fn create(&self, name: &str) -> NewPack {
        NewPack { ledger: self.clone(), name: name.to_string(), object: self.shelf.create(name) }
    }

    /// All packs, sorted by name. Packs that the index does not know (a run was cut short) are opened.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn packs(&self) -> Result<Vec<Pack>, LedgerError> {
        let listed = self.store().list(PACKS)?;
        let mut known: HashMap<String, Pack> = HashMap::new();
        // One that was cut short or altered is none: the packs say the same.
        if let Some((bytes, _)) = self.store().read(INDEX)?
            && let Ok(text) = unseal(&bytes)
            && let Ok(index) = serde_json::from_str::<Index>(text)
            && index.format == super::pack::FORMAT
        {
            known = index.packs.into_iter().map(|p| (p.name.clone(), p)).collect();
        }
        let mut packs = Vec::with_capacity(listed.len());
        for object in listed {
            let Some(name) = object.path.strip_prefix(&format!("{PACKS}/")) else { continue };
            match known.remove(name) {
                Some(pack) if pack.size == object.pin.size => packs.push(pack),
                _ => packs.extend(self.read_footer(name, &object.pin)?),
            }
        }
        packs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(packs)
    }

    /// Writes the index anew. It only saves time: without it the packs' footers are read.
    ///
    /// # Errors
    /// Storage failures.
    pub fn write_index(&self, packs: &[Pack]) -> Result<(), LedgerError> {
        let index = Index { format: super::pack::FORMAT, packs: packs.to_vec() };
        let text = serde_json::to_string(&index)
            .map_err(|e| LedgerError::Internal { what: e.to_string() })?;
        self.store().replace(INDEX, Bytes::from(seal(&text)))?;
        Ok(())
    }

    /// `None` for a pack of another format: it serves other versions of the program.
    fn read_footer(&self, name: &str, pin: &Pin) -> Result<Option<Pack>, LedgerError> {
        let damaged =
            |reason: String| LedgerError::Damaged { pack: self.shelf.shown(name), reason };
        let metadata = self.shelf.metadata(name, pin)?;
        let json = footer_value(&metadata, FOOTER_KEY)
            .ok_or_else(|| damaged("it has no afterscope footer".into()))?;
        let plain: Value = serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?;
        let format = plain.pointer("/lineage/format").and_then(Value::as_u64);
        if format != Some(u64::from(super::pack::FORMAT)) {
            return Ok(None);
        }
        if !is_sealed(&metadata) {
            return Err(damaged("its footer does not match its seal".into()));
        }
        let footer: PackFooter =
            serde_json::from_value(plain).map_err(|e| damaged(e.to_string()))?;
        if footer.name != name {
            return Err(damaged(format!("it is pack {} under another's name", footer.name)));
        }
        Ok(Some(Pack { name: name.to_string(), size: pin.size, footer }))
    }

    /// A count of this name that is kept beside the packs: that of `rules`, else the one that was kept last; none that is
    /// larger than `most` bytes.
    ///
    /// # Errors
    /// Storage failures.
    pub fn kept_count(
        &self,
        name: &str,
        rules: &str,
        most: u64,
    ) -> Result<Option<Bytes>, LedgerError> {
        let own = counted(name, rules);
        let counts = self.counts_of(name)?;
        let best = counts.iter().find(|count| count.path == own).or(counts.first());
        match best.filter(|count| count.pin.size <= most) {
            Some(count) => Ok(self.store().read(&count.path)?.map(|(bytes, _)| bytes)),
            None => Ok(None),
        }
    }

    /// Keeps a count in the place of an older one by the same rules. It only saves time, as the index does. Of a name the
    /// last few are kept.
    ///
    /// # Errors
    /// Storage failures.
    pub fn keep_count(&self, name: &str, rules: &str, bytes: Vec<u8>) -> Result<(), LedgerError> {
        let own = counted(name, rules);
        self.store().replace(&own, Bytes::from(bytes))?;
        let others = self.counts_of(name)?.into_iter().filter(|count| count.path != own);
        for old in others.skip(OTHER_COUNTS) {
            self.forget_count(&old.path)?;
        }
        Ok(())
    }

    /// Counts of a name by whichever rules, the last first.
    fn counts_of(&self, name: &str) -> Result<Vec<Listed>, LedgerError> {
        let mut counts = self.kept_counts()?;
        counts.retain(|count| count.path.starts_with(&counted_by(name)));
        counts.sort_by(|a, b| (b.written, &b.path).cmp(&(a.written, &a.path)));
        Ok(counts)
    }

    /// All counts that are kept, for whichever configurations.
    ///
    /// # Errors
    /// Storage failures.
    pub fn kept_counts(&self) -> Result<Vec<Listed>, LedgerError> {
        Ok(self.store().list(COUNTS)?)
    }

    /// Removes a count that is kept, by its path.
    ///
    /// # Errors
    /// Storage failures.
    pub fn forget_count(&self, path: &str) -> Result<(), LedgerError> {
        Ok(self.store().remove(path)?)
    }

    /// When each pack was written, by name.
    ///
    /// # Errors
    /// Storage failures.
    pub fn written(&self) -> Result<HashMap<String, Moment>, LedgerError> {
        let listed = self.store().list(PACKS)?;
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_string();
        Ok(listed.into_iter().map(|l| (name(&l.path), l.written)).collect())
    }

    /// Files that a killed run left half written in a local folder, older than `before`: the store
    /// itself does not list them.
    pub fn leftovers(&self, before: Moment) -> Vec<PathBuf> {
        let Some(root) = self.store().local_root() else { return Vec::new() };
        let folders = [(PACKS, ".parquet#"), (COUNTS, ".bin#")];
        folders
            .into_iter()
            .flat_map(|(folder, ending)| {
                let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
                entries.map(move |entry| (entry, ending))
            })
            .filter_map(|(entry, ending)| {
                let name = entry.file_name();
                let (_, tail) = name.to_str()?.rsplit_once(ending)?;
                tail.bytes().all(|b| b.is_ascii_digit()).then_some(entry)
            })
            .filter(|entry| {
                let written = entry.metadata().and_then(|m| m.modified()).ok();
                written.and_then(Moment::from_system).is_some_and(|at| at < before)
            })
            .map(|entry| entry.path())
            .collect()
    }

    /// Removes a pack.
    ///
    /// # Errors
    /// Storage failures.
    pub fn remove(&self, name: &str) -> Result<(), LedgerError> {
        self.shelf.remove(name)
    }
}

/// Where a count by some rules is kept below the state folder.
pub fn counted(name: &str, rules: &str) -> String {
    format!("{}{rules}.bin", counted_by(name))
}

fn counted_by(name: &str) -> String {
    format!("{COUNTS}/{name}-")
}

/// A pack in the making.
pub struct NewPack {
    ledger: Ledger,
    name: String,
    object: Upload,
}

impl NewPack {
    /// # Errors
    /// Storage failures.
    pub fn write(&mut self, bytes: Bytes) -> Result<(), LedgerError> {
        Ok(self.object.write(bytes)?)
    }

    /// Makes the pack visible.
    ///
    /// # Errors
    /// Storage failures.
    pub fn finish(self, footer: PackFooter) -> Result<Pack, LedgerError> {
        let (size, created) = self.object.finish()?;
        // Another run was first: its pack is the one that stands.
        if !created && let Some(pack) = self.ledger.find(&self.name)? {
            return Ok(pack);
        }
        Ok(Pack { name: self.name, size, footer })
    }
}

/// The files that a run needs of one source, and with what they must have been read.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub lineage: Lineage,
    pub asked: Asked,
    /// Address and pin, in the order of the snapshot.
    pub files: Vec<(String, Pin)>,
    /// Files that need not be opened, by their place in `files`: a name of what the table tells of each
    /// ([`UnitRecord::told`]). A pack that knows another story of one does not serve it, nor does one that
    /// read it: what a run publishes would hang on which runs came before.
    pub unopened: HashMap<usize, String>,
}

/// Which packs serve which row groups.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Units that count: file (index into [`Wanted::files`]) and record; sorted.
    pub units: Vec<(usize, UnitRecord)>,
    /// Packs that hold them; for each, its units' positions in `units`, [`NONE`] for those to skip.
    pub packs: Vec<(Pack, Vec<u32>)>,
    /// Files that no pack, or not all of whose row groups a pack, covers.
    pub missing: Vec<usize>,
}

impl Wanted {
    /// Finds what the packs already cover. Where two packs hold one row group (two runs at once, a
    /// crash between two steps, a merge of packs), the one that holds most of what is wanted serves,
    /// so that few packs are opened; of equals the first by name.
    pub fn select(&self, packs: &[Pack]) -> Selection {
        let by_address: HashMap<(&str, &Pin), usize> =
            self.files.iter().enumerate().map(|(i, (a, p))| ((a.as_str(), p), i)).collect();
        let is_told =
            |file: &usize, record: &UnitRecord| self.unopened.get(file).cloned() == record.told();
        let file_of = |unit: &PackUnit| {
            let file = by_address.get(&(unit.file.as_str(), &unit.pin)).copied();
            file.filter(|file| is_told(file, &unit.record))
        };
        let mut serving: Vec<&Pack> = packs
            .iter()
            .filter(|p| p.footer.lineage == self.lineage && p.footer.asked.serves(&self.asked))
            .collect();
        let held = |p: &&Pack| p.footer.units.iter().filter(|u| file_of(u).is_some()).count();
        serving.sort_by_cached_key(|p| (Reverse(held(p)), p.name.clone()));
        // Row groups by file: which pack, which of its units.
        let mut found: BTreeMap<(usize, u32), (usize, usize)> = BTreeMap::new();
        for (p, pack) in serving.iter().enumerate() {
            for (u, unit) in pack.footer.units.iter().enumerate() {
                if let Some(file) = file_of(unit) {
                    found.entry((file, unit.record.row_group)).or_insert((p, u));
                }
            }
        }
        let record = |at: &(usize, usize)| {
            serving.get(at.0).and_then(|p| p.footer.units.get(at.1)).map(|u| u.record.clone())
        };
        let mut covered: Vec<(u32, u32)> = vec![(0, 1); self.files.len()];
        for ((file, _), at) in &found {
            if let (Some(slot), Some(record)) = (covered.get_mut(*file), record(at)) {
                *slot = (slot.0 + 1, record.of.max(1));
            }
        }
        let complete: HashSet<usize> = covered
            .iter()
            .enumerate()
            .filter(|(_, (have, of))| have == of)
            .map(|(i, _)| i)
            .collect();
        let mut selection = Selection {
            missing: (0..self.files.len()).filter(|i| !complete.contains(i)).collect(),
            ..Default::default()
        };
        let mut maps: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for ((file, _), at) in &found {
            let (true, Some(record), Some(pack)) =
                (complete.contains(file), record(at), serving.get(at.0))
            else {
                continue;
            };
            let position = u32::try_from(selection.units.len()).unwrap_or(NONE);
            let map = maps.entry(at.0).or_insert_with(|| vec![NONE; pack.footer.units.len()]);
            if let Some(slot) = map.get_mut(at.1) {
                *slot = position;
            }
            selection.units.push((*file, record));
        }
        selection.packs = maps
            .into_iter()
            .filter_map(|(p, map)| Some(((*serving.get(p)?).clone(), map)))
            .collect();
        selection
    }
}

impl Selection {
    /// With another of further files: `first` is the number of the first of them.
    pub fn joined(mut self, other: Self, first: usize) -> Self {
        let units = u32::try_from(self.units.len()).unwrap_or(NONE);
        self.units.extend(other.units.into_iter().map(|(file, unit)| (file + first, unit)));
        self.packs.extend(other.packs.into_iter().map(|(pack, map)| {
            let moved = map.into_iter().map(|at| if at == NONE { NONE } else { at + units });
            (pack, moved.collect())
        }));
        self.missing.extend(other.missing.into_iter().map(|file| file + first));
        self
    }
}

/// The one kind that ids of a role have in all `packs`, with a file that shows it.
pub fn kind_of(
    packs: &[(Pack, Vec<u32>)],
    role: impl Fn(&Kinds) -> Option<IdKind>,
) -> Vec<(IdKind, String)> {
    let mut seen: Vec<(IdKind, String)> = Vec::new();
    for (pack, _) in packs {
        if let Some(kind) = role(&pack.footer.kinds)
            && !seen.iter().any(|(k, _)| *k == kind)
        {
            let file = pack.footer.units.first().map(|u| u.file.clone()).unwrap_or_default();
            seen.push((kind, file));
        }
    }
    seen
}
