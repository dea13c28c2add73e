//! How many rows of a column of texts may be decoded at once: a reader writes a dictionary's text out for each
//! value that names it.

use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::SerializedPageReader;

use super::Headers;
use crate::codes::{Codes, Run, index};
use crate::fetched::Fetched;

/// What a column of texts takes when it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    pub leaf: usize,
    /// Values of the row group, nulls among them.
    pub values: u64,
    /// Bytes of a value in pages, on average; in the page with the longest.
    pub in_pages: u64,
    /// Bytes of its dictionary.
    pub dictionary: u64,
    /// The pages that were fetched, where rows have several values, of a dictionary.
    pub pages: Vec<PageLocation>,
}

/// Of the memory that there is, the texts of a batch may take one part in so many.
const BATCH_SHARE: u64 = 8;

/// A batch of texts of so many bytes is small in any case.
const SMALL_BATCH: u64 = 4 << 20;

/// A page with its header. Which rows it holds is not asked.
pub(super) fn page(offset: u64, length: usize) -> PageLocation {
    PageLocation {
        offset: i64::try_from(offset).unwrap_or(i64::MAX),
        compressed_page_size: i32::try_from(length).unwrap_or(i32::MAX),
        first_row_index: 0,
    }
}

impl Headers {
    /// Rows that the library may decode at once, `most` or as many as have room with their texts. `room` is what
    /// there is beside what is fetched.
    ///
    /// # Errors
    /// How many bytes are needed, where there is no room for two rows.
    pub fn rows_at_once(
        &self,
        group: &RowGroupMetaData,
        fetched: &Fetched,
        most: usize,
        room: u64,
    ) -> Result<usize, u64> {
        let share = (room / BATCH_SHARE).max(SMALL_BATCH);
        let all_rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let rows = |of_row: u64| usize::try_from(share / of_row.max(1)).unwrap_or(usize::MAX);
        // A row's texts stand in a batch, and in what is made of it.
        let held = |texts: u64| self.bytes.saturating_add(texts.saturating_mul(2));
        // Whether all rows with several values have room: else one of them may have most of the values.
        let fits = |all: u64| held(all) <= room;
        let total = |longest: &[u64], of: &dyn Fn(&Texts, u64) -> u64| {
            let each = self.texts.iter().zip(longest).map(|(texts, longest)| of(texts, *longest));
            each.fold(0, u64::saturating_add)
        };
        let alike = |texts: &Texts, longest| texts.row(longest, texts.each_row(all_rows));
        // No text is longer than its dictionary. Mostly that is all that has to be known.
        let dictionaries: Vec<u64> = self.texts.iter().map(|texts| texts.dictionary).collect();
        if rows(total(&dictionaries, &alike)) >= most && fits(total(&dictionaries, &Texts::lists)) {
            return Ok(most);
        }
        let longest = self.texts.iter().map(|texts| texts.longest(group, fetched, room));
        let longest: Vec<u64> = longest.collect();
        let of_row = if fits(total(&longest, &Texts::lists)) {
            total(&longest, &alike)
        } else {
            total(&longest, &|texts, longest| {
                texts.row(longest, texts.most_in_a_row(group, fetched, all_rows))
            })
        };
        let held = held(of_row);
        if held > room { Err(held) } else { Ok(rows(of_row).clamp(1, most)) }
    }
}

impl Texts {
    /// Bytes of a row of so many values, as long as `longest`.
    fn row(&self, longest: u64, values: u64) -> u64 {
        longest.max(self.in_pages).saturating_mul(values)
    }

    /// Values of a row, where all have the same number.
    fn each_row(&self, rows: u64) -> u64 {
        self.values.div_ceil(rows.max(1))
    }

    /// Bytes of all values as long as `longest`, where rows have several.
    fn lists(&self, longest: u64) -> u64 {
        if self.pages.is_empty() { 0 } else { self.values.saturating_mul(longest) }
    }

    /// The longest text of the dictionary. Where that cannot be told, it is as long as all of it: whoever reads
    /// the page says what is wrong with it.
    fn longest(&self, group: &RowGroupMetaData, fetched: &Fetched, room: u64) -> u64 {
        let chunk = group.columns().get(self.leaf).filter(|_| self.dictionary > 0);
        let Some(chunk) = chunk.filter(|_| self.dictionary <= room) else { return self.dictionary };
        let rows = usize::try_from(chunk.num_values()).unwrap_or(0);
        let page = SerializedPageReader::new(Arc::new(fetched.clone()), chunk, rows, None)
            .and_then(|mut pages| pages.get_next_page());
        match page {
            Ok(Some(Page::DictionaryPage { buf, .. })) => {
                longest_of(&buf).unwrap_or(self.dictionary)
            }
            _ => self.dictionary,
        }
    }

    /// The most values that a row has. Where that cannot be told, all of them are one row's.
    fn most_in_a_row(&self, group: &RowGroupMetaData, fetched: &Fetched, rows: u64) -> u64 {
        if self.pages.is_empty() {
            return self.each_row(rows);
        }
        let chunk = group.columns().get(self.leaf);
        chunk.and_then(|chunk| self.counted(chunk, fetched)).unwrap_or(self.values)
    }

    fn counted(&self, chunk: &ColumnChunkMetaData, fetched: &Fetched) -> Option<u64> {
        let levels = u32::try_from(chunk.column_descr().max_rep_level()).ok()?;
        let rows = usize::try_from(chunk.num_values()).ok()?;
        let fetched = Arc::new(fetched.clone());
        let pages = Some(self.pages.clone());
        let mut pages = SerializedPageReader::new(fetched, chunk, rows, pages).ok()?;
        // Before the first page the reader expects the dictionary, from the beginning of the column on.
        pages.skip_next_page().ok()?;
        let (mut row, mut most) = (0, 0);
        while let Some(page) = pages.get_next_page().ok()? {
            let (bytes, values) = match &page {
                Page::DataPage { buf, num_values, rep_level_encoding: Encoding::RLE, .. } => {
                    let length = index(u32::from_le_bytes(*buf.first_chunk()?));
                    (buf.get(4..length.checked_add(4)?)?, *num_values)
                }
                Page::DataPageV2 { buf, num_values, rep_levels_byte_len, .. } => {
                    (buf.get(..index(*rep_levels_byte_len))?, *num_values)
                }
                _ => return None,
            };
            let bytes = page.buffer().slice_ref(bytes);
            lengths(Codes::of_levels(bytes, levels), index(values), |begins, values| {
                row = if begins { values } else { row + values };
                most = most.max(row);
            })?;
        }
        Some(most)
    }
}

/// Tells of `count` levels how many values stand together in a row: whether the first of them begins it, and how
/// many they are. `None` where there are fewer.
fn lengths(mut levels: Codes, count: usize, mut tell: impl FnMut(bool, u64)) -> Option<()> {
    let mut place = 0;
    while place < count {
        levels.at(place)?;
        let to = levels.to.min(count);
        match levels.run {
            Run::Repeated(0) => tell(true, 1),
            Run::Repeated(_) => tell(false, (to - place) as u64),
            Run::Packed(_) => {
                for place in place..to {
                    tell(levels.at(place)? == 0, 1);
                }
            }
        }
        place = to;
    }
    Some(())
}

/// The length of the longest text of a page, each behind four bytes with its own; `None` where a text
/// reaches past the end.
fn longest_of(page: &[u8]) -> Option<u64> {
    let (mut rest, mut longest) = (page, 0);
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        rest = behind.get(usize::try_from(length).ok()?..)?;
        longest = longest.max(u64::from(length));
    }
    Some(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels 0 0 1 1 1 0, packed, and ten more of 1 as a run: rows of one, of four and of eleven values.
    #[test]
    fn values_of_a_row_are_counted_across_runs() {
        // One group of eight packed levels, of which six are asked; then they are asked with the run behind.
        let packed = [0b0000_0011, 0b1101_1100];
        let run = [10 << 1, 1];
        let told = |bytes: Vec<u8>, count| {
            let mut told = Vec::new();
            lengths(Codes::of_levels(bytes.into(), 1), count, |begins, values| {
                told.push((begins, values));
            })
            .map(|()| told)
        };
        let six = vec![(true, 1), (true, 1), (false, 1), (false, 1), (false, 1), (true, 1)];
        assert_eq!(told(packed.to_vec(), 6), Some(six.clone()));
        let all = told([packed, run].concat(), 18).unwrap();
        assert_eq!(all[..6], six);
        assert_eq!(all[6..], [(false, 1), (false, 1), (false, 10)]);
        assert_eq!(told(packed.to_vec(), 9), None);
    }
}
