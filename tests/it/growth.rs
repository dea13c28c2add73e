//! Twice the rows, twice the work; nothing new, no work. By counts, not by the clock.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use crate::lake::{AS_OF, Call, Lake, call, micros, program, skipped};

/// A lake of so many days after every restriction, with so many calls a day.
fn lake_of(days: u32, calls: i64) -> Lake {
    let lake = Lake::empty();
    for day in 1..=days {
        write_day(&lake, &format!("2019-07-{day:02}"), i64::from(day), calls);
    }
    lake
}

/// Ids that belong to the day, so that people and groups are as many more as rows are.
fn write_day(lake: &Lake, date: &str, number: i64, calls: i64) {
    let rows: Vec<Call> = (0..calls)
        .map(|i| {
            let scope = if i % 2 == 0 { "read_members" } else { "email" };
            let user = number * calls + i * 7 % calls;
            let time = format!("{date}T{:02}:{:02}:00Z", i % 24, i % 60);
            Call { scope: scope.into(), group: Some(user / 3), ..call(&time, "app-1", user) }
        })
        .collect();
    lake.log(&format!("logs/dt={date}/part-0.parquet"), &rows);
}

fn effort(lake: &Lake, args: &[&str]) -> Value {
    lake.run(args).succeeds().json()["effort"].clone()
}

fn counts<const N: usize>(effort: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| effort[name].as_u64().unwrap_or_else(|| panic!("{name} in {effort}")))
}

#[test]
fn twice_the_rows_are_twice_the_work() {
    let names = ["rows_read", "rows_matched", "pages_decoded", "bytes_decoded", "files_read"];
    let once = counts(&effort(&lake_of(4, 3_000), &[]), names);
    let twice = counts(&effort(&lake_of(8, 3_000), &[]), names);
    assert_eq!(&once[..2], [12_000, 6_000]);
    assert_eq!(once[4], 4);
    assert!(once[2] >= 4 * 8, "each day has eight columns: {once:?}");
    for (name, (once, twice)) in names.iter().zip(once.iter().zip(twice)) {
        let ratio = twice as f64 / *once as f64;
        assert!((1.95..=2.05).contains(&ratio), "{name}: {once}, then {twice}");
    }
}

#[test]
fn what_the_ledger_holds_is_not_decoded_again() {
    let lake = lake_of(3, 500);
    let names = ["files_reused", "files_read", "pages_decoded", "bytes_read"];
    let first = counts(&effort(&lake, &[]), names);
    assert_eq!(first[..2], [0, 3]);
    assert!(first[2] > 0 && first[3] > 0);
    let second = effort(&lake, &["--as-of", "2019-08-15T00:00:00Z"]);
    assert_eq!(counts(&second, names), [3, 0, 0, 0]);
    assert_ne!(second["bound_by"], "decoding", "{second}");
    // One new day is all that is read.
    write_day(&lake, "2019-07-20", 20, 500);
    let third = counts(&effort(&lake, &["--as-of", "2019-08-16T00:00:00Z"]), names);
    assert_eq!(third[..2], [3, 1]);
    assert_eq!(third[2] * 3, first[2]);
}

#[test]
fn pages_before_every_restriction_are_not_decoded() {
    let names = ["rows_read", "rows_matched", "pages_decoded", "bytes_decoded"];
    let lake = lake_of(2, 500);
    let [rows, matched, pages, bytes] = counts(&effort(&lake, &[]), names);
    for day in 1..=5 {
        write_day(&lake, &format!("2019-05-{day:02}"), day, 500);
    }
    let with_old = counts(&effort(&lake, &["--state", "other", "--output", "other-out"]), names);
    assert_eq!(with_old, [rows + 2_500, matched, pages, bytes]);
}

/// A log file of 120,000 rows in pages of a thousand, of which four name a restricted scope.
fn write_rare(lake: &Lake, path: &str, has_offset_index: bool) -> u64 {
    let rows = 0..120_000i64;
    let is_rare = |row: i64| row % 30_000 == 7_123;
    let scope = |row| if is_rare(row) { "read_members" } else { "email" };
    let texts = |f: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.clone().map(f)))
    };
    let ints = |f: &dyn Fn(i64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.clone().map(f)))
    };
    let start = micros("2019-07-01T00:00:00Z");
    let stamps = TimestampMicrosecondArray::from_iter_values(rows.clone().map(|r| start + r));
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(1_000)
        .set_write_batch_size(1_000)
        .set_offset_index_disabled(!has_offset_index)
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled("scope".into(), true)
        .set_column_dictionary_enabled("app_id".into(), true);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_time", Arc::new(stamps.with_timezone("UTC"))),
        ("request_id", ints(&|row| row)),
        ("app_id", texts(&|row| format!("app-{}", row % 3))),
        ("user_id", ints(&|row| row * 0x1234_5678_9abc)),
        ("group_id", ints(&|row| row / 2)),
        ("scope", texts(&|row| scope(row).into())),
        ("status", ints(&|_| 200)),
        ("bytes", ints(&|row| row)),
    ];
    let written = lake.columns_written(path, properties.build(), columns);
    std::fs::metadata(written).unwrap().len()
}

#[test]
fn of_a_few_rows_the_pages_alone_are_read_with_an_offset_index_or_without_one() {
    let mut found = Vec::new();
    for has_offset_index in [true, false] {
        let lake = Lake::empty();
        let path = "logs/dt=2019-07-01/part-0.parquet";
        let size = write_rare(&lake, path, has_offset_index);
        let outcome = lake.run(&[]).succeeds().json();
        let [matched, bytes] = counts(&outcome["effort"], ["rows_matched", "bytes_read"]);
        assert_eq!(matched, 4);
        assert!(size > 5_000_000, "columns of 960,000 bytes: {size}");
        // Four pages of 120 in six columns, the scope column and the footer.
        assert!(bytes < size / 8, "{bytes} of {size} with an index: {has_offset_index}");
        assert_eq!(outcome["totals"]["subjects_observed"], 4);
        found.push(outcome["totals"].clone());
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn what_a_run_took_is_told_with_memory_by_the_system_and_by_the_allocator() {
    let lake = lake_of(2, 500);
    let outcome = lake.run(&["-v", "--memory-limit", "512MB", "--threads", "2"]).succeeds();
    let effort = &outcome.json()["effort"];
    let memory = &effort["memory"];
    assert_eq!(memory["limit"], 512_000_000);
    for peak in ["system_peak", "allocator_peak"] {
        let bytes = memory[peak].as_u64().unwrap();
        assert!((1_000_000..512_000_000).contains(&bytes), "{peak}: {bytes}");
    }
    let stages: Vec<_> = effort["stages"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(stages, ["listing files", "reading logs", "counting", "writing tables"]);
    assert_eq!(effort["threads"]["count"], 2);
    for part in
        ["took ", "2 threads: ", "bound by ", "rows a second", "memory: ", "512.0 MB allowed"]
    {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    // The manifest is the same however long it took.
    let id = outcome.json()["run_id"].as_str().unwrap().to_string();
    let manifest = lake.json(&format!("out/runs/{id}/manifest.json"));
    assert!(manifest.to_string().contains(&id) && !manifest.to_string().contains("effort"));
}

/// Instructions of a run, by valgrind's count.
fn instructions(lake: &Lake, folder: &Path) -> u64 {
    let out = folder.join("callgrind.out");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())])
        .arg(program())
        .args(["run", "--quiet", "--threads", "1"])
        .args(["--memory-limit", "512MB", "--as-of", AS_OF])
        .current_dir(lake.path(""))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{told}");
    let collected = told.lines().find_map(|line| line.split("Collected : ").nth(1)).unwrap();
    collected.trim().parse().unwrap()
}

#[test]
#[ignore = "slow: runs under valgrind"]
fn instructions_grow_with_rows() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        skipped("there is no valgrind to count instructions with");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // What memory is held is looked at by the clock, and a busy machine adds to it: of two runs the lesser counts.
    let once = |days| instructions(&lake_of(days, 20_000), folder.path());
    let of = |days| once(days).min(once(days));
    // What a run takes without any row is in each of them. It differs by some hundredths of a step: buffers grow
    // by doubling, and with few days reports have other parts. More than twice the work is what must not be.
    let (one, two, four) = (of(7), of(14), of(28));
    let ratio = (four - two) as f64 / (two - one) as f64;
    eprintln!("{one}, {two}, {four} instructions: the second step is {ratio:.3} times the first");
    assert!((1.7..=2.1).contains(&ratio), "{one}, {two}, {four}: {ratio}");
}
