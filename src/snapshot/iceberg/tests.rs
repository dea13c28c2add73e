//! Delete files give the same rows whether they are held or read anew.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use parquet::arrow::ArrowWriter;
use roaring::RoaringTreemap;

use super::equality::{self, Column, Comparison, Group};
use super::held::Room;
use super::positions::Positions;
use crate::config::raw;
use crate::snapshot::rows::Pinned;
use crate::snapshot::{DeletesError, TableField};
use crate::store::{Io, Store, StoreUrl};

fn folder(at: &Path, io: &Io) -> Store {
    let url = StoreUrl::parse(at.to_str().unwrap(), at, &raw::Store::default()).unwrap();
    url.open(io).unwrap()
}

fn write(at: &Path, store: &Store, path: &str, columns: Vec<(&str, ArrayRef)>) -> Pinned {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(at.join(path)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let pin = store.head(path).unwrap().unwrap();
    Pinned { store: store.clone(), path: path.into(), pin, room: 1 << 20 }
}

fn numbers(of: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(of))
}

fn column(name: &str) -> Column {
    let field = TableField {
        name: name.into(),
        physical: vec![name.into()],
        id: None,
        data_type: DataType::Int64,
        default: None,
        children: Vec::new(),
    };
    Column { way: vec![field], constant: None }
}

fn rows(of: impl FnOnce(&mut RoaringTreemap) -> Result<(), DeletesError>) -> Option<Vec<u64>> {
    let mut rows = RoaringTreemap::new();
    of(&mut rows).ok().map(|()| rows.iter().collect())
}

#[test]
fn delete_files_are_read_once_where_they_fit() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (dir, io) = (tempfile::tempdir().unwrap(), Io::new(runtime.handle().clone()));
    let store = folder(dir.path(), &io);
    let data = write(dir.path(), &store, "data", vec![("a", numbers(0..100))]);
    // Value 7 is deleted in data older than 3 and older than 5; 9 older than 5; 11 older than 2.
    let deletes = [(3, vec![7]), (5, vec![7, 9]), (2, vec![11])];
    for (bytes, is_held) in [(1 << 20, true), (0, false)] {
        let room = Room::new(bytes);
        let files = deletes.iter().map(|(sequence, values)| {
            let values = vec![("a", numbers(values.clone()))];
            (*sequence, write(dir.path(), &store, &format!("equal-{sequence}"), values))
        });
        let group = Arc::new(Group::new(vec![column("a").way], files.collect()));
        let gone = |sequence: i64| {
            let group = group.clone();
            let comparison = Comparison { group, columns: vec![column("a")], sequence };
            rows(|rows| equality::add(&comparison, &data, &room, rows).map(|_| ()))
        };
        assert_eq!(gone(1), Some(vec![7, 9, 11]));
        assert_eq!(gone(2), Some(vec![7, 9]));
        let addresses = StringArray::from(vec!["a", "a", "b"]);
        let places = numbers([0, 5, 1]);
        let columns = vec![("file_path", Arc::new(addresses) as ArrayRef), ("pos", places)];
        let positions = Positions::new(write(dir.path(), &store, "positions", columns));
        let named = |address: &str| rows(|rows| positions.add(address, &room, rows));
        assert_eq!(named("a"), Some(vec![0, 5]));
        // What was read once is not looked for again.
        for path in ["equal-2", "equal-3", "equal-5", "positions"] {
            fs::remove_file(dir.path().join(path)).unwrap();
        }
        assert_eq!(gone(4), is_held.then(|| vec![7, 9]));
        assert_eq!(gone(5), Some(Vec::new()));
        assert_eq!(named("b"), is_held.then(|| vec![1]));
        assert_eq!(named("c"), is_held.then(Vec::new));
    }
}
