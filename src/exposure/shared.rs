//! The policy that all threads share.

use std::sync::{Mutex, PoisonError};

use super::ExposureError;
use super::eras::Era;
use super::held::Held;
use super::policy::Policy;
use crate::memory::Counting;

/// The policy of all threads, asked for what one has not met yet.
pub struct Shared<'a> {
    policy: &'a Mutex<Policy>,
    pub era: Era,
    memory: Counting,
    /// What all threads together were last found to hold.
    held: Held,
}

impl<'a> Shared<'a> {
    pub fn new((policy, era): (&'a Mutex<Policy>, Era), memory: Counting) -> Self {
        Self { policy, era, memory, held: Held::default() }
    }

    /// # Errors
    /// [`ExposureError::Memory`] and [`ExposureError::Leaves`] where the answer, or what it is summed
    /// up from, outgrows the limit.
    pub fn ask<T>(&mut self, question: impl FnOnce(&mut Policy) -> T) -> Result<T, ExposureError> {
        let (answer, cells) = {
            let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = question(&mut policy);
            self.held = policy.held;
            (answer, policy.cells.len() as u64)
        };
        self.held.fits(&self.memory)?;
        // A cell has a day, nearly always.
        if let Some(needed) = self.memory.budget.beyond(cells, cells, 0) {
            let (more, needed) = (" so far".into(), needed.div_ceil(1_000_000));
            return Err(ExposureError::Memory { cells, more, needed });
        }
        Ok(answer)
    }

    /// Bytes that are left, on each thread, to what waits to be sorted.
    pub fn sort_buffer(&self) -> u64 {
        self.memory.sort_buffer(self.held.bytes(self.memory.threads))
    }
}
