//! Where a list may lie, and where never.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{asked, files, listed, nothing_is_listed};
use crate::lake::{Lake, bytes_below};

fn refused(lake: &Lake, more: &[&str], says: &[&str]) {
    let before = lake.files();
    asked(lake, more).fails(1, says);
    assert_eq!(before, lake.files(), "something was written for {more:?}");
}

#[test]
fn it_never_lies_with_what_others_read() {
    let lake = Lake::standard();
    let own = "name a folder of its own";
    refused(&lake, &["--out", "out"], &["--out out", "is the folder of the output", own]);
    refused(
        &lake,
        &["--out", "out/latest"],
        &["--out out/latest", "lies inside the folder of the output", own],
    );
    refused(&lake, &["--out", "."], &["--out .", "holds the folder of the output", own]);
    let state = ["--state", "work/ledger", "--out"];
    refused(
        &lake,
        &[&state[..], &["work/ledger/list"]].concat(),
        &["lies inside the folder of the ledger"],
    );
    refused(&lake, &[&state[..], &["work"]].concat(), &["holds the folder of the ledger"]);
    refused(
        &lake,
        &["--output", "else", "--out", "else/list"],
        &["lies inside the folder of the output"],
    );
}

#[test]
fn a_link_to_such_a_place_is_that_place() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    std::os::unix::fs::symlink(lake.path("out"), lake.path("elsewhere")).unwrap();
    refused(&lake, &["--out", "elsewhere/list"], &["lies inside the folder of the output"]);
}

#[test]
fn it_never_lies_where_it_would_be_read_as_a_log() {
    let lake = Lake::standard();
    let says =
        ["--out logs/list", "it lies inside source `access`", "logs", "would read it as rows"];
    refused(&lake, &["--out", "logs/list"], &says);
    let glob = ["--set", "source.0.url=logs/**/*.parquet", "--out", "logs/list"];
    refused(&lake, &glob, &says);
    // A glob that does not meet the list's files leaves it alone.
    let apart = ["--set", "source.0.url=logs/dt=*/*.parquet", "--out", "logs/list"];
    asked(&lake, &apart).succeeds();
}

#[test]
fn it_never_lies_in_a_table_of_people() {
    let lake = Lake::with_people();
    fs::create_dir(lake.path("people")).unwrap();
    fs::rename(lake.path("residency.parquet"), lake.path("people/a.parquet")).unwrap();
    let set = ["--set", "registry.residency=people/", "--out"];
    let says = ["it lies inside registry.residency"];
    refused(&lake, &[&set[..], &["people/list"]].concat(), &says);
    asked(&lake, &[&set[..], &["list"]].concat()).succeeds();
}

#[test]
fn a_folder_with_anything_else_is_refused() {
    let lake = Lake::standard();
    lake.write("full/notes.txt", "mine");
    let says = [
        "--out ",
        "full",
        "files that are none of a notification list (notes.txt)",
        "empty folder",
    ];
    refused(&lake, &["--out", "full"], &says);
    assert_eq!(fs::read_to_string(lake.path("full/notes.txt")).unwrap(), "mine");
    // An output of another run.
    lake.publishes(&["--output", "earlier"]);
    asked(&lake, &["--out", "earlier"]).fails(1, &["files that are none of a notification list"]);
    nothing_is_listed(&lake, "earlier");
    // A list beside which something else was put.
    listed(&lake, &[]);
    let before = files(&lake);
    lake.write("list/more/notes.txt", "mine");
    asked(&lake, &[]).fails(1, &["list", "(more/notes.txt)"]);
    fs::remove_dir_all(lake.path("list/more")).unwrap();
    assert_eq!(before, files(&lake));
    // A file like a list's without the mark of who wrote it.
    lake.write("found/notification_list.csv", "");
    asked(&lake, &["--out", "found"]).fails(1, &["(notification_list.csv)"]);
}

#[test]
fn an_address_that_is_none_is_refused_and_credentials_are_not_repeated() {
    let lake = Lake::standard();
    refused(&lake, &["--out", "ftp://host/list"], &["--out", "no known kind of address"]);
    let outcome = asked(&lake, &["--out", "s3://AKIAX:hunter2@bucket/list"]);
    let outcome = outcome.fails(1, &["--out", "carries credentials"]);
    assert!(!outcome.stderr.contains("hunter2") && !outcome.stderr.contains("AKIAX"));
    lake.write("file", "");
    asked(&lake, &["--out", "file"]).fails(1, &["file"]);
}

#[test]
fn a_folder_that_is_made_for_it_is_this_users_alone() {
    let lake = Lake::standard();
    listed(&lake, &[]);
    let mode = fs::metadata(lake.path("list")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn what_a_killed_command_left_half_written_is_removed() {
    let lake = Lake::standard();
    listed(&lake, &[]);
    lake.write("list/notification_list.csv#1", "subject,access,1");
    lake.write("list/notification_list.parquet#12", "half");
    listed(&lake, &[]);
    assert_eq!(bytes_below(&lake.path("list")).len(), 4);
}
