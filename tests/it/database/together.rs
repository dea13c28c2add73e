//! Runs that come in at the same time: each is there whole, and one is the latest.

use std::process::Child;

use super::server::{self, BOSS, Postgres, assert_holds};
use super::{SCHEMA, run_id};
use crate::lake::{Lake, Outcome};

#[test]
#[ignore = "slow"]
fn runs_at_once_make_one_schema_and_are_all_there() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::with_more_files(20);
    let url = server.url(BOSS, "");
    // Two of each: the same run twice at once is one.
    let days = ["01", "08", "15", "15", "08", "22"];
    let children: Vec<Child> = days
        .iter()
        .map(|day| {
            let as_of = format!("2019-08-{day}T00:00:00Z");
            server::command(&lake, &url, &["--as-of", &as_of, "--threads", "1"]).spawn().unwrap()
        })
        .collect();
    let ran: Vec<Outcome> = children
        .into_iter()
        .map(|child| Outcome::of(&lake, child.wait_with_output().unwrap()).succeeds())
        .collect();
    assert_eq!(
        server.sql("bi", "SELECT count(*), count(DISTINCT as_of) FROM afterscope.runs"),
        "4|4"
    );
    for outcome in &ran {
        let id = run_id(outcome);
        assert_holds(&server, SCHEMA, &outcome.published().folder, |table| {
            format!("{SCHEMA}.history_{table} WHERE run_id = '{id}'")
        });
    }
    let latest = server.sql("bi", "SELECT run_id FROM afterscope.latest_run");
    assert_eq!(latest, lake.json("out/latest.json")["run_id"].as_str().unwrap());
    let put_in = ran.iter().filter(|outcome| outcome.json()["database"]["stood"] == false);
    assert_eq!(put_in.count(), 4);
}
