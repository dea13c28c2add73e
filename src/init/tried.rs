//! The proposed mapping, tried on values as a run reads them.

use std::path::Path;

use super::draft::Draft;
use super::look::Bounds;
use crate::config::{Overrides, from_text};
use crate::error::Error;
use crate::inspect::{Inspected, Inspection, MappedSeen, Place, Sampled};
use crate::moment::Zone;
use crate::scan::Progress;
use crate::store::Io;

/// What became of the values.
#[derive(Clone, Debug)]
pub struct Tried {
    pub sample: Sampled,
    /// Keys whose column cannot be read in some files, or of which some values cannot be read.
    pub unread: Vec<MappedSeen>,
}

/// Rows of a file that are tried, to the next whole batch.
const ROWS: u64 = 10_000;

/// Tries what is decided of a mapping on rows of so many files; `None` where the configuration has mistakes beside what is open.
///
/// # Errors
/// As [`Inspected::of_some`] and [`Inspected::with_some_values_tried`].
pub fn tried(
    draft: &Draft,
    folder: &Path,
    (bounds, files): (Bounds, u64),
    io: &Io,
    progress: &Progress,
) -> Result<Option<Tried>, Error> {
    let text = draft.settled();
    let overrides = Overrides { as_of: "1970-01-01".into(), unsigned: true, ..Default::default() };
    let plan = from_text(&text, folder, &overrides, &|name| std::env::var(name).ok());
    let Some(plan) = plan.ok() else { return Ok(None) };
    let Some(source) = plan.sources.first() else { return Ok(None) };
    let place = Place::of_source(source, plan.registry.endpoints.is_some());
    let files = usize::try_from(files).unwrap_or(usize::MAX).max(1);
    let limits = (bounds.memory_limit, files);
    let (_, inspected) = Inspected::of_some(place, Zone::UTC, io, progress, limits)?;
    let inspected = inspected.with_some_values_tried(ROWS, progress)?;
    let Inspection { mapped, sample, .. } = inspected.inspection();
    let unread = mapped.into_iter().filter(|of| of.files_refused > 0 || of.values_unread > 0);
    Ok(Some(Tried { sample: sample.unwrap_or_default(), unread: unread.collect() }))
}
