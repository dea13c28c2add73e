//! Fetching and decoding at once, in bounded memory.
//!
//! Work moves in steps. What a step needs from storage is a *fetch*; what has arrived is *ready*.
//! Fetches run on threads that wait for storage, ready work on decoding threads. Later steps go first, so that
//! what has begun is finished before more is begun, and the bytes between fetch and decode stay
//! within the budget.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::decode::Decoder;
use super::fetch::Fetch;
use super::file::OpenFile;
use super::state::{Ready, Shared, State};
use super::step::Selected;
use super::{AccessBatch, ScanError, ScanJob, UnitRecord, left_out};
use crate::effort::{Effort, Part, Read};
use crate::memory::Budget;
use crate::snapshot::Lost;
use crate::store::{StoreError, StoreErrorKind};

/// What is going on, for a progress bar. All counts only grow.
#[derive(Debug, Default)]
pub struct Progress {
    pub files: AtomicU64,
    pub rows: AtomicU64,
    /// Bytes fetched.
    pub bytes: AtomicU64,
    /// Bytes of the files whose row groups are done, whether they were fetched or left out.
    pub done: AtomicU64,
    pub requests: AtomicU64,
    pub matched: AtomicU64,
    /// What it takes.
    pub effort: Effort,
    /// Set from outside to stop soon.
    pub stop: AtomicBool,
}

impl Progress {
    /// What was read so far.
    pub fn read(&self) -> Read {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Read {
            files: now(&self.files),
            bytes: now(&self.bytes),
            rows: now(&self.rows),
            matched: now(&self.matched),
        }
    }
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub path: String,
    pub reason: String,
    /// How the sentence goes on in messages: what may have happened.
    pub guess: String,
}

impl Unreadable {
    pub fn new(path: String, reason: String) -> Self {
        Self { path, reason, guess: String::new() }
    }
}

/// What a scan leaves beside the rows that it handed on.
#[derive(Debug, Default)]
pub struct ScanOutcome {
    /// Only with `allow_incomplete`.
    pub unreadable: Vec<Unreadable>,
}

/// Takes what a decoding thread produces.
pub trait Sink: Send {
    /// `batch` holds the kept rows of the row group; its `unit` column is not yet set.
    ///
    /// # Errors
    /// Stops the scan.
    fn take(&mut self, file: usize, unit: UnitRecord, batch: AccessBatch) -> Result<(), ScanError>;

    /// The last call.
    ///
    /// # Errors
    /// Fails the scan.
    fn finish(&mut self) -> Result<(), ScanError>;
}

struct Engine<'a> {
    job: &'a ScanJob,
    /// Of the job's files those that must be opened.
    to_open: Vec<usize>,
    budget: &'a Budget,
    threads: usize,
    /// So many files may be open at once when threads wait for storage all the time.
    max_active: usize,
    /// So many row groups may be known to match before they are read.
    max_matching: usize,
    allow_incomplete: bool,
    progress: Arc<Progress>,
    shared: Arc<Shared>,
}

/// Reads the job's files with one thread for each of `sinks`; `budget` bounds the bytes that wait
/// for decoding, and those that decoding takes.
///
/// # Errors
/// The first failure; with `allow_incomplete`, unreadable files are listed instead.
pub fn scan<S: Sink>(
    job: &ScanJob,
    sinks: &mut [S],
    budget: &Budget,
    allow_incomplete: bool,
    progress: &Arc<Progress>,
) -> Result<ScanOutcome, ScanError> {
    let shared = Arc::new(Shared::default());
    let near = sinks.len() * 2 + 8;
    let is_near = job.store.local_root().is_some();
    shared.lock().window = if is_near { near } else { sinks.len() * 2 + 2 };
    let engine = Engine {
        job,
        to_open: leave_out(job, sinks, progress, &mut shared.lock().outcome)?,
        budget,
        threads: sinks.len(),
        max_active: if is_near { near } else { far(near, budget) },
        max_matching: sinks.len() + 4,
        allow_incomplete,
        progress: progress.clone(),
        shared: shared.clone(),
    };
    std::thread::scope(|scope| {
        for sink in sinks.iter_mut() {
            let engine = &engine;
            scope.spawn(move || {
                if let Err(error) = engine.work(sink) {
                    // What is whole is kept: the next run goes on from there.
                    let kept = matches!(error, ScanError::Interrupted).then(|| sink.finish());
                    engine.fail(match kept {
                        Some(Err(worse)) => worse,
                        _ => error,
                    });
                }
            });
        }
    });
    let mut state = shared.lock();
    match state.failed.take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut state.outcome)),
    }
}

/// How many files may be open at once where each answer takes its time: of small ones many, as far as what
/// their footers take (some MB where there are many columns) has room.
fn far(near: usize, budget: &Budget) -> usize {
    const FOOTER: u64 = 4 << 20;
    const MOST: usize = 64;
    usize::try_from(budget.rest / FOOTER).unwrap_or(MOST).min(MOST).max(near)
}

/// Accounts for files that need not or cannot be opened; gives the places of the others.
fn leave_out<S: Sink>(
    job: &ScanJob,
    sinks: &mut [S],
    progress: &Progress,
    outcome: &mut ScanOutcome,
) -> Result<Vec<usize>, ScanError> {
    let mut to_open = Vec::with_capacity(job.files.len());
    for (index, file) in job.files.iter().enumerate() {
        if let Some(Lost { reason, guess, .. }) = file.lost.clone() {
            outcome.unreadable.push(Unreadable { path: file.path.clone(), reason, guess });
            continue;
        }
        let unit = left_out(&job.context, file);
        let Some((unit, sink)) = unit.zip(sinks.first_mut()) else {
            to_open.push(index);
            continue;
        };
        progress.rows.fetch_add(unit.rows, Ordering::Relaxed);
        progress.done.fetch_add(file.pin.size, Ordering::Relaxed);
        progress.files.fetch_add(1, Ordering::Relaxed);
        sink.take(index, unit, AccessBatch::default())?;
    }
    Ok(to_open)
}

impl Engine<'_> {
    fn fail(&self, error: ScanError) {
        let mut state = self.shared.lock();
        if state.failed.is_none() {
            state.failed = Some(error);
        }
        self.shared.changed.notify_all();
    }

    fn work<S: Sink>(&self, sink: &mut S) -> Result<(), ScanError> {
        let mut decoder =
            Decoder::new(self.job.context.clone(), self.budget.rest, self.progress.clone());
        loop {
            let effort = &self.progress.effort;
            let Some((ready, threads)) = self.next()? else { break };
            let file = ready.fetch.file.clone();
            let weight = ready.weight();
            let fetched = ready.fetch.bytes();
            if fetched + weight > self.budget.rest {
                return Err(file.too_large(file.large(ready.fetch.step.group()), fetched + weight));
            }
            let (held, taken) = (ready.held, fetched + ready.rows());
            let decoding =
                || file.decoded(|| decoder.run(ready.fetch, ready.bytes, (taken, threads)));
            let done = effort.timed(Part::Decoding, decoding);
            let mut fetches = Vec::new();
            let mut finished = 0;
            match done {
                Ok(Selected { next, units }) => {
                    fetches = next;
                    for (unit, batch) in units {
                        self.progress.rows.fetch_add(unit.rows, Ordering::Relaxed);
                        let share = file.pin.size / u64::from(unit.of.max(1));
                        self.progress.done.fetch_add(share, Ordering::Relaxed);
                        self.progress.matched.fetch_add(unit.kept, Ordering::Relaxed);
                        if !file.is_abandoned() {
                            effort.timed(Part::Sorting, || sink.take(file.index, unit, batch))?;
                        }
                        finished += 1;
                    }
                }
                Err(error) if error.is_unreadable() && self.allow_incomplete => {
                    self.abandon(&file, &error);
                }
                Err(error) => return Err(error),
            }
            let closed = file.finish_units(finished);
            if closed {
                self.progress.files.fetch_add(1, Ordering::Relaxed);
            }
            self.done(&file, (held, weight), fetches, closed);
        }
        self.progress.effort.timed(Part::Sorting, || sink.finish())
    }

    fn abandon(&self, file: &OpenFile, error: &ScanError) {
        let reason = error.to_string().lines().next().unwrap_or_default().to_string();
        self.shared.lock().give_up(file, reason);
    }

    /// Waits for work; `None` when all is done. With it comes how many threads it may take: all of them where it is the last
    /// that there is.
    fn next(&self) -> Result<Option<(Ready, usize)>, ScanError> {
        let mut state = self.shared.lock();
        loop {
            if state.failed.is_some() {
                return Ok(None);
            }
            if self.progress.stop.load(Ordering::Relaxed) {
                return Err(ScanError::Interrupted);
            }
            self.pump(&mut state);
            let ready = self.fitting(&mut state);
            let nothing_else = state.in_flight == 0
                && state.busy == 0
                && state.next_file >= self.to_open.len()
                && state.fetches.iter().all(VecDeque::is_empty);
            if let Some(ready) = ready {
                state.busy += 1;
                state.decoding += ready.weight();
                let is_last = nothing_else && state.ready.iter().all(VecDeque::is_empty);
                return Ok(Some((ready, if is_last { self.threads } else { 1 })));
            }
            if nothing_else {
                self.shared.changed.notify_all();
                return Ok(None);
            }
            // Where nothing is on its way, the thread waits for others, or for room.
            let is_on_its_way = state.in_flight > 0;
            state.waiting += usize::from(is_on_its_way);
            let from = Instant::now();
            let (mut guard, _) = self
                .shared
                .changed
                .wait_timeout(state, std::time::Duration::from_millis(200))
                .unwrap_or_else(PoisonError::into_inner);
            if is_on_its_way {
                guard.waiting -= 1;
                self.progress.effort.add(Part::Reading, from.elapsed());
            }
            state = guard;
        }
    }

    /// The next ready work that fits beside what is being decoded; where nothing is, any fits. Later steps
    /// first, unless storage would soon have nothing to do: then those that lead to more fetches.
    fn fitting(&self, state: &mut State) -> Option<Ready> {
        let (alone, decoding) = (state.busy == 0, state.decoding);
        let fits = |ready: &Ready| alone || decoding + ready.weight() <= self.budget.decode;
        let is_idling = state.held < self.budget.prefetch / 2
            && state.fetches.iter().all(VecDeque::is_empty)
            && !state.matching.are_enough(self.max_matching, self.budget);
        let mut queues: Vec<_> = state.ready.iter_mut().rev().collect();
        if is_idling {
            queues.rotate_left(1);
        }
        let queue = queues.into_iter().find(|queue| queue.front().is_some_and(fits))?;
        let ready = queue.pop_front()?;
        state.matching.take(&ready.fetch);
        Some(ready)
    }

    fn done(&self, file: &OpenFile, (held, weight): (u64, u64), fetches: Vec<Fetch>, closed: bool) {
        let mut state = self.shared.lock();
        state.decoding = state.decoding.saturating_sub(weight);
        state.busy = state.busy.saturating_sub(1);
        state.held = state.held.saturating_sub(held);
        if closed {
            state.active = state.active.saturating_sub(1);
        }
        state.count_kept(file, !closed);
        for fetch in fetches {
            state.matching.add(&fetch);
            let rank = fetch.step.rank();
            if let Some(bytes) = file.at_hand(&fetch.ranges) {
                if let Some(queue) = state.ready.get_mut(rank) {
                    queue.push_back(Ready { fetch, bytes, held: 0 });
                }
            } else if let Some(queue) = state.fetches.get_mut(rank) {
                queue.push_back(fetch);
            }
        }
        self.pump(&mut state);
        self.shared.changed.notify_all();
    }

    /// Starts fetches while the budget lasts; one may always run, however large.
    fn pump(&self, state: &mut State) {
        while let Some(fetch) = self.next_fetch(state) {
            if fetch.file.is_abandoned() {
                state.matching.take(&fetch);
                continue;
            }
            let held = fetch.bytes();
            if held > self.budget.rest {
                // Not even fetched.
                let file = &fetch.file;
                let large = || file.too_large(file.large(fetch.step.group()), held);
                state.failed.get_or_insert_with(large);
                return;
            }
            state.held += held;
            state.in_flight += 1;
            state.last_in_flight += usize::from(fetch.is_last());
            self.progress.requests.fetch_add(1, Ordering::Relaxed);
            self.spawn(fetch, held);
        }
    }

    /// The next fetch that there is room for: of a later step before an earlier one's, of a file that is begun
    /// before a new one. One that has to wait is passed by those of earlier steps, which are small: what they
    /// find is known by the time there is room for it, however far the store is.
    fn next_fetch(&self, state: &mut State) -> Option<Fetch> {
        // Small files that are here wait for no fetch: one may always run beside them.
        let (alone, held) = (state.in_flight == 0 && state.held == 0, state.held + state.kept);
        let room = |bytes: u64| alone || held + bytes <= self.budget.prefetch;
        for queue in state.fetches.iter_mut().rev() {
            let Some(next) = queue.front() else { continue };
            if next.file.is_abandoned() || room(next.bytes()) {
                return queue.pop_front();
            }
            if state.matching.are_enough(self.max_matching, self.budget) {
                return None;
            }
        }
        let index = self.to_open.get(state.next_file).copied()?;
        let file = self.job.files.get(index)?;
        let is_survey = self.job.context.survey;
        let first_bytes = OpenFile::first_bytes(file.pin.size);
        // A file that is all in its first answer keeps nothing of others waiting.
        let most = if first_bytes == file.pin.size { self.max_active } else { state.window };
        if state.active >= most || !room(first_bytes) {
            return None;
        }
        let open = Arc::new(OpenFile::new(index, file, &self.job.store));
        state.next_file += 1;
        state.active += 1;
        let first = if is_survey { OpenFile::first_fetch } else { OpenFile::first_fetch_of_rows };
        Some(first(open))
    }

    fn spawn(&self, fetch: Fetch, held: u64) {
        let (shared, progress) = (self.shared.clone(), self.progress.clone());
        let (allow_incomplete, max_active) = (self.allow_incomplete, self.max_active);
        let arrived = move |fetch: Fetch, result: Result<Vec<Bytes>, StoreError>| {
            let file = fetch.file.clone();
            let mut state = shared.lock();
            state.arrived(fetch.is_last(), max_active);
            match result {
                Ok(bytes) => {
                    fetch.file.keep_whole(&fetch.ranges, &bytes);
                    let came = fetch.bytes();
                    progress.bytes.fetch_add(came, Ordering::Relaxed);
                    // It may be less than was thought.
                    state.held = state.held.saturating_sub(held.saturating_sub(came));
                    let held = held.min(came);
                    let rank = fetch.step.rank();
                    if let Some(queue) = state.ready.get_mut(rank) {
                        queue.push_back(Ready { fetch, bytes, held });
                    }
                }
                Err(error) if error.kind == StoreErrorKind::Denied && allow_incomplete => {
                    state.held = state.held.saturating_sub(held);
                    state.matching.take(&fetch);
                    state.give_up(&file, error.to_string());
                }
                Err(error) => {
                    if state.failed.is_none() {
                        state.failed = Some(error.into());
                    }
                }
            }
            drop(state);
            shared.changed.notify_all();
        };
        fetch.start(&self.job.store, arrived);
    }
}
