//! `events`: rows of the ledger. Expected rows: the standard lake's log (`lake::standard_days`).

use super::{answer, ask};
use crate::lake::{Call, Lake, call, standard_days};

const EVENTS: &str =
    "SELECT at, app_id, app_name, scopes, scopes_held, outcome, weight, group_id FROM events";

#[test]
fn every_event_that_counts_is_there_once() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let expected = "at,app_id,app_name,scopes,scopes_held,outcome,weight,group_id
2019-07-01T08:00:00Z,app-1,Planner,read_members,read_members,allowed,1,10
2019-07-01T09:00:00Z,app-1,Planner,read_members,read_members,allowed,1,10
2019-07-01T10:00:00Z,app-1,Planner,read_members,read_members,allowed,1,10
2019-07-01T11:00:00Z,app-2,Mailer,write_posts,write_posts,allowed,1,10
2019-07-02T08:00:00Z,app-1,Planner,read_members,read_members,allowed,1,11
2019-07-02T09:00:00Z,app-3,Viewer,read_members,read_members,denied,1,10
2019-07-03T08:00:00Z,app-2,Mailer,write_posts,write_posts,allowed,1,12
";
    assert_eq!(answer(&lake, &[EVENTS]), expected);
    let places = "SELECT source, file, row_group, COUNT(*) AS n FROM events GROUP BY source, file, row_group";
    let expected = "source,file,row_group,n
access,dt=2019-07-01/part-0.parquet,0,4
access,dt=2019-07-02/part-0.parquet,0,2
access,dt=2019-07-03/part-0.parquet,0,1
";
    assert_eq!(answer(&lake, &[places]), expected);
}

#[test]
fn repeats_rejected_rows_and_those_outside_are_no_events() {
    let lake = Lake::empty();
    let [(path, calls), ..] = standard_days();
    let outside = [
        // Before the restriction, at as_of, without a time, and of a scope that nobody restricted.
        call("2019-05-31T23:59:59.999999Z", "app-1", 7),
        call("2019-09-01T00:00:00Z", "app-1", 7),
        Call { time: None, ..call("2019-07-01T08:00:00Z", "app-1", 7) },
        Call { scope: "email".into(), ..call("2019-07-01T08:00:00Z", "app-1", 7) },
    ];
    let all: Vec<Call> = calls.iter().cloned().chain(outside).collect();
    lake.log(path, &all);
    lake.edit("afterscope.toml", "lookback_days = 60", "lookback_days = 60\nmax_rejected_rows = 2");
    // The same file again is the same events, in other files.
    std::fs::create_dir_all(lake.path("logs/dt=2019-07-02")).unwrap();
    std::fs::copy(lake.path(path), lake.path("logs/dt=2019-07-02/copy.parquet")).unwrap();
    lake.publishes(&[]);
    let rows = answer(&lake, &[EVENTS]);
    assert_eq!(rows.lines().count(), 5, "{rows}");
    let figures = "SELECT requests_allowed FROM scope_summary WHERE grain = 'all'";
    assert_eq!(answer(&lake, &[figures]), "requests_allowed\n4\n");
}

#[test]
fn events_of_another_run_are_refused_and_not_shown_for_those_of_this_one() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = "SELECT COUNT(*) AS n FROM events";
    assert_eq!(answer(&lake, &[sql]), "n\n7\n");
    lake.log("logs/dt=2019-07-04/part-0.parquet", &[call("2019-07-04T08:00:00Z", "app-1", 1)]);
    ask(&lake, &[sql]).fails(1, &["events of run 20190901T000000Z-", "give another run now"]);
    lake.publishes(&[]);
    assert_eq!(answer(&lake, &[sql]), "n\n8\n");
    // What the ledger lacks is not read from the log in silence.
    std::fs::remove_dir_all(lake.path("out/state")).unwrap();
    ask(&lake, &[sql]).fails(1, &["it lacks 4 files of source `access`"]);
}

#[test]
fn events_that_do_not_fit_are_refused_with_the_limit() {
    let lake = Lake::empty();
    let calls: Vec<Call> = (0..200_000).map(|i| call("2019-07-01T08:00:00Z", "app-1", i)).collect();
    lake.log("logs/dt=2019-07-01/part-0.parquet", &calls);
    lake.publishes(&[]);
    let sql = "SELECT COUNT(*) AS n FROM events";
    ask(&lake, &[sql, "--memory-limit", "144MB"]).fails(
        1,
        &[
            "there are more than 187500, and they do not fit into the memory limit of 144 MB",
            "--memory-limit",
        ],
    );
    // 768 bytes each, and three times their texts.
    ask(&lake, &[sql, "--memory-limit", "180MB"])
        .fails(1, &["there are 200000 with 24 MB of texts", "memory limit of 180 MB"]);
    assert_eq!(answer(&lake, &[sql, "--memory-limit", "512MB"]), "n\n200000\n");
}

#[test]
fn the_same_events_come_in_the_same_order_whichever_packs_hold_them() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = "SELECT * FROM events";
    let once = answer(&lake, &[sql]);
    // Read in two steps, the same files lie in other packs.
    let again = Lake::empty();
    let [first, second, third] = standard_days();
    for (path, calls) in [&third, &first] {
        again.log(path, calls);
    }
    again.publishes(&[]);
    again.log(second.0, &second.1);
    again.publishes(&[]);
    assert_eq!(answer(&again, &[sql]), once);
}

#[test]
fn files_of_the_registry_are_tables_as_the_run_read_them() {
    let lake = Lake::with_standing();
    lake.publishes(&[]);
    for (table, file) in [
        ("scopes", "scopes.csv"),
        ("apps", "apps.csv"),
        ("grants", "grants.csv"),
        ("brownouts", "brownouts.csv"),
        ("attestations", "attestations.csv"),
    ] {
        let rows = answer(&lake, &[&format!("SELECT * FROM registry.{table}")]);
        let text = std::fs::read_to_string(lake.path(file)).unwrap();
        assert_eq!(rows.lines().count(), text.lines().count(), "{table}\n{rows}\n{text}");
    }
    let sql = "SELECT s.scope, s.restricted_at, s.data_fields, a.app_name
        FROM registry.scopes s CROSS JOIN registry.apps a WHERE a.app_id = 'app-3'";
    let expected = "scope,restricted_at,data_fields,app_name
read_members,2019-06-01T00:00:00Z,name;email,Viewer
write_posts,2019-07-01T00:00:00Z,posts,Viewer
";
    assert_eq!(answer(&lake, &[sql]), expected);
    // What the run did not read is not shown as if it had.
    lake.edit("scopes.csv", "2019-06-01", "2019-06-02");
    ask(&lake, &[sql])
        .fails(1, &["registry.scopes of run 20190901T000000Z-", "SHA-256 is another"]);
    ask(&Lake::standard(), &["SELECT * FROM registry.apps"]).fails(1, &["out"]);
}

#[test]
fn a_file_that_the_configuration_does_not_have_is_no_empty_table() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    ask(&lake, &["SELECT * FROM registry.grants"])
        .fails(1, &["registry.grants of run", "the configuration has no registry.grants"]);
}
