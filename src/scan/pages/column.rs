//! One column of a row group, page by page.

use std::sync::Arc;

use arrow::array::{
    ArrayData, ArrayRef, BooleanArray, BooleanBufferBuilder, DictionaryArray, Int32Array,
    NullBufferBuilder, StringBuilder, make_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{ArrowNativeType, DataType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{Encoding, Type as PhysicalType};
use parquet::column::page::Page;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;

use super::levels::{Valid, levels};
use super::page::{Bits, DataPage, Never, Plain, Rows, Taken, Values, Whole};
use super::source::Pages;
use super::structs::{Way, way};
use super::texts::Texts;
use super::{Result, chunk, damaged, not_flat};
use crate::codes::{Codes, NARROW, index};
use crate::fetched::Fetched;
use crate::scan::prune;

/// How the values of a column lie in its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int32,
    Int64,
    /// Bits, packed or as a hybrid of runs.
    Bool,
    /// Codes into a dictionary of texts, in every page.
    Texts,
}

impl Kind {
    /// How many bits a value takes in plain encoding; `None` where none is read in it.
    fn bits(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int32 => Some(32),
            Self::Int64 => Some(64),
            Self::Texts => None,
        }
    }

    fn of(physical: PhysicalType, arrow: &DataType) -> Option<Self> {
        use DataType as T;
        match (physical, arrow) {
            (PhysicalType::INT64, T::Int64 | T::UInt64 | T::Timestamp(..)) => Some(Self::Int64),
            (PhysicalType::INT32, T::Int8 | T::Int16 | T::Int32 | T::UInt32 | T::Date32) => {
                Some(Self::Int32)
            }
            (PhysicalType::BOOLEAN, T::Boolean) => Some(Self::Bool),
            (PhysicalType::BYTE_ARRAY, T::Dictionary(..)) => Some(Self::Texts),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Dictionary {
    None,
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Texts(Texts),
}

/// What a file says of a flat column of a row group.
pub(super) struct Flat<'a> {
    chunk: &'a ColumnChunkMetaData,
    kind: Kind,
    way: Way,
    data_type: DataType,
    defined: u32,
    rows: usize,
}

impl<'a> Flat<'a> {
    /// `None` where the column is not flat.
    pub fn of(metadata: &'a ArrowReaderMetadata, group: usize, leaf: usize) -> Option<Self> {
        let details = metadata.metadata().row_groups().get(group)?;
        let descriptor = metadata.parquet_schema().columns().get(leaf)?;
        let chunk = details.columns().get(leaf)?;
        if descriptor.max_rep_level() > 0 {
            return None;
        }
        let way = way(metadata.schema().fields(), leaf)?;
        let data_type = way.last()?.data_type().clone();
        let kind = Kind::of(descriptor.physical_type(), &data_type)?;
        if (kind == Kind::Texts && !prune::only_dictionary_pages(details, leaf))
            || chunk.num_values() != details.num_rows()
            || !is_known(chunk)
        {
            return None;
        }
        let defined = u32::try_from(descriptor.max_def_level()).ok()?;
        let rows = usize::try_from(details.num_rows()).unwrap_or(0);
        Some(Self { chunk, kind, way, data_type, defined, rows })
    }
}

/// One flat column of a row group.
pub(in crate::scan) struct FlatColumn {
    pages: Pages,
    kind: Kind,
    pub(super) way: Way,
    data_type: DataType,
    /// The definition level of a value that is not null: how many of the fields on its way may be null.
    defined: u32,
    dictionary: Dictionary,
    page: Option<DataPage>,
    /// The first row of the page that comes next.
    next_row: usize,
    rows: usize,
}

impl FlatColumn {
    /// `None` where the column is not flat, or not all here; with `places` the pages that are read are.
    pub fn open(
        metadata: &ArrowReaderMetadata,
        group: usize,
        leaf: usize,
        fetched: &Arc<Fetched>,
        places: Option<Vec<PageLocation>>,
    ) -> Result<Option<Self>> {
        let Some(Flat { chunk, kind, way, data_type, defined, rows }) =
            Flat::of(metadata, group, leaf)
        else {
            return Ok(None);
        };
        let details = metadata.metadata().row_groups().get(group);
        if places.is_none() && !details.is_some_and(|group| fetched.holds_all(group, &[leaf])) {
            return Ok(None);
        }
        Ok(Some(Self {
            pages: Pages::open(chunk, rows, fetched, places)?,
            kind,
            way,
            data_type,
            defined,
            dictionary: Dictionary::None,
            page: None,
            next_row: 0,
            rows,
        }))
    }

    /// The column's Arrow type.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The values of `rows`, which ascend, also from one call to the next.
    pub fn read(&mut self, rows: Rows<'_>) -> Result<ArrayRef> {
        match self.kind {
            Kind::Int64 => {
                let (values, nulls) =
                    self.numbers(rows, i64::from_le_bytes, |dictionary| match dictionary {
                        Dictionary::Int64(values) => Some(values),
                        _ => None,
                    })?;
                numbers(&self.data_type, values, nulls)
            }
            Kind::Int32 => {
                let (values, nulls) =
                    self.numbers(rows, i32::from_le_bytes, |dictionary| match dictionary {
                        Dictionary::Int32(values) => Some(values),
                        _ => None,
                    })?;
                // Parquet has no smaller integers; what does not fit was written wrongly.
                match self.data_type {
                    DataType::Int16 => numbers(&self.data_type, narrowed::<i16>(&values)?, nulls),
                    DataType::Int8 => numbers(&self.data_type, narrowed::<i8>(&values)?, nulls),
                    _ => numbers(&self.data_type, values, nulls),
                }
            }
            Kind::Bool => self.bits(rows),
            Kind::Texts => {
                let code_of = |dictionary: &Dictionary, code| match dictionary {
                    Dictionary::Texts(texts) if code < texts.len() => i32::try_from(code).ok(),
                    _ => None,
                };
                let (codes, nulls) = self.values(rows, &Never, code_of)?;
                match &mut self.dictionary {
                    Dictionary::Texts(texts) => Ok(Arc::new(texts.column(codes, nulls)?)),
                    _ => {
                        let texts = Arc::new(StringBuilder::new().finish());
                        let codes = Int32Array::new(codes.into(), nulls);
                        Ok(Arc::new(DictionaryArray::try_new(codes, texts)?))
                    }
                }
            }
        }
    }

    /// Whole numbers and nulls of `rows`: each takes `N` bytes.
    fn numbers<T: Copy + Default, const N: usize>(
        &mut self,
        rows: Rows<'_>,
        from_bytes: impl Fn([u8; N]) -> T,
        dictionary: impl Fn(&Dictionary) -> Option<&Vec<T>>,
    ) -> Result<(Vec<T>, Option<NullBuffer>)> {
        let plain = Whole::<_, N>(from_bytes);
        self.values(rows, &plain, |known, code| dictionary(known)?.get(code).copied())
    }

    /// Values and nulls of `rows`.
    fn values<T: Copy + Default>(
        &mut self,
        mut rows: Rows<'_>,
        plain: &impl Plain<T>,
        coded: impl Fn(&Dictionary, usize) -> Option<T>,
    ) -> Result<(Vec<T>, Option<NullBuffer>)> {
        let mut out = Taken::of(rows.len());
        while let Some(first) = rows.first() {
            let end = self.page_of(first)?.end;
            let here = rows.take_before(end);
            let (Some(page), dictionary) = (&mut self.page, &self.dictionary) else { break };
            page.take(here, plain, |code| coded(dictionary, code), &mut out)?;
        }
        Ok(out.finish())
    }

    /// Truth values and nulls of `rows`.
    fn bits(&mut self, mut rows: Rows<'_>) -> Result<ArrayRef> {
        let mut bits = BooleanBufferBuilder::new(rows.len());
        let mut nulls = NullBufferBuilder::new(rows.len());
        while let Some(first) = rows.first() {
            let end = self.page_of(first)?.end;
            let here = rows.take_before(end);
            let Some(page) = &mut self.page else { break };
            // As they lie in the page, a word at a time.
            if let Some(run) = page.bits_of(&here) {
                let (bytes, places) = run?;
                nulls.append_n_non_nulls(places.len());
                bits.append_packed_range(places, bytes);
                continue;
            }
            let mut out = Taken::of(here.len());
            page.take(here, &Bits, |code| Some(code != 0), &mut out)?;
            let (values, valid) = out.finish();
            match valid {
                None => nulls.append_n_non_nulls(values.len()),
                Some(valid) => nulls.append_buffer(&valid),
            }
            bits.append_slice(&values);
        }
        Ok(Arc::new(BooleanArray::new(bits.finish(), nulls.finish())))
    }

    /// The page with `row`; pages before it are passed over as they are.
    fn page_of(&mut self, row: usize) -> Result<&DataPage> {
        while self.page.as_ref().is_none_or(|page| page.end <= row) {
            self.leave_page();
            let ended = || damaged(format!("its pages end before row {row} of {}", self.rows));
            let coming = self.pages.peek()?.ok_or_else(ended)?;
            let rows = coming.num_rows.or(coming.num_levels);
            if let Some(end) = rows.map(|rows| self.next_row.saturating_add(rows))
                && !coming.is_dict
                && end <= row
            {
                self.pages.skip()?;
                self.next_row = end;
                continue;
            }
            self.next_page()?;
        }
        self.page.as_ref().ok_or_else(|| damaged("a page is lost"))
    }

    /// Gives the memory of the page back.
    fn leave_page(&mut self) {
        if let Some(DataPage { values, .. }) = self.page.take() {
            self.pages.give_back(match values {
                Values::Plain(bytes) => bytes,
                Values::Codes(codes) => codes.bytes,
            });
        }
    }

    /// Reads a dictionary, or the next page of data; `false` at the end.
    fn next_page(&mut self) -> Result<bool> {
        self.leave_page();
        let said = self.pages.peek()?.and_then(|coming| coming.num_rows);
        let Some(page) = self.pages.next()? else { return Ok(false) };
        if let Page::DictionaryPage { buf, num_values, .. } = &page {
            if !matches!(self.dictionary, Dictionary::None) || self.next_row > 0 {
                return Err(damaged("it has a dictionary where none may stand"));
            }
            self.dictionary = dictionary(self.kind, buf, index(*num_values))?;
            return Ok(true);
        }
        let rows = index(page.num_values());
        if let Some(said) = said.filter(|said| *said != rows) {
            return Err(damaged(format!("a page of {said} rows says that it has {rows} values")));
        }
        let first = self.next_row;
        self.next_row = first.saturating_add(rows);
        if self.next_row > self.rows {
            return Err(damaged(format!("its pages hold more than its {} rows", self.rows)));
        }
        let (valid, values) = levels(&page, self.defined, rows)?;
        let values = match page.encoding() {
            Encoding::PLAIN if self.kind != Kind::Texts => Values::Plain(values),
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY if self.kind != Kind::Bool => {
                Values::Codes(Codes::new(values)?)
            }
            Encoding::RLE if self.kind == Kind::Bool => Values::Codes(Codes::of_bits(values)?),
            other => return Err(not_flat(format!("a page is encoded as {other}"))),
        };
        // What is short is damaged, whichever rows are asked for: a run that lies has shifted those behind it.
        let count = valid.as_ref().map_or(rows, Valid::count);
        let is_whole = match &values {
            Values::Codes(codes) => codes.has(count),
            Values::Plain(bytes) => self.kind.bits().is_some_and(|bits| {
                count.checked_mul(bits).is_some_and(|bits| bits.div_ceil(8) <= bytes.len())
            }),
        };
        if !is_whole {
            return Err(damaged(format!("a page of {rows} rows has fewer values than it says")));
        }
        self.page = Some(DataPage { first, end: self.next_row, valid, values });
        Ok(true)
    }

    /// Adds to the marks of the rows of a column of 64-bit numbers, of which there is one for each, what `mark` says of
    /// their values, and `of_null` where there is none. No array is made. What values mean lies anywhere in memory: a loop
    /// that does nothing else, and without a guess, waits for many at once.
    pub fn mark(mut self, marks: &mut [u8], mark: impl Fn(u64) -> u8, of_null: u8) -> Result<()> {
        if self.kind != Kind::Int64 {
            return Err(not_flat("it is no column of 64-bit numbers"));
        }
        let short = || damaged("a page ends early");
        let mut found = Vec::new();
        while self.next_page()? {
            let Some(DataPage { first, end, valid, values }) = &mut self.page else { continue };
            let Values::Plain(bytes) = values else { return Err(not_flat("its values are codes")) };
            let (values, _) = bytes.as_chunks();
            let marks = marks.get_mut(*first..*end).ok_or_else(short)?;
            let count = valid.as_ref().map_or(marks.len(), Valid::count);
            let values = values.get(..count).ok_or_else(short)?;
            let of_values = values.iter().map(|value| mark(u64::from_le_bytes(*value)));
            let Some(valid) = valid else {
                marks.iter_mut().zip(of_values).for_each(|(marked, mark)| *marked |= mark);
                continue;
            };
            found.clear();
            found.extend(of_values);
            let mut at = 0;
            for (marked, is_value) in marks.iter_mut().zip(valid.rows()) {
                // Behind the last value there is nothing, and only nulls.
                let mark = found.get(at).copied().unwrap_or_default();
                *marked |= if is_value { mark } else { of_null };
                at += usize::from(is_value);
            }
        }
        match self.next_row == self.rows {
            true => Ok(()),
            false => Err(damaged(format!("its pages hold less than its {} rows", self.rows))),
        }
    }

    /// The texts of the dictionary, read as far as it.
    pub fn texts(&mut self) -> Result<Option<ArrayRef>> {
        while self.page.is_none() && self.pages.peek()?.is_some_and(|page| page.is_dict) {
            self.next_page()?;
        }
        match &mut self.dictionary {
            Dictionary::Texts(texts) => texts.all().map(Some),
            _ => Ok(None),
        }
    }

    /// Calls `take` with every row whose code stands for something in `meanings`, and what it stands
    /// for; gives the number of rows.
    pub fn find(
        &mut self,
        meanings: &[Option<u32>],
        mut take: impl FnMut(usize, u32),
    ) -> Result<usize> {
        let unknown =
            || damaged("a page ends early, or names a value that is not in its dictionary");
        // Codes past the end of `meanings` are looked at too: no page may hold them.
        let mut sought = [true; NARROW];
        for (sought, meaning) in sought.iter_mut().zip(meanings) {
            *sought = meaning.is_some();
        }
        while self.next_page()? {
            let Some(DataPage { first, end, valid, values: Values::Codes(codes) }) = &mut self.page
            else {
                continue;
            };
            let first = *first;
            let rows = *end - first;
            match valid {
                None => codes.search(rows, &sought, |row, code| {
                    if let Some(meaning) = meanings.get(code).ok_or_else(unknown)? {
                        take(first + row, *meaning);
                    }
                    Ok(())
                })?,
                Some(valid) => {
                    for row in 0..rows {
                        let (at, true) = valid.place(row) else { continue };
                        let code = codes.at(at).ok_or_else(unknown)?;
                        if let Some(meaning) = meanings.get(code).ok_or_else(unknown)? {
                            take(first + row, *meaning);
                        }
                    }
                }
            }
        }
        Ok(self.next_row)
    }
}

/// Whether every page is of an encoding that is read here.
fn is_known(chunk: &ColumnChunkMetaData) -> bool {
    use Encoding as E;
    chunk.encodings().all(|encoding| {
        #[expect(deprecated, reason = "old writers name it for levels that are not there")]
        let old = encoding == E::BIT_PACKED;
        old || matches!(encoding, E::PLAIN | E::RLE | E::RLE_DICTIONARY | E::PLAIN_DICTIONARY)
    })
}

fn narrowed<T: TryFrom<i32>>(values: &[i32]) -> Result<Vec<T>> {
    let narrow = |value: &i32| T::try_from(*value);
    let values: std::result::Result<Vec<T>, _> = values.iter().map(narrow).collect();
    values.map_err(|_| damaged("a number is larger than its type"))
}

fn numbers<T: ArrowNativeType>(
    data_type: &DataType,
    values: Vec<T>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let data = ArrayData::builder(data_type.clone())
        .len(values.len())
        .add_buffer(Buffer::from_vec(values))
        .nulls(nulls)
        .build()?;
    Ok(make_array(data))
}

fn dictionary(kind: Kind, bytes: &Bytes, values: usize) -> Result<Dictionary> {
    let short = || damaged("its dictionary ends early");
    Ok(match kind {
        Kind::Int32 => {
            let value = |i| chunk(bytes, i).map(|b| i32::from_le_bytes(*b));
            Dictionary::Int32((0..values).map(value).collect::<Option<_>>().ok_or_else(short)?)
        }
        Kind::Int64 => {
            let value = |i| chunk(bytes, i).map(|b| i64::from_le_bytes(*b));
            Dictionary::Int64((0..values).map(value).collect::<Option<_>>().ok_or_else(short)?)
        }
        Kind::Bool => return Err(not_flat("it has a dictionary of truth values")),
        Kind::Texts => Dictionary::Texts(Texts::open(bytes, values)?),
    })
}
