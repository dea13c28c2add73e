//! The third pass: people who were observed, members of groups that were read, and where all of them live,
//! joined in the order of people.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::observed::ObservedReader;
use super::policy::{LeafTable, MixMap, Policy, Window, WindowSet, count_windows};
use super::reads::Reads;
use super::totals::add_counts;
use super::{Counts, ExposureError, Job, Settings, in_threads};
use crate::key::Key;
use crate::people::{Found, MemberCursor, People};
use crate::scan::batch::NONE;

/// What the registry knows of people, and whose ids its tables hold.
#[derive(Clone, Copy)]
pub struct PeopleOf<'a> {
    pub people: &'a People,
    /// Whether the tables are given: those of whose ids the log has none have no pack.
    pub has_members: bool,
    pub has_residency: bool,
    pub person_space: usize,
    pub group_space: usize,
}

/// People of a cell who live in one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Residents {
    pub observed: u64,
    /// Observed, or member of a group that was read.
    pub upper: u64,
    /// When the earliest and the latest of their residences was known, in microseconds; `None` where the
    /// registry does not say.
    pub known: Option<(i64, i64)>,
}

impl Residents {
    fn add(&mut self, observed: bool, known: Option<i64>) {
        self.upper += 1;
        self.observed += u64::from(observed);
        self.widen(known.map(|at| (at, at)));
    }

    fn widen(&mut self, other: Option<(i64, i64)>) {
        self.known = match (self.known, other) {
            (Some(own), Some(other)) => Some((own.0.min(other.0), own.1.max(other.1))),
            (own, other) => own.or(other),
        };
    }
}

/// Stands for a person of whom the registry does not know, or not surely, where they live.
pub const NOWHERE: u32 = NONE;

/// What the pass has counted.
#[derive(Default)]
pub struct Reached {
    /// By cell and window.
    pub upper: Counts,
    /// By cell and residence.
    pub residents: MixMap<u64, Residents>,
    /// By listed group: its members then.
    pub members: Vec<u64>,
    /// People reached whom the registry gives two residences at one moment.
    pub contradictions: u64,
}

/// Cell and residence as one number.
pub fn pack(cell: u32, residence: u32) -> u64 {
    u64::from(cell) << 32 | u64::from(residence)
}

/// Listed groups by number: the scopes through which they were read, and their places in the list.
pub type Listed = MixMap<u32, Vec<(u32, usize)>>;

struct Pass<'a> {
    leaves: &'a LeafTable,
    reads: &'a Reads,
    listed: &'a Listed,
    /// Cells whose people are told by residence.
    placed: &'a [bool],
    stamps: Vec<(u64, WindowSet)>,
    leaf_stamps: Vec<u64>,
    ordinal: u64,
    /// Cells of the person at hand that are told by residence.
    cells: Vec<u32>,
    reached: Reached,
}

impl Pass<'_> {
    fn leaf(&mut self, leaf: u32) {
        let index = usize::try_from(leaf).unwrap_or(usize::MAX);
        match self.leaf_stamps.get_mut(index) {
            Some(stamp) if *stamp != self.ordinal => *stamp = self.ordinal,
            _ => return,
        }
        let Some(own) = self.leaves.get(leaf) else { return };
        for (cell, windows) in own.exposed {
            let index = usize::try_from(*cell).unwrap_or(usize::MAX);
            let Some(stamp) = self.stamps.get_mut(index) else { continue };
            if stamp.0 != self.ordinal {
                *stamp = (self.ordinal, 0);
            }
            let new = windows & !stamp.1;
            if new == 0 {
                continue;
            }
            stamp.1 |= windows;
            if new & Window::AfterRestriction.bit() != 0 && self.placed.get(index) == Some(&true) {
                self.cells.push(*cell);
            }
            if let Some(counts) = self.reached.upper.get_mut(index) {
                count_windows(counts, new);
            }
        }
    }

    /// Takes the memberships of one person.
    fn members(&mut self, person: Key, rows: &mut MemberCursor<'_>) -> Result<(), ExposureError> {
        // Scopes of the group at hand for which the person was counted among its members.
        let mut counted: (u32, Vec<u32>) = (NONE, Vec::new());
        while let Some(member) = rows.peek()?.filter(|member| member.subject == person) {
            rows.advance();
            let reads = self.reads.of(member.group, member.from, member.to);
            for (_, leaf) in reads {
                self.leaf(*leaf);
            }
            if reads.is_empty() {
                continue;
            }
            let Some(listed) = self.listed.get(&member.group) else { continue };
            if counted.0 != member.group {
                counted = (member.group, Vec::new());
            }
            for (_, leaf) in reads {
                let scopes = self.leaves.get(*leaf).map(|own| own.scopes).unwrap_or_default();
                for scope in scopes.iter().map(|scope| scope.scope) {
                    if counted.1.contains(&scope) {
                        continue;
                    }
                    counted.1.push(scope);
                    let place = listed.iter().find(|(of, _)| *of == scope).map(|(_, place)| *place);
                    if let Some(count) = place.and_then(|at| self.reached.members.get_mut(at)) {
                        *count += 1;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Joins everything.
///
/// # Errors
/// Storage failures, damaged packs, temporary files that cannot be read, interruption.
pub fn reach(
    policy: &Policy,
    leaves: &LeafTable,
    jobs: &[Job],
    observed: &[Mutex<Option<ObservedReader>>],
    reads: &Reads,
    listed: (&Listed, usize),
    settings: &Settings<'_>,
    of: PeopleOf<'_>,
) -> Result<Reached, ExposureError> {
    let placed: Vec<bool> =
        policy.cells.iter().map(|key| of.has_residency && key.grain.has_days()).collect();
    let next = AtomicUsize::new(0);
    let parts = in_threads(settings.threads.min(jobs.len().max(1)), |_| {
        let mut pass = Pass {
            leaves,
            reads,
            listed: listed.0,
            placed: &placed,
            stamps: vec![(0, 0); policy.cells.len()],
            leaf_stamps: vec![0; policy.leaves.len()],
            ordinal: 0,
            cells: Vec::new(),
            reached: Reached {
                upper: vec![[0; Window::COUNT]; policy.cells.len()],
                members: vec![0; listed.1],
                ..Default::default()
            },
        };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(job), Some(observed)) = (jobs.get(number), observed.get(number)) else {
                break;
            };
            let observed = observed.lock().unwrap_or_else(PoisonError::into_inner).take();
            run_job(job, observed, settings, of, &mut pass)?;
        }
        Ok(pass.reached)
    })?;
    let mut all = Reached {
        upper: vec![[0; Window::COUNT]; policy.cells.len()],
        members: vec![0; listed.1],
        ..Default::default()
    };
    for part in parts {
        add_counts(&mut all.upper, &part.upper);
        all.contradictions += part.contradictions;
        for (sum, own) in all.members.iter_mut().zip(part.members) {
            *sum += own;
        }
        for (key, own) in part.residents {
            let sum = all.residents.entry(key).or_default();
            sum.observed += own.observed;
            sum.upper += own.upper;
            sum.widen(own.known);
        }
    }
    Ok(all)
}

fn run_job(
    job: &Job,
    mut observed: Option<ObservedReader>,
    settings: &Settings<'_>,
    of: PeopleOf<'_>,
    pass: &mut Pass<'_>,
) -> Result<(), ExposureError> {
    // The tables speak of one namespace of people.
    let known = job.person_space == of.person_space;
    let mut members =
        of.people.members.as_ref().filter(|_| known).map(|pack| pack.people(&job.range));
    let mut residency = of
        .people
        .residency
        .as_ref()
        .filter(|_| known)
        .map(|pack| pack.people(&job.range, settings.rules.as_of.micros));
    let mut seen = match &mut observed {
        Some(observed) => observed.next()?,
        None => None,
    };
    let mut since_look = 0u32;
    loop {
        let member = match &mut members {
            Some(members) => members.peek()?.map(|member| member.subject),
            None => None,
        };
        let person = match (seen, member) {
            (Some(a), Some(b)) => a.min(b),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return Ok(()),
        };
        since_look += 1;
        if since_look >= 1 << 16 {
            since_look = 0;
            if settings.stop.load(Ordering::Relaxed) {
                return Err(ExposureError::Interrupted);
            }
        }
        pass.ordinal += 1;
        pass.cells.clear();
        if seen == Some(person)
            && let Some(observed) = &mut observed
        {
            let leaves = std::mem::take(&mut observed.leaves);
            for leaf in &leaves {
                pass.leaf(*leaf);
            }
            observed.leaves = leaves;
            seen = observed.next()?;
        }
        let observed_cells = pass.cells.len();
        if member == Some(person)
            && let Some(members) = &mut members
        {
            pass.members(person, members)?;
        }
        if pass.cells.is_empty() {
            continue;
        }
        let (residence, at) = match &mut residency {
            Some(residency) => match residency.find(person)? {
                Found::Resident(resident) => {
                    (resident.residence, Some(resident.as_of).filter(|at| *at != i64::MIN))
                }
                Found::Nothing => (NOWHERE, None),
                Found::Contradiction => {
                    pass.reached.contradictions += 1;
                    (NOWHERE, None)
                }
            },
            None => (NOWHERE, None),
        };
        for (i, cell) in pass.cells.iter().enumerate() {
            let residents = pass.reached.residents.entry(pack(*cell, residence)).or_default();
            residents.add(i < observed_cells, at);
        }
    }
}
