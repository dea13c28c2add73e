//! What is read again, and what is not. Log files that were read are overwritten with rubbish of the
//! same size and time: whoever opens them again fails.

use std::collections::BTreeMap;
use std::fs;

use crate::lake::{Call, Lake, Outcome, assert_same, call, spoil, standard_days};

/// A standard lake after its first run; its logs are rubbish by now.
fn read_once() -> Lake {
    let lake = Lake::standard();
    lake.publishes(&["--output", "first", "--state", "ledger"]);
    for (path, _) in standard_days() {
        spoil(&lake.path(path));
    }
    lake
}

/// A run with the ledger of [`read_once`] and an output of its own.
fn again(lake: &Lake, args: &[&str]) -> Outcome {
    let mut all = vec!["--output", "again", "--state", "ledger"];
    all.extend(args);
    lake.run(&all)
}

/// The tables of a lake that was never read before and differs as `change` says.
fn afresh(change: impl Fn(&Lake), args: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let lake = Lake::standard();
    change(&lake);
    lake.publishes(args).bytes()
}

#[test]
fn a_rerun_is_reused_and_writes_nothing_of_the_run_anew() {
    let lake = Lake::standard();
    let first = lake.run(&[]).succeeds();
    let before = lake.files();
    let second = lake.run(&[]).succeeds();
    assert_eq!((&first.json()["reused"], &second.json()["reused"]), (&false.into(), &true.into()));
    for key in ["run_id", "tables", "totals", "verdict"] {
        assert_eq!(first.json()[key], second.json()[key]);
    }
    let after = lake.files();
    for (name, seen) in before.iter().filter(|(name, _)| name.starts_with("out/runs")) {
        assert_eq!(Some(seen), after.get(name), "{name} was written anew");
    }
}

#[test]
fn a_run_whose_tables_were_damaged_is_made_again() {
    let lake = Lake::standard();
    let published = lake.publishes(&[]);
    let good = published.bytes();
    fs::write(published.folder.join("coverage.csv"), "nothing to see").unwrap();
    fs::remove_file(published.folder.join("scope_summary.parquet")).unwrap();
    assert_same(&good, &lake.publishes(&[]).bytes());
}

#[test]
fn a_second_run_opens_no_log_file() {
    let lake = read_once();
    let outcome = again(&lake, &[]).succeeds();
    assert_eq!(outcome.json()["reused"], false);
    assert_same(&afresh(|_| {}, &[]), &outcome.published().bytes());
}

#[test]
fn rubbish_of_another_time_is_noticed() {
    // Shows that the other tests here would fail if a log were opened.
    let lake = read_once();
    let (path, _) = &standard_days()[0];
    fs::write(lake.path(path), "rubbish").unwrap();
    again(&lake, &[]).fails(3, &[path]);
}

#[test]
fn another_as_of_needs_no_log() {
    let lake = read_once();
    for as_of in ["2019-07-02T08:30:00Z", "2020-01-01T00:00:00Z"] {
        let outcome = again(&lake, &["--as-of", as_of]).succeeds();
        assert_same(&afresh(|_| {}, &["--as-of", as_of]), &outcome.published().bytes());
    }
}

#[test]
fn a_later_restriction_needs_no_log() {
    let change = |lake: &Lake| {
        lake.edit("scopes.csv", "2019-06-01T00:00:00Z", "2019-07-01T08:30:00Z");
    };
    let lake = read_once();
    change(&lake);
    let outcome = again(&lake, &[]).succeeds();
    assert_eq!(outcome.json()["totals"]["requests_allowed"], 5);
    assert_same(&afresh(change, &[]), &outcome.published().bytes());
}

#[test]
fn graces_apps_and_lookback_need_no_log() {
    let change = |lake: &Lake| {
        lake.edit("afterscope.toml", "[report]", "extensions = \"extensions.csv\"\n\n[report]");
        lake.edit("afterscope.toml", "lookback_days = 60", "lookback_days = 7");
        let grace = "app_id,scope,grace_until\napp-1,read_members,2019-07-02T00:00:00Z\n";
        lake.write("extensions.csv", grace);
        lake.edit("apps.csv", "dev-2,Bo GmbH", "dev-9,New Owner");
    };
    let lake = read_once();
    change(&lake);
    let outcome = again(&lake, &[]).succeeds();
    let table = outcome.published().table("app_scope_exposure");
    let key = [("scope", "read_members"), ("app_id", "app-1")];
    let wanted =
        ["requests_in_grace", "subjects_in_grace", "requests_after_grace", "requests_lookback"];
    assert_eq!(table.row(&key, &wanted), ["3", "3", "1", "0"]);
    assert_same(&afresh(change, &[]), &outcome.published().bytes());
}

#[test]
fn a_scope_that_is_asked_no_longer_needs_no_log() {
    let change = |lake: &Lake| {
        lake.edit("scopes.csv", "write_posts,2019-07-01T00:00:00Z,posts\n", "");
    };
    let lake = read_once();
    change(&lake);
    let outcome = again(&lake, &[]).succeeds();
    assert_eq!(outcome.json()["totals"]["requests_allowed"], 4);
    let expected = afresh(change, &[]);
    let found = outcome.published().bytes();
    for name in expected.keys().filter(|name| !name.starts_with("coverage")) {
        assert_eq!(expected[name], found[name], "{name}");
    }
}

#[test]
fn a_newly_asked_scope_is_looked_for_in_all_files() {
    let change = |lake: &Lake| {
        let scopes = fs::read_to_string(lake.path("scopes.csv")).unwrap();
        lake.write("scopes.csv", &format!("{scopes}email,2019-07-03T00:00:00Z,mail\n"));
    };
    let lake = Lake::standard();
    lake.publishes(&["--output", "first", "--state", "ledger"]);
    change(&lake);
    let plan = lake.plan(&["--output", "again", "--state", "ledger"]);
    assert_eq!(plan["sources"][0]["files_to_read"], 3);
    let outcome = again(&lake, &[]).succeeds();
    let table = outcome.published().table("scope_summary");
    assert_eq!(
        table.row(&[("scope", "email")], &["requests_allowed", "subjects_observed"]),
        ["1", "1"]
    );
    assert_eq!(table.row(&[("scope", "read_members")], &["requests_allowed"]), ["4"]);
    assert_same(&afresh(change, &[]), &outcome.published().bytes());
}

#[test]
fn an_earlier_restriction_brings_in_rows_that_were_not_kept() {
    let before = |lake: &Lake| {
        drop(lake.log("logs/may.parquet", &[call("2019-05-20T08:00:00Z", "app-3", 40)]))
    };
    let change = |lake: &Lake| {
        before(lake);
        lake.edit("scopes.csv", "2019-06-01T00:00:00Z", "2019-05-01T00:00:00Z");
    };
    let lake = Lake::standard();
    before(&lake);
    let first = lake.run(&["--output", "first", "--state", "ledger"]).succeeds();
    assert_eq!(first.json()["totals"]["requests_allowed"], 6);
    lake.edit("scopes.csv", "2019-06-01T00:00:00Z", "2019-05-01T00:00:00Z");
    let outcome = again(&lake, &[]).succeeds();
    assert_eq!(outcome.json()["totals"]["requests_allowed"], 7);
    assert_same(&afresh(change, &[]), &outcome.published().bytes());
}

#[test]
fn one_new_file_is_the_only_one_that_is_read() {
    let path = "logs/dt=2019-07-04/part-0.parquet";
    let new = [call("2019-07-04T08:00:00Z", "app-3", 9), call("2019-07-04T09:00:00Z", "app-1", 1)];
    let lake = read_once();
    lake.log(path, &new);
    let plan = lake.plan(&["--output", "again", "--state", "ledger"]);
    let source = &plan["sources"][0];
    let figures = ["files", "files_to_read", "files_reused", "rows_in_metadata"];
    assert_eq!(figures.map(|key| source[key].as_u64().unwrap()), [4, 1, 3, 2]);
    let outcome = again(&lake, &[]).succeeds();
    assert_eq!(outcome.json()["totals"]["subjects_observed"], 5);
    let expected = afresh(|lake| drop(lake.log(path, &new)), &[]);
    assert_same(&expected, &outcome.published().bytes());
}

#[test]
fn a_rewritten_file_counts_as_it_is_now_and_a_removed_one_no_longer() {
    let path = "logs/dt=2019-07-01/part-0.parquet";
    let fewer: [Call; 1] = [call("2019-07-01T08:00:00Z", "app-1", 1)];
    let lake = Lake::standard();
    lake.publishes(&["--output", "first", "--state", "ledger"]);
    lake.log(path, &fewer);
    let plan = lake.plan(&["--output", "again", "--state", "ledger"]);
    assert_eq!(plan["sources"][0]["files_to_read"], 1);
    let outcome = again(&lake, &[]).succeeds();
    let expected = afresh(|lake| drop(lake.log(path, &fewer)), &[]);
    assert_same(&expected, &outcome.published().bytes());

    for (path, _) in &standard_days()[1..] {
        spoil(&lake.path(path));
    }
    fs::remove_file(lake.path(path)).unwrap();
    let outcome = again(&lake, &[]).succeeds();
    let expected = afresh(|lake| fs::remove_file(lake.path(path)).unwrap(), &[]);
    assert_same(&expected, &outcome.published().bytes());
}

#[test]
fn another_mapping_reads_all_again() {
    let lake = Lake::standard();
    lake.publishes(&["--output", "first", "--state", "ledger"]);
    let set = ["--set", "source.0.columns.group=user_id"];
    let plan = lake.plan(&["--output", "again", "--state", "ledger", set[0], set[1]]);
    assert_eq!(plan["sources"][0]["files_to_read"], 3);
    assert_same(&afresh(|_| {}, &set), &again(&lake, &set).succeeds().published().bytes());
}

#[test]
fn threads_memory_and_pruning_change_no_figure() {
    let lake = Lake::standard();
    let expected = lake.publishes(&[]).bytes();
    let ways: [&[&str]; 4] = [
        &["--threads", "1"],
        &["--threads", "7", "--memory-limit", "4GiB"],
        &["--threads", "1", "--memory-limit", "118MB"],
        &["--no-pruning"],
    ];
    for (number, way) in ways.iter().enumerate() {
        let folder = format!("way-{number}");
        let mut args = vec!["--output", folder.as_str()];
        args.extend(*way);
        assert_same(&expected, &lake.publishes(&args).bytes());
    }
}

#[test]
fn a_run_that_is_used_again_says_again_what_is_doubtful() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "status = \"status\"\n", "");
    let doubt = "source `access` maps no status: every call counts as allowed";
    for reused in [false, true] {
        let outcome = lake.run(&[]).succeeds();
        assert_eq!(outcome.json()["reused"], reused);
        assert!(outcome.stderr.contains(doubt), "{}", outcome.stderr);
    }
}

#[test]
fn a_pack_whose_names_were_changed_is_named_and_not_believed() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let mut changed = 0;
    for entry in fs::read_dir(lake.path("out/state/packs")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let name = b"\"app-1\"";
        for at in 0..bytes.len() - name.len() {
            if &bytes[at..at + name.len()] == name {
                bytes[at + 5] = b'7';
                changed += 1;
            }
        }
        fs::write(path, bytes).unwrap();
    }
    assert!(changed > 0);
    let says = ["out/state/packs/", "its footer does not match its seal", "delete that file"];
    lake.run(&["--output", "again", "--state", "out/state"]).fails(3, &says);
}
