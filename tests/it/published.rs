//! Published tables, read back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, SecondsFormat};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The tables of a run on disk.
pub struct Published {
    pub folder: PathBuf,
}

impl Published {
    pub fn table(&self, name: &str) -> Table {
        Table::read(&self.folder.join(format!("{name}.parquet")))
    }

    /// Every table file's bytes by its name.
    pub fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        bytes_below(&self.folder)
    }
}

/// The files of one folder by name; fails if there are none.
pub fn bytes_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files: BTreeMap<String, Vec<u8>> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
        .collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Fails, with the names of the files that differ, where two sets of tables are not the same bytes.
pub fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    assert!(a.keys().eq(b.keys()), "{:?}\nbeside {:?}", a.keys(), b.keys());
    let differing: Vec<&String> = a.keys().filter(|name| a[*name] != b[*name]).collect();
    assert!(differing.is_empty(), "these differ: {differing:?}");
}

/// A table as texts; nulls read `null`, times are RFC 3339.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<String>,
    pub types: Vec<DataType>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::parse(file)
    }

    pub fn parse(source: impl parquet::file::reader::ChunkReader + 'static) -> Self {
        let builder = ParquetRecordBatchReaderBuilder::try_new(source).unwrap();
        let fields = builder.schema().fields().clone();
        let mut table = Self {
            columns: fields.iter().map(|f| f.name().clone()).collect(),
            types: fields.iter().map(|f| f.data_type().clone()).collect(),
            rows: Vec::new(),
        };
        for batch in builder.build().unwrap() {
            let batch = batch.unwrap();
            let columns: Vec<Vec<String>> =
                batch.columns().iter().map(|column| texts_of(column.as_ref())).collect();
            for row in 0..batch.num_rows() {
                table.rows.push(columns.iter().map(|column| column[row].clone()).collect());
            }
        }
        table
    }

    fn at(&self, column: &str) -> usize {
        self.columns
            .iter()
            .position(|c| c == column)
            .unwrap_or_else(|| panic!("no column {column} in {:?}", self.columns))
    }

    /// The values of `wanted` in the one row that has all the values of `key`.
    pub fn row(&self, key: &[(&str, &str)], wanted: &[&str]) -> Vec<&str> {
        let fits =
            |row: &&Vec<String>| key.iter().all(|(name, value)| row[self.at(name)] == *value);
        let found: Vec<&Vec<String>> = self.rows.iter().filter(fits).collect();
        let [row] = found.as_slice() else {
            panic!("{} rows fit {key:?}:\n{}", found.len(), self.shown())
        };
        wanted.iter().map(|name| row[self.at(name)].as_str()).collect()
    }

    /// Line by line, for messages.
    fn shown(&self) -> String {
        let lines: Vec<String> =
            std::iter::once(&self.columns).chain(&self.rows).map(|row| row.join(" | ")).collect();
        lines.join("\n")
    }

    /// All values of a column, in the table's order.
    pub fn column(&self, name: &str) -> Vec<&str> {
        let at = self.at(name);
        self.rows.iter().map(|row| row[at].as_str()).collect()
    }
}

fn texts_of(array: &dyn Array) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    if matches!(array.data_type(), DataType::Timestamp(TimeUnit::Microsecond, Some(_))) {
        let values = array.as_primitive::<TimestampMicrosecondType>();
        return values.iter().map(|value| value.map_or_else(|| "null".into(), rfc3339)).collect();
    }
    let formatter = ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len()).map(|row| formatter.value(row).to_string()).collect()
}

fn rfc3339(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
