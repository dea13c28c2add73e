//! Deleted rows: which deletes count for which files.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray};
use iceberg::spec::{DataContentType, DataFile, Datum, Literal, Struct};
use roaring::RoaringTreemap;
use serde_json::json;

use super::table::{Column, DAY, Ice, by_day, calls_of, columns, partition, schema};
use super::{figures, requests};
use crate::delta::inputs::differs;
use crate::lake::{call, standard_days};
use crate::trouble::holes::are_told_everywhere;

fn persons(of: &[Option<i64>]) -> Vec<Column> {
    vec![("user_id", 4, Arc::new(Int64Array::from(of.to_vec())) as ArrayRef)]
}

#[test]
fn rows_that_position_deletes_name_count_for_nothing() {
    let mut table = Ice::standard(2);
    let day = table.day(0);
    let deletes = table.positions("data/deletes-0.parquet", &day, &[0, 3]);
    let before = table.metadata["current-snapshot-id"].as_i64().unwrap();
    table.commit(vec![deletes]);
    for args in [&[][..], &["--no-pruning"]] {
        let published = table.lake.publishes(args);
        let summary = published.table("scope_summary");
        let row = summary.row(&[("scope", "(all)")], &["requests_allowed", "subjects_observed"]);
        // Of the first day the calls of persons 2 and 3 are left.
        assert_eq!(row, ["4", "4"], "{args:?}");
        let coverage = published.table("coverage");
        let names = ["rows_in_metadata", "rows_deleted", "rows_counted"];
        assert_eq!(coverage.row(&[("source", "(all)")], &names), ["8", "2", "4"], "{args:?}");
    }
    assert_eq!(requests(&table.lake, &["--set", &format!("source.0.snapshot={before}")]), "6");
    // A row that the file does not have.
    let deletes = table.positions("data/deletes-1.parquet", &day, &[4]);
    table.commit(vec![deletes]);
    table.lake.run(&[]).fails(3, &["part-0.parquet", "up to number 4"]);
}

#[test]
fn position_deletes_count_for_older_files_of_their_partition_alone() {
    let mut table = Ice::new(2, &columns(), &by_day());
    let [first, second, third] = [0, 1, 2].map(|number| table.day(number));
    // A file that names rows of the second day, and is of the first one's partition.
    let astray = table.positions("data/astray.parquet", &second, &[0, 1]);
    let astray = table
        .file(DataContentType::PositionDeletes, "data/astray.parquet", astray.record_count())
        .partition(partition(DAY))
        .build()
        .unwrap();
    let early = table.positions("data/early.parquet", &third, &[0]);
    table.commit(vec![first.clone(), second, early, astray]);
    // The third day is newer than the deletes that name it.
    table.commit(vec![third]);
    assert_eq!(requests(&table.lake, &[]), "6");
    // In the commit that brings the file, they count.
    let again = table.positions("data/again.parquet", &first, &[1]);
    table.commit(vec![again]);
    assert_eq!(requests(&table.lake, &[]), "5");
}

/// Some writers cut bounds to their first characters, and the upper one is not made greater by all.
#[test]
fn bounds_that_name_no_data_file_leave_out_no_deletes() {
    const ADDRESS: i32 = 2_147_483_546;
    let mut table = Ice::standard(2);
    let day = table.day(0);
    let whole = table.positions("data/cut.parquet", &day, &[0, 3]);
    let start: String = day.file_path().chars().take(16).collect();
    let bounds = || HashMap::from([(ADDRESS, Datum::string(&start))]);
    let cut = table
        .file(DataContentType::PositionDeletes, "data/cut.parquet", whole.record_count())
        .lower_bounds(bounds())
        .upper_bounds(bounds())
        .partition(day.partition().clone())
        .build()
        .unwrap();
    table.commit(vec![cut]);
    // Of the first day the calls of persons 2 and 3 are left.
    assert_eq!(requests(&table.lake, &[]), "4");
}

#[test]
fn deletes_that_name_one_file_must_be_of_its_partition() {
    let mut table = Ice::standard(2);
    let day = table.day(0);
    let named = table.positions("data/named.parquet", &day, &[0]);
    let of = |partition: Struct, table: &Ice| -> DataFile {
        table
            .file(DataContentType::PositionDeletes, "data/named.parquet", named.record_count())
            .referenced_data_file(Some(day.file_path().to_string()))
            .partition(partition)
            .build()
            .unwrap()
    };
    let file = of(partition(DAY), &table);
    table.commit(vec![file]);
    assert_eq!(requests(&table.lake, &[]), "5");
    let file = of(partition(DAY + 1), &table);
    table.commit(vec![file]);
    table.lake.run(&[]).fails(1, &["named.parquet", "is of another partition"]);
}

#[test]
fn equality_deletes_count_for_older_data_of_their_partition() {
    let mut table = Ice::standard(2);
    let delete = |table: &Ice, name: &str, values: Vec<Column>, day: Option<i32>| -> DataFile {
        let mut file = table.equals(&format!("data/{name}.parquet"), values);
        if let Some(day) = day {
            file.partition(partition(day));
        }
        file.build().unwrap()
    };
    // Person 1 on the first day: two calls of four. On the second, their call stays.
    let file = delete(&table, "one", persons(&[Some(1), Some(99)]), Some(DAY));
    table.commit(vec![file]);
    assert_eq!(figures(&table.lake, &[]), ["4", "4", "400"].map(String::from));
    let coverage = table.lake.publishes(&[]).table("coverage");
    assert_eq!(coverage.row(&[("source", "(all)")], &["rows_deleted"]), ["2"]);
    // What comes with the deletes, or after them, is not deleted by them.
    let rows = table.write(
        "data/later.parquet",
        calls_of(&[call("2019-07-01T12:00:00Z", "app-1", 2)], "later"),
    );
    let later = table
        .file(DataContentType::Data, "data/later.parquet", rows)
        .partition(partition(DAY))
        .build()
        .unwrap();
    let file = delete(&table, "two", persons(&[Some(2)]), Some(DAY));
    table.commit(vec![later, file]);
    assert_eq!(requests(&table.lake, &[]), "4");
    // Two columns, one of which is a partition that files do not hold.
    let days = Arc::new(Date32Array::from(vec![DAY, DAY + 1]));
    let values = vec![
        ("scope", 6, Arc::new(StringArray::from(vec!["write_posts", "read_members"])) as ArrayRef),
        ("dt", 9, days as ArrayRef),
    ];
    let file = delete(&table, "both", values, Some(DAY + 1));
    table.commit(vec![file]);
    // The call of person 1 on the second day; the refused one, of the same scope, counted for nothing.
    assert_eq!(figures(&table.lake, &[]), ["3", "3", "300"].map(String::from));
}

#[test]
fn equality_deletes_without_partitions_count_everywhere() {
    let mut table = Ice::standard(2);
    let specs = table.metadata["partition-specs"].as_array_mut().unwrap();
    specs.push(json!({"spec-id": 1, "fields": []}));
    let file = table.equals("data/one.parquet", persons(&[Some(1)])).build().unwrap();
    table.commit_of(1, vec![file]);
    assert_eq!(figures(&table.lake, &[]), ["3", "3", "300"].map(String::from));
}

#[test]
fn nulls_and_numbers_that_are_none_are_equal_and_zeros_differ() {
    let mut fields = columns();
    let more = json!({"id": 10, "name": "weight", "type": "double", "required": false});
    fields.as_array_mut().unwrap().push(more);
    let mut table = Ice::new(2, &fields, &json!([]));
    let numbers = [Some(0.0), Some(-0.0), Some(f64::NAN), None, Some(1.5)];
    let calls: Vec<_> = (0..5).map(|n| call("2019-07-01T08:00:00Z", "app-1", n)).collect();
    let mut values = calls_of(&calls, "data/a.parquet");
    values.push(("weight", 10, Arc::new(Float64Array::from(numbers.to_vec()))));
    let rows = table.write("data/a.parquet", values);
    let file = table.file(DataContentType::Data, "data/a.parquet", rows).build().unwrap();
    table.commit(vec![file]);
    let mut left = 5;
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    for (step, gone) in [Some(-0.0), Some(other_nan), None, Some(1.5)].into_iter().enumerate() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![gone]));
        let name = format!("data/deletes-{step}.parquet");
        let file = table.equals(&name, vec![("weight", 10, column)]).build().unwrap();
        table.commit(vec![file]);
        left -= 1;
        assert_eq!(requests(&table.lake, &[]), left.to_string(), "{gone:?}");
    }
}

#[test]
fn partitions_are_equal_whatever_width_their_column_had() {
    let int = json!([{"id": 4, "name": "user_id", "type": "int", "required": false}]);
    let mut fields = columns();
    fields[3] = int[0].clone();
    let by_person =
        json!([{"source-id": 4, "field-id": 1000, "name": "person", "transform": "identity"}]);
    let mut table = Ice::new(2, &fields, &by_person);
    let rows =
        table.write("data/a.parquet", calls_of(&standard_days()[0].1[..1], "data/a.parquet"));
    let person = |value| Struct::from_iter([Some(value)]);
    let file = table
        .file(DataContentType::Data, "data/a.parquet", rows)
        .partition(person(Literal::int(1)))
        .build()
        .unwrap();
    table.commit(vec![file.clone()]);
    // The column becomes long; the deletes come after that.
    table.metadata["schemas"] = json!([schema(0, &fields), schema(1, &columns())]);
    table.metadata["current-schema-id"] = 1.into();
    let deletes = table.positions("data/deletes.parquet", &file, &[0]);
    let deletes = table
        .file(DataContentType::PositionDeletes, "data/deletes.parquet", deletes.record_count())
        .partition(person(Literal::long(1)))
        .build()
        .unwrap();
    table.commit(vec![deletes]);
    assert_eq!(requests(&table.lake, &[]), "0");
}

/// A deletion vector: length, magic, bitmap, CRC-32 (big-endian where they are numbers).
fn blob(rows: &[u64]) -> Vec<u8> {
    let mut body = vec![0xD1, 0xD3, 0x39, 0x64];
    let bitmap: RoaringTreemap = rows.iter().copied().collect();
    bitmap.serialize_into(&mut body).unwrap();
    let sum = crc32fast::hash(&body).to_be_bytes();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body, &sum].concat()
}

/// A Puffin file of several vectors: magic, blobs, footer. Gives where each lies.
pub fn puffin(table: &Ice, path: &str, vectors: &[(&DataFile, &[u64])]) -> Vec<DataFile> {
    let mut bytes = b"PFA1".to_vec();
    let mut places = Vec::new();
    let mut blobs = Vec::new();
    for (data, rows) in vectors {
        let blob = blob(rows);
        let (offset, length) = (bytes.len(), blob.len());
        bytes.extend(blob);
        places.push((offset, length));
        blobs.push(json!({
            "type": "deletion-vector-v1", "fields": [], "snapshot-id": -1, "sequence-number": -1,
            "offset": offset, "length": length,
            "properties": {
                "referenced-data-file": data.file_path(), "cardinality": rows.len().to_string(),
            },
        }));
    }
    let footer = json!({"blobs": blobs, "properties": {}}).to_string();
    let size = u32::try_from(footer.len()).unwrap().to_le_bytes();
    bytes.extend([&b"PFA1"[..], footer.as_bytes(), &size, &[0; 4], b"PFA1"].concat());
    std::fs::write(table.lake.path("logs").join(path), bytes).unwrap();
    let files = vectors.iter().zip(places).map(|((data, rows), (offset, length))| {
        table
            .file(DataContentType::PositionDeletes, path, rows.len() as u64)
            .partition(data.partition().clone())
            .referenced_data_file(Some(data.file_path().to_string()))
            .content_offset(Some(i64::try_from(offset).unwrap()))
            .content_size_in_bytes(Some(i64::try_from(length).unwrap()))
            .build()
            .unwrap()
    });
    files.collect()
}

#[test]
fn a_deletion_vector_takes_the_place_of_position_deletes() {
    let mut table = Ice::standard(2);
    let [first, second] = [0, 1].map(|number| table.day(number));
    let old = [
        table.positions("data/old-0.parquet", &first, &[0, 3]),
        table.positions("data/old-1.parquet", &second, &[0]),
    ];
    table.commit(old.to_vec());
    assert_eq!(requests(&table.lake, &[]), "3");
    // The table becomes one of format 3; a vector would hold the old rows too. This one does not, so that
    // it shows which counts.
    table.metadata["format-version"] = 3.into();
    table.metadata["next-row-id"] = 0.into();
    let vectors = puffin(&table, "data/dv.puffin", &[(&first, &[1])]);
    table.commit(vectors);
    assert_eq!(requests(&table.lake, &[]), "4");
    let manifest = table.lake.run(&[]).succeeds().published().folder;
    let manifest =
        std::fs::read_to_string(manifest.parent().unwrap().join("manifest.json")).unwrap();
    for feature in ["format-v3", "deletion-vectors", "position-deletes"] {
        assert!(manifest.contains(feature), "{feature}");
    }
}

#[test]
fn vectors_of_one_file_are_told_apart_and_must_be_whole() {
    let mut table = Ice::standard(3);
    let [first, second] = [0, 1].map(|number| table.day(number));
    let vectors = puffin(&table, "data/dv.puffin", &[(&first, &[0, 1, 2]), (&second, &[0])]);
    table.commit(vectors);
    assert_eq!(requests(&table.lake, &[]), "2");
    // And equality deletes beside them.
    let file = table.equals("data/five.parquet", persons(&[Some(5)]));
    let file = { file }.partition(partition(DAY + 2)).build().unwrap();
    table.commit(vec![file]);
    assert_eq!(requests(&table.lake, &[]), "1");
    let path = table.lake.path("logs/data/dv.puffin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[14] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    table.lake.run(&[]).fails(3, &["dv.puffin", "the vector at 4"]);
    std::fs::remove_file(&path).unwrap();
    table.lake.run(&[]).fails(3, &["dv.puffin", "is the latest"]);
}

#[test]
fn a_file_has_one_vector() {
    let mut table = Ice::standard(3);
    let first = table.day(0);
    for name in ["data/one.puffin", "data/two.puffin"] {
        let vectors = puffin(&table, name, &[(&first, &[0])]);
        table.commit(vectors);
    }
    table.lake.run(&[]).fails(1, &["part-0.parquet has two deletion vectors"]);
}

#[test]
fn what_deletes_are_made_of_is_part_of_what_is_read() {
    let mut table = Ice::standard(2);
    let plan = |table: &Ice| table.lake.plan(&[])["sources"][0]["files_to_read"].as_u64();
    table.lake.publishes(&[]);
    assert_eq!(plan(&table), Some(0));
    // Deletes of one partition: its one file is read again, and no other.
    let mut file = table.equals("data/one.parquet", persons(&[Some(1)]));
    let file = file.partition(partition(DAY)).build().unwrap();
    table.commit(vec![file]);
    assert_eq!(plan(&table), Some(1));
}

#[test]
fn delete_files_and_metadata_are_inputs() {
    let mut table = Ice::standard(2);
    let day = table.day(0);
    let positions = table.positions("data/positions.parquet", &day, &[0]);
    let mut equal = table.equals("data/equal.parquet", persons(&[Some(1)]));
    let equal = equal.partition(partition(DAY + 1)).build().unwrap();
    table.commit(vec![positions, equal]);
    assert_eq!(requests(&table.lake, &[]), "4");
    let verify = || table.lake.afterscope(&["verify", "out", "--inputs"]);
    // Three files of data, two of deletes, the metadata, a list and five manifests, two files of the registry.
    let told = verify().succeeds().json();
    assert_eq!(
        told["inputs"],
        json!({"files": 13, "unchanged": 13, "changed": 0, "missing": 0}),
        "{told}"
    );
    for (path, says) in [
        ("data/positions.parquet", "deletes in"),
        ("data/equal.parquet", "deletes in"),
        ("metadata/m4-deletes.avro", "metadata in"),
    ] {
        let path = table.lake.path("logs").join(path);
        let kept = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&kept[..], b" "].concat()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        differs(&verify(), &[says, name, "was changed: it has"]);
        std::fs::remove_file(&path).unwrap();
        match says {
            "deletes in" => differs(&verify(), &[says, name, "is missing"]),
            _ => assert!(!verify().json()["warnings"].as_array().unwrap().is_empty()),
        }
        std::fs::write(&path, kept).unwrap();
    }
}

/// Takes files away, one after the other, each of which deletes rows of some data files or is one.
fn leave_holes(table: &Ice, lost: &[(&str, &[&str], [u64; 4])]) {
    let lake = &table.lake;
    let whole = requests(lake, &["--state", "state"]);
    for (number, (file, holes, left)) in lost.iter().enumerate() {
        let path = lake.path("logs").join(file);
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let output = format!("lost-{number}");
        let args = ["--output", &output, "--state", "state"];
        lake.run(&args).fails(3, &[file, "is not there, though snapshot", "--allow-incomplete"]);
        let outcome = lake.run(&[&args[..], &["--allow-incomplete"]].concat()).succeeds();
        let totals = json!({
            "requests_allowed": left[0], "subjects_observed": left[1], "groups": left[2],
            "apps": left[3],
        });
        are_told_everywhere(&outcome, holes, &totals);
        assert!(outcome.stderr.contains(file), "{outcome:#?}");
        let verify = |output: &str| lake.afterscope(&["verify", output, "--inputs"]);
        differs(&verify(&output), &[&format!("{file} is missing")]);
        std::fs::write(&path, &kept[1..]).unwrap();
        differs(&verify(&output), &[&format!("{file} is there again")]);
        let other = format!("other-{number}");
        let args = ["--output", &other, "--state", "state", "--allow-incomplete"];
        lake.run(&args).succeeds();
        verify(&other).succeeds();
        std::fs::write(&path, kept).unwrap();
        differs(&verify(&other), &[&format!("{file} was changed: it has")]);
        assert_eq!(requests(lake, &["--state", "state", "--allow-incomplete"]), whole);
    }
}

#[test]
fn what_a_lost_delete_file_counts_for_is_a_hole_and_no_row_of_it_counts() {
    let mut table = Ice::standard(2);
    let [first, second] = [0, 1].map(|number| table.day(number));
    // The ledger has all rows of all files.
    assert_eq!(requests(&table.lake, &["--state", "state"]), "6");
    let positions = table.positions("data/places.parquet", &first, &[0, 3]);
    let mut first_person = table.equals("data/persons.parquet", persons(&[Some(1)]));
    let first_person = first_person.partition(second.partition().clone()).build().unwrap();
    table.commit(vec![positions, first_person]);
    // Of the first day the calls of persons 2 and 3, of the third that of person 5.
    assert_eq!(requests(&table.lake, &["--state", "state"]), "3");
    leave_holes(
        &table,
        &[
            ("data/places.parquet", &["part-0.parquet"], [1, 1, 1, 1]),
            ("data/persons.parquet", &["part-1.parquet"], [3, 3, 2, 2]),
            ("data/part-2.parquet", &["part-2.parquet"], [2, 2, 1, 1]),
        ],
    );
}

#[test]
fn what_a_lost_puffin_file_counts_for_is_a_hole_and_no_row_of_it_counts() {
    let mut table = Ice::standard(3);
    let [first, second] = [0, 1].map(|number| table.day(number));
    assert_eq!(requests(&table.lake, &["--state", "state"]), "6");
    let vectors = puffin(&table, "data/dv.puffin", &[(&first, &[1]), (&second, &[1])]);
    table.commit(vectors);
    // Of the second day the denied call is deleted.
    assert_eq!(requests(&table.lake, &["--state", "state"]), "5");
    let holes = &["part-0.parquet", "part-1.parquet"][..];
    leave_holes(&table, &[("data/dv.puffin", holes, [1, 1, 1, 1])]);
}
