//! Columns: by number, by mapped names, of older types, with defaults.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int32Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use iceberg::spec::{DataContentType, Literal, Struct};
use serde_json::{Value, json};

use super::figures;
use super::table::{Column, DAY, Ice, by_day, calls_of, columns, partition, schema};
use crate::lake::{call, standard_days};

/// The first day's calls, whose columns were changed.
fn written(change: impl Fn(&mut Column)) -> Vec<Column> {
    let mut columns = calls_of(&standard_days()[0].1, "data/a.parquet");
    columns.iter_mut().for_each(change);
    columns
}

/// A table of one file without partitions.
fn table_of(format: u8, fields: &Value, file: Vec<Column>) -> Ice {
    let mut table = Ice::new(format, fields, &json!([]));
    let rows = table.write("data/a.parquet", file);
    let file = table.file(DataContentType::Data, "data/a.parquet", rows).build().unwrap();
    table.commit(vec![file]);
    table
}

fn renamed(fields: &Value, id: i64, name: &str) -> Value {
    let mut fields = fields.clone();
    for field in fields.as_array_mut().unwrap() {
        if field["id"] == id {
            field["name"] = name.into();
        }
    }
    fields
}

#[test]
fn times_that_files_do_not_say_to_be_in_utc_are_so_by_the_table_s_word() {
    let table = table_of(
        2,
        &columns(),
        written(|(name, _, values)| {
            if *name == "event_time" {
                *values = cast(values, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
            }
        }),
    );
    let first = || {
        let summary = table.lake.publishes(&[]).table("scope_summary");
        summary.row(&[("scope", "(all)")], &["first_access"])[0].to_string()
    };
    let zoned = "time = { path = \"event_time\", zone = \"America/New_York\" }";
    assert_eq!(first(), "2019-07-01T08:00:00Z");
    table.lake.edit("afterscope.toml", "time = \"event_time\"", zoned);
    assert_eq!(first(), "2019-07-01T08:00:00Z");
}

#[test]
fn a_column_is_its_number() {
    // What the file calls `bytes` is the column `size` now; the table's `bytes` is younger than the file.
    let mut fields = renamed(&columns(), 8, "size");
    let more = json!({"id": 20, "name": "bytes", "type": "long", "required": false});
    fields.as_array_mut().unwrap().push(more);
    let table = table_of(2, &fields, written(|_| {}));
    assert_eq!(figures(&table.lake, &[]), ["4", "3", "null"].map(String::from));
    table.lake.edit("afterscope.toml", "bytes = \"bytes\"", "bytes = \"size\"");
    assert_eq!(figures(&table.lake, &[]), ["4", "3", "400"].map(String::from));
    table.lake.edit("afterscope.toml", "bytes = \"size\"", "bytes = \"volume\"");
    table
        .lake
        .run(&[])
        .fails(1, &["no column `volume`", "its columns are: event_time, request_id"]);
}

#[test]
fn files_without_numbers_are_read_by_the_names_that_the_table_gives() {
    let unnumbered = || written(|column| column.1 = -1);
    let fields = renamed(&columns(), 8, "size");
    let mut table = table_of(2, &fields, unnumbered());
    table.lake.edit("afterscope.toml", "bytes = \"bytes\"", "bytes = \"size\"");
    table.lake.refuses(&[], 1, &["a.parquet", "unsupported", "schema.name-mapping.default"]);
    let names: Vec<Value> = columns()
        .as_array()
        .unwrap()
        .iter()
        .map(|field| json!({"field-id": field["id"], "names": [field["name"]]}))
        .collect();
    let set = |table: &mut Ice, names: &[Value]| {
        let text = Value::from(names.to_vec()).to_string();
        table.metadata["properties"] = json!({"schema.name-mapping.default": text});
        table.save();
    };
    set(&mut table, &names);
    assert_eq!(figures(&table.lake, &[]), ["4", "3", "400"].map(String::from));
    // A second name, and one that is not mapped.
    let mut others = names.clone();
    others[3]["names"] = json!(["person", "user_id"]);
    others.remove(7);
    set(&mut table, &others);
    assert_eq!(figures(&table.lake, &[]), ["4", "3", "null"].map(String::from));
}

#[test]
fn a_file_that_is_older_than_a_column_has_its_default() {
    let mut fields = columns();
    let default = json!({
        "id": 20, "name": "region", "type": "string", "required": false, "initial-default": "read_members",
    });
    fields.as_array_mut().unwrap().push(default);
    let table = table_of(3, &fields, written(|_| {}));
    table.lake.edit("afterscope.toml", "scopes = \"scope\"", "scopes = \"region\"");
    // All four calls are of the scope that the default says.
    let summary = table.lake.publishes(&[]).table("scope_summary");
    assert_eq!(summary.row(&[("scope", "read_members")], &["requests_allowed"]), ["4"]);
    // Not so where the file has the column, be it null.
    let nulls: ArrayRef =
        Arc::new(StringArray::from(vec![None::<&str>, None, None, Some("read_members")]));
    let mut file = written(|_| {});
    file.push(("region", 20, nulls));
    let table = table_of(3, &fields, file);
    table.lake.edit("afterscope.toml", "scopes = \"scope\"", "scopes = \"region\"");
    let summary =
        table.lake.publishes(&["--set", "report.max_rejected_rows=9"]).table("scope_summary");
    assert_eq!(summary.row(&[("scope", "read_members")], &["requests_allowed"]), ["1"]);
}

#[test]
fn a_partition_stands_for_a_column_that_the_file_lacks_and_for_no_other() {
    let typed = |of: &str| {
        let mut fields = columns();
        fields
            .as_array_mut()
            .unwrap()
            .push(json!({"id": 20, "name": "person", "type": of, "required": false}));
        fields
    };
    let spec =
        json!([{"source-id": 20, "field-id": 1000, "name": "person", "transform": "identity"}]);
    let table = |of: &str, values: &[Option<Literal>], held: Option<ArrayRef>| {
        let mut table = Ice::new(2, &typed(of), &spec);
        let mut files = Vec::new();
        for (number, value) in values.iter().enumerate() {
            let name = format!("data/{number}.parquet");
            let calls = [call("2019-07-01T08:00:00Z", "app-1", 1)];
            let mut columns = calls_of(&calls, &name);
            columns.extend(held.clone().map(|array| ("person", 20, array)));
            let rows = table.write(&name, columns);
            let mut file = table.file(DataContentType::Data, &name, rows);
            files.push(file.partition(Struct::from_iter([value.clone()])).build().unwrap());
        }
        table.commit(files);
        table.lake.edit("afterscope.toml", "subject = \"user_id\"", "subject = \"person\"");
        table
    };
    let seven = Literal::long(7);
    let long = table("long", &[Some(seven.clone()), Some(Literal::long(8)), None], None);
    assert_eq!(figures(&long.lake, &[])[..2], ["3", "2"].map(String::from));
    // The file holds another value: that is the one.
    let held: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    let held = table("long", &[Some(seven)], Some(held));
    assert_eq!(figures(&held.lake, &[])[..2], ["1", "0"].map(String::from));
}

#[test]
fn a_date_that_became_a_time_is_the_day_s_first_moment() {
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![DAY, DAY + 1, DAY + 1, DAY + 2]));
    let file = written(|column| {
        if column.1 == 1 {
            column.2 = dates.clone();
        }
        if column.1 == 4 {
            let people: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 1]));
            column.2 = people;
        }
    });
    let mut fields = columns();
    fields[0]["type"] = "timestamp".into();
    let table = table_of(3, &fields, file);
    table.lake.edit(
        "afterscope.toml",
        "time = \"event_time\"",
        "time = { path = \"event_time\", zone = \"UTC\" }",
    );
    assert_eq!(figures(&table.lake, &[])[..2], ["4", "3"].map(String::from));
    let summary = table.lake.publishes(&[]).table("scope_summary");
    let last = summary.row(&[("scope", "(all)")], &["last_access"])[0].to_string();
    assert!(last.starts_with("2019-07-03T00:00:00"), "{last}");
}

#[test]
fn a_snapshot_is_read_with_the_columns_that_it_had() {
    let mut table = Ice::standard(2);
    let before = table.metadata["current-snapshot-id"].clone();
    let fields = renamed(&columns(), 8, "size");
    table.metadata["schemas"] = json!([schema(0, &columns()), schema(1, &fields)]);
    table.metadata["current-schema-id"] = 1.into();
    table.metadata["refs"]["old"] = json!({"snapshot-id": before, "type": "tag"});
    table.metadata["refs"]["side"] = json!({"snapshot-id": before, "type": "branch"});
    table.save();
    table.lake.run(&[]).fails(1, &["column `bytes`", "is called `size`"]);
    let all = ["6", "4", "600"].map(String::from);
    assert_eq!(figures(&table.lake, &["--set", &format!("source.0.snapshot={before}")]), all);
    assert_eq!(figures(&table.lake, &["--set", "source.0.ref=old"]), all);
    // A branch is read with the columns of now.
    table
        .lake
        .run(&["--set", "source.0.ref=side"])
        .fails(1, &["column `bytes`", "is called `size`"]);
}

#[test]
fn partitions_may_change_over_time() {
    let mut table = Ice::standard(2);
    let specs = table.metadata["partition-specs"].as_array_mut().unwrap();
    let mut fields = by_day();
    let app = json!({"source-id": 3, "field-id": 1001, "name": "app", "transform": "truncate[3]"});
    fields.as_array_mut().unwrap().push(app);
    specs.push(json!({"spec-id": 1, "fields": fields}));
    let calls = [call("2019-07-01T12:00:00Z", "app-1", 9)];
    let rows = table.write("data/more.parquet", calls_of(&calls, "data/more.parquet"));
    let both = Struct::from_iter([Some(Literal::date(DAY)), Some(Literal::string("app"))]);
    let more = table
        .file(DataContentType::Data, "data/more.parquet", rows)
        .partition(both.clone())
        .build()
        .unwrap();
    table.commit_of(1, vec![more]);
    // Deletes of person 1 and 9 in the new spec's partition: the first day's file is of the old one.
    let people: ArrayRef = Arc::new(Int64Array::from(vec![1, 9]));
    let mut deletes = table.equals("data/gone.parquet", vec![("user_id", 4, people)]);
    let deletes = deletes.partition(both).build().unwrap();
    table.commit_of(1, vec![deletes]);
    assert_eq!(figures(&table.lake, &[]), ["6", "4", "600"].map(String::from));
    let people: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let mut deletes = table.equals("data/gone-too.parquet", vec![("user_id", 4, people)]);
    let deletes = deletes.partition(partition(DAY)).build().unwrap();
    table.commit(vec![deletes]);
    assert_eq!(figures(&table.lake, &[]), ["4", "4", "400"].map(String::from));
}

#[test]
fn other_partition_values_of_the_same_file_are_another_answer() {
    let of = |app: &str| {
        let mut fields = columns();
        let caller = json!({"id": 20, "name": "caller", "type": "string", "required": false});
        fields.as_array_mut().unwrap().push(caller);
        let spec =
            json!([{"source-id": 20, "field-id": 1000, "name": "caller", "transform": "identity"}]);
        let mut table = Ice::new(2, &fields, &spec);
        let rows = table.write("data/a.parquet", written(|_| {}));
        let mut file = table.file(DataContentType::Data, "data/a.parquet", rows);
        let value = Struct::from_iter([Some(Literal::string(app))]);
        let file = file.partition(value).build().unwrap();
        table.commit(vec![file]);
        table.lake.edit("afterscope.toml", "app = \"app_id\"", "app = \"caller\"");
        table
    };
    let (table, other) = (of("app-1"), of("app-2"));
    let requests = |app: &str| {
        let used = table.lake.publishes(&[]).table("app_scope_exposure");
        let row = used.row(&[("grain", "app"), ("app_id", app)], &["requests_allowed"]);
        row[0].to_string()
    };
    assert_eq!(requests("app-1"), "4");
    // The same snapshot of the same file, written anew in place.
    for entry in fs::read_dir(other.lake.path("logs/metadata")).unwrap().map(Result::unwrap) {
        let to = table.lake.path("logs/metadata").join(entry.file_name());
        fs::copy(entry.path(), to).unwrap();
    }
    assert_eq!(requests("app-2"), "4");
}
