//! The figures of a cell.

use super::cells::Window;
use crate::moment::Moment;

/// The measures of a cell by window. Windows in which nothing was counted, which are most, take no memory.
#[derive(Clone, Debug, Default)]
pub struct WindowMeasures {
    /// With their places.
    counted: Box<[(u8, Measures)]>,
}

impl WindowMeasures {
    pub fn new(all: [Measures; Window::COUNT]) -> Self {
        let is_any = |measures: &Measures| *measures != NOTHING;
        // As many as there are: what grows, and is then cut, is copied over and over.
        let mut counted = Vec::with_capacity(all.iter().filter(|own| is_any(own)).count());
        counted.extend((0..).zip(all).filter(|(_, own)| is_any(own)));
        Self { counted: counted.into() }
    }

    pub fn get(&self, window: Window) -> &Measures {
        let own = self.counted.iter().find(|(place, _)| *place == window as u8);
        own.map_or(&NOTHING, |(_, measures)| measures)
    }

    /// Those of all windows, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Measures> + Clone {
        Window::ALL.iter().map(|window| self.get(*window))
    }
}

/// The measures of docs/counting.md, rule 5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    pub events: u64,
    pub requests: i64,
    pub denied: i64,
    pub unknown: i64,
    pub held_only: i64,
    /// Events neither denied nor exposure: their outcome is unknown, or no scope was exercised.
    pub unsettled: u64,
    pub bytes: Option<i64>,
    pub records: Option<i64>,
    pub subjects: u64,
    /// People observed, and members of groups that were read; `None` without memberships.
    pub subjects_upper: Option<u64>,
    pub actors: u64,
    pub groups: u64,
    pub subjects_unknown_rows: u64,
    pub first: Option<Moment>,
    pub last: Option<Moment>,
    pub active_days: u64,
}

static NOTHING: Measures = Measures {
    events: 0,
    requests: 0,
    denied: 0,
    unknown: 0,
    held_only: 0,
    unsettled: 0,
    bytes: None,
    records: None,
    subjects: 0,
    subjects_upper: None,
    actors: 0,
    groups: 0,
    subjects_unknown_rows: 0,
    first: None,
    last: None,
    active_days: 0,
};
