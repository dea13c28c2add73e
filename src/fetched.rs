//! The parts of a Parquet file that were fetched, as readers want them.

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};

/// Bytes of a file of which only parts are here.
#[derive(Clone)]
pub struct Fetched {
    /// Of the whole file.
    pub size: u64,
    /// Offset and bytes.
    pub parts: Vec<(u64, Bytes)>,
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.size
    }
}

impl Fetched {
    /// Whether the columns are here from their first byte to their last.
    pub fn holds_all(&self, group: &RowGroupMetaData, leaves: &[usize]) -> bool {
        leaves.iter().filter_map(|leaf| group.columns().get(*leaf)).all(|column| {
            let (start, length) = column.byte_range();
            self.parts.iter().any(|(from, bytes)| {
                *from <= start && start.saturating_add(length) <= from + bytes.len() as u64
            })
        })
    }

    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        self.parts
            .iter()
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
