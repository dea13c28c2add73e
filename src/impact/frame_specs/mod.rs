//! The frames' contract: names, columns, types, units and meaning (`afterscope schema frames`).

mod coverage;
mod dimensions;
mod exposure;
mod people;

/// Version of the frames' names and columns.
pub const FRAMES_VERSION: u32 = 1;

/// Name, type, unit, meaning. Times are timestamps in microseconds, UTC.
pub type Column = (&'static str, &'static str, &'static str, &'static str);

/// A frame and what its columns hold.
#[derive(Clone, Copy, Debug)]
pub struct FrameSpec {
    pub name: &'static str,
    pub about: &'static str,
    /// In stretches, some of which others have, too.
    columns: &'static [&'static [Column]],
}

impl FrameSpec {
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().copied().flatten()
    }
}

/// All frames.
pub const FRAMES: &[FrameSpec] = &[
    exposure::EXPOSURE,
    exposure::EXPOSURE_CELLS,
    exposure::EXPOSURE_DAYS,
    exposure::EXPOSURE_GROUPS,
    dimensions::CAPABLE,
    people::ATTESTATIONS,
    people::RESIDENTS,
    people::THRESHOLDS,
    people::DEADLINES,
    dimensions::SCOPES,
    dimensions::SCOPE_FIELDS,
    coverage::COVERAGE_DAYS,
    coverage::COVERAGE_SOURCES,
    coverage::RUN,
    dimensions::APPS,
    dimensions::DATES,
];
