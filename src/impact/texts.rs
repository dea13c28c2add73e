//! Columns of texts of a table: plain, or packed, where texts that stand in many rows below each other are kept once.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::error::ArrowError;

/// A column of texts, plain or packed.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    /// Which text each row has; `None` where each has its own.
    keys: Option<&'a Int32Array>,
    texts: &'a StringArray,
}

impl<'a> Texts<'a> {
    /// `None` of other columns.
    pub fn of(array: &'a ArrayRef) -> Option<Self> {
        if let Some(texts) = array.as_string_opt() {
            return Some(Self { keys: None, texts });
        }
        let packed = array.as_dictionary_opt::<Int32Type>()?;
        Some(Self { keys: Some(packed.keys()), texts: packed.values().as_string_opt()? })
    }

    #[inline]
    fn place(&self, row: usize) -> Option<usize> {
        match self.keys {
            None => self.texts.is_valid(row).then_some(row),
            Some(keys) if keys.is_valid(row) => usize::try_from(keys.value(row)).ok(),
            Some(_) => None,
        }
    }

    pub fn get(&self, row: usize) -> Option<&'a str> {
        Some(self.texts.value(self.place(row)?))
    }

    /// The row behind those from this one on, one below the other, that have its text.
    pub fn run_end(&self, row: usize) -> usize {
        let len = self.keys.map_or(self.texts.len(), Array::len);
        let next = |next: &usize| match self.keys {
            // Without a look at the texts, as long as it is the same.
            Some(keys) if keys.null_count() == 0 && keys.value(*next) == keys.value(row) => true,
            _ => self.compare(row, *next).is_eq(),
        };
        (row + 1..len).find(|row| !next(row)).unwrap_or(len.max(row + 1))
    }

    /// Nulls first.
    #[inline]
    pub fn compare(&self, a: usize, b: usize) -> Ordering {
        match (self.place(a), self.place(b)) {
            (a, b) if a == b => Ordering::Equal,
            (Some(a), Some(b)) => self.texts.value(a).cmp(self.texts.value(b)),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    /// Compares each row with the next where what was compared before is equal; nulls first.
    pub fn compare_next(&self, order: &mut [Ordering]) {
        let Some(keys) = self.keys.filter(|keys| keys.null_count() == 0) else {
            compare_next(order, |a, b| self.compare(a, b));
            return;
        };
        // Most are packed as those above them: then nothing else is looked at.
        let keys = keys.values();
        for (row, (order, (a, b))) in
            order.iter_mut().zip(keys.iter().zip(keys.iter().skip(1))).enumerate()
        {
            if order.is_eq() && a != b {
                *order = self.compare(row, row + 1);
            }
        }
    }
}

/// Compares each row with the next where what was compared before is equal.
pub(super) fn compare_next(order: &mut [Ordering], compare: impl Fn(usize, usize) -> Ordering) {
    for (row, order) in order.iter_mut().enumerate() {
        if order.is_eq() {
            *order = compare(row, row + 1);
        }
    }
}

/// The columns as files have them: plain.
pub(super) fn plain(schema: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, values) => field.as_ref().clone().with_data_type(*values.clone()),
        _ => field.as_ref().clone(),
    };
    Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>())
}

/// The rows with plain columns.
pub(super) fn unpacked(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = plain(batch.schema_ref());
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(array, field)| cast(array, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::new(schema), columns)
}

#[cfg(test)]
mod tests {
    use arrow::array::DictionaryArray;

    use super::*;

    #[test]
    fn packed_texts_are_those_that_they_were() {
        let texts = [None, Some("b"), Some("a"), Some("a"), Some("b"), None];
        let plain: ArrayRef = Arc::new(StringArray::from_iter(texts));
        // The same text may be kept twice.
        let keys = Int32Array::from(vec![None, Some(0), Some(1), Some(1), Some(2), None]);
        let values = Arc::new(StringArray::from(vec!["b", "a", "b"]));
        let packed: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
        for array in [&plain, &packed] {
            let column = Texts::of(array).unwrap();
            for a in 0..texts.len() {
                assert_eq!(column.get(a), texts[a]);
                let run = texts[a..].iter().take_while(|text| **text == texts[a]).count();
                assert_eq!(column.run_end(a), a + run);
                for b in 0..texts.len() {
                    assert_eq!(column.compare(a, b), texts[a].cmp(&texts[b]), "{a} {b}");
                }
            }
        }
        // The order of keys is not that of texts, and two keys have the same text.
        let keys = Int32Array::from(vec![0, 2, 1, 1, 2, 3]);
        let values = Arc::new(StringArray::from(vec!["b", "a", "b", "c"]));
        let whole: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
        for array in [&plain, &packed, &whole, &packed.slice(1, 4), &whole.slice(1, 4)] {
            let column = Texts::of(array).unwrap();
            for first in [Ordering::Equal, Ordering::Greater] {
                let mut order = vec![Ordering::Equal; array.len() - 1];
                order[0] = first;
                let mut expected = order.clone();
                compare_next(&mut expected, |a, b| column.get(a).cmp(&column.get(b)));
                column.compare_next(&mut order);
                assert_eq!(order, expected);
            }
        }
        let batch = |array| RecordBatch::try_from_iter_with_nullable([("t", array, true)]).unwrap();
        assert_eq!(unpacked(&batch(packed)).unwrap(), batch(plain));
    }
}
