//! Definition levels: which rows of a page are null, and where the values of the others stand.

use std::ops::Range;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;

use super::{Result, damaged, not_flat};
use crate::codes::{Codes, Run, index};

/// Which rows of a page are null, and what follows: its values. A value that is not null has the level
/// `defined`; where it or a struct around it is null, it has a lower one.
pub(super) fn levels(page: &Page, defined: u32, rows: usize) -> Result<(Option<Valid>, Bytes)> {
    let short = || damaged("the levels of a page end early");
    let slice = |bytes: &Bytes, from: usize, to: usize| {
        (from <= to && to <= bytes.len()).then(|| bytes.slice(from..to)).ok_or_else(short)
    };
    match page {
        Page::DataPage { buf, .. } if defined == 0 => Ok((None, buf.clone())),
        Page::DataPage { buf, def_level_encoding, .. } => {
            if *def_level_encoding != Encoding::RLE {
                return Err(not_flat(format!("levels are encoded as {def_level_encoding}")));
            }
            let length = index(u32::from_le_bytes(*buf.first_chunk().ok_or_else(short)?));
            let end = length.saturating_add(4);
            Ok((valid(slice(buf, 4, end)?, defined, rows)?, slice(buf, end, buf.len())?))
        }
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            let from = index(*rep_levels_byte_len);
            let end = from.saturating_add(index(*def_levels_byte_len));
            // The levels count: some writers give another number of nulls.
            let valid = match defined {
                0 => None,
                _ => valid(slice(buf, from, end)?, defined, rows)?,
            };
            Ok((valid, slice(buf, end, buf.len())?))
        }
        Page::DictionaryPage { .. } => Err(damaged("a dictionary stands among the pages")),
    }
}

/// Definition levels as bits: which are `defined`; `None` where all are.
fn valid(levels: Bytes, defined: u32, rows: usize) -> Result<Option<Valid>> {
    let short = || damaged("the levels of a page end early");
    let mut levels = Codes::of_levels(levels, defined);
    let mut bits = BooleanBufferBuilder::new(rows);
    while bits.len() < rows {
        levels.advance().ok_or_else(short)?;
        let count = (levels.to - levels.from).min(rows - bits.len());
        match levels.run {
            Run::Repeated(level) if level > defined => {
                return Err(damaged(format!(
                    "a page has the level {level} where {defined} is the highest"
                )));
            }
            Run::Repeated(level) => bits.append_n(count, level == defined),
            Run::Packed(at) if defined == 1 => {
                let packed = levels.bytes.get(at..).filter(|b| b.len() * 8 >= count);
                bits.append_packed_range(0..count, packed.ok_or_else(short)?);
            }
            Run::Packed(at) => {
                let packed = levels.which_are(defined, at, count).ok_or_else(short)?;
                bits.append_packed_range(0..count, &packed);
            }
        }
    }
    Ok(Valid::new(bits.finish()))
}

/// Which rows of a page have a value, and where it stands among the values.
pub(super) struct Valid {
    bits: BooleanBuffer,
    /// By 64 rows: which of them have a value, and how many values stand before theirs.
    words: Vec<(u64, usize)>,
    count: usize,
}

impl Valid {
    /// `None` where all rows have a value.
    pub(super) fn new(bits: BooleanBuffer) -> Option<Self> {
        let mut count = 0;
        let words = bits.bit_chunks().iter_padded().map(|word| {
            let before = count;
            count += index(word.count_ones());
            (word, before)
        });
        let words = words.collect();
        (count < bits.len()).then_some(Self { bits, words, count })
    }

    /// How many rows have a value.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether each row has a value.
    pub(super) fn rows(&self) -> impl Iterator<Item = bool> {
        self.bits.iter()
    }

    /// Of rows that follow each other the place of the first value, and which of them have one.
    pub(super) fn run(&self, rows: Range<usize>) -> (usize, BooleanBuffer) {
        (self.place(rows.start).0, self.bits.slice(rows.start, rows.len()))
    }

    /// Whether the row has a value.
    #[inline]
    pub(super) fn has(&self, row: usize) -> bool {
        self.place(row).1
    }

    /// How many values stand before that of the row, and whether it has one.
    #[inline]
    pub(super) fn place(&self, row: usize) -> (usize, bool) {
        // No row past the end has one.
        let (word, before) = self.words.get(row / 64).copied().unwrap_or((0, self.count));
        let bit = 1u64 << (row % 64);
        (before + index((word & (bit - 1)).count_ones()), word & bit != 0)
    }
}
