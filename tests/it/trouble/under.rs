//! What happens while a request is on its way: the object is replaced or goes, or the program is killed.

use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::faults::Troubled;
use super::share;
use crate::lake::{Outcome, call, signal};

/// How long a request is held, in seconds: what happens meanwhile takes much less.
const HELD: f64 = 0.6;

const CHANGING: &str = "logs/dt=2019-07-02/part-0.parquet";

/// A run that is held at the request that comes after `skip` others of a kind.
fn held(troubled: &Troubled, place: &str, kind: &Value, skip: usize) -> Option<Child> {
    let mut rule = kind.clone();
    rule["action"] = "held".into();
    rule["delay"] = HELD.into();
    rule["skip"] = skip.into();
    rule["times"] = 1.into();
    troubled.proxy.rules(&json!([rule]));
    let mut run = troubled.command(place).spawn().unwrap();
    loop {
        if !troubled.proxy.actions().is_empty() {
            return Some(run);
        }
        if let Some(status) = run.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return None;
        }
        sleep(Duration::from_millis(5));
    }
}

/// The rows of the file in other order: the same size, to the byte.
fn other_rows(troubled: &Troubled) -> Vec<u8> {
    let of = |app: &str| {
        let calls =
            [call("2019-07-02T08:00:00Z", app, 1), call("2019-07-02T09:00:00Z", "app-3", 4)];
        std::fs::read(troubled.lake.log("other.parquet", &calls)).unwrap()
    };
    let (one, other) = (of("app-1"), of("app-2"));
    assert_eq!(one.len(), other.len());
    other
}

#[test]
fn an_object_that_changes_at_any_read_of_it_is_noticed() {
    let Some(mut troubled) = Troubled::by_moto() else { return };
    // A small file is one read.
    troubled.enlarge(CHANGING);
    let size = std::fs::metadata(troubled.lake.path(CHANGING)).unwrap().len();
    let mut other = other_rows(&troubled);
    let whole = std::fs::read(troubled.lake.path(CHANGING)).unwrap();
    // As long as the one that it replaces, where that is longer.
    other.resize(whole.len(), 0);
    assert_eq!(other.len() as u64, size);
    let kind = json!({ "method": "GET", "match": "2019-07-02/part-0" });
    let mut reads = 0;
    loop {
        let place = format!("replaced-{reads}");
        let Some(run) = held(&troubled, &place, &kind, reads) else { break };
        troubled.put(CHANGING, other.clone());
        let replaced = Outcome::of(&troubled.lake, run.wait_with_output().unwrap());
        replaced.fails(3, &["s3://lake/logs/dt=2019-07-02/part-0", "replaced since it was listed"]);
        troubled.put(CHANGING, whole.clone());

        let place = format!("gone-{reads}");
        let run = held(&troubled, &place, &kind, reads).unwrap();
        troubled.delete(CHANGING);
        let gone = Outcome::of(&troubled.lake, run.wait_with_output().unwrap());
        gone.fails(3, &["s3://lake/logs/dt=2019-07-02/part-0", "gone since it was listed"]);
        troubled.put(CHANGING, whole.clone());

        let place = format!("added-{reads}");
        let run = held(&troubled, &place, &kind, reads).unwrap();
        troubled.put("logs/dt=2019-07-04/part-0.parquet", whole.clone());
        let added = Outcome::of(&troubled.lake, run.wait_with_output().unwrap()).succeeds();
        troubled.is_done(&place, &added).unwrap();
        troubled.delete("logs/dt=2019-07-04/part-0.parquet");
        for ending in ["replaced", "gone", "added"] {
            let place = format!("{ending}-{reads}");
            troubled.proxy.rules(&json!([]));
            let clean = troubled.run(&place).succeeds();
            troubled.is_done(&place, &clean).unwrap();
        }
        reads += 1;
    }
    // The footer is one; scopes and the other columns are two more.
    assert!(reads >= 3, "{reads}");
}

/// Ends a run at each of its writes, before the write is done, by a signal.
fn ended_at_each_write(name: &str, code: i32) {
    let Some(troubled) = Troubled::by_moto() else { return };
    let kind = json!({ "method": "PUT" });
    let mut writes = 0;
    loop {
        let place = format!("{name}-{writes}");
        let Some(run) = held(&troubled, &place, &kind, writes) else { break };
        signal(name, run.id());
        let outcome = Outcome::of(&troubled.lake, run.wait_with_output().unwrap());
        // What was asked for before the signal may be done after it.
        sleep(Duration::from_secs_f64(HELD));
        troubled.proxy.rules(&json!([]));
        assert!([0, code].contains(&outcome.code), "write {writes}: {outcome:#?}");
        troubled.is_whole(&place).unwrap_or_else(|what| panic!("write {writes}: {what}"));
        let clean = troubled.run(&place).succeeds();
        troubled.is_done(&place, &clean).unwrap_or_else(|what| panic!("write {writes}: {what}"));
        writes += share();
    }
    assert!(writes > 30, "{writes}");
}

#[test]
#[ignore = "slow"]
fn a_run_killed_at_any_write_is_gone_on_with() {
    ended_at_each_write("KILL", 137);
}

#[test]
#[ignore = "slow"]
fn a_run_stopped_at_any_write_is_gone_on_with() {
    ended_at_each_write("TERM", 143);
}
