//! Small files of several shapes, and where their pages lie.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;

use crate::lake::times;
use crate::stores::servers::python;

/// The header of a page is shorter, where it holds no statistics.
const HEADER: usize = 64;

pub struct Shape {
    pub name: String,
    pub bytes: Vec<u8>,
    metadata: ParquetMetaData,
}

impl Shape {
    fn of(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut reader =
            ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        reader.try_parse(&Bytes::from(bytes.clone())).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        Self { name, bytes, metadata: reader.finish().unwrap() }
    }

    pub fn has_checksums(&self) -> bool {
        self.name.ends_with("-crc")
    }

    /// Where each page lies with its header, of row groups and columns in turn.
    pub fn pages(&self) -> Vec<Range<usize>> {
        let range = |from: i64, length: i64| {
            let from = usize::try_from(from).unwrap();
            from..from + usize::try_from(length).unwrap()
        };
        let groups = self.metadata.row_groups().iter().zip(self.metadata.offset_index().unwrap());
        let mut pages = Vec::new();
        for (column, index) in groups.flat_map(|(group, index)| group.columns().iter().zip(index)) {
            if let Some(from) = column.dictionary_page_offset() {
                pages.push(range(from, column.data_page_offset() - from));
            }
            let located = index.page_locations().iter();
            pages.extend(located.map(|page| range(page.offset, page.compressed_page_size.into())));
        }
        pages
    }

    /// What of the pages is surely no header: their ends.
    pub fn bodies(&self) -> Vec<Range<usize>> {
        let pages = self.pages().into_iter();
        pages.map(|page| (page.start + HEADER).min(page.end)..page.end).collect()
    }

    /// Where the footer begins.
    pub fn footer(&self) -> usize {
        let end = self.bytes.len() - 8;
        let length = u32::from_le_bytes(self.bytes[end..end + 4].try_into().unwrap());
        end - length as usize
    }
}

/// Log files; `None`, with the reason said, where no program writes them.
pub fn shapes() -> Option<Vec<Shape>> {
    written(&[])
}

/// Files that are memberships and residences.
pub fn shapes_of_people() -> Option<Vec<Shape>> {
    written(&["people"])
}

fn written(args: &[&str]) -> Option<Vec<Shape>> {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/trouble/shapes.py");
    let written =
        Command::new(python()?).arg(script).arg(folder.path()).args(args).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    if args.is_empty() {
        with_bloom_filter(&folder.path().join("zstd-bloom.parquet"));
    }
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut shapes: Vec<Shape> = files.map(|path| Shape::of(&path)).collect();
    shapes.sort_by(|a, b| a.name.cmp(&b.name));
    Some(shapes)
}

/// What Arrow for Python cannot write.
fn with_bloom_filter(path: &Path) {
    let texts = |of: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..200).map(of)))
    };
    let numbers = |of: fn(i64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..200).map(of)))
    };
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("event_time", times((0..200).map(|_| Some("2019-07-01T08:00:00Z"))), true),
        ("request_id", texts(&|row| format!("request-{row}")), true),
        ("app_id", texts(&|row| format!("app-{}", row % 3)), true),
        ("user_id", numbers(|row| row), true),
        ("group_id", numbers(|row| row % 5), true),
        ("scope", texts(&|row| ["read_members", "email"][row % 2].to_string()), true),
        ("status", numbers(|_| 200), true),
        ("bytes", numbers(|row| row * 37), true),
    ])
    .unwrap();
    let options = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_bloom_filter_enabled(true)
        .set_data_page_row_count_limit(50)
        .set_max_row_group_row_count(Some(100))
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(options)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
