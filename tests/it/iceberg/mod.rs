//! Iceberg tables as sources: one snapshot of the table, its deleted rows, its columns by their numbers.

mod catalog;
mod checksums;
mod columns;
mod covered;
mod deletes;
mod naming;
mod others;
mod statistics;
mod table;
mod versions;

use std::fs;

use self::table::Ice;
use crate::lake::{Lake, standard_days};
use crate::published::assert_same;

/// Requests, people and bytes of all scopes.
fn figures(lake: &Lake, args: &[&str]) -> [String; 3] {
    let published = lake.publishes(args);
    let table = published.table("scope_summary");
    let names = ["requests_allowed", "subjects_observed", "bytes"];
    let row = table.row(&[("scope", "(all)")], &names);
    [0, 1, 2].map(|place| row[place].to_string())
}

fn requests(lake: &Lake, args: &[&str]) -> String {
    figures(lake, args)[0].clone()
}

#[test]
fn a_table_gives_the_tables_of_its_files() {
    let partition = "partition_time = { column = \"dt\", grain = \"1d\" }\n";
    let partitioned = |lake: &Lake| {
        let mapping = format!("{partition}\n[source.columns]");
        lake.edit("afterscope.toml", "\n[source.columns]", &mapping);
    };
    let plain = Lake::standard();
    partitioned(&plain);
    for (number, (path, calls)) in standard_days().into_iter().enumerate() {
        // Event ids name their file: the same ones in both.
        let written = plain.log(&format!("logs/data/part-{number}.parquet"), &calls);
        fs::rename(written, plain.path(path)).unwrap();
    }
    fs::remove_dir(plain.path("logs/data")).unwrap();
    // The table alone tells what it was before; that stands in `coverage`.
    let tables = |lake: &Lake| {
        let mut tables = lake.publishes(&[]).bytes();
        tables.retain(|name, _| !name.starts_with("coverage"));
        tables
    };
    let expected = tables(&plain);
    for format in 1..=3 {
        let table = Ice::standard(format);
        partitioned(&table.lake);
        assert_same(&expected, &tables(&table.lake));
    }
}
