//! Which records of a CSV file are one leaf of its Merkle tree: those that stand below each other with the same scope
//! and app, some of them at a time (docs/verify.md). So a leaf of a table with `app_id` shows one app alone, whatever its
//! days, and a tree over days takes a quarter to a third of the hashing that a leaf for each record took.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;

use super::frames;
use super::records::Cells;
use super::texts::Texts;

/// Columns whose cells are the same in all records of a leaf. A table may have none of them.
pub const COLUMNS: [&str; 2] = ["scope", "app_id"];

/// The most records of a leaf.
pub const RECORDS: usize = 64;

/// Where the leaves of a table end.
pub struct Leaves<'a> {
    columns: Vec<Column<'a>>,
    rows: usize,
}

enum Column<'a> {
    /// Up to the row, cells are those of the row that was looked at last.
    Texts(Texts<'a>, usize),
    Other(Cells<'a>),
}

impl<'a> Leaves<'a> {
    /// # Errors
    /// Types that cannot be written as text.
    pub fn of(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        let columns = COLUMNS.iter().filter_map(|name| batch.schema_ref().index_of(name).ok());
        let columns = columns.filter_map(|at| batch.columns().get(at)).map(Column::of);
        Ok(Self { columns: columns.collect::<Result<_, _>>()?, rows: batch.num_rows() })
    }

    /// The row behind the leaf that begins at a row; later rows are asked for later.
    ///
    /// # Errors
    /// Values that cannot be shown.
    pub fn end(&mut self, row: usize) -> Result<usize, ArrowError> {
        let most = self.rows.min(row + RECORDS);
        self.columns.iter_mut().try_fold(most, |most, column| column.end(row, most))
    }
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        Ok(match Texts::of(array) {
            Some(texts) => Self::Texts(texts, 0),
            None => Self::Other(Cells::of(array)?),
        })
    }

    /// Where cells end that are those of a row, before `most`.
    fn end(&mut self, row: usize, most: usize) -> Result<usize, ArrowError> {
        match self {
            Self::Texts(texts, until) => {
                // What a file shows alike is alike, whatever it is.
                let cell = |row| texts.get(row).map(frames::csv_cell).unwrap_or_default();
                if *until <= row {
                    *until = texts.run_end(row);
                }
                while *until < most && cell(row) == cell(*until) {
                    *until = texts.run_end(*until);
                }
                Ok(most.min(*until))
            }
            Self::Other(cells) => {
                let (mut first, mut other) = (Vec::new(), Vec::new());
                cells.write(row, &mut first)?;
                for next in row + 1..most {
                    other.clear();
                    cells.write(next, &mut other)?;
                    if other != first {
                        return Ok(next);
                    }
                }
                Ok(most)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;

    use super::*;
    use crate::impact::{Block, ImpactError, Table};
    use crate::publish::merkle::{RowTree, leaves, table};

    /// Few texts, of which some look alike.
    fn text() -> impl Strategy<Value = Option<String>> {
        prop_oneof![
            1 => Just(None),
            1 => Just(Some(String::new())),
            4 => Just(Some("a".to_string())),
            2 => Just(Some("b\n\",".to_string())),
            1 => Just(Some("=a".to_string())),
            1 => Just(Some("'=a".to_string())),
        ]
    }

    fn array(which: u8, texts: &[(Option<String>, usize)]) -> ArrayRef {
        let rows =
            || texts.iter().flat_map(|(text, rows)| std::iter::repeat_n(text.as_deref(), *rows));
        match which {
            0 => Arc::new(rows().collect::<StringArray>()),
            1 => Arc::new(rows().collect::<DictionaryArray<Int32Type>>()),
            _ => Arc::new(
                rows().map(|text| text.map(|text| text.len() as i64 / 2)).collect::<Int64Array>(),
            ),
        }
    }

    proptest! {
        #[test]
        fn leaves_of_a_table_are_those_that_its_file_shows(
            columns in proptest::collection::vec((0u8..3, 0usize..4), 1..4),
            runs in proptest::collection::vec(
                proptest::collection::vec((text(), prop_oneof![1usize..4, 60usize..70]), 1..8),
                3,
            ),
        ) {
            let all: Vec<ArrayRef> =
                columns.iter().zip(&runs).map(|((which, _), runs)| array(*which, runs)).collect();
            let rows = all.iter().map(|array| array.len()).min().unwrap();
            let mut names = vec!["scope", "app_id", "day", "other"];
            let named = columns.iter().zip(all).map(|((_, name), array)| {
                let name = names.remove(name % names.len());
                (name, array.slice(0, rows), true)
            });
            let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
            let (mut tree, mut ends, mut before) = (RowTree::default(), Vec::new(), 0);
            let all = Table { name: "t".into(), batch };
            all.csv_blocks(true, |block: Block| {
                tree.take(&block);
                ends.extend(block.leaf_ends.iter().map(|end| before + end));
                before += block.bytes.len();
                Ok::<(), ImpactError>(())
            }).unwrap();
            let csv = all.csv().unwrap();
            let mut end = 0;
            let expected = leaves(&csv).map(|of| {
                end += of.bytes.len() + 1;
                end
            });
            prop_assert_eq!(ends, expected.collect::<Vec<_>>());
            prop_assert_eq!(tree.part("t"), table("t", &csv));
        }
    }
}
