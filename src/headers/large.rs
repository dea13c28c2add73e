//! What of a file has no room in memory, as messages name it.

use std::fmt;

use parquet::file::metadata::RowGroupMetaData;

/// A row group, or a row of it, that has no room in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Large {
    /// Its number, where that is known.
    group: Option<usize>,
    rows: Option<i64>,
    row: Option<LongRow>,
}

/// A row whose values in one column take most of what is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongRow {
    pub column: String,
    /// Its place in the row group, where that is known.
    pub number: Option<u64>,
    /// Bytes of its values there; at most so many where the row is not known.
    pub bytes: u64,
}

impl Large {
    pub fn group(number: usize, rows: Option<i64>) -> Self {
        Self { group: Some(number), rows, row: None }
    }

    pub fn row(group: &RowGroupMetaData, row: Option<LongRow>) -> Self {
        let number = group.ordinal().and_then(|number| usize::try_from(number).ok());
        Self { group: number, rows: Some(group.num_rows()), row }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        if self.row.is_some() || self.rows == Some(1) {
            "give more with --memory-limit; smaller row groups do not help, as it is one row"
        } else {
            "give more with --memory-limit, or write the file in smaller row groups"
        }
    }
}

impl fmt::Display for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.row {
            Some(LongRow { number: Some(number), .. }) => write!(f, "row {number} of ")?,
            Some(_) => f.write_str("a row of ")?,
            None => {}
        }
        match self.group {
            Some(group) => write!(f, "row group {group} (numbers from 0)")?,
            None => f.write_str("one of its row groups")?,
        }
        let Some(LongRow { column, number, bytes }) = &self.row else { return Ok(()) };
        let most = if number.is_some() { "" } else { "up to " };
        write!(f, ", with {most}{bytes} bytes in column `{column}`,")
    }
}
