//! Counts that are kept, so that the next one of the same ledger counts only what has changed since.
//!
//! Every figure is a sum over people, groups or actors (first and last moments apart). By other rules, or with
//! more files, most of these contribute what they did: only those of whom a row is new or means something else
//! are counted again, as the kept count had them and as they are now, and what differs is added to the kept sums
//! (`change.rs`). A survey (`survey.rs`) finds them; it looks at every row, and sums nothing up.
//!
//! What cannot be told this way is counted in full: other scopes, developers or promises than then, files that are
//! gone, rules that change much of everything, and ledgers whose registry knows members or residences.

mod change;
mod file;
mod groups;
mod looker;
mod meanings;
mod numbers;
mod spans;
mod survey;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::cells::{CellKey, Grain, Window};
use super::counts::{CellCounts, Misfit, take};
use super::eras::Era;
use super::listed::{Floor, KeepGroups, KeptGroup, RankedGroups, ScopeGroups};
use super::passes::{Passed, Passes, Way};
use super::policy::Policy;
use super::rules::{KeptRules, Rules};
use super::tally::{Term, Terms};
use super::totals::{Counts, Exposure};
use super::{Cell, ExposureError, Settings, SourceRows, exposure};
use crate::ledger::Chosen;
use crate::memory::Budget;
use crate::threads::both;
use change::{Counted, Difference};
use file::{CellsIn, CellsOut, Header, places};
use groups::{KeptGroups, kept_groups};
use survey::{Bounds, NEVER, Question, Survey, survey};

/// The largest file of a kept count that a run reads and writes.
pub fn most_bytes(budget: &Budget) -> u64 {
    budget.rest / FILE
}

/// A name of rules, whatever the end of the report. Counts by others are kept apart: one question of what would be must
/// not cost the next run its own.
pub fn name_of(rules: &Rules) -> String {
    KeptRules::of(rules).name()
}

/// What a count needs to be kept, and to begin with one that is.
pub struct Keep<'a> {
    /// What must be the same for a count to serve: how rows are read, and which namespaces there are.
    pub of: String,
    /// By source: names of its units, in their order.
    pub units: Vec<Vec<(u64, u64)>>,
    /// The count that is kept.
    pub base: Option<&'a [u8]>,
    /// Whether what has changed is counted apart however much it is, and every count kept: for tests, which have few
    /// rows.
    pub always: bool,
}

/// A count, and how it came about.
pub struct KeptCount {
    pub exposure: Exposure,
    /// What the next one may begin with.
    pub file: Option<Vec<u8>>,
    /// Rows whose meaning had changed, where a kept count was begun with.
    pub changed: Option<u64>,
    /// That a kept count did not fit to the ledger: it is damaged in a way that its checksum does not show.
    pub misfit: bool,
}

/// What has changed is counted apart where it is no more than one row in so many, and one group: all rows of a group
/// are counted, mostly twice.
const MOST_CHANGED: f64 = 6.0;
const MOST_GROUPS: f64 = 4.0;

/// A kept count gives way to a newer one where more than one row in so many has changed, or so many rows: to write one
/// takes longer than to count fewer again.
const RENEW: u64 = 40;
const RENEW_ROWS: u64 = 300_000;

/// Groups beyond those that are listed which are kept, one for so many of them: of those that lose people others take
/// the place.
const MORE_GROUPS: u64 = 4;

/// One part in so many of what is left beside the program is for a count that is kept.
const FILE: u64 = 16;

/// One part in so many is for what has changed of cells, and bytes that it takes of each.
const CELLS: u64 = 8;
const OF_CELL: u64 = 3_400;

/// Why a count that is kept does not serve.
enum Unfit {
    Failed(ExposureError),
    /// It is about something else, or too much has changed.
    Other,
    /// Two counts at once have half of the memory each. One alone may fit.
    NoRoom,
    Misfit,
}

impl<E: Into<ExposureError>> From<E> for Unfit {
    fn from(error: E) -> Self {
        match error.into() {
            ExposureError::Memory { .. }
            | ExposureError::Leaves { .. }
            | ExposureError::Packs { .. }
            | ExposureError::Names { .. }
            | ExposureError::Repeats { .. } => Self::NoRoom,
            error => Self::Failed(error),
        }
    }
}

impl From<Misfit> for Unfit {
    fn from(_: Misfit) -> Self {
        Self::Misfit
    }
}

/// Counts everything; what has not changed since `keep.base` is taken from there.
///
/// # Errors
/// As [`count`](super::count).
pub fn count_kept(
    sources: &[SourceRows],
    settings: &Settings<'_>,
    keep: &Keep<'_>,
) -> Result<KeptCount, ExposureError> {
    if settings.people.is_some() {
        let exposure = super::count(sources, settings)?;
        return Ok(KeptCount { exposure, file: None, changed: None, misfit: false });
    }
    let mut misfit = false;
    if let Some((header, cells)) = keep.base.and_then(CellsIn::open) {
        match recount(sources, settings, keep, header, cells) {
            Ok(count) => return Ok(count),
            Err(Unfit::Failed(error)) => return Err(error),
            Err(Unfit::Other | Unfit::NoRoom) => {}
            Err(Unfit::Misfit) => misfit = true,
        }
    }
    let passes = Passes::new(sources, settings, 1)?;
    let mut out = CellsOut::new(most_bytes(&settings.budget));
    let mut cells = Vec::new();
    let each = |key, counts: CellCounts| {
        out.push(&key, &counts);
        cells.push(counts.cell(key)?);
        Ok::<(), ExposureError>(())
    };
    let passed = passes.count(most_groups(settings), each)?;
    let (exposure, file) = finish(cells, passed, out, settings, keep)?;
    Ok(KeptCount { exposure, file, changed: None, misfit })
}

/// Groups of each scope that are kept.
fn most_groups(settings: &Settings<'_>) -> Option<u64> {
    settings.groups_limit.map(|limit| limit.saturating_add(limit / MORE_GROUPS))
}

/// Exposures and groups of all scopes and apps.
fn all_of(cells: &[Cell]) -> (u64, u64) {
    let all = cells.iter().find(|cell| cell.key.grain == Grain::All);
    let all = all.map(|cell| cell.windows.get(Window::AfterRestriction));
    all.map_or((0, 0), |all| (all.events, all.groups))
}

fn finish(
    cells: Vec<Cell>,
    mut passed: Passed,
    out: CellsOut,
    settings: &Settings<'_>,
    keep: &Keep<'_>,
) -> Result<(Exposure, Option<Vec<u8>>), ExposureError> {
    if out.is_closed() {
        return Ok((exposure(cells, passed, settings)?, None));
    }
    let named = |(names, terms): (&Vec<(u64, u64)>, &Vec<Terms>)| {
        names.iter().zip(terms).map(|((hi, lo), terms)| (*hi, *lo, *terms)).collect()
    };
    let groups = passed.groups.0.iter().map(|of| (of.first.len() as u64, of.all));
    let header = Header {
        rules: KeptRules::of(&settings.rules),
        of: keep.of.clone(),
        units: keep.units.iter().zip(&passed.terms).map(named).collect(),
        conflicts: passed.conflicts.clone(),
        fields: passed.fields.clone(),
        groups: groups.collect(),
        exposures: all_of(&cells),
        cells: cells.len() as u64,
    };
    // The next count lists them in this order, and most of them again.
    passed.groups.0.iter_mut().for_each(ScopeGroups::put_in_order);
    let ids = settings.group_ids();
    let groups = &passed.groups;
    let kept = groups.0.iter().flat_map(|of| &of.first).map(|group| KeptGroup::of(group, ids));
    let (file, orders) = both(
        settings.threads,
        || out.finish(&header, kept),
        || groups.orders(settings.groups_limit),
    );
    drop(header);
    passed.listed = Some(std::mem::take(&mut passed.groups).listed(orders));
    Ok((exposure(cells, passed, settings)?, file))
}

/// A count by what has changed since another.
fn recount(
    sources: &[SourceRows],
    settings: &Settings<'_>,
    keep: &Keep<'_>,
    header: Header,
    mut kept: CellsIn<'_>,
) -> Result<KeptCount, Unfit> {
    if header.of != keep.of || header.units.len() != keep.units.len() {
        return Err(Unfit::Other);
    }
    let of_group = header.events_of_group();
    let Header { rules, units: then, conflicts, fields, groups, cells: of_then, .. } = header;
    let (terms, added) = units(&then, &keep.units).ok_or(Unfit::Other)?;
    let old = rules.restored(&settings.rules).ok_or(Unfit::Other)?;
    // A joint count of both has more by cell and window than one: it has room for two, as others do.
    let passes = Passes::new(sources, settings, 2)?;
    let rows = sources.iter().flat_map(|s| &s.packs).map(|p| p.pack.footer.rows).sum();
    let question = Question { old: &old, new: &settings.rules, added: &added };
    let policy = Mutex::new(question.policy());
    let how = (of_group, keep.always);
    let (found, kept_groups) = both(
        settings.threads,
        || find(&passes, &policy, (sources, rows), &question, how),
        || kept_groups(&groups, &mut kept, settings.group_ids()),
    );
    let (found, kept_groups) = (found?, kept_groups?);
    let (changed, rows) = (found.changed, rows.max(found.rows));
    let floors: Vec<Floor> = kept_groups.iter().map(KeptGroups::floor).collect();
    let Changes { policy, counted, then, mut now } =
        count_changes(&passes, policy, &question, &floors, found.chosen)?;

    // What is kept serves as long as little has changed.
    let renew = changed > RENEW_ROWS.min(rows / RENEW);
    let mut out = match renew || keep.always {
        true => CellsOut::new(most_bytes(&settings.budget)),
        false => CellsOut::closed(),
    };
    let of_groups = then.groups.0.into_iter().zip(std::mem::take(&mut now.groups.0));
    if kept_groups.len() != of_groups.len() {
        return Err(Unfit::Misfit);
    }
    let is_kept = !out.is_closed();
    let groups_now = || {
        let limits = (settings.groups_limit, most_groups(settings));
        let groups = kept_groups.into_iter().zip(of_groups);
        let groups = groups.map(|(kept, (then, now))| kept.now(then, now, limits));
        let ranked = RankedGroups(groups.collect::<Result<_, Unfit>>()?);
        // To keep a count takes more of them than to list them.
        Ok::<_, Unfit>(match is_kept {
            true => (ranked, None),
            false => {
                let orders = ranked.orders(settings.groups_limit);
                (RankedGroups::default(), Some(ranked.listed(orders)))
            }
        })
    };
    let (cells, groups) = both(
        settings.threads,
        || {
            let most = settings.budget.rest / CELLS / OF_CELL;
            let room = (most, || Unfit::NoRoom);
            let changes = counted.changes(&policy.cells, &policy.leaves, room)?;
            let differences =
                Differences { changes, bounds: found.bounds.as_deref(), cells: policy.cells };
            join((kept, of_then), differences, &mut out)
        },
        groups_now,
    );
    let (cells, groups) = (cells?, groups?);
    (now.groups, now.listed) = groups;
    now.terms = terms_now(terms, &then.terms, &now.terms)?;
    now.conflicts = conflicts_now(conflicts, &then.conflicts, &now.conflicts)?;
    if found.bounds.is_some() {
        now.fields = found.fields;
    } else {
        for (all, kept) in now.fields.iter_mut().zip(fields) {
            all.extend(kept);
        }
    }
    let (exposure, file) = finish(cells, now, out, settings, keep)?;
    Ok(KeptCount { exposure, file, changed: Some(changed), misfit: false })
}

/// Whose rows mean something else, of so many rows in all, where a group has so many exposures. However many they are,
/// where that is asked for.
fn find(
    passes: &Passes<'_>,
    policy: &Mutex<Policy>,
    (sources, all): (&[SourceRows], u64),
    question: &Question<'_>,
    (of_group, always): (f64, bool),
) -> Result<Survey, Unfit> {
    let is_much = |changed: u64, rows: u64| {
        // If rows of a group were changed as any others are.
        let share = changed as f64 / rows.max(1) as f64;
        let groups = 1.0 - (1.0 - share).max(0.0).powf(of_group);
        !always && (share * MOST_CHANGED > 1.0 || groups * MOST_GROUPS > 1.0)
    };
    let found = survey(passes, policy, sources, question, is_much)?.ok_or(Unfit::Other)?;
    if is_much(found.changed, all.max(found.rows)) {
        return Err(Unfit::Other);
    }
    Ok(found)
}

/// What was counted of those who have changed, as they were and as they are.
struct Changes {
    policy: Policy,
    counted: Counted,
    then: Passed,
    now: Passed,
}

/// Counts those who have changed: without the new files by the rules of then, and with them by those of now. Of groups
/// those alone that do not rank after the floors.
fn count_changes(
    passes: &Passes<'_>,
    policy: Mutex<Policy>,
    question: &Question<'_>,
    floors: &[Floor],
    chosen: Chosen,
) -> Result<Changes, Unfit> {
    let nobody = || passes.of_nobody(question.new);
    if chosen.is_empty() {
        let policy = policy.into_inner().unwrap_or_else(PoisonError::into_inner);
        let counted = Counted { now: Counts::default(), then: Some(Counts::default()) };
        return Ok(Changes { policy, counted, then: nobody(), now: nobody() });
    }
    let chosen = Arc::new(chosen);
    let way = |era, groups, without| {
        let groups = KeepGroups::Above(groups);
        Way { era, groups, chosen: Some(chosen.clone()), without }
    };
    if question.is_of_windows() {
        // Of groups, and of what became of rows, nothing changes.
        let none = vec![Floor::Top; floors.len()];
        let (policy, [(_, now)]) = passes.count_ways(policy, &[way(Era::Now, &none, &[])])?;
        let counted = Counted { now, then: None };
        return Ok(Changes { policy, counted, then: nobody(), now: nobody() });
    }
    let ways = [way(Era::Then, floors, question.added), way(Era::Now, floors, &[])];
    let (policy, [(then, before), (now, after)]) = passes.count_ways(policy, &ways)?;
    let counted = Counted { now: after, then: Some(before) };
    Ok(Changes { policy, counted, then, now })
}

/// Where cells of now differ from the kept ones.
struct Differences<'a> {
    /// By number.
    cells: Vec<CellKey>,
    changes: Vec<Difference>,
    /// First and last moments, where they must be told anew.
    bounds: Option<&'a [Option<Bounds>]>,
}

/// The kept cells, of which there are so many, with what changes. They are put into `out`, too.
fn join(
    (mut kept, of_then): (CellsIn<'_>, u64),
    Differences { cells: keys, mut changes, bounds }: Differences<'_>,
    out: &mut CellsOut,
) -> Result<Vec<Cell>, Unfit> {
    // Cells are large: a list of them that grows by copies touches as much memory again. Few are new.
    let mut cells = Vec::new();
    let room = usize::try_from(of_then.saturating_add(of_then / 16)).unwrap_or(usize::MAX);
    cells.try_reserve_exact(room).map_err(|_| Unfit::Misfit)?;
    let mut put = |key: CellKey, number: Option<usize>, mut counts: CellCounts| {
        let of_cell = number.and_then(|number| changes.get_mut(number));
        let Difference { rows_then, change } = of_cell.map(std::mem::take).unwrap_or_default();
        if counts.rows < rows_then {
            return Err(Unfit::Misfit);
        }
        if let Some(change) = change {
            counts.change(change)?;
        }
        if let Some(all) = bounds {
            let of_cell = number.and_then(|number| all.get(number)?.as_ref());
            for (i, window) in counts.windows.iter_mut().enumerate() {
                let bound = of_cell.and_then(|bounds| bounds.get(i).copied());
                (window.first, window.last) = bound.unwrap_or(NEVER);
                if window.events > 0 && window.first > window.last {
                    return Err(Unfit::Misfit);
                }
            }
        }
        counts.tidy()?;
        if counts.rows > 0 {
            out.push(&key, &counts);
            cells.push(counts.cell(key)?);
        } else if counts != CellCounts::default() {
            return Err(Unfit::Misfit);
        }
        Ok(())
    };
    // A table that grows moves what it holds.
    let mut numbers = HashMap::with_capacity(keys.len());
    numbers.extend(keys.into_iter().zip(0usize..));
    let mut found = 0;
    while let Some((key, counts)) = kept.next()? {
        let number = numbers.remove(&key);
        put(key, number, counts)?;
        found += 1;
    }
    if found != of_then {
        return Err(Unfit::Misfit);
    }
    // In the order of their keys: what is kept depends on nothing else.
    let mut new: Vec<(CellKey, usize)> = numbers.into_iter().collect();
    new.sort_unstable();
    new.into_iter().try_for_each(|(key, number)| put(key, Some(number), CellCounts::default()))?;
    Ok(cells)
}

/// Terms by source and unit, and which units are new.
type Units = (Vec<Vec<Terms>>, Vec<Vec<bool>>);

/// The kept terms of each unit of now; `None` where one of then is gone, or they come in another order: of equal rows
/// the one of the first unit counts.
fn units(then: &[Vec<(u64, u64, Terms)>], now: &[Vec<(u64, u64)>]) -> Option<Units> {
    let mut all = Units::default();
    for (then, now) in then.iter().zip(now) {
        let known = places(then);
        let found: Vec<Option<usize>> = now.iter().map(|unit| known.get(unit).copied()).collect();
        let in_order: Vec<usize> = found.iter().flatten().copied().collect();
        if !in_order.iter().copied().eq(0..then.len()) {
            return None;
        }
        let terms = |at: &Option<usize>| {
            at.and_then(|at| then.get(at)).map_or([0; Term::COUNT], |(.., terms)| *terms)
        };
        all.0.push(found.iter().map(terms).collect());
        all.1.push(found.iter().map(Option::is_none).collect());
    }
    Some(all)
}

fn terms_now(
    mut kept: Vec<Vec<Terms>>,
    then: &[Vec<Terms>],
    now: &[Vec<Terms>],
) -> Result<Vec<Vec<Terms>>, Misfit> {
    let changes = then.iter().flatten().zip(now.iter().flatten());
    for (kept, (then, now)) in kept.iter_mut().flatten().zip(changes) {
        for (kept, (then, now)) in kept.iter_mut().zip(then.iter().zip(now)) {
            take(kept, *then)?;
            *kept += now;
        }
    }
    Ok(kept)
}

fn conflicts_now(mut kept: Vec<u64>, then: &[u64], now: &[u64]) -> Result<Vec<u64>, Misfit> {
    for (kept, (then, now)) in kept.iter_mut().zip(then.iter().zip(now)) {
        take(kept, *then)?;
        *kept += now;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests;
