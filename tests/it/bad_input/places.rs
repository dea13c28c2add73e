//! Places to write to: output, ledger, temporary files; and memory.

use std::fs;
use std::path::PathBuf;

use super::tells_what_to_do;
use crate::disk::Disk;
use crate::lake::Lake;

#[test]
fn an_output_that_is_a_file_is_named() {
    let lake = Lake::standard();
    lake.write("report.txt", "mine");
    let outcome = lake.refuses(&["--output", "report.txt"], 1, &["report.txt", "output"]);
    tells_what_to_do(&outcome);
    assert_eq!(fs::read_to_string(lake.path("report.txt")).unwrap(), "mine");
}

#[test]
fn a_ledger_that_is_a_file_is_named() {
    let lake = Lake::standard();
    lake.write("ledger.txt", "mine");
    let outcome = lake.refuses(&["--state", "ledger.txt"], 1, &["ledger.txt", "state"]);
    tells_what_to_do(&outcome);
}

#[test]
fn an_output_with_files_of_another_program_is_left_alone() {
    let lake = Lake::standard();
    lake.write("out/notes/plan.txt", "mine");
    let before = lake.files();
    lake.refuses(&[], 1, &["out", "notes/plan.txt", "name an empty folder"]);
    assert_eq!(before, lake.files());
}

#[test]
fn a_ledger_folder_with_files_of_another_program_is_left_alone() {
    let lake = Lake::standard();
    lake.write("elsewhere/packs/holiday.parquet", "mine");
    let says = ["elsewhere", "packs/holiday.parquet", "empty folder with --state"];
    lake.refuses(&["--state", "elsewhere"], 1, &says);
    let left: Vec<String> =
        lake.files().into_keys().filter(|name| name.starts_with("elsewhere")).collect();
    assert_eq!(left, ["elsewhere/packs/holiday.parquet"]);
}

#[test]
fn the_logs_are_no_place_for_the_output_because_the_next_run_would_read_it() {
    let lake = Lake::standard();
    let before = lake.files();
    for folder in ["logs", "logs/out"] {
        lake.refuses(&["--output", folder], 1, &["--output", "`access`", "next run"]);
    }
    lake.refuses(&["--state", "logs/ledger"], 1, &["--state", "`access`", "next run"]);
    lake.edit("afterscope.toml", "\"out/\"", "\"logs/out/\"");
    lake.refuses(&[], 1, &["afterscope.toml:2", "output", "`access`", "next run"]);
    lake.edit("afterscope.toml", "\"logs/out/\"", "\"out/\"");
    assert!(before.keys().eq(lake.files().keys()));
}

#[test]
fn a_folder_for_temporary_files_that_is_not_there_is_named_with_its_key() {
    let lake = Lake::standard();
    lake.refuses(&["--set", "run.temp_dir=nowhere"], 1, &["nowhere", "run.temp_dir"]);
}

#[test]
fn too_little_memory_says_how_much_is_needed_and_that_is_enough() {
    let lake = Lake::standard();
    for threads in ["1", "3"] {
        let says = ["the memory limit is 2 MB", "--memory-limit", "--threads"];
        let outcome = lake.refuses(&["--memory-limit", "2MB", "--threads", threads], 1, &says);
        let (_, rest) = outcome.stderr.split_once("at least ").unwrap();
        let needed: u64 = rest.split_once(" MB").unwrap().0.parse().unwrap();
        let limit = format!("{needed}MB");
        lake.publishes(&["--memory-limit", &limit, "--threads", threads]);
        fs::remove_dir_all(lake.path("out")).unwrap();
        let less = format!("{}MB", needed - 1);
        lake.refuses(&["--memory-limit", &less, "--threads", threads], 1, &says[1..]);
    }
}

#[test]
fn a_damaged_pack_is_named_and_removing_it_as_told_is_all_that_is_needed() {
    let lake = Lake::standard();
    let tables = lake.publishes(&[]).bytes();
    let packs = fs::read_dir(lake.path("out/state/packs")).unwrap();
    let packs: Vec<PathBuf> = packs.map(|entry| entry.unwrap().path()).collect();
    let mut damaged = Vec::new();
    for pack in &packs {
        crate::lake::spoil(pack);
        damaged.push(pack.file_name().unwrap().to_str().unwrap());
    }
    let again = ["--output", "second", "--state", "out/state"];
    let outcome = lake.run(&again).fails(3, &["delete that file and run again"]);
    assert!(damaged.iter().any(|name| outcome.stderr.contains(name)), "{}", outcome.stderr);
    for pack in packs {
        fs::remove_file(pack).unwrap();
    }
    crate::lake::assert_same(&tables, &lake.publishes(&again).bytes());
}

#[test]
fn a_full_disk_is_worth_a_retry_and_more_room_is_all_that_is_needed() {
    let lake = Lake::standard();
    let elsewhere = lake.publishes(&["--output", "roomy"]).bytes();
    fs::remove_dir_all(lake.path("roomy")).unwrap();
    let Some(disk) = Disk::mount(lake.path("out"), "size=16k") else { return };
    let outcome = lake.refuses(&[], 4, &["No space left", "/out/"]);
    tells_what_to_do(&outcome);
    disk.remount("size=16m");
    crate::lake::assert_same(&elsewhere, &lake.publishes(&[]).bytes());
}

#[test]
fn a_disk_that_fills_up_while_tables_are_written_publishes_nothing() {
    let lake = Lake::standard();
    let elsewhere = lake.publishes(&["--output", "roomy"]).bytes();
    fs::remove_dir_all(lake.path("roomy")).unwrap();
    // Room for the marker and a table or two.
    let Some(disk) = Disk::mount(lake.path("out"), "size=24k") else { return };
    let args = ["--state", "ledger"];
    lake.refuses(&args, 4, &["No space left", "/out/runs/"]);
    disk.remount("size=16m");
    crate::lake::assert_same(&elsewhere, &lake.publishes(&args).bytes());
}

#[test]
fn an_output_that_cannot_be_written_to_is_named() {
    let lake = Lake::standard();
    let Some(_disk) = Disk::mount(lake.path("out"), "ro,size=16k") else { return };
    let outcome = lake.refuses(&[], 1, &["/out", "Read-only"]);
    tells_what_to_do(&outcome);
}
