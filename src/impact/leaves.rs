//! Which records of a CSV file are one leaf of its Merkle tree: those that stand below each other with the same scope
//! and app, some of them at a time (docs/verify.md). So a leaf of a table with `app_id` shows one app alone, whatever its
//! days, and a tree over days takes a quarter to a third of the hashing that a leaf for each record took.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::frames;
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

struct Column<'a> {
    texts: Texts<'a>,
    /// Up to this row cells are those of the row that was looked at last.
    until: usize,
}

impl<'a> Leaves<'a> {
    /// # Errors
    /// Scopes or apps that are no texts, which no table has.
    pub fn of(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &&str| {
            let texts = Texts::of(batch.column_by_name(name)?);
            let none = || ArrowError::SchemaError(format!("column `{name}` has no texts"));
            Some(texts.ok_or_else(none).map(|texts| Column { texts, until: 0 }))
        };
        let columns = COLUMNS.iter().filter_map(column).collect::<Result<_, _>>()?;
        Ok(Self { columns, rows: batch.num_rows() })
    }

    /// The row behind the leaf that begins at a row; later rows are asked for later.
    pub fn end(&mut self, row: usize) -> usize {
        let most = self.rows.min(row + RECORDS);
        self.columns.iter_mut().fold(most, |most, column| column.end(row, most))
    }
}

impl Column<'_> {
    /// Where cells end that are those of a row, before `most`.
    fn end(&mut self, row: usize, most: usize) -> usize {
        let Self { texts, until } = self;
        // What a file shows alike is alike, whatever it is.
        let cell = |row| texts.get(row).map(frames::csv_cell).unwrap_or_default();
        if *until <= row {
            *until = texts.run_end(row);
        }
        while *until < most && cell(row) == cell(*until) {
            *until = texts.run_end(*until);
        }
        most.min(*until)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
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
            // Figures.
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
            let (mut texts, mut figures) = (vec!["scope", "app_id", "day"], vec!["a", "b", "c"]);
            let named = columns.iter().zip(all).map(|((which, name), array)| {
                let names = if *which < 2 { &mut texts } else { &mut figures };
                (names.remove(name % names.len()), array.slice(0, rows), true)
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
            prop_assert_eq!((tree.part("t"), rows + 1), table("t", &csv));
        }
    }
}
