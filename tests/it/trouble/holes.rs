//! Files that `--allow-incomplete` goes on without: the hole stands wherever figures do.

use std::fs;
use std::io::Read;

use super::shapes::{Shape, shapes};
use crate::lake::Lake;

/// A file that was damaged in one way, and what is said of it.
fn damaged(shape: &Shape) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = &shape.bytes;
    let mut page = whole.clone();
    for body in shape.bodies().iter().filter(|body| !body.is_empty()) {
        page[body.start] ^= 0x10;
    }
    let mut encrypted = whole.clone();
    encrypted.truncate(whole.len() - 4);
    encrypted.extend_from_slice(b"PARE");
    let mut footer = whole.clone();
    let at = shape.footer();
    footer[at..at + 8].fill(0xff);
    vec![
        ("page", page, "hostile.parquet"),
        ("truncated", whole[..whole.len() / 2].to_vec(), "hostile.parquet"),
        ("encrypted", encrypted, "encrypted"),
        ("footer", footer, "footer"),
        ("empty", Vec::new(), "0 bytes"),
    ]
}

#[test]
fn whatever_is_wrong_with_a_file_its_hole_is_told_everywhere() {
    let Some(shapes) = shapes() else { return };
    let shape = shapes.iter().find(|shape| shape.name == "plain-v1-crc").unwrap();
    let lake = Lake::standard();
    let totals = lake.run(&["--output", "without"]).succeeds().json()["totals"].clone();
    assert_eq!((&totals["requests_allowed"], &totals["subjects_observed"]), (&6.into(), &4.into()));
    for (name, bytes, says) in damaged(shape) {
        fs::write(lake.path("logs/hostile.parquet"), bytes).unwrap();
        let output = format!("out-{name}");
        let refused = lake.run(&["--output", &output]);
        refused.fails(3, &["hostile.parquet", says, "--allow-incomplete"]);
        let outcome = lake.run(&["--output", &output, "--allow-incomplete"]).succeeds();
        let line = outcome.json();
        assert_eq!(line["verdict"], "incomplete", "{name}");
        assert!(outcome.stderr.contains("incomplete"), "{name}: {}", outcome.stderr);
        let published = outcome.published();
        let coverage = published.table("coverage");
        let row = coverage.row(&[("grain", "all")], &["files_unreadable"]);
        assert_eq!(row, ["1"], "{name}");
        // The file's rows are in no figure.
        assert_eq!(line["totals"], totals, "{name}");
        let run = published.folder.parent().unwrap();
        let manifest = fs::read(run.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert!(manifest["sources"][0]["unreadable"].to_string().contains("hostile.parquet"));
        let page = fs::read_to_string(run.join("report.html")).unwrap();
        assert!(page.contains("1 file of log access could not be read"), "{name}");
        assert!(workbook(&run.join("report.xlsx")).contains("incomplete: files were left out"));
    }
}

/// All texts of a workbook.
fn workbook(path: &std::path::Path) -> String {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut all = String::new();
    for at in 0..archive.len() {
        archive.by_index(at).unwrap().read_to_string(&mut all).unwrap();
    }
    all
}
