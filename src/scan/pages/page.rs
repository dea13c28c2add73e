//! One page of a column, decompressed: values are taken where they lie.

use std::ops::Range;

use arrow::array::NullBufferBuilder;
use arrow::buffer::{BooleanBuffer, NullBuffer};
use bytes::Bytes;
use parquet::errors::ParquetError;

use super::levels::Valid;
use super::{Result, chunk, damaged};
use crate::codes::{Codes, index};

/// Rows of a row group that are wanted, ascending.
#[derive(Clone, Debug)]
pub(crate) enum Rows<'a> {
    /// Some of them.
    Some(&'a [u32]),
    /// Rows that follow each other: what they have is taken in one go.
    Run(Range<usize>),
}

impl Rows<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::Some(rows) => rows.len(),
            Self::Run(rows) => rows.len(),
        }
    }

    pub fn first(&self) -> Option<usize> {
        match self {
            Self::Some(rows) => rows.first().map(|row| index(*row)),
            Self::Run(rows) => (!rows.is_empty()).then_some(rows.start),
        }
    }

    /// Those before the row `end`, which are taken out.
    pub fn take_before(&mut self, end: usize) -> Self {
        match self {
            Self::Some(rows) => {
                let count = rows.partition_point(|row| index(*row) < end);
                let (here, after) = rows.split_at_checked(count).unwrap_or((rows, &[]));
                *rows = after;
                Self::Some(here)
            }
            Self::Run(rows) => {
                let end = end.clamp(rows.start, rows.end);
                Self::Run(std::mem::replace(&mut rows.start, end)..end)
            }
        }
    }
}

/// How values lie in a page of plain encoding.
pub(super) trait Plain<T> {
    /// The value at a place; `None` past the end.
    fn at(&self, bytes: &[u8], place: usize) -> Option<T>;

    /// Appends the values at places that follow each other; `None` past the end.
    fn run(&self, bytes: &[u8], places: Range<usize>, out: &mut Vec<T>) -> Option<()>;
}

/// Values of `N` bytes each.
pub(super) struct Whole<F, const N: usize>(pub F);

impl<T, F: Fn([u8; N]) -> T, const N: usize> Plain<T> for Whole<F, N> {
    #[inline]
    fn at(&self, bytes: &[u8], place: usize) -> Option<T> {
        chunk(bytes, place).map(|bytes| self.0(*bytes))
    }

    fn run(&self, bytes: &[u8], places: Range<usize>, out: &mut Vec<T>) -> Option<()> {
        let (values, _) = bytes.as_chunks();
        out.extend(values.get(places)?.iter().map(|bytes| self.0(*bytes)));
        Some(())
    }
}

/// Values of a bit each.
pub(super) struct Bits;

impl Plain<bool> for Bits {
    #[inline]
    fn at(&self, bytes: &[u8], place: usize) -> Option<bool> {
        bytes.get(place / 8).map(|byte| byte >> (place % 8) & 1 == 1)
    }

    fn run(&self, bytes: &[u8], mut places: Range<usize>, out: &mut Vec<bool>) -> Option<()> {
        places.try_for_each(|place| {
            out.push(self.at(bytes, place)?);
            Some(())
        })
    }
}

/// Values that never lie plain.
pub(super) struct Never;

impl<T> Plain<T> for Never {
    fn at(&self, _: &[u8], _: usize) -> Option<T> {
        None
    }

    fn run(&self, _: &[u8], _: Range<usize>, _: &mut Vec<T>) -> Option<()> {
        None
    }
}

/// Values that were taken; those of nulls stand for nothing.
pub(super) struct Taken<T> {
    values: Vec<T>,
    nulls: NullBufferBuilder,
}

impl<T: Copy + Default> Taken<T> {
    /// Room for so many.
    pub fn of(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }

    pub fn finish(mut self) -> (Vec<T>, Option<NullBuffer>) {
        let nulls = self.nulls.finish();
        (self.values, nulls)
    }

    /// Appends the values of rows of a page, which ascend, as `value` gives them by their places. Whether one is missing is
    /// asked at the end, and no null is guessed: what is wanted has no pattern.
    fn take(
        &mut self,
        rows: impl ExactSizeIterator<Item = usize> + Clone,
        valid: Option<&Valid>,
        mut value: impl FnMut(usize) -> Option<T>,
    ) -> Result<()> {
        let mut is_short = false;
        match valid {
            None => {
                self.nulls.append_n_non_nulls(rows.len());
                self.values.extend(rows.map(|row| {
                    let value = value(row);
                    is_short |= value.is_none();
                    value.unwrap_or_default()
                }));
            }
            Some(valid) => {
                let mut places = rows.clone();
                let is_value = |_| places.next().is_some_and(|row| valid.has(row));
                let is_value = BooleanBuffer::collect_bool(rows.len(), is_value);
                self.nulls.append_buffer(&NullBuffer::new(is_value));
                self.values.extend(rows.map(|row| {
                    let (place, is_value) = valid.place(row);
                    let value = value(place);
                    is_short |= is_value & value.is_none();
                    if is_value { value.unwrap_or_default() } else { T::default() }
                }));
            }
        }
        if is_short { Err(short()) } else { Ok(()) }
    }

    /// Moves the last values, of rows that have one, to the places of their rows.
    fn spread(&mut self, from: usize, rows: &BooleanBuffer) {
        let mut next = self.values.len();
        self.values.resize(from + rows.len(), T::default());
        let values = self.values.as_mut_slice();
        for row in (0..rows.len()).rev() {
            let value = if rows.value(row) {
                next -= 1;
                values.get(next).copied().unwrap_or_default()
            } else {
                T::default()
            };
            if let Some(place) = values.get_mut(from + row) {
                *place = value;
            }
        }
    }
}

pub(super) struct DataPage {
    pub first: usize,
    pub end: usize,
    /// `None` where no value is null.
    pub valid: Option<Valid>,
    pub values: Values,
}

pub(super) enum Values {
    Plain(Bytes),
    Codes(Codes),
}

impl DataPage {
    /// Appends the values of `rows`, which are all of this page.
    pub fn take<T: Copy + Default>(
        &mut self,
        rows: Rows<'_>,
        plain: &impl Plain<T>,
        coded: impl Fn(usize) -> Option<T>,
        out: &mut Taken<T>,
    ) -> Result<()> {
        match (rows, &self.values) {
            (Rows::Some(rows), _) => {
                self.take_each(rows.iter().map(|row| index(*row)), plain, coded, out)
            }
            (Rows::Run(rows), Values::Codes(_)) => self.take_each(rows, plain, coded, out),
            (Rows::Run(rows), Values::Plain(bytes)) => {
                let here = rows.start - self.first..rows.end - self.first;
                let from = out.values.len();
                let Some(valid) = &self.valid else {
                    out.nulls.append_n_non_nulls(here.len());
                    return plain.run(bytes, here, &mut out.values).ok_or_else(short);
                };
                let (first, rows) = valid.run(here);
                let places = first..first + rows.count_set_bits();
                plain.run(bytes, places, &mut out.values).ok_or_else(short)?;
                out.spread(from, &rows);
                out.nulls.append_buffer(&NullBuffer::new(rows));
                Ok(())
            }
        }
    }

    /// Rows of this page that follow each other as bits, and where they stand; `None` where they lie otherwise, or some
    /// are null.
    pub fn bits_of(&self, rows: &Rows<'_>) -> Option<Result<(&[u8], Range<usize>)>> {
        let (Rows::Run(rows), None, Values::Plain(bytes)) = (rows, &self.valid, &self.values)
        else {
            return None;
        };
        let places = rows.start - self.first..rows.end - self.first;
        let fits = places.end <= bytes.len().saturating_mul(8);
        Some(fits.then_some((bytes.as_ref(), places)).ok_or_else(short))
    }

    fn take_each<T: Copy + Default>(
        &mut self,
        rows: impl ExactSizeIterator<Item = usize> + Clone,
        plain: &impl Plain<T>,
        coded: impl Fn(usize) -> Option<T>,
        out: &mut Taken<T>,
    ) -> Result<()> {
        let first = self.first;
        let (rows, valid) = (rows.map(|row| row - first), self.valid.as_ref());
        match &mut self.values {
            Values::Plain(bytes) => out.take(rows, valid, |at| plain.at(bytes, at)),
            Values::Codes(codes) => out.take(rows, valid, |at| codes.at(at).and_then(&coded)),
        }
    }
}

fn short() -> ParquetError {
    damaged("a page ends early, or names a value that is not in its dictionary")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is taken of a page of codes of eight bits: the first three stand for themselves.
    fn taken(codes: &[u8], valid: Option<&[bool]>, rows: Rows<'_>) -> Option<Vec<Option<usize>>> {
        let header = [8, (codes.len().div_ceil(8) as u8) << 1 | 1];
        let codes = Codes::new([&header, codes].concat().into()).unwrap();
        let valid = valid.and_then(|valid| Valid::new(BooleanBuffer::from(valid)));
        let mut page = DataPage { first: 10, end: 20, valid, values: Values::Codes(codes) };
        let mut out = Taken::of(rows.len());
        page.take(rows, &Never, |code| (code < 3).then_some(code), &mut out).ok()?;
        let (values, nulls) = out.finish();
        let is_valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        Some(values.into_iter().enumerate().map(|(row, v)| is_valid(row).then_some(v)).collect())
    }

    #[test]
    fn a_code_that_stands_for_nothing_is_damage_where_it_is_asked_for() {
        let codes = [0, 1, 9, 2];
        assert_eq!(
            taken(&codes, None, Rows::Some(&[10, 11, 13])),
            Some(vec![Some(0), Some(1), Some(2)])
        );
        assert_eq!(taken(&codes, None, Rows::Some(&[10, 12])), None);
        assert_eq!(taken(&codes, None, Rows::Run(10..12)), Some(vec![Some(0), Some(1)]));
        assert_eq!(taken(&codes, None, Rows::Run(10..13)), None);
        // And a row behind the last code.
        assert_eq!(taken(&codes, None, Rows::Some(&[13, 14])), None);
        assert_eq!(taken(&codes, None, Rows::Run(13..15)), None);
    }

    #[test]
    fn nulls_ask_for_no_code_and_stand_behind_the_last_one_too() {
        let valid = [true, false, true, true, false, false];
        // The null after the first value would have the code that stands for nothing.
        let codes = [0, 9, 1];
        for (rows, expected) in [
            (Rows::Some(&[10, 11, 13, 14, 15]), Some(vec![Some(0), None, Some(1), None, None])),
            (Rows::Run(13..16), Some(vec![Some(1), None, None])),
            (Rows::Some(&[11]), Some(vec![None])),
            (Rows::Some(&[11, 12]), None),
            (Rows::Run(11..13), None),
        ] {
            assert_eq!(taken(&codes, Some(&valid), rows.clone()), expected, "{rows:?}");
        }
    }

    proptest! {
        #[test]
        fn rows_are_split_where_a_page_ends(
            rows in proptest::collection::btree_set(0u32..100, 0..30), from in 0usize..50,
            length in 0usize..50, end in 0usize..120,
        ) {
            let rows = Vec::from_iter(rows);
            let all: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
            let listed = |rows: &Rows<'_>| match rows {
                Rows::Some(rows) => rows.iter().map(|row| *row as usize).collect::<Vec<_>>(),
                Rows::Run(rows) => rows.clone().collect(),
            };
            for (mut rows, all) in [
                (Rows::Some(&rows), all),
                (Rows::Run(from..from + length), Vec::from_iter(from..from + length)),
            ] {
                prop_assert_eq!((rows.first(), rows.len()), (all.first().copied(), all.len()));
                let here = rows.take_before(end);
                let (before, after): (Vec<_>, Vec<_>) = all.into_iter().partition(|row| *row < end);
                prop_assert_eq!((listed(&here), listed(&rows)), (before, after));
            }
        }
    }
}
