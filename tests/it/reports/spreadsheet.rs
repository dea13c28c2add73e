//! `report.xlsx` opened by LibreOffice: every sheet holds the values of its table.

use std::path::Path;
use std::process::Command;

use arrow::datatypes::DataType;

use super::{hostile, report};
use crate::lake::{Lake, Published, micros, skipped};

/// Saves every sheet as CSV: values as they are stored, not as they are shown.
const FILTER: &str =
    "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1";

/// The sheets of a run's workbook below `folder`; false where there is no LibreOffice.
fn opened(published: &Published, folder: &Path) -> bool {
    let made = Command::new("soffice")
        .arg(format!("-env:UserInstallation=file://{}", folder.join("profile").display()))
        .args(["--headless", "--convert-to", FILTER, "--outdir"])
        .arg(folder)
        .arg(report(published, "report.xlsx"))
        .output();
    match made {
        Err(_) => {
            skipped("soffice is not there: no LibreOffice to open a workbook with");
            false
        }
        Ok(made) => {
            assert!(made.status.success(), "{made:?}");
            true
        }
    }
}

/// What a cell of the sheet must hold for a value of the table.
fn holds(cell: &str, value: &str, data_type: &DataType) -> bool {
    match (value, data_type) {
        ("null", _) => cell.is_empty(),
        (value, DataType::Float64) => {
            let (a, b): (f64, f64) = (cell.parse().unwrap(), value.parse().unwrap());
            (a - b).abs() <= b.abs() * 1e-14
        }
        (value, DataType::Timestamp(..)) => {
            // Down to the millisecond.
            let stored = micros(&format!("{}Z", cell.replace(' ', "T")));
            stored == micros(value).div_euclid(1_000) * 1_000
        }
        (value, DataType::Boolean) => cell == value.to_uppercase(),
        (value, DataType::Utf8) => {
            let shown = value
                .replace('\u{202e}', "[U+202E]")
                .replace('\u{1b}', "[U+001B]")
                .replace('\t', "[U+0009]");
            cell == shown
        }
        (value, _) => cell == value,
    }
}

fn every_sheet_equals_its_table(published: &Published) {
    let folder = tempfile::tempdir().unwrap();
    if !opened(published, folder.path()) {
        return;
    }
    let tables: Vec<String> = published
        .bytes()
        .into_keys()
        .filter_map(|name| Some(name.strip_suffix(".parquet")?.to_string()))
        .collect();
    assert!(tables.len() >= 9, "{tables:?}");
    for name in tables {
        let table = published.table(&name);
        let path = folder.path().join(format!("report-{name}.csv"));
        let mut sheet = csv::Reader::from_path(&path).unwrap();
        assert!(sheet.headers().unwrap().iter().eq(table.columns.iter()), "{name}");
        let rows: Vec<csv::StringRecord> = sheet.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), table.rows.len(), "{name}");
        for (cells, row) in rows.iter().zip(&table.rows) {
            for ((cell, value), data_type) in cells.iter().zip(row).zip(&table.types) {
                assert!(
                    holds(cell, value, data_type),
                    "{name}: {cell:?} beside {value:?} in {row:?}"
                );
            }
        }
    }
    let cover = std::fs::read_to_string(folder.path().join("report-Cover.csv")).unwrap();
    assert!(cover.contains("Distinct people whose data was reached."), "{cover}");
}

#[test]
#[ignore = "slow"]
fn the_sample_s_workbook_opens_and_every_sheet_equals_its_table() {
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "made", "--rows", "50000"]).succeeds();
    let args = ["run", "--config", "made/afterscope.toml", "--as-of", "2019-11-06T00:00:00Z"];
    every_sheet_equals_its_table(&lake.afterscope(&args).succeeds().published());
}

#[test]
#[ignore = "slow"]
fn names_that_try_to_be_something_else_are_text_in_the_workbook() {
    let lake = hostile();
    every_sheet_equals_its_table(&lake.publishes(&[]));
}
