//! Tables of the database as lineage events tell of them.

use serde_json::{Value, json};

use super::server::{self, BOSS, ESCAPED, PASSWORD, Postgres};
use crate::lake::{Lake, Outcome};
use crate::lineage::dataset;
use crate::lineage::service::{Does, Service};

/// The last event of a run.
fn told(lake: &Lake, server: &Postgres, args: &[&str]) -> Value {
    let service = Service::new(Does::Take);
    let url = server.url(BOSS, "");
    let mut command = server::command(lake, &url, args);
    command.env("OPENLINEAGE_URL", &service.url);
    Outcome::of(lake, command.output().unwrap()).succeeds();
    for request in service.requests() {
        assert!(!request.body.contains(PASSWORD) && !request.body.contains(ESCAPED));
        assert!(!request.body.contains(BOSS), "{}", request.body);
    }
    // Each holds against the specification.
    service.events().pop().unwrap()
}

fn names(event: &Value) -> Vec<&str> {
    let outputs = event["outputs"].as_array().unwrap().iter();
    outputs.map(|output| output["name"].as_str().unwrap()).collect()
}

#[test]
#[ignore = "slow"]
fn tables_of_the_database_are_outputs_by_the_specifications_names() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let done = told(&lake, &server, &["--as-of", "2019-08-01"]);
    let namespace = format!("postgres://127.0.0.1:{}", server.port);
    let table = dataset(&done, "outputs", "bi.afterscope.history_scope_summary");
    assert_eq!(table["namespace"], namespace.as_str());
    assert_eq!(table["facets"]["dataSource"]["uri"], namespace.as_str());
    assert_eq!(table["facets"]["datasetType"]["datasetType"], "TABLE");
    // Two scopes, and all.
    let written = &table["outputFacets"]["outputStatistics"];
    assert_eq!((&written["rowCount"], &written["size"]), (&json!(3), &Value::Null));
    let fields = table["facets"]["schema"]["fields"].as_array().unwrap();
    let first = (&fields[0]["name"], &fields[0]["type"], &fields[1]["type"]);
    assert_eq!(first, (&json!("run_id"), &json!("text"), &json!("timestamp with time zone")));
    let people = &table["facets"]["columnLineage"]["fields"]["subjects_observed"];
    assert_eq!(people["inputFields"][0]["field"], "user_id");
    let view = dataset(&done, "outputs", "bi.afterscope.scope_summary");
    assert_eq!(view["facets"]["datasetType"]["datasetType"], "VIEW");
    assert_eq!(view["outputFacets"], Value::Null);
    // Each of the 17 tables: its file, its table and its view.
    assert_eq!(names(&done).len(), 3 * 17);

    // A run that is not the latest is in no view.
    let earlier = told(&lake, &server, &["--as-of", "2019-07-03"]);
    assert_eq!(names(&earlier).len(), 2 * 17);
    assert!(!names(&earlier).contains(&"bi.afterscope.scope_summary"));

    // Nothing is written where it stood.
    let again = told(&lake, &server, &["--as-of", "2019-08-01"]);
    let table = dataset(&again, "outputs", "bi.afterscope.history_scope_summary");
    assert_eq!(table["outputFacets"], Value::Null);

    // The files stood there, the rows in the database did not.
    lake.run(&["--as-of", "2019-08-15"]).succeeds();
    let later = told(&lake, &server, &["--as-of", "2019-08-15"]);
    let table = dataset(&later, "outputs", "bi.afterscope.history_scope_summary");
    assert_eq!(table["outputFacets"]["outputStatistics"]["rowCount"], 3);
    let file = dataset(&later, "outputs", "/out/latest/scope_summary.parquet");
    assert_eq!(file["outputFacets"], Value::Null);
}
