//! What figures are grouped by: windows of time, grains, and the keys of cells.

use crate::moment::Moment;

/// A stretch of time that matters for an app and a scope (docs/counting.md, rule 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    AfterRestriction,
    InGrace,
    AfterGrace,
    InBrownout,
    AfterRevocation,
    AfterAttestation,
    Lookback,
}

impl Window {
    pub const COUNT: usize = 7;
    pub const ALL: [Self; Self::COUNT] = [
        Self::AfterRestriction,
        Self::InGrace,
        Self::AfterGrace,
        Self::InBrownout,
        Self::AfterRevocation,
        Self::AfterAttestation,
        Self::Lookback,
    ];

    /// The window of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::AfterRestriction => "after_restriction",
            Self::InGrace => "in_grace",
            Self::AfterGrace => "after_grace",
            Self::InBrownout => "in_brownout",
            Self::AfterRevocation => "after_revocation",
            Self::AfterAttestation => "after_attestation",
            Self::Lookback => "lookback",
        }
    }

    /// The window's bit in a set of windows.
    pub const fn bit(self) -> WindowSet {
        1 << self as u8
    }
}

/// Windows as bits. Where two counts by different rules are made in one, those of now, and above them those of then.
pub type WindowSet = u16;

/// Counts by window.
pub type ByWindow = [u64; Window::COUNT];

/// Bits for the windows of one of them.
const SIDE: u32 = 8;

/// Windows as those of then.
pub const fn of_then(windows: WindowSet) -> WindowSet {
    windows << SIDE
}

/// Windows of now, and those of then.
pub const fn now_and_then(windows: WindowSet) -> (WindowSet, WindowSet) {
    (windows & ((1 << SIDE) - 1), windows >> SIDE)
}

/// Adds one to the count of each window of now in the set.
///
/// Sets come in no order: a loop over the bits that are set would end where the processor does not expect it.
#[inline]
pub fn count_windows(counts: &mut ByWindow, set: WindowSet) {
    let ones = ONES.get(usize::from(now_and_then(set).0)).unwrap_or(&[0; Window::COUNT]);
    counts.iter_mut().zip(ones).for_each(|(count, one)| *count += one);
}

/// By set of windows: 1 for each window that is in it.
// Worked out when it is compiled.
#[allow(clippy::indexing_slicing)]
static ONES: [[u64; Window::COUNT]; 1 << SIDE] = {
    let mut ones = [[0; Window::COUNT]; 1 << SIDE];
    let mut set = 0;
    while set < ones.len() {
        let mut window = 0;
        while window < Window::COUNT {
            ones[set][window] = (set >> window & 1) as u64;
            window += 1;
        }
        set += 1;
    }
    ones
};

/// What a figure is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    ScopeApp,
    ScopeDeveloper,
    Scope,
    App,
    Developer,
    All,
    /// What an app did after a promise of deletion, one for each promise.
    Attestation,
}

impl Grain {
    /// In an order that files of kept counts refer to.
    pub const ALL: [Self; 7] = [
        Self::ScopeApp,
        Self::ScopeDeveloper,
        Self::Scope,
        Self::App,
        Self::Developer,
        Self::All,
        Self::Attestation,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::ScopeApp => "scope_app",
            Self::ScopeDeveloper => "scope_developer",
            Self::Scope => "scope",
            Self::App => "app",
            Self::Developer => "developer",
            Self::All => "all",
            Self::Attestation => "attestation",
        }
    }

    /// Whether its figures are told by day and by residence, too.
    pub fn has_days(self) -> bool {
        !matches!(self, Self::ScopeDeveloper | Self::Developer | Self::Attestation)
    }
}

/// One figure's group. `None` stands for "names none" (an event without an app), a grain that has
/// no such part holds `None` too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    pub grain: Grain,
    pub scope: Option<String>,
    pub app: Option<String>,
    pub developer: Option<String>,
    /// When the promise was given, of [`Grain::Attestation`].
    pub attested_at: Option<Moment>,
}
