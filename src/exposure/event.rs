//! Rows of a merge and rows that waited, counted alike.

use crate::key::Key;
use crate::ledger::{Merged, Row};
use crate::moment::Moment;
use crate::scan::batch::Outcome;

/// What is counted of an event, looked at only as far as it is needed: most columns lie elsewhere in
/// memory.
pub trait Event {
    fn at(&self) -> Moment;
    fn outcome(&self) -> Outcome;
    fn weight(&self) -> i64;
    fn bytes(&self) -> Option<i64>;
    fn records(&self) -> Option<i64>;
    fn actor(&self) -> Option<Key>;
    fn group(&self) -> Option<Key>;
    fn group_id(&self) -> Option<&[u8]>;
    /// Code of the list of returned fields; [`NONE`] without one.
    fn fields(&self) -> u32;
}

impl Event for Merged<'_> {
    fn at(&self) -> Moment {
        self.at()
    }
    fn outcome(&self) -> Outcome {
        self.outcome()
    }
    fn weight(&self) -> i64 {
        self.weight()
    }
    fn bytes(&self) -> Option<i64> {
        self.bytes()
    }
    fn records(&self) -> Option<i64> {
        self.records()
    }
    fn actor(&self) -> Option<Key> {
        self.actor()
    }
    fn group(&self) -> Option<Key> {
        self.group()
    }
    fn group_id(&self) -> Option<&[u8]> {
        self.group_id()
    }
    fn fields(&self) -> u32 {
        self.fields()
    }
}

impl Event for Row {
    fn at(&self) -> Moment {
        self.at
    }
    fn outcome(&self) -> Outcome {
        self.outcome
    }
    fn weight(&self) -> i64 {
        self.weight.unwrap_or(1)
    }
    fn bytes(&self) -> Option<i64> {
        self.bytes
    }
    fn records(&self) -> Option<i64> {
        self.records
    }
    fn actor(&self) -> Option<Key> {
        self.actor
    }
    fn group(&self) -> Option<Key> {
        self.group
    }
    fn group_id(&self) -> Option<&[u8]> {
        self.group_id.as_deref()
    }
    fn fields(&self) -> u32 {
        self.fields
    }
}
