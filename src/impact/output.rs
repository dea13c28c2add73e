//! Query results as files: Parquet and CSV, the same bytes for the same rows.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringBuilder,
    TimestampMicrosecondArray, make_comparator, new_null_array,
};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_writer::{ArrowWriterOptions, compute_leaves};
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use polars::prelude::{Column, DataFrame, DataType as PolarsType, TimeUnit as PolarsUnit};

use super::ImpactError;
use super::header::{ColumnSpec, ColumnType, TableSpec};
use super::leaves::COLUMNS as LEAF_COLUMNS;
use super::texts::{self, Texts, compare_next};
use crate::key::mix;

/// A finished table.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    /// Texts may be packed: dictionaries of texts, as [`Self::unpacked`] has none.
    pub batch: RecordBatch,
}

/// A table, or a report of all tables, as a file.
#[derive(Clone, Debug)]
pub struct TableFile {
    /// `scope_summary.parquet`, `report.html`.
    pub name: String,
    pub bytes: bytes::Bytes,
    /// Rows of the table; 0 for a report.
    pub rows: usize,
}

impl TableFile {
    /// Where it lies below the run's folder: reports beside the folder of tables.
    pub fn path(&self) -> String {
        match self.name.rsplit_once('.') {
            Some((_, "html" | "xlsx")) => self.name.clone(),
            _ => format!("tables/{}", self.name),
        }
    }
}

pub(super) fn arrow_type(column: ColumnType) -> DataType {
    match column {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Int => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Date => DataType::Date32,
        ColumnType::Bool => DataType::Boolean,
    }
}

fn type_of(column: &Column) -> Option<ColumnType> {
    Some(match column.dtype() {
        PolarsType::String | PolarsType::Null => ColumnType::Text,
        t if t.is_integer() => ColumnType::Int,
        PolarsType::Float32 | PolarsType::Float64 => ColumnType::Float,
        PolarsType::Datetime(..) => ColumnType::Time,
        PolarsType::Date => ColumnType::Date,
        PolarsType::Boolean => ColumnType::Bool,
        _ => return None,
    })
}

fn convert(column: &Column, wanted: ColumnType) -> Result<ArrayRef, polars::prelude::PolarsError> {
    let series = column.as_materialized_series();
    Ok(match wanted {
        ColumnType::Text => {
            let cast = series.cast(&PolarsType::String)?;
            let texts = cast.str()?;
            let bytes = texts.iter().flatten().map(str::len).sum();
            let mut array = StringBuilder::with_capacity(texts.len(), bytes);
            texts.iter().for_each(|text| array.append_option(text));
            Arc::new(array.finish())
        }
        ColumnType::Int => {
            let cast = series.strict_cast(&PolarsType::Int64)?;
            let ints = cast.i64()?;
            Arc::new(match ints.cont_slice() {
                Ok(ints) => Int64Array::from_iter_values(ints.iter().copied()),
                Err(_) => Int64Array::from_iter(ints.iter()),
            })
        }
        ColumnType::Float => {
            let cast = series.cast(&PolarsType::Float64)?;
            Arc::new(Float64Array::from_iter(cast.f64()?.iter()))
        }
        ColumnType::Time => {
            let cast = series.cast(&PolarsType::Datetime(PolarsUnit::Microseconds, None))?;
            let micros = cast.cast(&PolarsType::Int64)?;
            let array = TimestampMicrosecondArray::from_iter(micros.i64()?.iter());
            Arc::new(array.with_timezone("UTC"))
        }
        ColumnType::Date => {
            let days = series.cast(&PolarsType::Date)?.cast(&PolarsType::Int32)?;
            Arc::new(Date32Array::from_iter(days.i32()?.iter()))
        }
        ColumnType::Bool => Arc::new(BooleanArray::from_iter(series.bool()?.iter())),
    })
}

impl Table {
    /// A table with exactly the columns of `spec`.
    ///
    /// # Errors
    /// A column that the query did not give, or of another type.
    pub fn typed(spec: &TableSpec, frame: &DataFrame) -> Result<Self, ImpactError> {
        let failed = |reason: String| ImpactError::Output { table: spec.name.clone(), reason };
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for column in &spec.columns {
            let data_type = arrow_type(column.data_type);
            let array = if column.always_null {
                new_null_array(&data_type, frame.height())
            } else {
                let found = frame.column(&column.name).map_err(|e| failed(e.to_string()))?;
                convert(found, column.data_type)
                    .map_err(|e| failed(format!("column `{}`: {e}", column.name)))?
            };
            fields.push(Field::new(&column.name, data_type, true));
            arrays.push(array);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self { name: spec.name.clone(), batch })
    }

    /// A table with the columns of a user's query.
    ///
    /// # Errors
    /// A column of a type that tables do not hold; a scope or an app that is no text.
    pub fn from_frame(name: &str, frame: &DataFrame) -> Result<Self, ImpactError> {
        let failed = |reason: String| ImpactError::Output { table: name.to_string(), reason };
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for column in frame.columns() {
            let wanted = type_of(column).ok_or_else(|| {
                failed(format!(
                    "column `{}` has type {}; cast it to a text, a number or a time",
                    column.name(),
                    column.dtype()
                ))
            })?;
            if LEAF_COLUMNS.contains(&column.name().as_str()) && wanted != ColumnType::Text {
                return Err(failed(format!(
                    "column `{}` has type {}: evidence of an app is found by its texts; cast it to a text, or give it another name",
                    column.name(),
                    column.dtype()
                )));
            }
            arrays.push(convert(column, wanted).map_err(|e| failed(e.to_string()))?);
            fields.push(Field::new(column.name().as_str(), arrow_type(wanted), true));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self { name: name.to_string(), batch })
    }

    /// Rows of the table of `spec`, column by column.
    ///
    /// # Errors
    /// Columns that are not those of the header.
    pub fn of(spec: &TableSpec, columns: Vec<ArrayRef>) -> Result<Self, ImpactError> {
        let batch = RecordBatch::try_new(Self::schema(spec), columns)
            .map_err(|e| ImpactError::Output { table: spec.name.clone(), reason: e.to_string() })?;
        Ok(Self { name: spec.name.clone(), batch })
    }

    /// The table with plain texts: as it is read back.
    ///
    /// # Errors
    /// [`ImpactError::Output`].
    pub fn unpacked(&self) -> Result<Self, ImpactError> {
        let batch = texts::unpacked(&self.batch)
            .map_err(|e| ImpactError::Output { table: self.name.clone(), reason: e.to_string() })?;
        Ok(Self { name: self.name.clone(), batch })
    }

    /// The columns of the table of `spec`.
    pub fn schema(spec: &TableSpec) -> SchemaRef {
        let field = |c: &ColumnSpec| Field::new(&c.name, arrow_type(c.data_type), true);
        Arc::new(Schema::new(spec.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// The table sorted by `key`, nulls first; no two rows may share one.
    ///
    /// # Errors
    /// [`ImpactError::Repeated`].
    pub fn sorted(mut self, file: &str, key: &[String]) -> Result<Self, ImpactError> {
        let failed = |reason: String| ImpactError::Output { table: self.name.clone(), reason };
        // Frames that come in order are tables in order, mostly.
        let mut order = self.neighbours(key).map_err(|e| failed(e.to_string()))?;
        if order.contains(&Ordering::Greater) {
            let columns: Vec<SortColumn> = key
                .iter()
                .filter_map(|name| self.batch.column_by_name(name))
                .map(|array| SortColumn { values: array.clone(), options: None })
                .collect();
            self.batch = lexsort_to_indices(&columns, None)
                .and_then(|indices| take_record_batch(&self.batch, &indices))
                .map_err(|e| failed(e.to_string()))?;
            order = self.neighbours(key).map_err(|e| failed(e.to_string()))?;
        }
        let Some(row) = order.iter().position(|order| *order != Ordering::Less) else {
            return Ok(self);
        };
        let options = FormatOptions::default().with_null("null");
        let values = key
            .iter()
            .filter_map(|name| self.batch.column_by_name(name))
            .map(|array| {
                ArrayFormatter::try_new(array.as_ref(), &options).map(|f| f.value(row).to_string())
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| failed(e.to_string()))?;
        Err(ImpactError::Repeated {
            file: file.to_string(),
            key: key.join(", "),
            values: values.join(", "),
        })
    }

    /// How the key of each row but the last compares with that of the next.
    fn neighbours(&self, key: &[String]) -> Result<Vec<Ordering>, ArrowError> {
        let mut order = vec![Ordering::Equal; self.batch.num_rows().saturating_sub(1)];
        for array in key.iter().filter_map(|name| self.batch.column_by_name(name)) {
            // Most of them texts: asked in one go, without a call for each.
            match Texts::of(array) {
                Some(texts) => texts.compare_next(&mut order),
                None => {
                    let compare = make_comparator(array, array, SortOptions::default())?;
                    compare_next(&mut order, compare);
                }
            }
        }
        Ok(order)
    }

    /// The table as Parquet.
    ///
    /// # Errors
    /// [`ImpactError::Output`].
    pub fn parquet(&self) -> Result<TableFile, ImpactError> {
        let out = self
            .parquet_bytes()
            .map_err(|e| ImpactError::Output { table: self.name.clone(), reason: e.to_string() })?;
        Ok(self.file("parquet", out))
    }

    fn parquet_bytes(&self) -> Result<Vec<u8>, ParquetError> {
        let schema = self.batch.schema_ref();
        let plain = texts::plain(schema);
        let differ = |column: usize| self.batch.columns().get(column).is_some_and(mostly_differ);
        let mut properties = parquet_properties(&plain, differ);
        // Of packed columns the file says what they are to readers: plain.
        add_encoded_arrow_schema_to_metadata(&plain, &mut properties);
        let rows = properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        // To grow copies all over and over; room that is not touched costs nothing.
        let mut out = Vec::with_capacity(self.batch.get_array_memory_size() / 6);
        let writer = ArrowWriter::try_new_with_options(&mut out, schema.clone(), options)?;
        let (mut file, groups) = writer.into_serialized_writer()?;
        for from in (0..self.batch.num_rows()).step_by(rows) {
            let batch = self.batch.slice(from, rows.min(self.batch.num_rows() - from));
            let writers = groups.create_column_writers(file.flushed_row_groups().len())?;
            let mut group = file.next_row_group()?;
            // One column after another: each takes a megabyte while it is compressed.
            for ((mut writer, field), array) in
                writers.into_iter().zip(schema.fields()).zip(batch.columns())
            {
                // What the library makes of rows on the way stays in the processor's cache, and is the same memory.
                for from in (0..array.len()).step_by(ROWS_AT_ONCE) {
                    let rows = array.slice(from, ROWS_AT_ONCE.min(array.len() - from));
                    for leaf in compute_leaves(field, &rows)? {
                        writer.write(&leaf)?;
                    }
                }
                writer.close()?.append_to_row_group(&mut group)?;
            }
            group.close()?;
        }
        file.close()?;
        Ok(out)
    }

    fn file(&self, extension: &str, mut bytes: Vec<u8>) -> TableFile {
        bytes.shrink_to_fit();
        TableFile {
            name: format!("{}.{extension}", self.name),
            bytes: bytes.into(),
            rows: self.batch.num_rows(),
        }
    }
}

/// Rows of a column that are encoded at once: of figures a page. The library asks after each 1,024 whether one is full.
const ROWS_AT_ONCE: usize = 20 << 10;

/// Texts of a column from so many on may do better without a dictionary, and of so many it is looked whether they do.
const MANY_TEXTS: usize = 1 << 15;
const LOOKED_AT: usize = 1 << 12;

/// Whether a column has very many texts of which hardly one comes twice, as ids are. Of texts from rows that are drawn from
/// all over it so many are the same as another one drawn, as it were with at least half as many texts as rows: of `n`
/// drawn from `t` texts `n² / 2t`.
fn mostly_differ(array: &ArrayRef) -> bool {
    let Some(texts) = Texts::of(array).filter(|_| array.len() >= MANY_TEXTS) else { return false };
    let row = |number| usize::try_from(mix(number) % array.len() as u64).unwrap_or_default();
    let rows: HashSet<usize> = (0..LOOKED_AT as u64).map(row).collect();
    let drawn: Vec<&str> = rows.iter().filter_map(|row| texts.get(*row)).collect();
    let found: HashSet<&str> = drawn.iter().copied().collect();
    (drawn.len() - found.len()) * array.len() <= LOOKED_AT * LOOKED_AT
}

/// How tables are written, of which the texts of some columns, by their places, mostly differ.
pub fn parquet_properties(schema: &Schema, differ: impl Fn(usize) -> bool) -> WriterProperties {
    // Whatever reads Parquet reads Snappy, which is not so of Zstandard, and of a run over a ledger Zstandard took
    // one part in fifteen (docs/performance.md).
    // No version here: the same rows are the same bytes, whichever build of the same writer wrote them.
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("afterscope".into());
    for (column, field) in schema.fields().iter().enumerate() {
        // Of moments and figures nearly every one is another: with a dictionary files of them are up to a
        // quarter larger, and take longer to write. So it is of ids in a long list: a twelfth larger.
        if field.data_type() != &DataType::Utf8 || differ(column) {
            let path = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_dictionary_enabled(path, false);
        }
    }
    properties.build()
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringArray};
    use arrow::datatypes::Int32Type;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    /// As days are: texts in runs, of which the first are short, and figures; some are null.
    fn table(texts: ArrayRef) -> Table {
        let figures: ArrayRef =
            Arc::new((0..5_000).map(|i| (i % 7 > 0).then_some(i * i)).collect::<Int64Array>());
        let columns = [("text", texts, true), ("figure", figures, true)];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        Table { name: "t".into(), batch }
    }

    fn texts() -> impl Iterator<Item = Option<String>> {
        (0..5_000).map(|i| match i {
            0..2_000 => Some("a".into()),
            2_000..2_100 => None,
            _ => Some(format!("a much longer text, of which there are some: {}", i / 300)),
        })
    }

    #[test]
    fn packed_texts_are_the_same_bytes_in_files() {
        let plain = table(Arc::new(texts().collect::<StringArray>()));
        let kept: Vec<_> = texts().collect();
        let packed = kept.iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>();
        let packed = table(Arc::new(packed));
        assert_ne!(packed.batch.schema(), plain.batch.schema());
        assert_eq!(packed.parquet().unwrap().bytes, plain.parquet().unwrap().bytes);
        assert_eq!(packed.csv().unwrap(), plain.csv().unwrap());
        let read = Table::read_back("t", packed.parquet().unwrap().bytes).unwrap();
        assert_eq!(read.batch, plain.batch);
        assert_eq!(packed.unpacked().unwrap().batch, plain.batch);
        // Without a dictionary, too, and in more than one row group.
        let many = (0..1_100_000).map(|i| (i % 9 > 0).then(|| i.to_string())).collect::<Vec<_>>();
        let texts = || many.iter().map(Option::as_deref);
        let arrays: [ArrayRef; 2] = [
            Arc::new(texts().collect::<StringArray>()),
            Arc::new(texts().collect::<DictionaryArray<Int32Type>>()),
        ];
        let written = arrays.map(|array| {
            let batch = RecordBatch::try_from_iter_with_nullable([("text", array, true)]).unwrap();
            Table { name: "t".into(), batch }.parquet().unwrap().bytes
        });
        assert!(written[0] == written[1]);
    }

    #[test]
    fn the_parquet_file_is_the_one_that_the_library_writes_by_itself() {
        let many: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_048_577));
        let many = RecordBatch::try_from_iter_with_nullable([("many", many, true)]).unwrap();
        let some = table(Arc::new(texts().collect::<StringArray>())).batch;
        for (batch, groups) in [(some.slice(0, 0), 0), (some, 1), (many, 2)] {
            let properties = parquet_properties(&batch.schema(), |_| false);
            let mut expected = Vec::new();
            let mut writer =
                ArrowWriter::try_new(&mut expected, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            assert_eq!(writer.close().unwrap().num_row_groups(), groups);
            let found = Table { name: "t".into(), batch }.parquet().unwrap();
            assert_eq!(found.bytes, expected);
        }
    }

    #[test]
    fn very_many_texts_that_differ_are_written_without_a_dictionary() {
        let has_dictionary = |rows: usize, of: &dyn Fn(usize) -> usize, packed: bool| {
            let texts = (0..rows).map(|row| format!("text {}", of(row))).collect::<Vec<_>>();
            let texts = texts.iter().map(|text| Some(text.as_str()));
            let array: ArrayRef = match packed {
                true => Arc::new(texts.collect::<DictionaryArray<Int32Type>>()),
                false => Arc::new(texts.collect::<StringArray>()),
            };
            let batch = RecordBatch::try_from_iter_with_nullable([("text", array, true)]).unwrap();
            let bytes = Table { name: "t".into(), batch }.parquet().unwrap().bytes;
            let read = SerializedFileReader::new(bytes).unwrap();
            read.metadata().row_group(0).column(0).dictionary_page_offset().is_some()
        };
        for packed in [false, true] {
            assert!(!has_dictionary(MANY_TEXTS, &|row| row, packed));
            assert!(has_dictionary(MANY_TEXTS - 1, &|row| row, packed));
            assert!(!has_dictionary(MANY_TEXTS * 2, &|row| row % (MANY_TEXTS * 3 / 2), packed));
            // Some below each other, and some over and over.
            for times in [8, 100] {
                let texts = MANY_TEXTS * 2 / times;
                assert!(has_dictionary(MANY_TEXTS * 2, &|row| row / times, packed));
                assert!(has_dictionary(MANY_TEXTS * 2, &|row| row % texts, packed));
            }
        }
    }
}
