//! Between which values a column of a file lies, as its table tells.

use crate::moment::EpochUnit;

/// How the values of a time column count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Since 1970-01-01T00:00:00Z.
    Utc(EpochUnit),
    /// Since 1970-01-01T00:00:00 in a zone that the table does not tell.
    Wall(EpochUnit),
    /// Whole numbers; the mapping says what they count.
    Number,
}

/// What a table tells of the time column of one file: no value is null, and all lie between these.
///
/// They need not occur: a table may cut them, or keep those of rows that were deleted since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBounds {
    pub clock: Clock,
    pub least: i64,
    /// Of the same day as the greatest value, and at most `slack` before it.
    pub greatest: i64,
    /// In the clock's unit.
    pub slack: i64,
}

impl TimeBounds {
    /// Bounds that are not cut; `None` where they contradict each other.
    pub fn new(clock: Clock, least: i64, greatest: i64) -> Option<Self> {
        (least <= greatest).then_some(Self { clock, least, greatest, slack: 0 })
    }
}
