//! One figure, followed back to the row groups that its rows came from.
//!
//! The rows are merged as they are when everything is counted, and rows that cannot belong to the
//! figure are passed over. What is kept is a few sums for each row group with such a row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::policy::{CellKey, MixMap, Pair, Policy, Standing};
use super::{ExposureError, Settings, SourceRows, plan_jobs};
use crate::key::Key;
use crate::ledger::{Input, Merge, Merged, Names, Repeats, Row};
use crate::moment::{DAY_MICROS, Moment};
use crate::scan::batch::{NONE, Outcome};

/// What a row is to a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Allowed,
    HeldOnly,
    Denied,
    Unknown,
    /// An equal row of the same event id counts in its place.
    Deduplicated,
}

impl Share {
    pub const COUNT: usize = 5;
}

/// Rows of one row group, and their weights, by [`Share`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    pub rows: [u64; Share::COUNT],
    pub requests: [i64; Share::COUNT],
}

impl Shares {
    fn add(&mut self, share: Share, weight: i64) -> Result<(), ExposureError> {
        let at = share as usize;
        if let (Some(rows), Some(sum)) = (self.rows.get_mut(at), self.requests.get_mut(at)) {
            *rows += 1;
            *sum = sum.checked_add(weight).ok_or(ExposureError::Overflow)?;
        }
        Ok(())
    }

    /// # Errors
    /// A sum that passes 64 bits.
    pub fn merge(&mut self, other: &Self) -> Result<(), ExposureError> {
        for (sum, rows) in self.rows.iter_mut().zip(other.rows) {
            *sum += rows;
        }
        for (sum, more) in self.requests.iter_mut().zip(other.requests) {
            *sum = sum.checked_add(more).ok_or(ExposureError::Overflow)?;
        }
        Ok(())
    }
}

/// Shares by source and unit.
pub type Trace = BTreeMap<(usize, u32), Shares>;

/// Follows the figure of one cell, or of one day of it (then of allowed events alone, as the table of
/// days has no others).
///
/// # Errors
/// As [`super::count`].
pub fn trace(
    sources: &[SourceRows],
    settings: &Settings<'_>,
    cell: &CellKey,
    day: Option<i64>,
) -> Result<Trace, ExposureError> {
    let person_spaces = sources.iter().map(|s| s.person_space + 1).max().unwrap_or(0);
    let event_spaces = sources.iter().map(|s| s.event_space + 1).max().unwrap_or(0);
    let asked: Vec<_> = sources.iter().map(|s| s.asked.clone()).collect();
    let packs = sources.iter().map(|s| s.packs.len()).sum();
    let (_, rows) = settings.budget.merging(packs, 1);
    let mut tracer = Tracer {
        policy: Policy::new(settings.rules.clone()),
        cell,
        day,
        pairs: MixMap::default(),
        event_spaces: sources.iter().map(|s| s.event_space).collect(),
        event: None,
        repeats: (0..event_spaces).map(|_| Repeats::default()).collect(),
        trace: Trace::new(),
    };
    let mut names = Names::default();
    for job in plan_jobs(sources, person_spaces, 1, None) {
        let inputs: Vec<Input> = sources
            .iter()
            .enumerate()
            .filter(|(_, s)| s.person_space == job.person_space)
            .map(|(source, s)| Input { source, group_space: s.group_space, packs: s.packs.clone() })
            .collect();
        let mut merge = Merge::new(&inputs, &asked, &job.range, rows, names)?;
        while let Some(block) = merge.next_block()? {
            for row in block.rows() {
                tracer.take(&row)?;
            }
            if settings.stop.load(Ordering::Relaxed) {
                return Err(ExposureError::Interrupted);
            }
        }
        tracer.flush()?;
        names = merge.names;
    }
    Ok(tracer.trace)
}

/// The leaves of an app and a scope set that touch the figure.
type Touching = Option<Arc<Pair>>;

struct Tracer<'a> {
    policy: Policy,
    cell: &'a CellKey,
    day: Option<i64>,
    /// By the codes of app and scope set; `None` where no leaf of theirs belongs to the figure.
    pairs: MixMap<u64, Touching>,
    event_spaces: Vec<usize>,
    /// Person and event id of the rows in `repeats`.
    event: Option<(Option<Key>, Key)>,
    repeats: Vec<Repeats>,
    trace: Trace,
}

impl Tracer<'_> {
    fn take(&mut self, row: &Merged<'_>) -> Result<(), ExposureError> {
        let Some(pair) = self.pair(row) else { return Ok(()) };
        // Rejected rows are none of the figure's, and take no part in finding repeats.
        if row.reject().is_some() {
            return Ok(());
        }
        let place = (row.source(), row.unit());
        let Some(event) = row.event else {
            return self.add(place, &pair, row.at(), row.outcome(), row.weight(), false);
        };
        if pair.at(row.at()).is_none_or(|(_, leaf)| leaf.standing == Standing::Outside) {
            return Ok(());
        }
        let event = (row.person, event);
        if self.event != Some(event) {
            self.flush()?;
            self.event = Some(event);
        }
        let space = self.event_spaces.get(place.0).copied().unwrap_or(0);
        let own = row.row();
        let (at, outcome, weight) = (own.at, own.outcome, own.weight.unwrap_or(1));
        let repeat = self.repeats.get_mut(space).and_then(|repeats| repeats.add(pack(place), own));
        match repeat {
            Some(repeat) => self.add(unpack(repeat), &pair, at, outcome, weight, true),
            None => Ok(()),
        }
    }

    /// Adds what is left of the rows of one event id.
    fn flush(&mut self) -> Result<(), ExposureError> {
        self.event = None;
        for space in 0..self.repeats.len() {
            let Some(repeats) = self.repeats.get_mut(space) else { continue };
            let rows: Vec<(u64, Row)> = repeats.drain().collect();
            for (place, row) in rows {
                let codes = u64::from(row.app) << 32 | u64::from(row.set);
                if let Some(pair) = self.pairs.get(&codes).cloned().flatten() {
                    let weight = row.weight.unwrap_or(1);
                    self.add(unpack(place), &pair, row.at, row.outcome, weight, false)?;
                }
            }
        }
        Ok(())
    }

    fn pair(&mut self, row: &Merged<'_>) -> Touching {
        let codes = u64::from(row.app()) << 32 | u64::from(row.set());
        if let Some(known) = self.pairs.get(&codes) {
            return known.clone();
        }
        let sets = row.names.sets.sets();
        let set = usize::try_from(row.set()).ok().and_then(|i| sets.get(i));
        let found = set.filter(|set| !set.scopes.is_empty()).and_then(|set| {
            let pair = self.policy.pair(row.names.apps.name(row.app()), set);
            let touches = pair.leaves().iter().any(|(_, leaf)| {
                let cells = leaf.exposed.iter().chain(&leaf.held_only).chain(&leaf.refused);
                cells.into_iter().any(|(cell, _)| self.is_cell(*cell))
            });
            touches.then_some(pair)
        });
        self.pairs.insert(codes, found.clone());
        found
    }

    fn is_cell(&self, cell: u32) -> bool {
        let key = usize::try_from(cell).ok().and_then(|i| self.policy.cells.get(i));
        key == Some(self.cell)
    }

    /// Adds a row to the figure, as the counter would (docs/counting.md, rules 1 to 4).
    fn add(
        &mut self,
        place: (usize, u32),
        pair: &Pair,
        at: Moment,
        outcome: Outcome,
        weight: i64,
        repeat: bool,
    ) -> Result<(), ExposureError> {
        let Some((_, leaf)) = pair.at(at) else { return Ok(()) };
        if leaf.standing != Standing::Counts {
            return Ok(());
        }
        let holds =
            |cells: &[(u32, super::WindowSet)]| cells.iter().any(|(cell, _)| self.is_cell(*cell));
        let share = match outcome {
            Outcome::Allowed if holds(&leaf.exposed) => Share::Allowed,
            // An event that exercised other scopes alone held this one.
            Outcome::Allowed if holds(&leaf.held_only) => Share::HeldOnly,
            Outcome::Denied if holds(&leaf.refused) => Share::Denied,
            Outcome::Unknown if holds(&leaf.refused) => Share::Unknown,
            _ => return Ok(()),
        };
        if let Some(day) = self.day
            && (share != Share::Allowed || at.micros.div_euclid(DAY_MICROS) != day)
        {
            return Ok(());
        }
        let share = if repeat { Share::Deduplicated } else { share };
        self.trace.entry(place).or_default().add(share, weight)
    }
}

fn pack((source, unit): (usize, u32)) -> u64 {
    (source as u64) << 32 | u64::from(unit)
}

fn unpack(place: u64) -> (usize, u32) {
    let unit = u32::try_from(place & u64::from(u32::MAX)).unwrap_or(NONE);
    (usize::try_from(place >> 32).unwrap_or(usize::MAX), unit)
}
