//! The charts of docs/bi.md, as they stand there, on the committed sample.

use std::path::Path;
use std::process::Command;

use super::analysts::{CONFIG, Sample, questions};
use crate::lake::skipped;

pub const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bi.md");

/// Statement and answer of each chart.
pub fn charts(page: &str) -> Vec<(&str, &str)> {
    let (_, sections) = page.split_once("\n## Three charts").unwrap();
    let (sections, _) = sections.split_once("\n## ").unwrap();
    questions(sections).into_iter().map(|(_, sql, csv)| (sql, csv)).collect()
}

#[test]
fn the_charts_of_the_page_show_what_it_says() {
    let sample = Sample::published();
    let page = std::fs::read_to_string(PAGE).unwrap();
    let charts = charts(&page);
    assert_eq!(charts.len(), 3);
    for (sql, expected) in charts {
        assert_eq!(sample.answer(sql, &[]), *expected, "{sql}");
    }
    // The same of DuckDB over the published files.
    let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
        return skipped("AFTERSCOPE_PYTHON is not set: no DuckDB to compare with");
    };
    let checked = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/analysts.py"))
        .args([Path::new(PAGE), &sample.lake.path("out"), Path::new(CONFIG).parent().unwrap()])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(String::from_utf8_lossy(&checked.stdout), "3\n");
}
