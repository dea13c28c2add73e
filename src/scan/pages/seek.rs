//! Where the wanted pages of a row group lie, by the headers of its pages.
//!
//! A file without an offset index says where a column begins and where it ends: for a few rows all of it would be read. On
//! a disk of this machine a header costs a call of the system, which is less than to copy the page behind it. Of a
//! service each would be a request.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::page_index::offset_index::PageLocation;

use crate::codes::index;
use crate::headers::{Header, Kind};

/// All pages of a column, by its leaf; of a column that is not among them all bytes were read.
pub(in crate::scan) type Places = BTreeMap<usize, Vec<PageLocation>>;

/// See [`FewRows::least`]. Smaller ones are copied before their headers are found.
const LEAST: u64 = 256 << 10;

/// Headers hold extremes of their pages, which may be texts; those that do not end here are left alone.
const HEADER: usize = 512;

/// A header that took longer than to copy a page would, and how many of those are too many: it is another machine's disk,
/// or one that has to look for each.
const SLOW: Duration = Duration::from_micros(50);
const SLOW_ONES: usize = 6;

/// Smaller pages are copied with their headers.
const PAGE: u64 = 2 << 10;

/// Looking at headers pays where no more than one page in so many holds a wanted row.
const PAGES: usize = 2;

/// A page has hardly more rows than so many, whoever wrote it: where there are more wanted ones than that there is no
/// need to look.
const PAGE_ROWS: usize = 1024;

/// A few rows of columns with one value a row.
#[derive(Clone, Debug)]
pub(in crate::scan) struct FewRows {
    /// Leaves, and where their bytes are.
    chunks: Vec<(usize, Range<u64>)>,
    /// Rows of the row group, ascending, and how many it has.
    wanted: Vec<u32>,
    rows: usize,
    /// Columns of fewer bytes are read whole.
    pub(super) least: u64,
    /// The same of the first page.
    pub(super) least_page: u64,
}

impl FewRows {
    /// `None` where the rows are so many that all pages are wanted.
    pub fn of(group: &RowGroupMetaData, leaves: &[usize], wanted: &[u32]) -> Option<Self> {
        let rows = usize::try_from(group.num_rows()).ok()?;
        if wanted.len().checked_mul(PAGE_ROWS)? > rows {
            return None;
        }
        let chunk = |leaf: &usize| {
            let (start, length) = group.columns().get(*leaf)?.byte_range();
            Some((*leaf, start..start.checked_add(length)?))
        };
        let mut leaves = leaves.to_vec();
        leaves.sort_unstable();
        leaves.dedup();
        let chunks = leaves.iter().map(chunk).collect::<Option<_>>()?;
        Some(Self { chunks, wanted: wanted.to_vec(), rows, least: LEAST, least_page: PAGE })
    }

    /// The bytes of the wanted rows' pages and of dictionaries. `read` reads from an offset on, as
    /// [`FileExt::read_at`](std::os::unix::fs::FileExt::read_at) does.
    pub fn seek(
        &self,
        read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    ) -> (Vec<Range<u64>>, Places) {
        let (mut ranges, mut places) = (Vec::new(), Places::new());
        for (leaf, chunk) in &self.chunks {
            let is_small = chunk.end - chunk.start < self.least;
            let pages = if is_small { None } else { self.pages(chunk, &read) };
            let Some(pages) = pages else {
                ranges.push(chunk.clone());
                continue;
            };
            let offset = |page: &PageLocation| u64::try_from(page.offset).unwrap_or(chunk.end);
            ranges.push(chunk.start..pages.first().map_or(chunk.end, offset));
            for (i, page) in pages.iter().enumerate() {
                let end = pages.get(i + 1).map_or(self.rows, row_of);
                let before = |bound: usize| self.wanted.partition_point(|row| index(*row) < bound);
                if before(row_of(page)) < before(end) {
                    let size = u64::try_from(page.compressed_page_size).unwrap_or(0);
                    ranges.push(offset(page)..offset(page).saturating_add(size));
                }
            }
            places.insert(*leaf, pages);
        }
        ranges.retain(|range| !range.is_empty());
        (ranges, places)
    }

    /// The pages of a column; `None` where it is to be read whole: there are few, or they are not as others write them,
    /// which its reader says.
    fn pages(
        &self,
        chunk: &Range<u64>,
        read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    ) -> Option<Vec<PageLocation>> {
        let mut pages: Vec<PageLocation> = Vec::new();
        let (mut at, mut row, mut slow) = (chunk.start, 0usize, 0);
        let mut buffer = [0; HEADER];
        while row < self.rows {
            let room = usize::try_from(chunk.end.checked_sub(at)?).unwrap_or(HEADER).min(HEADER);
            let from = Instant::now();
            let filled = read(buffer.get_mut(..room)?, at).ok()?;
            slow += usize::from(from.elapsed() > SLOW);
            if slow >= SLOW_ONES {
                return None;
            }
            let header = Header::read(buffer.get(..filled)?)?;
            let end = at
                .checked_add(u64::try_from(header.length).ok()?)?
                .checked_add(u64::try_from(header.stored).ok()?)
                .filter(|end| *end <= chunk.end)?;
            let values = usize::try_from(header.values).ok()?;
            match header.kind {
                Kind::Dictionary if at == chunk.start => {}
                Kind::Data if values > 0 => {
                    let few = self.rows.div_ceil(values) / PAGES >= self.wanted.len();
                    if pages.is_empty() && !(few && end - at >= self.least_page) {
                        return None;
                    }
                    pages.push(PageLocation {
                        offset: i64::try_from(at).ok()?,
                        compressed_page_size: i32::try_from(end - at).ok()?,
                        first_row_index: i64::try_from(row).ok()?,
                    });
                    row = row.checked_add(values)?;
                }
                _ => return None,
            }
            at = end;
        }
        (row == self.rows).then_some(pages)
    }
}

fn row_of(page: &PageLocation) -> usize {
    usize::try_from(page.first_row_index).unwrap_or(usize::MAX)
}
