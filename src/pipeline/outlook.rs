//! What a run would do, without doing it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::follow::{Followed, prepare_following};
use crate::config::{Format, RunPlan};
use crate::error::Error;
use crate::ledger::shelf::Shelf;
use crate::ledger::{Ledger, Pack};
use crate::moment::Moment;
use crate::people::{self, MadeFrom, StandingFile};
use crate::publish::{Publisher, Standing};
use crate::scan::{self, AccessBatch, Progress, Pruned, ScanError, ScanJob, Sink, UnitRecord};
use crate::store::{Io, Pin, Store, StoreError, StoreErrorKind};

/// What a run would do.
#[derive(Clone, Debug, Serialize)]
pub struct Outlook {
    pub run_id: String,
    /// The run stands already and would be used again.
    pub published: bool,
    pub sources: Vec<SourceOutlook>,
    /// Bytes that the run will stay within.
    pub memory_limit: u64,
    /// Bytes that it is expected to reach.
    pub memory_expected: u64,
    pub threads: usize,
    pub tables: Vec<String>,
    pub output: String,
    pub state: String,
}

/// What a run would do with one source.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceOutlook {
    pub name: String,
    pub url: String,
    pub format: Format,
    /// Of a table: the version's number, of an Iceberg table the snapshot's.
    pub version: Option<u64>,
    /// When that was made, where the table says.
    pub version_made_at: Option<Moment>,
    /// The same, as people read it.
    #[serde(skip)]
    pub version_shown: Option<String>,
    /// What may be doubtful about the version, and about which one it is.
    pub warnings: Vec<String>,
    pub files: u64,
    pub bytes: u64,
    pub hidden_files_passed_over: u64,
    /// Files whose rows the ledger holds.
    pub files_reused: u64,
    /// Files to be opened, and what opening them shows.
    pub files_to_read: u64,
    pub bytes_of_files_to_read: u64,
    pub rows_in_metadata: u64,
    pub rows_pruned: Pruned,
    pub rows_to_read: u64,
}

/// Collects what opening files shows.
struct Survey<'a>(&'a Mutex<SourceOutlook>);

impl Sink for Survey<'_> {
    fn take(&mut self, _: usize, unit: UnitRecord, _: AccessBatch) -> Result<(), ScanError> {
        let mut outlook = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outlook.rows_in_metadata += unit.rows;
        outlook.rows_pruned.add(&unit.pruned);
        outlook.rows_to_read += unit.not_matched;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ScanError> {
        Ok(())
    }
}

/// Looks at what a run would do; writes nothing.
///
/// # Errors
/// As [`super::run`], as far as they show before rows are decoded.
pub fn outlook(plan: &RunPlan, io: &Io, progress: &Arc<Progress>) -> Result<Outlook, Error> {
    let (prepared, _) = prepare_following(plan, io, true)?;
    let published = match existing(plan.output.open(io))? {
        Some(store) => {
            matches!(Publisher::look(store).find(&prepared.run_id)?, Standing::Whole(..))
        }
        None => false,
    };
    let packs = match existing(plan.state.open(io))? {
        Some(store) => Ledger::read_only(store).packs()?,
        None => Vec::new(),
    };
    let mut sources = Vec::new();
    let mut matched_rows = 0;
    for source in &prepared.sources {
        let selection = source.wanted.select(&packs);
        matched_rows += selection.packs.iter().map(|(p, _)| p.footer.rows).sum::<u64>();
        let files: Vec<_> = selection
            .missing
            .iter()
            .filter_map(|i| source.snapshot.files.get(*i).cloned())
            .collect();
        let table = source.snapshot.table.as_ref();
        let outlook = Mutex::new(SourceOutlook {
            name: source.plan.name.clone(),
            url: source.plan.url.to_string(),
            format: source.plan.kept.format(),
            version: table.map(|table| table.version),
            version_made_at: table.and_then(|table| table.made_at),
            version_shown: table.map(|table| table.shown()),
            warnings: table.map(|table| table.warnings()).unwrap_or_default(),
            files: source.wanted.files.len() as u64,
            bytes: source.wanted.files.iter().map(|(_, pin): &(String, Pin)| pin.size).sum(),
            hidden_files_passed_over: source.snapshot.ignored,
            files_reused: (source.wanted.files.len() - files.len()) as u64,
            files_to_read: files.len() as u64,
            bytes_of_files_to_read: files.iter().map(|f| f.pin.size).sum(),
            ..Default::default()
        });
        let mut sinks: Vec<Survey<'_>> = (0..plan.threads).map(|_| Survey(&outlook)).collect();
        let job = ScanJob {
            context: source.context.clone(),
            store: source.snapshot.store.clone(),
            files,
        };
        scan::scan(&job, &mut sinks, &prepared.budget, plan.allow_incomplete, progress)?;
        drop(sinks);
        sources.push(outlook.into_inner().unwrap_or_else(PoisonError::into_inner));
    }
    let rows_to_read: u64 = sources.iter().map(|s| s.rows_to_read).sum();
    Ok(Outlook {
        run_id: prepared.run_id,
        published,
        memory_limit: plan.memory_limit,
        memory_expected: prepared.budget.expected(plan.threads as u64, rows_to_read + matched_rows),
        threads: plan.threads,
        tables: prepared.queries.iter().map(|q| q.table.clone()).collect(),
        output: plan.output.to_string(),
        state: plan.state.to_string(),
        sources,
    })
}

/// A folder that is not there yet is none.
fn existing(opened: Result<Store, StoreError>) -> Result<Option<Store>, StoreError> {
    match opened {
        Ok(store) => Ok(Some(store)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Which packs may go.
pub struct Unused {
    pub ledger: Ledger,
    /// Packs to keep.
    pub kept: Vec<Pack>,
    /// Packs that a run of this plan would not use, written before the given moment.
    pub unused: Vec<Pack>,
    /// Of those kept, how many are unused and were written later.
    pub recent: usize,
    /// The same of packs of people: their shelf, and files made from other tables than this plan's.
    pub people: Shelf,
    pub unused_people: Vec<StandingFile>,
}

/// The packs of the report that is followed: the run counts it again.
fn packs_of(followed: &Followed) -> impl Iterator<Item = String> {
    let array = |of: &Value, key: &str| of.get(key).and_then(Value::as_array).cloned();
    let sources = array(&followed.manifest.details, "sources").unwrap_or_default();
    let packs = sources.into_iter().flat_map(move |s| array(&s, "packs").unwrap_or_default());
    packs.filter_map(|name| name.as_str().map(str::to_string))
}

/// Packs that a run of this plan would not use, if they were written before `written_before`: a run
/// under way may be reading younger ones.
///
/// # Errors
/// As [`super::run`], up to listing the files.
pub fn unused_packs(plan: &RunPlan, io: &Io, written_before: Moment) -> Result<Unused, Error> {
    let (prepared, followed) = prepare_following(plan, io, true)?;
    let ledger = Ledger::read_only(plan.state.open(io)?);
    let packs = ledger.packs()?;
    let written = ledger.written()?;
    let old = |pack: &Pack| written.get(&pack.name).is_some_and(|at| *at < written_before);
    // A run that began before the young packs were there reads what they were merged from.
    let before: Vec<Pack> = packs.iter().filter(|p| old(p)).cloned().collect();
    let used: BTreeSet<String> = [&packs, &before]
        .into_iter()
        .flat_map(|packs| prepared.sources.iter().flat_map(|s| s.wanted.select(packs).packs))
        .map(|(pack, _)| pack.name)
        .chain(followed.iter().flat_map(packs_of))
        .collect();
    let shelf = people::shelf(ledger.store().clone());
    let wanted: Vec<MadeFrom> = [&prepared.memberships, &prepared.residency]
        .into_iter()
        .flatten()
        .map(MadeFrom::of)
        .collect();
    let (unused_people, recent): (Vec<StandingFile>, Vec<StandingFile>) = people::standing(&shelf)?
        .into_iter()
        .filter(|file| !wanted.contains(&file.made))
        .partition(|file| file.written < written_before);
    let mut out = Unused {
        ledger,
        kept: Vec::new(),
        unused: Vec::new(),
        recent: recent.len(),
        people: shelf,
        unused_people,
    };
    for pack in packs {
        match (used.contains(&pack.name), old(&pack)) {
            (false, true) => out.unused.push(pack),
            (in_use, _) => {
                out.recent += usize::from(!in_use);
                out.kept.push(pack);
            }
        }
    }
    Ok(out)
}
