//! `runs` and `show`.

use crate::lake::Lake;

#[test]
fn runs_come_with_the_newest_first() {
    let lake = Lake::standard();
    let early = lake.run(&["--as-of", "2019-07-02"]).succeeds().json();
    let late = lake.run(&["--follows", "latest"]).succeeds().json();
    let (early, late) = (early["run_id"].as_str().unwrap(), late["run_id"].as_str().unwrap());
    let told = lake.afterscope(&["runs", "--format", "json"]).succeeds().json_of_all();
    assert_eq!(told[0]["run_id"], late);
    assert_eq!(told[0]["as_of"], "2019-09-01T00:00:00Z");
    assert_eq!(told[0]["number"], 2);
    assert_eq!(told[0]["follows"], early);
    assert_eq!(told[0]["is_latest"], true);
    assert_eq!(told[0]["totals"]["requests_allowed"], 6);
    assert_eq!(told[1]["run_id"], early);
    assert_eq!(told[1]["number"], 1);
    assert_eq!(told[1]["is_latest"], false);
    assert_eq!(told[1]["totals"]["requests_allowed"], 4);
    assert_eq!(told.as_array().unwrap().len(), 2);
    for args in [["runs", "--output", "out"], ["runs", "--config", "afterscope.toml"]] {
        let text = lake.afterscope(&args).succeeds().stdout;
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("run "), "{text}");
        assert!(lines[1].starts_with(&format!("{late} (latest)")), "{text}");
        assert!(lines[2].starts_with(early) && lines[2].ends_with("2"), "{text}");
    }
}

#[test]
fn a_damaged_run_is_named_and_the_others_are_listed() {
    let lake = Lake::standard();
    let early = lake.run(&["--as-of", "2019-07-02"]).succeeds().json();
    lake.publishes(&[]);
    let path = lake.path(&format!("out/runs/{}/manifest.json", early["run_id"].as_str().unwrap()));
    std::fs::write(&path, "{}").unwrap();
    let outcome = lake.afterscope(&["runs"]);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:#?}");
    assert!(outcome.stderr.contains("manifest.json was changed"), "{outcome:#?}");
}

#[test]
fn show_says_what_run_said_at_its_end() {
    let lake = Lake::standard();
    let run = lake.run(&[]).succeeds();
    let line = run.json();
    let id = line["run_id"].as_str().unwrap();
    let folder = format!("out/runs/{id}");
    let table =
        run.stderr.lines().filter(|line| line.contains("read_members") || line.contains("(all)"));
    let table: Vec<&str> = table.collect();
    assert_eq!(table.len(), 2, "{}", run.stderr);
    for args in [vec!["show"], vec!["show", id], vec!["show", &folder], vec!["show", "out"]] {
        let shown = lake.afterscope(&args).succeeds();
        for row in &table {
            assert!(shown.stderr.lines().any(|line| line == *row), "{}", shown.stderr);
        }
        for key in ["run_id", "verdict", "totals", "tables"] {
            assert_eq!(shown.json()[key], line[key], "{args:?}");
        }
    }
    let csv = lake.path(&format!("{folder}/tables/scope_summary.csv"));
    let text = std::fs::read_to_string(&csv).unwrap().replacen('6', "5", 1);
    std::fs::write(&csv, text).unwrap();
    lake.afterscope(&["show"]).fails(3, &["scope_summary.csv was changed or is gone"]);
}
