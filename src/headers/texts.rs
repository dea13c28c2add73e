//! How many rows of a column of texts may be decoded at once: a reader writes a dictionary's text out for each
//! value that names it.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::SerializedPageReader;

use super::{Headers, LongRow};
use crate::codes::{Codes, index};
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
    /// Whether these are all that there are.
    pub all_pages: bool,
}

/// A row that has no room, or pages beside which it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Bytes that are needed.
    pub bytes: u64,
    /// The row, where it takes most of them.
    pub row: Option<LongRow>,
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
    /// Where there is no room for one row.
    pub fn rows_at_once(
        &self,
        group: &RowGroupMetaData,
        fetched: &Fetched,
        most: usize,
        room: u64,
    ) -> Result<usize, NoRoom> {
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
        if fits(total(&longest, &Texts::lists)) {
            let of_row = total(&longest, &alike);
            if held(of_row) <= room {
                return Ok(rows(of_row).clamp(1, most));
            }
        }
        let each = self.texts.iter().zip(&longest);
        let each: Vec<(u64, Option<u64>)> = each
            .map(|(texts, longest)| texts.largest_row(group, fetched, all_rows, *longest))
            .collect();
        let of_row = each.iter().map(|(bytes, _)| *bytes).fold(0, u64::saturating_add);
        let bytes = held(of_row);
        if bytes <= room {
            return Ok(rows(of_row).clamp(1, most));
        }
        let most = self.texts.iter().zip(each).max_by_key(|(_, (bytes, _))| *bytes);
        let row = most.filter(|_| bytes - self.bytes > self.bytes).and_then(|(texts, found)| {
            let column = group.columns().get(texts.leaf)?.column_path().string();
            Some(LongRow { column, number: found.1, bytes: found.0 })
        });
        Err(NoRoom { bytes, row })
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
        let lengths = dictionary_lengths(chunk, fetched);
        lengths.map_or(self.dictionary, |lengths| lengths.into_iter().max().unwrap_or(0))
    }

    /// Bytes of the texts of the row that has most of them, and which it is. Where that cannot be told, all values are
    /// one row's, and as long as `longest`.
    fn largest_row(
        &self,
        group: &RowGroupMetaData,
        fetched: &Fetched,
        rows: u64,
        longest: u64,
    ) -> (u64, Option<u64>) {
        if self.pages.is_empty() {
            return (self.row(longest, self.each_row(rows)), None);
        }
        let chunk = group.columns().get(self.leaf);
        match chunk.and_then(|chunk| self.added_up(chunk, fetched)) {
            Some((bytes, row)) => (bytes, Some(row).filter(|_| self.all_pages)),
            None => (self.row(longest, self.values), None),
        }
    }

    /// Adds up the texts of each row; gives the most bytes, and the row's place among those that were fetched.
    fn added_up(&self, chunk: &ColumnChunkMetaData, fetched: &Fetched) -> Option<(u64, u64)> {
        let texts = dictionary_lengths(chunk, fetched)?;
        let column = chunk.column_descr();
        let [repeated, defined] = [column.max_rep_level(), column.max_def_level()];
        let [repeated, defined] = [u32::try_from(repeated).ok()?, u32::try_from(defined).ok()?];
        let rows = usize::try_from(chunk.num_values()).ok()?;
        let fetched = Arc::new(fetched.clone());
        let pages = Some(self.pages.clone());
        let mut pages = SerializedPageReader::new(fetched, chunk, rows, pages).ok()?;
        // Before the first page the reader expects the dictionary, from the beginning of the column on.
        pages.skip_next_page().ok()?;
        let (mut row, mut most, mut begun) = (0u64, (0, 0), 0u64);
        while let Some(page) = pages.get_next_page().ok()? {
            let [repetitions, definitions, values] = sections(&page)?;
            let mut repetitions = Codes::of_levels(repetitions, repeated);
            let mut definitions = Codes::of_levels(definitions, defined);
            let is_coded =
                [Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY].contains(&page.encoding());
            let mut codes = is_coded.then(|| Codes::new(values)).transpose().ok()?;
            let mut text = 0;
            for place in 0..index(page.num_values()) {
                if repetitions.at(place)? == 0 {
                    row = 0;
                    begun += 1;
                }
                if definitions.at(place)? != index(defined) {
                    continue;
                }
                row = row.saturating_add(match &mut codes {
                    Some(codes) => *texts.get(codes.at(text)?)?,
                    None => self.in_pages,
                });
                text += 1;
                if row > most.0 {
                    most = (row, begun.saturating_sub(1));
                }
            }
        }
        Some(most)
    }
}

/// Repetition levels, definition levels and values of a page of a repeated column; `None` for pages of old kinds.
fn sections(page: &Page) -> Option<[Bytes; 3]> {
    let buf = page.buffer();
    let split = |from: usize, middle: usize, to: usize| {
        let within = from <= middle && middle <= to && to <= buf.len();
        within.then(|| (buf.slice(from..middle), buf.slice(middle..to), buf.slice(to..)))
    };
    match page {
        Page::DataPage {
            rep_level_encoding: Encoding::RLE,
            def_level_encoding: Encoding::RLE,
            ..
        } => {
            // Each behind four bytes with its length.
            let length = |at: usize| -> Option<usize> {
                Some(index(u32::from_le_bytes(*buf.get(at..)?.first_chunk()?)))
            };
            let first = 4usize.checked_add(length(0)?)?;
            let second = first.checked_add(4)?;
            let end = second.checked_add(length(first)?)?;
            let (repetitions, _, _) = split(4, first, first)?;
            let (definitions, _, values) = split(second, end, end)?;
            Some([repetitions, definitions, values])
        }
        Page::DataPageV2 { rep_levels_byte_len, def_levels_byte_len, .. } => {
            let first = index(*rep_levels_byte_len);
            let end = first.checked_add(index(*def_levels_byte_len))?;
            let (repetitions, definitions, values) = split(0, first, end)?;
            Some([repetitions, definitions, values])
        }
        _ => None,
    }
}

/// How long the texts of a column's dictionary are; `None` where it cannot be read.
fn dictionary_lengths(chunk: &ColumnChunkMetaData, fetched: &Fetched) -> Option<Vec<u64>> {
    let rows = usize::try_from(chunk.num_values()).unwrap_or(0);
    let page = SerializedPageReader::new(Arc::new(fetched.clone()), chunk, rows, None)
        .and_then(|mut pages| pages.get_next_page());
    match page {
        Ok(Some(Page::DictionaryPage { buf, .. })) => lengths_of(&buf),
        _ => None,
    }
}

/// The lengths of a page's texts, each behind four bytes with its own; `None` where a text reaches past the end.
fn lengths_of(page: &[u8]) -> Option<Vec<u64>> {
    let (mut rest, mut lengths) = (page, Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        rest = behind.get(usize::try_from(length).ok()?..)?;
        lengths.push(u64::from(length));
    }
    Some(lengths)
}
