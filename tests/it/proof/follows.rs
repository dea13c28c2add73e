//! Reports that follow each other, and the cause of each changed figure.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::{differs, holds, manifest, run_folder};
use crate::lake::{Call, Lake, Outcome, Table, call, program, spoil};

const FOLLOW: [&str; 2] = ["--follows", "latest"];

/// The standard lake with a grace for app-1 and a second log, `audit`, in which status 200 alone is allowed:
/// of its two calls of `write_posts` by app-2 that of person 40 counts, that of person 50 (201) does not.
fn lake() -> Lake {
    let lake = Lake::standard();
    lake.write(
        "extensions.csv",
        "app_id,scope,grace_until\napp-1,read_members,2019-07-01T08:30:00Z\n",
    );
    lake.edit("afterscope.toml", "\n[report]", "extensions = \"extensions.csv\"\n\n[report]");
    let audit = "[[source]]
name = \"audit\"
url = \"audit/\"

[source.columns]
time = \"event_time\"
app = \"app_id\"
subject = \"user_id\"
group = \"group_id\"
scopes = \"scope\"
status = \"status\"
bytes = \"bytes\"
event_id = \"request_id\"

[source.status]
allowed = [200]

[registry]";
    lake.edit("afterscope.toml", "[registry]", audit);
    let posts = |status, user| Call {
        scope: "write_posts".into(),
        status,
        ..call("2019-07-02T12:00:00Z", "app-2", user)
    };
    lake.log("audit/a.parquet", &[posts(200, 40), posts(201, 50)]);
    lake
}

/// Four things change at once.
fn change(lake: &Lake) {
    let late = Call { group: Some(77), ..call("2019-07-04T08:00:00Z", "app-3", 9) };
    lake.log("logs/dt=2019-07-04/part-0.parquet", &[late]);
    let again = Call { group: Some(11), ..call("2019-07-02T08:00:00Z", "app-1", 7) };
    lake.log("logs/dt=2019-07-02/part-0.parquet", &[again]);
    lake.edit("extensions.csv", "08:30", "09:30");
    lake.edit("afterscope.toml", "allowed = [200]", "allowed = [\"200-299\"]");
}

/// Rows of the table of changes as `table key column step old>new reason`.
fn changes(outcome: &Outcome) -> Vec<String> {
    rows(&outcome.published().table("change_log"))
}

fn rows(log: &Table) -> Vec<String> {
    let of = |row: &Vec<String>| {
        let [_, table, key, column, step, old, new, reason] = row.as_slice() else { panic!() };
        format!("{table} {key} {column} {step} {old}>{new} {reason}")
    };
    log.rows.iter().map(of).collect()
}

fn has(found: &[String], expected: &[&str]) {
    for line in expected {
        assert!(found.iter().any(|found| found == line), "{line}\n{}", found.join("\n"));
    }
}

#[test]
fn each_changed_figure_carries_its_cause_and_only_what_changed_is_opened() {
    let lake = lake();
    lake.publishes(&[]);
    let first = run_folder(&lake);
    change(&lake);
    for unchanged in ["2019-07-01", "2019-07-03"] {
        spoil(&lake.path(&format!("logs/dt={unchanged}/part-0.parquet")));
    }
    let outcome = lake.run(&FOLLOW).succeeds();
    let found = changes(&outcome);
    has(
        &found,
        &[
            // Grace until 9:30 instead of 8:30: person 2's call at 9 o'clock.
            "app_scope_exposure grain=scope_app scope=read_members app_id=app-1 requests_in_grace 1 1>2 policy change",
            "app_scope_exposure grain=scope_app scope=read_members app_id=app-1 requests_after_grace 1 3>2 policy change",
            "app_scope_exposure grain=scope_app scope=read_members app_id=app-1 grace_until 1 2019-07-01T08:30:00Z>2019-07-01T09:30:00Z policy change",
            // Status 201 is allowed now: person 50.
            "scope_summary grain=scope scope=write_posts requests_allowed 1 3>4 mapping change",
            "scope_summary grain=scope scope=write_posts requests_denied 1 1>0 mapping change",
            // Person 7 in the place of person 1, who stays for other calls, and no refused call of app-3.
            "scope_summary grain=scope scope=read_members requests_denied 1 1>0 rewritten file",
            // Person 9 came with app-3 and group 77.
            "scope_summary grain=scope scope=read_members requests_allowed 1 4>5 late file",
            "scope_summary grain=scope scope=read_members apps_used_after_restriction 1 1>2 late file",
            "groups_exposed grain=scope_group scope=read_members namespace=access group_id=77 (row) 1 null>there late file",
            // People over all scopes: 1 2 3 5 and 40; then 50, then 7, then 9.
            "scope_summary grain=all scope=(all) subjects_observed 1 5>6 mapping change",
            "scope_summary grain=all scope=(all) subjects_observed 2 6>7 rewritten file",
            "scope_summary grain=all scope=(all) subjects_observed 3 7>8 late file",
            "scope_summary grain=scope scope=read_members subjects_observed 1 3>4 rewritten file",
            "scope_summary grain=scope scope=read_members subjects_observed 2 4>5 late file",
        ],
    );
    // A figure has its two ends in the two reports, and nothing else changed.
    ends_are_those_of_the_reports(&first, &outcome);
    assert!(outcome.stderr.contains("changes since the report before"), "{}", outcome.stderr);
    let manifest = manifest(&lake);
    assert_eq!(manifest["report"]["number"], 2);
    let follows = &manifest["report"]["follows"];
    assert_eq!(follows["number"], 1);
    assert_eq!(follows["run_id"], first.file_name().unwrap().to_str().unwrap());
}

/// Every value that differs between the two runs is in the log, from its old value to its new one, and the
/// log has nothing else.
fn ends_are_those_of_the_reports(first: &std::path::Path, outcome: &Outcome) {
    let second = outcome.published();
    let log = second.table("change_log");
    let mut told: BTreeMap<[String; 3], (String, String)> = BTreeMap::new();
    for row in &log.rows {
        let place = [row[1].clone(), row[2].clone(), row[3].clone()];
        let (old, new) = (row[5].clone(), row[6].clone());
        told.entry(place).and_modify(|ends| ends.1.clone_from(&new)).or_insert((old, new));
    }
    // What `diff` says, which compares the published files and knows no causes.
    let (first, second) = (first.display().to_string(), second.folder.join(".."));
    let out = second.join("../changes.csv").display().to_string();
    let args = ["diff", &first, &second.display().to_string(), "--out", &out];
    let output = std::process::Command::new(program()).args(args).output();
    assert!(output.unwrap().status.success());
    let mut differ = 0;
    for record in csv::Reader::from_path(&out).unwrap().records() {
        let record = record.unwrap();
        let text = |at: usize| match &record[at] {
            "" => "null".to_string(),
            text => text.to_string(),
        };
        // The log itself and figures that speak of the report before belong to one report; names and days are
        // no figures.
        if &record[0] == "change_log"
            || record[0].starts_with("dim_")
            || ["files_late", "files_changed", "rows_late"].contains(&&record[2])
        {
            continue;
        }
        differ += 1;
        let place = [text(0), text(1), text(2)];
        assert_eq!(told.remove(&place), Some((text(3), text(4))), "{place:?}");
    }
    assert!(differ > 20 && told.is_empty(), "{differ}, left: {told:?}");
}

#[test]
fn a_report_that_follows_is_found_again_verified_and_recomputed() {
    let lake = lake();
    lake.publishes(&[]);
    change(&lake);
    let second = lake.run(&FOLLOW).succeeds();
    // The latest report is this one by now: it is the same command, so it is the same report.
    let again = lake.run(&FOLLOW).succeeds().json();
    assert_eq!((&again["reused"], &again["run_id"]), (&true.into(), &second.json()["run_id"]));
    let plan = lake.plan(&FOLLOW);
    assert_eq!((&plan["published"], &plan["run_id"]), (&true.into(), &second.json()["run_id"]));
    // The rows that were rewritten are nowhere but in the ledger; a recomputation has none.
    let args = ["out", "--recompute", "--config", "afterscope.toml"];
    assert_eq!(holds(&lake, &args)["recomputed"], true);
    // The same without the report before is another run, and the first of its line.
    let alone = lake.run(&[]).succeeds();
    assert_ne!(alone.json()["run_id"], second.json()["run_id"]);
    assert_eq!(alone.published().table("change_log").rows.len(), 0);
    assert_eq!(manifest(&lake)["report"]["number"], 1);
}

#[test]
fn later_reports_say_what_time_brought_and_number_themselves() {
    let lake = lake();
    let june = ["--as-of", "2019-07-02T10:00:00Z", "--follows", "latest"];
    // The first: there is none to follow.
    let first = lake.run(&june).succeeds();
    assert_eq!(changes(&first), Vec::<String>::new());
    let second = lake.run(&["--as-of", "2019-07-03T07:00:00Z", "--follows", "latest"]).succeeds();
    let found = changes(&second);
    has(&found, &["scope_summary grain=all scope=(all) subjects_observed 1 3>4 later as_of"]);
    assert!(found.iter().all(|line| line.ends_with(" later as_of")), "{found:#?}");
    // A late file holds a call that the second report would have counted, and one that it would not.
    let posts = |time, user| Call { scope: "write_posts".into(), ..call(time, "app-2", user) };
    lake.log(
        "logs/dt=2019-07-02/late.parquet",
        &[posts("2019-07-02T23:00:00Z", 60), posts("2019-07-03T08:00:00Z", 61)],
    );
    let third = lake.run(&["--as-of", "2019-07-04", "--follows", "latest"]).succeeds();
    has(
        &changes(&third),
        &[
            "scope_summary grain=all scope=(all) subjects_observed 1 4>5 late file",
            // Persons 5 and 61.
            "scope_summary grain=all scope=(all) subjects_observed 2 5>7 later as_of",
        ],
    );
    assert_eq!(manifest(&lake)["report"]["number"], 3);
    // Any report of the output can be followed; a later one cannot.
    let id = first.json()["run_id"].as_str().unwrap().to_string();
    lake.run(&["--as-of", "2019-07-05", "--follows", &id]).succeeds();
    assert_eq!(manifest(&lake)["report"]["number"], 2);
    let says = ["is later than this report's", "--follows none"];
    lake.run(&["--as-of", "2019-07-01", "--follows", "latest"]).fails(1, &says);
    lake.run(&["--as-of", "2019-07-05", "--follows", "Latest"])
        .fails(1, &["holds no such report; did you mean `latest`?"]);
    let says = ["`../x` is no report", "--follows"];
    lake.run(&["--follows", "../x"]).fails(1, &says);
}

#[test]
fn a_figure_that_changed_without_a_cause_ends_the_run() {
    let lake = lake();
    lake.publishes(&[]);
    let folder = run_folder(&lake);
    // Somebody takes the tables of another count for those of this one, and seals them as if they were.
    let other = lake.publishes(&["--output", "other", "--set", "report.lookback_days=30"]);
    let name = "scope_summary.parquet";
    let bytes = fs::read(other.folder.join(name)).unwrap();
    fs::write(folder.join("tables").join(name), &bytes).unwrap();
    let path = folder.join("manifest.json");
    let mut forged: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    forged.as_object_mut().unwrap().shift_remove("sha256");
    for output in forged["outputs"].as_array_mut().unwrap() {
        if output["path"] == format!("tables/{name}") {
            output["sha256"] = afterscope::publish::sha256(&bytes).into();
            output["bytes"] = bytes.len().into();
        }
    }
    let text = afterscope::seal::seal(&serde_json::to_string_pretty(&forged).unwrap());
    fs::write(&path, text).unwrap();
    let before = lake.files();
    let late = call("2019-07-04T08:00:00Z", "app-1", 1);
    lake.log("logs/dt=2019-07-04/part-0.parquet", &[late]);
    let says = [
        "figures are not those of the report that this one follows",
        "scope_summary grain=all scope=(all)",
        "afterscope verify",
    ];
    lake.run(&FOLLOW).fails(3, &says);
    let runs =
        |files: &BTreeMap<String, _>| files.keys().filter(|f| f.ends_with("manifest.json")).count();
    assert_eq!(runs(&before), runs(&lake.files()));
}

#[test]
fn causes_that_cannot_be_told_apart_are_named_together() {
    let lake = lake();
    lake.publishes(&[]);
    change(&lake);
    // The ledger is gone, and with it the rows of the file that was rewritten.
    fs::remove_dir_all(lake.path("out/state")).unwrap();
    let outcome = lake.run(&FOLLOW).succeeds();
    assert!(
        outcome.stderr.contains("cannot be counted again in every state"),
        "{}",
        outcome.stderr
    );
    has(
        &changes(&outcome),
        &[
            "app_scope_exposure grain=scope_app scope=read_members app_id=app-1 requests_in_grace 1 1>2 policy change or mapping change or rewritten file",
            "scope_summary grain=all scope=(all) subjects_observed 1 5>7 policy change or mapping change or rewritten file",
            "scope_summary grain=all scope=(all) subjects_observed 2 7>8 late file",
        ],
    );
}

#[test]
fn a_file_that_went_and_one_that_can_be_read_again_are_causes() {
    let lake = lake();
    lake.write("logs/dt=2019-07-05/bad.parquet", "PAR1 no");
    lake.publishes(&["--allow-incomplete"]);
    fs::remove_file(lake.path("logs/dt=2019-07-03/part-0.parquet")).unwrap();
    lake.log("logs/dt=2019-07-05/bad.parquet", &[call("2019-07-05T08:00:00Z", "app-1", 70)]);
    let found = changes(&lake.run(&FOLLOW).succeeds());
    has(
        &found,
        &[
            // Person 5 is gone and person 70 is there: over all scopes as many as before, which is no change.
            "scope_summary grain=scope scope=write_posts subjects_observed 1 3>2 missing file",
            "scope_summary grain=scope scope=read_members subjects_observed 1 3>4 late file",
            "coverage grain=all source=(all) file_day=null verdict 1 incomplete>complete late file",
        ],
    );
    let all = "scope_summary grain=all scope=(all) subjects_observed";
    assert!(!found.iter().any(|line| line.starts_with(all)), "{found:#?}");
}

#[test]
fn a_changed_log_of_changes_is_found() {
    let lake = lake();
    lake.publishes(&[]);
    change(&lake);
    lake.publishes(&FOLLOW);
    let path = run_folder(&lake).join("tables/change_log.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("late file", "new files")).unwrap();
    differs(&lake.afterscope(&["verify", "out"]), &["change_log.csv"]);
}

/// Changes one thing between two reports, and expects every reason to be one of these, and one to be there.
fn only(change: impl FnOnce(&Lake), args: &[&str], reasons: &[&str]) -> Vec<String> {
    let lake = lake();
    lake.publishes(&["--allow-incomplete"]);
    change(&lake);
    let args: Vec<&str> = FOLLOW.iter().chain(args).copied().collect();
    let outcome = lake.run(&args).succeeds();
    let log = outcome.published().table("change_log");
    let found = log.column("reason");
    assert!(!found.is_empty());
    assert!(found.iter().all(|reason| reasons.contains(reason)), "{:#?}", rows(&log));
    rows(&log)
}

#[test]
fn what_a_mapping_says_beside_the_rows_changes_with_the_mapping() {
    let without = |line: &'static str| move |lake: &Lake| lake.edit("afterscope.toml", line, "");
    let found = only(without("status = \"status\"\n"), &[], &["mapping change"]);
    has(
        &found,
        &[
            "coverage grain=source source=access file_day=null has_status 1 true>false mapping change",
        ],
    );
    only(without("event_id = \"request_id\"\n"), &[], &["mapping change"]);
    let fields = |lake: &Lake| {
        lake.edit(
            "afterscope.toml",
            "bytes =",
            "fields = { path = \"scope\", encoding = \"comma\" }\nbytes =",
        );
    };
    only(fields, &[], &["mapping change"]);
}

#[test]
fn files_that_cannot_be_read_have_a_cause() {
    let bad = "logs/dt=2019-07-05/bad.parquet";
    let found =
        only(|lake| drop(lake.write(bad, "PAR1 no")), &["--allow-incomplete"], &["missing file"]);
    has(
        &found,
        &["coverage grain=all source=(all) file_day=null files_unreadable 1 0>1 missing file"],
    );
    // It was there, and went.
    let lake = lake();
    lake.write(bad, "PAR1 no");
    lake.publishes(&["--allow-incomplete"]);
    fs::remove_file(lake.path(bad)).unwrap();
    let found = changes(&lake.run(&["--follows", "latest", "--as-of", "2019-09-02"]).succeeds());
    has(
        &found,
        &[
            "coverage grain=all source=(all) file_day=null verdict 1 incomplete>complete missing file",
        ],
    );
}

#[test]
fn ids_that_are_read_as_another_kind_do_not_end_the_run() {
    let lake = lake();
    lake.publishes(&[]);
    lake.log("logs/dt=2019-07-02/part-0.parquet", &[call("2019-07-02T08:00:00Z", "app-1", 7)]);
    let text = "subject = { path = \"user_id\", kind = \"text\" }";
    lake.edit("afterscope.toml", "subject = \"user_id\"", text);
    let outcome = lake.run(&FOLLOW).succeeds();
    let expected = "scope_summary grain=scope scope=read_members requests_denied 1 1>0 mapping change or rewritten file";
    has(&changes(&outcome), &[expected]);
    assert!(
        outcome.stderr.contains("cannot be counted again in every state"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_setting_from_the_environment_is_seen_beside_others() {
    let lake = lake();
    let expected = "url = \"logs/\"\nexpected = { every = \"1d\", from = \"${FROM}\" }";
    lake.edit("afterscope.toml", "url = \"logs/\"", expected);
    let run = |args: &[&str], from: &str| {
        let args = crate::lake::run_args(args);
        Outcome::of(&lake, lake.command(&args).env("FROM", from).output().unwrap())
    };
    run(&[], "2019-07-01").succeeds();
    lake.edit("afterscope.toml", "allowed = [200]", "allowed = [\"200-299\"]");
    let found = changes(&run(&FOLLOW, "2019-07-02").succeeds());
    has(
        &found,
        &[
            // July and August.
            "coverage grain=source source=access file_day=null periods_expected 1 62>61 policy change",
            "scope_summary grain=scope scope=write_posts requests_allowed 1 3>4 mapping change",
        ],
    );
    let text = fs::read_to_string(run_folder(&lake).join("manifest.json")).unwrap();
    assert!(text.contains("${FROM}") && !text.contains("\"from\": \"2019-07-02\""));
}

#[test]
fn a_page_more_or_less_does_not_switch_the_proof_off() {
    let lake = lake();
    lake.publishes(&[]);
    let found =
        changes(&lake.run(&["--follows", "latest", "--set", "report.html=false"]).succeeds());
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn files_that_came_with_time_are_not_late() {
    let lake = lake();
    fs::remove_file(lake.path("logs/dt=2019-07-03/part-0.parquet")).unwrap();
    lake.publishes(&["--as-of", "2019-07-03"]);
    let (_, calls) = &crate::lake::standard_days()[2];
    lake.log("logs/dt=2019-07-03/part-0.parquet", calls);
    let outcome = lake.run(&["--as-of", "2019-07-04", "--follows", "latest"]).succeeds();
    let found = changes(&outcome);
    assert!(
        !found.is_empty() && found.iter().all(|line| line.ends_with(" later as_of")),
        "{found:#?}"
    );
    let coverage = outcome.published().table("coverage");
    assert_eq!(coverage.row(&[("grain", "all")], &["files_late", "files_changed"]), ["0", "0"]);
}

#[test]
fn own_queries_follow_too() {
    let lake = lake();
    lake.write("own.sql", "SELECT source, file_day, rows_counted, files_late FROM coverage_days");
    lake.edit("afterscope.toml", "[report]", "[report]\nqueries = [\"own.sql\"]");
    lake.publishes(&[]);
    for day in ["2019-07-04", "2019-07-05"] {
        let file = format!("logs/dt={day}/part-0.parquet");
        lake.log(&file, &[call(&format!("{day}T08:00:00Z"), "app-1", 1)]);
        let found = changes(&lake.run(&FOLLOW).succeeds());
        has(&found, &["own null (table) 1 one content>another late file"]);
    }
    let again = ["--follows", "latest", "--as-of", "2019-09-02"];
    let found = changes(&lake.run(&again).succeeds());
    assert!(found.iter().all(|line| line.ends_with(" later as_of")), "{found:#?}");
}

#[test]
fn gc_keeps_what_the_next_report_needs_and_knows_which_it_is() {
    let lake = lake();
    lake.publishes(&[]);
    change(&lake);
    let gc = |more: &[&str]| {
        let args = ["state", "gc", "--config", "afterscope.toml", "--as-of", crate::lake::AS_OF];
        lake.afterscope(
            &args.iter().chain(&["--keep", "0s"]).chain(more).copied().collect::<Vec<_>>(),
        )
    };
    gc(&["--follows", "20190901T000000Z-000000000000"]).fails(1, &["holds no such report"]);
    gc(&FOLLOW).succeeds();
    let outcome = lake.run(&FOLLOW).succeeds();
    assert!(!outcome.stderr.contains("cannot be counted again"), "{}", outcome.stderr);
    // The same command follows the first report still.
    gc(&FOLLOW).succeeds();
    fs::remove_dir_all(run_folder(&lake)).unwrap();
    let first = fs::read_dir(lake.path("out/runs")).unwrap().next().unwrap().unwrap();
    let first = first.file_name().into_string().unwrap();
    let outcome = lake.run(&["--follows", &first]).succeeds();
    assert!(!outcome.stderr.contains("cannot be counted again"), "{}", outcome.stderr);
}

#[test]
fn without_a_pointer_nothing_is_guessed() {
    let lake = lake();
    lake.publishes(&[]);
    fs::remove_file(lake.path("out/latest.json")).unwrap();
    // The same command finds its own run.
    lake.run(&FOLLOW).succeeds();
    fs::remove_file(lake.path("out/latest.json")).unwrap();
    change(&lake);
    lake.run(&FOLLOW).fails(1, &["has no latest.json", "--follows none"]);
}

#[test]
fn a_report_whose_forerunner_changed_says_so_and_is_not_recomputed() {
    let lake = lake();
    lake.publishes(&[]);
    let first = run_folder(&lake);
    change(&lake);
    lake.publishes(&FOLLOW);
    let told = lake
        .afterscope(&["diff", &first.display().to_string(), "out", "--out", "d.csv"])
        .succeeds();
    assert!(!told.json()["changed"].as_object().unwrap().contains_key("change_log"));
    let text = fs::read_to_string(lake.path("d.csv")).unwrap();
    let line = "scope_summary,grain=all scope=(all),subjects_observed,5,8,\"mapping change, rewritten file, late file\"";
    assert!(text.lines().any(|l| l == line), "{text}");
    fs::remove_file(first.join("tables/coverage.parquet")).unwrap();
    let args = ["verify", "out", "--recompute", "--config", "afterscope.toml"];
    differs(&lake.afterscope(&args), &["coverage.parquet was changed or is gone"]);
    fs::remove_dir_all(&first).unwrap();
    let outcome = lake.afterscope(&["verify", "out"]).succeeds();
    assert!(outcome.stderr.contains("which is not here"), "{}", outcome.stderr);
    differs(&lake.afterscope(&args), &["holds no such report"]);
}
