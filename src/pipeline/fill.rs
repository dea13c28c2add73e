//! Brings the rows of every source into the ledger.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::prepare::{Prepared, Source};
use super::{Observer, Scanning};
use crate::config::RunPlan;
use crate::error::Error;
use crate::ledger::{Ledger, Pack, PackWriter, Selection, WriterSettings, compact};
use crate::scan::{self, Progress, ScanError, ScanJob, Unreadable};
use crate::store::Io;

/// A source whose rows are in the ledger.
#[derive(Clone)]
pub struct Filled {
    pub selection: Selection,
    pub unreadable: Vec<Unreadable>,
}

/// How many files were left out.
pub fn files_left_out(filled: &[Filled]) -> u64 {
    filled.iter().map(|filled| filled.unreadable.len() as u64).sum()
}

/// The ledger, with the rows of every source in it.
///
/// # Errors
/// Failures of the scan and of storage, a folder that holds something else, interruption.
pub fn filled_ledger(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    io: &Io,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<(Ledger, Vec<Filled>), Error> {
    const HINT: &str = "name another folder for the ledger with state.url or --state";
    let ledger = Ledger::open(plan.state.open_or_create(io).map_err(|e| e.hint(HINT))?)?;
    let filled = fill_ledger(plan, prepared, &ledger, progress, observer)?;
    if progress.stop.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    Ok((ledger, filled))
}

/// Reads what the ledger lacks.
fn fill_ledger(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<Vec<Filled>, Error> {
    let mut packs = ledger.packs()?;
    let mut filled = Vec::with_capacity(prepared.sources.len());
    for source in &prepared.sources {
        let mut selection = source.wanted.select(&packs);
        let mut unreadable = Vec::new();
        let reused = source.wanted.files.len() - selection.missing.len();
        progress.effort.reused.fetch_add(reused as u64, Ordering::Relaxed);
        let version = source.snapshot.table.as_ref().map(|table| table.shown());
        let scanning = Scanning {
            source: &source.plan.name,
            version: version.as_deref(),
            files: 0,
            bytes: 0,
            reused: reused as u64,
        };
        if selection.missing.is_empty() {
            observer.scanning(&scanning);
        } else {
            let files: Vec<_> = selection
                .missing
                .iter()
                .filter_map(|i| source.snapshot.files.get(*i).cloned())
                .collect();
            let bytes = files.iter().map(|f| f.pin.size).sum();
            observer.scanning(&Scanning { files: files.len() as u64, bytes, ..scanning });
            let written = Arc::new(Mutex::new(Vec::new()));
            let settings = WriterSettings {
                ledger: ledger.clone(),
                lineage: source.wanted.lineage.clone(),
                asked: source.wanted.asked.clone(),
                person_namespace: source.plan.person_namespace.clone(),
                group_namespace: source.plan.group_namespace.clone(),
                event_namespace: source.plan.event_namespace.clone(),
                budget: prepared.budget,
            };
            let mut writers = PackWriter::many(
                &settings,
                &files,
                |path| source.snapshot.store.shown(path),
                plan.threads,
                &written,
            );
            let job = ScanJob {
                context: source.context.clone(),
                store: source.snapshot.store.clone(),
                files,
            };
            let outcome =
                scan::scan(&job, &mut writers, &prepared.budget, plan.allow_incomplete, progress)?;
            unreadable = outcome.unreadable;
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            add_packs(&mut packs, written.drain(..));
            ledger.write_index(&packs)?;
            selection = source.wanted.select(&packs);
        }
        let most = prepared.budget.packs_at_once() / prepared.sources.len().max(1);
        compact_packs(ledger, source, &mut packs, &mut selection, (most, progress))?;
        for bad in &unreadable {
            observer.warn(&format!("left out: {}{}", bad.reason, bad.guess));
        }
        if selection.missing.len() != unreadable.len() {
            return Err(ScanError::Internal {
                what: format!(
                    "source `{}`: {} files are still unread after the scan",
                    source.plan.name,
                    selection.missing.len()
                ),
            }
            .into());
        }
        filled.push(Filled { selection, unreadable });
    }
    Ok(filled)
}

fn add_packs(packs: &mut Vec<Pack>, new: impl IntoIterator<Item = Pack>) {
    packs.extend(new);
    packs.sort_by(|a, b| a.name.cmp(&b.name));
    packs.dedup_by(|a, b| a.name == b.name);
}

/// Merges packs until `most` are left, few enough to be opened at once.
fn compact_packs(
    ledger: &Ledger,
    source: &Source<'_>,
    packs: &mut Vec<Pack>,
    selection: &mut Selection,
    (most, progress): (usize, &Progress),
) -> Result<(), Error> {
    while let Some(merged) = compact(ledger, &selection.packs, most, &progress.stop)? {
        add_packs(packs, [merged]);
        ledger.write_index(packs)?;
        let before = selection.packs.len();
        *selection = source.wanted.select(packs);
        if selection.packs.len() >= before {
            // Packs overlap so that merging does not pay; the run opens them all.
            break;
        }
    }
    Ok(())
}
