//! What a scan has under way: fetches, what has arrived, and what of it takes memory.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::ScanError;
use super::engine::{ScanOutcome, Unreadable};
use super::fetch::Fetch;
use super::file::OpenFile;
use super::step::Step;
use crate::memory::Budget;

/// Pages and batches while a row group is decoded.
pub(super) const DECODING: u64 = 8 << 20;

/// A matching row with its place in the selection, as an event, and copied into its pack.
pub(super) const KEPT_ROW: u64 = 140;

/// A matching row while its row group waits to be read: its place and the number of its scopes.
pub(super) const MATCHED_ROW: u64 = 12;

/// What has arrived, and the bytes of it that are held.
pub(super) struct Ready {
    pub fetch: Fetch,
    pub bytes: Vec<Bytes>,
    pub held: u64,
}

impl Ready {
    /// Bytes that decoding takes beside the fetched ones.
    pub fn weight(&self) -> u64 {
        self.rows() + DECODING
    }

    /// Bytes that the rows take which it hands on.
    pub fn rows(&self) -> u64 {
        self.fetch.step.bytes_kept()
    }
}

/// Row groups that are known to match and are not being decoded yet.
#[derive(Default)]
pub(super) struct Matching {
    groups: usize,
    bytes: u64,
}

impl Matching {
    pub fn add(&mut self, fetch: &Fetch) {
        self.groups += usize::from(fetch.is_last());
        self.bytes += fetch.step.bytes_waiting();
    }

    pub fn take(&mut self, fetch: &Fetch) {
        self.groups -= usize::from(fetch.is_last());
        self.bytes -= fetch.step.bytes_waiting();
    }

    /// Whether there are enough of them, or what is known of their rows takes enough memory.
    pub fn are_enough(&self, most: usize, budget: &Budget) -> bool {
        self.groups >= most || self.bytes >= budget.decode / 4
    }
}

#[derive(Default)]
pub(super) struct State {
    /// One queue for each rank of step; the last goes first.
    pub fetches: [VecDeque<Fetch>; Step::RANKS],
    pub ready: [VecDeque<Ready>; Step::RANKS],
    pub next_file: usize,
    pub matching: Matching,
    /// Files opened and not finished with.
    pub active: usize,
    /// How many may be, of files that are read in parts.
    pub window: usize,
    /// Threads that have nothing to decode while something is on its way.
    pub waiting: usize,
    pub held: u64,
    /// Bytes of small files that are here until their last row group is done.
    pub kept: u64,
    /// What is being decoded takes so much.
    pub decoding: u64,
    pub in_flight: usize,
    /// Those of them that are the last of their row groups.
    pub last_in_flight: usize,
    pub busy: usize,
    pub failed: Option<ScanError>,
    pub outcome: ScanOutcome,
}

impl State {
    /// Goes on without a file; the first reason stands.
    pub fn give_up(&mut self, file: &OpenFile, reason: String) {
        if file.abandon() {
            self.outcome.unreadable.push(Unreadable::new(file.path.clone(), reason));
            self.active = self.active.saturating_sub(1);
        }
        self.count_kept(file, false);
    }

    /// A fetch has arrived. Where threads waited for it, more files are opened at once from now on: at first few
    /// are, so that the first rows do not queue up behind what only later ones need. While rows are on their way,
    /// only their arrival opens more.
    pub fn arrived(&mut self, is_last: bool, most_active: usize) {
        self.in_flight -= 1;
        let is_row_coming = self.last_in_flight > 0;
        self.last_in_flight -= usize::from(is_last);
        let is_idle = self.waiting > 0 && self.ready.iter().all(VecDeque::is_empty);
        if is_idle && (is_last || !is_row_coming) {
            self.window = (self.window + 1).min(most_active);
        }
    }

    /// Counts the bytes of a small file once, as long as they are needed.
    pub fn count_kept(&mut self, file: &OpenFile, is_needed: bool) {
        let keeps = is_needed && file.is_whole() && !file.is_abandoned();
        match (file.is_kept.swap(keeps, Ordering::Relaxed), keeps) {
            (false, true) => self.kept += file.pin.size,
            (true, false) => self.kept = self.kept.saturating_sub(file.pin.size),
            _ => {}
        }
    }
}

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub changed: Condvar,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked has ended the run already; the state is only read to stop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
