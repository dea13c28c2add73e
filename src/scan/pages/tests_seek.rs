use proptest::prelude::*;

use super::tests::{Written, file, texts_as_dictionary, written};
use super::*;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::file::metadata::PageIndexPolicy;

/// What `few` finds in a file, and its bytes there; `None` where it reads past them.
fn sought(bytes: &Bytes, few: &FewRows) -> (Fetched, Places) {
    let (ranges, places) = few.seek(|into, at| {
        let rest = bytes.get(at as usize..).unwrap_or_default();
        let filled = rest.len().min(into.len());
        into[..filled].copy_from_slice(&rest[..filled]);
        Ok(filled)
    });
    let part = |range: &std::ops::Range<u64>| {
        (range.start, bytes.slice(range.start as usize..range.end as usize))
    };
    (Fetched::new(bytes.len() as u64, ranges.iter().map(part).collect()), places)
}

fn read(flat: FlatReader<'_>) -> Vec<RecordBatch> {
    flat.map(Result::unwrap).collect()
}

/// Files of some thousand rows, and as few that are wanted as make it worth while to look for their pages.
fn cases() -> impl Strategy<Value = (Vec<Option<u16>>, Vec<u32>, Written)> {
    let rows = proptest::collection::vec(proptest::option::weighted(0.8, any::<u16>()), 3072..5000);
    let wanted = proptest::collection::btree_set(0..3072u32, 1..4);
    (rows, wanted, written()).prop_map(|(rows, wanted, how)| (rows, Vec::from_iter(wanted), how))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn pages_lie_where_an_offset_index_would_say_and_give_the_same_rows(
        (rows, wanted, how) in cases(),
    ) {
        let bytes = file(&rows, &how);
        let metadata = texts_as_dictionary(&bytes);
        let whole = Arc::new(Fetched::new(bytes.len() as u64, vec![(0, bytes.clone())]));
        let leaves: Vec<usize> =
            (0..5).filter(|leaf| FlatReader::takes(&metadata, 0, &[*leaf])).collect();
        let group = metadata.metadata().row_group(0);
        let mut few = FewRows::of(group, &leaves, &wanted).unwrap();
        (few.least, few.least_page) = (0, 0);
        let (fetched, places) = sought(&bytes, &few);

        // The writer's own index, which the program was not shown.
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let indexed = ArrowReaderMetadata::load(&bytes, options).unwrap();
        let index = &indexed.metadata().offset_index().unwrap()[0];
        for leaf in &leaves {
            let expected = index[*leaf].page_locations();
            let first = expected.get(1).map_or(rows.len(), |page| page.first_row_index as usize);
            match places.get(leaf) {
                Some(found) => prop_assert_eq!(found, expected),
                None => prop_assert!(rows.len().div_ceil(first) / 2 < wanted.len(), "{first}"),
            }
        }
        let all: u64 = leaves.iter().map(|leaf| group.column(*leaf).byte_range().1).sum();
        prop_assert!(fetched.bytes() <= all);
        if let Some(pages) = places.get(&0).filter(|pages| pages.len() > 20) {
            // Of at most three pages in more than twenty.
            let length = group.column(0).byte_range().1;
            let here: u64 = fetched.beginning_in(0..4 + length).map(|p| p.1.len() as u64).sum();
            prop_assert!(how.dictionary || here < length / 3, "{here} of {length}, {}", pages.len());
        }
        let none = Places::new();
        let expected = FlatReader::open(&metadata, 0, &leaves, &wanted, &whole, none);
        let found = FlatReader::open(&metadata, 0, &leaves, &wanted, &Arc::new(fetched), places);
        prop_assert_eq!(read(found.unwrap().unwrap()), read(expected.unwrap().unwrap()));
    }

    #[test]
    fn damaged_headers_end_a_search_within_the_column(
        (rows, wanted, how) in cases(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let bytes = file(&rows, &how);
        let metadata = texts_as_dictionary(&bytes);
        let group = metadata.metadata().row_group(0);
        let (start, length) = group.column(0).byte_range();
        let mut spoilt = bytes.to_vec();
        spoilt[start as usize + at.index(length as usize)] = byte;
        let mut few = FewRows::of(group, &[0], &wanted).unwrap();
        (few.least, few.least_page) = (0, 0);
        let (fetched, places) = sought(&spoilt.into(), &few);
        prop_assert!(fetched.bytes() <= length);
        let ends = places.values().flatten();
        let ends = ends.map(|page| page.offset as u64 + page.compressed_page_size as u64);
        prop_assert!(ends.max().is_none_or(|end| end <= start + length));
    }
}

#[test]
fn many_rows_and_small_columns_are_not_looked_for() {
    let rows: Vec<Option<u16>> = (0..3000).map(Some).collect();
    let how = Written { page_rows: 10, ..plain() };
    let metadata = texts_as_dictionary(&file(&rows, &how));
    let group = metadata.metadata().row_group(0);
    assert!(FewRows::of(group, &[0], &[1, 2, 3]).is_none(), "3 of 3000 rows");
    let few = FewRows::of(group, &[0, 1], &[1, 2999]).unwrap();
    let (fetched, places) = sought(&file(&rows, &how), &few);
    let chunks = [0, 1].map(|leaf| group.column(leaf).byte_range().1);
    assert_eq!((fetched.bytes(), places.len()), (chunks.iter().sum(), 0));
}

fn plain() -> Written {
    Written {
        page_rows: 100,
        dictionary: false,
        dictionary_bytes: 4000,
        second_version: false,
        compressed: false,
        nullable: false,
    }
}

/// A file of 3,000 rows in pages of 1,024, of which the first one of ids says that it has 1,016 values.
fn short_page() -> (Bytes, ArrowReaderMetadata) {
    let rows: Vec<Option<u16>> = (0..3000).map(Some).collect();
    let bytes = file(&rows, &Written { page_rows: 1024, ..plain() });
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(&bytes, options).unwrap();
    assert_eq!(metadata.metadata().offset_index().unwrap()[0][0].page_locations().len(), 3);
    let mut spoilt = bytes.to_vec();
    let start = metadata.metadata().row_group(0).column(0).byte_range().0 as usize;
    // Zigzag: 2,048 and 2,032, seven bits a byte.
    let header = &mut spoilt[start..start + 40];
    let at = header.windows(2).position(|bytes| bytes == [0x80, 0x10]).unwrap();
    header[at..at + 2].copy_from_slice(&[0xf0, 0x0f]);
    (spoilt.into(), metadata)
}

#[test]
fn a_page_that_says_too_few_values_is_noticed_whatever_is_read_of_its_column() {
    let (bytes, metadata) = short_page();
    let group = metadata.metadata().row_group(0);
    let look = |fetched: &Fetched, index| {
        crate::headers::look(group, &[0], fetched, u64::MAX, index).map(drop).unwrap_err()
    };
    let (start, length) = group.column(0).byte_range();
    let chunk = bytes.slice(start as usize..(start + length) as usize);
    let whole = Fetched::new(bytes.len() as u64, vec![(start, chunk)]);
    assert_eq!(look(&whole, None), "column `id`: its pages have 2992 values where 3000 should be");

    // By an index its first page alone was fetched.
    let index = &metadata.metadata().offset_index().unwrap()[0];
    let first = &index[0].page_locations()[0];
    let (from, size) = (first.offset as usize, first.compressed_page_size as usize);
    let part =
        Fetched::new(bytes.len() as u64, vec![(from as u64, bytes.slice(from..from + size))]);
    let says = "column `id`: a page of 1024 rows says that it has 1016 values";
    assert_eq!(look(&part, Some(index)), says);

    // By the headers' own walk the rows do not add up: the column is read whole.
    let mut few = FewRows::of(group, &[0], &[7]).unwrap();
    (few.least, few.least_page) = (0, 0);
    let (fetched, places) = sought(&bytes, &few);
    assert!(places.is_empty());
    assert_eq!(look(&fetched, None), look(&whole, None));

    // Places that another look at the file gave.
    let places = Places::from([(0, index[0].page_locations().clone())]);
    let flat = FlatReader::open(&metadata, 0, &[0], &[7, 1500], &Arc::new(part), places);
    let error = flat.unwrap().unwrap().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("a page of 1024 rows says that it has 1016 values"), "{error}");
}
