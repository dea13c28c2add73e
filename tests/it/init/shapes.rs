//! Logs of the shapes that well-known services write: what is proposed for each.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, ListArray, ListBuilder, StringArray, StringBuilder,
    StructArray, TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use serde_json::json;

use super::{fill, init, mapping, open, plan, run, text, written};
use crate::lake::Lake;

pub(super) fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values.iter()))
}

/// An empty text stands for null.
pub(super) fn optional(values: &[&str]) -> ArrayRef {
    let of = |text: &&str| (!text.is_empty()).then(|| (*text).to_string());
    Arc::new(values.iter().map(of).collect::<StringArray>())
}

pub(super) fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn small(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

pub(super) fn parts(of: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let of = of
        .into_iter()
        .map(|(name, array)| (Arc::new(Field::new(name, array.data_type().clone(), true)), array));
    Arc::new(StructArray::from(of.collect::<Vec<_>>()))
}

pub(super) fn each(text: &str, times: usize) -> ArrayRef {
    texts(&vec![text; times])
}

#[test]
fn graph_activity_has_two_columns_of_scopes_and_somebody_chooses() {
    let lake = Lake::empty();
    let (ada, bo, cy) = (
        "11111111-0000-4000-8000-000000000001",
        "11111111-0000-4000-8000-000000000002",
        "11111111-0000-4000-8000-000000000003",
    );
    let (mail, files) =
        ("22222222-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002");
    let times =
        ["00", "01", "02", "03", "04", "00"].map(|m| format!("2019-07-01T08:{m}:00.1234567Z"));
    let times: Vec<&str> = times.iter().map(String::as_str).collect();
    lake.columns(
        "logs/a.parquet",
        vec![
            ("TimeGenerated", texts(&times)),
            ("RequestId", texts(&["r1", "r2", "r3", "r4", "r5", "r1"])),
            ("OperationId", texts(&["o1", "o2", "o3", "o4", "o5", "o1"])),
            ("AppId", texts(&[mail, mail, files, mail, files, mail])),
            ("ServicePrincipalId", texts(&[mail, mail, files, mail, files, mail])),
            ("UserId", optional(&[ada, bo, "", ada, cy, ada])),
            ("AadTenantId", texts(&["t1", "t1", "t2", "t1", "t2", "t1"])),
            (
                "Scopes",
                optional(&[
                    "Files.Read User.Read",
                    "Files.Read",
                    "",
                    "Files.Read",
                    "Files.Read.All Files.Read",
                    "Files.Read User.Read",
                ]),
            ),
            ("Roles", optional(&["", "", "Files.Read.All", "", "", ""])),
            ("RequestMethod", each("GET", 6)),
            ("RequestUri", each("https://graph.example.com/v1.0//me/drive", 6)),
            ("ResponseStatusCode", small(&[200, 200, 200, 403, 200, 200])),
            ("ResponseSizeBytes", small(&[100; 6])),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    let wanted = ["afterscope.toml: scopes_mean", "afterscope.toml: scopes", "scopes.csv"];
    assert_eq!(open(&outcome), wanted);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": "TimeGenerated", "app": "AppId", "scopes": "", "subject": "UserId",
            "group": "AadTenantId", "status": "ResponseStatusCode", "bytes": "ResponseSizeBytes",
            "event_id": "RequestId",
        })
    );
    let configuration = text(&lake, "afterscope.toml");
    for says in [
        "#   scopes = { path = \"Scopes\", encoding = \"space\" }  # Utf8, 3 different, null in 1 of 6 rows; blanks part 3 of the values\n",
        "#   scopes = \"Roles\"  # Utf8, 1 different, null in 5 of 6 rows; one text a row: no blanks, no commas\n",
        "two of them are two sources over the same url",
        "All values are UUIDs written as text",
        "#   endpoint = \"RequestUri\"",
    ] {
        assert!(configuration.contains(says), "{says}\n{configuration}");
    }
    // 5 rows hold Files.Read, 2 each of the others.
    assert_eq!(
        text(&lake, "scopes.csv"),
        "scope,deprecated_at,data_fields\nFiles.Read,,\nFiles.Read.All,,\nUser.Read,,\n"
    );
    let says = ["2 problems", "`source.scopes_mean` is \"\"", "the column's name is empty"];
    plan(&lake, "2019-08-01").fails(1, &says);
    fill(&lake, "scopes = \"\"", "scopes = { path = \"Scopes\", encoding = \"space\" }");
    fill(&lake, "scopes_mean = \"\"", "scopes_mean = \"exercised\"");
    lake.write("conf/scopes.csv", "scope,deprecated_at,data_fields\nFiles.Read,2019-01-01,files\n");
    plan(&lake, "2019-08-01").succeeds();
    // r1 (once), r2 and r5; r4 was refused and r3 holds a role alone.
    assert_eq!(
        run(&lake, "2019-08-01"),
        json!({"requests_allowed": 3, "subjects_observed": 3, "groups": 2, "apps": 2})
    );
}

/// One row's entries: name, value, values.
type Entries<'a> = &'a [(&'a str, Option<&'a str>, &'a [&'a str])];

fn entries(rows: &[Entries<'_>]) -> ArrayRef {
    let all = || rows.iter().flat_map(|row| row.iter());
    let mut several = ListBuilder::new(StringBuilder::new());
    for (.., values) in all() {
        values.iter().for_each(|value| several.values().append_value(value));
        several.append(!values.is_empty());
    }
    let structs = parts(vec![
        ("name", Arc::new(all().map(|(name, ..)| Some(*name)).collect::<StringArray>())),
        ("value", Arc::new(all().map(|(_, value, _)| *value).collect::<StringArray>())),
        ("multiValue", Arc::new(several.finish())),
    ]);
    let field = Arc::new(Field::new("item", structs.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.len()));
    Arc::new(ListArray::new(field, offsets, structs, None))
}

#[test]
fn workspace_tokens_keep_app_and_scopes_in_a_list_of_parameters() {
    let lake = Lake::empty();
    let row = |app: &'static str, scopes: &'static [&'static str]| {
        [
            ("client_id", Some(app), &[][..]),
            ("app_name", Some("Some App"), &[]),
            ("scope", None, scopes),
            ("num_response_bytes", Some("120"), &[]),
        ]
    };
    let (first, second, third) =
        (row("c1", &["mail.read", "mail.send"]), row("c2", &["mail.read"]), row("c1", &["drive"]));
    lake.columns(
        "logs/a.parquet",
        vec![
            (
                "id",
                parts(vec![
                    (
                        "time",
                        texts(&[
                            "2019-07-01T08:00:00.123Z",
                            "2019-07-01T08:00:00.123Z",
                            "2019-07-02T08:00:00.000Z",
                        ]),
                    ),
                    ("uniqueQualifier", texts(&["-1", "7", "-1"])),
                    ("customerId", each("C01", 3)),
                    ("applicationName", each("token", 3)),
                ]),
            ),
            (
                "actor",
                parts(vec![
                    ("email", texts(&["ada@example.com", "bo@example.com", "ada@example.com"])),
                    ("profileId", texts(&["1001", "1002", "1001"])),
                ]),
            ),
            ("parameters", entries(&[&first, &second, &third])),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert_eq!(open(&outcome), ["afterscope.toml: scopes_mean", "scopes.csv"]);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": "id.time",
            "app": {"path": "parameters", "entry": {"equals": "client_id"}},
            "scopes": {"path": "parameters", "entry": {"equals": "scope", "value": "multiValue"}},
            "actor": "actor.profileId",
            "group": "id.customerId",
            "bytes": {"path": "parameters", "entry": {"equals": "num_response_bytes"}},
            "event_id": {"concat": ["id.time", "/", "id.uniqueQualifier"]},
        })
    );
    assert_eq!(
        text(&lake, "scopes.csv"),
        "scope,deprecated_at,data_fields\nmail.read,,\ndrive,,\nmail.send,,\n"
    );
    fill(&lake, "scopes_mean = \"\"", "scopes_mean = \"exercised\"");
    lake.write("conf/scopes.csv", "scope,deprecated_at\nmail.read,2019-01-01\n");
    plan(&lake, "2019-08-01").succeeds();
    assert_eq!(
        run(&lake, "2019-08-01"),
        json!({"requests_allowed": 2, "subjects_observed": 2, "groups": 1, "apps": 2})
    );
}

#[test]
fn ocsf_has_no_scopes_so_that_calls_are_listed() {
    let lake = Lake::empty();
    lake.columns(
        "logs/a.parquet",
        vec![
            ("time", ints(&[1_561_968_000_000, 1_561_968_060_000, 1_561_968_120_000])),
            (
                "actor",
                parts(vec![
                    ("app_uid", texts(&["app-1", "app-2", "app-1"])),
                    ("user", parts(vec![("uid", ints(&[1, 2, 1]))])),
                ]),
            ),
            (
                "metadata",
                parts(vec![
                    ("uid", texts(&["m1", "m2", "m3"])),
                    ("tenant_uid", texts(&["t1", "t1", "t2"])),
                ]),
            ),
            ("api", parts(vec![("operation", texts(&["ListMembers", "GetGroup", "ListMembers"]))])),
            (
                "http_request",
                parts(vec![
                    (
                        "url",
                        texts(&[
                            "https://api.example.com/groups/42/members?top=5",
                            "https://api.example.com/groups/42",
                            "https://api.example.com/groups/43/members",
                        ]),
                    ),
                    ("http_method", each("GET", 3)),
                ]),
            ),
            ("status_id", small(&[1, 2, 1])),
            (
                "http_response",
                parts(vec![("code", small(&[200, 404, 200])), ("length", ints(&[10, 0, 20]))]),
            ),
            ("count", ints(&[1, 1, 3])),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    let wanted =
        ["afterscope.toml: status", "afterscope.toml: endpoint", "scopes.csv", "endpoints.csv"];
    assert_eq!(open(&outcome), wanted);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": {"path": "time", "format": "epoch_ms"}, "app": "actor.app_uid",
            "actor": "actor.user.uid", "group": "metadata.tenant_uid", "status": "",
            "bytes": "http_response.length", "event_id": "metadata.uid",
            "endpoint": "", "method": "http_request.http_method",
        })
    );
    let configuration = text(&lake, "afterscope.toml");
    let says = "#   status = \"status_id\"  # Int32, 2 different; which of its values mean allowed is not to be told from them; with [source.status] allowed = [the values that mean it]\n";
    assert!(configuration.contains(says), "{configuration}");
    assert_eq!(
        text(&lake, "endpoints.csv"),
        "method,path,scope\n,/groups/{id}/members,\n,ListMembers,\n,/groups/{id},\n,GetGroup,\n"
    );
    assert_eq!(text(&lake, "scopes.csv"), "scope,deprecated_at,data_fields\n");
    fill(&lake, "status = \"\"", "status = \"http_response.code\"");
    // What multiplies every figure is offered and not taken.
    let says = "#   weight = \"count\"  # Int64, 2 different; whole numbers; a row then counts as so many calls";
    assert!(configuration.contains(says), "{configuration}");
    let endpoint = "endpoint = \"http_request.url\"\nweight = \"count\"";
    fill(&lake, "endpoint = \"\"", endpoint);
    plan(&lake, "2019-08-01").fails(1, &["conf/scopes.csv", "names no scope"]);
    lake.write("conf/scopes.csv", "scope,deprecated_at\nmembers.read,2019-01-01\n");
    plan(&lake, "2019-08-01").fails(1, &["conf/endpoints.csv", "column `scope`", "is empty"]);
    lake.write("conf/endpoints.csv", "method,path,scope\n,/groups/{id}/members,members.read\n");
    plan(&lake, "2019-08-01").succeeds();
    // Two rows, of which the second stands for three calls.
    assert_eq!(
        run(&lake, "2019-08-01"),
        json!({"requests_allowed": 4, "subjects_observed": 1, "groups": 2, "apps": 1})
    );
}

#[test]
fn okta_says_outcomes_in_words_that_somebody_has_to_sort() {
    let lake = Lake::empty();
    let scopes = ["okta.users.read, okta.groups.read", "okta.users.read", "okta.groups.read"];
    lake.columns(
        "logs/a.parquet",
        vec![
            (
                "published",
                texts(&[
                    "2019-07-01T08:00:00.123Z",
                    "2019-07-01T08:01:00.123Z",
                    "2019-07-01T08:02:00.123Z",
                ]),
            ),
            ("uuid", texts(&["u1", "u2", "u3"])),
            ("actor", parts(vec![("id", texts(&["p1", "p2", "p1"])), ("type", each("User", 3))])),
            ("client", parts(vec![("id", texts(&["c1", "c2", "c1"]))])),
            ("outcome", parts(vec![("result", texts(&["SUCCESS", "CHALLENGE", "SUCCESS"]))])),
            (
                "debugData",
                parts(vec![("grantedScopes", texts(&scopes)), ("requestUri", each("/api/v1", 3))]),
            ),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    let wanted =
        ["afterscope.toml: scopes_mean", "afterscope.toml: source.status.allowed", "scopes.csv"];
    assert_eq!(open(&outcome), wanted);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": "published", "app": "client.id",
            "scopes": {"path": "debugData.grantedScopes", "encoding": "comma"},
            "actor": "actor.id", "status": "outcome.result", "event_id": "uuid",
        })
    );
    assert_eq!(written(&lake)["source"][0]["status"], json!({"allowed": []}));
    let configuration = text(&lake, "afterscope.toml");
    assert!(configuration.contains("\"SUCCESS\" 2, \"CHALLENGE\" 1"), "{configuration}");
    assert!(configuration.contains("# No column looks like it: no groups are counted.\n"));
    let says = "no column found for  group (no groups are counted)\n";
    assert!(outcome.stdout.contains(says), "{}", outcome.stdout);
    plan(&lake, "2019-08-01").fails(1, &["every call would count as denied", "scopes_mean"]);
    fill(&lake, "scopes_mean = \"\"", "scopes_mean = \"held\"");
    fill(&lake, "allowed = []", "allowed = [\"SUCCESS\"]");
    lake.write("conf/scopes.csv", "scope,deprecated_at\nokta.users.read,2019-01-01\n");
    plan(&lake, "2019-08-01").succeeds();
}

#[test]
fn github_counts_time_in_milliseconds_and_has_two_columns_of_groups() {
    let lake = Lake::empty();
    lake.columns(
        "logs/a.parquet",
        vec![
            ("@timestamp", ints(&[1_561_968_000_123, 1_561_968_060_123])),
            ("_document_id", texts(&["d1", "d2"])),
            ("oauth_application_id", ints(&[77, 78])),
            ("actor_id", ints(&[1, 2])),
            ("org_id", ints(&[5, 5])),
            ("business_id", ints(&[9, 9])),
            ("token_scopes", texts(&["repo,read:org", "repo"])),
            ("request_method", each("GET", 2)),
            ("route", each("/repos/:owner/:repo", 2)),
            ("status_code", ints(&[200, 200])),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    let wanted = ["afterscope.toml: scopes_mean", "afterscope.toml: group", "scopes.csv"];
    assert_eq!(open(&outcome), wanted);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": {"path": "@timestamp", "format": "epoch_ms"}, "app": "oauth_application_id",
            "scopes": {"path": "token_scopes", "encoding": "comma"}, "actor": "actor_id",
            "group": "", "status": "status_code", "event_id": "_document_id",
        })
    );
    assert_eq!(
        text(&lake, "apps.csv"),
        "app_id,app_name,developer_id,developer_name\n77,,,\n78,,,\n"
    );
    fill(&lake, "scopes_mean = \"\"", "scopes_mean = \"exercised\"");
    fill(&lake, "group = \"\"", "group = \"org_id\"");
    lake.write("conf/scopes.csv", "scope,deprecated_at\nread:org,2019-01-01\n");
    plan(&lake, "2019-08-01").succeeds();
    assert_eq!(
        run(&lake, "2019-08-01"),
        json!({"requests_allowed": 1, "subjects_observed": 1, "groups": 1, "apps": 1})
    );
}

#[test]
fn salesforce_names_resources_whose_scopes_the_registry_gives() {
    let lake = Lake::empty();
    lake.columns(
        "logs/a.parquet",
        vec![
            ("Timestamp", texts(&["2019-07-01T08:00:00.000Z", "2019-07-02T08:00:00.000Z"])),
            ("RequestIdentifier", texts(&["q1", "q2"])),
            ("ConnectedAppIdentifier", texts(&["0H4-1", "0H4-2"])),
            ("UserIdentifier", texts(&["005-1", "005-2"])),
            ("InternalOrganizationId", each("00D-1", 2)),
            ("ApiFamily", each("REST", 2)),
            ("ApiResource", texts(&["/v58.0/query", "/v58.0/sobjects/00300001"])),
            ("StatusCode", small(&[200, 200])),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert_eq!(open(&outcome), ["scopes.csv", "endpoints.csv"]);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": "Timestamp", "app": "ConnectedAppIdentifier", "actor": "UserIdentifier",
            "group": "InternalOrganizationId", "status": "StatusCode",
            "event_id": "RequestIdentifier", "endpoint": "ApiResource",
        })
    );
    assert_eq!(
        text(&lake, "endpoints.csv"),
        "method,path,scope\n,/v58.0/query,\n,/v58.0/sobjects/{id},\n"
    );
    lake.write("conf/scopes.csv", "scope,deprecated_at\nquery,2019-01-01\n");
    lake.write("conf/endpoints.csv", "method,path,scope\n,/v58.0/query,query\n");
    assert_eq!(
        run(&lake, "2019-08-01"),
        json!({"requests_allowed": 1, "subjects_observed": 1, "groups": 1, "apps": 1})
    );
}

#[test]
fn json_in_a_text_column_is_taken_apart_and_a_zone_is_never_guessed() {
    let lake = Lake::empty();
    let details = |app: &str, scopes: &str, status: i32| {
        format!(
            "{{\"client\":{{\"id\":\"{app}\"}},\"token\":{{\"scopes\":[{scopes}]}},\"status\":{status}}}"
        )
    };
    let details = [details("c1", "\"a.read\",\"b.read\"", 200), details("c2", "\"b.read\"", 403)];
    let details: Vec<&str> = details.iter().map(String::as_str).collect();
    lake.columns(
        "logs/a.parquet",
        vec![
            (
                "ts",
                Arc::new(TimestampMillisecondArray::from(vec![
                    1_561_968_000_000,
                    1_561_968_060_000,
                ])),
            ),
            ("user_id", ints(&[1, 2])),
            ("details", texts(&details)),
        ],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    let wanted = ["afterscope.toml: scopes_mean", "afterscope.toml: time", "scopes.csv"];
    assert_eq!(open(&outcome), wanted);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": {"path": "ts", "zone": ""}, "app": {"path": "details", "json": "client.id"},
            "scopes": {"path": "details", "json": "token.scopes", "encoding": "list"},
            "subject": "user_id", "status": {"path": "details", "json": "status"},
        })
    );
    plan(&lake, "2019-08-01").fails(1, &["conf/afterscope.toml:", "`` is no time zone"]);
    fill(
        &lake,
        "time = { path = \"ts\", zone = \"\" }",
        "time = { path = \"ts\", zone = \"UTC\" }",
    );
    fill(&lake, "scopes_mean = \"\"", "scopes_mean = \"exercised\"");
    lake.write("conf/scopes.csv", "scope,deprecated_at\nb.read,2019-01-01\n");
    plan(&lake, "2019-08-01").succeeds();
    assert_eq!(
        run(&lake, "2019-08-01"),
        json!({"requests_allowed": 1, "subjects_observed": 1, "groups": 0, "apps": 1})
    );
}
