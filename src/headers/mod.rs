//! Headers of pages, looked at before a page is decompressed: how much that will take, and whether damage
//! in it would be seen.
//!
//! The library takes as much memory as a header asks for, and two of its decompressors go on for as long
//! as they find something: a file of a kilobyte could take all that a machine has.

mod large;
mod texts;

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::basic::{Compression, Type as PhysicalType};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};

use crate::fetched::Fetched;
use crate::thrift::{Leaf, walk};
use texts::{Texts, page};

pub use large::{Large, LongRow};
pub use texts::NoRoom;

/// What of a DEFLATE stream comes out for a byte that went in: at most so many.
const LARGEST_DEFLATE: u64 = 1032;

/// The same of LZ4.
const LARGEST_LZ4: u64 = 255;

/// How an LZ4 stream of its own framing begins; the library takes it where Hadoop's should be.
const LZ4_FRAME: &[u8] = &[0x04, 0x22, 0x4d, 0x18];

/// What a reader keeps for a value of a repeated column beside the value: levels, and its place.
const REPEATED_VALUE: u64 = 8;

/// What the headers of several columns' pages say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Bytes that one page of each column takes, with the column's dictionary: the largest.
    pub bytes: u64,
    /// Whether a page has no checksum.
    pub unchecked: bool,
    /// How many pages there are.
    pub pages: u64,
    /// Bytes of all of them, decompressed.
    pub all_bytes: u64,
    /// The largest page of a single value.
    single: Option<LongRow>,
    texts: Vec<Texts>,
}

/// Looks at all pages of the columns that were fetched. Where a page does not say what it will take
/// (or lies), it is decompressed once to count, if it could exceed `room` bytes. With the row group's part of an offset
/// index, a page has the rows that it says.
///
/// # Errors
/// What is wrong with the pages.
pub fn look(
    group: &RowGroupMetaData,
    leaves: &[usize],
    fetched: &Fetched,
    room: u64,
    index: Option<&[OffsetIndexMetaData]>,
) -> Result<Headers, String> {
    let mut sum = Headers::default();
    let mut leaves = leaves.to_vec();
    leaves.sort_unstable();
    leaves.dedup();
    for (leaf, column) in
        leaves.into_iter().filter_map(|leaf| Some((leaf, group.columns().get(leaf)?)))
    {
        let places = index.and_then(|index| index.get(leaf)).map(|index| index.page_locations());
        let rows = group.num_rows();
        let places = Places { pages: places.map_or(&[], Vec::as_slice), rows };
        let own = Column { chunk: column, leaf, room, places }.look(fetched);
        let own =
            own.map_err(|what| format!("column `{}`: {what}", column.column_path().string()))?;
        sum.bytes = sum.bytes.saturating_add(own.bytes);
        sum.unchecked |= own.unchecked;
        sum.pages += own.pages;
        sum.all_bytes = sum.all_bytes.saturating_add(own.all_bytes);
        sum.texts.extend(own.texts);
        sum.single = sum.single.into_iter().chain(own.single).max_by_key(|row| row.bytes);
    }
    Ok(sum)
}

impl Headers {
    /// The row whose value takes most of what the largest pages take, where one does.
    pub fn long_row(&self) -> Option<LongRow> {
        self.single.clone().filter(|row| row.bytes > self.bytes / 2)
    }
}

struct Column<'a> {
    chunk: &'a ColumnChunkMetaData,
    leaf: usize,
    room: u64,
    places: Places<'a>,
}

/// Where pages begin by an offset index; none without one.
struct Places<'a> {
    pages: &'a [PageLocation],
    /// Of the row group.
    rows: i64,
}

impl Places<'_> {
    /// Rows of the page that begins at an offset.
    fn rows_at(&self, offset: u64) -> Option<i64> {
        let offset = i64::try_from(offset).ok()?;
        let at = self.pages.binary_search_by_key(&offset, |page| page.offset).ok()?;
        let end = self.pages.get(at + 1).map_or(self.rows, |next| next.first_row_index);
        end.checked_sub(self.pages.get(at)?.first_row_index)
    }
}

impl Column<'_> {
    fn look(&self, fetched: &Fetched) -> Result<Headers, String> {
        let (start, length) = self.chunk.byte_range();
        let end = start.saturating_add(length);
        let values = u64::try_from(self.chunk.num_values()).unwrap_or(0);
        let mut headers = Headers::default();
        let repeated = self.chunk.column_descr().max_rep_level() > 0;
        let (mut dictionary, mut largest, mut seen, mut densest) = (0, 0, 0u64, 0);
        // Bytes, and the row.
        let mut single = (0, None);
        let mut pages = Vec::new();
        for (from, part) in fetched.beginning_in(start..end) {
            let inside = usize::try_from(end - from).unwrap_or(usize::MAX).min(part.len());
            let mut rest = part.slice(..inside);
            let part_end = from.saturating_add(inside as u64);
            // Behind the last value some writers leave bytes that are no page.
            while !rest.is_empty() && seen < values {
                let header = Header::read(&rest).ok_or_else(|| {
                    format!("no header of a page {} bytes before its end", rest.len())
                })?;
                let body = header.body(&rest)?;
                self.check(&header, &body)?;
                let offset = part_end - rest.len() as u64;
                rest = rest.slice(header.length + body.len()..);
                headers.unchecked |= !header.checked && header.kind != Kind::Other;
                headers.pages += 1;
                headers.all_bytes = headers.all_bytes.saturating_add(header.uncompressed);
                match header.kind {
                    Kind::Dictionary => {
                        dictionary = header.uncompressed;
                        if header.values == 1 {
                            single = (header.uncompressed, None);
                        }
                    }
                    Kind::Data => {
                        if header.values == 1 && header.uncompressed > single.0 {
                            single = (header.uncompressed, Some(seen));
                        }
                        if let Some(rows) = self.places.rows_at(offset).filter(|_| !repeated)
                            && i64::try_from(header.values) != Ok(rows)
                        {
                            let values = header.values;
                            return Err(format!(
                                "a page of {rows} rows says that it has {values} values"
                            ));
                        }
                        seen = seen.saturating_add(header.values);
                        if seen > values {
                            return Err(format!("its pages have more than its {values} values"));
                        }
                        if repeated && dictionary > 0 {
                            pages.push(page(offset, header.length + body.len()));
                        }
                        let levels = if repeated { header.values * REPEATED_VALUE } else { 0 };
                        largest = largest.max(header.uncompressed.saturating_add(levels));
                        densest = densest.max(header.uncompressed.div_ceil(header.values.max(1)));
                    }
                    Kind::Other => {}
                }
            }
        }
        // Rows of a page that says too few would be those of the next one: with other values than theirs.
        let mut parts = fetched.beginning_in(start..end);
        let is_whole = parts
            .next()
            .is_some_and(|(from, part)| *from == start && end <= from + part.len() as u64);
        if seen != values && is_whole {
            return Err(format!("its pages have {seen} values where {values} should be"));
        }
        headers.bytes = dictionary.saturating_add(largest);
        headers.single = (single.0 > 0).then(|| LongRow {
            column: self.chunk.column_path().string(),
            // Pages that were not fetched, and rows of several values, are not counted.
            number: single.1.filter(|_| seen == values && !repeated),
            bytes: single.0,
        });
        let (leaf, all_pages) = (self.leaf, seen == values);
        let texts =
            |in_pages, dictionary| Texts { leaf, values, in_pages, dictionary, pages, all_pages };
        headers.texts.extend(match self.chunk.column_type() {
            PhysicalType::BYTE_ARRAY => Some(texts(densest, dictionary)),
            PhysicalType::FIXED_LEN_BYTE_ARRAY => {
                let length = self.chunk.column_descr().type_length();
                Some(texts(u64::try_from(length).unwrap_or(0), 0))
            }
            _ => None,
        });
        Ok(headers)
    }

    /// Whether a page takes what its header says.
    fn check(&self, header: &Header, body: &Bytes) -> Result<(), String> {
        let claimed = header.uncompressed;
        let differs = |found: String| {
            Err(format!("a page says that it has {claimed} bytes decompressed, and has {found}"))
        };
        // A value of a dictionary takes a byte at the least.
        if header.kind == Kind::Dictionary && header.values > claimed {
            return differs(format!("{} values", header.values));
        }
        let codec = self.chunk.compression();
        if header.kind == Kind::Other || body.is_empty() {
            return Ok(());
        }
        if !header.compressed || codec == Compression::UNCOMPRESSED {
            return if claimed == body.len() as u64 {
                Ok(())
            } else {
                differs(format!("{}, not compressed", body.len()))
            };
        }
        let Some(stream) = body.get(header.levels..).filter(|_| header.levels as u64 <= claimed)
        else {
            return differs(format!("{} bytes of levels", header.levels));
        };
        let limit = claimed - header.levels as u64;
        let could_take = |each: u64| (stream.len() as u64).saturating_mul(each) > self.room;
        match codec {
            Compression::ZSTD(_) => match zstd::zstd_safe::get_frame_content_size(stream) {
                Ok(Some(size)) if size > limit => differs(format!("at least {size}")),
                _ => Ok(()),
            },
            Compression::GZIP(_) if could_take(LARGEST_DEFLATE) => {
                fits(MultiGzDecoder::new(stream), limit).or_else(differs)
            }
            Compression::BROTLI(_) => {
                fits(brotli::Decompressor::new(stream, 4096), limit).or_else(differs)
            }
            Compression::LZ4 if stream.starts_with(LZ4_FRAME) && could_take(LARGEST_LZ4) => {
                Err(format!(
                    "a page of {} bytes is an LZ4 stream of its own framing, which does not say how much it takes",
                    stream.len()
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a stream gives at most `limit` bytes; other faults are for who reads it to tell.
fn fits(stream: impl Read, limit: u64) -> Result<(), String> {
    let mut counted = stream.take(limit.saturating_add(1));
    match std::io::copy(&mut counted, &mut std::io::sink()) {
        Ok(taken) if taken > limit => Err("more".into()),
        _ => Ok(()),
    }
}

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Dictionary,
    Data,
    /// Passed over by readers.
    Other,
}

/// The header of a page.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub kind: Kind,
    /// Its own bytes.
    pub length: usize,
    /// Those of the page that follows; what of them is decompressed.
    pub stored: i64,
    uncompressed: u64,
    pub values: u64,
    /// Bytes of levels at the beginning, which are as they are.
    levels: usize,
    compressed: bool,
    checked: bool,
}

impl Header {
    /// `None` where there is no header.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (mut kind, mut uncompressed, mut stored) = (None, None, None);
        let (mut checked, mut compressed) = (false, true);
        let (mut values, mut levels) = ([None; 3], 0i64);
        // Numbers of fields: parquet.thrift, PageHeader.
        let length = walk(bytes, |path, leaf| match (path, leaf) {
            ([1], Leaf::Number(number)) => kind = Some(number),
            ([2], Leaf::Number(number)) => uncompressed = Some(number),
            ([3], Leaf::Number(number)) => stored = Some(number),
            ([4], Leaf::Number(_)) => checked = true,
            // Of a page of data, of a dictionary, of a page of the second version: that of another kind says nothing.
            ([5, 1], Leaf::Number(number)) => values[0] = Some(number),
            ([7, 1], Leaf::Number(number)) => values[1] = Some(number),
            ([8, 1], Leaf::Number(number)) => values[2] = Some(number),
            ([8, 5 | 6], Leaf::Number(number)) => levels = levels.saturating_add(number),
            ([8, 7], Leaf::Truth(truth)) => compressed = truth,
            _ => {}
        })?;
        let [first, dictionary, second] = values;
        let (kind, values) = match kind? {
            0 => (Kind::Data, first),
            3 => (Kind::Data, second),
            2 => (Kind::Dictionary, dictionary),
            _ => (Kind::Other, None),
        };
        Some(Self {
            kind,
            length,
            stored: stored?,
            uncompressed: u64::try_from(uncompressed?).ok()?,
            values: u64::try_from(values.unwrap_or(0)).ok()?,
            levels: usize::try_from(levels).ok()?,
            compressed,
            checked,
        })
    }

    /// The page behind it.
    fn body(&self, bytes: &Bytes) -> Result<Bytes, String> {
        let behind = bytes.len().saturating_sub(self.length);
        let stored = usize::try_from(self.stored).ok().filter(|stored| *stored <= behind);
        let stored = stored.ok_or_else(|| {
            format!("a page says that it has {} bytes, where {behind} are", self.stored)
        })?;
        Ok(bytes.slice(self.length..self.length + stored))
    }
}
