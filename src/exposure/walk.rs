//! The rows of a report one by one, in the order of people, as they are merged when everything is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::distinct::{Distinct, Seen};
use super::home::Residences;
use super::{ExposureError, Job, Settings, SourceRows, plan_jobs};
use crate::ledger::{Merge, Merged, Names};
use crate::memory::Counting;
use crate::scan::Asked;

/// What follows rows rather than counts them.
pub trait Follower {
    /// Whether the row takes part. Rejected rows and those outside must not, nor in finding repeats.
    fn touches(&mut self, row: &Merged<'_>) -> bool;

    /// A row that takes part, once it is known whether it is a repeat.
    ///
    /// # Errors
    /// End the walk.
    fn add(&mut self, seen: &Seen, homes: &mut Residences<'_>) -> Result<(), ExposureError>;

    /// After the last row of a stretch of people: in the next the same key may be another person.
    ///
    /// # Errors
    /// End the walk.
    fn end_stretch(&mut self, _homes: &mut Residences<'_>) -> Result<(), ExposureError> {
        Ok(())
    }

    /// Whether it has seen enough.
    fn is_done(&self) -> bool {
        false
    }
}

/// The stretches of people that there are, which threads share among them.
pub struct Walk<'a> {
    sources: &'a [SourceRows],
    settings: &'a Settings<'a>,
    asked: Vec<Arc<Asked>>,
    jobs: Vec<Job>,
    next: AtomicUsize,
    /// Rows of a pack that are held at once.
    rows: usize,
    /// Bytes that rows of one event id may take on a thread.
    repeats: u64,
    /// How many threads find work.
    pub threads: usize,
}

impl<'a> Walk<'a> {
    /// For at most `threads` threads; the memory limit may allow fewer.
    pub fn new(sources: &'a [SourceRows], settings: &'a Settings<'a>, threads: usize) -> Self {
        let person_spaces = sources.iter().map(|s| s.person_space + 1).max().unwrap_or(0);
        let packs = sources.iter().map(|s| s.packs.len()).sum();
        let memory = settings.budget.counting(packs, threads);
        let Counting { threads, rows, .. } = memory;
        let jobs = plan_jobs(sources, person_spaces, threads, None);
        Self {
            sources,
            settings,
            asked: sources.iter().map(|s| s.asked.clone()).collect(),
            next: AtomicUsize::new(0),
            rows,
            repeats: memory.repeats() / u64::try_from(threads).unwrap_or(u64::MAX).max(1),
            threads: threads.min(jobs.len()),
            jobs,
        }
    }

    /// Hands the rows of stretches that no other thread has taken to `by`; gives the names that their codes
    /// stand for.
    ///
    /// # Errors
    /// As [`super::count`], and what `by` says.
    pub fn follow(&self, by: &mut impl Follower) -> Result<Names, ExposureError> {
        let mut distinct = Distinct::new(self.sources, self.repeats);
        let mut names = Names::default();
        while let Some(job) = self.jobs.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let mut homes = Residences::of(self.settings, job);
            let inputs = job.inputs(self.sources);
            let mut merge = Merge::new(&inputs, &self.asked, &job.range, self.rows, names)?;
            while let Some(block) = merge.next_block()? {
                for row in block.rows() {
                    if by.touches(&row) {
                        distinct.take(&row, |seen| by.add(&seen, &mut homes))?;
                    }
                }
                if self.settings.stop.load(Ordering::Relaxed) {
                    return Err(ExposureError::Interrupted);
                }
                if by.is_done() {
                    return Ok(merge.names);
                }
            }
            distinct.flush(|seen| by.add(&seen, &mut homes))?;
            by.end_stretch(&mut homes)?;
            names = merge.names;
        }
        Ok(names)
    }
}
