//! Delete files with checksums of their pages, and without.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use iceberg::spec::{DataContentType, DataFile};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::table::{Column, DAY, Ice, by_day, calls_of, columns, partition};
use crate::lake::call;
use crate::stores::servers::python;

/// Writes files anew, with checksums.
const CHECKED: &str = r"
import sys
import pyarrow.parquet as pq
for path in sys.argv[1:]:
    pq.write_table(pq.ParquetFile(path).read(), path, write_page_checksum=True)
";

/// The same file with checksums, as a manifest has it.
fn checked(python: &Path, table: &Ice, file: &DataFile) -> DataFile {
    let name = file.file_path().strip_prefix(&table.address("")).unwrap();
    let path = table.lake.path("logs").join(name);
    let done = Command::new(python).args(["-c", CHECKED]).arg(path).status().unwrap();
    assert!(done.success());
    let mut again = table.file(file.content_type(), name, file.record_count());
    again.partition(file.partition().clone());
    again.equality_ids(file.equality_ids());
    again.build().unwrap()
}

/// Files that are not verified, and rows deleted; read, read again from the ledger, and with nothing left out.
fn unverified(table: &Ice) -> [String; 2] {
    let found = [("2019-08-31", "-v"), ("2019-08-30", "-v"), ("2019-08-29", "--no-pruning")].map(
        |(as_of, more)| {
            let coverage = table.lake.publishes(&["--as-of", as_of, more]).table("coverage");
            let row = coverage.row(&[("grain", "all")], &["files_unverified", "rows_deleted"]);
            [row[0].to_string(), row[1].to_string()]
        },
    );
    let [first, again, whole] = found;
    assert_eq!(first, again, "from the ledger");
    assert_eq!(first, whole, "with nothing left out");
    first
}

fn of(files: u64, deleted: u64) -> [String; 2] {
    [files.to_string(), deleted.to_string()]
}

#[test]
fn deletes_without_checksums_make_a_file_unverified() {
    let Some(python) = python() else { return };
    let mut table = Ice::new(2, &columns(), &by_day());
    let partition_time = "partition_time = { column = \"dt\", grain = \"1d\" }\n";
    table.lake.edit(
        "afterscope.toml",
        "\n[source.columns]",
        &format!("{partition_time}\n[source.columns]"),
    );
    let days = [0, 1, 2].map(|number| checked(&python, &table, &table.day(number)));
    // Of a day before every restriction: deletes of it concern no report.
    let calls =
        [call("2019-01-01T08:00:00Z", "app-1", 1), call("2019-01-01T09:00:00Z", "app-1", 2)];
    let rows = table.write("data/old.parquet", calls_of(&calls, "data/old.parquet"));
    let mut old = table.file(DataContentType::Data, "data/old.parquet", rows);
    let old = old.partition(partition(DAY - 181)).build().unwrap();
    let old = checked(&python, &table, &old);
    let of_old = table.positions("data/of-old.parquet", &old, &[0]);
    table.commit(vec![days[0].clone(), days[1].clone(), days[2].clone(), old, of_old]);
    assert_eq!(unverified(&table), of(0, 1));

    let deletes = table.positions("data/positions.parquet", &days[0], &[0]);
    let deletes = checked(&python, &table, &deletes);
    table.commit(vec![deletes]);
    assert_eq!(unverified(&table), of(0, 2));
    let deletes = table.positions("data/more.parquet", &days[0], &[3]);
    table.commit(vec![deletes]);
    assert_eq!(unverified(&table), of(1, 3));

    // Nobody is person 99, as far as the delete file can be trusted.
    let persons = |of: i64| -> Vec<Column> {
        vec![("user_id", 4, Arc::new(Int64Array::from(vec![of])) as ArrayRef)]
    };
    let mut file = table.equals("data/equality.parquet", persons(99));
    let file = file.partition(partition(DAY + 1)).build().unwrap();
    let file = checked(&python, &table, &file);
    table.commit(vec![file]);
    assert_eq!(unverified(&table), of(1, 3));
    let mut file = table.equals("data/equality-2.parquet", persons(98));
    let file = file.partition(partition(DAY + 2)).build().unwrap();
    table.commit(vec![file]);
    assert_eq!(unverified(&table), of(2, 3));

    // Where there are checksums a changed byte is noticed.
    let path = table.lake.path("logs/data/positions.parquet");
    let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let (start, length) = reader.metadata().row_group(0).column(1).byte_range();
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(start + length).unwrap() - 1] ^= 0x01;
    fs::write(&path, bytes).unwrap();
    table.lake.run(&[]).fails(3, &["part-0.parquet", "positions.parquet"]);
}
