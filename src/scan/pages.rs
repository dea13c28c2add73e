//! Flat columns, read page by page at the rows that are wanted.
//!
//! Parquet's Arrow reader decodes the rows between two wanted ones to pass over them, and makes arrays
//! of dictionary codes that are looked at once. Here a page is taken as it was decompressed: values in
//! plain encoding are read where they lie, and of bit-packed codes only those of wanted rows are
//! unpacked. docs/performance.md has the figures. Columns of any other shape (nested, long texts,
//! delta encodings, pages that were not fetched) go through the library's reader, and a test holds
//! both against each other.

use std::sync::Arc;

use arrow::array::{
    ArrayData, ArrayRef, BooleanBufferBuilder, DictionaryArray, Int32Array, StringBuilder,
    make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{Encoding, Type as PhysicalType};
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::SerializedPageReader;

use super::prune;
use super::ranges::{BATCH_ROWS, Fetched};

type Result<T> = std::result::Result<T, ParquetError>;

fn damaged(what: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(what.to_string())
}

/// A page that is not what the footer says, or of an old kind: the library's reader is to be asked.
fn not_flat(what: impl std::fmt::Display) -> ParquetError {
    ParquetError::NYI(what.to_string())
}

/// Wanted rows of flat columns, a batch at a time. [`ParquetError::NYI`] says that a page is of a kind
/// that only the library reads: all rows are to be read there.
pub(super) struct FlatReader<'a> {
    schema: SchemaRef,
    columns: Vec<FlatColumn>,
    wanted: std::slice::Chunks<'a, u32>,
}

impl<'a> FlatReader<'a> {
    /// Rows `wanted` (ascending) of the columns; `None` where one is not flat.
    pub fn open(
        metadata: &ArrowReaderMetadata,
        group: usize,
        leaves: &[usize],
        wanted: &'a [u32],
        fetched: &Arc<Fetched>,
    ) -> Result<Option<Self>> {
        let mut leaves = leaves.to_vec();
        leaves.sort_unstable();
        leaves.dedup();
        let mut columns = Vec::with_capacity(leaves.len());
        let mut fields = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let Some(column) = FlatColumn::open(metadata, group, leaf, fetched)? else {
                return Ok(None);
            };
            let name = metadata.parquet_schema().column(leaf).name().to_string();
            fields.push(metadata.schema().field_with_name(&name)?.clone());
            columns.push(column);
        }
        // Without a column nothing tells how many rows there are.
        Ok((!columns.is_empty()).then(|| Self {
            schema: Arc::new(Schema::new(fields)),
            columns,
            wanted: wanted.chunks(BATCH_ROWS),
        }))
    }
}

impl Iterator for FlatReader<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.wanted.next()?;
        let arrays: Result<Vec<ArrayRef>> = self.columns.iter_mut().map(|c| c.read(rows)).collect();
        Some(arrays.and_then(|arrays| Ok(RecordBatch::try_new(self.schema.clone(), arrays)?)))
    }
}

/// How the values of a column lie in its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int32,
    Int64,
    /// Codes into a dictionary of texts, in every page.
    Texts,
}

impl Kind {
    fn of(physical: PhysicalType, arrow: &DataType) -> Option<Self> {
        use DataType as T;
        match (physical, arrow) {
            (PhysicalType::INT64, T::Int64 | T::UInt64 | T::Timestamp(..)) => Some(Self::Int64),
            (PhysicalType::INT32, T::Int8 | T::Int16 | T::Int32 | T::UInt32 | T::Date32) => {
                Some(Self::Int32)
            }
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
    Texts(ArrayRef),
}

/// One flat column of a row group.
pub(super) struct FlatColumn {
    pages: SerializedPageReader<Fetched>,
    kind: Kind,
    data_type: DataType,
    optional: bool,
    dictionary: Dictionary,
    page: Option<DataPage>,
    /// The first row of the page that comes next.
    next_row: usize,
    rows: usize,
}

impl FlatColumn {
    /// `None` where the column is not flat, or not all here.
    pub fn open(
        metadata: &ArrowReaderMetadata,
        group: usize,
        leaf: usize,
        fetched: &Arc<Fetched>,
    ) -> Result<Option<Self>> {
        let schema = metadata.parquet_schema();
        let (Some(details), Some(descriptor)) =
            (metadata.metadata().row_groups().get(group), schema.columns().get(leaf))
        else {
            return Ok(None);
        };
        let Some(chunk) = details.columns().get(leaf) else { return Ok(None) };
        let ([name], 0, 0..=1) =
            (descriptor.path().parts(), descriptor.max_rep_level(), descriptor.max_def_level())
        else {
            return Ok(None);
        };
        let data_type = metadata.schema().field_with_name(name)?.data_type().clone();
        let Some(kind) = Kind::of(descriptor.physical_type(), &data_type) else { return Ok(None) };
        let codes_only = prune::only_dictionary_pages(details, leaf);
        let rows = usize::try_from(details.num_rows()).unwrap_or(0);
        if (kind == Kind::Texts && !codes_only)
            || chunk.num_values() != details.num_rows()
            || !is_known(chunk)
            || !fetched.holds_all(details, &[leaf])
        {
            return Ok(None);
        }
        Ok(Some(Self {
            pages: SerializedPageReader::new(fetched.clone(), chunk, rows, None)?,
            kind,
            data_type,
            optional: descriptor.max_def_level() == 1,
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
    fn read(&mut self, rows: &[u32]) -> Result<ArrayRef> {
        match self.kind {
            Kind::Int64 => {
                let (values, nulls) = self.gather(
                    rows,
                    |bytes, i| chunk(bytes, i).map(|b| i64::from_le_bytes(*b)),
                    |dictionary, code| match dictionary {
                        Dictionary::Int64(values) => values.get(code).copied(),
                        _ => None,
                    },
                )?;
                numbers(&self.data_type, values, nulls)
            }
            Kind::Int32 => {
                let (values, nulls) = self.gather(
                    rows,
                    |bytes, i| chunk(bytes, i).map(|b| i32::from_le_bytes(*b)),
                    |dictionary, code| match dictionary {
                        Dictionary::Int32(values) => values.get(code).copied(),
                        _ => None,
                    },
                )?;
                // Parquet has no smaller integers; what does not fit was written wrongly.
                match self.data_type {
                    DataType::Int16 => numbers(&self.data_type, narrowed::<i16>(&values)?, nulls),
                    DataType::Int8 => numbers(&self.data_type, narrowed::<i8>(&values)?, nulls),
                    _ => numbers(&self.data_type, values, nulls),
                }
            }
            Kind::Texts => {
                let (codes, nulls) = self.gather(
                    rows,
                    |_, _| None,
                    |dictionary, code| match dictionary {
                        Dictionary::Texts(texts) if code < texts.len() => i32::try_from(code).ok(),
                        _ => None,
                    },
                )?;
                let texts = match &self.dictionary {
                    Dictionary::Texts(texts) => texts.clone(),
                    _ => Arc::new(StringBuilder::new().finish()),
                };
                let codes = Int32Array::new(codes.into(), nulls);
                Ok(Arc::new(DictionaryArray::try_new(codes, texts)?))
            }
        }
    }

    /// Values and nulls of `rows`.
    fn gather<T: Copy + Default>(
        &mut self,
        rows: &[u32],
        plain: impl Fn(&[u8], usize) -> Option<T>,
        coded: impl Fn(&Dictionary, usize) -> Option<T>,
    ) -> Result<(Vec<T>, Option<NullBuffer>)> {
        let mut out = Vec::with_capacity(rows.len());
        let mut valid: Vec<bool> = Vec::new();
        let mut left = rows;
        while let Some(first) = left.first() {
            let page = self.page_of(index(*first))?;
            let (here, after) = left
                .split_at_checked(left.partition_point(|row| index(*row) < page.end))
                .unwrap_or((left, &[]));
            left = after;
            let dictionary = &self.dictionary;
            let Some(page) = &mut self.page else { break };
            let DataPage { first, valid: defined, values, .. } = page;
            let first = *first;
            let mut value = |at: usize| {
                match values {
                    Values::Plain(bytes) => plain(bytes, at),
                    Values::Codes(codes) => codes.at(at).and_then(|code| coded(dictionary, code)),
                }
                .ok_or_else(|| {
                    damaged("a page ends early, or names a value that is not in its dictionary")
                })
            };
            match defined {
                None => {
                    for row in here {
                        out.push(value(index(*row) - first)?);
                    }
                    if !valid.is_empty() {
                        valid.resize(out.len(), true);
                    }
                }
                Some(defined) => {
                    valid.resize(out.len(), true);
                    for row in here {
                        let at = defined.place_of(index(*row) - first);
                        valid.push(at.is_some());
                        out.push(at.map_or(Ok(T::default()), &mut value)?);
                    }
                }
            }
        }
        Ok((out, (!valid.is_empty()).then(|| NullBuffer::from(valid))))
    }

    /// The page with `row`; pages before it are passed over as they are.
    fn page_of(&mut self, row: usize) -> Result<&DataPage> {
        while self.page.as_ref().is_none_or(|page| page.end <= row) {
            self.page = None;
            let ended = || damaged(format!("its pages end before row {row} of {}", self.rows));
            let coming = self.pages.peek_next_page()?.ok_or_else(ended)?;
            let rows = coming.num_rows.or(coming.num_levels);
            if let Some(end) = rows.map(|rows| self.next_row.saturating_add(rows))
                && !coming.is_dict
                && end <= row
            {
                self.pages.skip_next_page()?;
                self.next_row = end;
                continue;
            }
            self.next_page()?;
        }
        self.page.as_ref().ok_or_else(|| damaged("a page is lost"))
    }

    /// Reads a dictionary, or the next page of data; `false` at the end.
    fn next_page(&mut self) -> Result<bool> {
        let Some(page) = self.pages.get_next_page()? else { return Ok(false) };
        if let Page::DictionaryPage { buf, num_values, .. } = &page {
            if !matches!(self.dictionary, Dictionary::None) || self.next_row > 0 {
                return Err(damaged("it has a dictionary where none may stand"));
            }
            self.dictionary = dictionary(self.kind, buf, index(*num_values))?;
            return Ok(true);
        }
        let rows = index(page.num_values());
        let first = self.next_row;
        self.next_row = first.saturating_add(rows);
        if self.next_row > self.rows {
            return Err(damaged(format!("its pages hold more than its {} rows", self.rows)));
        }
        let (valid, values) = levels(&page, self.optional, rows)?;
        let values = match page.encoding() {
            Encoding::PLAIN if self.kind != Kind::Texts => Values::Plain(values),
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                Values::Codes(Codes::new(values)?)
            }
            other => return Err(not_flat(format!("a page is encoded as {other}"))),
        };
        self.page = Some(DataPage { first, end: self.next_row, valid, values });
        Ok(true)
    }

    /// The texts of the dictionary, read as far as it.
    pub fn texts(&mut self) -> Result<Option<ArrayRef>> {
        while self.page.is_none() && self.pages.peek_next_page()?.is_some_and(|page| page.is_dict) {
            self.next_page()?;
        }
        Ok(match &self.dictionary {
            Dictionary::Texts(texts) => Some(texts.clone()),
            _ => None,
        })
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
        while self.next_page()? {
            let Some(DataPage { first, end, valid, values: Values::Codes(codes) }) = &mut self.page
            else {
                continue;
            };
            let first = *first;
            let rows = *end - first;
            match valid {
                None => codes.runs(rows, |row, code| {
                    if let Some(meaning) = meanings.get(code).ok_or_else(unknown)? {
                        take(first + row, *meaning);
                    }
                    Ok(())
                })?,
                Some(valid) => {
                    for row in 0..rows {
                        let Some(at) = valid.place_of(row) else { continue };
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

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The `i`-th piece of `N` bytes.
#[inline]
fn chunk<const N: usize>(bytes: &[u8], i: usize) -> Option<&[u8; N]> {
    bytes.get(i.checked_mul(N)?..)?.first_chunk()
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

fn dictionary(kind: Kind, bytes: &[u8], values: usize) -> Result<Dictionary> {
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
        Kind::Texts => {
            let mut texts = StringBuilder::new();
            let mut rest = bytes;
            for _ in 0..values {
                let (length, after) = rest.split_first_chunk().ok_or_else(short)?;
                let length = index(u32::from_le_bytes(*length));
                let (text, after) = after.split_at_checked(length).ok_or_else(short)?;
                let text = std::str::from_utf8(text)
                    .map_err(|e| damaged(format!("a text of its dictionary is not UTF-8: {e}")))?;
                texts.append_value(text);
                rest = after;
            }
            Dictionary::Texts(Arc::new(texts.finish()))
        }
    })
}

/// A page of data, decompressed.
struct DataPage {
    first: usize,
    end: usize,
    /// `None` where no value is null.
    valid: Option<Valid>,
    values: Values,
}

enum Values {
    Plain(Bytes),
    Codes(Codes),
}

/// Which rows of a page are null, and what follows: its values.
fn levels(page: &Page, optional: bool, rows: usize) -> Result<(Option<Valid>, Bytes)> {
    let short = || damaged("the levels of a page end early");
    let slice = |bytes: &Bytes, from: usize, to: usize| {
        (from <= to && to <= bytes.len()).then(|| bytes.slice(from..to)).ok_or_else(short)
    };
    match page {
        Page::DataPage { buf, .. } if !optional => Ok((None, buf.clone())),
        Page::DataPage { buf, def_level_encoding, .. } => {
            if *def_level_encoding != Encoding::RLE {
                return Err(not_flat(format!("levels are encoded as {def_level_encoding}")));
            }
            let length = index(u32::from_le_bytes(*buf.first_chunk().ok_or_else(short)?));
            let end = length.saturating_add(4);
            Ok((valid(slice(buf, 4, end)?, rows)?, slice(buf, end, buf.len())?))
        }
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            let from = index(*rep_levels_byte_len);
            let end = from.saturating_add(index(*def_levels_byte_len));
            // The levels count: some writers give another number of nulls.
            let valid = if optional { valid(slice(buf, from, end)?, rows)? } else { None };
            Ok((valid, slice(buf, end, buf.len())?))
        }
        Page::DictionaryPage { .. } => Err(damaged("a dictionary stands among the pages")),
    }
}

/// Definition levels of 0 and 1 as bits; `None` where all are 1.
fn valid(levels: Bytes, rows: usize) -> Result<Option<Valid>> {
    let mut levels =
        Codes { bytes: levels, width: 1, next: 0, run: Run::Repeated(0), from: 0, to: 0 };
    let mut bits = BooleanBufferBuilder::new(rows);
    while bits.len() < rows {
        levels.advance().ok_or_else(|| damaged("the levels of a page end early"))?;
        let count = (levels.to - levels.from).min(rows - bits.len());
        match levels.run {
            Run::Repeated(level) => bits.append_n(count, level == 1),
            Run::Packed(at) => {
                let packed = levels.bytes.get(at..).filter(|b| b.len() * 8 >= count);
                let packed = packed.ok_or_else(|| damaged("the levels of a page end early"))?;
                bits.append_packed_range(0..count, packed);
            }
        }
    }
    Ok(Valid::new(bits.finish()))
}

/// Which rows of a page have a value, and where it stands among the values.
struct Valid {
    bits: BooleanBuffer,
    /// Values before the 64 rows that begin at `word * 64`.
    before: usize,
    word: usize,
    bytes: Bytes,
}

impl Valid {
    fn new(bits: BooleanBuffer) -> Option<Self> {
        if bits.count_set_bits() == bits.len() {
            return None;
        }
        let bytes = Bytes::copy_from_slice(bits.values());
        Some(Self { bits, before: 0, word: 0, bytes })
    }

    fn load(&self, word: usize) -> u64 {
        match chunk(&self.bytes, word) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => {
                let rest = self.bytes.get(word * 8..).unwrap_or_default();
                rest.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
            }
        }
    }

    /// The place of the row's value; `None` where it is null. Rows ascend from call to call.
    #[inline]
    fn place_of(&mut self, row: usize) -> Option<usize> {
        while self.word < row / 64 {
            self.before += index(self.load(self.word).count_ones());
            self.word += 1;
        }
        if row >= self.bits.len() {
            return None;
        }
        let bits = self.load(self.word);
        let bit = 1u64 << (row % 64);
        (bits & bit != 0).then(|| self.before + index((bits & (bit - 1)).count_ones()))
    }
}

#[derive(Clone, Copy, Debug)]
enum Run {
    Repeated(u32),
    /// Where the packed bits begin.
    Packed(usize),
}

/// Codes in Parquet's hybrid of runs and bit-packing
/// (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>).
struct Codes {
    bytes: Bytes,
    /// Bits of one code, 32 at most.
    width: usize,
    /// Where the header of the next run stands.
    next: usize,
    run: Run,
    /// The places of the run's codes.
    from: usize,
    to: usize,
}

impl Codes {
    /// Codes after a byte that gives their width.
    fn new(bytes: Bytes) -> Result<Self> {
        let width = bytes.first().copied().map_or(0, usize::from);
        if width > 32 {
            return Err(damaged(format!("the codes of a page are {width} bits wide")));
        }
        Ok(Self { bytes, width, next: 1, run: Run::Repeated(0), from: 0, to: 0 })
    }

    /// Moves to the next run; `None` at the end.
    fn advance(&mut self) -> Option<()> {
        let mut header = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.next)?;
            self.next += 1;
            header |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let count = usize::try_from(header >> 1).ok()?;
        self.from = self.to;
        if header & 1 == 1 {
            self.run = Run::Packed(self.next);
            self.next = self.next.checked_add(count.checked_mul(self.width)?)?;
            self.to = self.from.checked_add(count.checked_mul(8)?)?;
        } else {
            let bytes = self.width.div_ceil(8);
            let value = self.bytes.get(self.next..self.next.checked_add(bytes)?)?;
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            self.run = Run::Repeated(value);
            self.next += bytes;
            self.to = self.from.checked_add(count)?;
        }
        Some(())
    }

    /// The code at a place; places ascend from call to call.
    #[inline]
    fn at(&mut self, place: usize) -> Option<usize> {
        while place >= self.to {
            self.advance()?;
        }
        match self.run {
            Run::Repeated(value) => Some(index(value)),
            Run::Packed(at) => self.unpack(at, place - self.from),
        }
    }

    #[inline]
    fn unpack(&self, at: usize, number: usize) -> Option<usize> {
        let bit = number * self.width;
        let rest = self.bytes.get(at + bit / 8..)?;
        let word = match rest.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None if rest.len() * 8 >= bit % 8 + self.width => {
                rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
            }
            None => return None,
        };
        let mask = (1u64 << self.width) - 1;
        usize::try_from(word >> (bit % 8) & mask).ok()
    }

    /// Calls `take` with each of the next `count` codes.
    fn runs(
        &mut self,
        count: usize,
        mut take: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        let short = || damaged("a page ends early");
        let mut place = 0;
        while place < count {
            self.advance().ok_or_else(short)?;
            let to = self.to.min(count);
            match self.run {
                Run::Repeated(value) => {
                    for place in place..to {
                        take(place, index(value))?;
                    }
                }
                Run::Packed(at) => {
                    for number in 0..to - place {
                        take(place + number, self.unpack(at, number).ok_or_else(short)?)?;
                    }
                }
            }
            place = to;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int16Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use arrow::compute::{cast, concat_batches};
    use arrow::datatypes::Field;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{
        ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    };
    use parquet::basic::{Compression, ZstdLevel};
    use parquet::file::properties::{WriterProperties, WriterVersion};
    use proptest::prelude::*;

    /// How a file is written.
    #[derive(Clone, Debug)]
    struct Written {
        page_rows: usize,
        dictionary: bool,
        dictionary_bytes: usize,
        second_version: bool,
        compressed: bool,
        nullable: bool,
    }

    fn written() -> impl Strategy<Value = Written> {
        (1..300usize, any::<bool>(), 16..4000usize, any::<[bool; 3]>()).prop_map(
            |(page_rows, dictionary, dictionary_bytes, [second_version, compressed, nullable])| {
                Written {
                    page_rows,
                    dictionary,
                    dictionary_bytes,
                    second_version,
                    compressed,
                    nullable,
                }
            },
        )
    }

    fn file(rows: &[Option<u16>], how: &Written) -> Bytes {
        let rows: Vec<Option<u16>> = match how.nullable {
            true => rows.to_vec(),
            false => rows.iter().map(|v| Some(v.unwrap_or(7))).collect(),
        };
        let large = |v: u16| i64::from(v) * 0x1_2345_6789 - 77;
        let times = rows.iter().map(|v| v.map(large));
        let texts = rows.iter().map(|v| v.map(|v| format!("scope-{}", v % 41)));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter(rows.iter().map(|v| v.map(large))))),
            (
                "small",
                Arc::new(Int16Array::from_iter(rows.iter().map(|v| v.map(|v| v as i16 % 9)))),
            ),
            ("at", Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))),
            ("scope", Arc::new(StringArray::from_iter(texts))),
        ];
        let columns = columns.into_iter().map(|(name, array)| (name, array, how.nullable));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let properties = WriterProperties::builder()
            .set_data_page_row_count_limit(how.page_rows)
            .set_write_batch_size(how.page_rows.min(64))
            .set_dictionary_enabled(how.dictionary)
            .set_dictionary_page_size_limit(how.dictionary_bytes)
            .set_writer_version(match how.second_version {
                true => WriterVersion::PARQUET_2_0,
                false => WriterVersion::PARQUET_1_0,
            })
            .set_encoding(Encoding::PLAIN)
            .set_compression(match how.compressed {
                true => Compression::ZSTD(ZstdLevel::default()),
                false => Compression::UNCOMPRESSED,
            })
            .build();
        let mut out = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        out.into()
    }

    fn texts_as_dictionary(bytes: &Bytes) -> ArrowReaderMetadata {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::load(bytes, options.clone()).unwrap();
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let fields = plain.schema().fields().iter().map(|field| match field.data_type() {
            DataType::Utf8 => Field::new(field.name(), dictionary.clone(), field.is_nullable()),
            _ => field.as_ref().clone(),
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = options.with_schema(schema);
        ArrowReaderMetadata::try_new(plain.metadata().clone(), options).unwrap()
    }

    #[test]
    fn levels_are_read_whatever_the_header_says_of_nulls() {
        // One run of eight packed levels: the third row is null.
        let page = Page::DataPageV2 {
            buf: Bytes::from_static(&[0b11, 0b1111_1011]),
            num_values: 8,
            encoding: Encoding::PLAIN,
            num_nulls: 0,
            num_rows: 8,
            def_levels_byte_len: 2,
            rep_levels_byte_len: 0,
            is_compressed: false,
            statistics: None,
        };
        let (valid, _) = levels(&page, true, 8).unwrap();
        let mut valid = valid.unwrap();
        let places: Vec<Option<usize>> = (0..8).map(|row| valid.place_of(row)).collect();
        let expected = [0, 1, 9, 2, 3, 4, 5, 6].map(|place| (place < 9).then_some(place));
        assert_eq!(places, expected);
    }

    #[test]
    fn levels_and_values_of_other_encodings_are_left_to_the_library() {
        let page = Page::DataPage {
            buf: Bytes::from_static(&[0; 16]),
            num_values: 8,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::PLAIN,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        assert!(matches!(levels(&page, true, 8), Err(ParquetError::NYI(_))));

        // Some writers name in the footer what they do not use in the pages.
        let batch = RecordBatch::try_from_iter(vec![(
            "id",
            Arc::new(Int64Array::from_iter_values(0..100)) as ArrayRef,
        )]);
        let batch = batch.unwrap();
        let delta = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::DELTA_BINARY_PACKED)
            .build();
        let mut out = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(delta)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let bytes = Bytes::from(out);
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let honest = ArrowReaderMetadata::load(&bytes, options.clone()).unwrap();
        let fetched = Arc::new(Fetched { size: bytes.len() as u64, parts: vec![(0, bytes)] });
        assert!(FlatColumn::open(&honest, 0, 0, &fetched).unwrap().is_none());

        let metadata = honest.metadata().as_ref().clone();
        let group = metadata.row_group(0).clone();
        let chunk = group.column(0).clone().into_builder();
        let chunk = chunk.set_encodings(vec![Encoding::RLE, Encoding::PLAIN]).build().unwrap();
        let group = group.into_builder().set_column_metadata(vec![chunk]).build().unwrap();
        let metadata = metadata.into_builder().set_row_groups(vec![group]).build();
        let lying = ArrowReaderMetadata::try_new(Arc::new(metadata), options).unwrap();
        let mut flat = FlatReader::open(&lying, 0, &[0], &[3, 4], &fetched).unwrap().unwrap();
        assert!(matches!(flat.next(), Some(Err(ParquetError::NYI(_)))));
    }

    proptest! {
        #[test]
        fn wanted_rows_are_what_the_library_reads(
            rows in proptest::collection::vec(proptest::option::weighted(0.8, any::<u16>()), 1..1500),
            runs in proptest::collection::vec((0..90usize, 1..40usize), 0..60),
            how in written(),
        ) {
            let bytes = file(&rows, &how);
            let metadata = texts_as_dictionary(&bytes);
            let mut wanted: Vec<u32> = Vec::new();
            let mut at = 0;
            for (skip, take) in runs {
                at += skip;
                wanted.extend((at..at + take).filter(|row| *row < rows.len()).map(|r| r as u32));
                at += take;
            }
            let fetched =
                Arc::new(Fetched { size: bytes.len() as u64, parts: vec![(0, bytes.clone())] });
            let leaves: Vec<usize> = match how.dictionary {
                true if FlatColumn::open(&metadata, 0, 3, &fetched).unwrap().is_some() => {
                    vec![0, 1, 2, 3]
                }
                _ => vec![0, 1, 2],
            };
            let flat = FlatReader::open(&metadata, 0, &leaves, &wanted, &fetched).unwrap().unwrap();
            let schema = flat.schema.clone();
            let found: Vec<RecordBatch> = flat.map(Result::unwrap).collect();
            let found = concat_batches(&schema, &found).unwrap();

            let ranges = wanted.iter().map(|row| *row as usize..*row as usize + 1);
            let mask = parquet::arrow::ProjectionMask::leaves(metadata.parquet_schema(), leaves);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
                .with_projection(mask)
                .with_row_selection(RowSelection::from_consecutive_ranges(ranges, rows.len()))
                .build()
                .unwrap();
            let expected: Vec<RecordBatch> = reader.map(|b| b.unwrap()).collect();
            let expected = match expected.first() {
                Some(first) => concat_batches(&first.schema(), &expected).unwrap(),
                None => RecordBatch::new_empty(schema),
            };
            prop_assert_eq!(found.num_rows(), wanted.len());
            for (found, expected) in found.columns().iter().zip(expected.columns()) {
                let plain = |array: &ArrayRef| match array.data_type() {
                    DataType::Dictionary(..) => cast(array, &DataType::Utf8).unwrap(),
                    _ => array.clone(),
                };
                prop_assert_eq!(found.data_type(), expected.data_type());
                prop_assert_eq!(&plain(found), &plain(expected));
            }
        }

        #[test]
        fn codes_are_found_where_their_texts_stand(
            rows in proptest::collection::vec(proptest::option::weighted(0.8, any::<u16>()), 1..3000),
            wanted in 0..41u16,
            repeats in 1..40usize,
            how in written(),
        ) {
            // Runs of one value are encoded as such.
            let rows: Vec<_> =
                rows.iter().flat_map(|v| std::iter::repeat_n(*v, repeats)).take(4000).collect();
            let how = Written { dictionary: true, dictionary_bytes: 1 << 20, ..how };
            let bytes = file(&rows, &how);
            let metadata = texts_as_dictionary(&bytes);
            let fetched =
                Arc::new(Fetched { size: bytes.len() as u64, parts: vec![(0, bytes)] });
            let mut column = FlatColumn::open(&metadata, 0, 3, &fetched).unwrap().unwrap();
            let texts = column.texts().unwrap();
            let name = format!("scope-{wanted}");
            let meanings: Vec<Option<u32>> = texts
                .iter()
                .flat_map(|t| t.as_any().downcast_ref::<StringArray>().unwrap().iter())
                .map(|text| (text == Some(name.as_str())).then_some(5))
                .collect();
            let mut found = Vec::new();
            let read = column.find(&meanings, |row, code| found.push((row, code))).unwrap();
            let holds = |v: &Option<u16>| match v {
                Some(v) => v % 41 == wanted,
                None => !how.nullable && wanted == 7,
            };
            let expected: Vec<_> = (0..rows.len()).filter(|i| holds(&rows[*i])).map(|i| (i, 5)).collect();
            prop_assert_eq!(read, rows.len());
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn damaged_pages_come_to_an_end(
            rows in proptest::collection::vec(proptest::option::weighted(0.8, any::<u16>()), 1..300),
            how in written(),
            at in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            let how = Written { compressed: false, ..how };
            let bytes = file(&rows, &how);
            let metadata = texts_as_dictionary(&bytes);
            let mut spoilt = bytes.to_vec();
            let pages = metadata.metadata().row_group(0).columns().iter();
            let end = pages.map(|c| c.byte_range()).map(|(from, length)| from + length).max();
            spoilt[at.index(end.unwrap() as usize)] = byte;
            let fetched = Arc::new(Fetched {
                size: spoilt.len() as u64,
                parts: vec![(0, spoilt.into())],
            });
            let wanted: Vec<u32> = (0..rows.len() as u32).collect();
            // Headers that contradict themselves make the library itself panic.
            let _ = crate::scan::engine::guarded(|| {
                let flat = FlatReader::open(&metadata, 0, &[0, 1, 2], &wanted, &fetched);
                if let Ok(Some(flat)) = flat {
                    flat.take_while(Result::is_ok).for_each(drop);
                }
            });
            let _ = crate::scan::engine::guarded(|| {
                if let Ok(Some(mut column)) = FlatColumn::open(&metadata, 0, 3, &fetched)
                    && column.texts().is_ok()
                {
                    let _ = column.find(&[Some(1); 8], |_, _| {});
                }
            });
        }
    }
}
