use super::levels::levels;
use super::*;
use arrow::array::{
    AsArray, BooleanArray, Int16Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::Page;
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;

/// How a file is written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub page_rows: usize,
    pub dictionary: bool,
    pub dictionary_bytes: usize,
    pub second_version: bool,
    pub compressed: bool,
    pub nullable: bool,
}

pub(super) fn written() -> impl Strategy<Value = Written> {
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

pub(super) fn file(rows: &[Option<u16>], how: &Written) -> Bytes {
    let rows: Vec<Option<u16>> = match how.nullable {
        true => rows.to_vec(),
        false => rows.iter().map(|v| Some(v.unwrap_or(7))).collect(),
    };
    let large = |v: u16| i64::from(v) * 0x1_2345_6789 - 77;
    let times = rows.iter().map(|v| v.map(large));
    let texts = rows.iter().map(|v| v.map(|v| format!("scope-{}", v % 41)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter(rows.iter().map(|v| v.map(large))))),
        ("small", Arc::new(Int16Array::from_iter(rows.iter().map(|v| v.map(|v| v as i16 % 9))))),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))),
        ("scope", Arc::new(StringArray::from_iter(texts))),
        ("kept", Arc::new(BooleanArray::from_iter(rows.iter().map(|v| v.map(|v| v % 5 < 2))))),
    ];
    // Writers of the second version have runs of them, those of the first have packed bits.
    let of_bits = if how.second_version { Encoding::RLE } else { Encoding::PLAIN };
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
        .set_column_encoding("kept".into(), of_bits)
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

pub(super) fn texts_as_dictionary(bytes: &Bytes) -> ArrowReaderMetadata {
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
    let (valid, _) = levels(&page, 1, 8).unwrap();
    let valid = valid.unwrap();
    let places: Vec<(usize, bool)> = (0..9).map(|row| valid.place(row)).collect();
    let expected = [0, 1, 2, 2, 3, 4, 5, 6, 7].into_iter().zip(0..);
    assert_eq!(
        places,
        expected.map(|(place, row)| (place, ![2, 8].contains(&row))).collect::<Vec<_>>()
    );
    assert!((0..9).all(|row| valid.has(row) != [2, 8].contains(&row)));
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
    assert!(matches!(levels(&page, 1, 8), Err(ParquetError::NYI(_))));

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
    let fetched = Arc::new(Fetched::new(bytes.len() as u64, vec![(0, bytes)]));
    assert!(FlatColumn::open(&honest, 0, 0, &fetched, None).unwrap().is_none());

    let metadata = honest.metadata().as_ref().clone();
    let group = metadata.row_group(0).clone();
    let chunk = group.column(0).clone().into_builder();
    let chunk = chunk.set_encodings(vec![Encoding::RLE, Encoding::PLAIN]).build().unwrap();
    let group = group.into_builder().set_column_metadata(vec![chunk]).build().unwrap();
    let metadata = metadata.into_builder().set_row_groups(vec![group]).build();
    let lying = ArrowReaderMetadata::try_new(Arc::new(metadata), options).unwrap();
    let flat = FlatReader::open(&lying, 0, &[0], &[3, 4], &fetched, Places::new());
    let mut flat = flat.unwrap().unwrap();
    assert!(matches!(flat.next(), Some(Err(ParquetError::NYI(_)))));
}

thread_local! {
    static PANICKED: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

/// The source file in which `work` panics, if it does.
fn panics_at(work: impl FnOnce()) -> Option<String> {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map(|at| at.file().to_string());
            PANICKED.with(|panicked| *panicked.borrow_mut() = file);
            usual(info);
        }));
    });
    crate::threads::guarded(work).err()?;
    PANICKED.with(|panicked| panicked.borrow_mut().take())
}

proptest! {
    #[test]
    fn wanted_rows_are_what_the_library_reads(
        rows in proptest::collection::vec(proptest::option::weighted(0.8, any::<u16>()), 1..1500),
        runs in proptest::collection::vec((0..90usize, 1..40usize), 0..60),
        how in written(),
        threads in 1..4usize,
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
            Arc::new(Fetched::new(bytes.len() as u64, vec![(0, bytes.clone())]));
        let leaves: Vec<usize> = match how.dictionary {
            true if FlatColumn::open(&metadata, 0, 3, &fetched, None).unwrap().is_some() => {
                vec![0, 1, 2, 3, 4]
            }
            _ => vec![0, 1, 2, 4],
        };
        let flat = FlatReader::open(&metadata, 0, &leaves, &wanted, &fetched, Places::new());
        let effort = Effort::default();
        let flat = flat.unwrap().unwrap().on(threads, &effort);
        let found: Vec<RecordBatch> = flat.map(Result::unwrap).collect();

        let ranges = wanted.iter().map(|row| *row as usize..*row as usize + 1);
        let mask = parquet::arrow::ProjectionMask::leaves(metadata.parquet_schema(), leaves);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
            .with_projection(mask)
            .with_row_selection(RowSelection::from_consecutive_ranges(ranges, rows.len()))
            .build()
            .unwrap();
        let expected: Vec<RecordBatch> = reader.map(|b| b.unwrap()).collect();
        let Some(first) = expected.first() else {
            prop_assert!(found.is_empty() && wanted.is_empty());
            return Ok(());
        };
        let expected = concat_batches(&first.schema(), &expected).unwrap();
        let found = concat_batches(&found[0].schema(), &found).unwrap();
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
    fn marks_are_what_values_and_nulls_say(
        rows in proptest::collection::vec(proptest::option::weighted(0.8, any::<u16>()), 1..900),
        how in written(),
        of_null in 0..4u8,
    ) {
        let how = Written { dictionary: false, ..how };
        let bytes = file(&rows, &how);
        let metadata = texts_as_dictionary(&bytes);
        let fetched = Arc::new(Fetched::new(bytes.len() as u64, vec![(0, bytes.clone())]));
        let open = || FlatColumn::open(&metadata, 0, 0, &fetched, None).unwrap().unwrap();
        let array = open().read(Rows::Run(0..rows.len())).unwrap();
        let values = array.as_primitive::<arrow::datatypes::Int64Type>();
        let mark = |value: u64| u8::from(value.is_multiple_of(3)) * 2;
        let expected: Vec<u8> =
            values.iter().map(|value| 4 | value.map_or(of_null, |value| mark(value as u64))).collect();
        let mut marks = vec![4; rows.len()];
        open().mark(&mut marks, mark, of_null).unwrap();
        prop_assert_eq!(marks, expected);
        // One row less than the column has.
        let mut short = vec![0; rows.len() - 1];
        prop_assert!(open().mark(&mut short, mark, of_null).is_err());
    }

    #[test]
    fn rows_that_follow_each_other_are_what_they_are_one_by_one(
        rows in proptest::collection::vec(proptest::option::weighted(0.8, any::<u16>()), 1..1500),
        runs in proptest::collection::vec((0..90usize, 0..400usize), 1..20),
        how in written(),
    ) {
        let bytes = file(&rows, &how);
        let metadata = texts_as_dictionary(&bytes);
        let fetched = Arc::new(Fetched::new(bytes.len() as u64, vec![(0, bytes)]));
        let mut at = 0;
        let runs: Vec<_> = runs.into_iter().map(|(skip, take)| {
            let from = (at + skip).min(rows.len());
            at = (from + take).min(rows.len());
            from..at
        }).collect();
        for leaf in 0..5 {
            let open = || FlatColumn::open(&metadata, 0, leaf, &fetched, None).unwrap();
            let (Some(mut one_by_one), Some(mut in_runs)) = (open(), open()) else {
                // Texts that are too many for a dictionary.
                prop_assert_eq!(leaf, 3);
                continue;
            };
            for run in &runs {
                let wanted: Vec<u32> = run.clone().map(|row| row as u32).collect();
                let expected = one_by_one.read(Rows::Some(&wanted)).unwrap();
                prop_assert_eq!(&in_runs.read(Rows::Run(run.clone())).unwrap(), &expected, "{}", leaf);
            }
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
            Arc::new(Fetched::new(bytes.len() as u64, vec![(0, bytes)]));
        let mut column = FlatColumn::open(&metadata, 0, 3, &fetched, None).unwrap().unwrap();
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
        let fetched = Arc::new(Fetched::new(spoilt.len() as u64, vec![(0, spoilt.into())]));
        let wanted: Vec<u32> = (0..rows.len() as u32).collect();
        // Headers that contradict themselves make the library itself panic; nothing here may.
        let ended = [
            panics_at(|| {
                let none = Places::new();
                let flat = FlatReader::open(&metadata, 0, &[0, 1, 2, 4], &wanted, &fetched, none);
                if let Ok(Some(flat)) = flat {
                    flat.take_while(Result::is_ok).for_each(drop);
                }
                for leaf in [0, 1, 2, 4] {
                    if let Ok(Some(mut column)) = FlatColumn::open(&metadata, 0, leaf, &fetched, None) {
                        let runs = (0..rows.len()).step_by(70).map(|from| from..rows.len().min(from + 70));
                        runs.take_while(|run| column.read(Rows::Run(run.clone())).is_ok()).for_each(drop);
                    }
                }
            }),
            panics_at(|| {
                if let Ok(Some(mut column)) = FlatColumn::open(&metadata, 0, 3, &fetched, None)
                    && column.texts().is_ok()
                {
                    let _ = column.find(&[Some(1); 8], |_, _| {});
                }
            }),
        ];
        for file in ended.into_iter().flatten() {
            prop_assert!(file.contains("parquet"), "{file}");
        }
    }
}
