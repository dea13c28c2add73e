//! Tables as CSV: RFC 4180 quoting, `\n` ends, nulls empty.

use arrow::error::ArrowError;

use super::ImpactError;
use super::leaves::Leaves;
use super::output::Table;
use super::records::{self, Records};

/// Bytes of records from which on a block of them is handed on.
const BLOCK: usize = 256 << 10;

/// Some records of a table's CSV file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub bytes: Vec<u8>,
    /// Where each leaf of the file's Merkle tree ends in them, where there is one, its last line end included: all of
    /// them are whole. The line of names is one.
    pub leaf_ends: Vec<usize>,
}

impl Table {
    /// The table as CSV, whole: see [`Self::csv_blocks`].
    ///
    /// # Errors
    /// [`ImpactError::Output`].
    pub fn csv(&self) -> Result<Vec<u8>, ImpactError> {
        let mut all = Vec::new();
        self.csv_blocks(true, |block| {
            all.extend(block.bytes);
            Ok::<(), ImpactError>(())
        })?;
        Ok(all)
    }

    /// The table as CSV. Texts are shown so that neither a spreadsheet nor a terminal acts on them; Parquet has them as
    /// they are. With or without the line of names; handed on some records at a time: one block at least, and what is done
    /// with it finds it in the processor's cache.
    ///
    /// # Errors
    /// [`ImpactError::Output`], and what `take` says.
    pub fn csv_blocks<E: From<ImpactError>>(
        &self,
        with_names: bool,
        mut take: impl FnMut(Block) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed =
            |e: ArrowError| ImpactError::Output { table: self.name.clone(), reason: e.to_string() };
        let mut records = Records::of(&self.batch).map_err(failed)?;
        let mut leaves = Leaves::of(&self.batch).map_err(failed)?;
        let mut block = Block::default();
        if with_names {
            records::names(self.batch.schema_ref(), &mut block.bytes);
            block.leaf_ends.push(block.bytes.len());
        }
        let mut row = 0;
        while row < self.batch.num_rows() {
            if block.bytes.len() >= BLOCK {
                // The next one is about as long.
                let bytes = Vec::with_capacity(block.bytes.len() + block.bytes.len() / 16);
                let leaf_ends = Vec::with_capacity(block.leaf_ends.len());
                take(std::mem::replace(&mut block, Block { bytes, leaf_ends }))?;
                records.begin();
            }
            let end = leaves.end(row);
            for row in row..end {
                records.write(row, &mut block.bytes).map_err(failed)?;
            }
            block.leaf_ends.push(block.bytes.len());
            row = end;
        }
        take(block)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    use super::*;

    #[test]
    fn blocks_hold_whole_records_and_are_the_file_together() {
        let days = (0..40_000).map(|i| Some(format!("{}, \"x\"\n{}", i / 11, i / 3_000)));
        let days: ArrayRef = Arc::new(days.collect::<StringArray>());
        let figures: ArrayRef = Arc::new(Int64Array::from_iter_values(0..40_000));
        let columns = [("text", days, true), ("figure", figures, true)];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let table = Table { name: "t".into(), batch };
        let mut blocks = Vec::new();
        let take = |block: Block| {
            blocks.push(block);
            Ok::<(), ImpactError>(())
        };
        table.csv_blocks(true, take).unwrap();
        assert!(blocks.len() > 2, "{}", blocks.len());
        for Block { bytes, leaf_ends } in &blocks {
            assert!(bytes.len() < BLOCK + 64 * 100 && bytes.ends_with(b"\n"));
            assert_eq!(leaf_ends.last(), Some(&bytes.len()));
        }
        let mut expected = Vec::new();
        records::names(table.batch.schema_ref(), &mut expected);
        let mut records = Records::of(&table.batch).unwrap();
        (0..40_000).for_each(|row| records.write(row, &mut expected).unwrap());
        let blocks: Vec<Vec<u8>> = blocks.into_iter().map(|block| block.bytes).collect();
        assert_eq!(blocks.concat(), expected);
        assert_eq!(table.csv().unwrap(), expected);
    }
}
