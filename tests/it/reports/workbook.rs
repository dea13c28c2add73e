//! `report.xlsx` as the parts that it is made of.

use std::fs::File;
use std::io::Read;

use super::{hostile, report};
use crate::lake::{Lake, Published};

/// Names of the sheets, in their order.
fn sheets(published: &Published) -> Vec<String> {
    let workbook = part(published, "xl/workbook.xml");
    let names = workbook.split("<sheet name=\"").skip(1);
    names.map(|sheet| sheet.split('"').next().unwrap().to_string()).collect()
}

/// A sheet by its name.
fn sheet(published: &Published, name: &str) -> String {
    let at = sheets(published).iter().position(|sheet| sheet == name).unwrap();
    part(published, &format!("xl/worksheets/sheet{}.xml", at + 1))
}

/// A part of the workbook.
fn part(published: &Published, name: &str) -> String {
    let file = File::open(report(published, "report.xlsx")).unwrap();
    let mut workbook = zip::ZipArchive::new(file).unwrap();
    let mut text = String::new();
    workbook.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn there_is_a_cover_and_a_sheet_for_each_table_with_frozen_header_and_filter() {
    let lake = Lake::with_standing();
    lake.write("sql/99_cover.sql", "SELECT app_id FROM exposure");
    lake.edit("afterscope.toml", "[report]", "[report]\nqueries = [\"sql/99_cover.sql\"]");
    let published = lake.publishes(&[]);
    let names = sheets(&published);
    assert_eq!(names[..3], ["Cover", "scope_summary", "app_scope_exposure"]);
    // A table of the user's cannot take the cover's place.
    assert!(names.contains(&"cover~2".to_string()));
    assert!(names.contains(&"findings".to_string()));
    for number in 2..=names.len() {
        let sheet = part(&published, &format!("xl/worksheets/sheet{number}.xml"));
        assert!(sheet.contains("<pane ySplit=\"1\" topLeftCell=\"A2\""), "{number}");
        assert!(sheet.contains("<autoFilter ref=\"A1:"), "{number}");
    }
    let cover = part(&published, "xl/sharedStrings.xml");
    for text in [
        "Distinct people whose data was reached.",
        "subjects_observed",
        "An empty cell is not a zero",
    ] {
        assert!(cover.contains(text), "{text}");
    }
    let core = part(&published, "docProps/core.xml");
    assert_eq!(core.matches("2019-09-01T00:00:00Z").count(), 2, "{core}");
}

#[test]
fn no_text_becomes_a_formula_or_a_link() {
    let lake = hostile();
    let published = lake.publishes(&[]);
    let sheet = sheet(&published, "app_scope_exposure");
    assert!(!sheet.contains("<f>") && !sheet.contains("<hyperlink"));
    for text in
        ["=1+1", "+1", "@SUM(1)", "[U+0009]cmd", "[U+001B][2Jcleared", "invoice[U+202E]fdp.exe"]
    {
        let cell = format!("t=\"inlineStr\"><is><t>{text}</t></is></c>");
        assert!(sheet.contains(&cell), "{text}\n{sheet}");
    }
    assert!(sheet.contains("<t>&lt;img src=x onerror=alert(1)&gt;</t>"));
    assert!(part(&published, "xl/styles.xml").contains("quotePrefix=\"1\""));
}

#[test]
fn numbers_that_a_spreadsheet_would_round_are_text_and_times_are_cut() {
    let lake = Lake::empty();
    lake.log("logs/a.parquet", &[crate::lake::call("2019-07-02T23:59:59.999999Z", "app-1", 1)]);
    lake.write(
        "sql/big.sql",
        "SELECT 9007199254740993 AS large, 999999999999999 AS fits, last_access FROM exposure
         WHERE grain = 'all' AND window = 'after_restriction'",
    );
    lake.edit("afterscope.toml", "[report]", "[report]\nqueries = [\"sql/big.sql\"]");
    let published = lake.publishes(&[]);
    let sheet = sheet(&published, "big");
    assert!(sheet.contains("<is><t>9007199254740993</t></is>"), "{sheet}");
    assert!(sheet.contains("<v>999999999999999</v>"), "{sheet}");
    // 2019-07-02 is day 43,648 of spreadsheets; the millisecond is cut, not rounded to the next day.
    let serial: f64 =
        sheet.rsplit_once("<v>").unwrap().1.split_once("</v>").unwrap().0.parse().unwrap();
    assert!((serial - (43_648.0 + 86_399_999.0 / 86_400_000.0)).abs() < 1e-9, "{serial}");
}
