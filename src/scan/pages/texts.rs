//! A dictionary of texts, of which often few are wanted.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int32Type;
use bytes::Bytes;

use super::{Result, damaged, index};

/// The texts of a dictionary page. A log in many small files has a dictionary in each, and of it a file's few
/// matching rows name a fraction: texts are made when they are asked for.
#[derive(Debug)]
pub(super) struct Texts {
    page: Bytes,
    /// Where each text begins and ends.
    places: Vec<(usize, usize)>,
    all: Option<ArrayRef>,
}

impl Texts {
    /// # Errors
    /// A page that ends before its `count` texts.
    pub fn open(page: &Bytes, count: usize) -> Result<Self> {
        let short = || damaged("its dictionary ends early");
        // No text takes less than its length.
        let mut places = Vec::with_capacity(count.min(page.len() / 4));
        let mut at = 0;
        for _ in 0..count {
            let length = page.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(short)?;
            let from = at + length.len();
            at = from.saturating_add(index(u32::from_le_bytes(*length)));
            if at > page.len() {
                return Err(short());
            }
            places.push((from, at));
        }
        Ok(Self { page: page.clone(), places, all: None })
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    fn text(&self, (from, to): (usize, usize)) -> Result<&str> {
        let bytes = self.page.get(from..to).unwrap_or_default();
        std::str::from_utf8(bytes)
            .map_err(|e| damaged(format!("a text of its dictionary is not UTF-8: {e}")))
    }

    /// All texts.
    ///
    /// # Errors
    /// A text that is no UTF-8.
    pub fn all(&mut self) -> Result<ArrayRef> {
        if let Some(all) = &self.all {
            return Ok(all.clone());
        }
        let mut texts = StringBuilder::with_capacity(self.len(), self.page.len());
        for place in &self.places {
            texts.append_value(self.text(*place)?);
        }
        let all: ArrayRef = Arc::new(texts.finish());
        self.all = Some(all.clone());
        Ok(all)
    }

    /// The texts that `codes` stand for; each is below [`Self::len`]. Of few codes, the dictionary holds no other
    /// text.
    ///
    /// # Errors
    /// A wanted text that is no UTF-8.
    pub fn column(
        &mut self,
        mut codes: Vec<i32>,
        nulls: Option<NullBuffer>,
    ) -> Result<DictionaryArray<Int32Type>> {
        let texts = if codes.len() < self.len() / 2 {
            self.named(&mut codes, nulls.as_ref())?
        } else {
            self.all()?
        };
        Ok(DictionaryArray::try_new(Int32Array::new(codes.into(), nulls), texts)?)
    }

    /// The texts that `codes` name, in the order in which they come; codes are numbered anew.
    fn named(&self, codes: &mut [i32], nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
        let mut texts = StringBuilder::new();
        let (mut numbers, mut known) = (vec![-1; self.len()], 0);
        for (row, code) in codes.iter_mut().enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let old = usize::try_from(*code).unwrap_or(usize::MAX);
            let (Some(number), Some(place)) = (numbers.get_mut(old), self.places.get(old)) else {
                return Err(damaged("a value is not in its dictionary"));
            };
            if *number < 0 {
                *number = known;
                known += 1;
                texts.append_value(self.text(*place)?);
            }
            *code = *number;
        }
        Ok(Arc::new(texts.finish()))
    }
}
