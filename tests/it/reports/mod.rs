//! The page and the workbook of a run: what stands in them, and what never does.

mod browser;
mod page;
mod spreadsheet;
mod workbook;

use std::fs;
use std::path::PathBuf;

use crate::lake::{Call, Lake, Published, call};

/// Names that try to be something else.
const HOSTILE: [&str; 8] = [
    "<img src=x onerror=alert(1)>",
    "</script><script>document.title='taken'</script>",
    "invoice\u{202e}fdp.exe",
    "\u{1b}[2Jcleared",
    "=1+1",
    "+1",
    "@SUM(1)",
    "\tcmd",
];

/// A report of a run, beside its tables.
fn report(published: &Published, name: &str) -> PathBuf {
    published.folder.parent().unwrap().join(name)
}

fn page(published: &Published) -> String {
    fs::read_to_string(report(published, "report.html")).unwrap()
}

/// A lake whose apps `hostile-0` and so on have these names, each with one call by a person of its
/// own.
fn hostile() -> Lake {
    let lake = Lake::empty();
    let mut apps = csv::Writer::from_writer(Vec::new());
    apps.write_record(["app_id", "app_name", "developer_id", "developer_name"]).unwrap();
    let mut calls = Vec::new();
    for (number, name) in HOSTILE.into_iter().enumerate() {
        let id = format!("hostile-{number}");
        apps.write_record([id.as_str(), name, "dev-1", name]).unwrap();
        calls.push(call("2019-07-01T08:00:00Z", &id, number as i64));
    }
    // An app that no registry names: the log alone decides its id.
    calls.push(Call { app: "<b>bold</b>".into(), ..call("2019-07-02T08:00:00Z", "", 99) });
    lake.write("apps.csv", &String::from_utf8(apps.into_inner().unwrap()).unwrap());
    lake.log("logs/part-0.parquet", &calls);
    lake
}
