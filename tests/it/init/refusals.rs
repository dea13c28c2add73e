//! Lakes that show little, places that cannot be written to, and names that are meant to hurt.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use serde_json::json;

use super::{init, mapping, open, plan, text};
use crate::disk::Disk;
use crate::lake::{AS_OF, Lake, call, times};

fn nothing_is_written(lake: &Lake) {
    let written = |name: &String| name.starts_with("conf") || name.contains(".afterscope-init");
    let left: Vec<String> = lake.files().into_keys().filter(written).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_is_no_lake_is_named_and_nothing_is_written() {
    let lake = Lake::standard();
    init(&lake, "nowhere", &[]).fails(1, &["nowhere", "does not exist"]);
    fs::create_dir(lake.path("empty")).unwrap();
    init(&lake, "empty", &[]).fails(1, &["empty", "no files"]);
    lake.write("hudi/.hoodie/hoodie.properties", "");
    lake.log("hudi/a.parquet", &[call("2019-07-01T08:00:00Z", "app-1", 1)]);
    init(&lake, "hudi", &[]).fails(1, &["hudi", "Hudi"]);
    lake.write("text/a.csv", "a,b\n1,2\n");
    init(&lake, "text", &[]).fails(3, &["text/a.csv"]);
    init(&lake, "s3://key:secret@bucket/x", &[]).fails(1, &["SOURCE", "credentials"]);
    init(&lake, "logs", &["--memory-limit", "1MB"]).fails(1, &["--memory-limit 1MB"]);
    init(&lake, "logs", &["--store", "regoin=x"]).fails(1, &["--store regoin", "`region`"]);
    let secret = init(&lake, "logs", &["--store", "anonymous=hunter2"]);
    let secret = secret.fails(1, &["--store anonymous"]);
    assert!(!secret.stderr.contains("hunter2"));
    init(&lake, "logs", &["--rows", "few"]).fails(2, &["write a number, or all"]);
    nothing_is_written(&lake);
}

#[test]
fn files_that_are_there_are_not_written_over() {
    let lake = Lake::standard();
    lake.write("conf/apps.csv", "mine");
    lake.write("conf/notes.txt", "mine");
    let before = lake.files();
    init(&lake, "logs", &[]).fails(1, &["--output conf", "holds apps.csv already"]);
    assert_eq!(before, lake.files());
    // A link that leads nowhere is a file that is there.
    fs::remove_file(lake.path("conf/apps.csv")).unwrap();
    symlink("/nowhere/at/all", lake.path("conf/afterscope.toml")).unwrap();
    init(&lake, "logs", &[]).fails(1, &["holds afterscope.toml already"]);
    fs::remove_file(lake.path("conf/afterscope.toml")).unwrap();
    // Other files stay, and make no difference.
    init(&lake, "logs", &[]).succeeds();
    assert_eq!(text(&lake, "notes.txt"), "mine");
    let names: Vec<String> =
        lake.files().into_keys().filter(|name| name.starts_with("conf/")).collect();
    assert_eq!(
        names,
        ["afterscope.toml", "apps.csv", "notes.txt", "sample.csv", "scopes.csv"]
            .map(|name| format!("conf/{name}"))
    );
}

#[test]
fn places_that_cannot_be_written_to_are_named() {
    let lake = Lake::standard();
    lake.write("taken", "mine");
    lake.afterscope(&["init", "logs", "--output", "taken"]).fails(1, &["taken", "no folder"]);
    lake.afterscope(&["init", "logs", "--output", "taken/below"]).fails(1, &["taken/below"]);
    let inside = ["init", "logs", "--output", "logs/conf"];
    lake.afterscope(&inside).fails(1, &["logs/conf", "lies in what is looked at"]);
    let Some(_disk) = Disk::mount(lake.path("disk"), "size=1m,ro") else { return };
    for place in ["disk", "disk/conf"] {
        lake.afterscope(&["init", "logs", "--output", place])
            .fails(1, &["--output disk", "cannot be written", "Read-only"]);
    }
}

#[test]
fn a_folder_that_is_not_there_is_made_as_others_are() {
    let lake = Lake::standard();
    lake.afterscope(&["init", "logs"]).succeeds();
    fs::create_dir(lake.path("plain")).unwrap();
    let mode = |name: &str| fs::metadata(lake.path(name)).unwrap().permissions();
    assert_eq!(mode("afterscope"), mode("plain"));
    lake.afterscope(&["init", "logs"]).fails(1, &["--output afterscope", "already"]);
    lake.afterscope(&["init", "logs", "--output", "new/deep/conf"]).succeeds();
    assert!(lake.path("new/deep/conf/afterscope.toml").is_file());
}

#[test]
fn a_lake_without_times_apps_or_scopes_says_so_and_stays_open() {
    let lake = Lake::empty();
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    lake.columns("logs/a.parquet", vec![("x", numbers.clone()), ("y", numbers)]);
    let outcome = init(&lake, "logs", &[]).succeeds();
    let wanted =
        ["afterscope.toml: time", "afterscope.toml: app", "afterscope.toml: scopes", "scopes.csv"];
    assert_eq!(open(&outcome), wanted);
    assert!(outcome.stdout.contains("time: no column looks like it"), "{}", outcome.stdout);
    let says = "no column found for  subject (no people are counted), group (no groups are counted), \
                status (every call counts as allowed), event_id (a call that is logged twice counts twice)\n";
    assert!(outcome.stdout.contains(says), "{}", outcome.stdout);
    assert_eq!(mapping(&lake), json!({"time": "", "app": "", "scopes": ""}));
    plan(&lake, AS_OF).fails(1, &["3 problems", "the column's name is empty"]);
}

#[test]
fn a_time_of_another_name_is_asked_about_and_not_taken() {
    let lake = Lake::empty();
    let at = || times([Some("2019-07-01T08:00:00Z")].into_iter());
    lake.columns("logs/a.parquet", vec![("zeit", at()), ("stunde", at())]);
    init(&lake, "logs", &[]).succeeds();
    assert_eq!(mapping(&lake)["time"], "");
    let configuration = text(&lake, "afterscope.toml");
    for name in ["zeit", "stunde"] {
        let says = format!("#   time = \"{name}\"  # Timestamp(µs, \"UTC\"); a time with a zone\n");
        assert!(configuration.contains(&says), "{configuration}");
    }
}

#[test]
fn a_lake_of_no_rows_says_that_nothing_was_seen() {
    let lake = Lake::empty();
    lake.log("logs/a.parquet", &[]);
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert!(outcome.stdout.contains("0 rows of 0 files"), "{}", outcome.stdout);
    assert_eq!(mapping(&lake), json!({"time": "", "app": "", "scopes": ""}));
}

#[test]
fn names_and_values_that_are_meant_to_hurt_stay_texts() {
    let lake = Lake::empty();
    let text_of = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value, value])) };
    let at = times([Some("2019-07-01T08:00:00Z"), Some("2019-07-01T09:00:00Z")].into_iter());
    let names =
        ["a\"b\n[output] scope", "\u{202e}\u{1b}[2J app_id", "x${HOME}.user_id", "", "q'\\ status"];
    lake.columns(
        "logs/a.parquet",
        vec![
            ("event time", at),
            (names[0], text_of("=1-1\u{202e}\"#${HOME}")),
            (names[1], text_of("app \"1\"")),
            (names[2], Arc::new(Int64Array::from(vec![1, 2]))),
            (names[3], text_of("nameless")),
            (names[4], text_of("SUCCESS\n\"")),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert!(!outcome.stdout.contains(['\u{202e}', '\u{1b}']), "{}", outcome.stdout);
    let configuration = text(&lake, "afterscope.toml");
    assert!(!configuration.contains(['\u{202e}', '\u{1b}']), "{configuration}");
    // As the configuration's own readers have it; `$${` stands for `${`.
    let proposed = mapping(&lake);
    assert_eq!(
        [&proposed["time"], &proposed["scopes"], &proposed["app"], &proposed["subject"]],
        [&json!("event time"), &json!(names[0]), &json!(names[1]), &json!("x$${HOME}.user_id")]
    );
    let unbroken = configuration.replace("\n# ", " ");
    assert!(unbroken.contains("the column without a name"), "{configuration}");
    assert!(unbroken.contains("\"=1-1\\U0000202E\\\"#${HOME}\" 2"), "{configuration}");
    let mut reader = csv::Reader::from_path(lake.path("conf/scopes.csv")).unwrap();
    let scopes: Vec<String> =
        reader.records().map(|record| record.unwrap().get(0).unwrap().to_string()).collect();
    assert_eq!(scopes, ["=1-1\u{202e}\"#${HOME}"]);
    // What people open in a spreadsheet does not evaluate.
    let sample = text(&lake, "sample.csv");
    assert!(sample.contains(",\"'=1-1[U+202E]\"\"#${HOME}\",2\n"), "{sample}");
}

#[test]
fn thousands_of_columns_are_looked_at_within_bounds() {
    let lake = Lake::empty();
    let rows = 50;
    let names: Vec<String> = (0..3_000).map(|number| format!("c{number}")).collect();
    let value: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let mut columns: Vec<(&str, ArrayRef)> =
        names.iter().map(|name| (name.as_str(), value.clone())).collect();
    columns.push((
        "event_time",
        times((0..rows).map(|row| {
            Some(if row == 0 { "2019-07-01T08:00:00Z" } else { "2019-07-01T09:00:00Z" })
        })),
    ));
    columns.push(("client_id", value.clone()));
    lake.columns("logs/a.parquet", columns);
    let outcome = init(&lake, "logs", &["--memory-limit", "200MB"]).succeeds();
    assert!(outcome.stdout.contains("and 2,902 more"), "{}", outcome.stdout);
    assert_eq!(mapping(&lake), json!({"time": "event_time", "app": "client_id", "scopes": ""}));
}

#[test]
fn a_column_that_some_files_lack_is_told() {
    let lake = Lake::empty();
    lake.log("logs/a.parquet", &[call("2019-07-01T08:00:00Z", "app-1", 1)]);
    lake.columns(
        "logs/b.parquet",
        vec![
            ("event_time", times([Some("2019-07-02T08:00:00Z")].into_iter())),
            ("app_id", Arc::new(StringArray::from(vec!["app-1"])) as ArrayRef),
            ("scope", Arc::new(StringArray::from(vec!["read_members"]))),
            ("status", Arc::new(arrow::array::Int32Array::from(vec![200]))),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert!(outcome.stdout.contains("subject (some files lack it)"), "{}", outcome.stdout);
    let configuration = text(&lake, "afterscope.toml");
    assert!(configuration.contains("1 of the opened files lack it"), "{configuration}");
    lake.write("conf/scopes.csv", "scope,deprecated_at\nread_members,2019-01-01\n");
    plan(&lake, AS_OF).fails(1, &["no column `", "missing = \"null\""]);
}

#[test]
fn what_the_sample_did_not_show_is_found_by_trying() {
    let lake = Lake::empty();
    let texts = |values: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    lake.columns(
        "logs/a.parquet",
        vec![
            ("event_time", texts(["2019-07-01T08:00:00Z", "noon"])),
            ("app_id", texts(["app-1", "app-2"])),
            ("scope", texts(["read_members", "read_members"])),
        ],
    );
    let outcome = init(&lake, "logs", &["--rows", "1"]).succeeds();
    assert_eq!(mapping(&lake)["time"], "event_time");
    for says in [
        "tried on 2 rows of 1 files as a run reads them: not all are read",
        "1 values not read, the first in ",
        "no time can be read from it",
        "afterscope.toml: time: not all of its values can be read",
    ] {
        assert!(outcome.stdout.contains(says), "{says}\n{}", outcome.stdout);
    }
    // Values may name people.
    assert!(!outcome.stdout.contains("noon"), "{}", outcome.stdout);
}

#[test]
fn a_place_without_room_is_left_as_it_was() {
    let lake = Lake::standard();
    let Some(disk) = Disk::mount(lake.path("full"), "size=256k") else { return };
    for place in ["full", "full/conf"] {
        disk.leave(4_096);
        lake.afterscope(&["init", "logs", "--output", place])
            .fails(4, &["--output full", "No space"]);
        let left: Vec<String> =
            lake.files().into_keys().filter(|name| name.starts_with("full/")).collect();
        assert_eq!(left, ["full/ballast"]);
    }
}

#[test]
fn the_stores_keys_are_written_into_the_configuration() {
    let lake = Lake::standard();
    let keys = ["--store", "region=eu-west-1", "--store", "anonymous=true"];
    init(&lake, "logs", &keys).succeeds();
    let store = super::written(&lake)["source"][0]["store"].clone();
    assert_eq!(store, json!({"region": "eu-west-1", "anonymous": true}));
}
