//! `afterscope evidence`, and `verify --evidence`.

use std::fs;

use afterscope::publish::merkle;
use afterscope::verify::{Evidence, check_alone};
use serde_json::{Value, json};

use super::{differs, manifest};
use crate::lake::Lake;

/// A standing lake with evidence of app-1 in `app-1.json`.
fn lake_with_evidence() -> Lake {
    let lake = Lake::with_standing();
    lake.publishes(&[]);
    lake.afterscope(&["evidence", "out", "--app", "app-1", "--out", "app-1.json"]).succeeds();
    lake
}

fn records(evidence: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let tables = evidence["tables"].as_array().unwrap();
    tables
        .iter()
        .map(|table| {
            let leaves = table["rows"].as_array().unwrap().iter();
            let records = leaves.flat_map(|leaf| leaf["records"].as_array().unwrap());
            (text(&table["part"]), records.map(text).collect())
        })
        .collect()
}

#[test]
fn evidence_holds_the_apps_rows_and_nothing_of_others() {
    let lake = lake_with_evidence();
    let evidence = lake.json("app-1.json");
    let manifest = manifest(&lake);
    assert_eq!(evidence["run_id"], manifest["run_id"]);
    assert_eq!(evidence["as_of"], "2019-09-01T00:00:00Z");
    assert_eq!(evidence["merkle"], manifest["merkle"]);
    let rows = records(&evidence);
    let counts: Vec<(&str, usize)> = rows.iter().map(|(p, r)| (p.as_str(), r.len())).collect();
    // Its scope and all its scopes; two days of each; one promise; and what it should not have done:
    // after its grace, in the brownout, after the revocation, after the promise.
    let expected = [
        ("tables/app_scope_exposure.csv", 2),
        ("tables/daily_timeline.csv", 4),
        ("tables/deletion_verification.csv", 1),
        ("tables/findings.csv", 4),
    ];
    assert_eq!(counts, expected);
    assert!(rows[0].1[1].starts_with("scope_app,read_members,app-1,Planner,dev-1,"), "{rows:?}");
    assert!(rows[1].1[2].starts_with("scope_app,read_members,app-1,Planner,2019-07-01,3,3,3,3"));
    let text = fs::read_to_string(lake.path("app-1.json")).unwrap();
    for other in ["app-2", "app-3", "app-9", "Mailer", "Viewer", "Bo GmbH", "write_posts"] {
        assert!(!text.contains(other), "{other} in\n{text}");
    }
    let lines = lake.afterscope(&["evidence", "out", "--app", "app-1"]).succeeds().stdout;
    assert_eq!(lines, text);
}

#[test]
fn evidence_of_one_scope_leaves_the_others_out() {
    let lake = Lake::standard();
    let more = [crate::lake::Call {
        scope: "write_posts".into(),
        ..crate::lake::call("2019-07-04T08:00:00Z", "app-1", 1)
    }];
    lake.log("logs/dt=2019-07-04/part-0.parquet", &more);
    lake.publishes(&[]);
    let args = ["evidence", "out", "--app", "app-1", "--scope", "write_posts", "--out", "e.json"];
    lake.afterscope(&args).succeeds();
    let rows = records(&lake.json("e.json"));
    let counts: Vec<(&str, usize)> = rows.iter().map(|(p, r)| (p.as_str(), r.len())).collect();
    let expected = [
        ("tables/app_scope_exposure.csv", 1),
        ("tables/daily_timeline.csv", 1),
        ("tables/findings.csv", 1),
    ];
    assert_eq!(counts, expected);
    for args in
        [&["verify", "--evidence", "e.json"][..], &["verify", "--evidence", "e.json", "out"]]
    {
        assert_eq!(lake.afterscope(args).succeeds().json()["rows"], 3);
    }
}

#[test]
fn evidence_is_proven_alone_and_beside_its_run() {
    let lake = lake_with_evidence();
    let alone = lake.afterscope(&["verify", "--evidence", "app-1.json"]).succeeds();
    let line = alone.json();
    let root = line["root"].as_str().unwrap();
    assert_eq!(root, manifest(&lake)["merkle"]["root"]);
    // Which root is to be compared with the published one.
    assert!(alone.stderr.contains(root), "{}", alone.stderr);
    assert_eq!((&line["verdict"], &line["compared"]), (&"holds".into(), &false.into()));
    assert_eq!((&line["rows"], &line["tables"]), (&11.into(), &4.into()));
    let beside = lake.afterscope(&["verify", "--evidence", "app-1.json", "out"]).succeeds().json();
    assert_eq!(beside["compared"], true);

    // Another run knows nothing of it.
    lake.publishes(&["--as-of", "2019-10-01"]);
    let args = ["verify", "--evidence", "app-1.json", "out"];
    differs(&lake.afterscope(&args), &["it is of run 20190901T000000Z"]);
}

#[test]
fn every_bit_of_evidence_matters() {
    let lake = lake_with_evidence();
    let text = fs::read(lake.path("app-1.json")).unwrap();
    assert!(Evidence::parse(&text).is_ok_and(|e| check_alone(&e).verdict == "holds"));
    for at in 0..text.len() {
        // One bit of each byte, another one each time; all of them near the end, where the hash is.
        let bits = if at + 200 > text.len() { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            let mut flipped = text.clone();
            flipped[at] ^= 1 << bit;
            assert!(Evidence::parse(&flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
}

/// Evidence with a change of its JSON, and a last line that fits.
fn changed(lake: &Lake, change: impl Fn(&mut Value)) -> Evidence {
    let mut value = lake.json("app-1.json");
    value.as_object_mut().unwrap().remove("sha256");
    change(&mut value);
    let evidence: Evidence = serde_json::from_value(value).unwrap();
    let text = evidence.render();
    Evidence::parse(text.as_bytes()).unwrap()
}

/// Who changes evidence can make its last line fit. What it claims leads to another root then.
#[test]
fn evidence_that_was_changed_with_care_does_not_lead_to_its_root() {
    let lake = lake_with_evidence();
    assert_eq!(check_alone(&changed(&lake, |_| ())).verdict, "holds");
    let row = "/tables/0/rows/0";
    let at = |v: &mut Value, path: &str| v.pointer_mut(path).unwrap().as_str().unwrap().to_string();
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let set = |path: &'static str, value: Value| -> Change<'_> {
        Box::new(move |v| *v.pointer_mut(path).unwrap() = value.clone())
    };
    let changes: Vec<(&str, Change<'_>)> = vec![
        (
            "a figure",
            Box::new(|v| {
                let record = at(v, "/tables/0/rows/0/records/0");
                assert!(record.contains(",4,"), "{record}");
                *v.pointer_mut("/tables/0/rows/0/records/0").unwrap() =
                    record.replacen(",4,", ",5,", 1).into();
            }),
        ),
        (
            "a column's name",
            Box::new(|v| {
                let record = at(v, "/tables/0/header/records/0");
                *v.pointer_mut("/tables/0/header/records/0").unwrap() =
                    record.replacen("requests_allowed", "requests_denied", 1).into();
            }),
        ),
        ("the app", set("/app", "app-2".into())),
        ("the scope", set("/scope", "write_posts".into())),
        ("the run", set("/run_id", "20190901T000000Z-000000000000".into())),
        ("as_of", set("/as_of", "2019-09-02T00:00:00Z".into())),
        ("a place", set("/tables/0/rows/0/leaf", 3.into())),
        ("the header's place", set("/tables/0/header/leaf", 1.into())),
        ("a table's name", set("/tables/0/part", "tables/findings.csv".into())),
        ("a table that is none", set("/tables/0/part", "tables/nothing.csv".into())),
        ("the root", set("/merkle/root", "00".repeat(32).into())),
        ("a part's root", set("/merkle/parts/2/root", "00".repeat(32).into())),
        ("a part's size", set("/merkle/parts/2/leaves", 9.into())),
        ("the algorithm", set("/merkle/algorithm", "none".into())),
        ("a path", set("/tables/0/rows/0/path/0", "00".repeat(32).into())),
        (
            "a path in capitals",
            Box::new(|v| {
                let hash = at(v, "/tables/0/rows/0/path/0").to_uppercase();
                *v.pointer_mut("/tables/0/rows/0/path/0").unwrap() = hash.into();
            }),
        ),
        (
            "a row twice",
            Box::new(|v| {
                let again = v.pointer(row).unwrap().clone();
                v.pointer_mut("/tables/0/rows").unwrap().as_array_mut().unwrap().push(again);
            }),
        ),
        (
            "a table twice",
            Box::new(|v| {
                let again = v.pointer("/tables/0").unwrap().clone();
                v["tables"].as_array_mut().unwrap().push(again);
            }),
        ),
        ("no rows", set("/tables/0/rows", json!([]))),
        ("no tables", set("/tables", json!([]))),
        ("what an app is called", set("/tables/0/part", "tables/dim_app.csv".into())),
        ("no header", set("/tables/0/header/records", json!([]))),
        ("no records", set("/tables/0/rows/0/records", json!([]))),
        (
            "a record that was left out of a leaf",
            Box::new(|v| {
                let records = v.pointer_mut("/tables/1/rows/0/records").unwrap();
                let records = records.as_array_mut().unwrap();
                assert!(records.len() > 1);
                records.pop();
            }),
        ),
        (
            "two records as one",
            Box::new(|v| {
                let records = v.pointer_mut("/tables/1/rows/0/records").unwrap();
                let both =
                    records.as_array().unwrap().iter().map(|record| record.as_str().unwrap());
                let both = both.collect::<Vec<_>>().join("\n");
                *records = json!([both]);
            }),
        ),
    ];
    for (what, change) in changes {
        let proven = check_alone(&changed(&lake, change));
        assert_eq!(proven.verdict, "differs", "{what}");
        assert!(!proven.differences.is_empty(), "{what}");
        let says = match what {
            "the algorithm" => "its trees are made in another way (`none`)",
            "no tables" => "it shows no row",
            "what an app is called" => "is no table with evidence",
            _ => continue,
        };
        assert!(proven.differences[0].contains(says), "{:?}", proven.differences);
    }
}

#[test]
fn a_row_that_was_left_out_shows_beside_the_run_only() {
    let lake = lake_with_evidence();
    let fewer = changed(&lake, |v| {
        v.pointer_mut("/tables/1/rows").unwrap().as_array_mut().unwrap().pop();
    });
    fs::write(lake.path("fewer.json"), fewer.render()).unwrap();
    lake.afterscope(&["verify", "--evidence", "fewer.json"]).succeeds();
    let args = ["verify", "--evidence", "fewer.json", "out"];
    differs(&lake.afterscope(&args), &["it does not hold all rows of app `app-1`"]);
    let other = changed(&lake, |v| v["manifest_sha256"] = "00".repeat(32).into());
    fs::write(lake.path("other.json"), other.render()).unwrap();
    let args = ["verify", "--evidence", "other.json", "out"];
    differs(&lake.afterscope(&args), &["its manifest_sha256 is 0000"]);
}

#[test]
fn evidence_is_not_made_of_what_does_not_hold() {
    let lake = lake_with_evidence();
    let args = ["evidence", "out", "--app", "app-8"];
    lake.afterscope(&args).fails(1, &["has a row of app `app-8`", "spelling"]);
    lake.afterscope(&["evidence", "out", "--app", "(all)"]).fails(1, &["has a row of app `(all)`"]);
    lake.afterscope(&["evidence", "out", "--app", ""]).fails(1, &["--app", "empty"]);
    let args = ["evidence", "out", "--app", "app-1", "--scope", ""];
    lake.afterscope(&args).fails(1, &["--scope", "empty"]);
    let folder = super::run_folder(&lake);
    let table = folder.join("tables/coverage.csv");
    fs::write(&table, "x").unwrap();
    lake.afterscope(&["evidence", "out", "--app", "app-1"]).fails(3, &["coverage.csv was changed"]);
    let args = ["verify", "--evidence", "app-1.json", "out"];
    differs(&lake.afterscope(&args), &["coverage.csv was changed"]);
    lake.write("no.json", "{}\n");
    let args = ["verify", "--evidence", "no.json"];
    differs(&lake.afterscope(&args), &["no.json: it is no evidence file, or was changed"]);
    lake.afterscope(&["verify", "--evidence", "none.json"]).fails(1, &["none.json"]);
}

/// What stands in a cell behind a line end looks like a record, and is none.
#[test]
fn a_cell_is_not_parted_into_records() {
    let lake = Lake::standard();
    lake.edit("apps.csv", "Planner", "\"Plan\nscope_app,read_members,app-1,\"");
    lake.publishes(&[]);
    lake.afterscope(&["evidence", "out", "--app", "app-1", "--out", "app-1.json"]).succeeds();
    assert_eq!(check_alone(&changed(&lake, |_| ())).verdict, "holds");
    let parted = changed(&lake, |v| {
        let record = v.pointer("/tables/0/rows/0/records/0").unwrap().as_str().unwrap().to_string();
        let lines: Vec<&str> = record.split('\n').collect();
        assert_eq!(lines.len(), 2, "{record}");
        *v.pointer_mut("/tables/0/rows/0/records").unwrap() = json!(lines);
    });
    let proven = check_alone(&parted);
    assert_eq!(proven.verdict, "differs");
    assert!(proven.differences[0].contains("parted"), "{:?}", proven.differences);
}

/// Who may name log files decides what stands in the lines over a run's inputs.
#[test]
fn lines_over_inputs_are_no_rows_of_an_app() {
    let lake = Lake::standard();
    let calls = [crate::lake::call("2019-07-04T08:00:00Z", "app-1", 1)];
    // Before the others, so that the first one would be the header.
    lake.log("logs/dt=2019-06-30/0,app_id,x.parquet", &calls);
    lake.log("logs/dt=2019-06-30/1,victim,x.parquet", &calls);
    lake.publishes(&[]);
    let manifest = manifest(&lake);
    let inputs = merkle::inputs(&manifest);
    let lines: Vec<String> = manifest["sources"][0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let [url, bytes, e_tag, version, rows] =
                ["url", "bytes", "e_tag", "version", "rows"].map(|key| file[key].to_string());
            format!(
                r#"{{"source":"access","url":{url},"bytes":{bytes},"e_tag":{e_tag},"version":{version},"rows":{rows}}}"#
            )
        })
        .chain(manifest["registry"].as_array().unwrap().iter().map(|file| {
            let [role, url, size, hash] = ["role", "url", "size", "sha256"].map(|k| file[k].to_string());
            format!(
                r#"{{"registry":{role},"url":{url},"bytes":{size},"sha256":{hash},"e_tag":null,"version":null}}"#
            )
        }))
        .collect();
    assert!(lines[0].contains(",app_id,") && lines[1].contains(",victim,"), "{lines:?}");
    let leaves: Vec<_> = lines.iter().map(|line| merkle::leaf(line.as_bytes())).collect();
    let paths = merkle::Paths::over(leaves.clone());
    let proof = |at: usize| {
        let path = paths.of(at);
        let hex = |hash: &merkle::Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let root = merkle::climb(leaves[at], at as u64, leaves.len() as u64, &path).unwrap();
        assert_eq!(hex(&root), inputs.root);
        let path: Vec<String> = path.iter().map(hex).collect();
        json!({ "leaf": at, "records": [lines[at]], "path": path })
    };
    lake.afterscope(&["evidence", "out", "--app", "app-1", "--out", "app-1.json"]).succeeds();
    let forged = changed(&lake, |v| {
        v["app"] = "victim".into();
        v["tables"] = json!([{ "part": "inputs", "header": proof(0), "rows": [proof(1)] }]);
    });
    let proven = check_alone(&forged);
    assert_eq!((proven.verdict, proven.differences.len()), ("differs", 1));
    assert!(proven.differences[0].contains("no table with evidence"), "{:?}", proven.differences);
}

/// Evidence is found by texts: rows of a table whose ids are numbers would be missing from it.
#[test]
fn own_tables_have_texts_for_ids() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "[report]\nqueries = [\"own.sql\"]");
    for (column, number, of) in [("app_id", "BIGINT", "i64"), ("scope", "DOUBLE", "f64")] {
        let sql = format!("SELECT CAST(1 AS {number}) AS {column}, grain FROM exposure_cells");
        lake.write("own.sql", &sql);
        let says = format!("column `{column}` has type {of}");
        lake.refuses(&[], 1, &[&says, "cast it to a text"]);
    }
    lake.write("own.sql", "SELECT app_id, SUM(requests_allowed) AS requests FROM exposure_cells WHERE grain = 'app' GROUP BY app_id ORDER BY app_id");
    lake.publishes(&[]);
    lake.afterscope(&["evidence", "out", "--app", "app-1", "--out", "e.json"]).succeeds();
    let rows = records(&lake.json("e.json"));
    assert!(
        rows.iter().any(|(part, rows)| part == "tables/own.csv" && rows == &["app-1,4"]),
        "{rows:?}"
    );
}

/// Leaves go by what a CSV file shows: of two apps that look the same there neither can be shown alone.
#[test]
fn apps_that_look_the_same_in_a_csv_file_are_not_shown_for_each_other() {
    let lake = Lake::standard();
    let calls = ["=x", "'=x"].map(|app| crate::lake::call("2019-07-04T08:00:00Z", app, 1));
    lake.log("logs/dt=2019-07-04/part-0.parquet", &calls);
    lake.publishes(&[]);
    super::holds(&lake, &["out"]);
    for app in ["=x", "'=x"] {
        lake.afterscope(&["evidence", "out", "--app", app]).fails(1, &["looks the same"]);
    }
    // Others can.
    lake.afterscope(&["evidence", "out", "--app", "app-1"]).succeeds();
}

#[test]
fn an_app_that_a_spreadsheet_would_evaluate_has_evidence_too() {
    let lake = Lake::standard();
    let app = "=cmd,\"x\"\n(all)";
    lake.log(
        "logs/dt=2019-07-04/part-0.parquet",
        &[crate::lake::call("2019-07-04T08:00:00Z", app, 1)],
    );
    lake.publishes(&[]);
    lake.afterscope(&["evidence", "out", "--app", app, "--out", "e.json"]).succeeds();
    let line = lake.afterscope(&["verify", "--evidence", "e.json", "out"]).succeeds().json();
    assert_eq!((&line["app"], &line["rows"]), (&app.into(), &5.into()));
}
