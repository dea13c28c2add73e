//! Rows of one row group of a pack, a batch at a time.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};

use super::LedgerError;
use super::shelf::Groups;
use crate::codes::index;
use crate::fetched::Fetched;
use crate::scan::pages::{FlatColumns, Rows};

/// Rows of a row group.
pub enum Wanted {
    /// All of so many.
    All(usize),
    /// Some, ascending.
    Some(Vec<u32>),
}

/// Wanted rows of some columns. Nothing is made of rows and columns that nobody asked for.
pub struct GroupRows {
    wanted: Wanted,
    /// How many were given.
    given: usize,
    flat: FlatColumns,
    /// Columns that are not flat, of the same rows.
    others: Option<ParquetRecordBatchReader>,
    /// Rows of a batch at most.
    most: usize,
}

impl GroupRows {
    /// # Errors
    /// Damaged packs.
    pub fn open(
        (groups, group): (&Groups, usize),
        fetched: &Arc<Fetched>,
        leaves: &[usize],
        wanted: Wanted,
        most: usize,
    ) -> Result<Self, LedgerError> {
        let (mut flat, mut others) = (FlatColumns::default(), None);
        let (selected, is_any) = match &wanted {
            Wanted::All(rows) => (None, *rows > 0),
            Wanted::Some(rows) => (Some(rows), !rows.is_empty()),
        };
        if is_any {
            let leaves = leaves.iter().copied();
            let rest;
            (flat, rest) = FlatColumns::open(&groups.metadata, group, leaves, fetched)
                .map_err(|e| groups.damaged(e))?;
            if !rest.is_empty() {
                let selected = selected.map(|rows| selection(rows, groups.rows(group)));
                let fetched = fetched.as_ref().clone();
                others = Some(groups.columns(group, fetched, rest, selected, most)?);
            }
        }
        Ok(Self { wanted, given: 0, flat, others, most })
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// What is damaged, in words.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, String> {
        let from = self.given;
        let rows = match &self.wanted {
            Wanted::All(rows) => Rows::Run(from..from.saturating_add(self.most).min(*rows)),
            Wanted::Some(rows) => {
                let rows = rows.get(from..).unwrap_or_default();
                Rows::Some(rows.get(..self.most).unwrap_or(rows))
            }
        };
        if rows.first().is_none() {
            return Ok(None);
        }
        self.given += rows.len();
        let (mut fields, mut arrays): (Vec<_>, Vec<_>) =
            self.flat.read(rows).map_err(|e| e.to_string())?.into_iter().unzip();
        // The library fills each batch, so that all columns are of the same rows; another number of them is an error.
        if let Some(others) = &mut self.others {
            let batch = others.next().ok_or("a column ends early")?.map_err(|e| e.to_string())?;
            fields.extend(batch.schema().fields().iter().cloned());
            arrays.extend(batch.columns().iter().cloned());
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
        batch.map(Some).map_err(|e| e.to_string())
    }
}

/// `rows`, ascending, of so many.
fn selection(rows: &[u32], of: usize) -> RowSelection {
    let ranges = rows.chunk_by(|a, b| a + 1 == *b).filter_map(|run| {
        let first = index(*run.first()?);
        Some(first..first + run.len())
    });
    RowSelection::from_consecutive_ranges(ranges, of)
}
