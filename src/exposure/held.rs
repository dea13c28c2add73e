//! What counting holds of leaves, in bytes: once for all threads, and once more in each.
//!
//! Estimates that follow from lengths and from the sizes of what is held, with the room that tables and
//! lists have beside. They are compared with the memory limit while leaves are made, so that a log with
//! very many pairs of app and scope set is refused early.

use super::ExposureError;
use super::carried::{SetOfScopes, SetPlace};
use super::cells::WindowSet;
use super::leaf::{Leaf, Pair};
use super::parts::ScopesByApp;
use super::tally::Sums;
use crate::memory::Counting;
use crate::moment::Moment;

/// The place of a pair or a set in the table that finds it, of which up to a half is empty.
const FOUND: usize = 40;

/// What a thread keeps of a pair to find a row's leaf, and of a leaf beside its cells and sums: stamps,
/// where its cells stand, and a few days of every other leaf.
const PAIR_IN_THREAD: usize = 192;
const LEAF_IN_THREAD: usize = 64 + 80;

#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    pairs: u64,
    leaves: u64,
    shared: usize,
    each: usize,
    /// Apps up to the last one in parts: each thread has a row for each of them.
    rows: u32,
}

impl Held {
    pub fn set(&mut self, set: &SetOfScopes) {
        let scopes = size_of_val(&*set.scopes);
        self.shared +=
            scopes * 3 + 2 * size_of::<SetOfScopes>() + FOUND + 2 * size_of::<SetPlace>();
        // Each thread finds it by the code that it has there, and has its scopes.
        self.each += size_of::<(u32, SetPlace)>() + scopes * 2;
    }

    /// An app with events in parts, by number.
    pub fn app_in_parts(&mut self, app: u32) {
        self.rows = self.rows.max(ScopesByApp::rows(app));
    }

    pub fn pair(&mut self, pair: &Pair) {
        let segments = size_of::<Moment>() + size_of::<(u32, usize)>();
        self.pairs += 1;
        self.shared += FOUND + size_of::<Pair>() + pair.leaves().len() * segments;
        self.each += FOUND + PAIR_IN_THREAD;
    }

    pub fn leaf(&mut self, leaf: &Leaf) {
        let cells = leaf.exposed.capacity() + leaf.held_only.capacity() + leaf.refused.capacity();
        let of_cells = cells * size_of::<(u32, WindowSet)>() + size_of_val(leaf.scopes.as_slice());
        self.leaves += 1;
        self.shared += size_of::<Leaf>() + 32 + of_cells;
        // Sums lie side by side, in room for a quarter more.
        self.each += size_of::<Sums>() / 4 * 5 + LEAF_IN_THREAD + of_cells / 2;
    }

    /// Bytes of everything, with as many threads counting.
    pub fn bytes(&self, threads: usize) -> u64 {
        let rows = u64::from(self.rows) * ScopesByApp::ROW;
        (self.shared + self.each * threads.max(1)) as u64 + rows * threads.max(1) as u64
    }

    /// # Errors
    /// [`ExposureError::Leaves`] where they take more than the memory limit has for them.
    pub fn fits(&self, memory: &Counting) -> Result<(), ExposureError> {
        match memory.beyond_leaves(self.bytes(memory.threads)) {
            Some(needed) => Err(ExposureError::Leaves {
                pairs: self.pairs,
                leaves: self.leaves,
                threads: memory.threads,
                needed: needed.div_ceil(1_000_000),
            }),
            None => Ok(()),
        }
    }
}
