//! Pages of a column chunk, decompressed.
//!
//! The library's page reader makes a compressor and a decompressor for each chunk, and decompresses a
//! Zstandard page into one buffer to copy it into another. Such chunks are read from it as if they were
//! not compressed, so that pages come as they lie in the file, and are decompressed here: once, into
//! memory that the page before has left.

use std::cell::RefCell;
use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::SerializedPageReader;
use zstd::bulk::Decompressor;

use super::{Result, index, not_flat};
use crate::fetched::Fetched;

/// Bytes of a page at most: its header holds 31 bits of them.
const LARGEST: usize = i32::MAX as usize;

pub(super) struct Pages {
    reader: SerializedPageReader<Fetched>,
    /// Bytes of all pages, where they are to be decompressed here.
    zstd: Option<usize>,
    /// Memory that the last page has left.
    spare: Vec<u8>,
}

impl Pages {
    /// Pages one after another, or at `places`.
    pub fn open(
        chunk: &ColumnChunkMetaData,
        rows: usize,
        fetched: &Arc<Fetched>,
        places: Option<Vec<PageLocation>>,
    ) -> Result<Self> {
        let zstd = matches!(chunk.compression(), Compression::ZSTD(_))
            .then(|| usize::try_from(chunk.uncompressed_size()).unwrap_or(0));
        let as_they_lie;
        let chunk = match zstd {
            None => chunk,
            Some(_) => {
                let builder = chunk.clone().into_builder();
                as_they_lie = builder.set_compression(Compression::UNCOMPRESSED).build()?;
                &as_they_lie
            }
        };
        let reader = SerializedPageReader::new(fetched.clone(), chunk, rows, places)?;
        Ok(Self { reader, zstd, spare: Vec::new() })
    }

    /// What the header of the next page says.
    pub fn peek(&mut self) -> Result<Option<PageMetadata>> {
        self.reader.peek_next_page()
    }

    pub fn skip(&mut self) -> Result<()> {
        self.reader.skip_next_page()
    }

    /// The next page; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Page>> {
        let Some(mut page) = self.reader.get_next_page()? else { return Ok(None) };
        let Some(limit) = self.zstd else { return Ok(Some(page)) };
        let (bytes, levels) = match &mut page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => (buf, 0),
            Page::DataPageV2 { is_compressed: false, .. } => return Ok(Some(page)),
            // The levels of such a page are never compressed.
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
                (buf, index(*def_levels_byte_len).saturating_add(index(*rep_levels_byte_len)))
            }
        };
        let room = std::mem::take(&mut self.spare);
        *bytes = decompressed(bytes, levels, limit, room)?;
        Ok(Some(page))
    }

    /// Takes the memory of a page that nobody reads any more.
    pub fn give_back(&mut self, page: Bytes) {
        if let Ok(mut page) = page.try_into_mut() {
            page.clear();
            self.spare = page.into();
        }
    }
}

/// A page whose first `levels` bytes are as they are, and the rest one frame of Zstandard. Whatever is
/// wrong with it is for the library to say.
fn decompressed(page: &[u8], levels: usize, limit: usize, room: Vec<u8>) -> Result<Bytes> {
    thread_local! {
        static ZSTD: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::default());
    }
    let (levels, frame) =
        page.split_at_checked(levels).ok_or_else(|| not_flat("the levels of a page end early"))?;
    let mut out = room;
    out.extend_from_slice(levels);
    if frame.is_empty() {
        return Ok(out.into());
    }
    let size = match zstd::zstd_safe::get_frame_content_size(frame) {
        Ok(Some(size)) => usize::try_from(size).ok().filter(|size| *size <= limit.min(LARGEST)),
        _ => None,
    };
    let size = size.ok_or_else(|| not_flat("a page does not say how long it is"))?;
    out.try_reserve_exact(size).map_err(not_flat)?;
    let mut end = Cursor::new(out);
    end.set_position(levels.len() as u64);
    let written = ZSTD
        .with_borrow_mut(|zstd| zstd.decompress_to_buffer(frame, &mut end))
        .map_err(|e| not_flat(format!("a page cannot be decompressed: {e}")))?;
    if written != size {
        return Err(not_flat(format!("a page holds {written} bytes where it says {size}")));
    }
    Ok(end.into_inner().into())
}
