//! `afterscope notification-list`, by lists that follow by hand.

mod ids;
mod places;
mod rows;

use std::collections::BTreeMap;
use std::fs;

use crate::lake::{AS_OF, Lake, Outcome, Table, bytes_below};

const HEADER: &str = "grain,namespace,subject,country,subdivision,category,scopes,apps,requests,first_access,last_access";

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["notification-list", "--config", "afterscope.toml", "--as-of", AS_OF];
    if !more.contains(&"--out") {
        all.extend(["--out", "list"]);
    }
    all.extend(more);
    all
}

fn asked(lake: &Lake, more: &[&str]) -> Outcome {
    lake.afterscope(&args(more))
}

/// The lines of the CSV file in `list/` behind the header, which must be right.
fn lines(lake: &Lake) -> Vec<String> {
    let csv = fs::read_to_string(lake.path("list/notification_list.csv")).unwrap();
    let mut lines = csv.lines().map(str::to_string);
    assert_eq!(lines.next().as_deref(), Some(HEADER));
    lines.collect()
}

/// What is listed: the CSV lines, after the Parquet file was held against them.
fn listed(lake: &Lake, more: &[&str]) -> Vec<String> {
    let outcome = asked(lake, more).succeeds();
    let lines = lines(lake);
    assert_eq!(outcome.json()["rows"], lines.len());
    assert_eq!(table(lake).rows.len(), lines.len());
    lines
}

fn table(lake: &Lake) -> Table {
    Table::read(&lake.path("list/notification_list.parquet"))
}

/// The list's files, the owner's mark apart.
fn files(lake: &Lake) -> BTreeMap<String, Vec<u8>> {
    let mut files = bytes_below(&lake.path("list"));
    assert!(files.remove("afterscope-notification-list.json").is_some());
    files
}

/// Nothing of a list lies in the folder, unless the folder is not there at all.
fn nothing_is_listed(lake: &Lake, folder: &str) {
    let names: Vec<String> =
        lake.files().into_keys().filter(|name| name.starts_with(&format!("{folder}/"))).collect();
    assert!(names.iter().all(|name| !name.contains("notification_list")), "{names:?}");
}
