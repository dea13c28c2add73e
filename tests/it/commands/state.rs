//! `afterscope state`.

use std::fs;

use serde_json::Value;

use crate::lake::{AS_OF, Lake, assert_same};

fn state<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["state", command, "--config", "afterscope.toml"];
    if command == "gc" {
        args.extend(["--as-of", AS_OF]);
    }
    args.extend(more);
    args
}

fn packs_on_disk(lake: &Lake) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(lake.path("out/state/packs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn show_lists_the_packs_with_their_rows() {
    let lake = Lake::standard();
    lake.publishes(&["--threads", "1"]);
    let before = lake.files();
    let shown = lake.afterscope(&state("show", &["--json"])).succeeds().stdout;
    let packs: Vec<Value> = serde_json::from_str(&shown).unwrap();
    let names: Vec<&str> = packs.iter().map(|pack| pack["pack"].as_str().unwrap()).collect();
    assert_eq!(names, packs_on_disk(&lake));
    // Seven rows carry an asked scope; three row groups were read.
    let sum = |key: &str| packs.iter().map(|pack| pack[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("rows"), sum("units")), (7, 3));
    let text = lake.afterscope(&state("show", &[])).succeeds().stdout;
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    assert_eq!(before, lake.files());
}

#[test]
fn show_of_a_ledger_that_is_not_there_says_so() {
    let lake = Lake::standard();
    lake.afterscope(&state("show", &[])).fails(1, &["out/state", "does not exist"]);
}

#[test]
fn gc_removes_what_no_run_of_this_configuration_needs() {
    let lake = Lake::standard();
    let expected = lake.publishes(&[]).bytes();
    let needed = packs_on_disk(&lake);
    lake.publishes(&["--set", "source.0.columns.group=user_id"]);
    let all = packs_on_disk(&lake);
    assert!(all.len() > needed.len());

    let dry = lake.afterscope(&state("gc", &["--keep", "0s", "--dry-run"])).succeeds().stdout;
    assert!(dry.contains("would remove"), "{dry}");
    assert_eq!(packs_on_disk(&lake), all);
    // Young packs may be in use by a run under way.
    lake.afterscope(&state("gc", &[])).succeeds();
    assert_eq!(packs_on_disk(&lake), all);

    let done = lake.afterscope(&state("gc", &["--keep", "0s"])).succeeds().stdout;
    assert!(
        all.iter().filter(|name| !needed.contains(name)).all(|name| done.contains(name.as_str()))
    );
    assert_eq!(packs_on_disk(&lake), needed);
    assert_eq!(lake.plan(&[])["sources"][0]["files_to_read"], 0);
    let again = lake.publishes(&["--output", "second", "--state", "out/state"]);
    assert_same(&expected, &again.bytes());
}

#[test]
fn gc_names_a_length_of_time_that_it_cannot_read() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let before = packs_on_disk(&lake);
    let args = state("gc", &["--keep", "soon"]);
    lake.afterscope(&args).fails(1, &["--keep soon", "1d"]);
    assert_eq!(before, packs_on_disk(&lake));
}

#[test]
fn a_ledger_that_is_deleted_costs_time_and_nothing_else() {
    let lake = Lake::standard();
    let expected = lake.publishes(&[]).bytes();
    fs::remove_dir_all(lake.path("out/state")).unwrap();
    assert_eq!(lake.plan(&[])["sources"][0]["files_to_read"], 3);
    assert_same(&expected, &lake.publishes(&["--output", "second"]).bytes());
}

#[test]
fn an_index_that_is_lost_or_damaged_is_made_anew() {
    let lake = Lake::standard();
    let expected = lake.publishes(&[]).bytes();
    for text in [None, Some("{}"), Some("not json")] {
        let index = lake.path("out/state/index.json");
        match text {
            None => fs::remove_file(index).unwrap(),
            Some(text) => fs::write(index, text).unwrap(),
        }
        assert_eq!(lake.plan(&[])["sources"][0]["files_to_read"], 0);
        let _ = fs::remove_dir_all(lake.path("second"));
        let again = lake.publishes(&["--output", "second", "--state", "out/state"]);
        assert_same(&expected, &again.bytes());
    }
}
