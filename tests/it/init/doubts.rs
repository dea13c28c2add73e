//! Columns whose name says one thing and whose values say another, or that are one of two: what is decided of them,
//! and what is asked.

use std::fs;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListBuilder, StringArray,
    StringBuilder,
};
use serde_json::json;

use super::shapes::{each, optional, parts};
use super::{init, mapping, open, text, written};
use crate::lake::{Lake, Outcome};

/// Rows of each log.
pub(super) const ROWS: usize = 20;

/// A text made of each row's number.
pub(super) fn numbered(of: impl Fn(usize) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..ROWS).map(of)))
}

pub(super) fn codes(of: impl Fn(usize) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..ROWS).map(of)))
}

/// One of some texts for each row, in turn.
pub(super) fn in_turn(texts: &[&str]) -> ArrayRef {
    let texts = texts.iter().cycle().take(ROWS);
    Arc::new(StringArray::from_iter_values(texts))
}

/// As above; an empty text stands for null.
fn in_turn_or_null(texts: &[&str]) -> ArrayRef {
    let texts: Vec<&str> = texts.iter().copied().cycle().take(ROWS).collect();
    optional(&texts)
}

/// A log about which nothing is open but dates, with some columns taken out and others put in.
pub(super) fn log(without: &[&str], with: Vec<(&str, ArrayRef)>) -> (Lake, Outcome) {
    let lake = Lake::empty();
    let at = |row: usize| format!("2019-07-01T08:{row:02}:00Z");
    let mut columns = vec![
        ("event_time", numbered(at)),
        ("client_id", numbered(|row| format!("c{}", row % 3))),
        ("scope", in_turn(&["a.read", "b.read"])),
        ("user_id", numbered(|row| format!("u{}", row % 7))),
        ("tenant_id", numbered(|row| format!("t{}", row % 2))),
        ("status", codes(|row| if row % 2 == 0 { 200 } else { 403 })),
        ("request_id", numbered(|row| format!("r{row}"))),
    ];
    let replaced: Vec<&str> = with.iter().map(|(name, _)| *name).collect();
    columns.retain(|(name, _)| !without.contains(name) && !replaced.contains(name));
    columns.extend(with);
    lake.columns("logs/a.parquet", columns);
    let outcome = init(&lake, "logs", &[]).succeeds();
    (lake, outcome)
}

/// What is open beside the dates.
pub(super) fn asked(outcome: &Outcome) -> Vec<String> {
    let all = open(outcome).into_iter().filter(|of| of != "scopes.csv");
    all.map(|of| of.trim_start_matches("afterscope.toml: ").to_string()).collect()
}

/// Whether the configuration or the output says so, wherever lines are broken.
pub(super) fn says(lake: &Lake, outcome: &Outcome, wanted: &str) {
    let configuration = text(lake, "afterscope.toml").replace("\n# ", " ");
    assert!(
        configuration.contains(wanted) || outcome.stdout.contains(wanted),
        "{wanted}\n{configuration}\n{}",
        outcome.stdout
    );
}

#[test]
fn nothing_is_asked_of_a_log_that_is_clear() {
    let (lake, outcome) = log(&[], vec![]);
    assert_eq!(asked(&outcome), Vec::<String>::new());
    assert_eq!(mapping(&lake)["status"], "status");
}

#[test]
fn codes_in_fractions_are_codes() {
    let of = |row: usize| [Some(200.0), Some(403.0), Some(403.0), None][row % 4];
    let fractions: ArrayRef = Arc::new(Float64Array::from_iter((0..ROWS).map(of)));
    let decimals = Decimal128Array::from_iter_values((0..ROWS).map(|row| 200 + (row as i128 % 2)));
    let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(5, 0).unwrap());
    for status in [fractions, decimals] {
        let (lake, outcome) = log(&[], vec![("status", status)]);
        assert_eq!(asked(&outcome), Vec::<String>::new());
        assert_eq!(mapping(&lake)["status"], "status");
        assert!(outcome.stdout.contains("all are read"), "{}", outcome.stdout);
    }
}

#[test]
fn a_column_that_is_named_like_an_outcome_is_never_passed_over() {
    let long = "x".repeat(3_000);
    let words = in_turn(&["SUCCESS", "DENIED", &long]);
    let ok = || -> ArrayRef { Arc::new(BooleanArray::from(vec![true; ROWS])) };
    let sorted = "source.status.allowed";
    for (column, values, wanted) in [
        ("status", words.clone(), sorted),
        ("error_code", words, sorted),
        ("http_code", codes(|row| row as i64 % 2), sorted),
        ("outcome_result", in_turn(&["ALLOW", "CHALLENGE"]), sorted),
        ("status", parts(vec![("code", codes(|row| row as i64 % 2 * 7))]), sorted),
        // None of them says success.
        ("status", codes(|row| 100 + row as i64 % 3), sorted),
        ("result", ok(), sorted),
        // A code without such a name.
        ("http", codes(|row| if row == 0 { 403 } else { 200 }), "status"),
    ] {
        let (lake, outcome) = log(&["status"], vec![(column, values)]);
        assert_eq!(asked(&outcome), [wanted], "{column} {}", outcome.stdout);
        assert!(mapping(&lake).get("status").is_some(), "{column}");
    }
    let (lake, outcome) = log(&["status"], vec![("ok", ok())]);
    assert_eq!(asked(&outcome), Vec::<String>::new());
    assert_eq!(written(&lake)["source"][0]["status"], json!({"allowed": ["true"]}));
}

#[test]
fn names_of_outcomes_say_which_of_true_and_false_is_allowed() {
    let truths = || -> ArrayRef {
        Arc::new(BooleanArray::from_iter((0..ROWS).map(|row| Some(row % 3 > 0))))
    };
    for (names, allowed) in [
        (
            &["allowed", "is_allowed", "authorized", "isAuthorized", "permitted", "is_permitted"][..],
            "true",
        ),
        (&["success", "succeeded", "ok", "is_success"], "true"),
        (&["denied", "is_denied", "wasDenied", "rejected", "is_rejected"], "false"),
        (&["blocked", "is_blocked", "failed", "is_error"], "false"),
    ] {
        for name in names {
            let (lake, outcome) = log(&["status"], vec![(name, truths())]);
            assert_eq!(asked(&outcome), Vec::<String>::new(), "{name}");
            assert_eq!(mapping(&lake)["status"], *name);
            assert_eq!(
                written(&lake)["source"][0]["status"],
                json!({"allowed": [allowed]}),
                "{name}"
            );
        }
    }
    for (name, words, allowed) in [
        ("verdict", ["PASS", "BLOCK"], "PASS"),
        ("effect", ["Allow", "Deny"], "Allow"),
        ("decision", ["permit", "refused"], "permit"),
    ] {
        let (lake, outcome) = log(&["status"], vec![(name, in_turn(&words))]);
        assert_eq!(asked(&outcome), Vec::<String>::new(), "{name}");
        assert_eq!(written(&lake)["source"][0]["status"], json!({"allowed": [allowed]}), "{name}");
    }
    // A reason says nothing of the calls that have none.
    for name in ["denial_reason", "reject_reason"] {
        let (_, outcome) = log(&["status"], vec![(name, in_turn_or_null(&["", "no grant"]))]);
        assert_eq!(asked(&outcome), ["source.status.allowed"], "{name}");
    }
}

#[test]
fn ids_that_differ_only_in_case_are_told() {
    let ids = ["9188040d-6c67-4c5b-b112-36a304b66dad", "9188040D-6C67-4C5B-B112-36A304B66DAD"];
    let (lake, outcome) = log(&["tenant_id"], vec![("AadTenantId", in_turn(&ids))]);
    assert_eq!(asked(&outcome), Vec::<String>::new());
    assert_eq!(mapping(&lake)["group"], "AadTenantId");
    let told = "1 of its values are also written in another case, and count as different ones: kind = \"uuid\" makes them one";
    says(&lake, &outcome, told);
    assert!(outcome.stdout.contains(&format!("group ({told})")), "{}", outcome.stdout);
    let (lake, outcome) = log(&[], vec![("client_id", in_turn(&["Planner", "planner", "mailer"]))]);
    says(
        &lake,
        &outcome,
        "1 of its values are also written in another case, and count as different ones: fold_case = true",
    );
    let (lake, outcome) = log(&[], vec![("tenant_id", in_turn(&["contoso", "fabrikam"]))]);
    assert!(!text(&lake, "afterscope.toml").contains("another case"), "{}", outcome.stdout);
}

#[test]
fn two_columns_of_outcomes_are_a_choice() {
    for (column, values) in [
        ("authorization_result", in_turn(&["ALLOWED", "DENIED"])),
        ("auth_result", in_turn(&["ALLOWED", "DENIED"])),
        ("response", codes(|_| 200)),
    ] {
        let (lake, outcome) = log(&[], vec![("status", codes(|_| 200)), (column, values)]);
        assert_eq!(asked(&outcome), ["status"], "{column}");
        says(&lake, &outcome, &format!("choose among `status`, `{column}`"));
    }
}

#[test]
fn what_a_null_outcome_means_is_told_with_its_rows() {
    let of = |row: usize| [Some(200), Some(403), Some(403), None][row % 4];
    let status: ArrayRef = Arc::new(Int64Array::from_iter((0..ROWS).map(of)));
    let (lake, outcome) = log(&[], vec![("status", status)]);
    says(&lake, &outcome, "Null in 5 of 20 rows: these count as of unknown outcome");
    says(&lake, &outcome, "status (null in 5 of 20 rows, which counts as unknown");
    // An empty text is no null.
    let (lake, outcome) = log(&[], vec![("status", in_turn(&["200", "403", "200", ""]))]);
    says(&lake, &outcome, "Empty in 5 of 20 rows: these count as denied");
    says(&lake, &outcome, "status (empty in 5 of 20 rows, which counts as denied)");
    // Of errors a null is that there was none, whether they are words or numbers.
    let of = |row: usize| [Some(429), Some(403), Some(403), None][row % 4];
    let errors: ArrayRef = Arc::new(Int64Array::from_iter((0..ROWS).map(of)));
    let (lake, outcome) = log(&["status"], vec![("error_code", errors)]);
    assert_eq!(asked(&outcome), Vec::<String>::new());
    let rule = json!({"allowed": [], "null": "allowed"});
    assert_eq!(written(&lake)["source"][0]["status"], rule);
    // Not where some of them say success.
    let of = |row: usize| [Some(200), Some(403), Some(403), None][row % 4];
    let errors: ArrayRef = Arc::new(Int64Array::from_iter((0..ROWS).map(of)));
    let (_, outcome) = log(&["status"], vec![("error_code", errors)]);
    assert_eq!(asked(&outcome), ["source.status.allowed"]);
}

#[test]
fn scopes_of_long_texts_are_all_listed() {
    let scope = |number: usize| format!("https://example.com/auth/scope.{number}.readonly");
    let many = (0..30).map(scope).collect::<Vec<_>>().join(" ");
    assert!(many.len() > 1_000);
    let (lake, _) = log(&[], vec![("scope", in_turn(&[&many, &scope(0)]))]);
    let listed = text(&lake, "scopes.csv");
    for number in 0..30 {
        assert!(
            listed.contains(&format!("\n{},,\n", scope(number))),
            "{number} is not in {listed}"
        );
    }
    let huge = "x".repeat(100_000);
    let (lake, outcome) = log(&[], vec![("scope", in_turn(&[&huge, "a.read"]))]);
    says(&lake, &outcome, "10 of 20 values of `scope` were too long or too many to be looked at");
    assert!(outcome.stdout.contains("scopes.csv: it may lack some: 10 of 20"));
}

#[test]
fn values_that_are_left_out_are_told() {
    let lake = Lake::empty();
    let rows = 10_300;
    let apps = StringArray::from_iter_values((0..rows).map(|row| format!("c{}", row % 10_001)));
    let at =
        StringArray::from_iter_values((0..rows).map(|row| {
            format!("2019-07-01T{:02}:{:02}:{:02}Z", row / 3_600, row / 60 % 60, row % 60)
        }));
    lake.columns(
        "logs/a.parquet",
        vec![("event_time", Arc::new(at) as ArrayRef), ("client_id", Arc::new(apps))],
    );
    let outcome = init(&lake, "logs", &[]).succeeds();
    let says = "of 10,001 different values of `client_id` the 10,000 most frequent are listed";
    assert!(outcome.stdout.contains(says), "{}", outcome.stdout);
    let (lake, outcome) = log(&[], vec![("client_id", in_turn(&["one", "t\u{7}wo"]))]);
    self::says(&lake, &outcome, "1 values of `client_id` hold control characters");
    assert_eq!(text(&lake, "apps.csv").lines().count(), 2);
}

#[test]
fn times_of_something_else_than_the_call_are_asked_about() {
    let started = || codes(|row| 1_561_968_000_000 + row as i64);
    let made = parts(vec![("created_at", codes(|row| 1_500_000_000 + row as i64 % 9))]);
    for (columns, among) in [
        (vec![("app", made), ("started_at", started())], "`app.created_at`, `started_at`"),
        (
            vec![("created_at", each("2017-01-01T00:00:00Z", ROWS)), ("begin_ms", started())],
            "`created_at`, `begin_ms`",
        ),
        (
            vec![
                ("created_at", numbered(|row| format!("2019-07-01T08:{row:02}:00Z"))),
                ("occurred", numbered(|row| format!("2019-07-01T07:{row:02}:00Z"))),
            ],
            "`created_at`, `occurred`",
        ),
        (vec![("timestamp", each("2019-07-01T08:00:00Z", ROWS))], "`timestamp`"),
    ] {
        let (lake, outcome) = log(&["event_time"], columns);
        assert_eq!(asked(&outcome), ["time"], "{among}");
        says(&lake, &outcome, &format!("time: choose among {among}"));
    }
    let (lake, outcome) = log(&[], vec![("event_time", each("03/01/2019 8 o'clock", ROWS))]);
    says(&lake, &outcome, "`event_time` (Utf8, 1 different) has such a name");
    says(&lake, &outcome, "99/99/9999 9 a'aaaaa");
}

#[test]
fn texts_that_are_all_times_are_asked_about_whatever_they_are_called() {
    let written = |row: usize| format!("2019-07-01T08:{row:02}:00.000Z");
    let served = |row: usize| format!("01/Jul/2019:08:{row:02}:00 +0000");
    let wall = |row: usize| format!("2019-07-01 08:{row:02}:00");
    for (name, values) in [
        ("TIMESTAMP_DERIVED", numbered(written)),
        ("time_local", numbered(served)),
        ("zeit", numbered(wall)),
    ] {
        let (lake, outcome) = log(&["event_time"], vec![(name, values)]);
        assert_eq!(asked(&outcome), ["time"], "{name}");
        says(&lake, &outcome, &format!("time: choose among `{name}`"));
    }
    // Dates alone say no moment.
    let days = numbered(|row| format!("2019-07-{:02}", row + 1));
    let (_, outcome) = log(&["event_time"], vec![("zeit", days)]);
    assert!(outcome.stdout.contains("time: no column looks like it"), "{}", outcome.stdout);
}

#[test]
fn names_of_web_servers_and_of_google_cloud_are_known() {
    let people = || numbered(|row| format!("p{}", row % 5));
    let (lake, _) = log(
        &["user_id", "request_id"],
        vec![("remote_user", people()), ("insertId", numbered(|row| format!("i{row}")))],
    );
    assert_eq!(mapping(&lake)["subject"], "remote_user");
    assert_eq!(mapping(&lake)["event_id"], "insertId");
    let (lake, _) = log(&[], vec![("body_bytes_sent", codes(|_| 5))]);
    assert_eq!(mapping(&lake)["bytes"], "body_bytes_sent");
    for name in ["http_user_agent", "callerSuppliedUserAgent"] {
        let (lake, outcome) = log(&["client_id"], vec![(name, people())]);
        assert_eq!(asked(&outcome), ["app"], "{name}");
        says(&lake, &outcome, &format!("app: choose among `{name}`"));
    }
    let calls = in_turn(&["storage.objects.get", "storage.objects.list"]);
    let (lake, outcome) = log(&["scope"], vec![("methodName", calls)]);
    assert_eq!(asked(&outcome), ["endpoint", "endpoints.csv"]);
    says(&lake, &outcome, "endpoint: choose among `methodName`");
}

#[test]
fn a_weight_is_never_decided() {
    for name in ["count", "request_count", "weight"] {
        let (lake, outcome) = log(&[], vec![(name, codes(|row| row as i64 % 5))]);
        assert_eq!(mapping(&lake).get("weight"), None);
        says(&lake, &outcome, "a row then counts as so many calls in every figure");
        says(&lake, &outcome, "not mapped, and may be  weight");
    }
}

#[test]
fn scopes_that_no_encoding_parts_are_asked_about() {
    let mut list = ListBuilder::new(StringBuilder::new());
    for _ in 0..ROWS {
        list.values().append_value("a.read b.read");
        list.append(true);
    }
    let list: ArrayRef = Arc::new(list.finish());
    for (values, why) in [
        (in_turn(&["a;b", "b"]), "one of ; | + stands in 10 values"),
        (in_turn(&["a|b", "b"]), "one of ; | + stands in 10 values"),
        (in_turn(&["a+b", "b"]), "one of ; | + stands in 10 values"),
        (in_turn(&["[\"a\",\"b\"]", "b"]), "10 values are JSON arrays and the others are not"),
        (list, "blanks or commas stand in 20 entries of the lists"),
    ] {
        let (lake, outcome) = log(&[], vec![("scope", values)]);
        assert!(asked(&outcome).contains(&"scopes".to_string()), "{why} {}", outcome.stdout);
        assert_eq!(mapping(&lake)["scopes"], "", "{why}");
        says(&lake, &outcome, why);
    }
}

#[test]
fn what_scopes_mean_is_asked_where_the_name_says_that_a_token_held_them() {
    for name in ["token_scope", "granted_scopes"] {
        let scopes = in_turn(&["a.read", "b.read"]);
        let (_, outcome) = log(&["scope"], vec![(name, scopes)]);
        assert_eq!(asked(&outcome), ["scopes_mean"], "{name}");
    }
    let (_, outcome) = log(&["scope"], vec![("instrumentation_scope", in_turn(&["a", "b"]))]);
    assert_eq!(asked(&outcome), ["scopes"]);
}

#[test]
fn scopes_that_a_call_was_refused_or_asked_for_are_never_taken() {
    let scopes = || in_turn(&["a.read", "b.read"]);
    for (name, word) in [
        ("denied_scope", "denied"),
        ("denied_scopes", "denied"),
        ("scopes_denied", "denied"),
        ("scp_denied", "denied"),
        ("missingScopes", "missing"),
        ("requested_scope", "requested"),
    ] {
        let (lake, outcome) = log(&["scope"], vec![(name, scopes())]);
        assert_eq!(asked(&outcome), ["scopes"], "{name}");
        assert_eq!(mapping(&lake)["scopes"], "", "{name}");
        says(&lake, &outcome, &format!("scopes: choose among `{name}`"));
        says(&lake, &outcome, &format!("its name says `{word}`: a call need not have exercised"));
        // Beside others they keep nobody waiting.
        let (lake, outcome) = log(&["scope"], vec![("used_scope", scopes()), (name, scopes())]);
        assert_eq!(asked(&outcome), Vec::<String>::new(), "{name}");
        assert_eq!(mapping(&lake)["scopes"], "used_scope", "{name}");
        let (lake, outcome) = log(&[], vec![("scope", scopes()), (name, scopes())]);
        assert_eq!(asked(&outcome), Vec::<String>::new(), "{name}");
        assert_eq!(mapping(&lake)["scopes"], "scope", "{name}");
        says(&lake, &outcome, &format!("scopes = \"{name}\""));
    }
    let parted = in_turn(&["a.read;b.read", "b.read"]);
    let (lake, outcome) = log(&["scope"], vec![("denied_scopes", parted)]);
    says(&lake, &outcome, "the scopes that stand there; one of ; | + stands in 10 values");
}

#[test]
fn ids_of_events_that_many_rows_share_are_asked_about() {
    for (name, values) in [
        ("request_id", each("r", ROWS)),
        ("event_id", in_turn(&["4624", "4625"])),
        ("request_id", in_turn_or_null(&["", "-"])),
        ("request_id", numbered(|row| format!("trace{}", row / 5))),
        ("request_id", numbered(|row| if row < 2 { "-".into() } else { format!("r{row}") })),
    ] {
        let (lake, outcome) = log(&["request_id"], vec![(name, values)]);
        assert_eq!(asked(&outcome), ["event_id"], "{name}");
        says(&lake, &outcome, "rows that share a value count as one call");
    }
    // A trace is no event where many rows share it, and neither hidden nor asked about.
    for name in ["trace_id", "correlationId"] {
        let shared = vec![(name, numbered(|row| format!("t{}", row / 5)))];
        let (lake, outcome) = log(&["request_id"], shared);
        assert_eq!(asked(&outcome), Vec::<String>::new(), "{name}");
        assert_eq!(mapping(&lake).get("event_id"), None);
        says(
            &lake,
            &outcome,
            "no column found for  event_id (a call that is logged twice counts twice)",
        );
        let told = format!(
            "`{name}` (Utf8, 4 different) has such a name, and 20 values are only 4 different ones, and rows that share a value count as one call"
        );
        says(&lake, &outcome, &told);
        assert!(outcome.stdout.contains(&format!("event_id: {told}")), "{}", outcome.stdout);
        // Where it differs it may be one.
        let (_, outcome) = log(&["request_id"], vec![(name, numbered(|row| format!("t{row}")))]);
        assert_eq!(asked(&outcome), ["event_id"], "{name}");
    }
}

#[test]
fn the_tenant_of_graph_is_not_the_workspace_of_its_logs() {
    let tenants = || numbered(|row| format!("t{}", row % 4));
    let columns = vec![("TenantId", each("workspace", ROWS)), ("AadTenantId", tenants())];
    let (lake, outcome) = log(&["tenant_id"], columns);
    assert_eq!(asked(&outcome), Vec::<String>::new());
    assert_eq!(mapping(&lake)["group"], "AadTenantId");
    let (lake, outcome) =
        log(&["tenant_id"], vec![("TenantId", tenants()), ("AadTenantId", tenants())]);
    assert_eq!(asked(&outcome), ["group"]);
    says(&lake, &outcome, "choose among `AadTenantId`, `TenantId`");
}

#[test]
fn columns_that_are_named_almost_alike_are_not_taken() {
    let addresses = || numbered(|row| format!("10.0.0.{}", row % 4));
    let (lake, outcome) = log(&["client_id"], vec![("client", addresses())]);
    assert_eq!(asked(&outcome), ["app"]);
    assert_eq!(mapping(&lake)["app"], "");
    let sizes = vec![("request_bytes", codes(|_| 5)), ("bytes_received", codes(|_| 5))];
    let (lake, _) = log(&[], sizes);
    assert_eq!(mapping(&lake).get("bytes"), None);
}

#[test]
fn a_password_in_a_mistyped_address_is_not_repeated() {
    let lake = Lake::standard();
    for source in ["https:/user:hunter2@127.0.0.1/x", "user:hunter2@host:/x", "s3:a:hunter2@b/c"] {
        let outcome = init(&lake, source, &[]).fails(1, &["SOURCE", "@ behind a colon"]);
        assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    }
}

#[test]
fn an_address_is_no_place_to_write_to() {
    let lake = Lake::standard();
    for output in ["s3://bucket/x", "file:///tmp/x", "s3:/bucket"] {
        let outcome = lake.afterscope(&["init", "logs", "--output", output]);
        outcome.fails(1, &["--output", "is an address"]);
    }
    assert!(!lake.path("s3:").exists() && !lake.path("file:").exists());
}

#[test]
fn what_a_start_that_was_ended_left_is_cleared_away() {
    let lake = Lake::standard();
    fs::create_dir(lake.path("conf")).unwrap();
    lake.write("conf/.afterscope-init-a1B2c3", "half");
    lake.write("conf/.afterscope-init-notes.txt", "mine");
    lake.write(".afterscope-init-new-a1B2c3/apps.csv", "half");
    lake.write(".afterscope-init-other-a1B2c3/apps.csv", "of another that may be at work");
    init(&lake, "logs", &[]).succeeds();
    lake.afterscope(&["init", "logs", "--output", "new"]).succeeds();
    let left = lake.files().into_keys().filter(|name| name.contains(".afterscope-init"));
    let wanted = [".afterscope-init-other-a1B2c3/apps.csv", "conf/.afterscope-init-notes.txt"];
    assert_eq!(left.collect::<Vec<String>>(), wanted);
}
