//! What tables refer to by id or day stands in a table of its own, once.

use std::collections::HashSet;

use serde_json::Value;

use crate::lake::{Lake, Published};

/// Column, and the table and column that it refers to.
const JOINS: [(&str, &str, &str); 4] = [
    ("scope", "dim_scope", "scope"),
    ("app_id", "dim_app", "app_id"),
    ("developer_id", "dim_developer", "developer_id"),
    ("day", "dim_date", "day"),
];

/// Every value of a column that refers to a table stands there, once. Gives how many columns there were.
fn assert_joined(lake: &Lake, published: &Published) -> usize {
    let printed = lake.afterscope(&["schema", "tables"]).succeeds().stdout;
    let schema: Value = serde_json::from_str(&printed).unwrap();
    let mut joined = 0;
    for spec in schema["tables"].as_array().unwrap() {
        let name = spec["name"].as_str().unwrap();
        let table = published.table(name);
        for (column, dimension, key) in JOINS {
            if !table.columns.iter().any(|c| c == column) {
                continue;
            }
            let dimension = published.table(dimension);
            let keys = dimension.column(key);
            let known: HashSet<&str> = keys.iter().copied().collect();
            assert_eq!(known.len(), keys.len(), "{name}: a key stands twice");
            for value in table.column(column) {
                assert!(value == "null" || known.contains(value), "{name}.{column}: {value}");
            }
            joined += 1;
        }
    }
    joined
}

#[test]
fn no_row_of_a_table_refers_to_nothing() {
    let lake = Lake::with_all();
    // A promise about a scope that is not restricted, by an app that nobody knows.
    lake.edit(
        "attestations.csv",
        "app-3,all",
        "app-77,read_photos,2019-06-20,2019-07-02,\napp-3,all",
    );
    lake.log_without_app("logs/nameless.parquet", "2019-07-02T08:00:00Z");
    let published = lake.publishes(&[]);
    // By hand: scope in 10 tables of facts, app_id in 5, developer_id in 4, day in 1; and in their own.
    assert_eq!(assert_joined(&lake, &published), 10 + 5 + 4 + 1 + 5);
    let scopes = published.table("dim_scope");
    let wanted = ["grain", "status", "restricted_at", "restricted_on", "data_categories"];
    let row = |scope| scopes.row(&[("scope", scope)], &wanted);
    assert_eq!(
        row("read_members"),
        ["scope", "restricted", "2019-06-01T00:00:00Z", "2019-06-01", "2"]
    );
    assert_eq!(row("read_photos"), ["scope", "not_listed", "null", "null", "0"]);
    assert_eq!(row("(all)"), ["all", "null", "null", "null", "null"]);
    let apps = published.table("dim_app");
    let wanted = ["app_name", "developer_id", "developer_name", "is_registered"];
    let row = |app| apps.row(&[("app_id", app)], &wanted);
    assert_eq!(row("app-3"), ["Viewer", "dev-2", "Bo GmbH", "true"]);
    assert_eq!(row("app-77"), ["null", "null", "null", "false"]);
    assert_eq!(row("(all)"), ["null", "(all)", "null", "null"]);
    let developers = published.table("dim_developer");
    let wanted = ["developer_name", "apps_registered"];
    let row = |developer| developers.row(&[("developer_id", developer)], &wanted);
    assert_eq!(row("dev-1"), ["Ada Ltd", "2"]);
    assert_eq!(row("(all)"), ["null", "3"]);
    let dates = published.table("dim_date");
    let wanted =
        ["year", "quarter", "month", "month_start", "week_start", "weekday", "is_lookback"];
    // A Tuesday. The lookback begins sixty days before 2019-09-01.
    let row = |day| dates.row(&[("day", day)], &wanted);
    assert_eq!(row("2019-07-02"), ["2019", "3", "7", "2019-07-01", "2019-07-01", "2", "false"]);
    assert_eq!(row("2019-07-03")[6], "true");
}

#[test]
fn the_committed_sample_joins_too() {
    let lake = Lake::empty();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/data-samples/groups-2019/afterscope.toml");
    let args = ["run", "--config", config, "--as-of", "2019-11-06", "--output", "out"];
    let published = lake.afterscope(&args).succeeds().published();
    assert_joined(&lake, &published);
    // Of the story: a hundred apps, each able to call, of which three are in no registry.
    assert!(published.table("dim_app").rows.len() > 100);
}

#[test]
fn names_and_days_are_no_changes_of_a_report() {
    let lake = Lake::standard();
    lake.publishes(&["--as-of", "2019-07-02"]);
    lake.edit("apps.csv", "app-3,Viewer,dev-2", "app-4,Watcher,dev-2,Bo GmbH\napp-3,Viewer,dev-2");
    let log = lake.publishes(&["--follows", "latest"]).table("change_log");
    assert!(log.rows.len() > 10);
    assert!(log.column("table").iter().all(|table| !table.starts_with("dim_")));
}

/// What docs/bi.md promises of columns.
#[test]
fn every_column_is_flat_and_of_one_unit_and_ids_stand_beside_names() {
    let lake = Lake::empty();
    let printed = lake.afterscope(&["schema", "tables"]).succeeds().stdout;
    let schema: Value = serde_json::from_str(&printed).unwrap();
    // Their units are those of the row: `unit`, and a place in an order.
    let by_row = [("deadlines", "time_limit"), ("change_log", "step")];
    let mut numbers = 0;
    for spec in schema["tables"].as_array().unwrap() {
        let table = spec["name"].as_str().unwrap();
        let columns = spec["columns"].as_array().unwrap();
        let names: Vec<&str> = columns.iter().map(|c| c["name"].as_str().unwrap()).collect();
        for column in columns {
            let (name, kind) = (column["name"].as_str().unwrap(), column["type"].as_str().unwrap());
            let flat = ["string", "int64", "float64", "bool", "date", "timestamp[us, UTC]"];
            assert!(flat.contains(&kind), "{table}.{name}: {kind}");
            if ["int64", "float64"].contains(&kind) && !by_row.contains(&(table, name)) {
                assert_ne!(column["unit"], "", "{table}.{name}");
                numbers += 1;
            }
        }
        for (id, label) in [("app_id", "app_name"), ("developer_id", "developer_name")] {
            assert!(!names.contains(&id) || names.contains(&label), "{table} has no {label}");
        }
    }
    assert!(numbers > 100, "{numbers}");
}
