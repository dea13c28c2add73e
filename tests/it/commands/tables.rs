//! The published tables: shape, order, and figures that follow from the lake by hand.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use serde_json::Value;

use crate::lake::{Lake, Table, times};

/// What `schema tables` says.
fn schema(lake: &Lake) -> Vec<Value> {
    let printed = lake.afterscope(&["schema", "tables"]).succeeds().stdout;
    let parsed: Value = serde_json::from_str(&printed).unwrap();
    parsed["tables"].as_array().unwrap().clone()
}

fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Utf8 => "string",
        DataType::Int64 => "int64",
        DataType::Float64 => "float64",
        DataType::Boolean => "bool",
        DataType::Date32 => "date",
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some(zone))
            if **zone == *"UTC" =>
        {
            "timestamp[us, UTC]"
        }
        other => panic!("no table holds {other}"),
    }
}

#[test]
fn every_table_has_the_columns_types_key_and_order_that_its_schema_says() {
    let lake = Lake::with_all();
    // A second report has changes to tell.
    lake.publishes(&["--as-of", "2019-07-03", "--follows", "none"]);
    let published = lake.publishes(&["--follows", "latest"]);
    let specs = schema(&lake);
    let mut expected = HashSet::new();
    for spec in &specs {
        let name = spec["name"].as_str().unwrap();
        let markdown = lake.afterscope(&["schema", "tables", "--markdown"]).succeeds().stdout;
        assert!(markdown.contains(&format!("\n## {name}\n")), "{name}");
        expected.extend([format!("{name}.parquet"), format!("{name}.csv")]);
        let table = published.table(name);
        assert!(!table.rows.is_empty(), "{name} is empty");
        let columns = spec["columns"].as_array().unwrap();
        let declared: Vec<&str> = columns.iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(table.columns, declared, "{name}");
        let found: Vec<&str> = table.types.iter().map(type_name).collect();
        for ((column, found), name) in columns.iter().zip(found).zip(&declared) {
            assert!(markdown.contains(&format!("| `{name}` | {found} |")), "{name} {column}");
        }
        is_sorted_by(&table, spec["key"].as_array().unwrap(), name);
    }
    let found: HashSet<String> = published.bytes().into_keys().collect();
    assert_eq!(found, expected);
}

/// The sum fits, but in one of three orders of the rows it passes 64 bits on the way.
#[test]
fn a_sum_of_bytes_that_fits_is_right_whatever_the_rows_before_sum_up_to() {
    let half = i64::MAX / 2 + 1;
    for signs in [[1, 1, -1], [1, -1, 1], [-1, 1, 1]] {
        let lake = Lake::empty();
        let same = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; 3])) };
        lake.columns(
            "logs/part-0.parquet",
            vec![
                ("event_time", times([Some("2019-07-02T08:00:00Z"); 3].into_iter())),
                ("request_id", Arc::new(StringArray::from(vec!["a", "b", "c"]))),
                ("app_id", same("app-1")),
                ("user_id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
                ("group_id", Arc::new(Int64Array::from(vec![10; 3]))),
                ("scope", same("read_members")),
                ("status", Arc::new(Int64Array::from(vec![200; 3]))),
                ("bytes", Arc::new(Int64Array::from_iter_values(signs.map(|sign| sign * half)))),
            ],
        );
        let summary = lake.publishes(&[]).table("scope_summary");
        assert_eq!(summary.row(&[("grain", "all")], &["bytes"]), [half.to_string()]);
    }
}

/// Keys ascend strictly: the table is sorted and no key stands twice. Nulls go first.
fn is_sorted_by(table: &Table, key: &[Value], name: &str) {
    let columns: Vec<Vec<&str>> = key.iter().map(|k| table.column(k.as_str().unwrap())).collect();
    let of = |row: usize| -> Vec<(bool, &str)> {
        columns.iter().map(|column| (column[row] != "null", column[row])).collect()
    };
    for row in 1..table.rows.len() {
        assert!(of(row - 1) < of(row), "{name}: {:?} stands before {:?}", of(row - 1), of(row));
    }
}

#[test]
fn csv_and_parquet_say_the_same() {
    let lake = Lake::standard();
    let published = lake.publishes(&[]);
    for spec in schema(&lake) {
        let name = spec["name"].as_str().unwrap();
        let table = published.table(name);
        let text = fs::read_to_string(published.folder.join(format!("{name}.csv"))).unwrap();
        assert!(text.ends_with('\n') && !text.contains('\r'), "{name}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert!(reader.headers().unwrap().iter().eq(table.columns.iter()), "{name}");
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), table.rows.len(), "{name}");
        for (record, row) in rows.iter().zip(&table.rows) {
            for ((cell, value), data_type) in record.iter().zip(row).zip(&table.types) {
                match (value.as_str(), data_type) {
                    ("null", _) => assert_eq!(cell, "", "{name}"),
                    (time, DataType::Timestamp(..)) => {
                        assert_eq!(crate::lake::micros(cell), crate::lake::micros(time));
                        assert!(cell.ends_with('Z'), "{cell}");
                    }
                    (value, _) => assert_eq!(cell, value, "{name}"),
                }
            }
        }
    }
}

#[test]
fn developers_groups_days_and_categories_follow_from_the_lake() {
    let lake = Lake::standard();
    let published = lake.publishes(&[]);
    let developers = published.table("developer_exposure");
    let wanted = ["apps_used_after_restriction", "requests_allowed", "subjects_observed"];
    let row = |scope, id| developers.row(&[("scope", scope), ("developer_id", id)], &wanted);
    assert_eq!(row("(all)", "dev-1"), ["2", "6", "4"]);
    assert_eq!(row("read_members", "dev-1"), ["1", "4", "3"]);
    assert_eq!(row("(all)", "dev-2"), ["0", "0", "0"]);

    let days = published.table("daily_timeline");
    let key = |day| [("scope", "(all)"), ("app_id", "(all)"), ("day", day)];
    let wanted = ["requests_allowed", "subjects_observed", "subjects_new", "subjects_cumulative"];
    assert_eq!(days.row(&key("2019-07-01"), &wanted), ["4", "3", "3", "3"]);
    assert_eq!(days.row(&key("2019-07-02"), &wanted), ["1", "1", "0", "3"]);
    assert_eq!(days.row(&key("2019-07-03"), &wanted), ["1", "1", "1", "4"]);

    let groups = published.table("groups_exposed");
    let wanted = ["apps", "subjects_observed", "requests_allowed", "first_access"];
    let row = groups.row(&[("scope", "read_members"), ("group_id", "10")], &wanted);
    assert_eq!(row, ["1", "3", "3", "2019-07-01T08:00:00Z"]);
    let row = groups.row(&[("scope", "read_members"), ("group_id", "11")], &wanted);
    assert_eq!(row, ["1", "1", "1", "2019-07-02T08:00:00Z"]);

    let categories = published.table("data_categories");
    let row = |name| categories.row(&[("data_category", name)], &["scope", "subjects_observed"]);
    assert_eq!(row("email"), ["read_members", "3"]);
    assert_eq!(row("posts"), ["write_posts", "2"]);

    let denied = published.table("app_scope_exposure");
    let key = [("scope", "read_members"), ("app_id", "app-3")];
    let wanted = ["requests_denied", "requests_allowed", "subjects_observed", "first_access"];
    assert_eq!(denied.row(&key, &wanted), ["1", "0", "0", "null"]);
}

#[test]
fn every_row_of_the_input_is_accounted_for() {
    let lake = Lake::standard();
    let timeless = crate::lake::Call { time: None, ..crate::lake::call("", "app-1", 9) };
    let late = crate::lake::call("2019-09-01T00:00:00Z", "app-1", 9);
    let early = crate::lake::call("2019-05-31T23:59:59.999999Z", "app-1", 9);
    lake.log("logs/odd.parquet", &[timeless, late, early]);
    let set = ["--set", "report.max_rejected_rows=1"];
    let coverage = lake.publishes(&set).table("coverage");
    let terms = [
        "rows_in_metadata",
        "rows_outside",
        "rows_rejected",
        "rows_after_as_of",
        "rows_denied",
        "rows_counted",
        "rows_deduplicated",
        "rows_unknown",
        "rows_held_only",
    ];
    let row = coverage.row(&[("grain", "all")], &terms);
    assert_eq!(row, ["11", "2", "1", "1", "1", "6", "0", "0", "0"]);
}

#[test]
fn a_query_of_the_user_becomes_a_table() {
    let lake = Lake::standard();
    lake.write(
        "sql/40_top_apps.sql",
        "SELECT app_id, requests_allowed FROM exposure
         WHERE grain = 'app' AND window = 'after_restriction' AND requests_allowed > 0
         ORDER BY requests_allowed DESC",
    );
    let built_in = lake.publishes(&["--output", "first"]).bytes();
    lake.edit("afterscope.toml", "[report]", "[report]\nqueries = [\"sql/40_top_apps.sql\"]");
    let published = lake.publishes(&[]);
    let table = published.table("top_apps");
    assert_eq!(table.columns, ["app_id", "requests_allowed"]);
    assert_eq!(table.rows, [["app-1", "4"], ["app-2", "2"]]);
    let csv = fs::read_to_string(published.folder.join("top_apps.csv")).unwrap();
    assert_eq!(csv, "app_id,requests_allowed\napp-1,4\napp-2,2\n");
    assert!(lake.path("out/latest/top_apps.parquet").is_file());
    let mut others = published.bytes();
    others.retain(|name, _| !name.starts_with("top_apps"));
    crate::lake::assert_same(&built_in, &others);
}

#[test]
fn every_frame_can_be_read_and_has_the_columns_that_its_schema_says() {
    let lake = Lake::with_all();
    let printed = lake.afterscope(&["schema", "frames"]).succeeds().stdout;
    let parsed: Value = serde_json::from_str(&printed).unwrap();
    let frames = parsed["frames"].as_array().unwrap();
    let mut names = Vec::new();
    for frame in frames {
        let name = frame["name"].as_str().unwrap();
        lake.write(&format!("sql/all_of_{name}.sql"), &format!("SELECT * FROM {name}"));
        names.push(format!("\"sql/all_of_{name}.sql\""));
    }
    let set = format!("report.queries=[{}]", names.join(", "));
    let published = lake.publishes(&["--set", &set]);
    for frame in frames {
        let name = frame["name"].as_str().unwrap();
        let columns = frame["columns"].as_array().unwrap();
        let declared: Vec<&str> = columns.iter().map(|c| c["name"].as_str().unwrap()).collect();
        let table = published.table(&format!("all_of_{name}"));
        assert_eq!(table.columns, declared, "{name}");
        assert!(!table.rows.is_empty(), "{name}");
    }
}

#[test]
fn a_cell_has_in_its_one_row_what_it_has_in_a_row_for_each_window() {
    const MEASURES: [(&str, &str); 8] = [
        ("events", "events_allowed"),
        ("requests", "requests_allowed"),
        ("subjects", "subjects_observed"),
        ("subjects_upper_bound", "subjects_upper_bound"),
        ("subjects_unknown_rows", "subjects_unknown_rows"),
        ("groups", "groups"),
        ("first_access", "first_access"),
        ("last_access", "last_access"),
    ];
    let asked = ["in_brownout", "after_revocation", "after_attestation"];
    for (lake, knows_all) in [(Lake::with_all(), true), (Lake::standard(), false)] {
        lake.write("sql/long.sql", "SELECT * FROM exposure");
        lake.write("sql/wide.sql", "SELECT * FROM exposure_cells");
        let set = ["--set", "report.queries=[\"sql/long.sql\", \"sql/wide.sql\"]"];
        let published = lake.publishes(&set);
        let (long, wide) = (published.table("long"), published.table("wide"));
        let value = |table: &Table, row: &[String], column: &str| {
            row[table.columns.iter().position(|name| name == column).unwrap()].clone()
        };
        let of_cell = |cell: &str| wide.rows.iter().find(|row| value(&wide, row, "cell") == cell);
        let (mut looked, mut events) = (0, 0);
        for row in &long.rows {
            let cell = of_cell(&value(&long, row, "cell")).unwrap();
            let window = value(&long, row, "window");
            if window == "after_restriction" {
                for column in long.columns.iter().filter(|name| *name != "window") {
                    assert_eq!(value(&wide, cell, column), value(&long, row, column), "{column}");
                }
                looked += 1;
                continue;
            }
            for (of, measure) in MEASURES {
                let column = format!("{of}_{window}");
                let expected = match knows_all || !asked.contains(&window.as_str()) {
                    true => value(&long, row, measure),
                    false => "null".into(),
                };
                assert_eq!(value(&wide, cell, &column), expected, "{column}");
            }
            events += value(&long, row, "events_allowed").parse::<u64>().unwrap();
        }
        assert_eq!(looked, wide.rows.len(), "each cell was looked at");
        assert!(events > 0, "there is something in the other windows");
    }
}

#[test]
fn returned_fields_and_special_categories_stand_beside_what_a_scope_gives_access_to() {
    let lake = Lake::standard();
    let before = lake.publishes(&[]).table("data_categories");
    let names = ["special_category", "fields_returned"];
    let key = |scope, category| [("scope", scope), ("data_category", category)];
    assert_eq!(before.row(&key("read_members", "name"), &names), ["null", "null"]);
    lake.edit("scopes.csv", "data_fields", "data_fields,special_fields");
    lake.edit("scopes.csv", "name;email", "name;email,email");
    lake.edit("scopes.csv", "Z,posts", "Z,posts,");
    lake.edit(
        "afterscope.toml",
        "status = ",
        "fields = { path = \"fields\", encoding = \"comma\" }\nstatus = ",
    );
    let texts = |values: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let people: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let calls = ["2019-07-01T08:00:00Z", "2019-07-01T09:00:00Z", "2019-07-01T10:00:00Z"];
    for (path, _) in crate::lake::standard_days() {
        fs::remove_file(lake.path(path)).unwrap();
    }
    lake.columns(
        "logs/part-0.parquet",
        vec![
            ("request_id", texts(["a", "b", "c"])),
            ("event_time", times(calls.iter().map(|at| Some(*at)))),
            ("app_id", texts(["app-1", "app-1", "app-2"])),
            ("user_id", people.clone()),
            ("group_id", people),
            ("scope", texts(["read_members", "read_members", "read_members"])),
            // The last call was denied: what it would have returned does not count.
            ("status", Arc::new(Int64Array::from(vec![200, 200, 403]))),
            ("bytes", Arc::new(Int64Array::from(vec![1, 1, 1]))),
            ("fields", texts(["name, id", "photo,name", "secret"])),
        ],
    );
    let table = lake.publishes(&[]).table("data_categories");
    assert_eq!(table.row(&key("read_members", "name"), &names), ["false", "id;name;photo"]);
    assert_eq!(table.row(&key("read_members", "email"), &names), ["true", "id;name;photo"]);
    assert_eq!(table.row(&key("write_posts", "posts"), &names), ["false", ""]);
    lake.edit("scopes.csv", "name;email,email", "name;email,health");
    lake.run(&[]).fails(1, &["scopes.csv", "line 2", "`special_fields`", "`health` is none of"]);
}
