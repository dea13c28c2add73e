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

/// Tries what is decided of a mapping; `None` where the configuration has mistakes beside what is open.
///
/// # Errors
/// As [`Inspected::of_some`] and [`Inspected::with_values_tried`].
pub fn tried(
    draft: &Draft,
    folder: &Path,
    bounds: Bounds,
    io: &Io,
    progress: &Progress,
) -> Result<Option<Tried>, Error> {
    let text = draft.settled();
    let overrides = Overrides { as_of: "1970-01-01".into(), unsigned: true, ..Default::default() };
    let plan = from_text(&text, folder, &overrides, &|name| std::env::var(name).ok());
    let Some(plan) = plan.ok() else { return Ok(None) };
    let Some(source) = plan.sources.first() else { return Ok(None) };
    let place = Place::of_source(source, plan.registry.endpoints.is_some());
    let limits = (bounds.memory_limit, bounds.files.unwrap_or(usize::MAX));
    let (_, inspected) = Inspected::of_some(place, Zone::UTC, io, progress, limits)?;
    let Inspection { mapped, sample, .. } = inspected.with_values_tried(progress)?.inspection();
    let unread = mapped.into_iter().filter(|of| of.files_refused > 0 || of.values_unread > 0);
    Ok(Some(Tried { sample: sample.unwrap_or_default(), unread: unread.collect() }))
}
