//! Which rows carry an asked scope.

use std::collections::HashMap;

use indexmap::IndexSet;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use parquet::errors::ParquetError;

use super::batch::{NONE, Reject};
use super::columns::Bound;
use super::endpoint::{EndpointCache, EndpointTable};
use super::mapping::{as_text_dictionary, encoding_of, folded, list_values, split};
use super::pages::FlatColumn;
use super::state::{KEPT_ROW, MATCHED_ROW};
use super::{Asked, ScanError};
use crate::config::raw::{Encoding, ScopesMean};
use crate::config::{ColumnSource, MappingPlan};

/// Stands for a scope value that cannot be read.
const UNREADABLE: u32 = NONE - 1;

/// Sets of asked scopes, as indexes into [`Asked::scopes`], by number.
#[derive(Clone, Debug, Default)]
pub struct HeldSets {
    sets: IndexSet<Box<[u32]>>,
    /// Numbers of short sets: to find one there is no list elsewhere to be compared.
    short: HashMap<u64, u32>,
    at_hand: Vec<u32>,
    /// Bytes that they take, about.
    bytes: usize,
}

/// What a set takes beside its scopes: here, and by its number while rows are made of it.
const SET: usize = 96;

impl HeldSets {
    /// The number of a set of these, in any order and some of them repeated; [`NONE`] of the empty set.
    fn code(&mut self, scopes: impl IntoIterator<Item = u32>) -> u32 {
        // Of every row: memory is taken for new sets alone.
        let set = &mut self.at_hand;
        set.clear();
        set.extend(scopes);
        if set.is_empty() {
            return NONE;
        }
        set.sort_unstable();
        set.dedup();
        let short = in_one(set);
        if let Some(code) = short.and_then(|short| self.short.get(&short)) {
            return *code;
        }
        let known = self.sets.get_index_of(set.as_slice());
        let code = known.unwrap_or_else(|| {
            self.bytes += SET + size_of_val(set.as_slice());
            self.sets.insert_full(set.as_slice().into()).0
        });
        let code = u32::try_from(code).unwrap_or(UNREADABLE);
        if let Some(short) = short {
            self.short.insert(short, code);
        }
        code
    }

    pub fn get(&self, code: u32) -> &[u32] {
        let set = usize::try_from(code).ok().and_then(|i| self.sets.get_index(i));
        set.map_or(&[], AsRef::as_ref)
    }
}

/// A set of up to four low indexes as one number.
fn in_one(set: &[u32]) -> Option<u64> {
    let all = set.iter().try_fold(0, |all, index| Some(all << 16 | u64::from(low(*index)?)));
    all.filter(|_| set.len() <= 4)
}

/// From 1 on: a list that is longer by an index 0 is another number.
fn low(index: u32) -> Option<u16> {
    u16::try_from(index).ok()?.checked_add(1)
}

/// The rows of a row group that carry an asked scope, or a scope value that cannot be read.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// Ascending positions in the row group.
    pub rows: Vec<u32>,
    /// For each of them its set in `sets`.
    pub held: Vec<u32>,
    pub sets: HeldSets,
    /// Rows from which on there are too many to be read.
    pub most: usize,
}

impl Matches {
    fn push(&mut self, row: u32, held: u32) {
        // The one too many stands for all that follow.
        if self.rows.len() <= self.most {
            self.rows.push(row);
            self.held.push(held);
        }
    }

    /// Whether its rows, with the sets that they carry, are more than can be read.
    pub fn are_too_many(&self) -> bool {
        self.rows.len() > self.most || self.bytes() > self.most as u64 * KEPT_ROW
    }

    /// Bytes that the rows take until they are read, with their sets.
    pub fn bytes_waiting(&self) -> u64 {
        (self.rows.len() as u64).saturating_mul(MATCHED_ROW).saturating_add(self.sets.bytes as u64)
    }

    /// Bytes that the rows will take when they are read, with their sets.
    pub fn bytes(&self) -> u64 {
        (self.rows.len() as u64).saturating_mul(KEPT_ROW).saturating_add(self.sets.bytes as u64)
    }

    /// Why the scope of a matching row cannot be used.
    pub fn reject(held: u32) -> Option<Reject> {
        (held == UNREADABLE).then_some(Reject::Scope)
    }
}

/// Whether a scope of the column means that the call needed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Exercised,
    Held,
    /// The endpoint table tells for each call.
    ByEndpoint,
}

/// How scopes of `bound` are to be taken (docs/counting.md, rule 4); without a scope column the
/// endpoint table names the scopes that a call exercised.
///
/// # Errors
/// [`ScanError::NoMeaning`] where several scopes stand in a row and nothing says what they mean.
pub fn meaning(
    (mapping, has_endpoints): (&MappingPlan, bool),
    bound: Option<&Bound>,
    encoding: Option<Encoding>,
    file: &str,
) -> Result<Meaning, ScanError> {
    let by_endpoint = has_endpoints && mapping.endpoint.is_some();
    match (bound, encoding, mapping.scopes_mean) {
        (None, ..) => Ok(Meaning::Exercised),
        (Some(_), Some(Encoding::Single), Some(ScopesMean::Held)) => {
            Ok(if by_endpoint { Meaning::ByEndpoint } else { Meaning::Held })
        }
        (Some(_), None | Some(Encoding::Single), _) => Ok(Meaning::Exercised),
        (Some(_), Some(_), _) if by_endpoint => Ok(Meaning::ByEndpoint),
        (Some(_), Some(_), Some(ScopesMean::Exercised)) => Ok(Meaning::Exercised),
        (Some(_), Some(_), Some(ScopesMean::Held)) => Ok(Meaning::Held),
        (Some(bound), Some(_), None) => {
            Err(ScanError::NoMeaning { file: file.to_string(), column: bound.plan.source.shown() })
        }
    }
}

/// Finds matching rows, one decoded batch after another.
pub struct Matcher<'a> {
    asked: &'a Asked,
    by_name: HashMap<&'a str, u32>,
    pub matches: Matches,
    /// How the scopes of a row stand in their column; known from the first batch.
    pub encoding: Option<Encoding>,
    /// Codes of the last dictionary seen, and where its values lie: a row group has one. They are those of sets, or of
    /// single scopes where lists stand in rows.
    dictionary: Option<(ArrayRef, Vec<u32>)>,
}

impl<'a> Matcher<'a> {
    /// Of a row group of which at most so many rows can be read.
    pub fn new(asked: &'a Asked, most: usize) -> Self {
        let by_name = asked
            .scopes
            .iter()
            .enumerate()
            .filter_map(|(i, scope)| Some((scope.name.as_str(), u32::try_from(i).ok()?)))
            .collect();
        Self {
            asked,
            by_name,
            matches: Matches { most, ..Default::default() },
            encoding: None,
            dictionary: None,
        }
    }

    fn code_of_text(&mut self, bound: &Bound, text: &str, encoding: Encoding) -> u32 {
        let text = folded(bound, text);
        if encoding == Encoding::List {
            let Some(values) = listed(&text) else { return UNREADABLE };
            let set = values.iter().flatten().filter_map(|v| self.by_name.get(v.as_str()).copied());
            return self.matches.sets.code(set);
        }
        let set = split(&text, encoding).filter_map(|v| self.by_name.get(v).copied());
        self.matches.sets.code(set)
    }

    fn take(&mut self, code: u32, row: u32) {
        if code != NONE {
            self.matches.push(row, code);
        }
    }

    /// Takes the rows of `batch`, which stand at `positions` in the row group.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] where the scope column has no textual form.
    pub fn scopes(
        &mut self,
        bound: &Bound,
        batch: &RecordBatch,
        positions: &mut impl Iterator<Item = u32>,
        file: &str,
    ) -> Result<(), ScanError> {
        let array = bound.values(batch, file)?;
        let encoding = encoding_of(bound, array.data_type(), file)?;
        self.encoding = Some(encoding);
        if let Some(dictionary) = as_text_dictionary(&array) {
            let values = dictionary.values();
            let known = matches!(&self.dictionary, Some((old, _)) if same_buffer(old, values));
            if !known {
                let texts = bound.to_text(values, file)?;
                let codes = self.codes_of(bound, &texts, encoding);
                self.dictionary = Some((values.clone(), codes));
            }
            let codes = self.dictionary.take();
            if let Some((_, codes)) = &codes {
                for (key, row) in dictionary.keys().iter().zip(positions) {
                    let code = key
                        .and_then(|k| usize::try_from(k).ok())
                        .and_then(|k| codes.get(k))
                        .copied()
                        .unwrap_or(NONE);
                    self.take(code, row);
                }
            }
            self.dictionary = codes;
            return Ok(());
        }
        if array.data_type().is_nested() {
            let mut rows = Vec::with_capacity(array.len());
            let values = list_values(bound, &array, file, |range| rows.push(range))?;
            let codes = self.codes_of_values(bound, &values, file)?;
            for (range, row) in rows.into_iter().zip(positions) {
                let Some((from, to)) = range else { continue };
                let scopes = codes.get(from..to).unwrap_or_default().iter().copied();
                let code = self.matches.sets.code(scopes.filter(|code| *code != NONE));
                self.take(code, row);
            }
            return Ok(());
        }
        let texts = bound.to_text(&array, file)?;
        let unreadable = self.unreadable_json(bound, batch, encoding == Encoding::List, file)?;
        let codes = self.codes_of(bound, &texts, encoding);
        for (i, (code, row)) in codes.into_iter().zip(positions).enumerate() {
            let broken = unreadable.get(i).copied().unwrap_or(false);
            self.take(if broken { UNREADABLE } else { code }, row);
        }
        Ok(())
    }

    /// Which asked scopes the values of lists are, by index; [`NONE`] for others.
    fn codes_of_values(
        &mut self,
        bound: &Bound,
        values: &ArrayRef,
        file: &str,
    ) -> Result<Vec<u32>, ScanError> {
        let by_name = &self.by_name;
        let codes = |texts: &StringArray| -> Vec<u32> {
            let code = |text| by_name.get(folded(bound, text).as_ref()).copied();
            texts.iter().map(|text| text.and_then(code).unwrap_or(NONE)).collect()
        };
        let Some(dictionary) = as_text_dictionary(values) else {
            return Ok(codes(&bound.to_text(values, file)?));
        };
        let texts = dictionary.values();
        if !matches!(&self.dictionary, Some((old, _)) if same_buffer(old, texts)) {
            self.dictionary = Some((texts.clone(), codes(&bound.to_text(texts, file)?)));
        }
        let known = self.dictionary.as_ref().map_or(&[][..], |(_, codes)| codes);
        let code = |key| known.get(usize::try_from(key).ok()?).copied();
        Ok(dictionary.keys().iter().map(|key| key.and_then(code).unwrap_or(NONE)).collect())
    }

    /// Learns what the texts of a dictionary of the type `data_type` stand for.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] where the column's `encoding` does not fit.
    pub fn learn(
        &mut self,
        bound: &Bound,
        data_type: &DataType,
        texts: Option<&ArrayRef>,
        file: &str,
    ) -> Result<(), ScanError> {
        let encoding = encoding_of(bound, data_type, file)?;
        self.encoding = Some(encoding);
        if let Some(values) = texts {
            let codes = self.codes_of(bound, &bound.to_text(values, file)?, encoding);
            self.dictionary = Some((values.clone(), codes));
        }
        Ok(())
    }

    /// Takes the rows of a column whose dictionary was learned; gives their number.
    ///
    /// # Errors
    /// Damaged pages.
    pub fn find(&mut self, column: &mut FlatColumn) -> Result<usize, ParquetError> {
        let codes = self.dictionary.as_ref().map_or(&[][..], |(_, codes)| codes);
        let meanings: Vec<Option<u32>> =
            codes.iter().map(|code| (*code != NONE).then_some(*code)).collect();
        let matches = &mut self.matches;
        column.find(&meanings, |row, code| {
            matches.push(u32::try_from(row).unwrap_or(u32::MAX), code);
        })
    }

    fn codes_of(&mut self, bound: &Bound, texts: &StringArray, encoding: Encoding) -> Vec<u32> {
        texts
            .iter()
            .map(|text| text.map_or(NONE, |text| self.code_of_text(bound, text, encoding)))
            .collect()
    }

    /// Rows whose JSON cannot be read: their scope cannot be known, which is not the same as none.
    fn unreadable_json(
        &self,
        bound: &Bound,
        batch: &RecordBatch,
        is_list: bool,
        file: &str,
    ) -> Result<Vec<bool>, ScanError> {
        if !matches!(bound.plan.source, ColumnSource::Json { .. }) {
            return Ok(Vec::new());
        }
        let texts = bound.json_texts(batch, file)?;
        Ok(texts
            .iter()
            .map(|text| text.is_some_and(|text| bound.is_broken_json(text, is_list)))
            .collect())
    }

    /// Takes the rows of `batch` by their calls: the scopes that the endpoint table names for each.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] where endpoint or method have no textual form.
    pub fn endpoints(
        &mut self,
        calls: &Calls<'_>,
        batch: &RecordBatch,
        positions: &mut impl Iterator<Item = u32>,
        cache: &mut EndpointCache,
        file: &str,
    ) -> Result<u64, ScanError> {
        let (endpoints, methods) = calls.texts(batch, file)?;
        let mut unmatched = 0;
        for (i, row) in (0..endpoints.len()).zip(positions) {
            if endpoints.is_null(i) {
                unmatched += 1;
                continue;
            }
            let method = methods.as_ref().filter(|m| !m.is_null(i)).map(|m| m.value(i));
            match cache.permits(calls.table, method, endpoints.value(i)) {
                Some(scopes) => {
                    let set = scopes.iter().filter_map(|s| self.by_name.get(s.as_str()).copied());
                    let code = self.matches.sets.code(set);
                    self.take(code, row);
                }
                None => unmatched += 1,
            }
        }
        Ok(unmatched)
    }

    /// Whether the dictionary that was just read holds no asked scope.
    pub fn dictionary_rules_out(&self) -> bool {
        matches!(&self.dictionary, Some((_, codes)) if codes.iter().all(|c| *c == NONE))
            && !self.asked.scopes.is_empty()
    }
}

/// The scopes of a text that is to be a list of them in JSON.
pub fn listed(text: &str) -> Option<Vec<Option<String>>> {
    serde_json::from_str(text).ok()
}

fn same_buffer(a: &ArrayRef, b: &ArrayRef) -> bool {
    match (a.as_string_opt::<i32>(), b.as_string_opt::<i32>()) {
        (Some(a), Some(b)) => {
            a.len() == b.len()
                && a.values().as_ptr() == b.values().as_ptr()
                && a.offsets().as_ptr() == b.offsets().as_ptr()
        }
        _ => false,
    }
}

/// The columns that tell which call was made.
pub struct Calls<'a> {
    pub table: &'a EndpointTable,
    pub endpoint: &'a Bound,
    pub method: Option<&'a Bound>,
}

impl Calls<'_> {
    /// # Errors
    /// [`ScanError::WrongType`] where a column has no textual form.
    pub fn texts(
        &self,
        batch: &RecordBatch,
        file: &str,
    ) -> Result<(StringArray, Option<StringArray>), ScanError> {
        let endpoint = self.endpoint.to_text(&self.endpoint.values(batch, file)?, file)?;
        let method = match self.method {
            Some(bound) => Some(bound.to_text(&bound.values(batch, file)?, file)?),
            None => None,
        };
        Ok((endpoint, method))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_set_has_one_number_in_any_order_and_another_than_every_other_set(
            rows in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![0u32..4, 65_533u32..65_538, any::<u32>()], 0..7),
                0..40,
            )
        ) {
            let mut sets = HeldSets::default();
            let mut met: Vec<BTreeSet<u32>> = Vec::new();
            for row in rows {
                let set: BTreeSet<u32> = row.iter().copied().collect();
                let code = sets.code(row.iter().copied());
                if set.is_empty() {
                    prop_assert_eq!(code, NONE);
                    continue;
                }
                if !met.contains(&set) {
                    met.push(set.clone());
                }
                let expected = met.iter().position(|other| *other == set);
                prop_assert_eq!(usize::try_from(code).ok(), expected);
                prop_assert_eq!(sets.get(code).to_vec(), set.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
