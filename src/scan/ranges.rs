//! Which bytes hold the wanted rows, and readers over them.

use std::ops::Range;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
};
use parquet::file::metadata::RowGroupMetaData;

use super::ScanError;
use super::file::OpenFile;
use super::footer::Footer;
use crate::fetched::Fetched;

/// Runs of rows shorter than this on average are decoded whole and filtered; longer ones are skipped
/// to. Measured with 2 % of the rows matching at random (runs of 25: skipping is a quarter cheaper) and
/// 60 % (runs of 2: decoding all is).
const MASK_BELOW: usize = 8;

/// Rows decoded at once, at most.
pub(super) const BATCH_ROWS: usize = 32 << 10;

/// Rows of a row group as a reader wants them.
pub(super) fn selection_of_ranges(
    footer: &Footer,
    group: usize,
    ranges: &[Range<usize>],
) -> RowSelection {
    let rows = footer.group(group).map_or(0, RowGroupMetaData::num_rows);
    RowSelection::from_consecutive_ranges(
        ranges.iter().cloned(),
        usize::try_from(rows).unwrap_or(0),
    )
}

/// `None` where every row is selected.
pub(super) fn selection_of_rows(matching: &[u32], rows: usize) -> Option<RowSelection> {
    if matching.len() == rows {
        return None;
    }
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in matching {
        let row = usize::try_from(*row).unwrap_or(usize::MAX);
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end = row + 1,
            _ => ranges.push(row..row + 1),
        }
    }
    Some(RowSelection::from_consecutive_ranges(ranges.into_iter(), rows))
}

/// The bytes of the columns: whole chunks, or the pages that the selection touches.
pub(super) fn byte_ranges(
    footer: &Footer,
    group: usize,
    leaves: &[usize],
    selection: Option<&RowSelection>,
) -> Vec<Range<u64>> {
    let Some(details) = footer.group(group) else { return Vec::new() };
    let offsets = footer.metadata.metadata().offset_index().and_then(|i| i.get(group));
    let mut ranges = Vec::new();
    let mut sorted = leaves.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    for leaf in sorted {
        let Some(column) = details.columns().get(leaf) else { continue };
        let (start, length) = column.byte_range();
        let pages = offsets.and_then(|o| o.get(leaf)).map(|o| o.page_locations());
        match (selection, pages) {
            (Some(selection), Some(pages)) if !pages.is_empty() => {
                let wanted = selection.scan_ranges(pages);
                if wanted.len() == pages.len() {
                    ranges.push(start..start.saturating_add(length));
                    continue;
                }
                let first = pages.first().and_then(|p| u64::try_from(p.offset).ok());
                if let Some(first) = first {
                    ranges.push(start..first);
                }
                ranges.extend(wanted);
            }
            _ => ranges.push(start..start.saturating_add(length)),
        }
    }
    // A column of an empty row group has no bytes, and one without a dictionary none before its pages.
    ranges.retain(|range| !range.is_empty());
    ranges
}

pub(super) fn open_reader(
    file: &OpenFile,
    footer: &Footer,
    group: usize,
    leaves: &[usize],
    selection: Option<RowSelection>,
    fetched: &Fetched,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader, ScanError> {
    let mask = ProjectionMask::leaves(footer.metadata.parquet_schema(), leaves.iter().copied());
    // A mask decodes all rows between the first and the last: every page must be there.
    let policy = if footer.group(group).is_some_and(|g| fetched.holds_all(g, leaves)) {
        RowSelectionPolicy::Auto { threshold: MASK_BELOW }
    } else {
        RowSelectionPolicy::Selectors
    };
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
        fetched.clone(),
        footer.metadata.clone(),
    )
    .with_row_groups(vec![group])
    .with_projection(mask)
    .with_batch_size(batch_rows);
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection).with_row_selection_policy(policy);
    }
    builder.build().map_err(|e| file.unreadable(&e))
}
