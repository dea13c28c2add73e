//! Columns in structs, with nulls at every level, and whatever lies in the public corpus.

use std::path::Path;

use arrow::array::{
    Array, AsArray, Int32Array, Int64Array, ListArray, RecordBatchReader, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{
    BrotliLevel, Compression, Encoding, GzipLevel, Type as PhysicalType, ZstdLevel,
};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;

use super::structs::way;
use super::*;

/// A row: how far down it is there (0: the outer struct is null, 1: the inner one, 2: the values, 3: nothing),
/// and its value.
type Row = (u8, u16);

const ID: &str = "outer.inner.id";
const SURE: &str = "outer.inner.sure";
const AT: &str = "outer.inner.at";
const SCOPE: &str = "outer.inner.scope";
const BESIDE: &str = "outer.beside";
const TOP: &str = "top";

fn large(value: u16) -> i64 {
    i64::from(value) * 0x1_2345_6789 - 77
}

fn scope(value: u16) -> String {
    format!("scope-{}", value % 41)
}

/// What each column has for a row, as text; made from the rows, not from a file.
fn expected(column: &str, (level, value): Row) -> Option<String> {
    match column {
        ID => (level == 3).then(|| large(value).to_string()),
        AT => (level == 3).then(|| (i64::from(value) * 1_000_001).to_string()),
        SCOPE => (level == 3).then(|| scope(value)),
        // It cannot be null itself, nor can the inner struct's values hide it.
        SURE => (level >= 2).then(|| (i32::from(value) % 900).to_string()),
        BESIDE => (level >= 1).then(|| large(value).to_string()),
        _ => Some(value.to_string()),
    }
}

#[derive(Clone, Debug)]
struct Written {
    page_rows: usize,
    dictionary_bytes: usize,
    second_version: bool,
    codec: Compression,
}

fn written() -> impl Strategy<Value = Written> {
    let codec = prop_oneof![
        Just(Compression::UNCOMPRESSED),
        Just(Compression::SNAPPY),
        Just(Compression::GZIP(GzipLevel::default())),
        Just(Compression::BROTLI(BrotliLevel::default())),
        Just(Compression::LZ4_RAW),
        Just(Compression::ZSTD(ZstdLevel::default())),
    ];
    (1..300usize, 16..6000usize, any::<bool>(), codec).prop_map(
        |(page_rows, dictionary_bytes, second_version, codec)| Written {
            page_rows,
            dictionary_bytes,
            second_version,
            codec,
        },
    )
}

fn structs(fields: Vec<(&str, ArrayRef, bool)>, valid: Vec<bool>) -> ArrayRef {
    let named = |(name, array, nullable): &(&str, ArrayRef, bool)| {
        Field::new(*name, array.data_type().clone(), *nullable)
    };
    let types: Fields = fields.iter().map(named).collect();
    let arrays = fields.into_iter().map(|(_, array, _)| array).collect();
    Arc::new(StructArray::new(types, arrays, Some(NullBuffer::from(valid))))
}

/// Lists and other structs lie beside what is read, so that leaves and fields have other numbers.
fn file(rows: &[Row], how: &Written) -> Bytes {
    let values = |least: u8, value: fn(u16) -> i64| {
        rows.iter().map(move |(level, v)| (*level >= least).then(|| value(*v)))
    };
    let lists = rows.iter().map(|(_, v)| Some(vec![Some(i64::from(*v)); usize::from(*v % 3)]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    let at = values(3, |v| i64::from(v) * 1_000_001);
    let sure = rows.iter().map(|(_, v)| i32::from(*v) % 900);
    let scopes = rows.iter().map(|(level, v)| (*level == 3).then(|| scope(*v)));
    let inner = structs(
        vec![
            ("id", Arc::new(Int64Array::from_iter(values(3, large))) as ArrayRef, true),
            ("sure", Arc::new(Int32Array::from_iter_values(sure)), false),
            ("lists", lists.clone(), true),
            ("at", Arc::new(TimestampMicrosecondArray::from_iter(at).with_timezone("UTC")), true),
            ("scope", Arc::new(StringArray::from_iter(scopes)), true),
        ],
        rows.iter().map(|(level, _)| *level >= 2).collect(),
    );
    let beside: ArrayRef = Arc::new(Int64Array::from_iter(values(0, large)));
    let outer = structs(
        vec![("lists", lists.clone(), true), ("inner", inner, true), ("beside", beside, true)],
        rows.iter().map(|(level, _)| *level >= 1).collect(),
    );
    let top: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.1.into())));
    let columns = vec![("lists", lists, true), ("outer", outer, true), ("top", top, false)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let scope_path = ColumnPath::new(SCOPE.split('.').map(str::to_string).collect());
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(how.page_rows)
        .set_write_batch_size(how.page_rows.min(64))
        .set_dictionary_page_size_limit(how.dictionary_bytes)
        .set_column_dictionary_page_size_limit(scope_path, 1 << 20)
        .set_writer_version(match how.second_version {
            true => WriterVersion::PARQUET_2_0,
            false => WriterVersion::PARQUET_1_0,
        })
        .set_encoding(Encoding::PLAIN)
        .set_compression(how.codec)
        .build();
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out.into()
}

fn leaf_of(metadata: &ArrowReaderMetadata, path: &str) -> usize {
    let columns = metadata.parquet_schema().columns();
    columns.iter().position(|column| column.path().string() == path).unwrap()
}

/// With the texts at `path` as a dictionary, if there is one.
fn metadata_of(bytes: &Bytes, path: Option<&str>) -> ArrowReaderMetadata {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::load(bytes, options.clone()).unwrap();
    let Some(path) = path else { return plain };
    let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    fn changed(fields: &Fields, path: &[&str], to: &DataType) -> Fields {
        let one = |field: &Arc<Field>| match path {
            [name] if name == field.name() => {
                Arc::new(field.as_ref().clone().with_data_type(to.clone()))
            }
            [name, rest @ ..] if name == field.name() => {
                let DataType::Struct(parts) = field.data_type() else { return field.clone() };
                let of = DataType::Struct(changed(parts, rest, to));
                Arc::new(field.as_ref().clone().with_data_type(of))
            }
            _ => field.clone(),
        };
        fields.iter().map(one).collect()
    }
    let path: Vec<&str> = path.split('.').collect();
    let fields = changed(plain.schema().fields(), &path, &text);
    let options = options.with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(plain.metadata().clone(), options).unwrap()
}

/// The leaf's values as texts, moments as numbers; null where it or a struct around it is.
fn values(batch: &RecordBatch, path: &[String]) -> Vec<Option<String>> {
    let mut array = batch.column_by_name(&path[0]).unwrap().clone();
    let mut valid = vec![true; array.len()];
    for name in &path[1..] {
        valid.iter_mut().enumerate().for_each(|(i, valid)| *valid &= array.is_valid(i));
        array = array.as_struct().column_by_name(name).unwrap().clone();
    }
    if let DataType::Timestamp(..) = array.data_type() {
        array = cast(&array, &DataType::Int64).unwrap();
    }
    let texts = cast(&array, &DataType::Utf8).unwrap();
    let texts = texts.as_string::<i32>();
    (0..texts.len())
        .map(|i| (valid[i] && texts.is_valid(i)).then(|| texts.value(i).to_string()))
        .collect()
}

fn fetched(bytes: &Bytes) -> Arc<Fetched> {
    Arc::new(Fetched::new(bytes.len() as u64, vec![(0, bytes.clone())]))
}

/// What the library reads of the wanted rows of a row group.
fn by_library(
    bytes: &Bytes,
    metadata: &ArrowReaderMetadata,
    group: usize,
    leaves: &[usize],
    wanted: &[u32],
) -> Result<RecordBatch> {
    let rows = metadata.metadata().row_group(group).num_rows() as usize;
    let ranges = wanted.iter().map(|row| *row as usize..*row as usize + 1);
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), leaves.iter().copied());
    let reader =
        ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_row_selection(RowSelection::from_consecutive_ranges(ranges, rows))
            .build()?;
    let schema = reader.schema();
    let batches: std::result::Result<Vec<_>, _> = reader.collect();
    Ok(concat_batches(&schema, &batches?)?)
}

proptest! {
    #[test]
    fn values_in_structs_are_null_where_something_around_them_is(
        rows in proptest::collection::vec((0..=3u8, any::<u16>()), 1..1200),
        present in 0..4u8,
        every in 1..5usize,
        how in written(),
    ) {
        // In some files nothing is null above a level.
        let rows: Vec<Row> = rows.into_iter().map(|(level, v)| (level.max(present), v)).collect();
        let bytes = file(&rows, &how);
        let metadata = metadata_of(&bytes, Some(SCOPE));
        let fetched = fetched(&bytes);
        let wanted: Vec<u32> = (0..rows.len() as u32).step_by(every).collect();
        let mut paths = vec![TOP, ID, SURE, AT, BESIDE];
        if FlatColumn::open(&metadata, 0, leaf_of(&metadata, SCOPE), &fetched, None).unwrap().is_some() {
            paths.push(SCOPE);
        }
        let leaves: Vec<usize> = paths.iter().map(|path| leaf_of(&metadata, path)).collect();
        let none = Places::new();
        let flat = FlatReader::open(&metadata, 0, &leaves, &wanted, &fetched, none);
        let flat = flat.unwrap().unwrap();
        let found: Vec<RecordBatch> = flat.map(Result::unwrap).collect();
        let found = concat_batches(&found[0].schema(), &found).unwrap();
        let library = by_library(&bytes, &metadata, 0, &leaves, &wanted).unwrap();
        for path in paths {
            let parts: Vec<String> = path.split('.').map(str::to_string).collect();
            let expected: Vec<_> =
                wanted.iter().map(|row| expected(path, rows[*row as usize])).collect();
            prop_assert_eq!(&values(&found, &parts), &expected, "{}", path);
            prop_assert_eq!(&values(&library, &parts), &expected, "{}, as the library reads it", path);
        }
    }

    #[test]
    fn codes_in_structs_are_found_where_their_texts_stand(
        rows in proptest::collection::vec((0..=3u8, any::<u16>()), 1..1200),
        wanted in 0..41u16,
        repeats in 1..40usize,
        how in written(),
    ) {
        let rows: Vec<Row> =
            rows.iter().flat_map(|row| std::iter::repeat_n(*row, repeats)).take(3000).collect();
        let bytes = file(&rows, &how);
        let metadata = metadata_of(&bytes, Some(SCOPE));
        let column = FlatColumn::open(&metadata, 0, leaf_of(&metadata, SCOPE), &fetched(&bytes), None);
        // A row group in which all is null has no dictionary.
        let Some(mut column) = column.unwrap() else {
            prop_assert!(rows.iter().all(|(level, _)| *level < 3));
            return Ok(());
        };
        let texts = column.texts().unwrap();
        let texts = texts.map(|texts| texts.as_string::<i32>().clone());
        let name = scope(wanted);
        let meanings: Vec<Option<u32>> = texts
            .iter()
            .flatten()
            .map(|text| (text == Some(name.as_str())).then_some(5))
            .collect();
        let mut found = Vec::new();
        let read = column.find(&meanings, |row, code| found.push((row, code))).unwrap();
        let holds = |(level, v): &Row| *level == 3 && v % 41 == wanted;
        let expected: Vec<_> = (0..rows.len()).filter(|i| holds(&rows[*i])).map(|i| (i, 5)).collect();
        prop_assert_eq!(read, rows.len());
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_leaf_in_a_list_is_not_flat_whatever_lies_around_it() {
    let rows: Vec<Row> = (0..50).map(|i| ((i % 4) as u8, i)).collect();
    let how = Written {
        page_rows: 20,
        dictionary_bytes: 4000,
        second_version: false,
        codec: Compression::SNAPPY,
    };
    let bytes = file(&rows, &how);
    let metadata = metadata_of(&bytes, None);
    let fetched = fetched(&bytes);
    let is_flat = |leaf| FlatColumn::open(&metadata, 0, leaf, &fetched, None).unwrap().is_some();
    let columns = metadata.parquet_schema().columns();
    let flat = (0..columns.len()).filter(|leaf| is_flat(*leaf));
    let paths: Vec<String> = flat.map(|leaf| columns[leaf].path().string()).collect();
    assert_eq!(paths, [ID, SURE, AT, BESIDE, TOP]);
}

/// Every column of the public corpus that is flat; texts as dictionaries where the footer names one.
#[test]
fn the_public_corpus_is_read_as_the_library_reads_it() {
    let Some(corpora) = std::env::var_os("AFTERSCOPE_CORPORA") else {
        assert!(std::env::var_os("AFTERSCOPE_NO_SKIPS").is_none(), "AFTERSCOPE_CORPORA is not set");
        return;
    };
    let (mut nested, mut columns) = (0, 0);
    for entry in std::fs::read_dir(Path::new(&corpora).join("parquet/data")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "parquet") {
            continue;
        }
        let bytes = Bytes::from(std::fs::read(&path).unwrap());
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let Ok(plain) = ArrowReaderMetadata::load(&bytes, options) else { continue };
        let groups = plain.metadata().row_groups().iter();
        // Such a file is refused (see `OpenFile::check_footer`).
        if groups.map(|group| group.num_rows()).sum::<i64>()
            != plain.metadata().file_metadata().num_rows()
        {
            continue;
        }
        let fetched = fetched(&bytes);
        for (group, details) in plain.metadata().row_groups().iter().enumerate() {
            for (leaf, chunk) in details.columns().iter().enumerate() {
                let parts = chunk.column_path().parts();
                let is_text = chunk.column_descr().physical_type() == PhysicalType::BYTE_ARRAY
                    && matches!(way(plain.schema().fields(), leaf), Some(way)
                        if way.last().is_some_and(|field| *field.data_type() == DataType::Utf8));
                let metadata = match is_text {
                    true => metadata_of(&bytes, Some(&parts.join("."))),
                    false => plain.clone(),
                };
                let rows = u32::try_from(details.num_rows()).unwrap();
                for every in [1, 3] {
                    let wanted: Vec<u32> = (0..rows).step_by(every).collect();
                    let none = Places::new();
                    let own = FlatReader::open(&metadata, group, &[leaf], &wanted, &fetched, none);
                    let Ok(Some(flat)) = own else { continue };
                    let found: Result<Vec<RecordBatch>> = flat.collect();
                    let name = format!("{}: {}", path.display(), parts.join("."));
                    let found = match found {
                        Err(ParquetError::NYI(_)) => continue,
                        found => found,
                    };
                    let library = by_library(&bytes, &metadata, group, &[leaf], &wanted);
                    if let ([column], Ok(library), 1) = (parts, &library, every) {
                        let flat = FlatColumn::open(&metadata, group, leaf, &fetched, None);
                        let mut flat = flat.unwrap().unwrap();
                        let runs = (0..rows as usize).step_by(1000).map(|from| {
                            let run = from..(rows as usize).min(from + 1000);
                            let array = flat.read(Rows::Run(run)).unwrap();
                            RecordBatch::try_from_iter([(column, array)]).unwrap()
                        });
                        let runs: Vec<RecordBatch> = runs.collect();
                        if let Some(first) = runs.first() {
                            let found = concat_batches(&first.schema(), &runs).unwrap();
                            assert_eq!(values(&found, parts), values(library, parts), "{name}");
                        }
                    }
                    match (found, library) {
                        (Ok(found), Ok(library)) if !found.is_empty() => {
                            let found = concat_batches(&found[0].schema(), &found).unwrap();
                            assert_eq!(values(&found, parts), values(&library, parts), "{name}");
                            columns += 1;
                            nested += usize::from(parts.len() > 1);
                        }
                        (Ok(_), Ok(library)) => assert_eq!(library.num_rows(), 0, "{name}"),
                        (Err(_), Err(_)) => {}
                        (found, library) => {
                            panic!("{name}: {:?} and {:?}", found.err(), library.err())
                        }
                    }
                }
            }
        }
    }
    assert!(columns > 100 && nested > 0, "{columns} columns, {nested} of them in structs");
}
