//! What is summed up while rows go by.
//!
//! Sums go to leaves, of which there are few, and are rolled up into cells at the end. So do people;
//! where a person has events of several leaves, what was counted too often in their common cells is
//! put down beside.

use super::cells::ByWindow;
use super::days::Days;
use crate::moment::Moment;

/// Terms of row conservation that the merge decides (docs/counting.md, rule 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    Outside,
    Rejected,
    Deduplicated,
    AfterAsOf,
    Denied,
    Unknown,
    HeldOnly,
    Counted,
}

impl Term {
    pub const COUNT: usize = 8;
}

/// Rows of one unit, by term.
pub type Terms = [u64; Term::COUNT];

/// Sums over the events of a leaf. What every allowed event touches comes first, in two lines of the
/// processor's cache, then what others touch, in one: rows come in the order of people, so each one finds
/// another leaf. What its days sum up to is not kept a second time.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub struct Sums {
    pub exposed: Exposed,
    pub days: Days<DaySums>,
    /// Events that are no exposure.
    pub refused: u64,
    /// Of them, those that were denied.
    pub denied_events: u64,
    pub denied: i64,
    pub unknown: i64,
    pub held_only: i64,
    /// As wide as [`Exposed::bytes`].
    pub records: i128,
    pub records_known: u64,
    pub subjects_unknown_rows: u64,
}

/// Allowed and exercised events of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// Some may be negative: a sum that fits 64 bits may pass them on the way, in one order of the rows
    /// and not in another.
    pub bytes: i128,
    /// Events whose bytes are not null.
    pub bytes_known: u64,
    /// [`Moment::MAX`] and [`Moment::MIN`] where there is no event.
    pub first: Moment,
    pub last: Moment,
}

impl Default for Exposed {
    fn default() -> Self {
        Self { bytes: 0, bytes_known: 0, first: Moment::MAX, last: Moment::MIN }
    }
}

/// One day of a leaf.
#[derive(Clone, Copy, Debug, Default)]
pub struct DaySums {
    pub events: u64,
    pub requests: i64,
    pub people: DayPeople,
}

/// People with an event on a day, and those for whom it was the first: all of a leaf's people have one
/// first day.
#[derive(Clone, Copy, Debug, Default)]
pub struct DayPeople {
    pub subjects: u64,
    pub new: u64,
}

/// How often people were counted in a cell beyond once: those with events of several leaves.
#[derive(Clone, Debug, Default)]
pub struct Surplus {
    pub subjects: ByWindow,
    pub days: Days<DayPeople>,
}

/// The same by cell number.
#[derive(Clone, Debug, Default)]
pub struct Surpluses {
    pub cells: Vec<Surplus>,
    /// By windows of then, where those are counted, too.
    pub then: Vec<ByWindow>,
    pub are_joint: bool,
}

/// What one thread has counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// By leaf number.
    pub sums: Vec<Sums>,
    pub surplus: Surpluses,
    /// By source and unit.
    pub terms: Vec<Vec<Terms>>,
    /// Event ids with more than one set of values, by source.
    pub conflicts: Vec<u64>,
}
