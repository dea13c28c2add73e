//! One look at every row: which of them mean something else than in the count that is kept, and when the first and
//! the last exposure of each cell was.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::looker::{Found, Looker};
use crate::codes::index;
use crate::effort::Part;
use crate::exposure::cells::Window;
use crate::exposure::passes::{Passes, fields_by_scope, read_fields};
use crate::exposure::policy::Policy;
use crate::exposure::rules::Rules;
use crate::exposure::{ExposureError, SourceRows};
use crate::ledger::{Chosen, Cursor, Halves, Names};
use crate::moment::Moment;
use crate::scan::batch::NONE;
use crate::threads::{both, in_threads};

/// First and last moments by window.
pub type Bounds = [(Moment, Moment); Window::COUNT];

pub const NEVER: (Moment, Moment) = (Moment::MAX, Moment::MIN);

/// What was found.
pub struct Survey {
    /// Whose rows mean something else.
    pub chosen: Chosen,
    /// Rows that were looked at, and those of them that mean something else.
    pub rows: u64,
    pub changed: u64,
    /// Where rules differ: bounds of every cell of the policy with an exposure.
    pub bounds: Option<Vec<Option<Bounds>>>,
    /// Where rules differ: fields by scope.
    pub fields: Vec<BTreeSet<String>>,
}

/// What is looked for.
pub struct Question<'a> {
    pub old: &'a Rules,
    pub new: &'a Rules,
    /// By source and unit: whether its rows were not in the count that is kept.
    pub added: &'a [Vec<bool>],
}

impl Question<'_> {
    fn rules_differ(&self) -> bool {
        let Self { old, new, .. } = self;
        (old.as_of, old.lookback_from) != (new.as_of, new.lookback_from)
            || old.restricted != new.restricted
            || old.grace != new.grace
            || !old.has_stretches_of(new)
    }

    /// Whether windows alone differ: no row comes, and none counts that did not, or does no longer.
    pub fn is_of_windows(&self) -> bool {
        let Self { old, new, added } = self;
        self.rules_differ()
            && (old.as_of, &old.restricted) == (new.as_of, &new.restricted)
            && !added.iter().flatten().any(|added| *added)
    }

    /// By the rules of now and those of then.
    pub fn policy(&self) -> Policy {
        let (now, then) = (self.new.clone(), self.old.clone());
        match self.rules_differ() {
            false => Policy::new(now),
            true if self.is_of_windows() => Policy::joint(now, then),
            true => Policy::of_both(now, then),
        }
    }

    fn is_added(&self, source: usize, unit: u32) -> bool {
        self.added.get(source).and_then(|units| units.get(index(unit))) == Some(&true)
    }
}

/// One part in so many of what is left beside the program is for first and last moments, and bytes that those of a cell
/// take, with its key.
const BOUNDS: u64 = 8;
const OF_BOUNDS: u64 = 400;

/// One part in so many is for halves of keys.
const HALVES: u64 = 64;

/// After so many rows a thread knows about how many of all have changed: they come in no order of time.
const ENOUGH: u64 = 50_000;

/// Looks at the rows of `passes`; `None` where so many of so many mean something else that it is much, or there is no
/// room for whose they are.
///
/// # Errors
/// Storage failures, damaged packs, interruption.
pub fn survey(
    passes: &Passes<'_>,
    policy: &Mutex<Policy>,
    sources: &[SourceRows],
    question: &Question<'_>,
    is_much: impl Fn(u64, u64) -> bool + Sync,
) -> Result<Option<Survey>, ExposureError> {
    let settings = passes.settings;
    let rules_differ = question.rules_differ();
    let share = settings.budget.rest / HALVES / size_of::<u64>() as u64;
    let most_halves = usize::try_from(share).unwrap_or(usize::MAX) / passes.memory.threads.max(1);
    let next = AtomicUsize::new(0);
    let looking = |_| {
        let mut looker = Looker::new(passes, policy, question, rules_differ);
        let mut names = Names::default();
        while let Some(job) = passes.jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            for input in &job.inputs(sources) {
                let Some(asked) = passes.asked.get(input.source) else { continue };
                for pack in &input.packs {
                    let wanted =
                        |unit: &u32| *unit != NONE && question.is_added(input.source, *unit);
                    // By the same rules old rows mean what they meant.
                    if !rules_differ && !pack.units.iter().any(wanted) {
                        continue;
                    }
                    let (source, range) = ((input.source, input.group_space), job.range.clone());
                    let rows = passes.memory.rows;
                    let mut cursor =
                        Cursor::new(pack.clone(), source, range, asked, rows, &mut names)?
                            .of_meaning();
                    passes.fits(&names)?;
                    while cursor.read()? {
                        looker.look(&cursor, &names)?;
                        let found = looker.found();
                        if found.old > ENOUGH && is_much(found.old_changed, found.old)
                            || found.halves() > most_halves
                        {
                            return Ok(None);
                        }
                        if settings.stop.load(Ordering::Relaxed) {
                            return Err(ExposureError::Interrupted);
                        }
                    }
                }
            }
        }
        let (found, exposed) = looker.finish();
        Ok(Some((found, exposed.bounds, read_fields(&exposed.fields, &names))))
    };
    let found = in_threads::<_, ExposureError>(passes.memory.threads, |number| {
        settings.effort.timed(Part::Counting, || looking(number))
    })?;
    let policy = policy.lock().unwrap_or_else(PoisonError::into_inner);
    if policy.cells.len() as u64 * OF_BOUNDS > settings.budget.rest / BOUNDS {
        return Ok(None);
    }
    let mut all = Found::default();
    let mut of_leaves: Vec<(Moment, Moment)> = Vec::new();
    let mut fields = Vec::new();
    for found in found {
        let Some((found, bounds, read)) = found else { return Ok(None) };
        all.merge(found);
        of_leaves.resize(of_leaves.len().max(bounds.len()), NEVER);
        for (all, own) in of_leaves.iter_mut().zip(bounds) {
            *all = (all.0.min(own.0), all.1.max(own.1));
        }
        fields.extend(read);
    }
    let (people, groups) =
        both(passes.memory.threads, || Halves::of(&all.people), || Halves::of(&all.groups));
    let actors = Halves::of(&all.actors);
    Ok(Some(Survey {
        chosen: Chosen { people, nobody: all.nobody, groups, actors },
        rows: all.rows,
        changed: all.changed,
        fields: fields_by_scope(&policy, fields),
        bounds: rules_differ.then(|| bounds(&policy, &of_leaves)),
    }))
}

/// Bounds of leaves as those of cells.
fn bounds(policy: &Policy, of_leaves: &[(Moment, Moment)]) -> Vec<Option<Bounds>> {
    let mut by_cell: Vec<Option<Bounds>> = vec![None; policy.cells.len()];
    for (leaf, (first, last)) in policy.leaves.iter().zip(of_leaves) {
        if first > last {
            continue;
        }
        for (cell, windows) in &leaf.exposed {
            let Some(slot) = by_cell.get_mut(index(*cell)) else { continue };
            let bounds = slot.get_or_insert([NEVER; Window::COUNT]);
            for (i, bound) in bounds.iter_mut().enumerate() {
                if windows >> i & 1 == 1 {
                    *bound = (bound.0.min(*first), bound.1.max(*last));
                }
            }
        }
    }
    by_cell
}
