//! Counts that are kept, so that the next one of the same ledger counts only what has changed since.
//!
//! Every figure is a sum over people, groups or actors (first and last moments apart). By other rules, or with
//! more files, most of these contribute what they did: only those of whom a row is new or means something else
//! are counted again, once as the kept count had them and once as they are now, and the one is taken from the kept
//! sums and the other added. A [`survey`](survey::survey) finds them; it looks at every row, and sums nothing up.
//!
//! What cannot be told this way is counted in full: other scopes, developers or promises than then, files that are
//! gone, rules that change much of everything, and ledgers whose registry knows members or residences.

mod file;
mod survey;

use std::collections::HashMap;
use std::sync::Arc;

use super::cells::CellKey;
use super::counts::{CellCounts, Misfit, take};
use super::listed::{Candidate, KeptGroup, RankedGroups, ScopeGroups};
use super::passes::{Passed, Passes, Way};
use super::rules::KeptRules;
use super::tally::{Term, Terms};
use super::totals::Exposure;
use super::{Cell, ExposureError, Settings, SourceRows, exposure};
use crate::key::Keyer;
use crate::moment::Moment;
use file::{CellsIn, CellsOut, Header, places};
use survey::{Question, Survey, survey};

/// What a count needs to be kept, and to begin with one that is.
pub struct Keep<'a> {
    /// What must be the same for a count to serve: how rows are read, and which namespaces there are.
    pub of: String,
    /// By source: names of its units, in their order.
    pub units: Vec<Vec<(u64, u64)>>,
    /// The count that is kept.
    pub base: Option<&'a [u8]>,
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

/// Of all rows no more than one in so many may have changed. Groups of theirs have many others, which are counted
/// twice.
const MOST_CHANGED: u64 = 12;

/// Groups beyond those that are listed which are kept, one for so many of them: of those that lose people others take
/// the place.
const MORE_GROUPS: u64 = 4;

/// One part in so many of what is left beside the program is for a count that is kept.
const FILE: u64 = 16;

/// Why a count that is kept does not serve.
enum Unfit {
    Failed(ExposureError),
    /// It is about something else, or too much has changed.
    Other,
    Misfit,
}

impl<E: Into<ExposureError>> From<E> for Unfit {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
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
            Err(Unfit::Other) => {}
            Err(Unfit::Misfit) => misfit = true,
        }
    }
    let passes = Passes::new(sources, settings, 1)?;
    let mut out = CellsOut::new(settings.budget.rest / FILE);
    let mut cells = Vec::new();
    let way = Way::all(settings, kept_groups(settings));
    let passed = passes.count(vec![way], |_, key, counts| {
        out.push(&key, &counts);
        cells.push(counts.cell(key)?);
        Ok(())
    })?;
    let passed = first(passed)?;
    let (exposure, file) = finish(cells, passed, out, settings, keep)?;
    Ok(KeptCount { exposure, file, changed: None, misfit })
}

fn first(passed: Vec<Passed>) -> Result<Passed, ExposureError> {
    let first = passed.into_iter().next();
    first.ok_or_else(|| ExposureError::Internal { what: "nothing was counted".into() })
}

/// Groups of each scope that are kept.
fn kept_groups(settings: &Settings<'_>) -> Option<u64> {
    settings.groups_limit.map(|limit| limit.saturating_add(limit / MORE_GROUPS))
}

fn finish(
    cells: Vec<Cell>,
    passed: Passed,
    out: CellsOut,
    settings: &Settings<'_>,
    keep: &Keep<'_>,
) -> Result<(Exposure, Option<Vec<u8>>), ExposureError> {
    let named = |(names, terms): (&Vec<(u64, u64)>, &Vec<Terms>)| {
        names.iter().zip(terms).map(|((hi, lo), terms)| (*hi, *lo, *terms)).collect()
    };
    let groups = passed.groups.0.iter().map(|of| {
        let first = of.first.iter().map(|group| KeptGroup::of(group, settings.keyer));
        (first.collect(), of.all)
    });
    let header = Header {
        rules: KeptRules::of(&settings.rules),
        of: keep.of.clone(),
        units: keep.units.iter().zip(&passed.terms).map(named).collect(),
        conflicts: passed.conflicts.clone(),
        fields: passed.fields.clone(),
        groups: groups.collect(),
    };
    let file = out.finish(&header);
    drop(header);
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
    let (terms, added) = units(&header.units, &keep.units).ok_or(Unfit::Other)?;
    let old = header.rules.restored(&settings.rules).ok_or(Unfit::Other)?;
    let passes = Passes::new(sources, settings, 2)?;
    let question = Question { old: &old, new: &settings.rules, added: &added };
    let Survey { chosen, rows, changed, bounds, fields } = survey(&passes, sources, &question)?;
    let all: u64 = sources.iter().flat_map(|s| &s.packs).map(|p| p.pack.footer.rows).sum();
    if changed.saturating_mul(MOST_CHANGED) > all.max(rows) {
        return Err(Unfit::Other);
    }
    let chosen = Arc::new(chosen);
    let way = |rules, without| Way { rules, groups: None, chosen: Some(chosen.clone()), without };
    let ways = vec![way(old, added.as_slice()), way(settings.rules.clone(), &[])];
    let mut before: HashMap<CellKey, CellCounts> = HashMap::new();
    let mut now: HashMap<CellKey, CellCounts> = HashMap::new();
    let passed = passes.count(ways, |way, key, counts| {
        let into = if way == 0 { &mut before } else { &mut now };
        into.insert(key, counts);
        Ok(())
    })?;
    let mut passed = passed.into_iter();
    let (Some(then), Some(mut passed)) = (passed.next(), passed.next()) else {
        return Err(ExposureError::Internal { what: "nothing was counted".into() }.into());
    };

    let mut out = CellsOut::new(settings.budget.rest / FILE);
    let mut cells = Vec::new();
    let mut add = |key: CellKey, mut counts: CellCounts| -> Result<(), Unfit> {
        if let Some(all) = &bounds {
            let of_cell = all.get(&key);
            for (i, window) in counts.windows.iter_mut().enumerate() {
                let bound = of_cell.and_then(|bounds| bounds.get(i).copied());
                (window.first, window.last) = bound.unwrap_or((Moment::MAX, Moment::MIN));
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
    while let Some((key, mut counts)) = kept.next().map_err(|_| Unfit::Misfit)? {
        if let Some(then) = before.remove(&key) {
            counts.take(&then)?;
        }
        if let Some(now) = now.remove(&key) {
            counts.add(now)?;
        }
        add(key, counts)?;
    }
    if !before.is_empty() {
        return Err(Unfit::Misfit);
    }
    // In the order of their keys: what is kept depends on nothing else.
    let mut new: Vec<_> = now.into_iter().collect();
    new.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    new.into_iter().try_for_each(|(key, counts)| add(key, counts))?;

    let (limit, keyer) = (settings.groups_limit, settings.keyer);
    let mut groups = Vec::with_capacity(header.groups.len());
    let changes = then.groups.0.into_iter().zip(std::mem::take(&mut passed.groups.0));
    if header.groups.len() != changes.len() {
        return Err(Unfit::Misfit);
    }
    for (kept, (then, now)) in header.groups.into_iter().zip(changes) {
        groups.push(groups_now(kept, then, now, (limit, kept_groups(settings)), keyer)?);
    }
    passed.groups = RankedGroups(groups);
    passed.terms = terms_now(terms, &then.terms, &passed.terms)?;
    passed.conflicts = conflicts_now(header.conflicts, &then.conflicts, &passed.conflicts)?;
    if bounds.is_some() {
        passed.fields = fields;
    } else {
        for (all, kept) in passed.fields.iter_mut().zip(header.fields) {
            all.extend(kept);
        }
    }
    let (exposure, file) = finish(cells, passed, out, settings, keep)?;
    Ok(KeptCount { exposure, file, changed: Some(changed), misfit: false })
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

/// The first groups of a scope, of which `then` were counted as they were and `now` as they are.
fn groups_now(
    (first, mut all): (Vec<KeptGroup>, super::RestGroups),
    then: ScopeGroups,
    now: ScopeGroups,
    (limit, most): (Option<u64>, Option<u64>),
    keyer: &Keyer,
) -> Result<ScopeGroups, Unfit> {
    let complete = first.len() as u64 == all.groups;
    let mut kept: Vec<Candidate> = first.into_iter().map(|g| g.candidate(keyer)).collect();
    // Whoever ranks after the last of those that were kept may rank after others that were not.
    let last = if complete { None } else { kept.iter().max_by(|a, b| a.rank().cmp(&b.rank())).cloned() };
    let known = |group: &Candidate| last.as_ref().is_none_or(|last| group.rank() <= last.rank());
    take(&mut all.groups, then.all.groups)?;
    all.groups += now.all.groups;
    all.requests = all.requests.checked_sub(then.all.requests).ok_or(Misfit)?;
    super::totals::add(&mut all.requests, now.all.requests)?;
    let gone: HashMap<_, &Candidate> = then.first.iter().map(|g| (g.name(), g)).collect();
    let before = kept.len();
    let mut fits = true;
    kept.retain(|group| match gone.get(&group.name()) {
        Some(then) => {
            fits &= **then == *group;
            false
        }
        None => true,
    });
    if !fits || before - kept.len() != then.first.iter().filter(|group| known(group)).count() {
        return Err(Unfit::Misfit);
    }
    kept.extend(now.first.into_iter().filter(|group| known(group)));
    let listed = limit.unwrap_or(u64::MAX).min(all.groups);
    if (kept.len() as u64) < listed {
        return Err(Unfit::Other);
    }
    let mut ranked = ScopeGroups { first: kept, all };
    ranked.prune(most);
    Ok(ranked)
}

#[cfg(test)]
mod tests;
