//! The parts of a Parquet file that were fetched, as readers want them.

use std::ops::Range;

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};

/// Bytes of a file of which only parts are here.
#[derive(Clone)]
pub struct Fetched {
    /// Of the whole file.
    size: u64,
    /// Offset and bytes, by their offsets: there may be one for each of many thousand columns.
    parts: Vec<(u64, Bytes)>,
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.size
    }
}

impl Fetched {
    /// Parts of a file of so many bytes: offset and bytes, in whatever order.
    pub fn new(size: u64, mut parts: Vec<(u64, Bytes)>) -> Self {
        parts.sort_by_key(|(offset, _)| *offset);
        Self { size, parts }
    }

    /// The first part; nothing where there is none.
    pub fn first(&self) -> (u64, Bytes) {
        self.parts.first().cloned().unwrap_or_default()
    }

    /// Bytes of all parts.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Parts that begin in a range of offsets.
    pub fn beginning_in(&self, range: Range<u64>) -> impl Iterator<Item = &(u64, Bytes)> {
        let from = self.parts.partition_point(|(offset, _)| *offset < range.start);
        let parts = self.parts.get(from..).unwrap_or_default().iter();
        parts.take_while(move |(offset, _)| *offset < range.end)
    }

    /// Parts that begin at an offset or before it, the nearest first.
    fn up_to(&self, at: u64) -> impl Iterator<Item = &(u64, Bytes)> {
        let to = self.parts.partition_point(|(offset, _)| *offset <= at);
        self.parts.get(..to).unwrap_or_default().iter().rev()
    }

    /// Whether the columns are here from their first byte to their last.
    pub fn holds_all(&self, group: &RowGroupMetaData, leaves: &[usize]) -> bool {
        leaves.iter().filter_map(|leaf| group.columns().get(*leaf)).all(|column| {
            let (start, length) = column.byte_range();
            self.up_to(start)
                .any(|(from, bytes)| start.saturating_add(length) <= from + bytes.len() as u64)
        })
    }

    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        self.up_to(start)
            .find_map(|(offset, bytes)| {
                let at = usize::try_from(start.checked_sub(*offset)?).ok()?;
                (at < bytes.len()).then(|| bytes.slice(at..))
            })
            .ok_or_else(|| {
                ParquetError::EOF(format!("byte {start} belongs to no part that was fetched"))
            })
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from {start} reach past their part"
            )));
        }
        Ok(bytes.slice(..length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_in_parts_of_whatever_order() {
        let part = |from: u64, to: u64| (from, (from..to).map(|at| at as u8).collect::<Bytes>());
        let fetched = Fetched::new(100, vec![part(50, 60), part(4, 10), part(10, 20)]);
        for (start, length, wanted) in
            [(4, 6, Some(4)), (9, 1, Some(9)), (10, 10, Some(10)), (57, 3, Some(57)), (0, 0, None)]
        {
            let bytes = fetched.get_bytes(start, length).unwrap();
            assert_eq!((bytes.len(), bytes.first().copied()), (length, wanted), "{start}");
        }
        for (start, length) in [(3, 1), (20, 1), (49, 1), (60, 1), (9, 2), (18, 3)] {
            assert!(fetched.get_bytes(start, length).is_err(), "{start}");
        }
        let begin = |range| fetched.beginning_in(range).map(|(at, _)| *at).collect::<Vec<u64>>();
        assert_eq!(begin(4..50), [4, 10]);
        assert_eq!(begin(5..51), [10, 50]);
        assert_eq!(begin(51..100), [0_u64; 0]);
        assert_eq!((fetched.first().0, fetched.bytes()), (4, 26));
    }
}
