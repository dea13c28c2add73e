//! What the registry knows of people: who was a member of which group when, and who lived where.
//!
//! Both tables may be larger than memory by far. Each is sorted once, by person, into a pack below the
//! state folder that is named by what it was made from; later runs read it as a sorted stream beside the
//! ledger's rows. Groups of a membership pack are numbered, and for each group time is cut at every moment
//! at which its membership changes: a run then asks which stretches of a group were read, and by whom, and
//! no row holds a time.

mod ids;
mod input;
mod member_sort;
mod members;
mod residency;
mod table;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::effort::{Effort, Part};
use crate::key::{IdKind, KEY_FORMAT, Keyer, hex};
use crate::ledger::LedgerError;
use crate::ledger::shelf::Shelf;
use crate::moment::{Moment, Zone};
use crate::sorter::SortError;
use crate::store::Pin;
use crate::threads::in_threads;

pub use input::{Input, InputFile, list};
pub use members::{
    GroupCursor, GroupSet, GroupStretches, Member, MemberCursor, MembersPack, Stretch,
};
pub use residency::{Found, Residence, ResidencyCursor, ResidencyPack, Resident};

/// Version of both formats; part of every pack's name.
const FORMAT: u32 = 4;

/// The folder of the packs below the state.
const FOLDER: &str = "people";

#[derive(Debug, Error)]
pub enum PeopleError {
    #[error("{0}")]
    Ledger(#[from] LedgerError),

    #[error("{0}")]
    Sort(#[from] SortError),

    #[error("registry file {file} ({role}): {reason}\ncheck registry.{role} in the configuration")]
    Unusable { role: &'static str, file: String, reason: String },

    #[error("registry file {file}, row {row}, column `{column}`: {reason}")]
    BadValue { file: String, row: u64, column: String, reason: String },

    #[error(
        "the ledger has no sorted pack of registry.{role} as it stands now, and this command writes none\nrun `afterscope run` with the same configuration: it makes the pack, also where the report stands published, if another --output is named"
    )]
    Lacking { role: &'static str },

    #[error("interrupted")]
    Interrupted,
}

/// How the ids of the registry's tables become keys: as those of the column that they join.
#[derive(Clone, Debug)]
pub struct IdRule {
    pub kind: IdKind,
    /// Whether the log's column folds case.
    pub folds: bool,
}

/// What sorting needs.
pub struct Workshop<'a> {
    pub shelf: Shelf,
    pub keyer: &'a Keyer,
    pub zone: Zone,
    pub temp: &'a Path,
    /// Bytes that each thread's sorter may hold.
    pub sort_buffer: u64,
    /// Bytes that the run may hold.
    pub memory_limit: u64,
    pub threads: usize,
    /// Whether packs that are not there yet are made.
    pub makes: bool,
    pub stop: &'a AtomicBool,
    pub effort: &'a Effort,
}

impl Workshop<'_> {
    /// # Errors
    /// [`PeopleError::Interrupted`] where somebody asked for it.
    fn go_on(&self) -> Result<(), PeopleError> {
        if self.stop.load(Ordering::Relaxed) { Err(PeopleError::Interrupted) } else { Ok(()) }
    }

    /// Sorts on all threads.
    ///
    /// # Errors
    /// What `work` says.
    fn sort<T: Send>(
        &self,
        work: impl Fn() -> Result<T, PeopleError> + Sync,
    ) -> Result<Vec<T>, PeopleError> {
        in_threads(self.threads, |_| self.effort.timed(Part::Sorting, &work))
    }

    /// # Errors
    /// [`PeopleError::Lacking`] where no pack is to be made.
    fn may_make(&self, input: &Input) -> Result<(), PeopleError> {
        if self.makes { Ok(()) } else { Err(PeopleError::Lacking { role: input.role }) }
    }

    /// The name of a table's pack: a hash of what it is made from, and how ids become keys.
    fn name(&self, input: &Input, rules: &[&IdRule]) -> String {
        let rules: Vec<_> = rules.iter().map(|rule| (rule.kind, rule.folds)).collect();
        let identity = serde_json::json!({
            "format": FORMAT,
            "role": input.role,
            "key_format": KEY_FORMAT,
            "key": self.keyer.key_id(),
            "ids": rules,
            "zone": format!("{:?}", self.zone),
            "files": MadeFrom::of(input),
        });
        let hash = blake3::hash(identity.to_string().as_bytes());
        hex(hash.as_bytes().get(..16).unwrap_or_default())
    }
}

/// The place of people's packs in a state folder.
pub fn shelf(store: crate::store::Store) -> Shelf {
    Shelf::new(store, FOLDER)
}

/// Address and pin of every file that a pack was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    files: Vec<(String, Pin)>,
}

impl MadeFrom {
    pub fn of(input: &Input) -> Self {
        Self { files: input.files.iter().map(|f| (f.url.clone(), f.pin.clone())).collect() }
    }
}

/// A file of a pack, as it stands in the state folder.
#[derive(Clone, Debug)]
pub struct StandingFile {
    pub name: String,
    pub size: u64,
    pub written: Moment,
    pub made: MadeFrom,
}

/// All files of packs, by name.
///
/// # Errors
/// Storage failures and damaged packs.
pub fn standing(shelf: &Shelf) -> Result<Vec<StandingFile>, LedgerError> {
    let mut files = Vec::new();
    for listed in shelf.store().list(FOLDER)? {
        let name = listed.path.rsplit('/').next().unwrap_or_default().to_string();
        if let Some((_, made)) = table::Table::open::<MadeFrom>(shelf, &name)? {
            files.push(StandingFile { name, size: listed.pin.size, written: listed.written, made });
        }
    }
    Ok(files)
}

/// The packs that a run reads.
#[derive(Debug, Default)]
pub struct People {
    pub members: Option<MembersPack>,
    pub residency: Option<ResidencyPack>,
}
