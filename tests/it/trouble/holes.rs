//! Files that `--allow-incomplete` goes on without: the hole stands wherever figures do.

use std::fs;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::Value;

use super::shapes::{Shape, shapes};
use crate::lake::{Lake, Outcome, times};

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
        ("bomb", bomb(), "5000"),
    ]
}

/// A page of twenty million bytes that says it has 5,000, of the first column, which a run reads.
fn bomb() -> Vec<u8> {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let columns = vec![
        ("scope", text(&format!("read_members{}", " ".repeat(20_000_000)))),
        ("app_id", text("app-1")),
        ("request_id", text("r")),
        ("event_time", times([Some("2019-07-01T08:00:00Z")].into_iter())),
        ("user_id", Arc::new(Int64Array::from(vec![7]))),
        ("group_id", Arc::new(Int64Array::from(vec![10]))),
        ("status", Arc::new(Int32Array::from(vec![200]))),
        ("bytes", Arc::new(Int64Array::from(vec![100]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let batch = batch.unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None);
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    // Behind the magic the header of the first page: its type, and its bytes decompressed, in four of seven bits.
    assert_eq!(bytes[4..7], [0x15, 0, 0x15]);
    assert!(bytes[9] >= 128 && bytes[10] < 128, "{:?}", &bytes[7..11]);
    let claimed = 5_000 * 2;
    for (at, byte) in bytes[7..11].iter_mut().enumerate() {
        *byte = u8::try_from(claimed >> (7 * at) & 127).unwrap() | if at < 3 { 128 } else { 0 };
    }
    bytes
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
        // The file's rows are in no figure.
        are_told_everywhere(&outcome, &["hostile.parquet"], &totals);
    }
}

/// Expects the holes that these files left wherever figures stand; and the figures without them.
pub fn are_told_everywhere(outcome: &Outcome, files: &[&str], totals: &Value) {
    let line = outcome.json();
    assert_eq!((&line["verdict"], &line["totals"]), (&"incomplete".into(), totals), "{outcome:#?}");
    assert!(outcome.stderr.contains("incomplete"), "{outcome:#?}");
    let published = outcome.published();
    let run = published.folder.parent().unwrap();
    let manifest: Value =
        serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
    let unreadable = manifest["sources"][0]["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), files.len(), "{unreadable:?}");
    for file in files {
        assert!(unreadable.iter().any(|bad| bad.to_string().contains(file)), "{unreadable:?}");
        let warned = |line: &str| line.contains("left out: ") && line.contains(file);
        assert!(outcome.stderr.lines().any(warned), "{outcome:#?}");
        // Nobody knows how many rows it has.
        let inputs = manifest["sources"][0]["files"].as_array().unwrap();
        let input = inputs.iter().find(|input| input["url"].to_string().contains(file)).unwrap();
        assert_eq!(input["rows"], Value::Null, "{input}");
    }
    let coverage = published.table("coverage");
    let row = coverage.row(&[("grain", "all")], &["files_unreadable", "verdict"]);
    assert_eq!(row, [&files.len().to_string(), "incomplete"]);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    let told = match files.len() {
        1 => "1 file of log access could not be read".to_string(),
        more => format!("{more} files of log access could not be read"),
    };
    assert!(page.contains(&told), "nothing says {told:?}");
    assert!(workbook(&run.join("report.xlsx")).contains("incomplete: files were left out"));
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
