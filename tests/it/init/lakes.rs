//! Lakes that others made: what is proposed for them.

use std::process::Command;

use serde_json::json;

use super::{fill, init, mapping, open, plan, run, text, written};
use crate::lake::{AS_OF, Lake, skipped, standard_days};

#[test]
fn the_standard_lake_waits_for_nothing_but_dates() {
    let lake = Lake::standard();
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert_eq!(open(&outcome), ["scopes.csv"]);
    let says = "tried on 8 rows of 3 files as a run reads them: all are read";
    assert!(outcome.stdout.contains(says), "{}", outcome.stdout);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": "event_time", "app": "app_id", "scopes": "scope", "subject": "user_id",
            "group": "group_id", "status": "status", "bytes": "bytes", "event_id": "request_id",
        })
    );
    // 4 of its 8 rows of July 1st, 2 of the 2nd, 2 of the 3rd.
    assert_eq!(
        text(&lake, "scopes.csv"),
        "scope,deprecated_at,data_fields\nread_members,,\nwrite_posts,,\nemail,,\n"
    );
    assert_eq!(
        text(&lake, "apps.csv"),
        "app_id,app_name,developer_id,developer_name\napp-1,,,\napp-2,,,\napp-3,,,\n"
    );
    assert_eq!(
        text(&lake, "sample.csv"),
        "key,column,value,rows\n\
         scopes,scope,read_members,5\nscopes,scope,write_posts,2\nscopes,scope,email,1\n\
         app,app_id,app-1,5\napp,app_id,app-2,2\napp,app_id,app-3,1\n\
         status,status,200,7\nstatus,status,403,1\n"
    );
    let configuration = text(&lake, "afterscope.toml");
    for says in [
        "all rows of 3 of 3 files",
        "`event_time` (Timestamp(µs, \"UTC\")); its name is one that logs use for times; a time with a zone",
        "all 8 values are from 100 to 599",
        "Folders dt hold 3 values, 2019-07-01 to 2019-07-03",
        "# partition_time = { column = \"dt\", grain = \"1d\", slack = \"1d\" }",
        "\"read_members\" 5, \"write_posts\" 2, \"email\" 1",
    ] {
        let unbroken = configuration.replace("\n# ", " ");
        assert!(configuration.contains(says) || unbroken.contains(says), "{says}\n{configuration}");
    }
    // Dates are asked for by name, and then it is the lake whose answers are known.
    plan(&lake, AS_OF).fails(1, &["conf/scopes.csv", "deprecated_at", "is empty", "3 bad rows"]);
    lake.write("conf/scopes.csv", &std::fs::read_to_string(lake.path("scopes.csv")).unwrap());
    plan(&lake, AS_OF).succeeds();
    assert_eq!(
        run(&lake, AS_OF),
        json!({"requests_allowed": 6, "subjects_observed": 4, "groups": 3, "apps": 2})
    );
}

#[test]
fn the_same_lake_gives_the_same_files() {
    let lake = Lake::standard();
    let first = init(&lake, "logs", &[]).succeeds();
    let names = ["afterscope.toml", "scopes.csv", "apps.csv", "sample.csv"];
    let before: Vec<String> = names.iter().map(|name| text(&lake, name)).collect();
    std::fs::remove_dir_all(lake.path("conf")).unwrap();
    let again = init(&lake, "logs", &[]).succeeds();
    assert_eq!(first.stdout, again.stdout);
    assert_eq!(before, names.map(|name| text(&lake, name)));
}

#[test]
fn a_sample_says_how_much_it_is_of() {
    let lake = Lake::standard();
    let outcome = init(&lake, "logs", &["--rows", "3", "--files", "2"]).succeeds();
    let says = "sample   3 rows of 2 files; 2 files were opened, which have 6 rows";
    assert!(outcome.stdout.contains(says), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("files    3,"), "{}", outcome.stdout);
    // The first and the last file: one row of July 1st and both of the 3rd.
    assert_eq!(
        text(&lake, "sample.csv").lines().skip(1).take(3).collect::<Vec<_>>(),
        ["scopes,scope,email,1", "scopes,scope,read_members,1", "scopes,scope,write_posts,1"]
    );
    assert!(text(&lake, "afterscope.toml").contains("3 rows of 2 of 3 files"));
}

#[test]
fn rows_are_taken_of_eight_files_where_there_are_more_than_are_asked_for() {
    // 23 files: four, two and two rows, then one each.
    let lake = Lake::with_more_files(20);
    let outcome = init(&lake, "logs", &["--rows", "10"]).succeeds();
    for says in [
        "sample   10 rows of 8 files; 23 files were opened, which have 28 rows",
        "tried on 11 rows of 8 files as a run reads them: all are read",
    ] {
        assert!(outcome.stdout.contains(says), "{says}\n{}", outcome.stdout);
    }
    std::fs::remove_dir_all(lake.path("conf")).unwrap();
    let outcome = init(&lake, "logs", &["--rows", "all", "--files", "all"]).succeeds();
    assert!(outcome.stdout.contains("sample   28 rows of 23 files"), "{}", outcome.stdout);
}

#[test]
fn tables_are_seen_at_their_latest_version() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/data-samples/groups-2019");
    for (format, key) in [("delta", "# version = "), ("iceberg", "# snapshot = ")] {
        let lake = Lake::empty();
        let outcome = init(&lake, &format!("{samples}-{format}/logs"), &[]).succeeds();
        assert_eq!(open(&outcome), ["scopes.csv"]);
        assert_eq!(written(&lake)["source"][0]["format"], format);
        assert!(text(&lake, "afterscope.toml").contains(key));
        assert_eq!(mapping(&lake)["time"], "event_time");
        assert_eq!(mapping(&lake)["scopes"], "scope");
    }
}

#[test]
fn a_lake_of_the_generator_gives_the_figures_that_duckdb_counts() {
    let Some(lake) = Lake::generated(&["--days", "2", "--rows-per-day", "4000", "--users", "900"])
    else {
        return;
    };
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert_eq!(open(&outcome), ["scopes.csv"]);
    assert_eq!(
        mapping(&lake),
        json!({
            "time": "event_time", "app": "app_id", "scopes": "scope", "subject": "user_id",
            "group": "group_id", "status": "status", "bytes": "bytes", "event_id": "request_id",
        })
    );
    let restricted = std::fs::read_to_string(lake.path("scopes.csv")).unwrap();
    let scopes = text(&lake, "scopes.csv");
    for scope in restricted.lines().skip(1).filter_map(|line| line.split(',').next()) {
        assert!(scopes.contains(&format!("\n{scope},,\n")), "{scope} is not in\n{scopes}");
    }
    lake.write("conf/scopes.csv", &restricted);
    plan(&lake, "2019-07-03").succeeds();
    let totals = run(&lake, "2019-07-03");
    let sql = "SELECT json_object('requests_allowed', count(*), \
        'subjects_observed', count(DISTINCT user_id), 'groups', count(DISTINCT group_id), \
        'apps', count(DISTINCT app_id)) FROM 'logs/**/*.parquet' WHERE status BETWEEN 200 AND 299 \
        AND scope IN (SELECT scope FROM 'scopes.csv')";
    let code = format!("import duckdb; print(duckdb.sql(\"\"\"{sql}\"\"\").fetchall()[0][0])");
    let python = std::env::var_os("AFTERSCOPE_PYTHON").unwrap();
    let counted =
        Command::new(python).args(["-c", &code]).current_dir(lake.path("")).output().unwrap();
    let counted: serde_json::Value = serde_json::from_slice(&counted.stdout).unwrap();
    assert!(counted["requests_allowed"].as_u64().unwrap() > 50, "{counted}");
    assert_eq!(totals, counted);
}

/// 2,900 events of AWS: `corpora/README.md`.
#[test]
fn cloudtrail_waits_for_the_app_and_the_actor_that_it_does_not_name() {
    let Some(corpora) = std::env::var_os("AFTERSCOPE_CORPORA") else {
        return skipped("AFTERSCOPE_CORPORA is not set");
    };
    let lake = Lake::empty();
    let source = format!("{}/cloudtrail/*.parquet", corpora.display());
    let outcome = init(&lake, &source, &[]).succeeds();
    assert_eq!(open(&outcome), ["afterscope.toml: app", "afterscope.toml: actor", "scopes.csv"]);
    let says = "tried on 2,900 rows of 2 files as a run reads them: all are read";
    assert!(outcome.stdout.contains(says), "{}", outcome.stdout);
    let proposed = mapping(&lake);
    for (key, wanted) in [
        ("time", json!("eventTime")),
        ("app", json!("")),
        ("scopes", json!({"concat": ["eventSource", ":", "eventName"]})),
        ("actor", json!("")),
        ("group", json!("recipientAccountId")),
        ("status", json!("errorCode")),
        ("bytes", json!({"path": "additionalEventData", "json": "bytesTransferredOut"})),
        ("event_id", json!("eventID")),
    ] {
        assert_eq!(proposed[key], wanted, "{key}");
    }
    assert_eq!(written(&lake)["source"][0]["status"], json!({"allowed": [], "null": "allowed"}));
    let configuration = text(&lake, "afterscope.toml");
    // As DuckDB counts them.
    assert!(configuration.contains("#   app = \"userAgent\"  # Utf8, 155 different\n"));
    let arn = "#   actor = \"userIdentity.arn\"  # Utf8, 13 different, null in 77 of 2,900 rows\n";
    assert!(configuration.contains(arn), "{configuration}");
    let sample = text(&lake, "sample.csv");
    assert!(sample.contains(",kms.amazonaws.com:Decrypt,178\n"), "{sample}");
    plan(&lake, "2023-07-10T12:25:00Z")
        .fails(1, &["conf/afterscope.toml:", "2 problems", "the column's name is empty"]);
    fill(&lake, "app = \"\"", "app = \"userAgent\"");
    fill(&lake, "actor = \"\"", "actor = \"userIdentity.arn\"");
    lake.write(
        "conf/scopes.csv",
        "scope,deprecated_at\nkms.amazonaws.com:Decrypt,2023-07-10\n\
         secretsmanager.amazonaws.com:GetSecretValue,2023-07-10\n",
    );
    plan(&lake, "2023-07-10T12:25:00Z").succeeds();
    // DuckDB: events of the two calls without an error code before 12:25; different arn, account, user agent.
    assert_eq!(
        run(&lake, "2023-07-10T12:25:00Z"),
        json!({"requests_allowed": 238, "subjects_observed": 1, "groups": 1, "apps": 5})
    );
}

#[test]
fn a_file_alone_is_a_lake_too() {
    let lake = Lake::empty();
    let (path, calls) = &standard_days()[0];
    lake.log(path, calls);
    let outcome = init(&lake, path, &[]).succeeds();
    assert_eq!(open(&outcome), ["scopes.csv"]);
    assert_eq!(mapping(&lake)["subject"], "user_id");
}
