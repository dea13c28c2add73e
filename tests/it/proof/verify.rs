//! `afterscope verify` on runs that hold and runs that do not.

use std::fs;

use super::{differs, holds, manifest, run_folder};
use crate::lake::{Lake, spoil};

#[test]
fn a_run_holds_by_its_folder_and_by_its_output() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let folder = run_folder(&lake);
    let by_output = holds(&lake, &["out"]);
    let by_folder = holds(&lake, &[folder.to_str().unwrap()]);
    assert_eq!(by_output, by_folder);
    assert_eq!(by_output["run_id"], manifest(&lake)["run_id"]);
    assert_eq!(by_output["root"], manifest(&lake)["merkle"]["root"]);
    assert_eq!(by_output["signed_by"], serde_json::Value::Null);
    let files = fs::read_dir(folder.join("tables")).unwrap().count() as u64;
    // Tables as Parquet and CSV, and two reports beside them.
    assert_eq!(by_output["files"], files + 2);
    assert_eq!(by_output["tables"], files / 2);
    let keys: Vec<&String> = by_output.as_object().unwrap().keys().collect();
    let expected = ["run_id", "verdict", "manifest_sha256", "root", "signed_by", "files", "bytes"];
    assert_eq!(keys[..7], expected);
    assert_eq!(keys[7..], ["tables", "rows", "recomputed", "differences", "warnings"]);
}

#[test]
fn a_copy_of_a_runs_folder_holds_anywhere() {
    let lake = Lake::standard();
    lake.publishes(&["--as-of", "2019-08-01"]);
    lake.publishes(&[]);
    let folder = run_folder(&lake);
    let copied = lake.path("handed over");
    fs::create_dir_all(copied.join("tables")).unwrap();
    for name in ["", "tables"] {
        for entry in fs::read_dir(folder.join(name)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), copied.join(name).join(entry.file_name())).unwrap();
            }
        }
    }
    let line = holds(&lake, &["handed over"]);
    // It cannot know the run before.
    assert!(line["warnings"][0].as_str().unwrap().contains("was not looked for"), "{line}");
}

#[test]
fn verify_writes_nothing() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let before = lake.files();
    holds(&lake, &["out", "--inputs"]);
    assert_eq!(before, lake.files());
}

#[test]
fn what_was_changed_went_or_came_is_named() {
    for (change, says) in [
        ("change", "tables/coverage.csv was changed: its SHA-256 is"),
        ("shorten", "tables/coverage.csv was changed: it has"),
        ("remove", "tables/coverage.csv is missing"),
        ("add", "tables/more.csv is no file of this run"),
        ("manifest", "manifest.json was changed: its hash does not hold"),
        ("no manifest", "manifest.json is missing"),
    ] {
        let lake = Lake::standard();
        lake.publishes(&[]);
        let folder = run_folder(&lake);
        let table = folder.join("tables/coverage.csv");
        let text = fs::read_to_string(&table).unwrap();
        match change {
            "change" => fs::write(&table, text.replacen('8', "9", 1)).unwrap(),
            "shorten" => fs::write(&table, text.trim_end()).unwrap(),
            "remove" => fs::remove_file(&table).unwrap(),
            "add" => fs::write(folder.join("tables/more.csv"), "x\n").unwrap(),
            "manifest" => {
                let path = folder.join("manifest.json");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(
                    &path,
                    text.replacen("\"verdict\": \"complete\"", "\"verdict\": \"compleat\"", 1),
                )
                .unwrap();
            }
            _ => fs::remove_file(folder.join("manifest.json")).unwrap(),
        }
        for address in ["out", folder.to_str().unwrap()] {
            let found = differs(&lake.afterscope(&["verify", address]), &[says]);
            assert!(found[0].contains(says), "{change}: {found:?}");
        }
    }
}

#[test]
fn latest_that_is_not_the_latest_run_is_named() {
    let lake = Lake::standard();
    lake.publishes(&["--as-of", "2019-07-02"]);
    let old = fs::read(lake.path("out/latest.json")).unwrap();
    let old_table = fs::read(lake.path("out/latest/coverage.parquet")).unwrap();
    lake.publishes(&[]);
    holds(&lake, &["out"]);
    let new = fs::read(lake.path("out/latest.json")).unwrap();
    let new_table = fs::read(lake.path("out/latest/coverage.parquet")).unwrap();
    assert_ne!(old_table, new_table);

    fs::write(lake.path("out/latest/coverage.parquet"), &old_table).unwrap();
    let says = ["latest/coverage.parquet is not tables/coverage.parquet of run 20190901T000000Z"];
    differs(&lake.afterscope(&["verify", "out"]), &says);
    // The run itself is sound.
    holds(&lake, &[run_folder(&lake).to_str().unwrap()]);
    fs::write(lake.path("out/latest/coverage.parquet"), &new_table).unwrap();

    lake.write("out/latest/extra.parquet", "x");
    differs(&lake.afterscope(&["verify", "out"]), &["latest/extra.parquet is no table of run"]);
    fs::remove_file(lake.path("out/latest/extra.parquet")).unwrap();

    fs::write(lake.path("out/latest.json"), &old).unwrap();
    differs(&lake.afterscope(&["verify", "out"]), &["and run 20190901T000000Z", "later as_of"]);
    fs::remove_file(lake.path("out/latest.json")).unwrap();
    differs(&lake.afterscope(&["verify", "out"]), &["latest.json is missing"]);
    lake.write("out/latest.json", "{\"run_id\":1}");
    differs(&lake.afterscope(&["verify", "out"]), &["latest.json is damaged"]);
    lake.write(
        "out/latest.json",
        r#"{"run_id":"../x","as_of":"","manifest":"","manifest_sha256":""}"#,
    );
    differs(&lake.afterscope(&["verify", "out"]), &["latest.json was changed: it names no run"]);
    fs::write(lake.path("out/latest.json"), &new).unwrap();
    holds(&lake, &["out"]);
}

#[test]
fn names_that_a_listing_hides_are_seen() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let folder = run_folder(&lake);
    // A run that was killed while it wrote left this.
    fs::write(folder.join("tables/coverage.csv#1"), "half").unwrap();
    let line = holds(&lake, &["out"]);
    assert!(line["warnings"][0].as_str().unwrap().contains("tables/coverage.csv#1"), "{line}");
    std::os::unix::fs::symlink("nowhere", folder.join("tables/link.csv")).unwrap();
    let says = ["tables/link.csv is no file of this run"];
    differs(&lake.afterscope(&["verify", "out"]), &says);
}

#[test]
fn the_run_before_is_looked_for_among_the_others() {
    let lake = Lake::standard();
    lake.publishes(&["--as-of", "2019-08-01"]);
    let first = run_folder(&lake);
    lake.publishes(&[]);
    assert_eq!(holds(&lake, &["out"])["warnings"], serde_json::json!([]));
    fs::remove_dir_all(first).unwrap();
    let outcome = lake.afterscope(&["verify", "out"]).succeeds();
    let supersedes = manifest(&lake)["supersedes"].as_str().unwrap().to_string();
    assert!(outcome.stderr.contains(&supersedes), "{}", outcome.stderr);
    assert_eq!(outcome.json()["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn inputs_are_compared_and_counted_and_no_log_is_opened() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    lake.spoil_logs();
    // Three logs and two registry files.
    let inputs = &holds(&lake, &["out", "--inputs"])["inputs"];
    assert_eq!(
        *inputs,
        serde_json::json!({"files": 5, "unchanged": 5, "changed": 0, "missing": 0})
    );

    lake.log("logs/dt=2019-07-02/part-0.parquet", &[]);
    fs::remove_file(lake.path("logs/dt=2019-07-03/part-0.parquet")).unwrap();
    lake.edit("scopes.csv", "2019-06-01", "2019-06-02");
    // A file that came later was no input.
    lake.log("logs/dt=2019-07-04/part-0.parquet", &[]);
    let outcome = lake.afterscope(&["verify", "out", "--inputs"]);
    let found = differs(&outcome, &["dt=2019-07-02/part-0.parquet was changed", "and 2 more"]);
    assert!(found[1].contains("dt=2019-07-03/part-0.parquet is missing"), "{found:?}");
    assert!(found[2].contains("registry.scopes") && found[2].contains("was changed"), "{found:?}");
    let inputs = &outcome.json()["inputs"];
    assert_eq!(
        *inputs,
        serde_json::json!({"files": 5, "unchanged": 2, "changed": 2, "missing": 1})
    );
    // Without --inputs nobody asks.
    holds(&lake, &["out"]);
}

#[test]
fn inputs_of_globs_and_single_files_are_found_again() {
    for url in ["logs/dt=2019-07-0[12]/*.parquet", "logs/dt=2019-07-01/part-0.parquet", "logs"] {
        let lake = Lake::standard();
        lake.edit("afterscope.toml", "\"logs/\"", &format!("\"{url}\""));
        lake.publishes(&[]);
        let changed = "logs/dt=2019-07-01/part-0.parquet";
        let inputs = holds(&lake, &["out", "--inputs"])["inputs"].clone();
        assert_eq!(inputs["unchanged"], inputs["files"], "{url}");
        fs::remove_file(lake.path(changed)).unwrap();
        differs(&lake.afterscope(&["verify", "out", "--inputs"]), &[changed, "is missing"]);
    }
}

#[test]
fn a_registry_file_that_is_pinned_and_not_hashed_is_compared_by_its_pin() {
    use afterscope::store::{Io, StoreUrl};
    use afterscope::verify::{Report, check_inputs};
    let lake = Lake::standard();
    lake.publishes(&[]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let io = Io::new(runtime.handle().clone());
    let store =
        StoreUrl::parse(lake.path("").to_str().unwrap(), &lake.path(""), &Default::default())
            .unwrap()
            .open(&io)
            .unwrap();
    let pin = store.head("apps.csv").unwrap().unwrap();
    let text = fs::read(run_folder(&lake).join("manifest.json")).unwrap();
    let mut manifest = afterscope::publish::Manifest::parse(&text).unwrap();
    manifest.details["registry"] = serde_json::json!([
        { "role": "members", "url": store.shown("apps.csv"), "size": pin.size, "e_tag": pin.e_tag }
    ]);
    let found = || {
        let mut report = Report::default();
        check_inputs(&manifest, &io, &mut report).unwrap();
        report.differences
    };
    assert_eq!(found(), Vec::<String>::new());
    lake.edit("apps.csv", "Planner", "Plotter");
    assert!(found()[0].contains("apps.csv was changed: its e_tag is"), "{:?}", found());
    fs::remove_file(lake.path("apps.csv")).unwrap();
    assert!(found()[0].contains("apps.csv is missing"), "{:?}", found());
}

#[test]
fn an_address_without_a_run_is_the_users_mistake() {
    let lake = Lake::standard();
    lake.afterscope(&["verify", "nowhere"]).fails(1, &["nowhere", "is not there", "OUT/runs"]);
    lake.afterscope(&["verify", "logs"]).fails(1, &["logs", "neither a manifest.json"]);
    lake.afterscope(&["verify"]).fails(2, &["RUN"]);
    lake.afterscope(&["verify", "s3://key:secret@bucket/x"]).fails(1, &["carries credentials"]);
}

#[test]
fn own_tables_are_looked_at_too() {
    let lake = Lake::standard();
    lake.write("extra.sql", "SELECT scope, restricted_at FROM scopes");
    lake.publishes(&["--set", "report.queries=[\"extra.sql\"]"]);
    let before = holds(&lake, &["out"])["tables"].as_u64().unwrap();
    let tables = fs::read_dir(run_folder(&lake).join("tables")).unwrap().count() as u64;
    assert_eq!(before, tables / 2);
    spoil(&run_folder(&lake).join("tables/extra.csv"));
    differs(&lake.afterscope(&["verify", "out"]), &["tables/extra.csv was changed"]);
}
