//! What the events of a run say.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use serde_json::{Value, json};

use super::service::{Does, Schemas, Service};
use super::{dataset, run_with, states};
use crate::lake::{Lake, Outcome, signal, times, wait_until};
use crate::published::assert_same;

/// What may differ from run to run is left out: which facets, by name.
fn names(of: &Value) -> Vec<&str> {
    of.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_run_tells_what_it_read_and_wrote() {
    let lake = Lake::standard();
    let service = Service::new(Does::Take);
    let outcome = run_with(&lake, &[("OPENLINEAGE_URL", &service.url)], &[]).succeeds();
    assert_eq!(outcome.json()["effort"]["lineage"], json!({"sent": 3, "lost": 0}));
    for request in service.requests() {
        assert_eq!(request.head[0], "POST /api/v1/lineage HTTP/1.1");
        assert!(request.has("content-type: application/json"), "{request:?}");
        assert!(!request.head.iter().any(|line| line.starts_with("authorization")), "{request:?}");
    }
    let events = service.events();
    assert_eq!(states(&events), ["START", "RUNNING", "COMPLETE"]);
    let folder = fs::canonicalize(lake.path("")).unwrap();
    let folder = folder.to_str().unwrap();
    let job = format!("afterscope.run{}.out", folder.trim_end_matches('/').replace('/', "."));
    for event in &events {
        assert_eq!(event["run"]["runId"], events[0]["run"]["runId"]);
        assert_eq!(event["job"]["namespace"], "default");
        assert_eq!(event["job"]["name"], job.as_str());
        assert_eq!(names(&event["job"]["facets"]), ["jobType", "documentation"]);
        assert_eq!(names(&event["run"]["facets"]), ["nominalTime", "processing_engine"]);
        let nominal = &event["run"]["facets"]["nominalTime"];
        assert_eq!(nominal["nominalStartTime"], "2019-09-01T00:00:00Z");
        for name in ["logs", "scopes.csv", "apps.csv"] {
            let input = dataset(event, "inputs", &format!("/{name}"));
            assert_eq!(input["namespace"], "file");
            assert_eq!(input["name"], format!("{}/{name}", folder.trim_end_matches('/')).as_str());
        }
        assert_eq!(event["inputs"].as_array().unwrap().len(), 3);
    }
    assert_eq!(events[0]["outputs"], json!([]));
    assert_eq!(events[1]["outputs"], json!([]));
    assert_eq!(names(&dataset(&events[0], "inputs", "/logs")["facets"]), Vec::<&str>::new());
}

#[test]
fn a_finished_run_tells_versions_rows_and_columns() {
    let lake = Lake::standard();
    let service = Service::new(Does::Take);
    let outcome = run_with(&lake, &[("OPENLINEAGE_URL", &service.url)], &[]).succeeds();
    let events = service.events();
    let (pinned, done) = (&events[1], &events[2]);
    let logs = dataset(done, "inputs", "/logs");
    // Three days of 4, 2 and 2 rows.
    let statistics = &logs["inputFacets"]["inputStatistics"];
    let sizes = lake.files().into_iter().filter(|(name, _)| name.starts_with("logs/"));
    let size: u64 = sizes.map(|(_, (size, _))| size).sum();
    assert_eq!(
        (&statistics["rowCount"], &statistics["fileCount"], &statistics["size"]),
        (&json!(8), &json!(3), &json!(size))
    );
    assert_eq!(dataset(pinned, "inputs", "/logs")["facets"], logs["facets"]);
    assert_eq!(dataset(pinned, "inputs", "/logs")["inputFacets"], Value::Null);
    let version = logs["facets"]["version"]["datasetVersion"].as_str().unwrap();
    assert!(version.starts_with("sha256:") && version.len() == 71, "{version}");
    let fields = logs["facets"]["schema"]["fields"].as_array().unwrap();
    let fields: Vec<&str> = fields.iter().map(|field| field["name"].as_str().unwrap()).collect();
    let mut mapped = fields.clone();
    mapped.sort_unstable();
    assert_eq!(
        mapped,
        ["app_id", "bytes", "event_time", "group_id", "request_id", "scope", "status", "user_id"]
    );
    let run_id = outcome.json()["run_id"].as_str().unwrap().to_string();
    let manifest = lake.json(&format!("out/runs/{run_id}/manifest.json"));
    let hash = manifest["registry"].as_array().unwrap().iter().find(|f| f["role"] == "scopes");
    let hash = hash.unwrap()["sha256"].as_str().unwrap();
    let scopes = dataset(done, "inputs", "/scopes.csv");
    assert_eq!(scopes["facets"]["version"]["datasetVersion"], format!("sha256:{hash}").as_str());

    let tables = fs::read_dir(lake.path("out/latest")).unwrap().count();
    assert_eq!(done["outputs"].as_array().unwrap().len(), tables);
    let table = dataset(done, "outputs", "/out/latest/scope_summary.parquet");
    // Two scopes, and all.
    let written = &table["outputFacets"]["outputStatistics"];
    let size = fs::metadata(lake.path("out/latest/scope_summary.parquet")).unwrap().len();
    assert_eq!(
        (&written["rowCount"], &written["fileCount"], &written["size"]),
        (&json!(3), &json!(1), &json!(size))
    );
    assert_eq!(table["facets"]["version"]["datasetVersion"], outcome.json()["run_id"]);
    assert_eq!(table["facets"]["lifecycleStateChange"]["lifecycleStateChange"], "CREATE");
    let people = json!({"name": "subjects_observed", "type": "int64",
        "description": "Distinct people whose data was reached."});
    assert!(table["facets"]["schema"]["fields"].as_array().unwrap().contains(&people));
}

/// Dataset, field and subtype of what a column is made of.
fn made_of(output: &Value, column: &str) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let inputs = output["facets"]["columnLineage"]["fields"][column]["inputFields"].as_array();
    let each = inputs.into_iter().flatten().map(|input| {
        let name = text(&input["name"]).rsplit('/').next().unwrap().to_string();
        (name, text(&input["field"]), text(&input["transformations"][0]["subtype"]))
    });
    each.collect()
}

#[test]
fn columns_are_told_where_they_come_from() {
    let lake = Lake::with_all();
    let service = Service::new(Does::Take);
    run_with(&lake, &[("OPENLINEAGE_URL", &service.url)], &[]).succeeds();
    let events = service.events();
    let done = events.last().unwrap();
    let of = |table: &str, column: &str| {
        let output = dataset(done, "outputs", &format!("/{table}.parquet"));
        made_of(output, column)
    };
    let all = |expected: &[(&str, &str, &str)]| -> Vec<(String, String, String)> {
        expected.iter().map(|(a, b, c)| ((*a).into(), (*b).into(), (*c).into())).collect()
    };
    assert_eq!(
        of("app_scope_exposure", "subjects_observed"),
        all(&[("logs", "user_id", "AGGREGATION")])
    );
    assert_eq!(of("app_scope_exposure", "app_id"), all(&[("logs", "app_id", "IDENTITY")]));
    assert_eq!(
        of("app_scope_exposure", "app_name"),
        all(&[("apps.csv", "app_name", "IDENTITY"), ("logs", "app_id", "JOIN")])
    );
    assert_eq!(
        of("scope_summary", "restricted_at"),
        all(&[("scopes.csv", "deprecated_at", "TRANSFORMATION")])
    );
    assert_eq!(
        of("scope_summary", "subjects_upper_bound"),
        all(&[
            ("logs", "user_id", "AGGREGATION"),
            ("memberships.parquet", "subject", "AGGREGATION"),
            ("logs", "group_id", "JOIN"),
            ("memberships.parquet", "group_id", "JOIN"),
        ])
    );
    assert_eq!(
        of("deletion_verification", "app_id"),
        all(&[("attestations.csv", "app_id", "IDENTITY")])
    );
    assert_eq!(
        of("subjects_by_jurisdiction", "country"),
        all(&[("residency.parquet", "country", "IDENTITY")])
    );
    // No column of actors is mapped, and nobody says where a verdict comes from.
    assert_eq!(of("scope_summary", "actors"), []);
    assert_eq!(of("scope_summary", "verdict"), []);
    let coverage = dataset(done, "outputs", "/coverage.parquet");
    assert_eq!(coverage["facets"]["columnLineage"], Value::Null);
    assert_eq!(coverage["facets"]["schema"]["fields"][0]["name"], "grain");
}

#[test]
fn a_run_that_stood_there_reads_and_writes_nothing() {
    let lake = Lake::standard();
    lake.run(&[]).succeeds();
    let service = Service::new(Does::Take);
    let outcome = run_with(&lake, &[("OPENLINEAGE_URL", &service.url)], &[]).succeeds();
    assert_eq!(outcome.json()["reused"], true);
    let events = service.events();
    assert_eq!(states(&events), ["START", "RUNNING", "COMPLETE"]);
    let logs = dataset(&events[2], "inputs", "/logs");
    assert_eq!(logs["inputFacets"], Value::Null);
    let table = dataset(&events[2], "outputs", "/out/latest/scope_summary.parquet");
    assert_eq!(table["outputFacets"], Value::Null);
    assert_eq!(table["facets"]["lifecycleStateChange"], Value::Null);
    assert_eq!(table["facets"]["version"]["datasetVersion"], outcome.json()["run_id"]);
}

#[test]
fn only_the_run_that_is_the_latest_writes_the_stable_names() {
    let lake = Lake::standard();
    lake.run(&[]).succeeds();
    let table = |as_of: &str| {
        let service = Service::new(Does::Take);
        let variables = [("OPENLINEAGE_URL", service.url.as_str())];
        let outcome = run_with(&lake, &variables, &["--as-of", as_of]).succeeds();
        let events = service.events();
        let table = dataset(events.last().unwrap(), "outputs", "/scope_summary.parquet").clone();
        let change = table["facets"]["lifecycleStateChange"]["lifecycleStateChange"].clone();
        let place = table["name"].as_str().unwrap().rsplit_once("/out/").unwrap().1.to_string();
        (outcome.json()["run_id"].as_str().unwrap().to_string(), place, change)
    };
    let (_, place, change) = table("2019-10-01T00:00:00Z");
    assert_eq!((place.as_str(), change), ("latest/scope_summary.parquet", json!("OVERWRITE")));
    let (run, place, change) = table("2019-08-01T00:00:00Z");
    assert_eq!(place, format!("runs/{run}/tables/scope_summary.parquet"));
    assert_eq!(change, json!("CREATE"));
}

#[test]
fn a_table_is_told_with_its_version_and_types() {
    let lake = Lake::empty();
    let sample = ["sample", "groups-2019", "demo", "--rows", "20000", "--format", "delta"];
    lake.afterscope(&sample).succeeds();
    let log = fs::read_dir(lake.path("demo/logs/_delta_log")).unwrap();
    let newest = log.filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".json")?.parse::<u64>().ok()
    });
    let newest = newest.max().unwrap().to_string();
    let service = Service::new(Does::Take);
    let mut command = lake.command(&[
        "run",
        "--config",
        "demo/afterscope.toml",
        "--as-of",
        "2019-11-06T00:00:00Z",
    ]);
    command.env("OPENLINEAGE_URL", &service.url);
    Outcome::of(&lake, command.output().unwrap()).succeeds();
    let events = service.events();
    let logs = dataset(&events[1], "inputs", "/demo/logs");
    assert_eq!(logs["facets"]["version"]["datasetVersion"], newest.as_str());
    let fields = logs["facets"]["schema"]["fields"].as_array().unwrap();
    let type_of = |name: &str| &fields.iter().find(|field| field["name"] == name).unwrap()["type"];
    assert_eq!((type_of("app_id"), type_of("user_id")), (&json!("Utf8"), &json!("Int64")));
}

#[test]
fn the_parent_and_the_root_are_those_of_the_environment() {
    let lake = Lake::standard();
    let service = Service::new(Does::Take);
    let (task, dag) =
        ("0193a5c1-7e2f-7b1a-8c3d-2f6e5a4b3c2d", "0193a5c1-7e2f-7b1a-8c3d-000000000000");
    let (parent, root) = (format!("prod/reports.count/{task}"), format!("prod/reports/{dag}"));
    let variables = [
        ("OPENLINEAGE_URL", service.url.as_str()),
        ("OPENLINEAGE_NAMESPACE", "counting"),
        ("OPENLINEAGE_ENDPOINT", "events"),
        ("OPENLINEAGE_API_KEY", "hunter2"),
        ("OPENLINEAGE_PARENT_ID", parent.as_str()),
        ("OPENLINEAGE_ROOT_PARENT_ID", root.as_str()),
    ];
    run_with(&lake, &variables, &[]).succeeds();
    for request in service.requests() {
        assert_eq!(request.head[0], "POST /events HTTP/1.1");
        assert!(request.has("authorization: Bearer hunter2"), "{request:?}");
    }
    for event in service.events() {
        assert_eq!(event["job"]["namespace"], "counting");
        let parent = &event["run"]["facets"]["parent"];
        assert_eq!(parent["run"], json!({ "runId": task }));
        assert_eq!(parent["job"], json!({ "namespace": "prod", "name": "reports.count" }));
        let root = json!({
            "run": { "runId": dag }, "job": { "namespace": "prod", "name": "reports" },
        });
        assert_eq!(parent["root"], root);
    }
}

#[test]
fn a_run_that_fails_tells_why() {
    let lake = Lake::standard();
    lake.write("logs/dt=2019-07-03/part-0.parquet", "no Parquet");
    let service = Service::new(Does::Take);
    run_with(&lake, &[("OPENLINEAGE_URL", &service.url)], &[]).fails(3, &["part-0.parquet: "]);
    let events = service.events();
    assert_eq!(states(&events), ["START", "RUNNING", "FAIL"]);
    let error = &events[2]["run"]["facets"]["errorMessage"];
    assert_eq!(error["programmingLanguage"], "RUST");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("dt=2019-07-03/part-0.parquet: ") && !message.contains('\n'));
    assert_eq!(events[2]["outputs"], json!([]));
}

/// The message of the event that says that a run has failed, where its own log says `hunter2`.
fn told_of_failure(lake: &Lake, expected: &[&str]) -> String {
    let service = Service::new(Does::Take);
    let outcome = run_with(lake, &[("OPENLINEAGE_URL", &service.url)], &[]);
    outcome.fails(1, &["hunter2"]);
    let events = service.events();
    assert_eq!(states(&events), expected);
    let error = &events.last().unwrap()["run"]["facets"]["errorMessage"];
    error["message"].as_str().unwrap().to_string()
}

#[test]
fn a_value_of_a_registry_is_not_told() {
    let lake = Lake::standard();
    lake.edit("scopes.csv", "2019-06-01T00:00:00Z", "hunter2");
    // Nothing was pinned.
    let message = told_of_failure(&lake, &["START", "FAIL"]);
    assert!(message.contains("scopes.csv, line 2, column `deprecated_at`: "), "{message}");
    assert!(!message.contains("hunter2"), "{message}");

    let lake = Lake::standard();
    let apps = "app_id,app_name,developer_id,developer_name\nhunter2,A,d,D\nhunter2,B,d,D\n";
    lake.write("apps.csv", apps);
    let message = told_of_failure(&lake, &["START", "FAIL"]);
    assert!(message.contains("apps.csv, line 3: "), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_person_s_id_is_not_told() {
    let lake = Lake::with_people();
    let text = |value: &'static str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let number: ArrayRef = Arc::new(Int64Array::from(vec![10]));
    let never = || times([None].into_iter());
    let members = [("group_id", number), ("subject", text("hunter2"))];
    let bounds = [("from", never()), ("to", never())];
    lake.columns("memberships.parquet", members.into_iter().chain(bounds).collect());
    let message = told_of_failure(&lake, &["START", "RUNNING", "FAIL"]);
    assert!(message.contains("memberships.parquet, row 1, column `subject`: "), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_run_that_is_stopped_is_told_as_aborted() {
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "demo", "--rows", "1000000"]).succeeds();
    let service = Service::new(Does::Take);
    let mut command = lake.command(&[
        "run",
        "--config",
        "demo/afterscope.toml",
        "--as-of",
        "2019-11-06T00:00:00Z",
        "--metrics",
        "run.prom",
    ]);
    let child = command.env("OPENLINEAGE_URL", &service.url).spawn().unwrap();
    wait_until("the second event", || service.requests().len() == 2);
    signal("TERM", child.id());
    Outcome::of(&lake, child.wait_with_output().unwrap()).fails(143, &["interrupted"]);
    assert_eq!(states(&service.events()), ["START", "RUNNING", "ABORT"]);
    let metrics = fs::read_to_string(lake.path("run.prom")).unwrap();
    assert!(metrics.contains("\nafterscope_run_exit_code 143\n"), "{metrics}");
}

#[test]
fn no_byte_of_what_is_published_depends_on_it() {
    let lake = Lake::with_all();
    let published = || -> BTreeMap<String, Vec<u8>> {
        let is_of_a_run = |name: &String| name.starts_with("out/") && !name.contains("/state/");
        let names = lake.files().into_keys().filter(is_of_a_run);
        let files = names.map(|name| (name.clone(), fs::read(lake.path(&name)).unwrap()));
        let files = files.collect();
        fs::remove_dir_all(lake.path("out")).unwrap();
        files
    };
    // Which thread's pack a row is in is chance, and the manifest names packs.
    lake.run(&["--threads", "1"]).succeeds();
    let without = published();
    let service = Service::new(Does::Take);
    let variables = [("OPENLINEAGE_URL", service.url.as_str())];
    let args = ["--threads", "1", "--metrics", "run.prom"];
    run_with(&lake, &variables, &args).succeeds();
    assert!(without.keys().any(|name| name.ends_with("manifest.json")));
    assert_same(&without, &published());
}

#[test]
fn the_schemas_notice_an_event_that_is_wrong() {
    let Some(schemas) = Schemas::find() else { return };
    let lake = Lake::standard();
    let service = Service::new(Does::Take);
    run_with(&lake, &[("OPENLINEAGE_URL", &service.url)], &[]).succeeds();
    let events = service.events();
    let done = events.last().unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut event = done.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event.to_string()
    };
    for (pointer, value) in [
        ("/run/runId", json!("20191106T000000Z-553b66c562e7")),
        ("/eventTime", json!("yesterday")),
        ("/eventType", json!("DONE")),
        ("/producer", json!("afterscope")),
        ("/inputs/0/name", json!(null)),
        ("/inputs/0/inputFacets/inputStatistics/rowCount", json!("8")),
        ("/outputs/0/facets/schema/fields/0/name", json!(1)),
        ("/outputs/0/facets/lifecycleStateChange/lifecycleStateChange", json!("MADE")),
        ("/run/facets/nominalTime/_schemaURL", json!("https://openlineage.io/other.json")),
    ] {
        assert!(schemas.complaint(&changed(pointer, value)).is_some(), "{pointer}");
    }
}
