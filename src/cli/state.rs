//! `afterscope state`.

use std::fmt::Write;
use std::time::SystemTime;

use serde_json::json;

use super::args::{PlaceArgs, RunArgs, StateArgs, StateCommand};
use super::run::Runtime;
use super::terminal::{bytes, number, tame};
use super::{Failure, print_bytes, print_json};
use crate::config;
use crate::error::Error;
use crate::ledger::{Ledger, Pack};
use crate::moment::{Moment, parse_duration};
use crate::people::{self, StandingFile};
use crate::pipeline::{self, Unused};
use crate::store::Listed;

pub fn run(args: &StateArgs) -> Result<(), Failure> {
    match &args.command {
        StateCommand::Show { place, json } => show(place, *json),
        StateCommand::Gc { run, keep, dry_run } => gc(run, keep, *dry_run),
    }
}

fn show(place: &PlaceArgs, as_json: bool) -> Result<(), Failure> {
    let plan = config::load(&place.config, &place.overrides())?;
    let runtime = Runtime::new()?;
    let ledger = Ledger::read_only(plan.state.open(&runtime.io)?);
    let packs = ledger.packs()?;
    let people = people::standing(&people::shelf(ledger.store().clone()))?;
    if as_json {
        let lines: Vec<_> = packs
            .iter()
            .map(|p| {
                json!({
                    "pack": p.name,
                    "bytes": p.size,
                    "rows": p.footer.rows,
                    "units": p.footer.units.len(),
                    "scopes": p.footer.asked.scopes,
                    "lineage": p.footer.lineage,
                })
            })
            .collect();
        return print_json(serde_json::to_string_pretty(&lines));
    }
    let counts = ledger.kept_counts()?;
    print_bytes(tame(&table(&plan.state.to_string(), &packs, &people, &counts)).as_bytes())
}

fn table(address: &str, packs: &[Pack], people: &[StandingFile], counts: &[Listed]) -> String {
    let mut out = format!("{address}\n");
    let rows: u64 = packs.iter().map(|p| p.footer.rows).sum();
    let size: u64 = packs.iter().map(|p| p.size).sum();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} packs, {} rows, {}", packs.len(), number(rows), bytes(size));
    for pack in packs {
        let footer = &pack.footer;
        let _ = writeln!(
            out,
            "  {}  {:>12} rows  {:>10}  {:>8} row groups of input  {} scopes",
            pack.name,
            number(footer.rows),
            bytes(pack.size),
            number(footer.units.len() as u64),
            footer.asked.scopes.len()
        );
    }
    if !people.is_empty() {
        let size: u64 = people.iter().map(|file| file.size).sum();
        let _ = writeln!(out, "{} files of members and residences, {}", people.len(), bytes(size));
        for file in people {
            let _ = writeln!(out, "  {}  {:>10}", file.name, bytes(file.size));
        }
    }
    if !counts.is_empty() {
        let size: u64 = counts.iter().map(|count| count.pin.size).sum();
        let _ = writeln!(out, "{} kept counts, {}", counts.len(), bytes(size));
        for count in counts {
            let _ = writeln!(out, "  {}  {:>10}", count.path, bytes(count.pin.size));
        }
    }
    out
}

fn gc(run: &RunArgs, keep: &str, dry_run: bool) -> Result<(), Failure> {
    let plan = config::load(&run.place.config, &run.overrides())?;
    let keep = parse_duration(keep)
        .map_err(|reason| Error::Argument { argument: format!("--keep {keep}"), reason })?;
    // The only look at a clock: it decides what is tidied away, never what is counted.
    let now = Moment::from_system(SystemTime::now()).unwrap_or(Moment::MIN);
    let before = now.plus_micros(-keep);
    let runtime = Runtime::new()?;
    let Unused { ledger, kept, unused, recent, people, unused_people } =
        pipeline::unused_packs(&plan, &runtime.io, before)?;
    let mut out = String::new();
    for file in &unused_people {
        let verb = if dry_run { "would remove" } else { "removed" };
        if !dry_run {
            people.remove(&file.name)?;
        }
        let _ = writeln!(out, "{verb} {} ({})", file.name, bytes(file.size));
    }
    for pack in &unused {
        let verb = if dry_run { "would remove" } else { "removed" };
        if !dry_run {
            ledger.remove(&pack.name)?;
        }
        let _ = writeln!(out, "{verb} {} ({})", pack.name, bytes(pack.size));
    }
    if !dry_run && !unused.is_empty() {
        ledger.write_index(&kept)?;
    }
    // One that goes is made again by the next run.
    let mut counts = (0, 0);
    for count in ledger.kept_counts()?.iter().filter(|count| count.written < before) {
        let verb = if dry_run { "would remove" } else { "removed" };
        if !dry_run {
            ledger.forget_count(&count.path)?;
        }
        counts = (counts.0 + 1, counts.1 + count.pin.size);
        let _ = writeln!(out, "{verb} {} ({})", count.path, bytes(count.pin.size));
    }
    for path in ledger.leftovers(before) {
        let verb = if dry_run { "would remove" } else { "removed" };
        if !dry_run {
            std::fs::remove_file(&path).map_err(|e| Error::Folder {
                folder: path.display().to_string(),
                reason: format!("cannot be removed: {e}"),
            })?;
        }
        let _ = writeln!(out, "{verb} {} (left by a run that was killed)", path.display());
    }
    if counts.0 > 0 {
        let _ = writeln!(out, "{} kept counts, {}", counts.0, bytes(counts.1));
    }
    let of_people: u64 = unused_people.iter().map(|file| file.size).sum();
    let size = of_people + unused.iter().map(|p| p.size).sum::<u64>();
    let _ = writeln!(out, "{} packs, {}", unused.len() + unused_people.len(), bytes(size));
    if recent > 0 {
        let _ = writeln!(out, "{recent} more are unused and too young to go (--keep)");
    }
    print_bytes(tame(&out).as_bytes())
}
